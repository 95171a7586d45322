//! The gatehouse: where users show who they are and are given their place. It is the one owner of what all workers
//! share: users, sessions, leases, hub ports, stories. Sans-IO like the rest: workers ask ([`Ask`]), it answers
//! ([`Answer`]), and no data packet ever passes through it.

mod admission;
mod dues;
#[cfg(test)]
pub(crate) mod for_tests;
mod penalty;
mod place;
mod reload;
#[cfg(test)]
mod reload_tests;
mod roll;
mod session;
mod stories;
#[cfg(test)]
mod tests;
mod volume;
mod watch;

pub use session::Session;
pub use stories::Stories;
pub use volume::SavedVolume;

use crate::config::{self, Config};
use crate::entropy::Entropy;
use crate::hub::{Forward, Hub, HubId, KnownStation, Mac, PortId, UplinkPermit, View};
use crate::identity::folded;
use crate::packet::PacketBuf;
use crate::peer::{Answer, Ask, LinkKey};
use crate::penalty::{Change, Ledger};
use crate::story::Cause;
use crate::worker::Clock;
use dues::Dues;
use penalty::Queue;
use roll::Roll;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use watch::Watch;

/// A frame of a hub's own services, for the worker of its port.
#[derive(Debug)]
pub struct ServiceFrame {
    /// The hub.
    pub hub: HubId,
    /// Whither.
    pub to: Forward,
    /// The frame.
    pub frame: PacketBuf,
}

/// What the gatehouse leaves for the shell to pass on.
#[derive(Debug, Default)]
pub struct Output {
    /// Answers, each for the worker that its link names.
    pub answers: Vec<Answer>,
    /// Frames of the hubs' services.
    pub frames: Vec<ServiceFrame>,
    /// How sources are treated from now on, for every worker.
    pub standings: Vec<Change>,
}

/// The one owner of what all workers share.
pub struct Gatehouse {
    config: Arc<Config>,
    began: Instant,
    /// In the order of their numbers, which are never used twice.
    hubs: Vec<Hub>,
    /// By folded name.
    hub_names: BTreeMap<Box<str>, HubId>,
    next_hub: u32,
    /// When hubs want to be called.
    dues: Dues,
    sessions: Roll,
    watch: Watch,
    volumes: volume::Volumes,
    penalties: Ledger,
    /// Who waits to be judged.
    queue: Queue,
    /// Not told yet.
    standings: Vec<Change>,
    stories: Stories,
    /// The name servers of the host, for hubs that pass them on.
    host_dns: Vec<std::net::Ipv4Addr>,
    entropy: Entropy,
    /// What is said for links that have gone.
    goodbyes: Vec<ServiceFrame>,
}

impl Gatehouse {
    /// Opens the gatehouse for the hubs of a configuration. `clock` must be the one that workers began with.
    #[must_use]
    pub fn new(
        clock: Clock,
        config: Arc<Config>,
        host_dns: Vec<std::net::Ipv4Addr>,
        entropy: &mut Entropy,
    ) -> Self {
        let mut gatehouse = Self {
            config: config.clone(),
            began: clock.now,
            hubs: Vec::new(),
            hub_names: BTreeMap::new(),
            next_hub: 0,
            dues: Dues::default(),
            sessions: Roll::default(),
            watch: Watch::default(),
            volumes: volume::Volumes::default(),
            penalties: Ledger::new(config.penalties.clone()),
            queue: Queue::default(),
            standings: Vec::new(),
            stories: Stories::default(),
            host_dns,
            entropy: entropy.fork(),
            goodbyes: Vec::new(),
        };
        for hub in &config.hubs {
            gatehouse.add_hub(clock.now, hub);
        }
        gatehouse
    }

    fn add_hub(&mut self, now: Instant, hub: &config::Hub) -> HubId {
        let id = HubId(self.next_hub);
        self.next_hub += 1;
        self.hub_names.insert(folded(&hub.name).into(), id);
        let settings = place::hub_settings(hub, &self.config, &self.host_dns);
        let mut opened = Hub::new(now, id, &hub.name, settings, self.entropy.fork());
        opened.set_online(hub.online);
        self.hubs.push(opened);
        self.dues.touch(id);
        id
    }

    /// Follows a change of the host's own name servers; hubs hear of it with the next [`Self::apply`].
    pub fn set_host_dns(&mut self, servers: Vec<std::net::Ipv4Addr>) {
        self.host_dns = servers;
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The hubs, in the order of their numbers. Those of the first configuration are numbered in its order.
    #[must_use]
    pub fn hubs(&self) -> &[Hub] {
        &self.hubs
    }

    /// One hub.
    #[must_use]
    pub fn hub(&self, id: HubId) -> Option<&Hub> {
        self.hubs.binary_search_by_key(&id, Hub::id).ok().and_then(|at| self.hubs.get(at))
    }

    /// The number of the hub of this name, in any case.
    #[must_use]
    pub fn hub_named(&self, name: &str) -> Option<HubId> {
        self.hub_names.get(folded(name).as_str()).copied()
    }

    /// What the configuration says about a hub.
    #[must_use]
    pub fn hub_config(&self, id: HubId) -> Option<&config::Hub> {
        self.config.hub(self.hub(id)?.name())
    }

    /// One hub, to change it.
    pub fn hub_mut(&mut self, id: HubId) -> Option<&mut Hub> {
        self.dues.touch(id);
        self.hubs.binary_search_by_key(&id, Hub::id).ok().and_then(|at| self.hubs.get_mut(at))
    }

    /// The sessions.
    pub fn sessions(&self) -> impl DoubleEndedIterator<Item = &Session> {
        self.sessions.iter()
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Sessions with numbers above `number`, in the order of their numbers: take a page at a time.
    pub fn sessions_after(&self, number: u64) -> impl Iterator<Item = &Session> {
        self.sessions.after(number)
    }

    /// The session of a number.
    #[must_use]
    pub fn session(&self, number: u64) -> Option<&Session> {
        self.sessions.numbered(number)
    }

    /// The sessions of a user of a hub, the oldest first.
    pub fn sessions_of(&self, hub: HubId, user: &str) -> impl Iterator<Item = &Session> {
        self.sessions.of_user(hub, user)
    }

    /// The sessions of a hub.
    pub fn sessions_in(&self, hub: HubId) -> impl Iterator<Item = &Session> {
        self.sessions.of_hub(hub)
    }

    /// When the gateway began, on the clock of meters and timers.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The stories of attempts.
    #[must_use]
    pub fn stories(&self) -> &Stories {
        &self.stories
    }

    /// The stories, to load those of a former run.
    pub fn stories_mut(&mut self) -> &mut Stories {
        &mut self.stories
    }

    /// Opens the uplink port of a hub, behind which its gateway's address is: at a known station where the host is the
    /// gateway, else somewhere in a LAN.
    ///
    /// # Errors
    /// When the port cannot be opened; see [`crate::hub::OpenError`].
    pub fn open_uplink(
        &mut self,
        now: Instant,
        hub: HubId,
        port: PortId,
        gateway_mac: Option<Mac>,
    ) -> Result<(crate::hub::Ingress, Arc<View>), crate::hub::OpenError> {
        let rules = self.hub_config(hub).ok_or(crate::hub::OpenError::Offline)?;
        let known = |mac| vec![KnownStation { mac, addresses: vec![rules.gateway] }];
        let permit = match gateway_mac {
            Some(mac) => UplinkPermit::uplink_by_configuration(known(mac)),
            None => UplinkPermit::bridge_by_configuration(),
        };
        let permit = permit.with_policy(place::uplink_policy(&rules.uplink_rules));
        self.open_port(now, hub, port, permit)
    }

    /// The rules of an uplink that stays as it is, as the configuration has them now: in force at the hub, and for the
    /// worker to follow.
    pub fn renew_uplink(&mut self, hub: HubId, port: PortId) -> Option<crate::hub::Policy> {
        let policy = place::uplink_policy(&self.hub_config(hub)?.uplink_rules);
        self.hub_mut(hub)?.set_policy(port, policy)
    }

    /// Opens the port of a router in a hub, with the router's station there.
    ///
    /// # Errors
    /// When the port cannot be opened; see [`crate::hub::OpenError`].
    pub fn open_router(
        &mut self,
        now: Instant,
        hub: HubId,
        port: PortId,
        station: KnownStation,
    ) -> Result<(crate::hub::Ingress, Arc<View>), crate::hub::OpenError> {
        self.open_port(now, hub, port, UplinkPermit::router_by_configuration(station))
    }

    /// Opens a port that is not a link's.
    fn open_port(
        &mut self,
        now: Instant,
        hub: HubId,
        port: PortId,
        permit: UplinkPermit,
    ) -> Result<(crate::hub::Ingress, Arc<View>), crate::hub::OpenError> {
        let hub = self.hub_mut(hub).ok_or(crate::hub::OpenError::Offline)?;
        let ingress = hub.open_uplink(now, port, permit)?;
        Ok((ingress, hub.view().clone()))
    }

    /// Opens a port that gets a copy of every frame of a hub, and sends none. An administrator has asked for it.
    ///
    /// # Errors
    /// When the port cannot be opened; see [`crate::hub::OpenError`].
    pub fn open_monitor(
        &mut self,
        now: Instant,
        hub: HubId,
        port: PortId,
    ) -> Result<(crate::hub::Ingress, Arc<View>), crate::hub::OpenError> {
        self.open_port(now, hub, port, UplinkPermit::monitor_by_administrator())
    }

    /// Handles what a worker asks or tells.
    pub fn handle_ask(&mut self, clock: Clock, ask: Ask, out: &mut Output) {
        self.dues.file(&self.hubs);
        match ask {
            Ask::Authenticate(ask) => self.admit(clock, ask, &mut out.answers),
            Ask::Join { link, port, asked } => {
                let answer = self.join(clock, link, port, asked);
                out.answers.push(answer);
            }
            Ask::Leave { link, .. } => {
                self.queue.remove(link);
                self.leave(clock, link);
            }
            Ask::Leased { link, address, release } => self.leased(clock, link, address, release, out),
            Ask::Notice { hub, notice } => {
                let mut events = crate::hub::Output::default();
                if let Some(owner) = self.hub_mut(hub) {
                    owner.handle_notice(clock.now, notice, &mut events);
                }
                self.carry_out(hub, events, out);
            }
            Ask::Service { hub, from, frame } => self.serve(clock, hub, from, &frame, out),
            Ask::Running(attempt) => self.stories.follow(attempt),
            Ask::Renewal(attempt) => self.stories.forget(attempt),
            Ask::Ended(record) => {
                stories::tell(&record);
                self.count_key(clock, &record);
                self.stories.keep(*record);
            }
        }
        self.tell_standings(out);
        out.frames.append(&mut self.goodbyes);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let own = [self.watch.next(), self.queue.next(), self.penalties.poll_timeout()];
        self.dues.next(&self.hubs).into_iter().chain(own.into_iter().flatten()).min()
    }

    /// Ends sessions whose time is over; ages tables and leases.
    pub fn handle_timeout(&mut self, clock: Clock, out: &mut Output) {
        self.end_what_is_over(clock, out);
        self.judge_those_who_waited(clock, out);
        self.penalties.handle_timeout(clock.now, &mut self.standings);
        self.tell_standings(out);
        out.frames.append(&mut self.goodbyes);
        self.dues.file(&self.hubs);
        for id in self.dues.take(clock.now) {
            let Some(hub) = place::at(&mut self.hubs, id) else { continue };
            let mut events = crate::hub::Output::default();
            hub.handle_timeout(clock.now, &mut events);
            self.carry_out(id, events, out);
        }
        self.dues.file(&self.hubs);
    }

    fn carry_out(&self, hub: HubId, events: crate::hub::Output, out: &mut Output) {
        let owner = self.hub(hub);
        let name = owner.map_or("", Hub::name);
        for event in events.events {
            tracing::info!(hub = name, ?event, step = "hub", "hub event");
        }
        for (to, frame) in events.frames {
            let copy = |port: &PortId| ServiceFrame { hub, to: Forward::To(*port), frame: frame.clone() };
            let monitors = owner.map_or(&[][..], |owner| owner.monitors(to));
            out.frames.extend(monitors.iter().map(copy));
            out.frames.push(ServiceFrame { hub, to, frame });
        }
    }

    /// Closes a session for a reason that its link is told.
    pub(crate) fn evict(&mut self, clock: Clock, link: LinkKey, cause: Cause, answers: &mut Vec<Answer>) {
        self.leave(clock, link);
        answers.push(Answer::Close { link, cause });
    }

    /// Closes a session because an administrator says so. Returns whether there was one.
    pub fn kick(&mut self, clock: Clock, link: LinkKey, out: &mut Output) -> bool {
        self.close(clock, link, Cause::Kicked, out)
    }

    /// Closes a session from outside: an administrator, a policy, a reload. Returns whether there was one.
    pub fn close(&mut self, clock: Clock, link: LinkKey, cause: Cause, out: &mut Output) -> bool {
        let known = self.sessions.get(link).is_some();
        if known {
            self.evict(clock, link, cause, &mut out.answers);
            self.tell_standings(out);
            out.frames.append(&mut self.goodbyes);
        }
        known
    }
}
