//! What a TAP interface speaks when the kernel leaves work to us: a `virtio_net_hdr` before each frame, frames of up to
//! 64 KiB that stand for many, and checksums that are not filled in.
//!
//! [`split`] takes a large frame from the host apart into the frames of the wire, [`Gather`] puts frames of one flow
//! together for the host. One is the other's inverse: a connection's packets are what they would have been without
//! either. Both cost the host's stack one pass instead of one a packet, which is most of what an uplink costs.
//!
//! Pure: bytes in, bytes out. Knows frames of IPv4, IPv6, TCP and UDP; knows no hub, no port, no link.

mod gather;
mod header;
mod segment;
mod split;
#[cfg(test)]
mod tests;

pub use gather::{Gather, MAX_PIECES};
pub use header::{Gso, HEADER, VirtioHeader};
pub use split::split;

/// Bytes that one frame from the host may have at most, header included: the longest IPv6 packet behind two VLAN tags.
pub const LARGEST: usize = HEADER + crate::wire::ether::HEADER + 8 + 40 + 65_535;

/// Work on frames that one side leaves to the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offload {
    /// Checksums of TCP and UDP are not filled in. The others need this one.
    pub checksum: bool,
    /// TCP over IPv4 and IPv6 comes in pieces of up to 64 KiB.
    pub tcp_segmentation: bool,
    /// UDP too (Linux 6.2 and later).
    pub udp_segmentation: bool,
}

impl Offload {
    /// Everything.
    pub const ALL: Self = Self { checksum: true, tcp_segmentation: true, udp_segmentation: true };
}
