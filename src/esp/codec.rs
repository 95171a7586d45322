//! Lengths: which ICV a packet has, and where its payload ends.

use crate::crypto::suite::EspSuite;
use crate::packet::{Drop, PacketBuf};
use crate::wire::esp::{HEADER_LEN, TRAILER_LEN, Trailer};
use crate::wire::{Error, Kind};

/// The length of a packet's ICV, judged by the packet's length: what is left of it must be whole blocks.
///
/// `decided` is what the SA is known to use. Otherwise both lengths of HMAC-SHA-256 are possible; they differ by four
/// bytes, which is less than a block (8 or 16), so never more than one fits.
pub(super) fn icv_len(suite: EspSuite, packet: usize, decided: Option<u8>) -> Result<u8, Drop> {
    let full = suite.auth().icv_len();
    let short = suite.auth().truncated_icv_len();
    let candidates = match decided {
        Some(len) => [Some(usize::from(len)), None],
        None => [Some(full), short],
    };
    let fixed = HEADER_LEN + suite.cipher().iv_len();
    let block = suite.cipher().block_len();
    for icv in candidates.into_iter().flatten() {
        let encrypted = packet.checked_sub(fixed + icv);
        if encrypted.is_some_and(|len| len >= TRAILER_LEN && len % block == 0) {
            return u8::try_from(icv).map_err(|_| bad_length());
        }
    }
    Err(bad_length())
}

const fn bad_length() -> Drop {
    Drop::Malformed(Error::new("ESP packet", Kind::BadLength))
}

/// Cuts the trailer off a decrypted packet and returns its next header.
pub(super) fn strip_trailer(buf: &mut PacketBuf) -> Result<u8, Drop> {
    let (payload, trailer) = Trailer::parse(buf)?;
    buf.truncate(payload);
    Ok(trailer.next_header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::{EspAuth, EspCipher};

    fn suite(cipher: EspCipher, auth: EspAuth) -> EspSuite {
        EspSuite::new(cipher, auth).unwrap()
    }

    #[test]
    fn the_length_tells_the_truncation() {
        for (cipher, iv, block) in [(EspCipher::Aes256Cbc, 16, 16), (EspCipher::TripleDesCbc, 8, 8)] {
            let suite = suite(cipher, EspAuth::HmacSha256_128);
            for blocks in 1..90 {
                let body = 8 + iv + blocks * block;
                assert_eq!(icv_len(suite, body + 16, None), Ok(16));
                assert_eq!(icv_len(suite, body + 12, None), Ok(12));
                assert_eq!(icv_len(suite, body + 12, Some(16)), Err(bad_length()));
                assert_eq!(icv_len(suite, body + 16, Some(12)), Err(bad_length()));
            }
        }
    }

    #[test]
    fn other_algorithms_have_one_length() {
        let sha1 = suite(EspCipher::Aes128Cbc, EspAuth::HmacSha1_96);
        assert_eq!(icv_len(sha1, 8 + 16 + 16 + 12, None), Ok(12));
        assert_eq!(icv_len(sha1, 8 + 16 + 16 + 16, None), Err(bad_length()));
        let gcm = suite(EspCipher::Aes128Gcm16, EspAuth::Aead);
        assert_eq!(icv_len(gcm, 8 + 8 + 4 + 16, None), Ok(16));
        assert_eq!(icv_len(gcm, 8 + 8 + 2 + 16, None), Err(bad_length()));
        assert_eq!(icv_len(gcm, 8 + 8 + 16, None), Err(bad_length()), "no room for a trailer");
        for len in 0..8 + 16 + 12 {
            assert_eq!(icv_len(sha1, len, None), Err(bad_length()));
        }
    }
}
