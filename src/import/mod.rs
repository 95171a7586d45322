//! Configurations of other servers, read as far as they mean something here: a configuration of ours comes out, and a
//! report of what could not be taken over. Nothing is left out in silence.

mod secrets;
mod softether;

#[cfg(test)]
mod tests;

pub use secrets::{chap_secrets, ipsec_secrets};
pub use softether::softether;

use crate::config::edit::Fragment;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Pre-shared keys that open every hub.
    pub psks: Vec<String>,
    /// Hubs in their order.
    pub hubs: Vec<Hub>,
    /// The hub of those who name none.
    pub default_hub: Option<String>,
    /// Whether clear-text L2TP was served.
    pub raw_l2tp: bool,
    /// What could not be taken over, and why; one sentence each.
    pub left_out: Vec<String>,
}

/// A hub.
#[derive(Clone, Debug, Default)]
pub struct Hub {
    /// Its name.
    pub name: String,
    /// Its network, `10.0.0.0/24`, if the other configuration had one.
    pub network: Option<String>,
    /// The gateway's address in it.
    pub gateway: Option<Ipv4Addr>,
    /// First and last address to hand out.
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// The domain.
    pub domain: Option<String>,
    /// The users in their order.
    pub users: Vec<User>,
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// What proves the user.
    pub secret: Secret,
    /// The user's own address.
    pub address: Option<Ipv4Addr>,
    /// Whether the account is switched off.
    pub disabled: bool,
    /// The last day, `2026-12-31`.
    pub expires: Option<String>,
}

/// A password or what is left of one.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The password itself.
    Password(String),
    /// Its NT hash, 32 hexadecimal digits.
    NtHash(String),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(...)",
            Self::NtHash(_) => "NtHash(...)",
        })
    }
}

impl Found {
    /// Our configuration of it. Hubs without a network get one from `free`.
    #[must_use]
    pub fn yaml(&self, source: &str, mut free: impl FnMut() -> String) -> String {
        let mut out = format!("# Sekisho's configuration, imported from {}.\n", source.replace('\n', " "));
        if !self.left_out.is_empty() {
            out.push_str("# Not taken over:\n");
            for line in &self.left_out {
                let _ = writeln!(out, "# - {}", line.replace('\n', " "));
            }
        }
        out.push('\n');
        if self.raw_l2tp {
            out.push_str("listen:\n  raw_l2tp: true             # L2TP in clear text; users need allow_raw_l2tp besides\n\n");
        }
        if !self.psks.is_empty() {
            out.push_str("ipsec:\n  psk:\n");
            for key in &self.psks {
                let _ = writeln!(out, "    - key: {}", text(key));
            }
            out.push('\n');
        }
        if let (Some(hub), 2..) = (&self.default_hub, self.hubs.len()) {
            let _ = writeln!(out, "default_hub: {}\n", text(hub));
        } else if self.hubs.len() > 1 {
            out.push_str("default_hub: none\n\n");
        }
        // Hashes are no good for CHAP with MD5; to offer it would keep those users out who take it.
        let hashes =
            self.hubs.iter().flat_map(|hub| &hub.users).any(|user| matches!(user.secret, Secret::NtHash(_)));
        if hashes {
            out.push_str("ppp:\n  auth: [mschapv2, pap]      # some users have a hash alone, with which CHAP cannot work\n\n");
        }
        out.push_str("hubs:\n");
        for hub in &self.hubs {
            hub.write(&mut out, &mut free);
        }
        out
    }
}

impl Hub {
    fn write(&self, out: &mut String, free: &mut impl FnMut() -> String) {
        let _ = writeln!(out, "  {}:", text(&self.name));
        let network = self.network.clone().unwrap_or_else(free);
        let _ = writeln!(out, "    network: {network}");
        if let Some(gateway) = self.gateway {
            let _ = writeln!(out, "    gateway: {gateway}");
        }
        let mut dhcp = Vec::new();
        if let Some((first, last)) = self.range {
            dhcp.push(("range".to_owned(), Fragment::Word(format!("{first}-{last}"))));
        }
        if !self.dns.is_empty() {
            let servers = self.dns.iter().map(|server| Fragment::Word(server.to_string())).collect();
            dhcp.push(("dns".to_owned(), Fragment::List(servers)));
        }
        if let Some(domain) = &self.domain {
            dhcp.push(("domain".to_owned(), Fragment::Text(domain.clone())));
        }
        if !dhcp.is_empty() {
            let _ = writeln!(out, "    dhcp: {}", Fragment::Map(dhcp).flow());
        }
        if !self.users.is_empty() {
            out.push_str("    users:\n");
        }
        for user in &self.users {
            let (key, secret) = match &user.secret {
                Secret::Password(password) => ("password", password),
                Secret::NtHash(hash) => ("nt_hash", hash),
            };
            let mut entry = vec![(key.to_owned(), Fragment::Text(secret.clone()))];
            entry.extend(
                user.address.map(|address| ("address".to_owned(), Fragment::Word(address.to_string()))),
            );
            entry.extend(user.expires.clone().map(|date| ("expires".to_owned(), Fragment::Word(date))));
            entry.extend(user.disabled.then(|| ("disabled".to_owned(), Fragment::Word("true".to_owned()))));
            let _ = writeln!(out, "      {}: {}", text(&user.name), Fragment::Map(entry).flow());
        }
    }
}

fn text(text: &str) -> String {
    Fragment::Text(text.to_owned()).flow()
}
