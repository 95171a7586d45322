//! Aggressive Mode with a pre-shared key, responder (RFC 2409 section 5.4): for clients that name a configured group,
//! because the group says which key to use. Anybody who hears it can try keys offline, so it is never the default.
//!
//! ```text
//!    Initiator                                Responder
//!    HDR, SA, KE, Ni, IDii, VID...    -->                                                   recv_first
//!                                     <--     HDR, SA, KE, Nr, IDir, HASH_R, VID..., NAT-D  send_second
//!    HDR[*], HASH_I, NAT-D...         -->                                                   recv_third
//! ```
//!
//! The client is done when it has sent message 3, so the loss of that is ours to notice: message 2 is repeated, and the
//! client answers it again.

use super::Context;
use super::exchange::{Answer, Lookup};
use super::keymat::{self, Iv, Keys, Public};
use super::main_mode::put_nat_d;
use super::nat_traversal::{self, NatSituation};
use super::output::{DhTag, Event, Output, Progress, Reason, Refusal, Stage};
use super::phase1::{First, HalfOpen, Input, NONCE_LEN, clear_notify};
use super::sa::IsakmpSa;
use super::settings::{Group, PskId};
use crate::crypto::Secret;
use crate::crypto::dh::{DhError, DhJob, DhResult};
use crate::crypto::prf::Digest;
use crate::packet::{Drop, Path};
use crate::wire::isakmp::payload::{IdType, Identity, Notify, NotifyType, check_nonce};
use crate::wire::isakmp::sa::Sa;
use crate::wire::isakmp::{Chain, ChainWriter, PayloadType};
use std::time::{Duration, Instant};

/// An Aggressive Mode in which the client has proved nothing yet.
#[derive(Debug)]
pub struct Aggressive {
    pub(super) half: HalfOpen,
    state: State,
    psk: PskId,
    remote_id: Identity,
    failed: Option<Answer>,
    /// When message 2 is sent again, and how often yet.
    repeat: Option<(Instant, u8)>,
}

/// Time between two tries of message 2.
const REPEAT: Duration = Duration::from_secs(3);
/// How often message 2 is sent again. Few: nobody has proved to be where it goes.
const REPEATS: u8 = 3;

enum State {
    /// Message 1 is in, the key agreement is under way elsewhere.
    ExpectDh { key: Secret, ke: Vec<u8>, nonce: Vec<u8>, id: Vec<u8>, answer: Sa },
    /// Message 2 is out. Its HASH_I is known already.
    ExpectHash { keys: Keys, iv: Iv, hash_i: Digest },
    /// Over.
    Done,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ExpectDh { .. } => "ExpectDh",
            Self::ExpectHash { .. } => "ExpectHash",
            Self::Done => "Done",
        })
    }
}

impl Aggressive {
    /// Message 1.
    pub(super) fn recv_first(
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        first: &First<'_>,
        out: &mut Output,
    ) -> Result<Self, Refusal> {
        let parsed = (|| {
            let ke = first.chain.only(PayloadType::KE, "KE payload")?;
            let nonce = check_nonce(first.chain.only(PayloadType::NONCE, "Nonce payload")?)?;
            let id = first.chain.only(PayloadType::ID, "ID payload")?;
            Ok((ke, nonce, id, Identity::parse(id)?))
        })();
        let (ke, nonce, id, remote_id) = parsed.map_err(|error| first.refusal(Reason::Malformed(error)))?;
        let Some(group) = find_group(&ctx.settings.groups, &remote_id, ctx.unix_now) else {
            return Err(first.refusal(Reason::UnknownGroup(remote_id.to_string())));
        };
        let (psk, key) = (group.psk.id, group.psk.key.clone());
        let choice = first.choose(ctx, path, out)?;
        if ke.len() != choice.suite.group.public_len() {
            // Aggressive Mode has no way to agree on the group first (RFC 2409 section 5): the offer must hold one.
            return Err(first.refusal(Reason::KeyExchange(DhError::Length)));
        }
        let half = first.half_open(now, ctx, path, &choice);
        let job = DhJob { group: choice.suite.group, remote_public: ke.to_vec() };
        out.event(Event::Progress(Progress::Phase1Started {
            hint: half.fingerprint.hint,
            suite: half.suite,
            exchange: half.exchange,
        }));
        out.event(Event::DhRequired { tag: DhTag(0), job });
        let state = State::ExpectDh {
            key,
            ke: ke.to_vec(),
            nonce: nonce.to_vec(),
            id: id.to_vec(),
            answer: choice.answer,
        };
        Ok(Self { half, state, psk, remote_id, failed: None, repeat: None })
    }

    /// The key agreement is done: message 2.
    pub(super) fn handle_dh(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        result: Result<DhResult, DhError>,
        out: &mut Output,
    ) {
        let State::ExpectDh { key, ke, nonce, id, answer } = &self.state else { return };
        let dh = match result {
            Ok(dh) => dh,
            Err(error) => {
                let kind = NotifyType::INVALID_KEY_INFORMATION;
                out.send(self.half.path, &clear_notify(self.half.cookies, ctx.entropy, kind));
                out.event(Event::Refused(Box::new(
                    self.half.refusal(Stage::KeyExchange, Reason::KeyExchange(error)),
                )));
                self.half.done = true;
                return;
            }
        };
        let responder_nonce = ctx.entropy.array::<NONCE_LEN>();
        let own_id = Identity::address(ctx.settings.own_address(self.half.path.local.ip()), 0, 0).to_bytes();
        let public = Public {
            cookies: self.half.cookies,
            initiator_ke: ke,
            responder_ke: &dh.public,
            initiator_nonce: nonce,
            responder_nonce: &responder_nonce,
            offer: &self.half.offer,
        };
        let keys = Keys::derive(self.half.suite, key, &public, &dh.shared);
        let iv = keymat::phase1_iv(self.half.suite.hash, self.half.suite.cipher, &public);
        let hash_i = keys.hash_i(&public, id);
        let hash_r = keys.hash_r(&public, &own_id);

        let mut chain = ChainWriter::new();
        chain.put(PayloadType::SA, |w| answer.emit(w));
        chain.put_bytes(PayloadType::KE, &dh.public);
        chain.put_bytes(PayloadType::NONCE, &responder_nonce);
        chain.put_bytes(PayloadType::ID, &own_id);
        chain.put_bytes(PayloadType::HASH, &hash_r);
        self.half.put_vendor_ids(&mut chain);
        put_nat_d(&mut self.half, ctx, None, &mut chain);
        let message = self.half.clear_message(&chain);
        out.send(self.half.path, &message);
        self.half.answer.set_reply(message);
        self.state = State::ExpectHash { keys, iv, hash_i };
        self.repeat = Some((now + REPEAT, REPEATS));
    }

    pub(super) fn repeat_at(&self) -> Option<Instant> {
        self.repeat.map(|(at, _)| at)
    }

    /// Message 2 again, if it is due.
    pub(super) fn repeat_second(&mut self, now: Instant, out: &mut Output) {
        if let Some((at, left)) = self.repeat
            && at <= now
        {
            out.send(self.half.path, self.half.answer.reply());
            self.repeat = (left > 1).then_some((now + REPEAT, left.saturating_sub(1)));
        }
    }

    /// Message 3: encrypted or not, both are allowed.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        input: &Input<'_>,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let State::ExpectHash { keys, iv, hash_i } = &self.state else { return Err(Drop::OutOfOrder) };
        if input.header.cookies != self.half.cookies {
            return Err(Drop::OutOfOrder);
        }
        if self.failed.as_mut().is_some_and(|failed| failed.look_up(input.message) != Lookup::New) {
            return Err(Drop::Repeated);
        }
        let opened = if input.header.is_encrypted() {
            keys.open(*iv, input.body)
        } else {
            Ok((input.body.to_vec(), *iv))
        };
        let verified = opened.ok().and_then(|(plain, next_iv)| {
            let chain = Chain::parse(input.header.first, &plain).ok()?;
            let proof = chain.only(PayloadType::HASH, "HASH payload").ok()?;
            if !hash_i.ct_eq(proof) {
                return None;
            }
            let initial_contact = chain
                .all(PayloadType::NOTIFY)
                .filter_map(|body| Notify::parse(body).ok())
                .any(|notify| notify.kind == NotifyType::INITIAL_CONTACT);
            Some((next_iv, detect(&self.half, &chain, input.path), initial_contact))
        });
        let Some((phase1_iv, nat, initial_contact)) = verified else {
            if self.failed.is_none() {
                let kind = NotifyType::AUTHENTICATION_FAILED;
                out.send(input.path, &clear_notify(self.half.cookies, ctx.entropy, kind));
            }
            self.failed = Some(Answer::new(input.message, Vec::new()));
            let refusal = self.half.refusal(Stage::Identity, Reason::WrongKey);
            out.event(Event::Refused(Box::new(refusal)));
            return Err(Drop::IkeAuthFailed);
        };
        let State::ExpectHash { keys, .. } = std::mem::replace(&mut self.state, State::Done) else {
            return Err(Drop::OutOfOrder);
        };
        out.event(Event::Progress(Progress::KeysExchanged { nat }));
        let half = &mut self.half;
        half.done = true;
        out.event(Event::Established(Box::new(IsakmpSa {
            cookies: half.cookies,
            exchange: half.exchange,
            suite: half.suite,
            nat,
            remote_id: self.remote_id.clone(),
            psk: self.psk,
            client: half.fingerprint.kind(),
            path: input.path,
            dpd: half.dpd,
            lifetime: half.lifetime,
            established: now,
            initial_contact,
            quirks: half.quirks.clone(),
            keys,
            phase1_iv,
            last: Answer::new(input.message, Vec::new()),
        })));
        Ok(())
    }
}

/// The client's NAT-D payloads come with message 3. Whether their hashes hold the ports from before or after the float
/// is a matter of taste among clients: either will do.
fn detect(half: &HalfOpen, chain: &Chain<'_>, path: Path) -> NatSituation {
    let Some(version) = half.nat.version else { return half.nat };
    let sides = [half.path, path].map(|path| {
        let hash = |address| nat_traversal::nat_d(half.suite.hash, half.cookies, address);
        nat_traversal::detect(chain.all(version.nat_d()), &hash(path.remote), &hash(path.local))
    });
    NatSituation {
        client_behind: sides.iter().all(|(client, _)| *client),
        server_behind: sides.iter().all(|(_, server)| *server),
        ..half.nat
    }
}

/// Apple names its group with KEY_ID, Android with whatever the text looks like (RFC 2407 section 4.6.2).
fn find_group<'a>(groups: &'a [Group], id: &Identity, unix_now: u64) -> Option<&'a Group> {
    if !matches!(id.kind, IdType::KEY_ID | IdType::FQDN | IdType::USER_FQDN) {
        return None;
    }
    groups.iter().find(|group| group.name == id.data && group.psk.is_valid(unix_now))
}
