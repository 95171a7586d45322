//! A world: one gateway, any number of clients, and the internet between them.

pub mod flow;
pub mod gateway;
pub mod host;
mod log;
pub mod office;
mod uplink;

pub use flow::{End, Tally};
pub use gateway::{Gateway, Leases};
pub use host::Inbox;
pub use office::{BEGIN, Office, PSK, password};
pub use sekisho::client::Reason;

use crate::net::line::Line;
use crate::net::nat::Nat;
use crate::net::pcap::Pcap;
use crate::net::{Packet, Proto};
use log::Log;
use sekisho::client::{self, Device, Event, Profile};
use sekisho::config::Config;
use sekisho::control::{Command, Refusal};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::packet::{Datagram, Encap, PacketBuf, Path};
use sekisho::ppp::{LinkParams, Login};
use sekisho::wire::inet::Ipv4;
use sekisho::worker::Clock;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The gateway's address on the internet.
pub const SERVER: &str = "198.51.100.1";
/// The gateway's address in hub OFFICE, the host behind its uplink.
pub const OFFICE_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
/// The same in hub GUESTS.
pub const GUESTS_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 1);
/// Somewhere in the internet, reached through an uplink.
pub const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClientId(usize);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NatId(usize);

/// Which way a packet goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    ToGateway,
    FromGateway,
}

/// A client's computer.
pub struct Client {
    pub device: Device,
    /// Its own address, behind `nat` if there is one.
    pub address: Ipv4Addr,
    nat: Option<NatId>,
    pub line: Line,
    pub inbox: Inbox,
    /// IP packets through the tunnel that were for somebody else.
    pub strays: u64,
    /// Everything that happened, oldest first.
    pub events: Vec<Event>,
    /// Lid closed: it neither receives nor sends, and time stands still for it.
    asleep: bool,
    pings: u16,
}

impl Client {
    /// Its address in its hub, while it has one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        Some(self.device.params()?.address)
    }

    /// Why it went down last.
    pub fn reason(&self) -> Option<&Reason> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Down(reason) => Some(reason),
            _ => None,
        })
    }

    /// How many renewals of ESP SAs there were.
    pub fn rekeys(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Rekeyed)).count()
    }

    /// How many Phase 1s.
    pub fn phase1s(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::IkeUp { .. })).count()
    }
}

struct AtNat {
    nat: Nat,
    behind: Option<NatId>,
    /// Addresses given to what is behind it.
    given: u8,
}

enum Arrival {
    AtGateway(Packet),
    /// At the outermost NAT, or at the client if it has none.
    FromGateway(Packet),
}

/// Decides whether a packet is lost: what a test wants to go wrong.
type Fate = Box<dyn FnMut(Direction, &Packet) -> bool>;

pub struct World {
    pub now: Instant,
    began: Instant,
    pub seed: u64,
    test: String,
    pub entropy: Entropy,
    pub config: Arc<Config>,
    /// None while it is down.
    gateway: Option<Gateway>,
    /// The address that the gateway has itself, where a NAT with port forwardings stands before it.
    pub forwarded_to: Option<IpAddr>,
    /// The gateway has no raw socket.
    pub force_udp: bool,
    clients: Vec<Client>,
    nats: Vec<AtNat>,
    under_way: BTreeMap<(Instant, u64), Arrival>,
    serial: u64,
    flows: Vec<flow::Flow>,
    fate: Option<Fate>,
    /// Everything that passed the gateway's interface, if a test listens.
    pub trace: Option<Vec<(Direction, Packet)>>,
    log: Log,
    pcap: Option<Pcap>,
    /// Whether clients may complain.
    pub tolerant: bool,
    at_once: u32,
}

impl World {
    /// A world with the usual office.
    pub fn new() -> Self {
        Self::with(Office::default())
    }

    /// A world whose gateway is configured like this.
    pub fn with(office: Office) -> Self {
        let test = std::thread::current().name().unwrap_or("sim").to_owned();
        let seed = seed_of(&test);
        let mut entropy = Entropy::from_number(seed);
        let config = Arc::new(office.config());
        let log = Log::begin();
        let now = Instant::now();
        let clock = Clock { now, unix: office::BEGIN };
        let gateway = Gateway::new(clock, &config, false, &mut entropy, Leases::new());
        Self {
            now,
            began: now,
            seed,
            pcap: Pcap::open(&test),
            test,
            entropy,
            config,
            gateway: Some(gateway),
            forwarded_to: None,
            force_udp: false,
            clients: Vec::new(),
            nats: Vec::new(),
            under_way: BTreeMap::new(),
            serial: 0,
            flows: Vec::new(),
            fate: None,
            trace: None,
            log,
            tolerant: false,
            at_once: 0,
        }
    }

    // ---- who is there ----

    /// A NAT on the internet.
    pub fn nat(&mut self, nat: Nat) -> NatId {
        self.add_nat(nat, None)
    }

    /// A NAT behind another one.
    pub fn nat_behind(&mut self, nat: Nat, behind: NatId) -> NatId {
        self.add_nat(nat, Some(behind))
    }

    fn add_nat(&mut self, mut nat: Nat, behind: Option<NatId>) -> NatId {
        nat.outside = match behind {
            None => Ipv4Addr::new(203, 0, 113, self.nats.len() as u8 + 1),
            Some(outer) => self.give_address(outer, 100),
        }
        .into();
        self.nats.push(AtNat { nat, behind, given: 0 });
        NatId(self.nats.len() - 1)
    }

    /// The next address behind a NAT: 192.168.1.2 and so on for hosts, 100.64.x for further NATs.
    fn give_address(&mut self, nat: NatId, net: u8) -> Ipv4Addr {
        let at = &mut self.nats[nat.0];
        at.given += 1;
        match net {
            100 => Ipv4Addr::new(100, 64, 0, at.given + 1),
            _ => Ipv4Addr::new(192, 168, 1, at.given + 1),
        }
    }

    /// A client that is not connected yet. Its user's password is the right one; `name` is what is typed.
    pub fn client(&mut self, profile: Profile, name: &str, nat: impl Into<Option<NatId>>) -> ClientId {
        let nat = nat.into();
        let address = match nat {
            Some(nat) => self.give_address(nat, 192),
            None => Ipv4Addr::new(192, 0, 2, self.clients.len() as u8 + 1),
        };
        let profile = if profile.ike.psk.is_empty() { profile.with_psk(PSK) } else { profile };
        let device = Device::new(Arc::new(profile), login(name), ike_path(address), self.entropy.fork());
        self.clients.push(Client {
            device,
            address,
            nat,
            line: Line::GOOD,
            inbox: Inbox::default(),
            strays: 0,
            events: Vec::new(),
            asleep: false,
            pings: 0,
        });
        ClientId(self.clients.len() - 1)
    }

    pub fn client_ids(&self) -> Vec<ClientId> {
        (0..self.clients.len()).map(ClientId).collect()
    }

    pub fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("the gateway is down")
    }

    pub fn gateway_mut(&mut self) -> &mut Gateway {
        self.gateway.as_mut().expect("the gateway is down")
    }

    pub fn nat_mut(&mut self, nat: NatId) -> &mut Nat {
        &mut self.nats[nat.0].nat
    }

    // ---- what they do ----

    /// Begins to connect.
    pub fn start(&mut self, id: ClientId) {
        let mut out = client::Output::default();
        let now = self.now;
        self[id].device.start(now, &mut out);
        self.carry_out(id, out);
    }

    /// Connects, and expects that it works.
    pub fn connect(&mut self, id: ClientId) -> LinkParams {
        self.start(id);
        self.await_up(id)
    }

    /// Waits until a client that was started is up, and expects that.
    pub fn await_up(&mut self, id: ClientId) -> LinkParams {
        let up = self
            .run_until(Duration::from_secs(100), |w| w[id].address().is_some() || !w[id].device.is_active());
        match self[id].device.params() {
            Some(params) if up => params,
            _ => panic!("{:?} did not connect: {:?}", self[id].device, self[id].events),
        }
    }

    /// Connects, and expects that it fails.
    pub fn fail_to_connect(&mut self, id: ClientId) -> Reason {
        self.start(id);
        let over = self
            .run_until(Duration::from_secs(100), |w| w[id].address().is_some() || !w[id].device.is_active());
        assert!(over && self[id].address().is_none(), "{:?} connected", self[id].device);
        let reason = self[id].reason().cloned().unwrap();
        // The gateway has its own time to find out.
        self.run_for(Duration::from_secs(40));
        reason
    }

    /// Leaves with its goodbyes.
    pub fn stop(&mut self, id: ClientId) {
        let mut out = client::Output::default();
        let now = self.now;
        self[id].device.stop(now, &mut out);
        self.carry_out(id, out);
        self.run_until(Duration::from_secs(5), |w| !w[id].device.is_active());
        self.run_for(Duration::from_millis(500));
    }

    /// Is gone from one moment to the next.
    pub fn vanish(&mut self, id: ClientId) {
        self[id].device.vanish();
    }

    /// Takes a client, which must not be connected, to another network.
    pub fn move_client(&mut self, id: ClientId, nat: impl Into<Option<NatId>>) {
        assert!(!self[id].device.is_active());
        let nat = nat.into();
        let address = match nat {
            Some(nat) => self.give_address(nat, 192),
            None => Ipv4Addr::new(192, 0, 2, id.0 as u8 + 101),
        };
        (self[id].nat, self[id].address) = (nat, address);
        self[id].device.set_path(ike_path(address));
    }

    /// Closes the lid: nothing is sent, nothing received, no timer fires until [`Self::wake`].
    pub fn suspend(&mut self, id: ClientId) {
        self[id].asleep = true;
    }

    pub fn wake(&mut self, id: ClientId) {
        self[id].asleep = false;
    }

    /// Has a client renew its ISAKMP SA now.
    pub fn renew_isakmp(&mut self, id: ClientId) {
        let mut out = client::Output::default();
        let now = self.now;
        self[id].device.renew_isakmp(now, &mut out);
        self.carry_out(id, out);
    }

    /// Has a client renew its ESP SAs now.
    pub fn renew_esp(&mut self, id: ClientId) {
        let mut out = client::Output::default();
        let now = self.now;
        self[id].device.renew_esp(now, &mut out);
        self.carry_out(id, out);
    }

    /// Sends an IP packet from a client; whether it could.
    pub fn send_ip(&mut self, id: ClientId, packet: PacketBuf) -> bool {
        if self[id].asleep {
            return false;
        }
        let mut out = client::Output::default();
        let now = self.now;
        let went = self[id].device.send_ip(now, packet, &mut out).is_ok();
        self.carry_out(id, out);
        went
    }

    pub fn send_from_uplink(&mut self, hub: usize, packet: PacketBuf) {
        let clock = self.clock();
        self.gateway_mut().send_from_uplink(clock, hub, packet);
        self.carry_gateway();
    }

    /// Pings once, and waits up to three seconds for the answer.
    pub fn ping(&mut self, id: ClientId, to: Ipv4Addr) -> bool {
        self.ping_with(id, to, 56)
    }

    /// The same with so many bytes of data.
    pub fn ping_with(&mut self, id: ClientId, to: Ipv4Addr, size: usize) -> bool {
        let Some(from) = self[id].address() else { return false };
        self[id].pings += 1;
        let echo = (id.0 as u16, self[id].pings);
        if !self.send_ip(id, host::ping(from, to, echo, size)) {
            return false;
        }
        self.run_until(Duration::from_secs(3), |w| w[id].inbox.echoes.contains(&echo))
    }

    /// A datagram from anywhere to the gateway, whoever its sender claims to be.
    pub fn inject(&mut self, packet: Packet) {
        self.schedule(Duration::from_millis(1), Arrival::AtGateway(packet));
    }

    /// A datagram to a client, whoever its sender claims to be.
    pub fn inject_to_client(&mut self, packet: Packet) {
        self.schedule(Duration::from_millis(1), Arrival::FromGateway(packet));
    }

    /// From now on packets share the fate that this function decides: true means lost.
    pub fn lose(&mut self, fate: impl FnMut(Direction, &Packet) -> bool + 'static) {
        self.fate = Some(Box::new(fate));
    }

    pub fn lose_nothing(&mut self) {
        self.fate = None;
    }

    /// Listens at the gateway's interface from now on.
    pub fn listen(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// What was heard since.
    pub fn heard(&mut self) -> Vec<(Direction, Packet)> {
        self.trace.replace(Vec::new()).unwrap_or_default()
    }

    // ---- the gateway's life ----

    /// Power lost.
    pub fn kill_gateway(&mut self) -> Leases {
        let clock = self.clock();
        let gateway = self.gateway.take().unwrap();
        gateway.save(clock)
    }

    /// SIGTERM: goodbyes, then gone.
    pub fn shut_down_gateway(&mut self) -> Leases {
        let clock = self.clock();
        self.gateway_mut().shutdown(clock);
        self.carry_gateway();
        self.run_for(Duration::from_millis(300));
        self.kill_gateway()
    }

    pub fn start_gateway(&mut self, leases: Leases) {
        let clock = self.clock();
        let config = self.config.clone();
        self.gateway = Some(Gateway::new(clock, &config, self.force_udp, &mut self.entropy, leases));
    }

    /// Starts the gateway anew as if it had no raw socket for ESP.
    pub fn without_raw_socket(mut self) -> Self {
        self.force_udp = true;
        self.start_gateway(Leases::new());
        self
    }

    /// What `sekisho ctl` would be answered.
    pub fn control(&mut self, command: Command) -> Result<Vec<serde_json::Value>, Refusal> {
        let clock = self.clock();
        let rows = self.gateway_mut().control(clock, command);
        self.carry_gateway();
        rows
    }

    /// A new configuration for the running gateway.
    pub fn reload(&mut self, office: &Office) {
        let (clock, force_udp) = (self.clock(), self.force_udp);
        self.gateway_mut().reload(clock, office.config(), force_udp);
        self.carry_gateway();
    }

    pub fn kick(&mut self, user: &str) {
        let clock = self.clock();
        self.gateway_mut().kick(clock, user);
        self.carry_gateway();
    }

    // ---- time ----

    pub fn clock(&self) -> Clock {
        Clock { now: self.now, unix: office::BEGIN + self.elapsed().as_secs() }
    }

    pub fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.began)
    }

    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        self.run_until(time, |_| false);
        self.set_time(until);
    }

    /// Runs until something is true, at most so long; whether it became true.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + limit;
        while !done(self) {
            match self.next_event() {
                Some(at) if at <= until => {
                    self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
                    assert!(self.at_once < 10_000, "time stands still: something is due for ever");
                    self.set_time(at.max(self.now));
                    self.step();
                }
                _ => {
                    self.set_time(until);
                    return done(self);
                }
            }
        }
        true
    }

    fn set_time(&mut self, now: Instant) {
        self.now = now;
        self.log.set_time(self.elapsed());
    }

    fn next_event(&self) -> Option<Instant> {
        let arrivals = self.under_way.keys().next().map(|(at, _)| *at);
        let gateway = self.gateway.as_ref().and_then(Gateway::poll_timeout);
        let awake = self.clients.iter().filter(|client| !client.asleep);
        let devices = awake.filter_map(|client| client.device.poll_timeout());
        let flows = self.flows.iter().filter_map(|flow| flow.next);
        [arrivals, gateway].into_iter().flatten().chain(devices).chain(flows).min()
    }

    /// Does everything that is due now: what arrives first, then timers.
    fn step(&mut self) {
        let mut batch = Vec::new();
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Arrival::AtGateway(packet) => batch.push(packet),
                Arrival::FromGateway(packet) => self.arrive_outside(packet),
            }
        }
        if !batch.is_empty() {
            self.arrive_at_gateway(batch);
        }
        let clock = self.clock();
        if let Some(gateway) =
            self.gateway.as_mut().filter(|g| g.poll_timeout().is_some_and(|at| at <= clock.now))
        {
            gateway.handle_timeout(clock);
            self.carry_gateway();
        }
        for n in 0..self.clients.len() {
            let client = &mut self.clients[n];
            if !client.asleep && client.device.poll_timeout().is_some_and(|at| at <= clock.now) {
                let mut out = client::Output::default();
                client.device.handle_timeout(clock.now, &mut out);
                self.carry_out(ClientId(n), out);
            }
        }
        self.flows_due();
    }

    // ---- packets under way ----

    fn schedule(&mut self, after: Duration, arrival: Arrival) {
        self.serial += 1;
        self.under_way.insert((self.now + after, self.serial), arrival);
    }

    /// Sends what a device wants sent and delivers what it received.
    pub fn carry_out(&mut self, id: ClientId, out: client::Output) {
        for transmit in out.transmits {
            self.leave_client(id, Packet::sent(transmit.path, &transmit.buf));
        }
        for event in out.events {
            if let Event::Up(_) | Event::Down(_) = event {
                self.log.note(&format!("{:?}: {event:?}", self[id].device));
            }
            self[id].events.push(event);
        }
        for packet in out.packets {
            let to = Ipv4::parse(&packet).unwrap().destination;
            let known = self[id].address().is_some_and(|own| own == to);
            self[id].strays += u64::from(!known && !to.is_multicast() && !to.is_broadcast());
            if let Some(answer) = self[id].inbox.take(&packet) {
                self.send_ip(id, answer);
            }
        }
    }

    fn leave_client(&mut self, id: ClientId, packet: Packet) {
        let mut packet = packet;
        let mut next = self[id].nat;
        while let Some(nat) = next {
            let now = self.now;
            let at = &mut self.nats[nat.0];
            let Some(translated) = at.nat.outbound(now, packet) else { return };
            packet = translated;
            next = at.behind;
        }
        if self.is_lost(Direction::ToGateway, &packet) {
            return;
        }
        let line = self[id].line;
        for after in line.carry(packet.wire_len(), &mut self.entropy) {
            self.schedule(after, Arrival::AtGateway(packet.clone()));
        }
    }

    fn is_lost(&mut self, direction: Direction, packet: &Packet) -> bool {
        self.fate.as_mut().is_some_and(|fate| fate(direction, packet))
    }

    fn arrive_at_gateway(&mut self, packets: Vec<Packet>) {
        let mut datagrams = Vec::new();
        for packet in packets {
            self.record(Direction::ToGateway, &packet);
            if let Some(mut path) = packet.path(packet.to) {
                if let Some(own) = self.forwarded_to {
                    // Ports are forwarded, ESP is not.
                    if packet.proto == Proto::Esp {
                        continue;
                    }
                    path.local.set_ip(own);
                }
                datagrams.push(Datagram { path, buf: PacketBuf::from_slice(&packet.bytes) });
            }
        }
        let clock = self.clock();
        if let Some(gateway) = &mut self.gateway {
            gateway.recv(clock, datagrams);
            self.carry_gateway();
        }
    }

    fn carry_gateway(&mut self) {
        for transmit in std::mem::take(&mut self.gateway_mut().transmits) {
            let mut packet = Packet::sent(transmit.path, &transmit.buf);
            if self.forwarded_to.is_some() {
                packet.from.set_ip(SERVER.parse().unwrap());
            }
            self.record(Direction::FromGateway, &packet);
            if self.is_lost(Direction::FromGateway, &packet) {
                continue;
            }
            let Some(line) = self.line_towards(&packet) else { continue };
            for after in line.carry(packet.wire_len(), &mut self.entropy) {
                self.schedule(after, Arrival::FromGateway(packet.clone()));
            }
        }
    }

    /// The line that a packet to this address takes: that of the client it is for, as the NATs stand now.
    fn line_towards(&mut self, packet: &Packet) -> Option<Line> {
        let (id, _) = self.route_in(packet.clone())?;
        Some(self[id].line)
    }

    fn arrive_outside(&mut self, packet: Packet) {
        let Some((id, packet)) = self.route_in(packet) else { return };
        if self[id].asleep {
            return;
        }
        let Some(path) = packet.path(packet.from) else { return };
        let mut out = client::Output::default();
        let now = self.now;
        let buf = PacketBuf::from_slice(&packet.bytes);
        // A real client drops silently too.
        let _ = self[id].device.handle_datagram(now, path, buf, &mut out);
        self.carry_out(id, out);
    }

    /// Through the NATs to a client.
    fn route_in(&mut self, packet: Packet) -> Option<(ClientId, Packet)> {
        let mut packet = packet;
        let mut behind: Option<NatId> = None;
        loop {
            let host =
                self.clients.iter().position(|c| c.nat == behind && IpAddr::V4(c.address) == packet.to.ip());
            if let Some(n) = host {
                return Some((ClientId(n), packet));
            }
            let n =
                self.nats.iter().position(|at| at.behind == behind && at.nat.outside == packet.to.ip())?;
            let now = self.now;
            packet = self.nats[n].nat.inbound(now, packet)?;
            behind = Some(NatId(n));
        }
    }

    fn record(&mut self, direction: Direction, packet: &Packet) {
        let at = self.elapsed() + Duration::from_secs(office::BEGIN);
        if let Some(pcap) = &mut self.pcap {
            pcap.write(at, packet);
        }
        if let Some(trace) = &mut self.trace {
            trace.push((direction, packet.clone()));
        }
    }

    /// A line in the log.
    pub fn note(&self, text: &str) {
        self.log.note(text);
    }
}

impl Index<ClientId> for World {
    type Output = Client;
    fn index(&self, id: ClientId) -> &Client {
        &self.clients[id.0]
    }
}

impl IndexMut<ClientId> for World {
    fn index_mut(&mut self, id: ClientId) -> &mut Client {
        &mut self.clients[id.0]
    }
}

impl Drop for World {
    #[allow(clippy::print_stderr, reason = "the report of a failed test")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the last lines of the log");
            for line in self.log.tail() {
                eprintln!("{line}");
            }
            eprintln!("---- repeat {} with SEKISHO_TEST_SEED={}", self.test, self.seed);
            return;
        }
        let errors = self.log.take_errors();
        assert!(errors.is_empty(), "the gateway logged errors: {errors:#?}\nSEKISHO_TEST_SEED={}", self.seed);
        for client in self.clients.iter().filter(|_| !self.tolerant) {
            let violations = client.device.violations();
            assert!(violations.is_empty(), "{:?} complains: {violations:?}", client.device);
        }
    }
}

/// What a user types: the password is that of the user whose name it is.
pub fn login(name: &str) -> Login {
    let user = name.rsplit('\\').next().unwrap_or(name).split('@').next().unwrap_or(name);
    Login { name: name.into(), password: Secret::from(password(user).as_str()) }
}

/// From a client's port 500 to the gateway's.
pub fn ike_path(address: Ipv4Addr) -> Path {
    let server: IpAddr = SERVER.parse().unwrap();
    Path {
        encap: Encap::Ike,
        local: SocketAddr::new(address.into(), crate::net::IKE_PORT),
        remote: SocketAddr::new(server, crate::net::IKE_PORT),
    }
}

/// From a client's to the gateway's port for L2TP in the clear.
pub fn raw_path(address: Ipv4Addr) -> Path {
    let mut path = Path { encap: Encap::L2tp, ..ike_path(address) };
    path.local.set_port(crate::net::L2TP_PORT);
    path.remote.set_port(crate::net::L2TP_PORT);
    path
}

/// The seed of a test: its own every time, unless the environment says otherwise.
fn seed_of(test: &str) -> u64 {
    match std::env::var("SEKISHO_TEST_SEED") {
        Ok(text) if text == "random" => Entropy::from_system().unwrap().u64() >> 16,
        Ok(text) => text.parse().expect("SEKISHO_TEST_SEED is a number"),
        Err(_) => {
            let mut hasher = DefaultHasher::new();
            test.hash(&mut hasher);
            hasher.finish() >> 16
        }
    }
}

/// Whether a packet is ESP without UDP around it.
pub fn is_plain_esp(packet: &Packet) -> bool {
    packet.proto == Proto::Esp
}
