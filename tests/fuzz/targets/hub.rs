//! A hub with two clients' cards, an uplink and a bridge: frames from everywhere, and the owner at work.

use super::steps::{number, origin, steps};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::hub::lease;
use sekisho::hub::{
    Forward, Hub, HubId, Ingress, Kind, Notices, Output, Policy, PortId, Settings, UplinkPermit,
};
use sekisho::identity::account::{Account, Authenticated, Credential, Proof, verify};
use sekisho::packet::{PacketBuf, WorkerId};
use sekisho::vnic::{Address, Inner, Vnic};
use sekisho::wire::ether::{EtherType, Frame, Mac};
use sekisho::wire::inet::{Ipv4, Network};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WORKER: WorkerId = WorkerId(0);
const STATIONS: usize = 8;
const GATEWAY_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// What a step can be. The numbers are those of the corpus: new ones go to the end.
pub(crate) mod op {
    /// A frame from a port: 0 and 1 are the clients, 2 the uplink, 3 the bridge.
    pub(crate) const FRAME: u8 = 0;
    /// An IP packet from a client's link.
    pub(crate) const PACKET: u8 = 1;
    /// A frame for a client's card, past the hub.
    pub(crate) const CARD: u8 = 2;
    /// Time goes by: seconds.
    pub(crate) const TIME: u8 = 3;
    /// A client goes, or comes back.
    pub(crate) const CLIENT: u8 = 4;
    /// Other rules for a port.
    pub(crate) const POLICY: u8 = 5;
    /// Another MTU for a client's card.
    pub(crate) const MTU: u8 = 6;
    /// Like a frame from a port, but with the port's own addresses before it: EtherType and payload.
    pub(crate) const OWN_FRAME: u8 = 7;
}

struct Port {
    id: PortId,
    ingress: Option<Ingress>,
    card: Option<Vnic>,
}

struct World {
    now: Instant,
    hub: Hub,
    ports: Vec<Port>,
    network: Network,
    notices: Notices,
}

/// A sequence of steps.
pub(super) fn hub(bytes: &[u8]) {
    let network: Network = "10.60.0.0/24".parse().expect("a network");
    let settings = Settings {
        max_stations: STATIONS,
        max_hosts: STATIONS,
        ..Settings::new(lease::Settings::of_network(network))
    };
    let hub = Hub::new(origin(), HubId(1), "HUB1", settings, Entropy::from_number(1));
    let port = |n| Port { id: PortId::new(WORKER, n), ingress: None, card: None };
    let ports = (0..4).map(port).collect();
    let mut world = World { now: origin(), hub, ports, network, notices: Notices::default() };
    world.join(0);
    world.join(1);
    let permit = UplinkPermit::uplink_by_configuration(Vec::new());
    world.ports[2].ingress = world.hub.open_uplink(world.now, world.ports[2].id, permit).ok();
    let permit = UplinkPermit::bridge_by_configuration();
    world.ports[3].ingress = world.hub.open_uplink(world.now, world.ports[3].id, permit).ok();
    for (op, argument) in steps(bytes) {
        world.step(op, argument);
    }
    world.pass(Duration::from_secs(3600));
    assert!(world.hub.poll_timeout().is_none(), "what was learned is forgotten");
    assert!(
        world.ports.iter().filter_map(|port| port.card.as_ref()).all(|card| card.poll_timeout().is_none())
    );
}

fn who(user: &str) -> Authenticated {
    let credential = Credential::Password(Secret::from("pw"));
    let account = Account { user, hub: "HUB1", credential: &credential };
    verify(Some(account), &Proof::Pap { password: Secret::from("pw") }).expect("the password").who
}

impl World {
    fn join(&mut self, n: usize) {
        let id = self.ports[n].id;
        let opened = self.hub.open_client(self.now, id, &who(&format!("user{n}")), "phone", None);
        let mut ingress = opened.expect("a port for a client");
        let address = self.hub.assign(self.now, id, None, None).expect("an address");
        ingress.set_address(Some(address));
        let gateway = Some((self.network.address.to_bits() + 1).into());
        let card = Vnic::new(ingress.mac(), Address { address, network: self.network, gateway });
        self.ports[n].card = Some(card);
        self.ports[n].ingress = Some(ingress);
    }

    fn step(&mut self, op: u8, argument: &[u8]) {
        let (first, rest) = argument.split_first().map_or((0, argument), |(first, rest)| (*first, rest));
        let port = usize::from(first) % self.ports.len();
        let client = usize::from(first) % 2;
        match op % 8 {
            op::FRAME => self.forward(port, PacketBuf::from_slice(rest)),
            op::OWN_FRAME => {
                let own = self.ports[port].card.as_ref().map_or(GATEWAY_MAC, Vnic::mac);
                let other = self.ports[(port + 1) % 2].card.as_ref().map_or(Mac::BROADCAST, Vnic::mac);
                let to = if first & 0x80 == 0 { other } else { Mac::BROADCAST };
                let mut frame = PacketBuf::from_slice(rest);
                frame.put_front(&[to.0, own.0].concat());
                self.forward(port, frame);
            }
            op::PACKET => self.send_from(client, rest),
            op::CARD => self.receive_at(client, PacketBuf::from_slice(rest)),
            op::TIME => self.pass(Duration::from_secs(number(argument) as u64)),
            op::CLIENT => {
                if self.ports[client].ingress.take().is_some() {
                    self.hub.close(self.now, self.ports[client].id);
                    self.ports[client].card = None;
                } else {
                    self.join(client);
                }
            }
            op::POLICY => {
                let bit = |n: u8| rest.first().is_some_and(|bits| bits >> n & 1 == 1);
                let policy = Policy {
                    check_mac: bit(0),
                    check_ip: bit(1),
                    isolated: bit(2),
                    guard_dhcp: bit(3),
                    guard_ra: bit(4),
                    guard_arp: bit(5),
                    max_macs: 4,
                    ..Policy::trunk()
                };
                let in_force = self.hub.set_policy(self.ports[port].id, policy);
                if let Some((ingress, policy)) = self.ports[port].ingress.as_mut().zip(in_force) {
                    ingress.set_policy(policy);
                }
            }
            _ => {
                if let Some(card) = &mut self.ports[client].card {
                    card.set_mtu(number(rest) as u16);
                }
            }
        }
        assert!(
            self.hub.view().look(self.now).stations(0, 1000).0.len() <= STATIONS + 2,
            "stations are bounded"
        );
    }

    fn send_from(&mut self, client: usize, packet: &[u8]) {
        let (now, view) = (self.now, self.hub.view().clone());
        let Some(card) = &mut self.ports[client].card else { return };
        // The link's own address, or nothing would ever pass.
        let mut packet = packet.to_vec();
        if let Some(source) = packet.get_mut(12..16) {
            source.copy_from_slice(&card.ipv4().address.octets());
        }
        let mut frames = Vec::new();
        let _ = card.send_ip(now, &view, PacketBuf::from_slice(&packet), &mut |frame| frames.push(frame));
        frames.into_iter().for_each(|frame| self.forward(client, frame));
    }

    fn receive_at(&mut self, client: usize, frame: PacketBuf) {
        for frame in self.card(client, frame) {
            self.forward(client, frame);
        }
    }

    /// A card takes a frame; returns what it sends.
    fn card(&mut self, client: usize, frame: PacketBuf) -> Vec<PacketBuf> {
        let Some(card) = &mut self.ports[client].card else { return Vec::new() };
        let mut frames = Vec::new();
        let mtu = usize::from(card.mtu());
        if let Ok(inner) = card.recv_frame(self.now, frame, &mut |frame| frames.push(frame)) {
            let check = |packet: &PacketBuf| {
                assert!(packet.len() <= mtu, "{} bytes on a link of {mtu}", packet.len());
                assert!(Ipv4::parse(packet).is_ok());
            };
            match inner {
                Inner::Nothing => {}
                Inner::Packet(packet) => check(&packet),
                Inner::Fragments(packets) => packets.for_each(|packet| check(&packet)),
            }
        }
        frames
    }

    /// Switches a frame and everything that is said because of it.
    fn forward(&mut self, from: usize, frame: PacketBuf) {
        let mut queue = VecDeque::from([(from, frame)]);
        let mut switched = 0;
        while let Some((from, frame)) = queue.pop_front() {
            switched += 1;
            assert!(switched < 1000, "cards never stop talking");
            let look = self.hub.view().look(self.now);
            let Some(ingress) = &mut self.ports[from].ingress else { continue };
            let decision = ingress.forward(&look, &frame, &mut self.notices);
            if !matches!(decision, Forward::Discard(_)) {
                check(ingress, &frame);
            }
            let receivers: Vec<PortId> = match decision {
                Forward::Discard(_) => Vec::new(),
                Forward::To(port) => vec![port],
                Forward::Flood(scope) => look.flood(scope, ingress.id(), WORKER).collect(),
            };
            assert!(!receivers.contains(&ingress.id()), "a frame goes back to its port");
            for receiver in receivers {
                let Some(n) = self.ports.iter().position(|port| port.id == receiver) else { continue };
                assert!(self.ports[n].ingress.is_some(), "a frame for a port that is closed");
                queue.extend(self.card(n, frame.clone()).into_iter().map(|frame| (n, frame)));
            }
        }
        let mut out = Output::default();
        for notice in self.notices.drain().collect::<Vec<_>>() {
            self.hub.handle_notice(self.now, notice, &mut out);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut fired = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.hub.handle_timeout(self.now, &mut Output::default());
            for n in 0..2 {
                let mut frames = Vec::new();
                if let Some(card) = &mut self.ports[n].card {
                    card.handle_timeout(self.now, &mut |frame| frames.push(frame));
                }
                frames.into_iter().for_each(|frame| self.forward(n, frame));
            }
            fired += 1;
            assert!(fired < 10_000, "timers without end");
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let cards = self.ports.iter().filter_map(|port| port.card.as_ref()?.poll_timeout());
        cards.chain(self.hub.poll_timeout()).min()
    }
}

/// What a client may send, whatever it tried.
fn check(ingress: &Ingress, bytes: &[u8]) {
    let frame = Frame::parse(bytes).expect("only frames are forwarded");
    assert!(frame.source.is_unicast());
    if ingress.kind() != Kind::Client {
        return;
    }
    assert_eq!(frame.source, ingress.mac());
    if frame.ethertype == EtherType::IPV4 {
        assert_eq!(Ipv4::parse(frame.payload).ok().map(|ip| ip.source), ingress.address());
    }
}
