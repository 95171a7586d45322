//! The way to the kernels: safe functions that take the CPU's abilities as a value and hand on to code that needs them.
#![allow(unsafe_code, reason = "calls of functions that need instructions beyond the baseline")]

use super::sha_ni::Both;
use super::{BLOCK, CbcKeys, Chains, HASH_BLOCK, HashState, LaneHash, RoundKeys, WideState};
use super::{aes_ni, avx2, avx512, sha_ni, vaes};
use crate::crypto::engine::cpu::{Aes, Cpu, Wide};

/// Expands an encryption key and returns the number of rounds; inverts the schedule if `open`.
///
/// # Panics
/// If the CPU has no AES, or the length is not that of an AES key.
pub(super) fn expand(cpu: Cpu, key: &[u8], open: bool, out: &mut RoundKeys) -> usize {
    assert!(cpu.has_lanes() && matches!(key.len(), 16 | 24 | 32), "no AES here");
    // SAFETY: the CPU has AES (which implies SSE4.1 in `Cpu`).
    unsafe {
        let rounds = aes_ni::expand(key, out);
        if open {
            aes_ni::invert(out, rounds);
        }
        rounds
    }
}

/// Encrypts the whole blocks of one packet.
pub(super) fn encrypt_one(cpu: Cpu, keys: &RoundKeys, rounds: usize, iv: &[u8; BLOCK], data: &mut [u8]) {
    assert!(cpu.has_lanes(), "no AES here");
    // SAFETY: the CPU has AES.
    unsafe { aes_ni::encrypt_one(keys, rounds, iv, data) }
}

/// Decrypts the whole blocks of one packet.
pub(super) fn decrypt_one(cpu: Cpu, keys: &RoundKeys, rounds: usize, iv: &[u8; BLOCK], data: &mut [u8]) {
    let mut chain = *iv;
    let done = match cpu.aes() {
        Aes::None => panic!("no AES here"),
        Aes::Ni => 0,
        // SAFETY: the CPU has VAES and AVX2.
        Aes::Vaes256 => unsafe { vaes::decrypt_256(keys, rounds, &mut chain, data) },
        // SAFETY: the CPU has VAES and AVX-512.
        Aes::Vaes512 => unsafe { vaes::decrypt_512(keys, rounds, &mut chain, data) },
    };
    // SAFETY: the CPU has AES, or the match would not have been passed.
    unsafe { aes_ni::decrypt_one(keys, rounds, &chain, &mut data[done..]) }
}

/// Where each lane's bytes begin, once they are known to be enough. A lane without bytes shares those of lane `like`.
fn pointers<const N: usize>(data: &mut [&mut [u8]; N], like: usize, blocks: usize) -> [*mut u8; N] {
    let shared = data[like][..BLOCK * blocks].as_mut_ptr();
    data.each_mut().map(|data| if data.is_empty() { shared } else { data[..BLOCK * blocks].as_mut_ptr() })
}

/// Encrypts `blocks` blocks of every lane. A lane that has no bytes does what lane `like` does, of which it must have
/// key and chaining value.
///
/// # Panics
/// If the CPU has no AES, or a lane has fewer blocks.
pub(super) fn encrypt_narrow<const N: usize>(
    cpu: Cpu,
    rounds: usize,
    keys: &CbcKeys<N>,
    chains: &mut Chains<N>,
    data: &mut [&mut [u8]; N],
    like: usize,
    blocks: usize,
) {
    assert!(cpu.has_lanes(), "no AES here");
    let data = pointers(data, like, blocks);
    // SAFETY: the CPU has AES; `pointers` has seen `blocks` blocks behind each pointer.
    unsafe { aes_ni::encrypt_lanes(rounds, keys, chains, &data, blocks) }
}

/// The same for sixteen lanes with VAES.
///
/// # Panics
/// If the CPU has no VAES, or a lane has fewer blocks.
pub(super) fn encrypt_wide(
    cpu: Cpu,
    rounds: usize,
    keys: &CbcKeys<16>,
    chains: &mut Chains<16>,
    data: &mut [&mut [u8]; 16],
    like: usize,
    blocks: usize,
) {
    let data = pointers(data, like, blocks);
    match cpu.aes() {
        Aes::None | Aes::Ni => panic!("no VAES here"),
        // SAFETY: the CPU has VAES and AVX2; `pointers` has seen `blocks` blocks behind each pointer.
        Aes::Vaes256 => unsafe { vaes::encrypt_256(rounds, keys, chains, &data, blocks) },
        // SAFETY: the CPU has VAES and AVX-512; `pointers` has seen `blocks` blocks behind each pointer.
        Aes::Vaes512 => unsafe { vaes::encrypt_512(rounds, keys, chains, &data, blocks) },
    }
}

/// Compresses `blocks` blocks of each of one to four messages: with the CPU's instructions, or one after the other
/// with RustCrypto.
///
/// # Panics
/// If a message is shorter.
pub(super) fn hash_narrow<const N: usize>(
    cpu: Cpu,
    hash: LaneHash,
    states: &mut [HashState; N],
    data: &[&[u8]; N],
    blocks: usize,
) {
    match (hash, cpu.sha_ni()) {
        // SAFETY: the CPU has SHA-NI (which implies SSE4.1 in `Cpu`).
        (LaneHash::Sha1, true) => unsafe { sha_ni::sha1(states, data, blocks) },
        // SAFETY: the same.
        (LaneHash::Sha256, true) => unsafe { sha_ni::sha256(states, data, blocks) },
        (LaneHash::Sha1, false) => {
            for (state, data) in states.iter_mut().zip(data) {
                if let Some(state) = state.first_chunk_mut() {
                    sha1::block_api::compress(state, &data.as_chunks::<HASH_BLOCK>().0[..blocks]);
                }
            }
        }
        (LaneHash::Sha256, false) => {
            for (state, data) in states.iter_mut().zip(data) {
                sha2::block_api::compress256(state, &data.as_chunks::<HASH_BLOCK>().0[..blocks]);
            }
        }
    }
}

/// Hashes `blocks` blocks of each packet and encrypts as many bytes further behind.
///
/// # Panics
/// If the CPU has no SHA-NI, a packet is too short, or its two places are too near.
pub(super) fn both<const N: usize>(
    cpu: Cpu,
    hash: LaneHash,
    rounds: usize,
    mut both: Both<'_, '_, N>,
    blocks: usize,
) {
    assert!(cpu.sha_ni(), "no SHA-NI here");
    // SAFETY: the CPU has SHA-NI (which implies AES and SSE4.1 in `Cpu`).
    unsafe {
        match (hash, rounds) {
            (LaneHash::Sha1, 10) => both.sha1::<10>(blocks),
            (LaneHash::Sha1, 12) => both.sha1::<12>(blocks),
            (LaneHash::Sha1, _) => both.sha1::<14>(blocks),
            (LaneHash::Sha256, 10) => both.sha256::<10>(blocks),
            (LaneHash::Sha256, 12) => both.sha256::<12>(blocks),
            (LaneHash::Sha256, _) => both.sha256::<14>(blocks),
        }
    }
}

/// Compresses `blocks` blocks of each of eight messages.
///
/// # Panics
/// If the CPU has no AVX2, or a message is shorter.
pub(super) fn hash_8(cpu: Cpu, hash: LaneHash, state: &mut WideState<8>, data: &[&[u8]; 8], blocks: usize) {
    assert!(cpu.wide() >= Wide::Avx2, "no AVX2 here");
    // SAFETY: the CPU has AVX2.
    unsafe {
        match hash {
            LaneHash::Sha1 => avx2::sha1_x8(state, data, blocks),
            LaneHash::Sha256 => avx2::sha256_x8(state, data, blocks),
        }
    }
}

/// Compresses `blocks` blocks of each of sixteen messages.
///
/// # Panics
/// If the CPU has no AVX-512, or a message is shorter.
pub(super) fn hash_16(
    cpu: Cpu,
    hash: LaneHash,
    state: &mut WideState<16>,
    data: &[&[u8]; 16],
    blocks: usize,
) {
    assert!(cpu.wide() >= Wide::Avx512, "no AVX-512 here");
    // SAFETY: the CPU has AVX-512.
    unsafe {
        match hash {
            LaneHash::Sha1 => avx512::sha1_x16(state, data, blocks),
            LaneHash::Sha256 => avx512::sha256_x16(state, data, blocks),
        }
    }
}
