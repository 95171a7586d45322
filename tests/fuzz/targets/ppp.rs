//! PPP frames and the packets of its control protocols.

use sekisho::wire::chap::{ChapPacket, MsChapV2Failure, MsChapV2Response};
use sekisho::wire::eap::{EapMd5, EapMsChapV2, EapPacket, EapType};
use sekisho::wire::pap::PapPacket;
use sekisho::wire::ppp::{ControlPacket, Protocol, emit_header, split_header};
use sekisho::wire::ppp_option::{IpcpOption, LcpOption, raw_options};
use sekisho::wire::{Error, Writer};
use std::fmt::Debug;

/// A frame, with or without its header.
pub(super) fn ppp(bytes: &[u8]) {
    information(bytes);
    if let Ok((protocol, header)) = split_header(bytes) {
        assert!((1..=4).contains(&header));
        let mut w = Writer::new();
        emit_header(protocol, &mut w);
        // 0x00ff cannot be told from an address, so nobody may have that number.
        if protocol != Protocol(0x00ff) {
            assert_eq!(split_header(w.as_slice()), Ok((protocol, 4)));
        }
        information(&bytes[header..]);
    }
}

/// What parses is written, and what was written parses to the same.
fn same_again<'a, T: PartialEq + Debug>(
    bytes: &'a [u8],
    parse: impl Fn(&'a [u8]) -> Result<T, Error>,
    emit: impl Fn(&T, &mut Writer),
    reread: impl Fn(&[u8], &T) -> bool,
) -> Option<T> {
    let parsed = parse(bytes).ok()?;
    let mut w = Writer::new();
    emit(&parsed, &mut w);
    assert!(reread(w.as_slice(), &parsed), "{parsed:?} became {:02x?}", w.as_slice());
    Some(parsed)
}

macro_rules! same_again {
    ($kind:ident, $bytes:expr) => {
        same_again($bytes, $kind::parse, $kind::emit, |again, parsed| {
            $kind::parse(again).as_ref() == Ok(parsed)
        })
    };
}

fn information(bytes: &[u8]) {
    if let Some(packet) = same_again!(ControlPacket, bytes) {
        options(packet.data);
        let _ = MsChapV2Response::parse(packet.data);
    }
    match same_again!(ChapPacket, bytes) {
        Some(ChapPacket::Challenge { value, .. } | ChapPacket::Response { value, .. }) => response(value),
        Some(ChapPacket::Success { message, .. } | ChapPacket::Failure { message, .. }) => failure(message),
        None => {}
    }
    if let Some(packet) = same_again!(PapPacket, bytes)
        && let PapPacket::Request { name, password, .. } = packet
        && password.len() > name.len() + 40
    {
        let shown = format!("{packet:?}");
        assert!(
            !shown.as_bytes().windows(password.len()).any(|part| part == password),
            "a password is shown"
        );
    }
    match same_again!(EapPacket, bytes) {
        Some(EapPacket::Request { kind, data, .. } | EapPacket::Response { kind, data, .. }) => {
            if kind == EapType::MD5_CHALLENGE {
                let _ = same_again!(EapMd5, data);
            }
            if let Some(EapMsChapV2::Challenge { value, .. } | EapMsChapV2::Response { value, .. }) =
                same_again!(EapMsChapV2, data)
            {
                response(value);
            }
        }
        Some(EapPacket::Success { .. } | EapPacket::Failure { .. }) | None => {}
    }
}

fn response(value: &[u8]) {
    if let Ok(parsed) = MsChapV2Response::parse(value) {
        let mut w = Writer::new();
        parsed.emit(&mut w);
        assert_eq!(w.as_slice(), value);
    }
}

fn failure(message: &[u8]) {
    if let Ok(parsed) = MsChapV2Failure::parse(message) {
        let text = parsed.to_string();
        assert_eq!(MsChapV2Failure::parse(text.as_bytes()).as_ref(), Ok(&parsed), "{text}");
    }
}

fn options(bytes: &[u8]) {
    let mut again = Writer::new();
    let mut defect = false;
    for option in raw_options(bytes) {
        assert!(!defect, "a defect ends the list");
        let Ok(raw) = option else {
            defect = true;
            continue;
        };
        raw.emit(&mut again);
        let (mut lcp, mut ipcp, mut plain) = (Writer::new(), Writer::new(), Writer::new());
        let meaning = LcpOption::from_raw(raw);
        meaning.emit(&mut lcp);
        if let LcpOption::Auth(auth) = &meaning {
            assert!(!auth.to_string().is_empty());
        }
        IpcpOption::from_raw(raw).emit(&mut ipcp);
        raw.emit(&mut plain);
        assert_eq!(lcp.as_slice(), plain.as_slice(), "a rejected option goes back as it came");
        assert_eq!(ipcp.as_slice(), plain.as_slice(), "a rejected option goes back as it came");
    }
    assert!(bytes.starts_with(again.as_slice()));
    assert!(defect || again.len() == bytes.len());
}
