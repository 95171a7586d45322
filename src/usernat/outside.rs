//! What the shell's sockets do for the NAT. Every call returns at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Names a flow, and its socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FlowId(pub u32);

/// The outside: one socket a flow.
pub trait Outside {
    /// Sends a datagram from the flow's UDP socket, which is opened with its first.
    ///
    /// # Errors
    /// When the system refuses.
    fn send_udp(&mut self, flow: FlowId, to: SocketAddrV4, payload: &[u8]) -> io::Result<()>;

    /// Sends an ICMP echo request (header and payload; the identifier is the socket's own) from the flow's ping socket,
    /// which is opened with its first.
    ///
    /// # Errors
    /// `PermissionDenied` where this system has no ping sockets for us.
    fn send_echo(&mut self, flow: FlowId, to: Ipv4Addr, message: &[u8]) -> io::Result<()>;

    /// Begins to connect a TCP socket, from this port of ours where one is named. Returns the port that it has: one that
    /// no other client's connections have.
    ///
    /// # Errors
    /// When the system refuses at once; the port that was named may be the reason.
    fn connect(&mut self, flow: FlowId, to: SocketAddrV4, from: Option<u16>) -> io::Result<u16>;

    /// Reads from a connection: 0 at its end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing now.
    fn read(&mut self, flow: FlowId, into: &mut [u8]) -> io::Result<usize>;

    /// Writes to a connection.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room now.
    fn write(&mut self, flow: FlowId, bytes: &[u8]) -> io::Result<usize>;

    /// Says that nothing more will be written to a connection.
    fn shut_down(&mut self, flow: FlowId);

    /// Closes the flow's socket, whatever it is.
    fn close(&mut self, flow: FlowId);
}
