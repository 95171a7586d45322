//! Many clients behind one address: what every other server trips over.

use crate::net::nat::Nat;
use crate::traffic::OFFICE;
use crate::world::{ClientId, Direction, End, NatId, OFFICE_GATEWAY, Office, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::wire::isakmp::ExchangeType;
use std::collections::BTreeSet;
use std::time::Duration;

/// A client in a home of its own behind a carrier's NAT: all of them are 192.168.1.2.
fn in_own_home(world: &mut World, carrier: NatId, profile: Profile, user: &str) -> ClientId {
    let home = world.nat_behind(Nat::home(), carrier);
    world.client(profile, user, home)
}

fn assert_all_talk(world: &mut World, clients: &[ClientId]) {
    for (n, client) in clients.iter().enumerate() {
        assert!(world.ping(*client, OFFICE_GATEWAY), "client {n}");
        let next = world[clients[(n + 1) % clients.len()]].address().unwrap();
        assert!(world.ping(*client, next), "client {n} to its neighbour");
    }
}

#[test]
fn two_identical_windows_clients_behind_one_nat() {
    let mut world = World::new();
    let carrier = world.nat(Nat::linux());
    let a = in_own_home(&mut world, carrier, Profile::windows10(), "jiro");
    let b = in_own_home(&mut world, carrier, Profile::windows10(), "yas");
    assert_eq!(world[a].address, world[b].address);
    world.connect(a);
    world.connect(b);
    assert_all_talk(&mut world, &[a, b]);
    // One leaves; the other does not notice.
    world.stop(a);
    assert!(world.ping(b, OFFICE_GATEWAY));
    world.connect(a);
    assert_all_talk(&mut world, &[a, b]);
}

/// Same inner address, same port 1701, same tunnel and session number, same host name, same Quick Mode message IDs, and
/// the Windows machines even begin at the same moment.
#[test]
fn sixty_four_identical_windows_clients_behind_one_address() {
    let mut world = World::new();
    let carrier = world.nat(Nat::carrier());
    let clients: Vec<_> =
        (0..64).map(|n| in_own_home(&mut world, carrier, Profile::windows10(), &format!("u{n}"))).collect();
    world.listen();
    for client in &clients {
        world.start(*client);
    }
    for client in &clients {
        world.await_up(*client);
    }
    let heard = world.heard();
    let sources: BTreeSet<_> =
        heard.iter().filter(|(d, _)| *d == Direction::ToGateway).map(|(_, p)| p.from.ip()).collect();
    assert_eq!(sources.len(), 1, "one address");
    let quick_modes: BTreeSet<_> = heard
        .iter()
        .filter(|(direction, _)| *direction == Direction::ToGateway)
        .filter_map(|(_, packet)| packet.ike_header())
        .filter(|header| header.exchange == ExchangeType::QUICK_MODE)
        .map(|header| header.message_id.0)
        .collect();
    assert_eq!(quick_modes, BTreeSet::from([1]), "one message ID");
    let addresses: BTreeSet<_> = clients.iter().map(|client| world[*client].address().unwrap()).collect();
    assert_eq!(addresses.len(), 64);
    assert_all_talk(&mut world, &clients);
    // All renew their keys at once.
    for client in &clients {
        world.renew_esp(*client);
    }
    world.run_for(Duration::from_secs(5));
    assert!(clients.iter().all(|client| world[*client].rekeys() == 1));
    assert_all_talk(&mut world, &clients);
    // All leave.
    for client in &clients {
        world.stop(*client);
    }
    assert_eq!(world.gateway().population(), (0, 0));
}

#[test]
fn all_kinds_live_together_behind_one_nat() {
    let mut world = World::new();
    let office = world.nat(Nat::linux());
    let clients: Vec<_> = Profile::all()
        .into_iter()
        .chain(Profile::all())
        .enumerate()
        .map(|(n, profile)| world.client(profile, &format!("u{n}"), office))
        .collect();
    for client in &clients {
        world.start(*client);
    }
    for client in &clients {
        world.await_up(*client);
    }
    assert_all_talk(&mut world, &clients);
    world.run_for(Duration::from_secs(900));
    assert_all_talk(&mut world, &clients);
}

/// INITIAL-CONTACT says that its sender has begun anew, not that its neighbours are dead.
#[test]
fn initial_contact_harms_no_other() {
    let mut world = World::new();
    let carrier = world.nat(Nat::carrier());
    let android =
        |world: &mut World, user| in_own_home(world, carrier, Profile::android(Android::Seven), user);
    let (a, b, c) = (android(&mut world, "jiro"), android(&mut world, "yas"), android(&mut world, "mika"));
    let linux = in_own_home(&mut world, carrier, Profile::strongswan(), "ken");
    let all = [a, b, c, linux];
    for client in all {
        world.connect(client);
    }
    assert_all_talk(&mut world, &all);
    // Phone c loses power and comes back, with INITIAL-CONTACT again; the others stay.
    world.vanish(c);
    world.connect(c);
    assert_all_talk(&mut world, &all);
    assert_eq!(world.gateway().sessions(), 4);
    for client in [a, b, linux] {
        assert_eq!(world[client].reason(), None);
    }
}

/// The NAT forgets a dead client's mapping and gives its port to another one, while the gateway still remembers the dead.
#[test]
fn a_dead_clients_port_is_used_by_another() {
    // libreswan renews on port 500 as well, so that within 90 s of the dead one's last packet the two look alike.
    for profile in Profile::all().into_iter().filter(|profile| profile.name != "libreswan") {
        let name = profile.name;
        let mut world = World::new();
        let carrier = world.nat(Nat::stingy());
        let a = in_own_home(&mut world, carrier, profile.clone(), "jiro");
        let b = in_own_home(&mut world, carrier, profile, "yas");
        world.connect(a);
        let ports = |world: &World, user: &str| world.gateway().session(user).unwrap().path.remote;
        let port_of_a = ports(&world, "jiro");
        // Somebody goes on sending to the dead.
        let flow = world.flow(End::Uplink(OFFICE), a, 20, 300);
        world.run_for(Duration::from_secs(1));
        let address_of_a = world[a].address().unwrap();
        world.vanish(a);
        world.run_for(Duration::from_secs(40));
        assert_eq!(world.gateway().sessions(), 1, "{name}: the dead is remembered");
        world.redirect_flow(flow, address_of_a);
        world.connect(b);
        assert_eq!(world[b].strays, 0, "{name}: the dead's packets go to nobody else");
        assert_eq!(ports(&world, "yas"), port_of_a, "{name}: same port");
        assert!(world.ping(b, OFFICE_GATEWAY), "{name}");
        // An Apple device says INITIAL-CONTACT: whatever its path carried before is over.
        let both = if name.starts_with("ios") || name.starts_with("mac") { 1 } else { 2 };
        assert_eq!(world.gateway().sessions(), both, "{name}: one did not take the other's place");
        // What is still sent to the dead does not disturb the living, and the dead is found out in time.
        world.run_for(Duration::from_secs(400));
        assert!(world.ping(b, OFFICE_GATEWAY), "{name}");
        assert_eq!(world.gateway().sessions(), 1, "{name}: the dead is gone");
        // It comes back through another port, to its own address.
        world.connect(a);
        assert_all_talk(&mut world, &[a, b]);
    }
}

/// The same user on two machines of the same kind with the same name, behind one address: both may stay.
#[test]
fn twins_of_one_user_do_not_throw_each_other_out() {
    let mut world = World::new();
    let office = world.nat(Nat::linux());
    let (a, b) = (
        world.client(Profile::windows10(), "jiro", office),
        world.client(Profile::windows10(), "jiro", office),
    );
    world.connect(a);
    world.connect(b);
    assert_all_talk(&mut world, &[a, b]);
    assert_eq!(world.gateway().sessions(), 2);
}

#[test]
fn a_crowd_with_short_lifetimes_on_bad_lines_stays() {
    let mut world = World::with(Office::default().top("workers: 2"));
    let carrier = world.nat(Nat::carrier());
    let clients: Vec<_> = Profile::all()
        .into_iter()
        .enumerate()
        .map(|(n, profile)| {
            in_own_home(&mut world, carrier, profile.with_lifetimes(120, 60), &format!("u{n}"))
        })
        .collect();
    for client in &clients {
        world.connect(*client);
        world[*client].line = crate::net::line::Line::BAD;
    }
    world.run_for(Duration::from_secs(600));
    for client in &clients {
        let events = &world[*client];
        assert!(events.device.is_active(), "{:?}: {:?}", events.device, events.events);
        assert!(events.rekeys() >= 5, "{:?}: {}", events.device, events.rekeys());
        world[*client].line = crate::net::line::Line::GOOD;
    }
    assert_all_talk(&mut world, &clients);
}
