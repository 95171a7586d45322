//! Strangers, liars and madmen: whatever they send, nobody else notices, and nothing of it stays.

use crate::net::line::Line;
use crate::net::nat::Nat;
use crate::net::{Packet, Proto};
use crate::world::{ClientId, Direction, OFFICE_GATEWAY, Office, SERVER, World};
use sekisho::client::Profile;
use sekisho::client::ike::profile::Android;
use sekisho::entropy::Entropy;
use sekisho::packet::{Drop, PacketBuf};
use sekisho::worker::Census;
use std::net::SocketAddr;
use std::time::Duration;

const ATTACKER: &str = "192.0.2.66:4500";

fn server(port: u16) -> SocketAddr {
    format!("{SERVER}:{port}").parse().unwrap()
}

fn census(world: &World) -> Vec<Census> {
    world.gateway().workers.iter().map(|worker| worker.census()).collect()
}

/// A packet changed in one of the ways in which packets are changed.
fn mutated(packet: &Packet, others: &[Packet], entropy: &mut Entropy) -> Packet {
    let mut packet = packet.clone();
    let len = packet.bytes.len().max(1);
    let at = entropy.u32() as usize % len;
    match entropy.u32() % 7 {
        0 => packet.bytes.truncate(at),
        1 => {
            let more = entropy.u32() as usize % 300;
            packet.bytes.extend(std::iter::repeat_n(entropy.u32() as u8, more));
        }
        2 => {
            for _ in 0..1 + entropy.u32() % 8 {
                let at = entropy.u32() as usize % len;
                if let Some(byte) = packet.bytes.get_mut(at) {
                    *byte ^= 1 << (entropy.u32() % 8);
                }
            }
        }
        // The header of one, the rest of another.
        3 => {
            let other = &others[entropy.u32() as usize % others.len()];
            let cut = at.min(other.bytes.len());
            packet.bytes.truncate(cut);
            packet.bytes.extend(&other.bytes[cut..]);
        }
        // A length field that lies: somewhere, two bytes are very large or very small.
        4 => {
            if let Some(field) = packet.bytes.get_mut(at..at + 2) {
                field.copy_from_slice(if entropy.u32().is_multiple_of(2) { &[0xff, 0xff] } else { &[0, 0] });
            }
        }
        // Everything behind the cookies or the SPI is noise.
        5 => {
            let from = if packet.esp().is_some() { 8 } else { 16 };
            if let Some(rest) = packet.bytes.get_mut(from..) {
                entropy.fill(rest);
            }
        }
        _ => {
            packet.bytes.drain(..at);
        }
    }
    packet
}

/// What two clients of different kinds said while they connected, renewed and talked, and they are still there.
fn recorded(world: &mut World) -> (Vec<ClientId>, Vec<Packet>, Vec<Packet>) {
    world.listen();
    let home = world.nat(Nat::home());
    let clients = vec![
        world.client(Profile::windows10(), "jiro", home),
        world.client(Profile::android(Android::Seven), "yas", home),
        world.client(Profile::strongswan(), "mika", None),
    ];
    for client in &clients {
        world.connect(*client);
        world.ping(*client, OFFICE_GATEWAY);
        world.renew_isakmp(*client);
        world.run_for(Duration::from_secs(1));
        world.renew_esp(*client);
        world.run_for(Duration::from_secs(1));
        world.ping(*client, OFFICE_GATEWAY);
    }
    let heard = world.heard();
    world.trace = None;
    // What was renewed is gone.
    world.run_for(Duration::from_secs(60));
    let side = |side| heard.iter().filter(|(d, _)| *d == side).map(|(_, packet)| packet.clone()).collect();
    (clients, side(Direction::ToGateway), side(Direction::FromGateway))
}

fn assert_alive(world: &mut World, clients: &[ClientId]) {
    for client in clients {
        assert!(
            world.ping(*client, OFFICE_GATEWAY),
            "{:?}: {:?}",
            world[*client].device,
            world[*client].reason()
        );
    }
}

#[test]
fn random_datagrams_do_nothing() {
    for raw in [false, true] {
        let mut world = World::with(Office::default().listen(&format!("raw_l2tp: {raw}")));
        let (clients, ..) = recorded(&mut world);
        let before = census(&world);
        let mut entropy = world.entropy.fork();
        for round in 0..40 {
            for n in 0..250_u32 {
                let mut bytes = vec![0; (entropy.u32() % 600) as usize];
                entropy.fill(&mut bytes);
                let (proto, port) = match n % 4 {
                    0 => (Proto::Udp, 500),
                    1 => (Proto::Udp, 4500),
                    2 => (Proto::Udp, 1701),
                    _ => (Proto::Esp, 0),
                };
                // Half of them look like IKE at least.
                if n % 8 < 2 && bytes.len() > 32 {
                    let at = if port == 4500 { 4 } else { 0 };
                    bytes[..at].fill(0);
                    bytes[at + 17] = 0x10;
                    bytes[at + 8..at + 16].fill(0);
                    let length = (bytes.len() - at) as u32;
                    bytes[at + 24..at + 28].copy_from_slice(&length.to_be_bytes());
                }
                let from = SocketAddr::new(
                    [192, 0, 2, 60 + (n % 40) as u8].into(),
                    if port == 0 { 0 } else { 4000 },
                );
                world.inject(Packet { proto, from, to: server(port), bytes });
            }
            world.run_for(Duration::from_millis(100));
            if round % 20 == 0 {
                assert_alive(&mut world, &clients);
            }
        }
        assert_eq!(census(&world)[0].clear_text, 0, "noise is no client");
        world.run_for(Duration::from_secs(60));
        assert_alive(&mut world, &clients);
        assert_eq!(census(&world), before);
        assert_eq!(world.gateway().causes(), [], "noise makes no stories");
    }
}

/// Real packets with valid cookies, SPIs and numbers, mutated: from elsewhere and from the clients' own addresses.
#[test]
fn mutated_packets_do_nothing() {
    let mut world = World::new();
    let (clients, packets, _) = recorded(&mut world);
    let before = census(&world);
    let mut entropy = world.entropy.fork();
    for round in 0..60 {
        for _ in 0..200 {
            let packet = &packets[entropy.u32() as usize % packets.len()];
            let mut packet = mutated(packet, &packets, &mut entropy);
            if entropy.u32().is_multiple_of(2) {
                packet.from = ATTACKER.parse().unwrap();
            }
            world.inject(packet);
        }
        world.run_for(Duration::from_millis(200));
        if round % 20 == 0 {
            assert_alive(&mut world, &clients);
        }
    }
    assert_alive(&mut world, &clients);
    world.run_for(Duration::from_secs(60));
    assert_alive(&mut world, &clients);
    assert_eq!(census(&world), before);
    for client in &clients {
        assert_eq!(world[*client].reason(), None);
    }
}

/// Everything that was ever said, once more, from anywhere, in both directions.
#[test]
fn replays_do_nothing() {
    let mut world = World::new();
    let (clients, to, from) = recorded(&mut world);
    let before = census(&world);
    for packet in &to {
        world.inject(packet.clone());
        world.inject(Packet { from: ATTACKER.parse().unwrap(), ..packet.clone() });
    }
    // What we said ourselves, reflected.
    for packet in &from {
        world.inject(Packet { from: packet.to, to: packet.from, ..packet.clone() });
    }
    world.run_for(Duration::from_secs(60));
    assert_alive(&mut world, &clients);
    let after = census(&world);
    // A first message is a first message, whoever repeats it: it has opened exchanges that are over by now.
    assert_eq!(after, before);
    assert_eq!(world.gateway().sessions(), clients.len());
}

/// ESP with the right SPI and a number from the future, from the client's own address: the window stays where it is.
#[test]
fn forged_esp_does_not_advance_the_window() {
    let mut world = World::new();
    let (clients, packets, _) = recorded(&mut world);
    let esp: Vec<_> = packets.into_iter().filter(|packet| packet.esp().is_some()).collect();
    for packet in &esp {
        let mut forged = packet.clone();
        forged.bytes[4..8].copy_from_slice(&u32::MAX.to_be_bytes());
        world.inject(forged);
    }
    world.run_for(Duration::from_secs(1));
    let drops = world.gateway().workers[0].drops().of(Drop::BadIcv);
    assert!(drops > 0);
    assert_alive(&mut world, &clients);
}

/// Somebody with the right keys sends nonsense through the tunnel: the gateway stands, the others do not notice.
#[test]
fn nonsense_from_an_authenticated_client_harms_only_itself() {
    let mut world = World::new();
    world.tolerant = true;
    let home = world.nat(Nat::home());
    let other = world.client(Profile::ios17(), "yas", home);
    world.connect(other);
    let madman = world.client(Profile::strongswan(), "jiro", home);
    let mut entropy = world.entropy.fork();
    for round in 0..30 {
        if world[madman].address().is_none() {
            world.start(madman);
            world.run_until(Duration::from_secs(60), |w| {
                w[madman].address().is_some() || !w[madman].device.is_active()
            });
        }
        for _ in 0..60 {
            let mut bytes = vec![0; (entropy.u32() % 200) as usize];
            entropy.fill(&mut bytes);
            // Control messages and data messages with likely numbers.
            if bytes.len() > 16 {
                let control = entropy.u32().is_multiple_of(2);
                bytes[0] = if control { 0xc8 } else { 0x00 };
                bytes[1] = 0x02;
                let length = (bytes.len() as u16).to_be_bytes();
                if control {
                    bytes[2..4].copy_from_slice(&length);
                    bytes[4] = 0;
                    bytes[8..12].fill(0);
                    bytes[9] = (entropy.u32() % 8) as u8;
                    bytes[11] = (entropy.u32() % 8) as u8;
                }
            }
            let (now, mut out) = (world.now, sekisho::client::Output::default());
            let _ = world[madman].device.send_nonsense(now, PacketBuf::from_slice(&bytes), &mut out);
            world.carry_out(madman, out);
        }
        world.run_for(Duration::from_millis(300));
        if round % 10 == 0 {
            assert!(world.ping(other, OFFICE_GATEWAY));
        }
    }
    world.vanish(madman);
    world.run_for(Duration::from_secs(400));
    assert!(world.ping(other, OFFICE_GATEWAY));
    assert_eq!((world.gateway().population(), world.gateway().sessions()), ((1, 0), 1));
}

/// IP nonsense from an authenticated client: nothing of it reaches another under a false name, and nothing breaks.
#[test]
fn ip_nonsense_is_stopped_at_the_port() {
    let mut world = World::new();
    let home = world.nat(Nat::home());
    let (other, madman) =
        (world.client(Profile::ios17(), "yas", home), world.client(Profile::ios17(), "jiro", home));
    world.connect(other);
    world.connect(madman);
    let (own, victim) = (world[madman].address().unwrap(), world[other].address().unwrap());
    let mut entropy = world.entropy.fork();
    for n in 0..3000_u32 {
        let mut packet =
            sekisho::wire::inet::udp_packet((own, 9), (victim, 9), &vec![0xaa; (n % 1200) as usize]);
        for _ in 0..=entropy.u32() % 4 {
            let at = entropy.u32() as usize % 28;
            packet[at] = entropy.u32() as u8;
        }
        if n % 5 == 0 {
            packet.truncate(entropy.u32() as usize % 40);
        }
        world.send_ip(madman, packet);
        if n % 50 == 0 {
            world.run_for(Duration::from_millis(100));
        }
    }
    world.run_for(Duration::from_secs(1));
    assert!(world[other].inbox.datagrams.iter().all(|datagram| datagram.from.0 == own));
    assert!(world.ping(other, OFFICE_GATEWAY));
    assert!(world.ping(madman, OFFICE_GATEWAY));
}

/// The client's own half: a gateway that talks nonsense does not bring it down by a panic either.
#[test]
fn mutated_answers_do_not_break_the_client() {
    for profile in Profile::all() {
        let mut world = World::new();
        world.tolerant = true;
        let home = world.nat(Nat::home());
        let client = world.client(profile, "jiro", home);
        world.listen();
        world.connect(client);
        world.ping(client, OFFICE_GATEWAY);
        let heard = world.heard();
        let answers: Vec<_> = heard
            .into_iter()
            .filter(|(d, _)| *d == Direction::FromGateway)
            .map(|(_, packet)| packet)
            .collect();
        let mut entropy = world.entropy.fork();
        for _ in 0..400 {
            let packet = &answers[entropy.u32() as usize % answers.len()];
            let packet = mutated(packet, &answers, &mut entropy);
            world.inject_to_client(packet);
        }
        world.run_for(Duration::from_secs(2));
        assert!(world.ping(client, OFFICE_GATEWAY), "{:?}", world[client].reason());
    }
}

// ---- floods ----

/// First messages of Main Mode, recorded from a real client; the cookie of each is its own.
fn first_message(entropy: &mut Entropy, from: SocketAddr) -> Packet {
    use sekisho::client::ike::{Initiator, Output, profile};
    use sekisho::packet::{Encap, Path};
    let mut initiator =
        Initiator::new(profile::windows(sekisho::crypto::Secret::from("no key")), entropy.fork());
    let mut out = Output::default();
    let path = Path { encap: Encap::Ike, local: from, remote: server(500) };
    initiator.start(std::time::Instant::now(), path, &mut out);
    Packet::sent(path, &out.packets[0].buf)
}

#[test]
fn half_open_exchanges_of_one_source_are_few() {
    let mut world = World::new();
    let (clients, ..) = recorded(&mut world);
    let mut entropy = world.entropy.fork();
    for n in 0..1000 {
        let from = SocketAddr::new([192, 0, 2, 66].into(), 1024 + n);
        let packet = first_message(&mut entropy, from);
        world.inject(packet);
    }
    world.run_for(Duration::from_secs(1));
    let limit = usize::try_from(world.config.limits.half_open_per_source).unwrap();
    assert_eq!(world.gateway().population().1, limit);
    assert_eq!(world.gateway().workers[0].drops().of(Drop::HalfOpenLimit), 1000 - limit as u64);
    // Others are not concerned, connected or not.
    assert_alive(&mut world, &clients);
    let home = world.nat(Nat::home());
    let newcomer = world.client(Profile::windows10(), "u1", home);
    world.connect(newcomer);
    // Half a minute later it is over.
    world.run_for(Duration::from_secs(35));
    assert_eq!(world.gateway().population().1, 0);
}

#[test]
fn half_open_exchanges_are_bounded_in_all() {
    let mut world = World::with(Office::default().top("limits: { half_open: 300 }"));
    let (clients, ..) = recorded(&mut world);
    let before = census(&world);
    let mut entropy = world.entropy.fork();
    for n in 0..1500_u32 {
        let from = SocketAddr::new([10, 9, (n / 250) as u8, (n % 250) as u8].into(), 500);
        let packet = first_message(&mut entropy, from);
        world.inject(packet);
        if n % 100 == 0 {
            world.run_for(Duration::from_millis(50));
        }
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.gateway().population().1, 300);
    assert_alive(&mut world, &clients);
    for client in &clients {
        let before = world[*client].rekeys();
        world.renew_esp(*client);
        world.run_for(Duration::from_secs(3));
        assert_eq!(world[*client].rekeys(), before + 1, "who has keys renews them in the middle of a flood");
    }
    world.run_for(Duration::from_secs(120));
    assert_alive(&mut world, &clients);
    let (after, before) = (census(&world)[0], before[0]);
    assert_eq!((after.peers, after.half_opens, after.deadlines), (before.peers, 0, before.deadlines));
}

/// Ten thousand first messages a second from as many addresses: they push one another out, and neither who is connected
/// nor who wants to connect notices. They leave a few stories, not as many as there were.
#[test]
fn honest_clients_connect_through_a_flood_of_first_messages() {
    let mut world = World::new();
    let (clients, ..) = recorded(&mut world);
    let mut entropy = world.entropy.fork();
    let newcomers: Vec<_> = [Profile::windows10(), Profile::macos(), Profile::android(Android::Seven)]
        .into_iter()
        .zip(["u1", "u2", "u3"])
        .map(|(profile, user)| {
            let home = world.nat(Nat::home());
            world.client(profile, user, home)
        })
        .collect();
    let mut sent = 0_u32;
    let mut flood = |world: &mut World, millis: u32| {
        for _ in 0..millis {
            for _ in 0..10 {
                sent += 1;
                let from = SocketAddr::new((0x0a09_0000 + sent).to_be_bytes().into(), 500);
                world.inject(first_message(&mut entropy, from));
            }
            world.run_for(Duration::from_millis(1));
        }
    };
    flood(&mut world, 600);
    let limit = world.config.limits.half_open as usize;
    assert_eq!(world.gateway().population().1, limit, "the flood has filled the table");
    for newcomer in &newcomers {
        world.start(*newcomer);
    }
    for _ in 0..20 {
        flood(&mut world, 50);
        assert!(world.ping(clients[0], OFFICE_GATEWAY), "whoever is connected notices nothing");
    }
    for newcomer in &newcomers {
        world.await_up(*newcomer);
        assert!(world.ping(*newcomer, OFFICE_GATEWAY));
    }
    assert!(world.gateway().workers[0].drops().of(Drop::HalfOpenLimit) > 10_000, "what gave way is counted");
    world.run_for(Duration::from_secs(40));
    assert_alive(&mut world, &clients);
    assert_eq!(world.gateway().population().1, 0);
    let stories = world.gateway().causes().len();
    assert!((1..500).contains(&stories), "{stories} stories");
}

/// A flood of clear-text L2TP where it is allowed: bounded like everything else, and over soon.
#[test]
fn raw_tunnels_are_bounded() {
    let mut world = World::with(Office::default().listen("raw_l2tp: true").top("limits: { half_open: 200 }"));
    let mut sccrq = vec![0xc8, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for avp in [
        &[0x80, 8, 0, 0, 0, 0, 0, 1][..],
        &[0x80, 8, 0, 0, 0, 2, 1, 0],
        &[0x80, 10, 0, 0, 0, 3, 0, 0, 0, 3],
        &[0x80, 7, 0, 0, 0, 7, b'x'],
        &[0x80, 8, 0, 0, 0, 9, 0, 1],
    ] {
        sccrq.extend(avp);
    }
    let length = (sccrq.len() as u16).to_be_bytes();
    sccrq[2..4].copy_from_slice(&length);
    for n in 0..1000_u32 {
        let from = SocketAddr::new([10, 9, (n / 250) as u8, (n % 250) as u8].into(), 1701);
        world.inject(Packet { proto: Proto::Udp, from, to: server(1701), bytes: sccrq.clone() });
    }
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.gateway().population().0, 200);
    world.run_for(Duration::from_secs(120));
    assert_eq!(world.gateway().population().0, 0);
    assert_eq!(world.gateway().workers[0].census().clear_text, 0);
}

// ---- nothing stays ----

/// Everybody comes and goes in every way, over and over: afterwards every table is as it was.
#[test]
fn churn_leaves_nothing_behind() {
    churn(Duration::ZERO, Duration::ZERO);
}

/// The same with a gatehouse and key agreements that are always late.
#[test]
fn churn_with_late_answers_leaves_nothing_behind() {
    churn(Duration::from_millis(350), Duration::from_millis(120));
}

fn churn(gate_delay: Duration, dh_delay: Duration) {
    let mut world = World::with(Office::default().top("workers: 2").top("sessions: { max_sessions: 2 }"));
    world.tolerant = true;
    (world.gateway_mut().gate_delay, world.gateway_mut().dh_delay) = (gate_delay, dh_delay);
    let before = census(&world);
    let carrier = world.nat(Nat::carrier());
    let mut clients = Vec::new();
    for (n, profile) in Profile::all().into_iter().enumerate() {
        let home = world.nat_behind(Nat::home(), carrier);
        let place = if n % 4 == 3 { None } else { Some(home) };
        // Some are the same user's.
        let client = world.client(profile.with_lifetimes(60, 30), &format!("u{}", n % 8), place);
        if n % 3 == 0 {
            world[client].line = Line::BAD;
        }
        clients.push(client);
    }
    let mut entropy = world.entropy.fork();
    for _ in 0..400 {
        let client = clients[entropy.u32() as usize % clients.len()];
        match entropy.u32() % 8 {
            0..=2 => world.start(client),
            3 => {
                let mut out = sekisho::client::Output::default();
                let now = world.now;
                world[client].device.stop(now, &mut out);
                world.carry_out(client, out);
            }
            4 => world.vanish(client),
            5 => {
                let user = format!("u{}", entropy.u32() % 8);
                if world.gateway().session(&user).is_some() {
                    world.kick(&user);
                }
            }
            _ => {
                world.renew_isakmp(client);
                world.renew_esp(client);
            }
        }
        let pause = u64::from(entropy.u32() % 1500);
        world.run_for(Duration::from_millis(pause));
    }
    // In the end everybody who wants to can connect, and reaches the others.
    for client in &clients[..8] {
        world[*client].line = Line::GOOD;
        world.vanish(*client);
        world.run_for(Duration::from_secs(25));
        world.connect(*client);
        assert!(world.ping(*client, OFFICE_GATEWAY));
    }
    for client in &clients {
        world.vanish(*client);
    }
    world.run_for(Duration::from_secs(500));
    assert_eq!(census(&world), before);
    assert_eq!(world.gateway().sessions(), 0);
    assert_eq!(world.gateway().gatehouse.stories().running_count(), 0);
    for hub in world.gateway().gatehouse.hubs() {
        assert_eq!(hub.port_count(), 1, "the uplink's");
    }
    // Leases are remembered, one for each device.
    let kept = world.gateway().save(world.clock())["OFFICE"].len();
    assert!(kept <= 2 * clients.len(), "{kept}");
}
