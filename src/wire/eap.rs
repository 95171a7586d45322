//! Extensible Authentication Protocol packets (RFC 3748 section 4) and the two methods that we speak inside: MD5
//! challenge (section 5.4) and MS-CHAPv2 (draft-kamath-pppext-eap-mschapv2-02).

use super::ppp::{Code, ControlPacket};
use super::{Error, Kind, Reader, Writer, wire_enum};

wire_enum! {
    /// EAP types (RFC 3748 section 5).
    pub struct EapType(u8) {
        IDENTITY = 1,
        NOTIFICATION = 2,
        /// In responses only: the wanted types.
        NAK = 3,
        MD5_CHALLENGE = 4,
        TLS = 13,
        TTLS = 21,
        PEAP = 25,
        MS_CHAP_V2 = 26,
        EXPANDED = 254,
    }
}

/// An EAP packet, borrowed from the frame it came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EapPacket<'a> {
    /// Request (1), from the authenticator.
    Request {
        /// Identifier; the same in a retransmission.
        id: u8,
        /// What is requested.
        kind: EapType,
        /// Type-Data.
        data: &'a [u8],
    },
    /// Response (2), from the peer.
    Response {
        /// Identifier of the request.
        id: u8,
        /// What is answered, or [`EapType::NAK`].
        kind: EapType,
        /// Type-Data.
        data: &'a [u8],
    },
    /// Success (3).
    Success {
        /// Identifier of the last response.
        id: u8,
    },
    /// Failure (4).
    Failure {
        /// Identifier of the last response.
        id: u8,
    },
}

impl<'a> EapPacket<'a> {
    /// Parses the information field of a frame.
    ///
    /// # Errors
    /// Lengths that do not fit, a request or response without a type, or a code other than 1 to 4.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let ControlPacket { code, id, data } = ControlPacket::parse(bytes)?;
        let mut r = Reader::new(data);
        match code {
            Code(1) => Ok(Self::Request { id, kind: EapType(r.u8("EAP Type")?), data: r.rest() }),
            Code(2) => Ok(Self::Response { id, kind: EapType(r.u8("EAP Type")?), data: r.rest() }),
            Code(3) => Ok(Self::Success { id }),
            Code(4) => Ok(Self::Failure { id }),
            _ => Err(Error::new("EAP Code", Kind::BadValue)),
        }
    }

    /// Appends the packet.
    pub fn emit(&self, w: &mut Writer) {
        let (code, id, body) = match *self {
            Self::Request { id, kind, data } => (1, id, Some((kind, data))),
            Self::Response { id, kind, data } => (2, id, Some((kind, data))),
            Self::Success { id } => (3, id, None),
            Self::Failure { id } => (4, id, None),
        };
        w.u8(code);
        w.u8(id);
        w.len16(4, |w| {
            if let Some((kind, data)) = body {
                w.u8(kind.0);
                w.bytes(data);
            }
        });
    }
}

/// Type-Data of EAP MD5-Challenge: a value and a name, as in CHAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EapMd5<'a> {
    /// Challenge or hash.
    pub value: &'a [u8],
    /// Name of the sender.
    pub name: &'a [u8],
}

impl<'a> EapMd5<'a> {
    /// Parses the Type-Data.
    ///
    /// # Errors
    /// A value that is longer than the packet.
    pub fn parse(data: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(data);
        let size = r.u8("Value-Size")?;
        Ok(Self { value: r.take(size.into(), "Value")?, name: r.rest() })
    }

    /// Appends the Type-Data.
    pub fn emit(&self, w: &mut Writer) {
        let size = u8::try_from(self.value.len()).unwrap_or(u8::MAX);
        w.u8(size);
        w.bytes(&self.value[..usize::from(size)]);
        w.bytes(self.name);
    }
}

/// Type-Data of EAP-MSCHAPv2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EapMsChapV2<'a> {
    /// OpCode 1.
    Challenge {
        /// MS-CHAPv2-ID: as CHAP's identifier.
        id: u8,
        /// Random value.
        value: &'a [u8],
        /// Name of the server.
        name: &'a [u8],
    },
    /// OpCode 2.
    Response {
        /// MS-CHAPv2-ID of the challenge.
        id: u8,
        /// 49 bytes: [`MsChapV2Response`](super::chap::MsChapV2Response).
        value: &'a [u8],
        /// Name of the peer.
        name: &'a [u8],
    },
    /// OpCode 3 with a message, from the server.
    Success {
        /// MS-CHAPv2-ID.
        id: u8,
        /// `S=... M=...`.
        message: &'a [u8],
    },
    /// OpCode 4 with a message, from the server.
    Failure {
        /// MS-CHAPv2-ID.
        id: u8,
        /// `E=... R=... C=... V=... M=...`.
        message: &'a [u8],
    },
    /// OpCode 3 alone: the peer is content.
    SuccessAck,
    /// OpCode 4 alone: the peer has understood.
    FailureAck,
}

impl<'a> EapMsChapV2<'a> {
    /// Parses the Type-Data.
    ///
    /// # Errors
    /// Lengths that do not fit or an unknown OpCode.
    pub fn parse(data: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(data);
        let op = r.u8("OpCode")?;
        if r.is_empty() {
            return match op {
                3 => Ok(Self::SuccessAck),
                4 => Ok(Self::FailureAck),
                _ => Err(Error::new("MS-CHAPv2-ID", Kind::Truncated)),
            };
        }
        let id = r.u8("MS-CHAPv2-ID")?;
        // MS-Length counts from the OpCode on.
        let length = usize::from(r.u16("MS-Length")?);
        let len = length.checked_sub(4).ok_or(Error::new("MS-Length", Kind::BadLength))?;
        let mut r = r.sub(len, "MS-CHAPv2 Data")?;
        match op {
            1 | 2 => {
                let size = r.u8("Value-Size")?;
                let value = r.take(size.into(), "Value")?;
                let name = r.rest();
                Ok(if op == 1 {
                    Self::Challenge { id, value, name }
                } else {
                    Self::Response { id, value, name }
                })
            }
            3 => Ok(Self::Success { id, message: r.rest() }),
            4 => Ok(Self::Failure { id, message: r.rest() }),
            _ => Err(Error::new("OpCode", Kind::BadValue)),
        }
    }

    /// Appends the Type-Data.
    pub fn emit(&self, w: &mut Writer) {
        let (op, id) = match *self {
            Self::Challenge { id, .. } => (1, id),
            Self::Response { id, .. } => (2, id),
            Self::Success { id, .. } => (3, id),
            Self::Failure { id, .. } => (4, id),
            Self::SuccessAck => return w.u8(3),
            Self::FailureAck => return w.u8(4),
        };
        w.u8(op);
        w.u8(id);
        w.len16(4, |w| match self {
            Self::Challenge { value, name, .. } | Self::Response { value, name, .. } => {
                EapMd5 { value, name }.emit(w);
            }
            Self::Success { message, .. } | Self::Failure { message, .. } => w.bytes(message),
            Self::SuccessAck | Self::FailureAck => {}
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    fn emitted(emit: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut w = Writer::new();
        emit(&mut w);
        w.finish()
    }

    #[test]
    fn packets_and_types() {
        assert_eq!(
            EapPacket::parse(&hex!("02 01 000a 01 616c696365")),
            Ok(EapPacket::Response { id: 1, kind: EapType::IDENTITY, data: b"alice" })
        );
        assert_eq!(EapPacket::parse(&hex!("03 02 0004")), Ok(EapPacket::Success { id: 2 }));
        assert_eq!(EapPacket::parse(&hex!("02 01 0004")), Err(Error::new("EAP Type", Kind::Truncated)));
        assert_eq!(EapPacket::parse(&hex!("05 01 0004")), Err(Error::new("EAP Code", Kind::BadValue)));
    }

    #[test]
    fn ms_length_counts_from_the_op_code() {
        let challenge = EapMsChapV2::Challenge { id: 9, value: &[7; 16], name: b"gw" };
        let bytes = emitted(|w| challenge.emit(w));
        assert_eq!(bytes[..5], hex!("01 09 0017 10"));
        assert_eq!(EapMsChapV2::parse(&bytes), Ok(challenge));
        assert_eq!(EapMsChapV2::parse(&[3]), Ok(EapMsChapV2::SuccessAck));
        assert_eq!(EapMsChapV2::parse(&[4]), Ok(EapMsChapV2::FailureAck));
        assert_eq!(EapMsChapV2::parse(&[1]), Err(Error::new("MS-CHAPv2-ID", Kind::Truncated)));
        assert_eq!(EapMsChapV2::parse(&hex!("03 01 0003")), Err(Error::new("MS-Length", Kind::BadLength)));
    }

    proptest! {
            #[test]
            fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
                let _ = EapPacket::parse(&bytes);
                let _ = EapMd5::parse(&bytes);
                let _ = EapMsChapV2::parse(&bytes);
            }

            #[test]
            fn what_is_emitted_parses_to_itself(
                id: u8, kind: u8,
                a in proptest::collection::vec(any::<u8>(), 0..60), b in proptest::collection::vec(any::<u8>(), 0..60)
            ) {
                let kind = EapType(kind);
                for packet in [
                    EapPacket::Request { id, kind, data: &a },
                    EapPacket::Response { id, kind, data: &b },
                    EapPacket::Success { id },
                    EapPacket::Failure { id },
                ] {
                    let bytes = emitted(|w| packet.emit(w));
    prop_assert_eq!(EapPacket::parse(&bytes), Ok(packet));
                }
                let md5 = EapMd5 { value: &a, name: &b };
                let bytes = emitted(|w| md5.emit(w));
    prop_assert_eq!(EapMd5::parse(&bytes), Ok(md5));
                for data in [
                    EapMsChapV2::Challenge { id, value: &a, name: &b },
                    EapMsChapV2::Response { id, value: &b, name: &a },
                    EapMsChapV2::Success { id, message: &a },
                    EapMsChapV2::Failure { id, message: &b },
                    EapMsChapV2::SuccessAck,
                    EapMsChapV2::FailureAck,
                ] {
                    let bytes = emitted(|w| data.emit(w));
    prop_assert_eq!(EapMsChapV2::parse(&bytes), Ok(data));
                }
            }
        }
}
