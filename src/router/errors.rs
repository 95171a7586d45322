//! How many messages of its own a router sends (RFC 1812 section 4.3.2.8): packets that nobody wants must not be answered
//! without end.

use std::time::{Duration, Instant};

/// Messages a second, and at once after a quiet time.
const PER_SECOND: u32 = 200;
const BURST: u32 = 50;

/// What is left of them.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// When all that was sent is paid for.
    paid_at: Option<Instant>,
}

impl Budget {
    /// Whether one more may be sent.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let cost = Duration::from_secs(1) / PER_SECOND;
        let from = self.paid_at.map_or(now, |at| at.max(now));
        let room = from - now < cost * BURST;
        if room {
            self.paid_at = Some(from + cost);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn a_burst_then_the_rate() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let at_once = (0..1000).filter(|_| budget.take(start)).count();
        assert_eq!(at_once, BURST as usize);
        let later = (0..1000).filter(|n| budget.take(start + Duration::from_millis(*n))).count();
        assert!((195..=201).contains(&later), "{later}");
        assert!(budget.take(start + Duration::from_secs(60)));
    }
}
