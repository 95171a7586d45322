//! IPv6 addresses of the stations of a LAN, as neighbour discovery shows them (RFC 4861): for listings. Links carry IPv4, so
//! no frame is forwarded by what stands here, and it lives with the hub's owner alone.

use super::learning::Turns;
use super::{Mac, PortId};
use crate::wire::inet::Protocol;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

/// Bytes of an IPv6 header.
const HEADER: usize = 40;
/// Neighbour discovery crosses no router (RFC 4861 section 7.1).
const HOP_LIMIT: u8 = 255;
/// ICMPv6 types.
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The address that the sender of a packet claims as its own by neighbour discovery. A solicitation from nobody asks whether
/// an address is free (RFC 4862 section 5.4.2) and claims none yet.
pub(super) fn claim(packet: &[u8]) -> Option<Ipv6Addr> {
    let (header, message) = packet.split_first_chunk::<HEADER>()?;
    if header[6] != Protocol::ICMPV6.0 || header[7] != HOP_LIMIT {
        return None;
    }
    let (fixed, _) = message.split_first_chunk::<24>()?;
    let address = |bytes: &[u8]| <[u8; 16]>::try_from(bytes).ok().map(Ipv6Addr::from);
    let own = match (fixed[0], fixed[1]) {
        (SOLICITATION, 0) => address(&header[8..24])?,
        (ADVERTISEMENT, 0) => address(&fixed[8..24])?,
        _ => return None,
    };
    (!own.is_unspecified() && !own.is_multicast() && !own.is_loopback()).then_some(own)
}

/// Steps of the ageing clock (8 s) between two notices of the same address.
const REPEAT: u32 = 8;
/// What a port remembers of what it has told.
const TOLD: usize = 256;

/// What a worker has told of a port lately, so that it does not tell it again. What falls out is told twice, and that is all.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Made with the first.
    slots: Box<[(u64, u32)]>,
}

impl Told {
    /// Whether the owner has to hear of it.
    pub(super) fn is_news(&mut self, address: Ipv6Addr, mac: Mac, step: u32) -> bool {
        const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
        if self.slots.is_empty() {
            self.slots = vec![(0, 0); TOLD].into();
        }
        let bits = address.to_bits();
        let mixed = ((bits >> 64) as u64).wrapping_mul(FACTOR) ^ bits as u64;
        // Zero is an empty slot.
        let key = (mixed.wrapping_mul(FACTOR) ^ mac.to_u64()).wrapping_mul(FACTOR) | 1;
        let Some(slot) = self.slots.get_mut((key >> 56) as usize % TOLD) else { return true };
        if slot.0 == key && step.wrapping_sub(slot.1) < REPEAT {
            return false;
        }
        *slot = (key, step);
        true
    }
}

/// How long an address is kept after it was seen last: 600 s, in steps.
const KEEP: u32 = 75;

/// What is known of an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) mac: Mac,
    pub(super) port: PortId,
    /// The step at which it was seen last.
    pub(super) seen: u32,
}

/// The addresses that a hub has learned.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<Ipv6Addr, Entry>,
    turns: Turns<Ipv6Addr>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes an address; a new one finds a place only where there is `room`.
    pub(super) fn learn(&mut self, address: Ipv6Addr, entry: Entry, room: bool) {
        if !self.entries.contains_key(&address) && !room {
            return;
        }
        self.entries.insert(address, entry);
        self.turns.set(address, entry.seen + KEEP);
    }

    /// Forgets an address; returns whether it was known.
    pub(super) fn forget(&mut self, address: Ipv6Addr) -> bool {
        self.entries.remove(&address);
        self.turns.forget(address)
    }

    /// Forgets what is behind a port.
    pub(super) fn forget_port(&mut self, port: PortId) {
        let gone = self.entries.extract_if(.., |_, entry| entry.port == port);
        for (address, _) in gone {
            self.turns.forget(address);
        }
    }

    /// The step at which the next one is over.
    pub(super) fn next(&self) -> Option<u32> {
        self.turns.next()
    }

    /// Forgets one that is over; returns whether there was one.
    pub(super) fn expire(&mut self, step: u32) -> bool {
        self.turns.due(step).is_some_and(|address| self.forget(address))
    }

    /// Those behind an address, in order.
    pub(super) fn after(&self, after: Option<Ipv6Addr>) -> impl Iterator<Item = (Ipv6Addr, Entry)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let entries = self.entries.range((after.map_or(Unbounded, Excluded), Unbounded));
        entries.map(|(address, entry)| (*address, *entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::WorkerId;
    use proptest::prelude::*;

    const ADDRESS: Ipv6Addr = Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 7);
    const OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, 7);
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);
    const PORT: PortId = PortId::new(WorkerId(0), 1);

    fn packet(kind: u8, source: Ipv6Addr, target: Ipv6Addr) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
        packet.extend(source.octets());
        packet.extend(Ipv6Addr::LOCALHOST.octets());
        packet.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(target.octets());
        packet
    }

    #[test]
    fn who_asks_shows_its_own_address_and_who_answers_the_one_that_was_asked_for() {
        assert_eq!(claim(&packet(SOLICITATION, ADDRESS, OTHER)), Some(ADDRESS));
        assert_eq!(claim(&packet(ADVERTISEMENT, ADDRESS, OTHER)), Some(OTHER));
        assert_eq!(
            claim(&packet(SOLICITATION, Ipv6Addr::UNSPECIFIED, OTHER)),
            None,
            "asks whether it is free"
        );
        assert_eq!(claim(&packet(128, ADDRESS, OTHER)), None, "a ping");
        let mut routed = packet(SOLICITATION, ADDRESS, OTHER);
        routed[7] = 254;
        assert_eq!(claim(&routed), None, "from another network");
    }

    #[test]
    fn the_same_is_told_once_in_a_while() {
        let mut told = Told::default();
        assert!(told.is_news(ADDRESS, MAC, 1) && !told.is_news(ADDRESS, MAC, 1 + REPEAT - 1));
        assert!(told.is_news(OTHER, MAC, 1) && told.is_news(ADDRESS, Mac([2, 0, 0, 0, 0, 8]), 1));
        assert!(told.is_news(ADDRESS, MAC, 1 + REPEAT));
    }

    #[test]
    fn entries_age_from_when_they_were_seen_last() {
        let mut table = Table::default();
        let entry = |seen| Entry { mac: MAC, port: PORT, seen };
        table.learn(ADDRESS, entry(1), true);
        table.learn(OTHER, entry(2), true);
        table.learn(ADDRESS, entry(10), false);
        assert_eq!((table.len(), table.next()), (2, Some(2 + KEEP)));
        assert!(table.expire(2 + KEEP) && !table.expire(2 + KEEP));
        assert_eq!(table.after(None).map(|(address, _)| address).collect::<Vec<_>>(), [ADDRESS]);
        table.learn(OTHER, entry(11), false);
        assert_eq!(table.len(), 1, "no room");
        table.forget_port(PORT);
        assert_eq!((table.len(), table.next()), (0, None));
    }

    proptest! {
        #[test]
        fn any_packet_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = claim(&bytes);
        }
    }
}
