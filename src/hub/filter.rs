//! What a monitor wants to see: an expression over the frame's addresses, tag, protocol and ports, in words like those
//! of other capture programs.
//!
//! ```text
//! expression = all { "or" all }
//! all        = one { "and" one }
//! one        = "not" one | "(" expression ")" | test
//! test       = "host" ADDRESS | "net" NETWORK | "mac" MAC | "port" NUMBER | "vlan" [NUMBER] | "proto" (NAME | NUMBER) | NAME
//! NAME       = "arp" | "ip" | "ip6" | "icmp" | "icmp6" | "tcp" | "udp" | "dhcp" | "dns" | "broadcast" | "multicast"
//! ```
//!
//! An address, a MAC or a port matches as the source's and as the destination's.

use super::access::{Address, Key, Net};
use crate::wire::ether::{Arp, EtherType, Frame, Mac};
use crate::wire::inet::{Network, Protocol};
use std::net::IpAddr;

/// The longest expression, in bytes.
pub const LONGEST: usize = 1024;

/// The deepest nesting.
const DEEPEST: usize = 16;

/// Why an expression is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FilterError {
    /// It is too long or too deep.
    #[error("the filter is too long")]
    TooLong,
    /// It ends in the middle.
    #[error("the filter ends too early: {0} is missing")]
    Ends(&'static str),
    /// A word that has no place there.
    #[error("the filter has `{found}` where {wanted} should be")]
    Unexpected {
        /// The word.
        found: String,
        /// What would have been right.
        wanted: &'static str,
    },
}

/// An expression that frames match or not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter(Option<Test>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Test {
    Or(Vec<Test>),
    And(Vec<Test>),
    Not(Box<Test>),
    Net(Net),
    Mac(Mac),
    Port(u16),
    Tagged,
    Vlan(u16),
    Type(EtherType),
    Protocol(u8),
    Broadcast,
    Multicast,
}

impl Filter {
    /// Reads an expression; an empty one matches every frame.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > LONGEST {
            return Err(FilterError::TooLong);
        }
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let mut words = Words { words: spaced.split_ascii_whitespace().collect(), at: 0 };
        if words.words.is_empty() {
            return Ok(Self(None));
        }
        let test = words.expression(0)?;
        match words.next() {
            None => Ok(Self(Some(test))),
            Some(word) => Err(unexpected(word, "`and`, `or` or the end")),
        }
    }

    /// Whether a frame matches.
    #[must_use]
    pub fn matches(&self, frame: &[u8]) -> bool {
        let Some(test) = &self.0 else { return true };
        Facts::of(frame).is_some_and(|facts| test.matches(&facts))
    }
}

fn unexpected(found: &str, wanted: &'static str) -> FilterError {
    FilterError::Unexpected { found: found.to_owned(), wanted }
}

struct Words<'a> {
    words: Vec<&'a str>,
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += usize::from(word.is_some());
        word
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.peek().is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        self.at += usize::from(found);
        found
    }

    fn expression(&mut self, depth: usize) -> Result<Test, FilterError> {
        let mut tests = vec![self.all(depth)?];
        while self.take("or") || self.take("||") {
            tests.push(self.all(depth)?);
        }
        Ok(one_or(tests, Test::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Test, FilterError> {
        let mut tests = vec![self.one(depth)?];
        while self.take("and") || self.take("&&") {
            tests.push(self.one(depth)?);
        }
        Ok(one_or(tests, Test::And))
    }

    fn one(&mut self, depth: usize) -> Result<Test, FilterError> {
        if depth > DEEPEST {
            return Err(FilterError::TooLong);
        }
        if self.take("not") || self.take("!") {
            return Ok(Test::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.take("(") {
            let test = self.expression(depth + 1)?;
            return match self.next() {
                Some(")") => Ok(test),
                Some(word) => Err(unexpected(word, "`)`")),
                None => Err(FilterError::Ends("`)`")),
            };
        }
        self.test()
    }

    fn test(&mut self) -> Result<Test, FilterError> {
        let word = self.next().ok_or(FilterError::Ends("a test"))?.to_ascii_lowercase();
        match word.as_str() {
            "host" => self.value("an address", |text| {
                let address: IpAddr = text.parse().ok()?;
                net(address, if address.is_ipv4() { 32 } else { 128 })
            }),
            "net" => self.value("a network such as 10.60.0.0/24", |text| {
                let (address, prefix) = text.split_once('/')?;
                net(address.parse().ok()?, prefix.parse().ok()?)
            }),
            "mac" => self.value("a MAC address", |text| text.parse().ok().map(Test::Mac)),
            "port" => self.value("a port", |text| text.parse().ok().map(Test::Port)),
            "proto" => self.value("a protocol's name or number", |text| {
                named(&text.to_ascii_lowercase()).or_else(|| text.parse().ok().map(Test::Protocol))
            }),
            "vlan" => {
                let number = self.peek().and_then(|text| text.parse().ok()).filter(|id| *id < 4096);
                self.at += usize::from(number.is_some());
                Ok(number.map_or(Test::Tagged, Test::Vlan))
            }
            _ => named(&word).ok_or_else(|| unexpected(&word, "a test such as `host 10.60.0.10`")),
        }
    }

    fn value(
        &mut self,
        wanted: &'static str,
        read: impl FnOnce(&str) -> Option<Test>,
    ) -> Result<Test, FilterError> {
        let text = self.next().ok_or(FilterError::Ends(wanted))?;
        read(text).ok_or_else(|| unexpected(text, wanted))
    }
}

fn one_or(mut tests: Vec<Test>, many: fn(Vec<Test>) -> Test) -> Test {
    match tests.pop() {
        Some(only) if tests.is_empty() => only,
        last => many(tests.into_iter().chain(last).collect()),
    }
}

/// Bits behind the prefix are nobody's business.
fn net(address: IpAddr, prefix: u8) -> Option<Test> {
    let net = match address {
        IpAddr::V4(address) => Net::V4(Network::new(address, prefix).ok()?),
        IpAddr::V6(address) => (prefix <= 128).then_some(Net::V6(address, prefix))?,
    };
    Some(Test::Net(net))
}

fn named(name: &str) -> Option<Test> {
    let udp = |ports: [u16; 2]| {
        let ports = Test::Or(ports.into_iter().map(Test::Port).collect());
        Test::And(vec![Test::Protocol(Protocol::UDP.0), ports])
    };
    Some(match name {
        "arp" => Test::Type(EtherType::ARP),
        "ip" => Test::Type(EtherType::IPV4),
        "ip6" => Test::Type(EtherType::IPV6),
        "icmp" => Test::Protocol(Protocol::ICMP.0),
        "icmp6" => Test::Protocol(Protocol::ICMPV6.0),
        "tcp" => Test::Protocol(Protocol::TCP.0),
        "udp" => Test::Protocol(Protocol::UDP.0),
        "dhcp" => udp([67, 68]),
        "dns" => Test::Port(53),
        "broadcast" => Test::Broadcast,
        "multicast" => Test::Multicast,
        _ => return None,
    })
}

/// What a frame shows.
struct Facts {
    macs: [Mac; 2],
    vlan: Option<u16>,
    hosts: [Option<Address>; 2],
    key: Key,
}

impl Facts {
    fn of(bytes: &[u8]) -> Option<Self> {
        let frame = Frame::parse(bytes).ok()?;
        let key = Key::of(&frame);
        let hosts = match frame.ethertype {
            EtherType::ARP => Arp::parse(frame.payload)
                .map_or([None; 2], |arp| [arp.sender, arp.target].map(|host| Some(Address::V4(host)))),
            _ => [key.source, key.destination],
        };
        Some(Self { macs: [frame.source, frame.destination], vlan: frame.vlan, hosts, key })
    }
}

impl Test {
    fn matches(&self, facts: &Facts) -> bool {
        match self {
            Self::Or(tests) => tests.iter().any(|test| test.matches(facts)),
            Self::And(tests) => tests.iter().all(|test| test.matches(facts)),
            Self::Not(test) => !test.matches(facts),
            Self::Net(net) => facts.hosts.iter().flatten().any(|host| host.is_in(*net)),
            Self::Mac(mac) => facts.macs.contains(mac),
            Self::Port(port) => facts.key.ports.is_some_and(|(a, b)| [a, b].contains(port)),
            Self::Tagged => facts.vlan.is_some(),
            Self::Vlan(id) => facts.vlan == Some(*id),
            Self::Type(ethertype) => facts.key.ethertype == *ethertype,
            Self::Protocol(protocol) => facts.key.protocol == Some(*protocol),
            Self::Broadcast => facts.macs[1].is_broadcast(),
            Self::Multicast => facts.macs[1].is_multicast(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ether::header;
    use crate::wire::inet::udp_packet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

    fn query() -> Vec<u8> {
        let mut packet =
            udp_packet((Ipv4Addr::new(10, 60, 0, 10), 5000), (Ipv4Addr::new(192, 0, 2, 53), 53), b"?");
        packet.put_front(&header(B, A, EtherType::IPV4));
        packet.to_vec()
    }

    fn tagged(id: u16) -> Vec<u8> {
        let mut frame = query();
        let [high, low] = id.to_be_bytes();
        frame.splice(12..12, [0x81, 0, high, low]);
        frame
    }

    #[test]
    fn a_test_matches_either_end() {
        for (text, yes) in [
            ("", true),
            ("host 10.60.0.10", true),
            ("host 192.0.2.53", true),
            ("host 10.60.0.11", false),
            ("net 10.60.0.0/24", true),
            ("net 0.0.0.0/0", true),
            ("net 10.61.0.0/24", false),
            ("mac 02:00:00:00:00:01", true),
            ("mac 02-00-00-00-00-02", true),
            ("mac 020000000003", false),
            ("port 53", true),
            ("port 54", false),
            ("udp", true),
            ("proto 17", true),
            ("proto tcp", false),
            ("dns and host 10.60.0.10", true),
            ("dhcp", false),
            ("arp", false),
            ("ip and not (port 80 or port 443)", true),
            ("not udp or host 10.60.0.11", false),
            ("IP AND UDP", true),
            ("vlan", false),
            ("host ::1 or ip6", false),
        ] {
            assert_eq!(Filter::parse(text).unwrap().matches(&query()), yes, "{text}");
        }
    }

    #[test]
    fn tags_are_seen_and_stepped_over() {
        for (text, yes) in [("vlan", true), ("vlan 7", true), ("vlan 8", false), ("vlan 7 and port 53", true)]
        {
            assert_eq!(Filter::parse(text).unwrap().matches(&tagged(7)), yes, "{text}");
        }
    }

    #[test]
    fn arp_and_ipv6_show_their_hosts() {
        let arp =
            Arp::request(A, Ipv4Addr::new(10, 60, 0, 10), Ipv4Addr::new(10, 60, 0, 1)).frame(Mac::BROADCAST);
        assert!(Filter::parse("arp and broadcast and host 10.60.0.1").unwrap().matches(&arp));
        let mut packet = vec![0x60, 0, 0, 0, 0, 16, 0, 64];
        packet.extend(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1).octets());
        packet.extend(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
        // Hop-by-hop options, then UDP.
        packet.extend([17, 0, 1, 4, 0, 0, 0, 0, 0, 53, 0, 99, 0, 8, 0, 0]);
        let frame = [&header(B, A, EtherType::IPV6)[..], &packet].concat();
        for (text, yes) in
            [("ip6 and udp and port 99", true), ("net fd00::/8", true), ("host fd00::2", false)]
        {
            assert_eq!(Filter::parse(text).unwrap().matches(&frame), yes, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, says) in [
            ("host", "an address is missing"),
            ("host nas", "`nas` where an address"),
            ("host 10.0.0.1 port 5", "`port` where `and`, `or`"),
            ("(tcp", "`)` is missing"),
            ("tcp)", "`)` where"),
            ("net 10.0.0.0/33", "such as 10.60.0.0/24"),
            ("port 65536", "a port"),
            ("and", "`and` where a test"),
            ("", ""),
        ] {
            let said = Filter::parse(text).map_or_else(|error| error.to_string(), |_| String::new());
            assert!(said.contains(says), "{text}: {said}");
        }
        assert_eq!(Filter::parse(&"(".repeat(200)), Err(FilterError::TooLong));
        assert_eq!(Filter::parse(&"x".repeat(LONGEST + 1)), Err(FilterError::TooLong));
    }
}
