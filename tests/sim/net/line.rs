//! A client's line: latency, loss, reordering, duplication, MTU. The same in both directions.

use sekisho::entropy::Entropy;
use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub latency: Duration,
    /// Of a thousand packets, so many are lost...
    pub loss: u32,
    /// ...arrive twice...
    pub duplication: u32,
    /// ...or late: behind what was sent within [`Self::LATE`].
    pub reorder: u32,
    /// The longest IP packet that passes in one piece, in bytes.
    pub mtu: usize,
    /// Longer ones pass in fragments, each of which may be lost; or they vanish, where something drops fragments.
    pub fragments: bool,
}

impl Line {
    const LATE: Duration = Duration::from_millis(15);

    /// 10 ms, and nothing goes wrong.
    pub const GOOD: Self = Self {
        latency: Duration::from_millis(10),
        loss: 0,
        duplication: 0,
        reorder: 0,
        mtu: 1500,
        fragments: false,
    };

    /// 100 ms and 3 % loss each way, some of the rest late or twice.
    pub const BAD: Self = Self {
        latency: Duration::from_millis(100),
        loss: 30,
        duplication: 10,
        reorder: 20,
        mtu: 1500,
        fragments: false,
    };

    pub const fn with_loss(self, per_mille: u32) -> Self {
        Self { loss: per_mille, ..self }
    }

    /// When the copies of a packet arrive, counted from now; none if it is lost.
    pub fn carry(&self, len: usize, entropy: &mut Entropy) -> Vec<Duration> {
        let mut happens = |per_mille| per_mille > 0 && entropy.u32() % 1000 < per_mille;
        // 20 bytes of every fragment are its header.
        let pieces = (len - 20).div_ceil((self.mtu - 20) / 8 * 8).max(1);
        if len > self.mtu && !self.fragments
            || (0..if len > self.mtu { pieces } else { 1 }).any(|_| happens(self.loss))
        {
            return Vec::new();
        }
        let late = if happens(self.reorder) { Self::LATE } else { Duration::ZERO };
        let mut arrivals = vec![self.latency + late];
        if happens(self.duplication) {
            arrivals.push(self.latency + late + Self::LATE / 3);
        }
        arrivals
    }
}
