//! How often strangers are answered or noted: enough for a person who tries to connect, too little for an amplifier or a
//! flood of records.

use std::time::{Duration, Instant};

/// Evictions in a row, and how often one more: a few in a hundred of what a thread can do.
const EVICTIONS: (u32, Duration) = (100, Duration::from_micros(500));

/// Refusals in a row after a quiet time.
const BURST: u32 = 20;
/// One more each.
const EVERY: Duration = Duration::from_millis(200);

/// A token bucket, as the time at which all debt is paid.
#[derive(Debug)]
pub(super) struct Refusals {
    paid_at: Option<Instant>,
    burst: u32,
    every: Duration,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { paid_at: None, burst: BURST, every: EVERY }
    }
}

impl Refusals {
    /// The bound on evictions of half-open exchanges.
    pub(super) fn of_evictions() -> Self {
        Self { paid_at: None, burst: EVICTIONS.0, every: EVICTIONS.1 }
    }

    /// Takes one; false when there were too many lately.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let paid_at = self.paid_at.unwrap_or(now).max(now);
        if paid_at.saturating_duration_since(now) > self.every * self.burst {
            return false;
        }
        self.paid_at = Some(paid_at + self.every);
        true
    }
}
