//! How many packets went no further, by reason.

use crate::packet::Drop;
use std::collections::BTreeMap;

/// Drop counters of one worker. Malformed packets count as one reason: which field it was is for the trace.
#[derive(Clone, Debug, Default)]
pub struct Drops {
    counts: BTreeMap<Drop, u64>,
}

impl Drops {
    /// Counts one.
    pub(crate) fn count(&mut self, drop: Drop) {
        tracing::trace!(reason = %drop, "dropped");
        *self.counts.entry(drop).or_default() += 1;
    }

    /// Every reason that occurred, with its count. At most a hundred or so: `Drop` is an enum, and the fields that
    /// can be malformed are constants of ours.
    pub fn iter(&self) -> impl Iterator<Item = (Drop, u64)> + '_ {
        self.counts.iter().map(|(drop, count)| (*drop, *count))
    }

    /// How often this reason occurred.
    #[must_use]
    pub fn of(&self, drop: Drop) -> u64 {
        self.counts.get(&drop).copied().unwrap_or(0)
    }

    /// All drops.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}
