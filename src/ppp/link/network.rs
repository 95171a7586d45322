//! Authentication and IPCP on a link: the phases Authenticate and Network.

use super::{Link, Role, parts};
use crate::packet::Drop;
use crate::ppp::Ctx;
use crate::ppp::Timer;
use crate::ppp::auth::{Authentication, Progress};
use crate::ppp::automaton::State;
use crate::ppp::cause::{Cause, Phase};
use crate::ppp::event::{AddressGrant, Event, Output};
use crate::ppp::ipcp::Ipcp;
use crate::ppp::negotiator::{ControlProtocol as _, Layer, hash};
use crate::wire::ppp::{Code, ControlPacket, Protocol};
use std::time::{Duration, Instant};

/// How long after our Success the client's IPCP should have begun.
const SUCCESS_REPEAT: Duration = Duration::from_secs(1);

impl Link {
    pub(super) fn handle_auth(
        &mut self,
        now: Instant,
        protocol: Protocol,
        information: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let (setup, mut ctx) = parts!(self, now, out);
        if let Some(reply) = &self.reply
            && reply.protocol == protocol
        {
            // "The authenticator MUST allow repeated Response packets during the Network-Layer Protocol phase"
            // (RFC 1994 section 4.2).
            if reply.trigger == hash(information) {
                reply.send(&mut ctx);
            }
            return Err(Drop::Repeated);
        }
        match &mut setup.authentication {
            Some(authentication) if authentication.protocol() == protocol => {
                if self.phase != Phase::Authenticate {
                    return Err(Drop::OutOfOrder);
                }
                let progress = authentication.handle(&mut ctx, information)?;
                self.after_auth(now, progress, out);
                Ok(())
            }
            _ if self.phase == Phase::Open => Err(Drop::OutOfOrder),
            _ => self.refuse_protocol(protocol, information, out),
        }
    }

    pub(super) fn after_auth(&mut self, now: Instant, progress: Progress, out: &mut Output) {
        match progress {
            Progress::Continue => {}
            Progress::Ask(request) => out.events.push(Event::AuthRequired(*request)),
            Progress::Done(reply) => {
                self.reply = reply;
                self.network(now, out);
            }
            Progress::Failed(cause, reply) => {
                self.reply = reply;
                self.close(now, cause, out);
            }
        }
    }

    pub(super) fn network(&mut self, now: Instant, out: &mut Output) {
        self.phase = Phase::Network;
        self.timers.stop(Timer::Auth);
        let (setup, mut ctx) = parts!(self, now, out);
        self.auth = setup.authentication.as_ref().map(Authentication::method);
        match &self.role {
            Role::Server => {
                // Windows and pppd want our request early; with our address known, it need not wait for theirs.
                setup.ipcp = Ipcp::server(setup.gateway, None);
                if setup.gateway.is_some() {
                    self.ipcp.open(&mut ctx, &setup.ipcp);
                } else {
                    ctx.timers.set(Timer::Ipcp, now + SUCCESS_REPEAT);
                }
            }
            Role::Client(client) => {
                setup.ipcp = Ipcp::client(&client.1.ipcp, client.1.stubborn);
                self.ipcp.open(&mut ctx, &setup.ipcp);
                for (protocol, options) in &client.1.noise {
                    ctx.out.send_control(*protocol, Code::CONFIGURE_REQUEST, 1, options);
                }
            }
        }
    }

    pub(super) fn handle_ipcp(
        &mut self,
        now: Instant,
        information: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        if !matches!(self.phase, Phase::Network | Phase::Open) {
            return Err(Drop::PppNotOpen);
        }
        let packet = ControlPacket::parse(information)?;
        if self.ipcp.repeat_ack(&mut Ctx { now, timers: &mut self.timers, out }, Protocol::IPCP, &packet) {
            return Err(Drop::Repeated);
        }
        if packet.code == Code::TERMINATE_REQUEST {
            // Without IP there is nothing left to do.
            out.send_control(Protocol::IPCP, Code::TERMINATE_ACK, packet.id, packet.data);
            let cause = Cause::from_terminate_request(self.phase, packet.data);
            self.close(now, cause, out);
            return Ok(());
        }
        let (setup, mut ctx) = parts!(self, now, out);
        let wanted = matches!(self.role, Role::Server) && self.grant.is_none();
        if wanted && packet.code == Code::CONFIGURE_REQUEST {
            // Checked now, answered when there is an address; repetitions meanwhile get no answer.
            setup.ipcp.judge(packet.data)?;
            let first = setup.waiting.replace(information.to_vec()).is_none();
            if first {
                out.events.push(Event::AddressWanted { asked: Ipcp::asked(packet.data) });
                return Ok(());
            }
            return Err(Drop::Repeated);
        }
        let layer = self.ipcp.handle(&mut ctx, &mut setup.ipcp, packet)?;
        if layer.finished() {
            self.close(now, Cause::NotConverging(Protocol::IPCP), out);
        } else {
            self.after_ipcp(layer, out);
            if layer.down() {
                self.timers.set(Timer::Setup, now + self.settings.setup_timeout);
            }
        }
        Ok(())
    }

    pub(super) fn handle_ipcp_timeout(&mut self, now: Instant, out: &mut Output) {
        let (setup, mut ctx) = parts!(self, now, out);
        // No progress: perhaps our Success was lost, and pppd does not ask for it again.
        let state = self.ipcp.state();
        if let Some(reply) = &self.reply
            && (state == State::ReqSent || state == State::Initial && setup.waiting.is_none())
        {
            reply.send(&mut ctx);
            if state == State::Initial {
                ctx.timers.set(Timer::Ipcp, now + SUCCESS_REPEAT);
            }
        }
        let layer = self.ipcp.handle_timeout(&mut ctx, &setup.ipcp, &[]);
        if layer.finished() {
            self.close(now, Cause::IpcpTimeout, out);
        } else {
            self.after_ipcp(layer, out);
        }
    }

    pub(super) fn after_ipcp(&mut self, layer: Layer, out: &mut Output) {
        if layer.down() && self.phase == Phase::Open {
            self.phase = Phase::Network;
            self.heard();
            out.events.push(Event::Suspended { lcp: false });
        }
        if layer.up() {
            self.phase = Phase::Open;
            self.timers.stop(Timer::Setup);
            match (&self.role, &self.setup) {
                (Role::Client(_), Some(setup)) => {
                    let (address, gateway, dns) = setup.ipcp.client_result();
                    self.grant = Some(Box::new(AddressGrant { address, gateway, dns, wins: [None; 2] }));
                }
                (Role::Server, Some(setup)) => self.address_taken = setup.ipcp.address_taken(),
                (_, None) => {}
            }
            out.events.extend(self.params().map(Event::Up));
        }
    }
}
