//! Main Mode with a pre-shared key, responder (RFC 2409 section 5.4; NAT-D from RFC 3947 section 3).
//!
//! ```text
//!    Initiator                                Responder
//!    HDR, SA, VID...                  -->                            recv_sa
//!                                     <--     HDR, SA, VID...        send_sa
//!    HDR, KE, Ni, NAT-D...            -->                            recv_ke
//!                                     <--     HDR, KE, Nr, NAT-D...  send_ke
//!    HDR*, IDii, HASH_I, [N]          -->                            recv_id
//!                                     <--     HDR*, IDir, HASH_R     send_id
//! ```
//!
//! Interop: the answers hold what is drawn here and nothing else. racoon (Android, Apple) drops a whole message for one
//! payload that it does not expect, and for any flag but Encryption.

use super::Context;
use super::exchange::{Answer, Lookup};
use super::keymat::{self, Iv, Keys, Public};
use super::nat_traversal::{self, NatSituation};
use super::output::{DhTag, Event, Output, Progress, Reason, Refusal, Stage};
use super::phase1::{First, HalfOpen, Input, NONCE_LEN, clear_notify};
use super::sa::IsakmpSa;
use super::settings::{MAX_PSKS, Psk, PskId};
use crate::crypto::Secret;
use crate::crypto::dh::{DhError, DhJob, DhResult};
use crate::packet::{Drop, Path};
use crate::wire::isakmp::payload::{Identity, Notify, NotifyType, check_nonce};
use crate::wire::isakmp::sa::Sa;
use crate::wire::isakmp::{Chain, ChainWriter, PayloadType};
use std::time::Instant;

/// Different messages 5 that are tried in one exchange.
const MAX_WRONG: u16 = 512;

/// A Main Mode in which the client has proved nothing yet.
#[derive(Debug)]
pub struct MainMode {
    pub(super) half: HalfOpen,
    state: State,
    /// The last message 5 that did not verify: a repeat of it is not tried again.
    failed: Option<Answer>,
    /// How many different ones there were.
    wrong: u16,
}

#[derive(Debug)]
enum State {
    /// Message 2 is out.
    ExpectKe,
    /// Message 3 is in, the key agreement is under way elsewhere.
    ExpectDh(Received),
    /// Message 4 is out.
    ExpectId(Box<Exchanged>),
    /// Message 6 is out, or time is over.
    Done,
}

/// Message 3.
#[derive(Debug)]
struct Received {
    ke: Vec<u8>,
    nonce: Vec<u8>,
    /// The client's hash of our address.
    server_nat_d: Option<Vec<u8>>,
    path: Path,
}

/// Messages 3 and 4, and what they gave.
struct Exchanged {
    initiator_ke: Vec<u8>,
    initiator_nonce: Vec<u8>,
    responder_ke: Vec<u8>,
    responder_nonce: [u8; NONCE_LEN],
    shared: Secret,
}

impl std::fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Exchanged")
    }
}

/// A message 5 that verified.
struct Proven {
    keys: Keys,
    psk: PskId,
    id: Identity,
    initial_contact: bool,
    next_iv: Iv,
}

impl MainMode {
    /// Message 1.
    pub(super) fn recv_sa(
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        first: &First<'_>,
        out: &mut Output,
    ) -> Result<Self, Refusal> {
        let choice = first.choose(ctx, path, out)?;
        let half = first.half_open(now, ctx, path, &choice);
        let mut machine = Self { half, state: State::ExpectKe, failed: None, wrong: 0 };
        machine.send_sa(&choice.answer, out);
        Ok(machine)
    }

    /// Message 2.
    fn send_sa(&mut self, answer: &Sa, out: &mut Output) {
        let mut chain = ChainWriter::new();
        chain.put(PayloadType::SA, |w| answer.emit(w));
        self.half.put_vendor_ids(&mut chain);
        let message = self.half.clear_message(&chain);
        out.send(self.half.path, &message);
        self.half.answer.set_reply(message);
        out.event(Event::Progress(Progress::Phase1Started {
            hint: self.half.fingerprint.hint,
            suite: self.half.suite,
            exchange: self.half.exchange,
        }));
    }

    pub(super) fn handle(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        input: &Input<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        match self.state {
            State::ExpectKe => self.recv_ke(now, ctx, input, out),
            State::ExpectId(_) => self.recv_id(now, ctx, input, out),
            State::ExpectDh(_) | State::Done => Err(Drop::OutOfOrder),
        }
    }

    /// Message 3. Its payloads come in any order, but NAT-D among themselves in the RFC's.
    fn recv_ke(
        &mut self,
        now: Instant,
        ctx: &Context<'_>,
        input: &Input<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        if input.header.is_encrypted() {
            return Err(Drop::IkeNotProtected);
        }
        if input.header.cookies != self.half.cookies {
            return Err(Drop::OutOfOrder);
        }
        let chain = Chain::parse(input.header.first, input.body)?;
        let ke = chain.only(PayloadType::KE, "KE payload")?;
        let nonce = check_nonce(chain.only(PayloadType::NONCE, "Nonce payload")?)?;
        // The exact length is the group's: what else is longer than the longest is not worth keeping.
        if ke.len() != self.half.suite.group.public_len() {
            self.refuse(Reason::KeyExchange(DhError::Length), Stage::KeyExchange, out);
            return Err(Drop::IkeAuthFailed);
        }

        let mut server_nat_d = None;
        if let Some(version) = self.half.nat.version {
            let payloads = || chain.all(version.nat_d());
            server_nat_d = payloads().next().filter(|hash| hash.len() <= 64).map(<[u8]>::to_vec);
            let hash = |address| nat_traversal::nat_d(self.half.suite.hash, self.half.cookies, address);
            let (client, server) = (hash(input.path.remote), hash(input.path.local));
            let (client_behind, server_behind) = nat_traversal::detect(payloads(), &client, &server);
            self.half.nat = NatSituation { client_behind, server_behind, ..self.half.nat };
        }
        let received = Received { ke: ke.to_vec(), nonce: nonce.to_vec(), server_nat_d, path: input.path };
        self.half.path = input.path;
        // It has our cookie, so it is where it says: it gets its time once more.
        self.half.deadline = now + ctx.settings.exchange_timeout;
        self.half.answer = Answer::new(input.message, Vec::new());
        self.state = State::ExpectDh(received);
        let job = DhJob { group: self.half.suite.group, remote_public: ke.to_vec() };
        out.event(Event::DhRequired { tag: DhTag(0), job });
        Ok(())
    }

    /// The key agreement is done.
    pub(super) fn handle_dh(
        &mut self,
        ctx: &mut Context<'_>,
        result: Result<DhResult, DhError>,
        out: &mut Output,
    ) {
        let State::ExpectDh(_) = self.state else { return };
        let State::ExpectDh(received) = std::mem::replace(&mut self.state, State::ExpectKe) else { return };
        match result {
            Ok(dh) => self.send_ke(ctx, received, dh, out),
            Err(error) => {
                // Anybody on the way can have sent that message 3: the true one is still welcome.
                let kind = NotifyType::INVALID_KEY_INFORMATION;
                out.send(received.path, &clear_notify(self.half.cookies, ctx.entropy, kind));
                self.refuse(Reason::KeyExchange(error), Stage::KeyExchange, out);
            }
        }
    }

    /// Message 4.
    fn send_ke(&mut self, ctx: &mut Context<'_>, received: Received, dh: DhResult, out: &mut Output) {
        let nonce = ctx.entropy.array::<NONCE_LEN>();
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::KE, &dh.public);
        chain.put_bytes(PayloadType::NONCE, &nonce);
        put_nat_d(&mut self.half, ctx, received.server_nat_d.as_deref(), &mut chain);
        let message = self.half.clear_message(&chain);
        out.send(received.path, &message);
        self.half.answer.set_reply(message);
        self.state = State::ExpectId(Box::new(Exchanged {
            initiator_ke: received.ke,
            initiator_nonce: received.nonce,
            responder_ke: dh.public,
            responder_nonce: nonce,
            shared: dh.shared,
        }));
        out.event(Event::Progress(Progress::KeysExchanged { nat: self.half.nat }));
    }

    /// Message 5: the only one that says which key the client has, by verifying with it.
    fn recv_id(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        input: &Input<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        if !input.header.is_encrypted() {
            return Err(Drop::IkeNotProtected);
        }
        if input.header.cookies != self.half.cookies {
            return Err(Drop::OutOfOrder);
        }
        if self.failed.as_mut().is_some_and(|failed| failed.look_up(input.message) != Lookup::New) {
            return Err(Drop::Repeated);
        }
        let State::ExpectId(exchanged) = &self.state else { return Err(Drop::OutOfOrder) };
        // A right one may still come after somebody's garbage, but guessing has an end.
        if self.wrong >= MAX_WRONG {
            return Err(Drop::IkeAuthFailed);
        }

        let (valid, expired): (Vec<_>, Vec<_>) =
            ctx.settings.psks.iter().partition(|psk| psk.is_valid(ctx.unix_now));
        let verify = |psk: &&Psk| verify(&self.half, exchanged, psk, input);
        if let Some(proven) = valid.iter().take(MAX_PSKS).find_map(verify) {
            return self.send_id(now, ctx, input, proven, out);
        }
        let outdated = expired.iter().take(MAX_PSKS - valid.len().min(MAX_PSKS)).find_map(verify).is_some();

        // The exchange stays open: garbage from somebody on the way must not end it. One notify is enough.
        if self.failed.is_none() {
            let kind = NotifyType::AUTHENTICATION_FAILED;
            out.send(input.path, &clear_notify(self.half.cookies, ctx.entropy, kind));
        }
        self.failed = Some(Answer::new(input.message, Vec::new()));
        self.wrong += 1;
        self.refuse(if outdated { Reason::ExpiredKey } else { Reason::WrongKey }, Stage::Identity, out);
        Err(Drop::IkeAuthFailed)
    }

    /// Message 6, and the SA is there.
    fn send_id(
        &mut self,
        now: Instant,
        ctx: &Context<'_>,
        input: &Input<'_>,
        proven: Proven,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let State::ExpectId(exchanged) = &self.state else { return Err(Drop::OutOfOrder) };
        let half = &mut self.half;
        // Port and protocol zero: right with and without NAT (RFC 3947 section 4 forbids port 500 after the float).
        let id = Identity::address(ctx.settings.own_address(input.path.local.ip()), 0, 0).to_bytes();
        let hash_r = proven.keys.hash_r(&public(half, exchanged), &id);
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::ID, &id);
        chain.put_bytes(PayloadType::HASH, &hash_r);
        let (message, phase1_iv) = proven.keys.seal(proven.next_iv, &half.header(), &chain);
        out.send(input.path, &message);
        out.event(Event::Established(Box::new(IsakmpSa {
            cookies: half.cookies,
            exchange: half.exchange,
            suite: half.suite,
            nat: half.nat,
            remote_id: proven.id,
            psk: proven.psk,
            client: half.fingerprint.kind(),
            path: input.path,
            dpd: half.dpd,
            lifetime: half.lifetime,
            established: now,
            initial_contact: proven.initial_contact,
            quirks: half.quirks.clone(),
            keys: proven.keys,
            phase1_iv,
            last: Answer::new(input.message, message),
        })));
        half.done = true;
        self.state = State::Done;
        Ok(())
    }

    fn refuse(&self, reason: Reason, stage: Stage, out: &mut Output) {
        out.event(Event::Refused(Box::new(self.half.refusal(stage, reason))));
    }

    pub(super) const fn is_unanswered(&self) -> bool {
        matches!(self.state, State::ExpectKe)
    }

    pub(super) const fn stage(&self) -> Stage {
        match self.state {
            State::ExpectKe | State::ExpectDh(_) => Stage::KeyExchange,
            State::ExpectId(_) | State::Done => Stage::Identity,
        }
    }
}

fn public<'a>(half: &'a HalfOpen, exchanged: &'a Exchanged) -> Public<'a> {
    Public {
        cookies: half.cookies,
        initiator_ke: &exchanged.initiator_ke,
        responder_ke: &exchanged.responder_ke,
        initiator_nonce: &exchanged.initiator_nonce,
        responder_nonce: &exchanged.responder_nonce,
        offer: &half.offer,
    }
}

/// Tries one key on message 5: it fits if the message decrypts to a well-formed chain whose HASH_I verifies.
fn verify(half: &HalfOpen, exchanged: &Exchanged, psk: &Psk, input: &Input<'_>) -> Option<Proven> {
    let public = public(half, exchanged);
    let keys = Keys::derive(half.suite, &psk.key, &public, &exchanged.shared);
    let iv = keymat::phase1_iv(half.suite.hash, half.suite.cipher, &public);
    let (plain, next_iv) = keys.open(iv, input.body).ok()?;
    let chain = Chain::parse(input.header.first, &plain).ok()?;
    let id = chain.only(PayloadType::ID, "ID payload").ok()?;
    let hash_i = chain.only(PayloadType::HASH, "HASH payload").ok()?;
    if !keys.hash_i(&public, id).ct_eq(hash_i) {
        return None;
    }
    // strongSwan puts INITIAL-CONTACT here; racoon sends it behind message 6.
    let initial_contact = chain
        .all(PayloadType::NOTIFY)
        .filter_map(|body| Notify::parse(body).ok())
        .any(|notify| notify.kind == NotifyType::INITIAL_CONTACT);
    Some(Proven { keys, psk: psk.id, id: Identity::parse(id).ok()?, initial_contact, next_iv })
}

/// Puts our NAT-D payloads: first the client's address as we see it, then our own (RFC 3947 section 3.2).
pub(super) fn put_nat_d(
    half: &mut HalfOpen,
    ctx: &mut Context<'_>,
    server_nat_d: Option<&[u8]>,
    chain: &mut ChainWriter,
) {
    let Some(version) = half.nat.version else { return };
    let mut client = nat_traversal::nat_d(half.suite.hash, half.cookies, half.path.remote).to_vec();
    let mut server = nat_traversal::nat_d(half.suite.hash, half.cookies, half.path.local).to_vec();
    // A client that is kept from seeing our NAT would send ESP itself, which no port forwarding carries.
    let hidden = half.quirks.hide_server_nat && half.nat.server_behind && !half.nat.client_behind;
    if hidden || ctx.settings.force_udp_encapsulation && !half.nat.detected() {
        // The client's side only: a wrong hash of our own makes Windows fail with 809 (server behind NAT).
        ctx.entropy.fill(&mut client);
        half.nat.forced = true;
    }
    if let Some(theirs) = server_nat_d.filter(|_| half.quirks.hide_server_nat) {
        server = theirs.to_vec();
    }
    chain.put_bytes(version.nat_d(), &client);
    chain.put_bytes(version.nat_d(), &server);
}
