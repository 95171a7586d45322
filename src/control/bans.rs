//! Bans: who is in the penalty box.

use super::job::{Page, ROWS, read_name};
use super::rows::{BanRow, Row};
use super::{Kind, Refusal};
use crate::gatehouse::{Gatehouse, Output};
use crate::identity::folded;
use crate::penalty::{self, Standing, Subject};
use crate::worker::Clock;
use std::time::{Duration, Instant};

/// Nobody is barred for longer by hand.
const LONGEST: u64 = 10 * 365 * 86_400;

/// The next page of the list, and where the one after it begins.
pub(super) fn list(clock: Clock, gatehouse: &Gatehouse, after: Option<Subject>) -> (Page, Option<Subject>) {
    let mut rows = gatehouse.penalties().rows(clock.now, after.as_ref());
    let page: Vec<penalty::Row> = rows.by_ref().take(ROWS).collect();
    let more = rows.next().is_some();
    let last = page.last().map(|row| row.subject.clone());
    let rows = page.into_iter().map(|row| Row::Ban(ban_row(clock, row))).collect();
    (Page { rows, more }, last)
}

pub(super) fn add(
    clock: Clock,
    gatehouse: &mut Gatehouse,
    who: &str,
    seconds: u64,
    out: &mut Output,
) -> Result<Page, Refusal> {
    if !(1..=LONGEST).contains(&seconds) {
        return Err(Refusal::new(Kind::BadRequest, "a ban lasts 1 second to 10 years"));
    }
    let subject = subject(gatehouse, who);
    if !gatehouse.bar(clock, &subject, Duration::from_secs(seconds), out) {
        return Err(Refusal::new(Kind::Refused, "there are too many bans already: clear some"));
    }
    let row = gatehouse.penalties().rows(clock.now, None).find(|row| row.subject == subject);
    Ok(Page::last(row.map(|row| Row::Ban(ban_row(clock, row))).into_iter().collect()))
}

/// Lets one off, or a page of all.
pub(super) fn clear(
    clock: Clock,
    gatehouse: &mut Gatehouse,
    who: Option<&str>,
    out: &mut Output,
) -> Result<Page, Refusal> {
    let Some(who) = who else {
        let (page, _) = list(clock, gatehouse, None);
        let all: Vec<Subject> =
            gatehouse.penalties().rows(clock.now, None).take(ROWS).map(|row| row.subject).collect();
        for subject in &all {
            gatehouse.clear_bar(subject, out);
        }
        return Ok(page);
    };
    let subject = subject(gatehouse, who);
    let row = gatehouse.penalties().rows(clock.now, None).find(|row| row.subject == subject);
    let Some(row) = row.filter(|_| gatehouse.clear_bar(&subject, out)) else {
        return Err(Refusal::unknown(format!("there is nothing against {subject}")));
    };
    Ok(Page::last(vec![Row::Ban(ban_row(clock, row))]))
}

/// Who is meant: an address or a prefix, else a user as one types the name to log in.
fn subject(gatehouse: &Gatehouse, who: &str) -> Subject {
    if let Ok(source) = who.parse() {
        return Subject::Source(source);
    }
    let (user, hub) = read_name(gatehouse, who);
    let default = || gatehouse.config().default_hub().map(|hub| hub.name.clone());
    let hub = hub.or_else(default).filter(|_| !who.ends_with('@')).unwrap_or_default();
    Subject::user(&format!("{}@{}", folded(&user), folded(&hub)))
}

fn ban_row(clock: Clock, row: penalty::Row) -> BanRow {
    let ahead = |at: Instant| clock.unix + at.saturating_duration_since(clock.now).as_secs();
    let (state, until, delay) = match row.standing {
        Some(Standing::Barred(until)) => ("barred", Some(ahead(until)), None),
        Some(Standing::Slowed(delay)) => ("slowed", None, Some(delay.as_secs())),
        None => ("counted", None, None),
    };
    BanRow {
        who: row.subject.to_string(),
        kind: match row.subject {
            Subject::Source(_) => "source",
            Subject::User(_) => "user",
        }
        .to_owned(),
        state: state.to_owned(),
        until,
        delay_seconds: delay,
        failures: row.failures,
        bars: row.bars,
        by_administrator: row.by_hand,
        sessions: row.sessions,
        forgotten_at: ahead(row.forget_at),
    }
}
