use super::*;
use crate::client::ike::profile::{self, Android};

fn connected(config: client::Config) -> World {
    let mut world = World::new(config);
    world.connect();
    world.quick_mode();
    world
}

#[test]
fn the_client_renews_its_pair_under_the_same_sa() {
    let mut world = connected(profile::windows(key()));
    for _ in 0..5 {
        world.quick_mode();
    }
    world.assert_pairs_match();
    assert_eq!(world.sas.len(), 6);
    assert_eq!(world.ike.isakmp_sas().count(), 1);
}

#[test]
fn an_isakmp_sa_ends_and_its_pairs_live_on() {
    let mut world = connected(profile::apple(key(), 50001));
    let cookies = world.sa().cookies;
    let end = world.now + minutes(60) + world.settings.lifetime_grace;
    assert_eq!(world.ike.poll_timeout(), Some(end));
    world.now = end;
    world.server(|ike, now, ctx, out| ike.handle_timeout(now, ctx, out));
    assert_eq!(world.count(|e| matches!(e, Event::IsakmpExpired { cookies: c } if *c == cookies)), 1);
    assert_eq!(world.count(|e| matches!(e, Event::EspDeleted { .. })), 0);
    assert_eq!(world.replies.len(), 4, "no Delete");
    assert!(world.ike.inbound_spi_of(world.sas[0].outbound_spi).is_some());

    // The client begins anew, and its next pair stands beside the old one.
    world.connect();
    world.quick_mode();
    world.assert_pairs_match();
}

#[test]
fn leftover_isakmp_sas_are_bounded() {
    let mut world = connected(profile::android(key(), Android::Seven));
    for _ in 0..6 {
        world.connect();
    }
    assert_eq!(world.ike.isakmp_sas().count(), 4);
    assert_eq!(world.count(|e| matches!(e, Event::IsakmpExpired { .. })), 3);
}

#[test]
fn we_renew_a_pair_at_its_hard_limit() {
    let mut world = connected(profile::windows(key()));
    let spi = world.sas[0].inbound_spi;
    world.server(|ike, now, ctx, out| {
        ike.start_quick_mode(now, ctx, spi, out).unwrap();
        assert_eq!(ike.start_quick_mode(now, ctx, spi, out), Err(Drop::PeerLimit), "one at a time");
    });
    world.assert_pairs_match();
    let new = &world.sas[1];
    assert!(new.confirmed);
    assert_eq!(new.replaces, Some(spi));
    assert_eq!(new.suite, world.sas[0].suite);
    assert_eq!(new.life_kilobytes, Some(250_000));
    assert_eq!(new.selectors, world.sas[0].selectors);
    assert_eq!(world.drops, []);
}

#[test]
fn our_rekey_is_repeated_and_given_up() {
    let mut world = connected(profile::windows(key()));
    let spi = world.sas[0].inbound_spi;
    let mut sent = Vec::new();
    let mut out = Output::default();
    let mut ctx = Context {
        settings: &world.settings,
        entropy: &mut world.entropy,
        worker: WorkerId(7),
        unix_now: 0,
        spi_taken: &|_| false,
    };
    world.ike.start_quick_mode(world.now, &mut ctx, spi, &mut out).unwrap();
    for _ in 0..4 {
        sent.append(&mut out.packets);
        let due = world.ike.poll_timeout().unwrap();
        world.ike.handle_timeout(due, &mut ctx, &mut out);
    }
    assert_eq!(sent.len(), 4);
    assert!(sent.iter().all(|packet| *packet.buf == *sent[0].buf));
    assert!(out.packets.is_empty());
    assert!(matches!(out.events[..], [Event::RekeyFailed { inbound_spi }] if inbound_spi == spi));
}

#[test]
fn a_client_that_refuses_our_rekey_keeps_its_pair() {
    let config = client::Config { accepts_server_rekey: false, ..profile::windows(key()) };
    let mut world = connected(config);
    let spi = world.sas[0].inbound_spi;
    world.server(|ike, now, ctx, out| ike.start_quick_mode(now, ctx, spi, out).unwrap());
    assert_eq!(world.count(|e| matches!(e, Event::RekeyFailed { inbound_spi } if *inbound_spi == spi)), 1);
    assert_eq!(world.client.pairs().len(), 1);
    world.quick_mode();
    world.assert_pairs_match();
}

#[test]
fn both_renew_at_once() {
    let mut world = connected(profile::windows(key()));
    let spi = world.sas[0].inbound_spi;
    let mut theirs = client::Output::default();
    world.client.start_quick_mode(world.now, &mut theirs);
    world.server(|ike, now, ctx, out| ike.start_quick_mode(now, ctx, spi, out).unwrap());
    world.run(theirs);
    world.assert_pairs_match();
    assert_eq!(world.sas.len(), 3);
}

#[test]
fn dpd_asks_repeats_and_gives_up_or_hears() {
    let mut world = connected(profile::windows(key()));
    world.server(|ike, now, ctx, out| {
        assert!(!ike.start_dpd(now, ctx, out), "Windows does not speak DPD");
    });

    let mut world = connected(profile::android(key(), Android::Seven));
    let alive = |world: &World| world.count(|e| matches!(e, Event::Alive { .. }));
    let before = alive(&world);
    world.server(|ike, now, ctx, out| {
        assert!(ike.start_dpd(now, ctx, out));
        assert!(!ike.start_dpd(now, ctx, out), "one question at a time");
    });
    assert_eq!(alive(&world), before + 1);

    let mut out = Output::default();
    let mut ctx = Context {
        settings: &world.settings,
        entropy: &mut world.entropy,
        worker: WorkerId(7),
        unix_now: 0,
        spi_taken: &|_| false,
    };
    assert!(world.ike.start_dpd(world.now, &mut ctx, &mut out));
    for _ in 0..5 {
        let due = world.ike.poll_timeout().unwrap();
        world.ike.handle_timeout(due, &mut ctx, &mut out);
    }
    assert_eq!(out.packets.len(), 5);
    assert!(matches!(out.events[..], [Event::DpdFailed]));
    assert!(world.ike.start_dpd(world.now, &mut ctx, &mut out));
    world.ike.heard();
    assert!(world.ike.poll_timeout().unwrap() > world.now + minutes(1), "ESP answered the question");
}

#[test]
fn questions_of_the_client_are_answered() {
    let mut world = connected(profile::strongswan(key()));
    for seq in 1..4 {
        let mut out = client::Output::default();
        world.client.send_dpd(seq, &mut out);
        world.run(out);
    }
    let alive = world.client_events.iter().filter(|e| matches!(e, client::Event::Alive)).count();
    assert_eq!(alive, 3);
}

#[test]
fn packets_of_ours_follow_the_peer() {
    let mut world = connected(profile::android(key(), Android::Seven));
    let moved = Path { remote: "198.51.100.78:61000".parse().unwrap(), ..world.sa().path };
    world.ike.moved(moved);
    let mut out = Output::default();
    let mut ctx = Context {
        settings: &world.settings,
        entropy: &mut world.entropy,
        worker: WorkerId(7),
        unix_now: 0,
        spi_taken: &|_| false,
    };
    world.ike.start_dpd(world.now, &mut ctx, &mut out);
    assert_eq!(out.packets[0].path, moved);
    // And an authenticated message moves it too.
    world.client_nat = Some((NAT, 77));
    let mut out = client::Output::default();
    world.client.send_dpd(1, &mut out);
    world.run(out);
    assert_eq!(world.sa().path.remote.port(), 4577);
}
