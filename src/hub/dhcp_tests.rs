//! Conversations with the DHCP server, frame by frame.

use super::dhcp::{RawOption, Refusal, Settings as Dhcp};
use super::lease::{Key, Reserved, State};
use super::tests::*;
use super::*;
use crate::packet::{Drop, PacketBuf};
use crate::wire::dhcp::{Code, Message, MessageType};
use crate::wire::ether::{Arp, EtherType, Frame};
use crate::wire::inet::{Ipv4, udp_packet};
use proptest::prelude::*;

const SERVICE_IP: Ipv4Addr = GATEWAY;
const PC: Mac = Mac([0x02, 0, 0, 0, 0, 0x10]);
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn dhcp() -> Dhcp {
    Dhcp {
        serve: true,
        dns: vec![GATEWAY, Ipv4Addr::new(10, 60, 0, 2)],
        domain: Some("office.example".into()),
        ..Dhcp::default()
    }
}

fn world(dhcp: Dhcp) -> (World, Ingress) {
    let mut w = World::new(Settings { dhcp, ..settings() });
    let bridge = w.bridge();
    (w, bridge)
}

/// A client's message.
fn message(kind: MessageType, mac: Mac) -> Message {
    let mut chaddr = [0; 16];
    chaddr[..6].copy_from_slice(&mac.0);
    let options = vec![(Code::MESSAGE_TYPE, vec![kind.0])];
    let (op, htype, hlen, hops, xid, secs, flags) = (1, 1, 6, 0, 0x1234_5678, 0, 0);
    let (ciaddr, yiaddr, siaddr, giaddr) = (ANY, ANY, ANY, ANY);
    Message { op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, options }
}

fn with(mut message: Message, code: Code, value: &[u8]) -> Message {
    message.push(code, value);
    message
}

fn discover(mac: Mac) -> Message {
    message(MessageType::DISCOVER, mac)
}

fn request(mac: Mac, address: Ipv4Addr) -> Message {
    with(message(MessageType::REQUEST, mac), Code::REQUESTED_ADDRESS, &address.octets())
}

fn selecting(mac: Mac, address: Ipv4Addr) -> Message {
    with(request(mac, address), Code::SERVER_ID, &SERVICE_IP.octets())
}

fn renewing(mac: Mac, address: Ipv4Addr) -> Message {
    Message { ciaddr: address, ..message(MessageType::REQUEST, mac) }
}

fn in_frame(mac: Mac, message: &Message) -> PacketBuf {
    let packet = udp_packet((message.ciaddr, 68), (Ipv4Addr::BROADCAST, 67), &message.emit(1472));
    frame(Mac::BROADCAST, mac, EtherType::IPV4, &packet)
}

impl World {
    /// Sends a message through the switch to the server.
    fn ask(&mut self, from: &mut Ingress, message: &Message) -> Result<(), Drop> {
        let mac = if from.kind() == Kind::Client {
            from.mac()
        } else {
            Mac(message.chaddr[..6].try_into().unwrap())
        };
        let bytes = in_frame(mac, message);
        assert_eq!(self.send_and_learn(from, &bytes), Forward::To(PortId::SERVICE));
        self.hub.handle_frame(self.now, from.id(), &bytes, &mut self.out)
    }

    /// The one reply that is waiting, with the addresses it goes to.
    fn reply(&mut self) -> (Message, Ipv4Addr, Mac) {
        let (to, bytes) = self.out.frames.pop().expect("no reply");
        assert!(self.out.frames.is_empty());
        assert!(matches!(to, Forward::To(_)));
        let view = Frame::parse(&bytes).unwrap();
        let ip = Ipv4::parse(view.payload).unwrap();
        let udp = ip.udp().unwrap();
        assert_eq!((ip.source, udp.source, udp.destination), (SERVICE_IP, 67, 68));
        let message = Message::parse(udp.payload).unwrap();
        assert_eq!(message.options[0].0, Code::MESSAGE_TYPE, "option 53 first");
        assert_eq!(message.address(Code::SERVER_ID), Some(SERVICE_IP));
        (message, ip.destination, view.destination)
    }

    /// From DISCOVER to ACK.
    fn lease(&mut self, from: &mut Ingress, mac: Mac) -> Ipv4Addr {
        self.ask(from, &discover(mac)).unwrap();
        if matches!(self.out.frames.last(), Some((Forward::Flood(_), _))) {
            self.out.frames.clear();
            self.pass(1);
        }
        let (offer, ..) = self.reply();
        assert_eq!(offer.kind(), Some(MessageType::OFFER));
        self.ask(from, &selecting(mac, offer.yiaddr)).unwrap();
        let (ack, ..) = self.reply();
        assert_eq!((ack.kind(), ack.yiaddr), (Some(MessageType::ACK), offer.yiaddr));
        ack.yiaddr
    }
}

#[test]
fn an_address_is_probed_offered_and_leased() {
    let (mut w, mut bridge) = world(dhcp());
    // --> DISCOVER { parameter list }
    let parameters = [1, 3, 6, 15, 121, 249];
    let hello =
        with(with(discover(PC), Code::PARAMETER_LIST, &parameters), Code::HOST_NAME, b"pc-jiro\0\x07");
    w.ask(&mut bridge, &hello).unwrap();
    // <-- who has it? To uplinks and bridges.
    let (to, probe) = w.out.frames.pop().unwrap();
    assert_eq!(to, Forward::Flood(Scope::Trunks));
    let arp = Arp::parse(Frame::parse(&probe).unwrap().payload).unwrap();
    assert_eq!(arp.sender, ANY);
    // --> DISCOVER again: patience.
    w.ask(&mut bridge, &hello).unwrap();
    assert!(w.out.frames.is_empty());
    // <-- OFFER, to the address that it offers.
    w.pass(1);
    let (offer, ip, mac) = w.reply();
    assert_eq!((offer.kind(), offer.yiaddr, ip, mac), (Some(MessageType::OFFER), arp.target, arp.target, PC));
    assert_eq!(
        offer.options.iter().map(|(code, _)| code.0).collect::<Vec<_>>(),
        [53, 54, 51, 58, 59, 1, 3, 6, 15]
    );
    assert_eq!(offer.option(Code::LEASE_TIME), Some(&28_800_u32.to_be_bytes()[..]));
    assert_eq!(offer.option(Code::RENEWAL_TIME), Some(&14_400_u32.to_be_bytes()[..]));
    assert_eq!(offer.option(Code::REBINDING_TIME), Some(&25_200_u32.to_be_bytes()[..]));
    assert_eq!(offer.option(Code::SUBNET_MASK), Some(&[255, 255, 0, 0][..]));
    assert_eq!(offer.option(Code::DNS), Some(&[10, 60, 0, 1, 10, 60, 0, 2][..]));
    // --> REQUEST { server, address }  <-- ACK
    let ask = with(selecting(PC, offer.yiaddr), Code::HOST_NAME, b"pc-jiro\0\x07");
    w.ask(&mut bridge, &ask).unwrap();
    let (ack, ..) = w.reply();
    assert_eq!((ack.kind(), ack.yiaddr, ack.xid), (Some(MessageType::ACK), offer.yiaddr, 0x1234_5678));
    let lease = w.hub.leases().lease(ack.yiaddr).unwrap().clone();
    assert_eq!((lease.mac, lease.name.as_deref()), (PC, Some("pc-jiro")));
    assert_eq!(w.hub.view().mac_of(ack.yiaddr), Some(PC));
    assert_eq!(w.out.events, [Event::Leased { port: BRIDGE, lease }]);
    // It is the client's, not a link's.
    let client = w.client(W0, 1, "jiro");
    assert_ne!(client.address(), Some(ack.yiaddr));
    // It ends after eight hours without renewal, and is remembered.
    w.out.events.clear();
    w.pass(28_800);
    assert!(matches!(&w.out.events[..], [Event::LeaseExpired(lease)] if lease.address == ack.yiaddr));
    w.ask(&mut bridge, &discover(PC)).unwrap();
    assert_eq!(w.reply().0.yiaddr, ack.yiaddr, "its own again, and without a probe");
}

#[test]
fn renewing_rebinding_and_reboot() {
    let (mut w, mut bridge) = world(dhcp());
    let address = w.lease(&mut bridge, PC);
    w.pass(14_400);
    w.ask(&mut bridge, &renewing(PC, address)).unwrap();
    let (ack, ip, mac) = w.reply();
    assert_eq!(
        (ack.kind(), ack.yiaddr, ack.ciaddr, ip, mac),
        (Some(MessageType::ACK), address, address, address, PC)
    );
    let until = w.now + Duration::from_secs(28_800);
    assert_eq!(w.hub.leases().lease(address).unwrap().state, State::Leased(until));
    // INIT-REBOOT: the same, by broadcast since it asks for that.
    let reboot = Message { flags: 0x8000, ..request(PC, address) };
    w.ask(&mut bridge, &reboot).unwrap();
    let (ack, ip, mac) = w.reply();
    assert_eq!(
        (ack.kind(), ack.yiaddr, ip, mac),
        (Some(MessageType::ACK), address, Ipv4Addr::BROADCAST, Mac::BROADCAST)
    );
    // From another network, or somebody else's, or not the one that it has: NAK, and it begins anew.
    let other = Mac([2, 0, 0, 0, 0, 0x11]);
    for refused in [
        request(PC, Ipv4Addr::new(192, 168, 1, 5)),
        request(other, address),
        renewing(other, address),
        request(PC, Ipv4Addr::new(10, 60, 7, 7)),
        selecting(PC, GATEWAY),
    ] {
        w.ask(&mut bridge, &refused).unwrap();
        let (nak, ip, mac) = w.reply();
        assert_eq!((nak.kind(), ip, mac), (Some(MessageType::NAK), Ipv4Addr::BROADCAST, Mac::BROADCAST));
        assert!(nak.option(Code::MESSAGE).is_some() && nak.yiaddr.is_unspecified());
    }
    assert_eq!(w.hub.leases().lease(address).unwrap().mac, PC);
    assert!(
        w.hub
            .leases()
            .lease_of(&Key::Station([1, 2, 0, 0, 0, 0, 0x11].into()))
            .is_none_or(|lease| !lease.state.is_held())
    );
    // Unknown to us after a loss of memory, but free: it keeps it.
    let (mut w, mut bridge) = world(dhcp());
    w.ask(&mut bridge, &renewing(PC, address)).unwrap();
    assert_eq!(w.reply().0.kind(), Some(MessageType::ACK));
}

#[test]
fn an_address_in_use_is_not_offered() {
    let (mut w, mut bridge) = world(dhcp());
    w.ask(&mut bridge, &discover(PC)).unwrap();
    let (_, probe) = w.out.frames.pop().unwrap();
    let arp = Arp::parse(Frame::parse(&probe).unwrap().payload).unwrap();
    // Somebody answers the probe, through the switch.
    let answer = arp.reply(LAN_MAC).frame(arp.sender_mac);
    assert_eq!(w.send_and_learn(&mut bridge, &answer), Forward::To(PortId::SERVICE));
    w.hub.handle_frame(w.now, BRIDGE, &answer, &mut w.out).unwrap();
    assert!(matches!(w.hub.leases().lease(arp.target).unwrap().state, State::Declined(_)));
    // The next one is probed and offered.
    let again =
        w.out.frames.pop().map(|(_, probe)| Arp::parse(Frame::parse(&probe).unwrap().payload).unwrap());
    assert!(again.is_some_and(|again| again.target != arp.target));
    w.out.frames.clear();
    w.pass(1);
    let (offer, ..) = w.reply();
    assert_eq!(Some(offer.yiaddr), again.map(|arp| arp.target));
    // The client finds it in use nevertheless.
    let declining = with(
        with(message(MessageType::DECLINE, PC), Code::REQUESTED_ADDRESS, &offer.yiaddr.octets()),
        Code::SERVER_ID,
        &SERVICE_IP.octets(),
    );
    w.ask(&mut bridge, &declining).unwrap();
    assert!(matches!(w.hub.leases().lease(offer.yiaddr).unwrap().state, State::Declined(_)));
    // Nobody declines what is not its own.
    let victim = w.lease(&mut bridge, PC);
    let evil = Mac([2, 0, 0, 0, 0, 0x66]);
    let declining = with(message(MessageType::DECLINE, evil), Code::REQUESTED_ADDRESS, &victim.octets());
    assert_eq!(w.ask(&mut bridge, &declining), Err(Drop::Policy));
    assert!(matches!(w.hub.leases().lease(victim).unwrap().state, State::Leased(_)));
}

#[test]
fn release_and_another_server() {
    let (mut w, mut bridge) = world(dhcp());
    let address = w.lease(&mut bridge, PC);
    let evil = Mac([2, 0, 0, 0, 0, 0x66]);
    let release = |mac| Message { ciaddr: address, ..message(MessageType::RELEASE, mac) };
    assert_eq!(w.ask(&mut bridge, &release(evil)), Err(Drop::Policy));
    w.ask(&mut bridge, &release(PC)).unwrap();
    assert!(!w.hub.leases().lease(address).unwrap().state.is_held());
    // An offer that is not taken.
    let other = Mac([2, 0, 0, 0, 0, 0x11]);
    w.ask(&mut bridge, &discover(other)).unwrap();
    w.out.frames.clear();
    w.pass(1);
    let (offer, ..) = w.reply();
    let elsewhere = with(request(other, offer.yiaddr), Code::SERVER_ID, &[10, 60, 0, 9]);
    w.ask(&mut bridge, &elsewhere).unwrap();
    assert!(w.out.frames.is_empty());
    assert!(!w.hub.leases().lease(offer.yiaddr).unwrap().state.is_held());
}

#[test]
fn refused() {
    let (mut w, mut bridge) = world(dhcp());
    let relayed = Message { giaddr: Ipv4Addr::new(10, 60, 0, 9), ..discover(PC) };
    assert_eq!(w.ask(&mut bridge, &relayed), Err(Drop::Policy));
    let why = Refusal::Relay(Ipv4Addr::new(10, 60, 0, 9));
    assert_eq!(w.out.events, [Event::DhcpRefused { port: BRIDGE, mac: PC, why }]);
    // Under another's name; BOOTP; a reply; broken; once per step told.
    let evil = in_frame(LAN_MAC, &discover(PC));
    assert_eq!(w.hub.handle_frame(w.now, BRIDGE, &evil, &mut w.out), Err(Drop::Policy));
    let mut bootp = discover(PC);
    bootp.options.clear();
    assert_eq!(w.ask(&mut bridge, &bootp), Err(Drop::NotCarried));
    assert_eq!(w.ask(&mut bridge, &Message { op: 2, ..discover(PC) }), Err(Drop::NotCarried));
    let short = frame(
        Mac::BROADCAST,
        PC,
        EtherType::IPV4,
        &udp_packet((ANY, 68), (Ipv4Addr::BROADCAST, 67), &[1; 100]),
    );
    assert!(matches!(w.hub.handle_frame(w.now, BRIDGE, &short, &mut w.out), Err(Drop::Malformed(_))));
    assert_eq!(w.out.events.len(), 1);
    assert!(w.out.frames.is_empty() && w.hub.leases().held() == 0);
    // One station, many names.
    for n in 0..20_u8 {
        w.now += Duration::from_secs(1);
        let _ = w.ask(&mut bridge, &with(discover(PC), Code::CLIENT_ID, &[0xFF, n]));
    }
    assert_eq!(w.hub.leases().held_by(PC), 8);
}

#[test]
fn an_empty_pool_is_named() {
    let network = "10.60.0.0/29".parse().unwrap();
    let leases = lease::Settings {
        range: (Ipv4Addr::new(10, 60, 0, 2), Ipv4Addr::new(10, 60, 0, 3)),
        ..lease::Settings::of_network(network)
    };
    let mut w = World::new(Settings { dhcp: dhcp(), ..Settings::new(leases) });
    let mut bridge = w.bridge();
    for n in 1..3 {
        w.lease(&mut bridge, Mac([2, 0, 0, 0, 5, n]));
    }
    w.out.events.clear();
    assert_eq!(w.ask(&mut bridge, &discover(PC)), Err(Drop::Policy));
    let text = match &w.out.events[..] {
        [Event::DhcpRefused { why, .. }] => why.to_string(),
        events => panic!("{events:?}"),
    };
    assert_eq!(
        text,
        "all 2 addresses from 10.60.0.2 to 10.60.0.3 are in use, or kept for devices that have just left"
    );
}

#[test]
fn reservations_hold_for_mac_and_client_id() {
    let by_id = Ipv4Addr::new(10, 60, 0, 40);
    let by_mac = Ipv4Addr::new(10, 60, 0, 41);
    let mut set = settings();
    let reserved =
        BTreeMap::from([(by_id, Reserved::Station([0, b'a', b'b'].into())), (by_mac, Reserved::Mac(PC))]);
    set.leases = lease::Settings { reserved, ..(*set.leases).clone() }.into();
    let mut w = World::new(Settings { dhcp: Dhcp { probe: false, ..dhcp() }, ..set });
    let mut bridge = w.bridge();
    assert_eq!(w.lease(&mut bridge, PC), by_mac);
    let named = with(discover(LAN_MAC), Code::CLIENT_ID, &[0, b'a', b'b']);
    w.ask(&mut bridge, &named).unwrap();
    let (offer, ..) = w.reply();
    assert_eq!((offer.yiaddr, offer.option(Code::CLIENT_ID)), (by_id, Some(&[0, b'a', b'b'][..])));
}

#[test]
fn all_options() {
    let route = |text: &str, via: Option<[u8; 4]>| (text.parse().unwrap(), via.map(Ipv4Addr::from));
    let full = Dhcp {
        probe: false,
        ntp: vec![Ipv4Addr::new(10, 60, 0, 3)],
        wins: vec![Ipv4Addr::new(10, 60, 0, 4)],
        netbios_node_type: Some(8),
        netbios_scope: Some("scope".into()),
        search: vec!["office.example".into()],
        routes: vec![route("10.0.0.0/8", None), route("192.168.7.0/24", Some([10, 60, 0, 9]))],
        wpad: Some("http://wpad/wpad.dat".into()),
        raw: vec![
            RawOption { code: 66, value: b"tftp".to_vec(), always: true },
            RawOption { code: 6, value: vec![9, 9, 9, 9], always: false },
        ],
        ..dhcp()
    };
    let (mut w, mut bridge) = world(full);
    w.ask(&mut bridge, &discover(PC)).unwrap();
    let (offer, ..) = w.reply();
    let codes: Vec<u8> = offer.options.iter().map(|(code, _)| code.0).collect();
    assert_eq!(codes, [53, 54, 51, 58, 59, 1, 3, 15, 121, 119, 42, 44, 46, 47, 252, 66, 6]);
    // The default route is one of the classless ones, because who takes those ignores the router.
    assert_eq!(
        offer.option(Code::CLASSLESS_ROUTES),
        Some(&[8, 10, 10, 60, 0, 1, 24, 192, 168, 7, 10, 60, 0, 9, 0, 10, 60, 0, 1][..])
    );
    assert_eq!(offer.option(Code::DNS), Some(&[9, 9, 9, 9][..]));
    // Only what is asked for, and what is always sent.
    let shy = with(discover(LAN_MAC), Code::PARAMETER_LIST, &[249]);
    w.ask(&mut bridge, &shy).unwrap();
    let codes: Vec<u8> = w.reply().0.options.iter().map(|(code, _)| code.0).collect();
    assert_eq!(codes, [53, 54, 51, 58, 59, 1, 249, 66]);
}

#[test]
fn inform_over_a_link() {
    let split = Dhcp { serve: false, routes: vec![("10.0.0.0/8".parse().unwrap(), None)], ..dhcp() };
    let mut w = World::new(Settings { dhcp: split, ..settings() });
    let _uplink = w.uplink();
    let mut link = w.client(W0, 1, "jiro");
    let address = link.address().unwrap();
    // --> macOS: hardware type 8, client identifier of its own, asks for 6, 44, 43, 1, 249, 15.
    let mut ask = Message { ciaddr: address, htype: 8, ..message(MessageType::INFORM, Mac::ZERO) };
    ask.push(Code::CLIENT_ID, &[8, 0, 0, 0, 1, 0, 0]);
    ask.push(Code::PARAMETER_LIST, &[6, 44, 43, 1, 249, 15]);
    w.ask(&mut link, &ask).unwrap();
    // <-- ACK straight to the link; type, server, mask, DNS, domain, routes without a default, no lease, no router.
    let (to, bytes) = w.out.frames[0].clone();
    assert_eq!(to, Forward::To(link.id()));
    let payload = Ipv4::parse(&bytes[14..]).unwrap().udp().unwrap().payload;
    let end = payload.iter().rposition(|byte| *byte == 255).unwrap();
    assert!(end + 1 < payload.len(), "padding behind the end");
    let (ack, ip, mac) = w.reply();
    assert_eq!((ack.kind(), ack.yiaddr, ip, mac), (Some(MessageType::ACK), ANY, address, link.mac()));
    assert_eq!(ack.options.iter().map(|(code, _)| code.0).collect::<Vec<_>>(), [53, 54, 1, 6, 15, 249, 61]);
    assert_eq!(ack.option(Code::MS_CLASSLESS_ROUTES), Some(&[8, 10, 10, 60, 0, 1][..]));
    // Windows asks for both kinds of routes, and lies about its address: it is answered where it is.
    let mut ask = Message { ciaddr: address, ..message(MessageType::INFORM, link.mac()) };
    ask.push(Code::PARAMETER_LIST, &[15, 249, 121, 6, 44, 43, 1]);
    w.ask(&mut link, &ask).unwrap();
    let (ack, ip, _) = w.reply();
    assert_eq!(ack.options.iter().map(|(code, _)| code.0).collect::<Vec<_>>(), [53, 54, 1, 6, 15, 249, 121]);
    assert_eq!(ip, address);
    // A link has its address by IPCP; it asks for no other. And stations are not served here.
    let ask = Message { ciaddr: address, ..discover(link.mac()) };
    assert_eq!(w.ask(&mut link, &ask), Err(Drop::NotCarried));
    assert!(w.out.frames.is_empty());
    let mut bridge = w.bridge();
    assert_eq!(w.send(&mut bridge, &in_frame(PC, &discover(PC))), Forward::Flood(Scope::All));
}

#[test]
fn the_server_answers_for_an_address_that_nobody_else_has() {
    let (mut w, mut bridge) = world(dhcp());
    let ask = Arp::request(PC, Ipv4Addr::new(10, 60, 0, 9), GATEWAY).frame(Mac::BROADCAST);
    assert_eq!(w.send_and_learn(&mut bridge, &ask), Forward::To(PortId::SERVICE));
    w.hub.handle_frame(w.now, BRIDGE, &ask, &mut w.out).unwrap();
    let (to, answer) = w.out.frames.pop().unwrap();
    let arp = Arp::parse(Frame::parse(&answer).unwrap().payload).unwrap();
    assert_eq!((to, arp.sender, arp.target_mac), (Forward::To(BRIDGE), GATEWAY, PC));
    // It routes nothing: other frames to it stop at the switch.
    let lost = frame(arp.sender_mac, PC, EtherType::IPV4, &udp_packet((ANY, 1), (BEYOND, 2), b""));
    assert_eq!(w.send(&mut bridge, &lost), Forward::Discard(Drop::NoPort));
    // An uplink with the gateway's address takes over, and leaves it again.
    let _uplink = w.uplink();
    assert_eq!(w.hub.view().mac_of(GATEWAY), Some(GATEWAY_MAC));
    w.hub.close(w.now, UPLINK);
    assert_eq!(w.hub.view().mac_of(GATEWAY), Some(arp.sender_mac));
    // Off, and the place is empty.
    w.hub.apply(settings());
    let look = w.hub.view().look(w.now);
    assert_eq!((look.mac_of(GATEWAY), look.port_of(arp.sender_mac)), (None, None));
}

#[test]
fn a_port_that_closes_takes_its_probes_with_it() {
    let (mut w, mut bridge) = world(dhcp());
    w.ask(&mut bridge, &discover(PC)).unwrap();
    w.out.frames.clear();
    w.hub.close(w.now, BRIDGE);
    w.pass(100);
    assert!(w.out.frames.is_empty());
    assert_eq!((w.hub.leases().held(), w.hub.poll_timeout()), (0, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Many clients that do as they like: no address is ever given to two, an ACK is always for its asker's own.
    #[test]
    fn no_address_twice(steps in prop::collection::vec((0..6_u8, 0..5_u8, 0..14_u8, any::<bool>(), 0..40_u32), 0..120)) {
        let network = "10.60.0.0/28".parse().unwrap();
        let mut w = World::new(Settings { dhcp: Dhcp { probe: false, ..dhcp() }, ..Settings::new(lease::Settings::of_network(network)) });
        let mut bridge = w.bridge();
        let mut acked: BTreeMap<Ipv4Addr, (Mac, Instant)> = BTreeMap::new();
        for (kind, station, last, server, minutes) in steps {
            w.pass(u64::from(minutes) * 60);
            let (mac, address) = (Mac([2, 0, 0, 0, 3, station]), Ipv4Addr::new(10, 60, 0, last));
            let ask = match kind {
                0 => discover(mac),
                1 | 2 if server => selecting(mac, address),
                1 | 2 => request(mac, address),
                3 => renewing(mac, address),
                4 => Message { ciaddr: address, ..message(MessageType::RELEASE, mac) },
                _ => with(message(MessageType::DECLINE, mac), Code::REQUESTED_ADDRESS, &address.octets()),
            };
            let gone = w.ask(&mut bridge, &ask).is_ok() && matches!(kind, 4 | 5);
            if gone {
                acked.remove(&address);
            }
            acked.retain(|_, (_, until)| *until > w.now);
            for (_, bytes) in w.out.frames.drain(..) {
                let payload = Ipv4::parse(&bytes[14..]).unwrap().udp().unwrap().payload;
                let reply = Message::parse(payload).unwrap();
                if reply.kind() == Some(MessageType::ACK) {
                    let holder = acked.insert(reply.yiaddr, (mac, w.now + Duration::from_secs(28_800)));
                    prop_assert!(holder.is_none_or(|(holder, _)| holder == mac));
                    prop_assert!(network.is_host(reply.yiaddr) && reply.yiaddr != GATEWAY);
                }
                if reply.kind() == Some(MessageType::OFFER) {
                    prop_assert!(acked.get(&reply.yiaddr).is_none_or(|(holder, _)| *holder == mac));
                }
            }
        }
    }
}
