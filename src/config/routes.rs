//! Routes that clients are told: `10.0.0.0/8`, or `192.168.7.0/24 via 10.60.0.2`.

use super::Network;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{fmt, net::Ipv4Addr, str::FromStr};

/// A network that lies behind the hub.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Route {
    /// The network.
    pub to: Network,
    /// The router of the hub that leads there; the gateway unless said.
    pub via: Option<Ipv4Addr>,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (to, via) = match text.split_once(" via ") {
            Some((to, via)) => (to, Some(via)),
            None => (text, None),
        };
        let refusal = || {
            format!(
                "`{text}` is not a route: write a network, such as 10.0.0.0/8 or 10.0.0.0/8 via 10.60.0.2"
            )
        };
        let via = via.map(|via| via.trim().parse()).transpose().map_err(|_| refusal())?;
        Ok(Self { to: to.trim().parse()?, via })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.via {
            Some(via) => write!(f, "{} via {via}", self.to),
            None => self.to.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        String::deserialize(input)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_print_as_they_are_written() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "192.168.7.0/24 via 10.60.0.2"] {
            assert_eq!(text.parse::<Route>().unwrap().to_string(), text);
        }
        for text in ["", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/8 via", "10.0.0.0/8 via here", "via 10.0.0.1"] {
            assert!(text.parse::<Route>().is_err(), "{text}");
        }
    }
}
