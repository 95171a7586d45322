//! `sekisho doctor` looks at the host: files, sockets, other programs. What it means is judged in [`crate::doctor`].

mod host;
mod lan;
mod network;
pub mod self_connect;

use crate::config::Config;
use crate::doctor::{Line, Report, what_to_try_next};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// What is known before anything is looked at.
pub struct Examination<'a> {
    /// The configuration, when it can be used.
    pub config: &'a Config,
    /// The gateway that runs with it, if one does.
    pub running: Option<Running>,
    /// A STUN server to ask from outside, `host:port`.
    pub stun: Option<String>,
    /// The name under which clients reach the gateway.
    pub name: Option<String>,
}

/// A gateway that answers.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Its control socket.
    pub socket: PathBuf,
    /// Its process, where that can be seen from here.
    pub process: Option<u32>,
    /// Each hub with addresses held and the range that they come from.
    pub hubs: Vec<(String, usize, String)>,
}

/// Everything but the configuration itself and the self-connect.
#[must_use]
pub fn examine(examination: &Examination<'_>) -> Report {
    let Examination { config, running, stun, name } = examination;
    let mut lines = Vec::new();
    lines.extend(host::ports(config, running.as_ref()));
    lines.extend(host::capabilities(config, running.is_some()));
    lines.extend(host::kernel(config));
    lines.extend(host::forwarding(config, running.is_some()));
    lines.extend(host::packet_filter(config));
    lines.push(host::clock());
    lines.extend(running.iter().flat_map(host::pools));
    let public = stun.as_ref().map(|server| network::stun(server));
    lines.extend(network::addresses(config, public));
    lines.extend(name.iter().map(|name| network::name(config, name)));
    lines.extend(network::uplink());
    lines.push(network::internet());
    lines.push(network::name_servers(config));
    lines.extend(lan::dhcp_servers(config));
    lines.push(host::answers_ping());
    Report { lines }
}

/// The process that serves a control socket, as the kernel knows it; `None` if it is none of those that are seen from here
/// (another container's).
#[must_use]
pub fn peer_process(socket: &Path) -> Option<u32> {
    let stream = UnixStream::connect(socket).ok()?;
    let peer = getsockopt(&stream, PeerCredentials).ok()?;
    u32::try_from(peer.pid()).ok().filter(|process| *process != 0)
}

/// The lines after all others.
#[must_use]
pub fn epilogue() -> Line {
    what_to_try_next()
}

/// An IPv4 address and port of `text`, looked up if it is a name.
fn look_up(text: &str) -> std::io::Result<Vec<SocketAddr>> {
    use std::net::ToSocketAddrs as _;
    Ok(text.to_socket_addrs()?.filter(SocketAddr::is_ipv4).collect())
}

/// The first address of this host that a client may dial.
fn listening_address(config: &Config) -> Ipv4Addr {
    let addresses = config.listen.addresses.iter().copied();
    let named = addresses.filter(|address| !address.is_unspecified()).chain(super::host::likely_address());
    let v4 = |address| if let std::net::IpAddr::V4(address) = address { Some(address) } else { None };
    named.filter_map(v4).next().unwrap_or(Ipv4Addr::LOCALHOST)
}
