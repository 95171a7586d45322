//! Eight messages at once in registers of 256 bits.
#![allow(unsafe_code, reason = "AVX2 instructions, and pointers into several packets at once")]

use super::wide::{Sha1, Words, sha256};
use super::{HASH_BLOCK, WideState};
use std::arch::x86_64::*;

const LANES: usize = 8;

/// Eight words.
///
/// A value exists only inside the functions below that have AVX2: nobody else can name the type. That is what every
/// SAFETY line of its methods rests on, which cannot carry the attribute themselves because a trait asks for them.
#[derive(Clone, Copy)]
struct X8(__m256i);

impl Words for X8 {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm256_set1_epi32(word.cast_signed()) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }
    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        self.xor(b).xor(c)
    }
    #[inline(always)]
    fn choose(self, b: Self, c: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm256_xor_si256(c.0, _mm256_and_si256(self.0, _mm256_xor_si256(b.0, c.0))) })
    }
    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe {
            let either = _mm256_and_si256(c.0, _mm256_or_si256(self.0, b.0));
            _mm256_or_si256(_mm256_and_si256(self.0, b.0), either)
        })
    }
    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: see the type.
        Self(unsafe {
            _mm256_or_si256(_mm256_slli_epi32::<LEFT>(self.0), _mm256_srli_epi32::<RIGHT>(self.0))
        })
    }
    #[inline(always)]
    fn shift<const RIGHT: i32>(self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm256_srli_epi32::<RIGHT>(self.0) })
    }
}

/// Reads 16 bytes of every lane as four vectors of big-endian words.
///
/// # Safety
/// Every pointer plus `offset` must be valid for 16 bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn four_words(data: &[*const u8; LANES], offset: usize) -> [X8; 4] {
    let order = _mm256_set_epi64x(
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
        0x0c0d_0e0f_0809_0a0b,
        0x0405_0607_0001_0203,
    );
    // Lane i in the lower half and lane i + 4 in the upper: transposing each half by itself is enough then.
    let row = |i: usize| {
        // SAFETY: the caller's promise.
        let row = unsafe { _mm256_loadu2_m128i(data[i + 4].add(offset).cast(), data[i].add(offset).cast()) };
        _mm256_shuffle_epi8(row, order)
    };
    let rows = [row(0), row(1), row(2), row(3)];
    let low = [_mm256_unpacklo_epi32(rows[0], rows[1]), _mm256_unpacklo_epi32(rows[2], rows[3])];
    let high = [_mm256_unpackhi_epi32(rows[0], rows[1]), _mm256_unpackhi_epi32(rows[2], rows[3])];
    [
        X8(_mm256_unpacklo_epi64(low[0], low[1])),
        X8(_mm256_unpackhi_epi64(low[0], low[1])),
        X8(_mm256_unpacklo_epi64(high[0], high[1])),
        X8(_mm256_unpackhi_epi64(high[0], high[1])),
    ]
}

/// Reads one block of every lane.
///
/// # Safety
/// Every pointer plus `offset` must be valid for 64 bytes.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn message(data: &[*const u8; LANES], offset: usize) -> [X8; 16] {
    let mut words = [X8(_mm256_setzero_si256()); 16];
    for (i, four) in words.as_chunks_mut().0.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *four = unsafe { four_words(data, offset + 16 * i) };
    }
    words
}

#[inline]
#[target_feature(enable = "avx2")]
fn load<const W: usize>(state: &WideState<LANES>) -> [X8; W] {
    // SAFETY: a row is valid for 32 bytes, and the load wants no alignment.
    std::array::from_fn(|i| X8(unsafe { _mm256_loadu_si256(state.0[i].as_ptr().cast()) }))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store<const W: usize>(state: &mut WideState<LANES>, words: [X8; W]) {
    for (row, word) in state.0.iter_mut().zip(words) {
        // SAFETY: a row is valid for 32 bytes, and the store wants no alignment.
        unsafe { _mm256_storeu_si256(row.as_mut_ptr().cast(), word.0) };
    }
}

/// Where each message begins, once it is known to be long enough.
fn pointers(data: &[&[u8]; LANES], blocks: usize) -> [*const u8; LANES] {
    data.map(|data| data[..HASH_BLOCK * blocks].as_ptr())
}

/// Compresses `blocks` blocks of each message into its state with SHA-1.
///
/// # Panics
/// If a message is shorter.
#[target_feature(enable = "avx2")]
pub(super) fn sha1_x8(state: &mut WideState<LANES>, data: &[&[u8]; LANES], blocks: usize) {
    let data = pointers(data, blocks);
    let mut h = Sha1(load(state));
    for i in 0..blocks {
        // SAFETY: `pointers` has seen `blocks` blocks behind each, and `i` is less.
        h.compress(unsafe { message(&data, HASH_BLOCK * i) });
    }
    store(state, h.0);
}

/// The same with SHA-256.
///
/// # Panics
/// If a message is shorter.
#[target_feature(enable = "avx2")]
pub(super) fn sha256_x8(state: &mut WideState<LANES>, data: &[&[u8]; LANES], blocks: usize) {
    let data = pointers(data, blocks);
    let mut h: [X8; 8] = load(state);
    for i in 0..blocks {
        // SAFETY: `pointers` has seen `blocks` blocks behind each, and `i` is less.
        sha256(&mut h, unsafe { message(&data, HASH_BLOCK * i) });
    }
    store(state, h);
}
