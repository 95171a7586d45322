//! SHA-1 and SHA-256 with the CPU's own instructions, for one to four packets at once.
//!
//! Within one message every instruction waits for the one before. Messages side by side fill the gaps. From four on the
//! unit is busy all the time, although the compiler then keeps part of the message schedules in memory.
#![allow(unsafe_code, reason = "SHA instructions on vectors")]

use super::{HASH_BLOCK, HashState};
use crate::crypto::engine::lanes::tables::K256;
use std::arch::x86_64::*;

#[inline(always)]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: SSE2 is part of x86-64; the reference is valid for 16 bytes, and the load wants no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

/// Compresses `blocks` blocks of each message into its state with SHA-1 (FIPS 180-4 section 6.1.2).
///
/// # Panics
/// If a message is shorter.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(super) fn sha1<const N: usize>(states: &mut [HashState; N], data: &[&[u8]; N], blocks: usize) {
    // The instructions want the first word of four highest.
    let order = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    let data = data.map(|data| &data.as_chunks::<HASH_BLOCK>().0[..blocks]);
    let mut abcd = states.each_ref().map(|h| {
        _mm_set_epi32(h[0].cast_signed(), h[1].cast_signed(), h[2].cast_signed(), h[3].cast_signed())
    });
    let mut e = states.each_ref().map(|h| _mm_set_epi32(h[4].cast_signed(), 0, 0, 0));
    for i in 0..blocks {
        let start = (abcd, e);
        let mut before = abcd;
        let mut w = [[_mm_setzero_si128(); 4]; N];
        // Four rounds: group `$g` of twenty, whose function is number `$f`.
        macro_rules! rounds {
            ($f:literal: $($g:literal)*) => {$(
                for l in 0..N {
                    let w = &mut w[l];
                    if $g < 4 {
                        w[$g % 4] = _mm_shuffle_epi8(load(&data[l][i].as_chunks().0[$g % 4]), order);
                    } else {
                        let sum = _mm_xor_si128(_mm_sha1msg1_epu32(w[$g % 4], w[($g + 1) % 4]), w[($g + 2) % 4]);
                        w[$g % 4] = _mm_sha1msg2_epu32(sum, w[($g + 3) % 4]);
                    }
                    let e = if $g == 0 {
                        _mm_add_epi32(e[l], w[0])
                    } else {
                        _mm_sha1nexte_epu32(before[l], w[$g % 4])
                    };
                    before[l] = abcd[l];
                    abcd[l] = _mm_sha1rnds4_epu32::<$f>(abcd[l], e);
                }
            )*};
        }
        rounds!(0: 0 1 2 3 4);
        rounds!(1: 5 6 7 8 9);
        rounds!(2: 10 11 12 13 14);
        rounds!(3: 15 16 17 18 19);
        for l in 0..N {
            e[l] = _mm_sha1nexte_epu32(before[l], start.1[l]);
            abcd[l] = _mm_add_epi32(abcd[l], start.0[l]);
        }
    }
    for l in 0..N {
        let h = &mut states[l];
        h[0] = _mm_extract_epi32::<3>(abcd[l]).cast_unsigned();
        h[1] = _mm_extract_epi32::<2>(abcd[l]).cast_unsigned();
        h[2] = _mm_extract_epi32::<1>(abcd[l]).cast_unsigned();
        h[3] = _mm_extract_epi32::<0>(abcd[l]).cast_unsigned();
        h[4] = _mm_extract_epi32::<3>(e[l]).cast_unsigned();
    }
}

/// Compresses `blocks` blocks of each message into its state with SHA-256 (FIPS 180-4 section 6.2.2).
///
/// # Panics
/// If a message is shorter.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(super) fn sha256<const N: usize>(states: &mut [HashState; N], data: &[&[u8]; N], blocks: usize) {
    let order = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let data = data.map(|data| &data.as_chunks::<HASH_BLOCK>().0[..blocks]);
    // The instructions want the words as ABEF and CDGH, the first highest.
    let four = |h: &HashState, [a, b, c, d]: [usize; 4]| {
        _mm_set_epi32(h[a].cast_signed(), h[b].cast_signed(), h[c].cast_signed(), h[d].cast_signed())
    };
    let mut abef = states.each_ref().map(|h| four(h, [0, 1, 4, 5]));
    let mut cdgh = states.each_ref().map(|h| four(h, [2, 3, 6, 7]));
    for i in 0..blocks {
        let start = (abef, cdgh);
        let mut w = [[_mm_setzero_si128(); 4]; N];
        // Four rounds: group `$g` of sixteen.
        macro_rules! rounds {
            ($($g:literal)*) => {$(
                let k = _mm_set_epi32(
                    K256[4 * $g + 3].cast_signed(),
                    K256[4 * $g + 2].cast_signed(),
                    K256[4 * $g + 1].cast_signed(),
                    K256[4 * $g].cast_signed(),
                );
                for l in 0..N {
                    let w = &mut w[l];
                    if $g < 4 {
                        w[$g % 4] = _mm_shuffle_epi8(load(&data[l][i].as_chunks().0[$g % 4]), order);
                    } else {
                        let sum = _mm_add_epi32(
                            _mm_sha256msg1_epu32(w[$g % 4], w[($g + 1) % 4]),
                            _mm_alignr_epi8::<4>(w[($g + 3) % 4], w[($g + 2) % 4]),
                        );
                        w[$g % 4] = _mm_sha256msg2_epu32(sum, w[($g + 3) % 4]);
                    }
                    let wk = _mm_add_epi32(w[$g % 4], k);
                    cdgh[l] = _mm_sha256rnds2_epu32(cdgh[l], abef[l], wk);
                    abef[l] = _mm_sha256rnds2_epu32(abef[l], cdgh[l], _mm_shuffle_epi32::<0x0e>(wk));
                }
            )*};
        }
        rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        for l in 0..N {
            abef[l] = _mm_add_epi32(abef[l], start.0[l]);
            cdgh[l] = _mm_add_epi32(cdgh[l], start.1[l]);
        }
    }
    for l in 0..N {
        let h = &mut states[l];
        h[0] = _mm_extract_epi32::<3>(abef[l]).cast_unsigned();
        h[1] = _mm_extract_epi32::<2>(abef[l]).cast_unsigned();
        h[2] = _mm_extract_epi32::<3>(cdgh[l]).cast_unsigned();
        h[3] = _mm_extract_epi32::<2>(cdgh[l]).cast_unsigned();
        h[4] = _mm_extract_epi32::<1>(abef[l]).cast_unsigned();
        h[5] = _mm_extract_epi32::<0>(abef[l]).cast_unsigned();
        h[6] = _mm_extract_epi32::<1>(cdgh[l]).cast_unsigned();
        h[7] = _mm_extract_epi32::<0>(cdgh[l]).cast_unsigned();
    }
}
