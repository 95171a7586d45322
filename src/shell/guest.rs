//! A user for a minute: `sekisho doctor` connects through the running gateway's own ports as somebody who is in no file,
//! with a password that exists nowhere else.

use crate::config::{Config, Credential, Rules, Secret, Terms, User};
use crate::control::{GuestRow, Kind, Refusal};
use crate::entropy::Entropy;
use crate::gatehouse::Gatehouse;
use crate::hub::Hub;
use crate::hub::lease::{Key, Lease};
use crate::identity::{folded, same_name};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// How long a guest may come in; whoever asked for one may have died.
pub(super) const STAY: Duration = Duration::from_secs(60);

/// A guest that has been let in.
#[derive(Clone, Debug)]
pub(super) struct Guest {
    hub: String,
    user: String,
}

impl Guest {
    /// Gives back what is kept for those who may come again: this one has a new name each time.
    pub(super) fn forget(&self, gatehouse: &mut Gatehouse) {
        let hub = gatehouse.hub_named(&self.hub).and_then(|id| gatehouse.hub_mut(id));
        let Some(leases) = hub.map(Hub::leases_mut) else { return };
        let own = folded(&self.user);
        let is_own = |lease: &&Lease| matches!(&*lease.key, Key::Link { user, .. } if **user == *own);
        let address = leases.leases(None).find(is_own).map(|lease| lease.address);
        if let Some(address) = address {
            leases.free(address);
        }
    }
}

/// The configuration with a guest in `hub`.
pub(super) fn invite(
    config: &Config,
    hub: &str,
    entropy: &mut Entropy,
) -> Result<(Config, Guest, GuestRow), Refusal> {
    let mut config = config.clone();
    let found = config.hubs.iter_mut().find(|other| same_name(&other.name, hub));
    let hub = found.ok_or_else(|| Refusal::unknown(format!("there is no hub {hub}")))?;
    let (user, password) = (format!("doctor-{}", hex(&entropy.array::<4>())), hex(&entropy.array::<16>()));
    let account = User {
        name: user.clone(),
        credential: Credential::Password(Secret::from(password.as_str())),
        group: None,
        address: None,
        disabled: false,
        terms: Arc::new(Terms::from(Rules::default())),
    };
    // The list is in the order of folded names, in which it is searched.
    let at = hub.users.partition_point(|other| folded(&other.name) < folded(&user));
    if hub.users.get(at).is_some_and(|other| same_name(&other.name, &user)) {
        return Err(Refusal::new(Kind::Busy, "the name is taken, try again"));
    }
    hub.users.insert(at, account);
    let guest = Guest { hub: hub.name.clone(), user: user.clone() };
    let row = GuestRow { user, hub: hub.name.clone(), password, seconds: STAY.as_secs() };
    Ok((config, guest, row))
}

/// The configuration without the guest; `None` when a reload has sent the guest away already.
pub(super) fn dismiss(config: &Config, guest: &Guest) -> Option<Config> {
    let mut config = config.clone();
    let hub = config.hubs.iter_mut().find(|hub| hub.name == guest.hub)?;
    let before = hub.users.len();
    hub.users.retain(|user| user.name != guest.user);
    (hub.users.len() < before).then_some(config)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFacts, load};

    #[test]
    fn a_guest_is_the_only_difference_and_goes_without_a_trace() {
        let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
        let config = load(include_str!("../../config/full.yaml"), &facts).unwrap().config;
        let mut entropy = Entropy::from_number(5);
        let (with, guest, row) = invite(&config, "office", &mut entropy).unwrap();
        assert_eq!(row.hub, "OFFICE");
        assert!(!format!("{row:?}").contains(&row.password), "secrets are not logged");
        let hub = with.hub("OFFICE").unwrap();
        assert!(hub.user(&row.user).is_some() && hub.user("jiro").is_some() && hub.user("yas").is_some());
        let changes = config.changes_to(&with, 1_800_000_000);
        assert_eq!(changes.len(), 1, "{changes:?}");
        let without = dismiss(&with, &guest).unwrap();
        assert!(config.changes_to(&without, 1_800_000_000).is_empty());
        assert!(dismiss(&without, &guest).is_none());
        assert!(invite(&config, "kitchen", &mut entropy).is_err());
    }
}
