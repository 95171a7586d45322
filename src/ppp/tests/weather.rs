//! Links over wires that lose, delay and double frames: they come up, and they come up once.

use super::*;

fn storm(habits: Habits, weather: Weather, seed: u64) -> Pair {
    let backend = Backend { early_gateway: seed.is_multiple_of(2), ..Backend::new("alice-pw") };
    let mut pair = Pair::with_seed(Settings::default(), habits, login("alice", "alice-pw"), backend, seed);
    pair.weather = weather;
    pair.start();
    pair.run(seconds(60));
    pair
}

fn habits(seed: u64) -> Habits {
    match seed % 5 {
        0 => Habits::android(),
        1 => Habits::apple(),
        2 => Habits::windows(),
        3 => Habits::macos_split(),
        _ => Habits::pppd(),
    }
}

#[test]
fn every_method_survives_a_bad_line() {
    let weather = Weather { delay: Duration::from_millis(50), lost: 15, doubled: 10, late: 20 };
    let methods = [
        AuthMethod::MsChapV2,
        AuthMethod::ChapMd5,
        AuthMethod::Pap,
        AuthMethod::EapMsChapV2,
        AuthMethod::EapMd5,
    ];
    for seed in 0..300 {
        let method = methods[usize::try_from(seed).unwrap() % methods.len()];
        let settings = Settings { auth: vec![method], ..Settings::default() };
        let habits = habits(seed / 5).with_auth(&[method]);
        let backend = Backend { early_gateway: seed % 2 == 0, ..Backend::new("alice-pw") };
        let mut pair = Pair::with_seed(settings, habits, login("alice", "alice-pw"), backend, seed);
        pair.weather = weather;
        pair.start();
        pair.run(seconds(60));
        assert!(
            pair.is_up(),
            "seed {seed} {method}: {:?} {:?}\n{:?}\n{:?}",
            pair.server,
            pair.client,
            pair.server_events,
            pair.client_events
        );
    }
}

#[test]
fn three_percent_loss_costs_seconds_at_most() {
    let weather = Weather { delay: Duration::from_millis(50), lost: 3, doubled: 0, late: 0 };
    let mut slow = 0;
    for seed in 1000..1300 {
        let pair = storm(habits(seed), weather, seed);
        assert!(pair.is_up(), "seed {seed}");
        let last = pair.log.iter().rfind(|sent| sent.is(true, Protocol::IPCP, 2)).unwrap();
        slow += usize::from(last.at > seconds(5));
    }
    assert!(slow <= 9, "{slow} of 300 took more than 5 s");
}

#[test]
fn duplicates_alone_change_nothing() {
    let weather = Weather { delay: Duration::from_millis(20), lost: 0, doubled: 100, late: 0 };
    for seed in 2000..2050 {
        let pair = storm(habits(seed), weather, seed);
        assert!(pair.is_up(), "seed {seed}");
        let ups = pair.server_events.iter().filter(|event| matches!(event, Event::Up(_))).count();
        let asked = pair.server_events.iter().filter(|event| matches!(event, Event::AuthRequired(_))).count();
        assert_eq!((ups, asked), (1, 1), "seed {seed}: {:?}", pair.server_events);
    }
}

#[test]
fn a_wrong_password_is_told_in_any_weather() {
    let weather = Weather { delay: Duration::from_millis(50), lost: 10, doubled: 10, late: 10 };
    for seed in 3000..3100 {
        let mut pair = Pair::with_seed(
            Settings::default(),
            habits(seed),
            login("alice", "wrong"),
            Backend::new("alice-pw"),
            seed,
        );
        pair.weather = weather;
        pair.start();
        pair.run(seconds(120));
        let cause = Cause::AuthRefused(AuthError::AuthenticationFailure);
        assert_eq!(pair.server_down(), Some(&cause), "seed {seed}");
        assert!(pair.client_down().is_some(), "seed {seed}: {:?}", pair.client);
    }
}

#[test]
fn a_slow_path_needs_no_second_attempt() {
    // Round trip 1.4 s: every first request is repeated before its answer can come.
    let weather = Weather { delay: Duration::from_millis(700), lost: 0, doubled: 0, late: 0 };
    for seed in 4000..4010 {
        let pair = storm(habits(seed), weather, seed);
        assert!(pair.is_up(), "seed {seed}: {:?}", pair.server_events);
    }
}

#[test]
fn the_same_seed_is_the_same_story() {
    let weather = Weather { delay: Duration::from_millis(50), lost: 20, doubled: 20, late: 20 };
    let (a, b) = (storm(Habits::windows(), weather, 5), storm(Habits::windows(), weather, 5));
    assert_eq!(a.log, b.log);
}
