//! A turn for everybody: when more packets come than a turn should take, the peers have them worked off in turns, and what
//! is beyond that waits. One elephant does not starve a thousand mice.
//!
//! The kernel's queue knows no peers: whoever sends most fills it, and everybody waits behind. So when few peers fill most of
//! it while others send little, it is emptied faster than the packets are worked off (reading costs a tenth of the
//! cryptography and all that follows), and what was read waits in a queue for each peer. When there is no room left, the
//! longest of them loses its oldest packets: they have waited longest, and a sender that fills queues learns sooner.
//!
//! Where many peers send alike, the kernel's queue is fair by itself, and packets are read when they are worked off, while
//! they are in the cache.

use crate::peer::PeerKey;
use std::collections::VecDeque;

/// Packets to read in a turn, about: enough to fill every lane of the ESP engine many times, few enough to stay in the cache
/// from the first step to the last.
const FULL: usize = 256;
/// Packets of a turn that is shared out: worked off in half a millisecond, which is what a mouse waits for.
const TURN: usize = 128;
/// Packets of one peer, at least, before it is the next one's turn: enough for one send call to carry.
const QUANTUM: usize = 32;
/// Packets to read in a turn when those of few peers would keep all others waiting.
const AHEAD: usize = 1024;
/// Packets that wait at most, of all peers together: 40 ms of what one core can do, 16 MiB, as much as a socket's queue.
const WAITING: usize = 8192;
/// Packets that the longest queue loses at once, so that it is not looked for with every packet.
const SHED: usize = 64;
/// A queue with more room than this gives it back when it is empty.
const KEPT: usize = 32;
/// Queues that are kept when nothing waits.
const QUEUES: usize = 64;
/// Packets after which it is looked who sends how much: long enough that bursts even out.
const WINDOW: usize = 4096;
/// Who sends so many times less than whoever sends most is a mouse.
const MOUSE: usize = 16;

/// Packets that wait for their peers' turns. `J` is the work to do, `P` what goes with it.
pub(super) struct Fair<J, P> {
    /// The places of the queues with packets, in the order of their turns.
    round: VecDeque<u32>,
    queues: Vec<Queue<J, P>>,
    /// Places of empty queues.
    free: Vec<u32>,
    /// By the index of the peer: the place of its queue and one, or zero if it has none.
    places: Vec<u32>,
    waiting: usize,
    /// Turns for which the peers of an earlier one count as still there.
    company: u8,
    /// Turns for which most of the packets are expected to be those of few peers.
    elephant: u8,
    /// Packets of full turns since the window began, by the index of the peer; and whose they are.
    counts: Vec<u16>,
    counted: Vec<u32>,
    window: usize,
}

/// The packets of one peer, oldest first. An index may have had another peer before, hence the key with each.
struct Queue<J, P> {
    index: u32,
    packets: VecDeque<(PeerKey, P, J)>,
}

impl<J, P> Default for Fair<J, P> {
    fn default() -> Self {
        Self {
            round: VecDeque::new(),
            queues: Vec::new(),
            free: Vec::new(),
            places: Vec::new(),
            waiting: 0,
            company: 0,
            elephant: 0,
            counts: Vec::new(),
            counted: Vec::new(),
            window: 0,
        }
    }
}

impl<J, P> Fair<J, P> {
    /// Whether packets wait for their peers' next turn.
    pub(super) const fn has_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// How many packets of each socket it is worth reading now.
    pub(super) const fn appetite(&self) -> usize {
        if self.is_crowded() {
            AHEAD
        } else if self.waiting < TURN {
            FULL
        } else {
            0
        }
    }

    /// Whether the packets of few peers would keep others waiting.
    const fn is_crowded(&self) -> bool {
        self.company > 0 && self.elephant > 0
    }

    /// Looks whose the packets are that were read in a turn.
    fn look(&mut self, from: &[(PeerKey, P)]) {
        self.company = self.company.saturating_sub(1);
        self.elephant = self.elephant.saturating_sub(1);
        let Some((first, _)) = from.first() else { return };
        if from.iter().any(|(key, _)| key != first) {
            self.company = u8::MAX;
        }
        // Less is worked off before anybody notices.
        if from.len() < TURN || self.company == 0 {
            return;
        }
        // Who has more than half, if anybody has, is whoever is left when the packets of different peers cancel out.
        let (mut heaviest, mut lead) = (first, 0_usize);
        for (key, _) in from {
            let index = key.index as usize;
            if self.counts.len() <= index {
                self.counts.resize(index + 1, 0);
            }
            if self.counts[index] == 0 {
                self.counted.push(key.index);
            }
            self.counts[index] = self.counts[index].saturating_add(1);
            match lead {
                0 => (heaviest, lead) = (key, 1),
                _ if key == heaviest => lead += 1,
                _ => lead -= 1,
            }
        }
        self.window += from.len();
        // Others would wait for all of it.
        if 2 * from.iter().filter(|(key, _)| key == heaviest).count() > from.len() {
            self.elephant = u8::MAX;
        }
        if self.window >= WINDOW {
            self.judge();
        }
    }

    /// Looks who has sent how much in a window, and begins the next.
    fn judge(&mut self) {
        let count = |index: &u32| usize::from(self.counts[*index as usize]);
        let most = self.counted.iter().map(count).max().unwrap_or(0);
        let mouse = self.counted.iter().any(|index| MOUSE * count(index) <= most);
        let large: usize = self.counted.iter().map(count).filter(|count| 2 * count > most).sum();
        if mouse && 2 * large > self.window {
            (self.company, self.elephant) = (u8::MAX, u8::MAX);
        }
        for index in self.counted.drain(..) {
            self.counts[index as usize] = 0;
        }
        self.window = 0;
    }

    /// Leaves in `jobs` and `from` what this turn shall do, of each peer oldest first. What there is no room for goes to
    /// `refuse`.
    pub(super) fn share_out(
        &mut self,
        jobs: &mut Vec<J>,
        from: &mut Vec<(PeerKey, P)>,
        mut refuse: impl FnMut(J),
    ) {
        self.look(from);
        // Several sockets and other workers may bring more than was asked for.
        let whole = if self.is_crowded() { TURN } else { 2 * FULL };
        if self.waiting == 0 && jobs.len() <= whole {
            return;
        }
        let mut full = false;
        for ((key, p), job) in from.drain(..).zip(jobs.drain(..)) {
            full = full || self.waiting == WAITING && !self.shed(&mut refuse);
            if full {
                // So many peers that each has next to nothing: it is the machine that is too slow.
                refuse(job);
                continue;
            }
            let queue = self.queue_of(key.index);
            queue.packets.push_back((key, p, job));
            self.waiting += 1;
        }
        let quantum = QUANTUM.max(TURN / self.round.len().max(1));
        while from.len() < TURN
            && let Some(place) = self.round.pop_front()
        {
            let queue = &mut self.queues[place as usize];
            let count = queue.packets.len().min(quantum).min(TURN - from.len());
            for (key, p, job) in queue.packets.drain(..count) {
                from.push((key, p));
                jobs.push(job);
            }
            self.waiting -= count;
            if queue.packets.is_empty() {
                self.places[queue.index as usize] = 0;
                if queue.packets.capacity() > KEPT {
                    queue.packets = VecDeque::new();
                }
                self.free.push(place);
            } else {
                self.round.push_back(place);
            }
        }
        if self.waiting == 0 && self.queues.len() > QUEUES {
            self.queues = Vec::new();
            self.free = Vec::new();
        }
    }

    /// The queue of a peer, which has its turn after those that wait already if it had none.
    fn queue_of(&mut self, index: u32) -> &mut Queue<J, P> {
        let at = index as usize;
        if self.places.len() <= at {
            self.places.resize(at + 1, 0);
        }
        let place = match self.places[at].checked_sub(1) {
            Some(place) => place,
            None => {
                let place = self.free.pop().unwrap_or_else(|| {
                    self.queues.push(Queue { index, packets: VecDeque::new() });
                    self.queues.len() as u32 - 1
                });
                self.queues[place as usize].index = index;
                self.places[at] = place + 1;
                self.round.push_back(place);
                place
            }
        };
        &mut self.queues[place as usize]
    }

    /// Takes the oldest packets from the longest queue; false if even that is short.
    fn shed(&mut self, refuse: &mut impl FnMut(J)) -> bool {
        let longest = self.round.iter().max_by_key(|place| self.queues[**place as usize].packets.len());
        let Some(queue) = longest.and_then(|place| self.queues.get_mut(*place as usize)) else {
            return false;
        };
        // Some stay: a queue in the round is not empty.
        let count = SHED.min(queue.packets.len() / 4);
        queue.packets.drain(..count).for_each(|(.., job)| refuse(job));
        self.waiting -= count;
        count > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const ELEPHANT: u32 = 7;

    fn key(index: u32) -> PeerKey {
        PeerKey { index, generation: 1 }
    }

    /// Packets, each a peer and a number.
    type Packets = Vec<(u32, u32)>;

    /// A turn with these packets; returns what is done in it and what is refused.
    fn turn(fair: &mut Fair<(u32, u32), ()>, packets: &[(u32, u32)]) -> (Packets, Packets) {
        let mut jobs = packets.to_vec();
        let mut from: Vec<_> = packets.iter().map(|(peer, _)| (key(*peer), ())).collect();
        let mut refused = Vec::new();
        fair.share_out(&mut jobs, &mut from, |job| refused.push(job));
        assert!(from.iter().zip(&jobs).all(|((key, ()), (peer, _))| key.index == *peer));
        let lens: usize = fair.round.iter().map(|place| fair.queues[*place as usize].packets.len()).sum();
        assert_eq!((fair.waiting, fair.round.len() + fair.free.len()), (lens, fair.queues.len()));
        (jobs, refused)
    }

    #[test]
    fn what_fits_a_turn_passes_as_it_came() {
        let mut fair = Fair::default();
        let few: Vec<_> = (0..FULL as u32).map(|n| (n % 3, n)).collect();
        assert_eq!(turn(&mut fair, &few), (few, vec![]));
        assert!(!fair.has_waiting());
    }

    #[test]
    fn more_is_read_as_long_as_one_keeps_others_waiting() {
        let mut fair = Fair::default();
        let lone: Vec<_> = (0..FULL as u32).map(|n| (ELEPHANT, n)).collect();
        turn(&mut fair, &lone);
        assert_eq!(fair.appetite(), FULL, "alone");
        // Peers that send alike are served in the order in which they come.
        let alike: Vec<_> = (0..FULL as u32).map(|n| (n % 20, n)).collect();
        turn(&mut fair, &alike);
        assert_eq!(fair.appetite(), FULL, "alike");
        // However the packets of the others lie among its own.
        let mixed: Vec<_> =
            (0..FULL as u32).map(|n| (if n % 3 == 0 { n % 20 + 100 } else { ELEPHANT }, n)).collect();
        turn(&mut fair, &mixed);
        for _ in 0..u8::MAX {
            assert_eq!(fair.appetite(), AHEAD, "one keeps another waiting");
            turn(&mut fair, &lone[..TURN]);
        }
        // As long again, for the first window had the other in it.
        (0..=WINDOW / TURN).for_each(|_| drop(turn(&mut fair, &lone[..TURN])));
        turn(&mut fair, &[]);
        assert_eq!(fair.appetite(), FULL, "long alone");
        // Two that fill it together keep a mouse waiting as well.
        let two: Vec<_> = (0..FULL as u32).map(|n| if n == 100 { (5, n) } else { (n % 2, n) }).collect();
        (0..WINDOW / FULL).for_each(|_| drop(turn(&mut fair, &two)));
        assert_eq!(fair.appetite(), AHEAD, "two elephants and a mouse");
        (0..2 * WAITING / TURN).for_each(|_| drop(turn(&mut fair, &[])));
        // Long without an elephant: what waits is worked off before more is read.
        (0..u8::MAX).for_each(|_| drop(turn(&mut fair, &alike)));
        let many: Vec<_> = (0..3 * FULL as u32).map(|n| (n % 20, n)).collect();
        turn(&mut fair, &many);
        assert_eq!(fair.appetite(), 0);
    }

    #[test]
    fn mice_pass_at_once_and_the_elephant_keeps_its_order() {
        let mut fair = Fair::default();
        let (mut done, mut sent, mut refused) = (Vec::new(), 0, 0);
        for round in 0..40 {
            let mut packets: Vec<_> = (sent..sent + 400).map(|n| (ELEPHANT, n)).collect();
            sent += 400;
            let mice: Vec<_> = (0..40).map(|n| (100 + n, round)).collect();
            packets.extend(&mice);
            let (now, lost) = turn(&mut fair, &packets);
            assert!(lost.iter().all(|(peer, _)| *peer == ELEPHANT));
            refused += lost.len();
            let (elephant, rest): (Vec<_>, Vec<_>) = now.into_iter().partition(|(peer, _)| *peer == ELEPHANT);
            assert_eq!(rest, mice, "all at once");
            assert_eq!(elephant.len(), TURN - mice.len());
            done.extend(elephant.iter().map(|(_, number)| *number));
        }
        assert!(fair.waiting <= WAITING && refused > 0);
        while fair.has_waiting() {
            done.extend(turn(&mut fair, &[]).0.iter().map(|(_, number)| *number));
        }
        assert!(done.is_sorted());
        assert_eq!(done.len() + refused, sent as usize);
    }

    #[test]
    fn of_two_elephants_each_has_half() {
        let mut fair = Fair::default();
        let mut packets: Vec<_> = (0..7000).map(|n| (1, n)).collect();
        packets.extend((0..1000).map(|n| (2, n)));
        let (first, _) = turn(&mut fair, &packets);
        assert_eq!(first.iter().filter(|(peer, _)| *peer == 2).count(), TURN / 2);
        // The one behind the longer queue of the other loses nothing when there is no room.
        let more: Vec<_> = (7000..7800).map(|n| (1, n)).collect();
        let (_, refused) = turn(&mut fair, &more);
        assert!(!refused.is_empty() && refused.iter().all(|(peer, _)| *peer == 1));
    }

    #[test]
    fn a_crowd_of_mice_is_refused_what_there_is_no_room_for() {
        let mut fair = Fair::default();
        let crowd: Vec<_> = (0..3 * WAITING as u32).map(|n| (n, n)).collect();
        let (done, refused) = turn(&mut fair, &crowd);
        assert_eq!((done.len(), refused.len()), (TURN, 2 * WAITING));
        while fair.has_waiting() {
            turn(&mut fair, &[]);
        }
        assert!(fair.queues.is_empty(), "nothing is kept of them");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_disordered_and_few_packets_never_wait_long(
            turns in prop::collection::vec(prop::collection::vec((0_u32..12, 1_usize..900), 0..6), 1..30),
        ) {
            let mut fair = Fair::default();
            let mut next: HashMap<u32, u32> = HashMap::new();
            let mut seen: HashMap<u32, u32> = HashMap::new();
            let (mut sent, mut out) = (0, 0);
            let mut empty = vec![vec![]; WAITING / TURN + 1];
            for mut bursts in turns.into_iter().chain(empty.drain(..)) {
                // And a mouse in every turn.
                bursts.push((99, 1));
                let mut packets = Vec::new();
                for (peer, count) in bursts {
                    let number = next.entry(peer).or_default();
                    packets.extend((0..count as u32).map(|n| (peer, *number + n)));
                    *number += count as u32;
                }
                sent += packets.len();
                let (done, refused) = turn(&mut fair, &packets);
                prop_assert!(fair.waiting <= WAITING);
                prop_assert!(refused.iter().all(|(peer, _)| *peer != 99));
                out += done.len() + refused.len();
                for (peer, number) in done {
                    let after = seen.entry(peer).or_default();
                    prop_assert!(number >= *after);
                    *after = number + 1;
                }
                // A round of everybody, at the least quantum, takes so many turns.
                let longest = (12 * QUANTUM).div_ceil(TURN) + 1;
                prop_assert!((next[&99] - seen.get(&99).copied().unwrap_or(0)) as usize <= longest, "the mouse waits");
            }
            prop_assert_eq!(out, sent);
        }
    }
}
