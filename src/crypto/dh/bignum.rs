//! Numbers modulo a prime in constant time, by aws-lc: `aws-lc-rs`, which is linked for the elliptic curves anyway, has
//! this arithmetic in assembly but shows no interface to it, and no crate with a safe one is as fast. Here is all of the
//! `unsafe` that it takes, and nothing else.
//!
//! How many words a number has is public, what they hold is not: every number here is made with the length of the
//! modulus or, for exponents, with the length that its group prescribes.
#![allow(unsafe_code, reason = "aws-lc's C functions; what each may be given is said where it is called")]

use aws_lc_sys::{
    BIGNUM, BN_CTX, BN_CTX_free, BN_CTX_new, BN_MONT_CTX, BN_MONT_CTX_free, BN_MONT_CTX_new_for_modulus,
    BN_bin2bn, BN_bn2bin_padded, BN_clear_free, BN_from_montgomery, BN_mod_exp_mont_consttime,
    BN_mod_mul_montgomery, BN_new, BN_to_montgomery,
};
use std::ptr::NonNull;

/// A number, wiped when dropped.
pub(super) struct Number(NonNull<BIGNUM>);

// SAFETY: a BIGNUM is plain memory that belongs to this value; nothing in aws-lc ties it to the thread that made it, and
// functions that change it are only reached through `&mut self`.
unsafe impl Send for Number {}
// SAFETY: as above; what is called through `&self` takes a const pointer and does not write.
unsafe impl Sync for Number {}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: from `BN_new`, freed once.
        unsafe { BN_clear_free(self.0.as_ptr()) }
    }
}

impl Number {
    /// Zero.
    fn new() -> Option<Self> {
        // SAFETY: takes nothing; null means that memory is gone.
        NonNull::new(unsafe { BN_new() }).map(Self)
    }

    /// A number of as many words as the bytes fill, leading zeros included.
    pub(super) fn from_be(bytes: &[u8]) -> Option<Self> {
        let mut number = Self::new()?;
        number.set_be(bytes)?;
        Some(number)
    }

    /// Takes another value.
    pub(super) fn set_be(&mut self, bytes: &[u8]) -> Option<()> {
        // SAFETY: reads `bytes.len()` bytes, writes into a number that is ours, which it grows as needed.
        NonNull::new(unsafe { BN_bin2bn(bytes.as_ptr(), bytes.len(), self.0.as_ptr()) }).map(drop)
    }

    /// The value, big-endian with leading zeros.
    pub(super) fn put_be(&self, out: &mut [u8]) -> Option<()> {
        // SAFETY: writes exactly `out.len()` bytes, or returns zero if the value does not fit.
        done(unsafe { BN_bn2bin_padded(out.as_mut_ptr(), out.len(), self.0.as_ptr()) })
    }
}

/// Memory that the arithmetic uses between calls.
pub(super) struct Scratch(NonNull<BN_CTX>);

impl Scratch {
    pub(super) fn new() -> Option<Self> {
        // SAFETY: takes nothing; null means that memory is gone.
        NonNull::new(unsafe { BN_CTX_new() }).map(Self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: from `BN_CTX_new`, freed once. aws-lc wipes what it frees.
        unsafe { BN_CTX_free(self.0.as_ptr()) }
    }
}

/// An odd modulus with what Montgomery multiplication needs.
pub(super) struct Modulus {
    number: Number,
    montgomery: NonNull<BN_MONT_CTX>,
}

// SAFETY: written by `new` alone; every function that takes a `BN_MONT_CTX` afterwards takes it const and does not write.
unsafe impl Send for Modulus {}
// SAFETY: as above.
unsafe impl Sync for Modulus {}

impl Drop for Modulus {
    fn drop(&mut self) {
        // SAFETY: from `BN_MONT_CTX_new_for_modulus`, freed once.
        unsafe { BN_MONT_CTX_free(self.montgomery.as_ptr()) }
    }
}

impl Modulus {
    /// `None` for an even number.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let number = Number::from_be(bytes)?;
        let scratch = Scratch::new()?;
        // SAFETY: both live through the call, and the result keeps copies.
        let montgomery = unsafe { BN_MONT_CTX_new_for_modulus(number.0.as_ptr(), scratch.0.as_ptr()) };
        Some(Self { number, montgomery: NonNull::new(montgomery)? })
    }

    /// `base` (less than the modulus) to the power of `exponent`. The time depends on the lengths of the modulus and of
    /// the exponent alone.
    pub(super) fn power(&self, base: &Number, exponent: &Number, scratch: &mut Scratch) -> Option<Number> {
        let out = Number::new()?;
        // SAFETY: all are live and distinct; `out` is ours to write, the others are const but for the scratch space.
        done(unsafe {
            BN_mod_exp_mont_consttime(
                out.0.as_ptr(),
                base.0.as_ptr(),
                exponent.0.as_ptr(),
                self.number.0.as_ptr(),
                scratch.0.as_ptr(),
                self.montgomery.as_ptr(),
            )
        })?;
        Some(out)
    }

    /// Into Montgomery form.
    pub(super) fn enter(&self, number: &Number, scratch: &mut Scratch) -> Option<Number> {
        let out = Number::new()?;
        // SAFETY: as in `power`.
        done(unsafe {
            BN_to_montgomery(out.0.as_ptr(), number.0.as_ptr(), self.montgomery.as_ptr(), scratch.0.as_ptr())
        })?;
        Some(out)
    }

    /// Out of Montgomery form.
    pub(super) fn leave(&self, number: &Number, scratch: &mut Scratch) -> Option<Number> {
        let out = Number::new()?;
        // SAFETY: as in `power`.
        done(unsafe {
            BN_from_montgomery(
                out.0.as_ptr(),
                number.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        })?;
        Some(out)
    }

    /// Multiplies `number` by `factor`, both in Montgomery form.
    pub(super) fn multiply(&self, number: &mut Number, factor: &Number, scratch: &mut Scratch) -> Option<()> {
        let place = number.0.as_ptr();
        // SAFETY: as in `power`, and the result may stand where a factor stood: it is complete before it is stored.
        done(unsafe {
            BN_mod_mul_montgomery(
                place,
                place,
                factor.0.as_ptr(),
                self.montgomery.as_ptr(),
                scratch.0.as_ptr(),
            )
        })
    }
}

/// What aws-lc returns: one is success.
fn done(status: std::ffi::c_int) -> Option<()> {
    (status == 1).then_some(())
}
