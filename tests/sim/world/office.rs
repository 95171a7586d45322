//! The configuration that worlds begin with, written as an administrator would write it.

use sekisho::config::{self, Config, FileFacts};
use std::fmt::Write as _;

/// The key that everybody has.
pub const PSK: &str = "the key that everybody has";

/// Seconds since 1970 when a world begins.
pub const BEGIN: u64 = 1_790_000_000;

/// The password of a user, whoever it is.
pub fn password(user: &str) -> String {
    format!("only {} knows", user.to_lowercase())
}

/// Two hubs: OFFICE, the default, with jiro, yas, mika, ken and u0 to u99; GUESTS with visitor and a jiro of its own.
#[derive(Clone)]
pub struct Office {
    /// Lines at the top of the file.
    pub top: Vec<String>,
    /// Entries of `ipsec.psk`.
    pub psks: Vec<String>,
    /// Lines of hub OFFICE.
    pub office: Vec<String>,
    /// Users of hub OFFICE with what stands between their braces besides the password.
    pub users: Vec<(String, String)>,
    /// Lines of hub GUESTS.
    pub guests: Vec<String>,
    /// Lines of `listen`.
    pub listen: Vec<String>,
    /// Lines of `ipsec`.
    pub ipsec: Vec<String>,
}

impl Default for Office {
    fn default() -> Self {
        let named = ["jiro", "yas", "mika", "ken"].map(str::to_owned);
        let numbered = (0..100).map(|n| format!("u{n}"));
        Self {
            top: vec!["default_hub: OFFICE".into()],
            psks: vec![format!("{{ key: \"{PSK}\" }}")],
            office: vec!["network: 10.60.0.0/24".into(), "dhcp: { dns: [10.60.0.1] }".into()],
            users: named.into_iter().chain(numbered).map(|name| (name, String::new())).collect(),
            guests: vec!["network: 10.61.0.0/24".into()],
            listen: Vec::new(),
            ipsec: Vec::new(),
        }
    }
}

impl Office {
    pub fn top(mut self, line: &str) -> Self {
        self.top.push(line.into());
        self
    }

    pub fn psk(mut self, entry: &str) -> Self {
        self.psks.push(entry.into());
        self
    }

    pub fn listen(mut self, line: &str) -> Self {
        self.listen.push(line.into());
        self
    }

    pub fn ipsec(mut self, line: &str) -> Self {
        self.ipsec.push(line.into());
        self
    }

    pub fn office(mut self, line: &str) -> Self {
        self.office.push(line.into());
        self
    }

    /// The settings of hub OFFICE, in place of the usual ones.
    pub fn only(mut self, lines: &[&str]) -> Self {
        self.office = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    pub fn guests(mut self, line: &str) -> Self {
        self.guests.push(line.into());
        self
    }

    /// Settings of one user.
    pub fn user(mut self, name: &str, settings: &str) -> Self {
        self.users.retain(|(known, _)| known != name);
        self.users.push((name.into(), settings.into()));
        self
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.top {
            let _ = writeln!(text, "{line}");
        }
        if !self.listen.is_empty() {
            let _ = writeln!(text, "listen: {{ {} }}", self.listen.join(", "));
        }
        let _ = writeln!(text, "ipsec:");
        for line in &self.ipsec {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  psk:");
        for psk in &self.psks {
            let _ = writeln!(text, "    - {psk}");
        }
        let _ = writeln!(text, "hubs:");
        let guests = ["visitor", "jiro"].map(|name| (name.to_owned(), String::new()));
        for (name, lines, users) in
            [("OFFICE", &self.office, &self.users[..]), ("GUESTS", &self.guests, &guests)]
        {
            let _ = writeln!(text, "  {name}:");
            for line in lines {
                let _ = writeln!(text, "    {line}");
            }
            let _ = writeln!(text, "    users:");
            for (user, settings) in users {
                let password = password(user);
                let comma = if settings.is_empty() { "" } else { ", " };
                let _ = writeln!(text, "      {user}: {{ password: \"{password}\"{comma}{settings} }}");
            }
        }
        text
    }

    pub fn config(&self) -> Config {
        let facts = FileFacts { name: "office.yaml".into(), mode: None, now: BEGIN };
        match config::load(&self.text(), &facts) {
            Ok(loaded) => loaded.config,
            Err(report) => panic!("{report}\n{}", self.text()),
        }
    }
}
