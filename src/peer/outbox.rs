//! What a tick of a peer leaves behind for its worker to carry out.

use super::{Ask, LinkKey, PeerKey};
use crate::crypto::dh::DhJob;
use crate::crypto::engine::SealJob;
use crate::hub::{Ingress, PortId, View};
use crate::packet::{PacketBuf, Path, Transmit, WorkerId};
use crate::story::{AttemptId, Cause};
use crate::wire::isakmp::Cookie;
use std::sync::Arc;

/// An Ethernet frame that a port sends into its hub.
pub struct Frame {
    /// The sending port.
    pub from: PortId,
    /// The frame.
    pub buf: PacketBuf,
}

/// Who waits for a Diffie-Hellman result.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DhTag {
    /// A half-open Main Mode, by the responder cookie that we chose.
    MainMode(u64),
    /// A Quick Mode with PFS of this peer, by the number that its IKE machine gave it.
    QuickMode(PeerKey, crate::ike::DhTag),
}

/// An inbound SPI that begins or ceases to be ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpiChange {
    /// Packets with this SPI are for this peer from now on.
    Add(u32),
    /// No longer.
    Remove(u32),
}

/// Effects of a tick, in the order in which they came about.
#[derive(Default)]
pub struct Outbox {
    /// Datagrams ready to go (IKE; clear-text L2TP).
    pub transmits: Vec<Transmit>,
    /// Packets to encrypt.
    pub seal: Vec<SealJob>,
    /// The way of each of them, in the same order.
    pub seal_paths: Vec<Path>,
    /// Frames into hubs.
    pub frames: Vec<Frame>,
    /// Questions and news for the gatehouse.
    pub asks: Vec<Ask>,
    /// Buffers of packets that end here, for the worker's pool.
    pub spent: Vec<PacketBuf>,
    /// Exponentiations for the pool.
    pub dh: Vec<(DhTag, DhJob)>,
    /// SPIs of the peer in hand; the worker files them.
    pub spis: Vec<SpiChange>,
    /// Links that want a port number: the worker sets one aside and asks the gatehouse.
    pub port_wishes: Vec<(LinkKey, Option<std::net::Ipv4Addr>)>,
    /// Ports that the gatehouse has opened, for the worker's table.
    pub opened_ports: Vec<(Ingress, Arc<View>)>,
    /// Ports whose address is known now.
    pub addressed_ports: Vec<(PortId, std::net::Ipv4Addr)>,
    /// Responder cookies of ISAKMP SAs that have ended.
    pub dead_cookies: Vec<Cookie>,
    /// Port numbers that go back to the worker.
    pub freed_ports: Vec<PortId>,
    /// How many attempts have begun.
    attempts: u64,
}

impl Outbox {
    /// The name of a new attempt.
    pub fn next_attempt(&mut self, worker: WorkerId) -> AttemptId {
        self.attempts += 1;
        AttemptId::new(worker, self.attempts)
    }

    /// A link leaves its hub, and the port that it has is free again.
    pub fn leave(&mut self, link: LinkKey, port: Option<PortId>, cause: Cause) {
        self.asks.push(Ask::Leave { link, cause });
        self.freed_ports.extend(port);
    }

    /// Queues an ISAKMP message, with the marker that tells it from ESP on port 4500 (RFC 3948 section 2.2).
    pub fn transmit_ike(&mut self, mut transmit: Transmit) {
        if transmit.path.encap == crate::packet::Encap::NatT {
            transmit.buf.put_front(&[0; 4]);
        }
        self.transmits.push(transmit);
    }
}
