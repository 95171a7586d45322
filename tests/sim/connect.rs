//! Every kind of client connects, with and without a NAT, and its traffic flows.

use crate::net::Proto;
use crate::net::line::Line;
use crate::net::nat::Nat;
use crate::world::{BEYOND, Direction, OFFICE_GATEWAY, World};
use sekisho::client::{Event, Profile};
use sekisho::packet::Drop;
use sekisho::story::Cause;
use std::time::Duration;

#[test]
fn one_client_connects_and_pings() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let phone = world.client(Profile::ios17(), "jiro", home);
    let params = world.connect(phone);
    assert_eq!(params.gateway, OFFICE_GATEWAY);
    assert_eq!(params.dns, [Some(OFFICE_GATEWAY), None]);
    assert!(world.ping(phone, OFFICE_GATEWAY));
    assert!(world.ping(phone, BEYOND));
}

#[test]
fn every_kind_connects_behind_a_nat() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world.connect(client);
        assert!(
            world[client].events.iter().any(|e| matches!(e, Event::IkeUp { behind_nat: true, .. })),
            "{name}"
        );
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert!(world.ping_with(client, BEYOND, 1200), "{name}");
        // Ten minutes later it is still there, and then it leaves.
        world.run_for(Duration::from_secs(600));
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        world.stop(client);
        assert_eq!(world.gateway().causes(), [Cause::PeerLeft], "{name}");
        assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0), "{name}");
    }
}

#[test]
fn every_kind_connects_without_a_nat_by_plain_esp() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = world.client(profile, "jiro", None);
        world.listen();
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        let heard = world.heard();
        assert!(heard.iter().any(|(_, packet)| packet.proto == Proto::Esp), "{name}");
        assert!(
            heard.iter().all(|(_, packet)| packet.esp().is_none() || packet.proto == Proto::Esp),
            "{name}"
        );
        world.stop(client);
        assert_eq!(world.gateway().causes(), [Cause::PeerLeft], "{name}");
        assert_eq!(world.gateway().population(), (0, 0), "{name}");
    }
}

#[test]
fn without_a_raw_socket_every_kind_uses_udp() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new().without_raw_socket();
        let client = world.client(profile, "jiro", None);
        world.listen();
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert!(world.heard().iter().all(|(_, packet)| packet.proto == Proto::Udp), "{name}");
        // The client's own address is shown as translated, never ours: Windows would not go on.
        assert!(
            world[client].events.iter().any(|e| matches!(e, Event::IkeUp { server_behind_nat: false, .. })),
            "{name}"
        );
    }
}

#[test]
fn every_kind_of_nat_is_passed() {
    for nat in [Nat::home(), Nat::linux(), Nat::carrier(), Nat::stingy()] {
        let mut world = World::new();
        let nat = world.nat(nat);
        let (pc, phone) =
            (world.client(Profile::windows10(), "jiro", nat), world.client(Profile::ios17(), "yas", nat));
        world.connect(pc);
        world.connect(phone);
        assert!(world.ping(pc, OFFICE_GATEWAY) && world.ping(phone, OFFICE_GATEWAY));
        world.run_for(Duration::from_secs(300));
        assert!(world.ping(pc, OFFICE_GATEWAY) && world.ping(phone, OFFICE_GATEWAY));
    }
}

/// 100 ms and 3 % loss each way: every kind comes through within its own patience, most of the time. A client whose own
/// retransmissions are unlucky tries again, as its user would.
#[test]
fn every_kind_connects_over_a_bad_line() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world[client].line = Line::BAD;
        let mut tries = 0;
        while world[client].address().is_none() {
            tries += 1;
            assert!(tries <= 2, "{name}: {:?}", world[client].events);
            world.start(client);
            world.run_until(Duration::from_secs(100), |w| {
                w[client].address().is_some() || !w[client].device.is_active()
            });
        }
        let pings = (0..20).filter(|_| world.ping(client, OFFICE_GATEWAY)).count();
        assert!(pings >= 14, "{name}: {pings} of 20");
    }
}

/// Our own share of the time is nothing: with 10 ms on the line and no wait of its own, a client is up within what its
/// round trips take.
#[test]
fn nobody_waits_for_us() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    for profile in Profile::all() {
        let name = profile.name;
        let client = world.client(profile, "jiro", home);
        let began = world.now;
        world.connect(client);
        let took = world.now - began;
        // 20 ms each for three exchanges of Main Mode, one of Quick Mode, up to four of L2TP, LCP, CHAP, IPCP.
        assert!(took <= Duration::from_millis(300), "{name}: {took:?}");
        world.stop(client);
    }
}

#[test]
fn the_gatehouse_and_key_agreement_may_take_their_time() {
    for profile in Profile::all() {
        let mut world = World::new();
        world.gateway_mut().gate_delay = Duration::from_millis(700);
        world.gateway_mut().dh_delay = Duration::from_millis(400);
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

#[test]
fn several_workers_serve_like_one() {
    let mut world = World::with(crate::world::Office::default().top("workers: 4"));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let nat = world.nat(Nat::home());
            world.client(Profile::windows10(), &format!("u{n}"), nat)
        })
        .collect();
    for client in &clients {
        world.connect(*client);
    }
    let busy = world.gateway().workers.iter().filter(|worker| worker.population().0 > 0).count();
    assert!(busy > 1);
    for a in &clients {
        assert!(world.ping(*a, OFFICE_GATEWAY));
        for b in &clients {
            let to = world[*b].address().unwrap();
            assert!(a == b || world.ping(*a, to), "{a:?} to {b:?}");
        }
    }
}

/// A connection that comes up leaves no packet of the client unanswered and none dropped but what a bad start explains.
#[test]
fn a_clean_start_drops_nothing() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let client = world.client(Profile::android(sekisho::client::ike::profile::Android::Seven), "jiro", home);
    world.listen();
    world.connect(client);
    let heard = world.heard();
    let ike = |direction| heard.iter().filter(|(d, p)| *d == direction && p.ike().is_some()).count();
    // Main Mode 6, INITIAL-CONTACT, Quick Mode 3.
    assert_eq!((ike(Direction::ToGateway), ike(Direction::FromGateway)), (6, 4));
    let drops: Vec<_> = world.gateway().workers[0].drops().iter().collect();
    assert!(drops.iter().all(|(drop, _)| matches!(drop, Drop::Repeated | Drop::Keepalive)), "{drops:?}");
}

/// Quick Mode with its own key agreement, which takes its time.
#[test]
fn perfect_forward_secrecy_works_where_a_client_wants_it() {
    use sekisho::crypto::suite::DhGroup;
    for group in [DhGroup::Modp2048, DhGroup::Ecp256] {
        let mut world = World::new();
        world.gateway_mut().dh_delay = Duration::from_millis(200);
        let mut profile = Profile::strongswan().with_lifetimes(600, 30);
        std::sync::Arc::make_mut(&mut profile.ike).pfs = Some(group);
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world.connect(client);
        world.run_for(Duration::from_secs(100));
        assert!(world[client].rekeys() >= 3);
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

/// Older Androids cut the ICV of SHA2-256 to 96 bits: told by their packets, and answered in kind.
#[test]
fn a_truncating_client_is_understood() {
    use sekisho::crypto::suite::EspAuth;
    for truncates in [true, false] {
        let mut profile = Profile::android(sekisho::client::ike::profile::Android::Six);
        profile.truncates_sha256 = truncates;
        std::sync::Arc::make_mut(&mut profile.ike)
            .esp
            .retain(|suite| suite.auth() == EspAuth::HmacSha256_128);
        let mut world = World::new();
        let home = world.nat(Nat::home());
        let client = world.client(profile.with_lifetimes(600, 30), "jiro", home);
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY));
        world.run_for(Duration::from_secs(100));
        assert!(world[client].rekeys() >= 3);
        assert!(world.ping(client, OFFICE_GATEWAY));
    }
}

/// It offers SHA2-256 before SHA-1, but one cannot know what it does with it.
#[test]
fn sha2_256_is_not_chosen_for_whoever_may_truncate_it() {
    use sekisho::crypto::suite::EspAuth;
    for profile in Profile::all() {
        let name = profile.name;
        let may = name.starts_with("android") || name.starts_with("ios") || name == "macos";
        let mut world = World::new();
        let client = world.client(profile, "jiro", None);
        world.connect(client);
        let chosen = world[client].events.iter().find_map(|event| match event {
            Event::EspUp { suite } => Some(suite.auth()),
            _ => None,
        });
        assert!(!may || chosen != Some(EspAuth::HmacSha256_128), "{name}: {chosen:?}");
    }
}

/// As a load generator does it: from any port straight to port 4500.
#[test]
fn a_client_may_begin_on_port_4500() {
    use sekisho::packet::Encap;
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = world.client(profile.with_udp_encapsulation().with_lifetimes(60, 30), "jiro", None);
        let mut path = world[client].device.path();
        path.encap = Encap::NatT;
        path.local.set_port(31_337);
        path.remote.set_port(4500);
        world[client].device.set_path(path);
        world.listen();
        world.connect(client);
        world.run_for(Duration::from_secs(100));
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert!(world.heard().iter().all(|(_, p)| p.from.port() == 4500 || p.to.port() == 4500), "{name}");
        assert_eq!(world.gateway().sessions(), 1, "{name}");
    }
}
