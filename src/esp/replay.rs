//! The anti-replay window (RFC 4303 section 3.4.3): a bitmap used as a ring, as RFC 6479 describes it. Advancing clears
//! whole words, so it costs the same for one packet and for a thousand lost ones.

/// How far behind the highest sequence number a packet may be. Receive offload and multi-queue paths reorder by
/// hundreds; RFC 4303 asks for at least 32.
pub const WINDOW: u32 = 1024;

const WORD: u32 = u64::BITS;
/// One word more than the window, because the newest word is only partly used.
const WORDS: usize = (WINDOW / WORD) as usize + 1;

/// Sequence numbers that an SA has seen.
#[derive(Clone, Debug, Default)]
pub struct ReplayWindow {
    highest: u32,
    seen: [u64; WORDS],
}

/// What [`ReplayWindow::commit`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// New, and the highest yet.
    Highest,
    /// New, but overtaken by another.
    Late,
    /// Seen before, or too old to tell.
    Replayed,
}

impl ReplayWindow {
    /// Whether a packet may be worth its cryptography. Changes nothing: it is not authenticated yet.
    #[must_use]
    pub fn would_accept(&self, seq: u32) -> bool {
        seq > self.highest || (self.in_window(seq) && !self.is_seen(seq))
    }

    /// Records the number of an authentic packet. Two packets with one number can both pass [`Self::would_accept`]
    /// before either gets here; only the first is accepted.
    pub fn commit(&mut self, seq: u32) -> Verdict {
        if seq > self.highest {
            self.advance(seq);
            self.mark(seq);
            Verdict::Highest
        } else if self.in_window(seq) && !self.is_seen(seq) {
            self.mark(seq);
            Verdict::Late
        } else {
            Verdict::Replayed
        }
    }

    /// The highest number so far; zero before the first packet.
    #[must_use]
    pub const fn highest(&self) -> u32 {
        self.highest
    }

    /// For a number up to the highest. The first packet of an SA has 1 (RFC 4303 section 3.3.3): zero is never valid.
    const fn in_window(&self, seq: u32) -> bool {
        seq != 0 && self.highest - seq < WINDOW
    }

    fn is_seen(&self, seq: u32) -> bool {
        self.seen[index(seq)] & bit(seq) != 0
    }

    fn mark(&mut self, seq: u32) {
        self.seen[index(seq)] |= bit(seq);
    }

    fn advance(&mut self, seq: u32) {
        let (from, to) = (self.highest / WORD, seq / WORD);
        // All words at most once, whatever the distance.
        for word in (from + 1..=to).take(WORDS) {
            self.seen[word as usize % WORDS] = 0;
        }
        self.highest = seq;
    }
}

const fn index(seq: u32) -> usize {
    (seq / WORD) as usize % WORDS
}

const fn bit(seq: u32) -> u64 {
    1 << (seq % WORD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Packets one after the other in one window; each with whether it is accepted.
    fn table(steps: &[(u32, bool)]) {
        let mut window = ReplayWindow::default();
        for (step, &(seq, accepted)) in steps.iter().enumerate() {
            assert_eq!(window.would_accept(seq), accepted, "step {step}: would accept {seq}");
            assert_eq!(window.commit(seq) != Verdict::Replayed, accepted, "step {step}: {seq}");
        }
    }

    // The cases of WireGuard's selftest/counter.c, for numbers that begin at 1 and a window of 1024.
    const W: u32 = WINDOW;
    const MAX: u32 = u32::MAX;

    #[test]
    fn duplicates_and_order() {
        table(&[
            (0, false),
            (1, true),
            (1, false),
            (9, true),
            (8, true),
            (7, true),
            (7, false),
            (W, true),
            (W - 1, true),
            (W - 1, false),
            (W - 2, true),
            (2, true),
            (2, false),
            (W + 16, true),
            (3, false),
            (W + 16, false),
            (W * 4, true),
            (W * 4 - (W - 1), true),
            (10, false),
            (W * 4 - W, false),
            (W * 4 - (W + 1), false),
            (W * 4 - (W - 2), true),
            (W * 4 + 1 - W, false),
            (0, false),
        ]);
    }

    #[test]
    fn the_end_of_the_number_space() {
        table(&[
            (MAX - W, true),
            (MAX - 1, true),
            (MAX, true),
            (MAX, false),
            (MAX - W, false),
            (MAX - W + 1, true),
            (MAX - W + 1, false),
            (1, false),
            (0, false),
        ]);
    }

    #[test]
    fn a_whole_window_in_either_order() {
        let up: Vec<_> = (1..=W).map(|seq| (seq, true)).chain([(0, false), (1, false), (W, false)]).collect();
        table(&up);
        let down: Vec<_> = (1..=W).rev().map(|seq| (seq, true)).chain([(W, false), (1, false)]).collect();
        table(&down);
        let gap: Vec<_> =
            [(W + 1, true), (1, false)].into_iter().chain((2..=W).map(|seq| (seq, true))).collect();
        table(&gap);
    }

    #[test]
    fn a_jump_forgets_everything_behind_it() {
        for jump in [W, W + 1, 2 * W, 17 * 64, 18 * 64, 1 << 20] {
            let mut window = ReplayWindow::default();
            assert!((1..=2 * W).all(|seq| window.commit(seq) == Verdict::Highest));
            assert_eq!(window.commit(2 * W + jump), Verdict::Highest);
            for seq in 2 * W + jump - (W - 1)..2 * W + jump {
                let fresh = seq > 2 * W;
                assert_eq!(window.commit(seq) == Verdict::Late, fresh, "{seq} after a jump of {jump}");
            }
        }
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<ReplayWindow>() <= 144);
    }

    /// What the window should do, with all the memory in the world.
    #[derive(Default)]
    struct Model {
        seen: BTreeSet<u32>,
    }

    impl Model {
        fn commit(&mut self, seq: u32) -> Verdict {
            let highest = self.seen.last().copied().unwrap_or(0);
            if seq == 0
                || u64::from(seq) + u64::from(WINDOW) <= u64::from(highest)
                || self.seen.contains(&seq)
            {
                return Verdict::Replayed;
            }
            self.seen.insert(seq);
            if seq > highest { Verdict::Highest } else { Verdict::Late }
        }
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set(
            start in prop_oneof![Just(0u32), 0..5000u32, MAX - 5000..MAX - 3000],
            steps in prop::collection::vec(prop_oneof![
                8 => -40..60i64,
                2 => -1100..-900i64,
                2 => -70..1200i64,
                1 => 0..5000i64,
            ], 1..400),
        ) {
            let mut window = ReplayWindow::default();
            let mut model = Model::default();
            let mut top = i64::from(start);
            for step in steps {
                let seq = u32::try_from((top + step).clamp(0, i64::from(MAX))).unwrap();
                let before = window.would_accept(seq);
                let verdict = model.commit(seq);
                prop_assert_eq!(before, verdict != Verdict::Replayed);
                prop_assert_eq!(window.commit(seq), verdict);
                top = top.max(i64::from(seq));
            }
        }
    }
}
