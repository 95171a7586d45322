//! Challenge Handshake Authentication Protocol packets (RFC 1994 section 4) and what MS-CHAPv2 puts into them
//! (RFC 2759 sections 3 to 6).

use super::ppp::{Code, ControlPacket};
use super::{Error, Kind, Reader, Writer};

/// A CHAP packet, borrowed from the frame it came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChapPacket<'a> {
    /// Challenge (1): the authenticator's random value and its name.
    Challenge {
        /// Identifier, new for every challenge.
        id: u8,
        /// The random value: 16 bytes for MS-CHAPv2.
        value: &'a [u8],
        /// Name of the authenticator.
        name: &'a [u8],
    },
    /// Response (2): the answer and the peer's name.
    Response {
        /// Identifier of the challenge.
        id: u8,
        /// The hash: 16 bytes for MD5, 49 for MS-CHAPv2 ([`MsChapV2Response`]).
        value: &'a [u8],
        /// Name of the peer, as typed by its user.
        name: &'a [u8],
    },
    /// Success (3).
    Success {
        /// Identifier of the response.
        id: u8,
        /// Text; MS-CHAPv2 proves there that the server knows the password ("S=").
        message: &'a [u8],
    },
    /// Failure (4).
    Failure {
        /// Identifier of the response.
        id: u8,
        /// Text; for MS-CHAPv2 a [`MsChapV2Failure`].
        message: &'a [u8],
    },
}

impl<'a> ChapPacket<'a> {
    /// Parses the information field of a frame.
    ///
    /// # Errors
    /// Lengths that do not fit, or a code other than 1 to 4.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let ControlPacket { code, id, data } = ControlPacket::parse(bytes)?;
        match code {
            Code(1 | 2) => {
                let mut r = Reader::new(data);
                let size = r.u8("Value-Size")?;
                let value = r.take(size.into(), "Value")?;
                let name = r.rest();
                Ok(if code == Code(1) {
                    Self::Challenge { id, value, name }
                } else {
                    Self::Response { id, value, name }
                })
            }
            Code(3) => Ok(Self::Success { id, message: data }),
            Code(4) => Ok(Self::Failure { id, message: data }),
            _ => Err(Error::new("CHAP Code", Kind::BadValue)),
        }
    }

    /// Appends the packet. A value longer than 255 bytes is cut.
    pub fn emit(&self, w: &mut Writer) {
        let (code, id) = match self {
            Self::Challenge { id, .. } => (1, *id),
            Self::Response { id, .. } => (2, *id),
            Self::Success { id, .. } => (3, *id),
            Self::Failure { id, .. } => (4, *id),
        };
        w.u8(code);
        w.u8(id);
        w.len16(4, |w| match self {
            Self::Challenge { value, name, .. } | Self::Response { value, name, .. } => {
                let size = u8::try_from(value.len()).unwrap_or(u8::MAX);
                w.u8(size);
                w.bytes(&value[..usize::from(size)]);
                w.bytes(name);
            }
            Self::Success { message, .. } | Self::Failure { message, .. } => w.bytes(message),
        });
    }
}

/// The value of an MS-CHAPv2 Response (RFC 2759 section 4): 49 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsChapV2Response {
    /// The peer's own random value.
    pub peer_challenge: [u8; 16],
    /// Must be zero; kept for a round trip.
    pub reserved: [u8; 8],
    /// The proof.
    pub nt_response: [u8; 24],
    /// Must be zero; kept for a round trip.
    pub flags: u8,
}

impl MsChapV2Response {
    /// A response with its reserved fields zero.
    #[must_use]
    pub const fn new(peer_challenge: [u8; 16], nt_response: [u8; 24]) -> Self {
        Self { peer_challenge, reserved: [0; 8], nt_response, flags: 0 }
    }

    /// Parses the value field.
    ///
    /// # Errors
    /// Any length but 49.
    pub fn parse(value: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(value);
        let response = Self {
            peer_challenge: r.array("Peer-Challenge")?,
            reserved: r.array("Reserved")?,
            nt_response: r.array("NT-Response")?,
            flags: r.u8("Flags")?,
        };
        r.finish("MS-CHAPv2 Response")?;
        Ok(response)
    }

    /// Appends the value field.
    pub fn emit(&self, w: &mut Writer) {
        w.bytes(&self.peer_challenge);
        w.bytes(&self.reserved);
        w.bytes(&self.nt_response);
        w.u8(self.flags);
    }
}

/// The message of an MS-CHAPv2 Failure (RFC 2759 section 6): `E=eeeeeeeeee R=r C=cc..cc V=vvvvvvvvvv M=<msg>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MsChapV2Failure {
    /// Error code in decimal: 691 is a wrong name or password.
    pub error: u32,
    /// Whether the peer may try again with the challenge in this message.
    pub retry: bool,
    /// A new challenge.
    pub challenge: Option<[u8; 16]>,
    /// Version of the password change protocol: 3.
    pub version: u32,
    /// Text for people.
    pub message: String,
}

impl MsChapV2Failure {
    /// Parses the message; fields that are missing get their defaults (SoftEther sends no `M=`).
    ///
    /// # Errors
    /// No error code.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = String::from_utf8_lossy(text);
        let (fields, message) = text.split_once("M=").unwrap_or((&text, ""));
        let field = |key: &str| fields.split_ascii_whitespace().find_map(|word| word.strip_prefix(key));
        let number = |key: &str| field(key).and_then(|digits| digits.parse().ok());
        Ok(Self {
            error: number("E=").ok_or(Error::new("E=", Kind::Missing))?,
            retry: field("R=") == Some("1"),
            challenge: field("C=").and_then(parse_hex),
            version: number("V=").unwrap_or(3),
            message: message.to_owned(),
        })
    }
}

impl std::fmt::Display for MsChapV2Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "E={} R={} ", self.error, u8::from(self.retry))?;
        if let Some(challenge) = self.challenge {
            f.write_str("C=")?;
            challenge.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
            f.write_str(" ")?;
        }
        write!(f, "V={} M={}", self.version, self.message)
    }
}

fn parse_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    /// Frames 36 to 38 of the capture android_nat_main: SoftEther asks, a real Android 11 answers.
    const CHALLENGE: &[u8] = &hex!("010200171080f8fd7f49af0a67fdef0aa37e4a900e766d");
    const RESPONSE: &[u8] = &hex!(
        "0202003b31d7845d80b441d5a9c1b5b57df6cc651a00000000000000009019ca9d7a480096d3c7ac1d0558290b3745b3d9f5cb711700616c696365"
    );
    const SUCCESS: &[u8] =
        &hex!("0302002e533d43303837453635383635434344463734374444344533354139333739343536304538303639383437");

    fn again(bytes: &[u8]) -> ChapPacket<'_> {
        let packet = ChapPacket::parse(bytes).unwrap();
        let mut w = Writer::new();
        packet.emit(&mut w);
        assert_eq!(w.as_slice(), bytes);
        packet
    }

    #[test]
    fn the_exchange_of_a_real_android() {
        let value = &hex!("80f8fd7f49af0a67fdef0aa37e4a900e");
        assert_eq!(again(CHALLENGE), ChapPacket::Challenge { id: 2, value, name: b"vm" });
        let ChapPacket::Response { id: 2, value, name: b"alice" } = again(RESPONSE) else { panic!() };
        let response = MsChapV2Response::parse(value).unwrap();
        assert_eq!(response.peer_challenge, hex!("d7845d80b441d5a9c1b5b57df6cc651a"));
        assert_eq!(response.nt_response, hex!("9019ca9d7a480096d3c7ac1d0558290b3745b3d9f5cb7117"));
        assert_eq!((response.reserved, response.flags), ([0; 8], 0));
        let mut w = Writer::new();
        response.emit(&mut w);
        assert_eq!(w.as_slice(), value);
        let message = b"S=C087E65865CCDF747DD4E35A93794560E8069847";
        assert_eq!(again(SUCCESS), ChapPacket::Success { id: 2, message });
    }

    #[test]
    fn failure_messages_in_and_out() {
        let failure = MsChapV2Failure {
            error: 691,
            retry: false,
            challenge: Some(hex!("000102030405060708090a0b0c0d0eff")),
            version: 3,
            message: "Access denied".into(),
        };
        let text = "E=691 R=0 C=000102030405060708090A0B0C0D0EFF V=3 M=Access denied";
        assert_eq!(failure.to_string(), text);
        assert_eq!(MsChapV2Failure::parse(text.as_bytes()), Ok(failure));
        let bare = MsChapV2Failure::parse(b"E=646 R=1").unwrap();
        assert_eq!((bare.error, bare.retry, bare.challenge, bare.version), (646, true, None, 3));
        assert_eq!(MsChapV2Failure::parse(b"M=E=691"), Err(Error::new("E=", Kind::Missing)));
        assert_eq!(MsChapV2Failure::parse(&[0xff, 0xfe]), Err(Error::new("E=", Kind::Missing)));
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = ChapPacket::parse(&bytes);
            let _ = MsChapV2Response::parse(&bytes);
            let _ = MsChapV2Failure::parse(&bytes);
        }

        #[test]
        fn what_is_emitted_parses_to_itself(
            id: u8, a in proptest::collection::vec(any::<u8>(), 0..60), b in proptest::collection::vec(any::<u8>(), 0..60)
        ) {
            for packet in [
                ChapPacket::Challenge { id, value: &a, name: &b },
                ChapPacket::Response { id, value: &a, name: &b },
                ChapPacket::Success { id, message: &a },
                ChapPacket::Failure { id, message: &b },
            ] {
                let mut w = Writer::new();
                packet.emit(&mut w);
                prop_assert_eq!(ChapPacket::parse(w.as_slice()), Ok(packet));
            }
        }
    }
}
