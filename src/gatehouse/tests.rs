//! Admission, limits and places, asked as a worker asks.

use super::*;
use crate::config::{FileFacts, load};
use crate::crypto::Secret;
use crate::identity::account::Proof;
use crate::l2tp::{SessionId, SessionKey, TunnelId};
use crate::packet::{Encap, Path, WorkerId};
use crate::peer::{Authenticate, Meter, PeerKey, Place};
use crate::ppp::{AuthError, AuthVerdict};
use crate::story::{Attempt, AttemptId, Stage};
use std::net::Ipv4Addr;
use std::time::Duration;

const CONFIG: &str = r#"
listen: { raw_l2tp: true }
ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }
default_hub: HUB1
penalties: { exempt: [198.51.100.0/24] }
hubs:
  HUB1:
    network: 10.60.0.0/24
    dhcp: { range: 10.60.0.10-10.60.0.12, dns: [10.60.0.1, 9.9.9.9] }
    users:
      jiro: { password: "jiro-pw" }
      yas: { password: "yas-pw", address: 10.60.0.50 }
      hash: { nt_hash: "8846f7eaee8fb117ad06bdd830b7586c" }
      pump: { password: "pump-pw", allow_raw_l2tp: true }
      one: { password: "one-pw", max_sessions: 1, on_limit: deny }
      new: { password: "new-pw", max_sessions: 1, on_limit: replace-oldest }
      same: { password: "same-pw", max_sessions: 1, on_limit: replace-same-device }
      two: { password: "two-pw", max_sessions: 2, on_limit: replace-oldest }
  GUESTS: { network: 10.61.0.0/24, users: { visitor: { password: "visitor-pw" } } }
"#;

type Verdict = Result<LinkKey, (AuthError, Cause)>;

struct World {
    clock: Clock,
    gate: Gatehouse,
    links: u32,
}

/// A device in front of a user.
#[derive(Clone, Copy)]
struct Device {
    name: &'static str,
    identity: &'static str,
    address: &'static str,
}

const PHONE: Device =
    Device { name: "Android/anonymous", identity: "192.168.1.20[17/500]", address: "198.51.100.7:4500" };
const LAPTOP: Device =
    Device { name: "Windows/DESKTOP", identity: "192.168.1.21", address: "198.51.100.7:61000" };

impl World {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    #[expect(clippy::disallowed_methods, reason = "an origin for the fake clock")]
    fn with(text: &str) -> Self {
        let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
        let config = load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config;
        let clock = Clock { now: Instant::now(), unix: 1_800_000_000 };
        let gate = Gatehouse::new(clock, Arc::new(config), Vec::new(), &mut Entropy::from_number(1));
        Self { clock, gate, links: 0 }
    }

    fn pass(&mut self, seconds: u64) {
        self.clock.now += Duration::from_secs(seconds);
        self.clock.unix += seconds;
    }

    fn tell(&mut self, ask: Ask) -> Vec<Answer> {
        let mut out = Output::default();
        self.gate.handle_ask(self.clock, ask, &mut out);
        out.answers
    }

    fn ask(&mut self, name: &str, password: &str, device: Device) -> Authenticate {
        self.links += 1;
        let session = SessionKey { tunnel: TunnelId(1), session: SessionId(1) };
        let link =
            LinkKey { worker: WorkerId(0), peer: PeerKey { index: self.links, generation: 1 }, session };
        let meter = Arc::new(Meter::default());
        meter.heard(self.clock.now.saturating_duration_since(self.gate.began).as_millis() as u64);
        Authenticate {
            link,
            name: name.into(),
            proof: Proof::Pap { password: Secret::from(password) },
            path: Path {
                encap: Encap::NatT,
                local: "203.0.113.1:4500".parse().unwrap(),
                remote: device.address.parse().unwrap(),
            },
            device: device.name.into(),
            identity: device.identity.into(),
            psk_hub: None,
            raw: false,
            psk: None,
            attempt: AttemptId::default(),
            meter,
        }
    }

    /// The verdict on an attempt, and whom it cost the place.
    fn judge(&mut self, ask: Authenticate) -> (Verdict, Vec<(LinkKey, Cause)>) {
        let asked = ask.link;
        let mut verdict = None;
        let mut closed = Vec::new();
        for answer in self.tell(Ask::Authenticate(Box::new(ask))) {
            match answer {
                Answer::Verdict { link, verdict: AuthVerdict::Admit { .. }, cause: None, .. } => {
                    verdict = Some(Ok(link))
                }
                Answer::Verdict { verdict: AuthVerdict::Refuse { error }, cause: Some(cause), .. } => {
                    verdict = Some(Err((error, cause)));
                }
                Answer::Close { link, cause } => closed.push((link, cause)),
                other => panic!("{other:?}"),
            }
        }
        let verdict = verdict.unwrap();
        assert!(verdict.is_err() || verdict == Ok(asked));
        (verdict, closed)
    }

    fn admitted(&mut self, name: &str, device: Device) -> (LinkKey, Vec<(LinkKey, Cause)>) {
        let password = format!("{name}-pw");
        let ask = self.ask(name, &password, device);
        let (verdict, closed) = self.judge(ask);
        (verdict.unwrap(), closed)
    }

    fn refused(&mut self, name: &str, device: Device) -> (AuthError, Cause) {
        let password = format!("{name}-pw");
        let ask = self.ask(name, &password, device);
        self.judge(ask).0.unwrap_err()
    }

    fn join(&mut self, link: LinkKey, asked: Option<Ipv4Addr>) -> Result<Place, Cause> {
        let port = PortId::new(WorkerId(0), link.peer.index);
        match self.tell(Ask::Join { link, port, asked }).remove(0) {
            Answer::Joined { place, .. } => Ok(*place),
            Answer::NoPlace { port: back, cause, .. } => {
                assert_eq!(back, port, "the number goes back to the worker");
                Err(cause)
            }
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, link: LinkKey) {
        assert!(self.tell(Ask::Leave { link, cause: Cause::PeerLeft }).is_empty());
    }
}

const WRONG: AuthError = AuthError::AuthenticationFailure;
const DENIED: AuthError = AuthError::NoDialinPermission;

#[test]
fn the_client_hears_a_number_and_the_story_the_cause() {
    let mut w = World::new();
    for (name, password, expected) in [
        ("jiro", "jiro-pw", None),
        ("JIRO@hub1", "jiro-pw", None),
        ("hub1\\jiro", "jiro-pw", None),
        ("guests\\visitor", "visitor-pw", None),
        ("jiro", "jiro-pW", Some((WRONG, Cause::WrongPassword))),
        ("jiro", "", Some((WRONG, Cause::WrongPassword))),
        ("zoe", "jiro-pw", Some((WRONG, Cause::UnknownUser))),
        ("", "jiro-pw", Some((WRONG, Cause::UnknownUser))),
        ("visitor", "visitor-pw", Some((WRONG, Cause::UnknownUser))),
        ("jiro@GUESTS", "jiro-pw", Some((WRONG, Cause::UnknownUser))),
        ("jiro@NOHUB", "jiro-pw", Some((WRONG, Cause::UnknownHub))),
        ("NOHUB\\jiro", "jiro-pw", Some((WRONG, Cause::UnknownHub))),
    ] {
        let ask = w.ask(name, password, PHONE);
        assert_eq!(w.judge(ask).0.err(), expected, "{name}");
    }
}

#[test]
fn a_bare_name_without_a_default_hub_is_nobodys() {
    let mut w = World::with(&CONFIG.replace("default_hub: HUB1", "default_hub: none"));
    assert_eq!(w.refused("jiro", PHONE), (WRONG, Cause::NoHubNamed));
    let ask = w.ask("jiro@hub1", "jiro-pw", PHONE);
    assert!(w.judge(ask).0.is_ok());
}

#[test]
fn a_key_of_one_hub_opens_no_other() {
    let mut w = World::new();
    for (hub, user, expected) in [
        ("GUESTS", "jiro", Some((WRONG, Cause::PskOfOtherHub))),
        ("HUB1", "jiro", None),
        ("guests", "visitor@GUESTS", None),
    ] {
        let password = format!("{}-pw", user.split('@').next().unwrap());
        let ask = Authenticate { psk_hub: Some(hub.to_owned()), ..w.ask(user, &password, PHONE) };
        assert_eq!(w.judge(ask).0.err(), expected, "{hub} {user}");
    }
    // Who has the wrong password as well learns and tells nothing of the key.
    let ask = Authenticate { psk_hub: Some("GUESTS".to_owned()), ..w.ask("jiro", "x", PHONE) };
    assert_eq!(w.judge(ask).0.err(), Some((WRONG, Cause::WrongPassword)));
}

#[test]
fn clear_text_is_for_those_who_are_allowed_it() {
    let mut w = World::new();
    let ask = Authenticate { raw: true, ..w.ask("jiro", "jiro-pw", PHONE) };
    assert_eq!(w.judge(ask).0.err(), Some((DENIED, Cause::RawL2tpRefused)));
    let ask = Authenticate { raw: true, ..w.ask("pump", "pump-pw", PHONE) };
    assert!(w.judge(ask).0.is_ok());
}

#[test]
fn an_account_with_a_hash_alone_cannot_prove_itself_by_md5() {
    let mut w = World::new();
    let proof = Proof::Chap { id: 1, challenge: vec![0; 16], response: [0; 16] };
    let ask = Authenticate { proof, ..w.ask("hash", "", PHONE) };
    assert_eq!(w.judge(ask).0.err(), Some((WRONG, Cause::NoCommonAuth)));
    let ask = w.ask("hash", "password", PHONE);
    assert!(w.judge(ask).0.is_ok());
}

#[test]
fn a_device_that_comes_back_takes_its_own_place() {
    let mut w = World::new();
    let (first, _) = w.admitted("jiro", PHONE);
    let place = w.join(first, None).unwrap();
    // From the very same place, while the old session was heard a moment ago.
    let (second, closed) = w.admitted("jiro", PHONE);
    assert_eq!(closed, [(first, Cause::ReplacedBySameDevice)]);
    let again = w.join(second, None).unwrap();
    assert_eq!((again.mac, again.grant.address), (place.mac, place.grant.address));
    // From another network, once the old session is silent.
    w.pass(21);
    let elsewhere = Device { identity: "10.9.9.9", address: "192.0.2.99:4500", ..PHONE };
    let (third, closed) = w.admitted("jiro", elsewhere);
    assert_eq!(closed, [(second, Cause::ReplacedBySameDevice)]);
    let again = w.join(third, None).unwrap();
    assert_eq!((again.mac, again.grant.address), (place.mac, place.grant.address));
    assert_eq!(w.gate.sessions().count(), 1);
}

#[test]
fn two_alike_devices_that_both_live_are_two() {
    let mut w = World::new();
    let (first, _) = w.admitted("jiro", PHONE);
    let one = w.join(first, None).unwrap();
    let twin = Device { identity: "192.168.1.99[17/500]", address: "198.51.100.7:4600", ..PHONE };
    let (second, closed) = w.admitted("jiro", twin);
    assert!(closed.is_empty());
    let two = w.join(second, None).unwrap();
    assert!(one.mac != two.mac && one.grant.address != two.grant.address);
}

#[test]
fn a_link_that_authenticates_anew_keeps_its_place() {
    let mut w = World::new();
    let ask = w.ask("jiro", "jiro-pw", PHONE);
    let link = ask.link;
    assert!(w.judge(ask).0.is_ok());
    let place = w.join(link, None).unwrap();
    let ask = Authenticate { link, ..w.ask("jiro", "jiro-pw", PHONE) };
    assert_eq!(w.judge(ask), (Ok(link), vec![]));
    assert_eq!(w.join(link, None).unwrap().grant.address, place.grant.address);
    // And once more without authentication: IPCP alone began anew.
    assert_eq!(w.join(link, None).unwrap().grant.address, place.grant.address);
}

#[test]
fn every_answer_to_one_session_too_many() {
    let mut w = World::new();
    let limit = (DENIED, Cause::SessionLimit);
    // deny: the new one is refused.
    w.admitted("one", PHONE);
    assert_eq!(w.refused("one", LAPTOP), limit);
    // replace-same-device: another device is refused, the same takes its place.
    let (first, _) = w.admitted("same", PHONE);
    assert_eq!(w.refused("same", LAPTOP), limit);
    let (_, closed) = w.admitted("same", PHONE);
    assert_eq!(closed, [(first, Cause::ReplacedBySameDevice)]);
    // replace-oldest: the oldest goes, and only it.
    let (first, _) = w.admitted("new", PHONE);
    let (_, closed) = w.admitted("new", LAPTOP);
    assert_eq!(closed, [(first, Cause::ReplacedByNewest)]);
    let (oldest, _) = w.admitted("two", PHONE);
    w.pass(1);
    w.admitted("two", LAPTOP);
    w.pass(1);
    let third = Device { name: "Apple/iPad", identity: "192.168.1.30", ..PHONE };
    let (_, closed) = w.admitted("two", third);
    assert_eq!(closed, [(oldest, Cause::ReplacedByNewest)]);
    // Without a limit there is none.
    for (n, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let (_, closed) = w.admitted("jiro", Device { name, ..PHONE });
        assert!(closed.is_empty(), "{n}");
    }
}

#[test]
fn the_gateway_has_a_limit_of_its_own() {
    let mut w = World::with(&format!("{CONFIG}limits: {{ sessions: 2 }}\n"));
    let (first, _) = w.admitted("jiro", PHONE);
    w.admitted("yas", PHONE);
    assert_eq!(w.refused("one", PHONE), (DENIED, Cause::SessionLimit));
    w.leave(first);
    w.admitted("one", PHONE);
}

#[test]
fn a_place_has_an_address_and_what_goes_with_it() {
    let mut w = World::new();
    let (link, _) = w.admitted("jiro", PHONE);
    let place = w.join(link, None).unwrap();
    let grant = place.grant;
    assert!((10..=12).contains(&grant.address.octets()[3]), "{}", grant.address);
    assert_eq!(grant.gateway, Ipv4Addr::new(10, 60, 0, 1));
    assert_eq!(grant.dns, [Some(Ipv4Addr::new(10, 60, 0, 1)), Some(Ipv4Addr::new(9, 9, 9, 9))]);
    assert_eq!((place.network.address, place.network.prefix), (Ipv4Addr::new(10, 60, 0, 0), 24));
    // The user's own address, whatever is asked for.
    let (link, _) = w.admitted("yas", PHONE);
    let asked = Some(Ipv4Addr::new(10, 60, 0, 11));
    assert_eq!(w.join(link, asked).unwrap().grant.address, Ipv4Addr::new(10, 60, 0, 50));
}

#[test]
fn a_wish_is_granted_where_it_costs_nobody_anything() {
    let mut w = World::new();
    let wish = |w: &mut World, user: &str, last: u8| {
        let (link, _) = w.admitted(user, PHONE);
        w.join(link, Some(Ipv4Addr::new(10, 60, 0, last))).unwrap().grant.address.octets()[3]
    };
    assert_eq!(wish(&mut w, "jiro", 11), 11);
    let got = wish(&mut w, "one", 11);
    assert!(got != 11 && (10..=12).contains(&got), "taken: {got}");
    let got = wish(&mut w, "new", 50);
    assert!((10..=12).contains(&got), "of another user: {got}");
}

#[test]
fn no_address_left_is_named_and_remembered_addresses_come_back() {
    let mut w = World::new();
    let links = ["jiro", "one", "new"].map(|user| w.admitted(user, PHONE).0);
    let places = links.map(|link| w.join(link, None).unwrap());
    let (late, _) = w.admitted("same", PHONE);
    assert_eq!(w.join(late, None).unwrap_err(), Cause::PoolEmpty);
    // Somebody leaves, and finds the address again although others came and went.
    w.leave(late);
    w.leave(links[0]);
    w.pass(3600);
    let (back, _) = w.admitted("jiro", PHONE);
    let again = w.join(back, None).unwrap();
    assert_eq!((again.mac, again.grant.address), (places[0].mac, places[0].grant.address));
}

#[test]
fn hubs_are_apart() {
    let mut w = World::new();
    let (jiro, _) = w.admitted("jiro", PHONE);
    let ask = w.ask("visitor@guests", "visitor-pw", PHONE);
    let visitor = w.judge(ask).0.unwrap();
    let (one, two) = (w.join(jiro, None).unwrap(), w.join(visitor, None).unwrap());
    assert_eq!(two.grant.gateway, Ipv4Addr::new(10, 61, 0, 1));
    let look = two.view.look(w.clock.now);
    assert_eq!((look.port_of(one.mac), look.mac_of(one.grant.address)), (None, None));
    assert!(look.port_of(two.mac).is_some());
}

#[test]
fn an_administrator_closes_a_session_once() {
    let mut w = World::new();
    let (link, _) = w.admitted("jiro", PHONE);
    w.join(link, None).unwrap();
    let mut out = Output::default();
    assert!(w.gate.kick(w.clock, link, &mut out));
    assert!(matches!(out.answers[..], [Answer::Close { cause: Cause::Kicked, .. }]));
    assert!(!w.gate.kick(w.clock, link, &mut out));
    assert_eq!(w.gate.hubs()[1].port_count() + w.gate.hubs()[0].port_count(), 0);
}

#[test]
fn stories_are_kept_and_bounded() {
    let mut w = World::new();
    for n in 0..1003_u64 {
        let mut attempt =
            Attempt::new(AttemptId::new(WorkerId(0), n), w.clock.now, n, w.ask("x", "", PHONE).path);
        attempt.reach(w.clock.now + Duration::from_millis(40), Stage::IkeUp);
        attempt.detail_mut().user = "jiro".into();
        let record = attempt.record(w.clock.now + Duration::from_secs(2), Cause::NoQuickMode);
        assert!(w.tell(Ask::Ended(Box::new(record))).is_empty());
    }
    let stories = w.gate.stories();
    assert_eq!((stories.iter().count(), stories.total()), (1000, 1003));
    let last = stories.iter().next_back().unwrap();
    assert_eq!((last.started, last.stage.as_str(), last.cause), (1002, "ike_up", Cause::NoQuickMode));
    assert_eq!((last.seconds, last.stages[1].1), (2.0, 0.04));
    assert_eq!((last.from.as_str(), last.detail.user.as_str()), ("198.51.100.7:4500", "jiro"));
}

/// Hubs without anybody in them want nothing: no timer, hardly any memory, and no turn of anybody's work.
#[test]
fn thousands_of_idle_hubs_cost_nothing() {
    let hubs: String = (0..4000)
        .map(|n| {
            let (a, b) = (n / 64, n % 64 * 4);
            format!("  H{n}: {{ network: 10.{a}.{b}.0/24, users: {{ u: {{ password: u-pw }} }} }}\n")
        })
        .collect();
    let mut w = World::with(&format!(
        "ipsec: {{ psk: 'a long pre-shared key for everybody' }}\ndefault_hub: H7\nhubs:\n{hubs}"
    ));
    assert_eq!(w.gate.hubs().len(), 4000);
    assert_eq!(w.gate.poll_timeout(), None, "nothing is due, ever");
    // One of them is used: it alone has something to wait for, and the others stay as they are.
    let (link, _) = w.admitted("u", PHONE);
    w.join(link, None).unwrap();
    assert!(w.gate.hubs().iter().filter(|hub| hub.port_count() > 0).count() == 1);
    assert!(w.gate.hubs().iter().filter(|hub| hub.poll_timeout().is_some()).count() <= 1);
    w.leave(link);
    w.pass(86_400);
}

#[test]
fn a_user_may_be_in_several_hubs_at_once() {
    let config = CONFIG.replace("{ visitor:", "{ jiro: { password: \"another-pw\" }, visitor:");
    let mut w = World::with(&config);
    let ask = w.ask("jiro@hub1", "jiro-pw", PHONE);
    let one = w.judge(ask).0.unwrap();
    let ask = w.ask("jiro@guests", "another-pw", PHONE);
    let two = w.judge(ask).0.unwrap();
    let (one, two) = (w.join(one, None).unwrap(), w.join(two, None).unwrap());
    assert!(one.view.hub() != two.view.hub() && w.gate.sessions().count() == 2);
}
