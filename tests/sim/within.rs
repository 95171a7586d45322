//! How soon a cause has its name: from the client's first message, or from the event that ends a session, to the answer of
//! `sekisho ctl why`. `docs/stories.md` says for each how long that takes, and what is measured here is never longer.

use crate::causes::flooded;
use crate::net::NAT_T_PORT;
use crate::net::nat::Nat;
use crate::world::{ClientId, Direction, OFFICE_GATEWAY, Office, World, login, raw_path};
use sekisho::client::Profile;
use sekisho::client::ike::Mode;
use sekisho::client::ike::profile::Android;
use sekisho::control::Command;
use sekisho::crypto::Secret;
use sekisho::crypto::suite::EspAuth;
use sekisho::ppp::AuthMethod;
use sekisho::story::{Cause, Lang, Story};
use sekisho::wire::avp::{Avp, Value};
use sekisho::wire::inet::udp_packet;
use sekisho::wire::isakmp::payload::{IdType, Identity};
use std::sync::Arc;
use std::time::Duration;

const STORIES: &str = include_str!("../../docs/stories.md");
/// The address of the first NAT of a world.
const HOME: &str = "203.0.113.1";
const SOON: Duration = Duration::from_secs(10);
/// How often somebody looks.
const LOOK: Duration = Duration::from_millis(250);
/// The longest that a session lives without a word of its client.
const PATIENCE: Duration = Duration::from_secs(400);
const GUESTS_KEY: &str = "a key for the guests alone";

/// A cause, and after how long it had its name; none if it never had.
type Named = (Cause, Option<Duration>);

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

fn why(world: &mut World, of: &str) -> Option<Cause> {
    let row = world.control(Command::Why { of: of.into(), lang: Lang::En }).ok()?.into_iter().next()?;
    serde_json::from_value::<Story>(row).ok()?.cause
}

/// Looks until the cause has its name: in the answer to `why`, or in the list of what has ended.
fn named(world: &mut World, of: &str, cause: Cause) -> Named {
    let began = world.now;
    while world.now - began <= PATIENCE {
        if why(world, of) == Some(cause) || world.gateway().causes().contains(&cause) {
            return (cause, Some(world.now - began));
        }
        world.run_for(LOOK);
    }
    (cause, None)
}

/// By what a client that cannot come in is told apart.
fn first_try(cause: Cause, office: Office, prepare: impl FnOnce(&mut World) -> (ClientId, String)) -> Named {
    let mut world = World::with(office);
    let (client, of) = prepare(&mut world);
    world.start(client);
    named(&mut world, &of, cause)
}

/// The usual case: a Windows PC at home, changed by `change`, as `name`.
fn pc(cause: Cause, office: Office, name: &str, change: impl FnOnce(&mut Profile)) -> Named {
    first_try(cause, office, |world| {
        let mut profile = Profile::windows10();
        change(&mut profile);
        (at_home(world, profile, name), HOME.to_owned())
    })
}

fn account(cause: Cause, settings: &str) -> Named {
    pc(cause, Office::default().user("jiro", settings), "jiro", |_| {})
}

fn refusals() -> Vec<Named> {
    let usual = Office::default;
    let with_key = |key: &'static str| move |profile: &mut Profile| *profile = profile.clone().with_psk(key);
    let guests_key = usual().psk(&format!("{{ key: \"{GUESTS_KEY}\", hub: GUESTS }}"));
    let two = |settings: &str| usual().user("jiro", settings);
    vec![
        pc(Cause::WrongPsk, usual(), "jiro", with_key("the key of somebody else")),
        pc(Cause::PskOfOtherHub, guests_key, "jiro", with_key(GUESTS_KEY)),
        first_try(Cause::NoIkeProposal, usual().ipsec("policy: modern"), |world| {
            (at_home(world, Profile::android(Android::Seven), "jiro"), HOME.to_owned())
        }),
        first_try(Cause::NoEspProposal, usual(), |world| {
            let mut profile = Profile::ios17();
            Arc::make_mut(&mut profile.ike).esp.retain(|suite| suite.auth() == EspAuth::HmacMd5_96);
            (at_home(world, profile, "jiro"), HOME.to_owned())
        }),
        first_try(Cause::AggressiveModeRefused, usual(), |world| {
            let mut profile = Profile::ios17();
            let data = b"mygroup".to_vec();
            let name = Identity { kind: IdType::KEY_ID, protocol: 0, port: 0, data };
            Arc::make_mut(&mut profile.ike).mode = Mode::Aggressive(name);
            (at_home(world, profile, "jiro"), HOME.to_owned())
        }),
        {
            let mut world = World::new();
            let mut request = vec![0x11; 8];
            request.extend([0; 8]);
            request.extend([33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 28]);
            world.inject(crate::net::Packet::udp("192.0.2.9:500", "198.51.100.1:500", &request));
            named(&mut world, "192.0.2.9", Cause::Ikev2Client)
        },
        first_try(Cause::NoNatT, usual(), |world| {
            let client = at_home(world, Profile::windows10(), "jiro");
            world.lose(|_, packet| packet.from.port() == NAT_T_PORT || packet.to.port() == NAT_T_PORT);
            (client, HOME.to_owned())
        }),
        first_try(Cause::NoL2tp, usual(), |world| {
            let client = world.client(Profile::strongswan(), "jiro", None);
            world.lose(|direction, packet| direction == Direction::ToGateway && packet.esp().is_some());
            let address = world[client].address.to_string();
            (client, address)
        }),
        first_try(Cause::RawL2tpRefused, usual(), |world| {
            let client = at_home(world, Profile::strongswan(), "jiro");
            let path = raw_path(world[client].address);
            world[client].device.set_path(path);
            (client, HOME.to_owned())
        }),
        first_try(Cause::NoCommonAuth, usual().top("ppp: { auth: [mschapv2] }"), |world| {
            let mut profile = Profile::strongswan();
            profile.ppp = profile.ppp.with_auth(&[AuthMethod::Pap]);
            (at_home(world, profile, "jiro"), HOME.to_owned())
        }),
        first_try(Cause::WrongPassword, usual(), |world| {
            let client = at_home(world, Profile::windows10(), "jiro");
            let mut wrong = login("jiro");
            wrong.password = Secret::from("guessed");
            world[client].device.set_login(wrong);
            (client, "jiro@OFFICE".to_owned())
        }),
        pc(Cause::UnknownUser, usual(), "jirou", |_| {}),
        pc(Cause::UnknownHub, usual(), "jiro@kitchen", |_| {}),
        pc(Cause::NoHubNamed, Office { top: vec!["default_hub: none".into()], ..usual() }, "jiro", |_| {}),
        account(Cause::UserDisabled, "disabled: true"),
        account(Cause::AccountExpired, "expires: 2026-09-20"),
        account(Cause::OutOfHours, "hours: mon-fri 08:00-14:00"),
        account(Cause::AccessDenied, "access: deny"),
        {
            let mut world = World::with(two("max_sessions: 1, on_limit: deny"));
            let first = at_home(&mut world, Profile::windows10().with_host_name("one"), "jiro");
            world.connect(first);
            let second = at_home(&mut world, Profile::windows10().with_host_name("two"), "jiro");
            world.start(second);
            named(&mut world, "jiro@OFFICE", Cause::SessionLimit)
        },
        {
            let range = "dhcp: { range: 10.60.0.10-10.60.0.10 }";
            let mut world = World::with(usual().only(&["network: 10.60.0.0/24", range]));
            let first = at_home(&mut world, Profile::windows10(), "jiro");
            world.connect(first);
            let second = at_home(&mut world, Profile::windows10(), "yas");
            world.start(second);
            named(&mut world, "yas@OFFICE", Cause::PoolEmpty)
        },
        pc(
            Cause::LanDhcpSilent,
            usual().office("uplink: { bridge: br0 }").office("address: lan-dhcp"),
            "jiro",
            |_| {},
        ),
        pc(Cause::L2tpRefused, usual(), "jiro", |profile| {
            let demand = Avp::mandatory(Value::Challenge(b"prove yourself"));
            Arc::make_mut(&mut profile.lac).sccrq.push(demand);
        }),
        pc(Cause::AddressRefused, usual(), "jiro", |profile| {
            profile.ppp = profile.ppp.clone().with_stubborn_address("10.9.9.9".parse().unwrap());
        }),
        {
            let mut world = World::with(usual().top("limits: { half_open: 64 }"));
            let client = at_home(&mut world, Profile::windows10(), "jiro");
            flooded(&mut world, client);
            named(&mut world, HOME, Cause::FloodProtection)
        },
        {
            let mut world = World::with(usual());
            world.control(Command::BanAdd { who: HOME.into(), seconds: 600 }).unwrap();
            let client = at_home(&mut world, Profile::windows10(), "jiro");
            world.start(client);
            named(&mut world, HOME, Cause::Banned)
        },
    ]
}

/// A client that is connected, and what then happens to it.
fn connected(settings: &str) -> (World, ClientId) {
    let mut world = World::with(Office::default().user("jiro", settings));
    let client = at_home(&mut world, Profile::windows10().with_host_name("one"), "jiro");
    world.connect(client);
    (world, client)
}

fn endings() -> Vec<Named> {
    let of_jiro = |mut world: World, cause| named(&mut world, "jiro@OFFICE", cause);
    let mut found = Vec::new();
    let (mut world, client) = connected("");
    world.stop(client);
    found.push(of_jiro(world, Cause::PeerLeft));
    let (mut world, _) = connected("");
    world.kick("jiro");
    found.push(of_jiro(world, Cause::Kicked));
    let (mut world, _) = connected("");
    world.control(Command::HubOffline { hub: "OFFICE".into() }).unwrap();
    found.push(of_jiro(world, Cause::HubOffline));
    let (mut world, _) = connected("");
    let clock = world.clock();
    world.gateway_mut().shutdown(clock);
    found.push(of_jiro(world, Cause::GatewayStopped));
    let (mut world, client) = connected("");
    world.vanish(client);
    world.connect(client);
    found.push(of_jiro(world, Cause::ReplacedBySameDevice));
    let (mut world, _) = connected("max_sessions: 1, on_limit: replace-oldest");
    let second = at_home(&mut world, Profile::windows10().with_host_name("two"), "jiro");
    world.connect(second);
    found.push(of_jiro(world, Cause::ReplacedByNewest));
    let (mut world, client) = connected("");
    world.vanish(client);
    found.push(of_jiro(world, Cause::LinkLost));
    let mut world = World::with(Office::default());
    let home = world.nat(Nat::home());
    let client = world.client(Profile::windows10(), "jiro", home);
    world.connect(client);
    world.nat_mut(home).rebind();
    world.lose(|direction, packet| direction == Direction::ToGateway && packet.bytes != [0xff]);
    found.push(of_jiro(world, Cause::NatMappingLost));
    found
}

/// A way that carries less and less.
fn troubles() -> Vec<Named> {
    let mut found = Vec::new();
    let mut world = World::new();
    let client = at_home(&mut world, Profile::android(Android::Seven), "jiro");
    world.lose(|_, packet| packet.esp().is_some() && packet.wire_len() > 600);
    world.connect(client);
    found.push(named(&mut world, "jiro@OFFICE", Cause::MtuBlackHole));

    // A resolver asks after no time, 1 s, 2 s and 5 s, as glibc and Windows do at the slowest.
    let (mut world, client) = connected("");
    let (own, server) = ((world[client].address().unwrap(), 50_000), (OFFICE_GATEWAY, 53));
    let began = world.now;
    for wait in [1, 1, 3, 0] {
        world.send_ip(client, udp_packet(own, server, b"where is it?"));
        world.run_for(Duration::from_secs(wait));
    }
    let before = world.now - began;
    let (cause, after) = named(&mut world, "jiro@OFFICE", Cause::DnsUnreachable);
    found.push((cause, after.map(|after| before + after)));

    // Keys of a minute that cannot be renewed: from their end on.
    let mut world = World::new();
    let mut profile = Profile::windows10().with_lifetimes(28_800, 60);
    profile.renewal.esp_percent = 200;
    let client = at_home(&mut world, profile, "jiro");
    world.connect(client);
    world.lose(|_, packet| packet.ike().is_some());
    for _ in 0..6 {
        world.ping(client, OFFICE_GATEWAY);
        world.run_for(Duration::from_secs(10));
    }
    found.push(named(&mut world, "jiro@OFFICE", Cause::RekeyFailed));
    found
}

/// Within how long each cause has its name, as the document has it.
fn documented() -> Vec<(Cause, Duration)> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _, cause, within, ..] = columns[..] else { return None };
        let cause = Cause::from_key(cause.trim_matches('`'))?;
        let (number, unit) = within.split_once(' ')?;
        let seconds = number.parse::<u64>().ok()? * if unit == "min" { 60 } else { 1 };
        Some((cause, Duration::from_secs(seconds)))
    };
    STORIES.lines().filter_map(row).collect()
}

/// The causes that have to be told apart at least: nine of ten within ten seconds.
const TOLD_APART: &[Cause] = &[
    Cause::WrongPsk,
    Cause::PskOfOtherHub,
    Cause::NoIkeProposal,
    Cause::NoEspProposal,
    Cause::AggressiveModeRefused,
    Cause::Ikev2Client,
    Cause::NoNatT,
    Cause::NoL2tp,
    Cause::RawL2tpRefused,
    Cause::L2tpRefused,
    Cause::NoCommonAuth,
    Cause::WrongPassword,
    Cause::UnknownUser,
    Cause::UnknownHub,
    Cause::UserDisabled,
    Cause::AccountExpired,
    Cause::OutOfHours,
    Cause::SessionLimit,
    Cause::PoolEmpty,
    Cause::LanDhcpSilent,
    Cause::AddressRefused,
    Cause::MtuBlackHole,
    Cause::DnsUnreachable,
    Cause::LinkLost,
    Cause::PeerLeft,
    Cause::RekeyFailed,
    Cause::NatMappingLost,
    Cause::ReplacedBySameDevice,
    Cause::Banned,
    Cause::GatewayStopped,
    Cause::FloodProtection,
];

#[test]
fn nine_of_ten_causes_have_their_name_within_ten_seconds() {
    let found: Vec<Named> = refusals().into_iter().chain(endings()).chain(troubles()).collect();
    let documented = documented();
    let promised = |cause: Cause| documented.iter().find(|(row, _)| *row == cause).map(|(_, within)| *within);
    for (cause, after) in &found {
        let within = promised(*cause).unwrap_or_else(|| panic!("{cause} has no time in docs/stories.md"));
        let after = after.unwrap_or_else(|| panic!("{cause} was never named"));
        assert!(after <= within, "{cause} was named after {after:?}, docs/stories.md says {within:?}");
    }
    let soon = |cause: &&Cause| {
        promised(**cause).is_some_and(|within| within <= SOON)
            && found.iter().any(|(measured, _)| *measured == **cause)
    };
    let soon = TOLD_APART.iter().filter(soon).count();
    assert!(soon * 10 >= TOLD_APART.len() * 9, "{soon} of {}", TOLD_APART.len());
}
