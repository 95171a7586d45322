//! Has clients connect, at a pace, and measures how long each stage takes them.

use super::histogram::Histogram;
use super::report::{self, Stage};
use super::swarm::Swarm;
use crate::client::{Event, Reason};
use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

/// How fast clients begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// In a second; `None`: whenever there is room.
    pub(super) rate: Option<f64>,
    /// How many may be connecting at a time.
    pub(super) at_once: usize,
}

/// What came of it.
#[derive(Default)]
pub(super) struct SetUps {
    isakmp: Histogram,
    esp: Histogram,
    up: Histogram,
    failed: BTreeMap<String, usize>,
    took: Duration,
    /// CPU time of this process, which does the clients' Diffie-Hellman.
    own_cpu: Duration,
}

impl SetUps {
    pub(super) fn connected(&self) -> usize {
        usize::try_from(self.up.total()).unwrap_or(usize::MAX)
    }

    /// Why those failed that did.
    pub(super) fn failures(&self) -> String {
        let each = self.failed.iter().map(|(why, count)| format!("{count} x {why}"));
        each.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn section(&self) -> report::SetUp {
        let stage = |name, histogram: &Histogram| Stage { name, times: histogram.percentiles() };
        report::SetUp {
            connected: self.connected(),
            failed: self.failed.clone(),
            seconds: self.took.as_secs_f64(),
            per_second: self.connected() as f64 / self.took.as_secs_f64().max(1e-9),
            stages: vec![stage("isakmp", &self.isakmp), stage("esp", &self.esp), stage("address", &self.up)],
            own_cpu_ms: self.own_cpu.as_secs_f64() * 1e3,
        }
    }
}

/// Has every client of the swarm connect once and waits until each is up or has failed.
pub(super) fn connect(swarm: &mut Swarm, pace: Pace) -> io::Result<SetUps> {
    let began = Instant::now();
    let own = own_cpu();
    let mut set_ups = SetUps::default();
    let mut started: Vec<Option<Instant>> = vec![None; swarm.len()];
    let (mut next, mut connecting) = (0, 0);
    while next < started.len() || connecting > 0 {
        let mut now = Instant::now();
        while next < started.len() && connecting < pace.at_once && pace.due(began, next) <= now {
            swarm.tell(next, |device, out| device.start(now, out));
            started[next] = Some(now);
            (next, connecting) = (next + 1, connecting + 1);
            // A Diffie-Hellman has passed.
            now = Instant::now();
            if next % 8 == 0 {
                break;
            }
        }
        let wait = match next < started.len() && connecting < pace.at_once {
            true => pace.due(began, next),
            false => now + Duration::from_secs(1),
        };
        let now = swarm.turn(wait)?;
        for (client, event) in swarm.happened.drain(..) {
            let Some(at) = started[client] else { continue };
            let took = now.saturating_duration_since(at);
            match event {
                Event::IkeUp { .. } => set_ups.isakmp.record(took),
                Event::EspUp { .. } => set_ups.esp.record(took),
                Event::Up(_) => {
                    set_ups.up.record(took);
                    (started[client], connecting) = (None, connecting - 1);
                }
                Event::Down(reason) => {
                    *set_ups.failed.entry(told(&reason)).or_default() += 1;
                    (started[client], connecting) = (None, connecting - 1);
                }
                Event::Rekeyed => {}
            }
        }
        swarm.packets.clear();
    }
    set_ups.took = began.elapsed();
    set_ups.own_cpu = own_cpu().saturating_sub(own);
    Ok(set_ups)
}

impl Pace {
    /// When this client may begin.
    fn due(self, began: Instant, client: usize) -> Instant {
        match self.rate {
            Some(rate) => began + Duration::from_secs_f64(client as f64 / rate.max(1e-3)),
            None => began,
        }
    }
}

/// Why a client is down, in few words.
pub(super) fn told(reason: &Reason) -> String {
    format!("{reason:?}")
}

/// CPU time of this process.
pub(super) fn own_cpu() -> Duration {
    let clock = nix::time::clock_gettime(nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID);
    clock.map_or(Duration::ZERO, Duration::from)
}
