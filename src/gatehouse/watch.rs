//! What ends a session by itself: its time limits, and the end of its user's permission. Each session is looked at when
//! the nearest of its limits could be reached, and not before.

use super::admission::cause_of_denial;
use super::{Gatehouse, Output, Session};
use crate::peer::LinkKey;
use crate::story::Cause;
use crate::worker::Clock;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// At least so often the wall clock is looked at, where it limits a session: it may be set while we wait.
const WALL_CLOCK: Duration = Duration::from_secs(3600);

/// Who is looked at when.
#[derive(Debug, Default)]
pub(super) struct Watch(BTreeSet<(Instant, LinkKey)>);

impl Watch {
    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Sets, moves or (with `None`) ends the look at a session.
    pub(super) fn set(&mut self, session: &mut Session, at: Option<Instant>) {
        if let Some(old) = std::mem::replace(&mut session.look_at, at) {
            self.0.remove(&(old, session.link));
        }
        self.0.extend(at.map(|at| (at, session.link)));
    }
}

impl Session {
    /// Why the session is over, if it is.
    fn is_over(&self, clock: Clock, began: Instant) -> Option<Cause> {
        if let Err(denied) = self.terms.admit(clock.unix) {
            return Some(cause_of_denial(denied));
        }
        let ends = [self.session_end(), self.idle_end(began)];
        ends.into_iter().flatten().any(|end| end <= clock.now).then_some(Cause::TimeLimit)
    }

    fn session_end(&self) -> Option<Instant> {
        self.terms.session_timeout.map(|limit| self.entered + limit)
    }

    /// Moves with every packet that the device sends or that is sent to it alone.
    fn idle_end(&self, began: Instant) -> Option<Instant> {
        let used = began + Duration::from_millis(self.meter.last_used());
        self.terms.idle_timeout.map(|limit| used.max(self.entered) + limit)
    }

    /// When to look whether it is over.
    fn next_look(&self, clock: Clock, began: Instant) -> Option<Instant> {
        let permission = self.terms.ends(clock.unix).map(|end| {
            let left = Duration::from_secs(end.saturating_sub(clock.unix).max(1));
            clock.now + left.min(WALL_CLOCK)
        });
        let volume = self.terms.volume.map(|_| clock.now + super::volume::LOOK_EVERY);
        [self.session_end(), self.idle_end(began), permission, volume].into_iter().flatten().min()
    }
}

impl Gatehouse {
    /// Files when a session is looked at next.
    pub(super) fn look_later(&mut self, clock: Clock, link: LinkKey) {
        let began = self.began;
        if let Some(session) = self.sessions.get_mut(link) {
            let at = session.next_look(clock, began);
            self.watch.set(session, at);
        }
    }

    /// Ends the sessions whose time is over.
    pub(super) fn end_what_is_over(&mut self, clock: Clock, out: &mut Output) {
        while let Some((_, link)) = self.watch.0.first().copied().filter(|(at, _)| *at <= clock.now) {
            let Some(session) = self.sessions.get_mut(link) else {
                self.watch.0.pop_first();
                continue;
            };
            let over = session.is_over(clock, self.began);
            self.watch.set(session, None);
            let over = over.or_else(|| self.count_volume(clock, link).then_some(Cause::VolumeUsed));
            match over {
                Some(cause) => self.evict(clock, link, cause, &mut out.answers),
                None => self.look_later(clock, link),
            }
        }
    }
}
