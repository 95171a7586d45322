//! The stories of ended attempts: a bounded list, the newest last.

use crate::story::Record;
use std::collections::VecDeque;

/// How many ended attempts are kept.
const KEPT: usize = 1000;

/// Ended attempts.
#[derive(Debug, Default)]
pub struct Stories {
    records: VecDeque<Record>,
    total: u64,
}

impl Stories {
    /// Keeps a record; the oldest goes when there are too many.
    pub fn keep(&mut self, record: Record) {
        if self.records.len() >= KEPT {
            self.records.pop_front();
        }
        self.records.push_back(record);
        self.total += 1;
    }

    /// The records, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    /// How many there were in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// Writes the one log line that every attempt ends with.
pub(super) fn tell(record: &Record) {
    let detail = &record.detail;
    tracing::info!(
        peer = record.from, client = detail.client, identity = detail.identity, stage = record.stage,
        cause = record.cause.key(), user = detail.user, hub = detail.hub, name = detail.name, rule = detail.rule,
        ike = detail.ike, esp = detail.esp, nat = detail.nat, address = detail.address, note = detail.note,
        seconds = record.seconds, summary = record.cause.summary(), advice = record.cause.advice(),
        step = "ended", "attempt ended"
    );
}
