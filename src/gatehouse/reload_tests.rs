//! A reload ends the sessions that the new configuration has no place for, and touches no other.

use super::for_tests::{Fixture, config};
use super::{Gatehouse, Output};
use crate::config::Config;
use crate::identity::same_name;
use crate::peer::{Answer, LinkKey, PskId};
use crate::story::Cause;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const PASSWORD: &str = "correct horse battery staple";

/// A file in small: hubs with a variant of their network and users with a choice of address; keys with a hub or without.
#[derive(Clone, Debug)]
struct Plan {
    hubs: Vec<Option<(u8, Vec<Option<u8>>)>>,
    psks: Vec<Option<Option<usize>>>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let users = prop::collection::vec(prop::option::weighted(0.7, 0_u8..4), 4);
    let hub = prop::option::weighted(0.8, (prop::sample::select(vec![0_u8, 0, 0, 1]), users));
    let psk = prop::option::weighted(0.8, prop::option::weighted(0.3, 0_usize..3));
    (prop::collection::vec(hub, 3), prop::collection::vec(psk, 3))
        .prop_map(|(hubs, psks)| Plan { hubs, psks })
}

impl Plan {
    /// The file, if there is one that says so.
    fn text(&self) -> Option<String> {
        let mut text = String::from("default_hub: none\nlisten: { raw_l2tp: true }\nipsec:\n  psk:\n");
        let mut keys = 0;
        for (n, psk) in self.psks.iter().enumerate() {
            let Some(hub) = psk else { continue };
            let hub = hub.filter(|hub| self.hubs[*hub].is_some());
            let bound = hub.map_or(String::new(), |hub| format!(", hub: H{hub}"));
            text += &format!("    - {{ key: \"kT7nVpQ2xWz9RbHm4cJ{n}\"{bound} }}\n");
            keys += 1;
        }
        text += "hubs:\n";
        let mut hubs = 0;
        for (h, hub) in self.hubs.iter().enumerate() {
            let Some((variant, users)) = hub else { continue };
            hubs += 1;
            text += &format!(
                "  H{h}:\n    network: 10.{}.{h}.0/24\n    users:\n      nobody: {{ password: \"{PASSWORD}\" }}\n",
                60 + variant
            );
            let mut taken = Vec::new();
            for (u, user) in users.iter().enumerate() {
                let Some(choice) = user else { continue };
                // 0 and 1: no address of their own; 2 and 3: .102 and .103, for the first who wants it.
                let fixed = (*choice >= 2 && !taken.contains(choice)).then(|| {
                    taken.push(*choice);
                    format!(", address: 10.{}.{h}.10{choice}", 60 + variant)
                });
                text += &format!("      u{u}: {{ password: \"{PASSWORD}\"{} }}\n", fixed.unwrap_or_default());
            }
        }
        (keys > 0 && hubs > 0).then_some(text)
    }
}

/// Whether a configuration has a place for a session as it is. A second device of a user with a fixed address has one of
/// the range, and keeps it unless the user's address has changed.
fn has_place(old: &Config, config: &Config, hub: &str, user: &str, address: Ipv4Addr, psk: PskId) -> bool {
    let had = old.hub(hub).and_then(|hub| hub.user(user)).and_then(|user| user.address);
    let Some(hub) = config.hub(hub) else { return false };
    let Some(user) = hub.user(user) else { return false };
    let Some(psk) = config.ipsec.psks.iter().find(|key| key.id == psk.0) else { return false };
    let key_opens = psk.hub.is_none_or(|index| same_name(&config.hubs[index].name, &hub.name));
    let owner = hub.users.iter().find(|owner| owner.address == Some(address));
    key_opens
        && hub.network.contains(address)
        && user.address.is_none_or(|own| own == address || had == Some(own))
        && owner.is_none_or(|owner| same_name(&owner.name, &user.name))
}

/// What identifies a session and must not change under it.
fn sessions(gatehouse: &Gatehouse) -> BTreeMap<LinkKey, (u64, String, String, Ipv4Addr, PskId)> {
    let row = |session: &super::Session| {
        let who = &session.who;
        let place = (who.hub().to_owned(), who.user().to_owned());
        (session.link, (session.number, place.0, place.1, session.address.unwrap(), session.psk.unwrap()))
    };
    gatehouse.sessions().map(row).collect()
}

fn reload(fixture: &mut Fixture, new: &Config) -> Vec<LinkKey> {
    let old = fixture.gatehouse.config().clone();
    let mut new = new.clone();
    new.renumber_psks(&old);
    let changes = old.changes_to(&new, fixture.clock.unix);
    let mut out = Output::default();
    let ended = fixture.gatehouse.apply(fixture.clock, new.into(), &changes, &mut out);
    let closed: Vec<LinkKey> = out
        .answers
        .iter()
        .map(|answer| match answer {
            Answer::Close { link, cause: Cause::ConfigurationChanged } => *link,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(closed.len(), ended);
    closed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn untouched_sessions_stay_and_the_others_end(old in plan(), steps in prop::collection::vec(plan(), 1..4)) {
        let Some(text) = old.text() else { return Ok(()) };
        let mut fixture = Fixture::new(config(&text));
        for (h, _) in old.hubs.iter().enumerate() {
            for u in 0..4 {
                for psk in 0..fixture.gatehouse.config().ipsec.psks.len() as u16 {
                    fixture.connect_with(&format!("u{u}@H{h}"), PASSWORD, "203.0.113.7:4500", PskId(psk));
                }
            }
        }
        for new in steps.iter().filter_map(Plan::text).map(|text| config(&text)) {
            let before = sessions(&fixture.gatehouse);
            let old = fixture.gatehouse.config().clone();
            let closed = reload(&mut fixture, &new);
            let after = sessions(&fixture.gatehouse);
            let config = fixture.gatehouse.config().clone();
            for (link, session) in &before {
                let (_, hub, user, address, psk) = session;
                let stays = has_place(&old, &config, hub, user, *address, *psk);
                prop_assert_eq!(after.contains_key(link), !closed.contains(link));
                if !stays {
                    prop_assert!(closed.contains(link), "{:?} has no place and stays", session);
                } else if closed.contains(link) {
                    prop_assert!(false, "{:?} has a place and ends", session);
                } else {
                    prop_assert_eq!(after.get(link), Some(session));
                }
            }
            prop_assert_eq!(after.len(), before.len() - closed.len());
            for hub in &config.hubs {
                let id = fixture.gatehouse.hub_named(&hub.name).unwrap();
                let ports = fixture.gatehouse.hub(id).unwrap().port_count();
                prop_assert_eq!(ports, fixture.gatehouse.sessions_in(id).count());
            }
            prop_assert_eq!(fixture.gatehouse.hubs().len(), config.hubs.len());
        }
    }
}

const OFFICE: &str = r#"
ipsec: { psk: "kT7nVpQ2xWz9RbHm4cJd" }
default_hub: OFFICE
hubs:
  OFFICE:
    network: 10.60.0.0/24
    users: { jiro: { password: "correct horse battery staple" }, yas: { password: "correct horse battery staple" } }
"#;

#[test]
fn a_hub_that_comes_is_open_at_once_and_gets_a_number_of_its_own() {
    let mut fixture = Fixture::new(config(OFFICE));
    let (jiro, _) = fixture.connect("jiro", PASSWORD, "203.0.113.7:4500");
    let more = "  ANNEX:\n    network: 10.61.0.0/24\n    users: { ken: { password: \"correct horse battery staple\" } }\n";
    // Before OFFICE in the order of names: positions shift, numbers do not.
    assert_eq!(reload(&mut fixture, &config(&format!("{OFFICE}{more}"))), []);
    let office = fixture.gatehouse.hub_named("office").unwrap();
    let annex = fixture.gatehouse.hub_named("annex").unwrap();
    assert_eq!((office.0, annex.0), (0, 1));
    assert_eq!(fixture.connect("ken@annex", PASSWORD, "203.0.113.8:4500").1, None);
    assert_eq!(fixture.gatehouse.sessions_in(office).map(|session| session.link).collect::<Vec<_>>(), [jiro]);
    // It goes, and a hub of its name that comes later is another one.
    assert_eq!(reload(&mut fixture, &config(OFFICE)).len(), 1);
    assert_eq!(fixture.connect("ken@annex", PASSWORD, "203.0.113.8:4500").1, Some(Cause::UnknownHub));
    reload(&mut fixture, &config(&format!("{OFFICE}{more}")));
    assert_eq!(fixture.gatehouse.hub_named("annex").unwrap().0, 2);
    assert_eq!(fixture.connect("jiro", PASSWORD, "203.0.113.7:4500").1, None);
}

#[test]
fn a_changed_password_and_range_count_from_the_next_connection_on() {
    let mut fixture = Fixture::new(config(OFFICE));
    fixture.connect("jiro", PASSWORD, "203.0.113.7:4500");
    let new = OFFICE
        .replace("jiro: { password: \"correct", "jiro: { password: \"another")
        .replace("    users", "    dhcp: { range: 10.60.0.200-10.60.0.201 }\n    users");
    assert_eq!(reload(&mut fixture, &config(&new)), []);
    assert_eq!(fixture.gatehouse.session_count(), 1);
    assert_eq!(fixture.connect("jiro", PASSWORD, "203.0.113.9:4500").1, Some(Cause::WrongPassword));
    let (link, cause) = fixture.connect("yas", PASSWORD, "203.0.113.8:4500");
    assert_eq!(cause, None);
    let yas = fixture.gatehouse.sessions().find(|session| session.link == link).unwrap();
    assert!(yas.address.unwrap() >= Ipv4Addr::new(10, 60, 0, 200), "{:?}", yas.address);
}

#[test]
fn a_hub_is_offline_where_the_file_says_so_and_by_hand_until_it_says_something_new() {
    let offline = OFFICE.replace("    users", "    online: false\n    users");
    let mut fixture = Fixture::new(config(&offline));
    let connect = |fixture: &mut Fixture| fixture.connect("jiro", PASSWORD, "203.0.113.7:4500").1;
    assert_eq!(connect(&mut fixture), Some(Cause::HubOffline));
    assert_eq!(reload(&mut fixture, &config(OFFICE)), []);
    assert_eq!(connect(&mut fixture), None);
    // It ends who is there.
    assert_eq!(reload(&mut fixture, &config(&offline)).len(), 1);
    assert_eq!(connect(&mut fixture), Some(Cause::HubOffline));
    // What was said by hand stays over a reload that is about something else.
    let id = fixture.gatehouse.hub_named("office").unwrap();
    fixture.gatehouse.hub_mut(id).unwrap().set_online(true);
    let other = offline.replace("    users", "    note: closed for the summer\n    users");
    reload(&mut fixture, &config(&other));
    assert_eq!(connect(&mut fixture), None);
}
