//! HMAC of many packets: which lane holds what, and which kernel runs.

use super::{HASH_BLOCK, HashState, LaneHash, Unit, WideState, kernels};
use crate::crypto::engine::cpu::{Cpu, Wide};

/// Computes the MAC of every unit. All have the same hash, and the longest comes first.
pub(super) fn mac(cpu: Cpu, hash: LaneHash, mut units: &mut [Unit<'_>]) {
    let mut total: usize = units.iter().map(Unit::hash_blocks).sum();
    while let [first, others @ ..] = &*units {
        let longest = first.hash_blocks();
        let choice = if others.is_empty() { Choice::Narrow(1) } else { choose(cpu, hash, longest, total) };
        let done = match choice {
            Choice::Narrow(1) => some(hash, units, Narrow::<1>(cpu, hash, [[0; 8]; 1])),
            Choice::Narrow(2) => some(hash, units, Narrow::<2>(cpu, hash, [[0; 8]; 2])),
            Choice::Narrow(3) => some(hash, units, Narrow::<3>(cpu, hash, [[0; 8]; 3])),
            Choice::Narrow(_) => some(hash, units, Narrow::<4>(cpu, hash, [[0; 8]; 4])),
            Choice::Eight => some(hash, units, Eight(cpu, hash, WideState::default())),
            Choice::Sixteen => some(hash, units, Sixteen(cpu, hash, WideState::default())),
        };
        // Either these are of one length, or they are all.
        total = total.saturating_sub(done * longest);
        units = &mut units[done..];
    }
}

/// Computes the MACs of as many units as the kernel has lanes if they are of one length, otherwise of all; returns how
/// many that is.
fn some<const N: usize>(hash: LaneHash, units: &mut [Unit<'_>], kernel: impl Kernel<N>) -> usize {
    if let Some(first) = units.first_chunk_mut::<N>()
        && first.iter().all(|unit| (unit.covered, unit.hashed) == (first[0].covered, first[0].hashed))
    {
        even(hash, first, kernel);
        N
    } else {
        run(hash, units, kernel);
        units.len()
    }
}

/// A kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Choice {
    /// One to four lanes of the CPU's own instructions, or one of RustCrypto's.
    Narrow(usize),
    /// Eight lanes of AVX2.
    Eight,
    /// Sixteen lanes of AVX-512.
    Sixteen,
}

/// The cheapest kernel for packets of `total` blocks together, of which the longest has `longest`.
///
/// A kernel takes as many steps as the longest packet has blocks, or as it takes to serve all. What a step costs does
/// not depend on how many of its lanes are in use, so the wide ones are the dearest for few packets and the cheapest for
/// many. The prices are cycles, measured on AMD's Zen 3 (AVX-512: Zen 4); only their proportions count.
fn choose(cpu: Cpu, hash: LaneHash, longest: usize, total: usize) -> Choice {
    use Choice::{Eight, Narrow, Sixteen};
    let cost = |lanes: usize, price: usize| price * longest.max(total.div_ceil(lanes));
    let mut best = (Narrow(1), usize::MAX);
    let mut offer = |choice, cost| {
        if cost < best.1 {
            best = (choice, cost);
        }
    };
    match (cpu.sha_ni(), hash) {
        (true, LaneHash::Sha1) => {
            offer(Narrow(1), cost(1, 131));
            offer(Narrow(2), cost(2, 151));
            offer(Narrow(3), cost(3, 188));
            offer(Narrow(4), cost(4, 207));
        }
        (true, LaneHash::Sha256) => {
            offer(Narrow(1), cost(1, 139));
            offer(Narrow(2), cost(2, 141));
            offer(Narrow(3), cost(3, 196));
            offer(Narrow(4), cost(4, 258));
        }
        // One after the other with RustCrypto.
        (false, LaneHash::Sha1) => offer(Narrow(1), cost(1, 330)),
        (false, LaneHash::Sha256) => offer(Narrow(1), cost(1, 560)),
    }
    match (cpu.wide(), hash) {
        (Wide::None, _) => {}
        (Wide::Avx2, LaneHash::Sha1) => offer(Eight, cost(8, 490)),
        (Wide::Avx2, LaneHash::Sha256) => offer(Eight, cost(8, 1320)),
        (Wide::Avx512, LaneHash::Sha1) => offer(Sixteen, cost(16, 640)),
        (Wide::Avx512, LaneHash::Sha256) => offer(Sixteen, cost(16, 1100)),
    }
    best.0
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
                kernel.set(lane, &unit.state);
                self.done = unit.hashed;
                self.len = unit.covered / HASH_BLOCK * HASH_BLOCK;
                self.stage = Stage::Body;
                if self.done == self.len {
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
    *own = [0; 2 * HASH_BLOCK];
    // What ends a packet here is mostly a multiple of eight; copying words is quicker than calling for few bytes.
    let (words, bytes) = rest.as_chunks::<8>();
    let (own_words, _) = own.as_chunks_mut::<8>();
    own_words.iter_mut().zip(words).for_each(|(own, word)| *own = *word);
    own[rest.len() - bytes.len()..][..bytes.len()].copy_from_slice(bytes);
    own[rest.len()] = 0x80;
    let len = if rest.len() + 9 <= HASH_BLOCK { HASH_BLOCK } else { 2 * HASH_BLOCK };
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

/// Runs a kernel once over packets of one length, so that all lanes are always at the same place.
fn even<const N: usize>(hash: LaneHash, units: &mut [Unit<'_>; N], mut kernel: impl Kernel<N>) {
    let (covered, hashed) = units.first().map_or((0, 0), |unit| (unit.covered, unit.hashed));
    let body = covered / HASH_BLOCK;
    for (lane, unit) in units.iter().enumerate() {
        kernel.set(lane, &unit.state);
    }
    kernel.compress(&units.each_ref().map(|unit| &unit.covered()[hashed..]), body - hashed / HASH_BLOCK);
    let mut own = [[0; 2 * HASH_BLOCK]; N];
    let mut len = 0;
    for (own, unit) in own.iter_mut().zip(&*units) {
        len = pad(own, &unit.covered()[HASH_BLOCK * body..], HASH_BLOCK + covered);
    }
    kernel.compress(&own.each_ref().map(|own| &own[..]), len / HASH_BLOCK);
    let digest_len = hash.digest_len();
    for (lane, (own, unit)) in own.iter_mut().zip(&*units).enumerate() {
        pad(own, &digest(&kernel.get(lane))[..digest_len], HASH_BLOCK + digest_len);
        kernel.set(lane, &unit.key.outer);
    }
    kernel.compress(&own.each_ref().map(|own| &own[..]), 1);
    for (lane, unit) in units.iter_mut().enumerate() {
        unit.icv = digest(&kernel.get(lane));
    }
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
