//! What a client's or a server's IP stack does here: answers pings, remembers what came.

use sekisho::packet::PacketBuf;
use sekisho::wire::inet::{self, Ipv4, Protocol};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const UNREACHABLE: u8 = 3;

/// A UDP datagram that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Received {
    pub from: (Ipv4Addr, u16),
    pub to: (Ipv4Addr, u16),
    pub payload: Vec<u8>,
}

/// What came to a host.
#[derive(Default)]
pub struct Inbox {
    /// Echo replies: identifier and number.
    pub echoes: BTreeSet<(u16, u16)>,
    /// Datagrams to ports that no flow uses.
    pub datagrams: Vec<Received>,
    /// Numbers of a flow's datagrams in order of arrival, by port.
    pub flows: BTreeMap<u16, Vec<u32>>,
    /// TCP segments with their IP headers.
    pub segments: Vec<Vec<u8>>,
    /// ICMP errors with their IP headers.
    pub errors: Vec<Vec<u8>>,
    /// All IP packets.
    pub packets: u64,
}

/// Ports of flows; see [`super::flow`].
pub const FLOW_PORTS: std::ops::Range<u16> = 40_000..50_000;

impl Inbox {
    /// Takes a packet for one of our addresses; the answer, if it gets one, goes back by the way it came.
    pub fn take(&mut self, packet: &[u8]) -> Option<PacketBuf> {
        let ip = Ipv4::parse(packet).unwrap();
        self.packets += 1;
        if ip.offset > 0 || ip.more_fragments {
            return None;
        }
        if ip.protocol == Protocol::ICMP && ip.payload.first() == Some(&UNREACHABLE) {
            self.errors.push(packet[..ip.total_len].to_vec());
            return None;
        }
        if ip.protocol == Protocol::ICMP {
            let (&kind, rest) = ip.payload.split_first()?;
            let id = u16::from_be_bytes(*rest.get(3..)?.first_chunk()?);
            let number = u16::from_be_bytes(*rest.get(5..)?.first_chunk()?);
            match kind {
                ECHO_REQUEST => {
                    return Some(icmp(
                        ECHO_REPLY,
                        ip.destination,
                        ip.source,
                        (id, number),
                        ip.payload.len() - 8,
                    ));
                }
                ECHO_REPLY => {
                    self.echoes.insert((id, number));
                }
                _ => {}
            }
            return None;
        }
        if ip.protocol == Protocol::TCP {
            self.segments.push(packet[..ip.total_len].to_vec());
            return None;
        }
        let udp = ip.udp()?;
        if FLOW_PORTS.contains(&udp.destination) {
            let number = u32::from_be_bytes(*udp.payload.first_chunk()?);
            self.flows.entry(udp.destination).or_default().push(number);
        } else {
            self.datagrams.push(Received {
                from: (ip.source, udp.source),
                to: (ip.destination, udp.destination),
                payload: udp.payload.to_vec(),
            });
        }
        None
    }
}

/// An echo request with so many bytes behind its header.
pub fn ping(from: Ipv4Addr, to: Ipv4Addr, id: (u16, u16), size: usize) -> PacketBuf {
    icmp(ECHO_REQUEST, from, to, id, size)
}

/// The same packet with the DF bit.
pub fn dont_fragment(mut packet: PacketBuf) -> PacketBuf {
    packet[6] |= 0x40;
    packet[10..12].fill(0);
    let sum = inet::fold(inet::add(0, &packet[..20]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// A TCP SYN that announces this segment size.
pub fn syn(from: Ipv4Addr, to: Ipv4Addr, mss: u16) -> PacketBuf {
    let mut bytes = vec![0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x60, 0x02, 0xff, 0xff, 0, 0, 0, 0, 2, 4];
    bytes.extend(mss.to_be_bytes());
    let sum = inet::pseudo_header(from, to, Protocol::TCP, bytes.len());
    let checksum = inet::fold(inet::add(sum, &bytes));
    bytes[16..18].copy_from_slice(&checksum.to_be_bytes());
    let mut buf = PacketBuf::from_slice(&bytes);
    inet::put_ipv4(&mut buf, Protocol::TCP, from, to);
    buf
}

/// The segment size that a SYN announces, if its checksum is right.
pub fn announced_mss(segment: &[u8]) -> Option<u16> {
    let ip = Ipv4::parse(segment).unwrap();
    let sum = inet::pseudo_header(ip.source, ip.destination, Protocol::TCP, ip.payload.len());
    assert_eq!(inet::fold(inet::add(sum, ip.payload)), 0, "TCP checksum");
    ip.payload.get(22..24).map(|mss| u16::from_be_bytes([mss[0], mss[1]]))
}

fn icmp(kind: u8, from: Ipv4Addr, to: Ipv4Addr, id: (u16, u16), size: usize) -> PacketBuf {
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(id.0.to_be_bytes());
    bytes.extend(id.1.to_be_bytes());
    bytes.resize(8 + size, 0xa5);
    let checksum = inet::fold(inet::add(0, &bytes));
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    let mut buf = PacketBuf::from_slice(&bytes);
    inet::put_ipv4(&mut buf, Protocol::ICMP, from, to);
    buf
}
