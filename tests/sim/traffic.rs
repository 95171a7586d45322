//! Traffic between clients, to the uplink and back, and not where it does not belong.

use crate::net::nat::Nat;
use crate::world::{BEYOND, End, GUESTS_GATEWAY, OFFICE_GATEWAY, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use std::time::Duration;

/// Number of hub OFFICE; hubs are in the order of their names.
pub const OFFICE: usize = 1;
pub const GUESTS: usize = 0;

#[test]
fn clients_of_a_hub_reach_each_other_and_the_uplink() {
    let mut world = World::new();
    let (here, there) = (world.nat(Nat::home()), world.nat(Nat::carrier()));
    let mac = world.client(Profile::macos(), "jiro", here);
    let pc = world.client(Profile::windows11(), "yas", here);
    let phone = world.client(Profile::android(Android::Six), "mika", there);
    let linux = world.client(Profile::strongswan(), "ken", None);
    let all = [mac, pc, phone, linux];
    for client in all {
        world.connect(client);
    }
    for from in all {
        for to in all {
            let address = world[to].address().unwrap();
            assert!(from == to || world.ping(from, address), "{from:?} to {to:?}");
        }
        assert!(world.ping(from, OFFICE_GATEWAY));
        assert!(world.ping(from, BEYOND));
    }
}

#[test]
fn steady_traffic_both_ways_loses_nothing() {
    let mut world = World::new();
    let (here, there) = (world.nat(Nat::home()), world.nat(Nat::home()));
    let a = world.client(Profile::ios17(), "jiro", here);
    let b = world.client(Profile::windows10(), "yas", there);
    world.connect(a);
    world.connect(b);
    let flows = [
        world.flow(a, b, 200, 1000),
        world.flow(b, a, 100, 300),
        world.flow(a, End::Uplink(OFFICE), 100, 1300),
        world.flow(End::Uplink(OFFICE), b, 100, 1300),
    ];
    world.run_for(Duration::from_secs(20));
    for flow in flows {
        let tally = world.stop_flow(flow);
        assert!(tally.sent >= 2000);
        assert_eq!((tally.lost, tally.doubled, tally.refused), (0, 0, 0));
    }
}

#[test]
fn hubs_are_isolated() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let member = world.client(Profile::ios17(), "jiro", home);
    let visitor = world.client(Profile::windows10(), "visitor@GUESTS", home);
    let both = world.client(Profile::macos(), "GUESTS\\jiro", home);
    let params = world.connect(member);
    assert_eq!(params.gateway, OFFICE_GATEWAY);
    assert_eq!(world.connect(visitor).gateway, GUESTS_GATEWAY);
    assert_eq!(world.connect(both).gateway, GUESTS_GATEWAY);
    let (member_at, visitor_at, both_at) =
        (params.address, world[visitor].address().unwrap(), world[both].address().unwrap());
    assert!(world.ping(visitor, both_at) && world.ping(both, visitor_at));
    // Their packets leave through their own uplink, whatever address they go to.
    let seen = |world: &World, hub: usize| world.gateway().uplinks[hub].inbox.packets;
    let before = seen(&world, OFFICE);
    world.ping(visitor, member_at);
    assert_eq!(world[member].inbox.packets, 0);
    assert_eq!(seen(&world, OFFICE), before);
    let before = seen(&world, GUESTS);
    world.ping(member, visitor_at);
    assert_eq!(seen(&world, GUESTS), before);
}

#[test]
fn a_client_cannot_send_from_another_address() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let (a, b) = (world.client(Profile::ios17(), "jiro", home), world.client(Profile::ios17(), "yas", home));
    world.connect(a);
    world.connect(b);
    let (mine, theirs) = (world[a].address().unwrap(), world[b].address().unwrap());
    for forged in [theirs, OFFICE_GATEWAY, BEYOND, "192.168.1.2".parse().unwrap()] {
        let packet = sekisho::wire::inet::udp_packet((forged, 9), (theirs, 9), b"not me");
        world.send_ip(a, packet);
    }
    let packet = sekisho::wire::inet::udp_packet((mine, 9), (theirs, 9), b"me");
    world.send_ip(a, packet);
    world.run_for(Duration::from_secs(1));
    let got: Vec<_> = world[b].inbox.datagrams.iter().map(|d| d.payload.clone()).collect();
    assert_eq!(got, [b"me".to_vec()]);
}

/// A packet as long as the link allows passes both ways, and the largest of its ESP packets fits an Ethernet.
#[test]
fn the_longest_packets_pass() {
    for profile in Profile::all() {
        let name = profile.name;
        for nat in [Some(Nat::home()), None] {
            let mut world = World::new();
            let nat = nat.map(|nat| world.nat(nat));
            let client = world.client(profile.clone(), "jiro", nat);
            let params = world.connect(client);
            assert!(world.ping_with(client, OFFICE_GATEWAY, usize::from(params.mru) - 28), "{name}");
        }
    }
}
