//! A virtual layer-3 switch: a router (RFC 1812) whose interfaces are ports of hubs. It forwards IPv4 between the networks
//! of its hubs and along static routes, answers ARP and pings for its own addresses, and tells senders what does not get
//! through.
//!
//! | file | holds |
//! |---|---|
//! | `table` | which way a destination is |
//!
//! It believes no sender: a packet whose source lies elsewhere than where it came in is discarded (RFC 2827), and so are
//! packets that say themselves how they want to be routed. What the hubs' own tables know it does not ask for; the rest
//! is ARP of the same kind as a link's. A segment's own traffic is the switch's: a packet never goes back to the network
//! that it came from, so that clients who are kept apart do not meet by way of a router.
//!
//! Sans-IO; a worker drives it. Must not know workers or what is behind other ports.

mod table;
#[cfg(test)]
mod tests;

pub use table::Route;

use crate::hub::{Mac, PortId, View};
use crate::packet::{Drop, PacketBuf};
use crate::timer::Bucket;
use crate::vnic::{Neighbors, Resolve};
use crate::wire::ether::{self, Arp, ArpOperation, EtherType, Frame, header};
use crate::wire::inet::{self, Icmp, Ipv4, Network, Protocol, put_ipv4};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use table::{Table, Way};

/// Neighbours of one interface that its hub does not know.
const NEIGHBORS: usize = 256;

/// Messages of its own that a router sends at once after a quiet time, besides the first, and how often one more (RFC 1812
/// section 4.3.2.8): packets that nobody wants must not be answered without end.
const MESSAGES: (u32, Duration) = (49, Duration::from_millis(5));

/// An interface: a port of a hub, with an address in the hub's network.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The port.
    pub port: PortId,
    /// The hub, to be asked for neighbours.
    pub hub: Arc<View>,
    /// Our MAC address there.
    pub mac: Mac,
    /// Our address there.
    pub address: Ipv4Addr,
    /// The hub's network.
    pub network: Network,
}

/// What a router has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Packets that went on.
    pub forwarded: u64,
    /// Packets that did not.
    pub discarded: u64,
}

struct Interface {
    leg: Leg,
    neighbors: Neighbors,
}

/// A router.
pub struct Router {
    legs: Vec<Interface>,
    table: Table,
    messages: Bucket,
    counts: Counts,
}

/// Where a packet goes next, on the way out.
struct Hop {
    leg: usize,
    next: Ipv4Addr,
}

impl Hop {
    fn new(way: Way, destination: Ipv4Addr) -> Self {
        Self { leg: way.leg, next: way.via.unwrap_or(destination) }
    }
}

impl Router {
    /// A router between hubs, with its static routes. Their next hops lie in the interfaces' networks.
    #[must_use]
    pub fn new(legs: Vec<Leg>, routes: &[Route]) -> Self {
        let table = Table::new(legs.iter().map(|leg| leg.network), routes);
        let interface = |leg| Interface { leg, neighbors: Neighbors::new(NEIGHBORS) };
        Self {
            legs: legs.into_iter().map(interface).collect(),
            table,
            messages: Bucket::new(MESSAGES.0, MESSAGES.1),
            counts: Counts::default(),
        }
    }

    /// Its ports.
    pub fn ports(&self) -> impl Iterator<Item = PortId> {
        self.legs.iter().map(|interface| interface.leg.port)
    }

    /// What it has done.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes a frame that a hub sends to one of the ports. What goes out is given to `send`, with its port.
    ///
    /// # Errors
    /// Why the frame goes no further.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        port: PortId,
        frame: PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<(), Drop> {
        let from = self.legs.iter().position(|leg| leg.leg.port == port).ok_or(Drop::NoPort)?;
        let view = Frame::parse(&frame)?;
        if !view.is_untagged(&frame) {
            return Err(Drop::NotCarried);
        }
        let (ours, ethertype) = (view.destination == self.legs[from].leg.mac, view.ethertype);
        match ethertype {
            EtherType::ARP => {
                let arp = Arp::parse(view.payload)?;
                self.recv_arp(now, from, &arp, send);
                Ok(())
            }
            // RFC 1812 section 5.3.4: what was a broadcast of the segment stays there.
            EtherType::IPV4 if ours => {
                let result = self.recv_ip(now, from, frame, send);
                match result {
                    Ok(true) => self.counts.forwarded += 1,
                    Ok(false) => {}
                    Err(_) => self.counts.discarded += 1,
                }
                result.map(drop)
            }
            _ => Err(Drop::NotCarried),
        }
    }

    fn recv_arp(&mut self, now: Instant, from: usize, arp: &Arp, send: &mut impl FnMut(PortId, PacketBuf)) {
        let Some(Interface { leg, neighbors }) = self.legs.get_mut(from) else { return };
        let own = leg.address;
        if arp.target == own && arp.operation == ArpOperation::REQUEST && arp.sender != own {
            send(leg.port, arp.reply(leg.mac).frame(arp.sender_mac));
        }
        if arp.sender == own || !arp.sender_mac.is_unicast() {
            return;
        }
        for mut packet in neighbors.learn(now, arp.sender, arp.sender_mac) {
            packet.put_front(&header(arp.sender_mac, leg.mac, EtherType::IPV4));
            send(leg.port, packet);
        }
    }

    /// Returns whether the packet went on (or waits for its next hop); one for the router itself did not.
    fn recv_ip(
        &mut self,
        now: Instant,
        from: usize,
        mut frame: PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<bool, Drop> {
        let _ = frame.pull_front(ether::HEADER);
        let mut packet = frame;
        let ip = Ipv4::parse(&packet)?;
        let (source, destination, total_len) = (ip.source, ip.destination, ip.total_len);
        // RFC 1812 section 5.2.2.
        let options = packet.get(inet::IPV4_HEADER..ip.header_len).unwrap_or_default();
        ip.verify(&packet)?;
        if has_source_route(options) {
            return Err(Drop::NotCarried);
        }
        let came_by = self.table.find(source).map(|way| way.leg);
        if came_by != Some(from) || !self.is_host(from, source) {
            return Err(Drop::SpoofedSource);
        }
        packet.truncate(total_len);
        if self.legs.iter().any(|leg| leg.leg.address == destination) {
            return self.recv_own(now, from, &packet, send).map(|()| false);
        }
        if destination.is_multicast() || destination.is_broadcast() || destination.is_loopback() {
            return Err(Drop::NotCarried);
        }
        let Some(way) = self.table.find(destination) else {
            return self.refuse(now, from, &packet, Icmp::NET_UNREACHABLE, Drop::NoRoute, send);
        };
        let hop = Hop::new(way, destination);
        if hop.leg == from {
            // On the segment that it came from: its sender needs no router.
            return Err(Drop::NoPort);
        }
        let network = &self.legs[hop.leg].leg.network;
        if hop.next == destination && !network.is_host(destination) {
            // RFC 2644: a network's broadcast address leads nowhere.
            return Err(Drop::NotCarried);
        }
        if packet[8] <= 1 {
            return self.refuse(now, from, &packet, Icmp::TTL_EXCEEDED, Drop::TtlExceeded, send);
        }
        decrement_ttl(&mut packet);
        self.emit(now, from, &hop, packet, send).map(|()| true)
    }

    /// Whether an address may be a sender's at an interface: no broadcast address, and not our own.
    fn is_host(&self, leg: usize, address: Ipv4Addr) -> bool {
        let Leg { network, address: own, .. } = self.legs[leg].leg;
        let reserved = address.is_multicast() || address.is_loopback() || address.is_unspecified();
        address != own && !reserved && (!network.contains(address) || network.is_host(address))
    }

    /// Sends a packet that goes on; `from` is where it came in.
    fn emit(
        &mut self,
        now: Instant,
        from: usize,
        hop: &Hop,
        packet: PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<(), Drop> {
        let Some(packet) = self.send_to_known(now, hop, packet, send) else { return Ok(()) };
        if self.legs[hop.leg].neighbors.is_silent(now, hop.next) {
            return self.refuse(now, from, &packet, Icmp::HOST_UNREACHABLE, Drop::Unresolved, send).map(drop);
        }
        self.ask(now, hop, packet, send)
    }

    /// Sends a packet to a next hop whose station is known; else it comes back.
    fn send_to_known(
        &mut self,
        now: Instant,
        hop: &Hop,
        mut packet: PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Option<PacketBuf> {
        let Interface { leg, neighbors } = &self.legs[hop.leg];
        let Some(mac) = leg.hub.mac_of(hop.next).or_else(|| neighbors.find(now, hop.next)) else {
            return Some(packet);
        };
        packet.put_front(&header(mac, leg.mac, EtherType::IPV4));
        send(leg.port, packet);
        None
    }

    /// Has a packet wait for its next hop, and asks for it.
    fn ask(
        &mut self,
        now: Instant,
        hop: &Hop,
        packet: PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<(), Drop> {
        let Interface { leg, neighbors } = &mut self.legs[hop.leg];
        if neighbors.resolve(now, hop.next, packet)? == Resolve::Ask {
            send(leg.port, Arp::request(leg.mac, leg.address, hop.next).frame(Mac::BROADCAST));
        }
        Ok(())
    }

    /// A packet for one of our own addresses: pings are answered, whoever they are for (RFC 1812 section 4.3.3.6).
    fn recv_own(
        &mut self,
        now: Instant,
        from: usize,
        packet: &PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<(), Drop> {
        let ip = Ipv4::parse(packet)?;
        let whole = !ip.more_fragments && ip.offset == 0;
        if ip.protocol == Protocol::ICMP {
            let [inet::ECHO_REQUEST, 0, _, _, _, _, _, _, ..] = ip.payload else {
                return Err(Drop::NotCarried);
            };
            if !whole || inet::fold(inet::add(0, ip.payload)) != 0 || !self.messages.take(now) {
                return Err(Drop::NotCarried);
            }
            let mut reply = PacketBuf::from_slice(ip.payload);
            inet::set_icmp_type(&mut reply, inet::ECHO_REPLY);
            put_ipv4(&mut reply, Protocol::ICMP, ip.destination, ip.source);
            return self.answer(now, ip.source, reply, send);
        }
        let error = match ip.protocol {
            Protocol::UDP | Protocol::TCP => Icmp::PORT_UNREACHABLE,
            _ => Icmp::PROTOCOL_UNREACHABLE,
        };
        self.refuse(now, from, packet, error, Drop::NotCarried, send).map(drop)
    }

    /// Tells the sender of a packet what is the matter with it.
    ///
    /// # Errors
    /// Always: `why`.
    fn refuse(
        &mut self,
        now: Instant,
        from: usize,
        packet: &[u8],
        error: Icmp,
        why: Drop,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<bool, Drop> {
        let own = self.legs[from].leg.address;
        if let Some(message) = inet::icmp_error(packet, own, error)
            && let Ok(ip) = Ipv4::parse(&message)
            && self.messages.take(now)
        {
            let to = ip.destination;
            // An error about an error is told to nobody.
            let _ = self.answer(now, to, message, send);
        }
        Err(why)
    }

    /// Sends a packet of our own.
    fn answer(
        &mut self,
        now: Instant,
        to: Ipv4Addr,
        packet: PacketBuf,
        send: &mut impl FnMut(PortId, PacketBuf),
    ) -> Result<(), Drop> {
        let way = self.table.find(to).ok_or(Drop::NoRoute)?;
        let hop = Hop::new(way, to);
        match self.send_to_known(now, &hop, packet, send) {
            Some(packet) => self.ask(now, &hop, packet, send),
            None => Ok(()),
        }
    }

    /// When [`Self::handle_timeout`] has work; never while no packet waits for its next hop.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.legs.iter().filter_map(|interface| interface.neighbors.poll_timeout()).min()
    }

    /// Asks again for neighbours, and gives up on those that do not answer: the senders of packets that waited are told.
    /// Returns how many packets waited in vain.
    pub fn handle_timeout(&mut self, now: Instant, send: &mut impl FnMut(PortId, PacketBuf)) -> usize {
        let mut lost = Vec::new();
        for Interface { leg, neighbors } in &mut self.legs {
            let ask =
                |address| send(leg.port, Arp::request(leg.mac, leg.address, address).frame(Mac::BROADCAST));
            lost.append(&mut neighbors.expire(now, ask));
        }
        for packet in &lost {
            let source = Ipv4::parse(packet).map(|ip| ip.source);
            // One of our own that waited has no sender to be told.
            if let Some(from) = source.ok().and_then(|source| self.table.find(source)).map(|way| way.leg) {
                let own = self.legs.iter().any(|leg| Ok(leg.leg.address) == source);
                if !own {
                    let _ = self.refuse(now, from, packet, Icmp::HOST_UNREACHABLE, Drop::Unresolved, send);
                }
            }
        }
        self.counts.discarded += lost.len() as u64;
        lost.len()
    }
}

/// Whether a packet names routers that it wants to pass (RFC 791; RFC 7126 section 4.3 advises to discard it).
fn has_source_route(mut options: &[u8]) -> bool {
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    loop {
        match *options {
            [0, ..] | [] => return false,
            [1, ref rest @ ..] => options = rest,
            [LOOSE | STRICT, ..] => return true,
            [_, length, ..] => match options.get(usize::from(length).max(2)..) {
                Some(rest) => options = rest,
                None => return false,
            },
            [_] => return false,
        }
    }
}

/// One hop less (RFC 1812 section 5.3.1), and the checksum with it.
fn decrement_ttl(packet: &mut [u8]) {
    let old = u16::from_be_bytes([packet[8], packet[9]]);
    packet[8] -= 1;
    let checksum = u16::from_be_bytes([packet[10], packet[11]]);
    let checksum = inet::adjust(checksum, old, old - 0x0100);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}
