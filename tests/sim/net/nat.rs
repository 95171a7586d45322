//! Network address translators, by the terms of RFC 4787.

use super::{Packet, Proto};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Which packets share a mapping, or pass a filter (RFC 4787 sections 4.1 and 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    EndpointIndependent,
    AddressDependent,
    AddressAndPortDependent,
}

impl Scope {
    fn same(self, a: SocketAddr, b: SocketAddr) -> bool {
        match self {
            Self::EndpointIndependent => true,
            Self::AddressDependent => a.ip() == b.ip(),
            Self::AddressAndPortDependent => a == b,
        }
    }
}

/// Which outside port a new mapping gets (RFC 4787 section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ports {
    /// The inside port if it is free, else the next that is.
    Preserve,
    /// One after the other.
    Sequential,
    /// The lowest that is free: a port whose mapping has expired goes to the next who asks.
    Lowest,
}

#[derive(Clone, Debug)]
struct Mapping {
    inside: SocketAddr,
    outside: u16,
    /// To whom it was opened: what [`Nat::mapping`] compares with.
    towards: SocketAddr,
    /// Whom the inside has sent to: what [`Nat::filtering`] compares with.
    permitted: Vec<SocketAddr>,
    used: Instant,
}

#[derive(Clone, Debug)]
pub struct Nat {
    pub outside: IpAddr,
    pub mapping: Scope,
    pub filtering: Scope,
    pub ports: Ports,
    /// Life of a mapping without outbound packets (RFC 4787 section 4.3 wants two minutes and more; many have less).
    pub expiry: Duration,
    mappings: Vec<Mapping>,
    next_port: u16,
}

impl Nat {
    fn new(mapping: Scope, filtering: Scope, ports: Ports) -> Self {
        let outside = IpAddr::from([0, 0, 0, 0]);
        let expiry = Duration::from_secs(120);
        Self { outside, mapping, filtering, ports, expiry, mappings: Vec::new(), next_port: 20_000 }
    }

    /// A home router: ports are kept, strangers are filtered.
    pub fn home() -> Self {
        Self::new(Scope::EndpointIndependent, Scope::AddressAndPortDependent, Ports::Preserve)
    }

    /// A carrier's: a mapping per destination, ports in sequence.
    pub fn carrier() -> Self {
        Self::new(Scope::AddressAndPortDependent, Scope::AddressAndPortDependent, Ports::Sequential)
    }

    /// Linux: ports are kept, a mapping per destination.
    pub fn linux() -> Self {
        Self::new(Scope::AddressAndPortDependent, Scope::AddressAndPortDependent, Ports::Preserve)
    }

    /// One that gives a port away as soon as it may.
    pub fn stingy() -> Self {
        Self {
            expiry: Duration::from_secs(30),
            ..Self::new(Scope::EndpointIndependent, Scope::AddressDependent, Ports::Lowest)
        }
    }

    pub fn with_expiry(self, expiry: Duration) -> Self {
        Self { expiry, ..self }
    }

    /// How many mappings are alive.
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    /// Forgets everything, as after a restart. Ports that are chosen in sequence go on where they were.
    pub fn forget(&mut self) {
        self.mappings.clear();
    }

    /// Forgets everything and gives other ports from now on.
    pub fn rebind(&mut self) {
        self.forget();
        self.ports = Ports::Sequential;
        self.next_port += 100;
    }

    /// From inside to outside. Only UDP passes: ESP has no ports to tell two insides apart by.
    pub fn outbound(&mut self, now: Instant, mut packet: Packet) -> Option<Packet> {
        if packet.proto == Proto::Esp {
            return None;
        }
        self.expire(now);
        let (inside, to) = (packet.from, packet.to);
        let known = self.mappings.iter().position(|m| m.inside == inside && self.mapping.same(m.towards, to));
        let at = match known {
            Some(at) => at,
            None => {
                let outside = self.free_port(inside.port(), to);
                self.mappings.push(Mapping {
                    inside,
                    outside,
                    towards: to,
                    permitted: Vec::new(),
                    used: now,
                });
                self.mappings.len() - 1
            }
        };
        let mapping = &mut self.mappings[at];
        mapping.used = now;
        if !mapping.permitted.contains(&to) {
            mapping.permitted.push(to);
        }
        packet.from = SocketAddr::new(self.outside, mapping.outside);
        Some(packet)
    }

    /// From outside to inside; `None` if nobody asked for it.
    pub fn inbound(&mut self, now: Instant, mut packet: Packet) -> Option<Packet> {
        if packet.proto == Proto::Esp {
            return None;
        }
        self.expire(now);
        let filtering = self.filtering;
        let mapping = self.mappings.iter().find(|m| {
            m.outside == packet.to.port() && m.permitted.iter().any(|peer| filtering.same(*peer, packet.from))
        })?;
        packet.to = mapping.inside;
        Some(packet)
    }

    fn expire(&mut self, now: Instant) {
        self.mappings.retain(|m| now.saturating_duration_since(m.used) < self.expiry);
    }

    fn free_port(&mut self, wanted: u16, to: SocketAddr) -> u16 {
        // Mappings to different destinations may share a port if the mapping depends on the destination.
        let taken =
            |port| self.mappings.iter().any(|m| m.outside == port && self.mapping.same(m.towards, to));
        let first = match self.ports {
            Ports::Preserve => wanted,
            Ports::Sequential => {
                self.next_port += 1;
                self.next_port
            }
            Ports::Lowest => 20_000,
        };
        (first..).chain(1024..first).find(|port| !taken(*port)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Instant {
        Instant::now()
    }

    fn nat(mut nat: Nat) -> Nat {
        nat.outside = IpAddr::from([203, 0, 113, 1]);
        nat
    }

    const INSIDE: &str = "192.168.1.2:4500";
    const OTHER: &str = "192.168.1.3:4500";
    const SERVER: &str = "198.51.100.1:4500";

    #[test]
    fn a_home_router_keeps_ports_and_filters_strangers() {
        let (mut nat, now) = (nat(Nat::home()), now());
        let out = nat.outbound(now, Packet::udp(INSIDE, SERVER, b"")).unwrap();
        assert_eq!(out.from.to_string(), "203.0.113.1:4500");
        let second = nat.outbound(now, Packet::udp(OTHER, SERVER, b"")).unwrap();
        assert_eq!(second.from.port(), 4501);
        let back = nat.inbound(now, Packet::udp(SERVER, "203.0.113.1:4501", b"")).unwrap();
        assert_eq!(back.to.to_string(), OTHER);
        assert_eq!(nat.inbound(now, Packet::udp("198.51.100.1:500", "203.0.113.1:4501", b"")), None);
    }

    #[test]
    fn a_mapping_ends_and_its_port_goes_to_the_next() {
        let (mut nat, now) = (nat(Nat::stingy()), now());
        let first = nat.outbound(now, Packet::udp(INSIDE, SERVER, b"")).unwrap();
        let later = now + Duration::from_secs(31);
        assert_eq!(nat.inbound(later, Packet::udp(SERVER, &first.from.to_string(), b"")), None);
        let second = nat.outbound(later, Packet::udp(OTHER, SERVER, b"")).unwrap();
        assert_eq!(first.from, second.from);
    }
}
