//! Ethernet II frames, 802.1Q tags and ARP (RFC 894, RFC 826, IEEE 802.3).
//!
//! Views over the bytes of a frame: forwarding never copies. A frame's tag is recognised, never changed.

use super::{Error, Kind, Reader, wire_enum};
use crate::packet::PacketBuf;
use std::net::Ipv4Addr;

/// Bytes of an untagged header: destination, source, EtherType.
pub const HEADER: usize = 14;
/// Payload that an Ethernet segment carries unless said otherwise.
pub const MTU: u16 = 1500;
/// Bytes of an ARP packet for IPv4 over Ethernet.
pub const ARP_LEN: usize = 28;

wire_enum! {
    /// EtherType of a frame's payload.
    pub struct EtherType(u16) {
        IPV4 = 0x0800,
        ARP = 0x0806,
        /// 802.1Q tag.
        VLAN = 0x8100,
        IPV6 = 0x86DD,
        PPPOE_DISCOVERY = 0x8863,
        PPPOE_SESSION = 0x8864,
        /// 802.1ad outer tag.
        QINQ = 0x88A8,
    }
}

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations.
    pub const BROADCAST: Self = Self([0xFF; 6]);
    /// No address: the target of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// Whether the group bit is set (broadcast included).
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether this addresses all stations.
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        matches!(self.0, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])
    }

    /// Whether one station may have this address: neither a group nor zero.
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }

    /// Whether the address is locally administered.
    #[must_use]
    pub const fn is_local(self) -> bool {
        self.0[0] & 2 != 0
    }

    /// Addresses that a bridge never forwards (spanning tree, pause, LLDP; IEEE 802.1Q table 8-1).
    #[must_use]
    pub const fn is_bridge_local(self) -> bool {
        matches!(self.0, [0x01, 0x80, 0xC2, 0, 0, last] if last < 0x10)
    }

    /// The group address of an IPv4 multicast group (RFC 1112 section 6.4).
    #[must_use]
    pub const fn of_multicast(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5E, b & 0x7F, c, d])
    }

    /// The address as the low 48 bits of a number.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The address in the low 48 bits of `value`.
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Mac {
    type Err = Error;

    /// Six hexadecimal bytes, separated by `:` or `-`, or none.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = Error::new("MAC address", Kind::BadValue);
        let mut digits = [0; 12];
        let mut n = 0;
        for (at, c) in text.bytes().enumerate() {
            if matches!(c, b':' | b'-') && at % 3 == 2 && n % 2 == 0 {
                continue;
            }
            let digit = char::from(c).to_digit(16).ok_or(bad)?;
            *digits.get_mut(n).ok_or(bad)? = digit as u8;
            n += 1;
        }
        if n != 12 || !matches!(text.len(), 12 | 17) {
            return Err(bad);
        }
        Ok(Self(std::array::from_fn(|i| digits[2 * i] << 4 | digits[2 * i + 1])))
    }
}

/// A frame as seen by a switch: addresses, tag and what is inside, over the frame's own bytes.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Receiver.
    pub destination: Mac,
    /// Sender.
    pub source: Mac,
    /// VLAN identifier of the outermost 802.1Q or 802.1ad tag; `None` if untagged or only priority-tagged (0).
    pub vlan: Option<u16>,
    /// Type of the payload behind all tags; a value below 0x0600 is an 802.3 length (LLC).
    pub ethertype: EtherType,
    /// What follows the header and all tags, Ethernet padding included.
    pub payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Looks at a frame; up to two tags are stepped over.
    ///
    /// # Errors
    /// [`Kind::Truncated`] if header or tag are incomplete.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, mut payload) =
            bytes.split_first_chunk::<HEADER>().ok_or(Error::new("Ethernet header", Kind::Truncated))?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = *header;
        let mut ethertype = EtherType(u16::from_be_bytes([m, n]));
        let mut vlan = None;
        for outer in [true, false] {
            if !matches!(ethertype, EtherType::VLAN | EtherType::QINQ) {
                break;
            }
            let (tag, rest) =
                payload.split_first_chunk::<4>().ok_or(Error::new("802.1Q tag", Kind::Truncated))?;
            let id = u16::from_be_bytes([tag[0], tag[1]]) & 0x0FFF;
            if outer && id != 0 {
                vlan = Some(id);
            }
            ethertype = EtherType(u16::from_be_bytes([tag[2], tag[3]]));
            payload = rest;
        }
        Ok(Self {
            destination: Mac([a, b, c, d, e, f]),
            source: Mac([g, h, i, j, k, l]),
            vlan,
            ethertype,
            payload,
        })
    }

    /// Whether the frame carries no tag at all.
    #[must_use]
    pub fn is_untagged(&self, bytes: &[u8]) -> bool {
        bytes.len() == HEADER + self.payload.len()
    }
}

/// An untagged header.
#[must_use]
#[inline]
pub const fn header(destination: Mac, source: Mac, ethertype: EtherType) -> [u8; HEADER] {
    let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (destination.0, source.0);
    let [m, n] = ethertype.0.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
}

wire_enum! {
    /// ARP operation (RFC 826).
    pub struct ArpOperation(u16) {
        REQUEST = 1,
        REPLY = 2,
    }
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Request or reply.
    pub operation: ArpOperation,
    /// Hardware address of the sender.
    pub sender_mac: Mac,
    /// Protocol address of the sender; unspecified in a probe (RFC 5227).
    pub sender: Ipv4Addr,
    /// Hardware address of the target; zero in a request.
    pub target_mac: Mac,
    /// Protocol address of the target.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Parses the payload of a frame of type ARP; padding behind it is ignored.
    ///
    /// # Errors
    /// If it is truncated, or not about IPv4 over Ethernet.
    pub fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(payload);
        if r.array::<6>("ARP header")? != [0, 1, 0x08, 0x00, 6, 4] {
            return Err(Error::new("ARP hardware or protocol type", Kind::BadValue));
        }
        Ok(Self {
            operation: ArpOperation(r.u16("ARP operation")?),
            sender_mac: Mac(r.array("ARP sender hardware address")?),
            sender: Ipv4Addr::from(r.array::<4>("ARP sender protocol address")?),
            target_mac: Mac(r.array("ARP target hardware address")?),
            target: Ipv4Addr::from(r.array::<4>("ARP target protocol address")?),
        })
    }

    /// The packet's bytes.
    #[must_use]
    pub fn emit(&self) -> [u8; ARP_LEN] {
        let mut out = [0; ARP_LEN];
        out[..6].copy_from_slice(&[0, 1, 0x08, 0x00, 6, 4]);
        out[6..8].copy_from_slice(&self.operation.0.to_be_bytes());
        out[8..14].copy_from_slice(&self.sender_mac.0);
        out[14..18].copy_from_slice(&self.sender.octets());
        out[18..24].copy_from_slice(&self.target_mac.0);
        out[24..28].copy_from_slice(&self.target.octets());
        out
    }

    /// The packet in a frame from its sender to `destination`.
    #[must_use]
    pub fn frame(&self, destination: Mac) -> PacketBuf {
        let mut buf = PacketBuf::with_capacity(HEADER + ARP_LEN);
        buf.put_back(&header(destination, self.sender_mac, EtherType::ARP));
        buf.put_back(&self.emit());
        buf
    }

    /// "Who has `target`?"
    #[must_use]
    pub const fn request(sender_mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { operation: ArpOperation::REQUEST, sender_mac, sender, target_mac: Mac::ZERO, target }
    }

    /// "`address` is at `mac`", to everybody (RFC 5227 section 3: an announcement is a request).
    #[must_use]
    pub const fn announcement(mac: Mac, address: Ipv4Addr) -> Self {
        Self::request(mac, address, address)
    }

    /// The answer of `mac` to this request for an address of its own.
    #[must_use]
    pub const fn reply(&self, mac: Mac) -> Self {
        Self {
            operation: ArpOperation::REPLY,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn mac_text() {
        let mac = Mac([0x5A, 0x01, 0x02, 0xAB, 0xCD, 0xEF]);
        assert_eq!(mac.to_string(), "5a:01:02:ab:cd:ef");
        for text in ["5a:01:02:ab:cd:ef", "5A-01-02-AB-CD-EF", "5a0102abcdef"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in [
            "",
            "5a:01:02:ab:cd",
            "5a:01:02:ab:cd:ef:00",
            "5a:01:02:ab:cd:eg",
            ":5a0102abcdef",
            "5a0:102:ab:cd:ef",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
        assert_eq!(Mac::from_u64(mac.to_u64()), mac);
        assert!(mac.is_local() && mac.is_unicast());
        assert!(Mac::BROADCAST.is_broadcast() && !Mac::BROADCAST.is_unicast() && !Mac::ZERO.is_unicast());
    }

    #[test]
    fn multicast_groups_keep_23_bits() {
        assert_eq!(Mac::of_multicast(Ipv4Addr::new(239, 255, 255, 250)), Mac(hex!("01005e7ffffa")));
        assert_eq!(Mac::of_multicast(Ipv4Addr::new(224, 0, 0, 251)), Mac(hex!("01005e0000fb")));
    }

    #[test]
    fn tags_are_stepped_over() {
        let untagged = hex!("ffffffffffff 5a0000000001 0806 0001");
        let frame = Frame::parse(&untagged).unwrap();
        assert_eq!((frame.vlan, frame.ethertype, frame.payload), (None, EtherType::ARP, &[0, 1][..]));
        assert!(frame.is_untagged(&untagged));
        let tagged = hex!("ffffffffffff 5a0000000001 8100 2064 0800 4500");
        let frame = Frame::parse(&tagged).unwrap();
        assert_eq!(
            (frame.vlan, frame.ethertype, frame.payload),
            (Some(100), EtherType::IPV4, &[0x45, 0][..])
        );
        assert!(!frame.is_untagged(&tagged));
        let double = hex!("ffffffffffff 5a0000000001 88a8 0007 8100 0064 86dd 60");
        let frame = Frame::parse(&double).unwrap();
        assert_eq!((frame.vlan, frame.ethertype, frame.payload), (Some(7), EtherType::IPV6, &[0x60][..]));
        let priority = hex!("ffffffffffff 5a0000000001 8100 e000 0800");
        assert_eq!(Frame::parse(&priority).unwrap().vlan, None);
        for cut in 0..16 {
            assert!(Frame::parse(&tagged[..cut]).is_err());
        }
    }

    #[test]
    fn arp_round_trip() {
        // A request of a Linux host, padded to the minimum by its network card.
        let bytes = hex!(
            "ffffffffffff 525400123456 0806 0001 0800 06 04 0001 525400123456 0a3c0001 000000000000 0a3c0032"
            "000000000000000000000000000000000000"
        );
        let frame = Frame::parse(&bytes).unwrap();
        let arp = Arp::parse(frame.payload).unwrap();
        assert_eq!(arp.operation, ArpOperation::REQUEST);
        assert_eq!(arp.target, Ipv4Addr::new(10, 60, 0, 50));
        assert_eq!(&arp.frame(Mac::BROADCAST)[..], &bytes[..42]);
        let mine = Mac(hex!("5a0000000001"));
        assert_eq!(
            &arp.reply(mine).frame(arp.sender_mac)[..],
            hex!(
                "525400123456 5a0000000001 0806 0001 0800 06 04 0002 5a0000000001 0a3c0032 525400123456 0a3c0001"
            )
        );
        for cut in 0..ARP_LEN {
            assert!(Arp::parse(&frame.payload[..cut]).is_err());
        }
    }
}
