//! The gateway as the shell puts it together, without the shell: workers, gatehouse, uplinks, and the time that the
//! gatehouse and the key agreement take.

use super::uplink::Uplink;
use sekisho::config::Config;
use sekisho::control::{Command, Facts, Job, Refusal};
use sekisho::crypto::dh::DhJob;
use sekisho::entropy::Entropy;
use sekisho::gatehouse::{self, Gatehouse, Session};
use sekisho::hub::snapshot::{Clocks, Saved};
use sekisho::hub::{Forward, HubId, KnownStation, PortId, stable_mac};
use sekisho::packet::{Datagram, Encap, PacketBuf, Transmit, WorkerId};
use sekisho::peer::{Ask, DhTag};
use sekisho::router::{Leg, Route};
use sekisho::story::{Cause, Record};
use sekisho::wire::inet::Network;
use sekisho::wire::isakmp::Header;
use sekisho::wire::{esp, natt};
use sekisho::worker::{Clock, Effects, FarFrame, Target, Worker};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

enum Later {
    Asks(Vec<Ask>),
    Dh(usize, DhTag, DhJob),
}

pub struct Gateway {
    pub workers: Vec<Worker>,
    pub gatehouse: Gatehouse,
    pub uplinks: Vec<Uplink>,
    /// How long the gatehouse takes to answer.
    pub gate_delay: Duration,
    /// How long a key agreement takes.
    pub dh_delay: Duration,
    later: BTreeMap<(Instant, u64), Later>,
    serial: u64,
    /// For key agreements.
    entropy: Entropy,
    /// What has left, to be carried by the network.
    pub transmits: Vec<Transmit>,
}

fn open_router(
    clock: Clock,
    config: &Config,
    router: &sekisho::config::Router,
    gatehouse: &mut Gatehouse,
    worker: &mut Worker,
) {
    let network = |to: sekisho::config::Network| Network { address: to.address(), prefix: to.prefix() };
    let mut legs = Vec::new();
    for leg in &router.legs {
        let (hub, port) = (gatehouse.hub_named(&leg.hub).unwrap(), worker.reserve_trunk());
        let mac = stable_mac(&leg.hub, "", &router.name, 0);
        let station = KnownStation { mac, addresses: vec![leg.address] };
        let (ingress, view) = gatehouse.open_router(clock.now, hub, port, station).unwrap();
        let network = network(config.hub(&leg.hub).unwrap().network);
        legs.push((ingress, Leg { port, hub: view, mac, address: leg.address, network }));
    }
    let routes: Vec<_> =
        router.routes.iter().map(|(to, via)| Route { to: network(*to), via: *via }).collect();
    worker.open_router(&router.name, legs, &routes);
}

/// What outlives a restart.
pub type Leases = BTreeMap<String, Vec<Saved>>;

impl Gateway {
    pub fn new(
        clock: Clock,
        config: &Arc<Config>,
        force_udp: bool,
        entropy: &mut Entropy,
        leases: Leases,
    ) -> Self {
        let settings = Arc::new(config.peer_settings(force_udp));
        let mut gatehouse = Gatehouse::new(clock, config.clone(), Vec::new(), entropy);
        for (name, saved) in leases {
            let id = gatehouse.hubs().iter().find(|hub| hub.name() == name).unwrap().id();
            gatehouse.hub_mut(id).unwrap().leases_mut().load(clocks(clock), saved);
        }
        let worker = |n| Worker::new(WorkerId(n), clock, settings.clone(), entropy.fork());
        let mut workers: Vec<_> = (0..config.workers).map(worker).collect();
        let mut uplinks = Vec::new();
        for (hub, n) in config.hubs.iter().zip(0..) {
            let at = n as usize % workers.len();
            let mac = stable_mac(&hub.name, "", "gateway", 0);
            let port = workers[at].reserve_trunk();
            let (ingress, view) = gatehouse.open_uplink(clock.now, HubId(n), port, Some(mac)).unwrap();
            workers[at].open_trunk(ingress, view);
            let network = Network { address: hub.network.address(), prefix: hub.network.prefix() };
            uplinks.push(Uplink::new(HubId(n), port, mac, hub.gateway, network));
        }
        for (router, n) in config.routers.iter().zip(0..) {
            let worker = n % workers.len();
            open_router(clock, config, router, &mut gatehouse, &mut workers[worker]);
        }
        Self {
            workers,
            gatehouse,
            uplinks,
            gate_delay: Duration::ZERO,
            dh_delay: Duration::ZERO,
            later: BTreeMap::new(),
            serial: 0,
            entropy: entropy.fork(),
            transmits: Vec::new(),
        }
    }

    /// The leases, as the shell writes them to disk.
    pub fn save(&self, clock: Clock) -> Leases {
        let hubs = self.gatehouse.hubs().iter();
        hubs.map(|hub| (hub.name().to_owned(), hub.leases().save(clocks(clock), None, usize::MAX))).collect()
    }

    /// Takes what arrived at one moment.
    pub fn recv(&mut self, clock: Clock, datagrams: Vec<Datagram>) {
        let mut batches: Vec<Vec<Datagram>> = self.workers.iter().map(|_| Vec::new()).collect();
        for datagram in datagrams {
            let n = self.worker_of(&datagram);
            // As a socket is read: into a buffer of the worker's pool.
            let buf = self.workers[n].pool().copy(&datagram.buf);
            batches[n].push(Datagram { path: datagram.path, buf });
        }
        for (n, mut batch) in batches.into_iter().enumerate() {
            if !batch.is_empty() {
                let mut effects = Effects::default();
                self.workers[n].handle_datagrams(clock, &mut batch, &mut effects);
                self.carry_out(clock, n, effects);
            }
        }
    }

    /// The worker that a datagram is for: the numbers that we chose name it, anything else is spread by its source.
    fn worker_of(&self, datagram: &Datagram) -> usize {
        let named = match datagram.path.encap {
            Encap::Ike => cookie_worker(&datagram.buf),
            Encap::NatT => match natt::classify(&datagram.buf) {
                Ok(natt::Class::Ike(message)) => cookie_worker(message),
                Ok(natt::Class::Esp(spi, _)) => Some((spi >> 24) as usize).and_then(|n| n.checked_sub(1)),
                _ => None,
            },
            Encap::Esp => esp::Header::parse(&datagram.buf)
                .ok()
                .and_then(|esp| ((esp.spi >> 24) as usize).checked_sub(1)),
            Encap::L2tp => None,
        };
        let count = self.workers.len();
        named.filter(|n| *n < count).unwrap_or_else(|| match datagram.path.remote.ip() {
            std::net::IpAddr::V4(ip) => ip.to_bits() as usize % count,
            std::net::IpAddr::V6(_) => 0,
        })
    }

    /// Sends an IP packet from the host behind a hub's uplink.
    pub fn send_from_uplink(&mut self, clock: Clock, hub: usize, packet: PacketBuf) {
        let mut frames = self.uplinks[hub].send_ip(packet);
        let port = self.uplinks[hub].port;
        self.frames_from_uplink(clock, port, &mut frames);
    }

    fn frames_from_uplink(&mut self, clock: Clock, port: PortId, frames: &mut Vec<PacketBuf>) {
        if frames.is_empty() {
            return;
        }
        let n = usize::from(port.worker().0);
        let mut effects = Effects::default();
        self.workers[n].handle_uplink(clock, port, frames, &mut effects);
        self.carry_out(clock, n, effects);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let workers = self.workers.iter().filter_map(Worker::poll_timeout);
        let later = self.later.keys().next().map(|(at, _)| *at);
        workers.chain(later).chain(self.gatehouse.poll_timeout()).min()
    }

    pub fn handle_timeout(&mut self, clock: Clock) {
        self.due(clock);
        for n in 0..self.workers.len() {
            if self.workers[n].poll_timeout().is_some_and(|at| at <= clock.now) {
                let mut effects = Effects::default();
                self.workers[n].handle_timeout(clock, &mut effects);
                self.carry_out(clock, n, effects);
            }
        }
        if self.gatehouse.poll_timeout().is_some_and(|at| at <= clock.now) {
            let mut out = gatehouse::Output::default();
            self.gatehouse.handle_timeout(clock, &mut out);
            self.pass_on(clock, out);
        }
    }

    /// A clean end: goodbyes to everybody.
    pub fn shutdown(&mut self, clock: Clock) {
        for n in 0..self.workers.len() {
            let mut effects = Effects::default();
            self.workers[n].shutdown(clock, &mut effects);
            self.carry_out(clock, n, effects);
        }
    }

    /// An administrator closes a session.
    pub fn kick(&mut self, clock: Clock, user: &str) {
        let link = self.session(user).unwrap().link;
        let mut out = gatehouse::Output::default();
        self.gatehouse.kick(clock, link, &mut out);
        self.pass_on(clock, out);
    }

    /// All pages of the answer to a command of the control socket.
    pub fn control(&mut self, clock: Clock, command: Command) -> Result<Vec<serde_json::Value>, Refusal> {
        let mut job = Job::new(command, Vec::new());
        let mut rows = Vec::new();
        loop {
            let mut out = gatehouse::Output::default();
            let page = job.step(clock, &Facts::default(), &mut self.gatehouse, &mut out)?;
            self.pass_on(clock, out);
            rows.extend(page.rows.into_iter().map(|row| serde_json::to_value(row).unwrap()));
            if !page.more {
                return Ok(rows);
            }
        }
    }

    /// A new configuration, as the shell puts one in force.
    pub fn reload(&mut self, clock: Clock, mut config: Config, force_udp: bool) {
        let old = self.gatehouse.config().clone();
        config.renumber_psks(&old);
        let changes = old.changes_to(&config, clock.unix);
        let config = Arc::new(config);
        let mut out = gatehouse::Output::default();
        self.gatehouse.apply(clock, config.clone(), &changes, &mut out);
        self.pass_on(clock, out);
        for uplink in &self.uplinks {
            if let Some(policy) = self.gatehouse.renew_uplink(uplink.hub, uplink.port) {
                self.workers[usize::from(uplink.port.worker().0)].set_trunk_policy(uplink.port, policy);
            }
        }
        let settings = Arc::new(config.peer_settings(force_udp));
        for n in 0..self.workers.len() {
            let mut effects = Effects::default();
            self.workers[n].set_settings(clock, settings.clone(), &mut effects);
            self.carry_out(clock, n, effects);
        }
    }

    fn carry_out(&mut self, clock: Clock, worker: usize, effects: Effects) {
        let mut todo = VecDeque::from([(worker, effects)]);
        while let Some((n, effects)) = todo.pop_front() {
            self.transmits.extend(effects.transmits);
            for far in effects.far_frames {
                let to = usize::from(far.to.worker().0);
                let uplink = self.uplinks.iter().position(|uplink| Target::Port(uplink.port) == far.to);
                let mut effects = Effects::default();
                match uplink {
                    Some(uplink) => {
                        let port = self.uplinks[uplink].port;
                        let mut frames = self.uplinks[uplink].recv(&far.buf);
                        if frames.is_empty() {
                            continue;
                        }
                        self.workers[to].handle_uplink(clock, port, &mut frames, &mut effects);
                    }
                    None => self.workers[to].handle_frames(clock, &mut vec![far], &mut effects),
                }
                todo.push_back((to, effects));
            }
            self.later(clock, self.dh_delay, effects.dh.into_iter().map(|(tag, job)| Later::Dh(n, tag, job)));
            if !effects.asks.is_empty() {
                self.later(clock, self.gate_delay, [Later::Asks(effects.asks)]);
            }
        }
        // What takes no time is done now.
        self.due(clock);
    }

    fn due(&mut self, clock: Clock) {
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= clock.now) {
            match entry.remove() {
                Later::Asks(asks) => self.ask(clock, asks),
                Later::Dh(n, tag, job) => self.agree(clock, n, tag, &job),
            }
        }
    }

    fn later(&mut self, clock: Clock, delay: Duration, things: impl IntoIterator<Item = Later>) {
        for thing in things {
            self.serial += 1;
            self.later.insert((clock.now + delay, self.serial), thing);
        }
    }

    fn agree(&mut self, clock: Clock, n: usize, tag: DhTag, job: &DhJob) {
        let mut effects = Effects::default();
        self.workers[n].handle_dh(clock, tag, job.run(&mut self.entropy), &mut effects);
        self.carry_out(clock, n, effects);
    }

    fn ask(&mut self, clock: Clock, asks: Vec<Ask>) {
        let mut out = gatehouse::Output::default();
        for ask in asks {
            self.gatehouse.handle_ask(clock, ask, &mut out);
        }
        self.pass_on(clock, out);
    }

    fn pass_on(&mut self, clock: Clock, out: gatehouse::Output) {
        for worker in &mut self.workers {
            worker.set_standings(&out.standings);
        }
        for answer in out.answers {
            let n = usize::from(answer.link().worker.0);
            let mut effects = Effects::default();
            self.workers[n].handle_answer(clock, answer, &mut effects);
            self.carry_out(clock, n, effects);
        }
        for service in out.frames {
            let targets = match service.to {
                Forward::To(port) => vec![Target::Port(port)],
                Forward::Flood(scope) => (0..self.workers.len())
                    .map(|n| Target::Flood(WorkerId(n as u8), scope, PortId::SERVICE))
                    .collect(),
                Forward::Discard(_) => Vec::new(),
            };
            for to in targets {
                let n = usize::from(to.worker().0);
                let mut effects = Effects::default();
                let frame = FarFrame { hub: service.hub, to, buf: service.frame.clone() };
                self.workers[n].handle_frames(clock, &mut vec![frame], &mut effects);
                self.carry_out(clock, n, effects);
            }
        }
    }

    // ---- what tests ask ----

    /// The session of a user; the newest if there are several.
    pub fn session(&self, user: &str) -> Option<&Session> {
        self.gatehouse
            .sessions()
            .filter(|session| session.who.user() == user)
            .max_by_key(|session| session.since)
    }

    pub fn sessions(&self) -> usize {
        self.gatehouse.sessions().count()
    }

    /// Peers and half-open exchanges of all workers.
    pub fn population(&self) -> (usize, usize) {
        let all = self.workers.iter().map(Worker::population);
        all.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Causes of ended attempts, oldest first.
    pub fn causes(&self) -> Vec<Cause> {
        self.gatehouse.stories().iter().map(|record| record.cause).collect()
    }

    pub fn last_story(&self) -> &Record {
        self.gatehouse.stories().iter().next_back().expect("no attempt has ended")
    }
}

fn cookie_worker(message: &[u8]) -> Option<usize> {
    let (header, _) = Header::parse(message).ok()?;
    let cookie = header.cookies.responder;
    (!cookie.is_zero()).then(|| usize::from(cookie.0[0]))
}

fn clocks(clock: Clock) -> Clocks {
    Clocks { now: clock.now, unix: clock.unix }
}
