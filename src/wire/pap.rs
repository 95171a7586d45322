//! Password Authentication Protocol packets (RFC 1334 section 2). The password travels as it is.

use super::ppp::{Code, ControlPacket};
use super::{Error, Kind, Reader, Writer};

/// A PAP packet, borrowed from the frame it came in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PapPacket<'a> {
    /// Authenticate-Request (1): who and the password.
    Request {
        /// Identifier.
        id: u8,
        /// Peer-ID: the name as typed.
        name: &'a [u8],
        /// The password in the clear.
        password: &'a [u8],
    },
    /// Authenticate-Ack (2).
    Ack {
        /// Identifier of the request.
        id: u8,
        /// Text for people.
        message: &'a [u8],
    },
    /// Authenticate-Nak (3).
    Nak {
        /// Identifier of the request.
        id: u8,
        /// Text for people.
        message: &'a [u8],
    },
}

impl std::fmt::Debug for PapPacket<'_> {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request { id, name, .. } => {
                write!(f, "Authenticate-Request {id} {:?}", String::from_utf8_lossy(name))
            }
            Self::Ack { id, message } => {
                write!(f, "Authenticate-Ack {id} {:?}", String::from_utf8_lossy(message))
            }
            Self::Nak { id, message } => {
                write!(f, "Authenticate-Nak {id} {:?}", String::from_utf8_lossy(message))
            }
        }
    }
}

impl<'a> PapPacket<'a> {
    /// Parses the information field of a frame.
    ///
    /// # Errors
    /// Lengths that do not fit, or a code other than 1 to 3.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let ControlPacket { code, id, data } = ControlPacket::parse(bytes)?;
        let mut r = Reader::new(data);
        match code {
            Code(1) => {
                let name_len = r.u8("Peer-ID Length")?;
                let name = r.take(name_len.into(), "Peer-ID")?;
                let password_len = r.u8("Passwd-Length")?;
                Ok(Self::Request { id, name, password: r.take(password_len.into(), "Password")? })
            }
            Code(2 | 3) => {
                // Some implementations leave even the message's length out; there is nothing in it to lose.
                let message = match r.u8("Msg-Length") {
                    Ok(len) => r.take(len.into(), "Message")?,
                    Err(_) => &[],
                };
                Ok(if code == Code(2) { Self::Ack { id, message } } else { Self::Nak { id, message } })
            }
            _ => Err(Error::new("PAP Code", Kind::BadValue)),
        }
    }

    /// Appends the packet. Fields longer than 255 bytes are cut.
    pub fn emit(&self, w: &mut Writer) {
        let (code, id) = match self {
            Self::Request { id, .. } => (1, *id),
            Self::Ack { id, .. } => (2, *id),
            Self::Nak { id, .. } => (3, *id),
        };
        w.u8(code);
        w.u8(id);
        w.len16(4, |w| match self {
            Self::Request { name, password, .. } => {
                counted(name, w);
                counted(password, w);
            }
            Self::Ack { message, .. } | Self::Nak { message, .. } => counted(message, w),
        });
    }
}

fn counted(bytes: &[u8], w: &mut Writer) {
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    w.u8(len);
    w.bytes(&bytes[..usize::from(len)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn a_request_and_its_answers() {
        let bytes = hex!("01 07 0013 05 616c696365 08 616c6963652d7077");
        let packet = PapPacket::parse(&bytes).unwrap();
        assert_eq!(packet, PapPacket::Request { id: 7, name: b"alice", password: b"alice-pw" });
        assert_eq!(format!("{packet:?}"), "Authenticate-Request 7 \"alice\"");
        assert_eq!(PapPacket::parse(&hex!("02 07 0004")), Ok(PapPacket::Ack { id: 7, message: b"" }));
        assert_eq!(
            PapPacket::parse(&hex!("03 07 0007 02 6e6f")),
            Ok(PapPacket::Nak { id: 7, message: b"no" })
        );
        assert_eq!(PapPacket::parse(&hex!("01 07 0006 05 61")), Err(Error::new("Peer-ID", Kind::Truncated)));
        assert_eq!(PapPacket::parse(&hex!("04 07 0004")), Err(Error::new("PAP Code", Kind::BadValue)));
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = PapPacket::parse(&bytes);
        }

        #[test]
        fn what_is_emitted_parses_to_itself(
            id: u8, a in proptest::collection::vec(any::<u8>(), 0..40), b in proptest::collection::vec(any::<u8>(), 0..40)
        ) {
            for packet in [
                PapPacket::Request { id, name: &a, password: &b },
                PapPacket::Ack { id, message: &a },
                PapPacket::Nak { id, message: &b },
            ] {
                let mut w = Writer::new();
                packet.emit(&mut w);
                prop_assert_eq!(PapPacket::parse(w.as_slice()), Ok(packet));
            }
        }
    }
}
