//! Phase 1 exchanges that are not finished: bounded in number per source and in all, and short-lived.

use crate::ike::Phase1;
use crate::penalty::Prefix;
use crate::story::Attempt;
use rustc_hash::FxHashMap;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a repeated first message of a finished exchange is still recognised, so that a late duplicate does not
/// look like a new attempt.
const LINGER: Duration = Duration::from_secs(30);

/// Marks of finished exchanges that are forgotten at a time.
const PRUNED: usize = 8;

/// So many marks, and those of exchanges whose client has not shown our cookie are kept no longer: a flood makes ten
/// thousand a second.
const MARKS: usize = 16_384;

/// An exchange that is not finished.
pub(super) struct HalfOpen {
    pub(super) exchange: Phase1,
    pub(super) attempt: Attempt,
    /// The initiator's cookie and the address that the first message came from.
    pub(super) first: (u64, SocketAddr),
    /// Whether the client has shown our cookie: it is at the address that it sends from.
    pub(super) proven: bool,
    /// When the exchange is given up because it was refused.
    pub(super) give_up: Option<Instant>,
    /// The deadline that the worker has filed.
    pub(super) filed: Option<Instant>,
}

/// All unfinished exchanges of a worker.
#[derive(Default)]
pub(super) struct HalfOpens {
    /// By the responder cookie that we chose.
    by_cookie: FxHashMap<u64, HalfOpen>,
    /// By what the first message shows: initiator cookie and source. The sender chose both: std's hash.
    by_first: HashMap<(u64, SocketAddr), u64>,
    /// By place and by neighbourhood.
    per_source: HashMap<Prefix, u32>,
    /// In the order of their first messages; some of them are over.
    order: VecDeque<u64>,
    lingering: VecDeque<(Instant, (u64, SocketAddr))>,
}

impl HalfOpens {
    pub(super) fn len(&self) -> usize {
        self.by_cookie.len()
    }

    /// How many exchanges this source has open.
    pub(super) fn of_source(&self, source: IpAddr) -> usize {
        self.per_source.get(&Prefix::narrow(source)).copied().unwrap_or(0) as usize
    }

    /// How many exchanges its neighbourhood has open.
    pub(super) fn of_neighbourhood(&self, source: IpAddr) -> usize {
        self.per_source.get(&Prefix::wide(source)).copied().unwrap_or(0) as usize
    }

    /// The oldest exchange whose initiator has not answered yet: perhaps there is nobody at that address.
    pub(super) fn oldest_unanswered(&mut self) -> Option<u64> {
        while let Some(cookie) = self.order.pop_front() {
            // Whoever has answered is real, and is judged by time from now on.
            if self.by_cookie.get(&cookie).is_some_and(|half_open| half_open.exchange.is_unanswered()) {
                return Some(cookie);
            }
        }
        None
    }

    /// The responder cookie that the first message with these marks was answered with.
    pub(super) fn answered(&self, first: (u64, SocketAddr)) -> Option<u64> {
        self.by_first.get(&first).copied()
    }

    pub(super) fn get_mut(&mut self, cookie: u64) -> Option<&mut HalfOpen> {
        self.by_cookie.get_mut(&cookie)
    }

    pub(super) fn insert(&mut self, cookie: u64, half_open: HalfOpen) {
        let source = half_open.first.1.ip();
        for source in [Prefix::narrow(source), Prefix::wide(source)] {
            *self.per_source.entry(source).or_default() += 1;
        }
        self.order.push_back(cookie);
        self.by_first.insert(half_open.first, cookie);
        self.by_cookie.insert(cookie, half_open);
    }

    /// Takes an exchange out: it is finished, or has failed.
    pub(super) fn remove(&mut self, now: Instant, cookie: u64) -> Option<HalfOpen> {
        // A few at a time: each adds one at most, and nobody should wait for a thousand.
        for _ in 0..PRUNED {
            let Some(&(_, first)) = self.lingering.front().filter(|(until, _)| *until <= now) else { break };
            self.lingering.pop_front();
            self.by_first.remove(&first);
        }
        let gone = self.by_cookie.remove(&cookie)?;
        let source = gone.first.1.ip();
        for source in [Prefix::narrow(source), Prefix::wide(source)] {
            if let Some(count) = self.per_source.get_mut(&source) {
                *count -= 1;
                if *count == 0 {
                    self.per_source.remove(&source);
                }
            }
        }
        // Those that are over are taken out in one go, so that each costs little.
        if self.order.len() > 2 * self.by_cookie.len() + 64 {
            self.order.retain(|cookie| self.by_cookie.contains_key(cookie));
        }
        if gone.proven || self.lingering.len() < MARKS {
            self.lingering.push_back((now + LINGER, gone.first));
        } else {
            self.by_first.remove(&gone.first);
        }
        Some(gone)
    }

    /// Responder cookies of all exchanges, in no particular order of importance but always the same.
    pub(super) fn cookies(&self) -> Vec<u64> {
        let mut cookies: Vec<u64> = self.by_cookie.keys().copied().collect();
        cookies.sort_unstable();
        cookies
    }
}
