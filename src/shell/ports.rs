//! Who holds a port that we want: `Address already in use` is no help, "charon (strongSwan), process 812" is.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// A UDP port that could not be opened.
#[derive(Debug)]
pub struct PortError {
    /// The address and port.
    pub wanted: SocketAddr,
    /// What the system said.
    pub error: io::Error,
    /// Who has it, as far as can be seen.
    pub holder: Option<Holder>,
}

/// The process behind a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its number, when we may see it.
    pub process: Option<u32>,
    /// Its name, when we may see it.
    pub name: Option<String>,
    /// The address that it listens on.
    pub listens_on: SocketAddr,
}

impl PortError {
    /// Explains why `wanted` could not be opened.
    #[must_use]
    pub fn explain(wanted: SocketAddr, error: io::Error) -> Self {
        let taken = error.kind() == io::ErrorKind::AddrInUse;
        Self { wanted, error, holder: if taken { udp_holder(wanted) } else { None } }
    }

    /// What to do about it, when that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self.error.kind() {
            io::ErrorKind::AddrInUse => {
                Some(match self.holder.as_ref().and_then(|holder| holder.name.as_deref()) {
                    Some(name) => match known(name) {
                        Some((what, remedy)) => format!("{name} is {what}: {remedy}"),
                        None => format!("stop {name}, or give each its own address with listen.addresses"),
                    },
                    None if self.holder.is_some() => {
                        "the process cannot be seen from here; as root: ss -ulpn".to_owned()
                    }
                    None => "ss -ulpn lists who listens where".to_owned(),
                })
            }
            io::ErrorKind::AddrNotAvailable => Some(
                "listen.addresses has an address that this host does not have (`ip address` lists them)"
                    .to_owned(),
            ),
            io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need the right CAP_NET_BIND_SERVICE".to_owned())
            }
            _ => None,
        }
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, error, holder } = self;
        match holder {
            Some(Holder { process, name, listens_on }) => {
                write!(f, "UDP port {} is taken: ", wanted.port())?;
                match (name, process) {
                    (Some(name), Some(process)) => write!(f, "{name} (process {process})")?,
                    (None, Some(process)) => write!(f, "process {process}")?,
                    _ => f.write_str("a process of another user, or the kernel,")?,
                }
                write!(f, " listens on {listens_on}")?;
            }
            None => write!(f, "cannot open UDP {wanted}: {error}")?,
        }
        match self.hint() {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The system's own words are part of the message: there is no `source` that would repeat them.
impl std::error::Error for PortError {}

/// The usual suspects: what the process is, and how it is stopped.
fn known(name: &str) -> Option<(&'static str, &'static str)> {
    let entry = match name {
        "charon" | "charon-systemd" | "starter" => (
            "strongSwan",
            "sudo systemctl stop strongswan strongswan-starter, or run the two on different addresses",
        ),
        "pluto" => ("libreswan", "sudo systemctl stop ipsec, or run the two on different addresses"),
        "racoon" => ("ipsec-tools", "sudo systemctl stop racoon"),
        "iked" => ("OpenIKED", "sudo systemctl stop iked"),
        "xl2tpd" => ("an L2TP server; Sekisho has its own", "sudo systemctl stop xl2tpd"),
        "accel-pppd" => ("accel-ppp", "sudo systemctl stop accel-ppp"),
        "vpnserver" => (
            "SoftEther VPN Server",
            "switch its L2TP off (vpncmd: IPsecEnable), or sudo systemctl stop vpnserver",
        ),
        "vpnbridge" => ("SoftEther VPN Bridge", "sudo systemctl stop vpnbridge"),
        "sekisho" => ("another Sekisho", "stop it, or give each its own address with listen.addresses"),
        _ => return None,
    };
    Some(entry)
}

/// The socket that stands in the way of `wanted`, and the process that has it.
#[must_use]
pub fn udp_holder(wanted: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
    let sockets =
        tables.into_iter().flat_map(|table| parse_sockets(&fs::read_to_string(table).unwrap_or_default()));
    let (listens_on, inode) = sockets.into_iter().find(|(address, _)| in_the_way(*address, wanted))?;
    let process = (inode != 0).then(|| process_with(inode)).flatten();
    let name = process.and_then(|process| fs::read_to_string(format!("/proc/{process}/comm")).ok());
    Some(Holder { process, name: name.map(|name| name.trim().to_owned()), listens_on })
}

/// Two sockets collide when their ports are equal and their addresses are, or when one listens on every address.
fn in_the_way(taken: SocketAddr, wanted: SocketAddr) -> bool {
    let every = |address: IpAddr| address.is_unspecified();
    taken.port() == wanted.port()
        && match (taken.ip(), wanted.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                taken.ip() == wanted.ip() || every(taken.ip()) || every(wanted.ip())
            }
            // An IPv6 socket on `::` takes IPv4 as well, unless told not to.
            _ => every(taken.ip()) || every(wanted.ip()),
        }
}

/// `/proc/net/udp`: number, local address, remote address, state, …, the inode in the tenth column. Addresses are 32-bit
/// words in this machine's byte order.
fn parse_sockets(table: &str) -> Vec<(SocketAddr, u64)> {
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = columns.get(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
        let ip = if address.len() == 8 {
            IpAddr::V4(Ipv4Addr::from(word(0)?))
        } else {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?))
        };
        Some((SocketAddr::new(ip, port), columns.get(9)?.parse().ok()?))
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// The process with an open file that is this socket. Other users' files are only shown to root.
fn process_with(inode: u64) -> Option<u32> {
    let socket = format!("socket:[{inode}]");
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut holders = processes.filter(|process| {
        let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files
            .into_iter()
            .any(|file| fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == socket.as_str()))
    });
    holders.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn the_holder_of_a_port_is_found() {
        let ours = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = ours.local_addr().unwrap();
        let error = PortError::explain(taken, UdpSocket::bind(taken).unwrap_err());
        let holder = error.holder.clone().unwrap();
        assert_eq!((holder.process, holder.listens_on), (Some(std::process::id()), taken));
        let said = error.to_string();
        assert!(said.contains(&format!("UDP port {} is taken", taken.port())), "{said}");
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
        assert!(said.contains("hint: "), "{said}");

        let any = SocketAddr::from(([0, 0, 0, 0], taken.port()));
        assert_eq!(udp_holder(any).unwrap().listens_on, taken, "every address includes this one");
        drop(ours);
        assert_eq!(udp_holder(taken), None);
    }

    #[test]
    fn an_ipv6_socket_on_every_address_is_in_the_way_of_ipv4() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(in_the_way(at("[::]:500"), at("0.0.0.0:500")));
        assert!(in_the_way(at("0.0.0.0:500"), at("192.0.2.1:500")));
        assert!(!in_the_way(at("192.0.2.2:500"), at("192.0.2.1:500")));
        assert!(!in_the_way(at("192.0.2.1:501"), at("192.0.2.1:500")));
    }

    #[test]
    fn known_programs_come_with_a_remedy() {
        let holder = Holder {
            process: Some(812),
            name: Some("charon".to_owned()),
            listens_on: SocketAddr::from(([0, 0, 0, 0], 500)),
        };
        let wanted = SocketAddr::from(([0, 0, 0, 0], 500));
        let error = PortError { wanted, error: io::ErrorKind::AddrInUse.into(), holder: Some(holder) };
        insta::assert_snapshot!(error.to_string(), @r"
        UDP port 500 is taken: charon (process 812) listens on 0.0.0.0:500
            hint: charon is strongSwan: sudo systemctl stop strongswan strongswan-starter, or run the two on different addresses
        ");
        let error = PortError { wanted, error: io::ErrorKind::AddrNotAvailable.into(), holder: None };
        insta::assert_snapshot!(error.to_string(), @r"
        cannot open UDP 0.0.0.0:500: address not available
            hint: listen.addresses has an address that this host does not have (`ip address` lists them)
        ");
    }
}
