//! Wrong keys and passwords: who guesses is slowed down and barred; who merely mistypes, or shares an address with a
//! guesser, is not kept out.

use crate::net::nat::Nat;
use crate::world::{ClientId, NatId, OFFICE_GATEWAY, Office, World, login};
use sekisho::client::Profile;
use sekisho::control::Command;
use sekisho::crypto::Secret;
use sekisho::packet::Drop;
use sekisho::story::Cause;
use std::time::Duration;

/// The address of the first NAT of a world.
const HOME: &str = "203.0.113.1";

fn guess(world: &mut World, client: ClientId, user: &str) {
    let mut wrong = login(user);
    wrong.password = Secret::from("guessed");
    world[client].device.set_login(wrong);
    world.fail_to_connect(client);
}

fn last_cause(world: &World) -> Cause {
    world.gateway().last_story().cause
}

fn dropped(world: &World, drop: Drop) -> u64 {
    world.gateway().workers[0].drops().of(drop)
}

fn bans(world: &mut World) -> Vec<(String, String)> {
    let rows = world.control(Command::BanList {}).unwrap();
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
    rows.iter().map(|row| (text(row, "who"), text(row, "state"))).collect()
}

fn home(world: &mut World) -> NatId {
    world.nat(Nat::home())
}

#[test]
fn wrong_passwords_slow_a_source_down_and_then_bar_it() {
    let mut world =
        World::with(Office::default().top("penalties: { slow_after: 2, bar_after: 4, bar_for: 5m }"));
    let nat = home(&mut world);
    let client = world.client(Profile::strongswan(), "jiro", nat);
    for n in 1..=4 {
        guess(&mut world, client, "jiro");
        assert_eq!(last_cause(&world), Cause::WrongPassword, "{n}");
        let state = match n {
            1 => "counted",
            2 | 3 => "slowed",
            _ => "barred",
        };
        assert!(
            bans(&mut world).contains(&(HOME.to_owned(), state.to_owned())),
            "{n}: {:?}",
            bans(&mut world)
        );
    }
    // The right password is of no use now, and the story says why.
    world[client].device.set_login(login("jiro"));
    world.fail_to_connect(client);
    assert_eq!((last_cause(&world), world.gateway().last_story().from.contains(HOME)), (Cause::Banned, true));
    assert!(dropped(&world, Drop::Barred) > 0);
    // Elsewhere it is.
    let elsewhere = home(&mut world);
    let other = world.client(Profile::strongswan(), "jiro", elsewhere);
    world.connect(other);
    world.stop(other);
    // Time goes by.
    world.run_for(Duration::from_secs(300));
    world.connect(client);
    assert!(world.ping(client, OFFICE_GATEWAY));
}

#[test]
fn wrong_keys_bar_a_source_and_an_administrator_lets_it_off() {
    let mut world = World::with(Office::default().top("penalties: { bar_after: 4, bar_for: 1h }"));
    let nat = home(&mut world);
    let client = world.client(Profile::strongswan().with_psk("not the key that everybody has"), "jiro", nat);
    for n in 0..4 {
        world.fail_to_connect(client);
        assert_eq!(last_cause(&world), Cause::WrongPsk, "{n}");
    }
    let right = world.client(Profile::windows10(), "yas", nat);
    world.fail_to_connect(right);
    assert_eq!(last_cause(&world), Cause::Banned);
    let cleared = world.control(Command::BanClear { who: Some(HOME.into()) }).unwrap();
    assert_eq!(cleared.len(), 1);
    world.connect(right);
    // Nothing is left against it, so there is nothing to clear.
    world.control(Command::BanClear { who: Some(HOME.into()) }).unwrap_err();
}

/// An exchange takes several proofs, so that garbage on the way does not end it: who sends many guesses many keys.
#[test]
fn every_key_guessed_in_one_exchange_counts() {
    let mut world = World::with(Office::default().top("penalties: { bar_after: 4, bar_for: 1h }"));
    let nat = home(&mut world);
    let client = world.client(Profile::windows10().with_psk("not the key that everybody has"), "jiro", nat);
    world.listen();
    world.start(client);
    world.run_for(Duration::from_secs(1));
    let mut heard = world.heard().into_iter().map(|(_, packet)| packet);
    let proof = heard.find(|packet| packet.ike_header().is_some_and(|header| header.is_encrypted())).unwrap();
    for guess in 0..4 {
        let mut proof = proof.clone();
        *proof.bytes.last_mut().unwrap() ^= 1 << guess;
        world.inject(proof);
    }
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.gateway().causes(), [Cause::WrongPsk]);
    assert!(bans(&mut world).contains(&(HOME.to_owned(), "barred".to_owned())), "{:?}", bans(&mut world));
}

#[test]
fn others_behind_the_same_nat_go_on_and_come_back() {
    let mut world = World::with(Office::default().top("penalties: { slow_after: 1, bar_after: 3 }"));
    let nat = home(&mut world);
    let good = world.client(Profile::windows10(), "yas", nat);
    world.connect(good);
    let bad = world.client(Profile::strongswan(), "jiro", nat);
    for _ in 0..6 {
        guess(&mut world, bad, "jiro");
    }
    assert!(!world.gateway().causes().contains(&Cause::Banned), "{:?}", world.gateway().causes());
    assert!(bans(&mut world).contains(&(HOME.to_owned(), "slowed".to_owned())));
    assert!(world.ping(good, OFFICE_GATEWAY));
    // A third one of the same house is slow to come in, but does.
    let third = world.client(Profile::ios17(), "mika", nat);
    world.connect(third);
    world.renew_esp(good);
    world.run_for(Duration::from_secs(5));
    assert!(world.ping(good, OFFICE_GATEWAY) && world.ping(third, OFFICE_GATEWAY));
}

#[test]
fn a_bar_by_hand_keeps_new_ones_out_and_leaves_who_is_in() {
    let mut world = World::new();
    let nat = home(&mut world);
    let inside = world.client(Profile::windows10(), "yas", nat);
    world.connect(inside);
    world.control(Command::BanAdd { who: "203.0.113.0/24".into(), seconds: 600 }).unwrap();
    let newcomer = world.client(Profile::ios17(), "mika", nat);
    world.fail_to_connect(newcomer);
    assert_eq!(last_cause(&world), Cause::Banned);
    assert!(world.ping(inside, OFFICE_GATEWAY));
    // Its keys are renewed, Phase 1 too.
    let before = world[inside].rekeys();
    world.renew_esp(inside);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world[inside].rekeys(), before + 1);
    world.control(Command::BanClear { who: None }).unwrap();
    world.connect(newcomer);
    // A user may be barred as well, by the name as it is typed.
    world.stop(newcomer);
    world.control(Command::BanAdd { who: "mika".into(), seconds: 600 }).unwrap();
    world.fail_to_connect(newcomer);
    assert_eq!(
        (last_cause(&world), world.gateway().last_story().stage.as_str()),
        (Cause::Banned, "authentication")
    );
}

#[test]
fn a_reload_takes_the_new_rules_at_once() {
    let strict = Office::default().top("penalties: { slow_after: 1, bar_after: 2, bar_for: 1h }");
    let mut world = World::with(strict);
    let nat = home(&mut world);
    let client = world.client(Profile::strongswan(), "jiro", nat);
    for _ in 0..2 {
        guess(&mut world, client, "jiro");
    }
    guess(&mut world, client, "jiro");
    assert_eq!(last_cause(&world), Cause::Banned);
    world.reload(&Office::default().top(&format!("penalties: {{ exempt: [{HOME}] }}")));
    world[client].device.set_login(login("jiro"));
    world.connect(client);
}
