//! STUN (RFC 8489), as much as it takes to learn by which address the Internet sees us: a Binding request and the mapped
//! address of its answer.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const MAPPED_ADDRESS: u16 = 0x0001;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const HEADER: usize = 20;

/// A Binding request (section 5) with this transaction ID.
#[must_use]
pub fn request(transaction: [u8; 12]) -> [u8; HEADER] {
    let mut message = [0; HEADER];
    message[1] = 0x01;
    message[4..8].copy_from_slice(&COOKIE);
    message[8..].copy_from_slice(&transaction);
    message
}

/// The address in the answer to that request (section 14.2, or 14.1 from old servers); IPv4 alone.
#[must_use]
pub fn mapped_address(message: &[u8], transaction: [u8; 12]) -> Option<SocketAddr> {
    let (header, body) = message.split_at_checked(HEADER)?;
    if header[..2] != BINDING_SUCCESS || header[4..8] != COOKIE || header[8..] != transaction {
        return None;
    }
    let mut rest = body.get(..usize::from(u16::from_be_bytes([header[2], header[3]])))?;
    let mut plain = None;
    while let Some((head, tail)) = rest.split_at_checked(4) {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = tail.get(..length)?;
        match (kind, value) {
            (XOR_MAPPED_ADDRESS, &[_, 1, p0, p1, a, b, c, d]) => {
                let port = u16::from_be_bytes([p0 ^ COOKIE[0], p1 ^ COOKIE[1]]);
                let address = Ipv4Addr::new(a ^ COOKIE[0], b ^ COOKIE[1], c ^ COOKIE[2], d ^ COOKIE[3]);
                return Some(SocketAddr::new(IpAddr::V4(address), port));
            }
            (MAPPED_ADDRESS, &[_, 1, p0, p1, a, b, c, d]) => {
                plain = Some(SocketAddr::from(([a, b, c, d], u16::from_be_bytes([p0, p1]))));
            }
            _ => {}
        }
        // Values are padded to four bytes.
        rest = tail.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    /// RFC 5769 section 2.2, the sample answer over IPv4.
    const SAMPLE: [u8; 80] = hex!(
        "0101003c 2112a442 b7e7a701bc34d686fa87dfae"
        "8022000b 7465737420766563746f7220"
        "00200008 0001a147e112a643"
        "00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7"
        "80280004 c07d4c96"
    );
    const TRANSACTION: [u8; 12] = hex!("b7e7a701bc34d686fa87dfae");

    #[test]
    fn the_sample_of_the_rfc_is_read() {
        assert_eq!(mapped_address(&SAMPLE, TRANSACTION), Some("192.0.2.1:32853".parse().unwrap()));
        assert_eq!(mapped_address(&SAMPLE, [0; 12]), None, "an answer to somebody else");
        let old = hex!("0101000c 2112a442 b7e7a701bc34d686fa87dfae 00010008 00011194 c0000207");
        assert_eq!(mapped_address(&old, TRANSACTION), Some("192.0.2.7:4500".parse().unwrap()));
        assert_eq!(request(TRANSACTION)[..8], hex!("00010000 2112a442"));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_is_a_reason_to_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..120),
            cut in 0_usize..80,
            at in 0_usize..80,
            value: u8,
        ) {
            let _ = mapped_address(&bytes, TRANSACTION);
            let mut changed = SAMPLE;
            changed[at] = value;
            let _ = mapped_address(&changed[..cut], TRANSACTION);
            let _ = mapped_address(&changed, TRANSACTION);
        }
    }
}
