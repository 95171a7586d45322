//! Who is in: the sessions, and the ways to find one without walking them all.

use super::Session;
use crate::hub::HubId;
use crate::identity::folded;
use crate::peer::LinkKey;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

/// The sessions.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// Boxed, for the nodes of the tree are little more than half full.
    by_link: BTreeMap<LinkKey, Box<Session>>,
    /// By the number that people type: grows, never used twice.
    by_number: BTreeMap<u64, LinkKey>,
    /// By hub and folded user name, a user's oldest first.
    by_user: BTreeSet<(HubId, SmolStr, u64)>,
    /// How many each hub has.
    by_hub: BTreeMap<HubId, usize>,
    last: u64,
}

impl Roll {
    /// Number of sessions.
    pub(super) fn len(&self) -> usize {
        self.by_link.len()
    }

    /// Number of sessions of a hub.
    pub(super) fn count_in(&self, hub: HubId) -> usize {
        self.by_hub.get(&hub).copied().unwrap_or(0)
    }

    /// Adds a session and gives it its number.
    pub(super) fn insert(&mut self, mut session: Session) {
        self.last += 1;
        session.number = self.last;
        *self.by_hub.entry(session.hub).or_default() += 1;
        let link = session.link;
        self.by_number.insert(session.number, link);
        self.by_user.insert((session.hub, folded(session.who.user()).into(), session.number));
        debug_assert!(!self.by_link.contains_key(&link), "its old place was given back first");
        self.by_link.insert(link, Box::new(session));
    }

    /// Takes a session out.
    pub(super) fn remove(&mut self, link: LinkKey) -> Option<Session> {
        let session = self.by_link.remove(&link)?;
        self.by_number.remove(&session.number);
        if let Some(count) = self.by_hub.get_mut(&session.hub) {
            *count -= 1;
            if *count == 0 {
                self.by_hub.remove(&session.hub);
            }
        }
        self.by_user.remove(&(session.hub, folded(session.who.user()).into(), session.number));
        Some(*session)
    }

    pub(super) fn get(&self, link: LinkKey) -> Option<&Session> {
        self.by_link.get(&link).map(Box::as_ref)
    }

    pub(super) fn get_mut(&mut self, link: LinkKey) -> Option<&mut Session> {
        self.by_link.get_mut(&link).map(Box::as_mut)
    }

    /// The session of a number.
    pub(super) fn numbered(&self, number: u64) -> Option<&Session> {
        self.get(*self.by_number.get(&number)?)
    }

    /// All sessions, in no order that means anything.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Session> {
        self.by_link.values().map(Box::as_ref)
    }

    /// Sessions behind a number, in the order of their numbers: take a page at a time.
    pub(super) fn after(&self, number: u64) -> impl Iterator<Item = &Session> {
        let links = self.by_number.range((Excluded(number), Unbounded)).map(|(_, link)| link);
        links.filter_map(|link| self.get(*link))
    }

    /// The sessions of a user of a hub, whatever the case of the name, the oldest first.
    pub(super) fn of_user(&self, hub: HubId, user: &str) -> impl Iterator<Item = &Session> {
        let user: SmolStr = folded(user).into();
        let range = self.by_user.range((hub, user.clone(), 0)..);
        let mine = range.take_while(move |(of, name, _)| *of == hub && *name == user);
        mine.filter_map(|(_, _, number)| self.numbered(*number))
    }

    /// The sessions of a hub.
    pub(super) fn of_hub(&self, hub: HubId) -> impl Iterator<Item = &Session> {
        let range = self.by_user.range((hub, SmolStr::default(), 0)..).take_while(move |(of, ..)| *of == hub);
        range.filter_map(|(_, _, number)| self.numbered(*number))
    }
}
