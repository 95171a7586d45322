//! How many sessions a user may have, who keeps which address, which key opens which door.

use crate::net::nat::Nat;
use crate::world::{BEGIN, ClientId, OFFICE_GATEWAY, Office, PSK, Reason, World, raw_path};
use sekisho::client::Profile;
use sekisho::client::ike::Failure;
use sekisho::packet::Drop;
use sekisho::ppp;
use sekisho::story::Cause;
use std::time::Duration;

fn at_home(world: &mut World, profile: Profile, user: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, user, home)
}

fn assert_number(reason: Reason, expected: u32) {
    assert!(
        matches!(reason, Reason::Ppp(ppp::Cause::RefusedByServer { error: Some(number), .. }) if number == expected),
        "{reason:?}"
    );
}

#[test]
fn one_session_more_than_allowed_is_denied() {
    for on_limit in ["deny", "replace-same-device"] {
        let office = Office::default().user("jiro", &format!("max_sessions: 2, on_limit: {on_limit}"));
        let mut world = World::with(office);
        let [a, b, c] = ["one", "two", "three"]
            .map(|host| at_home(&mut world, Profile::windows10().with_host_name(host), "jiro"));
        world.connect(a);
        world.connect(b);
        let reason = world.fail_to_connect(c);
        assert_number(reason, 649);
        assert_eq!(world.gateway().causes(), [Cause::SessionLimit]);
        assert!(world.ping(a, OFFICE_GATEWAY) && world.ping(b, OFFICE_GATEWAY));
        // The same device again takes its own place, not one more.
        world.vanish(b);
        world.connect(b);
        assert_eq!(world.gateway().sessions(), 2);
        // One leaves, one may come.
        world.stop(a);
        world.connect(c);
        assert!(world.ping(c, OFFICE_GATEWAY));
    }
}

#[test]
fn a_hub_has_so_many_sessions_and_no_more() {
    let mut world = World::with(Office::default().office("limits: { sessions: 2 }"));
    let [a, b, c] = ["u1", "u2", "u3"].map(|user| at_home(&mut world, Profile::windows10(), user));
    world.connect(a);
    world.connect(b);
    let reason = world.fail_to_connect(c);
    assert_number(reason, 649);
    assert_eq!(world.gateway().causes(), [Cause::SessionLimit]);
    // Another hub has its own.
    let visitor = at_home(&mut world, Profile::windows10(), "visitor@GUESTS");
    world.connect(visitor);
    // A device takes its own place, and one that leaves makes room.
    world.vanish(b);
    world.connect(b);
    world.stop(a);
    world.connect(c);
    assert_eq!(world.gateway().sessions(), 3);
}

#[test]
fn the_oldest_may_be_replaced() {
    let office = Office::default().user("jiro", "max_sessions: 2, on_limit: replace-oldest");
    let mut world = World::with(office);
    let [a, b, c] = ["one", "two", "three"]
        .map(|host| at_home(&mut world, Profile::windows10().with_host_name(host), "jiro"));
    for client in [a, b, c] {
        world.connect(client);
        world.run_for(Duration::from_secs(30));
    }
    assert!(!world[a].device.is_active());
    assert_eq!(world.gateway().causes(), [Cause::ReplacedByNewest]);
    assert!(world.ping(b, OFFICE_GATEWAY) && world.ping(c, OFFICE_GATEWAY));
    // Another user is not concerned.
    let other = at_home(&mut world, Profile::windows10(), "yas");
    world.connect(other);
    assert_eq!(world.gateway().sessions(), 3);
}

#[test]
fn the_gateway_as_a_whole_has_a_limit() {
    let mut world = World::with(Office::default().top("limits: { sessions: 2 }"));
    let [a, b, c] = ["jiro", "yas", "mika"].map(|user| at_home(&mut world, Profile::windows10(), user));
    world.connect(a);
    world.connect(b);
    let reason = world.fail_to_connect(c);
    assert_number(reason, 649);
    assert!(world.ping(a, OFFICE_GATEWAY) && world.ping(b, OFFICE_GATEWAY));
}

#[test]
fn addresses_are_sticky_and_fixed_ones_are_kept() {
    let office = Office::default().user("yas", "address: 10.60.0.50");
    let mut world = World::with(office);
    let jiro = at_home(&mut world, Profile::ios17(), "jiro");
    let yas = at_home(&mut world, Profile::windows10(), "yas");
    assert_eq!(world.connect(yas).address.to_string(), "10.60.0.50");
    let first = world.connect(jiro).address;
    for client in [jiro, yas] {
        world.stop(client);
    }
    // Others come and go meanwhile.
    let others: Vec<_> =
        (0..30).map(|n| at_home(&mut world, Profile::windows10(), &format!("u{n}"))).collect();
    for other in &others {
        let address = world.connect(*other).address;
        assert!(address != first && address.to_string() != "10.60.0.50");
    }
    world.run_for(Duration::from_secs(3600));
    assert_eq!(world.connect(jiro).address, first);
    assert_eq!(world.connect(yas).address.to_string(), "10.60.0.50");
}

#[test]
fn a_users_two_devices_have_an_address_each_and_keep_them() {
    let mut world = World::new();
    let phone = at_home(&mut world, Profile::ios17(), "jiro");
    let pc = at_home(&mut world, Profile::windows10(), "jiro");
    let before = [world.connect(phone).address, world.connect(pc).address];
    assert_ne!(before[0], before[1]);
    world.stop(phone);
    world.stop(pc);
    let after = [world.connect(pc).address, world.connect(phone).address];
    assert_eq!(before, [after[1], after[0]]);
}

// ---- keys ----

#[test]
fn several_keys_are_found_at_message_5() {
    let mut office = Office::default();
    for n in 1..=14 {
        office = office.psk(&format!("key: \"the key with the number {n} of many\""));
    }
    let mut world = World::with(office);
    for n in 1..=14 {
        let profile =
            Profile::all()[n % 12].clone().with_psk(&format!("the key with the number {n} of many"));
        let client = at_home(&mut world, profile, &format!("u{n}"));
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

#[test]
fn a_key_of_a_hub_opens_that_hub_alone() {
    let key = "a key for the guests alone";
    let mut world = World::with(Office::default().psk(&format!("{{ key: \"{key}\", hub: GUESTS }}")));
    let guest = at_home(&mut world, Profile::windows10().with_psk(key), "visitor@guests");
    world.connect(guest);
    // The right password, and the hub's name is known: the key is the wrong one for it.
    let member = at_home(&mut world, Profile::windows10().with_psk(key), "jiro");
    let reason = world.fail_to_connect(member);
    assert_number(reason, 691);
    assert_eq!(world.gateway().causes(), [Cause::PskOfOtherHub]);
    // The common key opens both.
    let both = at_home(&mut world, Profile::windows10().with_psk(PSK), "jiro@guests");
    world.connect(both);
}

#[test]
fn a_key_ends_at_its_date() {
    // Worlds begin on 2026-09-21.
    assert_eq!(BEGIN / 86400, 20717);
    let old = "the key of last month";
    let mut world = World::with(Office::default().psk(&format!("{{ key: \"{old}\", until: 2026-09-22 }}")));
    let client = at_home(&mut world, Profile::strongswan().with_psk(old), "jiro");
    world.connect(client);
    world.stop(client);
    world.run_for(Duration::from_secs(3 * 86400));
    let reason = world.fail_to_connect(client);
    assert!(matches!(reason, Reason::Ike(Failure::Refused(_))), "{reason:?}");
    assert_eq!(world.gateway().last_story().cause, Cause::PskExpired);
}

// ---- L2TP in the clear ----

fn raw_client(world: &mut World, user: &str) -> ClientId {
    let home = world.nat(Nat::home());
    let client = world.client(Profile::strongswan(), user, home);
    let path = raw_path(world[client].address);
    world[client].device.set_path(path);
    client
}

#[test]
fn l2tp_in_the_clear_is_off_and_only_recorded() {
    let mut world = World::new();
    let client = raw_client(&mut world, "jiro");
    world.listen();
    world.fail_to_connect(client);
    assert!(world.heard().iter().all(|(d, _)| *d == crate::world::Direction::ToGateway), "never answered");
    assert!(world.gateway().causes().iter().all(|cause| *cause == Cause::RawL2tpRefused));
    assert!(world.gateway().workers[0].drops().of(Drop::RawL2tpRefused) > 0);
    assert_eq!(world.gateway().population(), (0, 0));
}

#[test]
fn l2tp_in_the_clear_needs_leave_of_the_user() {
    let office = Office::default().listen("raw_l2tp: true").user("ken", "allow_raw_l2tp: true");
    let mut world = World::with(office);
    let jiro = raw_client(&mut world, "jiro");
    let reason = world.fail_to_connect(jiro);
    assert_number(reason, 649);
    assert_eq!(world.gateway().causes(), [Cause::RawL2tpRefused]);
    let ken = raw_client(&mut world, "ken");
    world.connect(ken);
    assert!(world.ping(ken, OFFICE_GATEWAY));
    // With IPsec jiro is welcome, and both reach each other.
    let jiro = at_home(&mut world, Profile::windows10(), "jiro");
    world.connect(jiro);
    let to = world[ken].address().unwrap();
    assert!(world.ping(jiro, to));
    world.run_for(Duration::from_secs(600));
    assert!(world.ping(ken, OFFICE_GATEWAY));
    world.stop(ken);
    world.run_for(Duration::from_secs(40));
    assert_eq!((world.gateway().population().0, world.gateway().sessions()), (1, 1));
}

#[test]
fn a_raw_client_that_vanished_is_back_at_once() {
    let office = Office::default().listen("raw_l2tp: true").user("ken", "allow_raw_l2tp: true");
    let mut world = World::with(office);
    let ken = raw_client(&mut world, "ken");
    let first = world.connect(ken);
    world.vanish(ken);
    assert_eq!(world.connect(ken).address, first.address);
    assert!(world.ping(ken, OFFICE_GATEWAY));
    assert_eq!(world.gateway().sessions(), 1);
    world.stop(ken);
    world.run_for(Duration::from_secs(400));
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0));
}
