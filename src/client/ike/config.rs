//! How an [`Initiator`](super::Initiator) behaves: everything by which real clients differ.

use crate::crypto::Secret;
use crate::crypto::suite::{DhGroup, EspSuite};
use crate::wire::isakmp::payload::Identity;
use crate::wire::isakmp::sa::Transform;
use std::time::Duration;

/// The exchange of Phase 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Six messages.
    Main,
    /// Three messages, with the name of a group as identity.
    Aggressive(Identity),
}

/// How Quick Modes and Informationals are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageIds {
    /// As the RFC wants it.
    Random,
    /// As Windows does it: 1, 2, 3..., the same in every client.
    CountingFrom(u32),
}

/// Where INITIAL-CONTACT goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum InitialContact {
    /// Nowhere.
    Never,
    /// Into message 5: strongSwan.
    InMessage5,
    /// Into an Informational behind message 6: racoon.
    Separate,
}

/// A client.
#[derive(Clone, Debug)]
pub struct Config {
    /// The pre-shared key.
    pub psk: Secret,
    /// Main or Aggressive Mode.
    pub mode: Mode,
    /// Transforms of Phase 1 as they stand in the offer.
    pub phase1: Vec<Transform>,
    /// Vendor IDs in order.
    pub vendor_ids: Vec<Vec<u8>>,
    /// Protocol and port of the identity in Main Mode, which is our address.
    pub id_port: (u8, u16),
    /// Bytes of our nonces.
    pub nonce_len: usize,
    /// INITIAL-CONTACT.
    pub initial_contact: InitialContact,
    /// Suites of Phase 2 in order, all in one proposal.
    pub esp: Vec<EspSuite>,
    /// One proposal per suite instead: Windows.
    pub esp_in_proposals: bool,
    /// PFS.
    pub pfs: Option<DhGroup>,
    /// Lifetime of Phase 2 in seconds.
    pub esp_seconds: u32,
    /// Lifetime of Phase 2 in kilobytes.
    pub esp_kilobytes: Option<u32>,
    /// Our port in Quick Mode's identities: 0, 1701 or an ephemeral one.
    pub client_port: u16,
    /// Send NAT-OA payloads if there is a NAT.
    pub nat_oa: bool,
    /// Fail if Quick Mode's identities come back changed.
    pub strict_ids: bool,
    /// Lie about our own address, so that UDP encapsulation is used.
    pub force_nat: bool,
    /// Numbers of exchanges.
    pub message_ids: MessageIds,
    /// An error notify in the clear ends Phase 1.
    pub believes_clear_notify: bool,
    /// Answer Quick Modes of the server.
    pub accepts_server_rekey: bool,
    /// Time between two tries of a request.
    pub retransmit: Duration,
    /// Repeats of a request.
    pub tries: u8,
}
