//! What is fuzzed: every parser, every machine that a stranger's bytes reach, and the worker that holds them all.
//!
//! A target takes bytes and panics if something is wrong: a panic of the code itself, or a property that does not hold.
//! libFuzzer feeds them through `fuzz_targets/`, `cargo test` replays and mutates the corpora through
//! `tests/fuzz_corpus.rs`; both include this module.
//!
//! Parsers take the bytes as they are. Machines take a sequence of [`steps`]: what comes from the network, what the owner
//! does, and how time goes by. Everything is deterministic: the clock is a counter, randomness is seeded.

mod client;
mod config;
mod device;
mod esp;
mod ether;
mod filter;
mod foreign;
mod hub;
mod ike;
mod initiator;
mod isakmp;
mod l2tp;
mod link;
mod lns;
mod name;
mod ppp;
mod state;
pub(crate) mod steps;
mod usernat;
mod worker;

#[allow(unused_imports, reason = "the libFuzzer binaries make no seeds")]
pub(crate) use {
    client::op as client_op, hub::op as hub_op, ike::op as ike_op, link::op as link_op, lns::op as lns_op,
    worker::op as worker_op, worker::undisturbed_devices_connect,
};

/// How much one run costs: how many mutations of a corpus `cargo test` can afford.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cost {
    /// A parser: microseconds.
    Parser,
    /// A machine with some cryptography: tens of microseconds.
    Machine,
    /// Whole connections: milliseconds.
    World,
}

/// One thing to fuzz.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Its name: of the libFuzzer binary and of the directory of its corpus.
    pub(crate) name: &'static str,
    /// Takes the bytes.
    pub(crate) run: fn(&[u8]),
    /// What a run costs.
    pub(crate) cost: Cost,
}

const fn target(name: &'static str, run: fn(&[u8]), cost: Cost) -> Target {
    Target { name, run, cost }
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    target("isakmp", isakmp::isakmp, Cost::Parser),
    target("natt", isakmp::natt, Cost::Parser),
    target("esp", esp::esp, Cost::Machine),
    target("l2tp", l2tp::l2tp, Cost::Parser),
    target("ppp", ppp::ppp, Cost::Parser),
    target("ether", ether::ether, Cost::Parser),
    target("config", config::config, Cost::Machine),
    target("foreign", foreign::foreign, Cost::Parser),
    target("state", state::state, Cost::Machine),
    target("name", name::name, Cost::Parser),
    target("filter", filter::filter, Cost::Parser),
    target("ike", ike::ike, Cost::Machine),
    target("lns", lns::lns, Cost::Machine),
    target("link", link::link, Cost::Machine),
    target("hub", hub::hub, Cost::Machine),
    target("usernat", usernat::usernat, Cost::Machine),
    target("client", client::client, Cost::Machine),
    target("worker", worker::worker, Cost::World),
];
