//! Buffers that are used again: one free list a worker, no lock. A packet's buffer comes from here when it is received
//! and comes back when it has been sent, so that a steady flow allocates nothing.
//!
//! What is not given back (a packet that was dropped somewhere deep, one that went to another worker) is simply freed,
//! and the list makes another.

use super::{HEADROOM, PacketBuf, TAILROOM};

/// Payload bytes of a pooled buffer: an ESP packet or a frame of an Ethernet with a virtio header before it. With head-
/// and tailroom it is no power of two, so that the headers of different packets do not share the same few cache sets.
pub const POOLED: usize = 1664;

/// Free buffers of one worker; the latest back is the first out, while it is still in the cache.
#[derive(Debug)]
pub struct Pool {
    free: Vec<PacketBuf>,
    limit: usize,
    made: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(Self::LIMIT)
    }
}

impl Pool {
    /// How many free buffers a worker keeps: what it reads ahead in a turn, and a full batch each way; less than 3 MiB.
    pub const LIMIT: usize = 1536;

    /// A pool that keeps at most `limit` free buffers. It begins empty and grows as it is used.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { free: Vec::new(), limit, made: 0 }
    }

    /// An empty buffer with room for `capacity` bytes between full head- and tailroom.
    #[must_use]
    pub fn take(&mut self, capacity: usize) -> PacketBuf {
        if capacity <= POOLED
            && let Some(buf) = self.free.pop()
        {
            return buf;
        }
        self.made += 1;
        PacketBuf::with_capacity(capacity.max(POOLED))
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn copy(&mut self, bytes: &[u8]) -> PacketBuf {
        let mut buf = self.take(bytes.len());
        buf.put_back(bytes);
        buf
    }

    /// Takes a buffer back. Only what came from a pool is kept.
    pub fn give(&mut self, mut buf: PacketBuf) {
        if buf.room() == HEADROOM + POOLED + TAILROOM && self.free.len() < self.limit {
            buf.clear();
            self.free.push(buf);
        }
    }

    /// How many buffers had to be made so far: a steady flow does not move it.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// How many are free now.
    #[must_use]
    pub const fn free(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_comes_back_is_used_again_as_new() {
        let mut pool = Pool::new(2);
        let mut buf = pool.copy(b"frame");
        let at = buf.as_ptr();
        assert!(buf.pull_front(3).is_some());
        buf.put_back(&[7; 99]);
        pool.give(buf);
        let again = pool.take(1500);
        assert_eq!((again.as_ptr(), again.len(), again.headroom()), (at, 0, HEADROOM));
        assert_eq!(pool.made(), 1);
    }

    #[test]
    fn only_so_many_and_only_their_own_are_kept() {
        let mut pool = Pool::new(2);
        let bufs: Vec<_> = (0..3).map(|_| pool.take(1)).collect();
        bufs.into_iter().for_each(|buf| pool.give(buf));
        assert_eq!((pool.made(), pool.free()), (3, 2));
        let _ = (pool.take(1), pool.take(1));
        let large = pool.take(POOLED + 1);
        assert!(large.room() >= POOLED + 1 + HEADROOM + TAILROOM);
        pool.give(large);
        pool.give(PacketBuf::from_slice(b"small"));
        assert_eq!(pool.free(), 0);
    }

    #[test]
    fn a_buffer_that_grew_is_not_mistaken_for_a_pooled_one() {
        let mut pool = Pool::default();
        let mut buf = pool.copy(&[1; POOLED]);
        buf.put_front(&[2; HEADROOM + 1]);
        pool.give(buf);
        assert_eq!(pool.free(), 0);
    }
}
