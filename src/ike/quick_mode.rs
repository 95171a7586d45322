//! Quick Mode (RFC 2409 section 5.5): agrees on a pair of ESP SAs under an ISAKMP SA.
//!
//! ```text
//!    Initiator                                                Responder
//!    HDR*, HASH(1), SA, Ni, [KE], IDci, IDcr, [NAT-OA]  -->                       recv_qm1
//!                         <--  HDR*, HASH(2), SA, Nr, [KE], IDci, IDcr, [NAT-OA]  send_qm2
//!    HDR*, HASH(3)                                      -->                       recv_qm3
//! ```
//!
//! The client is the initiator; we are it only at a hard limit ([`Ike::start_quick_mode`], the second half of this
//! file). Never tunnel mode. Both identities go back byte for byte, for Apple compares them.

use super::Context;
use super::keymat::{Agreed, Iv};
use super::output::{DhTag, EspSa, Event, Output, Progress, Reason, Refusal, Selectors, Stage};
use super::peer_sas::{Established, Ike, MAX_PAIRS, Opened, Pair};
use super::phase1::NONCE_LEN;
use super::proposal::{self, Phase2Choice, Phase2Need};
use crate::crypto::Secret;
use crate::crypto::dh::{DhError, DhJob, DhResult};
use crate::crypto::suite::DhGroup;
use crate::packet::{Drop, Path};
use crate::wire::isakmp::payload::{Identity, NatOa, NotifyType, check_nonce};
use crate::wire::isakmp::sa::Sa;
use crate::wire::isakmp::{Chain, ChainWriter, Cookies, ExchangeType, Flags, Header, MessageId, PayloadType};
use crate::wire::{self, Kind};
use std::net::IpAddr;
use std::time::Instant;

/// Most Quick Modes that run at once under one ISAKMP SA.
const MAX_QUICK_MODES: usize = 8;
/// UDP.
const PROTOCOL_UDP: u8 = 17;
/// L2TP.
const PORT_L2TP: u16 = 1701;

/// A Quick Mode under way.
#[derive(Debug)]
pub(super) struct QuickMode {
    pub(super) message_id: MessageId,
    pub(super) deadline: Instant,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    /// Responder: QM1 asks for PFS, the key agreement is under way elsewhere.
    ExpectDh(DhTag, Box<Offer>),
    /// Responder: QM2 is out.
    ExpectQm3 { iv: Iv, initiator_nonce: Vec<u8>, responder_nonce: [u8; NONCE_LEN], inbound_spi: u32 },
    /// Initiator: QM1 is out.
    ExpectQm2(Box<super::rekey::Sent>),
}

/// QM1, understood and accepted.
#[derive(Debug)]
pub(super) struct Offer {
    choice: Phase2Choice,
    nonce: Vec<u8>,
    group: Option<DhGroup>,
    ids: Option<(Vec<u8>, Vec<u8>)>,
    selectors: Selectors,
    original_address: Option<IpAddr>,
    next_iv: Iv,
    path: Path,
}

impl QuickMode {
    pub(super) const fn next_timeout(&self) -> Instant {
        match &self.state {
            State::ExpectQm2(sent) => sent.repeat_at,
            State::ExpectDh(..) | State::ExpectQm3 { .. } => self.deadline,
        }
    }

    pub(super) const fn holds_spi(&self, spi: u32) -> bool {
        match &self.state {
            State::ExpectQm2(sent) => sent.inbound_spi == spi,
            State::ExpectQm3 { inbound_spi, .. } => *inbound_spi == spi,
            State::ExpectDh(..) => false,
        }
    }

    /// Says what its end means.
    pub(super) fn give_up(&self, out: &mut Output) {
        match &self.state {
            State::ExpectDh(..) => (),
            State::ExpectQm3 { inbound_spi, .. } => {
                out.event(Event::EspUnconfirmed { inbound_spi: *inbound_spi });
            }
            State::ExpectQm2(sent) => {
                out.event(Event::RekeyFailed { inbound_spi: sent.replaces.inbound_spi })
            }
        }
    }
}

/// Header of our messages under an ISAKMP SA.
pub(super) const fn header(cookies: Cookies, exchange: ExchangeType, message_id: MessageId) -> Header {
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

impl Ike {
    #[expect(clippy::too_many_arguments, reason = "a message, where it came from, and where effects go")]
    pub(super) fn handle_quick_mode(
        &mut self,
        at: usize,
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        header: &Header,
        body: &[u8],
        message: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let established = &self.sas[at];
        let message_id = header.message_id;
        let keys = &established.sa.keys;
        let mut plain = Vec::new();
        let Some(index) = established.quick_modes.iter().position(|q| q.message_id == message_id) else {
            let iv = keys.phase2_iv(established.sa.phase1_iv, message_id);
            let (chain, next_iv) = Self::open(established, iv, header, body, &mut plain, |chain, hash| {
                keys.hash1(message_id, chain.after_first()).ct_eq(hash)
            })?;
            if established.answers.is_used(message_id) {
                return Err(Drop::Repeated);
            }
            let opened = Opened { message_id, chain: &chain, next_iv, message, path };
            Self::heard_from(&mut self.sas[at], path, out);
            return self.recv_qm1(at, now, ctx, &opened, out);
        };
        match &established.quick_modes[index].state {
            State::ExpectDh(..) => Err(Drop::OutOfOrder),
            State::ExpectQm3 { iv, initiator_nonce, responder_nonce, inbound_spi } => {
                let inbound_spi = *inbound_spi;
                Self::open(established, *iv, header, body, &mut plain, |_, hash| {
                    keys.hash3(message_id, initiator_nonce, responder_nonce).ct_eq(hash)
                })?;
                self.recv_qm3(at, index, message, path, inbound_spi, out);
                Ok(())
            }
            State::ExpectQm2(sent) => {
                let (chain, next_iv) =
                    Self::open(established, sent.iv, header, body, &mut plain, |chain, hash| {
                        keys.hash2(message_id, &sent.nonce, chain.after_first()).ct_eq(hash)
                    })?;
                let opened = Opened { message_id, chain: &chain, next_iv, message, path };
                self.recv_qm2(at, index, ctx, &opened, out)
            }
        }
    }

    /// QM1, authenticated.
    fn recv_qm1(
        &mut self,
        at: usize,
        now: Instant,
        ctx: &mut Context<'_>,
        opened: &Opened<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        if self.sas[at].quick_modes.len() >= MAX_QUICK_MODES || self.pairs.len() >= MAX_PAIRS {
            return Err(Drop::PeerLimit);
        }
        let offer = match read_offer(&self.sas[at], ctx, opened) {
            Ok(offer) => offer,
            Err(refusal) => return Err(self.refuse_quick_mode(at, ctx, opened, refusal, out)),
        };
        out.event(Event::Progress(Progress::Phase2Started {
            suite: offer.choice.suite,
            udp_encap: self.sas[at].sa.nat.udp(),
        }));
        let deadline = now + ctx.settings.exchange_timeout;
        let message_id = opened.message_id;
        self.sas[at].answers.insert(message_id, opened.message, Vec::new());
        let Some((group, ke)) = offer.group.zip(opened.chain.first(PayloadType::KE)) else {
            return self.send_qm2(at, ctx, message_id, deadline, offer, None, out);
        };
        let tag = self.new_tag();
        let state = State::ExpectDh(tag, Box::new(offer));
        self.sas[at].begin(QuickMode { message_id, deadline, state });
        out.event(Event::DhRequired { tag, job: DhJob { group, remote_public: ke.to_vec() } });
        Ok(())
    }

    /// Takes the result of a key agreement for PFS.
    ///
    /// # Errors
    /// If the Quick Mode is no longer there, the public value was none, or a bound of ours is reached.
    pub fn handle_dh(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        tag: DhTag,
        result: Result<DhResult, DhError>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let is_it = |q: &QuickMode| matches!(&q.state, State::ExpectDh(expected, _) if *expected == tag);
        let Some((at, index)) = self
            .sas
            .iter()
            .enumerate()
            .find_map(|(at, e)| e.quick_modes.iter().position(is_it).map(|index| (at, index)))
        else {
            return Err(Drop::UnknownCookies);
        };
        let quick_mode = self.sas[at].finish(index);
        let QuickMode { message_id, deadline, state } = quick_mode;
        let State::ExpectDh(_, offer) = state else { return Err(Drop::OutOfOrder) };
        match result {
            Ok(dh) => {
                let deadline = deadline.max(now + ctx.settings.exchange_timeout);
                self.send_qm2(at, ctx, message_id, deadline, *offer, Some(dh), out)
            }
            Err(error) => {
                let refusal = refusal(&self.sas[at], Reason::KeyExchange(error), Vec::new());
                let kind = NotifyType::INVALID_KEY_INFORMATION;
                let path = offer.path;
                let message = self.sas[at].sealed_notify(ctx.entropy, kind);
                out.send(path, &message);
                self.sas[at].answers.set_reply(message_id, message);
                let drop = refusal.drop();
                out.event(Event::Refused(Box::new(refusal)));
                Err(drop)
            }
        }
    }

    /// QM2, and the pair is there.
    #[expect(
        clippy::too_many_arguments,
        reason = "what QM1 brought, what the agreement gave, where effects go"
    )]
    fn send_qm2(
        &mut self,
        at: usize,
        ctx: &mut Context<'_>,
        message_id: MessageId,
        deadline: Instant,
        offer: Offer,
        dh: Option<DhResult>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let inbound_spi = self.new_spi(ctx)?;
        let nonce = ctx.entropy.array::<NONCE_LEN>();
        let established = &mut self.sas[at];
        let sa = &established.sa;

        let mut answer = offer.choice.answer.clone();
        for proposal in &mut answer.proposals {
            proposal.spi = inbound_spi.to_be_bytes().to_vec();
        }
        let mut rest = ChainWriter::new();
        rest.put(PayloadType::SA, |w| answer.emit(w));
        rest.put_bytes(PayloadType::NONCE, &nonce);
        if let Some(dh) = &dh {
            rest.put_bytes(PayloadType::KE, &dh.public);
        }
        if let Some((client, server)) = &offer.ids {
            rest.put_bytes(PayloadType::ID, client);
            rest.put_bytes(PayloadType::ID, server);
        }
        if let Some(version) =
            sa.nat.version.filter(|_| offer.original_address.is_some() && sa.quirks.send_nat_oa)
        {
            // As we see them: the client's address is its NAT's (RFC 3947 section 5.2).
            rest.put(version.nat_oa(), |w| NatOa(offer.path.remote.ip()).emit(w));
            rest.put(version.nat_oa(), |w| NatOa(offer.path.local.ip()).emit(w));
        }
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::HASH, &sa.keys.hash2(message_id, &offer.nonce, rest.bytes()));
        chain.append(&rest);
        let header = header(sa.cookies, ExchangeType::QUICK_MODE, message_id);
        let (message, iv) = sa.keys.seal(offer.next_iv, &header, &chain);
        out.send(offer.path, &message);

        let agreed = Agreed {
            shared: dh.as_ref().map(|dh| &dh.shared),
            initiator_nonce: &offer.nonce,
            responder_nonce: &nonce,
        };
        let keymat = |spi| -> Secret { sa.keys.keymat(offer.choice.suite, spi, &agreed) };
        let esp = EspSa {
            cookies: sa.cookies,
            inbound_spi,
            outbound_spi: offer.choice.remote_spi,
            suite: offer.choice.suite,
            inbound_key: keymat(inbound_spi),
            outbound_key: keymat(offer.choice.remote_spi),
            udp_encap: sa.nat.udp(),
            path: offer.path,
            selectors: offer.selectors,
            original_address: offer.original_address,
            life_seconds: offer.choice.seconds,
            life_kilobytes: offer.choice.kilobytes,
            pfs: offer.group,
            confirmed: false,
            replaces: None,
        };
        self.pairs.reserve_exact(1);
        self.pairs.push(Pair::of(&esp));
        let state =
            State::ExpectQm3 { iv, initiator_nonce: offer.nonce, responder_nonce: nonce, inbound_spi };
        established.answers.set_reply(message_id, message);
        established.begin(QuickMode { message_id, deadline, state });
        out.event(Event::EspReady(Box::new(esp)));
        Ok(())
    }

    /// QM3, authenticated: the client has QM2.
    fn recv_qm3(
        &mut self,
        at: usize,
        index: usize,
        message: &[u8],
        path: Path,
        inbound_spi: u32,
        out: &mut Output,
    ) {
        let established = &mut self.sas[at];
        let quick_mode = established.finish(index);
        established.answers.settle(quick_mode.message_id, message);
        Self::heard_from(established, path, out);
        out.event(Event::EspConfirmed { inbound_spi });
    }

    fn refuse_quick_mode(
        &mut self,
        at: usize,
        ctx: &mut Context<'_>,
        opened: &Opened<'_>,
        refusal: Refusal,
        out: &mut Output,
    ) -> Drop {
        let kind = match refusal.reason {
            Reason::Malformed(_) => NotifyType::PAYLOAD_MALFORMED,
            Reason::Selectors(_) => NotifyType::INVALID_ID_INFORMATION,
            _ => NotifyType::NO_PROPOSAL_CHOSEN,
        };
        let message = self.sas[at].sealed_notify(ctx.entropy, kind);
        out.send(opened.path, &message);
        self.sas[at].answers.insert(opened.message_id, opened.message, message);
        let drop = refusal.drop();
        out.event(Event::Refused(Box::new(refusal)));
        drop
    }

    pub(super) fn expire_quick_modes(&mut self, at: usize, now: Instant, out: &mut Output) {
        let established = &mut self.sas[at];
        for index in (0..established.quick_modes.len()).rev() {
            let quick_mode = &mut established.quick_modes[index];
            if quick_mode.next_timeout() > now {
                continue;
            }
            if let State::ExpectQm2(sent) = &mut quick_mode.state
                && sent.repeat(now, established.sa.path, out)
            {
                continue;
            }
            established.finish(index).give_up(out);
        }
    }
}

/// Understands QM1 and chooses.
fn read_offer(established: &Established, ctx: &Context<'_>, opened: &Opened<'_>) -> Result<Offer, Refusal> {
    let chain = opened.chain;
    let malformed = |error| refusal(established, Reason::Malformed(error), Vec::new());
    let sa = chain.only(PayloadType::SA, "SA payload").and_then(Sa::parse).map_err(malformed)?;
    let nonce =
        chain.only(PayloadType::NONCE, "Nonce payload").and_then(check_nonce).map_err(malformed)?.to_vec();
    let ids = read_ids(chain).map_err(malformed)?;
    let offered = || proposal::describe_phase2(&sa);
    let selectors = selectors(ids, opened.path).map_err(malformed)?;
    if let Some(text) = unsuitable(&selectors) {
        return Err(refusal(established, Reason::Selectors(text), offered()));
    }

    let nat = established.sa.nat;
    let need = |group| Phase2Need {
        policy: &ctx.settings.policy,
        quirks: &established.sa.quirks,
        encapsulations: nat.encapsulations(),
        group,
    };
    // The length of a public value names its group, as far as the offers agree.
    let (choice, group) = match chain.first(PayloadType::KE) {
        None => (proposal::choose_phase2(&sa, &need(None)), None),
        Some(ke) => {
            let allowed = |group: &DhGroup| ctx.settings.policy.ike.iter().any(|suite| suite.group == *group);
            let groups = super::peer_sas::groups_of_ke(ke.len()).filter(allowed);
            let mut chosen = (Err(proposal::Mismatch::Group), None);
            for group in groups {
                chosen = (proposal::choose_phase2(&sa, &need(Some(group))), Some(group));
                if chosen.0.is_ok() {
                    break;
                }
            }
            chosen
        }
    };
    let choice = choice.map_err(|mismatch| refusal(established, Reason::NoProposal(mismatch), offered()))?;
    let original_address = nat
        .version
        .and_then(|version| chain.first(version.nat_oa()))
        .and_then(|body| NatOa::parse(body).ok())
        .map(|oa| oa.0);
    Ok(Offer {
        choice,
        nonce,
        group,
        ids: ids.map(|(client, server)| (client.to_vec(), server.to_vec())),
        selectors,
        original_address,
        next_iv: opened.next_iv,
        path: opened.path,
    })
}

type Ids<'a> = Option<(&'a [u8], &'a [u8])>;

/// Both identities or none.
fn read_ids<'a>(chain: &Chain<'a>) -> Result<Ids<'a>, wire::Error> {
    let mut ids = chain.all(PayloadType::ID);
    match (ids.next(), ids.next(), ids.next()) {
        (None, _, _) => Ok(None),
        (Some(client), Some(server), None) => Ok(Some((client, server))),
        (_, None, _) => Err(wire::Error::new("ID payload", Kind::Missing)),
        (_, _, Some(_)) => Err(wire::Error::new("ID payload", Kind::TooMany)),
    }
}

/// Without identities the SA is for everything between the two addresses (RFC 2409 section 5.5).
fn selectors(ids: Ids<'_>, path: Path) -> Result<Selectors, wire::Error> {
    let Some((client, server)) = ids else {
        return Ok(Selectors {
            client: Identity::address(path.remote.ip(), 0, 0),
            server: Identity::address(path.local.ip(), 0, 0),
        });
    };
    Ok(Selectors { client: Identity::parse(client)?, server: Identity::parse(server)? })
}

/// Why we cannot carry this traffic: it must be UDP to our port 1701 between two hosts. Addresses are not compared, for
/// NATs on either side make them differ.
fn unsuitable(selectors: &Selectors) -> Option<String> {
    let host = |id: &Identity| id.to_address().is_some();
    let udp = |id: &Identity| id.protocol == 0 || id.protocol == PROTOCOL_UDP;
    let Selectors { client, server } = selectors;
    let suits = host(client) && host(server) && udp(client) && udp(server);
    let port = server.port == 0 || server.port == PORT_L2TP;
    (!suits || !port).then(|| format!("{client} to {server}"))
}

fn refusal(established: &Established, reason: Reason, offered: Vec<String>) -> Refusal {
    Refusal { stage: Stage::QuickMode, reason, hint: established.sa.client.hint, offered }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Encap;
    use crate::wire::isakmp::payload::IdType;

    #[test]
    fn only_l2tp_between_two_hosts_is_suitable() {
        let id = |text: &str, protocol, port| Identity::address(text.parse().unwrap(), protocol, port);
        let server = || id("203.0.113.1", 17, 1701);
        let refused = |client, server| unsuitable(&Selectors { client, server });
        // What clients send: no port, an ephemeral one, 1701; no protocol at all; the private address of either side.
        for client in
            [id("10.0.0.5", 17, 0), id("10.0.0.5", 17, 54321), id("10.0.0.5", 17, 1701), id("10.0.0.5", 0, 0)]
        {
            assert_eq!(refused(client.clone(), server()), None);
            assert_eq!(refused(client, id("192.168.1.2", 0, 0)), None);
        }
        // Another port, another protocol, a network.
        let client = || id("10.0.0.5", 17, 1701);
        let text = refused(client(), id("203.0.113.1", 17, 53));
        assert_eq!(text.as_deref(), Some("10.0.0.5[17/1701] to 203.0.113.1[17/53]"));
        assert!(refused(id("10.0.0.5", 6, 1701), server()).is_some());
        assert!(refused(client(), id("203.0.113.1", 47, 0)).is_some());
        let network = Identity { kind: IdType::IPV4_ADDR_SUBNET, protocol: 0, port: 0, data: vec![0; 8] };
        assert!(refused(network.clone(), server()).is_some() && refused(client(), network).is_some());
    }

    #[test]
    fn without_identities_the_addresses_of_the_path_are_meant() {
        let path = Path {
            encap: Encap::Ike,
            local: "203.0.113.1:500".parse().unwrap(),
            remote: "198.51.100.7:500".parse().unwrap(),
        };
        let meant = selectors(None, path).unwrap();
        assert_eq!(
            (meant.client.to_string(), meant.server.to_string()),
            ("198.51.100.7".into(), "203.0.113.1".into())
        );
        assert_eq!(unsuitable(&meant), None);
    }
}
