//! The keys of SAs, expanded once.
//!
//! What the lanes can do is kept as bare round keys and hash states, some 300 bytes; a session that is idle costs little
//! more than these. Everything else is a library's object in a box.

use super::cpu::Cpu;
use super::lanes::{Direction, LaneKey};
use crate::crypto::cbc::{DecryptKey, EncryptKey, LengthError};
use crate::crypto::hmac::HmacKey;
use crate::crypto::suite::{EspCipher, EspSuite, GCM_SALT_LEN, IkeCipher};
use ring::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};

/// The outbound half of an SA's key material, expanded once.
pub struct SealKey {
    suite: EspSuite,
    pub(super) cipher: SealCipher,
}

/// The inbound half of an SA's key material, expanded once.
pub struct OpenKey {
    suite: EspSuite,
    pub(super) cipher: OpenCipher,
}

/// A key as the engine uses it; `C` is RustCrypto's CBC key of the direction.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every key is of lanes; a box would be one more cache line per packet"
)]
pub(super) enum CipherKey<C> {
    Lanes(LaneKey),
    Cbc(Box<(C, HmacKey)>),
    Gcm(Box<GcmKey>),
}

pub(super) type SealCipher = CipherKey<EncryptKey>;
pub(super) type OpenCipher = CipherKey<DecryptKey>;

impl<C> CipherKey<C> {
    /// Expands KEYMAT; `cbc` does so where no lane can.
    fn expand(
        (cpu, direction): (Cpu, Direction),
        suite: EspSuite,
        keymat: &[u8],
        cbc: fn(IkeCipher, &[u8]) -> Result<C, LengthError>,
    ) -> Result<Self, LengthError> {
        let (encryption, authentication) = split(suite, keymat)?;
        let (Some(cipher), Some(hash)) = (cbc_cipher(suite.cipher()), suite.auth().hash()) else {
            return Ok(Self::Gcm(Box::new(GcmKey::new(suite.cipher(), encryption)?)));
        };
        let mac = HmacKey::new(hash, authentication);
        Ok(match LaneKey::new(cpu, direction, cipher, encryption, &mac) {
            Some(key) => Self::Lanes(key),
            None => Self::Cbc(Box::new((cbc(cipher, encryption)?, mac))),
        })
    }
}

/// An AES-GCM key and the salt that begins its nonces (RFC 4106 section 4).
pub(super) struct GcmKey {
    pub(super) key: LessSafeKey,
    pub(super) salt: [u8; GCM_SALT_LEN],
}

impl GcmKey {
    fn new(cipher: EspCipher, keymat: &[u8]) -> Result<Self, LengthError> {
        let algorithm = if cipher == EspCipher::Aes128Gcm16 { &AES_128_GCM } else { &AES_256_GCM };
        let (key, salt) = keymat.split_last_chunk().ok_or(LengthError)?;
        let key = UnboundKey::new(algorithm, key).map_err(|_| LengthError)?;
        Ok(Self { key: LessSafeKey::new(key), salt: *salt })
    }
}

/// The CBC cipher of an ESP cipher; `None` for an AEAD.
const fn cbc_cipher(cipher: EspCipher) -> Option<IkeCipher> {
    match cipher {
        EspCipher::TripleDesCbc => Some(IkeCipher::TripleDes),
        EspCipher::Aes128Cbc => Some(IkeCipher::Aes128),
        EspCipher::Aes192Cbc => Some(IkeCipher::Aes192),
        EspCipher::Aes256Cbc => Some(IkeCipher::Aes256),
        EspCipher::Aes128Gcm16 | EspCipher::Aes256Gcm16 => None,
    }
}

/// KEYMAT cut into encryption key (with salt) and authentication key.
fn split(suite: EspSuite, keymat: &[u8]) -> Result<(&[u8], &[u8]), LengthError> {
    if keymat.len() == suite.key_len() {
        Ok(keymat.split_at(suite.cipher().key_len()))
    } else {
        Err(LengthError)
    }
}

impl SealKey {
    /// Expands the KEYMAT of one direction: encryption key (and salt), then authentication key.
    ///
    /// # Errors
    /// If `keymat` does not have [`EspSuite::key_len`] bytes.
    pub fn new(suite: EspSuite, keymat: &[u8]) -> Result<Self, LengthError> {
        Self::for_cpu(Cpu::detect(), suite, keymat)
    }

    /// A key that no lane takes, on any machine: what [`scalar`](super::scalar) does with it is RustCrypto's work and
    /// the standard that the lanes are held to.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn portable(suite: EspSuite, keymat: &[u8]) -> Result<Self, LengthError> {
        Self::for_cpu(Cpu::NONE, suite, keymat)
    }

    pub(super) fn for_cpu(cpu: Cpu, suite: EspSuite, keymat: &[u8]) -> Result<Self, LengthError> {
        let cipher = CipherKey::expand((cpu, Direction::Seal), suite, keymat, EncryptKey::new)?;
        Ok(Self { suite, cipher })
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> EspSuite {
        self.suite
    }
}

impl OpenKey {
    /// Expands the KEYMAT of one direction: encryption key (and salt), then authentication key.
    ///
    /// # Errors
    /// If `keymat` does not have [`EspSuite::key_len`] bytes.
    pub fn new(suite: EspSuite, keymat: &[u8]) -> Result<Self, LengthError> {
        Self::for_cpu(Cpu::detect(), suite, keymat)
    }

    /// A key that no lane takes: see [`SealKey::portable`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn portable(suite: EspSuite, keymat: &[u8]) -> Result<Self, LengthError> {
        Self::for_cpu(Cpu::NONE, suite, keymat)
    }

    pub(super) fn for_cpu(cpu: Cpu, suite: EspSuite, keymat: &[u8]) -> Result<Self, LengthError> {
        let cipher = CipherKey::expand((cpu, Direction::Open), suite, keymat, DecryptKey::new)?;
        Ok(Self { suite, cipher })
    }

    /// The suite.
    #[must_use]
    pub const fn suite(&self) -> EspSuite {
        self.suite
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKey({})", self.suite)
    }
}

impl std::fmt::Debug for OpenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenKey({})", self.suite)
    }
}
