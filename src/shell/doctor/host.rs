//! This host: ports, rights, kernel, packet filter, clock.

use super::super::net_setup;
use super::super::ports::{PortError, udp_holder};
use super::super::privileges::Privileges;
use super::super::usernat;
use super::Running;
use crate::config::{AddressRange, Config, Uplink};
use crate::doctor::{Line, filter};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::{fs, io};

fn wanted_ports(config: &Config) -> Vec<SocketAddr> {
    let listen = &config.listen;
    let ipsec = [listen.ports.ike, listen.ports.nat_t].into_iter().filter(|_| listen.l2tp_ipsec);
    let ports: Vec<u16> = ipsec.chain(Some(listen.ports.l2tp).filter(|_| listen.raw_l2tp)).collect();
    let at = |address| ports.iter().map(move |port| SocketAddr::new(address, *port)).collect::<Vec<_>>();
    listen.addresses.iter().copied().flat_map(at).collect()
}

/// Each port: open by our own gateway when it runs, free when it does not.
pub(super) fn ports(config: &Config, running: Option<&Running>) -> Vec<Line> {
    const CHECK: &str = "ports";
    let judge = |wanted: SocketAddr| {
        let holder = udp_holder(wanted);
        // What cannot be seen from here is believed to be the gateway.
        let gateway = running.and_then(|running| running.process);
        let seen = gateway.zip(holder.as_ref().and_then(|holder| holder.process));
        let ours = seen.is_none_or(|(gateway, holder)| gateway == holder);
        match (running.is_some(), holder) {
            (true, Some(_)) if ours => Line::ok(CHECK, format!("the gateway listens on UDP {wanted}")),
            (true, None) => Line::fail(
                CHECK,
                format!("a gateway runs, and nothing listens on UDP {wanted}"),
                "it runs with other ports or in another network namespace: compare `listen` of its file",
            ),
            (_, Some(_)) => {
                let error = PortError::explain(wanted, io::ErrorKind::AddrInUse.into());
                let remedy = error.hint().unwrap_or_else(|| "ss -ulpn".to_owned());
                let found = error.to_string();
                Line::fail(CHECK, found.lines().next().unwrap_or_default(), remedy)
            }
            (false, None) => match UdpSocket::bind(wanted) {
                Ok(_) => Line::ok(CHECK, format!("UDP {wanted} is free")),
                Err(error) => {
                    let error = PortError::explain(wanted, error);
                    let remedy = error.hint().unwrap_or_else(|| "see `listen`".to_owned());
                    let found = error.to_string();
                    Line::fail(CHECK, found.lines().next().unwrap_or_default(), remedy)
                }
            },
        }
    };
    wanted_ports(config).into_iter().map(judge).collect()
}

/// What this process lacks; a gateway that runs has shown that it has enough.
pub(super) fn capabilities(config: &Config, running: bool) -> Vec<Line> {
    const CHECK: &str = "rights";
    let missing = Privileges::of_this_process().missing(config);
    if running && missing.iter().any(|need| need.without.is_none()) {
        return vec![Line::warn(
            CHECK,
            "the gateway runs; this command has fewer rights than it, so some lines are guesses",
            "run it as root: sudo sekisho doctor",
        )];
    }
    if missing.is_empty() {
        return vec![Line::ok(CHECK, "everything that this configuration needs is granted")];
    }
    let line = |need: super::super::privileges::Need| {
        let remedy = "sudo, or sudo setcap cap_net_bind_service,cap_net_admin,cap_net_raw+ep sekisho";
        let found = format!("{} is needed to {}", need.capability, need.purpose);
        match need.without {
            Some(loss) => Line::warn(CHECK, format!("{found}; without it {loss}"), remedy),
            None => Line::fail(CHECK, found, remedy),
        }
    };
    missing.into_iter().map(line).collect()
}

/// What the kernel and the host's programs must have.
pub(super) fn kernel(config: &Config) -> Vec<Line> {
    const CHECK: &str = "kernel";
    let mut lines = Vec::new();
    let wants_tap = {
        let tap = |hub: &crate::config::Hub| {
            matches!(hub.uplink, Uplink::Nat | Uplink::Tap(_) | Uplink::Bridge { .. })
        };
        config.hubs.iter().any(tap)
    };
    if wants_tap && !Path::new("/dev/net/tun").exists() {
        lines.push(Line::fail(
            CHECK,
            "there is no /dev/net/tun, so no uplink can be made",
            "sudo modprobe tun; in a container: --device /dev/net/tun",
        ));
    }
    if config.hubs.iter().any(|hub| hub.uplink == Uplink::Nat) {
        match net_setup::ruleset() {
            Ok(_) => {}
            Err(error) => {
                let text = error.to_string();
                let (found, remedy) = text.split_once("\n    hint: ").unwrap_or((&text, "install nftables"));
                lines.push(Line::fail(CHECK, found, remedy));
            }
        }
    }
    if config.hubs.iter().any(|hub| hub.uplink == Uplink::UserNat)
        && let Err(error) = usernat::ping_socket()
    {
        lines.push(Line::warn(
            CHECK,
            format!("pings of clients go nowhere through `uplink: usernat`: no ping sockets here ({error})"),
            "sudo sysctl -w net.ipv4.ping_group_range='0 2147483647' (in a container: --sysctl)",
        ));
    }
    if lines.is_empty() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        lines.push(Line::ok(CHECK, format!("Linux {} has what is needed", release.trim())));
    }
    lines
}

pub(super) fn forwarding(config: &Config, running: bool) -> Option<Line> {
    const CHECK: &str = "forwarding";
    let nat = config.hubs.iter().filter(|hub| hub.uplink.is_nat());
    let taps: Vec<String> = nat.map(|hub| super::super::uplinks::tap_name(&hub.name)).collect();
    if taps.is_empty() {
        return None;
    }
    // The kernel asks the interface that a packet came in on: clients' the TAP, answers the way out.
    let way_out = crate::shell::host::default_route().map(|(interface, _)| interface);
    let forwards = |interface: &String| {
        let file = format!("/proc/sys/net/ipv4/conf/{interface}/forwarding");
        fs::read_to_string(file).is_ok_and(|value| value.trim() == "1")
    };
    let shut: Vec<String> = taps.into_iter().chain(way_out).filter(|name| !forwards(name)).collect();
    Some(match (shut.is_empty(), running) {
        (true, _) => Line::ok(CHECK, "this host forwards IPv4 between the hubs and the way out"),
        (false, false) => Line::ok(CHECK, "off until the gateway starts, which switches it on"),
        (false, true) => Line::fail(
            CHECK,
            format!(
                "somebody has switched forwarding off on {}: clients reach the gateway and nothing behind it",
                shut.join(", ")
            ),
            format!(
                "{}, and look into /etc/sysctl.d for who does it",
                shut.iter()
                    .map(|name| format!("sudo sysctl -w net/ipv4/conf/{name}/forwarding=1"))
                    .collect::<Vec<_>>()
                    .join("; ")
            ),
        ),
    })
}

/// Rules of others that drop what ours accepts.
pub(super) fn packet_filter(config: &Config) -> Vec<Line> {
    let Ok(ruleset) = net_setup::ruleset() else { return Vec::new() };
    let nat: Vec<_> = config.hubs.iter().filter(|hub| hub.uplink == Uplink::Nat).collect();
    let listen = &config.listen;
    let ipsec = [listen.ports.ike, listen.ports.nat_t].into_iter().filter(|_| listen.l2tp_ipsec);
    let ours = filter::Ours {
        table_prefix: net_setup::TABLE_PREFIX,
        ports: ipsec.chain(Some(listen.ports.l2tp).filter(|_| listen.raw_l2tp)).collect(),
        taps: nat.iter().map(|hub| super::super::uplinks::tap_name(&hub.name)).collect(),
        networks: nat.iter().map(|hub| hub.network.to_string()).collect(),
    };
    filter::judge(&ruleset, &ours)
}

/// Keys that end and accounts that expire go by the clock.
pub(super) fn clock() -> Line {
    const CHECK: &str = "clock";
    let now = super::super::config_file::unix_now();
    let shown = crate::story::utc(now);
    if now < 1_760_000_000 {
        return Line::fail(
            CHECK,
            format!("it is {shown} here, which cannot be"),
            "set the clock: sudo timedatectl set-ntp true",
        );
    }
    let said = Command::new("timedatectl").args(["show", "-p", "NTPSynchronized", "--value"]).output();
    match said {
        Ok(output) if output.stdout.starts_with(b"no") => Line::warn(
            CHECK,
            format!("{shown}, not synchronised"),
            "sudo timedatectl set-ntp true, or install chrony",
        ),
        Ok(output) if output.stdout.starts_with(b"yes") => Line::ok(CHECK, format!("{shown}, synchronised")),
        _ => Line::ok(CHECK, format!("{shown} (whether it is synchronised cannot be seen here)")),
    }
}

/// Hubs whose addresses run out.
pub(super) fn pools(running: &Running) -> Vec<Line> {
    const CHECK: &str = "addresses";
    let line = |(hub, held, range): &(String, usize, String)| {
        let size = range.parse::<AddressRange>().map_or(usize::MAX, |range| {
            usize::try_from(range.last().to_bits() - range.first().to_bits()).unwrap_or(usize::MAX) + 1
        });
        let found = format!("hub {hub}: {held} of {size} addresses are held");
        let remedy = "a larger dhcp.range, or a shorter dhcp.lease";
        match size.saturating_sub(*held) {
            0 => Line::fail(CHECK, found, remedy),
            free if free < size / 10 => Line::warn(CHECK, found, remedy),
            _ => Line::ok(CHECK, found),
        }
    };
    running.hubs.iter().map(line).collect()
}

/// People who look for a server ping it first.
pub(super) fn answers_ping() -> Line {
    const CHECK: &str = "ping";
    let ignores = fs::read_to_string("/proc/sys/net/ipv4/icmp_echo_ignore_all");
    if ignores.is_ok_and(|value| value.trim() == "1") {
        return Line::warn(
            CHECK,
            "this host answers no ping, so nobody can use ping to find out whether it is reachable",
            "sudo sysctl -w net.ipv4.icmp_echo_ignore_all=0 (the VPN itself does not need it)",
        );
    }
    Line::ok(CHECK, "this host answers ping (a firewall in front may not let it through)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFacts, load};
    use crate::doctor::State;

    fn config(port: u16) -> Config {
        let text = format!(
            "listen: {{ addresses: [127.0.0.1], ports: {{ ike: {port}, nat_t: {} }} }}\n\
             ipsec: {{ psk: 'a long pre-shared key for everybody' }}\nhubs: {{ H: {{ network: 10.60.0.0/24 }} }}",
            port.wrapping_add(1).max(1)
        );
        let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
        load(&text, &facts).unwrap_or_else(|report| panic!("{report}")).config
    }

    /// The gateway may be called anything, and not everything that is called so is this gateway.
    #[test]
    fn the_process_that_answers_is_the_one_that_has_the_ports() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let config = config(socket.local_addr().unwrap().port());
        let own = std::process::id();
        let state = |running: Option<&Running>| ports(&config, running).into_iter().next().unwrap().state;
        let running = |process| Running { socket: "/nowhere".into(), process, hubs: Vec::new() };
        assert_eq!(state(Some(&running(Some(own)))), State::Ok);
        assert_eq!(state(Some(&running(None))), State::Ok, "it cannot be seen");
        assert_eq!(state(Some(&running(Some(own + 1)))), State::Fail);
        assert_eq!(state(None), State::Fail);
    }

    #[test]
    fn a_control_socket_names_its_process() {
        let path = std::env::temp_dir().join(format!("sekisho-peer-{}.sock", std::process::id()));
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(super::super::peer_process(&path), Some(std::process::id()));
        fs::remove_file(&path).unwrap();
        assert_eq!(super::super::peer_process(&path), None);
    }
}
