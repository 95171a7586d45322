//! Steady traffic from one end to the other: numbered datagrams at a fixed rate, each accounted for.

use super::{ClientId, World};
use sekisho::wire::inet::udp_packet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// An end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Client(ClientId),
    /// The host behind the uplink of a hub, by the hub's number (0 is GUESTS, 1 is OFFICE: their names in order).
    Uplink(usize),
}

impl From<ClientId> for End {
    fn from(client: ClientId) -> Self {
        Self::Client(client)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowId(pub(super) usize);

pub(super) struct Flow {
    from: End,
    to: End,
    port: u16,
    interval: Duration,
    size: usize,
    pub(super) next: Option<Instant>,
    sent: u32,
    refused: u32,
    /// Where to, if the receiving end does not know its address any more.
    fixed: Option<Ipv4Addr>,
}

/// What became of a flow's datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    pub sent: u32,
    /// Never arrived.
    pub lost: u32,
    /// Arrived more than once.
    pub doubled: u32,
    /// Could not even be sent.
    pub refused: u32,
}

impl World {
    /// Starts to send `per_second` datagrams of `size` bytes from one end to the other, until [`Self::stop_flow`].
    pub fn flow(&mut self, from: impl Into<End>, to: impl Into<End>, per_second: u32, size: usize) -> FlowId {
        let port = super::host::FLOW_PORTS.start + self.flows.len() as u16;
        let interval = Duration::from_secs(1) / per_second;
        let (from, to, next) = (from.into(), to.into(), Some(self.now));
        self.flows.push(Flow {
            from,
            to,
            port,
            interval,
            size: size.max(4),
            next,
            sent: 0,
            refused: 0,
            fixed: None,
        });
        FlowId(self.flows.len() - 1)
    }

    /// Goes on sending to this address, whoever has it.
    pub fn redirect_flow(&mut self, flow: FlowId, to: Ipv4Addr) {
        self.flows[flow.0].fixed = Some(to);
    }

    /// Stops it, gives what is under way a second, and counts.
    pub fn stop_flow(&mut self, flow: FlowId) -> Tally {
        self.flows[flow.0].next = None;
        self.run_for(Duration::from_secs(1));
        self.tally(flow)
    }

    /// Counts so far, what is under way among the lost.
    pub fn tally(&self, flow: FlowId) -> Tally {
        let Flow { to, port, sent, refused, .. } = self.flows[flow.0];
        let inbox = match to {
            End::Client(client) => &self[client].inbox,
            End::Uplink(hub) => &self.gateway().uplinks[hub].inbox,
        };
        let mut arrivals = vec![0_u32; sent as usize];
        for number in inbox.flows.get(&port).into_iter().flatten() {
            arrivals[*number as usize] += 1;
        }
        let count = |test: fn(&u32) -> bool| arrivals.iter().filter(|n| test(n)).count() as u32;
        Tally { sent, lost: count(|n| *n == 0), doubled: count(|n| *n > 1), refused }
    }

    pub(super) fn flows_due(&mut self) {
        for n in 0..self.flows.len() {
            while let Some(at) = self.flows[n].next.filter(|at| *at <= self.now) {
                self.flows[n].next = Some(at + self.flows[n].interval);
                self.send_number(n);
            }
        }
    }

    fn send_number(&mut self, n: usize) {
        let Flow { from, to, port, size, sent, fixed, .. } = self.flows[n];
        let (Some(source), Some(destination)) =
            (self.address_of(from), fixed.or_else(|| self.address_of(to)))
        else {
            self.flows[n].refused += 1;
            return;
        };
        let mut payload = vec![0x5a; size];
        payload[..4].copy_from_slice(&sent.to_be_bytes());
        let packet = udp_packet((source, port), (destination, port), &payload);
        self.flows[n].sent += 1;
        let went = match from {
            End::Client(client) => self.send_ip(client, packet),
            End::Uplink(hub) => {
                self.send_from_uplink(hub, packet);
                true
            }
        };
        if !went {
            self.flows[n].refused += 1;
        }
    }

    fn address_of(&self, end: End) -> Option<Ipv4Addr> {
        match end {
            End::Client(client) => self[client].address(),
            End::Uplink(hub) => Some(self.gateway().uplinks[hub].gateway),
        }
    }
}
