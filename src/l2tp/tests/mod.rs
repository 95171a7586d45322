//! Tests of the LNS as a whole. `captures` holds what real clients say, `replay` plays it, `control` and `call` take
//! the machine through its states, `liveness` through time, `network` through a bad network.

mod call;
mod captures;
mod control;
mod liveness;
mod network;
mod replay;

use super::*;
use crate::wire::avp::{Avp, PROTOCOL_VERSION, ResultCode, Value};
use crate::wire::l2tp::ControlHeader;

/// A point in time to count from.
#[expect(
    clippy::disallowed_methods,
    reason = "tests need an Instant to count from, and there is no other source"
)]
pub(super) fn start() -> Instant {
    Instant::now()
}

const PORT: u16 = 52970;

/// A message of a client, written down by a test.
fn message(tunnel: u16, session: u16, ns: u16, nr: u16, kind: MessageType, avps: &[Avp<'_>]) -> Vec<u8> {
    let header = ControlHeader { tunnel: TunnelId(tunnel), session: SessionId(session), ns, nr };
    Message::emit(header, kind, avps)
}

fn zlb(tunnel: u16, ns: u16, nr: u16) -> Vec<u8> {
    ControlHeader { tunnel: TunnelId(tunnel), session: SessionId(0), ns, nr }.emit(&[])
}

/// AVPs of an ordinary SCCRQ of the client's tunnel `remote`, with `more` behind them.
fn sccrq_avps<'a>(remote: u16, more: &[Avp<'a>]) -> Vec<Avp<'a>> {
    let mut avps = vec![
        Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
        Avp::mandatory(Value::HostName(b"test")),
        Avp::mandatory(Value::FramingCapabilities(3)),
        Avp::mandatory(Value::AssignedTunnelId(TunnelId(remote))),
    ];
    avps.extend_from_slice(more);
    avps
}

fn sccrq(remote: u16, more: &[Avp<'_>]) -> Vec<u8> {
    message(0, 0, 0, 0, MessageType::SCCRQ, &sccrq_avps(remote, more))
}

/// A message of ours, in short: for whom, and what.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    tunnel: u16,
    session: u16,
    ns: u16,
    nr: u16,
    kind: Option<MessageType>,
    result: Option<(u16, u16)>,
}

fn said(tunnel: u16, session: u16, ns: u16, nr: u16, kind: MessageType) -> Said {
    Said { tunnel, session, ns, nr, kind: Some(kind), result: None }
}

fn said_zlb(tunnel: u16, ns: u16, nr: u16) -> Said {
    Said { tunnel, session: 0, ns, nr, kind: None, result: None }
}

impl Said {
    fn result(mut self, result: u16, error: u16) -> Self {
        self.result = Some((result, error));
        self
    }

    fn read(bytes: &[u8]) -> Self {
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.avps.defect(), None);
        let ControlHeader { tunnel, session, ns, nr } = message.header;
        let result = message.avps.result_code().map(|code| (code.result, code.error.unwrap()));
        Self { tunnel: tunnel.0, session: session.0, ns, nr, kind: message.kind, result }
    }
}

/// The LNS, a clock, and what came out.
struct Server {
    lns: Lns,
    entropy: Entropy,
    now: Instant,
    out: Output,
}

impl Server {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self {
            lns: Lns::new(Arc::new(settings), WorkerId(7)),
            entropy: Entropy::from_number(1),
            now: start(),
            out: Output::default(),
        }
    }

    fn try_recv(&mut self, bytes: &[u8]) -> Result<(), Drop> {
        self.lns.handle_control(self.now, PORT, bytes, &mut self.entropy, &mut self.out)
    }

    fn recv(&mut self, bytes: &[u8]) {
        self.try_recv(bytes).unwrap();
    }

    /// What was sent since the last look.
    fn sent(&mut self) -> Vec<Said> {
        self.out
            .packets
            .drain(..)
            .map(|packet| {
                assert_eq!(packet.remote_port, PORT);
                Said::read(&packet.buf)
            })
            .collect()
    }

    fn sent_bytes(&mut self) -> Vec<Vec<u8>> {
        self.out.packets.drain(..).map(|packet| packet.buf.to_vec()).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.out.events)
    }

    /// Lets time pass, timers firing on the way.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.lns.poll_timeout().filter(|at| *at <= until) {
            assert!(at >= self.now, "a timer in the past");
            self.now = at;
            self.lns.handle_timeout(at, &mut self.out);
        }
        self.now = until;
    }

    fn secs(&mut self, secs: u64) {
        self.pass(Duration::from_secs(secs));
    }

    /// An established tunnel with the client's number 100 and window `window`; returns our number. The client has sent
    /// Ns 0 and 1, we have sent Ns 0.
    fn tunnel(&mut self, window: u16) -> u16 {
        self.recv(&sccrq(100, &[Avp::mandatory(Value::ReceiveWindowSize(window))]));
        let local = self.lns.tunnels().last().unwrap().0;
        self.recv(&message(local, 0, 1, 1, MessageType::SCCCN, &[]));
        self.sent();
        self.events();
        local
    }

    /// An established session with the client's number 200 in a tunnel as above. The client has sent Ns 0 to 3, we have
    /// sent Ns 0 and 1.
    fn session(&mut self) -> SessionKey {
        let local = self.tunnel(1);
        self.recv(&icrq(local, 2, 1, 200));
        self.call(local, 3)
    }

    /// Completes the call whose ICRP is under way.
    fn call(&mut self, local: u16, ns: u16) -> SessionKey {
        let icrp = self.sent_bytes().pop().unwrap();
        let icrp = Message::parse(&icrp).unwrap();
        let session = icrp.avps.assigned_session_id().unwrap();
        self.recv(&iccn(local, session.0, ns, icrp.header.ns + 1));
        self.sent();
        let key = SessionKey { tunnel: TunnelId(local), session };
        assert!(matches!(self.events()[..], [Event::SessionUp { key: up, .. }] if up == key));
        key
    }
}

fn icrq(local: u16, ns: u16, nr: u16, remote_session: u16) -> Vec<u8> {
    let avps = [
        Avp::mandatory(Value::AssignedSessionId(SessionId(remote_session))),
        Avp::mandatory(Value::CallSerialNumber(1)),
    ];
    message(local, 0, ns, nr, MessageType::ICRQ, &avps)
}

fn iccn(local: u16, session: u16, ns: u16, nr: u16) -> Vec<u8> {
    let avps = [Avp::mandatory(Value::TxConnectSpeed(1)), Avp::mandatory(Value::FramingType(1))];
    message(local, session, ns, nr, MessageType::ICCN, &avps)
}

fn stop_ccn(local: u16, ns: u16, nr: u16) -> Vec<u8> {
    let code = ResultCode { result: 1, error: None, message: &[] };
    let avps =
        [Avp::mandatory(Value::AssignedTunnelId(TunnelId(100))), Avp::mandatory(Value::ResultCode(code))];
    message(local, 0, ns, nr, MessageType::STOP_CCN, &avps)
}
