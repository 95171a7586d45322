//! `hubs.NAME.address`: where clients' addresses come from.

use serde::Deserialize;

/// Where clients' addresses come from.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSource {
    /// The hub's own range.
    #[default]
    Pool,
    /// The DHCP server of the LAN behind the uplink, asked for each client.
    LanDhcp,
}

impl AddressSource {
    /// The name as it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::LanDhcp => "lan-dhcp",
        }
    }
}
