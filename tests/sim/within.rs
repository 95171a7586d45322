//! How soon a cause has its name: from the client's first message, or from the event that ends a session, to the answer of
//! `sekisho ctl why`. `docs/stories.md` has the list.

use crate::net::NAT_T_PORT;
use crate::net::nat::Nat;
use crate::world::{ClientId, Direction, Office, World, login, raw_path};
use sekisho::client::Profile;
use sekisho::client::ike::Mode;
use sekisho::client::ike::profile::Android;
use sekisho::control::Command;
use sekisho::crypto::Secret;
use sekisho::crypto::suite::EspAuth;
use sekisho::ppp::AuthMethod;
use sekisho::story::{Cause, Lang, Story};
use sekisho::wire::isakmp::payload::{IdType, Identity};
use std::sync::Arc;
use std::time::Duration;

/// The address of the first NAT of a world.
const HOME: &str = "203.0.113.1";
const SOON: Duration = Duration::from_secs(10);
const GUESTS_KEY: &str = "a key for the guests alone";

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

fn why(world: &mut World, of: &str) -> Option<Cause> {
    let row = world.control(Command::Why { of: of.into(), lang: Lang::En }).ok()?.into_iter().next()?;
    serde_json::from_value::<Story>(row).ok()?.cause
}

/// What a client that cannot come in is told apart by, [`SOON`] after its first message.
fn first_try(office: Office, prepare: impl FnOnce(&mut World) -> (ClientId, String)) -> Option<Cause> {
    let mut world = World::with(office);
    let (client, of) = prepare(&mut world);
    world.start(client);
    world.run_for(SOON);
    why(&mut world, &of)
}

/// The usual case: a Windows PC at home, changed by `change`, as `name`.
fn pc(office: Office, name: &str, change: impl FnOnce(&mut Profile)) -> Option<Cause> {
    first_try(office, |world| {
        let mut profile = Profile::windows10();
        change(&mut profile);
        (at_home(world, profile, name), HOME.to_owned())
    })
}

fn account(settings: &str) -> Option<Cause> {
    pc(Office::default().user("jiro", settings), "jiro", |_| {})
}

fn refusals() -> Vec<(Cause, Option<Cause>)> {
    let usual = Office::default;
    let with_key = |key: &'static str| move |profile: &mut Profile| *profile = profile.clone().with_psk(key);
    let guests_key = usual().psk(&format!("{{ key: \"{GUESTS_KEY}\", hub: GUESTS }}"));
    let two = |settings: &str| usual().user("jiro", settings);
    vec![
        (Cause::WrongPsk, pc(usual(), "jiro", with_key("the key of somebody else"))),
        (Cause::PskOfOtherHub, pc(guests_key, "jiro", with_key(GUESTS_KEY))),
        (
            Cause::NoIkeProposal,
            first_try(usual().ipsec("policy: modern"), |world| {
                (at_home(world, Profile::android(Android::Seven), "jiro"), HOME.to_owned())
            }),
        ),
        (
            Cause::NoEspProposal,
            first_try(usual(), |world| {
                let mut profile = Profile::ios17();
                Arc::make_mut(&mut profile.ike).esp.retain(|suite| suite.auth() == EspAuth::HmacMd5_96);
                (at_home(world, profile, "jiro"), HOME.to_owned())
            }),
        ),
        (
            Cause::AggressiveModeRefused,
            first_try(usual(), |world| {
                let mut profile = Profile::ios17();
                let data = b"mygroup".to_vec();
                let name = Identity { kind: IdType::KEY_ID, protocol: 0, port: 0, data };
                Arc::make_mut(&mut profile.ike).mode = Mode::Aggressive(name);
                (at_home(world, profile, "jiro"), HOME.to_owned())
            }),
        ),
        (Cause::Ikev2Client, {
            let mut world = World::new();
            let mut request = vec![0x11; 8];
            request.extend([0; 8]);
            request.extend([33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 28]);
            world.inject(crate::net::Packet::udp("192.0.2.9:500", "198.51.100.1:500", &request));
            world.run_for(Duration::from_secs(1));
            why(&mut world, "192.0.2.9")
        }),
        (
            Cause::NoNatT,
            first_try(usual(), |world| {
                let client = at_home(world, Profile::windows10(), "jiro");
                world.lose(|_, packet| packet.from.port() == NAT_T_PORT || packet.to.port() == NAT_T_PORT);
                (client, HOME.to_owned())
            }),
        ),
        (
            Cause::NoL2tp,
            first_try(usual(), |world| {
                let client = world.client(Profile::strongswan(), "jiro", None);
                world.lose(|direction, packet| direction == Direction::ToGateway && packet.esp().is_some());
                let address = world[client].address.to_string();
                (client, address)
            }),
        ),
        (
            Cause::RawL2tpRefused,
            first_try(usual(), |world| {
                let client = at_home(world, Profile::strongswan(), "jiro");
                let path = raw_path(world[client].address);
                world[client].device.set_path(path);
                (client, HOME.to_owned())
            }),
        ),
        (
            Cause::NoCommonAuth,
            first_try(usual().top("ppp: { auth: [mschapv2] }"), |world| {
                let mut profile = Profile::strongswan();
                profile.ppp = profile.ppp.with_auth(&[AuthMethod::Pap]);
                (at_home(world, profile, "jiro"), HOME.to_owned())
            }),
        ),
        (
            Cause::WrongPassword,
            first_try(usual(), |world| {
                let client = at_home(world, Profile::windows10(), "jiro");
                let mut wrong = login("jiro");
                wrong.password = Secret::from("guessed");
                world[client].device.set_login(wrong);
                (client, "jiro@OFFICE".to_owned())
            }),
        ),
        (Cause::UnknownUser, pc(usual(), "jirou", |_| {})),
        (Cause::UnknownHub, pc(usual(), "jiro@kitchen", |_| {})),
        (Cause::NoHubNamed, pc(Office { top: vec!["default_hub: none".into()], ..usual() }, "jiro", |_| {})),
        (Cause::UserDisabled, account("disabled: true")),
        (Cause::AccountExpired, account("expires: 2026-09-20")),
        (Cause::OutOfHours, account("hours: mon-fri 08:00-14:00")),
        (Cause::AccessDenied, account("access: deny")),
        (Cause::SessionLimit, {
            let mut world = World::with(two("max_sessions: 1, on_limit: deny"));
            let first = at_home(&mut world, Profile::windows10().with_host_name("one"), "jiro");
            world.connect(first);
            let second = at_home(&mut world, Profile::windows10().with_host_name("two"), "jiro");
            world.start(second);
            world.run_for(SOON);
            why(&mut world, "jiro@OFFICE")
        }),
        (Cause::PoolEmpty, {
            let range = "dhcp: { range: 10.60.0.10-10.60.0.10 }";
            let mut world = World::with(usual().only(&["network: 10.60.0.0/24", range]));
            let first = at_home(&mut world, Profile::windows10(), "jiro");
            world.connect(first);
            let second = at_home(&mut world, Profile::windows10(), "yas");
            world.start(second);
            world.run_for(SOON);
            why(&mut world, "yas@OFFICE")
        }),
    ]
}

fn endings() -> Vec<(Cause, Option<Cause>)> {
    let connected = |settings: &str| {
        let mut world = World::with(Office::default().user("jiro", settings));
        let client = at_home(&mut world, Profile::windows10().with_host_name("one"), "jiro");
        world.connect(client);
        (world, client)
    };
    // What has ended stands in the list whatever became of the user's other attempts.
    let told = |mut world: World, cause: Cause| {
        world.run_for(SOON);
        world.gateway().causes().contains(&cause).then_some(cause)
    };
    let mut found = Vec::new();
    let (mut world, client) = connected("");
    world.stop(client);
    found.push((Cause::PeerLeft, told(world, Cause::PeerLeft)));
    let (mut world, _) = connected("");
    world.kick("jiro");
    found.push((Cause::Kicked, told(world, Cause::Kicked)));
    let (mut world, _) = connected("");
    world.control(Command::HubOffline { hub: "OFFICE".into() }).unwrap();
    found.push((Cause::HubOffline, told(world, Cause::HubOffline)));
    let (mut world, client) = connected("");
    world.vanish(client);
    world.connect(client);
    found.push((Cause::ReplacedBySameDevice, told(world, Cause::ReplacedBySameDevice)));
    let (mut world, _) = connected("max_sessions: 1, on_limit: replace-oldest");
    let second = at_home(&mut world, Profile::windows10().with_host_name("two"), "jiro");
    world.connect(second);
    found.push((Cause::ReplacedByNewest, told(world, Cause::ReplacedByNewest)));
    found
}

#[test]
fn nine_of_ten_causes_have_their_name_within_ten_seconds() {
    let found: Vec<_> = refusals().into_iter().chain(endings()).collect();
    let late: Vec<_> = found.iter().filter(|(cause, named)| *named != Some(*cause)).collect();
    assert!(found.len() >= 25 && late.len() * 10 <= found.len(), "late or misnamed: {late:?}");
}
