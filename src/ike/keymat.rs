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
