//! What this host looks like from here: its address, the networks it knows, its name servers. Guesses and readings for
//! people and defaults; nothing is changed.

use crate::config::Network;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
};

/// How many columns the terminal shows that standard output is, if it is one.
#[must_use]
pub fn terminal_width() -> Option<usize> {
    super::syscall::terminal_width(std::os::fd::AsFd::as_fd(&std::io::stdout())).map(usize::from)
}

/// Somewhere on the Internet. Connecting a UDP socket to it sends nothing, and shows our own address on the way there.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1)), 9);

/// The address by which clients most likely reach this host: that of the way to the Internet, else of any network.
#[must_use]
pub fn likely_address() -> Option<IpAddr> {
    own_address_towards(SOMEWHERE).or_else(|| {
        let mut networks = networks_in_use().into_iter().filter(|used| used.network.prefix() < 32);
        networks.find_map(|used| own_address_towards(SocketAddr::from((used.network.first_host(), 9))))
    })
}

fn own_address_towards(remote: SocketAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(remote).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// Whether the Internet cannot reach this address: a router in front must forward to it.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
            address.is_private() || address.is_link_local() || address.is_loopback() || shared
        }
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

/// A network that the host has a route to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsedNetwork {
    /// The network; never the default route.
    pub network: Network,
    /// The interface that leads there.
    pub interface: String,
}

/// The networks in the host's main routing table, without the default route. Empty when it cannot be read.
#[must_use]
pub fn networks_in_use() -> Vec<UsedNetwork> {
    parse_routes(&route_table()).into_iter().filter(|used| used.network.prefix() > 0).collect()
}

/// The interfaces that the main routing table leads through, each once: where a forwarded packet can leave.
#[must_use]
pub fn routed_interfaces() -> Vec<String> {
    let mut names: Vec<String> =
        parse_routes(&route_table()).into_iter().map(|used| used.interface).collect();
    names.sort();
    names.dedup();
    names
}

/// Interface and gateway of the default route; the gateway is 0.0.0.0 where the interface leads there by itself.
#[must_use]
pub fn default_route() -> Option<(String, Ipv4Addr)> {
    parse_default_route(&route_table())
}

fn parse_default_route(table: &str) -> Option<(String, Ipv4Addr)> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, "00000000", gateway, _, _, _, _, "00000000", ..] = columns.as_slice() else {
            return None;
        };
        let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes());
        Some(((*interface).to_owned(), gateway))
    })
}

/// Whether this address has answered ARP.
#[must_use]
pub fn has_neighbour(address: Ipv4Addr) -> bool {
    let table = fs::read_to_string("/proc/thread-self/net/arp").unwrap_or_default();
    let address = address.to_string();
    // IP address, hardware type, flags (2: complete), hardware address, ...
    table.lines().any(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        columns.first() == Some(&address.as_str()) && columns.get(2).is_some_and(|flags| *flags != "0x0")
    })
}

fn route_table() -> String {
    fs::read_to_string("/proc/thread-self/net/route").unwrap_or_default()
}

/// `/proc/net/route`: name, destination, gateway, flags, reference count, use, metric, mask, …; addresses in
/// hexadecimal of this machine's byte order.
fn parse_routes(table: &str) -> Vec<UsedNetwork> {
    let address =
        |hex: &str| u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    let route = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (interface, mask) = (columns.first()?, address(columns.get(7)?)?);
        let network =
            Network::containing(address(columns.get(1)?)?, u8::try_from(mask.to_bits().leading_ones()).ok()?);
        (*interface != "lo").then(|| UsedNetwork { network, interface: (*interface).to_owned() })
    };
    table.lines().skip(1).filter_map(route).collect()
}

/// A private /24 for a first hub that no route of this host touches.
#[must_use]
pub fn free_network() -> Network {
    pick_free(&networks_in_use())
}

/// The same, apart from these networks, too.
#[must_use]
pub fn free_network_besides(others: &[Network]) -> Network {
    let others = others.iter().map(|network| UsedNetwork { network: *network, interface: String::new() });
    pick_free(&networks_in_use().into_iter().chain(others).collect::<Vec<_>>())
}

fn pick_free(used: &[UsedNetwork]) -> Network {
    // Far from what home routers and hotels use, so that it seldom collides with a client's own network either.
    let tens = (60..=250).map(|second| Ipv4Addr::new(10, second, 0, 0));
    let others = (20..=31).map(|second| Ipv4Addr::new(172, second, 60, 0));
    let last = (60..=250).map(|third| Ipv4Addr::new(192, 168, third, 0));
    let candidates = tens.chain(others).chain(last).map(|address| Network::containing(address, 24));
    // A route to all of 10.0.0.0/8 (a company's) collides with every candidate in it, rightly so.
    let free = |candidate: &Network| !used.iter().any(|used| used.network.overlaps(candidate));
    candidates
        .clone()
        .find(free)
        .or_else(|| candidates.clone().next())
        .unwrap_or(Network::containing(Ipv4Addr::new(10, 60, 0, 0), 24))
}

/// The name servers that this host asks and that a client behind it can ask as well: IPv4, and no loopback ones. On a host
/// with `systemd-resolved`, those behind it.
#[must_use]
pub fn name_servers() -> Vec<Ipv4Addr> {
    let files = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];
    let servers = |file| parse_resolv_conf(&fs::read_to_string(file).unwrap_or_default());
    v4_of(files.into_iter().map(servers).find(|servers| !servers.is_empty()).unwrap_or_default())
}

/// The IPv4 addresses among these.
pub(super) fn v4_of(addresses: Vec<IpAddr>) -> Vec<Ipv4Addr> {
    let v4 = |address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    };
    addresses.into_iter().filter_map(v4).collect()
}

/// The name servers that this host itself asks, loopback ones among them: no more than its C library would.
#[must_use]
pub fn own_name_servers() -> Vec<IpAddr> {
    listed_in_resolv_conf(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default()).take(3).collect()
}

fn parse_resolv_conf(text: &str) -> Vec<IpAddr> {
    let reachable = |address: &IpAddr| !address.is_loopback() && !address.is_unspecified();
    listed_in_resolv_conf(text).filter(reachable).take(4).collect()
}

fn listed_in_resolv_conf(text: &str) -> impl Iterator<Item = IpAddr> {
    let server =
        |line: &str| line.trim().strip_prefix("nameserver")?.split_ascii_whitespace().next()?.parse().ok();
    text.lines().filter_map(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_route_table_is_read_in_this_machines_byte_order() {
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\n\
             eth0\t00000000\t{}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\n\
             lo\t{}\t00000000\t0001\t0\t0\t0\t{}\t0\t0\t0\nbroken line\n",
            hex([192, 168, 1, 1]),
            hex([192, 168, 1, 0]),
            hex([255, 255, 255, 0]),
            hex([127, 0, 0, 0]),
            hex([255, 0, 0, 0]),
        );
        let networks: Vec<String> =
            parse_routes(&table).iter().map(|used| used.network.to_string()).collect();
        assert_eq!(networks, ["0.0.0.0/0", "192.168.1.0/24"]);
        assert_eq!(parse_default_route(&table), Some(("eth0".to_owned(), Ipv4Addr::new(192, 168, 1, 1))));
    }

    #[test]
    fn a_first_hub_gets_a_network_that_nobody_has() {
        let used = |networks: &[&str]| -> Vec<UsedNetwork> {
            let used =
                |text: &&str| UsedNetwork { network: text.parse().unwrap(), interface: "eth0".to_owned() };
            networks.iter().map(used).collect()
        };
        let free = |networks: &[&str]| pick_free(&used(networks)).to_string();
        assert_eq!(free(&[]), "10.60.0.0/24");
        assert_eq!(free(&["192.168.0.0/24", "10.60.0.128/25", "10.61.0.0/16"]), "10.62.0.0/24");
        assert_eq!(free(&["10.0.0.0/8"]), "172.20.60.0/24");
        assert_eq!(free(&["10.0.0.0/8", "172.16.0.0/12"]), "192.168.60.0/24");
        assert_eq!(free(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]), "10.60.0.0/24", "the least bad");
    }

    #[test]
    fn loopback_name_servers_are_of_no_use_to_clients() {
        let text = "# comment\nnameserver 127.0.0.53\nnameserver 192.0.2.53 # office\n nameserver 2001:db8::1\n\
                    search example\nnameserver\nnameserver 198.51.100.53\n";
        let servers: Vec<String> = parse_resolv_conf(text).iter().map(IpAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.53", "2001:db8::1", "198.51.100.53"]);
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for address in
            ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "127.0.0.1", "fd00::1"]
        {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["203.0.113.7", "100.128.0.1", "172.32.0.1", "2001:db8::1"] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
    }
}
