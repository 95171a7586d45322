//! Quick Mode as initiator: only where a pair of ESP SAs reaches a hard limit (sequence numbers) before its client
//! renewed it. Clients renew in time; some refuse ours, and then the old pair simply ends.

use super::Context;
use super::keymat::{Agreed, Iv};
use super::output::{EspSa, Event, Output};
use super::peer_sas::{Ike, MAX_PAIRS, Opened, Pair};
use super::phase1::NONCE_LEN;
use super::proposal::{self, Phase2Need};
use super::quick_mode::{QuickMode, State, header};
use super::settings::Policy;
use crate::packet::{Drop, Path};
use crate::wire::isakmp::payload::check_nonce;
use crate::wire::isakmp::sa::{
    Attribute, Encapsulation, LifeType, Phase2Attribute, Proposal, Protocol, Sa, Transform,
};
use crate::wire::isakmp::{ChainWriter, ExchangeType, MessageId, PayloadType};
use std::time::{Duration, Instant};

/// First wait for QM2; it doubles.
const FIRST_REPEAT: Duration = Duration::from_secs(2);
/// QM1 is sent this often in all: 2, 4, 8 and 16 seconds apart.
const TRIES: u8 = 4;

/// QM1 of ours, unanswered.
#[derive(Debug)]
pub(super) struct Sent {
    /// Of QM2.
    pub(super) iv: Iv,
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) inbound_spi: u32,
    pub(super) replaces: Pair,
    pub(super) repeat_at: Instant,
    message: Vec<u8>,
    wait: Duration,
    tries_left: u8,
    encapsulation: Encapsulation,
}

impl Sent {
    /// Sends QM1 again; false if it was sent often enough.
    pub(super) fn repeat(&mut self, now: Instant, path: Path, out: &mut Output) -> bool {
        if self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        self.wait *= 2;
        self.repeat_at = now + self.wait;
        out.send(path, &self.message);
        true
    }
}

impl Ike {
    /// Proposes a successor for a pair: same suite, same traffic, same lifetimes, no PFS.
    ///
    /// # Errors
    /// If there is no ISAKMP SA to do it under, the pair is unknown, or a successor is under way already.
    pub fn start_quick_mode(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        inbound_spi: u32,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let at = self.sas.len().checked_sub(1).ok_or(Drop::UnknownCookies)?;
        let replaces =
            self.pairs.iter().find(|pair| pair.inbound_spi == inbound_spi).ok_or(Drop::UnknownSpi)?.clone();
        let under_way = |q: &QuickMode| match &q.state {
            State::ExpectQm2(sent) => sent.replaces.inbound_spi == inbound_spi,
            State::ExpectDh(..) | State::ExpectQm3 { .. } => false,
        };
        if self.sas.iter().flat_map(|e| &e.quick_modes).any(under_way) || self.pairs.len() >= MAX_PAIRS {
            return Err(Drop::PeerLimit);
        }
        let new_spi = self.new_spi(ctx)?;
        let established = &mut self.sas[at];
        let sa = &established.sa;
        let message_id = loop {
            let id = MessageId(ctx.entropy.u32() | 1);
            if !established.answers.is_used(id) {
                break id;
            }
        };
        let nonce = ctx.entropy.array::<NONCE_LEN>();
        let encapsulation = if sa.nat.udp() {
            sa.nat.version.map_or(Encapsulation::TRANSPORT, super::NatVersion::udp_transport)
        } else {
            Encapsulation::TRANSPORT
        };
        let mut rest = ChainWriter::new();
        rest.put(PayloadType::SA, |w| offer(&replaces, new_spi, encapsulation).emit(w));
        rest.put_bytes(PayloadType::NONCE, &nonce);
        // We are the initiator now, so our own identity comes first.
        rest.put(PayloadType::ID, |w| replaces.selectors.server.emit(w));
        rest.put(PayloadType::ID, |w| replaces.selectors.client.emit(w));
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::HASH, &sa.keys.hash1(message_id, rest.bytes()));
        chain.append(&rest);
        let header = header(sa.cookies, ExchangeType::QUICK_MODE, message_id);
        let iv = sa.keys.phase2_iv(sa.phase1_iv, message_id);
        let (message, iv) = sa.keys.seal(iv, &header, &chain);
        out.send(sa.path, &message);
        let sent = Sent {
            iv,
            nonce,
            inbound_spi: new_spi,
            replaces,
            repeat_at: now + FIRST_REPEAT,
            message,
            wait: FIRST_REPEAT,
            tries_left: TRIES - 1,
            encapsulation,
        };
        let deadline = now + ctx.settings.exchange_timeout;
        let state = State::ExpectQm2(Box::new(sent));
        established.begin(QuickMode { message_id, deadline, state });
        Ok(())
    }

    /// QM2, authenticated: QM3, and the pair is there.
    pub(super) fn recv_qm2(
        &mut self,
        at: usize,
        index: usize,
        ctx: &Context<'_>,
        opened: &Opened<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let established = &mut self.sas[at];
        let State::ExpectQm2(sent) = &established.quick_modes[index].state else {
            return Err(Drop::OutOfOrder);
        };
        let answer = Sa::parse(opened.chain.only(PayloadType::SA, "SA payload")?)?;
        let nonce = check_nonce(opened.chain.only(PayloadType::NONCE, "Nonce payload")?)?;
        // What comes back must be what was offered.
        let policy = Policy { name: String::new(), ike: Vec::new(), esp: vec![sent.replaces.suite] };
        let encapsulations = &[sent.encapsulation];
        let quirks = &established.sa.quirks;
        let need = Phase2Need { policy: &policy, quirks, encapsulations, group: None };
        let choice = proposal::choose_phase2(&answer, &need).map_err(|_| Drop::NoProposalChosen)?;

        let sa = &established.sa;
        let mut chain = ChainWriter::new();
        let proof = sa.keys.hash3(opened.message_id, &sent.nonce, nonce);
        chain.put_bytes(PayloadType::HASH, &proof);
        let header = header(sa.cookies, ExchangeType::QUICK_MODE, opened.message_id);
        let (message, _) = sa.keys.seal(opened.next_iv, &header, &chain);
        out.send(opened.path, &message);

        let agreed = Agreed { shared: None, initiator_nonce: &sent.nonce, responder_nonce: nonce };
        let keymat = |spi| sa.keys.keymat(choice.suite, spi, &agreed);
        let esp = EspSa {
            cookies: sa.cookies,
            inbound_spi: sent.inbound_spi,
            outbound_spi: choice.remote_spi,
            suite: choice.suite,
            inbound_key: keymat(sent.inbound_spi),
            outbound_key: keymat(choice.remote_spi),
            udp_encap: sa.nat.udp(),
            path: opened.path,
            selectors: sent.replaces.selectors.clone(),
            original_address: None,
            life_seconds: choice.seconds,
            life_kilobytes: choice.kilobytes,
            pfs: None,
            confirmed: true,
            replaces: Some(sent.replaces.inbound_spi),
        };
        established.answers.insert(opened.message_id, opened.message, message);
        established.finish(index);
        Self::heard_from(established, opened.path, out);
        self.pairs.push(Pair::of(&esp));
        out.event(Event::EspReady(Box::new(esp)));
        debug_assert!(ctx.settings.exchange_timeout > Duration::ZERO);
        Ok(())
    }
}

/// One proposal with one transform.
fn offer(pair: &Pair, spi: u32, encapsulation: Encapsulation) -> Sa {
    let suite = pair.suite;
    let mut attributes = vec![Attribute::short(Phase2Attribute::ENCAPSULATION.0, encapsulation.0)];
    let mut life = |unit: LifeType, value: Option<u32>| {
        if let Some(value) = value {
            attributes.push(Attribute::short(Phase2Attribute::LIFE_TYPE.0, unit.0));
            attributes.push(Attribute::long(Phase2Attribute::LIFE_DURATION.0, value));
        }
    };
    life(LifeType::SECONDS, pair.life_seconds);
    life(LifeType::KILOBYTES, pair.life_kilobytes);
    if let Some(bits) = suite.cipher().key_length_attribute() {
        attributes.push(Attribute::short(Phase2Attribute::KEY_LENGTH.0, bits));
    }
    if let Some(auth) = suite.auth().attribute() {
        attributes.push(Attribute::short(Phase2Attribute::AUTHENTICATION.0, auth));
    }
    let transform = Transform { number: 1, id: suite.cipher().transform_id(), attributes };
    let spi = spi.to_be_bytes().to_vec();
    Sa::new(vec![Proposal { number: 1, protocol: Protocol::ESP, spi, transforms: vec![transform] }])
}
