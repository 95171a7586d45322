//! The L2TP server of one peer: control messages as they are or with the right numbers, data, time.

use super::steps::{number, origin, steps};
use sekisho::entropy::Entropy;
use sekisho::l2tp::{Cause, Event, Lns, Output, SessionKey, Settings, is_control};
use sekisho::packet::{PacketBuf, WorkerId};
use sekisho::wire::avp::{Avp, MessageType, PROTOCOL_VERSION, Value};
use sekisho::wire::l2tp::{ControlHeader, DataHeader, Message, SessionId, TunnelId};
use std::sync::Arc;
use std::time::{Duration, Instant};

const PORT: u16 = 1701;
const CLIENT_TUNNEL: TunnelId = TunnelId(0x1111);
const CLIENT_SESSION: SessionId = SessionId(0x2222);

/// What a step can be. The numbers are those of the corpus: new ones go to the end.
pub(crate) mod op {
    /// A datagram as it is.
    pub(crate) const RAW: u8 = 0;
    /// The next message of a connection that goes well: SCCRQ, SCCCN, ICRQ, ICCN.
    pub(crate) const NEXT: u8 = 1;
    /// A control message of the client's tunnel and session with the right numbers: the argument is its body.
    pub(crate) const BODY: u8 = 2;
    /// A data message: two bytes of flags, then what follows the session.
    pub(crate) const DATA: u8 = 3;
    /// Time goes by: tenths of seconds.
    pub(crate) const TIME: u8 = 4;
    /// Closes the session (0), the tunnel (1), everything (2).
    pub(crate) const CLOSE: u8 = 5;
    /// A PPP frame for the client.
    pub(crate) const PUT: u8 = 6;
    /// An acknowledgement of what the server said, plus an offset.
    pub(crate) const ZLB: u8 = 7;
    /// A SCCRQ of another tunnel: its number, then more attributes.
    pub(crate) const SCCRQ: u8 = 8;
}

struct World {
    now: Instant,
    lns: Lns,
    entropy: Entropy,
    /// The server's numbers, once the client has heard them.
    tunnel: TunnelId,
    session: SessionId,
    ns: u16,
    nr: u16,
    stage: u8,
    up: Vec<SessionKey>,
}

fn settings() -> Settings {
    Settings { secret: Some(b"secret".as_slice().into()), ..Settings::default() }
}

/// A sequence of steps.
pub(super) fn lns(bytes: &[u8]) {
    let mut world = World {
        now: origin(),
        lns: Lns::new(Arc::new(settings()), WorkerId(7)),
        entropy: Entropy::from_number(1),
        tunnel: TunnelId(0),
        session: SessionId(0),
        ns: 0,
        nr: 0,
        stage: 0,
        up: Vec::new(),
    };
    for (op, argument) in steps(bytes) {
        world.step(op, argument);
        assert!(world.lns.tunnels().count() <= settings().max_tunnels);
        assert!(world.up.len() <= settings().max_tunnels * settings().max_sessions);
    }
    world.forget();
}

impl World {
    fn step(&mut self, op: u8, argument: &[u8]) {
        match op % 9 {
            op::RAW => self.control(argument),
            op::NEXT => self.next_message(),
            op::BODY => {
                let message = self.header().emit(argument);
                self.ns = self.ns.wrapping_add(1);
                self.control(&message);
            }
            op::DATA => self.data(argument),
            op::TIME => self.pass(Duration::from_millis(100 * number(argument) as u64)),
            op::CLOSE => self.close(argument.first().copied().unwrap_or(0)),
            op::PUT => {
                for key in self.up.clone() {
                    let mut buf = PacketBuf::from_slice(argument);
                    let port = self.lns.put_data(key, &mut buf).expect("the session is up");
                    let header = DataHeader::parse(&buf).expect("our own message");
                    assert_eq!((port, &buf[header.len..header.end]), (PORT, argument));
                }
            }
            op::ZLB => {
                let nr = self.nr.wrapping_add(number(argument) as u16);
                let message = ControlHeader { nr, ..self.header() }.emit(&[]);
                self.control(&message);
            }
            _ => {
                let id = TunnelId(number(argument) as u16);
                let body = Message::emit(ControlHeader::default(), MessageType::SCCRQ, &sccrq(id));
                let mut body = body[12..].to_vec();
                body.extend_from_slice(argument.get(2..).unwrap_or_default());
                self.control(&ControlHeader::default().emit(&body));
            }
        }
    }

    fn header(&self) -> ControlHeader {
        let session = if self.stage > 2 { self.session } else { SessionId(0) };
        ControlHeader { tunnel: self.tunnel, session, ns: self.ns, nr: self.nr }
    }

    fn next_message(&mut self) {
        let (kind, avps) = match self.stage {
            0 => (MessageType::SCCRQ, sccrq(CLIENT_TUNNEL)),
            1 => (MessageType::SCCCN, Vec::new()),
            2 => (
                MessageType::ICRQ,
                vec![
                    Avp::mandatory(Value::AssignedSessionId(CLIENT_SESSION)),
                    Avp::mandatory(Value::CallSerialNumber(1)),
                ],
            ),
            3 => (
                MessageType::ICCN,
                vec![Avp::mandatory(Value::TxConnectSpeed(1_000_000)), Avp::mandatory(Value::FramingType(1))],
            ),
            _ => (MessageType::HELLO, Vec::new()),
        };
        let message = Message::emit(self.header(), kind, &avps);
        self.ns = self.ns.wrapping_add(1);
        self.stage = (self.stage + 1).min(4);
        self.control(&message);
    }

    fn control(&mut self, message: &[u8]) {
        let mut out = Output::default();
        let result = self.lns.handle_control(self.now, PORT, message, &mut self.entropy, &mut out);
        assert!(out.packets.len() <= 16, "one message gets few in return");
        assert!(result.is_ok() || out.events.len() <= 8);
        self.carry_out(out);
    }

    fn data(&mut self, argument: &[u8]) {
        let mut message = argument.get(..2).unwrap_or(&[0, 2]).to_vec();
        message[0] &= 0x7f;
        if message[0] & 0x40 != 0 {
            message.extend_from_slice(&(argument.len() as u16).to_be_bytes());
        }
        message.extend_from_slice(&self.tunnel.0.to_be_bytes());
        message.extend_from_slice(&self.session.0.to_be_bytes());
        message.extend_from_slice(argument.get(2..).unwrap_or_default());
        assert!(!is_control(&message));
        let mut buf = PacketBuf::from_slice(&message);
        if let Ok(key) = self.lns.strip_data(&mut buf) {
            assert!(self.up.contains(&key), "data of a session that is not up");
            assert!(message.windows(buf.len().max(1)).any(|part| part == &*buf) || buf.is_empty());
        }
    }

    fn close(&mut self, what: u8) {
        let mut out = Output::default();
        let key = SessionKey { tunnel: self.tunnel, session: self.session };
        match what % 3 {
            0 => self.lns.close_session(self.now, key, Cause::Administrative, &mut out),
            1 => self.lns.close_tunnel(self.now, self.tunnel, Cause::Replaced, &mut out),
            _ => self.lns.close_all(self.now, Cause::Shutdown, &mut out),
        }
        self.carry_out(out);
    }

    fn carry_out(&mut self, out: Output) {
        for packet in out.packets {
            let message = Message::parse(&packet.buf).expect("our own message");
            assert_eq!(message.avps.defect(), None);
            assert_eq!(message.avps.unknown_mandatory(), None);
            if message.header.tunnel != CLIENT_TUNNEL {
                continue;
            }
            if let Some(id) = message.avps.assigned_tunnel_id() {
                self.tunnel = id;
            }
            if let Some(id) = message.avps.assigned_session_id() {
                self.session = id;
            }
            if message.kind.is_some() {
                self.nr = message.header.ns.wrapping_add(1);
            }
        }
        for event in out.events {
            match event {
                Event::SessionUp { key, .. } => {
                    assert!(!self.up.contains(&key), "a session comes up once");
                    self.up.push(key);
                }
                Event::SessionDown { key, .. } => {
                    let before = self.up.len();
                    self.up.retain(|up| *up != key);
                    assert_eq!(self.up.len() + 1, before, "only what was up goes down");
                }
                other => assert!(!format!("{other:?}").is_empty()),
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut fired = 0;
        while let Some(at) = self.lns.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let mut out = Output::default();
            self.lns.handle_timeout(self.now, &mut out);
            self.carry_out(out);
            assert!(
                self.lns.poll_timeout().is_none_or(|next| next > self.now),
                "a timer fires and does not advance"
            );
            fired += 1;
            assert!(fired < 10_000, "timers without end");
        }
        self.now = end;
    }

    /// A client that says no more is given up.
    fn forget(&mut self) {
        self.pass(Duration::from_secs(3600));
        assert!(self.lns.is_empty(), "a tunnel outlives its client");
        assert!(self.up.is_empty(), "every session that came up went down");
    }
}

fn sccrq(id: TunnelId) -> Vec<Avp<'static>> {
    vec![
        Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
        Avp::mandatory(Value::HostName(b"fuzzer")),
        Avp::mandatory(Value::FramingCapabilities(3)),
        Avp::mandatory(Value::AssignedTunnelId(id)),
    ]
}
