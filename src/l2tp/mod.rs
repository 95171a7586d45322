//! L2TP Network Server (RFC 2661) for one peer: its tunnels, their sessions, and the way of a PPP frame through them.
//!
//! An [`Lns`] belongs to one remote host, and is only ever shown what that host's security association opened (or, for
//! clear-text L2TP, what came from its address). So tunnels are found by our own number *within the peer*, never by an
//! inner address: a hundred clients behind one NAT may all call themselves tunnel 1 on port 1701.
//!
//! It never dials: control connections and calls are always begun by the client (Incoming Calls, section 5.2.1).
//!
//! ```text
//!   client (LAC)                   here (LNS)
//!   SCCRQ ------------------------>            [`Event::TunnelAsked`]
//!         <------------------------ SCCRP      WaitCtlConn
//!   SCCCN ------------------------>            Established, [`Event::TunnelUp`]
//!         <------------------------ ZLB
//!   ICRQ  ------------------------>
//!         <------------------------ ICRP       WaitConnect
//!   ICCN  ------------------------>            Established, [`Event::SessionUp`]
//!         <------------------------ ZLB
//!   PPP   <-----------------------> PPP        [`Lns::strip_data`], [`Lns::put_data`]
//! ```
//!
//! Files: `tunnel` is the control connection (section 7.2), `session` the call (7.4), `reliable` the numbering and
//! repetition of control messages (5.8), `cause` why things end.

mod cause;
mod reliable;
mod session;
mod software;
mod tunnel;

#[cfg(test)]
mod tests;

pub use crate::wire::l2tp::{SessionId, TunnelId, is_control};
pub use cause::{Cause, Direction, Fault, PppEnd};
pub use software::Software;
pub use tunnel::challenge_response;

use crate::crypto::Secret;
use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf, WorkerId};
use crate::wire::avp::{Avps, MessageType};
use crate::wire::l2tp::{DataHeader, Message};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tunnel::Tunnel;

/// Longest Host Name and Vendor Name that we keep.
const MAX_NAME_CHARS: usize = 64;

/// How this layer behaves; one value is shared by all peers.
pub struct Settings {
    /// Our Host Name AVP.
    pub host_name: String,
    /// The tunnel secret, for clients that challenge us; without it their SCCRQ is refused. We never challenge them:
    /// Apple does not answer, and IPsec has authenticated both ends already.
    pub secret: Option<Secret>,
    /// A HELLO is sent when nothing was heard for this long; zero means never.
    pub hello_idle: Duration,
    /// A tunnel is dead when nothing was heard for this long and a control message is unanswered.
    pub dead_after: Duration,
    /// Time from SCCRQ to SCCCN, and from ICRQ to ICCN.
    pub setup_timeout: Duration,
    /// A tunnel without a session is closed after this time.
    pub unused_after: Duration,
    /// Tunnels of one peer: the one in use, and those that a returning client left behind.
    pub max_tunnels: usize,
    /// Sessions of one tunnel.
    pub max_sessions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host_name: "sekisho".to_owned(),
            secret: None,
            hello_idle: Duration::from_secs(60),
            dead_after: Duration::from_secs(300),
            // Android gives a whole connection 60 seconds.
            setup_timeout: Duration::from_secs(60),
            unused_after: Duration::from_secs(60),
            max_tunnels: 4,
            max_sessions: 4,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("host_name", &self.host_name)
            .field("secret", &self.secret.is_some())
            .field("hello_idle", &self.hello_idle)
            .field("dead_after", &self.dead_after)
            .finish_non_exhaustive()
    }
}

/// A session of this peer, by our numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SessionKey {
    /// The tunnel that it runs in.
    pub tunnel: TunnelId,
    /// Its own number.
    pub session: SessionId,
}

impl std::fmt::Display for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.tunnel, self.session)
    }
}

/// What a client says about itself in its SCCRQ. For display and for telling kinds of clients apart; never trusted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerInfo {
    /// Host Name, without control characters and shortened.
    pub host_name: String,
    /// Vendor Name, likewise; empty if absent.
    pub vendor_name: String,
    /// Firmware Revision.
    pub firmware: Option<u16>,
    /// Receive Window Size.
    pub receive_window: Option<u16>,
    /// Types of all AVPs in their order, the Message Type left out: a habit that differs from system to system.
    pub attributes: Vec<u16>,
    /// The client's number for the tunnel.
    pub remote_tunnel: TunnelId,
    /// The client's UDP port.
    pub remote_port: u16,
}

impl PeerInfo {
    fn read(avps: &Avps<'_>, remote_port: u16) -> Self {
        let text = |bytes: Option<&[u8]>| -> String {
            String::from_utf8_lossy(bytes.unwrap_or_default())
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_NAME_CHARS)
                .collect()
        };
        Self {
            host_name: text(avps.host_name()),
            vendor_name: text(avps.vendor_name()),
            firmware: avps.firmware_revision(),
            receive_window: avps.receive_window_size(),
            attributes: avps.iter().map(|avp| avp.value.number().1).collect(),
            remote_tunnel: avps.assigned_tunnel_id().unwrap_or_default(),
            remote_port,
        }
    }
}

/// What happened. `Up` and `Down` come in pairs; what never came up ends with `Failed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A client began a tunnel and was answered.
    TunnelAsked {
        /// Our number for it.
        tunnel: TunnelId,
        /// What it says about itself.
        info: Arc<PeerInfo>,
    },
    /// A tunnel is established. If this peer has another one, its owner came back: see [`Lns::forget_others`].
    TunnelUp {
        /// Our number for it.
        tunnel: TunnelId,
        /// What the client says about itself.
        info: Arc<PeerInfo>,
    },
    /// A tunnel was refused, or begun and never completed.
    TunnelFailed {
        /// What the client says about itself.
        info: Arc<PeerInfo>,
        /// Why.
        cause: Cause,
    },
    /// An established tunnel ended. Its sessions were reported before it.
    TunnelDown {
        /// Our number for it.
        tunnel: TunnelId,
        /// Why.
        cause: Cause,
    },
    /// A session is established: PPP may start. Clients discard what reaches them sooner.
    SessionUp {
        /// The session.
        key: SessionKey,
        /// The client's Call Serial Number, which its log may show.
        serial: u32,
    },
    /// A session was refused, or begun and never completed.
    SessionFailed {
        /// Its tunnel.
        tunnel: TunnelId,
        /// Why.
        cause: Cause,
    },
    /// An established session ended.
    SessionDown {
        /// The session.
        key: SessionKey,
        /// Why.
        cause: Cause,
    },
}

/// An L2TP message for the client, to be sent from our port 1701.
#[derive(Debug)]
#[must_use = "an Outgoing does nothing until it is sent"]
pub struct Outgoing {
    /// The client's UDP port, which need not be 1701.
    pub remote_port: u16,
    /// The UDP payload.
    pub buf: PacketBuf,
}

/// What a call produced. Drain it whatever the call returned: even a dropped message may need an acknowledgement.
#[derive(Debug, Default)]
pub struct Output {
    /// To be sent, in this order.
    pub packets: Vec<Outgoing>,
    /// What happened, in this order.
    pub events: Vec<Event>,
}

/// What every handler needs.
struct Context<'a> {
    now: Instant,
    settings: &'a Settings,
    out: &'a mut Output,
}

impl Context<'_> {
    fn send(&mut self, remote_port: u16, bytes: &[u8]) {
        self.out.packets.push(Outgoing { remote_port, buf: PacketBuf::from_slice(bytes) });
    }
}

/// All L2TP tunnels of one peer.
#[derive(Debug)]
pub struct Lns {
    settings: Arc<Settings>,
    worker: WorkerId,
    tunnels: Vec<Tunnel>,
    heard: Option<Instant>,
}

impl Lns {
    /// A server without tunnels. `worker` becomes the top byte of the Tunnel IDs that it assigns.
    #[must_use]
    pub const fn new(settings: Arc<Settings>, worker: WorkerId) -> Self {
        Self { settings, worker, tunnels: Vec::new(), heard: None }
    }

    /// Whether no tunnel is left, not even one that only answers repetitions: the whole `Lns` may be dropped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tunnels.is_empty()
    }

    /// Our numbers of the tunnels that are established or about to be, oldest first.
    pub fn tunnels(&self) -> impl Iterator<Item = TunnelId> {
        self.tunnels.iter().filter(|tunnel| tunnel.is_live()).map(|tunnel| tunnel.local)
    }

    /// Any authenticated packet of this peer is a sign of life, and puts off the next HELLO.
    ///
    /// With several tunnels (a client that came back while its old tunnel is still there), only their own packets
    /// count for each, so that the new one does not keep the old one alive: call this before [`Self::strip_data`].
    pub fn heard(&mut self, now: Instant) {
        self.heard = Some(now);
        let mut live = self.tunnels.iter_mut().filter(|tunnel| tunnel.is_live());
        if let (Some(only), None) = (live.next(), live.next()) {
            only.heard(now);
        }
    }

    /// Takes a control message ([`is_control`]) that came from the client's UDP port `from_port`.
    ///
    /// # Errors
    /// Why the message was dropped; a repeated one, although answered, counts as [`Drop::Repeated`].
    pub fn handle_control(
        &mut self,
        now: Instant,
        from_port: u16,
        bytes: &[u8],
        entropy: &mut Entropy,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let message = Message::parse(bytes)?;
        self.heard = Some(now);
        let settings = Arc::clone(&self.settings);
        let mut cx = Context { now, settings: &settings, out };
        let to = message.header.tunnel;
        let result = if to == TunnelId(0) {
            self.recv_unconnected(&mut cx, from_port, &message, bytes, entropy)
        } else {
            let tunnel = self.tunnels.iter_mut().find(|tunnel| tunnel.local == to);
            tunnel.ok_or(Drop::UnknownTunnel)?.receive(&mut cx, entropy, &message, bytes)
        };
        self.reap();
        result
    }

    /// A control message that names no tunnel of ours.
    fn recv_unconnected(
        &mut self,
        cx: &mut Context<'_>,
        from_port: u16,
        message: &Message<'_>,
        bytes: &[u8],
        entropy: &mut Entropy,
    ) -> Result<(), Drop> {
        match message.kind {
            Some(MessageType::SCCRQ) => self.recv_sccrq(cx, from_port, message, entropy),
            // Interop: Apple wakes its IKE daemon with a burst of these; one may slip through.
            Some(MessageType::HELLO) => Ok(()),
            // A client that gives up before our SCCRP reached it can only name its own tunnel (section 6.4).
            Some(MessageType::STOP_CCN) => {
                let remote = message.avps.assigned_tunnel_id().ok_or(Drop::UnknownTunnel)?;
                let tunnel = self.tunnels.iter_mut().find(|tunnel| tunnel.is_begun_by(from_port, remote));
                tunnel.ok_or(Drop::UnknownTunnel)?.receive(cx, entropy, message, bytes)
            }
            _ => Err(Drop::UnknownTunnel),
        }
    }

    fn recv_sccrq(
        &mut self,
        cx: &mut Context<'_>,
        from_port: u16,
        message: &Message<'_>,
        entropy: &mut Entropy,
    ) -> Result<(), Drop> {
        use crate::wire::{Error, Kind};
        // Without it there is nobody to answer.
        let remote =
            message.avps.assigned_tunnel_id().ok_or(Error::new("Assigned Tunnel ID", Kind::Missing))?;
        // Android repeats its SCCRQ every two seconds, others after one: the same SCCRP again, not a second tunnel.
        // Once the SCCCN has come, the same request means that the client lost its memory and starts anew.
        if let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.is_begun_by(from_port, remote))
            && tunnel.is_repeated_sccrq(message)
        {
            tunnel.answer_again(cx);
            return Err(Drop::Repeated);
        }
        let local = self.unused_tunnel_id(entropy);
        let answered =
            self.make_room().and_then(|()| Tunnel::recv_sccrq(cx, local, from_port, remote, message));
        match answered {
            Ok(tunnel) => {
                // One is the rule: do not let the vector make room for four.
                self.tunnels.reserve_exact(1);
                self.tunnels.push(tunnel);
            }
            Err(cause) => tunnel::refuse_sccrq(cx, local, from_port, remote, message, cause),
        }
        Ok(())
    }

    /// Room for one more tunnel, if need be at the cost of one that only answers repetitions.
    fn make_room(&mut self) -> Result<(), Cause> {
        if self.tunnels.len() < self.settings.max_tunnels {
            return Ok(());
        }
        let finished =
            self.tunnels.iter().position(|tunnel| !tunnel.is_live()).ok_or(Cause::TooManyTunnels)?;
        self.tunnels.remove(finished);
        Ok(())
    }

    /// A number with the worker in its top byte, random otherwise, not zero, not in use by this peer.
    fn unused_tunnel_id(&self, entropy: &mut Entropy) -> TunnelId {
        let [random] = entropy.array();
        (0..=u8::MAX)
            .map(|step| TunnelId(u16::from_be_bytes([self.worker.0, random.wrapping_add(step)])))
            .find(|id| id.0 != 0 && self.tunnels.iter().all(|tunnel| tunnel.local != *id))
            // Not reached: `max_tunnels` is far below 255, and a tunnel over the limit is refused.
            .unwrap_or(TunnelId(u16::from_be_bytes([self.worker.0, 1])))
    }

    /// Takes the L2TP header off a data message; what stays is a PPP frame.
    ///
    /// # Errors
    /// [`Drop::UnknownTunnel`] or [`Drop::UnknownSession`] if it is not for an established session of this peer,
    /// [`Drop::Malformed`] if the header does not parse.
    pub fn strip_data(&mut self, buf: &mut PacketBuf) -> Result<SessionKey, Drop> {
        let header = DataHeader::parse(buf)?;
        let tunnel = self.tunnels.iter_mut().find(|tunnel| tunnel.local == header.tunnel);
        let tunnel = tunnel.ok_or(Drop::UnknownTunnel)?;
        if !tunnel.has_open(header.session) {
            return Err(Drop::UnknownSession);
        }
        if let Some(now) = self.heard {
            tunnel.heard(now);
        }
        // Ns is ignored: nobody is asked to number data, and PPP under IP needs no order.
        buf.truncate(header.end);
        buf.pull_front(header.len).ok_or(Drop::UnknownSession)?;
        Ok(SessionKey { tunnel: header.tunnel, session: header.session })
    }

    /// Puts the L2TP header before a PPP frame and returns the client's UDP port.
    ///
    /// # Errors
    /// [`Drop::UnknownTunnel`] or [`Drop::UnknownSession`] if there is no such established session.
    pub fn put_data(&self, key: SessionKey, buf: &mut PacketBuf) -> Result<u16, Drop> {
        let tunnel = self.tunnels.iter().find(|tunnel| tunnel.local == key.tunnel);
        let tunnel = tunnel.ok_or(Drop::UnknownTunnel)?;
        let remote = tunnel.remote_of(key.session).ok_or(Drop::UnknownSession)?;
        buf.put_front(&DataHeader::emit(tunnel.remote, remote));
        Ok(tunnel.remote_port)
    }

    /// Ends a session with a CDN. No effect if it is gone already.
    pub fn close_session(&mut self, now: Instant, key: SessionKey, cause: Cause, out: &mut Output) {
        let mut cx = Context { now, settings: &self.settings, out };
        if let Some(tunnel) = self.tunnels.iter_mut().find(|tunnel| tunnel.local == key.tunnel) {
            tunnel.close_session(&mut cx, key.session, cause);
        }
    }

    /// Ends a tunnel and its sessions with a StopCCN. No effect if it is gone already.
    pub fn close_tunnel(&mut self, now: Instant, tunnel: TunnelId, cause: Cause, out: &mut Output) {
        let mut cx = Context { now, settings: &self.settings, out };
        if let Some(tunnel) = self.tunnels.iter_mut().find(|candidate| candidate.local == tunnel) {
            tunnel.close(&mut cx, cause);
        }
        self.reap();
    }

    /// Ends every tunnel but this one: a device has one, so it has begun anew and forgotten them. Nothing is sent, because
    /// their numbers may be its new one's: to Windows every tunnel is number 1.
    pub fn forget_others(&mut self, now: Instant, tunnel: TunnelId, out: &mut Output) {
        let mut cx = Context { now, settings: &self.settings, out };
        for other in self.tunnels.iter_mut().filter(|other| other.local != tunnel) {
            other.forget(&mut cx);
        }
        self.reap();
    }

    /// Ends everything. The `Lns` then lives on, driven by its timers, until the StopCCNs are acknowledged or 31
    /// seconds have passed; whoever cannot wait sends the output and drops it.
    pub fn close_all(&mut self, now: Instant, cause: Cause, out: &mut Output) {
        let mut cx = Context { now, settings: &self.settings, out };
        for tunnel in &mut self.tunnels {
            tunnel.close(&mut cx, cause);
        }
        self.reap();
    }

    /// When [`Self::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.tunnels.iter().filter_map(Tunnel::poll_timeout).min()
    }

    /// Repeats, greets, and gives up what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Output) {
        let mut cx = Context { now, settings: &self.settings, out };
        for tunnel in &mut self.tunnels {
            tunnel.handle_timeout(&mut cx);
        }
        self.reap();
    }

    fn reap(&mut self) {
        self.tunnels.retain(|tunnel| !tunnel.is_gone());
        if self.tunnels.is_empty() {
            self.tunnels = Vec::new();
        }
    }
}
