//! The ESP engine: seals and opens whole packets (RFC 4303 section 2), in slices, so that a kernel that works on
//! several packets at once needs no new interface.
//!
//! A job carries its key and its bytes and nothing of its peer, so one slice mixes peers and suites. Results stay where
//! their jobs are; in which order the work was done inside is nobody's business. Sequence numbers were taken when the
//! job was made, replay windows move when it is delivered.
//!
//! [`scalar`] does one packet after the other with RustCrypto and ring, and is the oracle for anything faster. A
//! multi-lane kernel is chosen here by the number of jobs of one suite, never by what the CPU could do.

pub mod scalar;
#[cfg(test)]
mod tests;

use super::cbc::{DecryptKey, EncryptKey, LengthError};
use super::hmac::HmacKey;
use super::suite::{EspCipher, EspSuite, GCM_SALT_LEN, IkeCipher};
use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use ring::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
use std::sync::Arc;

/// The longest IV in bytes.
pub const MAX_IV: usize = 16;

/// A packet to seal.
///
/// Before: `buf` is the payload. After: SPI, sequence number, IV, ciphertext and ICV. A packet that could not be sealed
/// (longer than any datagram) is left empty, so that no plaintext is ever sent.
#[derive(Debug)]
pub struct SealJob {
    /// The key of its SA.
    pub key: Arc<SealKey>,
    /// The SPI that the receiver chose.
    pub spi: u32,
    /// Its sequence number: never used before under this key. GCM depends on it.
    pub seq: u32,
    /// What the payload is (RFC 4303 section 2.6): 17 for UDP.
    pub next_header: u8,
    /// Length of the ICV in bytes, up to the algorithm's own.
    pub icv_len: u8,
    /// The packet.
    pub buf: PacketBuf,
}

/// A packet to open.
///
/// Before: `buf` is the packet from SPI to ICV. After, if `result` is `Ok`: payload, padding, pad length and next header
/// in the clear. Otherwise `buf` is of no use.
#[derive(Debug)]
pub struct OpenJob {
    /// The key of its SA.
    pub key: Arc<OpenKey>,
    /// Its SPI.
    pub spi: u32,
    /// Its sequence number.
    pub seq: u32,
    /// Length of the ICV in bytes, up to the algorithm's own.
    pub icv_len: u8,
    /// The packet.
    pub buf: PacketBuf,
    /// Whether it is authentic. A job that no engine has seen is not.
    pub result: Result<(), Drop>,
}

/// The outbound half of an SA's key material, expanded once.
pub struct SealKey {
    suite: EspSuite,
    cipher: SealCipher,
}

/// The inbound half of an SA's key material, expanded once.
pub struct OpenKey {
    suite: EspSuite,
    cipher: OpenCipher,
}

enum SealCipher {
    Cbc { cipher: EncryptKey, mac: HmacKey },
    Gcm(GcmKey),
}

enum OpenCipher {
    Cbc { cipher: DecryptKey, mac: HmacKey },
    Gcm(GcmKey),
}

/// An AES-GCM key and the salt that begins its nonces (RFC 4106 section 4).
struct GcmKey {
    key: LessSafeKey,
    salt: [u8; GCM_SALT_LEN],
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
        let (encryption, authentication) = split(suite, keymat)?;
        let cipher = match (cbc_cipher(suite.cipher()), suite.auth().hash()) {
            (Some(cipher), Some(hash)) => SealCipher::Cbc {
                cipher: EncryptKey::new(cipher, encryption)?,
                mac: HmacKey::new(hash, authentication),
            },
            _ => SealCipher::Gcm(GcmKey::new(suite.cipher(), encryption)?),
        };
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
        let (encryption, authentication) = split(suite, keymat)?;
        let cipher = match (cbc_cipher(suite.cipher()), suite.auth().hash()) {
            (Some(cipher), Some(hash)) => OpenCipher::Cbc {
                cipher: DecryptKey::new(cipher, encryption)?,
                mac: HmacKey::new(hash, authentication),
            },
            _ => OpenCipher::Gcm(GcmKey::new(suite.cipher(), encryption)?),
        };
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

/// Seals and opens slices of jobs. One per worker.
#[derive(Debug)]
pub struct EspEngine {
    entropy: Entropy,
}

impl EspEngine {
    /// An engine that draws its IVs from `entropy`.
    #[must_use]
    pub const fn new(entropy: Entropy) -> Self {
        Self { entropy }
    }

    /// Seals every job.
    pub fn seal(&mut self, jobs: &mut [SealJob]) {
        for job in jobs {
            let iv = self.iv(job);
            scalar::seal(job, &iv);
        }
    }

    /// Opens every job and leaves its verdict in `result`.
    pub fn open(&mut self, jobs: &mut [OpenJob]) {
        for job in jobs {
            scalar::open(job);
        }
    }

    /// The IV of a packet, in the front of the array. CBC wants it unpredictable (RFC 3602 section 3), GCM wants it
    /// different every time, for which the sequence number is enough (RFC 4106 section 3.1).
    fn iv(&mut self, job: &SealJob) -> [u8; MAX_IV] {
        let mut iv = [0; MAX_IV];
        let suite = job.key.suite;
        if suite.cipher().is_aead() {
            iv[4..8].copy_from_slice(&job.seq.to_be_bytes());
        } else {
            self.entropy.fill(&mut iv[..suite.cipher().iv_len()]);
        }
        iv
    }
}
