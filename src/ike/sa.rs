//! An established ISAKMP SA: what identifies it, what protects it, and what Phase 1 learned about the client.

use super::exchange::Answer;
use super::fingerprint::ClientKind;
use super::keymat::{Iv, Keys};
use super::nat_traversal::NatSituation;
use super::quirks::Quirks;
use super::settings::PskId;
use crate::crypto::Secret;
use crate::crypto::suite::IkeSuite;
use crate::packet::Path;
use crate::wire::isakmp::payload::Identity;
use crate::wire::isakmp::{Cookies, ExchangeType};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A complete Phase 1, still without exchanges under it: hand it to [`super::Ike::adopt`].
#[derive(Debug)]
pub struct IsakmpSa {
    /// Its name.
    pub cookies: Cookies,
    /// Main Mode or Aggressive Mode.
    pub exchange: ExchangeType,
    /// What protects it.
    pub suite: IkeSuite,
    /// Who is behind a NAT.
    pub nat: NatSituation,
    /// Who the client says it is. With a pre-shared key for everybody this is a claim, not a fact.
    pub remote_id: Identity,
    /// Which key it proved to have.
    pub psk: PskId,
    /// The kind of client.
    pub client: ClientKind,
    /// Where its last message came from.
    pub path: Path,
    /// Whether both sides announced DPD.
    pub dpd: bool,
    /// What the client proposed, or the default.
    pub lifetime: Duration,
    /// When Phase 1 was complete.
    pub established: Instant,
    /// INITIAL-CONTACT came with message 5.
    pub initial_contact: bool,
    /// What this kind of client needs.
    pub(super) quirks: Arc<Quirks>,
    pub(super) keys: Keys,
    /// Last block of Phase 1, from which the IVs of all exchanges under it are made.
    pub(super) phase1_iv: Iv,
    /// Answers a repeated last message of Phase 1.
    pub(super) last: Answer,
}

impl IsakmpSa {
    /// The key of its cipher: for an opt-in key log and nothing else.
    #[must_use]
    pub const fn cipher_key(&self) -> &Secret {
        self.keys.cipher_key()
    }
}
