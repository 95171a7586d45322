//! Replays the corpora of `tests/fuzz`, and mutations of them, on every fuzz target: a panic or a broken property that
//! fuzzing has found once is found again here, and something close to it as well.
//!
//! The mutations are the same in every run. An input that fails is left in `tests/fuzz/artifacts/<target>/`.
//! `SEKISHO_FUZZ_ROUNDS` multiplies how many there are, for a longer look without libFuzzer.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/targets/mod.rs"]
mod targets;

use mutate::{Mutator, flips, truncations};
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::{env, fs};
use targets::{Cost, TARGETS, Target};

/// A corpus is for replaying: what shows nothing of its own does not belong in it.
const MAX_FILES: usize = 60;
/// All corpora together, in bytes.
const MAX_TOTAL: u64 = 1_500_000;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// The files of a corpus by name, in order.
fn corpus(target: &str) -> BTreeMap<String, Vec<u8>> {
    let directory = directory().join("corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    entries
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
        })
        .collect()
}

/// How many mutations of each file: truncations and flips for files up to a length, and random ones.
struct Rounds {
    truncations: usize,
    flips: usize,
    random: usize,
}

impl Rounds {
    fn of(cost: Cost) -> Self {
        let times: usize = env::var("SEKISHO_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
        let rounds = |truncations, flips, random| Self { truncations, flips, random: random * times };
        match cost {
            Cost::Parser => rounds(256, 256, 200),
            Cost::Machine => rounds(24, 24, 60),
            Cost::World => rounds(4, 0, 12),
        }
    }
}

fn run(target: &Target, name: &str, input: &[u8]) {
    if catch_unwind(|| (target.run)(input)).is_ok() {
        return;
    }
    let directory = directory().join("artifacts").join(target.name);
    let artifact = directory.join(format!("replay-{:016x}", mutate::hash(input)));
    let _ = fs::create_dir_all(&directory).and_then(|()| fs::write(&artifact, input));
    panic!("{name}: see above; the input is in {}", artifact.display());
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    let rounds = Rounds::of(target.cost);
    let corpus = corpus(name);
    let files: Vec<&[u8]> = corpus.values().map(Vec::as_slice).collect();
    run(target, "no bytes", &[]);
    for (file, bytes) in &corpus {
        run(target, file, bytes);
        for input in truncations(bytes, rounds.truncations) {
            run(target, &format!("{file}, cut to {}", input.len()), input);
        }
        for input in flips(bytes, rounds.flips) {
            run(target, &format!("{file}, one byte changed"), &input);
        }
        let mut mutator = Mutator::new(mutate::hash(file.as_bytes()));
        for round in 0..rounds.random {
            let input = mutator.mutate(bytes, &files);
            run(target, &format!("{file}, mutation {round}"), &input);
        }
    }
}

/// One test for each target, so that they run side by side.
macro_rules! replays {
    ($($name:ident)*) => {
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*
    };
}

replays!(isakmp natt esp l2tp ppp ether config foreign state name filter ike lns link hub usernat client worker);

#[test]
fn every_target_is_replayed_and_has_a_binary() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, REPLAYED);
    let manifest = fs::read_to_string(directory().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} in tests/fuzz/Cargo.toml");
        assert!(directory().join(format!("fuzz_targets/{name}.rs")).exists());
    }
}

#[test]
fn corpora_are_small_and_belong_to_targets() {
    let mut total = 0;
    for entry in fs::read_dir(directory().join("corpus")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        assert!(TARGETS.iter().any(|target| target.name == name), "a corpus without a target: {name}");
        let files = corpus(&name);
        assert!((1..MAX_FILES).contains(&files.len()), "{name}: {} files", files.len());
        total += files.values().map(|bytes| bytes.len() as u64).sum::<u64>();
    }
    assert!(total < MAX_TOTAL, "{total} bytes");
}

/// The seeds are in the corpora as `seed-*`; this writes them anew after a change of the format of steps.
#[test]
#[ignore = "writes into the source tree: cargo test --test fuzz_corpus -- --ignored write_seeds"]
fn write_seeds() {
    for (target, name, bytes) in seeds::all() {
        assert!(TARGETS.iter().any(|known| known.name == target), "{target}");
        let directory = directory().join("corpus").join(target);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("seed-{name}")), bytes).unwrap();
    }
}

#[test]
fn devices_of_the_worker_target_connect() {
    assert!(targets::undisturbed_devices_connect());
}
