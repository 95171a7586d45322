//! NATs that change their mind, clients that move, and packets that pretend to.

use crate::net::Packet;
use crate::net::nat::Nat;
use crate::traffic::OFFICE;
use crate::world::{ClientId, Direction, End, NatId, OFFICE_GATEWAY, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::packet::Drop;
use sekisho::wire::isakmp::ExchangeType;
use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

fn at_home(world: &mut World, profile: Profile) -> (ClientId, NatId) {
    let home = world.nat(Nat::home());
    let client = world.client(profile, "jiro", home);
    world.connect(client);
    (client, home)
}

/// Where the gateway sends what is for this user: it pings the user from the uplink and listens.
fn sent_to(world: &mut World, client: ClientId) -> SocketAddr {
    world.listen();
    let to = world[client].address().unwrap();
    let probe = sekisho::wire::inet::udp_packet((OFFICE_GATEWAY, 7), (to, 7), b"where are you");
    world.send_from_uplink(OFFICE, probe);
    world.run_for(Duration::from_millis(5));
    let heard = world.heard();
    let (_, packet) = heard.iter().find(|(d, p)| *d == Direction::FromGateway && p.esp().is_some()).unwrap();
    packet.to
}

/// The next ESP packet of a client does not arrive; it comes into the hands of the test.
fn hold_next_esp(world: &mut World) -> Rc<Cell<Option<Packet>>> {
    let held = Rc::new(Cell::new(None));
    let (hand, mut done) = (held.clone(), false);
    world.lose(move |direction, packet| {
        let hit = !done && direction == Direction::ToGateway && packet.esp().is_some();
        if hit {
            done = true;
            hand.set(Some(packet.clone()));
        }
        hit
    });
    held
}

#[test]
fn a_nat_that_gives_another_port_loses_nobody() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let (client, home) = at_home(&mut world, profile);
        let before = sent_to(&mut world, client);
        world.nat_mut(home).rebind();
        // The next packet of the client shows the new way, and everything follows it: data, and what IKE says.
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        let after = sent_to(&mut world, client);
        assert_ne!(before, after, "{name}");
        world.renew_esp(client);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world[client].rekeys(), 1, "{name}");
        world.renew_isakmp(client);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world[client].phase1s(), 2, "{name}");
        world.renew_esp(client);
        world.run_for(Duration::from_secs(5));
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert_eq!((world.gateway().population(), world.gateway().sessions()), ((1, 0), 1), "{name}");
        world.stop(client);
        assert_eq!(world.gateway().population(), (0, 0), "{name}");
    }
}

#[test]
fn a_nat_that_changes_its_address_loses_nobody() {
    let mut world = World::new();
    let (client, home) = at_home(&mut world, Profile::ios17());
    world.nat_mut(home).forget();
    world.nat_mut(home).outside = "203.0.113.200".parse().unwrap();
    assert!(world.ping(client, OFFICE_GATEWAY));
    assert_eq!(sent_to(&mut world, client).ip().to_string(), "203.0.113.200");
}

/// Restless: every ten seconds another port, for ten minutes, under traffic and renewals.
#[test]
fn a_restless_nat_costs_only_what_was_under_way() {
    for profile in
        [Profile::windows10(), Profile::ios17(), Profile::strongswan(), Profile::android(Android::Six)]
    {
        let name = profile.name;
        let mut world = World::new();
        let (client, home) = at_home(&mut world, profile.with_lifetimes(120, 60));
        let flows = [
            world.flow(client, End::Uplink(OFFICE), 20, 64),
            world.flow(End::Uplink(OFFICE), client, 20, 64),
        ];
        for _ in 0..60 {
            world.run_for(Duration::from_secs(10));
            world.nat_mut(home).rebind();
        }
        let [there, back] = flows.map(|flow| world.stop_flow(flow));
        assert_eq!((there.lost, there.refused), (0, 0), "{name}: {there:?}");
        // Sent to the old port while the new one was not known: two packets each time at most.
        assert!(back.lost <= 180 && back.refused == 0, "{name}: {back:?}");
        assert_eq!(world.gateway().sessions(), 1, "{name}");
    }
}

/// The mapping changes between any two messages of the client's connection.
#[test]
fn a_nat_may_change_its_mind_during_the_connection() {
    for profile in
        [Profile::windows10(), Profile::ios17(), Profile::strongswan(), Profile::android(Android::Seven)]
    {
        let name = profile.name;
        for after_ms in (5..500).step_by(10) {
            let mut world = World::new();
            let home = world.nat(Nat::home());
            let client = world.client(profile.clone(), "jiro", home);
            world.start(client);
            world.run_for(Duration::from_millis(after_ms));
            world.nat_mut(home).rebind();
            // Main Mode on another port is another attempt; from message 5 on nothing is lost.
            world.run_until(Duration::from_secs(100), |w| {
                w[client].address().is_some() || !w[client].device.is_active()
            });
            if world[client].address().is_none() {
                world.start(client);
                world.await_up(client);
            }
            assert!(world.ping(client, OFFICE_GATEWAY), "{name}, after {after_ms} ms");
            assert_eq!(world.gateway().sessions(), 1, "{name}, after {after_ms} ms");
        }
    }
}

#[test]
fn forged_and_replayed_packets_move_nobody() {
    let mut world = World::new();
    let (client, _) = at_home(&mut world, Profile::windows10());
    world.listen();
    for _ in 0..10 {
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
    let heard = world.heard();
    let packets: Vec<_> = heard
        .into_iter()
        .filter(|(d, p)| *d == Direction::ToGateway && p.esp().is_some())
        .map(|(_, p)| p)
        .collect();
    let home = sent_to(&mut world, client);
    let attacker: SocketAddr = "192.0.2.66:4500".parse().unwrap();
    // --> every packet again, from elsewhere
    for packet in &packets {
        world.inject(Packet { from: attacker, ..packet.clone() });
    }
    world.run_for(Duration::from_secs(1));
    assert!(world.gateway().workers[0].drops().of(Drop::Replayed) >= 10);
    assert_eq!(sent_to(&mut world, client), home);
    // --> the right SPI, a number far ahead, and nonsense behind
    for jump in [1_u32, 100, 10_000, 1 << 31, u32::MAX] {
        for packet in &packets {
            let mut forged = Packet { from: attacker, ..packet.clone() };
            let seq = u32::from_be_bytes(*forged.bytes[4..].first_chunk().unwrap()).wrapping_add(jump);
            forged.bytes[4..8].copy_from_slice(&seq.to_be_bytes());
            world.inject(forged);
        }
    }
    world.run_for(Duration::from_secs(1));
    assert!(world.gateway().workers[0].drops().of(Drop::BadIcv) >= 30);
    assert_eq!(sent_to(&mut world, client), home);
    assert!(world.ping(client, OFFICE_GATEWAY), "the window has not moved");
}

/// A packet that was held back is genuine, but not the newest: its payload counts, its source does not.
#[test]
fn a_delayed_packet_moves_nobody() {
    let mut world = World::new();
    let (client, _) = at_home(&mut world, Profile::windows10());
    let held = hold_next_esp(&mut world);
    assert!(!world.ping(client, OFFICE_GATEWAY));
    assert!(world.ping(client, OFFICE_GATEWAY));
    let home = sent_to(&mut world, client);
    let before = world.gateway().uplinks[OFFICE].inbox.packets;
    let held = held.take().unwrap();
    world.inject(Packet { from: "192.0.2.66:4500".parse().unwrap(), ..held });
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.gateway().uplinks[OFFICE].inbox.packets, before + 1);
    assert_eq!(sent_to(&mut world, client), home);
}

/// Somebody on the way who can delay packets may have the newest arrive from elsewhere first; the client's next one
/// brings the way back.
#[test]
fn the_way_comes_back_with_the_next_packet() {
    let mut world = World::new();
    let (client, _) = at_home(&mut world, Profile::windows10());
    let home = sent_to(&mut world, client);
    let held = hold_next_esp(&mut world);
    world.ping(client, OFFICE_GATEWAY);
    let held = held.take().unwrap();
    let attacker: SocketAddr = "192.0.2.66:4500".parse().unwrap();
    world.inject(Packet { from: attacker, ..held });
    world.run_for(Duration::from_millis(100));
    assert_eq!(sent_to(&mut world, client), attacker);
    assert!(world.ping(client, OFFICE_GATEWAY));
    assert_eq!(sent_to(&mut world, client), home);
}

/// After a renewal the old pair's packets, however high their numbers, steer nothing any more.
#[test]
fn the_old_pair_does_not_steer() {
    let mut world = World::new();
    let (client, home) = at_home(&mut world, Profile::ios17());
    let held = hold_next_esp(&mut world);
    world.ping(client, OFFICE_GATEWAY);
    world.renew_esp(client);
    world.run_for(Duration::from_secs(2));
    world.nat_mut(home).rebind();
    assert!(world.ping(client, OFFICE_GATEWAY));
    let new = sent_to(&mut world, client);
    let held = held.take().unwrap();
    world.inject(held);
    world.run_for(Duration::from_millis(100));
    assert_eq!(sent_to(&mut world, client), new);
}

/// Phase 1 messages from elsewhere, with the cookies of an established SA, change nothing.
#[test]
fn ike_from_elsewhere_changes_nothing() {
    let mut world = World::new();
    world.listen();
    let (client, _) = at_home(&mut world, Profile::windows10());
    let heard = world.heard();
    let home = sent_to(&mut world, client);
    for (direction, packet) in heard {
        if direction == Direction::ToGateway && packet.ike().is_some() {
            world.inject(Packet { from: "192.0.2.66:4500".parse().unwrap(), ..packet });
        }
    }
    world.run_for(Duration::from_secs(40));
    assert_eq!(sent_to(&mut world, client), home);
    assert!(world.ping(client, OFFICE_GATEWAY));
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((1, 0), 1));
}

/// Android's keepalives end with its ISAKMP SA; the mapping expires, and the next packet comes from another port.
#[test]
fn an_expired_mapping_is_replaced_by_the_next_packet() {
    let mut world = World::new();
    let carrier = world.nat(Nat::carrier().with_expiry(Duration::from_secs(60)));
    let phone = world.client(Profile::android(Android::Seven).with_lifetimes(30, 28800), "jiro", carrier);
    world.connect(phone);
    let before = sent_to(&mut world, phone);
    world.run_for(Duration::from_secs(170));
    assert_eq!(world.gateway().sessions(), 1);
    assert!(world.ping(phone, OFFICE_GATEWAY));
    assert_ne!(sent_to(&mut world, phone), before);
}

/// Without a NAT a client may get another address too: plain ESP from there moves its way.
#[test]
fn plain_esp_moves_like_udp() {
    let mut world = World::new();
    let client = world.client(Profile::windows10(), "jiro", None);
    world.connect(client);
    let held = hold_next_esp(&mut world);
    assert!(!world.ping(client, OFFICE_GATEWAY));
    let moved: SocketAddr = "192.0.2.77:0".parse().unwrap();
    world.inject(Packet { from: moved, ..held.take().unwrap() });
    world.run_for(Duration::from_millis(100));
    assert_eq!(sent_to(&mut world, client), moved);
    assert!(world.ping(client, OFFICE_GATEWAY));
}

/// The way moves in the middle of a renewal.
#[test]
fn a_nat_may_change_its_mind_during_a_renewal() {
    for exchange in [ExchangeType::QUICK_MODE, ExchangeType::IDENTITY_PROTECTION] {
        for after_ms in (0..120).step_by(10) {
            let mut world = World::new();
            let (client, home) = at_home(&mut world, Profile::ios17());
            let flows = [
                world.flow(client, End::Uplink(OFFICE), 20, 64),
                world.flow(End::Uplink(OFFICE), client, 20, 64),
            ];
            if exchange == ExchangeType::QUICK_MODE {
                world.renew_esp(client);
            } else {
                world.renew_isakmp(client);
            }
            world.run_for(Duration::from_millis(after_ms));
            world.nat_mut(home).rebind();
            world.run_for(Duration::from_secs(30));
            let [there, back] = flows.map(|flow| world.stop_flow(flow));
            assert_eq!(there.lost, 0, "{exchange} after {after_ms} ms");
            assert!(back.lost <= 5, "{exchange} after {after_ms} ms: {back:?}");
            // And the next renewal works, of whatever it builds on.
            world.renew_isakmp(client);
            world.run_for(Duration::from_secs(5));
            world.renew_esp(client);
            world.run_for(Duration::from_secs(5));
            assert!(world.ping(client, OFFICE_GATEWAY), "{exchange} after {after_ms} ms");
            assert_eq!(world.gateway().sessions(), 1, "{exchange} after {after_ms} ms");
        }
    }
}
