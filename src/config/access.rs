//! Access lists as they are written.

use crate::hub::access::{Action, Carries, Macs, Ports};
use crate::penalty::Prefix;
use serde::{Deserialize, Deserializer, de::Error as _};

/// `hubs.NAME.access_list[]`: a rule.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// What becomes of the frames that it fits.
    #[serde(deserialize_with = "action")]
    pub action: Action,
    /// The sender is this user.
    pub user: Option<String>,
    /// The sender is of this group.
    pub group: Option<String>,
    /// The receiver is this user.
    pub to_user: Option<String>,
    /// The receiver is of this group.
    pub to_group: Option<String>,
    /// The sender's address.
    pub from: Option<Prefix>,
    /// The receiver's address.
    pub to: Option<Prefix>,
    /// The sender's MAC address.
    #[serde(default, deserialize_with = "macs")]
    pub from_mac: Option<Macs>,
    /// The receiver's MAC address.
    #[serde(default, deserialize_with = "macs")]
    pub to_mac: Option<Macs>,
    /// The protocol.
    pub protocol: Option<ProtocolName>,
    /// The sender's ports.
    pub from_port: Option<PortRange>,
    /// The receiver's ports.
    pub to_port: Option<PortRange>,
    /// TCP segments of connections that are there alone.
    #[serde(default)]
    pub established: bool,
}

fn action<'de, D: Deserializer<'de>>(input: D) -> Result<Action, D::Error> {
    match String::deserialize(input)?.as_str() {
        "pass" => Ok(Action::Pass),
        "discard" => Ok(Action::Discard),
        other => Err(D::Error::custom(format!("`{other}` is neither pass nor discard"))),
    }
}

fn macs<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Macs>, D::Error> {
    String::deserialize(input)?.parse().map(Some).map_err(D::Error::custom)
}

/// A protocol by name or number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtocolName(pub Carries);

/// The names, and the numbers of IANA that they stand for.
const PROTOCOLS: [(&str, u8); 10] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("ospf", 89),
    ("sctp", 132),
];

impl ProtocolName {
    /// The name in the file.
    #[must_use]
    pub fn text(self) -> String {
        match self.0 {
            Carries::Arp => "arp".to_owned(),
            Carries::Ipv4 => "ipv4".to_owned(),
            Carries::Ipv6 => "ipv6".to_owned(),
            Carries::Protocol(number) => {
                let name = PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name);
                name.map_or_else(|| number.to_string(), str::to_owned)
            }
        }
    }
}

impl<'de> Deserialize<'de> for ProtocolName {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = super::units::text_or_number(input, "a protocol such as tcp")?;
        let known = PROTOCOLS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
        let carries = match text.as_str() {
            "arp" => Some(Carries::Arp),
            "ipv4" => Some(Carries::Ipv4),
            "ipv6" => Some(Carries::Ipv6),
            _ => known.or_else(|| text.parse().ok()).map(Carries::Protocol),
        };
        carries.map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a protocol: tcp, udp, icmp, icmpv6, arp, ipv4, ipv6, or the number of an IP protocol"
            ))
        })
    }
}

/// A port, or the first and the last of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange(pub Ports);

impl PortRange {
    /// As it is written.
    #[must_use]
    pub fn text(self) -> String {
        let Ports { first, last } = self.0;
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = super::units::text_or_number(input, "a port, or a range of ports such as 8000-8080")?;
        let (first, last) = text.split_once('-').unwrap_or((&text, &text));
        let ports = first.trim().parse().ok().zip(last.trim().parse().ok());
        ports
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| Self(Ports { first, last }))
            .ok_or_else(|| {
                D::Error::custom(format!("`{text}` is neither a port nor a range of ports such as 8000-8080"))
            })
    }
}
