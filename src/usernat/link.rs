//! The hub's side: a router with one interface.

use super::flows::Key;
use super::{Nat, Outside};
use crate::packet::{Drop, PacketBuf};
use crate::wire::ether::{Arp, ArpOperation, EtherType, Frame, HEADER, header};
use crate::wire::inet::{self, ECHO_REPLY, Icmp, Ipv4, Protocol, icmp_error, put_ipv4, set_icmp_type};
use crate::wire::{Error, Kind};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// Stations that are remembered at most: the hub's network is larger than its clients are many.
const STATIONS: usize = 65_536;
/// What fits a frame of the hub.
const MTU: u16 = 1500;

impl Nat {
    /// Takes a frame of the hub.
    ///
    /// # Errors
    /// Why it goes no further.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        frame: &[u8],
        outside: &mut impl Outside,
    ) -> Result<(), Drop> {
        let view = Frame::parse(frame)?;
        let ours = view.destination == self.settings.mac;
        if !view.is_untagged(frame) || !ours && !view.destination.is_broadcast() {
            return Err(Drop::NotCarried);
        }
        match view.ethertype {
            EtherType::ARP => {
                let arp = Arp::parse(view.payload)?;
                self.learn(arp.sender, arp.sender_mac);
                if arp.operation == ArpOperation::REQUEST && arp.target == self.settings.gateway {
                    self.out.push(arp.reply(self.settings.mac).frame(arp.sender_mac));
                }
                Ok(())
            }
            EtherType::IPV4 if ours => {
                let ip = Ipv4::parse(view.payload)?;
                if !self.settings.network.is_host(ip.source) || ip.source == self.settings.gateway {
                    return Err(Drop::SpoofedSource);
                }
                self.learn(ip.source, view.source);
                let packet = view.payload.get(..ip.total_len).unwrap_or_default();
                self.recv(now, packet, &ip, outside)
            }
            _ => Err(Drop::NotCarried),
        }
    }

    fn learn(&mut self, address: Ipv4Addr, mac: crate::wire::ether::Mac) {
        let known = self.stations.contains_key(&address) || self.stations.len() < STATIONS;
        if self.settings.network.is_host(address) && mac.is_unicast() && known {
            self.stations.insert(address, mac);
        }
    }

    fn recv(
        &mut self,
        now: Instant,
        packet: &[u8],
        ip: &Ipv4<'_>,
        outside: &mut impl Outside,
    ) -> Result<(), Drop> {
        ip.verify(packet)?;
        if ip.more_fragments || ip.offset > 0 {
            let Some(whole) = self.fragments.put(now, packet, ip) else { return Ok(()) };
            let ip = Ipv4::parse(&whole)?;
            return self.recv(now, &whole, &ip, outside);
        }
        // RFC 1812 section 5.3.1; what is for us has arrived.
        if packet.get(8).is_none_or(|ttl| *ttl <= 1) && ip.destination != self.settings.gateway {
            self.complain(packet, Icmp::TTL_EXCEEDED);
            return Ok(());
        }
        match ip.protocol {
            Protocol::UDP => self.recv_udp(now, packet, ip, outside),
            Protocol::TCP => self.recv_tcp(now, packet, ip, outside),
            Protocol::ICMP => self.recv_icmp(now, packet, ip, outside),
            _ => {
                self.complain(packet, Icmp::PROTOCOL_UNREACHABLE);
                Ok(())
            }
        }
    }

    fn recv_icmp(
        &mut self,
        now: Instant,
        packet: &[u8],
        ip: &Ipv4<'_>,
        outside: &mut impl Outside,
    ) -> Result<(), Drop> {
        // An echo request is all that there is to do: errors are about packets that ended here.
        let [8, 0, _, _, ..] = ip.payload else { return Err(Drop::NotCarried) };
        if inet::fold(inet::add(0, ip.payload)) != 0 {
            return Err(Error::new("ICMP checksum", Kind::BadValue).into());
        }
        if ip.destination == self.settings.gateway {
            let mut reply = PacketBuf::from_slice(ip.payload);
            set_icmp_type(&mut reply, ECHO_REPLY);
            put_ipv4(&mut reply, Protocol::ICMP, self.settings.gateway, ip.source);
            self.send(ip.source, reply);
            return Ok(());
        }
        self.echo(now, packet, ip, outside)
    }

    /// Tells a client what is the matter with its packet (RFC 792).
    pub(super) fn complain(&mut self, packet: &[u8], error: Icmp) {
        self.complain_from(self.settings.gateway, packet, error);
    }

    /// The same in the name of a router outside.
    pub(super) fn complain_from(&mut self, router: Ipv4Addr, packet: &[u8], error: Icmp) {
        if let Some(message) = icmp_error(packet, router, error)
            && let Ok(ip) = Ipv4::parse(&message)
        {
            let to = ip.destination;
            self.send(to, message);
        }
    }

    /// Sends an IP packet to a client: in pieces where it is too large for a frame.
    pub(super) fn send(&mut self, to: Ipv4Addr, packet: PacketBuf) {
        // Whoever asked has shown where it is.
        let Some(mac) = self.stations.get(&to).copied() else { return };
        let ethernet = header(mac, self.settings.mac, EtherType::IPV4);
        if packet.len() <= usize::from(MTU) {
            let mut frame = packet;
            frame.put_front(&ethernet);
            self.out.push(frame);
            return;
        }
        let mut whole = packet;
        self.ident = self.ident.wrapping_add(1);
        set_ident(&mut whole, self.ident);
        for mut piece in inet::fragment(&whole, MTU).unwrap_or_default() {
            piece.put_front(&ethernet);
            self.out.push(piece);
        }
    }

    /// Whether a client may have one more flow of a kind; `evict` lets the oldest make room.
    pub(super) fn may_open(&mut self, key: &Key, evict: bool, outside: &mut impl Outside) -> bool {
        let (client, class) = (key.client(), key.class());
        let limits = self.settings.limits;
        let limit = [limits.udp, limits.echo, limits.tcp].get(class).copied().unwrap_or(0);
        if self.flows.count(client, class) < limit && self.flows.len() < limits.all {
            return true;
        }
        let oldest = self.flows.oldest(client, class).filter(|_| evict);
        match oldest {
            Some(oldest) => {
                outside.close(oldest);
                self.flows.remove(oldest);
                true
            }
            None => {
                self.counts.refused += 1;
                false
            }
        }
    }
}

/// Bytes of an Ethernet header, which frames of clients have before their packets.
const _: () = assert!(HEADER == 14);

fn set_ident(packet: &mut [u8], ident: u16) {
    packet[4..6].copy_from_slice(&ident.to_be_bytes());
    packet[10..12].fill(0);
    let sum = inet::fold(inet::add(0, &packet[..20]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An address and a port.
pub(super) const fn socket(address: Ipv4Addr, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address, port)
}
