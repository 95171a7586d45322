//! Frames of real clients, decrypted from captures of them with SoftEther as the server, against our server.
//!
//! - `ANDROID`: interop capture android_nat_main: racoon and mtpd of Android 7.1.2, pppd of Android 11.
//! - `APPLE`: apple_nat_main: Apple's constants on the same base.
//! - `PPPD`: softether-nat.pcap: Debian's strongSwan, xl2tpd and pppd 2.4.9, `+ipv6`, user alice, password alice-pw.
//!
//! The challenge is ours, so the response is computed anew where the exchange has to go on; everything else is fed as it
//! was sent.

use super::*;
use crate::wire::chap::{ChapPacket, MsChapV2Response};
use hex_literal::hex;

const ANDROID_LCP: &[u8] = &hex!("ff03c021 010100180104057802060000000005062b9950ec07020802");
const ANDROID_NAK_EAP: &[u8] = &hex!("ff03c021 030000090305c22305");
const ANDROID_RESPONSE: &[u8] = &hex!(
    "ff03c223 0202003b31d7845d80b441d5a9c1b5b57df6cc651a00000000000000009019ca9d7a480096d3c7ac1d0558290b3745b3d9f5cb711700616c696365"
);
const ANDROID_CCP: &[u8] = &hex!("ff0380fd 0101000f1a0478001804780015032f");
const ANDROID_IPCP: &[u8] = &hex!("ff038021 0101001c0206002d0f01030600000000810600000000830600000000");
const ANDROID_IPCP_2: &[u8] = &hex!("ff038021 01020010030600000000810600000000");
const ANDROID_TERMINATE: &[u8] = &hex!("ff03c021 05030010557365722072657175657374");

const APPLE_LCP: &[u8] = &hex!("ff03c021 010100140206000000000506b777361d07020802");
const APPLE_RESPONSE: &[u8] = &hex!(
    "ff03c223 0202003b3188f3454e9deed4121f8db767b1a1b393000000000000000022592a9a80241f959580e3d2aa35d921f6ff39e9c9abf37b00616c696365"
);
const PPPD_LCP: &[u8] = &hex!("ff03c021 0101001401040578020600000000050672cbce22");
const PPPD_RESPONSE: &[u8] = &hex!(
    "ff03c223 0202003b31c3a9d5efe631f97269504aefdbdcc61c0000000000000000a2641de8569d99d2e8fdce479121f506d9b0ba72f1599be300616c696365"
);
const PPPD_IPCP: &[u8] = &hex!("ff038021 01010016030600000000810600000000830600000000");
const PPPD_IPV6CP: &[u8] = &hex!("ff038057 0101000e010aa447e63073d06bab");
const PPPD_ECHO: &[u8] = &hex!("ff03c021 0900000800000000");

/// The Ack to a captured Configure-Request.
fn ack(request: &[u8]) -> Vec<u8> {
    let mut ack = request.to_vec();
    ack[4] = 2;
    ack
}

/// The response of alice with alice-pw to our challenge.
fn answer(challenge: &[u8]) -> Vec<u8> {
    let Ok(ChapPacket::Challenge { id, value, .. }) = ChapPacket::parse(&challenge[4..]) else { panic!() };
    let (authenticator, peer) = (value.try_into().unwrap(), [9; 16]);
    let hash = crate::crypto::mschap::nt_hash("alice-pw");
    let response = crate::crypto::mschap::nt_response(authenticator, &peer, b"alice", &hash);
    let mut value = crate::wire::Writer::new();
    MsChapV2Response::new(peer, response).emit(&mut value);
    let mut out = Output::default();
    out.send(Protocol::CHAP, |w| {
        ChapPacket::Response { id, value: value.as_slice(), name: b"alice" }.emit(w)
    });
    out.frames[0].to_vec()
}

fn starts(frames: &[Vec<u8>], header: &[u8]) -> Vec<u8> {
    frames
        .iter()
        .find(|frame| frame.starts_with(header))
        .unwrap_or_else(|| panic!("{header:02x?} in {frames:02x?}"))
        .clone()
}

fn up_to_network(script: &mut Script, lcp: &[u8]) -> Vec<Vec<u8>> {
    // <-- LCP Configure-Request: MRU 1400, MS-CHAPv2, magic
    let request = script.drain().remove(0);
    assert_eq!(request[..13], hex!("ff03c021 01010013 01040578 03"));
    assert_eq!(request[13..17], hex!("05c22381"));
    // --> LCP Configure-Request  <-- Configure-Ack
    assert_eq!(script.send(lcp), [ack(lcp)]);
    // --> LCP Configure-Ack  <-- CHAP Challenge
    let challenge = starts(&script.send(&ack(&request)), &hex!("ff03c223 01"));
    // --> CHAP Response  <-- CHAP Success, IPCP Configure-Request
    let frames = script.send(&answer(&challenge));
    assert!(starts(&frames, &hex!("ff03c223 03"))[8..].starts_with(b"S="));
    assert_eq!(script.link.phase(), Phase::Network);
    frames
}

#[test]
fn android_connects_and_leaves() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let frames = up_to_network(&mut script, ANDROID_LCP);
    assert_eq!(frames[1], hex!("ff038021 01 01 000a 0306 0a3c0001"));
    // --> CCP Configure-Request  <-- Protocol-Reject
    let rejected = script.send(ANDROID_CCP);
    assert_eq!(rejected[0][4], 8);
    assert_eq!(rejected[0][8..], hex!("80fd 0101000f1a0478001804780015032f"));
    assert!(script.events.contains(&Event::Refused(Protocol::CCP)));
    // --> IPCP Configure-Request  <-- Configure-Reject of VJ and the second name server
    assert_eq!(script.send(ANDROID_IPCP), [hex!("ff038021 0401 0010 0206002d0f01 830600000000")]);
    assert!(script.events.contains(&Event::AddressWanted { asked: None }));
    script.send(&ack(&frames[1]));
    // --> IPCP Configure-Request  <-- Configure-Nak with address and name server
    assert_eq!(script.send(ANDROID_IPCP_2), [hex!("ff038021 0302 0010 03060a3c000a 81060a3c0035")]);
    // --> the same with these  <-- Configure-Ack
    let last = hex!("ff038021 01030010 03060a3c000a 81060a3c0035");
    assert_eq!(script.send(&last), [ack(&last)]);
    let Some(Event::Up(params)) = script.events.last() else { panic!("{:?}", script.events) };
    let expected = LinkParams {
        address: GRANTED,
        gateway: GATEWAY,
        dns: [Some(DNS), None],
        mru: 1400,
        our_mru: 1400,
        auth: Some(AuthMethod::MsChapV2),
        pfc: true,
        acfc: true,
        address_taken: true,
    };
    assert_eq!(*params, expected);
    // --> Terminate-Request "User request"  <-- Terminate-Ack
    assert_eq!(script.send(ANDROID_TERMINATE), [hex!("ff03c021 06030010557365722072657175657374")]);
    let cause =
        Cause::PeerTerminated { during: Phase::Open, text: "User request".into(), windows_error: None };
    assert_eq!(down(&script.events), Some(&cause));
    assert_eq!(cause.fault(), Fault::Wish);
    // Its Ack was lost: it asks again.
    assert_eq!(script.send(ANDROID_TERMINATE).len(), 1);
    assert_eq!(script.link.poll_timeout(), None);
}

#[test]
fn apple_connects_with_the_default_mru() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let frames = up_to_network(&mut script, APPLE_LCP);
    // Same IPCP as Android, byte for byte.
    script.send(ANDROID_IPCP);
    script.send(ANDROID_IPCP_2);
    script.send(&ack(&frames[1]));
    script.send(&hex!("ff038021 01030010 03060a3c000a 81060a3c0035"));
    let params = script.link.params().unwrap();
    assert_eq!((params.mru, params.our_mru, params.pfc, params.acfc), (1500, 1400, true, true));
}

#[test]
fn pppd_with_ipv6_is_not_kept_waiting() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let frames = up_to_network(&mut script, PPPD_LCP);
    assert_eq!(script.send(PPPD_IPCP), [hex!("ff038021 0401 000a 830600000000")]);
    // The answer comes at once (SoftEther took four seconds).
    assert_eq!(script.send(PPPD_IPV6CP)[0][4..10], hex!("08 02 0014 8057"));
    script.send(ANDROID_IPCP_2);
    script.send(&ack(&frames[1]));
    script.send(&hex!("ff038021 01030010 03060a3c000a 81060a3c0035"));
    assert_eq!(script.link.phase(), Phase::Open);
    // --> Echo-Request  <-- Echo-Reply with our magic number
    let reply = script.send(PPPD_ECHO).remove(0);
    assert_eq!(reply[..8], hex!("ff03c021 0a00 0008"));
    assert_ne!(reply[8..], [0; 4]);
}

#[test]
fn captured_responses_verify_against_their_challenges() {
    let credential = Credential::Password(Secret::from("alice-pw"));
    let table: &[(&[u8], [u8; 16], &str)] = &[
        (
            ANDROID_RESPONSE,
            hex!("80f8fd7f49af0a67fdef0aa37e4a900e"),
            "S=C087E65865CCDF747DD4E35A93794560E8069847",
        ),
        (
            APPLE_RESPONSE,
            hex!("37bf02c8a27625972f7bbb0eb367b1ab"),
            "S=1165CEEEB1AC8BDFD9C6EEB610D909FD7DF38705",
        ),
        (
            PPPD_RESPONSE,
            hex!("fa7eecb532f71b24242ac14e0f7840cd"),
            "S=4E75DD8EA741418FF918822B8127804F679593AE",
        ),
    ];
    for (frame, authenticator_challenge, success) in table {
        let Ok(ChapPacket::Response { value, name, .. }) = ChapPacket::parse(&frame[4..]) else { panic!() };
        let response = MsChapV2Response::parse(value).unwrap();
        let proof = Proof::MsChapV2 {
            name: name.to_vec(),
            authenticator_challenge: *authenticator_challenge,
            peer_challenge: response.peer_challenge,
            nt_response: response.nt_response,
        };
        let account = Account { user: "alice", hub: "HUB1", credential: &credential };
        assert_eq!(verify(Some(account), &proof).unwrap().ms_success.as_deref(), Some(*success));
    }
}

#[test]
fn our_habits_send_what_the_captures_show() {
    // The options of a request with the magic number blanked out.
    let options = |frame: &[u8], magic: Option<usize>| {
        let mut options = frame[8..].to_vec();
        if let Some(at) = magic {
            options[at..at + 4].fill(0);
        }
        options
    };
    for (habits, lcp, magic, ipcp) in [
        (Habits::android(), ANDROID_LCP, 12, ANDROID_IPCP),
        (Habits::apple(), APPLE_LCP, 8, ANDROID_IPCP),
        (Habits::pppd(), PPPD_LCP, 12, PPPD_IPCP),
    ] {
        let kind = habits.kind;
        let pair =
            Pair::new(Settings::default(), habits, login("alice", "alice-pw"), Backend::new("alice-pw"))
                .connect();
        let first =
            |protocol| pair.log.iter().find(|sent| sent.is(false, protocol, 1)).unwrap().frame.clone();
        assert_eq!(options(&first(Protocol::LCP), Some(magic)), options(lcp, Some(magic)), "{kind}");
        assert_eq!(options(&first(Protocol::IPCP), None), options(ipcp, None), "{kind}");
    }
}

#[test]
fn android_refuses_eap_as_captured() {
    let auth = vec![AuthMethod::EapMsChapV2, AuthMethod::MsChapV2];
    let mut script = Script::new(Settings { auth, ..Settings::default() }, Backend::new("alice-pw"));
    let request = script.drain().remove(0);
    let mut nak = ANDROID_NAK_EAP.to_vec();
    nak[5] = request[5];
    // --> Configure-Nak <auth chap MD5>, which is not allowed  <-- the next in order
    let next = script.send(&nak).remove(0);
    assert!(next.windows(5).any(|window| window == hex!("0305c22381")), "{next:02x?}");
    assert_ne!(next[5], request[5]);
}
