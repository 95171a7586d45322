//! Traffic counters of one link, written by its worker and read by whoever lists sessions: no lock, no question to the
//! worker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one link. Directions are the peer's: inbound is from the peer.
#[derive(Debug, Default)]
pub struct Meter {
    inbound_bytes: AtomicU64,
    inbound_packets: AtomicU64,
    outbound_bytes: AtomicU64,
    outbound_packets: AtomicU64,
    /// Milliseconds on the worker's clock (since its start) when the peer was last heard.
    heard: AtomicU64,
    /// The same for the last packet that the peer sent or that was sent to it alone.
    used: AtomicU64,
}

/// A reading of a [`Meter`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// Bytes of inner packets from the peer.
    pub inbound_bytes: u64,
    /// Inner packets from the peer.
    pub inbound_packets: u64,
    /// Bytes of inner packets to the peer.
    pub outbound_bytes: u64,
    /// Inner packets to the peer.
    pub outbound_packets: u64,
}

impl Meter {
    /// Counts a packet from the peer. One writer: a plain load and store is enough.
    pub fn inbound(&self, bytes: usize) {
        bump(&self.inbound_bytes, bytes as u64);
        bump(&self.inbound_packets, 1);
    }

    /// Counts a packet to the peer.
    pub fn outbound(&self, bytes: usize) {
        bump(&self.outbound_bytes, bytes as u64);
        bump(&self.outbound_packets, 1);
    }

    /// Notes that the peer was heard.
    pub fn heard(&self, millis: u64) {
        self.heard.store(millis, Relaxed);
    }

    /// When the peer was last heard, in milliseconds on the clock of [`Self::heard`].
    #[must_use]
    pub fn last_heard(&self) -> u64 {
        self.heard.load(Relaxed)
    }

    /// Notes that the peer has sent an inner packet, or that one goes to it alone (no broadcast).
    pub fn used(&self, millis: u64) {
        self.used.store(millis, Relaxed);
    }

    /// When the link was last used, in milliseconds on the clock of [`Self::heard`]; zero if never.
    #[must_use]
    pub fn last_used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The counters now.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        Traffic {
            inbound_bytes: self.inbound_bytes.load(Relaxed),
            inbound_packets: self.inbound_packets.load(Relaxed),
            outbound_bytes: self.outbound_bytes.load(Relaxed),
            outbound_packets: self.outbound_packets.load(Relaxed),
        }
    }
}

fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}
