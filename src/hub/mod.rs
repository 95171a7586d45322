//! A virtual hub: the Ethernet switch that links, bridges, uplinks and monitors are plugged into.
//!
//! Two halves. [`Hub`] is the one owner of what changes: ports, learned stations, leases; it lives with the gatehouse
//! and sees a frame only when something is new. [`View`] is what it publishes: every worker forwards by it without
//! waiting for anybody, at a cost that does not depend on the number of ports ([`Ingress::forward`]). What a worker finds
//! out comes back as [`Notice`]s.
//!
//! | file | holds |
//! |---|---|
//! | `table`, `roster`, `fdb` | what is published, and how readers and the one writer share it |
//! | `ingress`, `policy` | a worker's side of a port: checks, storm limit, the decision |
//! | `access` | the ordered rules that let frames pass or not |
//! | `learning` | ageing without scans, damping of stations that flap |
//! | `permit` | what it takes to open a port |
//! | `lease`, `interval`, `snapshot` | addresses: who has which, on disk too |
//! | `filter` | what a monitor wants to see |
//! | `leasing` | addresses that a LAN gives |
//! | `nd` | IPv6 addresses, for listings |
//! | `snoop` | addresses that DHCP servers of a LAN give to its stations |
//! | `dhcp`, `service` | the leases' second way out: DHCP on the wire |
//!
//! Must not know what is on the other side of a port, nor do I/O.

pub mod access;
pub mod dhcp;
mod event;
mod fdb;
pub mod filter;
mod ingress;
mod interval;
mod learning;
pub mod lease;
mod leasing;
mod lists;
mod mac;
mod nd;
mod permit;
mod policy;
mod pool;
mod roster;
mod service;
pub mod snapshot;
mod snoop;
mod stations;
mod table;

pub use event::{Event, Output};
pub use fdb::{Host, Host6, Look, Scope, Station, View};
pub use ingress::{Forward, Ingress, Kind, Notice, Notices, PortId};
pub use mac::stable_mac;
pub use permit::{KnownStation, UplinkPermit};
pub use policy::{Policy, Storm};
pub use stations::EntryError;

pub use crate::wire::ether::Mac;

use crate::entropy::Entropy;
use crate::identity::{Authenticated, folded, same_name};
use dhcp::Route;
use fdb::{Flags, Service, Value, station};
use ingress::Gate;
use learning::{Movers, Turns};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Number of a hub, unique in the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct HubId(pub u32);

/// How many links of the same user and device get a predictable MAC address of their own.
const PREDICTABLE_INSTANCES: u32 = 8;

/// Rules of one hub.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Addresses.
    pub leases: Arc<lease::Settings>,
    /// How many ports may be open at once.
    pub max_ports: usize,
    /// How many stations may be learned.
    pub max_stations: usize,
    /// How many hosts' addresses may be learned.
    pub max_hosts: usize,
    /// How long a learned station is kept after its last frame.
    pub station_ageing: Duration,
    /// How long a learned address is kept after its station has last shown it.
    pub host_ageing: Duration,
    /// How many copies all floods together may make in a second.
    pub flood_copies_per_second: u32,
    /// The rules of client ports that have none of their own.
    pub client: Policy,
    /// DHCP on the wire and over links.
    pub dhcp: dhcp::Settings,
    /// The access list.
    pub access: Arc<[access::Rule]>,
}

impl Settings {
    /// The defaults on a network.
    #[must_use]
    pub fn new(leases: impl Into<Arc<lease::Settings>>) -> Self {
        Self {
            leases: leases.into(),
            max_ports: 65_536,
            max_stations: 65_536,
            max_hosts: 65_536,
            station_ageing: Duration::from_secs(600),
            host_ageing: Duration::from_secs(600),
            flood_copies_per_second: 100_000,
            client: Policy::client(),
            dhcp: dhcp::Settings::default(),
            access: Arc::default(),
        }
    }
}

/// Why a port is not opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OpenError {
    /// The hub has been taken offline.
    #[error("the hub is offline")]
    Offline,
    /// The token is for another hub.
    #[error("authenticated for hub {0}")]
    WrongHub(Box<str>),
    /// The port number is in use, or is none that a worker can have.
    #[error("port number {0} is taken")]
    PortTaken(PortId),
    /// The hub has as many ports as it may.
    #[error("the hub has {0} ports already")]
    HubFull(usize),
    /// The MAC address that the port must have is in use.
    #[error("the MAC address {0} is in use")]
    MacTaken(Mac),
}

/// Why a client port gets no address.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AssignError {
    /// The port is not open, or not a client's.
    #[error("no such client port")]
    NoPort,
    /// Somebody else here has the address that the LAN gave.
    #[error("{0} is in use here already")]
    Taken(Ipv4Addr),
    /// The pool says no.
    #[error(transparent)]
    Refused(#[from] lease::Refusal),
}

/// A port as its owner knows it, for listings.
#[derive(Clone, Debug)]
pub struct PortInfo {
    /// Its number.
    pub id: PortId,
    /// What is plugged in.
    pub kind: Kind,
    /// The user, for client ports.
    pub user: Option<Arc<str>>,
    /// The client's MAC address; zero for other kinds.
    pub mac: Mac,
    /// The client's address, once it has one.
    pub address: Option<Ipv4Addr>,
    /// Since when it is open.
    pub opened: Instant,
    /// How many stations are learned behind it.
    pub stations: u32,
}

#[derive(Debug)]
struct Record {
    info: PortInfo,
    policy: Policy,
    /// For client ports: the key of their lease, and their slot among those that hear floods.
    client: Option<(lease::Key, u32)>,
    /// For trunks: how many addresses are learned behind it.
    hosts: u32,
    /// The class of its user in access lists.
    class: u16,
    /// What its worker sees without being told.
    gate: Arc<Gate>,
    /// For trunks: pinned stations.
    known: Vec<KnownStation>,
    /// When a conflict, or a refusal, behind this port was last told of.
    conflict_told: Option<u32>,
    refusal_told: Option<u32>,
    /// For client ports: routes to be told by DHCP in place of the hub's.
    routes: Option<Vec<Route>>,
}

impl Record {
    fn new(
        info: PortInfo,
        policy: Policy,
        client: Option<(lease::Key, u32)>,
        gate: Arc<Gate>,
        known: Vec<KnownStation>,
    ) -> Self {
        Self {
            info,
            policy,
            client,
            hosts: 0,
            class: 0,
            gate,
            known,
            conflict_told: None,
            refusal_told: None,
            routes: None,
        }
    }
}

/// The owner of one hub.
pub struct Hub {
    id: HubId,
    name: Box<str>,
    online: bool,
    settings: Settings,
    entropy: Entropy,
    view: Arc<View>,
    tables: fdb::Owned,
    /// Boxed, for the nodes of the tree are little more than half full.
    ports: BTreeMap<PortId, Box<Record>>,
    station_turns: Turns,
    host_turns: Turns,
    movers: Movers,
    /// As many stations as there may be.
    hub_full: bool,
    full_told: bool,
    pool: lease::Pool,
    server: dhcp::Server,
    service_mac: Mac,
    classes: access::Classes,
    /// Behind which port each learned address is.
    host_ports: BTreeMap<Ipv4Addr, PortId>,
    /// IPv6 addresses of stations.
    hosts6: nd::Table,
}

impl Hub {
    /// A hub without ports.
    #[must_use]
    pub fn new(now: Instant, id: HubId, name: &str, settings: Settings, mut entropy: Entropy) -> Self {
        let mut seed = || [entropy.u64(), entropy.u64()];
        let seeds = [seed(), seed()];
        let tables = fdb::Owned::new(seeds, Service::default(), settings.flood_copies_per_second);
        let mut hub = Self {
            id,
            name: name.into(),
            online: true,
            view: Arc::new(View::new(id, now, tables.tables())),
            pool: lease::Pool::new(settings.leases.clone()),
            settings,
            entropy,
            tables,
            ports: BTreeMap::new(),
            station_turns: Turns::default(),
            host_turns: Turns::default(),
            movers: Movers::default(),
            hub_full: false,
            full_told: false,
            server: dhcp::Server::default(),
            service_mac: Self::own_mac(name),
            classes: access::Classes::default(),
            host_ports: BTreeMap::new(),
            hosts6: nd::Table::default(),
        };
        hub.compile_access();
        hub.take_place();
        hub.publish();
        hub
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> HubId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What workers see; the same for the hub's whole life.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The rules in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The addresses.
    #[must_use]
    pub fn leases(&self) -> &lease::Pool {
        &self.pool
    }

    /// The addresses, to load, release or decline some. Links' leases are taken and ended by their ports.
    pub fn leases_mut(&mut self) -> &mut lease::Pool {
        &mut self.pool
    }

    /// Whether users may come; an uplink and a monitor may always.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online
    }

    /// Lets users come, or not; open ports are the caller's to close.
    pub fn set_online(&mut self, online: bool) {
        self.online = online;
    }

    /// Changes the rules; open ports keep theirs until [`Self::set_policy`].
    pub fn apply(&mut self, settings: Settings) {
        if *settings.leases != *self.pool.settings() {
            self.pool.apply(settings.leases.clone());
        }
        self.settings = settings;
        self.renew_access();
        self.take_place();
        self.set_gates();
        self.publish();
    }

    /// Opens the port of a link whose user has been authenticated, with the MAC address that this user and device have
    /// every time. `rules` override the hub's for client ports.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed then.
    pub fn open_client(
        &mut self,
        now: Instant,
        id: PortId,
        who: &Authenticated,
        device: &str,
        rules: Option<Policy>,
    ) -> Result<Ingress, OpenError> {
        if !same_name(who.hub(), &self.name) {
            return Err(OpenError::WrongHub(who.hub().into()));
        }
        if !self.online {
            return Err(OpenError::Offline);
        }
        self.may_open(id)?;
        let class = self.class_of(who.user()).ok_or(OpenError::HubFull(self.ports.len()))?;
        let (mac, instance) = self.free_mac(who.user(), device);
        // The rules of client mode are not up to a configuration.
        let policy = Policy { check_mac: true, check_ip: true, ..rules.unwrap_or(self.settings.client) };
        // Learned elsewhere: a stray or a spoof, in any case wrong now.
        self.drop_station(station(mac, 0));
        self.tables.stations.insert(station(mac, 0), client_value(id, &policy, class).0);
        let slot = self.tables.add_client(id, policy.isolated);
        let key = lease::Key::Link { user: folded(who.user()).into(), device: device.into(), instance };
        let user = Some(who.user().into());
        let info = PortInfo { id, kind: Kind::Client, user, mac, address: None, opened: now, stations: 0 };
        let client = Some((key, slot));
        let gate = Arc::new(Gate::default());
        let record = Record { class, ..Record::new(info, policy, client, gate.clone(), Vec::new()) };
        self.ports.insert(id, Box::new(record));
        self.publish();
        Ok(Ingress::new(self.id, id, Kind::Client, mac, policy, gate))
    }

    /// Opens a port that is not a client's, of a hub that is offline too: that keeps its users out, not its cable.
    ///
    /// # Errors
    /// [`OpenError`]; nothing has changed then.
    pub fn open_uplink(
        &mut self,
        now: Instant,
        id: PortId,
        permit: UplinkPermit,
    ) -> Result<Ingress, OpenError> {
        self.may_open(id)?;
        let UplinkPermit { kind, policy, stations: known } = permit;
        let fixed = |value: u64| Value(value).flags().is_fixed();
        let taken =
            |known: &KnownStation| self.tables.stations.find(station(known.mac, 0)).is_some_and(fixed);
        if let Some(known) = known.iter().find(|known| taken(known)) {
            return Err(OpenError::MacTaken(known.mac));
        }
        for known in &known {
            let body = u64::from(id.0);
            self.drop_station(station(known.mac, 0));
            self.tables.stations.insert(station(known.mac, 0), Value::new(body, Flags::STATIC, 0).0);
            for address in &known.addresses {
                self.insert_host(*address, known.mac, Flags::STATIC, 0);
            }
        }
        match kind {
            Kind::Monitor => self.tables.monitors.push(id),
            Kind::Router => {}
            Kind::Uplink | Kind::Bridge | Kind::Client => self.tables.trunks.push(id),
        }
        let gate = Arc::new(Gate::default());
        let info = PortInfo { id, kind, user: None, mac: Mac::ZERO, address: None, opened: now, stations: 0 };
        self.ports.insert(id, Box::new(Record::new(info, policy, None, gate.clone(), known)));
        self.set_gates();
        self.tables.changed();
        self.publish();
        Ok(Ingress::new(self.id, id, kind, Mac::ZERO, policy, gate))
    }

    fn may_open(&self, id: PortId) -> Result<(), OpenError> {
        if self.ports.contains_key(&id) || id.worker() == PortId::SERVICE.worker() {
            return Err(OpenError::PortTaken(id));
        }
        if self.ports.len() >= self.settings.max_ports {
            return Err(OpenError::HubFull(self.ports.len()));
        }
        Ok(())
    }

    /// The MAC address of a user's device, or of its next link if that one is there already.
    fn free_mac(&mut self, user: &str, device: &str) -> (Mac, u32) {
        let mut instance = 0;
        loop {
            let mac = stable_mac(&self.name, user, device, instance);
            if self.tables.stations.find(station(mac, 0)).is_none_or(|value| !Value(value).flags().is_fixed())
            {
                return (mac, instance);
            }
            instance = if instance + 1 < PREDICTABLE_INSTANCES { instance + 1 } else { self.entropy.u32() };
        }
    }

    /// Gives a client port its address, or prolongs the one that it has: the `fixed` one of its user; else the client's
    /// `own`, if that is free; else one of the range. The caller passes it on to [`Ingress::set_address`].
    ///
    /// # Errors
    /// [`AssignError`]; nothing has changed then.
    pub fn assign(
        &mut self,
        now: Instant,
        port: PortId,
        fixed: Option<Ipv4Addr>,
        own: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, AssignError> {
        let record = self.ports.get(&port).ok_or(AssignError::NoPort)?;
        let (key, _) = record.client.as_ref().ok_or(AssignError::NoPort)?;
        let mac = record.info.mac;
        let term = lease::Term::Port(port);
        let request = lease::Request { fixed, own, ..lease::Request::new(now, key.clone(), mac, term) };
        let address = self.pool.acquire(request)?;
        self.give_address(port, mac, address);
        Ok(address)
    }

    /// Makes an address known as that of a client port, in the place of the one that it had.
    fn give_address(&mut self, port: PortId, mac: Mac, address: Ipv4Addr) {
        let Some(record) = self.ports.get_mut(&port) else { return };
        let old = record.info.address.replace(address);
        if let Some(old) = old.filter(|old| *old != address) {
            self.remove_host(old);
        }
        self.insert_host(address, mac, Flags::CLIENT, 0);
        self.publish();
    }

    /// Changes the rules of a port; the worker's side has to be told as well ([`Ingress::set_policy`]). Returns the rules
    /// that are now in force.
    pub fn set_policy(&mut self, port: PortId, rules: Policy) -> Option<Policy> {
        let record = self.ports.get_mut(&port)?;
        record.policy = rules;
        if let Some((_, slot)) = record.client {
            record.policy = Policy { check_mac: true, check_ip: true, ..rules };
            let value = client_value(port, &rules, record.class);
            self.tables.stations.insert(station(record.info.mac, 0), value.0);
            self.tables.set_client(slot, port, rules.isolated);
        }
        let policy = record.policy;
        self.set_gates();
        self.publish();
        Some(policy)
    }

    /// Gives a client's port routes of its own, to be told by DHCP in place of the hub's.
    pub fn set_routes(&mut self, port: PortId, routes: Vec<Route>) {
        if let Some(record) = self.ports.get_mut(&port) {
            record.routes = Some(routes);
        }
    }

    /// Closes a port: its [`Ingress`] sends nothing from now on, wherever it is. Its stations are gone, its lease is
    /// remembered for its user and device.
    pub fn close(&mut self, now: Instant, id: PortId) {
        let Some(record) = self.ports.remove(&id) else { return };
        record.gate.closed.store(true, Ordering::Release);
        if let Some((_, slot)) = record.client {
            self.tables.remove_client(slot, id);
            self.tables.stations.remove(station(record.info.mac, 0));
            if let Some(address) = record.info.address {
                self.remove_host(address);
            }
            self.pool.release_port(now, id);
        } else {
            self.tables.trunks.retain(|port| *port != id);
            self.tables.monitors.retain(|port| *port != id);
            self.tables.changed();
            self.forget_known(&record.known);
            self.forget_stations_of(id);
            self.hosts6.forget_port(id);
            self.server.forget(id);
            // The gateway's address may be the server's from now on.
            self.take_place();
        }
        self.set_gates();
        self.publish();
    }

    /// Number of open ports.
    #[must_use]
    pub fn port_count(&self) -> usize {
        self.ports.len()
    }

    /// Open ports behind `after`, in the order of their numbers: take a page at a time.
    pub fn ports(&self, after: Option<PortId>) -> impl Iterator<Item = &PortInfo> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.ports.range((after.map_or(Unbounded, Excluded), Unbounded)).map(|(_, record)| &record.info)
    }

    /// One open port.
    #[must_use]
    pub fn port(&self, id: PortId) -> Option<&PortInfo> {
        self.ports.get(&id).map(|record| &record.info)
    }

    /// The ports that get a copy of a frame of the hub itself: none where its receiver is not to be watched.
    #[must_use]
    pub fn monitors(&self, to: Forward) -> &[PortId] {
        let unwatched = |port: &PortId| self.ports.get(port).is_some_and(|record| !record.policy.monitored);
        match to {
            Forward::To(port) if unwatched(&port) => &[],
            Forward::To(_) | Forward::Flood(_) | Forward::Discard(_) => &self.tables.monitors,
        }
    }

    /// When [`Self::handle_timeout`] has work. A hub without learned stations and DHCP leases never has.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let turns = [self.station_turns.next(), self.host_turns.next(), self.hosts6.next()];
        let ageing = turns.into_iter().flatten().min().map(|step| self.view.step_at(step));
        ageing.into_iter().chain(self.pool.poll_timeout()).chain(self.server.poll_timeout()).min()
    }

    /// Ends what has come to its end at `now`: at most [`Self::TURNS`] entries at a time, so that a mass of them stalls
    /// nobody; `poll_timeout` stays due while there is more.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        self.age(self.view.step(now));
        self.end_probes(now, out);
        for _ in 0..Self::TURNS {
            let Some(lease) = self.pool.expire(now) else { break };
            if matches!(lease.state, lease::State::Leased(_)) {
                self.remove_host(lease.address);
                out.events.push(Event::LeaseExpired(lease));
            }
        }
        self.publish();
    }

    /// How many entries of a kind one [`Self::handle_timeout`] looks at.
    pub const TURNS: usize = 256;

    fn publish(&mut self) {
        self.tables.publish(&self.view);
    }
}

fn client_value(port: PortId, policy: &Policy, class: u16) -> Value {
    let isolated = if policy.isolated { Flags::ISOLATED } else { Flags::default() };
    let unwatched = if policy.monitored { Flags::default() } else { Flags::UNWATCHED };
    Value::new(u64::from(class) << 32 | u64::from(port.0), Flags::CLIENT.with(isolated).with(unwatched), 0)
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hub({}, {} ports)", self.name, self.ports.len())
    }
}

#[cfg(test)]
mod dhcp_tests;
#[cfg(test)]
mod tests;
