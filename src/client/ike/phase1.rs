//! Phase 1 from the client's side (RFC 2409 section 5.4, RFC 3947 sections 3 and 4).

use super::config::{InitialContact, Mode};
use super::keys::{Keys, Transcript, header};
use super::{Event, Failure, Initiator, Output, Pending};
use crate::crypto::dh::KeyPair;
use crate::crypto::prf;
use crate::crypto::suite::{DhGroup, HashAlg, IkeCipher, IkeSuite};
use crate::packet::{Drop, Encap, Path};
use crate::wire::isakmp::payload::{Identity, Notify, NotifyType};
use crate::wire::isakmp::sa::{Phase1Attribute, Proposal, Protocol, Sa as SaPayload, Transform};
use crate::wire::isakmp::{
    Chain, ChainWriter, Cookie, Cookies, ExchangeType, Flags, Header, MessageId, PayloadType,
};
use crate::wire::{Error, Kind, Writer};
use std::net::SocketAddr;
use std::time::Instant;

/// The port that IKE floats to (RFC 3947 section 4).
const NAT_T_PORT: u16 = 4500;
/// "RFC 3947"
pub(super) const VID_RFC_3947: [u8; 16] = 0x4a131c81_07035845_5c5728f2_0e95452f_u128.to_be_bytes();
/// The drafts 03, 02 with line feed, 02, which number their payloads otherwise.
pub(super) const VID_DRAFTS: [[u8; 16]; 3] = [
    0x7d9419a6_5310ca6f_2c179d92_15529d56_u128.to_be_bytes(),
    0x90cb8091_3ebb696e_086381b5_ec427b1f_u128.to_be_bytes(),
    0xcd604643_35df21f8_7cfdb2fc_68b6a448_u128.to_be_bytes(),
];

/// Which numbers NAT traversal uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NatT {
    None,
    Rfc,
    Draft,
}

impl NatT {
    pub(super) const fn nat_d(self) -> PayloadType {
        match self {
            Self::Draft => PayloadType::NAT_D_DRAFT,
            Self::None | Self::Rfc => PayloadType::NAT_D,
        }
    }

    pub(super) const fn nat_oa(self) -> PayloadType {
        match self {
            Self::Draft => PayloadType::NAT_OA_DRAFT,
            Self::None | Self::Rfc => PayloadType::NAT_OA,
        }
    }
}

/// A Phase 1 under way.
#[derive(Debug)]
pub(super) struct Negotiation {
    pub(super) initiator_cookie: Cookie,
    pub(super) pending: Pending,
    path: Path,
    offer: Vec<u8>,
    step: Step,
}

#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "states are named by what they wait for")]
enum Step {
    /// Main Mode, message 1 is out.
    ExpectSa,
    /// Main Mode, message 3 is out.
    ExpectKe { suite: IkeSuite, nat_t: NatT, cookies: Cookies, pair: Box<Pair>, nonce: Vec<u8> },
    /// Main Mode, message 5 is out.
    ExpectId { keys: Box<Keys>, transcript: Box<Transcript>, nat: Nat },
    /// Aggressive Mode, message 1 is out.
    ExpectAll { pair: Box<Pair>, nonce: Vec<u8>, id: Vec<u8> },
}

/// A key pair that shows nothing.
pub(super) struct Pair(pub(super) KeyPair);

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pair")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Nat {
    pub(super) version: NatT,
    pub(super) client: bool,
    pub(super) server: bool,
}

impl Nat {
    pub(super) fn udp(self) -> bool {
        self.version != NatT::None && (self.client || self.server)
    }
}

/// An ISAKMP SA of ours.
#[derive(Debug)]
pub(super) struct Sa {
    pub(super) cookies: Cookies,
    pub(super) keys: Keys,
    pub(super) nat: Nat,
    pub(super) path: Path,
}

impl Initiator {
    /// Begins a Phase 1 on `path` (`local` is our own address as we know it). Used again later, it renews: from port
    /// 4500 to port 4500 if the old one had floated, without INITIAL-CONTACT.
    pub fn start(&mut self, now: Instant, path: Path, out: &mut Output) {
        let initiator_cookie = Cookie(self.entropy.array());
        let cookies = Cookies { initiator: initiator_cookie, responder: Cookie::ZERO };
        let transforms = self.config.phase1.clone();
        let offered =
            SaPayload::new(vec![Proposal { number: 1, protocol: Protocol::ISAKMP, spi: vec![], transforms }]);
        let mut w = Writer::new();
        offered.emit(&mut w);
        let offer = w.finish();
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::SA, &offer);
        let (exchange, step) = match self.config.mode.clone() {
            Mode::Main => (ExchangeType::IDENTITY_PROTECTION, Step::ExpectSa),
            Mode::Aggressive(id) => {
                // One group for all offers: KE goes out before anything is chosen.
                let group =
                    self.config.phase1.first().and_then(suite_of).map_or(DhGroup::Modp1024, |s| s.group);
                let Ok(pair) = KeyPair::generate(group, &mut self.entropy) else { return };
                let nonce = self.nonce();
                let id = id.to_bytes();
                chain.put_bytes(PayloadType::KE, pair.public());
                chain.put_bytes(PayloadType::NONCE, &nonce);
                chain.put_bytes(PayloadType::ID, &id);
                (ExchangeType::AGGRESSIVE, Step::ExpectAll { pair: Box::new(Pair(pair)), nonce, id })
            }
        };
        for vendor_id in &self.config.vendor_ids {
            chain.put_bytes(PayloadType::VENDOR_ID, vendor_id);
        }
        let message = clear(cookies, exchange, &chain);
        out.send(path, &message);
        let pending = self.pending(now, path, message);
        self.negotiation = Some(Negotiation { initiator_cookie, pending, path, offer, step });
    }

    pub(super) fn handle_phase1(
        &mut self,
        now: Instant,
        path: Path,
        header: &Header,
        message: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let (_, body) = Header::parse(message)?;
        // racoon drops a Commit bit without message ID, and any flag that it does not know.
        if header.flags != Flags(0) && header.flags != Flags::ENCRYPTED {
            return Err(Drop::OutOfOrder);
        }
        if header.exchange == ExchangeType::INFORMATIONAL && !header.is_encrypted() {
            return self.recv_clear_notify(header, body, out);
        }
        let Some(negotiation) = self.negotiation.take() else { return Err(Drop::UnknownCookies) };
        // Taken out, so it goes back in unless it moves on.
        let result = match &negotiation.step {
            Step::ExpectSa => self.recv_mm2(now, &negotiation, header, body, out),
            Step::ExpectKe { suite, nat_t, cookies, pair, nonce } => {
                let (suite, nat_t) = (*suite, *nat_t);
                if header.cookies == *cookies {
                    self.recv_mm4(now, &negotiation, (suite, nat_t, pair, nonce), header, body, out)
                } else {
                    Err(Drop::UnknownCookies)
                }
            }
            Step::ExpectId { .. } => return self.recv_mm6(negotiation, path, header, body, out),
            Step::ExpectAll { pair, nonce, id } => {
                let sent = out.packets.len();
                let result = self.recv_am2(&negotiation, (pair, nonce, id), header, body, out);
                if let (Ok(_), Some(answer)) = (&result, out.packets.get(sent)) {
                    let answer = self.pending(now, answer.path, answer.buf.to_vec());
                    self.last = Some((message.to_vec(), answer));
                }
                result
            }
        };
        match result {
            Ok(next) => {
                self.negotiation = next;
                Ok(())
            }
            Err(drop) => {
                self.negotiation = Some(negotiation);
                Err(drop)
            }
        }
    }

    /// Message 2, and message 3 goes out.
    fn recv_mm2(
        &mut self,
        now: Instant,
        negotiation: &Negotiation,
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<Option<Negotiation>, Drop> {
        let chain = strict(header, body, &[PayloadType::SA, PayloadType::VENDOR_ID])?;
        let suite = self.accept(&chain)?;
        let nat_t = nat_version(&chain);
        let cookies = header.cookies;
        let pair = KeyPair::generate(suite.group, &mut self.entropy).map_err(|_| Drop::IkeAuthFailed)?;
        let nonce = self.nonce();
        let mut reply = ChainWriter::new();
        reply.put_bytes(PayloadType::KE, pair.public());
        reply.put_bytes(PayloadType::NONCE, &nonce);
        self.put_nat_d(&mut reply, nat_t, suite.hash, cookies, negotiation.path);
        let message = clear(cookies, ExchangeType::IDENTITY_PROTECTION, &reply);
        out.send(negotiation.path, &message);
        Ok(Some(Negotiation {
            initiator_cookie: negotiation.initiator_cookie,
            pending: self.pending(now, negotiation.path, message),
            path: negotiation.path,
            offer: negotiation.offer.clone(),
            step: Step::ExpectKe { suite, nat_t, cookies, pair: Box::new(Pair(pair)), nonce },
        }))
    }

    /// Message 4, and message 5 goes out: on port 4500 if there is a NAT.
    fn recv_mm4(
        &mut self,
        now: Instant,
        negotiation: &Negotiation,
        (suite, nat_t, pair, nonce): (IkeSuite, NatT, &Pair, &[u8]),
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<Option<Negotiation>, Drop> {
        use PayloadType as P;
        let chain = strict(header, body, &[P::KE, P::NONCE, P::VENDOR_ID, P::CERT_REQUEST, nat_t.nat_d()])?;
        let server_ke = chain.only(P::KE, "KE payload")?;
        let transcript = Transcript {
            cookies: header.cookies,
            own_ke: pair.0.public().to_vec(),
            server_ke: server_ke.to_vec(),
            own_nonce: nonce.to_vec(),
            server_nonce: chain.only(P::NONCE, "Nonce payload")?.to_vec(),
            offer: negotiation.offer.clone(),
        };
        let shared = pair.0.agree(server_ke).map_err(|_| Drop::IkeAuthFailed)?;
        let mut keys = Keys::new(suite, &self.config.psk, &transcript, &shared);
        let mut nat = detect(&chain, nat_t, suite.hash, header.cookies, negotiation.path);
        nat.client |= self.config.force_nat;
        let path = if nat.udp() { floated(negotiation.path) } else { negotiation.path };

        let (protocol, port) = self.config.id_port;
        let id = Identity::address(path.local.ip(), protocol, port).to_bytes();
        let mut reply = ChainWriter::new();
        reply.put_bytes(P::ID, &id);
        reply.put_bytes(P::HASH, &keys.own_proof(&transcript, &id));
        if self.config.initial_contact == InitialContact::InMessage5 && !self.contacted {
            self.contacted = true;
            put_initial_contact(&mut reply, header.cookies);
        }
        let mut iv = keys.iv.clone();
        let message = keys.seal(
            &mut iv,
            super::keys::header(header.cookies, ExchangeType::IDENTITY_PROTECTION, MessageId::ZERO),
            &reply,
        );
        keys.iv = iv;
        out.send(path, &message);
        Ok(Some(Negotiation {
            initiator_cookie: negotiation.initiator_cookie,
            pending: self.pending(now, path, message),
            path,
            offer: Vec::new(),
            step: Step::ExpectId { keys: Box::new(keys), transcript: Box::new(transcript), nat },
        }))
    }

    /// Message 6: the SA is there.
    fn recv_mm6(
        &mut self,
        negotiation: Negotiation,
        path: Path,
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let Step::ExpectId { keys, transcript, nat } = &negotiation.step else {
            self.negotiation = Some(negotiation);
            return Err(Drop::OutOfOrder);
        };
        let verified = (|| {
            if !header.is_encrypted() {
                return Err(Drop::IkeNotProtected);
            }
            let (plain, iv) = keys.open(&keys.iv, body)?;
            use PayloadType as P;
            let chain = strict(header, &plain, &[P::ID, P::HASH, P::VENDOR_ID, P::NOTIFY])?;
            let id = chain.only(P::ID, "ID payload")?;
            let proof = chain.only(P::HASH, "HASH payload")?;
            if keys.server_proof(transcript, id) != proof {
                return Err(Drop::IkeAuthFailed);
            }
            Ok(iv)
        })();
        let iv = match verified {
            Ok(iv) => iv,
            Err(drop) => {
                self.negotiation = Some(negotiation);
                return Err(drop);
            }
        };
        let nat = *nat;
        let Step::ExpectId { mut keys, .. } = negotiation.step else { return Err(Drop::OutOfOrder) };
        keys.iv = iv;
        let path = Path { remote: path.remote, ..negotiation.path };
        self.up(Sa { cookies: header.cookies, keys: *keys, nat, path }, out);
        Ok(())
    }

    /// Message 2 of Aggressive Mode, and message 3 goes out, encrypted.
    fn recv_am2(
        &mut self,
        negotiation: &Negotiation,
        (pair, nonce, id): (&Pair, &[u8], &[u8]),
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<Option<Negotiation>, Drop> {
        use PayloadType as P;
        let chain = Chain::parse(header.first, body)?;
        let suite = self.accept(&chain)?;
        let nat_t = nat_version(&chain);
        let server_ke = chain.only(P::KE, "KE payload")?;
        let transcript = Transcript {
            cookies: header.cookies,
            own_ke: pair.0.public().to_vec(),
            server_ke: server_ke.to_vec(),
            own_nonce: nonce.to_vec(),
            server_nonce: chain.only(P::NONCE, "Nonce payload")?.to_vec(),
            offer: negotiation.offer.clone(),
        };
        let shared = pair.0.agree(server_ke).map_err(|_| Drop::IkeAuthFailed)?;
        let mut keys = Keys::new(suite, &self.config.psk, &transcript, &shared);
        let server_id = chain.only(P::ID, "ID payload")?;
        if keys.server_proof(&transcript, server_id) != chain.only(P::HASH, "HASH payload")? {
            out.events.push(Event::Failed(Failure::WrongKey));
            return Err(Drop::IkeAuthFailed);
        }
        let mut nat = detect(&chain, nat_t, suite.hash, header.cookies, negotiation.path);
        nat.client |= self.config.force_nat;
        let path = if nat.udp() { floated(negotiation.path) } else { negotiation.path };
        let mut reply = ChainWriter::new();
        reply.put_bytes(P::HASH, &keys.own_proof(&transcript, id));
        self.put_nat_d(&mut reply, nat_t, suite.hash, header.cookies, path);
        let mut iv = keys.iv.clone();
        let message = keys.seal(
            &mut iv,
            super::keys::header(header.cookies, ExchangeType::AGGRESSIVE, MessageId::ZERO),
            &reply,
        );
        keys.iv = iv;
        out.send(path, &message);
        self.up(Sa { cookies: header.cookies, keys, nat, path }, out);
        Ok(None)
    }

    fn up(&mut self, sa: Sa, out: &mut Output) {
        out.events.push(Event::IsakmpUp {
            cookies: sa.cookies,
            suite: sa.keys.suite,
            client_behind_nat: sa.nat.client,
            server_behind_nat: sa.nat.server,
        });
        self.sas.push(sa);
        if self.config.initial_contact == InitialContact::Separate && !self.contacted {
            self.contacted = true;
            let at = self.sas.len() - 1;
            let cookies = self.sas[at].cookies;
            self.send_informational(at, out, |chain| put_initial_contact(chain, cookies));
        }
    }

    /// The server's choice, which must be one of our offers. Real clients compare what it means, not its bytes: SoftEther
    /// sends the attributes in an order of its own.
    fn accept(&self, chain: &Chain<'_>) -> Result<IkeSuite, Drop> {
        let answer = SaPayload::parse(chain.only(PayloadType::SA, "SA payload")?)?;
        let [Proposal { transforms, .. }] = &answer.proposals[..] else { return Err(Drop::NoProposalChosen) };
        let [transform] = &transforms[..] else { return Err(Drop::NoProposalChosen) };
        let suite = suite_of(transform).ok_or(Drop::NoProposalChosen)?;
        let offered = self.config.phase1.iter().any(|offer| suite_of(offer) == Some(suite));
        if offered { Ok(suite) } else { Err(Drop::NoProposalChosen) }
    }

    fn recv_clear_notify(&mut self, header: &Header, body: &[u8], out: &mut Output) -> Result<(), Drop> {
        let chain = Chain::parse(header.first, body)?;
        let notify = Notify::parse(chain.only(PayloadType::NOTIFY, "Notify payload")?)?;
        out.events.push(Event::Notified { kind: notify.kind, authenticated: false });
        if notify.kind.is_error() && self.config.believes_clear_notify {
            self.negotiation = None;
            out.events.push(Event::Failed(Failure::Refused(notify.kind)));
        }
        Ok(())
    }

    pub(super) fn nonce(&mut self) -> Vec<u8> {
        let mut nonce = vec![0; self.config.nonce_len];
        self.entropy.fill(&mut nonce);
        nonce
    }

    fn put_nat_d(&self, chain: &mut ChainWriter, nat_t: NatT, hash: HashAlg, cookies: Cookies, path: Path) {
        if nat_t == NatT::None {
            return;
        }
        let mut local = nat_d(hash, cookies, path.local);
        if self.config.force_nat {
            local.iter_mut().for_each(|b| *b = !*b);
        }
        chain.put_bytes(nat_t.nat_d(), &nat_d(hash, cookies, path.remote));
        chain.put_bytes(nat_t.nat_d(), &local);
    }
}

fn put_initial_contact(chain: &mut ChainWriter, cookies: Cookies) {
    let notify = Notify::isakmp(NotifyType::INITIAL_CONTACT, &cookies.bytes(), &[]);
    chain.put(PayloadType::NOTIFY, |w| notify.emit(w));
}

fn clear(cookies: Cookies, exchange: ExchangeType, chain: &ChainWriter) -> Vec<u8> {
    Header { first: chain.first(), ..header(cookies, exchange, MessageId::ZERO) }.message(chain.bytes())
}

/// A chain that holds nothing but these payloads, or racoon would drop it.
pub(super) fn strict<'a>(
    header: &Header,
    body: &'a [u8],
    allowed: &[PayloadType],
) -> Result<Chain<'a>, Drop> {
    let chain = Chain::parse(header.first, body)?;
    if chain.payloads().iter().any(|p| !allowed.contains(&p.kind)) {
        return Err(Drop::Malformed(Error::new("unexpected payload", Kind::BadValue)));
    }
    Ok(chain)
}

/// The best version among the answer's vendor IDs.
fn nat_version(chain: &Chain<'_>) -> NatT {
    let has = |id: &[u8]| chain.all(PayloadType::VENDOR_ID).any(|body| body == id);
    if has(&VID_RFC_3947) {
        NatT::Rfc
    } else if VID_DRAFTS.iter().any(|id| has(id)) {
        NatT::Draft
    } else {
        NatT::None
    }
}

fn nat_d(hash: HashAlg, cookies: Cookies, address: SocketAddr) -> Vec<u8> {
    let mut bytes = cookies.bytes().to_vec();
    match address {
        SocketAddr::V4(v4) => bytes.extend(v4.ip().octets()),
        SocketAddr::V6(v6) => bytes.extend(v6.ip().octets()),
    }
    bytes.extend(address.port().to_be_bytes());
    prf::hash(hash, &[&bytes]).to_vec()
}

/// racoon: payload 0 is "me", the others are the peer.
fn detect(chain: &Chain<'_>, version: NatT, hash: HashAlg, cookies: Cookies, path: Path) -> Nat {
    let hashes: Vec<_> = chain.all(version.nat_d()).collect();
    let [me, peers @ ..] = &hashes[..] else { return Nat { version, client: false, server: false } };
    let server = nat_d(hash, cookies, path.remote);
    Nat {
        version,
        client: *me != nat_d(hash, cookies, path.local),
        server: !peers.iter().any(|theirs| *theirs == server),
    }
}

/// The same way on port 4500.
fn floated(path: Path) -> Path {
    let port = |mut address: SocketAddr| {
        if path.encap == Encap::Ike {
            address.set_port(NAT_T_PORT);
        }
        address
    };
    Path { encap: Encap::NatT, local: port(path.local), remote: port(path.remote) }
}

fn suite_of(transform: &Transform) -> Option<IkeSuite> {
    let number =
        |kind: Phase1Attribute| transform.number_of(kind.0).and_then(|number| u16::try_from(number).ok());
    Some(IkeSuite::new(
        IkeCipher::from_attributes(
            number(Phase1Attribute::ENCRYPTION)?,
            number(Phase1Attribute::KEY_LENGTH),
        )?,
        HashAlg::from_attribute(number(Phase1Attribute::HASH)?)?,
        DhGroup::from_attribute(number(Phase1Attribute::GROUP)?)?,
    ))
}
