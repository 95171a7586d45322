//! The rate of one direction of a link: a token bucket, written as the time at which all debt is paid (GCRA). Each link
//! has its own, so none takes from another.

use std::time::{Duration, Instant};

/// How much may pass at once after a quiet time, as the time that it takes at the rate: as much as TCP has under way on
/// a long line.
const BURST: Duration = Duration::from_millis(200);
/// But at least so many bytes, or a slow rate would let no full packet pass.
const LEAST_BURST: u64 = 16_384;

/// The rates of a link in bits a second; unlimited where `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// From the device.
    pub up: Option<u64>,
    /// To the device.
    pub down: Option<u64>,
}

/// One direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long a byte takes.
    byte_picos: u64,
    burst: Duration,
    paid_at: Instant,
}

impl Pace {
    /// A direction that has been quiet so far. `bits` a second; a rate of zero lets one burst pass and no more.
    pub(super) fn new(now: Instant, bits: u64) -> Self {
        let byte_picos = 8_000_000_000_000 / bits.max(1);
        Self { byte_picos, burst: BURST.max(time(byte_picos, LEAST_BURST)), paid_at: now }
    }

    /// Whether so many bytes may pass now.
    pub(super) fn take(&mut self, now: Instant, bytes: usize) -> bool {
        let from = self.paid_at.max(now);
        let cost = time(self.byte_picos, bytes as u64);
        let room = from.saturating_duration_since(now) + cost <= self.burst;
        if room {
            self.paid_at = from + cost;
        }
        room
    }
}

fn time(byte_picos: u64, bytes: u64) -> Duration {
    Duration::from_nanos(byte_picos.saturating_mul(bytes) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Offers packets of `size` every `gap` for ten seconds; the bytes that pass.
    fn passed(bits: u64, size: usize, gap: Duration) -> u64 {
        let began = start();
        let mut pace = Pace::new(began, bits);
        let mut now = began;
        let mut bytes = 0;
        while now < began + Duration::from_secs(10) {
            bytes += if pace.take(now, size) { size as u64 } else { 0 };
            now += gap;
        }
        bytes
    }

    #[test]
    fn what_passes_is_the_rate_and_one_burst() {
        for (bits, burst) in [(64_000_u64, 16_384), (1_000_000, 25_000), (100_000_000, 2_500_000)] {
            for size in [40, 576, 1400] {
                // Twice as much as may pass.
                let gap = Duration::from_nanos(size as u64 * 8_000_000_000 / bits / 2);
                let (bytes, most) = (passed(bits, size, gap), bits / 8 * 10 + burst);
                assert!(bytes <= most + size as u64, "{bits} bits, {size}: {bytes} of {most}");
                assert!(
                    bytes >= most - 2 * size as u64 - most / 100,
                    "{bits} bits, {size}: {bytes} of {most}"
                );
            }
        }
    }

    #[test]
    fn what_stays_below_the_rate_passes_whole() {
        let size = 1000;
        let gap = Duration::from_micros(8_100);
        assert_eq!(passed(1_000_000, size, gap), 10_000_000_u64.div_ceil(8_100) * size as u64);
    }

    #[test]
    fn a_full_packet_passes_at_any_rate() {
        let mut pace = Pace::new(start(), 8_000);
        assert!(pace.take(start(), 1500));
        assert!(!Pace::new(start(), 0).take(start(), 20_000));
    }
}
