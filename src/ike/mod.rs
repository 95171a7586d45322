//! IKEv1 as responder: ISAKMP, Main Mode, Quick Mode, NAT traversal, DPD (RFC 2407, 2408, 2409, 3947, 3706).
//!
//! ```text
//!   first message --> Phase1 (half-open) --Established--> Ike::adopt         one Ike per peer
//!                        |  asks DhRequired                  |
//!                        v                                   v
//!                     MM2 MM4 MM6                  Quick Mode, Informational --EspReady--> esp
//! ```
//!
//! | module | what |
//! |---|---|
//! | `phase1` | [`Phase1`]: a half-open exchange; `main_mode` and `aggressive` are its two kinds |
//! | `peer_sas` | [`Ike`]: the ISAKMP SAs of one peer and what happens under them |
//! | `quick_mode`, `informational` | the exchanges under an SA |
//! | `proposal`, [`settings`] | our ranking, and the choice or its refusal |
//! | `nat_traversal`, `fingerprint`, `quirks` | what clients are and need |
//! | `keymat` | keys, IVs, hashes |
//! | `exchange` | the cache that answers repeats |
//! | `unknown_spi` | a hint for devices whose SAs we have lost |
//! | [`v2`] | the front end for IKEv2: a refusal |
//!
//! Two rules hold everywhere. Unauthenticated input opens or advances its own half-open exchange and nothing else. And
//! a request that was answered is answered again from the cache, byte for byte.

mod aggressive;
mod exchange;
mod fingerprint;
mod informational;
mod keymat;
mod main_mode;
mod nat_traversal;
mod output;
mod peer_sas;
mod phase1;
mod proposal;
mod quick_mode;
mod quirks;
mod rekey;
mod sa;
pub mod settings;
mod unknown_spi;
pub mod v2;

#[cfg(test)]
mod tests;

pub use aggressive::Aggressive;
pub use fingerprint::{ClientHint, ClientKind, Fingerprint, vid};
pub use main_mode::MainMode;
pub use nat_traversal::{NatSituation, NatVersion};
pub use output::{DhTag, EspSa, Event, Output, Progress, Reason, Refusal, Selectors, Stage};
pub use peer_sas::Ike;
pub use phase1::Phase1;
pub use proposal::Mismatch;
pub use quirks::Quirks;
pub use sa::IsakmpSa;
pub use settings::{Group, Policy, Psk, PskId, Settings};
pub use unknown_spi::unknown_spi;

use crate::entropy::Entropy;
use crate::packet::{Drop, WorkerId};
use crate::wire::isakmp::Header;

/// What the exchanges read and draw from, lent by the worker for one call.
pub struct Context<'a> {
    /// The configuration.
    pub settings: &'a Settings,
    /// The worker's randomness.
    pub entropy: &'a mut Entropy,
    /// Goes into the cookies and SPIs that we choose.
    pub worker: WorkerId,
    /// Wall-clock time in seconds, for keys that end at a date.
    pub unix_now: u64,
    /// Whether an inbound SPI is taken, by any peer of the worker.
    pub spi_taken: &'a dyn Fn(u32) -> bool,
}

/// Reads the header of a datagram (without non-ESP marker) for routing. Nothing else of it is looked at.
///
/// # Errors
/// If it is no ISAKMP message.
pub fn peek(message: &[u8]) -> Result<Header, Drop> {
    Ok(Header::parse(message)?.0)
}
