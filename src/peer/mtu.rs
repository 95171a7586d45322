//! How long an IP packet inside a link may be so that the packet outside is not fragmented: from what really stands around
//! it, suite, NAT traversal and headers.

use crate::crypto::suite::EspSuite;
use crate::packet::{Encap, Path};

/// What a way to the Internet carries, at worst: Ethernet through PPPoE. Nothing tells us of less, for clients' datagrams
/// and ours travel without the DF bit; on a narrower way they are fragmented and still arrive.
const WAY: usize = 1492;
/// Inner UDP (8), L2TP (8, with length), PPP (4).
const INNER: usize = 20;
/// No link promises less (RFC 791 section 3.2 asks for 576).
const LEAST: u16 = 576;

/// The longest IP packet inside.
pub(super) fn link_mtu(path: &Path, suite: Option<EspSuite>) -> u16 {
    let ip = if path.remote.is_ipv4() { 20 } else { 40 };
    let room = match (path.encap, suite) {
        (Encap::L2tp, _) | (_, None) => WAY - ip,
        (Encap::Esp, Some(suite)) => suite.max_payload(WAY - ip),
        (Encap::NatT | Encap::Ike, Some(suite)) => suite.max_payload(WAY - ip - 8),
    };
    u16::try_from(room.saturating_sub(INNER)).unwrap_or(u16::MAX).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::{EspAuth, EspCipher};
    use std::net::SocketAddr;

    #[test]
    fn what_fits_inside_fits_outside_and_one_byte_more_does_not() {
        let at = |encap| Path {
            encap,
            local: SocketAddr::from(([192, 0, 2, 1], 4500)),
            remote: SocketAddr::from(([203, 0, 113, 9], 4500)),
        };
        for cipher in EspCipher::ALL {
            for auth in EspAuth::ALL {
                let Some(suite) = EspSuite::new(*cipher, *auth) else { continue };
                for (encap, outer) in [(Encap::NatT, 28), (Encap::Esp, 20)] {
                    let mtu = usize::from(link_mtu(&at(encap), Some(suite)));
                    assert!(suite.sealed_len(mtu + INNER) + outer <= WAY, "{suite} {encap:?} {mtu}");
                    assert!(suite.sealed_len(mtu + INNER + 1) + outer > WAY, "{suite} {encap:?} {mtu}");
                }
            }
        }
    }

    #[test]
    fn the_usual_mru_of_1400_fits_the_usual_suite() {
        let path = Path {
            encap: Encap::NatT,
            local: SocketAddr::from(([192, 0, 2, 1], 4500)),
            remote: SocketAddr::from(([203, 0, 113, 9], 4500)),
        };
        let suite = EspSuite::new(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96);
        assert!(link_mtu(&path, suite) >= 1400);
    }
}
