//! The whole core of the gateway in one thread under fake time: workers, gatehouse, clients, and the network between
//! them.
//!
//! Every test prints its seed when it fails; `SEKISHO_TEST_SEED=<seed>` repeats it exactly. `SEKISHO_TEST_PCAP=<dir>`
//! writes what passed the gateway's network interface to `<dir>/<test>.pcap`, `SEKISHO_TEST_LOG=1` prints the gateway's
//! log. Any line of level ERROR fails a test, and so does anything that a real client of a kind would not stand.

#![allow(unreachable_pub, missing_docs, clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]
#![allow(dead_code, reason = "a vocabulary for tests, not all of it used at all times")]

mod net;
mod world;

mod admission;
mod causes;
mod connect;
mod control;
mod ends;
mod hostile;
mod kinds;
mod leasing;
mod limits;
mod many;
mod moves;
mod mtu;
mod penalty;
mod policies;
mod rekey;
mod routing;
mod traffic;
mod within;
