//! Sixteen messages at once in registers of 512 bits.
#![allow(unsafe_code, reason = "AVX-512 instructions, and pointers into several packets at once")]

use super::wide::{Sha1, Words, sha256};
use super::{HASH_BLOCK, WideState};
use std::arch::x86_64::*;

const LANES: usize = 16;

/// Sixteen words.
///
/// A value exists only inside the functions below that have AVX-512: nobody else can name the type. That is what every
/// SAFETY line of its methods rests on, which cannot carry the attribute themselves because a trait asks for them.
#[derive(Clone, Copy)]
struct X16(__m512i);

impl Words for X16 {
    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_set1_epi32(word.cast_signed()) })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_add_epi32(self.0, other.0) })
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }
    // Of three inputs any function is one instruction, named by its truth table.
    #[inline(always)]
    fn xor3(self, b: Self, c: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_ternarylogic_epi32::<0x96>(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn choose(self, b: Self, c: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_ternarylogic_epi32::<0xca>(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn majority(self, b: Self, c: Self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_ternarylogic_epi32::<0xe8>(self.0, b.0, c.0) })
    }
    #[inline(always)]
    fn rotate<const LEFT: i32, const RIGHT: i32>(self) -> Self {
        // SAFETY: see the type.
        Self(unsafe { _mm512_rol_epi32::<LEFT>(self.0) })
    }
    #[inline(always)]
    fn shift<const RIGHT: i32>(self) -> Self {
        // SAFETY: see the type.
        // The count is a constant, which makes this the instruction with an immediate.
        Self(unsafe { _mm512_srl_epi32(self.0, _mm_cvtsi32_si128(RIGHT)) })
    }
}

/// Reads 16 bytes of every lane as four vectors of big-endian words.
///
/// # Safety
/// Every pointer plus `offset` must be valid for 16 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn four_words(data: &[*const u8; LANES], offset: usize) -> [X16; 4] {
    let order = _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203));
    // Lanes i, i + 4, i + 8 and i + 12 in one register: transposing each quarter by itself is enough then.
    let row = |i: usize| {
        // SAFETY: the caller's promise.
        let row = unsafe {
            let at = |lane: usize| _mm_loadu_si128(data[lane].add(offset).cast());
            let row = _mm512_castsi128_si512(at(i));
            let row = _mm512_inserti32x4::<1>(row, at(i + 4));
            let row = _mm512_inserti32x4::<2>(row, at(i + 8));
            _mm512_inserti32x4::<3>(row, at(i + 12))
        };
        _mm512_shuffle_epi8(row, order)
    };
    let rows = [row(0), row(1), row(2), row(3)];
    let low = [_mm512_unpacklo_epi32(rows[0], rows[1]), _mm512_unpacklo_epi32(rows[2], rows[3])];
    let high = [_mm512_unpackhi_epi32(rows[0], rows[1]), _mm512_unpackhi_epi32(rows[2], rows[3])];
    [
        X16(_mm512_unpacklo_epi64(low[0], low[1])),
        X16(_mm512_unpackhi_epi64(low[0], low[1])),
        X16(_mm512_unpacklo_epi64(high[0], high[1])),
        X16(_mm512_unpackhi_epi64(high[0], high[1])),
    ]
}

/// Reads one block of every lane.
///
/// # Safety
/// Every pointer plus `offset` must be valid for 64 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn message(data: &[*const u8; LANES], offset: usize) -> [X16; 16] {
    let mut words = [X16(_mm512_setzero_si512()); 16];
    for (i, four) in words.as_chunks_mut().0.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *four = unsafe { four_words(data, offset + 16 * i) };
    }
    words
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load<const W: usize>(state: &WideState<LANES>) -> [X16; W] {
    // SAFETY: a row is valid for 64 bytes, and the load wants no alignment.
    std::array::from_fn(|i| X16(unsafe { _mm512_loadu_si512(state.0[i].as_ptr().cast()) }))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store<const W: usize>(state: &mut WideState<LANES>, words: [X16; W]) {
    for (row, word) in state.0.iter_mut().zip(words) {
        // SAFETY: a row is valid for 64 bytes, and the store wants no alignment.
        unsafe { _mm512_storeu_si512(row.as_mut_ptr().cast(), word.0) };
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
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn sha1_x16(state: &mut WideState<LANES>, data: &[&[u8]; LANES], blocks: usize) {
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
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn sha256_x16(state: &mut WideState<LANES>, data: &[&[u8]; LANES], blocks: usize) {
    let data = pointers(data, blocks);
    let mut h: [X16; 8] = load(state);
    for i in 0..blocks {
        // SAFETY: `pointers` has seen `blocks` blocks behind each, and `i` is less.
        sha256(&mut h, unsafe { message(&data, HASH_BLOCK * i) });
    }
    store(state, h);
}
