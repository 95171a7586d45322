//! The stories of connection attempts: those that run, and a bounded list of those that ended, the newest last.

use crate::story::{Attempt, AttemptId, Record};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many ended attempts are kept.
const KEPT: usize = 1000;

/// How many running attempts are followed: beyond any number of devices that a gateway serves.
const FOLLOWED: usize = 200_000;

/// Running and ended attempts.
#[derive(Debug, Default)]
pub struct Stories {
    running: BTreeMap<AttemptId, Box<Attempt>>,
    records: VecDeque<Arc<Record>>,
    total: u64,
}

impl Stories {
    /// How many ended attempts are kept at most.
    pub const KEPT: usize = KEPT;

    /// Keeps the record of an attempt that ended; the oldest goes when there are too many.
    pub fn keep(&mut self, record: Record) {
        self.running.remove(&record.attempt);
        if self.records.len() >= KEPT {
            self.records.pop_front();
        }
        self.records.push_back(Arc::new(record));
        self.total += 1;
    }

    /// Follows a running attempt; a later copy takes the place of an earlier one.
    pub(super) fn follow(&mut self, attempt: Box<Attempt>) {
        if self.running.len() < FOLLOWED || self.running.contains_key(&attempt.id) {
            self.running.insert(attempt.id, attempt);
        }
    }

    /// Forgets what turned out to be no attempt.
    pub(super) fn forget(&mut self, attempt: AttemptId) {
        self.running.remove(&attempt);
    }

    /// The records of ended attempts, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().map(Arc::as_ref)
    }

    /// The newest records that were kept after the first `total` ones, oldest first: what is not on the disk yet.
    pub fn since(&self, total: u64) -> impl Iterator<Item = &Arc<Record>> {
        let new = usize::try_from(self.total.saturating_sub(total)).unwrap_or(usize::MAX);
        self.records.iter().skip(self.records.len().saturating_sub(new))
    }

    /// The running attempts, as their workers told them last; `after` one, to take a page at a time.
    pub fn running(&self, after: Option<AttemptId>) -> impl Iterator<Item = &Attempt> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.running.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, attempt)| &**attempt)
    }

    /// A running attempt.
    #[must_use]
    pub fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.running.get(&id).map(|attempt| &**attempt)
    }

    /// How many attempts run, connected ones among them.
    #[must_use]
    pub fn running_count(&self) -> usize {
        self.running.len()
    }

    /// How many attempts ended in all, those of former runs that were loaded among them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Writes the one log line that every attempt ends with.
pub(super) fn tell(record: &Record) {
    let detail = &record.detail;
    tracing::info!(
        peer = record.from.as_str(),
        client = detail.client.as_str(),
        identity = detail.identity.as_str(),
        stage = record.stage.as_str(),
        cause = record.cause.key(),
        user = detail.user.as_str(),
        hub = detail.hub.as_str(),
        name = detail.name.as_str(),
        rule = detail.rule.as_str(),
        ike = detail.ike.as_str(),
        esp = detail.esp.as_str(),
        nat = detail.nat.as_str(),
        address = detail.address.as_str(),
        note = detail.note.as_str(),
        seconds = record.seconds,
        summary = record.cause.summary(),
        advice = record.cause.advice(),
        step = "ended",
        "attempt ended"
    );
}
