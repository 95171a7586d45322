//! Bytes to typed messages and back: no state, no crypto, no time. One file is one RFC's format.
//!
//! Every format file has the same anatomy: the RFC section, a struct with the meaningful fields, `parse(&[u8]) ->
//! Result<Self, Error>` that never panics, `emit(&self, &mut Writer)`, and tests that parse real bytes and emit them
//! again. Numbers that the peer chose survive a round trip even when we have no name for them ([`wire_enum!`]).

pub mod avp;
pub mod chap;
pub mod dhcp;
pub mod isakmp;
pub mod natt;

mod codec;
pub mod eap;
mod error;
pub mod esp;
pub mod ether;
pub mod inet;
pub mod l2tp;
mod number;
pub mod pap;
pub mod ppp;
pub mod ppp_option;

pub use codec::{Reader, Writer};
pub use error::{Error, Kind};
pub(crate) use number::wire_enum;
