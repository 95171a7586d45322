//! The control side: the gatehouse, the signals, and what is written to disk.

use super::control_socket::{self, Call, Nats};
use super::guest::{self, Guest};
use super::host;
use super::inbox::{Inbox, Input};
use super::net_setup::HostSetup;
use super::reload::{Prepared, Source};
use super::routers::Routers;
use super::state_file;
use super::syscall::give_back_memory;
use super::uplinks::Trunks;
use super::worker_thread::clock;
use crate::config::{self, Config};
use crate::control::{Facts, GuestRow, Kind, Refusal, ReloadRow, Reloaded};
use crate::entropy::Entropy;
use crate::gatehouse::{Gatehouse, Output};
use crate::hub::Forward;
use crate::identity::same_name;
use crate::packet::WorkerId;
use crate::peer::{Answer, Ask};
use crate::worker::{FarFrame, Target};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// How often leases and stories go to disk when something has changed.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// How long workers have for their goodbyes.
const FAREWELL: Duration = Duration::from_secs(3);

pub(super) struct GateThread {
    pub(super) gatehouse: Gatehouse,
    pub(super) inboxes: Arc<[Inbox]>,
    pub(super) state_dir: PathBuf,
    pub(super) asks: Receiver<Vec<Ask>>,
    /// What the control socket's connections want; none come without a socket.
    pub(super) calls: Receiver<Call>,
    pub(super) facts: Facts,
    pub(super) source: Source,
    pub(super) trunks: Trunks,
    pub(super) routers: Routers,
    pub(super) setup: HostSetup,
}

/// Who waits for a reload: a connection of the control socket, or nobody (SIGHUP).
type Waiting = Option<oneshot::Sender<Result<ReloadRow, Refusal>>>;

/// Leases and stories that are being written.
type Saving = JoinHandle<std::io::Result<state_file::Generation>>;

/// A configuration file that is being read.
struct Reading {
    task: JoinHandle<Result<Prepared, Refusal>>,
    dry_run: bool,
    waiting: Waiting,
}

impl GateThread {
    /// Runs until SIGTERM or SIGINT, then until the workers have said goodbye.
    pub(super) async fn run(&mut self) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut save_at = Instant::now() + SAVE_EVERY;
        let mut saved = state_file::Generation::of(&self.gatehouse);
        let mut reading: Option<Reading> = None;
        let mut guest: Option<(Guest, Instant)> = None;
        let mut saving: Option<Saving> = None;
        loop {
            let due = self.gatehouse.poll_timeout().map_or(save_at, |at| save_at.min(Instant::from_std(at)));
            let due = guest.as_ref().map_or(due, |(_, until)| due.min(*until));
            tokio::select! {
                asks = self.asks.recv() => match asks {
                    Some(asks) => self.handle(asks),
                    None => anyhow::bail!("all workers have ended"),
                },
                Some(call) = self.calls.recv() => match call {
                    Call::Step(job, answer) => {
                        let out = control_socket::step(&mut self.gatehouse, &self.facts, job, answer);
                        self.pass_on(out);
                    }
                    Call::Guest { hub, answer } => {
                        // Whoever asked may have gone; the guest leaves at the end of the minute then.
                        let _ = answer.send(self.change_guest(&mut guest, hub.as_deref()));
                    }
                    Call::Monitor { hub, feed, answer } => {
                        let Self { trunks, gatehouse, inboxes, .. } = self;
                        let opened = trunks.open_monitor(&hub, *feed, gatehouse, inboxes).await;
                        let port = opened.as_ref().ok().copied();
                        if let (Err(_), Some(port)) = (answer.send(opened), port) {
                            // Whoever asked has gone.
                            trunks.close_monitor(port, gatehouse, inboxes);
                        }
                    }
                    Call::Nats { hub, answer } => {
                        // Whoever asked may have gone.
                        let _ = answer.send(self.nats(hub.as_deref()));
                    }
                    Call::EndMonitor(port) => self.trunks.close_monitor(port, &mut self.gatehouse, &self.inboxes),
                    Call::Reload { dry_run, answer } => self.begin_reload(&mut reading, dry_run, Some(answer)),
                },
                prepared = read(&mut reading) => {
                    if let Some(Reading { dry_run, waiting, .. }) = reading.take() {
                        self.finish_reload(prepared, dry_run, waiting).await;
                    }
                }
                () = sleep_until(due) => {
                    let mut out = Output::default();
                    self.gatehouse.handle_timeout(clock(), &mut out);
                    self.pass_on(out);
                    if guest.as_ref().is_some_and(|(_, until)| *until <= Instant::now()) {
                        self.send_away(guest.take());
                    }
                    if save_at <= Instant::now() {
                        save_at = Instant::now() + SAVE_EVERY;
                        // A disk that takes longer than that is waited for.
                        if saving.is_none() {
                            saving = self.save(saved);
                        }
                    }
                }
                written = finished(&mut saving) => {
                    saving = None;
                    saved = self.on_disk(written).unwrap_or(saved);
                }
                _ = hangup.recv() => self.begin_reload(&mut reading, false, None),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        tracing::info!(step = "stopping", "stopping: saying goodbye to every client");
        for inbox in &*self.inboxes {
            inbox.put(Input::Shutdown);
        }
        // Workers close their end when they are done; what they still tell is told.
        let deadline = Instant::now() + FAREWELL;
        while let Ok(Some(asks)) = tokio::time::timeout_at(deadline, self.asks.recv()).await {
            self.handle(asks);
        }
        if saving.is_some() {
            saved = self.on_disk(finished(&mut saving).await).unwrap_or(saved);
        }
        if let Some(last) = self.save(saved) {
            self.on_disk(finished(&mut Some(last)).await);
        }
        Ok(())
    }

    /// The NATs of a hub, or of all.
    fn nats(&self, hub: Option<&str>) -> Result<Nats, Refusal> {
        let wanted = |config: &&config::Hub| hub.is_none_or(|name| same_name(name, &config.name));
        let hubs: Vec<&config::Hub> = self.gatehouse.config().hubs.iter().filter(wanted).collect();
        if let Some(name) = hub {
            let config = hubs.first().ok_or_else(|| Refusal::unknown(format!("there is no hub `{name}`")))?;
            if !config.uplink.has_gateway() {
                let message =
                    format!("the uplink of hub {} is `{}`, which is no NAT", config.name, config.uplink);
                return Err(Refusal::new(Kind::Refused, message));
            }
        }
        let kernel = hubs.iter().filter(|config| config.uplink.is_nat());
        let kernel = kernel.map(|config| (config.name.clone(), config.network)).collect();
        Ok(Nats { windows: self.trunks.windows(hub), kernel })
    }

    /// Lets a guest in to `hub`; without one, sends the guest away.
    fn change_guest(
        &mut self,
        guest: &mut Option<(Guest, Instant)>,
        hub: Option<&str>,
    ) -> Result<Option<GuestRow>, Refusal> {
        let Some(hub) = hub else {
            self.send_away(guest.take());
            return Ok(None);
        };
        if guest.is_some() {
            return Err(Refusal::new(Kind::Busy, "a self-test is under way"));
        }
        let mut entropy = Entropy::from_system()
            .map_err(|error| Refusal::new(Kind::Failed, format!("no randomness: {error}")))?;
        let (config, invited, row) = guest::invite(self.gatehouse.config(), hub, &mut entropy)?;
        self.put(config);
        *guest = Some((invited, Instant::now() + guest::STAY));
        Ok(Some(row))
    }

    fn send_away(&mut self, guest: Option<(Guest, Instant)>) {
        let Some((guest, _)) = guest else { return };
        if let Some(config) = guest::dismiss(self.gatehouse.config(), &guest) {
            self.put(config);
        }
        guest.forget(&mut self.gatehouse);
    }

    /// Puts a configuration in force that differs in users alone.
    fn put(&mut self, config: Config) {
        let changes = self.gatehouse.config().changes_to(&config, clock().unix);
        let mut out = Output::default();
        self.gatehouse.apply(clock(), Arc::new(config), &changes, &mut out);
        self.pass_on(out);
    }

    fn begin_reload(&self, reading: &mut Option<Reading>, dry_run: bool, waiting: Waiting) {
        if reading.is_some() {
            let refusal = Refusal::new(Kind::Busy, "a reload is under way");
            match waiting {
                Some(waiting) => drop(waiting.send(Err(refusal))),
                None => tracing::warn!("SIGHUP not followed: a reload is under way"),
            }
            return;
        }
        let task = self.source.read(self.gatehouse.config().clone());
        *reading = Some(Reading { task, dry_run, waiting });
    }

    async fn finish_reload(&mut self, prepared: Result<Prepared, Refusal>, dry_run: bool, waiting: Waiting) {
        let result = match prepared {
            Ok(prepared) if dry_run => Ok(prepared.row(&self.gatehouse)),
            Ok(prepared) => self.apply(&prepared).await,
            Err(refusal) => Err(refusal),
        };
        give_back_memory();
        if !dry_run {
            let what = match &result {
                Ok(row) => format!(
                    "{} changes, {} sessions ended, {} stayed",
                    row.changes.len(),
                    row.sessions_end,
                    row.sessions_stay
                ),
                Err(refusal) => refusal.message.lines().next().unwrap_or_default().to_owned(),
            };
            match &result {
                Ok(_) => tracing::info!(what, step = "reload", "reloaded"),
                Err(refusal) => tracing::error!(why = refusal.message, step = "reload", "not reloaded"),
            }
            self.facts.reloaded = Some(Reloaded { at: clock().unix, applied: result.is_ok(), what });
        }
        if let Some(waiting) = waiting {
            // Whoever asked may have gone.
            let _ = waiting.send(result);
        }
    }

    /// Puts a new configuration in force.
    async fn apply(&mut self, prepared: &Prepared) -> Result<ReloadRow, Refusal> {
        let Prepared { config, changes, .. } = prepared;
        self.trunks
            .check(config, &self.setup)
            .map_err(|error| Refusal::new(Kind::BadConfiguration, format!("{error}\nnothing has changed")))?;
        let mut row = prepared.row(&self.gatehouse);
        for change in &row.changes {
            tracing::info!(
                key = change.key,
                what = change.what,
                sessions_end = change.sessions_end,
                needs_restart = change.needs_restart,
                step = "reload",
                "configuration changed"
            );
        }
        let before = self.gatehouse.config().clone();
        self.gatehouse.set_host_dns(host::name_servers());
        let mut out = Output::default();
        self.gatehouse.apply(clock(), config.clone(), changes, &mut out);
        self.pass_on(out);
        let settings = Arc::new(config.peer_settings(self.source.force_udp));
        for inbox in &*self.inboxes {
            inbox.put(Input::Settings(settings.clone()));
        }
        prepared.apply_log_level();
        let Self { trunks, routers, setup, gatehouse, inboxes, .. } = self;
        routers.close_gone(config, gatehouse, inboxes);
        let mut failures = trunks.follow(&before, config, setup, gatehouse, inboxes).await;
        failures.extend(routers.open_new(config, gatehouse, inboxes).await);
        for failure in &failures {
            tracing::error!(failure, step = "reload", "a part of the reload failed");
        }
        row.warnings.extend(failures);
        row.applied = true;
        Ok(row)
    }

    fn handle(&mut self, asks: Vec<Ask>) {
        let mut out = Output::default();
        let now = clock();
        for ask in asks {
            self.gatehouse.handle_ask(now, ask, &mut out);
        }
        self.pass_on(out);
    }

    /// Hands answers and service frames to the workers that they are for, one batch each.
    fn pass_on(&self, out: Output) {
        let mut batches: Vec<(Vec<Answer>, Vec<FarFrame>)> =
            self.inboxes.iter().map(|_| Default::default()).collect();
        for answer in out.answers {
            if let Some((answers, _)) = batches.get_mut(usize::from(answer.link().worker.0)) {
                answers.push(answer);
            }
        }
        for service in out.frames {
            match service.to {
                Forward::To(port) => {
                    if let Some((_, frames)) = batches.get_mut(usize::from(port.worker().0)) {
                        frames.push(FarFrame {
                            hub: service.hub,
                            to: Target::Port(port),
                            buf: service.frame,
                        });
                    }
                }
                Forward::Flood(scope) => {
                    for ((_, frames), n) in batches.iter_mut().zip(0..) {
                        let to = Target::Flood(WorkerId(n), scope, crate::hub::PortId::SERVICE);
                        frames.push(FarFrame { hub: service.hub, to, buf: service.frame.clone() });
                    }
                }
                Forward::Discard(_) => {}
            }
        }
        for (inbox, (answers, frames)) in self.inboxes.iter().zip(batches) {
            if !out.standings.is_empty() {
                inbox.put(Input::Standings(out.standings.clone()));
            }
            if !answers.is_empty() {
                inbox.put(Input::Answers(answers));
            }
            if !frames.is_empty() {
                inbox.put(Input::Frames(frames));
            }
        }
    }

    /// Begins to write what has changed since, on a thread of its own.
    fn save(&self, saved: state_file::Generation) -> Option<Saving> {
        if state_file::Generation::of(&self.gatehouse) == saved {
            return None;
        }
        let snapshot = state_file::Snapshot::take(&self.gatehouse, clock());
        let dir = self.state_dir.clone();
        Some(tokio::task::spawn_blocking(move || snapshot.write(&dir)))
    }

    /// What is on the disk now, if it could be written.
    fn on_disk(&self, written: std::io::Result<state_file::Generation>) -> Option<state_file::Generation> {
        written
            .inspect_err(|error| {
                tracing::warn!(directory = %self.state_dir.display(), %error, "state not saved");
            })
            .ok()
    }
}

/// What is being written, once it is; never when nothing is.
async fn finished(saving: &mut Option<Saving>) -> std::io::Result<state_file::Generation> {
    match saving {
        Some(task) => task.await.unwrap_or_else(|error| Err(std::io::Error::other(error))),
        None => std::future::pending().await,
    }
}

/// The configuration that is being read, once it is; never when none is.
async fn read(reading: &mut Option<Reading>) -> Result<Prepared, Refusal> {
    match reading {
        Some(reading) => (&mut reading.task).await.unwrap_or_else(|error| {
            Err(Refusal::new(Kind::Failed, format!("the configuration was not read: {error}")))
        }),
        None => std::future::pending().await,
    }
}
