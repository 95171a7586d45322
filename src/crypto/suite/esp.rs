//! Phase 2: ciphers and integrity algorithms of ESP (RFC 2407 sections 4.4.4 and 4.5, RFC 4868, RFC 4106).

use super::{HashAlg, Strength, display_as_name};
use std::fmt;

/// SPI and sequence number before the IV (RFC 4303 section 2).
pub const ESP_HEADER_LEN: usize = 8;
/// Pad Length and Next Header after the padding (RFC 4303 section 2).
pub const ESP_TRAILER_LEN: usize = 2;

/// Cipher of ESP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EspCipher {
    /// Triple DES in CBC mode (RFC 2451).
    TripleDesCbc,
    /// AES-128 in CBC mode (RFC 3602).
    Aes128Cbc,
    /// AES-192 in CBC mode.
    Aes192Cbc,
    /// AES-256 in CBC mode.
    Aes256Cbc,
    /// AES-128 in GCM with an ICV of 16 bytes (RFC 4106).
    Aes128Gcm16,
    /// AES-256 in GCM with an ICV of 16 bytes (RFC 4106).
    Aes256Gcm16,
}

impl EspCipher {
    /// All.
    pub const ALL: &'static [Self] = &[
        Self::TripleDesCbc,
        Self::Aes128Cbc,
        Self::Aes192Cbc,
        Self::Aes256Cbc,
        Self::Aes128Gcm16,
        Self::Aes256Gcm16,
    ];

    /// Transform identifier (ESP_3DES, ESP_AES, ESP_AES_GCM_16).
    #[must_use]
    pub const fn transform_id(self) -> u8 {
        match self {
            Self::TripleDesCbc => 3,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 12,
            Self::Aes128Gcm16 | Self::Aes256Gcm16 => 20,
        }
    }

    /// Value of the Key Length attribute in bits; for GCM without the salt (RFC 4106 section 8.4).
    #[must_use]
    pub const fn key_length_attribute(self) -> Option<u16> {
        match self {
            Self::TripleDesCbc => None,
            Self::Aes128Cbc | Self::Aes128Gcm16 => Some(128),
            Self::Aes192Cbc => Some(192),
            Self::Aes256Cbc | Self::Aes256Gcm16 => Some(256),
        }
    }

    /// The cipher that a transform names, if we have it.
    #[must_use]
    pub fn from_transform(id: u8, key_bits: Option<u16>) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.transform_id() == id && c.key_length_attribute() == key_bits)
    }

    /// Whether the cipher authenticates by itself.
    #[must_use]
    pub const fn is_aead(self) -> bool {
        matches!(self, Self::Aes128Gcm16 | Self::Aes256Gcm16)
    }

    /// Bytes that it takes from KEYMAT: the key and, for GCM, four bytes of salt.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Cbc => 16,
            Self::TripleDesCbc | Self::Aes192Cbc => 24,
            Self::Aes256Cbc => 32,
            Self::Aes128Gcm16 => 16 + GCM_SALT_LEN,
            Self::Aes256Gcm16 => 32 + GCM_SALT_LEN,
        }
    }

    /// What the encrypted part must be a multiple of, in bytes. RFC 4303 section 2.4 wants four even from stream
    /// ciphers.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::TripleDesCbc => 8,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 16,
            Self::Aes128Gcm16 | Self::Aes256Gcm16 => 4,
        }
    }

    /// Length of the IV in every packet, in bytes.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::TripleDesCbc | Self::Aes128Gcm16 | Self::Aes256Gcm16 => 8,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 16,
        }
    }

    /// Work to break it, as a power of two.
    #[must_use]
    pub const fn bits(self) -> u16 {
        match self {
            Self::TripleDesCbc => 112,
            Self::Aes128Cbc | Self::Aes128Gcm16 => 128,
            Self::Aes192Cbc => 192,
            Self::Aes256Cbc | Self::Aes256Gcm16 => 256,
        }
    }

    /// How much it is worth.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            // 64-bit blocks: collisions after 32 GiB under one key (Sweet32); and 50 times dearer than AES.
            Self::TripleDesCbc => Strength::Weak,
            _ => Strength::Strong,
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TripleDesCbc => "3DES-CBC",
            Self::Aes128Cbc => "AES-128-CBC",
            Self::Aes192Cbc => "AES-192-CBC",
            Self::Aes256Cbc => "AES-256-CBC",
            Self::Aes128Gcm16 => "AES-128-GCM-16",
            Self::Aes256Gcm16 => "AES-256-GCM-16",
        }
    }
}

/// Bytes of KEYMAT after a GCM key that begin every nonce (RFC 4106 section 8.1).
pub const GCM_SALT_LEN: usize = 4;

/// Integrity algorithm of ESP.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum EspAuth {
    /// None of its own: the cipher is an AEAD. Never valid with another cipher.
    Aead,
    /// HMAC-MD5-96 (RFC 2403).
    HmacMd5_96,
    /// HMAC-SHA-1-96 (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256-128 (RFC 4868). Older kernels truncate to 96 bits under the same number: see
    /// [`EspAuth::truncated_icv_len`].
    HmacSha256_128,
    /// HMAC-SHA-384-192 (RFC 4868).
    HmacSha384_192,
    /// HMAC-SHA-512-256 (RFC 4868).
    HmacSha512_256,
}

impl EspAuth {
    /// All.
    pub const ALL: &'static [Self] = &[
        Self::Aead,
        Self::HmacMd5_96,
        Self::HmacSha1_96,
        Self::HmacSha256_128,
        Self::HmacSha384_192,
        Self::HmacSha512_256,
    ];

    /// Value of the Authentication Algorithm attribute; `None` for an AEAD, which sends none (RFC 4106 section 8.3).
    #[must_use]
    pub const fn attribute(self) -> Option<u16> {
        match self {
            Self::Aead => None,
            Self::HmacMd5_96 => Some(1),
            Self::HmacSha1_96 => Some(2),
            Self::HmacSha256_128 => Some(5),
            Self::HmacSha384_192 => Some(6),
            Self::HmacSha512_256 => Some(7),
        }
    }

    /// The algorithm that the attribute names, if we have it.
    #[must_use]
    pub fn from_attribute(value: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.attribute() == Some(value))
    }

    /// The hash whose HMAC it is.
    #[must_use]
    pub const fn hash(self) -> Option<HashAlg> {
        match self {
            Self::Aead => None,
            Self::HmacMd5_96 => Some(HashAlg::Md5),
            Self::HmacSha1_96 => Some(HashAlg::Sha1),
            Self::HmacSha256_128 => Some(HashAlg::Sha256),
            Self::HmacSha384_192 => Some(HashAlg::Sha384),
            Self::HmacSha512_256 => Some(HashAlg::Sha512),
        }
    }

    /// Bytes that it takes from KEYMAT: the length of the hash (RFC 4868 section 2.1.1).
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self.hash() {
            None => 0,
            Some(hash) => hash.output_len(),
        }
    }

    /// Length of the ICV in bytes; sixteen for the AEADs.
    #[must_use]
    pub const fn icv_len(self) -> usize {
        match self {
            Self::HmacMd5_96 | Self::HmacSha1_96 => 12,
            Self::Aead | Self::HmacSha256_128 => 16,
            Self::HmacSha384_192 => 24,
            Self::HmacSha512_256 => 32,
        }
    }

    /// The other ICV length that clients use for this algorithm, if there is one.
    ///
    /// Interop: Linux's PF_KEY (racoon, so Android before about 2017) truncates HMAC-SHA-256 to 96 bits, as in the
    /// draft before RFC 4868.
    #[must_use]
    pub const fn truncated_icv_len(self) -> Option<usize> {
        match self {
            Self::HmacSha256_128 => Some(12),
            _ => None,
        }
    }

    /// How much it is worth, as the MAC that it is here.
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            Self::HmacMd5_96 => Strength::Broken,
            Self::HmacSha1_96 => Strength::Acceptable,
            Self::Aead | Self::HmacSha256_128 | Self::HmacSha384_192 | Self::HmacSha512_256 => {
                Strength::Strong
            }
        }
    }

    /// The name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aead => "AEAD",
            Self::HmacMd5_96 => "HMAC-MD5-96",
            Self::HmacSha1_96 => "HMAC-SHA1-96",
            Self::HmacSha256_128 => "HMAC-SHA2-256-128",
            Self::HmacSha384_192 => "HMAC-SHA2-384-192",
            Self::HmacSha512_256 => "HMAC-SHA2-512-256",
        }
    }
}

/// What protects a pair of ESP SAs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EspSuite {
    cipher: EspCipher,
    auth: EspAuth,
}

impl EspSuite {
    /// A cipher with its integrity algorithm; `None` for encryption without integrity and for an AEAD with a second
    /// one.
    #[must_use]
    pub const fn new(cipher: EspCipher, auth: EspAuth) -> Option<Self> {
        if cipher.is_aead() == matches!(auth, EspAuth::Aead) { Some(Self { cipher, auth }) } else { None }
    }

    /// The same for tables of constants, where a wrong line must not compile.
    ///
    /// # Panics
    /// If [`Self::new`] would return `None`.
    #[must_use]
    pub const fn of(cipher: EspCipher, auth: EspAuth) -> Self {
        match Self::new(cipher, auth) {
            Some(suite) => suite,
            None => panic!("no such ESP suite"),
        }
    }

    /// The suite that an ESP transform names: its identifier, Key Length and Authentication Algorithm attributes.
    #[must_use]
    pub fn from_transform(id: u8, key_bits: Option<u16>, auth: Option<u16>) -> Option<Self> {
        let auth = auth.map_or(Some(EspAuth::Aead), EspAuth::from_attribute)?;
        Self::new(EspCipher::from_transform(id, key_bits)?, auth)
    }

    /// The cipher.
    #[must_use]
    pub const fn cipher(self) -> EspCipher {
        self.cipher
    }

    /// The integrity algorithm.
    #[must_use]
    pub const fn auth(self) -> EspAuth {
        self.auth
    }

    /// Bytes of KEYMAT for one direction: encryption key (and salt), then authentication key (RFC 2409 section 5.5).
    #[must_use]
    pub const fn key_len(self) -> usize {
        self.cipher.key_len() + self.auth.key_len()
    }

    /// Length of a sealed packet, from SPI to ICV, around `payload` bytes.
    #[must_use]
    pub const fn sealed_len(self, payload: usize) -> usize {
        let block = self.cipher.block_len();
        ESP_HEADER_LEN
            + self.cipher.iv_len()
            + (payload + ESP_TRAILER_LEN).next_multiple_of(block)
            + self.auth.icv_len()
    }

    /// The longest payload whose sealed packet has at most `len` bytes; zero if there is none.
    #[must_use]
    pub const fn max_payload(self, len: usize) -> usize {
        let fixed = ESP_HEADER_LEN + self.cipher.iv_len() + self.auth.icv_len();
        let block = self.cipher.block_len();
        (len.saturating_sub(fixed) / block * block).saturating_sub(ESP_TRAILER_LEN)
    }

    /// That of the weaker element.
    #[must_use]
    pub fn strength(self) -> Strength {
        self.cipher.strength().min(self.auth.strength())
    }
}

display_as_name!(EspCipher, EspAuth);

impl fmt::Display for EspSuite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.auth {
            EspAuth::Aead => self.cipher.fmt(f),
            auth => write!(f, "{}/{auth}", self.cipher),
        }
    }
}
