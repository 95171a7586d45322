//! Rules of DHCP: addresses that can be given, and options that can be told.

use super::{Check, DAY, MINUTE, Path, model, schema};
use crate::config::Dns;
use crate::config::dhcp_options::NodeType;
use crate::hub;
use crate::hub::dhcp::RawOption;
use crate::wire::ether::Mac;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// IPCP has a first and a second server, and DHCP clients look at three or four.
const MAX_NAME_SERVERS: usize = 4;

/// What is longer is split, and no client takes more.
const LONGEST_OPTION: usize = 1024;

/// Options that the server decides on itself: addresses, times and the conversation.
const OWN_OPTIONS: [u8; 13] = [0, 1, 50, 51, 52, 53, 54, 55, 57, 58, 59, 61, 255];

impl Check<'_> {
    pub(super) fn dhcp(&mut self, path: &Path, hub: &schema::Hub) -> model::Dhcp {
        let (network, dhcp) = (hub.network, &hub.dhcp);
        let range = dhcp.range.unwrap_or_else(|| network.hosts());
        if let Some(range) = dhcp.range {
            let outside = [range.first(), range.last()].into_iter().find(|end| !network.has_host(*end));
            if let Some(end) = outside {
                let hint =
                    format!("the hosts of {network} are {} to {}", network.first_host(), network.last_host());
                self.error(&path.key("range"), format!("{end} cannot be a host of {network}"), Some(&hint));
            }
        }

        let servers = path.key("dns");
        for (key, list, what) in [
            ("dns", dhcp.dns.as_deref().unwrap_or_default(), "name server"),
            ("ntp", &dhcp.ntp, "time server"),
            ("wins", &dhcp.wins, "name server"),
        ] {
            for (index, server) in list.iter().enumerate() {
                if server.is_unspecified()
                    || server.is_loopback()
                    || server.is_multicast()
                    || server.is_broadcast()
                {
                    let hint = Some("name a server as the client reaches it");
                    let message = format!("{server} cannot be a client's {what}");
                    self.error(&path.key(key).index(index), message, hint);
                }
            }
            if key != "dns" && list.len() > MAX_NAME_SERVERS {
                self.error(&path.key(key), format!("there are more than {MAX_NAME_SERVERS} {what}s"), None);
            }
        }
        if dhcp.dns.as_ref().is_some_and(|servers| servers.len() > MAX_NAME_SERVERS) {
            self.error(&servers, format!("there are more than {MAX_NAME_SERVERS} name servers"), None);
        }
        if let Some(domain) = dhcp.domain.as_deref().filter(|domain| !is_domain(domain)) {
            let hint = Some("such as office.example");
            self.error(&path.key("domain"), format!("`{domain}` is not a domain name"), hint);
        }
        for (index, name) in dhcp.search.iter().enumerate().filter(|(_, name)| !is_domain(name)) {
            let message = format!("`{name}` is not a domain name");
            self.error(&path.key("search").index(index), message, Some("such as office.example"));
        }
        model::Dhcp {
            reservations: self.reservations(&path.key("reservations"), hub),
            options: hub::dhcp::Settings {
                router: dhcp.router,
                ntp: dhcp.ntp.clone(),
                wins: dhcp.wins.clone(),
                netbios_node_type: dhcp.netbios_node_type.map(NodeType::number),
                netbios_scope: dhcp.netbios_scope.clone(),
                search: dhcp.search.clone(),
                wpad: dhcp.wpad.clone(),
                raw: self.raw_options(&path.key("options"), dhcp),
                probe: dhcp.probe,
                ..hub::dhcp::Settings::default()
            },
            range,
            dns: dhcp.dns.clone().map_or(Dns::OfHost, Dns::Servers),
            domain: dhcp.domain.clone(),
            lease: self.span(&path.key("lease"), dhcp.lease.0, MINUTE, 365 * DAY),
        }
    }

    fn reservations(&mut self, path: &Path, hub: &schema::Hub) -> Vec<(Mac, Ipv4Addr)> {
        let gateway = hub.gateway.unwrap_or(hub.network.first_host());
        let users = hub.users.iter().filter_map(|(name, user)| Some((user.address?, format!("user {name}"))));
        let mut taken: BTreeMap<Ipv4Addr, String> = users.collect();
        let mut list: Vec<(Mac, Ipv4Addr)> = Vec::new();
        for (index, reservation) in hub.dhcp.reservations.iter().enumerate() {
            let (path, mac, address) = (path.index(index), reservation.mac.0, reservation.address);
            if !hub.network.has_host(address) {
                let message = format!("{address} cannot be a host of {}", hub.network);
                self.error(&path.key("address"), message, None);
            } else if address == gateway {
                self.error(&path.key("address"), format!("{address} is the gateway's own address"), None);
            } else if let Some(other) = taken.insert(address, format!("station {mac}")) {
                self.error(
                    &path.key("address"),
                    format!("{address} is the address of {other} already"),
                    None,
                );
            }
            if !mac.is_unicast() {
                self.error(&path.key("mac"), format!("{mac} is no station's address"), None);
            } else if list.iter().any(|(other, _)| *other == mac) {
                self.error(&path.key("mac"), format!("{mac} has an address already"), None);
            }
            list.push((mac, address));
        }
        list
    }

    fn raw_options(&mut self, path: &Path, dhcp: &schema::Dhcp) -> Vec<RawOption> {
        let mut list: Vec<RawOption> = Vec::new();
        for (index, option) in dhcp.options.iter().enumerate() {
            let (path, code) = (path.index(index), option.code);
            if OWN_OPTIONS.contains(&code) {
                let message = format!("option {code} is the server's own business");
                self.error(&path.key("code"), message, None);
            } else if list.iter().any(|other| other.code == code) {
                self.error(&path.key("code"), format!("option {code} is in the list already"), None);
            }
            let Some(value) = option.value() else {
                let hint = Some("one of `text`, `addresses`, and `hex` with an even number of digits");
                self.error(&path, format!("option {code} has no value that can be read"), hint);
                continue;
            };
            if value.is_empty() || value.len() > LONGEST_OPTION {
                self.error(&path, format!("option {code} does not have 1 to {LONGEST_OPTION} bytes"), None);
            }
            list.push(RawOption { code, value, always: option.always });
        }
        list
    }
}

/// RFC 1123 section 2.1: labels of letters, digits and hyphens, 253 characters in all.
pub(super) fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}
