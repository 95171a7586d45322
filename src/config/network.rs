//! Networks and ranges of addresses inside a hub.
//!
//! What is inside a hub is IPv4 for now (IPv6 inside comes with IPV6CP); nothing outside the tunnel uses these types.

use crate::wire::inet;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{fmt, net::Ipv4Addr, str::FromStr};

/// An IPv4 network in CIDR notation, with no host bits set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network {
    address: Ipv4Addr,
    prefix: u8,
}

impl Network {
    /// The network that `address` is in.
    ///
    /// # Panics
    /// When `prefix` is above 32.
    #[must_use]
    pub const fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        assert!(prefix <= 32, "an IPv4 prefix has at most 32 bits");
        Self { address: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix }
    }

    /// The lowest address, which names the network.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// How many leading bits are the network's.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The mask that belongs to the prefix.
    #[must_use]
    pub const fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask(self.prefix))
    }

    /// The highest address, the directed broadcast.
    #[must_use]
    pub const fn broadcast(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | !mask(self.prefix))
    }

    /// The lowest address that a host may have.
    #[must_use]
    pub const fn first_host(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits().saturating_add(1))
    }

    /// The highest address that a host may have.
    #[must_use]
    pub const fn last_host(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.broadcast().to_bits().saturating_sub(1))
    }

    /// Every address that a host may have. (A /31 or /32 has none to spare; its range is what there is.)
    #[must_use]
    pub fn hosts(&self) -> AddressRange {
        let (first, last) = (self.first_host(), self.last_host());
        AddressRange { first: first.min(last), last: first.max(last) }
    }

    /// Whether `address` lies in this network, its two ends included.
    #[must_use]
    pub const fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.address.to_bits()
    }

    /// Whether a host of this network may have `address`.
    #[must_use]
    pub fn has_host(&self, address: Ipv4Addr) -> bool {
        self.contains(address) && address != self.address && address != self.broadcast()
    }

    /// Whether the two share an address.
    #[must_use]
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

impl From<Network> for inet::Network {
    fn from(network: Network) -> Self {
        Self { address: network.address, prefix: network.prefix }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("`{text}` is not a network: write address/prefix, such as 10.60.0.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(refusal)?;
        let address: Ipv4Addr = address.parse().map_err(|_| refusal())?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(refusal)?;
        let network = Self::containing(address, prefix);
        if network.address == address {
            Ok(network)
        } else {
            Err(format!("`{text}` is an address inside a network: the network is {network}"))
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

/// Consecutive addresses, both ends included: `10.60.0.10-10.60.0.250`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRange {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

impl AddressRange {
    /// The addresses from `first` to `last`; `None` when they are in the wrong order.
    #[must_use]
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(&self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> Ipv4Addr {
        self.last
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// How many there are (2^32 does not fit, but a range that large is in no network that `check` accepts).
    #[must_use]
    pub const fn len(&self) -> u32 {
        (self.last.to_bits() - self.first.to_bits()).saturating_add(1)
    }

    /// Never: a range has at least one address.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refusal = || format!("`{text}` is not a range: write first-last, such as 10.60.0.10-10.60.0.250");
        let (first, last) = text.split_once('-').ok_or_else(refusal)?;
        let first: Ipv4Addr = first.trim().parse().map_err(|_| refusal())?;
        let last: Ipv4Addr = last.trim().parse().map_err(|_| refusal())?;
        Self::new(first, last).ok_or_else(|| format!("the range `{text}` ends before it begins"))
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl<'de> Deserialize<'de> for AddressRange {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_knows_its_ends() {
        let office = network("10.60.0.0/24");
        assert_eq!(office.netmask(), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(office.first_host(), Ipv4Addr::new(10, 60, 0, 1));
        assert_eq!(office.last_host(), Ipv4Addr::new(10, 60, 0, 254));
        assert_eq!(office.broadcast(), Ipv4Addr::new(10, 60, 0, 255));
        assert!(office.has_host(Ipv4Addr::new(10, 60, 0, 77)));
        assert!(!office.has_host(Ipv4Addr::new(10, 60, 0, 255)));
        assert!(!office.has_host(Ipv4Addr::new(10, 60, 1, 1)));
        assert_eq!(network("0.0.0.0/0").broadcast(), Ipv4Addr::BROADCAST);
        assert_eq!(network("10.0.0.1/32").to_string(), "10.0.0.1/32");
    }

    #[test]
    fn overlap_is_either_one_inside_the_other() {
        assert!(network("10.0.0.0/8").overlaps(&network("10.60.0.0/24")));
        assert!(network("10.60.0.0/24").overlaps(&network("10.0.0.0/8")));
        assert!(!network("10.60.0.0/24").overlaps(&network("10.61.0.0/24")));
    }

    #[test]
    fn host_bits_are_refused_with_the_network_meant() {
        let error = "10.60.0.1/24".parse::<Network>().unwrap_err();
        assert!(error.contains("10.60.0.0/24"), "{error}");
        for text in ["10.60.0.0", "10.60.0.0/33", "10.60.0/24", "fd00::/8", "/24", "10.60.0.0/"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_run_upwards() {
        let range: AddressRange = "10.60.0.10 - 10.60.0.250".parse().unwrap();
        assert_eq!(range.to_string(), "10.60.0.10-10.60.0.250");
        assert_eq!(range.len(), 241);
        assert!(
            range.contains(Ipv4Addr::new(10, 60, 0, 250)) && !range.contains(Ipv4Addr::new(10, 60, 0, 251))
        );
        for text in ["10.60.0.10", "10.60.0.10-", "10.60.0.10-9", "10.60.0.10-10.60.0.9"] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }
}
