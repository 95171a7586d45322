//! `virtio_net_hdr` (linux/virtio_net.h), as the TUN driver uses it: ten bytes in the machine's own byte order.

/// Bytes of the header, without the field for merged buffers. All zeroes say that there is nothing to say.
pub const HEADER: usize = 10;

const NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// A bit beside the type: the first segment has CWR set.
const GSO_ECN: u8 = 0x80;

/// What a large frame consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Gso {
    /// It is one frame.
    #[default]
    None,
    /// Segments of a TCP connection over IPv4.
    TcpV4,
    /// Segments of a TCP connection over IPv6.
    TcpV6,
    /// Datagrams of a UDP flow, over either.
    Udp,
}

/// The header before a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VirtioHeader {
    /// The checksum is not filled in: its field has the pseudo-header's sum.
    pub needs_checksum: bool,
    /// What the frame consists of.
    pub gso: Gso,
    /// Whether CWR is set, which only the first segment may keep (RFC 3168 section 6.1.2).
    pub ecn: bool,
    /// Bytes of all headers together; a hint.
    pub header_len: u16,
    /// Payload bytes of each segment but the last.
    pub segment: u16,
    /// Where the checksummed bytes begin: the TCP or UDP header.
    pub checksum_start: u16,
    /// Where in them the checksum stands.
    pub checksum_offset: u16,
}

impl VirtioHeader {
    /// Reads a header; `None` for a type that was never asked for.
    #[must_use]
    pub fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let [flags, gso, h0, h1, s0, s1, c0, c1, o0, o1] = *bytes;
        Some(Self {
            needs_checksum: flags & NEEDS_CSUM != 0,
            gso: match gso & !GSO_ECN {
                GSO_NONE => Gso::None,
                GSO_TCPV4 => Gso::TcpV4,
                GSO_TCPV6 => Gso::TcpV6,
                GSO_UDP_L4 => Gso::Udp,
                _ => return None,
            },
            ecn: gso & GSO_ECN != 0,
            header_len: u16::from_ne_bytes([h0, h1]),
            segment: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([c0, c1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        })
    }

    /// Its bytes.
    #[must_use]
    pub const fn emit(&self) -> [u8; HEADER] {
        let gso = match self.gso {
            Gso::None => GSO_NONE,
            Gso::TcpV4 => GSO_TCPV4,
            Gso::TcpV6 => GSO_TCPV6,
            Gso::Udp => GSO_UDP_L4,
        };
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [s0, s1] = self.segment.to_ne_bytes();
        let [c0, c1] = self.checksum_start.to_ne_bytes();
        let [o0, o1] = self.checksum_offset.to_ne_bytes();
        let gso = if self.ecn { gso | GSO_ECN } else { gso };
        [self.needs_checksum as u8, gso, h0, h1, s0, s1, c0, c1, o0, o1]
    }
}
