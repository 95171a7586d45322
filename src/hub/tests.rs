use super::*;
use crate::crypto::Secret;
use crate::identity::account::{Account, Credential, Proof, verify};
use crate::packet::{Drop, PacketBuf, WorkerId};
use crate::wire::ether::{Arp, EtherType, header};
use crate::wire::inet::{Network, udp_packet};
use proptest::prelude::*;
use std::collections::BTreeSet;

pub(super) const W0: WorkerId = WorkerId(0);
pub(super) const W1: WorkerId = WorkerId(1);
pub(super) const UPLINK: PortId = PortId::new(W0, 900);
pub(super) const BRIDGE: PortId = PortId::new(W1, 901);
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
pub(super) const GATEWAY_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 1]);
pub(super) const LAN_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x77]);
pub(super) const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

pub(super) fn who(user: &str, hub: &str) -> Authenticated {
    let credential = Credential::Password(Secret::new(b"pw".to_vec()));
    let account = Account { user, hub, credential: &credential };
    verify(Some(account), &Proof::Pap { password: Secret::new(b"pw".to_vec()) }).unwrap().who
}

pub(super) fn settings() -> Settings {
    Settings::new(lease::Settings::of_network("10.60.0.0/16".parse::<Network>().unwrap()))
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) hub: Hub,
    pub(super) out: Output,
    pub(super) notices: Notices,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let now = start();
        let hub = Hub::new(now, HubId(1), "HUB1", settings, Entropy::from_number(1));
        Self { now, hub, out: Output::default(), notices: Notices::default() }
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        while self.hub.poll_timeout().is_some_and(|at| at <= self.now) {
            self.hub.handle_timeout(self.now, &mut self.out);
        }
    }

    pub(super) fn client(&mut self, worker: WorkerId, slot: u32, user: &str) -> Ingress {
        self.client_with(worker, slot, user, None)
    }

    pub(super) fn client_with(
        &mut self,
        worker: WorkerId,
        slot: u32,
        user: &str,
        rules: Option<Policy>,
    ) -> Ingress {
        let id = PortId::new(worker, slot);
        let mut port = self.hub.open_client(self.now, id, &who(user, "hub1"), "phone", rules).unwrap();
        port.set_address(Some(self.hub.assign(self.now, id, None, None).unwrap()));
        port
    }

    pub(super) fn uplink(&mut self) -> Ingress {
        let known = KnownStation { mac: GATEWAY_MAC, addresses: vec![GATEWAY] };
        self.hub.open_uplink(self.now, UPLINK, UplinkPermit::uplink_by_configuration(vec![known])).unwrap()
    }

    pub(super) fn bridge(&mut self) -> Ingress {
        self.hub.open_uplink(self.now, BRIDGE, UplinkPermit::bridge_by_configuration()).unwrap()
    }

    pub(super) fn send(&mut self, from: &mut Ingress, frame: &[u8]) -> Forward {
        let look = self.hub.view().look(self.now);
        from.forward(&look, frame, &mut self.notices)
    }

    pub(super) fn send_ip(&mut self, from: &mut Ingress, to: Mac, destination: Ipv4Addr) -> Forward {
        let bytes = ip(to, from, destination);
        self.send(from, &bytes)
    }

    /// Sends a frame and lets the owner hear what was noticed.
    pub(super) fn send_and_learn(&mut self, from: &mut Ingress, frame: &[u8]) -> Forward {
        let forward = self.send(from, frame);
        for notice in self.notices.drain() {
            self.hub.handle_notice(self.now, notice, &mut self.out);
        }
        forward
    }

    fn hears(&self, scope: Scope, from: PortId) -> Vec<PortId> {
        let look = self.hub.view().look(self.now);
        look.flood_workers(scope)
            .flat_map(|worker| look.flood(scope, from, worker).collect::<Vec<_>>())
            .collect()
    }
}

pub(super) fn frame(to: Mac, from: Mac, ethertype: EtherType, payload: &[u8]) -> PacketBuf {
    let mut buf = PacketBuf::from_slice(payload);
    buf.put_front(&header(to, from, ethertype));
    buf
}

fn ip(to: Mac, from: &Ingress, destination: Ipv4Addr) -> PacketBuf {
    let packet = udp_packet((from.address().unwrap(), 5000), (destination, 5001), b"hello");
    frame(to, from.mac(), EtherType::IPV4, &packet)
}

fn lan_ip(to: Mac, from: Mac, destination: Ipv4Addr) -> PacketBuf {
    frame(to, from, EtherType::IPV4, &udp_packet((BEYOND, 5000), (destination, 5001), b"hello"))
}

#[test]
fn clients_reach_each_other_and_the_gateway() {
    let mut w = World::new(settings());
    let mut uplink = w.uplink();
    let (mut a, b) = (w.client(W0, 1, "jiro"), w.client(W1, 1, "yas"));
    assert_eq!(w.send_ip(&mut a, b.mac(), b.address().unwrap()), Forward::To(b.id()));
    assert_eq!(w.send_ip(&mut a, GATEWAY_MAC, BEYOND), Forward::To(UPLINK));
    assert_eq!(w.send(&mut uplink, &lan_ip(a.mac(), GATEWAY_MAC, a.address().unwrap())), Forward::To(a.id()));
    let look = w.hub.view().look(w.now);
    assert_eq!(look.mac_of(GATEWAY), Some(GATEWAY_MAC));
    assert_eq!(look.mac_of(b.address().unwrap()), Some(b.mac()));
    assert!(w.notices.is_empty());
}

#[test]
fn a_closed_port_is_gone_at_once() {
    let mut w = World::new(settings());
    let (mut a, mut b) = (w.client(W0, 1, "jiro"), w.client(W0, 2, "yas"));
    let to_b = ip(b.mac(), &a, b.address().unwrap());
    w.hub.close(w.now, b.id());
    assert_eq!(w.send_ip(&mut b, a.mac(), a.address().unwrap()), Forward::Discard(Drop::NoPort));
    assert_eq!(w.send(&mut a, &to_b), Forward::Discard(Drop::NoPort));
    assert_eq!(w.hub.view().mac_of(b.address().unwrap()), None);
    assert!(w.hears(Scope::All, a.id()).is_empty());
    // The same user and device come back to the same MAC and address, whatever the port.
    let again = w.client(W1, 7, "YAS");
    assert_eq!((again.mac(), again.address()), (b.mac(), b.address()));
}

#[test]
fn a_port_needs_a_token_of_its_hub() {
    let mut w = World::new(settings());
    let open =
        |w: &mut World, id, hub| w.hub.open_client(w.now, id, &who("jiro", hub), "phone", None).map(|_| ());
    assert_eq!(open(&mut w, PortId::new(W0, 1), "GUESTS"), Err(OpenError::WrongHub("GUESTS".into())));
    assert_eq!(open(&mut w, PortId::SERVICE, "HUB1"), Err(OpenError::PortTaken(PortId::SERVICE)));
    assert_eq!(open(&mut w, PortId::new(W0, 1), "HUB1"), Ok(()));
    assert_eq!(open(&mut w, PortId::new(W0, 1), "HUB1"), Err(OpenError::PortTaken(PortId::new(W0, 1))));
    w.hub.set_online(false);
    assert_eq!(open(&mut w, PortId::new(W0, 2), "HUB1"), Err(OpenError::Offline));
    w.hub.set_online(true);
    w.hub.apply(Settings { max_ports: 1, ..settings() });
    assert_eq!(open(&mut w, PortId::new(W0, 2), "HUB1"), Err(OpenError::HubFull(1)));
    // Another hub's view is no way in.
    let other = Hub::new(w.now, HubId(2), "HUB2", settings(), Entropy::from_number(2));
    w.hub.apply(settings());
    let mut a = w.client(W0, 3, "jiro");
    let out = ip(Mac::BROADCAST, &a, Ipv4Addr::BROADCAST);
    assert_eq!(a.forward(&other.view().look(w.now), &out, &mut w.notices), Forward::Discard(Drop::NoPort));
}

#[test]
fn one_device_twice_gets_two_addresses() {
    let mut w = World::new(settings());
    let (a, b) = (w.client(W0, 1, "jiro"), w.client(W0, 2, "jiro"));
    assert_ne!(a.mac(), b.mac());
    assert_ne!(a.address(), b.address());
    // A hundred of them, too.
    let macs: BTreeSet<Mac> = (3..103).map(|slot| w.client(W0, slot, "jiro").mac()).collect();
    assert_eq!(macs.len(), 100);
}

#[test]
fn client_mode_is_enforced() {
    let mut w = World::new(settings());
    let _uplink = w.uplink();
    let mut a =
        w.client_with(W0, 1, "jiro", Some(Policy { check_mac: false, check_ip: false, ..Policy::client() }));
    let address = a.address().unwrap();
    let mine = a.mac();
    let packet = udp_packet((address, 1), (BEYOND, 2), b"");
    let foreign = udp_packet((BEYOND, 1), (GATEWAY, 2), b"");
    let dhcp = udp_packet((address, 67), (GATEWAY, 68), b"");
    let mut tagged = frame(GATEWAY_MAC, mine, EtherType::VLAN, &[0, 5, 8, 0]);
    tagged.put_back(&packet);
    let arp =
        |mac, sender| frame(Mac::BROADCAST, mine, EtherType::ARP, &Arp::request(mac, sender, GATEWAY).emit());
    let cases = [
        (frame(GATEWAY_MAC, LAN_MAC, EtherType::IPV4, &packet), Drop::SpoofedSource),
        (frame(GATEWAY_MAC, Mac::BROADCAST, EtherType::IPV4, &packet), Drop::SpoofedSource),
        (frame(GATEWAY_MAC, mine, EtherType::IPV4, &foreign), Drop::SpoofedSource),
        (frame(GATEWAY_MAC, mine, EtherType::IPV6, &[0x60; 60]), Drop::NotCarried),
        (frame(GATEWAY_MAC, mine, EtherType(0x0026), &[0x42, 0x42, 3]), Drop::NotCarried),
        (frame(Mac([0x01, 0x80, 0xC2, 0, 0, 0]), mine, EtherType::IPV4, &packet), Drop::NotCarried),
        (frame(GATEWAY_MAC, mine, EtherType::IPV4, &dhcp), Drop::RogueServer),
        (tagged, Drop::SpoofedSource),
        (arp(LAN_MAC, address), Drop::SpoofedSource),
        (arp(mine, GATEWAY), Drop::SpoofedSource),
    ];
    for (bytes, drop) in cases {
        assert_eq!(w.send(&mut a, &bytes), Forward::Discard(drop));
    }
    assert!(matches!(w.send(&mut a, &[0; 13]), Forward::Discard(Drop::Malformed(_))));
    a.set_address(None);
    let sent = frame(GATEWAY_MAC, mine, EtherType::IPV4, &packet);
    assert_eq!(w.send(&mut a, &sent), Forward::Discard(Drop::SpoofedSource));
}

#[test]
fn isolated_clients_see_uplinks_alone() {
    let mut w = World::new(settings());
    let _uplink = w.uplink();
    let isolated = Policy { isolated: true, ..Policy::client() };
    let (mut a, mut b) = (w.client(W0, 1, "jiro"), w.client_with(W1, 2, "guest", Some(isolated)));
    assert_eq!(w.send_ip(&mut b, a.mac(), a.address().unwrap()), Forward::Discard(Drop::Isolated));
    assert_eq!(w.send_ip(&mut a, b.mac(), b.address().unwrap()), Forward::Discard(Drop::Isolated));
    assert_eq!(w.send_ip(&mut b, GATEWAY_MAC, BEYOND), Forward::To(UPLINK));
    assert_eq!(w.send_ip(&mut b, Mac::BROADCAST, Ipv4Addr::BROADCAST), Forward::Flood(Scope::Trunks));
    assert_eq!(w.send_ip(&mut a, Mac::BROADCAST, Ipv4Addr::BROADCAST), Forward::Flood(Scope::Open));
    let ask = Arp::request(b.mac(), b.address().unwrap(), a.address().unwrap()).frame(Mac::BROADCAST);
    assert_eq!(w.send(&mut b, &ask), Forward::Discard(Drop::Isolated));
    assert_eq!(w.hears(Scope::Open, a.id()), [UPLINK]);
    assert_eq!(w.hears(Scope::All, UPLINK), [a.id(), b.id()]);
    // Rules may change while the port is open.
    let now = w.hub.set_policy(b.id(), Policy::client()).unwrap();
    b.set_policy(now);
    assert_eq!(w.send_ip(&mut b, a.mac(), a.address().unwrap()), Forward::To(a.id()));
    assert_eq!(w.hears(Scope::Open, a.id()), [UPLINK, b.id()]);
}

#[test]
fn arp_goes_where_the_answer_is() {
    let mut w = World::new(settings());
    let mut uplink = w.uplink();
    let (a, mut b) = (w.client(W0, 1, "jiro"), w.client(W1, 2, "yas"));
    let ask = |target| Arp::request(GATEWAY_MAC, GATEWAY, target).frame(Mac::BROADCAST);
    assert_eq!(w.send(&mut uplink, &ask(a.address().unwrap())), Forward::To(a.id()));
    // Nobody here has it: no client hears it.
    assert_eq!(w.send(&mut uplink, &ask(Ipv4Addr::new(10, 60, 9, 9))), Forward::Discard(Drop::NoPort));
    let _bridge = w.bridge();
    assert_eq!(w.send(&mut uplink, &ask(Ipv4Addr::new(10, 60, 9, 9))), Forward::Flood(Scope::Trunks));
    let hello = Arp::announcement(b.mac(), b.address().unwrap()).frame(Mac::BROADCAST);
    assert_eq!(w.send(&mut b, &hello), Forward::Flood(Scope::Trunks));
    assert_eq!(w.hears(Scope::Trunks, b.id()), [UPLINK, BRIDGE]);
}

#[test]
fn stations_are_learned_move_and_age() {
    let mut w = World::new(settings());
    let (mut uplink, mut bridge) = (w.uplink(), w.bridge());
    let mut a = w.client(W0, 1, "jiro");
    let to_lan = ip(LAN_MAC, &a, BEYOND);
    assert_eq!(w.send(&mut a, &to_lan), Forward::Flood(Scope::Trunks));
    let from_lan = lan_ip(a.mac(), LAN_MAC, a.address().unwrap());
    assert_eq!(w.send_and_learn(&mut bridge, &from_lan), Forward::To(a.id()));
    assert_eq!(w.send(&mut a, &to_lan), Forward::To(BRIDGE));
    assert_eq!(w.hub.port(BRIDGE).unwrap().stations, 1);
    // It stays as long as it is heard: frames every 300 s, seen by the worker alone.
    for _ in 0..6 {
        w.pass(300);
        assert_eq!(w.send_and_learn(&mut bridge, &from_lan), Forward::To(a.id()));
        assert!(w.notices.is_empty());
    }
    assert_eq!(w.send(&mut a, &to_lan), Forward::To(BRIDGE));
    // It moves.
    assert_eq!(w.send_and_learn(&mut uplink, &from_lan), Forward::To(a.id()));
    assert_eq!(w.out.events, [Event::StationMoved { mac: LAN_MAC, from: BRIDGE, to: UPLINK }]);
    assert_eq!(w.send(&mut a, &to_lan), Forward::To(UPLINK));
    assert_eq!(w.hub.port(BRIDGE).unwrap().stations, 0);
    // It goes.
    w.pass(592);
    assert_eq!(w.send(&mut a, &to_lan), Forward::To(UPLINK));
    w.pass(24);
    assert_eq!(w.send(&mut a, &to_lan), Forward::Flood(Scope::Trunks));
    assert_eq!((w.hub.port(UPLINK).unwrap().stations, w.hub.poll_timeout()), (0, None));
    // A frame between stations of one segment goes nowhere.
    let other = Mac([0x02, 0, 0, 0, 0, 0x78]);
    for (to, from) in [(LAN_MAC, other), (other, LAN_MAC)] {
        let _ = w.send_and_learn(&mut bridge, &lan_ip(to, from, BEYOND));
    }
    assert_eq!(w.send(&mut bridge, &lan_ip(LAN_MAC, other, BEYOND)), Forward::Discard(Drop::NoPort));
    // A closed trunk takes its stations with it.
    w.hub.close(w.now, BRIDGE);
    assert_eq!(w.send(&mut a, &to_lan), Forward::Flood(Scope::Trunks));
    assert_eq!(w.hub.poll_timeout(), None);
}

#[test]
fn vlans_are_apart() {
    let mut w = World::new(settings());
    let (mut uplink, mut bridge) = (w.uplink(), w.bridge());
    let tag = |to, from, id: u8| frame(to, from, EtherType::VLAN, &[0, id, 0x86, 0xDD, 0x60]);
    let other = Mac([0x02, 0, 0, 0, 0, 0x78]);
    let _ = w.send_and_learn(&mut bridge, &tag(Mac::BROADCAST, LAN_MAC, 5));
    assert_eq!(w.send_and_learn(&mut uplink, &tag(LAN_MAC, other, 5)), Forward::To(BRIDGE));
    assert_eq!(w.send_and_learn(&mut uplink, &tag(LAN_MAC, other, 6)), Forward::Flood(Scope::Trunks));
    let (stations, _) = w.hub.view().look(w.now).stations(0, 100);
    assert!(stations.iter().any(|station| station.mac == LAN_MAC && station.vlan == 5 && station.learned));
}

#[test]
fn a_flapping_station_is_held_and_named_once() {
    let mut w = World::new(settings());
    let (mut uplink, mut bridge) = (w.uplink(), w.bridge());
    let hello = lan_ip(Mac::BROADCAST, LAN_MAC, Ipv4Addr::BROADCAST);
    for _ in 0..50 {
        let _ = w.send_and_learn(&mut uplink, &hello);
        let _ = w.send_and_learn(&mut bridge, &hello);
    }
    let flaps: Vec<_> =
        w.out.events.iter().filter(|event| matches!(event, Event::StationFlaps { .. })).collect();
    assert_eq!(flaps, [&Event::StationFlaps { mac: LAN_MAC, stays: BRIDGE, also: UPLINK }]);
    assert_eq!(w.out.events.len(), 6);
    assert_eq!(w.hub.view().look(w.now).port_of(LAN_MAC), Some(BRIDGE));
    // After a minute it may move again.
    w.pass(80);
    let _ = w.send_and_learn(&mut uplink, &hello);
    assert_eq!(w.hub.view().look(w.now).port_of(LAN_MAC), Some(UPLINK));
}

#[test]
fn nobody_takes_over_a_client_or_the_gateway() {
    let mut w = World::new(settings());
    let mut bridge = w.bridge();
    let _uplink = w.uplink();
    let a = w.client(W0, 1, "jiro");
    let spoof = lan_ip(Mac::BROADCAST, a.mac(), Ipv4Addr::BROADCAST);
    assert_eq!(w.send_and_learn(&mut bridge, &spoof), Forward::Discard(Drop::SpoofedSource));
    let claim = |address| Arp::announcement(LAN_MAC, address).frame(Mac::BROADCAST);
    for address in [a.address().unwrap(), GATEWAY] {
        assert_eq!(w.send_and_learn(&mut bridge, &claim(address)), Forward::Discard(Drop::SpoofedSource));
    }
    // Named once, until the clock moves on.
    assert_eq!(w.out.events, [Event::AddressConflict { port: BRIDGE, mac: a.mac(), address: None }]);
    w.pass(8);
    let _ = w.send_and_learn(&mut bridge, &claim(GATEWAY));
    assert_eq!(
        w.out.events[1],
        Event::AddressConflict { port: BRIDGE, mac: LAN_MAC, address: Some(GATEWAY) }
    );
    let look = w.hub.view().look(w.now);
    assert_eq!((look.port_of(a.mac()), look.mac_of(GATEWAY)), (Some(a.id()), Some(GATEWAY_MAC)));
    // Even a forged notice changes nothing.
    let notice = Notice::Station { port: BRIDGE, mac: a.mac(), vlan: 0 };
    w.hub.handle_notice(w.now, notice, &mut w.out);
    let notice = Notice::Station { port: a.id(), mac: LAN_MAC, vlan: 0 };
    w.hub.handle_notice(w.now, notice, &mut w.out);
    let look = w.hub.view().look(w.now);
    assert_eq!((look.port_of(a.mac()), look.port_of(LAN_MAC)), (Some(a.id()), Some(BRIDGE)));
}

#[test]
fn addresses_are_snooped_and_age() {
    let mut w = World::new(settings());
    let mut bridge = w.bridge();
    let nas = Ipv4Addr::new(10, 60, 0, 200);
    let hello = Arp::announcement(LAN_MAC, nas).frame(Mac::BROADCAST);
    let _ = w.send_and_learn(&mut bridge, &hello);
    assert_eq!(w.hub.view().mac_of(nas), Some(LAN_MAC));
    // A new network card is followed; a probe claims nothing.
    let other = Mac([0x02, 0, 0, 0, 0, 0x78]);
    let _ = w.send_and_learn(&mut bridge, &Arp::announcement(other, nas).frame(Mac::BROADCAST));
    assert_eq!(w.hub.view().mac_of(nas), Some(other));
    let probe = Arp::request(LAN_MAC, Ipv4Addr::UNSPECIFIED, nas).frame(Mac::BROADCAST);
    let _ = w.send_and_learn(&mut bridge, &probe);
    assert_eq!(w.hub.view().mac_of(nas), Some(other));
    w.pass(580);
    assert_eq!(w.hub.view().mac_of(nas), Some(other));
    w.pass(40);
    assert_eq!(w.hub.view().mac_of(nas), None);
}

/// RFC 2131's acknowledgement, as a server of the LAN sends it.
fn acknowledgement(address: Ipv4Addr, station: Mac, kind: u8) -> Vec<u8> {
    let mut message = vec![2, 1, 6, 0];
    message.resize(16, 0);
    message.extend(address.octets());
    message.resize(28, 0);
    message.extend(station.0);
    message.resize(236, 0);
    message.extend([99, 130, 83, 99, 0, 54, 4, 10, 60, 0, 2, 53, 1, kind, 255]);
    message
}

#[test]
fn addresses_that_a_lans_dhcp_server_gives_are_snooped() {
    let mut w = World::new(settings());
    let (mut bridge, _uplink) = (w.bridge(), w.uplink());
    let a = w.client(W0, 1, "jiro");
    let (server, nas) = (Mac([0x02, 0, 0, 0, 0, 0x53]), Ipv4Addr::new(10, 60, 0, 200));
    let says = |address, station, kind| {
        let message = acknowledgement(address, station, kind);
        let packet = udp_packet((Ipv4Addr::new(10, 60, 0, 2), 67), (Ipv4Addr::BROADCAST, 68), &message);
        frame(Mac::BROADCAST, server, EtherType::IPV4, &packet)
    };
    let _ = w.send_and_learn(&mut bridge, &lan_ip(Mac::BROADCAST, LAN_MAC, Ipv4Addr::BROADCAST));
    let _ = w.send_and_learn(&mut bridge, &says(nas, LAN_MAC, 2));
    assert_eq!(w.hub.view().mac_of(nas), None, "an offer gives nothing yet");
    let _ = w.send_and_learn(&mut bridge, &says(nas, LAN_MAC, 5));
    assert_eq!(w.hub.view().mac_of(nas), Some(LAN_MAC));
    assert!(w.send(&mut bridge, &says(nas, LAN_MAC, 5)) != Forward::Discard(Drop::SpoofedSource));
    assert!(w.notices.is_empty(), "it is known");
    // Not a station that nobody has seen, and nothing of a client's or the gateway's.
    let _ = w.send_and_learn(&mut bridge, &says(Ipv4Addr::new(10, 60, 0, 201), Mac([2, 0, 0, 0, 0, 9]), 5));
    assert_eq!(w.hub.view().mac_of(Ipv4Addr::new(10, 60, 0, 201)), None);
    let _ = w.send_and_learn(&mut bridge, &says(Ipv4Addr::new(10, 60, 0, 202), a.mac(), 5));
    assert_eq!(w.hub.view().mac_of(Ipv4Addr::new(10, 60, 0, 202)), None);
    for address in [a.address().unwrap(), GATEWAY] {
        let _ = w.send_and_learn(&mut bridge, &says(address, LAN_MAC, 5));
        assert_ne!(w.hub.view().mac_of(address), Some(LAN_MAC));
    }
}

#[test]
fn ports_and_hubs_have_limits() {
    let mut w = World::new(Settings { max_stations: 8, ..settings() });
    let permit =
        UplinkPermit::bridge_by_configuration().with_policy(Policy { max_macs: 5, ..Policy::trunk() });
    let mut bridge = w.hub.open_uplink(w.now, BRIDGE, permit).unwrap();
    let mut uplink = w.uplink();
    let hello = |n: u8| lan_ip(Mac::BROADCAST, Mac([2, 0, 0, 0, 9, n]), Ipv4Addr::BROADCAST);
    for n in 0..20 {
        let forward = w.send_and_learn(&mut bridge, &hello(n));
        assert_eq!(forward == Forward::Discard(Drop::MacLimit), n >= 5, "{n}");
    }
    assert_eq!(w.out.events, [Event::PortFull(BRIDGE)]);
    for n in 20..40 {
        let forward = w.send_and_learn(&mut uplink, &hello(n));
        assert_eq!(forward == Forward::Discard(Drop::MacLimit), n >= 23, "{n}");
    }
    // What is known is still heard; what is deleted makes room.
    assert_eq!(w.send_and_learn(&mut bridge, &hello(4)), Forward::Flood(Scope::All));
    w.hub.delete_station(Mac([2, 0, 0, 0, 9, 4]), 0).unwrap();
    assert_eq!(w.send_and_learn(&mut bridge, &hello(7)), Forward::Flood(Scope::All));
    assert_eq!(w.hub.port(BRIDGE).unwrap().stations, 5);
}

#[test]
fn storms_are_cut() {
    let mut w = World::new(settings());
    let mut uplink = w.uplink();
    let (mut a, b) = (w.client(W0, 1, "jiro"), w.client(W0, 2, "yas"));
    let storm = ip(Mac::BROADCAST, &a, Ipv4Addr::BROADCAST);
    let mut passed = 0;
    for _ in 0..10_000 {
        w.now += Duration::from_micros(100);
        passed += u32::from(w.send(&mut a, &storm) == Forward::Flood(Scope::Open));
    }
    assert!((149..=151).contains(&passed), "{passed} in a second: burst 100 and 50 more");
    assert_eq!(w.send(&mut a, &storm), Forward::Discard(Drop::Storm));
    // Unicast and other ports are not touched.
    assert_eq!(w.send_ip(&mut a, b.mac(), b.address().unwrap()), Forward::To(b.id()));
    assert_eq!(w.send(&mut uplink, &lan_ip(Mac::BROADCAST, GATEWAY_MAC, BEYOND)), Forward::Flood(Scope::All));
    w.pass(10);
    assert_eq!(w.send(&mut a, &storm), Forward::Flood(Scope::Open));
}

#[test]
fn the_rest_of_a_lans_traffic_is_no_storm() {
    let mut w = World::new(settings());
    let mut bridge = w.bridge();
    let _client = w.client(W0, 1, "jiro");
    for _ in 0..100_000 {
        let stray = lan_ip(Mac([2, 0, 0, 0, 8, 8]), LAN_MAC, BEYOND);
        assert_eq!(w.send(&mut bridge, &stray), Forward::Discard(Drop::NoPort));
    }
    assert_eq!(w.send(&mut bridge, &lan_ip(Mac::BROADCAST, LAN_MAC, BEYOND)), Forward::Flood(Scope::All));
}

#[test]
fn all_floods_of_a_hub_share_a_budget_of_copies() {
    let mut w = World::new(Settings { flood_copies_per_second: 1000, ..settings() });
    let mut ports: Vec<Ingress> = (0..50).map(|n| w.client(W0, n, &format!("user{n}"))).collect();
    let mut copies = 0;
    for _ in 0..100 {
        w.now += Duration::from_millis(10);
        for port in &mut ports {
            let hello = ip(Mac::BROADCAST, port, Ipv4Addr::BROADCAST);
            if let Forward::Flood(_) = w.send(port, &hello) {
                copies += 50;
            }
        }
    }
    assert!((1000..=1200).contains(&copies), "{copies}");
}

#[test]
fn entries_can_be_set_and_deleted() {
    let mut w = World::new(settings());
    let mut uplink = w.uplink();
    let mut bridge = w.bridge();
    let a = w.client(W0, 1, "jiro");
    let nas = Ipv4Addr::new(10, 60, 0, 200);
    w.hub.set_station(BRIDGE, LAN_MAC, vec![nas]).unwrap();
    let hello = lan_ip(Mac::BROADCAST, LAN_MAC, Ipv4Addr::BROADCAST);
    assert_eq!(w.send_and_learn(&mut uplink, &hello), Forward::Discard(Drop::SpoofedSource));
    assert_eq!(w.send_and_learn(&mut bridge, &hello), Forward::Flood(Scope::All));
    w.pass(10_000);
    assert_eq!(w.hub.view().mac_of(nas), Some(LAN_MAC));
    w.hub.delete_station(LAN_MAC, 0).unwrap();
    assert_eq!(w.hub.view().mac_of(nas), None);
    assert_eq!(w.hub.delete_station(LAN_MAC, 0), Err(EntryError::Unknown));
    assert_eq!(w.hub.delete_station(a.mac(), 0), Err(EntryError::OfClient));
    assert_eq!(w.hub.delete_host(a.address().unwrap()), Err(EntryError::OfClient));
    assert_eq!(w.hub.set_station(BRIDGE, a.mac(), vec![]), Err(EntryError::OfClient));
    assert_eq!(w.hub.set_station(BRIDGE, LAN_MAC, vec![a.address().unwrap()]), Err(EntryError::OfClient));
    assert_eq!(w.hub.set_station(a.id(), LAN_MAC, vec![]), Err(EntryError::NoPort));
    assert_eq!(w.send_and_learn(&mut uplink, &hello), Forward::Flood(Scope::All));
    w.hub.close(w.now, UPLINK);
    assert_eq!(w.hub.view().mac_of(GATEWAY), None);
}

#[test]
fn monitors_send_nothing_and_are_no_part_of_floods() {
    let mut w = World::new(settings());
    let id = PortId::new(W0, 77);
    let mut monitor = w.hub.open_uplink(w.now, id, UplinkPermit::monitor_by_administrator()).unwrap();
    let a = w.client(W0, 1, "jiro");
    assert_eq!(w.hub.view().look(w.now).monitors(), [id]);
    assert_eq!(w.hears(Scope::All, PortId(0)), [a.id()]);
    let frame = lan_ip(a.mac(), LAN_MAC, a.address().unwrap());
    assert_eq!(w.send(&mut monitor, &frame), Forward::Discard(Drop::Policy));
    w.hub.close(w.now, id);
    assert!(w.hub.view().look(w.now).monitors().is_empty());
}

#[test]
fn ipv6_addresses_of_stations_are_snooped_and_age() {
    let mut w = World::new(settings());
    let mut bridge = w.bridge();
    let address: std::net::Ipv6Addr = "fe80::7".parse().unwrap();
    let mut solicitation = vec![0x60, 0, 0, 0, 0, 24, 58, 255];
    solicitation.extend(address.octets());
    solicitation.extend([0xFF; 16]);
    solicitation.extend([135, 0, 0, 0, 0, 0, 0, 0]);
    solicitation.extend([0xFE; 16]);
    let asked = frame(Mac([0x33, 0x33, 0, 0, 0, 1]), LAN_MAC, EtherType::IPV6, &solicitation);
    let _ = w.send_and_learn(&mut bridge, &asked);
    let listed: Vec<Host6> = w.hub.hosts6(w.now, None).collect();
    assert_eq!(listed, [Host6 { address, mac: LAN_MAC, port: BRIDGE, idle: Duration::ZERO }]);
    // The same again is not told again.
    let _ = w.send(&mut bridge, &asked);
    assert!(w.notices.is_empty());
    assert_eq!(w.hub.hosts6(w.now, Some(address)).count(), 0);
    w.pass(620);
    assert_eq!(w.hub.hosts6(w.now, None).count(), 0);
    let _ = w.send_and_learn(&mut bridge, &asked);
    assert_eq!(
        (w.hub.delete_host6(address), w.hub.delete_host6(address)),
        (Ok(()), Err(EntryError::Unknown))
    );
    w.pass(80);
    let _ = w.send_and_learn(&mut bridge, &asked);
    w.hub.close(w.now, BRIDGE);
    assert_eq!(w.hub.hosts6(w.now, None).count(), 0);
}

#[test]
fn a_monitor_does_not_see_whom_it_may_not_watch() {
    let mut w = World::new(settings());
    let id = PortId::new(W0, 77);
    w.hub.open_uplink(w.now, id, UplinkPermit::monitor_by_administrator()).unwrap();
    let hidden = Policy { monitored: false, ..Policy::client() };
    let (a, b) = (w.client(W0, 1, "jiro"), w.client(W0, 2, "yas"));
    let c = w.client_with(W0, 3, "mika", Some(hidden));
    let seen = |w: &World, from: &Ingress, to: &Ingress| {
        let bytes = ip(to.mac(), from, to.address().unwrap());
        !w.hub.view().look(w.now).monitors_of(from, &bytes).is_empty()
    };
    assert!(seen(&w, &a, &b) && !seen(&w, &a, &c) && !seen(&w, &c, &a));
    assert_eq!(w.hub.monitors(Forward::To(b.id())), [id]);
    assert!(w.hub.monitors(Forward::To(c.id())).is_empty());
    // A reload lifts it for a port that is open.
    let mut c = c;
    c.set_policy(w.hub.set_policy(c.id(), Policy::client()).unwrap());
    assert!(seen(&w, &a, &c) && seen(&w, &c, &a));
}

#[test]
fn a_router_is_reached_by_its_address_and_hears_no_floods() {
    let mut w = World::new(settings());
    let mut bridge = w.bridge();
    let (id, mac, address) =
        (PortId::new(W0, 5), Mac([0x5A, 0, 0, 0, 0, 9]), Ipv4Addr::new(10, 60, 255, 254));
    let station = KnownStation { mac, addresses: vec![address] };
    let mut router =
        w.hub.open_uplink(w.now, id, UplinkPermit::router_by_configuration(station.clone())).unwrap();
    let mut a = w.client(W0, 1, "jiro");
    assert_eq!(w.send_ip(&mut a, mac, BEYOND), Forward::To(id));
    assert_eq!(w.hub.view().mac_of(address), Some(mac));
    let asked = Arp::request(LAN_MAC, BEYOND, address).frame(Mac::BROADCAST);
    assert_eq!(w.send_and_learn(&mut bridge, &asked), Forward::To(id), "ARP goes to it alone");
    assert_eq!(w.hears(Scope::All, a.id()), [BRIDGE]);
    // It sends packets of stations elsewhere, from its own station alone.
    assert_eq!(w.send(&mut router, &lan_ip(a.mac(), mac, a.address().unwrap())), Forward::To(a.id()));
    // Nobody takes its address.
    let claim = Arp::announcement(LAN_MAC, address).frame(Mac::BROADCAST);
    assert_eq!(w.send(&mut bridge, &claim), Forward::Discard(Drop::SpoofedSource));
    w.hub.close(w.now, id);
    assert_eq!(w.hub.view().mac_of(address), None);
    assert!(w.hub.open_uplink(w.now, id, UplinkPermit::router_by_configuration(station)).is_ok());
}

#[test]
fn router_advertisements_can_be_kept_out() {
    let mut w = World::new(settings());
    let guard = Policy { guard_ra: true, guard_dhcp: true, ..Policy::trunk() };
    let permit = UplinkPermit::bridge_by_configuration().with_policy(guard);
    let mut bridge = w.hub.open_uplink(w.now, BRIDGE, permit).unwrap();
    let _uplink = w.uplink();
    let packet = |next: u8, rest: &[u8]| {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 0, next, 255];
        bytes.extend([0; 32]);
        bytes.extend(rest);
        frame(Mac::BROADCAST, LAN_MAC, EtherType::IPV6, &bytes)
    };
    let rogue = Forward::Discard(Drop::RogueServer);
    assert_eq!(w.send(&mut bridge, &packet(58, &[134, 0])), rogue);
    assert_eq!(w.send(&mut bridge, &packet(60, &[58, 0, 0, 0, 0, 0, 0, 0, 134, 0])), rogue);
    assert_eq!(w.send(&mut bridge, &packet(44, &[58, 0, 0, 0, 0, 0, 0, 0, 134, 0])), rogue);
    assert_eq!(w.send(&mut bridge, &packet(17, &[2, 35, 2, 34])), rogue);
    // Neighbour discovery passes, but links do not carry it.
    assert_eq!(w.send(&mut bridge, &packet(58, &[135, 0])), Forward::Flood(Scope::Trunks));
    // A client that listens on a raw socket does not look whence an offer comes.
    assert_eq!(w.send(&mut bridge, &packet(17, &[0, 99, 2, 34])), rogue);
    for port in [67, 1067] {
        let dhcp = udp_packet((BEYOND, port), (Ipv4Addr::BROADCAST, 68), b"");
        assert_eq!(w.send(&mut bridge, &frame(Mac::BROADCAST, LAN_MAC, EtherType::IPV4, &dhcp)), rogue);
    }
}

fn trunk_with(w: &mut World, policy: Policy) -> Ingress {
    let permit = UplinkPermit::bridge_by_configuration().with_policy(policy);
    w.hub.open_uplink(w.now, BRIDGE, permit).unwrap()
}

fn from_lan(mac: Mac, source: Ipv4Addr) -> PacketBuf {
    let packet = udp_packet((source, 5000), (GATEWAY, 5001), b"hello");
    frame(GATEWAY_MAC, mac, EtherType::IPV4, &packet)
}

#[test]
fn no_routing_keeps_a_lans_router_out() {
    let mut w = World::new(settings());
    let _uplink = w.uplink();
    let mut bridge = trunk_with(&mut w, Policy { no_routing: true, ..Policy::trunk() });
    let nas = Ipv4Addr::new(10, 60, 0, 200);
    let spoofed = Forward::Discard(Drop::SpoofedSource);
    // Nobody has said yet whose the address is.
    assert_eq!(w.send_and_learn(&mut bridge, &from_lan(LAN_MAC, nas)), spoofed);
    let _ = w.send_and_learn(&mut bridge, &Arp::announcement(LAN_MAC, nas).frame(Mac::BROADCAST));
    assert_eq!(w.send_and_learn(&mut bridge, &from_lan(LAN_MAC, nas)), Forward::To(UPLINK));
    assert_eq!(w.send_and_learn(&mut bridge, &from_lan(LAN_MAC, BEYOND)), spoofed);
    // A long transfer needs no ARP in between: what it sends keeps its address.
    for _ in 0..30 {
        w.pass(60);
        assert_eq!(w.send_and_learn(&mut bridge, &from_lan(LAN_MAC, nas)), Forward::To(UPLINK));
    }
    // Somebody who has no address yet may ask for one.
    let discover = udp_packet((Ipv4Addr::UNSPECIFIED, 68), (Ipv4Addr::BROADCAST, 67), b"");
    let discover = frame(Mac::BROADCAST, LAN_MAC, EtherType::IPV4, &discover);
    assert!(!matches!(w.send(&mut bridge, &discover), Forward::Discard(Drop::SpoofedSource)));
    // By default a router is welcome.
    let mut open = World::new(settings());
    let (_uplink, mut bridge) = (open.uplink(), open.bridge());
    assert_eq!(open.send_and_learn(&mut bridge, &from_lan(LAN_MAC, BEYOND)), Forward::To(UPLINK));
}

#[test]
fn max_ips_bounds_the_addresses_behind_a_port() {
    let mut w = World::new(settings());
    let _uplink = w.uplink();
    let mut bridge = trunk_with(&mut w, Policy { max_ips: 2, ..Policy::trunk() });
    let host = |last| Ipv4Addr::new(10, 60, 0, last);
    let claim = |last| Arp::announcement(LAN_MAC, host(last)).frame(Mac::BROADCAST);
    for last in [200, 201] {
        let _ = w.send_and_learn(&mut bridge, &claim(last));
        assert_eq!(w.send(&mut bridge, &from_lan(LAN_MAC, host(last))), Forward::To(UPLINK), "{last}");
    }
    assert_eq!(w.send_and_learn(&mut bridge, &claim(202)), Forward::Discard(Drop::IpLimit));
    assert_eq!(w.send(&mut bridge, &from_lan(LAN_MAC, host(202))), Forward::Discard(Drop::SpoofedSource));
    // Known ones may show themselves again; one that is deleted, or ages, makes room.
    assert!(!matches!(w.send_and_learn(&mut bridge, &claim(201)), Forward::Discard(Drop::IpLimit)));
    w.hub.delete_host(host(200)).unwrap();
    let _ = w.send_and_learn(&mut bridge, &claim(202));
    assert_eq!(w.hub.view().mac_of(host(202)), Some(LAN_MAC));
    assert_eq!(w.send_and_learn(&mut bridge, &claim(203)), Forward::Discard(Drop::IpLimit));
    w.pass(620);
    let _ = w.send_and_learn(&mut bridge, &claim(203));
    assert_eq!(w.hub.view().mac_of(host(203)), Some(LAN_MAC));
}

#[test]
fn multicast_can_be_kept_out_and_broadcasts_pass() {
    let mut w = World::new(settings());
    let _uplink = w.uplink();
    let mut bridge = trunk_with(&mut w, Policy { multicast: false, ..Policy::trunk() });
    let group = Mac([0x01, 0, 0x5E, 0, 0, 0xFB]);
    assert_eq!(w.send(&mut bridge, &lan_ip(group, LAN_MAC, BEYOND)), Forward::Discard(Drop::Policy));
    assert_eq!(w.send(&mut bridge, &lan_ip(Mac::BROADCAST, LAN_MAC, BEYOND)), Forward::Flood(Scope::All));
}

/// No user's session is a bridge or a router, whatever the configuration says of it.
#[test]
fn no_bridge_no_routing_check_mac_and_check_ip_hold_for_every_client() {
    let mut w = World::new(settings());
    let _uplink = w.uplink();
    let loose = Policy {
        check_mac: false,
        check_ip: false,
        no_routing: false,
        max_ips: 9,
        max_macs: 9,
        ..Policy::client()
    };
    let mut port = w.client_with(W0, 1, "jiro", Some(loose));
    let id = port.id();
    let in_force = w.hub.set_policy(id, loose).unwrap();
    port.set_policy(in_force);
    let own = port.address().unwrap();
    let spoofed = Forward::Discard(Drop::SpoofedSource);
    // Another station behind it (a bridge), another address behind it (a router), the wrong one in ARP.
    assert_eq!(w.send(&mut port, &from_lan(LAN_MAC, own)), spoofed, "no_bridge, check_mac");
    let mac = port.mac();
    assert_eq!(w.send(&mut port, &from_lan(mac, BEYOND)), spoofed, "no_routing, check_ip");
    assert_eq!(
        w.send(&mut port, &Arp::announcement(mac, BEYOND).frame(Mac::BROADCAST)),
        spoofed,
        "arp_guard"
    );
    assert_eq!(w.send(&mut port, &from_lan(mac, own)), Forward::To(UPLINK));
}

#[test]
fn a_mass_of_clients_is_listed_in_pages() {
    let mut w = World::new(settings());
    let count = 50_000;
    for n in 0..count {
        let id = PortId::new(WorkerId((n % 4) as u8), n);
        let who = who_cheap(n);
        w.hub.open_client(w.now, id, &who, "d", None).unwrap();
        w.hub.assign(w.now, id, None, None).unwrap();
    }
    let look = w.hub.view().look(w.now);
    let (mut cursor, mut stations) = (Some(0), BTreeSet::new());
    while let Some(at) = cursor {
        let (page, next) = look.stations(at, 500);
        assert!(page.len() <= 500);
        stations.extend(page.into_iter().map(|station| (station.mac, station.port)));
        cursor = next;
    }
    assert_eq!(stations.len(), count as usize);
    let (mut after, mut ports) = (None, 0);
    loop {
        let page: Vec<PortId> = w.hub.ports(after).take(1000).map(|port| port.id).collect();
        ports += page.len();
        match page.last() {
            Some(last) => after = Some(*last),
            None => break,
        }
    }
    assert_eq!(ports, count as usize);
    assert_eq!(w.hears(Scope::All, PortId::new(W0, 0)).len(), count as usize - 1);
    assert_eq!(look.clients(), count as usize);
    drop(look);
    for n in 0..count {
        w.hub.close(w.now, PortId::new(WorkerId((n % 4) as u8), n));
    }
    let look = w.hub.view().look(w.now);
    assert_eq!((look.clients(), look.stations(0, 10).0.len(), look.hosts(0, 10).0.len()), (0, 0, 0));
}

/// Verification hashes nothing for PAP with a plain password, so this is cheap.
fn who_cheap(n: u32) -> Authenticated {
    who(&format!("user{n}"), "HUB1")
}

#[test]
fn an_idle_hub_is_small() {
    // The heap of an idle hub: two tables of 128 bytes, the published tables, the view, names.
    let size = size_of::<Hub>() + size_of::<View>() + size_of::<fdb::Tables>() + 2 * 160 + 200;
    assert!(size <= 3000, "{size}");
    assert!(size_of::<Ingress>() <= 96, "{}", size_of::<Ingress>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent from anywhere: no panic, clients keep their places, a frame never comes back to its sender.
    #[test]
    fn hostile_frames(frames in prop::collection::vec((0..4_usize, prop::collection::vec(any::<u8>(), 0..80), any::<u8>()), 0..60)) {
        let mut w = World::new(settings());
        let mut ports = vec![w.uplink(), w.bridge(), w.client(W0, 1, "jiro"), w.client(W1, 2, "yas")];
        let (a, b) = (ports[2].mac(), ports[3].mac());
        let types = [EtherType::IPV4, EtherType::ARP, EtherType::IPV6, EtherType::VLAN, EtherType(3)];
        for (from, payload, choice) in frames {
            let macs = [a, b, GATEWAY_MAC, LAN_MAC, Mac::BROADCAST, Mac([1, 0, 0x5E, 0, 0, 1])];
            let choice = usize::from(choice);
            let bytes = frame(macs[choice % 6], macs[choice / 6 % 6], types[choice / 36 % 5], &payload);
            let mut port = ports.swap_remove(from);
            let forward = w.send_and_learn(&mut port, &bytes);
            prop_assert_ne!(forward, Forward::To(port.id()));
            ports.push(port);
            ports.sort_by_key(|port| port.kind() as u8 * 4 + u8::from(port.mac() == b));
        }
        let look = w.hub.view().look(w.now);
        prop_assert_eq!(look.port_of(a), Some(PortId::new(W0, 1)));
        prop_assert_eq!(look.port_of(b), Some(PortId::new(W1, 2)));
        prop_assert_eq!(look.port_of(GATEWAY_MAC), Some(UPLINK));
    }

    /// Ports, stations and addresses against a plain model.
    #[test]
    fn tables_follow_a_model(steps in prop::collection::vec((0..6_u8, 0..12_u8), 0..150)) {
        let mut w = World::new(settings());
        let mut bridge = w.bridge();
        let mut model: BTreeMap<Mac, PortId> = BTreeMap::new();
        let mut open: BTreeMap<u32, (Mac, Option<Ipv4Addr>)> = BTreeMap::new();
        for (step, n) in steps {
            let slot = u32::from(n);
            let id = PortId::new(W0, slot);
            match step {
                0 | 1 if !open.contains_key(&slot) => {
                    let port = w.client(W0, slot, &format!("user{}", n % 5));
                    open.insert(slot, (port.mac(), port.address()));
                    prop_assert_eq!(model.insert(port.mac(), id), None);
                }
                2 => {
                    if let Some((mac, _)) = open.remove(&slot) {
                        w.hub.close(w.now, id);
                        model.remove(&mac);
                    }
                }
                3 => {
                    let mac = Mac([2, 0, 0, 0, 7, n]);
                    let _ = w.send_and_learn(&mut bridge, &lan_ip(Mac::BROADCAST, mac, Ipv4Addr::BROADCAST));
                    model.insert(mac, BRIDGE);
                }
                4 => {
                    let mac = Mac([2, 0, 0, 0, 7, n]);
                    prop_assert_eq!(w.hub.delete_station(mac, 0).is_ok(), model.remove(&mac).is_some());
                }
                _ => {}
            }
            let look = w.hub.view().look(w.now);
            let listed: BTreeMap<Mac, PortId> = look.stations(0, 1000).0.into_iter().map(|s| (s.mac, s.port)).collect();
            prop_assert_eq!(&listed, &model);
            let hosts: BTreeSet<(Ipv4Addr, Mac)> = look.hosts(0, 1000).0.into_iter().map(|h| (h.address, h.mac)).collect();
            let expected: BTreeSet<_> = open.values().map(|(mac, address)| (address.unwrap(), *mac)).collect();
            prop_assert_eq!(hosts, expected);
            let hear: BTreeSet<PortId> = w.hears(Scope::All, BRIDGE).into_iter().collect();
            prop_assert_eq!(hear, open.keys().map(|slot| PortId::new(W0, *slot)).collect());
        }
    }
}
