//! Time: repetitions, HELLO, sleep, death.

use super::*;

/// What the client hears, as seconds since `begun`.
fn hellos(server: &mut Server, begun: Instant, secs: u64) -> Vec<u64> {
    let mut at = Vec::new();
    for _ in 0..secs {
        server.secs(1);
        for said in server.sent() {
            assert_eq!(said.kind, Some(MessageType::HELLO));
            at.push((server.now - begun).as_secs());
        }
    }
    at
}

#[test]
fn an_unanswered_sccrp_is_repeated_and_given_up_in_silence() {
    let mut server = Server::new();
    server.recv(&sccrq(100, &[]));
    server.events();
    server.secs(120);
    let sent = server.sent();
    assert_eq!(sent.len(), 6);
    // No StopCCN: the client's number may belong to another tunnel by now.
    assert!(sent.iter().all(|one| *one == said(100, 0, 0, 1, MessageType::SCCRP)));
    assert!(matches!(server.events()[..], [Event::TunnelFailed { cause: Cause::NoAnswer, .. }]));
    assert!(server.lns.is_empty());
}

#[test]
fn a_client_that_stops_half_way_is_given_up() {
    let mut server = Server::new();
    server.recv(&sccrq(100, &[]));
    server.sent();
    server.events();
    let local = server.lns.tunnels().next().unwrap().0;
    server.recv(&zlb(local, 1, 1));
    server.secs(59);
    assert_eq!(server.events(), []);
    server.secs(1);
    assert!(matches!(server.events()[..], [Event::TunnelFailed { cause: Cause::SetupTimeout, .. }]));
    assert!(server.sent().is_empty() && server.lns.is_empty());
}

#[test]
fn a_tunnel_without_a_session_is_closed() {
    let mut server = Server::with(Settings { hello_idle: Duration::ZERO, ..Settings::default() });
    let local = server.tunnel(4);
    server.secs(59);
    // A call, and its end, begin the time anew.
    server.recv(&icrq(local, 2, 1, 200));
    let key = server.call(local, 3);
    server.secs(3600);
    assert!(server.events().is_empty() && server.sent().is_empty());
    server.lns.close_session(server.now, key, Cause::Administrative, &mut server.out);
    server.sent();
    server.events();
    server.recv(&zlb(local, 4, 3));
    server.secs(60);
    assert_eq!(server.sent(), [said(100, 0, 3, 4, MessageType::STOP_CCN).result(1, 0)]);
    assert_eq!(server.events(), [Event::TunnelDown { tunnel: TunnelId(local), cause: Cause::Unused }]);
}

#[test]
fn hello_is_answered_at_once() {
    let mut server = Server::new();
    let key = server.session();
    server.recv(&message(key.tunnel.0, 0, 4, 2, MessageType::HELLO, &[]));
    assert_eq!(server.sent(), [said_zlb(100, 2, 5)]);
}

#[test]
fn hello_is_sent_only_when_nothing_is_heard() {
    let mut server = Server::new();
    let key = server.session();
    // In use: never disturbed.
    for _ in 0..20 {
        server.secs(30);
        server.lns.heard(server.now);
        assert_eq!(server.sent(), []);
    }
    let begun = server.now;
    assert_eq!(hellos(&mut server, begun, 60), [60]);
    // Answered: quiet again for as long.
    server.recv(&zlb(key.tunnel.0, 4, 3));
    let begun = server.now;
    assert_eq!(hellos(&mut server, begun, 60), [60]);
}

#[test]
fn a_sleeping_phone_is_kept_for_dead_after() {
    let mut server = Server::new();
    let key = server.session();
    let begun = server.now;
    // The full cycle of repetitions, then now and then.
    let heard = hellos(&mut server, begun, 299);
    assert_eq!(heard, [60, 61, 63, 67, 75, 83, 91, 151, 211, 271]);
    assert_eq!(server.events(), []);
    // Four minutes and 59 seconds later it wakes: nothing has happened.
    let mut buf = PacketBuf::from_slice(&DataHeader::emit(key.tunnel, key.session));
    server.lns.heard(server.now);
    assert_eq!(server.lns.strip_data(&mut buf), Ok(key));
    server.secs(32);
    assert_eq!(server.events(), []);
    server.sent();
    server.recv(&zlb(key.tunnel.0, 4, 3));
    let begun = server.now;
    assert_eq!(hellos(&mut server, begun, 60), [60]);
}

#[test]
fn the_dead_are_buried_after_dead_after() {
    let mut server = Server::new();
    let key = server.session();
    server.secs(299);
    assert_eq!(server.events(), []);
    server.secs(1);
    assert_eq!(
        server.events(),
        [
            Event::SessionDown { key, cause: Cause::Dead },
            Event::TunnelDown { tunnel: key.tunnel, cause: Cause::Dead },
        ]
    );
    assert!(server.lns.is_empty());
}

/// Some clients mishandle acknowledgements: as long as their data flows, they live.
#[test]
fn unanswered_hellos_kill_nobody_whose_data_is_heard() {
    let mut server = Server::new();
    let key = server.session();
    server.secs(70);
    for _ in 0..600 {
        server.secs(10);
        let mut buf = PacketBuf::from_slice(&DataHeader::emit(key.tunnel, key.session));
        server.lns.heard(server.now);
        assert_eq!(server.lns.strip_data(&mut buf), Ok(key));
    }
    assert_eq!(server.events(), []);
    let hellos = server.sent().len();
    assert!((90..=115).contains(&hellos), "{hellos} in 100 minutes");
}

/// A client that came back keeps its new tunnel alive, not its old one.
#[test]
fn a_forgotten_tunnel_dies_beside_a_living_one() {
    let mut server = Server::new();
    let old = server.session();
    server.secs(10);
    let new = server.tunnel(4);
    server.recv(&icrq(new, 2, 1, 201));
    let new = server.call(new, 3);
    server.sent();
    for _ in 0..29 {
        server.secs(10);
        let mut buf = PacketBuf::from_slice(&DataHeader::emit(new.tunnel, new.session));
        server.lns.heard(server.now);
        assert_eq!(server.lns.strip_data(&mut buf), Ok(new));
    }
    assert_eq!(
        server.events(),
        [
            Event::SessionDown { key: old, cause: Cause::Dead },
            Event::TunnelDown { tunnel: old.tunnel, cause: Cause::Dead },
        ]
    );
    // The living one was not disturbed: these are the dead one's.
    assert_eq!(server.sent().len(), 10);
}

#[test]
fn dead_after_may_be_shorter_than_the_cycle() {
    let settings = Settings {
        hello_idle: Duration::from_secs(5),
        dead_after: Duration::from_secs(10),
        ..Settings::default()
    };
    let mut server = Server::with(settings);
    server.session();
    server.secs(12);
    assert_eq!(server.events().len(), 2);
}

#[test]
fn a_lost_icrp_is_repeated_and_the_window_holds() {
    let mut server = Server::new();
    let local = server.tunnel(1);
    server.recv(&icrq(local, 2, 1, 200));
    server.recv(&icrq(local, 3, 1, 201));
    // Only one of two may be under way; the second ICRQ is acknowledged alone.
    assert_eq!(server.sent(), [said(100, 200, 1, 3, MessageType::ICRP), said_zlb(100, 2, 4)]);
    server.secs(1);
    assert_eq!(server.sent(), [said(100, 200, 1, 4, MessageType::ICRP)]);
    server.recv(&zlb(local, 4, 2));
    assert_eq!(server.sent(), [said(100, 201, 2, 4, MessageType::ICRP)]);
}
