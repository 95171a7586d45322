//! Rules of the users: names, passwords, addresses.

use super::{Check, DAY, Path, SHORTEST_SILENCE, in_order, model, same_name, schema};
use crate::{
    config::{AuthProtocol, Credential},
    identity,
};

use std::{collections::BTreeMap, net::Ipv4Addr};

/// A password that short is found over the network, even against a gateway that slows guessing down.
const SHORT_PASSWORD: usize = 8;

/// MS-CHAPv2 takes at most 256 characters of UTF-16 (RFC 2759 section 8.3).
const LONGEST_PASSWORD: usize = 256;

impl Check<'_> {
    pub(super) fn users(&mut self, path: &Path, hub: &schema::Hub, file: &schema::File) -> Vec<model::User> {
        let mut users: Vec<model::User> = Vec::new();
        let mut addresses = BTreeMap::new();
        let mut last_name = None;
        for name in in_order(&hub.users) {
            let Some(user) = hub.users.get(name) else { continue };
            let path = path.key(name);
            self.user_name(&path, name, file);
            if let Some(earlier) = last_name.replace(name).filter(|earlier| same_name(earlier, name)) {
                let message = format!("`{name}` and `{earlier}` are the same user: case does not count");
                self.error(&path, message, None);
            }
            self.fixed_address(&path, user, hub, &addresses);
            if let Some(address) = user.address {
                addresses.entry(address).or_insert(name);
            }
            let Some(credential) = self.credential(&path, name, user, file) else { continue };
            let sessions = &file.sessions;
            users.push(model::User {
                name: name.to_owned(),
                credential,
                address: user.address,
                allow_raw_l2tp: user.allow_raw_l2tp.unwrap_or(hub.allow_raw_l2tp),
                dead_after: self.dead_after(&path, user, sessions),
                max_sessions: user.max_sessions.or(sessions.max_sessions),
                on_limit: user.on_limit.unwrap_or(sessions.on_limit),
            });
            if user.max_sessions == Some(0) {
                let hint = Some("remove the user to keep them out");
                self.error(&path.key("max_sessions"), "with 0 this user can never connect".to_owned(), hint);
            }
        }
        users
    }

    /// A name must be one that [`identity::parse`] reads as this user, when it is typed without a hub.
    fn user_name(&mut self, path: &Path, name: &str, file: &schema::File) {
        let hubs: Vec<&str> = file.hubs.keys().map(String::as_str).collect();
        let read = identity::parse(name.as_bytes(), hubs.as_slice(), None);
        if name.trim().is_empty() {
            self.error(path, "the name of this user is empty".to_owned(), None);
        } else if name.trim() != name {
            let hint = Some("white space around a name is dropped when somebody logs in");
            self.error(path, "the name of this user begins or ends with white space".to_owned(), hint);
        } else if let Some(hub) = read.hub {
            let message =
                format!("`{name}` is read as user `{}` of hub {hub}, when somebody logs in", read.user);
            self.error(path, message, Some("write the user under that hub, without the hub's name"));
        } else if read.user != name {
            let hint = Some("a closing `@` means `no hub` and is not part of the name");
            self.error(path, format!("`{name}` is read as `{}`, when somebody logs in", read.user), hint);
        }
    }

    fn fixed_address(
        &mut self,
        path: &Path,
        user: &schema::User,
        hub: &schema::Hub,
        taken: &BTreeMap<Ipv4Addr, &str>,
    ) {
        let (Some(address), network) = (user.address, hub.network) else { return };
        let path = path.key("address");
        if !network.has_host(address) {
            let hint =
                format!("the hosts of {network} are {} to {}", network.first_host(), network.last_host());
            self.error(&path, format!("{address} cannot be a host of {network}"), Some(&hint));
        } else if address == hub.gateway.unwrap_or(network.first_host()) {
            self.error(&path, format!("{address} is the gateway's own address"), None);
        } else if let Some(other) = taken.get(&address) {
            self.error(&path, format!("{address} is the address of user {other} already"), None);
        } else if user.max_sessions.is_some_and(|most| most > 1) {
            let hint = Some("a second device of this user gets an address of the range");
            self.warn(&path, "one address serves one device at a time".to_owned(), hint);
        }
    }

    fn credential(
        &mut self,
        path: &Path,
        name: &str,
        user: &schema::User,
        file: &schema::File,
    ) -> Option<Credential> {
        let password = path.key("password");
        match (&user.password, &user.nt_hash) {
            (Some(_), Some(_)) => {
                let message = "there is a password and an NT hash, and they may differ".to_owned();
                self.error(&path.key("nt_hash"), message, Some("keep one of the two"));
                None
            }
            (Some(secret), None) => {
                let length = String::from_utf8_lossy(secret).encode_utf16().count();
                if length == 0 {
                    self.error(&password, "the password is empty".to_owned(), None);
                } else if length > LONGEST_PASSWORD {
                    let message = format!(
                        "the password has more than {LONGEST_PASSWORD} characters, which MS-CHAPv2 forbids"
                    );
                    self.error(&password, message, None);
                } else if length < SHORT_PASSWORD
                    || String::from_utf8_lossy(secret).eq_ignore_ascii_case(name)
                {
                    let hint = Some("take at least 8 characters that are not the name");
                    self.warn(&password, "this password is weak".to_owned(), hint);
                }
                Some(Credential::Password(secret.clone()))
            }
            (None, Some(hash)) => {
                self.hash_is_enough(&path.key("nt_hash"), name, file);
                Some(Credential::NtHash(hash.0.clone()))
            }
            (None, None) => {
                if !self.skipped.touches(&password) && !self.skipped.touches(&path.key("nt_hash")) {
                    let hint = Some("password: \"...\", or nt_hash: \"32 hexadecimal digits\"");
                    self.error(path, "this user has neither a password nor an NT hash".to_owned(), hint);
                }
                None
            }
        }
    }

    /// MD5 hashes the password together with a challenge: from an NT hash that cannot be computed.
    fn hash_is_enough(&mut self, path: &Path, name: &str, file: &schema::File) {
        let (able, unable): (Vec<AuthProtocol>, Vec<_>) =
            file.ppp.auth.iter().partition(|protocol| protocol.method().works_with_nt_hash());
        if unable.is_empty() {
            return;
        }
        let need = if unable.len() == 1 { "needs" } else { "need" };
        let unable = unable.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
        if able.is_empty() {
            let hint = "give the password instead of the hash, or add mschapv2 to ppp.auth";
            let message = format!(
                "{name} can never log in: all that ppp.auth has is {unable}, which {need} the password itself"
            );
            self.warn(path, message, Some(hint));
        } else {
            let hint = format!("nearly every client takes mschapv2; leave {unable} out of ppp.auth if nobody needs it");
            let message = format!("{name} cannot log in with {unable}, which {need} the password itself");
            self.warn(path, message, Some(&hint));
        }
    }

    fn dead_after(
        &mut self,
        path: &Path,
        user: &schema::User,
        sessions: &schema::Sessions,
    ) -> std::time::Duration {
        match user.dead_after {
            Some(own) => self.span(&path.key("dead_after"), own.0, SHORTEST_SILENCE, DAY),
            None => sessions.dead_after.0,
        }
    }
}
