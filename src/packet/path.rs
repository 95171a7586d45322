//! Where a datagram came from and where the answer goes.

use super::PacketBuf;
use std::net::SocketAddr;

/// How the outermost bytes travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Encap {
    /// UDP port 500: bare ISAKMP messages.
    Ike,
    /// UDP port 4500 (RFC 3948): ISAKMP behind a four-byte zero marker, ESP, or a one-byte keepalive.
    NatT,
    /// IP protocol 50, ports are zero.
    Esp,
    /// Clear-text L2TP on UDP port 1701.
    L2tp,
}

/// The two ends of a datagram's way. Replies leave from `local`, the address that the packet came to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Path {
    /// How the bytes travel.
    pub encap: Encap,
    /// Our address and port.
    pub local: SocketAddr,
    /// The other side's address and port as we see it (that is, after its NAT).
    pub remote: SocketAddr,
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.encap {
            Encap::Esp => write!(f, "{}/esp", self.remote.ip()),
            _ => write!(f, "{}", self.remote),
        }
    }
}

/// A datagram as it was received: the payload of UDP (or of IP for [`Encap::Esp`]).
#[derive(Debug)]
pub struct Datagram {
    /// The way it came.
    pub path: Path,
    /// Its payload.
    pub buf: PacketBuf,
}

/// A datagram to send.
#[derive(Debug)]
#[must_use = "a Transmit does nothing until it is sent"]
pub struct Transmit {
    /// The way it goes.
    pub path: Path,
    /// Its payload.
    pub buf: PacketBuf,
}

/// Number of a worker; the top byte of every SPI and cookie that we choose, so that a datagram names its worker.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct WorkerId(pub u8);
