//! How often something may happen.

use std::time::{Duration, Instant};

/// A token bucket for what is done for strangers, as the time at which all debt is paid.
#[derive(Clone, Debug)]
pub struct Bucket {
    paid_at: Option<Instant>,
    burst: u32,
    every: Duration,
}

impl Bucket {
    /// A full one: `burst` in a row after a quiet time, and one more `every`.
    #[must_use]
    pub const fn new(burst: u32, every: Duration) -> Self {
        Self { paid_at: None, burst, every }
    }

    /// Takes one; false when there were too many lately.
    pub fn take(&mut self, now: Instant) -> bool {
        let paid_at = self.paid_at.unwrap_or(now).max(now);
        if paid_at.saturating_duration_since(now) > self.every * self.burst {
            return false;
        }
        self.paid_at = Some(paid_at + self.every);
        true
    }
}
