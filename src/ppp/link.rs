//! One link and its phases (RFC 1661 section 3.2):
//!
//! ```text
//! Dead --start--> Establish --LCP opened--> Authenticate --verdict--> Network --IPCP opened--> Open
//!                    |                          |                        |                       |
//!                    +--------------------------+---- Terminate <--------+-----------------------+
//! ```

use super::auth::{AuthVerdict, Authentication, Login, Progress, Reply};
use super::automaton::State;
use super::cause::{Cause, Phase, printable};
use super::event::{AddressGrant, Event, Lcp as LcpResult, LinkParams, Output};
use super::habits::Habits;
use super::ipcp::Ipcp;
use super::lcp::{Agreed, Lcp, Submission};
use super::negotiator::{ControlProtocol as _, Layer, Negotiator, hash};
use super::{AuthMethod, Ctx, Settings, Timer, Timers};
use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use crate::wire::ppp::{Code, ControlPacket, IPV4_HEADER, Protocol, split_header};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Identification packets that are reported; further ones are only accepted. Windows sends three.
const MAX_IDENTIFICATIONS: u8 = 8;
/// Protocols whose refusal is reported, once each.
const MAX_REFUSED: usize = 8;

/// How long after our Success the client's IPCP should have begun.
const SUCCESS_REPEAT: Duration = Duration::from_secs(1);

/// Which side of a link we are.
#[derive(Clone, Debug)]
pub enum Role {
    /// The gateway: it authenticates the peer and gives it an address.
    Server,
    /// A client with these habits: for simulation, self-test and load.
    Client(Box<(Login, Habits)>),
}

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// An IPv4 packet; the PPP header was taken off.
    Ipv4,
    /// Something for [`Link::handle_frame`]; the frame is untouched.
    Control,
}

/// One PPP link.
pub struct Link {
    role: Role,
    settings: Arc<Settings>,
    phase: Phase,
    lcp: Negotiator,
    ipcp: Negotiator,
    agreed: Agreed,
    auth: Option<AuthMethod>,
    timers: Timers,
    /// Echoes since the peer was heard last.
    echoes: u8,
    identifications: u8,
    /// What the peer's repetition of its last authentication packet gets.
    reply: Option<Box<Reply>>,
    /// What the client was granted, or (client role) got.
    grant: Option<Box<AddressGrant>>,
    /// Why the link goes down, from the moment when that is decided.
    cause: Option<Box<Cause>>,
    /// Everything that only the negotiation needs.
    setup: Option<Box<Setup>>,
    /// Seeds the next [`Setup`].
    seed: [u8; 32],
}

struct Setup {
    entropy: Entropy,
    lcp: Lcp,
    authentication: Option<Authentication>,
    ipcp: Ipcp,
    gateway: Option<Ipv4Addr>,
    /// The client's IPCP request that waits for an address.
    waiting: Option<Vec<u8>>,
    /// Protocols whose refusal was reported.
    refused: Vec<Protocol>,
}

impl Setup {
    fn new(role: &Role, settings: &Settings, grant: Option<&AddressGrant>, seed: [u8; 32]) -> Box<Self> {
        let mut entropy = Entropy::from_seed(seed);
        let (lcp, ipcp) = match role {
            Role::Server => (
                Lcp::server(settings.mru, &settings.auth, entropy.fork()),
                Ipcp::server(None, grant.copied()),
            ),
            Role::Client(client) => {
                let habits = &client.1;
                let accepted = habits.auth.iter().map(|method| method.protocol()).collect();
                let submission = Submission::Among(accepted, habits.instead.clone());
                (Lcp::client(&habits.lcp, submission, entropy.fork()), Ipcp::client(&habits.ipcp))
            }
        };
        let (authentication, gateway, waiting, refused) = (None, None, None, Vec::new());
        Box::new(Self { entropy, lcp, authentication, ipcp, gateway, waiting, refused })
    }
}

/// Splits a link into the parts that a machine needs at once, creating the setup if it was dropped.
macro_rules! parts {
    ($link:ident, $now:ident, $out:ident) => {{
        let setup = match &mut $link.setup {
            Some(setup) => setup,
            none => none.insert(Setup::new(&$link.role, &$link.settings, $link.grant.as_deref(), $link.seed)),
        };
        (setup, Ctx { now: $now, timers: &mut $link.timers, out: $out })
    }};
}

impl Link {
    /// A link that is not started.
    #[must_use]
    pub fn new(role: Role, settings: Arc<Settings>, mut entropy: Entropy) -> Self {
        Self {
            role,
            settings,
            phase: Phase::Dead,
            lcp: Negotiator::default(),
            ipcp: Negotiator::default(),
            agreed: Agreed::default(),
            auth: None,
            timers: Timers::default(),
            echoes: 0,
            identifications: 0,
            reply: None,
            grant: None,
            cause: None,
            setup: None,
            seed: entropy.array(),
        }
    }

    /// How far the link has come.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The parameters of a link that is open.
    #[must_use]
    pub fn params(&self) -> Option<LinkParams> {
        let grant = self.grant.as_deref().filter(|_| self.phase == Phase::Open)?;
        Some(LinkParams {
            address: grant.address,
            gateway: grant.gateway,
            dns: grant.dns,
            mru: self.agreed.mru,
            our_mru: self.agreed.our_mru,
            auth: self.auth,
            pfc: self.agreed.pfc,
            acfc: self.agreed.acfc,
        })
    }

    /// What carries frames is up: LCP starts.
    pub fn start(&mut self, now: Instant, out: &mut Output) {
        if self.phase != Phase::Dead || self.cause.is_some() {
            return;
        }
        self.phase = Phase::Establish;
        self.timers.set(Timer::Setup, now + self.settings.setup_timeout);
        let (setup, mut ctx) = parts!(self, now, out);
        if setup.lcp.offers.are_exhausted() {
            return self.no_common_auth(now, out);
        }
        self.lcp.open(&mut ctx, &setup.lcp);
    }

    /// Handles a frame that is not data. Unauthenticated as a PPP peer may be, what it can do is bounded: one frame gets
    /// one or two in return, and nothing is kept but its last request.
    ///
    /// # Errors
    /// Frames that do not parse, or that do not fit the phase.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8], out: &mut Output) -> Result<(), Drop> {
        let (protocol, header) = split_header(frame)?;
        let information = &frame[header..];
        if self.phase == Phase::Dead {
            return self.handle_when_dead(protocol, information, out);
        }
        self.heard();
        let result = match protocol {
            Protocol::LCP => self.handle_lcp(now, information, out),
            Protocol::PAP | Protocol::CHAP | Protocol::EAP => {
                self.handle_auth(now, protocol, information, out)
            }
            Protocol::IPCP => self.handle_ipcp(now, information, out),
            Protocol::IPV4 => Err(Drop::PppNotOpen),
            _ => self.refuse_protocol(protocol, information, out),
        };
        self.settle();
        result
    }

    /// Takes the PPP header off an IPv4 packet, or says that the frame is for [`Self::handle_frame`]. Accepts every form
    /// of header, whatever was negotiated.
    ///
    /// # Errors
    /// A frame that does not parse; IP before the link is open.
    pub fn strip_data(&mut self, frame: &mut PacketBuf) -> Result<Class, Drop> {
        let (protocol, header) = split_header(frame)?;
        if protocol != Protocol::IPV4 {
            return Ok(Class::Control);
        }
        if self.phase != Phase::Open {
            return Err(Drop::PppNotOpen);
        }
        self.heard();
        let _ = frame.pull_front(header);
        Ok(Class::Ipv4)
    }

    /// Puts the PPP header before an IPv4 packet.
    ///
    /// # Errors
    /// A link that is not open, a packet that is longer than the peer takes.
    pub fn put_data(&self, packet: &mut PacketBuf) -> Result<(), Drop> {
        if self.phase != Phase::Open {
            return Err(Drop::PppNotOpen);
        }
        if packet.len() > usize::from(self.agreed.mru) {
            return Err(Drop::TooBig);
        }
        let compress = self.settings.compress;
        let from = if compress && self.agreed.acfc { 2 } else { 0 };
        packet.put_front(&IPV4_HEADER[if compress && self.agreed.pfc { 3 } else { 2 }..]);
        packet.put_front(&IPV4_HEADER[from..2]);
        Ok(())
    }

    /// Takes the answer to [`Event::AuthRequired`]. Ignored if none is awaited.
    pub fn handle_verdict(&mut self, now: Instant, verdict: &AuthVerdict, out: &mut Output) {
        if self.phase != Phase::Authenticate {
            return;
        }
        let (setup, mut ctx) = parts!(self, now, out);
        let Some(authentication) = &mut setup.authentication else { return };
        if let AuthVerdict::Admit { gateway, .. } = verdict {
            setup.gateway = *gateway;
        }
        let progress = authentication.handle_verdict(&mut ctx, verdict);
        self.after_auth(now, progress, out);
    }

    /// Takes the answer to [`Event::AddressWanted`]. Ignored if none is awaited.
    pub fn handle_address(&mut self, now: Instant, grant: AddressGrant, out: &mut Output) {
        if !matches!(self.phase, Phase::Network) || !matches!(self.role, Role::Server) {
            return;
        }
        let (setup, mut ctx) = parts!(self, now, out);
        let Some(request) = setup.waiting.take() else { return };
        setup.ipcp = Ipcp::server(None, Some(grant));
        self.grant = Some(Box::new(grant));
        self.ipcp.open(&mut ctx, &setup.ipcp);
        // It was checked when it came.
        let _ = self.handle_ipcp(now, &request, out);
        self.settle();
    }

    /// Ends the link: Terminate-Request, and [`Event::Down`] once it is answered or nobody answers. A link that was never
    /// started, or whose peer is known to be gone, is down at once.
    pub fn close(&mut self, now: Instant, cause: Cause, out: &mut Output) {
        match self.phase {
            Phase::Dead => self.finish(cause, out),
            Phase::Terminate => {}
            _ if cause == Cause::CarrierLost || self.lcp.state() == State::Initial => self.finish(cause, out),
            _ => {
                let text = cause.terminate_text();
                self.cause = Some(Box::new(cause));
                self.phase = Phase::Terminate;
                self.timers.stop(Timer::Auth);
                self.timers.stop(Timer::Echo);
                self.timers.stop(Timer::Setup);
                let (setup, mut ctx) = parts!(self, now, out);
                self.ipcp.lower_down(&mut ctx, &setup.ipcp);
                let layer = self.lcp.close(&mut ctx, &setup.lcp, text.as_bytes());
                self.after_lcp(now, layer, out);
            }
        }
    }

    /// The link was idle: asks the peer for a sign of life, and again until one comes or the patience is over. Any frame
    /// from the peer counts.
    pub fn start_echo(&mut self, now: Instant, out: &mut Output) {
        if self.phase == Phase::Open && self.echoes == 0 {
            self.send_echo(now, out);
        }
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Lcp => self.handle_lcp_timeout(now, out),
                Timer::Ipcp => self.handle_ipcp_timeout(now, out),
                Timer::Auth => {
                    let (setup, mut ctx) = parts!(self, now, out);
                    if let Some(authentication) = &mut setup.authentication {
                        let progress = authentication.handle_timeout(&mut ctx);
                        self.after_auth(now, progress, out);
                    }
                }
                Timer::Echo if self.echoes >= self.settings.echo_failures => {
                    // Nobody will acknowledge, but a peer that is only deaf shall know.
                    let text = Cause::EchoTimeout.terminate_text();
                    let id = self.lcp.next_id();
                    out.send_control(Protocol::LCP, Code::TERMINATE_REQUEST, id, text.as_bytes());
                    self.finish(Cause::EchoTimeout, out);
                }
                Timer::Echo => self.send_echo(now, out),
                Timer::Setup => self.close(now, Cause::SetupTimeout { during: self.phase }, out),
            }
        }
        self.settle();
    }

    // -- LCP --

    fn handle_lcp(&mut self, now: Instant, information: &[u8], out: &mut Output) -> Result<(), Drop> {
        let packet = ControlPacket::parse(information)?;
        match packet.code {
            Code::PROTOCOL_REJECT => self.recv_protocol_reject(now, packet.data, out),
            Code::ECHO_REQUEST => self.recv_echo_request(now, &packet, out),
            Code::ECHO_REPLY | Code::DISCARD_REQUEST => Ok(()),
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

    fn repeats_lcp_request(&mut self, now: Instant, packet: &ControlPacket<'_>, out: &mut Output) -> bool {
        self.lcp.repeat_ack(&mut Ctx { now, timers: &mut self.timers, out }, Protocol::LCP, packet)
    }

    fn handle_lcp_timeout(&mut self, now: Instant, out: &mut Output) {
        let text = self.cause.as_ref().map_or("", |cause| cause.terminate_text());
        let (setup, mut ctx) = parts!(self, now, out);
        let layer = self.lcp.handle_timeout(&mut ctx, &setup.lcp, text.as_bytes());
        if layer.finished() && self.cause.is_none() {
            self.cause = Some(Box::new(Cause::LcpTimeout));
        }
        self.after_lcp(now, layer, out);
    }

    fn after_lcp(&mut self, now: Instant, layer: Layer, out: &mut Output) {
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

    fn lcp_came_up(&mut self, now: Instant, out: &mut Output) {
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
    fn lcp_went_down(&mut self, now: Instant, out: &mut Output) {
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

    fn no_common_auth(&mut self, now: Instant, out: &mut Output) {
        let (setup, _) = parts!(self, now, out);
        let offers = &setup.lcp.offers;
        let cause =
            Cause::NoCommonAuth { offered: offers.offered().to_vec(), wanted: offers.wanted().to_vec() };
        self.close(now, cause, out);
    }

    fn recv_echo_request(
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

    fn send_echo(&mut self, now: Instant, out: &mut Output) {
        self.echoes += 1;
        let id = self.lcp.next_id();
        out.send_control(Protocol::LCP, Code::ECHO_REQUEST, id, &self.agreed.our_magic.to_be_bytes());
        self.timers.set(Timer::Echo, now + self.settings.echo_interval);
    }

    fn heard(&mut self) {
        if self.echoes > 0 {
            self.echoes = 0;
            self.timers.stop(Timer::Echo);
        }
    }

    fn recv_protocol_reject(&mut self, now: Instant, data: &[u8], out: &mut Output) -> Result<(), Drop> {
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
    fn refuse_protocol(
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
        if let Some(setup) = &mut self.setup
            && setup.refused.len() < MAX_REFUSED
            && !setup.refused.contains(&protocol)
        {
            setup.refused.push(protocol);
            out.events.push(Event::Refused(protocol));
        }
        Ok(())
    }

    // -- authentication --

    fn handle_auth(
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

    fn after_auth(&mut self, now: Instant, progress: Progress, out: &mut Output) {
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

    // -- IPCP --

    fn network(&mut self, now: Instant, out: &mut Output) {
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
                setup.ipcp = Ipcp::client(&client.1.ipcp);
                self.ipcp.open(&mut ctx, &setup.ipcp);
                for (protocol, options) in &client.1.noise {
                    ctx.out.send_control(*protocol, Code::CONFIGURE_REQUEST, 1, options);
                }
            }
        }
    }

    fn handle_ipcp(&mut self, now: Instant, information: &[u8], out: &mut Output) -> Result<(), Drop> {
        if !matches!(self.phase, Phase::Network | Phase::Open) {
            return Err(Drop::PppNotOpen);
        }
        let packet = ControlPacket::parse(information)?;
        if self.ipcp.repeat_ack(
            &mut Ctx { now, timers: &mut self.timers, out },
            Protocol::IPCP,
            &packet,
        ) {
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
            self.ipcp.hear();
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

    fn handle_ipcp_timeout(&mut self, now: Instant, out: &mut Output) {
        let (setup, mut ctx) = parts!(self, now, out);
        if !self.ipcp.was_heard()
            && let Some(reply) = &self.reply
        {
            // Nothing of IPCP was heard: perhaps our Success was lost, and pppd does not ask for it again.
            reply.send(&mut ctx);
            if self.ipcp.state() == State::Initial {
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

    fn after_ipcp(&mut self, layer: Layer, out: &mut Output) {
        if layer.down() && self.phase == Phase::Open {
            self.phase = Phase::Network;
            self.heard();
            out.events.push(Event::Suspended { lcp: false });
        }
        if layer.up() {
            self.phase = Phase::Open;
            self.timers.stop(Timer::Setup);
            if let (Role::Client(_), Some(setup)) = (&self.role, &self.setup) {
                let (address, gateway, dns) = setup.ipcp.client_result();
                self.grant = Some(Box::new(AddressGrant { address, gateway, dns, wins: [None; 2] }));
            }
            out.events.extend(self.params().map(Event::Up));
        }
    }

    // -- the end --

    /// The link is down: says so once and forgets the rest. A cause that was decided upon earlier stands.
    fn finish(&mut self, cause: Cause, out: &mut Output) {
        if self.phase == Phase::Dead && self.cause.is_some() {
            return;
        }
        let cause = self.cause.take().unwrap_or_else(|| Box::new(cause));
        out.events.push(Event::Down((*cause).clone()));
        self.cause = Some(cause);
        self.phase = Phase::Dead;
        self.timers = Timers::default();
        self.setup = None;
        self.reply = None;
        self.grant = None;
    }

    /// A peer whose Terminate-Ack was lost asks again.
    fn handle_when_dead(&self, protocol: Protocol, information: &[u8], out: &mut Output) -> Result<(), Drop> {
        if protocol == Protocol::LCP && self.cause.is_some() {
            let packet = ControlPacket::parse(information)?;
            if packet.code == Code::TERMINATE_REQUEST {
                out.send_control(Protocol::LCP, Code::TERMINATE_ACK, packet.id, packet.data);
                return Ok(());
            }
        }
        Err(Drop::PppNotOpen)
    }

    /// Drops what only the negotiation needs once the link is open.
    fn settle(&mut self) {
        if self.phase == Phase::Open
            && let Some(mut setup) = self.setup.take()
        {
            self.seed = setup.entropy.array();
        }
    }
}

#[cfg(test)]
impl Link {
    pub(super) const fn holds_no_setup(&self) -> bool {
        self.setup.is_none()
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("phase", &self.phase)
            .field("lcp", &self.lcp.state())
            .field("ipcp", &self.ipcp.state())
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
