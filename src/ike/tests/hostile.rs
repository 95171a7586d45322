use super::*;
use crate::client::ike::profile::{self, Android};
use crate::crypto::dh::DhError;
use crate::wire::isakmp::{Chain, ChainWriter, ExchangeType, Flags, Header, PayloadType};

/// The messages of a connection, and the world before each was delivered.
fn started(config: client::Config) -> (World, client::Output) {
    let mut world = World::new(config);
    let mut out = client::Output::default();
    let path = world.client_path();
    world.client.start(world.now, path, &mut out);
    (world, out)
}

/// Delivers one message and gives the answers to the client.
fn step(world: &mut World, out: client::Output) -> client::Output {
    let mut next = client::Output::default();
    for packet in out.packets {
        for reply in world.deliver(packet.path, &packet.buf) {
            world.answer_to_client(packet.path, &reply.buf, &mut next);
        }
    }
    next
}

#[test]
fn garbage_as_message_5_does_not_end_the_exchange() {
    let (mut world, mm1) = started(profile::android(key(), Android::Seven));
    let mm3 = step(&mut world, mm1);
    let mm5 = step(&mut world, mm3);
    let packet = &mm5.packets[0];
    for seed in 0..200u64 {
        let mut entropy = Entropy::from_number(seed);
        let mut forged = packet.buf.to_vec();
        entropy.fill(&mut forged[Header::LEN..]);
        let answers = world.deliver(packet.path, &forged);
        assert_eq!(answers.len(), usize::from(seed == 0), "one notify per exchange");
    }
    for cut in 0..packet.buf.len() {
        let mut short = packet.buf[..cut].to_vec();
        if cut >= Header::LEN {
            let len = u32::try_from(cut).unwrap();
            short[24..28].copy_from_slice(&len.to_be_bytes());
            world.deliver(packet.path, &short);
        }
    }
    let mut clear = packet.buf.to_vec();
    clear[19] = 0;
    world.deliver(packet.path, &clear);
    assert_eq!(world.drops.pop(), Some(Drop::IkeNotProtected));
    assert!(world.half.is_some());
    world.run(mm5);
    assert_eq!(world.sa().psk, PskId(2));
    world.quick_mode();
    world.assert_pairs_match();
}

#[test]
fn a_forged_message_3_is_refused_and_the_true_one_taken() {
    let (mut world, mm1) = started(profile::android(key(), Android::Seven));
    let mm3 = step(&mut world, mm1);
    let packet = &mm3.packets[0];
    let (header, body) = Header::parse(&packet.buf).unwrap();
    let chain = Chain::parse(header.first, body).unwrap();
    for (ke, error) in [(vec![0; 128], DhError::OutOfRange), (vec![7; 127], DhError::Length)] {
        let mut forged = ChainWriter::new();
        for payload in chain.payloads() {
            let body = if payload.kind == PayloadType::KE { &ke } else { payload.body };
            forged.put_bytes(payload.kind, body);
        }
        world.deliver(packet.path, &header.message(forged.bytes()));
        assert_eq!(world.refusals.pop().unwrap().reason, Reason::KeyExchange(error));
    }
    world.run(mm3);
    assert_eq!(world.ike.isakmp_sas().count(), 1);
}

#[test]
fn unauthenticated_messages_under_an_sa_change_nothing() {
    let mut world = World::new(profile::apple(key(), 44444));
    world.connect();
    world.quick_mode();
    let requests: Vec<_> = world.requests[3..].to_vec();
    let (events, path) = (world.events.len(), world.sa().path);
    world.client_nat = Some((NAT, 4321));
    for (from, request) in &requests {
        for seed in 0..50u64 {
            let mut entropy = Entropy::from_number(seed);
            let mut forged = request.to_vec();
            let at = Header::LEN + entropy.u32() as usize % (forged.len() - Header::LEN);
            forged[at] ^= 1 << (seed % 8);
            if seed % 3 == 0 {
                // A message ID that was never used.
                forged[20..24].copy_from_slice(&entropy.array::<4>());
            }
            assert!(world.deliver(*from, &forged).is_empty());
            let drop = world.drops.pop().unwrap();
            assert!(matches!(drop, Drop::IkeAuthFailed | Drop::OutOfOrder), "{drop}");
        }
        let mut clear = request.to_vec();
        clear[19] = 0;
        assert!(world.deliver(*from, &clear).is_empty());
        assert_eq!(world.drops.pop(), Some(Drop::IkeNotProtected));
    }
    assert_eq!(world.events.len(), events);
    assert_eq!(world.sa().path, path, "a path moves with authenticated messages only");
    assert_eq!(world.sas.len(), 1);
    world.client_nat = Some((NAT, 0));
    world.quick_mode();
    world.assert_pairs_match();
}

#[test]
fn replays_under_an_sa_change_nothing() {
    let mut world = World::new(profile::apple(key(), 44444));
    world.connect();
    world.quick_mode();
    let mut out = client::Output::default();
    let spi = world.client.pairs()[0].inbound_spi;
    world.client.delete_esp(spi, &mut out);
    world.run(out);
    world.quick_mode();
    let (sas, pairs) = (world.sas.len(), world.client.pairs().len());
    let heard = |world: &World| world.count(|e| !matches!(e, Event::Progress(Progress::Repeated)));
    let (before, path) = (heard(&world), world.sa().path);
    world.client_nat = Some((NAT, 999));
    let requests: Vec<_> = world.requests[2..].to_vec();
    for (from, request) in &requests {
        world.deliver(*from, request);
        assert_eq!(world.drops.pop(), Some(Drop::Repeated));
    }
    assert_eq!((world.sas.len(), world.client.pairs().len(), heard(&world)), (sas, pairs, before));
    assert_eq!(world.sa().path, path);
}

#[test]
fn an_old_exchange_does_not_begin_again_when_its_answer_is_forgotten() {
    let mut world = World::new(profile::windows(key()));
    world.connect();
    world.quick_mode();
    let (from, qm1) = world.requests[world.requests.len() - 2].clone();
    for _ in 0..20 {
        world.quick_mode();
    }
    let sas = world.sas.len();
    assert!(world.deliver(from, &qm1).is_empty());
    assert_eq!(world.drops, [Drop::Repeated]);
    assert_eq!(world.sas.len(), sas);
}

#[test]
fn a_late_initial_contact_is_not_believed() {
    let mut world = World::new(profile::android(key(), Android::Seven));
    world.connect();
    let contacts = |world: &World| world.count(|e| matches!(e, Event::InitialContact { .. }));
    assert_eq!(contacts(&world), 1);
    let mut late = World::new(profile::android(key(), Android::Seven));
    let mut out = client::Output::default();
    let path = late.client_path();
    late.client.start(late.now, path, &mut out);
    let mm3 = step(&mut late, out);
    let mm5 = step(&mut late, mm3);
    let contact = step(&mut late, mm5);
    late.now += minutes(2);
    late.run(contact);
    assert_eq!(contacts(&late), 0);
}

#[test]
fn messages_out_of_place_are_dropped() {
    let (mut world, mm1) = started(profile::android(key(), Android::Seven));
    let first = mm1.packets[0].buf.clone();
    let path = mm1.packets[0].path;
    let mm3 = step(&mut world, mm1);
    let mut commit = mm3.packets[0].buf.to_vec();
    commit[19] = Flags::COMMIT.0;
    world.deliver(path, &commit);
    assert_eq!(world.drops.pop(), Some(Drop::OutOfOrder), "Commit without message ID");
    let mut other = mm3.packets[0].buf.to_vec();
    other[18] = ExchangeType::AGGRESSIVE.0;
    world.deliver(path, &other);
    assert_eq!(world.drops.pop(), Some(Drop::OutOfOrder));
    let mut foreign = mm3.packets[0].buf.to_vec();
    foreign[12] ^= 1;
    world.deliver(path, &foreign);
    assert_eq!(world.drops.pop(), Some(Drop::UnknownCookies));
    let mut encrypted = mm3.packets[0].buf.to_vec();
    encrypted[19] = Flags::ENCRYPTED.0;
    world.deliver(path, &encrypted);
    assert_eq!(world.drops.pop(), Some(Drop::IkeNotProtected));
    let mut changed = first.to_vec();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    world.deliver(path, &changed);
    world.drops.pop();
    world.run(mm3);
    assert_eq!(world.ike.isakmp_sas().count(), 1);
}

#[test]
fn first_messages_that_are_none_are_malformed() {
    let (mut world, mm1) = started(profile::android(key(), Android::Seven));
    let path = mm1.packets[0].path;
    for (at, value, what) in [
        (8, 1, "Responder Cookie"),
        (17, 0x20, "ISAKMP header"),
        (19, 1, "ISAKMP header"),
        (23, 1, "ISAKMP header"),
        (16, PayloadType::NONCE.0, "SA payload"),
    ] {
        let mut message = mm1.packets[0].buf.to_vec();
        message[at] = value;
        world.deliver(path, &message);
        let refusal = world.refusals.pop().unwrap();
        assert!(matches!(refusal.reason, Reason::Malformed(error) if error.what == what), "{refusal}");
    }
    assert!(world.half.is_none());
}

#[test]
fn what_the_client_says_in_the_clear_is_only_recorded() {
    let (mut world, mm1) = started(profile::android(key(), Android::Seven));
    let mm3 = step(&mut world, mm1);
    let cookies = world.half.as_ref().unwrap().cookies();
    let mut entropy = Entropy::from_number(5);
    let kind = crate::wire::isakmp::payload::NotifyType::INVALID_COOKIE;
    let notify = phase1::clear_notify(cookies, &mut entropy, kind);
    assert!(world.deliver(mm3.packets[0].path, &notify).is_empty());
    assert_eq!(world.count(|e| matches!(e, Event::Notified { authenticated: false, .. })), 1);
    world.run(mm3);
    assert_eq!(world.ike.isakmp_sas().count(), 1);
}

#[test]
fn too_many_quick_modes_at_once_are_refused() {
    let mut world = World::new(profile::windows(key()));
    world.connect();
    let mut started = 0;
    for _ in 0..12 {
        let mut out = client::Output::default();
        world.client.start_quick_mode(world.now, &mut out);
        started += world.deliver(out.packets[0].path, &out.packets[0].buf).len();
    }
    assert_eq!(started, 8);
    assert_eq!(world.drops, [Drop::PeerLimit; 4]);
}

mod never_panics {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// Any bytes behind any header, before and after there is an SA.
        #[test]
        fn on_random_bodies(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            first in 0u8..22,
            exchange in prop::sample::select(vec![2u8, 4, 5, 6, 32, 34]),
            flags in 0u8..4,
            id in 0u32..3,
            known in any::<bool>(),
        ) {
            let mut world = World::new(profile::windows(key()));
            let mut cookies = crate::wire::isakmp::Cookies::default();
            cookies.initiator.0 = [9; 8];
            if known {
                world.connect();
                cookies = world.sa().cookies;
            }
            let path = world.client_path();
            let header = Header {
                cookies,
                first: PayloadType(first),
                version: 0x10,
                exchange: ExchangeType(exchange),
                flags: Flags(flags),
                message_id: crate::wire::isakmp::MessageId(id),
                length: 0,
            };
            world.deliver(path, &header.message(&bytes));
            prop_assert!(!world.drops.is_empty());
            prop_assert!(world.sas.is_empty());
        }

        /// A true first message with some of its bytes changed.
        #[test]
        fn on_mutated_offers(changes in proptest::collection::vec((28usize..700, any::<u8>()), 1..8)) {
            let (mut world, mm1) = started(profile::android(key(), Android::Seven));
            let mut message = mm1.packets[0].buf.to_vec();
            for (at, value) in changes {
                let at = at.min(message.len() - 1);
                message[at] = value;
            }
            world.deliver(mm1.packets[0].path, &message);
        }
    }
}

#[test]
fn a_lifetime_longer_than_time_is_cut() {
    use crate::wire::isakmp::sa::{Phase1Attribute, Value};
    let mut config = profile::android(key(), Android::Seven);
    for attribute in config.phase1.iter_mut().flat_map(|transform| &mut transform.attributes) {
        if attribute.kind == Phase1Attribute::LIFE_DURATION.0 {
            attribute.value = Value::Long(vec![0xff; 8]);
        }
    }
    let mut world = World::new(config);
    world.connect();
    assert!(world.sa().lifetime <= Duration::from_secs(366 * 86_400));
    world.quick_mode();
    world.assert_pairs_match();
}
