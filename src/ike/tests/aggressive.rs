use super::*;
use crate::client::ike::Mode;
use crate::client::ike::profile::{self, Android};
use crate::wire::isakmp::payload::{IdType, Identity};

fn grouped(config: client::Config, name: &str) -> client::Config {
    let id = Identity { kind: IdType::KEY_ID, protocol: 0, port: 0, data: name.into() };
    client::Config { mode: Mode::Aggressive(id), ..config }
}

fn world(config: client::Config) -> World {
    let mut world = World::new(config);
    world.settings.groups = vec![Group { name: b"office".to_vec(), psk: psk(9, "the group's key") }];
    world
}

#[test]
fn a_configured_group_gets_in_with_its_own_key() {
    for nat in [true, false] {
        for config in [profile::android("the group's key".into(), Android::Seven), {
            profile::apple("the group's key".into(), 1701)
        }] {
            let mut world = world(grouped(config, "office"));
            if !nat {
                world = world.without_nat();
            }
            world.connect();
            assert_eq!(world.sa().psk, PskId(9));
            assert_eq!(world.sa().remote_id.data, b"office");
            assert_eq!(world.sa().nat.client_behind, nat);
            world.quick_mode();
            world.assert_pairs_match();
            assert_eq!(world.drops, []);
        }
    }
}

#[test]
fn an_unknown_group_is_refused_and_nothing_is_answered() {
    let mut world = world(grouped(profile::android(key(), Android::Seven), "elsewhere"));
    world.connect();
    assert_eq!(world.refusals[0].reason, Reason::UnknownGroup("KEY_ID elsewhere".into()));
    assert!(world.replies.is_empty() && world.half.is_none());
}

#[test]
fn the_keys_for_everybody_do_not_open_a_group() {
    let mut world = world(grouped(profile::android(key(), Android::Seven), "office"));
    world.connect();
    assert!(world.ike.isakmp_sas().next().is_none());
    assert!(
        world.client_events.iter().any(|e| matches!(e, client::Event::Failed(client::Failure::WrongKey)))
    );
}

#[test]
fn a_lost_third_message_is_asked_for_again() {
    let mut world = world(grouped(profile::android("the group's key".into(), Android::Seven), "office"));
    let mut out = client::Output::default();
    let path = world.client_path();
    world.client.start(world.now, path, &mut out);
    let second = world.deliver(path, &out.packets[0].buf);
    let mut lost = client::Output::default();
    world.answer_to_client(path, &second[0].buf, &mut lost);
    assert!(!lost.packets.is_empty(), "and never delivered");

    world.now += Duration::from_secs(3);
    let half = world.half.as_mut().unwrap();
    assert_eq!(half.poll_timeout(), Some(world.now));
    let mut out = Output::default();
    half.handle_timeout(world.now, &mut out);
    assert_eq!(*out.packets[0].buf, *second[0].buf);
    let mut again = client::Output::default();
    world.answer_to_client(path, &out.packets[0].buf, &mut again);
    world.run(again);
    assert_eq!(world.sa().psk, PskId(9));
    world.quick_mode();
    world.assert_pairs_match();
}

#[test]
fn garbage_as_third_message_changes_nothing() {
    let mut world = world(grouped(profile::android("the group's key".into(), Android::Seven), "office"));
    let mut out = client::Output::default();
    let path = world.client_path();
    world.client.start(world.now, path, &mut out);
    let second = world.deliver(path, &out.packets[0].buf);
    let mut third = client::Output::default();
    world.answer_to_client(path, &second[0].buf, &mut third);
    let packet = &third.packets[0];
    // Behind the proof stand the NAT-D payloads, which it does not cover.
    for at in 28..28 + 16 {
        let mut forged = packet.buf.to_vec();
        forged[at] ^= 1;
        world.deliver(packet.path, &forged);
        assert!(world.ike.isakmp_sas().next().is_none());
    }
    world.run(third);
    assert_eq!(world.ike.isakmp_sas().count(), 1);
}
