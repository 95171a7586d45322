//! What it takes to open a port. A client's port needs the proof that its user was authenticated; every other port needs
//! a permit that names why it may be there. Neither can be had by accident.

use super::Mac;
use super::ingress::Kind;
use super::policy::Policy;
use std::net::Ipv4Addr;

/// A station that is known to be behind an uplink, so that nobody has to learn or ask for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownStation {
    /// Its MAC address.
    pub mac: Mac,
    /// Its IPv4 addresses: the hub's gateway, as a rule.
    pub addresses: Vec<Ipv4Addr>,
}

/// Leave to open a port that is not a client's. Made only where configuration or an administrator says so.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a permit opens nothing by itself"]
pub struct UplinkPermit {
    pub(super) kind: Kind,
    pub(super) policy: Policy,
    pub(super) stations: Vec<KnownStation>,
}

impl UplinkPermit {
    /// The uplink that the hub's configuration asks for, with the stations that are known behind it.
    pub fn uplink_by_configuration(stations: Vec<KnownStation>) -> Self {
        Self { kind: Kind::Uplink, policy: Policy::trunk(), stations }
    }

    /// A bridge that the hub's configuration asks for.
    pub fn bridge_by_configuration() -> Self {
        Self { kind: Kind::Bridge, policy: Policy::trunk(), stations: Vec::new() }
    }

    /// A layer-3 switch that the configuration asks for, with its own station.
    pub fn router_by_configuration(station: KnownStation) -> Self {
        Self { kind: Kind::Router, policy: Policy::trunk(), stations: vec![station] }
    }

    /// A monitor that an administrator asks for.
    pub fn monitor_by_administrator() -> Self {
        Self { kind: Kind::Monitor, policy: Policy::trunk(), stations: Vec::new() }
    }

    /// The same permit under other rules.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}
