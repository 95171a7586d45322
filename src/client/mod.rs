//! A client core, sans-IO, from our own wire formats and primitives: for the simulation, the self-test and the load
//! generator. It shares the server's misunderstandings of the RFCs, so captures of real clients stay the oracle; what it
//! does not share is the server's code above `wire` and `crypto`.

pub mod ike;
pub mod lac;
