//! SHA-1 and SHA-256 of one block per lane, in terms of vectors of 32-bit words: the same text for every width.

use super::tables::{K1, K256};

/// One 32-bit word of every lane.
pub(super) trait Words: Copy {
    /// The same word in every lane.
    fn splat(word: u32) -> Self;
    /// Sum modulo 2^32.
    fn add(self, other: Self) -> Self;
    /// Exclusive or.
    fn xor(self, other: Self) -> Self;
    /// Exclusive or of three.
    fn xor3(self, b: Self, c: Self) -> Self;
    /// Where `self` has a one the bit of `b`, elsewhere that of `c`.
    fn choose(self, b: Self, c: Self) -> Self;
    /// What two of three say.
    fn majority(self, b: Self, c: Self) -> Self;
    /// Rotation to the left by `LEFT`; `RIGHT` is what is missing to 32.
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self;
    /// Shift to the right.
    fn shift<const RIGHT: i32>(self) -> Self;
}

/// A working state of SHA-1. Its rounds are called in fives, after which every word is back under its own name.
#[derive(Clone, Copy)]
pub(super) struct Sha1<V>(pub(super) [V; 5]);

impl<V: Words> Sha1<V> {
    /// Word `T` of the message schedule, which overwrites word `T - 16`.
    #[inline(always)]
    fn schedule<const T: usize>(w: &mut [V; 16]) -> V {
        if T >= 16 {
            let sum = w[(T + 13) % 16].xor(w[(T + 8) % 16]).xor3(w[(T + 2) % 16], w[T % 16]);
            w[T % 16] = sum.rotate::<1, 31>();
        }
        w[T % 16]
    }

    #[inline(always)]
    fn round<const T: usize>(w: &mut [V; 16], a: V, b: &mut V, c: V, d: V, e: &mut V) {
        let f = match T / 20 {
            0 => b.choose(c, d),
            2 => b.majority(c, d),
            _ => b.xor3(c, d),
        };
        let wk = Self::schedule::<T>(w).add(V::splat(K1[T / 20]));
        *e = e.add(wk).add(f).add(a.rotate::<5, 27>());
        *b = b.rotate::<30, 2>();
    }

    /// Five rounds, of which the five numbers are `A` to `E`.
    #[inline(always)]
    pub(super) fn five<const A: usize, const B: usize, const C: usize, const D: usize, const E: usize>(
        &mut self,
        w: &mut [V; 16],
    ) {
        let [a, b, c, d, e] = &mut self.0;
        Self::round::<A>(w, *a, b, *c, *d, e);
        Self::round::<B>(w, *e, a, *b, *c, d);
        Self::round::<C>(w, *d, e, *a, *b, c);
        Self::round::<D>(w, *c, d, *e, *a, b);
        Self::round::<E>(w, *b, c, *d, *e, a);
    }

    /// Compresses one block per lane (FIPS 180-4 section 6.1.2).
    #[inline(always)]
    pub(super) fn compress(&mut self, mut w: [V; 16]) {
        let start = self.0;
        self.five::<0, 1, 2, 3, 4>(&mut w);
        self.five::<5, 6, 7, 8, 9>(&mut w);
        self.five::<10, 11, 12, 13, 14>(&mut w);
        self.five::<15, 16, 17, 18, 19>(&mut w);
        self.five::<20, 21, 22, 23, 24>(&mut w);
        self.five::<25, 26, 27, 28, 29>(&mut w);
        self.five::<30, 31, 32, 33, 34>(&mut w);
        self.five::<35, 36, 37, 38, 39>(&mut w);
        self.five::<40, 41, 42, 43, 44>(&mut w);
        self.five::<45, 46, 47, 48, 49>(&mut w);
        self.five::<50, 51, 52, 53, 54>(&mut w);
        self.five::<55, 56, 57, 58, 59>(&mut w);
        self.five::<60, 61, 62, 63, 64>(&mut w);
        self.five::<65, 66, 67, 68, 69>(&mut w);
        self.five::<70, 71, 72, 73, 74>(&mut w);
        self.five::<75, 76, 77, 78, 79>(&mut w);
        self.close(start);
    }

    /// Adds what the state was before the block.
    #[inline(always)]
    pub(super) fn close(&mut self, start: [V; 5]) {
        for (word, start) in self.0.iter_mut().zip(start) {
            *word = word.add(start);
        }
    }
}

/// Compresses one block per lane with SHA-256 (FIPS 180-4 section 6.2.2).
#[inline(always)]
pub(super) fn sha256<V: Words>(state: &mut [V; 8], mut w: [V; 16]) {
    let mut s = *state;
    // Sixteen rounds: the message schedule comes around, and after eight the words are back under their names.
    for group in 0..4 {
        macro_rules! rounds {
            ($($t:literal)*) => {$({
                let word = |i: usize| (i + 8 - $t % 8) % 8;
                if group > 0 {
                    let (w0, w1, w9, w14) = (w[$t], w[($t + 1) % 16], w[($t + 9) % 16], w[($t + 14) % 16]);
                    let small_0 = w1.rotate::<25, 7>().xor3(w1.rotate::<14, 18>(), w1.shift::<3>());
                    let small_1 = w14.rotate::<15, 17>().xor3(w14.rotate::<13, 19>(), w14.shift::<10>());
                    w[$t] = w0.add(small_0).add(w9).add(small_1);
                }
                let (a, b, c) = (s[word(0)], s[word(1)], s[word(2)]);
                let (e, f, g, h) = (s[word(4)], s[word(5)], s[word(6)], s[word(7)]);
                let big_1 = e.rotate::<26, 6>().xor3(e.rotate::<21, 11>(), e.rotate::<7, 25>());
                let big_0 = a.rotate::<30, 2>().xor3(a.rotate::<19, 13>(), a.rotate::<10, 22>());
                let wk = w[$t].add(V::splat(K256[16 * group + $t]));
                let t1 = h.add(wk).add(big_1).add(e.choose(f, g));
                s[word(3)] = s[word(3)].add(t1);
                s[word(7)] = t1.add(big_0).add(a.majority(b, c));
            })*};
        }
        rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
    for (word, s) in state.iter_mut().zip(s) {
        *word = word.add(s);
    }
}
