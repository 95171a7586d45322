//! Which exchange or peer an IKE message is for, who may open a new one, and how a finished Phase 1 finds its peer.

use super::half_open::HalfOpen;
use super::{Clock, TimerKey, Worker, millis};
use crate::crypto::dh::{DhError, DhResult};
use crate::ike::{self, IsakmpSa, MainMode};
use crate::l2tp::Lns;
use crate::packet::{Drop, PacketBuf, Path};
use crate::peer::{Ask, DhTag, Peer, PeerKey};
use crate::story::{Attempt, Cause};
use crate::wire::isakmp::{ExchangeType, Header};

impl Worker {
    /// Handles an ISAKMP message (without the marker of port 4500).
    pub(super) fn handle_ike(&mut self, clock: Clock, path: Path, message: &[u8]) -> Result<(), Drop> {
        let header = Header::parse(message)?;
        if header.version.major() == 2 {
            return self.refuse_ikev2(clock, path, message);
        }
        if header.responder_cookie.is_zero() {
            return self.recv_first(clock, path, &header, message);
        }
        let cookie = header.responder_cookie.to_u64();
        if self.half_opens.get_mut(cookie).is_some() {
            return self.half_open_message(clock, cookie, path, message);
        }
        let key = *self.by_cookie.get(&cookie).ok_or(Drop::UnknownCookies)?;
        self.with_peer(clock, key, |peer, cx| peer.handle_ike(cx, path, message)).unwrap_or(Err(Drop::UnknownCookies))
    }

    /// The first message of an exchange. A repeat gets the same answer; a new one is admitted within limits.
    fn recv_first(&mut self, clock: Clock, path: Path, header: &Header, message: &[u8]) -> Result<(), Drop> {
        let first = (header.initiator_cookie.to_u64(), path.remote);
        if let Some(cookie) = self.half_opens.answered(first) {
            return match self.half_opens.get_mut(cookie) {
                Some(_) => self.half_open_message(clock, cookie, path, message),
                None => Err(Drop::Repeated),
            };
        }
        if self.stopping {
            return Err(Drop::UnknownCookies);
        }
        if header.exchange != ExchangeType::IDENTITY_PROTECTION {
            if header.exchange == ExchangeType::AGGRESSIVE {
                let attempt = Attempt::new(clock.now, clock.unix, path);
                self.end(clock, &attempt, Cause::AggressiveModeRefused);
            }
            return Err(Drop::IkeExchangeRefused);
        }
        if self.half_opens.len() >= self.settings.half_open_total
            || self.half_opens.of_source(path.remote.ip()) >= self.settings.half_open_per_source
        {
            return Err(Drop::HalfOpenLimit);
        }
        let mut out = ike::Output::default();
        let mut attempt = Attempt::new(clock.now, clock.unix, path);
        let opened =
            MainMode::recv_first(clock.now, &self.settings.ike, &mut self.entropy, self.id, &path, message, &mut out);
        for transmit in out.packets.drain(..) {
            self.outbox.transmit_ike(transmit);
        }
        match opened {
            Ok(exchange) => {
                tracing::info!(peer = %path, step = "ike", "connection attempt begins");
                let cookie = exchange.responder_cookie().to_u64();
                self.half_opens.insert(cookie, HalfOpen { exchange, attempt, first, filed: None });
                self.half_open_events(clock, cookie, out);
                Ok(())
            }
            Err(refusal) => {
                let detail = attempt.detail_mut();
                detail.offered = refusal.offered.clone();
                detail.client = refusal.client.clone();
                self.end(clock, &attempt, refusal.cause());
                Err(refusal.drop())
            }
        }
    }

    fn half_open_message(&mut self, clock: Clock, cookie: u64, path: Path, message: &[u8]) -> Result<(), Drop> {
        let Some(half_open) = self.half_opens.get_mut(cookie) else { return Err(Drop::UnknownCookies) };
        let mut out = ike::Output::default();
        let result = half_open.exchange.handle(
            clock.now,
            clock.unix,
            &self.settings.ike,
            &mut self.entropy,
            &path,
            message,
            &mut out,
        );
        self.half_open_events(clock, cookie, out);
        result
    }

    pub(super) fn half_open_dh(&mut self, clock: Clock, cookie: u64, result: Result<DhResult, DhError>) {
        let Some(half_open) = self.half_opens.get_mut(cookie) else { return };
        let mut out = ike::Output::default();
        half_open.exchange.handle_dh(clock.now, &self.settings.ike, result, &mut out);
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
        let Some(mut gone) = self.half_opens.remove(clock.now, cookie) else { return };
        self.deadlines.arm(TimerKey::HalfOpen(cookie), &mut gone.filed, None);
        let cause = cause.unwrap_or_else(|| gone.attempt.cause_of_silence());
        self.end(clock, &gone.attempt, cause);
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
                    let Some(mut done) = self.half_opens.remove(clock.now, cookie) else { return };
                    self.deadlines.arm(TimerKey::HalfOpen(cookie), &mut done.filed, None);
                    self.establish(clock, *sa, done.attempt);
                    return;
                }
                ike::Event::Failed(cause) => {
                    self.half_open_failed(clock, cookie, cause);
                    return;
                }
                other => crate::peer::note_ike(&mut half_open.attempt, clock.now, &other),
            }
        }
        if let Some(half_open) = self.half_opens.get_mut(cookie) {
            let wanted = half_open.exchange.poll_timeout();
            self.deadlines.arm(TimerKey::HalfOpen(cookie), &mut half_open.filed, wanted);
        }
    }

    /// A Phase 1 is finished. It joins the peer that it renews (same way, same identity, same key, and the device does
    /// not say that it has begun anew), or makes a new one.
    fn establish(&mut self, clock: Clock, sa: IsakmpSa, attempt: Attempt) {
        let cookie = sa.responder_cookie().to_u64();
        let path = sa.path();
        let known = self.by_path.get(&path).and_then(|keys| {
            keys.iter().copied().find(|key| {
                self.peers.get(key.index as usize).is_some_and(|peer| peer.key() == *key && peer.is_renewed_by(&sa))
            })
        });
        if let Some(key) = known {
            if sa.initial_contact() {
                self.with_peer(clock, key, |peer, cx| peer.close(cx, Cause::ReplacedBySameDevice));
                self.remove_peer(clock, key);
            } else {
                self.by_cookie.insert(cookie, key);
                self.with_peer(clock, key, |peer, cx| peer.adopt(cx, sa));
                return;
            }
        }
        let key = self.next_key();
        let mut peer = Peer::from_phase1(clock.now, key, self.id, &self.settings, &mut self.entropy, &sa, attempt);
        peer.filed = None;
        self.peers.insert(peer);
        self.by_cookie.insert(cookie, key);
        self.by_path.entry(path).or_default().push(key);
        self.with_peer(clock, key, |peer, cx| peer.adopt(cx, sa));
    }

    fn next_key(&mut self) -> PeerKey {
        self.generation = self.generation.wrapping_add(1);
        PeerKey { index: u32::try_from(self.peers.vacant_key()).unwrap_or(u32::MAX), generation: self.generation }
    }

    /// Forgets a peer and everything that leads to it.
    pub(super) fn remove_peer(&mut self, clock: Clock, key: PeerKey) {
        let Some(mut peer) = self.peers.try_remove(key.index as usize) else { return };
        self.deadlines.arm(TimerKey::Peer(key), &mut peer.filed, None);
        for cookie in peer.cookies() {
            self.by_cookie.remove(&cookie);
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
        if !Lns::is_sccrq(&buf) {
            return Err(Drop::UnknownTunnel);
        }
        if !self.settings.raw_l2tp {
            let attempt = Attempt::new(clock.now, clock.unix, path);
            self.end(clock, &attempt, Cause::RawL2tpRefused);
            return Err(Drop::RawL2tpRefused);
        }
        if self.stopping || self.by_raw.len() >= self.settings.half_open_total {
            return Err(Drop::HalfOpenLimit);
        }
        let key = self.next_key();
        let attempt = Attempt::new(clock.now, clock.unix, path);
        let peer = Peer::from_clear_text(clock.now, key, self.id, &self.settings, &mut self.entropy, path, attempt);
        self.peers.insert(peer);
        self.by_raw.insert(path.remote, key);
        self.with_peer(clock, key, |peer, cx| peer.deliver_raw(cx, path, buf)).unwrap_or(Err(Drop::UnknownTunnel))
    }

    /// An IKEv2 request gets the one answer that tells its sender so (RFC 7296 section 2.5), at a limited rate.
    fn refuse_ikev2(&mut self, clock: Clock, path: Path, message: &[u8]) -> Result<(), Drop> {
        if let Some(transmit) = ike::v2::refuse(&path, message) {
            if self.refusals.allow(clock.now) {
                self.outbox.transmit_ike(transmit);
                let attempt = Attempt::new(clock.now, clock.unix, path);
                self.end(clock, &attempt, Cause::Ikev2Client);
            }
        }
        Err(Drop::IkeExchangeRefused)
    }

    fn end(&mut self, clock: Clock, attempt: &Attempt, cause: Cause) {
        self.outbox.asks.push(Ask::Ended(Box::new(attempt.record(clock.now, cause))));
    }
}
