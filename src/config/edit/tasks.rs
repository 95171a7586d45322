//! What `sekisho user`, `hub` and `psk` do to a configuration's text. Names are found in any case, as everywhere.
#![allow(
    clippy::useless_vec,
    reason = "a path is a vector wherever it goes; what takes it would take an array as well"
)]

use super::{Document, EditError, Fragment, Step};
use crate::identity::same_name;
use std::net::Ipv4Addr;

/// Why a command changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TaskError {
    /// The text does not allow it.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// No such hub; those that there are.
    #[error("there is no hub {0}; there are: {1}")]
    NoHub(String, String),
    /// No such user in the hub.
    #[error("hub {1} has no user {0}")]
    NoUser(String, String),
    /// The name is taken.
    #[error("hub {1} has a user {0} already: `sekisho user passwd` sets a new password")]
    UserExists(String, String),
    /// The name is taken.
    #[error("there is a hub {0} already")]
    HubExists(String),
    /// A hub that is needed.
    #[error("hub {0} is the default hub of those who name none: set `default_hub` to another one first")]
    IsDefault(String),
    /// The last hub.
    #[error("hub {0} is the only one, and a gateway without a hub has nothing to do")]
    LastHub(String),
    /// A key that is there already.
    #[error("this key is in the list already")]
    KeyExists,
}

/// What proves a user.
#[derive(Clone, Debug)]
pub enum NewSecret<'a> {
    /// The password.
    Password(&'a str),
    /// 32 hexadecimal digits.
    NtHash(&'a str),
}

impl NewSecret<'_> {
    fn entry(&self) -> (&'static str, Fragment) {
        match self {
            Self::Password(password) => ("password", Fragment::Text((*password).to_owned())),
            Self::NtHash(hash) => ("nt_hash", Fragment::Text((*hash).to_owned())),
        }
    }
}

/// A user to be added.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    /// The hub.
    pub hub: &'a str,
    /// The name.
    pub name: &'a str,
    /// The password or its hash.
    pub secret: NewSecret<'a>,
    /// The group, if any.
    pub group: Option<&'a str>,
    /// The user's own address, if any.
    pub address: Option<Ipv4Addr>,
}

/// A hub to be added.
#[derive(Clone, Debug)]
pub struct NewHub<'a> {
    /// The name.
    pub name: &'a str,
    /// The network, as written.
    pub network: String,
    /// Further keys, in order.
    pub keys: Vec<(String, Fragment)>,
}

/// A new pre-shared key, and an end for those that it replaces.
#[derive(Clone, Debug)]
pub struct Rotation<'a> {
    /// The new key.
    pub key: &'a str,
    /// The last day of the old ones.
    pub until: &'a str,
    /// The hub that both open alone; `None`: those that open every hub.
    pub hub: Option<&'a str>,
}

/// One entry of `ipsec.psk`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyEntry {
    /// The key.
    pub key: String,
    /// Its last day.
    pub until: Option<String>,
    /// Its hub.
    pub hub: Option<String>,
}

impl Document {
    /// The name of a hub as the text spells it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn hub(&self, name: &str) -> Result<String, TaskError> {
        let hubs = self.keys(&config_path!["hubs"]);
        let found = hubs.iter().find(|hub| same_name(hub, name)).cloned();
        found.ok_or_else(|| TaskError::NoHub(name.to_owned(), hubs.join(", ")))
    }

    /// Where a user stands.
    fn user(&self, hub: &str, name: &str) -> Result<Vec<Step>, TaskError> {
        let hub = self.hub(hub)?;
        let users = config_path!["hubs", hub.as_str(), "users"];
        let found = self.keys(&users).into_iter().find(|user| same_name(user, name));
        let user = found.ok_or_else(|| TaskError::NoUser(name.to_owned(), hub.clone()))?;
        Ok(config_path!["hubs", hub.as_str(), "users", user.as_str()])
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When there is one of that name, no such hub, or the text does not allow it.
    pub fn add_user(&mut self, new: &NewUser<'_>) -> Result<(), TaskError> {
        if self.user(new.hub, new.name).is_ok() {
            return Err(TaskError::UserExists(new.name.to_owned(), self.hub(new.hub)?));
        }
        let hub = self.hub(new.hub)?;
        let (key, secret) = new.secret.entry();
        let mut entry = vec![(key.to_owned(), secret)];
        entry.extend(new.group.map(|group| ("group".to_owned(), Fragment::Text(group.to_owned()))));
        entry.extend(new.address.map(|address| ("address".to_owned(), Fragment::Word(address.to_string()))));
        Ok(self.set(&config_path!["hubs", hub.as_str(), "users", new.name], &Fragment::Map(entry))?)
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// When there is no such user, or the text does not allow it.
    pub fn set_secret(&mut self, hub: &str, name: &str, secret: &NewSecret<'_>) -> Result<(), TaskError> {
        let user = self.user(hub, name)?;
        let (key, value) = secret.entry();
        let other = if key == "password" { "nt_hash" } else { "password" };
        let at = |key: &str| [user.as_slice(), &config_path![key]].concat();
        self.set(&at(key), &value)?;
        if self.keys(&user).iter().any(|key| key == other) {
            self.remove(&at(other))?;
        }
        Ok(())
    }

    /// Removes a user.
    ///
    /// # Errors
    /// When there is no such user, or the text does not allow it.
    pub fn delete_user(&mut self, hub: &str, name: &str) -> Result<(), TaskError> {
        let user = self.user(hub, name)?;
        Ok(self.remove(&user)?)
    }

    /// Switches a user off or on.
    ///
    /// # Errors
    /// When there is no such user, or the text does not allow it.
    pub fn set_disabled(&mut self, hub: &str, name: &str, disabled: bool) -> Result<(), TaskError> {
        let user = self.user(hub, name)?;
        let at = [user.as_slice(), &config_path!["disabled"]].concat();
        if disabled {
            self.set(&at, &Fragment::Word("true".to_owned()))?;
        } else if self.keys(&user).iter().any(|key| key == "disabled") {
            self.remove(&at)?;
        }
        Ok(())
    }

    /// Adds a hub. Where the only hub was the default one without being named, it stays the default one, now by name.
    ///
    /// # Errors
    /// When there is one of that name, or the text does not allow it.
    pub fn add_hub(&mut self, new: &NewHub<'_>) -> Result<(), TaskError> {
        if self.hub(new.name).is_ok() {
            return Err(TaskError::HubExists(new.name.to_owned()));
        }
        let hubs = self.keys(&config_path!["hubs"]);
        let mut entry = vec![("network".to_owned(), Fragment::Word(new.network.clone()))];
        entry.extend(new.keys.iter().cloned());
        self.set(&config_path!["hubs", new.name], &Fragment::Map(entry))?;
        if let ([only], None) = (hubs.as_slice(), self.scalar(&config_path!["default_hub"])) {
            self.set(&config_path!["default_hub"], &Fragment::Text(only.clone()))?;
        }
        Ok(())
    }

    /// Removes a hub with its users.
    ///
    /// # Errors
    /// When there is no such hub, it is still needed, or the text does not allow it.
    pub fn delete_hub(&mut self, name: &str) -> Result<(), TaskError> {
        let hub = self.hub(name)?;
        let others = self.keys(&config_path!["hubs"]).len() - 1;
        if others == 0 {
            return Err(TaskError::LastHub(hub));
        }
        let default =
            self.scalar(&config_path!["default_hub"]).is_some_and(|default| same_name(default, &hub));
        if default && others > 1 {
            return Err(TaskError::IsDefault(hub));
        }
        self.remove(&config_path!["hubs", hub.as_str()])?;
        if default {
            // One hub is left, which is the default then.
            self.remove(&config_path!["default_hub"])?;
        }
        Ok(())
    }

    /// The keys in `ipsec.psk`.
    #[must_use]
    pub fn psks(&self) -> Vec<KeyEntry> {
        let list = config_path!["ipsec", "psk"];
        if let Some(key) = self.scalar(&list) {
            return vec![KeyEntry { key: key.to_owned(), until: None, hub: None }];
        }
        (0..self.list_length(&list).unwrap_or(0)).filter_map(|index| self.psk(index)).collect()
    }

    fn psk(&self, index: usize) -> Option<KeyEntry> {
        let item = config_path!["ipsec", "psk", index];
        if let Some(key) = self.scalar(&item) {
            return Some(KeyEntry { key: key.to_owned(), until: None, hub: None });
        }
        let field =
            |key: &str| self.scalar(&[item.as_slice(), &config_path![key]].concat()).map(str::to_owned);
        Some(KeyEntry { key: field("key")?, until: field("until"), hub: field("hub") })
    }

    /// Adds a key and lets those that it replaces end. Returns how many those are.
    ///
    /// # Errors
    /// When the key is there already, or the text does not allow it.
    pub fn rotate_psk(&mut self, rotation: &Rotation<'_>) -> Result<usize, TaskError> {
        let list = config_path!["ipsec", "psk"];
        if self.psks().iter().any(|entry| entry.key == rotation.key) {
            return Err(TaskError::KeyExists);
        }
        let hub = rotation.hub.map(|hub| self.hub(hub)).transpose()?;
        let text = |text: &str| Fragment::Text(text.to_owned());
        let mut new = vec![("key".to_owned(), text(rotation.key))];
        new.extend(hub.as_deref().map(|hub| ("hub".to_owned(), text(hub))));
        let new = Fragment::Map(new);
        let ending = |key: &str| {
            let until = ("until".to_owned(), Fragment::Word(rotation.until.to_owned()));
            Fragment::Map(vec![("key".to_owned(), text(key)), until])
        };

        if let Some(old) = self.scalar(&list).map(str::to_owned) {
            let old_one = if hub.is_some() {
                Fragment::Map(vec![("key".to_owned(), text(&old))])
            } else {
                ending(&old)
            };
            self.set(&list, &Fragment::List(vec![new, old_one]))?;
            return Ok(usize::from(hub.is_none()));
        }
        let Some(length) = self.list_length(&list).filter(|length| *length > 0) else {
            self.set(&list, &Fragment::List(vec![new]))?;
            return Ok(0);
        };
        let mut ended = 0;
        for index in 0..length {
            let Some(entry) = self.psk(index) else { continue };
            let same_hub = match (&entry.hub, &hub) {
                (None, None) => true,
                (Some(a), Some(b)) => same_name(a, b),
                _ => false,
            };
            if !same_hub || entry.until.is_some() {
                continue;
            }
            let item = config_path!["ipsec", "psk", index];
            if self.scalar(&item).is_some() {
                self.set(&item, &ending(&entry.key))?;
            } else {
                let until = [item.as_slice(), &config_path!["until"]].concat();
                self.set(&until, &Fragment::Word(rotation.until.to_owned()))?;
            }
            ended += 1;
        }
        self.append(&list, &new)?;
        Ok(ended)
    }
}
