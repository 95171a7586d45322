//! Routers between hubs, for listings.

use super::rows::{RouterRow, Row};
use crate::gatehouse::Gatehouse;
use crate::hub::Kind;
use crate::worker::Snapshot;

/// The interfaces and routes of all routers.
pub(super) fn list(gatehouse: &Gatehouse, workers: &[Option<Snapshot>]) -> Vec<Row> {
    let config = gatehouse.config();
    let mut rows = Vec::new();
    for router in &config.routers {
        let mut told = workers.iter().flatten().flat_map(|snapshot| &snapshot.routers);
        let counts = told.find(|count| count.name == router.name).map(|count| count.counts);
        let row = |kind: &str, network: String, address| RouterRow {
            router: router.name.clone(),
            kind: kind.to_owned(),
            network,
            hub: None,
            address,
            mac: None,
            port: None,
            forwarded: counts.map(|counts| counts.forwarded),
            discarded: counts.map(|counts| counts.discarded),
        };
        for leg in &router.legs {
            let network = config.hub(&leg.hub).map(|hub| hub.network.to_string()).unwrap_or_default();
            let hub = gatehouse.hub_named(&leg.hub).and_then(|id| gatehouse.hub(id));
            let look = hub.map(|hub| hub.view().look(gatehouse.began()));
            let mac = look.as_ref().and_then(|look| look.mac_of(leg.address));
            let port = mac.and_then(|mac| look?.port_of(mac));
            // Where the router is not plugged in, the address is nobody's or somebody else's.
            let own = port.filter(|port| {
                hub.and_then(|hub| hub.port(*port)).is_some_and(|port| port.kind == Kind::Router)
            });
            rows.push(Row::Router(RouterRow {
                hub: Some(leg.hub.clone()),
                mac: mac.filter(|_| own.is_some()).map(|mac| mac.to_string()),
                port: own.map(|port| port.to_string()),
                ..row("hub", network, leg.address)
            }));
        }
        let routes = router.routes.iter().map(|(to, via)| Row::Router(row("route", to.to_string(), *via)));
        rows.extend(routes);
    }
    rows
}
