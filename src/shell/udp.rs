//! UDP sockets of ports 500, 4500 and 1701, and the raw socket of IP protocol 50: datagrams in with the address that
//! they came to, datagrams out from that same address.
//!
//! One receive call takes what UDP_GRO joined (up to 64 KiB of equal datagrams of one sender); one send call carries a
//! run of equal datagrams to one receiver (UDP_SEGMENT): a send costs 2 to 3 us whatever it carries.

use crate::packet::{Datagram, Encap, Path, Pool, Transmit};
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Most datagrams in one send call: the kernel's UDP_MAX_SEGMENTS of older kernels.
const MAX_SEGMENTS: usize = 64;
/// Most bytes in one send call: the largest UDP payload.
const MAX_SEND: usize = 65_507;
/// Kernel queue per socket. A burst of 50,000 returning clients must not overflow it at once.
const SOCKET_BUFFER: usize = 8 << 20;

/// One bound socket.
pub struct UdpSocket {
    socket: Socket,
    encap: Encap,
    bound: SocketAddr,
    /// Whether the kernel accepts UDP_SEGMENT on this socket and route.
    gso: bool,
    /// Most datagrams in one send call.
    longest_run: usize,
    /// Whether it is to be read: a [`Self::sender`] is not.
    listens: bool,
}

/// Memory that receive calls fill, one for all sockets of a worker.
pub struct ReceiveSpace {
    bytes: Box<[u8]>,
    control: Vec<u8>,
}

impl Default for ReceiveSpace {
    fn default() -> Self {
        Self {
            bytes: vec![0; 65_536].into_boxed_slice(),
            control: nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo, i32),
        }
    }
}

impl UdpSocket {
    /// Binds one address and port. For [`Encap::Esp`] the port is ignored and a raw socket of IP protocol 50 is made.
    ///
    /// # Errors
    /// `AddrInUse` and `PermissionDenied` are the two that the caller explains to the user.
    pub fn bind(address: SocketAddr, encap: Encap, reuse_port: bool) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let raw = encap == Encap::Esp;
        let socket = if raw {
            Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_ESP)))?
        } else {
            Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?
        };
        socket.set_nonblocking(true)?;
        if domain == Domain::IPV6 {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        // Beyond net.core.rmem_max only with CAP_NET_ADMIN; the plain call takes what it gets.
        if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
            let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        }
        if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER).is_err() {
            let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        }
        super::syscall::allow_fragments(socket.as_fd(), domain == Domain::IPV4)?;
        if reuse_port && !raw {
            socket.set_reuse_port(true)?;
        }
        let address = if raw { SocketAddr::new(address.ip(), 0) } else { address };
        socket.bind(&address.into())?;
        let gso = !raw && setsockopt(&socket, sockopt::UdpGroSegment, &true).is_ok();
        let bound = if raw {
            address
        } else {
            socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("socket has no address"))?
        };
        Ok(Self { socket, encap, bound, gso, longest_run: MAX_SEGMENTS, listens: true })
    }

    /// The same socket for another thread that sends through it and leaves the reading to the first.
    ///
    /// # Errors
    /// When there are too many open files.
    pub fn sender(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Self { socket, listens: false, ..*self })
    }

    /// Whether it is to be read.
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// The address and port that it is bound to.
    pub fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// The protocol that it carries.
    pub fn encap(&self) -> Encap {
        self.encap
    }

    /// Puts at most so many datagrams into one send call: a load generator decides how long its bursts are.
    pub fn set_longest_run(&mut self, datagrams: usize) {
        self.longest_run = datagrams.clamp(1, MAX_SEGMENTS);
    }

    /// Receives what one call gives (several datagrams if the kernel joined them) and appends it to `out`.
    /// Returns whether there may be more.
    ///
    /// # Errors
    /// What the kernel says, except that an empty queue is `Ok(false)`.
    pub fn receive(
        &self,
        space: &mut ReceiveSpace,
        pool: &mut Pool,
        out: &mut Vec<Datagram>,
    ) -> io::Result<bool> {
        let (len, remote, local, segment) = {
            let mut iov = [IoSliceMut::new(&mut space.bytes)];
            let got = match recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut iov,
                Some(&mut space.control),
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(got) => got,
                Err(Errno::EAGAIN) => return Ok(false),
                // A queued ICMP error of an earlier send: the next call gives data again.
                Err(Errno::ECONNREFUSED | Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EINTR) => {
                    return Ok(true);
                }
                Err(errno) => return Err(errno.into()),
            };
            let mut local = self.bound.ip();
            let mut segment = got.bytes;
            if let Ok(messages) = got.cmsgs() {
                for message in messages {
                    match message {
                        ControlMessageOwned::Ipv4PacketInfo(info) => {
                            local = IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                        }
                        ControlMessageOwned::Ipv6PacketInfo(info) => {
                            local = IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                        }
                        ControlMessageOwned::UdpGroSegments(size) => {
                            segment = usize::try_from(size).unwrap_or(got.bytes).max(1);
                        }
                        _ => {}
                    }
                }
            }
            (got.bytes, got.address.as_ref().and_then(to_socket_addr), local, segment)
        };
        let Some(remote) = remote else { return Ok(true) };
        let mut bytes = space.bytes.get(..len).unwrap_or_default();
        let path = if self.encap == Encap::Esp {
            // A raw IPv4 socket shows the IP header; IPv6 does not.
            if let Some(&[first, ..]) = bytes.first_chunk::<20>().filter(|_| remote.is_ipv4()) {
                bytes = bytes.get(usize::from(first & 0x0f) * 4..).unwrap_or_default();
            }
            Path {
                encap: Encap::Esp,
                local: SocketAddr::new(local, 0),
                remote: SocketAddr::new(remote.ip(), 0),
            }
        } else {
            Path { encap: self.encap, local: SocketAddr::new(local, self.bound.port()), remote }
        };
        for chunk in bytes.chunks(segment.max(1)) {
            out.push(Datagram { path, buf: pool.copy(chunk) });
        }
        Ok(true)
    }

    /// Sends `run`, datagrams of one path and (but for a shorter last one) one length, in one call.
    fn send_run(&self, run: &[Transmit]) -> nix::Result<()> {
        let Some(first) = run.first() else { return Ok(()) };
        let path = first.path;
        let target = SockaddrStorage::from(path.remote);
        let mut iov: [IoSlice<'_>; MAX_SEGMENTS] = std::array::from_fn(|_| IoSlice::new(&[]));
        for (slot, transmit) in iov.iter_mut().zip(run) {
            *slot = IoSlice::new(&transmit.buf);
        }
        let segment = u16::try_from(first.buf.len()).unwrap_or(u16::MAX);
        let v4;
        let v6;
        let source = match path.local.ip() {
            IpAddr::V4(ip) => {
                v4 = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                ControlMessage::Ipv4PacketInfo(&v4)
            }
            IpAddr::V6(ip) => {
                v6 =
                    libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
                ControlMessage::Ipv6PacketInfo(&v6)
            }
        };
        let control = [source, ControlMessage::UdpGsoSegments(&segment)];
        let control = if run.len() > 1 { &control[..] } else { &control[..1] };
        let iov = iov.get(..run.len()).unwrap_or(&iov);
        sendmsg(self.socket.as_raw_fd(), iov, control, MsgFlags::MSG_DONTWAIT, Some(&target)).map(drop)
    }

    /// Sends `transmits` in order, all of this socket, in as few calls as possible. Returns how many the kernel did not take:
    /// a full queue or an unreachable host is the network's business, as for any datagram.
    pub fn send(&mut self, transmits: &[Transmit]) -> usize {
        let mut lost = 0;
        let mut rest = transmits;
        while !rest.is_empty() {
            let run = run_length(rest, if self.gso { self.longest_run } else { 1 });
            let (now, later) = rest.split_at(run);
            rest = later;
            match self.send_run(now) {
                Ok(()) => {}
                Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE) if now.len() > 1 => {
                    // No checksum offload on this route, or segments beyond its MTU: one by one from now on.
                    tracing::debug!(local = %self.bound, "kernel refuses UDP_SEGMENT, sending datagrams one by one");
                    self.gso = false;
                    lost +=
                        now.iter().filter(|one| self.send_run(std::slice::from_ref(one)).is_err()).count();
                }
                Err(_) => lost += now.len(),
            }
        }
        lost
    }
}

/// How many of the first transmits may go in one call: the same path, the same length, at most one shorter at the end.
fn run_length(transmits: &[Transmit], longest: usize) -> usize {
    let Some(first) = transmits.first() else { return 0 };
    let segment = first.buf.len();
    let mut bytes = segment;
    let mut run = 1;
    for next in transmits.iter().take(longest).skip(1) {
        let len = next.buf.len();
        bytes += len;
        if next.path != first.path || len > segment || len == 0 || bytes > MAX_SEND {
            break;
        }
        run += 1;
        if len < segment {
            break;
        }
    }
    run
}

fn to_socket_addr(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(IpAddr::V4(v4.ip()), v4.port()));
    }
    storage.as_sockaddr_in6().map(|v6| SocketAddr::new(IpAddr::V6(v6.ip()), v6.port()))
}

impl AsRawFd for UdpSocket {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PacketBuf;

    fn transmit(path: Path, byte: u8, len: usize) -> Transmit {
        Transmit { path, buf: PacketBuf::from_slice(&vec![byte; len]) }
    }

    #[test]
    fn a_burst_arrives_whole_and_in_order_with_its_destination_address() {
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut a = UdpSocket::bind(any, Encap::NatT, false).unwrap();
        let b = UdpSocket::bind(any, Encap::NatT, false).unwrap();
        // Two addresses of one host: the receiver must learn which one was meant.
        let path = Path {
            encap: Encap::NatT,
            local: SocketAddr::new([127, 0, 0, 3].into(), a.bound().port()),
            remote: SocketAddr::new([127, 0, 0, 2].into(), b.bound().port()),
        };
        let burst: Vec<_> = [1400, 1400, 1400, 90, 1400, 1, 1]
            .iter()
            .zip(0u8..)
            .map(|(len, n)| transmit(path, n, *len))
            .collect();
        assert_eq!(run_length(&burst, MAX_SEGMENTS), 4);
        assert_eq!(run_length(&burst, 2), 2);
        assert_eq!(run_length(&burst, 1), 1);
        assert_eq!(a.send(&burst), 0);
        let mut space = ReceiveSpace::default();
        let (mut pool, mut got) = (Pool::default(), Vec::new());
        while got.len() < burst.len() {
            b.receive(&mut space, &mut pool, &mut got).unwrap();
        }
        for (sent, got) in burst.iter().zip(&got) {
            assert_eq!(&*sent.buf, &*got.buf);
            assert_eq!(got.path.local.ip(), path.remote.ip());
            assert_eq!(got.path.remote, path.local);
        }
    }
}
