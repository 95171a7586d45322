//! What may stand in the file: one struct per mapping, one field per key.
//!
//! These types know shapes, units and defaults, and nothing of the rules between keys (that is `check`). The comment of
//! a field is the short form of its section in `docs/configuration.md`.

use super::access::AccessRule;
use super::clients::Client;
use super::dhcp_options::{DhcpOption, NodeType, Reservation};
use super::hub_rules::{HubLimits, UplinkRules};
use super::rules::{Rules, with_rules};
use super::{
    AddressRange, AddressSource, Date, Hours, Limit, Network, Offset, Rate, Route, Secret, Span, Uplink,
    Volume,
};
use crate::penalty::Prefix;
use crate::ppp::AuthMethod;
use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};
use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
};

/// The whole file.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where clients reach the gateway.
    #[serde(default)]
    pub listen: Listen,
    /// Keys and algorithms of the outer tunnel.
    #[serde(default)]
    pub ipsec: Ipsec,
    /// How kinds of clients are treated, where that differs from what is built in.
    #[serde(default)]
    pub clients: BTreeMap<String, Client>,
    /// The hub of a user who names none; the only hub when there is one; `none` for nobody.
    pub default_hub: Option<String>,
    /// The virtual Ethernet hubs by name.
    pub hubs: BTreeMap<String, Hub>,
    /// Virtual layer-3 switches between hubs, by name.
    #[serde(default)]
    pub routers: BTreeMap<String, Router>,
    /// What is negotiated inside the tunnel.
    #[serde(default)]
    pub ppp: Ppp,
    /// How long a session lives and how many there may be.
    #[serde(default)]
    pub sessions: Sessions,
    /// Bounds that protect the gateway from a flood.
    #[serde(default)]
    pub limits: Limits,
    /// What follows from wrong keys and passwords.
    #[serde(default)]
    pub penalties: Penalties,
    /// What is logged and how.
    #[serde(default)]
    pub log: Log,
    /// Threads that carry packets.
    #[serde(default = "one")]
    pub workers: u8,
}

/// `listen`: sockets.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Local addresses; `0.0.0.0` is every one.
    pub addresses: Vec<IpAddr>,
    /// The name under which clients reach the gateway.
    pub name: Option<String>,
    /// UDP ports.
    pub ports: Ports,
    /// Whether L2TP inside IPsec is served.
    pub l2tp_ipsec: bool,
    /// Whether L2TP in clear text is served, to hubs and users that allow it.
    pub raw_l2tp: bool,
    /// The tunnel secret of L2TP, for clients that ask us to know it.
    #[serde(deserialize_with = "optional_secret")]
    pub l2tp_secret: Option<Secret>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            addresses: vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            name: None,
            ports: Ports::default(),
            l2tp_ipsec: true,
            raw_l2tp: false,
            l2tp_secret: None,
        }
    }
}

/// `listen.ports`: clients cannot be told another port, so others than these need a forwarding in front.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Ports {
    /// IKE.
    pub ike: u16,
    /// IKE and ESP behind NAT.
    pub nat_t: u16,
    /// L2TP in clear text.
    pub l2tp: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { ike: 500, nat_t: 4500, l2tp: 1701 }
    }
}

/// `ipsec`.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Ipsec {
    /// Which algorithms are accepted and which of them is preferred.
    pub policy: Policy,
    /// The pre-shared keys.
    pub psk: Psks,
    /// Groups that clients name in Aggressive Mode, each with its own key.
    pub groups: BTreeMap<String, PskEntry>,
}

/// A ranked list of algorithms: ours decides, not the client's.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Only what is sound today. Old clients, Android's own among them, are refused.
    Modern,
    /// Everything that a client still in use needs, the strong first and MODP 1024 last.
    #[default]
    Compatible,
    /// Broken algorithms too (MD5), for equipment that has nothing else.
    Legacy,
}

/// `ipsec.psk`: a list of keys; a lone key needs no list.
#[derive(Debug, Default)]
pub struct Psks(pub Vec<PskEntry>);

impl<'de> Deserialize<'de> for Psks {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> de::Visitor<'de> for OneOrMany {
            type Value = Psks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys")
            }

            fn visit_str<E>(self, key: &str) -> Result<Psks, E> {
                Ok(Psks(vec![PskEntry::plain(key)]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut keys: A) -> Result<Psks, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = keys.next_element()? {
                    entries.push(entry);
                }
                Ok(Psks(entries))
            }
        }

        input.deserialize_any(OneOrMany)
    }
}

/// One pre-shared key: `key` alone, or with its conditions.
#[derive(Debug)]
pub struct PskEntry {
    /// The key, as the user types it into the client.
    pub key: Secret,
    /// The last day on which it is accepted.
    pub until: Option<Date>,
    /// The only hub that it opens.
    pub hub: Option<String>,
}

impl PskEntry {
    fn plain(key: &str) -> Self {
        Self { key: Secret::new(key.as_bytes().to_vec()), until: None, hub: None }
    }
}

impl<'de> Deserialize<'de> for PskEntry {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(deserialize_with = "secret")]
            key: Secret,
            until: Option<Date>,
            hub: Option<String>,
        }

        struct KeyOrFields;

        impl<'de> de::Visitor<'de> for KeyOrFields {
            type Value = PskEntry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key in quotes, or a mapping with `key`")
            }

            fn visit_str<E>(self, key: &str) -> Result<PskEntry, E> {
                Ok(PskEntry::plain(key))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<PskEntry, A::Error> {
                let Fields { key, until, hub } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PskEntry { key, until, hub })
            }
        }

        input.deserialize_any(KeyOrFields)
    }
}

with_rules! {
    /// `hubs.NAME`, with the rules for its users.
    pub struct Hub {
        /// What it is for, in words.
        pub note: Option<String>,
        /// Whether users may come in.
        pub online: Option<bool>,
        /// The hub's network.
        pub network: Network,
        /// The gateway's own address in it; the first one of the network unless said.
        pub gateway: Option<Ipv4Addr>,
        /// Where clients' addresses come from.
        #[serde(default)]
        pub address: AddressSource,
        /// Addresses and what is handed out with them.
        #[serde(default)]
        pub dhcp: Dhcp,
        /// How the hub reaches the world.
        #[serde(default)]
        pub uplink: Uplink,
        /// What may come in from there.
        #[serde(default)]
        pub uplink_rules: UplinkRules,
        /// Hosts that `sekisho doctor` expects to answer from inside the hub.
        #[serde(default)]
        pub targets: Vec<Ipv4Addr>,
        /// How much there may be of what.
        #[serde(default)]
        pub limits: HubLimits,
        /// What may pass between the ports of the hub, in order.
        #[serde(default)]
        pub access_list: Vec<AccessRule>,
        /// Groups of users, by name.
        #[serde(default)]
        pub groups: BTreeMap<String, Group>,
        /// Who may come in, by name.
        #[serde(default)]
        pub users: BTreeMap<String, User>,
    }
}

with_rules! {
    /// `hubs.NAME.groups.NAME`: rules for those users who name it.
    #[derive(Default)]
    pub struct Group {}
}

/// `hubs.NAME.dhcp`: for clients of the tunnel and of the hub alike.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Dhcp {
    /// Addresses to hand out; the whole network unless said.
    pub range: Option<AddressRange>,
    /// Name servers; those of the host unless said.
    pub dns: Option<Vec<Ipv4Addr>>,
    /// The domain in which clients look up short names.
    pub domain: Option<String>,
    /// Further domains in which they do.
    pub search: Vec<String>,
    /// Whether stations are told the hub's gateway as their router.
    pub router: bool,
    /// Time servers.
    pub ntp: Vec<Ipv4Addr>,
    /// NetBIOS name servers.
    pub wins: Vec<Ipv4Addr>,
    /// How NetBIOS names are looked up.
    pub netbios_node_type: Option<NodeType>,
    /// NetBIOS scope.
    pub netbios_scope: Option<String>,
    /// URL of a proxy configuration.
    pub wpad: Option<String>,
    /// Options that have no key of their own.
    pub options: Vec<DhcpOption>,
    /// Addresses of stations behind an uplink.
    pub reservations: Vec<Reservation>,
    /// Whether an address is probed before it is offered.
    pub probe: bool,
    /// How long an address stays reserved for a device that is away.
    pub lease: Span,
}

impl Default for Dhcp {
    fn default() -> Self {
        Self {
            range: None,
            dns: None,
            domain: None,
            search: Vec::new(),
            router: true,
            ntp: Vec::new(),
            wins: Vec::new(),
            netbios_node_type: None,
            netbios_scope: None,
            wpad: None,
            options: Vec::new(),
            reservations: Vec::new(),
            probe: true,
            lease: Span::hours(8),
        }
    }
}

with_rules! {
    /// `hubs.NAME.users.NAME`, with the rules for this user.
    pub struct User {
        /// The password, as the user types it.
        #[serde(default, deserialize_with = "optional_secret")]
        pub password: Option<Secret>,
        /// Instead of the password: its NT hash, 32 hexadecimal digits.
        pub nt_hash: Option<NtHash>,
        /// The group whose rules count.
        pub group: Option<String>,
        /// The one address that this user always gets.
        pub address: Option<Ipv4Addr>,
        /// Whether the account is switched off.
        #[serde(default)]
        pub disabled: bool,
    }
}

/// An NT hash: MD4 over the password in UTF-16. It is as good as the password to whoever steals it.
#[derive(Debug, Clone)]
pub struct NtHash(pub Secret);

impl<'de> Deserialize<'de> for NtHash {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        // The text is not repeated in the message: it may be a password in the wrong place.
        let refusal = || de::Error::custom("an NT hash has exactly 32 hexadecimal digits");
        let text = String::deserialize(input)?;
        if text.len() != 32 || !text.is_ascii() {
            return Err(refusal());
        }
        let digits = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let bytes: Option<Vec<u8>> = (0..32).step_by(2).map(digits).collect();
        bytes
            .filter(|_| text.bytes().all(|b| b.is_ascii_hexdigit()))
            .map(|b| Self(Secret::new(b)))
            .ok_or_else(refusal)
    }
}

/// `routers.NAME`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// The hubs that it joins, with its own address in each.
    pub hubs: BTreeMap<String, Ipv4Addr>,
    /// What lies behind other routers of these hubs.
    #[serde(default)]
    pub routes: Vec<Route>,
}

/// `ppp`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Ppp {
    /// Authentication protocols, the one to offer first at the front.
    pub auth: Vec<AuthProtocol>,
    /// The largest packet inside the tunnel, in bytes.
    pub mru: u16,
}

impl Default for Ppp {
    fn default() -> Self {
        Self { auth: vec![AuthProtocol::MsChapV2, AuthProtocol::Chap, AuthProtocol::Pap], mru: 1400 }
    }
}

/// How a client proves that it knows the password. All of them run inside the encrypted tunnel.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(rename_all = "lowercase")]
pub enum AuthProtocol {
    /// MS-CHAP version 2 (RFC 2759): every client has it, works with NT hashes.
    MsChapV2,
    /// CHAP with MD5 (RFC 1994): needs the password itself.
    Chap,
    /// PAP (RFC 1334): the password travels as it is.
    Pap,
    /// MS-CHAP version 2 inside EAP: Windows when told to, and clients of companies.
    #[serde(rename = "eap-mschapv2")]
    EapMsChapV2,
    /// The MD5 challenge of EAP (RFC 3748): needs the password itself.
    #[serde(rename = "eap-md5")]
    EapMd5,
}

impl AuthProtocol {
    /// The same in PPP's own words.
    #[must_use]
    pub const fn method(self) -> AuthMethod {
        match self {
            Self::MsChapV2 => AuthMethod::MsChapV2,
            Self::Chap => AuthMethod::ChapMd5,
            Self::Pap => AuthMethod::Pap,
            Self::EapMsChapV2 => AuthMethod::EapMsChapV2,
            Self::EapMd5 => AuthMethod::EapMd5,
        }
    }
}

impl fmt::Display for AuthProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method().name())
    }
}

with_rules! {
    /// `sessions`, with the rules for every user.
    #[derive(Default)]
    pub struct Sessions {
        /// How long a device that lost its connection finds its address and port unchanged.
        pub resume_for: Option<Span>,
    }
}

/// Whether users may come in.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Yes.
    #[default]
    Allow,
    /// No, and they are told that they lack the permission.
    Deny,
}

/// What happens when a user with `max_sessions` sessions opens one more.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "kebab-case")]
pub enum OnLimit {
    /// A device takes the place of its own earlier session; another device is refused.
    #[default]
    ReplaceSameDevice,
    /// The oldest session ends.
    ReplaceOldest,
    /// The new one is refused.
    Deny,
}

/// `limits`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Sessions in all.
    pub sessions: u32,
    /// IKE exchanges that have not proved the key yet, in all.
    pub half_open: u32,
    /// The same, from one source address.
    pub half_open_per_source: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 10_000, half_open: 4_096, half_open_per_source: 64 }
    }
}

/// `penalties`: what follows from wrong keys and passwords.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields, default)]
pub struct Penalties {
    /// Failures after which a source is slowed down.
    pub slow_after: u32,
    /// Failures after which it is barred.
    pub bar_after: Limit<u32>,
    /// How long, the first time.
    pub bar_for: Span,
    /// How long at most.
    pub bar_at_most: Span,
    /// After how long without a failure everything is forgotten.
    pub forget_after: Span,
    /// Sources whose failures do not count.
    pub exempt: Vec<Prefix>,
}

impl Default for Penalties {
    fn default() -> Self {
        Self {
            slow_after: 3,
            bar_after: Limit::To(10),
            bar_for: Span::minutes(1),
            bar_at_most: Span::hours(24),
            forget_after: Span::hours(1),
            exempt: Vec::new(),
        }
    }
}

/// `log`.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important line that is still written.
    pub level: LogLevel,
    /// For people or for programs.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something is broken.
    Error,
    /// An administrator should care.
    Warn,
    /// One line per step of a connection's life.
    #[default]
    Info,
    /// Deviations and retries.
    Debug,
    /// Every packet.
    Trace,
}

impl LogLevel {
    /// The name as it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How log lines look.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

const fn one() -> u8 {
    1
}

fn secret<'de, D: Deserializer<'de>>(input: D) -> Result<Secret, D::Error> {
    Ok(Secret::new(String::deserialize(input)?.into_bytes()))
}

fn optional_secret<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Secret>, D::Error> {
    secret(input).map(Some)
}
