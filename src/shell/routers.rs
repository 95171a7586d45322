//! The routers of the configuration: each is opened at one worker, with a port in each of its hubs.

use super::inbox::{self, Inbox, Input};
use super::worker_thread::clock;
use crate::config::{self, Config};
use crate::gatehouse::Gatehouse;
use crate::hub::{HubId, Ingress, KnownStation, PortId, stable_mac};
use crate::identity::folded;
use crate::router::{Leg, Route};
use crate::worker::Worker;
use anyhow::Context as _;
use std::collections::BTreeMap;

/// A router for a worker.
pub(super) struct RouterPlug {
    pub(super) name: String,
    pub(super) legs: Vec<(Ingress, Leg)>,
    pub(super) routes: Vec<Route>,
}

/// A router that is open.
#[derive(Debug)]
struct Open {
    settings: config::Router,
    /// Its ports, each with its hub and that hub's network.
    ports: Vec<(PortId, HubId, config::Network)>,
}

impl Open {
    /// All its ports are at one worker: this one tells which.
    fn first_port(&self) -> Option<PortId> {
        self.ports.first().map(|(port, ..)| *port)
    }
}

/// The routers that are open, by their folded names.
#[derive(Debug, Default)]
pub(super) struct Routers {
    open: BTreeMap<String, Open>,
}

impl Routers {
    /// Opens all routers before the workers run, each at one of them in turn.
    pub(super) fn open_all(
        config: &Config,
        gatehouse: &mut Gatehouse,
        workers: &mut [Worker],
    ) -> anyhow::Result<Self> {
        let mut routers = Self::default();
        for (router, n) in config.routers.iter().zip(0..) {
            let at = n % workers.len().max(1);
            let Some(worker) = workers.get_mut(at) else { continue };
            let numbers = router.legs.iter().map(|_| worker.reserve_trunk()).collect();
            let plug = routers.plug_in(config, router, numbers, gatehouse)?;
            worker.open_router(&plug.name, plug.legs, &plug.routes);
        }
        Ok(routers)
    }

    /// Opens the ports of a router in its hubs.
    fn plug_in(
        &mut self,
        config: &Config,
        router: &config::Router,
        numbers: Vec<PortId>,
        gatehouse: &mut Gatehouse,
    ) -> anyhow::Result<RouterPlug> {
        let mut open = Open { settings: router.clone(), ports: Vec::new() };
        let mut legs = Vec::new();
        for (leg, port) in router.legs.iter().zip(numbers) {
            let hub = gatehouse.hub_named(&leg.hub).context("there is no such hub")?;
            let network = config.hub(&leg.hub).context("there is no such hub")?.network;
            let mac = stable_mac(&leg.hub, "", &format!("router {}", folded(&router.name)), 0);
            let station = KnownStation { mac, addresses: vec![leg.address] };
            let opened = gatehouse.open_router(clock().now, hub, port, station);
            let (ingress, view) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    for (port, ..) in open.ports {
                        gatehouse.close_uplink(clock(), port);
                    }
                    return Err(error).with_context(|| format!("hub {}", leg.hub));
                }
            };
            open.ports.push((port, hub, network));
            let network = network.into();
            legs.push((ingress, Leg { port, hub: view, mac, address: leg.address, network }));
        }
        let routes = router.routes.iter().map(|(to, via)| Route { to: (*to).into(), via: *via }).collect();
        tracing::info!(router = router.name, hubs = legs.len(), step = "router", "router opened");
        self.open.insert(folded(&router.name), open);
        Ok(RouterPlug { name: router.name.clone(), legs, routes })
    }

    /// Follows a reload that the gatehouse has followed already, first half: closes what is no longer wanted, so that its
    /// addresses are free.
    pub(super) fn close_gone(&mut self, config: &Config, gatehouse: &mut Gatehouse, inboxes: &[Inbox]) {
        let stays = |open: &Open| {
            let same = config.routers.contains(&open.settings);
            let hub = |(leg, (_, hub, network)): (&config::Leg, &(PortId, HubId, config::Network))| {
                gatehouse.hub_named(&leg.hub) == Some(*hub)
                    && config.hub(&leg.hub).is_some_and(|hub| hub.network == *network)
            };
            same && open.settings.legs.iter().zip(&open.ports).all(hub)
        };
        let gone: Vec<Open> =
            self.open.extract_if(.., |_, open| !stays(open)).map(|(_, open)| open).collect();
        for open in gone {
            let first = open.first_port();
            let Open { settings, ports } = open;
            for (port, ..) in &ports {
                gatehouse.close_uplink(clock(), *port);
            }
            if let Some(inbox) = first.and_then(|port| inbox::of_port(inboxes, port)) {
                inbox.put(Input::UnplugRouter(settings.name.clone()));
            }
            tracing::info!(router = settings.name, step = "router", "router closed");
        }
    }

    /// Second half: opens what is new. Returns what could not be done, for people.
    pub(super) async fn open_new(
        &mut self,
        config: &Config,
        gatehouse: &mut Gatehouse,
        inboxes: &[Inbox],
    ) -> Vec<String> {
        let mut failures = Vec::new();
        for router in &config.routers {
            if self.open.contains_key(&folded(&router.name)) {
                continue;
            }
            if let Err(error) = self.open_later(config, router, gatehouse, inboxes).await {
                failures.push(format!("router {} is not there: {error:#}", router.name));
            }
        }
        failures
    }

    async fn open_later(
        &mut self,
        config: &Config,
        router: &config::Router,
        gatehouse: &mut Gatehouse,
        inboxes: &[Inbox],
    ) -> anyhow::Result<()> {
        let inbox = inbox::least_used(inboxes, self.open.values().filter_map(Open::first_port))?;
        let mut numbers = Vec::new();
        for _ in &router.legs {
            match inbox.reserve().await {
                Ok(port) => numbers.push(port),
                Err(silent) => {
                    numbers.into_iter().for_each(|port| inbox.give_back(port));
                    return Err(silent.into());
                }
            }
        }
        let plug = self
            .plug_in(config, router, numbers.clone(), gatehouse)
            .inspect_err(|_| numbers.iter().for_each(|port| inbox.give_back(*port)))?;
        inbox.put(Input::PlugRouter(Box::new(plug)));
        Ok(())
    }
}
