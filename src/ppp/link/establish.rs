//! LCP on a link: the phases Establish and Terminate, echoes, and what the sides refuse to speak.

use super::{Link, Role, parts};
use crate::packet::Drop;
use crate::ppp::Ctx;
use crate::ppp::Timer;
use crate::ppp::auth::Authentication;
use crate::ppp::cause::{Cause, Phase, printable};
use crate::ppp::event::{Event, Lcp as LcpResult, Output};
use crate::ppp::lcp::Agreed;
use crate::ppp::negotiator::Layer;
use crate::wire::ppp::{Code, ControlPacket, Protocol, split_header};
use std::time::{Duration, Instant};

/// Identification packets that are reported; further ones are only accepted. Windows sends three.
const MAX_IDENTIFICATIONS: u8 = 8;

/// Protocols whose refusal is reported, once each; all others together count as one more.
const REPORTED: [Protocol; 4] = [Protocol::CCP, Protocol::IPV6CP, Protocol::ACSCP, Protocol::MULTILINK];

impl Link {
    pub(super) fn handle_lcp(
        &mut self,
        now: Instant,
        information: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let packet = ControlPacket::parse(information)?;
        match packet.code {
            Code::PROTOCOL_REJECT => self.recv_protocol_reject(now, packet.data, out),
            Code::ECHO_REQUEST => self.recv_echo_request(now, &packet, out),
            Code::ECHO_REPLY => {
                self.recv_echo_reply(packet.id);
                Ok(())
            }
            Code::DISCARD_REQUEST => Ok(()),
            Code::IDENTIFICATION => {
                if self.identifications < MAX_IDENTIFICATIONS {
                    self.identifications += 1;
                    out.events.push(Event::Identification(printable(packet.data.get(4..).unwrap_or(&[]))));
                }
                Ok(())
            }
            Code::TIME_REMAINING => {
                if let Some(seconds) = packet.data.get(4..).and_then(|data| data.first_chunk()) {
                    let seconds = u32::from_be_bytes(*seconds);
                    out.events.push(Event::TimeRemaining(Duration::from_secs(seconds.into())));
                }
                Ok(())
            }
            Code::TERMINATE_REQUEST => {
                out.send_control(Protocol::LCP, Code::TERMINATE_ACK, packet.id, packet.data);
                // Its reason counts unless we are going already: both sides may close at once.
                let cause = Cause::from_terminate_request(self.phase, packet.data);
                self.finish(cause, out);
                Ok(())
            }
            _ if self.repeats_lcp_request(now, &packet, out) => Err(Drop::Repeated),
            _ => {
                let (setup, mut ctx) = parts!(self, now, out);
                let layer = self.lcp.handle(&mut ctx, &mut setup.lcp, packet)?;
                if setup.lcp.is_looped() {
                    self.close(now, Cause::Loopback, out);
                } else if setup.lcp.offers.are_exhausted() && self.phase == Phase::Establish {
                    self.no_common_auth(now, out);
                } else {
                    if layer.finished() && self.cause.is_none() {
                        self.cause = Some(Box::new(Cause::NotConverging(Protocol::LCP)));
                    }
                    self.after_lcp(now, layer, out);
                }
                Ok(())
            }
        }
    }

    pub(super) fn repeats_lcp_request(
        &mut self,
        now: Instant,
        packet: &ControlPacket<'_>,
        out: &mut Output,
    ) -> bool {
        self.lcp.repeat_ack(&mut Ctx { now, timers: &mut self.timers, out }, Protocol::LCP, packet)
    }

    pub(super) fn handle_lcp_timeout(&mut self, now: Instant, out: &mut Output) {
        let text = self.cause.as_ref().map_or("", |cause| cause.terminate_text());
        let (setup, mut ctx) = parts!(self, now, out);
        let layer = self.lcp.handle_timeout(&mut ctx, &setup.lcp, text.as_bytes());
        if layer.finished() && self.cause.is_none() {
            self.cause = Some(Box::new(Cause::LcpTimeout));
        }
        self.after_lcp(now, layer, out);
    }

    pub(super) fn after_lcp(&mut self, now: Instant, layer: Layer, out: &mut Output) {
        if layer.down() && self.phase != Phase::Terminate {
            self.lcp_went_down(now, out);
        }
        if layer.up() {
            self.lcp_came_up(now, out);
        }
        if layer.finished() {
            let cause = self.cause.take().map_or(Cause::LcpTimeout, |cause| *cause);
            self.finish(cause, out);
        }
    }

    pub(super) fn lcp_came_up(&mut self, now: Instant, out: &mut Output) {
        let (setup, mut ctx) = parts!(self, now, out);
        self.agreed = setup.lcp.agreed();
        self.phase = Phase::Authenticate;
        setup.authentication = match &self.role {
            Role::Server => setup.lcp.offers.current().map(|method| {
                let entropy = setup.entropy.fork();
                Authentication::server(method, &setup.lcp.offers, &self.settings.name, entropy)
            }),
            Role::Client(client) => setup.lcp.asked_of_us.as_ref().and_then(|protocol| {
                Authentication::client(protocol, &client.0, &client.1.auth, setup.entropy.fork())
            }),
        };
        let Agreed { mru, our_mru, pfc, acfc, our_magic, .. } = self.agreed;
        let auth = setup.authentication.as_ref().map(Authentication::method);
        ctx.out.events.push(Event::Opened(LcpResult { mru, our_mru, auth, pfc, acfc }));
        if let Role::Client(client) = &self.role {
            for text in &client.1.identification {
                let id = self.lcp.next_id();
                let data = [&our_magic.to_be_bytes()[..], text.as_bytes()].concat();
                ctx.out.send_control(Protocol::LCP, Code::IDENTIFICATION, id, &data);
            }
        }
        match (&mut setup.authentication, &self.role) {
            (Some(authentication), _) => authentication.start(&mut ctx),
            (None, Role::Client(_)) => self.network(now, out),
            // Never without: our request always carries the option.
            (None, Role::Server) => self.no_common_auth(now, out),
        }
    }

    /// LCP negotiates anew: everything above starts over.
    pub(super) fn lcp_went_down(&mut self, now: Instant, out: &mut Output) {
        self.phase = Phase::Establish;
        self.auth = None;
        self.reply = None;
        self.grant = None;
        self.echoes = 0;
        self.timers.stop(Timer::Auth);
        self.timers.stop(Timer::Echo);
        self.timers.set(Timer::Setup, now + self.settings.setup_timeout);
        out.events.push(Event::Suspended { lcp: true });
        let (setup, mut ctx) = parts!(self, now, out);
        self.ipcp.lower_down(&mut ctx, &setup.ipcp);
        setup.authentication = None;
        setup.waiting = None;
    }

    pub(super) fn no_common_auth(&mut self, now: Instant, out: &mut Output) {
        let (setup, _) = parts!(self, now, out);
        let offers = &setup.lcp.offers;
        let cause =
            Cause::NoCommonAuth { offered: offers.offered().to_vec(), wanted: offers.wanted().to_vec() };
        self.close(now, cause, out);
    }

    pub(super) fn recv_echo_request(
        &mut self,
        now: Instant,
        packet: &ControlPacket<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        if !self.lcp.is_opened() {
            // "silently discarded" (RFC 1661 section 5.8); SoftEther asks before LCP is open.
            return Err(Drop::PppNotOpen);
        }
        let magic = packet.data.first_chunk().map_or(0, |magic| u32::from_be_bytes(*magic));
        if magic != 0 && magic == self.agreed.our_magic {
            self.close(now, Cause::Loopback, out);
            return Ok(());
        }
        let mut reply = packet.data.to_vec();
        if let Some(magic) = reply.first_chunk_mut() {
            *magic = self.agreed.our_magic.to_be_bytes();
        }
        out.send_control(Protocol::LCP, Code::ECHO_REPLY, packet.id, &reply);
        Ok(())
    }

    pub(super) fn send_echo(&mut self, now: Instant, out: &mut Output) {
        self.echoes += 1;
        let id = self.lcp.next_id();
        out.send_control(Protocol::LCP, Code::ECHO_REQUEST, id, &self.agreed.our_magic.to_be_bytes());
        self.timers.set(Timer::Echo, now + self.settings.echo_interval);
    }

    pub(super) fn heard(&mut self) {
        if self.echoes > 0 {
            self.echoes = 0;
            self.timers.stop(Timer::Echo);
        }
    }

    pub(super) fn recv_protocol_reject(
        &mut self,
        now: Instant,
        data: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let (protocol, _) = split_header(data)?;
        if !self.lcp.is_opened() {
            return Err(Drop::PppNotOpen);
        }
        let in_use = match protocol {
            Protocol::LCP => true,
            Protocol::IPCP | Protocol::IPV4 => matches!(self.phase, Phase::Network | Phase::Open),
            _ => {
                let authentication = self.setup.as_ref().and_then(|setup| setup.authentication.as_ref());
                self.phase == Phase::Authenticate && authentication.is_some_and(|a| a.protocol() == protocol)
            }
        };
        if in_use {
            self.close(now, Cause::ProtocolRejected(protocol), out);
        }
        Ok(())
    }

    /// Tells the peer that we do not speak a protocol: CCP, IPV6CP, Apple's ACSCP … Silence would cost it its time-out.
    pub(super) fn refuse_protocol(
        &mut self,
        protocol: Protocol,
        information: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        if !self.lcp.is_opened() {
            return Err(Drop::PppNotOpen);
        }
        // "MUST be truncated to comply with the peer's established MRU" (RFC 1661 section 5.7).
        let room = usize::from(self.agreed.mru).saturating_sub(6);
        let data = [&protocol.0.to_be_bytes()[..], &information[..information.len().min(room)]].concat();
        let id = self.lcp.next_id();
        out.send_control(Protocol::LCP, Code::PROTOCOL_REJECT, id, &data);
        let bit = 1 << REPORTED.iter().position(|reported| *reported == protocol).unwrap_or(REPORTED.len());
        if self.refused & bit == 0 {
            self.refused |= bit;
            out.events.push(Event::Refused(protocol));
        }
        Ok(())
    }
}
