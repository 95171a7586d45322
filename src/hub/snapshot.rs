//! Leases as they are written to disk and read back: by wall clock, because the process's own clock ends with it.

use super::Mac;
use super::lease::{Key, Lease, Pool, State};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Two clocks read at the same moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// The process's clock.
    pub now: Instant,
    /// Seconds since 1970.
    pub unix: u64,
}

impl Clocks {
    fn to_unix(self, at: Instant) -> u64 {
        match at.checked_duration_since(self.now) {
            Some(ahead) => self.unix.saturating_add(ahead.as_secs()),
            None => self.unix.saturating_sub(self.now.duration_since(at).as_secs()),
        }
    }

    fn to_instant(self, unix: u64) -> Instant {
        if unix >= self.unix {
            // A file from a clock that was wrong must not hold an address for ages.
            let ahead = Duration::from_secs(unix - self.unix).min(Duration::from_secs(366 * 86_400));
            return self.now.checked_add(ahead).unwrap_or(self.now);
        }
        let mut behind = self.unix - unix;
        loop {
            // An `Instant` may not reach back before the machine's start; the order of what is older does not matter.
            match self.now.checked_sub(Duration::from_secs(behind)) {
                Some(at) => return at,
                None => behind /= 2,
            }
        }
    }
}

/// One lease on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Saved {
    /// The address.
    pub address: Ipv4Addr,
    /// For whom.
    #[serde(flatten)]
    pub holder: Holder,
    /// The MAC address that used it.
    pub mac: String,
    /// What the client calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// End of a DHCP lease, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// When the holder was last there, in seconds since 1970.
    pub seen: u64,
}

/// The key of a lease on disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Holder {
    /// A PPP link.
    Link {
        /// The user.
        user: String,
        /// The user's device.
        device: String,
        /// Which of several links.
        #[serde(default)]
        instance: u32,
    },
    /// A DHCP client, by its identifier in hexadecimal.
    Station {
        /// The identifier.
        station: String,
    },
}

impl Pool {
    /// A page of leases for the disk: at most `limit`, behind the address `after`. Take pages between other work: a
    /// lease that changes meanwhile is saved as it is when its turn comes, which harms nobody.
    #[must_use]
    pub fn save(&self, clocks: Clocks, after: Option<Ipv4Addr>, limit: usize) -> Vec<Saved> {
        let kept = self.leases(after).take(limit);
        kept.filter_map(|lease| save(lease, clocks)).collect()
    }

    /// Takes leases of a former run. Links are gone with it: their addresses are remembered for them. What contradicts
    /// the rules, itself, or a lease that exists by now is left out. Returns how many were taken.
    pub fn load(&mut self, clocks: Clocks, saved: impl IntoIterator<Item = Saved>) -> usize {
        let before = self.leases(None).count();
        for saved in saved.into_iter().take(self.settings().remember) {
            if let Some(lease) = load(&saved, clocks) {
                self.restore(lease);
            }
        }
        self.leases(None).count() - before
    }
}

fn save(lease: &Lease, clocks: Clocks) -> Option<Saved> {
    let (until, seen) = match lease.state {
        State::Bound(_) => (None, clocks.unix),
        State::Past(at) => (None, clocks.to_unix(at)),
        State::Leased(at) => (Some(clocks.to_unix(at)), clocks.unix),
        State::Offered(_) | State::Declined(_) => return None,
    };
    let holder = match &*lease.key {
        Key::Link { user, device, instance } => {
            Holder::Link { user: user.to_string(), device: device.to_string(), instance: *instance }
        }
        Key::Station(id) => {
            Holder::Station { station: id.iter().map(|byte| format!("{byte:02x}")).collect() }
        }
    };
    let name = lease.name.as_deref().map(str::to_owned);
    Some(Saved { address: lease.address, holder, mac: lease.mac.to_string(), name, until, seen })
}

fn load(saved: &Saved, clocks: Clocks) -> Option<Lease> {
    let key = match &saved.holder {
        Holder::Link { user, device, instance } => {
            Key::Link { user: user.as_str().into(), device: device.as_str().into(), instance: *instance }
        }
        Holder::Station { station } => Key::Station(unhex(station)?.into()),
    };
    let state = match saved.until {
        Some(until) if until > clocks.unix => State::Leased(clocks.to_instant(until)),
        until => State::Past(clocks.to_instant(until.unwrap_or(saved.seen).min(clocks.unix))),
    };
    let mac: Mac = saved.mac.parse().ok()?;
    let name = saved.name.as_deref().map(Into::into);
    Some(Lease { address: saved.address, key: Arc::new(key), state, mac, name })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) || text.len() > 2 * 255 {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
