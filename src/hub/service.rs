//! The hub's own place on its segment: the frames of the DHCP server, and ARP for its address where nobody else has it.

use super::dhcp::{Asker, Context, Error, Step};
use super::fdb::{Flags, Service, Value, host, station};
use super::{Event, Forward, Hub, Kind, Mac, Output, PortId, Scope, stable_mac};
use crate::packet::{Drop, PacketBuf};
use crate::wire::dhcp::{CLIENT_PORT, MIN_MAX_SIZE, Message, MessageType, SERVER_PORT};
use crate::wire::ether::{Arp, ArpOperation, EtherType, Frame, header};
use crate::wire::inet::{Ipv4, udp_packet};
use std::net::Ipv4Addr;
use std::time::Instant;

impl Hub {
    /// The server's address: its own setting, or the gateway's.
    pub(super) fn server_address(&self) -> Option<Ipv4Addr> {
        self.settings.dhcp.server.or(self.pool.settings().gateway)
    }

    /// Takes or leaves the server's place: its MAC address as a station of the hub, and its IP address unless that is an
    /// uplink's (a gateway's on a TAP).
    pub(super) fn take_place(&mut self) {
        let address = self.server_address();
        let dhcp = &self.settings.dhcp;
        let on = address.is_some();
        let service = Service { clients: on && dhcp.inform, trunks: on && dhcp.serve, address };
        let (key, body) = (station(self.service_mac, 0), u64::from(PortId::SERVICE.0));
        if service.trunks {
            self.tables.stations.insert(key, Value::new(body, Flags::STATIC, 0).0);
        } else {
            self.tables.stations.remove(key);
        }
        let old = self.tables.service.address;
        for address in old.into_iter().chain(address) {
            let holder = self.tables.hosts.find(host(address)).map(Value);
            let wanted = service.trunks && service.address == Some(address);
            let own = holder.is_some_and(|holder| holder.mac() == self.service_mac);
            if wanted && !holder.is_some_and(|holder| holder.flags().is_fixed()) {
                self.insert_host(address, self.service_mac, Flags::STATIC, 0);
            } else if !wanted && own {
                self.remove_host(address);
            }
        }
        if self.tables.service != service {
            self.tables.service = service;
            self.tables.changed();
        }
    }

    /// Handles a frame for [`PortId::SERVICE`] from one of the hub's ports.
    ///
    /// # Errors
    /// Why it was not answered; what somebody should know of is told as an event, too.
    pub fn handle_frame(
        &mut self,
        now: Instant,
        from: PortId,
        frame: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let record = self.ports.get(&from).ok_or(Drop::NoPort)?;
        let link = record.info.kind == Kind::Client;
        let view = Frame::parse(frame)?;
        if view.ethertype == EtherType::ARP {
            let arp = Arp::parse(view.payload)?;
            self.recv_arp(now, from, &arp, out);
            return Ok(());
        }
        if view.ethertype != EtherType::IPV4 {
            return Err(Drop::NotCarried);
        }
        let ip = Ipv4::parse(view.payload)?;
        let udp = ip.udp().filter(|udp| udp.destination == SERVER_PORT).ok_or(Drop::NotCarried)?;
        if ip.more_fragments {
            return Err(Drop::NotCarried);
        }
        let message = Message::parse(udp.payload)?;
        let asker = Asker { port: from, mac: view.source, source: ip.source, link };
        let result = self
            .with_server(now, Some(from), |server, cx| server.recv(cx, asker, message))
            .ok_or(Drop::NotCarried)?;
        self.answer(now, asker, result, out)
    }

    fn with_server<T>(
        &mut self,
        now: Instant,
        asker: Option<PortId>,
        run: impl FnOnce(&mut super::dhcp::Server, &mut Context<'_>) -> T,
    ) -> Option<T> {
        let server = self.server_address()?;
        let hosts = &self.tables.hosts;
        let mac_of = |address| hosts.find(host(address)).map(|value| Value(value).mac());
        let settings = &self.settings.dhcp;
        let own = asker.and_then(|port| self.ports.get(&port)?.routes.as_deref());
        let routes = own.unwrap_or(&settings.routes);
        let mut cx = Context { now, settings, routes, pool: &mut self.pool, server, mac_of: &mac_of };
        Some(run(&mut self.server, &mut cx))
    }

    /// Carries out what came of a message.
    fn answer(
        &mut self,
        now: Instant,
        asker: Asker,
        result: Result<Step, Error>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        match result {
            Ok(Step::Silence) => Ok(()),
            Ok(Step::Probe(address)) => {
                // RFC 5227 section 2.1.1: from nobody.
                let probe = Arp::request(self.service_mac, Ipv4Addr::UNSPECIFIED, address);
                out.frames.push((Forward::Flood(Scope::Trunks), probe.frame(Mac::BROADCAST)));
                Ok(())
            }
            Ok(Step::Reply(reply, size)) => {
                self.note_lease(now, asker, &reply, out);
                out.frames.push((Forward::To(asker.port), self.reply_frame(asker, &reply, size)));
                Ok(())
            }
            Err(Error::Drop(drop)) => Err(drop),
            Err(Error::Refused(why)) => {
                self.tell_refusal(now, asker, why, out);
                Err(Drop::Policy)
            }
            Err(Error::Nak(reply, why)) => {
                self.tell_refusal(now, asker, why, out);
                out.frames.push((Forward::To(asker.port), self.reply_frame(asker, &reply, MIN_MAX_SIZE)));
                Ok(())
            }
        }
    }

    /// Once per step of the clock and port: clients repeat themselves.
    fn tell_refusal(&mut self, now: Instant, asker: Asker, why: super::dhcp::Refusal, out: &mut Output) {
        let step = self.view.step(now);
        if let Some(record) = self.ports.get_mut(&asker.port)
            && record.refusal_told.replace(step) != Some(step)
        {
            out.events.push(Event::DhcpRefused { port: asker.port, mac: asker.mac, why });
        }
    }

    /// An address that was just given needs not be asked for.
    fn note_lease(&mut self, now: Instant, asker: Asker, reply: &Message, out: &mut Output) {
        if reply.kind() != Some(MessageType::ACK) || reply.yiaddr.is_unspecified() {
            return;
        }
        self.learn_host(self.view.step(now), asker.port, reply.yiaddr, asker.mac);
        if let Some(lease) = self.pool.lease(reply.yiaddr) {
            out.events.push(Event::Leased { port: asker.port, lease: lease.clone() });
        }
        self.publish();
    }

    /// RFC 2131 section 4.1: to the address that the client has; by broadcast if it says so, or is refused; else to the
    /// address that it gets.
    fn reply_frame(&self, asker: Asker, reply: &Message, size: usize) -> PacketBuf {
        let all = (Ipv4Addr::BROADCAST, Mac::BROADCAST);
        let (address, mac) = if reply.kind() == Some(MessageType::NAK) {
            all
        } else if !reply.ciaddr.is_unspecified() {
            (reply.ciaddr, asker.mac)
        } else if reply.wants_broadcast() {
            all
        } else {
            (reply.yiaddr, asker.mac)
        };
        let server = self.server_address().unwrap_or(Ipv4Addr::UNSPECIFIED);
        let bytes = reply.emit(size);
        let mut frame = udp_packet((server, SERVER_PORT), (address, CLIENT_PORT), &bytes);
        frame.put_front(&header(mac, self.service_mac, EtherType::IPV4));
        frame
    }

    fn recv_arp(&mut self, now: Instant, from: PortId, arp: &Arp, out: &mut Output) {
        let own = self
            .tables
            .hosts
            .find(host(arp.target))
            .is_some_and(|value| Value(value).mac() == self.service_mac);
        if arp.operation == ArpOperation::REQUEST && own {
            out.frames.push((Forward::To(from), arp.reply(self.service_mac).frame(arp.sender_mac)));
        }
        self.hear_claim(now, arp.sender, arp.sender_mac, out);
    }

    /// Somebody claims an address: is it one that is being probed?
    pub(super) fn hear_claim(&mut self, now: Instant, address: Ipv4Addr, mac: Mac, out: &mut Output) {
        let claimed = self.with_server(now, None, |server, cx| server.claimed(cx, address, mac)).flatten();
        if let Some((asker, result)) = claimed {
            // What comes of it is told as an event; there is no packet to count.
            let _ = self.answer(now, asker, result, out);
        }
    }

    /// Sends the offers whose probes nobody answered.
    pub(super) fn end_probes(&mut self, now: Instant, out: &mut Output) {
        for _ in 0..Self::TURNS {
            let Some((asker, step)) = self.with_server(now, None, |server, cx| server.expire(cx)).flatten()
            else {
                break;
            };
            let _ = self.answer(now, asker, Ok(step), out);
        }
    }

    /// The MAC address of a hub's own services.
    pub(super) fn own_mac(name: &str) -> Mac {
        stable_mac(name, "", "service", 0)
    }
}
