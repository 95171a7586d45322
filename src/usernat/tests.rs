//! A client on a hub, and a world of sockets that does what it is told.

use super::*;
use crate::wire::ether::{Arp, EtherType, Frame, header};
use crate::wire::inet::{self, Icmp, Ipv4, Protocol, put_ipv4, udp_packet};
use std::collections::HashMap;
use std::io::{self, ErrorKind};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 10);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const RESOLVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 53), Ipv4Addr::new(198, 51, 100, 53)];
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CLIENT_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

#[derive(Default)]
struct Fake {
    sent: Vec<(FlowId, SocketAddrV4, Vec<u8>)>,
    echoes: Vec<(FlowId, Ipv4Addr, Vec<u8>)>,
    connects: Vec<(FlowId, SocketAddrV4)>,
    /// Our port of each connection, and what was asked for; ports that the system does not give again.
    ports: Vec<(Option<u16>, u16)>,
    taken: Vec<u16>,
    /// What servers say, and what they were told.
    says: HashMap<FlowId, Vec<u8>>,
    told: HashMap<FlowId, Vec<u8>>,
    /// Servers that have said all.
    ended: Vec<FlowId>,
    shut: Vec<FlowId>,
    closed: Vec<FlowId>,
    no_pings: bool,
}

impl Outside for Fake {
    fn send_udp(&mut self, flow: FlowId, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        self.sent.push((flow, to, payload.to_vec()));
        Ok(())
    }
    fn send_echo(&mut self, flow: FlowId, to: Ipv4Addr, message: &[u8]) -> io::Result<()> {
        if self.no_pings {
            return Err(ErrorKind::PermissionDenied.into());
        }
        self.echoes.push((flow, to, message.to_vec()));
        Ok(())
    }
    fn connect(&mut self, flow: FlowId, to: SocketAddrV4, from: Option<u16>) -> io::Result<u16> {
        if from.is_some_and(|from| self.taken.contains(&from)) {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let port = from.unwrap_or(40_000 + self.connects.len() as u16);
        self.connects.push((flow, to));
        self.ports.push((from, port));
        Ok(port)
    }
    fn read(&mut self, flow: FlowId, into: &mut [u8]) -> io::Result<usize> {
        let says = self.says.entry(flow).or_default();
        if says.is_empty() {
            return if self.ended.contains(&flow) { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let length = says.len().min(into.len());
        into[..length].copy_from_slice(&says[..length]);
        says.drain(..length);
        Ok(length)
    }
    fn write(&mut self, flow: FlowId, bytes: &[u8]) -> io::Result<usize> {
        self.told.entry(flow).or_default().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn shut_down(&mut self, flow: FlowId) {
        self.shut.push(flow);
    }
    fn close(&mut self, flow: FlowId) {
        self.closed.push(flow);
    }
}

struct World {
    now: Instant,
    nat: Nat,
    fake: Fake,
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

impl World {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let settings = Settings {
            mac: MAC,
            gateway: GATEWAY,
            network: "10.60.0.0/24".parse().unwrap(),
            resolvers: RESOLVERS.to_vec(),
            limits,
        };
        let now = start();
        Self { now, nat: Nat::new(now, settings, 7), fake: Fake::default() }
    }

    /// Sends a packet of the client's; returns the packets that come back to it.
    fn send(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let frame = [&header(MAC, CLIENT_MAC, EtherType::IPV4)[..], packet].concat();
        self.nat.handle_frame(self.now, &frame, &mut self.fake).unwrap();
        self.work()
    }

    fn work(&mut self) -> Vec<Vec<u8>> {
        self.nat.work(self.now, &mut self.fake);
        let frames = self.nat.take_frames();
        let payload = |frame: &PacketBuf| {
            let view = Frame::parse(frame).unwrap();
            assert_eq!((view.source, view.destination), (MAC, CLIENT_MAC));
            let ip = Ipv4::parse(view.payload).unwrap();
            assert_eq!(inet::fold(inet::add(0, &view.payload[..ip.header_len])), 0);
            view.payload.to_vec()
        };
        frames.iter().map(payload).collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.nat.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.nat.handle_timeout(self.now, &mut self.fake);
        }
        self.now = end;
    }

    fn udp(&mut self, port: u16, to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<Vec<u8>> {
        self.send(&udp_packet((CLIENT, port), to, payload))
    }
}

/// The error in an answer.
fn icmp(packet: &[u8]) -> Icmp {
    let ip = Ipv4::parse(packet).unwrap();
    assert_eq!((ip.protocol, ip.source, ip.destination), (Protocol::ICMP, GATEWAY, CLIENT));
    assert_eq!(inet::fold(inet::add(0, ip.payload)), 0);
    Icmp(ip.payload[0], ip.payload[1])
}

fn echo(to: Ipv4Addr, id: u16, ttl: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    let mut message = PacketBuf::from_slice(&[8, 0, 0, 0, high, low, 0, 1, b'?']);
    let sum = inet::fold(inet::add(0, &message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    put_ipv4(&mut message, Protocol::ICMP, CLIENT, to);
    message[8] = ttl;
    message[10..12].fill(0);
    let sum = inet::fold(inet::add(0, &message[..20]));
    message[10..12].copy_from_slice(&sum.to_be_bytes());
    message.to_vec()
}

fn segment(to: (Ipv4Addr, u16), port: u16, seq: u32, ack: u32, flags: u8, data: &[u8]) -> Vec<u8> {
    let mut tcp = vec![0; 20];
    tcp[..2].copy_from_slice(&port.to_be_bytes());
    tcp[2..4].copy_from_slice(&to.1.to_be_bytes());
    tcp[4..8].copy_from_slice(&seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&ack.to_be_bytes());
    (tcp[12], tcp[13]) = (5 << 4, flags);
    tcp[14..16].copy_from_slice(&60_000_u16.to_be_bytes());
    tcp.extend_from_slice(data);
    let sum = inet::pseudo_header(CLIENT, to.0, Protocol::TCP, tcp.len());
    let sum = inet::fold(inet::add(sum, &tcp));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut packet = PacketBuf::from_slice(&tcp);
    put_ipv4(&mut packet, Protocol::TCP, CLIENT, to.0);
    packet.to_vec()
}

/// Sequence, acknowledgement, flags and data of a segment to the client.
fn read(packet: &[u8]) -> (u32, u32, u8, Vec<u8>) {
    let ip = Ipv4::parse(packet).unwrap();
    assert_eq!((ip.protocol, ip.destination), (Protocol::TCP, CLIENT));
    let tcp = ip.payload;
    let sum = inet::pseudo_header(ip.source, ip.destination, Protocol::TCP, tcp.len());
    assert_eq!(inet::fold(inet::add(sum, tcp)), 0);
    let word = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().unwrap());
    (word(4), word(8), tcp[13], tcp[usize::from(tcp[12] >> 4) * 4..].to_vec())
}

const WEB: (Ipv4Addr, u16) = (SERVER, 80);
const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const RST: u8 = 0x04;
const FIN: u8 = 0x01;

/// Leads a connection to where both sides may talk: its flow, and our next sequence number and theirs.
fn connect(w: &mut World, port: u16) -> (FlowId, u32, u32) {
    assert!(w.send(&segment(WEB, port, 100, 0, SYN, b"")).is_empty(), "no answer before the server's");
    let (flow, to) = *w.fake.connects.last().unwrap();
    assert_eq!(to, SocketAddrV4::new(SERVER, 80));
    w.nat.handle_connected(w.now, flow, Ok(()), &mut w.fake);
    let answers = w.work();
    let (theirs, ack, flags, _) = read(&answers[0]);
    assert_eq!((ack, flags), (101, SYN | ACK));
    w.send(&segment(WEB, port, 101, theirs + 1, ACK, b""));
    (flow, 101, theirs + 1)
}

#[test]
fn the_gateway_answers_for_itself() {
    let mut w = World::new();
    let arp = Arp::request(CLIENT_MAC, CLIENT, GATEWAY).frame(Mac::BROADCAST);
    w.nat.handle_frame(w.now, &arp, &mut w.fake).unwrap();
    let frames = w.nat.take_frames();
    let reply = Arp::parse(Frame::parse(&frames[0]).unwrap().payload).unwrap();
    assert_eq!((reply.sender, reply.sender_mac, reply.target), (GATEWAY, MAC, CLIENT));
    let answers = w.send(&echo(GATEWAY, 5, 64));
    let ip = Ipv4::parse(&answers[0]).unwrap();
    assert_eq!((ip.source, ip.payload[0], ip.payload[4..6].to_vec()), (GATEWAY, 0, vec![0, 5]));
    assert_eq!(icmp(&w.udp(1, (GATEWAY, 99), b"x")[0]), Icmp::PORT_UNREACHABLE);
    let (_, ack, flags, _) = read(&w.send(&segment((GATEWAY, 22), 1, 9, 0, SYN, b""))[0]);
    assert_eq!((ack, flags), (10, RST | ACK));
}

#[test]
fn a_mapping_is_the_clients_port_whatever_the_destination() {
    let mut w = World::new();
    let other = Ipv4Addr::new(192, 0, 2, 10);
    assert!(w.udp(5000, (SERVER, 1), b"a").is_empty());
    w.udp(5000, (other, 2), b"b");
    w.udp(5001, (SERVER, 1), b"c");
    let flows: Vec<FlowId> = w.fake.sent.iter().map(|(flow, ..)| *flow).collect();
    assert!(flows[0] == flows[1] && flows[0] != flows[2]);
    // From any port of an address that the client has sent to, and from no other address.
    w.nat.handle_udp(flows[0], SocketAddrV4::new(other, 77), b"answer");
    let answers = w.work();
    let ip = Ipv4::parse(&answers[0]).unwrap();
    let udp = ip.udp().unwrap();
    assert_eq!((ip.source, udp.source, udp.destination, udp.payload), (other, 77, 5000, &b"answer"[..]));
    w.nat.handle_udp(flows[0], SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 11), 1), b"unasked");
    assert!(w.work().is_empty());
    assert_eq!(w.nat.counts().unasked, 1);
}

#[test]
fn only_what_goes_out_keeps_a_mapping() {
    let mut w = World::new();
    w.udp(5000, (SERVER, 1), b"a");
    let flow = w.fake.sent[0].0;
    w.pass(Duration::from_secs(200));
    w.nat.handle_udp(flow, SocketAddrV4::new(SERVER, 1), b"b");
    assert_eq!(w.work().len(), 1);
    w.pass(Duration::from_secs(110));
    assert_eq!((w.nat.len(), w.fake.closed.contains(&flow)), (0, true));
    assert_eq!(w.nat.poll_timeout(), None, "an idle NAT sleeps");
}

#[test]
fn questions_go_to_the_hosts_name_server_and_then_to_the_next() {
    let mut w = World::new();
    w.udp(5000, (GATEWAY, 53), b"\x12\x34?");
    w.udp(5000, (GATEWAY, 53), b"\x12\x34?");
    w.udp(5000, (GATEWAY, 53), b"\x12\x35?");
    let asked: Vec<Ipv4Addr> = w.fake.sent.iter().map(|(_, to, _)| *to.ip()).collect();
    assert_eq!(asked, [RESOLVERS[0], RESOLVERS[1], RESOLVERS[0]]);
    let flow = w.fake.sent[0].0;
    w.nat.handle_udp(flow, SocketAddrV4::new(RESOLVERS[1], 53), b"\x12\x34!");
    let answers = w.work();
    let ip = Ipv4::parse(&answers[0]).unwrap();
    assert_eq!((ip.source, ip.udp().unwrap().source), (GATEWAY, 53));
    w.nat.handle_udp(flow, SocketAddrV4::new(RESOLVERS[1], 54), b"\x12\x34!");
    assert!(w.work().is_empty());
    // The host has moved to another network.
    w.nat.set_resolvers(vec![SERVER]);
    w.udp(5000, (GATEWAY, 53), b"\x12\x36?");
    assert_eq!(w.fake.sent.last().map(|(_, to, _)| *to.ip()), Some(SERVER));
}

#[test]
fn what_is_the_hosts_own_or_nobodys_is_not_reached() {
    let mut w = World::new();
    for to in ["127.0.0.1", "0.0.0.0", "169.254.169.254", "10.60.0.77", "240.0.0.1"] {
        let to: Ipv4Addr = to.parse().unwrap();
        assert_eq!(
            w.udp(5000, (to, 80), b"x").first().map(|packet| icmp(packet)),
            Some(Icmp::HOST_UNREACHABLE),
            "{to}"
        );
        assert_eq!(icmp(&w.send(&segment((to, 80), 1, 1, 0, SYN, b""))[0]), Icmp::HOST_UNREACHABLE, "{to}");
        assert_eq!(icmp(&w.send(&echo(to, 1, 64))[0]), Icmp::HOST_UNREACHABLE, "{to}");
    }
    assert!(w.fake.sent.is_empty() && w.fake.connects.is_empty() && w.fake.echoes.is_empty());
    assert_eq!(icmp(&w.send(&echo(SERVER, 1, 1))[0]), Icmp::TTL_EXCEEDED);
    // Somebody else's address is not answered at all.
    let foreign = udp_packet((SERVER, 1), (SERVER, 2), b"x");
    let frame = [&header(MAC, CLIENT_MAC, EtherType::IPV4)[..], &foreign].concat();
    assert!(w.nat.handle_frame(w.now, &frame, &mut w.fake).is_err());
}

#[test]
fn pings_keep_their_identifier_and_are_refused_where_there_are_none() {
    let mut w = World::new();
    assert!(w.send(&echo(SERVER, 0x1234, 64)).is_empty());
    let (flow, to, _) = w.fake.echoes[0].clone();
    assert_eq!(to, SERVER);
    w.nat.handle_echo(flow, SERVER, &[0, 0, 0, 0, 9, 9, 0, 1, b'!']);
    let answers = w.work();
    let ip = Ipv4::parse(&answers[0]).unwrap();
    assert_eq!((ip.source, &ip.payload[4..]), (SERVER, &[0x12, 0x34, 0, 1, b'!'][..]));
    assert_eq!(inet::fold(inet::add(0, ip.payload)), 0);
    w.pass(Duration::from_secs(59));
    w.send(&echo(Ipv4Addr::new(192, 0, 2, 10), 0x1234, 64));
    assert_eq!((w.fake.echoes[1].0, w.nat.len()), (flow, 1));
    w.fake.no_pings = true;
    assert_eq!(icmp(&w.send(&echo(SERVER, 2, 64))[0]), Icmp::PROHIBITED);
}

#[test]
fn errors_are_passed_on_and_end_no_mapping() {
    let mut w = World::new();
    let router = Ipv4Addr::new(203, 0, 113, 254);
    w.udp(5000, (SERVER, 7), b"x");
    w.send(&echo(SERVER, 0x1234, 64));
    let (udp, ping) = (w.fake.sent[0].0, w.fake.echoes[0].0);
    let left = |w: &World| w.nat.list(w.now).iter().map(|flow| flow.left).collect::<Vec<_>>();
    let before = left(&w);
    let inner = |answers: &[Vec<u8>], by: Ipv4Addr, error: Icmp| {
        let ip = Ipv4::parse(&answers[0]).unwrap();
        assert_eq!((ip.source, ip.destination), (by, CLIENT));
        assert_eq!((Icmp(ip.payload[0], ip.payload[1]), inet::fold(inet::add(0, ip.payload))), (error, 0));
        ip.payload[8..].to_vec()
    };
    w.nat.handle_unreachable(udp, SocketAddrV4::new(SERVER, 7), Some(SERVER), Icmp::PORT_UNREACHABLE, b"x");
    let original = inner(&w.work(), SERVER, Icmp::PORT_UNREACHABLE);
    assert_eq!((&original[12..16], &original[16..20]), (&CLIENT.octets()[..], &SERVER.octets()[..]));
    assert_eq!(original[20..24], [5000_u16.to_be_bytes(), 7_u16.to_be_bytes()].concat());
    // Of a ping with the client's own identifier, not the socket's.
    let sent = [8, 0, 0, 0, 9, 9, 0, 1, b'?'];
    w.nat.handle_unreachable(ping, SocketAddrV4::new(SERVER, 0), Some(router), Icmp::HOST_UNREACHABLE, &sent);
    let original = inner(&w.work(), router, Icmp::HOST_UNREACHABLE);
    assert_eq!(original[20..28], echo(SERVER, 0x1234, 64)[20..28]);
    assert_eq!(left(&w), before);
    // One that nobody has said, and one about nothing.
    w.nat.handle_unreachable(ping, SocketAddrV4::new(SERVER, 0), None, Icmp::HOST_UNREACHABLE, &sent[..7]);
    assert!(w.work().is_empty());
}

#[test]
fn connections_of_a_clients_port_come_from_one_port_of_ours() {
    let mut w = World::new();
    let other = Ipv4Addr::new(192, 0, 2, 10);
    w.send(&segment(WEB, 4000, 1, 0, SYN, b""));
    w.send(&segment((other, 80), 4000, 1, 0, SYN, b""));
    w.send(&segment((SERVER, 81), 4000, 1, 0, SYN, b""));
    assert_eq!(w.fake.ports, [(None, 40_000), (Some(40_000), 40_000), (Some(40_000), 40_000)]);
    // Another port of the client has another one.
    w.send(&segment(WEB, 4001, 1, 0, SYN, b""));
    assert_eq!(w.fake.ports[3].0, None);
    // Where the port cannot be had towards a server, a connection is better than none.
    w.fake.taken.push(40_000);
    w.send(&segment((other, 81), 4000, 1, 0, SYN, b""));
    assert_eq!((w.fake.ports[4].0, w.nat.len()), (None, 5));
    w.fake.taken.clear();
    // While one connection is left so is the port; when all are over, it is anybody's.
    let flows: Vec<FlowId> = w.fake.connects.iter().map(|(flow, _)| *flow).collect();
    for flow in [flows[0], flows[1], flows[4]] {
        w.nat.handle_connected(w.now, flow, Err(ErrorKind::ConnectionRefused), &mut w.fake);
    }
    w.work();
    w.send(&segment(WEB, 4000, 1, 0, SYN, b""));
    assert_eq!(w.fake.ports[5].0, Some(40_000));
    for flow in [flows[2], w.fake.connects[5].0] {
        w.nat.handle_connected(w.now, flow, Err(ErrorKind::ConnectionRefused), &mut w.fake);
    }
    w.work();
    w.send(&segment(WEB, 4000, 1, 0, SYN, b""));
    assert_eq!(w.fake.ports[6].0, None);
}

#[test]
fn a_datagram_in_pieces_goes_out_whole_and_comes_back_in_pieces() {
    let mut w = World::new();
    let payload = vec![7; 4000];
    let whole = udp_packet((CLIENT, 5000), (SERVER, 1), &payload);
    let mut pieces = inet::fragment(&whole, 1500).unwrap();
    pieces.reverse();
    for piece in &pieces {
        assert!(w.send(piece).is_empty());
    }
    assert_eq!(w.fake.sent[0].2, payload);
    w.nat.handle_udp(w.fake.sent[0].0, SocketAddrV4::new(SERVER, 1), &payload);
    let back = w.work();
    assert_eq!(back.len(), 3);
    assert!(back.iter().all(|piece| piece.len() <= 1500));
    // Pieces that overlap are no packet.
    let again = inet::fragment(&whole, 1500).unwrap();
    let mut bad = again[1].to_vec();
    bad[6..8].copy_from_slice(&(0x2000_u16 | 100).to_be_bytes());
    bad[10..12].fill(0);
    let sum = inet::fold(inet::add(0, &bad[..20]));
    bad[10..12].copy_from_slice(&sum.to_be_bytes());
    for piece in [&again[0][..], &bad, &again[1], &again[2]] {
        w.send(piece);
    }
    assert_eq!(w.fake.sent.len(), 1);
}

#[test]
fn a_connection_carries_bytes_both_ways_and_ends_in_order() {
    let mut w = World::new();
    let (flow, ours, theirs) = connect(&mut w, 4000);
    w.send(&segment(WEB, 4000, ours, theirs, ACK, b"GET /"));
    assert_eq!(w.fake.told[&flow], b"GET /");
    w.fake.says.insert(flow, b"200 OK".to_vec());
    w.fake.ended.push(flow);
    w.nat.handle_ready(flow, true, false);
    let answers: Vec<_> = w.work().iter().map(|packet| read(packet)).collect();
    let data: Vec<u8> = answers.iter().flat_map(|(.., data)| data.clone()).collect();
    assert_eq!(data, b"200 OK");
    assert!(answers.iter().any(|(_, _, flags, _)| flags & FIN != 0));
    // The client has read all and says its end.
    w.send(&segment(WEB, 4000, ours + 5, theirs + 7, ACK | FIN, b""));
    assert_eq!(w.fake.shut, [flow]);
    assert_eq!((w.nat.len(), w.fake.closed.contains(&flow)), (0, true));
}

#[test]
fn a_client_that_says_its_end_still_hears_the_server() {
    let mut w = World::new();
    let (flow, ours, theirs) = connect(&mut w, 4000);
    w.send(&segment(WEB, 4000, ours, theirs, ACK | FIN, b"bye"));
    assert_eq!((w.fake.told[&flow].clone(), w.fake.shut.clone()), (b"bye".to_vec(), vec![flow]));
    w.fake.says.insert(flow, b"late".to_vec());
    w.nat.handle_ready(flow, true, false);
    assert!(w.work().iter().any(|packet| read(packet).3 == b"late"));
}

#[test]
fn a_server_that_is_not_there_is_not_pretended() {
    let mut w = World::new();
    for (error, told) in [
        (ErrorKind::ConnectionRefused, None),
        (ErrorKind::HostUnreachable, Some(Icmp::HOST_UNREACHABLE)),
        (ErrorKind::NetworkUnreachable, Some(Icmp::NET_UNREACHABLE)),
        (ErrorKind::TimedOut, Some(Icmp::HOST_UNREACHABLE)),
    ] {
        assert!(w.send(&segment(WEB, 4000, 100, 0, SYN, b"")).is_empty());
        // Asked again meanwhile: nothing happens twice.
        assert!(w.send(&segment(WEB, 4000, 100, 0, SYN, b"")).is_empty());
        let (flow, _) = *w.fake.connects.last().unwrap();
        w.nat.handle_connected(w.now, flow, Err(error), &mut w.fake);
        let answers = w.work();
        match told {
            Some(told) => assert_eq!(icmp(&answers[0]), told),
            None => assert_eq!(read(&answers[0]).2, RST | ACK),
        }
        assert_eq!(w.nat.len(), 0);
    }
    assert_eq!(w.fake.connects.len(), 4);
}

#[test]
fn a_client_that_resets_closes_the_socket() {
    let mut w = World::new();
    let (flow, ours, theirs) = connect(&mut w, 4000);
    w.send(&segment(WEB, 4000, ours, theirs, RST | ACK, b""));
    assert_eq!((w.nat.len(), w.fake.closed.contains(&flow)), (0, true));
    // What belongs to no connection is told so.
    let answers = w.send(&segment(WEB, 4000, ours, theirs, ACK, b"x"));
    assert_eq!(read(&answers[0]).2, RST);
}

#[test]
fn an_idle_connection_is_kept_for_two_hours_and_one_that_begins_for_minutes() {
    let mut w = World::new();
    let (flow, ours, theirs) = connect(&mut w, 4000);
    w.send(&segment((SERVER, 81), 4000, 1, 0, SYN, b""));
    w.pass(Duration::from_secs(230));
    assert_eq!(w.nat.len(), 2, "its server may still answer");
    w.pass(Duration::from_secs(7190));
    assert_eq!(w.nat.len(), 1);
    w.send(&segment(WEB, 4000, ours, theirs, ACK, b"still here"));
    assert_eq!(w.fake.told[&flow], b"still here");
    // That has begun its time anew.
    w.pass(Duration::from_secs(7400));
    assert_eq!(w.nat.len(), 1);
    w.pass(Duration::from_secs(60));
    assert_eq!((w.nat.len(), w.fake.closed.contains(&flow)), (0, true));
}

#[test]
fn a_client_that_does_not_acknowledge_is_given_up() {
    // It has gone without a word: there is data for it after a long silence, or the server's end.
    for data in [&b"are you there?"[..], b""] {
        let mut w = World::new();
        let (flow, ..) = connect(&mut w, 4000);
        w.pass(Duration::from_secs(3600));
        w.fake.says.insert(flow, data.to_vec());
        if data.is_empty() {
            w.fake.ended.push(flow);
        }
        w.nat.handle_ready(flow, true, false);
        assert!(!w.work().is_empty());
        w.pass(Duration::from_secs(115));
        assert_eq!(w.nat.len(), 1, "it is waited for");
        w.pass(Duration::from_secs(10));
        assert_eq!((w.nat.len(), w.fake.closed.contains(&flow)), (0, true));
    }
}

#[test]
fn a_client_has_so_many_flows_and_no_more() {
    let mut w = World::with(Limits { tcp: 2, udp: 2, echo: 1, all: 100 });
    for port in 1..=3 {
        w.udp(port, (SERVER, 1), b"x");
        w.pass(Duration::from_secs(1));
    }
    // The one unused longest made room.
    assert_eq!((w.nat.len(), w.fake.closed.clone()), (2, vec![w.fake.sent[0].0]));
    for port in 1..=3 {
        w.send(&segment(WEB, port, 1, 0, SYN, b""));
    }
    assert_eq!((w.fake.connects.len(), w.nat.counts().refused), (2, 1));
    // Another client is not concerned.
    let mut other = udp_packet((Ipv4Addr::new(10, 60, 0, 11), 1), (SERVER, 1), b"x");
    other.put_front(&header(MAC, Mac([2, 0, 0, 0, 0, 3]), EtherType::IPV4));
    w.nat.handle_frame(w.now, &other, &mut w.fake).unwrap();
    assert_eq!(w.fake.sent.len(), 4);
}

#[test]
fn a_stream_larger_than_every_buffer_arrives_whole() {
    let mut w = World::new();
    let (flow, ours, mut ack) = connect(&mut w, 4000);
    let file: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 3) as u8).collect();
    w.fake.says.insert(flow, file.clone());
    w.fake.ended.push(flow);
    w.nat.handle_ready(flow, true, false);
    let mut got = Vec::new();
    let mut packets = w.work();
    for _ in 0..100_000 {
        let mut answers = Vec::new();
        for packet in packets.drain(..) {
            let (seq, _, flags, data) = read(&packet);
            if seq == ack {
                got.extend_from_slice(&data);
                ack = ack.wrapping_add(data.len() as u32 + u32::from(flags & FIN));
            }
            answers.extend(w.send(&segment(WEB, 4000, ours, ack, ACK, b"")));
        }
        packets = answers;
        if packets.is_empty() {
            if got.len() == file.len() {
                break;
            }
            w.pass(Duration::from_millis(50));
            packets = w.work();
        }
    }
    assert_eq!(got.len(), file.len());
    assert!(got == file);
}

proptest::proptest! {
    #[test]
    fn any_frame_is_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), protocol: u8) {
        let mut w = World::new();
        let mut packet = PacketBuf::from_slice(&bytes);
        put_ipv4(&mut packet, Protocol([1, 6, 17, protocol][usize::from(protocol % 4)]), CLIENT, SERVER);
        let mut whole = packet.clone();
        whole.put_front(&header(MAC, CLIENT_MAC, EtherType::IPV4));
        for frame in [&bytes[..], &whole] {
            let _ = w.nat.handle_frame(w.now, frame, &mut w.fake);
            w.work_any();
        }
    }
}

impl World {
    fn work_any(&mut self) {
        self.nat.work(self.now, &mut self.fake);
        let _ = self.nat.take_frames();
    }
}
