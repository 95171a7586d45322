//! The hashes of MS-CHAPv2 (RFC 2759 section 8). MD4 and single DES are what the protocol is made of; ESP around it is
//! what protects it.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use md4::{Digest, Md4};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Length of a challenge, the server's and the peer's.
pub const CHALLENGE_LEN: usize = 16;
/// Length of an NT response.
pub const NT_RESPONSE_LEN: usize = 24;
/// Length of an NT hash.
pub const NT_HASH_LEN: usize = 16;

/// `NtPasswordHash` (section 8.3): MD4 of the password in little-endian UTF-16.
#[must_use]
pub fn nt_hash(password: &str) -> Zeroizing<[u8; NT_HASH_LEN]> {
    let mut utf16: Vec<u8> = Vec::with_capacity(2 * password.len());
    utf16.extend(password.encode_utf16().flat_map(u16::to_le_bytes));
    let hash = Zeroizing::new(Md4::digest(&utf16).into());
    utf16.zeroize();
    hash
}

/// The name that goes into the challenge hash: without a leading `domain\`, but with `@hub` (section 8.2: the user name
/// "excluding any prepended domain name").
///
/// Interop: Windows, macOS and pppd all cut at the (last) backslash and keep what follows an `@`.
#[must_use]
pub fn hashed_name(name: &[u8]) -> &[u8] {
    match name.iter().rposition(|&b| b == b'\\') {
        Some(at) => &name[at + 1..],
        None => name,
    }
}

/// `ChallengeHash` (section 8.2). `name` is what the peer sent, with its domain if it sent one.
#[must_use]
pub fn challenge_hash(
    peer_challenge: &[u8; CHALLENGE_LEN],
    authenticator_challenge: &[u8; CHALLENGE_LEN],
    name: &[u8],
) -> [u8; 8] {
    let digest: [u8; 20] = Sha1::new()
        .chain_update(peer_challenge)
        .chain_update(authenticator_challenge)
        .chain_update(hashed_name(name))
        .finalize()
        .into();
    let mut out = [0; 8];
    out.copy_from_slice(&digest[..8]);
    out
}

/// `GenerateNTResponse` (section 8.1), from the NT hash of the password.
#[must_use]
pub fn nt_response(
    authenticator_challenge: &[u8; CHALLENGE_LEN],
    peer_challenge: &[u8; CHALLENGE_LEN],
    name: &[u8],
    nt_hash: &[u8; NT_HASH_LEN],
) -> [u8; NT_RESPONSE_LEN] {
    challenge_response(challenge_hash(peer_challenge, authenticator_challenge, name), nt_hash)
}

/// Whether `response` is what somebody who knows the NT hash would have sent; compared in constant time.
#[must_use]
pub fn verify_nt_response(
    authenticator_challenge: &[u8; CHALLENGE_LEN],
    peer_challenge: &[u8; CHALLENGE_LEN],
    name: &[u8],
    nt_hash: &[u8; NT_HASH_LEN],
    response: &[u8; NT_RESPONSE_LEN],
) -> bool {
    nt_response(authenticator_challenge, peer_challenge, name, nt_hash).ct_eq(response).into()
}

/// `GenerateAuthenticatorResponse` (section 8.7): `S=` and 40 upper-case hex digits, the start of the Success message
/// that every client verifies.
#[must_use]
pub fn authenticator_response(
    nt_hash: &[u8; NT_HASH_LEN],
    nt_response: &[u8; NT_RESPONSE_LEN],
    peer_challenge: &[u8; CHALLENGE_LEN],
    authenticator_challenge: &[u8; CHALLENGE_LEN],
    name: &[u8],
) -> String {
    let hash_hash: [u8; NT_HASH_LEN] = Md4::digest(nt_hash).into();
    let hash_hash = Zeroizing::new(hash_hash);
    let digest = Sha1::new()
        .chain_update(*hash_hash)
        .chain_update(nt_response)
        .chain_update(b"Magic server to client signing constant")
        .finalize();
    let digest = Sha1::new()
        .chain_update(digest)
        .chain_update(challenge_hash(peer_challenge, authenticator_challenge, name))
        .chain_update(b"Pad to make it do more than one iteration")
        .finalize();
    let mut out = String::with_capacity(42);
    out.push_str("S=");
    for byte in digest {
        for nibble in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(nibble), 16).map(|c| c.to_ascii_uppercase()));
        }
    }
    out
}

/// `ChallengeResponse` (section 8.5): the challenge under three DES keys of seven bytes, the last one padded with zeros.
fn challenge_response(challenge: [u8; 8], nt_hash: &[u8; NT_HASH_LEN]) -> [u8; NT_RESPONSE_LEN] {
    let mut padded = Zeroizing::new([0; 21]);
    padded[..NT_HASH_LEN].copy_from_slice(nt_hash);
    let mut out = [0; NT_RESPONSE_LEN];
    for (key, block) in padded.as_chunks::<7>().0.iter().zip(out.as_chunks_mut::<8>().0) {
        *block = challenge;
        Des::new(&Array(*des_key(key))).encrypt_block(block.into());
    }
    out
}

/// Spreads 56 bits over the upper seven bits of eight bytes; DES ignores the parity bits.
fn des_key(key: &[u8; 7]) -> Zeroizing<[u8; 8]> {
    let mut wide = [0; 8];
    wide[1..].copy_from_slice(key);
    let bits = u64::from_be_bytes(wide);
    wide.zeroize();
    let mut out = Zeroizing::new([0; 8]);
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = (bits >> (49 - 7 * i) << 1 & 0xfe) as u8;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    // RFC 2759 section 9.2.
    const USER: &[u8] = b"User";
    const AUTHENTICATOR: [u8; 16] = hex!("5b5d7c7d7b3f2f3e3c2c602132262628");
    const PEER: [u8; 16] = hex!("21402324255e262a28295f2b3a337c7e");
    const RESPONSE: [u8; 24] = hex!("82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df");

    #[test]
    fn rfc_2759_section_9_2() {
        let hash = nt_hash("clientPass");
        assert_eq!(*hash, hex!("44ebba8d5312b8d611474411f56989ae"));
        assert_eq!(challenge_hash(&PEER, &AUTHENTICATOR, USER), hex!("d02e4386bce91226"));
        assert_eq!(nt_response(&AUTHENTICATOR, &PEER, USER, &hash), RESPONSE);
        assert!(verify_nt_response(&AUTHENTICATOR, &PEER, USER, &hash, &RESPONSE));
        assert_eq!(
            authenticator_response(&hash, &RESPONSE, &PEER, &AUTHENTICATOR, USER),
            "S=407A5589115FD0D6209F510FE9C04566932CDA56"
        );
    }

    #[test]
    fn another_name_or_password_does_not_verify() {
        assert!(!verify_nt_response(&AUTHENTICATOR, &PEER, USER, &nt_hash("clientpass"), &RESPONSE));
        assert!(!verify_nt_response(&AUTHENTICATOR, &PEER, b"user", &nt_hash("clientPass"), &RESPONSE));
    }

    #[test]
    fn the_domain_is_cut_and_the_hub_is_kept() {
        assert_eq!(hashed_name(b"HUB1\\jiro"), b"jiro");
        assert_eq!(hashed_name(b"jiro@HUB1"), b"jiro@HUB1");
        assert_eq!(hashed_name(b"D\\jiro@HUB1"), b"jiro@HUB1");
        assert_eq!(hashed_name(b"jiro"), b"jiro");
        assert_eq!(hashed_name(b"D\\"), b"");
        let hash = nt_hash("clientPass");
        assert!(verify_nt_response(&AUTHENTICATOR, &PEER, b"DOMAIN\\User", &hash, &RESPONSE));
        assert!(!verify_nt_response(&AUTHENTICATOR, &PEER, b"User@HUB1", &hash, &RESPONSE));
    }

    #[test]
    fn passwords_beyond_ascii_are_utf_16() {
        assert_eq!(*nt_hash(""), hex!("31d6cfe0d16ae931b73c59d7e0c089c0"));
        assert_eq!(*nt_hash("password"), hex!("8846f7eaee8fb117ad06bdd830b7586c"));
        let by_hand: [u8; 16] = Md4::digest([0x53, 0, 0xfc, 0, 0xdf, 0, 0x3d, 0xd8, 0x00, 0xde]).into();
        assert_eq!(*nt_hash("Süß😀"), by_hand);
    }

    #[test]
    fn a_captured_login_verifies() {
        // The same connection as STRONGSWAN in tests/vectors/esp_packets.rs: SoftEther as LNS, pppd as client.
        let authenticator = hex!("fa7eecb532f71b24242ac14e0f7840cd");
        let peer = hex!("c3a9d5efe631f97269504aefdbdcc61c");
        let response = hex!("a2641de8569d99d2e8fdce479121f506d9b0ba72f1599be3");
        let hash = nt_hash("alice-pw");
        assert!(verify_nt_response(&authenticator, &peer, b"alice", &hash, &response));
        assert_eq!(
            authenticator_response(&hash, &response, &peer, &authenticator, b"alice"),
            "S=4E75DD8EA741418FF918822B8127804F679593AE"
        );
    }
}
