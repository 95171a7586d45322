//! Learned entries: when each has to be looked at again, and which stations move too often.
//!
//! An entry is looked at once per ageing time, not on every frame: workers note in the entry itself that it is in use,
//! and only when its turn comes the owner sees whether to keep it. Nothing is ever scanned.

use std::collections::{BTreeMap, BTreeSet};

/// Turns of the learned entries of one table, in steps of the ageing clock.
#[derive(Debug)]
pub(super) struct Turns<K = u64> {
    by_step: BTreeSet<(u32, K)>,
    by_key: BTreeMap<K, u32>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { by_step: BTreeSet::new(), by_key: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Turns<K> {
    /// Number of learned entries.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Looks at `key` again at `step`.
    pub(super) fn set(&mut self, key: K, step: u32) {
        self.forget(key);
        self.by_key.insert(key, step);
        self.by_step.insert((step, key));
    }

    /// Never looks at `key` again; returns whether it was known.
    pub(super) fn forget(&mut self, key: K) -> bool {
        let step = self.by_key.remove(&key);
        step.is_some_and(|step| self.by_step.remove(&(step, key)))
    }

    /// The next turn.
    pub(super) fn next(&self) -> Option<u32> {
        self.by_step.first().map(|(step, _)| *step)
    }

    /// An entry whose turn has come; it has to be set or forgotten.
    pub(super) fn due(&self, step: u32) -> Option<K> {
        self.by_step.first().filter(|(at, _)| *at <= step).map(|(_, key)| *key)
    }

    /// All learned keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = K> {
        self.by_key.keys().copied()
    }
}

/// Moves within [`FLAP_STEPS`] that are one too many.
const FLAP_MOVES: u32 = 5;
/// The time in which moves are counted, in steps (16 s).
const FLAP_STEPS: u32 = 2;
/// How long a station that flaps stays where it is, in steps (64 s).
const HOLD_STEPS: u32 = 8;
/// How many moving stations are watched at once; the rest move freely.
const WATCHED: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Watch {
    since: u32,
    moves: u32,
    held_until: Option<u32>,
}

/// What to do with a station that shows up behind another port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Move {
    /// Follow it.
    Follow,
    /// It flaps: leave it where it is from now on, and tell.
    Hold,
    /// It was held before and still is.
    Held,
}

/// Stations that moved lately.
#[derive(Debug, Default)]
pub(super) struct Movers {
    watched: BTreeMap<u64, Watch>,
}

impl Movers {
    /// Judges a move.
    pub(super) fn judge(&mut self, key: u64, step: u32) -> Move {
        if self.watched.len() >= WATCHED && !self.watched.contains_key(&key) {
            self.watched.retain(|_, watch| watch.held_until.unwrap_or(watch.since + FLAP_STEPS) > step);
            if self.watched.len() >= WATCHED {
                return Move::Follow;
            }
        }
        let fresh = Watch { since: step, moves: 0, held_until: None };
        let watch = self.watched.entry(key).or_insert(fresh);
        match watch.held_until {
            Some(until) if step < until => return Move::Held,
            Some(_) => *watch = fresh,
            None if step - watch.since > FLAP_STEPS => *watch = fresh,
            None => {}
        }
        watch.moves += 1;
        if watch.moves > FLAP_MOVES {
            watch.held_until = Some(step + HOLD_STEPS);
            return Move::Hold;
        }
        Move::Follow
    }

    /// Stops watching.
    pub(super) fn forget(&mut self, key: u64) {
        self.watched.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_station_that_flaps_is_held_once_and_released() {
        let mut movers = Movers::default();
        for _ in 0..FLAP_MOVES {
            assert_eq!(movers.judge(1, 10), Move::Follow);
        }
        assert_eq!(movers.judge(1, 11), Move::Hold);
        assert_eq!(movers.judge(1, 12), Move::Held);
        assert_eq!(movers.judge(2, 12), Move::Follow);
        assert_eq!(movers.judge(1, 11 + HOLD_STEPS), Move::Follow);
        // Slow moves are followed forever.
        for n in 0..100 {
            assert_eq!(movers.judge(3, 100 + n), Move::Follow);
        }
    }

    #[test]
    fn watching_is_bounded() {
        let mut movers = Movers::default();
        for n in 0..5000 {
            movers.judge(n, 0);
        }
        assert!(movers.watched.len() <= WATCHED);
        movers.judge(9999, 100);
        assert_eq!(movers.watched.len(), 1);
    }

    #[test]
    fn turns_come_once() {
        let mut turns = Turns::default();
        turns.set(7, 5);
        turns.set(7, 9);
        turns.set(8, 6);
        assert_eq!((turns.next(), turns.due(5), turns.due(6)), (Some(6), None, Some(8)));
        assert!(turns.forget(8));
        assert!(!turns.forget(8));
        assert_eq!((turns.due(9), turns.len()), (Some(7), 1));
    }
}
