//! Which exchange or peer an IKE message is for, who may open a new one, and how a finished Phase 1 finds its peer.

use super::half_open::HalfOpen;
use super::{Clock, TimerKey, Worker, millis};
use crate::crypto::dh::{DhError, DhResult};
use crate::ike::{self, ClientHint, IsakmpSa, Phase1};
use crate::packet::{Drop, PacketBuf, Path, Transmit};
use crate::peer::{Ask, DhTag, Peer, PeerKey, cause_of_refusal};
use crate::penalty::Verdict;
use crate::story::{Attempt, Cause};
use crate::wire::avp::MessageType;
use crate::wire::isakmp::{Cookie, ExchangeType, Header};
use crate::wire::l2tp::Message;
use std::time::Duration;

/// A peer that was heard this recently is alive: idle ones are asked for a sign of life every minute.
const LIVELY: Duration = Duration::from_secs(90);

/// How long an exchange stays open after a refusal: long enough for a right message after a forged one, short enough
/// that its story is told while the user still waits.
const AFTER_REFUSAL: Duration = Duration::from_secs(8);

/// A neighbourhood may have so many times as many exchanges under way as one source.
const NEIGHBOURHOOD: usize = 8;
/// Key agreements of a worker that wait at most before nobody new is admitted: at half a millisecond each (MODP 2048) half of
/// the second after which clients repeat themselves. Those of half-open exchanges that were admitted come on top.
const MAX_AGREEMENTS: usize = 1024;

/// The major version of IKEv2, in the header's upper four bits.
const IKEV2: u8 = 2;

fn number(cookie: Cookie) -> u64 {
    u64::from_be_bytes(cookie.0)
}

/// What IKE is lent for one call. A macro, because the borrows must be of single fields.
macro_rules! ike_context {
    ($worker:expr, $clock:expr, $taken:ident) => {
        ike::Context {
            settings: &$worker.settings.ike,
            entropy: &mut $worker.entropy,
            worker: $worker.id,
            unix_now: $clock.unix,
            spi_taken: &$taken,
        }
    };
}

impl Worker {
    /// Handles an ISAKMP message (without the marker of port 4500).
    pub(super) fn handle_ike(&mut self, clock: Clock, path: Path, message: &[u8]) -> Result<(), Drop> {
        let header = ike::peek(message)?;
        if header.version >> 4 == IKEV2 {
            return self.refuse_ikev2(clock, path, &header);
        }
        if header.cookies.responder.is_zero() {
            return self.recv_first(clock, path, &header, message);
        }
        let cookie = number(header.cookies.responder);
        if self.half_opens.get_mut(cookie).is_some() {
            let result = self.half_open_message(clock, cookie, path, message);
            if result.is_ok() {
                self.half_open_proven(cookie);
            }
            return result;
        }
        let key = *self.by_cookie.get(&cookie).ok_or(Drop::UnknownCookies)?;
        self.with_peer(clock, key, |peer, cx| peer.handle_ike(cx, path, message))
            .unwrap_or(Err(Drop::UnknownCookies))
    }

    /// The first message of an exchange. A repeat gets the same answer; a new one is admitted within limits.
    fn recv_first(&mut self, clock: Clock, path: Path, header: &Header, message: &[u8]) -> Result<(), Drop> {
        let first = (number(header.cookies.initiator), path.remote);
        if let Some(cookie) = self.half_opens.answered(first) {
            return match self.half_opens.get_mut(cookie) {
                Some(_) => self.half_open_message(clock, cookie, path, message),
                None => Err(Drop::Repeated),
            };
        }
        if self.stopping {
            return Err(Drop::UnknownCookies);
        }
        if ![ExchangeType::IDENTITY_PROTECTION, ExchangeType::AGGRESSIVE].contains(&header.exchange) {
            return Err(Drop::IkeExchangeRefused);
        }
        // A device that is connected may renew its keys, whatever others behind its address have done.
        if !self.by_path.contains_key(&path) {
            self.judge_source(clock, path)?;
        }
        let (source, quota) = (path.remote.ip(), self.settings.half_open_per_source);
        if self.half_opens.of_source(source) >= quota
            || self.half_opens.of_neighbourhood(source) >= quota.saturating_mul(NEIGHBOURHOOD)
        {
            return Err(Drop::HalfOpenLimit);
        }
        // Who has been admitted gets through; whoever comes now tries again in a moment.
        if self.agreements >= MAX_AGREEMENTS {
            return Err(Drop::Busy);
        }
        if self.half_opens.len() >= self.settings.half_open_total {
            self.make_room(clock)?;
        }
        let mut out = ike::Output::default();
        let mut attempt = self.new_attempt(clock, path);
        let taken = |spi: u32| self.by_spi.contains_key(&spi);
        let mut cx = ike_context!(self, clock, taken);
        let opened = Phase1::recv_first(clock.now, &mut cx, path, message, &mut out);
        match opened {
            Ok(exchange) => {
                let cookie = number(exchange.cookies().responder);
                self.half_opens.insert(
                    cookie,
                    HalfOpen { exchange, attempt, first, proven: false, give_up: None, filed: None },
                );
                self.half_open_events(clock, cookie, out);
                Ok(())
            }
            Err(refusal) => {
                for transmit in out.packets {
                    self.outbox.transmit_ike(transmit);
                }
                let drop = refusal.drop();
                let cause = cause_of_refusal(&refusal);
                let event = ike::Event::Refused(Box::new(refusal));
                crate::peer::note_ike(&mut attempt, &event);
                if !matches!(drop, Drop::Malformed(_)) {
                    self.end(clock, &attempt, cause);
                }
                Err(drop)
            }
        }
    }

    /// The client has shown our cookie: this is worth a line in the log.
    fn half_open_proven(&mut self, cookie: u64) {
        let Some(half_open) = self.half_opens.get_mut(cookie) else { return };
        if half_open.proven {
            return;
        }
        half_open.proven = true;
        self.outbox.asks.extend(half_open.attempt.news().map(Ask::Running));
        let (path, hint) = (half_open.attempt.path, half_open.exchange.fingerprint().hint);
        if self.by_path.contains_key(&path) {
            tracing::debug!(peer = %path, client = %hint, "Phase 1 renewal begins");
        } else {
            tracing::info!(peer = %path, client = %hint, step = "ike", "connection attempt begins");
        }
    }

    fn half_open_message(
        &mut self,
        clock: Clock,
        cookie: u64,
        path: Path,
        message: &[u8],
    ) -> Result<(), Drop> {
        let Some(half_open) = self.half_opens.get_mut(cookie) else { return Err(Drop::UnknownCookies) };
        let mut out = ike::Output::default();
        let taken = |spi: u32| self.by_spi.contains_key(&spi);
        let mut cx = ike_context!(self, clock, taken);
        let result = half_open.exchange.handle(clock.now, &mut cx, path, message, &mut out);
        self.half_open_events(clock, cookie, out);
        result
    }

    pub(super) fn half_open_dh(&mut self, clock: Clock, cookie: u64, result: Result<DhResult, DhError>) {
        let Some(half_open) = self.half_opens.get_mut(cookie) else { return };
        let mut out = ike::Output::default();
        let taken = |spi: u32| self.by_spi.contains_key(&spi);
        let mut cx = ike_context!(self, clock, taken);
        half_open.exchange.handle_dh(clock.now, &mut cx, result, &mut out);
        self.half_open_events(clock, cookie, out);
    }

    pub(super) fn half_open_timeout(&mut self, clock: Clock, cookie: u64) {
        let Some(half_open) = self.half_opens.get_mut(cookie) else { return };
        half_open.filed = None;
        let mut out = ike::Output::default();
        half_open.exchange.handle_timeout(clock.now, &mut out);
        self.half_open_events(clock, cookie, out);
    }

    pub(super) fn half_opens_shutdown(&mut self, clock: Clock) {
        for cookie in self.half_opens.cookies() {
            self.half_open_failed(clock, cookie, Some(Cause::GatewayStopped));
        }
    }

    fn half_open_failed(&mut self, clock: Clock, cookie: u64, cause: Option<Cause>) {
        let Some(gone) = self.remove_half_open(clock, cookie) else { return };
        let cause = cause.unwrap_or_else(|| gone.attempt.cause_of_silence());
        // Of first messages alone, which anybody can send in any number, a few are told.
        if gone.proven || self.refusals.take(clock.now) {
            self.end(clock, &gone.attempt, cause);
        } else {
            self.forget(&gone.attempt);
        }
    }

    fn remove_half_open(&mut self, clock: Clock, cookie: u64) -> Option<HalfOpen> {
        let mut gone = self.half_opens.remove(clock.now, cookie)?;
        self.deadlines.arm(TimerKey::HalfOpen(cookie), &mut gone.filed, None);
        Some(gone)
    }

    /// An attempt that gets no story: a renewal, or one of a flood.
    fn forget(&mut self, attempt: &Attempt) {
        self.outbox.asks.extend(attempt.is_known().then_some(Ask::Renewal(attempt.id)));
    }

    /// Carries out what an unfinished exchange wants.
    fn half_open_events(&mut self, clock: Clock, cookie: u64, out: ike::Output) {
        for transmit in out.packets {
            self.outbox.transmit_ike(transmit);
        }
        for event in out.events {
            let Some(half_open) = self.half_opens.get_mut(cookie) else { return };
            match event {
                ike::Event::DhRequired { job, .. } => self.outbox.dh.push((DhTag::MainMode(cookie), job)),
                ike::Event::Established(sa) => {
                    let Some(done) = self.remove_half_open(clock, cookie) else { return };
                    self.establish(clock, *sa, done.attempt);
                    return;
                }
                other => {
                    crate::peer::note_ike(&mut half_open.attempt, &other);
                    if matches!(other, ike::Event::Refused(_)) {
                        half_open.give_up.get_or_insert(clock.now + AFTER_REFUSAL);
                    }
                }
            }
        }
        if let Some(half_open) = self.half_opens.get_mut(cookie) {
            if half_open.exchange.is_done() || half_open.give_up.is_some_and(|at| at <= clock.now) {
                self.half_open_failed(clock, cookie, None);
                return;
            }
            if half_open.proven || half_open.attempt.suspected().is_some() {
                self.outbox.asks.extend(half_open.attempt.news().map(Ask::Running));
            }
            let wanted = [half_open.exchange.poll_timeout(), half_open.give_up].into_iter().flatten().min();
            self.deadlines.arm(TimerKey::HalfOpen(cookie), &mut half_open.filed, wanted);
        }
    }

    /// A Phase 1 is finished. It joins the peer that it renews (same way, same identity, same key, and the device does
    /// not say that it has begun anew), or makes a new one.
    ///
    /// Most renewals stay on port 4500 from their first message on (RFC 3947 section 4), but libreswan begins each on port
    /// 500, and Apple's clients one whose first message got no answer on 4500, as a device does that connects. Behind a
    /// carrier's NAT such a device may have the port, the private address and the key of one that has died: what begins
    /// on port 500 renews a peer only if it may be one of these and that peer is alive. (Apple says INITIAL-CONTACT when
    /// it connects, which ends what the peer had.)
    fn establish(&mut self, clock: Clock, sa: IsakmpSa, attempt: Attempt) {
        let cookie = number(sa.cookies.responder);
        let path = sa.path;
        let renewal = attempt.path == path;
        let begins_on_500 =
            matches!(sa.client.hint, ClientHint::Libreswan | ClientHint::Apple | ClientHint::Unknown);
        let known = self.by_path.get(&path).and_then(|keys| {
            let peers = keys
                .iter()
                .filter_map(|key| self.peers.get(key.index as usize).filter(|peer| peer.key() == *key));
            // Of several that a port has had, it is the one that is alive.
            let alive = |peer: &&Peer| clock.now.saturating_duration_since(peer.last_heard()) < LIVELY;
            let may_renew = |peer: &&Peer| renewal || (begins_on_500 && alive(peer));
            peers
                .filter(|peer| peer.is_renewed_by(&sa))
                .filter(may_renew)
                .max_by_key(|peer| peer.last_heard())
                .map(Peer::key)
        });
        if let Some(key) = known {
            if sa.initial_contact {
                self.with_peer(clock, key, |peer, cx| peer.close(cx, Cause::ReplacedBySameDevice));
                self.remove_peer(clock, key);
            } else {
                self.by_cookie.insert(cookie, key);
                self.forget(&attempt);
                self.with_peer(clock, key, |peer, cx| peer.adopt(cx, sa));
                return;
            }
        }
        let key = self.next_key();
        let mut peer = Peer::from_phase1(clock.now, key, self.id, &self.settings, &sa, attempt);
        peer.filed = None;
        self.peers.insert(peer);
        self.by_cookie.insert(cookie, key);
        self.by_path.entry(path).or_default().push(key);
        self.with_peer(clock, key, |peer, cx| peer.adopt(cx, sa));
    }

    fn next_key(&mut self) -> PeerKey {
        self.generation = self.generation.wrapping_add(1);
        PeerKey {
            index: u32::try_from(self.peers.vacant_key()).unwrap_or(u32::MAX),
            generation: self.generation,
        }
    }

    /// Forgets a peer and everything that leads to it.
    pub(super) fn remove_peer(&mut self, clock: Clock, key: PeerKey) {
        let Some(mut peer) = self.peers.try_remove(key.index as usize) else { return };
        self.deadlines.arm(TimerKey::Peer(key), &mut peer.filed, None);
        for cookie in peer.cookies() {
            self.by_cookie.remove(&number(cookie));
        }
        for spi in peer.spis() {
            self.by_spi.remove(&spi);
        }
        self.unfile_path(key, peer.ike_path());
        if let Some(remote) = peer.raw_remote() {
            self.by_raw.remove(&remote);
        }
        tracing::debug!(peer = %peer.data_path(), lived = millis(self.began, clock.now), "peer forgotten");
    }

    pub(super) fn move_peer(&mut self, key: PeerKey, from: Path, to: Path) {
        self.unfile_path(key, from);
        self.by_path.entry(to).or_default().push(key);
    }

    fn unfile_path(&mut self, key: PeerKey, path: Path) {
        if let Some(keys) = self.by_path.get_mut(&path) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_path.remove(&path);
            }
        }
    }

    /// Clear-text L2TP: a new tunnel makes a peer if the configuration allows it at all; the hub and the user must
    /// allow it too, which the gatehouse judges.
    pub(super) fn handle_raw_l2tp(&mut self, clock: Clock, path: Path, buf: PacketBuf) -> Result<(), Drop> {
        if let Some(key) = self.by_raw.get(&path.remote).copied() {
            return self
                .with_peer(clock, key, |peer, cx| peer.deliver_raw(cx, path, buf))
                .unwrap_or(Err(Drop::UnknownTunnel));
        }
        // Noise is no client: it makes neither a peer nor a story.
        if Message::parse(&buf)?.kind != Some(MessageType::SCCRQ) {
            return Err(Drop::UnknownTunnel);
        }
        if !self.settings.raw_l2tp {
            if !self.refusals.take(clock.now) {
                return Err(Drop::RawL2tpRefused);
            }
            let attempt = self.new_attempt(clock, path);
            self.end(clock, &attempt, Cause::RawL2tpRefused);
            return Err(Drop::RawL2tpRefused);
        }
        self.judge_source(clock, path)?;
        if self.stopping || self.by_raw.len() >= self.settings.half_open_total {
            return Err(Drop::HalfOpenLimit);
        }
        let key = self.next_key();
        let attempt = self.new_attempt(clock, path);
        let peer = Peer::from_clear_text(clock.now, key, self.id, &self.settings, path, attempt);
        self.peers.insert(peer);
        self.by_raw.insert(path.remote, key);
        self.with_peer(clock, key, |peer, cx| peer.deliver_raw(cx, path, buf))
            .unwrap_or(Err(Drop::UnknownTunnel))
    }

    /// An IKEv2 request gets the one answer that tells its sender so (RFC 7296 section 2.5), at a limited rate.
    fn refuse_ikev2(&mut self, clock: Clock, path: Path, header: &Header) -> Result<(), Drop> {
        if let Some(answer) = ike::v2::refuse(header)
            && self.refusals.take(clock.now)
        {
            self.outbox.transmit_ike(Transmit { path, buf: PacketBuf::from_slice(&answer) });
            let attempt = self.new_attempt(clock, path);
            self.end(clock, &attempt, Cause::Ikev2Client);
        }
        Err(Drop::IkeExchangeRefused)
    }

    /// Ends the oldest exchange that may have nobody at its other end, so that a flood of forged first messages does not
    /// keep out those who answer. How often is bounded: what is more is dropped unseen.
    fn make_room(&mut self, clock: Clock) -> Result<(), Drop> {
        if !self.evictions.take(clock.now) {
            return Err(Drop::HalfOpenLimit);
        }
        let cookie = self.half_opens.oldest_unanswered().ok_or(Drop::HalfOpenLimit)?;
        self.count(Drop::HalfOpenLimit);
        self.half_open_failed(clock, cookie, Some(Cause::FloodProtection));
        Ok(())
    }

    /// Whether somebody new may come from there.
    fn judge_source(&mut self, clock: Clock, path: Path) -> Result<(), Drop> {
        match self.doorman.judge(clock.now, path.remote.ip()) {
            Verdict::Pass => Ok(()),
            Verdict::Later => Err(Drop::SlowedDown),
            Verdict::Barred { tell } => {
                if tell && self.refusals.take(clock.now) {
                    let attempt = self.new_attempt(clock, path);
                    self.end(clock, &attempt, Cause::Banned);
                }
                Err(Drop::Barred)
            }
        }
    }

    fn new_attempt(&mut self, clock: Clock, path: Path) -> Attempt {
        Attempt::new(self.outbox.next_attempt(self.id), clock.now, clock.unix, path)
    }

    fn end(&mut self, clock: Clock, attempt: &Attempt, cause: Cause) {
        self.outbox.asks.push(Ask::Ended(Box::new(attempt.record(clock.now, cause))));
    }
}
