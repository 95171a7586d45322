use super::*;
use proptest::prelude::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
const SERVER_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 77);

/// A client, its time, and what it sent last.
struct World {
    now: Instant,
    client: Client,
    sent: Vec<PacketBuf>,
}

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

impl World {
    fn new() -> Self {
        let now = start();
        let who = Identity { mac: MAC, client_id: vec![1, 2, 3], host_name: "jiro".into() };
        let mut sent = Vec::new();
        let client = Client::new(now, who, Entropy::from_number(1), &mut |frame| sent.push(frame));
        Self { now, client, sent }
    }

    /// Lets time go by to the next timer.
    fn tick(&mut self) -> Option<Event> {
        self.now = self.client.poll_timeout().unwrap();
        let sent = &mut self.sent;
        self.client.handle_timeout(self.now, &mut |frame| sent.push(frame))
    }

    /// The message that was sent last, and whither.
    fn last(&mut self) -> (Message, Mac, Ipv4Addr) {
        let frame = self.sent.pop().expect("something was sent");
        let view = Frame::parse(&frame).unwrap();
        assert_eq!(view.source, MAC);
        let ip = Ipv4::parse(view.payload).unwrap();
        let udp = ip.udp().unwrap();
        assert_eq!((udp.source, udp.destination), (CLIENT_PORT, SERVER_PORT));
        (Message::parse(udp.payload).unwrap(), view.destination, ip.destination)
    }

    fn expect(&mut self, kind: MessageType) -> Message {
        let (message, ..) = self.last();
        assert_eq!(message.kind(), Some(kind));
        assert_eq!(message.option(Code::CLIENT_ID), Some(&[1, 2, 3][..]));
        assert!(!message.wants_broadcast());
        message
    }

    fn reply(
        &mut self,
        to: &Message,
        kind: MessageType,
        more: &[(Code, &[u8])],
    ) -> Result<Option<Event>, Drop> {
        let mut reply = to.reply();
        reply.yiaddr = ADDRESS;
        reply.push(Code::MESSAGE_TYPE, &[kind.0]);
        reply.push(Code::SERVER_ID, &SERVER.octets());
        for (code, value) in more {
            reply.push(*code, value);
        }
        let mut frame = udp_packet((SERVER, SERVER_PORT), (ADDRESS, CLIENT_PORT), &reply.emit(1472));
        frame.put_front(&header(MAC, SERVER_MAC, EtherType::IPV4));
        assert!(self.client.concerns(&frame));
        let sent = &mut self.sent;
        self.client.recv(self.now, &frame, &mut |frame| sent.push(frame))
    }

    /// Leads to an address for 1000 seconds.
    fn bind(&mut self) -> Lease {
        let discover = self.expect(MessageType::DISCOVER);
        self.reply(&discover, MessageType::OFFER, &OPTIONS).unwrap();
        let request = self.expect(MessageType::REQUEST);
        assert_eq!(request.address(Code::REQUESTED_ADDRESS), Some(ADDRESS));
        assert_eq!(request.address(Code::SERVER_ID), Some(SERVER));
        assert_eq!(self.reply(&request, MessageType::ACK, &OPTIONS).unwrap(), None);
        let probe = self.sent.pop().unwrap();
        let arp = Arp::parse(Frame::parse(&probe).unwrap().payload).unwrap();
        assert_eq!((arp.sender, arp.target), (Ipv4Addr::UNSPECIFIED, ADDRESS));
        let Some(Event::Bound(lease)) = self.tick() else { panic!("not bound") };
        lease
    }
}

const OPTIONS: [(Code, &[u8]); 4] = [
    (Code::SUBNET_MASK, &[255, 255, 255, 0]),
    (Code::ROUTER, &[192, 168, 1, 254]),
    (Code::DNS, &[192, 168, 1, 53, 9, 9, 9, 9]),
    (Code::LEASE_TIME, &[0, 0, 0x03, 0xE8]),
];

#[test]
fn an_address_with_all_that_belongs_to_it() {
    let mut w = World::new();
    let lease = w.bind();
    assert_eq!(lease.address, ADDRESS);
    assert_eq!(lease.network.to_string(), "192.168.1.0/24");
    assert_eq!(lease.router, Some(Ipv4Addr::new(192, 168, 1, 254)));
    assert_eq!(lease.dns, [Ipv4Addr::new(192, 168, 1, 53), Ipv4Addr::new(9, 9, 9, 9)]);
    assert_eq!(w.client.lease(), Some(&lease));
}

#[test]
fn a_silent_lan_is_given_up_within_its_owners_patience() {
    let mut w = World::new();
    let began = w.now;
    let mut discovers = 1;
    let event = loop {
        let before = w.sent.len();
        if let Some(event) = w.tick() {
            break event;
        }
        discovers += w.sent.len() - before;
    };
    assert_eq!(event, Event::Silent);
    assert_eq!((w.now - began, discovers), (PATIENCE, 4));
    assert!(w.client.poll_timeout().is_none() && w.client.release().is_none());
}

#[test]
fn it_is_renewed_by_unicast_then_by_broadcast_and_given_up_at_the_end() {
    let mut w = World::new();
    w.bind();
    let bound = w.now;
    assert_eq!(w.tick(), None);
    let (message, mac, to) = w.last();
    assert_eq!((mac, to, message.ciaddr), (SERVER_MAC, SERVER, ADDRESS));
    assert!(message.option(Code::SERVER_ID).is_none() && message.option(Code::REQUESTED_ADDRESS).is_none());
    assert!((w.now - bound).as_secs().abs_diff(500) <= 1);
    // Prolonged.
    assert_eq!(w.reply(&message, MessageType::ACK, &OPTIONS).unwrap(), None);
    let renewed = w.now;
    // Nobody answers any more.
    let (mut unicasts, mut broadcasts) = (0, 0);
    let event = loop {
        if let Some(event) = w.tick() {
            break event;
        }
        let (_, mac, to) = w.last();
        match mac {
            Mac::BROADCAST => broadcasts += 1,
            _ => unicasts += 1,
        }
        assert_eq!(mac == Mac::BROADCAST, to.is_broadcast());
    };
    assert_eq!(event, Event::Lost);
    assert_eq!((w.now - renewed).as_secs(), 1000);
    assert!(unicasts >= 2 && broadcasts >= 2, "{unicasts} {broadcasts}");
}

#[test]
fn a_refusal_to_renew_ends_it() {
    let mut w = World::new();
    w.bind();
    w.tick();
    let (message, ..) = w.last();
    assert_eq!(w.reply(&message, MessageType::NAK, &[]).unwrap(), Some(Event::Lost));
    assert_eq!(w.client.lease(), None);
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let mut w = World::new();
    let discover = w.expect(MessageType::DISCOVER);
    w.reply(&discover, MessageType::OFFER, &OPTIONS).unwrap();
    let request = w.expect(MessageType::REQUEST);
    w.reply(&request, MessageType::ACK, &OPTIONS).unwrap();
    w.sent.clear();
    let squatter = Arp::announcement(Mac([2, 0, 0, 0, 0, 66]), ADDRESS).frame(Mac::BROADCAST);
    assert!(w.client.concerns(&squatter));
    let sent = &mut w.sent;
    w.client.recv(w.now, &squatter, &mut |frame| sent.push(frame)).unwrap();
    let declined = w.expect(MessageType::DECLINE);
    assert_eq!(declined.address(Code::REQUESTED_ADDRESS), Some(ADDRESS));
    // And looks for another.
    assert_eq!(w.tick(), None);
    assert_ne!(w.expect(MessageType::DISCOVER).xid, discover.xid);
}

#[test]
fn it_is_given_back_at_the_end() {
    let mut w = World::new();
    w.bind();
    w.sent.push(w.client.release().unwrap());
    let (message, mac, to) = w.last();
    assert_eq!(message.kind(), Some(MessageType::RELEASE));
    assert_eq!((message.ciaddr, message.address(Code::SERVER_ID)), (ADDRESS, Some(SERVER)));
    assert_eq!((mac, to), (SERVER_MAC, SERVER));
}

#[test]
fn what_is_not_for_it_changes_nothing() {
    let mut w = World::new();
    let discover = w.expect(MessageType::DISCOVER);
    for wrong in [
        Message { xid: discover.xid ^ 1, ..discover.clone() },
        Message { chaddr: [7; 16], ..discover.clone() },
    ] {
        assert!(w.reply(&wrong, MessageType::OFFER, &OPTIONS).is_err());
    }
    // An acknowledgement of what was never asked for, and an offer of nothing.
    assert_eq!(w.reply(&discover, MessageType::ACK, &OPTIONS), Ok(None));
    assert_eq!(w.reply(&discover, MessageType::OFFER, &[(Code::SUBNET_MASK, &[255, 0, 255, 0])]), Ok(None));
    assert!(w.sent.is_empty());
    w.sent.clear();
    assert_eq!(w.tick(), None);
    w.expect(MessageType::DISCOVER);
}

#[test]
fn a_server_that_refuses_its_own_offers_makes_no_storm() {
    let mut w = World::new();
    let mut sent = 0;
    loop {
        while let Some(frame) = w.sent.pop() {
            sent += 1;
            w.sent.clear();
            w.sent.push(frame);
            let (message, ..) = w.last();
            let kind = if message.kind() == Some(MessageType::DISCOVER) {
                MessageType::OFFER
            } else {
                MessageType::NAK
            };
            let _ = w.reply(&message, kind, &OPTIONS);
        }
        if let Some(event) = w.tick() {
            assert_eq!(event, Event::Silent);
            break;
        }
    }
    assert!(sent < 40, "{sent}");
}

proptest! {
    #[test]
    fn any_frame_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..400), offer: bool) {
        let mut w = World::new();
        if offer {
            let discover = w.expect(MessageType::DISCOVER);
            w.reply(&discover, MessageType::OFFER, &OPTIONS).unwrap();
        }
        let mut frame = udp_packet((SERVER, SERVER_PORT), (ADDRESS, CLIENT_PORT), &bytes);
        frame.put_front(&header(MAC, SERVER_MAC, EtherType::IPV4));
        for frame in [&frame[..], &bytes] {
            let _ = w.client.concerns(frame);
            let _ = w.client.recv(w.now, frame, &mut |_| {});
        }
    }
}
