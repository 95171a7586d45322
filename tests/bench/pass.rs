//! The whole way of a packet through one core, kernel included: `sudo cargo bench --bench pass [-- part of a row's name]`.
//!
//! **In** is from the gateway's UDP socket to the interface of its uplink, **out** the other way. Both take the shell's own
//! sockets, interfaces and batches around the gateway core with clients that were set up by the real exchanges. "Plain" is the
//! design of most gateways in user space, of which it does the least that is possible: for each packet a system call to
//! receive it, a buffer of its own, RustCrypto, a replay window, the headers on or off, a system call to send it; one SA,
//! no users, no hub.
//!
//! Clients and the host beyond are sockets in the same network namespace, which the program makes for itself. What they
//! send is in the queue before the clock starts; what the kernel does in the gateway's calls to deliver to them counts.
//! All rows run in turns; what counts is the thread's CPU time, and a figure is the median of its rounds in nanoseconds a
//! packet.
#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

#[path = "rig.rs"]
mod rig;

use nix::sys::socket::{setsockopt, sockopt};
use rig::{BEYOND, Bench, CLIENTS, OFFICE, SERVER, cpu_nanos, datagrams, median, outside, unfragmented};
use sekisho::client::{Output, Profile};
use sekisho::crypto::engine::{EspEngine, OpenJob, OpenKey, SealJob, SealKey};
use sekisho::crypto::suite::{EspAuth, EspCipher, EspSuite};
use sekisho::entropy::Entropy;
use sekisho::esp::{ReplayWindow, Verdict};
use sekisho::packet::{Drop, Encap, PacketBuf, Path, Transmit};
use sekisho::peer::Frame;
use sekisho::shell::tap::Tap;
use sekisho::shell::udp::{ReceiveSpace, UdpSocket};
use sekisho::uplink::{HEADER, LARGEST, MAX_PIECES, split};
use sekisho::wire::inet;
use std::hint::black_box;
use std::io::{ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Packets of a turn: what a reading of the shell's brings.
const TURN: usize = 264;
const ROUNDS: usize = 101;
/// Bytes of the inner packets, and of what is in them behind the headers of IP and UDP.
const INNER: usize = 1380;
const PAYLOAD: usize = INNER - 28;
const NAT_T: u16 = 4500;
/// Where the host beyond listens.
const SINK: u16 = 7007;
/// The plain gateway's port outside, its client, and that client's address inside.
const PLAIN_PORT: u16 = 4501;
const PLAIN_CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);
const PLAIN_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const PLAIN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const PLAIN_TAP_MAC: [u8; 6] = [2, 0, 0, 0, 0, 8];
const SPI: u32 = 0x1234_5678;
/// UDP and L2TP's shortest header, then PPP's protocol.
const L2TP: [u8; 16] = [6, 0xA5, 6, 0xA5, 0, 0, 0, 0, 0, 2, 0, 1, 0, 1, 0, 0x21];

/// A packet from a client to the host beyond.
fn inner(client: Ipv4Addr) -> PacketBuf {
    unfragmented(inet::udp_packet((client, 5000), (BEYOND, SINK), &[0x5A; PAYLOAD]))
}

fn run(command: &str) {
    let mut words = command.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{command}");
}

/// Goes on in a network namespace of its own.
fn isolate() {
    const INSIDE: &str = "SEKISHO_BENCH_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return;
    }
    let status = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(std::env::args().skip(1))
        .env(INSIDE, "1")
        .status();
    std::process::exit(match status {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => panic!("unshare of util-linux: {error}"),
    });
}

/// Takes all datagrams from a socket.
fn drain(socket: &std::net::UdpSocket) -> usize {
    let mut space = [0; 65_536];
    let mut datagrams = 0;
    loop {
        match socket.recv(&mut space) {
            Ok(_) => datagrams += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return datagrams,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The gateway as it is.
struct Ours {
    bench: Bench,
    socket: UdpSocket,
    tap: Tap,
    clients: Vec<UdpSocket>,
    space: ReceiveSpace,
    large: Box<[u8]>,
    frames: Vec<PacketBuf>,
}

impl Ours {
    fn new() -> Self {
        let bench = Bench::new(&Profile::macos());
        let tap = Tap::create("bench-ours").unwrap();
        let offload = tap.offload_all();
        assert!(offload.udp_segmentation, "this kernel has no USO");
        let uplink = &bench.gateway.uplinks[OFFICE];
        run(&format!("ip link set bench-ours address {} up txqueuelen 1000", uplink.mac));
        run("ip addr add 10.60.0.254/24 dev bench-ours");
        let nat_t = |ip: Ipv4Addr| SocketAddr::from((ip, NAT_T));
        let clients = (0..CLIENTS).map(|n| UdpSocket::bind(nat_t(outside(n)), Encap::NatT, false).unwrap());
        let clients = clients.collect();
        let socket = UdpSocket::bind(nat_t(SERVER), Encap::NatT, false).unwrap();
        let large = vec![0; LARGEST].into_boxed_slice();
        let mut this =
            Self { bench, socket, tap, clients, space: ReceiveSpace::default(), large, frames: Vec::new() };
        for n in 0..CLIENTS {
            let address = this.bench.clients[n].address;
            let frame = this.bench.gateway.uplinks[OFFICE]
                .send_ip(inet::udp_packet((BEYOND, 9), (address, 9), b"whose?"))
                .remove(0);
            let mac: Vec<_> = frame[..6].iter().map(|byte| format!("{byte:02x}")).collect();
            run(&format!("ip neigh replace {address} lladdr {} dev bench-ours", mac.join(":")));
        }
        this
    }

    /// Has the clients send a turn's packets to the host beyond, in bursts of `burst`.
    fn send_in(&mut self, burst: usize) {
        let mut left = TURN;
        for n in (0..CLIENTS).cycle() {
            let client = &mut self.bench.clients[n];
            let mut out = Output::default();
            for _ in 0..burst.min(left) {
                let packet = inner(client.address);
                client.device.send_ip(self.bench.now, packet, &mut out).unwrap();
            }
            left -= burst.min(left);
            // As the gateway sees them: turned around they are what the client sends.
            let sent: Vec<_> = datagrams(n, &mut out)
                .into_iter()
                .map(|datagram| Transmit {
                    path: Path { local: datagram.path.remote, remote: datagram.path.local, ..datagram.path },
                    buf: datagram.buf,
                })
                .collect();
            assert_eq!(self.clients[n].send(&sent), 0);
            if left == 0 {
                return;
            }
        }
    }

    /// A turn of the shell's, as `worker_thread.rs` does it. Returns how many packets came out.
    fn turn(&mut self) -> usize {
        let clock = self.bench.clock();
        let port = self.bench.gateway.uplinks[OFFICE].port;
        let worker = &mut self.bench.gateway.workers[0];
        let (batch, effects) = (&mut self.bench.batch, &mut self.bench.effects);
        let pool = worker.pool();
        while self.socket.receive(&mut self.space, pool, &mut batch.datagrams).unwrap() {}
        while let Ok(len) = self.tap.recv(&mut self.large) {
            split(&self.large[..len], pool, &mut self.frames).unwrap();
        }
        batch.frames.extend(self.frames.drain(..).map(|buf| Frame { from: port, buf }));
        worker.handle_batch(clock, batch, effects);
        let pool = worker.pool();
        let passed = effects.transmits.len() + effects.far_frames.len();
        effects.transmits.sort_by_key(|transmit| transmit.path);
        assert_eq!(self.socket.send(&effects.transmits), 0);
        effects.transmits.drain(..).for_each(|transmit| pool.give(transmit.buf));
        for frame in effects.far_frames.drain(..) {
            self.bench.gather.put(frame.buf);
        }
        let tap = &self.tap;
        self.bench.gather.flush(pool, |pieces| {
            let mut slices = [IoSlice::new(&[]); MAX_PIECES];
            let count = pieces.len();
            slices.iter_mut().zip(pieces).for_each(|(slice, piece)| *slice = IoSlice::new(piece));
            tap.send_pieces(&slices[..count]).unwrap();
        });
        // News for the gatehouse: how far an attempt got, once for each client.
        effects.asks.clear();
        passed
    }
}

/// A packet a system call, RustCrypto, an allocation.
struct Plain {
    socket: std::net::UdpSocket,
    tap: Tap,
    client: std::net::UdpSocket,
    /// The client's keys: what it seals, the gateway opens.
    client_key: Arc<SealKey>,
    open_key: Arc<OpenKey>,
    seal_key: Arc<SealKey>,
    engine: EspEngine,
    window: ReplayWindow,
    /// Sequence numbers of the client and of the gateway.
    sent: u32,
    seq: u32,
}

impl Plain {
    fn new() -> Self {
        let suite = EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96);
        let keymat: Vec<u8> = (0..suite.key_len()).map(|i| i as u8).collect();
        let tap = Tap::create("bench-plain").unwrap();
        let colons = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
        run(&format!("ip link set bench-plain address {} up txqueuelen 1000", colons(PLAIN_TAP_MAC)));
        run("ip addr add 10.99.0.1/24 dev bench-plain");
        run(&format!("ip neigh replace {PLAIN_INSIDE} lladdr {} dev bench-plain", colons(PLAIN_MAC)));
        let [socket, client] = [(SERVER, PLAIN_PORT), (PLAIN_CLIENT, NAT_T)].map(|at| {
            let socket = std::net::UdpSocket::bind(at).unwrap();
            socket.set_nonblocking(true).unwrap();
            setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20)).unwrap();
            socket
        });
        Self {
            socket,
            tap,
            client,
            client_key: Arc::new(SealKey::portable(suite, &keymat).unwrap()),
            open_key: Arc::new(OpenKey::portable(suite, &keymat).unwrap()),
            seal_key: Arc::new(SealKey::portable(suite, &keymat).unwrap()),
            engine: EspEngine::new(Entropy::from_number(1)),
            window: ReplayWindow::default(),
            sent: 0,
            seq: 0,
        }
    }

    fn sealed(engine: &mut EspEngine, key: &Arc<SealKey>, seq: &mut u32, packet: &[u8]) -> PacketBuf {
        *seq += 1;
        let mut buf = PacketBuf::from_slice(packet);
        buf.put_front(&L2TP);
        let mut job = [SealJob { key: key.clone(), spi: SPI, seq: *seq, next_header: 17, icv_len: 12, buf }];
        engine.seal(&mut job);
        let [job] = job;
        job.buf
    }

    fn send_in(&mut self) {
        for _ in 0..TURN {
            let packet = inner(PLAIN_INSIDE);
            let buf = Self::sealed(&mut self.engine, &self.client_key, &mut self.sent, &packet);
            assert_eq!(self.client.send_to(&buf, (SERVER, PLAIN_PORT)).unwrap(), buf.len());
        }
    }

    fn turn_in(&mut self) -> usize {
        let mut passed = 0;
        loop {
            let mut buf = PacketBuf::with_capacity(2048);
            let len = match self.socket.recv_from(buf.open_back(2048)) {
                Ok((len, _)) => len,
                Err(_) => return passed,
            };
            buf.truncate(len);
            let seq = u32::from_be_bytes(*buf[4..].first_chunk().unwrap());
            assert!(buf[..4] == SPI.to_be_bytes() && self.window.would_accept(seq));
            let mut job = [OpenJob {
                key: self.open_key.clone(),
                spi: SPI,
                seq,
                icv_len: 12,
                buf,
                result: Err(Drop::BadIcv),
            }];
            self.engine.open(&mut job);
            let [OpenJob { mut buf, result, .. }] = job;
            assert!(result.is_ok() && self.window.commit(seq) != Verdict::Replayed);
            buf.truncate(buf.len() - 2 - usize::from(buf[buf.len() - 2]));
            assert_eq!(buf.pull_front(L2TP.len()).unwrap(), L2TP);
            let mut ethernet = [0; HEADER + 14];
            ethernet[HEADER..][..6].copy_from_slice(&PLAIN_TAP_MAC);
            ethernet[HEADER + 6..][..6].copy_from_slice(&PLAIN_MAC);
            ethernet[HEADER + 12] = 8;
            buf.put_front(&ethernet);
            self.tap.send(&buf).unwrap();
            passed += 1;
        }
    }

    fn turn_out(&mut self) -> usize {
        let mut passed = 0;
        let mut space = [0; 2048];
        loop {
            let Ok(len) = self.tap.recv(&mut space) else { return passed };
            let packet = &space[HEADER + 14..len];
            let buf = Self::sealed(&mut self.engine, &self.seal_key, &mut self.seq, packet);
            self.socket.send_to(&buf, (PLAIN_CLIENT, NAT_T)).unwrap();
            passed += 1;
        }
    }
}

/// The host beyond both uplinks.
struct Beyond {
    socket: UdpSocket,
    space: ReceiveSpace,
}

impl Beyond {
    fn new() -> Self {
        let at = SocketAddr::from((BEYOND, SINK));
        // The gateway's own kind of socket: it takes and sends large pieces whole.
        Self { socket: UdpSocket::bind(at, Encap::NatT, false).unwrap(), space: ReceiveSpace::default() }
    }

    fn drain(&mut self, bench: &mut Bench) -> usize {
        let mut got = Vec::new();
        while self.socket.receive(&mut self.space, &mut bench.space, &mut got).unwrap() {}
        let count = got.len();
        got.into_iter().for_each(|datagram| bench.space.give(datagram.buf));
        count
    }

    /// Sends a turn's packets to `addresses`, in bursts of `burst`.
    fn send(&mut self, burst: usize, addresses: &[Ipv4Addr]) {
        let mut left = TURN;
        for address in addresses.iter().cycle() {
            let path = Path {
                encap: Encap::NatT,
                local: SocketAddr::from((BEYOND, SINK)),
                remote: SocketAddr::from((*address, 5000)),
            };
            let one = || Transmit { path, buf: PacketBuf::from_slice(&[0x5A; PAYLOAD]) };
            let burst: Vec<_> = (0..burst.min(left)).map(|_| one()).collect();
            assert_eq!(self.socket.send(&burst), 0);
            left -= burst.len();
            if left == 0 {
                return;
            }
        }
    }
}

struct Row {
    out: bool,
    /// Packets of a burst; none if it is the plain gateway.
    burst: Option<usize>,
    nanos: Vec<f64>,
}

impl Row {
    fn name(&self) -> String {
        let way = if self.out { "out" } else { "in" };
        self.burst.map_or_else(|| format!("{way}, plain"), |burst| format!("{way}, bursts of {burst}"))
    }

    fn round(&mut self, ours: &mut Ours, plain: &mut Plain, beyond: &mut Beyond) {
        ours.bench.now += Duration::from_micros(200);
        let addresses: Vec<_> = ours.bench.clients.iter().map(|client| client.address).collect();
        match (self.out, self.burst) {
            (false, Some(burst)) => ours.send_in(burst),
            (false, None) => plain.send_in(),
            (true, Some(burst)) => beyond.send(burst, &addresses),
            (true, None) => beyond.send(1, &[PLAIN_INSIDE]),
        }
        let began = cpu_nanos();
        let passed = match (self.out, self.burst) {
            (_, Some(_)) => ours.turn(),
            (false, None) => plain.turn_in(),
            (true, None) => plain.turn_out(),
        };
        self.nanos.push((cpu_nanos() - began) / TURN as f64);
        assert_eq!(passed, TURN, "{}: {:?}", self.name(), ours.bench.gateway.workers[0].drops());
        // What came out is what was meant to.
        let arrived = match (self.out, self.burst) {
            (false, _) => beyond.drain(&mut ours.bench),
            (true, None) => drain(&plain.client),
            (true, Some(_)) => {
                let mut got = Vec::new();
                for client in &ours.clients {
                    while client.receive(&mut ours.space, &mut ours.bench.space, &mut got).unwrap() {}
                }
                got.into_iter().map(|datagram| ours.bench.space.give(black_box(datagram.buf))).count()
            }
        };
        assert_eq!(arrived, TURN, "{}", self.name());
    }
}

fn main() {
    isolate();
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
    run("ip link set lo up");
    run(&format!("ip addr add {SERVER}/32 dev lo"));
    run(&format!("ip addr add {BEYOND}/32 dev lo"));
    run("ip route add local 203.0.113.0/24 dev lo");
    let (mut ours, mut plain, mut beyond) = (Ours::new(), Plain::new(), Beyond::new());
    println!("{}: {INNER} bytes inside, turns of {TURN}, {CLIENTS} clients", ours.bench.suite);
    let mut rows = Vec::new();
    for out in [false, true] {
        for burst in [None, Some(1), Some(4), Some(16), Some(44)] {
            rows.push(Row { out, burst, nanos: Vec::new() });
        }
    }
    rows.retain(|row| row.burst.is_none() || row.name().contains(&filter));
    for round in 0..=ROUNDS {
        for row in &mut rows {
            row.round(&mut ours, &mut plain, &mut beyond);
            if round == 0 {
                row.nanos.clear();
            }
        }
    }
    let mut reference = 0.0;
    for row in &mut rows {
        let nanos = median(&mut row.nanos);
        if row.burst.is_none() {
            reference = nanos;
        }
        println!("{:24} {nanos:8.0} ns   {:5.2} x", row.name(), reference / nanos);
    }
}
