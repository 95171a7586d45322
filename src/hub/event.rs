//! What the owner of a hub leaves behind: news, and frames of the hub itself.

use super::{Forward, Mac, PortId, dhcp, lease};
use crate::packet::PacketBuf;
use std::net::Ipv4Addr;

/// What happened that somebody should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A station showed up behind another port and is followed.
    StationMoved {
        /// The station.
        mac: Mac,
        /// Where it was.
        from: PortId,
        /// Where it is.
        to: PortId,
    },
    /// A station shows up behind two ports in turn (a loop, or two with one address): it stays where it was for a while.
    StationFlaps {
        /// The station.
        mac: Mac,
        /// Where it stays.
        stays: PortId,
        /// Where else it shows up.
        also: PortId,
    },
    /// A port has as many stations as it may; further ones are not let in.
    PortFull(PortId),
    /// The hub has as many stations as it may; further ones are not let in.
    HubFull,
    /// Somebody behind a port claims a MAC or IP address that is a client's or the hub's.
    AddressConflict {
        /// Behind which port.
        port: PortId,
        /// Who.
        mac: Mac,
        /// The IP address; `None` if it is the MAC address.
        address: Option<Ipv4Addr>,
    },
    /// A DHCP client was given its address, or prolonged it.
    Leased {
        /// Behind which port.
        port: PortId,
        /// The lease.
        lease: lease::Lease,
    },
    /// A DHCP lease ended.
    LeaseExpired(lease::Lease),
    /// A DHCP client was refused.
    DhcpRefused {
        /// Behind which port.
        port: PortId,
        /// Who.
        mac: Mac,
        /// Why.
        why: dhcp::Refusal,
    },
}

/// Effects of the owner's work.
#[derive(Debug, Default)]
pub struct Output {
    /// What happened.
    pub events: Vec<Event>,
    /// Frames of the hub itself: each to one port, or to all of a scope.
    pub frames: Vec<(Forward, PacketBuf)>,
}
