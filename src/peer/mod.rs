//! Everything held for one remote device, and the only glue between the layers: one layer's event becomes the next
//! layer's call here and nowhere else.
//!
//! A peer owns its ISAKMP SAs, its ESP SAs, its L2TP tunnels and their PPP links. What identifies what, and what
//! survives what, is set down in `docs/architecture.md`. The packet's walk is in two files: [`inbound`] from the socket
//! to the hub, [`outbound`] from the hub to the socket.

mod ask;
mod control;
mod inbound;
mod inner_udp;
mod leasing;
mod life;
mod meter;
mod mtu;
mod names;
mod outbound;
mod outbox;
mod pace;
mod seat;
mod settings;
mod strays;
mod tell;

pub use ask::{Answer, Ask, Authenticate, LanPlace, Place, Reading};
pub use meter::{Meter, Traffic};
pub use outbox::{DhTag, Frame, Outbox, SpiChange};
pub use pace::Rates;
pub use settings::{Habits, Settings};
pub use strays::Strays;
pub use tell::{cause_of_refusal, note_ike};

pub use crate::ike::PskId;

use crate::entropy::Entropy;
use crate::esp::Sad;
use crate::ike::{self, ClientHint, Ike};
use crate::l2tp::{Lns, SessionKey, TunnelId};
use crate::packet::{Path, WorkerId};
use crate::story::Attempt;
use seat::Seat;
use smol_str::SmolStr;
use std::time::{Duration, Instant};

/// Names one peer of one worker. The generation keeps an answer for a peer that has gone from reaching its successor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PeerKey {
    /// Position in the worker's table.
    pub index: u32,
    /// How many peers had that position before, modulo 2^32.
    pub generation: u32,
}

/// Names one PPP link: a peer and one of its L2TP sessions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LinkKey {
    /// Its worker.
    pub worker: WorkerId,
    /// Its peer.
    pub peer: PeerKey,
    /// Its L2TP session, by our own numbers.
    pub session: SessionKey,
}

/// What every call into a peer carries: the time, what the owner of the gateway wants, and where effects go.
pub struct Context<'a> {
    /// Monotonic time of this tick.
    pub now: Instant,
    /// Seconds since 1970, for people and for key end dates.
    pub unix: u64,
    /// Milliseconds since the worker began, for meters.
    pub millis: u64,
    /// What the configuration asks for.
    pub settings: &'a Settings,
    /// The worker's randomness.
    pub entropy: &'a mut Entropy,
    /// Whether an inbound SPI is taken by any peer of the worker.
    pub spi_taken: &'a dyn Fn(u32) -> bool,
    /// Keepalives that belong to no peer.
    pub strays: &'a Strays,
    /// The worker.
    pub worker: WorkerId,
    /// Where effects go.
    pub out: &'a mut Outbox,
}

impl Context<'_> {
    /// What IKE wants to be lent.
    fn ike(&mut self) -> ike::Context<'_> {
        ike::Context {
            settings: &self.settings.ike,
            entropy: self.entropy,
            worker: self.worker,
            unix_now: self.unix,
            spi_taken: self.spi_taken,
        }
    }
}

/// One remote device.
pub struct Peer {
    key: PeerKey,
    worker: WorkerId,
    /// None for clear-text L2TP.
    ike: Option<Box<Ike>>,
    sad: Sad,
    lns: Lns,
    seats: Vec<Seat>,
    /// Where IKE messages that we start go.
    ike_path: Path,
    /// Where ESP (or clear-text L2TP) goes. Moves only with an authenticated packet of the highest sequence number
    /// yet on the newest SA.
    data_path: Path,
    /// The pre-shared key in use.
    psk: Option<PskId>,
    /// The device's Phase 1 identity.
    identity: SmolStr,
    /// The kind of client.
    client: SmolStr,
    /// The same as IKE knows it; none in clear text.
    hint: Option<ClientHint>,
    /// After how long without a packet to it a NAT keepalive is due.
    keepalive: Option<Duration>,
    /// When a packet was sent to it last, for NAT keepalives.
    spoken: Instant,
    /// The attempt that has no link yet; a link takes it over. None while nobody tries anything new.
    attempt: Option<Attempt>,
    /// The tunnel that the attempt is about, once there is one.
    forming: Option<TunnelId>,
    /// When an authenticated packet came last.
    heard: Instant,
    /// How long the device may be silent: its user's patience, once there is a user.
    dead_after: Duration,
    /// When to look whether the device is silent.
    silent_at: Instant,
    /// Nothing is left to do: the worker removes the peer.
    finished: bool,
    /// The deadline that the worker has filed for this peer.
    pub(crate) filed: Option<Instant>,
}

impl Peer {
    /// The peer's name.
    #[must_use]
    pub fn key(&self) -> PeerKey {
        self.key
    }

    /// Whether the peer has nothing left to do and may be removed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The pre-shared key in use; none in clear text.
    #[must_use]
    pub fn psk(&self) -> Option<PskId> {
        self.psk
    }

    /// The way that IKE messages go.
    #[must_use]
    pub fn ike_path(&self) -> Path {
        self.ike_path
    }

    /// The way that data goes.
    #[must_use]
    pub fn data_path(&self) -> Path {
        self.data_path
    }

    fn link_key(&self, session: SessionKey) -> LinkKey {
        LinkKey { worker: self.worker, peer: self.key, session }
    }

    fn seat(&mut self, session: SessionKey) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.session == session)
    }

    /// Runs `note` on the newest attempt: the one that forms, or that of the newest link.
    fn note(&mut self, note: impl FnOnce(&mut Attempt)) {
        let newest = self.seats.last_mut().map(|seat| &mut seat.attempt);
        if let Some(attempt) = self.attempt.as_mut().or(newest) {
            note(attempt);
        }
    }

    /// Runs `note` on a link's attempt.
    fn note_at(&mut self, session: SessionKey, note: impl FnOnce(&mut Attempt)) {
        if let Some(seat) = self.seat(session) {
            note(&mut seat.attempt);
        }
    }
}
