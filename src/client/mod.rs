//! A client for the simulation, the self-test and the load generator, built on our own wire formats and, like the
//! server, without I/O.
//!
//! It shares the server's understanding of the protocols, and so its misunderstandings: captures of real clients are
//! the oracle, this is not.

pub mod lac;
//! A client core, sans-IO, from our own wire formats and primitives: for the simulation, the self-test and the load
//! generator. It shares the server's misunderstandings of the RFCs, so captures of real clients stay the oracle; what it
//! does not share is the server's code above `wire` and `crypto`.

pub mod ike;
