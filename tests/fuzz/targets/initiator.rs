//! The client's side of IKEv1 with nothing to stop it: it can protect any payloads with the right keys, which is what
//! somebody who knows the pre-shared key can send. (The client core in `src/client` says only what clients say.)
//!
//! The key agreement is a pretence on both sides: see [`agree`].

use sekisho::crypto::dh::{DhError, DhJob, DhResult};
use sekisho::crypto::prf::{self, Digest};
use sekisho::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite, HashAlg, IkeCipher, IkeSuite};
use sekisho::crypto::{Secret, cbc};
use sekisho::ike::vid;
use sekisho::wire::Writer;
use sekisho::wire::isakmp::payload::{IdType, Identity};
use sekisho::wire::isakmp::sa::{
    Attribute, AuthMethod, Encapsulation, LifeType, Phase1Attribute, Phase2Attribute, Proposal, Protocol, Sa,
    Transform,
};
use sekisho::wire::isakmp::{
    Chain, ChainWriter, Cookie, Cookies, ExchangeType, Flags, Header, MessageId, PayloadType,
};

/// The first byte of a public value that is none.
pub(super) const BAD_PUBLIC: u8 = 0xee;

const SHARED: u8 = 0x33;

/// Stands for a key agreement: microseconds instead of milliseconds, and the same every time.
pub(super) fn agree(job: &DhJob) -> Result<DhResult, DhError> {
    if job.remote_public.len() != job.group.public_len() {
        return Err(DhError::Length);
    }
    if job.remote_public.first() == Some(&BAD_PUBLIC) {
        return Err(DhError::OutOfRange);
    }
    Ok(DhResult { public: vec![0x22; job.group.public_len()], shared: shared(job.group) })
}

fn shared(group: DhGroup) -> Secret {
    Secret::new(vec![SHARED; group.shared_len()])
}

/// The key that fits.
pub(super) const PSK: &str = "a key for the fuzzer, long enough";
/// The group of Aggressive Mode that is configured.
pub(super) const GROUP: &[u8] = b"remote";

/// The suite that is offered unless the input says otherwise.
const SUITE: IkeSuite = IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha1, DhGroup::Ecp256);

struct Keys {
    skeyid: Digest,
    skeyid_d: Digest,
    skeyid_a: Digest,
    cipher: Secret,
}

struct Quick {
    id: MessageId,
    iv: Vec<u8>,
    nonces: Option<(Vec<u8>, Vec<u8>)>,
}

/// A pair of ESP SAs as the client sees it.
pub(super) struct Pair {
    pub(super) inbound_spi: u32,
    pub(super) outbound_spi: u32,
    pub(super) suite: EspSuite,
    pub(super) inbound_key: Secret,
    pub(super) outbound_key: Secret,
}

/// One client.
pub(super) struct Initiator {
    pub(super) cookies: Cookies,
    suite: IkeSuite,
    offer: Vec<u8>,
    responder: Option<(Vec<u8>, Vec<u8>)>,
    keys: Option<Keys>,
    iv: Vec<u8>,
    aggressive: bool,
    quick: Vec<Quick>,
    pub(super) pair: Option<Pair>,
    next_spi: u32,
}

impl Initiator {
    pub(super) fn new(number: u8) -> Self {
        let mut w = Writer::new();
        offer(SUITE).emit(&mut w);
        Self {
            cookies: Cookies { initiator: Cookie([number | 0x80; 8]), responder: Cookie::ZERO },
            suite: SUITE,
            offer: w.finish(),
            responder: None,
            keys: None,
            iv: Vec::new(),
            aggressive: false,
            quick: Vec::new(),
            pair: None,
            next_spi: 0x1000 + u32::from(number),
        }
    }

    fn header(&self, exchange: ExchangeType, first: PayloadType) -> Header {
        Header {
            cookies: self.cookies,
            first,
            version: Header::VERSION_1_0,
            exchange,
            flags: Flags(0),
            message_id: MessageId::ZERO,
            length: 0,
        }
    }

    fn public(&self) -> Vec<u8> {
        vec![0x11; self.suite.group.public_len()]
    }

    fn nonce(&self) -> Vec<u8> {
        vec![self.cookies.initiator.0[0]; 16]
    }

    /// The identity payload's body.
    fn identity(&self) -> Vec<u8> {
        let own = Identity { kind: IdType::KEY_ID, protocol: 17, port: 0, data: GROUP.to_vec() };
        let address = Identity::address([192, 168, 7, self.cookies.initiator.0[0]].into(), 17, 500);
        if self.aggressive { own } else { address }.to_bytes()
    }

    /// Main Mode 1; `offer` is the body of another SA payload than the usual.
    pub(super) fn main1(&mut self, offer: &[u8]) -> Vec<u8> {
        *self = Self { offer: self.offer.clone(), ..Self::new(self.cookies.initiator.0[0] & 0x7f) };
        if !offer.is_empty() {
            self.offer = offer.to_vec();
        }
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::SA, &self.offer);
        chain.put_bytes(PayloadType::VENDOR_ID, &vid::RFC_3947);
        chain.put_bytes(PayloadType::VENDOR_ID, &vid::DPD);
        self.header(ExchangeType::IDENTITY_PROTECTION, chain.first()).message(chain.bytes())
    }

    /// Main Mode 3, from behind a NAT.
    pub(super) fn main3(&self) -> Vec<u8> {
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::KE, &self.public());
        chain.put_bytes(PayloadType::NONCE, &self.nonce());
        chain.put_bytes(PayloadType::NAT_D, &[1; 20]);
        chain.put_bytes(PayloadType::NAT_D, &[2; 20]);
        self.header(ExchangeType::IDENTITY_PROTECTION, chain.first()).message(chain.bytes())
    }

    /// Main Mode 5, with more payloads behind the two that it must have.
    pub(super) fn main5(&mut self, more: &[u8]) -> Vec<u8> {
        let id = self.identity();
        let Some(hash) = self.hash_i(&id) else { return Vec::new() };
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::ID, &id);
        chain.put_bytes(PayloadType::HASH, &hash);
        let header = self.header(ExchangeType::IDENTITY_PROTECTION, chain.first());
        let iv = self.iv.clone();
        let (message, iv) = self.seal(&iv, header, &followed_by(chain, more));
        self.iv = iv;
        message
    }

    /// Aggressive Mode 1.
    pub(super) fn aggressive1(&mut self) -> Vec<u8> {
        *self = Self { aggressive: true, ..Self::new(self.cookies.initiator.0[0] & 0x7f) };
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::SA, &self.offer);
        chain.put_bytes(PayloadType::KE, &self.public());
        chain.put_bytes(PayloadType::NONCE, &self.nonce());
        chain.put_bytes(PayloadType::ID, &self.identity());
        chain.put_bytes(PayloadType::VENDOR_ID, &vid::RFC_3947);
        self.header(ExchangeType::AGGRESSIVE, chain.first()).message(chain.bytes())
    }

    /// Aggressive Mode 3, with more payloads behind HASH.
    pub(super) fn aggressive3(&mut self, more: &[u8]) -> Vec<u8> {
        let Some(hash) = self.hash_i(&self.identity()) else { return Vec::new() };
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::HASH, &hash);
        let header = self.header(ExchangeType::AGGRESSIVE, chain.first());
        let iv = self.iv.clone();
        let (message, iv) = self.seal(&iv, header, &followed_by(chain, more));
        self.iv = iv;
        message
    }

    /// An exchange under the SA: HASH(1) over `payloads`, a chain whose first payload is of type `first`.
    pub(super) fn protected(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        first: PayloadType,
        payloads: &[u8],
    ) -> Vec<u8> {
        let id = MessageId(id.max(1));
        let Some(keys) = &self.keys else { return Vec::new() };
        let hash = prf::prf(self.suite.hash, &keys.skeyid_a, &[&id.bytes(), payloads]);
        let nonce = Chain::parse(first, payloads)
            .ok()
            .and_then(|chain| chain.first(PayloadType::NONCE))
            .map(<[u8]>::to_vec);
        let mut body = vec![first.0, 0];
        body.extend_from_slice(&(4 + hash.len() as u16).to_be_bytes());
        body.extend_from_slice(&hash);
        body.extend_from_slice(payloads);
        let header = Header { message_id: id, ..self.header(exchange, PayloadType::HASH) };
        let digest = prf::hash(self.suite.hash, &[&self.iv, &id.bytes()]);
        let (message, iv) = self.seal(&digest, header, &body);
        if exchange == ExchangeType::QUICK_MODE {
            self.quick.retain(|quick| quick.id != id);
            self.quick.push(Quick { id, iv, nonces: nonce.map(|nonce| (nonce, Vec::new())) });
        }
        message
    }

    /// Quick Mode 1 as it should be.
    pub(super) fn quick1(&mut self, id: u32, pfs: bool) -> Vec<u8> {
        self.next_spi += 0x100;
        let chain = quick1_payloads(self.next_spi, pfs);
        self.protected(ExchangeType::QUICK_MODE, id, chain.first(), chain.bytes())
    }

    /// Quick Mode 3.
    pub(super) fn quick3(&mut self, id: u32) -> Vec<u8> {
        let id = MessageId(id.max(1));
        let (Some(keys), Some(quick)) = (&self.keys, self.quick.iter().find(|quick| quick.id == id)) else {
            return Vec::new();
        };
        let (initiator, responder) = quick.nonces.as_ref().map_or((&[][..], &[][..]), |(i, r)| (i, r));
        let hash = prf::prf(self.suite.hash, &keys.skeyid_a, &[&[0], &id.bytes(), initiator, responder]);
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::HASH, &hash);
        let header = Header { message_id: id, ..self.header(ExchangeType::QUICK_MODE, PayloadType::HASH) };
        self.seal(&quick.iv, header, chain.bytes()).0
    }

    /// Takes an answer of the gateway. What is not understood is ignored.
    pub(super) fn take(&mut self, message: &[u8]) {
        let _ = self.try_take(message);
    }

    fn try_take(&mut self, message: &[u8]) -> Option<()> {
        let (header, body) = Header::parse(message).ok()?;
        if header.cookies.initiator != self.cookies.initiator {
            return None;
        }
        match header.exchange {
            ExchangeType::IDENTITY_PROTECTION if header.is_encrypted() => {
                self.iv =
                    body.len().checked_sub(self.suite.cipher.block_len()).map(|at| body[at..].to_vec())?;
            }
            ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE => {
                let chain = Chain::parse(header.first, body).ok()?;
                if let Some(sa) = chain.first(PayloadType::SA) {
                    self.cookies.responder = header.cookies.responder;
                    self.suite = chosen(&Sa::parse(sa).ok()?)?;
                }
                if let Some((ke, nonce)) = chain.first(PayloadType::KE).zip(chain.first(PayloadType::NONCE)) {
                    self.responder = Some((ke.to_vec(), nonce.to_vec()));
                    self.derive();
                }
            }
            ExchangeType::QUICK_MODE => self.take_quick2(&header, body)?,
            _ => {}
        }
        Some(())
    }

    fn take_quick2(&mut self, header: &Header, body: &[u8]) -> Option<()> {
        let keys = self.keys.as_ref()?;
        let quick = self.quick.iter_mut().find(|quick| quick.id == header.message_id)?;
        let cipher = self.suite.cipher;
        let mut plain = body.to_vec();
        cbc::decrypt(cipher, &keys.cipher, &quick.iv, &mut plain).ok()?;
        quick.iv = body[body.len().checked_sub(cipher.block_len())?..].to_vec();
        let chain = Chain::parse(header.first, &plain).ok()?;
        let (initiator, responder) = quick.nonces.as_mut()?;
        *responder = chain.first(PayloadType::NONCE)?.to_vec();
        let sa = Sa::parse(chain.first(PayloadType::SA)?).ok()?;
        let proposal = sa.proposals.first()?;
        let transform = proposal.transforms.first()?;
        let number = |kind: Phase2Attribute| transform.number_of(kind.0).and_then(|n| u16::try_from(n).ok());
        let suite = EspSuite::from_transform(
            transform.id,
            number(Phase2Attribute::KEY_LENGTH),
            number(Phase2Attribute::AUTHENTICATION),
        )?;
        let shared = match chain.first(PayloadType::KE) {
            Some(_) => Secret::new(vec![SHARED; 32]),
            None => Secret::new(Vec::new()),
        };
        let keymat = |spi: u32| {
            let seed: [&[u8]; 5] = [&shared, &[Protocol::ESP.0], &spi.to_be_bytes(), initiator, responder];
            prf::expand(self.suite.hash, &keys.skeyid_d, &seed, suite.key_len())
        };
        let outbound_spi = u32::from_be_bytes(*proposal.spi.first_chunk()?);
        let inbound_spi = self.next_spi;
        self.pair = Some(Pair {
            inbound_spi,
            outbound_spi,
            suite,
            inbound_key: keymat(inbound_spi),
            outbound_key: keymat(outbound_spi),
        });
        Some(())
    }

    /// SKEYID and its family, and the first IV.
    fn derive(&mut self) {
        let Some((ke, nonce)) = &self.responder else { return };
        let (hash, cookies) = (self.suite.hash, self.cookies.bytes());
        let shared = shared(self.suite.group);
        let skeyid = prf::prf(hash, PSK.as_bytes(), &[&self.nonce(), nonce]);
        let skeyid_d = prf::prf(hash, &skeyid, &[&shared, &cookies, &[0]]);
        let skeyid_a = prf::prf(hash, &skeyid, &[&skeyid_d, &shared, &cookies, &[1]]);
        let skeyid_e = prf::prf(hash, &skeyid, &[&skeyid_a, &shared, &cookies, &[2]]);
        let cipher = prf::stretch(hash, &skeyid_e, self.suite.cipher.key_len());
        self.iv = prf::hash(hash, &[&self.public(), ke])[..self.suite.cipher.block_len()].to_vec();
        self.keys = Some(Keys { skeyid, skeyid_d, skeyid_a, cipher });
    }

    fn hash_i(&self, id: &[u8]) -> Option<Digest> {
        let (ke, _) = self.responder.as_ref()?;
        let cookies = self.cookies.bytes();
        let parts: [&[u8]; 5] = [&self.public(), ke, &cookies, &self.offer, id];
        Some(prf::prf(self.suite.hash, &self.keys.as_ref()?.skeyid, &parts))
    }

    /// Encrypts `body`, padded; returns the message and its last block.
    fn seal(&self, iv: &[u8], header: Header, body: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let Some(keys) = &self.keys else { return (Vec::new(), Vec::new()) };
        let block = self.suite.cipher.block_len();
        let mut sealed = body.to_vec();
        sealed.resize(sealed.len().next_multiple_of(block), 0);
        if cbc::encrypt(self.suite.cipher, &keys.cipher, iv.get(..block).unwrap_or_default(), &mut sealed)
            .is_err()
        {
            return (Vec::new(), Vec::new());
        }
        let last = sealed[sealed.len() - block..].to_vec();
        (Header { flags: Flags::ENCRYPTED, ..header }.message(&sealed), last)
    }
}

/// A chain with raw bytes behind it: the first of them is the type of what follows.
fn followed_by(chain: ChainWriter, more: &[u8]) -> Vec<u8> {
    let mut bytes = chain.bytes().to_vec();
    let Some((kind, more)) = more.split_first() else { return bytes };
    // The Next Payload byte of the last payload: walk to it.
    let mut at = 0;
    while bytes[at] != 0 {
        at += usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
    }
    bytes[at] = *kind;
    bytes.extend_from_slice(more);
    bytes
}

fn offer(suite: IkeSuite) -> Sa {
    let short = |kind: Phase1Attribute, value| Attribute::short(kind.0, value);
    let attributes = vec![
        short(Phase1Attribute::ENCRYPTION, suite.cipher.attribute()),
        short(Phase1Attribute::KEY_LENGTH, suite.cipher.key_length_attribute().unwrap_or(0)),
        short(Phase1Attribute::HASH, suite.hash.attribute()),
        short(Phase1Attribute::GROUP, suite.group.attribute()),
        short(Phase1Attribute::AUTHENTICATION, AuthMethod::PRE_SHARED_KEY.0),
        short(Phase1Attribute::LIFE_TYPE, LifeType::SECONDS.0),
        short(Phase1Attribute::LIFE_DURATION, 28800),
    ];
    let transforms = vec![Transform { number: 1, id: Transform::KEY_IKE, attributes }];
    Sa::new(vec![Proposal { number: 1, protocol: Protocol::ISAKMP, spi: Vec::new(), transforms }])
}

/// The suite of an answer.
fn chosen(sa: &Sa) -> Option<IkeSuite> {
    let transform = sa.proposals.first()?.transforms.first()?;
    let number = |kind: Phase1Attribute| transform.number_of(kind.0).and_then(|n| u16::try_from(n).ok());
    Some(IkeSuite::new(
        IkeCipher::from_attributes(
            number(Phase1Attribute::ENCRYPTION)?,
            number(Phase1Attribute::KEY_LENGTH),
        )?,
        HashAlg::from_attribute(number(Phase1Attribute::HASH)?)?,
        DhGroup::from_attribute(number(Phase1Attribute::GROUP)?)?,
    ))
}

/// What Quick Mode 1 has behind its HASH: AES-128 with SHA-1 in UDP transport mode, for L2TP.
pub(super) fn quick1_payloads(spi: u32, pfs: bool) -> ChainWriter {
    let suite = EspSuite::of(EspCipher::Aes128Cbc, EspAuth::HmacSha1_96);
    let short = |kind: Phase2Attribute, value| Attribute::short(kind.0, value);
    let mut attributes = vec![
        short(Phase2Attribute::LIFE_TYPE, LifeType::SECONDS.0),
        short(Phase2Attribute::LIFE_DURATION, 3600),
        short(Phase2Attribute::ENCAPSULATION, Encapsulation::UDP_TRANSPORT.0),
        short(Phase2Attribute::AUTHENTICATION, suite.auth().attribute().unwrap_or(0)),
        short(Phase2Attribute::KEY_LENGTH, suite.cipher().key_length_attribute().unwrap_or(0)),
    ];
    if pfs {
        attributes.push(short(Phase2Attribute::GROUP, DhGroup::Ecp256.attribute()));
    }
    let transforms = vec![Transform { number: 1, id: suite.cipher().transform_id(), attributes }];
    let spi = spi.to_be_bytes().to_vec();
    let sa = Sa::new(vec![Proposal { number: 1, protocol: Protocol::ESP, spi, transforms }]);
    let mut chain = ChainWriter::new();
    chain.put(PayloadType::SA, |w| sa.emit(w));
    chain.put_bytes(PayloadType::NONCE, &[7; 16]);
    if pfs {
        chain.put_bytes(PayloadType::KE, &[0x11; 64]);
    }
    chain.put(PayloadType::ID, |w| Identity::address([192, 168, 7, 2].into(), 17, 1701).emit(w));
    chain.put(PayloadType::ID, |w| Identity::address([203, 0, 113, 1].into(), 17, 1701).emit(w));
    chain
}
