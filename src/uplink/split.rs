//! From the host: one large frame becomes the frames that the wire would have carried.

use super::header::{Gso, HEADER, VirtioHeader};
use super::segment::{
    FLAGS, IPV6_HEADER, SEQ, TCP_CHECKSUM, TCP_HEADER, UDP_CHECKSUM, UDP_LENGTH, flag, pseudo, set_u16,
    u16_at, u32_at,
};
use crate::packet::{Drop, PacketBuf, Pool};
use crate::wire::ether::{EtherType, Frame};
use crate::wire::inet::{self, IPV4_HEADER, Protocol, UDP_HEADER};
use crate::wire::{Error, Kind};

const fn malformed(what: &'static str, kind: Kind) -> Drop {
    Drop::Malformed(Error::new(what, kind))
}

/// Takes what one read from a TAP gave, header first, and appends the frames that it stands for to `out`, complete with
/// checksums. Each frame's payload is copied once, out of the space that the read filled.
///
/// # Errors
/// [`Drop::Malformed`] for a header that does not fit its frame; nothing is appended then.
pub fn split(bytes: &[u8], pool: &mut Pool, out: &mut Vec<PacketBuf>) -> Result<(), Drop> {
    let (header, frame) =
        bytes.split_first_chunk::<HEADER>().ok_or(malformed("virtio header", Kind::Truncated))?;
    let header = VirtioHeader::parse(header).ok_or(malformed("virtio GSO type", Kind::BadValue))?;
    if header.gso != Gso::None {
        Large::parse(&header, frame)?.cut(pool, out);
        return Ok(());
    }
    let start = usize::from(header.checksum_start);
    let at = start + usize::from(header.checksum_offset);
    if header.needs_checksum && at + 2 > frame.len() {
        return Err(malformed("virtio checksum", Kind::BadLength));
    }
    let mut buf = pool.copy(frame);
    if header.needs_checksum {
        let udp = usize::from(header.checksum_offset) == UDP_CHECKSUM;
        let checksum = checksum(0, &buf[start..], udp);
        set_u16(&mut buf, at, checksum);
    }
    out.push(buf);
    Ok(())
}

/// The checksum field for these bytes. RFC 768: UDP sends a computed zero as all ones, because zero means "no checksum".
fn checksum(sum: u32, bytes: &[u8], udp: bool) -> u16 {
    match inet::fold(inet::add(sum, bytes)) {
        0 if udp => 0xFFFF,
        sum => sum,
    }
}

/// A frame that stands for many.
struct Large<'a> {
    frame: &'a [u8],
    v6: bool,
    tcp: bool,
    l3: usize,
    l4: usize,
    payload: usize,
    /// Where the packet ends.
    end: usize,
    segment: usize,
}

impl<'a> Large<'a> {
    fn parse(header: &VirtioHeader, frame: &'a [u8]) -> Result<Self, Drop> {
        let ether = Frame::parse(frame)?;
        let l3 = frame.len() - ether.payload.len();
        let l4 = usize::from(header.checksum_start);
        let ip = ether.payload;
        let truncated = malformed("IP header of a large frame", Kind::Truncated);
        let bad = malformed("headers of a large frame", Kind::BadValue);
        let tcp = header.gso != Gso::Udp;
        let (v6, end) = match ether.ethertype {
            EtherType::IPV4 if header.gso != Gso::TcpV6 => {
                let fixed = ip.first_chunk::<IPV4_HEADER>().ok_or(truncated)?;
                let header_len = usize::from(fixed[0] & 0x0F) * 4;
                let protocol = if tcp { Protocol::TCP } else { Protocol::UDP };
                let whole = u16_at(fixed, 6) & 0xBFFF == 0;
                if fixed[0] >> 4 != 4 || l4 != l3 + header_len || fixed[9] != protocol.0 || !whole {
                    return Err(bad);
                }
                (false, l3 + usize::from(u16_at(fixed, 2)))
            }
            EtherType::IPV6 if header.gso != Gso::TcpV4 => {
                let fixed = ip.first_chunk::<IPV6_HEADER>().ok_or(truncated)?;
                // Extension headers may stand between; the kernel has stepped over them.
                if fixed[0] >> 4 != 6 || l4 < l3 + IPV6_HEADER {
                    return Err(bad);
                }
                (true, l3 + IPV6_HEADER + usize::from(u16_at(fixed, 4)))
            }
            _ => return Err(bad),
        };
        let inner = frame.get(l4..end).ok_or(malformed("large frame", Kind::BadLength))?;
        let header_len = if tcp {
            let fixed = inner.first_chunk::<TCP_HEADER>().ok_or(truncated)?;
            usize::from(fixed[12] >> 4) * 4
        } else {
            UDP_HEADER
        };
        let least = if tcp { TCP_HEADER } else { UDP_HEADER };
        let segment = usize::from(header.segment);
        if segment == 0 || header_len < least || header_len > inner.len() {
            return Err(bad);
        }
        Ok(Self { frame, v6, tcp, l3, l4, payload: l4 + header_len, end, segment })
    }

    fn cut(&self, pool: &mut Pool, out: &mut Vec<PacketBuf>) {
        let Self { frame, v6, tcp, l3, l4, payload, .. } = *self;
        let protocol = if tcp { Protocol::TCP } else { Protocol::UDP };
        let pseudo = pseudo(frame, l3, v6, protocol);
        let (headers, body) = (&frame[..payload], &frame[payload..self.end]);
        let pieces = body.len().div_ceil(self.segment);
        let id = u16_at(frame, l3 + 4);
        for (n, piece) in body.chunks(self.segment).enumerate() {
            let mut buf = pool.take(headers.len() + piece.len());
            buf.put_back(headers);
            buf.put_back(piece);
            // All that follows are fields of headers that have been looked at, and lengths of at most 64 KiB.
            let packet = &mut buf[l3..];
            if v6 {
                set_u16(packet, 4, (packet.len() - IPV6_HEADER) as u16);
            } else {
                set_u16(packet, 2, packet.len() as u16);
                set_u16(packet, 4, id.wrapping_add(n as u16));
                set_u16(packet, 10, 0);
                let sum = inet::fold(inet::add(0, &packet[..l4 - l3]));
                set_u16(packet, 10, sum);
            }
            let inner = &mut buf[l4..];
            let len = inner.len();
            let field = if tcp {
                let seq = u32_at(inner, SEQ).wrapping_add((n * self.segment) as u32);
                inner[SEQ..SEQ + 4].copy_from_slice(&seq.to_be_bytes());
                if n > 0 {
                    inner[FLAGS] &= !flag::CWR;
                }
                if n + 1 < pieces {
                    inner[FLAGS] &= !(flag::FIN | flag::PSH);
                }
                TCP_CHECKSUM
            } else {
                set_u16(inner, UDP_LENGTH, len as u16);
                UDP_CHECKSUM
            };
            set_u16(inner, field, 0);
            let sum = checksum(pseudo + len as u32, inner, !tcp);
            set_u16(inner, field, sum);
            out.push(buf);
        }
    }
}
