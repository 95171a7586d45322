//! Neighbours that a hub's own table does not know (RFC 826, RFC 1122 section 2.3.2): some entries, a few packets that wait,
//! and a memory of those who did not answer. An idle card has none of it.

use crate::hub::Mac;
use crate::packet::{Drop, PacketBuf};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How many neighbours a link's card knows by itself.
const ENTRIES: usize = 32;
/// How many packets wait for one neighbour; the newest are kept (RFC 1122 section 2.3.2.2 asks for the latest at least).
const WAITING: usize = 4;
/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(120);
/// Time between two requests.
const REPEAT: Duration = Duration::from_millis(300);
/// Requests in all; with [`REPEAT`] a neighbour is given up after about a second.
const REQUESTS: u8 = 3;
/// How long a neighbour who did not answer is not asked again (RFC 1122 section 2.3.2.1 bounds the rate of requests).
const SILENT: Duration = Duration::from_secs(3);

#[derive(Debug)]
enum State {
    /// Asked; packets wait.
    Asked { requests: u8, waiting: Vec<PacketBuf> },
    /// Known, believed until the entry's time.
    Known(Mac),
    /// Did not answer, not asked again before the entry's time.
    Silent,
}

#[derive(Debug)]
struct Neighbor {
    address: Ipv4Addr,
    /// End of the state.
    until: Instant,
    state: State,
}

/// What to do for a packet whose next hop is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolve {
    /// It waits; ask.
    Ask,
    /// It waits for an answer to a request that is under way.
    Wait,
}

/// Neighbours of one card.
#[derive(Debug)]
pub struct Neighbors {
    list: Vec<Neighbor>,
    most: usize,
}

impl Default for Neighbors {
    /// Those of a link's card.
    fn default() -> Self {
        Self::new(ENTRIES)
    }
}

impl Neighbors {
    /// No neighbours yet, and at most so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { list: Vec::new(), most }
    }

    /// Whether a neighbour has not answered a moment ago, so that it is not asked again now.
    #[must_use]
    pub fn is_silent(&self, now: Instant, address: Ipv4Addr) -> bool {
        let silent = |entry: &Neighbor| matches!(entry.state, State::Silent) && entry.until > now;
        self.list.iter().any(|entry| entry.address == address && silent(entry))
    }

    /// The MAC address of a neighbour, if it is known and believed.
    #[must_use]
    pub fn find(&self, now: Instant, address: Ipv4Addr) -> Option<Mac> {
        let entry = self.list.iter().find(|entry| entry.address == address && entry.until > now)?;
        match entry.state {
            State::Known(mac) => Some(mac),
            State::Asked { .. } | State::Silent => None,
        }
    }

    /// Lets a packet wait for its next hop.
    ///
    /// # Errors
    /// [`Drop::Unresolved`] if the neighbour has not answered a moment ago, [`Drop::QueueFull`] if too many are asked
    /// for at once.
    pub fn resolve(&mut self, now: Instant, address: Ipv4Addr, packet: PacketBuf) -> Result<Resolve, Drop> {
        let fresh = |packet| State::Asked { requests: 1, waiting: vec![packet] };
        if let Some(entry) = self.list.iter_mut().find(|entry| entry.address == address) {
            match &mut entry.state {
                State::Asked { waiting, .. } => {
                    if waiting.len() == WAITING {
                        waiting.remove(0);
                    }
                    waiting.push(packet);
                    return Ok(Resolve::Wait);
                }
                State::Silent if entry.until > now => return Err(Drop::Unresolved),
                State::Silent | State::Known(_) => {
                    (entry.state, entry.until) = (fresh(packet), now + REPEAT);
                    return Ok(Resolve::Ask);
                }
            }
        }
        self.make_room(now)?;
        self.list.push(Neighbor { address, until: now + REPEAT, state: fresh(packet) });
        Ok(Resolve::Ask)
    }

    /// Makes room for one more: what is over goes, else what would be over first; packets that wait are not sacrificed.
    fn make_room(&mut self, now: Instant) -> Result<(), Drop> {
        if self.list.len() < self.most {
            return Ok(());
        }
        let asked = |entry: &Neighbor| matches!(entry.state, State::Asked { .. });
        self.list.retain(|entry| asked(entry) || entry.until > now);
        if self.list.len() < self.most {
            return Ok(());
        }
        let oldest =
            (0..self.list.len()).filter(|at| !asked(&self.list[*at])).min_by_key(|at| self.list[*at].until);
        self.list.swap_remove(oldest.ok_or(Drop::QueueFull)?);
        Ok(())
    }

    /// Notes what a neighbour says of itself, if anybody wanted to know; returns the packets that waited for it.
    pub fn learn(&mut self, now: Instant, address: Ipv4Addr, mac: Mac) -> Vec<PacketBuf> {
        let Some(entry) = self.list.iter_mut().find(|entry| entry.address == address) else {
            return Vec::new();
        };
        entry.until = now + BELIEVED;
        match std::mem::replace(&mut entry.state, State::Known(mac)) {
            State::Asked { waiting, .. } => waiting,
            State::Known(_) | State::Silent => Vec::new(),
        }
    }

    /// When a request has to be repeated or given up.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let asked = self.list.iter().filter(|entry| matches!(entry.state, State::Asked { .. }));
        asked.map(|entry| entry.until).min()
    }

    /// Repeats requests and gives up; returns the packets that waited in vain.
    pub fn expire(&mut self, now: Instant, mut ask: impl FnMut(Ipv4Addr)) -> Vec<PacketBuf> {
        let mut lost = Vec::new();
        for entry in self.list.iter_mut().filter(|entry| entry.until <= now) {
            let State::Asked { requests, waiting } = &mut entry.state else { continue };
            if *requests < REQUESTS {
                *requests += 1;
                entry.until = now + REPEAT;
                ask(entry.address);
            } else {
                lost.append(waiting);
                (entry.state, entry.until) = (State::Silent, now + SILENT);
            }
        }
        lost
    }
}
