//! The rules between keys. Every rule that is broken is reported, and the [`Config`] is built on the way.
//!
//! A rule that infers something from what is *absent* ("no such hub") is silent where a fault was left out while
//! reading: the absent thing may be in the part that could not be read.

mod access;
mod clients;
mod dhcp;
mod hubs;
mod keys;
mod penalties;
mod routers;
mod rules;
mod users;

use super::{
    Config, FileFacts, Finding, Severity,
    edit_distance::nearest,
    model,
    position::{Path, Positions},
    schema,
    tree::Skipped,
};
use crate::identity::{folded, same_name};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Checks `file`, adds what it finds to `findings`, and gives the configuration when there was no error.
pub(super) fn check(
    file: &schema::File,
    facts: &FileFacts,
    positions: &Positions,
    skipped: &Skipped,
    findings: &mut Vec<Finding>,
) -> Option<Config> {
    let mut check = Check { facts, positions, skipped, findings };
    check.file_mode();
    let listen = check.listen(&file.listen);
    let hubs = check.hubs(file);
    let routers = check.routers(file, &hubs);
    let default_hub = check.default_hub(file);
    let psks = check.psks(file);
    let groups = check.psk_groups(file);
    check.raw_l2tp(file, &hubs);
    let clients = check.clients(file);
    let ppp = check.ppp(&file.ppp);
    let networks: Vec<_> = file.hubs.values().map(|hub| hub.network).collect();
    check.routes(&Path::of(&["sessions"]), file.sessions.routes.as_ref(), &networks);
    let sessions = check.sessions(&file.sessions);
    let limits = check.limits(&file.limits);
    let penalties = check.penalties(&file.penalties);
    if !(1..=64).contains(&file.workers) {
        check.error(&Path::of(&["workers"]), format!("{} is not between 1 and 64", file.workers), None);
    }
    let broken = findings.iter().any(|finding| finding.severity == Severity::Error);
    (!broken).then(|| Config {
        listen,
        ipsec: model::Ipsec::new(file.ipsec.policy, psks, groups),
        clients,
        default_hub,
        hubs,
        routers,
        ppp,
        sessions,
        limits,
        penalties,
        log: model::Log { level: file.log.level, format: file.log.format },
        workers: file.workers,
    })
}

/// A client repeats its own keep-alives every 20 to 60 seconds; what is shorter ends sessions that live.
const SHORTEST_SILENCE: u64 = 30;
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;
const RESUME_FOR: Duration = Duration::from_secs(10 * MINUTE);

/// The names of a mapping in the order in which [`model`] keeps them, so that equal names are neighbours.
fn in_order<T>(named: &BTreeMap<String, T>) -> Vec<&str> {
    let mut names: Vec<&str> = named.keys().map(String::as_str).collect();
    names.sort_by_cached_key(|name| folded(name));
    names
}

struct Check<'a> {
    facts: &'a FileFacts,
    positions: &'a Positions,
    skipped: &'a Skipped,
    findings: &'a mut Vec<Finding>,
}

impl Check<'_> {
    fn error(&mut self, path: &Path, message: String, hint: Option<&str>) {
        self.find(Severity::Error, path, message, hint);
    }

    fn warn(&mut self, path: &Path, message: String, hint: Option<&str>) {
        self.find(Severity::Warning, path, message, hint);
    }

    fn find(&mut self, severity: Severity, path: &Path, message: String, hint: Option<&str>) {
        let (position, hint) = (self.positions.find(path), hint.map(str::to_owned));
        self.findings.push(Finding { severity, position, key: path.to_string(), message, hint });
    }

    /// The file holds keys and passwords in clear.
    fn file_mode(&mut self) {
        if let Some(mode) = self.facts.mode.filter(|mode| mode & 0o077 != 0) {
            let message = format!(
                "other users of this host may read the keys and passwords in this file (mode {:04o})",
                mode & 0o7777
            );
            let hint = format!("chmod 600 {}", self.facts.name);
            self.warn(&Path::default(), message, Some(&hint));
        }
    }

    fn listen(&mut self, listen: &schema::Listen) -> model::Listen {
        let section = Path::of(&["listen"]);
        if !listen.l2tp_ipsec && !listen.raw_l2tp {
            let hint = "switch l2tp_ipsec on";
            self.error(
                &section.key("l2tp_ipsec"),
                "with both l2tp_ipsec and raw_l2tp off nobody can connect".to_owned(),
                Some(hint),
            );
        }

        let addresses = section.key("addresses");
        if listen.addresses.is_empty() && !self.skipped.touches(&addresses) {
            self.error(
                &addresses,
                "there is no address to listen on".to_owned(),
                Some("[\"0.0.0.0\"] is every address"),
            );
        }
        for (index, address) in listen.addresses.iter().enumerate() {
            let path = addresses.index(index);
            let others: Vec<_> = listen.addresses.iter().take(index).collect();
            if address.is_ipv6() {
                let hint = "clients reach this release through IPv4; \"0.0.0.0\" is every IPv4 address";
                self.error(
                    &path,
                    format!("{address} is an IPv6 address, which this release does not listen on"),
                    Some(hint),
                );
            } else if address.is_multicast() {
                self.error(&path, format!("{address} is a multicast address"), None);
            } else if others.contains(&address) {
                self.error(&path, format!("{address} is in the list already"), None);
            } else if let Some(any) =
                others.iter().find(|other| other.is_unspecified() || address.is_unspecified())
            {
                let hint = "keep 0.0.0.0 alone, or name the addresses";
                self.error(&path, format!("{address} and {any} cover each other"), Some(hint));
            }
        }

        let schema::Ports { ike, nat_t, l2tp } = listen.ports;
        let ports = section.key("ports");
        for (name, port, earlier) in [
            ("ike", ike, &[][..]),
            ("nat_t", nat_t, &[("ike", ike)][..]),
            ("l2tp", l2tp, &[("ike", ike), ("nat_t", nat_t)][..]),
        ] {
            if port == 0 {
                self.error(&ports.key(name), "0 is not a port".to_owned(), None);
            } else if let Some((other, _)) = earlier.iter().find(|(_, other)| *other == port) {
                self.error(&ports.key(name), format!("{port} is the port of `{other}` already"), None);
            }
        }

        if listen.l2tp_secret.as_ref().is_some_and(|secret| secret.is_empty()) {
            let hint = Some("leave it out: most clients know no tunnel secret");
            self.error(&Path::of(&["listen", "l2tp_secret"]), "the secret is empty".to_owned(), hint);
        }

        if let Some(name) = listen.name.as_deref().filter(|name| !dhcp::is_domain(name)) {
            let hint = Some("the name that clients dial, such as vpn.example.org");
            self.error(&section.key("name"), format!("`{name}` is not a DNS name"), hint);
        }

        model::Listen {
            addresses: listen.addresses.clone(),
            name: listen.name.clone(),
            ports: model::Ports { ike, nat_t, l2tp },
            l2tp_ipsec: listen.l2tp_ipsec,
            raw_l2tp: listen.raw_l2tp,
            l2tp_secret: listen.l2tp_secret.clone(),
        }
    }

    /// The lone hub, or the one that is named; several and none named is a question that only the administrator answers.
    fn default_hub(&mut self, file: &schema::File) -> Option<usize> {
        let path = Path::of(&["default_hub"]);
        let names = in_order(&file.hubs);
        match file.default_hub.as_deref() {
            Some(name) if same_name(name, "none") => None,
            Some(name) => self.known_hub(&path, name, &names),
            None if names.len() == 1 => Some(0),
            None => {
                if names.len() > 1 && !self.skipped.touches(&path) {
                    let message = format!(
                        "there are {} hubs, and nothing says which is for a user who names none",
                        names.len()
                    );
                    let hint = format!("default_hub: {}, or default_hub: none", names[0]);
                    self.error(&path, message, Some(&hint));
                }
                None
            }
        }
    }

    /// The index of the hub called `name`.
    fn known_hub(&mut self, path: &Path, name: &str, names: &[&str]) -> Option<usize> {
        let found = names.iter().position(|hub| same_name(hub, name));
        if found.is_none() && !self.skipped.touches(&Path::of(&["hubs"])) {
            let hint = match nearest(name, names.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the hubs are: {}", names.join(", ")),
            };
            self.error(path, format!("there is no hub `{name}`"), Some(&hint));
        }
        found
    }

    fn ppp(&mut self, ppp: &schema::Ppp) -> model::Ppp {
        let auth = Path::of(&["ppp", "auth"]);
        if ppp.auth.is_empty() && !self.skipped.touches(&auth) {
            let hint = Some("[mschapv2, chap, pap]");
            self.error(&auth, "without an authentication protocol nobody can log in".to_owned(), hint);
        }
        let mut seen = BTreeSet::new();
        for (index, protocol) in ppp.auth.iter().enumerate() {
            if !seen.insert(protocol) {
                self.error(&auth.index(index), format!("{protocol} is in the list already"), None);
            }
        }
        if !(576..=1500).contains(&ppp.mru) {
            let hint = Some("1400 fits nearly everywhere");
            self.error(
                &Path::of(&["ppp", "mru"]),
                format!("{} is not between 576 and 1500 bytes", ppp.mru),
                hint,
            );
        }
        model::Ppp { auth: ppp.auth.clone(), mru: ppp.mru }
    }

    fn sessions(&mut self, sessions: &schema::Sessions) -> model::Sessions {
        let section = Path::of(&["sessions"]);
        self.rules(&section, &sessions.rules());
        let resume_for = sessions.resume_for.map_or(RESUME_FOR, |span| span.0);
        model::Sessions { resume_for: self.span(&section.key("resume_for"), resume_for, 0, DAY) }
    }

    fn limits(&mut self, limits: &schema::Limits) -> model::Limits {
        let section = Path::of(&["limits"]);
        let schema::Limits { sessions, half_open, half_open_per_source } = *limits;
        for (name, value) in
            [("sessions", sessions), ("half_open", half_open), ("half_open_per_source", half_open_per_source)]
        {
            if value == 0 {
                self.error(&section.key(name), "with 0 nobody can connect".to_owned(), None);
            }
        }
        if half_open_per_source > half_open {
            let message = format!("{half_open_per_source} from one source is more than {half_open} in all");
            self.error(&section.key("half_open_per_source"), message, None);
        }
        model::Limits { sessions, half_open, half_open_per_source }
    }

    /// A length of time within bounds, given in seconds.
    fn span(&mut self, path: &Path, span: Duration, least: u64, most: u64) -> Duration {
        if !(least..=most).contains(&span.as_secs()) {
            let words = |seconds| super::Span::seconds(seconds);
            let message =
                format!("{} is not between {} and {}", super::Span(span), words(least), words(most));
            self.error(path, message, None);
        }
        span
    }
}
