//! The addresses of one hub: who has which, for how long, and who had it before. The same leases serve IPCP (a link
//! holds its address until it closes) and DHCP on the wire (until a time).

use super::{Mac, PortId};
use crate::wire::inet::Network;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::pool::Pool;

/// For whom an address is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// A PPP link.
    Link {
        /// The user, folded to one case.
        user: SmolStr,
        /// What tells the user's devices apart.
        device: SmolStr,
        /// Which of several links of the same user and device; 0 for the first.
        instance: u32,
    },
    /// A DHCP client: its client identifier, or hardware type and address (RFC 2131 section 4.2).
    Station(Box<[u8]>),
}

impl Key {
    /// Whether both are links of one user.
    pub(super) fn is_same_user(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Link { user, .. }, Self::Link { user: same, .. }) if user == same)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link { user, device, instance: 0 } => write!(f, "{user} ({device})"),
            Self::Link { user, device, instance } => write!(f, "{user} ({device}, link {})", instance + 1),
            Self::Station(id) => {
                f.write_str("station ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// For whom an address is kept.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reserved {
    /// A user ([`folded`](crate::identity::folded) to one case), whatever the device.
    User(Box<str>),
    /// A station, by its MAC address.
    Mac(Mac),
    /// A station, by its DHCP client identifier.
    Station(Box<[u8]>),
    /// Nobody: never given.
    Nobody,
}

/// What a pool gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The hub's network.
    pub network: Network,
    /// The gateway's address, never given; `None` if the hub has none.
    pub gateway: Option<Ipv4Addr>,
    /// First and last address that are given to anybody.
    pub range: (Ipv4Addr, Ipv4Addr),
    /// How long an address is given to a DHCP client.
    pub lease: Duration,
    /// Addresses of the network that are kept, inside or outside the range.
    pub reserved: BTreeMap<Ipv4Addr, Reserved>,
    /// How long an address goes to nobody else after its holder has left, so that a device that lost its connection
    /// finds it again.
    pub hold: Duration,
    /// How many past holders are remembered.
    pub remember: usize,
}

impl Settings {
    /// All of `network`, the gateway being its first address.
    #[must_use]
    pub fn of_network(network: Network) -> Self {
        let first = network.address.to_bits() + u32::from(network.prefix < 31);
        let last = network.last().to_bits() - u32::from(network.prefix < 31);
        let gateway = (network.prefix < 32).then_some(Ipv4Addr::from_bits(first));
        let from = if network.prefix < 32 { first + 1 } else { first };
        Self {
            network,
            gateway,
            range: (Ipv4Addr::from_bits(from.min(last)), Ipv4Addr::from_bits(last)),
            lease: Duration::from_secs(8 * 3600),
            reserved: BTreeMap::new(),
            hold: Duration::ZERO,
            remember: 65_536,
        }
    }

    pub(super) fn may_be_given(&self, address: Ipv4Addr) -> bool {
        self.network.is_host(address) && self.gateway != Some(address)
    }

    pub(super) fn in_range(&self, address: Ipv4Addr) -> bool {
        (self.range.0..=self.range.1).contains(&address)
    }

    /// Whether this address may be somebody's by choice.
    pub(super) fn may_be_chosen(&self, address: Ipv4Addr) -> bool {
        self.may_be_given(address) && !self.reserved.contains_key(&address)
    }

    /// Whether anybody may get this address.
    pub(super) fn is_anybodys(&self, address: Ipv4Addr) -> bool {
        self.in_range(address) && self.may_be_chosen(address)
    }
}

/// How long an address is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    /// As long as this port is open.
    Port(PortId),
    /// Offered until then, in the hope of a request.
    Offer(Instant),
    /// Leased until then.
    Until(Instant),
}

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// When.
    pub now: Instant,
    /// For whom.
    pub key: Key,
    /// How long.
    pub term: Term,
    /// The MAC address that will use it.
    pub mac: Mac,
    /// The address that this holder must have (from RADIUS); a reservation of the pool does the same.
    pub fixed: Option<Ipv4Addr>,
    /// An address that the client has chosen itself, and may have wherever it is free in the network.
    pub own: Option<Ipv4Addr>,
    /// The address that the client would like.
    pub wish: Option<Ipv4Addr>,
    /// What the client calls itself, for listings.
    pub name: Option<Box<str>>,
}

impl Request {
    /// A request without wishes.
    #[must_use]
    pub fn new(now: Instant, key: Key, mac: Mac, term: Term) -> Self {
        Self { now, key, term, mac, fixed: None, own: None, wish: None, name: None }
    }
}

/// Why no address is given.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Every address of the range is held, or kept for a device that may come back.
    #[error(
        "all {size} addresses from {first} to {last} are in use, or kept for devices that have just left"
    )]
    PoolEmpty {
        /// First of the range.
        first: Ipv4Addr,
        /// Last of the range.
        last: Ipv4Addr,
        /// How many addresses can be given in all.
        size: u32,
    },
    /// The fixed address of this holder is held by another: a second device of the user, or somebody who had it before
    /// it was fixed.
    #[error("the fixed address {address} is in use by {by}")]
    FixedInUse {
        /// The address.
        address: Ipv4Addr,
        /// Who holds it.
        by: Key,
    },
    /// The fixed address is not one that a host of the network can have.
    #[error("the fixed address {address} is no host address of {network}")]
    FixedOutside {
        /// The address.
        address: Ipv4Addr,
        /// The hub's network.
        network: Network,
    },
}

/// Who holds an address, or held it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// A link that is up.
    Bound(PortId),
    /// Offered to a DHCP client.
    Offered(Instant),
    /// Leased to a DHCP client.
    Leased(Instant),
    /// Free again, remembered for its last holder since then.
    Past(Instant),
    /// Found in use by somebody else; not given again before then.
    Declined(Instant),
}

impl State {
    /// Whether nobody else may have the address.
    #[must_use]
    pub fn is_held(self) -> bool {
        !matches!(self, Self::Past(_))
    }
}

/// One address and its holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// For whom.
    pub key: Arc<Key>,
    /// Held or past.
    pub state: State,
    /// The MAC address that uses it.
    pub mac: Mac,
    /// What the client calls itself.
    pub name: Option<Box<str>>,
}
