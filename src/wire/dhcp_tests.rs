use super::*;
use hex_literal::hex;
use proptest::prelude::*;

/// A DISCOVER as Windows 10 sends it.
fn discover() -> Vec<u8> {
    let mut bytes = hex!(
        "01010600 3903f326 0000 8000 00000000 00000000 00000000 00000000 0200000000770000 0000000000000000"
    )
    .to_vec();
    bytes.extend([0; 192]);
    bytes.extend(hex!(
        "63825363 350101 3d0701020000000077 0c0770632d6a69726f 3c084d53465420352e30 370e 01030f1f2127 2b2c2e2f 7779f9fc ff"
    ));
    bytes
}

#[test]
fn a_real_message() {
    let message = Message::parse(&discover()).unwrap();
    assert_eq!((message.op, message.kind()), (REQUEST, Some(MessageType::DISCOVER)));
    assert_eq!((message.xid, message.wants_broadcast()), (0x3903_F326, true));
    assert_eq!(message.hardware(), hex!("020000000077"));
    assert_eq!(message.option(Code::HOST_NAME), Some(&b"pc-jiro"[..]));
    assert_eq!(message.option(Code::CLIENT_ID), Some(&hex!("01020000000077")[..]));
    assert_eq!((message.address(Code::REQUESTED_ADDRESS), message.max_size()), (None, 548));
    // And out again, apart from padding.
    let mut expected = discover();
    expected.resize(300.max(expected.len() + 1), 0);
    assert_eq!(message.emit(1472), expected);
    for cut in (0..239).chain(241..243) {
        assert!(Message::parse(&discover()[..cut]).is_err(), "{cut}");
    }
}

#[test]
fn overload_and_long_options() {
    let mut bytes = discover();
    bytes.truncate(240);
    bytes.extend(hex!("340103 350101 ff"));
    // "ab" in the file field, "c" in sname: one option in three parts with the one that follows.
    bytes[108..113].copy_from_slice(&hex!("7702 6162 ff"));
    bytes[44..48].copy_from_slice(&hex!("7701 63 ff"));
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(message.option(Code::DOMAIN_SEARCH), Some(&b"abc"[..]));
    let mut long = message.reply();
    long.push(Code::MESSAGE_TYPE, &[2]);
    long.push(Code::DOMAIN_SEARCH, &[7; 600]);
    long.push(Code::WPAD, b"http://wpad/");
    let back = Message::parse(&long.emit(1472)).unwrap();
    assert_eq!(back.option(Code::DOMAIN_SEARCH), Some(&[7; 600][..]));
    // What does not fit is left out, what follows is kept.
    let short = Message::parse(&long.emit(MIN_MAX_SIZE)).unwrap();
    assert_eq!(short.options.iter().map(|(code, _)| code.0).collect::<Vec<_>>(), [53, 252]);
    let empty = long.reply().emit(MIN_MAX_SIZE);
    assert_eq!((empty.len(), empty[240], &empty[241..243]), (300, 255, &[0, 0][..]));
}

#[test]
fn routes_of_rfc3442() {
    let route = |network: &str, gateway: [u8; 4]| (network.parse().unwrap(), Ipv4Addr::from(gateway));
    let routes = [
        route("0.0.0.0/0", [10, 60, 0, 1]),
        route("10.0.0.0/8", [10, 60, 0, 1]),
        route("10.17.0.0/16", [10, 60, 0, 1]),
        route("10.27.129.0/25", [10, 60, 0, 2]),
        route("192.0.2.7/32", [10, 60, 0, 1]),
    ];
    assert_eq!(
        classless_routes(&routes),
        hex!("00 0a3c0001 08 0a 0a3c0001 10 0a11 0a3c0001 19 0a1b8100 0a3c0002 20 c0000207 0a3c0001")
    );
}

#[test]
fn search_domains() {
    assert_eq!(domain_search(["office.example", "lan."]), b"\x06office\x07example\0\x03lan\0");
    assert_eq!(domain_search(["", "a..b", &"x".repeat(64)]), b"");
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Message::parse(&bytes);
        let mut with_header = discover()[..240].to_vec();
        with_header.extend(&bytes);
        if let Ok(message) = Message::parse(&with_header) {
            let _ = (message.kind(), message.max_size(), message.hardware());
            // Emitting what was read and reading it again is the same message.
            if message.option(Code::OVERLOAD).is_none() {
                prop_assert_eq!(Message::parse(&message.emit(usize::MAX)).unwrap(), message);
            }
        }
    }
}
