use super::*;
use crate::client::ike::profile::{self, Android};
use crate::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite, HashAlg};
use crate::packet::Transmit;
use crate::wire::isakmp::payload::NotifyType;

fn connected(config: client::Config) -> World {
    let mut world = World::new(config);
    world.connect();
    world.quick_mode();
    world
}

#[test]
fn the_suite_suits_the_client() {
    let suite = |config| connected(config).sas[0].suite.to_string();
    assert_eq!(suite(profile::android(key(), Android::Seven)), "AES-256-CBC/HMAC-SHA1-96");
    assert_eq!(suite(profile::apple(key(), 40000)), "AES-256-CBC/HMAC-SHA1-96");
    assert_eq!(suite(profile::windows(key())), "AES-256-CBC/HMAC-SHA1-96");
    assert_eq!(suite(profile::strongswan(key())), "AES-256-CBC/HMAC-SHA2-256-128");
    assert_eq!(suite(profile::chromeos(key())), "AES-128-GCM-16");
}

#[test]
fn every_esp_suite_is_agreed_on() {
    let mut suites = 0;
    for &cipher in EspCipher::ALL {
        for &auth in EspAuth::ALL {
            let Some(suite) = EspSuite::new(cipher, auth) else { continue };
            let mut world = World::new(client::Config { esp: vec![suite], ..profile::windows(key()) });
            world.settings.policy = Policy::legacy();
            world.connect();
            world.quick_mode();
            world.assert_pairs_match();
            assert_eq!(world.sas[0].inbound_key.len(), suite.key_len());
            assert_ne!(world.sas[0].inbound_key, world.sas[0].outbound_key);
            suites += 1;
        }
    }
    assert_eq!(suites, 4 * 5 + 2);
}

#[test]
fn the_clients_lifetimes_and_identities_come_back() {
    let world = connected(profile::windows(key()));
    let sa = &world.sas[0];
    assert_eq!((sa.life_seconds, sa.life_kilobytes), (Some(3600), Some(250_000)));
    assert_eq!(sa.selectors.client.to_string(), format!("{CLIENT}[17/1701]"));
    assert_eq!(sa.selectors.server.to_string(), format!("{SERVER}[17/1701]"));
    assert_eq!(sa.original_address, Some(CLIENT.parse().unwrap()));
    let world = connected(profile::android(key(), Android::Seven));
    assert_eq!(world.sas[0].selectors.client.port, 0);
    assert_eq!((world.sas[0].life_seconds, world.sas[0].life_kilobytes), (Some(28800), None));
    assert_eq!(world.sas[0].original_address, None);
}

#[test]
fn pfs_is_followed_if_asked_for() {
    for &group in DhGroup::ALL {
        let mut world = World::new(client::Config { pfs: Some(group), ..profile::windows(key()) });
        world.connect();
        world.quick_mode();
        world.assert_pairs_match();
        assert_eq!(world.sas[0].pfs, Some(group));
        assert_eq!(world.drops, []);
    }
}

#[test]
fn pfs_with_a_group_that_the_policy_forbids_is_refused() {
    let mut world = World::new(client::Config { pfs: Some(DhGroup::Modp1024), ..profile::windows(key()) });
    world.settings.policy = Policy::modern();
    world.connect();
    world.quick_mode();
    assert_eq!(world.refusals[0].reason, Reason::NoProposal(Mismatch::Group));
    assert!(world.refusals[0].offered[0].contains("MODP-1024"), "{:?}", world.refusals[0].offered);
}

#[test]
fn a_refusal_is_said_under_protection_and_repeated_byte_for_byte() {
    let esp = vec![EspSuite::new(EspCipher::TripleDesCbc, EspAuth::HmacMd5_96).unwrap()];
    let mut world = World::new(client::Config { esp, ..profile::windows(key()) });
    world.connect();
    let mut out = client::Output::default();
    world.client.start_quick_mode(world.now, &mut out);
    let packet = &out.packets[0];
    let first = world.deliver(packet.path, &packet.buf);
    let again = world.deliver(packet.path, &packet.buf);
    assert_eq!(*first[0].buf, *again[0].buf);
    assert_eq!(world.refusals.len(), 1);
    assert_eq!(world.refusals[0].reason, Reason::NoProposal(Mismatch::Hash));
    assert_eq!(world.refusals[0].stage, Stage::QuickMode);
    let mut next = client::Output::default();
    world.answer_to_client(packet.path, &first[0].buf, &mut next);
    assert!(matches!(
        &next.events[..],
        [
            client::Event::Notified { kind: NotifyType::NO_PROPOSAL_CHOSEN, authenticated: true },
            client::Event::Failed(_)
        ]
    ));
    assert!(world.sas.is_empty());
}

#[test]
fn a_lost_third_message_leaves_an_unconfirmed_pair() {
    let mut world = World::new(profile::windows(key()));
    world.connect();
    let mut out = client::Output::default();
    world.client.start_quick_mode(world.now, &mut out);
    world.deliver(out.packets[0].path, &out.packets[0].buf);
    assert_eq!(world.sas.len(), 1);
    assert!(!world.sas[0].confirmed);
    let deadline = world.ike.poll_timeout().unwrap();
    assert_eq!(deadline, world.now + Duration::from_secs(30));
    world.now = deadline;
    world.server(|ike, now, ctx, out| ike.handle_timeout(now, ctx, out));
    let spi = world.sas[0].inbound_spi;
    assert_eq!(world.count(|e| matches!(e, Event::EspUnconfirmed { inbound_spi } if *inbound_spi == spi)), 1);
}

#[test]
fn identical_windows_clients_with_identical_message_ids() {
    let mut one = World::new(profile::windows(key()));
    let mut two = World::new(profile::windows(key()));
    two.client = Initiator::new(profile::windows(key()), Entropy::from_number(99));
    two.client_nat = Some((NAT, 1000));
    for world in [&mut one, &mut two] {
        world.connect();
        world.quick_mode();
        world.assert_pairs_match();
    }
    // What belongs to one is nobody's business at the other.
    let (path, message) = one.requests.last().unwrap().clone();
    assert!(!two.ike.owns(peek(&message).unwrap().cookies));
    let mut out = Output::default();
    let mut ctx = Context {
        settings: &two.settings,
        entropy: &mut two.entropy,
        worker: WorkerId(7),
        unix_now: 0,
        spi_taken: &|_| false,
    };
    let result = two.ike.handle(two.now, &mut ctx, path, &message, &mut out);
    assert_eq!(result, Err(Drop::UnknownCookies));
}

#[test]
fn an_inbound_spi_is_never_one_that_is_taken() {
    let mut world = World::new(profile::windows(key()));
    world.connect();
    let mut out = client::Output::default();
    world.client.start_quick_mode(world.now, &mut out);
    let Transmit { path, buf } = &out.packets[0];
    let path = world.server_path(*path);
    let refused = std::cell::RefCell::new(Vec::new());
    let taken = |spi: u32| {
        let mut refused = refused.borrow_mut();
        let taken = refused.len() < 5;
        if taken {
            refused.push(spi);
        }
        taken
    };
    let mut ctx = Context {
        settings: &world.settings,
        entropy: &mut world.entropy,
        worker: WorkerId(7),
        unix_now: 0,
        spi_taken: &taken,
    };
    let mut server = Output::default();
    world.ike.handle(world.now, &mut ctx, path, buf, &mut server).unwrap();
    let spi = server.events.iter().find_map(|e| match e {
        Event::EspReady(sa) => Some(sa.inbound_spi),
        _ => None,
    });
    assert!(!refused.borrow().contains(&spi.unwrap()));
    assert_eq!(refused.borrow().len(), 5);
}

#[test]
fn deletes_name_the_clients_spis() {
    let mut world = connected(profile::windows(key()));
    let (ours, theirs) = (world.sas[0].inbound_spi, world.sas[0].outbound_spi);
    assert_eq!(world.ike.inbound_spi_of(theirs), Some(ours));
    let mut out = client::Output::default();
    world.client.delete_esp(theirs, &mut out);
    world.run(out);
    assert_eq!(
        world.count(|e| matches!(e, Event::EspDeleted { inbound_spi, outbound_spi }
            if (*inbound_spi, *outbound_spi) == (ours, theirs))),
        1
    );
    assert_eq!(world.ike.inbound_spi_of(theirs), None);

    let cookies = world.sa().cookies;
    let mut out = client::Output::default();
    world.client.delete_isakmp(cookies, true, &mut out);
    world.run(out);
    assert!(!world.ike.owns(cookies));
    assert_eq!(world.count(|e| matches!(e, Event::IsakmpDeleted { .. })), 1);
    assert_eq!(world.ike.poll_timeout(), None);
}

#[test]
fn goodbye_deletes_everything() {
    let mut world = connected(profile::windows(key()));
    world.quick_mode();
    world.server(|ike, _, ctx, out| ike.delete_all(ctx, out));
    let deleted = |test: fn(&client::Event) -> bool| world.client_events.iter().filter(|e| test(e)).count();
    assert_eq!(deleted(|e| matches!(e, client::Event::EspDeleted { .. })), 2);
    assert_eq!(deleted(|e| matches!(e, client::Event::IsakmpDeleted { .. })), 1);
    assert!(world.client.pairs().is_empty());
    assert!(world.ike.isakmp_sas().next().is_none());
}

#[test]
fn one_pair_can_be_deleted_alone() {
    let mut world = connected(profile::windows(key()));
    world.quick_mode();
    let spi = world.sas[0].inbound_spi;
    world.server(|ike, _, ctx, out| ike.delete_esp(ctx, spi, out));
    assert_eq!(world.client.pairs().len(), 1);
    assert_eq!(world.client.pairs()[0].outbound_spi, world.sas[1].inbound_spi);
}

#[test]
fn the_hash_of_phase_1_is_free_for_phase_2() {
    // A short SKEYID (MD5) under long ESP keys: KEYMAT is fed back several times.
    let mut config = profile::windows(key());
    let suite = crate::crypto::suite::IkeSuite::new(
        crate::crypto::suite::IkeCipher::Aes256,
        HashAlg::Md5,
        DhGroup::Modp1024,
    );
    config.phase1 = vec![profile::phase1_transform(1, suite, 600, profile::AttributeOrder::Racoon)];
    config.esp = vec![EspSuite::new(EspCipher::Aes256Cbc, EspAuth::HmacSha512_256).unwrap()];
    let mut world = World::new(config);
    world.settings.policy = Policy::legacy();
    world.connect();
    world.quick_mode();
    world.assert_pairs_match();
    assert_eq!(world.sas[0].inbound_key.len(), 96);
}
