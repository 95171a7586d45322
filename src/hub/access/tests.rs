//! The compiled list against a naive reading of the rules, and what evades it not.

use super::{Action, Carries, Classes, Compiled, Macs, Net, Ports, Rule, Side};
use crate::wire::ether::{EtherType, Frame, Mac, header};
use crate::wire::inet::Network;
use proptest::prelude::*;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

const MACS: [Mac; 3] = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2]), Mac([2, 0, 0, 0, 0, 3])];
const USERS: [&str; 2] = ["jiro", "yas"];

/// What a frame is, before it is bytes.
#[derive(Clone, Debug)]
struct Packet {
    /// Stations 0 and 1 are those of the users, 2 is nobody's.
    from: usize,
    to: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Arp,
    V4 { from: u8, to: u8, protocol: u8, ports: (u16, u16), flags: u8 },
    V6 { from: u8, to: u8, protocol: u8, ports: (u16, u16), flags: u8, headers: u8 },
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, last)
}

fn v6(last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last.into())
}

fn transport(protocol: u8, ports: (u16, u16), flags: u8) -> Vec<u8> {
    let mut bytes = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    bytes.resize(20, 0);
    if protocol == 6 {
        bytes[13] = flags;
    }
    bytes
}

impl Packet {
    fn bytes(&self) -> Vec<u8> {
        let (ethertype, payload) = match &self.kind {
            Kind::Arp => (EtherType::ARP, vec![0; 28]),
            Kind::V4 { from, to, protocol, ports, flags } => {
                let inner = transport(*protocol, *ports, *flags);
                let mut packet = vec![0x45, 0, 0, 20 + inner.len() as u8, 0, 0, 0, 0, 64, *protocol, 0, 0];
                packet.extend(v4(*from).octets());
                packet.extend(v4(*to).octets());
                packet.extend(inner);
                (EtherType::IPV4, packet)
            }
            Kind::V6 { from, to, protocol, ports, flags, headers } => {
                let first = if *headers > 0 { 60 } else { *protocol };
                let mut packet = vec![0x60, 0, 0, 0, 0, 0, first, 64];
                packet.extend(v6(*from).octets());
                packet.extend(v6(*to).octets());
                for n in (0..*headers).rev() {
                    packet.extend([if n == 0 { *protocol } else { 60 }, 0, 1, 4, 0, 0, 0, 0]);
                }
                packet.extend(transport(*protocol, *ports, *flags));
                (EtherType::IPV6, packet)
            }
        };
        [&header(MACS[self.to], MACS[self.from], ethertype)[..], &payload].concat()
    }

    /// The naive reading of one side of a rule.
    fn side_fits(&self, side: &Side, sender: bool) -> bool {
        let station = if sender { self.from } else { self.to };
        let user = USERS.get(station).copied();
        let (family, last, ports) = match &self.kind {
            Kind::Arp => (0, 0, None),
            Kind::V4 { from, to, protocol, ports, .. } => {
                (4, if sender { *from } else { *to }, Some((*protocol, *ports)))
            }
            Kind::V6 { from, to, protocol, ports, .. } => {
                (6, if sender { *from } else { *to }, Some((*protocol, *ports)))
            }
        };
        let port = ports.filter(|(protocol, _)| matches!(protocol, 6 | 17));
        let port = port.map(|(_, ports)| if sender { ports.0 } else { ports.1 });
        side.users.as_ref().is_none_or(|users| user.is_some_and(|user| users.contains(user)))
            && side.mac.is_none_or(|mac| mac.contains(MACS[station]))
            && match side.net {
                None => true,
                Some(Net::V4(net)) => {
                    family == 4
                        && u32::from(v4(last)) >> (32 - net.prefix)
                            == u32::from(net.address) >> (32 - net.prefix)
                }
                Some(Net::V6(net, length)) => {
                    family == 6 && u128::from(v6(last)) >> (128 - length) == u128::from(net) >> (128 - length)
                }
            }
            && side
                .ports
                .is_none_or(|ports| port.is_some_and(|port| (ports.first..=ports.last).contains(&port)))
    }

    fn fits(&self, rule: &Rule) -> bool {
        let carries = match (rule.carries, &self.kind) {
            (None, kind) => !matches!(kind, Kind::Arp),
            (Some(Carries::Arp), Kind::Arp)
            | (Some(Carries::Ipv4), Kind::V4 { .. })
            | (Some(Carries::Ipv6), Kind::V6 { .. }) => true,
            (Some(Carries::Protocol(own)), Kind::V4 { protocol, .. } | Kind::V6 { protocol, .. }) => {
                own == *protocol
            }
            _ => false,
        };
        let established = match &self.kind {
            Kind::V4 { protocol: 6, flags, .. } | Kind::V6 { protocol: 6, flags, .. } => {
                flags & 0b1_0100 != 0
            }
            _ => false,
        };
        carries
            && (!rule.established || established)
            && self.side_fits(&rule.from, true)
            && self.side_fits(&rule.to, false)
    }
}

fn packets() -> impl Strategy<Value = Packet> {
    let protocol = || prop::sample::select(vec![1_u8, 6, 17, 58, 47]);
    let ports = || (20_u16..26, 20_u16..26);
    let kind = prop_oneof![
        1 => Just(Kind::Arp),
        4 => (0_u8..16, 0_u8..16, protocol(), ports(), 0_u8..64)
            .prop_map(|(from, to, protocol, ports, flags)| Kind::V4 { from, to, protocol, ports, flags }),
        3 => (0_u8..16, 0_u8..16, protocol(), ports(), 0_u8..64, 0_u8..4)
            .prop_map(|(from, to, protocol, ports, flags, headers)| Kind::V6 { from, to, protocol, ports, flags, headers }),
    ];
    (0_usize..3, 0_usize..3, kind).prop_map(|(from, to, kind)| Packet { from, to, kind })
}

fn sides() -> impl Strategy<Value = Side> {
    let users =
        prop::option::weighted(0.3, prop::collection::btree_set(prop::sample::select(USERS.to_vec()), 0..3));
    let users = users.prop_map(|users| users.map(|users| users.into_iter().map(Box::from).collect()));
    let net = prop_oneof![
        (0_u8..16, 24_u8..=32).prop_map(|(last, prefix)| Net::V4(Network::new(v4(last), prefix).unwrap())),
        (0_u8..16, 120_u8..=128).prop_map(|(last, length)| {
            let mask = u128::MAX << (128 - length);
            Net::V6((u128::from(v6(last)) & mask).into(), length)
        }),
    ];
    let ports = (20_u16..26, 0_u16..4).prop_map(|(first, more)| Ports { first, last: first + more });
    (
        users,
        prop::option::weighted(0.2, prop::sample::select(MACS.to_vec()).prop_map(Macs::from)),
        prop::option::weighted(0.4, net),
        prop::option::weighted(0.2, ports),
    )
        .prop_map(|(users, mac, net, ports)| Side { users, mac, net, ports })
}

#[test]
fn a_mask_names_many_stations() {
    let macs: Macs = "02:12:34:56:78:9a/ff:ff:ff:00:00:00".parse().unwrap();
    assert_eq!(macs.to_string(), "02:12:34:00:00:00/ff:ff:ff:00:00:00");
    assert!(macs.contains(Mac([2, 0x12, 0x34, 0, 0, 0])) && macs.contains(Mac([2, 0x12, 0x34, 9, 9, 9])));
    assert!(!macs.contains(Mac([2, 0x12, 0x35, 0, 0, 0])));
    let one: Macs = "02:00:00:00:00:01".parse().unwrap();
    assert_eq!((one, one.to_string().as_str()), (Macs::from(MACS[0]), "02:00:00:00:00:01"));
    assert!(one.contains(MACS[0]) && !one.contains(MACS[1]));
    for wrong in ["", "02", "02:00:00:00:00:01/", "02:00:00:00:00:01/8", "/ff:ff:ff:00:00:00"] {
        assert!(wrong.parse::<Macs>().is_err(), "{wrong}");
    }
    let all: Macs = "00:00:00:00:00:00/00:00:00:00:00:00".parse().unwrap();
    assert!(MACS.iter().all(|mac| all.contains(*mac)));
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let carries = prop::sample::select(vec![
        None,
        Some(Carries::Arp),
        Some(Carries::Ipv4),
        Some(Carries::Ipv6),
        Some(Carries::Protocol(6)),
        Some(Carries::Protocol(17)),
        Some(Carries::Protocol(58)),
    ]);
    let rule = (any::<bool>(), carries, prop::bool::weighted(0.1), sides(), sides()).prop_map(
        |(pass, carries, established, from, to)| Rule {
            action: if pass { Action::Pass } else { Action::Discard },
            carries,
            established,
            from,
            to,
            text: Box::default(),
        },
    );
    prop::collection::vec(rule, 0..12)
}

/// A list and the classes of both users' stations.
fn compile(rules: Vec<Rule>) -> (Compiled, [u16; 3]) {
    let rules: Arc<[Rule]> = rules.into();
    let mut classes = Classes::default();
    let [jiro, yas] = USERS.map(|user| classes.admit(user, &rules).unwrap().0);
    (Compiled::new(&rules, &classes, &Compiled::default()), [jiro, yas, 0])
}

fn passes(list: &Compiled, classes: [u16; 3], bytes: &[u8]) -> bool {
    let class = |mac| MACS.iter().position(|known| *known == mac).map_or(0, |at| classes[at]);
    list.passes(&Frame::parse(bytes).unwrap(), bytes.len(), class)
}

proptest! {
    #[test]
    fn lists_decide_as_a_naive_reader_does(rules in rules(), packets in prop::collection::vec(packets(), 1..40)) {
        let (list, classes) = compile(rules.clone());
        let mut met = vec![0_u64; rules.len()];
        for packet in &packets {
            let first = rules.iter().position(|rule| packet.fits(rule));
            let expected = first.is_none_or(|at| rules[at].action == Action::Pass);
            if let Some(at) = first {
                met[at] += 1;
            }
            prop_assert_eq!(passes(&list, classes, &packet.bytes()), expected, "{:?}", packet);
        }
        let counted: Vec<u64> = list.counted().map(|counted| counted.frames).collect();
        prop_assert_eq!(counted, met);
    }
}

fn discard(carries: Carries, port: u16) -> Rule {
    let to = Side { ports: Some(Ports { first: port, last: port }), ..Side::default() };
    let (carries, from) = (Some(carries), Side::default());
    Rule { action: Action::Discard, carries, established: false, from, to, text: Box::default() }
}

#[test]
fn fragments_do_not_write_over_what_was_judged() {
    let (list, classes) = compile(vec![discard(Carries::Protocol(6), 25)]);
    let kind = Kind::V4 { from: 1, to: 2, protocol: 6, ports: (1000, 80), flags: 2 };
    let whole = Packet { from: 0, to: 2, kind }.bytes();
    assert!(passes(&list, classes, &whole));
    let fragment = |eighths: u8, more: bool, length: usize| {
        let mut bytes = whole.clone();
        bytes.truncate(14 + 20 + length);
        bytes[14 + 3] = 20 + length as u8;
        bytes[14 + 6] = if more { 0x20 } else { 0 };
        bytes[14 + 7] = eighths;
        bytes
    };
    assert!(!passes(&list, classes, &fragment(1, false, 20)), "RFC 3128: over ports and flags");
    assert!(!passes(&list, classes, &fragment(0, true, 8)), "RFC 1858: a first fragment without flags");
    assert!(passes(&list, classes, &fragment(0, true, 16)));
    assert!(passes(&list, classes, &fragment(3, false, 20)), "a later fragment has no ports");
}

#[test]
fn rules_that_stay_keep_their_counts() {
    let rules: Arc<[Rule]> =
        vec![discard(Carries::Protocol(6), 25), discard(Carries::Protocol(17), 53)].into();
    let classes = Classes::default();
    let first = Compiled::new(&rules, &classes, &Compiled::default());
    let kind = Kind::V4 { from: 1, to: 2, protocol: 17, ports: (1000, 53), flags: 0 };
    let bytes = Packet { from: 0, to: 2, kind }.bytes();
    for _ in 0..3 {
        assert!(!passes(&first, [0; 3], &bytes));
    }
    let changed: Arc<[Rule]> = vec![rules[1].clone(), discard(Carries::Protocol(6), 26)].into();
    let second = Compiled::new(&changed, &classes, &first);
    assert!(!passes(&second, [0; 3], &bytes));
    let counts: Vec<_> = second.counted().map(|counted| (counted.frames, counted.bytes)).collect();
    assert_eq!(counts, [(4, 4 * bytes.len() as u64), (0, 0)]);
}
