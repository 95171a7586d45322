//! A whole device: IKE, ESP, L2TP and PPP of one client put together, as [`crate::peer`] does it on the other side.
//!
//! Sans-IO: datagrams, inner packets and the time go in, an [`Output`] comes out. A device that is not connected holds
//! next to nothing; what a connection needs is made by [`Device::start`] and goes with its end.

mod data;
mod keys;
mod session;

use super::ike::Failure;
use super::lac;
use super::profile::Profile;
use crate::crypto::engine::{OpenJob, SealJob};
use crate::crypto::suite::{EspSuite, IkeSuite};
use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf, Path, Transmit};
use crate::ppp::{self, LinkParams, Login};
use session::Session;
use std::sync::Arc;
use std::time::Instant;

/// What a call produced.
#[derive(Debug, Default)]
pub struct Output {
    /// Datagrams to send, complete with the marker of port 4500.
    pub transmits: Vec<Transmit>,
    /// IP packets that came through the tunnel.
    pub packets: Vec<PacketBuf>,
    /// What happened.
    pub events: Vec<Event>,
}

/// A datagram at first sight ([`Device::see`]).
#[derive(Debug)]
pub enum Seen {
    /// ESP: for an engine, then for [`Device::deliver`].
    Sealed(OpenJob),
    /// Anything else: for [`Device::handle_datagram`].
    Other(PacketBuf),
}

/// An IP packet on its way out ([`Device::wrap_ip`]).
#[derive(Debug)]
pub enum Wrapped {
    /// To be sealed, and sent on this way.
    Seal(Path, SealJob),
    /// To be sent as it is: clear-text L2TP.
    Ready(Transmit),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Phase 1 is up, the first or a later one.
    IkeUp {
        /// What the server chose.
        suite: IkeSuite,
        /// There is a NAT before us, or the server says so.
        behind_nat: bool,
        /// There is a NAT before the server: Windows would not go on.
        server_behind_nat: bool,
    },
    /// The first pair of ESP SAs is up.
    EspUp {
        /// What the server chose.
        suite: EspSuite,
    },
    /// A further pair of ESP SAs is up and in use.
    Rekeyed,
    /// IP flows.
    Up(LinkParams),
    /// It is over.
    Down(Reason),
}

/// Why it is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// [`Device::stop`].
    Asked,
    /// IKE failed.
    Ike(Failure),
    /// The server deleted all SAs.
    Deleted,
    /// L2TP ended.
    L2tp(lac::End),
    /// PPP ended.
    Ppp(ppp::Cause),
    /// It took longer than the system waits.
    TooSlow,
}

/// One client.
pub struct Device {
    profile: Arc<Profile>,
    login: Login,
    path: Path,
    entropy: Entropy,
    session: Option<Box<Session>>,
    violations: Vec<&'static str>,
}

impl Device {
    /// A client that is not connected.
    ///
    /// `path` is the way of its first message, `local` being its own address as it knows it. Its kind says how: UDP port
    /// 500 as every system does it; [`Encap::NatT`](crate::packet::Encap::NatT) begins on the other port at once, which
    /// leaves the ports of both sides free to choose; [`Encap::L2tp`](crate::packet::Encap::L2tp) goes without IPsec.
    #[must_use]
    pub fn new(profile: Arc<Profile>, login: Login, path: Path, entropy: Entropy) -> Self {
        Self { profile, login, path, entropy, session: None, violations: Vec::new() }
    }

    /// How it behaves.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What it is when it connects next: another system, another key.
    pub fn set_profile(&mut self, profile: Arc<Profile>) {
        self.profile = profile;
    }

    /// Who it is when it connects next.
    pub fn set_login(&mut self, login: Login) {
        self.login = login;
    }

    /// From where to where it connects next.
    pub fn set_path(&mut self, path: Path) {
        self.path = path;
    }

    /// The way of its first message.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.path
    }

    /// Connects. A connection that there is vanishes without a word.
    pub fn start(&mut self, now: Instant, out: &mut Output) {
        self.vanish();
        let session = Session::new(&self.profile, &self.login, self.path, &mut self.entropy);
        self.session.insert(Box::new(session)).begin(now, out);
        self.settle();
    }

    /// Leaves as the system does, with a word on every layer where it says one.
    pub fn stop(&mut self, now: Instant, out: &mut Output) {
        if let Some(session) = &mut self.session {
            session.stop(now, out);
        }
        self.settle();
    }

    /// Is gone: power lost, out of reach.
    pub fn vanish(&mut self) {
        if let Some(session) = self.session.take() {
            self.violations.extend(session.violations());
        }
    }

    /// Whether it is connected, or about to be.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.session.is_some()
    }

    /// The parameters of its link, while IP flows.
    #[must_use]
    pub fn params(&self) -> Option<LinkParams> {
        self.session.as_ref().and_then(|session| session.params())
    }

    /// How many ISAKMP SAs and how many pairs of ESP SAs it has.
    #[must_use]
    pub fn sa_counts(&self) -> (usize, usize) {
        self.session.as_ref().map_or((0, 0), |session| session.sa_counts())
    }

    /// What the server did that a real client of this kind would not stand.
    #[must_use]
    pub fn violations(&self) -> Vec<&'static str> {
        let now = self.session.iter().flat_map(|session| session.violations());
        self.violations.iter().copied().chain(now).collect()
    }

    /// Takes a datagram. `path` is the way it came, as we see it.
    ///
    /// # Errors
    /// Why it went no further.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        buf: PacketBuf,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let session = self.session.as_mut().ok_or(Drop::UnknownSpi)?;
        let result = session.handle_datagram(now, path, buf, out);
        self.settle();
        result
    }

    /// Sends an IP packet through the tunnel.
    ///
    /// # Errors
    /// Why it cannot go.
    pub fn send_ip(&mut self, now: Instant, packet: PacketBuf, out: &mut Output) -> Result<(), Drop> {
        let session = self.session.as_mut().ok_or(Drop::PppNotOpen)?;
        session.send_ip(now, packet, out)
    }

    /// A first look at a datagram, so that whoever has many devices opens the packets of all in one engine call. Changes
    /// nothing.
    ///
    /// # Errors
    /// Why it goes no further.
    pub fn see(&self, path: &Path, buf: PacketBuf) -> Result<Seen, Drop> {
        self.session.as_ref().ok_or(Drop::UnknownSpi)?.see(path, buf)
    }

    /// Takes a packet that [`Self::see`] gave and an engine has opened.
    ///
    /// # Errors
    /// Why it went no further.
    pub fn deliver(&mut self, now: Instant, job: OpenJob, out: &mut Output) -> Result<(), Drop> {
        let session = self.session.as_mut().ok_or(Drop::UnknownSpi)?;
        let result = session.deliver(now, job, out);
        self.settle();
        result
    }

    /// Makes an IP packet ready for the tunnel but for its encryption, which one engine call does for many.
    ///
    /// # Errors
    /// Why it cannot go.
    pub fn wrap_ip(&mut self, now: Instant, packet: PacketBuf) -> Result<Wrapped, Drop> {
        self.session.as_mut().ok_or(Drop::PppNotOpen)?.wrap_ip(now, packet)
    }

    /// Sends bytes in the place of an L2TP message: what a server makes of nonsense from somebody with the right keys.
    ///
    /// # Errors
    /// Without an SA.
    pub fn send_nonsense(&mut self, now: Instant, bytes: PacketBuf, out: &mut Output) -> Result<(), Drop> {
        let session = self.session.as_mut().ok_or(Drop::NoOutboundSa)?;
        session.send_l2tp(now, bytes, out)
    }

    /// Renews the ISAKMP SA now.
    pub fn renew_isakmp(&mut self, now: Instant, out: &mut Output) {
        if let Some(session) = &mut self.session {
            session.renew_isakmp(now, out);
        }
    }

    /// Renews the ESP SAs now.
    pub fn renew_esp(&mut self, now: Instant, out: &mut Output) {
        if let Some(session) = &mut self.session {
            session.renew_esp(now, out);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.session.as_ref().and_then(|session| session.poll_timeout())
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        if let Some(session) = &mut self.session {
            session.handle_timeout(now, out);
        }
        self.settle();
    }

    /// Forgets a session that has ended.
    fn settle(&mut self) {
        if self.session.as_ref().is_some_and(|session| session.is_over()) {
            self.vanish();
        }
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({}, {})", self.profile.name, self.path.local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load generator holds tens of thousands. (Its keys are about four thousand bytes more.)
    #[test]
    fn a_device_is_small() {
        assert!(size_of::<Device>() <= 512, "{}", size_of::<Device>());
        let connected = size_of::<Session>() + size_of::<super::super::ike::Initiator>();
        assert!(connected <= 2560, "{connected}");
    }
}
