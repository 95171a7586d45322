//! When hubs want to be called: kept in order, so that a thousand hubs cost what one does.

use crate::hub::{Hub, HubId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The deadlines of hubs. A hub that was changed is noted, and asked again when it matters.
#[derive(Debug, Default)]
pub(super) struct Dues {
    filed: BTreeSet<(Instant, HubId)>,
    at: BTreeMap<HubId, Instant>,
    /// Their filed deadlines may be wrong.
    touched: Vec<HubId>,
}

fn due(hubs: &[Hub], id: HubId) -> Option<Instant> {
    hubs.binary_search_by_key(&id, Hub::id).ok().and_then(|at| hubs.get(at)?.poll_timeout())
}

impl Dues {
    /// The hub is about to change.
    pub(super) fn touch(&mut self, id: HubId) {
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
    }

    /// Asks those that have changed.
    pub(super) fn file(&mut self, hubs: &[Hub]) {
        let mut touched = std::mem::take(&mut self.touched);
        for id in touched.drain(..) {
            let wanted = due(hubs, id);
            if self.at.get(&id).copied() == wanted {
                continue;
            }
            if let Some(old) = self.at.remove(&id) {
                self.filed.remove(&(old, id));
            }
            if let Some(at) = wanted {
                self.at.insert(id, at);
                self.filed.insert((at, id));
            }
        }
        self.touched = touched;
    }

    /// The earliest deadline. A filed one may be too early, which costs a look, and never too late.
    pub(super) fn next(&self, hubs: &[Hub]) -> Option<Instant> {
        let touched = self.touched.iter().filter_map(|id| due(hubs, *id)).min();
        self.filed.first().map(|(at, _)| *at).into_iter().chain(touched).min()
    }

    /// The hubs that are due; they count as changed.
    pub(super) fn take(&mut self, now: Instant) -> Vec<HubId> {
        let ids: Vec<HubId> = self.filed.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        ids.iter().for_each(|id| self.touch(*id));
        ids
    }
}
