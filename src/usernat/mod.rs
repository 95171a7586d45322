//! A NAT without privilege: what clients of a hub send goes out through ordinary sockets, and what comes back through
//! those goes to them. To the hub it is a router with the gateway's address.
//!
//! | file | holds |
//! |---|---|
//! | [`outside`] | what the shell's sockets do for it |
//! | `link` | the hub's side: ARP, IP, fragments |
//! | `udp` | mappings of UDP and of ICMP echo (RFC 4787, RFC 5508) |
//! | `tcp` | connections: a TCP stack inside, a socket outside (RFC 5382) |
//! | `fragments` | packets that come in pieces |
//!
//! A mapping belongs to a client's address and port, whatever the destination (endpoint-independent), and lets in only
//! what comes from addresses that the client has sent to (address-dependent filtering). Nothing from outside opens one.
//! Connections of one port of a client come from one port of ours, which no other client has.
//!
//! Sans-IO: time and sockets are arguments. Must not know hubs' tables or ports.

mod flows;
mod fragments;
mod link;
pub mod outside;
mod tcp;
mod udp;

#[cfg(test)]
mod tests;

pub use outside::{FlowId, Outside};

use crate::packet::PacketBuf;
use crate::wire::ether::Mac;
use crate::wire::inet::Network;
use flows::Flows;
use fragments::Fragments;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// What one client may have at once, and all together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// TCP connections of a client.
    pub tcp: usize,
    /// UDP mappings of a client; the one unused longest makes room.
    pub udp: usize,
    /// ICMP identifiers of a client.
    pub echo: usize,
    /// Sockets of all clients.
    pub all: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { tcp: 512, udp: 512, echo: 16, all: 8192 }
    }
}

/// How the hub's side looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Our MAC address.
    pub mac: Mac,
    /// Our address: the clients' gateway and name server.
    pub gateway: Ipv4Addr,
    /// The hub's network.
    pub network: Network,
    /// The name servers that questions to the gateway are passed on to.
    pub resolvers: Vec<Ipv4Addr>,
    /// Limits.
    pub limits: Limits,
}

/// A flow, for listings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its number.
    pub flow: FlowId,
    /// `tcp`, `udp`, `dns` (questions to the gateway's name server), `icmp`.
    pub protocol: &'static str,
    /// The client's side; of `icmp` the port is the identifier.
    pub client: SocketAddrV4,
    /// The other side; of a mapping the address that the client has sent to last.
    pub server: Option<SocketAddrV4>,
    /// `open`, `connecting`, `closing`.
    pub state: &'static str,
    /// When it ends if nothing comes.
    pub left: Duration,
}

/// What was not done, for the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Flows that a limit refused.
    pub refused: u64,
    /// Datagrams from addresses that the client never sent to.
    pub unasked: u64,
}

/// The NAT of one hub.
pub struct Nat {
    settings: Settings,
    /// Stations by address, as their frames show.
    stations: BTreeMap<Ipv4Addr, Mac>,
    flows: Flows,
    fragments: Fragments,
    /// TCP flows that have something to do.
    touched: BTreeSet<FlowId>,
    seed: u64,
    ident: u16,
    next_sweep: Option<Instant>,
    began: Instant,
    counts: Counts,
    out: Vec<PacketBuf>,
}

/// How often flows are looked at whether their time is over.
const SWEEP: Duration = Duration::from_secs(5);

impl Nat {
    /// A NAT without flows. `seed` is for sequence numbers.
    #[must_use]
    pub fn new(now: Instant, settings: Settings, seed: u64) -> Self {
        Self {
            settings,
            stations: BTreeMap::new(),
            flows: Flows::default(),
            fragments: Fragments::default(),
            touched: BTreeSet::new(),
            seed,
            ident: 0,
            next_sweep: None,
            began: now,
            counts: Counts::default(),
            out: Vec::new(),
        }
    }

    /// Changes the name servers that questions go to from now on.
    pub fn set_resolvers(&mut self, resolvers: Vec<Ipv4Addr>) {
        self.settings.resolvers = resolvers;
    }

    /// What was not done.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// The flows, in no order that means anything.
    #[must_use]
    pub fn list(&self, now: Instant) -> Vec<Listed> {
        self.flows.iter().map(|(id, flow)| flow.listed(id, now)).collect()
    }

    /// How many flows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is no flow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.len() == 0
    }

    /// Takes the frames for the hub that came about.
    pub fn take_frames(&mut self) -> Vec<PacketBuf> {
        std::mem::take(&mut self.out)
    }

    /// Does what TCP flows have to do after frames and socket events; call once a batch.
    pub fn work(&mut self, now: Instant, outside: &mut impl Outside) {
        while let Some(id) = self.touched.pop_first() {
            self.pump(now, id, outside);
        }
        if self.next_sweep.is_none() && !self.is_empty() {
            self.next_sweep = Some(now + SWEEP);
        }
    }

    /// When [`Self::handle_timeout`] has work.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_sweep.into_iter().chain(self.flows.next_due()).min()
    }

    /// Fires timers: of TCP connections, and of what was unused for too long.
    pub fn handle_timeout(&mut self, now: Instant, outside: &mut impl Outside) {
        while let Some(id) = self.flows.due(now) {
            self.touched.insert(id);
        }
        if self.next_sweep.is_some_and(|at| at <= now) {
            self.next_sweep = None;
            for id in self.flows.idle(now) {
                outside.close(id);
                self.flows.remove(id);
            }
            self.fragments.expire(now);
        }
        self.work(now, outside);
    }

    /// Where a client's packet to `to` goes outside; `None` if it may go nowhere: what is this host's own business, or no
    /// host's address.
    fn target(&self, to: SocketAddrV4) -> Option<SocketAddrV4> {
        let address = *to.ip();
        if address == self.settings.gateway {
            let resolver = self.settings.resolvers.first().filter(|_| to.port() == 53)?;
            return Some(SocketAddrV4::new(*resolver, 53));
        }
        let first = address.octets()[0];
        let nowhere = first == 0
            || first >= 224
            || address.is_loopback()
            || address.is_link_local()
            || self.settings.network.contains(address);
        (!nowhere).then_some(to)
    }
}
