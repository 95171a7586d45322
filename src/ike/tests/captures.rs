//! Captures of real clients: the oracle. Every ISAKMP message is parsed, decrypted where its key is known, and emitted
//! again; the responder answers the real first messages.

use super::super::nat_traversal::nat_d;
use super::super::proposal::{self, Phase2Need};
use super::*;
use crate::client::ike::profile::{self, Android};
use crate::crypto::suite::{DhGroup, HashAlg, IkeCipher, IkeSuite};
use crate::crypto::{cbc, prf};
use crate::wire::Writer;
use crate::wire::isakmp::payload::{Delete, Identity, NatOa, Notify, NotifyType};
use crate::wire::isakmp::sa::{Encapsulation, LifeType, Phase1Attribute, Sa, Transform};
use crate::wire::isakmp::{
    Chain, ChainWriter, Cookie, ExchangeType, Header, MessageId, Payload, PayloadType,
};
use crate::wire::natt;
use std::collections::BTreeMap;

macro_rules! capture {
    ($file:literal) => {
        include_bytes!(concat!("../../../tests/captures/", $file))
    };
}

/// An ISAKMP message as it was on the wire.
struct Captured {
    path: Path,
    message: Vec<u8>,
}

/// The ISAKMP messages of a capture file (Ethernet, IPv4, UDP 500 and 4500).
fn messages(pcap: &[u8]) -> Vec<Captured> {
    let mut reader = pcap_file::pcap::PcapReader::new(pcap).unwrap();
    let mut found = Vec::new();
    while let Some(packet) = reader.next_packet() {
        let packet = packet.unwrap();
        let Some(ip) = packet.data.get(14..).filter(|_| packet.data[12..14] == [8, 0]) else { continue };
        let address = |at: usize| std::net::Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        let udp = &ip[usize::from(ip[0] & 15) * 4..];
        if ip[9] != 17 {
            continue;
        }
        let port = |at: usize| u16::from_be_bytes([udp[at], udp[at + 1]]);
        let payload = &udp[8..usize::from(port(4))];
        // One NAT of the rig maps port 500 to port 4, so either side decides.
        let uses = |number| port(0) == number || port(2) == number;
        let (encap, message) = match natt::classify(payload) {
            _ if uses(500) => (Encap::Ike, payload),
            Ok(natt::Class::Ike(message)) if uses(4500) => (Encap::NatT, message),
            _ => continue,
        };
        // From the receiver's point of view.
        let path =
            Path { encap, local: (address(16), port(2)).into(), remote: (address(12), port(0)).into() };
        found.push(Captured { path, message: message.to_vec() });
    }
    found
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Initiator cookie and key from `cookie key` or from `ike initiator-cookie=... encryption-key=...`.
fn ike_key(text: &str) -> (Vec<u8>, Vec<u8>) {
    let line = text.lines().next().unwrap().trim_start_matches("ike ");
    let mut words = line.split_whitespace().map(|word| hex(word.rsplit('=').next().unwrap()));
    (words.next().unwrap(), words.next().unwrap())
}

/// A message as its receiver understood it: decrypted where the key is known.
struct Clear {
    header: Header,
    path: Path,
    /// `None`: no key.
    payloads: Option<Vec<(PayloadType, Vec<u8>)>>,
}

impl Clear {
    fn body(&self, kind: PayloadType) -> &[u8] {
        let payloads = self.payloads.as_ref().unwrap();
        &payloads.iter().find(|(k, _)| *k == kind).unwrap_or_else(|| panic!("no {kind}")).1
    }

    fn kinds(&self) -> Vec<PayloadType> {
        self.payloads.iter().flatten().map(|(kind, _)| *kind).collect()
    }

    fn is(&self, exchange: ExchangeType) -> bool {
        self.header.exchange == exchange
    }
}

/// Follows the exchanges of one ISAKMP SA through a capture, with the IVs of RFC 2409 appendix B.
fn follow(pcap: &[u8], keys: Option<&str>) -> Vec<Clear> {
    let (cookie, key) = keys.map(ike_key).unwrap_or_default();
    let mut suite = None;
    let mut public_values: Vec<Vec<u8>> = Vec::new();
    let mut iv: Vec<u8> = Vec::new();
    let mut exchanges: BTreeMap<MessageId, Vec<u8>> = BTreeMap::new();
    let mut clear = Vec::new();
    for Captured { path, message } in messages(pcap) {
        let (header, body) = Header::parse(&message).unwrap();
        assert_eq!(usize::try_from(header.length).unwrap(), message.len());
        let ours = header.cookies.initiator.0[..] == cookie[..];
        let mut plain = body.to_vec();
        if header.is_encrypted() {
            if !ours {
                clear.push(Clear { header, path, payloads: None });
                continue;
            }
            let IkeSuite { cipher, hash, .. } = suite.expect("a chosen transform");
            let block = cipher.block_len();
            if iv.is_empty() {
                iv = prf::hash(hash, &[&public_values[0], &public_values[1]])[..block].to_vec();
            }
            let phase2 = || prf::hash(hash, &[&iv, &header.message_id.bytes()])[..block].to_vec();
            let mut first = phase2();
            let running = if header.message_id == MessageId::ZERO {
                &mut iv
            } else if header.exchange == ExchangeType::QUICK_MODE {
                exchanges.entry(header.message_id).or_insert_with(|| first.clone())
            } else {
                &mut first
            };
            cbc::decrypt(cipher, &key, running, &mut plain).unwrap();
            *running = body[body.len() - block..].to_vec();
        }
        let chain = Chain::parse(header.first, &plain).unwrap();
        if ours && header.exchange == ExchangeType::IDENTITY_PROTECTION {
            public_values.extend(chain.first(PayloadType::KE).map(<[u8]>::to_vec));
            if let Some(body) = chain.first(PayloadType::SA).filter(|_| !header.cookies.responder.is_zero()) {
                let chosen = Sa::parse(body).unwrap();
                suite = proposal::phase1_suites(&chosen).first().copied();
            }
        }
        emit_again(&header, &chain, body);
        let payloads = chain.payloads().iter().map(|p| (p.kind, p.body.to_vec())).collect();
        clear.push(Clear { header, path, payloads: Some(payloads) });
    }
    clear
}

/// Every payload that has a type gives back its bytes, and so does the message if it was not encrypted.
fn emit_again(header: &Header, chain: &Chain<'_>, body: &[u8]) {
    let mut again = ChainWriter::new();
    for payload in chain.payloads() {
        let emitted = typed(payload);
        assert_eq!(emitted, payload.body, "{}", payload.kind);
        again.put_bytes(payload.kind, &emitted);
    }
    assert_eq!(again.bytes(), chain.bytes());
    assert_eq!(again.first(), header.first);
    if !header.is_encrypted() {
        assert_eq!(again.bytes(), body);
    }
}

fn typed(payload: &Payload<'_>) -> Vec<u8> {
    let mut w = Writer::new();
    match payload.kind {
        PayloadType::SA => Sa::parse(payload.body).unwrap().emit(&mut w),
        PayloadType::ID => Identity::parse(payload.body).unwrap().emit(&mut w),
        PayloadType::NOTIFY => Notify::parse(payload.body).unwrap().emit(&mut w),
        PayloadType::DELETE => Delete::parse(payload.body).unwrap().emit(&mut w),
        PayloadType::NAT_OA => NatOa::parse(payload.body).unwrap().emit(&mut w),
        _ => w.bytes(payload.body),
    }
    w.finish()
}

fn android() -> Vec<Clear> {
    follow(
        capture!("android_nat_main.pcap"),
        Some(include_str!("../../../tests/captures/android_nat_main.ike_keys.txt")),
    )
}

fn apple() -> Vec<Clear> {
    follow(
        capture!("apple_nat_main.pcap"),
        Some(include_str!("../../../tests/captures/apple_nat_main.ike_keys.txt")),
    )
}

fn strongswan() -> Vec<Clear> {
    follow(
        capture!("softether-nat.pcap"),
        Some(include_str!("../../../tests/captures/softether-nat.keys.txt")),
    )
}

#[test]
fn every_message_parses_decrypts_and_is_emitted_again() {
    for (name, clear, encrypted) in [
        ("android", android(), 8),
        ("apple", apple(), 6),
        ("strongswan", strongswan(), 18),
        ("strongswan, default", follow(capture!("strongswan-default-proposals.pcap"), None), 5),
        ("libreswan", follow(capture!("libreswan-lns-nat.pcap"), None), 7),
        ("strongswan, no NAT", follow(capture!("strongswan-lns-no-nat.pcap"), None), 5),
    ] {
        let count = clear.iter().filter(|m| m.header.is_encrypted()).count();
        assert!(count >= encrypted, "{name}: {count}");
        for m in &clear {
            assert!(m.header.is_v1());
        }
    }
}

#[test]
fn what_android_says_under_protection() {
    let clear = android();
    use PayloadType as P;
    let mm5 = clear.iter().find(|m| m.header.is_encrypted()).unwrap();
    assert_eq!(mm5.kinds(), [P::ID, P::HASH]);
    assert_eq!(Identity::parse(mm5.body(P::ID)).unwrap().to_string(), "10.77.0.50[17/500]");
    let contact = clear.iter().find(|m| m.is(ExchangeType::INFORMATIONAL)).unwrap();
    assert_eq!(Notify::parse(contact.body(P::NOTIFY)).unwrap().kind, NotifyType::INITIAL_CONTACT);
    let qm1 = clear.iter().find(|m| m.is(ExchangeType::QUICK_MODE)).unwrap();
    assert_eq!(qm1.kinds(), [P::HASH, P::SA, P::NONCE, P::ID, P::ID]);
    let sa = Sa::parse(qm1.body(P::SA)).unwrap();
    assert_eq!(sa.proposals.len(), 1);
    assert_eq!(sa.proposals[0].transforms.len(), 20);
    let need = Phase2Need {
        policy: &Policy::compatible(),
        quirks: &Quirks::of(ClientHint::Android),
        encapsulations: &[Encapsulation::UDP_TRANSPORT],
        group: None,
    };
    let choice = proposal::choose_phase2(&sa, &need).unwrap();
    assert_eq!(choice.suite.to_string(), "AES-256-CBC/HMAC-SHA1-96");
    assert_eq!((choice.seconds, choice.kilobytes), (Some(28800), None));
    let dpd = clear.iter().filter(|m| m.is(ExchangeType::INFORMATIONAL)).skip(1);
    let kinds: Vec<_> = dpd.map(|m| Notify::parse(m.body(P::NOTIFY)).unwrap().kind).take(2).collect();
    assert_eq!(kinds, [NotifyType::R_U_THERE, NotifyType::R_U_THERE_ACK]);
}

#[test]
fn what_apple_says_under_protection() {
    let clear = apple();
    use PayloadType as P;
    let qm1 = clear.iter().find(|m| m.is(ExchangeType::QUICK_MODE)).unwrap();
    assert_eq!(qm1.kinds(), [P::HASH, P::SA, P::NONCE, P::ID, P::ID, P::NAT_OA, P::NAT_OA]);
    assert_eq!(NatOa::parse(qm1.body(P::NAT_OA)).unwrap().0.to_string(), "10.77.0.51");
    let id = Identity::parse(qm1.body(P::ID)).unwrap();
    assert_eq!(id.protocol, 17);
    assert!(id.port > 1024 && id.port != 1701, "an ephemeral port: {id}");
    let sa = Sa::parse(qm1.body(P::SA)).unwrap();
    assert_eq!(sa.proposals[0].transforms[0].phase2_lifetime(LifeType::SECONDS), Some(3600));
}

#[test]
fn what_strongswan_says_under_protection() {
    let clear = strongswan();
    use PayloadType as P;
    let mm5 = clear.iter().find(|m| m.header.is_encrypted()).unwrap();
    assert_eq!(mm5.kinds(), [P::ID, P::HASH]);
    let deletes = clear.iter().filter(|m| m.kinds().contains(&P::DELETE));
    let protocols: Vec<_> =
        deletes.map(|m| Delete::parse(m.body(P::DELETE)).unwrap().protocol.to_string()).collect();
    assert!(protocols.contains(&"ESP".into()) && protocols.contains(&"ISAKMP".into()), "{protocols:?}");
    // SoftEther starts a Quick Mode of its own at the end.
    let quick: Vec<_> = clear.iter().filter(|m| m.is(ExchangeType::QUICK_MODE)).collect();
    assert_eq!(quick.len(), 4);
    assert_ne!(quick[0].header.message_id, quick[3].header.message_id);
}

#[test]
fn nat_d_hashes_are_those_of_real_clients() {
    for (clear, client) in [(android(), "10.77.0.50:500"), (apple(), "10.77.0.51:500")] {
        let mm2 = &clear[1];
        let chosen = Sa::parse(mm2.body(PayloadType::SA)).unwrap();
        let suite = proposal::phase1_suites(&chosen)[0];
        let mm3 = &clear[2];
        let hashes: Vec<_> = mm3
            .payloads
            .iter()
            .flatten()
            .filter(|(kind, _)| *kind == PayloadType::NAT_D)
            .map(|(_, body)| body.clone())
            .collect();
        let hash = |address: SocketAddr| nat_d(suite.hash, mm3.header.cookies, address).to_vec();
        assert_eq!(hashes, [hash(mm3.path.local), hash(client.parse().unwrap())]);
    }
}

/// Feeds the real messages 1 and 3 to our responder and returns what it says.
fn answer(clear: &[Clear], pcap: &[u8]) -> (Vec<PacketBuf>, Phase1) {
    let raw = messages(pcap);
    let first = clear.iter().position(|m| m.is(ExchangeType::IDENTITY_PROTECTION)).unwrap();
    let mut entropy = Entropy::from_number(3);
    let settings = settings();
    let now = origin();
    let mut ctx = Context {
        settings: &settings,
        entropy: &mut entropy,
        worker: WorkerId(0),
        unix_now: 0,
        spi_taken: &|_| false,
    };
    let mut out = Output::default();
    let mut half = Phase1::recv_first(now, &mut ctx, raw[first].path, &raw[first].message, &mut out).unwrap();
    let mut third = raw[first + 2].message.clone();
    third[8..16].copy_from_slice(&half.cookies().responder.0);
    half.handle(now, &mut ctx, raw[first + 2].path, &third, &mut out).unwrap();
    let job = out.events.into_iter().find_map(|event| match event {
        Event::DhRequired { job, .. } => Some(job),
        _ => None,
    });
    let mut more = Output::default();
    let result = job.unwrap().run(ctx.entropy);
    half.handle_dh(now, &mut ctx, result, &mut more);
    out.packets.append(&mut more.packets);
    (out.packets.into_iter().map(|packet| packet.buf).collect(), half)
}

#[test]
fn our_responder_answers_real_clients() {
    for (pcap, clear, hint, group) in [
        (&capture!("android_nat_main.pcap")[..], android(), ClientHint::Android, DhGroup::Modp1024),
        (&capture!("apple_nat_main.pcap")[..], apple(), ClientHint::Apple, DhGroup::Modp2048),
        (&capture!("softether-nat.pcap")[..], strongswan(), ClientHint::StrongSwan, DhGroup::Modp1024),
        (
            &capture!("libreswan-lns-nat.pcap")[..],
            follow(capture!("libreswan-lns-nat.pcap"), None),
            ClientHint::Libreswan,
            DhGroup::Modp2048,
        ),
        (
            &capture!("strongswan-lns-no-nat.pcap")[..],
            follow(capture!("strongswan-lns-no-nat.pcap"), None),
            ClientHint::StrongSwan,
            DhGroup::Modp2048,
        ),
    ] {
        let offer = Sa::parse(clear[0].body(PayloadType::SA)).unwrap();
        // Where the server of the capture chose another group, the real message 3 does not fit.
        let theirs = Sa::parse(clear[1].body(PayloadType::SA)).unwrap();
        assert_eq!(proposal::phase1_suites(&theirs)[0].group, group, "{hint}");
        let (packets, half) = answer(&clear, pcap);
        assert_eq!(half.fingerprint().hint, hint);
        let (header, body) = Header::parse(&packets[0]).unwrap();
        let chain = Chain::parse(header.first, body).unwrap();
        let chosen = Sa::parse(chain.only(PayloadType::SA, "SA").unwrap()).unwrap();
        assert!(offer.proposals[0].transforms.contains(&chosen.proposals[0].transforms[0]), "{hint}");
        let ids: Vec<_> = chain.all(PayloadType::VENDOR_ID).collect();
        assert_eq!(ids, [&vid::RFC_3947[..], &vid::DPD], "{hint}");
        assert_eq!(packets.len(), 2, "{hint}");
        assert_eq!(half.stage(), Stage::Identity);
    }
}

#[test]
fn strongswans_own_defaults_are_accepted_too() {
    let mut raw = messages(capture!("strongswan-default-proposals.pcap"));
    raw.retain(|m| {
        let header = peek(&m.message).unwrap();
        header.exchange == ExchangeType::IDENTITY_PROTECTION && header.cookies.responder.is_zero()
    });
    let mut world = World::new(profile::strongswan(key()));
    let expected = [
        IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha256, DhGroup::Curve25519),
        IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha256, DhGroup::Curve25519),
        IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha1, DhGroup::Ecp256),
    ];
    assert_eq!(raw.len(), expected.len());
    for (at, expected) in expected.into_iter().enumerate() {
        let replies = world.deliver(raw[at].path, &raw[at].message);
        assert_eq!(replies.len(), 1, "{:?} {:?}", world.refusals, world.drops);
        let suite = world.half.take().unwrap().suite();
        assert_eq!(suite, expected);
    }
}

/// The profiles of the client core send what the real clients send.
#[test]
fn profiles_match_the_captures() {
    let offered =
        |clear: &[Clear]| Sa::parse(clear[0].body(PayloadType::SA)).unwrap().proposals.remove(0).transforms;
    let ids = |clear: &[Clear]| {
        let payloads = clear[0].payloads.iter().flatten();
        payloads
            .filter(|(kind, _)| *kind == PayloadType::VENDOR_ID)
            .map(|(_, id)| id.clone())
            .collect::<Vec<_>>()
    };
    // We have no DES to offer.
    let without_des = |transforms: Vec<Transform>| -> Vec<_> {
        let des = |t: &Transform| t.number_of(Phase1Attribute::ENCRYPTION.0) == Some(1);
        transforms.into_iter().filter(|t| !des(t)).map(|t| t.attributes).collect()
    };
    let sent =
        |config: &client::Config| -> Vec<_> { config.phase1.iter().map(|t| t.attributes.clone()).collect() };
    for (clear, config) in [
        (android(), profile::android(key(), Android::Seven)),
        (apple(), profile::apple(key(), 1)),
        (follow(capture!("libreswan-lns-nat.pcap"), None), profile::libreswan(key())),
    ] {
        assert_eq!(ids(&clear), config.vendor_ids);
        assert_eq!(sent(&config), without_des(offered(&clear)));
    }
    assert_eq!(ids(&strongswan()), profile::strongswan(key()).vendor_ids);
    assert_eq!(Cookie::ZERO, strongswan()[0].header.cookies.responder);
}
