//! Keys of IKEv1 with a pre-shared key: the SKEYID family, the IVs, the HASH payloads and KEYMAT (RFC 2409 section 5 and
//! appendix B).
//!
//! ```text
//! SKEYID   = prf(pre-shared-key, Ni_b | Nr_b)
//! SKEYID_d = prf(SKEYID,            g^xy | CKY-I | CKY-R | 0)      keys of the ESP SAs
//! SKEYID_a = prf(SKEYID, SKEYID_d | g^xy | CKY-I | CKY-R | 1)      authenticates Phase 2
//! SKEYID_e = prf(SKEYID, SKEYID_a | g^xy | CKY-I | CKY-R | 2)      encrypts
//! ```

use crate::crypto::prf::{self, Digest};
use crate::crypto::suite::{EspSuite, HashAlg, IkeCipher, IkeSuite};
use crate::crypto::{Secret, cbc};
use crate::packet::Drop;
use crate::wire::isakmp::sa::Protocol;
use crate::wire::isakmp::{ChainWriter, Cookies, Flags, Header, MessageId};

/// An initialisation vector: the last cipher block of the message before (RFC 2409 appendix B).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Iv {
    bytes: [u8; 16],
    len: usize,
}

impl Iv {
    /// The first `block_len` bytes of `bytes`; shorter input is padded with zeros (it never is).
    fn cut(bytes: &[u8], cipher: IkeCipher) -> Self {
        let mut iv = Self { bytes: [0; 16], len: cipher.block_len() };
        for (to, from) in iv.bytes.iter_mut().zip(bytes.iter().take(iv.len)) {
            *to = *from;
        }
        iv
    }

    fn last_block(ciphertext: &[u8], cipher: IkeCipher) -> Self {
        Self::cut(&ciphertext[ciphertext.len().saturating_sub(cipher.block_len())..], cipher)
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What both sides exchanged in the clear before keys existed.
#[derive(Clone, Copy)]
pub(super) struct Public<'a> {
    pub(super) cookies: Cookies,
    /// The initiator's public value, KE payload body.
    pub(super) initiator_ke: &'a [u8],
    /// The responder's public value.
    pub(super) responder_ke: &'a [u8],
    /// Ni_b, NONCE payload body.
    pub(super) initiator_nonce: &'a [u8],
    /// Nr_b.
    pub(super) responder_nonce: &'a [u8],
    /// SAi_b, the initiator's whole SA payload body with everything it offered.
    pub(super) offer: &'a [u8],
}

/// The keys of one ISAKMP SA.
pub(super) struct Keys {
    pub(super) suite: IkeSuite,
    skeyid: Digest,
    skeyid_d: Digest,
    skeyid_a: Digest,
    cipher_key: Secret,
}

impl Keys {
    /// Derives everything from the pre-shared key and what was exchanged.
    pub(super) fn derive(suite: IkeSuite, psk: &[u8], public: &Public<'_>, shared: &Secret) -> Self {
        let hash = suite.hash;
        let skeyid = prf::prf(hash, psk, &[public.initiator_nonce, public.responder_nonce]);
        let cookies = public.cookies.bytes();
        let skeyid_d = prf::prf(hash, &skeyid, &[shared, &cookies, &[0]]);
        let skeyid_a = prf::prf(hash, &skeyid, &[&skeyid_d, shared, &cookies, &[1]]);
        let skeyid_e = prf::prf(hash, &skeyid, &[&skeyid_a, shared, &cookies, &[2]]);
        let cipher_key = prf::stretch(hash, &skeyid_e, suite.cipher.key_len());
        Self { suite, skeyid, skeyid_d, skeyid_a, cipher_key }
    }

    /// HASH_I, the initiator's proof; `id` is the body of its ID payload.
    pub(super) fn hash_i(&self, public: &Public<'_>, id: &[u8]) -> Digest {
        let (i, r) = (&public.cookies.initiator.0[..], &public.cookies.responder.0[..]);
        let parts = [public.initiator_ke, public.responder_ke, i, r, public.offer, id];
        prf::prf(self.suite.hash, &self.skeyid, &parts)
    }

    /// HASH_R, the responder's proof.
    pub(super) fn hash_r(&self, public: &Public<'_>, id: &[u8]) -> Digest {
        let (i, r) = (&public.cookies.initiator.0[..], &public.cookies.responder.0[..]);
        let parts = [public.responder_ke, public.initiator_ke, r, i, public.offer, id];
        prf::prf(self.suite.hash, &self.skeyid, &parts)
    }

    /// HASH(1) and the hash of an Informational: over the message ID and the payloads behind the HASH
    /// (RFC 2409 sections 5.5 and 5.7).
    pub(super) fn hash1(&self, message_id: MessageId, payloads: &[u8]) -> Digest {
        prf::prf(self.suite.hash, &self.skeyid_a, &[&message_id.bytes(), payloads])
    }

    /// HASH(2): the same with the initiator's nonce, which proves that the answer is fresh.
    pub(super) fn hash2(&self, message_id: MessageId, initiator_nonce: &[u8], payloads: &[u8]) -> Digest {
        prf::prf(self.suite.hash, &self.skeyid_a, &[&message_id.bytes(), initiator_nonce, payloads])
    }

    /// HASH(3): the initiator is there.
    pub(super) fn hash3(&self, message_id: MessageId, initiator: &[u8], responder: &[u8]) -> Digest {
        prf::prf(self.suite.hash, &self.skeyid_a, &[&[0], &message_id.bytes(), initiator, responder])
    }

    /// KEYMAT of the SA that receives on `spi`: encryption key, then authentication key (RFC 2409 section 5.5).
    pub(super) fn keymat(&self, suite: EspSuite, spi: u32, agreed: &Agreed<'_>) -> Secret {
        let shared: &[u8] = agreed.shared.map_or(&[], |s| s);
        let seed: [&[u8]; 5] =
            [shared, &[Protocol::ESP.0], &spi.to_be_bytes(), agreed.initiator_nonce, agreed.responder_nonce];
        prf::expand(self.suite.hash, &self.skeyid_d, &seed, suite.key_len())
    }

    /// Key of the cipher, for a key log.
    pub(super) const fn cipher_key(&self) -> &Secret {
        &self.cipher_key
    }

    /// IV of an exchange under this SA: hash of the last Phase 1 block and the message ID (RFC 2409 appendix B).
    pub(super) fn phase2_iv(&self, phase1: Iv, message_id: MessageId) -> Iv {
        let digest = prf::hash(self.suite.hash, &[phase1.as_slice(), &message_id.bytes()]);
        Iv::cut(&digest, self.suite.cipher)
    }

    /// Encrypts `chain` behind `header` (the flag is set here), padded with zeros to whole blocks. Returns the message
    /// and the IV of the next one.
    pub(super) fn seal(&self, iv: Iv, header: &Header, chain: &ChainWriter) -> (Vec<u8>, Iv) {
        let cipher = self.suite.cipher;
        let mut body = chain.bytes().to_vec();
        body.resize(body.len().next_multiple_of(cipher.block_len()), 0);
        // The lengths fit by construction.
        let sealed = cbc::encrypt(cipher, &self.cipher_key, iv.as_slice(), &mut body);
        debug_assert!(sealed.is_ok());
        let flags = Flags(header.flags.0 | Flags::ENCRYPTED.0);
        let message = Header { first: chain.first(), flags, ..*header }.message(&body);
        (message, Iv::last_block(&body, cipher))
    }

    /// Decrypts what stands behind a header. Returns it with the IV of the next message; nothing is remembered, so a
    /// forged message costs nothing but this.
    pub(super) fn open(&self, iv: Iv, body: &[u8]) -> Result<(Vec<u8>, Iv), Drop> {
        if body.is_empty() {
            return Err(Drop::IkeAuthFailed);
        }
        let cipher = self.suite.cipher;
        let mut plain = body.to_vec();
        cbc::decrypt(cipher, &self.cipher_key, iv.as_slice(), &mut plain).map_err(|_| Drop::IkeAuthFailed)?;
        Ok((plain, Iv::last_block(body, cipher)))
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.suite)
    }
}

/// What both sides of a Quick Mode contributed to its keys.
#[derive(Clone, Copy)]
pub(super) struct Agreed<'a> {
    /// With PFS only.
    pub(super) shared: Option<&'a Secret>,
    pub(super) initiator_nonce: &'a [u8],
    pub(super) responder_nonce: &'a [u8],
}

/// IV of the first encrypted message of Phase 1: hash of both public values (RFC 2409 appendix B).
pub(super) fn phase1_iv(hash: HashAlg, cipher: IkeCipher, public: &Public<'_>) -> Iv {
    Iv::cut(&prf::hash(hash, &[public.initiator_ke, public.responder_ke]), cipher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::suite::{DhGroup, EspAuth, EspCipher};
    use crate::wire::isakmp::{Cookie, ExchangeType, PayloadType};
    use hex_literal::hex;

    /// Bytes that count in steps.
    fn steps<const N: usize>(step: usize, from: usize) -> [u8; N] {
        std::array::from_fn(|i| u8::try_from((i * step + from) & 255).unwrap())
    }

    /// Computed from the RFC's formulas with Python's `hmac`, which shares no code with us.
    #[test]
    fn a_second_implementation_agrees() {
        let suite = IkeSuite::new(IkeCipher::Aes256, HashAlg::Sha1, DhGroup::Modp1024);
        let (ke_i, ke_r): ([u8; 128], [u8; 128]) = (steps(5, 1), steps(3, 2));
        let (ni, nr): ([u8; 16], [u8; 32]) = (steps(1, 0), steps(1, 100));
        let shared = Secret::from(&steps::<128>(7, 3)[..]);
        let public = Public {
            cookies: Cookies { initiator: Cookie([0x11; 8]), responder: Cookie([0x22; 8]) },
            initiator_ke: &ke_i,
            responder_ke: &ke_r,
            initiator_nonce: &ni,
            responder_nonce: &nr,
            offer: b"SA body",
        };
        let keys = Keys::derive(suite, b"correct horse", &public, &shared);
        assert_eq!(
            **keys.cipher_key(),
            hex!("a09c69cc396efbe2b45157b56d4a7a5f6c1f171d56c86bbe0346cd94f41ba558")
        );
        let iv = phase1_iv(suite.hash, suite.cipher, &public);
        assert_eq!(iv.as_slice(), hex!("aedb359e26edfdaa92f3d2d9ce640661"));
        let (id_i, id_r) = (hex!("011101f40a4d0032"), hex!("01000000cb007101"));
        assert_eq!(*keys.hash_i(&public, &id_i), hex!("4365e330c86d15767743fe31f29158db66cbe45a"));
        assert_eq!(*keys.hash_r(&public, &id_r), hex!("5c1d80d8ed70f0ed880bde3c22a66af678e57da8"));

        let id = MessageId(0xdead_beef);
        assert_eq!(*keys.hash1(id, b"payloads"), hex!("1d71b104f04996cb2023c6229818578f13b12f09"));
        assert_eq!(*keys.hash2(id, &ni, b"payloads"), hex!("2216d711153d84a9e7ab58fe472e8ecc75326882"));
        assert_eq!(*keys.hash3(id, &ni, &nr), hex!("12433c085b50ae5f9ad830dbd4d7974da5ab87a0"));
        let last = Iv::last_block(&steps::<16>(1, 0), suite.cipher);
        assert_eq!(keys.phase2_iv(last, id).as_slice(), hex!("e854a44ee30cc46f4940027252ba5a98"));

        let esp = EspSuite::new(EspCipher::Aes256Cbc, EspAuth::HmacSha1_96).unwrap();
        let mut agreed = Agreed { shared: None, initiator_nonce: &ni, responder_nonce: &nr };
        assert_eq!(
            *keys.keymat(esp, 0xc0ff_ee01, &agreed),
            hex!(
                "b2f304e18f24266f3e6dcc5460f7e2a77e97ce4a5664d929777ec6b43aef5fe105a8b7d8c814d6ad"
                "b1e0910b73f7d223bd66a885"
            )
        );
        agreed.shared = Some(&shared);
        assert_eq!(
            *keys.keymat(esp, 0xc0ff_ee01, &agreed),
            hex!(
                "73e26f8fb1aa5b244391657096666400a49af451c4de1e6e1495ea3548ed8156ef58bfd0ac1d4fb4"
                "6b8d5b7c970189716c101b70"
            )
        );
    }

    #[test]
    fn sealing_pads_and_hands_the_iv_on() {
        let suite = IkeSuite::new(IkeCipher::TripleDes, HashAlg::Md5, DhGroup::Modp1024);
        let public = Public {
            cookies: Cookies::default(),
            initiator_ke: b"i",
            responder_ke: b"r",
            initiator_nonce: b"ni",
            responder_nonce: b"nr",
            offer: b"",
        };
        let keys = Keys::derive(suite, b"k", &public, &Secret::from("shared"));
        let iv = phase1_iv(suite.hash, suite.cipher, &public);
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::HASH, &[1; 16]);
        let header =
            super::super::quick_mode::header(Cookies::default(), ExchangeType::INFORMATIONAL, MessageId(1));
        let (message, next) = keys.seal(iv, &header, &chain);
        assert_eq!(message.len(), Header::LEN + 24);
        let (header, body) = Header::parse(&message).unwrap();
        assert!(header.is_encrypted());
        assert_eq!(next.as_slice(), &body[16..]);
        let (plain, same) = keys.open(iv, body).unwrap();
        assert_eq!(same, next);
        assert_eq!(plain, [chain.bytes(), &[0; 4]].concat());
        assert_eq!(keys.open(iv, &body[1..]), Err(Drop::IkeAuthFailed));
        assert_eq!(keys.open(iv, &[]), Err(Drop::IkeAuthFailed));
        assert_eq!(format!("{keys:?}"), "Keys(3DES-CBC/MD5/MODP-1024)");
    }
}
