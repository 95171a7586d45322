//! Security associations of one peer and both edges of its ESP data path (RFC 4303, transport mode; RFC 3948 where it
//! is UDP-encapsulated). What lies between the edges is [`crypto::engine`](crate::crypto::engine):
//!
//! ```text
//! inbound   Sad::admit  -> OpenJob -> EspEngine::open -> Sad::deliver -> Inner (payload)
//! outbound  payload -> Sad::seal -> SealJob -> EspEngine::seal -> packet
//! ```
//!
//! An SA is named by the SPI that its receiver chose. SAs come in pairs from Quick Mode, and pairs overlap: a rekey adds
//! one, and the old one is open for what is still under way until its lifetime or its Delete. This layer never looks
//! at the payload and never talks to IKE: limits that are reached are [`Event`]s.

mod codec;
mod pair;
mod replay;
mod sad;
#[cfg(test)]
mod tests;

pub use pair::{PairReport, Traffic};
pub use replay::{ReplayWindow, Verdict, WINDOW};
pub use sad::{InstallError, Sad};

use crate::crypto::Secret;
use crate::crypto::suite::EspSuite;
use crate::packet::PacketBuf;
use std::time::Duration;

/// Pairs that one peer may hold: the one in use, one or two that overlap, and what a client that rekeys like mad leaves
/// behind. One more evicts the oldest.
pub const MAX_PAIRS: usize = 6;
/// Lifetime of an SA when none was negotiated (RFC 2407 section 4.5).
pub const DEFAULT_LIFE: Duration = Duration::from_secs(28_800);
/// Shorter lifetimes are raised to this: every rekey costs a Quick Mode.
pub const MIN_LIFE: Duration = Duration::from_secs(10);
/// Smaller volumes are raised to this, in kilobytes of 1024 bytes.
pub const MIN_KILOBYTES: u32 = 1024;
/// How long a pair waits for its third Quick Mode message or its first packet.
pub const CONFIRM_WITHIN: Duration = Duration::from_secs(60);
/// How long a retired pair still accepts what was under way when the peer deleted it.
pub const LINGER: Duration = Duration::from_secs(10);
/// From this sequence number on a rekey is urgent: 2^28 packets are left.
pub const SEQUENCE_SOFT: u32 = 0xF000_0000;

/// What the configuration says about ESP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Accept HMAC-SHA-256 truncated to 96 bits from clients that do so (older Androids, kernels driven by PF_KEY).
    pub truncated_sha256: bool,
    /// How long a pair whose lifetime has ended still accepts packets: the peer's clock started a little later.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { truncated_sha256: true, grace: Duration::from_secs(30) }
    }
}

/// Who asks for the successor of a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Renewal {
    /// The client; we shortly before the end of a life, or where numbers or volume run out, if it did not.
    #[default]
    AtTheEnd,
    /// We, before any client would: after two thirds of the life or of the volume.
    Early,
    /// The client alone: a pair that it does not renew ends.
    Never,
}

/// A pair of SAs as Quick Mode negotiated it.
#[derive(Debug)]
pub struct SaParams {
    /// Names the inbound SA: chosen by us.
    pub inbound_spi: u32,
    /// Names the outbound SA: chosen by the peer.
    pub outbound_spi: u32,
    /// What protects it.
    pub suite: EspSuite,
    /// KEYMAT of the inbound SA: encryption key (and salt), then authentication key.
    pub inbound_key: Secret,
    /// KEYMAT of the outbound SA.
    pub outbound_key: Secret,
    /// Whether packets travel in UDP (RFC 3948).
    pub udp_encap: bool,
    /// Lifetime in seconds, if one was negotiated.
    pub life_seconds: Option<u32>,
    /// Volume in kilobytes of 1024 bytes, for each direction, if one was negotiated.
    pub life_kilobytes: Option<u32>,
    /// Whether the peer is known to have installed the pair (Quick Mode is complete), so that we may send with it.
    pub confirmed: bool,
    /// Who renews it.
    pub renewal: Renewal,
}

/// What names a pair: the two SPIs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpiPair {
    /// Chosen by us.
    pub inbound_spi: u32,
    /// Chosen by the peer.
    pub outbound_spi: u32,
}

/// Which limit was reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Limit {
    /// The lifetime in seconds.
    Seconds,
    /// The volume in kilobytes.
    Kilobytes,
    /// The peer never confirmed the pair.
    Unconfirmed,
    /// The peer deleted the pair, and nothing can be under way any more.
    Retired,
}

/// What the owner of the SAs should know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The pair in use nears the end of its life and the client has not replaced it: start a Quick Mode. Once per pair.
    RekeySoon {
        /// SPI chosen by us.
        inbound_spi: u32,
        /// SPI chosen by the peer.
        outbound_spi: u32,
        /// The limit that is near.
        limit: Limit,
    },
    /// The sequence numbers of the pair in use run out: start a Quick Mode at once. Once per pair.
    RekeyNow {
        /// SPI chosen by us.
        inbound_spi: u32,
        /// SPI chosen by the peer.
        outbound_spi: u32,
    },
    /// The pair is gone. Unless it was [`Limit::Retired`], the peer should be told by a Delete.
    Expired {
        /// SPI chosen by us, not routed any more.
        inbound_spi: u32,
        /// SPI chosen by the peer.
        outbound_spi: u32,
        /// Why.
        limit: Limit,
    },
}

/// An authentic inbound packet, unwrapped.
#[derive(Debug)]
pub struct Inner {
    /// The payload; for UDP it begins with the inner UDP header.
    pub buf: PacketBuf,
    /// What the payload is: 17 for UDP, 59 for a dummy that is to be ignored.
    pub next_header: u8,
    /// The inbound SPI.
    pub spi: u32,
    /// Whether no packet sent later has arrived before: the highest sequence number of the newest pair in use. Only
    /// such a packet may move the path (RFC 3947 section 8 leaves the rule to us; anything weaker lets an old packet
    /// steer).
    pub newest: bool,
}
