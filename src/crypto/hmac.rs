//! HMAC (RFC 2104) with the key's two states computed once. The compression functions are RustCrypto's, which pick the
//! CPU's SHA instructions at run time; what is here is the chaining and padding, because the states are what an SA
//! keeps and what a multi-lane kernel starts from.

use super::suite::HashAlg;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The longest digest in bytes.
pub const MAX_DIGEST: usize = 64;
const MAX_BLOCK: usize = 128;

/// The result of a hash or MAC: up to 64 bytes, wiped when dropped because many of them are keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Digest {
    bytes: [u8; MAX_DIGEST],
    len: u8,
}

impl Digest {
    /// Compares in constant time.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8]) -> bool {
        (**self).ct_eq(other).into()
    }
}

impl std::ops::Deref for Digest {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl std::fmt::Debug for Digest {
    /// The length only: the content may be a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({} bytes)", self.len)
    }
}

/// Chaining value of a hash.
#[derive(Clone, Zeroize)]
enum State {
    Md5([u32; 4]),
    Sha1([u32; 5]),
    Sha256([u32; 8]),
    Sha512([u64; 8]),
}

impl State {
    fn initial(hash: HashAlg) -> Self {
        match hash {
            HashAlg::Md5 => Self::Md5([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]),
            HashAlg::Sha1 => Self::Sha1([0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]),
            HashAlg::Sha256 => Self::Sha256([
                0x6a09_e667,
                0xbb67_ae85,
                0x3c6e_f372,
                0xa54f_f53a,
                0x510e_527f,
                0x9b05_688c,
                0x1f83_d9ab,
                0x5be0_cd19,
            ]),
            HashAlg::Sha384 => Self::Sha512([
                0xcbbb_9d5d_c105_9ed8,
                0x629a_292a_367c_d507,
                0x9159_015a_3070_dd17,
                0x152f_ecd8_f70e_5939,
                0x6733_2667_ffc0_0b31,
                0x8eb4_4a87_6858_1511,
                0xdb0c_2e0d_64f9_8fa7,
                0x47b5_481d_befa_4fa4,
            ]),
            HashAlg::Sha512 => Self::Sha512([
                0x6a09_e667_f3bc_c908,
                0xbb67_ae85_84ca_a73b,
                0x3c6e_f372_fe94_f82b,
                0xa54f_f53a_5f1d_36f1,
                0x510e_527f_ade6_82d1,
                0x9b05_688c_2b3e_6c1f,
                0x1f83_d9ab_fb41_bd6b,
                0x5be0_cd19_137e_2179,
            ]),
        }
    }

    /// Takes as many whole blocks as `bytes` has; returns the rest.
    fn compress<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Md5(h) => {
                let (blocks, rest) = bytes.as_chunks();
                md5::block_api::compress(h, blocks);
                rest
            }
            Self::Sha1(h) => {
                let (blocks, rest) = bytes.as_chunks();
                sha1::block_api::compress(h, blocks);
                rest
            }
            Self::Sha256(h) => {
                let (blocks, rest) = bytes.as_chunks();
                sha2::block_api::compress256(h, blocks);
                rest
            }
            Self::Sha512(h) => {
                let (blocks, rest) = bytes.as_chunks();
                sha2::block_api::compress512(h, blocks);
                rest
            }
        }
    }

    const fn block_len(&self) -> usize {
        if matches!(self, Self::Sha512(_)) { 128 } else { 64 }
    }

    /// Pads the last, partial block and compresses it (FIPS 180-4 section 5.1, RFC 1321 section 3.1). `total` counts
    /// all bytes that went in.
    fn finish(&mut self, rest: &[u8], total: u64) {
        let block = self.block_len();
        let length_field = block / 8;
        let mut last = [0; 2 * MAX_BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 0x80;
        let end = if rest.len() + 1 + length_field <= block { block } else { 2 * block };
        let bits = total * 8;
        let bits = if matches!(self, Self::Md5(_)) { bits.to_le_bytes() } else { bits.to_be_bytes() };
        last[end - 8..end].copy_from_slice(&bits);
        self.compress(&last[..end]);
    }

    /// Writes the chaining value as bytes and returns how many there are.
    fn write(&self, out: &mut [u8; MAX_DIGEST]) -> usize {
        fn words<const N: usize>(out: &mut [u8], words: impl Iterator<Item = [u8; N]>) -> usize {
            let mut len = 0;
            for (chunk, word) in out.chunks_exact_mut(N).zip(words) {
                chunk.copy_from_slice(&word);
                len += N;
            }
            len
        }
        match self {
            Self::Md5(h) => words(out, h.iter().map(|w| w.to_le_bytes())),
            Self::Sha1(h) => words(out, h.iter().map(|w| w.to_be_bytes())),
            Self::Sha256(h) => words(out, h.iter().map(|w| w.to_be_bytes())),
            Self::Sha512(h) => words(out, h.iter().map(|w| w.to_be_bytes())),
        }
    }
}

/// A hash in progress, over any number of parts.
#[derive(Clone)]
pub struct Hasher {
    hash: HashAlg,
    state: State,
    partial: [u8; MAX_BLOCK],
    filled: usize,
    total: u64,
}

impl Hasher {
    /// Starts an empty hash.
    #[must_use]
    pub fn new(hash: HashAlg) -> Self {
        Self::resume(hash, State::initial(hash), 0)
    }

    fn resume(hash: HashAlg, state: State, total: u64) -> Self {
        Self { hash, state, partial: [0; MAX_BLOCK], filled: 0, total }
    }

    /// Hashes `bytes` after what went in before.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let block = self.hash.block_len();
        if self.filled > 0 {
            let take = bytes.len().min(block - self.filled);
            self.partial[self.filled..self.filled + take].copy_from_slice(&bytes[..take]);
            self.filled += take;
            bytes = &bytes[take..];
            if self.filled < block {
                return;
            }
            self.state.compress(&self.partial[..block]);
        }
        let rest = self.state.compress(bytes);
        self.partial[..rest.len()].copy_from_slice(rest);
        self.filled = rest.len();
    }

    /// The digest of everything that went in.
    #[must_use]
    pub fn finish(mut self) -> Digest {
        self.state.finish(&self.partial[..self.filled], self.total);
        let mut bytes = [0; MAX_DIGEST];
        self.state.write(&mut bytes);
        let len = self.hash.output_len();
        // SHA-384 is the front of a longer state.
        bytes[len..].zeroize();
        Digest { bytes, len: u8::try_from(len).unwrap_or(0) }
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.state.zeroize();
        self.partial.zeroize();
    }
}

/// An HMAC key: the states after the inner and the outer padded key block.
#[derive(Clone)]
pub struct HmacKey {
    hash: HashAlg,
    inner: State,
    outer: State,
}

impl HmacKey {
    /// Prepares a key of any length (RFC 2104 section 2: longer than a block means its hash).
    #[must_use]
    pub fn new(hash: HashAlg, key: &[u8]) -> Self {
        let block = hash.block_len();
        let mut padded = [0; MAX_BLOCK];
        if key.len() > block {
            let mut hasher = Hasher::new(hash);
            hasher.update(key);
            let digest = hasher.finish();
            padded[..digest.len()].copy_from_slice(&digest);
        } else {
            padded[..key.len()].copy_from_slice(key);
        }
        let mut absorb = |pad: u8| {
            padded.iter_mut().for_each(|b| *b ^= pad);
            let mut state = State::initial(hash);
            state.compress(&padded[..block]);
            state
        };
        let inner = absorb(0x36);
        let outer = absorb(0x36 ^ 0x5c);
        padded.zeroize();
        Self { hash, inner, outer }
    }

    /// The hash underneath.
    #[must_use]
    pub const fn hash(&self) -> HashAlg {
        self.hash
    }

    /// The inner and outer states for a kernel of its own; `None` for hashes that are not of 32-bit words in blocks of
    /// 64 bytes, big-endian. SHA-1 leaves the last three words zero.
    #[must_use]
    pub(super) fn states(&self) -> Option<[[u32; 8]; 2]> {
        let words = |state: &State| match state {
            State::Sha1(h) => Some(std::array::from_fn(|i| h.get(i).copied().unwrap_or(0))),
            State::Sha256(h) => Some(*h),
            State::Md5(_) | State::Sha512(_) => None,
        };
        Some([words(&self.inner)?, words(&self.outer)?])
    }

    /// The MAC of `bytes`.
    #[must_use]
    pub fn mac(&self, bytes: &[u8]) -> Digest {
        self.mac_parts(&[bytes])
    }

    /// The MAC of the concatenation of `parts`.
    #[must_use]
    pub fn mac_parts(&self, parts: &[&[u8]]) -> Digest {
        let block = self.hash.block_len() as u64;
        let mut hasher = Hasher::resume(self.hash, self.inner.clone(), block);
        for part in parts {
            hasher.update(part);
        }
        let digest = hasher.finish();
        let mut hasher = Hasher::resume(self.hash, self.outer.clone(), block);
        hasher.update(&digest);
        hasher.finish()
    }

    /// The MAC of one packet, untruncated, and its length. Unlike [`Self::mac`] it wipes nothing on the way: what it
    /// leaves behind is derived from bytes on the wire, and wiping costs as much as a block.
    #[must_use]
    pub(super) fn icv(&self, bytes: &[u8]) -> ([u8; MAX_DIGEST], usize) {
        let block = self.hash.block_len() as u64;
        let mut out = [0; MAX_DIGEST];
        let mut state = self.inner.clone();
        let rest = state.compress(bytes);
        state.finish(rest, block + bytes.len() as u64);
        state.write(&mut out);
        let len = self.hash.output_len();
        let mut state = self.outer.clone();
        state.finish(&out[..len], block + len as u64);
        state.write(&mut out);
        (out, len)
    }
}

impl Drop for HmacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HmacKey({})", self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac::{Hmac, KeyInit, Mac};
    use hex_literal::hex;
    use md5::Digest as _;
    use proptest::prelude::*;

    fn oracle_hash(hash: HashAlg, bytes: &[u8]) -> Vec<u8> {
        match hash {
            HashAlg::Md5 => md5::Md5::digest(bytes).to_vec(),
            HashAlg::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
            HashAlg::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
            HashAlg::Sha384 => sha2::Sha384::digest(bytes).to_vec(),
            HashAlg::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        }
    }

    fn oracle_mac(hash: HashAlg, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        fn mac<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
            <M as KeyInit>::new_from_slice(key).unwrap().chain_update(bytes).finalize().into_bytes().to_vec()
        }
        match hash {
            HashAlg::Md5 => mac::<Hmac<md5::Md5>>(key, bytes),
            HashAlg::Sha1 => mac::<Hmac<sha1::Sha1>>(key, bytes),
            HashAlg::Sha256 => mac::<Hmac<sha2::Sha256>>(key, bytes),
            HashAlg::Sha384 => mac::<Hmac<sha2::Sha384>>(key, bytes),
            HashAlg::Sha512 => mac::<Hmac<sha2::Sha512>>(key, bytes),
        }
    }

    #[test]
    fn rfc_2202_and_rfc_4231_case_2() {
        let mac = |hash| HmacKey::new(hash, b"Jefe").mac(b"what do ya want for nothing?");
        assert_eq!(*mac(HashAlg::Md5), hex!("750c783e6ab0b503eaa86e310a5db738"));
        assert_eq!(*mac(HashAlg::Sha1), hex!("effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
        assert_eq!(
            *mac(HashAlg::Sha256),
            hex!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        );
        assert_eq!(
            *mac(HashAlg::Sha384),
            hex!(
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649"
            )
        );
    }

    #[test]
    fn every_length_around_a_block_agrees_with_the_reference() {
        let bytes: Vec<u8> = (0..300).map(|i| i as u8).collect();
        for &hash in HashAlg::ALL {
            for len in (0..bytes.len()).filter(|l| l % 64 < 3 || l % 64 > 45) {
                let mut hasher = Hasher::new(hash);
                hasher.update(&bytes[..len / 3]);
                hasher.update(&bytes[len / 3..len]);
                assert_eq!(*hasher.finish(), oracle_hash(hash, &bytes[..len]), "{hash} {len}");
            }
        }
    }

    proptest! {
        #[test]
        fn macs_agree_with_the_reference(
            which in 0..HashAlg::ALL.len(),
            key in prop::collection::vec(any::<u8>(), 0..200),
            bytes in prop::collection::vec(any::<u8>(), 0..400),
            cut in any::<prop::sample::Index>(),
        ) {
            let hash = HashAlg::ALL[which];
            let (front, back) = bytes.split_at(cut.index(bytes.len() + 1));
            let mac = HmacKey::new(hash, &key).mac_parts(&[front, back]);
            prop_assert_eq!(&*mac, &*oracle_mac(hash, &key, &bytes));
            let (icv, len) = HmacKey::new(hash, &key).icv(&bytes);
            prop_assert!(mac.ct_eq(&icv[..len]));
        }
    }
}
