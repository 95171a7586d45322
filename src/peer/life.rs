//! A peer's beginning, its silence and its end.

use super::seat::{Seat, State};
use super::tell::{CLEAR_TEXT, describe_client, describe_nat, l2tp_cause};
use super::{Ask, Context, Frame, Peer, PeerKey, Settings, SpiChange};
use crate::esp::{self, Sad};
use crate::ike::{self, Ike, IsakmpSa};
use crate::l2tp::{self, Lns, SessionKey};
use crate::packet::{Encap, PacketBuf, Path, Transmit, WorkerId};
use crate::ppp;
use crate::story::{Attempt, Cause, Stage};
use crate::wire::isakmp::Cookie;
use crate::wire::natt;
use smol_str::{SmolStr, ToSmolStr};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a peer without a link may be silent: a client that set up IPsec and never came further, or whose link has
/// closed and who left without a word.
const LINKLESS: Duration = Duration::from_secs(30);

/// A pair of SAs accepts packets for half a minute beyond its life; who spoke that recently missed the keys, not us.
const KEYS_MISSED: Duration = Duration::from_secs(90);

impl Peer {
    /// A peer begins with a finished Phase 1, which [`Peer::adopt`] takes over next.
    #[must_use]
    pub fn from_phase1(
        now: Instant,
        key: PeerKey,
        worker: WorkerId,
        settings: &Settings,
        sa: &IsakmpSa,
        mut attempt: Attempt,
    ) -> Self {
        attempt.reach(now, Stage::IkeUp);
        attempt.path = sa.path;
        let client = describe_client(sa.client);
        let identity = sa.remote_id.to_smolstr();
        tracing::info!(peer = %sa.path, %client, %identity, suite = %sa.suite, step = "ike_up", "Phase 1 up");
        let detail = attempt.detail_mut();
        detail.client = client.clone();
        detail.identity = identity.clone();
        detail.ike = sa.suite.to_smolstr();
        detail.nat = describe_nat(&sa.nat);
        Self {
            psk: Some(sa.psk),
            identity,
            client,
            hint: Some(sa.client.hint),
            keepalive: settings.habits(Some(sa.client.hint)).keepalive,
            ike: Some(Box::new(Ike::new())),
            ..Self::new(now, key, worker, settings, sa.path, attempt)
        }
    }

    /// A peer that speaks L2TP in clear text.
    #[must_use]
    pub fn from_clear_text(
        now: Instant,
        key: PeerKey,
        worker: WorkerId,
        settings: &Settings,
        path: Path,
        mut attempt: Attempt,
    ) -> Self {
        attempt.detail_mut().client = SmolStr::new_static(CLEAR_TEXT);
        Self::new(now, key, worker, settings, path, attempt)
    }

    fn new(
        now: Instant,
        key: PeerKey,
        worker: WorkerId,
        settings: &Settings,
        path: Path,
        attempt: Attempt,
    ) -> Self {
        Self {
            key,
            worker,
            ike: None,
            sad: Sad::new(settings.esp),
            lns: Lns::new(settings.l2tp.clone(), worker),
            seats: Vec::new(),
            ike_path: path,
            data_path: path,
            psk: None,
            identity: "".into(),
            client: "".into(),
            hint: None,
            keepalive: None,
            spoken: now,
            attempt: Some(attempt),
            forming: None,
            heard: now,
            silent_at: now + LINKLESS,
            dead_after: settings.dead_after,
            finished: false,
            filed: None,
        }
    }

    /// Whether this Phase 1 renews one of this peer's: same identity, same key. (The worker has compared the way.)
    #[must_use]
    pub fn is_renewed_by(&self, sa: &IsakmpSa) -> bool {
        !self.finished && self.psk == Some(sa.psk) && *self.identity == sa.remote_id.to_string()
    }

    /// When an authenticated packet came last.
    #[must_use]
    pub fn last_heard(&self) -> Instant {
        self.heard
    }

    /// Responder cookies of the ISAKMP SAs.
    pub fn cookies(&self) -> impl Iterator<Item = Cookie> {
        self.ike.iter().flat_map(|ike| ike.isakmp_sas()).map(|sa| sa.cookies.responder)
    }

    /// Inbound SPIs.
    pub fn spis(&self) -> impl Iterator<Item = u32> {
        self.sad.spis().map(|pair| pair.inbound_spi)
    }

    /// The remote address of a clear-text peer.
    #[must_use]
    pub fn raw_remote(&self) -> Option<SocketAddr> {
        (self.data_path.encap == Encap::L2tp).then_some(self.data_path.remote)
    }

    /// A new attempt over IPsec that is already up.
    pub(super) fn next_attempt(&self, cx: &mut Context<'_>) -> Attempt {
        let id = cx.out.next_attempt(self.worker);
        let mut attempt = Attempt::new(id, cx.now, cx.unix, self.data_path);
        attempt.reach(cx.now, Stage::IpsecUp);
        attempt.detail_mut().client = self.client.clone();
        attempt.detail_mut().identity = self.identity.clone();
        attempt
    }

    /// Copies of the running attempts for the gatehouse, of those that have something new: the one that forms, and that of
    /// every link.
    pub fn news(&mut self) -> impl Iterator<Item = Box<Attempt>> {
        let path = (!self.sad.is_empty() || self.ike.is_none()).then_some(self.data_path);
        let links = self.seats.iter_mut().map(|seat| &mut seat.attempt);
        self.attempt.iter_mut().chain(links).filter_map(move |attempt| {
            attempt.path = path.unwrap_or(attempt.path);
            attempt.news()
        })
    }

    // ---- time ----

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let layers = [
            self.ike.as_ref().and_then(|ike| ike.poll_timeout()),
            self.sad.poll_timeout(),
            self.lns.poll_timeout(),
        ];
        let links = self.seats.iter().filter_map(Seat::poll_timeout);
        layers.into_iter().flatten().chain(links).chain(self.keepalive_at()).chain([self.silent_at]).min()
    }

    /// Fires what is due.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        if let Some(ike) = &mut self.ike {
            let mut out = ike::Output::default();
            ike.handle_timeout(cx.now, &mut cx.ike(), &mut out);
            self.pump_ike(cx, out);
        }
        self.esp_timeout(cx);
        self.keep_alive(cx);
        let mut out = l2tp::Output::default();
        self.lns.handle_timeout(cx.now, &mut out);
        self.pump_l2tp(cx, out);
        let due: Vec<_> = self
            .seats
            .iter()
            .filter(|seat| seat.poll_timeout().is_some_and(|at| at <= cx.now))
            .map(|seat| seat.session)
            .collect();
        for session in due {
            self.lease_timeout(cx, session);
            let mut out = ppp::Output::default();
            if let Some(seat) = self.seat(session) {
                seat.link.handle_timeout(cx.now, &mut out);
                if let State::Joined(member) = &mut seat.state {
                    let (port, frames) = (member.port, &mut cx.out.frames);
                    member.vnic.handle_timeout(cx.now, &mut |buf| frames.push(Frame { from: port, buf }));
                }
            }
            self.pump_ppp(cx, session, out);
        }
        if self.silent_at <= cx.now {
            self.check_silence(cx);
        }
    }

    fn esp_timeout(&mut self, cx: &mut Context<'_>) {
        let mut events = Vec::new();
        self.sad.handle_timeout(cx.now, &mut events);
        self.pump_esp(cx, events);
    }

    pub(super) fn pump_esp(&mut self, cx: &mut Context<'_>, events: Vec<esp::Event>) {
        for event in events {
            match event {
                esp::Event::Expired { inbound_spi, limit, .. } => {
                    cx.out.spis.push(SpiChange::Remove(inbound_spi));
                    if limit == esp::Limit::Retired {
                        if let Some(ike) = &mut self.ike {
                            ike.forget_esp(inbound_spi);
                        }
                    } else {
                        self.delete_esp(cx, inbound_spi);
                    }
                    if matches!(limit, esp::Limit::Seconds | esp::Limit::Kilobytes) {
                        self.suspect_rekey(cx);
                    }
                    self.check_deserted(cx);
                }
                // The client renews its keys in time; we only where it did not.
                esp::Event::RekeySoon { inbound_spi, .. } | esp::Event::RekeyNow { inbound_spi, .. } => {
                    let Some(ike) = &mut self.ike else { continue };
                    let mut out = ike::Output::default();
                    if let Err(reason) = ike.start_quick_mode(cx.now, &mut cx.ike(), inbound_spi, &mut out) {
                        tracing::debug!(peer = %self.ike_path, %reason, "no Quick Mode of ours");
                    }
                    self.pump_ike(cx, out);
                }
            }
        }
    }

    /// The keys have ended and there are no others. Of a device that has been silent already its silence is told; one that
    /// was there until the end could not renew them, and that is why it will be lost.
    fn suspect_rekey(&mut self, cx: &Context<'_>) {
        if !self.sad.can_send() && cx.now.saturating_duration_since(self.heard) < KEYS_MISSED {
            for seat in &mut self.seats {
                seat.attempt.suspect(Cause::RekeyFailed);
            }
        }
    }

    /// When its NAT wants to hear something.
    fn keepalive_at(&self) -> Option<Instant> {
        let interval = self.keepalive.filter(|_| self.data_path.encap == Encap::NatT)?;
        self.sad.can_send().then_some(self.spoken + interval)
    }

    /// A NAT keepalive of our own (RFC 3948 section 4), where the configuration wants them for this kind.
    fn keep_alive(&mut self, cx: &mut Context<'_>) {
        if self.keepalive_at().is_some_and(|at| at <= cx.now) {
            self.spoken = cx.now;
            let buf = PacketBuf::from_slice(&[natt::KEEPALIVE]);
            cx.out.transmits.push(Transmit { path: self.data_path, buf });
        }
    }

    /// Tells the client that a pair of ESP SAs is no more.
    pub(super) fn delete_esp(&mut self, cx: &mut Context<'_>, inbound_spi: u32) {
        let Some(ike) = &mut self.ike else { return };
        let mut out = ike::Output::default();
        ike.delete_esp(&mut cx.ike(), inbound_spi, &mut out);
        self.pump_ike(cx, out);
    }

    /// The device has been silent for a while, or may have been: decides what that means.
    fn check_silence(&mut self, cx: &mut Context<'_>) {
        let silent = cx.now.saturating_duration_since(self.heard);
        let patience = if self.seats.is_empty() { LINKLESS } else { self.dead_after };
        if silent >= patience {
            let newest = self.seats.last().map(|seat| &seat.attempt);
            let cause = self.attempt.as_ref().or(newest).map_or(Cause::LinkLost, Attempt::cause_of_silence);
            self.close(cx, cause);
            return;
        }
        if silent >= cx.settings.probe_after && !self.seats.is_empty() {
            self.probe(cx);
        }
        self.silent_at = self.next_look(cx);
    }

    /// Whether it looks as if its NAT had given the device another port: something keeps a mapping awake behind the same
    /// address that belongs to nobody we know, since we heard the device last.
    fn has_strayed(&self, cx: &Context<'_>) -> bool {
        let from = self.data_path.remote.ip();
        self.data_path.encap == Encap::NatT && cx.strays.seen(cx.now, from, self.heard)
    }

    /// Asks a silent device for a sign of life, by the one means that wakes it least: an IKE R-U-THERE. (L2TP sends its
    /// own HELLO; nothing is sent while anything is heard.)
    fn probe(&mut self, cx: &mut Context<'_>) {
        let Some(ike) = &mut self.ike else { return };
        let mut out = ike::Output::default();
        ike.start_dpd(cx.now, &mut cx.ike(), &mut out);
        self.pump_ike(cx, out);
    }

    fn next_look(&self, cx: &Context<'_>) -> Instant {
        let silent = cx.now.saturating_duration_since(self.heard);
        let steps = if self.seats.is_empty() {
            [LINKLESS, LINKLESS]
        } else {
            [cx.settings.probe_after, self.dead_after]
        };
        let next = steps.into_iter().find(|step| *step > silent).unwrap_or(steps[1]);
        (self.heard + next).max(cx.now + Duration::from_millis(100))
    }

    // ---- the end ----

    /// Everything that came through IPsec has ended with a Delete: the device has left without an L2TP goodbye.
    pub(super) fn check_deserted(&mut self, cx: &mut Context<'_>) {
        let Some(ike) = &self.ike else { return };
        if !self.finished && !self.sad.can_send() && ike.isakmp_sas().next().is_none() {
            self.close(cx, Cause::PeerLeft);
        }
    }

    /// Closes one link: PPP says goodbye, then L2TP; the peer stays for what may come next.
    pub(super) fn close_link(&mut self, cx: &mut Context<'_>, session: SessionKey, cause: Cause) {
        let Some(seat) = self.seat(session) else { return };
        seat.attempt.suspect(cause);
        let mut out = ppp::Output::default();
        seat.link.close(cx.now, ppp::Cause::Administrative(cause.summary()), &mut out);
        // The goodbye goes out; what the machine says of its own end is what we know already.
        out.events.clear();
        self.pump_ppp(cx, session, out);
        let mut out = l2tp::Output::default();
        self.lns.close_session(cx.now, session, l2tp_cause(cause), &mut out);
        self.leave(cx, session, cause, String::new());
        self.pump_l2tp(cx, out);
    }

    pub(super) fn close_links(&mut self, cx: &mut Context<'_>, cause: Cause) {
        let sessions: Vec<_> = self.seats.iter().map(|seat| seat.session).collect();
        for session in sessions {
            self.close_link(cx, session, cause);
        }
    }

    /// A link is gone: its port goes back, and with the last link the attempt ends.
    pub(super) fn leave(&mut self, cx: &mut Context<'_>, session: SessionKey, cause: Cause, note: String) {
        let Some(at) = self.seats.iter().position(|seat| seat.session == session) else { return };
        let seat = self.seats.remove(at);
        let link = self.link_key(session);
        // Where the gatehouse has not answered yet, its answer brings the port back.
        cx.out.leave(link, seat.state.port(), cause);
        self.end_attempt(cx, seat.attempt, cause, note);
        if self.seats.is_empty() {
            // One that was lost by its silence is not waited for once more.
            self.silent_at = (self.heard + LINKLESS).max(cx.now);
        }
    }

    pub(super) fn end_attempt(
        &mut self,
        cx: &mut Context<'_>,
        mut attempt: Attempt,
        cause: Cause,
        note: String,
    ) {
        // What was suspected before the end came is its reason; the end is only how it showed.
        let cause = attempt.suspected().unwrap_or(cause);
        let strayed = cause == Cause::LinkLost && self.has_strayed(cx);
        let cause = if strayed { Cause::NatMappingLost } else { cause };
        attempt.path = self.data_path;
        if !note.is_empty() {
            attempt.detail_mut().note = note.into();
        }
        cx.out.asks.push(Ask::Ended(Box::new(attempt.record(cx.now, cause))));
    }

    /// Ends the peer: goodbye on every layer, nothing is waited for.
    pub fn close(&mut self, cx: &mut Context<'_>, cause: Cause) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.close_links(cx, cause);
        let mut out = l2tp::Output::default();
        self.lns.close_all(cx.now, l2tp_cause(cause), &mut out);
        self.pump_l2tp(cx, out);
        cx.out
            .dead_cookies
            .extend(self.ike.iter().flat_map(|ike| ike.isakmp_sas()).map(|sa| sa.cookies.responder));
        if let Some(ike) = &mut self.ike {
            let mut out = ike::Output::default();
            ike.delete_all(&mut cx.ike(), &mut out);
            for transmit in out.packets {
                cx.out.transmit_ike(transmit);
            }
        }
        if let Some(mut attempt) = self.attempt.take() {
            attempt.suspect(cause);
            self.end_attempt(cx, attempt, cause, String::new());
        }
    }
}
