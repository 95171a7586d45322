//! Who may come in, how, until when, and what they may do then: what the configuration says is what clients meet.

use crate::net::nat::Nat;
use crate::world::{ClientId, OFFICE_GATEWAY, Office, PSK, World, login};
use sekisho::client::ike::Mode;
use sekisho::client::ike::profile::Android;
use sekisho::client::{Profile, Reason};
use sekisho::crypto::Secret;
use sekisho::packet::Drop;
use sekisho::ppp::{self, AuthMethod};
use sekisho::story::Cause;
use sekisho::wire::inet::udp_packet;
use sekisho::wire::isakmp::payload::{IdType, Identity};
use sekisho::wire::isakmp::sa::{Phase1Attribute, Transform};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

/// A client that can do one protocol alone gets it if it is in the list, whatever is offered first.
#[test]
fn every_protocol_of_the_list_lets_its_clients_in() {
    let all = [
        AuthMethod::MsChapV2,
        AuthMethod::ChapMd5,
        AuthMethod::Pap,
        AuthMethod::EapMsChapV2,
        AuthMethod::EapMd5,
    ];
    for method in all {
        let office = Office::default().top("ppp: { auth: [mschapv2, eap-md5, chap, eap-mschapv2, pap] }");
        let mut world = World::with(office);
        let mut profile = Profile::strongswan();
        profile.ppp = profile.ppp.with_auth(&[method]);
        let client = at_home(&mut world, profile, "jiro");
        assert_eq!(world.connect(client).auth, Some(method));
        assert!(world.ping(client, OFFICE_GATEWAY));
        world.stop(client);
        assert_eq!(world.gateway().last_story().detail.auth, method.name());
    }
}

/// The error number that a client shows.
fn number(reason: &Reason) -> Option<u32> {
    match reason {
        Reason::Ppp(ppp::Cause::RefusedByServer { error, .. }) => *error,
        _ => None,
    }
}

/// Worlds begin on Monday, 2026-09-21, 14:13:20 UTC.
#[test]
fn the_state_of_an_account_has_its_number_and_cause() {
    for (settings, error, cause) in [
        ("disabled: true", 647, Cause::UserDisabled),
        ("expires: 2026-09-20", 647, Cause::AccountExpired),
        ("expires: 2026-09-21, time_zone: +10:00", 647, Cause::AccountExpired),
        ("hours: mon-fri 08:00-14:00", 646, Cause::OutOfHours),
        ("hours: mon-fri 08:00-18:00, time_zone: +09:00", 646, Cause::OutOfHours),
        ("access: deny", 649, Cause::AccessDenied),
        ("group: guests", 649, Cause::AccessDenied),
    ] {
        for profile in [Profile::windows10(), Profile::ios17(), Profile::strongswan()] {
            let office =
                Office::default().office("groups: { guests: { access: deny } }").user("jiro", settings);
            let mut world = World::with(office);
            let client = at_home(&mut world, profile, "jiro");
            let reason = world.fail_to_connect(client);
            assert_eq!(number(&reason), Some(error), "{settings}: {reason:?}");
            let story = world.gateway().last_story();
            assert_eq!((story.cause, story.stage.as_str()), (cause, "authentication"), "{settings}");
            assert_eq!(world.gateway().sessions(), 0);
            // Who does not know the password learns nothing of the account.
            let mut wrong = login("jiro");
            wrong.password = Secret::from("guessed");
            world[client].device.set_login(wrong);
            assert_eq!(number(&world.fail_to_connect(client)), Some(691), "{settings}");
            assert_eq!(world.gateway().last_story().cause, Cause::WrongPassword);
        }
    }
}

#[test]
fn the_nearest_rule_lets_in() {
    for settings in [
        "expires: 2026-09-21",
        "expires: 2026-09-21, time_zone: +09:00",
        "hours: mon-fri 08:00-18:00",
        "hours: mon 23:00-24:00, time_zone: +09:00",
        "group: staff",
        "access: allow, hours: none",
    ] {
        let office = Office::default()
            .office("groups: { staff: { hours: none } }")
            .office("hours: tue 08:00-18:00")
            .user("jiro", settings)
            .user("yas", "");
        let office = if settings.contains("hours") || settings.contains("group") {
            office
        } else {
            Office::default().user("jiro", settings)
        };
        let mut world = World::with(office);
        let client = at_home(&mut world, Profile::windows10(), "jiro");
        world.connect(client);
    }
}

#[test]
fn sessions_are_counted_per_user() {
    for (on_limit, third) in [
        ("deny", Err(Cause::SessionLimit)),
        ("replace-same-device", Err(Cause::SessionLimit)),
        ("replace-oldest", Ok(Cause::ReplacedByNewest)),
    ] {
        let office = Office::default().user("jiro", &format!("max_sessions: 2, on_limit: {on_limit}"));
        let mut world = World::with(office);
        let phone = at_home(&mut world, Profile::ios17(), "jiro");
        let laptop = at_home(&mut world, Profile::windows10(), "JIRO");
        let other = at_home(&mut world, Profile::strongswan(), "yas");
        let tablet = at_home(&mut world, Profile::network_manager(), "jiro");
        world.connect(phone);
        world.run_for(Duration::from_secs(2));
        world.connect(laptop);
        world.connect(other);
        match third {
            Ok(cause) => {
                world.connect(tablet);
                world.run_for(Duration::from_secs(1));
                assert_eq!(world.gateway().causes(), [cause], "{on_limit}");
                assert!(
                    world[phone].address().is_none() && world[laptop].address().is_some(),
                    "the oldest goes"
                );
            }
            Err(cause) => {
                assert_eq!(number(&world.fail_to_connect(tablet)), Some(649), "{on_limit}");
                assert_eq!(world.gateway().causes(), [cause], "{on_limit}");
            }
        }
        assert_eq!(world.gateway().sessions(), 3);
        for client in [laptop, other] {
            assert!(world.ping(client, OFFICE_GATEWAY), "{on_limit}");
        }
    }
}

/// The very device that comes back takes its own place, whatever `on_limit` says of others.
#[test]
fn a_device_replaces_itself_under_any_limit() {
    for on_limit in ["deny", "replace-same-device", "replace-oldest"] {
        let office = Office::default().user("jiro", &format!("max_sessions: 1, on_limit: {on_limit}"));
        let mut world = World::with(office);
        let laptop = at_home(&mut world, Profile::windows10(), "jiro");
        let before = world.connect(laptop).address;
        world.vanish(laptop);
        world.run_for(Duration::from_secs(30));
        assert_eq!(world.connect(laptop).address, before, "{on_limit}");
        assert!(world.ping(laptop, OFFICE_GATEWAY), "{on_limit}");
        assert_eq!(world.gateway().sessions(), 1);
    }
}

/// A client whose user has filled in the field `group name`.
fn with_group(mut profile: Profile, group: &str, key: &str) -> Profile {
    let ike = Arc::make_mut(&mut profile.ike);
    ike.mode = Mode::Aggressive(Identity { kind: IdType::KEY_ID, protocol: 0, port: 0, data: group.into() });
    ike.psk = Secret::from(key);
    // Aggressive Mode cannot negotiate the group: everything offered has the same one.
    let group = |transform: &Transform| {
        transform.attributes.iter().find(|a| a.kind == Phase1Attribute::GROUP.0).cloned()
    };
    let first = group(&ike.phase1[0]);
    ike.phase1.retain(|transform| group(transform) == first);
    profile
}

const SALES: &str = "nP4rTz8vKq2LmXw7HsJd";

#[test]
fn a_group_with_its_own_key_may_use_aggressive_mode() {
    for profile in [Profile::ios17(), Profile::android(Android::Seven), Profile::macos()] {
        let office = Office::default().ipsec(&format!("groups: {{ sales: \"{SALES}\" }}"));
        let mut world = World::with(office);
        let client = at_home(&mut world, with_group(profile.clone(), "sales", SALES), "jiro");
        // Others go on with theirs.
        let other = at_home(&mut world, profile.clone(), "yas");
        world.connect(client);
        world.connect(other);
        assert!(world.ping(client, OFFICE_GATEWAY) && world.ping(other, OFFICE_GATEWAY));
        // The key of the one way opens nothing on the other.
        for profile in [with_group(profile.clone(), "sales", PSK), profile.clone().with_psk(SALES)] {
            let wrong = at_home(&mut world, profile, "mika");
            world.fail_to_connect(wrong);
            assert_eq!(world.gateway().last_story().cause, Cause::WrongPsk);
        }
        let stranger = at_home(&mut world, with_group(profile, "Sales", SALES), "mika");
        world.fail_to_connect(stranger);
        assert_eq!(world.gateway().last_story().cause, Cause::AggressiveModeRefused);
    }
}

#[test]
fn aggressive_mode_without_a_group_is_refused_and_recorded() {
    let mut world = World::new();
    let client = at_home(&mut world, with_group(Profile::ios17(), "sales", PSK), "jiro");
    world.fail_to_connect(client);
    let story = world.gateway().last_story();
    assert_eq!((story.cause, story.stage.as_str()), (Cause::AggressiveModeRefused, "ike"));
    assert!(story.detail.note.contains("sales"), "{}", story.detail.note);
    assert_eq!(story.detail.client, "Apple");
}

#[test]
fn a_groups_key_opens_its_hub_alone() {
    let office =
        Office::default().ipsec(&format!("groups: {{ sales: {{ key: \"{SALES}\", hub: GUESTS }} }}"));
    let mut world = World::with(office);
    let client = at_home(&mut world, with_group(Profile::ios17(), "sales", SALES), "jiro");
    assert_eq!(number(&world.fail_to_connect(client)), Some(691));
    assert_eq!(world.gateway().last_story().cause, Cause::PskOfOtherHub);
    let guest = at_home(&mut world, with_group(Profile::ios17(), "sales", SALES), "jiro@guests");
    world.connect(guest);
}

/// The name of a group is no device's: two alike behind one address are two.
#[test]
fn two_alike_of_one_group_and_user_are_two_devices() {
    let office = Office::default().ipsec(&format!("groups: {{ sales: \"{SALES}\" }}"));
    let mut world = World::with(office);
    let home = world.nat(Nat::home());
    let phones = [(); 2].map(|()| world.client(with_group(Profile::ios17(), "sales", SALES), "jiro", home));
    let addresses = phones.map(|phone| world.connect(phone).address);
    assert_ne!(addresses[0], addresses[1]);
    for phone in phones {
        assert!(world.ping(phone, OFFICE_GATEWAY));
    }
}

/// A client that has left for a reason of the gateway's.
fn assert_ended(world: &World, client: ClientId, cause: Cause) {
    assert!(world[client].address().is_none(), "{cause}");
    assert_eq!(world.gateway().last_story().cause, cause);
    assert_eq!(world.gateway().sessions(), 0, "{cause}");
}

#[test]
fn a_session_ends_after_its_time_whatever_it_does() {
    let mut world = World::with(Office::default().user("jiro", "session_timeout: 10m"));
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world.connect(client);
    let began = world.now;
    while world[client].address().is_some() && world.now - began < Duration::from_secs(900) {
        world.ping(client, OFFICE_GATEWAY);
        world.run_for(Duration::from_secs(20));
    }
    let lasted = (world.now - began).as_secs();
    assert!((590..640).contains(&lasted), "{lasted}");
    assert_ended(&world, client, Cause::TimeLimit);
    // It may come again, and has its whole time again.
    world.connect(client);
    world.run_for(Duration::from_secs(300));
    assert!(world.ping(client, OFFICE_GATEWAY));
}

#[test]
fn an_idle_session_ends_and_a_busy_one_does_not() {
    for from_hub in [false, true] {
        let mut world = World::with(Office::default().user("jiro", "idle_timeout: 5m").user("yas", ""));
        let client = at_home(&mut world, Profile::windows10(), "jiro");
        let other = at_home(&mut world, Profile::macos(), "yas");
        let address = world.connect(client).address;
        world.connect(other);
        for _ in 0..10 {
            // Traffic in either direction counts.
            if from_hub {
                world.ping(other, address);
            } else {
                world.ping(client, OFFICE_GATEWAY);
            }
            world.run_for(Duration::from_secs(150));
        }
        assert!(world[client].address().is_some(), "busy");
        // What keeps the connection alive is no traffic.
        world.run_for(Duration::from_secs(145));
        assert!(world[client].address().is_some());
        world.run_for(Duration::from_secs(10));
        assert!(world[client].address().is_none());
        assert_eq!(world.gateway().last_story().cause, Cause::TimeLimit);
        assert!(world.ping(other, OFFICE_GATEWAY), "the others stay");
    }
}

#[test]
fn a_session_ends_with_its_permission() {
    // 14:13:20 UTC when the world begins.
    for (settings, after, cause) in [
        ("hours: mon-fri 08:00-15:00", 46 * 60 + 40, Cause::OutOfHours),
        ("hours: mon-fri 08:00-23:30, time_zone: +09:00", 16 * 60 + 40, Cause::OutOfHours),
        ("expires: 2026-09-21, time_zone: +09:00", 46 * 60 + 40, Cause::AccountExpired),
        ("expires: 2026-09-21", 9 * 3600 + 46 * 60 + 40, Cause::AccountExpired),
    ] {
        let mut world = World::with(Office::default().user("jiro", settings));
        let client = at_home(&mut world, Profile::libreswan(), "jiro");
        world.connect(client);
        let before = Duration::from_secs(after) - world.elapsed() - Duration::from_secs(2);
        world.run_for(before);
        assert!(world[client].address().is_some(), "{settings}");
        world.run_for(Duration::from_secs(5));
        assert_ended(&world, client, cause);
        let error = if cause == Cause::OutOfHours { 646 } else { 647 };
        assert_eq!(number(&world.fail_to_connect(client)), Some(error), "{settings}");
    }
}

#[test]
fn isolated_clients_reach_the_uplink_alone() {
    for (hub, jiro, yas, meet) in [
        ("isolated: false", "", "", true),
        ("isolated: true", "", "", false),
        ("isolated: true", "isolated: false", "", false),
        ("isolated: true", "isolated: false", "group: staff", true),
        ("isolated: false", "", "isolated: true", false),
    ] {
        let office = Office::default().office(hub).office("groups: { staff: { isolated: false } }");
        let mut world = World::with(office.user("jiro", jiro).user("yas", yas));
        let jiro = at_home(&mut world, Profile::windows10(), "jiro");
        let yas = at_home(&mut world, Profile::ios17(), "yas");
        let addresses = [jiro, yas].map(|client| world.connect(client).address);
        assert_eq!(world.ping(jiro, addresses[1]), meet, "{hub}");
        assert_eq!(world.ping(yas, addresses[0]), meet, "{hub}");
        assert!(world.ping(jiro, OFFICE_GATEWAY) && world.ping(yas, OFFICE_GATEWAY), "{hub}");
        assert_eq!(world.gateway().workers[0].drops().of(Drop::Isolated) > 0, !meet, "{hub}");
    }
}

#[test]
fn a_client_is_no_dhcp_server_unless_it_may() {
    for (settings, passes) in [("", false), ("dhcp_guard: false", true)] {
        let mut world = World::with(Office::default().user("jiro", settings).user("yas", ""));
        let jiro = at_home(&mut world, Profile::windows10(), "jiro");
        let yas = at_home(&mut world, Profile::ios17(), "yas");
        let [from, to] = [jiro, yas].map(|client| world.connect(client).address);
        // What is no server's passes in any case.
        // A client's raw socket does not look whence it comes.
        for (port, at, passes) in [(67, 68, passes), (4011, 68, passes), (4012, 4011, true)] {
            world.send_ip(jiro, udp_packet((from, port), (to, at), b"an address for you"));
            world.run_for(Duration::from_secs(1));
            let came = world[yas].inbox.datagrams.iter().any(|datagram| datagram.from.1 == port);
            assert_eq!(came, passes, "{settings}, from port {port}");
        }
    }
}

#[test]
fn the_uplink_is_guarded_as_the_hub_says() {
    for (rules, passes) in [("{}", true), ("{ dhcp_guard: true }", false)] {
        let mut world = World::with(Office::default().office(&format!("uplink_rules: {rules}")));
        let client = at_home(&mut world, Profile::windows10(), "jiro");
        let to = world.connect(client).address;
        assert!(world.ping(client, OFFICE_GATEWAY));
        let offer = || udp_packet((OFFICE_GATEWAY, 67), (to, 68), b"an address for you");
        world.send_from_uplink(1, offer());
        world.run_for(Duration::from_secs(1));
        assert_eq!(std::mem::take(&mut world[client].inbox.datagrams).len(), usize::from(passes), "{rules}");
        // The other way round from the next frame on.
        let other = if passes { "{ dhcp_guard: true }" } else { "{}" };
        world.reload(&Office::default().office(&format!("uplink_rules: {other}")));
        world.send_from_uplink(1, offer());
        world.run_for(Duration::from_secs(1));
        assert_eq!(world[client].inbox.datagrams.len(), usize::from(!passes), "{other}");
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

#[test]
fn a_storm_is_cut_where_the_rules_say() {
    for (settings, least, most) in [("", 100, 110), ("broadcasts: 5", 10, 12), ("broadcasts: 1000", 300, 300)]
    {
        let mut world = World::with(Office::default().user("jiro", settings).user("yas", ""));
        let jiro = at_home(&mut world, Profile::windows10(), "jiro");
        let yas = at_home(&mut world, Profile::ios17(), "yas");
        let from = world.connect(jiro).address;
        let address = world.connect(yas).address;
        world.run_for(Duration::from_secs(60));
        for _ in 0..300 {
            world.send_ip(jiro, udp_packet((from, 9), (Ipv4Addr::BROADCAST, 9), b"all of you"));
        }
        world.run_for(Duration::from_secs(1));
        let came = world[yas].inbox.datagrams.len();
        assert!((least..=most).contains(&came), "{settings}: {came}");
        assert_eq!(world.gateway().workers[0].drops().of(Drop::Storm), 300 - came as u64);
        // Others are not concerned, nor is what goes to one alone.
        assert!(world.ping(jiro, address) && world.ping(yas, OFFICE_GATEWAY), "{settings}");
    }
}

#[test]
fn a_client_has_its_own_address_where_it_may() {
    let at = |last| Ipv4Addr::new(10, 60, 0, last);
    for (settings, asked, given) in [
        ("own_address: true", at(77), true),
        // Outside the range, too.
        ("own_address: true", at(5), true),
        ("own_address: true", at(1), false),
        ("own_address: true", at(99), false),
        ("own_address: true", Ipv4Addr::new(192, 168, 7, 7), false),
        ("own_address: true, address: 10.60.0.50", at(77), false),
        ("", at(77), false),
    ] {
        let office = Office::default().user("jiro", settings).user("yas", "address: 10.60.0.99");
        let mut world = World::with(Office {
            office: vec!["network: 10.60.0.0/24".into(), "dhcp: { range: 10.60.0.10-10.60.0.250 }".into()],
            ..office
        });
        let mut profile = Profile::strongswan();
        profile.ppp = profile.ppp.with_address(asked);
        let client = at_home(&mut world, profile, "jiro");
        let address = world.connect(client).address;
        assert_eq!(address == asked, given, "{settings}: {asked}, got {address}");
        assert!(world.ping(client, OFFICE_GATEWAY), "{settings}: {asked}");
        if given {
            // A second one that wants the same gets another.
            let mut profile = Profile::network_manager();
            profile.ppp = profile.ppp.with_address(asked);
            let second = at_home(&mut world, profile, "jiro");
            assert_ne!(world.connect(second).address, asked);
            assert!(world.ping(second, asked));
        }
    }
}

/// Three addresses, and devices that come and go.
#[test]
fn an_address_is_kept_for_the_device_that_had_it() {
    let mut office = Office::default().top("sessions: { resume_for: 5m }");
    office.office = vec!["network: 10.60.0.0/24".into(), "dhcp: { range: 10.60.0.10-10.60.0.11 }".into()];
    let mut world = World::with(office);
    let jiro = at_home(&mut world, Profile::windows10(), "jiro");
    let yas = at_home(&mut world, Profile::windows10(), "yas");
    let mika = at_home(&mut world, Profile::windows10(), "mika");
    let had = world.connect(jiro).address;
    world.connect(yas);
    world.stop(jiro);
    world.run_for(Duration::from_secs(200));
    world.fail_to_connect(mika);
    assert_eq!(world.gateway().last_story().cause, Cause::PoolEmpty);
    assert_eq!(world.connect(jiro).address, had);
    world.stop(jiro);
    world.run_for(Duration::from_secs(301));
    assert_eq!(world.connect(mika).address, had, "it is free now");
}

/// The user's own address serves one device at a time; another one is not left outside.
#[test]
fn a_second_device_gets_an_address_of_the_range() {
    let mut world = World::with(Office::default().user("jiro", "address: 10.60.0.50"));
    let phone = at_home(&mut world, Profile::ios17(), "jiro");
    let laptop = at_home(&mut world, Profile::windows10(), "jiro");
    assert_eq!(world.connect(phone).address, Ipv4Addr::new(10, 60, 0, 50));
    assert_ne!(world.connect(laptop).address, Ipv4Addr::new(10, 60, 0, 50));
    assert!(world.ping(laptop, Ipv4Addr::new(10, 60, 0, 50)));
}

/// 1000 bytes every 2 ms for 4 s are 4 Mbit/s; 1 Mbit/s of them may pass, and a burst of 25 kB.
#[test]
fn each_direction_has_its_rate() {
    for (settings, up, down) in [
        ("", false, false),
        ("rate_up: 1mbit", true, false),
        ("rate_down: 1mbit", false, true),
        ("group: slow", true, true),
    ] {
        let office = Office::default().office("groups: { slow: { rate_up: 1mbit, rate_down: 1mbit } }");
        let mut world = World::with(office.user("jiro", settings).user("yas", ""));
        let jiro = at_home(&mut world, Profile::windows10(), "jiro");
        let yas = at_home(&mut world, Profile::ios17(), "yas");
        let addresses = [jiro, yas].map(|client| world.connect(client).address);
        // ARP is done.
        assert!(world.ping(jiro, addresses[1]));
        world.run_for(Duration::from_secs(1));
        let mut send = |from: usize, to: usize| {
            let clients = [jiro, yas];
            for _ in 0..2000 {
                world.send_ip(clients[from], udp_packet((addresses[from], 9), (addresses[to], 9), &[0; 972]));
                world.run_for(Duration::from_millis(2));
            }
            world.run_for(Duration::from_secs(1));
            std::mem::take(&mut world[clients[to]].inbox.datagrams).len()
        };
        for (came, limited) in [(send(0, 1), up), (send(1, 0), down)] {
            let least = if limited { 515 } else { 2000 };
            let most = if limited { 530 } else { 2000 };
            assert!((least..=most).contains(&came), "{settings}: {came}");
        }
        assert_eq!(world.gateway().workers[0].drops().of(Drop::RateLimit) > 0, up || down, "{settings}");
        assert!(world.ping(jiro, OFFICE_GATEWAY) && world.ping(yas, OFFICE_GATEWAY), "{settings}");
    }
}
