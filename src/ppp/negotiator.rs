//! Drives the [automaton](super::automaton) for one control protocol: packets become events, actions become packets, the
//! restart timer and the counters of RFC 1661 section 4.6 live here. What the options mean is the business of the
//! [`ControlProtocol`].

use super::automaton::{Actions, Event, State, step};
use super::{Ctx, Timer};
use crate::packet::Drop;
use crate::wire::ppp::{Code, ControlPacket, Protocol};
use crate::wire::ppp_option::raw_options;
use crate::wire::{self, Writer};
use std::time::{Duration, Instant};

/// Transmissions of a Configure-Request without an answer (Max-Configure, section 4.6).
const MAX_CONFIGURE: u8 = 10;
/// Transmissions of a Terminate-Request without an answer (Max-Terminate).
const MAX_TERMINATE: u8 = 2;
/// Configure-Naks in a row, after which options are rejected instead (Max-Failure).
const MAX_FAILURE: u8 = 5;
/// The n-th repetition follows after `n` times this, up to three times. The RFC's 3 s from the start would cost an
/// Android 2 s: it loses what comes before its pppd runs.
const RESTART: Duration = Duration::from_secs(1);
/// Transmissions after which the interval grows no more.
const PATIENT: u8 = 3;
/// Requests of the peer that are recognised when they come once more, late.
const SEEN: usize = 4;
/// Naks and Rejects of our requests, after which the negotiation has failed: the peer wants what we do not give.
const MAX_REFUSALS: u8 = 20;
/// Actions that start the restart timer anew.
const RESTARTS: Actions = Actions::SCR.and(Actions::STR).and(Actions::IRC).and(Actions::ZRC);
/// If the peer's first request finds ours unanswered for so long, ours is repeated at once: it was probably sent before
/// the peer listened.
const NUDGE_AFTER: Duration = Duration::from_millis(50);

/// What a control protocol says about a Configure-Request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// All options are acceptable.
    Ack,
    /// These (encoded) values would be.
    Nak(Vec<u8>),
    /// These (encoded) options are not known or not wanted.
    Reject(Vec<u8>),
    /// The answer waits for somebody else: silence until then.
    Wait,
}

/// The options of one control protocol.
pub(super) trait ControlProtocol {
    /// Its number.
    const PROTOCOL: Protocol;
    /// Its restart timer.
    const TIMER: Timer;

    /// Appends the options of our next Configure-Request. The same until a Nak or Reject changes something.
    fn request(&self, w: &mut Writer);
    /// Judges the peer's Configure-Request.
    fn judge(&mut self, options: &[u8]) -> Result<Verdict, wire::Error>;
    /// Takes a Configure-Nak into account.
    fn naked(&mut self, options: &[u8]) -> Result<(), wire::Error>;
    /// Takes a Configure-Reject into account.
    fn rejected(&mut self, options: &[u8]) -> Result<(), wire::Error>;
    /// Whether the peer has refused what we cannot do without: no further request is sent, the owner closes.
    fn is_hopeless(&self) -> bool {
        false
    }
}

/// What changed for the layers above: a subset of tlu, tld and tlf.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Layer(Actions);

impl Layer {
    pub(super) const fn up(self) -> bool {
        self.0.has(Actions::TLU)
    }
    pub(super) const fn down(self) -> bool {
        self.0.has(Actions::TLD)
    }
    pub(super) const fn finished(self) -> bool {
        self.0.has(Actions::TLF)
    }
}

/// One automaton with its counters.
#[derive(Debug, Default)]
pub(super) struct Negotiator {
    state: State,
    /// Transmissions left before TO-.
    restarts: u8,
    /// Transmissions since the last irc, for the growing interval.
    sent: u8,
    /// Identifier of our last Configure- or Terminate-Request.
    request_id: u8,
    /// Whether our last Configure-Request was answered; a second answer is a duplicate.
    answered: bool,
    /// Whether the peer was heard since our first request.
    heard: bool,
    /// Hashes of the peer's latest requests, oldest first.
    seen: [u64; SEEN],
    /// Configure-Naks since the last Configure-Ack.
    naks: u8,
    /// Configure-Naks and -Rejects that we got.
    refusals: u8,
    /// Identifier and hash of the last request that we acknowledged.
    acked: Option<(u8, u64)>,
    /// When our first Configure-Request left.
    first_sent: Option<Instant>,
}

/// What an event's actions need besides the automaton.
struct Subject<'a> {
    /// The packet that is answered.
    packet: Option<ControlPacket<'a>>,
    /// Data of the answer: options of a Nak, text of a Terminate-Request.
    data: &'a [u8],
    /// Code of a negative answer.
    code: Code,
    /// Whether a Configure-Request repeats the last one: same identifier.
    repeat: bool,
}

impl Subject<'_> {
    const NONE: Subject<'static> =
        Subject { packet: None, data: &[], code: Code::CONFIGURE_NAK, repeat: false };
}

impl Negotiator {
    pub(super) const fn state(&self) -> State {
        self.state
    }

    pub(super) const fn is_opened(&self) -> bool {
        matches!(self.state, State::Opened)
    }

    /// A number for a packet of ours that is not a Configure-Request.
    pub(super) const fn next_id(&mut self) -> u8 {
        self.request_id = self.request_id.wrapping_add(1);
        self.request_id
    }

    /// Opens this layer over one that is up: the first Configure-Request leaves.
    pub(super) fn open<P: ControlProtocol>(&mut self, ctx: &mut Ctx<'_>, protocol: &P) -> Layer {
        let a = self.apply(Event::Open, ctx, protocol, &Subject::NONE);
        let b = self.apply(Event::Up, ctx, protocol, &Subject::NONE);
        Layer(a.0.and(b.0))
    }

    /// The layer below went down: back to the start.
    pub(super) fn lower_down<P: ControlProtocol>(&mut self, ctx: &mut Ctx<'_>, protocol: &P) -> Layer {
        let layer = self.apply(Event::Down, ctx, protocol, &Subject::NONE);
        ctx.timers.stop(P::TIMER);
        *self = Self { request_id: self.request_id, ..Self::default() };
        layer
    }

    /// Closes this layer with a Terminate-Request that carries `text`.
    pub(super) fn close<P: ControlProtocol>(
        &mut self,
        ctx: &mut Ctx<'_>,
        protocol: &P,
        text: &[u8],
    ) -> Layer {
        self.apply(Event::Close, ctx, protocol, &Subject { data: text, ..Subject::NONE })
    }

    /// The restart timer fired.
    pub(super) fn handle_timeout<P: ControlProtocol>(
        &mut self,
        ctx: &mut Ctx<'_>,
        protocol: &P,
        text: &[u8],
    ) -> Layer {
        let event = if self.restarts > 0 { Event::Timeout } else { Event::Expired };
        // Nobody has answered, so nothing has changed: the same request under the same identifier.
        let repeat = !self.answered;
        self.apply(event, ctx, protocol, &Subject { data: text, repeat, ..Subject::NONE })
    }

    /// Answers a byte-for-byte repetition of the request that was acknowledged last, once opened, and says whether it
    /// was one.
    ///
    /// The RFC would renegotiate. But whoever starts anew does so under a new identifier; what repeats exactly is a
    /// retransmission whose Ack was slow, or a duplicate of the network, and is no reason to tear the link. (The
    /// identifier has to be the same: a peer in Req-Sent would otherwise wait in vain for a request of ours.)
    pub(super) fn repeat_ack(
        &self,
        ctx: &mut Ctx<'_>,
        protocol: Protocol,
        packet: &ControlPacket<'_>,
    ) -> bool {
        let repeated = self.is_opened()
            && packet.code == Code::CONFIGURE_REQUEST
            && self.acked == Some((packet.id, hash(packet.data)));
        if repeated {
            ctx.out.send_control(protocol, Code::CONFIGURE_ACK, packet.id, packet.data);
        }
        repeated
    }

    /// Handles a control packet with a code of 1 to 7 or an unknown one. `text` goes into a Terminate-Request.
    ///
    /// # Errors
    /// Options that do not parse, and answers to nothing that we asked.
    pub(super) fn handle<P: ControlProtocol>(
        &mut self,
        ctx: &mut Ctx<'_>,
        protocol: &mut P,
        packet: ControlPacket<'_>,
    ) -> Result<Layer, Drop> {
        if matches!(self.state, State::Initial | State::Starting) {
            return Err(Drop::PppNotOpen);
        }
        let subject = Subject { packet: Some(packet), ..Subject::NONE };
        if packet.code != Code::CONFIGURE_REQUEST {
            self.heard = true;
        }
        match packet.code {
            Code::CONFIGURE_REQUEST => self.recv_configure_request(ctx, protocol, packet),
            Code::CONFIGURE_ACK => {
                self.check_answer(packet.id)?;
                // "The Configuration Options MUST exactly match those of the last transmitted Configure-Request."
                let mut ours = Writer::new();
                protocol.request(&mut ours);
                if ours.as_slice() != packet.data {
                    return Err(Drop::OutOfOrder);
                }
                self.answered = true;
                Ok(self.apply(Event::Ack, ctx, protocol, &subject))
            }
            Code::CONFIGURE_NAK | Code::CONFIGURE_REJECT => {
                self.check_answer(packet.id)?;
                raw_options(packet.data).try_for_each(|option| option.map(|_| ()))?;
                self.answered = true;
                if packet.code == Code::CONFIGURE_NAK {
                    protocol.naked(packet.data)?;
                } else {
                    protocol.rejected(packet.data)?;
                }
                if protocol.is_hopeless() {
                    return Ok(Layer::default());
                }
                self.refusals = self.refusals.saturating_add(1);
                let event = if self.refusals > MAX_REFUSALS { Event::FatalReject } else { Event::Nak };
                Ok(self.apply(event, ctx, protocol, &subject))
            }
            Code::TERMINATE_REQUEST => Ok(self.apply(Event::TerminateRequest, ctx, protocol, &subject)),
            Code::TERMINATE_ACK => {
                // Ours only while closing; and then it must be for our request.
                if matches!(self.state, State::Closing | State::Stopping) && packet.id != self.request_id {
                    return Err(Drop::OutOfOrder);
                }
                Ok(self.apply(Event::TerminateAck, ctx, protocol, &subject))
            }
            Code::CODE_REJECT => {
                // Whoever does not know the codes 1 to 7 cannot negotiate; any other code we can do without.
                let fatal = packet.data.first().is_some_and(|code| (1..=7).contains(code));
                let event = if fatal { Event::FatalReject } else { Event::HarmlessReject };
                Ok(self.apply(event, ctx, protocol, &subject))
            }
            _ => Ok(self.apply(Event::UnknownCode, ctx, protocol, &subject)),
        }
    }

    fn recv_configure_request<P: ControlProtocol>(
        &mut self,
        ctx: &mut Ctx<'_>,
        protocol: &mut P,
        packet: ControlPacket<'_>,
    ) -> Result<Layer, Drop> {
        let seen = hash(packet.data).wrapping_add(packet.id.into());
        if self.is_opened() && self.seen.contains(&seen) {
            // Overtaken by the request that we acknowledged; the RFC would start over for it.
            return Err(Drop::Repeated);
        }
        let verdict = protocol.judge(packet.data)?;
        if !self.seen.contains(&seen) {
            self.seen.rotate_left(1);
            self.seen[SEEN - 1] = seen;
        }
        if !self.heard && self.state == State::ReqSent && !self.answered {
            let unheard_for = self.first_sent.map(|at| ctx.now.saturating_duration_since(at));
            if unheard_for.is_some_and(|waited| waited >= NUDGE_AFTER) {
                self.send_request(ctx, protocol, true);
            }
        }
        self.heard = true;
        let verdict = match verdict {
            Verdict::Nak(options) if self.naks >= MAX_FAILURE => reject_instead(packet.data, &options),
            other => other,
        };
        let subject = Subject { packet: Some(packet), ..Subject::NONE };
        Ok(match verdict {
            Verdict::Wait => Layer::default(),
            Verdict::Ack => {
                self.naks = 0;
                self.acked = Some((packet.id, hash(packet.data)));
                self.apply(Event::GoodRequest, ctx, protocol, &subject)
            }
            Verdict::Nak(options) => {
                self.naks += 1;
                self.apply(Event::BadRequest, ctx, protocol, &Subject { data: &options, ..subject })
            }
            Verdict::Reject(options) => {
                let subject = Subject { data: &options, code: Code::CONFIGURE_REJECT, ..subject };
                self.apply(Event::BadRequest, ctx, protocol, &subject)
            }
        })
    }

    /// An answer counts once, and only for the last request. (pppd does the same; the RFC's crossed connections would
    /// otherwise start over after every duplicate.)
    const fn check_answer(&self, id: u8) -> Result<(), Drop> {
        let asked = matches!(self.state, State::ReqSent | State::AckRcvd | State::AckSent | State::Opened);
        if !asked || id != self.request_id {
            Err(Drop::OutOfOrder)
        } else if self.answered {
            Err(Drop::Repeated)
        } else {
            Ok(())
        }
    }

    fn apply<P: ControlProtocol>(
        &mut self,
        event: Event,
        ctx: &mut Ctx<'_>,
        protocol: &P,
        subject: &Subject<'_>,
    ) -> Layer {
        let Some((next, actions)) = step(self.state, event) else { return Layer::default() };
        self.state = next;
        if actions.has(Actions::IRC) {
            self.restarts = if actions.has(Actions::STR) { MAX_TERMINATE } else { MAX_CONFIGURE };
            self.sent = 0;
        }
        if actions.has(Actions::ZRC) {
            self.restarts = 0;
            self.sent = 0;
        }
        if actions.has(Actions::SCR) {
            self.send_request(ctx, protocol, subject.repeat);
        }
        if actions.has(Actions::STR) {
            if event != Event::Timeout {
                self.next_id();
            }
            ctx.out.send_control(P::PROTOCOL, Code::TERMINATE_REQUEST, self.request_id, subject.data);
            self.count_transmission();
        }
        if let Some(packet) = subject.packet {
            if actions.has(Actions::SCA) {
                ctx.out.send_control(P::PROTOCOL, Code::CONFIGURE_ACK, packet.id, packet.data);
            }
            if actions.has(Actions::SCN) {
                ctx.out.send_control(P::PROTOCOL, subject.code, packet.id, subject.data);
            }
            if actions.has(Actions::STA) {
                let data = if packet.code == Code::TERMINATE_REQUEST { packet.data } else { &[] };
                ctx.out.send_control(P::PROTOCOL, Code::TERMINATE_ACK, packet.id, data);
            }
            if actions.has(Actions::SCJ) {
                let mut rejected = Writer::new();
                packet.emit(&mut rejected);
                let id = self.next_reject_id();
                ctx.out.send_control(P::PROTOCOL, Code::CODE_REJECT, id, rejected.as_slice());
            }
        }
        if event == Event::Ack {
            // The peer is there and has all it needs from us; it is its turn.
            self.sent = PATIENT;
        }
        if !next.awaits() {
            ctx.timers.stop(P::TIMER);
        } else if actions.any(RESTARTS) || ctx.timers.at(P::TIMER).is_none() {
            ctx.timers.set(P::TIMER, ctx.now + self.interval());
        }
        Layer(actions)
    }

    fn send_request<P: ControlProtocol>(&mut self, ctx: &mut Ctx<'_>, protocol: &P, repeat: bool) {
        if !repeat || self.first_sent.is_none() {
            self.next_id();
        }
        self.answered = false;
        self.first_sent.get_or_insert(ctx.now);
        let mut options = Writer::new();
        protocol.request(&mut options);
        ctx.out.send_control(P::PROTOCOL, Code::CONFIGURE_REQUEST, self.request_id, options.as_slice());
        self.count_transmission();
    }

    const fn count_transmission(&mut self) {
        self.restarts = self.restarts.saturating_sub(1);
        self.sent = self.sent.saturating_add(1);
    }

    fn interval(&self) -> Duration {
        RESTART * u32::from(self.sent.clamp(1, PATIENT))
    }

    /// Code-Rejects must not disturb the identifier of a request that is under way.
    const fn next_reject_id(&self) -> u8 {
        self.request_id.wrapping_add(128)
    }
}

/// The peer's own options of those kinds that we would Nak: section 4.6, "converted to Configure-Reject".
fn reject_instead(requested: &[u8], nak: &[u8]) -> Verdict {
    let kinds: Vec<u8> = raw_options(nak).map_while(Result::ok).map(|option| option.kind).collect();
    let mut rejected = Writer::new();
    raw_options(requested)
        .map_while(Result::ok)
        .filter(|o| kinds.contains(&o.kind))
        .for_each(|o| o.emit(&mut rejected));
    if rejected.is_empty() { Verdict::Ack } else { Verdict::Reject(rejected.finish()) }
}

pub(super) fn hash(bytes: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}
