//! The little of IPv4, UDP, TCP and ICMP that a switch and a host's edge need (RFC 791, 768, 9293, 792): views,
//! checksums, the clamp of the TCP maximum segment size and "fragmentation needed".

use super::{Error, Kind, wire_enum};
use crate::packet::PacketBuf;
use std::net::Ipv4Addr;

/// Bytes of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// Bytes of a UDP header.
pub const UDP_HEADER: usize = 8;
/// The smallest MTU that an IPv4 link may have (RFC 791 section 3.2: 68), and the smallest that we believe.
pub const MIN_MTU: u16 = 68;

wire_enum! {
    /// IP protocol number.
    pub struct Protocol(u8) {
        ICMP = 1,
        TCP = 6,
        UDP = 17,
        ICMPV6 = 58,
    }
}

/// The one's complement sum of `bytes` as 16-bit words, added to `sum` (RFC 1071); an odd last byte counts as the high
/// half.
#[must_use]
pub fn add(sum: u32, bytes: &[u8]) -> u32 {
    // Four words of 64 bits at a time, each as two halves that cannot overflow, in the machine's own byte order: a one's
    // complement sum comes out right in either, but for the order of its own two bytes (RFC 1071 section 2 (B)).
    let (blocks, rest) = bytes.as_chunks::<32>();
    let (mut low, mut high) = ([0_u64; 4], [0_u64; 4]);
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for ((word, low), high) in words.iter().zip(&mut low).zip(&mut high) {
            let word = u64::from_ne_bytes(*word);
            *low += word & 0xFFFF_FFFF;
            *high += word >> 32;
        }
    }
    let halves = low.into_iter().chain(high);
    let mut wide: u64 = halves.map(|half| (half & 0xFFFF_FFFF) + (half >> 32)).sum();
    let (pairs, last) = rest.as_chunks::<2>();
    wide += pairs.iter().map(|pair| u64::from(u16::from_ne_bytes(*pair))).sum::<u64>();
    if let [last] = last {
        wide += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    while wide > 0xFFFF {
        wide = (wide & 0xFFFF) + (wide >> 16);
    }
    let mut sum = u64::from(sum) + u64::from(u16::from_be(wide as u16));
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u32
}

/// The checksum field for a sum.
#[must_use]
pub const fn fold(mut sum: u32) -> u16 {
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// A checksum after one of the words it covers changed (RFC 1624 equation 3).
#[must_use]
pub const fn adjust(checksum: u16, old: u16, new: u16) -> u16 {
    fold((!checksum) as u32 + (!old) as u32 + new as u32)
}

/// The pseudo-header's share of a UDP or TCP checksum.
#[must_use]
pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, protocol: Protocol, length: usize) -> u32 {
    let sum = add(add(0, &source.octets()), &destination.octets());
    sum + u32::from(protocol.0) + length as u32
}

/// An IPv4 network: an address and the length of its prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Network {
    /// The network's address, host bits zero.
    pub address: Ipv4Addr,
    /// Length of the prefix in bits, up to 32.
    pub prefix: u8,
}

impl Network {
    /// The network that holds `address`; host bits are cleared.
    ///
    /// # Errors
    /// If the prefix is longer than 32 bits.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Result<Self, Error> {
        if prefix > 32 {
            return Err(Error::new("prefix length", Kind::BadValue));
        }
        Ok(Self { address: Ipv4Addr::from_bits(address.to_bits() & bits(prefix)), prefix })
    }

    /// The subnet mask.
    #[must_use]
    pub const fn mask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(bits(self.prefix))
    }

    /// Whether `address` belongs to the network.
    #[must_use]
    pub const fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & bits(self.prefix) == self.address.to_bits()
    }

    /// The directed broadcast address; `None` where the prefix leaves no room for one (RFC 3021).
    #[must_use]
    pub const fn broadcast(&self) -> Option<Ipv4Addr> {
        if self.prefix >= 31 { None } else { Some(self.last()) }
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !bits(self.prefix))
    }

    /// Whether a host may have this address: inside, and neither the network nor its broadcast address.
    #[must_use]
    pub fn is_host(&self, address: Ipv4Addr) -> bool {
        self.contains(address) && (self.prefix >= 31 || (address != self.address && address != self.last()))
    }
}

const fn bits(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        n => u32::MAX << (32 - n),
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl std::str::FromStr for Network {
    type Err = Error;

    /// `10.60.0.0/24`; host bits are cleared.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = Error::new("network", Kind::BadValue);
        let (address, prefix) = text.split_once('/').ok_or(bad)?;
        Self::new(address.parse().map_err(|_| bad)?, prefix.parse().map_err(|_| bad)?)
    }
}

/// An IPv4 packet, without what pads its frame.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
    /// Protocol of the payload.
    pub protocol: Protocol,
    /// Whether routers may not fragment it.
    pub dont_fragment: bool,
    /// Whether fragments follow.
    pub more_fragments: bool,
    /// Offset of this fragment in bytes.
    pub offset: usize,
    /// Header, options included, in bytes.
    pub header_len: usize,
    /// The whole packet in bytes.
    pub total_len: usize,
    /// What follows the header.
    pub payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    /// Looks at a packet; bytes behind its total length (frame padding) are not part of it. The header checksum is not
    /// verified: a switch forwards, the receiving host verifies.
    ///
    /// # Errors
    /// If the header is no IPv4 header or the packet is truncated.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = bytes.first_chunk::<IPV4_HEADER>().ok_or(Error::new("IPv4 header", Kind::Truncated))?;
        if header[0] >> 4 != 4 {
            return Err(Error::new("IPv4 version", Kind::BadValue));
        }
        let header_len = usize::from(header[0] & 0x0F) * 4;
        let total_len = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if header_len < IPV4_HEADER || total_len < header_len {
            return Err(Error::new("IPv4 header length", Kind::BadLength));
        }
        let payload = bytes.get(header_len..total_len).ok_or(Error::new("IPv4 packet", Kind::Truncated))?;
        let flags = u16::from_be_bytes([header[6], header[7]]);
        Ok(Self {
            source: Ipv4Addr::new(header[12], header[13], header[14], header[15]),
            destination: Ipv4Addr::new(header[16], header[17], header[18], header[19]),
            protocol: Protocol(header[9]),
            dont_fragment: flags & 0x4000 != 0,
            more_fragments: flags & 0x2000 != 0,
            offset: usize::from(flags & 0x1FFF) * 8,
            header_len,
            total_len,
            payload,
        })
    }

    /// Verifies the header's checksum (RFC 1812 section 5.2.2), for those where `packet` ends; [`Self::parse`] has read it.
    ///
    /// # Errors
    /// If it is wrong.
    pub fn verify(&self, packet: &[u8]) -> Result<(), Error> {
        match fold(add(0, packet.get(..self.header_len).unwrap_or_default())) {
            0 => Ok(()),
            _ => Err(Error::new("IPv4 checksum", Kind::BadValue)),
        }
    }

    /// The UDP datagram inside; `None` for other protocols, later fragments and truncated headers.
    #[must_use]
    pub fn udp(&self) -> Option<Udp<'a>> {
        if self.protocol != Protocol::UDP || self.offset != 0 {
            return None;
        }
        Udp::parse(self.payload).ok()
    }
}

/// A UDP datagram; its checksum is not verified.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// What follows the header: in a first fragment only as much as it has.
    pub payload: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Looks at a datagram.
    ///
    /// # Errors
    /// If the header is truncated or its length impossible.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, rest) =
            bytes.split_first_chunk::<UDP_HEADER>().ok_or(Error::new("UDP header", Kind::Truncated))?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let length = length.checked_sub(UDP_HEADER).ok_or(Error::new("UDP length", Kind::BadLength))?;
        Ok(Self {
            source: u16::from_be_bytes([header[0], header[1]]),
            destination: u16::from_be_bytes([header[2], header[3]]),
            payload: &rest[..length.min(rest.len())],
        })
    }
}

/// Puts an IPv4 header (no options, DF unset, TTL 64) before `buf`.
pub fn put_ipv4(buf: &mut PacketBuf, protocol: Protocol, source: Ipv4Addr, destination: Ipv4Addr) {
    let total = u16::try_from(buf.len() + IPV4_HEADER).unwrap_or(u16::MAX);
    let mut header = [0; IPV4_HEADER];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&total.to_be_bytes());
    header[8] = 64;
    header[9] = protocol.0;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let checksum = fold(add(0, &header));
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    buf.put_front(&header);
}

/// A UDP datagram in an IPv4 packet, with both checksums.
#[must_use]
pub fn udp_packet(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16), payload: &[u8]) -> PacketBuf {
    let mut buf = PacketBuf::from_slice(payload);
    let length = payload.len() + UDP_HEADER;
    let mut header = [0; UDP_HEADER];
    header[..2].copy_from_slice(&source.1.to_be_bytes());
    header[2..4].copy_from_slice(&destination.1.to_be_bytes());
    header[4..6].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    let sum = pseudo_header(source.0, destination.0, Protocol::UDP, length);
    // RFC 768: a computed zero is sent as all ones, because zero means "no checksum".
    let checksum = match fold(add(add(sum, &header), payload)) {
        0 => 0xFFFF,
        sum => sum,
    };
    header[6..8].copy_from_slice(&checksum.to_be_bytes());
    buf.put_front(&header);
    put_ipv4(&mut buf, Protocol::UDP, source.0, destination.0);
    buf
}

/// Lowers the maximum segment size that a TCP SYN announces (RFC 9293 section 3.7.1) to `mss`, and its checksum with
/// it. Returns whether it changed. Anything that is not an unfragmented IPv4 TCP SYN is left alone, and so is a SYN
/// without the option: its receiver assumes 536.
pub fn clamp_mss(packet: &mut [u8], mss: u16) -> bool {
    let Some((at, old, checksum_at)) = find_mss(packet) else { return false };
    if old <= mss {
        return false;
    }
    let checksum = u16::from_be_bytes([packet[checksum_at], packet[checksum_at + 1]]);
    packet[at..at + 2].copy_from_slice(&mss.to_be_bytes());
    // The sum is over 16-bit words of the segment: an option at an odd offset straddles two of them, where the change
    // counts byte-swapped (RFC 1071 section 2 (B)).
    let odd = (at - (checksum_at - 16)) % 2 == 1;
    let (old, new) = if odd { (old.swap_bytes(), mss.swap_bytes()) } else { (old, mss) };
    packet[checksum_at..checksum_at + 2].copy_from_slice(&adjust(checksum, old, new).to_be_bytes());
    true
}

/// Where the MSS of a SYN stands, its value, and where the TCP checksum stands.
fn find_mss(packet: &[u8]) -> Option<(usize, u16, usize)> {
    const SYN: u8 = 0x02;
    // Cheap looks first: this runs for every packet.
    if *packet.get(9)? != Protocol::TCP.0 || packet[0] >> 4 != 4 {
        return None;
    }
    let tcp_at = usize::from(packet[0] & 0x0F) * 4;
    if packet.get(tcp_at + 13)? & SYN == 0 {
        return None;
    }
    let ip = Ipv4::parse(packet).ok()?;
    if ip.offset != 0 || ip.more_fragments || ip.payload.len() < 20 {
        return None;
    }
    let end = usize::from(ip.payload[12] >> 4) * 4;
    let mut options = ip.payload.get(20..end)?;
    let mut at = tcp_at + 20;
    loop {
        match *options {
            [2, 4, high, low, ..] => return Some((at + 2, u16::from_be_bytes([high, low]), tcp_at + 16)),
            [1, ref rest @ ..] => {
                at += 1;
                options = rest;
            }
            [0, ..] | [] => return None,
            [_, length, ..] => {
                let length = usize::from(length).max(2);
                options = options.get(length..)?;
                at += length;
            }
            [_] => return None,
        }
    }
}

/// An ICMP error: its type and code (RFC 792, RFC 1812 section 5.2.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Icmp(pub u8, pub u8);

impl Icmp {
    /// There is no way to the network.
    pub const NET_UNREACHABLE: Self = Self(3, 0);
    /// The host does not answer.
    pub const HOST_UNREACHABLE: Self = Self(3, 1);
    /// The host does not speak the protocol.
    pub const PROTOCOL_UNREACHABLE: Self = Self(3, 2);
    /// Nobody listens there.
    pub const PORT_UNREACHABLE: Self = Self(3, 3);
    /// The packet is too big, and may not be fragmented.
    pub const FRAGMENTATION_NEEDED: Self = Self(3, 4);
    /// An administrator does not want it.
    pub const PROHIBITED: Self = Self(3, 13);
    /// The packet has been through too many routers.
    pub const TTL_EXCEEDED: Self = Self(11, 0);
}

/// ICMP type of an echo request (RFC 792).
pub const ECHO_REQUEST: u8 = 8;
/// ICMP type of an echo reply (RFC 792).
pub const ECHO_REPLY: u8 = 0;

/// Makes an ICMP message one of another type, checksum included.
pub fn set_icmp_type(message: &mut [u8], kind: u8) {
    if let [first, _, high, low, ..] = message {
        *first = kind;
        (*high, *low) = (0, 0);
    }
    let sum = fold(add(0, message));
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

/// ICMP "destination unreachable, fragmentation needed and DF set" (RFC 792, RFC 1191 section 4) about `original`, from
/// `from` to the original's source. `None` as for [`icmp_error`].
#[must_use]
pub fn fragmentation_needed(original: &[u8], from: Ipv4Addr, mtu: u16) -> Option<PacketBuf> {
    icmp_about(original, from, Icmp::FRAGMENTATION_NEEDED, mtu)
}

/// An ICMP error about `original`, from `from` to the original's source. `None` where RFC 1122 section 3.2.2 forbids one:
/// about ICMP errors, later fragments, group or broadcast addresses.
#[must_use]
pub fn icmp_error(original: &[u8], from: Ipv4Addr, error: Icmp) -> Option<PacketBuf> {
    icmp_about(original, from, error, 0)
}

fn icmp_about(original: &[u8], from: Ipv4Addr, error: Icmp, mtu: u16) -> Option<PacketBuf> {
    let ip = Ipv4::parse(original).ok()?;
    let icmp_error = ip.protocol == Protocol::ICMP && !matches!(ip.payload.first(), Some(0 | 8 | 13..=18));
    let source = ip.source;
    let nobody =
        source.is_unspecified() || source.is_multicast() || source.is_broadcast() || source.is_loopback();
    if icmp_error
        || ip.offset != 0
        || nobody
        || ip.destination.is_multicast()
        || ip.destination.is_broadcast()
    {
        return None;
    }
    // RFC 1812 section 4.3.2.3: as much of the original as fits 576 bytes.
    let quoted = &original[..ip.total_len.min(576 - IPV4_HEADER - 8)];
    let mut buf = PacketBuf::from_slice(quoted);
    let mut header = [error.0, error.1, 0, 0, 0, 0, 0, 0];
    header[6..].copy_from_slice(&mtu.to_be_bytes());
    let checksum = fold(add(add(0, &header), quoted));
    header[2..4].copy_from_slice(&checksum.to_be_bytes());
    buf.put_front(&header);
    put_ipv4(&mut buf, Protocol::ICMP, from, source);
    Some(buf)
}

/// Cuts a packet into fragments of at most `mtu` bytes (RFC 791 section 3.2). Options are copied into every fragment,
/// which is right for those that must be copied and harmless for the rest.
///
/// # Errors
/// If the packet does not parse or the MTU leaves no room.
pub fn fragment(packet: &[u8], mtu: u16) -> Result<Vec<PacketBuf>, Error> {
    let ip = Ipv4::parse(packet)?;
    let room = usize::from(mtu).saturating_sub(ip.header_len) & !7;
    if room == 0 {
        return Err(Error::new("MTU", Kind::BadValue));
    }
    let last = ip.payload.len().div_ceil(room).max(1) - 1;
    let fragments = ip.payload.chunks(room).enumerate().map(|(n, chunk)| {
        let mut buf = PacketBuf::with_capacity(ip.header_len + chunk.len());
        buf.put_back(&packet[..ip.header_len]);
        buf.put_back(chunk);
        let offset = ((ip.offset + n * room) / 8) as u16;
        let more = if n < last || ip.more_fragments { 0x2000 } else { 0 };
        let total = (ip.header_len + chunk.len()) as u16;
        buf[2..4].copy_from_slice(&total.to_be_bytes());
        buf[6..8].copy_from_slice(&(offset | more).to_be_bytes());
        buf[10..12].fill(0);
        let checksum = fold(add(0, &buf[..ip.header_len]));
        buf[10..12].copy_from_slice(&checksum.to_be_bytes());
        buf
    });
    Ok(fragments.collect())
}

#[cfg(test)]
#[path = "inet_tests.rs"]
mod tests;
