//! A client port whose address a DHCP server of the LAN gives: what it may say before it has one, and how its address
//! becomes known.

use super::fdb::{Value, host};
use super::{AssignError, Hub, Mac, PortId};
use crate::wire::dhcp::{CLIENT_PORT, SERVER_PORT};
use crate::wire::ether::{Arp, ArpOperation, EtherType, Frame};
use crate::wire::inet::Ipv4;
use std::net::Ipv4Addr;

/// What of a lease's talk a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Talk {
    /// A DHCP client's message.
    Dhcp,
    /// A probe whether somebody has the address (RFC 5227): it claims nothing.
    Probe,
}

/// Whether a frame is one that a DHCP client sends who has no address, or prolongs the one that it has.
pub(super) fn talk(mac: Mac, address: Option<Ipv4Addr>, bytes: &[u8], frame: &Frame<'_>) -> Option<Talk> {
    if frame.source != mac || !frame.is_untagged(bytes) {
        return None;
    }
    match frame.ethertype {
        EtherType::IPV4 => {
            let ip = Ipv4::parse(frame.payload).ok()?;
            let udp = ip.udp()?;
            let own = ip.source.is_unspecified() || Some(ip.source) == address;
            let ports = (udp.source, udp.destination) == (CLIENT_PORT, SERVER_PORT);
            (own && ports && !ip.more_fragments).then_some(Talk::Dhcp)
        }
        EtherType::ARP => {
            let arp = Arp::parse(frame.payload).ok()?;
            let probe = arp.operation == ArpOperation::REQUEST && arp.sender.is_unspecified();
            (probe && arp.sender_mac == mac).then_some(Talk::Probe)
        }
        _ => None,
    }
}

impl Hub {
    /// Notes the address that a DHCP server of the LAN gave to a client port.
    ///
    /// # Errors
    /// When it is another port's, or the hub's; nothing has changed then.
    pub fn assign_lan(&mut self, port: PortId, address: Ipv4Addr) -> Result<(), AssignError> {
        let record = self.ports.get(&port).ok_or(AssignError::NoPort)?;
        let mac = record.info.mac;
        record.client.as_ref().ok_or(AssignError::NoPort)?;
        let holder = self.tables.hosts.find(host(address)).map(Value);
        if holder.is_some_and(|holder| holder.flags().is_fixed() && holder.mac() != mac) {
            return Err(AssignError::Taken(address));
        }
        self.give_address(port, mac, address);
        Ok(())
    }
}
