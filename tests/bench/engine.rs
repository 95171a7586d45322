//! The ESP engine against RustCrypto, one packet after the other: `cargo bench --bench engine [-- part of a suite's name]`.
//!
//! Both run in the same process, in turns, on the same packets; what counts is the thread's CPU time. A figure is the
//! median of its rounds in nanoseconds a packet, and the factor is the reference's median by the engine's. Every lane has
//! an SA of its own. IMIX is seven packets of 64 bytes, four of 576 and one of 1400.
#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use nix::time::{ClockId, clock_gettime};
use sekisho::crypto::engine::{EspEngine, OpenJob, OpenKey, SealJob, SealKey};
use sekisho::crypto::suite::{EspAuth, EspCipher, EspSuite};
use sekisho::entropy::Entropy;
use sekisho::packet::{Drop, PacketBuf};
use std::sync::Arc;

const SUITES: [EspSuite; 6] = [
    EspSuite::of(EspCipher::Aes128Cbc, EspAuth::HmacSha1_96),
    EspSuite::of(EspCipher::Aes192Cbc, EspAuth::HmacSha1_96),
    EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96),
    EspSuite::of(EspCipher::Aes128Cbc, EspAuth::HmacSha256_128),
    EspSuite::of(EspCipher::Aes192Cbc, EspAuth::HmacSha256_128),
    EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha256_128),
];
const LANES: [usize; 7] = [1, 2, 4, 8, 16, 32, 44];
const LENGTHS: [(&str, &[usize]); 5] = [
    ("64", &[64]),
    ("256", &[256]),
    ("576", &[576]),
    ("1400", &[1400]),
    ("IMIX", &[64, 576, 64, 64, 1400, 576, 64, 64, 576, 64, 576, 64]),
];
/// Packets between two looks at the clock, which costs as much as a small packet.
const PACKETS: usize = 88;
const ROUNDS: usize = 41;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Seal,
    Open,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    Reference,
    Engine,
}

fn cpu_nanos() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

fn keymat(suite: EspSuite, seed: usize) -> Vec<u8> {
    (0..suite.key_len()).map(|i| (seed * 37 + i * 11) as u8).collect()
}

fn seal_jobs(suite: EspSuite, keys: Keys, lens: &[usize]) -> Vec<SealJob> {
    let key = |i| match keys {
        Keys::Reference => SealKey::portable(suite, &keymat(suite, i)),
        Keys::Engine => SealKey::new(suite, &keymat(suite, i)),
    };
    (0..lens.len())
        .map(|i| SealJob {
            key: Arc::new(key(i).unwrap()),
            spi: 1,
            seq: 1,
            next_header: 17,
            icv_len: suite.auth().icv_len() as u8,
            buf: PacketBuf::from_slice(&vec![0x5a; lens[i]]),
        })
        .collect()
}

fn open_jobs(suite: EspSuite, keys: Keys, wires: &[Vec<u8>]) -> Vec<OpenJob> {
    let key = |i| match keys {
        Keys::Reference => OpenKey::portable(suite, &keymat(suite, i)),
        Keys::Engine => OpenKey::new(suite, &keymat(suite, i)),
    };
    (0..wires.len())
        .map(|i| OpenJob {
            key: Arc::new(key(i).unwrap()),
            spi: 1,
            seq: 1,
            icv_len: suite.auth().icv_len() as u8,
            buf: PacketBuf::from_slice(&wires[i]),
            result: Err(Drop::BadIcv),
        })
        .collect()
}

/// Batches of one kind of keys, and what they took.
struct Runner {
    engine: EspEngine,
    seal: Vec<Vec<SealJob>>,
    open: Vec<Vec<OpenJob>>,
    wires: Vec<Vec<u8>>,
    lens: Vec<usize>,
    nanos: Vec<f64>,
}

impl Runner {
    fn new(suite: EspSuite, direction: Direction, keys: Keys, lens: &[usize], batches: usize) -> Self {
        let mut engine = EspEngine::new(Entropy::from_number(1));
        let mut sealed = seal_jobs(suite, Keys::Reference, lens);
        engine.seal(&mut sealed);
        let wires: Vec<_> = sealed.iter().map(|job| job.buf.to_vec()).collect();
        let (mut seal, mut open) = (Vec::new(), Vec::new());
        for _ in 0..batches {
            match direction {
                Direction::Seal => seal.push(seal_jobs(suite, keys, lens)),
                Direction::Open => open.push(open_jobs(suite, keys, &wires)),
            }
        }
        Self { engine, seal, open, wires, lens: lens.to_vec(), nanos: Vec::new() }
    }

    /// Turns everything back to before the round, off the clock.
    fn reset(&mut self) {
        for jobs in &mut self.seal {
            for (job, len) in jobs.iter_mut().zip(&self.lens) {
                job.buf.clear();
                job.buf.set_len(*len);
            }
        }
        for jobs in &mut self.open {
            for (job, wire) in jobs.iter_mut().zip(&self.wires) {
                job.buf.clear();
                job.buf.open_back(wire.len()).copy_from_slice(wire);
            }
        }
    }

    fn round(&mut self) {
        self.reset();
        let begin = cpu_nanos();
        for jobs in &mut self.seal {
            self.engine.seal(jobs);
        }
        for jobs in &mut self.open {
            self.engine.open(jobs);
        }
        let took = cpu_nanos() - begin;
        let packets = self.lens.len() * (self.seal.len() + self.open.len());
        self.nanos.push(took as f64 / packets as f64);
        assert!(self.open.iter().flatten().all(|job| job.result.is_ok()), "a packet did not open");
    }

    fn median(&mut self) -> f64 {
        self.nanos.sort_by(f64::total_cmp);
        self.nanos[self.nanos.len() / 2]
    }
}

/// Medians of reference and engine.
fn measure(suite: EspSuite, direction: Direction, lens: &[usize], lanes: usize) -> (f64, f64) {
    let lens: Vec<_> = lens.iter().copied().cycle().take(lanes).collect();
    let batches = PACKETS.div_ceil(lanes);
    let mut reference = Runner::new(suite, direction, Keys::Reference, &lens, batches);
    let mut engine = Runner::new(suite, direction, Keys::Engine, &lens, batches);
    for _ in 0..ROUNDS {
        reference.round();
        engine.round();
    }
    (reference.median(), engine.median())
}

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!("{:?}", EspEngine::new(Entropy::from_number(1)));
    for suite in SUITES.into_iter().filter(|suite| suite.to_string().contains(&wanted)) {
        for (direction, verb) in [(Direction::Seal, "sealing"), (Direction::Open, "opening")] {
            println!("\n{suite}, {verb}: ns a packet (factor over RustCrypto)\n");
            println!("| bytes | RustCrypto | {} |", LANES.map(|n| format!("{n:>11}")).join(" | "));
            println!("|------:|-----------:|{}", "------------:|".repeat(LANES.len()));
            for (name, lens) in LENGTHS {
                let cells: Vec<_> =
                    LANES.iter().map(|&lanes| measure(suite, direction, lens, lanes)).collect();
                let row: Vec<_> =
                    cells.iter().map(|(old, new)| format!("{new:>4.0} ({:>4.2})", old / new)).collect();
                println!("| {name:>5} | {:>10.0} | {} |", cells[5].0, row.join(" | "));
            }
        }
    }
}
