use super::*;
use crate::client::ike::profile::{self, Android, AttributeOrder};
use crate::crypto::cbc;
use crate::crypto::suite::{DhGroup, HashAlg, IkeCipher, IkeSuite};
use crate::wire::isakmp::payload::{IdType, Identity, NotifyType};
use crate::wire::isakmp::{Chain, ExchangeType, Header, PayloadType};
use std::net::IpAddr;

fn clients() -> Vec<(ClientHint, client::Config)> {
    vec![
        (ClientHint::Android, profile::android(key(), Android::Four)),
        (ClientHint::Android, profile::android(key(), Android::Six)),
        (ClientHint::Android, profile::android(key(), Android::Seven)),
        (ClientHint::Apple, profile::apple(key(), 54321)),
        (ClientHint::Windows, profile::windows(key())),
        (ClientHint::StrongSwan, profile::strongswan(key())),
        (ClientHint::NetworkManager, profile::network_manager(key())),
        (ClientHint::ChromeOs, profile::chromeos(key())),
        (ClientHint::Libreswan, profile::libreswan(key())),
    ]
}

#[test]
fn every_client_gets_a_pair_behind_a_nat_and_without() {
    for nat in [true, false] {
        for (hint, config) in clients() {
            let mut world = World::new(config);
            if !nat {
                world = world.without_nat();
            }
            world.connect();
            assert_eq!(world.sa().client.hint, hint);
            assert_eq!(world.sa().psk, PskId(2));
            assert_eq!(world.sa().nat.client_behind, nat, "{hint}");
            assert!(!world.sa().nat.server_behind);
            world.quick_mode();
            world.assert_pairs_match();
            assert_eq!(world.sas[0].udp_encap, nat);
            assert_eq!(world.count(|e| matches!(e, Event::EspConfirmed { .. })), 1, "{hint}");
            assert_eq!(world.drops, [], "{hint}");
            let float = world.requests.last().unwrap().0.encap == Encap::NatT;
            assert_eq!(float, nat);
        }
    }
}

#[test]
fn every_suite_works_with_short_and_long_keys() {
    for &group in DhGroup::ALL {
        for &cipher in IkeCipher::ALL {
            for &hash in HashAlg::ALL {
                // Every group with one cipher and hash, every cipher with every hash.
                let cheap = group == DhGroup::Ecp256;
                if !cheap && (cipher, hash) != (IkeCipher::Aes256, HashAlg::Md5) {
                    continue;
                }
                let suite = IkeSuite::new(cipher, hash, group);
                let mut config = profile::windows(key());
                config.phase1 = vec![profile::phase1_transform(1, suite, 600, AttributeOrder::Charon)];
                let mut world = World::new(config);
                world.settings.policy = Policy::legacy();
                world.connect();
                assert_eq!(world.sa().suite, suite);
                assert_eq!(world.sa().lifetime, minutes(10));
                world.quick_mode();
                world.assert_pairs_match();
            }
        }
    }
}

#[test]
fn our_ranking_decides() {
    let chosen = |config| {
        let mut world = World::new(config);
        world.connect();
        world.sa().suite.to_string()
    };
    assert_eq!(chosen(profile::windows(key())), "AES-128-CBC/SHA1/ECP-256");
    assert_eq!(chosen(profile::apple(key(), 1701)), "AES-256-CBC/SHA2-256/MODP-2048");
    assert_eq!(chosen(profile::android(key(), Android::Seven)), "AES-256-CBC/SHA2-256/MODP-1024");
    assert_eq!(chosen(profile::android(key(), Android::Four)), "AES-256-CBC/SHA1/MODP-1024");
    assert_eq!(chosen(profile::network_manager(key())), "AES-128-CBC/SHA1/ECP-256");
}

#[test]
fn a_modern_policy_refuses_android_and_says_why() {
    let mut world = World::new(profile::android(key(), Android::Seven));
    world.settings.policy = Policy::modern();
    world.connect();
    let [refusal] = &world.refusals[..] else { panic!("one refusal") };
    assert_eq!(refusal.reason, Reason::NoProposal(Mismatch::Group));
    assert_eq!(refusal.stage, Stage::Offer);
    assert_eq!(refusal.hint, ClientHint::Android);
    assert_eq!(refusal.offered[0], "AES-256-CBC/SHA2-384/MODP-1024");
    assert!(world.half.is_none());
    assert!(world.client_events.iter().any(|e| matches!(
        e,
        client::Event::Notified { kind: NotifyType::NO_PROPOSAL_CHOSEN, authenticated: false }
    )));
}

#[test]
fn answers_hold_nothing_that_racoon_would_not_expect() {
    let mut world = World::new(profile::android(key(), Android::Seven));
    world.connect();
    let kinds = |message: &[u8]| {
        let (header, body) = crate::wire::isakmp::Header::parse(message).unwrap();
        assert_eq!(header.flags.0, 0);
        let chain = Chain::parse(header.first, body).unwrap();
        chain.payloads().iter().map(|p| p.kind).collect::<Vec<_>>()
    };
    use PayloadType as P;
    assert_eq!(kinds(&world.replies[0]), [P::SA, P::VENDOR_ID, P::VENDOR_ID]);
    assert_eq!(kinds(&world.replies[1]), [P::KE, P::NONCE, P::NAT_D, P::NAT_D]);
    assert_eq!(world.replies[0][8], 7, "the worker's number in our cookie");
}

/// Message 6 is encrypted with the last block of message 5 as its IV.
#[test]
fn our_identity_is_our_address_and_names_no_port() {
    for (hint, config) in clients() {
        let mut world = World::new(config);
        world.connect();
        let (_, request) = &world.requests[2];
        let cipher = world.sa().suite.cipher;
        let (header, body) = Header::parse(&world.replies[2]).unwrap();
        let mut plain = body.to_vec();
        let iv = &request[request.len() - cipher.block_len()..];
        cbc::decrypt(cipher, world.sa().cipher_key(), iv, &mut plain).unwrap();
        let chain = Chain::parse(header.first, &plain).unwrap();
        let id = Identity::parse(chain.first(PayloadType::ID).unwrap()).unwrap();
        assert_eq!((id.kind, id.protocol, id.port), (IdType::IPV4_ADDR, 0, 0), "{hint}");
        let address = SERVER.parse::<std::net::Ipv4Addr>().unwrap();
        assert_eq!(id.data, address.octets(), "{hint}");
    }
}

#[test]
fn drafts_of_nat_traversal_have_their_own_numbers() {
    let mut config = profile::windows(key());
    config.vendor_ids = vec![vid::NAT_T_02N.to_vec()];
    let mut world = World::new(config);
    world.connect();
    assert_eq!(world.sa().nat.version, Some(NatVersion::Draft02n));
    world.quick_mode();
    world.assert_pairs_match();
    assert!(world.sas[0].udp_encap);
    assert_eq!(world.sas[0].original_address, Some(CLIENT.parse().unwrap()));
}

#[test]
fn a_client_without_nat_traversal_gets_plain_esp() {
    let mut config = profile::windows(key());
    config.vendor_ids.clear();
    let mut world = World::new(config);
    world.connect();
    world.quick_mode();
    assert!(!world.sas[0].udp_encap);
    assert_eq!(world.sa().nat, NatSituation::default());
}

#[test]
fn udp_encapsulation_can_be_forced_from_the_clients_side_only() {
    let mut world = World::new(profile::windows(key())).without_nat();
    world.settings.force_udp_encapsulation = true;
    world.connect();
    world.quick_mode();
    world.assert_pairs_match();
    assert!(world.sas[0].udp_encap && world.sa().nat.forced);
    assert!(world.client_events.iter().any(|e| matches!(
        e,
        client::Event::IsakmpUp { client_behind_nat: true, server_behind_nat: false, .. }
    )));
}

#[test]
fn a_server_behind_a_nat_is_seen_or_hidden() {
    for hide in [false, true] {
        let mut world = World::new(profile::windows(key()));
        world.server_nat = Some("192.0.2.200");
        world.settings.public_addresses = vec!["192.0.2.200".parse().unwrap()];
        let quirks = Quirks { hide_server_nat: hide, ..Quirks::of(ClientHint::Windows) };
        world.settings.quirks = vec![(ClientHint::Windows, quirks.into())];
        world.connect();
        assert!(world.sa().nat.server_behind);
        let seen = |e: &client::Event| matches!(e, client::Event::IsakmpUp { server_behind_nat, .. } if *server_behind_nat != hide);
        assert!(world.client_events.iter().any(seen));
        world.quick_mode();
        world.assert_pairs_match();
    }
}

#[test]
fn ipv6_works_like_ipv4() {
    let mut world = World::new(profile::windows(key())).without_nat();
    let mut out = client::Output::default();
    let path = Path {
        encap: Encap::Ike,
        local: "[2001:db8::20]:500".parse().unwrap(),
        remote: "[2001:db8::1]:500".parse().unwrap(),
    };
    world.client.start(world.now, path, &mut out);
    // The world's addresses are IPv4, so it has to be driven by hand.
    for _ in 0..8 {
        let mut next = client::Output::default();
        for packet in out.packets {
            let mirrored =
                Path { encap: packet.path.encap, local: packet.path.remote, remote: packet.path.local };
            let mut server = Output::default();
            let mut ctx = Context {
                settings: &world.settings,
                entropy: &mut world.entropy,
                worker: WorkerId(7),
                unix_now: 0,
                spi_taken: &|_| false,
            };
            match &mut world.half {
                None => {
                    let half = Phase1::recv_first(world.now, &mut ctx, mirrored, &packet.buf, &mut server);
                    world.half = Some(half.unwrap());
                }
                Some(half) => half.handle(world.now, &mut ctx, mirrored, &packet.buf, &mut server).unwrap(),
            }
            for reply in world.settle(server) {
                world.client.handle(world.now, packet.path, &reply.buf, &mut next).unwrap();
            }
        }
        out = next;
    }
    assert!(!world.sa().nat.detected());
    assert_eq!(world.sa().remote_id.to_address(), Some("2001:db8::20".parse::<IpAddr>().unwrap()));
}

#[test]
fn a_new_phase_1_straight_on_4500_joins() {
    let mut world = World::new(profile::apple(key(), 55555));
    world.connect();
    world.quick_mode();
    let mut out = client::Output::default();
    let path = Path { encap: Encap::NatT, ..world.client_path() };
    let port = |address: SocketAddr| SocketAddr::new(address.ip(), 4500);
    let path = Path { local: port(path.local), remote: port(path.remote), ..path };
    world.client.start(world.now, path, &mut out);
    world.run(out);
    assert_eq!(world.ike.isakmp_sas().count(), 2);
    assert!(world.sa().nat.client_behind);
    assert_eq!(world.count(|e| matches!(e, Event::InitialContact { .. })), 1, "not on a rekey");
    world.quick_mode();
    world.assert_pairs_match();
}

#[test]
fn every_repeated_request_is_answered_with_the_same_bytes() {
    let mut world = World::new(profile::android(key(), Android::Seven));
    let mut out = client::Output::default();
    let path = world.client_path();
    world.client.start(world.now, path, &mut out);
    let step = |world: &mut World, out: client::Output| {
        let [packet] = &out.packets[..] else { panic!("one request") };
        let first = world.deliver(packet.path, &packet.buf);
        let cookies = world.half.as_ref().map(Phase1::cookies);
        let again = world.deliver(packet.path, &packet.buf);
        assert_eq!(first.len(), 1);
        assert_eq!(*first[0].buf, *again[0].buf);
        assert_eq!(world.half.as_ref().map(Phase1::cookies), cookies);
        assert_eq!(world.drops.pop(), Some(Drop::Repeated));
        let mut next = client::Output::default();
        world.answer_to_client(packet.path, &first[0].buf, &mut next);
        next
    };
    out = step(&mut world, out); // MM1
    out = step(&mut world, out); // MM3
    out = step(&mut world, out); // MM5
    assert_eq!(out.packets.len(), 1, "INITIAL-CONTACT");
    assert_eq!(world.ike.isakmp_sas().count(), 1);
    let mut quick = client::Output::default();
    world.client.start_quick_mode(world.now, &mut quick);
    let out = step(&mut world, quick); // QM1
    assert_eq!(world.sas.len(), 1, "one pair for both");
    let qm3 = &out.packets[0];
    for repeated in [false, true] {
        assert!(world.deliver(qm3.path, &qm3.buf).is_empty());
        assert_eq!(world.drops.pop(), repeated.then_some(Drop::Repeated));
    }
}

#[test]
fn a_wrong_key_is_said_once_and_the_exchange_stays_open() {
    let mut world = World::new(profile::android("wrong".into(), Android::Seven));
    world.connect();
    assert!(world.ike.isakmp_sas().next().is_none());
    assert_eq!(world.refusals[0].reason, Reason::WrongKey);
    let notified = |world: &World| {
        let authentication_failed = |e: &&client::Event| {
            matches!(e, client::Event::Notified { kind: NotifyType::AUTHENTICATION_FAILED, .. })
        };
        world.client_events.iter().filter(authentication_failed).count()
    };
    assert_eq!(notified(&world), 1);
    for _ in 0..3 {
        world.now += Duration::from_secs(3);
        let mut out = client::Output::default();
        world.client.handle_timeout(world.now, &mut out);
        world.run(out);
    }
    assert_eq!(notified(&world), 1, "one notify per exchange");
    assert_eq!(world.refusals.len(), 1, "a repeat is not a second try");
    let half = world.half.as_mut().unwrap();
    let mut out = Output::default();
    half.handle_timeout(world.now + minutes(1), &mut out);
    assert!(half.is_done() && half.poll_timeout().is_none());
    assert!(matches!(&out.events[..], [Event::Refused(r)] if r.reason == Reason::TimedOut));
}

#[test]
fn a_key_past_its_date_is_told_from_a_wrong_one() {
    let mut world = World::new(profile::windows("old key".into()));
    world.settings.psks[0].until = Some(world.unix_now);
    world.connect();
    assert_eq!(world.refusals[0].reason, Reason::ExpiredKey);
    world.unix_now -= 1;
    world.half = None;
    world.connect();
    assert_eq!(world.sa().psk, PskId(1));
}

#[test]
fn sixteen_keys_are_tried_and_no_more() {
    for (position, found) in [(15, true), (16, false)] {
        let mut world = World::new(profile::windows(key()));
        world.settings.psks =
            (0..20).map(|n| psk(n, if n == position { "the right key" } else { "other" })).collect();
        world.connect();
        assert_eq!(world.ike.isakmp_sas().any(|sa| sa.psk == PskId(position)), found);
    }
}

#[test]
fn apple_and_strongswan_fail_at_once_with_a_wrong_key() {
    for config in [profile::apple("wrong".into(), 1701), profile::strongswan("wrong".into())] {
        let mut world = World::new(config);
        world.connect();
        assert!(matches!(
            world.client_events.last(),
            Some(client::Event::Failed(client::Failure::Refused(NotifyType::AUTHENTICATION_FAILED)))
        ));
    }
}

#[test]
fn initial_contact_is_heard_in_both_places() {
    for config in [profile::strongswan(key()), profile::android(key(), Android::Seven)] {
        let mut world = World::new(config);
        world.connect();
        assert_eq!(world.count(|e| matches!(e, Event::InitialContact { .. })), 1);
    }
}

#[test]
fn other_exchanges_are_refused_by_name() {
    let mut world = World::new(profile::windows(key()));
    let mut out = client::Output::default();
    let path = world.client_path();
    world.client.start(world.now, path, &mut out);
    let mut message = out.packets[0].buf.to_vec();
    message[18] = ExchangeType::BASE.0;
    assert!(world.deliver(path, &message).is_empty());
    assert_eq!(world.refusals[0].reason, Reason::Exchange(ExchangeType::BASE));
    assert_eq!(world.drops, [Drop::IkeExchangeRefused]);
}
