//! What a port may send: checked for every frame where it enters the hub.

use super::PortId;
use crate::packet::Drop;
use crate::wire::dhcp::CLIENT_PORT;
use crate::wire::ether::{Arp, EtherType, Frame, Mac};
use crate::wire::inet::{Ipv4, Protocol, Udp};
use std::net::Ipv4Addr;

/// Rules of one port. Everything here is enforced by [`Ingress::forward`](super::Ingress::forward).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Discards frames whose source is not the port's own MAC address (client ports always do).
    pub check_mac: bool,
    /// Discards IPv4 and ARP from other addresses than the port's own, and protocols that could not be checked.
    pub check_ip: bool,
    /// Keeps this client and all other clients of the hub apart (SoftEther: privacy filter).
    pub isolated: bool,
    /// Discards what only DHCP and DHCPv6 servers send.
    pub guard_dhcp: bool,
    /// Discards IPv6 router advertisements.
    pub guard_ra: bool,
    /// Discards ARP that claims an address of a client or of the hub.
    pub guard_arp: bool,
    /// How many MAC addresses may be learned behind the port.
    pub max_macs: u32,
    /// How many IPv4 addresses may be learned behind the port; `u32::MAX` is no limit. A limit implies `no_routing`, for
    /// what is not counted must not pass.
    pub max_ips: u32,
    /// Discards IPv4 whose source is not known as its station's own address.
    pub no_routing: bool,
    /// Lets multicast in; broadcasts are another matter.
    pub multicast: bool,
    /// Lets monitors see what the port sends, and what is sent to a client's.
    pub monitored: bool,
    /// Broadcast, multicast and flooded frames from the port.
    pub storm: Storm,
}

impl Policy {
    /// Client mode: one MAC, one address, no bridging, no routing.
    #[must_use]
    pub const fn client() -> Self {
        Self {
            check_mac: true,
            check_ip: true,
            isolated: false,
            guard_dhcp: true,
            guard_ra: true,
            guard_arp: true,
            max_macs: 1,
            max_ips: 1,
            no_routing: true,
            multicast: true,
            monitored: true,
            storm: Storm { per_second: 50, burst: 100 },
        }
    }

    /// Uplinks and bridges: many stations, trusted as far as they do not claim what is the clients'.
    #[must_use]
    pub const fn trunk() -> Self {
        Self {
            check_mac: false,
            check_ip: false,
            isolated: false,
            guard_dhcp: false,
            guard_ra: false,
            guard_arp: true,
            max_macs: 16_384,
            max_ips: u32::MAX,
            no_routing: false,
            multicast: true,
            monitored: true,
            storm: Storm { per_second: 2000, burst: 4000 },
        }
    }
}

/// A limit on frames that are copied to many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Storm {
    /// Frames a second.
    pub per_second: u32,
    /// Frames at once after a quiet time.
    pub burst: u32,
}

/// A token bucket in one word: the time at which all debt is paid (GCRA).
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Bucket {
    paid_at: u64,
}

impl Bucket {
    /// Takes one frame at `now` (nanoseconds of the hub's clock).
    pub(super) fn take(&mut self, now: u64, limit: Storm) -> bool {
        let cost = 1_000_000_000 / u64::from(limit.per_second.max(1));
        let from = self.paid_at.max(now);
        let room = limit.per_second > 0 && from - now < cost * u64::from(limit.burst.max(1));
        if room {
            self.paid_at = from + cost;
        }
        room
    }
}

/// The addresses that a client port has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) mac: Mac,
    pub(super) address: Option<Ipv4Addr>,
}

impl Policy {
    /// Checks a frame of a client port.
    #[inline]
    pub(super) fn admit_client(&self, owner: Owner, bytes: &[u8], frame: &Frame<'_>) -> Result<(), Drop> {
        if self.check_mac && (frame.source != owner.mac || !frame.is_untagged(bytes)) {
            return Err(Drop::SpoofedSource);
        }
        if self.check_ip {
            match frame.ethertype {
                EtherType::IPV4 => {
                    let source = Ipv4::parse(frame.payload)?.source;
                    if Some(source) != owner.address {
                        return Err(Drop::SpoofedSource);
                    }
                }
                EtherType::ARP => {
                    let arp = Arp::parse(frame.payload)?;
                    if arp.sender_mac != owner.mac || Some(arp.sender) != owner.address {
                        return Err(Drop::SpoofedSource);
                    }
                }
                _ => return Err(Drop::NotCarried),
            }
        }
        self.admit_servers(frame)
    }

    /// Whether every IPv4 packet has to come from a known address of its station.
    pub(super) const fn checks_hosts(&self) -> bool {
        self.no_routing || self.max_ips != u32::MAX
    }

    /// Checks that a frame is not a server's where none may be.
    #[inline]
    pub(super) fn admit_servers(&self, frame: &Frame<'_>) -> Result<(), Drop> {
        let rogue = match frame.ethertype {
            EtherType::IPV4 if self.guard_dhcp => to_dhcp_client(frame.payload).is_some(),
            EtherType::IPV6 if self.guard_dhcp | self.guard_ra => {
                let (dhcp, advertisement) = ipv6_server(frame.payload);
                (dhcp && self.guard_dhcp) || (advertisement && self.guard_ra)
            }
            _ => false,
        };
        if rogue { Err(Drop::RogueServer) } else { Ok(()) }
    }
}

/// An IPv4 packet with a datagram to the DHCP client's port (RFC 2131 section 4.1), from whatever port: clients that listen
/// on a raw socket look at no more than that.
pub(super) fn to_dhcp_client(payload: &[u8]) -> Option<(Ipv4<'_>, Udp<'_>)> {
    // A cheap look first: not much is UDP.
    if payload.get(9) != Some(&Protocol::UDP.0) {
        return None;
    }
    let ip = Ipv4::parse(payload).ok()?;
    let udp = ip.udp().filter(|udp| udp.destination == CLIENT_PORT)?;
    Some((ip, udp))
}

/// Whether an IPv6 packet is a DHCPv6 server's (UDP to 546) or a router advertisement (RFC 4861). Extension
/// headers are stepped over (RFC 7113 section 3: else the guard is evaded), later fragments cannot be judged.
fn ipv6_server(payload: &[u8]) -> (bool, bool) {
    let Some((header, mut rest)) = payload.split_first_chunk::<40>() else { return (false, false) };
    let mut next = header[6];
    for _ in 0..8 {
        match (next, rest) {
            (17, [_, _, high, low, ..]) => return (u16::from_be_bytes([*high, *low]) == 546, false),
            (58, [kind, ..]) => return (false, *kind == 134),
            // Hop-by-hop, routing, destination options.
            (0 | 43 | 60, [after, length, ..]) => {
                next = *after;
                let Some(behind) = rest.get(8 + usize::from(*length) * 8..) else { break };
                rest = behind;
            }
            (44, [after, _, offset_high, offset_low, ..]) if *offset_high == 0 && *offset_low & 0xF8 == 0 => {
                next = *after;
                let Some(behind) = rest.get(8..) else { break };
                rest = behind;
            }
            _ => break,
        }
    }
    (false, false)
}

/// Whether two client ports may talk to each other.
pub(super) fn may_meet(from: &Policy, to_isolated: bool) -> bool {
    !from.isolated && !to_isolated
}

/// The port that stands for the hub's own services (DHCP); frames to it go to the hub's owner.
pub(super) const SERVICE: PortId = PortId(u32::MAX);
