//! The routers of a worker: each with all its ports here, so that a packet that is routed changes no thread for it.

use super::{Clock, TimerKey, Worker};
use crate::hub::{Ingress, PortId};
use crate::packet::{Drop, PacketBuf};
use crate::peer::Frame;
use crate::router::{Counts, Leg, Route, Router};
use std::time::Instant;

/// A router by its name.
pub(super) struct Named {
    name: String,
    router: Router,
    /// The deadline that is filed for it.
    filed: Option<Instant>,
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
        let place = self.routers.insert(Named {
            name: name.to_owned(),
            router: Router::new(legs, routes),
            filed: None,
        });
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
        let mut gone = self.routers.remove(place);
        self.deadlines.arm(TimerKey::Router(place), &mut gone.filed, None);
        for port in gone.router.ports() {
            self.ports.release(port);
        }
    }

    pub(super) fn router_counts(&self) -> Vec<RouterCount> {
        let count = |named: &Named| RouterCount { name: named.name.clone(), counts: named.router.counts() };
        self.routers.iter().map(|(_, named)| count(named)).collect()
    }

    pub(super) fn router_timeout(&mut self, clock: Clock, place: usize) {
        let Some(Named { router, filed, .. }) = self.routers.get_mut(place) else { return };
        *filed = None;
        let frames = &mut self.outbox.frames;
        let lost = router.handle_timeout(clock.now, &mut |from, buf| frames.push(Frame { from, buf }));
        (0..lost).for_each(|_| self.drops.count(Drop::Unresolved));
        self.deadlines.arm(TimerKey::Router(place), filed, router.poll_timeout());
    }

    /// Hands routers what was switched to them.
    pub(super) fn route_all(&mut self, clock: Clock) {
        let mut routed = std::mem::take(&mut self.routed);
        let mut rest = routed.drain(..).peekable();
        while let Some(place) = rest.peek().map(|first| first.router) {
            let run = std::iter::from_fn(|| rest.next_if(|one| one.router == place));
            let Some(Named { router, filed, .. }) = self.routers.get_mut(place) else {
                run.for_each(|_| self.drops.count(Drop::NoPort));
                continue;
            };
            let frames = &mut self.outbox.frames;
            for Routed { port, buf, .. } in run {
                let send = &mut |from, buf| frames.push(Frame { from, buf });
                if let Err(drop) = router.handle_frame(clock.now, port, buf, send) {
                    self.drops.count(drop);
                }
            }
            self.deadlines.arm(TimerKey::Router(place), filed, router.poll_timeout());
        }
        drop(rest);
        self.routed = routed;
    }
}
