//! The thread of a user-mode NAT: its sockets, and the frames between it and its worker.

use super::cable::Queue;
use super::host;
use super::inbox::{self, Inbox, Input};
use crate::entropy::Entropy;
use crate::hub::PortId;
use crate::packet::{PacketBuf, Pool};
use crate::usernat::{FlowId, Listed, Nat, Outside, Settings};
use crate::wire::inet::Icmp;
use anyhow::Context as _;
use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Registry, Token, Waker};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSliceMut, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

const WAKER: Token = Token(usize::MAX);
/// Batches that wait for the thread at most.
const QUEUE: usize = 256;
/// Batches, and datagrams of one socket, in one turn.
const TURN: usize = 64;
/// Frames in one batch for the worker.
const BATCH: usize = 256;
/// Files that are left to the rest of the process.
const SPARE_FILES: u64 = 256;
/// How long the thread may take to list its flows.
const ANSWER: Duration = Duration::from_secs(1);
/// How old what is known of the host's name servers may be.
const RESOLVERS: Duration = Duration::from_secs(10);
/// Listings that wait at most.
const QUESTIONS: usize = 4;

/// Who asks for the flows.
type Question = tokio::sync::oneshot::Sender<Vec<Listed>>;

/// The control side's end: asks for the flows.
#[derive(Clone)]
pub(super) struct Window {
    to: SyncSender<Question>,
    waker: Arc<Waker>,
}

impl Window {
    /// The flows there are, if the NAT answers.
    pub(super) async fn flows(&self) -> Option<Vec<Listed>> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.to.try_send(answer).ok()?;
        self.waker.wake().ok()?;
        tokio::time::timeout(ANSWER, answered).await.ok()?.ok()
    }
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Window")
    }
}

/// The worker's end.
pub(super) struct Way {
    to: Option<SyncSender<Vec<PacketBuf>>>,
    waker: Arc<Waker>,
}

impl Queue for Way {
    fn put(&mut self, frames: &mut Vec<PacketBuf>, pool: &mut Pool) {
        let batch = std::mem::take(frames);
        if let Some(Err(refused)) = self.to.as_ref().map(|to| to.try_send(batch)) {
            // Too far behind: lost, as on a cable.
            let (std::sync::mpsc::TrySendError::Full(batch)
            | std::sync::mpsc::TrySendError::Disconnected(batch)) = refused;
            batch.into_iter().for_each(|frame| pool.give(frame));
        }
        let _ = self.waker.wake();
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        // The thread finds its queue at its end.
        self.to = None;
        let _ = self.waker.wake();
    }
}

/// Starts the NAT behind a port.
pub(super) fn start(
    port: PortId,
    mut settings: Settings,
    inboxes: Arc<[Inbox]>,
) -> anyhow::Result<(Way, Window)> {
    settings.resolvers = resolvers();
    if let Err(error) = ping_socket() {
        tracing::warn!(%error, "pings of clients go nowhere: {NO_PINGS}");
    }
    settings.limits.all = settings.limits.all.min(files());
    let seed = Entropy::from_system()?.u64();
    let poll = Poll::new().context("cannot make an event queue")?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let registry = poll.registry().try_clone()?;
    let (to, from) = sync_channel(QUEUE);
    let (asks, questions) = sync_channel(QUESTIONS);
    let outside = Sockets { registry, sockets: HashMap::new() };
    let nat = Nat::new(Instant::now(), settings, seed);
    let looked = Instant::now();
    let thread = Thread { poll, nat, outside, from, questions, inboxes, port, again: Vec::new(), looked };
    std::thread::Builder::new().name("usernat".to_owned()).spawn(move || {
        if let Err(error) = thread.run() {
            tracing::error!(%error, "the user-mode NAT failed");
        }
    })?;
    let window = Window { to: asks, waker: waker.clone() };
    Ok((Way { to: Some(to), waker }, window))
}

/// What is the matter where there are no pings.
const NO_PINGS: &str = "this system has no ping sockets for us (sysctl net.ipv4.ping_group_range)";

/// A socket for ICMP echo, where the system lets us have one (ping(7) in Linux: `net.ipv4.ping_group_range`).
///
/// # Errors
/// `PermissionDenied` where it does not.
pub(super) fn ping_socket() -> io::Result<RawSocket> {
    RawSocket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::ICMPV4))
}

/// The name servers of this host: those on its loopback too, for it is we who ask.
fn resolvers() -> Vec<Ipv4Addr> {
    let own = host::v4_of(host::own_name_servers());
    if own.is_empty() { host::name_servers() } else { own }
}

/// How many files the process may open for sockets; as many as the system lets it have.
fn files() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 512 };
    let wanted = hard.min(65_536).max(soft);
    let have = if setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft };
    usize::try_from(have.saturating_sub(SPARE_FILES).max(64)).unwrap_or(usize::MAX)
}

enum Socket {
    Udp(UdpSocket),
    Echo(UdpSocket),
    Tcp(TcpStream),
}

/// The sockets of all flows.
struct Sockets {
    registry: Registry,
    sockets: HashMap<FlowId, Socket>,
}

const fn token(flow: FlowId) -> Token {
    Token(flow.0 as usize)
}

impl Sockets {
    fn udp(&mut self, flow: FlowId) -> io::Result<&UdpSocket> {
        if !self.sockets.contains_key(&flow) {
            let mut socket = UdpSocket::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
            // What does not arrive is told, and the mapping stays.
            let _ = setsockopt(&socket, sockopt::Ipv4RecvErr, &true);
            self.registry.register(&mut socket, token(flow), Interest::READABLE)?;
            self.sockets.insert(flow, Socket::Udp(socket));
        }
        match self.sockets.get(&flow) {
            Some(Socket::Udp(socket)) => Ok(socket),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn echo(&mut self, flow: FlowId) -> io::Result<&UdpSocket> {
        if !self.sockets.contains_key(&flow) {
            // That there are none has been said at the start.
            let socket = ping_socket().map_err(|_| io::Error::from(ErrorKind::PermissionDenied))?;
            socket.set_nonblocking(true)?;
            let _ = setsockopt(&socket, sockopt::Ipv4RecvErr, &true);
            let mut socket = UdpSocket::from_std(socket.into());
            self.registry.register(&mut socket, token(flow), Interest::READABLE)?;
            self.sockets.insert(flow, Socket::Echo(socket));
        }
        match self.sockets.get(&flow) {
            Some(Socket::Echo(socket)) => Ok(socket),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }

    fn tcp(&mut self, flow: FlowId) -> io::Result<&mut TcpStream> {
        match self.sockets.get_mut(&flow) {
            Some(Socket::Tcp(stream)) => Ok(stream),
            _ => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Outside for Sockets {
    fn send_udp(&mut self, flow: FlowId, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        let socket = self.udp(flow)?;
        // An error that is reported here may be an earlier datagram's: once more says whose it is.
        let sent = socket.send_to(payload, to.into()).or_else(|_| socket.send_to(payload, to.into()));
        match sent {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    fn send_echo(&mut self, flow: FlowId, to: Ipv4Addr, message: &[u8]) -> io::Result<()> {
        let socket = self.echo(flow)?;
        match socket.send_to(message, SocketAddr::from((to, 0))) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent.map(drop),
        }
    }

    fn connect(&mut self, flow: FlowId, to: SocketAddrV4, from: Option<u16>) -> io::Result<u16> {
        let socket = RawSocket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // Several may have one port towards different servers; a port that the system chooses is nobody else's.
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, from.unwrap_or(0)).into())?;
        let port = socket.local_addr()?.as_socket_ipv4().map_or(0, |own| own.port());
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        let _ = stream.set_nodelay(true);
        self.registry.register(&mut stream, token(flow), Interest::READABLE | Interest::WRITABLE)?;
        self.sockets.insert(flow, Socket::Tcp(stream));
        Ok(port)
    }

    fn read(&mut self, flow: FlowId, into: &mut [u8]) -> io::Result<usize> {
        self.tcp(flow)?.read(into)
    }

    fn write(&mut self, flow: FlowId, bytes: &[u8]) -> io::Result<usize> {
        self.tcp(flow)?.write(bytes)
    }

    fn shut_down(&mut self, flow: FlowId) {
        if let Ok(stream) = self.tcp(flow) {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn close(&mut self, flow: FlowId) {
        // Closing takes it out of the queue as well.
        self.sockets.remove(&flow);
    }
}

struct Thread {
    poll: Poll,
    nat: Nat,
    outside: Sockets,
    from: Receiver<Vec<PacketBuf>>,
    questions: Receiver<Question>,
    inboxes: Arc<[Inbox]>,
    port: PortId,
    /// Sockets that may have more.
    again: Vec<FlowId>,
    /// When the host was last asked for its name servers.
    looked: Instant,
}

impl Thread {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut space = vec![0; 65_536];
        let mut more = false;
        loop {
            let wait = if more || !self.again.is_empty() {
                Some(Duration::ZERO)
            } else {
                self.nat.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()))
            };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => result?,
            }
            let now = Instant::now();
            if now.duration_since(self.looked) > RESOLVERS {
                // A host that has moved to another network has others.
                self.looked = now;
                self.nat.set_resolvers(resolvers());
            }
            more = true;
            for _ in 0..TURN {
                match self.from.try_recv() {
                    Ok(frames) => {
                        for frame in frames {
                            if let Err(reason) = self.nat.handle_frame(now, &frame, &mut self.outside) {
                                tracing::trace!(%reason, "frame not translated");
                            }
                        }
                    }
                    Err(TryRecvError::Empty) => {
                        more = false;
                        break;
                    }
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            while let Ok(answer) = self.questions.try_recv() {
                // Whoever asked may have gone.
                let _ = answer.send(self.nat.list(now));
            }
            for flow in std::mem::take(&mut self.again) {
                self.ready(now, flow, true, false, &mut space);
            }
            for event in events.iter().filter(|event| event.token() != WAKER) {
                let flow = FlowId(event.token().0 as u32);
                let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                self.ready(now, flow, readable, event.is_writable() || event.is_write_closed(), &mut space);
            }
            self.nat.work(now, &mut self.outside);
            if self.nat.poll_timeout().is_some_and(|at| at <= now) {
                self.nat.handle_timeout(now, &mut self.outside);
            }
            self.pass_on();
        }
    }

    /// A socket has something to say.
    fn ready(&mut self, now: Instant, flow: FlowId, readable: bool, writable: bool, space: &mut [u8]) {
        match self.outside.sockets.get(&flow) {
            Some(Socket::Tcp(stream)) => {
                if !self.nat.is_connecting(flow) {
                    self.nat.handle_ready(flow, readable, writable);
                    return;
                }
                let result = match stream.take_error() {
                    Ok(None) => match stream.peer_addr() {
                        Ok(_) => Ok(()),
                        // Not yet.
                        Err(error) if error.kind() == ErrorKind::NotConnected => return,
                        Err(error) => Err(error.kind()),
                    },
                    Ok(Some(error)) | Err(error) => Err(error.kind()),
                };
                self.nat.handle_connected(now, flow, result, &mut self.outside);
            }
            Some(Socket::Udp(socket)) => {
                for _ in 0..TURN {
                    match socket.recv_from(space) {
                        Ok((length, SocketAddr::V4(from))) => {
                            self.nat.handle_udp(flow, from, space.get(..length).unwrap_or_default());
                        }
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            hear_errors(&mut self.nat, flow, socket);
                            return;
                        }
                        // An error of an earlier datagram: the queue of errors has it.
                        Err(_) => {}
                    }
                }
                self.again.push(flow);
            }
            Some(Socket::Echo(socket)) => {
                for _ in 0..TURN {
                    match socket.recv_from(space) {
                        Ok((length, SocketAddr::V4(from))) => {
                            self.nat.handle_echo(flow, *from.ip(), space.get(..length).unwrap_or_default());
                        }
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => {
                            hear_errors(&mut self.nat, flow, socket);
                            return;
                        }
                        Err(_) => {}
                    }
                }
                self.again.push(flow);
            }
            None => {}
        }
    }

    fn pass_on(&mut self) {
        let mut frames = self.nat.take_frames();
        let Some(inbox) = inbox::of_port(&self.inboxes, self.port) else { return };
        while !frames.is_empty() {
            let rest = frames.split_off(frames.len().min(BATCH));
            inbox.put(Input::FromPort(self.port, frames));
            frames = rest;
        }
    }
}

/// Errors that one turn hears of a socket.
const ERRORS: usize = 64;

/// Passes on what ICMP says of what a socket has sent.
fn hear_errors(nat: &mut Nat, flow: FlowId, socket: &UdpSocket) {
    let mut sent = [0; 64];
    for _ in 0..ERRORS {
        let Some(News { to, by, error, length }) = unreachable(socket, &mut sent) else { return };
        nat.handle_unreachable(flow, to, by, error, sent.get(..length).unwrap_or_default());
    }
}

/// An ICMP error: about what was sent whither, who says so, what it says, and how much of what was sent is known.
struct News {
    to: SocketAddrV4,
    by: Option<Ipv4Addr>,
    error: Icmp,
    length: usize,
}

/// The next ICMP error about what a socket has sent.
fn unreachable(socket: &UdpSocket, sent: &mut [u8]) -> Option<News> {
    let mut pieces = [IoSliceMut::new(sent)];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in);
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags).ok()?;
    let to = message.address.map(SocketAddrV4::from)?;
    let found = message.cmsgs().ok()?.find_map(|entry| match entry {
        ControlMessageOwned::Ipv4RecvErr(error, by) if error.ee_origin == libc::SO_EE_ORIGIN_ICMP => {
            let by = by.map(|by| Ipv4Addr::from(by.sin_addr.s_addr.to_ne_bytes()));
            Some((Icmp(error.ee_type, error.ee_code), by))
        }
        _ => None,
    });
    let (error, by) = found.unwrap_or((Icmp::HOST_UNREACHABLE, None));
    Some(News { to, by: by.filter(|by| !by.is_unspecified()), error, length: message.bytes })
}

#[cfg(test)]
mod tests;
