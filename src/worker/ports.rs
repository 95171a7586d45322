//! The hub ports that this worker holds: which link or uplink is behind each number, and the rules of each.

use crate::hub::{HubId, Ingress, PortId, View};
use crate::packet::WorkerId;
use crate::peer::LinkKey;
use slab::Slab;
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
}

impl Ports {
    pub(super) fn new(worker: WorkerId) -> Self {
        Self { worker, slots: Slab::new() }
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
            slot.open = Some(Open { ingress, view });
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
        self.slots.try_remove(port.slot() as usize);
    }

    /// Who is behind an open port of this worker, if it belongs to `hub`.
    pub(super) fn holder_in(&self, hub: HubId, port: PortId) -> Option<Holder> {
        let slot = self.slots.get(port.slot() as usize)?;
        slot.open.as_ref().filter(|open| open.ingress.hub() == hub).map(|_| slot.holder)
    }

    /// The tables of a hub, by any of its ports here. Only floods that cross workers look this way.
    pub(super) fn view(&self, hub: HubId) -> Option<Arc<View>> {
        let open = self.slots.iter().filter_map(|(_, slot)| slot.open.as_ref());
        open.filter(|open| open.ingress.hub() == hub).map(|open| open.view.clone()).next()
    }

    /// An open port.
    pub(super) fn get_mut(&mut self, port: PortId) -> Option<&mut Open> {
        self.slots.get_mut(port.slot() as usize)?.open.as_mut()
    }
}
