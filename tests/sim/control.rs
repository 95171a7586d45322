//! What an administrator sees and does while real clients connect: stories of running attempts, listings, reloads.

use crate::net::NAT_T_PORT;
use crate::net::nat::Nat;
use crate::world::{ClientId, Direction, OFFICE_GATEWAY, Office, World, login};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::control::Command;
use sekisho::crypto::Secret;
use sekisho::ppp::Login;
use sekisho::story::{Cause, Lang, Stage, State, Story};
use std::time::Duration;

/// The address of the first NAT of a world.
const HOME: &str = "203.0.113.1";

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

fn why(world: &mut World, of: &str) -> Story {
    let row = world.control(Command::Why { of: of.into(), lang: Lang::En }).unwrap().remove(0);
    serde_json::from_value(row).unwrap()
}

/// Nobody is followed who is not there.
fn assert_nobody_is_followed(world: &World) {
    let gatehouse = &world.gateway().gatehouse;
    let left: Vec<_> = gatehouse.stories().running(None).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_connection_is_seen_while_it_runs_and_when_it_is_up() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::ios17(), "jiro");
    world.start(client);
    let mut stages: Vec<String> = Vec::new();
    world.run_until(Duration::from_secs(30), |world| {
        for attempt in world.gateway().gatehouse.stories().running(None) {
            let stage = attempt.stage().key();
            if stages.last().is_none_or(|last| last != stage) {
                stages.push(stage.to_owned());
            }
        }
        world[client].address().is_some()
    });
    assert_eq!(stages.first().map(String::as_str), Some("ike"));
    for stage in ["ike_up", "ipsec_up", "authentication", "link_up"] {
        assert!(stages.iter().any(|seen| seen == stage), "{stage}: {stages:?}");
    }
    assert!(stages.is_sorted_by_key(|stage| Stage::from_key(stage)), "{stages:?}");
    assert!(world.ping(client, OFFICE_GATEWAY));
    let story = why(&mut world, "jiro");
    assert_eq!((story.state, story.stage.as_str(), story.cause), (State::Connected, "traffic", None));
    assert!(!story.detail.address.is_empty() && !story.detail.ike.is_empty() && !story.detail.esp.is_empty());
    let sessions = world.control(Command::SessionList { hub: None, user: None, from: None }).unwrap();
    assert!(sessions[0]["client"].as_str().unwrap().starts_with("Apple"), "{sessions:?}");
    assert!(sessions[0]["inbound_packets"].as_u64().unwrap() > 0, "{sessions:?}");
    world.stop(client);
    assert_nobody_is_followed(&world);
}

#[test]
fn renewals_of_keys_are_no_attempts() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::ios17(), "jiro");
    world.connect(client);
    for _ in 0..3 {
        world.renew_isakmp(client);
        world.run_for(Duration::from_secs(20));
        world.renew_esp(client);
        world.run_for(Duration::from_secs(20));
    }
    assert_eq!(world[client].phase1s(), 4);
    assert_eq!(world.gateway().gatehouse.stories().running(None).count(), 1);
    assert_eq!(world.gateway().causes(), []);
    world.stop(client);
    assert_nobody_is_followed(&world);
}

#[test]
fn what_goes_wrong_is_named_within_ten_seconds() {
    // A wrong key: by suspicion, at the first message that does not decrypt.
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10().with_psk("the key of somebody else"), "jiro");
    world.start(client);
    world.run_for(Duration::from_secs(10));
    assert_eq!(why(&mut world, HOME).cause, Some(Cause::WrongPsk));

    // Port 4500 is blocked.
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world.lose(|_, packet| packet.from.port() == NAT_T_PORT || packet.to.port() == NAT_T_PORT);
    world.start(client);
    world.run_for(Duration::from_secs(10));
    let story = why(&mut world, HOME);
    assert!(story.failed() && story.suspected, "{story:?}");
    assert!(matches!(story.cause, Some(Cause::NoNatT | Cause::IkeUnfinished)), "{story:?}");

    // ESP is blocked on the way in.
    let mut world = World::new();
    let client = world.client(Profile::strongswan(), "jiro", None);
    world.lose(|direction, packet| direction == Direction::ToGateway && packet.esp().is_some());
    world.start(client);
    world.run_for(Duration::from_secs(10));
    let address = world[client].address.to_string();
    let story = why(&mut world, &address);
    assert_eq!((story.cause, story.suspected), (Some(Cause::NoL2tp), true), "{story:?}");

    // A wrong password: told by name.
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world[client].device.set_login(Login { password: Secret::from("guessed"), ..login("jiro") });
    world.start(client);
    world.run_for(Duration::from_secs(10));
    let story = why(&mut world, "jiro@OFFICE");
    assert_eq!(story.cause, Some(Cause::WrongPassword));
    assert_eq!(story.shown(Lang::En).and_then(|(_, number, _)| number), Some(691));
}

#[test]
fn a_reload_ends_removed_users_and_nobody_else() {
    let mut world = World::new();
    let office = Office::default().psk("{ key: \"a key that will be removed 7\" }");
    world.reload(&office);
    let jiro = at_home(&mut world, Profile::ios17(), "jiro");
    let yas = at_home(&mut world, Profile::windows10(), "yas");
    let old_key = Profile::android(Android::Seven);
    let mika = at_home(&mut world, old_key.with_psk("a key that will be removed 7"), "mika");
    let visitor = at_home(&mut world, Profile::strongswan(), "visitor@GUESTS");
    let all = [jiro, yas, mika, visitor];
    for client in all {
        world.connect(client);
    }
    let addresses = all.map(|client| world[client].address());

    // yas is removed, mika's key is removed, OFFICE gets another range; jiro and visitor are not touched.
    let mut new = Office::default();
    new.users.retain(|(name, _)| name != "yas");
    new.office[1] = "dhcp: { dns: [10.60.0.1], range: 10.60.0.200-10.60.0.250 }".into();
    world.reload(&new);
    world.run_for(Duration::from_secs(2));
    assert_eq!([world[jiro].address(), world[visitor].address()], [addresses[0], addresses[3]]);
    assert_eq!(world.gateway().sessions(), 2);
    assert!(world.ping(jiro, OFFICE_GATEWAY));
    for gone in [yas, mika] {
        assert!(world[gone].address().is_none(), "{:?}", world[gone].events);
    }
    let causes = world.gateway().causes();
    assert_eq!(causes, [Cause::ConfigurationChanged; 2]);
    // They cannot come back; a new device gets its address from the new range.
    world.fail_to_connect(yas);
    assert_eq!(world.gateway().last_story().cause, Cause::UnknownUser);
    let ken = at_home(&mut world, Profile::ios17(), "ken");
    assert!(world.connect(ken).address.octets()[3] >= 200);
    // The others live on for as long as they like.
    world.run_for(Duration::from_secs(600));
    assert!(world.ping(jiro, OFFICE_GATEWAY));
    assert_eq!(world[visitor].address(), addresses[3]);
}

#[test]
fn a_hub_taken_offline_lets_nobody_in_until_it_is_online() {
    let mut world = World::new();
    let jiro = at_home(&mut world, Profile::ios17(), "jiro");
    world.connect(jiro);
    world.control(Command::HubOffline { hub: "OFFICE".into() }).unwrap();
    world.run_for(Duration::from_secs(5));
    assert!(world[jiro].address().is_none());
    assert_eq!(world.gateway().causes(), [Cause::HubOffline]);
    let yas = at_home(&mut world, Profile::ios17(), "yas");
    world.fail_to_connect(yas);
    assert_eq!(world.gateway().last_story().cause, Cause::HubOffline);
    world.control(Command::HubOnline { hub: "OFFICE".into() }).unwrap();
    world.connect(yas);
    assert!(world.ping(yas, OFFICE_GATEWAY));
}

/// What was negotiated, and how strong it is, for each session; an old phone drags only itself down.
#[test]
fn every_session_tells_how_strong_it_is() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let phone = world.client(Profile::android(Android::Seven), "jiro", home);
    let pc = world.client(Profile::windows10(), "yas", home);
    let linux = world.client(Profile::strongswan(), "ken", home);
    for client in [phone, pc, linux] {
        world.connect(client);
    }
    let rows = world.control(Command::SessionList { hub: None, user: None, from: None }).unwrap();
    let of = |user: &str| rows.iter().find(|row| row["user"] == user).unwrap()["protection"].clone();
    let android = of("jiro");
    assert_eq!(android["phase1"]["group"], "MODP-1024");
    assert_eq!(
        (android["phase1"]["strength"].as_str(), android["phase1"]["bits"].as_u64()),
        (Some("broken"), Some(80))
    );
    assert_eq!(
        (android["phase2"]["cipher"].as_str(), android["phase2"]["strength"].as_str()),
        (Some("AES-256-CBC"), Some("acceptable"))
    );
    // ESP's keys come from Phase 1: together they are as weak as that.
    assert_eq!((android["strength"].as_str(), android["bits"].as_u64()), (Some("broken"), Some(80)));
    let windows = of("yas");
    assert_eq!((windows["strength"].as_str(), windows["bits"].as_u64()), (Some("acceptable"), Some(128)));
    let linux = of("ken");
    assert!(linux["bits"].as_u64() >= Some(112) && linux["strength"] != "broken", "{linux}");
    let shown = world.control(Command::SessionShow { of: "jiro".into() }).unwrap();
    assert_eq!(shown[0]["protection"], android);
    assert_eq!(shown[0]["story"]["protection"], android, "the story keeps it");
}

/// `modern` turns away whom it has to, and says whom and what was offered.
#[test]
fn modern_refuses_what_is_broken_and_records_to_whom() {
    let mut world = World::with(Office::default().ipsec("policy: modern"));
    let home = world.nat(Nat::home());
    let phone = world.client(Profile::android(Android::Seven), "jiro", home);
    world.fail_to_connect(phone);
    let record = world.gateway().last_story();
    assert_eq!(record.cause, Cause::NoIkeProposal);
    assert!(record.from.starts_with(HOME) && record.detail.client.starts_with("Android"), "{record:?}");
    assert!(record.detail.offered.contains("MODP-1024"), "{record:?}");
    for (profile, user) in
        [(Profile::windows10(), "yas"), (Profile::ios17(), "mika"), (Profile::strongswan(), "ken")]
    {
        let client = world.client(profile, user, home);
        world.connect(client);
    }
    for row in world.control(Command::SessionList { hub: None, user: None, from: None }).unwrap() {
        assert!(row["protection"]["bits"].as_u64() >= Some(112), "{row}");
        assert!(matches!(row["protection"]["strength"].as_str(), Some("acceptable" | "strong")), "{row}");
    }
}
