//! What hubs are plugged into on this host: TAP interfaces, and the host's own forwarding behind them.

use super::net_setup::{HostSetup, NatHub};
use super::tap::{Tap, name_for};
use super::worker_thread::Uplink;
use super::host;
use crate::config::{Config, Dns, Uplink as Kind};
use crate::gatehouse::Gatehouse;
use crate::hub::{Mac, stable_mac};
use crate::packet::WorkerId;
use crate::worker::Worker;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// MTU of a TAP: a link takes what its MRU allows, and TCP is told so (MSS), so the host may use Ethernet's own.
const MTU: u16 = 1500;

/// The host's own name servers as far as a client behind our NAT can ask them.
pub(super) fn host_name_servers() -> Vec<Ipv4Addr> {
    let v4 = |server| match server {
        IpAddr::V4(server) if !server.is_loopback() => Some(server),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    };
    host::name_servers().into_iter().filter_map(v4).collect()
}

/// Opens the uplinks of all hubs and gives each to a worker, the hubs in turn.
pub(super) async fn open_all(
    config: &Config,
    setup: &mut HostSetup,
    gatehouse: &mut Gatehouse,
    workers: &mut [Worker],
) -> anyhow::Result<BTreeMap<WorkerId, Vec<Uplink>>> {
    let mut uplinks: BTreeMap<WorkerId, Vec<Uplink>> = BTreeMap::new();
    let mut nat = Vec::new();
    let local_resolver = host_name_servers().first().copied();
    for (hub, n) in config.hubs.iter().zip(0_u32..) {
        if hub.uplink == Kind::None {
            continue;
        }
        let tap = Tap::create(&name_for(&hub.name))?;
        let mac = gateway_mac(&hub.name);
        setup.link_up(&tap, mac.0, MTU).await?;
        if hub.uplink == Kind::Nat {
            let serves_dns = match &hub.dhcp.dns {
                Dns::OfHost => false,
                Dns::Servers(servers) => servers.contains(&hub.gateway),
            };
            nat.push(NatHub {
                hub: hub.name.clone(),
                tap: tap.name().to_owned(),
                index: tap.index(),
                network: hub.network,
                gateway: hub.gateway,
                name_server: local_resolver.filter(|_| serves_dns),
            });
        }
        let at = n as usize % workers.len().max(1);
        let Some(worker) = workers.get_mut(at) else { continue };
        let port = worker.reserve_trunk();
        let known = (hub.uplink == Kind::Nat).then_some(mac);
        let Some(id) = gatehouse.hub_named(&hub.name) else { continue };
        let (ingress, view) = gatehouse
            .open_uplink(Instant::now(), id, port, known)
            .with_context(|| format!("cannot plug in the uplink of hub {}", hub.name))?;
        worker.open_trunk(ingress, view);
        uplinks.entry(port.worker()).or_default().push(Uplink { port, tap });
    }
    for warning in setup.nat(&nat).await? {
        tracing::warn!("{warning}");
    }
    Ok(uplinks)
}

/// The gateway's MAC, the same after every start.
fn gateway_mac(hub: &str) -> Mac {
    stable_mac(hub, "", "gateway", 0)
}
