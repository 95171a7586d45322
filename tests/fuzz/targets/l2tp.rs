//! L2TP messages as UDP port 1701 carries them.

use sekisho::packet::PacketBuf;
use sekisho::wire::avp::{AttributeType, Avp, Value};
use sekisho::wire::l2tp::{ControlHeader, DataHeader, Message, is_control};

/// A datagram of port 1701.
pub(super) fn l2tp(bytes: &[u8]) {
    let control = Message::parse(bytes);
    let data = DataHeader::parse(bytes);
    assert!(control.is_err() || data.is_err(), "a message is control or data");
    if let Ok(message) = control {
        assert!(is_control(bytes));
        check(&message);
    }
    if let Ok(header) = data {
        assert!(!is_control(bytes));
        assert!(header.len <= header.end && header.end <= bytes.len());
        let mut buf = PacketBuf::from_slice(bytes);
        buf.truncate(header.end);
        assert!(buf.pull_front(header.len).is_some());
        let again = DataHeader::emit(header.tunnel, header.session);
        let again = DataHeader::parse(&again).expect("our own header");
        assert_eq!((again.tunnel, again.session), (header.tunnel, header.session));
        let with_length = DataHeader::emit_with_length(header.tunnel, header.session, 0);
        assert_eq!(DataHeader::parse(&with_length).expect("our own header").end, 8);
    }
    let mut renumbered = bytes.to_vec();
    ControlHeader::renumber(&mut renumbered, 1, 2);
    assert_eq!(renumbered.len(), bytes.len());
}

fn check(message: &Message<'_>) {
    let avps = &message.avps;
    let _ =
        (avps.unknown_mandatory(), avps.result_code(), avps.receive_window_size(), avps.firmware_revision());
    let _ = (avps.host_name(), avps.vendor_name(), avps.is_type_mandatory(), avps.defect());
    assert!(avps.assigned_tunnel_id().is_none_or(|id| id.0 != 0));
    assert!(avps.assigned_session_id().is_none_or(|id| id.0 != 0));
    let Some(kind) = message.kind else {
        assert_eq!(avps.iter().count(), 0, "a ZLB has no attributes");
        return;
    };
    // Reserved bits make an attribute unknown that is known without them; they are not sent again.
    let known = |number: u16| AttributeType(number).name().is_some();
    let plain: Vec<Avp<'_>> = avps
        .iter()
        .filter(|avp| !matches!(avp.value, Value::Unknown { vendor: 0, attribute, .. } if known(attribute)))
        .copied()
        .collect();
    let again = Message::emit(message.header, kind, &plain);
    let reread = Message::parse(&again).expect("our own message");
    assert_eq!((reread.header, reread.kind, reread.avps.defect()), (message.header, Some(kind), None));
    assert!(reread.avps.iter().eq(&plain));
}
