use super::*;
use hex_literal::hex;
use proptest::prelude::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 10);
const B: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

fn ip_ok(packet: &[u8]) -> bool {
    let ip = Ipv4::parse(packet).unwrap();
    fold(add(0, &packet[..ip.header_len])) == 0
}

/// A TCP segment with these options, checksums right.
pub(crate) fn tcp(flags: u8, options: &[u8]) -> PacketBuf {
    assert_eq!(options.len() % 4, 0);
    let mut buf = PacketBuf::from_slice(options);
    let mut header = [0; 20];
    header[..4].copy_from_slice(&hex!("c001 01bb"));
    header[12] = (((20 + options.len()) / 4) << 4) as u8;
    header[13] = flags;
    header[14..16].copy_from_slice(&[0xFF, 0xFF]);
    buf.put_front(&header);
    let sum = fold(add(pseudo_header(A, B, Protocol::TCP, buf.len()), &buf));
    buf[16..18].copy_from_slice(&sum.to_be_bytes());
    put_ipv4(&mut buf, Protocol::TCP, A, B);
    buf
}

fn tcp_ok(packet: &[u8]) -> bool {
    let ip = Ipv4::parse(packet).unwrap();
    fold(add(pseudo_header(ip.source, ip.destination, Protocol::TCP, ip.payload.len()), ip.payload)) == 0
}

#[test]
fn checksum_of_rfc1071() {
    // Section 3: the sum of these words is ddf2.
    assert_eq!(add(0, &hex!("0001 f203 f4f5 f6f7")), 0xddf2);
    assert_eq!(add(0, &hex!("01")), 0x0100);
}

#[test]
fn rfc1624_example() {
    // Section 4: dd2f with 5555 replaced by 3285 must give 0000, where equation 2 would give ffff.
    assert_eq!(adjust(0xDD2F, 0x5555, 0x3285), 0x0000);
}

#[test]
fn networks() {
    let net: Network = "10.60.0.77/24".parse().unwrap();
    assert_eq!(net.to_string(), "10.60.0.0/24");
    assert_eq!(net.mask(), Ipv4Addr::new(255, 255, 255, 0));
    assert_eq!(net.broadcast(), Some(Ipv4Addr::new(10, 60, 0, 255)));
    assert!(net.is_host(A) && !net.is_host(Ipv4Addr::new(10, 60, 0, 0)) && !net.is_host(B));
    assert!(!net.is_host(Ipv4Addr::new(10, 60, 0, 255)));
    let pair: Network = "10.60.0.10/31".parse().unwrap();
    assert!(pair.is_host(A) && pair.broadcast().is_none());
    let all: Network = "0.0.0.0/0".parse().unwrap();
    assert!(all.contains(B));
    for bad in ["10.60.0.0", "10.60.0.0/33", "x/8", "10.60.0.0/"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}

#[test]
fn udp_packet_bytes() {
    let packet = udp_packet((Ipv4Addr::new(10, 60, 0, 1), 67), (A, 68), b"hi!");
    assert_eq!(
        &packet[..],
        hex!("4500001f 00000000 4011664c 0a3c0001 0a3c000a 00430044000b" "6165" "686921")
    );
    assert!(ip_ok(&packet));
    let ip = Ipv4::parse(&packet).unwrap();
    let udp = ip.udp().unwrap();
    assert_eq!((udp.source, udp.destination, udp.payload), (67, 68, &b"hi!"[..]));
    assert_eq!(
        fold(add(pseudo_header(ip.source, ip.destination, Protocol::UDP, ip.payload.len()), ip.payload)),
        0
    );
}

#[test]
fn padding_behind_the_packet_is_ignored_and_lies_are_refused() {
    let mut packet = udp_packet((A, 1), (B, 2), b"x");
    packet.put_back(&[0; 17]);
    assert_eq!(Ipv4::parse(&packet).unwrap().payload.len(), 9);
    for cut in 0..29 {
        assert!(Ipv4::parse(&packet[..cut]).is_err());
    }
    packet[0] = 0x44;
    assert_eq!(Ipv4::parse(&packet).unwrap_err().kind, Kind::BadLength);
    packet[0] = 0x65;
    assert_eq!(Ipv4::parse(&packet).unwrap_err().what, "IPv4 version");
}

#[test]
fn mss_is_lowered_and_never_raised() {
    // A Windows SYN: MSS 1460, window scale, SACK.
    let mut syn = tcp(0x02, &hex!("020405b4 01030308 01010402"));
    assert!(clamp_mss(&mut syn, 1360));
    assert_eq!(&syn[40..44], hex!("02040550"));
    assert!(tcp_ok(&syn) && ip_ok(&syn));
    assert!(!clamp_mss(&mut syn, 1400));
    // SYN-ACK with the option at an odd place.
    let mut syn = tcp(0x12, &hex!("01 020405b4 010101"));
    assert!(clamp_mss(&mut syn, 1300));
    assert!(tcp_ok(&syn));
    // No SYN, no option, broken options: left alone.
    for (flags, options) in [
        (0x10, &hex!("020405b4")[..]),
        (0x02, &[]),
        (0x02, &hex!("00000000")),
        (0x02, &hex!("08ff0000")),
        (0x02, &hex!("01010103")),
        (0x02, &hex!("fe000000")),
    ] {
        let mut packet = tcp(flags, options);
        let before = packet.clone();
        assert!(!clamp_mss(&mut packet, 536));
        assert_eq!(&packet[..], &before[..]);
    }
}

#[test]
fn fragmentation_needed_quotes_the_original() {
    let original = udp_packet((B, 5000), (A, 53), &[7; 1400]);
    let error = fragmentation_needed(&original, A, 1280).unwrap();
    assert!(ip_ok(&error));
    let ip = Ipv4::parse(&error).unwrap();
    assert_eq!((ip.source, ip.destination, ip.protocol), (A, B, Protocol::ICMP));
    assert_eq!(ip.total_len, 576);
    assert_eq!(&ip.payload[..2], [3, 4]);
    assert_eq!(&ip.payload[4..8], hex!("0000 0500"));
    assert_eq!(&ip.payload[8..], &original[..548]);
    assert_eq!(fold(add(0, ip.payload)), 0);
    // Never about an error, a multicast, or from nobody.
    assert!(fragmentation_needed(&error, B, 1280).is_none());
    let group = udp_packet((B, 1), (Ipv4Addr::new(224, 0, 0, 251), 2), b"");
    assert!(fragmentation_needed(&group, A, 1280).is_none());
    let nobody = udp_packet((Ipv4Addr::UNSPECIFIED, 1), (A, 2), b"");
    assert!(fragmentation_needed(&nobody, A, 1280).is_none());
}

#[test]
fn fragments_join_again() {
    let original = udp_packet((B, 5000), (A, 53), &(0..=255).cycle().take(3001).collect::<Vec<u8>>());
    let fragments = fragment(&original, 1280).unwrap();
    assert_eq!(fragments.len(), 3);
    let mut joined = Vec::new();
    for (n, packet) in fragments.iter().enumerate() {
        assert!(packet.len() <= 1280 && ip_ok(packet));
        let ip = Ipv4::parse(packet).unwrap();
        assert_eq!((ip.offset, ip.more_fragments), (joined.len(), n < 2));
        joined.extend_from_slice(ip.payload);
    }
    assert_eq!(joined, Ipv4::parse(&original).unwrap().payload);
    // A fragment can be cut again.
    let again = fragment(&fragments[1], 576).unwrap();
    assert!(again.iter().all(|f| Ipv4::parse(f).unwrap().more_fragments));
    assert!(fragment(&original, 20).is_err());
}

proptest! {
    #[test]
    fn incremental_equals_full(mut words in prop::collection::vec(any::<u16>(), 2..20), at in 0_usize..20, new: u16) {
        let at = at % words.len();
        // A checksum of data that is not all zero: RFC 1624 section 3 leaves only that case ambiguous.
        let other = (at + 1) % words.len();
        words[other] |= 1;
        let bytes = |w: &[u16]| w.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<u8>>();
        let before = fold(add(0, &bytes(&words)));
        let adjusted = adjust(before, words[at], new);
        words[at] = new;
        prop_assert_eq!(adjusted, fold(add(0, &bytes(&words))));
    }

    #[test]
    fn nothing_panics(mut bytes in prop::collection::vec(any::<u8>(), 0..200), mss: u16, mtu: u16) {
        if let Some(first) = bytes.first_mut() { *first = 0x45; }
        let _ = clamp_mss(&mut bytes, mss);
        let _ = fragmentation_needed(&bytes, A, mtu);
        let _ = fragment(&bytes, mtu);
        if let Ok(ip) = Ipv4::parse(&bytes) { let _ = ip.udp(); }
    }

    #[test]
    fn clamped_segments_verify(pad in 0_usize..4, mss: u16, limit: u16) {
        let mut options = vec![1; pad];
        options.extend([2, 4]);
        options.extend(mss.to_be_bytes());
        while options.len() % 4 != 0 { options.push(1); }
        let mut packet = tcp(0x02, &options);
        prop_assert_eq!(clamp_mss(&mut packet, limit), mss > limit);
        prop_assert!(tcp_ok(&packet));
    }
}
