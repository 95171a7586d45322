//! The order in which the gateway starts and ends.

use super::control_socket::{ControlSocket, FILE_NAME};
use super::dispatch::Dispatch;
use super::gate_thread::GateThread;
use super::inbox::Inbox;
use super::net_setup::HostSetup;
use super::reload::Source;
use super::routers::Routers;
use super::syscall::give_back_memory;
use super::uplinks::Trunks;
use super::worker_thread::{WAKER, WorkerThread, clock};
use super::{dh_pool, host, sockets, state_file, steering};
use crate::config::{Config, LogFormat};
use crate::control::Facts;
use crate::entropy::Entropy;
use crate::gatehouse::Gatehouse;
use crate::packet::WorkerId;
use crate::worker::Worker;
use anyhow::Context as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Asks that wait for the gatehouse at most, in batches.
const GATE_QUEUE: usize = 4096;

/// Calls of the control socket that wait at most.
const CALL_QUEUE: usize = 64;

/// What [`run`] needs to know.
pub struct Options {
    /// The checked configuration.
    pub config: Config,
    /// The file that it came from, for a reload.
    pub config_path: PathBuf,
    /// Where leases and the journal of the host set-up live; exists.
    pub state_dir: PathBuf,
    /// Where the control socket is, if not in the state directory.
    pub socket: Option<PathBuf>,
    /// How log lines look, when the command line says so.
    pub log_format: Option<LogFormat>,
    /// Called once, when the ports are open.
    pub on_ready: Box<dyn FnOnce() + Send>,
}

/// Runs the gateway until it is told to end (SIGTERM, SIGINT).
///
/// # Errors
/// When it cannot start; the message says what to do.
pub fn run(options: Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_all(options))
}

async fn run_all(options: Options) -> anyhow::Result<()> {
    let Options { config, config_path, state_dir, socket, log_format, on_ready } = options;
    // A reload finds it wherever the process is by then.
    let config_path = std::path::absolute(&config_path).unwrap_or(config_path);
    let config = Arc::new(config);
    let (mut setup, cleaned) = HostSetup::open(&state_dir)?;
    for what in cleaned {
        tracing::info!(what, step = "start", "cleaned up after a gateway that was killed");
    }
    // The state directory is ours now: a socket in it is a dead gateway's.
    let control = match ControlSocket::open(&socket.clone().unwrap_or_else(|| state_dir.join(FILE_NAME))) {
        Ok(control) => Some(control),
        Err(error) if socket.is_some() => return Err(error),
        Err(error) => {
            tracing::warn!("{error:#}; `sekisho ctl` will not work");
            None
        }
    };
    let mut entropy = Entropy::from_system()?;
    let began = clock();
    let mut gatehouse = Gatehouse::new(began, config.clone(), host::name_servers(), &mut entropy);
    state_file::load(&state_dir, &mut gatehouse, began);

    // The sockets come first: without them there is nothing to set up.
    let count = config.workers.max(1);
    let sockets::Bound { workers: mut all_sockets, raw_esp } = sockets::bind_all(&config, count)?;
    let dispatch = Arc::new(Dispatch::new(count));
    if count > 1
        && let Some(first) = all_sockets.first()
    {
        steering::steer(first, &dispatch);
    }
    let settings = Arc::new(config.peer_settings(!raw_esp));

    let mut polls = Vec::new();
    let mut inboxes = Vec::new();
    let mut receivers = Vec::new();
    for _ in 0..count {
        let poll = mio::Poll::new().context("cannot make an event queue")?;
        let (inbox, receiver) = Inbox::new(mio::Waker::new(poll.registry(), WAKER)?);
        polls.push(poll);
        inboxes.push(inbox);
        receivers.push(receiver);
    }
    let inboxes: Arc<[Inbox]> = inboxes.into();
    let (gate, asks) = tokio::sync::mpsc::channel(GATE_QUEUE);
    let (dh, _dh_threads) = dh_pool::DhPool::start(usize::from(count), &inboxes)?;

    let mut workers: Vec<Worker> =
        (0..count).map(|n| Worker::new(WorkerId(n), began, settings.clone(), entropy.fork())).collect();
    let (trunks, mut taps) =
        Trunks::open_all(&config, &mut setup, &mut gatehouse, &mut workers, &inboxes).await?;
    let routers = Routers::open_all(&config, &mut gatehouse, &mut workers)?;

    let mut threads = Vec::new();
    for (n, worker) in workers.into_iter().enumerate() {
        let id = WorkerId(u8::try_from(n).unwrap_or(u8::MAX));
        let thread = WorkerThread {
            id,
            poll: polls.remove(0),
            sockets: all_sockets.remove(0),
            uplinks: taps.remove(&id).unwrap_or_default(),
            worker,
            inbox: receivers.remove(0),
            inboxes: inboxes.clone(),
            gate: gate.clone(),
            dh: dh.clone(),
            dispatch: dispatch.clone(),
        };
        let builder = std::thread::Builder::new().name(format!("worker-{n}"));
        threads.push(builder.spawn(move || thread.run())?);
    }
    drop((gate, dh));
    let (calls_in, calls) = tokio::sync::mpsc::channel(CALL_QUEUE);
    if let Some(control) = control {
        tokio::spawn(control.serve(calls_in, inboxes.clone()));
    }
    let facts = Facts {
        started: began.unix,
        config: config_path.display().to_string(),
        state_dir: state_dir.display().to_string(),
        reloaded: None,
    };
    give_back_memory();
    tracing::info!(workers = count, raw_esp, hubs = config.hubs.len(), step = "ready", "ready");
    on_ready();

    let source = Source { path: config_path, log_format, force_udp: !raw_esp };
    let mut gate =
        GateThread { gatehouse, inboxes, state_dir, asks, calls, facts, source, trunks, routers, setup };
    let stopped = gate.run().await;
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a worker failed"),
            Err(_) => tracing::error!("a worker panicked"),
        }
    }
    for what in gate.setup.undo()? {
        tracing::debug!(what, "taken back");
    }
    tracing::info!(step = "stopped", "stopped");
    stopped
}
