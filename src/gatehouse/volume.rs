//! Monthly volumes: what users have moved, over all their sessions and over restarts.

use super::{Gatehouse, Session};
use crate::config::Terms;
use crate::identity::folded;
use crate::peer::LinkKey;
use crate::worker::Clock;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the traffic of a session is looked at whose user has a volume.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What a user has moved in a month.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Used {
    /// Months since the year 0, on the user's clock.
    month: u32,
    bytes: u64,
}

/// One entry as it is kept over a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SavedVolume {
    hub: String,
    user: String,
    #[serde(flatten)]
    used: Used,
}

/// What users with a volume have moved this month.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// By folded hub and user.
    used: BTreeMap<(Box<str>, Box<str>), Used>,
    generation: u64,
}

impl Volumes {
    fn key(hub: &str, user: &str) -> (Box<str>, Box<str>) {
        (folded(hub).into(), folded(user).into())
    }

    /// Adds what has been moved; returns whether the user's volume is used up.
    fn add(&mut self, clock: Clock, hub: &str, user: &str, terms: &Terms, bytes: u64) -> bool {
        let Some(volume) = terms.volume else { return false };
        let month = terms.month(clock.unix);
        let key = Self::key(hub, user);
        let used = self.used.get(&key).copied().filter(|used| used.month == month);
        let used = Used { month, bytes: used.unwrap_or_default().bytes.saturating_add(bytes) };
        if bytes > 0 {
            self.used.insert(key, used);
            self.generation += 1;
        }
        used.bytes >= volume
    }
}

impl Session {
    /// What it has moved since it was asked last.
    fn take_moved(&mut self) -> u64 {
        let traffic = self.meter.traffic();
        let moved = traffic.inbound_bytes + traffic.outbound_bytes;
        moved.saturating_sub(std::mem::replace(&mut self.counted, moved))
    }
}

impl Gatehouse {
    /// Whether a user's volume is used up before a session begins.
    pub(super) fn is_used_up(&mut self, clock: Clock, hub: &str, user: &str, terms: &Terms) -> bool {
        self.volumes.add(clock, hub, user, terms, 0)
    }

    /// Counts what a session has moved; returns whether its user's volume is used up.
    pub(super) fn count_volume(&mut self, clock: Clock, link: LinkKey) -> bool {
        let Some(session) = self.sessions.get_mut(link) else { return false };
        let moved = session.take_moved();
        self.volumes.add(clock, session.who.hub(), session.who.user(), &session.terms, moved)
    }

    /// What a user with a volume has moved this month.
    #[must_use]
    pub fn volume_used(&self, clock: Clock, hub: &str, user: &str, terms: &Terms) -> Option<u64> {
        terms.volume?;
        let used = self.volumes.used.get(&Volumes::key(hub, user)).copied().unwrap_or_default();
        Some(if used.month == terms.month(clock.unix) { used.bytes } else { 0 })
    }

    /// Grows with every change of the volumes.
    #[must_use]
    pub fn volumes_generation(&self) -> u64 {
        self.volumes.generation
    }

    /// The volumes, to keep them over a restart.
    #[must_use]
    pub fn save_volumes(&self) -> Vec<SavedVolume> {
        let all = self.volumes.used.iter();
        all.map(|((hub, user), used)| SavedVolume {
            hub: hub.to_string(),
            user: user.to_string(),
            used: *used,
        })
        .collect()
    }

    /// Takes over the volumes of a former run; those of users who are no more are left out.
    pub fn load_volumes(&mut self, saved: Vec<SavedVolume>) {
        for SavedVolume { hub, user, used } in saved {
            if self.config.hub(&hub).is_some_and(|hub| hub.user(&user).is_some()) {
                self.volumes.used.insert(Volumes::key(&hub, &user), used);
            }
        }
    }
}
