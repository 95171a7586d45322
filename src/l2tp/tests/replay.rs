//! The captured clients, played to the LNS and compared with the scripted client.

use super::captures::{ALL, APPLE, Conversation};
use super::*;
use crate::client::lac::{self, Habits, Lac};
use crate::wire::avp::AttributeType;

/// A captured message with our numbers in place of the captured server's.
fn readdress(bytes: &[u8], tunnel: TunnelId, session: Option<SessionId>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = if is_control(&bytes) { 4 } else { 2 };
    bytes[at..at + 2].copy_from_slice(&tunnel.0.to_be_bytes());
    if bytes[at + 2..at + 4] != [0, 0] {
        bytes[at + 2..at + 4].copy_from_slice(&session.unwrap().0.to_be_bytes());
    }
    bytes
}

impl Conversation {
    fn messages(&self) -> impl Iterator<Item = &'static [u8]> {
        [Some(self.sccrq), Some(self.scccn), Some(self.icrq), Some(self.iccn), self.cdn, Some(self.stop_ccn)]
            .into_iter()
            .flatten()
    }

    fn habits(&self) -> Habits {
        let mut habits = match self.name {
            "Android" => Habits::android(),
            "Apple" => Habits::apple(),
            _ => Habits::xl2tpd(),
        };
        if self.name == "xl2tpd" {
            habits.host_name = b"cap".to_vec();
        }
        habits.tunnel_id = Some(self.tunnel);
        habits.session_id = Some(self.session);
        habits.serial = Some(self.serial);
        habits
    }
}

#[test]
fn what_real_clients_send_parses_and_is_emitted_the_same() {
    for client in ALL {
        for bytes in client.messages() {
            let message = Message::parse(bytes).unwrap();
            assert_eq!(message.avps.defect(), None);
            assert_eq!(message.avps.unknown_mandatory(), None);
            let avps: Vec<_> = message.avps.iter().copied().collect();
            let emitted = Message::emit(message.header, message.kind.unwrap(), &avps);
            if client.name == "Apple" && message.avps.result_code().is_some() {
                continue; // read as what it means, not as what it says
            }
            assert_eq!(emitted, bytes, "{} {:?}", client.name, message.kind);
        }
    }
    for (bytes, result) in [(APPLE.cdn.unwrap(), 3), (APPLE.stop_ccn, 1)] {
        let code = Message::parse(bytes).unwrap().avps.result_code().unwrap();
        assert_eq!((code.result, code.error, code.message), (result, None, &b""[..]));
    }
}

#[test]
fn real_clients_connect_and_leave() {
    for client in ALL {
        let mut server = Server::new();
        // --> SCCRQ
        server.recv(client.sccrq);
        let local = server.lns.tunnels().next().unwrap();
        assert_eq!(local.0 >> 8, 7, "the worker's byte");
        let sccrp = server.sent_bytes();
        check_sccrp(&sccrp[0], client, local);
        assert_eq!(sccrp.len(), 1);
        assert!(matches!(&server.events()[..], [Event::TunnelAsked { tunnel, .. }] if *tunnel == local));

        // --> SCCCN, <-- ZLB at once
        server.recv(&readdress(client.scccn, local, None));
        assert_eq!(server.sent(), [said_zlb(client.tunnel, 1, 2)]);
        let events = server.events();
        let [Event::TunnelUp { tunnel, info }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((*tunnel, info.remote_tunnel.0, info.remote_port), (local, client.tunnel, PORT));

        // --> ICRQ, <-- ICRP
        server.recv(&readdress(client.icrq, local, None));
        let icrp = server.sent_bytes().pop().unwrap();
        assert_eq!(Said::read(&icrp), said(client.tunnel, client.session, 1, 3, MessageType::ICRP));
        let session = Message::parse(&icrp).unwrap().avps.assigned_session_id().unwrap();
        assert_eq!(server.events(), []);

        // --> ICCN, <-- ZLB at once
        server.recv(&readdress(client.iccn, local, Some(session)));
        assert_eq!(server.sent(), [said_zlb(client.tunnel, 2, 4)]);
        let key = SessionKey { tunnel: local, session };
        assert_eq!(server.events(), [Event::SessionUp { key, serial: client.serial }]);

        // --> LCP Configure-Request, <-- LCP
        let mut buf = PacketBuf::from_slice(&readdress(client.data, local, Some(session)));
        assert_eq!(server.lns.strip_data(&mut buf), Ok(key));
        assert_eq!(buf[..4], [0xff, 0x03, 0xc0, 0x21]);
        assert_eq!(server.lns.put_data(key, &mut buf), Ok(PORT));
        let (tunnel, session_bytes) = (client.tunnel.to_be_bytes(), client.session.to_be_bytes());
        assert_eq!(buf[..8], [&[0, 2], &tunnel[..], &session_bytes[..], &[0xff, 0x03]].concat());

        // --> CDN, <-- ZLB
        let mut ended = Vec::new();
        if let Some(cdn) = client.cdn {
            server.recv(&readdress(cdn, local, Some(session)));
            assert_eq!(server.sent(), [said_zlb(client.tunnel, 2, 5)]);
            ended.append(&mut server.events());
            let result = if client.name == "Apple" { 3 } else { 1 };
            let cause = Cause::PeerHungUp { result, error: 0, ppp: None };
            assert_eq!(ended, [Event::SessionDown { key, cause }]);
        }
        // --> StopCCN, <-- ZLB
        server.recv(&readdress(client.stop_ccn, local, None));
        let nr = if client.cdn.is_some() { 6 } else { 5 };
        assert_eq!(server.sent(), [said_zlb(client.tunnel, 2, nr)]);
        ended.append(&mut server.events());
        let result = if client.name == "Android" { 6 } else { 1 };
        let cause = Cause::PeerStopped { result, error: 0 };
        if client.cdn.is_none() {
            assert_eq!(ended.remove(0), Event::SessionDown { key, cause });
        }
        assert_eq!(ended.last(), Some(&Event::TunnelDown { tunnel: local, cause }));
        assert_eq!(server.lns.tunnels().count(), 0);
        assert!(server.lns.strip_data(&mut buf).is_err());
    }
}

/// Checks an SCCRP as Apple's and Android's parsers do, which know nothing of leniency.
fn check_sccrp(bytes: &[u8], client: &Conversation, local: TunnelId) {
    assert_eq!(Said::read(bytes), said(client.tunnel, 0, 0, 1, MessageType::SCCRP));
    // Android: (flags & 0xCB0F) == 0xC802, Length exact, first AVP exactly this.
    let flags = u16::from_be_bytes([bytes[0], bytes[1]]);
    assert_eq!(flags & 0xcb0f, 0xc802);
    assert_eq!(usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), bytes.len());
    assert_eq!(bytes[12..20], [0x80, 0x08, 0, 0, 0, 0, 0, 2]);
    // Apple: exact sizes, no hidden, reserved or vendor bits.
    let mut rest = &bytes[12..];
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[0] & 0x03, rest[1]]));
        assert_eq!(rest[0] & 0xfc, 0x80, "M, and nothing else");
        assert_eq!(rest[2..4], [0, 0], "vendor");
        let attribute = AttributeType(u16::from(rest[5]));
        let size = match attribute {
            AttributeType::MESSAGE_TYPE
            | AttributeType::PROTOCOL_VERSION
            | AttributeType::ASSIGNED_TUNNEL_ID
            | AttributeType::RECEIVE_WINDOW_SIZE => 2,
            AttributeType::FRAMING_CAPABILITIES => 4,
            AttributeType::HOST_NAME => "sekisho".len(),
            other => panic!("{other} does not belong here"),
        };
        assert_eq!(length, 6 + size, "{attribute}");
        seen.push(attribute);
        rest = &rest[length..];
    }
    for needed in [
        AttributeType::PROTOCOL_VERSION,
        AttributeType::FRAMING_CAPABILITIES,
        AttributeType::HOST_NAME,
        AttributeType::ASSIGNED_TUNNEL_ID,
    ] {
        assert!(seen.contains(&needed), "{needed}");
    }
    assert_eq!(Message::parse(bytes).unwrap().avps.assigned_tunnel_id(), Some(local));
}

#[test]
fn clients_are_told_apart_by_what_they_say() {
    let info = |client: &Conversation| {
        let mut server = Server::new();
        server.recv(client.sccrq);
        match server.events().pop() {
            Some(Event::TunnelAsked { info, .. }) => info,
            other => panic!("{other:?}"),
        }
    };
    let [android, apple, xl2tpd] = ALL.map(info);
    let software = [&android, &apple, &xl2tpd].map(|info| info.software());
    assert_eq!(software, [Some(Software::Mtpd), Some(Software::Apple), Some(Software::Xl2tpd)]);
    assert_eq!((&*android.host_name, android.receive_window), ("anonymous", Some(1)));
    assert_eq!(android.attributes, [2, 7, 3, 9, 10]);
    assert_eq!((&*apple.host_name, apple.receive_window), ("Johns-iPhone", Some(4)));
    assert_eq!(apple.attributes, [2, 3, 7, 9, 10]);
    assert_eq!((&*xl2tpd.host_name, &*xl2tpd.vendor_name), ("cap", "xelerance.com"));
    assert_eq!((xl2tpd.firmware, &xl2tpd.attributes[..]), (Some(0x0690), &[2, 3, 4, 6, 7, 8, 9, 10][..]));
}

/// The scripted client says the same as the real one, byte for byte.
#[test]
fn the_scripted_client_is_the_captured_one() {
    for client in ALL {
        let now = start();
        let mut lac = Lac::new(client.habits(), &mut Entropy::from_number(5));
        let mut spoken: Vec<Vec<u8>> = Vec::new();
        let mut out = lac::Output::default();
        // The captured server's replies, as far as they matter: tunnel 1, session 1.
        let assigned = Avp::mandatory(Value::AssignedTunnelId(TunnelId(1)));
        let mut avps = sccrq_avps(1, &[]);
        avps[3] = assigned;
        let replies = [
            message(client.tunnel, 0, 0, 1, MessageType::SCCRP, &avps),
            zlb(client.tunnel, 1, 2),
            message(
                client.tunnel,
                client.session,
                1,
                3,
                MessageType::ICRP,
                &[Avp::mandatory(Value::AssignedSessionId(SessionId(1)))],
            ),
            zlb(client.tunnel, 2, 4),
        ];
        lac.start(now, &mut out);
        for reply in &replies {
            lac.handle_control(now, reply, &mut out).unwrap();
        }
        assert_eq!(out.events, [lac::Event::Up]);
        lac.stop(now, &mut out);
        spoken.extend(out.packets.iter().map(|packet| packet.to_vec()));
        let expected: Vec<_> = client.messages().collect();
        assert_eq!(spoken, expected, "{}", client.name);
        assert!(lac.violations().is_empty());
    }
}
