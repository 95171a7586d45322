//! One link and its phases (RFC 1661 section 3.2):
//!
//! ```text
//! Dead --start--> Establish --LCP opened--> Authenticate --verdict--> Network --IPCP opened--> Open
//!                    |                          |                        |                       |
//!                    +--------------------------+---- Terminate <--------+-----------------------+
//! ```
//!
//! LCP and its phases are in `establish`, authentication and IPCP in `network`, the search for what passes in `sizing`; here are the way in, the way of the data
//! and the end.

mod establish;
mod network;
mod sizing;

use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use crate::ppp::auth::{AuthVerdict, Authentication, Login, Reply};
use crate::ppp::automaton::State;
use crate::ppp::cause::{Cause, Phase};
use crate::ppp::event::{AddressGrant, Event, LinkParams, Output};
use crate::ppp::habits::Habits;
use crate::ppp::ipcp::Ipcp;
use crate::ppp::lcp::{Agreed, Lcp, Submission};
use crate::ppp::negotiator::Negotiator;
use crate::ppp::{AuthMethod, Settings, Timer, Timers};
use crate::wire::ppp::{Code, ControlPacket, IPV4_HEADER, Protocol, split_header};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

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
    /// The search for what passes.
    sizing: Option<Box<sizing::Sizing>>,
    /// Which refusals of protocols were reported: a set of bits.
    refused: u8,
    /// What the peer's repetition of its last authentication packet gets.
    reply: Option<Box<Reply>>,
    /// What the client was granted, or (client role) got.
    grant: Option<Box<AddressGrant>>,
    /// Server role: whether the client has named the address that it was given.
    address_taken: bool,
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
                (
                    Lcp::client(&habits.lcp, submission, entropy.fork()),
                    Ipcp::client(&habits.ipcp, habits.stubborn),
                )
            }
        };
        Box::new(Self { entropy, lcp, authentication: None, ipcp, gateway: None, waiting: None })
    }
}

/// Splits a link into the parts that a machine needs at once, creating the setup if it was dropped.
macro_rules! parts {
    ($link:ident, $now:ident, $out:ident) => {{
        let setup = match &mut $link.setup {
            Some(setup) => setup,
            none => none.insert($crate::ppp::link::Setup::new(
                &$link.role,
                &$link.settings,
                $link.grant.as_deref(),
                $link.seed,
            )),
        };
        (setup, $crate::ppp::Ctx { now: $now, timers: &mut $link.timers, out: $out })
    }};
}
use parts;

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
            sizing: None,
            refused: 0,
            reply: None,
            grant: None,
            address_taken: false,
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
            address_taken: self.address_taken,
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
                Timer::Sizing => self.handle_sizing_timeout(now, out),
                Timer::Setup => self.close(now, Cause::SetupTimeout { during: self.phase }, out),
            }
        }
        self.settle();
    }

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
        self.sizing = None;
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
    /// Bytes that an open link holds, on the heap and off; the settings are shared.
    pub(super) fn idle_bytes(&self) -> Option<usize> {
        let reply = self.reply.as_ref().map_or(0, |reply| size_of::<Reply>() + reply.information.len());
        self.setup.is_none().then_some(size_of::<Self>() + reply + size_of::<AddressGrant>())
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
