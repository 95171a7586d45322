//! Opens the ports that the configuration asks for, and explains what stands in the way.

use super::ports::PortError;
use super::udp::UdpSocket;
use crate::config::Config;
use crate::packet::Encap;
use std::net::SocketAddr;

/// The sockets of all workers.
pub(super) struct Bound {
    /// A worker's in each place.
    pub(super) workers: Vec<Vec<UdpSocket>>,
    /// Whether plain ESP can be received: if not, clients are made to use UDP.
    pub(super) raw_esp: bool,
}

/// Binds every address and port for each of `count` workers. They share the ports of UDP. The raw ESP socket, which the
/// kernel would copy every packet to, is read by the first alone; the others send through it.
pub(super) fn bind_all(config: &Config, count: u8) -> anyhow::Result<Bound> {
    let mut raw_esp = config.listen.l2tp_ipsec;
    let mut workers = Vec::new();
    for _ in 0..count {
        workers.push(bind_udp(config, count > 1)?);
    }
    for &address in config.listen.addresses.iter().filter(|_| config.listen.l2tp_ipsec) {
        match UdpSocket::bind(SocketAddr::new(address, 0), Encap::Esp, false) {
            Ok(socket) => {
                let Some((first, others)) = workers.split_first_mut() else { continue };
                for sockets in others {
                    sockets.push(socket.sender()?);
                }
                first.push(socket);
            }
            Err(error) => {
                tracing::warn!(%address, %error, "no raw ESP socket: clients without NAT are made to use UDP 4500");
                raw_esp = false;
            }
        }
    }
    Ok(Bound { workers, raw_esp })
}

fn bind_udp(config: &Config, reuse_port: bool) -> anyhow::Result<Vec<UdpSocket>> {
    let listen = &config.listen;
    let mut sockets = Vec::new();
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
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileFacts, load};

    /// Which needs the right to open raw sockets; without it there is no plain ESP to send.
    #[test]
    fn every_worker_sends_by_every_way_and_one_reads_plain_esp() {
        let text = "
listen: { addresses: [127.0.0.1], ports: { ike: 30500, nat_t: 34500, l2tp: 31701 } }
ipsec: { psk: [\"a key for everybody, long enough\"] }
hubs: { A: { network: 10.60.0.0/24, uplink: none, users: { jiro: { password: jiro-pw-1 } } } }
";
        let facts = FileFacts { name: String::new(), mode: None, now: 1_780_000_000 };
        let config = load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config;
        let bound = bind_all(&config, 3).unwrap();
        for (n, sockets) in bound.workers.iter().enumerate() {
            for encap in [Encap::Ike, Encap::NatT, Encap::L2tp] {
                assert!(
                    sockets.iter().any(|socket| socket.encap() == encap && socket.listens()),
                    "{n} {encap:?}"
                );
            }
            let raw: Vec<_> = sockets.iter().filter(|socket| socket.encap() == Encap::Esp).collect();
            assert_eq!(raw.len(), usize::from(bound.raw_esp), "{n}");
            assert!(raw.iter().all(|socket| socket.listens() == (n == 0)), "{n}");
        }
    }
}
