use super::*;
use crate::ike::{ClientHint, NatSituation, NatVersion};
use crate::wire::isakmp::sa::{Attribute, Value};

fn phase1(attributes: &[(u16, u16)]) -> Transform {
    let attributes = attributes.iter().map(|&(kind, value)| Attribute::short(kind, value)).collect();
    Transform { number: 7, id: Transform::KEY_IKE, attributes }
}

/// AES-256, SHA-1, MODP-2048, pre-shared key.
const GOOD: [(u16, u16); 5] = [(1, 7), (14, 256), (2, 2), (4, 14), (3, 1)];

fn offer(protocol: Protocol, transforms: Vec<Transform>) -> Sa {
    let spi = if protocol == Protocol::ESP { vec![0xc0, 0xff, 0xee, 1] } else { vec![] };
    Sa::new(vec![Proposal { number: 1, protocol, spi, transforms }])
}

fn with(changes: &[(u16, u16)]) -> Transform {
    let mut attributes: Vec<_> =
        GOOD.into_iter().filter(|(k, _)| changes.iter().all(|(c, _)| c != k)).collect();
    attributes.extend(changes);
    phase1(&attributes)
}

fn chosen1(transforms: Vec<Transform>) -> Result<String, Mismatch> {
    let choice = choose_phase1(&offer(Protocol::ISAKMP, transforms), &Policy::compatible(), &PLAIN);
    choice.map(|choice| choice.suite.to_string())
}

#[test]
fn attributes_come_in_any_order_and_go_back_as_they_came() {
    let mut transform = phase1(&GOOD);
    transform.attributes.push(Attribute::short(11, 1));
    transform.attributes.push(Attribute { kind: 12, value: Value::Long(vec![0, 0, 0x70, 0x80]) });
    for _ in 0..transform.attributes.len() {
        transform.attributes.rotate_left(1);
        let sa = offer(Protocol::ISAKMP, vec![transform.clone()]);
        let choice = choose_phase1(&sa, &Policy::compatible(), &PLAIN).unwrap();
        assert_eq!(choice.answer, sa);
        // A duration means nothing unless its type stands before it.
        let ordered = transform.attributes.iter().find(|a| a.kind == 11 || a.kind == 12).unwrap().kind == 11;
        assert_eq!(choice.seconds, ordered.then_some(28800));
    }
}

#[test]
fn the_ranking_is_ours() {
    let weak = with(&[(4, 2)]);
    assert_eq!(chosen1(vec![weak.clone(), phase1(&GOOD)]).unwrap(), "AES-256-CBC/SHA1/MODP-2048");
    assert_eq!(chosen1(vec![weak]).unwrap(), "AES-256-CBC/SHA1/MODP-1024");
    let many = (0..60).map(|_| with(&[(2, 1)])).chain([with(&[(2, 4), (4, 19)])]).collect();
    assert_eq!(chosen1(many).unwrap(), "AES-256-CBC/SHA2-256/ECP-256");
}

#[test]
fn refusals_name_what_is_missing() {
    let refused = |changes: &[(u16, u16)]| chosen1(vec![with(changes)]).unwrap_err();
    assert_eq!(refused(&[(3, 3)]), Mismatch::PreSharedKey);
    assert_eq!(refused(&[(3, 65001)]), Mismatch::PreSharedKey);
    assert_eq!(refused(&[(4, 1)]), Mismatch::Group);
    assert_eq!(refused(&[(1, 1)]), Mismatch::Cipher);
    assert_eq!(refused(&[(14, 512)]), Mismatch::Cipher);
    assert_eq!(refused(&[(2, 1)]), Mismatch::Hash);
    assert_eq!(refused(&[(13, 1)]), Mismatch::Combination, "an attribute that we do not know");
    assert_eq!(chosen1(vec![]).unwrap_err(), Mismatch::Nothing);
    let esp = offer(Protocol::ESP, vec![phase1(&GOOD)]);
    assert_eq!(choose_phase1(&esp, &Policy::compatible(), &PLAIN).unwrap_err(), Mismatch::Nothing);
}

#[test]
fn offers_are_put_into_words() {
    let sa = offer(Protocol::ISAKMP, vec![phase1(&GOOD), with(&[(1, 1), (14, 64), (4, 99), (3, 65001)])]);
    assert_eq!(
        describe_phase1(&sa),
        ["AES-256-CBC/SHA1/MODP-2048", "cipher 1/SHA1/group 99/XAUTH_PRE_SHARED_KEY"]
    );
    let many = offer(Protocol::ISAKMP, vec![phase1(&GOOD); 60]);
    assert_eq!(describe_phase1(&many).len(), MAX_OFFERED);
}

fn phase2(id: u8, attributes: &[(u16, u16)]) -> Transform {
    Transform { id, ..phase1(attributes) }
}

/// AES-128, HMAC-SHA1, transport.
fn esp(mode: u16) -> Transform {
    phase2(12, &[(6, 128), (5, 2), (4, mode)])
}

static PLAIN: std::sync::LazyLock<Quirks> = std::sync::LazyLock::new(|| Quirks::of(ClientHint::StrongSwan));

fn need(policy: &Policy) -> Phase2Need<'_> {
    Phase2Need { policy, quirks: &PLAIN, encapsulations: &[Encapsulation::TRANSPORT], group: None }
}

#[test]
fn tunnel_mode_is_never_chosen() {
    let policy = Policy::compatible();
    for mode in [1, 3, 4, 61443, 61444] {
        let sa = offer(Protocol::ESP, vec![esp(mode)]);
        assert_eq!(choose_phase2(&sa, &need(&policy)).unwrap_err(), Mismatch::Encapsulation);
    }
    let sa = offer(Protocol::ESP, vec![phase2(12, &[(6, 128), (5, 2)])]);
    assert_eq!(choose_phase2(&sa, &need(&policy)).unwrap_err(), Mismatch::Encapsulation);
    let sa = offer(Protocol::ESP, vec![esp(1), esp(2)]);
    assert_eq!(choose_phase2(&sa, &need(&policy)).unwrap().encapsulation, Encapsulation::TRANSPORT);
}

#[test]
fn the_encapsulation_fits_the_nat_situation() {
    let policy = Policy::compatible();
    let nat =
        NatSituation { version: Some(NatVersion::Draft02), client_behind: true, ..NatSituation::default() };
    let need = Phase2Need { encapsulations: nat.encapsulations(), ..need(&policy) };
    let sa = offer(Protocol::ESP, vec![esp(2), esp(4), esp(61444)]);
    let choice = choose_phase2(&sa, &need).unwrap();
    assert_eq!(choice.encapsulation, Encapsulation::UDP_TRANSPORT_DRAFT);
    let sa = offer(Protocol::ESP, vec![esp(2)]);
    assert_eq!(choose_phase2(&sa, &need).unwrap_err(), Mismatch::Encapsulation);
}

#[test]
fn clients_that_may_truncate_get_another_mac() {
    let suites = |quirks: &Quirks| {
        let policy = Policy::legacy();
        let mut rest: Vec<_> = [(5u16, 5u16), (5, 6), (5, 7), (5, 2), (5, 1)]
            .iter()
            .map(|&auth| phase2(12, &[(6, 256), auth, (4, 2)]))
            .chain([phase2(3, &[(5, 2), (4, 2)])])
            .collect();
        let mut order = Vec::new();
        while !rest.is_empty() {
            let need = Phase2Need { quirks, ..need(&policy) };
            let choice = choose_phase2(&offer(Protocol::ESP, rest.clone()), &need).unwrap();
            order.push(choice.suite.to_string());
            rest.retain(|t| *t != choice.answer.proposals[0].transforms[0]);
        }
        order.join(" ")
    };
    assert_eq!(
        suites(&Quirks::of(ClientHint::Android)),
        "AES-256-CBC/HMAC-SHA1-96 AES-256-CBC/HMAC-SHA2-512-256 AES-256-CBC/HMAC-SHA2-384-192 \
         AES-256-CBC/HMAC-SHA2-256-128 AES-256-CBC/HMAC-MD5-96 3DES-CBC/HMAC-SHA1-96"
    );
    assert_eq!(
        suites(&Quirks::of(ClientHint::Windows)),
        "AES-256-CBC/HMAC-SHA2-256-128 AES-256-CBC/HMAC-SHA2-384-192 AES-256-CBC/HMAC-SHA2-512-256 \
         AES-256-CBC/HMAC-SHA1-96 3DES-CBC/HMAC-SHA1-96 AES-256-CBC/HMAC-MD5-96"
    );
}

#[test]
fn esp_that_insists_on_company_is_passed_over() {
    let policy = Policy::compatible();
    let mut sa = offer(Protocol::ESP, vec![esp(2)]);
    let ah = Proposal { protocol: Protocol::AH, ..sa.proposals[0].clone() };
    sa.proposals.push(ah);
    assert_eq!(choose_phase2(&sa, &need(&policy)).unwrap_err(), Mismatch::Nothing);
    let alone = Proposal { number: 2, spi: vec![0, 0, 2, 0], ..sa.proposals[0].clone() };
    sa.proposals.push(alone);
    let choice = choose_phase2(&sa, &need(&policy)).unwrap();
    assert_eq!((choice.remote_spi, choice.answer.proposals[0].number), (0x200, 2));
    sa.proposals[2].spi = vec![1, 2, 3];
    assert_eq!(choose_phase2(&sa, &need(&policy)).unwrap_err(), Mismatch::Nothing, "an SPI of three bytes");
    sa.proposals[2].spi = vec![0, 0, 0, 0];
    assert_eq!(choose_phase2(&sa, &need(&policy)).unwrap_err(), Mismatch::Nothing, "a reserved SPI");
}

#[test]
fn phase_2_refusals_name_what_is_missing() {
    let policy = Policy::compatible();
    let refused =
        |transform| choose_phase2(&offer(Protocol::ESP, vec![transform]), &need(&policy)).unwrap_err();
    assert_eq!(refused(phase2(2, &[(5, 2), (4, 2)])), Mismatch::Cipher, "DES");
    assert_eq!(refused(phase2(11, &[(5, 2), (4, 2)])), Mismatch::Cipher, "NULL");
    assert_eq!(refused(phase2(12, &[(6, 128), (5, 1), (4, 2)])), Mismatch::Hash);
    assert_eq!(refused(phase2(12, &[(6, 128), (4, 2)])), Mismatch::Cipher, "without authentication");
    assert_eq!(refused(phase2(12, &[(6, 128), (5, 2), (4, 2), (3, 14)])), Mismatch::Group, "PFS without KE");
    let described = describe_phase2(&offer(Protocol::ESP, vec![phase2(2, &[(5, 9), (4, 2), (3, 77)])]));
    assert_eq!(described, ["transform 2/auth 9/group 77 TRANSPORT"]);
}

#[test]
fn a_transform_with_an_attribute_that_we_do_not_know_is_passed_over() {
    // PRF (13) and field size (15) of RFC 2409 appendix A, and one of the private range.
    for unknown in [13, 15, 16384] {
        assert_eq!(
            chosen1(vec![with(&[(4, 19), (unknown, 1)]), phase1(&GOOD)]).unwrap(),
            "AES-256-CBC/SHA1/MODP-2048"
        );
        assert_eq!(chosen1(vec![with(&[(unknown, 1)])]), Err(Mismatch::Combination));
    }
}
