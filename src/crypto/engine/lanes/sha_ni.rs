//! SHA-1 and SHA-256 with the CPU's own instructions, for one to four packets at once; and, beside them, CBC encryption
//! of the same packets further on.
//!
//! Within one message every instruction waits for the one before. Messages side by side fill the gaps. From four on the
//! unit is busy all the time, although the compiler then keeps part of the message schedules in memory. With fewer
//! there is room for the rounds of AES, which wait for one another as well: so one packet is hashed and encrypted in the
//! time of its encryption alone.
#![allow(
    unsafe_code,
    reason = "SHA and AES instructions on vectors, and pointers into several packets at once"
)]

use super::tables::K256;
use super::{BLOCK, Chains, HASH_BLOCK, HashState, RoundKeys};
use std::arch::x86_64::*;

/// Blocks of the cipher in one of the hash.
const QUARTERS: usize = HASH_BLOCK / BLOCK;

#[inline(always)]
fn load(bytes: &[u8; BLOCK]) -> __m128i {
    // SAFETY: SSE2 is part of x86-64; the reference is valid for 16 bytes, and the load wants no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Something to do between the rounds of a hash.
trait Beside {
    /// The part `PART` of `PARTS` of what belongs to a quarter of a block.
    fn part<const PART: usize, const PARTS: usize>(&mut self, quarter: usize);
}

/// Nothing.
struct Nothing;

impl Beside for Nothing {
    #[inline(always)]
    fn part<const PART: usize, const PARTS: usize>(&mut self, _: usize) {}
}

/// CBC encryption: one block of every lane in a quarter.
///
/// Values are made in functions that have AES and by callers who vouch for the pointers: that is what the SAFETY lines of
/// the methods rest on.
struct Encryption<'a, const N: usize, const ROUNDS: usize> {
    keys: [&'a RoundKeys; N],
    /// Valid for reads and writes of as many quarters as are asked for.
    data: [*mut u8; N],
    state: [__m128i; N],
}

impl<const N: usize, const ROUNDS: usize> Beside for Encryption<'_, N, ROUNDS> {
    #[inline(always)]
    fn part<const PART: usize, const PARTS: usize>(&mut self, quarter: usize) {
        for round in ROUNDS * PART / PARTS..ROUNDS * (PART + 1) / PARTS {
            for l in 0..N {
                let key = load(&self.keys[l][round]);
                // SAFETY: see the type.
                self.state[l] = unsafe {
                    if round == 0 {
                        let plain = _mm_loadu_si128(self.data[l].add(BLOCK * quarter).cast());
                        _mm_xor_si128(_mm_xor_si128(plain, key), self.state[l])
                    } else {
                        _mm_aesenc_si128(self.state[l], key)
                    }
                };
            }
        }
        if PART == PARTS - 1 {
            for l in 0..N {
                // SAFETY: see the type.
                unsafe {
                    self.state[l] = _mm_aesenclast_si128(self.state[l], load(&self.keys[l][ROUNDS]));
                    _mm_storeu_si128(self.data[l].add(BLOCK * quarter).cast(), self.state[l]);
                }
            }
        }
    }
}

/// Compresses `blocks` blocks of each message into its state with SHA-1 (FIPS 180-4 section 6.1.2).
///
/// # Safety
/// Every pointer in `data` must be valid for reads of `blocks` blocks, and what is done `beside` must not write there.
#[target_feature(enable = "sha,ssse3,sse4.1,aes")]
unsafe fn sha1_beside<const N: usize, B: Beside>(
    states: &mut [HashState; N],
    data: &[*const u8; N],
    blocks: usize,
    mut beside: B,
) -> B {
    // The instructions want the first word of four highest.
    let order = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    let mut abcd = states.each_ref().map(|h| {
        _mm_set_epi32(h[0].cast_signed(), h[1].cast_signed(), h[2].cast_signed(), h[3].cast_signed())
    });
    let mut e = states.each_ref().map(|h| _mm_set_epi32(h[4].cast_signed(), 0, 0, 0));
    for i in 0..blocks {
        let start = (abcd, e);
        let mut before = abcd;
        let mut w = [[_mm_setzero_si128(); 4]; N];
        // Four rounds: group `$g` of twenty, whose function is number `$f`.
        macro_rules! rounds {
            ($f:literal: $($g:literal)*) => {$(
                for l in 0..N {
                    let w = &mut w[l];
                    if $g < 4 {
                        // SAFETY: the caller vouches for `blocks` blocks, and `i` is less.
                        let words = unsafe { _mm_loadu_si128(data[l].add(HASH_BLOCK * i + 16 * $g).cast()) };
                        w[$g % 4] = _mm_shuffle_epi8(words, order);
                    } else {
                        let sum = _mm_xor_si128(_mm_sha1msg1_epu32(w[$g % 4], w[($g + 1) % 4]), w[($g + 2) % 4]);
                        w[$g % 4] = _mm_sha1msg2_epu32(sum, w[($g + 3) % 4]);
                    }
                    let e = if $g == 0 {
                        _mm_add_epi32(e[l], w[0])
                    } else {
                        _mm_sha1nexte_epu32(before[l], w[$g % 4])
                    };
                    before[l] = abcd[l];
                    abcd[l] = _mm_sha1rnds4_epu32::<$f>(abcd[l], e);
                }
                beside.part::<{ $g % 5 }, 5>(QUARTERS * i + $g / 5);
            )*};
        }
        rounds!(0: 0 1 2 3 4);
        rounds!(1: 5 6 7 8 9);
        rounds!(2: 10 11 12 13 14);
        rounds!(3: 15 16 17 18 19);
        for l in 0..N {
            e[l] = _mm_sha1nexte_epu32(before[l], start.1[l]);
            abcd[l] = _mm_add_epi32(abcd[l], start.0[l]);
        }
    }
    for l in 0..N {
        let h = &mut states[l];
        h[0] = _mm_extract_epi32::<3>(abcd[l]).cast_unsigned();
        h[1] = _mm_extract_epi32::<2>(abcd[l]).cast_unsigned();
        h[2] = _mm_extract_epi32::<1>(abcd[l]).cast_unsigned();
        h[3] = _mm_extract_epi32::<0>(abcd[l]).cast_unsigned();
        h[4] = _mm_extract_epi32::<3>(e[l]).cast_unsigned();
    }
    beside
}

/// Compresses `blocks` blocks of each message into its state with SHA-256 (FIPS 180-4 section 6.2.2).
///
/// # Safety
/// As for [`sha1_beside`].
#[target_feature(enable = "sha,ssse3,sse4.1,aes")]
unsafe fn sha256_beside<const N: usize, B: Beside>(
    states: &mut [HashState; N],
    data: &[*const u8; N],
    blocks: usize,
    mut beside: B,
) -> B {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    // The instructions want the words as ABEF and CDGH, the first highest.
    let four = |h: &HashState, [a, b, c, d]: [usize; 4]| {
        _mm_set_epi32(h[a].cast_signed(), h[b].cast_signed(), h[c].cast_signed(), h[d].cast_signed())
    };
    let mut abef = states.each_ref().map(|h| four(h, [0, 1, 4, 5]));
    let mut cdgh = states.each_ref().map(|h| four(h, [2, 3, 6, 7]));
    for i in 0..blocks {
        let start = (abef, cdgh);
        let mut w = [[_mm_setzero_si128(); 4]; N];
        // Four rounds: group `$g` of sixteen.
        macro_rules! rounds {
            ($($g:literal)*) => {$(
                let k = _mm_set_epi32(
                    K256[4 * $g + 3].cast_signed(),
                    K256[4 * $g + 2].cast_signed(),
                    K256[4 * $g + 1].cast_signed(),
                    K256[4 * $g].cast_signed(),
                );
                for l in 0..N {
                    let w = &mut w[l];
                    if $g < 4 {
                        // SAFETY: the caller vouches for `blocks` blocks, and `i` is less.
                        let words = unsafe { _mm_loadu_si128(data[l].add(HASH_BLOCK * i + 16 * $g).cast()) };
                        w[$g % 4] = _mm_shuffle_epi8(words, order);
                    } else {
                        let sum = _mm_add_epi32(
                            _mm_sha256msg1_epu32(w[$g % 4], w[($g + 1) % 4]),
                            _mm_alignr_epi8::<4>(w[($g + 3) % 4], w[($g + 2) % 4]),
                        );
                        w[$g % 4] = _mm_sha256msg2_epu32(sum, w[($g + 3) % 4]);
                    }
                    let wk = _mm_add_epi32(w[$g % 4], k);
                    cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], wk);
                    abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32::<0x0e>(wk));
                }
                beside.part::<{ $g % 4 }, 4>(QUARTERS * i + $g / 4);
            )*};
        }
        rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for l in 0..N {
            abef[l] = _mm_add_epi32(abef[l], start.0[l]);
            cdgh[l] = _mm_add_epi32(cdgh[l], start.1[l]);
        }
    }
    for l in 0..N {
        let h = &mut states[l];
        h[0] = _mm_extract_epi32::<3>(abef[l]).cast_unsigned();
        h[1] = _mm_extract_epi32::<2>(abef[l]).cast_unsigned();
        h[2] = _mm_extract_epi32::<3>(cdgh[l]).cast_unsigned();
        h[3] = _mm_extract_epi32::<2>(cdgh[l]).cast_unsigned();
        h[4] = _mm_extract_epi32::<1>(abef[l]).cast_unsigned();
        h[5] = _mm_extract_epi32::<0>(abef[l]).cast_unsigned();
        h[6] = _mm_extract_epi32::<1>(cdgh[l]).cast_unsigned();
        h[7] = _mm_extract_epi32::<0>(cdgh[l]).cast_unsigned();
    }
    beside
}

/// Where each message begins, once it is known to be long enough.
fn pointers<const N: usize>(data: &[&[u8]; N], blocks: usize) -> [*const u8; N] {
    data.map(|data| data[..HASH_BLOCK * blocks].as_ptr())
}

/// Compresses `blocks` blocks of each message into its state with SHA-1.
///
/// # Panics
/// If a message is shorter.
#[target_feature(enable = "sha,ssse3,sse4.1,aes")]
pub(super) fn sha1<const N: usize>(states: &mut [HashState; N], data: &[&[u8]; N], blocks: usize) {
    // SAFETY: `pointers` has seen `blocks` blocks behind each.
    unsafe { sha1_beside(states, &pointers(data, blocks), blocks, Nothing) };
}

/// The same with SHA-256.
///
/// # Panics
/// If a message is shorter.
#[target_feature(enable = "sha,ssse3,sse4.1,aes")]
pub(super) fn sha256<const N: usize>(states: &mut [HashState; N], data: &[&[u8]; N], blocks: usize) {
    // SAFETY: `pointers` has seen `blocks` blocks behind each.
    unsafe { sha256_beside(states, &pointers(data, blocks), blocks, Nothing) };
}

/// Packets that are hashed from the front and encrypted from somewhere behind.
pub(super) struct Both<'a, 'p, const N: usize> {
    /// Round keys, `ROUNDS` and one of them in use.
    pub(super) keys: [&'a RoundKeys; N],
    /// The packets.
    pub(super) data: &'a mut [&'p mut [u8]; N],
    /// Where in each the next block to hash begins.
    pub(super) hash_at: [usize; N],
    /// Where in each the next block to encrypt begins: a block of the hash further, at least.
    pub(super) encrypt_at: [usize; N],
    /// Chaining values of the cipher.
    pub(super) chains: &'a mut Chains<N>,
    /// Chaining values of the hash.
    pub(super) states: &'a mut [HashState; N],
}

impl<const N: usize> Both<'_, '_, N> {
    /// Pointers for hash and cipher, once it is known that `blocks` blocks lie behind each and that in no step the cipher
    /// writes what the hash of that step or a later one still reads in the clear.
    fn pointers(&mut self, blocks: usize) -> ([*const u8; N], [*mut u8; N]) {
        let len = HASH_BLOCK * blocks;
        let mut hash = [std::ptr::null(); N];
        let mut encrypt = [std::ptr::null_mut(); N];
        for (l, data) in self.data.iter_mut().enumerate() {
            let (hash_at, encrypt_at) = (self.hash_at[l], self.encrypt_at[l]);
            assert!(hash_at + HASH_BLOCK <= encrypt_at && encrypt_at + len <= data.len(), "out of place");
            let base = data.as_mut_ptr();
            // SAFETY: both are less than the length, as was just seen.
            (hash[l], encrypt[l]) = unsafe { (base.add(hash_at).cast_const(), base.add(encrypt_at)) };
        }
        (hash, encrypt)
    }

    /// Hashes `blocks` blocks of each packet with SHA-1 and encrypts as many bytes.
    ///
    /// # Panics
    /// If a packet is too short, or its two places too near.
    #[target_feature(enable = "sha,ssse3,sse4.1,aes")]
    pub(super) fn sha1<const ROUNDS: usize>(&mut self, blocks: usize) {
        let (hash, data) = self.pointers(blocks);
        let encryption =
            Encryption::<N, ROUNDS> { keys: self.keys, data, state: self.chains.each_ref().map(load) };
        // SAFETY: `pointers` has seen `blocks` blocks behind each pointer; a step writes behind what it reads.
        let encryption = unsafe { sha1_beside(self.states, &hash, blocks, encryption) };
        self.store(&encryption.state);
    }

    /// The same with SHA-256.
    ///
    /// # Panics
    /// If a packet is too short, or its two places too near.
    #[target_feature(enable = "sha,ssse3,sse4.1,aes")]
    pub(super) fn sha256<const ROUNDS: usize>(&mut self, blocks: usize) {
        let (hash, data) = self.pointers(blocks);
        let encryption =
            Encryption::<N, ROUNDS> { keys: self.keys, data, state: self.chains.each_ref().map(load) };
        // SAFETY: `pointers` has seen `blocks` blocks behind each pointer; a step writes behind what it reads.
        let encryption = unsafe { sha256_beside(self.states, &hash, blocks, encryption) };
        self.store(&encryption.state);
    }

    fn store(&mut self, state: &[__m128i; N]) {
        for (chain, state) in self.chains.iter_mut().zip(state) {
            // SAFETY: SSE2 is part of x86-64; the reference is valid for 16 bytes, and the store wants no alignment.
            unsafe { _mm_storeu_si128(chain.as_mut_ptr().cast(), *state) };
        }
    }
}
