//! Has clients come, go, vanish, return and renew their keys at random, and looks whether the server is then as it was.

use super::connect::told;
use super::report;
use super::{Bench, Report, Target};
use crate::client::Event;
use crate::entropy::Entropy;
use std::io;
use std::time::{Duration, Instant};

/// How long clients that connect or say goodbye are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long the server has to itself before its memory is looked at.
const QUIET: Duration = Duration::from_secs(5);

/// What is done to clients.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// How many times a second something happens to one of them.
    pub rate: f64,
    /// For how long.
    pub time: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Never connected, or gone in order.
    Away,
    /// Gone without a word: the server still has its session.
    Vanished,
    Connecting,
    Up,
}

/// Connects all clients and has them leave, looks at the server, then lets them come and go, has all of them leave again and
/// looks once more.
///
/// # Errors
/// When it cannot begin or nobody came up.
pub fn churn(target: &Target, churn: &Churn) -> anyhow::Result<Report> {
    let mut bench = Bench::open(target)?;
    let mut states = vec![State::Up; bench.swarm.len()];
    let mut entropy = Entropy::from_system()?;
    let mut done = report::Churn::default();
    all_leave(&mut bench, &mut states, &mut done)?;
    let before = bench.server.as_ref().map(|server| server.usage()).transpose()?;
    let began = Instant::now();
    let end = began + churn.time;
    let mut actions = 0_u64;
    loop {
        let due = began + Duration::from_secs_f64(actions as f64 / churn.rate.max(1e-3));
        if Instant::now() >= end {
            break;
        }
        turn(&mut bench, &mut states, due.min(end), &mut done)?;
        if Instant::now() >= due {
            actions += 1;
            let client = entropy.u32() as usize % states.len();
            act(&mut bench, client, &mut states[client], entropy.u32() % 8, &mut done);
        }
    }
    // Who vanished returns, so that the server knows of nobody who is not there.
    for (client, state) in states.iter_mut().enumerate().filter(|(_, state)| **state == State::Vanished) {
        bench.swarm.tell(client, |device, out| device.start(Instant::now(), out));
        *state = State::Connecting;
    }
    all_leave(&mut bench, &mut states, &mut done)?;
    if let (Some(server), Some(before)) = (&bench.server, before) {
        done.memory = Some((before.resident_kib, server.usage()?.resident_kib));
    }
    bench.report.churn = Some(done);
    bench.close()
}

/// One thing that happens to a client.
fn act(bench: &mut Bench, client: usize, state: &mut State, what: u32, done: &mut report::Churn) {
    let now = Instant::now();
    let mut count = |what: &'static str| *done.actions.entry(what).or_default() += 1;
    match (*state, what) {
        (State::Connecting, _) => {}
        (State::Away | State::Vanished, _) => {
            count(if *state == State::Away { "came" } else { "returned" });
            bench.swarm.tell(client, |device, out| device.start(now, out));
            *state = State::Connecting;
        }
        (State::Up, 0..=2) => {
            count("left");
            bench.swarm.tell(client, |device, out| device.stop(now, out));
            *state = State::Away;
        }
        (State::Up, 3 | 4) => {
            count("vanished");
            bench.swarm.tell(client, |device, _| device.vanish());
            *state = State::Vanished;
        }
        (State::Up, 5) => {
            count("renewed its ISAKMP SA");
            bench.swarm.tell(client, |device, out| device.renew_isakmp(now, out));
        }
        (State::Up, _) => {
            count("renewed its ESP SAs");
            bench.swarm.tell(client, |device, out| device.renew_esp(now, out));
        }
    }
}

fn turn(bench: &mut Bench, states: &mut [State], until: Instant, done: &mut report::Churn) -> io::Result<()> {
    bench.swarm.turn(until)?;
    bench.swarm.packets.clear();
    for (client, event) in bench.swarm.happened.drain(..) {
        match event {
            Event::Up(_) => states[client] = State::Up,
            // A goodbye of our own is no loss, and leaves the client where it was put.
            Event::Down(_) if states[client] == State::Away => {}
            Event::Down(reason) => {
                *done.failed.entry(told(&reason)).or_default() += 1;
                states[client] = State::Away;
            }
            Event::IkeUp { .. } | Event::EspUp { .. } | Event::Rekeyed => {}
        }
    }
    Ok(())
}

/// Waits for those who connect, has everybody leave, and waits until the server has had time to forget them.
fn all_leave(bench: &mut Bench, states: &mut [State], done: &mut report::Churn) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    while states.contains(&State::Connecting) && Instant::now() < end {
        turn(bench, states, (Instant::now() + Duration::from_millis(50)).min(end), done)?;
    }
    for (client, state) in states.iter_mut().enumerate() {
        bench.swarm.tell(client, |device, out| device.stop(Instant::now(), out));
        *state = State::Away;
    }
    let end = Instant::now() + PATIENCE;
    let active = |bench: &Bench| (0..bench.swarm.len()).any(|client| bench.swarm.device(client).is_active());
    while active(bench) && Instant::now() < end {
        turn(bench, states, (Instant::now() + Duration::from_millis(50)).min(end), done)?;
    }
    let end = Instant::now() + QUIET;
    while Instant::now() < end {
        turn(bench, states, end, done)?;
    }
    Ok(())
}
