//! RFC 2759 section 9.2 through a whole link: the challenge is not ours to choose, so the vectors enter at the proof.

use super::*;
use crate::identity::account::Accepted;
use crate::wire::chap::ChapPacket;
use hex_literal::hex;

const SUCCESS: &str = "S=407A5589115FD0D6209F510FE9C04566932CDA56";

/// A client's response in the RFC's words.
fn response_frame(id: u8) -> Vec<u8> {
    let mut frame = hex!("ff03c223 02 00 003a 31").to_vec();
    frame[5] = id;
    frame[7] = 4 + 1 + 49 + 4;
    frame.extend(hex!("21402324255e262a28295f2b3a337c7e 0000000000000000"));
    frame.extend(hex!("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df 00"));
    frame.extend(b"User");
    frame
}

#[test]
fn the_vectors_of_section_9_2_reach_the_verdict_and_come_back_as_success() {
    let mut script = Script::new(Settings::default(), Backend::new("clientPass"));
    let frames = script.open_lcp();
    let challenge =
        frames.iter().find(|frame| frame.starts_with(&hex!("ff03c22301"))).expect("a challenge").clone();
    // --> CHAP Response
    script.link.handle_frame(script.now, &response_frame(challenge[5]), &mut script.out).unwrap();
    let Some(Event::AuthRequired(request)) = script.out.events.pop() else { panic!("no request") };
    assert_eq!((request.method, request.name.as_slice()), (AuthMethod::MsChapV2, &b"User"[..]));
    let Proof::MsChapV2 { name, authenticator_challenge, peer_challenge, nt_response } = request.proof else {
        panic!()
    };
    assert_eq!(authenticator_challenge, challenge[9..25]);
    // The RFC's own challenge in place of ours.
    let proof = Proof::MsChapV2 {
        name,
        authenticator_challenge: hex!("5b5d7c7d7b3f2f3e3c2c602132262628"),
        peer_challenge,
        nt_response,
    };
    let credential = Credential::Password(Secret::from("clientPass"));
    let accepted: Accepted =
        verify(Some(Account { user: "User", hub: "HUB1", credential: &credential }), &proof).unwrap();
    script.link.handle_verdict(script.now, &AuthVerdict::from(Ok(&accepted)), &mut script.out);
    // <-- CHAP Success
    let frame = script.out.frames.remove(0);
    let Ok(ChapPacket::Success { id, message }) = ChapPacket::parse(&frame[4..]) else { panic!() };
    assert_eq!(id, challenge[5]);
    assert_eq!(std::str::from_utf8(message).unwrap(), format!("{SUCCESS} M=Welcome"));
    assert_eq!(script.link.phase(), Phase::Network);
}

#[test]
fn a_client_link_trusts_nobody_but_a_server_with_the_password() {
    for (success, trusted) in [(None, true), (Some(SUCCESS), false), (Some("S="), false)] {
        let mut pair = Pair::usual();
        pair.start();
        // Everything but the verdict.
        let request = loop {
            pair.backend.refuse = None;
            let (_, _, to_server, frame) = pair.wire.remove(0);
            if to_server {
                let mut out = Output::default();
                let _ = pair.server.handle_frame(pair.now, &frame, &mut out);
                let request = out.events.iter().find_map(|event| match event {
                    Event::AuthRequired(request) => Some(request.clone()),
                    _ => None,
                });
                pair.post(true, out.frames);
                if let Some(request) = request {
                    break request;
                }
            } else {
                pair.deliver(false, &frame);
            }
        };
        let AuthVerdict::Admit { success: honest, gateway } = pair.backend.judge(&request) else { panic!() };
        let success = success.map(str::to_owned).or(honest);
        let verdict = AuthVerdict::Admit { success, gateway };
        pair.server_does(|link, now, out| link.handle_verdict(now, &verdict, out));
        pair.run(seconds(5));
        if trusted {
            assert!(pair.is_up());
        } else {
            assert_eq!(pair.client_down(), Some(&Cause::ServerNotTrusted));
        }
    }
}
