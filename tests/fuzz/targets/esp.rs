//! ESP packets: the clear header, the trailer, and a security association that opens what comes.

use super::steps::origin;
use sekisho::crypto::Secret;
use sekisho::crypto::cbc;
use sekisho::crypto::engine::EspEngine;
use sekisho::crypto::prf;
use sekisho::crypto::suite::{EspAuth, EspCipher, EspSuite, HashAlg, IkeCipher};
use sekisho::entropy::Entropy;
use sekisho::esp::{Inner, Renewal, SaParams, Sad, Settings};
use sekisho::packet::{Drop, PacketBuf};
use sekisho::wire::Writer;
use sekisho::wire::esp::{Header, Trailer};

const SPI: u32 = 0x0100_1234;
const KEY: u8 = 0x5a;

/// The first byte chooses the suite, the rest is a packet, or what is inside one.
pub(super) fn esp(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    if let Ok(header) = Header::parse(bytes) {
        let mut w = Writer::new();
        header.emit(&mut w);
        assert_eq!(w.as_slice(), &bytes[..8]);
    }
    if let Ok((payload, trailer)) = Trailer::parse(bytes) {
        assert_eq!(payload + usize::from(trailer.pad_len) + 2, bytes.len());
    }
    let suites = [
        EspSuite::of(EspCipher::Aes128Cbc, EspAuth::HmacSha1_96),
        EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha256_128),
        EspSuite::of(EspCipher::TripleDesCbc, EspAuth::HmacSha384_192),
        EspSuite::of(EspCipher::Aes256Gcm16, EspAuth::Aead),
    ];
    let suite = suites[usize::from(choice) % suites.len()];
    forged(suite, bytes);
    round_trip(suite, bytes);
    authentic(bytes);
}

fn sad(suite: EspSuite) -> Sad {
    let mut sad = Sad::new(Settings::default());
    let key = || Secret::new(vec![KEY; suite.key_len()]);
    let params = SaParams {
        inbound_spi: SPI,
        outbound_spi: SPI,
        suite,
        inbound_key: key(),
        outbound_key: key(),
        udp_encap: true,
        life_seconds: Some(3600),
        life_kilobytes: None,
        confirmed: true,
        renewal: Renewal::AtTheEnd,
    };
    sad.install(origin(), params).expect("an empty table takes a pair");
    sad
}

fn open(sad: &mut Sad, packet: &[u8]) -> Result<Inner, Drop> {
    let mut job = sad.admit(SPI, true, PacketBuf::from_slice(packet))?;
    EspEngine::new(Entropy::from_number(1)).open(std::slice::from_mut(&mut job));
    sad.deliver(origin(), job)
}

/// A packet from somebody without the key goes nowhere, whatever it looks like.
fn forged(suite: EspSuite, bytes: &[u8]) {
    let mut sad = sad(suite);
    assert!(open(&mut sad, bytes).is_err());
    let mut with_spi = SPI.to_be_bytes().to_vec();
    with_spi.extend_from_slice(bytes);
    assert!(open(&mut sad, &with_spi).is_err());
    assert_eq!(sad.last_inbound(), None, "nobody was heard");
}

/// What one side seals, the other opens, once.
fn round_trip(suite: EspSuite, payload: &[u8]) {
    let mut sad = sad(suite);
    let mut job = sad.seal(origin(), PacketBuf::from_slice(payload), 17).expect("a pair that sends");
    EspEngine::new(Entropy::from_number(2)).seal(std::slice::from_mut(&mut job));
    assert_eq!(job.buf.len(), suite.sealed_len(payload.len()));
    let inner = open(&mut sad, &job.buf).expect("our own packet");
    assert_eq!(&*inner.buf, payload);
    assert_eq!(inner.next_header, 17);
    assert_eq!(open(&mut sad, &job.buf).map(|_| ()), Err(Drop::Replayed));
}

/// What somebody *with* the key can put inside: padding that lies.
fn authentic(plain: &[u8]) {
    let suite = EspSuite::of(EspCipher::Aes128Cbc, EspAuth::HmacSha1_96);
    let mut plain = plain.to_vec();
    let missing = plain.len().next_multiple_of(16).max(16) - plain.len();
    plain.splice(..0, std::iter::repeat_n(0, missing));
    let mut packet = SPI.to_be_bytes().to_vec();
    packet.extend_from_slice(&1_u32.to_be_bytes());
    packet.extend_from_slice(&[0; 16]);
    let mut sealed = plain.clone();
    cbc::encrypt(IkeCipher::Aes128, &[KEY; 16], &[0; 16], &mut sealed).expect("whole blocks");
    packet.extend_from_slice(&sealed);
    let icv = prf::prf(HashAlg::Sha1, &[KEY; 20], &[&packet]);
    packet.extend_from_slice(&icv[..12]);
    let mut sad = sad(suite);
    match (open(&mut sad, &packet), Trailer::parse(&plain)) {
        (Ok(inner), Ok((payload, trailer))) => {
            assert_eq!(&*inner.buf, &plain[..payload]);
            assert_eq!(inner.next_header, trailer.next_header);
        }
        (Err(drop), Err(error)) => assert_eq!(drop, Drop::Malformed(error)),
        (got, expected) => panic!("opened to {got:?}, expected {expected:?}"),
    }
}
