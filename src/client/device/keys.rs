//! A connection's keys: from the first Phase 1 to every renewal, by the habits of its system.

use super::session::{Session, State, Timer, transmit_ike};
use super::{Event, Output, Reason};
use crate::client::ike::{self, EspPair};
use crate::client::profile::Replaced;
use crate::esp::{self, Limit, SaParams};
use crate::packet::{Encap, Path};
use crate::wire::isakmp::Cookies;
use std::time::{Duration, Instant};

/// How long after a renewal that failed the next is tried.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// What is under way, and which SAs end when.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// A Phase 1 is under way.
    phase1: bool,
    /// A Quick Mode is under way, or waits for a Phase 1.
    quick_mode: bool,
    /// When ISAKMP SAs end, oldest first.
    isakmp_ends: Vec<(Cookies, Instant)>,
    /// Pairs that are deleted before their life ends.
    esp_ends: Vec<(u32, Instant)>,
}

impl Renewals {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let isakmp = self.isakmp_ends.iter().map(|(_, at)| *at);
        isakmp.chain(self.esp_ends.iter().map(|(_, at)| *at)).min()
    }
}

/// This part of a life.
fn percent(life: Duration, percent: u8) -> Duration {
    life * u32::from(percent) / 100
}

impl Session {
    pub(super) fn start_phase1(&mut self, now: Instant, path: Path, out: &mut Output) {
        let Some(ike) = &mut self.ike else { return };
        self.renewals.phase1 = true;
        let mut messages = ike::Output::default();
        ike.start(now, path, &mut messages);
        self.pump_ike(now, messages, out);
    }

    /// A new Phase 1 that renews the old: on the port that the old one ended up on.
    pub(super) fn renew_isakmp(&mut self, now: Instant, out: &mut Output) {
        if self.renewals.phase1 || matches!(self.state, State::Leaving | State::Over) {
            return;
        }
        let floated = self.data_path.encap == Encap::NatT;
        let path = if floated { self.data_path } else { self.path };
        self.start_phase1(now, path, out);
    }

    /// A new Quick Mode, after a new Phase 1 if there is no ISAKMP SA left.
    pub(super) fn renew_esp(&mut self, now: Instant, out: &mut Output) {
        if self.renewals.quick_mode || matches!(self.state, State::Leaving | State::Over) {
            return;
        }
        let Some(ike) = &mut self.ike else { return };
        self.renewals.quick_mode = true;
        let mut messages = ike::Output::default();
        if ike.start_quick_mode(now, &mut messages) {
            self.pump_ike(now, messages, out);
        } else {
            self.renew_isakmp(now, out);
        }
    }

    pub(super) fn pump_ike(&mut self, now: Instant, messages: ike::Output, out: &mut Output) {
        if !messages.packets.is_empty() {
            self.last_sent = Some(now);
        }
        for transmit in messages.packets {
            transmit_ike(transmit, out);
        }
        for event in messages.events {
            match event {
                ike::Event::IsakmpUp { cookies, suite, client_behind_nat, server_behind_nat } => {
                    self.renewals.phase1 = false;
                    out.events.push(Event::IkeUp { suite, behind_nat: client_behind_nat, server_behind_nat });
                    self.isakmp_up(now, cookies, out);
                }
                ike::Event::EspUp(pair) => self.esp_up(now, *pair, out),
                ike::Event::EspDeleted { inbound_spi } => {
                    self.sad.remove(inbound_spi);
                    self.check_bereft(now, out);
                }
                ike::Event::IsakmpDeleted { cookies } => {
                    self.renewals.isakmp_ends.retain(|(known, _)| *known != cookies);
                    self.check_bereft(now, out);
                }
                ike::Event::Failed(failure) => self.ike_failed(now, failure, out),
                ike::Event::Notified { .. } | ike::Event::Alive => {}
            }
        }
    }

    fn isakmp_up(&mut self, now: Instant, cookies: Cookies, out: &mut Output) {
        let habit = self.profile.renewal;
        let life = Duration::from_secs(habit.isakmp_seconds.into());
        if let Replaced::DeletedAfter(rest) = habit.isakmp_replaced {
            for (_, end) in &mut self.renewals.isakmp_ends {
                *end = (*end).min(now + rest);
            }
        }
        self.renewals.isakmp_ends.push((cookies, now + life));
        if let Some(part) = habit.isakmp_percent {
            self.timers.set(Timer::RenewIsakmp, now + percent(life, part));
        }
        if self.renewals.quick_mode || self.sad.is_empty() {
            self.renewals.quick_mode = false;
            self.renew_esp(now, out);
        }
    }

    fn esp_up(&mut self, now: Instant, pair: EspPair, out: &mut Output) {
        self.renewals.quick_mode = false;
        let first = self.sad.is_empty();
        let suite = pair.suite;
        let habit = self.profile.renewal;
        if let Replaced::DeletedAfter(rest) = habit.esp_replaced {
            self.renewals.esp_ends.extend(self.sad.spis().map(|old| (old.inbound_spi, now + rest)));
        }
        self.data_path = if pair.udp_encap { pair.path } else { plain_esp(pair.path) };
        if pair.udp_encap && self.timers.at(Timer::Keepalive).is_none() {
            self.timers.set(Timer::Keepalive, now + self.profile.keepalive.interval);
        }
        let seconds = pair.life_seconds.unwrap_or(self.profile.ike.esp_seconds);
        let life = Duration::from_secs(seconds.into()).max(esp::MIN_LIFE);
        self.timers.set(Timer::RenewEsp, now + percent(life, habit.esp_percent));
        let params = SaParams {
            inbound_spi: pair.inbound_spi,
            outbound_spi: pair.outbound_spi,
            suite,
            inbound_key: pair.inbound_key,
            outbound_key: pair.outbound_key,
            udp_encap: pair.udp_encap,
            life_seconds: Some(seconds),
            life_kilobytes: self.profile.ike.esp_kilobytes,
            confirmed: true,
            renewal: esp::Renewal::AtTheEnd,
        };
        match self.sad.install(now, params) {
            Ok(None) => {}
            Ok(Some(evicted)) => self.delete_esp(now, evicted.inbound_spi, out),
            // The server has our SPI and keys of the wrong length: nothing that could be mended.
            Err(_) => return self.fail(Reason::Ike(ike::Failure::NoAnswer), out),
        }
        if first && self.state == State::Connecting {
            out.events.push(Event::EspUp { suite });
            self.dial(now, out);
        } else {
            out.events.push(Event::Rekeyed);
        }
    }

    fn delete_esp(&mut self, now: Instant, inbound_spi: u32, out: &mut Output) {
        let Some(ike) = &mut self.ike else { return };
        let mut messages = ike::Output::default();
        ike.delete_esp(inbound_spi, &mut messages);
        self.pump_ike(now, messages, out);
    }

    /// The server has deleted something: with all SAs gone there is nothing to go on with; with the pairs alone gone, the
    /// next packet would have the system ask for another.
    fn check_bereft(&mut self, now: Instant, out: &mut Output) {
        if self.sad.can_send() || matches!(self.state, State::Leaving | State::Over) {
            return;
        }
        if self.sa_counts().0 == 0 {
            self.fail(Reason::Deleted, out);
        } else {
            self.renew_esp(now, out);
        }
    }

    /// The first attempt ends with it; a renewal is tried again.
    fn ike_failed(&mut self, now: Instant, failure: ike::Failure, out: &mut Output) {
        (self.renewals.phase1, self.renewals.quick_mode) = (false, false);
        match self.state {
            State::Connecting => self.fail(Reason::Ike(failure), out),
            State::Up => self.timers.set(Timer::RenewEsp, now + TRY_AGAIN),
            State::Leaving | State::Over => {}
        }
    }

    /// Ends SAs whose time has come.
    pub(super) fn keys_timeout(&mut self, now: Instant, out: &mut Output) {
        let Some(ike) = &mut self.ike else { return };
        let mut messages = ike::Output::default();
        if ike.poll_timeout().is_some_and(|at| at <= now) {
            ike.handle_timeout(now, &mut messages);
        }
        while let Some(i) = self.renewals.isakmp_ends.iter().position(|(_, at)| *at <= now) {
            let (cookies, _) = self.renewals.isakmp_ends.remove(i);
            ike.delete_isakmp(cookies, self.profile.deletes_sas, &mut messages);
        }
        while let Some(i) = self.renewals.esp_ends.iter().position(|(_, at)| *at <= now) {
            let (inbound_spi, _) = self.renewals.esp_ends.remove(i);
            if self.sad.remove(inbound_spi).is_some() {
                ike.delete_esp(inbound_spi, &mut messages);
            }
        }
        self.pump_ike(now, messages, out);
        if self.sad.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        let mut events = Vec::new();
        self.sad.handle_timeout(now, &mut events);
        for event in events {
            match event {
                esp::Event::Expired { inbound_spi, limit, .. } => {
                    if limit != Limit::Retired {
                        self.delete_esp(now, inbound_spi, out);
                    }
                    if !self.sad.can_send() {
                        self.renew_esp(now, out);
                    }
                }
                // A system that forgets to renew in time is none that notices its omission.
                esp::Event::RekeySoon { limit: Limit::Seconds, .. }
                    if self.profile.renewal.esp_percent > 100 => {}
                esp::Event::RekeySoon { .. } | esp::Event::RekeyNow { .. } => self.renew_esp(now, out),
            }
        }
    }
}

/// The way of plain ESP between the two hosts of an IKE path.
fn plain_esp(ike: Path) -> Path {
    let mut path = Path { encap: Encap::Esp, ..ike };
    path.local.set_port(0);
    path.remote.set_port(0);
    path
}
