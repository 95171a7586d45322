//! Access lists and the policies of hubs, groups and users, shown to bite, and to follow a reload without a gap.

use crate::net::nat::Nat;
use crate::world::{ClientId, OFFICE_GATEWAY, Office, World};
use sekisho::client::Profile;
use sekisho::control::Command;
use sekisho::packet::Drop;
use sekisho::story::Cause;
use sekisho::wire::inet::udp_packet;
use std::net::Ipv4Addr;
use std::time::Duration;

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

/// How many of so many datagrams of 1000 bytes arrive, one each few milliseconds.
fn send(world: &mut World, from: ClientId, to: ClientId, port: u16, count: usize, gap: u64) -> usize {
    let [source, destination] = [from, to].map(|client| world[client].address().unwrap());
    for _ in 0..count {
        world.send_ip(from, udp_packet((source, 9), (destination, port), &[0; 972]));
        world.run_for(Duration::from_millis(gap));
    }
    world.run_for(Duration::from_secs(1));
    std::mem::take(&mut world[to].inbox.datagrams).len()
}

fn dropped(world: &World, drop: Drop) -> u64 {
    world.gateway().workers.iter().map(|worker| worker.drops().of(drop)).sum()
}

#[test]
fn access_lists_bite_and_follow_a_reload() {
    let rules = "access_list: [{ action: pass, user: jiro, to_user: yas, protocol: udp, to_port: 53 }, \
        { action: discard, group: staff, to: 10.60.0.0/24, protocol: udp }]";
    let office = |rules: &str| {
        let office = Office::default().office("groups: { staff: {} }");
        let office = if rules.is_empty() { office } else { office.office(rules) };
        office.user("jiro", "group: staff").user("yas", "").user("mika", "group: staff")
    };
    let mut world = World::with(office(rules));
    let [jiro, yas, mika] =
        ["jiro", "yas", "mika"].map(|name| at_home(&mut world, Profile::windows10(), name));
    for client in [jiro, yas, mika] {
        world.connect(client);
    }
    assert!(world.ping(jiro, OFFICE_GATEWAY), "ICMP is not UDP");
    assert_eq!(send(&mut world, jiro, yas, 53, 5, 1), 5);
    assert_eq!(send(&mut world, jiro, yas, 54, 5, 1), 0);
    assert_eq!(send(&mut world, mika, yas, 53, 5, 1), 0);
    assert_eq!(send(&mut world, yas, jiro, 54, 5, 1), 5);
    assert_eq!(dropped(&world, Drop::AccessList), 10);
    let rows = world.control(Command::AclList { hub: "office".into() }).unwrap();
    let counts: Vec<_> = rows.iter().map(|row| row["frames"].as_u64().unwrap()).collect();
    assert_eq!(counts, [5, 10], "{rows:?}");
    assert_eq!(rows[0]["text"], "pass user jiro to_user yas to_port 53 protocol udp");
    // Another list, about somebody who was in no rule before; one rule stays with its count.
    world.reload(&office(
        "access_list: [{ action: discard, user: yas, protocol: udp }, \
         { action: pass, user: jiro, to_user: yas, protocol: udp, to_port: 53 }]",
    ));
    assert_eq!(send(&mut world, yas, jiro, 54, 5, 1), 0);
    assert_eq!(send(&mut world, mika, yas, 53, 5, 1), 5);
    assert_eq!(send(&mut world, jiro, yas, 53, 5, 1), 5);
    let rows = world.control(Command::AclList { hub: "office".into() }).unwrap();
    let counts: Vec<_> = rows.iter().map(|row| row["frames"].as_u64().unwrap()).collect();
    assert_eq!(counts, [5, 10], "{rows:?}");
    world.reload(&office(""));
    assert_eq!(send(&mut world, yas, jiro, 54, 5, 1), 5);
    assert_eq!(world.gateway().sessions(), 3);
}

#[test]
fn rates_and_isolation_follow_a_reload_for_sessions_that_are_up() {
    let office = |settings: &str| Office::default().user("jiro", settings).user("yas", "");
    let mut world = World::with(office(""));
    let [jiro, yas] = ["jiro", "yas"].map(|name| at_home(&mut world, Profile::windows10(), name));
    world.connect(jiro);
    let address = world.connect(yas).address;
    assert!(world.ping(jiro, address));
    assert_eq!(send(&mut world, jiro, yas, 9, 1000, 2), 1000);
    world.reload(&office("rate_up: 1mbit"));
    // 2 seconds at 125,000 bytes, and a burst.
    let came = send(&mut world, jiro, yas, 9, 1000, 2);
    assert!((260..=290).contains(&came), "{came}");
    assert_eq!(send(&mut world, yas, jiro, 9, 1000, 2), 1000, "the other direction is free");
    world.reload(&office("rate_down: 1mbit"));
    let came = send(&mut world, yas, jiro, 9, 1000, 2);
    assert!((260..=290).contains(&came), "{came}");
    world.reload(&office("isolated: true"));
    assert_eq!(send(&mut world, jiro, yas, 9, 5, 2), 0);
    assert_eq!(send(&mut world, yas, jiro, 9, 5, 2), 0);
    world.reload(&office(""));
    assert_eq!(send(&mut world, jiro, yas, 9, 100, 2), 100);
    assert_eq!(world.gateway().sessions(), 2, "nobody had to connect again");
    assert!(world.gateway().causes().is_empty());
}

#[test]
fn multicast_is_for_those_who_may() {
    let office = |settings: &str| Office::default().user("jiro", settings).user("yas", "");
    let mut world = World::with(office("multicast: false"));
    let [jiro, yas] = ["jiro", "yas"].map(|name| at_home(&mut world, Profile::windows10(), name));
    let source = world.connect(jiro).address;
    world.connect(yas);
    let mdns = Ipv4Addr::new(224, 0, 0, 251);
    for (settings, expected) in [(None, 0), (Some(""), 1), (Some("multicast: false"), 0)] {
        if let Some(settings) = settings {
            world.reload(&office(settings));
        }
        world.send_ip(jiro, udp_packet((source, 5353), (mdns, 5353), b"who is there?"));
        world.run_for(Duration::from_secs(1));
        let heard = std::mem::take(&mut world[yas].inbox.datagrams).len();
        assert_eq!(heard, expected, "{settings:?}");
        // A broadcast is something else.
        world.send_ip(jiro, udp_packet((source, 137), (Ipv4Addr::BROADCAST, 137), b"who is there?"));
        world.run_for(Duration::from_secs(1));
        assert_eq!(std::mem::take(&mut world[yas].inbox.datagrams).len(), 1, "{settings:?}");
    }
}

#[test]
fn a_volume_ends_sessions_until_the_next_month() {
    // Worlds begin on 2026-09-21.
    let office = Office::default().user("jiro", "volume: 1MB").user("yas", "");
    let mut world = World::with(office.clone());
    let [jiro, other, yas] = [("jiro", "one"), ("jiro", "two"), ("yas", "three")]
        .map(|(name, host)| at_home(&mut world, Profile::windows10().with_host_name(host), name));
    for client in [jiro, other, yas] {
        world.connect(client);
    }
    // Both devices count, and both directions: 600 kB here, 500 kB there.
    send(&mut world, jiro, yas, 9, 600, 1);
    assert_eq!(world.gateway().sessions(), 3);
    send(&mut world, yas, other, 9, 500, 1);
    // Each session is looked at every ten seconds, and the second one sees what the first has counted.
    world.run_for(Duration::from_secs(21));
    assert_eq!(world.gateway().causes(), [Cause::VolumeUsed, Cause::VolumeUsed]);
    assert_eq!(world.gateway().sessions(), 1);
    world.fail_to_connect(jiro);
    assert_eq!(world.gateway().last_story().cause, Cause::VolumeUsed);
    // A restart forgets nothing of it.
    let saved = world.gateway().gatehouse.save_volumes();
    world.gateway_mut().gatehouse.load_volumes(saved);
    world.fail_to_connect(jiro);
    // October.
    world.run_for(Duration::from_secs(10 * 86_400));
    world.connect(jiro);
    assert!(world.ping(jiro, OFFICE_GATEWAY));
}
