//! The ISAKMP SAs of one peer and the exchanges under them.
//!
//! A peer has several while a Phase 1 replaces another. ESP SAs do not depend on the ISAKMP SA that made them: it may
//! end, expire or be deleted, and they live on (RFC 2408 section 2.1; every native client counts on it).

use super::Context;
use super::exchange::{Answers, Lookup};
use super::keymat::Iv;
use super::output::{DhTag, EspSa, Event, Output, Progress, Selectors};
use super::quick_mode::QuickMode;
use super::sa::IsakmpSa;
use crate::crypto::suite::{DhGroup, EspSuite};
use crate::packet::{Drop, Path};
use crate::wire::isakmp::{Chain, Cookies, ExchangeType, Header, MessageId, PayloadType};
use std::time::{Duration, Instant};

/// Most ISAKMP SAs of one peer: one in use, one that replaces it, and leftovers of a client that forgot.
const MAX_ISAKMP_SAS: usize = 4;
/// Most pairs of ESP SAs of one peer.
pub(super) const MAX_PAIRS: usize = 64;

/// The IKE state of one peer. It may hold nothing at all: then only ESP lives.
#[derive(Debug, Default)]
pub struct Ike {
    /// Oldest first: the last is the one that we use.
    pub(super) sas: Vec<Established>,
    /// The pairs that were negotiated and not taken back.
    pub(super) pairs: Vec<Pair>,
    next_tag: u32,
}

/// An ISAKMP SA and what happens under it.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) sa: IsakmpSa,
    /// Message IDs count per SA: identical Windows clients use identical ones.
    pub(super) answers: Answers,
    pub(super) quick_modes: Vec<QuickMode>,
    pub(super) probe: Option<Probe>,
    /// Sequence number of our last R-U-THERE.
    pub(super) probe_seq: u32,
    /// INITIAL-CONTACT was heard: once is enough, a replay does nothing.
    pub(super) contacted: bool,
    expires: Instant,
}

impl Established {
    /// Begins a Quick Mode. There is seldom more than one, and most of the time none: no room is kept.
    pub(super) fn begin(&mut self, quick_mode: QuickMode) {
        self.quick_modes.reserve_exact(1);
        self.quick_modes.push(quick_mode);
    }

    /// Takes a Quick Mode out that is complete or lost.
    pub(super) fn finish(&mut self, index: usize) -> QuickMode {
        let done = self.quick_modes.remove(index);
        self.quick_modes.shrink_to_fit();
        done
    }
}

/// R-U-THERE without an answer yet (RFC 3706 section 5.4).
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) tries_left: u8,
    pub(super) interval: Duration,
    pub(super) next: Instant,
}

/// What is remembered of a pair of ESP SAs: enough to understand a Delete and to propose its successor.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) inbound_spi: u32,
    pub(super) outbound_spi: u32,
    pub(super) suite: EspSuite,
    pub(super) selectors: Selectors,
    pub(super) life_seconds: Option<u32>,
    pub(super) life_kilobytes: Option<u32>,
}

impl Pair {
    pub(super) fn of(esp: &EspSa) -> Self {
        Self {
            inbound_spi: esp.inbound_spi,
            outbound_spi: esp.outbound_spi,
            suite: esp.suite,
            selectors: esp.selectors.clone(),
            life_seconds: esp.life_seconds,
            life_kilobytes: esp.life_kilobytes,
        }
    }
}

/// An authenticated message: it decrypted to a chain whose HASH verified.
pub(super) struct Opened<'a> {
    pub(super) message_id: MessageId,
    pub(super) chain: &'a Chain<'a>,
    pub(super) next_iv: Iv,
    pub(super) message: &'a [u8],
    pub(super) path: Path,
}

impl Ike {
    /// A peer without SAs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over a complete Phase 1. It becomes the one that we use; the older ones stay until they end.
    pub fn adopt(&mut self, ctx: &Context<'_>, sa: IsakmpSa, out: &mut Output) {
        if self.sas.len() == MAX_ISAKMP_SAS {
            let oldest = self.sas.remove(0);
            self.end(oldest, out);
        }
        if sa.initial_contact {
            out.event(Event::InitialContact { cookies: sa.cookies });
        }
        // A device has one, for hours: the usual room for four would cost more than the SA.
        self.sas.reserve_exact(1);
        self.sas.push(Established {
            answers: Answers::default(),
            quick_modes: Vec::new(),
            probe: None,
            probe_seq: 0,
            contacted: sa.initial_contact,
            expires: sa.established + sa.lifetime + ctx.settings.lifetime_grace,
            sa,
        });
    }

    /// Whether these cookies name an SA of this peer.
    #[must_use]
    pub fn owns(&self, cookies: Cookies) -> bool {
        self.find(cookies).is_some()
    }

    /// The ISAKMP SAs, oldest first.
    pub fn isakmp_sas(&self) -> impl DoubleEndedIterator<Item = &IsakmpSa> {
        self.sas.iter().map(|e| &e.sa)
    }

    /// Takes a message whose cookies it owns.
    ///
    /// # Errors
    /// Why the message went no further. What does not verify changes nothing.
    pub fn handle(
        &mut self,
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        message: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let (header, body) = Header::parse(message)?;
        let at = self.find(header.cookies).ok_or(Drop::UnknownCookies)?;
        let established = &mut self.sas[at];
        if header.exchange == established.sa.exchange {
            // Message 6 (or the third of Aggressive Mode) was lost.
            let lookup = established.sa.last.look_up(message);
            return Err(answer_again(lookup, path, out, Drop::OutOfOrder));
        }
        let protected = header.is_encrypted() && header.message_id != MessageId::ZERO;
        match header.exchange {
            ExchangeType::QUICK_MODE | ExchangeType::INFORMATIONAL if !protected => {
                Err(Drop::IkeNotProtected)
            }
            ExchangeType::QUICK_MODE | ExchangeType::INFORMATIONAL => {
                match established.answers.look_up(header.message_id, message) {
                    Lookup::New => (),
                    known => return Err(answer_again(known, path, out, Drop::Repeated)),
                }
                if header.exchange == ExchangeType::QUICK_MODE {
                    self.handle_quick_mode(at, now, ctx, path, &header, body, message, out)
                } else {
                    self.handle_informational(at, now, ctx, path, &header, body, message, out)
                }
            }
            _ => Err(Drop::IkeExchangeRefused),
        }
    }

    /// Opens a message and checks its HASH with `verify`, which gets the HASH body and the payloads behind it. Only
    /// then is anything remembered.
    pub(super) fn open<'a>(
        established: &Established,
        iv: Iv,
        header: &Header,
        body: &[u8],
        plain: &'a mut Vec<u8>,
        verify: impl FnOnce(&Chain<'a>, &[u8]) -> bool,
    ) -> Result<(Chain<'a>, Iv), Drop> {
        let (bytes, next_iv) = established.sa.keys.open(iv, body)?;
        *plain = bytes;
        let chain = Chain::parse(header.first, plain).map_err(|_| Drop::IkeAuthFailed)?;
        // RFC 2409 section 5.5: HASH comes first, directly behind the header.
        let hash =
            chain.payloads().first().filter(|p| p.kind == PayloadType::HASH).ok_or(Drop::IkeAuthFailed)?;
        if !verify(&chain, hash.body) {
            return Err(Drop::IkeAuthFailed);
        }
        Ok((chain, next_iv))
    }

    /// An authenticated message that is new: the peer is there, and it is here.
    pub(super) fn heard_from(established: &mut Established, path: Path, out: &mut Output) {
        established.probe = None;
        established.sa.path = path;
        out.event(Event::Alive { cookies: established.sa.cookies, path });
    }

    /// Any authenticated packet of the peer arrived (ESP): it is alive, questions about that are moot.
    pub fn heard(&mut self) {
        self.sas.iter_mut().for_each(|e| e.probe = None);
    }

    /// The peer's path moved (its NAT gave it another port), shown by authenticated ESP packets.
    pub fn moved(&mut self, path: Path) {
        self.sas.iter_mut().for_each(|e| e.sa.path = path);
    }

    /// The lead removed a pair for a reason of its own (expiry); no Delete is sent.
    pub fn forget_esp(&mut self, inbound_spi: u32) {
        self.pairs.retain(|pair| pair.inbound_spi != inbound_spi);
    }

    /// Our SPI of the pair whose outbound SPI this is.
    #[must_use]
    pub fn inbound_spi_of(&self, outbound_spi: u32) -> Option<u32> {
        self.pairs.iter().find(|p| p.outbound_spi == outbound_spi).map(|p| p.inbound_spi)
    }

    /// When it wants to be called again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of = |e: &Established| {
            let quick_modes = e.quick_modes.iter().map(QuickMode::next_timeout).min();
            [Some(e.expires), quick_modes, e.probe.as_ref().map(|p| p.next)].into_iter().flatten().min()
        };
        self.sas.iter().filter_map(of).min()
    }

    /// Does what is due: repeats questions, gives up exchanges, ends SAs.
    pub fn handle_timeout(&mut self, now: Instant, ctx: &mut Context<'_>, out: &mut Output) {
        for at in (0..self.sas.len()).rev() {
            self.expire_quick_modes(at, now, out);
            self.repeat_probe(at, now, ctx, out);
            if self.sas[at].expires <= now {
                // No Delete: the client's clock ended it already, and Apple takes one for the end of everything.
                let expired = self.sas.remove(at);
                self.end(expired, out);
            }
        }
    }

    pub(super) fn end(&self, ended: Established, out: &mut Output) {
        for quick_mode in &ended.quick_modes {
            quick_mode.give_up(out);
        }
        out.event(Event::IsakmpExpired { cookies: ended.sa.cookies });
    }

    pub(super) fn find(&self, cookies: Cookies) -> Option<usize> {
        self.sas.iter().position(|e| e.sa.cookies == cookies)
    }

    pub(super) const fn new_tag(&mut self) -> DhTag {
        self.next_tag = self.next_tag.wrapping_add(1);
        DhTag(self.next_tag)
    }

    /// A fresh inbound SPI: random but for the worker, whose number plus one stands on top (SPIs up to 255 are
    /// reserved, RFC 4303 section 2.1).
    pub(super) fn new_spi(&self, ctx: &mut Context<'_>) -> Result<u32, Drop> {
        let top = (u32::from(ctx.worker.0) + 1) << 24;
        for _ in 0..64 {
            let spi = top | ctx.entropy.u32() >> 8;
            let ours = self.pairs.iter().any(|pair| pair.inbound_spi == spi);
            let pending = self.sas.iter().flat_map(|e| &e.quick_modes).any(|q| q.holds_spi(spi));
            if !ours && !pending && !(ctx.spi_taken)(spi) {
                return Ok(spi);
            }
        }
        Err(Drop::PeerLimit)
    }
}

/// Answers a repeat, and says why the message went no further.
fn answer_again(lookup: Lookup<'_>, path: Path, out: &mut Output, unknown: Drop) -> Drop {
    match lookup {
        Lookup::New => unknown,
        Lookup::Silent => Drop::Repeated,
        Lookup::Again(reply) => {
            out.send(path, reply);
            out.event(Event::Progress(Progress::Repeated));
            Drop::Repeated
        }
    }
}

/// The PFS group of a KE payload, told by its length among the groups that the policy allows: the offers decide when
/// several fit.
pub(super) fn groups_of_ke(len: usize) -> impl Iterator<Item = DhGroup> {
    DhGroup::ALL.iter().copied().filter(move |group| group.public_len() == len)
}
