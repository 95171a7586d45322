//! Sealing of few packets: hash and cipher in one pass.
//!
//! One to three packets do not fill the CPU, neither with CBC nor with the hash. Done together, the hash a little behind
//! the cipher in the same packet, they take little longer than the cipher alone.

use super::sha_ni::Both;
use super::{BLOCK, FRONT, HASH_BLOCK, LaneHash, Unit, kernels};
use crate::crypto::engine::cpu::Cpu;

/// Blocks of the cipher that must be ready before the first block of the hash: it covers header and IV as well.
const LEAD: usize = (HASH_BLOCK - FRONT).div_ceil(BLOCK);

/// Whether these units are few enough, and of one hash.
pub(super) fn suits(cpu: Cpu, units: &[Unit<'_>]) -> bool {
    let [first, others @ ..] = units else { return false };
    let hash = first.key.hash;
    // Four lanes still gain with SHA-1, which leaves more room; seven are dearer than apart.
    let few = matches!(units.len(), 1..=3 | 5 | 6) || (units.len() == 4 && hash == LaneHash::Sha1);
    cpu.sha_ni() && few && others.iter().all(|unit| unit.key.hash == hash)
}

/// Encrypts every unit and hashes most of it; [`mac`](super::mac) does the rest. All have the same number of rounds and
/// the same hash, and the longest comes first.
pub(super) fn encrypt(cpu: Cpu, units: &mut [Unit<'_>]) {
    let lanes = if units.len() == 4 { 4 } else { 3 };
    for units in units.chunks_mut(lanes) {
        for unit in &mut *units {
            start(cpu, unit);
        }
        // The shortest comes last; when it is finished, the others go on without it.
        for lanes in (1..=units.len()).rev() {
            let steps = (units[lanes - 1].covered - units[lanes - 1].encrypted) / HASH_BLOCK;
            match lanes {
                1 => run::<1>(cpu, units, steps),
                2 => run::<2>(cpu, units, steps),
                3 => run::<3>(cpu, units, steps),
                _ => run::<4>(cpu, units, steps),
            }
        }
    }
}

/// Encrypts so much of a packet that the rest is whole blocks of the hash and the hash can begin.
fn start(cpu: Cpu, unit: &mut Unit<'_>) {
    let key = unit.key;
    let (iv, data) = unit.iv_and_data();
    let blocks = data.len() / BLOCK;
    let alone = if blocks < LEAD { blocks } else { LEAD + (blocks - LEAD) % (HASH_BLOCK / BLOCK) };
    let data = &mut data[..BLOCK * alone];
    kernels::encrypt_one(cpu, &key.round_keys, key.rounds, iv, data);
    unit.chain = data.as_chunks().0.last().copied().unwrap_or(*iv);
    unit.encrypted = FRONT + BLOCK * alone;
}

/// Hashes and encrypts `steps` blocks of the first `N` units.
fn run<const N: usize>(cpu: Cpu, units: &mut [Unit<'_>], steps: usize) {
    let Some(units) = units.first_chunk_mut::<N>().filter(|_| steps > 0) else { return };
    let (hash, rounds) = (units[0].key.hash, units[0].key.rounds);
    let mut states = units.each_ref().map(|unit| unit.state);
    let mut chains = units.each_ref().map(|unit| unit.chain);
    let both = Both {
        keys: units.each_ref().map(|unit| &unit.key.round_keys),
        hash_at: units.each_ref().map(|unit| unit.hashed),
        encrypt_at: units.each_ref().map(|unit| unit.encrypted),
        data: &mut units.each_mut().map(|unit| &mut unit.buf[..unit.covered]),
        chains: &mut chains,
        states: &mut states,
    };
    kernels::both(cpu, hash, rounds, both, steps);
    for (unit, (state, chain)) in units.iter_mut().zip(states.into_iter().zip(chains)) {
        unit.state = state;
        unit.chain = chain;
        unit.hashed += HASH_BLOCK * steps;
        unit.encrypted += HASH_BLOCK * steps;
    }
}
