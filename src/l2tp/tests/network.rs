//! LNS and scripted clients over a network that loses, repeats and reorders, with time and chance under control.

use super::*;
use crate::client::lac::{self, End, Habits, Lac};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Per mille of packets.
#[derive(Clone, Copy, Debug)]
struct Weather {
    lost: u32,
    doubled: u32,
    late: u32,
}

const SUNSHINE: Weather = Weather { lost: 0, doubled: 0, late: 0 };

enum Packet {
    ToServer(Vec<u8>),
    ToClient(Vec<u8>),
}

struct World {
    now: Instant,
    entropy: Entropy,
    weather: Weather,
    lns: Lns,
    lac: Lac,
    lns_events: Vec<Event>,
    lac_events: Vec<lac::Event>,
    /// By arrival time and order.
    wire: BTreeMap<(Instant, u64), Packet>,
    count: u64,
    /// Control messages of the server that the client has not acknowledged, as an observer at the client sees it.
    highest_sent: Option<u16>,
    acknowledged: u16,
    worst_in_flight: u16,
}

impl World {
    fn new(habits: Habits, weather: Weather, seed: u64) -> Self {
        let mut entropy = Entropy::from_number(seed);
        let lac = Lac::new(habits, &mut entropy);
        Self {
            now: start(),
            weather,
            lns: Lns::new(Arc::default(), WorkerId(1)),
            lac,
            lns_events: Vec::new(),
            lac_events: Vec::new(),
            wire: BTreeMap::new(),
            count: 0,
            entropy,
            highest_sent: None,
            acknowledged: 0,
            worst_in_flight: 0,
        }
    }

    fn chance(&mut self, per_mille: u32) -> bool {
        self.entropy.u32() % 1000 < per_mille
    }

    fn carry(&mut self, packet: impl Fn() -> Packet) {
        let copies = 1 + u32::from(self.chance(self.weather.doubled));
        for _ in 0..copies {
            if self.chance(self.weather.lost) {
                continue;
            }
            let late = if self.chance(self.weather.late) { self.entropy.u32() % 1500 } else { 0 };
            let at = self.now + Duration::from_millis(u64::from(20 + late));
            self.count += 1;
            self.wire.insert((at, self.count), packet());
        }
    }

    fn drain_server(&mut self, mut out: Output) {
        for packet in out.packets.drain(..) {
            assert_eq!(packet.remote_port, self.lac.port());
            let message = Message::parse(&packet.buf).unwrap();
            if message.kind.is_some() {
                let ns = message.header.ns;
                let highest = self.highest_sent.map_or(ns, |highest| highest.max(ns));
                self.highest_sent = Some(highest);
                self.worst_in_flight = self.worst_in_flight.max(highest + 1 - self.acknowledged);
            }
            let bytes = packet.buf.to_vec();
            self.carry(|| Packet::ToClient(bytes.clone()));
        }
        self.lns_events.append(&mut out.events);
    }

    fn drain_client(&mut self, mut out: lac::Output) {
        for packet in out.packets.drain(..) {
            let bytes = packet.to_vec();
            self.carry(|| Packet::ToServer(bytes.clone()));
        }
        self.lac_events.append(&mut out.events);
    }

    fn start(&mut self) {
        let mut out = lac::Output::default();
        self.lac.start(self.now, &mut out);
        self.drain_client(out);
    }

    fn stop(&mut self) {
        let mut out = lac::Output::default();
        self.lac.stop(self.now, &mut out);
        self.drain_client(out);
    }

    fn arrive(&mut self, packet: Packet) {
        match packet {
            Packet::ToServer(bytes) => {
                let nr = ControlHeader::parse(&bytes).unwrap().0.nr;
                self.acknowledged = self.acknowledged.max(nr);
                let mut out = Output::default();
                let port = self.lac.port();
                let _ = self.lns.handle_control(self.now, port, &bytes, &mut self.entropy, &mut out);
                self.drain_server(out);
            }
            Packet::ToClient(bytes) => {
                let mut out = lac::Output::default();
                let _ = self.lac.handle_control(self.now, &bytes, &mut out);
                self.drain_client(out);
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..100_000 {
            let next = [
                self.wire.first_key_value().map(|((at, _), _)| *at),
                self.lns.poll_timeout(),
                self.lac.poll_timeout(),
            ];
            let Some(at) = next.into_iter().flatten().min().filter(|at| *at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(at);
            if let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let packet = entry.remove();
                self.arrive(packet);
                continue;
            }
            if self.lac.poll_timeout().is_some_and(|at| at <= self.now) {
                let mut out = lac::Output::default();
                self.lac.handle_timeout(self.now, &mut out);
                self.drain_client(out);
            }
            if self.lns.poll_timeout().is_some_and(|at| at <= self.now) {
                let mut out = Output::default();
                self.lns.handle_timeout(self.now, &mut out);
                self.drain_server(out);
            }
        }
        panic!("no end of events");
    }

    fn server_session(&self) -> Option<SessionKey> {
        self.lns_events.iter().rev().find_map(|event| match event {
            Event::SessionUp { key, .. } => Some(*key),
            _ => None,
        })
    }
}

fn every_habit() -> [Habits; 4] {
    [Habits::android(), Habits::apple(), Habits::windows(), Habits::xl2tpd()]
}

#[test]
fn every_client_connects_talks_and_leaves() {
    for habits in every_habit() {
        let name = habits.name;
        let mut world = World::new(habits, SUNSHINE, 1);
        world.start();
        world.run(Duration::from_millis(200));
        assert_eq!(world.lac_events, [lac::Event::Up], "{name}");
        let key = world.server_session().unwrap();

        let mut buf = PacketBuf::from_slice(b"\xff\x03\xc0\x21ping");
        world.lac.put_data(&mut buf).unwrap();
        assert_eq!(world.lns.strip_data(&mut buf), Ok(key));
        assert_eq!(&*buf, b"\xff\x03\xc0\x21ping");
        world.lns.put_data(key, &mut buf).unwrap();
        assert_eq!(world.lac.strip_data(&mut buf), Ok(()));
        assert_eq!(&*buf, b"\xff\x03\xc0\x21ping");

        // HELLOs on both sides for ten minutes.
        world.run(Duration::from_secs(600));
        world.stop();
        world.run(Duration::from_millis(200));
        assert_eq!(world.lac_events, [lac::Event::Up, lac::Event::Down(End::Local)], "{name}");
        assert!(matches!(world.lns_events.last(), Some(Event::TunnelDown { .. })), "{name}");
        assert_eq!(world.lac.violations(), [""; 0], "{name}");
        world.run(Duration::from_secs(31));
        assert!(world.lns.is_empty(), "{name}");
    }
}

#[test]
fn the_set_up_takes_no_longer_than_its_round_trips() {
    for (habits, round_trips) in
        [(Habits::android(), 4), (Habits::apple(), 2), (Habits::windows(), 2), (Habits::xl2tpd(), 3)]
    {
        let name = habits.name;
        let mut world = World::new(habits, SUNSHINE, 1);
        world.start();
        world.run(Duration::from_millis(40 * round_trips - 1));
        assert_eq!(world.lac_events, [], "{name}");
        world.run(Duration::from_millis(1));
        assert_eq!(world.lac_events, [lac::Event::Up], "{name}");
    }
}

#[test]
fn the_server_hangs_up_and_the_client_knows_why() {
    for habits in every_habit() {
        let mut world = World::new(habits, SUNSHINE, 2);
        world.start();
        world.run(Duration::from_millis(200));
        let key = world.server_session().unwrap();
        let mut out = Output::default();
        world.lns.close_session(world.now, key, Cause::Administrative, &mut out);
        world.drain_server(out);
        world.run(Duration::from_millis(200));
        let Some(lac::Event::Down(End::HungUp { result, error, message, .. })) = world.lac_events.last()
        else {
            panic!("{:?}", world.lac_events)
        };
        assert_eq!((*result, *error, &**message), (3, 0, "closed by the administrator"));
    }
}

#[test]
fn the_gateway_shuts_down_and_the_client_knows() {
    for habits in every_habit() {
        let mut world = World::new(habits, SUNSHINE, 3);
        world.start();
        world.run(Duration::from_millis(200));
        let mut out = Output::default();
        world.lns.close_all(world.now, Cause::Shutdown, &mut out);
        world.drain_server(out);
        world.run(Duration::from_millis(200));
        assert!(matches!(
            world.lac_events.last(),
            Some(lac::Event::Down(End::Stopped { result: 6, error: 0, .. }))
        ));
        assert!(world.lns.is_empty());
    }
}

#[test]
fn nobody_there() {
    for habits in every_habit() {
        let mut world = World::new(habits, Weather { lost: 1000, ..SUNSHINE }, 4);
        world.start();
        world.run(Duration::from_secs(90));
        assert_eq!(world.lac_events, [lac::Event::Down(End::NoAnswer)]);
    }
}

/// Both ends agree in the end, and the windows hold on the way.
fn survives(habits: Habits, weather: Weather, seed: u64) -> Result<bool, TestCaseError> {
    let window = habits.window();
    let mut world = World::new(habits, weather, seed);
    world.start();
    world.run(Duration::from_secs(58));
    let up = world.lac_events.first() == Some(&lac::Event::Up);
    // The sky clears, and what hangs on a repetition gets it.
    world.weather = SUNSHINE;
    world.run(Duration::from_secs(62));
    let mut buf = PacketBuf::from_slice(b"\xff\x03");
    if world.lac.put_data(&mut buf).is_ok() {
        let key = world.server_session();
        prop_assert!(key.is_some());
        prop_assert_eq!(world.lns.strip_data(&mut buf).ok(), key);
    }
    world.stop();
    // Whatever happened, nothing is left in the end.
    world.run(Duration::from_secs(500));
    prop_assert!(world.lns.is_empty(), "{:?}", world.lns);
    prop_assert_eq!(world.lac.violations(), [""; 0]);
    prop_assert!(world.worst_in_flight <= window, "{} of {window}", world.worst_in_flight);
    let ups = world.lns_events.iter().filter(|event| matches!(event, Event::SessionUp { .. })).count();
    let downs = world.lns_events.iter().filter(|event| matches!(event, Event::SessionDown { .. })).count();
    prop_assert_eq!(ups, downs);
    let asked = world.lns_events.iter().filter(|event| matches!(event, Event::TunnelAsked { .. })).count();
    let ended = |event: &&Event| matches!(event, Event::TunnelDown { .. } | Event::TunnelFailed { .. });
    prop_assert_eq!(asked, world.lns_events.iter().filter(ended).count());
    Ok(up)
}

#[test]
fn a_mobile_network_connects_everyone() {
    let weather = Weather { lost: 100, doubled: 30, late: 100 };
    for habits in every_habit() {
        let up = (0..40).filter(|seed| survives(habits.clone(), weather, *seed).unwrap()).count();
        assert_eq!(up, 40, "{}", habits.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_network_ends_in_agreement(
        kind in 0usize..4, lost in 0u32..600, doubled in 0u32..300, late in 0u32..500, seed: u64,
    ) {
        let [habits, ..] = {
            let mut all = every_habit();
            all.swap(0, kind);
            all
        };
        survives(habits, Weather { lost, doubled, late }, seed)?;
    }

    /// Messages of a client that has gone mad, at a server with a connection: never a panic, never too much.
    #[test]
    fn nonsense_never_panics(
        messages in proptest::collection::vec(
            (0usize..20, 0u16..6, 0u16..6, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..20)), 0..60,
        ),
    ) {
        let mut server = Server::new();
        let key = server.session();
        for (kind, ns, nr, to_session, body) in messages {
            let session = if to_session { key.session.0 } else { 0 };
            let header = ControlHeader { tunnel: key.tunnel, session: SessionId(session), ns: 4 + ns, nr: 2 + nr };
            let kind = MessageType(kind as u16);
            let mut bytes = Message::emit(header, kind, &[Avp::mandatory(Value::AssignedSessionId(SessionId(9)))]);
            bytes.extend(body);
            let len = bytes.len() as u16;
            bytes[2..4].copy_from_slice(&len.to_be_bytes());
            let _ = server.try_recv(&bytes);
            if session == 0 {
                server.secs(7);
            }
        }
        prop_assert!(server.lns.tunnels.len() <= 4);
    }
}
