//! Frames that nobody honest sends.

use super::*;
use proptest::prelude::*;

/// Protocols and codes that lead somewhere, with the rest at random.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop_oneof![
        Just(0xc021_u16),
        Just(0xc023),
        Just(0xc223),
        Just(0xc227),
        Just(0x8021),
        Just(0x0021),
        Just(0x80fd),
        any::<u16>(),
    ];
    let data = proptest::collection::vec(any::<u8>(), 0..40);
    (protocol, 0..16_u8, any::<u8>(), data, any::<bool>()).prop_map(|(protocol, code, id, data, whole)| {
        let mut out = Output::default();
        out.send_control(Protocol(protocol), Code(code), id, &data);
        let mut frame = out.frames[0].to_vec();
        if !whole {
            frame.truncate(frame.len() / 2);
        }
        frame
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_and_nobody_gets_in(frames in proptest::collection::vec(frame(), 0..60)) {
        let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
        script.drain();
        for frame in frames {
            let replies = script.send(&frame);
            prop_assert!(replies.len() <= 4, "{frame:02x?} got {replies:02x?}");
            let mut data = PacketBuf::from_slice(&frame);
            let _ = script.link.strip_data(&mut data);
        }
        prop_assert!(!script.events.iter().any(|event| matches!(event, Event::Up(_))));
        down(&script.events);
    }

    #[test]
    fn raw_bytes_in_any_phase(bytes in proptest::collection::vec(any::<u8>(), 0..60), opened: bool) {
        let mut script = if opened {
            Script::open_by_pap(Backend::new("alice-pw"))
        } else {
            Script::new(Settings::default(), Backend::new("alice-pw"))
        };
        script.send(&bytes);
    }

    #[test]
    fn a_client_link_survives_any_server(frames in proptest::collection::vec(frame(), 0..60)) {
        let role = client_role(Habits::windows(), login("alice", "alice-pw"));
        let mut link = Link::new(role, Arc::new(Settings::default()), Entropy::from_number(3));
        let (now, mut out) = (epoch(), Output::default());
        link.start(now, &mut out);
        for frame in frames {
            let _ = link.handle_frame(now, &frame, &mut out);
        }
        down(&out.events);
    }
}

#[test]
fn an_endless_quarrel_ends() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let mut request = script.drain().remove(0);
    for _ in 0..30 {
        // The peer wants an MRU that we do not give.
        match script.send_control(Protocol::LCP, 3, request[5], &[1, 4, 0xff, 0xff]).first() {
            Some(next) => request = next.clone(),
            None => break,
        }
    }
    assert_eq!(down(&script.events), Some(&Cause::NotConverging(Protocol::LCP)));
}

#[test]
fn forged_answers_change_nothing() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let request = script.drain().remove(0);
    for code in [2, 3, 4, 6] {
        // A wrong identifier.
        assert!(
            script.send_control(Protocol::LCP, code, request[5].wrapping_add(1), &request[8..]).is_empty()
        );
    }
    // An Ack of something else: without authentication, for example.
    let without: Vec<u8> = [&request[8..12], &request[17..]].concat();
    assert!(script.send_control(Protocol::LCP, 2, request[5], &without).is_empty());
    script.send_control(Protocol::LCP, 1, 1, &[]);
    assert_eq!(script.link.phase(), Phase::Establish);
    script.send(&Script::ack_of(&[request], Protocol::LCP));
    assert_eq!(script.link.phase(), Phase::Authenticate);
}

#[test]
fn no_word_of_authentication_is_believed_out_of_turn() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let frames = script.open_lcp();
    let id = frames.last().unwrap()[5];
    // Success from the client, Response to another challenge, a Response that is too short, IP.
    for frame in [
        &[0xff, 0x03, 0xc2, 0x23, 3, id, 0, 4][..],
        &[0xff, 0x03, 0xc2, 0x23, 2, id.wrapping_sub(1), 0, 6, 1, 1],
        &[0xff, 0x03, 0xc2, 0x23, 2, id, 0, 6, 1, 1],
        &[0xff, 0x03, 0x00, 0x21, 0x45],
        &[0xff, 0x03, 0x80, 0x21, 1, 1, 0, 10, 3, 6, 0, 0, 0, 0],
    ] {
        assert!(script.send(frame).is_empty(), "{frame:02x?}");
        assert_eq!(script.link.phase(), Phase::Authenticate);
    }
    // A verdict that nobody asked for.
    let admit = AuthVerdict::Admit { success: None, gateway: None };
    script.link.handle_verdict(script.now, &admit, &mut script.out);
    assert_eq!((script.link.phase(), script.drain().len()), (Phase::Authenticate, 0));
    script.link.handle_address(script.now, GRANT, &mut script.out);
    assert_eq!((script.link.phase(), script.drain().len()), (Phase::Authenticate, 0));
}
