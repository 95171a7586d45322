//! The bytes in motion: one buffer from socket to socket, the path that a datagram took, and the reasons why a packet
//! goes no further. Every layer may use this module; it uses none.

mod buf;
mod drop;
mod path;
mod pool;

pub use buf::{HEADROOM, PacketBuf, TAILROOM};
pub use drop::Drop;
pub use path::{Datagram, Encap, Path, Transmit, WorkerId};
pub use pool::{POOLED, Pool};
