//! What strangers can do to a worker: little, and it is counted.

use super::*;
use crate::client::ike::{self as client, Initiator, profile};
use crate::config::{FileFacts, load};
use crate::packet::{Datagram, Encap, PacketBuf, Transmit};
use crate::story::Record;
use profile::Android;
use std::net::IpAddr;
use std::time::Duration;

const CONFIG: &str = r#"
ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }
limits: { half_open: 5, half_open_per_source: 3 }
hubs: { HUB1: { network: 10.60.0.0/24, users: { jiro: { password: "jiro-pw" } } } }
"#;
const HERE: &str = "203.0.113.1";
const NAT: &str = "198.51.100.7";
const KEY: &str = "kT7nVpQ2xWz9RbHm4cJd";

struct World {
    clock: Clock,
    worker: Worker,
    asks: Vec<Ask>,
    devices: u64,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an origin for the fake clock")]
    fn new(config: &str) -> Self {
        let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
        let config = load(config, &facts).unwrap_or_else(|report| panic!("{report}")).config;
        let clock = Clock { now: Instant::now(), unix: 1_800_000_000 };
        let settings = Arc::new(config.peer_settings(false));
        let worker = Worker::new(WorkerId(3), clock, settings, Entropy::from_number(1));
        Self { clock, worker, asks: Vec::new(), devices: 0 }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.clock.now + Duration::from_secs(seconds);
        while let Some(at) = self.worker.poll_timeout().filter(|at| *at <= end) {
            self.clock.now = self.clock.now.max(at);
            let mut effects = Effects::default();
            self.worker.handle_timeout(self.clock, &mut effects);
            self.asks.append(&mut effects.asks);
        }
        self.clock.now = end;
    }

    /// Hands over one datagram and returns what goes out.
    fn recv(&mut self, encap: Encap, port: u16, remote: &str, bytes: &[u8]) -> Vec<Transmit> {
        let path = Path {
            encap,
            local: SocketAddr::new(HERE.parse().unwrap(), port),
            remote: remote.parse().unwrap(),
        };
        let mut effects = Effects::default();
        let mut datagrams = vec![Datagram { path, buf: PacketBuf::from_slice(bytes) }];
        self.worker.handle_datagrams(self.clock, &mut datagrams, &mut effects);
        self.asks.append(&mut effects.asks);
        for (tag, job) in std::mem::take(&mut effects.dh) {
            let result = job.run(&mut Entropy::from_number(2));
            self.worker.handle_dh(self.clock, tag, result, &mut effects);
        }
        effects.transmits
    }

    /// The first message of another device.
    fn first_message(&mut self) -> Vec<u8> {
        self.devices += 1;
        let mut device = Initiator::new(profile::windows("any".into()), Entropy::from_number(self.devices));
        let path = Path {
            encap: Encap::Ike,
            local: "192.168.1.20:500".parse().unwrap(),
            remote: SocketAddr::new(HERE.parse().unwrap(), 500),
        };
        let mut out = client::Output::default();
        device.start(self.clock.now, path, &mut out);
        out.packets[0].buf.to_vec()
    }

    fn begin(&mut self, remote: &str) -> bool {
        let message = self.first_message();
        !self.recv(Encap::Ike, 500, remote, &message).is_empty()
    }

    /// Lets a device behind a NAT connect as far as Phase 1 (and further, if it has begun to). The NAT adds `offset` to
    /// its ports.
    fn phase1(&mut self, device: &mut Initiator, inner: &str, offset: u16) {
        self.phase1_from(Encap::Ike, device, inner, offset);
    }

    /// A renewal stays on port 4500 from its first message on.
    fn renewal(&mut self, device: &mut Initiator, inner: &str, offset: u16) {
        self.phase1_from(Encap::NatT, device, inner, offset);
    }

    fn phase1_from(&mut self, encap: Encap, device: &mut Initiator, inner: &str, offset: u16) {
        let port = if encap == Encap::NatT { 4500 } else { 500 };
        let path = Path {
            encap,
            local: SocketAddr::new(inner.parse().unwrap(), port),
            remote: SocketAddr::new(HERE.parse().unwrap(), port),
        };
        let mut out = client::Output::default();
        device.start(self.clock.now, path, &mut out);
        self.talk(device, offset, out);
    }

    fn talk(&mut self, device: &mut Initiator, offset: u16, mut out: client::Output) {
        let nat: IpAddr = NAT.parse().unwrap();
        while !out.packets.is_empty() {
            let mut next = client::Output::default();
            for packet in out.packets {
                let marker: &[u8] = if packet.path.encap == Encap::NatT { &[0; 4] } else { &[] };
                let remote = SocketAddr::new(nat, packet.path.local.port() + offset).to_string();
                let port = packet.path.remote.port();
                let bytes = [marker, &packet.buf].concat();
                for reply in self.recv(packet.path.encap, port, &remote, &bytes) {
                    assert_eq!(reply.path.remote.to_string(), remote);
                    let result =
                        device.handle(self.clock.now, packet.path, &reply.buf[marker.len()..], &mut next);
                    // Goodbyes to what was at this address before.
                    assert!(matches!(result, Ok(()) | Err(Drop::UnknownCookies)), "{result:?}");
                }
            }
            out = next;
        }
    }

    /// The records of attempts that ended since the last call.
    fn ended(&mut self) -> Vec<Record> {
        let ended = |ask| if let Ask::Ended(record) = ask { Some(*record) } else { None };
        self.asks.drain(..).filter_map(ended).collect()
    }
}

#[test]
fn half_open_exchanges_are_capped_per_source_and_in_all() {
    let mut w = World::new(CONFIG);
    let office = |port: u16| format!("198.51.100.7:{port}");
    assert_eq!([1, 2, 3, 4].map(|port| w.begin(&office(port))), [true, true, true, false]);
    // Others get in; when there is no room, in place of the oldest that has not answered.
    assert_eq!(["192.0.2.1:500", "192.0.2.2:500", "192.0.2.3:500"].map(|at| w.begin(at)), [true, true, true]);
    assert_eq!(w.worker.drops().of(Drop::HalfOpenLimit), 2);
    assert_eq!(w.worker.population(), (0, 5));
    assert_eq!(w.ended().iter().map(|record| record.cause).collect::<Vec<_>>(), [Cause::FloodProtection]);
    // What is not finished ends by itself, with a story each, and makes room.
    w.pass(31);
    assert_eq!(w.worker.population(), (0, 0));
    let ended = w.ended();
    assert_eq!(ended.len(), 5);
    assert!(ended.iter().all(|record| record.cause == Cause::IkeUnfinished && record.seconds < 31.0));
    assert!(w.begin(&office(9)));
}

#[test]
fn nobody_new_is_admitted_while_too_many_agreements_wait() {
    let mut w = World::new(CONFIG);
    let mut admitted = device(profile::windows(KEY.into()), 7);
    w.worker.agreements = usize::MAX / 2;
    assert!(!w.begin("198.51.100.8:500"));
    assert_eq!(w.worker.drops().of(Drop::Busy), 1);
    w.worker.agreements = 0;
    w.phase1(&mut admitted, "192.168.1.20", 0);
    assert_eq!((w.worker.agreements, w.worker.population()), (0, (1, 0)), "every result is counted back");
    assert!(w.begin("198.51.100.8:500"));
}

#[test]
fn a_repeated_first_message_is_no_second_exchange() {
    let mut w = World::new(CONFIG);
    let message = w.first_message();
    let first = w.recv(Encap::Ike, 500, "198.51.100.7:500", &message);
    for _ in 0..5 {
        let again = w.recv(Encap::Ike, 500, "198.51.100.7:500", &message);
        assert_eq!((again.len(), &again[0].buf[..]), (1, &first[0].buf[..]));
    }
    assert_eq!(w.worker.population(), (0, 1));
    // The cookie leads back here, and the answer leaves from where the question came to.
    assert_eq!(first[0].buf[8], 3);
    assert_eq!(first[0].path.local.to_string(), "203.0.113.1:500");
}

#[test]
fn a_client_that_hears_nothing_has_one_story_however_often_it_repeats_itself() {
    let mut w = World::new(CONFIG);
    let message = w.first_message();
    assert_eq!(w.recv(Encap::Ike, 500, "198.51.100.7:500", &message).len(), 1);
    w.pass(31);
    assert_eq!(w.ended().len(), 1);
    // strongSwan's fifth, 47 seconds after its first.
    w.pass(16);
    assert!(w.recv(Encap::Ike, 500, "198.51.100.7:500", &message).is_empty());
    assert_eq!((w.worker.population(), w.worker.drops().of(Drop::Repeated)), ((0, 0), 1));
    w.pass(60);
    assert!(w.ended().is_empty());
}

#[test]
fn ikev2_is_answered_at_a_limited_rate_and_recorded_as_often() {
    let mut w = World::new(CONFIG);
    let mut request = hex_literal::hex!("0102030405060708 0000000000000000 21 20 22 08 00000000 0000001c");
    let mut answered = 0;
    for n in 0..100 {
        request[7] = n;
        let answer = w.recv(Encap::NatT, 4500, "198.51.100.7:4500", &[&[0; 4], &request[..]].concat());
        answered += answer.len();
        assert!(answer.iter().all(|one| one.buf.len() <= request.len() + 12 && one.buf[..4] == [0; 4]));
    }
    assert!((10..=30).contains(&answered), "{answered}");
    let ended = w.ended();
    assert_eq!(ended.len(), answered);
    assert!(ended.iter().all(|record| record.cause == Cause::Ikev2Client));
    // A person who tries again a little later is answered.
    w.pass(1);
    assert_eq!(w.recv(Encap::Ike, 500, "198.51.100.7:500", &request).len(), 1);
}

#[test]
fn clear_text_l2tp_that_is_off_is_recorded_and_never_answered() {
    let sccrq = hex_literal::hex!(
        "c802003c 0000 0000 0000 0000 8008000000000001 8008000000020100 800a0000000300000003
         80080000000701ff 8008000000090001 80080000000a0004"
    );
    let mut sccrq = sccrq.to_vec();
    sccrq[3] = sccrq.len() as u8;
    let mut w = World::new(CONFIG);
    for _ in 0..200 {
        assert!(w.recv(Encap::L2tp, 1701, "198.51.100.7:1701", &sccrq).is_empty());
    }
    let ended = w.ended();
    assert!((1..=30).contains(&ended.len()), "a flood makes few records: {}", ended.len());
    assert!(ended.iter().all(|record| record.cause == Cause::RawL2tpRefused));
    assert_eq!(w.worker.drops().of(Drop::RawL2tpRefused), 200);
    assert_eq!(w.worker.population(), (0, 0));
    // Switched on, it is.
    let mut w = World::new(&format!("{CONFIG}listen: {{ raw_l2tp: true }}\n"));
    let sccrp = w.recv(Encap::L2tp, 1701, "198.51.100.7:1701", &sccrq);
    assert_eq!((sccrp.len(), w.worker.population().0), (1, 1));
}

/// Tunnels are looked for among the sender's own, so nobody takes over or closes a tunnel by naming it.
#[test]
fn a_tunnel_that_belongs_to_another_peer_is_not_found() {
    let message = |tunnel: &[u8], ns: u8, avps: &[u8]| {
        let length = [0, 12 + avps.len() as u8];
        [&[0xc8, 2], &length[..], tunnel, &[0, 0, 0, ns, 0, ns], avps].concat()
    };
    let sccrq = hex_literal::hex!(
        "8008000000000001 8008000000020100 800a0000000300000003 80080000000701ff 8008000000090001 80080000000a0004"
    );
    let stopccn = hex_literal::hex!("8008000000000004 8008000000090001 8008000000010001");
    let hello = hex_literal::hex!("8008000000000006");
    let mut w = World::new(&format!("{CONFIG}listen: {{ raw_l2tp: true }}\n"));
    let (ours, theirs) = ("198.51.100.7:1701", "192.0.2.9:1701");
    let mut open = |from| {
        let sccrp = w.recv(Encap::L2tp, 1701, from, &message(&[0; 2], 0, &sccrq));
        let assigned = sccrp[0].buf.windows(6).position(|avp| avp == [0x80, 8, 0, 0, 0, 9]).unwrap() + 6;
        sccrp[0].buf[assigned..assigned + 2].to_vec()
    };
    let (our_tunnel, their_tunnel) = (open(ours), open(theirs));
    assert_ne!(our_tunnel, their_tunnel);
    let strangers = w.worker.drops().of(Drop::UnknownTunnel);
    for avps in [&hello[..], &stopccn] {
        assert!(w.recv(Encap::L2tp, 1701, ours, &message(&their_tunnel, 1, avps)).is_empty());
    }
    assert_eq!(w.worker.drops().of(Drop::UnknownTunnel), strangers + 2);
    // Its owner goes on with it, and only its owner ends it.
    assert!(w.ended().is_empty());
    let scccn = hex_literal::hex!("8008000000000003");
    assert_eq!(w.recv(Encap::L2tp, 1701, theirs, &message(&their_tunnel, 1, &scccn)).len(), 1);
    assert!(!w.recv(Encap::L2tp, 1701, theirs, &message(&their_tunnel, 2, &stopccn)).is_empty());
}

#[test]
fn strangers_get_silence_or_one_hint() {
    let mut w = World::new(CONFIG);
    let cases: [(Encap, u16, &[u8], Drop); 5] = [
        (Encap::NatT, 4500, &[0xff], Drop::Keepalive),
        (Encap::NatT, 4500, &[4; 80], Drop::UnknownSpi),
        (Encap::Esp, 0, &[4; 80], Drop::UnknownSpi),
        // An SA that nobody has, and another first byte than ours.
        (
            Encap::Ike,
            500,
            &hex_literal::hex!("0102030405060708 0302030405060708 05 10 02 01 00000000 0000001c"),
            Drop::UnknownCookies,
        ),
        // A new exchange of a kind that does not begin anything.
        (
            Encap::Ike,
            500,
            &hex_literal::hex!("0102030405060708 0000000000000000 01 10 05 00 00000000 0000001c"),
            Drop::IkeExchangeRefused,
        ),
    ];
    for (encap, port, bytes, drop) in cases {
        let before = w.worker.drops().of(drop);
        let answers = w.recv(encap, port, "198.51.100.7:4500", bytes);
        // An unknown SPI may be of a device whose SA we have lost: it is told, the first time.
        assert_eq!(answers.len(), usize::from((encap, drop) == (Encap::NatT, Drop::UnknownSpi)), "{drop}");
        assert_eq!(w.worker.drops().of(drop), before + 1, "{drop}");
    }
    assert_eq!((w.worker.population(), w.ended().len()), ((0, 0), 0));
}

#[test]
fn a_stopping_worker_takes_nobody_on() {
    let mut w = World::new(CONFIG);
    assert!(w.begin("198.51.100.7:500"));
    let mut effects = Effects::default();
    w.worker.shutdown(w.clock, &mut effects);
    w.asks.append(&mut effects.asks);
    assert!(matches!(&w.ended()[..], [record] if record.cause == Cause::GatewayStopped));
    assert!(!w.begin("198.51.100.8:500"));
}

fn device(config: client::Config, seed: u64) -> Initiator {
    Initiator::new(config, Entropy::from_number(seed))
}

const PHONE: &str = "192.168.1.20";

#[test]
fn a_new_phase_1_joins_the_peer_that_it_renews_and_no_other() {
    let second_key = format!("{KEY}2");
    let config = CONFIG.replace(KEY, &format!("[{KEY}, {second_key}]"));
    let apple = |key: &str| client::Config {
        initial_contact: client::InitialContact::Never,
        ..profile::apple(key.into(), 50000)
    };
    // The same way, identity and key: one peer with two ISAKMP SAs, and nothing ends.
    let mut w = World::new(&config);
    w.phase1(&mut device(apple(KEY), 1), PHONE, 0);
    assert_eq!(w.worker.population(), (1, 0));
    w.renewal(&mut device(apple(KEY), 2), PHONE, 0);
    assert_eq!((w.worker.population(), w.ended().len()), ((1, 0), 0));
    // Another port of the NAT, another identity (the NAT gave a dead device's port to another), another key.
    w.renewal(&mut device(apple(KEY), 3), PHONE, 1000);
    assert_eq!(w.worker.population(), (2, 0));
    w.renewal(&mut device(apple(KEY), 4), "192.168.1.21", 0);
    assert_eq!(w.worker.population(), (3, 0));
    w.renewal(&mut device(apple(&second_key), 5), PHONE, 0);
    assert_eq!((w.worker.population(), w.ended().len()), ((4, 0), 0));
    // A device that connects begins on port 500, whatever it has in common with the one that had its port before.
    let windows =
        || client::Config { initial_contact: client::InitialContact::Never, ..profile::windows(KEY.into()) };
    w.phase1(&mut device(windows(), 6), PHONE, 7000);
    w.phase1(&mut device(windows(), 7), PHONE, 7000);
    assert_eq!((w.worker.population(), w.ended().len()), ((6, 0), 0));
}

#[test]
fn libreswan_and_apple_may_renew_on_port_500_as_long_as_they_are_alive() {
    for kind in [profile::libreswan(KEY.into()), profile::apple(KEY.into(), 50000)] {
        let client = || client::Config { initial_contact: client::InitialContact::Never, ..kind.clone() };
        let mut w = World::new(CONFIG);
        w.phase1(&mut device(client(), 1), PHONE, 0);
        w.phase1(&mut device(client(), 2), PHONE, 0);
        assert_eq!((w.worker.population(), w.ended().len()), ((1, 0), 0));
        w.clock.now += Duration::from_secs(91);
        w.phase1(&mut device(client(), 3), PHONE, 0);
        assert_eq!((w.worker.population(), w.ended().len()), ((2, 0), 0));
    }
}

#[test]
fn initial_contact_ends_what_the_same_device_had_and_harms_nobody_else() {
    let mut w = World::new(CONFIG);
    let strongswan = || profile::strongswan(KEY.into());
    // Three alike behind one NAT, and a phone; then the first is restarted.
    w.phase1(&mut device(strongswan(), 1), "192.168.1.1", 0);
    w.phase1(&mut device(strongswan(), 2), "192.168.1.2", 1000);
    w.phase1(&mut device(strongswan(), 3), "192.168.1.1", 2000);
    w.phase1(&mut device(profile::android(KEY.into(), Android::Seven), 4), PHONE, 3000);
    assert_eq!(w.worker.population(), (4, 0));
    w.renewal(&mut device(strongswan(), 5), "192.168.1.1", 0);
    assert_eq!(w.worker.population(), (4, 0));
    let ended = w.ended();
    assert!(matches!(&ended[..], [record] if record.cause == Cause::ReplacedBySameDevice), "{ended:?}");
    // The phone says it in a message of its own, behind the sixth: over the same way it is the same peer.
    w.renewal(&mut device(profile::android(KEY.into(), Android::Seven), 6), PHONE, 3000);
    assert_eq!((w.worker.population(), w.ended().len()), ((4, 0), 0));
}

#[test]
fn a_refusal_records_whom_it_met_and_what_was_offered() {
    let mut w = World::new(&CONFIG.replace("ipsec: { ", "ipsec: { policy: modern, "));
    w.phase1(&mut device(profile::android(KEY.into(), Android::Seven), 1), PHONE, 0);
    let ended = w.ended();
    let [record] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((record.cause, record.stage.as_str()), (Cause::NoIkeProposal, "ike"));
    assert_eq!((record.from.as_str(), record.detail.client.as_str()), ("198.51.100.7:500", "Android"));
    assert!(record.detail.offered.contains("AES-256-CBC/SHA2-256/MODP-1024"), "{}", record.detail.offered);
    assert_eq!(record.detail.note, "no proposal chosen: no Diffie-Hellman group that the policy allows");
}

#[test]
fn a_wrong_key_and_what_never_came_are_told_apart() {
    // A wrong key: named within seconds, while the user still waits.
    let mut w = World::new(CONFIG);
    w.phase1(&mut device(profile::android("wrong".into(), Android::Seven), 1), PHONE, 0);
    w.pass(9);
    let ended = w.ended();
    assert!(matches!(&ended[..], [record] if record.cause == Cause::WrongPsk), "{ended:?}");
    // The right key, and no Quick Mode after it.
    w.phase1(&mut device(profile::windows(KEY.into()), 2), PHONE, 0);
    w.pass(31);
    let ended = w.ended();
    assert!(matches!(&ended[..], [record] if record.cause == Cause::NoQuickMode), "{ended:?}");
    assert_eq!((ended[0].stage.as_str(), ended[0].detail.nat.as_str()), ("ike_up", "client behind NAT"));
    // ESP, and nothing in it.
    let mut windows = device(profile::windows(KEY.into()), 3);
    w.phase1(&mut windows, PHONE, 0);
    let mut out = client::Output::default();
    assert!(windows.start_quick_mode(w.clock.now, &mut out));
    w.talk(&mut windows, 0, out);
    w.pass(31);
    let ended = w.ended();
    assert!(matches!(&ended[..], [record] if record.cause == Cause::NoL2tp), "{ended:?}");
    let detail = &ended[0].detail;
    assert_eq!(
        (detail.ike.as_str(), detail.esp.as_str()),
        ("AES-128-CBC/SHA1/ECP-256", "AES-256-CBC/HMAC-SHA1-96")
    );
}
