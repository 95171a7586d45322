//! A rule as an administrator writes it.

use crate::wire::ether::Mac;
use crate::wire::inet::Network;
use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It goes on.
    Pass,
    /// It ends here.
    Discard,
}

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Carries {
    /// ARP.
    Arp,
    /// Any IPv4.
    Ipv4,
    /// Any IPv6.
    Ipv6,
    /// An IP protocol, in IPv4 or IPv6.
    Protocol(u8),
}

/// A prefix of either family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Net {
    /// IPv4.
    V4(Network),
    /// IPv6: a prefix and its length.
    V6(Ipv6Addr, u8),
}

/// MAC addresses that agree in some of their bits: `5a:00:00:00:00:01`, or `5a:12:34:00:00:00/ff:ff:ff:00:00:00`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Macs {
    mac: Mac,
    mask: Mac,
}

impl Macs {
    /// Those that agree with an address in the bits of a mask.
    #[must_use]
    pub const fn new(mac: Mac, mask: Mac) -> Self {
        Self { mac: Mac::from_u64(mac.to_u64() & mask.to_u64()), mask }
    }

    /// Whether an address is one of them.
    #[must_use]
    #[inline]
    pub const fn contains(&self, mac: Mac) -> bool {
        mac.to_u64() & self.mask.to_u64() == self.mac.to_u64()
    }
}

impl From<Mac> for Macs {
    fn from(mac: Mac) -> Self {
        Self::new(mac, Mac([0xFF; 6]))
    }
}

impl FromStr for Macs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || {
            format!(
                "`{text}` is not a MAC address such as 5a:00:00:00:00:01, and not one with a mask such as 5a:12:34:00:00:00/ff:ff:ff:00:00:00"
            )
        };
        let (mac, mask) = match text.split_once('/') {
            Some((mac, mask)) => (mac, mask.parse().map_err(|_| refusal())?),
            None => (text, Mac([0xFF; 6])),
        };
        Ok(Self::new(mac.parse().map_err(|_| refusal())?, mask))
    }
}

impl fmt::Display for Macs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mask == Mac([0xFF; 6]) { self.mac.fmt(f) } else { write!(f, "{}/{}", self.mac, self.mask) }
    }
}

/// A range of TCP or UDP ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
}

impl Ports {
    /// Whether a port is in it.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// What must be true of a frame's sender, or of its receiver. `None` asks for nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Side {
    /// One of these users, by folded names.
    pub users: Option<BTreeSet<Box<str>>>,
    /// A station of these.
    pub mac: Option<Macs>,
    /// An address in here.
    pub net: Option<Net>,
    /// A port of TCP or UDP.
    pub ports: Option<Ports>,
}

/// A rule: everything that it asks for must be true.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// What becomes of the frames that it fits.
    pub action: Action,
    /// Of which protocol.
    pub carries: Option<Carries>,
    /// Only TCP segments of connections that are there (ACK or RST set).
    pub established: bool,
    /// The sender.
    pub from: Side,
    /// The receiver.
    pub to: Side,
    /// The rule in the words of its author.
    pub text: Box<str>,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Discard => "discard",
        })
    }
}
