//! A user-mode NAT with two clients and a world of sockets that takes everything: packets from inside, answers and errors
//! from outside, and time.

use super::steps::{number, origin, steps};
use sekisho::usernat::{FlowId, Limits, Nat, Outside, Settings};
use sekisho::wire::ether::{EtherType, Frame, Mac, header};
use sekisho::wire::inet::{self, Icmp, Ipv4, Network, Protocol, put_ipv4};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);

/// What a step can be. The numbers are those of the corpus: new ones go to the end.
mod op {
    /// A frame as it is.
    pub(super) const FRAME: u8 = 0;
    /// From a client: which, protocol, destination, and what follows the IP header; its checksums are put right.
    pub(super) const PACKET: u8 = 1;
    /// A datagram for a flow: which, from the last byte of an address, payload.
    pub(super) const UDP: u8 = 2;
    /// A message for a ping socket, likewise.
    pub(super) const ECHO: u8 = 3;
    /// The server of a flow has answered (1) or not (0).
    pub(super) const CONNECTED: u8 = 4;
    /// A flow's socket has something to say: which, how many bytes; 255 is its end.
    pub(super) const READY: u8 = 5;
    /// What a flow has sent did not arrive: which, type, code, what was sent.
    pub(super) const ERROR: u8 = 6;
    /// Seconds go by.
    pub(super) const TIME: u8 = 7;
}

#[derive(Default)]
struct World {
    open: Vec<FlowId>,
    says: usize,
    ended: bool,
    port: u16,
}

impl World {
    fn opens(&mut self, flow: FlowId) {
        if !self.open.contains(&flow) {
            self.open.push(flow);
        }
    }

    fn flow(&self, n: u8) -> FlowId {
        let at = usize::from(n) % self.open.len().max(1);
        self.open.get(at).copied().unwrap_or(FlowId(u32::from(n)))
    }
}

impl Outside for World {
    fn send_udp(&mut self, flow: FlowId, to: SocketAddrV4, _: &[u8]) -> io::Result<()> {
        assert!(!to.ip().is_loopback() && !to.ip().is_unspecified(), "{to}");
        self.opens(flow);
        Ok(())
    }

    fn send_echo(&mut self, flow: FlowId, to: Ipv4Addr, message: &[u8]) -> io::Result<()> {
        assert!(!to.is_loopback() && message.len() >= 8, "{to}");
        self.opens(flow);
        Ok(())
    }

    fn connect(&mut self, flow: FlowId, to: SocketAddrV4, from: Option<u16>) -> io::Result<u16> {
        assert!(!to.ip().is_loopback(), "{to}");
        self.opens(flow);
        self.port = self.port.wrapping_add(1);
        Ok(from.unwrap_or(self.port))
    }

    fn read(&mut self, _: FlowId, into: &mut [u8]) -> io::Result<usize> {
        let length = self.says.min(into.len());
        self.says -= length;
        match length {
            0 if self.ended => Ok(0),
            0 => Err(ErrorKind::WouldBlock.into()),
            length => Ok(length),
        }
    }

    fn write(&mut self, _: FlowId, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn shut_down(&mut self, _: FlowId) {}

    fn close(&mut self, flow: FlowId) {
        self.open.retain(|open| *open != flow);
    }
}

pub(super) fn usernat(bytes: &[u8]) {
    let network: Network = "10.60.0.0/24".parse().expect("a network");
    let limits = Limits { tcp: 3, udp: 3, echo: 2, all: 10 };
    let resolvers = vec![Ipv4Addr::new(198, 51, 100, 53)];
    let mut now = origin();
    let mut nat = Nat::new(now, Settings { mac: MAC, gateway: GATEWAY, network, resolvers, limits }, 7);
    let mut world = World::default();
    for (step, argument) in steps(bytes) {
        let (first, rest) = argument.split_first().map_or((0, argument), |(first, rest)| (*first, rest));
        match step {
            op::FRAME => {
                let _ = nat.handle_frame(now, argument, &mut world);
            }
            op::PACKET => {
                let _ = nat.handle_frame(now, &packet(first, rest), &mut world);
            }
            op::UDP | op::ECHO => {
                let (last, payload) =
                    rest.split_first().map_or((0, rest), |(last, payload)| (*last, payload));
                let from = Ipv4Addr::new(192, 0, 2, last);
                if step == op::UDP {
                    nat.handle_udp(world.flow(first), SocketAddrV4::new(from, 53), payload);
                } else {
                    nat.handle_echo(world.flow(first), from, payload);
                }
            }
            op::CONNECTED => {
                let result =
                    if number(rest) & 0x100 == 0 { Err(ErrorKind::ConnectionRefused) } else { Ok(()) };
                nat.handle_connected(now, world.flow(first), result, &mut world);
            }
            op::READY => {
                let much = rest.first().copied().unwrap_or(0);
                (world.says, world.ended) = (usize::from(much) * 100, much == 255);
                nat.handle_ready(world.flow(first), true, true);
            }
            op::ERROR => {
                let error = Icmp(rest.first().copied().unwrap_or(3), rest.get(1).copied().unwrap_or(1));
                let to = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 9), 80);
                nat.handle_unreachable(world.flow(first), to, None, error, rest.get(2..).unwrap_or_default());
            }
            op::TIME => {
                now += Duration::from_secs(number(argument) as u64 % 10_000);
                nat.handle_timeout(now, &mut world);
            }
            _ => {}
        }
        nat.work(now, &mut world);
        assert!(nat.len() <= limits.all);
        for frame in nat.take_frames() {
            let view = Frame::parse(&frame).expect("a frame of ours is one");
            assert_eq!(view.source, MAC);
            assert!(frame.len() <= 1514);
            if view.ethertype == EtherType::IPV4 {
                let ip = Ipv4::parse(view.payload).expect("a packet of ours is one");
                assert!(network.contains(ip.destination), "{}", ip.destination);
            }
        }
    }
}

/// A client's packet in its frame.
fn packet(client: u8, rest: &[u8]) -> Vec<u8> {
    let Some(([protocol, a, b, c, d], payload)) = rest.split_first_chunk::<5>() else { return Vec::new() };
    let source = Ipv4Addr::new(10, 60, 0, 10 + client % 2);
    let destination = Ipv4Addr::new(*a, *b, *c, *d);
    let mut payload = payload.to_vec();
    // Where the checksum is, and whether addresses count.
    let place = match *protocol {
        1 => Some((2, false)),
        6 => Some((16, true)),
        17 => Some((6, true)),
        _ => None,
    };
    if let Some((at, pseudo)) = place.filter(|(at, _)| payload.len() >= at + 2) {
        payload[at..at + 2].fill(0);
        let start = if pseudo {
            inet::pseudo_header(source, destination, Protocol(*protocol), payload.len())
        } else {
            0
        };
        let sum = inet::fold(inet::add(start, &payload));
        payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    let mut whole = sekisho::packet::PacketBuf::from_slice(&payload);
    put_ipv4(&mut whole, Protocol(*protocol), source, destination);
    [&header(MAC, Mac([2, 0, 0, 0, 0, 10 + client % 2]), EtherType::IPV4)[..], &whole].concat()
}
