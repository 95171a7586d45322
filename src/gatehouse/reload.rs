//! A new configuration: sessions that it does not touch stay as they are.

use super::{Gatehouse, Output, place};
use crate::config::{self, Change, Config, Touches};
use crate::hub::HubId;
use crate::hub::lease::State;
use crate::identity::{folded, same_name};
use crate::packet::Encap;
use crate::peer::{Answer, LinkKey};
use crate::story::Cause;
use crate::worker::Clock;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Gatehouse {
    /// The links whose sessions a change ends.
    #[must_use]
    pub fn touched_by(&self, touches: &Touches) -> Vec<LinkKey> {
        let hub = |name: &str| self.hub_named(name);
        let links = |of: &mut dyn Iterator<Item = &super::Session>| of.map(|session| session.link).collect();
        match touches {
            Touches::Nobody | Touches::Terms { .. } => Vec::new(),
            Touches::Hub(name) => links(&mut hub(name).into_iter().flat_map(|hub| self.sessions.of_hub(hub))),
            Touches::Users { hub: name, users } => {
                let users = hub(name).into_iter().flat_map(|hub| users.iter().map(move |user| (hub, user)));
                links(&mut users.flat_map(|(hub, user)| self.sessions.of_user(hub, user)))
            }
            Touches::RawOf { hub: name, users } => {
                let users = hub(name).into_iter().flat_map(|hub| users.iter().map(move |user| (hub, user)));
                let sessions = users.flat_map(|(hub, user)| self.sessions.of_user(hub, user));
                links(&mut sessions.filter(|session| session.path.encap == Encap::L2tp))
            }
            Touches::Elsewhere { hub: name, user, address } => {
                let sessions = hub(name).into_iter().flat_map(|hub| self.sessions.of_user(hub, user));
                links(&mut sessions.filter(|session| session.address != Some(*address)))
            }
            Touches::Holder { hub: name, address, owner } => {
                let held = |hub: HubId| self.hub(hub)?.leases().lease(*address).map(|lease| lease.state);
                let Some(hub) = hub(name) else { return Vec::new() };
                let Some(State::Bound(port)) = held(hub) else { return Vec::new() };
                let holder = self.sessions.of_hub(hub).filter(|session| session.port == Some(port));
                links(&mut holder.filter(|session| !same_name(session.who.user(), owner)))
            }
            Touches::Psk(psk) => {
                links(&mut self.sessions.iter().filter(|session| session.psk.is_some_and(|id| id.0 == *psk)))
            }
            Touches::PskOutside { psk, hub } => links(&mut self.sessions.iter().filter(|session| {
                session.psk.is_some_and(|id| id.0 == *psk) && !same_name(session.who.hub(), hub)
            })),
        }
    }

    /// Puts a new configuration in force. `changes` are those between the old one and it
    /// ([`Config::changes_to`]). Returns how many sessions ended.
    pub fn apply(
        &mut self,
        clock: Clock,
        config: Arc<Config>,
        changes: &[Change],
        out: &mut Output,
    ) -> usize {
        let touched: BTreeSet<LinkKey> =
            changes.iter().flat_map(|change| self.touched_by(&change.touches)).collect();
        for link in &touched {
            self.close(clock, *link, Cause::ConfigurationChanged, out);
        }
        let before = std::mem::replace(&mut self.config, config.clone());
        self.penalties.set_settings(clock.now, config.penalties.clone(), &mut self.standings);
        self.tell_standings(out);
        let (hubs, names) = (&mut self.hubs, &mut self.hub_names);
        names.retain(|_, id| {
            let stays = place::at(hubs, *id).is_some_and(|hub| config.hub(hub.name()).is_some());
            if !stays {
                hubs.retain(|hub| hub.id() != *id);
            }
            stays
        });
        for hub in &config.hubs {
            let Some(id) = self.hub_names.get(folded(&hub.name).as_str()).copied() else {
                self.add_hub(clock.now, hub);
                continue;
            };
            let settings = place::hub_settings(hub, &config, &self.host_dns);
            let Some(owner) = self.hub_mut(id) else { continue };
            if *owner.settings() != settings {
                owner.apply(settings);
            }
            // What was said by hand holds until the file says something new.
            if before.hub(&hub.name).is_none_or(|was| was.online != hub.online) {
                owner.set_online(hub.online);
            }
        }
        for change in changes {
            if let Touches::Terms { hub, users } | Touches::RawOf { hub, users } = &change.touches {
                self.renew_terms(clock, hub, users, out);
            }
        }
        for hub in &config.hubs {
            if before.routed_networks(&hub.name) != config.routed_networks(&hub.name) {
                self.renew_routes(hub, out);
            }
        }
        touched.len()
    }

    /// Routers lead the sessions of a hub elsewhere than before.
    fn renew_routes(&mut self, hub: &config::Hub, out: &mut Output) {
        let Some(id) = self.hub_named(&hub.name) else { return };
        let config = self.config.clone();
        let links: Vec<LinkKey> = self.sessions.of_hub(id).map(|session| session.link).collect();
        for link in links {
            let Some(session) = self.sessions.get_mut(link) else { continue };
            let (rates, dead_after) = (place::rates(&session.terms), session.terms.dead_after);
            let routes = place::link_routes(&config, hub, &session.terms);
            out.answers.push(Answer::Renewed { link, policy: None, rates, dead_after, routes });
            let told = place::told_routes(&config, hub, &session.terms);
            if let Some((port, hub)) = session.port.zip(place::at(&mut self.hubs, id)) {
                hub.set_routes(port, told);
            }
        }
    }

    /// Sessions go on by the rules that their users have now.
    fn renew_terms(&mut self, clock: Clock, hub: &str, users: &[String], out: &mut Output) {
        let config = self.config.clone();
        let Some((id, hub)) = self.hub_named(hub).zip(config.hub(hub)) else { return };
        for user in users.iter().filter_map(|user| hub.user(user)) {
            let links: Vec<LinkKey> =
                self.sessions.of_user(id, &user.name).map(|session| session.link).collect();
            for link in links {
                if let Some(session) = self.sessions.get_mut(link) {
                    session.terms = user.terms.clone();
                    let policy = session.port.and_then(|port| {
                        let hub = place::at(&mut self.hubs, session.hub)?;
                        Some((port, hub.set_policy(port, place::client_policy(&session.terms))?))
                    });
                    let (rates, dead_after) = (place::rates(&session.terms), session.terms.dead_after);
                    let routes = place::link_routes(&config, hub, &session.terms);
                    out.answers.push(Answer::Renewed { link, policy, rates, dead_after, routes });
                    let told = place::told_routes(&config, hub, &session.terms);
                    if let Some((port, hub)) = session.port.zip(place::at(&mut self.hubs, id)) {
                        hub.set_routes(port, told);
                    }
                }
                self.look_later(clock, link);
            }
        }
    }

    /// Closes the uplink port of a hub, if the hub is there.
    pub fn close_uplink(&mut self, clock: Clock, port: crate::hub::PortId) {
        for hub in self.hubs.iter_mut().filter(|hub| hub.port(port).is_some()) {
            self.dues.touch(hub.id());
            hub.close(clock.now, port);
        }
    }
}
