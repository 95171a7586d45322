//! What each kind of client needs beyond the RFCs, as data: the exchanges ask this table and never a client's name.

use super::fingerprint::ClientHint;

/// Habits to humour. The configuration may replace the set of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quirks {
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
}

impl Quirks {
    /// What is right where nothing else is known.
    pub const DEFAULT: Self = Self {
        may_truncate_sha256: true,
        hide_server_nat: false,
        announce_dpd: true,
        probe_dpd: true,
        send_nat_oa: true,
    };

    /// The built-in set of a kind.
    #[must_use]
    pub const fn of(hint: ClientHint) -> Self {
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
}
