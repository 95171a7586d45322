//! The routers of a worker: each with all its ports here, so that a packet that is routed changes no thread for it.

use super::{Clock, Worker};
use crate::hub::{Ingress, PortId};
use crate::packet::{Drop, PacketBuf};
use crate::peer::Frame;
use crate::router::{Counts, Leg, Route, Router};
use std::time::Instant;

/// A router by its name.
pub(super) struct Named {
    name: String,
    router: Router,
}

/// What a router has done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterCount {
    /// Which.
    pub name: String,
    /// What.
    pub counts: Counts,
}

/// A frame for a router.
pub(super) struct Routed {
    pub(super) router: usize,
    pub(super) port: PortId,
    pub(super) buf: PacketBuf,
}

impl Worker {
    /// Opens a router. The numbers of its ports were set aside ([`Self::reserve_trunk`]).
    pub fn open_router(&mut self, name: &str, legs: Vec<(Ingress, Leg)>, routes: &[Route]) {
        let (ingresses, legs): (Vec<_>, Vec<Leg>) = legs.into_iter().unzip();
        let views: Vec<_> = legs.iter().map(|leg| leg.hub.clone()).collect();
        let place = self.routers.insert(Named { name: name.to_owned(), router: Router::new(legs, routes) });
        for (ingress, view) in ingresses.into_iter().zip(views) {
            self.ports.give(ingress.id(), place);
            self.ports.open(ingress, view);
        }
    }

    /// Closes a router; the numbers of its ports are free again.
    pub fn close_router(&mut self, name: &str) {
        let Some(place) = self.routers.iter().find(|(_, named)| named.name == name).map(|(place, _)| place)
        else {
            return;
        };
        for port in self.routers.remove(place).router.ports() {
            self.ports.release(port);
        }
    }

    pub(super) fn router_counts(&self) -> Vec<RouterCount> {
        let count = |named: &Named| RouterCount { name: named.name.clone(), counts: named.router.counts() };
        self.routers.iter().map(|(_, named)| count(named)).collect()
    }

    pub(super) fn next_of_routers(&self) -> Option<Instant> {
        self.routers.iter().filter_map(|(_, named)| named.router.poll_timeout()).min()
    }

    pub(super) fn routers_timeout(&mut self, clock: Clock) {
        let frames = &mut self.outbox.frames;
        for (_, Named { router, .. }) in &mut self.routers {
            if router.poll_timeout().is_some_and(|at| at <= clock.now) {
                let lost =
                    router.handle_timeout(clock.now, &mut |from, buf| frames.push(Frame { from, buf }));
                (0..lost).for_each(|_| self.drops.count(Drop::Unresolved));
            }
        }
    }

    /// Hands routers what was switched to them.
    pub(super) fn route_all(&mut self, clock: Clock) {
        let mut routed = std::mem::take(&mut self.routed);
        for Routed { router, port, buf } in routed.drain(..) {
            let frames = &mut self.outbox.frames;
            let result = self.routers.get_mut(router).ok_or(Drop::NoPort).and_then(|named| {
                let send = &mut |from, buf| frames.push(Frame { from, buf });
                named.router.handle_frame(clock.now, port, buf, send)
            });
            if let Err(drop) = result {
                self.drops.count(drop);
            }
        }
        self.routed = routed;
    }
}
