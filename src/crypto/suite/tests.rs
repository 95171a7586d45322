use super::*;

#[test]
fn numbers_are_the_registered_ones() {
    // "IKE Attributes" registry, as real clients send them (strongSwan's default proposal, Android, Windows).
    assert_eq!(IkeCipher::from_attributes(7, Some(256)), Some(IkeCipher::Aes256));
    assert_eq!(IkeCipher::from_attributes(7, Some(128)), Some(IkeCipher::Aes128));
    assert_eq!(IkeCipher::from_attributes(5, None), Some(IkeCipher::TripleDes));
    assert_eq!(IkeCipher::from_attributes(7, None), None);
    assert_eq!(IkeCipher::from_attributes(1, None), None, "DES never");
    assert_eq!(
        [1, 2, 3, 4, 5, 6].map(HashAlg::from_attribute),
        [
            Some(HashAlg::Md5),
            Some(HashAlg::Sha1),
            None,
            Some(HashAlg::Sha256),
            Some(HashAlg::Sha384),
            Some(HashAlg::Sha512),
        ]
    );
    assert_eq!(
        [1, 2, 5, 14, 15, 16, 19, 20, 31].map(DhGroup::from_attribute),
        [
            None,
            Some(DhGroup::Modp1024),
            Some(DhGroup::Modp1536),
            Some(DhGroup::Modp2048),
            Some(DhGroup::Modp3072),
            Some(DhGroup::Modp4096),
            Some(DhGroup::Ecp256),
            Some(DhGroup::Ecp384),
            Some(DhGroup::Curve25519),
        ]
    );
}

#[test]
fn esp_transforms_are_found_by_their_attributes() {
    let suite = |id, bits, auth| EspSuite::from_transform(id, bits, auth).map(|s| s.to_string());
    assert_eq!(suite(12, Some(256), Some(2)).as_deref(), Some("AES-256-CBC/HMAC-SHA1-96"));
    assert_eq!(suite(12, Some(128), Some(5)).as_deref(), Some("AES-128-CBC/HMAC-SHA2-256-128"));
    assert_eq!(suite(3, None, Some(1)).as_deref(), Some("3DES-CBC/HMAC-MD5-96"));
    assert_eq!(suite(20, Some(128), None).as_deref(), Some("AES-128-GCM-16"));
    assert_eq!(suite(12, Some(256), None), None, "encryption without integrity");
    assert_eq!(suite(20, Some(256), Some(2)), None, "integrity twice");
    assert_eq!(suite(11, None, Some(2)), None, "NULL never");
    assert_eq!(suite(2, None, Some(2)), None, "DES never");
    assert_eq!(suite(12, Some(256), Some(99)), None);
}

#[test]
fn every_number_finds_its_algorithm_again() {
    for &c in IkeCipher::ALL {
        assert_eq!(IkeCipher::from_attributes(c.attribute(), c.key_length_attribute()), Some(c));
    }
    for &h in HashAlg::ALL {
        assert_eq!(HashAlg::from_attribute(h.attribute()), Some(h));
    }
    for &g in DhGroup::ALL {
        assert_eq!(DhGroup::from_attribute(g.attribute()), Some(g));
    }
    for &c in EspCipher::ALL {
        for &a in EspAuth::ALL {
            let again = EspSuite::from_transform(c.transform_id(), c.key_length_attribute(), a.attribute());
            assert_eq!(again, EspSuite::new(c, a));
        }
    }
}

#[test]
fn a_suite_is_as_strong_as_its_weakest_element() {
    let android = IkeSuite::new(IkeCipher::Aes256, HashAlg::Sha256, DhGroup::Modp1024);
    assert_eq!(android.strength(), Strength::Broken);
    assert_eq!(android.to_string(), "AES-256-CBC/SHA2-256/MODP-1024");
    let modern = IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha256, DhGroup::Ecp256);
    assert_eq!(modern.strength(), Strength::Strong);
    let esp = EspSuite::new(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96).unwrap();
    assert_eq!(esp.strength(), Strength::Acceptable);
}

#[test]
fn packet_lengths_add_up() {
    let suite = EspSuite::new(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96).unwrap();
    // LIMITS: 1400 bytes of plaintext are 1408 encrypted bytes and 1432 authenticated ones.
    assert_eq!(suite.sealed_len(1400), 8 + 16 + 1408 + 12);
    assert_eq!(suite.key_len(), 52);
    for &cipher in EspCipher::ALL {
        for &auth in EspAuth::ALL {
            let Some(suite) = EspSuite::new(cipher, auth) else { continue };
            for len in 0..200 {
                let max = suite.max_payload(len);
                assert!(max == 0 || suite.sealed_len(max) <= len);
                assert!(suite.sealed_len(max + 1) > len, "{suite} {len}");
            }
        }
    }
}

#[test]
fn bits_say_what_is_weakest() {
    let suite = |cipher, group| IkeSuite::new(cipher, HashAlg::Sha1, group).bits();
    assert_eq!(suite(IkeCipher::Aes256, DhGroup::Modp1024), 80);
    assert_eq!(suite(IkeCipher::TripleDes, DhGroup::Modp4096), 112);
    assert_eq!(suite(IkeCipher::Aes256, DhGroup::Ecp384), 192);
    for group in DhGroup::ALL {
        assert_eq!(group.bits() < 112, group.strength() < Strength::Acceptable, "{group}");
    }
    for cipher in EspCipher::ALL {
        assert!(cipher.bits() >= 112 && usize::from(cipher.bits()) <= 8 * cipher.key_len(), "{cipher}");
    }
}
