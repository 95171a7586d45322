//! The penalty box as its two sides see it.

use super::{Change, Doorman, Gate, Ledger, Prefix, SLOWEST, Settings, Standing, Subject, Verdict};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

const SECOND: Duration = Duration::from_secs(1);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn source(text: &str) -> Subject {
    Subject::Source(text.parse().unwrap())
}

struct Box {
    ledger: Ledger,
    doorman: Doorman,
    now: Instant,
}

impl Box {
    fn new(settings: Settings) -> Self {
        Self { ledger: Ledger::new(settings), doorman: Doorman::default(), now: start() }
    }

    fn take(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.doorman.apply(change);
        }
    }

    fn fail(&mut self, from: &str, user: Option<&str>) {
        let mut out = Vec::new();
        self.ledger.fail(self.now, ip(from), user, &mut out);
        self.take(out);
    }

    fn standing(&self, who: &Subject) -> Option<Standing> {
        self.ledger.rows(self.now, None).find(|row| row.subject == *who)?.standing
    }

    fn judge(&mut self, from: &str) -> Verdict {
        self.doorman.judge(self.now, ip(from))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let mut out = Vec::new();
        self.ledger.handle_timeout(self.now, &mut out);
        self.take(out);
    }
}

#[test]
fn prefixes_are_read_and_printed() {
    for text in ["203.0.113.7", "203.0.113.0/24", "0.0.0.0/0", "2001:db8::/48", "2001:db8::1", "::/0"] {
        assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
    }
    for text in ["", "203.0.113.7/24", "203.0.113.0/33", "2001:db8::1/48", "jiro", "1.2.3.4/", "1.2.3.4/x"] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
    assert_eq!(Prefix::narrow(ip("::ffff:203.0.113.7")).to_string(), "203.0.113.7");
    assert_eq!(Prefix::narrow(ip("2001:db8:1:2:3::4")).to_string(), "2001:db8:1:2::/64");
    assert_eq!(Prefix::wide(ip("2001:db8:1:2:3::4")).to_string(), "2001:db8:1::/48");
    assert!("10.0.0.0/8".parse::<Prefix>().unwrap().covers("10.1.0.0/16".parse().unwrap()));
    assert!(!"10.1.0.0/16".parse::<Prefix>().unwrap().covers("10.0.0.0/8".parse().unwrap()));
}

#[test]
fn first_slower_then_barred_for_a_time_that_doubles() {
    let mut b = Box::new(Settings::default());
    let me = source("203.0.113.7");
    for _ in 0..2 {
        b.fail("203.0.113.7", None);
    }
    assert_eq!((b.standing(&me), b.judge("203.0.113.7")), (None, Verdict::Pass));
    for delay in [1, 2, 4, 8, 8, 8, 8] {
        b.fail("203.0.113.7", None);
        assert_eq!(b.standing(&me), Some(Standing::Slowed(SECOND * delay)));
    }
    b.fail("203.0.113.7", None);
    assert_eq!(b.standing(&me), Some(Standing::Barred(b.now + SECOND * 60)));
    assert_eq!(b.judge("203.0.113.7"), Verdict::Barred { tell: true });
    assert_eq!(b.judge("203.0.113.7"), Verdict::Barred { tell: false }, "told once a minute");
    assert_eq!(b.judge("203.0.113.8"), Verdict::Pass);
    // After the bar it is slow, and has seven tries.
    b.pass(SECOND * 61);
    assert_eq!(b.judge("203.0.113.7"), Verdict::Pass);
    assert_eq!(b.judge("203.0.113.7"), Verdict::Later);
    for bar in [120, 240, 480] {
        for _ in 0..7 {
            b.fail("203.0.113.7", None);
        }
        assert_eq!(b.standing(&me), Some(Standing::Barred(b.now + SECOND * bar)));
        b.pass(SECOND * (bar + 1));
    }
    // Once it has been quiet for an hour, all is forgotten.
    b.pass(SECOND * 3600);
    assert!(b.ledger.is_empty() && b.doorman.is_empty());
}

#[test]
fn a_neighbourhood_is_counted_as_well() {
    let mut b = Box::new(Settings::default());
    for n in 0..79 {
        b.fail(&format!("198.51.100.{n}"), None);
    }
    assert!(matches!(b.standing(&source("198.51.100.0/24")), Some(Standing::Slowed(_))));
    b.fail("198.51.100.200", None);
    assert!(matches!(b.judge("198.51.100.250"), Verdict::Barred { .. }));
    assert_eq!(b.judge("198.51.101.1"), Verdict::Pass);
    for n in 0..80 {
        b.fail(&format!("2001:db8:7:{n:x}::1"), None);
    }
    assert!(matches!(b.judge("2001:db8:7:ffff::1"), Verdict::Barred { .. }));
}

#[test]
fn a_source_with_sessions_is_slowed_and_not_barred() {
    let mut b = Box::new(Settings::default());
    let mut out = Vec::new();
    b.ledger.enter(b.now, ip("203.0.113.7"), &mut out);
    for _ in 0..30 {
        b.fail("203.0.113.7", None);
    }
    assert_eq!(b.standing(&source("203.0.113.7")), Some(Standing::Slowed(SLOWEST)));
    assert_eq!(b.judge("203.0.113.7"), Verdict::Pass);
    assert_eq!(b.judge("203.0.113.7"), Verdict::Later);
    // The last of them leaves.
    b.ledger.leave(b.now, ip("203.0.113.7"), &mut out);
    b.take(out);
    assert!(matches!(b.judge("203.0.113.7"), Verdict::Barred { .. }));
}

#[test]
fn a_users_name_is_counted_wherever_the_guesses_come_from() {
    let mut b = Box::new(Settings::default());
    for n in 0..30 {
        assert_ne!(b.ledger.admit(b.now, ip(&format!("198.51.{n}.1")), "jiro@office"), Gate::Closed, "{n}");
        b.fail(&format!("198.51.{n}.1"), Some("jiro@office"));
        b.pass(SECOND * 9);
    }
    assert_eq!(b.ledger.admit(b.now, ip("192.0.2.1"), "jiro@office"), Gate::Closed);
    assert_eq!(b.ledger.admit(b.now, ip("192.0.2.1"), "yas@office"), Gate::Open);
    // From where sessions are up, the right password is still heard.
    b.ledger.enter(b.now, ip("192.0.2.1"), &mut Vec::new());
    assert_eq!(b.ledger.admit(b.now, ip("192.0.2.1"), "jiro@office"), Gate::Open);
    b.ledger.succeed(b.now, ip("192.0.2.1"), "jiro@office", &mut Vec::new());
    assert_eq!(b.ledger.admit(b.now, ip("198.51.3.1"), "jiro@office"), Gate::Open);
}

#[test]
fn passwords_of_a_slow_source_are_judged_one_after_the_other() {
    let mut b = Box::new(Settings::default());
    for n in 0..5 {
        b.fail("203.0.113.7", Some(&format!("u{n}@office")));
    }
    let gates: Vec<Gate> =
        (0..6).map(|n| b.ledger.admit(b.now, ip("203.0.113.7"), &format!("v{n}@office"))).collect();
    let at = |seconds| Gate::At(b.now + SECOND * seconds);
    assert_eq!(gates, [Gate::Open, at(4), at(8), Gate::Closed, Gate::Closed, Gate::Closed]);
}

#[test]
fn slips_before_the_right_password_are_forgiven_and_others_are_not() {
    let mut b = Box::new(Settings::default());
    let me = source("203.0.113.7");
    for _ in 0..5 {
        b.fail("203.0.113.7", Some("jiro@office"));
    }
    assert!(b.standing(&me).is_some());
    let mut out = Vec::new();
    b.ledger.succeed(b.now, ip("203.0.113.7"), "jiro@office", &mut out);
    b.take(out);
    assert_eq!((b.standing(&me), b.judge("203.0.113.7")), (None, Verdict::Pass));
    // An account of one's own does not wash guesses at others away.
    for _ in 0..5 {
        b.fail("203.0.113.7", Some("yas@office"));
        b.ledger.succeed(b.now, ip("203.0.113.7"), "jiro@office", &mut Vec::new());
    }
    assert!(b.standing(&me).is_some());
}

#[test]
fn exempt_sources_do_not_count_and_bars_by_hand_hold_whoever_lives_there() {
    let exempt = vec!["192.168.0.0/16".parse().unwrap()];
    let mut b = Box::new(Settings { exempt, bar_after: None, ..Settings::default() });
    for _ in 0..50 {
        b.fail("192.168.3.4", Some("jiro@office"));
        b.fail("203.0.113.7", None);
    }
    assert_eq!(b.judge("192.168.3.4"), Verdict::Pass);
    assert_eq!(b.standing(&source("203.0.113.7")), Some(Standing::Slowed(SLOWEST)), "never barred");
    let mut out = Vec::new();
    b.ledger.enter(b.now, ip("10.9.8.7"), &mut out);
    let who = source("10.0.0.0/8");
    assert!(b.ledger.bar(b.now, &who, SECOND * 100, &mut out));
    b.take(out);
    assert!(matches!(b.judge("10.9.8.7"), Verdict::Barred { .. }));
    assert_eq!(b.ledger.admit(b.now, ip("10.9.8.7"), "x@office"), Gate::Closed);
    assert_eq!(b.ledger.admit(b.now, ip("11.9.8.7"), "x@office"), Gate::Open);
    b.pass(SECOND * 100);
    assert_eq!(b.judge("10.9.8.7"), Verdict::Pass);
}

#[test]
fn a_flood_of_sources_is_bounded_and_spares_what_an_administrator_said() {
    let mut b = Box::new(Settings::default());
    let mut out = Vec::new();
    b.ledger.bar(b.now, &source("203.0.113.7"), SECOND, &mut out);
    b.take(out);
    for n in 0..40_000_u32 {
        b.fail(&IpAddr::from((n << 8 | 1).to_be_bytes()).to_string(), Some(&"x".repeat(5000)));
    }
    assert!(b.ledger.len() <= 16_385, "{}", b.ledger.len());
    assert!(b.doorman.len() <= 16_385);
    assert!(matches!(b.judge("203.0.113.7"), Verdict::Barred { .. }));
}

proptest! {
    /// Whatever happens, a doorman that heard every change treats a source as the ledger says.
    #[test]
    fn doormen_agree_with_the_ledger(steps in prop::collection::vec((0_u8..7, 0_u8..6, 0_u64..200), 1..200)) {
        let mut b = Box::new(Settings { bar_after: Some(5), forget_after: SECOND * 300, ..Settings::default() });
        let mut up: Vec<IpAddr> = Vec::new();
        for (what, who, time) in steps {
            let from = ip(&format!("203.0.{}.{}", who / 3, who));
            let mut out = Vec::new();
            match what {
                0..=2 => b.ledger.fail(b.now, from, Some("jiro@office"), &mut out),
                3 => { b.ledger.enter(b.now, from, &mut out); up.push(from); }
                4 => if let Some(from) = up.pop() { b.ledger.leave(b.now, from, &mut out); },
                5 => b.ledger.succeed(b.now, from, "jiro@office", &mut out),
                _ => { b.ledger.clear(&Subject::Source(Prefix::narrow(from)), &mut out); }
            }
            b.take(out);
            b.pass(Duration::from_secs(time / 4));
            for n in 0..6 {
                let from = ip(&format!("203.0.{}.{n}", n / 3));
                let barred = [Prefix::narrow(from), Prefix::wide(from)].into_iter().any(|source| {
                    matches!(b.standing(&Subject::Source(source)), Some(Standing::Barred(_)))
                });
                let said = matches!(b.judge(&from.to_string()), Verdict::Barred { .. });
                prop_assert_eq!(barred, said, "{}", from);
            }
            prop_assert!(b.doorman.len() <= b.ledger.len());
        }
    }
}
