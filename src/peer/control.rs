//! The control plane of a peer: events of one layer become calls of the next.

use super::mtu::link_mtu;
use super::seat::{Member, Seat, State};
use super::tell::{
    CLEAR_TEXT, describe_protection, identify, l2tp_end_of_ppp, note_ike, refine_client, story_of_l2tp,
    story_of_ppp,
};
use super::{Answer, Ask, Authenticate, Context, Frame, Meter, Peer, SpiChange};
use crate::crypto::dh::{DhError, DhResult};
use crate::esp::SaParams;
use crate::hub::PortId;
use crate::ike::{self, EspSa, IsakmpSa};
use crate::l2tp::{self, SessionKey};
use crate::packet::{Drop, Encap, PacketBuf, Path};
use crate::ppp::{self, Link, Role};
use crate::story::{Cause, Stage};
use crate::wire::avp::MessageType;
use crate::wire::l2tp::Message;
use smol_str::{ToSmolStr, format_smolstr};
use std::sync::Arc;

impl Peer {
    // ---- IKE ----

    /// Takes an ISAKMP message for one of this peer's SAs.
    ///
    /// # Errors
    /// The reason why it goes no further.
    pub fn handle_ike(&mut self, cx: &mut Context<'_>, path: Path, message: &[u8]) -> Result<(), Drop> {
        let Some(ike) = &mut self.ike else { return Err(Drop::UnknownCookies) };
        let mut out = ike::Output::default();
        let result = ike.handle(cx.now, &mut cx.ike(), path, message, &mut out);
        self.pump_ike(cx, out);
        result
    }

    /// Takes over a Phase 1 that was finished for this peer.
    pub fn adopt(&mut self, cx: &mut Context<'_>, sa: IsakmpSa) {
        self.heard(cx);
        let Some(ike) = &mut self.ike else { return };
        let mut out = ike::Output::default();
        ike.adopt(&cx.ike(), sa, &mut out);
        self.pump_ike(cx, out);
    }

    /// Takes the result of an exponentiation for a Quick Mode with PFS.
    pub fn handle_dh(&mut self, cx: &mut Context<'_>, tag: ike::DhTag, result: Result<DhResult, DhError>) {
        let Some(ike) = &mut self.ike else { return };
        let mut out = ike::Output::default();
        if let Err(reason) = ike.handle_dh(cx.now, &mut cx.ike(), tag, result, &mut out) {
            tracing::debug!(peer = %self.ike_path, %reason, "key agreement of a Quick Mode not used");
        }
        self.pump_ike(cx, out);
    }

    pub(super) fn pump_ike(&mut self, cx: &mut Context<'_>, out: ike::Output) {
        for transmit in out.packets {
            cx.out.transmit_ike(transmit);
        }
        for event in out.events {
            match event {
                ike::Event::EspReady(sa) => self.install(cx, *sa),
                ike::Event::EspConfirmed { inbound_spi } => self.sad.confirm(inbound_spi),
                // The SA database has its own time-out for pairs that nobody uses.
                ike::Event::EspUnconfirmed { .. } => {}
                ike::Event::EspDeleted { inbound_spi, .. } => {
                    self.sad.retire(cx.now, inbound_spi);
                    self.check_deserted(cx);
                }
                ike::Event::IsakmpDeleted { cookies } => {
                    cx.out.dead_cookies.push(cookies.responder);
                    self.check_deserted(cx);
                }
                ike::Event::IsakmpExpired { cookies } => cx.out.dead_cookies.push(cookies.responder),
                ike::Event::InitialContact { .. } => self.begin_anew(cx),
                ike::Event::DhRequired { tag, job } => {
                    cx.out.dh.push((super::DhTag::QuickMode(self.key, tag), job));
                }
                ike::Event::Alive { .. } => self.heard(cx),
                ike::Event::DpdFailed => tracing::debug!(peer = %self.ike_path, "no answer to R-U-THERE"),
                ike::Event::RekeyFailed { .. } => {
                    self.note(|attempt| attempt.detail_mut().note = "rekey failed".into())
                }
                ike::Event::Progress(_)
                | ike::Event::Refused(_)
                | ike::Event::Notified { .. }
                | ike::Event::Established(_) => {
                    if let Some(attempt) = &mut self.attempt {
                        note_ike(attempt, &event);
                    }
                }
            }
        }
    }

    /// A Quick Mode has made a pair of ESP SAs.
    fn install(&mut self, cx: &mut Context<'_>, sa: EspSa) {
        let suite = sa.suite.to_smolstr();
        tracing::info!(peer = %sa.path, spi = %format_args!("{:08x}", sa.inbound_spi), %suite, udp = sa.udp_encap,
            step = "ipsec_up", "ESP SAs up");
        let inbound_spi = sa.inbound_spi;
        let of_cookies = |ike: &ike::Ike| {
            ike.isakmp_sas().find(|known| known.cookies == sa.cookies).map(|known| known.suite)
        };
        let phase1 = self.ike.as_deref().and_then(of_cookies);
        let ike = phase1.map(|suite| suite.to_smolstr()).unwrap_or_default();
        let protection = phase1.map(|phase1| describe_protection(phase1, &sa));
        let first = self.sad.is_empty();
        if first {
            self.data_path = if sa.udp_encap { sa.path } else { plain_esp(sa.path) };
        }
        let params = SaParams {
            inbound_spi,
            outbound_spi: sa.outbound_spi,
            suite: sa.suite,
            inbound_key: sa.inbound_key,
            outbound_key: sa.outbound_key,
            udp_encap: sa.udp_encap,
            life_seconds: sa.life_seconds,
            life_kilobytes: sa.life_kilobytes,
            confirmed: sa.confirmed,
            renewal: cx.settings.habits(self.hint).renewal,
        };
        match self.sad.install(cx.now, params) {
            Ok(evicted) => {
                for seat in &mut self.seats {
                    seat.attempt.absolve(Cause::RekeyFailed);
                }
                cx.out.spis.push(SpiChange::Add(inbound_spi));
                if let Some(evicted) = evicted {
                    cx.out.spis.push(SpiChange::Remove(evicted.inbound_spi));
                    self.delete_esp(cx, evicted.inbound_spi);
                }
            }
            Err(error) => {
                tracing::warn!(peer = %self.ike_path, %error, "ESP SA not installed");
                self.delete_esp(cx, inbound_spi);
            }
        }
        let now = cx.now;
        self.note(|attempt| {
            attempt.reach(now, Stage::IpsecUp);
            if let Some(protection) = protection {
                attempt.detail_mut().ike = ike;
                attempt.detail_mut().protection = protection;
            }
            attempt.detail_mut().esp = suite;
        });
    }

    /// The device says that it has begun anew: what it had before the newest Phase 1 is dead.
    fn begin_anew(&mut self, cx: &mut Context<'_>) {
        if !self.seats.is_empty() {
            self.close_links(cx, Cause::ReplacedBySameDevice);
        }
    }

    // ---- L2TP ----

    pub(super) fn handle_l2tp_control(
        &mut self,
        cx: &mut Context<'_>,
        port: u16,
        message: &[u8],
    ) -> Result<(), Drop> {
        if self.attempt.is_none() && is_sccrq(message) {
            // The client tries again over the IPsec that is still up.
            self.attempt = Some(self.next_attempt(cx));
        }
        let mut out = l2tp::Output::default();
        let result = self.lns.handle_control(cx.now, port, message, cx.entropy, &mut out);
        let now = cx.now;
        self.note(|attempt| attempt.reach(now, Stage::L2tp));
        self.pump_l2tp(cx, out);
        result
    }

    pub(super) fn pump_l2tp(&mut self, cx: &mut Context<'_>, out: l2tp::Output) {
        for packet in out.packets {
            // Without an SA there is nobody to tell; the retransmission tries again.
            let _ = self.send_l2tp(cx, packet.remote_port, packet.buf);
        }
        for event in out.events {
            match event {
                l2tp::Event::TunnelAsked { tunnel, info } => self.tunnel_forms(tunnel, &info),
                l2tp::Event::TunnelUp { tunnel, info } => {
                    // A device has one tunnel. If it came back without saying that the old one is dead, this does.
                    let mut out = l2tp::Output::default();
                    self.lns.forget_others(cx.now, tunnel, &mut out);
                    self.pump_l2tp(cx, out);
                    self.tunnel_forms(tunnel, &info);
                }
                l2tp::Event::TunnelFailed { info, cause } => {
                    if let Some(mut attempt) = self.attempt.take() {
                        attempt.detail_mut().host_name = info.host_name.as_str().into();
                        self.end_attempt(cx, attempt, story_of_l2tp(cause), cause.to_string());
                    }
                }
                l2tp::Event::SessionUp { key, .. } => self.seat_down(cx, key),
                l2tp::Event::SessionFailed { cause, .. } => {
                    if let Some(attempt) = &mut self.attempt {
                        attempt.suspect(story_of_l2tp(cause));
                    }
                }
                l2tp::Event::SessionDown { key, cause } => {
                    self.leave(cx, key, story_of_l2tp(cause), cause.to_string());
                }
                l2tp::Event::TunnelDown { tunnel, cause } => {
                    if let Some(attempt) = self.attempt.take_if(|_| self.forming == Some(tunnel)) {
                        self.end_attempt(cx, attempt, story_of_l2tp(cause), cause.to_string());
                    }
                }
            }
        }
    }

    /// The attempt that runs has come to a tunnel.
    fn tunnel_forms(&mut self, tunnel: l2tp::TunnelId, info: &l2tp::PeerInfo) {
        if let Some(attempt) = &mut self.attempt {
            let detail = attempt.detail_mut();
            detail.host_name = info.host_name.as_str().into();
            if let Some(software) = info.software() {
                let client = if self.client.is_empty() { CLEAR_TEXT } else { &self.client };
                let (hint, client) = refine_client(self.hint, client, software);
                if hint != self.hint {
                    self.hint = hint;
                    self.client = client.clone();
                }
                detail.client = client;
            }
            self.forming = Some(tunnel);
        }
    }

    /// An L2TP session is up: PPP begins on it.
    fn seat_down(&mut self, cx: &mut Context<'_>, session: SessionKey) {
        let now = cx.now;
        let mut attempt = self.attempt.take().unwrap_or_else(|| self.next_attempt(cx));
        attempt.reach(now, Stage::Lcp);
        let mtu = link_mtu(&self.data_path, self.sad.sending_suite());
        let mut settings = cx.settings.habits(self.hint).ppp;
        if settings.mru > mtu {
            Arc::make_mut(&mut settings).mru = mtu;
        }
        let link = Link::new(Role::Server, settings, cx.entropy.fork());
        // One session a device, but for a moment of change.
        self.seats.reserve_exact(1);
        self.seats.push(Seat {
            session,
            link,
            meter: Arc::new(Meter::default()),
            state: State::Stranger,
            attempt,
        });
        let mut out = ppp::Output::default();
        if let Some(seat) = self.seat(session) {
            seat.link.start(now, &mut out);
        }
        self.pump_ppp(cx, session, out);
    }

    // ---- PPP ----

    pub(super) fn handle_ppp_control(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionKey,
        frame: &[u8],
    ) -> Result<(), Drop> {
        let seat = self.seat(session).ok_or(Drop::UnknownSession)?;
        let mut out = ppp::Output::default();
        let result = seat.link.handle_frame(cx.now, frame, &mut out);
        self.pump_ppp(cx, session, out);
        result
    }

    pub(super) fn pump_ppp(&mut self, cx: &mut Context<'_>, session: SessionKey, out: ppp::Output) {
        for frame in out.frames {
            let _ = self.send_ppp(cx, session, frame);
        }
        for event in out.events {
            match event {
                ppp::Event::Opened { .. } => {
                    let now = cx.now;
                    self.note_at(session, |attempt| attempt.reach(now, Stage::Authentication));
                }
                ppp::Event::AuthRequired(request) => self.authenticate(cx, session, request),
                ppp::Event::AddressWanted { asked } => {
                    let now = cx.now;
                    self.note_at(session, |attempt| attempt.reach(now, Stage::Address));
                    cx.out.port_wishes.push((self.link_key(session), asked));
                }
                ppp::Event::Up(params) => self.link_up(cx, session, &params),
                ppp::Event::Down(cause) => {
                    let mut out = l2tp::Output::default();
                    self.lns.close_session(cx.now, session, l2tp_end_of_ppp(&cause), &mut out);
                    self.leave(cx, session, story_of_ppp(&cause), cause.to_string());
                    self.pump_l2tp(cx, out);
                }
                ppp::Event::Suspended { .. } => self.suspend(session),
                ppp::Event::Identification(text) => {
                    tracing::debug!(peer = %self.data_path, text, "LCP identification");
                    self.note_at(session, |attempt| identify(attempt, &text));
                }
                ppp::Event::Narrow { passes } => self.narrow(session, passes),
                ppp::Event::TimeRemaining(_) | ppp::Event::Refused(_) => {}
            }
        }
    }

    fn authenticate(&mut self, cx: &mut Context<'_>, session: SessionKey, request: ppp::AuthRequest) {
        let name = String::from_utf8_lossy(&request.name).as_ref().into();
        let auth = request.method.to_smolstr();
        self.note_at(session, |attempt| {
            attempt.detail_mut().name = name;
            attempt.detail_mut().auth = auth;
        });
        let link = self.link_key(session);
        let psk_hub = self.psk.and_then(|psk| cx.settings.ike.psk(psk)?.hub.clone());
        // A group's name tells nobody of the group from another.
        let identity = match self.psk {
            Some(psk) if cx.settings.ike.is_group(psk) => {
                format_smolstr!("{} {}", self.identity, self.ike_path.remote)
            }
            _ => self.identity.clone(),
        };
        let Some(seat) = self.seats.iter().find(|seat| seat.session == session) else { return };
        cx.out.asks.push(Ask::Authenticate(Box::new(Authenticate {
            link,
            name: request.name,
            proof: request.proof,
            path: self.data_path,
            device: format_smolstr!("{}/{}", self.client, seat.attempt.detail().host_name),
            identity,
            psk_hub,
            psk: self.psk,
            attempt: seat.attempt.id,
            raw: self.data_path.encap == Encap::L2tp,
            meter: seat.meter.clone(),
        })));
    }

    /// The worker has set a port number aside for a link. Returns the number that the link had before, if it
    /// negotiates anew.
    pub fn port_reserved(&mut self, session: SessionKey) -> Option<PortId> {
        let seat = self.seat(session)?;
        std::mem::replace(&mut seat.state, State::Waiting).port()
    }

    /// Takes an answer of the gatehouse.
    pub fn handle_answer(&mut self, cx: &mut Context<'_>, answer: Answer) {
        match answer {
            Answer::Verdict { link, verdict, reading, cause, dead_after } => {
                self.dead_after = dead_after.unwrap_or(self.dead_after);
                self.note_at(link.session, |attempt| {
                    let detail = attempt.detail_mut();
                    (detail.user, detail.hub, detail.rule) = (reading.user, reading.hub, reading.rule);
                    if let Some(cause) = cause {
                        attempt.suspect(cause);
                    }
                });
                let Some(seat) = self.seat(link.session) else { return };
                let mut out = ppp::Output::default();
                seat.link.handle_verdict(cx.now, &verdict, &mut out);
                self.pump_ppp(cx, link.session, out);
            }
            Answer::Joined { link, ingress, place } => {
                let grant = place.grant;
                let port = ingress.id();
                let Some(seat) = self.seat(link.session) else {
                    return cx.out.leave(link, Some(port), Cause::PeerLeft);
                };
                cx.out.opened_ports.push((ingress, place.view.clone()));
                seat.state = State::Joined(Box::new(Member::new(cx.now, port, *place)));
                let mut out = ppp::Output::default();
                seat.link.handle_address(cx.now, grant, &mut out);
                self.note_at(link.session, |attempt| {
                    attempt.detail_mut().address = grant.address.to_smolstr()
                });
                self.pump_ppp(cx, link.session, out);
            }
            Answer::Renewed { link, rates, dead_after, routes, .. } => {
                self.dead_after = dead_after;
                match self.seat(link.session).map(|seat| &mut seat.state) {
                    Some(State::Joined(member)) => {
                        member.set_rates(cx.now, rates);
                        member.vnic.set_routes(routes);
                    }
                    Some(State::Leasing(leasing)) => {
                        (leasing.lan.rates, leasing.lan.routes) = (rates, routes)
                    }
                    Some(State::Stranger | State::Waiting) | None => {}
                }
            }
            Answer::Leasing { link, ingress, lan } => self.begin_lease(cx, link, ingress, *lan),
            Answer::NoPlace { link, cause, .. } | Answer::Close { link, cause } => {
                if let Some(seat) = self.seat(link.session)
                    && matches!(seat.state, State::Waiting)
                {
                    seat.state = State::Stranger;
                }
                self.close_link(cx, link.session, cause);
            }
        }
    }

    /// The client negotiates anew: IP stops until it is done. The link keeps its place until it asks for a new one.
    fn suspend(&mut self, session: SessionKey) {
        let Some(seat) = self.seat(session) else { return };
        if let State::Joined(member) = &mut seat.state {
            member.up = false;
        }
    }

    /// Something on the way loses the fragments of long packets. What passes becomes the link's MTU: TCP is told by its
    /// segment size, others by "fragmentation needed". Where nothing long passes there is nothing to do but to say so.
    fn narrow(&mut self, session: SessionKey, passes: Option<u16>) {
        // Windows may leave long echoes unanswered for reasons of its own; the others' PPP is known to answer.
        let known = !matches!(self.hint, None | Some(ike::ClientHint::Windows | ike::ClientHint::Unknown));
        let path = self.data_path;
        let Some(seat) = self.seat(session) else { return };
        let State::Joined(member) = &mut seat.state else { return };
        match passes {
            Some(mtu) => {
                tracing::info!(peer = %path, mtu, "long packets vanish on the way; MTU lowered");
                member.vnic.set_mtu(mtu);
                seat.attempt.detail_mut().note =
                    format_smolstr!("something on the way drops fragments; packets are kept to {mtu} bytes");
            }
            None if known => seat.attempt.suspect(Cause::MtuBlackHole),
            None => {}
        }
    }

    /// IP flows on a link.
    fn link_up(&mut self, cx: &mut Context<'_>, session: SessionKey, params: &ppp::LinkParams) {
        let now = cx.now;
        let link = self.link_key(session);
        // TCP is kept to the shorter way of the two: a client that names no MRU takes more than it may send.
        let mtu = params.mru.min(params.our_mru).min(link_mtu(&self.data_path, self.sad.sending_suite()));
        let Some(seat) = self.seat(session) else { return };
        let State::Joined(member) = &mut seat.state else { return };
        member.up = true;
        member.vnic.set_mtu(mtu);
        let port = member.port;
        let frames = &mut cx.out.frames;
        member.vnic.announce(&mut |buf: PacketBuf| frames.push(Frame { from: port, buf }));
        seat.attempt.reach(now, Stage::LinkUp);
        if !params.address_taken {
            // Its first packet from there would refute it.
            seat.attempt.suspect(Cause::AddressRefused);
        }
        {
            let attempt = &seat.attempt;
            let detail = attempt.detail();
            tracing::info!(
                peer = %attempt.path, client = %detail.client, user = %detail.user, hub = %detail.hub,
                address = %params.address, seconds = now.saturating_duration_since(attempt.started).as_secs_f64(),
                step = "link_up", "link up"
            );
        }
        // A device has one link. If it came back without saying that the old one is dead, this does.
        let older: Vec<_> =
            self.seats.iter().map(|seat| seat.session).filter(|other| *other != link.session).collect();
        for session in older {
            self.close_link(cx, session, Cause::ReplacedBySameDevice);
        }
        let mut out = ppp::Output::default();
        if let Some(seat) = self.seat(link.session) {
            seat.link.start_sizing(now, mtu, &mut out);
        }
        self.pump_ppp(cx, link.session, out);
    }
}

/// Whether a control message begins a tunnel.
fn is_sccrq(message: &[u8]) -> bool {
    Message::parse(message).is_ok_and(|message| message.kind == Some(MessageType::SCCRQ))
}

/// The way of plain ESP between the two hosts of an IKE path.
fn plain_esp(ike: Path) -> Path {
    let mut path = Path { encap: Encap::Esp, ..ike };
    path.local.set_port(0);
    path.remote.set_port(0);
    path
}
