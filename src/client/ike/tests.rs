//! What the client does on its own; that it understands the server is tested there.

use super::profile::{self, Android};
use super::*;
use crate::packet::Encap;
use crate::wire::isakmp::sa::Sa as SaPayload;
use crate::wire::isakmp::{Chain, ChainWriter, Cookie, PayloadType};

fn path() -> Path {
    let (local, remote) = ("10.0.0.2:500".parse().unwrap(), "203.0.113.1:500".parse().unwrap());
    Path { encap: Encap::Ike, local, remote }
}

#[expect(clippy::disallowed_methods, reason = "an origin for the fake clock")]
fn started(config: Config) -> (Initiator, Instant, Output) {
    let now = Instant::now();
    let mut client = Initiator::new(config, Entropy::from_number(1));
    let mut out = Output::default();
    client.start(now, path(), &mut out);
    (client, now, out)
}

/// A message 2 with the first transform and, behind it, a payload of `kind`.
fn message_2(first: &[u8], kind: PayloadType) -> Vec<u8> {
    let (header, body) = Header::parse(first).unwrap();
    let chain = Chain::parse(header.first, body).unwrap();
    let mut answer = SaPayload::parse(chain.first(PayloadType::SA).unwrap()).unwrap();
    answer.proposals[0].transforms.truncate(1);
    let mut reply = ChainWriter::new();
    reply.put(PayloadType::SA, |w| answer.emit(w));
    reply.put_bytes(kind, b"something");
    let cookies = Cookies { responder: Cookie([5; 8]), ..header.cookies };
    Header { cookies, first: reply.first(), ..header }.message(reply.bytes())
}

#[test]
fn an_unexpected_payload_makes_it_drop_the_message() {
    let (mut client, now, out) = started(profile::android("k".into(), Android::Seven));
    let first = &out.packets[0].buf;
    let mut out = Output::default();
    for kind in [PayloadType::NOTIFY, PayloadType::KE, PayloadType::CERT_REQUEST] {
        let result = client.handle(now, path(), &message_2(first, kind), &mut out);
        assert!(matches!(result, Err(Drop::Malformed(_))), "{kind}");
    }
    assert!(out.packets.is_empty());
    client.handle(now, path(), &message_2(first, PayloadType::VENDOR_ID), &mut out).unwrap();
    assert_eq!(out.packets.len(), 1, "message 3");
}

#[test]
fn a_choice_that_was_not_offered_is_not_taken() {
    let (mut client, now, out) = started(profile::windows("k".into()));
    let mut forged = message_2(&out.packets[0].buf, PayloadType::VENDOR_ID);
    let at = forged.windows(4).position(|w| w == [0x80, 14, 1, 0]).unwrap();
    forged[at + 3] = 128;
    let result = client.handle(now, path(), &forged, &mut Output::default());
    assert_eq!(result, Err(Drop::NoProposalChosen));
}

#[test]
fn it_repeats_its_request_and_gives_up() {
    let (mut client, mut due, out) = started(profile::android("k".into(), Android::Four));
    let first = out.packets[0].buf.to_vec();
    let mut repeats = 0;
    loop {
        due = client.poll_timeout().unwrap().max(due);
        let mut out = Output::default();
        client.handle_timeout(due, &mut out);
        if let [Event::Failed(failure)] = out.events[..] {
            assert_eq!(failure, Failure::NoAnswer);
            break;
        }
        assert_eq!(*out.packets[0].buf, first);
        repeats += 1;
    }
    assert_eq!(repeats, 10);
    assert_eq!(client.poll_timeout(), None);
    assert!(!client.start_quick_mode(due, &mut Output::default()));
}

#[test]
fn profiles_offer_what_they_should() {
    let count = |config: Config| (config.phase1.len(), config.esp.len());
    assert_eq!(count(profile::android("k".into(), Android::Four)), (6, 6));
    assert_eq!(count(profile::android("k".into(), Android::Six)), (9, 9));
    assert_eq!(count(profile::android("k".into(), Android::Seven)), (13, 15));
    assert_eq!(count(profile::apple("k".into(), 1)), (14, 9));
    assert_eq!(count(profile::windows("k".into())), (5, 3));
    assert_eq!(count(profile::libreswan("k".into())), (18, 4));
}

#[test]
fn nothing_secret_is_printed() {
    let (client, ..) = started(profile::apple("the secret key".into(), 1));
    assert!(!format!("{client:?}").contains("secret key"));
}
