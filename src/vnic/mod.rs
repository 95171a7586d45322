//! The network card of a PPP link: turns the IP packets of a link into the Ethernet frames of a host on the hub, and
//! back (RFC 894, RFC 1122 section 2.3, RFC 826).
//!
//! It is a host, not a router: TTL stays, packets from other addresses than its own stop here, and what is for others
//! stops here too. IPv4; the types leave room for a second family beside it.
//!
//! Must not know PPP, nor decide where a frame goes.

pub mod dhcp;
mod neighbor;

use crate::hub::{Mac, View};
use crate::packet::{Drop, PacketBuf};
use crate::wire::ether::{self, Arp, ArpOperation, EtherType, Frame, header};
use crate::wire::inet::{self, Ipv4, MIN_MTU, Network, clamp_mss, fragmentation_needed};
pub use neighbor::{Neighbors, Resolve};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of IPv4 and TCP headers without options: what an MSS is below the MTU (RFC 9293 section 3.7.1).
const TCP_OVER_IP: u16 = 40;

/// The IPv4 side of a card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address {
    /// The link's own address.
    pub address: Ipv4Addr,
    /// What is on the same segment.
    pub network: Network,
    /// The next hop for all else; `None` if there is none.
    pub gateway: Option<Ipv4Addr>,
}

/// Networks behind routers of the segment, each with its router, the longest prefixes first.
pub type Routes = Arc<[(Network, Ipv4Addr)]>;

/// The network card of one link.
#[derive(Debug)]
pub struct Vnic {
    mac: Mac,
    ipv4: Address,
    routes: Routes,
    mtu: u16,
    neighbors: Neighbors,
}

/// What a frame has become for the link.
#[derive(Debug)]
#[must_use = "packets go nowhere by themselves"]
pub enum Inner {
    /// Nothing: the card has dealt with it (ARP).
    Nothing,
    /// An IP packet.
    Packet(PacketBuf),
    /// The fragments of an IP packet that was too big for the link.
    Fragments(std::vec::IntoIter<PacketBuf>),
}

impl Iterator for Inner {
    type Item = PacketBuf;

    fn next(&mut self) -> Option<PacketBuf> {
        if let Self::Fragments(fragments) = self {
            return fragments.next();
        }
        match std::mem::replace(self, Self::Nothing) {
            Self::Packet(packet) => Some(packet),
            Self::Nothing | Self::Fragments(_) => None,
        }
    }
}

impl Vnic {
    /// A card with this MAC and IPv4 address. The MTU is Ethernet's until [`Self::set_mtu`].
    #[must_use]
    pub fn new(mac: Mac, ipv4: Address) -> Self {
        Self { mac, ipv4, routes: Routes::default(), mtu: ether::MTU, neighbors: Neighbors::default() }
    }

    /// Sets the size of the biggest IP packet for the link: what the other side can receive and the way carries. TCP
    /// connections are kept to it in both directions.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.mtu = mtu.clamp(MIN_MTU, ether::MTU);
    }

    /// Sets which networks are behind other routers than the gateway.
    pub fn set_routes(&mut self, routes: Routes) {
        self.routes = routes;
    }

    /// The biggest IP packet for the link.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.mtu
    }

    /// The card's MAC address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// The card's IPv4 side.
    #[must_use]
    pub fn ipv4(&self) -> &Address {
        &self.ipv4
    }

    /// Tells the segment where this address is from now on (RFC 5227 section 3): neighbours that still know it under
    /// another MAC address follow at once.
    pub fn announce(&self, send: &mut impl FnMut(PacketBuf)) {
        send(Arp::announcement(self.mac, self.ipv4.address).frame(Mac::BROADCAST));
    }

    /// Takes an IP packet from the link and sends it as a frame, at once or once its next hop is known. `send` may be
    /// called several times (a packet too many in the queue makes none), `hub` is asked for neighbours first.
    ///
    /// # Errors
    /// Why the packet goes no further. [`Drop::Unresolved`] is also told of the packet that sits in a queue and is given
    /// up: by [`Self::handle_timeout`].
    #[inline]
    pub fn send_ip(
        &mut self,
        now: Instant,
        hub: &View,
        mut packet: PacketBuf,
        send: &mut impl FnMut(PacketBuf),
    ) -> Result<(), Drop> {
        let ip = Ipv4::parse(&packet)?;
        if ip.source != self.ipv4.address {
            return Err(Drop::SpoofedSource);
        }
        let (total_len, destination) = (ip.total_len, ip.destination);
        if total_len > usize::from(ether::MTU) {
            return Err(Drop::TooBig);
        }
        // What follows the packet in its PPP frame (padding, RFC 1661 section 5) is not its own.
        packet.truncate(total_len);
        clamp_mss(&mut packet, self.mtu.saturating_sub(TCP_OVER_IP));
        let next_hop = match self.next_hop(destination)? {
            Hop::Group(mac) => {
                packet.put_front(&header(mac, self.mac, EtherType::IPV4));
                send(packet);
                return Ok(());
            }
            Hop::Neighbor(address) => address,
        };
        let known = hub.mac_of(next_hop).or_else(|| self.neighbors.find(now, next_hop));
        if let Some(mac) = known {
            packet.put_front(&header(mac, self.mac, EtherType::IPV4));
            send(packet);
            return Ok(());
        }
        match self.neighbors.resolve(now, next_hop, packet)? {
            Resolve::Ask => send(Arp::request(self.mac, self.ipv4.address, next_hop).frame(Mac::BROADCAST)),
            Resolve::Wait => {}
        }
        Ok(())
    }

    /// Where a packet to `destination` goes next (RFC 1122 section 3.3.1.1).
    fn next_hop(&self, destination: Ipv4Addr) -> Result<Hop, Drop> {
        let network = &self.ipv4.network;
        if destination.is_multicast() {
            return Ok(Hop::Group(Mac::of_multicast(destination)));
        }
        if destination.is_broadcast() || network.broadcast() == Some(destination) {
            return Ok(Hop::Group(Mac::BROADCAST));
        }
        // To itself or nowhere (RFC 1122 section 3.2.1.3 (a), (g)).
        if destination == self.ipv4.address || destination.is_unspecified() || destination.is_loopback() {
            return Err(Drop::NoPort);
        }
        if network.contains(destination) {
            return Ok(Hop::Neighbor(destination));
        }
        let router =
            self.routes.iter().find(|(network, _)| network.contains(destination)).map(|(_, router)| *router);
        router.or(self.ipv4.gateway).map(Hop::Neighbor).ok_or(Drop::NoPort)
    }

    /// Takes a frame from the hub. `send` gets the card's own answers: ARP, packets that waited for a neighbour, ICMP.
    ///
    /// # Errors
    /// Why the frame goes no further.
    #[inline]
    pub fn recv_frame(
        &mut self,
        now: Instant,
        mut frame: PacketBuf,
        send: &mut impl FnMut(PacketBuf),
    ) -> Result<Inner, Drop> {
        let view = Frame::parse(&frame)?;
        if view.destination != self.mac && !view.destination.is_multicast() {
            return Err(Drop::NoPort);
        }
        if !view.is_untagged(&frame) {
            return Err(Drop::NotCarried);
        }
        match view.ethertype {
            EtherType::IPV4 => {}
            EtherType::ARP => {
                let arp = Arp::parse(view.payload)?;
                self.recv_arp(now, &arp, send);
                return Ok(Inner::Nothing);
            }
            _ => return Err(Drop::NotCarried),
        }
        let ip = Ipv4::parse(view.payload)?;
        self.accept(view.destination, &ip)?;
        let (from, total_len, may_cut) = (view.source, ip.total_len, !ip.dont_fragment);
        let _ = frame.pull_front(ether::HEADER);
        frame.truncate(total_len);
        if total_len > usize::from(self.mtu) {
            return self.recv_too_big(from, &frame, may_cut, send);
        }
        clamp_mss(&mut frame, self.mtu.saturating_sub(TCP_OVER_IP));
        Ok(Inner::Packet(frame))
    }

    /// Whether a packet is for this host (RFC 1122 section 3.2.1.3 and 3.3.6).
    fn accept(&self, to: Mac, ip: &Ipv4<'_>) -> Result<(), Drop> {
        let destination = ip.destination;
        let broadcast = destination.is_broadcast() || self.ipv4.network.broadcast() == Some(destination);
        let group = broadcast || destination.is_multicast();
        if destination == self.ipv4.address {
            // A unicast packet in a broadcast frame is a switch's flood at best.
            return if to == self.mac { Ok(()) } else { Err(Drop::NoPort) };
        }
        if group { Ok(()) } else { Err(Drop::NoPort) }
    }

    fn recv_too_big(
        &self,
        from: Mac,
        packet: &PacketBuf,
        may_cut: bool,
        send: &mut impl FnMut(PacketBuf),
    ) -> Result<Inner, Drop> {
        if may_cut {
            return Ok(Inner::Fragments(inet::fragment(packet, self.mtu)?.into_iter()));
        }
        // In the host's own name: the sender knows no router here, and checks only the packet that is quoted. Back to the
        // station that sent the frame, which is the sender or its router.
        if let Some(mut error) = fragmentation_needed(packet, self.ipv4.address, self.mtu) {
            error.put_front(&header(from, self.mac, EtherType::IPV4));
            send(error);
        }
        Err(Drop::TooBig)
    }

    fn recv_arp(&mut self, now: Instant, arp: &Arp, send: &mut impl FnMut(PacketBuf)) {
        let own = self.ipv4.address;
        if arp.target == own && arp.operation == ArpOperation::REQUEST && arp.sender != own {
            send(arp.reply(self.mac).frame(arp.sender_mac));
        }
        // RFC 826: what the sender says of itself refreshes an entry, and fills one that is waited for. Nothing else is
        // believed: nobody can fill the table with addresses that the link never asked for.
        if arp.sender != own && arp.sender_mac.is_unicast() {
            for mut packet in self.neighbors.learn(now, arp.sender, arp.sender_mac) {
                packet.put_front(&header(arp.sender_mac, self.mac, EtherType::IPV4));
                send(packet);
            }
        }
    }

    /// When [`Self::handle_timeout`] has work; never for a card without packets that wait.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.neighbors.poll_timeout()
    }

    /// Gives up on neighbours that do not answer; returns how many packets were dropped for that
    /// ([`Drop::Unresolved`]).
    pub fn handle_timeout(&mut self, now: Instant, send: &mut impl FnMut(PacketBuf)) -> usize {
        let (mac, own) = (self.mac, self.ipv4.address);
        let ask = |address| send(Arp::request(mac, own, address).frame(Mac::BROADCAST));
        self.neighbors.expire(now, ask).len()
    }
}

enum Hop {
    /// To a group of stations.
    Group(Mac),
    /// To the station that has this address.
    Neighbor(Ipv4Addr),
}

#[cfg(test)]
mod tests;
