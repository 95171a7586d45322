//! Traffic between clients, to the uplink and back, and not where it does not belong.

use crate::net::nat::Nat;
use crate::world::{BEYOND, ClientId, End, GUESTS_GATEWAY, OFFICE_GATEWAY, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, REQUEST, SERVER_PORT};
use sekisho::wire::inet::udp_packet;
use std::time::Duration;

/// Number of hub OFFICE; hubs are in the order of their names.
pub const OFFICE: usize = 1;
pub const GUESTS: usize = 0;

#[test]
fn clients_of_a_hub_reach_each_other_and_the_uplink() {
    let mut world = World::new();
    let (here, there) = (world.nat(Nat::home()), world.nat(Nat::carrier()));
    let mac = world.client(Profile::macos(), "jiro", here);
    let pc = world.client(Profile::windows11(), "yas", here);
    let phone = world.client(Profile::android(Android::Six), "mika", there);
    let linux = world.client(Profile::strongswan(), "ken", None);
    let all = [mac, pc, phone, linux];
    for client in all {
        world.connect(client);
    }
    for from in all {
        for to in all {
            let address = world[to].address().unwrap();
            assert!(from == to || world.ping(from, address), "{from:?} to {to:?}");
        }
        assert!(world.ping(from, OFFICE_GATEWAY));
        assert!(world.ping(from, BEYOND));
    }
}

#[test]
fn steady_traffic_both_ways_loses_nothing() {
    let mut world = World::new();
    let (here, there) = (world.nat(Nat::home()), world.nat(Nat::home()));
    let a = world.client(Profile::ios17(), "jiro", here);
    let b = world.client(Profile::windows10(), "yas", there);
    world.connect(a);
    world.connect(b);
    let flows = [
        world.flow(a, b, 200, 1000),
        world.flow(b, a, 100, 300),
        world.flow(a, End::Uplink(OFFICE), 100, 1300),
        world.flow(End::Uplink(OFFICE), b, 100, 1300),
    ];
    world.run_for(Duration::from_secs(20));
    for flow in flows {
        let tally = world.stop_flow(flow);
        assert!(tally.sent >= 2000);
        assert_eq!((tally.lost, tally.doubled, tally.refused), (0, 0, 0));
    }
}

#[test]
fn what_is_received_comes_back_to_the_pool() {
    let mut world = World::new();
    let mac = world.client(Profile::macos(), "jiro", None);
    world.connect(mac);
    assert!(world.ping(mac, OFFICE_GATEWAY));
    let made = |world: &mut World| {
        world.gateway_mut().workers.iter_mut().map(|worker| worker.pool().made()).sum::<u64>()
    };
    let first = made(&mut world);
    for profile in [Profile::windows11(), Profile::android(Android::Six), Profile::strongswan()] {
        let client = world.client(profile, "yas", None);
        world.connect(client);
        world.stop(client);
    }
    // What left by the uplink is not given back here; all else that came is: some twenty packets of each.
    assert!(made(&mut world) <= first + 9, "{first} and then {}", made(&mut world));
}

#[test]
fn hubs_are_isolated() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let member = world.client(Profile::ios17(), "jiro", home);
    let visitor = world.client(Profile::windows10(), "visitor@GUESTS", home);
    let both = world.client(Profile::macos(), "GUESTS\\jiro", home);
    let params = world.connect(member);
    assert_eq!(params.gateway, OFFICE_GATEWAY);
    assert_eq!(world.connect(visitor).gateway, GUESTS_GATEWAY);
    assert_eq!(world.connect(both).gateway, GUESTS_GATEWAY);
    let (member_at, visitor_at, both_at) =
        (params.address, world[visitor].address().unwrap(), world[both].address().unwrap());
    assert!(world.ping(visitor, both_at) && world.ping(both, visitor_at));
    // Their packets leave through their own uplink, whatever address they go to.
    let seen = |world: &World, hub: usize| world.gateway().uplinks[hub].inbox.packets;
    let before = seen(&world, OFFICE);
    world.ping(visitor, member_at);
    assert_eq!(world[member].inbox.packets, 0);
    assert_eq!(seen(&world, OFFICE), before);
    let before = seen(&world, GUESTS);
    world.ping(member, visitor_at);
    assert_eq!(seen(&world, GUESTS), before);
}

#[test]
fn a_client_cannot_send_from_another_address() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let (a, b) = (world.client(Profile::ios17(), "jiro", home), world.client(Profile::ios17(), "yas", home));
    world.connect(a);
    world.connect(b);
    let (mine, theirs) = (world[a].address().unwrap(), world[b].address().unwrap());
    for forged in [theirs, OFFICE_GATEWAY, BEYOND, "192.168.1.2".parse().unwrap()] {
        let packet = sekisho::wire::inet::udp_packet((forged, 9), (theirs, 9), b"not me");
        world.send_ip(a, packet);
    }
    let packet = sekisho::wire::inet::udp_packet((mine, 9), (theirs, 9), b"me");
    world.send_ip(a, packet);
    world.run_for(Duration::from_secs(1));
    let got: Vec<_> = world[b].inbox.datagrams.iter().map(|d| d.payload.clone()).collect();
    assert_eq!(got, [b"me".to_vec()]);
}

/// Behind PPPoE 1492 bytes pass: a packet as long as the link allows still does, both ways, with every suite.
#[test]
fn the_longest_packets_pass() {
    for profile in Profile::all() {
        let name = profile.name;
        for nat in [Some(Nat::home()), None] {
            let mut world = World::new();
            let nat = nat.map(|nat| world.nat(nat));
            let client = world.client(profile.clone(), "jiro", nat);
            world[client].line.mtu = 1492;
            let params = world.connect(client);
            let longest = usize::from(params.mru) - 28;
            assert!(world.ping_with(client, OFFICE_GATEWAY, longest), "{name}");
            // What is longer than the link is fragmented before the tunnel, not behind it.
            world.listen();
            let long = sekisho::wire::inet::udp_packet((OFFICE_GATEWAY, 7), (params.address, 7), &[7; 1472]);
            world.send_from_uplink(OFFICE, long);
            world.run_for(Duration::from_secs(1));
            assert!(world.heard().iter().all(|(_, packet)| packet.wire_len() <= 1492), "{name}");
            assert_eq!(world[client].inbox.packets, 3, "{name}: the answer and two fragments");
        }
    }
}

/// TCP is told what fits, both ways.
#[test]
fn segments_are_as_long_as_the_link_carries() {
    use crate::world::host::{announced_mss, syn};
    for profile in Profile::all() {
        let name = profile.name;
        let mut world = World::new();
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        let params = world.connect(client);
        world.send_ip(client, syn(params.address, BEYOND, 1460));
        world.run_for(Duration::from_secs(1));
        let there = announced_mss(&world.gateway().uplinks[OFFICE].inbox.segments[0]).unwrap();
        world.send_from_uplink(OFFICE, syn(BEYOND, params.address, 1460));
        world.run_for(Duration::from_secs(1));
        let back = announced_mss(&world[client].inbox.segments[0]).unwrap();
        for mss in [there, back] {
            assert!(mss <= params.mru - 40 && mss >= 1300, "{name}: {mss}");
        }
        world.send_ip(client, syn(params.address, BEYOND, 900));
        world.run_for(Duration::from_secs(1));
        let small = announced_mss(&world.gateway().uplinks[OFFICE].inbox.segments[1]).unwrap();
        assert_eq!(small, 900, "{name}: what is small already stays");
    }
}

/// Asks by DHCPINFORM for the options of this list, and gives the answer.
fn inform(world: &mut World, client: ClientId, list: &[u8]) -> Message {
    let address = world[client].address().unwrap();
    let mut inform = Message {
        op: REQUEST,
        htype: 8,
        hlen: 6,
        hops: 0,
        xid: 7,
        secs: 0,
        flags: 0,
        ciaddr: address,
        yiaddr: [0, 0, 0, 0].into(),
        siaddr: [0, 0, 0, 0].into(),
        giaddr: [0, 0, 0, 0].into(),
        chaddr: [0; 16],
        options: Vec::new(),
    };
    inform.push(Code::MESSAGE_TYPE, &[MessageType::INFORM.0]);
    inform.push(Code::CLIENT_ID, &[8, 0, 0, 0, 1, 0, 0]);
    inform.push(Code::PARAMETER_LIST, list);
    let packet = udp_packet((address, CLIENT_PORT), ([255; 4].into(), SERVER_PORT), &inform.emit(548));
    world[client].inbox.datagrams.clear();
    world.send_ip(client, packet);
    world.run_for(Duration::from_secs(1));
    let [answer] = &world[client].inbox.datagrams[..] else { panic!("one answer") };
    assert_eq!(answer.from.1, SERVER_PORT);
    assert_eq!(answer.to, (address, CLIENT_PORT));
    let ack = Message::parse(&answer.payload).unwrap();
    assert_eq!((ack.kind(), ack.xid), (Some(MessageType::ACK), 7));
    assert_eq!(ack.options[0].0, Code::MESSAGE_TYPE, "option 53 first");
    ack
}

/// What Windows and Apple ask for.
const WINDOWS_LIST: &[u8] = &[6, 44, 43, 1, 249, 15];
const APPLE_LIST: &[u8] = &[1, 6, 15, 121, 249];

/// Windows asks over the link for what IPCP has no words for; Apple reads the answer only if option 53 is its first.
#[test]
fn a_dhcpinform_over_the_link_is_answered() {
    for profile in [Profile::windows10(), Profile::macos()] {
        let office = crate::world::Office::default()
            .only(&["network: 10.60.0.0/24", "dhcp: { dns: [10.60.0.1], domain: office.example }"]);
        let mut world = World::with(office);
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world.connect(client);
        let ack = inform(&mut world, client, WINDOWS_LIST);
        assert_eq!(ack.address(Code::SERVER_ID), Some(OFFICE_GATEWAY));
        assert_eq!(ack.option(Code::DOMAIN), Some(&b"office.example"[..]));
        assert_eq!(ack.option(Code::SUBNET_MASK), Some(&[255, 255, 255, 0][..]));
        assert_eq!(ack.option(Code::MS_CLASSLESS_ROUTES), None, "no routes are configured");
        // It is for the asker alone.
        assert_eq!(world.gateway().uplinks[OFFICE].inbox.datagrams.len(), 0);
    }
}

/// Routes by the file alone: the user's own, else the group's, else the hub's, else everybody's. Windows reads option 249,
/// Apple both.
#[test]
fn split_tunnelling_follows_the_nearest_place() {
    let office = crate::world::Office::default()
        .top("sessions: { routes: [172.16.0.0/12] }")
        .office("routes: [10.0.0.0/8, 192.168.7.0/24 via 10.60.0.2]")
        .office("groups: { lab: { routes: [10.99.0.0/16] } }")
        .user("yas", "group: lab")
        .user("mika", "group: lab, routes: [198.18.0.0/15]")
        .user("ken", "routes: []");
    let hub = [8, 10, 10, 60, 0, 1, 24, 192, 168, 7, 10, 60, 0, 2];
    let cases: [(&str, &[u8]); 5] = [
        ("jiro", &hub),
        ("yas", &[16, 10, 99, 10, 60, 0, 1]),
        ("mika", &[15, 198, 18, 10, 60, 0, 1]),
        ("ken", &[]),
        ("visitor@GUESTS", &[12, 172, 16, 10, 61, 0, 1]),
    ];
    for (profile, list) in [(Profile::windows10(), WINDOWS_LIST), (Profile::macos(), APPLE_LIST)] {
        let mut world = World::with(office.clone());
        let home = world.nat(Nat::home());
        for (user, routes) in cases {
            let client = world.client(profile.clone(), user, home);
            world.connect(client);
            let ack = inform(&mut world, client, list);
            let told = Some(routes).filter(|routes| !routes.is_empty());
            assert_eq!(ack.option(Code::MS_CLASSLESS_ROUTES), told, "{user}");
            let standard = told.filter(|_| list.contains(&121));
            assert_eq!(ack.option(Code::CLASSLESS_ROUTES), standard, "{user}");
            assert_eq!(ack.option(Code(3)), None, "no default route over the tunnel");
        }
    }
}

/// A reload changes what the next question is answered; the session stays.
#[test]
fn routes_change_under_a_session() {
    let office = crate::world::Office::default();
    let mut world = World::with(office.clone().office("routes: [10.0.0.0/8]"));
    let home = world.nat(Nat::home());
    let client = world.client(Profile::windows10(), "jiro", home);
    world.connect(client);
    assert!(inform(&mut world, client, WINDOWS_LIST).option(Code::MS_CLASSLESS_ROUTES).is_some());
    world.reload(&office.office("routes: [172.16.0.0/12]"));
    let ack = inform(&mut world, client, WINDOWS_LIST);
    assert_eq!(ack.option(Code::MS_CLASSLESS_ROUTES), Some(&[12, 172, 16, 10, 60, 0, 1][..]));
    assert_eq!(world.gateway().sessions(), 1);
}

/// A client on one worker, its peer and its uplink on others, everything at once.
#[test]
fn traffic_across_workers_loses_nothing() {
    let mut world = World::with(crate::world::Office::default().top("workers: 4"));
    let clients: Vec<_> = (0..6)
        .map(|n| {
            let nat = world.nat(Nat::home());
            let client = world.client(Profile::strongswan(), &format!("u{n}"), nat);
            world.connect(client);
            client
        })
        .collect();
    let mut flows = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        flows.push(world.flow(*client, clients[(n + 1) % clients.len()], 20, 200));
        flows.push(world.flow(*client, End::Uplink(OFFICE), 20, 200));
        flows.push(world.flow(End::Uplink(OFFICE), *client, 20, 200));
    }
    world.run_for(Duration::from_secs(10));
    for flow in flows {
        let tally = world.stop_flow(flow);
        assert_eq!((tally.lost, tally.doubled, tally.refused), (0, 0, 0));
    }
}

/// RFC 4303 section 2.6: they are a sign of life and nothing else.
#[test]
fn dummy_packets_are_read_over() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let client = world.client(Profile::strongswan(), "jiro", home);
    world.connect(client);
    let drops =
        |world: &World| world.gateway().workers[0].drops().iter().map(|(_, count)| count).sum::<u64>();
    let before = (drops(&world), world.gateway().uplinks[OFFICE].inbox.packets);
    for _ in 0..5 {
        let mut out = sekisho::client::Output::default();
        let now = world.now;
        world[client].device.send_dummy(now, &mut out).unwrap();
        world.carry_out(client, out);
        world.run_for(Duration::from_millis(50));
    }
    assert_eq!((drops(&world), world.gateway().uplinks[OFFICE].inbox.packets), before);
    assert!(world.ping(client, OFFICE_GATEWAY));
}
