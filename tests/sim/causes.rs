//! A client that cannot come in is told so where it listens, and the gateway's story names the cause.

use crate::net::nat::Nat;
use crate::net::{IKE_PORT, NAT_T_PORT};
use crate::world::{ClientId, Direction, Office, World, login};
use sekisho::client::ike::Failure;
use sekisho::client::ike::profile::Android;
use sekisho::client::lac::End;
use sekisho::client::{Profile, Reason};
use sekisho::crypto::Secret;
use sekisho::ppp;
use sekisho::story::Cause;
use sekisho::wire::isakmp::payload::NotifyType;
use std::sync::Arc;
use std::time::Duration;

fn at_home(world: &mut World, profile: Profile, name: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, name, home)
}

/// Nothing is left behind of an attempt that failed.
fn assert_clean(world: &mut World) {
    world.run_for(Duration::from_secs(60));
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0));
    for hub in world.gateway().gatehouse.hubs() {
        assert_eq!(hub.port_count(), 1, "the uplink's alone");
    }
}

#[test]
fn a_wrong_key_is_told_where_the_client_listens() {
    for profile in Profile::all() {
        let name = profile.name;
        let believes = profile.ike.believes_clear_notify;
        let mut world = World::new();
        let client = at_home(&mut world, profile.with_psk("the key of somebody else"), "jiro");
        let began = world.now;
        let reason = world.fail_to_connect(client);
        if believes {
            assert!(matches!(reason, Reason::Ike(Failure::Refused(_))), "{name}: {reason:?}");
            assert!(world.now - began < Duration::from_secs(45), "{name}");
        } else {
            assert_eq!(reason, Reason::Ike(Failure::NoAnswer), "{name}");
        }
        assert!(world.gateway().causes().iter().all(|cause| *cause == Cause::WrongPsk), "{name}");
        let story = world.gateway().last_story();
        assert_eq!((story.cause, story.stage.as_str()), (Cause::WrongPsk, "ike"), "{name}");
        assert!(!story.detail.client.is_empty(), "{name}");
        assert_clean(&mut world);
    }
}

#[test]
fn a_wrong_key_gets_one_notify_however_often_it_is_tried() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10().with_psk("wrong"), "jiro");
    world.listen();
    world.start(client);
    world.run_for(Duration::from_secs(8));
    let heard = world.heard();
    let notifies = heard
        .iter()
        .filter(|(direction, packet)| *direction == Direction::FromGateway && packet.ike().is_some())
        .filter_map(|(_, packet)| packet.ike_header())
        .filter(|header| header.exchange == sekisho::wire::isakmp::ExchangeType::INFORMATIONAL)
        .count();
    assert_eq!(notifies, 1);
}

#[test]
fn a_wrong_password_is_error_691() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        let mut wrong = login("jiro");
        wrong.password = Secret::from("guessed");
        world[client].device.set_login(wrong);
        let reason = world.fail_to_connect(client);
        let Reason::Ppp(ppp::Cause::RefusedByServer { error: number, .. }) = reason else {
            panic!("{name}: {reason:?}")
        };
        assert_eq!(number, Some(691), "{name}");
        let story = world.gateway().last_story();
        assert_eq!((story.cause, story.stage.as_str()), (Cause::WrongPassword, "authentication"), "{name}");
        assert_eq!((story.detail.user.as_str(), story.detail.hub.as_str()), ("jiro", "OFFICE"), "{name}");
        assert_eq!(world.gateway().causes().len(), 1, "{name}");
        assert_clean(&mut world);
    }
}

#[test]
fn names_that_lead_nowhere_have_their_own_causes() {
    for (name, cause, user, hub) in [
        ("jirou", Cause::UnknownUser, "jirou", "OFFICE"),
        ("jirou@guests", Cause::UnknownUser, "jirou", "GUESTS"),
        ("jiro@kitchen", Cause::UnknownHub, "jiro@kitchen", "OFFICE"),
        ("KITCHEN\\jiro", Cause::UnknownHub, "KITCHEN\\jiro", "OFFICE"),
        ("visitor", Cause::UnknownUser, "visitor", "OFFICE"),
    ] {
        let mut world = World::new();
        let client = at_home(&mut world, Profile::windows10(), name);
        let reason = world.fail_to_connect(client);
        assert!(
            matches!(reason, Reason::Ppp(ppp::Cause::RefusedByServer { error: Some(691), .. })),
            "{name}: {reason:?}"
        );
        let story = world.gateway().last_story();
        assert_eq!(story.cause, cause, "{name}");
        assert_eq!((story.detail.user.as_str(), story.detail.hub.as_str()), (user, hub), "{name}");
        assert_eq!(story.detail.name, name);
    }
}

#[test]
fn without_a_default_hub_a_bare_name_is_nobodys() {
    let office = Office { top: vec!["default_hub: none".into()], ..Office::default() };
    let mut world = World::with(office);
    let bare = at_home(&mut world, Profile::windows10(), "jiro");
    world.fail_to_connect(bare);
    assert_eq!(world.gateway().last_story().cause, Cause::NoHubNamed);
    let full = at_home(&mut world, Profile::windows10(), "jiro@office");
    world.connect(full);
}

/// After a wrong password a user types it again: Windows and Apple start over, xl2tpd uses the IPsec that is up.
#[test]
fn the_next_try_with_the_right_password_works() {
    for profile in Profile::all() {
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        let mut wrong = login("jiro");
        wrong.password = Secret::from("guessed");
        world[client].device.set_login(wrong);
        world.start(client);
        world.run_until(Duration::from_secs(30), |w| !w[client].device.is_active());
        world[client].device.set_login(login("jiro"));
        world.connect(client);
        assert!(world.ping(client, crate::world::OFFICE_GATEWAY));
        assert_eq!(world.gateway().sessions(), 1);
    }
}

#[test]
fn a_policy_that_is_too_strict_is_named() {
    let mut world = World::with(Office::default().ipsec("policy: modern"));
    let phone = at_home(&mut world, Profile::android(Android::Seven), "jiro");
    world.fail_to_connect(phone);
    let story = world.gateway().last_story();
    assert_eq!(story.cause, Cause::NoIkeProposal);
    assert!(story.detail.offered.contains("MODP-1024"), "{}", story.detail.offered);
    assert_eq!(story.detail.client, "Android");
    // Apple believes the notify that everybody gets.
    let mut old = Profile::ios13();
    Arc::make_mut(&mut old.ike).phase1.drain(..7);
    let old = at_home(&mut world, old, "jiro");
    assert_eq!(world.fail_to_connect(old), Reason::Ike(Failure::Refused(NotifyType::NO_PROPOSAL_CHOSEN)));
}

#[test]
fn no_esp_suite_in_common_is_named() {
    let mut world = World::new();
    let mut profile = Profile::ios17();
    Arc::make_mut(&mut profile.ike)
        .esp
        .retain(|suite| suite.auth() == sekisho::crypto::suite::EspAuth::HmacMd5_96);
    let client = at_home(&mut world, profile, "jiro");
    let reason = world.fail_to_connect(client);
    assert!(matches!(reason, Reason::Ike(Failure::Refused(_) | Failure::NoAnswer)), "{reason:?}");
    assert_eq!(world.gateway().last_story().cause, Cause::NoEspProposal);
}

#[test]
fn a_way_without_port_4500_is_named() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world.lose(|_, packet| packet.from.port() == NAT_T_PORT || packet.to.port() == NAT_T_PORT);
    world.fail_to_connect(client);
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.gateway().last_story().cause, Cause::NoNatT);
}

#[test]
fn a_client_that_stops_midway_is_told_apart_by_its_stage() {
    // Nothing of the client but its first message.
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    let mut first = true;
    world.lose(move |direction, packet| {
        direction == Direction::ToGateway
            && packet.to.port() == IKE_PORT
            && !std::mem::replace(&mut first, false)
    });
    world.start(client);
    world.run_for(Duration::from_secs(90));
    assert_eq!(world.gateway().causes(), [Cause::IkeUnfinished]);

    // IPsec comes up, and no ESP passes.
    let mut world = World::new();
    let client = at_home(&mut world, Profile::strongswan(), "jiro");
    world.lose(|direction, packet| direction == Direction::ToGateway && packet.esp().is_some());
    let reason = world.fail_to_connect(client);
    assert!(matches!(reason, Reason::Deleted | Reason::L2tp(End::NoAnswer)), "{reason:?}");
    assert_eq!(world.gateway().causes(), [Cause::NoL2tp]);
    assert_clean(&mut world);
}

#[test]
fn no_common_authentication_is_named() {
    let mut world = World::with(Office::default().top("ppp: { auth: [mschapv2] }"));
    let mut profile = Profile::strongswan();
    profile.ppp = profile.ppp.with_auth(&[ppp::AuthMethod::Pap]);
    let client = at_home(&mut world, profile, "jiro");
    world.fail_to_connect(client);
    assert_eq!(world.gateway().last_story().cause, Cause::NoCommonAuth);
}

#[test]
fn every_allowed_authentication_works() {
    for method in [ppp::AuthMethod::MsChapV2, ppp::AuthMethod::ChapMd5, ppp::AuthMethod::Pap] {
        let mut world = World::new();
        let mut profile = Profile::strongswan();
        profile.ppp = profile.ppp.with_auth(&[method]);
        let client = at_home(&mut world, profile, "jiro");
        assert_eq!(world.connect(client).auth, Some(method));
        assert!(world.ping(client, crate::world::OFFICE_GATEWAY));
    }
}

#[test]
fn eap_is_spoken_with_whom_it_pleases() {
    use ppp::AuthMethod::{EapMd5, EapMsChapV2, MsChapV2};
    for (profile, spoken, expected) in [
        (Profile::strongswan(), Some(EapMsChapV2), EapMsChapV2),
        (Profile::strongswan(), Some(EapMd5), EapMd5),
        // pppd with refuse-eap, Apple, and Windows as it comes: they name what they want instead.
        (Profile::android(Android::Seven), None, MsChapV2),
        (Profile::ios17(), None, MsChapV2),
        (Profile::windows10(), None, MsChapV2),
    ] {
        let mut world =
            World::with(Office::default().top("ppp: { auth: [eap-mschapv2, eap-md5, mschapv2] }"));
        let mut profile = profile;
        if let Some(method) = spoken {
            profile.ppp = profile.ppp.with_auth(&[method]);
        }
        let name = profile.name;
        let client = at_home(&mut world, profile, "jiro");
        assert_eq!(world.connect(client).auth, Some(expected), "{name}");
        assert!(world.ping(client, crate::world::OFFICE_GATEWAY), "{name}");
    }
}

/// Whoever holds the group's key could impersonate the gateway: Aggressive Mode is for configured groups alone.
#[test]
fn aggressive_mode_without_a_group_is_refused_by_name() {
    use sekisho::client::ike::Mode;
    use sekisho::wire::isakmp::payload::Identity;
    for profile in [Profile::android(Android::Seven), Profile::ios17()] {
        let mut world = World::new();
        let mut profile = profile;
        let name = Identity {
            kind: sekisho::wire::isakmp::payload::IdType::KEY_ID,
            protocol: 0,
            port: 0,
            data: b"mygroup".to_vec(),
        };
        Arc::make_mut(&mut profile.ike).mode = Mode::Aggressive(name);
        let client = at_home(&mut world, profile, "jiro");
        let reason = world.fail_to_connect(client);
        assert!(matches!(reason, Reason::Ike(_)), "{reason:?}");
        assert!(!world.gateway().causes().is_empty());
        assert!(world.gateway().causes().iter().all(|cause| *cause == Cause::AggressiveModeRefused));
    }
}

#[test]
fn an_empty_pool_is_named() {
    let office = Office::default().only(&["network: 10.60.0.0/24", "dhcp: { range: 10.60.0.10-10.60.0.11 }"]);
    let mut world = World::with(office);
    for user in ["jiro", "yas"] {
        let client = at_home(&mut world, Profile::windows10(), user);
        world.connect(client);
    }
    let third = at_home(&mut world, Profile::windows10(), "mika");
    world.fail_to_connect(third);
    assert_eq!(world.gateway().causes(), [Cause::PoolEmpty]);
    assert_eq!(world.gateway().sessions(), 2);
}

#[test]
fn an_ikev2_client_is_told_and_recorded() {
    let mut world = World::new();
    world.listen();
    // IKE_SA_INIT with nothing in it: the header is enough.
    let mut request = vec![0x11; 8];
    request.extend([0; 8]);
    request.extend([33, 0x20, 34, 0x08, 0, 0, 0, 0, 0, 0, 0, 28]);
    world.inject(crate::net::Packet::udp("192.0.2.9:500", "198.51.100.1:500", &request));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.gateway().causes(), [Cause::Ikev2Client]);
    let answers =
        world.heard().into_iter().filter(|(direction, _)| *direction == Direction::FromGateway).count();
    assert_eq!(answers, 1);
}

/// Two ways in which the sides can part over L2TP: the client demands what is not known here, or a proof of ours that
/// nobody has configured.
#[test]
fn refused_l2tp_is_named_with_its_reason() {
    use sekisho::wire::avp::{AttributeType, Avp, Value};
    for (avp, note) in [
        (Avp::mandatory(Value::Passed(AttributeType(199), b"?")), "attribute 0/199"),
        (Avp::mandatory(Value::Challenge(b"prove yourself")), "tunnel secret"),
    ] {
        let mut world = World::new();
        let mut profile = Profile::strongswan();
        Arc::make_mut(&mut profile.lac).sccrq.push(avp);
        let client = at_home(&mut world, profile, "jiro");
        world.fail_to_connect(client);
        let story = world.gateway().last_story();
        assert_eq!(story.cause, Cause::L2tpRefused, "{note}");
        assert!(story.detail.note.contains(note), "{}", story.detail.note);
        assert_clean(&mut world);
    }
}

/// A client with an address of its own that it does not give up: IPCP ends without an agreement about it, and nothing that
/// it then sends is let in.
#[test]
fn a_client_that_keeps_its_own_address_is_named() {
    let mut world = World::new();
    let mut profile = Profile::strongswan();
    profile.ppp = profile.ppp.with_stubborn_address("10.9.9.9".parse().unwrap());
    let client = at_home(&mut world, profile, "jiro");
    world.connect(client);
    assert!(!world.ping(client, crate::world::OFFICE_GATEWAY));
    let running = world.gateway().gatehouse.stories().running(None).next().unwrap();
    assert_eq!(running.suspected(), Some(Cause::AddressRefused));
    world.stop(client);
    assert_eq!(world.gateway().causes(), [Cause::AddressRefused]);
}

/// The name servers that a client was given say nothing: it asks and asks. An answer takes the suspicion back.
#[test]
fn silent_name_servers_are_named_until_they_answer() {
    use sekisho::wire::inet::udp_packet;
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    let own = (world.connect(client).address, 50_000);
    let server = (crate::world::OFFICE_GATEWAY, 53);
    let suspected = |world: &World| {
        let running = world.gateway().gatehouse.stories().running(None).next().unwrap();
        (running.suspected(), running.detail().note.clone())
    };
    for wait in [1, 1, 2, 1] {
        assert_eq!(suspected(&world).0, None);
        world.send_ip(client, udp_packet(own, server, b"where is it?"));
        world.run_for(Duration::from_secs(wait));
    }
    assert_eq!(suspected(&world), (Some(Cause::DnsUnreachable), "no answer from 10.60.0.1".into()));
    world.send_from_uplink(crate::traffic::OFFICE, udp_packet(server, own, b"there"));
    world.run_for(Duration::from_secs(1));
    assert_eq!(suspected(&world), (None, "".into()));
    // It falls silent again, and that is what the user leaves for.
    for _ in 0..3 {
        world.send_ip(client, udp_packet(own, server, b"where is it?"));
        world.run_for(Duration::from_secs(2));
    }
    world.stop(client);
    assert_eq!(world.gateway().causes(), [Cause::DnsUnreachable]);
}

/// Servers that the client was not given are its own affair.
#[test]
fn questions_to_other_name_servers_prove_nothing() {
    use sekisho::wire::inet::udp_packet;
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    let own = (world.connect(client).address, 50_000);
    for _ in 0..10 {
        world.send_ip(client, udp_packet(own, ("9.9.9.9".parse().unwrap(), 53), b"where is it?"));
        world.run_for(Duration::from_secs(1));
    }
    world.stop(client);
    assert_eq!(world.gateway().causes(), [Cause::PeerLeft]);
}

/// A flood of first messages takes the place of a client that was on its way: it comes in when it tries again, and the story
/// says what had happened.
#[test]
fn a_client_that_a_flood_turned_away_is_told_so() {
    let mut world = World::with(Office::default().top("limits: { half_open: 64 }"));
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    flooded(&mut world, client);
    assert!(world.gateway().causes().contains(&Cause::FloodProtection), "{:?}", world.gateway().causes());
    world.lose_nothing();
    world.run_for(Duration::from_secs(60));
    world.connect(client);
}

/// The client's first message arrives and nothing else of it, and then those of two hundred others who never go on.
pub fn flooded(world: &mut World, client: ClientId) {
    world.listen();
    world.lose(|direction, _| direction == Direction::FromGateway);
    world.start(client);
    world.run_for(Duration::from_millis(200));
    let heard = world.heard();
    let (_, first) = heard.iter().find(|(direction, _)| *direction == Direction::ToGateway).unwrap();
    for n in 0..200_u8 {
        let mut forged = first.clone();
        forged.from = format!("192.0.2.{n}:500").parse().unwrap();
        forged.bytes[0] ^= n.wrapping_add(1);
        world.inject(forged);
    }
    world.run_for(Duration::from_millis(50));
}

/// What runs is followed stage by stage, and leads from the session to its story.
#[test]
fn a_running_attempt_is_followed_to_its_traffic() {
    use sekisho::story::Stage;
    let mut world = World::new();
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world.connect(client);
    let stage = |world: &World| {
        let session = world.gateway().session("jiro").unwrap();
        world.gateway().gatehouse.stories().attempt(session.attempt).map(|attempt| attempt.stage())
    };
    assert_eq!(stage(&world), Some(Stage::LinkUp));
    world.ping(client, crate::world::OFFICE_GATEWAY);
    assert_eq!(stage(&world), Some(Stage::Traffic));
    let attempt = world.gateway().session("jiro").unwrap().attempt;
    world.stop(client);
    assert_eq!(world.gateway().last_story().attempt, attempt);
    assert_eq!(world.gateway().gatehouse.stories().running_count(), 0);
}
