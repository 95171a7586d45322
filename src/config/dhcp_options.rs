//! DHCP options as they are written.

use crate::wire::ether::Mac;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::net::Ipv4Addr;

/// `hubs.NAME.dhcp.options[]`: an option that has no key of its own.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct DhcpOption {
    /// Its number.
    pub code: u8,
    /// Its value as a text.
    pub text: Option<String>,
    /// Its value as IPv4 addresses.
    pub addresses: Option<Vec<Ipv4Addr>>,
    /// Its value in hexadecimal digits.
    pub hex: Option<String>,
    /// Whether clients that do not ask for it get it.
    #[serde(default)]
    pub always: bool,
}

impl DhcpOption {
    /// The value, if it is given once and can be read.
    #[must_use]
    pub fn value(&self) -> Option<Vec<u8>> {
        match (&self.text, &self.addresses, &self.hex) {
            (Some(text), None, None) => Some(text.clone().into_bytes()),
            (None, Some(list), None) => Some(list.iter().flat_map(Ipv4Addr::octets).collect()),
            (None, None, Some(hex)) => {
                let digits: Vec<u8> =
                    hex.bytes().filter(|byte| !matches!(byte, b' ' | b':' | b'-')).collect();
                let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
                let whole = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
                digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>().filter(|_| whole)
            }
            _ => None,
        }
    }
}

/// How a client of NetBIOS looks names up (RFC 1001 section 10).
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// By broadcast.
    Broadcast,
    /// At the name server.
    Peer,
    /// By broadcast first.
    Mixed,
    /// At the name server first.
    Hybrid,
}

impl NodeType {
    /// Its number (RFC 2132 section 8.7).
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Broadcast => 1,
            Self::Peer => 2,
            Self::Mixed => 4,
            Self::Hybrid => 8,
        }
    }
}

/// A MAC address as a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Station(pub Mac);

impl<'de> Deserialize<'de> for Station {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        let no = |_| D::Error::custom(format!("`{text}` is not a MAC address such as 5a:00:00:00:00:01"));
        text.parse().map(Self).map_err(no)
    }
}

/// `hubs.NAME.dhcp.reservations[]`: an address that one station always gets.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// The station.
    pub mac: Station,
    /// Its address.
    pub address: Ipv4Addr,
}
