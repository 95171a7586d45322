//! Phase 1 as responder: what Main Mode and Aggressive Mode have in common, and the half-open exchange as the owner of
//! a worker sees it.

use super::Context;
use super::aggressive::Aggressive;
use super::exchange::{Answer, Lookup};
use super::fingerprint::{Fingerprint, vid};
use super::main_mode::MainMode;
use super::nat_traversal::{NatSituation, NatVersion};
use super::output::{Event, Output, Progress, Reason, Refusal, Stage};
use super::proposal::{self, Phase1Choice};
use super::quirks::Quirks;
use crate::crypto::dh::{DhError, DhResult};
use crate::crypto::suite::IkeSuite;
use crate::entropy::Entropy;
use crate::packet::{Drop, Path, WorkerId};
use crate::wire::isakmp::payload::{Notify, NotifyType};
use crate::wire::isakmp::sa::Sa;
use crate::wire::isakmp::{
    Chain, ChainWriter, Cookie, Cookies, ExchangeType, Flags, Header, MessageId, PayloadType,
};
use crate::wire::{self, Kind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of our nonces.
pub(super) const NONCE_LEN: usize = 32;
/// Longest lifetime that we keep an ISAKMP SA for, whatever the client proposed: it has 64 bits to name one in, and time
/// ends before that.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 86_400);
/// Longest offer that a half-open exchange keeps; it enters both proofs. Twenty transforms make 700 bytes.
const MAX_OFFER: usize = 4096;

/// A half-open Phase 1: everything before the client has proved anything. Small, and it ends by itself.
#[derive(Debug)]
pub enum Phase1 {
    /// Six messages, identities protected.
    Main(Box<MainMode>),
    /// Three messages, for configured groups only.
    Aggressive(Box<Aggressive>),
}

impl Phase1 {
    /// Begins with a first message: the responder cookie is zero. What it needs to be answered goes to `out`.
    ///
    /// A refusal has been answered if the RFCs want that; the caller bounds their rate, and how many exchanges are
    /// half-open.
    ///
    /// # Errors
    /// The refusal, for the story of the attempt. Nothing is kept.
    pub fn recv_first(
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        message: &[u8],
        out: &mut Output,
    ) -> Result<Self, Refusal> {
        let first = First::read(message)?;
        match first.header.exchange {
            ExchangeType::IDENTITY_PROTECTION => {
                MainMode::recv_sa(now, ctx, path, &first, out).map(|machine| Self::Main(Box::new(machine)))
            }
            ExchangeType::AGGRESSIVE => Aggressive::recv_first(now, ctx, path, &first, out)
                .map(|machine| Self::Aggressive(Box::new(machine))),
            other => Err(first.refusal(Reason::Exchange(other))),
        }
    }

    /// Takes a message whose initiator cookie is that of this exchange.
    ///
    /// # Errors
    /// Why the message went no further. The exchange goes on.
    pub fn handle(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        message: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let (header, body) = Header::parse(message)?;
        let exchange = self.half().exchange;
        if !self.half().is_named_by(header.cookies) {
            return Err(Drop::UnknownCookies);
        }
        if header.exchange == ExchangeType::INFORMATIONAL {
            return recv_clear_notify(&header, body, out);
        }
        // A Commit bit makes no sense before there is an SA (RFC 2408 section 3.1).
        let odd = header.message_id != MessageId::ZERO || header.flags.contains(Flags::COMMIT);
        if header.exchange != exchange || odd {
            return Err(Drop::OutOfOrder);
        }
        match self.half_mut().answer.look_up(message) {
            Lookup::New => (),
            Lookup::Silent => return Err(Drop::Repeated),
            Lookup::Again(reply) => {
                out.send(path, reply);
                out.event(Event::Progress(Progress::Repeated));
                return Err(Drop::Repeated);
            }
        }
        let input = Input { header: &header, body, message, path };
        match self {
            Self::Main(machine) => machine.handle(now, ctx, &input, out),
            Self::Aggressive(machine) => machine.handle(now, ctx, &input, out),
        }
    }

    /// Takes the result of the key agreement that it asked for.
    pub fn handle_dh(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        result: Result<DhResult, DhError>,
        out: &mut Output,
    ) {
        match self {
            Self::Main(machine) => machine.handle_dh(ctx, result, out),
            Self::Aggressive(machine) => machine.handle_dh(now, ctx, result, out),
        }
    }

    /// When it wants to be called again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_done() {
            return None;
        }
        let repeat = match self {
            Self::Main(_) => None,
            Self::Aggressive(machine) => machine.repeat_at(),
        };
        Some(repeat.map_or(self.half().deadline, |at| at.min(self.half().deadline)))
    }

    /// Gives up if it is time: afterwards [`Self::is_done`] holds, and the refusal is among the events.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        let stage = self.stage();
        if let Self::Aggressive(machine) = self {
            machine.repeat_second(now, out);
        }
        if !self.is_done() && self.half().deadline <= now {
            // In Aggressive Mode we prove our key first: whoever falls silent at that has another one.
            let reason = match (&self, stage) {
                (Self::Aggressive(_), Stage::Identity) => Reason::WrongKey,
                _ => Reason::TimedOut,
            };
            let half = self.half_mut();
            half.done = true;
            out.event(Event::Refused(Box::new(half.refusal(stage, reason))));
        }
    }

    /// Whether it is over, with an SA or without: drop it.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.half().done
    }

    /// Whether nothing has come yet that shows that the initiator hears us.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        match self {
            Self::Main(machine) => machine.is_unanswered(),
            // Its answer costs a Diffie-Hellman computation, which is bounded elsewhere.
            Self::Aggressive(_) => true,
        }
    }

    /// Its name.
    #[must_use]
    pub fn cookies(&self) -> Cookies {
        self.half().cookies
    }

    /// Where its last message came from.
    #[must_use]
    pub fn path(&self) -> Path {
        self.half().path
    }

    /// What is known about the client.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.half().fingerprint
    }

    /// What was chosen.
    #[must_use]
    pub fn suite(&self) -> IkeSuite {
        self.half().suite
    }

    /// How far it came.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Main(machine) => machine.stage(),
            Self::Aggressive(_) => Stage::Identity,
        }
    }

    fn half(&self) -> &HalfOpen {
        match self {
            Self::Main(machine) => &machine.half,
            Self::Aggressive(machine) => &machine.half,
        }
    }

    fn half_mut(&mut self) -> &mut HalfOpen {
        match self {
            Self::Main(machine) => &mut machine.half,
            Self::Aggressive(machine) => &mut machine.half,
        }
    }
}

/// A message on its way into a machine, the header already read and found plausible.
pub(super) struct Input<'a> {
    pub(super) header: &'a Header,
    pub(super) body: &'a [u8],
    pub(super) message: &'a [u8],
    pub(super) path: Path,
}

/// A first message, parsed.
pub(super) struct First<'a> {
    pub(super) header: Header,
    pub(super) chain: Chain<'a>,
    pub(super) message: &'a [u8],
    pub(super) offer: &'a [u8],
    pub(super) sa: Sa,
    pub(super) fingerprint: Fingerprint,
}

impl<'a> First<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Refusal> {
        Self::parse(message).map_err(|error| Refusal {
            stage: Stage::Offer,
            reason: Reason::Malformed(error),
            hint: super::ClientHint::Unknown,
            offered: Vec::new(),
        })
    }

    fn parse(message: &'a [u8]) -> Result<Self, wire::Error> {
        let (header, body) = Header::parse(message)?;
        let wrong = |what| Err(wire::Error::new(what, Kind::BadValue));
        if header.cookies.initiator.is_zero() {
            return wrong("Initiator Cookie");
        }
        if !header.cookies.responder.is_zero() {
            return wrong("Responder Cookie");
        }
        if header.flags != Flags::default() || header.message_id != MessageId::ZERO || !header.is_v1() {
            return wrong("ISAKMP header");
        }
        let chain = Chain::parse(header.first, body)?;
        let offer = chain.only(PayloadType::SA, "SA payload")?;
        if offer.len() > MAX_OFFER {
            return Err(wire::Error::new("SA payload", Kind::TooMany));
        }
        let sa = Sa::parse(offer)?;
        let fingerprint = Fingerprint::new(
            chain.all(PayloadType::VENDOR_ID),
            &proposal::phase1_suites(&sa),
            proposal::describe_phase1(&sa),
        );
        Ok(Self { header, chain, message, offer, sa, fingerprint })
    }

    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        Refusal {
            stage: Stage::Offer,
            reason,
            hint: self.fingerprint.hint,
            offered: self.fingerprint.offered.clone(),
        }
    }

    /// Chooses from the offer, or answers NO-PROPOSAL-CHOSEN.
    pub(super) fn choose(
        &self,
        ctx: &mut Context<'_>,
        path: Path,
        out: &mut Output,
    ) -> Result<Phase1Choice, Refusal> {
        let quirks = ctx.settings.quirks_for(self.fingerprint.hint);
        proposal::choose_phase1(&self.sa, &ctx.settings.policy, &quirks).map_err(|mismatch| {
            out.send(path, &clear_notify(self.header.cookies, ctx.entropy, NotifyType::NO_PROPOSAL_CHOSEN));
            self.refusal(Reason::NoProposal(mismatch))
        })
    }

    /// The state that both modes start with.
    pub(super) fn half_open(
        &self,
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        choice: &Phase1Choice,
    ) -> HalfOpen {
        let quirks = ctx.settings.quirks_for(self.fingerprint.hint);
        let responder = new_cookie(ctx.worker, ctx.entropy);
        HalfOpen {
            exchange: self.header.exchange,
            cookies: Cookies { initiator: self.header.cookies.initiator, responder },
            path,
            suite: choice.suite,
            offer: self.offer.to_vec(),
            lifetime: choice
                .seconds
                .map_or(ctx.settings.default_lifetime, |s| Duration::from_secs(s).min(MAX_LIFETIME)),
            dpd: quirks.announce_dpd && self.fingerprint.has(&vid::DPD),
            nat: NatSituation { version: NatVersion::choose(&self.fingerprint), ..NatSituation::default() },
            fingerprint: self.fingerprint.clone(),
            quirks,
            answer: Answer::new(self.message, Vec::new()),
            deadline: now + ctx.settings.exchange_timeout,
            done: false,
        }
    }
}

/// What both modes keep.
#[derive(Debug)]
pub(super) struct HalfOpen {
    pub(super) exchange: ExchangeType,
    pub(super) cookies: Cookies,
    pub(super) path: Path,
    pub(super) suite: IkeSuite,
    /// SAi_b.
    pub(super) offer: Vec<u8>,
    pub(super) lifetime: Duration,
    pub(super) dpd: bool,
    pub(super) nat: NatSituation,
    pub(super) fingerprint: Fingerprint,
    pub(super) quirks: Arc<Quirks>,
    /// The last request that was taken, and what it was answered.
    pub(super) answer: Answer,
    pub(super) deadline: Instant,
    pub(super) done: bool,
}

impl HalfOpen {
    /// Whether the cookies are ours; in a repeated first message the responder's is still zero.
    fn is_named_by(&self, cookies: Cookies) -> bool {
        let responder = cookies.responder.is_zero() || cookies.responder == self.cookies.responder;
        cookies.initiator == self.cookies.initiator && responder
    }

    pub(super) const fn header(&self) -> Header {
        Header {
            cookies: self.cookies,
            first: PayloadType::NONE,
            version: Header::VERSION_1_0,
            exchange: self.exchange,
            flags: Flags(0),
            message_id: MessageId::ZERO,
            length: 0,
        }
    }

    pub(super) fn clear_message(&self, chain: &ChainWriter) -> Vec<u8> {
        Header { first: chain.first(), ..self.header() }.message(chain.bytes())
    }

    /// Puts the vendor IDs of the answer: only what the client announced itself, one version of NAT traversal, and
    /// what the configuration adds for its kind.
    ///
    /// Interop: racoon takes the best version that comes back, and Windows updates broke on vendor IDs that they had
    /// not sent.
    pub(super) fn put_vendor_ids(&self, chain: &mut ChainWriter) {
        if let Some(version) = self.nat.version {
            chain.put_bytes(PayloadType::VENDOR_ID, version.vendor_id());
        }
        if self.dpd {
            chain.put_bytes(PayloadType::VENDOR_ID, &vid::DPD);
        }
        for vendor_id in &self.quirks.vendor_ids {
            chain.put_bytes(PayloadType::VENDOR_ID, vendor_id);
        }
    }

    pub(super) fn refusal(&self, stage: Stage, reason: Reason) -> Refusal {
        let hint = self.fingerprint.hint;
        Refusal { stage, reason, hint, offered: self.fingerprint.offered.clone() }
    }
}

/// A responder cookie: random but for the worker that owns it.
fn new_cookie(worker: WorkerId, entropy: &mut Entropy) -> Cookie {
    let mut bytes = entropy.array::<8>();
    bytes[0] = worker.0;
    // All zeros would mean "not chosen yet".
    bytes[7] |= u8::from(bytes[1..] == [0; 7]);
    Cookie(bytes)
}

/// A clear-text Informational about an exchange that has no keys.
///
/// The client has no reason to trust it. But strongSwan gives up at once instead of after its retransmissions, and
/// Apple shows its user the error instead of half a minute of silence.
pub(super) fn clear_notify(cookies: Cookies, entropy: &mut Entropy, kind: NotifyType) -> Vec<u8> {
    clear_informational(cookies, entropy, &Notify::isakmp(kind, &cookies.bytes(), &[]))
}

/// An Informational exchange of one Notify, in the clear (RFC 2408 section 4.8).
pub(super) fn clear_informational(cookies: Cookies, entropy: &mut Entropy, notify: &Notify) -> Vec<u8> {
    let mut chain = ChainWriter::new();
    chain.put(PayloadType::NOTIFY, |w| notify.emit(w));
    let header = Header {
        cookies,
        first: chain.first(),
        version: Header::VERSION_1_0,
        exchange: ExchangeType::INFORMATIONAL,
        flags: Flags(0),
        message_id: MessageId(entropy.u32() | 1),
        length: 0,
    };
    header.message(chain.bytes())
}

/// What the client says in the clear is recorded, and changes nothing.
fn recv_clear_notify(header: &Header, body: &[u8], out: &mut Output) -> Result<(), Drop> {
    if header.is_encrypted() {
        return Err(Drop::OutOfOrder);
    }
    let chain = Chain::parse(header.first, body)?;
    let notify = Notify::parse(chain.only(PayloadType::NOTIFY, "Notify payload")?)?;
    out.event(Event::Notified { kind: notify.kind, authenticated: false });
    Ok(())
}
