//! The owner's part of the MAC and IP tables: learning what workers notice, ageing, setting and deleting entries.

use super::fdb::{AGE_STEP, Flags, Host6, Value, host, station};
use super::learning::Move;
use super::nd;
use super::{Event, Hub, Kind, KnownStation, Mac, Notice, Output, PortId, Record};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Why an entry is not set or deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryError {
    /// There is none.
    #[error("no such entry")]
    Unknown,
    /// It belongs to a client port and lives as long as that.
    #[error("the entry belongs to a client's port")]
    OfClient,
    /// The port is not open, or is one that may not have stations.
    #[error("no such uplink or bridge port")]
    NoPort,
}

impl Record {
    fn set_gate(&self, hub_full: bool) {
        self.gate.full.store(hub_full || self.info.stations >= self.policy.max_macs, Ordering::Relaxed);
        self.gate.hosts_full.store(self.hosts >= self.policy.max_ips, Ordering::Relaxed);
    }
}

impl Hub {
    /// Takes in what a worker noticed. Notices of closed ports and wrong ones change nothing.
    pub fn handle_notice(&mut self, now: Instant, notice: Notice, out: &mut Output) {
        let step = self.view.step(now);
        match notice {
            Notice::Station { port, mac, vlan } => self.learn_station(step, port, mac, vlan, out),
            Notice::Host { port, address, mac } => {
                self.learn_host(step, port, address, mac);
                self.hear_claim(now, address, mac, out);
            }
            Notice::Host6 { port, address, mac } => self.learn_host6(step, port, address, mac),
            Notice::Conflict { port, mac, address } => self.tell_conflict(step, port, mac, address, out),
        }
        self.publish();
    }

    fn is_trunk(&self, port: PortId) -> bool {
        self.ports.get(&port).is_some_and(|record| matches!(record.info.kind, Kind::Uplink | Kind::Bridge))
    }

    fn learn_station(&mut self, step: u32, port: PortId, mac: Mac, vlan: u16, out: &mut Output) {
        if !self.is_trunk(port) || !mac.is_unicast() {
            return;
        }
        let key = station(mac, vlan);
        let known = self.tables.stations.find(key).map(Value);
        match known {
            Some(value) if value.flags().is_fixed() => {}
            Some(value) if value.port() == port => {
                self.tables.stations.insert(key, value.seen(step).0);
            }
            Some(value) => match self.movers.judge(key, step) {
                Move::Follow => {
                    let from = value.port();
                    if self.port_has_room(port, out) {
                        self.count_station(from, -1);
                        self.put_station(step, key, port);
                        out.events.push(Event::StationMoved { mac, from, to: port });
                    }
                }
                Move::Hold => out.events.push(Event::StationFlaps { mac, stays: value.port(), also: port }),
                Move::Held => {}
            },
            None => {
                if self.hub_has_room(out) && self.port_has_room(port, out) {
                    self.put_station(step, key, port);
                }
            }
        }
    }

    fn put_station(&mut self, step: u32, key: u64, port: PortId) {
        self.tables.stations.insert(key, Value::new(port.0.into(), Flags::LEARNED, step).0);
        self.station_turns.set(key, step + steps(self.settings.station_ageing));
        self.count_station(port, 1);
    }

    fn count_station(&mut self, port: PortId, by: i32) {
        if let Some(record) = self.ports.get_mut(&port) {
            record.info.stations = record.info.stations.saturating_add_signed(by);
            record.set_gate(self.hub_full);
        }
        if self.hub_full != (self.station_turns.len() >= self.settings.max_stations) {
            self.set_gates();
        }
    }

    /// Whether the hub may have one more station; if not, tells so once.
    fn hub_has_room(&mut self, out: &mut Output) -> bool {
        if self.hub_full && !std::mem::replace(&mut self.full_told, true) {
            out.events.push(Event::HubFull);
        }
        !self.hub_full
    }

    /// Whether one more station may be learned behind a port; tells of the last one.
    fn port_has_room(&mut self, port: PortId, out: &mut Output) -> bool {
        let Some(record) = self.ports.get(&port) else { return false };
        let room = record.info.stations < record.policy.max_macs;
        if room && record.info.stations + 1 == record.policy.max_macs {
            out.events.push(Event::PortFull(port));
        }
        room
    }

    /// Shows workers which trunks may have no further station. There are few trunks.
    pub(super) fn set_gates(&mut self) {
        self.hub_full = self.station_turns.len() >= self.settings.max_stations;
        self.full_told &= self.hub_full;
        for port in &self.tables.trunks {
            if let Some(record) = self.ports.get(port) {
                record.set_gate(self.hub_full);
            }
        }
    }

    pub(super) fn learn_host(&mut self, step: u32, port: PortId, address: Ipv4Addr, mac: Mac) {
        // Only a station that is known behind this port can have an address here; its own notice came first.
        let place = self.tables.stations.find(station(mac, 0)).map(|value| Value(value).port());
        let fixed =
            self.tables.hosts.find(host(address)).is_some_and(|value| Value(value).flags().is_fixed());
        let useless = address.is_multicast() || address.is_broadcast() || address.is_unspecified();
        if place == Some(port) && !fixed && !useless && self.is_trunk(port) {
            let known = self.tables.hosts.find(host(address)).is_some();
            let room = self.ports.get(&port).is_some_and(|record| record.hosts < record.policy.max_ips);
            if known || (room && self.host_turns.len() < self.settings.max_hosts) {
                self.insert_host(address, mac, Flags::LEARNED, step);
                self.count_host(address, Some(port));
            }
        }
    }

    fn learn_host6(&mut self, step: u32, port: PortId, address: Ipv6Addr, mac: Mac) {
        let place = self.tables.stations.find(station(mac, 0)).map(|value| Value(value).port());
        if place == Some(port) && self.is_trunk(port) {
            let room = self.host_turns.len() + self.hosts6.len() < self.settings.max_hosts;
            self.hosts6.learn(address, nd::Entry { mac, port, seen: step }, room);
        }
    }

    /// IPv6 addresses of stations behind `after`, in order: take a page at a time.
    pub fn hosts6(&self, now: Instant, after: Option<Ipv6Addr>) -> impl Iterator<Item = Host6> {
        let step = self.view.step(now);
        self.hosts6.after(after).map(move |(address, nd::Entry { mac, port, seen })| Host6 {
            address,
            mac,
            port,
            idle: AGE_STEP * step.saturating_sub(seen),
        })
    }

    /// Forgets a learned IPv6 address.
    ///
    /// # Errors
    /// [`EntryError::Unknown`].
    pub fn delete_host6(&mut self, address: Ipv6Addr) -> Result<(), EntryError> {
        if self.hosts6.forget(address) { Ok(()) } else { Err(EntryError::Unknown) }
    }

    fn tell_conflict(
        &mut self,
        step: u32,
        port: PortId,
        mac: Mac,
        address: Option<Ipv4Addr>,
        out: &mut Output,
    ) {
        // Once per step and port: a loop repeats every frame.
        if let Some(record) = self.ports.get_mut(&port)
            && record.conflict_told.replace(step) != Some(step)
        {
            out.events.push(Event::AddressConflict { port, mac, address });
        }
    }

    pub(super) fn insert_host(&mut self, address: Ipv4Addr, mac: Mac, flags: Flags, step: u32) {
        let key = host(address);
        self.tables.hosts.insert(key, Value::new(mac.to_u64(), flags, step).0);
        if flags.is_fixed() {
            self.count_host(address, None);
            self.host_turns.forget(key);
        } else {
            self.host_turns.set(key, step + steps(self.settings.host_ageing));
        }
    }

    /// Files behind which port a learned address is, or that it is learned no more.
    fn count_host(&mut self, address: Ipv4Addr, port: Option<PortId>) {
        let old = match port {
            Some(port) => self.host_ports.insert(address, port),
            None => self.host_ports.remove(&address),
        };
        for (port, by) in [(old, -1), (port, 1)] {
            if let Some(record) = port.and_then(|port| self.ports.get_mut(&port)) {
                record.hosts = record.hosts.saturating_add_signed(by);
                record.set_gate(self.hub_full);
            }
        }
    }

    pub(super) fn remove_host(&mut self, address: Ipv4Addr) {
        self.count_host(address, None);
        self.tables.hosts.remove(host(address));
        self.host_turns.forget(host(address));
    }

    pub(super) fn forget_known(&mut self, known: &[KnownStation]) {
        for known in known {
            self.tables.stations.remove(station(known.mac, 0));
            for address in &known.addresses {
                self.remove_host(*address);
            }
        }
    }

    /// Forgets what was learned or set behind a trunk that closes.
    pub(super) fn forget_stations_of(&mut self, port: PortId) {
        let of_port =
            |key: &u64| self.tables.stations.find(*key).is_some_and(|value| Value(value).port() == port);
        let gone: Vec<u64> = self.station_turns.keys().filter(of_port).collect();
        for key in gone {
            self.drop_station(key);
        }
    }

    /// Drops an entry, learned or not.
    pub(super) fn drop_station(&mut self, key: u64) {
        let value = self.tables.stations.remove(key).map(Value);
        if self.station_turns.forget(key)
            && let Some(value) = value
        {
            self.movers.forget(key);
            self.count_station(value.port(), -1);
        }
    }

    /// Looks at learned entries whose turn has come.
    pub(super) fn age(&mut self, step: u32) {
        for _ in 0..Self::TURNS {
            let Some(key) = self.station_turns.due(step) else { break };
            let keep = steps(self.settings.station_ageing);
            match self.tables.stations.find(key).map(Value) {
                Some(value) if value.age(step) < keep => {
                    self.station_turns.set(key, step + keep - value.age(step))
                }
                _ => self.drop_station(key),
            }
        }
        for _ in 0..Self::TURNS {
            if !self.hosts6.expire(step) {
                break;
            }
        }
        for _ in 0..Self::TURNS {
            let Some(key) = self.host_turns.due(step) else { break };
            let keep = steps(self.settings.host_ageing);
            match self.tables.hosts.find(key).map(Value) {
                Some(value) if value.age(step) < keep => {
                    self.host_turns.set(key, step + keep - value.age(step))
                }
                _ => self.remove_host(Ipv4Addr::from_bits(key as u32)),
            }
        }
    }

    /// Pins a station behind an uplink or bridge port until it is deleted or the port closes.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn set_station(
        &mut self,
        port: PortId,
        mac: Mac,
        addresses: Vec<Ipv4Addr>,
    ) -> Result<(), EntryError> {
        if !self.is_trunk(port) {
            return Err(EntryError::NoPort);
        }
        let client = |value: Option<u64>| value.is_some_and(|value| Value(value).flags().has(Flags::CLIENT));
        let hosts = addresses.iter().any(|address| client(self.tables.hosts.find(host(*address))));
        if client(self.tables.stations.find(station(mac, 0))) || hosts {
            return Err(EntryError::OfClient);
        }
        let _ = self.delete_station(mac, 0);
        self.tables.stations.insert(station(mac, 0), Value::new(port.0.into(), Flags::STATIC, 0).0);
        for address in &addresses {
            self.insert_host(*address, mac, Flags::STATIC, 0);
        }
        if let Some(record) = self.ports.get_mut(&port) {
            record.known.push(KnownStation { mac, addresses });
        }
        self.publish();
        Ok(())
    }

    /// Deletes a learned or pinned station; it will be learned again with its next frame.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn delete_station(&mut self, mac: Mac, vlan: u16) -> Result<(), EntryError> {
        let key = station(mac, vlan);
        let value = self.tables.stations.find(key).map(Value).ok_or(EntryError::Unknown)?;
        if value.flags().has(Flags::CLIENT) {
            return Err(EntryError::OfClient);
        }
        if value.flags().has(Flags::STATIC) {
            let port = value.port();
            let known = self.ports.get_mut(&port).map(|record| &mut record.known);
            let gone: Vec<KnownStation> = known
                .map(|known| known.extract_if(.., |known| known.mac == mac).collect())
                .unwrap_or_default();
            self.forget_known(&gone);
        }
        self.drop_station(key);
        self.publish();
        Ok(())
    }

    /// Ends a lease that is not a link's, and the memory of its holder ([`lease::Pool::free`](super::lease::Pool::free)).
    pub fn release(&mut self, address: Ipv4Addr) -> Option<super::lease::Lease> {
        let lease = self.pool.free(address)?;
        let _ = self.delete_host(address);
        Some(lease)
    }

    /// Deletes a learned or pinned address.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn delete_host(&mut self, address: Ipv4Addr) -> Result<(), EntryError> {
        let value = self.tables.hosts.find(host(address)).map(Value).ok_or(EntryError::Unknown)?;
        if value.flags().has(Flags::CLIENT) {
            return Err(EntryError::OfClient);
        }
        self.remove_host(address);
        self.publish();
        Ok(())
    }
}

fn steps(time: Duration) -> u32 {
    (time.as_secs().div_ceil(super::fdb::AGE_STEP.as_secs()) as u32).clamp(1, 2000)
}
