//! The counts of failures, by source and by user, and what follows from them.

use super::{Change, Prefix, SLOWEST, Settings, Standing};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Subjects that are kept at most; when there are more, the one that would be forgotten first goes.
const KEPT: usize = 16_384;

/// Subjects that an administrator has barred at most.
const BY_HAND: usize = 4096;

/// A neighbourhood may fail so many times as often as one place, a user (from anywhere) so many times.
const WIDE: u32 = 8;
const USER: u32 = 3;

/// The first delay of a subject that is slowed down; it doubles with every failure.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// Whoever would have to wait longer is sent away.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest name of a user that is kept.
const LONGEST_NAME: usize = 128;

/// Who is counted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Subject {
    /// Everybody who comes from there.
    Source(Prefix),
    /// Whoever wants to be this user (`user@hub`, in folded case), from anywhere.
    User(Box<str>),
}

impl Subject {
    /// The user of a name as it was read.
    #[must_use]
    pub fn user(name: &str) -> Self {
        let end = name.char_indices().map(|(at, _)| at).find(|at| *at >= LONGEST_NAME).unwrap_or(name.len());
        Self::User(name.get(..end).unwrap_or_default().into())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(prefix) => prefix.fmt(f),
            Self::User(name) => f.write_str(name),
        }
    }
}

#[derive(Clone, Debug)]
struct Record {
    /// Since the last bar.
    failures: u32,
    /// How often it was barred.
    bars: u32,
    barred_until: Option<Instant>,
    /// Barred by an administrator: whatever lives behind it.
    by_hand: bool,
    /// Of a source: the user who failed last, and how often in a row.
    streak: Option<(Box<str>, u32)>,
    /// When the next password may be shown.
    next: Instant,
    forget_at: Instant,
    /// What the doormen were told last.
    told: Option<Standing>,
}

/// What is listed of a subject.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who.
    pub subject: Subject,
    /// How it is treated now.
    pub standing: Option<Standing>,
    /// Failures that count towards the next bar.
    pub failures: u32,
    /// How often it was barred.
    pub bars: u32,
    /// Whether an administrator did it.
    pub by_hand: bool,
    /// How many sessions are up from there: it is slowed, not barred.
    pub sessions: u32,
    /// When everything is forgotten.
    pub forget_at: Instant,
}

/// What happens to somebody who shows a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// It is judged now.
    Open,
    /// It is judged then.
    At(Instant),
    /// It is not judged at all.
    Closed,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Ledger {
    settings: Settings,
    records: BTreeMap<Subject, Record>,
    /// The first to be forgotten first.
    ends: BTreeSet<(Instant, Subject)>,
    by_hand: usize,
    /// Sessions that are up, by narrow and by wide source.
    live: BTreeMap<Prefix, u32>,
}

impl Ledger {
    /// Without any entry.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Follows a reload. What was counted stays counted.
    pub fn set_settings(&mut self, now: Instant, settings: Settings, out: &mut Vec<Change>) {
        if self.settings == settings {
            return;
        }
        self.settings = settings;
        let all: Vec<Subject> = self.records.keys().cloned().collect();
        for subject in all {
            let exempt = matches!(&subject, Subject::Source(source) if self.is_exempt(*source));
            let by_hand = self.records.get(&subject).is_some_and(|record| record.by_hand);
            if exempt && !by_hand {
                self.forget(&subject, out);
            } else {
                self.tell(now, &subject, out);
            }
        }
    }

    fn is_exempt(&self, source: Prefix) -> bool {
        self.settings.exempt.iter().any(|exempt| exempt.covers(source))
    }

    /// Somebody failed: a wrong key, or (with the name that was meant) a wrong password.
    pub fn fail(&mut self, now: Instant, source: IpAddr, user: Option<&str>, out: &mut Vec<Change>) {
        if self.settings.exempt.iter().any(|exempt| exempt.contains(source)) {
            return;
        }
        let narrow = Subject::Source(Prefix::narrow(source));
        self.count(now, narrow.clone(), 1, out);
        self.count(now, Subject::Source(Prefix::wide(source)), WIDE, out);
        let Some(Subject::User(user)) = user.map(Subject::user) else { return };
        if let Some(record) = self.records.get_mut(&narrow) {
            record.streak = match record.streak.take() {
                Some((last, times)) if last == user => Some((last, times + 1)),
                _ => Some((user.clone(), 1)),
            };
        }
        self.count(now, Subject::User(user), USER, out);
    }

    fn count(&mut self, now: Instant, subject: Subject, times: u32, out: &mut Vec<Change>) {
        self.make_room(out);
        let settings = &self.settings;
        let record = self.records.entry(subject.clone()).or_insert_with(|| Record {
            failures: 0,
            bars: 0,
            barred_until: None,
            by_hand: false,
            streak: None,
            next: now,
            forget_at: now,
            told: None,
        });
        record.failures = record.failures.saturating_add(1);
        if settings.bar_after.is_some_and(|after| record.failures >= after.saturating_mul(times)) {
            let growth = 1_u32.checked_shl(record.bars).unwrap_or(u32::MAX);
            let time = settings.bar_for.saturating_mul(growth).min(settings.bar_at_most);
            record.bars = record.bars.saturating_add(1);
            record.barred_until = record.barred_until.max(Some(now + time));
            // Who comes back is slow from the start, and has fewer tries.
            record.failures = settings.slow_after.saturating_mul(times);
            tracing::warn!(
                who = %subject, seconds = time.as_secs(), times = record.bars, cause = "banned", step = "barred",
                "too many failures: barred"
            );
        }
        let end = now.max(record.barred_until.unwrap_or(now)) + settings.forget_after;
        self.file(&subject, end);
        self.tell(now, &subject, out);
    }

    /// Moves the time at which a subject is forgotten.
    fn file(&mut self, subject: &Subject, end: Instant) {
        if let Some(record) = self.records.get_mut(subject) {
            let old = std::mem::replace(&mut record.forget_at, end);
            self.ends.remove(&(old, subject.clone()));
            self.ends.insert((end, subject.clone()));
        }
    }

    fn make_room(&mut self, out: &mut Vec<Change>) {
        while self.records.len() >= KEPT + self.by_hand {
            let counted = |(_, subject): &&(Instant, Subject)| {
                self.records.get(subject).is_some_and(|record| !record.by_hand)
            };
            let Some((_, first)) = self.ends.iter().find(counted).cloned() else { return };
            self.forget(&first, out);
        }
    }

    fn forget(&mut self, subject: &Subject, out: &mut Vec<Change>) -> bool {
        let Some(record) = self.records.remove(subject) else { return false };
        self.ends.remove(&(record.forget_at, subject.clone()));
        self.by_hand -= usize::from(record.by_hand);
        if let Subject::Source(source) = subject
            && record.told.is_some()
        {
            out.push(Change { source: *source, standing: None });
        }
        true
    }

    /// Tells the doormen what has become different.
    fn tell(&mut self, now: Instant, subject: &Subject, out: &mut Vec<Change>) {
        let Subject::Source(source) = subject else { return };
        let standing = self.records.get(subject).and_then(|record| self.standing(now, subject, record));
        if let Some(record) = self.records.get_mut(subject)
            && std::mem::replace(&mut record.told, standing) != standing
        {
            out.push(Change { source: *source, standing });
        }
    }

    fn times(subject: &Subject) -> u32 {
        match subject {
            Subject::Source(source) if *source == Prefix::narrow(source.first()) => 1,
            Subject::Source(_) => WIDE,
            Subject::User(_) => USER,
        }
    }

    /// How a subject is treated, by itself.
    fn standing(&self, now: Instant, subject: &Subject, record: &Record) -> Option<Standing> {
        if let Some(until) = record.barred_until.filter(|until| *until > now) {
            let lives = matches!(subject, Subject::Source(source) if self.live.contains_key(source));
            // Others behind the same NAT have the right password, and must be able to come back.
            return Some(if lives && !record.by_hand {
                Standing::Slowed(SLOWEST)
            } else {
                Standing::Barred(until)
            });
        }
        let times = Self::times(subject);
        let over = record.failures.checked_sub(self.settings.slow_after.saturating_mul(times))?;
        let delay = FIRST_DELAY.saturating_mul(1_u32.checked_shl(over / times).unwrap_or(u32::MAX));
        Some(Standing::Slowed(delay.min(SLOWEST)))
    }

    /// Whether a password may be judged that somebody shows for a user. Those of a slow subject are judged one after the
    /// other.
    pub fn admit(&mut self, now: Instant, source: IpAddr, user: &str) -> Gate {
        if self.records.is_empty() {
            return Gate::Open;
        }
        let lives = self.live.contains_key(&Prefix::narrow(source));
        let user = Subject::user(user);
        let mut subjects = self.barred_over(source);
        subjects.push(user.clone());
        let mut at = now;
        let mut slowed = Vec::new();
        for subject in subjects {
            let Some(record) = self.records.get(&subject) else { continue };
            match self.standing(now, &subject, record) {
                None => {}
                // A user whose name others try is not kept out from where sessions are up.
                Some(Standing::Barred(_)) if subject == user && lives && !record.by_hand => {
                    at = at.max(record.next);
                    slowed.push((subject, SLOWEST));
                }
                Some(Standing::Barred(_)) => return Gate::Closed,
                Some(Standing::Slowed(delay)) => {
                    at = at.max(record.next);
                    slowed.push((subject, delay));
                }
            }
        }
        if at.saturating_duration_since(now) > PATIENCE {
            return Gate::Closed;
        }
        for (subject, delay) in slowed {
            if let Some(record) = self.records.get_mut(&subject) {
                record.next = at + delay;
            }
        }
        if at > now { Gate::At(at) } else { Gate::Open }
    }

    /// Every source with an entry that an address is in.
    fn barred_over(&self, source: IpAddr) -> Vec<Subject> {
        let usual = [Prefix::narrow(source), Prefix::wide(source)].map(Subject::Source);
        let by_hand = self.by_hand > 0;
        let most = if source.to_canonical().is_ipv4() { 32 } else { 128 };
        let others =
            (0..=most).filter(move |_| by_hand).map(|length| Subject::Source(Prefix::of(source, length)));
        let mut all: Vec<Subject> = usual.into_iter().chain(others).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A password was right: the user's slips are forgotten, and those that the source has made as this user.
    pub fn succeed(&mut self, now: Instant, source: IpAddr, user: &str, out: &mut Vec<Change>) {
        let user = Subject::user(user);
        if self.records.get(&user).is_some_and(|record| !record.by_hand) {
            self.forget(&user, out);
        }
        for subject in [Prefix::narrow(source), Prefix::wide(source)].map(Subject::Source) {
            let narrow = Subject::Source(Prefix::narrow(source));
            let Some(streak) = self.records.get(&narrow).and_then(|record| record.streak.clone()) else {
                return;
            };
            let Subject::User(name) = &user else { return };
            if streak.0 != *name {
                return;
            }
            if let Some(record) = self.records.get_mut(&subject) {
                record.failures = record.failures.saturating_sub(streak.1);
                self.tell(now, &subject, out);
            }
            if subject != narrow
                && let Some(record) = self.records.get_mut(&narrow)
            {
                record.streak = None;
            }
        }
    }

    /// A session is up from there.
    pub fn enter(&mut self, now: Instant, source: IpAddr, out: &mut Vec<Change>) {
        for source in [Prefix::narrow(source), Prefix::wide(source)] {
            *self.live.entry(source).or_default() += 1;
            self.tell(now, &Subject::Source(source), out);
        }
    }

    /// It is over.
    pub fn leave(&mut self, now: Instant, source: IpAddr, out: &mut Vec<Change>) {
        for source in [Prefix::narrow(source), Prefix::wide(source)] {
            if let Some(count) = self.live.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    self.live.remove(&source);
                }
            }
            self.tell(now, &Subject::Source(source), out);
        }
    }

    /// An administrator bars somebody. Returns whether there was room.
    pub fn bar(&mut self, now: Instant, subject: &Subject, time: Duration, out: &mut Vec<Change>) -> bool {
        let known = self.records.get(subject).is_some_and(|record| record.by_hand);
        if !known && self.by_hand >= BY_HAND {
            return false;
        }
        self.forget(subject, out);
        let end = now + time;
        self.by_hand += 1;
        let record = Record {
            failures: 0,
            bars: 1,
            barred_until: Some(end),
            by_hand: true,
            streak: None,
            next: now,
            forget_at: end,
            told: None,
        };
        self.records.insert(subject.clone(), record);
        self.file(subject, end);
        self.tell(now, subject, out);
        true
    }

    /// An administrator lets somebody off. Returns whether there was an entry.
    pub fn clear(&mut self, subject: &Subject, out: &mut Vec<Change>) -> bool {
        self.forget(subject, out)
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Forgets.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Change>) {
        while let Some((_, subject)) = self.ends.first().filter(|(at, _)| *at <= now).cloned() {
            self.forget(&subject, out);
        }
    }

    /// The subjects behind one, in their order: take a page at a time.
    pub fn rows<'a>(&'a self, now: Instant, after: Option<&Subject>) -> impl Iterator<Item = Row> + 'a {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, |after| Excluded(after.clone()));
        self.records.range((from, Unbounded)).map(move |(subject, record)| Row {
            subject: subject.clone(),
            standing: self.standing(now, subject, record),
            failures: record.failures,
            bars: record.bars,
            by_hand: record.by_hand,
            sessions: match subject {
                Subject::Source(source) => self.live.get(source).copied().unwrap_or(0),
                Subject::User(_) => 0,
            },
            forget_at: record.forget_at,
        })
    }

    /// How many subjects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}
