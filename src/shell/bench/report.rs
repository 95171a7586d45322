//! What was measured, for people and for scripts. Each kind of measurement has a section that is left out where it was
//! not made.

use super::Target;
use super::connect::told;
use super::flow::Sizes;
use super::histogram::Percentiles;
use super::server::Usage;
use crate::client::Event;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// All numbers of one run.
#[derive(Debug, Serialize)]
pub struct Report {
    server_address: String,
    profile: String,
    clients: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) set_up: Option<SetUp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) server: Option<Held>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) traffic: Vec<Traffic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) churn: Option<Churn>,
    /// Clients that went down though nobody told them to, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    lost: BTreeMap<String, usize>,
}

/// How connecting went.
#[derive(Debug, Serialize)]
pub(super) struct SetUp {
    pub(super) connected: usize,
    pub(super) failed: BTreeMap<String, usize>,
    pub(super) seconds: f64,
    pub(super) per_second: f64,
    /// Milliseconds from the first packet to the end of each stage.
    pub(super) stages: Vec<Stage>,
    pub(super) own_cpu_ms: f64,
}

/// One stage of connecting.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) name: &'static str,
    #[serde(flatten)]
    pub(super) times: Percentiles,
}

/// What the server holds for the clients, and what they cost it.
#[derive(Debug, Serialize)]
pub(super) struct Held {
    cpu_ms_per_set_up: f64,
    resident_kib_before: u64,
    resident_kib: u64,
    kib_per_session: f64,
    threads: u64,
    /// CPU time in percent of one core, while they were only held.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle_percent: Option<f64>,
}

/// What was done to clients that come and go, and what is left of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Churn {
    pub(super) actions: BTreeMap<&'static str, usize>,
    pub(super) failed: BTreeMap<String, usize>,
    /// The server's resident memory with nobody connected, before and after.
    pub(super) memory: Option<(u64, u64)>,
}

/// What was sent, and what came of it.
#[derive(Debug, Serialize)]
pub(super) struct Traffic {
    sizes: String,
    burst: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    classes: Vec<Class>,
    /// Packets that the server passed on, a way there and back being two.
    passes: u64,
    /// CPU time of this process in percent of one core.
    own_percent: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<PerPacket>,
}

/// Flows of a kind, all together.
#[derive(Debug, Serialize)]
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) flows: usize,
    pub(super) sent: u64,
    pub(super) lost: u64,
    /// Times that this process could not keep its own rate.
    pub(super) late: u64,
    pub(super) packets_per_second: f64,
    pub(super) megabits_per_second: f64,
    /// Milliseconds from before the encryption to after the decryption.
    pub(super) latency: Percentiles,
}

/// What packets cost the server's process.
#[derive(Debug, Serialize)]
struct PerPacket {
    us_per_packet: f64,
    percent: f64,
    packets_per_sleep: f64,
}

impl Traffic {
    #[expect(clippy::too_many_arguments, reason = "the numbers of one measurement, from one place")]
    pub(super) fn new(
        sizes: Sizes,
        burst: usize,
        rate: Option<f64>,
        classes: Vec<Class>,
        passes: u64,
        time: Duration,
        own: Duration,
        usage: Option<(Usage, Usage)>,
    ) -> Self {
        let seconds = time.as_secs_f64().max(1e-9);
        let server = usage.map(|(before, after)| {
            let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
            let sleeps = after.sleeps.saturating_sub(before.sleeps);
            PerPacket {
                us_per_packet: cpu * 1e6 / passes.max(1) as f64,
                percent: cpu / seconds * 100.0,
                packets_per_sleep: passes as f64 / sleeps.max(1) as f64,
            }
        });
        let own_percent = own.as_secs_f64() / seconds * 100.0;
        Self { sizes: sizes.to_string(), burst, rate, classes, passes, own_percent, server }
    }
}

impl Report {
    pub(super) fn new(target: &Target) -> Self {
        Self {
            server_address: target.server.to_string(),
            profile: target.profile.clone(),
            clients: target.clients,
            set_up: None,
            server: None,
            traffic: Vec::new(),
            churn: None,
            lost: BTreeMap::new(),
        }
    }

    /// Counts a client that went down by itself.
    pub(super) fn note_end(&mut self, event: &Event) {
        if let Event::Down(reason) = event {
            *self.lost.entry(told(reason)).or_default() += 1;
        }
    }
}

impl Held {
    pub(super) fn new(before: Usage, after: Usage, sessions: usize) -> Self {
        let sessions = sessions.max(1) as f64;
        let grown = after.resident_kib.saturating_sub(before.resident_kib);
        Self {
            cpu_ms_per_set_up: (after.cpu.saturating_sub(before.cpu)).as_secs_f64() * 1e3 / sessions,
            resident_kib_before: before.resident_kib,
            resident_kib: after.resident_kib,
            kib_per_session: grown as f64 / sessions,
            threads: after.threads,
            idle_percent: None,
        }
    }

    pub(super) fn idle(&mut self, before: Usage, after: Usage, time: Duration) {
        let cpu = after.cpu.saturating_sub(before.cpu);
        self.idle_percent = Some(cpu.as_secs_f64() / time.as_secs_f64().max(1e-9) * 100.0);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} clients ({}) against {}", self.clients, self.profile, self.server_address)?;
        if let Some(set_up) = &self.set_up {
            set_up.fmt(f)?;
        }
        if let Some(held) = &self.server {
            held.fmt(f)?;
        }
        for traffic in &self.traffic {
            traffic.fmt(f)?;
        }
        if let Some(churn) = &self.churn {
            churn.fmt(f)?;
        }
        for (why, count) in &self.lost {
            writeln!(f, "  lost meanwhile: {count} x {why}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nset-up: {} connected in {:.2} s, {:.1} a second; the clients' own CPU {:.0} ms",
            self.connected, self.seconds, self.per_second, self.own_cpu_ms
        )?;
        for (why, count) in &self.failed {
            writeln!(f, "  failed: {count} x {why}")?;
        }
        writeln!(
            f,
            "  {:<10} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "ms to", "p50", "p90", "p99", "p99.9", "most"
        )?;
        for Stage { name, times } in &self.stages {
            writeln!(f, "  {name:<10} {times}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\nserver: {:.2} ms CPU per set-up; {} KiB resident, {:.1} KiB per session; {} threads",
            self.cpu_ms_per_set_up, self.resident_kib, self.kib_per_session, self.threads
        )?;
        match self.idle_percent {
            Some(percent) => writeln!(f, "  {percent:.2} % of a core while they were held"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<_> = self.actions.iter().map(|(what, count)| format!("{count} {what}")).collect();
        writeln!(f, "\nchurn: {}", actions.join(", "))?;
        for (why, count) in &self.failed {
            writeln!(f, "  down: {count} x {why}")?;
        }
        match self.memory {
            Some((before, after)) => {
                writeln!(f, "  server with nobody connected: {before} KiB before, {after} KiB after")
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.rate.map_or("flat out".to_owned(), |rate| format!("{rate} a second and flow"));
        write!(f, "\n{} bytes in bursts of {}, {rate}: ", self.sizes, self.burst)?;
        if let Some(PerPacket { us_per_packet, percent, packets_per_sleep }) = &self.server {
            write!(
                f,
                "server {us_per_packet:.2} us CPU per packet, {percent:.0} % of a core, {packets_per_sleep:.1} packets a sleep; "
            )?;
        }
        writeln!(f, "clients {:.0} %", self.own_percent)?;
        for class in &self.classes {
            let Class { name, flows, sent, lost, late, packets_per_second, megabits_per_second, latency } =
                class;
            writeln!(
                f,
                "  {name}: {flows} flows, {packets_per_second:.0} packets/s, {megabits_per_second:.0} Mbit/s; {sent} sent, {lost} lost, {late} late"
            )?;
            writeln!(
                f,
                "  {:<10} {:>10} {:>10} {:>10} {:>10} {:>10}",
                "", "p50", "p90", "p99", "p99.9", "most"
            )?;
            writeln!(f, "  {:<10} {latency}", "latency ms")?;
        }
        Ok(())
    }
}

impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, most } = self;
        write!(f, "{p50:>10.3} {p90:>10.3} {p99:>10.3} {p999:>10.3} {most:>10.3}")
    }
}
