//! The penalty box: who shows wrong keys or passwords is first slowed down and then barred, for a time that grows.
//!
//! Two halves. [`Ledger`] is the one owner of the counts; it lives with the gatehouse, hears of every failure and judges
//! whoever shows a password. [`Doorman`] is a worker's copy of what concerns it, kept up by [`Change`]s: it judges the
//! first message of a connection, and costs connections that are up nothing.
//!
//! Only what cannot be forged counts: a wrong pre-shared key is known at the third round trip of an exchange, a wrong
//! password inside IPsec. So nobody can have somebody else barred by writing a foreign address on packets.
//!
//! | file | holds |
//! |---|---|
//! | `prefix` | a range of addresses |
//! | `ledger` | counts, bars, and how they are forgotten; bounded |
//! | `doorman` | the look-up at the first message |
//!
//! Must not know what a session is (it is told how many live behind a source), nor do I/O.

mod doorman;
mod ledger;
mod prefix;
#[cfg(test)]
mod tests;

pub use doorman::{Doorman, Verdict};
pub use ledger::{Gate, Ledger, Row, Subject};
pub use prefix::Prefix;

use std::time::{Duration, Instant};

/// Rules of the penalty box.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// After so many failures a source is slowed down.
    pub slow_after: u32,
    /// After so many it is barred; never if `None`.
    pub bar_after: Option<u32>,
    /// How long it is barred for the first time; twice as long each time after.
    pub bar_for: Duration,
    /// But never longer.
    pub bar_at_most: Duration,
    /// After how long without a failure everything is forgotten.
    pub forget_after: Duration,
    /// Sources whose failures do not count.
    pub exempt: Vec<Prefix>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slow_after: 3,
            bar_after: Some(10),
            bar_for: Duration::from_secs(60),
            bar_at_most: Duration::from_secs(86_400),
            forget_after: Duration::from_secs(3600),
            exempt: Vec::new(),
        }
    }
}

/// How a source is treated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// One attempt in so much time.
    Slowed(Duration),
    /// None until then.
    Barred(Instant),
}

/// Another standing of a source, for every [`Doorman`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The source.
    pub source: Prefix,
    /// How it is treated from now on; as everybody else if `None`.
    pub standing: Option<Standing>,
}

/// The slowest that a source is slowed down to.
pub const SLOWEST: Duration = Duration::from_secs(8);
