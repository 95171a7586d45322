//! What each kind of client needs beyond the RFCs, as data: the exchanges ask this table and never a client's name.

use super::fingerprint::ClientHint;
use crate::crypto::suite::{EspPattern, EspSuite, IkePattern, IkeSuite};

/// Habits to humour. The configuration may replace parts of a kind's set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quirks {
    /// Phase 1 suites that rank above all others that the policy allows, the best first.
    pub prefer_ike: Vec<IkePattern>,
    /// The same for Phase 2.
    pub prefer_esp: Vec<EspPattern>,
    /// It may cut the ICV of HMAC-SHA-256 to 96 bits, or not: rank SHA-1 and the longer SHA-2 above it.
    pub may_truncate_sha256: bool,
    /// Answer its own NAT-D hash of our address, so that it does not see us behind a NAT.
    pub hide_server_nat: bool,
    /// Announce DPD to a client that announced it.
    pub announce_dpd: bool,
    /// Ask whether it is there when it is silent, if it announced DPD.
    pub probe_dpd: bool,
    /// Answer its NAT-OA payloads with ours.
    pub send_nat_oa: bool,
    /// Vendor IDs to send besides those that answer its own.
    pub vendor_ids: Vec<Vec<u8>>,
}

impl Quirks {
    /// What is right where nothing else is known.
    pub const DEFAULT: Self = Self {
        prefer_ike: Vec::new(),
        prefer_esp: Vec::new(),
        may_truncate_sha256: true,
        hide_server_nat: false,
        announce_dpd: true,
        probe_dpd: true,
        send_nat_oa: true,
        vendor_ids: Vec::new(),
    };

    /// The built-in set of a kind.
    #[must_use]
    pub fn of(hint: ClientHint) -> Self {
        match hint {
            // PF_KEY on older Android kernels: 96 bits. Its racoon sends no NAT-OA, so none goes back.
            ClientHint::Android | ClientHint::Racoon => Self::DEFAULT,
            // 128 bits since iOS 14 and macOS 11, 96 before; the two cannot be told apart here.
            ClientHint::Apple => Self::DEFAULT,
            ClientHint::Windows => Self { may_truncate_sha256: false, ..Self::DEFAULT },
            ClientHint::StrongSwan
            | ClientHint::Libreswan
            | ClientHint::NetworkManager
            | ClientHint::ChromeOs => Self { may_truncate_sha256: false, ..Self::DEFAULT },
            ClientHint::Unknown => Self::DEFAULT,
        }
    }

    /// Where a Phase 1 suite stands by the preferences of this kind, before our own ranking is asked.
    pub(super) fn rank_ike(&self, suite: IkeSuite) -> usize {
        self.prefer_ike.iter().position(|pattern| pattern.fits(suite)).unwrap_or(self.prefer_ike.len())
    }

    /// The same for Phase 2.
    pub(super) fn rank_esp(&self, suite: EspSuite) -> usize {
        self.prefer_esp.iter().position(|pattern| pattern.fits(suite)).unwrap_or(self.prefer_esp.len())
    }
}
