//! What connections cost the core, without sockets: `cargo bench --bench scale [-- setup | memory | crowd [SESSIONS]]`;
//! 10,000 sessions unless it is said otherwise.
//!
//! **setup**: whole connections by the real exchanges, one after the other; what counts is the thread's CPU time inside
//! the gateway (workers, gatehouse, key agreement), the client's own work not. **memory**: bytes on the heap that idle
//! sessions and idle hubs hold, as the allocator counts them. **crowd**: what a packet of one busy pair costs among 10
//! sessions and among many.
#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
#![allow(unreachable_pub, dead_code, reason = "parts of the simulation, of which not all is used here")]

#[path = "../sim/world"]
mod world {
    pub mod gateway;
    pub mod host;
    pub mod uplink;
}

use nix::time::{ClockId, clock_gettime};
use sekisho::client::ike::profile::Android;
use sekisho::client::{Device, Event, Output, Profile};
use sekisho::config::{self, Config, FileFacts};
use sekisho::control::Command;
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::packet::{Datagram, Encap, PacketBuf, Path, Pool};
use sekisho::ppp::Login;
use sekisho::wire::inet::{self, Protocol};
use sekisho::worker::{Batch, Clock, Effects};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::gateway::{Gateway, Leases};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PSK: &str = "the key that everybody has";
const BEGIN: u64 = 1_790_000_000;
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
const USERS: usize = 50;
/// Packets of a turn, as the shell reads them.
const TURN: usize = 264;
const INNER: usize = 1380;

fn cpu_micros() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    (now.tv_sec() * 1_000_000_000 + now.tv_nsec()) as f64 / 1e3
}

/// Bytes on the heap.
fn heap() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated).wrapping_add_signed(stats.bytes_reallocated)
}

fn allocations() -> usize {
    let stats = HEAP.stats();
    stats.allocations + stats.reallocations
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A company of so many hubs with fifty people each.
fn company(hubs: usize) -> Config {
    let mut text = format!(
        "default_hub: H0\nlimits: {{ sessions: 100000 }}\nipsec: {{ psk: [{{ key: \"{PSK}\" }}] }}\nhubs:\n"
    );
    for hub in 0..hubs {
        let _ = writeln!(text, "  H{hub}:\n    network: 10.{}.{}.0/24\n    users:", hub / 256, hub % 256);
        for user in 0..USERS {
            let _ = writeln!(text, "      u{user}: {{ password: \"only u{user} knows\" }}");
        }
    }
    let facts = FileFacts { name: "company.yaml".into(), mode: None, now: BEGIN };
    match config::load(&text, &facts) {
        Ok(loaded) => loaded.config,
        Err(report) => panic!("{report}"),
    }
}

struct Bench {
    now: Instant,
    gateway: Gateway,
    entropy: Entropy,
    hubs: usize,
    /// CPU time inside the gateway.
    micros: f64,
    allocations: usize,
    suite: String,
}

struct Client {
    device: Device,
    address: Ipv4Addr,
    n: usize,
    seq: u32,
}

fn outside(n: usize) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(100, 64, 0, 0).to_bits() + n as u32)
}

/// What a client has to send, as the gateway receives it.
fn datagrams(n: usize, out: &mut Output) -> Vec<Datagram> {
    let seen = |mut path: Path| {
        (path.local, path.remote) = (path.remote, path.local);
        path.remote.set_ip(outside(n).into());
        path
    };
    let transmits = out.transmits.drain(..);
    transmits.map(|transmit| Datagram { path: seen(transmit.path), buf: transmit.buf }).collect()
}

impl Bench {
    fn new(hubs: usize) -> Self {
        let config = Arc::new(company(hubs));
        let mut entropy = Entropy::from_number(7);
        let now = Instant::now();
        let gateway = Gateway::new(Clock { now, unix: BEGIN }, &config, false, &mut entropy, Leases::new());
        Self { now, gateway, entropy, hubs, micros: 0.0, allocations: 0, suite: String::new() }
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, unix: BEGIN + 1 }
    }

    /// Connects device `n`, which is user n / hubs of hub n % hubs.
    fn connect(&mut self, profile: &Arc<Profile>, n: usize) -> Client {
        let (user, hub) = (format!("u{}", n / self.hubs % USERS), n % self.hubs);
        let login = Login {
            name: format!("{user}@H{hub}").into_bytes(),
            password: Secret::new(format!("only {user} knows").into_bytes()),
        };
        let path = Path {
            encap: Encap::Ike,
            local: SocketAddr::from(([192, 168, 1, 2], 500)),
            remote: SocketAddr::from((SERVER, 500)),
        };
        let mut device = Device::new(profile.clone(), login, path, self.entropy.fork());
        let mut out = Output::default();
        let mut address = None;
        device.start(self.now, &mut out);
        let mut ike = String::new();
        loop {
            let quiet = out.transmits.is_empty() && out.events.is_empty();
            self.now += if quiet { Duration::from_millis(1) } else { Duration::from_micros(10) };
            for event in out.events.drain(..) {
                match event {
                    Event::IkeUp { suite, .. } => ike = suite.to_string(),
                    Event::EspUp { suite } => self.suite = format!("{ike}, {suite}"),
                    Event::Up(params) => address = Some(params.address),
                    Event::Down(reason) => panic!("{reason:?}"),
                    Event::Rekeyed => {}
                }
            }
            if quiet && let Some(address) = address {
                return Client { device, address, n, seq: 1 };
            }
            let arrivals = datagrams(n, &mut out);
            self.give(arrivals);
            for transmit in std::mem::take(&mut self.gateway.transmits) {
                if transmit.path.remote.ip() != outside(n) {
                    continue;
                }
                let mut path = transmit.path;
                (path.local, path.remote) = (path.remote, path.local);
                path.local.set_ip([192, 168, 1, 2].into());
                let _ = device.handle_datagram(self.now, path, transmit.buf, &mut out);
            }
            if device.poll_timeout().is_some_and(|at| at <= self.now) {
                device.handle_timeout(self.now, &mut out);
            }
        }
    }

    fn give(&mut self, arrivals: Vec<Datagram>) {
        let clock = self.clock();
        let (began, allocated) = (cpu_micros(), allocations());
        self.gateway.recv(clock, arrivals);
        if self.gateway.poll_timeout().is_some_and(|at| at <= clock.now) {
            self.gateway.handle_timeout(clock);
        }
        self.micros += cpu_micros() - began;
        self.allocations += allocations() - allocated;
    }

    /// Time passes, and nobody says anything.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += Duration::from_millis(100);
            self.give(Vec::new());
            self.gateway.transmits.clear();
        }
    }

    /// One turn of a worker, as the shell's threads do it; microseconds.
    fn turn(&mut self, arrivals: Vec<Datagram>, pool: &mut Pool) -> f64 {
        self.now += Duration::from_micros(200);
        let clock = self.clock();
        let (mut batch, mut effects) = (Batch::default(), Effects::default());
        let count = arrivals.len();
        batch.datagrams = arrivals;
        let began = cpu_micros();
        let worker = &mut self.gateway.workers[0];
        worker.handle_batch(clock, &mut batch, &mut effects);
        if worker.poll_timeout().is_some_and(|at| at <= clock.now) {
            worker.handle_timeout(clock, &mut effects);
        }
        let micros = cpu_micros() - began;
        assert!(effects.transmits.len() + effects.far_frames.len() >= count, "{:?}", worker.drops());
        effects.transmits.drain(..).for_each(|transmit| pool.give(black_box(transmit.buf)));
        micros
    }
}

/// A UDP packet of [`INNER`] bytes.
fn packet(from: Ipv4Addr, to: Ipv4Addr) -> PacketBuf {
    let mut udp = vec![0x12, 0x34, 0x01, 0xBB];
    udp.extend(((INNER - 20) as u16).to_be_bytes());
    udp.resize(INNER - 20, 0);
    let mut packet = PacketBuf::from_slice(&udp);
    inet::put_ipv4(&mut packet, Protocol::UDP, from, to);
    packet
}

fn setups() {
    println!("set-ups, microseconds of the gateway's CPU each (medians of 20 groups of 25)");
    for (name, profile) in [
        ("windows10", Profile::windows10()),
        ("strongswan", Profile::strongswan()),
        ("macos", Profile::macos()),
        ("android7", Profile::android(Android::Seven)),
    ] {
        let profile = Arc::new(profile.with_psk(PSK));
        let mut bench = Bench::new(20);
        drop(bench.connect(&profile, 999));
        let mut groups: Vec<f64> = (0..20)
            .map(|group| {
                bench.micros = 0.0;
                bench.allocations = 0;
                (0..25).for_each(|n| drop(bench.connect(&profile, group * 25 + n)));
                bench.micros / 25.0
            })
            .collect();
        let micros = median(&mut groups);
        println!(
            "{name:12} {micros:8.0} us   {:6.0} a second and core, {:5} allocations   {}",
            1e6 / micros,
            bench.allocations / 25,
            bench.suite
        );
    }
}

fn memory(sessions: usize) {
    println!("bytes on the heap");
    let before = heap();
    let small = company(10);
    let ten_config = heap() - before;
    drop(small);
    let before = heap();
    let mut bench = Bench::new(10);
    let ten = heap() - before;
    println!("10 hubs              {ten:9} in all, {ten_config} of them the configuration");
    drop(bench);
    let before = heap();
    let config = company(110);
    let config_all = heap() - before;
    drop(config);
    let before = heap();
    bench = Bench::new(110);
    let all = heap() - before;
    let users = (config_all - ten_config) / 100 / USERS;
    println!("an idle hub          {:9.0}", (all - ten - (config_all - ten_config)) as f64 / 100.0);
    println!("a user, configured   {users:9}");
    for (name, profile) in [("windows10", Profile::windows10()), ("strongswan", Profile::strongswan())] {
        let profile = Arc::new(profile.with_psk(PSK));
        drop(bench);
        bench = Bench::new(sessions.div_ceil(USERS));
        drop(bench.connect(&profile, 0));
        bench.gateway.transmits = Vec::new();
        let before = heap();
        for n in 1..=sessions {
            drop(bench.connect(&profile, n));
        }
        bench.gateway.transmits = Vec::new();
        let up = heap() - before;
        bench.pass(Duration::from_secs(40));
        bench.gateway.transmits = Vec::new();
        let idle = heap() - before;
        println!(
            "session, {name:11} {:9.0} when it came up, {:.0} idle ({:?})",
            up as f64 / sessions as f64,
            idle as f64 / sessions as f64,
            bench.gateway.workers[0].census()
        );
    }
}

fn crowd(sessions: usize) {
    println!("one busy pair, nanoseconds a packet of {INNER} bytes inside");
    let profile = Arc::new(Profile::windows10().with_psk(PSK));
    let mut first = Vec::new();
    for (hubs, sessions) in [(10, 10), (1000, sessions)] {
        let mut bench = Bench::new(hubs);
        let mut a = bench.connect(&profile, 0);
        let b = bench.connect(&profile, hubs);
        for n in (0..sessions).filter(|n| *n != 0 && *n != hubs) {
            drop(bench.connect(&profile, n));
        }
        assert_eq!((a.n, b.n), (0, hubs));
        // The gateway's ARP for the first packet to the uplink.
        let mut pool = Pool::default();
        let mut rows = Vec::new();
        for to in [BEYOND, b.address] {
            let mut rounds: Vec<f64> = (0..41)
                .map(|round| {
                    let mut out = Output::default();
                    for _ in 0..if round == 0 { 1 } else { TURN } {
                        a.device.send_ip(bench.now, packet(a.address, to), &mut out).unwrap();
                    }
                    let arrivals = datagrams(a.n, &mut out);
                    if round == 0 {
                        bench.give(arrivals);
                        return 0.0;
                    }
                    bench.turn(arrivals, &mut pool) * 1e3 / TURN as f64
                })
                .collect();
            rows.push(median(&mut rounds[1..]));
        }
        let began = cpu_micros();
        let page =
            bench.gateway.control(bench.clock(), Command::SessionList { hub: None, user: None, from: None });
        let listing = cpu_micros() - began;
        assert!(page.is_ok());
        println!(
            "{sessions:6} sessions: to the uplink {:6.0}, to a neighbour {:6.0}; listing all {:.1} ms",
            rows[0],
            rows[1],
            listing / 1e3
        );
        if first.is_empty() {
            first = rows;
        } else {
            println!(
                "ratio: to the uplink {:.2}, to a neighbour {:.2}",
                rows[0] / first[0],
                rows[1] / first[1]
            );
        }
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let sessions = args.get(1).map_or(10_000, |sessions| sessions.parse().unwrap());
    let wants = |name: &str| args.is_empty() || args[0] == name;
    if wants("setup") {
        setups();
    }
    if wants("memory") {
        memory(sessions);
    }
    if wants("crowd") {
        crowd(sessions);
    }
}
