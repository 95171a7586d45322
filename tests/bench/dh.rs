//! Diffie-Hellman as the responder does it, one row a group: `cargo bench --bench dh [-- part of a group's name]`.
//!
//! What counts is the thread's CPU time; a figure is the median of its rounds. An "answer" is what a device costs that
//! connects: a key pair of our own and the shared secret. Beside it stands what a plain library does for the same two
//! powers (`num-bigint`, in variable time).
#![allow(clippy::print_stdout, reason = "a report is what this program is for")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use nix::time::{ClockId, clock_gettime};
use num_bigint::BigUint;
use sekisho::crypto::dh::{DhJob, KeyPair};
use sekisho::crypto::suite::DhGroup;
use sekisho::entropy::Entropy;
use std::hint::black_box;

const ROUNDS: usize = 21;

fn cpu_micros() -> f64 {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    (now.tv_sec() * 1_000_000_000 + now.tv_nsec()) as f64 / 1e3
}

/// Median microseconds of a call.
fn median(calls: usize, mut call: impl FnMut()) -> f64 {
    call();
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = cpu_micros();
            (0..calls).for_each(|_| call());
            (cpu_micros() - begin) / calls as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn exponent_len(group: DhGroup) -> usize {
    match group {
        DhGroup::Modp1024 => 24,
        DhGroup::Modp1536 => 30,
        DhGroup::Modp2048 => 32,
        _ => 40,
    }
}

fn main() {
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with("--"));
    println!(
        "{:<11} {:>10} {:>10} {:>12} {:>12}",
        "group", "key us", "answer us", "answers/s", "num-bigint x"
    );
    let mut entropy = Entropy::from_number(1);
    for &group in DhGroup::ALL {
        if wanted.as_ref().is_some_and(|part| !group.name().contains(part.as_str())) {
            continue;
        }
        let remote = KeyPair::generate(group, &mut entropy).unwrap();
        let job = DhJob { group, remote_public: remote.public().to_vec() };
        let key = median(8, || drop(black_box(KeyPair::generate(group, &mut entropy).unwrap())));
        let answer = median(8, || drop(black_box(job.run(&mut entropy).unwrap())));
        let ratio = if group.public_len() >= 128 {
            // The difference of two equal powers tells nothing; a prime of that length does not matter either.
            let mut bytes = vec![0xff; group.public_len()];
            entropy.fill(&mut bytes[8..]);
            *bytes.last_mut().unwrap() |= 1;
            let modulus = BigUint::from_bytes_be(&bytes);
            let remote = BigUint::from_bytes_be(remote.public());
            let mut exponent = vec![0; exponent_len(group)];
            entropy.fill(&mut exponent);
            let exponent = BigUint::from_bytes_be(&exponent);
            let two = BigUint::from(2u8);
            let plain = median(1, || {
                black_box(two.modpow(&exponent, &modulus));
                black_box(remote.modpow(&exponent, &modulus));
            });
            format!("{:.1}", plain / answer)
        } else {
            String::new()
        };
        println!("{:<11} {key:>10.1} {answer:>10.1} {:>12.0} {ratio:>12}", group.name(), 1e6 / answer);
    }
}
