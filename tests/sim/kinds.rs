//! `clients` of the configuration: every option changes what a client of that kind meets, and nobody else.

use crate::net::nat::Nat;
use crate::net::{NAT_T_PORT, Packet};
use crate::rekey::quick_modes_of;
use crate::world::{ClientId, Direction, OFFICE_GATEWAY, Office, World};
use sekisho::client::{Event, Profile};
use sekisho::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite, IkeSuite};
use sekisho::wire::isakmp::ExchangeType;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The usual office with one line of `clients`.
fn office(kind: &str, settings: &str) -> Office {
    Office::default().top(&format!("clients: {{ {kind}: {{ {settings} }} }}"))
}

fn connected(world: &mut World, profile: Profile, user: &str) -> ClientId {
    let home = world.nat(Nat::home());
    let client = world.client(profile, user, home);
    world.connect(client);
    client
}

fn suites(world: &World, client: ClientId) -> (IkeSuite, EspSuite) {
    let mut ike = None;
    let mut esp = None;
    for event in &world[client].events {
        match event {
            Event::IkeUp { suite, .. } => ike = Some(*suite),
            Event::EspUp { suite } => esp = Some(*suite),
            _ => {}
        }
    }
    (ike.unwrap(), esp.unwrap())
}

/// A message of Phase 1 that the gateway sent in the clear: message 2 or 4.
fn in_clear(heard: &[(Direction, Packet)]) -> impl Iterator<Item = &[u8]> {
    heard.iter().filter(|(direction, _)| *direction == Direction::FromGateway).filter_map(|(_, packet)| {
        let header = packet.ike_header()?;
        (header.exchange == ExchangeType::IDENTITY_PROTECTION && !header.is_encrypted())
            .then(|| packet.ike())?
    })
}

fn contains(message: &[u8], bytes: &[u8]) -> bool {
    message.windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn preferences_change_the_ranking_of_one_kind() {
    let mut world = World::with(office(
        "windows",
        "ike: [modp1024, ecp256], esp: [3des-sha1, aes128], truncates_sha256: false",
    ));
    let pc = connected(&mut world, Profile::windows10(), "jiro");
    let phone = connected(&mut world, Profile::ios17(), "yas");
    let (ike, esp) = suites(&world, pc);
    assert_eq!(ike.group, DhGroup::Modp1024, "a preference ranks above what we would choose");
    assert_eq!(esp, EspSuite::of(EspCipher::TripleDesCbc, EspAuth::HmacSha1_96));
    let (ike, esp) = suites(&world, phone);
    assert_eq!(ike.group, DhGroup::Modp2048, "another kind is not concerned");
    assert_eq!(esp, EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96));
}

#[test]
fn preferences_choose_among_what_the_policy_allows_and_nothing_else() {
    let mut world =
        World::with(office("windows", "ike: [modp1024, 3des], esp: [3des]").ipsec("policy: modern"));
    let pc = connected(&mut world, Profile::windows10(), "jiro");
    let (ike, esp) = suites(&world, pc);
    assert!(
        !matches!(ike.group, DhGroup::Modp1024) && esp.cipher() != EspCipher::TripleDesCbc,
        "{ike} {esp}"
    );
}

#[test]
fn sha2_256_ranks_as_the_kind_is_said_to_cut_it() {
    for (truncates, auth) in [(true, EspAuth::HmacSha1_96), (false, EspAuth::HmacSha256_128)] {
        let mut world = World::with(office("apple", &format!("truncates_sha256: {truncates}")));
        let phone = connected(&mut world, Profile::ios17(), "jiro");
        assert_eq!(suites(&world, phone).1.auth(), auth);
        assert!(world.ping(phone, OFFICE_GATEWAY));
    }
}

#[test]
fn vendor_ids_are_sent_to_the_kind_that_wants_them() {
    let id = *b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc\x01\x00";
    let mut world = World::with(office("apple", "vendor_ids: [\"12f5f28c457168a9702d9fe274cc0100\"]"));
    for (profile, user, wanted) in [(Profile::ios17(), "jiro", true), (Profile::windows10(), "yas", false)] {
        world.listen();
        let client = connected(&mut world, profile, user);
        let heard = world.heard();
        assert_eq!(in_clear(&heard).any(|message| contains(message, &id)), wanted, "{user}");
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

/// The method that a user came in by.
fn method(world: &mut World, profile: Profile) -> String {
    let client = connected(world, profile, "jiro");
    world.stop(client);
    world.gateway().last_story().detail.auth.to_string()
}

#[test]
fn each_kind_has_its_order_of_authentication() {
    let eap_first = || Office::default().top("ppp: { auth: [eap-mschapv2, mschapv2, chap, pap] }");
    // Offered EAP, Android would name CHAP, which is worse than what it can do: EAP comes last there.
    for profile in [Profile::android(sekisho::client::ike::profile::Android::Seven), Profile::ios17()] {
        assert_eq!(method(&mut World::with(eap_first()), profile), "mschapv2");
    }
    let told =
        eap_first().top("clients: { strongswan: { auth: [pap, eap-md5] }, android: { auth: [chap] } }");
    assert_eq!(method(&mut World::with(told.clone()), Profile::strongswan()), "pap");
    let android = Profile::android(sekisho::client::ike::profile::Android::Seven);
    assert_eq!(method(&mut World::with(told.clone()), android), "chap");
    assert_eq!(method(&mut World::with(told), Profile::ios17()), "mschapv2");
}

const DPD: [u8; 16] =
    [0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 1, 0];

/// Announced or not, and asked or not once the phone has been silent for minutes.
#[test]
fn dead_peer_detection_is_asked_answered_or_not_announced() {
    for (dpd, announced, asked) in [("ask", true, true), ("answer", true, false), ("none", false, false)] {
        let mut world = World::with(office("android", &format!("dpd: {dpd}")));
        world.listen();
        let android = Profile::android(sekisho::client::ike::profile::Android::Seven);
        let phone = connected(&mut world, android, "jiro");
        let heard = world.heard();
        assert_eq!(in_clear(&heard).any(|message| contains(message, &DPD)), announced, "{dpd}");
        world.suspend(phone);
        world.run_for(Duration::from_secs(150));
        let heard = world.heard();
        let questions = heard.iter().filter(|(direction, packet)| {
            *direction == Direction::FromGateway
                && packet.ike_header().is_some_and(|header| header.exchange == ExchangeType::INFORMATIONAL)
        });
        assert_eq!(questions.count() > 0, asked, "{dpd}");
        world.wake(phone);
        assert!(world.ping(phone, OFFICE_GATEWAY), "{dpd}");
    }
}

/// The gateway goes first, or stays out of it even where the client forgets.
#[test]
fn keys_are_renewed_by_whom_the_configuration_names() {
    for (rekey, ours, theirs) in
        [("client", false, true), ("gateway", true, false), ("client-only", false, true)]
    {
        let mut world = World::with(office("windows", &format!("rekey: {rekey}")));
        let pc = connected(&mut world, Profile::windows10().with_lifetimes(3600, 60), "jiro");
        world.listen();
        for _ in 0..30 {
            assert!(world.ping(pc, OFFICE_GATEWAY), "{rekey}");
            world.run_for(Duration::from_secs(8));
        }
        let heard = world.heard();
        let begun =
            [Direction::FromGateway, Direction::ToGateway].map(|side| quick_modes_of(&heard, side) > 0);
        assert_eq!(begun, [ours, theirs], "{rekey}");
        assert!(world[pc].rekeys() >= 3, "{rekey}");
    }
}

/// One that lets its keys end and asks for new ones only then: the gateway would have stepped in, and does not.
#[test]
fn a_client_that_alone_may_renew_is_never_asked() {
    for (rekey, ours) in [("client", true), ("client-only", false)] {
        let mut world = World::with(office("windows", &format!("rekey: {rekey}")));
        let mut profile = Profile::windows10();
        profile.renewal.esp_percent = 200;
        let pc = connected(&mut world, profile.with_lifetimes(3600, 60), "jiro");
        world.listen();
        for _ in 0..15 {
            world.ping(pc, OFFICE_GATEWAY);
            world.run_for(Duration::from_secs(10));
        }
        assert_eq!(quick_modes_of(&world.heard(), Direction::FromGateway) > 0, ours, "{rekey}");
    }
}

#[test]
fn nat_keepalives_of_our_own_go_out_when_nothing_else_does() {
    for (settings, wanted) in [("keepalive: 15s", true), ("keepalive: none", false)] {
        let mut world = World::with(office("windows", settings));
        let pc = connected(&mut world, Profile::windows10(), "jiro");
        world.listen();
        world.run_for(Duration::from_secs(50));
        let keepalives = |heard: Vec<(Direction, Packet)>| {
            let ours = heard.into_iter().filter(|(direction, packet)| {
                *direction == Direction::FromGateway
                    && packet.bytes == [0xff]
                    && packet.from.port() == NAT_T_PORT
            });
            ours.count()
        };
        let idle = keepalives(world.heard());
        assert_eq!(idle >= 2, wanted, "{settings}: {idle}");
        assert!(idle <= 3);
        for _ in 0..10 {
            assert!(world.ping(pc, OFFICE_GATEWAY));
            world.run_for(Duration::from_secs(5));
        }
        assert_eq!(keepalives(world.heard()), 0, "not beside traffic");
    }
    // Nothing of the kind where no NAT is passed.
    let mut world = World::with(office("windows", "keepalive: 15s"));
    let pc = world.client(Profile::windows10(), "jiro", None);
    world.connect(pc);
    world.listen();
    world.run_for(Duration::from_secs(50));
    assert!(world.heard().iter().all(|(_, packet)| packet.bytes != [0xff]));
}

/// Behind a port forwarding, with and without a NAT of the client's own.
#[test]
fn a_server_behind_a_nat_is_hidden_from_the_kind_that_minds() {
    for hide in [true, false] {
        for nat in [Some(Nat::home()), None] {
            let mut world = World::with(office("windows", &format!("hide_server_nat: {hide}")));
            world.forwarded_to = Some(Ipv4Addr::new(192, 168, 7, 2).into());
            let nat = nat.map(|nat| world.nat(nat));
            let pc = world.client(Profile::windows10(), "jiro", nat);
            let phone = world.client(Profile::ios17(), "yas", nat);
            for (client, seen) in [(pc, !hide), (phone, true)] {
                world.connect(client);
                let told = world[client].events.iter().find_map(|event| match event {
                    Event::IkeUp { server_behind_nat, .. } => Some(*server_behind_nat),
                    _ => None,
                });
                assert_eq!(told, Some(seen), "hide {hide}, nat {nat:?}");
                assert!(world.ping(client, OFFICE_GATEWAY), "hide {hide}, nat {nat:?}");
            }
        }
    }
}

/// NAT-OA goes back to a client that sent its own, unless its kind is said not to want it. The answer is encrypted, so
/// its length tells: two payloads of 12 bytes are more than the padding hides.
#[test]
fn original_addresses_go_back_unless_the_kind_does_not_want_them() {
    let quick_mode_answer = |nat_oa: bool| {
        let mut world = World::with(office("apple", &format!("nat_oa: {nat_oa}")));
        world.listen();
        let phone = connected(&mut world, Profile::ios17(), "jiro");
        assert!(world.ping(phone, OFFICE_GATEWAY));
        let heard = world.heard();
        let answer = heard.iter().find(|(direction, packet)| {
            *direction == Direction::FromGateway
                && packet.ike_header().is_some_and(|header| header.exchange == ExchangeType::QUICK_MODE)
        });
        answer.unwrap().1.bytes.len()
    };
    assert!(quick_mode_answer(true) > quick_mode_answer(false) + 8);
}

/// Who shows nothing of itself in IKE, or what many show, is known by its L2TP or by its PPP, and treated accordingly.
#[test]
fn what_ike_leaves_open_l2tp_and_ppp_tell() {
    let without_vendor_ids = |mut profile: Profile| {
        let ike = std::sync::Arc::make_mut(&mut profile.ike);
        // NAT traversal alone, without which a client at home cannot connect at all.
        ike.vendor_ids.retain(|id| *id == sekisho::ike::vid::RFC_3947);
        profile
    };
    let android = Profile::android(sekisho::client::ike::profile::Android::Seven);
    for (profile, shown, method_of_kind) in [
        (without_vendor_ids(android), "Android", "chap"),
        (without_vendor_ids(Profile::ios17()), "Apple", "pap"),
        (without_vendor_ids(Profile::windows10()), "Windows", "mschapv2"),
        (Profile::strongswan(), "strongSwan, xl2tpd", "mschapv2"),
        (Profile::libreswan(), "libreswan, xl2tpd", "mschapv2"),
        (Profile::network_manager(), "NetworkManager", "mschapv2"),
        (Profile::windows10(), "Windows", "mschapv2"),
    ] {
        let name = profile.name;
        let office = Office::default().top("clients: { android: { auth: [chap] }, apple: { auth: [pap] } }");
        let mut world = World::with(office);
        let client = connected(&mut world, profile, "jiro");
        world.stop(client);
        let story = world.gateway().last_story();
        assert!(story.detail.client.starts_with(shown), "{name}: {}", story.detail.client);
        assert_eq!(story.detail.auth, method_of_kind, "{name}");
    }
}
