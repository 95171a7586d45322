//! Every authentication protocol with right and wrong passwords; every chain of refusals.

use super::*;
use crate::crypto::mschap;
use crate::wire::chap::{ChapPacket, MsChapV2Failure};
use crate::wire::ppp_option::{AuthProtocol, ChapAlgorithm};
use AuthMethod::{ChapMd5, EapMd5, EapMsChapV2, MsChapV2, Pap};

const ALL: [AuthMethod; 5] = [MsChapV2, ChapMd5, Pap, EapMsChapV2, EapMd5];

fn settings(auth: &[AuthMethod]) -> Settings {
    Settings { auth: auth.to_vec(), ..Settings::default() }
}

fn nt_hash(password: &str) -> Credential {
    Credential::NtHash(Secret::new(mschap::nt_hash(password).to_vec()))
}

/// Runs an Android with these protocols against a server with those.
fn meet(server: &[AuthMethod], client: &[AuthMethod], login: Login, backend: Backend) -> Pair {
    let mut pair = Pair::new(settings(server), Habits::android().with_auth(client), login, backend);
    pair.start();
    pair.run(seconds(10));
    pair
}

#[test]
fn every_method_with_the_right_password() {
    for method in ALL {
        for name in ["alice", "alice@HUB1", "alice@hub1", "HUB1\\alice", "ALICE@HUB1"] {
            let backend = Backend::new("alice-pw");
            // The account is found without regard to case by the real thing; here by its exact name.
            let name = if name == "ALICE@HUB1" { "alice@HUB1" } else { name };
            let pair = meet(&[method], &[method], login(name, "alice-pw"), backend);
            assert!(pair.is_up(), "{method} {name}: {:?}", pair.server_events);
            let params = pair.server.params().unwrap();
            assert_eq!((params.auth, params.address), (Some(method), GRANTED));
            assert_eq!(pair.client.params().unwrap().auth, Some(method));
            assert_eq!(pair.now - pair.start, seconds(10));
        }
    }
}

#[test]
fn every_method_with_a_wrong_password() {
    for method in ALL {
        for (name, password) in
            [("alice", "alice-pW"), ("alice", ""), ("bob", "alice-pw"), ("alice@nohub", "alice-pw")]
        {
            let pair = meet(&[method], &[method], login(name, password), Backend::new("alice-pw"));
            let cause = Cause::AuthRefused(AuthError::AuthenticationFailure);
            assert_eq!(pair.server_down(), Some(&cause), "{method} {name}");
            let Some(Cause::RefusedByServer { error, message }) = pair.client_down() else {
                panic!("{method} {name}: {:?}", pair.client_down())
            };
            let number = matches!(method, MsChapV2 | EapMsChapV2).then_some(691);
            assert_eq!(*error, number, "{method}");
            assert!(method == EapMd5 || message == "Wrong user name or password", "{method}: {message}");
            assert!(pair.count(true, Protocol::LCP, 5) >= 1, "{method}: no Terminate-Request");
            assert!(!pair.server_events.iter().any(|event| matches!(event, Event::Up(_))));
        }
    }
}

#[test]
fn an_nt_hash_is_enough_for_all_but_md5() {
    for method in ALL {
        let backend = Backend { credential: nt_hash("alice-pw"), ..Backend::new("") };
        let pair = meet(&[method], &[method], login("alice", "alice-pw"), backend);
        assert_eq!(pair.is_up(), method.works_with_nt_hash(), "{method}");
    }
}

#[test]
fn the_numbers_that_clients_show() {
    for (error, number) in [
        (AuthError::RestrictedLogonHours, 646),
        (AuthError::AccountDisabled, 647),
        (AuthError::NoDialinPermission, 649),
        (AuthError::AuthenticationFailure, 691),
    ] {
        for method in [MsChapV2, EapMsChapV2] {
            let backend = Backend { refuse: Some(error), ..Backend::new("alice-pw") };
            let pair = meet(&[method], &[method], login("alice", "alice-pw"), backend);
            assert_eq!(pair.server_down(), Some(&Cause::AuthRefused(error)));
            let shown = Cause::RefusedByServer { error: Some(number), message: error.text().to_owned() };
            assert_eq!(pair.client_down(), Some(&shown));
        }
    }
}

#[test]
fn the_failure_message_has_the_form_that_windows_wants() {
    let pair = meet(&[MsChapV2], &[MsChapV2], login("alice", "x"), Backend::new("alice-pw"));
    let failure = pair.log.iter().find(|sent| sent.is(true, Protocol::CHAP, 4)).unwrap();
    let Ok(ChapPacket::Failure { message, .. }) = ChapPacket::parse(&failure.frame[4..]) else { panic!() };
    let text = std::str::from_utf8(message).unwrap();
    assert!(text.starts_with("E=691 R=0 C="), "{text}");
    assert_eq!(&text[44..], " V=3 M=Wrong user name or password");
    assert!(text[12..44].bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)), "{text}");
    assert!(MsChapV2Failure::parse(message).is_ok());
    // The Terminate-Request follows it at once.
    let at = pair.log.iter().position(|sent| sent == failure).unwrap();
    assert!(pair.log[at + 1].is(true, Protocol::LCP, 5));
}

#[test]
fn a_client_gets_what_it_can_do() {
    let table: &[(&[AuthMethod], &[AuthMethod], Option<AuthMethod>)] = &[
        // The default order; an unconfigured client takes the first.
        (&[MsChapV2, ChapMd5, Pap], &[MsChapV2, ChapMd5, Pap], Some(MsChapV2)),
        // refuse-mschap-v2: pppd names CHAP-MD5.
        (&[MsChapV2, ChapMd5, Pap], &[ChapMd5, Pap], Some(ChapMd5)),
        // refuse-chap, too.
        (&[MsChapV2, ChapMd5, Pap], &[Pap], Some(Pap)),
        // Named, but not allowed: the next in order.
        (&[MsChapV2, Pap], &[ChapMd5, Pap], Some(Pap)),
        // EAP first: Android and Apple name CHAP-MD5, which is taken if it is allowed …
        (&[EapMsChapV2, MsChapV2, ChapMd5], &[ChapMd5, MsChapV2], Some(ChapMd5)),
        // … and if it is not, the next.
        (&[EapMsChapV2, MsChapV2, Pap], &[ChapMd5, MsChapV2], Some(MsChapV2)),
        // The PAP-only Android against a server that begins with EAP (capture android7_pap).
        (&[EapMsChapV2, MsChapV2, Pap], &[Pap], Some(Pap)),
        // EAP is wanted.
        (&[MsChapV2, EapMsChapV2], &[EapMsChapV2], Some(EapMsChapV2)),
        // Inside EAP, a Nak moves on to the other method.
        (&[EapMsChapV2, EapMd5], &[EapMd5], Some(EapMd5)),
        (&[EapMd5, EapMsChapV2], &[EapMsChapV2], Some(EapMsChapV2)),
        // The order is the server's.
        (&[Pap, MsChapV2], &[MsChapV2, Pap], Some(Pap)),
        (&[ChapMd5, MsChapV2], &[MsChapV2, ChapMd5], Some(ChapMd5)),
        // Nothing in common.
        (&[MsChapV2], &[Pap], None),
        (&[MsChapV2, ChapMd5], &[Pap, EapMd5], None),
        (&[EapMd5], &[EapMsChapV2], None),
    ];
    for (server, client, expected) in table {
        let pair = meet(server, client, login("alice", "alice-pw"), Backend::new("alice-pw"));
        assert_eq!(pair.server.params().and_then(|params| params.auth), *expected, "{server:?} {client:?}");
    }
}

#[test]
fn no_common_protocol_is_named_with_what_the_client_wanted() {
    let pair = meet(&[MsChapV2, ChapMd5], &[Pap], login("alice", "alice-pw"), Backend::new("alice-pw"));
    let cause = pair.server_down().unwrap();
    assert_eq!(
        *cause,
        Cause::NoCommonAuth { offered: vec![MsChapV2, ChapMd5], wanted: vec![AuthProtocol::Pap] }
    );
    assert_eq!(
        cause.to_string(),
        "no common authentication protocol: we offered mschapv2, chap, the client wants PAP"
    );
    assert_eq!(cause.fault(), Fault::PeerIncompatible);
    // Not one request went out without authentication.
    for sent in pair.log.iter().filter(|sent| sent.is(true, Protocol::LCP, 1)) {
        assert!(sent.packet().data.windows(2).any(|w| w == [0xc2, 0x23]), "{sent:02x?}");
    }
    assert!(
        matches!(pair.client_down(), Some(Cause::PeerTerminated { text, .. }) if text.contains("No common"))
    );
    assert!(pair.server_events.len() == 1, "{:?}", pair.server_events);
}

#[test]
fn a_client_that_rejects_the_option_names_nothing() {
    let mut habits = Habits::android().with_auth(&[Pap]);
    habits.instead = None;
    let mut pair = Pair::new(
        settings(&[MsChapV2, Pap]),
        habits.clone(),
        login("alice", "alice-pw"),
        Backend::new("alice-pw"),
    );
    pair.start();
    pair.run(seconds(5));
    assert!(pair.is_up());
    let mut pair =
        Pair::new(settings(&[MsChapV2]), habits, login("alice", "alice-pw"), Backend::new("alice-pw"));
    pair.start();
    pair.run(seconds(5));
    assert_eq!(pair.server_down(), Some(&Cause::NoCommonAuth { offered: vec![MsChapV2], wanted: vec![] }));
}

#[test]
fn ms_chap_v1_is_recorded_and_never_offered() {
    let mut habits = Habits::android().with_auth(&[]);
    habits.instead = Some(AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V1));
    let mut pair =
        Pair::new(Settings::default(), habits, login("alice", "alice-pw"), Backend::new("alice-pw"));
    pair.start();
    pair.run(seconds(5));
    let wanted = vec![AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V1)];
    assert_eq!(
        pair.server_down(),
        Some(&Cause::NoCommonAuth { offered: vec![MsChapV2, ChapMd5, Pap], wanted })
    );
}

#[test]
fn a_server_without_methods_lets_nobody_in() {
    let pair = meet(&[], &[Pap], login("alice", "alice-pw"), Backend::new("alice-pw"));
    assert_eq!(pair.server_down(), Some(&Cause::NoCommonAuth { offered: vec![], wanted: vec![] }));
}

/// Loses the first `n` frames that `which` picks.
fn lose(pair: &mut Pair, mut n: usize, which: impl Fn(&Sent) -> bool + 'static) {
    pair.vanish = Some(Box::new(move |sent| {
        let hit = n > 0 && which(sent);
        n -= usize::from(hit);
        hit
    }));
}

#[test]
fn a_lost_challenge_is_asked_again_under_a_new_identifier() {
    for (method, protocol) in
        [(MsChapV2, Protocol::CHAP), (ChapMd5, Protocol::CHAP), (EapMsChapV2, Protocol::EAP)]
    {
        for from_server in [true, false] {
            let habits = Habits::android().with_auth(&[method]);
            let mut pair =
                Pair::new(settings(&[method]), habits, login("alice", "alice-pw"), Backend::new("alice-pw"));
            lose(&mut pair, 2, move |sent| sent.from_server == from_server && sent.protocol() == protocol);
            pair.start();
            pair.run(seconds(6));
            assert!(pair.is_up(), "{method} {from_server}: {:?}", pair.server_events);
            if protocol == Protocol::CHAP {
                let ids: Vec<u8> = pair
                    .log
                    .iter()
                    .filter(|sent| sent.is(true, protocol, 1))
                    .map(|sent| sent.packet().id)
                    .collect();
                assert_eq!(ids, [ids[0], ids[0].wrapping_add(1), ids[0].wrapping_add(2)]);
            }
        }
    }
}

#[test]
fn a_lost_success_is_said_again_before_ipcp() {
    for method in ALL {
        for early_gateway in [true, false] {
            let (protocol, success) = match method {
                MsChapV2 | ChapMd5 => (Protocol::CHAP, 3),
                Pap => (Protocol::PAP, 2),
                EapMsChapV2 | EapMd5 => (Protocol::EAP, 3),
            };
            let habits = Habits::android().with_auth(&[method]);
            let backend = Backend { early_gateway, ..Backend::new("alice-pw") };
            let mut pair = Pair::new(settings(&[method]), habits, login("alice", "alice-pw"), backend);
            lose(&mut pair, 2, move |sent| sent.is(true, protocol, success));
            pair.start();
            pair.run(seconds(6));
            assert!(pair.is_up(), "{method} {early_gateway}: {:?} {:?}", pair.server, pair.client);
        }
    }
}

#[test]
fn a_repeated_response_gets_the_same_answer_and_no_second_request() {
    let mut pair = Pair::usual().connect();
    let response = pair.log.iter().find(|sent| sent.is(false, Protocol::CHAP, 2)).unwrap().frame.clone();
    let success = pair.log.iter().find(|sent| sent.is(true, Protocol::CHAP, 3)).unwrap().frame.clone();
    let before = (pair.log.len(), pair.server_events.len());
    pair.deliver(true, &response);
    assert_eq!(pair.log[before.0..].iter().map(|sent| &sent.frame).collect::<Vec<_>>(), [&success]);
    assert_eq!(pair.server_events.len(), before.1);
    // Another response to the same challenge gets nothing.
    let mut other = response;
    other[20] ^= 1;
    pair.deliver(true, &other);
    assert_eq!(pair.log.len(), before.0 + 1);
    assert!(pair.is_up());
}

#[test]
fn while_the_verdict_is_awaited_repetitions_are_answered_by_silence() {
    for (method, protocol) in [(MsChapV2, Protocol::CHAP), (Pap, Protocol::PAP)] {
        let mut script = Script::new(settings(&[method]), Backend::new("alice-pw"));
        let frames = script.open_lcp();
        let frame = match method {
            Pap => b"\xff\x03\xc0\x23\x01\x09\x00\x13\x05alice\x08alice-pw".to_vec(),
            _ => {
                let mut frame = b"\xff\x03\xc2\x23\x02\x00\x00\x3b\x31".to_vec();
                frame[5] = frames.last().unwrap()[5];
                frame.extend([0; 49]);
                frame.extend(b"alice");
                frame
            }
        };
        let mut out = Output::default();
        assert_eq!(script.link.handle_frame(script.now, &frame, &mut out), Ok(()));
        assert!(matches!(out.events.as_slice(), [Event::AuthRequired(_)]));
        for _ in 0..3 {
            let result = script.link.handle_frame(script.now, &frame, &mut out);
            assert_eq!(result, Err(crate::packet::Drop::Repeated));
        }
        assert!(out.frames.is_empty() && out.events.len() == 1);
        // Nor is the challenge repeated: RADIUS may take its minute.
        let next = script.link.poll_timeout().unwrap() - script.now;
        assert!(next > seconds(60), "{next:?}");
        let refuse = AuthVerdict::Refuse { error: AuthError::NoDialinPermission };
        script.link.handle_verdict(script.now, &refuse, &mut out);
        assert!(out.frames.iter().any(|frame| frame[2..4] == protocol.0.to_be_bytes()));
        // A second verdict changes nothing.
        let frames = out.frames.len();
        let admit = AuthVerdict::Admit { success: None, gateway: None };
        script.link.handle_verdict(script.now, &admit, &mut out);
        assert_eq!((out.frames.len(), script.link.phase()), (frames, Phase::Terminate));
    }
}

#[test]
fn a_client_that_never_answers_is_given_up() {
    for method in ALL {
        let mut script = Script::new(settings(&[method]), Backend::new("alice-pw"));
        script.open_lcp();
        let start = script.now;
        while script.link.phase() == Phase::Authenticate {
            script.wait();
        }
        let took = script.now - start;
        assert!((seconds(25)..=seconds(31)).contains(&took), "{method}: {took:?}");
        while script.link.phase() != Phase::Dead {
            script.wait();
        }
        assert_eq!(down(&script.events), Some(&Cause::AuthTimeout));
    }
}
