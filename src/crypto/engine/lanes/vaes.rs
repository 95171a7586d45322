//! CBC with VAES: two blocks in a register of 256 bits, four in one of 512.
#![allow(unsafe_code, reason = "AES instructions on vectors, and pointers into several packets at once")]

use super::{BLOCK, CbcKeys, Chains, MAX_ROUND_KEYS};
use std::arch::x86_64::*;

/// Lanes of the encryption kernels: what fills the unit, as eight registers of two or four of four.
const LANES: usize = 16;

type RoundKeys = [[u8; BLOCK]; MAX_ROUND_KEYS];

#[inline(always)]
fn block(bytes: &[u8; BLOCK]) -> __m128i {
    // SAFETY: SSE2 is part of x86-64; the reference is valid for 16 bytes, and the load wants no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_2(blocks: &[[u8; BLOCK]; 2]) -> __m256i {
    // SAFETY: the reference is valid for 32 bytes, and the load wants no alignment.
    unsafe { _mm256_loadu_si256(blocks.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_2(blocks: &mut [[u8; BLOCK]; 2], value: __m256i) {
    // SAFETY: the reference is valid for 32 bytes, and the store wants no alignment.
    unsafe { _mm256_storeu_si256(blocks.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_4(blocks: &[[u8; BLOCK]; 4]) -> __m512i {
    // SAFETY: the reference is valid for 64 bytes, and the load wants no alignment.
    unsafe { _mm512_loadu_si512(blocks.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_4(blocks: &mut [[u8; BLOCK]; 4], value: __m512i) {
    // SAFETY: the reference is valid for 64 bytes, and the store wants no alignment.
    unsafe { _mm512_storeu_si512(blocks.as_mut_ptr().cast(), value) }
}

/// Encrypts `blocks` blocks of sixteen lanes in registers of 256 bits.
///
/// The number of rounds is not a constant, although there are only three: the compiler would unroll the loop, put the
/// rounds of one register after those of another where they should alternate, and copy all keys to the stack first.
///
/// # Safety
/// Every pointer in `data` must be valid for reads and writes of `blocks` blocks. Two lanes may point to the same place
/// if key and chaining value are the same too.
#[target_feature(enable = "avx2,vaes")]
pub(super) unsafe fn encrypt_256(
    rounds: usize,
    keys: &CbcKeys<LANES>,
    chains: &mut Chains<LANES>,
    data: &[*mut u8; LANES],
    blocks: usize,
) {
    const REGISTERS: usize = LANES / 2;
    let (pairs, _) = chains.as_chunks_mut();
    let mut state: [__m256i; REGISTERS] = std::array::from_fn(|r| load_2(&pairs[r]));
    for i in 0..blocks {
        for l in 0..4 {
            let ahead = data[4 * (i % 4) + l].wrapping_add(BLOCK * i + 256);
            _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
        }
        for r in 0..REGISTERS {
            // SAFETY: the caller vouches for `blocks` blocks behind each pointer, and `i` is less.
            let plain = unsafe {
                _mm256_loadu2_m128i(data[2 * r + 1].add(BLOCK * i).cast(), data[2 * r].add(BLOCK * i).cast())
            };
            let key = load_2(&keys.0[0].as_chunks().0[r]);
            state[r] = _mm256_xor_si256(_mm256_xor_si256(plain, key), state[r]);
        }
        for key in &keys.0[1..rounds] {
            let (key, _) = key.as_chunks();
            for r in 0..REGISTERS {
                state[r] = _mm256_aesenc_epi128(state[r], load_2(&key[r]));
            }
        }
        for r in 0..REGISTERS {
            state[r] = _mm256_aesenclast_epi128(state[r], load_2(&keys.0[rounds].as_chunks().0[r]));
            // SAFETY: as for the load. All loads of a step come before its stores, so lanes that share their bytes
            // read the same and write the same.
            unsafe {
                _mm256_storeu2_m128i(
                    data[2 * r + 1].add(BLOCK * i).cast(),
                    data[2 * r].add(BLOCK * i).cast(),
                    state[r],
                );
            }
        }
    }
    for (pair, state) in pairs.iter_mut().zip(state) {
        store_2(pair, state);
    }
}

/// Encrypts `blocks` blocks of sixteen lanes in registers of 512 bits.
///
/// # Safety
/// As for [`encrypt_256`].
#[target_feature(enable = "avx512f,vaes")]
pub(super) unsafe fn encrypt_512(
    rounds: usize,
    keys: &CbcKeys<LANES>,
    chains: &mut Chains<LANES>,
    data: &[*mut u8; LANES],
    blocks: usize,
) {
    const REGISTERS: usize = LANES / 4;
    let (fours, _) = chains.as_chunks_mut();
    let mut state: [__m512i; REGISTERS] = std::array::from_fn(|r| load_4(&fours[r]));
    for i in 0..blocks {
        for r in 0..REGISTERS {
            // SAFETY: the caller vouches for `blocks` blocks behind each pointer, and `i` is less.
            let plain = unsafe {
                let at = |lane: usize| _mm_loadu_si128(data[4 * r + lane].add(BLOCK * i).cast());
                let plain = _mm512_castsi128_si512(at(0));
                let plain = _mm512_inserti32x4::<1>(plain, at(1));
                let plain = _mm512_inserti32x4::<2>(plain, at(2));
                _mm512_inserti32x4::<3>(plain, at(3))
            };
            let key = load_4(&keys.0[0].as_chunks().0[r]);
            // The last table: exclusive or of all three.
            state[r] = _mm512_ternarylogic_epi32::<0x96>(plain, key, state[r]);
        }
        for key in &keys.0[1..rounds] {
            let (key, _) = key.as_chunks();
            for r in 0..REGISTERS {
                state[r] = _mm512_aesenc_epi128(state[r], load_4(&key[r]));
            }
        }
        for r in 0..REGISTERS {
            state[r] = _mm512_aesenclast_epi128(state[r], load_4(&keys.0[rounds].as_chunks().0[r]));
            // SAFETY: as for the load. All loads of a step come before its stores, so lanes that share their bytes
            // read the same and write the same.
            unsafe {
                let put = |lane: usize, value| {
                    _mm_storeu_si128(data[4 * r + lane].add(BLOCK * i).cast(), value);
                };
                put(0, _mm512_castsi512_si128(state[r]));
                put(1, _mm512_extracti32x4_epi32::<1>(state[r]));
                put(2, _mm512_extracti32x4_epi32::<2>(state[r]));
                put(3, _mm512_extracti32x4_epi32::<3>(state[r]));
            }
        }
    }
    for (four, state) in fours.iter_mut().zip(state) {
        store_4(four, state);
    }
}

/// Decrypts the front of one packet, sixteen blocks at a time, and returns how many bytes that is; the chaining value
/// for the rest is in `chain`.
#[target_feature(enable = "avx2,vaes")]
pub(super) fn decrypt_256(
    keys: &RoundKeys,
    rounds: usize,
    chain: &mut [u8; BLOCK],
    data: &mut [u8],
) -> usize {
    const REGISTERS: usize = 8;
    let key = |i: usize| _mm256_broadcastsi128_si256(block(&keys[i]));
    let (groups, _) = data.as_chunks_mut::<{ 2 * BLOCK * REGISTERS }>();
    for group in groups.iter_mut() {
        let (blocks, _) = group.as_chunks_mut::<BLOCK>();
        let last = blocks[2 * REGISTERS - 1];
        let (pairs, _) = blocks.as_chunks_mut::<2>();
        let first = key(0);
        let mut state: [__m256i; REGISTERS] =
            std::array::from_fn(|r| _mm256_xor_si256(load_2(&pairs[r]), first));
        for i in 1..rounds {
            let key = key(i);
            for state in &mut state {
                *state = _mm256_aesdec_epi128(*state, key);
            }
        }
        let last_key = key(rounds);
        for state in &mut state {
            *state = _mm256_aesdeclast_epi128(*state, last_key);
        }
        // From the back, so that the sealed blocks before each pair are still there.
        for r in (1..REGISTERS).rev() {
            if let Some(before) = blocks[2 * r - 1..].first_chunk() {
                let plain = _mm256_xor_si256(state[r], load_2(before));
                store_2(&mut blocks.as_chunks_mut().0[r], plain);
            }
        }
        let before = _mm256_set_m128i(block(&blocks[0]), block(chain));
        store_2(&mut blocks.as_chunks_mut().0[0], _mm256_xor_si256(state[0], before));
        *chain = last;
    }
    groups.as_flattened().len()
}

/// The same, sixteen blocks in four registers of 512 bits.
#[target_feature(enable = "avx512f,vaes")]
pub(super) fn decrypt_512(
    keys: &RoundKeys,
    rounds: usize,
    chain: &mut [u8; BLOCK],
    data: &mut [u8],
) -> usize {
    const REGISTERS: usize = 4;
    let key = |i: usize| _mm512_broadcast_i32x4(block(&keys[i]));
    let mut carry = _mm512_broadcast_i32x4(block(chain));
    let (groups, _) = data.as_chunks_mut::<{ 4 * BLOCK * REGISTERS }>();
    for group in groups.iter_mut() {
        let (blocks, _) = group.as_chunks_mut::<BLOCK>();
        let (fours, _) = blocks.as_chunks_mut::<4>();
        let sealed: [__m512i; REGISTERS] = std::array::from_fn(|r| load_4(&fours[r]));
        let first = key(0);
        let mut state = sealed.map(|s| _mm512_xor_si512(s, first));
        for i in 1..rounds {
            let key = key(i);
            for state in &mut state {
                *state = _mm512_aesdec_epi128(*state, key);
            }
        }
        let last_key = key(rounds);
        for r in 0..REGISTERS {
            // Each block's predecessor: the last block of the four before, then the first three of these.
            let before = _mm512_alignr_epi64::<6>(sealed[r], carry);
            carry = sealed[r];
            let plain = _mm512_xor_si512(_mm512_aesdeclast_epi128(state[r], last_key), before);
            store_4(&mut fours[r], plain);
        }
    }
    let mut last = [[0; BLOCK]; 4];
    store_4(&mut last, carry);
    *chain = last[3];
    groups.as_flattened().len()
}
