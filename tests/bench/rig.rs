//! A whole gateway core with simulated clients, set up by the real exchanges: what the benchmarks of the packet path drive.
#![allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
#![allow(unreachable_pub, dead_code, reason = "parts of the simulation, of which not all is used here")]

#[path = "../sim/world"]
mod world {
    pub mod gateway;
    pub mod host;
    pub mod office;
    pub mod uplink;
}

use nix::time::{ClockId, clock_gettime};
use sekisho::client::{Device, Event, Output, Profile};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::packet::{Datagram, Encap, PacketBuf, Path, Pool};
use sekisho::ppp::Login;
use sekisho::uplink::{Gather, Offload};
use sekisho::wire::inet;
use sekisho::worker::{Batch, Clock, Effects};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::gateway::{Gateway, Leases};
use world::office::{BEGIN, Office, PSK, password};

/// Clients that are connected.
pub const CLIENTS: usize = 32;
/// The hub that they are on.
pub const OFFICE: usize = 1;
/// The gateway's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
/// A host beyond the uplink.
pub const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

/// CPU time of this thread.
pub fn cpu_nanos() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    (now.tv_sec() * 1_000_000_000 + now.tv_nsec()) as f64
}

/// A simulated client that is up.
pub struct Client {
    pub device: Device,
    pub address: Ipv4Addr,
    pub seq: u32,
}

/// A gateway core with its clients, without I/O.
pub struct Bench {
    pub now: Instant,
    pub gateway: Gateway,
    pub clients: Vec<Client>,
    pub suite: String,
    pub space: Pool,
    pub batch: Batch,
    pub effects: Effects,
    pub gather: Gather,
    pub written: usize,
}

/// Where the datagrams of client `n` come from.
pub fn outside(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, n as u8 + 1)
}

impl Bench {
    /// Sets all clients up by the real exchanges.
    pub fn new(profile: &Profile) -> Self {
        let mut entropy = Entropy::from_number(7);
        let now = Instant::now();
        let config = Arc::new(Office::default().config());
        let gateway = Gateway::new(Clock { now, unix: BEGIN }, &config, false, &mut entropy, Leases::new());
        let mut bench = Self {
            now,
            gateway,
            clients: Vec::new(),
            suite: String::new(),
            space: Pool::default(),
            batch: Batch::default(),
            effects: Effects::default(),
            gather: Gather::new(Offload::ALL),
            written: 0,
        };
        let profile = Arc::new(profile.clone().with_psk(PSK));
        for n in 0..CLIENTS {
            let user = format!("u{n}");
            let login = Login {
                name: user.clone().into_bytes(),
                password: Secret::new(password(&user).into_bytes()),
            };
            let path = Path {
                encap: Encap::Ike,
                local: SocketAddr::from(([192, 168, 1, 2], 500)),
                remote: SocketAddr::from((SERVER, 500)),
            };
            let device = Device::new(profile.clone(), login, path, entropy.fork());
            bench.clients.push(Client { device, address: Ipv4Addr::UNSPECIFIED, seq: 1 });
            bench.connect(n);
        }
        bench
    }

    /// The core's clock.
    pub fn clock(&self) -> Clock {
        Clock { now: self.now, unix: BEGIN + 1 }
    }

    /// Carries packets between all clients and the gateway until `n` is up.
    fn connect(&mut self, n: usize) {
        let mut out = Output::default();
        self.clients[n].device.start(self.now, &mut out);
        let mut up = false;
        while !up {
            self.now += Duration::from_millis(1);
            let clock = self.clock();
            let mut events = std::mem::take(&mut out.events);
            self.gateway.recv(clock, datagrams(n, &mut out));
            for transmit in std::mem::take(&mut self.gateway.transmits) {
                let at = (0..CLIENTS).find(|n| transmit.path.remote.ip() == outside(*n)).unwrap();
                let mut path = transmit.path;
                (path.local, path.remote) = (path.remote, path.local);
                path.local.set_ip([192, 168, 1, 2].into());
                let mut sink = Output::default();
                let out = if at == n { &mut out } else { &mut sink };
                let _ = self.clients[at].device.handle_datagram(self.now, path, transmit.buf, out);
            }
            events.append(&mut out.events);
            for event in events {
                match event {
                    Event::EspUp { suite } => self.suite = suite.to_string(),
                    Event::Up(params) => {
                        self.clients[n].address = params.address;
                        up = true;
                    }
                    Event::Down(reason) => panic!("{reason:?}"),
                    _ => {}
                }
            }
            if self.clients[n].device.poll_timeout().is_some_and(|at| at <= self.now) {
                self.clients[n].device.handle_timeout(self.now, &mut out);
            }
            if self.gateway.poll_timeout().is_some_and(|at| at <= self.now) {
                self.gateway.handle_timeout(clock);
            }
        }
        // The rest of the conversation, and the gateway's ARP for a first packet from the uplink.
        self.gateway.recv(self.clock(), datagrams(n, &mut out));
        let hello = inet::udp_packet((BEYOND, 9), (self.clients[n].address, 9), b"hello");
        self.gateway.send_from_uplink(self.clock(), OFFICE, hello);
        self.gateway.transmits.clear();
    }
}

/// What a client has to send, as the gateway receives it.
pub fn datagrams(n: usize, out: &mut Output) -> Vec<Datagram> {
    let seen = |mut path: Path| {
        (path.local, path.remote) = (path.remote, path.local);
        path.remote.set_ip(outside(n).into());
        path
    };
    out.transmits
        .drain(..)
        .map(|transmit| Datagram { path: seen(transmit.path), buf: transmit.buf })
        .collect()
}

/// The median, for which the figures are sorted.
pub fn median(nanos: &mut [f64]) -> f64 {
    nanos.sort_by(f64::total_cmp);
    nanos[nanos.len() / 2]
}

/// An IPv4 packet that forbids fragmentation, as today's systems do: its number in the flow means nothing then.
pub fn unfragmented(mut packet: PacketBuf) -> PacketBuf {
    packet[6] = 0x40;
    packet[10..12].fill(0);
    let sum = inet::fold(inet::add(0, &packet[..inet::IPV4_HEADER]));
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}
