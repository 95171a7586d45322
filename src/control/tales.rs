//! The stories that are asked for: a walk over the running attempts in pages, then the ended ones.

use super::job::{LOOKED, Page, ROWS, read_name};
use super::rows::{Row, StoryRow};
use super::{Command, Refusal};
use crate::gatehouse::{Gatehouse, Stories};
use crate::identity::same_name;
use crate::story::{AttemptId, Detail, Lang, State, Story};
use crate::worker::Clock;
use std::net::{IpAddr, SocketAddr};

/// Whom a story must be about.
enum About {
    Anybody,
    User { typed: String, user: String, hub: Option<String> },
    Address(IpAddr),
}

impl About {
    fn user(gatehouse: &Gatehouse, name: &str) -> Self {
        let (user, hub) = read_name(gatehouse, name);
        Self::User { typed: name.to_owned(), user, hub }
    }

    fn fits(&self, from: Option<IpAddr>, detail: &Detail) -> bool {
        match self {
            Self::Anybody => true,
            // Outside, or inside the hub.
            Self::Address(address) => from == Some(*address) || detail.address.parse() == Ok(*address),
            Self::User { typed, user, hub } => {
                let of_hub = hub.as_deref().is_none_or(|hub| same_name(hub, &detail.hub));
                same_name(user, &detail.user) && of_hub || same_name(typed, &detail.name)
            }
        }
    }
}

/// A search that goes on page by page.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Where among the running attempts the next page begins; `None` when they are done.
    after: Option<AttemptId>,
    walked: bool,
    /// The best running ones so far.
    found: Vec<Story>,
    /// What is left to be handed out, the next row last.
    rows: Option<Vec<Story>>,
}

impl Search {
    pub(super) fn new(_: &Command) -> Self {
        Self::default()
    }

    pub(super) fn step(
        &mut self,
        clock: Clock,
        gatehouse: &Gatehouse,
        command: &Command,
    ) -> Result<Page, Refusal> {
        if self.rows.is_none() {
            let (about, failed, limit) = match command {
                Command::Stories { user: Some(user), failed, limit, .. } => {
                    (About::user(gatehouse, user), *failed, *limit)
                }
                Command::Stories { failed, limit, .. } => (About::Anybody, *failed, *limit),
                Command::Why { of, .. } => match address(of) {
                    Some(address) => (About::Address(address), false, 1),
                    None => (About::user(gatehouse, of), false, 1),
                },
                _ => (About::Anybody, false, 0),
            };
            let from = match command {
                Command::Stories { from, .. } => *from,
                _ => None,
            };
            let best = matches!(command, Command::Why { .. });
            let limit = limit.clamp(1, Stories::KEPT);
            let wanted = |remote: Option<IpAddr>, detail: &Detail| {
                about.fits(remote, detail) && from.is_none_or(|from| remote == Some(from))
            };
            if !self.walked {
                self.walk(clock, gatehouse, &wanted, failed);
                self.keep_best(limit, best);
                if !self.walked {
                    return Ok(Page { rows: Vec::new(), more: true });
                }
            }
            for record in gatehouse.stories().iter().rev() {
                if wanted(address(&record.from), &record.detail) {
                    let story = Story::ended(record);
                    if !failed || story.failed() {
                        self.found.push(story);
                    }
                }
            }
            self.keep_best(limit, best);
            if let Command::Why { of, .. } = command
                && self.found.is_empty()
            {
                let message = format!(
                    "nothing is known of `{of}`: no packet of an attempt has come. Check that UDP 500 and 4500 reach this host, and the server's address on the client"
                );
                return Err(Refusal::unknown(message));
            }
            let mut rows = std::mem::take(&mut self.found);
            rows.reverse();
            self.rows = Some(rows);
        }
        let lang = match command {
            Command::Stories { lang, .. } | Command::Why { lang, .. } => *lang,
            _ => Lang::En,
        };
        let left = self.rows.get_or_insert_default();
        let at = left.len().saturating_sub(ROWS);
        let rows = left
            .split_off(at)
            .into_iter()
            .rev()
            .map(|story| Row::Story(Box::new(row(story, lang))))
            .collect();
        Ok(Page { rows, more: !left.is_empty() })
    }

    fn walk(
        &mut self,
        clock: Clock,
        gatehouse: &Gatehouse,
        wanted: &dyn Fn(Option<IpAddr>, &Detail) -> bool,
        failed: bool,
    ) {
        let mut looked = 0;
        for attempt in gatehouse.stories().running(self.after).take(LOOKED) {
            looked += 1;
            self.after = Some(attempt.id);
            if wanted(Some(attempt.path.remote.ip()), attempt.detail()) {
                let story = Story::running(attempt, clock.now);
                if !failed || story.failed() {
                    self.found.push(story);
                }
            }
        }
        self.walked = looked < LOOKED;
    }

    /// Keeps the newest, in that order; for `why`, what failed or is on its way before what is well.
    fn keep_best(&mut self, limit: usize, best: bool) {
        let rank = |story: &Story| match story.state {
            _ if !best => 0,
            State::Running => 0,
            State::Ended | State::Connected => u8::from(!story.failed()),
        };
        self.found.sort_by_key(|story| (rank(story), std::cmp::Reverse(story.started)));
        self.found.truncate(limit);
    }
}

/// The address of `203.0.113.7:4500`, `203.0.113.7`, `[2001:db8::1]:500`.
fn address(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().map(|socket| socket.ip()).ok().or_else(|| text.parse().ok())
}

fn row(story: Story, lang: Lang) -> StoryRow {
    let shown = story.shown(lang);
    StoryRow {
        failed: story.failed(),
        fault: story.cause.map(|cause| cause.fault().key().to_owned()),
        summary: story.cause.map(|cause| cause.summary_in(lang).to_owned()),
        advice: story.cause.map(|cause| cause.advice_in(lang).to_owned()),
        shown_number: shown.and_then(|(_, number, _)| number),
        shown_text: shown.map(|(_, _, text)| text.to_owned()),
        story,
    }
}
