//! AES one block per register: key schedules, CBC of one packet, and CBC encryption of several packets at once.
//!
//! A round's instruction takes four cycles and a new one can start every half cycle, so one chain leaves seven eighths
//! of the unit idle. Four or eight chains of different packets fill it.
#![allow(unsafe_code, reason = "AES instructions, and pointers into several packets at once")]

use super::{BLOCK, CbcKeys, Chains, MAX_ROUND_KEYS};
use std::arch::x86_64::*;

type RoundKeys = [[u8; BLOCK]; MAX_ROUND_KEYS];

#[inline(always)]
fn load(bytes: &[u8; BLOCK]) -> __m128i {
    // SAFETY: SSE2 is part of x86-64; the reference is valid for 16 bytes, and the load wants no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline(always)]
fn store(bytes: &mut [u8; BLOCK], value: __m128i) {
    // SAFETY: SSE2 is part of x86-64; the reference is valid for 16 bytes, and the store wants no alignment.
    unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), value) }
}

/// Expands an encryption key of 16, 24 or 32 bytes (FIPS 197 section 5.2) and returns the number of rounds.
///
/// SubWord comes from the instruction: a table would be indexed by the key.
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn expand(key: &[u8], out: &mut RoundKeys) -> usize {
    let words_in_key = key.len() / 4;
    let rounds = words_in_key + 6;
    let words = out.as_flattened_mut();
    words[..key.len()].copy_from_slice(key);
    let mut rcon = 1u8;
    for i in words_in_key..4 * (rounds + 1) {
        let last: [u8; 4] = [words[4 * i - 4], words[4 * i - 3], words[4 * i - 2], words[4 * i - 1]];
        let mut word = u32::from_le_bytes(last);
        if i % words_in_key == 0 || (words_in_key > 6 && i % words_in_key == 4) {
            // Of its second double word x the instruction makes SubWord(x) and RotWord(SubWord(x)).
            let both = _mm_aeskeygenassist_si128::<0>(_mm_set1_epi32(word.cast_signed()));
            if i % words_in_key == 0 {
                word = _mm_extract_epi32::<1>(both).cast_unsigned() ^ u32::from(rcon);
                // The powers of x in GF(2^8); there are at most ten.
                rcon = if rcon == 0x80 { 0x1b } else { rcon << 1 };
            } else {
                word = _mm_extract_epi32::<0>(both).cast_unsigned();
            }
        }
        for (j, byte) in word.to_le_bytes().into_iter().enumerate() {
            words[4 * i + j] = words[4 * (i - words_in_key) + j] ^ byte;
        }
    }
    rounds
}

/// Turns an encryption schedule into that of the equivalent inverse cipher (FIPS 197 section 5.3.5).
#[target_feature(enable = "aes,sse4.1")]
pub(super) fn invert(keys: &mut RoundKeys, rounds: usize) {
    keys[..=rounds].reverse();
    for key in &mut keys[1..rounds] {
        let mixed = _mm_aesimc_si128(load(key));
        store(key, mixed);
    }
}

#[target_feature(enable = "aes")]
#[inline]
fn encrypt_block(keys: &RoundKeys, rounds: usize, block: __m128i) -> __m128i {
    let mut state = _mm_xor_si128(block, load(&keys[0]));
    for key in &keys[1..rounds] {
        state = _mm_aesenc_si128(state, load(key));
    }
    _mm_aesenclast_si128(state, load(&keys[rounds]))
}

/// Encrypts one packet.
#[target_feature(enable = "aes")]
pub(super) fn encrypt_one(keys: &RoundKeys, rounds: usize, iv: &[u8; BLOCK], data: &mut [u8]) {
    let mut chain = load(iv);
    let (blocks, _) = data.as_chunks_mut();
    for block in blocks {
        chain = encrypt_block(keys, rounds, _mm_xor_si128(load(block), chain));
        store(block, chain);
    }
}

/// Blocks that are decrypted side by side: unlike encryption, none waits for another.
const WIDTH: usize = 8;

#[target_feature(enable = "aes")]
#[inline]
fn decrypt_blocks(keys: &RoundKeys, rounds: usize, sealed: &[__m128i; WIDTH]) -> [__m128i; WIDTH] {
    let first = load(&keys[0]);
    let mut state = sealed.map(|block| _mm_xor_si128(block, first));
    for key in &keys[1..rounds] {
        let key = load(key);
        for state in &mut state {
            *state = _mm_aesdec_si128(*state, key);
        }
    }
    let last = load(&keys[rounds]);
    state.map(|block| _mm_aesdeclast_si128(block, last))
}

/// Decrypts one packet.
#[target_feature(enable = "aes")]
pub(super) fn decrypt_one(keys: &RoundKeys, rounds: usize, iv: &[u8; BLOCK], data: &mut [u8]) {
    let mut chain = load(iv);
    let (blocks, _) = data.as_chunks_mut::<BLOCK>();
    let (groups, rest) = blocks.as_chunks_mut::<WIDTH>();
    for group in groups {
        let sealed = group.each_ref().map(load);
        let plain = decrypt_blocks(keys, rounds, &sealed);
        for i in 0..WIDTH {
            store(&mut group[i], _mm_xor_si128(plain[i], chain));
            chain = sealed[i];
        }
    }
    if !rest.is_empty() {
        // As many as there are, in the place of eight: that costs no more than one.
        let mut sealed = [_mm_setzero_si128(); WIDTH];
        for (sealed, block) in sealed.iter_mut().zip(&*rest) {
            *sealed = load(block);
        }
        let plain = decrypt_blocks(keys, rounds, &sealed);
        for (block, (plain, sealed)) in rest.iter_mut().zip(plain.into_iter().zip(sealed)) {
            store(block, _mm_xor_si128(plain, chain));
            chain = sealed;
        }
    }
}

/// Encrypts `blocks` blocks of every lane.
///
/// # Safety
/// Every pointer in `data` must be valid for reads and writes of `blocks` blocks. Two lanes may point to the same place
/// if key and chaining value are the same too.
#[target_feature(enable = "aes")]
pub(super) unsafe fn encrypt_lanes<const N: usize>(
    rounds: usize,
    keys: &CbcKeys<N>,
    chains: &mut Chains<N>,
    data: &[*mut u8; N],
    blocks: usize,
) {
    let mut state = chains.each_ref().map(load);
    for i in 0..blocks {
        for l in 0..N {
            // SAFETY: the caller vouches for `blocks` blocks behind each pointer, and `i` is less.
            let plain = unsafe { _mm_loadu_si128(data[l].add(BLOCK * i).cast()) };
            state[l] = _mm_xor_si128(_mm_xor_si128(state[l], plain), load(&keys.0[0][l]));
        }
        for key in &keys.0[1..rounds] {
            for l in 0..N {
                state[l] = _mm_aesenc_si128(state[l], load(&key[l]));
            }
        }
        for l in 0..N {
            state[l] = _mm_aesenclast_si128(state[l], load(&keys.0[rounds][l]));
            // SAFETY: as for the load. All loads of a step come before its stores, so lanes that share their bytes
            // read the same and write the same.
            unsafe { _mm_storeu_si128(data[l].add(BLOCK * i).cast(), state[l]) };
        }
    }
    for (chain, state) in chains.iter_mut().zip(state) {
        store(chain, state);
    }
}
