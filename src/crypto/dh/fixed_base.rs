//! Powers of the generator by table: the exponent's digits select one factor each, so that nothing has to be squared.
//!
//! With digits of four bits an exponent of 256 bits takes 64 multiplications instead of some 320. The table of a group
//! (16 numbers a digit: 256 KiB for 2048 bits) is made at the group's first use and kept. Which factor a digit selects
//! is secret: all sixteen are read, whatever the digit.

use super::bignum::{Modulus, Number, Scratch};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

const DIGIT_BITS: usize = 4;
const VALUES: usize = 1 << DIGIT_BITS;

/// Powers of one base modulo one modulus.
pub(super) struct FixedBase {
    /// For each digit, least significant first, base^(value * 16^digit) in Montgomery form for each value, big-endian
    /// bytes put together to words as they lie in memory.
    table: Vec<u64>,
    /// Words of a number.
    words: usize,
    digits: usize,
}

impl FixedBase {
    /// For exponents of up to `bits` bits; `len` is the length of the modulus in bytes, a multiple of eight.
    pub(super) fn new(modulus: &Modulus, base: &[u8], len: usize, bits: usize) -> Option<Self> {
        let words = len / 8;
        let digits = bits.div_ceil(DIGIT_BITS);
        let mut table = Vec::with_capacity(digits * VALUES * words);
        let mut scratch = Scratch::new()?;
        let mut one = vec![0; len];
        *one.last_mut()? = 1;
        let one = modulus.enter(&Number::from_be(&one)?, &mut scratch)?;
        let mut base = modulus.enter(&Number::from_be(base)?, &mut scratch)?;
        let mut bytes = vec![0; len];
        for _ in 0..digits {
            one.put_be(&mut bytes)?;
            let mut power = Number::from_be(&bytes)?;
            for _ in 0..VALUES {
                power.put_be(&mut bytes)?;
                table.extend(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)));
                modulus.multiply(&mut power, &base, &mut scratch)?;
            }
            base = power;
        }
        Some(Self { table, words, digits })
    }

    /// Whether exponents of that length fit the table.
    pub(super) const fn covers(&self, exponent: &[u8]) -> bool {
        exponent.len() * 8 <= self.digits * DIGIT_BITS
    }

    /// The base to the power of `exponent` (big-endian), out of Montgomery form.
    pub(super) fn power(&self, modulus: &Modulus, exponent: &[u8]) -> Option<Number> {
        let mut scratch = Scratch::new()?;
        let mut selected = Zeroizing::new(vec![0u64; self.words]);
        let mut bytes = Zeroizing::new(vec![0u8; 8 * self.words]);
        let digits = exponent.iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
        let mut factors = self.table.chunks_exact(VALUES * self.words).zip(digits).map(|(values, digit)| {
            selected.fill(0);
            for (value, candidate) in (0u8..).zip(values.chunks_exact(self.words)) {
                let mask = u64::conditional_select(&0, &u64::MAX, value.ct_eq(&digit));
                for (word, candidate) in selected.iter_mut().zip(candidate) {
                    *word |= candidate & mask;
                }
            }
            for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(selected.iter()) {
                *bytes = word.to_ne_bytes();
            }
            Number::from_be(&bytes)
        });
        let mut product = factors.next()??;
        for factor in factors {
            modulus.multiply(&mut product, &factor?, &mut scratch)?;
        }
        modulus.leave(&product, &mut scratch)
    }
}
