//! An IKEv1 initiator that can pose as any native client: Main Mode or Aggressive Mode with a pre-shared key, Quick
//! Mode, rekeys of both, DPD answers, Deletes, NAT traversal (RFC 2408, 2409, 3706, 3947).
//!
//! It is as strict as the strictest of the clients it poses as: an answer with a payload that racoon would not expect
//! is dropped, as racoon drops it.
//!
//! [`Initiator`] takes `now`, datagrams and wishes, and fills an [`Output`]. Key agreements are computed on the spot.

mod config;
mod keys;
mod phase1;
mod phase2;
pub mod profile;

#[cfg(test)]
mod tests;

pub use config::{Config, InitialContact, MessageIds, Mode};

use crate::crypto::Secret;
use crate::crypto::suite::{EspSuite, IkeSuite};
use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf, Path, Transmit};
use crate::wire::isakmp::payload::NotifyType;
use crate::wire::isakmp::{Cookies, ExchangeType, Header, MessageId};
use phase1::{Negotiation, Sa};
use phase2::QuickMode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Effects of a call.
#[derive(Debug, Default)]
pub struct Output {
    /// ISAKMP messages without non-ESP marker.
    pub packets: Vec<Transmit>,
    /// What happened.
    pub events: Vec<Event>,
}

/// A pair of ESP SAs.
#[derive(Clone, Debug)]
pub struct EspPair {
    /// What we, the client, receive on.
    pub inbound_spi: u32,
    /// What the server receives on.
    pub outbound_spi: u32,
    /// What protects both.
    pub suite: EspSuite,
    /// KEYMAT of the inbound SA.
    pub inbound_key: Secret,
    /// KEYMAT of the outbound SA.
    pub outbound_key: Secret,
    /// Whether ESP goes in UDP.
    pub udp_encap: bool,
    /// The path of the exchange.
    pub path: Path,
    /// Lifetime in seconds, as agreed.
    pub life_seconds: Option<u32>,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Phase 1 is complete.
    IsakmpUp {
        /// Its name.
        cookies: Cookies,
        /// What the server chose.
        suite: IkeSuite,
        /// We are behind a NAT, or were made to believe it.
        client_behind_nat: bool,
        /// The server is behind a NAT: Windows would refuse to go on.
        server_behind_nat: bool,
    },
    /// Phase 2 is complete on our side.
    EspUp(Box<EspPair>),
    /// The server deleted a pair.
    EspDeleted {
        /// What we received on.
        inbound_spi: u32,
    },
    /// The server deleted an ISAKMP SA.
    IsakmpDeleted {
        /// Which.
        cookies: Cookies,
    },
    /// The server reported something.
    Notified {
        /// What.
        kind: NotifyType,
        /// Whether it was protected.
        authenticated: bool,
    },
    /// The server answered R-U-THERE.
    Alive,
    /// It is over.
    Failed(Failure),
}

/// Why it is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// No answer to our last request.
    NoAnswer,
    /// An error notify in the clear.
    Refused(NotifyType),
    /// The server's proof does not verify: it has another key.
    WrongKey,
}

/// A request on its way to an answer.
#[derive(Debug)]
struct Pending {
    message: Vec<u8>,
    path: Path,
    at: Instant,
    tries_left: u8,
}

/// An IKEv1 client.
#[derive(Debug)]
pub struct Initiator {
    config: Arc<Config>,
    client_port: u16,
    entropy: Entropy,
    next_message_id: u32,
    negotiation: Option<Negotiation>,
    /// Oldest first.
    sas: Vec<Sa>,
    quick_modes: Vec<QuickMode>,
    pairs: Vec<EspPair>,
    /// INITIAL-CONTACT is sent with the first Phase 1 only.
    contacted: bool,
    /// The server's last message of Phase 1 and our answer to it: it may come again.
    last: Option<(Vec<u8>, Pending)>,
}

impl Initiator {
    /// A client that has not begun.
    #[must_use]
    pub fn new(config: impl Into<Arc<Config>>, entropy: Entropy) -> Self {
        let config = config.into();
        let next_message_id = match config.message_ids {
            MessageIds::Random => 0,
            MessageIds::CountingFrom(first) => first,
        };
        Self {
            client_port: config.client_port,
            config,
            entropy,
            next_message_id,
            negotiation: None,
            sas: Vec::new(),
            quick_modes: Vec::new(),
            pairs: Vec::new(),
            contacted: false,
            last: None,
        }
    }

    /// The same client with another port of its own in Quick Mode's identities: one that it was given by its system.
    #[must_use]
    pub const fn with_client_port(mut self, port: u16) -> Self {
        self.client_port = port;
        self
    }

    /// How it behaves.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The pairs that it has, oldest first.
    #[must_use]
    pub fn pairs(&self) -> &[EspPair] {
        &self.pairs
    }

    /// The ISAKMP SAs that it has, oldest first.
    pub fn isakmp_sas(&self) -> impl Iterator<Item = Cookies> {
        self.sas.iter().map(|sa| sa.cookies)
    }

    /// Takes an ISAKMP message without non-ESP marker.
    ///
    /// # Errors
    /// Why it went no further.
    pub fn handle(&mut self, now: Instant, path: Path, message: &[u8], out: &mut Output) -> Result<(), Drop> {
        let (header, body) = Header::parse(message)?;
        if let Some((_, answer)) = self.last.as_ref().filter(|(last, _)| last == message) {
            out.send(answer.path, &answer.message);
            return Err(Drop::Repeated);
        }
        if let Some(negotiation) = &self.negotiation
            && negotiation.initiator_cookie == header.cookies.initiator
            && (header.message_id == MessageId::ZERO || !header.is_encrypted())
        {
            return self.handle_phase1(now, path, &header, message, out);
        }
        let at = self.sas.iter().position(|sa| sa.cookies == header.cookies).ok_or(Drop::UnknownCookies)?;
        if !header.is_encrypted() || header.message_id == MessageId::ZERO {
            return Err(Drop::IkeNotProtected);
        }
        match header.exchange {
            ExchangeType::QUICK_MODE => self.handle_quick_mode(at, now, path, &header, body, message, out),
            ExchangeType::INFORMATIONAL => self.handle_informational(at, path, &header, body, out),
            _ => Err(Drop::IkeExchangeRefused),
        }
    }

    /// When it wants to be called again.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let phase1 = self.negotiation.as_ref().map(|n| n.pending.at);
        let phase2 = self.quick_modes.iter().map(|q| q.pending.at).min();
        phase1.into_iter().chain(phase2).min()
    }

    /// Repeats what is unanswered, and gives up in the end.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        let (interval, tries) = (self.config.retransmit, self.config.tries);
        if let Some(negotiation) = &mut self.negotiation
            && !negotiation.pending.repeat(now, interval, out)
        {
            self.negotiation = None;
            out.events.push(Event::Failed(Failure::NoAnswer));
        }
        debug_assert!(tries > 0);
        self.quick_modes.retain_mut(|quick_mode| {
            let waiting = quick_mode.pending.repeat(now, interval, out);
            if !waiting && quick_mode.is_ours() {
                out.events.push(Event::Failed(Failure::NoAnswer));
            }
            waiting
        });
    }

    /// The number of a new exchange.
    fn new_message_id(&mut self) -> MessageId {
        match self.config.message_ids {
            MessageIds::Random => MessageId(self.entropy.u32() | 1),
            MessageIds::CountingFrom(_) => {
                let id = self.next_message_id;
                self.next_message_id = id.wrapping_add(1).max(1);
                MessageId(id)
            }
        }
    }

    fn pending(&self, now: Instant, path: Path, message: Vec<u8>) -> Pending {
        Pending { message, path, at: now + self.config.retransmit, tries_left: self.config.tries }
    }
}

impl Pending {
    /// Sends again if it is due; false if that was often enough.
    fn repeat(&mut self, now: Instant, interval: Duration, out: &mut Output) -> bool {
        if self.at > now {
            return true;
        }
        if self.tries_left == 0 {
            return false;
        }
        self.tries_left -= 1;
        self.at = now + interval;
        out.send(self.path, &self.message);
        true
    }
}

impl Output {
    fn send(&mut self, path: Path, message: &[u8]) {
        if !message.is_empty() {
            self.packets.push(Transmit { path, buf: PacketBuf::from_slice(message) });
        }
    }
}
