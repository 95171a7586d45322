//! A worker's look at the source of a first message.

use super::{Change, Prefix, SLOWEST, Standing};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The story of a source that is barred is told so often: it may come back many times a second.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What becomes of a first message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is answered.
    Pass,
    /// Not now: its sender repeats it.
    Later,
    /// Not at all.
    Barred {
        /// Whether this is to be told.
        tell: bool,
    },
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    /// When the next first message is answered.
    next: Option<Instant>,
    told: Option<Instant>,
}

/// What a worker knows of sources that have failed. Its size is bounded by the ledger's.
#[derive(Debug, Default)]
pub struct Doorman {
    entries: BTreeMap<Prefix, Entry>,
    /// How many entries of each length there are, IPv4 and IPv6 apart: a look-up goes through these.
    lengths: BTreeMap<(bool, u8), usize>,
}

impl Doorman {
    /// Takes over what the ledger says.
    pub fn apply(&mut self, change: Change) {
        let Change { source, standing } = change;
        let length = (source.is_ipv4(), source.length());
        match (standing, self.entries.get_mut(&source)) {
            (Some(standing), Some(entry)) => entry.standing = standing,
            (Some(standing), None) => {
                self.entries.insert(source, Entry { standing, next: None, told: None });
                *self.lengths.entry(length).or_default() += 1;
            }
            (None, Some(_)) => {
                self.entries.remove(&source);
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
            }
            (None, None) => {}
        }
    }

    /// Judges the first message of a connection.
    pub fn judge(&mut self, now: Instant, source: IpAddr) -> Verdict {
        if self.entries.is_empty() {
            return Verdict::Pass;
        }
        let ipv4 = source.to_canonical().is_ipv4();
        let lengths = self.lengths.range((ipv4, 0)..=(ipv4, u8::MAX)).map(|((_, length), _)| *length);
        let sources: Vec<Prefix> = lengths.map(|length| Prefix::of(source, length)).collect();
        let mut slow = Vec::new();
        for source in sources {
            let Some(entry) = self.entries.get_mut(&source) else { continue };
            match entry.standing {
                Standing::Barred(until) if until > now => {
                    let tell =
                        entry.told.is_none_or(|told| now.saturating_duration_since(told) >= TELL_EVERY);
                    if tell {
                        entry.told = Some(now);
                    }
                    return Verdict::Barred { tell };
                }
                // A bar that is over: slow, until the ledger forgets.
                Standing::Barred(_) => slow.push((source, SLOWEST)),
                Standing::Slowed(delay) => slow.push((source, delay)),
            }
        }
        let waits = |(source, _): &(Prefix, Duration)| {
            self.entries.get(source).and_then(|entry| entry.next).is_some_and(|next| next > now)
        };
        if slow.iter().any(waits) {
            return Verdict::Later;
        }
        for (source, delay) in slow {
            if let Some(entry) = self.entries.get_mut(&source) {
                entry.next = Some(now + delay);
            }
        }
        Verdict::Pass
    }

    /// How many sources it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
