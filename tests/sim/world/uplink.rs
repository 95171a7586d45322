//! The host behind a hub's uplink: the gateway's address on a TAP interface, and the world beyond it.

use super::host::Inbox;
use sekisho::hub::{HubId, Mac, PortId};
use sekisho::packet::PacketBuf;
use sekisho::wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, SERVER_PORT};
use sekisho::wire::ether::{self, Arp, ArpOperation, EtherType, Frame};
use sekisho::wire::inet::{Ipv4, Network, udp_packet};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub struct Uplink {
    pub hub: HubId,
    pub port: PortId,
    pub mac: Mac,
    pub gateway: Ipv4Addr,
    network: Network,
    neighbors: BTreeMap<Ipv4Addr, Mac>,
    waiting: Vec<(Ipv4Addr, PacketBuf)>,
    pub inbox: Inbox,
    /// The address that a DHCP server of the LAN gives, for how many seconds, if there is one; and what it was told.
    pub dhcp: Option<(Ipv4Addr, u32)>,
    pub heard: Vec<MessageType>,
}

impl Uplink {
    pub fn new(hub: HubId, port: PortId, mac: Mac, gateway: Ipv4Addr, network: Network) -> Self {
        let (neighbors, waiting, inbox) = (BTreeMap::new(), Vec::new(), Inbox::default());
        let (dhcp, heard) = (None, Vec::new());
        Self { hub, port, mac, gateway, network, neighbors, waiting, inbox, dhcp, heard }
    }

    /// Takes a frame from the hub; what goes back is returned.
    pub fn recv(&mut self, bytes: &[u8]) -> Vec<PacketBuf> {
        let frame = Frame::parse(bytes).unwrap();
        if frame.destination != self.mac && !frame.destination.is_multicast() {
            // Flooded: for somebody else.
            return Vec::new();
        }
        if frame.ethertype == EtherType::IPV4
            && let Some(udp) = Ipv4::parse(frame.payload).unwrap().udp()
            && udp.destination == SERVER_PORT
        {
            return self.recv_dhcp(&Message::parse(udp.payload).unwrap(), frame.source);
        }
        match frame.ethertype {
            EtherType::ARP => self.recv_arp(&Arp::parse(frame.payload).unwrap()),
            EtherType::IPV4 if frame.destination == self.mac => {
                // For the gateway itself or for a host beyond: both are here.
                match self.inbox.take(frame.payload) {
                    Some(answer) => self.send_ip(answer),
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        }
    }

    fn recv_dhcp(&mut self, message: &Message, from: Mac) -> Vec<PacketBuf> {
        let kind = message.kind().unwrap();
        self.heard.push(kind);
        let answer = match kind {
            MessageType::DISCOVER => MessageType::OFFER,
            MessageType::REQUEST => MessageType::ACK,
            _ => return Vec::new(),
        };
        let Some((address, seconds)) = self.dhcp else { return Vec::new() };
        let mut reply = message.reply();
        reply.yiaddr = address;
        reply.push(Code::MESSAGE_TYPE, &[answer.0]);
        reply.push(Code::SERVER_ID, &self.gateway.octets());
        reply.push(Code::SUBNET_MASK, &self.network.mask().octets());
        reply.push(Code::ROUTER, &self.gateway.octets());
        reply.push(Code::LEASE_TIME, &seconds.to_be_bytes());
        let mut frame = udp_packet((self.gateway, SERVER_PORT), (address, CLIENT_PORT), &reply.emit(1472));
        frame.put_front(&ether::header(from, self.mac, EtherType::IPV4));
        vec![frame]
    }

    fn recv_arp(&mut self, arp: &Arp) -> Vec<PacketBuf> {
        if !arp.sender.is_unspecified() {
            self.neighbors.insert(arp.sender, arp.sender_mac);
        }
        let mut frames = Vec::new();
        if arp.operation == ArpOperation::REQUEST && arp.target == self.gateway {
            frames.push(arp.reply(self.mac).frame(arp.sender_mac));
        }
        let (known, unknown) = self.waiting.drain(..).partition(|(to, _)| *to == arp.sender);
        self.waiting = unknown;
        let known: Vec<(Ipv4Addr, PacketBuf)> = known;
        frames.extend(known.into_iter().flat_map(|(_, packet)| self.send_ip(packet)));
        frames
    }

    /// Sends an IP packet to a client of the hub: the frames that go out for it.
    pub fn send_ip(&mut self, mut packet: PacketBuf) -> Vec<PacketBuf> {
        let to = Ipv4::parse(&packet).unwrap().destination;
        assert!(self.network.contains(to), "{to} is not in the hub's network");
        match self.neighbors.get(&to) {
            Some(mac) => {
                packet.put_front(&ether::header(*mac, self.mac, EtherType::IPV4));
                vec![packet]
            }
            None => {
                self.waiting.push((to, packet));
                vec![Arp::request(self.mac, self.gateway, to).frame(Mac::BROADCAST)]
            }
        }
    }
}
