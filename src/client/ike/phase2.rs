//! Quick Mode and Informational from the client's side (RFC 2409 sections 5.5 and 5.7, RFC 3706).

use super::keys::header;
use super::phase1::{NatT, Pair, Sa};
use super::{EspPair, Event, Failure, Initiator, Output, Pending};
use crate::crypto::dh::KeyPair;
use crate::crypto::suite::EspSuite;
use crate::packet::{Drop, Path};
use crate::wire::isakmp::payload::{Delete, Identity, NatOa, Notify, NotifyType};
use crate::wire::isakmp::sa::{
    Attribute, Encapsulation, LifeType, Phase2Attribute, Proposal, Protocol, Sa as SaPayload, Transform,
};
use crate::wire::isakmp::{Chain, ChainWriter, Cookies, ExchangeType, Header, MessageId, PayloadType};
use std::time::Instant;

const UDP: u8 = 17;
const L2TP: u16 = 1701;

/// A Quick Mode under way, ours or the server's.
#[derive(Debug)]
pub(super) struct QuickMode {
    cookies: Cookies,
    message_id: MessageId,
    pub(super) pending: Pending,
    spi: u32,
    nonce: Vec<u8>,
    iv: Vec<u8>,
    role: Role,
}

#[derive(Debug)]
enum Role {
    Initiator { pair: Option<Pair>, ids: (Vec<u8>, Vec<u8>) },
    Responder { server_nonce: Vec<u8>, esp: Box<EspPair> },
}

impl QuickMode {
    pub(super) const fn is_ours(&self) -> bool {
        matches!(self.role, Role::Initiator { .. })
    }
}

impl Initiator {
    /// Begins a Quick Mode under the newest ISAKMP SA: the first pair, or one that replaces another. False if there is
    /// no SA.
    pub fn start_quick_mode(&mut self, now: Instant, out: &mut Output) -> bool {
        let Some(at) = self.sas.len().checked_sub(1) else { return false };
        let message_id = self.new_message_id();
        let spi = self.new_spi();
        let nonce = self.nonce();
        let pair =
            self.config.pfs.and_then(|group| KeyPair::generate(group, &mut self.entropy).ok()).map(Pair);
        let sa = &self.sas[at];
        let client = Identity::address(sa.path.local.ip(), UDP, self.client_port).to_bytes();
        let server = Identity::address(sa.path.remote.ip(), UDP, L2TP).to_bytes();
        let mut rest = ChainWriter::new();
        rest.put(PayloadType::SA, |w| self.offer(sa, spi).emit(w));
        rest.put_bytes(PayloadType::NONCE, &nonce);
        if let Some(pair) = &pair {
            rest.put_bytes(PayloadType::KE, pair.0.public());
        }
        rest.put_bytes(PayloadType::ID, &client);
        rest.put_bytes(PayloadType::ID, &server);
        if self.config.nat_oa && sa.nat.udp() {
            rest.put(sa.nat.version.nat_oa(), |w| NatOa(sa.path.local.ip()).emit(w));
            rest.put(sa.nat.version.nat_oa(), |w| NatOa(sa.path.remote.ip()).emit(w));
        }
        let mut iv = sa.keys.phase2_iv(message_id);
        let head = header(sa.cookies, ExchangeType::QUICK_MODE, message_id);
        let message = sa.keys.protected(&mut iv, head, &[], &rest);
        let (cookies, path) = (sa.cookies, sa.path);
        out.send(path, &message);
        let pending = self.pending(now, path, message);
        let role = Role::Initiator { pair, ids: (client, server) };
        self.quick_modes.push(QuickMode { cookies, message_id, pending, spi, nonce, iv, role });
        true
    }

    #[expect(clippy::too_many_arguments, reason = "a message, where it came from, and where effects go")]
    pub(super) fn handle_quick_mode(
        &mut self,
        at: usize,
        now: Instant,
        path: Path,
        header: &Header,
        body: &[u8],
        message: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let is_it = |q: &QuickMode| q.cookies == header.cookies && q.message_id == header.message_id;
        let Some(index) = self.quick_modes.iter().position(is_it) else {
            return self.recv_qm1(at, now, path, header, body, out);
        };
        debug_assert!(message.len() >= Header::LEN);
        match &self.quick_modes[index].role {
            Role::Initiator { .. } => self.recv_qm2(at, index, path, header, body, out),
            Role::Responder { server_nonce, esp } => {
                let quick_mode = &self.quick_modes[index];
                let sa = &self.sas[at];
                let (plain, _) = sa.keys.open(&quick_mode.iv, body)?;
                let chain = Chain::parse(header.first, &plain).map_err(|_| Drop::IkeAuthFailed)?;
                let proof =
                    sa.keys.hash(&[&[0], &header.message_id.bytes(), server_nonce, &quick_mode.nonce]);
                if chain.first(PayloadType::HASH) != Some(&proof) {
                    return Err(Drop::IkeAuthFailed);
                }
                self.pairs.push((**esp).clone());
                out.events.push(Event::EspUp(esp.clone()));
                self.quick_modes.remove(index);
                Ok(())
            }
        }
    }

    /// The answer to our Quick Mode; QM3 goes out.
    fn recv_qm2(
        &mut self,
        at: usize,
        index: usize,
        path: Path,
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let quick_mode = &self.quick_modes[index];
        let Role::Initiator { pair, ids } = &quick_mode.role else { return Err(Drop::OutOfOrder) };
        let sa = &self.sas[at];
        let message_id = quick_mode.message_id;
        let (plain, mut iv) = sa.keys.open(&quick_mode.iv, body)?;
        let chain = Chain::parse(header.first, &plain).map_err(|_| Drop::IkeAuthFailed)?;
        if !sa.keys.verifies(message_id, &quick_mode.nonce, &chain) {
            return Err(Drop::IkeAuthFailed);
        }
        let answer = SaPayload::parse(chain.only(PayloadType::SA, "SA payload")?)?;
        let offered = self.offer(sa, quick_mode.spi);
        let (suite, outbound_spi, life_seconds) = chosen(&answer, &offered)?;
        let server_nonce = chain.only(PayloadType::NONCE, "Nonce payload")?;
        let returned: Vec<_> = chain.all(PayloadType::ID).collect();
        if self.config.strict_ids && returned != [&ids.0[..], &ids.1[..]] {
            return Err(Drop::NoProposalChosen);
        }
        let shared = match pair {
            None => None,
            Some(pair) => {
                let ke = chain.only(PayloadType::KE, "KE payload")?;
                Some(pair.0.agree(ke).map_err(|_| Drop::IkeAuthFailed)?)
            }
        };
        let shared: &[u8] = shared.as_ref().map_or(&[], |s| s);
        let keymat = |spi| sa.keys.keymat(suite, shared, spi, &quick_mode.nonce, server_nonce);
        let esp = EspPair {
            inbound_spi: quick_mode.spi,
            outbound_spi,
            suite,
            inbound_key: keymat(quick_mode.spi),
            outbound_key: keymat(outbound_spi),
            udp_encap: sa.nat.udp(),
            path: sa.path,
            life_seconds,
        };
        let mut reply = ChainWriter::new();
        let proof = sa.keys.hash(&[&[0], &message_id.bytes(), &quick_mode.nonce, server_nonce]);
        reply.put_bytes(PayloadType::HASH, &proof);
        let head = super::keys::header(sa.cookies, ExchangeType::QUICK_MODE, message_id);
        let message = sa.keys.seal(&mut iv, head, &reply);
        out.send(Path { remote: path.remote, ..sa.path }, &message);
        self.pairs.push(esp.clone());
        out.events.push(Event::EspUp(Box::new(esp)));
        self.quick_modes.remove(index);
        Ok(())
    }

    /// The server begins a Quick Mode.
    fn recv_qm1(
        &mut self,
        at: usize,
        now: Instant,
        path: Path,
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let message_id = header.message_id;
        let sa = &self.sas[at];
        let (plain, mut iv) = sa.keys.open(&sa.keys.phase2_iv(message_id), body)?;
        let chain = Chain::parse(header.first, &plain).map_err(|_| Drop::IkeAuthFailed)?;
        if !sa.keys.verifies(message_id, &[], &chain) {
            return Err(Drop::IkeAuthFailed);
        }
        if !self.config.accepts_server_rekey {
            self.send_informational(at, out, |rest| {
                let notify = Notify::isakmp(NotifyType::NO_PROPOSAL_CHOSEN, &[], &[]);
                rest.put(PayloadType::NOTIFY, |w| notify.emit(w));
            });
            return Err(Drop::NoProposalChosen);
        }
        let mut answer = SaPayload::parse(chain.only(PayloadType::SA, "SA payload")?)?;
        let (suite, outbound_spi, life_seconds) = chosen(&answer, &answer)?;
        let server_nonce = chain.only(PayloadType::NONCE, "Nonce payload")?.to_vec();
        let ids: Vec<_> = chain.all(PayloadType::ID).map(<[u8]>::to_vec).collect();
        let (spi, nonce) = (self.new_spi(), self.nonce());
        for proposal in &mut answer.proposals {
            proposal.spi = spi.to_be_bytes().to_vec();
        }
        let sa = &self.sas[at];
        let mut rest = ChainWriter::new();
        rest.put(PayloadType::SA, |w| answer.emit(w));
        rest.put_bytes(PayloadType::NONCE, &nonce);
        ids.iter().for_each(|id| rest.put_bytes(PayloadType::ID, id));
        let head = super::keys::header(sa.cookies, ExchangeType::QUICK_MODE, message_id);
        let message = sa.keys.protected(&mut iv, head, &server_nonce, &rest);
        let keymat = |spi| sa.keys.keymat(suite, &[], spi, &server_nonce, &nonce);
        let esp = EspPair {
            inbound_spi: spi,
            outbound_spi,
            suite,
            inbound_key: keymat(spi),
            outbound_key: keymat(outbound_spi),
            udp_encap: sa.nat.udp(),
            path: sa.path,
            life_seconds,
        };
        let cookies = sa.cookies;
        out.send(path, &message);
        let pending = self.pending(now, path, message);
        let role = Role::Responder { server_nonce, esp: Box::new(esp) };
        self.quick_modes.push(QuickMode { cookies, message_id, pending, spi, nonce, iv, role });
        Ok(())
    }

    pub(super) fn handle_informational(
        &mut self,
        at: usize,
        path: Path,
        header: &Header,
        body: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let sa = &self.sas[at];
        let (plain, _) = sa.keys.open(&sa.keys.phase2_iv(header.message_id), body)?;
        let chain = Chain::parse(header.first, &plain).map_err(|_| Drop::IkeAuthFailed)?;
        if !sa.keys.verifies(header.message_id, &[], &chain) {
            return Err(Drop::IkeAuthFailed);
        }
        let cookies = sa.cookies;
        let notifies = chain.all(PayloadType::NOTIFY).map(Notify::parse).collect::<Result<Vec<_>, _>>()?;
        let deletes = chain.all(PayloadType::DELETE).map(Delete::parse).collect::<Result<Vec<_>, _>>()?;
        self.sas[at].path.remote = path.remote;
        for notify in notifies {
            match notify.kind {
                NotifyType::R_U_THERE => {
                    let answer = Notify { kind: NotifyType::R_U_THERE_ACK, ..notify };
                    self.send_informational(at, out, |rest| {
                        rest.put(PayloadType::NOTIFY, |w| answer.emit(w));
                    });
                }
                NotifyType::R_U_THERE_ACK => out.events.push(Event::Alive),
                kind => {
                    out.events.push(Event::Notified { kind, authenticated: true });
                    let ours = |q: &QuickMode| q.cookies == cookies && q.is_ours();
                    if kind.is_error() && self.quick_modes.iter().any(ours) {
                        self.quick_modes.retain(|q| !ours(q));
                        out.events.push(Event::Failed(Failure::Refused(kind)));
                    }
                }
            }
        }
        for delete in deletes {
            for spi in &delete.spis {
                if let (Protocol::ESP, Ok(spi)) = (delete.protocol, <[u8; 4]>::try_from(&spi[..])) {
                    let outbound = u32::from_be_bytes(spi);
                    let gone = self.pairs.iter().find(|p| p.outbound_spi == outbound).map(|p| p.inbound_spi);
                    self.pairs.retain(|p| p.outbound_spi != outbound);
                    out.events.extend(gone.map(|inbound_spi| Event::EspDeleted { inbound_spi }));
                } else if let Some(cookies) = Cookies::from_spi(spi) {
                    self.sas.retain(|sa| sa.cookies != cookies);
                    out.events.push(Event::IsakmpDeleted { cookies });
                }
            }
        }
        Ok(())
    }

    /// Asks the server whether it is there.
    pub fn send_dpd(&mut self, seq: u32, out: &mut Output) {
        let Some(at) = self.sas.len().checked_sub(1) else { return };
        let notify = Notify::isakmp(NotifyType::R_U_THERE, &self.sas[at].cookies.bytes(), &seq.to_be_bytes());
        self.send_informational(at, out, |rest| rest.put(PayloadType::NOTIFY, |w| notify.emit(w)));
    }

    /// Deletes a pair: the server is told what we received on.
    pub fn delete_esp(&mut self, inbound_spi: u32, out: &mut Output) {
        self.pairs.retain(|pair| pair.inbound_spi != inbound_spi);
        let Some(at) = self.sas.len().checked_sub(1) else { return };
        let delete = Delete::esp(&[inbound_spi]);
        self.send_informational(at, out, |rest| rest.put(PayloadType::DELETE, |w| delete.emit(w)));
    }

    /// Drops an ISAKMP SA; the server is told if `tell` says so.
    pub fn delete_isakmp(&mut self, cookies: Cookies, tell: bool, out: &mut Output) {
        let Some(at) = self.sas.iter().position(|sa| sa.cookies == cookies) else { return };
        if tell {
            let delete = Delete::isakmp(cookies);
            self.send_informational(at, out, |rest| rest.put(PayloadType::DELETE, |w| delete.emit(w)));
        }
        self.sas.remove(at);
        self.quick_modes.retain(|q| q.cookies != cookies);
    }

    /// Leaves: Deletes for everything.
    pub fn close(&mut self, out: &mut Output) {
        for pair in self.pairs.clone() {
            self.delete_esp(pair.inbound_spi, out);
        }
        while let Some(cookies) = self.sas.first().map(|sa| sa.cookies) {
            self.delete_isakmp(cookies, true, out);
        }
    }

    /// Sends a protected Informational with the payloads that `put` adds.
    pub(super) fn send_informational(
        &mut self,
        at: usize,
        out: &mut Output,
        put: impl FnOnce(&mut ChainWriter),
    ) {
        // Random even where Quick Modes are counted, as Windows has it.
        let message_id = MessageId(self.entropy.u32() | 1);
        let sa = &self.sas[at];
        let mut rest = ChainWriter::new();
        put(&mut rest);
        let mut iv = sa.keys.phase2_iv(message_id);
        let head = header(sa.cookies, ExchangeType::INFORMATIONAL, message_id);
        out.send(sa.path, &sa.keys.protected(&mut iv, head, &[], &rest));
    }

    fn new_spi(&mut self) -> u32 {
        self.entropy.u32().max(0x100)
    }

    fn offer(&self, sa: &Sa, spi: u32) -> SaPayload {
        let encapsulation = match (sa.nat.udp(), sa.nat.version) {
            (false, _) | (_, NatT::None) => Encapsulation::TRANSPORT,
            (true, NatT::Rfc) => Encapsulation::UDP_TRANSPORT,
            (true, NatT::Draft) => Encapsulation::UDP_TRANSPORT_DRAFT,
        };
        let transforms: Vec<_> = (1..=u8::MAX)
            .zip(&self.config.esp)
            .map(|(number, suite)| self.transform(number, *suite, encapsulation))
            .collect();
        let spi = spi.to_be_bytes().to_vec();
        let proposal =
            |number, transforms| Proposal { number, protocol: Protocol::ESP, spi: spi.clone(), transforms };
        SaPayload::new(if self.config.esp_in_proposals {
            (1..=u8::MAX)
                .zip(transforms)
                .map(|(number, transform)| proposal(number, vec![Transform { number: 1, ..transform }]))
                .collect()
        } else {
            vec![proposal(1, transforms)]
        })
    }

    fn transform(&self, number: u8, suite: EspSuite, encapsulation: Encapsulation) -> Transform {
        let mut attributes = vec![
            Attribute::short(Phase2Attribute::LIFE_TYPE.0, LifeType::SECONDS.0),
            Attribute::long(Phase2Attribute::LIFE_DURATION.0, self.config.esp_seconds),
        ];
        if let Some(kilobytes) = self.config.esp_kilobytes {
            attributes.push(Attribute::short(Phase2Attribute::LIFE_TYPE.0, LifeType::KILOBYTES.0));
            attributes.push(Attribute::long(Phase2Attribute::LIFE_DURATION.0, kilobytes));
        }
        attributes.push(Attribute::short(Phase2Attribute::ENCAPSULATION.0, encapsulation.0));
        let key_length = suite.cipher().key_length_attribute();
        attributes.extend(key_length.map(|bits| Attribute::short(Phase2Attribute::KEY_LENGTH.0, bits)));
        let auth = suite.auth().attribute();
        attributes.extend(auth.map(|auth| Attribute::short(Phase2Attribute::AUTHENTICATION.0, auth)));
        let group = self.config.pfs.map(|group| group.attribute());
        attributes.extend(group.map(|group| Attribute::short(Phase2Attribute::GROUP.0, group)));
        Transform { number, id: suite.cipher().transform_id(), attributes }
    }
}

/// The one transform of an answer, which must mean the same as one of the offers.
fn chosen(answer: &SaPayload, offered: &SaPayload) -> Result<(EspSuite, u32, Option<u32>), Drop> {
    let [proposal] = &answer.proposals[..] else { return Err(Drop::NoProposalChosen) };
    let [transform] = &proposal.transforms[..] else { return Err(Drop::NoProposalChosen) };
    let meaning = |transform: &Transform| {
        let number =
            |kind: Phase2Attribute| transform.number_of(kind.0).and_then(|number| u16::try_from(number).ok());
        let suite = EspSuite::from_transform(
            transform.id,
            number(Phase2Attribute::KEY_LENGTH),
            number(Phase2Attribute::AUTHENTICATION),
        );
        suite.map(|suite| (suite, number(Phase2Attribute::ENCAPSULATION), number(Phase2Attribute::GROUP)))
    };
    let chosen = meaning(transform);
    let mut offers = offered.proposals.iter().flat_map(|proposal| &proposal.transforms);
    if proposal.protocol != Protocol::ESP || !offers.any(|offer| meaning(offer) == chosen) {
        return Err(Drop::NoProposalChosen);
    }
    let spi = <[u8; 4]>::try_from(&proposal.spi[..]).map_err(|_| Drop::NoProposalChosen)?;
    let life = transform.phase2_lifetime(LifeType::SECONDS).and_then(|life| u32::try_from(life).ok());
    let (suite, ..) = chosen.ok_or(Drop::NoProposalChosen)?;
    Ok((suite, u32::from_be_bytes(spi), life))
}
