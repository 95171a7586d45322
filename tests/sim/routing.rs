//! Hubs that a router joins.

use crate::net::nat::Nat;
use crate::world::{BEYOND, ClientId, OFFICE_GATEWAY, Office, World};
use sekisho::client::Profile;
use sekisho::control::Command;
use std::net::Ipv4Addr;
use std::time::Duration;

const ROUTER: &str = "routers: { CORE: { hubs: { OFFICE: 10.60.0.254, GUESTS: 10.61.0.254 } } }";
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 254);

fn pair(world: &mut World) -> (ClientId, ClientId) {
    let home = world.nat(Nat::home());
    let member = world.client(Profile::windows11(), "jiro", home);
    let visitor = world.client(Profile::macos(), "visitor@GUESTS", home);
    world.connect(member);
    world.connect(visitor);
    (member, visitor)
}

/// Whether a ping gets through, and not just an answer of the world beyond the uplink.
fn reaches(world: &mut World, from: ClientId, to: ClientId) -> bool {
    let (address, before) = (world[to].address().unwrap(), world[to].inbox.packets);
    let answered = world.ping(from, address);
    answered && world[to].inbox.packets > before
}

#[test]
fn clients_of_two_hubs_reach_each_other_through_the_router() {
    let mut world = World::with(Office::default().top(ROUTER));
    let (member, visitor) = pair(&mut world);
    assert!(reaches(&mut world, member, visitor) && reaches(&mut world, visitor, member));
    assert!(world.ping(member, ADDRESS) && world.ping(member, OFFICE_GATEWAY) && world.ping(member, BEYOND));
    let flow = world.flow(member, visitor, 100, 1000);
    world.run_for(Duration::from_secs(10));
    let tally = world.stop_flow(flow);
    assert_eq!((tally.lost, tally.doubled, tally.refused), (0, 0, 0));
    let rows = world.control(Command::RouterList {}).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[1]["hub"], &rows[1]["address"]), (&"OFFICE".into(), &"10.60.0.254".into()));
    assert!(rows.iter().all(|row| row["port"].is_string()), "{rows:?}");
}

#[test]
fn across_workers_too() {
    let mut world = World::with(Office::default().top(ROUTER).top("workers: 4"));
    let pairs: Vec<_> = (0..3)
        .map(|n| {
            let (here, there) = (world.nat(Nat::home()), world.nat(Nat::carrier()));
            let member = world.client(Profile::ios17(), &format!("u{n}"), here);
            let visitor = world.client(Profile::strongswan(), "visitor@GUESTS", there);
            world.connect(member);
            world.connect(visitor);
            (member, visitor)
        })
        .collect();
    for (member, visitor) in pairs {
        assert!(reaches(&mut world, member, visitor));
    }
}

#[test]
fn clients_that_are_kept_apart_do_not_meet_by_way_of_the_router() {
    let mut world = World::with(Office::default().top(ROUTER).office("isolated: true"));
    let (member, visitor) = pair(&mut world);
    let other = world.client(Profile::ios17(), "yas", None);
    world.connect(other);
    assert!(!reaches(&mut world, member, other));
    assert!(reaches(&mut world, member, visitor), "the router is no client");
}

#[test]
fn an_access_list_judges_what_a_router_brings() {
    let list = "access_list: [{ action: discard, from: 10.60.0.0/24, to_user: visitor }]";
    let mut world = World::with(Office::default().top(ROUTER).guests(list));
    let (member, visitor) = pair(&mut world);
    assert!(!reaches(&mut world, member, visitor));
}

#[test]
fn the_routers_address_is_nobody_elses() {
    let office = Office::default().only(&["network: 10.60.0.0/29", "dhcp: { dns: [10.60.0.1] }"]);
    let router = "routers: { CORE: { hubs: { OFFICE: 10.60.0.3, GUESTS: 10.61.0.254 } } }";
    let mut world = World::with(office.top(router));
    let mut addresses = Vec::new();
    for n in 0..4 {
        let client = world.client(Profile::windows10(), &format!("u{n}"), None);
        addresses.push(world.connect(client).address.octets()[3]);
    }
    addresses.sort_unstable();
    assert_eq!(addresses, [2, 4, 5, 6]);
}

#[test]
fn a_reload_joins_and_parts_hubs_without_ending_sessions() {
    let apart = Office::default();
    let mut world = World::with(apart.clone().top(ROUTER));
    let (member, visitor) = pair(&mut world);
    assert!(reaches(&mut world, member, visitor));
    world.reload(&apart);
    assert!(!reaches(&mut world, member, visitor));
    world.reload(&apart.top(ROUTER));
    assert!(reaches(&mut world, member, visitor));
    assert_eq!(world.gateway().sessions(), 2);
}
