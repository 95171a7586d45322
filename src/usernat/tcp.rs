//! TCP (RFC 5382): the client's connection ends in a stack of our own, a socket goes on from there, and bytes go from one
//! to the other. The client's SYN is not answered before the server has answered ours: who is not there is not pretended.
//!
//! Each connection has a stack of its own with one address, the server's: what a packet costs does not depend on how many
//! connections there are.

use super::flows::{Body, Key};
use super::link::socket;
use super::outside::FlowId;
use super::udp::reason;
use super::{Nat, Outside};
use crate::packet::{Drop, PacketBuf};
use crate::wire::inet::{self, Icmp, Ipv4, Protocol, put_ipv4};
use crate::wire::{Error, Kind};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{CongestionControl, Socket, SocketBuffer, State};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpListenEndpoint};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// RFC 5382 section 5: an established connection is kept for two hours and four minutes at least.
const ESTABLISHED: Duration = Duration::from_secs(7440);
/// And one that begins or ends for four minutes.
const TRANSITORY: Duration = Duration::from_secs(240);
/// How long a client that does not acknowledge is waited for. (The stack has a time-out of its own, which ends idle
/// connections as well.)
const SILENT: Duration = Duration::from_secs(120);
/// Bytes that wait in each direction. (Memory that is not touched costs nothing.)
const BUFFER: usize = 256 * 1024;
/// Segments from the client that wait at most.
const WAITING: usize = 512;

/// A connection.
pub(super) struct Connection {
    /// The client's SYN, while the server is asked.
    syn: Option<PacketBuf>,
    stack: Option<Stack>,
    /// The socket outside: connected, may have bytes, has room, has come to its end; we have said our end.
    connected: bool,
    readable: bool,
    writable: bool,
    ended: bool,
    shut: bool,
    /// Since when something waits for the client's acknowledgement, and when the client was heard last.
    waits: Option<Instant>,
    heard: Instant,
}

impl Connection {
    /// When the client has been silent for too long, as things are after `now`.
    fn patience(&mut self, now: Instant) -> Option<Instant> {
        let stack = self.stack.as_ref()?;
        let socket = stack.sockets.get::<Socket<'_>>(stack.handle);
        let said =
            matches!(socket.state(), State::SynReceived | State::FinWait1 | State::Closing | State::LastAck);
        if socket.send_queue() == 0 && !said {
            self.waits = None;
            return None;
        }
        let since = *self.waits.get_or_insert(now);
        Some(since.max(self.heard) + SILENT)
    }

    pub(super) fn state(&self) -> &'static str {
        match &self.stack {
            None => "connecting",
            Some(stack) => match stack.sockets.get::<Socket<'_>>(stack.handle).state() {
                State::Established => "open",
                State::Listen | State::SynSent | State::SynReceived => "connecting",
                _ => "closing",
            },
        }
    }
}

struct Stack {
    interface: Interface,
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    wire: Wire,
}

#[derive(Default)]
struct Wire {
    inbound: VecDeque<PacketBuf>,
    outbound: Vec<PacketBuf>,
}

struct Inbound(PacketBuf);
struct Outbound<'a>(&'a mut Vec<PacketBuf>);

impl Device for Wire {
    type RxToken<'a> = Inbound;
    type TxToken<'a> = Outbound<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Inbound, Outbound<'_>)> {
        Some((Inbound(self.inbound.pop_front()?), Outbound(&mut self.outbound)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Outbound<'_>> {
        Some(Outbound(&mut self.outbound))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = 1500;
        capabilities
    }
}

impl RxToken for Inbound {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outbound<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut buf = PacketBuf::with_capacity(len);
        let result = f(buf.open_back(len));
        self.0.push(buf);
        result
    }
}

impl Stack {
    fn new(now: smoltcp::time::Instant, server: (Ipv4Addr, u16), seed: u64) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut interface = Interface::new(config, &mut wire, now);
        // Its address is the server's, and everybody is on its network.
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::new(IpAddress::Ipv4(server.0), 0));
        });
        let buffer = || SocketBuffer::new(vec![0; BUFFER]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_congestion_control(CongestionControl::Cubic);
        socket.set_nagle_enabled(false);
        let _ = socket.listen(IpListenEndpoint { addr: Some(IpAddress::Ipv4(server.0)), port: server.1 });
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Self { interface, sockets, handle, wire }
    }
}

impl Nat {
    pub(super) fn recv_tcp(
        &mut self,
        now: Instant,
        packet: &[u8],
        ip: &Ipv4<'_>,
        outside: &mut impl Outside,
    ) -> Result<(), Drop> {
        let Some(tcp) = ip.payload.first_chunk::<20>() else {
            return Err(Error::new("TCP header", Kind::Truncated).into());
        };
        let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let (client, server) = (socket(ip.source, port(0)), socket(ip.destination, port(2)));
        let key = Key::Tcp { client, server };
        if let Some(id) = self.flows.find(&key) {
            if let Some(flow) = self.flows.get_mut(id)
                && let Body::Connection(connection) = &mut flow.body
                && let Some(stack) = &mut connection.stack
                && stack.wire.inbound.len() < WAITING
            {
                connection.heard = now;
                stack.wire.inbound.push_back(PacketBuf::from_slice(packet));
                self.touched.insert(id);
            }
            // A SYN that is repeated while the server is asked.
            return Ok(());
        }
        const SYN: u8 = 0x02;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        if tcp[13] & (SYN | ACK | RST) != SYN {
            // Of a connection that is no more: RFC 9293 section 3.10.7.1.
            self.reset(ip, tcp);
            return Ok(());
        }
        let sum = inet::pseudo_header(ip.source, ip.destination, Protocol::TCP, ip.payload.len());
        if inet::fold(inet::add(sum, ip.payload)) != 0 {
            return Err(Error::new("TCP checksum", Kind::BadValue).into());
        }
        let Some(target) = self.target(server) else {
            if ip.destination == self.settings.gateway {
                self.reset(ip, tcp);
            } else {
                self.complain(packet, Icmp::HOST_UNREACHABLE);
            }
            return Ok(());
        };
        if !self.may_open(&key, false, outside) {
            self.reset(ip, tcp);
            return Ok(());
        }
        let connection = Connection {
            syn: Some(PacketBuf::from_slice(packet)),
            stack: None,
            connected: false,
            readable: false,
            writable: false,
            ended: false,
            shut: false,
            waits: None,
            heard: now,
        };
        let id = self.flows.insert(key, Body::Connection(Box::new(connection)), now + TRANSITORY);
        // All connections of a client's port come from one port of ours (RFC 5382 section 4.1), unless the last one to this
        // server is not quite over there.
        let port = self.flows.port_of(&client);
        let connected = match outside.connect(id, target, port) {
            Err(_) if port.is_some() => {
                outside.close(id);
                outside.connect(id, target, None)
            }
            connected => connected,
        };
        match connected {
            Ok(port) => self.flows.use_port(id, port),
            Err(error) => {
                outside.close(id);
                self.flows.remove(id);
                self.refuse(packet, error.kind());
            }
        }
        Ok(())
    }

    /// Tells a client that its connection does not come about.
    fn refuse(&mut self, syn: &[u8], error: ErrorKind) {
        let Ok(ip) = Ipv4::parse(syn) else { return };
        let Some(tcp) = ip.payload.first_chunk::<20>() else { return };
        match reason(error) {
            // "Connection refused" is a RST's meaning.
            Icmp::PORT_UNREACHABLE => self.reset(&ip, tcp),
            error => self.complain(syn, error),
        }
    }

    /// Answers a segment with a RST (RFC 9293 section 3.10.7.1).
    fn reset(&mut self, ip: &Ipv4<'_>, tcp: &[u8; 20]) {
        const FIN_SYN: u8 = 0x03;
        const RST: u8 = 0x04;
        const ACK: u8 = 0x10;
        let flags = tcp[13];
        if flags & RST != 0 {
            return;
        }
        let mut segment = [0; 20];
        segment[..2].copy_from_slice(&tcp[2..4]);
        segment[2..4].copy_from_slice(&tcp[..2]);
        segment[12] = 5 << 4;
        if flags & ACK != 0 {
            segment[4..8].copy_from_slice(&tcp[8..12]);
            segment[13] = RST;
        } else {
            let data = ip.payload.len().saturating_sub(usize::from(tcp[12] >> 4) * 4);
            let length = data as u32 + (flags & FIN_SYN).count_ones();
            let sequence = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
            segment[8..12].copy_from_slice(&sequence.wrapping_add(length).to_be_bytes());
            segment[13] = RST | ACK;
        }
        let sum = inet::pseudo_header(ip.destination, ip.source, Protocol::TCP, segment.len());
        let sum = inet::fold(inet::add(sum, &segment));
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        let mut packet = PacketBuf::from_slice(&segment);
        put_ipv4(&mut packet, Protocol::TCP, ip.destination, ip.source);
        self.send(ip.source, packet);
    }

    /// The server has answered, or not.
    pub fn handle_connected(
        &mut self,
        now: Instant,
        id: FlowId,
        result: Result<(), ErrorKind>,
        outside: &mut impl Outside,
    ) {
        let seed = self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
        let time = self.stack_time(now);
        let Some(flow) = self.flows.get_mut(id) else { return };
        let (Key::Tcp { server, .. }, Body::Connection(connection)) = (flow.key, &mut flow.body) else {
            return;
        };
        let Some(syn) = connection.syn.take() else { return };
        match result {
            Ok(()) => {
                let mut stack = Stack::new(time, (*server.ip(), server.port()), seed);
                stack.wire.inbound.push_back(syn);
                connection.stack = Some(stack);
                (connection.connected, connection.readable, connection.writable) = (true, true, true);
                self.seed = seed;
                self.touched.insert(id);
            }
            Err(error) => {
                outside.close(id);
                self.flows.remove(id);
                self.refuse(&syn, error);
            }
        }
    }

    /// A connection's socket may have bytes, or room.
    pub fn handle_ready(&mut self, id: FlowId, readable: bool, writable: bool) {
        let Some(flow) = self.flows.get_mut(id) else { return };
        if let Body::Connection(connection) = &mut flow.body {
            connection.readable |= readable;
            connection.writable |= writable;
            self.touched.insert(id);
        }
    }

    /// Whether a flow waits for its server.
    #[must_use]
    pub fn is_connecting(&mut self, id: FlowId) -> bool {
        self.flows.get_mut(id).is_some_and(|flow| match &flow.body {
            Body::Connection(connection) => connection.syn.is_some(),
            Body::Mapping(_) => false,
        })
    }

    fn stack_time(&self, now: Instant) -> smoltcp::time::Instant {
        let micros = now.saturating_duration_since(self.began).as_micros();
        smoltcp::time::Instant::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }

    /// Moves what can be moved on a connection.
    pub(super) fn pump(&mut self, now: Instant, id: FlowId, outside: &mut impl Outside) {
        let time = self.stack_time(now);
        let Some(flow) = self.flows.get_mut(id) else { return };
        let client = flow.key.client();
        let Body::Connection(connection) = &mut flow.body else { return };
        let connection = &mut **connection;
        let given_up = connection.patience(now).is_some_and(|end| end <= now);
        let Some(stack) = &mut connection.stack else { return };
        stack.interface.poll(time, &mut stack.wire, &mut stack.sockets);
        let socket = stack.sockets.get_mut::<Socket<'_>>(stack.handle);
        let mut broken = given_up;
        while connection.writable && socket.can_recv() {
            let moved = socket.recv(|bytes| match outside.write(id, bytes) {
                Ok(written) => (written, Ok(written)),
                Err(error) => (0, Err(error.kind())),
            });
            match moved {
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(ErrorKind::WouldBlock)) => connection.writable = false,
                Ok(Err(ErrorKind::Interrupted)) => {}
                Ok(Err(_)) | Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        while connection.readable && !connection.ended && socket.can_send() {
            let moved = socket.send(|space| match outside.read(id, space) {
                Ok(read) => (read, Ok(read)),
                Err(error) => (0, Err(error.kind())),
            });
            match moved {
                Ok(Ok(0)) => {
                    connection.ended = true;
                    socket.close();
                }
                Ok(Ok(_) | Err(ErrorKind::Interrupted)) => {}
                Ok(Err(ErrorKind::WouldBlock)) => connection.readable = false,
                Ok(Err(_)) | Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        if broken {
            socket.abort();
        }
        // The client has said all that it has to say, and all of it has been passed on.
        let heard_all = !socket.may_recv() && socket.recv_queue() == 0;
        let begun = !matches!(socket.state(), State::Listen | State::SynReceived);
        if heard_all && begun && !connection.shut {
            connection.shut = true;
            outside.shut_down(id);
        }
        stack.interface.poll(time, &mut stack.wire, &mut stack.sockets);
        let state = stack.sockets.get::<Socket<'_>>(stack.handle).state();
        let next = stack.interface.poll_at(time, &stack.sockets);
        let packets = std::mem::take(&mut stack.wire.outbound);
        let patience = connection.patience(now);
        flow.until = now + if state == State::Established { ESTABLISHED } else { TRANSITORY };
        // A TIME-WAIT of ours protects nobody: the socket outside has its own.
        let over = matches!(state, State::Closed | State::TimeWait);
        let due = next.map(|at| {
            let wait = Duration::from_micros((at - time).total_micros());
            now + wait.max(Duration::from_millis(1))
        });
        let due = due.into_iter().chain(patience.map(|end| end.max(now + Duration::from_millis(1)))).min();
        if over {
            outside.close(id);
            self.flows.remove(id);
        } else {
            self.flows.arm(id, due);
        }
        for packet in packets {
            self.send(client, packet);
        }
    }
}
