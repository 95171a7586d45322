//! Opens the ports that the configuration asks for, and explains what stands in the way.

use super::ports::PortError;
use super::udp::UdpSocket;
use crate::config::Config;
use crate::packet::Encap;
use std::net::SocketAddr;

/// The sockets of one worker.
pub(super) struct Bound {
    pub(super) sockets: Vec<UdpSocket>,
    /// Whether plain ESP can be received: if not, clients are made to use UDP.
    pub(super) raw_esp: bool,
}

/// Binds every address and port. Several workers share ports; the first alone has the raw ESP socket, which the kernel
/// would otherwise copy every packet to.
pub(super) fn bind_all(config: &Config, first: bool, reuse_port: bool) -> anyhow::Result<Bound> {
    let listen = &config.listen;
    let mut sockets = Vec::new();
    let mut raw_esp = listen.l2tp_ipsec;
    for &address in &listen.addresses {
        let mut wanted = Vec::new();
        if listen.l2tp_ipsec {
            wanted.push((listen.ports.ike, Encap::Ike));
            wanted.push((listen.ports.nat_t, Encap::NatT));
        }
        wanted.push((listen.ports.l2tp, Encap::L2tp));
        for (port, encap) in wanted {
            let at = SocketAddr::new(address, port);
            match UdpSocket::bind(at, encap, reuse_port) {
                Ok(socket) => sockets.push(socket),
                // Clear-text L2TP that is off is listened to only so that its attempts can be explained.
                Err(error) if encap == Encap::L2tp && !listen.raw_l2tp => {
                    tracing::warn!(%at, %error, "clear-text L2TP cannot be watched for");
                }
                Err(error) => return Err(PortError::explain(at, error).into()),
            }
        }
        if listen.l2tp_ipsec && first {
            match UdpSocket::bind(SocketAddr::new(address, 0), Encap::Esp, false) {
                Ok(socket) => sockets.push(socket),
                Err(error) => {
                    tracing::warn!(%address, %error, "no raw ESP socket: clients without NAT are made to use UDP 4500");
                    raw_esp = false;
                }
            }
        }
    }
    Ok(Bound { sockets, raw_esp })
}
