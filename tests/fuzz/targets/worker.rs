//! A whole worker with its gatehouse: three devices behind two addresses, an uplink, strangers, and time. This is the
//! gateway without sockets.

use super::device::Device;
use super::initiator::{PSK, agree};
use super::steps::{number, origin, steps};
use sekisho::config::{FileFacts, load};
use sekisho::entropy::Entropy;
use sekisho::gatehouse::{Gatehouse, Output};
use sekisho::hub::{Forward, HubId, Mac, PortId};
use sekisho::packet::{Datagram, Encap, PacketBuf, Path, WorkerId};
use sekisho::wire::isakmp::ExchangeType;
use sekisho::worker::{Clock, Effects, FarFrame, Target, Worker};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a step can be. The numbers are those of the corpus: new ones go to the end. Where an argument begins with a
/// device, its lower bits choose one of three.
pub(crate) mod op {
    /// A datagram of a stranger: way (two bits) and source (two bits), then its payload.
    pub(crate) const RAW: u8 = 0;
    /// A device connects, or goes on with it: at most so many datagrams of its own.
    pub(crate) const FLOW: u8 = 1;
    /// A device's next datagram is changed: pairs of a position and what it is xored with.
    pub(crate) const CHANGED: u8 = 2;
    /// A device's next datagram is lost.
    pub(crate) const LOST: u8 = 3;
    /// A device sends an inner packet of this protocol through ESP.
    pub(crate) const INNER: u8 = 4;
    /// A device sends an L2TP message through ESP.
    pub(crate) const L2TP: u8 = 5;
    /// A device sends a PPP frame through its session.
    pub(crate) const PPP: u8 = 6;
    /// A device sends an Informational: type of the first payload, then the chain.
    pub(crate) const INFORMATIONAL: u8 = 7;
    /// A device sends a Quick Mode 1, likewise; without more the usual.
    pub(crate) const QUICK: u8 = 8;
    /// The uplink of a hub brings a frame.
    pub(crate) const UPLINK: u8 = 9;
    /// Time goes by: seconds.
    pub(crate) const TIME: u8 = 10;
    /// The last datagram comes again, from a stranger's address or the same.
    pub(crate) const AGAIN: u8 = 11;
    /// Every session of a device's user is closed by the administrator.
    pub(crate) const KICK: u8 = 12;
    /// The worker says goodbye to everybody.
    pub(crate) const SHUTDOWN: u8 = 13;
    /// A packet with a device's SPI: what stands behind the SPI.
    pub(crate) const FORGED: u8 = 14;
    /// A device's NAT gives it another port.
    pub(crate) const MOVED: u8 = 15;
    /// A device begins anew.
    pub(crate) const RESTART: u8 = 16;
    /// An IP packet with a device's own source address, through its link.
    pub(crate) const PACKET: u8 = 17;
    /// How many there are.
    pub(crate) const COUNT: u8 = 18;
}

const SECONDS: u64 = 1_800_000_000;
const GATEWAY_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

const HALF_OPEN: usize = 6;

fn configuration() -> String {
    let password = "{ password: \"a password, not that good\", allow_raw_l2tp: true }";
    format!(
        "listen: {{ raw_l2tp: true }}\n\
         ipsec: {{ psk: [ {{ key: \"another key, just as long as it must be\" }}, {{ key: \"{PSK}\" }} ] }}\n\
         default_hub: HUB1\n\
         hubs:\n  \
           HUB1:\n    network: 10.60.0.0/29\n    users:\n      alice: {password}\n  \
           HUB2:\n    network: 10.61.0.0/24\n    users:\n      bob: {password}\n\
         limits: {{ half_open: {HALF_OPEN}, half_open_per_source: 4 }}\n"
    )
}

struct World {
    clock: Clock,
    worker: Worker,
    gatehouse: Gatehouse,
    entropy: Entropy,
    devices: [Device; 3],
    uplinks: Vec<PortId>,
    last: Option<(Path, Vec<u8>)>,
}

/// A sequence of steps.
pub(super) fn worker(bytes: &[u8]) {
    let mut world = World::new();
    for (op, argument) in steps(bytes) {
        world.step(op, argument);
        world.check();
    }
    world.forget();
}

/// Whether a device that nobody disturbs gets its address: without that, the rest of the target means little.
#[allow(dead_code, reason = "only `cargo test` asks")]
pub(crate) fn undisturbed_devices_connect() -> bool {
    let mut world = World::new();
    for device in [0, 1, 2] {
        world.step(op::FLOW, &[device, 64]);
    }
    let up = world.devices.iter().all(Device::is_up);
    world.forget();
    up
}

impl World {
    fn new() -> Self {
        let clock = Clock { now: origin(), unix: SECONDS };
        let facts = FileFacts { name: String::new(), mode: None, now: SECONDS };
        let config = Arc::new(load(&configuration(), &facts).expect("our own configuration").config);
        let mut entropy = Entropy::from_number(1);
        let settings = Arc::new(config.peer_settings(false));
        let mut worker = Worker::new(WorkerId(0), clock, settings, entropy.fork());
        let mut gatehouse = Gatehouse::new(clock, config, vec![Ipv4Addr::new(9, 9, 9, 9)], &mut entropy);
        let mut uplinks = Vec::new();
        for hub in [HubId(0), HubId(1)] {
            let port = worker.reserve_trunk();
            let (ingress, view) =
                gatehouse.open_uplink(clock.now, hub, port, Some(GATEWAY_MAC)).expect("a port");
            worker.open_trunk(ingress, view);
            uplinks.push(port);
        }
        let remote = |ip: [u8; 4], port| SocketAddr::from((ip, port));
        let devices = [
            Device::new(1, "alice", remote([198, 51, 100, 7], 40_001)),
            Device::new(2, "alice", remote([198, 51, 100, 7], 40_002)),
            Device::new(3, "bob@HUB2", remote([198, 51, 100, 8], 4500)),
        ];
        Self { clock, worker, gatehouse, entropy, devices, uplinks, last: None }
    }

    fn step(&mut self, op: u8, argument: &[u8]) {
        let (first, rest) = argument.split_first().map_or((0, argument), |(first, rest)| (*first, rest));
        let now = self.clock.now;
        let n = usize::from(first) % self.devices.len();
        let device = &mut self.devices[n];
        match op % op::COUNT {
            op::RAW => self.datagram(stranger(first), rest),
            op::FLOW => self.flow(n, usize::from(rest.first().copied().unwrap_or(1)).min(64)),
            op::CHANGED => {
                if let Some((path, mut bytes)) = device.queue.pop_front() {
                    for change in rest.chunks_exact(2) {
                        if let Some(byte) = bytes.get_mut(usize::from(change[0])) {
                            *byte ^= change[1];
                        }
                    }
                    self.datagram(path, &bytes);
                }
            }
            op::LOST => {
                let _ = device.queue.pop_front();
            }
            op::INNER => {
                let (protocol, payload) = rest.split_first().unwrap_or((&17, &[]));
                device.send_esp(now, PacketBuf::from_slice(payload), *protocol);
                self.flow(n, 4);
            }
            op::L2TP => {
                device.send_l2tp(now, PacketBuf::from_slice(rest));
                self.flow(n, 4);
            }
            op::PPP => {
                device.send_ppp(now, PacketBuf::from_slice(rest));
                self.flow(n, 4);
            }
            op::PACKET => {
                let mut packet = rest.to_vec();
                let address = self.gatehouse.sessions().filter_map(|session| session.address).nth(n);
                if let Some((source, address)) = packet.get_mut(12..16).zip(address) {
                    source.copy_from_slice(&address.octets());
                }
                let mut frame = PacketBuf::from_slice(&packet);
                frame.put_front(&[0xff, 0x03, 0x00, 0x21]);
                self.devices[n].send_ppp(now, frame);
                self.flow(n, 4);
            }
            op::INFORMATIONAL => {
                device.send_protected(ExchangeType::INFORMATIONAL, if rest.is_empty() { &[0] } else { rest });
                self.flow(n, 4);
            }
            op::QUICK => {
                device.send_protected(ExchangeType::QUICK_MODE, rest);
                self.flow(n, 4);
            }
            op::UPLINK => {
                let port = self.uplinks[usize::from(first) % self.uplinks.len()];
                let mut effects = Effects::default();
                let mut frames = vec![PacketBuf::from_slice(rest)];
                self.worker.handle_uplink(self.clock, port, &mut frames, &mut effects);
                self.carry_out(effects);
            }
            op::TIME => self.pass(Duration::from_secs(number(argument) as u64)),
            op::AGAIN => {
                if let Some((path, bytes)) = self.last.clone() {
                    let path =
                        if first == 0 { path } else { Path { remote: stranger(first).remote, ..path } };
                    self.datagram(path, &bytes);
                }
            }
            op::KICK => {
                let links: Vec<_> = self.gatehouse.sessions().map(|session| session.link).collect();
                let mut out = Output::default();
                for link in links.into_iter().skip(n) {
                    assert!(self.gatehouse.kick(self.clock, link, &mut out));
                }
                self.answer(out);
            }
            op::SHUTDOWN => {
                let mut effects = Effects::default();
                self.worker.shutdown(self.clock, &mut effects);
                self.carry_out(effects);
            }
            op::FORGED => {
                device.send_forged(rest);
                self.flow(n, 1);
            }
            op::MOVED => {
                let port = device.remote.port().wrapping_add(1).max(1024);
                device.remote.set_port(port);
            }
            _ => device.start(),
        }
    }

    /// A device sends what it has to say, and what that leads to.
    fn flow(&mut self, n: usize, datagrams: usize) {
        if self.devices[n].initiator.cookies.responder.is_zero() && self.devices[n].queue.is_empty() {
            self.devices[n].start();
        }
        for _ in 0..datagrams {
            let Some((path, bytes)) = self.devices[n].queue.pop_front() else { return };
            self.datagram(path, &bytes);
        }
    }

    fn datagram(&mut self, path: Path, bytes: &[u8]) {
        self.last = Some((path, bytes.to_vec()));
        let mut effects = Effects::default();
        let mut datagrams = vec![Datagram { path, buf: PacketBuf::from_slice(bytes) }];
        self.worker.handle_datagrams(self.clock, &mut datagrams, &mut effects);
        assert!(datagrams.is_empty());
        assert!(effects.transmits.len() <= 256, "one datagram gets few in return");
        self.carry_out(effects);
    }

    /// Does what a worker wants done, and what comes of that.
    fn carry_out(&mut self, effects: Effects) {
        for transmit in effects.transmits {
            assert!(
                !transmit.buf.is_empty() && transmit.buf.len() <= 4096,
                "{} bytes out",
                transmit.buf.len()
            );
            if let Some(device) = self.devices.iter_mut().find(|device| device.is_me(&transmit.path)) {
                device.receive(self.clock.now, &transmit.path, &transmit.buf);
            }
        }
        for frame in effects.far_frames {
            assert!(matches!(frame.to, Target::Port(port) if self.uplinks.contains(&port)), "{:?}", frame.to);
        }
        for (tag, job) in effects.dh {
            let mut effects = Effects::default();
            self.worker.handle_dh(self.clock, tag, agree(&job), &mut effects);
            self.carry_out(effects);
        }
        for ask in effects.asks {
            let mut out = Output::default();
            self.gatehouse.handle_ask(self.clock, ask, &mut out);
            self.answer(out);
        }
    }

    fn answer(&mut self, out: Output) {
        for answer in out.answers {
            let mut effects = Effects::default();
            self.worker.handle_answer(self.clock, answer, &mut effects);
            self.carry_out(effects);
        }
        for service in out.frames {
            let to = match service.to {
                Forward::To(port) => Target::Port(port),
                Forward::Flood(scope) => Target::Flood(WorkerId(0), scope, PortId::SERVICE),
                Forward::Discard(_) => continue,
            };
            let mut effects = Effects::default();
            let mut frames = vec![FarFrame { hub: service.hub, to, buf: service.frame }];
            self.worker.handle_frames(self.clock, &mut frames, &mut effects);
            self.carry_out(effects);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.clock.now + time;
        let mut fired = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.advance(at);
            let mut effects = Effects::default();
            self.worker.handle_timeout(self.clock, &mut effects);
            self.carry_out(effects);
            let mut out = Output::default();
            self.gatehouse.handle_timeout(self.clock, &mut out);
            self.answer(out);
            assert!(
                self.next().is_none_or(|next| next > self.clock.now),
                "a timer fires and does not advance"
            );
            fired += 1;
            assert!(fired < 20_000, "timers without end");
        }
        self.advance(end);
    }

    fn next(&self) -> Option<Instant> {
        self.worker.poll_timeout().into_iter().chain(self.gatehouse.poll_timeout()).min()
    }

    fn advance(&mut self, to: Instant) {
        let to = to.max(self.clock.now);
        let since = to.saturating_duration_since(origin()).as_secs();
        self.clock = Clock { now: to, unix: SECONDS + since };
        // So that randomness is not the same for all that happens at once.
        let _ = self.entropy.u32();
    }

    fn check(&self) {
        let (peers, half_open) = self.worker.population();
        assert!(half_open <= HALF_OPEN, "{half_open} half-open exchanges");
        assert!(peers <= 64, "{peers} peers");
        for session in self.gatehouse.sessions() {
            assert!(session.address.is_none() || session.port.is_some(), "an address without a port");
        }
    }

    /// When everybody is silent for long enough, nothing is left of anybody.
    fn forget(&mut self) {
        for device in &mut self.devices {
            // Nobody is there any more.
            device.remote = SocketAddr::from(([192, 0, 2, 1], 1));
        }
        self.pass(Duration::from_secs(2 * 3600));
        assert_eq!(self.worker.population(), (0, 0), "peers and half-open exchanges end by themselves");
        assert_eq!(self.worker.poll_timeout(), None, "nobody is left to wait for");
        assert_eq!(self.gatehouse.sessions().count(), 0, "sessions end with their links");
        for hub in self.gatehouse.hubs() {
            assert_eq!(hub.port_count(), 1, "the uplink's port alone stays open");
        }
    }
}

/// A way that a stranger's datagram takes.
fn stranger(choice: u8) -> Path {
    let (encap, port) = match choice & 3 {
        0 => (Encap::Ike, 500),
        1 => (Encap::NatT, 4500),
        2 => (Encap::Esp, 0),
        _ => (Encap::L2tp, 1701),
    };
    let ip = IpAddr::from([198, 51, 100, 20 + (choice >> 2 & 3)]);
    let remote = SocketAddr::new(ip, if encap == Encap::Esp { 0 } else { 1000 + u16::from(choice >> 4) });
    Path { encap, local: SocketAddr::from(([203, 0, 113, 1], port)), remote }
}
