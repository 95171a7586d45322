//! Many clients on a few sockets in one thread, with the same batches and the same ESP engine as the gateway's workers,
//! so that the generator is not what is measured.
//!
//! Each client has an address and port of its own: a socket that is bound to no address sends from any that is routed to
//! this host, and all of 127/8 is.

use crate::client::device::{Seen, Wrapped};
use crate::client::{Device, Event, Output, Profile};
use crate::crypto::engine::{EspEngine, OpenJob, SealJob};
use crate::entropy::Entropy;
use crate::packet::{Datagram, Encap, PacketBuf, Path, Pool, Transmit};
use crate::ppp::Login;
use crate::shell::udp::{ReceiveSpace, UdpSocket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Receive calls per socket and turn.
const TURN: usize = 32;
/// Packets of a turn, about.
const ENOUGH: usize = 256;
/// The token of the timer; sockets count from zero.
const TIMER: Token = Token(usize::MAX);

/// Where the clients are and where they go.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The server's port for NAT traversal.
    pub(super) server: SocketAddr,
    /// The first client's address; the others follow.
    pub(super) source: Ipv4Addr,
    /// The ports of our sockets: clients share an address in turn, one on each.
    pub(super) ports: Vec<u16>,
}

impl Places {
    pub(super) fn path(&self, client: usize) -> Path {
        let port = self.ports[client % self.ports.len()];
        let n = u32::try_from(client / self.ports.len()).unwrap_or(u32::MAX);
        let ip = Ipv4Addr::from_bits(self.source.to_bits().saturating_add(n));
        Path { encap: Encap::NatT, local: SocketAddr::new(ip.into(), port), remote: self.server }
    }

    /// Whose address this is.
    fn client(&self, local: SocketAddr) -> Option<usize> {
        let IpAddr::V4(ip) = local.ip() else { return None };
        let n = ip.to_bits().checked_sub(self.source.to_bits())? as usize;
        let socket = self.ports.iter().position(|port| *port == local.port())?;
        Some(n * self.ports.len() + socket)
    }
}

struct Member {
    device: Device,
    filed: Option<Instant>,
}

/// Clients that are connected, connecting or not there yet.
pub(super) struct Swarm {
    poll: Poll,
    events: Events,
    timer: TimerFd,
    places: Places,
    sockets: Vec<UdpSocket>,
    ready: Vec<bool>,
    space: ReceiveSpace,
    pool: Pool,
    engine: EspEngine,
    members: Vec<Member>,
    deadlines: BTreeSet<(Instant, usize)>,
    touched: Vec<usize>,
    datagrams: Vec<Datagram>,
    opening: Vec<OpenJob>,
    opening_for: Vec<usize>,
    sealing: Vec<SealJob>,
    sealing_paths: Vec<Path>,
    out: Output,
    transmits: Vec<Transmit>,
    /// What happened to whom, for the caller to drain.
    pub(super) happened: Vec<(usize, Event)>,
    /// IP packets that came, for the caller to drain and to give back ([`Self::recycle`]).
    pub(super) packets: Vec<(usize, PacketBuf)>,
    /// Datagrams that the kernel did not take.
    pub(super) unsent: usize,
    /// Datagrams and packets that a client could make nothing of.
    pub(super) refused: usize,
}

impl Swarm {
    /// `count` clients, none of which has begun. `places.ports` says how many sockets; a port 0 is any free one.
    ///
    /// # Errors
    /// When a port is taken.
    pub(super) fn new(
        mut places: Places,
        count: usize,
        profile: &Arc<Profile>,
        login: impl Fn(usize) -> Login,
        entropy: &mut Entropy,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer =
            TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let fd = timer.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), TIMER, Interest::READABLE)?;
        let mut sockets = Vec::new();
        for (n, port) in places.ports.iter_mut().enumerate() {
            let at = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), *port);
            let socket = UdpSocket::bind(at, Encap::NatT, false)
                .map_err(|error| io::Error::new(error.kind(), format!("UDP port {port}: {error}")))?;
            poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(n), Interest::READABLE)?;
            *port = socket.bound().port();
            sockets.push(socket);
        }
        let members = (0..count).map(|n| Member {
            device: Device::new(profile.clone(), login(n), places.path(n), entropy.fork()),
            filed: None,
        });
        Ok(Self {
            members: members.collect(),
            poll,
            events: Events::with_capacity(sockets.len() + 1),
            timer,
            places,
            ready: vec![false; sockets.len()],
            sockets,
            space: ReceiveSpace::default(),
            pool: Pool::default(),
            engine: EspEngine::new(entropy.fork()),
            deadlines: BTreeSet::new(),
            touched: Vec::new(),
            datagrams: Vec::new(),
            opening: Vec::new(),
            opening_for: Vec::new(),
            sealing: Vec::new(),
            sealing_paths: Vec::new(),
            out: Output::default(),
            transmits: Vec::new(),
            happened: Vec::new(),
            packets: Vec::new(),
            unsent: 0,
            refused: 0,
        })
    }

    /// How many clients there are.
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// A client.
    pub(super) fn device(&self, client: usize) -> &Device {
        &self.members[client].device
    }

    /// The most datagrams of one way that a send call carries.
    pub(super) fn set_longest_run(&mut self, datagrams: usize) {
        self.sockets.iter_mut().for_each(|socket| socket.set_longest_run(datagrams));
    }

    /// Has a client do something: begin, leave, vanish, renew its keys.
    pub(super) fn tell(&mut self, client: usize, what: impl FnOnce(&mut Device, &mut Output)) {
        what(&mut self.members[client].device, &mut self.out);
        self.take_output(client);
    }

    /// An empty buffer for a packet.
    pub(super) fn buffer(&mut self, len: usize) -> PacketBuf {
        self.pool.take(len)
    }

    /// Takes the buffer of a packet back.
    pub(super) fn recycle(&mut self, packet: PacketBuf) {
        self.pool.give(packet);
    }

    /// Sends an IP packet from a client, with the next [`Self::flush`].
    pub(super) fn send(&mut self, now: Instant, client: usize, packet: PacketBuf) {
        match self.members[client].device.wrap_ip(now, packet) {
            Ok(Wrapped::Seal(path, job)) => {
                self.sealing.push(job);
                self.sealing_paths.push(path);
            }
            Ok(Wrapped::Ready(transmit)) => self.transmits.push(transmit),
            Err(_) => self.refused += 1,
        }
    }

    /// Seals and sends what waits.
    pub(super) fn flush(&mut self) {
        self.engine.seal(&mut self.sealing);
        let sealed = self.sealing_paths.drain(..).zip(self.sealing.drain(..));
        self.transmits.extend(sealed.map(|(path, job)| Transmit { path, buf: job.buf }));
        let mut rest = self.transmits.as_slice();
        while let Some(first) = rest.first() {
            let port = first.path.local.port();
            let run = rest.iter().take_while(|next| next.path.local.port() == port).count();
            let (now, later) = rest.split_at(run);
            rest = later;
            let socket = self.places.ports.iter().position(|known| *known == port);
            self.unsent += match socket.and_then(|n| self.sockets.get_mut(n)) {
                Some(socket) => socket.send(now),
                None => now.len(),
            };
        }
        self.transmits.drain(..).for_each(|transmit| self.pool.give(transmit.buf));
    }

    /// Waits until something comes, a client's timer is due or the moment has come; then handles all that there is.
    ///
    /// # Errors
    /// When the system's event queue fails.
    pub(super) fn turn(&mut self, until: Instant) -> io::Result<Instant> {
        self.flush();
        self.settle();
        let now = Instant::now();
        let until = self.deadlines.first().map_or(until, |(at, _)| until.min(*at));
        let wait = until.saturating_duration_since(now);
        if wait.is_zero() || self.ready.contains(&true) {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        } else {
            // Finer than the milliseconds of epoll.
            let at = Expiration::OneShot(TimeSpec::from_duration(wait));
            self.timer.set(at, TimerSetTimeFlags::empty())?;
            match self.poll.poll(&mut self.events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
        }
        for event in &self.events {
            if let Some(ready) = self.ready.get_mut(event.token().0) {
                *ready = true;
            }
        }
        let now = Instant::now();
        self.receive(now)?;
        while let Some(&(at, client)) = self.deadlines.first()
            && at <= now
        {
            self.deadlines.pop_first();
            self.members[client].filed = None;
            self.tell(client, |device, out| device.handle_timeout(now, out));
        }
        self.settle();
        Ok(now)
    }

    fn receive(&mut self, now: Instant) -> io::Result<()> {
        for (socket, ready) in self.sockets.iter().zip(&mut self.ready) {
            let enough = self.datagrams.len() + ENOUGH;
            for _ in 0..TURN {
                if !*ready || self.datagrams.len() >= enough {
                    break;
                }
                *ready = socket.receive(&mut self.space, &mut self.pool, &mut self.datagrams)?;
            }
        }
        let mut datagrams = std::mem::take(&mut self.datagrams);
        for Datagram { path, buf } in datagrams.drain(..) {
            let Some(client) = self.places.client(path.local).filter(|client| *client < self.len()) else {
                self.refused += 1;
                continue;
            };
            match self.members[client].device.see(&path, buf) {
                Ok(Seen::Sealed(job)) => {
                    self.opening.push(job);
                    self.opening_for.push(client);
                }
                Ok(Seen::Other(buf)) => {
                    self.open(now);
                    let result = self.members[client].device.handle_datagram(now, path, buf, &mut self.out);
                    self.refused += usize::from(result.is_err());
                    self.take_output(client);
                }
                Err(_) => self.refused += 1,
            }
        }
        self.datagrams = datagrams;
        self.open(now);
        Ok(())
    }

    /// Opens what waits in one call and delivers it.
    fn open(&mut self, now: Instant) {
        if self.opening.is_empty() {
            return;
        }
        let (mut jobs, mut clients) =
            (std::mem::take(&mut self.opening), std::mem::take(&mut self.opening_for));
        self.engine.open(&mut jobs);
        for (job, client) in jobs.drain(..).zip(clients.drain(..)) {
            let result = self.members[client].device.deliver(now, job, &mut self.out);
            self.refused += usize::from(result.is_err());
            self.take_output(client);
        }
        (self.opening, self.opening_for) = (jobs, clients);
    }

    fn take_output(&mut self, client: usize) {
        self.transmits.append(&mut self.out.transmits);
        self.packets.extend(self.out.packets.drain(..).map(|packet| (client, packet)));
        self.happened.extend(self.out.events.drain(..).map(|event| (client, event)));
        if self.touched.last() != Some(&client) {
            self.touched.push(client);
        }
    }

    /// Re-arms the timers of clients that something was done with.
    fn settle(&mut self) {
        self.touched.sort_unstable();
        self.touched.dedup();
        for client in self.touched.drain(..) {
            let member = &mut self.members[client];
            let wanted = member.device.poll_timeout();
            if wanted == member.filed {
                continue;
            }
            if let Some(at) = member.filed {
                self.deadlines.remove(&(at, client));
            }
            self.deadlines.extend(wanted.map(|at| (at, client)));
            member.filed = wanted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_has_its_own_address_and_port() {
        let server = SocketAddr::from(([127, 0, 0, 1], 4500));
        let places = Places { server, source: Ipv4Addr::new(127, 1, 0, 250), ports: vec![2000, 2001] };
        let paths: Vec<_> = (0..20).map(|n| places.path(n)).collect();
        assert_eq!(paths[19].local, SocketAddr::from(([127, 1, 1, 3], 2001)));
        for (n, path) in paths.iter().enumerate() {
            assert_eq!(places.client(path.local), Some(n));
        }
        assert_eq!(places.client(SocketAddr::from(([127, 1, 0, 249], 2000))), None);
        assert_eq!(places.client(SocketAddr::from(([127, 1, 0, 250], 2002))), None);
    }
}
