//! The hub ports that this worker holds: which link or uplink is behind each number.

use crate::hub::{Ingress, PortId, View};
use crate::packet::WorkerId;
use crate::peer::LinkKey;
use slab::Slab;
use std::sync::Arc;

/// Who is behind a port.
pub(super) enum Holder {
    /// A PPP link.
    Link(LinkKey),
    /// An uplink of this hub.
    Uplink(Arc<View>),
}

struct Slot {
    holder: Holder,
    ingress: Ingress,
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

    /// Sets a number aside.
    pub(super) fn reserve(&mut self, holder: Holder) -> PortId {
        let slot = self.slots.insert(Slot { holder, ingress: Ingress::default() });
        PortId::new(self.worker, u32::try_from(slot).unwrap_or(u32::MAX))
    }

    /// Takes a number back.
    pub(super) fn release(&mut self, port: PortId) {
        self.slots.try_remove(port.slot() as usize);
    }

    /// Who is behind a port of this worker.
    pub(super) fn holder(&self, port: PortId) -> Option<&Holder> {
        self.slots.get(port.slot() as usize).map(|slot| &slot.holder)
    }

    /// The hub of an uplink port.
    pub(super) fn uplink(&self, port: PortId) -> Option<Arc<View>> {
        match self.holder(port)? {
            Holder::Uplink(view) => Some(view.clone()),
            Holder::Link(_) => None,
        }
    }

    /// The limits on what comes in at a port.
    pub(super) fn ingress(&mut self, port: PortId) -> Option<&mut Ingress> {
        self.slots.get_mut(port.slot() as usize).map(|slot| &mut slot.ingress)
    }
}
