//! A client for the simulation, the self-test and the load generator, built on our own wire formats and, like the
//! server, without I/O.
//!
//! It shares the server's understanding of the protocols, and so its misunderstandings: captures of real clients are
//! the oracle, this is not.

pub mod lac;
