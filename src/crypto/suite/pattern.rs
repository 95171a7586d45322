//! Suites as people write them: `aes256-sha256-modp2048`, or only the part that matters, `sha1`.

use super::{DhGroup, EspAuth, EspCipher, EspSuite, HashAlg, IkeCipher, IkeSuite};

/// Phase 1 suites that have what is named; what is not named may be anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IkePattern {
    cipher: Option<IkeCipher>,
    hash: Option<HashAlg>,
    group: Option<DhGroup>,
}

/// Phase 2 suites that have what is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EspPattern {
    cipher: Option<EspCipher>,
    auth: Option<EspAuth>,
}

const IKE_CIPHERS: &[(&str, IkeCipher)] = &[
    ("3des", IkeCipher::TripleDes),
    ("aes128", IkeCipher::Aes128),
    ("aes192", IkeCipher::Aes192),
    ("aes256", IkeCipher::Aes256),
];
const HASHES: &[(&str, HashAlg)] = &[
    ("md5", HashAlg::Md5),
    ("sha1", HashAlg::Sha1),
    ("sha256", HashAlg::Sha256),
    ("sha384", HashAlg::Sha384),
    ("sha512", HashAlg::Sha512),
];
const GROUPS: &[(&str, DhGroup)] = &[
    ("modp1024", DhGroup::Modp1024),
    ("modp1536", DhGroup::Modp1536),
    ("modp2048", DhGroup::Modp2048),
    ("modp3072", DhGroup::Modp3072),
    ("modp4096", DhGroup::Modp4096),
    ("ecp256", DhGroup::Ecp256),
    ("ecp384", DhGroup::Ecp384),
    ("curve25519", DhGroup::Curve25519),
];
const ESP_CIPHERS: &[(&str, EspCipher)] = &[
    ("3des", EspCipher::TripleDesCbc),
    ("aes128", EspCipher::Aes128Cbc),
    ("aes192", EspCipher::Aes192Cbc),
    ("aes256", EspCipher::Aes256Cbc),
    ("aes128gcm", EspCipher::Aes128Gcm16),
    ("aes256gcm", EspCipher::Aes256Gcm16),
];
const ESP_AUTHS: &[(&str, EspAuth)] = &[
    ("md5", EspAuth::HmacMd5_96),
    ("sha1", EspAuth::HmacSha1_96),
    ("sha256", EspAuth::HmacSha256_128),
    ("sha384", EspAuth::HmacSha384_192),
    ("sha512", EspAuth::HmacSha512_256),
];

/// Puts a word in its place, if it names something of this kind and the place is free.
fn take<T: Copy>(place: &mut Option<T>, names: &[(&str, T)], word: &str) -> bool {
    let Some((_, value)) = names.iter().find(|(name, _)| *name == word) else { return false };
    place.replace(*value).is_none()
}

impl IkePattern {
    /// The words of phase 1, for messages.
    pub const WORDS: &'static str = "3des, aes128, aes192, aes256; md5, sha1, sha256, sha384, sha512; modp1024, \
        modp1536, modp2048, modp3072, modp4096, ecp256, ecp384, curve25519";

    /// Reads words joined by `-`, each kind once at most, in any order.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut pattern = Self::default();
        text.split('-')
            .all(|word| {
                take(&mut pattern.cipher, IKE_CIPHERS, word)
                    || take(&mut pattern.hash, HASHES, word)
                    || take(&mut pattern.group, GROUPS, word)
            })
            .then_some(pattern)
    }

    /// Whether a suite has all that is named.
    #[must_use]
    pub fn fits(&self, suite: IkeSuite) -> bool {
        self.cipher.is_none_or(|cipher| cipher == suite.cipher)
            && self.hash.is_none_or(|hash| hash == suite.hash)
            && self.group.is_none_or(|group| group == suite.group)
    }
}

impl EspPattern {
    /// The words of phase 2, for messages.
    pub const WORDS: &'static str =
        "3des, aes128, aes192, aes256, aes128gcm, aes256gcm; md5, sha1, sha256, sha384, sha512";

    /// Reads words joined by `-`, each kind once at most, in any order.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut pattern = Self::default();
        let known = text.split('-').all(|word| {
            take(&mut pattern.cipher, ESP_CIPHERS, word) || take(&mut pattern.auth, ESP_AUTHS, word)
        });
        // AES-GCM needs no MAC, so this would fit nothing.
        let possible = !(pattern.cipher.is_some_and(EspCipher::is_aead) && pattern.auth.is_some());
        (known && possible).then_some(pattern)
    }

    /// Whether a suite has all that is named.
    #[must_use]
    pub fn fits(&self, suite: EspSuite) -> bool {
        self.cipher.is_none_or(|cipher| cipher == suite.cipher())
            && self.auth.is_none_or(|auth| auth == suite.auth())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_has_to_be_there() {
        let suite = IkeSuite::new(IkeCipher::Aes256, HashAlg::Sha1, DhGroup::Modp2048);
        for text in ["aes256-sha1-modp2048", "sha1-aes256", "modp2048", "sha1"] {
            assert!(IkePattern::parse(text).unwrap().fits(suite), "{text}");
        }
        for text in ["aes128-sha1-modp2048", "sha256", "modp1024"] {
            assert!(!IkePattern::parse(text).unwrap().fits(suite), "{text}");
        }
        let cbc = EspSuite::of(EspCipher::Aes256Cbc, EspAuth::HmacSha256_128);
        let gcm = EspSuite::of(EspCipher::Aes256Gcm16, EspAuth::Aead);
        assert!(EspPattern::parse("sha256").unwrap().fits(cbc));
        assert!(
            EspPattern::parse("aes256").unwrap().fits(cbc) && !EspPattern::parse("aes256").unwrap().fits(gcm)
        );
        assert!(EspPattern::parse("aes256gcm").unwrap().fits(gcm));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "aes256-", "des", "sha1-sha256", "aes256-aes256", "AES256", "aes256 sha1"] {
            assert_eq!(IkePattern::parse(text), None, "{text}");
            assert_eq!(EspPattern::parse(text), None, "{text}");
        }
        assert_eq!(IkePattern::parse("aes256gcm"), None, "not in IKEv1");
        assert_eq!(EspPattern::parse("aes256gcm-sha1"), None);
        assert_eq!(EspPattern::parse("sha1-modp2048"), None);
    }

    #[test]
    fn every_algorithm_has_a_word_that_the_message_names() {
        let words = |names: &str| {
            names.replace(';', ",").split(", ").map(|w| w.trim().to_owned()).collect::<Vec<_>>()
        };
        for word in words(IkePattern::WORDS) {
            assert!(IkePattern::parse(&word).is_some(), "{word}");
        }
        for word in words(EspPattern::WORDS) {
            assert!(EspPattern::parse(&word).is_some(), "{word}");
        }
        let ike = IkeCipher::ALL.len() + HashAlg::ALL.len() + DhGroup::ALL.len();
        assert_eq!(words(IkePattern::WORDS).len(), ike);
        assert_eq!(words(EspPattern::WORDS).len(), EspCipher::ALL.len() + EspAuth::ALL.len() - 1);
    }
}
