//! How often strangers are answered or noted: enough for a person who tries to connect, too little for an amplifier or a
//! flood of records.

use std::time::{Duration, Instant};

/// Refusals in a row after a quiet time.
const BURST: u32 = 20;
/// One more each.
const EVERY: Duration = Duration::from_millis(200);

/// A token bucket, as the time at which all debt is paid.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    paid_at: Option<Instant>,
}

impl Refusals {
    /// Takes one; false when there were too many lately.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let paid_at = self.paid_at.unwrap_or(now).max(now);
        if paid_at.saturating_duration_since(now) > EVERY * BURST {
            return false;
        }
        self.paid_at = Some(paid_at + EVERY);
        true
    }
}
