//! A session's place on its hub: port, MAC, address.

use super::{Gatehouse, Output, ServiceFrame};
use crate::config;
use crate::hub::{self, AssignError, Forward, HubId, OpenError, PortId, Scope, lease};
use crate::packet::PacketBuf;
use crate::peer::{Answer, LanPlace, LinkKey, Place, Rates};
use crate::ppp::AddressGrant;
use crate::story::Cause;
use crate::wire::inet::Network;
use crate::worker::Clock;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The hub's own rules from its configuration.
pub(super) fn hub_settings(
    hub: &config::Hub,
    config: &config::Config,
    host_dns: &[Ipv4Addr],
) -> hub::Settings {
    let network: Network = hub.network.into();
    let reserved: BTreeMap<_, _> = hub
        .users
        .iter()
        .filter_map(|user| {
            Some((user.address?, lease::Reserved::User(crate::identity::folded(&user.name).into())))
        })
        .chain(hub.dhcp.reservations.iter().map(|(mac, address)| (*address, lease::Reserved::Mac(*mac))))
        .chain(config.routers_in(&hub.name).map(|(_, leg)| (leg.address, lease::Reserved::Nobody)))
        .collect();
    let leases = lease::Settings {
        gateway: Some(hub.gateway),
        range: (hub.dhcp.range.first(), hub.dhcp.range.last()),
        lease: hub.dhcp.lease,
        hold: config.sessions.resume_for,
        reserved,
        ..lease::Settings::of_network(network)
    };
    let dhcp = hub::dhcp::Settings {
        // Behind a named TAP there may be stations of their own; behind NAT there is the host alone.
        serve: matches!(hub.uplink, config::Uplink::Tap(_)) && hub.address == config::AddressSource::Pool,
        inform: hub.address == config::AddressSource::Pool,
        dns: name_servers(hub, host_dns).to_vec(),
        domain: hub.dhcp.domain.clone(),
        routes: routed(config, hub).into_iter().map(|(to, via)| (to, Some(via))).collect(),
        ..hub.dhcp.options.clone()
    };
    hub::Settings {
        dhcp,
        access: hub.access_list.clone(),
        max_stations: hub.limits.macs as usize,
        max_hosts: hub.limits.ips as usize,
        ..hub::Settings::new(leases)
    }
}

/// What a user's links may send.
pub(super) fn client_policy(terms: &config::Terms) -> hub::Policy {
    hub::Policy {
        isolated: terms.isolated,
        guard_dhcp: terms.dhcp_guard,
        multicast: terms.multicast,
        monitored: terms.monitor,
        storm: storm(terms.broadcasts),
        ..hub::Policy::client()
    }
}

/// The networks that routers lead the stations of a hub to, each with its router.
fn routed(config: &config::Config, hub: &config::Hub) -> Vec<(Network, Ipv4Addr)> {
    config.routed_networks(&hub.name).into_iter().map(|(to, via)| (to.into(), via)).collect()
}

/// The routes that a user's links are told. Who is told any sends nothing else through the tunnel, so what routers lead
/// to is among them.
pub(super) fn told_routes(
    config: &config::Config,
    hub: &config::Hub,
    terms: &config::Terms,
) -> Vec<hub::dhcp::Route> {
    let own: Vec<(Network, _)> = terms.routes.iter().map(|route| (route.to.into(), route.via)).collect();
    let further = routed(config, hub).into_iter().filter(|_| !own.is_empty());
    let new = |to: &Network| !own.iter().any(|(known, _)| known == to);
    let further: Vec<_> = further.filter(|(to, _)| new(to)).map(|(to, via)| (to, Some(via))).collect();
    own.into_iter().chain(further).collect()
}

/// What links send to other next hops than the hub's gateway: the longest prefixes first; what the user's own rules say
/// goes before what a router offers.
pub(super) fn link_routes(
    config: &config::Config,
    hub: &config::Hub,
    terms: &config::Terms,
) -> Arc<[(Network, Ipv4Addr)]> {
    let own = terms.routes.iter().filter_map(|route| Some((route.to.into(), route.via?)));
    let mut all: Vec<_> = own.chain(routed(config, hub)).collect();
    all.sort_by_key(|(to, _)| std::cmp::Reverse(to.prefix));
    all.into()
}

/// How fast a user's links may be.
pub(super) fn rates(terms: &config::Terms) -> Rates {
    Rates { up: terms.rate_up.map(|rate| rate.0), down: terms.rate_down.map(|rate| rate.0) }
}

/// What may come in from behind an uplink.
pub(super) fn uplink_policy(rules: &config::UplinkRules) -> hub::Policy {
    hub::Policy {
        guard_dhcp: rules.dhcp_guard,
        guard_ra: rules.ra_guard,
        guard_arp: rules.arp_guard,
        max_macs: rules.max_macs,
        max_ips: config::Limit::of(Some(rules.max_ips)).unwrap_or(u32::MAX),
        no_routing: rules.no_routing,
        multicast: rules.multicast,
        storm: storm(rules.broadcasts),
        ..hub::Policy::trunk()
    }
}

/// So many frames a second, and twice as many at once after a quiet time.
fn storm(per_second: u32) -> hub::Storm {
    hub::Storm { per_second, burst: per_second.saturating_mul(2) }
}

/// The name servers that a hub's clients are told.
fn name_servers<'a>(hub: &'a config::Hub, host_dns: &'a [Ipv4Addr]) -> &'a [Ipv4Addr] {
    match &hub.dhcp.dns {
        config::Dns::Servers(servers) => servers,
        // It asks the host's, also those that nobody but the host can reach.
        config::Dns::OfHost if hub.uplink == config::Uplink::UserNat => std::slice::from_ref(&hub.gateway),
        config::Dns::OfHost => host_dns,
    }
}

/// A user's name as the LAN's DHCP server may show it (RFC 1123 section 2.1).
fn host_name(user: &str) -> String {
    let name: String =
        user.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    name.trim_matches('-').chars().take(63).collect()
}

/// A hub by its number, without borrowing the rest of the gatehouse.
pub(super) fn at(hubs: &mut [hub::Hub], id: HubId) -> Option<&mut hub::Hub> {
    hubs.binary_search_by_key(&id, hub::Hub::id).ok().and_then(|at| hubs.get_mut(at))
}

impl Gatehouse {
    /// Gives an authenticated link its port and address.
    pub(super) fn join(
        &mut self,
        clock: Clock,
        link: LinkKey,
        port: PortId,
        asked: Option<Ipv4Addr>,
    ) -> Answer {
        match self.place(clock, link, port, asked) {
            Ok(answer) => answer,
            Err(cause) => Answer::NoPlace { link, port, cause },
        }
    }

    fn place(
        &mut self,
        clock: Clock,
        link: LinkKey,
        port: PortId,
        asked: Option<Ipv4Addr>,
    ) -> Result<Answer, Cause> {
        let session = self.sessions.get_mut(link).ok_or(Cause::Internal)?;
        self.dues.touch(session.hub);
        if let Some(old) = session.port.take() {
            // PPP began anew on the same session: the old place goes back first, and its lease is found again.
            if let Some(hub) = at(&mut self.hubs, session.hub) {
                hub.close(clock.now, old);
            }
        }
        let hub = at(&mut self.hubs, session.hub).ok_or(Cause::Internal)?;
        let policy = client_policy(&session.terms);
        let own = asked.filter(|_| session.terms.own_address);
        let mut ingress = hub
            .open_client(clock.now, port, &session.who, &session.device, Some(policy))
            .map_err(|error| {
                tracing::warn!(hub = hub.name(), user = session.who.user(), %error, "port refused");
                match error {
                    OpenError::Offline => Cause::HubOffline,
                    OpenError::HubFull(_) => Cause::SessionLimit,
                    OpenError::WrongHub(_) | OpenError::PortTaken(_) | OpenError::MacTaken(_) => {
                        Cause::Internal
                    }
                }
            })?;
        let settings = self.config.hub(hub.name()).ok_or(Cause::Internal)?;
        let network = settings.network.into();
        let (mac, rates) = (ingress.mac(), rates(&session.terms));
        let routes = link_routes(&self.config, settings, &session.terms);
        if settings.address == config::AddressSource::LanDhcp && session.fixed.is_none() {
            session.port = Some(port);
            ingress.allow_leasing();
            let dns = match &settings.dhcp.dns {
                config::Dns::Servers(servers) => Some(servers.clone()),
                config::Dns::OfHost => None,
            };
            let host_name = host_name(session.who.user());
            let (view, gateway) = (hub.view().clone(), settings.gateway);
            let lan = Box::new(LanPlace { view, mac, host_name, gateway, dns, routes, rates });
            return Ok(Answer::Leasing { link, ingress, lan });
        }
        let address = match hub.assign(clock.now, port, session.fixed, own) {
            Ok(address) => address,
            Err(refusal) => {
                hub.close(clock.now, port);
                let cause = match &refusal {
                    AssignError::Refused(lease::Refusal::PoolEmpty { .. }) => Cause::PoolEmpty,
                    AssignError::Refused(_) | AssignError::Taken(_) => Cause::AddressInUse,
                    AssignError::NoPort => Cause::Internal,
                };
                tracing::warn!(
                    hub = hub.name(),
                    user = session.who.user(),
                    cause = cause.key(),
                    ?refusal,
                    "no address"
                );
                return Err(cause);
            }
        };
        ingress.set_address(Some(address));
        hub.set_routes(port, told_routes(&self.config, settings, &session.terms));
        session.port = Some(port);
        session.address = Some(address);
        let mut dns = name_servers(settings, &self.host_dns).iter().copied();
        let mut wins = settings.dhcp.options.wins.iter().copied();
        let grant = AddressGrant {
            address,
            gateway: settings.gateway,
            dns: [dns.next(), dns.next()],
            wins: [wins.next(), wins.next()],
        };
        let router = settings.gateway;
        let place = Place { view: hub.view().clone(), mac, grant, network, router, routes, rates };
        Ok(Answer::Joined { link, ingress, place: Box::new(place) })
    }

    /// A link is over: its port closes, its lease is remembered.
    pub(super) fn leave(&mut self, clock: Clock, link: LinkKey) {
        self.count_volume(clock, link);
        let Some(mut session) = self.sessions.remove(link) else { return };
        self.watch.set(&mut session, None);
        self.penalties.leave(clock.now, session.path.remote.ip(), &mut self.standings);
        if let Some(frame) = session.release.take() {
            self.goodbyes.push(ServiceFrame { hub: session.hub, to: Forward::Flood(Scope::Trunks), frame });
        }
        if let Some((port, hub)) = session.port.zip(self.hub_mut(session.hub)) {
            hub.close(clock.now, port);
        }
    }

    /// A DHCP server of the LAN has given a link its address. `release` is how it is given back.
    pub(super) fn leased(
        &mut self,
        clock: Clock,
        link: LinkKey,
        address: Ipv4Addr,
        release: Option<PacketBuf>,
        out: &mut Output,
    ) {
        let Some(session) = self.sessions.get_mut(link) else { return };
        let Some((port, hub)) = session.port.zip(at(&mut self.hubs, session.hub)) else { return };
        session.release = release;
        match hub.assign_lan(port, address) {
            Ok(()) => session.address = Some(address),
            Err(error) => {
                tracing::warn!(hub = hub.name(), user = session.who.user(), %error, "the LAN's address is not used");
                self.evict(clock, link, Cause::AddressInUse, &mut out.answers);
            }
        }
    }

    /// A frame for the hub's own services.
    pub(super) fn serve(
        &mut self,
        clock: Clock,
        hub: HubId,
        from: PortId,
        frame: &PacketBuf,
        out: &mut Output,
    ) {
        self.dues.touch(hub);
        let Some(owner) = at(&mut self.hubs, hub) else { return };
        let mut events = hub::Output::default();
        if let Err(reason) = owner.handle_frame(clock.now, from, frame, &mut events) {
            tracing::debug!(hub = owner.name(), port = %from, %reason, "service frame not answered");
        }
        self.carry_out(hub, events, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFacts, load};

    #[test]
    fn ports_have_the_rules_that_the_file_says() {
        let text = "
ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }
hubs:
  A:
    network: 10.1.0.0/24
    isolated: true
    broadcasts: 7
    uplink_rules: { dhcp_guard: true, ra_guard: true, arp_guard: false, max_macs: 9, max_ips: 5, no_routing: true, multicast: false, broadcasts: 70 }
    users:
      u: { password: 'long enough' }
      v: { password: 'long enough', isolated: false, dhcp_guard: false, multicast: false, monitor: false, broadcasts: 8 }
";
        let facts = FileFacts { name: String::new(), mode: None, now: 0 };
        let config = load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config;
        let hub = &config.hubs[0];
        let of = |user: &str| client_policy(&hub.user(user).unwrap().terms);
        let burst = |per_second| hub::Storm { per_second, burst: per_second * 2 };
        assert_eq!(of("u"), hub::Policy { isolated: true, storm: burst(7), ..hub::Policy::client() });
        assert_eq!(
            of("v"),
            hub::Policy {
                guard_dhcp: false,
                multicast: false,
                monitored: false,
                storm: burst(8),
                ..hub::Policy::client()
            }
        );
        assert_eq!(
            uplink_policy(&hub.uplink_rules),
            hub::Policy {
                guard_dhcp: true,
                guard_ra: true,
                guard_arp: false,
                max_macs: 9,
                max_ips: 5,
                no_routing: true,
                multicast: false,
                storm: burst(70),
                ..hub::Policy::trunk()
            }
        );
        assert_eq!(uplink_policy(&config::UplinkRules::default()), hub::Policy::trunk());
    }
}
