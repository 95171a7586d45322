//! `hubs.NAME.uplink`: what a hub is plugged into, as a word or as a mapping that names interfaces.

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// What a hub is plugged into.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Uplink {
    /// `nat` where the host has TAP interfaces for us, else `usernat`; which of them is the shell's to say.
    #[default]
    Auto,
    /// The host forwards, with its own address in front.
    Nat,
    /// Ordinary sockets of this process: needs no right at all.
    UserNat,
    /// Nothing: the clients of the hub reach one another only.
    None,
    /// A TAP interface on the host, and nothing else is touched; named after the hub unless said.
    Tap(Option<String>),
    /// A TAP in a bridge of the host, which is made where it is not there.
    Bridge {
        /// The bridge.
        bridge: String,
        /// An interface that is put into it.
        interface: Option<String>,
    },
    /// An interface of the host, frame by frame.
    Interface(String),
}

/// The words that need no mapping.
const WORDS: &[&str] = &["nat", "usernat", "none", "tap"];

impl Uplink {
    /// Whether the host forwards for the hub.
    #[must_use]
    pub const fn is_nat(&self) -> bool {
        matches!(self, Self::Nat | Self::Auto)
    }

    /// Whether the gateway's address is ours, on whatever kind of NAT.
    #[must_use]
    pub const fn has_gateway(&self) -> bool {
        matches!(self, Self::Nat | Self::Auto | Self::UserNat)
    }

    /// Whether there are stations of a LAN behind it.
    #[must_use]
    pub const fn is_lan(&self) -> bool {
        matches!(self, Self::Tap(_) | Self::Bridge { .. } | Self::Interface(_))
    }

    /// The interfaces of the host that it names, with the keys that name them.
    pub fn interfaces(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let (first, second) = match self {
            Self::Auto | Self::Nat | Self::UserNat | Self::None => (None, None),
            Self::Tap(name) => (name.as_deref().map(|name| ("tap", name)), None),
            Self::Bridge { bridge, interface } => {
                (Some(("bridge", bridge.as_str())), interface.as_deref().map(|name| ("interface", name)))
            }
            Self::Interface(name) => (Some(("interface", name.as_str())), None),
        };
        first.into_iter().chain(second)
    }
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Nat => f.write_str("nat"),
            Self::UserNat => f.write_str("usernat"),
            Self::None => f.write_str("none"),
            Self::Tap(None) => f.write_str("tap"),
            Self::Tap(Some(name)) => write!(f, "tap {name}"),
            Self::Bridge { bridge, interface: None } => write!(f, "bridge {bridge}"),
            Self::Bridge { bridge, interface: Some(interface) } => {
                write!(f, "bridge {bridge} with {interface}")
            }
            Self::Interface(name) => write!(f, "interface {name}"),
        }
    }
}

impl<'de> Deserialize<'de> for Uplink {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            tap: Option<String>,
            bridge: Option<String>,
            interface: Option<String>,
        }

        struct WordOrFields;

        impl<'de> de::Visitor<'de> for WordOrFields {
            type Value = Uplink;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a mapping with `tap`, `bridge` or `interface`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Uplink, E> {
                match word {
                    "nat" => Ok(Uplink::Nat),
                    "usernat" => Ok(Uplink::UserNat),
                    "none" => Ok(Uplink::None),
                    "tap" => Ok(Uplink::Tap(None)),
                    _ => Err(E::unknown_variant(word, WORDS)),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Uplink, A::Error> {
                match Fields::deserialize(MapAccessDeserializer::new(map))? {
                    Fields { tap: Some(name), bridge: None, interface: None } => Ok(Uplink::Tap(Some(name))),
                    Fields { tap: None, bridge: Some(bridge), interface } => {
                        Ok(Uplink::Bridge { bridge, interface })
                    }
                    Fields { tap: None, bridge: None, interface: Some(name) } => Ok(Uplink::Interface(name)),
                    Fields { tap: Some(_), .. } => {
                        Err(de::Error::custom("`tap` goes with no other key here"))
                    }
                    Fields { .. } => {
                        Err(de::Error::custom("one of `tap`, `bridge` and `interface` is needed here"))
                    }
                }
            }
        }

        input.deserialize_any(WordOrFields)
    }
}
