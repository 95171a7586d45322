//! All flows of a NAT: by number, by what identifies them inside, by client, by time.

use super::Listed;
use super::outside::FlowId;
use super::tcp::Connection;
use super::udp::Mapping;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// What identifies a flow inside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Key {
    /// A client's UDP port; questions to the gateway's own name server apart from the rest.
    Udp { client: SocketAddrV4, dns: bool },
    /// A client's ICMP identifier.
    Echo { client: Ipv4Addr, id: u16 },
    /// A connection.
    Tcp { client: SocketAddrV4, server: SocketAddrV4 },
}

impl Key {
    pub(super) const fn client(&self) -> Ipv4Addr {
        match self {
            Self::Udp { client, .. } | Self::Tcp { client, .. } => *client.ip(),
            Self::Echo { client, .. } => *client,
        }
    }

    /// Which limit counts.
    pub(super) const fn class(&self) -> usize {
        match self {
            Self::Udp { .. } => 0,
            Self::Echo { .. } => 1,
            Self::Tcp { .. } => 2,
        }
    }
}

pub(super) enum Body {
    /// UDP or ICMP echo.
    Mapping(Mapping),
    /// TCP.
    Connection(Box<Connection>),
}

pub(super) struct Flow {
    pub(super) key: Key,
    pub(super) body: Body,
    /// When it has been unused for too long.
    pub(super) until: Instant,
    /// The timer that is filed.
    due: Option<Instant>,
    /// Of a connection: our port outside.
    port: Option<u16>,
}

impl Flow {
    pub(super) fn listed(&self, flow: FlowId, now: Instant) -> Listed {
        let (protocol, client, server) = match self.key {
            Key::Udp { client, dns } => (if dns { "dns" } else { "udp" }, client, None),
            Key::Echo { client, id } => ("icmp", SocketAddrV4::new(client, id), None),
            Key::Tcp { client, server } => ("tcp", client, Some(server)),
        };
        let (server, state) = match &self.body {
            Body::Mapping(mapping) => (mapping.last(), "open"),
            Body::Connection(connection) => (server, connection.state()),
        };
        Listed { flow, protocol, client, server, state, left: self.until.saturating_duration_since(now) }
    }
}

#[derive(Default)]
pub(super) struct Flows {
    slots: Slab<Flow>,
    /// Clients choose the keys: std's hash.
    keys: HashMap<Key, FlowId>,
    /// How many of each class a client has.
    clients: BTreeMap<Ipv4Addr, [usize; 3]>,
    /// Our port for the connections of a client's port, and how many there are.
    ports: HashMap<SocketAddrV4, (u16, usize)>,
    due: BTreeSet<(Instant, FlowId)>,
}

impl Flows {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.slots.iter().map(|(at, flow)| (FlowId(at as u32), flow))
    }

    pub(super) fn find(&self, key: &Key) -> Option<FlowId> {
        self.keys.get(key).copied()
    }

    pub(super) fn get_mut(&mut self, id: FlowId) -> Option<&mut Flow> {
        self.slots.get_mut(id.0 as usize)
    }

    pub(super) fn count(&self, client: Ipv4Addr, class: usize) -> usize {
        self.clients.get(&client).and_then(|counts| counts.get(class)).copied().unwrap_or(0)
    }

    pub(super) fn insert(&mut self, key: Key, body: Body, until: Instant) -> FlowId {
        let id = FlowId(
            u32::try_from(self.slots.insert(Flow { key, body, until, due: None, port: None }))
                .unwrap_or(u32::MAX),
        );
        self.keys.insert(key, id);
        if let Some(count) = self.clients.entry(key.client()).or_default().get_mut(key.class()) {
            *count += 1;
        }
        id
    }

    pub(super) fn remove(&mut self, id: FlowId) {
        let Some(flow) = self.slots.try_remove(id.0 as usize) else { return };
        if let Some(at) = flow.due {
            self.due.remove(&(at, id));
        }
        self.keys.remove(&flow.key);
        self.leave_port(&flow);
        let client = flow.key.client();
        if let Some(counts) = self.clients.get_mut(&client) {
            if let Some(count) = counts.get_mut(flow.key.class()) {
                *count -= 1;
            }
            if *counts == [0; 3] {
                self.clients.remove(&client);
            }
        }
    }

    /// Our port for the connections of a client's port, while it has some.
    pub(super) fn port_of(&self, client: &SocketAddrV4) -> Option<u16> {
        self.ports.get(client).map(|(port, _)| *port)
    }

    /// Files our port of a connection.
    pub(super) fn use_port(&mut self, id: FlowId, port: u16) {
        let Some(flow) = self.slots.get_mut(id.0 as usize) else { return };
        if let Key::Tcp { client, .. } = flow.key {
            flow.port = Some(port);
            let used = self.ports.entry(client).or_insert((port, 0));
            // One that could not have the port of the others goes uncounted.
            used.1 += usize::from(used.0 == port);
        }
    }

    fn leave_port(&mut self, flow: &Flow) {
        let (Key::Tcp { client, .. }, Some(port)) = (flow.key, flow.port) else { return };
        if let Some((common, count)) = self.ports.get_mut(&client)
            && *common == port
        {
            *count -= 1;
            if *count == 0 {
                self.ports.remove(&client);
            }
        }
    }

    /// The flow of a client and class that ends first.
    pub(super) fn oldest(&self, client: Ipv4Addr, class: usize) -> Option<FlowId> {
        let flows =
            self.slots.iter().filter(|(_, flow)| flow.key.client() == client && flow.key.class() == class);
        flows.min_by_key(|(_, flow)| flow.until).map(|(at, _)| FlowId(at as u32))
    }

    /// Files the timer of a flow.
    pub(super) fn arm(&mut self, id: FlowId, wanted: Option<Instant>) {
        let Some(flow) = self.slots.get_mut(id.0 as usize) else { return };
        if flow.due == wanted {
            return;
        }
        if let Some(at) = std::mem::replace(&mut flow.due, wanted) {
            self.due.remove(&(at, id));
        }
        if let Some(at) = wanted {
            self.due.insert((at, id));
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes one timer that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<FlowId> {
        let (_, id) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.arm(id, None);
        Some(id)
    }

    /// Those that have been unused for too long.
    pub(super) fn idle(&self, now: Instant) -> Vec<FlowId> {
        let over = self.slots.iter().filter(|(_, flow)| flow.until <= now);
        over.map(|(at, _)| FlowId(at as u32)).collect()
    }
}
