//! Addresses that a DHCP server of the LAN gives to its stations, read from its acknowledgements (RFC 2131 section 4.3.1)
//! as they pass: a station is known by its address before it first speaks. They count as much as what ARP claims, and
//! take nothing from clients or from the hub.

use super::fdb::Look;
use super::ingress::{Notice, Notices};
use super::policy::{SERVICE, to_dhcp_client};
use crate::wire::dhcp::{COOKIE, Code, ETHERNET, MessageType, REPLY, SERVER_PORT};
use crate::wire::ether::{EtherType, Frame, Mac};
use std::net::Ipv4Addr;

/// Bytes before the options: the fixed part and the cookie.
const HEADER: usize = 240;

/// Notes what an acknowledgement gives to a station that is known behind one of the hub's trunks.
#[inline]
pub(super) fn notice(look: &Look, frame: &Frame<'_>, notices: &mut Notices) {
    if frame.ethertype != EtherType::IPV4 || frame.vlan.is_some() {
        return;
    }
    let Some((address, mac)) = granted(frame.payload) else { return };
    let Some(station) = look.station(mac, 0).filter(|station| !station.flags().is_fixed()) else { return };
    if station.port() == SERVICE || look.host(address).is_some_and(|host| host.mac() == mac) {
        return;
    }
    notices.push(Notice::Host { port: station.port(), address, mac });
}

/// The address that an acknowledgement gives, and to whom. Nothing is allocated; options that continue in the fields of
/// file and server name (RFC 2132 section 9.3) hold no message type in practice.
fn granted(packet: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let (_, udp) =
        to_dhcp_client(packet).filter(|(ip, udp)| udp.source == SERVER_PORT && !ip.more_fragments)?;
    let (header, mut options) = udp.payload.split_first_chunk::<HEADER>()?;
    if header[0] != REPLY || (header[1], header[2]) != (ETHERNET, 6) || !header.ends_with(&COOKIE) {
        return None;
    }
    let kind = loop {
        match options {
            [0, rest @ ..] => options = rest,
            [code, 1, kind, ..] if Code(*code) == Code::MESSAGE_TYPE => break MessageType(*kind),
            [255, ..] => return None,
            [_, length, rest @ ..] => options = rest.get(usize::from(*length)..)?,
            _ => return None,
        }
    };
    let address = Ipv4Addr::from_octets([header[16], header[17], header[18], header[19]]);
    let mac = Mac(*header.get(28..34)?.first_chunk()?);
    (kind == MessageType::ACK && !address.is_unspecified() && mac.is_unicast()).then_some((address, mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dhcp::CLIENT_PORT;
    use crate::wire::inet::udp_packet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_options_are_survived(options in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut message = vec![0; HEADER];
            message[..3].copy_from_slice(&[REPLY, 1, 6]);
            message[236..].copy_from_slice(&COOKIE);
            message.extend(options);
            let from = (Ipv4Addr::LOCALHOST, SERVER_PORT);
            let _ = granted(&udp_packet(from, (Ipv4Addr::BROADCAST, CLIENT_PORT), &message));
        }
    }
}
