//! A router between two hubs, and what is around it.

use super::*;
use crate::entropy::Entropy;
use crate::hub::{Hub, HubId, KnownStation, Settings, UplinkPermit, lease};
use crate::packet::WorkerId;
use crate::wire::inet::udp_packet;
use proptest::prelude::*;
use std::time::Duration;

const OFFICE: PortId = PortId::new(WorkerId(0), 1);
const GUESTS: PortId = PortId::new(WorkerId(0), 2);
const OFFICE_MAC: Mac = Mac([0x5A, 0, 0, 0, 1, 1]);
const GUESTS_MAC: Mac = Mac([0x5A, 0, 0, 0, 2, 1]);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 254);
const ROUTER_THERE: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 254);
/// A station of each hub that its table knows, and one that it does not.
const PC: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 50);
const PC_MAC: Mac = Mac([2, 0, 0, 0, 1, 50]);
const NAS: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 60);
const NAS_MAC: Mac = Mac([2, 0, 0, 0, 2, 60]);
const UNKNOWN: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 77);
const UNKNOWN_MAC: Mac = Mac([2, 0, 0, 0, 2, 77]);
/// Behind a router of the guests' hub.
const FAR: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);

/// Whither a frame goes: its port, its receiver; and its payload.
type Sent = (PortId, Mac, Vec<u8>);

struct World {
    now: Instant,
    hubs: [Hub; 2],
    router: Router,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new() -> Self {
        let now = Instant::now();
        let hub = |id: u32, known: KnownStation| {
            let network: Network = format!("10.{}.0.0/24", 59 + id).parse().unwrap();
            let settings = Settings::new(lease::Settings::of_network(network));
            let mut hub =
                Hub::new(now, HubId(id), &format!("HUB{id}"), settings, Entropy::from_number(u64::from(id)));
            let permit = UplinkPermit::uplink_by_configuration(vec![known]);
            hub.open_uplink(now, PortId::new(WorkerId(0), 9), permit).unwrap();
            hub
        };
        let hubs = [
            hub(1, KnownStation { mac: PC_MAC, addresses: vec![PC] }),
            hub(2, KnownStation { mac: NAS_MAC, addresses: vec![NAS] }),
        ];
        let leg = |n: usize, port, mac, address| {
            let network = hubs[n].settings().leases.network;
            Leg { port, hub: hubs[n].view().clone(), mac, address, network }
        };
        let legs = vec![leg(0, OFFICE, OFFICE_MAC, ROUTER), leg(1, GUESTS, GUESTS_MAC, ROUTER_THERE)];
        let routes = [
            Route { to: "192.168.0.0/16".parse().unwrap(), via: NAS },
            Route { to: "192.168.8.0/24".parse().unwrap(), via: PC },
        ];
        let router = Router::new(legs, &routes);
        Self { now, hubs, router }
    }

    /// Sends a packet to the router from a station of the office; what comes of it: ports, receivers, packets.
    fn send(&mut self, packet: PacketBuf) -> (Result<(), Drop>, Vec<Sent>) {
        self.send_at(OFFICE, packet)
    }

    fn send_at(&mut self, port: PortId, mut packet: PacketBuf) -> (Result<(), Drop>, Vec<Sent>) {
        let mac = if port == OFFICE { OFFICE_MAC } else { GUESTS_MAC };
        packet.put_front(&header(mac, PC_MAC, EtherType::IPV4));
        self.frame(port, packet)
    }

    fn frame(&mut self, port: PortId, frame: PacketBuf) -> (Result<(), Drop>, Vec<Sent>) {
        let mut sent = Vec::new();
        let result = self.router.handle_frame(self.now, port, frame, &mut |port, buf| sent.push((port, buf)));
        (result, sent.into_iter().map(opened).collect())
    }

    fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let (mut sent, end) = (Vec::new(), self.now + time);
        while let Some(at) = self.router.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            self.router.handle_timeout(at, &mut |port, buf| sent.push((port, buf)));
        }
        self.now = end;
        sent.into_iter().map(opened).collect()
    }
}

/// A frame as its port, its receiver, and its payload. It must come from the router's own station.
fn opened((port, buf): (PortId, PacketBuf)) -> Sent {
    let frame = Frame::parse(&buf).unwrap();
    assert_eq!(frame.source, if port == OFFICE { OFFICE_MAC } else { GUESTS_MAC });
    if frame.ethertype == EtherType::IPV4 {
        let ip = Ipv4::parse(frame.payload).unwrap();
        assert_eq!(inet::fold(inet::add(0, &frame.payload[..ip.header_len])), 0);
    }
    (port, frame.destination, frame.payload.to_vec())
}

fn packet(from: Ipv4Addr, to: Ipv4Addr) -> PacketBuf {
    udp_packet((from, 1000), (to, 2000), b"hello")
}

/// The same packet with other bytes at a place of its header, and the checksum made right again.
fn with(mut packet: PacketBuf, at: usize, bytes: &[u8]) -> PacketBuf {
    packet[at..at + bytes.len()].copy_from_slice(bytes);
    packet[10..12].fill(0);
    let sum = inet::fold(inet::add(0, &packet[..inet::IPV4_HEADER]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

fn icmp(packet: &[u8]) -> (Ipv4Addr, Ipv4Addr, Icmp) {
    let ip = Ipv4::parse(packet).unwrap();
    assert_eq!(ip.protocol, Protocol::ICMP);
    assert_eq!(inet::fold(inet::add(0, ip.payload)), 0);
    (ip.source, ip.destination, Icmp(ip.payload[0], ip.payload[1]))
}

#[test]
fn packets_go_from_hub_to_hub_one_hop_older() {
    let mut w = World::new();
    let (result, sent) = w.send(packet(PC, NAS));
    result.unwrap();
    let [(port, mac, bytes)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((*port, *mac, bytes[8]), (GUESTS, NAS_MAC, 63));
    let ip = Ipv4::parse(bytes).unwrap();
    assert_eq!((ip.source, ip.destination, ip.udp().unwrap().payload), (PC, NAS, &b"hello"[..]));
    let (result, sent) = w.send_at(GUESTS, packet(NAS, PC));
    result.unwrap();
    assert_eq!((sent[0].0, sent[0].1), (OFFICE, PC_MAC));
    assert_eq!(w.router.counts(), Counts { forwarded: 2, discarded: 0 });
}

#[test]
fn the_longest_prefix_decides_and_its_router_is_the_next_hop() {
    let mut w = World::new();
    let (_, sent) = w.send(packet(PC, FAR));
    assert_eq!((sent[0].0, sent[0].1), (GUESTS, NAS_MAC));
    let (_, sent) = w.send_at(GUESTS, packet(NAS, Ipv4Addr::new(192, 168, 8, 1)));
    assert_eq!((sent[0].0, sent[0].1), (OFFICE, PC_MAC));
    let (result, sent) = w.send(packet(PC, Ipv4Addr::new(203, 0, 113, 1)));
    assert_eq!(result, Err(Drop::NoRoute));
    assert_eq!(icmp(&sent[0].2), (ROUTER, PC, Icmp::NET_UNREACHABLE));
}

#[test]
fn its_own_addresses_answer_from_either_side() {
    let mut w = World::new();
    for to in [ROUTER, ROUTER_THERE] {
        let mut echo = PacketBuf::from_slice(&[8, 0, 0, 0, 0, 7, 0, 1, b'?']);
        let sum = inet::fold(inet::add(0, &echo));
        echo[2..4].copy_from_slice(&sum.to_be_bytes());
        put_ipv4(&mut echo, Protocol::ICMP, PC, to);
        let (result, sent) = w.send(echo);
        result.unwrap();
        let (port, mac, bytes) = &sent[0];
        assert_eq!((*port, *mac, icmp(bytes)), (OFFICE, PC_MAC, (to, PC, Icmp(0, 0))));
        let (_, sent) = w.send(packet(PC, to));
        assert_eq!(icmp(&sent[0].2), (ROUTER, PC, Icmp::PORT_UNREACHABLE));
    }
    let arp = Arp::request(PC_MAC, PC, ROUTER).frame(Mac::BROADCAST);
    let (_, sent) = w.frame(OFFICE, arp);
    let reply = Arp::parse(&sent[0].2).unwrap();
    assert_eq!((reply.sender, reply.sender_mac, sent[0].1), (ROUTER, OFFICE_MAC, PC_MAC));
    // Its other addresses are not asked for here.
    let (_, sent) = w.frame(OFFICE, Arp::request(PC_MAC, PC, ROUTER_THERE).frame(Mac::BROADCAST));
    assert!(sent.is_empty());
}

#[test]
fn a_packet_that_is_too_old_ends_here_and_its_sender_hears_of_it() {
    let mut w = World::new();
    let (result, sent) = w.send(with(packet(PC, NAS), 8, &[1]));
    assert_eq!(result, Err(Drop::TtlExceeded));
    assert_eq!(icmp(&sent[0].2), (ROUTER, PC, Icmp::TTL_EXCEEDED));
}

#[test]
fn who_is_not_where_the_packet_came_from_is_not_believed() {
    let mut w = World::new();
    for source in [
        "10.61.0.60",
        "203.0.113.1",
        "10.60.0.254",
        "10.61.0.254",
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "10.60.0.255",
    ] {
        let (result, sent) = w.send(packet(source.parse().unwrap(), NAS));
        assert_eq!(result, Err(Drop::SpoofedSource), "{source}");
        assert!(sent.is_empty());
    }
    // From behind a router of the hub it is.
    let (result, _) = w.send_at(GUESTS, packet(FAR, PC));
    result.unwrap();
}

#[test]
fn a_segments_own_traffic_stays_there() {
    let mut w = World::new();
    let (result, sent) = w.send(packet(PC, Ipv4Addr::new(10, 60, 0, 51)));
    assert_eq!((result, sent.len()), (Err(Drop::NoPort), 0), "clients that are kept apart do not meet here");
    for to in ["10.61.0.255", "10.61.0.0", "224.0.0.5", "255.255.255.255", "127.0.0.1"] {
        let (result, sent) = w.send(packet(PC, to.parse().unwrap()));
        assert_eq!((result, sent.len()), (Err(Drop::NotCarried), 0), "{to}");
    }
    // What was a broadcast of the segment is not routed.
    let mut frame = packet(PC, NAS);
    frame.put_front(&header(Mac::BROADCAST, PC_MAC, EtherType::IPV4));
    assert_eq!(w.frame(OFFICE, frame).0, Err(Drop::NotCarried));
}

#[test]
fn a_neighbour_is_asked_for_and_packets_wait() {
    let mut w = World::new();
    let (result, sent) = w.send(packet(PC, UNKNOWN));
    result.unwrap();
    let arp = Arp::parse(&sent[0].2).unwrap();
    assert_eq!((sent[0].0, arp.target, arp.sender), (GUESTS, UNKNOWN, ROUTER_THERE));
    let reply = Arp::request(GUESTS_MAC, ROUTER_THERE, UNKNOWN).reply(UNKNOWN_MAC).frame(GUESTS_MAC);
    let (_, sent) = w.frame(GUESTS, reply);
    assert_eq!((sent[0].0, sent[0].1, sent[0].2[8]), (GUESTS, UNKNOWN_MAC, 63));
    let (_, sent) = w.send(packet(PC, UNKNOWN));
    assert_eq!(sent[0].1, UNKNOWN_MAC);
    assert!(w.router.poll_timeout().is_none(), "nothing to do while nothing waits");
}

#[test]
fn a_neighbour_that_does_not_answer_is_told_to_the_sender() {
    let mut w = World::new();
    w.send(packet(PC, UNKNOWN)).0.unwrap();
    let told = w.pass(Duration::from_secs(2));
    let (asks, errors): (Vec<_>, Vec<_>) = told.into_iter().partition(|(port, ..)| *port == GUESTS);
    assert_eq!(asks.len(), 2, "asked again twice");
    assert_eq!(icmp(&errors[0].2), (ROUTER, PC, Icmp::HOST_UNREACHABLE));
    let (result, sent) = w.send(packet(PC, UNKNOWN));
    assert_eq!(result, Err(Drop::Unresolved));
    assert_eq!(icmp(&sent[0].2), (ROUTER, PC, Icmp::HOST_UNREACHABLE));
    assert_eq!(w.router.counts().discarded, 2);
}

#[test]
fn a_flood_that_nobody_wants_is_not_answered_without_end() {
    let mut w = World::new();
    let answers: usize = (0..10_000).map(|_| w.send(packet(PC, Ipv4Addr::new(8, 8, 8, 8))).1.len()).sum();
    assert!((1..=60).contains(&answers), "{answers}");
}

#[test]
fn packets_that_say_how_they_want_to_be_routed_are_discarded() {
    let mut w = World::new();
    let mut packet = packet(PC, NAS).to_vec();
    for option in [131, 137] {
        let mut long = packet[..20].to_vec();
        long.extend_from_slice(&[option, 7, 4, 10, 61, 0, 60, 0]);
        long.extend_from_slice(&packet[20..]);
        long[0] = 0x47;
        let total = long.len() as u16;
        long[2..4].copy_from_slice(&total.to_be_bytes());
        long[10..12].fill(0);
        let sum = inet::fold(inet::add(0, &long[..28]));
        long[10..12].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(w.send(PacketBuf::from_slice(&long)).0, Err(Drop::NotCarried));
    }
    packet[10] ^= 1;
    assert!(matches!(w.send(PacketBuf::from_slice(&packet)).0, Err(Drop::Malformed(_))));
}

#[test]
fn clients_of_a_hub_are_found_in_its_table() {
    // A hub whose table knows a station needs no ARP: the world's hubs know one each.
    let w = World::new();
    assert_eq!(w.hubs[0].view().mac_of(PC), Some(PC_MAC));
    assert_eq!(w.hubs[1].view().mac_of(NAS), Some(NAS_MAC));
}

proptest! {
    #[test]
    fn any_frame_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), ours: bool) {
        let mut w = World::new();
        let mut frame = PacketBuf::from_slice(&bytes);
        if ours {
            frame.put_front(&header(OFFICE_MAC, PC_MAC, EtherType::IPV4));
        }
        let _ = w.frame(OFFICE, frame);
    }

    #[test]
    fn nothing_goes_back_where_it_came_from_but_what_the_router_says(
        source in any::<u32>(), destination in any::<u32>(), ttl: u8, near: bool
    ) {
        let mut w = World::new();
        let source = if near { 0x0A3C_0000 | source & 0xFF } else { source };
        let packet = with(packet(source.into(), destination.into()), 8, &[ttl]);
        let (result, sent) = w.send(packet);
        for (port, _, bytes) in sent {
            if let Ok(ip) = Ipv4::parse(&bytes) && ip.protocol == Protocol::UDP {
                prop_assert!(port == GUESTS && result.is_ok() && bytes[8] == ttl - 1);
            }
        }
    }
}

#[test]
fn messages_of_its_own_come_in_a_burst_and_then_at_their_rate() {
    let (mut messages, start) = (Bucket::new(MESSAGES.0, MESSAGES.1), World::new().now);
    let at_once = (0..1000).filter(|_| messages.take(start)).count();
    assert_eq!(at_once, 50);
    let later = (0..1000).filter(|n| messages.take(start + Duration::from_millis(*n))).count();
    assert!((195..=201).contains(&later), "{later}");
    assert!(messages.take(start + Duration::from_secs(60)));
}
