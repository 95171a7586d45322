//! The incoming call (RFC 2661 sections 5.2.1, 5.6, 7.4.2): the session that carries one PPP link.

use super::tunnel::Tunnel;
use super::{Cause, Context, Event, SessionId, SessionKey, TunnelId};
use crate::entropy::Entropy;
use crate::wire::avp::{Avp, FRAMING_ASYNC, FRAMING_SYNC, MessageType, ResultCode, Value};
use crate::wire::l2tp::Message;
use crate::wire::{Error, Kind};
use std::time::Instant;

/// States of an incoming call at the LNS (section 7.4.2). `Idle` is the absence of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// ICRP sent; ICCN awaited until the deadline.
    WaitConnect(Instant),
    /// PPP frames flow.
    Established,
}

/// What a message does to a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The session is established.
    Connect,
    /// The peer ended it.
    Release,
    /// The peer lost its way: CDN.
    StateError,
}

impl State {
    /// The table of section 7.4.2.
    pub(super) const fn step(self, kind: MessageType) -> Step {
        match (self, kind) {
            (_, MessageType::CDN) => Step::Release,
            (Self::WaitConnect(_), MessageType::ICCN) => Step::Connect,
            _ => Step::StateError,
        }
    }
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    local: SessionId,
    remote: SessionId,
    state: State,
    serial: u32,
}

impl Session {
    /// The event that reports its end.
    pub(super) fn ended(&self, tunnel: TunnelId, cause: Cause) -> Event {
        match self.state {
            State::WaitConnect(_) => Event::SessionFailed { tunnel, cause },
            State::Established => {
                Event::SessionDown { key: SessionKey { tunnel, session: self.local }, cause }
            }
        }
    }

    /// When it must be established.
    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::WaitConnect(until) => Some(until),
            State::Established => None,
        }
    }
}

impl Tunnel {
    /// Whether data may come for this session.
    pub(super) fn has_open(&self, local: SessionId) -> bool {
        self.remote_of(local).is_some()
    }

    /// The client's number of an established session.
    pub(super) fn remote_of(&self, local: SessionId) -> Option<SessionId> {
        self.sessions
            .iter()
            .find(|session| session.local == local && session.state == State::Established)
            .map(|session| session.remote)
    }

    /// Takes a message about a session.
    pub(super) fn recv_call(
        &mut self,
        cx: &mut Context<'_>,
        entropy: &mut Entropy,
        kind: MessageType,
        message: &Message<'_>,
    ) {
        match kind {
            MessageType::ICRQ => return self.recv_icrq(cx, entropy, message),
            MessageType::OCRQ => return self.refuse_call(cx, message, Cause::OutgoingCall),
            _ => {}
        }
        // Unknown: it ended while the message was under way, and the acknowledgement is all there is to say.
        let Some(at) = self.find_session(message) else { return };
        let session = &mut self.sessions[at];
        match session.state.step(kind) {
            Step::Connect => self.recv_iccn(cx, at, message),
            Step::Release => self.recv_cdn(cx, at, message),
            Step::StateError => {
                let local = session.local;
                self.drop_session(cx, local, Cause::OutOfOrder(kind));
            }
        }
    }

    /// The session that a message is about: by our number in the header, else (a peer that has not heard it yet) by its
    /// own number in the Assigned Session ID.
    fn find_session(&self, message: &Message<'_>) -> Option<usize> {
        let local = message.header.session;
        if local == SessionId(0) {
            let remote = message.avps.assigned_session_id()?;
            return self.sessions.iter().position(|session| session.remote == remote);
        }
        self.sessions.iter().position(|session| session.local == local)
    }

    fn recv_icrq(&mut self, cx: &mut Context<'_>, entropy: &mut Entropy, message: &Message<'_>) {
        let Some(remote) = message.avps.assigned_session_id() else {
            let missing = Error::new("Assigned Session ID", Kind::Missing);
            return self.refuse_call(cx, message, Cause::Malformed(missing));
        };
        if self.sessions.len() >= cx.settings.max_sessions {
            return self.refuse_call(cx, message, Cause::TooManySessions);
        }
        // Bearer Type and the numbers called and calling belong to telephone lines.
        let serial = message.avps.find(|value| match value {
            Value::CallSerialNumber(serial) => Some(serial),
            _ => None,
        });
        let local = self.unused_session_id(entropy);
        let state = State::WaitConnect(cx.now + cx.settings.setup_timeout);
        self.sessions.reserve_exact(1);
        self.sessions.push(Session { local, remote, state, serial: serial.unwrap_or_default() });
        self.watch_use(cx);
        self.send_icrp(cx, local, remote);
    }

    fn unused_session_id(&self, entropy: &mut Entropy) -> SessionId {
        loop {
            let id = SessionId(u16::from_be_bytes(entropy.array()));
            if id.0 != 0 && self.sessions.iter().all(|session| session.local != id) {
                return id;
            }
        }
    }

    fn send_icrp(&mut self, cx: &mut Context<'_>, local: SessionId, remote: SessionId) {
        self.send(cx, remote, MessageType::ICRP, &[Avp::mandatory(Value::AssignedSessionId(local))]);
    }

    fn recv_iccn(&mut self, cx: &mut Context<'_>, at: usize, message: &Message<'_>) {
        let framing = message.avps.find(|value| match value {
            Value::FramingType(bits) => Some(bits),
            _ => None,
        });
        let session = &mut self.sessions[at];
        let local = session.local;
        // Interop: Android and Apple set both bits where the RFC has one.
        if framing.is_some_and(|bits| bits & (FRAMING_SYNC | FRAMING_ASYNC) == 0) {
            return self.drop_session(cx, local, Cause::NoFraming);
        }
        // Sequencing Required is not obeyed: numbers buy nothing under IP, Apple drops what they call late, and Android
        // never stops numbering once it has begun.
        session.state = State::Established;
        let key = SessionKey { tunnel: self.local, session: local };
        cx.out.events.push(Event::SessionUp { key, serial: session.serial });
    }

    fn recv_cdn(&mut self, cx: &mut Context<'_>, at: usize, message: &Message<'_>) {
        let ppp = message.avps.find(|value| match value {
            Value::PppDisconnect(disconnect) => Some(disconnect.code),
            _ => None,
        });
        let cause = Cause::from_cdn(message.avps.result_code(), ppp);
        let session = self.sessions.remove(at);
        cx.out.events.push(session.ended(self.local, cause));
        self.watch_use(cx);
    }

    /// Ends a session from our side and lets the output out.
    pub(super) fn close_session(&mut self, cx: &mut Context<'_>, local: SessionId, cause: Cause) {
        self.drop_session(cx, local, cause);
        self.flush(cx);
    }

    fn drop_session(&mut self, cx: &mut Context<'_>, local: SessionId, cause: Cause) {
        let Some(at) = self.sessions.iter().position(|session| session.local == local) else { return };
        let session = self.sessions.remove(at);
        cx.out.events.push(session.ended(self.local, cause));
        self.watch_use(cx);
        self.send_cdn(cx, session.local, session.remote, cause);
    }

    /// Refuses an ICRQ or OCRQ: no session is made.
    pub(super) fn refuse_call(&mut self, cx: &mut Context<'_>, message: &Message<'_>, cause: Cause) {
        // The CDN must carry a number of ours (Apple demands one), and there is none: the client's own will do.
        let remote = message.avps.assigned_session_id().unwrap_or_default();
        cx.out.events.push(Event::SessionFailed { tunnel: self.local, cause });
        self.send_cdn(cx, remote, remote, cause);
    }

    /// Interop: the Error Code is always there, as in the StopCCN. RFC 3145 forbids the M bit on its AVP.
    fn send_cdn(&mut self, cx: &mut Context<'_>, local: SessionId, remote: SessionId, cause: Cause) {
        let (result, error) = cause.cdn();
        let text = cause.to_string();
        let code = ResultCode { result, error: Some(error), message: text.as_bytes() };
        let mut avps =
            vec![Avp::mandatory(Value::ResultCode(code)), Avp::mandatory(Value::AssignedSessionId(local))];
        if let Some(disconnect) = cause.ppp_disconnect() {
            avps.push(Avp::optional(Value::PppDisconnect(disconnect)));
        }
        self.send(cx, remote, MessageType::CDN, &avps);
    }

    /// Sessions whose ICCN never came.
    pub(super) fn close_overdue_sessions(&mut self, cx: &mut Context<'_>) {
        let overdue = |session: &Session| session.poll_timeout().is_some_and(|until| until <= cx.now);
        let overdue: Vec<_> =
            self.sessions.iter().filter(|session| overdue(session)).map(|session| session.local).collect();
        for local in overdue {
            self.drop_session(cx, local, Cause::SetupTimeout);
        }
    }
}
