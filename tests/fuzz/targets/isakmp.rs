//! ISAKMP messages and what UDP port 4500 carries.

use sekisho::ike;
use sekisho::wire::isakmp::payload::{Delete, Identity, NatOa, Notify, check_nonce};
use sekisho::wire::isakmp::sa::{LifeType, Sa};
use sekisho::wire::isakmp::{Chain, ChainWriter, Cookies, Header, PayloadType};
use sekisho::wire::natt::{self, Class};
use sekisho::wire::{Error, Writer};
use std::fmt::Debug;

/// A datagram of port 500.
pub(super) fn isakmp(bytes: &[u8]) {
    let header = Header::parse(bytes);
    if let Ok((header, body)) = &header {
        assert_eq!(
            header.message(body),
            bytes[..Header::LEN + body.len()],
            "header and body make the message"
        );
        assert_eq!(ike::peek(bytes).expect("the same parser"), *header);
        let _ = ike::v2::refuse(header);
        let _ = format!("{} {} {} {}", header.cookies, header.exchange, header.message_id, header.first);
        chain(header.first, body);
    }
    // What an attacker with the key may send inside: any first payload, no header.
    if let [first, rest @ ..] = bytes {
        chain(PayloadType(*first), rest);
        payload(PayloadType(*first), rest);
    }
    let _ = Cookies::from_spi(bytes);
}

fn chain(first: PayloadType, body: &[u8]) {
    let Ok(chain) = Chain::parse(first, body) else { return };
    assert!(body.starts_with(chain.bytes()));
    assert!(chain.bytes().ends_with(chain.after_first()));
    let mut again = ChainWriter::new();
    for one in chain.payloads() {
        again.put_bytes(one.kind, one.body);
        payload(one.kind, one.body);
        assert!(chain.all(one.kind).any(|body| body == one.body));
    }
    let reread = Chain::parse(again.first(), again.bytes()).expect("what we write, we read");
    assert_eq!(reread.payloads(), chain.payloads());
    assert_eq!(reread.bytes().len(), chain.bytes().len());
    let mut twice = again.clone();
    twice.append(&again);
    let count = 2 * chain.payloads().len();
    match Chain::parse(twice.first(), twice.bytes()) {
        Ok(double) => assert_eq!(double.payloads().len(), count),
        Err(_) => assert!(count > sekisho::wire::isakmp::MAX_PAYLOADS),
    }
}

/// What parses is written, and what was written parses to the same.
fn same_again<T: PartialEq + Debug>(
    body: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, Error>,
    emit: impl Fn(&T, &mut Writer),
) -> Option<T> {
    let parsed = parse(body).ok()?;
    let mut w = Writer::new();
    emit(&parsed, &mut w);
    assert_eq!(parse(w.as_slice()).as_ref(), Ok(&parsed));
    Some(parsed)
}

fn payload(kind: PayloadType, body: &[u8]) {
    match kind {
        PayloadType::SA => {
            if let Some(sa) = same_again(body, Sa::parse, Sa::emit) {
                for transform in sa.proposals.iter().flat_map(|proposal| &proposal.transforms) {
                    for unit in [LifeType::SECONDS, LifeType::KILOBYTES] {
                        let _ = (transform.phase1_lifetime(unit), transform.phase2_lifetime(unit));
                    }
                    for attribute in &transform.attributes {
                        assert!(transform.attributes.iter().any(|a| a.kind == attribute.kind));
                        let _ = transform.number_of(attribute.kind);
                    }
                }
            }
        }
        PayloadType::ID => {
            if let Some(identity) = same_again(body, Identity::parse, Identity::emit) {
                assert_eq!(identity.to_bytes(), body);
                assert!(!identity.to_string().is_empty());
            }
        }
        PayloadType::NOTIFY => {
            if let Some(notify) = same_again(body, Notify::parse, Notify::emit) {
                let _ = Cookies::from_spi(&notify.spi);
            }
        }
        PayloadType::DELETE => {
            // Empty SPIs leave no trace of how many there were but in the count.
            let _ = same_again(body, Delete::parse, Delete::emit);
        }
        PayloadType::NAT_OA | PayloadType::NAT_OA_DRAFT => {
            let _ = same_again(body, NatOa::parse, NatOa::emit);
        }
        PayloadType::NONCE => {
            let _ = check_nonce(body);
        }
        _ => {}
    }
}

/// A datagram of port 4500.
pub(super) fn natt(bytes: &[u8]) {
    match natt::classify(bytes) {
        Ok(Class::Ike(message)) => {
            assert_eq!(message, &bytes[4..]);
            assert_eq!(bytes[..4], natt::NON_ESP_MARKER);
        }
        Ok(Class::Esp(spi, packet)) => {
            assert_eq!(packet, bytes);
            assert_ne!(spi, 0, "zero is the marker of IKE");
            if let Ok(header) = sekisho::wire::esp::Header::parse(packet) {
                assert_eq!(header.spi, spi);
            }
        }
        Ok(Class::Keepalive) => assert_eq!(bytes, [natt::KEEPALIVE]),
        Err(_) => assert!(bytes.len() < 4),
    }
}
