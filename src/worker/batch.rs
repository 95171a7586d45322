//! The way of packets through a worker, always many at once.
//!
//! A turn takes what is there and waits for nothing: datagrams are sorted into IKE (handled at once) and ESP (opened in
//! one call of the engine, then delivered in order of arrival); frames are forwarded until none is left; what is to be
//! sent is sealed in one call. What one look can tell for many packets is looked up once: the peer for a run of its
//! packets, the hub's tables for all of a hub.

use super::ports::Holder;
use super::routers::Routed;
use super::{Clock, Effects, FarFrame, Target, Worker};
use crate::hub::{Forward, HubId, Look, PortId, Scope};
use crate::l2tp::SessionKey;
use crate::packet::{Datagram, Drop, Encap, PacketBuf, Path, Transmit};
use crate::peer::{Ask, Frame, PeerKey};
use crate::wire::{esp, natt};
use std::mem;

/// What a turn brings.
#[derive(Default)]
pub struct Batch {
    /// Datagrams, in order of arrival.
    pub datagrams: Vec<Datagram>,
    /// Frames that uplinks of this worker read, each with its uplink's port.
    pub frames: Vec<Frame>,
    /// Frames that other workers send to ports of this one.
    pub far_frames: Vec<FarFrame>,
}

impl Batch {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.frames.is_empty() && self.far_frames.is_empty()
    }
}

/// A frame for a link of this worker.
pub(super) struct Delivery {
    peer: PeerKey,
    session: SessionKey,
    buf: PacketBuf,
}

impl Worker {
    /// Handles all that a turn brings. `batch` is drained.
    pub fn handle_batch(&mut self, clock: Clock, batch: &mut Batch, effects: &mut Effects) {
        if batch.is_empty() && !self.fair.has_waiting() {
            return;
        }
        for Datagram { path, buf } in batch.datagrams.drain(..) {
            self.sort(clock, path, buf);
        }
        self.open_all(clock);
        self.outbox.frames.append(&mut batch.frames);
        for frame in batch.far_frames.drain(..) {
            self.take_far_frame(clock, frame, effects);
        }
        self.finish(clock, effects);
    }

    /// How many ESP packets of each socket it is worth reading now: as many as a turn works off, or many more when those of
    /// few peers would keep all others waiting.
    #[must_use]
    pub const fn appetite(&self) -> usize {
        self.fair.appetite()
    }

    /// Handles a batch of datagrams. `datagrams` is drained.
    pub fn handle_datagrams(&mut self, clock: Clock, datagrams: &mut Vec<Datagram>, effects: &mut Effects) {
        let mut batch = Batch { datagrams: mem::take(datagrams), ..Batch::default() };
        self.handle_batch(clock, &mut batch, effects);
        *datagrams = batch.datagrams;
    }

    /// Handles frames that uplinks or other workers send to ports of this worker, or into the hub of an uplink here.
    pub fn handle_frames(&mut self, clock: Clock, frames: &mut Vec<FarFrame>, effects: &mut Effects) {
        let mut batch = Batch { far_frames: mem::take(frames), ..Batch::default() };
        self.handle_batch(clock, &mut batch, effects);
        *frames = batch.far_frames;
    }

    /// Handles frames that an uplink of this worker reads from the host.
    pub fn handle_uplink(
        &mut self,
        clock: Clock,
        from: PortId,
        frames: &mut Vec<PacketBuf>,
        effects: &mut Effects,
    ) {
        let frames = frames.drain(..).map(|buf| Frame { from, buf }).collect();
        self.handle_batch(clock, &mut Batch { frames, ..Batch::default() }, effects);
    }

    /// Sorts one datagram by protocol: IKE is handled at once, ESP joins the batch.
    fn sort(&mut self, clock: Clock, path: Path, buf: PacketBuf) {
        let spi = match path.encap {
            Encap::Ike => return self.sort_ike(clock, path, 0, buf),
            Encap::NatT => match natt::classify(&buf) {
                Ok(natt::Class::Ike(message)) => {
                    let at = buf.len() - message.len();
                    return self.sort_ike(clock, path, at, buf);
                }
                Ok(natt::Class::Esp(spi, _)) => Ok(spi),
                Ok(natt::Class::Keepalive) => {
                    if !self.by_path.contains_key(&path) {
                        self.strays.note(clock.now, path.remote.ip());
                    }
                    Err(Drop::Keepalive)
                }
                Err(error) => Err(error.into()),
            },
            Encap::Esp => esp::Header::parse(&buf).map(|header| header.spi).map_err(Drop::from),
            Encap::L2tp => {
                if let Err(drop) = self.handle_raw_l2tp(clock, path, buf) {
                    self.count(drop);
                }
                return;
            }
        };
        // Strangers' packets end here: they must cost next to nothing.
        match spi.map(|spi| (spi, self.by_spi.get(&spi).copied())) {
            Ok((spi, Some(key))) => self.admit(path, spi, key, buf),
            Ok((spi, None)) => {
                self.count(Drop::UnknownSpi);
                self.pool.give(buf);
                self.tell_unknown_spi(clock, path, spi);
            }
            Err(drop) => {
                self.count(drop);
                self.pool.give(buf);
            }
        }
    }

    fn sort_ike(&mut self, clock: Clock, path: Path, at: usize, buf: PacketBuf) {
        if let Err(drop) = self.handle_ike(clock, path, buf.get(at..).unwrap_or_default()) {
            self.count(drop);
        }
        self.pool.give(buf);
    }

    fn admit(&mut self, path: Path, spi: u32, key: PeerKey, buf: PacketBuf) {
        let job = self.peer(key).ok_or(Drop::UnknownSpi).and_then(|peer| peer.admit(spi, &path, buf));
        match job {
            Ok(job) => {
                self.opening.push(job);
                self.opening_from.push((key, path));
            }
            Err(drop) => self.count(drop),
        }
    }

    /// Opens the batch in one engine call and delivers it in order of arrival, a run of one peer's packets at a time.
    pub(super) fn open_all(&mut self, clock: Clock) {
        if self.opening.is_empty() && !self.fair.has_waiting() {
            return;
        }
        self.turned = clock.now;
        let mut jobs = mem::take(&mut self.opening);
        let mut from = mem::take(&mut self.opening_from);
        let (mut drops, mut pool) = (mem::take(&mut self.drops), mem::take(&mut self.pool));
        self.fair.share_out(&mut jobs, &mut from, |job| {
            drops.count(Drop::QueueFull);
            pool.give(job.buf);
        });
        self.engine.open(&mut jobs);
        let mut opened = jobs.drain(..).zip(from.drain(..)).peekable();
        while let Some(&(_, (key, _))) = opened.peek() {
            let mut run = std::iter::from_fn(|| opened.next_if(|(_, (peer, _))| *peer == key));
            self.with_peer(clock, key, |peer, cx| {
                for (job, (_, path)) in run.by_ref() {
                    if let Err(drop) = job.result {
                        drops.count(drop);
                        pool.give(job.buf);
                    } else if let Err(drop) = peer.deliver(cx, path, job) {
                        drops.count(drop);
                    }
                }
            });
            // A peer that has gone meanwhile takes its packets with it.
            run.for_each(|(job, _)| {
                drops.count(Drop::UnknownSpi);
                pool.give(job.buf);
            });
        }
        drop(opened);
        (self.drops, self.pool) = (drops, pool);
        self.opening = jobs;
        self.opening_from = from;
    }

    /// Forwards every frame that waits, and delivers those for links of this worker.
    pub(super) fn switch(&mut self, clock: Clock, effects: &mut Effects) {
        let mut frames = mem::take(&mut self.outbox.frames);
        let mut look = None;
        for frame in frames.drain(..) {
            if let Err(drop) = self.forward(clock, &mut look, frame, effects) {
                self.count(drop);
            }
        }
        // Answers of links (ARP, ICMP), and what routers send on, are the next round's.
        self.outbox.frames = frames;
        self.deliver_all(clock);
        self.route_all(clock);
    }

    /// Switches one frame. `look` is the last frame's: most are of one hub.
    fn forward(
        &mut self,
        clock: Clock,
        look: &mut Option<Look>,
        frame: Frame,
        effects: &mut Effects,
    ) -> Result<(), Drop> {
        let Frame { from, buf } = frame;
        let open = self.ports.get_mut(from).ok_or(Drop::NoPort)?;
        let hub = open.ingress.hub();
        let look = match look {
            Some(look) if look.hub() == hub => look,
            look => look.insert(open.view.look(clock.now)),
        };
        let forward = open.ingress.forward(look, &buf, &mut self.notices);
        if !self.notices.is_empty() {
            self.outbox.asks.extend(self.notices.drain().map(|notice| Ask::Notice { hub, notice }));
        }
        if !look.monitors().is_empty() && !matches!(forward, Forward::Discard(_)) {
            for monitor in look.monitors_of(&open.ingress, &buf) {
                let buf = self.pool.copy(&buf);
                effects.far_frames.push(FarFrame { hub, to: Target::Port(*monitor), buf });
            }
        }
        match forward {
            Forward::To(to) if to == PortId::SERVICE => {
                self.outbox.asks.push(Ask::Service { hub, from, frame: buf });
                Ok(())
            }
            Forward::To(to) => self.deliver_frame(hub, to, buf, effects),
            Forward::Flood(scope) => {
                for worker in look.flood_workers(scope).filter(|worker| *worker != self.id) {
                    let buf = self.pool.copy(&buf);
                    effects.far_frames.push(FarFrame { hub, to: Target::Flood(worker, scope, from), buf });
                }
                self.flood(look, hub, scope, from, buf, effects);
                Ok(())
            }
            Forward::Discard(drop) => {
                self.pool.give(buf);
                Err(drop)
            }
        }
    }

    /// Delivers a flooded frame to every port of this worker that hears it.
    fn flood(
        &mut self,
        look: &Look,
        hub: HubId,
        scope: Scope,
        from: PortId,
        buf: PacketBuf,
        effects: &mut Effects,
    ) {
        for to in look.flood(scope, from, self.id) {
            let copy = self.pool.copy(&buf);
            if let Err(drop) = self.deliver_frame(hub, to, copy, effects) {
                self.count(drop);
            }
        }
        self.pool.give(buf);
    }

    fn take_far_frame(&mut self, clock: Clock, frame: FarFrame, effects: &mut Effects) {
        let FarFrame { hub, to, buf } = frame;
        match to {
            Target::Port(to) => {
                if let Err(drop) = self.deliver_frame(hub, to, buf, effects) {
                    self.count(drop);
                }
            }
            Target::Flood(_, scope, from) => {
                // Any port of the hub here shows the hub's tables.
                if let Some(view) = self.ports.view(hub) {
                    self.flood(&view.look(clock.now), hub, scope, from, buf, effects);
                }
            }
        }
    }

    /// Passes a frame to one port. A frame that waited in a queue may outlive its port, so the hubs must agree.
    fn deliver_frame(
        &mut self,
        hub: HubId,
        to: PortId,
        buf: PacketBuf,
        effects: &mut Effects,
    ) -> Result<(), Drop> {
        let far = to.worker() != self.id;
        match if far { Holder::Trunk } else { self.ports.holder_in(hub, to).ok_or(Drop::NoPort)? } {
            Holder::Link(link) => {
                self.deliveries.push(Delivery { peer: link.peer, session: link.session, buf })
            }
            Holder::Router(router) => self.routed.push(Routed { router, port: to, buf }),
            Holder::Trunk => effects.far_frames.push(FarFrame { hub, to: Target::Port(to), buf }),
        }
        Ok(())
    }

    /// Delivers frames to links, a run of one peer's at a time.
    fn deliver_all(&mut self, clock: Clock) {
        if self.deliveries.is_empty() {
            return;
        }
        let mut deliveries = mem::take(&mut self.deliveries);
        let mut drops = mem::take(&mut self.drops);
        let mut waiting = deliveries.drain(..).peekable();
        while let Some(key) = waiting.peek().map(|delivery| delivery.peer) {
            let mut run = std::iter::from_fn(|| waiting.next_if(|delivery| delivery.peer == key));
            self.with_peer(clock, key, |peer, cx| {
                for Delivery { session, buf, .. } in run.by_ref() {
                    if let Err(drop) = peer.deliver_frame(cx, session, buf) {
                        drops.count(drop);
                    }
                }
            });
            run.for_each(|_| drops.count(Drop::NoPort));
        }
        drop(waiting);
        self.drops = drops;
        self.deliveries = deliveries;
    }

    pub(super) fn seal_all(&mut self, effects: &mut Effects) {
        effects.transmits.append(&mut self.outbox.transmits);
        if self.outbox.seal.is_empty() {
            return;
        }
        self.engine.seal(&mut self.outbox.seal);
        let sealed = self.outbox.seal_paths.drain(..).zip(self.outbox.seal.drain(..));
        effects.transmits.extend(sealed.map(|(path, job)| Transmit { path, buf: job.buf }));
    }
}
