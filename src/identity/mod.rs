//! Who somebody is: the name that a client sends is taken apart into user and hub, and a proof of the password is
//! compared with what the account holds. Nothing here knows a protocol, a clock or a file.
//!
//! The rules for names are SoftEther's, whose users we want to serve without retraining anybody:
//! 1. Blanks around the name are cut off.
//! 2. If the first `\` is neither the first nor the last character, what precedes it names the hub and what follows it
//!    the user. If there is no such hub, the whole name is the user (an `@` in it means nothing then).
//! 3. Otherwise the last `@` divides user and hub. If there is no such hub, the whole name is the user (so that an
//!    e-mail address can be one); if nothing follows the `@`, it is dropped.
//! 4. Without a hub, the default hub is meant, if there is one.
//! 5. Upper and lower case are the same, in users and in hubs.

pub mod account;

pub use account::Authenticated;

/// The hubs that exist, as far as names are concerned.
pub trait HubNames {
    /// The hub's own spelling of `name`, compared without regard to case (and to an alias, if it has some); `None` if
    /// there is no such hub.
    fn find(&self, name: &str) -> Option<&str>;
}

impl HubNames for [&str] {
    fn find(&self, name: &str) -> Option<&str> {
        self.iter().copied().find(|hub| same_name(hub, name))
    }
}

/// By which rule a name was taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Rule {
    /// `hub\user`.
    Prefix,
    /// `user@hub`.
    Suffix,
    /// No hub in the name, or none that exists: the default hub is meant.
    Default,
}

impl Rule {
    /// The rule's name in logs and diagnoses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Suffix => "suffix",
            Self::Default => "default",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A name taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    /// The user part as typed; look it up with [`same_name`] or by its [`folded`] form. May be empty (`@hub`).
    pub user: String,
    /// The hub in its own spelling; `None` if the name has none and there is no default.
    pub hub: Option<String>,
    /// By which rule.
    pub rule: Rule,
    /// What stands where a hub's name would, but is none: `nohub` of `alice@nohub`. For the diagnosis only: it is part
    /// of `user`.
    pub would_be_hub: Option<String>,
}

impl std::fmt::Display for Parsed {
    /// `user yas, hub HUB2 (rule: suffix)`, for logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "user {}, hub {} (rule: {}", self.user, self.hub.as_deref().unwrap_or("none"), self.rule)?;
        match &self.would_be_hub {
            Some(hub) => write!(f, "; there is no hub {hub})"),
            None => f.write_str(")"),
        }
    }
}

/// Takes a name apart by the rules above. Bytes that are not UTF-8 (a client in an old code page) become U+FFFD and
/// match nobody.
#[must_use]
pub fn parse(name: &[u8], hubs: &(impl HubNames + ?Sized), default_hub: Option<&str>) -> Parsed {
    let name = String::from_utf8_lossy(name);
    let name = name.trim();
    let divided = match name.find('\\') {
        Some(at) if at > 0 && at + 1 < name.len() => Some((Rule::Prefix, &name[at + 1..], &name[..at])),
        _ => name.rfind('@').map(|at| (Rule::Suffix, &name[..at], &name[at + 1..])),
    };
    let by_default = |user: &str, would_be_hub: Option<&str>| Parsed {
        user: user.to_owned(),
        hub: default_hub.map(str::to_owned),
        rule: Rule::Default,
        would_be_hub: would_be_hub.map(str::to_owned),
    };
    match divided {
        None => by_default(name, None),
        Some((_, user, "")) => by_default(user, None),
        Some((rule, user, hub)) => match hubs.find(hub) {
            Some(hub) => {
                Parsed { user: user.to_owned(), hub: Some(hub.to_owned()), rule, would_be_hub: None }
            }
            None => by_default(name, Some(hub)),
        },
    }
}

/// The form of a name under which upper and lower case are the same: for the keys of tables.
#[must_use]
pub fn folded(name: &str) -> String {
    // By way of upper case: ß and SS, ς and σ are the same then.
    name.to_uppercase().to_lowercase()
}

/// Whether two names are the same but for upper and lower case.
#[must_use]
pub fn same_name(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() { a.eq_ignore_ascii_case(b) } else { folded(a) == folded(b) }
}

#[cfg(test)]
mod tests;
