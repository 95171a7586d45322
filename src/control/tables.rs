//! The hubs' tables: stations, addresses, leases; listed in pages, hub after hub.

use super::job::{LOOKED, Page, ROWS, hub};
use super::rows::{IpRow, LeaseRow, MacRow, Row};
use super::{Command, Kind, Refusal};
use crate::gatehouse::Gatehouse;
use crate::hub::lease::{Lease, State};
use crate::hub::{Hub, HubId, Kind as PortKind, Look, Mac, PortId};
use crate::worker::Clock;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Instant;

/// Where a listing stands.
pub(super) struct Table {
    /// The only hub that is wanted.
    only: Option<HubId>,
    /// The hub that is being listed; `None` at the end.
    hub: Option<HubId>,
    /// Its tables as they were when its turn began, and where in them the next page begins.
    look: Option<(Look, usize)>,
    /// The last lease of the page before.
    after: Option<Ipv4Addr>,
    /// Of IP addresses: IPv4 has been listed, and how far IPv6.
    six: bool,
    after6: Option<Ipv6Addr>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Table({:?})", self.hub)
    }
}

impl Table {
    pub(super) fn new(gatehouse: &Gatehouse, command: &Command) -> Result<Self, Refusal> {
        let only = match command {
            Command::MacList { hub } | Command::IpList { hub } | Command::DhcpList { hub } => hub.as_deref(),
            Command::MacDelete { hub, .. }
            | Command::IpDelete { hub, .. }
            | Command::DhcpRelease { hub, .. } => Some(hub.as_str()),
            _ => None,
        };
        let only = only.map(|name| hub(gatehouse, name)).transpose()?;
        let first = only.or_else(|| gatehouse.hubs().first().map(Hub::id));
        Ok(Self { only, hub: first, look: None, after: None, six: false, after6: None })
    }

    pub(super) fn step(
        &mut self,
        clock: Clock,
        gatehouse: &mut Gatehouse,
        command: &Command,
    ) -> Result<Page, Refusal> {
        match command {
            Command::MacDelete { mac, vlan, .. } => self.delete_mac(gatehouse, mac, *vlan),
            Command::IpDelete { address, .. } => self.delete_ip(gatehouse, *address),
            Command::DhcpRelease { address, .. } => self.release(clock, gatehouse, *address),
            _ => Ok(self.list(clock, gatehouse, command)),
        }
    }

    fn list(&mut self, clock: Clock, gatehouse: &Gatehouse, command: &Command) -> Page {
        let mut rows = Vec::new();
        // An empty hub costs a look as well.
        for _ in 0..LOOKED / 10 {
            let Some(hub) = self.hub.and_then(|id| gatehouse.hub(id)) else { break };
            let left = ROWS - rows.len();
            let done = match command {
                Command::DhcpList { .. } => self.leases(clock, hub, left, &mut rows),
                _ => {
                    self.entries(clock.now, hub, left, &mut rows, matches!(command, Command::MacList { .. }))
                }
            };
            if done {
                (self.look, self.after, self.six, self.after6) = (None, None, false, None);
                let next = gatehouse.hubs().partition_point(|other| other.id() <= hub.id());
                self.hub = gatehouse.hubs().get(next).map(Hub::id).filter(|_| self.only.is_none());
            }
            if rows.len() >= ROWS {
                break;
            }
        }
        // A hub that was removed in the middle of its turn ends the listing at most one page early.
        let more = self.hub.is_some_and(|id| gatehouse.hub(id).is_some());
        Page { rows, more }
    }

    /// Lists stations or hosts of one hub; returns whether that was all.
    fn entries(
        &mut self,
        now: Instant,
        hub: &Hub,
        limit: usize,
        rows: &mut Vec<Row>,
        stations: bool,
    ) -> bool {
        if self.six {
            return self.hosts6(now, hub, limit, rows);
        }
        let (look, cursor) = self.look.get_or_insert_with(|| (hub.view().look(now), 0));
        let next = if stations {
            let (page, next) = look.stations(*cursor, limit);
            rows.extend(page.into_iter().map(|station| {
                let (behind, user) = owner(hub, Some(station.port));
                Row::Mac(MacRow {
                    hub: hub.name().to_owned(),
                    mac: station.mac.to_string(),
                    vlan: station.vlan,
                    port: station.port.to_string(),
                    behind,
                    user,
                    learned: station.learned,
                    idle_seconds: station.idle.as_secs(),
                })
            }));
            next
        } else {
            let (page, next) = look.hosts(*cursor, limit);
            rows.extend(page.into_iter().map(|host| {
                let port = look.port_of(host.mac);
                let (behind, user) = owner(hub, port);
                Row::Ip(IpRow {
                    hub: hub.name().to_owned(),
                    address: host.address.into(),
                    mac: host.mac.to_string(),
                    port: port.map(|port| port.to_string()),
                    behind,
                    user,
                    learned: host.learned,
                    idle_seconds: host.idle.as_secs(),
                })
            }));
            next
        };
        *cursor = next.unwrap_or_default();
        self.six = !stations && next.is_none();
        stations && next.is_none()
    }

    fn hosts6(&mut self, now: Instant, hub: &Hub, limit: usize, rows: &mut Vec<Row>) -> bool {
        let mut hosts = hub.hosts6(now, self.after6);
        for host in hosts.by_ref().take(limit) {
            self.after6 = Some(host.address);
            let (behind, user) = owner(hub, Some(host.port));
            rows.push(Row::Ip(IpRow {
                hub: hub.name().to_owned(),
                address: host.address.into(),
                mac: host.mac.to_string(),
                port: Some(host.port.to_string()),
                behind,
                user,
                learned: true,
                idle_seconds: host.idle.as_secs(),
            }));
        }
        hosts.next().is_none()
    }

    fn leases(&mut self, clock: Clock, hub: &Hub, limit: usize, rows: &mut Vec<Row>) -> bool {
        let mut leases = hub.leases().leases(self.after);
        for lease in leases.by_ref().take(limit) {
            self.after = Some(lease.address);
            rows.push(Row::Lease(lease_row(clock, hub, lease)));
        }
        leases.next().is_none()
    }

    fn hub_mut<'a>(&self, gatehouse: &'a mut Gatehouse) -> Result<&'a mut Hub, Refusal> {
        let hub = self.hub.and_then(|id| gatehouse.hub_mut(id));
        hub.ok_or_else(|| Refusal::unknown("the hub has just been removed"))
    }

    fn delete_mac(&self, gatehouse: &mut Gatehouse, mac: &str, vlan: u16) -> Result<Page, Refusal> {
        let parsed: Mac = mac.parse().map_err(|_| {
            Refusal::new(Kind::BadRequest, format!("`{mac}` is not a MAC address such as 5a:00:00:00:00:01"))
        })?;
        let hub = self.hub_mut(gatehouse)?;
        hub.delete_station(parsed, vlan).map_err(|error| entry(error, mac))?;
        Ok(Page::last(Vec::new()))
    }

    fn delete_ip(&self, gatehouse: &mut Gatehouse, address: IpAddr) -> Result<Page, Refusal> {
        let hub = self.hub_mut(gatehouse)?;
        let deleted = match address {
            IpAddr::V4(address) => hub.delete_host(address),
            IpAddr::V6(address) => hub.delete_host6(address),
        };
        deleted.map_err(|error| entry(error, &address.to_string()))?;
        Ok(Page::last(Vec::new()))
    }

    fn release(&self, clock: Clock, gatehouse: &mut Gatehouse, address: Ipv4Addr) -> Result<Page, Refusal> {
        let hub = self.hub_mut(gatehouse)?;
        let Some(lease) = hub.leases().lease(address).cloned() else {
            return Err(Refusal::unknown(format!("nobody has {address}, and it is remembered for nobody")));
        };
        if let State::Bound(_) = lease.state {
            let message =
                format!("{address} belongs to a session of {}: end that with `session kick`", lease.key);
            return Err(Refusal::new(Kind::Refused, message));
        }
        let row = lease_row(clock, hub, &lease);
        hub.release(address);
        Ok(Page::last(vec![Row::Lease(row)]))
    }
}

/// What is behind a port, and whose it is.
fn owner(hub: &Hub, port: Option<PortId>) -> (String, Option<String>) {
    if port == Some(PortId::SERVICE) {
        return ("hub".to_owned(), None);
    }
    let Some(port) = port.and_then(|port| hub.port(port)) else { return ("unknown".to_owned(), None) };
    let kind = match port.kind {
        PortKind::Client => "client",
        PortKind::Uplink => "uplink",
        PortKind::Bridge => "bridge",
        PortKind::Router => "router",
        PortKind::Monitor => "monitor",
    };
    (kind.to_owned(), port.user.as_deref().map(str::to_owned))
}

fn entry(error: crate::hub::EntryError, what: &str) -> Refusal {
    use crate::hub::EntryError;
    match error {
        EntryError::Unknown => Refusal::unknown(format!("{what} is not in the hub's table")),
        EntryError::OfClient => {
            Refusal::new(Kind::Refused, format!("{what} belongs to a session: end that with `session kick`"))
        }
        EntryError::NoPort => Refusal::new(Kind::Refused, error.to_string()),
    }
}

fn lease_row(clock: Clock, hub: &Hub, lease: &Lease) -> LeaseRow {
    let ahead = |at: Instant| Some(clock.unix + at.saturating_duration_since(clock.now).as_secs());
    let behind =
        |at: Instant| Some(clock.unix - clock.now.saturating_duration_since(at).as_secs().min(clock.unix));
    let (state, until, since) = match lease.state {
        State::Bound(_) => ("link", None, None),
        State::Offered(at) => ("offered", ahead(at), None),
        State::Leased(at) => ("leased", ahead(at), None),
        State::Declined(at) => ("declined", ahead(at), None),
        State::Past(at) => ("past", None, behind(at)),
    };
    LeaseRow {
        hub: hub.name().to_owned(),
        address: lease.address,
        mac: lease.mac.to_string(),
        holder: lease.key.to_string(),
        name: lease.name.as_deref().map(str::to_owned),
        state: state.to_owned(),
        until,
        since,
    }
}
