//! CBC encryption of many packets: which lane holds what, and which kernel runs.

use super::{BLOCK, CbcKeys, Chains, LaneKey, Scratch, Unit, kernels};
use crate::crypto::engine::cpu::{Aes, Cpu};

/// Encrypts every unit. All have the same number of rounds, and the longest comes first.
pub(super) fn encrypt(cpu: Cpu, scratch: &mut Scratch, units: &mut [Unit<'_>]) {
    let [first, others @ ..] = units else { return };
    if others.is_empty() {
        let key = first.key;
        let (iv, data) = first.iv_and_data();
        kernels::encrypt_one(cpu, &key.round_keys, key.rounds, iv, data);
        return;
    }
    let longest = first.blocks();
    let total = longest + others.iter().map(Unit::blocks).sum::<usize>();
    // What a step of a kernel costs, in tenths of the one with four lanes, which is nothing but latency. Steps are as
    // many as the longest packet has blocks, or as it takes to serve all.
    let cost = |lanes: usize, step: usize| step * longest.max(total.div_ceil(lanes));
    let (four, eight) = (cost(4, 10), cost(8, 15));
    let sixteen = if cpu.aes() >= Aes::Vaes256 { cost(16, 17) } else { usize::MAX };
    if four <= eight.min(sixteen) {
        run(units, &mut scratch.keys_4, |rounds, keys, chains, data, like, blocks| {
            kernels::encrypt_narrow(cpu, rounds, keys, chains, data, like, blocks);
        });
    } else if eight <= sixteen {
        run(units, &mut scratch.keys_8, |rounds, keys, chains, data, like, blocks| {
            kernels::encrypt_narrow(cpu, rounds, keys, chains, data, like, blocks);
        });
    } else {
        run(units, &mut scratch.keys_16, |rounds, keys, chains, data, like, blocks| {
            kernels::encrypt_wide(cpu, rounds, keys, chains, data, like, blocks);
        });
    }
}

/// Runs a kernel of `N` lanes until every unit is done. A lane whose packet is finished takes the next one; when there
/// is none, it repeats what the longest of the others does.
fn run<const N: usize>(
    units: &mut [Unit<'_>],
    keys: &mut CbcKeys<N>,
    kernel: impl Fn(usize, &CbcKeys<N>, &mut Chains<N>, &mut [&mut [u8]; N], usize, usize),
) {
    let Some(rounds) = units.first().map(|unit| unit.key.rounds) else { return };
    let mut queue = units.iter_mut().filter(|unit| unit.blocks() > 0);
    let mut chains = [[0; BLOCK]; N];
    let mut rest: [&mut [u8]; N] = std::array::from_fn(|_| &mut [][..]);
    let mut in_lane: [Option<&LaneKey>; N] = [None; N];
    loop {
        let mut idle = false;
        for lane in 0..N {
            if !rest[lane].is_empty() {
                continue;
            }
            if let Some(unit) = queue.next() {
                keys.set(lane, unit.key);
                in_lane[lane] = Some(unit.key);
                let (iv, data) = unit.iv_and_data();
                chains[lane] = *iv;
                rest[lane] = data;
            } else {
                idle = true;
            }
        }
        // The longest is still there when all others are done, so idle lanes follow one and the same to the end.
        let like = (0..N).max_by_key(|&lane| rest[lane].len()).unwrap_or(0);
        let Some(key) = in_lane[like].filter(|_| !rest[like].is_empty()) else { return };
        if idle {
            for lane in (0..N).filter(|&lane| rest[lane].is_empty()) {
                if in_lane[lane].is_none_or(|k| !std::ptr::eq(k, key)) {
                    keys.set(lane, key);
                    in_lane[lane] = Some(key);
                }
                chains[lane] = chains[like];
            }
        }
        let shortest = rest.iter().map(|rest| rest.len()).filter(|&len| len > 0).min().unwrap_or(0);
        let blocks = shortest / BLOCK;
        kernel(rounds, keys, &mut chains, &mut rest, like, blocks);
        for rest in &mut rest {
            let done = rest.len().min(BLOCK * blocks);
            *rest = &mut std::mem::take(rest)[done..];
        }
    }
}
