//! Timers of one state machine: a fixed table of deadlines, one slot per kind of timer.
//!
//! Each machine defines a fieldless `enum Timer` whose variants document when they are armed and what happens when
//! they fire, and implements [`Slot`] for it.

mod bucket;

pub use bucket::Bucket;

use std::marker::PhantomData;
use std::time::Instant;

/// A kind of timer: a position in a [`TimerTable`].
pub trait Slot: Copy + 'static {
    /// All kinds, in the order of their slots.
    const ALL: &'static [Self];
    /// Position of this kind, below `ALL.len()`.
    fn index(self) -> usize;
}

/// Deadlines of one machine, at most one per kind.
#[derive(Debug)]
pub struct TimerTable<T, const N: usize> {
    deadlines: [Option<Instant>; N],
    kind: PhantomData<T>,
}

impl<T: Slot, const N: usize> Default for TimerTable<T, N> {
    fn default() -> Self {
        Self { deadlines: [None; N], kind: PhantomData }
    }
}

impl<T: Slot, const N: usize> TimerTable<T, N> {
    /// Arms (or re-arms) a timer.
    pub fn set(&mut self, timer: T, at: Instant) {
        self.deadlines[timer.index()] = Some(at);
    }

    /// Disarms a timer.
    pub fn stop(&mut self, timer: T) {
        self.deadlines[timer.index()] = None;
    }

    /// When this timer fires, if it is armed.
    #[must_use]
    pub fn at(&self, timer: T) -> Option<Instant> {
        self.deadlines[timer.index()]
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Takes one timer that is due at `now`, earliest slot first; call until it returns `None`.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        T::ALL.iter().copied().find(|timer| {
            let due = self.deadlines[timer.index()].is_some_and(|at| at <= now);
            if due {
                self.deadlines[timer.index()] = None;
            }
            due
        })
    }
}
