//! L2TPv2 headers and control messages (RFC 2661 section 3.1), as they stand in the payload of UDP port 1701.
//!
//! ```text
//!  0                   1                   2                   3
//! |T|L|x|x|S|x|O|P|x|x|x|x|  Ver  |          Length (opt)         |
//! |           Tunnel ID           |           Session ID          |
//! |             Ns (opt)          |             Nr (opt)          |
//! |      Offset Size (opt)        |    Offset pad... (opt)        |
//! ```
//!
//! Control messages have T, L and S set; a control message without AVPs is a Zero-Length Body (ZLB), a bare
//! acknowledgement. Data messages may lack any of the optional fields.

use super::avp::{Avp, Avps, MessageType};
use super::{Error, Kind, Reader, Writer};

const T: u16 = 0x8000;
const L: u16 = 0x4000;
const S: u16 = 0x0800;
const O: u16 = 0x0200;
const VERSION_MASK: u16 = 0x000f;
const VERSION: u16 = 2;

/// Length of a control header, and so of a ZLB.
pub const CONTROL_HEADER_LEN: usize = 12;

/// Length of the data header that we send: flags, Tunnel ID, Session ID.
pub const DATA_HEADER_LEN: usize = 6;

/// Longest control message that we read: far beyond any client's (about 150 bytes), below any UDP datagram.
pub const MAX_CONTROL_LEN: usize = 2048;

/// A tunnel's number at one of its ends; zero stands for "not assigned yet".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct TunnelId(pub u16);

/// A session's number at one of its ends; zero stands for the tunnel itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct SessionId(pub u16);

impl std::fmt::Display for TunnelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

impl std::fmt::Display for SessionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

/// Whether a datagram of port 1701 is a control message (T bit), else it is data.
#[must_use]
pub fn is_control(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0x80 != 0)
}

fn check_version(flags: u16) -> Result<(), Error> {
    // 1 is L2F (RFC 2341), 3 is L2TPv3 (RFC 3931).
    if flags & VERSION_MASK == VERSION { Ok(()) } else { Err(Error::new("L2TP Version", Kind::BadValue)) }
}

/// Header of a control message: whom it is for, its place in the sequence, and what it acknowledges.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ControlHeader {
    /// The receiver's tunnel, zero in an SCCRQ.
    pub tunnel: TunnelId,
    /// The receiver's session, zero for messages about the tunnel.
    pub session: SessionId,
    /// Sequence number of this message.
    pub ns: u16,
    /// Sequence number expected next from the other side: acknowledges all before it.
    pub nr: u16,
}

impl ControlHeader {
    /// Reads the header; what follows within its Length is returned beside it.
    ///
    /// Interop: bytes beyond Length are ignored, and so are the P bit and the reserved bits, which MUST be zero here.
    /// The L and S bits are demanded: without them there is no body and no place in the sequence.
    ///
    /// # Errors
    /// [`Error`] names the field that is missing or wrong.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), Error> {
        let mut r = Reader::new(datagram);
        let flags = r.u16("L2TP flags")?;
        check_version(flags)?;
        if flags & (T | L | S | O) != T | L | S {
            return Err(Error::new("L2TP control flags", Kind::BadValue));
        }
        let length = usize::from(r.u16("L2TP Length")?);
        if length < CONTROL_HEADER_LEN || length > datagram.len() || length > MAX_CONTROL_LEN {
            return Err(Error::new("L2TP Length", Kind::BadLength));
        }
        let header = Self {
            tunnel: TunnelId(r.u16("Tunnel ID")?),
            session: SessionId(r.u16("Session ID")?),
            ns: r.u16("Ns")?,
            nr: r.u16("Nr")?,
        };
        let body = r.take(length - CONTROL_HEADER_LEN, "L2TP control body")?;
        Ok((header, body))
    }

    /// A complete message: this header, then `body`, with the Length between.
    #[must_use]
    pub fn emit(&self, body: &[u8]) -> Vec<u8> {
        let mut w = Writer::new();
        w.u16(T | L | S | VERSION);
        w.len16(4, |w| {
            w.u16(self.tunnel.0);
            w.u16(self.session.0);
            w.u16(self.ns);
            w.u16(self.nr);
            w.bytes(body);
        });
        w.finish()
    }

    /// Writes `ns` and `nr` into a finished message: a retransmission carries the newest acknowledgement.
    pub fn renumber(message: &mut [u8], ns: u16, nr: u16) {
        if let Some(place) = message.get_mut(8..CONTROL_HEADER_LEN) {
            place[..2].copy_from_slice(&ns.to_be_bytes());
            place[2..].copy_from_slice(&nr.to_be_bytes());
        }
    }
}

/// A control message: header, type and attributes.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// The header.
    pub header: ControlHeader,
    /// The type, or `None` for a ZLB.
    pub kind: Option<MessageType>,
    /// The attributes after the Message Type.
    pub avps: Avps<'a>,
}

impl<'a> Message<'a> {
    /// Reads a control message.
    ///
    /// A body whose first AVP is not a Message Type is an error. Damage behind it is kept in [`Avps::defect`], since
    /// a StopCCN must close its tunnel whatever else is wrong with it.
    ///
    /// # Errors
    /// [`Error`] names the field that is missing or wrong.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        let (header, body) = ControlHeader::parse(datagram)?;
        if body.is_empty() {
            return Ok(Self { header, kind: None, avps: Avps::default() });
        }
        let (kind, avps) = Avps::parse(body)?;
        Ok(Self { header, kind: Some(kind), avps })
    }

    /// Builds a message from its type and attributes, which go out in the given order.
    #[must_use]
    pub fn emit(header: ControlHeader, kind: MessageType, avps: &[Avp<'_>]) -> Vec<u8> {
        let mut w = Writer::new();
        // RFC 2661 4.4.1: first of all, mandatory, never hidden. Android looks at these six bytes and nothing else.
        Avp::mandatory(super::avp::Value::MessageType(kind)).emit(&mut w);
        for avp in avps {
            avp.emit(&mut w);
        }
        header.emit(w.as_slice())
    }
}

/// Header of a data message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataHeader {
    /// The receiver's tunnel.
    pub tunnel: TunnelId,
    /// The receiver's session.
    pub session: SessionId,
    /// Ns, when the S bit is set. Nr is reserved in data messages.
    pub ns: Option<u16>,
    /// Bytes before the PPP frame: the header with its offset padding.
    pub len: usize,
    /// Bytes of header and PPP frame together: the Length field if there is one, else the datagram's.
    pub end: usize,
}

impl DataHeader {
    /// Reads the header of a data message.
    ///
    /// Interop: Apple and Windows set L, Android does not; SoftEther and Cisco have been seen with O. All are taken.
    ///
    /// # Errors
    /// [`Error`] names the field that is missing or wrong; a control message is an error too.
    pub fn parse(datagram: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(datagram);
        let flags = r.u16("L2TP flags")?;
        check_version(flags)?;
        if flags & T != 0 {
            return Err(Error::new("L2TP T bit", Kind::BadValue));
        }
        let end = if flags & L == 0 { datagram.len() } else { usize::from(r.u16("L2TP Length")?) };
        if end > datagram.len() {
            return Err(Error::new("L2TP Length", Kind::BadLength));
        }
        let tunnel = TunnelId(r.u16("Tunnel ID")?);
        let session = SessionId(r.u16("Session ID")?);
        let ns = if flags & S == 0 {
            None
        } else {
            let ns = r.u16("Ns")?;
            r.u16("Nr")?;
            Some(ns)
        };
        if flags & O != 0 {
            let offset = usize::from(r.u16("Offset Size")?);
            r.take(offset, "Offset pad")?;
        }
        let len = datagram.len() - r.remaining();
        if len > end {
            return Err(Error::new("L2TP Length", Kind::BadLength));
        }
        Ok(Self { tunnel, session, ns, len, end })
    }

    /// The six bytes that we put before every PPP frame.
    ///
    /// Never with the S bit: Apple would drop what comes late, and Android would number its own packets for ever after.
    /// Without L: every client takes that, and it leaves two more bytes to the user.
    #[must_use]
    pub const fn emit(tunnel: TunnelId, session: SessionId) -> [u8; DATA_HEADER_LEN] {
        let [t0, t1] = tunnel.0.to_be_bytes();
        let [s0, s1] = session.0.to_be_bytes();
        [0, 2, t0, t1, s0, s1]
    }

    /// The eight bytes with the L bit that Apple and Windows put before a PPP frame of `frame_len` bytes.
    #[must_use]
    pub fn emit_with_length(tunnel: TunnelId, session: SessionId, frame_len: usize) -> [u8; 8] {
        let [l0, l1] = u16::try_from(frame_len + 8).unwrap_or(u16::MAX).to_be_bytes();
        let [t0, t1] = tunnel.0.to_be_bytes();
        let [s0, s1] = session.0.to_be_bytes();
        [0x40, 2, l0, l1, t0, t1, s0, s1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn a_zlb_is_twelve_bytes() {
        let header = ControlHeader { tunnel: TunnelId(0x3bbc), session: SessionId(0), ns: 1, nr: 2 };
        let bytes = header.emit(&[]);
        assert_eq!(bytes, hex!("c802 000c 3bbc 0000 0001 0002"));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.header, message.kind), (header, None));
    }

    #[test]
    fn control_flags_and_lengths_are_checked() {
        let bad =
            |bytes: &[u8], what, kind| assert_eq!(ControlHeader::parse(bytes), Err(Error::new(what, kind)));
        bad(&hex!("c803 000c 0001 0000 0000 0000"), "L2TP Version", Kind::BadValue);
        bad(&hex!("8802 000c 0001 0000 0000 0000"), "L2TP control flags", Kind::BadValue);
        bad(&hex!("c002 000c 0001 0000 0000 0000"), "L2TP control flags", Kind::BadValue);
        bad(&hex!("ca02 000c 0001 0000 0000 0000"), "L2TP control flags", Kind::BadValue);
        bad(&hex!("c802 000d 0001 0000 0000 0000"), "L2TP Length", Kind::BadLength);
        bad(&hex!("c802 000b 0001 0000 0000 0000"), "L2TP Length", Kind::BadLength);
        bad(&hex!("c802"), "L2TP Length", Kind::Truncated);
        // Trailing bytes, and the P bit, are none of our business.
        let (header, body) = ControlHeader::parse(&hex!("c902 000c 0001 0000 0000 0000 ffff")).unwrap();
        assert_eq!((header.tunnel, body.len()), (TunnelId(1), 0));
    }

    #[test]
    fn renumbering_touches_only_ns_and_nr() {
        let mut bytes = hex!("c802 000e 0001 0002 0003 0004 abcd");
        ControlHeader::renumber(&mut bytes, 0x1122, 0x3344);
        assert_eq!(bytes, hex!("c802 000e 0001 0002 1122 3344 abcd"));
        ControlHeader::renumber(&mut bytes[..11], 0, 0);
        assert_eq!(bytes, hex!("c802 000e 0001 0002 1122 3344 abcd"), "too short: left alone");
    }

    #[test]
    fn data_headers_of_all_shapes() {
        let parse =
            |bytes: &[u8]| DataHeader::parse(bytes).map(|h| (h.tunnel.0, h.session.0, h.ns, h.len, h.end));
        // Android: no optional field.
        assert_eq!(parse(&hex!("0002 0001 0002 ff03c021")), Ok((1, 2, None, 6, 10)));
        // Apple: Length; a shorter one cuts the frame.
        assert_eq!(parse(&hex!("4002 000c 0001 0002 ff03c021")), Ok((1, 2, None, 8, 12)));
        assert_eq!(parse(&hex!("4002 000a 0001 0002 ff03c021")), Ok((1, 2, None, 8, 10)));
        // Sequence numbers, and an offset of two bytes.
        assert_eq!(parse(&hex!("0802 0001 0002 0007 0000 ff03")), Ok((1, 2, Some(7), 10, 12)));
        assert_eq!(parse(&hex!("0202 0001 0002 0002 0000 ff03")), Ok((1, 2, None, 10, 12)));
        // Lies.
        let lie = Error::new("L2TP Length", Kind::BadLength);
        assert_eq!(parse(&hex!("4002 000d 0001 0002 ff03c021")), Err(lie));
        assert_eq!(parse(&hex!("4002 0007 0001 0002 ff03c021")), Err(lie));
        assert_eq!(parse(&hex!("0202 0001 0002 0009 0000")), Err(Error::new("Offset pad", Kind::Truncated)));
        assert_eq!(parse(&hex!("0001 0001 0002")), Err(Error::new("L2TP Version", Kind::BadValue)));
        assert_eq!(parse(&hex!("c802 000c 0001 0000")), Err(Error::new("L2TP T bit", Kind::BadValue)));
    }

    #[test]
    fn data_headers_round_trip() {
        let (tunnel, session) = (TunnelId(0x0102), SessionId(0x0304));
        let plain = DataHeader::parse(&DataHeader::emit(tunnel, session)).unwrap();
        assert_eq!((plain.tunnel, plain.session, plain.len), (tunnel, session, 6));
        let long = [&DataHeader::emit_with_length(tunnel, session, 2)[..], &[1, 2]].concat();
        let long = DataHeader::parse(&long).unwrap();
        assert_eq!((long.tunnel, long.session, long.len, long.end), (tunnel, session, 8, 10));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::parse(&bytes);
            if let Ok(header) = DataHeader::parse(&bytes) {
                prop_assert!(header.len <= header.end && header.end <= bytes.len());
            }
        }

        #[test]
        fn a_damaged_message_never_panics(
            at in 0usize..60, with in any::<u8>(), len in 0usize..60,
        ) {
            let avps = [Avp::mandatory(super::super::avp::Value::HostName(b"anonymous"))];
            let mut bytes = Message::emit(ControlHeader::default(), MessageType::SCCRQ, &avps);
            if let Some(place) = bytes.get_mut(at) { *place = with; }
            bytes.truncate(len);
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn headers_round_trip(tunnel: u16, session: u16, ns: u16, nr: u16, body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let header = ControlHeader { tunnel: TunnelId(tunnel), session: SessionId(session), ns, nr };
            let bytes = header.emit(&body);
            prop_assert_eq!(ControlHeader::parse(&bytes), Ok((header, &body[..])));
        }
    }
}
