//! Ethernet, ARP, IPv4, and what a switch changes in a packet.

use sekisho::packet::PacketBuf;
use sekisho::wire::ether::{ARP_LEN, Arp, EtherType, Frame, Mac};
use sekisho::wire::inet::{
    self, IPV4_HEADER, Ipv4, Network, Protocol, add, clamp_mss, fold, fragment, fragmentation_needed,
    pseudo_header,
};
use std::net::Ipv4Addr;

/// The first two bytes are an MTU, the rest is a frame, a packet, or a text.
pub(super) fn ether(bytes: &[u8]) {
    let (mtu, bytes) =
        bytes.split_first_chunk::<2>().map_or((1400, bytes), |(mtu, rest)| (u16::from_be_bytes(*mtu), rest));
    if let Ok(frame) = Frame::parse(bytes) {
        assert!(bytes.ends_with(frame.payload));
        let tags = bytes.len() - frame.payload.len() - 14;
        assert!(matches!(tags, 0 | 4 | 8));
        assert_eq!(frame.is_untagged(bytes), tags == 0);
        assert!(frame.vlan.is_none_or(|id| (1..4096).contains(&id)));
        let _ = (frame.destination.is_bridge_local(), frame.source.is_unicast(), frame.source.is_local());
        if frame.ethertype == EtherType::ARP {
            arp(frame.payload);
        }
        packet(frame.payload, mtu);
    }
    arp(bytes);
    packet(bytes, mtu);
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts(text);
    }
}

fn arp(bytes: &[u8]) {
    let Ok(arp) = Arp::parse(bytes) else { return };
    assert_eq!(arp.emit(), bytes[..ARP_LEN]);
    let frame = arp.reply(Mac([2, 0, 0, 0, 0, 1])).frame(arp.sender_mac);
    let reread = Frame::parse(&frame).and_then(|frame| Arp::parse(frame.payload)).expect("our own ARP");
    assert_eq!((reread.sender, reread.target), (arp.target, arp.sender));
}

fn packet(bytes: &[u8], mtu: u16) {
    clamp(bytes, mtu);
    if let Some(error) = fragmentation_needed(bytes, Ipv4Addr::new(10, 0, 0, 1), mtu) {
        assert!(error.len() <= 576, "RFC 1812: an error has at most 576 bytes");
        let ip = Ipv4::parse(&error).expect("our own packet");
        assert_eq!(ip.total_len, error.len());
        assert_eq!(fold(add(0, &error[..IPV4_HEADER])), 0, "the header's checksum");
        assert_eq!(fold(add(0, ip.payload)), 0, "ICMP's checksum");
        assert_eq!(ip.destination, Ipv4::parse(bytes).expect("it was about a packet").source);
        assert!(fragmentation_needed(&error, ip.destination, mtu).is_none(), "no error about an error");
    }
    let Ok(ip) = Ipv4::parse(bytes) else {
        assert!(fragment(bytes, mtu).is_err());
        return;
    };
    assert!(ip.total_len <= bytes.len() && ip.header_len + ip.payload.len() == ip.total_len);
    let _ = ip.udp();
    let Ok(fragments) = fragment(bytes, mtu) else { return };
    let mut whole = Vec::new();
    for (n, fragment) in fragments.iter().enumerate() {
        assert!(fragment.len() <= usize::from(mtu).max(ip.header_len + 8));
        let part = Ipv4::parse(fragment).expect("our own fragment");
        assert_eq!(part.total_len, fragment.len());
        // An offset has 13 bits; beyond them the packet was none in the first place.
        if ip.offset + whole.len() < 1 << 16 {
            assert_eq!(part.offset, ip.offset + whole.len());
        }
        assert_eq!(part.more_fragments, n + 1 < fragments.len() || ip.more_fragments);
        assert_eq!(fold(add(0, &fragment[..ip.header_len])), 0, "the header's checksum");
        whole.extend_from_slice(part.payload);
    }
    assert_eq!(whole, ip.payload);
}

/// A clamped SYN is as right or as wrong as it was, and nothing but its MSS and its checksum has changed.
fn clamp(bytes: &[u8], mss: u16) {
    let mut clamped = bytes.to_vec();
    let changed = clamp_mss(&mut clamped, mss);
    let differing = bytes.iter().zip(&clamped).filter(|(a, b)| a != b).count();
    assert_eq!(clamped.len(), bytes.len());
    assert!(differing <= 4);
    assert!(changed || differing == 0, "an unchanged packet is unchanged");
    if !changed {
        return;
    }
    let ip = Ipv4::parse(bytes).expect("only a packet is clamped");
    assert_eq!(ip.protocol, Protocol::TCP);
    let sum = |packet: &[u8]| {
        let segment = &packet[ip.header_len..ip.total_len];
        fold(add(pseudo_header(ip.source, ip.destination, Protocol::TCP, segment.len()), segment))
    };
    // Zero has two forms in one's complement.
    let same = |a: u16, b: u16| a % 0xffff == b % 0xffff;
    assert!(same(sum(bytes), sum(&clamped)), "the checksum follows");
    assert!(!clamp_mss(&mut clamped, mss), "once is enough");
}

fn texts(text: &str) {
    if let Ok(mac) = text.parse::<Mac>() {
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!(Mac::from_u64(mac.to_u64()), mac);
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
        assert!(network.contains(network.address) && network.contains(network.last()));
        assert!(network.broadcast().is_none_or(|address| !network.is_host(address)));
        assert_eq!(network.mask().to_bits().leading_ones(), u32::from(network.prefix));
        let _ = inet::udp_packet((network.address, 1), (network.last(), 2), text.as_bytes());
    }
    let mut buf = PacketBuf::from_slice(text.as_bytes());
    inet::put_ipv4(&mut buf, Protocol::UDP, Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
    assert!(text.len() > 65_515 || Ipv4::parse(&buf).is_ok());
}
