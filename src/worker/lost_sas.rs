//! Devices whose SAs we have lost: they are told so, rarely enough that nobody is flooded with it.

use super::{Clock, Worker};
use crate::ike;
use crate::packet::{Encap, PacketBuf, Path, Transmit};
use crate::timer::Bucket;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Notifies in a row after a quiet time, of all sources.
const BURST: u32 = 500;
/// One more each: fifty thousand devices hear of a restart within four minutes.
const EVERY: Duration = Duration::from_millis(5);
/// Between two notifies to one source.
const PER_SOURCE: Duration = Duration::from_secs(10);
/// Sources that are remembered: a fixed table, where two sources with one place share their turn.
const PLACES: usize = 4096;

/// UDP port of IKE for devices that use plain ESP, which stand before no NAT.
const IKE_PORT: u16 = 500;

/// Who was told lately.
pub(super) struct LostSas {
    all: Bucket,
    told: Vec<Option<Instant>>,
    /// The sender chooses its address: the hash must be ours alone.
    hash: RandomState,
}

impl Default for LostSas {
    fn default() -> Self {
        Self { all: Bucket::new(BURST, EVERY), told: Vec::new(), hash: RandomState::new() }
    }
}

impl LostSas {
    fn take(&mut self, now: Instant, source: IpAddr) -> bool {
        self.told.resize(PLACES, None);
        let place = usize::try_from(self.hash.hash_one(source) % PLACES as u64).unwrap_or(0);
        let Some(told) = self.told.get_mut(place) else { return false };
        if told.is_some_and(|at| now.saturating_duration_since(at) < PER_SOURCE) {
            return false;
        }
        if !self.all.take(now) {
            return false;
        }
        *told = Some(now);
        true
    }
}

impl Worker {
    /// An ESP packet with an SPI that we do not know: INVALID-SPI tells its sender, within limits.
    pub(super) fn tell_unknown_spi(&mut self, clock: Clock, path: Path, spi: u32) {
        if self.stopping || !self.lost_sas.take(clock.now, path.remote.ip()) {
            return;
        }
        let path = match path.encap {
            Encap::NatT => path,
            Encap::Esp => {
                let mut path = Path { encap: Encap::Ike, ..path };
                path.local.set_port(IKE_PORT);
                path.remote.set_port(IKE_PORT);
                path
            }
            Encap::Ike | Encap::L2tp => return,
        };
        let notify = ike::unknown_spi(&mut self.entropy, spi);
        self.outbox.transmit_ike(Transmit { path, buf: PacketBuf::from_slice(&notify) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    fn each_source_is_told_now_and_then_and_all_together_not_too_often() {
        let (mut lost, start) = (LostSas::default(), Instant::now());
        let source = |n: u32| IpAddr::from(n.to_be_bytes());
        assert!(lost.take(start, source(1)));
        assert!(!lost.take(start + Duration::from_secs(9), source(1)));
        assert!(lost.take(start + Duration::from_secs(10), source(1)));
        let later = start + Duration::from_secs(60);
        let told = (0..20_000).filter(|n| lost.take(later, source(*n))).count();
        assert!((BURST as usize..=BURST as usize + 1).contains(&told), "{told}");
        assert!((20_000..20_100).any(|n| lost.take(later + EVERY * 2, source(n))));
    }
}
