//! Properties of all ISAKMP formats: what is emitted parses to the same, and nothing panics.

use super::payload::{Delete, IdType, Identity, NatOa, Notify, NotifyType};
use super::sa::{Attribute, Proposal, Protocol, Sa, Transform, Value};
use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn attribute() -> impl Strategy<Value = Attribute> {
    let value =
        prop_oneof![any::<u16>().prop_map(Value::Short), vec(any::<u8>(), 0..12).prop_map(Value::Long),];
    (0u16..0x8000, value).prop_map(|(kind, value)| Attribute { kind, value })
}

fn transform() -> impl Strategy<Value = Transform> {
    (any::<u8>(), any::<u8>(), vec(attribute(), 0..10)).prop_map(|(number, id, attributes)| Transform {
        number,
        id,
        attributes,
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (any::<u8>(), any::<u8>(), vec(any::<u8>(), 0..=16), vec(transform(), 0..12)).prop_map(
        |(number, protocol, spi, transforms)| Proposal {
            number,
            protocol: Protocol(protocol),
            spi,
            transforms,
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    prop_oneof![
        (any::<std::net::IpAddr>(), any::<u8>(), any::<u16>())
            .prop_map(|(address, protocol, port)| Identity::address(address, protocol, port)),
        (vec(any::<u8>(), 0..256), any::<u8>(), any::<u16>()).prop_map(|(data, protocol, port)| Identity {
            kind: IdType::KEY_ID,
            protocol,
            port,
            data
        }),
    ]
}

fn emitted(emit: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut w = Writer::new();
    emit(&mut w);
    w.finish()
}

proptest! {
    #[test]
    fn sa_payloads_survive_a_round_trip(proposals in vec(proposal(), 0..6)) {
        let sa = Sa::new(proposals);
        prop_assert_eq!(Sa::parse(&emitted(|w| sa.emit(w))), Ok(sa));
    }

    #[test]
    fn small_payloads_survive_a_round_trip(
        id in identity(),
        kind in any::<u16>(),
        spi in vec(any::<u8>(), 0..17),
        data in vec(any::<u8>(), 0..40),
        spis in vec(any::<u32>(), 1..20),
        address in any::<std::net::IpAddr>(),
    ) {
        prop_assert_eq!(Identity::parse(&emitted(|w| id.emit(w))), Ok(id));
        let notify = Notify::isakmp(NotifyType(kind), &spi, &data);
        prop_assert_eq!(Notify::parse(&emitted(|w| notify.emit(w))), Ok(notify));
        let delete = Delete::esp(&spis);
        prop_assert_eq!(Delete::parse(&emitted(|w| delete.emit(w))), Ok(delete));
        let oa = NatOa(address);
        prop_assert_eq!(NatOa::parse(&emitted(|w| oa.emit(w))), Ok(oa));
    }

    #[test]
    fn messages_survive_a_round_trip(
        cookies in any::<([u8; 8], [u8; 8])>(),
        numbers in any::<(u8, u8, u8, u32)>(),
        bodies in vec((1u8..200, vec(any::<u8>(), 0..50)), 0..MAX_PAYLOADS),
        padding in vec(any::<u8>(), 0..20),
    ) {
        let mut chain = ChainWriter::new();
        bodies.iter().for_each(|(kind, body)| chain.put_bytes(PayloadType(*kind), body));
        let header = Header {
            cookies: Cookies { initiator: Cookie(cookies.0), responder: Cookie(cookies.1) },
            first: chain.first(),
            version: numbers.0,
            exchange: ExchangeType(numbers.1),
            flags: Flags(numbers.2),
            message_id: MessageId(numbers.3),
            length: 0,
        };
        let body = [chain.bytes(), &padding].concat();
        let mut message = header.message(&body);
        let length = u32::try_from(message.len()).unwrap();
        message.extend(b"behind the end");
        let (parsed, rest) = Header::parse(&message).unwrap();
        prop_assert_eq!(parsed, Header { length, ..header });
        prop_assert_eq!(rest, body);
        let parsed = Chain::parse(parsed.first, rest).unwrap();
        prop_assert_eq!(parsed.bytes(), chain.bytes());
        let payloads: Vec<_> = parsed.payloads().iter().map(|p| (p.kind.0, p.body.to_vec())).collect();
        prop_assert_eq!(payloads, bodies);
    }

    #[test]
    fn nothing_panics(bytes in vec(any::<u8>(), 0..300), first in any::<u8>()) {
        let _ = crate::wire::natt::classify(&bytes);
        let _ = Header::parse(&bytes);
        let _ = Sa::parse(&bytes);
        let _ = Identity::parse(&bytes).map(|id| id.to_string());
        let _ = Notify::parse(&bytes);
        let _ = Delete::parse(&bytes);
        let _ = NatOa::parse(&bytes);
        if let Ok(chain) = Chain::parse(PayloadType(first), &bytes) {
            let _ = chain.after_first();
        }
    }

    /// A parsed SA payload never holds more than its bounds, however many its bytes could make.
    #[test]
    fn mutated_offers_stay_bounded(
        proposals in vec(proposal(), 1..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let sa = Sa::new(proposals);
        let mut bytes = emitted(|w| sa.emit(w));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(sa) = Sa::parse(&bytes) {
            prop_assert!(sa.proposals.len() <= sa::MAX_PROPOSALS);
            for proposal in &sa.proposals {
                prop_assert!(proposal.transforms.len() <= sa::MAX_TRANSFORMS);
                prop_assert!(proposal.spi.len() <= sa::MAX_SPI);
            }
        }
    }
}
