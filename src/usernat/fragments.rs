//! Packets of clients that come in pieces, in any order (RFC 4787 section 11, RFC 5508): put together within bounds.

use crate::packet::PacketBuf;
use crate::wire::inet::{IPV4_HEADER, Ipv4, Protocol, put_ipv4};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Packets that are in pieces at once.
const PACKETS: usize = 64;
/// Of one client.
const PER_CLIENT: usize = 8;
/// Pieces of one packet.
const PIECES: usize = 64;
/// How long the rest is waited for (RFC 791 section 3.2 suggests 15 s).
const PATIENCE: Duration = Duration::from_secs(15);

struct Packet {
    key: (Ipv4Addr, Ipv4Addr, u8, u16),
    until: Instant,
    /// Offset and bytes of each piece, in order of the offsets.
    pieces: Vec<(usize, Vec<u8>)>,
    /// The whole length, once the last piece is there.
    length: Option<usize>,
}

/// Packets in pieces.
#[derive(Default)]
pub(super) struct Fragments(Vec<Packet>);

impl Fragments {
    /// Takes a piece; returns the packet when it was the last that was missing. Pieces that overlap end the packet
    /// (RFC 5722's reason holds for IPv4 as well).
    pub(super) fn put(&mut self, now: Instant, bytes: &[u8], ip: &Ipv4<'_>) -> Option<PacketBuf> {
        let ident = u16::from_be_bytes([bytes[4], bytes[5]]);
        let key = (ip.source, ip.destination, ip.protocol.0, ident);
        let at = match self.0.iter().position(|packet| packet.key == key) {
            Some(at) => at,
            None => {
                self.expire(now);
                let of_client = self.0.iter().filter(|packet| packet.key.0 == ip.source).count();
                if self.0.len() >= PACKETS || of_client >= PER_CLIENT {
                    return None;
                }
                self.0.push(Packet { key, until: now + PATIENCE, pieces: Vec::new(), length: None });
                self.0.len() - 1
            }
        };
        let packet = self.0.get_mut(at)?;
        let end = ip.offset + ip.payload.len();
        let place = packet.pieces.partition_point(|(offset, _)| *offset < ip.offset);
        let before = place.checked_sub(1).and_then(|n| packet.pieces.get(n));
        let after = packet.pieces.get(place);
        if after.is_some_and(|(offset, piece)| *offset == ip.offset && piece == ip.payload) {
            return None; // the very same once more
        }
        let overlaps = before.is_some_and(|(offset, piece)| offset + piece.len() > ip.offset)
            || after.is_some_and(|(offset, _)| *offset < end);
        let whole = if ip.more_fragments { None } else { Some(end) };
        let contradicts = packet.length.zip(whole).is_some_and(|(old, new)| old != new)
            || packet.length.is_some_and(|length| end > length)
            || ip.more_fragments && (ip.payload.is_empty() || !ip.payload.len().is_multiple_of(8))
            || end > usize::from(u16::MAX) - IPV4_HEADER;
        if overlaps || contradicts || packet.pieces.len() == PIECES {
            self.0.swap_remove(at);
            return None;
        }
        packet.length = packet.length.or(whole);
        packet.pieces.insert(place, (ip.offset, ip.payload.to_vec()));
        let have: usize = packet.pieces.iter().map(|(_, piece)| piece.len()).sum();
        if packet.length != Some(have) {
            return None;
        }
        let packet = self.0.swap_remove(at);
        let mut whole = PacketBuf::with_capacity(have);
        for (_, piece) in &packet.pieces {
            whole.put_back(piece);
        }
        put_ipv4(&mut whole, Protocol(packet.key.2), packet.key.0, packet.key.1);
        Some(whole)
    }

    /// Forgets those whose rest did not come.
    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|packet| packet.until > now);
    }
}
