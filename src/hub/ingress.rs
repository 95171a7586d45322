//! A worker's side of a port: what one of its links or uplinks needs to send frames into the hub. Plain state of one
//! worker; the hub's owner is asked only through [`Notice`]s.

use super::HubId;
use super::fdb::{Flags, Look, Scope, Value};
use super::leasing::{self, Talk};
use super::nd::{self, Told};
use super::policy::{Bucket, Owner, Policy, SERVICE, may_meet};
use super::snoop;
use crate::packet::{Drop, WorkerId};
use crate::wire::ether::{Arp, ArpOperation, EtherType, Frame, Mac};
use crate::wire::inet::{Ipv4, Protocol};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of a port, unique in the process while it is open: the worker in the top byte, and 24 bits that the worker
/// chooses. A frame that waits in a queue may outlive its port, so a worker compares the hub of frame and port before it
/// delivers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PortId(pub u32);

impl PortId {
    /// The hub's own services; frames to this port go to [`Hub::handle_frame`](super::Hub::handle_frame).
    pub const SERVICE: Self = SERVICE;

    /// Port `slot` (24 bits) of `worker`. Worker 255 is the hub's owner.
    #[must_use]
    pub const fn new(worker: WorkerId, slot: u32) -> Self {
        Self((worker.0 as u32) << 24 | slot & 0x00FF_FFFF)
    }

    /// The worker whose port it is.
    #[must_use]
    pub const fn worker(self) -> WorkerId {
        WorkerId((self.0 >> 24) as u8)
    }

    /// The worker's own number of the port.
    #[must_use]
    pub const fn slot(self) -> u32 {
        self.0 & 0x00FF_FFFF
    }
}

impl std::fmt::Display for PortId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.worker().0, self.slot())
    }
}

/// What is plugged into a port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A PPP link: one MAC address, one IP address, no bridging, no routing.
    Client,
    /// The hub's way out: a NAT, a TAP.
    Uplink,
    /// A segment with stations of its own: a local bridge, a site link.
    Bridge,
    /// A layer-3 switch: one station, with addresses that are known. Floods do not reach it.
    Router,
    /// Receives every frame, sends none.
    Monitor,
}

/// Where a frame goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a frame goes nowhere by itself"]
pub enum Forward {
    /// To this port.
    To(PortId),
    /// To every port of a scope: [`Look::flood`].
    Flood(Scope),
    /// Nowhere, for this reason.
    Discard(Drop),
}

/// What the hub's owner has to hear about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// A station that is not known, or known behind another port.
    Station {
        /// Behind which port.
        port: PortId,
        /// Its address.
        mac: Mac,
        /// Its VLAN, 0 if untagged.
        vlan: u16,
    },
    /// An address that a station claims by ARP, or is given by DHCP, and that is not known as its own.
    Host {
        /// Behind which port.
        port: PortId,
        /// The address.
        address: Ipv4Addr,
        /// Who claims it.
        mac: Mac,
    },
    /// An IPv6 address that neighbour discovery shows.
    Host6 {
        /// Behind which port.
        port: PortId,
        /// The address.
        address: Ipv6Addr,
        /// Whose it is.
        mac: Mac,
    },
    /// A station that claims a client's or the hub's MAC or IP address; its frame was discarded.
    Conflict {
        /// Behind which port.
        port: PortId,
        /// Who.
        mac: Mac,
        /// The address that it claims; `None` if it is the MAC address itself.
        address: Option<Ipv4Addr>,
    },
}

/// Notices of one hub during one tick: bounded, repetitions left out. What does not fit is lost and will be noticed
/// again with the station's next frame.
#[derive(Debug, Default)]
pub struct Notices {
    list: Vec<Notice>,
    /// How many did not fit.
    pub lost: u64,
}

impl Notices {
    /// How many notices one tick may produce.
    pub const LIMIT: usize = 64;

    pub(super) fn push(&mut self, notice: Notice) {
        if self.list.contains(&notice) {
            return;
        }
        if self.list.len() < Self::LIMIT {
            self.list.push(notice);
        } else {
            self.lost += 1;
        }
    }

    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes all notices, for [`Hub::handle_notice`](super::Hub::handle_notice).
    pub fn drain(&mut self) -> impl Iterator<Item = Notice> {
        self.list.drain(..)
    }
}

/// What the owner tells a port's worker without a message.
#[derive(Debug, Default)]
pub(super) struct Gate {
    /// The port is closed: nothing more may come from it.
    pub(super) closed: AtomicBool,
    /// No further station may be learned behind the port.
    pub(super) full: AtomicBool,
    /// No further address may be learned behind the port.
    pub(super) hosts_full: AtomicBool,
}

/// A worker's side of a port. It can only be made by [`Hub`](super::Hub).
#[derive(Debug)]
pub struct Ingress {
    hub: HubId,
    id: PortId,
    kind: Kind,
    owner: Owner,
    policy: Policy,
    storm: Bucket,
    gate: Arc<Gate>,
    /// Whether the address comes from a DHCP server of the LAN.
    leases: bool,
    /// IPv6 addresses that the owner has been told of.
    told: Told,
}

impl Ingress {
    pub(super) fn new(hub: HubId, id: PortId, kind: Kind, mac: Mac, policy: Policy, gate: Arc<Gate>) -> Self {
        let owner = Owner { mac, address: None };
        Self {
            hub,
            id,
            kind,
            owner,
            policy,
            storm: Bucket::default(),
            gate,
            leases: false,
            told: Told::default(),
        }
    }

    /// The port's number.
    #[must_use]
    pub fn id(&self) -> PortId {
        self.id
    }

    /// The hub that it belongs to.
    #[must_use]
    pub fn hub(&self) -> HubId {
        self.hub
    }

    /// What is plugged in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The client's MAC address; zero for other kinds.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.owner.mac
    }

    /// The client's IPv4 address, once it has one.
    #[must_use]
    pub fn address(&self) -> Option<Ipv4Addr> {
        self.owner.address
    }

    /// Sets the client's IPv4 address (from [`Hub::assign`](super::Hub::assign)); until then it can send nothing.
    pub fn set_address(&mut self, address: Option<Ipv4Addr>) {
        self.owner.address = address;
    }

    /// Lets a client port ask a DHCP server of the LAN for its address, and prolong it.
    pub fn allow_leasing(&mut self) {
        self.leases = true;
    }

    /// The rules in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Changes the rules. The owner has to know too: [`Hub::set_policy`](super::Hub::set_policy).
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Decides where a frame from this port goes. Its cost does not depend on the number of ports; nothing is allocated
    /// (but for the first notices of a tick).
    #[inline]
    pub fn forward(&mut self, look: &Look, frame: &[u8], notices: &mut Notices) -> Forward {
        self.decide(look, frame, notices).unwrap_or_else(Forward::Discard)
    }

    fn decide(&mut self, look: &Look, bytes: &[u8], notices: &mut Notices) -> Result<Forward, Drop> {
        // The wrong hub's look would be a breach between hubs: never, whatever went wrong before.
        if look.hub() != self.hub || self.gate.closed.load(Ordering::Acquire) {
            return Err(Drop::NoPort);
        }
        let frame = Frame::parse(bytes)?;
        if !frame.source.is_unicast() {
            return Err(Drop::SpoofedSource);
        }
        if frame.destination.is_bridge_local() {
            return Err(Drop::NotCarried);
        }
        if self.leases
            && let Some(talk) = leasing::talk(self.owner.mac, self.owner.address, bytes, &frame)
        {
            if talk == Talk::Probe {
                return self.forward_many(look, &frame);
            }
            // Servers are in the LAN: other clients need not hear it.
            if frame.destination.is_multicast() {
                return self.take_flood(look, Some(Scope::Trunks)).map(|()| Forward::Flood(Scope::Trunks));
            }
            return self.forward_one(look, &frame);
        }
        match self.kind {
            Kind::Client => self.policy.admit_client(self.owner, bytes, &frame)?,
            Kind::Uplink | Kind::Bridge | Kind::Router => {
                self.admit_station(look, &frame, notices)?;
                self.policy.admit_servers(&frame)?;
                snoop::notice(look, &frame, notices);
            }
            Kind::Monitor => return Err(Drop::Policy),
        }
        if frame.destination.is_multicast() && !frame.destination.is_broadcast() && !self.policy.multicast {
            return Err(Drop::Policy);
        }
        let access = look.access();
        if !access.is_empty() && !access.passes(&frame, bytes.len(), |mac| look.class_of(mac)) {
            return Err(Drop::AccessList);
        }
        if self.is_for_service(look, &frame) {
            return self.take_flood(look, None).map(|()| Forward::To(PortId::SERVICE));
        }
        if frame.destination.is_multicast() {
            self.forward_many(look, &frame)
        } else {
            self.forward_one(look, &frame)
        }
    }

    fn forward_one(&mut self, look: &Look, frame: &Frame<'_>) -> Result<Forward, Drop> {
        let vlan = frame.vlan.unwrap_or(0);
        let Some(station) = look.station(frame.destination, vlan) else {
            // Every client's MAC address is known, so an unknown station can only be behind a trunk.
            self.take_flood(look, Some(Scope::Trunks))?;
            return Ok(Forward::Flood(Scope::Trunks));
        };
        if station.port() == PortId::SERVICE {
            // The hub itself is asked for addresses alone; it routes nothing.
            let arp = frame.ethertype == EtherType::ARP;
            return if arp {
                self.take_flood(look, None).map(|()| Forward::To(PortId::SERVICE))
            } else {
                Err(Drop::NoPort)
            };
        }
        self.meet(station)
    }

    /// Whether this port may send to the station's.
    fn meet(&self, station: Value) -> Result<Forward, Drop> {
        let port = station.port();
        if port == self.id {
            // Same segment: its receiver has it already.
            return Err(Drop::NoPort);
        }
        let flags = station.flags();
        let both_clients = self.kind == Kind::Client && flags.has(Flags::CLIENT);
        if both_clients && !may_meet(&self.policy, flags.has(Flags::ISOLATED)) {
            return Err(Drop::Isolated);
        }
        Ok(Forward::To(port))
    }

    fn forward_many(&mut self, look: &Look, frame: &Frame<'_>) -> Result<Forward, Drop> {
        let from_client = self.kind == Kind::Client;
        let mut scope = match (from_client, self.policy.isolated) {
            (true, true) => Scope::Trunks,
            (true, false) => Scope::Open,
            (false, _) => Scope::All,
        };
        if frame.ethertype == EtherType::ARP {
            // The addresses of all clients are known: a request for one goes to its port alone, any other concerns no
            // client. A hub of 50,000 links must not copy every ARP request of a LAN 50,000 times.
            let arp = Arp::parse(frame.payload)?;
            let asks = arp.operation == ArpOperation::REQUEST && arp.target != arp.sender;
            let station = look.host(arp.target).and_then(|host| look.station(host.mac(), 0));
            let alone =
                |station: &Value| station.flags().has(Flags::CLIENT) || station.port() == PortId::SERVICE;
            if let Some(station) = station.filter(alone).filter(|_| asks) {
                return self.meet(station);
            }
            // So are those of routers, which hear no floods.
            if let Some(station) = station.filter(|station| asks && station.flags().is_fixed()) {
                self.take_flood(look, None)?;
                return self.meet(station);
            }
        }
        if frame.ethertype != EtherType::IPV4 || frame.vlan.is_some() {
            // Links carry IPv4: neighbour discovery and spanning trees of a LAN need not be copied to each of them.
            scope = Scope::Trunks;
        }
        self.take_flood(look, Some(scope))?;
        Ok(Forward::Flood(scope))
    }

    /// Counts a frame that costs more than one delivery against the limits of port and hub.
    fn take_flood(&mut self, look: &Look, scope: Option<Scope>) -> Result<(), Drop> {
        if scope == Some(Scope::Trunks) && !look.has_trunk_beside(self.id) {
            // The rest of a LAN's traffic, seen by the only bridge: it must not use up what broadcasts may.
            return Err(Drop::NoPort);
        }
        if !self.storm.take(look.nanos(), self.policy.storm) {
            return Err(Drop::Storm);
        }
        match scope {
            Some(scope) if !look.take_flood(scope) => Err(Drop::Storm),
            _ => Ok(()),
        }
    }

    /// Whether the hub's own DHCP server answers this frame.
    fn is_for_service(&self, look: &Look, frame: &Frame<'_>) -> bool {
        let service = look.service();
        let serves = if self.kind == Kind::Client { service.clients } else { service.trunks };
        if !serves || frame.ethertype != EtherType::IPV4 || frame.payload.get(9) != Some(&Protocol::UDP.0) {
            return false;
        }
        let Ok(ip) = Ipv4::parse(frame.payload) else { return false };
        let here = ip.destination.is_broadcast() || Some(ip.destination) == service.address;
        here && ip.udp().is_some_and(|udp| udp.destination == 67)
    }

    /// Looks at the sender of a trunk's frame: known here, new, moved, or somebody who claims what is not its own.
    fn admit_station(&mut self, look: &Look, frame: &Frame<'_>, notices: &mut Notices) -> Result<(), Drop> {
        let (port, mac, vlan) = (self.id, frame.source, frame.vlan.unwrap_or(0));
        match look.station(mac, vlan) {
            Some(value) if value.port() == port => {
                if !value.flags().is_fixed() {
                    look.touch_station(mac, vlan, value);
                }
            }
            // A client's frame that comes back, by a loop or by design.
            Some(value) if value.flags().is_fixed() => {
                notices.push(Notice::Conflict { port, mac, address: None });
                return Err(Drop::SpoofedSource);
            }
            Some(_) => notices.push(Notice::Station { port, mac, vlan }),
            None if self.gate.full.load(Ordering::Relaxed) => {
                return Err(Drop::MacLimit);
            }
            None => notices.push(Notice::Station { port, mac, vlan }),
        }
        if frame.ethertype == EtherType::ARP && vlan == 0 {
            self.admit_arp(look, frame, notices)?;
        }
        if frame.ethertype == EtherType::IPV6
            && vlan == 0
            && let Some(address) = nd::claim(frame.payload)
            && self.told.is_news(address, mac, look.step())
        {
            notices.push(Notice::Host6 { port, address, mac });
        }
        if self.policy.checks_hosts() && frame.ethertype == EtherType::IPV4 && vlan == 0 {
            self.admit_host(look, frame)?;
        }
        Ok(())
    }

    /// Where routers are not wanted, a station sends from its own addresses alone, and has shown them by ARP. (A DHCP client
    /// has none yet.)
    fn admit_host(&self, look: &Look, frame: &Frame<'_>) -> Result<(), Drop> {
        let source = Ipv4::parse(frame.payload)?.source;
        let pinned = look.station(frame.source, 0).is_some_and(|station| station.flags().is_fixed());
        if source.is_unspecified() || pinned {
            return Ok(());
        }
        let own = look.host(source).filter(|host| host.mac() == frame.source).ok_or(Drop::SpoofedSource)?;
        if !own.flags().is_fixed() {
            // A long transfer needs no ARP: what it sends shows the address as well.
            look.touch_host(source, own);
        }
        Ok(())
    }

    /// Snoops the sender's address from ARP; a probe (RFC 5227) claims none yet.
    fn admit_arp(&self, look: &Look, frame: &Frame<'_>, notices: &mut Notices) -> Result<(), Drop> {
        let arp = Arp::parse(frame.payload)?;
        let (port, address, mac) = (self.id, arp.sender, arp.sender_mac);
        if address.is_unspecified() || !mac.is_unicast() {
            return Ok(());
        }
        match look.host(address) {
            Some(value) if value.mac() == mac => {
                if !value.flags().is_fixed() {
                    look.touch_host(address, value);
                }
            }
            Some(value) if value.flags().is_fixed() => {
                notices.push(Notice::Conflict { port, mac, address: Some(address) });
                if self.policy.guard_arp {
                    return Err(Drop::SpoofedSource);
                }
            }
            None if self.gate.hosts_full.load(Ordering::Relaxed) => return Err(Drop::IpLimit),
            _ => notices.push(Notice::Host { port, address, mac }),
        }
        Ok(())
    }
}
