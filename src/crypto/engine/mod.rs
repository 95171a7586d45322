//! The ESP engine: seals and opens whole packets (RFC 4303 section 2), in slices, so that a kernel that works on
//! several packets at once needs no new interface.
//!
//! A job carries its key and its bytes and nothing of its peer, so one slice mixes peers and suites. Results stay where
//! their jobs are; in which order the work was done inside is nobody's business. Sequence numbers were taken when the
//! job was made, replay windows move when it is delivered.
//!
//! [`scalar`] does one packet after the other with RustCrypto and ring, and is the oracle for anything faster. [`lanes`]
//! does several packets at once where the CPU can; it chooses a kernel by the number of packets, never by what the CPU
//! could do.

mod cpu;
mod key;
#[cfg_attr(not(target_arch = "x86_64"), path = "lanes/absent.rs")]
mod lanes;
pub mod scalar;
#[cfg(test)]
mod tests;

pub use key::{OpenKey, SealKey};

use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use cpu::Cpu;
use lanes::Lanes;
use std::sync::Arc;

/// The longest IV in bytes.
pub const MAX_IV: usize = 16;

/// A packet to seal.
///
/// Before: `buf` is the payload. After: SPI, sequence number, IV, ciphertext and ICV. A packet that could not be sealed
/// (longer than any datagram) is left empty, so that no plaintext is ever sent.
#[derive(Debug)]
pub struct SealJob {
    /// The key of its SA.
    pub key: Arc<SealKey>,
    /// The SPI that the receiver chose.
    pub spi: u32,
    /// Its sequence number: never used before under this key. GCM depends on it.
    pub seq: u32,
    /// What the payload is (RFC 4303 section 2.6): 17 for UDP.
    pub next_header: u8,
    /// Length of the ICV in bytes, up to the algorithm's own.
    pub icv_len: u8,
    /// The packet.
    pub buf: PacketBuf,
}

/// A packet to open.
///
/// Before: `buf` is the packet from SPI to ICV. After, if `result` is `Ok`: payload, padding, pad length and next header
/// in the clear. Otherwise `buf` is of no use.
#[derive(Debug)]
pub struct OpenJob {
    /// The key of its SA.
    pub key: Arc<OpenKey>,
    /// Its SPI.
    pub spi: u32,
    /// Its sequence number.
    pub seq: u32,
    /// Length of the ICV in bytes, up to the algorithm's own.
    pub icv_len: u8,
    /// The packet.
    pub buf: PacketBuf,
    /// Whether it is authentic. A job that no engine has seen is not.
    pub result: Result<(), Drop>,
}

/// Seals and opens slices of jobs. One per worker.
#[derive(Debug)]
pub struct EspEngine {
    entropy: Entropy,
    lanes: Lanes,
}

impl EspEngine {
    /// An engine that draws its IVs from `entropy`.
    #[must_use]
    pub fn new(entropy: Entropy) -> Self {
        Self { entropy, lanes: Lanes::new(Cpu::detect()) }
    }

    /// An engine that uses no more than `cpu` has.
    #[cfg(test)]
    fn for_cpu(entropy: Entropy, cpu: Cpu) -> Self {
        Self { entropy, lanes: Lanes::new(cpu) }
    }

    /// Seals every job.
    pub fn seal(&mut self, jobs: &mut [SealJob]) {
        for job in &mut *jobs {
            let iv = self.iv(job);
            scalar::frame(job, &iv);
            scalar::seal_framed(job);
        }
        self.lanes.seal(jobs);
    }

    /// Opens every job and leaves its verdict in `result`.
    pub fn open(&mut self, jobs: &mut [OpenJob]) {
        for job in &mut *jobs {
            scalar::open_portable(job);
        }
        self.lanes.open(jobs);
    }

    /// The IV of a packet, in the front of the array. CBC wants it unpredictable (RFC 3602 section 3), GCM wants it
    /// different every time, for which the sequence number is enough (RFC 4106 section 3.1).
    fn iv(&mut self, job: &SealJob) -> [u8; MAX_IV] {
        let mut iv = [0; MAX_IV];
        let suite = job.key.suite();
        if suite.cipher().is_aead() {
            iv[4..8].copy_from_slice(&job.seq.to_be_bytes());
        } else {
            self.entropy.fill(&mut iv[..suite.cipher().iv_len()]);
        }
        iv
    }
}
