//! HMAC of many packets: which lane holds what, and which kernel runs.

use super::{HASH_BLOCK, HashState, LaneHash, Unit, WideState, kernels};
use crate::crypto::engine::cpu::{Cpu, Wide};

/// Computes the MAC of every unit. All have the same hash, and the longest comes first.
pub(super) fn mac(cpu: Cpu, hash: LaneHash, units: &mut [Unit<'_>]) {
    match units.len() {
        0 => return,
        1 => return run(hash, units, Narrow::<1>(cpu, hash, [[0; 8]; 1])),
        2 => return run(hash, units, Narrow::<2>(cpu, hash, [[0; 8]; 2])),
        _ => {}
    }
    let longest = units.first().map_or(0, Unit::hash_blocks);
    let total: usize = units.iter().map(Unit::hash_blocks).sum();
    // What a step of the wide kernel costs in blocks of the narrow ones.
    let narrow = total;
    match cpu.wide() {
        Wide::Avx512 => {
            let step = if hash == LaneHash::Sha1 { 9 } else { 13 };
            if step * longest.max(total.div_ceil(16)) < narrow {
                return run(hash, units, Sixteen(cpu, hash, WideState::default()));
            }
        }
        Wide::Avx2 => {
            let step = if hash == LaneHash::Sha1 { 7 } else { 99 };
            if step * longest.max(total.div_ceil(8)) < narrow {
                return run(hash, units, Eight(cpu, hash, WideState::default()));
            }
        }
        Wide::None => {}
    }
    if units.len() == 3 || (hash == LaneHash::Sha1 && units.len() != 4) {
        run(hash, units, Narrow::<3>(cpu, hash, [[0; 8]; 3]));
    } else {
        run(hash, units, Narrow::<2>(cpu, hash, [[0; 8]; 2]));
    }
}

/// A kernel of `N` lanes with the states in its own order.
trait Kernel<const N: usize> {
    fn set(&mut self, lane: usize, state: &HashState);
    fn get(&self, lane: usize) -> HashState;
    fn compress(&mut self, data: &[&[u8]; N], blocks: usize);
}

struct Narrow<const N: usize>(Cpu, LaneHash, [HashState; N]);

impl<const N: usize> Kernel<N> for Narrow<N> {
    fn set(&mut self, lane: usize, state: &HashState) {
        self.2[lane] = *state;
    }
    fn get(&self, lane: usize) -> HashState {
        self.2[lane]
    }
    fn compress(&mut self, data: &[&[u8]; N], blocks: usize) {
        kernels::hash_narrow(self.0, self.1, &mut self.2, data, blocks);
    }
}

struct Eight(Cpu, LaneHash, WideState<8>);

impl Kernel<8> for Eight {
    fn set(&mut self, lane: usize, state: &HashState) {
        self.2.set(lane, state);
    }
    fn get(&self, lane: usize) -> HashState {
        self.2.get(lane)
    }
    fn compress(&mut self, data: &[&[u8]; 8], blocks: usize) {
        kernels::hash_8(self.0, self.1, &mut self.2, data, blocks);
    }
}

struct Sixteen(Cpu, LaneHash, WideState<16>);

impl Kernel<16> for Sixteen {
    fn set(&mut self, lane: usize, state: &HashState) {
        self.2.set(lane, state);
    }
    fn get(&self, lane: usize) -> HashState {
        self.2.get(lane)
    }
    fn compress(&mut self, data: &[&[u8]; 16], blocks: usize) {
        kernels::hash_16(self.0, self.1, &mut self.2, data, blocks);
    }
}

/// What a lane is at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Idle,
    /// The packet's whole blocks, where they are.
    Body,
    /// Its last bytes with the padding of the inner hash, in the lane's own blocks.
    Tail,
    /// The inner digest with the padding of the outer hash, in the lane's own block.
    Outer,
}

/// A packet in a lane.
struct Lane<'u, 'a> {
    stage: Stage,
    unit: Option<&'u mut Unit<'a>>,
    /// Bytes that the stage has done.
    done: usize,
    /// Bytes that the stage has in all.
    len: usize,
    own: [u8; 2 * HASH_BLOCK],
}

impl Lane<'_, '_> {
    /// The bytes that are left of the stage.
    fn rest(&self) -> &[u8] {
        match (self.stage, &self.unit) {
            (Stage::Body, Some(unit)) => &unit.covered()[self.done..self.len],
            (Stage::Tail | Stage::Outer, _) => &self.own[self.done..self.len],
            _ => &[],
        }
    }

    /// Goes on to the next stage that has bytes, once one is finished; false when the packet is.
    fn advance<const N: usize>(&mut self, hash: LaneHash, lane: usize, kernel: &mut impl Kernel<N>) -> bool {
        let Some(unit) = &mut self.unit else { return false };
        self.done = 0;
        match self.stage {
            Stage::Idle => {
                kernel.set(lane, &unit.key.inner);
                self.len = unit.covered().len() / HASH_BLOCK * HASH_BLOCK;
                self.stage = Stage::Body;
                if self.len == 0 {
                    return self.advance(hash, lane, kernel);
                }
            }
            Stage::Body => {
                let covered = unit.covered();
                let rest = &covered[self.len..];
                self.len = pad(&mut self.own, rest, HASH_BLOCK + covered.len());
                self.stage = Stage::Tail;
            }
            Stage::Tail => {
                let digest = digest(&kernel.get(lane));
                self.len = pad(&mut self.own, &digest[..hash.digest_len()], HASH_BLOCK + hash.digest_len());
                kernel.set(lane, &unit.key.outer);
                self.stage = Stage::Outer;
            }
            Stage::Outer => {
                unit.icv = digest(&kernel.get(lane));
                self.unit = None;
                self.stage = Stage::Idle;
                self.len = 0;
                return false;
            }
        }
        true
    }
}

/// Writes the end of a message with its padding (FIPS 180-4 section 5.1.1) and returns its length, one block or two.
/// `total` counts all bytes that went into the hash.
fn pad(own: &mut [u8; 2 * HASH_BLOCK], rest: &[u8], total: usize) -> usize {
    let len = if rest.len() + 9 <= HASH_BLOCK { HASH_BLOCK } else { 2 * HASH_BLOCK };
    own[..rest.len()].copy_from_slice(rest);
    own[rest.len()] = 0x80;
    own[rest.len() + 1..len - 8].fill(0);
    own[len - 8..len].copy_from_slice(&(8 * total as u64).to_be_bytes());
    len
}

fn digest(state: &HashState) -> [u8; 32] {
    let mut out = [0; 32];
    for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    out
}

/// Runs a kernel until every unit has its MAC. A lane whose packet is finished takes the next one; when there is none, it
/// hashes along with another and nobody looks at the result.
fn run<const N: usize>(hash: LaneHash, units: &mut [Unit<'_>], mut kernel: impl Kernel<N>) {
    let mut queue = units.iter_mut();
    let mut lanes: [Lane<'_, '_>; N] = std::array::from_fn(|_| Lane {
        stage: Stage::Idle,
        unit: None,
        done: 0,
        len: 0,
        own: [0; 2 * HASH_BLOCK],
    });
    loop {
        let mut blocks = usize::MAX;
        let mut busy = 0;
        for (l, lane) in lanes.iter_mut().enumerate() {
            if lane.done == lane.len && !lane.advance(hash, l, &mut kernel) {
                lane.unit = queue.next();
                lane.advance(hash, l, &mut kernel);
            }
            if lane.stage != Stage::Idle {
                blocks = blocks.min((lane.len - lane.done) / HASH_BLOCK);
                busy = l;
            }
        }
        if blocks == usize::MAX {
            return;
        }
        let shared = lanes[busy].rest();
        let data = lanes.each_ref().map(|lane| if lane.stage == Stage::Idle { shared } else { lane.rest() });
        kernel.compress(&data, blocks);
        for lane in &mut lanes {
            if lane.stage != Stage::Idle {
                lane.done += HASH_BLOCK * blocks;
            }
        }
    }
}
