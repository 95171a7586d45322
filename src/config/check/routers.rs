//! Rules of the routers: their hubs, addresses, routes.

use super::{Check, Path, in_order, model, same_name, schema};
use crate::config::Network;
use std::net::Ipv4Addr;

/// Hubs of one router.
const MOST_HUBS: usize = 64;
/// Static routes of one router.
const MOST_ROUTES: usize = 256;

impl Check<'_> {
    pub(super) fn routers(&mut self, file: &schema::File, hubs: &[model::Hub]) -> Vec<model::Router> {
        let section = Path::of(&["routers"]);
        let mut routers: Vec<model::Router> = Vec::new();
        for name in in_order(&file.routers) {
            let Some(router) = file.routers.get(name) else { continue };
            let path = section.key(name);
            if name.trim().is_empty() || name.trim() != name || name.chars().count() > 64 {
                let hint = Some("1 to 64 characters, without white space around them");
                self.error(&path, format!("`{name}` cannot be the name of a router"), hint);
            }
            if let Some(earlier) = routers.last().filter(|earlier| same_name(&earlier.name, name)) {
                let message =
                    format!("`{name}` and `{}` are the same router: case does not count", earlier.name);
                self.error(&path, message, None);
            }
            let legs = self.legs(&path.key("hubs"), router, hubs, &routers);
            let networks: Vec<Network> =
                legs.iter().filter_map(|leg| Some(hub_named(hubs, &leg.hub)?.network)).collect();
            let routes = self.static_routes(&path.key("routes"), router, &legs, &networks);
            routers.push(model::Router { name: name.to_owned(), legs, routes });
        }
        routers
    }

    fn legs(
        &mut self,
        path: &Path,
        router: &schema::Router,
        hubs: &[model::Hub],
        earlier: &[model::Router],
    ) -> Vec<model::Leg> {
        if router.hubs.len() < 2 && !self.skipped.touches(path) {
            let hint = Some("hubs: { OFFICE: 10.60.0.254, GUESTS: 10.61.0.254 }");
            self.error(path, "a router joins two hubs at least".to_owned(), hint);
        }
        if router.hubs.len() > MOST_HUBS {
            let message = format!("{} hubs are more than {MOST_HUBS}", router.hubs.len());
            self.error(path, message, None);
        }
        let names: Vec<&str> = hubs.iter().map(|hub| hub.name.as_str()).collect();
        let mut legs: Vec<model::Leg> = Vec::new();
        for name in in_order(&router.hubs) {
            let Some(address) = router.hubs.get(name).copied() else { continue };
            let path = path.key(name);
            let Some(hub) = self.known_hub(&path, name, &names).and_then(|at| hubs.get(at)) else { continue };
            if legs.iter().any(|leg| same_name(&leg.hub, name)) {
                self.error(&path, format!("hub {} is in the list already", hub.name), None);
                continue;
            }
            self.leg_address(&path, address, hub);
            let mut others =
                earlier.iter().flat_map(|router| router.legs.iter().map(move |leg| (router, leg)));
            if let Some((other, _)) = others.find(|(_, leg)| leg.hub == hub.name && leg.address == address) {
                self.error(&path, format!("{address} is the address of router {} already", other.name), None);
            }
            for leg in &legs {
                if let Some(other) = hub_named(hubs, &leg.hub).filter(|o| o.network.overlaps(&hub.network)) {
                    let message = format!("{} overlaps {} of hub {}", hub.network, other.network, other.name);
                    let hint = Some("a router cannot tell them apart: change one of the networks");
                    self.error(&path, message, hint);
                }
            }
            legs.push(model::Leg { hub: hub.name.clone(), address });
        }
        legs
    }

    fn leg_address(&mut self, path: &Path, address: Ipv4Addr, hub: &model::Hub) {
        let network = hub.network;
        if !network.has_host(address) {
            let hint =
                format!("the hosts of {network} are {} to {}", network.first_host(), network.last_host());
            self.error(path, format!("{address} cannot be a host of {network}"), Some(&hint));
        } else if address == hub.gateway && hub.uplink != crate::config::Uplink::None {
            let hint =
                Some("another address; the gateway's may be the router's in a hub with `uplink: none`");
            self.error(path, format!("{address} is the gateway's own address"), hint);
        } else if let Some(user) = hub.users.iter().find(|user| user.address == Some(address)) {
            self.error(path, format!("{address} is the address of user {} already", user.name), None);
        } else if hub.dhcp.reservations.iter().any(|(_, reserved)| *reserved == address) {
            self.error(path, format!("{address} is reserved for a station already"), None);
        }
    }

    fn static_routes(
        &mut self,
        path: &Path,
        router: &schema::Router,
        legs: &[model::Leg],
        networks: &[Network],
    ) -> Vec<(Network, Ipv4Addr)> {
        if router.routes.len() > MOST_ROUTES {
            self.error(path, format!("{} routes are more than {MOST_ROUTES}", router.routes.len()), None);
        }
        let mut routes: Vec<(Network, Ipv4Addr)> = Vec::new();
        for (index, route) in router.routes.iter().enumerate() {
            let path = path.index(index);
            let Some(via) = route.via else {
                let hint = format!("{} via ADDRESS, where ADDRESS is the next router", route.to);
                self.error(&path, "nothing says by which router".to_owned(), Some(&hint));
                continue;
            };
            if routes.iter().any(|(to, _)| *to == route.to) {
                self.error(&path, format!("a route to {} is in the list already", route.to), None);
            }
            if networks.contains(&route.to) {
                let hint = Some("the network of a hub of this router needs no route");
                self.error(&path, format!("{} is at hand", route.to), hint);
            }
            if legs.iter().any(|leg| leg.address == via) {
                self.error(&path, format!("{via} is the router itself"), None);
            } else if !networks.iter().any(|network| network.has_host(via))
                && !self.skipped.touches(&path.parent().unwrap_or_default())
            {
                let hint = Some("the next router has to be a host of one of this router's hubs");
                self.error(&path, format!("{via} is in none of its networks"), hint);
            }
            routes.push((route.to, via));
        }
        routes
    }
}

fn hub_named<'a>(hubs: &'a [model::Hub], name: &str) -> Option<&'a model::Hub> {
    hubs.iter().find(|hub| hub.name == name)
}
