//! Has connected clients send to each other or through the uplink, and measures loss, latency and what each packet costs
//! the server's process.

use super::connect::own_cpu;
use super::flow::{Clock, Counts, Flow, PORT, Pace, Sizes, Tag};
use super::report::{Class, Traffic};
use super::server::ServerProcess;
use super::swarm::Swarm;
use super::{Bench, Report, Target};
use anyhow::{Context as _, bail};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

/// How long the first packet of a flow may take to come through: a hub has to learn where everybody is.
const FIRST: Duration = Duration::from_secs(15);
/// How much longer for each flow: tens of thousands find each other in turn.
const EACH: Duration = Duration::from_millis(2);
/// Flows that look for their way at a time: more would be a flood, which a hub bounds.
const AT_ONCE: usize = 1000;
/// Between two attempts of it.
const AGAIN: Duration = Duration::from_millis(200);
/// How long those that are still under way are waited for.
const DRAIN: Duration = Duration::from_millis(500);
/// Packets that are made in one turn, about.
const ENOUGH: usize = 256;

/// Who sends to whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// The first client to the second, the third to the fourth, and so on.
    Pairs,
    /// The same, and back.
    BothWays,
    /// Every client to this address behind the uplink, which sends all back (`sekisho bench reflect`).
    Uplink(SocketAddrV4),
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Load {
    /// Who sends to whom.
    pub pattern: Pattern,
    /// How many of the clients send or hear anything; `None`: all.
    pub active: Option<usize>,
    /// Lengths; each is measured with each of the bursts.
    pub sizes: Vec<Sizes>,
    /// Packets that a client sends at once.
    pub bursts: Vec<usize>,
    /// Packets a second of each flow; `None`: as many as the server takes.
    pub rate: Option<f64>,
    /// Packets under way of each flow, when there is no rate.
    pub window: usize,
    /// A last pair with so many packets of 200 bytes a second: what a call beside the load hears of it.
    pub beside: Option<f64>,
    /// Before each measurement.
    pub warm_up: Duration,
    /// Each measurement.
    pub time: Duration,
}

/// Connects clients and measures all that `load` asks for.
///
/// # Errors
/// When it cannot begin, somebody does not come up, or nothing comes through.
pub fn load(target: &Target, load: &Load) -> anyhow::Result<Report> {
    let mut bench = Bench::open(target)?;
    if bench.connected() < target.clients {
        bail!("not all clients came up:\n{}", bench.report);
    }
    let mut flows = make_flows(&bench.swarm, load)?;
    let mut traffic = Measuring { swarm: &mut bench.swarm, flows: &mut flows, ends: Vec::new() };
    traffic.find_each_other()?;
    for &sizes in &load.sizes {
        for &burst in &load.bursts {
            let result = traffic.measure(load, sizes, burst, bench.server.as_ref())?;
            bench.report.traffic.push(result);
        }
    }
    for end in std::mem::take(&mut traffic.ends) {
        bench.report.note_end(&end);
    }
    bench.close()
}

fn make_flows(swarm: &Swarm, load: &Load) -> anyhow::Result<Vec<Flow>> {
    let now = Instant::now();
    let address = |client: usize| {
        let params = swarm.device(client).params().with_context(|| format!("client {client} is down"))?;
        anyhow::Ok(params.address)
    };
    let mut ways = Vec::new();
    let active = load.active.map_or(swarm.len(), |active| active.min(swarm.len()));
    let pairs = active / 2;
    if pairs == 0 && !matches!(load.pattern, Pattern::Uplink(_)) || load.beside.is_some() && pairs < 2 {
        bail!("too few clients for this pattern");
    }
    match load.pattern {
        Pattern::Uplink(target) => {
            let count = active - if load.beside.is_some() { 2 } else { 0 };
            ways.extend((0..count).map(|client| (client, None, target)));
        }
        Pattern::Pairs | Pattern::BothWays => {
            for pair in 0..pairs - usize::from(load.beside.is_some()) {
                ways.push((2 * pair, Some(2 * pair + 1), SocketAddrV4::new(address(2 * pair + 1)?, PORT)));
                if load.pattern == Pattern::BothWays {
                    ways.push((2 * pair + 1, Some(2 * pair), SocketAddrV4::new(address(2 * pair)?, PORT)));
                }
            }
        }
    }
    if load.beside.is_some() {
        let (from, to) = (active - 2, active - 1);
        ways.push((from, Some(to), SocketAddrV4::new(address(to)?, PORT)));
    }
    let flows = ways.into_iter().zip(0..);
    flows.map(|((from, _, to), n)| Ok(Flow::new(n, from, address(from)?, to, now))).collect()
}

/// A measurement under way.
struct Measuring<'a> {
    swarm: &'a mut Swarm,
    flows: &'a mut [Flow],
    /// Clients that went down.
    ends: Vec<crate::client::Event>,
}

impl Measuring<'_> {
    /// Sends single packets until one of each flow came through.
    fn find_each_other(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let clock = Clock { began: now, from: now, to: now };
        let end = now + FIRST + EACH * u32::try_from(self.flows.len()).unwrap_or(u32::MAX);
        while let Some(silent) = self.flows.iter().position(|flow| !flow.works()) {
            let now = Instant::now();
            if now >= end {
                let from = self.flows[silent].client;
                bail!(
                    "nothing that client {from} sends comes through ({} packets refused)",
                    self.swarm.refused
                );
            }
            let silent: Vec<usize> =
                (0..self.flows.len()).filter(|n| !self.flows[*n].works()).take(AT_ONCE).collect();
            for n in silent {
                self.send(n, 1, now, &clock, false);
            }
            let next = now + AGAIN;
            while Instant::now() < next && self.flows.iter().any(|flow| !flow.works()) {
                self.turn(next, &clock, false)?;
            }
        }
        Ok(())
    }

    fn measure(
        &mut self,
        load: &Load,
        sizes: Sizes,
        burst: usize,
        server: Option<&ServerProcess>,
    ) -> anyhow::Result<Traffic> {
        let began = Instant::now();
        let from = began + load.warm_up;
        let clock = Clock { began, from, to: from + load.time };
        self.swarm.set_longest_run(burst);
        let pace = load.rate.map_or(Pace::Window(load.window), Pace::Rate);
        let last = self.flows.len() - 1;
        let count = self.flows.len() as u32;
        for (flow, n) in self.flows.iter_mut().zip(0..) {
            match load.beside {
                Some(rate) if n as usize == last => flow.set(Sizes::Fixed(200), 1, Pace::Rate(rate), began),
                _ => {
                    // Those with a rate do not all send at the same moment.
                    let gap = load.rate.map_or(0.0, |rate| burst as f64 / rate);
                    let offset = Duration::from_secs_f64(gap) * n / count;
                    flow.set(sizes, burst, pace, began + offset);
                }
            }
        }
        self.run(clock.from, &clock, false)?;
        let (own, before) = (own_cpu(), server.map(ServerProcess::usage).transpose()?);
        let measured_from = Instant::now();
        let clock = Clock { from: measured_from, to: measured_from + load.time, ..clock };
        self.run(clock.to, &clock, true)?;
        let (own, after) = (own_cpu() - own, server.map(ServerProcess::usage).transpose()?);
        let measured = measured_from.elapsed();
        let end = Instant::now() + DRAIN;
        while Instant::now() < end && self.flows.iter().any(|flow| flow.counts.received < flow.counts.sent) {
            self.turn(end, &clock, false)?;
        }
        let passes = if matches!(load.pattern, Pattern::Uplink(_)) { 2 } else { 1 };
        let (main, beside) = self.flows.split_at(if load.beside.is_some() { last } else { last + 1 });
        let mut classes = vec![class("load", main, measured)];
        if !beside.is_empty() {
            classes.push(class("beside", beside, measured));
        }
        let arrived: u64 = self.flows.iter().map(|flow| flow.counts.arrived).sum();
        Ok(Traffic::new(sizes, burst, load.rate, classes, arrived * passes, measured, own, before.zip(after)))
    }

    /// Sends and receives until a moment.
    fn run(&mut self, until: Instant, clock: &Clock, measured: bool) -> anyhow::Result<()> {
        let mut now = Instant::now();
        while now < until {
            let mut budget = ENOUGH;
            for n in 0..self.flows.len() {
                while budget > 0 && self.flows[n].take_burst(now) {
                    let burst = self.flows[n].burst;
                    self.send(n, burst, now, clock, measured);
                    budget = budget.saturating_sub(burst);
                }
            }
            let due = self.flows.iter().filter_map(Flow::due).min();
            // A flow that waits for what was lost looks again after a while.
            let wait = due.unwrap_or(until).min(until).min(now + AGAIN);
            now = self.turn(wait, clock, measured)?;
        }
        Ok(())
    }

    fn send(&mut self, flow: usize, count: usize, now: Instant, clock: &Clock, measured: bool) {
        let flow = &mut self.flows[flow];
        for _ in 0..count {
            let mut buf = self.swarm.buffer(flow.next_len());
            flow.fill(&mut buf, clock.nanos(now), measured);
            self.swarm.send(now, flow.client, buf);
        }
    }

    fn turn(&mut self, until: Instant, clock: &Clock, measured: bool) -> anyhow::Result<Instant> {
        let now = self.swarm.turn(until)?;
        let mut packets = std::mem::take(&mut self.swarm.packets);
        for (_, packet) in packets.drain(..) {
            if let Some(tag) = Tag::of(&packet)
                && let Some(flow) = self.flows.get_mut(tag.flow)
            {
                flow.arrived(tag, packet.len(), now, clock, measured);
            }
            self.swarm.recycle(packet);
        }
        self.swarm.packets = packets;
        let down = |event: &crate::client::Event| matches!(event, crate::client::Event::Down(_));
        self.ends.extend(self.swarm.happened.drain(..).map(|(_, event)| event).filter(down));
        Ok(now)
    }
}

fn class(name: &'static str, flows: &[Flow], time: Duration) -> Class {
    let mut sum = Counts::default();
    for flow in flows {
        sum.sent += flow.counts.sent;
        sum.received += flow.counts.received;
        sum.arrived += flow.counts.arrived;
        sum.bytes += flow.counts.bytes;
        sum.late += flow.counts.late;
        sum.latency.add(&flow.counts.latency);
    }
    let seconds = time.as_secs_f64().max(1e-9);
    Class {
        name,
        flows: flows.len(),
        sent: sum.sent,
        lost: sum.sent.saturating_sub(sum.received),
        late: sum.late,
        packets_per_second: sum.arrived as f64 / seconds,
        megabits_per_second: sum.bytes as f64 * 8.0 / 1e6 / seconds,
        latency: sum.latency.percentiles(),
    }
}
