//! The shell: the only place with sockets, clocks, threads and files. It moves data between the operating system and
//! the sans-IO core, and decides nothing.
#![allow(
    clippy::disallowed_methods,
    reason = "the shell owns clocks, threads and tasks; the core may not have them"
)]

mod udp;
