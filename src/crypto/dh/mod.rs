//! Diffie-Hellman in constant time: MODP (RFC 2409, RFC 3526), ECP (RFC 5903) and X25519 (RFC 7748, RFC 8031).
//!
//! An agreement costs from 50 us to several ms: far too long for a thread that forwards packets. A state machine
//! therefore emits a [`DhJob`]; somebody runs it elsewhere and hands the [`DhResult`] back.

mod bignum;
mod fixed_base;
mod modp;

use super::Secret;
use super::suite::DhGroup;
use crate::entropy::Entropy;
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, UnparsedPublicKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Why an agreement failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DhError {
    /// The remote public value does not have the group's length.
    #[error("public value of the wrong length")]
    Length,
    /// The remote public value is none: zero, one, p - 1 or more, not on the curve, or of small order.
    #[error("public value out of range or not on the curve")]
    OutOfRange,
    /// The library failed for another reason (memory).
    #[error("key agreement failed")]
    Internal,
}

/// Our private key of one exchange and its public value.
pub struct KeyPair {
    group: DhGroup,
    private: Private,
    public: Vec<u8>,
}

enum Private {
    Modp(modp::Private),
    Ecp(agreement::PrivateKey),
    X25519(StaticSecret),
}

impl KeyPair {
    /// A fresh key pair.
    ///
    /// # Errors
    /// [`DhError::Internal`] if the library fails, which means that memory is gone.
    pub fn generate(group: DhGroup, entropy: &mut Entropy) -> Result<Self, DhError> {
        let private = match group {
            DhGroup::Modp1024
            | DhGroup::Modp1536
            | DhGroup::Modp2048
            | DhGroup::Modp3072
            | DhGroup::Modp4096 => Private::Modp(modp::Private::generate(group, entropy)?),
            DhGroup::Ecp256 | DhGroup::Ecp384 => generate_ecp(group, entropy)?,
            DhGroup::Curve25519 => {
                let scalar = Zeroizing::new(entropy.array::<32>());
                Private::X25519(StaticSecret::from(*scalar))
            }
        };
        Self::from_private(group, private)
    }

    /// The key pair of a known private value (big-endian; for X25519 in the byte order of RFC 7748): test vectors and
    /// nothing else.
    #[cfg(test)]
    fn from_bytes(group: DhGroup, private: &[u8]) -> Result<Self, DhError> {
        let private = match group {
            DhGroup::Ecp256 | DhGroup::Ecp384 => ecp(group, private).ok_or(DhError::OutOfRange)?,
            DhGroup::Curve25519 => {
                let scalar: [u8; 32] = private.try_into().map_err(|_| DhError::Length)?;
                Private::X25519(StaticSecret::from(scalar))
            }
            _ => Private::Modp(modp::Private::from_exponent(group, private)?),
        };
        Self::from_private(group, private)
    }

    fn from_private(group: DhGroup, private: Private) -> Result<Self, DhError> {
        let public = match &private {
            Private::Modp(private) => private.public()?,
            Private::Ecp(private) => {
                let point = private.compute_public_key().map_err(|_| DhError::Internal)?;
                point.as_ref().strip_prefix(&[UNCOMPRESSED]).ok_or(DhError::Internal)?.to_vec()
            }
            Private::X25519(private) => PublicKey::from(private).as_bytes().to_vec(),
        };
        Ok(Self { group, private, public })
    }

    /// The group.
    #[must_use]
    pub const fn group(&self) -> DhGroup {
        self.group
    }

    /// Our public value as a KE payload carries it: MODP with leading zeros, ECP as x | y (RFC 5903 section 7), X25519
    /// as its 32 bytes.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// The shared secret: MODP with leading zeros, ECP the x coordinate alone.
    ///
    /// # Errors
    /// If the remote public value is of the wrong length or degenerate.
    pub fn agree(&self, remote: &[u8]) -> Result<Secret, DhError> {
        if remote.len() != self.group.public_len() {
            return Err(DhError::Length);
        }
        match &self.private {
            Private::Modp(private) => private.agree(remote),
            Private::Ecp(private) => {
                let mut point = Vec::with_capacity(1 + remote.len());
                point.push(UNCOMPRESSED);
                point.extend_from_slice(remote);
                // The library checks that the point is on the curve.
                let remote = UnparsedPublicKey::new(private.algorithm(), point);
                agreement::agree(private, &remote, DhError::OutOfRange, |x| Ok(Secret::from(x)))
            }
            Private::X25519(private) => {
                let remote: [u8; 32] = remote.try_into().map_err(|_| DhError::Length)?;
                let shared = private.diffie_hellman(&PublicKey::from(remote));
                // RFC 7748 section 6.1: an all-zero result means a point of small order.
                if !shared.was_contributory() {
                    return Err(DhError::OutOfRange);
                }
                Ok(Secret::from(shared.as_bytes().as_slice()))
            }
        }
    }
}

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({})", self.group)
    }
}

/// First byte of an uncompressed point (SEC 1 section 2.3.3), which IKE leaves out.
const UNCOMPRESSED: u8 = 4;

fn ecp(group: DhGroup, scalar: &[u8]) -> Option<Private> {
    let curve = if group == DhGroup::Ecp256 { &ECDH_P256 } else { &ECDH_P384 };
    agreement::PrivateKey::from_private_key(curve, scalar).ok().map(Private::Ecp)
}

/// A scalar by rejection: random bytes are out of range once in 2^32 (P-256) or 2^190 (P-384) times.
fn generate_ecp(group: DhGroup, entropy: &mut Entropy) -> Result<Private, DhError> {
    const TRIES: usize = 8;
    let mut scalar = Zeroizing::new([0; 48]);
    let scalar = &mut scalar[..group.shared_len()];
    for _ in 0..TRIES {
        entropy.fill(scalar);
        if let Some(private) = ecp(group, scalar) {
            return Ok(private);
        }
    }
    Err(DhError::Internal)
}

/// The responder's whole part of an agreement, to be run away from the data path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhJob {
    /// The group.
    pub group: DhGroup,
    /// The other side's public value, not validated yet.
    pub remote_public: Vec<u8>,
}

/// What a [`DhJob`] yields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhResult {
    /// Our public value for the KE payload.
    pub public: Vec<u8>,
    /// The shared secret.
    pub shared: Secret,
}

impl DhJob {
    /// Generates a key pair and agrees.
    ///
    /// # Errors
    /// If the remote public value is of the wrong length or degenerate.
    pub fn run(&self, entropy: &mut Entropy) -> Result<DhResult, DhError> {
        if self.remote_public.len() != self.group.public_len() {
            return Err(DhError::Length);
        }
        let pair = KeyPair::generate(self.group, entropy)?;
        let shared = pair.agree(&self.remote_public)?;
        Ok(DhResult { public: pair.public, shared })
    }
}

#[cfg(test)]
mod tests;
