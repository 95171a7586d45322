//! The edge of the program: the only place with sockets, clocks, threads, files and other programs. It moves data between
//! the operating system and the sans-IO core, and decides nothing.
#![allow(clippy::disallowed_methods, reason = "the shell is where clocks, threads and tasks live")]

pub mod bench;
mod cable;
pub mod config_file;
mod conntrack;
pub mod control_socket;
mod dh_pool;
mod dispatch;
pub mod doctor;
mod gate_thread;
mod guest;
pub mod host;
mod inbox;
pub mod logging;
mod monitor;
pub mod net_setup;
mod packet_socket;
pub mod ports;
pub mod privileges;
mod reload;
mod routers;
mod run;
mod sockets;
mod state_file;
mod steering;
mod syscall;
pub mod tap;
#[cfg(test)]
mod test_dir;
#[cfg(test)]
mod test_network;
pub mod udp;
mod uplinks;
mod usernat;
mod worker_thread;

pub use run::{Options, run};
