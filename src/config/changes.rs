//! What is different between the configuration in force and a new one: in words for people, and as what it does to
//! sessions. No secret appears in it.

use super::{Config, Dns, Hub, Limit, Listen, OnLimit, Psk, Router, Span, User, model};
use crate::identity::folded;
use crate::ike::ClientHint;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// One difference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Where in the file: `hubs.OFFICE.users.jiro`.
    pub key: String,
    /// What is different.
    pub what: String,
    /// Whose sessions cannot go on as they are.
    pub touches: Touches,
    /// When it has an effect.
    pub effect: Effect,
}

/// When a change has an effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// At once.
    Now,
    /// For those who connect from now on.
    NewConnections,
    /// Not before a restart.
    Restart,
}

/// Whose sessions a change ends. Names are those of the configuration in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Touches {
    /// Nobody's.
    Nobody,
    /// Everybody's of a hub.
    Hub(String),
    /// Those of users of a hub.
    Users {
        /// The hub.
        hub: String,
        /// The users.
        users: Vec<String>,
    },
    /// Those of users of a hub that came without IPsec; the others go on by other rules.
    RawOf {
        /// The hub.
        hub: String,
        /// The users.
        users: Vec<String>,
    },
    /// Nobody's; those of users of a hub go on by other rules.
    Terms {
        /// The hub.
        hub: String,
        /// The users.
        users: Vec<String>,
    },
    /// Those of a user of a hub that have another address than the one that is the user's own now.
    Elsewhere {
        /// The hub.
        hub: String,
        /// The user.
        user: String,
        /// The user's own address.
        address: Ipv4Addr,
    },
    /// That of whoever holds an address that is somebody else's now.
    Holder {
        /// The hub.
        hub: String,
        /// The address.
        address: Ipv4Addr,
        /// Whose it is now.
        owner: String,
    },
    /// Those that came with a pre-shared key, by its number.
    Psk(u16),
    /// Those that came with a pre-shared key into another hub than this one.
    PskOutside {
        /// The key's number.
        psk: u16,
        /// The only hub that it opens now.
        hub: String,
    },
}

/// So many users are named one by one.
const NAMED: usize = 20;

impl Config {
    /// What a change to `new` means at a Unix time. Call [`Self::renumber_psks`] on `new` first.
    #[must_use]
    pub fn changes_to(&self, new: &Self, unix: u64) -> Vec<Change> {
        let mut list = List::default();
        list.listen(&self.listen, &new.listen);
        list.field("ipsec.policy", self.ipsec.policy, new.ipsec.policy, Effect::NewConnections);
        list.psks(self, new, unix);
        list.clients(self, new);
        let name = |config: &Self| config.default_hub().map_or("none", |hub| &hub.name).to_owned();
        list.field("default_hub", name(self), name(new), Effect::NewConnections);
        list.hubs(&self.hubs, &new.hubs, unix);
        list.routers(&self.routers, &new.routers);
        list.field("ppp.auth", joined(&self.ppp.auth), joined(&new.ppp.auth), Effect::NewConnections);
        list.field("ppp.mru", self.ppp.mru, new.ppp.mru, Effect::NewConnections);
        let resume = |config: &Self| Span(config.sessions.resume_for).to_string();
        list.field("sessions.resume_for", resume(self), resume(new), Effect::Now);
        let (old_limits, limits) = (self.limits, new.limits);
        list.field("limits.sessions", old_limits.sessions, limits.sessions, Effect::NewConnections);
        list.field("limits.half_open", old_limits.half_open, limits.half_open, Effect::Now);
        let per_source = |limits: model::Limits| limits.half_open_per_source;
        list.field("limits.half_open_per_source", per_source(old_limits), per_source(limits), Effect::Now);
        if self.penalties != new.penalties {
            list.push("penalties", "other rules", Touches::Nobody, Effect::Now);
        }
        list.field("log.level", self.log.level.name(), new.log.level.name(), Effect::Now);
        list.field("log.format", self.log.format, new.log.format, Effect::Restart);
        list.field("workers", self.workers, new.workers, Effect::Restart);
        list.0
    }

    /// Gives the pre-shared keys that are in `old` the numbers that they have there, and the others numbers that none
    /// has had yet: a number stays with its key as long as the gateway runs.
    pub fn renumber_psks(&mut self, old: &Self) {
        let mut last = old.ipsec.last_psk;
        for psk in self.ipsec.keys_mut() {
            psk.id = match old.ipsec.keys().find(|(_, known)| known.key == psk.key) {
                Some((_, known)) => known.id,
                None => {
                    last = last.wrapping_add(1);
                    last
                }
            };
        }
        self.ipsec.last_psk = last;
    }

    fn hub_of(&self, psk: &Psk) -> Option<&str> {
        psk.hub.and_then(|hub| self.hubs.get(hub)).map(|hub| hub.name.as_str())
    }
}

#[derive(Default)]
struct List(Vec<Change>);

impl List {
    fn push(&mut self, key: impl Into<String>, what: impl Into<String>, touches: Touches, effect: Effect) {
        self.0.push(Change { key: key.into(), what: what.into(), touches, effect });
    }

    /// A value that has no influence on sessions that are there.
    fn field<T: PartialEq + std::fmt::Debug>(&mut self, key: &str, old: T, new: T, effect: Effect) {
        if old != new {
            self.push(key, arrow(&old, &new), Touches::Nobody, effect);
        }
    }

    fn listen(&mut self, old: &Listen, new: &Listen) {
        self.field("listen.addresses", joined(&old.addresses), joined(&new.addresses), Effect::Restart);
        let name = |listen: &Listen| listen.name.clone().unwrap_or_else(|| "none".to_owned());
        self.field("listen.name", name(old), name(new), Effect::Now);
        let ports = |listen: &Listen| {
            let model::Ports { ike, nat_t, l2tp } = listen.ports;
            format!("ike {ike}, nat_t {nat_t}, l2tp {l2tp}")
        };
        self.field("listen.ports", ports(old), ports(new), Effect::Restart);
        self.field("listen.l2tp_ipsec", old.l2tp_ipsec, new.l2tp_ipsec, Effect::Restart);
        self.field("listen.raw_l2tp", old.raw_l2tp, new.raw_l2tp, Effect::NewConnections);
        if old.l2tp_secret != new.l2tp_secret {
            self.push("listen.l2tp_secret", "another secret", Touches::Nobody, Effect::NewConnections);
        }
    }

    fn clients(&mut self, old: &Config, new: &Config) {
        for (name, hint) in ClientHint::ALL {
            let of = |config: &Config| {
                config.clients.iter().find(|(kind, _)| *kind == hint).map(|(_, client)| client.clone())
            };
            if of(old).unwrap_or_default() != of(new).unwrap_or_default() {
                let key = format!("clients.{name}");
                self.push(key, "another treatment", Touches::Nobody, Effect::NewConnections);
            }
        }
    }

    fn psks(&mut self, old: &Config, new: &Config, unix: u64) {
        let key = |group: Option<&str>, psk: &Psk| match group {
            Some(group) => format!("ipsec.groups.{group} (key {})", psk.id),
            None => format!("ipsec.psk (key {})", psk.id),
        };
        for (group, psk) in old.ipsec.keys() {
            if new.ipsec.keys().any(|(_, other)| other.id == psk.id) {
                continue;
            }
            if psk.until.is_some_and(|until| until <= unix) {
                // It may stand in the file as before. Nobody new comes in with it; who is in stays.
                self.push(key(group, psk), "its time is over", Touches::Nobody, Effect::Now);
            } else {
                self.push(key(group, psk), "removed", Touches::Psk(psk.id), Effect::Now);
            }
        }
        for (group, psk) in new.ipsec.keys() {
            let Some((old_group, known)) = old.ipsec.keys().find(|(_, other)| other.id == psk.id) else {
                self.push(key(group, psk), "added", Touches::Nobody, Effect::Now);
                continue;
            };
            if old_group != group {
                let text = |group: Option<&str>| group.unwrap_or("none").to_owned();
                let what = format!("group {} -> {}", text(old_group), text(group));
                self.push(key(group, psk), what, Touches::Nobody, Effect::NewConnections);
            }
            if known.until != psk.until {
                self.push(key(group, psk), "another end (`until`)", Touches::Nobody, Effect::Now);
            }
            let (was, is) = (old.hub_of(known), new.hub_of(psk));
            if was.map(folded) != is.map(folded) {
                let touches = match is {
                    Some(hub) => Touches::PskOutside { psk: psk.id, hub: hub.to_owned() },
                    None => Touches::Nobody,
                };
                let text = |hub: Option<&str>| hub.unwrap_or("any").to_owned();
                self.push(
                    key(group, psk),
                    format!("hub {} -> {}", text(was), text(is)),
                    touches,
                    Effect::Now,
                );
            }
        }
    }

    fn hubs(&mut self, old: &[Hub], new: &[Hub], unix: u64) {
        for (was, is) in pairs(old, new, |hub| &hub.name) {
            match (was, is) {
                (Some(was), Some(is)) => self.hub(was, is, unix),
                (Some(was), None) => {
                    self.push(
                        format!("hubs.{}", was.name),
                        "removed",
                        Touches::Hub(was.name.clone()),
                        Effect::Now,
                    );
                }
                (None, Some(is)) => {
                    let what = format!("added: network {}, {} users", is.network, is.users.len());
                    self.push(format!("hubs.{}", is.name), what, Touches::Nobody, Effect::Now);
                }
                (None, None) => {}
            }
        }
    }

    fn routers(&mut self, old: &[Router], new: &[Router]) {
        for (was, is) in pairs(old, new, |router| &router.name) {
            let at = |router: &Router| format!("routers.{}", router.name);
            let text = |router: &Router| {
                let legs = router.legs.iter().map(|leg| format!("{} at {}", leg.hub, leg.address));
                format!("{}; {} routes", legs.collect::<Vec<_>>().join(", "), router.routes.len())
            };
            match (was, is) {
                (Some(was), Some(is)) if was == is => continue,
                (Some(was), Some(is)) => {
                    let what = format!("{} -> {}", text(was), text(is));
                    self.push(at(is), what, Touches::Nobody, Effect::Now);
                }
                (Some(was), None) => self.push(at(was), "removed", Touches::Nobody, Effect::Now),
                (None, Some(is)) => {
                    self.push(at(is), format!("added: {}", text(is)), Touches::Nobody, Effect::Now);
                }
                (None, None) => {}
            }
            let known = was.map_or(&[][..], |was| was.legs.as_slice());
            for leg in is.into_iter().flat_map(|is| &is.legs).filter(|leg| !known.contains(leg)) {
                let (hub, address) = (leg.hub.clone(), leg.address);
                let touches = Touches::Holder { hub, address, owner: String::new() };
                let key = format!("routers.{}.hubs.{}", is.map_or("", |is| &is.name), leg.hub);
                self.push(key, format!("address {address}"), touches, Effect::Now);
            }
        }
    }

    fn hub(&mut self, old: &Hub, new: &Hub, unix: u64) {
        let at = |key: &str| format!("hubs.{}{key}", new.name);
        let all = || Touches::Hub(old.name.clone());
        if (old.network, old.gateway) != (new.network, new.gateway) {
            let text = |hub: &Hub| format!("{} with gateway {}", hub.network, hub.gateway);
            let what = format!("{} -> {}", text(old), text(new));
            self.push(at(".network"), what, all(), Effect::Now);
        }
        if old.uplink != new.uplink {
            let what = format!("{} -> {}", old.uplink, new.uplink);
            self.push(at(".uplink"), what, Touches::Nobody, Effect::Now);
        }
        if old.address != new.address {
            let what = format!("{} -> {}", old.address.name(), new.address.name());
            self.push(at(".address"), what, all(), Effect::Now);
        }
        if old.dhcp.range != new.dhcp.range {
            let text = |hub: &Hub| format!("{}-{}", hub.dhcp.range.first(), hub.dhcp.range.last());
            let what = format!("{} -> {}", text(old), text(new));
            self.push(at(".dhcp.range"), what, Touches::Nobody, Effect::NewConnections);
        }
        let dns = |hub: &Hub| match &hub.dhcp.dns {
            Dns::OfHost => "the host's".to_owned(),
            Dns::Servers(servers) => joined(servers),
        };
        self.field(&at(".dhcp.dns"), dns(old), dns(new), Effect::NewConnections);
        let domain = |hub: &Hub| hub.dhcp.domain.clone().unwrap_or_else(|| "none".to_owned());
        self.field(&at(".dhcp.domain"), domain(old), domain(new), Effect::NewConnections);
        let lease = |hub: &Hub| Span(hub.dhcp.lease).to_string();
        if lease(old) != lease(new) {
            let what = format!("{} -> {}", lease(old), lease(new));
            self.push(at(".dhcp.lease"), what, Touches::Nobody, Effect::NewConnections);
        }
        if old.dhcp.options != new.dhcp.options {
            self.push(at(".dhcp"), "other options", Touches::Nobody, Effect::NewConnections);
        }
        if old.dhcp.reservations != new.dhcp.reservations {
            self.push(
                at(".dhcp.reservations"),
                "other reservations",
                Touches::Nobody,
                Effect::NewConnections,
            );
        }
        let note = |hub: &Hub| hub.note.clone().unwrap_or_else(|| "none".to_owned());
        self.field(&at(".note"), note(old), note(new), Effect::Now);
        if old.online != new.online {
            let touches = if new.online { Touches::Nobody } else { all() };
            self.push(at(".online"), arrow(&old.online, &new.online), touches, Effect::Now);
        }
        let sessions = |hub: &Hub| limit(Limit::of(Some(hub.limits.sessions)));
        self.field(&at(".limits.sessions"), sessions(old), sessions(new), Effect::NewConnections);
        self.field(&at(".limits.macs"), old.limits.macs, new.limits.macs, Effect::Now);
        self.field(&at(".limits.ips"), old.limits.ips, new.limits.ips, Effect::Now);
        self.field(&at(".monitor"), old.monitor, new.monitor, Effect::Now);
        if old.uplink_rules != new.uplink_rules {
            self.push(at(".uplink_rules"), "other rules", Touches::Nobody, Effect::Now);
        }
        self.field(&at(".targets"), joined(&old.targets), joined(&new.targets), Effect::Now);
        if old.access_list != new.access_list {
            let what = format!("{} rules -> {} rules", old.access_list.len(), new.access_list.len());
            self.push(at(".access_list"), what, Touches::Nobody, Effect::Now);
        }
        self.users(old, new, unix);
    }

    fn users(&mut self, old: &Hub, new: &Hub, unix: u64) {
        // Users with the same difference are told together: a group's new rule is one line for all its users.
        let mut alike: BTreeMap<Difference, Vec<&str>> = BTreeMap::new();
        for (was, is) in pairs(&old.users, &new.users, |user| &user.name) {
            let name = was.or(is).map_or("", |user| user.name.as_str());
            let mut differs =
                |what: String, sessions| alike.entry(Difference { what, sessions }).or_default().push(name);
            match (was, is) {
                (Some(was), Some(is)) => {
                    compare(was, is, unix, &mut differs);
                    if let Some((is, address)) =
                        is.address.filter(|_| was.address != is.address).map(|a| (is, a))
                    {
                        let touches =
                            Touches::Elsewhere { hub: old.name.clone(), user: was.name.clone(), address };
                        let what = format!("address {} -> {address}", any(was.address));
                        self.push(format!("hubs.{}.users.{}", new.name, is.name), what, touches, Effect::Now);
                    } else if was.address != is.address {
                        // Whoever loses a fixed address may keep it until it is somebody else's.
                        differs(format!("address {} -> any", any(was.address)), Sessions::Stay);
                    }
                }
                (Some(_), None) => differs("removed".to_owned(), Sessions::End),
                (None, Some(_)) => differs("added".to_owned(), Sessions::Stay),
                (None, None) => {}
            }
            // An address that becomes this user's is whoever's it was until now.
            if let Some((is, address)) = is.and_then(|is| Some((is, is.address?)))
                && was.and_then(|was| was.address) != Some(address)
            {
                let touches = Touches::Holder { hub: old.name.clone(), address, owner: is.name.clone() };
                let what = format!("{address} is {}'s now", is.name);
                self.push(format!("hubs.{}.users.{}.address", new.name, is.name), what, touches, Effect::Now);
            }
        }
        for (Difference { what, sessions }, users) in alike {
            let touches = |users: &[&str]| sessions.touches(&old.name, users);
            let effect = if sessions == Sessions::Next { Effect::NewConnections } else { Effect::Now };
            if users.len() <= NAMED {
                for user in users {
                    self.push(format!("hubs.{}.users.{user}", new.name), &what, touches(&[user]), effect);
                }
            } else {
                let first = users.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
                let text = format!("{} users: {what} ({first}, ...)", users.len());
                self.push(format!("hubs.{}.users", new.name), text, touches(&users), effect);
            }
        }
    }
}

/// What is different about a user.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Difference {
    what: String,
    sessions: Sessions,
}

/// What a difference does to a user's sessions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sessions {
    /// They end.
    End,
    /// Those without IPsec end; the others go on by other rules.
    EndRaw,
    /// They go on by other rules.
    Terms,
    /// They are as before; the next one is different.
    Next,
    /// There is nothing about sessions in it.
    Stay,
}

impl Sessions {
    fn touches(self, hub: &str, users: &[&str]) -> Touches {
        let (hub, users) = (hub.to_owned(), users.iter().map(|user| (*user).to_owned()).collect());
        match self {
            Self::End => Touches::Users { hub, users },
            Self::EndRaw => Touches::RawOf { hub, users },
            Self::Terms => Touches::Terms { hub, users },
            Self::Next | Self::Stay => Touches::Nobody,
        }
    }
}

/// Says what is different about a user, but for the address.
fn compare(old: &User, new: &User, unix: u64, differs: &mut impl FnMut(String, Sessions)) {
    if old.credential != new.credential {
        differs("another password; sessions that are up stay".to_owned(), Sessions::Next);
    }
    if old.disabled != new.disabled {
        let (what, sessions) =
            if new.disabled { ("disabled", Sessions::End) } else { ("enabled", Sessions::Stay) };
        differs(what.to_owned(), sessions);
    }
    let (was, is) = (&old.terms, &new.terms);
    if was == is {
        return;
    }
    if was.admit(unix).is_ok() && is.admit(unix).is_err() {
        differs("may not be in at this time".to_owned(), Sessions::End);
    }
    let time = |limit: Option<Duration>| limit.map_or("none".to_owned(), |limit| Span(limit).to_string());
    let end = |end: Option<u64>| end.map_or("none".to_owned(), |end| format!("Unix time {end}"));
    for (key, was, is, sessions) in [
        ("access", format!("{:?}", was.access), format!("{:?}", is.access), Sessions::Terms),
        ("expires", end(was.expires), end(is.expires), Sessions::Terms),
        ("idle_timeout", time(was.idle_timeout), time(is.idle_timeout), Sessions::Terms),
        ("session_timeout", time(was.session_timeout), time(is.session_timeout), Sessions::Terms),
        ("dead_after", time(Some(was.dead_after)), time(Some(is.dead_after)), Sessions::Terms),
        ("max_sessions", limit(was.max_sessions), limit(is.max_sessions), Sessions::Next),
        ("on_limit", on_limit(was.on_limit).to_owned(), on_limit(is.on_limit).to_owned(), Sessions::Next),
        ("isolated", was.isolated.to_string(), is.isolated.to_string(), Sessions::Terms),
        ("dhcp_guard", was.dhcp_guard.to_string(), is.dhcp_guard.to_string(), Sessions::Terms),
        ("broadcasts", was.broadcasts.to_string(), is.broadcasts.to_string(), Sessions::Terms),
        ("multicast", was.multicast.to_string(), is.multicast.to_string(), Sessions::Terms),
        ("monitor", was.monitor.to_string(), is.monitor.to_string(), Sessions::Terms),
        ("volume", limit(was.volume), limit(is.volume), Sessions::Terms),
        ("rate_up", limit(was.rate_up), limit(is.rate_up), Sessions::Terms),
        ("rate_down", limit(was.rate_down), limit(is.rate_down), Sessions::Terms),
        ("routes", joined(&was.routes), joined(&is.routes), Sessions::Terms),
        ("own_address", was.own_address.to_string(), is.own_address.to_string(), Sessions::Next),
    ] {
        if was != is {
            differs(format!("{key} {} -> {}", was.to_lowercase(), is.to_lowercase()), sessions);
        }
    }
    if (&was.hours, was.time_zone) != (&is.hours, is.time_zone) {
        differs("other `hours`".to_owned(), Sessions::Terms);
    }
    if was.allow_raw_l2tp != is.allow_raw_l2tp {
        let sessions = if is.allow_raw_l2tp { Sessions::Stay } else { Sessions::EndRaw };
        differs(format!("allow_raw_l2tp {} -> {}", was.allow_raw_l2tp, is.allow_raw_l2tp), sessions);
    }
}

fn any(address: Option<Ipv4Addr>) -> String {
    address.map_or("any".to_owned(), |address| address.to_string())
}

fn limit(limit: Option<impl ToString>) -> String {
    limit.map_or("none".to_owned(), |limit| limit.to_string())
}

fn joined<T: ToString>(list: &[T]) -> String {
    match list {
        [] => "none".to_owned(),
        list => list.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}

const fn on_limit(on_limit: OnLimit) -> &'static str {
    match on_limit {
        OnLimit::ReplaceOldest => "replace-oldest",
        OnLimit::ReplaceSameDevice => "replace-same-device",
        OnLimit::Deny => "deny",
    }
}

fn arrow<T: std::fmt::Debug>(old: &T, new: &T) -> String {
    // Numbers, choices and texts: Debug prints the file's words, but for quotes and the case of choices.
    let text = |value: &T| match format!("{value:?}") {
        quoted if quoted.starts_with('"') => quoted.trim_matches('"').to_owned(),
        choice => choice.to_lowercase(),
    };
    format!("{} -> {}", text(old), text(new))
}

/// Walks two lists that are in the order of folded names, and pairs what has the same name.
fn pairs<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> &str,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut out = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return out,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => folded(name(a)).cmp(&folded(name(b))),
        };
        out.push(match order {
            std::cmp::Ordering::Less => (old.next(), None),
            std::cmp::Ordering::Greater => (None, new.next()),
            std::cmp::Ordering::Equal => (old.next(), new.next()),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFacts, load};

    const BASE: &str = r#"
ipsec: { psk: [ "kT7nVpQ2xWz9RbHm4cJd", { key: "another key, for guests alone", hub: GUESTS } ] }
default_hub: OFFICE
hubs:
  OFFICE:
    network: 10.60.0.0/16
    users:
      jiro: { password: "correct horse battery staple" }
      yas: { password: "correct horse battery staple", address: 10.60.0.50 }
  GUESTS: { network: 10.61.0.0/24, users: { visitor: { password: "welcome to the office" } } }
"#;

    fn config(text: &str) -> Config {
        let facts = FileFacts { name: "test.yaml".into(), mode: Some(0o600), now: 1_794_000_000 };
        load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config
    }

    fn changes(edit: &[(&str, &str)]) -> Vec<Change> {
        let mut text = BASE.to_owned();
        for (from, to) in edit {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let (old, mut new) = (config(BASE), config(&text));
        new.renumber_psks(&old);
        old.changes_to(&new, 1_794_000_000)
    }

    #[test]
    fn the_same_file_changes_nothing() {
        assert_eq!(changes(&[]), []);
        // Nor does another order of keys, or another case of a name.
        assert_eq!(changes(&[("      jiro:", "      Jiro:")]), []);
    }

    #[test]
    fn each_change_is_named_with_whom_it_touches() {
        let users = |users: &[&str]| Touches::Users {
            hub: "OFFICE".into(),
            users: users.iter().map(|user| (*user).to_owned()).collect(),
        };
        type Case<'a> = (&'a str, &'a str, &'a str, &'a str, Touches, Effect);
        let cases: &[Case<'_>] = &[
            ("  GUESTS: {", "  LAB: {", "hubs.GUESTS", "removed", Touches::Hub("GUESTS".into()), Effect::Now),
            (
                "10.60.0.0/16",
                "10.60.0.0/17",
                "hubs.OFFICE.network",
                "10.60.0.0/17",
                Touches::Hub("OFFICE".into()),
                Effect::Now,
            ),
            (
                "      jiro:",
                "      ichiro:",
                "hubs.OFFICE.users.jiro",
                "removed",
                users(&["jiro"]),
                Effect::Now,
            ),
            (
                "      jiro:",
                "      ichiro:",
                "hubs.OFFICE.users.ichiro",
                "added",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "\"correct horse battery staple\" }",
                "\"another horse altogether\" }",
                "hubs.OFFICE.users.jiro",
                "password",
                Touches::Nobody,
                Effect::NewConnections,
            ),
            (
                "address: 10.60.0.50",
                "address: 10.60.0.51",
                "hubs.OFFICE.users.yas",
                "10.60.0.50 -> 10.60.0.51",
                Touches::Elsewhere {
                    hub: "OFFICE".into(),
                    user: "yas".into(),
                    address: "10.60.0.51".parse().unwrap(),
                },
                Effect::Now,
            ),
            (
                ", address: 10.60.0.50",
                "",
                "hubs.OFFICE.users.yas",
                "10.60.0.50 -> any",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "kT7nVpQ2xWz9RbHm4cJd",
                "Another8Key9Altogether",
                "ipsec.psk (key 0)",
                "removed",
                Touches::Psk(0),
                Effect::Now,
            ),
            (
                "kT7nVpQ2xWz9RbHm4cJd",
                "Another8Key9Altogether",
                "ipsec.psk (key 2)",
                "added",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "hub: GUESTS",
                "hub: OFFICE",
                "ipsec.psk (key 1)",
                "hub GUESTS -> OFFICE",
                Touches::PskOutside { psk: 1, hub: "OFFICE".into() },
                Effect::Now,
            ),
            (
                "staple\" }",
                "staple\", disabled: true }",
                "hubs.OFFICE.users.jiro",
                "disabled",
                users(&["jiro"]),
                Effect::Now,
            ),
            (
                "staple\" }",
                "staple\", access: deny }",
                "hubs.OFFICE.users.jiro",
                "may not be in",
                users(&["jiro"]),
                Effect::Now,
            ),
            (
                "staple\" }",
                "staple\", max_sessions: 2 }",
                "hubs.OFFICE.users.jiro",
                "max_sessions none -> 2",
                Touches::Nobody,
                Effect::NewConnections,
            ),
            (
                "staple\" }",
                "staple\", idle_timeout: 1h }",
                "hubs.OFFICE.users.jiro",
                "idle_timeout none -> 1h",
                Touches::Terms { hub: "OFFICE".into(), users: vec!["jiro".into()] },
                Effect::Now,
            ),
            (
                "staple\" }",
                "staple\", rate_up: 5mbit }",
                "hubs.OFFICE.users.jiro",
                "rate_up none -> 5mbit",
                Touches::Terms { hub: "OFFICE".into(), users: vec!["jiro".into()] },
                Effect::Now,
            ),
            (
                "network: 10.60.0.0/16",
                "network: 10.60.0.0/16\n    access_list: [{ action: discard, user: jiro }]",
                "hubs.OFFICE.access_list",
                "0 rules -> 1 rules",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "default_hub: OFFICE",
                "default_hub: OFFICE\npenalties: { slow_after: 5 }",
                "penalties",
                "other rules",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "default_hub: OFFICE",
                "default_hub: GUESTS",
                "default_hub",
                "OFFICE -> GUESTS",
                Touches::Nobody,
                Effect::NewConnections,
            ),
            (
                "default_hub: OFFICE",
                "default_hub: OFFICE\nworkers: 2",
                "workers",
                "1 -> 2",
                Touches::Nobody,
                Effect::Restart,
            ),
            (
                "default_hub: OFFICE",
                "default_hub: OFFICE\nlisten: { name: vpn.example.org }",
                "listen.name",
                "none -> vpn.example.org",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "default_hub: OFFICE",
                "default_hub: OFFICE\nlisten: { ports: { ike: 5500 } }",
                "listen.ports",
                "5500",
                Touches::Nobody,
                Effect::Restart,
            ),
            (
                "default_hub: OFFICE",
                "default_hub: OFFICE\nppp: { mru: 1300 }",
                "ppp.mru",
                "1400 -> 1300",
                Touches::Nobody,
                Effect::NewConnections,
            ),
            (
                "network: 10.60.0.0/16",
                "network: 10.60.0.0/16\n    online: false",
                "hubs.OFFICE.online",
                "true -> false",
                Touches::Hub("OFFICE".into()),
                Effect::Now,
            ),
            (
                "network: 10.60.0.0/16",
                "network: 10.60.0.0/16\n    uplink: none",
                "hubs.OFFICE.uplink",
                "auto -> none",
                Touches::Nobody,
                Effect::Now,
            ),
            (
                "network: 10.60.0.0/16",
                "network: 10.60.0.0/16\n    dhcp: { lease: 1h }",
                "hubs.OFFICE.dhcp.lease",
                "8h -> 1h",
                Touches::Nobody,
                Effect::NewConnections,
            ),
        ];
        for (from, to, key, what, touches, effect) in cases {
            let mut edits = vec![(*from, *to)];
            if from.contains("GUESTS: {") {
                edits.push(("hub: GUESTS", "hub: LAB"));
            }
            let found = changes(&edits);
            let change = found.iter().find(|change| change.key == *key && change.what.contains(what));
            let change = change.unwrap_or_else(|| panic!("{key}: {found:#?}"));
            assert_eq!((&change.touches, &change.effect), (touches, effect), "{key}");
        }
    }

    #[test]
    fn an_address_that_becomes_a_users_is_taken_from_whoever_has_it() {
        let found = changes(&[("staple\" }", "staple\", address: 10.60.0.9 }")]);
        let holder = Touches::Holder {
            hub: "OFFICE".into(),
            address: "10.60.0.9".parse().unwrap(),
            owner: "jiro".into(),
        };
        assert!(found.iter().any(|change| change.touches == holder), "{found:#?}");
    }

    #[test]
    fn a_key_whose_time_is_over_is_not_one_that_was_removed() {
        let with = |until: &str| {
            BASE.replace(
                "\"kT7nVpQ2xWz9RbHm4cJd\"",
                &format!("\"kT7nVpQ2xWz9RbHm4cJd\", {{ key: \"the key of last summer 7\"{until} }}"),
            )
        };
        let (old, mut new) = (config(&with(", until: 2026-12-31")), config(BASE));
        new.renumber_psks(&old);
        let removed =
            |unix| old.changes_to(&new, unix).iter().any(|change| change.touches == Touches::Psk(1));
        assert!(removed(1_794_000_000) && !removed(1_900_000_000));
    }

    #[test]
    fn no_secret_appears_and_many_users_are_one_line() {
        let many: String =
            (0..50).map(|n| format!("      user{n}: {{ password: \"secret phrase {n}\" }}\n")).collect();
        let found = changes(&[
            ("    users:\n      jiro", &format!("    users:\n{many}      jiro")),
            ("kT7nVpQ2xWz9RbHm4cJd", "Another8Key9Altogether"),
        ]);
        let text = format!("{found:?}");
        for secret in ["secret phrase", "Another8Key", "kT7n", "correct horse"] {
            assert!(!text.contains(secret), "{text}");
        }
        let added = found.iter().find(|change| change.key == "hubs.OFFICE.users").unwrap();
        assert!(added.what.starts_with("50 users: added (user0, user1, "), "{}", added.what);
    }

    #[test]
    fn a_key_keeps_its_number_through_every_reload() {
        let mut first = config(BASE);
        first.renumber_psks(&config(BASE));
        let only = |key: &str| config(&BASE.replace("kT7nVpQ2xWz9RbHm4cJd", key));
        let mut second = only("Another8Key9Altogether");
        second.renumber_psks(&first);
        let mut third = config(BASE);
        third.renumber_psks(&second);
        let ids = |config: &Config| config.ipsec.psks.iter().map(|psk| psk.id).collect::<Vec<_>>();
        // The first key comes back under a new number: whoever came with the old one was told to go.
        assert_eq!((ids(&first), ids(&second), ids(&third)), (vec![0, 1], vec![2, 1], vec![3, 1]));
    }
}
