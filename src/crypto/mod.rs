//! Cryptography behind narrow types of our own: suites with their numbers, hashes and PRFs, Diffie-Hellman, the ESP
//! engine and MS-CHAPv2. No protocol, no state of a connection, no clock; randomness comes in as
//! [`Entropy`](crate::entropy::Entropy).
//!
//! | module | what |
//! |---|---|
//! | [`suite`] | tables: what we speak, its IANA numbers, lengths, names and strength |
//! | [`hmac`], [`prf`] | HMAC with precomputed states, the PRF of IKEv1 |
//! | [`cbc`] | CBC in place, for IKE messages |
//! | [`dh`] | key agreement: MODP, ECP, Curve25519 |
//! | [`engine`] | sealing and opening of ESP packets, in slices |
//! | [`mschap`] | the hashes of MS-CHAPv2 |
//!
//! Secrets live in [`Secret`] or in types that wipe themselves, and none of them shows its content in `Debug`.

pub mod cbc;
pub mod dh;
pub mod engine;
pub mod hmac;
pub mod mschap;
pub mod prf;
mod secret;
pub mod suite;

pub use secret::Secret;
