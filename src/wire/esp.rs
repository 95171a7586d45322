//! ESP packets (RFC 4303 section 2): the clear header before and the trailer that is found after decryption.
//!
//! ```text
//! SPI (4) | sequence number (4) | IV | payload | padding | pad length (1) | next header (1) | ICV
//!         clear                 |clear|             encrypted                               |
//! ```

use super::{Error, Kind, Reader, Writer};

/// Bytes of SPI and sequence number.
pub const HEADER_LEN: usize = 8;
/// Bytes of pad length and next header.
pub const TRAILER_LEN: usize = 2;
/// Next Header of a transport-mode packet that carries UDP.
pub const NEXT_HEADER_UDP: u8 = 17;
/// Next Header of a dummy packet, which the receiver discards (RFC 4303 section 2.6).
pub const NEXT_HEADER_NONE: u8 = 59;

/// The clear start of an ESP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Security Parameters Index: names an SA of the receiver. Never zero on the wire; zero there is the marker of an
    /// IKE message on port 4500 (RFC 3948 section 2.2).
    pub spi: u32,
    /// Sequence number, the first packet of an SA has 1.
    pub seq: u32,
}

impl Header {
    /// Reads the header of a packet.
    ///
    /// # Errors
    /// If there are fewer than [`HEADER_LEN`] bytes or the SPI is zero.
    pub fn parse(packet: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(packet);
        let spi = r.u32("ESP SPI")?;
        let seq = r.u32("ESP Sequence Number")?;
        if spi == 0 {
            return Err(Error::new("ESP SPI", Kind::BadValue));
        }
        Ok(Self { spi, seq })
    }

    /// Writes the header.
    pub fn emit(&self, w: &mut Writer) {
        w.u32(self.spi);
        w.u32(self.seq);
    }
}

/// The end of a decrypted ESP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// Bytes of padding before the trailer.
    pub pad_len: u8,
    /// IP protocol of the payload.
    pub next_header: u8,
}

impl Trailer {
    /// Reads the trailer at the end of `plain`, which runs from payload to next header; also returns the payload's
    /// length. The padding's content is not looked at: it is authenticated, and senders fill it as they like.
    ///
    /// # Errors
    /// If the padding is longer than the packet.
    pub fn parse(plain: &[u8]) -> Result<(usize, Self), Error> {
        let (rest, &[pad_len, next_header]) =
            plain.split_last_chunk().ok_or(Error::new("ESP trailer", Kind::Truncated))?;
        let payload =
            rest.len().checked_sub(pad_len.into()).ok_or(Error::new("ESP Pad Length", Kind::BadLength))?;
        Ok((payload, Self { pad_len, next_header }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_a_round_trip() {
        let header = Header { spi: 0x8f4e_b0e1, seq: 7 };
        let mut w = Writer::new();
        header.emit(&mut w);
        assert_eq!(w.as_slice(), [0x8f, 0x4e, 0xb0, 0xe1, 0, 0, 0, 7]);
        assert_eq!(Header::parse(w.as_slice()), Ok(header));
        assert!(Header::parse(&w.as_slice()[..7]).is_err());
        assert!(Header::parse(&[0; 20]).is_err());
    }

    #[test]
    fn padding_is_bounded_by_the_packet() {
        assert_eq!(Trailer::parse(b"ab\x01\x02\x02\x11"), Ok((2, Trailer { pad_len: 2, next_header: 17 })));
        assert_eq!(Trailer::parse(&[0, 59]), Ok((0, Trailer { pad_len: 0, next_header: 59 })));
        assert!(Trailer::parse(&[1, 17]).is_err());
        assert!(Trailer::parse(&[17]).is_err());
        assert!(Trailer::parse(&[]).is_err());
    }
}
