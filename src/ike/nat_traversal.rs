//! NAT traversal: which version both sides speak, who is behind a NAT, and what that means for ESP
//! (RFC 3947; draft-ietf-ipsec-nat-t-ike-02 and -03).

use super::fingerprint::{Fingerprint, vid};
use crate::crypto::prf::{self, Digest};
use crate::crypto::suite::HashAlg;
use crate::wire::isakmp::sa::Encapsulation;
use crate::wire::isakmp::{Cookies, PayloadType};
use std::net::{IpAddr, SocketAddr};

/// The version of NAT traversal that a Phase 1 agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum NatVersion {
    /// RFC 3947.
    Rfc,
    /// draft-ietf-ipsec-nat-t-ike-03.
    Draft03,
    /// draft-ietf-ipsec-nat-t-ike-02, announced with a line feed: Windows XP, libreswan.
    Draft02n,
    /// draft-ietf-ipsec-nat-t-ike-02.
    Draft02,
}

impl NatVersion {
    /// Our preference. The drafts 04 to 08 are missing on purpose: their payload numbers collide, and every client that
    /// announces them announces RFC 3947 too. 00 and 01 hash differently and died with Windows 2000.
    const RANKING: &'static [Self] = &[Self::Rfc, Self::Draft03, Self::Draft02n, Self::Draft02];

    /// The best version that the client announced.
    pub(super) fn choose(fingerprint: &Fingerprint) -> Option<Self> {
        Self::RANKING.iter().copied().find(|version| fingerprint.has(version.vendor_id()))
    }

    /// The vendor ID that announces it.
    #[must_use]
    pub const fn vendor_id(self) -> &'static [u8] {
        match self {
            Self::Rfc => &vid::RFC_3947,
            Self::Draft03 => &vid::NAT_T_03,
            Self::Draft02n => &vid::NAT_T_02N,
            Self::Draft02 => &vid::NAT_T_02,
        }
    }

    /// Number of the NAT-D payload.
    #[must_use]
    pub const fn nat_d(self) -> PayloadType {
        match self {
            Self::Rfc => PayloadType::NAT_D,
            Self::Draft03 | Self::Draft02n | Self::Draft02 => PayloadType::NAT_D_DRAFT,
        }
    }

    /// Number of the NAT-OA payload.
    #[must_use]
    pub const fn nat_oa(self) -> PayloadType {
        match self {
            Self::Rfc => PayloadType::NAT_OA,
            Self::Draft03 | Self::Draft02n | Self::Draft02 => PayloadType::NAT_OA_DRAFT,
        }
    }

    /// Number of UDP-encapsulated transport mode.
    #[must_use]
    pub const fn udp_transport(self) -> Encapsulation {
        match self {
            Self::Rfc => Encapsulation::UDP_TRANSPORT,
            Self::Draft03 | Self::Draft02n | Self::Draft02 => Encapsulation::UDP_TRANSPORT_DRAFT,
        }
    }
}

/// What Phase 1 found out about NATs between us.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NatSituation {
    /// What both sides speak; `None`: the client knows no NAT traversal (or said nothing).
    pub version: Option<NatVersion>,
    /// The client's own address does not match what we see.
    pub client_behind: bool,
    /// The address that the client reached us on does not match ours.
    pub server_behind: bool,
    /// We claimed that the client is behind a NAT to get UDP encapsulation.
    pub forced: bool,
}

impl NatSituation {
    /// Whether there is a NAT, or we said so.
    #[must_use]
    pub const fn detected(&self) -> bool {
        self.client_behind || self.server_behind || self.forced
    }

    /// Whether ESP travels in UDP.
    #[must_use]
    pub const fn udp(&self) -> bool {
        self.version.is_some() && self.detected()
    }

    /// Encapsulation modes that fit, best first.
    pub(super) fn encapsulations(&self) -> &'static [Encapsulation] {
        match self.version {
            // Both numbers of UDP transport: a client that mixes up its versions still means the same.
            Some(NatVersion::Rfc) if self.detected() => {
                &[Encapsulation::UDP_TRANSPORT, Encapsulation::UDP_TRANSPORT_DRAFT]
            }
            Some(_) if self.detected() => &[Encapsulation::UDP_TRANSPORT_DRAFT, Encapsulation::UDP_TRANSPORT],
            _ => &[Encapsulation::TRANSPORT],
        }
    }
}

/// Body of a NAT-D payload: HASH(CKY-I | CKY-R | IP | Port) (RFC 3947 section 3.2).
pub(super) fn nat_d(hash: HashAlg, cookies: Cookies, address: SocketAddr) -> Digest {
    let port = address.port().to_be_bytes();
    let cookies = cookies.bytes();
    match address.ip().to_canonical() {
        IpAddr::V4(v4) => prf::hash(hash, &[&cookies, &v4.octets(), &port]),
        IpAddr::V6(v6) => prf::hash(hash, &[&cookies, &v6.octets(), &port]),
    }
}

/// Compares the client's NAT-D payloads with what we see: the first is about us, the others are about it
/// (RFC 3947 section 3.2). Returns (client behind a NAT, server behind a NAT).
pub(super) fn detect<'a>(
    mut payloads: impl Iterator<Item = &'a [u8]>,
    client: &Digest,
    server: &Digest,
) -> (bool, bool) {
    let Some(ours) = payloads.next() else { return (false, false) };
    let mut others = payloads.peekable();
    let client_behind = others.peek().is_some() && !others.any(|theirs| client.ct_eq(theirs));
    (client_behind, !server.ct_eq(ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::isakmp::Cookie;

    #[test]
    fn a_nat_is_where_the_hashes_differ() {
        let cookies = Cookies { initiator: Cookie([1; 8]), responder: Cookie([2; 8]) };
        let hash = |address: &str| nat_d(HashAlg::Sha1, cookies, address.parse().unwrap());
        let (inner, outer, server) = (hash("10.0.0.2:500"), hash("203.0.113.9:500"), hash("203.0.113.1:500"));
        let (none, wrong): (&[&[u8]], &[&[u8]]) = (&[&server, &inner, &outer], &[&inner, &server]);
        assert_eq!(detect(none.iter().copied(), &outer, &server), (false, false));
        assert_eq!(detect([&*server, &*inner].into_iter(), &outer, &server), (true, false));
        assert_eq!(detect(wrong.iter().copied(), &outer, &server), (true, true));
        assert_eq!(detect([&*inner, &*outer].into_iter(), &outer, &server), (false, true));
        assert_eq!(detect(std::iter::empty(), &outer, &server), (false, false));
        let mapped = nat_d(HashAlg::Sha1, cookies, "[::ffff:203.0.113.1]:500".parse().unwrap());
        assert_eq!(*mapped, *server);
    }

    #[test]
    fn udp_only_with_a_nat_and_a_version() {
        let mut nat = NatSituation { version: Some(NatVersion::Draft02n), ..NatSituation::default() };
        assert_eq!(nat.encapsulations(), [Encapsulation::TRANSPORT]);
        nat.client_behind = true;
        assert_eq!(nat.encapsulations()[0], Encapsulation::UDP_TRANSPORT_DRAFT);
        nat.version = Some(NatVersion::Rfc);
        assert_eq!(nat.encapsulations()[0], Encapsulation::UDP_TRANSPORT);
        nat.version = None;
        assert!(!nat.udp());
    }

    #[test]
    fn the_best_version_that_both_speak_is_chosen() {
        use NatVersion::{Draft02, Draft02n, Draft03, Rfc};
        let chosen =
            |ids: &[&[u8]]| NatVersion::choose(&Fingerprint::new(ids.iter().copied(), &[], Vec::new()));
        // Apple, in its order; Android; Windows; Windows XP; and what we do not speak.
        assert_eq!(chosen(&[&vid::NAT_T_APPLE, &vid::NAT_T_08, &vid::NAT_T_03, &vid::RFC_3947]), Some(Rfc));
        assert_eq!(chosen(&[&vid::NAT_T_00, &vid::NAT_T_02, &vid::NAT_T_02N, &vid::RFC_3947]), Some(Rfc));
        assert_eq!(chosen(&[&vid::NAT_T_02, &vid::NAT_T_02N, &vid::NAT_T_03]), Some(Draft03));
        assert_eq!(chosen(&[&vid::NAT_T_02, &vid::NAT_T_02N]), Some(Draft02n));
        assert_eq!(chosen(&[&vid::NAT_T_00, &vid::NAT_T_02]), Some(Draft02));
        assert_eq!(chosen(&[&vid::NAT_T_APPLE, &vid::NAT_T_08, &vid::NAT_T_04, &vid::NAT_T_00]), None);
        for draft in [Draft03, Draft02n, Draft02] {
            assert_eq!((draft.nat_d().0, draft.nat_oa().0, draft.udp_transport().0), (130, 131, 61444));
        }
        assert_eq!((Rfc.nat_d().0, Rfc.nat_oa().0, Rfc.udp_transport().0), (20, 21, 4));
    }
}
