//! What every worker sees of a hub: where each MAC address is, which MAC an IPv4 address has, and who hears a flood.
//!
//! [`View`] belongs to the hub and is written by its owner alone; workers take a [`Look`] once per tick. A look is one
//! pointer load, a look-up one or two cache lines, and neither waits for the owner ([`super::table`]).

use super::access;
use super::roster::{self, Roster};
use super::table::{self, KEY, Table};
use super::{Forward, HubId, Ingress, Notices, PortId};
use crate::packet::WorkerId;
use crate::wire::ether::Mac;
use arc_swap::{ArcSwap, Guard};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The clock of ageing: entries note in these steps when they were last seen.
pub(super) const AGE_STEP: Duration = Duration::from_secs(8);
/// Bits of an entry's note of when it was last seen; it wraps after nine hours, far beyond any ageing time.
const SEEN_BITS: u32 = 12;
const SEEN_MASK: u64 = (1 << SEEN_BITS) - 1;
const BODY_MASK: u64 = (1 << 48) - 1;

/// Properties of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flags(u8);

impl Flags {
    /// Learned from frames; ages.
    pub(super) const LEARNED: Self = Self(0);
    /// Of a client port: set when it opens, gone when it closes, never learned elsewhere.
    pub(super) const CLIENT: Self = Self(1);
    /// Set by the owner for an uplink's own station or by an administrator; does not age.
    pub(super) const STATIC: Self = Self(2);
    /// Of a client that other clients may not reach.
    pub(super) const ISOLATED: Self = Self(4);
    /// Of a client that monitors do not see.
    pub(super) const UNWATCHED: Self = Self(8);

    pub(super) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn is_fixed(self) -> bool {
        self.has(Self(Self::CLIENT.0 | Self::STATIC.0))
    }
}

/// The value of an entry: a body (port or MAC), flags, and when it was last seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value(pub(super) u64);

impl Value {
    pub(super) const fn new(body: u64, flags: Flags, seen: u32) -> Self {
        Self(body & BODY_MASK | (flags.0 as u64) << 48 | (seen as u64 & SEEN_MASK) << 52)
    }

    pub(super) const fn port(self) -> PortId {
        PortId(self.0 as u32)
    }

    /// The class of a client, for access lists: in the 16 bits of the body that a port leaves.
    pub(super) const fn class(self) -> u16 {
        if self.flags().has(Flags::CLIENT) { (self.0 >> 32) as u16 } else { 0 }
    }

    pub(super) const fn mac(self) -> Mac {
        Mac::from_u64(self.0 & BODY_MASK)
    }

    pub(super) const fn flags(self) -> Flags {
        Flags((self.0 >> 48 & 0xF) as u8)
    }

    /// Steps since the entry was seen.
    pub(super) const fn age(self, now: u32) -> u32 {
        (now.wrapping_sub((self.0 >> 52) as u32)) & SEEN_MASK as u32
    }

    pub(super) const fn seen(self, now: u32) -> Self {
        Self(self.0 & !(SEEN_MASK << 52) | (now as u64 & SEEN_MASK) << 52)
    }
}

/// Key of a station: its MAC address in its VLAN (0 = untagged).
pub(super) const fn station(mac: Mac, vlan: u16) -> u64 {
    KEY | (vlan as u64) << 48 | mac.to_u64()
}

/// Key of a host: its IPv4 address.
pub(super) const fn host(address: Ipv4Addr) -> u64 {
    KEY | address.to_bits() as u64
}

/// A station in the MAC table, for listings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Station {
    /// Its address.
    pub mac: Mac,
    /// Its VLAN, 0 if untagged.
    pub vlan: u16,
    /// The port behind which it is.
    pub port: PortId,
    /// Whether it was learned (and ages) or set.
    pub learned: bool,
    /// Time since it was last seen, in coarse steps; zero for those that do not age.
    pub idle: Duration,
}

/// A host in the IP table, for listings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Host {
    /// Its address.
    pub address: Ipv4Addr,
    /// The station that has it.
    pub mac: Mac,
    /// Whether it was learned (and ages) or set.
    pub learned: bool,
    /// Time since it was last seen, in coarse steps; zero for those that do not age.
    pub idle: Duration,
}

/// An IPv6 host that neighbour discovery has shown, for listings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Host6 {
    /// Its address.
    pub address: Ipv6Addr,
    /// The station that has it.
    pub mac: Mac,
    /// Behind which port.
    pub port: PortId,
    /// Time since it was last seen, in coarse steps.
    pub idle: Duration,
}

/// How much the floods of one hub may do before they are cut, in time at the budget's rate.
const FLOOD_BURST: Duration = Duration::from_millis(100);

/// A bound on the copies that the floods of a hub make, shared by all workers: debt in time (GCRA), one word. And the
/// number of client ports, which decides how many copies a flood is.
#[derive(Debug)]
pub(super) struct Floods {
    debt_until: AtomicU64,
    nanos_per_copy: u64,
    clients: AtomicUsize,
}

impl Floods {
    fn take(&self, now: u64, copies: u64) -> bool {
        let cost = copies.saturating_mul(self.nanos_per_copy);
        let take = |until: u64| {
            let from = until.max(now);
            // One flood always fits an empty debt, however many ports there are.
            (from - now <= FLOOD_BURST.as_nanos() as u64).then_some(from + cost)
        };
        self.debt_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// One published state. Replaced when a table grows or the set of trunk ports changes; all else changes in place.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) stations: Arc<Table>,
    pub(super) hosts: Arc<Table>,
    pub(super) rosters: Arc<[(WorkerId, Arc<Roster>)]>,
    pub(super) trunks: Arc<[PortId]>,
    pub(super) monitors: Arc<[PortId]>,
    pub(super) floods: Arc<Floods>,
    pub(super) service: Service,
    pub(super) access: Arc<access::Compiled>,
}

/// Which DHCP requests the hub's owner answers itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Service {
    /// Of client ports (DHCPINFORM).
    pub(super) clients: bool,
    /// Of uplink and bridge ports (the whole server).
    pub(super) trunks: bool,
    /// The server's own address: requests to it and to all are its.
    pub(super) address: Option<Ipv4Addr>,
}

/// The published look-up tables of one hub. Shared; read through [`View::look`].
#[derive(Debug)]
pub struct View {
    hub: HubId,
    base: Instant,
    tables: ArcSwap<Tables>,
}

impl View {
    pub(super) fn new(hub: HubId, base: Instant, tables: Tables) -> Self {
        Self { hub, base, tables: ArcSwap::from_pointee(tables) }
    }

    pub(super) fn publish(&self, tables: Tables) {
        self.tables.store(Arc::new(tables));
    }

    /// The hub that this is of.
    #[must_use]
    pub fn hub(&self) -> HubId {
        self.hub
    }

    /// The step of the ageing clock at `now`.
    pub(super) fn step(&self, now: Instant) -> u32 {
        (now.saturating_duration_since(self.base).as_secs() / AGE_STEP.as_secs()) as u32
    }

    /// When a step begins.
    pub(super) fn step_at(&self, step: u32) -> Instant {
        self.base + AGE_STEP * step
    }

    /// What there is to see at `now`. Take one per tick and use it for all frames of the tick; holding it longer only
    /// keeps a replaced table alive.
    #[must_use]
    pub fn look(&self, now: Instant) -> Look {
        Look {
            hub: self.hub,
            tables: self.tables.load(),
            step: self.step(now),
            nanos: now.saturating_duration_since(self.base).as_nanos() as u64,
        }
    }
}

impl View {
    /// Decides where a frame goes: [`Ingress::forward`] with a look of its own. With many frames at hand take one
    /// [`Self::look`] for all.
    #[inline]
    pub fn forward(&self, now: Instant, from: &mut Ingress, frame: &[u8], notices: &mut Notices) -> Forward {
        from.forward(&self.look(now), frame, notices)
    }

    /// The station that has an IPv4 address: [`Look::mac_of`].
    #[must_use]
    pub fn mac_of(&self, address: Ipv4Addr) -> Option<Mac> {
        self.tables.load().hosts.find(host(address)).map(|value| Value(value).mac())
    }
}

/// Who hears a frame that is not for one port.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Every port but the sender's: broadcast and multicast.
    All,
    /// Like [`Scope::All`] but without clients that are kept apart: a broadcast from a client.
    Open,
    /// Uplink and bridge ports alone: stations that no client port can have, and broadcasts of isolated clients.
    Trunks,
}

/// What a worker sees of a hub during one tick.
pub struct Look {
    hub: HubId,
    tables: Guard<Arc<Tables>>,
    step: u32,
    nanos: u64,
}

impl Look {
    /// The hub that this is of.
    #[must_use]
    pub fn hub(&self) -> HubId {
        self.hub
    }

    /// The step of the ageing clock.
    pub(super) fn step(&self) -> u32 {
        self.step
    }

    /// Time since the hub began.
    pub(super) fn nanos(&self) -> u64 {
        self.nanos
    }

    pub(super) fn service(&self) -> Service {
        self.tables.service
    }

    /// The access list.
    #[inline]
    pub(super) fn access(&self) -> &access::Compiled {
        &self.tables.access
    }

    /// The class of the client that has a MAC address; 0 if it is no client's.
    #[inline]
    pub(super) fn class_of(&self, mac: Mac) -> u16 {
        self.station(mac, 0).map_or(0, Value::class)
    }

    #[inline]
    pub(super) fn station(&self, mac: Mac, vlan: u16) -> Option<Value> {
        self.tables.stations.find(station(mac, vlan)).map(Value)
    }

    #[inline]
    pub(super) fn host(&self, address: Ipv4Addr) -> Option<Value> {
        self.tables.hosts.find(host(address)).map(Value)
    }

    /// Notes that a station was seen; costs a write once per [`AGE_STEP`].
    #[inline]
    pub(super) fn touch_station(&self, mac: Mac, vlan: u16, value: Value) {
        if value.age(self.step) != 0 {
            self.tables.stations.touch(station(mac, vlan), value.0, value.seen(self.step).0);
        }
    }

    /// Notes that a host was seen.
    pub(super) fn touch_host(&self, address: Ipv4Addr, value: Value) {
        if value.age(self.step) != 0 {
            self.tables.hosts.touch(host(address), value.0, value.seen(self.step).0);
        }
    }

    /// Whether there is an uplink or bridge port other than `port`.
    pub(super) fn has_trunk_beside(&self, port: PortId) -> bool {
        self.tables.trunks.iter().any(|trunk| *trunk != port)
    }

    /// Takes `scope`'s copies from the hub's flood budget.
    pub(super) fn take_flood(&self, scope: Scope) -> bool {
        let clients = if scope == Scope::Trunks { 0 } else { self.clients() };
        self.tables.floods.take(self.nanos, (clients + self.tables.trunks.len()) as u64)
    }

    /// The port of an untagged station, if it is known.
    #[must_use]
    pub fn port_of(&self, mac: Mac) -> Option<PortId> {
        self.station(mac, 0).map(Value::port)
    }

    /// The station that has an IPv4 address, if it is known: spares a link's neighbour look-up its ARP request.
    #[must_use]
    #[inline]
    pub fn mac_of(&self, address: Ipv4Addr) -> Option<Mac> {
        self.host(address).map(Value::mac)
    }

    /// The ports of `worker` that hear a flood of `scope` from `from`, in a stable order.
    pub fn flood(&self, scope: Scope, from: PortId, worker: WorkerId) -> impl Iterator<Item = PortId> {
        let rosters = if scope == Scope::Trunks { &[][..] } else { &self.tables.rosters };
        let clients = rosters.iter().filter(move |(of, _)| *of == worker);
        let clients = clients.flat_map(move |(_, roster)| roster.ports(scope == Scope::Open));
        let trunks = self.tables.trunks.iter().copied().filter(move |port| port.worker() == worker);
        trunks.chain(clients).filter(move |port| *port != from)
    }

    /// The workers that have ports which hear floods of `scope`; each copies for its own ports.
    pub fn flood_workers(&self, scope: Scope) -> impl Iterator<Item = WorkerId> {
        let mut seen = [0_u64; 4];
        let rosters = if scope == Scope::Trunks { &[][..] } else { &self.tables.rosters };
        let clients = rosters.iter().map(|(worker, _)| *worker);
        let workers = self.tables.trunks.iter().map(|port| port.worker()).chain(clients);
        workers.filter(move |worker| {
            let (word, bit) = (usize::from(worker.0 / 64), 1 << (worker.0 % 64));
            let first = seen[word] & bit == 0;
            seen[word] |= bit;
            first
        })
    }

    /// Ports that get a copy of every frame that is forwarded.
    #[must_use]
    pub fn monitors(&self) -> &[PortId] {
        &self.tables.monitors
    }

    /// The monitors that may see a frame of a port: none where sender or receiver is not to be watched.
    #[must_use]
    pub fn monitors_of(&self, from: &Ingress, frame: &[u8]) -> &[PortId] {
        let monitors = self.monitors();
        if monitors.is_empty() || !from.policy().monitored {
            return &[];
        }
        let receiver = frame.first_chunk().map(|mac| Mac(*mac)).and_then(|mac| self.station(mac, 0));
        if receiver.is_some_and(|station| station.flags().has(Flags::UNWATCHED)) { &[] } else { monitors }
    }

    /// Number of client ports.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.tables.floods.clients.load(Ordering::Relaxed)
    }

    /// Lists stations: at most `limit`, from `cursor` on (start with 0). Returns where to go on, or `None` at the end.
    /// Order is the table's. Nothing stalls: keep the look for a consistent listing, the owner and the workers go on.
    #[must_use]
    pub fn stations(&self, cursor: usize, limit: usize) -> (Vec<Station>, Option<usize>) {
        let row = |(_, key, value): (usize, u64, u64)| {
            let value = Value(value);
            let (learned, idle) = self.freshness(value);
            let (mac, vlan) = (Mac::from_u64(key & BODY_MASK), (key >> 48 & 0x0FFF) as u16);
            Station { mac, vlan, port: value.port(), learned, idle }
        };
        page(&self.tables.stations, cursor, limit, row)
    }

    /// Lists hosts, like [`Self::stations`].
    #[must_use]
    pub fn hosts(&self, cursor: usize, limit: usize) -> (Vec<Host>, Option<usize>) {
        let row = |(_, key, value): (usize, u64, u64)| {
            let value = Value(value);
            let (learned, idle) = self.freshness(value);
            Host { address: Ipv4Addr::from_bits(key as u32), mac: value.mac(), learned, idle }
        };
        page(&self.tables.hosts, cursor, limit, row)
    }

    fn freshness(&self, value: Value) -> (bool, Duration) {
        let learned = !value.flags().is_fixed();
        (learned, if learned { AGE_STEP * value.age(self.step) } else { Duration::ZERO })
    }
}

fn page<T>(
    table: &Table,
    cursor: usize,
    limit: usize,
    row: impl Fn((usize, u64, u64)) -> T,
) -> (Vec<T>, Option<usize>) {
    let mut entries = table.entries(cursor).peekable();
    let rows = entries.by_ref().take(limit).map(row).collect();
    let next = entries.peek().map(|(at, ..)| *at);
    (rows, next)
}

/// The writer's side of everything published.
#[derive(Debug)]
pub(super) struct Owned {
    pub(super) stations: table::Owned,
    pub(super) hosts: table::Owned,
    rosters: Vec<(WorkerId, roster::Owned)>,
    pub(super) trunks: Vec<PortId>,
    pub(super) monitors: Vec<PortId>,
    pub(super) service: Service,
    pub(super) access: Arc<access::Compiled>,
    floods: Arc<Floods>,
    /// Something changed that readers only see once it is published.
    stale: bool,
}

impl Owned {
    pub(super) fn new(seeds: [[u64; 2]; 2], service: Service, copies_per_second: u32) -> Self {
        let nanos_per_copy = 1_000_000_000 / u64::from(copies_per_second.max(1));
        let (debt_until, clients) = (AtomicU64::new(0), AtomicUsize::new(0));
        Self {
            floods: Arc::new(Floods { debt_until, nanos_per_copy, clients }),
            stations: table::Owned::new(seeds[0]),
            hosts: table::Owned::new(seeds[1]),
            rosters: Vec::new(),
            trunks: Vec::new(),
            monitors: Vec::new(),
            service,
            access: Arc::default(),
            stale: false,
        }
    }

    /// Adds a client port to those that hear floods; returns its slot.
    pub(super) fn add_client(&mut self, port: PortId, isolated: bool) -> u32 {
        let worker = port.worker();
        let at = self.rosters.iter().position(|(of, _)| *of == worker).unwrap_or_else(|| {
            self.rosters.push((worker, roster::Owned::new()));
            self.rosters.len() - 1
        });
        let (slot, replaced) = self.rosters[at].1.add(port, isolated);
        self.stale |= replaced;
        self.floods.clients.fetch_add(1, Ordering::Relaxed);
        slot
    }

    /// Changes whether other clients' floods reach a client port.
    pub(super) fn set_client(&mut self, slot: u32, port: PortId, isolated: bool) {
        if let Some((_, roster)) = self.rosters.iter_mut().find(|(of, _)| *of == port.worker()) {
            roster.set(slot, port, isolated);
        }
    }

    /// Takes a client port out.
    pub(super) fn remove_client(&mut self, slot: u32, port: PortId) {
        let Some(at) = self.rosters.iter().position(|(of, _)| *of == port.worker()) else { return };
        self.floods.clients.fetch_sub(1, Ordering::Relaxed);
        if self.rosters[at].1.remove(slot) {
            self.rosters.remove(at);
            self.stale = true;
        }
    }

    /// Notes that trunks, monitors or the service changed.
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    /// Publishes what is not visible in place.
    pub(super) fn publish(&mut self, view: &View) {
        let rebuilt = self.stations.take_rebuilt() | self.hosts.take_rebuilt();
        if std::mem::take(&mut self.stale) | rebuilt {
            view.publish(self.tables());
        }
    }

    pub(super) fn tables(&self) -> Tables {
        let rosters = self.rosters.iter().map(|(worker, roster)| (*worker, Arc::clone(roster.roster())));
        Tables {
            stations: Arc::clone(self.stations.table()),
            hosts: Arc::clone(self.hosts.table()),
            rosters: rosters.collect(),
            trunks: self.trunks.as_slice().into(),
            monitors: self.monitors.as_slice().into(),
            floods: Arc::clone(&self.floods),
            service: self.service,
            access: Arc::clone(&self.access),
        }
    }
}
