//! The checked configuration: complete, consistent, every default filled in, every override resolved.

use super::clients::Client;
use super::{
    AddressRange, AddressSource, AuthProtocol, Credential, HubLimits, LogFormat, LogLevel, Network, Policy,
    Secret, Terms, Uplink, UplinkRules,
};
use crate::hub::{access, dhcp};
use crate::identity::folded;
use crate::ike::ClientHint;
use crate::penalty;
use crate::wire::ether::Mac;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

/// What the gateway reads. Made by [`load`](super::load()) alone, so what its comments promise holds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sockets.
    pub listen: Listen,
    /// Keys and algorithms.
    pub ipsec: Ipsec,
    /// What is different for kinds of clients, no kind twice.
    pub clients: Vec<(ClientHint, Client)>,
    /// The hub of a user who names none, as an index into `hubs`; `None` when such a user belongs nowhere.
    pub default_hub: Option<usize>,
    /// The hubs in the order of their [`folded`] names. At least one; names differ in more than case.
    pub hubs: Vec<Hub>,
    /// The routers between them in the order of their [`folded`] names, which differ in more than case.
    pub routers: Vec<Router>,
    /// What is negotiated inside the tunnel.
    pub ppp: Ppp,
    /// Session rules that belong to no user.
    pub sessions: Sessions,
    /// Bounds against a flood.
    pub limits: Limits,
    /// What follows from wrong keys and passwords.
    pub penalties: penalty::Settings,
    /// Logging.
    pub log: Log,
    /// Threads that carry packets, 1 to 64.
    pub workers: u8,
}

impl Config {
    /// The hub of this name, in any case.
    #[must_use]
    pub fn hub(&self, name: &str) -> Option<&Hub> {
        find(&self.hubs, name, |hub| &hub.name)
    }

    /// The key that the users of a hub are told: one without an end before one that expires.
    #[must_use]
    pub fn psk_for(&self, hub: &Hub) -> Option<&Psk> {
        let index = self.hubs.iter().position(|other| other.name == hub.name);
        let opens = self.ipsec.psks.iter().filter(|psk| psk.hub.is_none() || psk.hub == index);
        opens.min_by_key(|psk| psk.until.is_some())
    }

    /// The routers that have a leg in a hub, with that leg.
    pub fn routers_in<'a>(&'a self, hub: &'a str) -> impl Iterator<Item = (&'a Router, &'a Leg)> {
        let leg = move |router: &'a Router| Some((router, router.legs.iter().find(|leg| leg.hub == hub)?));
        self.routers.iter().filter_map(leg)
    }

    /// The networks that routers lead the stations of a hub to, each with its router, the longest prefixes first and none
    /// twice.
    #[must_use]
    pub fn routed_networks(&self, hub: &str) -> Vec<(Network, Ipv4Addr)> {
        let mut networks: Vec<(Network, Ipv4Addr)> = Vec::new();
        for (router, own) in self.routers_in(hub) {
            let other = router.legs.iter().filter(|leg| leg.hub != own.hub);
            let direct = other.filter_map(|leg| Some(self.hub(&leg.hub)?.network));
            let here = self.hub(hub).map(|hub| hub.network);
            // A next router that is in this hub is reached without us.
            let at =
                |via: Ipv4Addr| if here.is_some_and(|here| here.contains(via)) { via } else { own.address };
            let further = router.routes.iter().map(|(to, via)| (*to, at(*via)));
            for (network, via) in direct.map(|network| (network, own.address)).chain(further) {
                if !networks.iter().any(|(known, _)| *known == network) {
                    networks.push((network, via));
                }
            }
        }
        networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix()));
        networks
    }

    /// Settles what `uplink` is where the file does not say: `nat` where the host has TAP interfaces for us. Returns
    /// whether anything was settled as `usernat`.
    pub fn settle_uplinks(&mut self, taps: bool) -> bool {
        let open = self.hubs.iter_mut().filter(|hub| hub.uplink == Uplink::Auto);
        let settled = open.map(|hub| hub.uplink = if taps { Uplink::Nat } else { Uplink::UserNat }).count();
        settled > 0 && !taps
    }

    /// The hub of a user who names none.
    #[must_use]
    pub fn default_hub(&self) -> Option<&Hub> {
        self.default_hub.and_then(|index| self.hubs.get(index))
    }
}

/// Sockets.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Local addresses, at least one, none twice.
    pub addresses: Vec<IpAddr>,
    /// The name under which clients reach the gateway: what profiles and the connection card show.
    pub name: Option<String>,
    /// UDP ports, all different, none 0.
    pub ports: Ports,
    /// Whether L2TP inside IPsec is served. At least one of the two is.
    pub l2tp_ipsec: bool,
    /// Whether L2TP in clear text is served.
    pub raw_l2tp: bool,
    /// The tunnel secret of L2TP; not empty.
    pub l2tp_secret: Option<Secret>,
}

/// UDP ports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// IKE.
    pub ike: u16,
    /// IKE and ESP behind NAT.
    pub nat_t: u16,
    /// L2TP in clear text.
    pub l2tp: u16,
}

/// Keys and algorithms.
#[derive(Clone, Debug)]
pub struct Ipsec {
    /// The ranked list of algorithms.
    pub policy: Policy,
    /// The keys in the order of the file, at most 16 (and at least one, or a group, when L2TP/IPsec is on), all different, none empty. Those whose
    /// time is over when the file is read are not among them.
    pub psks: Vec<Psk>,
    /// The groups that may use Aggressive Mode; their keys are no others' and all different.
    pub groups: Vec<PskGroup>,
    /// The last number that was given to a key, so that none is used twice.
    pub last_psk: u16,
}

impl Ipsec {
    /// Numbers the keys in the order of the file.
    pub(super) fn new(policy: Policy, psks: Vec<Psk>, groups: Vec<PskGroup>) -> Self {
        let mut ipsec = Self { policy, psks, groups, last_psk: 0 };
        let mut last = 0;
        for (psk, id) in ipsec.keys_mut().zip(0..) {
            psk.id = id;
            last = id;
        }
        ipsec.last_psk = last;
        ipsec
    }

    /// All keys, those of groups with the names of their groups.
    pub fn keys(&self) -> impl Iterator<Item = (Option<&str>, &Psk)> {
        let grouped = self.groups.iter().map(|group| (Some(group.name.as_str()), &group.psk));
        self.psks.iter().map(|psk| (None, psk)).chain(grouped)
    }

    pub(super) fn keys_mut(&mut self) -> impl Iterator<Item = &mut Psk> {
        self.psks.iter_mut().chain(self.groups.iter_mut().map(|group| &mut group.psk))
    }
}

/// A group of clients that name it in Aggressive Mode.
#[derive(Clone, Debug)]
pub struct PskGroup {
    /// The name, as clients send it: case counts.
    pub name: String,
    /// Its key.
    pub psk: Psk,
}

/// One pre-shared key.
#[derive(Clone, Debug)]
pub struct Psk {
    /// Its number: its place in the first file that had it, or the next free one in a later file.
    pub id: u16,
    /// The bytes as the client sends them: the text in UTF-8.
    pub key: Secret,
    /// The Unix time from which it is no longer accepted.
    pub until: Option<u64>,
    /// The only hub that it opens, as an index into `hubs`.
    pub hub: Option<usize>,
}

/// One hub.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its name, as the file spells it.
    pub name: String,
    /// What it is for.
    pub note: Option<String>,
    /// Whether users may come in.
    pub online: bool,
    /// Its network, /8 to /30.
    pub network: Network,
    /// Our address in it, a host of the network.
    pub gateway: Ipv4Addr,
    /// Where clients' addresses come from; from a LAN only where one is behind the uplink.
    pub address: AddressSource,
    /// Addresses and what goes with them.
    pub dhcp: Dhcp,
    /// How it reaches the world.
    pub uplink: Uplink,
    /// What may come in from there: at least one MAC address and one broadcast a second.
    pub uplink_rules: UplinkRules,
    /// Hosts that must answer from inside it, none twice; nothing but `sekisho doctor` asks for them.
    pub targets: Vec<Ipv4Addr>,
    /// How much there may be of what, at least 1 of each.
    pub limits: HubLimits,
    /// Whether it may be watched.
    pub monitor: bool,
    /// What may pass between its ports, in order.
    pub access_list: Arc<[access::Rule]>,
    /// The users in the order of their [`folded`] names, which differ in more than case.
    pub users: Vec<User>,
}

/// A virtual layer-3 switch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Router {
    /// Its name, as the file spells it.
    pub name: String,
    /// Its interfaces: at least two, in different hubs whose networks do not overlap.
    pub legs: Vec<Leg>,
    /// What lies behind other routers, none twice: the next routers are hosts of the hubs' networks.
    pub routes: Vec<(Network, Ipv4Addr)>,
}

/// An interface of a router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leg {
    /// The hub, as the file spells it where the hub is.
    pub hub: String,
    /// The router's address there: nobody else's.
    pub address: Ipv4Addr,
}

impl Hub {
    /// The user of this name, in any case.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        find(&self.users, name, |user| &user.name)
    }
}

/// Finds a name in a list that is in the order of folded names.
fn find<'a, T>(list: &'a [T], name: &str, name_of: impl Fn(&T) -> &str) -> Option<&'a T> {
    let name = folded(name);
    let at = list
        .binary_search_by(|item| {
            let item = name_of(item);
            // What folding comes to for ASCII, without a copy.
            if item.is_ascii() {
                item.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(name.bytes())
            } else {
                folded(item).cmp(&name)
            }
        })
        .ok()?;
    list.get(at)
}

/// Addresses and what goes with them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dhcp {
    /// Hosts of the network, to be handed out. The gateway's and the users' own addresses may lie in it and are never
    /// handed out to others.
    pub range: AddressRange,
    /// Name servers.
    pub dns: Dns,
    /// The domain of short names.
    pub domain: Option<String>,
    /// How long an address stays reserved, 1 minute to 1 year.
    pub lease: Duration,
    /// Addresses that stations behind an uplink have for themselves: hosts of the network, nobody else's.
    pub reservations: Vec<(Mac, Ipv4Addr)>,
    /// What stations are told besides: `serve`, name servers and domain are not filled in.
    pub options: dhcp::Settings,
}

/// Name servers for the clients of a hub.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dns {
    /// Those that the host itself uses, as far as they are reachable for a client.
    OfHost,
    /// These, at most four; none when empty.
    Servers(Vec<Ipv4Addr>),
}

/// One user of one hub, with the rules of group, hub and file resolved.
#[derive(Clone, Debug)]
pub struct User {
    /// The name, as the file spells it.
    pub name: String,
    /// What proves the user.
    pub credential: Credential,
    /// The group that the user belongs to, as the file spells it where the group is.
    pub group: Option<String>,
    /// The address that the user always gets; nobody else's.
    pub address: Option<Ipv4Addr>,
    /// Whether the account is switched off.
    pub disabled: bool,
    /// What the user may do.
    pub terms: Arc<Terms>,
}

/// What is negotiated inside the tunnel.
#[derive(Clone, Debug)]
pub struct Ppp {
    /// Authentication protocols, the first to offer at the front: at least one, none twice.
    pub auth: Vec<AuthProtocol>,
    /// The largest packet inside the tunnel in bytes, 576 to 1500.
    pub mru: u16,
}

/// Session rules that belong to no user.
#[derive(Clone, Debug)]
pub struct Sessions {
    /// How long a device that lost its connection finds its address and port unchanged, at most 1 day.
    pub resume_for: Duration,
}

/// Bounds against a flood, all at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Sessions in all.
    pub sessions: u32,
    /// Unproven IKE exchanges in all.
    pub half_open: u32,
    /// Unproven IKE exchanges from one source address.
    pub half_open_per_source: u32,
}

/// Logging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    /// The least important line that is still written.
    pub level: LogLevel,
    /// For people or for programs.
    pub format: LogFormat,
}
