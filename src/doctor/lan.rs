//! Which DHCP servers a LAN has: the question, as a frame, and what the answers mean for a hub that is plugged into it.

use super::Line;
use crate::wire::dhcp::{BROADCAST, CLIENT_PORT, Code, Message, MessageType, SERVER_PORT};
use crate::wire::ether::{EtherType, Frame, Mac, header};
use crate::wire::inet::{Ipv4, udp_packet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Who asks: nobody's address, the same each time, so that servers do not set aside one after the other.
const ASKER: Mac = Mac([0x02, b's', b'k', b'd', b'h', b'c']);
const CHECK: &str = "LAN DHCP";

/// The answer of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Who answers.
    pub server: Ipv4Addr,
    /// What it would give.
    pub address: Ipv4Addr,
}

/// A DHCPDISCOVER (RFC 2131 section 4.4.1) as a broadcast frame.
#[must_use]
pub fn discover(transaction: u32) -> Vec<u8> {
    let message = Message { flags: BROADCAST, ..Message::request(transaction, ASKER, MessageType::DISCOVER) };
    let none = Ipv4Addr::UNSPECIFIED;
    let payload = message.emit(576);
    let mut packet = udp_packet((none, CLIENT_PORT), (Ipv4Addr::BROADCAST, SERVER_PORT), &payload);
    packet.put_front(&header(Mac::BROADCAST, ASKER, EtherType::IPV4));
    packet.to_vec()
}

/// The offer in a frame, if it is one to that question.
#[must_use]
pub fn offer(frame: &[u8], transaction: u32) -> Option<Offer> {
    let frame = Frame::parse(frame).ok().filter(|frame| frame.ethertype == EtherType::IPV4)?;
    let ip = Ipv4::parse(frame.payload).ok()?;
    let udp = ip.udp().filter(|udp| (udp.source, udp.destination) == (SERVER_PORT, CLIENT_PORT))?;
    let message = Message::parse(udp.payload).ok()?;
    let ours = message.xid == transaction && message.hardware() == ASKER.0;
    let server = message.address(Code::SERVER_ID).unwrap_or(ip.source);
    (ours && message.kind() == Some(MessageType::OFFER)).then_some(Offer { server, address: message.yiaddr })
}

/// What the offers mean for a hub: `range` is what it gives out itself; without one, it depends on the LAN's server.
#[must_use]
pub fn judge(hub: &str, interface: &str, range: Option<RangeInclusive<Ipv4Addr>>, offers: &[Offer]) -> Line {
    let servers = || offers.iter().map(|offer| offer.server.to_string()).collect::<Vec<_>>().join(", ");
    match range {
        None if offers.is_empty() => Line::fail(
            CHECK,
            format!("hub {hub} takes its addresses from the LAN, and no DHCP server answers on {interface}"),
            "look whether the LAN's DHCP server runs, and whether the bridge has the right interface in it",
        ),
        None => Line::ok(CHECK, format!("hub {hub}: {} answers on {interface}", servers())),
        Some(range) => {
            let within = |offer: &&Offer| range.contains(&offer.address);
            match offers.iter().find(within) {
                Some(Offer { server, address }) => Line::warn(
                    CHECK,
                    format!(
                        "the LAN's DHCP server {server} gives out {address}, which hub {hub} gives out as well"
                    ),
                    "a part of the network for each: dhcp.range here, the scope there",
                ),
                None if offers.is_empty() => {
                    Line::ok(CHECK, format!("hub {hub}: no DHCP server beside its own on {interface}"))
                }
                None => Line::ok(
                    CHECK,
                    format!(
                        "hub {hub}: {} answers on {interface}, with other addresses than the hub's",
                        servers()
                    ),
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;

    const LAN: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
    const OFFERED: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 50);

    fn answer_to(question: &[u8], kind: MessageType) -> Vec<u8> {
        let frame = Frame::parse(question).unwrap();
        let asked = Message::parse(Ipv4::parse(frame.payload).unwrap().udp().unwrap().payload).unwrap();
        assert!(asked.wants_broadcast() && asked.kind() == Some(MessageType::DISCOVER));
        let mut reply = asked.reply();
        reply.yiaddr = OFFERED;
        reply.push(Code::MESSAGE_TYPE, &[kind.0]);
        reply.push(Code::SERVER_ID, &LAN.octets());
        let mut packet = udp_packet((LAN, SERVER_PORT), (Ipv4Addr::BROADCAST, CLIENT_PORT), &reply.emit(576));
        packet.put_front(&header(Mac::BROADCAST, Mac([2, 0, 0, 0, 0, 9]), EtherType::IPV4));
        packet.to_vec()
    }

    #[test]
    fn the_answer_to_the_question_is_found_and_no_other() {
        let question = discover(7);
        let answer = answer_to(&question, MessageType::OFFER);
        assert_eq!(offer(&answer, 7), Some(Offer { server: LAN, address: OFFERED }));
        assert_eq!(offer(&answer, 8), None, "another's");
        assert_eq!(offer(&question, 7), None, "our own");
        assert_eq!(offer(&answer_to(&question, MessageType::ACK), 7), None);
        for length in 0..answer.len() {
            let _ = offer(&answer[..length], 7);
        }
    }

    #[test]
    fn two_servers_must_not_give_out_the_same() {
        let offers = [Offer { server: LAN, address: OFFERED }];
        let state = |range: Option<[u8; 2]>, offers: &[Offer]| {
            let host = |last| Ipv4Addr::new(192, 168, 1, last);
            judge("OFFICE", "br0", range.map(|[first, last]| host(first)..=host(last)), offers).state
        };
        assert_eq!(state(None, &offers), State::Ok);
        assert_eq!(state(None, &[]), State::Fail);
        assert_eq!(state(Some([200, 250]), &offers), State::Ok);
        assert_eq!(state(Some([200, 250]), &[]), State::Ok);
        assert_eq!(state(Some([10, 250]), &offers), State::Warn);
    }
}
