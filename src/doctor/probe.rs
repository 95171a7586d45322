//! The packets that the self-connect sends through its tunnel: a ping, a question to a name server.

use crate::packet::PacketBuf;
use crate::wire::inet::{self, ECHO_REPLY, ECHO_REQUEST, Ipv4, Protocol};
use std::net::Ipv4Addr;

/// An ICMP echo request (RFC 792) without its IP header.
#[must_use]
pub fn echo_request(id: u16, number: u16) -> Vec<u8> {
    let mut bytes = vec![ECHO_REQUEST, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend([0xa5; 56]);
    let checksum = inet::fold(inet::add(0, &bytes));
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// The same as an IP packet.
#[must_use]
pub fn ping(from: Ipv4Addr, to: Ipv4Addr, id: u16, number: u16) -> PacketBuf {
    let mut buf = PacketBuf::from_slice(&echo_request(id, number));
    inet::put_ipv4(&mut buf, Protocol::ICMP, from, to);
    buf
}

/// Identifier and number, if this ICMP message is an echo reply.
#[must_use]
pub fn echo_reply(message: &[u8]) -> Option<(u16, u16)> {
    match *message {
        [ECHO_REPLY, _, _, _, i0, i1, n0, n1, ..] => {
            Some((u16::from_be_bytes([i0, i1]), u16::from_be_bytes([n0, n1])))
        }
        _ => None,
    }
}

/// Who answers, and to what, if this IP packet is an echo reply.
#[must_use]
pub fn echo_reply_from(packet: &[u8]) -> Option<(Ipv4Addr, u16, u16)> {
    let ip = Ipv4::parse(packet).ok()?;
    let (id, number) = (ip.protocol == Protocol::ICMP).then(|| echo_reply(ip.payload))??;
    Some((ip.source, id, number))
}

/// A question for the name servers of the root (RFC 1035 section 4): every server that resolves names can answer it.
#[must_use]
pub fn dns_query(id: u16) -> Vec<u8> {
    let mut query = id.to_be_bytes().to_vec();
    // Recursion desired, one question: the root, NS, IN.
    query.extend([0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1]);
    query
}

/// Whether `message` answers the question with this ID without an error.
#[must_use]
pub fn is_dns_answer(message: &[u8], id: u16) -> bool {
    matches!(*message, [i0, i1, flags, code, _, _, _, _, _, _, _, _, ..]
        if u16::from_be_bytes([i0, i1]) == id && flags & 0x80 != 0 && code & 0x0f == 0)
}

/// Who answers the question with this ID, if this IP packet is an answer.
#[must_use]
pub fn dns_answer_from(packet: &[u8], id: u16) -> Option<Ipv4Addr> {
    let ip = Ipv4::parse(packet).ok()?;
    let udp = ip.udp().filter(|udp| udp.source == 53)?;
    is_dns_answer(udp.payload, id).then_some(ip.source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_finds_its_reply() {
        let (a, b) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let mut reply = ping(b, a, 7, 3).to_vec();
        assert_eq!(echo_reply_from(&reply), None);
        reply[20] = ECHO_REPLY;
        assert_eq!(echo_reply_from(&reply), Some((b, 7, 3)));
        assert_eq!(inet::fold(inet::add(0, &echo_request(7, 3))), 0);
    }

    #[test]
    fn an_answer_is_told_from_a_refusal() {
        let mut answer = dns_query(0x1234);
        assert!(!is_dns_answer(&answer, 0x1234));
        answer[2] |= 0x80;
        assert!(is_dns_answer(&answer, 0x1234) && !is_dns_answer(&answer, 0x1235));
        answer[3] = 0x85;
        assert!(!is_dns_answer(&answer, 0x1234), "refused");
        assert!(!is_dns_answer(&answer[..11], 0x1234));
    }
}
