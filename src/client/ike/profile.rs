//! Real clients as data: proposals, vendor IDs, identities, numbers, timers. From their sources and from captures.

use super::config::{Config, InitialContact, MessageIds, Mode};
use crate::crypto::Secret;
use crate::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite, HashAlg, IkeCipher, IkeSuite};
use crate::wire::isakmp::sa::{Attribute, AuthMethod, LifeType, Phase1Attribute, Transform};
use std::time::Duration;

use DhGroup::{Curve25519, Ecp256, Ecp384, Modp1024, Modp1536, Modp2048, Modp3072};
use EspAuth::{Aead, HmacMd5_96, HmacSha1_96, HmacSha256_128, HmacSha384_192, HmacSha512_256};
use EspCipher::{Aes128Cbc, Aes128Gcm16, Aes256Cbc, TripleDesCbc};
use HashAlg::{Md5, Sha1, Sha256, Sha384, Sha512};
use IkeCipher::{Aes128, Aes256, TripleDes};

/// In which order a client writes the attributes of Phase 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AttributeOrder {
    /// Lifetime, cipher, key length, method, hash, group.
    Racoon,
    /// Lifetime, cipher, hash, method, group, key length.
    Pluto,
    /// Cipher, key length, hash, group, method, lifetime.
    Charon,
    /// The same, with a duration in the long form.
    Windows,
}

/// A transform of Phase 1.
#[must_use]
pub fn phase1_transform(number: u8, suite: IkeSuite, seconds: u16, order: AttributeOrder) -> Transform {
    let short = |kind: Phase1Attribute, value| Attribute::short(kind.0, value);
    let cipher = [short(Phase1Attribute::ENCRYPTION, suite.cipher.attribute())];
    let key_length: Vec<_> = suite
        .cipher
        .key_length_attribute()
        .map(|n| short(Phase1Attribute::KEY_LENGTH, n))
        .into_iter()
        .collect();
    let hash = [short(Phase1Attribute::HASH, suite.hash.attribute())];
    let group = [short(Phase1Attribute::GROUP, suite.group.attribute())];
    let method = [short(Phase1Attribute::AUTHENTICATION, AuthMethod::PRE_SHARED_KEY.0)];
    let duration = match order {
        AttributeOrder::Windows => Attribute::long(Phase1Attribute::LIFE_DURATION.0, u32::from(seconds)),
        AttributeOrder::Racoon | AttributeOrder::Pluto | AttributeOrder::Charon => {
            short(Phase1Attribute::LIFE_DURATION, seconds)
        }
    };
    let life = [short(Phase1Attribute::LIFE_TYPE, LifeType::SECONDS.0), duration];
    let parts: [&[Attribute]; 6] = match order {
        AttributeOrder::Racoon => [&life, &cipher, &key_length, &method, &hash, &group],
        AttributeOrder::Pluto => [&life, &cipher, &hash, &method, &group, &key_length],
        AttributeOrder::Charon | AttributeOrder::Windows => {
            [&cipher, &key_length, &hash, &group, &method, &life]
        }
    };
    let attributes = parts.concat();
    Transform { number, id: Transform::KEY_IKE, attributes }
}

fn phase1(suites: &[(IkeCipher, HashAlg, DhGroup)], seconds: u16, order: AttributeOrder) -> Vec<Transform> {
    (1..=u8::MAX)
        .zip(suites)
        .map(|(number, &(cipher, hash, group))| {
            phase1_transform(number, IkeSuite::new(cipher, hash, group), seconds, order)
        })
        .collect()
}

fn esp(suites: &[(EspCipher, EspAuth)]) -> Vec<EspSuite> {
    suites.iter().filter_map(|&(cipher, auth)| EspSuite::new(cipher, auth)).collect()
}

fn esp_product(ciphers: &[EspCipher], auths: &[EspAuth]) -> Vec<EspSuite> {
    let pairs = ciphers.iter().flat_map(|c| auths.iter().map(move |a| (*c, *a)));
    pairs.filter_map(|(c, a)| EspSuite::new(c, a)).collect()
}

/// Vendor IDs, numbers as the MD5 that they are.
fn vids(numbers: &[u128]) -> Vec<Vec<u8>> {
    numbers.iter().map(|n| n.to_be_bytes().to_vec()).collect()
}

const RFC_3947: u128 = 0x4a131c81_07035845_5c5728f2_0e95452f;
const NAT_T: u128 = 0x4df37928_e9fc4fd1_b3262170_d515c662;
const NAT_T_08: u128 = 0x8f8d8382_6d246b6f_c7a8a6a4_28c11de8;
const NAT_T_07: u128 = 0x439b59f8_ba676c4c_7737ae22_eab8f582;
const NAT_T_06: u128 = 0x4d1e0e13_6deafa34_c4f3ea9f_02ec7285;
const NAT_T_05: u128 = 0x80d0bb3d_ef54565e_e84645d4_c85ce3ee;
const NAT_T_04: u128 = 0x9909b64e_ed937c65_73de52ac_e952fa6b;
const NAT_T_03: u128 = 0x7d9419a6_5310ca6f_2c179d92_15529d56;
const NAT_T_02N: u128 = 0x90cb8091_3ebb696e_086381b5_ec427b1f;
const NAT_T_02: u128 = 0xcd604643_35df21f8_7cfdb2fc_68b6a448;
const NAT_T_00: u128 = 0x4485152d_18b6bbcd_0be8a846_9579ddcc;
const DPD: u128 = 0xafcad713_68a1f1c9_6b8696fc_77570100;
const FRAGMENTATION: u128 = 0x4048b7d5_6ebce885_25e7de7f_00d6c2d3;
const MS_NT5: u128 = 0x1e2b5169_05991c7d_7c96fcbf_b587e461;
const MS_DISCOVERY: u128 = 0xfb1de3cd_f341b7ea_16b7e5be_0855f120;
const MS_INITIAL_CONTACT: u128 = 0x26244d38_eddb61b3_172a36e3_d0cfb819;
const MS_CGA: u128 = 0xe3a5966a_76379fe7_07228231_e5ce8652;
const XAUTH: u64 = 0x09002689_dfd6b712;

/// A vendor ID with four bytes behind it.
fn versioned(vid: u128, version: u32) -> Vec<u8> {
    [&vid.to_be_bytes()[..], &version.to_be_bytes()].concat()
}

/// racoon's vendor IDs: versions of NAT traversal, FRAGMENTATION, DPD.
fn racoon_vids(nat_t: &[u128]) -> Vec<Vec<u8>> {
    let mut ids = vids(nat_t);
    ids.push(versioned(FRAGMENTATION, 0x8000_0000));
    ids.extend(vids(&[DPD]));
    ids
}

fn charon_vids() -> Vec<Vec<u8>> {
    let mut ids = vec![XAUTH.to_be_bytes().to_vec()];
    ids.extend(vids(&[DPD]));
    ids.push(versioned(FRAGMENTATION, 0x8000_0000));
    ids.extend(vids(&[RFC_3947, NAT_T_02N]));
    ids
}

/// What most have in common.
fn base(psk: Secret) -> Config {
    Config {
        psk,
        mode: Mode::Main,
        phase1: Vec::new(),
        vendor_ids: Vec::new(),
        id_port: (0, 0),
        nonce_len: 16,
        initial_contact: InitialContact::Never,
        esp: Vec::new(),
        esp_in_proposals: false,
        pfs: None,
        esp_seconds: 3600,
        esp_kilobytes: None,
        client_port: 1701,
        nat_oa: false,
        strict_ids: false,
        force_nat: false,
        message_ids: MessageIds::Random,
        believes_clear_notify: false,
        accepts_server_rekey: true,
        retransmit: Duration::from_secs(3),
        tries: 10,
    }
}

/// A generation of Android's racoon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Android {
    /// 4.0 to 5.0: SHA-1 and MD5.
    Four,
    /// 5.1 to 7.1.1: and SHA2-256.
    Six,
    /// 7.1.2 to 11: and SHA2-384 and SHA2-512.
    Seven,
}

/// The built-in client of Android. (It offers DES too, which we have no name for; so it goes without.)
#[must_use]
pub fn android(psk: Secret, generation: Android) -> Config {
    let m = Modp1024;
    let (suites, auths): (&[_], &[_]) = match generation {
        Android::Four => (
            &[
                (Aes256, Sha1, m),
                (Aes256, Md5, m),
                (Aes128, Sha1, m),
                (Aes128, Md5, m),
                (TripleDes, Sha1, m),
                (TripleDes, Md5, m),
            ],
            &[HmacSha1_96, HmacMd5_96],
        ),
        Android::Six => (
            &[
                (Aes256, Sha256, m),
                (Aes256, Sha1, m),
                (Aes256, Md5, m),
                (Aes128, Sha256, m),
                (Aes128, Sha1, m),
                (Aes128, Md5, m),
                (TripleDes, Sha256, m),
                (TripleDes, Sha1, m),
                (TripleDes, Md5, m),
            ],
            &[HmacSha256_128, HmacSha1_96, HmacMd5_96],
        ),
        Android::Seven => (
            &[
                (Aes256, Sha384, m),
                (Aes256, Sha256, m),
                (Aes256, Sha512, m),
                (Aes256, Sha1, m),
                (Aes256, Md5, m),
                (Aes128, Sha512, m),
                (Aes128, Sha384, m),
                (Aes128, Sha256, m),
                (Aes128, Sha1, m),
                (Aes128, Md5, m),
                (TripleDes, Sha256, m),
                (TripleDes, Sha1, m),
                (TripleDes, Md5, m),
            ],
            &[HmacSha512_256, HmacSha384_192, HmacSha1_96, HmacSha256_128, HmacMd5_96],
        ),
    };
    Config {
        phase1: phase1(suites, 28800, AttributeOrder::Racoon),
        vendor_ids: racoon_vids(&[RFC_3947, NAT_T_02, NAT_T_02N, NAT_T_00]),
        id_port: (17, 500),
        initial_contact: InitialContact::Separate,
        esp: esp_product(&[Aes256Cbc, Aes128Cbc, TripleDesCbc], auths),
        esp_seconds: 28800,
        client_port: 0,
        ..base(psk)
    }
}

/// The built-in client of iOS and macOS; `port` is the ephemeral port that its L2TP uses.
#[must_use]
pub fn apple(psk: Secret, port: u16) -> Config {
    let suites = [
        (Aes256, Sha256, Modp2048),
        (Aes256, Sha1, Modp2048),
        (Aes256, Md5, Modp2048),
        (Aes256, Sha512, Modp2048),
        (Aes256, Sha256, Modp1536),
        (Aes256, Sha1, Modp1536),
        (Aes256, Md5, Modp1536),
        (Aes256, Sha256, Modp1024),
        (Aes256, Sha1, Modp1024),
        (Aes256, Md5, Modp1024),
        (Aes128, Sha1, Modp1024),
        (Aes128, Md5, Modp1024),
        (TripleDes, Sha1, Modp1024),
        (TripleDes, Md5, Modp1024),
    ];
    Config {
        phase1: phase1(&suites, 3600, AttributeOrder::Racoon),
        vendor_ids: racoon_vids(&[
            RFC_3947, NAT_T, NAT_T_08, NAT_T_07, NAT_T_06, NAT_T_05, NAT_T_04, NAT_T_03, NAT_T_02, NAT_T_02N,
        ]),
        id_port: (17, 500),
        initial_contact: InitialContact::Separate,
        esp: esp_product(&[Aes256Cbc, Aes128Cbc, TripleDesCbc], &[HmacSha256_128, HmacSha1_96, HmacMd5_96]),
        client_port: port,
        nat_oa: true,
        strict_ids: true,
        believes_clear_notify: true,
        ..base(psk)
    }
}

/// The built-in client of Windows 10 and 11.
#[must_use]
pub fn windows(psk: Secret) -> Config {
    let suites = [
        (Aes256, Sha1, Ecp384),
        (Aes128, Sha1, Ecp256),
        (Aes256, Sha1, Modp2048),
        (TripleDes, Sha1, Modp2048),
        (TripleDes, Sha1, Modp1024),
    ];
    let mut vendor_ids = vec![versioned(MS_NT5, 9)];
    vendor_ids.extend(vids(&[RFC_3947, NAT_T_02N, FRAGMENTATION, MS_DISCOVERY, MS_INITIAL_CONTACT, MS_CGA]));
    Config {
        phase1: phase1(&suites, 28800, AttributeOrder::Windows),
        vendor_ids,
        nonce_len: 48,
        esp: esp(&[(Aes256Cbc, HmacSha1_96), (Aes128Cbc, HmacSha1_96), (TripleDesCbc, HmacSha1_96)]),
        esp_in_proposals: true,
        esp_kilobytes: Some(250_000),
        nat_oa: true,
        message_ids: MessageIds::CountingFrom(1),
        retransmit: Duration::from_secs(1),
        ..base(psk)
    }
}

/// strongSwan with its own defaults.
#[must_use]
pub fn strongswan(psk: Secret) -> Config {
    let suites = [
        (Aes128, Sha256, Curve25519),
        (Aes256, Sha384, Ecp384),
        (Aes128, Sha256, Modp3072),
        (Aes256, Sha256, Modp2048),
    ];
    Config {
        phase1: phase1(&suites, 10800, AttributeOrder::Charon),
        vendor_ids: charon_vids(),
        nonce_len: 32,
        initial_contact: InitialContact::InMessage5,
        esp: esp(&[(Aes128Cbc, HmacSha256_128), (Aes256Cbc, HmacSha256_128)]),
        nat_oa: true,
        believes_clear_notify: true,
        retransmit: Duration::from_secs(4),
        tries: 5,
        ..base(psk)
    }
}

/// NetworkManager-l2tp 1.8 and later with strongSwan.
#[must_use]
pub fn network_manager(psk: Secret) -> Config {
    let suites = [
        (Aes256, Sha256, Modp2048),
        (Aes256, Sha256, Modp1536),
        (Aes256, Sha256, Modp1024),
        (Aes256, Sha1, Modp2048),
        (Aes256, Sha1, Modp1536),
        (Aes256, Sha1, Modp1024),
        (Aes256, Sha1, Ecp384),
        (Aes128, Sha1, Modp1024),
        (Aes128, Sha1, Ecp256),
        (TripleDes, Sha1, Modp2048),
        (TripleDes, Sha1, Modp1024),
    ];
    Config {
        phase1: phase1(&suites, 10800, AttributeOrder::Charon),
        esp: esp(&[(Aes256Cbc, HmacSha1_96), (Aes128Cbc, HmacSha1_96), (TripleDesCbc, HmacSha1_96)]),
        ..strongswan(psk)
    }
}

/// ChromeOS before IKEv2: strongSwan with shill's proposals.
#[must_use]
pub fn chromeos(psk: Secret) -> Config {
    let suites = [
        (Aes128, Sha256, Modp3072),
        (Aes128, Sha1, Modp2048),
        (TripleDes, Sha1, Modp1536),
        (TripleDes, Sha1, Modp1024),
    ];
    Config {
        phase1: phase1(&suites, 10800, AttributeOrder::Charon),
        esp: esp(&[
            (Aes128Gcm16, Aead),
            (Aes128Cbc, HmacSha256_128),
            (Aes128Cbc, HmacSha1_96),
            (TripleDesCbc, HmacSha1_96),
            (TripleDesCbc, HmacMd5_96),
        ]),
        ..strongswan(psk)
    }
}

/// libreswan 4 with its defaults.
#[must_use]
pub fn libreswan(psk: Secret) -> Config {
    let mut suites = Vec::new();
    for group in [Modp2048, Modp1536] {
        for hash in [Sha256, Sha512, Sha1] {
            suites.extend([(Aes256, hash, group), (Aes128, hash, group)]);
        }
    }
    for group in [Modp2048, Modp1536] {
        suites.extend([Sha256, Sha512, Sha1].map(|hash| (TripleDes, hash, group)));
    }
    Config {
        phase1: phase1(&suites, 10800, AttributeOrder::Pluto),
        vendor_ids: vids(&[FRAGMENTATION, DPD, RFC_3947, NAT_T_03, NAT_T_02N, NAT_T_02]),
        nonce_len: 32,
        esp: esp(&[
            (Aes256Cbc, HmacSha512_256),
            (Aes256Cbc, HmacSha256_128),
            (Aes128Cbc, HmacSha256_128),
            (Aes256Cbc, HmacSha1_96),
        ]),
        nat_oa: true,
        retransmit: Duration::from_millis(500),
        ..base(psk)
    }
}
