//! What the corpora began with: messages from our own emitters, and sequences of steps that lead deep into the machines.
//! (Messages of real clients lie beside them in the corpora, as `capture-*`.)

use crate::targets::steps::Script;
use crate::targets::{client_op, hub_op, ike_op, link_op, lns_op, worker_op};
use sekisho::client::ike::{self, Initiator, profile};
use sekisho::client::lac::{self, Lac};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::packet::{Encap, PacketBuf, Path};
use sekisho::wire::Writer;
use sekisho::wire::avp::{Avp, MessageType, ResultCode, Value};
use sekisho::wire::ether::{Arp, EtherType, Mac, header};
use sekisho::wire::inet::{Protocol, put_ipv4, udp_packet};
use sekisho::wire::isakmp::payload::{Delete, Identity, NatOa, Notify, NotifyType};
use sekisho::wire::isakmp::sa::{
    Attribute, LifeType, Phase1Attribute, Proposal, Sa, Transform, Value as Life,
};
use sekisho::wire::isakmp::{ChainWriter, Cookie, Cookies, PayloadType};
use sekisho::wire::l2tp::{ControlHeader, DataHeader, Message, SessionId, TunnelId};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

type Seed = (&'static str, String, Vec<u8>);

/// All seeds: target, name, bytes.
pub(crate) fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target: &'static str, list: Vec<(&str, Vec<u8>)>| {
        seeds.extend(list.into_iter().map(|(name, bytes)| (target, name.to_owned(), bytes)));
    };
    add("isakmp", isakmp());
    add("natt", natt());
    add("esp", esp());
    add("l2tp", l2tp());
    add("ether", ether());
    add("name", names());
    add("ike", ike_steps());
    add("lns", lns_steps());
    add("link", link_steps());
    add("hub", hub_steps());
    add("client", client_steps());
    add("worker", worker_steps());
    seeds
}

#[expect(clippy::disallowed_methods, reason = "an origin for machines that say their first word")]
fn now() -> Instant {
    Instant::now()
}

fn first_messages() -> Vec<(&'static str, Vec<u8>)> {
    let psk = || Secret::from("a key");
    let configs = [
        ("android", profile::android(psk(), profile::Android::Seven)),
        ("apple", profile::apple(psk(), 0)),
        ("windows", profile::windows(psk())),
        ("strongswan", profile::strongswan(psk())),
        ("network-manager", profile::network_manager(psk())),
        ("chromeos", profile::chromeos(psk())),
        ("libreswan", profile::libreswan(psk())),
    ];
    let path = Path {
        encap: Encap::Ike,
        local: SocketAddr::from(([192, 168, 7, 2], 500)),
        remote: SocketAddr::from(([203, 0, 113, 1], 500)),
    };
    let say = |(name, config)| {
        let mut out = ike::Output::default();
        Initiator::new(config, Entropy::from_number(1)).start(now(), path, &mut out);
        (name, out.packets[0].buf.to_vec())
    };
    configs.into_iter().map(say).collect()
}

fn written(emit: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    emit(&mut w);
    w.finish()
}

/// A chain with the type of its first payload before it.
fn chain(payloads: &[(PayloadType, Vec<u8>)]) -> Vec<u8> {
    let mut chain = ChainWriter::new();
    for (kind, body) in payloads {
        chain.put_bytes(*kind, body);
    }
    let mut bytes = vec![chain.first().0];
    bytes.extend_from_slice(chain.bytes());
    bytes
}

fn cookies() -> Cookies {
    Cookies { initiator: Cookie([0x81; 8]), responder: Cookie([7; 8]) }
}

fn notify(kind: NotifyType, spi: &[u8], data: &[u8]) -> (PayloadType, Vec<u8>) {
    (PayloadType::NOTIFY, written(|w| Notify::isakmp(kind, spi, data).emit(w)))
}

fn delete(delete: &Delete) -> (PayloadType, Vec<u8>) {
    (PayloadType::DELETE, written(|w| delete.emit(w)))
}

/// An offer of Phase 1 whose lifetime is as long as it can be written.
fn eternal_offer() -> Vec<u8> {
    let short = |kind: Phase1Attribute, value| Attribute::short(kind.0, value);
    let attributes = vec![
        short(Phase1Attribute::ENCRYPTION, 7),
        short(Phase1Attribute::KEY_LENGTH, 256),
        short(Phase1Attribute::HASH, 4),
        short(Phase1Attribute::GROUP, 19),
        short(Phase1Attribute::AUTHENTICATION, 1),
        short(Phase1Attribute::LIFE_TYPE, LifeType::SECONDS.0),
        Attribute { kind: Phase1Attribute::LIFE_DURATION.0, value: Life::Long(vec![0xff; 8]) },
    ];
    let transforms = vec![Transform { number: 1, id: Transform::KEY_IKE, attributes }];
    let proposal = Proposal {
        number: 1,
        protocol: sekisho::wire::isakmp::sa::Protocol::ISAKMP,
        spi: Vec::new(),
        transforms,
    };
    written(|w| Sa::new(vec![proposal]).emit(w))
}

fn isakmp() -> Vec<(&'static str, Vec<u8>)> {
    let mut list = first_messages();
    let address = |text: &str| text.parse::<Ipv4Addr>().unwrap().into();
    let id = |address| (PayloadType::ID, written(|w| Identity::address(address, 17, 1701).emit(w)));
    let oa = |address| (PayloadType::NAT_OA, written(|w| NatOa(address).emit(w)));
    list.push(("dpd", chain(&[notify(NotifyType::R_U_THERE, &cookies().bytes(), &[0, 0, 0, 1])])));
    list.push(("initial-contact", chain(&[notify(NotifyType::INITIAL_CONTACT, &cookies().bytes(), &[])])));
    list.push(("deletes", chain(&[delete(&Delete::esp(&[1, 2])), delete(&Delete::isakmp(cookies()))])));
    list.push((
        "ids",
        chain(&[id(address("192.168.7.2")), id(address("203.0.113.1")), oa(address("192.168.7.2"))]),
    ));
    list.push(("ipv6", chain(&[id("2001:db8::1".parse().unwrap()), oa("2001:db8::1".parse().unwrap())])));
    list.push(("eternal", chain(&[(PayloadType::SA, eternal_offer())])));
    list
}

fn natt() -> Vec<(&'static str, Vec<u8>)> {
    let (_, message) = first_messages().swap_remove(0);
    vec![
        ("keepalive", vec![0xff]),
        ("ike", [&[0; 4], &message[..40]].concat()),
        ("esp", [&0x0100_1234_u32.to_be_bytes()[..], &1_u32.to_be_bytes(), &[9; 40]].concat()),
    ]
}

fn esp() -> Vec<(&'static str, Vec<u8>)> {
    let with = |suite: u8, bytes: &[u8]| [&[suite], bytes].concat();
    vec![
        ("header", with(0, &[1, 0, 0x12, 0x34, 0, 0, 0, 1, 5, 5, 5, 5])),
        ("trailer", with(1, b"payload.......\x01\x01\x11")),
        ("padding-lies", with(2, b"payload\xff\x11")),
        ("empty", with(3, b"\x00\x3b")),
        ("block", with(0, &[0x10; 16])),
        ("long", with(1, &[0x5a; 600])),
    ]
}

fn l2tp() -> Vec<(&'static str, Vec<u8>)> {
    let habits = [
        ("android", lac::Habits::android()),
        ("apple", lac::Habits::apple()),
        ("windows", lac::Habits::windows()),
        ("xl2tpd", lac::Habits::xl2tpd()),
    ];
    let say = |(name, habits)| {
        let mut out = lac::Output::default();
        Lac::new(habits, &mut Entropy::from_number(1)).start(now(), &mut out);
        (name, out.packets[0].to_vec())
    };
    let mut list: Vec<(&str, Vec<u8>)> = habits.into_iter().map(say).collect();
    let header = ControlHeader { tunnel: TunnelId(1), session: SessionId(2), ns: 3, nr: 4 };
    let stop = [
        Avp::mandatory(Value::AssignedTunnelId(TunnelId(1))),
        Avp::mandatory(Value::ResultCode(ResultCode { result: 1, error: Some(0), message: b"bye" })),
        Avp::optional(Value::Hidden { vendor: 9, attribute: 1, value: b"hidden" }),
        Avp::mandatory(Value::Unknown { vendor: 311, attribute: 7, value: b"unknown" }),
    ];
    list.push(("stop", Message::emit(header, MessageType::STOP_CCN, &stop)));
    list.push(("zlb", header.emit(&[])));
    let frame = [0xff, 0x03, 0xc0, 0x21, 1, 1, 0, 4];
    list.push(("data", [&DataHeader::emit(TunnelId(1), SessionId(2))[..], &frame].concat()));
    list.push((
        "data-length",
        [&DataHeader::emit_with_length(TunnelId(1), SessionId(2), 8)[..], &frame].concat(),
    ));
    let all_options = [0x4a, 0x02, 0, 24, 0, 1, 0, 2, 0, 3, 0, 4, 0, 2, 0xaa, 0xbb];
    list.push(("data-everything", [&all_options[..], &frame].concat()));
    list
}

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 2);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 3);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const LAN_MAC: Mac = Mac([2, 0, 0, 0, 0, 0x77]);

/// A TCP SYN with its maximum segment size behind `before` bytes of other options.
fn syn(source: Ipv4Addr, destination: Ipv4Addr, before: usize) -> Vec<u8> {
    let mut segment = vec![0x30, 0x39, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x80, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    segment.extend(std::iter::repeat_n(1, before));
    segment.extend_from_slice(&[2, 4, 0x05, 0xb4]);
    segment.resize(32, 0);
    let mut buf = PacketBuf::from_slice(&segment);
    put_ipv4(&mut buf, Protocol::TCP, source, destination);
    buf.to_vec()
}

fn dhcp() -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 1, 2, 3, 4];
    message.resize(236, 0);
    message.extend_from_slice(&[0x63, 0x82, 0x53, 0x63, 53, 1, 8, 55, 3, 1, 3, 6, 255]);
    udp_packet((CLIENT, 68), (Ipv4Addr::BROADCAST, 67), &message).to_vec()
}

fn framed(destination: Mac, source: Mac, kind: EtherType, payload: &[u8]) -> Vec<u8> {
    [&header(destination, source, kind)[..], payload].concat()
}

fn ether() -> Vec<(&'static str, Vec<u8>)> {
    let with = |mtu: u16, bytes: &[u8]| [&mtu.to_be_bytes()[..], bytes].concat();
    let long = udp_packet((CLIENT, 4000), (OTHER, 4001), &[7; 700]).to_vec();
    let mut unfragmented = long.clone();
    unfragmented[6] = 0x40;
    let tagged = [
        &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 8, 0][..],
        &syn(CLIENT, OTHER, 0),
    ]
    .concat();
    vec![
        ("arp", with(0, &Arp::request(LAN_MAC, GATEWAY, CLIENT).frame(Mac::BROADCAST))),
        ("arp-bare", with(0, &Arp::announcement(LAN_MAC, GATEWAY).emit())),
        ("syn", with(1200, &framed(Mac::BROADCAST, LAN_MAC, EtherType::IPV4, &syn(CLIENT, OTHER, 0)))),
        ("syn-odd", with(1200, &syn(CLIENT, OTHER, 1))),
        ("fragments", with(300, &long)),
        ("too-big", with(576, &unfragmented)),
        ("tags", with(1400, &tagged)),
        ("dhcp", with(1400, &dhcp())),
        ("mac", with(0, b"02:00:5e:00-53:af")),
        ("network", with(0, b"10.60.0.0/24")),
    ]
}

fn names() -> Vec<(&'static str, Vec<u8>)> {
    let names: [(&str, &str); 12] = [
        ("bare", "alice"),
        ("suffix", "alice@HUB1"),
        ("suffix-case", "alice@hub1"),
        ("prefix", "hub1\\alice"),
        ("unknown", "alice@example.org"),
        ("mail", "a@b@HUB1"),
        ("both", "hub1\\alice@HUB1"),
        ("blanks", "  alice@HUB1 \t"),
        ("umlaut", "jürgen@BÜRO"),
        ("edges", "\\alice@"),
        ("only-hub", "@HUB1"),
        ("sharp-s", "Straße\\ﬁ"),
    ];
    names.map(|(name, text)| (name, text.as_bytes().to_vec())).into()
}

fn phase1() -> Script {
    Script::new().step(ike_op::MAIN, &[]).step(ike_op::MAIN, &[]).step(ike_op::MAIN, &[])
}

fn quick() -> Script {
    phase1().step(ike_op::QUICK_1, &[]).step(ike_op::QUICK_3, &[])
}

fn ike_steps() -> Vec<(&'static str, Vec<u8>)> {
    let informational = |payloads: &[(PayloadType, Vec<u8>)]| chain(payloads);
    let mut list: Vec<(&str, Vec<u8>)> = first_messages()
        .into_iter()
        .map(|(name, message)| {
            (name, Script::new().step(ike_op::RAW, &message).step(ike_op::AGAIN, &[]).bytes())
        })
        .collect();
    list.extend([
        ("main", phase1().bytes()),
        ("quick", quick().bytes()),
        (
            "pfs",
            phase1()
                .step(ike_op::QUICK_1_PFS, &[])
                .step(ike_op::AGREED, &[])
                .step(ike_op::QUICK_3, &[])
                .bytes(),
        ),
        (
            "aggressive",
            Script::new()
                .step(ike_op::AGGRESSIVE, &[])
                .step(ike_op::AGGRESSIVE, &[])
                .step(ike_op::QUICK_1, &[])
                .bytes(),
        ),
        (
            "dpd",
            quick()
                .step(
                    ike_op::INFORMATIONAL,
                    &informational(&[notify(NotifyType::R_U_THERE, &cookies().bytes(), &[0, 0, 0, 1])]),
                )
                .bytes(),
        ),
        (
            "delete",
            quick()
                .step(ike_op::INFORMATIONAL, &informational(&[delete(&Delete::esp(&[0x1101]))]))
                .step(ike_op::INFORMATIONAL, &informational(&[delete(&Delete::isakmp(Cookies::default()))]))
                .bytes(),
        ),
        ("time", quick().step(ike_op::TIME, &[0x70, 0x80]).step(ike_op::TIME, &[1, 0]).bytes()),
        (
            "owner",
            quick()
                .step(ike_op::OWNER, &[0])
                .step(ike_op::TIME, &[0, 30])
                .step(ike_op::OWNER, &[1, 0, 0])
                .step(ike_op::TIME, &[0, 30])
                .step(ike_op::OWNER, &[3])
                .bytes(),
        ),
        (
            "again",
            quick().step(ike_op::AGAIN, &[]).step(ike_op::QUICK_1, &[]).step(ike_op::AGAIN, &[]).bytes(),
        ),
        (
            "cookies",
            phase1()
                .step(
                    ike_op::OUR_COOKIES,
                    &[
                        8, 16, 5, 1, 0, 0, 0, 9, 0, 0, 0, 44, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                        15, 16,
                    ],
                )
                .bytes(),
        ),
        (
            "eternal-offer",
            Script::new()
                .step(ike_op::MAIN, &eternal_offer())
                .step(ike_op::MAIN, &[])
                .step(ike_op::MAIN, &[])
                .bytes(),
        ),
        (
            "contact-in-5",
            Script::new()
                .step(ike_op::MAIN, &[])
                .step(ike_op::MAIN, &[])
                .step(
                    ike_op::MAIN,
                    &informational(&[notify(NotifyType::INITIAL_CONTACT, &cookies().bytes(), &[])]),
                )
                .bytes(),
        ),
        ("quick-payloads", phase1().step(ike_op::QUICK_1, &[]).step(ike_op::QUICK_1, &quick_offer()).bytes()),
    ]);
    list
}

/// The payloads of a Quick Mode that offers two suites, with addresses from before the NAT.
fn quick_offer() -> Vec<u8> {
    let address = |text: &str| text.parse::<Ipv4Addr>().unwrap().into();
    let attributes = |auth| {
        vec![
            Attribute::short(1, 1),
            Attribute::long(2, 3600),
            Attribute::short(1, 2),
            Attribute::long(2, 250_000),
            Attribute::short(4, 3),
            Attribute::short(5, auth),
            Attribute::short(6, 256),
        ]
    };
    let transforms = vec![
        Transform { number: 1, id: 12, attributes: attributes(5) },
        Transform { number: 2, id: 12, attributes: attributes(2) },
    ];
    let protocol = sekisho::wire::isakmp::sa::Protocol::ESP;
    let sa = Sa::new(vec![Proposal { number: 1, protocol, spi: vec![1, 2, 3, 4], transforms }]);
    chain(&[
        (PayloadType::SA, written(|w| sa.emit(w))),
        (PayloadType::NONCE, vec![5; 20]),
        (PayloadType::ID, written(|w| Identity::address(address("192.168.7.2"), 17, 0).emit(w))),
        (PayloadType::ID, written(|w| Identity::address(address("203.0.113.1"), 17, 1701).emit(w))),
        (PayloadType::NAT_OA, written(|w| NatOa(address("192.168.7.2")).emit(w))),
    ])
}

fn call() -> Script {
    (0..4).fold(Script::new(), |script, _| script.step(lns_op::NEXT, &[]))
}

fn body(kind: MessageType, avps: &[Avp<'_>]) -> Vec<u8> {
    Message::emit(ControlHeader::default(), kind, avps)[12..].to_vec()
}

fn lns_steps() -> Vec<(&'static str, Vec<u8>)> {
    let cdn = [
        Avp::mandatory(Value::AssignedSessionId(SessionId(0x2222))),
        Avp::mandatory(Value::ResultCode(ResultCode { result: 3, error: None, message: b"" })),
    ];
    let stop = [
        Avp::mandatory(Value::AssignedTunnelId(TunnelId(0x1111))),
        Avp::mandatory(Value::ResultCode(ResultCode { result: 1, error: Some(0), message: b"" })),
    ];
    let second = [
        Avp::mandatory(Value::AssignedSessionId(SessionId(0x3333))),
        Avp::mandatory(Value::CallSerialNumber(2)),
    ];
    let challenge = written(|w| Avp::mandatory(Value::Challenge(b"challenge")).emit(w));
    vec![
        ("call", call().bytes()),
        ("hello", call().step(lns_op::NEXT, &[]).step(lns_op::TIME, &[4, 0]).bytes()),
        (
            "hang-up",
            call()
                .step(lns_op::BODY, &body(MessageType::CDN, &cdn))
                .step(lns_op::BODY, &body(MessageType::STOP_CCN, &stop))
                .bytes(),
        ),
        ("second-call", call().step(lns_op::BODY, &body(MessageType::ICRQ, &second)).bytes()),
        (
            "data",
            call()
                .step(lns_op::DATA, &[0, 2, 0xff, 3, 0xc0, 0x21, 1, 1, 0, 4])
                .step(lns_op::DATA, &[0x4a, 2, 0, 1, 0, 2, 0, 0, 9, 9])
                .step(lns_op::PUT, b"frame")
                .bytes(),
        ),
        (
            "closed",
            call()
                .step(lns_op::CLOSE, &[0])
                .step(lns_op::CLOSE, &[1])
                .step(lns_op::TIME, &[1, 0])
                .step(lns_op::CLOSE, &[2])
                .bytes(),
        ),
        (
            "unanswered",
            Script::new()
                .step(lns_op::NEXT, &[])
                .step(lns_op::TIME, &[0, 100])
                .step(lns_op::NEXT, &[])
                .bytes(),
        ),
        (
            "many-tunnels",
            (1..8).fold(Script::new(), |script, id| script.step(lns_op::SCCRQ, &[0x50, id])).bytes(),
        ),
        (
            "challenge",
            Script::new()
                .step(lns_op::SCCRQ, &[&[0x11, 0x11], &challenge[..]].concat())
                .step(lns_op::NEXT, &[])
                .bytes(),
        ),
        (
            "zlb",
            call()
                .step(lns_op::ZLB, &[0, 0])
                .step(lns_op::ZLB, &[0, 9])
                .step(lns_op::ZLB, &[0xff, 0xff])
                .bytes(),
        ),
        (
            "raw",
            l2tp()
                .into_iter()
                .fold(Script::new(), |script, (_, message)| script.step(lns_op::RAW, &message))
                .bytes(),
        ),
    ]
}

fn link_steps() -> Vec<(&'static str, Vec<u8>)> {
    let with = |choice: u8, script: Script| [&[choice][..], &script.bytes()].concat();
    let up = || Script::new().step(link_op::FLOW, &[0, 60]);
    let frame = |bytes: &[u8]| Script::new().step(link_op::FLOW, &[0, 60]).step(link_op::RAW, bytes);
    vec![
        ("android", with(0x00, up().step(link_op::ECHO, &[]).step(link_op::TIME, &[3, 0]))),
        ("windows", with(0x01, up().step(link_op::PUT, &[0x45; 40]))),
        ("macos", with(0x02, up())),
        ("pap", with(0x23, up())),
        ("eap", with(0x33, up())),
        ("eap-md5", with(0x43, up())),
        ("client-role", with(0x04, up())),
        ("client-role-eap", with(0x37, up())),
        ("compressed", with(0x08, up().step(link_op::RAW, &[0x21, 0x45, 0, 0, 20]))),
        (
            "changed",
            with(0x00, Script::new().step(link_op::CHANGED, &[6, 1, 9, 0x80]).step(link_op::FLOW, &[0, 60])),
        ),
        (
            "lost",
            with(
                0x00,
                Script::new()
                    .step(link_op::LOST, &[])
                    .step(link_op::TIME, &[0, 40])
                    .step(link_op::FLOW, &[0, 60]),
            ),
        ),
        (
            "verdicts",
            with(
                0x80,
                up().step(link_op::VERDICT, b"\x00S=0000")
                    .step(link_op::ADDRESS, &[10, 60, 0, 7])
                    .step(link_op::FLOW, &[0, 60]),
            ),
        ),
        ("refused", with(0x80, up().step(link_op::VERDICT, &[]).step(link_op::FLOW, &[0, 60]))),
        ("closed", with(0x00, up().step(link_op::CLOSE, &[0, 2]).step(link_op::FLOW, &[0, 60]))),
        ("terminate", with(0x00, frame(&[0xff, 3, 0xc0, 0x21, 5, 9, 0, 8, 1, 2, 3, 4]))),
        (
            "renegotiate",
            with(
                0x00,
                frame(&[0xff, 3, 0xc0, 0x21, 1, 9, 0, 8, 1, 4, 5, 0xdc]).step(link_op::FLOW, &[0, 60]),
            ),
        ),
        (
            "ipcp-again",
            with(
                0x00,
                frame(&[0xff, 3, 0x80, 0x21, 1, 9, 0, 10, 3, 6, 10, 60, 0, 10]).step(link_op::FLOW, &[0, 60]),
            ),
        ),
        ("protocol-reject", with(0x00, frame(&[0xff, 3, 0xc0, 0x21, 8, 9, 0, 10, 0x80, 0x21, 1, 1, 0, 4]))),
        ("code-reject", with(0x00, frame(&[0xff, 3, 0xc0, 0x21, 7, 9, 0, 8, 1, 1, 0, 4]))),
        ("unknown-code", with(0x00, frame(&[0xff, 3, 0xc0, 0x21, 99, 9, 0, 8, 1, 1, 0, 4]))),
        ("ccp", with(0x00, frame(&[0xff, 3, 0x80, 0xfd, 1, 1, 0, 4]))),
        ("identification", with(0x01, frame(b"\xff\x03\xc0\x21\x0c\x02\x00\x12\x00\x00\x00\x00MSRASV5.20"))),
    ]
}

fn hub_steps() -> Vec<(&'static str, Vec<u8>)> {
    let from = |port: u8, frame: &[u8]| [&[port][..], frame].concat();
    let arp = |request: Arp| request.frame(Mac::BROADCAST).to_vec();
    let asked = from(2, &arp(Arp::request(LAN_MAC, GATEWAY, CLIENT)));
    let packet = udp_packet((CLIENT, 4000), (OTHER, 4001), b"to the other client").to_vec();
    let beyond = udp_packet((CLIENT, 4000), (Ipv4Addr::new(9, 9, 9, 9), 53), b"out").to_vec();
    let frame =
        framed(Mac::BROADCAST, LAN_MAC, EtherType::IPV4, &udp_packet((GATEWAY, 67), (CLIENT, 68), b"x"));
    vec![
        ("arp", Script::new().step(hub_op::FRAME, &asked).bytes()),
        ("neighbours", Script::new().step(hub_op::PACKET, &from(0, &packet)).bytes()),
        (
            "beyond",
            Script::new()
                .step(hub_op::PACKET, &from(0, &beyond))
                .step(hub_op::FRAME, &from(2, &arp(Arp::announcement(LAN_MAC, GATEWAY))))
                .step(hub_op::TIME, &[0, 10])
                .step(hub_op::PACKET, &from(1, &beyond))
                .bytes(),
        ),
        (
            "rogue",
            Script::new()
                .step(hub_op::FRAME, &from(3, &frame))
                .step(hub_op::POLICY, &[3, 0xff])
                .step(hub_op::FRAME, &from(3, &frame))
                .bytes(),
        ),
        (
            "moves",
            (0..6)
                .fold(Script::new(), |script, n| {
                    let port = 2 + n % 2;
                    script.step(hub_op::FRAME, &from(port, &frame)).step(hub_op::TIME, &[0, n])
                })
                .bytes(),
        ),
        (
            "many",
            (0..20)
                .fold(Script::new(), |script, n| {
                    let mac = Mac([2, 0, 0, 0, 1, n]);
                    script.step(
                        hub_op::FRAME,
                        &from(2, &arp(Arp::announcement(mac, Ipv4Addr::new(10, 60, 0, 100 + n)))),
                    )
                })
                .step(hub_op::TIME, &[1, 0])
                .bytes(),
        ),
        (
            "leave",
            Script::new()
                .step(hub_op::CLIENT, &[0])
                .step(hub_op::FRAME, &asked)
                .step(hub_op::CLIENT, &[0])
                .step(hub_op::PACKET, &from(1, &packet))
                .bytes(),
        ),
        (
            "own",
            Script::new()
                .step(hub_op::OWN_FRAME, &[&[0x80, 8, 0][..], &packet].concat())
                .step(
                    hub_op::OWN_FRAME,
                    &[&[0x80, 8, 6][..], &Arp::request(LAN_MAC, CLIENT, OTHER).emit()].concat(),
                )
                .bytes(),
        ),
        (
            "small",
            Script::new()
                .step(hub_op::MTU, &[1, 1, 0])
                .step(hub_op::CARD, &from(1, &frame))
                .step(hub_op::PACKET, &from(0, &udp_packet((CLIENT, 1), (OTHER, 2), &[3; 900])))
                .bytes(),
        ),
        ("dhcp", Script::new().step(hub_op::PACKET, &from(0, &dhcp())).bytes()),
        ("syn", Script::new().step(hub_op::PACKET, &from(0, &syn(CLIENT, OTHER, 1))).bytes()),
    ]
}

fn client_steps() -> Vec<(&'static str, Vec<u8>)> {
    let with = |choice: u8, script: Script| [&[choice][..], &script.bytes()].concat();
    let accepted = |name: &str| {
        // What the client offered comes back: an answer that a client takes.
        let (_, offer) = first_messages().into_iter().find(|(known, _)| *known == name).unwrap();
        let mut answer = vec![9; 8];
        answer.extend_from_slice(&offer[16..]);
        answer
    };
    let sccrp = body(
        MessageType::SCCRP,
        &[
            Avp::mandatory(Value::ProtocolVersion(0x0100)),
            Avp::mandatory(Value::FramingCapabilities(3)),
            Avp::mandatory(Value::HostName(b"gateway")),
            Avp::mandatory(Value::AssignedTunnelId(TunnelId(7))),
        ],
    );
    let icrp = body(MessageType::ICRP, &[Avp::mandatory(Value::AssignedSessionId(SessionId(8)))]);
    let numbered = |ns: u8, nr: u8, body: &[u8]| [&[0, ns, 0, nr][..], body].concat();
    let call = || {
        Script::new()
            .step(client_op::L2TP_OURS, &numbered(0, 1, &sccrp))
            .step(client_op::L2TP_OURS, &numbered(1, 3, &icrp))
            .step(client_op::L2TP_OURS, &numbered(2, 4, &[]))
    };
    vec![
        (
            "android",
            with(
                0,
                Script::new().step(client_op::IKE_OURS, &accepted("android")).step(client_op::TIME, &[1, 0]),
            ),
        ),
        ("strongswan", with(2, Script::new().step(client_op::IKE_OURS, &accepted("strongswan")))),
        (
            "windows",
            with(3, Script::new().step(client_op::IKE_OURS, &accepted("windows")).step(client_op::STOP, &[])),
        ),
        ("call", with(0, call().step(client_op::TIME, &[2, 0]).step(client_op::STOP, &[]))),
        ("call-apple", with(1, call().step(client_op::STOP, &[]))),
        ("data", with(2, call().step(client_op::L2TP, &[0, 2, 0, 0, 0, 0, 0xff, 3, 0xc0, 0x21]))),
        ("silence", with(3, Script::new().step(client_op::TIME, &[0xff, 0xff]))),
    ]
}

fn connected() -> Script {
    Script::new().step(worker_op::FLOW, &[0, 64])
}

fn worker_steps() -> Vec<(&'static str, Vec<u8>)> {
    let from = |device: u8, bytes: &[u8]| [&[device][..], bytes].concat();
    let message = |name: &str| first_messages().into_iter().find(|(known, _)| *known == name).unwrap().1;
    let strangers = ["android", "apple", "windows", "strongswan", "libreswan"];
    let packet = udp_packet((CLIENT, 4000), (Ipv4Addr::new(9, 9, 9, 9), 53), b"out").to_vec();
    let informational = |payloads: &[(PayloadType, Vec<u8>)]| from(0, &chain(payloads));
    let udp = |bytes: &[u8]| [&[0, 17, 6, 0xa5, 6, 0xa5, 0, 8 + bytes.len() as u8, 0, 0][..], bytes].concat();
    vec![
        ("connect", connected().bytes()),
        (
            "three",
            connected()
                .step(worker_op::FLOW, &[1, 64])
                .step(worker_op::FLOW, &[2, 64])
                .step(worker_op::TIME, &[0, 90])
                .bytes(),
        ),
        (
            "strangers",
            strangers
                .iter()
                .zip(0..)
                .fold(Script::new(), |script, (name, n)| {
                    script.step(worker_op::RAW, &from(n * 4, &message(name)))
                })
                .step(worker_op::TIME, &[0, 40])
                .bytes(),
        ),
        (
            "raw-l2tp",
            l2tp()
                .into_iter()
                .fold(Script::new(), |script, (_, message)| script.step(worker_op::RAW, &from(3, &message)))
                .bytes(),
        ),
        (
            "esp",
            Script::new()
                .step(worker_op::RAW, &from(2, &[1, 0, 0x12, 0x34, 0, 0, 0, 1, 2, 3, 4, 5]))
                .step(worker_op::FORGED, &[0, 0, 0, 0, 9])
                .bytes(),
        ),
        (
            "rekey",
            connected()
                .step(worker_op::QUICK, &[0])
                .step(worker_op::FLOW, &[0, 8])
                .step(worker_op::QUICK, &[0])
                .step(worker_op::TIME, &[14, 16])
                .bytes(),
        ),
        ("restart", connected().step(worker_op::RESTART, &[0]).step(worker_op::FLOW, &[0, 64]).bytes()),
        (
            "moved",
            connected()
                .step(worker_op::MOVED, &[0])
                .step(worker_op::PPP, &from(0, &[0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0]))
                .bytes(),
        ),
        (
            "deleted",
            connected()
                .step(
                    worker_op::INFORMATIONAL,
                    &informational(&[
                        delete(&Delete::esp(&[0x1101])),
                        delete(&Delete::isakmp(Cookies::default())),
                    ]),
                )
                .bytes(),
        ),
        (
            "terminate",
            connected()
                .step(worker_op::PPP, &from(0, &[0xff, 3, 0xc0, 0x21, 5, 1, 0, 4]))
                .step(worker_op::FLOW, &[0, 8])
                .bytes(),
        ),
        ("stop-ccn", connected().step(worker_op::L2TP, &from(0, &l2tp().swap_remove(4).1)).bytes()),
        (
            "again-l2tp",
            connected()
                .step(worker_op::L2TP, &from(0, &l2tp().swap_remove(3).1))
                .step(worker_op::TIME, &[0, 20])
                .bytes(),
        ),
        (
            "inner",
            connected()
                .step(worker_op::INNER, &udp(&l2tp().swap_remove(0).1))
                .step(worker_op::INNER, &[0, 59])
                .step(worker_op::INNER, &[0, 6, 1, 2])
                .bytes(),
        ),
        (
            "traffic",
            connected()
                .step(worker_op::FLOW, &[1, 64])
                .step(worker_op::PACKET, &from(0, &packet))
                .step(
                    worker_op::UPLINK,
                    &from(0, &Arp::request(Mac([2, 0, 0, 0, 0, 1]), GATEWAY, CLIENT).frame(Mac::BROADCAST)),
                )
                .bytes(),
        ),
        ("kicked", connected().step(worker_op::KICK, &[0]).step(worker_op::FLOW, &[0, 16]).bytes()),
        ("silence", connected().step(worker_op::TIME, &[0, 100]).step(worker_op::TIME, &[2, 0]).bytes()),
        ("shutdown", connected().step(worker_op::SHUTDOWN, &[]).step(worker_op::FLOW, &[1, 64]).bytes()),
        ("replayed", connected().step(worker_op::AGAIN, &[0]).step(worker_op::AGAIN, &[5]).bytes()),
        (
            "lost",
            Script::new()
                .step(worker_op::FLOW, &[0, 2])
                .step(worker_op::LOST, &[0])
                .step(worker_op::TIME, &[0, 60])
                .step(worker_op::FLOW, &[0, 64])
                .bytes(),
        ),
        (
            "changed",
            Script::new()
                .step(worker_op::FLOW, &[0, 4])
                .step(worker_op::CHANGED, &[0, 60, 1, 61, 2])
                .step(worker_op::FLOW, &[0, 64])
                .bytes(),
        ),
    ]
}
