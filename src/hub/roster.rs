//! The client ports of a hub on one worker, as floods walk them: a published array of slots that the owner fills and
//! empties in place.

use super::PortId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TAKEN: u64 = 1 << 63;
const ISOLATED: u64 = 1 << 32;

/// The readers' side.
#[derive(Debug)]
pub(super) struct Roster(Box<[AtomicU64]>);

impl Roster {
    /// The ports, in the order of their slots; without those that are kept apart if `from_client`.
    pub(super) fn ports(&self, from_client: bool) -> impl Iterator<Item = PortId> {
        self.0.iter().map(|slot| slot.load(Ordering::Acquire)).filter_map(move |slot| {
            let skip = slot & TAKEN == 0 || (from_client && slot & ISOLATED != 0);
            (!skip).then_some(PortId(slot as u32))
        })
    }
}

/// The owner's side.
#[derive(Debug)]
pub(super) struct Owned {
    roster: Arc<Roster>,
    free: Vec<u32>,
    live: usize,
}

impl Owned {
    pub(super) fn new() -> Self {
        Self { roster: Arc::new(Roster(Box::default())), free: Vec::new(), live: 0 }
    }

    pub(super) fn roster(&self) -> &Arc<Roster> {
        &self.roster
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// Adds a port; returns its slot, and whether the roster was replaced and has to be published again.
    pub(super) fn add(&mut self, port: PortId, isolated: bool) -> (u32, bool) {
        let grown = self.free.is_empty();
        if grown {
            self.grow();
        }
        let slot = self.free.pop().unwrap_or_default();
        self.set(slot, port, isolated);
        self.live += 1;
        (slot, grown)
    }

    /// Changes what is known of the port in this slot.
    pub(super) fn set(&mut self, slot: u32, port: PortId, isolated: bool) {
        let flags = TAKEN | if isolated { ISOLATED } else { 0 };
        self.roster.0[slot as usize].store(flags | u64::from(port.0), Ordering::Release);
    }

    /// Empties a slot; returns whether the roster was replaced (by an empty one, once nobody is left).
    pub(super) fn remove(&mut self, slot: u32) -> bool {
        self.roster.0[slot as usize].store(0, Ordering::Release);
        self.free.push(slot);
        self.live -= 1;
        if self.live == 0 {
            *self = Self::new();
        }
        self.live == 0
    }

    fn grow(&mut self) {
        let old = self.roster.0.len();
        let new = (old * 2).max(4);
        let value = |n: usize| self.roster.0.get(n).map_or(0, |slot| slot.load(Ordering::Acquire));
        self.roster = Arc::new(Roster((0..new).map(|n| AtomicU64::new(value(n))).collect()));
        self.free.extend((old as u32..new as u32).rev());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_reused_and_order_is_stable() {
        let mut roster = Owned::new();
        let slots: Vec<u32> = (1..=5).map(|n| roster.add(PortId(n), n == 2).0).collect();
        assert_eq!(slots, [0, 1, 2, 3, 4]);
        roster.remove(2);
        assert_eq!(roster.add(PortId(9), false), (2, false));
        let all: Vec<u32> = roster.roster().ports(false).map(|p| p.0).collect();
        assert_eq!(all, [1, 2, 9, 4, 5]);
        let open: Vec<u32> = roster.roster().ports(true).map(|p| p.0).collect();
        assert_eq!(open, [1, 9, 4, 5]);
        assert_eq!(roster.len(), 5);
        for slot in 0..5 {
            assert_eq!(roster.remove(slot), slot == 4);
        }
        assert_eq!(roster.roster().ports(false).count(), 0);
        assert_eq!(roster.add(PortId(3), false), (0, true));
    }
}
