//! PPP framing (RFC 1661 section 2) as L2TP carries it: no flags, no FCS, HDLC address and control bytes or not
//! (RFC 1661 section 6.6), a protocol field of one or two bytes (section 6.5); and the control packets of section 5.

use super::{Error, Kind, Reader, Writer, wire_enum};

wire_enum! {
    /// PPP protocol numbers (IANA "PPP DLL Protocol Numbers").
    pub struct Protocol(u16) {
        /// Internet Protocol version 4 (RFC 1332).
        IPV4 = 0x0021,
        /// Van Jacobson compressed TCP/IP.
        VJ_COMPRESSED = 0x002d,
        /// Van Jacobson uncompressed TCP/IP.
        VJ_UNCOMPRESSED = 0x002f,
        /// Multilink (RFC 1990).
        MULTILINK = 0x003d,
        /// Internet Protocol version 6 (RFC 5072).
        IPV6 = 0x0057,
        /// A compressed datagram (RFC 1962).
        COMPRESSED = 0x00fd,
        /// Apple client server protocol.
        ACSP = 0x0235,
        /// IP Control Protocol (RFC 1332).
        IPCP = 0x8021,
        /// IPv6 Control Protocol (RFC 5072).
        IPV6CP = 0x8057,
        /// Compression Control Protocol (RFC 1962).
        CCP = 0x80fd,
        /// Apple client server control protocol.
        ACSCP = 0x8235,
        /// Link Control Protocol (RFC 1661).
        LCP = 0xc021,
        /// Password Authentication Protocol (RFC 1334).
        PAP = 0xc023,
        /// Link Quality Report (RFC 1989).
        LQR = 0xc025,
        /// Challenge Handshake Authentication Protocol (RFC 1994).
        CHAP = 0xc223,
        /// Extensible Authentication Protocol (RFC 3748).
        EAP = 0xc227,
    }
}

wire_enum! {
    /// Codes of control packets (RFC 1661 section 5, RFC 1570).
    pub struct Code(u8) {
        CONFIGURE_REQUEST = 1,
        CONFIGURE_ACK = 2,
        CONFIGURE_NAK = 3,
        CONFIGURE_REJECT = 4,
        TERMINATE_REQUEST = 5,
        TERMINATE_ACK = 6,
        CODE_REJECT = 7,
        PROTOCOL_REJECT = 8,
        ECHO_REQUEST = 9,
        ECHO_REPLY = 10,
        DISCARD_REQUEST = 11,
        /// RFC 1570 section 1.1; Windows sends three of them as soon as LCP is open.
        IDENTIFICATION = 12,
        /// RFC 1570 section 1.2.
        TIME_REMAINING = 13,
    }
}

/// Address and control field of HDLC-like framing: all stations, unnumbered information.
pub const ADDRESS_CONTROL: [u8; 2] = [0xff, 0x03];

/// The header that stands before an uncompressed IPv4 packet.
pub const IPV4_HEADER: [u8; 4] = [0xff, 0x03, 0x00, 0x21];

/// Bytes before the data of a control packet: code, identifier, length.
pub const CONTROL_HEADER: usize = 4;

/// Reads the header of a frame: the protocol and how many bytes stood before the information field (1 to 4).
///
/// Accepts every form, whatever was negotiated: with or without address and control bytes, with a protocol field of one
/// or two bytes. They cannot be confused, because 0x00ff is reserved and no protocol number begins with an odd byte.
///
/// # Errors
/// A frame that ends before its protocol field does, or a two-byte protocol whose last byte is even.
pub fn split_header(frame: &[u8]) -> Result<(Protocol, usize), Error> {
    let skip = if frame.starts_with(&ADDRESS_CONTROL) { 2 } else { 0 };
    match frame[skip..] {
        [low, ..] if low & 1 == 1 => Ok((Protocol(u16::from(low)), skip + 1)),
        [_, low, ..] if low & 1 == 0 => Err(Error::new("Protocol", Kind::BadValue)),
        [high, low, ..] => Ok((Protocol(u16::from_be_bytes([high, low])), skip + 2)),
        _ => Err(Error::new("Protocol", Kind::Truncated)),
    }
}

/// Writes the header of a frame in full: address, control, two-byte protocol. LCP must always be sent so (section 6.5,
/// 6.6), and for other control protocols it costs nothing.
pub fn emit_header(protocol: Protocol, w: &mut Writer) {
    w.bytes(&ADDRESS_CONTROL);
    w.u16(protocol.0);
}

/// A control packet: LCP, an NCP, and in the same shape CHAP, PAP and EAP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlPacket<'a> {
    /// What it is.
    pub code: Code,
    /// Ties a reply to its request.
    pub id: u8,
    /// What follows the length field. Bytes after the packet's own length are padding and were left out.
    pub data: &'a [u8],
}

impl<'a> ControlPacket<'a> {
    /// Parses the information field of a frame.
    ///
    /// # Errors
    /// Fewer bytes than the header or than its length field says, or a length below the header's.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        let code = Code(r.u8("Code")?);
        let id = r.u8("Identifier")?;
        let length = usize::from(r.u16("Length")?);
        let len = length.checked_sub(CONTROL_HEADER).ok_or(Error::new("Length", Kind::BadLength))?;
        Ok(Self { code, id, data: r.take(len, "Data")? })
    }

    /// Appends the packet.
    pub fn emit(&self, w: &mut Writer) {
        w.u8(self.code.0);
        w.u8(self.id);
        w.len16(CONTROL_HEADER, |w| w.bytes(self.data));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_the_header_is_read() {
        for (bytes, protocol, len) in [
            (&hex!("ff03c021")[..], Protocol::LCP, 4),
            (&hex!("c02101")[..], Protocol::LCP, 2),
            (&hex!("ff030021")[..], Protocol::IPV4, 4),
            (&hex!("ff0321")[..], Protocol::IPV4, 3),
            (&hex!("002145")[..], Protocol::IPV4, 2),
            (&hex!("2145")[..], Protocol::IPV4, 1),
            (&hex!("ff0380fd")[..], Protocol::CCP, 4),
            // A lone 0xff is a one-byte protocol field (reserved, but a number).
            (&hex!("ff")[..], Protocol(0xff), 1),
        ] {
            assert_eq!(split_header(bytes), Ok((protocol, len)), "{bytes:02x?}");
        }
        assert_eq!(split_header(&hex!("ff03")), Err(Error::new("Protocol", Kind::Truncated)));
        assert_eq!(split_header(&hex!("ff03c0")), Err(Error::new("Protocol", Kind::Truncated)));
        assert_eq!(split_header(&hex!("c022")), Err(Error::new("Protocol", Kind::BadValue)));
        assert_eq!(split_header(&[]), Err(Error::new("Protocol", Kind::Truncated)));
    }

    #[test]
    fn padding_after_a_control_packet_is_ignored() {
        let packet = ControlPacket::parse(&hex!("05 03 0006 5573 0000")).unwrap();
        assert_eq!(packet, ControlPacket { code: Code::TERMINATE_REQUEST, id: 3, data: b"Us" });
        assert_eq!(ControlPacket::parse(&hex!("05 03 0003")), Err(Error::new("Length", Kind::BadLength)));
        assert_eq!(ControlPacket::parse(&hex!("05 03 0006 55")), Err(Error::new("Data", Kind::Truncated)));
    }

    proptest! {
        #[test]
        fn parse_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = split_header(&bytes);
            let _ = ControlPacket::parse(&bytes);
        }

        #[test]
        fn what_is_emitted_parses_to_itself(code: u8, id: u8, data in proptest::collection::vec(any::<u8>(), 0..64)) {
            let packet = ControlPacket { code: Code(code), id, data: &data };
            let mut w = Writer::new();
            packet.emit(&mut w);
            prop_assert_eq!(ControlPacket::parse(w.as_slice()), Ok(packet));
        }
    }
}
