//! The far end of an uplink: sends every datagram back to where it came from.

use crate::packet::{Datagram, Encap, Pool, Transmit};
use crate::shell::udp::{ReceiveSpace, UdpSocket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// Datagrams that are read before any is sent back.
const ENOUGH: usize = 256;

/// Reflects until the process is ended.
///
/// # Errors
/// When the address cannot be bound.
pub fn reflect(address: SocketAddr, ready: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let mut socket = UdpSocket::bind(address, Encap::NatT, false)?;
    ready(socket.bound());
    let (mut space, mut pool) = (ReceiveSpace::default(), Pool::default());
    let (mut datagrams, mut transmits) = (Vec::new(), Vec::new());
    loop {
        while datagrams.len() < ENOUGH && socket.receive(&mut space, &mut pool, &mut datagrams)? {}
        if datagrams.is_empty() {
            poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
            continue;
        }
        transmits.extend(datagrams.drain(..).map(|Datagram { path, buf }| Transmit { path, buf }));
        socket.send(&transmits);
        transmits.drain(..).for_each(|transmit| pool.give(transmit.buf));
    }
}
