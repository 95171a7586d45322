//! A turn for everybody: when more packets come than a turn should take, no peer gets more than its share of them, and
//! what is beyond it waits. One elephant does not starve a thousand mice.
//!
//! The kernel's queue knows no peers: whoever sends most fills it. So it is emptied fast, which costs little, and the
//! cryptography and all that follows, which cost most, are what is shared out.

use crate::peer::PeerKey;
use std::collections::VecDeque;

/// Packets of all peers in a turn that need no sharing out, and the least share of one peer.
const SHARE: usize = 64;
/// Packets of a turn, about, when they are shared out.
const TURN: usize = 512;
/// Packets of one peer that wait at most; what comes then is dropped.
const WAITING: usize = 512;

/// Packets beyond their peers' shares, in order of arrival. `J` is the work to do, `P` what goes with it.
pub(super) struct Fair<J, P> {
    waiting: VecDeque<(PeerKey, P, J)>,
    /// By the index of the peer, zero between turns.
    counts: Vec<u16>,
}

impl<J, P> Default for Fair<J, P> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), counts: Vec::new() }
    }
}

impl<J, P> Fair<J, P> {
    /// Whether packets wait for their peers' next turn.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Leaves in `jobs` and `from` what this turn shall do: of every peer what it may, oldest first. What is too much goes
    /// to `refuse`.
    pub(super) fn share_out(
        &mut self,
        jobs: &mut Vec<J>,
        from: &mut Vec<(PeerKey, P)>,
        mut refuse: impl FnMut(J),
    ) {
        if self.waiting.is_empty() && jobs.len() <= SHARE {
            return;
        }
        let mut peers = 0_usize;
        for key in self.waiting.iter().map(|(key, ..)| key).chain(from.iter().map(|(key, _)| key)) {
            let index = key.index as usize;
            if self.counts.len() <= index {
                self.counts.resize(index + 1, 0);
            }
            peers += usize::from(self.counts[index] == 0);
            self.counts[index] = 1;
        }
        self.waiting.extend(from.drain(..).zip(jobs.drain(..)).map(|((key, p), job)| (key, p, job)));
        for (key, ..) in &self.waiting {
            self.counts[key.index as usize] = 0;
        }
        // Nobody to share with: all of it.
        let share = if peers <= 1 { usize::MAX } else { SHARE.max(TURN / peers) };
        for _ in 0..self.waiting.len() {
            let Some((key, p, job)) = self.waiting.pop_front() else { break };
            let count = &mut self.counts[key.index as usize];
            *count = count.saturating_add(1);
            let count = usize::from(*count);
            if count <= share {
                from.push((key, p));
                jobs.push(job);
            } else if count <= share + WAITING {
                self.waiting.push_back((key, p, job));
            } else {
                refuse(job);
            }
        }
        for key in self.waiting.iter().map(|(key, ..)| key).chain(from.iter().map(|(key, _)| key)) {
            self.counts[key.index as usize] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELEPHANT: u32 = 7;

    fn key(index: u32) -> PeerKey {
        PeerKey { index, generation: 1 }
    }

    /// A turn with these packets, each a peer and a number; returns what is done in it and how many are refused.
    fn turn(fair: &mut Fair<u32, ()>, packets: &[(u32, u32)]) -> (Vec<(u32, u32)>, usize) {
        let mut jobs: Vec<u32> = packets.iter().map(|(_, number)| *number).collect();
        let mut from: Vec<_> = packets.iter().map(|(peer, _)| (key(*peer), ())).collect();
        let mut refused = 0;
        fair.share_out(&mut jobs, &mut from, |_| refused += 1);
        assert!(fair.counts.iter().all(|count| *count == 0));
        (from.iter().map(|(key, ())| key.index).zip(jobs).collect(), refused)
    }

    #[test]
    fn few_packets_and_a_lone_peer_pass_whole() {
        let mut fair = Fair::default();
        let few: Vec<_> = (0..60).map(|n| (n % 3, n)).collect();
        assert_eq!(turn(&mut fair, &few), (few, 0));
        let lone: Vec<_> = (0..1000).map(|n| (ELEPHANT, n)).collect();
        assert_eq!(turn(&mut fair, &lone), (lone, 0));
        assert!(!fair.has_waiting());
    }

    #[test]
    fn mice_pass_and_the_elephant_keeps_its_order() {
        let mut fair = Fair::default();
        let (mut done, mut sent, mut refused) = (Vec::new(), 0, 0);
        for round in 0..20 {
            let mut packets: Vec<_> = (sent..sent + 200).map(|n| (ELEPHANT, n)).collect();
            sent += 200;
            let mice: Vec<_> = (0..40).map(|n| (100 + n, round)).collect();
            packets.extend(&mice);
            let (now, lost) = turn(&mut fair, &packets);
            refused += lost;
            let (elephant, rest): (Vec<_>, Vec<_>) = now.into_iter().partition(|(peer, _)| *peer == ELEPHANT);
            assert_eq!(rest, mice, "all at once");
            assert_eq!(elephant.len(), SHARE);
            done.extend(elephant.iter().map(|(_, number)| *number));
        }
        assert!(fair.waiting.len() <= WAITING && refused > 0);
        while fair.has_waiting() {
            done.extend(turn(&mut fair, &[]).0.iter().map(|(_, number)| *number));
        }
        assert!(done.is_sorted());
        assert_eq!(done.len() + refused, sent as usize);
    }
}
