//! What a hub takes from behind its uplink, and how much there may be of what.

use super::Limit;
use serde::Deserialize;

/// `hubs.NAME.uplink_rules`: for frames that come in from behind an uplink.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct UplinkRules {
    /// Whether what only DHCP servers send is discarded.
    pub dhcp_guard: bool,
    /// Whether IPv6 router advertisements are discarded.
    pub ra_guard: bool,
    /// Whether ARP that claims an address of a client or of the hub is discarded.
    pub arp_guard: bool,
    /// How many MAC addresses may be behind it.
    pub max_macs: u32,
    /// How many IPv4 addresses may be behind it.
    pub max_ips: Limit<u32>,
    /// Whether IPv4 is discarded whose source is not its station's own address.
    pub no_routing: bool,
    /// Whether multicast may come in.
    pub multicast: bool,
    /// Broadcast, multicast and flooded frames a second.
    pub broadcasts: u32,
}

impl Default for UplinkRules {
    fn default() -> Self {
        Self {
            dhcp_guard: false,
            ra_guard: false,
            arp_guard: true,
            max_macs: 16_384,
            max_ips: Limit::None,
            no_routing: false,
            multicast: true,
            broadcasts: 2000,
        }
    }
}

/// `hubs.NAME.limits`.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct HubLimits {
    /// Sessions of all its users.
    pub sessions: Limit<u32>,
    /// MAC addresses that are learned.
    pub macs: u32,
    /// IP addresses that are learned.
    pub ips: u32,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self { sessions: Limit::None, macs: 65_536, ips: 65_536 }
    }
}
