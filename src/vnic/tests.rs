use super::*;
use crate::entropy::Entropy;
use crate::hub::{Hub, HubId, KnownStation, PortId, Settings, UplinkPermit, lease};
use crate::packet::WorkerId;
use crate::wire::inet::{Protocol, add, fold, pseudo_header, put_ipv4, udp_packet};
use hex_literal::hex;
use proptest::prelude::*;
use std::time::Duration;

const MAC: Mac = Mac(hex!("5a0000000001"));
const GATEWAY_MAC: Mac = Mac(hex!("020000000001"));
const LAN_MAC: Mac = Mac(hex!("020000000077"));
const OWN: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 50);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const NAS: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 200);
const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

struct World {
    now: Instant,
    hub: Hub,
    card: Vnic,
    sent: Vec<PacketBuf>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    fn new() -> Self {
        let now = Instant::now();
        let network: Network = "10.60.0.0/24".parse().unwrap();
        let settings = Settings::new(lease::Settings::of_network(network));
        let hub = Hub::new(now, HubId(1), "HUB1", settings, Entropy::from_number(1));
        let card = Vnic::new(MAC, Address { address: OWN, network, gateway: Some(GATEWAY) });
        Self { now, hub, card, sent: Vec::new() }
    }

    /// The gateway is in the hub's table, as with an uplink of our own.
    fn with_uplink(mut self) -> Self {
        let known = KnownStation { mac: GATEWAY_MAC, addresses: vec![GATEWAY] };
        let permit = UplinkPermit::uplink_by_configuration(vec![known]);
        self.hub.open_uplink(self.now, PortId::new(WorkerId(0), 1), permit).unwrap();
        self
    }

    fn send(&mut self, packet: PacketBuf) -> Result<(), Drop> {
        let sent = &mut self.sent;
        self.card.send_ip(self.now, self.hub.view(), packet, &mut |frame| sent.push(frame))
    }

    fn send_to(&mut self, destination: Ipv4Addr) -> Result<(), Drop> {
        self.send(packet(OWN, destination))
    }

    fn recv(&mut self, frame: PacketBuf) -> Result<Vec<PacketBuf>, Drop> {
        let sent = &mut self.sent;
        self.card.recv_frame(self.now, frame, &mut |frame| sent.push(frame)).map(Iterator::collect)
    }

    /// Frames sent since the last call: destination, type, rest.
    fn sent(&mut self) -> Vec<(Mac, EtherType, Vec<u8>)> {
        let look = |frame: PacketBuf| {
            let view = Frame::parse(&frame).unwrap();
            assert_eq!(view.source, MAC);
            (view.destination, view.ethertype, view.payload.to_vec())
        };
        self.sent.drain(..).map(look).collect()
    }

    fn pass(&mut self, millis: u64) -> usize {
        let end = self.now + Duration::from_millis(millis);
        let mut lost = 0;
        while let Some(at) = self.card.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            let sent = &mut self.sent;
            lost += self.card.handle_timeout(at, &mut |frame| sent.push(frame));
        }
        self.now = end;
        lost
    }
}

fn packet(from: Ipv4Addr, to: Ipv4Addr) -> PacketBuf {
    udp_packet((from, 1000), (to, 2000), b"hello")
}

fn framed(to: Mac, from: Mac, ethertype: EtherType, payload: &[u8]) -> PacketBuf {
    let mut buf = PacketBuf::from_slice(payload);
    buf.put_front(&header(to, from, ethertype));
    buf
}

fn question(target: Ipv4Addr) -> (Mac, EtherType, Vec<u8>) {
    (Mac::BROADCAST, EtherType::ARP, Arp::request(MAC, OWN, target).emit().to_vec())
}

fn answer(address: Ipv4Addr, mac: Mac) -> PacketBuf {
    Arp::request(MAC, OWN, address).reply(mac).frame(MAC)
}

#[test]
fn a_known_gateway_needs_no_arp_and_no_copy() {
    let mut w = World::new().with_uplink();
    let bytes = packet(OWN, BEYOND);
    let at = bytes.as_ptr();
    w.send(bytes).unwrap();
    assert_eq!(w.sent.len(), 1);
    assert_eq!(w.sent[0][14..].as_ptr(), at);
    assert_eq!(w.sent[0][..14], hex!("020000000001 5a0000000001 0800"));
    let frame = framed(MAC, GATEWAY_MAC, EtherType::IPV4, &packet(BEYOND, OWN));
    let at = frame[14..].as_ptr();
    let got = w.recv(frame).unwrap();
    assert_eq!((got.len(), got[0].as_ptr()), (1, at));
    assert_eq!(got[0][8], 64, "TTL is not ours to touch");
}

#[test]
fn an_unknown_neighbour_is_asked_for() {
    let mut w = World::new();
    // --> packet for the NAS: who has it?
    w.send_to(NAS).unwrap();
    assert_eq!(w.sent(), [question(NAS)]);
    // --> a second one waits with it.
    w.send_to(NAS).unwrap();
    assert_eq!(w.sent(), []);
    // <-- the NAS answers: both go, in order; the reply goes no further.
    assert!(w.recv(answer(NAS, LAN_MAC)).unwrap().is_empty());
    let one = (LAN_MAC, EtherType::IPV4, packet(OWN, NAS).to_vec());
    assert_eq!(w.sent(), [one.clone(), one.clone()]);
    assert_eq!(w.card.poll_timeout(), None);
    // --> and the next one goes at once, for two minutes.
    w.send_to(NAS).unwrap();
    assert_eq!(w.sent(), [one]);
    w.pass(120_000);
    w.send_to(NAS).unwrap();
    assert_eq!(w.sent(), [question(NAS)]);
}

#[test]
fn a_silent_neighbour_is_given_up() {
    let mut w = World::new();
    for n in 0..6_u16 {
        let bytes = udp_packet((OWN, n), (BEYOND, 1), b"");
        w.send(bytes).unwrap();
    }
    // The gateway is the next hop; three requests in a second, four packets lost (the newest were kept).
    assert_eq!(w.pass(1000), 4);
    assert_eq!(w.sent(), [question(GATEWAY), question(GATEWAY), question(GATEWAY)]);
    assert_eq!(w.send_to(BEYOND), Err(Drop::Unresolved));
    assert_eq!((w.sent(), w.card.poll_timeout()), (vec![], None));
    w.pass(3000);
    w.send_to(BEYOND).unwrap();
    assert_eq!(w.sent(), [question(GATEWAY)]);
    // A late answer is one.
    let _ = w.pass(1000);
    w.recv(answer(GATEWAY, GATEWAY_MAC)).unwrap();
    w.sent();
    w.send_to(BEYOND).unwrap();
    assert_eq!(w.sent()[0].0, GATEWAY_MAC);
}

#[test]
fn the_newest_packets_wait() {
    let mut w = World::new();
    for n in 0..6_u16 {
        w.send(udp_packet((OWN, n), (NAS, 1), b"")).unwrap();
    }
    w.sent();
    w.recv(answer(NAS, LAN_MAC)).unwrap();
    let ports: Vec<u16> =
        w.sent().iter().map(|frame| Ipv4::parse(&frame.2).unwrap().udp().unwrap().source).collect();
    assert_eq!(ports, [2, 3, 4, 5]);
}

#[test]
fn neighbours_are_bounded() {
    let mut w = World::new();
    for n in 2..34 {
        w.send_to(Ipv4Addr::new(10, 60, 0, n)).unwrap();
    }
    assert_eq!(w.send_to(Ipv4Addr::new(10, 60, 0, 40)), Err(Drop::QueueFull));
    // Those who answered make room, oldest first; nobody who was not asked gets in.
    for n in 2..34 {
        w.pass(1);
        w.recv(answer(Ipv4Addr::new(10, 60, 0, n), Mac([2, 0, 0, 0, 9, n]))).unwrap();
    }
    w.recv(answer(Ipv4Addr::new(10, 60, 0, 99), LAN_MAC)).unwrap();
    w.sent();
    w.send_to(Ipv4Addr::new(10, 60, 0, 40)).unwrap();
    w.send_to(Ipv4Addr::new(10, 60, 0, 99)).unwrap();
    assert_eq!(w.sent(), [question(Ipv4Addr::new(10, 60, 0, 40)), question(Ipv4Addr::new(10, 60, 0, 99))]);
    w.send_to(Ipv4Addr::new(10, 60, 0, 33)).unwrap();
    assert_eq!(w.sent()[0].0, Mac([2, 0, 0, 0, 9, 33]));
}

#[test]
fn arp_for_our_address_is_answered() {
    let mut w = World::new();
    let ask = |sender, mac, target| Arp::request(mac, sender, target).frame(Mac::BROADCAST);
    assert!(w.recv(ask(NAS, LAN_MAC, OWN)).unwrap().is_empty());
    assert_eq!(w.sent.len(), 1);
    assert_eq!(
        &w.sent[0][..],
        hex!(
            "020000000077 5a0000000001 0806 0001 0800 06 04 0002 5a0000000001 0a3c0032 020000000077 0a3c00c8"
        )
    );
    w.sent();
    // Not for others, not for an announcement of our own that comes back, but for a probe.
    w.recv(ask(NAS, LAN_MAC, GATEWAY)).unwrap();
    w.recv(ask(OWN, MAC, OWN)).unwrap();
    assert_eq!(w.sent(), []);
    w.recv(ask(Ipv4Addr::UNSPECIFIED, LAN_MAC, OWN)).unwrap();
    assert_eq!(w.sent().len(), 1);
    // Announcing.
    let sent = &mut w.sent;
    w.card.announce(&mut |frame| sent.push(frame));
    assert_eq!(
        &w.sent[0][..],
        hex!(
            "ffffffffffff 5a0000000001 0806 0001 0800 06 04 0001 5a0000000001 0a3c0032 000000000000 0a3c0032"
        )
    );
}

#[test]
fn a_neighbour_that_changes_its_card_is_followed() {
    let mut w = World::new();
    w.send_to(NAS).unwrap();
    w.recv(answer(NAS, LAN_MAC)).unwrap();
    let other = Mac(hex!("020000000078"));
    w.recv(Arp::announcement(other, NAS).frame(Mac::BROADCAST)).unwrap();
    w.sent();
    w.send_to(NAS).unwrap();
    assert_eq!(w.sent()[0].0, other);
}

#[test]
fn groups_go_to_groups() {
    let mut w = World::new();
    for (destination, mac) in [
        (Ipv4Addr::BROADCAST, Mac::BROADCAST),
        (Ipv4Addr::new(10, 60, 0, 255), Mac::BROADCAST),
        (Ipv4Addr::new(224, 0, 0, 251), Mac(hex!("01005e0000fb"))),
        (Ipv4Addr::new(239, 255, 255, 250), Mac(hex!("01005e7ffffa"))),
    ] {
        w.send_to(destination).unwrap();
        assert_eq!(w.sent(), [(mac, EtherType::IPV4, packet(OWN, destination).to_vec())]);
        let got = w.recv(framed(mac, LAN_MAC, EtherType::IPV4, &packet(NAS, destination))).unwrap();
        assert_eq!(got.len(), 1, "{destination}");
    }
}

#[test]
fn what_a_host_does_not_send() {
    let mut w = World::new().with_uplink();
    let cases = [
        (packet(NAS, BEYOND), Drop::SpoofedSource),
        (packet(Ipv4Addr::UNSPECIFIED, BEYOND), Drop::SpoofedSource),
        (packet(OWN, OWN), Drop::NoPort),
        (packet(OWN, Ipv4Addr::UNSPECIFIED), Drop::NoPort),
        (packet(OWN, Ipv4Addr::LOCALHOST), Drop::NoPort),
        (udp_packet((OWN, 1), (BEYOND, 2), &[0; 1473]), Drop::TooBig),
    ];
    for (bytes, drop) in cases {
        assert_eq!(w.send(bytes), Err(drop));
    }
    assert!(matches!(w.send(PacketBuf::from_slice(&[0x60; 40])), Err(Drop::Malformed(_))));
    // Without a gateway the segment is all there is.
    w.card.ipv4.gateway = None;
    assert_eq!(w.send_to(BEYOND), Err(Drop::NoPort));
    assert_eq!(w.sent(), []);
}

#[test]
fn what_a_host_does_not_take() {
    let mut w = World::new();
    let unicast = packet(NAS, OWN);
    let cases = [
        (framed(LAN_MAC, GATEWAY_MAC, EtherType::IPV4, &unicast), Drop::NoPort),
        (framed(Mac::BROADCAST, GATEWAY_MAC, EtherType::IPV4, &unicast), Drop::NoPort),
        (framed(MAC, GATEWAY_MAC, EtherType::IPV4, &packet(NAS, BEYOND)), Drop::NoPort),
        (framed(MAC, GATEWAY_MAC, EtherType::IPV6, &[0x60; 40]), Drop::NotCarried),
        (framed(MAC, GATEWAY_MAC, EtherType(0x0026), &[0x42; 3]), Drop::NotCarried),
    ];
    for (frame, drop) in cases {
        assert_eq!(w.recv(frame).unwrap_err(), drop);
    }
    let mut tagged = framed(MAC, GATEWAY_MAC, EtherType::VLAN, &[0, 5, 8, 0]);
    tagged.put_back(&unicast);
    assert_eq!(w.recv(tagged).unwrap_err(), Drop::NotCarried);
    assert_eq!(w.sent(), []);
}

#[test]
fn padding_is_cut_off() {
    let mut w = World::new().with_uplink();
    let bytes = packet(NAS, OWN);
    let mut frame = framed(MAC, LAN_MAC, EtherType::IPV4, &bytes);
    frame.put_back(&[0; 13]);
    assert_eq!(&w.recv(frame).unwrap()[0][..], &bytes[..]);
    let mut padded = packet(OWN, BEYOND);
    padded.put_back(&[0; 7]);
    w.send(padded).unwrap();
    assert_eq!(w.sent()[0].2, &packet(OWN, BEYOND)[..]);
}

/// A TCP SYN with this MSS, checksums right.
fn syn(from: Ipv4Addr, to: Ipv4Addr, mss: u16) -> PacketBuf {
    let mut segment = hex!("c001 01bb 00000000 00000000 6002 ffff 0000 0000 0204 0000").to_vec();
    segment[22..24].copy_from_slice(&mss.to_be_bytes());
    let sum = fold(add(pseudo_header(from, to, Protocol::TCP, segment.len()), &segment));
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut buf = PacketBuf::from_slice(&segment);
    put_ipv4(&mut buf, Protocol::TCP, from, to);
    buf
}

fn mss_of(packet: &[u8]) -> u16 {
    let ip = Ipv4::parse(packet).unwrap();
    let sum =
        fold(add(pseudo_header(ip.source, ip.destination, Protocol::TCP, ip.payload.len()), ip.payload));
    assert_eq!(sum, 0);
    u16::from_be_bytes([ip.payload[22], ip.payload[23]])
}

#[test]
fn tcp_is_kept_to_the_mtu_both_ways() {
    let mut w = World::new().with_uplink();
    w.card.set_mtu(1280);
    w.send(syn(OWN, BEYOND, 1460)).unwrap();
    assert_eq!(mss_of(&w.sent()[0].2), 1240);
    let got = w.recv(framed(MAC, GATEWAY_MAC, EtherType::IPV4, &syn(BEYOND, OWN, 1460))).unwrap();
    assert_eq!(mss_of(&got[0]), 1240);
    w.send(syn(OWN, BEYOND, 536)).unwrap();
    assert_eq!(mss_of(&w.sent()[0].2), 536);
    // Nonsense is not believed.
    w.card.set_mtu(0);
    assert_eq!(w.card.mtu(), 68);
    w.card.set_mtu(9000);
    assert_eq!(w.card.mtu(), 1500);
}

#[test]
fn too_big_for_the_link() {
    let mut w = World::new().with_uplink();
    w.card.set_mtu(1280);
    let mut big = udp_packet((BEYOND, 1), (OWN, 2), &[7; 1400]);
    // May be cut: it is.
    let got = w.recv(framed(MAC, GATEWAY_MAC, EtherType::IPV4, &big)).unwrap();
    assert_eq!(got.iter().map(|packet| packet.len()).collect::<Vec<_>>(), [1276, 172]);
    assert_eq!(w.sent(), []);
    // May not: the sender is told, through the station that sent the frame.
    big[6] = 0x40;
    big[10..12].fill(0);
    let sum = fold(add(0, &big[..20]));
    big[10..12].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(w.recv(framed(MAC, GATEWAY_MAC, EtherType::IPV4, &big)).unwrap_err(), Drop::TooBig);
    let sent = w.sent();
    assert_eq!((sent.len(), sent[0].0), (1, GATEWAY_MAC));
    let error = Ipv4::parse(&sent[0].2).unwrap();
    assert_eq!((error.source, error.destination, error.protocol), (OWN, BEYOND, Protocol::ICMP));
    assert_eq!(error.payload[..8], [3, 4, error.payload[2], error.payload[3], 0, 0, 5, 0]);
}

#[test]
fn an_idle_card_is_small() {
    assert!(size_of::<Vnic>() <= 96, "{}", size_of::<Vnic>());
    let w = World::new();
    assert_eq!(w.card.poll_timeout(), None);
}

proptest! {
    #[test]
    fn nothing_panics_and_nothing_leaks_in(
        frames in prop::collection::vec((any::<bool>(), 0..4_usize, prop::collection::vec(any::<u8>(), 0..100)), 0..40)
    ) {
        let mut w = World::new().with_uplink();
        let types = [EtherType::IPV4, EtherType::ARP, EtherType::IPV6, EtherType::VLAN];
        for (inbound, ethertype, payload) in frames {
            if inbound {
                let _ = w.send(PacketBuf::from_slice(&payload));
            } else if let Ok(packets) = w.recv(framed(MAC, LAN_MAC, types[ethertype], &payload)) {
                for packet in packets {
                    let ip = Ipv4::parse(&packet).unwrap();
                    let group = ip.destination.is_multicast() || ip.destination.is_broadcast();
                    prop_assert!(ip.destination == OWN || group || ip.destination == Ipv4Addr::new(10, 60, 0, 255));
                }
            }
            w.sent();
            w.pass(500);
        }
    }
}
