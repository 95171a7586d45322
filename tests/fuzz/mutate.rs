//! Changes inputs, the same way every time.

/// FNV-1a.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// `bytes` cut at each length if there are few, else at `count` lengths.
pub(crate) fn truncations(bytes: &[u8], count: usize) -> impl Iterator<Item = &[u8]> {
    let step = bytes.len().div_ceil(count.max(1)).max(1);
    (0..bytes.len()).step_by(step).map(|len| &bytes[..len])
}

/// `bytes` with one byte changed: each of them if there are few, else `count` of them.
pub(crate) fn flips(bytes: &[u8], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let step = bytes.len().div_ceil(count.max(1)).max(1);
    let places = if count == 0 { 0 } else { bytes.len() };
    (0..places).step_by(step).flat_map(move |at| {
        [0xff, 0x01, 0x80].into_iter().map(move |flip| {
            let mut changed = bytes.to_vec();
            changed[at] ^= flip;
            changed
        })
    })
}

/// A source of random changes (SplitMix64).
pub(crate) struct Mutator(u64);

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        start..start + self.below(len - start + 1).min(64)
    }

    /// `bytes` after one to eight changes; `others` lend parts of themselves.
    pub(crate) fn mutate(&mut self, bytes: &[u8], others: &[&[u8]]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        for _ in 0..=self.below(8) {
            self.change(&mut out, others);
        }
        out
    }

    fn change(&mut self, out: &mut Vec<u8>, others: &[&[u8]]) {
        const NUMBERS: [u32; 10] = [0, 1, 3, 4, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0xffff_ffff];
        let at = self.below(out.len());
        match self.below(8) {
            0 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(byte) = out.get_mut(at) {
                    *byte = self.next() as u8;
                }
            }
            2 => {
                let number = NUMBERS[self.below(NUMBERS.len())].to_be_bytes();
                let number = &number[4 - [1, 2, 4][self.below(3)]..];
                if let Some(place) = out.get_mut(at..at + number.len()) {
                    place.copy_from_slice(number);
                }
            }
            3 => {
                let gone = self.range(out.len());
                out.drain(gone);
            }
            4 => {
                let again = self.range(out.len());
                let part = out[again].to_vec();
                out.splice(at..at, part);
            }
            5 => {
                let noise: Vec<u8> = (0..self.below(16)).map(|_| self.next() as u8).collect();
                out.splice(at..at, noise);
            }
            6 => {
                let other = others.get(self.below(others.len())).copied().unwrap_or_default();
                let part = other[self.range(other.len())].to_vec();
                let end = if self.below(2) == 0 { at } else { (at + part.len()).min(out.len()) };
                out.splice(at..end, part);
            }
            _ => {
                let other = others.get(self.below(others.len())).copied().unwrap_or_default();
                let from = self.below(other.len());
                out.truncate(at);
                out.extend_from_slice(&other[from.min(other.len())..]);
            }
        }
    }
}
