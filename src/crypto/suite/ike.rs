//! Phase 1: ciphers, hashes and groups (RFC 2409 appendix A, RFC 3526, RFC 5903, RFC 8031).

use super::{Strength, display_as_name};
use std::fmt;

/// Cipher of Phase 1, always in CBC mode.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IkeCipher {
    /// Triple DES with three keys (RFC 2451).
    TripleDes,
    /// AES with a key of 128 bits (RFC 3602).
    Aes128,
    /// AES with a key of 192 bits.
    Aes192,
    /// AES with a key of 256 bits.
    Aes256,
}

impl IkeCipher {
    /// All, weakest first.
    pub const ALL: &'static [Self] = &[Self::TripleDes, Self::Aes128, Self::Aes192, Self::Aes256];

    /// Value of the Encryption Algorithm attribute.
    #[must_use]
    pub const fn attribute(self) -> u16 {
        match self {
            Self::TripleDes => 5,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 7,
        }
    }

    /// Value of the Key Length attribute in bits; `None` where the key has one length and the attribute is not sent.
    #[must_use]
    pub const fn key_length_attribute(self) -> Option<u16> {
        match self {
            Self::TripleDes => None,
            Self::Aes128 => Some(128),
            Self::Aes192 => Some(192),
            Self::Aes256 => Some(256),
        }
    }

    /// The cipher that the two attributes name, if we have it. AES without a key length means nothing (RFC 3602
    /// section 5.3: the attribute MUST be present).
    #[must_use]
    pub fn from_attributes(algorithm: u16, key_bits: Option<u16>) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.attribute() == algorithm && c.key_length_attribute() == key_bits)
    }

    /// Key length in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::TripleDes | Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }

    /// Block length in bytes, which is also the IV's.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::TripleDes => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }

    /// Work to break it, as a power of two.
    #[must_use]
    pub const fn bits(self) -> u16 {
        match self {
            Self::TripleDes => 112,
            Self::Aes128 => 128,
            Self::Aes192 => 192,
            Self::Aes256 => 256,
        }
    }

    /// How much it is worth.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            Self::TripleDes => Strength::Weak,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => Strength::Strong,
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TripleDes => "3DES-CBC",
            Self::Aes128 => "AES-128-CBC",
            Self::Aes192 => "AES-192-CBC",
            Self::Aes256 => "AES-256-CBC",
        }
    }
}

/// Hash of Phase 1; its HMAC is the PRF.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HashAlg {
    /// MD5 (RFC 1321).
    Md5,
    /// SHA-1 (FIPS 180).
    Sha1,
    /// SHA-256 (RFC 4868).
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlg {
    /// All, weakest first.
    pub const ALL: &'static [Self] = &[Self::Md5, Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Value of the Hash Algorithm attribute.
    #[must_use]
    pub const fn attribute(self) -> u16 {
        match self {
            Self::Md5 => 1,
            Self::Sha1 => 2,
            Self::Sha256 => 4,
            Self::Sha384 => 5,
            Self::Sha512 => 6,
        }
    }

    /// The hash that the attribute names, if we have it.
    #[must_use]
    pub fn from_attribute(value: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|h| h.attribute() == value)
    }

    /// Length of a digest in bytes.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Length of the block that the compression function takes, in bytes.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 | Self::Sha256 => 64,
            Self::Sha384 | Self::Sha512 => 128,
        }
    }

    /// How much its HMAC is worth.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            Self::Md5 => Strength::Broken,
            Self::Sha1 => Strength::Acceptable,
            Self::Sha256 | Self::Sha384 | Self::Sha512 => Strength::Strong,
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA2-256",
            Self::Sha384 => "SHA2-384",
            Self::Sha512 => "SHA2-512",
        }
    }
}

/// Diffie-Hellman group (RFC 2409 section 6, RFC 3526, RFC 5903, RFC 8031).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DhGroup {
    /// Group 2: MODP, 1024 bits. Android 4 to 11 offers nothing else.
    Modp1024,
    /// Group 5: MODP, 1536 bits.
    Modp1536,
    /// Group 14: MODP, 2048 bits.
    Modp2048,
    /// Group 15: MODP, 3072 bits.
    Modp3072,
    /// Group 16: MODP, 4096 bits.
    Modp4096,
    /// Group 19: NIST P-256.
    Ecp256,
    /// Group 20: NIST P-384.
    Ecp384,
    /// Group 31: X25519. Defined for IKEv2; strongSwan offers it in IKEv1 with the same bytes.
    Curve25519,
}

impl DhGroup {
    /// All, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::Modp1024,
        Self::Modp1536,
        Self::Modp2048,
        Self::Modp3072,
        Self::Modp4096,
        Self::Ecp256,
        Self::Ecp384,
        Self::Curve25519,
    ];

    /// Value of the Group Description attribute.
    #[must_use]
    pub const fn attribute(self) -> u16 {
        match self {
            Self::Modp1024 => 2,
            Self::Modp1536 => 5,
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::Ecp256 => 19,
            Self::Ecp384 => 20,
            Self::Curve25519 => 31,
        }
    }

    /// The group that the attribute names, if we have it.
    #[must_use]
    pub fn from_attribute(value: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|g| g.attribute() == value)
    }

    /// Length of a public value in bytes, as in a KE payload.
    #[must_use]
    pub const fn public_len(self) -> usize {
        match self {
            Self::Modp1024 => 128,
            Self::Modp1536 => 192,
            Self::Modp2048 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Curve25519 => 32,
        }
    }

    /// Length of the shared secret in bytes. For ECP it is the x coordinate alone (RFC 5903 section 7, with its
    /// erratum).
    #[must_use]
    pub const fn shared_len(self) -> usize {
        match self {
            Self::Ecp256 | Self::Ecp384 => self.public_len() / 2,
            _ => self.public_len(),
        }
    }

    /// Work to break it, as a power of two.
    #[must_use]
    pub const fn bits(self) -> u16 {
        match self {
            Self::Modp1024 => 80,
            Self::Modp1536 => 96,
            Self::Modp2048 => 112,
            Self::Modp3072 | Self::Ecp256 | Self::Curve25519 => 128,
            Self::Modp4096 => 152,
            Self::Ecp384 => 192,
        }
    }

    /// How much it is worth.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            // One precomputation for this prime opens every exchange that uses it (Logjam, 2015).
            Self::Modp1024 => Strength::Broken,
            Self::Modp1536 => Strength::Weak,
            Self::Modp2048 => Strength::Acceptable,
            Self::Modp3072 | Self::Modp4096 | Self::Ecp256 | Self::Ecp384 | Self::Curve25519 => {
                Strength::Strong
            }
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Modp1024 => "MODP-1024",
            Self::Modp1536 => "MODP-1536",
            Self::Modp2048 => "MODP-2048",
            Self::Modp3072 => "MODP-3072",
            Self::Modp4096 => "MODP-4096",
            Self::Ecp256 => "ECP-256",
            Self::Ecp384 => "ECP-384",
            Self::Curve25519 => "Curve25519",
        }
    }
}

/// What protects an ISAKMP SA.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IkeSuite {
    /// Cipher.
    pub cipher: IkeCipher,
    /// Hash and PRF.
    pub hash: HashAlg,
    /// Diffie-Hellman group.
    pub group: DhGroup,
}

impl IkeSuite {
    /// A suite of three elements; every combination is possible.
    #[must_use]
    pub const fn new(cipher: IkeCipher, hash: HashAlg, group: DhGroup) -> Self {
        Self { cipher, hash, group }
    }

    /// That of the weakest element.
    #[must_use]
    pub fn strength(self) -> Strength {
        self.cipher.strength().min(self.hash.strength()).min(self.group.strength())
    }

    /// Work to break it, as a power of two (NIST SP 800-57 part 1, table 2; RFC 3526 section 8): what is weakest, cipher
    /// or group. A hash of IKE is used as HMAC, which is never the weakest.
    #[must_use]
    pub fn bits(self) -> u16 {
        self.cipher.bits().min(self.group.bits())
    }
}

display_as_name!(IkeCipher, HashAlg, DhGroup);

impl fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.cipher, self.hash, self.group)
    }
}
