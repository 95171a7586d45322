//! The world around: which address clients dial, names, the way out.

use super::{listening_address, look_up};
use crate::config::{Config, Dns};
use crate::doctor::{Line, probe, stun};
use crate::entropy::Entropy;
use crate::shell::host;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use std::{fs, io};

/// How long an answer may take, and how often is asked.
const PATIENCE: Duration = Duration::from_secs(1);
const TRIES: u16 = 3;

/// The address by which a STUN server sees us.
pub(super) fn stun(server: &str) -> io::Result<SocketAddr> {
    let transaction = Entropy::from_system().map_err(io::Error::other)?.array::<12>();
    let to = look_up(server)?.into_iter().next().ok_or(io::ErrorKind::NotFound)?;
    let answer = ask(to, &stun::request(transaction), |message| stun::mapped_address(message, transaction))?;
    answer.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// Sends a question until `read` understands an answer.
fn ask<T>(to: SocketAddr, question: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
    let socket = UdpSocket::bind(if to.is_ipv4() {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    })?;
    socket.connect(to)?;
    let mut buffer = [0; 2048];
    for _ in 0..TRIES {
        socket.send(question)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let Ok(length) = socket.recv(&mut buffer) else { break };
            if let Some(answer) = buffer.get(..length).and_then(&read) {
                return Ok(Some(answer));
            }
        }
    }
    Ok(None)
}

/// By which address clients reach us, and what stands in front of it.
pub(super) fn addresses(config: &Config, public: Option<io::Result<SocketAddr>>) -> Vec<Line> {
    const CHECK: &str = "address";
    let own = listening_address(config);
    let behind_nat = "the router in front must forward UDP 500 and UDP 4500 to this host (never 1701)\n\
         Windows clients need AssumeUDPEncapsulationContextOnSendRule = 2 in their registry (docs/clients.md#windows)";
    let line = match public {
        Some(Ok(seen)) if seen.ip() == IpAddr::V4(own) => {
            Line::ok(CHECK, format!("clients dial {own}; the Internet sees the same address"))
        }
        Some(Ok(seen)) => Line::warn(
            CHECK,
            format!("a NAT is in front: this host has {own}, the Internet sees {}", seen.ip()),
            behind_nat,
        ),
        Some(Err(error)) => Line::warn(
            CHECK,
            format!("this host has {own}; the STUN server gave no answer: {error}"),
            "another one with --stun, or look whether UDP gets out at all",
        ),
        None if host::is_private(IpAddr::V4(own)) => Line::warn(
            CHECK,
            format!("{own} is a private address: from outside, a NAT is in front"),
            behind_nat,
        ),
        None => Line::ok(CHECK, format!("clients dial {own} (--stun SERVER asks how the Internet sees it)")),
    };
    vec![line]
}

/// Whether the name that clients have been given leads here.
pub(super) fn name(config: &Config, name: &str) -> Line {
    const CHECK: &str = "name";
    let own = listening_address(config);
    match look_up(&format!("{name}:500")) {
        Err(error) => Line::fail(
            CHECK,
            format!("{name} cannot be looked up: {error}"),
            "an A record with the address that clients dial",
        ),
        Ok(found) if found.is_empty() => Line::fail(
            CHECK,
            format!("{name} has no IPv4 address"),
            "an A record with the address that clients dial",
        ),
        Ok(found) => {
            let list = listed(&found.iter().map(SocketAddr::ip).collect::<Vec<_>>());
            if found.iter().any(|address| address.ip() == IpAddr::V4(own)) {
                Line::ok(CHECK, format!("{name} is {list}"))
            } else if host::is_private(IpAddr::V4(own)) {
                Line::ok(CHECK, format!("{name} is {list}, which must be the router's outer address"))
            } else {
                Line::fail(CHECK, format!("{name} is {list}, and this host is {own}"), "correct the A record")
            }
        }
    }
}

/// The way out: its gateway, and how large its packets may be.
pub(super) fn uplink() -> Vec<Line> {
    const CHECK: &str = "uplink";
    let Some((interface, gateway)) = host::default_route() else {
        return vec![Line::warn(
            CHECK,
            "this host has no default route: clients reach what it reaches, and no Internet",
            "ip route add default via GATEWAY, if the Internet is wanted",
        )];
    };
    let mut lines = Vec::new();
    lines.push(if gateway.is_unspecified() {
        Line::ok(CHECK, format!("the default route leads into {interface}"))
    } else {
        match ping(gateway) {
            Ok(Some(time)) => {
                let found =
                    format!("gateway {gateway} on {interface} answers in {:.1} ms", time.as_secs_f64() * 1e3);
                Line::ok(CHECK, found)
            }
            // It may not want to answer; that it answers ARP is enough.
            Ok(None) if host::has_neighbour(gateway) => {
                Line::ok(CHECK, format!("gateway {gateway} on {interface} is there (it answers no ping)"))
            }
            Ok(None) => Line::fail(
                CHECK,
                format!("gateway {gateway} on {interface} does not answer"),
                "cable, VLAN, or a wrong address: ip route; ip neighbour",
            ),
            Err(_) => Line::ok(
                CHECK,
                format!("gateway {gateway} on {interface} (not tried: that takes CAP_NET_RAW)"),
            ),
        }
    });
    let mtu = fs::read_to_string(format!("/sys/class/net/{interface}/mtu"));
    if let Some(mtu) = mtu.ok().and_then(|text| text.trim().parse::<u32>().ok()) {
        const CHECK: &str = "mtu";
        lines.push(if mtu >= 1492 {
            Line::ok(CHECK, format!("{interface} carries {mtu} bytes"))
        } else {
            Line::warn(
                CHECK,
                format!("{interface} carries {mtu} bytes: large packets of clients are fragmented"),
                format!("ppp.mru: {} or less avoids it", mtu.saturating_sub(100).max(576)),
            )
        });
    }
    lines
}

/// The gateway's own access to the Internet, as far as it can be seen without asking anybody that this host does not ask
/// anyway: can its own name servers find those of the root?
pub(super) fn internet() -> Line {
    const CHECK: &str = "internet";
    let servers = host::own_name_servers();
    if servers.is_empty() {
        return Line::warn(CHECK, "this host has no name server", "nameserver ADDRESS in /etc/resolv.conf");
    }
    match servers.iter().find(|server| resolves(**server)) {
        Some(server) => Line::ok(CHECK, format!("this host's name server {server} finds those of the root")),
        None => Line::warn(
            CHECK,
            format!("no name server of this host answers ({})", listed(&servers)),
            "this host's own Internet access: ip route; ping of something outside; /etc/resolv.conf",
        ),
    }
}

/// Whether a name server answers.
fn resolves(server: impl Into<IpAddr>) -> bool {
    let id = u16::from_be_bytes(Entropy::from_system().map_or([0x53; 2], |mut entropy| entropy.array()));
    let to = SocketAddr::from((server.into(), 53));
    let answered = ask(to, &probe::dns_query(id), |message| probe::is_dns_answer(message, id).then_some(()));
    matches!(answered, Ok(Some(())))
}

fn listed<T: ToString>(things: &[T]) -> String {
    things.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// The name servers that clients are given.
pub(super) fn name_servers(config: &Config) -> Line {
    const CHECK: &str = "dns";
    let mut servers: Vec<Ipv4Addr> = Vec::new();
    let mut inside = false;
    for hub in &config.hubs {
        match &hub.dhcp.dns {
            Dns::Servers(listed) => {
                servers.extend(listed.iter().filter(|server| !hub.network.contains(**server)));
                inside |= listed.iter().any(|server| hub.network.contains(*server));
            }
            Dns::OfHost => {
                servers.extend(host::name_servers());
            }
        }
    }
    servers.sort_unstable();
    servers.dedup();
    if servers.is_empty() && inside {
        return Line::ok(
            CHECK,
            "those that clients are given are inside their hubs, where the self-connect asks them",
        );
    }
    if servers.is_empty() {
        return Line::warn(CHECK, "clients are given no name server", "dhcp: { dns: [ADDRESS] } at the hub");
    }
    let (good, bad): (Vec<Ipv4Addr>, Vec<_>) = servers.into_iter().partition(|server| resolves(*server));
    if bad.is_empty() {
        Line::ok(CHECK, format!("{} answers", listed(&good)))
    } else if good.is_empty() {
        Line::fail(
            CHECK,
            format!("the name servers that clients are given do not answer: {}", listed(&bad)),
            "this host's own Internet access, or dhcp.dns",
        )
    } else {
        Line::warn(
            CHECK,
            format!("{} does not answer, {} does", listed(&bad), listed(&good)),
            "dhcp.dns without it",
        )
    }
}

/// How long an answer took; `None` without one.
fn ping(to: Ipv4Addr) -> io::Result<Option<Duration>> {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    socket.connect(&SocketAddr::from((to, 0)).into())?;
    let id = u16::try_from(std::process::id() & 0xffff).unwrap_or(1);
    let mut buffer = [0; 2048];
    for number in 0..TRIES {
        let began = Instant::now();
        socket.send(&probe::echo_request(id, number))?;
        loop {
            let left = PATIENCE.saturating_sub(began.elapsed());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left))?;
            let Ok(length) = socket.read(&mut buffer) else { break };
            let reply = buffer.get(..length).and_then(probe::echo_reply_from);
            if reply == Some((to, id, number)) {
                return Ok(Some(began.elapsed()));
            }
        }
    }
    Ok(None)
}
