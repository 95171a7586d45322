//! The way of a packet through the core, without sockets: `cargo bench --bench path [-- part of a row's name]`.
//!
//! A whole gateway core with simulated clients is set up by the real exchanges; then packets go through its worker as the
//! shell's threads pass them: **in** from the bytes of an ESP packet to the bytes that are written to the TAP, **out**
//! from what a read of the TAP gave to the datagram that is sent, **through** from one client to another. "Plain" is the
//! same core with one packet a call, a buffer of its own for each, no large frames.
//!
//! All run in the same process, in turns; what counts is the thread's CPU time, and a figure is the median of its rounds
//! in nanoseconds a packet.
#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]
#![allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]

#[path = "rig.rs"]
mod rig;

use rig::{BEYOND, Bench, CLIENTS, OFFICE, cpu_nanos, datagrams, median, unfragmented};
use sekisho::client::{Output, Profile};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::esp::{ReplayWindow, Verdict};
use sekisho::hub::{Hub, HubId, KnownStation, Mac, Notices, PortId, Settings, UplinkPermit, lease};
use sekisho::identity::account::{Account, Credential, Proof, verify};
use sekisho::packet::{Datagram, PacketBuf, Pool, WorkerId};
use sekisho::peer::Frame;
use sekisho::uplink::{Gather, Offload, split};
use sekisho::wire::ether::{self, EtherType};
use sekisho::wire::inet::{self, Protocol};
use sekisho::worker::{Batch, Effects};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Packets of a turn, as the shell reads them.
const TURN: usize = 264;
const ROUNDS: usize = 31;
/// Turns of a round: a look at the clock must not count.
const TURNS: usize = 4;
/// Bytes of the inner packets.
const INNER: usize = 1380;

/// What a row measures.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
    Through,
}

impl Bench {
    /// Datagrams of a turn, in runs of `run` of one client; `through` says that they go to the next client.
    fn arrivals(&mut self, run: usize, through: bool) -> Vec<Datagram> {
        let mut arrivals = Vec::new();
        for n in 0..TURN.div_ceil(run) {
            let at = n % CLIENTS;
            let to = if through { self.clients[(at + 1) % CLIENTS].address } else { BEYOND };
            let client = &mut self.clients[at];
            let mut out = Output::default();
            for _ in 0..run.min(TURN - arrivals.len()) {
                let packet = segment(client.address, to, &mut client.seq);
                client.device.send_ip(self.now, packet, &mut out).unwrap();
            }
            arrivals.append(&mut datagrams(at, &mut out));
        }
        arrivals
    }

    /// What reads of the TAP give for a turn: large frames of `run` segments each.
    fn reads(&mut self, run: usize, large: bool) -> Vec<Vec<u8>> {
        let (mut reads, mut gather) =
            (Vec::new(), Gather::new(if large { Offload::ALL } else { Offload::default() }));
        let mut left = TURN;
        for n in 0..TURN.div_ceil(run) {
            let client = &mut self.clients[n % CLIENTS];
            for _ in 0..run.min(left) {
                let packet = segment(BEYOND, client.address, &mut client.seq);
                gather.put(self.gateway.uplinks[OFFICE].send_ip(packet).remove(0));
            }
            left -= run.min(left);
            gather.flush(&mut self.space, |pieces| reads.push(pieces.concat()));
        }
        reads
    }

    /// One turn with all that there is, as the shell's threads do it. Returns how many packets came out.
    fn turn(&mut self, arrivals: &[Datagram], reads: &[Vec<u8>]) -> usize {
        let clock = self.clock();
        let port = self.gateway.uplinks[OFFICE].port;
        let worker = &mut self.gateway.workers[0];
        let pool = worker.pool();
        for Datagram { path, buf } in arrivals {
            self.batch.datagrams.push(Datagram { path: *path, buf: pool.copy(buf) });
        }
        let mut frames = Vec::new();
        for read in reads {
            split(read, pool, &mut frames).unwrap();
        }
        self.batch.frames.extend(frames.drain(..).map(|buf| Frame { from: port, buf }));
        worker.handle_batch(clock, &mut self.batch, &mut self.effects);
        let pool = worker.pool();
        let passed = self.effects.transmits.len() + self.effects.far_frames.len();
        self.effects.transmits.sort_by_key(|transmit| transmit.path);
        for transmit in self.effects.transmits.drain(..) {
            pool.give(black_box(transmit.buf));
        }
        for frame in self.effects.far_frames.drain(..) {
            self.gather.put(frame.buf);
        }
        let written = &mut self.written;
        self.gather.flush(pool, |pieces| *written += black_box(pieces).len());
        // News for the gatehouse: how far an attempt got, once for each client.
        self.effects.asks.clear();
        passed
    }

    /// The same with one packet at a time.
    fn plain_turn(&mut self, arrivals: &[Datagram], reads: &[Vec<u8>]) -> usize {
        let clock = self.clock();
        let port = self.gateway.uplinks[OFFICE].port;
        let mut passed = 0;
        let mut one = |batch: &mut Batch, effects: &mut Effects| {
            self.gateway.workers[0].handle_batch(clock, batch, effects);
            passed += effects.transmits.len() + effects.far_frames.len();
            effects.asks.clear();
            effects.transmits.drain(..).for_each(|transmit| drop(black_box(transmit.buf)));
            for mut frame in effects.far_frames.drain(..) {
                frame.buf.put_front(&[0; sekisho::uplink::HEADER]);
                drop(black_box(frame.buf));
            }
        };
        for Datagram { path, buf } in arrivals {
            let mut copy = PacketBuf::with_capacity(sekisho::packet::POOLED);
            copy.put_back(buf);
            self.batch.datagrams.push(Datagram { path: *path, buf: copy });
            one(&mut self.batch, &mut self.effects);
        }
        for read in reads {
            let mut copy = PacketBuf::with_capacity(sekisho::packet::POOLED);
            copy.put_back(&read[sekisho::uplink::HEADER..]);
            self.batch.frames.push(Frame { from: port, buf: copy });
            one(&mut self.batch, &mut self.effects);
        }
        passed
    }

    fn round(&mut self, way: Way, run: usize, plain: bool) -> f64 {
        let mut nanos = 0.0;
        for _ in 0..TURNS {
            self.now += Duration::from_micros(200);
            let (arrivals, reads) = match way {
                Way::In => (self.arrivals(run, false), Vec::new()),
                Way::Out => (Vec::new(), self.reads(run, !plain)),
                Way::Through => (self.arrivals(run, true), Vec::new()),
            };
            let began = cpu_nanos();
            let passed =
                if plain { self.plain_turn(&arrivals, &reads) } else { self.turn(&arrivals, &reads) };
            nanos += cpu_nanos() - began;
            assert_eq!(passed, TURN, "{:?}", self.gateway.workers[0].drops());
        }
        nanos / (TURN * TURNS) as f64
    }
}

/// A TCP segment, [`INNER`] bytes as an IP packet.
fn segment(from: Ipv4Addr, to: Ipv4Addr, seq: &mut u32) -> PacketBuf {
    let payload = INNER - 40;
    let mut tcp = vec![0x12, 0x34, 0x01, 0xBB];
    tcp.extend(seq.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0x50, 0x10, 0xFF, 0xFF, 0, 0, 0, 0]);
    tcp.resize(INNER - 20, 0x5A);
    let sum = inet::fold(inet::add(inet::pseudo_header(from, to, Protocol::TCP, tcp.len()), &tcp));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut packet = PacketBuf::from_slice(&tcp);
    inet::put_ipv4(&mut packet, Protocol::TCP, from, to);
    *seq = seq.wrapping_add(payload as u32);
    unfragmented(packet)
}

struct Row {
    name: String,
    way: Way,
    run: usize,
    plain: bool,
    nanos: Vec<f64>,
}

fn passes(filter: &str) {
    for profile in [Profile::macos(), Profile::android(sekisho::client::ike::profile::Android::Six)] {
        let mut bench = Bench::new(&profile);
        println!("\n{}: {INNER} bytes inside, turns of {TURN}, {CLIENTS} clients", bench.suite);
        let mut rows = Vec::new();
        for (way, word) in [(Way::In, "in"), (Way::Out, "out"), (Way::Through, "through")] {
            for (run, plain) in [(1, true), (1, false), (4, false), (16, false), (44, false)] {
                let name = if plain { format!("{word}, plain") } else { format!("{word}, runs of {run}") };
                if name.contains(filter) || plain {
                    rows.push(Row { name, way, run, plain, nanos: Vec::new() });
                }
            }
        }
        let mut made = 0;
        for round in 0..=ROUNDS {
            for row in &mut rows {
                let nanos = bench.round(row.way, row.run, row.plain);
                if round > 0 {
                    row.nanos.push(nanos);
                }
            }
            if round == 0 {
                made = bench.gateway.workers[0].pool().made();
            }
        }
        made = bench.gateway.workers[0].pool().made() - made;
        let mut plain = 0.0;
        for row in &mut rows {
            let nanos = median(&mut row.nanos);
            if row.plain {
                plain = nanos;
            }
            println!("{:24} {nanos:8.0} ns   {:5.2} x", row.name, plain / nanos);
        }
        println!("buffers made after the first round: {made}");
    }
}

/// Measures `work`, which does `each` things.
fn part(name: &str, filter: &str, each: usize, mut work: impl FnMut()) {
    if !name.contains(filter) {
        return;
    }
    let mut nanos: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = cpu_nanos();
            (0..8).for_each(|_| work());
            (cpu_nanos() - began) / (each * 8) as f64
        })
        .collect();
    println!("{name:40} {:8.1} ns", median(&mut nanos));
}

fn parts(filter: &str) {
    println!("\nparts, nanoseconds a packet");
    let mut seq = 0;
    let mut window = ReplayWindow::default();
    part("replay window, in order", filter, 1024, || {
        for _ in 0..1024 {
            seq += 1;
            assert!(window.would_accept(seq) && window.commit(seq) != Verdict::Replayed);
        }
    });
    let mut bench = Bench::new(&Profile::macos());
    let (view, mac) = {
        let hub = &bench.gateway.gatehouse.hubs()[OFFICE];
        (hub.view().clone(), bench.gateway.uplinks[OFFICE].mac)
    };
    let now = bench.now;
    part("hub look-up of a station", filter, 1024, || {
        let look = view.look(now);
        for _ in 0..1024 {
            black_box(look.port_of(black_box(mac)));
        }
    });
    let reads = bench.reads(44, true);
    let (mut pool, mut out) = (Pool::default(), Vec::new());
    part("split, runs of 44", filter, TURN, || {
        reads.iter().for_each(|read| split(read, &mut pool, &mut out).unwrap());
        out.drain(..).for_each(|buf| pool.give(buf));
    });
    let reads = bench.reads(1, true);
    part("split, single frames", filter, TURN, || {
        reads.iter().for_each(|read| split(read, &mut pool, &mut out).unwrap());
        out.drain(..).for_each(|buf| pool.give(buf));
    });
    for run in [1, 4, 44] {
        let mut frames = Vec::new();
        for read in bench.reads(run, true) {
            split(&read, &mut pool, &mut frames).unwrap();
        }
        let mut gather = Gather::new(Offload::ALL);
        part(&format!("copy and gather, runs of {run}"), filter, TURN, || {
            frames.iter().for_each(|frame| gather.put(pool.copy(frame)));
            gather.flush(&mut pool, |pieces| {
                black_box(pieces);
            });
        });
        part(&format!("copy only, runs of {run}"), filter, TURN, || {
            let copies: Vec<_> = frames.iter().map(|frame| pool.copy(frame)).collect();
            copies.into_iter().for_each(|copy| pool.give(black_box(copy)));
        });
    }
}

/// What a hub of a thousand decides of a frame: where it goes, and whether it may.
fn forwarding(filter: &str) {
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    let now = Instant::now();
    let network = "10.60.0.0/16".parse().unwrap();
    let settings = Settings::new(lease::Settings::of_network(network));
    let mut hub = Hub::new(now, HubId(1), "HUB", settings, Entropy::from_number(1));
    let known = vec![KnownStation { mac: MAC, addresses: vec![Ipv4Addr::new(10, 60, 0, 1)] }];
    let permit = UplinkPermit::uplink_by_configuration(known);
    let mut uplink = hub.open_uplink(now, PortId::new(WorkerId(1), 1), permit).unwrap();
    let credential = Credential::Password(Secret::new(b"pw".to_vec()));
    let account = Account { user: "jiro", hub: "HUB", credential: &credential };
    let who = verify(Some(account), &Proof::Pap { password: Secret::new(b"pw".to_vec()) }).unwrap().who;
    let mut clients: Vec<_> = (0..1000)
        .map(|n| {
            let id = PortId::new(WorkerId(0), n);
            let mut port = hub.open_client(now, id, &who, &format!("device {n}"), None).unwrap();
            port.set_address(Some(hub.assign(now, id, None, None).unwrap()));
            port
        })
        .collect();
    let framed = |to: Mac, from: Mac, packet: &[u8]| {
        let mut buf = PacketBuf::from_slice(packet);
        buf.put_front(&ether::header(to, from, EtherType::IPV4));
        buf
    };
    let address = clients[0].address().unwrap();
    let down = framed(clients[0].mac(), MAC, &inet::udp_packet((BEYOND, 9), (address, 9), b"hello"));
    let up = framed(MAC, clients[0].mac(), &inet::udp_packet((address, 9), (BEYOND, 9), b"hello"));
    let everybody = framed(
        Mac([0xFF; 6]),
        clients[0].mac(),
        &inet::udp_packet((address, 9), (Ipv4Addr::new(10, 60, 255, 255), 9), b"hello"),
    );
    let mut notices = Notices::default();
    for (name, port, frame) in [
        ("hub forward, uplink to client", None, &down),
        ("hub forward, client to uplink", Some(0), &up),
        ("hub forward, client to everybody", Some(0), &everybody),
    ] {
        let port = port.map_or(&mut uplink, |n: usize| &mut clients[n]);
        part(name, filter, 1024, || {
            let look = hub.view().look(now);
            for _ in 0..1024 {
                let _ = black_box(port.forward(&look, black_box(frame), &mut notices));
            }
        });
    }
}

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    passes(&filter);
    parts(&filter);
    forwarding(&filter);
}
