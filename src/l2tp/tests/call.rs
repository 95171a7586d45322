//! The incoming call, and the data of its session.

use super::*;
use crate::l2tp::session::{State, Step};
use crate::wire::avp::{DisconnectCode, PppDisconnect};

#[test]
fn the_table_of_section_7_4_2() {
    let states = [State::WaitConnect(start()), State::Established];
    let row = |kind| states.map(|state| state.step(kind));
    assert_eq!(row(MessageType::ICCN), [Step::Connect, Step::StateError]);
    assert_eq!(row(MessageType::CDN), [Step::Release, Step::Release]);
    for kind in [MessageType::ICRP, MessageType::OCRP, MessageType::OCCN] {
        assert_eq!(row(kind), [Step::StateError, Step::StateError], "{kind}");
    }
}

#[test]
fn a_second_iccn_costs_the_session_and_not_the_tunnel() {
    let mut server = Server::new();
    let key = server.session();
    server.recv(&iccn(key.tunnel.0, key.session.0, 4, 2));
    assert_eq!(server.sent(), [said(100, 200, 2, 5, MessageType::CDN).result(2, 5)]);
    let cause = Cause::OutOfOrder(MessageType::ICCN);
    assert_eq!(server.events(), [Event::SessionDown { key, cause }]);
    assert_eq!(server.lns.tunnels().count(), 1);
}

#[test]
fn calls_that_cannot_be_are_refused() {
    let mut server = Server::with(Settings { max_sessions: 1, ..Settings::default() });
    let local = server.tunnel(4);
    let failed = |cause| Event::SessionFailed { tunnel: TunnelId(local), cause };
    // We do not dial.
    let id = [Avp::mandatory(Value::AssignedSessionId(SessionId(201)))];
    server.recv(&message(local, 0, 2, 1, MessageType::OCRQ, &id));
    assert_eq!(server.sent(), [said(100, 201, 1, 3, MessageType::CDN).result(5, 0)]);
    assert_eq!(server.events(), [failed(Cause::OutgoingCall)]);
    // An attribute that we must not ignore.
    let avps = [id[0], Avp::mandatory(Value::Unknown { vendor: 0, attribute: 99, value: &[] })];
    server.recv(&message(local, 0, 3, 2, MessageType::ICRQ, &avps));
    assert_eq!(server.sent(), [said(100, 201, 2, 4, MessageType::CDN).result(2, 8)]);
    assert!(matches!(server.events()[..], [Event::SessionFailed { cause: Cause::UnknownMandatory(_), .. }]));
    // No number.
    server.recv(&message(local, 0, 4, 3, MessageType::ICRQ, &[]));
    assert_eq!(server.sent(), [said(100, 0, 3, 5, MessageType::CDN).result(2, 2)]);
    assert!(matches!(server.events()[..], [Event::SessionFailed { cause: Cause::Malformed(_), .. }]));
    // One more than allowed.
    server.recv(&icrq(local, 5, 4, 202));
    server.call(local, 6);
    server.recv(&icrq(local, 7, 5, 203));
    assert_eq!(server.sent(), [said(100, 203, 5, 8, MessageType::CDN).result(4, 0)]);
    assert_eq!(server.events(), [failed(Cause::TooManySessions)]);
}

#[test]
fn a_call_without_framing_is_refused() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    server.recv(&icrq(local, 2, 1, 200));
    let icrp = server.sent_bytes().pop().unwrap();
    let session = Message::parse(&icrp).unwrap().avps.assigned_session_id().unwrap();
    let none = [Avp::mandatory(Value::FramingType(0))];
    server.recv(&message(local, session.0, 3, 2, MessageType::ICCN, &none));
    assert_eq!(server.sent(), [said(100, 200, 2, 4, MessageType::CDN).result(11, 0)]);
    let cause = Cause::NoFraming;
    assert_eq!(server.events(), [Event::SessionFailed { tunnel: TunnelId(local), cause }]);
}

#[test]
fn a_call_that_is_not_completed_ends() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    server.recv(&icrq(local, 2, 1, 200));
    server.sent();
    server.recv(&zlb(local, 3, 2));
    server.secs(30);
    server.lns.heard(server.now);
    server.secs(30);
    assert_eq!(server.sent(), [said(100, 200, 2, 3, MessageType::CDN).result(10, 0)]);
    let cause = Cause::SetupTimeout;
    assert_eq!(server.events(), [Event::SessionFailed { tunnel: TunnelId(local), cause }]);
}

#[test]
fn hanging_up_tells_the_client_what_ppp_knows() {
    let mut server = Server::new();
    let key = server.session();
    let cause = Cause::Ppp(PppEnd {
        code: DisconnectCode::AUTH_FAILED,
        protocol: 0xc223,
        direction: Direction::Peer,
    });
    server.lns.close_session(server.now, key, cause, &mut server.out);
    assert_eq!(server.events(), [Event::SessionDown { key, cause }]);
    let cdn = server.sent_bytes().pop().unwrap();
    assert_eq!(Said::read(&cdn), said(100, 200, 2, 4, MessageType::CDN).result(3, 0));
    let message = Message::parse(&cdn).unwrap();
    assert_eq!(message.avps.assigned_session_id(), Some(key.session));
    let last = *message.avps.iter().last().unwrap();
    let disconnect =
        PppDisconnect { code: DisconnectCode::AUTH_FAILED, protocol: 0xc223, direction: 1, message: &[] };
    assert_eq!(last, Avp::optional(Value::PppDisconnect(disconnect)), "without the M bit");
    // Once is enough.
    server.lns.close_session(server.now, key, cause, &mut server.out);
    assert!(server.sent().is_empty() && server.events().is_empty());
}

#[test]
fn a_client_hangs_up_by_either_number() {
    for by_header in [true, false] {
        let mut server = Server::new();
        let key = server.session();
        let disconnect =
            PppDisconnect { code: DisconnectCode::NORMAL, protocol: 0, direction: 2, message: b"bye" };
        let avps = [
            Avp::mandatory(Value::ResultCode(ResultCode { result: 1, error: Some(0), message: b"bye" })),
            Avp::mandatory(Value::AssignedSessionId(SessionId(200))),
            Avp::optional(Value::PppDisconnect(disconnect)),
        ];
        let session = if by_header { key.session.0 } else { 0 };
        server.recv(&message(key.tunnel.0, session, 4, 2, MessageType::CDN, &avps));
        assert_eq!(server.sent(), [said_zlb(100, 2, 5)]);
        let cause = Cause::PeerHungUp { result: 1, error: 0, ppp: Some(DisconnectCode::NORMAL) };
        assert_eq!(server.events(), [Event::SessionDown { key, cause }]);
    }
}

#[test]
fn a_tunnel_may_carry_several_sessions_at_once() {
    let mut server = Server::new();
    let first = server.session();
    server.recv(&icrq(first.tunnel.0, 4, 2, 201));
    let second = server.call(first.tunnel.0, 5);
    assert_ne!(first.session, second.session);
    for (key, remote) in [(first, 200), (second, 201)] {
        let mut buf = PacketBuf::from_slice(b"x");
        assert_eq!(server.lns.put_data(key, &mut buf), Ok(PORT));
        assert_eq!(buf[..], [0, 2, 0, 100, 0, remote, b'x']);
    }
}

#[test]
fn data_reaches_its_session_and_no_other() {
    let mut server = Server::new();
    let key = server.session();
    let (tunnel, session) = (key.tunnel, key.session);
    let mut strip = |bytes: &[u8]| {
        let mut buf = PacketBuf::from_slice(bytes);
        server.lns.strip_data(&mut buf).map(|key| (key, buf.to_vec()))
    };
    let frame = [0xff, 3, 0, 0x21];
    let plain = [&DataHeader::emit(tunnel, session)[..], &frame].concat();
    assert_eq!(strip(&plain), Ok((key, frame.to_vec())));
    // L bit, and padding after the frame.
    let long = [&DataHeader::emit_with_length(tunnel, session, 4)[..], &frame, &[0, 0]].concat();
    assert_eq!(strip(&long), Ok((key, frame.to_vec())));
    // S bit.
    let mut numbered = [&DataHeader::emit(tunnel, session)[..], &[0, 9, 0, 0], &frame].concat();
    numbered[0] |= 0x08;
    assert_eq!(strip(&numbered), Ok((key, frame.to_vec())));
    let other = SessionId(session.0 ^ 1);
    assert_eq!(strip(&DataHeader::emit(tunnel, other)), Err(Drop::UnknownSession));
    assert_eq!(strip(&DataHeader::emit(TunnelId(tunnel.0 ^ 1), session)), Err(Drop::UnknownTunnel));
    assert!(matches!(strip(&[0, 2, 0]), Err(Drop::Malformed(_))));
}

#[test]
fn data_before_the_iccn_is_dropped() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    server.recv(&icrq(local, 2, 1, 200));
    let icrp = server.sent_bytes().pop().unwrap();
    let session = Message::parse(&icrp).unwrap().avps.assigned_session_id().unwrap();
    let mut buf = PacketBuf::from_slice(&DataHeader::emit(TunnelId(local), session));
    assert_eq!(server.lns.strip_data(&mut buf), Err(Drop::UnknownSession));
    let key = SessionKey { tunnel: TunnelId(local), session };
    assert_eq!(server.lns.put_data(key, &mut buf), Err(Drop::UnknownSession));
}

/// A client that makes us answer and never listens.
#[test]
fn the_queue_is_bounded() {
    let mut server = Server::new();
    let local = server.tunnel(1);
    let id = [Avp::mandatory(Value::AssignedSessionId(SessionId(201)))];
    for ns in 2..40 {
        let _ = server.try_recv(&message(local, 0, ns, 1, MessageType::OCRQ, &id));
    }
    let events = server.events();
    assert!(events.contains(&Event::TunnelDown { tunnel: TunnelId(local), cause: Cause::Overflow }));
    let sent = server.sent();
    assert_eq!(sent.iter().filter(|said| said.kind.is_some()).count(), 1, "the window is one");
    server.secs(31);
    assert!(server.lns.is_empty());
}

#[test]
fn an_idle_connection_is_small() {
    let mut server = Server::new();
    server.session();
    let tunnel = &server.lns.tunnels[0];
    let heap = server.lns.tunnels.capacity() * size_of::<tunnel::Tunnel>()
        + tunnel.sessions.capacity() * size_of::<session::Session>();
    let total = size_of::<Lns>() + heap;
    assert!(total < 384, "{total} bytes");
}
