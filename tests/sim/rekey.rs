//! Keys are renewed under traffic, and not a byte is lost.

use crate::net::Packet;
use crate::net::line::Line;
use crate::net::nat::Nat;
use crate::traffic::OFFICE;
use crate::world::{ClientId, Direction, End, OFFICE_GATEWAY, Tally, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::wire::isakmp::ExchangeType;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

fn connected(world: &mut World, profile: Profile) -> ClientId {
    let home = world.nat(Nat::home());
    let client = world.client(profile, "jiro", home);
    world.connect(client);
    client
}

/// Traffic both ways for so long, with nothing lost.
fn assert_lossless(world: &mut World, client: ClientId, seconds: u64) {
    let flows =
        [world.flow(client, End::Uplink(OFFICE), 10, 64), world.flow(End::Uplink(OFFICE), client, 10, 64)];
    world.run_for(Duration::from_secs(seconds));
    for flow in flows {
        let tally = world.stop_flow(flow);
        assert_eq!(tally, Tally { sent: tally.sent, ..Tally::default() }, "{:?}", world[client].device);
        assert!(tally.sent >= 10 * seconds as u32);
    }
}

/// How many Quick Modes this side has begun.
pub fn quick_modes_of(heard: &[(Direction, Packet)], side: Direction) -> usize {
    let mut known = BTreeSet::new();
    let headers = heard.iter().filter_map(|(direction, packet)| Some((*direction, packet.ike_header()?)));
    let quick_modes = headers.filter(|(_, header)| header.exchange == ExchangeType::QUICK_MODE);
    // The first message of an exchange shows who began it.
    quick_modes.filter(|(direction, header)| known.insert(header.message_id.0) && *direction == side).count()
}

#[test]
fn every_kind_renews_its_esp_sas_by_time() {
    for profile in Profile::all() {
        let mut world = World::new();
        let name = profile.name;
        let client = connected(&mut world, profile.with_lifetimes(600, 30));
        assert_lossless(&mut world, client, 150);
        assert!(world[client].rekeys() >= 5, "{name}: {} renewals", world[client].rekeys());
        assert_eq!(world[client].phase1s(), 1, "{name}");
        assert_eq!(world.gateway().causes(), [], "{name}");
        // Old pairs go in time on both sides.
        assert!(world[client].device.sa_counts().1 <= 2, "{name}: {:?}", world[client].device.sa_counts());
    }
}

#[test]
fn every_kind_renews_its_isakmp_sa() {
    for profile in Profile::all() {
        let mut world = World::new();
        let name = profile.name;
        let client = connected(&mut world, profile.with_lifetimes(60, 40));
        assert_lossless(&mut world, client, 240);
        assert!(world[client].phase1s() >= 3, "{name}: {}", world[client].phase1s());
        assert!(world[client].rekeys() >= 5, "{name}: {}", world[client].rekeys());
        assert_eq!(
            (world.gateway().population(), world.gateway().sessions()),
            ((1, 0), 1),
            "{name}: one peer"
        );
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

#[test]
fn without_a_nat_it_is_the_same() {
    for profile in [Profile::windows10(), Profile::strongswan(), Profile::ios17()] {
        let mut world = World::new();
        let client = world.client(profile.with_lifetimes(60, 30), "jiro", None);
        world.connect(client);
        assert_lossless(&mut world, client, 240);
        assert_eq!((world.gateway().population(), world.gateway().sessions()), ((1, 0), 1));
    }
}

/// Windows renews every 250 MB; here every megabyte.
#[test]
fn windows_renews_by_volume() {
    let mut profile = Profile::windows10();
    Arc::make_mut(&mut profile.ike).esp_kilobytes = Some(1024);
    let mut world = World::new();
    let client = connected(&mut world, profile);
    let flows = [
        world.flow(client, End::Uplink(OFFICE), 100, 1200),
        world.flow(End::Uplink(OFFICE), client, 100, 1200),
    ];
    world.run_for(Duration::from_secs(60));
    for flow in flows {
        assert_eq!(world.stop_flow(flow).lost, 0);
    }
    // 60 s at 100 times 1.25 kB are 7.5 MB each way.
    let rekeys = world[client].rekeys();
    assert!((6..=9).contains(&rekeys), "{rekeys}");
}

/// The ISAKMP SA is gone and ESP lives; Phase 2 then begins a Main Mode on port 4500.
#[test]
fn esp_outlives_its_isakmp_sa() {
    let mut world = World::new();
    let client = connected(&mut world, Profile::android(Android::Seven).with_lifetimes(30, 120));
    world.run_for(Duration::from_secs(60));
    assert_eq!(world[client].device.sa_counts(), (0, 1));
    assert!(world.ping(client, OFFICE_GATEWAY));
    world.listen();
    assert_lossless(&mut world, client, 120);
    let heard = world.heard();
    let main_mode = heard.iter().filter(|(_, packet)| {
        packet.ike_header().is_some_and(|h| h.exchange == ExchangeType::IDENTITY_PROTECTION)
    });
    let ports: Vec<_> =
        main_mode.filter(|(d, _)| *d == Direction::ToGateway).map(|(_, p)| p.to.port()).collect();
    assert_eq!(ports, [4500; 3]);
    assert!(world[client].rekeys() >= 1);
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((1, 0), 1));
}

/// Each message of a renewal is lost once; everything is repeated, nothing of the traffic is lost.
#[test]
fn a_lost_message_of_a_renewal_costs_no_byte() {
    for exchange in [ExchangeType::QUICK_MODE, ExchangeType::IDENTITY_PROTECTION] {
        let messages = if exchange == ExchangeType::QUICK_MODE { 3 } else { 6 };
        for victim in 0..messages {
            let mut world = World::new();
            let client = connected(&mut world, Profile::ios17());
            let mut count = 0;
            world.lose(move |_, packet| {
                let hit = packet.ike_header().is_some_and(|header| header.exchange == exchange);
                count += u32::from(hit);
                hit && count == victim + 1
            });
            if exchange == ExchangeType::QUICK_MODE {
                world.renew_esp(client);
            } else {
                world.renew_isakmp(client);
            }
            assert_lossless(&mut world, client, 20);
            let done = world[client].rekeys() + world[client].phase1s();
            assert_eq!(done, 2, "{exchange}, message {}", victim + 1);
            world.lose_nothing();
            world.renew_esp(client);
            assert_lossless(&mut world, client, 5);
        }
    }
}

/// Three of ten IKE messages are lost, each way, through renewals of both phases; ESP loses nothing.
#[test]
fn renewals_survive_a_line_that_loses_much_of_ike() {
    for profile in Profile::all() {
        let mut world = World::new();
        let name = profile.name;
        let client = connected(&mut world, profile.with_lifetimes(400, 300));
        let mut entropy = world.entropy.fork();
        world.lose(move |_, packet| packet.ike().is_some() && entropy.u32() % 10 < 3);
        let flows =
            [world.flow(client, End::Uplink(OFFICE), 5, 64), world.flow(End::Uplink(OFFICE), client, 5, 64)];
        world.run_for(Duration::from_secs(1300));
        let tallies = flows.map(|flow| world.stop_flow(flow));
        assert!(world[client].rekeys() >= 4, "{name}: {} renewals", world[client].rekeys());
        for tally in tallies {
            assert_eq!(
                (tally.lost, tally.refused),
                (0, 0),
                "{name}: {tally:?} of {:?}",
                world[client].events
            );
        }
    }
}

/// Latency, loss, reordering and duplication at once: what is lost is what the line loses.
#[test]
fn renewals_on_a_bad_line_lose_no_more_than_the_line() {
    for profile in Profile::all() {
        let mut world = World::new();
        let name = profile.name;
        let client = connected(&mut world, profile.with_lifetimes(120, 30));
        world[client].line = Line::BAD;
        let flows = [
            world.flow(client, End::Uplink(OFFICE), 20, 64),
            world.flow(End::Uplink(OFFICE), client, 20, 64),
        ];
        world.run_for(Duration::from_secs(240));
        for flow in flows {
            let tally = world.stop_flow(flow);
            assert!(tally.lost * 1000 < tally.sent * 45, "{name}: {tally:?}");
            assert_eq!((tally.doubled, tally.refused), (0, 0), "{name}: replay protection");
        }
        assert!(world[client].rekeys() >= 7, "{name}: {}", world[client].rekeys());
        assert_eq!(world.gateway().sessions(), 1, "{name}");
    }
}

/// The client does not renew in time: we do, at the very end, and nothing is lost.
#[test]
fn the_gateway_renews_what_the_client_forgets() {
    for mut profile in [Profile::strongswan(), Profile::ios17(), Profile::windows10()] {
        profile.renewal.esp_percent = 200;
        let name = profile.name;
        let mut world = World::new();
        let client = connected(&mut world, profile.with_lifetimes(3600, 60));
        world.listen();
        assert_lossless(&mut world, client, 300);
        assert!(world[client].rekeys() >= 4, "{name}: {}", world[client].rekeys());
        let ours = quick_modes_of(&world.heard(), Direction::FromGateway);
        assert!(ours >= 4, "{name}: {ours} of ours");
    }
}

/// Both begin a Quick Mode at the same moment; their messages cross.
#[test]
fn both_sides_renew_at_once() {
    let mut profile = Profile::strongswan();
    // 60 s are 58 s to us: 2 s before the end.
    profile.renewal.esp_percent = 97;
    let mut world = World::new();
    let client = connected(&mut world, profile.with_lifetimes(3600, 60));
    world.listen();
    assert_lossless(&mut world, client, 600);
    assert!(world[client].rekeys() >= 9);
    let heard = world.heard();
    let begun = [Direction::FromGateway, Direction::ToGateway].map(|side| quick_modes_of(&heard, side));
    assert!(begun[0] >= 5 && begun[1] >= 5, "{begun:?}");
    assert!(world[client].device.sa_counts().1 <= 4, "{:?}", world[client].device.sa_counts());
}

/// Renewals follow one another faster than old pairs end: no more are kept than we allow, and traffic goes on.
#[test]
fn a_client_that_renews_like_mad_is_served() {
    let mut world = World::new();
    let client = connected(&mut world, Profile::strongswan());
    let flows =
        [world.flow(client, End::Uplink(OFFICE), 50, 400), world.flow(End::Uplink(OFFICE), client, 50, 400)];
    for _ in 0..50 {
        world.renew_esp(client);
        world.run_for(Duration::from_millis(300));
    }
    for flow in flows {
        assert_eq!(world.stop_flow(flow).lost, 0);
    }
    assert!(world.ping(client, OFFICE_GATEWAY));
}
