//! The control connection: beginnings, refusals, ends.

use super::*;
use crate::l2tp::tunnel::{State, Step};
use crate::wire::avp::UnknownMandatory;
use crate::wire::{Error, Kind};
use std::fmt::Write;

/// All message types, and one that nobody knows.
const KINDS: [MessageType; 15] = [
    MessageType::SCCRQ,
    MessageType::SCCRP,
    MessageType::SCCCN,
    MessageType::STOP_CCN,
    MessageType::HELLO,
    MessageType::OCRQ,
    MessageType::OCRP,
    MessageType::OCCN,
    MessageType::ICRQ,
    MessageType::ICRP,
    MessageType::ICCN,
    MessageType::CDN,
    MessageType::WEN,
    MessageType::SLI,
    MessageType(99),
];

#[test]
fn the_table_of_section_7_2_1() {
    let mut table = String::new();
    for kind in KINDS {
        write!(table, "{:10}", kind.to_string()).unwrap();
        for state in State::ALL {
            let step = match state.step(kind) {
                Step::Open => "Open",
                Step::Call => "Call",
                Step::Acknowledge => "-",
                Step::Linger => "Linger",
                Step::StateError => "StopCCN 7",
            };
            write!(table, " {step:11}").unwrap();
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    let expected = "\
SCCRQ      StopCCN 7   StopCCN 7   -           -
SCCRP      StopCCN 7   StopCCN 7   -           -
SCCCN      Open        StopCCN 7   -           -
STOP_CCN   Linger      Linger      Linger      Linger
HELLO      -           -           -           -
OCRQ       StopCCN 7   Call        -           -
OCRP       StopCCN 7   Call        -           -
OCCN       StopCCN 7   Call        -           -
ICRQ       StopCCN 7   Call        -           -
ICRP       StopCCN 7   Call        -           -
ICCN       StopCCN 7   Call        -           -
CDN        -           Call        -           -
WEN        -           -           -           -
SLI        -           -           -           -
MessageType(99) StopCCN 7   StopCCN 7   -           -
";
    //         WaitCtlConn Established Stopping    Lingering
    assert_eq!(table, expected);
}

#[test]
fn a_repeated_sccrq_gets_the_same_answer() {
    let mut server = Server::new();
    server.recv(&sccrq(100, &[]));
    let first = server.sent_bytes();
    assert_eq!(server.try_recv(&sccrq(100, &[])), Err(Drop::Repeated));
    assert_eq!(server.sent_bytes(), first);
    assert_eq!(server.lns.tunnels().count(), 1);
    // The SCCRP is acknowledged, the SCCCN lost: then an acknowledgement is what the client lacks.
    let local = server.lns.tunnels().next().unwrap().0;
    server.recv(&zlb(local, 1, 1));
    assert_eq!(server.try_recv(&sccrq(100, &[])), Err(Drop::Repeated));
    assert_eq!(server.sent(), [said_zlb(100, 1, 1)]);
}

#[test]
fn another_port_or_number_is_another_tunnel() {
    let mut server = Server::new();
    server.recv(&sccrq(100, &[]));
    server.recv(&sccrq(101, &[]));
    let bytes = sccrq(100, &[]);
    server.lns.handle_control(server.now, PORT + 1, &bytes, &mut server.entropy, &mut server.out).unwrap();
    assert_eq!(server.lns.tunnels().count(), 3);
    let ports: Vec<_> = server.out.packets.iter().map(|packet| packet.remote_port).collect();
    assert_eq!(ports, [PORT, PORT, PORT + 1]);
}

/// A phone that was restarted begins again with the number that it had before.
#[test]
fn a_client_that_comes_back_gets_a_tunnel_beside_its_old_one() {
    let mut server = Server::new();
    let old = server.session();
    let new = server.tunnel(1);
    assert_ne!(old.tunnel.0, new);
    // Both work until the caller, who knows whether the same user is behind both, closes the old one.
    let mut buf = PacketBuf::from_slice(&DataHeader::emit(old.tunnel, old.session));
    assert_eq!(server.lns.strip_data(&mut buf), Ok(old));
    server.recv(&icrq(new, 2, 1, 201));
    let session = server.call(new, 3);
    server.lns.close_tunnel(server.now, old.tunnel, Cause::Replaced, &mut server.out);
    assert_eq!(
        server.events(),
        [
            Event::SessionDown { key: old, cause: Cause::Replaced },
            Event::TunnelDown { tunnel: old.tunnel, cause: Cause::Replaced },
        ]
    );
    assert_eq!(server.sent(), [said(100, 0, 2, 4, MessageType::STOP_CCN).result(1, 0)]);
    assert_eq!(server.lns.put_data(session, &mut PacketBuf::with_capacity(0)), Ok(PORT));
    assert_eq!(server.lns.put_data(old, &mut PacketBuf::with_capacity(0)), Err(Drop::UnknownSession));
}

#[test]
fn tunnels_are_limited_and_finished_ones_make_room() {
    let mut server = Server::with(Settings { max_tunnels: 2, ..Settings::default() });
    let first = server.tunnel(4);
    let _second = server.tunnel(4);
    server.recv(&sccrq(102, &[]));
    assert_eq!(server.sent(), [said(102, 0, 0, 1, MessageType::STOP_CCN).result(2, 4)]);
    assert!(matches!(server.events()[..], [Event::TunnelFailed { cause: Cause::TooManyTunnels, .. }]));
    // A tunnel that only answers repetitions is no obstacle.
    server.recv(&stop_ccn(first, 2, 1));
    server.recv(&sccrq(102, &[]));
    assert!(matches!(server.events()[1..], [Event::TunnelAsked { .. }]));
    assert_eq!(server.lns.tunnels().count(), 2);
}

#[test]
fn tunnel_ids_carry_the_worker_and_are_never_zero() {
    for worker in [0, 255] {
        let mut entropy = Entropy::from_number(3);
        let lns = Lns::new(Arc::default(), WorkerId(worker));
        for _ in 0..2000 {
            let id = lns.unused_tunnel_id(&mut entropy);
            assert!(id.0 != 0 && id.0 >> 8 == u16::from(worker));
        }
    }
}

/// An SCCRQ and the StopCCN that it earns.
#[track_caller]
fn refused(settings: Settings, bytes: &[u8], cause: Cause, result: u16, error: u16) {
    let mut server = Server::with(settings);
    for _ in 0..2 {
        server.recv(bytes);
        assert_eq!(server.sent(), [said(100, 0, 0, 1, MessageType::STOP_CCN).result(result, error)]);
        let events = server.events();
        assert!(
            matches!(&events[..], [Event::TunnelFailed { cause: why, .. }] if *why == cause),
            "{events:?}"
        );
        assert!(server.lns.is_empty());
    }
}

#[test]
fn what_we_cannot_do_is_refused_with_its_reason() {
    let plain = Settings::default;
    let mut avps = sccrq_avps(100, &[]);
    avps[0] = Avp::mandatory(Value::ProtocolVersion(0x0200));
    let bytes = message(0, 0, 0, 0, MessageType::SCCRQ, &avps);
    refused(plain(), &bytes, Cause::UnsupportedVersion(0x0200), 5, 0x0100);

    avps[0] = Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION));
    avps[2] = Avp::mandatory(Value::FramingCapabilities(0));
    let bytes = message(0, 0, 0, 0, MessageType::SCCRQ, &avps);
    refused(plain(), &bytes, Cause::NoFraming, 2, 3);

    let challenge = Avp::mandatory(Value::Challenge(b"0123456789abcdef"));
    refused(plain(), &sccrq(100, &[challenge]), Cause::Challenged, 4, 0);

    let vendor = Avp::mandatory(Value::Unknown { vendor: 9, attribute: 4, value: &[] });
    let named = UnknownMandatory { vendor: 9, attribute: 4, hidden: false };
    refused(plain(), &sccrq(100, &[vendor]), Cause::UnknownMandatory(named), 2, 8);

    let hidden = Avp::mandatory(Value::Hidden { vendor: 0, attribute: 7, value: &[1, 2, 3] });
    let named = UnknownMandatory { vendor: 0, attribute: 7, hidden: true };
    refused(plain(), &sccrq(100, &[hidden]), Cause::UnknownMandatory(named), 2, 8);

    let mut bytes = sccrq(100, &[]);
    bytes.extend([0x80, 0x03, 0, 0]);
    bytes[3] += 4;
    refused(plain(), &bytes, Cause::Malformed(Error::new("AVP Length", Kind::BadLength)), 2, 2);
}

#[test]
fn a_revision_and_what_is_optional_are_no_obstacle() {
    let mut server = Server::new();
    let mut avps = sccrq_avps(100, &[]);
    avps[0] = Avp::mandatory(Value::ProtocolVersion(0x0101));
    avps.push(Avp::optional(Value::Unknown { vendor: 9, attribute: 4, value: &[] }));
    avps.push(Avp::mandatory(Value::TieBreaker([0xff; 8])));
    server.recv(&message(0, 0, 0, 0, MessageType::SCCRQ, &avps));
    assert_eq!(server.sent(), [said(100, 0, 0, 1, MessageType::SCCRP)]);
    // Neither Protocol Version nor Host Name nor Framing Capabilities.
    let bare = [Avp::mandatory(Value::AssignedTunnelId(TunnelId(101)))];
    server.recv(&message(0, 0, 0, 0, MessageType::SCCRQ, &bare));
    assert_eq!(server.sent(), [said(101, 0, 0, 1, MessageType::SCCRP)]);
}

#[test]
fn an_sccrq_without_a_number_cannot_even_be_refused() {
    let mut server = Server::new();
    let missing = Drop::Malformed(Error::new("Assigned Tunnel ID", Kind::Missing));
    assert_eq!(server.try_recv(&message(0, 0, 0, 0, MessageType::SCCRQ, &[])), Err(missing));
    assert!(server.lns.is_empty() && server.sent().is_empty() && server.events().is_empty());
}

#[test]
fn a_challenge_is_answered_when_there_is_a_secret() {
    let secret = Some(Secret::from("tunnel secret"));
    let mut server = Server::with(Settings { secret, ..Settings::default() });
    server.recv(&sccrq(100, &[Avp::mandatory(Value::Challenge(b"0123456789abcdef"))]));
    let sccrp = server.sent_bytes().pop().unwrap();
    let response = Message::parse(&sccrp).unwrap().avps.find(|value| match value {
        Value::ChallengeResponse(response) => Some(response),
        _ => None,
    });
    // MD5 of 02, "tunnel secret", "0123456789abcdef".
    assert_eq!(response, Some(hex_literal::hex!("5bcacd714af75c93a7e1d19c968dab5c")));
    assert!(!format!("{:?}", server.lns).contains("tunnel secret"));
}

#[test]
fn the_rfcs_order_is_insisted_on() {
    // SCCRP to a server, and a second SCCCN.
    for kind in [MessageType::SCCRP, MessageType::SCCCN] {
        let mut server = Server::new();
        let local = server.tunnel(4);
        server.recv(&message(local, 0, 2, 1, kind, &[]));
        assert_eq!(server.sent(), [said(100, 0, 1, 3, MessageType::STOP_CCN).result(7, 0)]);
        let cause = Cause::OutOfOrder(kind);
        assert_eq!(server.events(), [Event::TunnelDown { tunnel: TunnelId(local), cause }]);
    }
    // A call before the SCCCN.
    let mut server = Server::new();
    server.recv(&sccrq(100, &[]));
    let local = server.lns.tunnels().next().unwrap().0;
    server.recv(&icrq(local, 1, 1, 200));
    assert_eq!(server.sent()[1], said(100, 0, 1, 2, MessageType::STOP_CCN).result(7, 0));
}

#[test]
fn unknown_messages_matter_only_when_mandatory() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    let mut unknown = message(local, 0, 2, 1, MessageType(99), &[]);
    unknown[12] = 0; // no M bit
    server.recv(&unknown);
    assert_eq!(server.sent(), [said_zlb(100, 1, 3)]);
    server.recv(&message(local, 0, 3, 1, MessageType(99), &[]));
    assert_eq!(server.sent(), [said(100, 0, 1, 4, MessageType::STOP_CCN).result(2, 3)]);
}

#[test]
fn swapped_messages_are_put_in_order() {
    let mut server = Server::new();
    server.recv(&sccrq(100, &[Avp::mandatory(Value::ReceiveWindowSize(4))]));
    server.sent();
    server.events();
    let local = server.lns.tunnels().next().unwrap().0;
    // Apple's ICRQ overtakes its SCCCN.
    server.recv(&icrq(local, 2, 1, 200));
    assert_eq!(server.sent(), []);
    server.recv(&message(local, 0, 1, 1, MessageType::SCCCN, &[]));
    let sent = server.sent();
    assert_eq!(sent, [said(100, 200, 1, 3, MessageType::ICRP)]);
    assert!(matches!(server.events()[..], [Event::TunnelUp { .. }]));
    // What is too far ahead is not held.
    assert_eq!(server.try_recv(&icrq(local, 12, 1, 200)), Err(Drop::OutsideWindow));
    // What was there before is acknowledged again, nothing more.
    assert_eq!(server.try_recv(&icrq(local, 2, 1, 200)), Err(Drop::Repeated));
    assert_eq!(server.sent(), [said_zlb(100, 2, 3)]);
}

#[test]
fn messages_for_nobody_are_dropped() {
    let mut server = Server::new();
    // Apple's trigger, numbered or not, is for tunnel 0.
    server.recv(&message(0, 0, 0, 0, MessageType::HELLO, &[]));
    server.recv(&message(0, 0, 0, 0, MessageType::HELLO, &[]));
    for bytes in [
        zlb(0, 0, 0),
        message(0, 0, 1, 1, MessageType::SCCCN, &[]),
        stop_ccn(0, 1, 0),
        message(9, 0, 1, 1, MessageType::SCCCN, &[]),
    ] {
        assert_eq!(server.try_recv(&bytes), Err(Drop::UnknownTunnel));
    }
    assert!(server.lns.is_empty() && server.sent().is_empty() && server.events().is_empty());
}

#[test]
fn a_client_that_gives_up_early_names_its_own_tunnel() {
    let mut server = Server::new();
    server.recv(&sccrq(100, &[]));
    server.sent();
    server.events();
    server.recv(&stop_ccn(0, 1, 0));
    assert_eq!(server.sent(), [said_zlb(100, 1, 2)]);
    assert!(matches!(
        server.events()[..],
        [Event::TunnelFailed { cause: Cause::PeerStopped { result: 1, error: 0 }, .. }]
    ));
}

#[test]
fn a_goodbye_is_acknowledged_again_for_31_seconds() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    server.recv(&stop_ccn(local, 2, 1));
    assert_eq!(server.sent(), [said_zlb(100, 1, 3)]);
    server.events();
    server.secs(30);
    assert_eq!(server.try_recv(&stop_ccn(local, 2, 1)), Err(Drop::Repeated));
    assert_eq!(server.sent(), [said_zlb(100, 1, 3)]);
    assert!(!server.lns.is_empty());
    server.secs(1);
    assert!(server.lns.is_empty());
    assert_eq!(server.try_recv(&stop_ccn(local, 2, 1)), Err(Drop::UnknownTunnel));
    assert_eq!(server.events(), []);
}

#[test]
fn a_malformed_goodbye_is_a_goodbye() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    let mut bytes = message(local, 0, 2, 1, MessageType::STOP_CCN, &[]);
    bytes.extend([0x80, 0x07, 0, 0, 0, 1, 9]); // a Result Code of one byte
    bytes[3] += 7;
    server.recv(&bytes);
    assert_eq!(server.sent(), [said_zlb(100, 1, 3)]);
    let cause = Cause::PeerStopped { result: 0, error: 0 };
    assert_eq!(server.events(), [Event::TunnelDown { tunnel: TunnelId(local), cause }]);
}

#[test]
fn shutting_down_tells_everyone_once_and_ends() {
    let mut server = Server::new();
    let key = server.session();
    server.recv(&sccrq(300, &[]));
    server.sent();
    server.events();
    server.lns.close_all(server.now, Cause::Shutdown, &mut server.out);
    assert_eq!(
        server.sent(),
        [
            said(100, 0, 2, 4, MessageType::STOP_CCN).result(6, 0),
            said(300, 0, 1, 1, MessageType::STOP_CCN).result(6, 0),
        ]
    );
    let events = server.events();
    assert_eq!(events[0], Event::SessionDown { key, cause: Cause::Shutdown });
    assert_eq!(events[1], Event::TunnelDown { tunnel: key.tunnel, cause: Cause::Shutdown });
    assert!(matches!(events[2..], [Event::TunnelFailed { cause: Cause::Shutdown, .. }]));
    // Closing what is closed does nothing.
    server.lns.close_all(server.now, Cause::Administrative, &mut server.out);
    assert!(server.sent().is_empty() && server.events().is_empty());
    server.recv(&zlb(key.tunnel.0, 4, 3));
    assert!(server.lns.is_empty());
    assert_eq!(server.lns.poll_timeout(), None);
}

#[test]
fn goodbyes_may_cross() {
    let mut server = Server::new();
    let local = server.tunnel(4);
    server.lns.close_all(server.now, Cause::Administrative, &mut server.out);
    assert_eq!(server.sent(), [said(100, 0, 1, 2, MessageType::STOP_CCN).result(1, 0)]);
    server.recv(&stop_ccn(local, 2, 1));
    assert_eq!(server.sent(), [said_zlb(100, 2, 3)]);
    assert_eq!(server.events().len(), 1);
    server.secs(31);
    assert!(server.lns.is_empty() && server.sent().is_empty());
}

#[test]
fn an_unanswered_goodbye_is_repeated_and_then_forgotten() {
    let mut server = Server::new();
    server.tunnel(4);
    server.lns.close_all(server.now, Cause::Administrative, &mut server.out);
    server.secs(60);
    assert_eq!(server.sent().len(), 6);
    assert!(server.lns.is_empty());
}

/// Whatever it costs in elegance: a window of one means one, even for a goodbye.
#[test]
fn a_goodbye_waits_for_the_window() {
    let mut server = Server::new();
    let key = server.session();
    server.secs(60);
    assert_eq!(server.sent(), [said(100, 0, 2, 4, MessageType::HELLO)]);
    server.lns.close_all(server.now, Cause::Administrative, &mut server.out);
    assert_eq!(server.sent(), []);
    server.recv(&zlb(key.tunnel.0, 4, 3));
    assert_eq!(server.sent(), [said(100, 0, 3, 4, MessageType::STOP_CCN).result(1, 0)]);
    server.recv(&zlb(key.tunnel.0, 4, 4));
    assert!(server.lns.is_empty());
}
