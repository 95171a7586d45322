//! The MODP groups: safe primes with generator 2 (RFC 2409 section 6.2, RFC 3526), in constant time.

use super::DhError;
use crate::crypto::Secret;
use crate::crypto::suite::DhGroup;
use crate::entropy::Entropy;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Limb, Odd, Resize};
use std::sync::LazyLock;
use zeroize::Zeroizing;

/// A prime with what Montgomery multiplication needs, computed at first use and kept.
struct Modulus {
    bits: u32,
    params: BoxedMontyParams,
    /// The generator, 2, in Montgomery form.
    generator: BoxedMontyForm,
    /// p - 1, big-endian: the first public value that is too large.
    last: Box<[u8]>,
}

impl Modulus {
    #[allow(
        clippy::expect_used,
        reason = "a constant of this file that is not an odd number cannot pass the tests"
    )]
    fn new(bits: u32, hex: &str) -> Self {
        let prime = BoxedUint::from_be_hex(hex, bits).expect("hex digits");
        let mut last = prime.to_be_bytes();
        if let Some(byte) = last.last_mut() {
            *byte &= !1;
        }
        let params = BoxedMontyParams::new_vartime(Odd::new(prime).expect("an odd number"));
        let two = BoxedUint::from(2u8).resize(bits);
        let generator = BoxedMontyForm::new(two, &params);
        Self { bits, params, generator, last }
    }

    /// The modulus of a group; `None` for groups of other kinds.
    fn of(group: DhGroup) -> Option<&'static Self> {
        static MODP_1024: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(1024, P1024));
        static MODP_1536: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(1536, P1536));
        static MODP_2048: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(2048, P2048));
        static MODP_3072: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(3072, P3072));
        static MODP_4096: LazyLock<Modulus> = LazyLock::new(|| Modulus::new(4096, P4096));
        match group {
            DhGroup::Modp1024 => Some(&MODP_1024),
            DhGroup::Modp1536 => Some(&MODP_1536),
            DhGroup::Modp2048 => Some(&MODP_2048),
            DhGroup::Modp3072 => Some(&MODP_3072),
            DhGroup::Modp4096 => Some(&MODP_4096),
            DhGroup::Ecp256 | DhGroup::Ecp384 | DhGroup::Curve25519 => None,
        }
    }

    fn power(&self, base: &BoxedMontyForm, exponent: &Exponent) -> Box<[u8]> {
        base.pow_bounded_exp(&exponent.number, exponent.bits).retrieve().to_be_bytes()
    }
}

/// A private exponent, wiped when dropped.
struct Exponent {
    number: BoxedUint,
    bits: u32,
}

impl Drop for Exponent {
    fn drop(&mut self) {
        self.number.as_mut_limbs().fill(Limb::ZERO);
        // Keeps the compiler from leaving out a store that nobody reads.
        std::hint::black_box(&self.number);
    }
}

/// A private exponent and its group.
pub(super) struct Private {
    modulus: &'static Modulus,
    exponent: Exponent,
}

/// Length of private exponents in bits: at least twice the strength of the group (RFC 3526 section 8), far less than
/// the modulus, which would cost seven times the time.
const fn exponent_bits(modulus_bits: u32) -> u32 {
    if modulus_bits <= 2048 { 256 } else { 320 }
}

impl Private {
    pub(super) fn generate(group: DhGroup, entropy: &mut Entropy) -> Result<Self, DhError> {
        let modulus = Modulus::of(group).ok_or(DhError::Internal)?;
        let bits = exponent_bits(modulus.bits);
        let mut bytes = Zeroizing::new([0; 40]);
        let bytes = &mut bytes[..bits as usize / 8];
        entropy.fill(bytes);
        Self::from_exponent(group, bytes)
    }

    pub(super) fn from_exponent(group: DhGroup, bytes: &[u8]) -> Result<Self, DhError> {
        let modulus = Modulus::of(group).ok_or(DhError::Internal)?;
        let bits = u32::try_from(8 * bytes.len()).map_err(|_| DhError::Internal)?;
        let number = BoxedUint::from_be_slice(bytes, bits).map_err(|_| DhError::Internal)?;
        Ok(Self { modulus, exponent: Exponent { number, bits } })
    }

    pub(super) fn public(&self) -> Vec<u8> {
        self.modulus.power(&self.modulus.generator, &self.exponent).into_vec()
    }

    /// Checks 1 < y < p - 1 (RFC 2631 section 2.1.5; in a safe-prime group nothing else is of small order) and raises.
    pub(super) fn agree(&self, remote: &[u8]) -> Result<Secret, DhError> {
        let modulus = self.modulus;
        if remote.len() != modulus.last.len() {
            return Err(DhError::Length);
        }
        let (lowest, upper) = remote.split_last().ok_or(DhError::Length)?;
        let too_small = *lowest <= 1 && upper.iter().all(|&b| b == 0);
        if too_small || *remote >= *modulus.last {
            return Err(DhError::OutOfRange);
        }
        let number = BoxedUint::from_be_slice(remote, modulus.bits).map_err(|_| DhError::Internal)?;
        let base = BoxedMontyForm::new(number, &modulus.params);
        Ok(Secret::new(modulus.power(&base, &self.exponent).into_vec()))
    }
}

/// RFC 2409 section 6.2: 2^1024 - 2^960 - 1 + 2^64 * ([2^894 pi] + 129093).
const P1024: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
);
/// RFC 3526 section 2: 2^1536 - 2^1472 - 1 + 2^64 * ([2^1406 pi] + 741804).
const P1536: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF",
);
/// RFC 3526 section 3: 2^2048 - 2^1984 - 1 + 2^64 * ([2^1918 pi] + 124476).
const P2048: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
);
/// RFC 3526 section 4: 2^3072 - 2^3008 - 1 + 2^64 * ([2^2942 pi] + 1690314).
const P3072: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C",
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
);
/// RFC 3526 section 5: 2^4096 - 2^4032 - 1 + 2^64 * ([2^3966 pi] + 240904).
const P4096: &str = concat!(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD",
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED",
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F",
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B",
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510",
    "15728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7",
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C",
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A92108011A723C12A787E6D7",
    "88719A10BDBA5B2699C327186AF4E23C1A946834B6150BDA2583E9CA2AD44CE8DBBBC2DB04DE8EF92E8EFC141FBECAA6",
    "287C59474E6BC05D99B2964FA090C3A2233BA186515BE7ED1F612970CEE2D7AFB81BDD762170481CD0069127D5B05AA9",
    "93B4EA988D8FDDC186FFB7DC90A6C08F4DF435C934063199FFFFFFFFFFFFFFFF",
);

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;

    const GROUPS: [(DhGroup, &str, u32); 5] = [
        (DhGroup::Modp1024, P1024, 129_093),
        (DhGroup::Modp1536, P1536, 741_804),
        (DhGroup::Modp2048, P2048, 124_476),
        (DhGroup::Modp3072, P3072, 1_690_314),
        (DhGroup::Modp4096, P4096, 240_904),
    ];

    fn number(hex: &str) -> BigUint {
        BigUint::parse_bytes(hex.as_bytes(), 16).unwrap()
    }

    /// [2^bits pi] by Machin's formula.
    fn pi(bits: usize) -> BigUint {
        const GUARD: usize = 64;
        let one = BigUint::from(1u8) << (bits + GUARD);
        let arctan = |x: u32| {
            let (mut term, mut sum, mut odd) = (&one / x, [BigUint::default(), BigUint::default()], 1u32);
            while term != BigUint::default() {
                sum[odd as usize / 2 % 2] += &term / odd;
                term /= x * x;
                odd += 2;
            }
            &sum[0] - &sum[1]
        };
        ((arctan(5) * 4u8 - arctan(239)) * 4u8) >> GUARD
    }

    #[test]
    fn the_primes_follow_their_formula() {
        for (group, hex, offset) in GROUPS {
            let n = 8 * group.public_len();
            let one = BigUint::from(1u8);
            let p = (&one << n) - (&one << (n - 64)) - &one + ((pi(n - 130) + offset) << 64);
            assert_eq!(number(hex), p, "{group}");
        }
    }

    #[test]
    fn powers_agree_with_an_independent_library() {
        let mut entropy = Entropy::from_number(1);
        for (group, hex, _) in GROUPS {
            let p = number(hex);
            let mut exponent = [0; 40];
            entropy.fill(&mut exponent);
            let private = Private::from_exponent(group, &exponent).unwrap();
            let x = BigUint::from_bytes_be(&exponent);
            assert_eq!(
                BigUint::from_bytes_be(&private.public()),
                BigUint::from(2u8).modpow(&x, &p),
                "{group}"
            );
            let mut remote = vec![0; group.public_len()];
            entropy.fill(&mut remote);
            remote[0] &= 0x7f;
            let shared = private.agree(&remote).unwrap();
            assert_eq!(shared.len(), group.shared_len());
            let expected = BigUint::from_bytes_be(&remote).modpow(&x, &p);
            assert_eq!(BigUint::from_bytes_be(&shared), expected, "{group}");
        }
    }

    #[test]
    fn degenerate_public_values_are_refused() {
        for (group, hex, _) in GROUPS {
            let private = Private::generate(group, &mut Entropy::from_number(2)).unwrap();
            let p = number(hex);
            let one = BigUint::from(1u8);
            let bytes = |n: &BigUint| {
                let digits = n.to_bytes_be();
                let mut out = vec![0; group.public_len() - digits.len()];
                out.extend(digits);
                out
            };
            for bad in [BigUint::default(), one.clone(), &p - &one, p.clone(), &p + &one] {
                assert_eq!(private.agree(&bytes(&bad)).err(), Some(DhError::OutOfRange), "{group}");
            }
            assert!(private.agree(&bytes(&(&one + &one))).is_ok());
            assert!(private.agree(&bytes(&(&p - &one - &one))).is_ok());
            assert_eq!(private.agree(&bytes(&(&one + &one))[1..]).err(), Some(DhError::Length));
        }
    }
}
