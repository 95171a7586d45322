//! What a datagram on the NAT traversal port is (RFC 3948 section 2): IKE behind four zero bytes, ESP, or a keepalive.

use super::{Error, Kind};

/// The four zero bytes before an IKE message on port 4500: an SPI is never zero (RFC 3948 section 2.2).
pub const NON_ESP_MARKER: [u8; 4] = [0; 4];

/// The byte of a NAT keepalive (RFC 3948 section 2.3).
pub const KEEPALIVE: u8 = 0xff;

/// What the payload of a UDP datagram on port 4500 is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class<'a> {
    /// An ISAKMP message, the marker taken off.
    Ike(&'a [u8]),
    /// An ESP packet: its SPI, and the whole packet.
    Esp(u32, &'a [u8]),
    /// Keeps a NAT mapping open; no sign of life.
    Keepalive,
}

/// Classifies the payload of a UDP datagram on port 4500. (On port 500 everything is a bare ISAKMP message.)
///
/// # Errors
/// If it is too short to be any of them.
pub fn classify(payload: &[u8]) -> Result<Class<'_>, Error> {
    if let [KEEPALIVE] = payload {
        return Ok(Class::Keepalive);
    }
    let Some((spi, rest)) = payload.split_first_chunk::<4>() else {
        return Err(Error::new("UDP-encapsulated packet", Kind::Truncated));
    };
    if *spi == NON_ESP_MARKER {
        return Ok(Class::Ike(rest));
    }
    Ok(Class::Esp(u32::from_be_bytes(*spi), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_kinds_are_told_apart() {
        assert_eq!(classify(&[0xff]), Ok(Class::Keepalive));
        assert_eq!(classify(&[0, 0, 0, 0, 7]), Ok(Class::Ike(&[7])));
        assert_eq!(classify(&[0, 0, 1, 0, 7]), Ok(Class::Esp(256, &[0, 0, 1, 0, 7])));
        assert_eq!(classify(&[0xff, 0xff, 0xff, 0xff]), Ok(Class::Esp(u32::MAX, &[0xff; 4])));
        for short in [&[][..], &[0], &[0, 0, 0], &[0xff, 0xff]] {
            assert!(classify(short).is_err());
        }
    }
}
