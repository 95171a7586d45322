//! The hash and the PRF of IKEv1: the PRF is the HMAC of the negotiated hash (RFC 2409 section 4).

use super::Secret;
pub use super::hmac::Digest;
use super::hmac::{Hasher, HmacKey};
use super::suite::HashAlg;

/// `hash(part1 | part2 | ..)`, as NAT-D payloads and the IV of Phase 2 need it.
#[must_use]
pub fn hash(alg: HashAlg, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(alg);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// `prf(key, part1 | part2 | ..)`.
#[must_use]
pub fn prf(alg: HashAlg, key: &[u8], parts: &[&[u8]]) -> Digest {
    HmacKey::new(alg, key).mac_parts(parts)
}

/// `K1 | K2 | ..` up to `len` bytes, with `K1 = prf(key, seed)` and `Kn = prf(key, Kn-1 | seed)`: how Quick Mode grows
/// KEYMAT (RFC 2409 section 5.5). `seed` is the concatenation of its parts.
#[must_use]
pub fn expand(alg: HashAlg, key: &[u8], seed: &[&[u8]], len: usize) -> Secret {
    let first = prf(alg, key, seed);
    expand_from(alg, key, &first, seed, len)
}

/// The cipher key of Phase 1 when SKEYID_e is too short for it (RFC 2409 appendix B): `K1 = prf(SKEYID_e, 0)`,
/// `Kn = prf(SKEYID_e, Kn-1)`; otherwise the front of SKEYID_e itself.
#[must_use]
pub fn stretch(alg: HashAlg, skeyid_e: &[u8], len: usize) -> Secret {
    if skeyid_e.len() >= len {
        return Secret::from(&skeyid_e[..len]);
    }
    let first = prf(alg, skeyid_e, &[&[0]]);
    expand_from(alg, skeyid_e, &first, &[], len)
}

fn expand_from(alg: HashAlg, key: &[u8], first: &Digest, seed: &[&[u8]], len: usize) -> Secret {
    let key = HmacKey::new(alg, key);
    let mut out = Vec::with_capacity(len + alg.output_len());
    let mut block = first.clone();
    loop {
        out.extend_from_slice(&block);
        if out.len() >= len {
            break;
        }
        let mut parts = vec![&*block];
        parts.extend_from_slice(seed);
        block = key.mac_parts(&parts);
    }
    let secret = Secret::from(&out[..len]);
    zeroize::Zeroize::zeroize(&mut out);
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keymat_grows_by_feeding_back() {
        let alg = HashAlg::Sha1;
        let k1 = prf(alg, b"key", &[b"see", b"d"]);
        let k2 = prf(alg, b"key", &[&k1, b"seed"]);
        let k3 = prf(alg, b"key", &[&k2, b"seed"]);
        let all = [&*k1, &*k2, &*k3].concat();
        for len in [1, 20, 21, 40, 52] {
            assert_eq!(*expand(alg, b"key", &[b"s", b"eed"], len), all[..len]);
        }
    }

    #[test]
    fn a_cipher_key_is_cut_or_stretched() {
        let skeyid_e = [7; 20];
        assert_eq!(*stretch(HashAlg::Sha1, &skeyid_e, 16), [7; 16]);
        let k1 = prf(HashAlg::Sha1, &skeyid_e, &[&[0]]);
        let k2 = prf(HashAlg::Sha1, &skeyid_e, &[&k1]);
        assert_eq!(*stretch(HashAlg::Sha1, &skeyid_e, 32), [&*k1, &*k2].concat()[..32]);
    }
}
