//! Mappings of UDP (RFC 4787) and of ICMP echo (RFC 5508): one socket each.

use super::flows::{Body, Key};
use super::link::socket;
use super::outside::FlowId;
use super::{Nat, Outside};
use crate::packet::{Drop, PacketBuf};
use crate::wire::inet::{
    self, ECHO_REPLY, ECHO_REQUEST, Icmp, Ipv4, Protocol, Udp, put_ipv4, set_icmp_type, udp_packet,
};
use crate::wire::{Error, Kind};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// How long a mapping lives after what the client has sent last (RFC 4787 section 4.3 asks for 2 minutes at least and
/// recommends 5; only what goes out counts).
const UDP: Duration = Duration::from_secs(300);
/// Questions are answered at once or never (the exception for well-known ports).
const DNS: Duration = Duration::from_secs(30);
/// RFC 5508 section 3.2 asks for 60 seconds at least.
const ECHO: Duration = Duration::from_secs(60);
/// Addresses that one mapping lets in.
const PARTNERS: usize = 64;

/// One mapping.
#[derive(Debug, Default)]
pub(super) struct Mapping {
    /// Addresses that the client has sent to, the latest last.
    partners: Vec<Ipv4Addr>,
    /// Where the client has sent to last.
    last: Option<SocketAddrV4>,
    /// The last question to the gateway's name server, and how often it was asked.
    question: Option<(u16, usize)>,
}

impl Mapping {
    pub(super) const fn last(&self) -> Option<SocketAddrV4> {
        self.last
    }

    fn sends_to(&mut self, to: SocketAddrV4) {
        let address = *to.ip();
        self.last = Some(to);
        if self.partners.last() == Some(&address) {
            return;
        }
        self.partners.retain(|known| *known != address);
        if self.partners.len() == PARTNERS {
            self.partners.remove(0);
        }
        self.partners.push(address);
    }
}

impl Nat {
    pub(super) fn recv_udp(
        &mut self,
        now: Instant,
        packet: &[u8],
        ip: &Ipv4<'_>,
        outside: &mut impl Outside,
    ) -> Result<(), Drop> {
        let udp = Udp::parse(ip.payload)?;
        let checksum = ip.payload.get(6..8) != Some(&[0, 0]);
        let sum = inet::pseudo_header(ip.source, ip.destination, Protocol::UDP, ip.payload.len());
        if checksum && inet::fold(inet::add(sum, ip.payload)) != 0 {
            return Err(Error::new("UDP checksum", Kind::BadValue).into());
        }
        let (client, to) = (socket(ip.source, udp.source), socket(ip.destination, udp.destination));
        let here = ip.destination == self.settings.gateway;
        let Some(mut target) = self.target(to) else {
            self.complain(packet, if here { Icmp::PORT_UNREACHABLE } else { Icmp::HOST_UNREACHABLE });
            return Ok(());
        };
        // Nothing else of the gateway's has a target.
        let dns = here;
        let key = Key::Udp { client, dns };
        let Some((id, mapping)) = self.mapping(now, key, if dns { DNS } else { UDP }, outside) else {
            self.complain(packet, Icmp::PROHIBITED);
            return Ok(());
        };
        let mut turn = 0;
        if dns {
            // A question that is asked again is asked elsewhere.
            let number = udp.payload.first_chunk().map_or(0, |bytes| u16::from_be_bytes(*bytes));
            turn = match mapping.question {
                Some((last, turn)) if last == number => turn + 1,
                _ => 0,
            };
            mapping.question = Some((number, turn));
        }
        let resolvers = &self.settings.resolvers;
        if dns && let Some(resolver) = resolvers.get(turn % resolvers.len().max(1)) {
            target.set_ip(*resolver);
        }
        if let Some(flow) = self.flows.get_mut(id)
            && let Body::Mapping(mapping) = &mut flow.body
        {
            mapping.sends_to(target);
        }
        match outside.send_udp(id, target, udp.payload) {
            Ok(()) => {}
            Err(error) => self.complain(packet, reason(error.kind())),
        }
        Ok(())
    }

    /// The mapping of a key, made where it is not there, and kept from now on for `life`.
    fn mapping(
        &mut self,
        now: Instant,
        key: Key,
        life: Duration,
        outside: &mut impl Outside,
    ) -> Option<(FlowId, &mut Mapping)> {
        let id = match self.flows.find(&key) {
            Some(id) => id,
            None if self.may_open(&key, true, outside) => {
                self.flows.insert(key, Body::Mapping(Mapping::default()), now + life)
            }
            None => return None,
        };
        let flow = self.flows.get_mut(id)?;
        flow.until = now + life;
        match &mut flow.body {
            Body::Mapping(mapping) => Some((id, mapping)),
            Body::Connection(_) => None,
        }
    }

    /// Takes a datagram that a flow's socket received.
    pub fn handle_udp(&mut self, flow: FlowId, from: SocketAddrV4, payload: &[u8]) {
        let Some(entry) = self.flows.get_mut(flow) else { return };
        let (Key::Udp { client, dns }, Body::Mapping(mapping)) = (entry.key, &entry.body) else { return };
        if !mapping.partners.contains(from.ip()) || dns && from.port() != 53 {
            self.counts.unasked += 1;
            return;
        }
        let from = if dns { socket(self.settings.gateway, 53) } else { from };
        let packet = udp_packet((*from.ip(), from.port()), (*client.ip(), client.port()), payload);
        self.send(*client.ip(), packet);
    }

    /// Passes an echo request on.
    pub(super) fn echo(
        &mut self,
        now: Instant,
        packet: &[u8],
        ip: &Ipv4<'_>,
        outside: &mut impl Outside,
    ) -> Result<(), Drop> {
        let [_, _, _, _, high, low, _, _, ..] = ip.payload else { return Err(Drop::NotCarried) };
        let key = Key::Echo { client: ip.source, id: u16::from_be_bytes([*high, *low]) };
        let Some(target) = self.target(socket(ip.destination, 0)) else {
            self.complain(packet, Icmp::HOST_UNREACHABLE);
            return Ok(());
        };
        let Some((id, mapping)) = self.mapping(now, key, ECHO, outside) else {
            self.complain(packet, Icmp::PROHIBITED);
            return Ok(());
        };
        mapping.sends_to(target);
        if let Err(error) = outside.send_echo(id, *target.ip(), ip.payload) {
            self.complain(packet, reason(error.kind()));
        }
        Ok(())
    }

    /// Takes an echo reply that a flow's ping socket received.
    pub fn handle_echo(&mut self, flow: FlowId, from: Ipv4Addr, message: &[u8]) {
        let Some(entry) = self.flows.get_mut(flow) else { return };
        let (Key::Echo { client, id }, Body::Mapping(mapping)) = (entry.key, &entry.body) else { return };
        if !mapping.partners.contains(&from) || message.first() != Some(&0) || message.len() < 8 {
            self.counts.unasked += 1;
            return;
        }
        let mut reply = PacketBuf::from_slice(message);
        if let Some(field) = reply.get_mut(4..6) {
            field.copy_from_slice(&id.to_be_bytes());
        }
        set_icmp_type(&mut reply, ECHO_REPLY);
        put_ipv4(&mut reply, Protocol::ICMP, from, client);
        self.send(client, reply);
    }

    /// Takes news that what a flow has sent to `to` did not arrive, from whoever says so. The mapping stays, and lives no
    /// longer for it (RFC 4787 section 9, RFC 5508 section 4.3). `sent` is the beginning of what was sent.
    pub fn handle_unreachable(
        &mut self,
        flow: FlowId,
        to: SocketAddrV4,
        by: Option<Ipv4Addr>,
        error: Icmp,
        sent: &[u8],
    ) {
        let Some(entry) = self.flows.get_mut(flow) else { return };
        // As the client has sent it, as far as it is still known.
        let original = match entry.key {
            Key::Udp { client, dns: false } => {
                udp_packet((*client.ip(), client.port()), (*to.ip(), to.port()), &[])
            }
            Key::Echo { client, id } if sent.len() >= 8 => {
                let mut request = PacketBuf::from_slice(sent);
                if let Some(field) = request.get_mut(4..6) {
                    field.copy_from_slice(&id.to_be_bytes());
                }
                set_icmp_type(&mut request, ECHO_REQUEST);
                put_ipv4(&mut request, Protocol::ICMP, client, *to.ip());
                request
            }
            _ => return,
        };
        self.complain_from(by.unwrap_or(self.settings.gateway), &original, error);
    }
}

/// What a client is told of a socket's refusal.
pub(super) const fn reason(error: ErrorKind) -> Icmp {
    match error {
        ErrorKind::NetworkUnreachable => Icmp::NET_UNREACHABLE,
        ErrorKind::PermissionDenied => Icmp::PROHIBITED,
        ErrorKind::ConnectionRefused => Icmp::PORT_UNREACHABLE,
        _ => Icmp::HOST_UNREACHABLE,
    }
}
