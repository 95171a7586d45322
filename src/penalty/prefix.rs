//! A range of addresses that share their first bits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A prefix: all bits behind its length are zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Prefix {
    address: IpAddr,
    length: u8,
}

impl Prefix {
    /// The prefix of this length that an address is in.
    #[must_use]
    pub fn of(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        match address {
            IpAddr::V4(v4) => {
                let length = length.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv4Addr::from_bits(v4.to_bits() & mask).into(), length }
            }
            IpAddr::V6(v6) => {
                let length = length.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                Self { address: Ipv6Addr::from_bits(v6.to_bits() & mask).into(), length }
            }
        }
    }

    /// What is taken for one place: a single IPv4 address, or the /64 that a household has.
    #[must_use]
    pub fn narrow(address: IpAddr) -> Self {
        Self::of(address, if address.to_canonical().is_ipv4() { 32 } else { 64 })
    }

    /// What is taken for one neighbourhood: a /24 of IPv4, a /48 of IPv6.
    #[must_use]
    pub fn wide(address: IpAddr) -> Self {
        Self::of(address, if address.to_canonical().is_ipv4() { 24 } else { 48 })
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address, self.length) == *self
    }

    /// Whether all of another prefix is in it.
    #[must_use]
    pub fn covers(&self, other: Self) -> bool {
        self.length <= other.length && self.contains(other.address)
    }

    /// Its first address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.address
    }

    /// The number of bits that count.
    #[must_use]
    pub const fn length(&self) -> u8 {
        self.length
    }

    /// Whether it is of IPv4.
    #[must_use]
    pub const fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    fn is_host(&self) -> bool {
        self.length == if self.is_ipv4() { 32 } else { 128 }
    }
}

/// What is not a prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not an address or prefix such as 203.0.113.7, 203.0.113.0/24 or 2001:db8::/48")]
pub struct NoPrefix(String);

impl FromStr for Prefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        let no = || NoPrefix(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| no())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| no())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        let prefix = Self::of(address, length);
        // Bits behind the length are a slip of the pen, and who knows which way.
        (length <= most && prefix.address == address).then_some(prefix).ok_or_else(no)
    }
}

impl<'de> serde::Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_host() { self.address.fmt(f) } else { write!(f, "{}/{}", self.address, self.length) }
    }
}
