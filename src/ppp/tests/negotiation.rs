//! LCP and IPCP: options, timers, echoes, refusals, the end of a link; the way of the data.

use super::*;
use crate::packet::Drop;
use hex_literal::hex;

fn lcp_answer(options: &[u8]) -> Vec<u8> {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    script.drain();
    let answer = script.send_control(Protocol::LCP, 1, 9, options).remove(0);
    assert_eq!((answer[..4].to_vec(), answer[5]), (hex!("ff03c021").to_vec(), 9));
    [&answer[4..5], &answer[8..]].concat()
}

#[test]
fn what_a_client_may_ask_of_lcp() {
    for (asked, answer) in [
        // Acknowledged: nothing, MRUs of 576 and more, ACCM, magic, PFC, ACFC, endpoint discriminator.
        (&hex!("")[..], &hex!("02")[..]),
        (&hex!("01040240"), &hex!("02 01040240")),
        (&hex!("010405dc"), &hex!("02 010405dc")),
        (&hex!("0104ffff"), &hex!("02 0104ffff")),
        (&hex!("020600000000 050601020304 0702 0802"), &hex!("02 020600000000 050601020304 0702 0802")),
        (&hex!("1309 03 aabbccddeeff"), &hex!("02 1309 03 aabbccddeeff")),
        // Rejected: callback, MRRU, quality protocol, authentication of ours, FCS, unknown.
        (&hex!("01040578 0d0306"), &hex!("04 0d0306")),
        (&hex!("110405dc 0702"), &hex!("04 110405dc")),
        (&hex!("0408c02500000064"), &hex!("04 0408c02500000064")),
        (&hex!("0305c22381"), &hex!("04 0305c22381")),
        (&hex!("090302 ee04beef"), &hex!("04 090302 ee04beef")),
        // A Reject comes first, alone.
        (&hex!("01040100 0d0306"), &hex!("04 0d0306")),
        // Nak: an MRU that is too small.
        (&hex!("01040100"), &hex!("03 01040240")),
        // A wrong length is no option that we know.
        (&hex!("010305"), &hex!("04 010305")),
    ] {
        assert_eq!(lcp_answer(asked), answer, "{asked:02x?}");
    }
    // A magic number of zero is against the RFC: another is proposed.
    let nak = lcp_answer(&hex!("050600000000"));
    assert!(nak[0] == 3 && nak[3..] != [0; 4]);
}

#[test]
fn a_stubborn_client_is_rejected_in_the_end() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    script.drain();
    let codes: Vec<u8> =
        (0..8).map(|id| script.send_control(Protocol::LCP, 1, id, &hex!("01040100"))[0][4]).collect();
    assert_eq!(codes, [3, 3, 3, 3, 3, 4, 4, 4]);
}

#[test]
fn our_own_request_bends_as_far_as_it_can() {
    for (code, options, then) in [
        // A smaller MRU is fine, a larger is not ours to promise, an absurd one is not taken.
        (3, &hex!("01040500")[..], &hex!("01040500 0305c22381 0506")[..]),
        (3, &hex!("010405dc"), &hex!("01040578 0305c22381 0506")),
        (3, &hex!("01040000"), &hex!("01040240 0305c22381 0506")),
        // SoftEther rejects magic numbers, some reject an MRU.
        (4, &hex!("01040578"), &hex!("0305c22381 0506")),
        (4, &hex!("050600000000"), &hex!("01040578 0305c22381")),
    ] {
        let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
        let request = script.drain().remove(0);
        let next = script.send_control(Protocol::LCP, code, request[5], options).remove(0);
        assert!(next[8..].starts_with(then), "{options:02x?}: {next:02x?}");
        assert_eq!(next[5], request[5] + 1);
    }
}

#[test]
fn the_restart_timer_grows_to_three_seconds_and_gives_up() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let first = script.drain().remove(0);
    let start = script.now;
    let mut times = Vec::new();
    while script.link.phase() == Phase::Establish {
        let frames = script.wait();
        times.push((script.now - start).as_secs());
        assert!(frames.is_empty() || frames == [first.clone()], "a repetition is the same byte for byte");
    }
    assert_eq!(times, [1, 3, 6, 9, 12, 15, 18, 21, 24, 27]);
    assert_eq!(down(&script.events), Some(&Cause::LcpTimeout));
    assert_eq!(script.link.poll_timeout(), None);
}

#[test]
fn a_client_that_listens_late_gets_our_request_at_once() {
    // Android throws away what comes before its pppd runs.
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let lost = script.drain();
    script.now += Duration::from_millis(300);
    let frames = script.send_control(Protocol::LCP, 1, 1, &hex!("01040578"));
    assert_eq!(frames, [lost[0].clone(), hex!("ff03c021 0201 0008 01040578").to_vec()]);
    // Only once.
    assert_eq!(script.send_control(Protocol::LCP, 1, 2, &hex!("01040578")).len(), 1);
    // And not if both spoke at the same time.
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    script.drain();
    script.now += Duration::from_millis(20);
    assert_eq!(script.send_control(Protocol::LCP, 1, 1, &hex!("01040578")).len(), 1);
}

#[test]
fn a_loop_is_recognised_by_its_magic_number() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let mut frames = script.drain();
    for _ in 0..20 {
        frames = frames.iter().flat_map(|frame| script.send(frame)).collect();
    }
    assert_eq!(down(&script.events).map(|cause| cause.fault()), Some(Fault::PeerMisbehaved));
    assert_eq!(down(&script.events), Some(&Cause::Loopback));
}

#[test]
fn an_open_link_that_becomes_a_loop_ends() {
    let mut script = Script::open_by_pap(Backend::new("alice-pw"));
    script.link.start_echo(script.now, &mut script.out);
    let echo = script.drain().remove(0);
    script.send(&echo);
    assert_eq!(script.link.phase(), Phase::Terminate);
}

#[test]
fn two_equal_magic_numbers_by_chance_are_resolved() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    let request = script.drain().remove(0);
    let magic = request[request.len() - 6..].to_vec();
    let nak = script.send_control(Protocol::LCP, 1, 1, &magic).remove(0);
    assert_eq!(nak[4], 3);
    let ack = script.send_control(Protocol::LCP, 1, 2, &nak[8..]).remove(0);
    assert_eq!(ack[4], 2);
}

#[test]
fn unknown_codes_and_protocols_are_rejected_and_rejects_are_not() {
    let mut script = Script::open_by_pap(Backend::new("alice-pw"));
    // --> LCP code 99  <-- Code-Reject
    let reject = script.send_control(Protocol::LCP, 99, 5, b"xy").remove(0);
    assert_eq!((reject[4], &reject[8..]), (7, &hex!("63 05 0006 7879")[..]));
    // --> CCP, IPV6CP, ACSCP, something new  <-- Protocol-Reject
    for protocol in
        [Protocol::CCP, Protocol::IPV6CP, Protocol::ACSCP, Protocol(0x80ab), Protocol::LQR, Protocol::IPV6]
    {
        let reject = script.send_control(protocol, 1, 1, &[1, 2]).remove(0);
        assert_eq!(
            (reject[..5].to_vec(), &reject[8..10]),
            (hex!("ff03c02108").to_vec(), &protocol.0.to_be_bytes()[..])
        );
    }
    // --> Protocol-Reject of something we do not use, Code-Reject of an echo: nothing
    assert!(script.send_control(Protocol::LCP, 8, 1, &hex!("80fd 01010004")).is_empty());
    assert!(script.send_control(Protocol::LCP, 7, 1, &hex!("09010004")).is_empty());
    // --> Identification, Time-Remaining, Discard-Request, Echo-Reply: nothing
    for code in [10, 11, 12, 13] {
        assert!(script.send_control(Protocol::LCP, code, 1, &hex!("01020304 00000e10")).is_empty());
    }
    assert!(script.events.contains(&Event::TimeRemaining(seconds(3600))));
    assert_eq!(script.link.phase(), Phase::Open);
    // A rejected frame is cut to the peer's MRU.
    let mut long = Script::open_by_pap(Backend::new("alice-pw"));
    let reject = long.send_control(Protocol(0x80ab), 1, 1, &[0; 3000]).remove(0);
    assert_eq!(reject.len() - 4, 1500);
}

#[test]
fn what_we_cannot_do_without_ends_the_link_when_rejected() {
    let mut script = Script::open_by_pap(Backend::new("alice-pw"));
    script.send_control(Protocol::LCP, 8, 1, &hex!("8021 01010004"));
    assert_eq!(script.link.phase(), Phase::Terminate);
    script.wait();
    script.wait();
    assert_eq!(down(&script.events), Some(&Cause::ProtocolRejected(Protocol::IPCP)));
    // Before its time it means nothing.
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    script.drain();
    assert!(script.send_control(Protocol::LCP, 8, 1, &hex!("8021 01010004")).is_empty());
    assert_eq!(script.link.phase(), Phase::Establish);
}

#[test]
fn before_lcp_is_open_nothing_else_is_answered() {
    let mut script = Script::new(Settings::default(), Backend::new("alice-pw"));
    script.drain();
    for protocol in
        [Protocol::CCP, Protocol::IPCP, Protocol::PAP, Protocol::CHAP, Protocol::EAP, Protocol::IPV4]
    {
        let mut out = Output::default();
        out.send_control(protocol, Code(1), 1, &[0; 8]);
        let mut reply = Output::default();
        let result = script.link.handle_frame(script.now, &out.frames[0], &mut reply);
        assert_eq!(result, Err(Drop::PppNotOpen), "{protocol}");
        assert!(reply.frames.is_empty());
    }
    // SoftEther's early echo.
    assert!(script.send_control(Protocol::LCP, 9, 0, &[0; 4]).is_empty());
    // During authentication, IPCP waits without an answer, the rest is refused.
    script.open_lcp_again();
    assert!(script.send_control(Protocol::IPCP, 1, 1, &[]).is_empty());
    assert_eq!(script.send_control(Protocol::PAP, 1, 1, b"\x01a\x01b")[0][4], 8);
}

impl Script {
    /// As `open_lcp`, for a request that was drained before.
    fn open_lcp_again(&mut self) {
        let again = self.wait();
        self.send(&Self::ack_of(&again, Protocol::LCP));
        self.send_control(Protocol::LCP, 1, 1, &[]);
        assert_eq!(self.link.phase(), Phase::Authenticate);
    }
}

#[test]
fn windows_introduces_itself_and_makes_noise() {
    let mut habits = Habits::windows();
    habits.identification.extend(["more"; 20]);
    let pair = Pair::new(Settings::default(), habits, login("alice", "alice-pw"), Backend::new("alice-pw"))
        .connect();
    let said: Vec<&str> = pair
        .server_events
        .iter()
        .filter_map(|event| if let Event::Identification(text) = event { Some(text.as_str()) } else { None })
        .collect();
    assert_eq!(said[..3], ["MSRASV5.20", "MSRAS-0-DESKTOP", "correlation"]);
    assert_eq!(said.len(), 8, "reports are bounded");
    assert_eq!(pair.count(true, Protocol::LCP, 7), 0, "Identification is never Code-Rejected");
    assert_eq!(pair.count(true, Protocol::LCP, 8), 2, "CCP and IPV6CP");
    assert!(pair.server_events.contains(&Event::Refused(Protocol::IPV6CP)));
    // The callback and the WINS servers were rejected, and so was the second name server.
    assert_eq!(pair.count(true, Protocol::LCP, 4), 1);
    assert_eq!(pair.client.params().unwrap().dns, [Some(DNS), None]);
}

#[test]
fn every_kind_of_client_connects_in_few_round_trips() {
    let kinds =
        [Habits::android(), Habits::apple(), Habits::macos_split(), Habits::windows(), Habits::pppd()];
    for habits in kinds {
        let kind = habits.kind;
        let pair =
            Pair::new(Settings::default(), habits, login("alice", "alice-pw"), Backend::new("alice-pw"))
                .connect();
        let server = pair.server.params().unwrap();
        let client = pair.client.params().unwrap();
        assert_eq!((server.address, server.gateway), (client.address, client.gateway));
        assert_eq!((server.mru, server.our_mru), (client.our_mru, client.mru));
        let last = pair.log.iter().rfind(|sent| sent.protocol() == Protocol::IPCP).unwrap();
        // Latency 10 ms each way: LCP, challenge, response, IPCP with a Reject and a Nak.
        assert!(last.at <= Duration::from_millis(140), "{kind}: {:?}", last.at);
    }
}

#[test]
fn wins_servers_are_given_if_there_are_any() {
    let wins = Ipv4Addr::new(10, 60, 0, 137);
    let grant = AddressGrant { dns: [Some(DNS), Some(wins)], wins: [Some(wins), None], ..GRANT };
    let backend = Backend { grant, ..Backend::new("alice-pw") };
    let pair =
        Pair::new(Settings::default(), Habits::windows(), login("alice", "alice-pw"), backend).connect();
    assert_eq!(pair.client.params().unwrap().dns, [Some(DNS), Some(wins)]);
    let nak = pair.log.iter().find(|sent| sent.is(true, Protocol::IPCP, 3)).unwrap();
    assert!(nak.packet().data.windows(6).any(|window| window == hex!("82060a3c0089")), "{nak:02x?}");
}

#[test]
fn an_address_of_the_clients_own_is_granted_or_not() {
    let own = Ipv4Addr::new(10, 60, 0, 77);
    for (allowed, expected) in [(Some(own), own), (None, GRANTED)] {
        let backend = Backend { own_address: allowed, ..Backend::new("alice-pw") };
        let habits = Habits::pppd().with_address(own);
        let pair = Pair::new(Settings::default(), habits, login("alice", "alice-pw"), backend).connect();
        assert!(pair.server_events.contains(&Event::AddressWanted { asked: Some(own) }));
        assert_eq!(pair.client.params().unwrap().address, expected);
        assert_eq!(pair.server.params().unwrap().address, expected);
    }
}

#[test]
fn a_client_that_names_no_address_is_told_one() {
    let mut script = Script::new(
        Settings { auth: vec![AuthMethod::Pap], ..Settings::default() },
        Backend::new("alice-pw"),
    );
    script.open_lcp();
    script.send_control(Protocol::PAP, 1, 1, b"\x05alice\x08alice-pw");
    let hint = script.send_control(Protocol::IPCP, 1, 1, &[]);
    assert_eq!(hint.last().unwrap()[4..], hex!("03 01 000a 03060a3c000a"));
    assert_eq!(script.send_control(Protocol::IPCP, 1, 2, &[]).last().unwrap()[4], 3);
    assert_eq!(script.send_control(Protocol::IPCP, 1, 3, &[]).last().unwrap()[4], 2);
}

#[test]
fn while_the_address_is_awaited_repetitions_are_answered_by_silence() {
    for early_gateway in [true, false] {
        let settings = Settings { auth: vec![AuthMethod::Pap], ..Settings::default() };
        let mut script = Script::new(settings, Backend { early_gateway, ..Backend::new("alice-pw") });
        script.open_lcp();
        let frames = script.send_control(Protocol::PAP, 1, 1, b"\x05alice\x08alice-pw");
        assert_eq!(frames.len(), if early_gateway { 2 } else { 1 });
        let request = hex!("ff038021 0101000a 030600000000");
        let mut out = Output::default();
        assert_eq!(script.link.handle_frame(script.now, &request, &mut out), Ok(()));
        assert_eq!(script.link.handle_frame(script.now, &request, &mut out), Err(Drop::Repeated));
        assert!(out.frames.is_empty());
        assert_eq!(out.events, [Event::AddressWanted { asked: None }]);
        // A changed request meanwhile is what gets the answer.
        let changed = hex!("ff038021 0102000a 030600000000");
        assert_eq!(script.link.handle_frame(script.now, &changed, &mut out), Err(Drop::Repeated));
        script.link.handle_address(script.now, GRANT, &mut out);
        let nak = out.frames.last().unwrap();
        assert_eq!(nak[..], hex!("ff038021 0302000a 03060a3c000a"));
        assert_eq!(
            out.frames.len(),
            if early_gateway { 1 } else { 2 },
            "our own request comes with the grant at last"
        );
        // A second grant changes nothing.
        script.link.handle_address(script.now, AddressGrant { address: GATEWAY, ..GRANT }, &mut out);
        assert_eq!(script.send_control(Protocol::IPCP, 1, 3, &hex!("03060a3c000a"))[0][4], 2);
    }
}

#[test]
fn without_an_address_the_link_ends_with_that_cause() {
    let settings = Settings { auth: vec![AuthMethod::Pap], ..Settings::default() };
    let mut script = Script::new(settings, Backend::new("alice-pw"));
    script.open_lcp();
    script.send_control(Protocol::PAP, 1, 1, b"\x05alice\x08alice-pw");
    let _ = script.link.handle_frame(script.now, &hex!("ff038021 0101000a 030600000000"), &mut script.out);
    script.out.events.clear();
    script.link.close(script.now, Cause::NoAddress, &mut script.out);
    let terminate = script.drain().remove(0);
    assert_eq!((terminate[4], &terminate[8..]), (5, &b"No address available"[..]));
    script.send_control(Protocol::LCP, 6, terminate[5], &[]);
    assert_eq!(down(&script.events), Some(&Cause::NoAddress));
}

#[test]
fn our_own_address_is_not_for_discussion() {
    let settings = Settings { auth: vec![AuthMethod::Pap], ..Settings::default() };
    let mut script = Script::new(settings, Backend::new("alice-pw"));
    script.open_lcp();
    let mut request = script.send_control(Protocol::PAP, 1, 1, b"\x05alice\x08alice-pw").remove(1);
    for _ in 0..2 {
        request = script.send_control(Protocol::IPCP, 3, request[5], &hex!("0306c0a80001")).remove(0);
        assert_eq!(request[8..], hex!("03060a3c0001"));
    }
    request = script.send_control(Protocol::IPCP, 3, request[5], &hex!("0306c0a80001")).remove(0);
    assert!(request[8..].is_empty());
}

#[test]
fn both_ways_of_ending() {
    // The server closes.
    let mut pair = Pair::usual().connect();
    let cause = Cause::Administrative("Gateway is shutting down");
    pair.server_does(|link, now, out| link.close(now, cause.clone(), out));
    assert_eq!(pair.server.phase(), Phase::Terminate);
    pair.run(seconds(1));
    assert_eq!(pair.server_down(), Some(&cause));
    let Some(Cause::PeerTerminated { during: Phase::Open, text, .. }) = pair.client_down() else { panic!() };
    assert_eq!(text, "Gateway is shutting down");
    // The client closes.
    let mut pair = Pair::usual().connect();
    pair.client_does(|link, now, out| link.close(now, Cause::Administrative("User request"), out));
    pair.run(seconds(1));
    assert!(matches!(pair.server_down(), Some(Cause::PeerTerminated { text, .. }) if text == "User request"));
    // Both at once.
    let mut pair = Pair::usual().connect();
    pair.server_does(|link, now, out| link.close(now, Cause::Administrative("a"), out));
    pair.client_does(|link, now, out| link.close(now, Cause::Administrative("b"), out));
    pair.run(seconds(5));
    assert_eq!(pair.server_down(), Some(&Cause::Administrative("a")));
    assert_eq!(pair.client_down(), Some(&Cause::Administrative("b")));
    // Nobody answers: two requests, a second apart.
    let mut pair = Pair::usual().connect();
    pair.weather.lost = 100;
    let closed = pair.now;
    pair.server_does(|link, now, out| link.close(now, Cause::Administrative("a"), out));
    pair.run(seconds(10));
    assert_eq!(pair.count(true, Protocol::LCP, 5), 2);
    assert!(pair.server_down().is_some() && pair.now - closed == seconds(10));
    // Without a carrier there is nothing to say.
    let mut pair = Pair::usual().connect();
    let before = pair.log.len();
    pair.server_does(|link, now, out| link.close(now, Cause::CarrierLost, out));
    assert_eq!((pair.server_down(), pair.log.len()), (Some(&Cause::CarrierLost), before));
}

#[test]
fn the_number_that_windows_puts_into_its_terminate_request() {
    let mut script = Script::open_by_pap(Backend::new("alice-pw"));
    script.send_control(Protocol::LCP, 5, 6, &hex!("61680974 003ccd74 000002e6"));
    let Some(Cause::PeerTerminated { windows_error, text, .. }) = down(&script.events) else { panic!() };
    assert_eq!((*windows_error, text.as_str()), (Some(742), ""));
}

#[test]
fn an_idle_link_is_probed_until_something_is_heard() {
    let mut pair = Pair::usual().connect();
    assert_eq!(pair.server.poll_timeout(), None, "an idle link needs no timer");
    // An answer ends it.
    pair.server_does(|link, now, out| link.start_echo(now, out));
    pair.server_does(|link, now, out| link.start_echo(now, out));
    assert_eq!(pair.count(true, Protocol::LCP, 9), 1);
    pair.run(seconds(1));
    assert_eq!(pair.server.poll_timeout(), None);
    // So does data.
    pair.weather.lost = 100;
    pair.server_does(|link, now, out| link.start_echo(now, out));
    assert!(pair.server.poll_timeout().is_some());
    let mut data = PacketBuf::from_slice(&hex!("ff030021 4500"));
    assert_eq!(pair.server.strip_data(&mut data), Ok(Class::Ipv4));
    assert_eq!(pair.server.poll_timeout(), None);
    // Silence ends the link, after four echoes 20 s apart.
    pair.server_does(|link, now, out| link.start_echo(now, out));
    pair.run(seconds(79));
    assert_eq!((pair.server_down(), pair.count(true, Protocol::LCP, 9)), (None, 6));
    pair.run(seconds(2));
    assert_eq!(pair.server_down(), Some(&Cause::EchoTimeout));
    assert!(pair.log.last().unwrap().is(true, Protocol::LCP, 5));
}

#[test]
fn data_goes_in_and_out_in_place() {
    let mut pair = Pair::usual().connect();
    let ip = hex!("4500 0014");
    let mut packet = PacketBuf::from_slice(&ip);
    let at = packet.as_ptr();
    pair.server.put_data(&mut packet).unwrap();
    assert_eq!(packet[..], hex!("ff030021 45000014"));
    for header in [&hex!("ff030021")[..], &hex!("ff0321"), &hex!("0021"), &hex!("21")] {
        let mut frame = PacketBuf::from_slice(&[header, &ip].concat());
        assert_eq!(pair.client.strip_data(&mut frame), Ok(Class::Ipv4));
        assert_eq!(frame[..], ip);
    }
    assert_eq!(pair.client.strip_data(&mut packet), Ok(Class::Ipv4));
    assert_eq!(packet.as_ptr(), at);
    // Control frames are left as they are; what does not parse is malformed.
    let mut control = PacketBuf::from_slice(&hex!("ff03c021 09000004"));
    assert_eq!(pair.server.strip_data(&mut control), Ok(Class::Control));
    assert_eq!(control[..], hex!("ff03c021 09000004"));
    assert!(matches!(pair.server.strip_data(&mut PacketBuf::from_slice(&[])), Err(Drop::Malformed(_))));
    // Longer than the peer takes.
    let mut long = PacketBuf::from_slice(&[0; 1401]);
    assert_eq!(pair.server.put_data(&mut long), Err(Drop::TooBig));
    assert_eq!(long.len(), 1401);
    // Not before, not after.
    let mut dead = Pair::usual();
    assert_eq!(dead.server.put_data(&mut PacketBuf::from_slice(&ip)), Err(Drop::PppNotOpen));
    let mut early = PacketBuf::from_slice(&hex!("ff030021 4500"));
    assert_eq!(dead.server.strip_data(&mut early), Err(Drop::PppNotOpen));
}

#[test]
fn headers_are_compressed_where_both_sides_want_it() {
    let settings = Settings { compress: true, ..Settings::default() };
    for (habits, expected) in
        [(Habits::android(), &hex!("2145")[..]), (Habits::pppd(), &hex!("ff03002145")[..])]
    {
        let pair = Pair::new(settings.clone(), habits, login("alice", "alice-pw"), Backend::new("alice-pw"))
            .connect();
        let mut packet = PacketBuf::from_slice(&[0x45]);
        pair.server.put_data(&mut packet).unwrap();
        assert_eq!(packet[..], *expected);
    }
}

#[test]
fn a_repeated_request_does_not_tear_an_open_link() {
    let mut pair = Pair::usual().connect();
    for protocol in [Protocol::LCP, Protocol::IPCP] {
        let request = pair.log.iter().rfind(|sent| sent.is(false, protocol, 1)).unwrap().frame.clone();
        let before = (pair.log.len(), pair.server_events.len());
        pair.deliver(true, &request);
        assert_eq!((pair.log.len(), pair.server_events.len()), (before.0 + 1, before.1));
        assert!(pair.log.last().unwrap().is(true, protocol, 2));
        assert_eq!(pair.server.phase(), Phase::Open);
    }
}

#[test]
fn a_client_may_start_over() {
    let mut pair = Pair::usual().connect();
    let (first, settings) = (pair.server_events.len(), Arc::new(Settings::default()));
    // The same device dials anew on the same link, with another magic number.
    pair.client = Link::new(
        client_role(Habits::apple(), login("alice", "alice-pw")),
        settings,
        Entropy::from_number(99),
    );
    pair.client_does(|link, now, out| link.start(now, out));
    pair.run(seconds(5));
    assert!(pair.is_up());
    let again = &pair.server_events[first..];
    assert_eq!(again[0], Event::Suspended { lcp: true });
    assert!(again.iter().any(|event| matches!(event, Event::AuthRequired(_))), "it must authenticate again");
    assert!(matches!(again.last(), Some(Event::Up(params)) if params.mru == 1500));
}

#[test]
fn ipcp_alone_may_start_over() {
    let mut script = Script::open_by_pap(Backend::new("alice-pw"));
    let events = script.events.len();
    // --> IPCP Configure-Request, another one  <-- Configure-Request, Configure-Nak
    let frames = script.send_control(Protocol::IPCP, 1, 2, &hex!("030600000000"));
    assert_eq!(frames.iter().map(|frame| frame[4]).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(
        (script.link.phase(), &script.events[events..]),
        (Phase::Network, &[Event::Suspended { lcp: false }][..])
    );
    script.send(&Script::ack_of(&frames, Protocol::IPCP));
    script.send_control(Protocol::IPCP, 1, 3, &hex!("03060a3c000a"));
    assert!(matches!(script.events.last(), Some(Event::Up(params)) if params.address == GRANTED));
    // Without IP there is no link.
    script.send_control(Protocol::IPCP, 5, 4, b"bye");
    assert_eq!(script.link.phase(), Phase::Terminate);
}

#[test]
fn a_link_that_does_not_come_up_is_given_up() {
    let settings = Settings { auth: vec![AuthMethod::Pap], ..Settings::default() };
    let mut script = Script::new(settings, Backend::new("alice-pw"));
    script.open_lcp();
    // A verdict that never comes.
    let request = hex!("ff03c023 01010013 05 616c696365 08 616c6963652d7077");
    let _ = script.link.handle_frame(script.now, &request, &mut script.out);
    script.out.events.clear();
    while script.link.phase() != Phase::Dead {
        script.wait();
    }
    assert_eq!(down(&script.events), Some(&Cause::SetupTimeout { during: Phase::Authenticate }));
}

#[test]
fn an_idle_link_is_small() {
    let pair = Pair::usual().connect();
    let bytes = pair.server.idle_bytes().expect("the setup is dropped");
    assert!(bytes <= 512, "{bytes}");
}
