//! Tests of the AVP format.

use super::*;
use hex_literal::hex;
use proptest::prelude::*;

fn parse_one(bytes: &[u8]) -> Result<Avp<'_>, Error> {
    Avp::parse(&mut Reader::new(bytes))
}

fn emitted(avp: &Avp<'_>) -> Vec<u8> {
    let mut w = Writer::new();
    avp.emit(&mut w);
    w.finish()
}

#[test]
fn a_result_code_of_every_client() {
    let code = |bytes: &[u8]| match parse_one(bytes).unwrap().value {
        Value::ResultCode(code) => (code.result, code.error, code.message.to_vec()),
        other => panic!("{other:?}"),
    };
    // Android: two bytes.
    assert_eq!(code(&hex!("8008 0000 0001 0006")), (6, None, vec![]));
    // xl2tpd: result and error, then text.
    assert_eq!(code(&hex!("800a 0000 0001 0001 0000")), (1, Some(0), vec![]));
    assert_eq!(code(&hex!("8012 0000 0001 0001 0000 476f6f6462796521")), (1, Some(0), b"Goodbye!".to_vec()));
    // Apple: little endian, then rubbish.
    assert_eq!(code(&hex!("800e 0000 0001 0300 123456789abc")), (3, None, vec![]));
    // One odd byte after the result is not an error code.
    assert_eq!(code(&hex!("8009 0000 0001 0002 07")), (2, None, vec![]));
    assert_eq!(parse_one(&hex!("8007 0000 0001 02")), Err(Error::new("Result Code", Kind::Truncated)));
}

#[test]
fn lengths_are_checked() {
    assert_eq!(parse_one(&hex!("8005 0000 0000")), Err(Error::new("AVP Length", Kind::BadLength)));
    assert_eq!(parse_one(&hex!("8009 0000 0000 0001")), Err(Error::new("AVP", Kind::Truncated)));
    assert_eq!(parse_one(&hex!("8007 0000 0009 01")), Err(Error::new("Assigned Tunnel ID", Kind::Truncated)));
    // Interop: a number with bytes to spare is read all the same.
    let long = parse_one(&hex!("800a 0000 0009 0001 0000")).unwrap();
    assert_eq!(long.value, Value::AssignedTunnelId(TunnelId(1)));
}

#[test]
fn the_message_type_must_come_first() {
    let host_first = hex!("8008 0000 0007 6161 8008 0000 0000 0001");
    assert_eq!(Avps::parse(&host_first).unwrap_err(), Error::new("Message Type", Kind::Missing));
    let hidden = hex!("c008 0000 0000 0001");
    assert_eq!(Avps::parse(&hidden).unwrap_err(), Error::new("Message Type", Kind::Missing));
}

#[test]
fn damage_behind_the_type_is_kept_as_a_defect() {
    let body = hex!("8008 0000 0000 0004 8008 0000 0009 0007 8003 0000");
    let (kind, avps) = Avps::parse(&body).unwrap();
    assert_eq!(kind, MessageType::STOP_CCN);
    assert_eq!(avps.assigned_tunnel_id(), Some(TunnelId(7)));
    assert_eq!(avps.defect(), Some(Error::new("AVP Length", Kind::BadLength)));
}

#[test]
fn the_number_of_avps_is_bounded() {
    let mut body = hex!("8008 0000 0000 0001").to_vec();
    for _ in 0..=MAX_AVPS {
        body.extend(hex!("0006 0000 0027"));
    }
    let (_, avps) = Avps::parse(&body).unwrap();
    assert_eq!(avps.iter().count(), MAX_AVPS);
    assert_eq!(avps.defect(), Some(Error::new("AVPs", Kind::TooMany)));
}

#[test]
fn unknown_and_hidden_attributes_matter_only_when_mandatory() {
    let unknown = |avps: &[u8]| {
        let body = [&hex!("8008 0000 0000 0001")[..], avps].concat();
        Avps::parse(&body).unwrap().1.unknown_mandatory()
    };
    assert_eq!(unknown(&hex!("0006 0009 0001 4006 0000 0007 0406 0000 0007")), None);
    let named = |vendor, attribute, hidden| Some(UnknownMandatory { vendor, attribute, hidden });
    assert_eq!(unknown(&hex!("8006 0009 0001")), named(9, 1, false), "vendor");
    assert_eq!(unknown(&hex!("8006 0000 0063")), named(0, 99, false), "number");
    assert_eq!(unknown(&hex!("c006 0000 0007")), named(0, 7, true), "hidden");
    assert_eq!(unknown(&hex!("8406 0000 0007")), named(0, 7, false), "reserved bit");
    // Windows: Physical Channel ID with the M bit.
    assert_eq!(unknown(&hex!("800a 0000 0019 00000000")), None);
}

#[test]
fn apples_host_name_loses_its_terminator() {
    let body = hex!("8008 0000 0000 0001 800a 0000 0007 61626300");
    assert_eq!(Avps::parse(&body).unwrap().1.host_name(), Some(&b"abc"[..]));
}

#[test]
fn a_zero_id_is_no_id() {
    let body = hex!("8008 0000 0000 0001 8008 0000 0009 0000 8008 0000 000e 0000");
    let (_, avps) = Avps::parse(&body).unwrap();
    assert_eq!((avps.assigned_tunnel_id(), avps.assigned_session_id()), (None, None));
}

#[test]
fn an_overlong_value_is_cut_to_what_the_length_field_can_say() {
    let bytes = emitted(&Avp::mandatory(Value::HostName(&[b'x'; 2000])));
    assert_eq!(bytes.len(), AVP_HEADER_LEN + MAX_VALUE_LEN);
    assert!(parse_one(&bytes).is_ok());
}

/// Owned material for a [`Value`]: proptest cannot make borrowed ones.
#[derive(Clone, Debug)]
struct Seed {
    pick: u8,
    mandatory: bool,
    short: u16,
    long: u32,
    bytes: Vec<u8>,
}

impl Seed {
    fn avp(&self) -> Avp<'_> {
        let (n, long, bytes) = (self.short, self.long, &self.bytes[..]);
        let mut array = [0; 16];
        array[..bytes.len().min(16)].copy_from_slice(&bytes[..bytes.len().min(16)]);
        let [tie @ .., _, _, _, _, _, _, _, _] = array;
        let value = match self.pick {
            0 => Value::MessageType(MessageType(n)),
            1 => Value::ResultCode(ResultCode { result: n & 0xff, error: Some(n), message: bytes }),
            2 => Value::ResultCode(ResultCode { result: n & 0xff, error: None, message: &[] }),
            3 => Value::ProtocolVersion(n),
            4 => Value::FramingCapabilities(long),
            5 => Value::BearerCapabilities(long),
            6 => Value::TieBreaker(tie),
            7 => Value::FirmwareRevision(n),
            8 => Value::HostName(bytes),
            9 => Value::VendorName(bytes),
            10 => Value::AssignedTunnelId(TunnelId(n)),
            11 => Value::ReceiveWindowSize(n),
            12 => Value::Challenge(bytes),
            13 => Value::ChallengeResponse(array),
            14 => Value::AssignedSessionId(SessionId(n)),
            15 => Value::CallSerialNumber(long),
            16 => Value::BearerType(long),
            17 => Value::FramingType(long),
            18 => Value::TxConnectSpeed(long),
            19 => Value::RxConnectSpeed(long),
            20 => Value::SequencingRequired,
            21 => Value::PppDisconnect(PppDisconnect {
                code: DisconnectCode(n),
                protocol: 0xc223,
                direction: 1,
                message: bytes,
            }),
            22 => Value::Passed(AttributeType::PHYSICAL_CHANNEL_ID, bytes),
            23 => Value::Hidden { vendor: 0, attribute: n, value: bytes },
            24 => Value::Unknown { vendor: n | 1, attribute: n, value: bytes },
            _ => Value::Unknown { vendor: 0, attribute: n | 0x4000, value: bytes },
        };
        Avp { mandatory: self.mandatory, value }
    }
}

fn seed() -> impl Strategy<Value = Seed> {
    (0u8..26, any::<bool>(), any::<u16>(), any::<u32>(), proptest::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(pick, mandatory, short, long, bytes)| Seed { pick, mandatory, short, long, bytes })
}

proptest! {
    #[test]
    fn what_is_emitted_parses_to_the_same(seed in seed()) {
        let avp = seed.avp();
        let bytes = emitted(&avp);
        prop_assert_eq!(parse_one(&bytes), Ok(avp));
    }

    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        if let Ok((_, avps)) = Avps::parse(&bytes) {
            let _ = (avps.unknown_mandatory(), avps.host_name(), avps.result_code());
        }
    }

    #[test]
    fn a_body_after_a_message_type_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let body = [&hex!("8008 0000 0000 0001")[..], &bytes].concat();
        let (kind, avps) = Avps::parse(&body).unwrap();
        prop_assert_eq!(kind, MessageType::SCCRQ);
        prop_assert!(avps.iter().count() <= MAX_AVPS);
    }
}
