//! L2TP Access Concentrator (RFC 2661) with one tunnel and one session: the L2TP half of a client, with the habits of a
//! chosen operating system.
//!
//! It has its own reliable delivery, so that a misunderstanding of the server's is not shared more than need be, and it
//! is strict: what a real client would not stand is noted in [`Lac::violations`].

mod habits;

pub use habits::{Habits, Repetition};

use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use crate::wire::avp::{Avp, Avps, DisconnectCode, MessageType, ResultCode, Value};
use crate::wire::l2tp::{ControlHeader, DataHeader, Message, SessionId, TunnelId};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Where the client stands (section 7.2.1 and 7.4.1 in one, since it has one of each).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not started.
    Idle,
    /// SCCRQ sent.
    WaitCtlReply,
    /// SCCCN sent; its acknowledgement awaited before the ICRQ.
    WaitTunnel,
    /// ICRQ sent.
    WaitReply,
    /// ICCN sent; its acknowledgement awaited before PPP.
    WaitConnect,
    /// PPP flows.
    Established,
    /// StopCCN sent; its acknowledgement awaited.
    Closing,
    /// Over.
    Closed,
}

/// How it ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// Our own wish.
    Local,
    /// The server closed the tunnel.
    Stopped {
        /// Result Code.
        result: u16,
        /// Error Code.
        error: u16,
        /// Its text.
        message: String,
    },
    /// The server closed the session.
    HungUp {
        /// Result Code.
        result: u16,
        /// Error Code.
        error: u16,
        /// Its text.
        message: String,
        /// RFC 3145.
        ppp: Option<DisconnectCode>,
    },
    /// The server does not answer.
    NoAnswer,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// PPP may start.
    Up,
    /// It is over.
    Down(End),
}

/// What a call produced.
#[derive(Debug, Default)]
pub struct Output {
    /// UDP payloads for the server's port 1701, from [`Lac::port`].
    pub packets: Vec<PacketBuf>,
    /// What happened.
    pub events: Vec<Event>,
}

/// One tunnel with one session, from the client's side.
#[derive(Debug)]
pub struct Lac {
    habits: Arc<Habits>,
    state: State,
    port: u16,
    local_tunnel: TunnelId,
    remote_tunnel: TunnelId,
    local_session: SessionId,
    remote_session: SessionId,
    serial: u32,
    /// Messages not acknowledged yet; the first `in_flight` were sent.
    queue: VecDeque<Vec<u8>>,
    in_flight: u16,
    acked_ns: u16,
    nr: u16,
    ack_owed: bool,
    server_window: u16,
    repeats: u32,
    repeat_at: Option<Instant>,
    hello_at: Option<Instant>,
    data_ns: u16,
    violations: Vec<&'static str>,
}

impl Lac {
    /// A client that has not started.
    #[must_use]
    pub fn new(habits: impl Into<Arc<Habits>>, entropy: &mut Entropy) -> Self {
        let habits = habits.into();
        let mut number = || u16::from_be_bytes(entropy.array()).max(1);
        let port = habits.source_port.unwrap_or_else(|| number() | 0xc000);
        let local_tunnel = TunnelId(habits.tunnel_id.unwrap_or_else(&mut number));
        let local_session = SessionId(habits.session_id.unwrap_or_else(&mut number));
        let serial = habits.serial.unwrap_or_else(|| entropy.u32());
        Self {
            habits,
            state: State::Idle,
            port,
            local_tunnel,
            remote_tunnel: TunnelId(0),
            local_session,
            remote_session: SessionId(0),
            serial,
            queue: VecDeque::new(),
            in_flight: 0,
            acked_ns: 0,
            nr: 0,
            ack_owed: false,
            server_window: 4,
            repeats: 0,
            repeat_at: None,
            hello_at: None,
            data_ns: 0,
            violations: Vec::new(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Its UDP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its number for the tunnel.
    #[must_use]
    pub const fn tunnel(&self) -> TunnelId {
        self.local_tunnel
    }

    /// What the server did that a real client of this kind would not stand.
    #[must_use]
    pub fn violations(&self) -> &[&'static str] {
        &self.violations
    }

    /// Begins: SCCRQ.
    pub fn start(&mut self, now: Instant, out: &mut Output) {
        if self.state == State::Idle {
            self.state = State::WaitCtlReply;
            self.send_sccrq();
            self.flush(now, out);
        }
    }

    /// Leaves as the system does: with CDN and StopCCN, or one of them.
    pub fn stop(&mut self, now: Instant, out: &mut Output) {
        if matches!(self.state, State::Idle | State::Closing | State::Closed) {
            return self.finish(out, End::Local);
        }
        if self.remote_session != SessionId(0)
            && let Some(cdn) = self.habits.cdn.clone()
        {
            self.send(self.remote_session, MessageType::CDN, &cdn);
        }
        let stop_ccn = self.habits.stop_ccn.clone();
        self.send(SessionId(0), MessageType::STOP_CCN, &stop_ccn);
        self.state = State::Closing;
        self.hello_at = None;
        self.flush(now, out);
        if !self.habits.waits_for_goodbye {
            self.finish(out, End::Local);
        }
    }

    /// Takes a control message from the server.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_control(&mut self, now: Instant, bytes: &[u8], out: &mut Output) -> Result<(), Drop> {
        let message = Message::parse(bytes)?;
        let header = message.header;
        if header.tunnel != self.local_tunnel || matches!(self.state, State::Idle | State::Closed) {
            return Err(Drop::UnknownTunnel);
        }
        if let Some(hello) = self.habits.hello
            && self.hello_at.is_some()
        {
            self.hello_at = Some(now + hello);
        }
        self.acknowledge(now, header.nr);
        let result = message.kind.map_or(Ok(()), |kind| self.recv(kind, &message, out));
        self.advance(out);
        self.flush(now, out);
        if self.ack_owed {
            self.send_zlb(out);
        }
        if self.state == State::Closing && self.queue.is_empty() {
            self.finish(out, End::Local);
        }
        result
    }

    fn recv(&mut self, kind: MessageType, message: &Message<'_>, out: &mut Output) -> Result<(), Drop> {
        let ahead = message.header.ns.wrapping_sub(self.nr);
        if ahead >= 0x8000 {
            self.ack_owed = true;
            return Err(Drop::Repeated);
        }
        if ahead >= self.habits.window() {
            self.violations.push("more unacknowledged messages than the window allows");
        }
        if ahead > 0 || (self.habits.takes_only_acknowledging && !self.queue.is_empty()) {
            return Err(Drop::OutsideWindow);
        }
        self.nr = self.nr.wrapping_add(1);
        self.ack_owed = true;
        self.inspect(kind, &message.avps);
        match (self.state, kind) {
            (State::WaitCtlReply, MessageType::SCCRP) => self.recv_sccrp(&message.avps),
            (State::WaitReply, MessageType::ICRP) => self.recv_icrp(message, out),
            (_, MessageType::STOP_CCN) => {
                let (result, error, message) = read_code(message.avps.result_code());
                self.finish(out, End::Stopped { result, error, message });
            }
            (State::Closing, _) | (_, MessageType::HELLO) => {}
            (_, MessageType::CDN) => self.recv_cdn(message, out),
            _ => self.violations.push("message at the wrong time"),
        }
        Ok(())
    }

    /// What Apple's parser refuses in any message.
    fn inspect(&mut self, kind: MessageType, avps: &Avps<'_>) {
        let complete = match kind {
            MessageType::SCCRP => {
                avps.host_name().is_some()
                    && avps.assigned_tunnel_id().is_some()
                    && avps
                        .find(|value| matches!(value, Value::ProtocolVersion(0x0100)).then_some(()))
                        .is_some()
                    && avps
                        .find(|value| matches!(value, Value::FramingCapabilities(_)).then_some(()))
                        .is_some()
            }
            MessageType::ICRP => avps.assigned_session_id().is_some(),
            MessageType::STOP_CCN => avps.assigned_tunnel_id().is_some() && avps.result_code().is_some(),
            MessageType::CDN => avps.assigned_session_id().is_some() && avps.result_code().is_some(),
            _ => true,
        };
        if !complete {
            self.violations.push("a mandatory attribute is missing");
        }
        if avps.defect().is_some() {
            self.violations.push("malformed attributes");
        }
        if avps.unknown_mandatory().is_some() {
            self.violations.push("unknown or hidden mandatory attribute");
        }
        if avps.find(|value| matches!(value, Value::Challenge(_)).then_some(())).is_some() {
            self.violations.push("a challenge");
        }
        if !avps.is_type_mandatory() {
            self.violations.push("Message Type without the M bit");
        }
    }

    fn recv_sccrp(&mut self, avps: &Avps<'_>) {
        self.remote_tunnel = avps.assigned_tunnel_id().unwrap_or_default();
        self.server_window = avps.receive_window_size().unwrap_or(4).max(1);
        self.state = State::WaitTunnel;
        self.send(SessionId(0), MessageType::SCCCN, &[]);
        if !self.habits.waits_before_icrq {
            self.call();
        }
    }

    fn call(&mut self) {
        self.state = State::WaitReply;
        let icrq = self.habits.icrq.clone();
        self.send(SessionId(0), MessageType::ICRQ, &icrq);
    }

    fn recv_icrp(&mut self, message: &Message<'_>, out: &mut Output) {
        if message.header.session != self.local_session {
            return self.violations.push("ICRP for another session");
        }
        self.remote_session = message.avps.assigned_session_id().unwrap_or_default();
        let iccn = self.habits.iccn.clone();
        self.send(self.remote_session, MessageType::ICCN, &iccn);
        self.state = State::WaitConnect;
        if !self.habits.waits_before_ppp {
            self.established(out);
        }
    }

    fn established(&mut self, out: &mut Output) {
        self.state = State::Established;
        out.events.push(Event::Up);
    }

    fn recv_cdn(&mut self, message: &Message<'_>, out: &mut Output) {
        let ppp = message.avps.find(|value| match value {
            Value::PppDisconnect(disconnect) => Some(disconnect.code),
            _ => None,
        });
        let (result, error, message) = read_code(message.avps.result_code());
        self.finish(out, End::HungUp { result, error, message, ppp });
    }

    /// Goes on where an acknowledgement was waited for.
    fn advance(&mut self, out: &mut Output) {
        if self.queue.is_empty() {
            match self.state {
                State::WaitTunnel => self.call(),
                State::WaitConnect => self.established(out),
                _ => {}
            }
        }
    }

    fn finish(&mut self, out: &mut Output, end: End) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.acked_ns = self.acked_ns.wrapping_add(self.in_flight);
            self.in_flight = 0;
            self.queue.clear();
            self.repeat_at = None;
            self.hello_at = None;
            out.events.push(Event::Down(end));
        }
    }

    fn send_sccrq(&mut self) {
        let sccrq = self.habits.sccrq.clone();
        self.send(SessionId(0), MessageType::SCCRQ, &sccrq);
    }

    /// Queues a message, with our numbers in place of the placeholders.
    fn send(&mut self, session: SessionId, kind: MessageType, avps: &[Avp<'static>]) {
        let avps: Vec<_> = avps
            .iter()
            .map(|avp| {
                let value = match avp.value {
                    Value::HostName(_) => Value::HostName(&self.habits.host_name),
                    Value::AssignedTunnelId(_) => Value::AssignedTunnelId(self.local_tunnel),
                    Value::AssignedSessionId(_) => Value::AssignedSessionId(self.local_session),
                    Value::CallSerialNumber(_) => Value::CallSerialNumber(self.serial),
                    other => other,
                };
                Avp { mandatory: avp.mandatory, value }
            })
            .collect();
        let header = ControlHeader { tunnel: self.remote_tunnel, session, ns: 0, nr: 0 };
        let message = Message::emit(header, kind, &avps);
        self.queue.push_back(message);
    }

    fn send_zlb(&mut self, out: &mut Output) {
        let ns = self.acked_ns.wrapping_add(self.in_flight);
        let header = ControlHeader { tunnel: self.remote_tunnel, session: SessionId(0), ns, nr: self.nr };
        out.packets.push(PacketBuf::from_slice(&header.emit(&[])));
        self.ack_owed = false;
    }

    fn acknowledge(&mut self, now: Instant, nr: u16) {
        let count = nr.wrapping_sub(self.acked_ns);
        if count > 0 && count <= self.in_flight {
            self.queue.drain(..usize::from(count));
            self.in_flight -= count;
            self.acked_ns = nr;
            self.repeats = 0;
            self.repeat_at = (self.in_flight > 0).then(|| now + self.habits.repetition.first);
        }
    }

    fn flush(&mut self, now: Instant, out: &mut Output) {
        while self.in_flight < self.server_window && usize::from(self.in_flight) < self.queue.len() {
            self.emit(self.in_flight, out);
            self.in_flight += 1;
            self.repeat_at.get_or_insert(now + self.habits.repetition.first);
        }
        if self.state == State::Established && self.hello_at.is_none() {
            self.hello_at = self.habits.hello.map(|hello| now + hello);
        }
    }

    fn emit(&mut self, index: u16, out: &mut Output) {
        let (ns, nr) = (self.acked_ns.wrapping_add(index), self.nr);
        if let Some(message) = self.queue.get_mut(usize::from(index)) {
            ControlHeader::renumber(message, ns, nr);
            out.packets.push(PacketBuf::from_slice(message));
            self.ack_owed = false;
        }
    }

    /// Takes the L2TP header off a data message; what stays is a PPP frame.
    ///
    /// # Errors
    /// Why it was dropped: not ours, or before PPP may flow (real clients discard it then).
    pub fn strip_data(&mut self, buf: &mut PacketBuf) -> Result<(), Drop> {
        let header = DataHeader::parse(buf)?;
        if header.tunnel != self.local_tunnel {
            return Err(Drop::UnknownTunnel);
        }
        if header.session != self.local_session || self.state != State::Established {
            return Err(Drop::UnknownSession);
        }
        if header.ns.is_some() {
            self.violations.push("numbered data messages");
        }
        buf.truncate(header.end);
        buf.pull_front(header.len).ok_or(Drop::UnknownSession)?;
        Ok(())
    }

    /// Puts the L2TP header before a PPP frame, as the system does.
    ///
    /// # Errors
    /// [`Drop::UnknownSession`] unless the session is established.
    pub fn put_data(&mut self, buf: &mut PacketBuf) -> Result<(), Drop> {
        if self.state != State::Established {
            return Err(Drop::UnknownSession);
        }
        let (tunnel, session) = (self.remote_tunnel, self.remote_session);
        if self.habits.data_sequence {
            let [n0, n1] = self.data_ns.to_be_bytes();
            self.data_ns = self.data_ns.wrapping_add(1);
            buf.put_front(&[n0, n1, 0, 0]);
        }
        if self.habits.data_length {
            let header = DataHeader::emit_with_length(tunnel, session, buf.len());
            buf.put_front(&header);
        } else {
            buf.put_front(&DataHeader::emit(tunnel, session));
        }
        if self.habits.data_sequence
            && let Some(flags) = buf.first_mut()
        {
            *flags |= 0x08;
        }
        Ok(())
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.repeat_at, self.hello_at].into_iter().flatten().min()
    }

    /// Repeats, greets or gives up.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        if self.repeat_at.is_some_and(|at| at <= now) {
            let Repetition { first, cap, tries } = self.habits.repetition;
            if self.repeats >= tries {
                return self.finish(out, End::NoAnswer);
            }
            self.repeats += 1;
            let wait = first.saturating_mul(1_u32.checked_shl(self.repeats).unwrap_or(u32::MAX)).min(cap);
            self.repeat_at = Some(now + wait);
            for index in 0..self.in_flight {
                self.emit(index, out);
            }
        }
        if self.hello_at.is_some_and(|at| at <= now) {
            self.hello_at = self.habits.hello.map(|hello| now + hello);
            if self.queue.is_empty() {
                self.send(SessionId(0), MessageType::HELLO, &[]);
            }
        }
        self.flush(now, out);
    }
}

fn read_code(code: Option<ResultCode<'_>>) -> (u16, u16, String) {
    let code = code.unwrap_or_default();
    let text = String::from_utf8_lossy(code.message).into_owned();
    (code.result, code.error.unwrap_or_default(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_data_messages_with_length_parse() {
        let mut habits = Habits::apple();
        habits.data_sequence = true;
        let mut lac = Lac::new(habits, &mut Entropy::from_number(1));
        lac.state = State::Established;
        (lac.remote_tunnel, lac.remote_session) = (TunnelId(1), SessionId(2));
        for ns in 0..2 {
            let mut buf = PacketBuf::from_slice(&[0xff, 0x03, 0xc0, 0x21]);
            lac.put_data(&mut buf).unwrap();
            let header = DataHeader::parse(&buf).unwrap();
            assert_eq!((header.tunnel.0, header.session.0, header.ns), (1, 2, Some(ns)));
            assert_eq!((header.len, header.end), (12, 16));
        }
    }

    #[test]
    fn every_system_has_its_window() {
        let windows = [Habits::android(), Habits::apple(), Habits::windows(), Habits::xl2tpd()]
            .map(|habits| (habits.name, habits.window()));
        assert_eq!(windows, [("Android", 1), ("Apple", 4), ("Windows", 8), ("xl2tpd", 4)]);
    }
}
