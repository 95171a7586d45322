//! One thread around one worker: one clock reading a turn, everything that is there in batches, one sleep.

use super::cable::Uplink;
use super::dh_pool::DhPool;
use super::dispatch::Dispatch;
use super::inbox::{Inbox, Input, Plug};
use super::routers::RouterPlug;
use super::syscall;
use super::udp::{ReceiveSpace, UdpSocket};
use crate::crypto::dh::DhJob;
use crate::hub::PortId;
use crate::packet::{Datagram, Encap, PacketBuf, Transmit, WorkerId};
use crate::peer::{Ask, DhTag, Frame};
use crate::uplink::LARGEST;
use crate::worker::{Batch, Clock, Effects, Target, Worker};
use mio::{Events, Poll, Token};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

/// The token of the inbox's waker; sockets and taps count from zero.
pub(super) const WAKER: Token = Token(usize::MAX);

/// Receive calls per uplink, and datagrams of IKE or clear-text L2TP, in a turn, so that timers and others have theirs.
const TURN: usize = 32;

/// Frames of one uplink in a turn, about: enough to fill every lane of the ESP engine many times, few enough to stay in the
/// cache from the first step to the last.
const ENOUGH: usize = 256;

/// A turn that begins so soon after the last one has packets behind its first: it reads until none is left. After a longer
/// pause it reads one, and epoll tells if there is another: at a modest rate a second call would nearly always find
/// nothing, which costs as much as handling a packet.
const RUSH: Duration = Duration::from_micros(20);

/// How long a worker goes on sending after it was told to stop.
const FAREWELL: Duration = Duration::from_millis(300);

/// Everything that the thread owns.
pub(super) struct WorkerThread {
    pub(super) id: WorkerId,
    pub(super) poll: Poll,
    pub(super) sockets: Vec<UdpSocket>,
    /// Each in its place; a reload may leave places empty.
    pub(super) uplinks: Vec<Option<Uplink>>,
    pub(super) worker: Worker,
    pub(super) inbox: Receiver<Input>,
    pub(super) inboxes: Arc<[Inbox]>,
    pub(super) gate: Sender<Vec<Ask>>,
    pub(super) dh: DhPool,
    pub(super) dispatch: Arc<Dispatch>,
}

/// Work in progress between turns.
struct Turn {
    space: ReceiveSpace,
    /// What one read of a TAP fills.
    large: Box<[u8]>,
    /// What was read.
    batch: Batch,
    /// Frames of one uplink.
    frames: Vec<PacketBuf>,
    effects: Effects,
    /// Asks that the gatehouse had no room for yet.
    asks: Vec<Ask>,
    /// Jobs that the pool had no room for yet.
    jobs: VecDeque<(DhTag, DhJob)>,
    /// Sources that have something.
    ready: Vec<bool>,
    /// Receive calls per source: [`TURN`] or one.
    calls: usize,
    /// The places of the uplinks by their ports: there may be a thousand.
    places: FxHashMap<PortId, usize>,
    /// Uplinks that have something to write.
    written: Vec<usize>,
    lost: u64,
}

/// The clock of the core.
pub(super) fn clock() -> Clock {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Clock { now: Instant::now(), unix }
}

impl WorkerThread {
    /// Runs until told to stop.
    ///
    /// # Errors
    /// When the system's event queue fails, which leaves nothing to do.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let sources = self.sockets.len() + self.uplinks.len();
        let uplinks = self.uplinks.iter().map(|uplink| uplink.as_ref().and_then(Uplink::fd));
        let sockets = self.sockets.iter().map(|socket| socket.listens().then(|| socket.as_raw_fd()));
        let fds = sockets.chain(uplinks);
        for (n, fd) in fds.enumerate() {
            let Some(fd) = fd else { continue };
            syscall::watch(self.poll.as_raw_fd(), fd, n)?;
        }
        let mut events = Events::with_capacity(sources + 8);
        let mut turn = Turn {
            space: ReceiveSpace::default(),
            large: vec![0; LARGEST].into_boxed_slice(),
            batch: Batch::default(),
            frames: Vec::new(),
            effects: Effects::default(),
            asks: Vec::new(),
            jobs: VecDeque::new(),
            ready: vec![false; sources],
            calls: TURN,
            places: FxHashMap::default(),
            written: Vec::new(),
            lost: 0,
        };
        let ports = self.uplinks.iter().enumerate();
        turn.places.extend(ports.filter_map(|(place, uplink)| Some((uplink.as_ref()?.port, place))));
        let mut stop_at: Option<Instant> = None;
        let mut now = clock();
        loop {
            if stop_at.is_some_and(|at| at <= now.now) {
                return Ok(());
            }
            self.read_sockets(&mut turn);
            self.read_uplinks(&mut turn);
            let more = self.read_inbox(now, &mut turn, &mut stop_at);
            self.worker.handle_batch(now, &mut turn.batch, &mut turn.effects);
            if self.worker.has_due_timer(now.now) {
                self.worker.handle_timeout(now, &mut turn.effects);
            }
            let backlog = self.flush(&mut turn);
            let done = Instant::now();
            let wait = if more {
                Some(Duration::ZERO)
            } else {
                let deadline = [self.worker.poll_timeout(), stop_at].into_iter().flatten().min();
                let wait = deadline.map(|at| at.saturating_duration_since(done));
                if backlog { Some(wait.unwrap_or(Duration::MAX).min(Duration::from_millis(5))) } else { wait }
            };
            turn.ready.fill(false);
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => result?,
            }
            for event in &events {
                if let Some(ready) = turn.ready.get_mut(event.token().0) {
                    *ready = true;
                }
            }
            now = clock();
            turn.calls = if now.now.saturating_duration_since(done) < RUSH { TURN } else { 1 };
        }
    }

    fn read_sockets(&mut self, turn: &mut Turn) {
        let appetite = self.worker.appetite();
        let pool = self.worker.pool();
        for (socket, ready) in self.sockets.iter().zip(&mut turn.ready) {
            // Other protocols do not wait for peers' turns: what is read of them is handled at once.
            let wanted = match socket.encap() {
                Encap::NatT | Encap::Esp => appetite,
                Encap::Ike | Encap::L2tp => TURN,
            };
            let enough = turn.batch.datagrams.len() + wanted;
            // A call may bring one datagram or sixty.
            let calls = if turn.calls == 1 { 1 } else { wanted };
            for _ in 0..calls {
                if !*ready || turn.batch.datagrams.len() >= enough {
                    break;
                }
                *ready = match socket.receive(&mut turn.space, pool, &mut turn.batch.datagrams) {
                    Ok(more) => more,
                    Err(error) => {
                        tracing::warn!(local = %socket.bound(), %error, "receive failed");
                        false
                    }
                };
            }
        }
        if self.inboxes.len() > 1 {
            self.pass_datagrams(&mut turn.batch.datagrams);
        }
    }

    /// Hands datagrams that are for other workers to them, one batch each.
    fn pass_datagrams(&self, datagrams: &mut Vec<Datagram>) {
        let mut away = Away::default();
        let owner = |datagram: &Datagram| self.dispatch.worker_of(datagram).unwrap_or(self.id);
        for datagram in datagrams.extract_if(.., |datagram| owner(datagram) != self.id) {
            away.put(owner(&datagram), datagram);
        }
        self.hand_over(away, Input::Datagrams);
    }

    /// Gives each other worker its batch.
    fn hand_over<T>(&self, away: Away<T>, input: fn(Vec<T>) -> Input) {
        for (worker, batch) in away.0 {
            if let Some(inbox) = self.inboxes.get(usize::from(worker.0)) {
                inbox.put(input(batch));
            }
        }
    }

    fn read_uplinks(&mut self, turn: &mut Turn) {
        let pool = self.worker.pool();
        let Some(ready) = turn.ready.get_mut(self.sockets.len()..).filter(|ready| ready.contains(&true))
        else {
            return;
        };
        for (uplink, ready) in self.uplinks.iter().zip(ready) {
            let Some(uplink) = uplink else { continue };
            for _ in 0..turn.calls {
                if !*ready || turn.frames.len() >= ENOUGH {
                    break;
                }
                *ready = match uplink.receive(&mut turn.large, pool, &mut turn.frames) {
                    Ok(more) => more,
                    Err(error) => {
                        tracing::error!(device = uplink.name(), %error, "the uplink is gone");
                        if let Some(fd) = uplink.fd() {
                            // It would be reported for ever.
                            let _ = syscall::unwatch(self.poll.as_raw_fd(), fd);
                        }
                        false
                    }
                };
            }
            let from = uplink.port;
            turn.batch.frames.extend(turn.frames.drain(..).map(|buf| Frame { from, buf }));
        }
    }

    /// Returns whether there may be more.
    fn read_inbox(&mut self, clock: Clock, turn: &mut Turn, stop_at: &mut Option<Instant>) -> bool {
        for _ in 0..TURN {
            let input = match self.inbox.try_recv() {
                Ok(input) => input,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return false,
            };
            let effects = &mut turn.effects;
            match input {
                Input::Datagrams(mut datagrams) => turn.batch.datagrams.append(&mut datagrams),
                Input::Frames(mut frames) => turn.batch.far_frames.append(&mut frames),
                Input::FromPort(from, frames) => {
                    turn.batch.frames.extend(frames.into_iter().map(|buf| Frame { from, buf }));
                }
                Input::Answers(answers) => {
                    for answer in answers {
                        self.worker.handle_answer(clock, answer, effects);
                    }
                }
                Input::Dh(tag, result) => self.worker.handle_dh(clock, tag, result, effects),
                Input::Reserve(answer) => {
                    let port = self.worker.reserve_trunk();
                    if answer.send(port).is_err() {
                        self.worker.close_trunk(port);
                    }
                }
                Input::Plug(plug) => {
                    if let Err(error) = self.plug(*plug, &mut turn.ready, &mut turn.places) {
                        tracing::error!(%error, "uplink not served");
                    }
                }
                Input::Rules(port, policy) => self.worker.set_trunk_policy(port, policy),
                Input::Unplug(port, done) => {
                    self.unplug(port, &mut turn.places);
                    // Nobody waits if the gateway is stopping.
                    let _ = done.send(());
                }
                Input::PlugRouter(plug) => {
                    let RouterPlug { name, legs, routes } = *plug;
                    self.worker.open_router(&name, legs, &routes);
                }
                Input::UnplugRouter(name) => self.worker.close_router(&name),
                Input::Count(answer) => {
                    // Whoever asked may have lost patience.
                    let _ = answer.send(self.worker.snapshot());
                }
                Input::Settings(settings) => self.worker.set_settings(clock, settings, effects),
                Input::Standings(changes) => self.worker.set_standings(&changes),
                Input::Shutdown => {
                    self.worker.shutdown(clock, effects);
                    *stop_at = Some(clock.now + FAREWELL);
                }
            }
        }
        true
    }

    /// Serves what is plugged in while the worker runs: an uplink after a reload, a monitor.
    fn plug(
        &mut self,
        plug: Plug,
        ready: &mut Vec<bool>,
        places: &mut FxHashMap<PortId, usize>,
    ) -> std::io::Result<()> {
        let Plug { ingress, view, device } = plug;
        let port = ingress.id();
        let uplink = Uplink::new(port, device);
        let place = self.uplinks.iter().position(Option::is_none).unwrap_or(self.uplinks.len());
        let token = self.sockets.len() + place;
        if let Some(fd) = uplink.fd() {
            syscall::watch(self.poll.as_raw_fd(), fd, token)?;
        }
        self.uplinks.resize_with(self.uplinks.len().max(place + 1), || None);
        ready.resize(ready.len().max(token + 1), false);
        self.uplinks[place] = Some(uplink);
        places.insert(port, place);
        self.worker.open_trunk(ingress, view);
        Ok(())
    }

    /// Closes an uplink that a reload has taken away; its interface goes with it.
    fn unplug(&mut self, port: PortId, places: &mut FxHashMap<PortId, usize>) {
        self.worker.close_trunk(port);
        let place = places.remove(&port).and_then(|place| self.uplinks.get_mut(place));
        if let Some(uplink) = place.and_then(Option::take)
            && let Some(fd) = uplink.fd()
        {
            // Closing would take it out of the queue as well; this says so.
            let _ = syscall::unwatch(self.poll.as_raw_fd(), fd);
        }
    }

    /// Carries out what the turn has left. Returns whether something waits for room elsewhere.
    fn flush(&mut self, turn: &mut Turn) -> bool {
        self.send(&mut turn.effects.transmits, &mut turn.lost);
        self.pass_frames(turn);
        turn.asks.append(&mut turn.effects.asks);
        if !turn.asks.is_empty() {
            match self.gate.try_send(std::mem::take(&mut turn.asks)) {
                Ok(()) => {}
                Err(TrySendError::Full(asks) | TrySendError::Closed(asks)) => turn.asks = asks,
            }
        }
        turn.jobs.extend(turn.effects.dh.drain(..));
        while let Some((tag, job)) = turn.jobs.pop_front() {
            if let Err(back) = self.dh.submit(self.id, tag, job) {
                turn.jobs.push_front(back);
                break;
            }
        }
        !turn.asks.is_empty() || !turn.jobs.is_empty()
    }

    /// Sends datagrams, the runs of one path in one call each.
    fn send(&mut self, transmits: &mut Vec<Transmit>, lost: &mut u64) {
        // Flows interleave in a batch; put together they share send calls. Stable: the order within a flow stays.
        transmits.sort_by_key(|transmit| transmit.path);
        let mut rest = transmits.as_slice();
        while let Some(first) = rest.first() {
            let path = first.path;
            let run = rest
                .iter()
                .take_while(|next| (next.path.encap, next.path.local) == (path.encap, path.local))
                .count();
            let (now, later) = rest.split_at(run);
            rest = later;
            let socket = self.sockets.iter_mut().find(|socket| {
                let bound = socket.bound().ip();
                socket.encap() == path.encap
                    && (bound == path.local.ip()
                        || bound.is_unspecified() && bound.is_ipv4() == path.local.is_ipv4())
            });
            *lost += match socket {
                Some(socket) => socket.send(now) as u64,
                None => now.len() as u64,
            };
        }
        let pool = self.worker.pool();
        transmits.drain(..).for_each(|transmit| pool.give(transmit.buf));
    }

    /// Writes frames to uplinks of this worker and hands the others to the workers that hold their ports.
    fn pass_frames(&mut self, turn: &mut Turn) {
        let Turn { effects: Effects { far_frames: frames, .. }, places, written, .. } = turn;
        if frames.is_empty() {
            return;
        }
        let mut away = Away::default();
        for frame in frames.drain(..) {
            let worker = frame.to.worker();
            if worker == self.id {
                let Target::Port(port) = frame.to else { continue };
                let place = places.get(&port).copied();
                if let Some((place, Some(uplink))) =
                    place.and_then(|at| Some((at, self.uplinks.get_mut(at)?)))
                {
                    if uplink.is_idle() {
                        written.push(place);
                    }
                    uplink.put(frame.buf);
                }
                continue;
            }
            away.put(worker, frame);
        }
        for place in written.drain(..) {
            if let Some(Some(uplink)) = self.uplinks.get_mut(place) {
                uplink.flush(self.worker.pool());
            }
        }
        self.hand_over(away, Input::Frames);
    }
}

/// What goes to other workers, a batch for each.
struct Away<T>(Vec<(WorkerId, Vec<T>)>);

impl<T> Default for Away<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Away<T> {
    fn put(&mut self, worker: WorkerId, item: T) {
        match self.0.iter_mut().find(|(id, _)| *id == worker) {
            Some((_, batch)) => batch.push(item),
            None => self.0.push((worker, vec![item])),
        }
    }
}
