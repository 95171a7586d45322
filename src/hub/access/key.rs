//! What rules and filters look at in a frame, read once for all of them.

use super::{Carries, Net};
use crate::wire::ether::{EtherType, Frame};
use crate::wire::inet::{Ipv4, Protocol};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An address of either family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::hub) enum Address {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Address {
    #[inline]
    pub(in crate::hub) fn is_in(self, net: Net) -> bool {
        match (self, net) {
            (Self::V4(address), Net::V4(network)) => network.contains(address),
            (Self::V6(address), Net::V6(network, length)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                (address.to_bits() ^ network.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(in crate::hub) struct Key {
    pub(in crate::hub) ethertype: EtherType,
    /// Of IP alone; what cannot be read is none.
    pub(in crate::hub) protocol: Option<u8>,
    pub(in crate::hub) source: Option<Address>,
    pub(in crate::hub) destination: Option<Address>,
    /// Of TCP and UDP alone, in the first fragment.
    pub(in crate::hub) ports: Option<(u16, u16)>,
    /// A TCP segment of a connection that is there: ACK or RST.
    pub(in crate::hub) established: bool,
    /// A fragment that would write over the ports or flags of the one before it (RFC 1858, RFC 3128).
    pub(in crate::hub) is_tiny_fragment: bool,
}

impl Key {
    #[inline]
    pub(in crate::hub) fn of(frame: &Frame<'_>) -> Self {
        let mut key = Self {
            ethertype: frame.ethertype,
            protocol: None,
            source: None,
            destination: None,
            ports: None,
            established: false,
            is_tiny_fragment: false,
        };
        match frame.ethertype {
            EtherType::IPV4 => {
                let Ok(ip) = Ipv4::parse(frame.payload) else { return key };
                key.source = Some(Address::V4(ip.source));
                key.destination = Some(Address::V4(ip.destination));
                key.read_transport(ip.protocol, ip.offset, ip.more_fragments, ip.payload);
            }
            EtherType::IPV6 => key.read_ipv6(frame.payload),
            _ => {}
        }
        key
    }

    fn read_ipv6(&mut self, payload: &[u8]) {
        let Some((header, mut rest)) = payload.split_first_chunk::<40>() else { return };
        let address = |at: usize| {
            let bytes: Option<[u8; 16]> = header.get(at..at + 16).and_then(|bytes| bytes.try_into().ok());
            bytes.map(|bytes| Address::V6(bytes.into()))
        };
        (self.source, self.destination) = (address(8), address(24));
        let mut next = header[6];
        let (mut offset, mut more) = (0, false);
        // RFC 8200: extension headers are stepped over, or a rule could be evaded with one.
        for _ in 0..8 {
            match (next, rest) {
                (0 | 43 | 60, [after, length, ..]) => {
                    let Some(behind) = rest.get(8 + usize::from(*length) * 8..) else { return };
                    (next, rest) = (*after, behind);
                }
                (44, [after, _, high, low, ..]) => {
                    let field = u16::from_be_bytes([*high, *low]);
                    (offset, more) = (usize::from(field & 0xFFF8), field & 1 == 1);
                    let Some(behind) = rest.get(8..) else { return };
                    (next, rest) = (*after, behind);
                    if offset > 0 {
                        break;
                    }
                }
                _ => break,
            }
        }
        self.read_transport(Protocol(next), offset, more, rest);
    }

    #[inline]
    fn read_transport(&mut self, protocol: Protocol, offset: usize, more: bool, payload: &[u8]) {
        self.protocol = Some(protocol.0);
        if offset > 0 {
            self.is_tiny_fragment = protocol == Protocol::TCP && offset < 20;
            return;
        }
        match (protocol, payload) {
            (Protocol::TCP, [a, b, c, d, ..]) => {
                self.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
                match payload.get(13) {
                    Some(flags) => self.established = flags & 0x14 != 0,
                    None => self.is_tiny_fragment = more,
                }
            }
            (Protocol::UDP, [a, b, c, d, ..]) => {
                self.ports = Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
            }
            _ => {}
        }
    }

    /// Whether a rule of this protocol is about the frame. One of none is about everything but ARP, without which nothing
    /// else works.
    #[inline]
    pub(in crate::hub) fn is_of(&self, carries: Option<Carries>) -> bool {
        match carries {
            None => self.ethertype != EtherType::ARP,
            Some(Carries::Arp) => self.ethertype == EtherType::ARP,
            Some(Carries::Ipv4) => self.ethertype == EtherType::IPV4,
            Some(Carries::Ipv6) => self.ethertype == EtherType::IPV6,
            Some(Carries::Protocol(number)) => self.protocol == Some(number),
        }
    }
}
