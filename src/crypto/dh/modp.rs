//! The MODP groups: safe primes with generator 2 (RFC 2409 section 6.2, RFC 3526), in constant time.

use super::DhError;
use super::bignum::{Modulus, Number, Scratch};
use super::fixed_base::FixedBase;
use crate::crypto::Secret;
use crate::crypto::suite::DhGroup;
use crate::entropy::Entropy;
use std::sync::LazyLock;

/// A group: made at its first use and kept.
struct Group {
    modulus: Modulus,
    /// Powers of the generator, 2.
    generator: FixedBase,
    /// p - 1, big-endian: the first public value that is too large.
    last: Vec<u8>,
    exponent_len: usize,
}

impl Group {
    fn new(hex: &str, exponent_bits: usize) -> Option<Self> {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pairs = hex.as_bytes().as_chunks::<2>().0;
        let prime: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        let mut last = prime?;
        let modulus = Modulus::new(&last)?;
        let mut two = vec![0; last.len()];
        *two.last_mut()? = 2;
        let generator = FixedBase::new(&modulus, &two, last.len(), exponent_bits)?;
        *last.last_mut()? &= !1;
        Some(Self { modulus, generator, last, exponent_len: exponent_bits / 8 })
    }

    /// The group; `None` for groups of other kinds, or if memory was gone when it was made.
    fn of(group: DhGroup) -> Option<&'static Self> {
        // The lengths of private exponents, far below that of the modulus, which would take seven times the time: at
        // least twice the strength that RFC 3526 section 8 estimates (the lower of its two columns; the upper one up to
        // 1536 bits) and twice that of NIST SP 800-57 part 1 table 2 (80 bits for 1024, 112 for 2048, 128 for 3072, 152
        // for 4096).
        static MODP_1024: LazyLock<Option<Group>> = LazyLock::new(|| Group::new(P1024, 192));
        static MODP_1536: LazyLock<Option<Group>> = LazyLock::new(|| Group::new(P1536, 240));
        static MODP_2048: LazyLock<Option<Group>> = LazyLock::new(|| Group::new(P2048, 256));
        static MODP_3072: LazyLock<Option<Group>> = LazyLock::new(|| Group::new(P3072, 320));
        static MODP_4096: LazyLock<Option<Group>> = LazyLock::new(|| Group::new(P4096, 320));
        match group {
            DhGroup::Modp1024 => MODP_1024.as_ref(),
            DhGroup::Modp1536 => MODP_1536.as_ref(),
            DhGroup::Modp2048 => MODP_2048.as_ref(),
            DhGroup::Modp3072 => MODP_3072.as_ref(),
            DhGroup::Modp4096 => MODP_4096.as_ref(),
            DhGroup::Ecp256 | DhGroup::Ecp384 | DhGroup::Curve25519 => None,
        }
    }

    fn bytes_of(&self, number: &Number) -> Option<Vec<u8>> {
        let mut out = vec![0; self.last.len()];
        number.put_be(&mut out)?;
        Some(out)
    }

    fn public(&self, exponent: &[u8]) -> Option<Vec<u8>> {
        if self.generator.covers(exponent) {
            return self.bytes_of(&self.generator.power(&self.modulus, exponent)?);
        }
        let mut two = vec![0; self.last.len()];
        *two.last_mut()? = 2;
        self.bytes_of(&self.power(&two, exponent)?)
    }

    fn power(&self, base: &[u8], exponent: &[u8]) -> Option<Number> {
        let (base, exponent) = (Number::from_be(base)?, Number::from_be(exponent)?);
        self.modulus.power(&base, &exponent, &mut Scratch::new()?)
    }
}

/// A private exponent and its group.
pub(super) struct Private {
    group: &'static Group,
    exponent: Secret,
}

impl Private {
    pub(super) fn generate(group: DhGroup, entropy: &mut Entropy) -> Result<Self, DhError> {
        let group = Group::of(group).ok_or(DhError::Internal)?;
        let mut exponent = vec![0; group.exponent_len];
        entropy.fill(&mut exponent);
        Ok(Self { group, exponent: Secret::new(exponent) })
    }

    #[cfg(test)]
    pub(super) fn from_exponent(group: DhGroup, bytes: &[u8]) -> Result<Self, DhError> {
        let group = Group::of(group).ok_or(DhError::Internal)?;
        Ok(Self { group, exponent: Secret::from(bytes) })
    }

    pub(super) fn public(&self) -> Result<Vec<u8>, DhError> {
        self.group.public(&self.exponent).ok_or(DhError::Internal)
    }

    /// Checks 1 < y < p - 1 (RFC 2631 section 2.1.5; in a safe-prime group nothing else is of small order) and raises.
    pub(super) fn agree(&self, remote: &[u8]) -> Result<Secret, DhError> {
        let group = self.group;
        if remote.len() != group.last.len() {
            return Err(DhError::Length);
        }
        let (lowest, upper) = remote.split_last().ok_or(DhError::Length)?;
        let too_small = *lowest <= 1 && upper.iter().all(|&b| b == 0);
        if too_small || *remote >= *group.last {
            return Err(DhError::OutOfRange);
        }
        let shared = group.power(remote, &self.exponent).and_then(|shared| group.bytes_of(&shared));
        shared.map(Secret::new).ok_or(DhError::Internal)
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
            // Longer than the table of the generator reaches, too.
            let mut exponent = [0; 48];
            entropy.fill(&mut exponent);
            let private = Private::from_exponent(group, &exponent).unwrap();
            let x = BigUint::from_bytes_be(&exponent);
            assert_eq!(
                BigUint::from_bytes_be(&private.public().unwrap()),
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

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn every_exponent_of_the_proper_length_and_the_odd_ones_give_what_num_bigint_gives(
            seed in 0u64..,
            zeros in 0usize..40,
            ones in 0usize..40,
            which in 0usize..GROUPS.len(),
        ) {
            let (group, hex, _) = GROUPS[which];
            let p = number(hex);
            let mut entropy = Entropy::from_number(seed);
            let mut exponent = vec![0; Group::of(group).unwrap().exponent_len];
            entropy.fill(&mut exponent);
            let len = exponent.len();
            exponent[..zeros.min(len)].fill(0);
            exponent[len - ones.min(len)..].fill(0xff);
            let private = Private::from_exponent(group, &exponent).unwrap();
            let x = BigUint::from_bytes_be(&exponent);
            proptest::prop_assert_eq!(
                BigUint::from_bytes_be(&private.public().unwrap()),
                BigUint::from(2u8).modpow(&x, &p)
            );
            // Public values with leading zeros among them.
            let mut remote = vec![0; group.public_len()];
            entropy.fill(&mut remote[zeros..]);
            remote[0] &= 0x7f;
            let expected = BigUint::from_bytes_be(&remote).modpow(&x, &p);
            proptest::prop_assert_eq!(BigUint::from_bytes_be(&private.agree(&remote).unwrap()), expected);
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
