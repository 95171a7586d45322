//! One connection of a device: the events of one layer become the calls of the next.

use super::keys::Renewals;
use super::{Event, Output, Reason};
use crate::client::ike::{self, Initiator};
use crate::client::lac::{self, Lac};
use crate::client::profile::Profile;
use crate::crypto::engine::EspEngine;
use crate::entropy::Entropy;
use crate::esp::{self, Sad};
use crate::packet::{Encap, PacketBuf, Path, Transmit};
use crate::ppp::{self, Link, LinkParams, Login, Role};
use crate::timer::{Slot, TimerTable};
use crate::wire::natt::{KEEPALIVE, NON_ESP_MARKER};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the goodbyes may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// The timers of a connection; its layers have their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Timer {
    /// Armed at the start, stopped when IP flows: gives up.
    Patience,
    /// Armed with UDP encapsulation: sends a NAT keepalive.
    Keepalive,
    /// Armed with every pair of ESP SAs: begins the next Quick Mode.
    RenewEsp,
    /// Armed with every ISAKMP SA: begins the next Phase 1.
    RenewIsakmp,
    /// Armed when we leave: goes without the goodbyes that are not answered.
    Farewell,
}

impl Slot for Timer {
    const ALL: &'static [Self] =
        &[Self::Patience, Self::Keepalive, Self::RenewEsp, Self::RenewIsakmp, Self::Farewell];
    fn index(self) -> usize {
        self as usize
    }
}

/// How far the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Connecting,
    Up,
    Leaving,
    Over,
}

pub(super) struct Session {
    pub(super) profile: Arc<Profile>,
    /// The way of the first message.
    pub(super) path: Path,
    /// None for clear-text L2TP.
    pub(super) ike: Option<Box<Initiator>>,
    pub(super) renewals: Renewals,
    pub(super) sad: Sad,
    pub(super) engine: EspEngine,
    /// Where ESP (or clear-text L2TP) goes.
    pub(super) data_path: Path,
    /// When something was sent that keeps a NAT's mapping.
    pub(super) last_sent: Option<Instant>,
    pub(super) lac: Lac,
    pub(super) link: Link,
    pub(super) state: State,
    pub(super) timers: TimerTable<Timer, 5>,
    reason: Option<Reason>,
}

impl Session {
    pub(super) fn new(profile: &Arc<Profile>, login: &Login, path: Path, entropy: &mut Entropy) -> Self {
        let lac = Lac::new(profile.lac.clone(), entropy);
        let ike = (path.encap != Encap::L2tp).then(|| {
            let ike = Initiator::new(profile.ike.clone(), entropy.fork());
            Box::new(if profile.names_own_port { ike.with_client_port(lac.port()) } else { ike })
        });
        let role = Role::Client(Box::new((login.clone(), profile.ppp.clone())));
        let mut data_path = path;
        if path.encap == Encap::L2tp {
            data_path.local.set_port(lac.port());
        }
        // We renew our keys ourselves, so an SA that has reached its end is really over.
        let esp = esp::Settings { grace: Duration::ZERO, ..esp::Settings::default() };
        Self {
            profile: profile.clone(),
            path,
            ike,
            renewals: Renewals::default(),
            sad: Sad::new(esp),
            engine: EspEngine::new(entropy.fork()),
            data_path,
            last_sent: None,
            lac,
            link: Link::new(role, Arc::default(), entropy.fork()),
            state: State::Connecting,
            timers: TimerTable::default(),
            reason: None,
        }
    }

    pub(super) fn begin(&mut self, now: Instant, out: &mut Output) {
        self.timers.set(Timer::Patience, now + self.profile.patience);
        if self.path.encap == Encap::L2tp {
            self.dial(now, out);
        } else {
            self.start_phase1(now, self.path, out);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    pub(super) fn params(&self) -> Option<LinkParams> {
        self.link.params()
    }

    pub(super) fn violations(&self) -> impl Iterator<Item = &'static str> {
        self.lac.violations().iter().copied()
    }

    pub(super) fn sa_counts(&self) -> (usize, usize) {
        let isakmp = self.ike.as_ref().map_or(0, |ike| ike.isakmp_sas().count());
        (isakmp, self.sad.spis().count())
    }

    // ---- L2TP ----

    pub(super) fn dial(&mut self, now: Instant, out: &mut Output) {
        let mut lac = lac::Output::default();
        self.lac.start(now, &mut lac);
        self.pump_lac(now, lac, out);
    }

    pub(super) fn pump_lac(&mut self, now: Instant, lac: lac::Output, out: &mut Output) {
        for buf in lac.packets {
            // Without an SA there is nobody to tell; the repetition tries again.
            let _ = self.send_l2tp(now, buf, out);
        }
        for event in lac.events {
            match event {
                lac::Event::Up => {
                    let mut ppp = ppp::Output::default();
                    self.link.start(now, &mut ppp);
                    self.pump_ppp(now, ppp, out);
                }
                lac::Event::Down(end) => {
                    self.because(if end == lac::End::Local { Reason::Asked } else { Reason::L2tp(end) });
                    self.finish(out);
                }
            }
        }
    }

    // ---- PPP ----

    pub(super) fn pump_ppp(&mut self, now: Instant, ppp: ppp::Output, out: &mut Output) {
        for mut frame in ppp.frames {
            if self.lac.put_data(&mut frame).is_ok() {
                let _ = self.send_l2tp(now, frame, out);
            }
        }
        for event in ppp.events {
            match event {
                ppp::Event::Up(params) => {
                    self.timers.stop(Timer::Patience);
                    if self.state == State::Connecting {
                        self.state = State::Up;
                    }
                    out.events.push(Event::Up(params));
                }
                ppp::Event::Down(cause) => {
                    self.because(Reason::Ppp(cause));
                    self.hang_up(now, out);
                }
                ppp::Event::Opened(_)
                | ppp::Event::AuthRequired(_)
                | ppp::Event::AddressWanted { .. }
                | ppp::Event::Suspended { .. }
                | ppp::Event::Identification(_)
                | ppp::Event::TimeRemaining(_)
                | ppp::Event::Narrow { .. }
                | ppp::Event::Refused(_) => {}
            }
        }
    }

    // ---- the end ----

    /// The first reason is the one that counts.
    fn because(&mut self, reason: Reason) {
        self.reason.get_or_insert(reason);
    }

    pub(super) fn stop(&mut self, now: Instant, out: &mut Output) {
        self.leave(now, Reason::Asked, out);
    }

    /// Says goodbye: PPP, then L2TP, then IKE, as far as the system does.
    pub(super) fn leave(&mut self, now: Instant, reason: Reason, out: &mut Output) {
        if matches!(self.state, State::Leaving | State::Over) {
            return;
        }
        self.because(reason);
        self.state = State::Leaving;
        self.timers.stop(Timer::Patience);
        self.timers.set(Timer::Farewell, now + FAREWELL);
        if self.profile.terminates_ppp && self.lac.state() == lac::State::Established {
            let mut ppp = ppp::Output::default();
            self.link.close(now, ppp::Cause::Administrative("user request"), &mut ppp);
            self.pump_ppp(now, ppp, out);
        } else {
            self.hang_up(now, out);
        }
    }

    fn hang_up(&mut self, now: Instant, out: &mut Output) {
        if self.state != State::Leaving {
            self.state = State::Leaving;
            self.timers.set(Timer::Farewell, now + FAREWELL);
        }
        let mut lac = lac::Output::default();
        self.lac.stop(now, &mut lac);
        self.pump_lac(now, lac, out);
    }

    /// The last word.
    pub(super) fn finish(&mut self, out: &mut Output) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        if let Some(ike) = &mut self.ike
            && self.profile.deletes_sas
        {
            let mut deletes = ike::Output::default();
            ike.close(&mut deletes);
            for transmit in deletes.packets {
                transmit_ike(transmit, out);
            }
        }
        out.events.push(Event::Down(self.reason.take().unwrap_or(Reason::Asked)));
    }

    pub(super) fn fail(&mut self, reason: Reason, out: &mut Output) {
        self.because(reason);
        self.finish(out);
    }

    // ---- time ----

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let ike = self.ike.as_ref().and_then(|ike| ike.poll_timeout());
        let layers = [ike, self.sad.poll_timeout(), self.lac.poll_timeout(), self.link.poll_timeout()];
        layers.into_iter().chain([self.timers.next(), self.renewals.poll_timeout()]).flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        self.keys_timeout(now, out);
        if self.lac.poll_timeout().is_some_and(|at| at <= now) {
            let mut lac = lac::Output::default();
            self.lac.handle_timeout(now, &mut lac);
            self.pump_lac(now, lac, out);
        }
        if self.link.poll_timeout().is_some_and(|at| at <= now) {
            let mut ppp = ppp::Output::default();
            self.link.handle_timeout(now, &mut ppp);
            self.pump_ppp(now, ppp, out);
        }
        while let Some(timer) = self.timers.expire(now) {
            match timer {
                Timer::Patience => self.leave(now, Reason::TooSlow, out),
                Timer::Keepalive => self.keep_alive(now, out),
                Timer::RenewEsp => self.renew_esp(now, out),
                Timer::RenewIsakmp => self.renew_isakmp(now, out),
                Timer::Farewell => self.finish(out),
            }
        }
    }

    fn keep_alive(&mut self, now: Instant, out: &mut Output) {
        let habit = self.profile.keepalive;
        let due = match self.last_sent {
            Some(at) if habit.only_if_idle => at + habit.interval,
            _ => now,
        };
        if due > now {
            self.timers.set(Timer::Keepalive, due);
            return;
        }
        self.timers.set(Timer::Keepalive, now + habit.interval);
        if !habit.with_isakmp || self.sa_counts().0 > 0 {
            self.last_sent = Some(now);
            out.transmits.push(Transmit { path: self.data_path, buf: PacketBuf::from_slice(&[KEEPALIVE]) });
        }
    }
}

/// Queues an ISAKMP message, with the marker of port 4500 where it needs one.
pub(super) fn transmit_ike(mut transmit: Transmit, out: &mut Output) {
    if transmit.path.encap == Encap::NatT {
        transmit.buf.put_front(&NON_ESP_MARKER);
    }
    out.transmits.push(transmit);
}
