//! How connections end and come back: goodbyes, silence, sleep, restarts.

use crate::net::nat::Nat;
use crate::traffic::OFFICE;
use crate::world::{BEYOND, ClientId, Direction, End, Leases, OFFICE_GATEWAY, Office, World};
use sekisho::client::{Event, Profile, Reason};
use sekisho::story::Cause;
use sekisho::wire::isakmp::ExchangeType;
use std::time::Duration;

fn at_home(world: &mut World, profile: Profile, user: &str) -> ClientId {
    let home = world.nat(Nat::home());
    world.client(profile, user, home)
}

fn link_of(world: &World, user: &str) -> (sekisho::hub::Mac, std::net::Ipv4Addr) {
    let session = world.gateway().session(user).unwrap();
    let hub = &world.gateway().gatehouse.hubs()[session.hub.0 as usize];
    (hub.port(session.port.unwrap()).unwrap().mac, session.address.unwrap())
}

/// Power lost and back in the same second, on the same NAT mappings: no waiting for the dead.
#[test]
fn a_client_that_vanished_is_back_at_once() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        let began = world.now;
        let first = world.connect(client);
        let took = world.now - began;
        let link = link_of(&world, "jiro");
        world.run_for(Duration::from_secs(5));
        world.vanish(client);
        let began = world.now;
        let again = world.connect(client);
        assert!(world.now - began <= took + Duration::from_millis(100), "{name}: {:?}", world.now - began);
        assert_eq!(again.address, first.address, "{name}");
        assert_eq!(link_of(&world, "jiro"), link, "{name}: same MAC");
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert_eq!(world.gateway().sessions(), 1, "{name}");
        assert_eq!(world.gateway().causes(), [Cause::ReplacedBySameDevice], "{name}");
        // What was left of the old one goes within half a minute, and takes nothing with it.
        world.run_for(Duration::from_secs(40));
        assert_eq!(world.gateway().population(), (1, 0), "{name}");
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
    }
}

/// The same without a NAT.
#[test]
fn without_a_nat_too() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = world.client(profile, "jiro", None);
        let first = world.connect(client);
        world.run_for(Duration::from_secs(5));
        world.vanish(client);
        assert_eq!(world.connect(client).address, first.address, "{name}");
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        world.run_for(Duration::from_secs(40));
        assert_eq!((world.gateway().population(), world.gateway().sessions()), ((1, 0), 1), "{name}");
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
    }
}

/// Again and again, each time a little later in the connection: there is one session in the end, and it works.
#[test]
fn a_client_that_vanishes_at_any_moment_is_back_at_once() {
    for (profile, nat) in [
        (Profile::windows10(), true),
        (Profile::windows10(), false),
        (Profile::ios17(), true),
        (Profile::ios17(), false),
        (Profile::strongswan(), true),
        (Profile::strongswan(), false),
    ] {
        let name = profile.name;
        let mut world = World::new();
        let home = nat.then(|| world.nat(Nat::home()));
        let client = world.client(profile, "jiro", home);
        for after_ms in (15..400).step_by(17) {
            world.start(client);
            world.run_for(Duration::from_millis(after_ms));
            world.vanish(client);
        }
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert_eq!(world.gateway().sessions(), 1, "{name}");
        world.run_for(Duration::from_secs(60));
        assert_eq!(world.gateway().population(), (1, 0), "{name}");
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
    }
}

#[test]
fn a_client_that_vanished_for_good_is_given_up() {
    let mut world = World::with(Office::default().top("sessions: { dead_after: 2m }"));
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world.connect(client);
    world.run_for(Duration::from_secs(10));
    world.vanish(client);
    world.run_for(Duration::from_secs(105));
    assert_eq!(world.gateway().sessions(), 1);
    world.run_for(Duration::from_secs(15));
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0));
    assert_eq!(world.gateway().causes(), [Cause::LinkLost]);
}

/// Somebody keeps the mapping open, but a keepalive is no sign of life.
#[test]
fn keepalives_do_not_keep_the_dead() {
    use crate::net::Packet;
    let mut world = World::with(Office::default().top("sessions: { dead_after: 2m }"));
    let client = at_home(&mut world, Profile::windows10(), "jiro");
    world.connect(client);
    let path = world.gateway().session("jiro").unwrap().path;
    world.vanish(client);
    for _ in 0..13 {
        world.inject(Packet::udp(&path.remote.to_string(), "198.51.100.1:4500", &[0xff]));
        world.run_for(Duration::from_secs(10));
    }
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0));
    assert_eq!(world.gateway().causes(), [Cause::LinkLost]);
}

/// The NAT gives an idle device another port: its keepalives come from there, and our questions go to the old one.
#[test]
fn a_nat_that_forgets_an_idle_device_is_the_cause() {
    let mut world = World::with(Office::default().top("sessions: { dead_after: 3m }"));
    let home = world.nat(Nat::home());
    let client = world.client(Profile::windows10(), "jiro", home);
    world.connect(client);
    world.run_for(Duration::from_secs(5));
    world.nat_mut(home).rebind();
    // Nothing but keepalives leaves it.
    world.lose(|direction, packet| direction == Direction::ToGateway && packet.bytes != [0xff]);
    world.run_for(Duration::from_secs(260));
    assert_eq!(world.gateway().causes(), [Cause::NatMappingLost]);
}

/// A user may have a patience of its own.
#[test]
fn each_user_has_a_patience() {
    let office = Office::default().user("jiro", "dead_after: 1m").user("yas", "dead_after: 20m");
    let mut world = World::with(office);
    let clients = ["jiro", "yas"].map(|user| at_home(&mut world, Profile::windows10(), user));
    for client in clients {
        world.connect(client);
        world.suspend(client);
    }
    world.run_for(Duration::from_secs(90));
    assert!(world.gateway().session("jiro").is_none() && world.gateway().session("yas").is_some());
    world.run_for(Duration::from_secs(900));
    world.wake(clients[1]);
    world.run_for(Duration::from_secs(1));
    assert!(world.ping(clients[1], OFFICE_GATEWAY));
    world.suspend(clients[1]);
    world.run_for(Duration::from_secs(1300));
    assert_eq!(world.gateway().sessions(), 0);
}

/// An idle client is asked rarely, answers, and stays for hours.
#[test]
fn an_idle_client_stays_and_is_left_in_peace() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        world.connect(client);
        world.run_for(Duration::from_secs(30));
        world.listen();
        world.run_for(Duration::from_secs(1800));
        let heard = world.heard();
        let ours = heard.iter().filter(|(d, _)| *d == Direction::FromGateway).count();
        assert!(ours <= 100, "{name}: {ours} packets of ours in half an hour");
        assert!(world[client].device.is_active(), "{name}: {:?}", world[client].reason());
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert_eq!(world.gateway().causes(), [], "{name}");
    }
}

/// Whoever is silent is asked whether it is there, by IKE too; whoever talks is not.
#[test]
fn only_the_silent_are_asked_for_a_sign_of_life() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::strongswan(), "jiro");
    world.connect(client);
    world.run_for(Duration::from_secs(10));
    let questions = |world: &mut World| {
        let heard = world.heard();
        let ours = heard.iter().filter(|(direction, _)| *direction == Direction::FromGateway);
        let kinds = ours.filter_map(|(_, packet)| packet.ike_header()).map(|header| header.exchange);
        kinds.filter(|kind| *kind == ExchangeType::INFORMATIONAL).count()
    };
    let flow = world.flow(client, End::Uplink(OFFICE), 1, 64);
    world.listen();
    world.run_for(Duration::from_secs(200));
    assert_eq!(questions(&mut world), 0);
    world.stop_flow(flow);
    world.suspend(client);
    world.listen();
    world.run_for(Duration::from_secs(200));
    let asked = questions(&mut world);
    assert!((1..=20).contains(&asked), "{asked}");
    assert_eq!(world.gateway().causes(), []);
}

#[test]
fn ninety_seconds_of_sleep_cost_nothing() {
    sleeps(Duration::from_secs(90));
}

#[test]
fn four_minutes_of_sleep_cost_nothing() {
    sleeps(Duration::from_secs(240));
}

fn sleeps(time: Duration) {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let carrier = world.nat(Nat::carrier());
        let client = world.client(profile, "jiro", carrier);
        world.connect(client);
        let address = world[client].address();
        // Somebody goes on sending to it.
        let flow = world.flow(End::Uplink(OFFICE), client, 5, 100);
        world.run_for(Duration::from_secs(10));
        world.suspend(client);
        world.run_for(time);
        world.wake(client);
        world.run_for(Duration::from_millis(100));
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert_eq!(world[client].address(), address, "{name}");
        assert_eq!(world.gateway().causes(), [], "{name}");
        // From then on everything arrives.
        let before = world.tally(flow);
        world.run_for(Duration::from_secs(20));
        let after = world.stop_flow(flow);
        assert_eq!(before.lost, after.lost, "{name}");
        assert_eq!(world.gateway().sessions(), 1, "{name}");
    }
}

/// Longer than we wait: the client finds out and comes back to its address.
#[test]
fn ten_minutes_of_sleep_need_a_reconnect() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::ios17(), "jiro");
    let first = world.connect(client);
    world.suspend(client);
    world.run_for(Duration::from_secs(600));
    assert_eq!(world.gateway().causes(), [Cause::LinkLost]);
    world.wake(client);
    assert!(!world.ping(client, OFFICE_GATEWAY));
    assert_eq!(world.connect(client).address, first.address);
    assert!(world.ping(client, OFFICE_GATEWAY));
}

#[test]
fn every_kinds_goodbye_is_understood_at_once() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        world.connect(client);
        world.ping(client, BEYOND);
        world.run_for(Duration::from_secs(20));
        world.stop(client);
        assert_eq!(world[client].reason(), Some(&Reason::Asked), "{name}");
        let story = world.gateway().last_story();
        assert_eq!((story.cause, story.stage.as_str()), (Cause::PeerLeft, "traffic"), "{name}");
        assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0), "{name}");
    }
}

/// On a line that loses a third of everything some goodbyes do not arrive; the device is then missed by its silence, and
/// nothing is left.
#[test]
fn a_lost_goodbye_is_replaced_by_silence() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        world.connect(client);
        world[client].line = world[client].line.with_loss(333);
        world.stop(client);
        world.run_for(Duration::from_secs(400));
        assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0), "{name}");
        assert_eq!(world.gateway().causes().len(), 1, "{name}: one story");
    }
}

/// SIGTERM: every client hears of it at once.
#[test]
fn a_clean_shutdown_tells_every_client() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        world.connect(client);
        world.shut_down_gateway();
        world.run_for(Duration::from_secs(5));
        let reason = world[client].reason();
        assert!(
            matches!(reason, Some(Reason::L2tp(_) | Reason::Ppp(_) | Reason::Deleted)),
            "{name}: {reason:?}"
        );
        assert!(!world[client].device.is_active(), "{name}");
    }
}

#[test]
fn a_clean_shutdown_tells_the_stories() {
    let mut world = World::new();
    let clients = ["jiro", "yas"].map(|user| at_home(&mut world, Profile::windows10(), user));
    for client in clients {
        world.connect(client);
    }
    let clock = world.clock();
    world.gateway_mut().shutdown(clock);
    assert_eq!(world.gateway().causes(), [Cause::GatewayStopped; 2]);
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((0, 0), 0));
}

/// After kill -9 and a restart a client that connects anew finds its address; one that listens to its HELLOs finds out
/// by itself.
#[test]
fn after_a_crash_everybody_comes_back_to_the_same_address() {
    let mut world = World::new();
    let clients: Vec<_> = Profile::all()
        .into_iter()
        .enumerate()
        .map(|(n, profile)| {
            let client = at_home(&mut world, profile, &format!("u{n}"));
            world.connect(client);
            client
        })
        .collect();
    let before: Vec<_> = clients.iter().map(|client| world[*client].address()).collect();
    let leases = world.kill_gateway();
    world.run_for(Duration::from_secs(3));
    world.start_gateway(leases);
    world.run_for(Duration::from_secs(1));
    for client in &clients {
        assert!(!world.ping(*client, OFFICE_GATEWAY), "the keys are gone");
    }
    // In another order, so that no address is a coincidence.
    for client in clients.iter().rev() {
        world.connect(*client);
    }
    let after: Vec<_> = clients.iter().map(|client| world[*client].address()).collect();
    assert_eq!(before, after);
    for client in &clients {
        assert!(world.ping(*client, OFFICE_GATEWAY));
    }
    assert_eq!(world.gateway().sessions(), clients.len());
}

/// xl2tpd's HELLO goes unanswered after a crash: it notices.
#[test]
fn xl2tpd_notices_a_crash() {
    let mut world = World::new();
    let client = at_home(&mut world, Profile::strongswan(), "jiro");
    world.connect(client);
    world.kill_gateway();
    world.start_gateway(Leases::new());
    world.run_until(Duration::from_secs(150), |w| !w[client].device.is_active());
    assert!(matches!(world[client].reason(), Some(Reason::L2tp(_))), "{:?}", world[client].reason());
    world.connect(client);
    assert!(world.ping(client, OFFICE_GATEWAY));
}

#[test]
fn a_kicked_client_is_told_and_may_come_back() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let client = at_home(&mut world, profile, "jiro");
        world.connect(client);
        world.kick("jiro");
        world.run_for(Duration::from_secs(5));
        assert!(!world[client].device.is_active(), "{name}");
        assert!(
            matches!(world[client].events.last(), Some(Event::Down(Reason::L2tp(_) | Reason::Ppp(_)))),
            "{name}"
        );
        assert_eq!(world.gateway().causes(), [Cause::Kicked], "{name}");
        world.connect(client);
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
    }
}

/// A device comes back through another network: same user, same device, the old session silent.
#[test]
fn a_device_that_moved_to_another_network_gets_its_address_back() {
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let (home, street) = (world.nat(Nat::home()), world.nat(Nat::carrier()));
        let client = world.client(profile, "jiro", home);
        let first = world.connect(client);
        let link = link_of(&world, "jiro");
        world.run_for(Duration::from_secs(10));
        world.vanish(client);
        world.move_client(client, street);
        world.run_for(Duration::from_secs(25));
        assert_eq!(world.connect(client).address, first.address, "{name}");
        assert_eq!(link_of(&world, "jiro"), link, "{name}");
        assert!(world.ping(client, OFFICE_GATEWAY), "{name}");
        assert_eq!(world.gateway().sessions(), 1, "{name}");
        assert_eq!(world.gateway().causes(), [Cause::ReplacedBySameDevice], "{name}");
    }
}

/// IKE is lost from some moment on, data passes: the keys end, and that is why the session does.
#[test]
fn keys_that_cannot_be_renewed_are_the_cause() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let mut profile = Profile::windows10().with_lifetimes(28_800, 60);
    // It goes on as if nothing were; ours is the end that counts.
    profile.renewal.esp_percent = 200;
    let client = world.client(profile, "jiro", home);
    world.connect(client);
    world.lose(|_, packet| packet.ike().is_some());
    for _ in 0..6 {
        world.ping(client, OFFICE_GATEWAY);
        world.run_for(Duration::from_secs(10));
    }
    world.run_for(Duration::from_secs(420));
    assert_eq!(world.gateway().causes(), [Cause::RekeyFailed]);
}

/// A device that was silent long before its keys ended was lost, not its keys.
#[test]
fn keys_that_end_in_silence_are_not_the_cause() {
    let mut world = World::with(Office::default().user("jiro", "dead_after: 10m"));
    let home = world.nat(Nat::home());
    let client = world.client(Profile::windows10().with_lifetimes(28_800, 300), "jiro", home);
    world.connect(client);
    world.vanish(client);
    world.run_for(Duration::from_secs(900));
    assert_eq!(world.gateway().causes(), [Cause::LinkLost]);
}
