//! Rules of the hubs: names, networks, ranges.

use super::{Check, Path, in_order, model, same_name, schema};
use crate::config::{AddressSource, HubLimits, Limit, Network, Uplink};
use std::net::Ipv4Addr;

impl Check<'_> {
    pub(super) fn hubs(&mut self, file: &schema::File) -> Vec<model::Hub> {
        let section = Path::of(&["hubs"]);
        if file.hubs.is_empty() && !self.skipped.touches(&section) {
            let hint = Some("the smallest: hubs: { HUB1: { network: 10.60.0.0/24 } }");
            self.error(&section, "there is no hub".to_owned(), hint);
        }
        let mut hubs: Vec<model::Hub> = Vec::new();
        for name in in_order(&file.hubs) {
            let Some(hub) = file.hubs.get(name) else { continue };
            let path = section.key(name);
            self.hub_name(&path, name);
            if let Some(earlier) = hubs.last().filter(|earlier| same_name(&earlier.name, name)) {
                let message =
                    format!("`{name}` and `{}` are the same hub: case does not count", earlier.name);
                self.error(&path, message, None);
            }
            for earlier in &hubs {
                if earlier.network.overlaps(&hub.network) {
                    self.overlap(&path.key("network"), hub, earlier);
                }
            }
            self.uplink(&path.key("uplink"), hub, &hubs);
            self.rules(&path, &hub.rules());
            self.groups(&path.key("groups"), hub);
            let users = self.users(&path.key("users"), hub, file);
            let monitor = hub.rules().or(&file.sessions.rules()).monitor.unwrap_or(true);
            hubs.push(model::Hub { monitor, ..self.hub(&path, name, hub, users) });
        }
        hubs
    }

    fn hub(&mut self, path: &Path, name: &str, hub: &schema::Hub, users: Vec<model::User>) -> model::Hub {
        let network = hub.network;
        let usable = self.network(&path.key("network"), network);
        let gateway = hub.gateway.unwrap_or(network.first_host());
        if usable && !network.has_host(gateway) {
            let hint =
                format!("the hosts of {network} are {} to {}", network.first_host(), network.last_host());
            self.error(&path.key("gateway"), format!("{gateway} cannot be a host of {network}"), Some(&hint));
        }
        let dhcp = self.dhcp(&path.key("dhcp"), hub);
        if dhcp.range.first() == dhcp.range.last() && dhcp.range.first() == gateway {
            let hint = Some("the gateway's address is never handed out: make the range larger");
            self.error(&path.key("dhcp").key("range"), "no address is left for clients".to_owned(), hint);
        }
        let rules = path.key("uplink_rules");
        self.broadcasts(&rules.key("broadcasts"), hub.uplink_rules.broadcasts);
        if hub.uplink_rules.max_macs == 0 {
            let hint = Some("`uplink: none` is a hub without one");
            self.error(&rules.key("max_macs"), "with 0 nothing comes in from the uplink".to_owned(), hint);
        }
        if hub.address == AddressSource::LanDhcp && !hub.uplink.is_lan() {
            let hint = Some("such as uplink: { bridge: br0 }");
            let message =
                format!("with `uplink: {}` there is no LAN whose DHCP server could be asked", hub.uplink);
            self.error(&path.key("address"), message, hint);
        }
        if hub.uplink_rules.max_ips == Limit::To(0) {
            let hint = Some("`uplink: none` is a hub without one");
            self.error(&rules.key("max_ips"), "with 0 nothing comes in from the uplink".to_owned(), hint);
        }
        if (hub.uplink_rules.no_routing || hub.uplink_rules.max_ips != Limit::None)
            && hub.uplink.has_gateway()
        {
            let key = if hub.uplink_rules.no_routing { "no_routing" } else { "max_ips" };
            let hint =
                Some("behind `uplink: nat` there is the gateway alone, and everything comes through it");
            self.warn(&rules.key(key), "this has no effect with `uplink: nat`".to_owned(), hint);
        }
        self.hub_limits(&path.key("limits"), hub.limits);
        self.note(&path.key("note"), hub.note.as_deref());
        let access_list = self.access_list(&path.key("access_list"), hub, &users);
        let targets = self.targets(&path.key("targets"), hub);
        let (name, uplink, uplink_rules) = (name.to_owned(), hub.uplink.clone(), hub.uplink_rules);
        model::Hub {
            name,
            note: hub.note.clone(),
            online: hub.online.unwrap_or(true),
            network,
            gateway,
            address: hub.address,
            dhcp,
            uplink,
            uplink_rules,
            targets,
            limits: hub.limits,
            monitor: true,
            access_list,
            users,
        }
    }

    /// Hosts that can be asked: behind no uplink there is nobody.
    fn targets(&mut self, path: &Path, hub: &schema::Hub) -> Vec<Ipv4Addr> {
        let mut targets: Vec<Ipv4Addr> = Vec::new();
        for (index, target) in hub.targets.iter().enumerate() {
            let at = path.index(index);
            if target.is_unspecified()
                || target.is_multicast()
                || target.is_broadcast()
                || target.is_loopback()
            {
                self.error(&at, format!("{target} cannot be the address of a host"), None);
            } else if targets.contains(target) {
                self.warn(&at, format!("{target} is in the list already"), None);
            } else {
                targets.push(*target);
            }
        }
        if hub.uplink == Uplink::None && !targets.is_empty() {
            let hint =
                Some("`uplink: none` leads to no host: take the key out, or plug the hub into something");
            self.warn(path, "nobody but other clients can answer".to_owned(), hint);
        }
        targets
    }

    fn hub_limits(&mut self, path: &Path, limits: HubLimits) {
        let HubLimits { sessions, macs, ips } = limits;
        if sessions == Limit::To(0) {
            let hint = Some("`access: deny` keeps them out and says so; `none` is as many as there are");
            self.error(&path.key("sessions"), "with 0 nobody can connect".to_owned(), hint);
        }
        for (key, limit) in [("macs", macs), ("ips", ips)] {
            if !(1..=MOST_LEARNED).contains(&limit) {
                self.error(&path.key(key), format!("{limit} is not between 1 and {MOST_LEARNED}"), None);
            }
        }
    }

    /// A note is one line of a listing.
    fn note(&mut self, path: &Path, note: Option<&str>) {
        let Some(note) = note else { return };
        if note.chars().count() > LONGEST_NOTE || note.contains(char::is_control) {
            let message = format!("a note is one line of at most {LONGEST_NOTE} characters");
            self.error(path, message, Some("comments in the file may be longer: # ..."));
        }
    }

    /// `@` and `\` part user and hub when somebody logs in, and `none` means no hub.
    fn hub_name(&mut self, path: &Path, name: &str) {
        let known = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.chars().count() > 64 || !name.chars().all(known) {
            let hint = Some("1 to 64 letters, digits, `-`, `_` and `.`");
            self.error(path, format!("`{name}` cannot be the name of a hub"), hint);
        } else if same_name(name, "none") {
            self.error(
                path,
                "`none` cannot be the name of a hub: default_hub uses it for `no hub`".to_owned(),
                None,
            );
        }
    }

    /// Returns whether the network has room for a gateway and a client.
    fn network(&mut self, path: &Path, network: Network) -> bool {
        let address = network.address();
        if !(8..=30).contains(&network.prefix()) {
            let hint = Some("a /24 has room for 253 clients, a /16 for 65,533");
            self.error(path, format!("{network} is not between /8 and /30"), hint);
        } else if address.is_loopback()
            || address.is_multicast()
            || address.is_link_local()
            || address.octets()[0] == 0
            || address.octets()[0] >= 240
        {
            let hint = Some("take a private network, such as 10.60.0.0/24");
            self.error(path, format!("{network} is no network for hosts"), hint);
        } else if !PRIVATE
            .iter()
            .any(|private| private.contains(address) && private.prefix() <= network.prefix())
        {
            let hint =
                Some("private networks lie in 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 and 100.64.0.0/10");
            let message =
                format!("{network} belongs to somebody on the Internet, whom clients will not reach");
            self.warn(path, message, hint);
        }
        network.prefix() <= 30
    }

    /// Names of interfaces are names, and what one hub has to itself no other has.
    fn uplink(&mut self, path: &Path, hub: &schema::Hub, earlier: &[model::Hub]) {
        for (key, name) in hub.uplink.interfaces() {
            let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%');
            if name.is_empty() || name.len() > 15 || matches!(name, "." | "..") || name.contains(bad) {
                let hint = Some("at most 15 characters, as `ip link` shows them");
                self.error(&path.key(key), format!("`{name}` cannot be the name of an interface"), hint);
            }
            let taken = earlier.iter().find(|earlier| {
                let mut names = earlier.uplink.interfaces();
                key != "bridge" && names.any(|(other, used)| other != "bridge" && used == name)
            });
            if let Some(taken) = taken {
                self.error(
                    &path.key(key),
                    format!("{name} is the uplink of hub {} already", taken.name),
                    None,
                );
            }
        }
    }

    fn overlap(&mut self, path: &Path, hub: &schema::Hub, earlier: &model::Hub) {
        let message = format!("{} overlaps {} of hub {}", hub.network, earlier.network, earlier.name);
        if hub.uplink.is_nat() && earlier.uplink.is_nat() {
            let hint =
                Some("with `uplink: nat` the host has both networks and cannot tell them apart: change one");
            self.error(path, message, hint);
        } else {
            self.warn(path, message, Some("harmless as long as the two hubs are never joined"));
        }
    }
}

/// Entries of a hub's tables.
const MOST_LEARNED: u32 = 1_000_000;

const LONGEST_NOTE: usize = 200;

/// RFC 1918, and RFC 6598 which providers use between their customers and the Internet.
const PRIVATE: [Network; 4] = [
    Network::containing(Ipv4Addr::new(10, 0, 0, 0), 8),
    Network::containing(Ipv4Addr::new(172, 16, 0, 0), 12),
    Network::containing(Ipv4Addr::new(192, 168, 0, 0), 16),
    Network::containing(Ipv4Addr::new(100, 64, 0, 0), 10),
];
