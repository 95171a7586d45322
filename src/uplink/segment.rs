//! Where the parts of a TCP or UDP packet stand in a frame, and the checksums over them.

use crate::wire::ether::{EtherType, HEADER as ETHERNET};
use crate::wire::inet::{self, IPV4_HEADER, Protocol, UDP_HEADER};

/// Bytes of an IPv6 header.
pub(super) const IPV6_HEADER: usize = 40;
/// Bytes of a TCP header without options.
pub(super) const TCP_HEADER: usize = 20;

/// TCP's flag byte (RFC 9293 section 3.1).
pub(super) mod flag {
    pub(crate) const FIN: u8 = 0x01;
    pub(crate) const PSH: u8 = 0x08;
    pub(crate) const ACK: u8 = 0x10;
    pub(crate) const CWR: u8 = 0x80;
}

/// Offsets in a TCP or UDP header.
pub(super) const SEQ: usize = 4;
pub(super) const FLAGS: usize = 13;
pub(super) const TCP_CHECKSUM: usize = 16;
pub(super) const UDP_LENGTH: usize = 4;
pub(super) const UDP_CHECKSUM: usize = 6;

/// Two bytes as a number. The caller has looked at the length.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes as a number.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(super) fn set_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The pseudo-header's share of a checksum, but for the length: addresses and protocol (RFC 9293 section 3.1, RFC 8200
/// section 8.1).
pub(super) fn pseudo(frame: &[u8], l3: usize, v6: bool, protocol: Protocol) -> u32 {
    let addresses = if v6 { &frame[l3 + 8..l3 + 40] } else { &frame[l3 + 12..l3 + 20] };
    inet::add(protocol.0.into(), addresses)
}

/// A whole TCP segment or UDP datagram in an untagged frame, without options or extension headers of IP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) v6: bool,
    pub(super) tcp: bool,
    /// Where the TCP or UDP header begins.
    pub(super) l4: usize,
    /// Where the payload begins.
    pub(super) payload: usize,
    /// Bytes of payload.
    pub(super) len: usize,
}

impl Segment {
    /// Looks at a frame; `None` if it is anything else, a fragment, padded, or contradicts itself.
    #[inline]
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let ip = frame.get(ETHERNET..)?;
        let (v6, l4, protocol) = match u16_at(frame, ETHERNET - 2) {
            ethertype if ethertype == EtherType::IPV4.0 => {
                let header = ip.first_chunk::<IPV4_HEADER>()?;
                // Neither more fragments nor an offset; DF may be.
                let whole = u16_at(header, 6) & 0xBFFF == 0;
                if header[0] != 0x45 || !whole || usize::from(u16_at(header, 2)) != ip.len() {
                    return None;
                }
                (false, ETHERNET + IPV4_HEADER, Protocol(header[9]))
            }
            ethertype if ethertype == EtherType::IPV6.0 => {
                let header = ip.first_chunk::<IPV6_HEADER>()?;
                if header[0] >> 4 != 6 || usize::from(u16_at(header, 4)) + IPV6_HEADER != ip.len() {
                    return None;
                }
                (true, ETHERNET + IPV6_HEADER, Protocol(header[6]))
            }
            _ => return None,
        };
        let inner = &frame[l4..];
        let (tcp, header_len) = match protocol {
            Protocol::TCP => {
                let header = inner.first_chunk::<TCP_HEADER>()?;
                (true, usize::from(header[12] >> 4) * 4)
            }
            Protocol::UDP => {
                let header = inner.first_chunk::<UDP_HEADER>()?;
                if usize::from(u16_at(header, UDP_LENGTH)) != inner.len() {
                    return None;
                }
                (false, UDP_HEADER)
            }
            _ => return None,
        };
        if tcp && header_len < TCP_HEADER {
            return None;
        }
        let len = inner.len().checked_sub(header_len)?;
        Some(Self { v6, tcp, l4, payload: l4 + header_len, len })
    }

    const fn protocol(&self) -> Protocol {
        if self.tcp { Protocol::TCP } else { Protocol::UDP }
    }

    /// Addresses, without what else the header has.
    fn addresses<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        if self.v6 { &frame[ETHERNET + 8..self.l4] } else { &frame[ETHERNET + 12..self.l4] }
    }

    /// A number that is equal for equal flows, and nearly always different for different ones.
    pub(super) fn fingerprint(&self, frame: &[u8]) -> u64 {
        let (words, _) = self.addresses(frame).as_chunks::<8>();
        let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
        let ports = u64::from(u32_at(frame, self.l4)) << 8 | u64::from(self.protocol().0);
        words.iter().fold(ports, |sum, word| mix(sum, u64::from_ne_bytes(*word)))
    }

    /// Whether a frame of this shape has the same addresses and ports as another.
    pub(super) fn same_flow(&self, frame: &[u8], other: &Self, others: &[u8]) -> bool {
        (self.v6, self.tcp) == (other.v6, other.tcp)
            && frame[self.l4..self.l4 + 4] == others[other.l4..other.l4 + 4]
            && self.addresses(frame) == other.addresses(others)
    }

    /// The pseudo-header's sum, length included.
    pub(super) fn pseudo(&self, frame: &[u8], l4_len: usize) -> u32 {
        pseudo(frame, ETHERNET, self.v6, self.protocol()) + l4_len as u32
    }

    /// Whether the checksums of IP and of what it carries are right. The host does not look at those of frames that
    /// come together, so somebody must have.
    pub(super) fn is_intact(&self, frame: &[u8]) -> bool {
        let ip = self.v6 || inet::fold(inet::add(0, &frame[ETHERNET..self.l4])) == 0;
        ip && inet::fold(inet::add(self.pseudo(frame, frame.len() - self.l4), &frame[self.l4..])) == 0
    }
}
