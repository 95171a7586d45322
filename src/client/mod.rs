//! A client for the simulation, the self-test and the load generator, built on our own wire formats and, like the
//! server, without I/O.
//!
//! It shares the server's understanding of the protocols, and so its misunderstandings: captures of real clients are
//! the oracle, this is not. What it does not share is the server's own half of IKE and L2TP.
//!
//! | module | what |
//! |---|---|
//! | [`ike`] | IKEv1 initiator |
//! | [`lac`] | L2TP |
//! | [`profile`] | what the systems of this world do, as data |
//! | [`device`] | all of it and PPP in one: [`Device`] |

pub mod device;
pub mod ike;
pub mod lac;
pub mod profile;

pub use device::{Device, Event, Output, Reason};
pub use profile::Profile;
