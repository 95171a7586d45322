//! A share of the peers, still without I/O: what the shell's worker threads and the simulation drive.
//!
//! A worker owns its peers outright: no lock, no sharing. Everything from outside comes in through
//! [`Worker::handle_batch`] and its siblings, everything for outside is left in [`Effects`]. What packets go through is
//! in [`batch`].

mod batch;
mod deadlines;
mod drops;
mod fair;
mod half_open;
mod lost_sas;
mod ports;
mod route;
mod routers;
#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use drops::Drops;
pub use routers::RouterCount;

use crate::crypto::dh::{DhError, DhJob, DhResult};
use crate::crypto::engine::{EspEngine, OpenJob};
use crate::entropy::Entropy;
use crate::hub::{HubId, Ingress, Notices, Policy, PortId, Scope, View};
use crate::ike;
use crate::packet::{Drop, PacketBuf, Path, Pool, Transmit, WorkerId};
use crate::peer::{
    Answer, Ask, Context, DhTag, LinkKey, Outbox, Peer, PeerKey, PskId, Settings, SpiChange, Strays,
};
use crate::penalty::{self, Doorman};
use crate::story::Cause;
use crate::timer::Bucket;
use batch::Delivery;
use deadlines::Deadlines;
use fair::Fair;
use half_open::HalfOpens;
use lost_sas::LostSas;
use ports::{Holder, Ports};
use routers::{Named, Routed};
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What strangers are told, or noted as stories: so many in a row, and how often one more. Enough for a person who tries
/// to connect, too little for an amplifier or a flood of records.
const REFUSALS: (u32, Duration) = (20, Duration::from_millis(200));

/// Evictions of half-open exchanges in a row, and how often one more: below a tenth of what a thread can do, and above
/// the floods in which a client would else have to be lucky.
const EVICTIONS: (u32, Duration) = (1000, Duration::from_micros(50));

/// What a tick leaves for the shell to carry out.
#[derive(Default)]
pub struct Effects {
    /// Datagrams to send, in order.
    pub transmits: Vec<Transmit>,
    /// Frames for ports that other workers or uplinks hold, with the sending port.
    pub far_frames: Vec<FarFrame>,
    /// For the gatehouse.
    pub asks: Vec<Ask>,
    /// For the Diffie-Hellman pool.
    pub dh: Vec<(DhTag, DhJob)>,
}

/// A frame that leaves this worker.
pub struct FarFrame {
    /// Its hub.
    pub hub: HubId,
    /// Whither.
    pub to: Target,
    /// The frame.
    pub buf: PacketBuf,
}

/// Whither a frame goes that leaves its worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// To one port: of another worker, or a trunk of this one.
    Port(PortId),
    /// To every port of that worker in the scope of a flood that began at a port.
    Flood(WorkerId, Scope, PortId),
}

impl Target {
    /// The worker that delivers it.
    #[must_use]
    pub fn worker(self) -> WorkerId {
        match self {
            Self::Port(port) => port.worker(),
            Self::Flood(worker, ..) => worker,
        }
    }
}

/// How many of everything a worker has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Census {
    /// Peers.
    pub peers: usize,
    /// Exchanges that are not finished.
    pub half_opens: usize,
    /// Inbound SPIs.
    pub spis: usize,
    /// ISAKMP SAs.
    pub cookies: usize,
    /// Ways on which IKE goes to peers.
    pub paths: usize,
    /// Peers that speak clear-text L2TP.
    pub clear_text: usize,
    /// Hub ports, uplinks among them.
    pub ports: usize,
    /// Timers.
    pub deadlines: usize,
}

/// The time, three ways: monotonic for timers, wall clock for people and end dates.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Monotonic.
    pub now: Instant,
    /// Seconds since 1970.
    pub unix: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum TimerKey {
    HalfOpen(u64),
    Peer(PeerKey),
    /// By its place.
    Router(usize),
}

/// Counts of a worker at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Remote devices.
    pub peers: usize,
    /// IKE exchanges that are not finished.
    pub half_open: usize,
    /// Why packets went no further.
    pub drops: Drops,
    /// What its routers have done.
    pub routers: Vec<RouterCount>,
}

/// A share of the peers.
pub struct Worker {
    id: WorkerId,
    began: Instant,
    settings: Arc<Settings>,
    entropy: Entropy,
    engine: EspEngine,
    peers: Slab<Peer>,
    generation: u32,
    /// Inbound SPIs. We chose them: no adversary picks the hash.
    by_spi: FxHashMap<u32, PeerKey>,
    /// Established ISAKMP SAs by the responder cookie that we chose.
    by_cookie: FxHashMap<u64, PeerKey>,
    /// Peers by the way that their IKE goes, for a new Phase 1 of a known device. The sender chose it: std's hash.
    by_path: HashMap<Path, Vec<PeerKey>>,
    strays: Strays,
    /// Peers that speak clear-text L2TP.
    by_raw: HashMap<SocketAddr, PeerKey>,
    half_opens: HalfOpens,
    ports: Ports,
    deadlines: Deadlines<TimerKey>,
    notices: Notices,
    outbox: Outbox,
    touched: Vec<PeerKey>,
    pool: Pool,
    opening: Vec<OpenJob>,
    opening_from: Vec<(PeerKey, Path)>,
    fair: Fair<OpenJob, Path>,
    /// When packets were opened last.
    turned: Instant,
    deliveries: Vec<Delivery>,
    routers: Slab<Named>,
    routed: Vec<Routed>,
    drops: Drops,
    refusals: Bucket,
    evictions: Bucket,
    doorman: Doorman,
    lost_sas: LostSas,
    /// Key agreements that were handed out and have no result yet.
    agreements: usize,
    stopping: bool,
}

impl Worker {
    /// A worker without peers.
    #[must_use]
    pub fn new(id: WorkerId, clock: Clock, settings: Arc<Settings>, mut entropy: Entropy) -> Self {
        let engine = EspEngine::new(entropy.fork());
        Self {
            id,
            began: clock.now,
            settings,
            entropy,
            engine,
            peers: Slab::new(),
            generation: 0,
            by_spi: FxHashMap::default(),
            by_cookie: FxHashMap::default(),
            by_path: HashMap::new(),
            strays: Strays::default(),
            by_raw: HashMap::new(),
            half_opens: HalfOpens::default(),
            ports: Ports::new(id),
            deadlines: Deadlines::default(),
            notices: Notices::default(),
            outbox: Outbox::default(),
            touched: Vec::new(),
            pool: Pool::default(),
            opening: Vec::new(),
            opening_from: Vec::new(),
            fair: Fair::default(),
            turned: clock.now,
            deliveries: Vec::new(),
            routers: Slab::new(),
            routed: Vec::new(),
            drops: Drops::default(),
            refusals: Bucket::new(REFUSALS.0, REFUSALS.1),
            evictions: Bucket::new(EVICTIONS.0, EVICTIONS.1),
            doorman: Doorman::default(),
            lost_sas: LostSas::default(),
            agreements: 0,
            stopping: false,
        }
    }

    /// Why packets went no further.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        &self.drops
    }

    /// How many entries each table has: all go with the peers that they belong to.
    #[must_use]
    pub fn census(&self) -> Census {
        Census {
            peers: self.peers.len(),
            half_opens: self.half_opens.len(),
            spis: self.by_spi.len(),
            cookies: self.by_cookie.len(),
            paths: self.by_path.len(),
            clear_text: self.by_raw.len(),
            ports: self.ports.len(),
            deadlines: self.deadlines.len(),
        }
    }

    /// What there is to count.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            peers: self.peers.len(),
            half_open: self.half_opens.len(),
            drops: self.drops.clone(),
            routers: self.router_counts(),
        }
    }

    /// Where the buffers of received packets come from and those of sent ones go back to.
    pub const fn pool(&mut self) -> &mut Pool {
        &mut self.pool
    }

    /// Number of peers and of half-open exchanges.
    #[must_use]
    pub fn population(&self) -> (usize, usize) {
        (self.peers.len(), self.half_opens.len())
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Packets that wait for their peers' next turn wait for nothing else.
        if self.fair.has_waiting() {
            return Some(self.turned);
        }
        self.deadlines.next()
    }

    /// Whether a timer is due, apart from packets that wait: [`Self::handle_batch`] works those off, and twice in a turn
    /// would be twice as long as a turn should be.
    #[must_use]
    pub fn has_due_timer(&self, now: Instant) -> bool {
        self.deadlines.next().is_some_and(|at| at <= now)
    }

    /// Sets a port number aside for an uplink, a bridge or a monitor of this worker.
    pub fn reserve_trunk(&mut self) -> PortId {
        self.ports.reserve(Holder::Trunk)
    }

    /// Opens a port whose number was set aside. Frames for it come out as [`FarFrame`]s.
    pub fn open_trunk(&mut self, ingress: Ingress, view: Arc<View>) {
        self.ports.open(ingress, view);
    }

    /// Changes the rules of an uplink's port.
    pub fn set_trunk_policy(&mut self, port: PortId, policy: Policy) {
        if let Some(open) = self.ports.get_mut(port) {
            open.ingress.set_policy(policy);
        }
    }

    /// Follows a reload: new connections are judged by the new settings, and devices that came with a key that was
    /// removed have to go. (Users and hubs are the gatehouse's.)
    pub fn set_settings(&mut self, clock: Clock, settings: Arc<Settings>, effects: &mut Effects) {
        let old = std::mem::replace(&mut self.settings, settings);
        let gone = |psk: &&ike::Psk| psk.is_valid(clock.unix) && self.settings.ike.psk(psk.id).is_none();
        let groups = old.ike.groups.iter().map(|group| &group.psk);
        let removed: Vec<PskId> = old.ike.psks.iter().chain(groups).filter(gone).map(|psk| psk.id).collect();
        if !removed.is_empty() {
            let touched = |peer: &Peer| peer.psk().is_some_and(|psk| removed.contains(&psk));
            let keys: Vec<_> =
                self.peers.iter().filter(|(_, peer)| touched(peer)).map(|(_, peer)| peer.key()).collect();
            for key in keys {
                self.with_peer(clock, key, |peer, cx| peer.close(cx, Cause::ConfigurationChanged));
            }
        }
        self.finish(clock, effects);
    }

    /// Follows the penalty box: how sources are treated from now on.
    pub fn set_standings(&mut self, changes: &[penalty::Change]) {
        for change in changes {
            self.doorman.apply(*change);
        }
    }

    /// Takes back the number of a trunk port.
    pub fn close_trunk(&mut self, port: PortId) {
        self.ports.release(port);
    }

    /// Handles an answer of the gatehouse.
    pub fn handle_answer(&mut self, clock: Clock, answer: Answer, effects: &mut Effects) {
        let link = answer.link();
        if let Some(port) = answer.returned_port() {
            self.ports.release(port);
        }
        if let Answer::Renewed { policy: Some((port, policy)), .. } = &answer
            && let Some(open) = self.ports.get_mut(*port)
        {
            open.ingress.set_policy(*policy);
        }
        if self.peer(link.peer).is_none() {
            // The peer has gone while the gatehouse was busy: what it prepared is undone.
            if let Answer::Joined { ingress, .. } | Answer::Leasing { ingress, .. } = &answer {
                self.ports.release(ingress.id());
                effects.asks.push(Ask::Leave { link, cause: Cause::PeerLeft });
            }
        }
        self.with_peer(clock, link.peer, |peer, cx| peer.handle_answer(cx, answer));
        self.finish(clock, effects);
    }

    /// Handles a result of the Diffie-Hellman pool.
    pub fn handle_dh(
        &mut self,
        clock: Clock,
        tag: DhTag,
        result: Result<DhResult, DhError>,
        effects: &mut Effects,
    ) {
        self.agreements = self.agreements.saturating_sub(1);
        match tag {
            DhTag::MainMode(cookie) => self.half_open_dh(clock, cookie, result),
            DhTag::QuickMode(key, tag) => {
                self.with_peer(clock, key, |peer, cx| peer.handle_dh(cx, tag, result));
            }
        }
        self.finish(clock, effects);
    }

    /// Fires every timer that is due, and gives packets that waited their turn.
    pub fn handle_timeout(&mut self, clock: Clock, effects: &mut Effects) {
        self.open_all(clock);
        while let Some(key) = self.deadlines.expire(clock.now) {
            match key {
                TimerKey::HalfOpen(cookie) => self.half_open_timeout(clock, cookie),
                TimerKey::Router(place) => self.router_timeout(clock, place),
                TimerKey::Peer(key) => {
                    if let Some(peer) = self.peer(key) {
                        peer.filed = None;
                    }
                    self.with_peer(clock, key, |peer, cx| peer.handle_timeout(cx));
                }
            }
        }
        self.finish(clock, effects);
    }

    /// Says goodbye to everybody: L2TP StopCCN, IKE Deletes. New exchanges are refused from now on.
    pub fn shutdown(&mut self, clock: Clock, effects: &mut Effects) {
        self.stopping = true;
        let keys: Vec<_> = self.peers.iter().map(|(_, peer)| peer.key()).collect();
        for key in keys {
            self.with_peer(clock, key, |peer, cx| peer.close(cx, Cause::GatewayStopped));
        }
        self.half_opens_shutdown(clock);
        self.finish(clock, effects);
    }

    fn count(&mut self, drop: Drop) {
        self.drops.count(drop);
    }

    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.peers.get_mut(key.index as usize).filter(|peer| peer.key() == key)
    }

    /// Calls into a peer and files what changed.
    fn with_peer<R>(
        &mut self,
        clock: Clock,
        key: PeerKey,
        call: impl FnOnce(&mut Peer, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let peer = self.peers.get_mut(key.index as usize).filter(|peer| peer.key() == key)?;
        let mut cx = Context {
            now: clock.now,
            unix: clock.unix,
            millis: millis(self.began, clock.now),
            settings: &self.settings,
            entropy: &mut self.entropy,
            spi_taken: &|spi| self.by_spi.contains_key(&spi),
            strays: &self.strays,
            worker: self.id,
            out: &mut self.outbox,
        };
        let before = (peer.ike_path(), peer.data_path());
        let result = call(peer, &mut cx);
        let after = (peer.ike_path(), peer.data_path());
        if before.0 != after.0 {
            self.move_peer(key, before.0, after.0);
        }
        if !self.outbox.spis.is_empty() {
            for change in self.outbox.spis.drain(..) {
                match change {
                    SpiChange::Add(spi) => self.by_spi.insert(spi, key),
                    SpiChange::Remove(spi) => self.by_spi.remove(&spi),
                };
            }
        }
        for cookie in self.outbox.dead_cookies.drain(..) {
            self.by_cookie.remove(&u64::from_be_bytes(cookie.0));
        }
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
        Some(result)
    }

    /// Forwards frames, reserves ports, seals, re-arms timers and removes finished peers, until nothing is left to do.
    fn finish(&mut self, clock: Clock, effects: &mut Effects) {
        loop {
            self.grant_ports();
            if self.outbox.frames.is_empty() && self.deliveries.is_empty() && self.routed.is_empty() {
                if self.touched.is_empty() {
                    break;
                }
                self.settle(clock);
                continue;
            }
            self.switch(clock, effects);
        }
        self.outbox.spent.drain(..).for_each(|buf| self.pool.give(buf));
        self.seal_all(effects);
        effects.asks.append(&mut self.outbox.asks);
        self.agreements += self.outbox.dh.len();
        effects.dh.append(&mut self.outbox.dh);
    }

    /// Sets port numbers aside for links that want one and passes their wish on; opens and frees what the peers say.
    fn grant_ports(&mut self) {
        for (ingress, view) in self.outbox.opened_ports.drain(..) {
            self.ports.open(ingress, view);
        }
        for (port, address) in self.outbox.addressed_ports.drain(..) {
            if let Some(open) = self.ports.get_mut(port) {
                open.ingress.set_address(Some(address));
            }
        }
        for port in self.outbox.freed_ports.drain(..) {
            self.ports.release(port);
        }
        for (link, asked) in std::mem::take(&mut self.outbox.port_wishes) {
            let port = self.ports.reserve(Holder::Link(link));
            if let Some(old) = self.peer(link.peer).and_then(|peer| peer.port_reserved(link.session)) {
                self.ports.release(old);
            }
            self.outbox.asks.push(Ask::Join { link, port, asked });
        }
    }

    /// Re-arms the timers of touched peers and removes those that are finished.
    fn settle(&mut self, clock: Clock) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for key in touched.drain(..) {
            let Some(peer) = self.peers.get_mut(key.index as usize).filter(|peer| peer.key() == key) else {
                continue;
            };
            if peer.is_finished() {
                self.remove_peer(clock, key);
            } else {
                self.outbox.asks.extend(peer.news().map(Ask::Running));
                let wanted = peer.poll_timeout();
                // Every packet puts off what silence would bring. The deadline stays where it is and finds nothing to do
                // once in its time, rather than being filed anew with every packet.
                if wanted.is_none() || wanted < peer.filed || peer.filed.is_none() {
                    self.deadlines.arm(TimerKey::Peer(key), &mut peer.filed, wanted);
                }
            }
        }
        if self.touched.is_empty() {
            self.touched = touched;
        }
    }
}

fn millis(began: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX)
}

impl Answer {
    /// The link that is answered.
    #[must_use]
    pub fn link(&self) -> LinkKey {
        match self {
            Self::Verdict { link, .. }
            | Self::Joined { link, .. }
            | Self::Leasing { link, .. }
            | Self::NoPlace { link, .. }
            | Self::Renewed { link, .. }
            | Self::Close { link, .. } => *link,
        }
    }

    fn returned_port(&self) -> Option<PortId> {
        match self {
            Self::NoPlace { port, .. } => Some(*port),
            Self::Renewed { .. }
            | Self::Verdict { .. }
            | Self::Joined { .. }
            | Self::Leasing { .. }
            | Self::Close { .. } => None,
        }
    }
}
