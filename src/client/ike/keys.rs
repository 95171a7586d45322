//! Keys, hashes and ciphers of the client's side (RFC 2409 section 5 and appendix B). Written apart from the server's on
//! purpose: two readings of the RFC that meet in the tests.

use crate::crypto::prf::{expand, hash, prf, stretch};
use crate::crypto::suite::{EspSuite, IkeSuite};
use crate::crypto::{Secret, cbc};
use crate::packet::Drop;
use crate::wire::isakmp::{Chain, ChainWriter, Cookies, Flags, Header, MessageId, PayloadType};

/// Everything that the proofs cover.
#[derive(Debug, Clone)]
pub(super) struct Transcript {
    pub(super) cookies: Cookies,
    pub(super) own_ke: Vec<u8>,
    pub(super) server_ke: Vec<u8>,
    pub(super) own_nonce: Vec<u8>,
    pub(super) server_nonce: Vec<u8>,
    pub(super) offer: Vec<u8>,
}

/// Keys of an ISAKMP SA, with the running IV of Phase 1.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) suite: IkeSuite,
    skeyid: Secret,
    skeyid_d: Secret,
    skeyid_a: Secret,
    key: Secret,
    /// Last cipher block of Phase 1 so far.
    pub(super) iv: Vec<u8>,
}

impl Keys {
    pub(super) fn new(suite: IkeSuite, psk: &[u8], t: &Transcript, shared: &Secret) -> Self {
        let h = suite.hash;
        let skeyid = prf(h, psk, &[&t.own_nonce, &t.server_nonce]);
        let tail = |previous: &[u8], n: u8| {
            prf(h, &skeyid, &[previous, shared, &t.cookies.initiator.0, &t.cookies.responder.0, &[n]])
        };
        let d = tail(&[], 0);
        let a = tail(&d, 1);
        let e = tail(&a, 2);
        Self {
            suite,
            key: stretch(h, &e, suite.cipher.key_len()),
            iv: hash(h, &[&t.own_ke, &t.server_ke])[..suite.cipher.block_len()].to_vec(),
            skeyid: Secret::from(&*skeyid),
            skeyid_d: Secret::from(&*d),
            skeyid_a: Secret::from(&*a),
        }
    }

    /// Our proof of Phase 1.
    pub(super) fn own_proof(&self, t: &Transcript, id: &[u8]) -> Vec<u8> {
        let (i, r) = (&t.cookies.initiator.0, &t.cookies.responder.0);
        prf(self.suite.hash, &self.skeyid, &[&t.own_ke, &t.server_ke, i, r, &t.offer, id]).to_vec()
    }

    /// The server's.
    pub(super) fn server_proof(&self, t: &Transcript, id: &[u8]) -> Vec<u8> {
        let (i, r) = (&t.cookies.initiator.0, &t.cookies.responder.0);
        prf(self.suite.hash, &self.skeyid, &[&t.server_ke, &t.own_ke, r, i, &t.offer, id]).to_vec()
    }

    /// prf(SKEYID_a, ...), all hashes of Phase 2.
    pub(super) fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
        prf(self.suite.hash, &self.skeyid_a, parts).to_vec()
    }

    pub(super) fn keymat(&self, suite: EspSuite, shared: &[u8], spi: u32, ni: &[u8], nr: &[u8]) -> Secret {
        let seed: [&[u8]; 5] = [shared, &[3], &spi.to_be_bytes(), ni, nr];
        expand(self.suite.hash, &self.skeyid_d, &seed, suite.key_len())
    }

    /// First IV of an exchange of Phase 2.
    pub(super) fn phase2_iv(&self, message_id: MessageId) -> Vec<u8> {
        hash(self.suite.hash, &[&self.iv, &message_id.bytes()])[..self.suite.cipher.block_len()].to_vec()
    }

    /// Encrypts and moves `iv` on.
    pub(super) fn seal(&self, iv: &mut Vec<u8>, header: Header, chain: &ChainWriter) -> Vec<u8> {
        let block = self.suite.cipher.block_len();
        let mut body = chain.bytes().to_vec();
        body.resize(body.len().next_multiple_of(block), 0);
        let sealed = cbc::encrypt(self.suite.cipher, &self.key, iv, &mut body);
        debug_assert!(sealed.is_ok());
        *iv = body[body.len() - block..].to_vec();
        Header { first: chain.first(), flags: Flags::ENCRYPTED, ..header }.message(&body)
    }

    /// Decrypts; moves nothing.
    pub(super) fn open(&self, iv: &[u8], body: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Drop> {
        let block = self.suite.cipher.block_len();
        let last = body.len().checked_sub(block).ok_or(Drop::IkeAuthFailed)?;
        let mut plain = body.to_vec();
        cbc::decrypt(self.suite.cipher, &self.key, iv, &mut plain).map_err(|_| Drop::IkeAuthFailed)?;
        Ok((plain, body[last..].to_vec()))
    }

    /// A message of an exchange under the SA, its HASH over `between` and the payloads.
    pub(super) fn protected(
        &self,
        iv: &mut Vec<u8>,
        header: Header,
        between: &[u8],
        rest: &ChainWriter,
    ) -> Vec<u8> {
        let mut chain = ChainWriter::new();
        let proof = self.hash(&[&header.message_id.bytes(), between, rest.bytes()]);
        chain.put_bytes(PayloadType::HASH, &proof);
        chain.append(rest);
        self.seal(iv, header, &chain)
    }

    /// Whether the HASH in front covers what is behind it.
    pub(super) fn verifies(&self, message_id: MessageId, between: &[u8], chain: &Chain<'_>) -> bool {
        let expected = self.hash(&[&message_id.bytes(), between, chain.after_first()]);
        chain.payloads().first().is_some_and(|p| p.kind == PayloadType::HASH && p.body == expected)
    }
}

/// A header of ours.
pub(super) const fn header(
    cookies: Cookies,
    exchange: crate::wire::isakmp::ExchangeType,
    message_id: MessageId,
) -> Header {
    Header {
        cookies,
        first: PayloadType::NONE,
        version: Header::VERSION_1_0,
        exchange,
        flags: Flags(0),
        message_id,
        length: 0,
    }
}
