//! The network between clients and gateway: packets, lines, NATs, and a record of what passed.

pub mod line;
pub mod nat;
pub mod pcap;

use sekisho::packet::{Encap, PacketBuf, Path};
use sekisho::wire::isakmp::Header;
use sekisho::wire::natt;
use std::net::SocketAddr;

pub const IKE_PORT: u16 = 500;
pub const NAT_T_PORT: u16 = 4500;
pub const L2TP_PORT: u16 = 1701;

/// What an IP packet of the outside carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    Udp,
    /// Ports are zero.
    Esp,
}

/// A datagram on the outside.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    pub proto: Proto,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

impl Packet {
    pub fn udp(from: &str, to: &str, bytes: &[u8]) -> Self {
        Self {
            proto: Proto::Udp,
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            bytes: bytes.to_vec(),
        }
    }

    /// What a transmit becomes on the wire.
    pub fn sent(path: Path, buf: &PacketBuf) -> Self {
        let proto = if path.encap == Encap::Esp { Proto::Esp } else { Proto::Udp };
        Self { proto, from: path.local, to: path.remote, bytes: buf.to_vec() }
    }

    /// The way as the receiver sees it; `server` is the gateway's end. `None` for ports that nobody serves.
    pub fn path(&self, server: SocketAddr) -> Option<Path> {
        let encap = match (self.proto, server.port()) {
            (Proto::Esp, _) => Encap::Esp,
            (Proto::Udp, IKE_PORT) => Encap::Ike,
            (Proto::Udp, NAT_T_PORT) => Encap::NatT,
            (Proto::Udp, L2TP_PORT) => Encap::L2tp,
            (Proto::Udp, _) => return None,
        };
        Some(Path { encap, local: self.to, remote: self.from })
    }

    fn has_port(&self, port: u16) -> bool {
        self.proto == Proto::Udp && (self.from.port() == port || self.to.port() == port)
    }

    /// The bare ISAKMP message, if it is one. (Of the two ends the gateway's is known by its port, so a NAT in between
    /// does no harm.)
    pub fn ike(&self) -> Option<&[u8]> {
        if self.has_port(NAT_T_PORT) {
            return match natt::classify(&self.bytes) {
                Ok(natt::Class::Ike(message)) => Some(message),
                _ => None,
            };
        }
        self.has_port(IKE_PORT).then_some(&self.bytes)
    }

    pub fn ike_header(&self) -> Option<Header> {
        Header::parse(self.ike()?).ok().map(|(header, _)| header)
    }

    /// The ESP packet, if it is one.
    pub fn esp(&self) -> Option<&[u8]> {
        if self.proto == Proto::Esp {
            return Some(&self.bytes);
        }
        if !self.has_port(NAT_T_PORT) {
            return None;
        }
        match natt::classify(&self.bytes) {
            Ok(natt::Class::Esp(_, packet)) => Some(packet),
            _ => None,
        }
    }

    /// Length on the wire, IP header included.
    pub fn wire_len(&self) -> usize {
        self.bytes.len() + 20 + if self.proto == Proto::Udp { 8 } else { 0 }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = if let Some(header) = self.ike_header() {
            format!("{} message {:08x}", header.exchange, header.message_id.0)
        } else if self.esp().is_some() {
            "ESP".to_owned()
        } else {
            "datagram".to_owned()
        };
        write!(f, "{} -> {} {what}, {} bytes", self.from, self.to, self.bytes.len())
    }
}
