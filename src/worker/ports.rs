//! The hub ports that this worker holds: which link or uplink is behind each number, and the rules of each.

use crate::hub::{HubId, Ingress, PortId, View};
use crate::packet::WorkerId;
use crate::peer::LinkKey;
use slab::Slab;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Who is behind a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holder {
    /// A PPP link.
    Link(LinkKey),
    /// An uplink, a bridge or a monitor: its frames go to the shell.
    Trunk,
    /// A router of this worker, by its place.
    Router(usize),
}

struct Slot {
    holder: Holder,
    /// The hub's side of it, once the gatehouse has opened the port.
    open: Option<Open>,
}

/// An open port.
pub(super) struct Open {
    pub(super) ingress: Ingress,
    pub(super) view: Arc<View>,
}

/// Port table of one worker.
pub(super) struct Ports {
    worker: WorkerId,
    slots: Slab<Slot>,
    /// The tables of each hub that has open ports here, and how many.
    views: BTreeMap<HubId, (Arc<View>, usize)>,
}

impl Ports {
    pub(super) fn new(worker: WorkerId) -> Self {
        Self { worker, slots: Slab::new(), views: BTreeMap::new() }
    }

    /// How many numbers are given.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Sets a number aside.
    pub(super) fn reserve(&mut self, holder: Holder) -> PortId {
        let slot = self.slots.insert(Slot { holder, open: None });
        PortId::new(self.worker, u32::try_from(slot).unwrap_or(u32::MAX))
    }

    /// The gatehouse has opened a port whose number was set aside.
    pub(super) fn open(&mut self, ingress: Ingress, view: Arc<View>) {
        if let Some(slot) = self.slots.get_mut(ingress.id().slot() as usize) {
            self.views.entry(ingress.hub()).or_insert_with(|| (view.clone(), 0)).1 += 1;
            let before = slot.open.replace(Open { ingress, view });
            self.forget_view(before);
        }
    }

    /// Puts a router behind a port whose number was set aside.
    pub(super) fn give(&mut self, port: PortId, router: usize) {
        if let Some(slot) = self.slots.get_mut(port.slot() as usize) {
            slot.holder = Holder::Router(router);
        }
    }

    /// Takes a number back.
    pub(super) fn release(&mut self, port: PortId) {
        let open = self.slots.try_remove(port.slot() as usize).and_then(|slot| slot.open);
        self.forget_view(open);
    }

    /// One port less that shows a hub's tables.
    fn forget_view(&mut self, open: Option<Open>) {
        let Some(hub) = open.map(|open| open.ingress.hub()) else { return };
        if let Some((_, ports)) = self.views.get_mut(&hub) {
            *ports -= 1;
            if *ports == 0 {
                self.views.remove(&hub);
            }
        }
    }

    /// Who is behind an open port of this worker, if it belongs to `hub`.
    pub(super) fn holder_in(&self, hub: HubId, port: PortId) -> Option<Holder> {
        let slot = self.slots.get(port.slot() as usize)?;
        slot.open.as_ref().filter(|open| open.ingress.hub() == hub).map(|_| slot.holder)
    }

    /// The tables of a hub that has a port here. Only floods that cross workers look this way.
    pub(super) fn view(&self, hub: HubId) -> Option<Arc<View>> {
        self.views.get(&hub).map(|(view, _)| view.clone())
    }

    /// An open port.
    pub(super) fn get_mut(&mut self, port: PortId) -> Option<&mut Open> {
        self.slots.get_mut(port.slot() as usize)?.open.as_mut()
    }
}
