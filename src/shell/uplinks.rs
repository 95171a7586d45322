//! What hubs are plugged into on this host: TAP interfaces, and the host's own forwarding behind them.

use super::host;
use super::inbox::{Inbox, Input, Plug};
use super::net_setup::{HostSetup, NatHub, SetupError};
use super::tap::{Tap, name_for};
use super::worker_thread::{Uplink, clock};
use crate::config::{self, Config, Dns, Network, Uplink as Kind};
use crate::gatehouse::Gatehouse;
use crate::hub::{Ingress, Mac, PortId, View, stable_mac};
use crate::identity::folded;
use crate::packet::WorkerId;
use crate::worker::Worker;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long a worker may take to open or close an uplink during a reload.
const PATIENCE: Duration = Duration::from_secs(2);

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

/// What a hub wants of the host.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Wanted {
    hub: String,
    kind: Kind,
    /// For NAT: the hub's network and the host's address in it.
    nat: Option<(Network, Ipv4Addr)>,
}

impl Wanted {
    fn of(hub: &config::Hub) -> Option<Self> {
        let nat = (hub.uplink == Kind::Nat).then_some((hub.network, hub.gateway));
        (hub.uplink != Kind::None).then(|| Self { hub: hub.name.clone(), kind: hub.uplink, nat })
    }
}

/// An uplink that is open.
#[derive(Debug)]
struct Trunk {
    wanted: Wanted,
    port: PortId,
    tap: String,
    index: u32,
}

/// The uplinks that are open, by their hubs' folded names.
#[derive(Debug, Default)]
pub(super) struct Trunks {
    open: BTreeMap<String, Trunk>,
    local_resolver: Option<Ipv4Addr>,
}

impl Trunks {
    /// Opens the uplinks of all hubs and gives each to a worker, the hubs in turn. Also returns them by worker.
    pub(super) async fn open_all(
        config: &Config,
        setup: &mut HostSetup,
        gatehouse: &mut Gatehouse,
        workers: &mut [Worker],
    ) -> anyhow::Result<(Self, BTreeMap<WorkerId, Vec<Option<Uplink>>>)> {
        let mut uplinks: BTreeMap<WorkerId, Vec<Option<Uplink>>> = BTreeMap::new();
        let mut trunks = Self { local_resolver: host_name_servers().first().copied(), ..Self::default() };
        for (wanted, n) in config.hubs.iter().filter_map(Wanted::of).zip(0..) {
            let tap = make_tap(setup, &wanted.hub).await?;
            let at = n % workers.len().max(1);
            let Some(worker) = workers.get_mut(at) else { continue };
            let port = worker.reserve_trunk();
            let (ingress, view) = plug_in(gatehouse, &wanted, port)?;
            worker.open_trunk(ingress, view);
            trunks.note(wanted, port, &tap);
            uplinks.entry(port.worker()).or_default().push(Some(Uplink { port, tap }));
        }
        for warning in setup.nat(&trunks.nat_hubs(config)).await? {
            tracing::warn!("{warning}");
        }
        Ok((trunks, uplinks))
    }

    fn note(&mut self, wanted: Wanted, port: PortId, tap: &Tap) {
        let trunk = Trunk { port, tap: tap.name().to_owned(), index: tap.index(), wanted };
        self.open.insert(folded(&trunk.wanted.hub), trunk);
    }

    /// What the host does for the hubs of a configuration whose uplinks are open.
    fn nat_hubs(&self, config: &Config) -> Vec<NatHub> {
        let hubs = config.hubs.iter().filter(|hub| hub.uplink == Kind::Nat);
        hubs.filter_map(|hub| Some((hub, self.open.get(&folded(&hub.name))?)))
            .map(|(hub, trunk)| self.nat_hub(hub, trunk.tap.clone(), trunk.index))
            .collect()
    }

    fn nat_hub(&self, hub: &config::Hub, tap: String, index: u32) -> NatHub {
        let serves_dns = match &hub.dhcp.dns {
            Dns::OfHost => false,
            Dns::Servers(servers) => servers.contains(&hub.gateway),
        };
        NatHub {
            hub: hub.name.clone(),
            tap,
            index,
            network: hub.network,
            gateway: hub.gateway,
            name_server: self.local_resolver.filter(|_| serves_dns),
        }
    }

    /// Whether the host has room for what a new configuration wants.
    pub(super) fn check(&self, config: &Config, setup: &HostSetup) -> Result<(), SetupError> {
        let hubs = config.hubs.iter().filter(|hub| hub.uplink == Kind::Nat);
        let new = hubs.filter(|hub| self.open.get(&folded(&hub.name)).map(|trunk| &trunk.wanted) != Wanted::of(hub).as_ref());
        let new: Vec<NatHub> = new.map(|hub| self.nat_hub(hub, name_for(&hub.name), 0)).collect();
        setup.check(&new)
    }

    /// Follows a reload that the gatehouse has followed already: closes what is no longer wanted, opens what is new.
    /// Returns what could not be done, for people; the rest goes on.
    pub(super) async fn follow(
        &mut self,
        before: &Config,
        config: &Config,
        setup: &mut HostSetup,
        gatehouse: &mut Gatehouse,
        inboxes: &[Inbox],
    ) -> Vec<String> {
        let mut failures = Vec::new();
        let wanted: BTreeMap<String, Wanted> =
            config.hubs.iter().filter_map(Wanted::of).map(|wanted| (folded(&wanted.hub), wanted)).collect();
        let before = self.nat_hubs(before);
        let stays = |name: &String, trunk: &Trunk| {
            // Another spelling of the hub's name is the same interface.
            wanted.get(name).is_some_and(|new| (new.kind, new.nat) == (trunk.wanted.kind, trunk.wanted.nat))
        };
        let gone: Vec<Trunk> = self.open.extract_if(.., |name, trunk| !stays(name, trunk)).map(|(_, trunk)| trunk).collect();
        for trunk in &gone {
            gatehouse.close_uplink(clock(), trunk.port);
            if let Some(inbox) = inboxes.get(usize::from(trunk.port.worker().0)) {
                let (done, is_done) = oneshot::channel();
                inbox.put(Input::Unplug(trunk.port, done));
                // The interface must have gone before one of the same name is made.
                let _ = timeout(PATIENCE, is_done).await;
            }
            tracing::info!(hub = trunk.wanted.hub, interface = trunk.tap, step = "uplink", "uplink closed");
        }
        let mut opened = 0;
        for (name, wanted) in wanted {
            if self.open.contains_key(&name) {
                continue;
            }
            opened += 1;
            let hub = wanted.hub.clone();
            if let Err(error) = self.open_later(wanted, setup, gatehouse, inboxes).await {
                failures.push(format!("hub {hub} has no uplink: {error:#}"));
            }
        }
        let now = self.nat_hubs(config);
        if opened > 0 || !gone.is_empty() || before != now {
            match setup.nat(&now).await {
                Ok(warnings) => failures.extend(warnings),
                Err(error) => failures.push(error.to_string()),
            }
        }
        failures
    }

    /// Opens an uplink while the workers run.
    async fn open_later(
        &mut self,
        wanted: Wanted,
        setup: &HostSetup,
        gatehouse: &mut Gatehouse,
        inboxes: &[Inbox],
    ) -> anyhow::Result<()> {
        let tap = make_tap(setup, &wanted.hub).await?;
        // The one with the fewest.
        let load = |worker: usize| self.open.values().filter(|trunk| usize::from(trunk.port.worker().0) == worker).count();
        let worker = (0..inboxes.len()).min_by_key(|worker| load(*worker)).context("there is no worker")?;
        let inbox = inboxes.get(worker).context("there is no worker")?;
        let (answer, answered) = oneshot::channel();
        inbox.put(Input::Reserve(answer));
        let port = timeout(PATIENCE, answered).await.ok().and_then(Result::ok).context("the worker does not answer")?;
        let (ingress, view) = match plug_in(gatehouse, &wanted, port) {
            Ok(plugged) => plugged,
            Err(error) => {
                inbox.put(Input::Unplug(port, oneshot::channel().0));
                return Err(error);
            }
        };
        tracing::info!(hub = wanted.hub, interface = tap.name(), step = "uplink", "uplink opened");
        self.note(wanted, port, &tap);
        inbox.put(Input::Plug(Box::new(Plug { ingress, view, tap })));
        Ok(())
    }
}

async fn make_tap(setup: &HostSetup, hub: &str) -> anyhow::Result<Tap> {
    let tap = Tap::create(&name_for(hub))?;
    setup.link_up(&tap, gateway_mac(hub).0, MTU).await?;
    Ok(tap)
}

/// Opens the hub's port for an uplink.
fn plug_in(gatehouse: &mut Gatehouse, wanted: &Wanted, port: PortId) -> anyhow::Result<(Ingress, Arc<View>)> {
    let known = wanted.nat.is_some().then(|| gateway_mac(&wanted.hub));
    let hub = gatehouse.hub_named(&wanted.hub).context("there is no such hub")?;
    gatehouse
        .open_uplink(Instant::now(), hub, port, known)
        .with_context(|| format!("cannot plug in the uplink of hub {}", wanted.hub))
}

/// The gateway's MAC, the same after every start.
fn gateway_mac(hub: &str) -> Mac {
    stable_mac(hub, "", "gateway", 0)
}
