//! The control connection (RFC 2661 sections 5.1, 5.5 to 5.7, 7.2).

use super::reliable::{DEFAULT_WINDOW, Expiry, FULL_CYCLE, MAX_EARLY, Order, Reliable};
use super::session::Session;
use super::{Cause, Context, Event, PeerInfo, SessionId, TunnelId};
use crate::entropy::Entropy;
use crate::packet::Drop;
use crate::timer::{Slot, TimerTable};
use crate::wire::avp::{Avp, FRAMING_ASYNC, FRAMING_SYNC, MessageType, PROTOCOL_VERSION, ResultCode, Value};
use crate::wire::l2tp::{ControlHeader, Message};
use md5::{Digest, Md5};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause between attempts to reach a silent client whose `dead_after` has not passed yet, when HELLO is switched off.
const PATIENCE: Duration = Duration::from_secs(60);

/// States of a control connection (section 7.2.1). `Idle` is the absence of a tunnel, `WaitCtlReply` belongs to the
/// side that dials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// SCCRP sent; SCCCN awaited.
    WaitCtlConn,
    /// In use.
    Established,
    /// StopCCN sent; its acknowledgement awaited.
    Stopping,
    /// StopCCN received; repetitions are acknowledged until the peer must have stopped (section 5.7).
    Lingering,
    /// To be forgotten.
    Gone,
}

impl State {
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::WaitCtlConn, Self::Established, Self::Stopping, Self::Lingering];
}

/// What a message does to a tunnel. All are acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The tunnel is established.
    Open,
    /// The message is for a session.
    Call,
    /// Nothing but the acknowledgement.
    Acknowledge,
    /// The peer closed the tunnel.
    Linger,
    /// The peer lost its way: StopCCN.
    StateError,
}

impl State {
    /// The table of section 7.2.1, as far as the answering side goes.
    pub(super) const fn step(self, kind: MessageType) -> Step {
        match (self, kind) {
            (_, MessageType::STOP_CCN) => Step::Linger,
            (Self::Stopping | Self::Lingering | Self::Gone, _) | (_, MessageType::HELLO) => Step::Acknowledge,
            (Self::WaitCtlConn, MessageType::SCCCN) => Step::Open,
            // A CDN may follow a call that we never heard of; these two change nothing anywhere.
            (Self::WaitCtlConn, MessageType::CDN) | (_, MessageType::WEN | MessageType::SLI) => {
                Step::Acknowledge
            }
            (
                Self::Established,
                MessageType::ICRQ
                | MessageType::ICRP
                | MessageType::ICCN
                | MessageType::OCRQ
                | MessageType::OCRP
                | MessageType::OCCN
                | MessageType::CDN,
            ) => Step::Call,
            _ => Step::StateError,
        }
    }
}

/// Timers of a tunnel, beside those of its messages and sessions.
#[derive(Clone, Copy, Debug)]
enum Timer {
    /// Armed in `WaitCtlConn` (gives up), in `Established` while there is no session (StopCCN), in `Lingering`
    /// (forgets).
    State,
    /// Armed in `Established`: looks whether anything was heard since, and sends a HELLO if not.
    Hello,
}

impl Slot for Timer {
    const ALL: &'static [Self] = &[Self::State, Self::Hello];
    fn index(self) -> usize {
        self as usize
    }
}

/// One control connection.
#[derive(Debug)]
pub(super) struct Tunnel {
    pub(super) local: TunnelId,
    pub(super) remote: TunnelId,
    pub(super) remote_port: u16,
    state: State,
    pub(super) reliable: Reliable,
    pub(super) sessions: Vec<Session>,
    timers: TimerTable<Timer, 2>,
    heard: Instant,
    /// Held until the tunnel is up, then passed on: an idle tunnel shall be small.
    info: Option<Arc<PeerInfo>>,
}

impl Tunnel {
    /// Accepts an SCCRQ and answers with an SCCRP.
    pub(super) fn recv_sccrq(
        cx: &mut Context<'_>,
        local: TunnelId,
        remote_port: u16,
        remote: TunnelId,
        message: &Message<'_>,
    ) -> Result<Self, Cause> {
        let avps = &message.avps;
        if let Some(defect) = avps.defect() {
            return Err(Cause::Malformed(defect));
        }
        if let Some(unknown) = avps.unknown_mandatory() {
            return Err(Cause::UnknownMandatory(unknown));
        }
        let mut challenge = None;
        for avp in avps.iter() {
            match avp.value {
                // The revision may differ; the version may not.
                Value::ProtocolVersion(version) if version >> 8 != PROTOCOL_VERSION >> 8 => {
                    return Err(Cause::UnsupportedVersion(version));
                }
                // Interop: Windows says synchronous only, Android and Apple say both. What PPP runs over is UDP in
                // any case: only a client that has neither is refused.
                Value::FramingCapabilities(bits) if bits & (FRAMING_SYNC | FRAMING_ASYNC) == 0 => {
                    return Err(Cause::NoFraming);
                }
                Value::Challenge(value) => challenge = Some(value),
                // A Tie Breaker (section 5.8.2) decides between crossing SCCRQs. We never send one, so the client wins.
                _ => {}
            }
        }
        let answer = match (challenge, &cx.settings.secret) {
            (None, _) => None,
            (Some(value), Some(secret)) => Some(challenge_response(MessageType::SCCRP, secret, value)),
            (Some(_), None) => return Err(Cause::Challenged),
        };

        let info = Arc::new(PeerInfo::read(avps, remote_port));
        let mut tunnel = Self {
            local,
            remote,
            remote_port,
            state: State::WaitCtlConn,
            reliable: Reliable::new(
                info.receive_window.unwrap_or(DEFAULT_WINDOW),
                message.header.ns.wrapping_add(1),
            ),
            sessions: Vec::new(),
            timers: TimerTable::default(),
            heard: cx.now,
            info: Some(Arc::clone(&info)),
        };
        tunnel.timers.set(Timer::State, cx.now + cx.settings.setup_timeout);
        tunnel.send_sccrp(cx, answer);
        cx.out.events.push(Event::TunnelAsked { tunnel: local, info });
        tunnel.flush(cx);
        Ok(tunnel)
    }

    /// Interop: Apple demands all of these, with exact lengths, and takes no Challenge, no hidden AVP, no mandatory AVP
    /// that it does not know. There is no Bearer Capabilities: we place no calls.
    fn send_sccrp(&mut self, cx: &mut Context<'_>, response: Option<[u8; 16]>) {
        let mut avps = vec![
            Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
            Avp::mandatory(Value::FramingCapabilities(FRAMING_SYNC | FRAMING_ASYNC)),
            Avp::mandatory(Value::HostName(cx.settings.host_name.as_bytes())),
            Avp::mandatory(Value::AssignedTunnelId(self.local)),
            Avp::mandatory(Value::ReceiveWindowSize(MAX_EARLY)),
        ];
        if let Some(response) = response {
            avps.push(Avp::mandatory(Value::ChallengeResponse(response)));
        }
        self.send(cx, SessionId(0), MessageType::SCCRP, &avps);
    }

    /// Whether this tunnel still waits for the SCCCN of that client's tunnel.
    pub(super) fn is_begun_by(&self, remote_port: u16, remote: TunnelId) -> bool {
        self.state == State::WaitCtlConn && self.remote_port == remote_port && self.remote == remote
    }

    /// Whether an SCCRQ is the one that began this tunnel.
    pub(super) fn is_repeated_sccrq(&self, message: &Message<'_>) -> bool {
        self.reliable.order(message.header.ns) == Order::Duplicate
    }

    /// Answers a repeated SCCRQ at once with the same SCCRP.
    pub(super) fn answer_again(&mut self, cx: &mut Context<'_>) {
        self.heard = cx.now;
        self.reliable.owe_ack();
        let port = self.remote_port;
        self.reliable.repeat(|bytes| cx.send(port, bytes));
        self.flush(cx);
    }

    /// Whether the tunnel is established or about to be.
    pub(super) const fn is_live(&self) -> bool {
        matches!(self.state, State::WaitCtlConn | State::Established)
    }

    /// Whether the tunnel can be forgotten.
    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    /// Notes a sign of life.
    pub(super) const fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Takes a control message addressed to this tunnel.
    pub(super) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        entropy: &mut Entropy,
        message: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), Drop> {
        self.heard = cx.now;
        self.reliable.acknowledge(cx.now, message.header.nr);
        let mut result = Ok(());
        if let Some(kind) = message.kind {
            match self.reliable.order(message.header.ns) {
                Order::Expected => {
                    self.reliable.accept();
                    self.dispatch(cx, entropy, kind, message);
                    self.dispatch_held(cx, entropy);
                }
                Order::Duplicate => {
                    self.reliable.owe_ack();
                    result = Err(Drop::Repeated);
                }
                // Interop: Apple sends SCCCN and ICRQ back to back, and the network may swap them.
                Order::Early => self.reliable.hold(message.header.ns, bytes),
                Order::Outside => result = Err(Drop::OutsideWindow),
            }
        }
        self.flush(cx);
        result
    }

    fn dispatch_held(&mut self, cx: &mut Context<'_>, entropy: &mut Entropy) {
        while let Some(bytes) = self.reliable.take_held() {
            // It parsed before it was held.
            let Ok(message) = Message::parse(&bytes) else { return };
            let Some(kind) = message.kind else { return };
            self.reliable.accept();
            self.dispatch(cx, entropy, kind, &message);
        }
    }

    fn dispatch(
        &mut self,
        cx: &mut Context<'_>,
        entropy: &mut Entropy,
        kind: MessageType,
        message: &Message<'_>,
    ) {
        // Whatever else is wrong with a goodbye, it is one (Apple's and SoftEther's Result Codes are malformed).
        let checked = !matches!(kind, MessageType::STOP_CCN | MessageType::CDN) && self.is_live();
        if checked && let Some(cause) = objection(kind, message) {
            return self.object(cx, kind, message, cause);
        }
        match self.state.step(kind) {
            Step::Open => self.recv_scccn(cx),
            Step::Call => self.recv_call(cx, entropy, kind, message),
            Step::Acknowledge => {}
            Step::Linger => self.recv_stop_ccn(cx, message),
            Step::StateError => self.stop(cx, Cause::OutOfOrder(kind)),
        }
    }

    /// A message that we must not act on costs its session if it has one, else the tunnel (section 4.1).
    fn object(&mut self, cx: &mut Context<'_>, kind: MessageType, message: &Message<'_>, cause: Cause) {
        match kind {
            kind if kind.name().is_none() && !message.avps.is_type_mandatory() => {}
            MessageType::ICRQ | MessageType::OCRQ if self.state == State::Established => {
                self.refuse_call(cx, message, cause);
            }
            MessageType::ICCN if self.state == State::Established => {
                self.close_session(cx, message.header.session, cause);
            }
            // They change nothing, so what is wrong with them does not matter.
            MessageType::WEN | MessageType::SLI => {}
            _ => self.stop(cx, cause),
        }
    }

    fn recv_scccn(&mut self, cx: &mut Context<'_>) {
        self.state = State::Established;
        self.timers.set(Timer::State, cx.now + cx.settings.unused_after);
        if !cx.settings.hello_idle.is_zero() {
            self.timers.set(Timer::Hello, cx.now + cx.settings.hello_idle);
        }
        if let Some(info) = self.info.take() {
            cx.out.events.push(Event::TunnelUp { tunnel: self.local, info });
        }
    }

    fn recv_stop_ccn(&mut self, cx: &mut Context<'_>, message: &Message<'_>) {
        self.end(cx, Cause::from_stop_ccn(message.avps.result_code()));
        self.state = State::Lingering;
        self.reliable.fall_silent();
        self.timers.set(Timer::State, cx.now + FULL_CYCLE);
    }

    /// Ends the tunnel from our side and lets the output out.
    pub(super) fn close(&mut self, cx: &mut Context<'_>, cause: Cause) {
        self.stop(cx, cause);
        self.flush(cx);
    }

    /// Ends the tunnel from our side.
    pub(super) fn stop(&mut self, cx: &mut Context<'_>, cause: Cause) {
        if !self.is_live() {
            return;
        }
        let was_begun_only = self.state == State::WaitCtlConn;
        self.end(cx, cause);
        self.state = State::Stopping;
        self.reliable.withdraw_unsent(cx.now);
        if was_begun_only && !self.reliable.is_drained() {
            // The client may not know our number yet, so it could not acknowledge: say it once and forget.
            self.state = State::Gone;
            self.say_stop_ccn(cx, cause);
            return;
        }
        let message = stop_ccn(self.local, self.remote, cause);
        if self.reliable.push(message).is_err() {
            self.state = State::Gone;
        }
    }

    /// The client has begun anew and knows nothing of this tunnel: it ends without a word, for its number may be that of
    /// the client's new one. A goodbye of the client's is still acknowledged.
    pub(super) fn forget(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::Established => self.end(cx, Cause::Replaced),
            State::WaitCtlConn | State::Stopping | State::Gone => {}
            State::Lingering => return,
        }
        self.state = State::Gone;
    }

    /// One StopCCN outside the sequence.
    fn say_stop_ccn(&mut self, cx: &mut Context<'_>, cause: Cause) {
        let mut message = stop_ccn(self.local, self.remote, cause);
        let (ns, nr) = self.reliable.numbers();
        ControlHeader::renumber(&mut message, ns, nr);
        cx.send(self.remote_port, &message);
    }

    /// Reports the end of the tunnel and its sessions.
    fn end(&mut self, cx: &mut Context<'_>, cause: Cause) {
        for session in std::mem::take(&mut self.sessions) {
            cx.out.events.push(session.ended(self.local, cause));
        }
        match self.state {
            State::WaitCtlConn => {
                let info = self.info.take().unwrap_or_default();
                cx.out.events.push(Event::TunnelFailed { info, cause });
            }
            State::Established => cx.out.events.push(Event::TunnelDown { tunnel: self.local, cause }),
            State::Stopping | State::Lingering | State::Gone => {}
        }
        self.timers = TimerTable::default();
    }

    /// Queues a message. A queue that is full ends the tunnel: the client makes us talk and does not listen.
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionId,
        kind: MessageType,
        avps: &[Avp<'_>],
    ) {
        let header = ControlHeader { tunnel: self.remote, session, ns: 0, nr: 0 };
        if self.reliable.push(Message::emit(header, kind, avps)).is_err() {
            self.stop(cx, Cause::Overflow);
        }
    }

    /// Lets out what the window allows, and the acknowledgement that is still owed, at once: Android does not go on
    /// before it has it, and it costs a connection nothing but 12 bytes.
    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        let port = self.remote_port;
        if self.state != State::Gone {
            self.reliable.flush(cx.now, |bytes| cx.send(port, bytes));
        }
        if let Some((ns, nr)) = self.reliable.take_ack() {
            let zlb = ControlHeader { tunnel: self.remote, session: SessionId(0), ns, nr }.emit(&[]);
            cx.send(port, &zlb);
        }
        if self.state == State::Stopping && self.reliable.is_drained() {
            self.state = State::Gone;
        }
    }

    /// A tunnel that lost its last session is closed after a while; one that has a session is not.
    pub(super) fn watch_use(&mut self, cx: &Context<'_>) {
        if self.state != State::Established {
        } else if self.sessions.is_empty() {
            self.timers.set(Timer::State, cx.now + cx.settings.unused_after);
        } else {
            self.timers.stop(Timer::State);
        }
    }

    /// The earliest deadline of the tunnel, its messages and its sessions.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.sessions.iter().filter_map(Session::poll_timeout);
        [self.reliable.poll_timeout(), self.timers.next()].into_iter().flatten().chain(sessions).min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        match self.reliable.expire(cx.now) {
            Expiry::Quiet => {}
            _ if self.is_dead(cx) => self.give_up(cx, Cause::Dead),
            Expiry::Repeat => self.repeat(cx),
            Expiry::Exhausted => self.unanswered(cx),
        }
        while let Some(timer) = self.timers.expire(cx.now) {
            match timer {
                Timer::State => self.overdue(cx),
                Timer::Hello => self.greet(cx),
            }
        }
        self.close_overdue_sessions(cx);
        self.flush(cx);
    }

    fn is_dead(&self, cx: &Context<'_>) -> bool {
        self.state == State::Established && cx.now >= self.heard + cx.settings.dead_after
    }

    fn repeat(&mut self, cx: &mut Context<'_>) {
        let port = self.remote_port;
        self.reliable.repeat(|bytes| cx.send(port, bytes));
    }

    /// A message was repeated in vain. An established tunnel is not given up for that (section 5.8 would): a phone
    /// sleeps for minutes, and some clients mishandle acknowledgements while their data flows. Only `dead_after` without
    /// any sign of life ends it; until then it is tried again, rarely.
    fn unanswered(&mut self, cx: &mut Context<'_>) {
        match self.state {
            // Without a StopCCN: the client's number may belong to a tunnel of ours that it does use.
            State::WaitCtlConn => self.give_up(cx, Cause::NoAnswer),
            State::Established => {
                self.repeat(cx);
                let idle = cx.settings.hello_idle;
                let pause = if idle.is_zero() { PATIENCE } else { idle };
                self.reliable.try_again_at((cx.now + pause).min(self.heard + cx.settings.dead_after));
            }
            State::Stopping | State::Lingering | State::Gone => self.state = State::Gone,
        }
    }

    fn give_up(&mut self, cx: &mut Context<'_>, cause: Cause) {
        self.end(cx, cause);
        self.state = State::Gone;
    }

    fn overdue(&mut self, cx: &mut Context<'_>) {
        match self.state {
            State::WaitCtlConn => self.give_up(cx, Cause::SetupTimeout),
            State::Established => self.stop(cx, Cause::Unused),
            State::Stopping | State::Lingering | State::Gone => self.state = State::Gone,
        }
    }

    /// HELLO (section 5.5), when nothing was heard for `hello_idle`: a phone that is in use is not disturbed.
    fn greet(&mut self, cx: &mut Context<'_>) {
        let due = self.heard + cx.settings.hello_idle;
        if cx.now < due {
            return self.timers.set(Timer::Hello, due);
        }
        if self.reliable.is_drained() {
            self.send(cx, SessionId(0), MessageType::HELLO, &[]);
        }
        self.timers.set(Timer::Hello, cx.now + cx.settings.hello_idle);
    }
}

/// Why a message must not be acted on, if so.
fn objection(kind: MessageType, message: &Message<'_>) -> Option<Cause> {
    if kind.name().is_none() {
        return Some(Cause::UnknownMessage(kind));
    }
    message
        .avps
        .defect()
        .map(Cause::Malformed)
        .or_else(|| message.avps.unknown_mandatory().map(Cause::UnknownMandatory))
}

/// Answers an SCCRQ with a StopCCN and keeps nothing of it: a repetition is refused again.
pub(super) fn refuse_sccrq(
    cx: &mut Context<'_>,
    local: TunnelId,
    remote_port: u16,
    remote: TunnelId,
    message: &Message<'_>,
    cause: Cause,
) {
    let mut refusal = stop_ccn(local, remote, cause);
    ControlHeader::renumber(&mut refusal, 0, message.header.ns.wrapping_add(1));
    cx.send(remote_port, &refusal);
    let info = Arc::new(PeerInfo::read(&message.avps, remote_port));
    cx.out.events.push(Event::TunnelFailed { info, cause });
}

/// StopCCN. Interop: the Error Code is always there, Windows 2000 does not take the short form; Apple demands the
/// Assigned Tunnel ID.
fn stop_ccn(local: TunnelId, remote: TunnelId, cause: Cause) -> Vec<u8> {
    let (result, error) = cause.stop_ccn();
    let text = cause.to_string();
    let code = ResultCode { result, error: Some(error), message: text.as_bytes() };
    let header = ControlHeader { tunnel: remote, ..ControlHeader::default() };
    let avps = [Avp::mandatory(Value::AssignedTunnelId(local)), Avp::mandatory(Value::ResultCode(code))];
    Message::emit(header, MessageType::STOP_CCN, &avps)
}

/// The answer to a Challenge (section 4.4.3): MD5 over the type of the message that carries it, the secret and the
/// challenge.
#[must_use]
pub fn challenge_response(carrier: MessageType, secret: &[u8], challenge: &[u8]) -> [u8; 16] {
    let [_, kind] = carrier.0.to_be_bytes();
    Md5::new().chain_update([kind]).chain_update(secret).chain_update(challenge).finalize().into()
}
