//! The penalty box at the gate: what counts as a failure, and who has to wait before a password is judged.

use super::admission::{read, reading};
use super::{Gatehouse, Output};
use crate::identity::{Parsed, folded};
use crate::peer::{Answer, Authenticate, LinkKey};
use crate::penalty::{Gate, Ledger, Subject};
use crate::ppp::{AuthError, AuthVerdict};
use crate::story::{Cause, Record};
use crate::worker::Clock;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Passwords that wait at most; more than that is a flood.
const WAITING: usize = 1024;

/// Guesses that one exchange counts for at most.
const MOST_GUESSES: u16 = 16;

/// Passwords that wait to be judged.
#[derive(Debug, Default)]
pub(super) struct Queue {
    asks: BTreeMap<(Instant, LinkKey), Box<Authenticate>>,
    /// A link waits once.
    times: BTreeMap<LinkKey, Instant>,
}

impl Queue {
    pub(super) fn next(&self) -> Option<Instant> {
        self.asks.first_key_value().map(|((at, _), _)| *at)
    }

    /// The link has gone, or shows another password.
    pub(super) fn remove(&mut self, link: LinkKey) {
        if let Some(at) = self.times.remove(&link) {
            self.asks.remove(&(at, link));
        }
    }

    fn put(&mut self, at: Instant, ask: Box<Authenticate>) {
        self.times.insert(ask.link, at);
        self.asks.insert((at, ask.link), ask);
    }

    fn take(&mut self, now: Instant) -> Option<Box<Authenticate>> {
        let first = self.asks.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, link), ask) = first.remove_entry();
        self.times.remove(&link);
        Some(ask)
    }
}

/// The user of a typed name, as the penalty box knows it.
pub(crate) fn subject_of(parsed: &Parsed) -> String {
    format!("{}@{}", folded(&parsed.user), folded(parsed.hub.as_deref().unwrap_or_default()))
}

impl Gatehouse {
    /// Judges a name and a proof: now, after a while, or not at all.
    pub(super) fn admit(&mut self, clock: Clock, ask: Box<Authenticate>, answers: &mut Vec<Answer>) {
        self.queue.remove(ask.link);
        let parsed = read(&self.config, &ask.name);
        let gate = self.penalties.admit(clock.now, ask.path.remote.ip(), &subject_of(&parsed));
        let cause = match gate {
            Gate::Open => return self.authenticate(clock, *ask, answers),
            Gate::At(at) if self.queue.asks.len() < WAITING => {
                tracing::debug!(peer = %ask.path, user = parsed.user, "password waits to be judged");
                return self.queue.put(at, ask);
            }
            Gate::At(_) => Cause::FloodProtection,
            Gate::Closed => Cause::Banned,
        };
        tracing::info!(peer = %ask.path, user = parsed.user, cause = cause.key(), step = "refused", "user refused");
        answers.push(Answer::Verdict {
            link: ask.link,
            verdict: AuthVerdict::Refuse { error: AuthError::AuthenticationFailure },
            reading: reading(&parsed),
            cause: Some(cause),
            dead_after: None,
        });
    }

    pub(super) fn judge_those_who_waited(&mut self, clock: Clock, out: &mut Output) {
        while let Some(ask) = self.queue.take(clock.now) {
            self.authenticate(clock, *ask, &mut out.answers);
        }
    }

    /// A pre-shared key was wrong.
    pub(super) fn count_key(&mut self, clock: Clock, record: &Record) {
        if record.cause == Cause::WrongPsk
            && let Some(source) = record.source
        {
            // One exchange takes several proofs: each is a guess. Honest clients repeat theirs, which counts once.
            for _ in 0..record.guesses.clamp(1, MOST_GUESSES) {
                self.penalties.fail(clock.now, source, None, &mut self.standings);
            }
        }
    }

    /// Somebody was refused: what could be a guess counts, what a known user does in vain does not.
    pub(super) fn count_wrong(&mut self, clock: Clock, cause: Cause, parsed: &Parsed, ask: &Authenticate) {
        if matches!(cause, Cause::WrongPassword | Cause::UnknownUser | Cause::UnknownHub | Cause::NoHubNamed)
        {
            let source = ask.path.remote.ip();
            self.penalties.fail(clock.now, source, Some(&subject_of(parsed)), &mut self.standings);
        }
    }

    /// Somebody came in.
    pub(super) fn count_right(&mut self, clock: Clock, parsed: &Parsed, ask: &Authenticate) {
        let source = ask.path.remote.ip();
        self.penalties.succeed(clock.now, source, &subject_of(parsed), &mut self.standings);
        self.penalties.enter(clock.now, source, &mut self.standings);
    }

    pub(super) fn tell_standings(&mut self, out: &mut Output) {
        out.standings.append(&mut self.standings);
    }

    /// Who has failed, and how they are treated.
    #[must_use]
    pub fn penalties(&self) -> &Ledger {
        &self.penalties
    }

    /// Bars somebody. Returns whether there was room in the list.
    pub fn bar(&mut self, clock: Clock, who: &Subject, time: Duration, out: &mut Output) -> bool {
        self.penalties.bar(clock.now, who, time, &mut out.standings)
    }

    /// Lets somebody off. Returns whether there was anything to forget.
    pub fn clear_bar(&mut self, who: &Subject, out: &mut Output) -> bool {
        self.penalties.clear(who, &mut out.standings)
    }
}
