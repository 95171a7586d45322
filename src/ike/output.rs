//! What leaves the exchanges: packets, and events for whoever composes IKE with the layers above.

use super::fingerprint::ClientHint;
use super::nat_traversal::NatSituation;
use super::proposal::Mismatch;
use super::sa::IsakmpSa;
use crate::crypto::Secret;
use crate::crypto::dh::{DhError, DhJob};
use crate::crypto::suite::{DhGroup, EspSuite, IkeSuite};
use crate::packet::{Drop, PacketBuf, Path, Transmit};
use crate::wire;
use crate::wire::isakmp::payload::{Identity, NotifyType};
use crate::wire::isakmp::{Cookies, ExchangeType};
use std::fmt;
use std::net::IpAddr;

/// Effects of a call: drain it after every one.
#[derive(Debug, Default)]
pub struct Output {
    /// ISAKMP messages without the non-ESP marker, whatever the path.
    pub packets: Vec<Transmit>,
    /// In the order in which they happened.
    pub events: Vec<Event>,
}

impl Output {
    pub(super) fn send(&mut self, path: Path, message: &[u8]) {
        self.packets.push(Transmit { path, buf: PacketBuf::from_slice(message) });
    }

    pub(super) fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

/// Names a Diffie-Hellman job of one machine, so that its result finds back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DhTag(pub u32);

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A step of the connection's life, for its story.
    Progress(Progress),
    /// A key agreement is needed; hand the result to `handle_dh` of the same machine.
    DhRequired {
        /// Goes back with the result.
        tag: DhTag,
        /// Run it away from the data path.
        job: DhJob,
    },
    /// Phase 1 is complete; the half-open exchange is done with.
    Established(Box<IsakmpSa>),
    /// A pair of ESP SAs was agreed on: install it.
    EspReady(Box<EspSa>),
    /// The client proved that it has the pair (QM3): the pair may be used for sending.
    EspConfirmed {
        /// Our SPI of the pair.
        inbound_spi: u32,
    },
    /// QM3 never came. Remove the pair unless ESP packets arrived on it.
    EspUnconfirmed {
        /// Our SPI of the pair.
        inbound_spi: u32,
    },
    /// The client deleted a pair.
    EspDeleted {
        /// Our SPI of the pair.
        inbound_spi: u32,
        /// Its SPI.
        outbound_spi: u32,
    },
    /// A Quick Mode that we started to replace a pair failed.
    RekeyFailed {
        /// Our SPI of the pair that was to be replaced.
        inbound_spi: u32,
    },
    /// The client deleted an ISAKMP SA. Its ESP SAs live on.
    IsakmpDeleted {
        /// Which.
        cookies: Cookies,
    },
    /// An ISAKMP SA reached the end of its lifetime. Its ESP SAs live on.
    IsakmpExpired {
        /// Which.
        cookies: Cookies,
    },
    /// The client says that it remembers no other SA with us: those of *its identity and key* on other peers are dead.
    /// Never take it for other clients behind the same address.
    InitialContact {
        /// The SA that carried it.
        cookies: Cookies,
    },
    /// An authenticated message that was not seen before: a sign of life on this path.
    Alive {
        /// The SA.
        cookies: Cookies,
        /// Where it came from.
        path: Path,
    },
    /// No answer to any R-U-THERE.
    DpdFailed,
    /// Something was refused; the exchange may go on.
    Refused(Box<Refusal>),
    /// The client reported something that needs no action.
    Notified {
        /// What.
        kind: NotifyType,
        /// Whether it was protected. If not, anybody may have sent it.
        authenticated: bool,
    },
}

/// A step forward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// MM1 was accepted.
    Phase1Started {
        /// Kind of client.
        hint: ClientHint,
        /// What we chose.
        suite: IkeSuite,
        /// Main or Aggressive Mode.
        exchange: ExchangeType,
    },
    /// Key exchange and NAT detection are done.
    KeysExchanged {
        /// Who is behind a NAT.
        nat: NatSituation,
    },
    /// A repeated request was answered from the cache.
    Repeated,
    /// QM1 was accepted.
    Phase2Started {
        /// What we chose.
        suite: EspSuite,
        /// Whether ESP travels in UDP.
        udp_encap: bool,
    },
}

/// How far an exchange had come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Message 1: proposals and vendor IDs.
    Offer,
    /// Message 3: public values, nonces, NAT detection.
    KeyExchange,
    /// Message 5: identity and proof.
    Identity,
    /// Quick Mode.
    QuickMode,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offer => "Phase 1 offer",
            Self::KeyExchange => "Phase 1 key exchange",
            Self::Identity => "Phase 1 identity",
            Self::QuickMode => "Quick Mode",
        })
    }
}

/// Why something was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// Bytes that do not parse.
    #[error("malformed message: {0}")]
    Malformed(wire::Error),
    /// IKEv2, XAUTH, New Group Mode.
    #[error("exchange type {0} is not spoken here")]
    Exchange(ExchangeType),
    /// Aggressive Mode, and no group of that name is configured.
    #[error("Aggressive Mode with an unknown group: {0}")]
    UnknownGroup(String),
    /// Nothing in the offer fits our policy.
    #[error("no proposal chosen: {0}")]
    NoProposal(Mismatch),
    /// A public value that is none.
    #[error("invalid key exchange: {0}")]
    KeyExchange(DhError),
    /// Message 5 did not verify with any of our pre-shared keys.
    #[error("wrong pre-shared key")]
    WrongKey,
    /// The only key that fits is past its date.
    #[error("the pre-shared key is no longer valid")]
    ExpiredKey,
    /// Traffic that is not L2TP, or not between two hosts.
    #[error("unsuitable Quick Mode identities: {0}")]
    Selectors(String),
    /// Nothing more was heard in time.
    #[error("timed out")]
    TimedOut,
}

/// A refusal with everything that its story needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// How far it came.
    pub stage: Stage,
    /// Why.
    pub reason: Reason,
    /// Kind of client, as far as known.
    pub hint: ClientHint,
    /// What it offered at this stage, in words.
    pub offered: Vec<String>,
}

impl Refusal {
    /// The reason as a drop, for counters.
    #[must_use]
    pub const fn drop(&self) -> Drop {
        match &self.reason {
            Reason::Malformed(error) => Drop::Malformed(*error),
            Reason::Exchange(_) | Reason::UnknownGroup(_) => Drop::IkeExchangeRefused,
            Reason::NoProposal(_) | Reason::Selectors(_) => Drop::NoProposalChosen,
            Reason::KeyExchange(_) | Reason::WrongKey | Reason::ExpiredKey => Drop::IkeAuthFailed,
            Reason::TimedOut => Drop::OutOfOrder,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stage, self.reason)?;
        if !self.offered.is_empty() {
            write!(f, "; offered {}", self.offered.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

/// What traffic a pair of ESP SAs is for, as the client said it (RFC 2407 section 4.6.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selectors {
    /// The client's end: its *private* address behind a NAT, never to be compared with the outer one.
    pub client: Identity,
    /// Our end.
    pub server: Identity,
}

/// A pair of ESP SAs as it was negotiated.
#[derive(Debug)]
pub struct EspSa {
    /// The ISAKMP SA under which it was.
    pub cookies: Cookies,
    /// What we receive on; its top byte is one more than the worker's number.
    pub inbound_spi: u32,
    /// What the client receives on.
    pub outbound_spi: u32,
    /// Cipher and integrity.
    pub suite: EspSuite,
    /// KEYMAT of the inbound SA: encryption key (with salt), then authentication key.
    pub inbound_key: Secret,
    /// KEYMAT of the outbound SA.
    pub outbound_key: Secret,
    /// Whether ESP travels in UDP.
    pub udp_encap: bool,
    /// The path of the exchange.
    pub path: Path,
    /// What traffic it is for.
    pub selectors: Selectors,
    /// The client's private address from NAT-OA, if it sent one.
    pub original_address: Option<IpAddr>,
    /// Lifetime in seconds that the client proposed.
    pub life_seconds: Option<u32>,
    /// Lifetime in kilobytes that the client proposed.
    pub life_kilobytes: Option<u32>,
    /// PFS group.
    pub pfs: Option<DhGroup>,
    /// Whether the client is known to have the keys: false until QM3, true where we were the initiator.
    pub confirmed: bool,
    /// Our SPI of the pair that we asked to replace, where we were the initiator.
    pub replaces: Option<u32>,
}
