//! Rules of the users and their groups: names, passwords, addresses.

use super::{Check, Path, in_order, model, nearest, same_name, schema};
use crate::{
    config::{AuthProtocol, Credential, Limit, Terms},
    identity,
};

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

/// A password that short is found over the network, even against a gateway that slows guessing down.
const SHORT_PASSWORD: usize = 8;

/// MS-CHAPv2 takes at most 256 characters of UTF-16 (RFC 2759 section 8.3).
const LONGEST_PASSWORD: usize = 256;

impl Check<'_> {
    pub(super) fn users(&mut self, path: &Path, hub: &schema::Hub, file: &schema::File) -> Vec<model::User> {
        let mut users: Vec<model::User> = Vec::new();
        let (networks, hub_path) = ([hub.network], path.parent().unwrap_or_default());
        self.routes(&hub_path, hub.routes.as_ref(), &networks);
        for (name, group) in &hub.groups {
            self.routes(&hub_path.key("groups").key(name), group.routes.as_ref(), &networks);
        }
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
            self.rules(&path, &user.rules());
            self.routes(&path, user.routes.as_ref(), &networks);
            let group = user.group.as_deref().and_then(|name| self.known_group(&path, name, hub));
            let of_group = group.map(|(_, group)| group.rules()).unwrap_or_default();
            let rules = user.rules().or(&of_group).or(&hub.rules()).or(&file.sessions.rules());
            let Some(credential) = self.credential(&path, name, user, file) else { continue };
            users.push(model::User {
                name: name.to_owned(),
                credential,
                group: group.map(|(name, _)| name.to_owned()),
                address: user.address,
                disabled: user.disabled,
                terms: Arc::new(Terms::from(rules)),
            });
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
        } else if user.own_address == Some(true) {
            let hint = Some("the user gets this address, whatever the client asks for");
            self.warn(&path, "`own_address` has no effect beside it".to_owned(), hint);
        } else if Limit::of(user.max_sessions).is_some_and(|most| most > 1) {
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
            let hint = format!(
                "nearly every client takes mschapv2; leave {unable} out of ppp.auth if nobody needs it"
            );
            let message = format!("{name} cannot log in with {unable}, which {need} the password itself");
            self.warn(path, message, Some(&hint));
        }
    }

    /// Groups: their names and rules.
    pub(super) fn groups(&mut self, path: &Path, hub: &schema::Hub) {
        let mut last_name: Option<&str> = None;
        for name in in_order(&hub.groups) {
            let path = path.key(name);
            if name.trim().is_empty() || name.trim() != name {
                let message = "the name of a group is not empty and has no white space around it".to_owned();
                self.error(&path, message, None);
            }
            if let Some(earlier) = last_name.replace(name).filter(|earlier| same_name(earlier, name)) {
                let message = format!("`{name}` and `{earlier}` are the same group: case does not count");
                self.error(&path, message, None);
            }
            if let Some(group) = hub.groups.get(name) {
                self.rules(&path, &group.rules());
            }
        }
    }

    /// The group that a user names.
    fn known_group<'f>(
        &mut self,
        path: &Path,
        name: &str,
        hub: &'f schema::Hub,
    ) -> Option<(&'f str, &'f schema::Group)> {
        let found = hub.groups.iter().find(|(group, _)| same_name(group, name));
        let groups = path.parent().and_then(|users| users.parent()).unwrap_or_default().key("groups");
        if found.is_none() && !self.skipped.touches(&groups) {
            let hint = match nearest(name, hub.groups.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("groups stand beside the users: groups: {{ {name}: {{}} }}"),
            };
            self.error(&path.key("group"), format!("there is no group `{name}` in this hub"), Some(&hint));
        }
        found.map(|(name, group)| (name.as_str(), group))
    }
}
