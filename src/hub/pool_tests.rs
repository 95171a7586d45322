use super::super::snapshot::{Clocks, Saved};
use super::*;
use proptest::prelude::*;

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
fn start() -> Instant {
    Instant::now()
}

const MAC: Mac = Mac([0x5A, 0, 0, 0, 0, 1]);

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 60, 0, last)
}

fn settings(first: u8, last: u8) -> Settings {
    Settings { range: (ip(first), ip(last)), ..Settings::of_network("10.60.0.0/24".parse().unwrap()) }
}

fn link(user: &str, device: &str) -> Key {
    Key::Link { user: user.into(), device: device.into(), instance: 0 }
}

fn port(n: u32) -> Term {
    Term::Port(PortId(n))
}

fn request(user: &str, n: u32) -> Request {
    Request::new(start(), link(user, "phone"), MAC, port(n))
}

#[test]
fn a_network_gives_its_hosts() {
    let of = |text: &str| {
        let settings = Settings::of_network(text.parse().unwrap());
        (
            settings.gateway.map(|ip| ip.to_string()),
            settings.range.0.to_string(),
            settings.range.1.to_string(),
        )
    };
    assert_eq!(of("10.60.0.0/24"), (Some("10.60.0.1".into()), "10.60.0.2".into(), "10.60.0.254".into()));
    assert_eq!(of("10.60.0.0/30"), (Some("10.60.0.1".into()), "10.60.0.2".into(), "10.60.0.2".into()));
    assert_eq!(of("10.60.0.4/31"), (Some("10.60.0.4".into()), "10.60.0.5".into(), "10.60.0.5".into()));
    assert_eq!(of("10.60.0.4/32"), (None, "10.60.0.4".into(), "10.60.0.4".into()));
    let pool = Pool::new(Settings::of_network("10.60.0.0/24".parse().unwrap()));
    assert_eq!(pool.size, 253);
}

#[test]
fn the_same_device_gets_the_same_address() {
    let mut pool = Pool::new(settings(10, 250));
    let now = start();
    let jiro = pool.acquire(request("jiro", 1)).unwrap();
    let yas = pool.acquire(request("yas", 2)).unwrap();
    assert_ne!(jiro, yas);
    pool.release_port(now, PortId(1));
    let others: Vec<_> = (0..100).map(|n| pool.acquire(request(&format!("u{n}"), 10 + n)).unwrap()).collect();
    assert!(!others.contains(&jiro));
    assert_eq!(pool.acquire(request("jiro", 3)), Ok(jiro));
    // Even without memory, by its hash, unless somebody else has it by now.
    let mut fresh = Pool::new(settings(10, 250));
    assert_eq!(fresh.acquire(request("yas", 1)), Ok(yas));
}

#[test]
fn exhaustion_takes_the_longest_gone_and_is_named() {
    let mut pool = Pool::new(settings(10, 12));
    let mut now = start();
    let mut had = Vec::new();
    for n in 0..3 {
        had.push(pool.acquire(request(&format!("u{n}"), n)).unwrap());
    }
    let empty = Refusal::PoolEmpty { first: ip(10), last: ip(12), size: 3 };
    assert_eq!(pool.acquire(request("late", 9)), Err(empty.clone()));
    assert_eq!(
        empty.to_string(),
        "all 3 addresses from 10.60.0.10 to 10.60.0.12 are in use, or kept for devices that have just left"
    );
    for n in [1, 0, 2] {
        now += Duration::from_secs(1);
        pool.release_port(now, PortId(n));
    }
    assert_eq!(pool.acquire(request("late", 9)), Ok(had[1]));
    assert_eq!(pool.acquire(request("later", 10)), Ok(had[0]));
    // Who lost it gets what is left.
    assert_eq!(pool.acquire(request("u0", 11)), Ok(had[2]));
    assert_eq!(pool.held(), 3);
}

#[test]
fn fixed_addresses() {
    let reserved = BTreeMap::from([
        (ip(50), Reserved::User("yas".into())),
        (ip(5), Reserved::Mac(Mac([2, 0, 0, 0, 0, 9]))),
        (ip(12), Reserved::Nobody),
        (ip(1), Reserved::User("root".into())),
    ]);
    let mut pool = Pool::new(Settings { reserved, ..settings(10, 13) });
    assert_eq!(pool.size, 3);
    assert_eq!(pool.acquire(request("yas", 1)), Ok(ip(50)));
    // A second device of the user gets one of the range; alone, it gets the user's.
    let second = Request::new(start(), link("yas", "laptop"), MAC, port(2));
    assert!(pool.acquire(second.clone()).unwrap() < ip(14));
    pool.release_port(start(), PortId(1));
    pool.release_port(start(), PortId(2));
    assert_eq!(pool.acquire(second), Ok(ip(50)));
    // By MAC address, outside the range; a fixed address that cannot be.
    let station = |mac| Request::new(start(), Key::Station([1, 2, 3].into()), mac, Term::Until(start()));
    assert_eq!(pool.acquire(station(Mac([2, 0, 0, 0, 0, 9]))), Ok(ip(5)));
    let outside = Refusal::FixedOutside { address: ip(1), network: pool.settings.network };
    assert_eq!(pool.acquire(request("root", 3)), Err(outside));
    // Nobody gets what is kept: three addresses for the rest.
    let rest: BTreeSet<_> =
        (0..3).map(|n| pool.acquire(request(&format!("u{n}"), 20 + n)).unwrap()).collect();
    assert_eq!(rest, BTreeSet::from([ip(10), ip(11), ip(13)]));
    // An address from outside (RADIUS) that somebody holds, then does not.
    let framed = Request { fixed: Some(ip(11)), ..request("bob", 30) };
    let refusal = pool.acquire(framed.clone()).unwrap_err();
    let holder = pool.lease(ip(11)).unwrap().key.clone();
    assert_eq!(refusal, Refusal::FixedInUse { address: ip(11), by: (*holder).clone() });
    assert_eq!(refusal.to_string(), format!("the fixed address 10.60.0.11 is in use by {holder}"));
    pool.release(start(), &holder);
    assert_eq!(pool.acquire(framed), Ok(ip(11)));
    assert!(pool.lease_of(&holder).is_none());
}

#[test]
fn wishes() {
    let mut pool = Pool::new(settings(10, 250));
    let wish = |user: &str, n, wish| Request { wish: Some(wish), ..request(user, n) };
    assert_eq!(pool.acquire(wish("jiro", 1, ip(77))), Ok(ip(77)));
    assert_ne!(pool.acquire(wish("yas", 2, ip(77))), Ok(ip(77)));
    assert_ne!(pool.acquire(wish("bob", 3, ip(5))), Ok(ip(5)));
    for bad in [ip(0), ip(1), ip(255), Ipv4Addr::new(10, 61, 0, 5), Ipv4Addr::BROADCAST] {
        let got = pool.acquire(wish(&bad.to_string(), 4, bad)).unwrap();
        assert!((ip(10)..=ip(250)).contains(&got));
    }
    // What is remembered for somebody is not taken away by a wish.
    pool.release_port(start(), PortId(1));
    assert_ne!(pool.acquire(wish("eve", 5, ip(77))), Ok(ip(77)));
    assert_eq!(pool.acquire(request("jiro", 6)), Ok(ip(77)));
}

#[test]
fn addresses_of_ones_own() {
    let reserved = BTreeMap::from([(ip(50), Reserved::User("yas".into()))]);
    let hold = Duration::from_secs(600);
    let mut pool = Pool::new(Settings { reserved, hold, ..settings(10, 250) });
    let now = start();
    let at = |seconds| now + Duration::from_secs(seconds);
    let own = |user: &str, n, own, seconds| Request { now: at(seconds), own: Some(own), ..request(user, n) };
    let other = |got: Result<Ipv4Addr, Refusal>| {
        got.is_ok_and(|got| (ip(10)..=ip(250)).contains(&got) && got != ip(77))
    };
    // Before the one that the device had last time; inside and outside the range.
    pool.acquire(request("jiro", 1)).unwrap();
    assert_eq!(pool.acquire(own("jiro", 1, ip(77), 0)), Ok(ip(77)));
    assert_eq!(pool.acquire(own("zoe", 2, ip(5), 0)), Ok(ip(5)));
    // What somebody has, what is somebody's, and what is no host's: another one instead.
    for (n, taken) in
        [ip(77), ip(50), ip(1), ip(0), ip(255), Ipv4Addr::new(10, 61, 0, 5)].into_iter().enumerate()
    {
        assert!(other(pool.acquire(own("bob", 3, taken, n as u64))), "{taken}");
    }
    // It is kept for its device, inside and outside the range, and then anybody's who chooses it.
    pool.release_port(at(10), PortId(1));
    pool.release_port(at(10), PortId(2));
    assert!(other(pool.acquire(own("eve", 4, ip(77), 609))));
    assert!(other(pool.acquire(own("eve", 4, ip(5), 609))));
    assert_eq!(pool.acquire(own("zoe", 2, ip(5), 609)), Ok(ip(5)));
    assert_eq!(pool.acquire(own("eve", 4, ip(77), 610)), Ok(ip(77)));
    // Outside the range, nobody gets it who has not chosen it.
    pool.release_port(at(700), PortId(2));
    let taken: BTreeSet<_> =
        (0..238).filter_map(|n| pool.acquire(own(&format!("u{n}"), 10 + n, ip(1), 9999)).ok()).collect();
    assert!(taken.iter().all(|address| pool.settings.in_range(*address)));
    assert_eq!(pool.lease(ip(5)).unwrap().state, State::Past(at(700)));
}

#[test]
fn who_comes_back_in_time_finds_the_address() {
    let hold = Duration::from_secs(600);
    let mut pool = Pool::new(Settings { hold, ..settings(10, 11) });
    let now = start();
    let at = |user: &str, n, seconds| Request { now: now + Duration::from_secs(seconds), ..request(user, n) };
    let had = [pool.acquire(at("jiro", 1, 0)).unwrap(), pool.acquire(at("yas", 2, 0)).unwrap()];
    pool.release_port(now, PortId(1));
    // A restart does not shorten it.
    let clocks = Clocks { now: now + Duration::from_secs(60), unix: 1_800_000_000 };
    let saved = pool.save(clocks, None, 10);
    let mut again = Pool::new(Settings { hold, ..settings(10, 11) });
    assert_eq!(again.load(clocks, saved), 2);
    for pool in [&mut pool, &mut again] {
        assert!(matches!(pool.acquire(at("mika", 3, 599)), Err(Refusal::PoolEmpty { .. })));
        assert_eq!(pool.acquire(at("jiro", 4, 599)), Ok(had[0]));
        pool.release_port(now + Duration::from_secs(600), PortId(4));
        assert!(
            matches!(pool.acquire(at("mika", 3, 1199)), Err(Refusal::PoolEmpty { .. })) || pool.held() < 2
        );
        assert!(pool.acquire(at("mika", 3, 1200)).is_ok());
    }
}

#[test]
fn leases_on_the_wire_end() {
    let mut pool = Pool::new(settings(10, 250));
    let now = start();
    let at = |seconds| now + Duration::from_secs(seconds);
    let station = |term| Request::new(now, Key::Station([1, 0x5A].into()), MAC, term);
    let address = pool.acquire(station(Term::Offer(at(60)))).unwrap();
    assert_eq!(pool.poll_timeout(), Some(at(60)));
    assert_eq!(pool.acquire(station(Term::Until(at(3600)))), Ok(address));
    assert_eq!(pool.poll_timeout(), Some(at(3600)));
    assert_eq!(pool.expire(at(3599)), None);
    assert_eq!(pool.expire(at(3600)).unwrap().state, State::Leased(at(3600)));
    assert_eq!(pool.lease(address).unwrap().state, State::Past(at(3600)));
    assert_eq!(pool.acquire(station(Term::Until(at(9000)))), Ok(address));
    // A stranger uses it: nobody gets it for ten minutes.
    pool.decline(at(4000), address);
    let other = pool.acquire(station(Term::Until(at(9000)))).unwrap();
    assert_ne!(other, address);
    assert_eq!(
        pool.acquire(Request { wish: Some(address), ..request("jiro", 1) }).map(|got| got == address),
        Ok(false)
    );
    assert_eq!(pool.expire(at(4600)).unwrap().address, address);
    assert_eq!(pool.acquire(Request { wish: Some(address), ..request("yas", 2) }), Ok(address));
    // A link's address cannot be declined away.
    pool.decline(at(5000), address);
    assert_eq!(pool.lease(address).unwrap().state, State::Bound(PortId(2)));
    pool.decline(at(5000), Ipv4Addr::new(192, 0, 2, 1));
}

#[test]
fn new_rules_keep_holders_and_forget_what_no_longer_fits() {
    let mut pool = Pool::new(settings(10, 20));
    let now = start();
    let jiro = pool.acquire(request("jiro", 1)).unwrap();
    let yas = pool.acquire(request("yas", 2)).unwrap();
    pool.release_port(now, PortId(2));
    pool.apply(settings(100, 101));
    assert_eq!(pool.lease(jiro).unwrap().state, State::Bound(PortId(1)));
    assert_eq!(pool.acquire(request("yas", 3)).map(|ip| ip >= self::ip(100)), Ok(true));
    assert_eq!(pool.lease(yas), None);
    // A reservation made later moves its user at the next connection.
    let reserved = BTreeMap::from([(ip(55), Reserved::User("jiro".into()))]);
    pool.apply(Settings { reserved, ..settings(10, 20) });
    pool.release_port(now, PortId(1));
    assert_eq!(pool.acquire(request("jiro", 4)), Ok(ip(55)));
    assert_eq!(pool.lease_of(&link("jiro", "phone")).unwrap().address, ip(55));
}

#[test]
fn memory_is_bounded() {
    let network = "10.0.0.0/8".parse().unwrap();
    let mut pool = Pool::new(Settings { remember: 100, ..Settings::of_network(network) });
    let mut now = start();
    for n in 0..1000 {
        now += Duration::from_secs(1);
        pool.acquire(request(&format!("u{n}"), 1)).unwrap();
        pool.release_port(now, PortId(1));
    }
    assert_eq!((pool.leases.len(), pool.keys.len(), pool.past.len(), pool.held()), (100, 100, 100, 0));
    // The latest are remembered.
    assert!(pool.lease_of(&link("u999", "phone")).is_some() && pool.lease_of(&link("u0", "phone")).is_none());
}

#[test]
fn fifty_thousand_leases() {
    let mut pool = Pool::new(Settings::of_network("10.60.0.0/16".parse().unwrap()));
    let addresses: BTreeSet<_> =
        (0..50_000).map(|n| pool.acquire(request(&n.to_string(), n)).unwrap()).collect();
    assert_eq!(addresses.len(), 50_000);
    let now = start();
    let clocks = Clocks { now, unix: 1_800_000_000 };
    let (mut after, mut saved) = (None, Vec::new());
    loop {
        let page = pool.save(clocks, after, 1000);
        let Some(last) = page.last() else { break };
        after = Some(last.address);
        saved.extend(page);
    }
    assert_eq!(saved.len(), 50_000);
    // A restart: all come back to their addresses, whatever the order.
    let mut pool = Pool::new(Settings::of_network("10.60.0.0/16".parse().unwrap()));
    assert_eq!(pool.load(clocks, saved.iter().cloned()), 50_000);
    for n in (0..50_000).rev() {
        let was = pool.lease_of(&link(&n.to_string(), "phone")).unwrap().address;
        assert_eq!(pool.acquire(request(&n.to_string(), n)), Ok(was));
        pool.release_port(now, PortId(n));
    }
    assert_eq!(pool.held(), 0);
}

#[test]
fn what_is_on_disk() {
    let mut pool = Pool::new(settings(10, 250));
    let now = start() + Duration::from_secs(10_000);
    let clocks = Clocks { now, unix: 1_800_000_000 };
    let jiro = pool.acquire(request("jiro", 1)).unwrap();
    let named = Request {
        name: Some("printer".into()),
        ..Request::new(
            now,
            Key::Station([1, 2, 0, 0xFF].into()),
            Mac([2, 0, 0, 0, 0, 9]),
            Term::Until(now + Duration::from_secs(600)),
        )
    };
    let printer = pool.acquire(named).unwrap();
    let offered =
        Request::new(now, Key::Station([9].into()), MAC, Term::Offer(now + Duration::from_secs(60)));
    pool.acquire(offered).unwrap();
    let saved = pool.save(clocks, None, 10);
    let text = serde_json::to_string(&saved).unwrap();
    let link = format!(
        r#"{{"address":"{jiro}","user":"jiro","device":"phone","instance":0,"mac":"5a:00:00:00:00:01","seen":1800000000}}"#
    );
    let station = format!(
        r#"{{"address":"{printer}","station":"010200ff","mac":"02:00:00:00:00:09","name":"printer","until":1800000600,"seen":1800000000}}"#
    );
    assert!(text.contains(&link) && text.contains(&station), "{text}");
    assert_eq!(saved.len(), 2);
    let read: Vec<Saved> = serde_json::from_str(&text).unwrap();
    assert_eq!(read, saved);

    // Five minutes later the process is another one.
    let later = Clocks { now: start() + Duration::from_secs(77), unix: 1_800_000_300 };
    let mut pool = Pool::new(settings(10, 250));
    assert_eq!(pool.load(later, read.clone()), 2);
    assert_eq!(pool.load(later, read.clone()), 0);
    assert_eq!(pool.lease(printer).unwrap().state, State::Leased(later.now + Duration::from_secs(300)));
    assert!(matches!(pool.lease(jiro).unwrap().state, State::Past(_)));
    assert_eq!(pool.acquire(request("jiro", 5)), Ok(jiro));
    // A file of another network, or damaged: what does not fit is left out.
    let mut other = Pool::new(Settings::of_network("10.61.0.0/24".parse().unwrap()));
    assert_eq!(other.load(later, read.clone()), 0);
    let mut damaged = read;
    damaged[0].mac = "nonsense".into();
    damaged[1].mac = "nonsense".into();
    assert_eq!(Pool::new(settings(10, 250)).load(later, damaged), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Link { user: u8, device: u8, port: u8, own: Option<u8>, fixed: Option<u8> },
    Wire { station: u8, offer: bool, wish: Option<u8> },
    Leave(u8),
    Release(u8),
    Decline(u8),
    Pass(u16),
    Apply(u8, u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fixed = prop::option::weighted(0.1, 0_u8..40);
    let step = prop_oneof![
        6 => (0..6_u8, 0..3_u8, 0..12_u8, any::<Option<u8>>(), fixed)
            .prop_map(|(user, device, port, own, fixed)| Step::Link { user, device, port, own, fixed }),
        4 => (0..6_u8, any::<bool>(), prop::option::of(0..40_u8))
            .prop_map(|(station, offer, wish)| Step::Wire { station, offer, wish }),
        4 => (0..12_u8).prop_map(Step::Leave),
        2 => (0..6_u8).prop_map(Step::Release),
        1 => (0..40_u8).prop_map(Step::Decline),
        3 => any::<u16>().prop_map(Step::Pass),
        1 => (5..20_u8, 0..20_u8).prop_map(|(first, more)| Step::Apply(first, first + more)),
    ];
    prop::collection::vec(step, 0..120)
}

/// Everything that must hold at any time.
fn check(pool: &Pool) -> Result<(), TestCaseError> {
    let held: Vec<&Lease> = pool.leases(None).filter(|lease| lease.state.is_held()).collect();
    // No address and no key twice; every index points to what it should.
    let keys: BTreeSet<&Key> = pool.leases(None).map(|lease| &*lease.key).collect();
    prop_assert_eq!(keys.len(), pool.leases.len());
    prop_assert_eq!(held.len(), pool.held());
    let declined = pool.leases(None).filter(|lease| matches!(lease.state, State::Declined(_))).count();
    prop_assert_eq!(pool.keys.len() + declined, pool.leases.len());
    for (key, address) in &pool.keys {
        prop_assert_eq!(&pool.leases[address].key, key);
    }
    let bound = held.iter().filter(|lease| matches!(lease.state, State::Bound(_))).count();
    prop_assert_eq!(pool.ports.len(), bound);
    for (port, address) in &pool.ports {
        prop_assert_eq!(pool.leases[address].state, State::Bound(*port));
    }
    prop_assert_eq!(pool.due.len(), held.len() - bound);
    prop_assert_eq!(pool.declined as usize, declined);
    prop_assert_eq!(pool.by_mac.values().sum::<u32>() as usize, held.len() - bound - declined);
    prop_assert!(pool.past.len() + pool.apart.len() <= pool.settings.remember);
    for (set, anybodys) in [(&pool.past, true), (&pool.apart, false)] {
        prop_assert!(set.iter().all(|(at, address)| pool.leases[address].state == State::Past(*at)));
        prop_assert!(
            set.iter()
                .all(|(_, address)| pool.settings.is_anybodys(Ipv4Addr::from_bits(*address)) == anybodys)
        );
    }
    // Fresh addresses are exactly those that anybody may get and nobody has or had.
    let network = pool.settings.network;
    let all = (network.address.to_bits()..=network.last().to_bits()).map(Ipv4Addr::from_bits);
    let open =
        all.filter(|ip| pool.settings.is_anybodys(*ip) && !pool.leases.contains_key(&ip.to_bits())).count();
    prop_assert_eq!(pool.fresh.len() as usize, open);
    Ok(())
}

proptest! {
    #[test]
    fn leases_hold_their_promises(steps in steps()) {
        let reserved = BTreeMap::from([(ip(30), Reserved::User("user0".into())), (ip(12), Reserved::User("user1".into()))]);
        let base = Settings { reserved, remember: 8, hold: Duration::from_secs(5000), lease: Duration::from_secs(600), ..settings(10, 25) };
        let mut pool = Pool::new(base.clone());
        let mut now = start();
        for step in steps {
            match step {
                Step::Link { user, device, port, own, fixed } => {
                    let key = link(&format!("user{user}"), &device.to_string());
                    let request = Request {
                        own: own.map(ip), fixed: fixed.map(ip), ..Request::new(now, key.clone(), MAC, Term::Port(PortId(port.into())))
                    };
                    let before = pool.lease_of(&key).cloned();
                    let all: Vec<Lease> = pool.leases(None).cloned().collect();
                    let got = pool.acquire(request);
                    if let Ok(address) = &got {
                        // Whoever left a short while ago finds its address, unless that was fixed for somebody else.
                        let lost = all.iter().find(|lease| lease.address == *address && *lease.key != key);
                        if let Some(State::Past(left)) = lost.map(|lease| lease.state) {
                            let fixed = fixed.is_some() || pool.settings.reserved.contains_key(address);
                            prop_assert!(fixed || now - left >= base.hold);
                        }
                        prop_assert_eq!(pool.lease_of(&key).unwrap().address, *address);
                        prop_assert!(base.network.is_host(*address) && base.gateway != Some(*address));
                        // Sticky, unless something was fixed for it or the rules no longer allow the old one.
                        let may = |old: &Lease| pool.settings.in_range(old.address) && !pool.settings.reserved.contains_key(&old.address);
                        if let Some(old) = before.filter(|old| may(old) && fixed.is_none() && own.is_none() && user > 1) {
                            prop_assert_eq!(*address, old.address);
                        }
                    } else {
                        prop_assert_eq!(pool.lease_of(&key).cloned(), before);
                    }
                }
                Step::Wire { station, offer, wish } => {
                    let until = now + Duration::from_secs(if offer { 60 } else { 600 });
                    let term = if offer { Term::Offer(until) } else { Term::Until(until) };
                    let key = Key::Station([station].into());
                    let _ = pool.acquire(Request { wish: wish.map(ip), ..Request::new(now, key, MAC, term) });
                }
                Step::Leave(port) => { pool.release_port(now, PortId(port.into())); }
                Step::Release(station) => { pool.release(now, &Key::Station([station].into())); }
                Step::Decline(last) => pool.decline(now, ip(last)),
                Step::Pass(seconds) => {
                    now += Duration::from_secs(seconds.into());
                    while pool.expire(now).is_some() {}
                    prop_assert!(pool.poll_timeout().is_none_or(|at| at > now));
                }
                Step::Apply(first, last) => {
                    pool.apply(Settings { range: (ip(first), ip(last)), ..base.clone() });
                }
            }
            check(&pool)?;
        }
    }
}
