//! Several packets at once: AES-CBC with HMAC-SHA1 or HMAC-SHA2-256, one packet per lane.
//!
//! CBC encryption and both hashes are chains in which every instruction waits for the one before, so one packet keeps a
//! core mostly waiting. Packets of different SAs have nothing to wait for of one another. A kernel takes a number of
//! lanes, and which one is worth its price depends on how many packets there are: [`cbc`] and [`mac`] choose.
//!
//! Files with `unsafe` are [`kernels`] (the way in) and what it calls: [`aes_ni`], [`vaes`], [`sha_ni`], [`avx2`],
//! [`avx512`]. None of them branches or indexes by a key or by a packet's content.

mod aes_ni;
mod avx2;
mod avx512;
mod both;
mod cbc;
mod kernels;
mod mac;
mod sha_ni;
mod tables;
mod vaes;
mod wide;

use super::cpu::Cpu;
use super::key::{OpenCipher, SealCipher};
use super::{OpenJob, SealJob};
use crate::crypto::hmac::HmacKey;
use crate::crypto::suite::{ESP_HEADER_LEN, HashAlg, IkeCipher};
use crate::packet::{Drop as Refusal, PacketBuf};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const BLOCK: usize = 16;
const HASH_BLOCK: usize = 64;
/// AES-256 has fourteen rounds.
const MAX_ROUND_KEYS: usize = 15;
/// Bytes before the encrypted part: header and IV.
const FRONT: usize = ESP_HEADER_LEN + BLOCK;
/// Packets in hand at once: more than any kernel has lanes, few enough to stay in the first-level cache.
const CHUNK: usize = 32;

type RoundKeys = [[u8; BLOCK]; MAX_ROUND_KEYS];
type HashState = [u32; 8];
/// The chaining values of `N` lanes.
type Chains<const N: usize> = [[u8; BLOCK]; N];

/// Which way a key is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Seal,
    Open,
}

/// A hash that has kernels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LaneHash {
    Sha1,
    Sha256,
}

impl LaneHash {
    const fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// One direction of an SA: round keys and the two states of the HMAC.
#[repr(align(16))]
pub(super) struct LaneKey {
    round_keys: RoundKeys,
    inner: HashState,
    outer: HashState,
    rounds: usize,
    hash: LaneHash,
}

impl LaneKey {
    /// Expands a key; `None` if the lanes cannot do the suite on this CPU, or the key does not fit the cipher.
    pub(super) fn new(
        cpu: Cpu,
        direction: Direction,
        cipher: IkeCipher,
        key: &[u8],
        mac: &HmacKey,
    ) -> Option<Self> {
        let hash = match mac.hash() {
            HashAlg::Sha1 => LaneHash::Sha1,
            HashAlg::Sha256 => LaneHash::Sha256,
            HashAlg::Md5 | HashAlg::Sha384 | HashAlg::Sha512 => return None,
        };
        if !cpu.has_lanes() || cipher == IkeCipher::TripleDes || cipher.key_len() != key.len() {
            return None;
        }
        let [inner, outer] = mac.states()?;
        let mut this = Self { round_keys: [[0; BLOCK]; MAX_ROUND_KEYS], inner, outer, rounds: 0, hash };
        this.rounds = kernels::expand(cpu, key, direction == Direction::Open, &mut this.round_keys);
        Some(this)
    }
}

impl Drop for LaneKey {
    fn drop(&mut self) {
        self.round_keys.zeroize();
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

/// Round keys of `N` lanes, those of one round side by side as the kernels load them.
#[repr(align(64))]
struct CbcKeys<const N: usize>([[[u8; BLOCK]; N]; MAX_ROUND_KEYS]);

impl<const N: usize> CbcKeys<N> {
    const fn new() -> Self {
        Self([[[0; BLOCK]; N]; MAX_ROUND_KEYS])
    }

    fn set(&mut self, lane: usize, key: &LaneKey) {
        for (row, key) in self.0.iter_mut().zip(&key.round_keys[..=key.rounds]) {
            row[lane] = *key;
        }
    }
}

impl<const N: usize> Drop for CbcKeys<N> {
    fn drop(&mut self) {
        self.0.as_flattened_mut().as_flattened_mut().zeroize();
    }
}

/// Hash states of `N` lanes, the same word of all side by side.
#[repr(align(64))]
struct WideState<const N: usize>([[u32; N]; 8]);

impl<const N: usize> Default for WideState<N> {
    fn default() -> Self {
        Self([[0; N]; 8])
    }
}

impl<const N: usize> WideState<N> {
    fn set(&mut self, lane: usize, state: &HashState) {
        for (row, word) in self.0.iter_mut().zip(state) {
            row[lane] = *word;
        }
    }

    fn get(&self, lane: usize) -> HashState {
        self.0.each_ref().map(|row| row[lane])
    }
}

/// Where round keys are put side by side; kept between calls.
struct Scratch {
    keys_4: CbcKeys<4>,
    keys_8: CbcKeys<8>,
    keys_16: CbcKeys<16>,
}

/// A packet under way. For sealing it is framed, so that only ciphertext and ICV are missing.
struct Unit<'a> {
    key: &'a LaneKey,
    buf: &'a mut PacketBuf,
    /// Bytes that the ICV covers.
    covered: usize,
    /// Bytes of these that are hashed, whole blocks; and the hash's state after them.
    hashed: usize,
    state: HashState,
    /// Bytes that are header, IV or ciphertext already, if cipher and hash run together; and the last block of them.
    encrypted: usize,
    chain: [u8; BLOCK],
    icv_len: usize,
    /// The MAC, once it is computed; SHA-1 fills the first twenty bytes.
    icv: [u8; 32],
    result: Option<&'a mut Result<(), Refusal>>,
}

impl<'a> Unit<'a> {
    fn new(
        key: &'a LaneKey,
        buf: &'a mut PacketBuf,
        covered: usize,
        icv_len: u8,
        result: Option<&'a mut Result<(), Refusal>>,
    ) -> Self {
        Self {
            key,
            buf,
            covered,
            hashed: 0,
            state: key.inner,
            encrypted: FRONT,
            chain: [0; BLOCK],
            icv_len: icv_len.into(),
            icv: [0; 32],
            result,
        }
    }

    /// Header, IV and ciphertext.
    fn covered(&self) -> &[u8] {
        &self.buf[..self.covered]
    }

    fn iv_and_data(&mut self) -> (&[u8; BLOCK], &mut [u8]) {
        let (front, data) = self.buf[..self.covered].split_at_mut(FRONT);
        (&front[ESP_HEADER_LEN..].as_chunks().0[0], data)
    }

    /// Blocks to encrypt.
    fn blocks(&self) -> usize {
        (self.covered - FRONT) / BLOCK
    }

    /// Blocks to hash: the rest of the packet with its padding, and the outer hash.
    fn hash_blocks(&self) -> usize {
        (self.covered - self.hashed + 9).div_ceil(HASH_BLOCK) + 1
    }
}

/// The lanes of one engine: what they need between calls.
pub(super) struct Lanes {
    cpu: Cpu,
    scratch: Box<Scratch>,
    /// Empty between calls; kept for its memory.
    units: Vec<Unit<'static>>,
}

/// An empty vector in the memory of another, for references that live elsewhere. (A collection in place of a vector
/// that has the same layout reuses its memory.)
fn recycle<'a>(mut units: Vec<Unit<'_>>) -> Vec<Unit<'a>> {
    units.clear();
    units.into_iter().map(|_| unreachable!("just cleared")).collect()
}

impl Lanes {
    /// Lanes as wide as `cpu` allows.
    pub(super) fn new(cpu: Cpu) -> Self {
        let scratch = Scratch { keys_4: CbcKeys::new(), keys_8: CbcKeys::new(), keys_16: CbcKeys::new() };
        Self { cpu, scratch: Box::new(scratch), units: Vec::with_capacity(CHUNK) }
    }

    /// Encrypts and authenticates those of the framed packets that have a key for the lanes.
    pub(super) fn seal(&mut self, jobs: &mut [SealJob]) {
        let mut units = recycle(std::mem::take(&mut self.units));
        for chunk in jobs.chunks_mut(CHUNK) {
            units.extend(chunk.iter_mut().filter_map(sealing));
            self.seal_units(&mut units);
            units.clear();
        }
        self.units = recycle(units);
    }

    fn seal_units(&mut self, units: &mut [Unit<'_>]) {
        units.sort_unstable_by_key(|unit| (unit.key.rounds, std::cmp::Reverse(unit.covered)));
        for group in units.chunk_by_mut(|a, b| a.key.rounds == b.key.rounds) {
            if both::suits(self.cpu, group) {
                both::encrypt(self.cpu, group);
            } else {
                cbc::encrypt(self.cpu, &mut self.scratch, group);
            }
        }
        self.authenticate(units);
        for unit in units {
            let len = unit.icv_len.min(unit.key.hash.digest_len());
            unit.buf.put_back(&unit.icv[..len]);
        }
    }

    fn authenticate(&self, units: &mut [Unit<'_>]) {
        units.sort_unstable_by_key(|unit| (unit.key.hash, std::cmp::Reverse(unit.covered)));
        for group in units.chunk_by_mut(|a, b| a.key.hash == b.key.hash) {
            let Some(hash) = group.first().map(|unit| unit.key.hash) else { continue };
            mac::mac(self.cpu, hash, group);
        }
    }

    /// Verifies and decrypts those of the packets that have a key for the lanes.
    pub(super) fn open(&mut self, jobs: &mut [OpenJob]) {
        let mut units = recycle(std::mem::take(&mut self.units));
        for chunk in jobs.chunks_mut(CHUNK) {
            units.extend(chunk.iter_mut().filter_map(opening));
            self.authenticate(&mut units);
            for unit in &mut units {
                let result = self.finish_open(unit);
                if let Some(slot) = &mut unit.result {
                    **slot = result;
                }
            }
            units.clear();
        }
        self.units = recycle(units);
    }

    /// Compares the ICV; decrypts and unwraps what is authentic.
    fn finish_open(&self, unit: &mut Unit<'_>) -> Result<(), Refusal> {
        if !same(&unit.icv[..unit.icv_len], &unit.buf[unit.covered..]) {
            return Err(Refusal::BadIcv);
        }
        let key = unit.key;
        let (iv, data) = unit.iv_and_data();
        kernels::decrypt_one(self.cpu, &key.round_keys, key.rounds, iv, data);
        unit.buf.truncate(unit.covered);
        unit.buf.pull_front(FRONT).map(|_| ()).ok_or(Refusal::BadIcv)
    }
}

/// Compares two ICVs in a time that depends on their length alone. Four bytes at a time: every comparison of `subtle`
/// passes through memory, which is most of its price.
fn same(ours: &[u8], received: &[u8]) -> bool {
    let (our_words, our_bytes) = ours.as_chunks();
    let (words, bytes) = received.as_chunks();
    let differ = our_words
        .iter()
        .zip(words)
        .fold(0, |differ, (a, b)| differ | (u32::from_ne_bytes(*a) ^ u32::from_ne_bytes(*b)));
    (differ.ct_eq(&0) & our_bytes.ct_eq(bytes) & ours.len().ct_eq(&received.len())).into()
}

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lanes({:?})", self.cpu)
    }
}

/// A framed packet whose key is for the lanes.
fn sealing(job: &mut SealJob) -> Option<Unit<'_>> {
    let SealCipher::Lanes(key) = &job.key.cipher else { return None };
    let covered = job.buf.len();
    Some(Unit::new(key, &mut job.buf, covered, job.icv_len, None))
}

/// A packet to open whose key is for the lanes and whose length a packet can have. Others are refused at once.
fn opening(job: &mut OpenJob) -> Option<Unit<'_>> {
    let OpenCipher::Lanes(key) = &job.key.cipher else { return None };
    job.result = Err(Refusal::BadIcv);
    let icv_len = usize::from(job.icv_len);
    let covered = job.buf.len().checked_sub(icv_len)?;
    let whole = covered.checked_sub(FRONT)?.is_multiple_of(BLOCK);
    let has_icv = (1..=key.hash.digest_len()).contains(&icv_len);
    (whole && has_icv).then(|| Unit::new(key, &mut job.buf, covered, job.icv_len, Some(&mut job.result)))
}

/// Seals one framed packet by itself, if its key is for the lanes.
pub(super) fn seal_alone(job: &mut SealJob) -> bool {
    let Some(mut unit) = sealing(job) else { return false };
    Lanes::new(Cpu::detect()).seal_units(std::slice::from_mut(&mut unit));
    true
}

/// Opens one packet by itself, if its key is for the lanes.
pub(super) fn open_alone(job: &mut OpenJob) -> bool {
    let lanes = matches!(job.key.cipher, OpenCipher::Lanes(_));
    if lanes {
        Lanes::new(Cpu::detect()).open(std::slice::from_mut(job));
    }
    lanes
}
