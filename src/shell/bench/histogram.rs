//! Latencies, counted in buckets that are at most 1/32 wide: percentiles of millions in 16 KiB.

use serde::Serialize;
use std::time::Duration;

/// Buckets per doubling.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Counts of durations.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; bucket(u64::MAX) + 1], total: 0, most: 0 }
    }
}

/// A histogram in a few numbers, in milliseconds.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) most: f64,
}

impl Histogram {
    pub(super) fn record(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.most = self.most.max(nanos);
    }

    /// Adds what another has counted.
    pub(super) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.most = self.most.max(other.most);
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// The duration that this part of all (0 to 1) do not exceed, in nanoseconds.
    pub(super) fn quantile(&self, part: f64) -> u64 {
        let wanted = (part * self.total as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (n, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(n).min(self.most);
            }
        }
        0
    }

    pub(super) fn percentiles(&self) -> Percentiles {
        let at = |part| self.quantile(part) as f64 / 1e6;
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            most: self.most as f64 / 1e6,
        }
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let shift = nanos.ilog2() - STEP_BITS;
    (u64::from(shift) * STEPS + (nanos >> shift)) as usize
}

/// The largest number in a bucket.
fn upper(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    let step = u128::from(bucket % STEPS + STEPS + 1) << shift;
    u64::try_from(step - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_within_a_bucket() {
        let mut histogram = Histogram::default();
        for n in 1..=1000 {
            histogram.record(Duration::from_micros(n));
        }
        for (part, wanted) in [(0.5, 500_000.0), (0.9, 900_000.0), (0.99, 990_000.0), (1.0, 1_000_000.0)] {
            let got = histogram.quantile(part) as f64;
            assert!((wanted..wanted * 1.04).contains(&got), "{part}: {got}");
        }
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    #[test]
    fn every_number_is_in_its_bucket() {
        for nanos in
            (0..64).chain((5..64).flat_map(|n| [(1 << n) - 1, 1 << n, (1 << n) + 1])).chain([u64::MAX])
        {
            let at = bucket(nanos);
            assert!(upper(at) >= nanos, "{nanos}");
            assert!(at == 0 || upper(at - 1) < nanos, "{nanos}");
        }
    }
}
