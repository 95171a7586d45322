//! The sockets of the user-mode NAT, on this host's own loopback.

use super::*;
use std::net::TcpListener;

fn sockets() -> (Poll, Sockets) {
    let poll = Poll::new().unwrap();
    let registry = poll.registry().try_clone().unwrap();
    (poll, Sockets { registry, sockets: HashMap::new() })
}

fn server() -> (TcpListener, SocketAddrV4) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let SocketAddr::V4(address) = listener.local_addr().unwrap() else { panic!("IPv6") };
    (listener, address)
}

/// RFC 5382 sections 4.1 and 7.1, with the system's own sockets.
#[test]
fn connections_share_a_port_where_they_are_told_to_and_nowhere_else() {
    let (_poll, mut outside) = sockets();
    let ((one, to_one), (two, to_two)) = (server(), server());
    let port = outside.connect(FlowId(1), to_one, None).unwrap();
    assert_eq!(outside.connect(FlowId(2), to_two, Some(port)).unwrap(), port);
    let seen = |listener: &TcpListener| listener.accept().unwrap().1.port();
    assert_eq!((seen(&one), seen(&two)), (port, port));
    // The same way twice is none.
    assert!(outside.connect(FlowId(3), to_one, Some(port)).is_err());
    let others: Vec<u16> = (10..40).map(|n| outside.connect(FlowId(n), to_two, None).unwrap()).collect();
    assert!(!others.contains(&port), "{others:?}");
}

/// RFC 4787 sections 4.1, 4.2.1 and 6, with the system's own sockets.
#[test]
fn a_mapping_is_a_socket_with_a_port_of_its_own() {
    let (_poll, mut outside) = sockets();
    let server = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let (one, two) = (server(), server());
    let to = |socket: &UdpSocket| SocketAddrV4::new(Ipv4Addr::LOCALHOST, socket.local_addr().unwrap().port());
    outside.send_udp(FlowId(1), to(&one), b"a").unwrap();
    outside.send_udp(FlowId(1), to(&two), b"b").unwrap();
    outside.send_udp(FlowId(2), to(&one), b"c").unwrap();
    let mut space = [0; 8];
    let mut seen = |socket: &UdpSocket| socket.recv_from(&mut space).unwrap().1.port();
    let (first, same, other) = (seen(&one), seen(&two), seen(&one));
    assert!(first == same && first != other);
    // One client by the other's mapping.
    outside.send_udp(FlowId(2), SocketAddrV4::new(Ipv4Addr::LOCALHOST, first), b"d").unwrap();
    let (length, from) = outside.udp(FlowId(1)).unwrap().recv_from(&mut space).unwrap();
    assert_eq!((&space[..length], from.port()), (&b"d"[..], other));
}

/// RFC 4787 section 9 and RFC 5508 section 4.2.1.
#[test]
fn what_does_not_arrive_is_told() {
    let (mut poll, mut outside) = sockets();
    let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap().local_addr().unwrap();
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, nobody.port());
    outside.send_udp(FlowId(1), to, b"hello").unwrap();
    let mut events = Events::with_capacity(8);
    let mut sent = [0; 64];
    for _ in 0..50 {
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        if let Some(news) = unreachable(outside.udp(FlowId(1)).unwrap(), &mut sent) {
            assert_eq!(
                (news.to, news.by, news.error),
                (to, Some(Ipv4Addr::LOCALHOST), Icmp::PORT_UNREACHABLE)
            );
            assert_eq!(&sent[..news.length], b"hello");
            return;
        }
    }
    panic!("nothing was told");
}

/// RFC 5382 section 4.2, the host with itself.
#[test]
fn both_sides_may_open_at_once() {
    let (mut poll, mut outside) = sockets();
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let to = SocketAddrV4::new(Ipv4Addr::LOCALHOST, free);
    assert_eq!(outside.connect(FlowId(1), to, Some(free)).unwrap(), free);
    let mut events = Events::with_capacity(8);
    poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
    assert_eq!(outside.write(FlowId(1), b"mirror").unwrap(), 6);
    poll.poll(&mut events, Some(Duration::from_secs(5))).unwrap();
    let mut space = [0; 16];
    assert_eq!(outside.read(FlowId(1), &mut space).unwrap(), 6);
}
