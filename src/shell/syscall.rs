//! System calls that no safe crate of ours wraps: the TAP device's and the terminal's `ioctl`s, packet sockets,
//! level-triggered events, socket filters, and capabilities for child processes.
#![expect(
    unsafe_code,
    reason = "each call is a few lines with its argument beside it; everything above is safe"
)]

use std::{
    ffi::CString,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// Has an epoll instance report `token` whenever there is something to read from `source`, as long as there is. (mio's own
/// registration reports each arrival once, so that everything must be read until the kernel says that nothing is left.)
pub(super) fn watch(epoll: RawFd, source: RawFd, token: usize) -> io::Result<()> {
    let mut event = libc::epoll_event { events: libc::EPOLLIN.cast_unsigned(), u64: token as u64 };
    // SAFETY: the kernel reads one `epoll_event`, which lives until the call ends.
    check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, source, &raw mut event) }.into())
}

/// Ends what [`watch`] began.
pub(super) fn unwatch(epoll: RawFd, source: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers; no event is needed to remove one.
    check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, source, std::ptr::null_mut()) }.into())
}

/// Gives memory that was freed back to the system. The trees of a configuration take ten times what is kept of it, and the
/// C library keeps what was theirs for later. Does nothing with another C library than GNU's.
pub(super) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number; the C library locks what it looks at.
    let _ = unsafe { libc::malloc_trim(0) };
}

/// Has a classic BPF program choose the socket of a SO_REUSEPORT group: its result is the number of the socket, in the
/// order in which they were bound (`SO_ATTACH_REUSEPORT_CBPF`).
pub(super) fn steer(socket: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    let len = u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let size = size_of::<libc::sock_fprog>() as libc::socklen_t;
    let at = (&raw const program).cast::<libc::c_void>();
    // SAFETY: the kernel reads one `sock_fprog` and the `len` instructions that it points to, and copies both; it writes
    // neither, and both live until the call ends.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, at, size)
    };
    check(result.into())
}

/// Makes the open `/dev/net/tun` behind `file` the interface `name`, or another queue of it (`TUNSETIFF`).
pub(super) fn tun_attach(file: BorrowedFd<'_>, name: &str, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: an `ifreq` of zeroes is valid: it is numbers and bytes.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero at the end: the name is a C string.
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the kernel reads and writes one `ifreq`, which lives until the call ends.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) }.into())
}

/// Lets the datagrams of a socket be fragmented on their way (`IP_PMTUDISC_DONT`). Linux would set the DF bit, and what is
/// larger than a path with filtered ICMP carries would vanish without a word.
pub(super) fn allow_fragments(socket: BorrowedFd<'_>, v4: bool) -> io::Result<()> {
    let (level, option, value) = if v4 {
        (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT)
    } else {
        (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT)
    };
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads one `int`, which lives until the call ends.
    check(
        unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                level,
                option,
                (&raw const value).cast::<libc::c_void>(),
                size,
            )
        }
        .into(),
    )
}

/// Says how large the header in front of each frame is (`TUNSETVNETHDRSZ`).
pub(super) fn tun_set_header_size(file: BorrowedFd<'_>, size: libc::c_int) -> io::Result<()> {
    // SAFETY: the kernel reads one `int`, which lives until the call ends.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) }.into())
}

/// Says which frames may come without checksum or in one large piece (`TUNSETOFFLOAD`).
pub(super) fn tun_set_offload(file: BorrowedFd<'_>, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: takes a number.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(flags)) }.into())
}

/// How many columns the terminal behind `file` shows, if it is one (`TIOCGWINSZ`).
pub(super) fn terminal_width(file: BorrowedFd<'_>) -> Option<u16> {
    // SAFETY: a `winsize` of zeroes is valid: it is numbers.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one `winsize`, which lives until the call ends.
    check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into()).ok()?;
    (size.ws_col > 0).then_some(size.ws_col)
}

/// A socket that hears every frame that comes in on an interface and sends what is put into it, and whether each frame
/// has a `virtio_net_hdr` before it (`PACKET_VNET_HDR`; large frames come and go whole then).
pub(super) fn packet_socket(index: u32) -> io::Result<(OwnedFd, bool)> {
    const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // No protocol yet: nothing comes from other interfaces before it is bound.
    // SAFETY: takes numbers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    check(socket.into())?;
    // SAFETY: the descriptor is new and ours.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let set = |option: libc::c_int, value: libc::c_int| {
        let (value, size) = (&raw const value, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: the kernel reads one `int`, which lives until the call ends.
        let result =
            unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value.cast(), size) };
        check(result.into())
    };
    set(libc::PACKET_AUXDATA, 1)?;
    let large = set(libc::PACKET_VNET_HDR, 1).is_ok();
    // What the host itself sends there is not the cable's. (Before Linux 4.20 it is heard.)
    let _ = set(PACKET_IGNORE_OUTGOING, 1);
    let all = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: a `sockaddr_ll` and a `packet_mreq` of zeroes are valid: they are numbers and bytes.
    let (mut address, mut request): (libc::sockaddr_ll, libc::packet_mreq) = unsafe { std::mem::zeroed() };
    request.mr_ifindex = index.cast_signed();
    request.mr_type = libc::PACKET_MR_PROMISC as libc::c_ushort;
    let size = size_of::<libc::packet_mreq>() as libc::socklen_t;
    let (option, value) = (libc::PACKET_ADD_MEMBERSHIP, (&raw const request).cast());
    // SAFETY: the kernel reads one `packet_mreq`, which lives until the call ends.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_PACKET, option, value, size) }.into())?;
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = all;
    address.sll_ifindex = index.cast_signed();
    let size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads one `sockaddr_ll`, which lives until the call ends.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) }.into())?;
    Ok((socket, large))
}

/// Takes a frame from such a socket: what comes first into `header`, the rest into `frame`. Returns the bytes of both
/// together, and the protocol and content of the VLAN tag that the kernel took off.
pub(super) fn packet_recv(
    socket: BorrowedFd<'_>,
    header: &mut [u8],
    frame: &mut [u8],
) -> io::Result<(usize, Option<(u16, u16)>)> {
    const VLAN_VALID: u32 = 1 << 4;
    const VLAN_TPID_VALID: u32 = 1 << 6;
    // Aligned as control messages want it, and larger than the one that comes.
    let mut control = [0_u64; 16];
    let mut pieces = [
        libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: header.len() },
        libc::iovec { iov_base: frame.as_mut_ptr().cast(), iov_len: frame.len() },
    ];
    // SAFETY: a `msghdr` of zeroes is valid: it is numbers and null pointers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = pieces.as_mut_ptr();
    message.msg_iovlen = pieces.len();
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: all that `message` points to lives until the call ends, and the kernel keeps to the lengths.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    check(received as libc::c_long)?;
    let mut tag = None;
    // SAFETY: walks what the kernel has written into `control`, which is still there.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(entry) = at.as_ref() {
            if (entry.cmsg_level, entry.cmsg_type) == (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
                let data: libc::tpacket_auxdata = std::ptr::read_unaligned(libc::CMSG_DATA(at).cast());
                if data.tp_status & VLAN_VALID != 0 {
                    let known = data.tp_status & VLAN_TPID_VALID != 0;
                    tag = Some((if known { data.tp_vlan_tpid } else { 0x8100 }, data.tp_vlan_tci));
                }
            }
            at = libc::CMSG_NXTHDR(&raw const message, at);
        }
    }
    Ok((received.unsigned_abs(), tag))
}

/// The number of the interface `name`.
pub(super) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: `name` is a C string that lives until the call ends.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Puts the calling thread, and what it starts, into a network namespace of its own.
#[cfg(test)]
pub(super) fn unshare_network() -> io::Result<()> {
    // SAFETY: takes a number, and this thread's sockets stay as they are.
    check(unsafe { libc::unshare(libc::CLONE_NEWNET) }.into())
}

/// Puts the calling thread into the network namespace that `file` stands for.
#[cfg(test)]
pub(super) fn enter_network(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes numbers.
    check(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }.into())
}

/// Adds capabilities (bits of linux/capability.h), which the process must have, to its inheritable and ambient sets, so
/// that a program that it starts has them too.
pub(super) fn raise_ambient(capabilities: &[u32]) -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two 32-bit words for each set.
    const VERSION: u32 = 0x2008_0522;

    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }

    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Word {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }

    let mut header = Header { version: VERSION, pid: 0 };
    let mut words = [Word::default(); 2];
    // SAFETY: the kernel reads `header` and writes two `Word`s, as this version defines; both live until the call ends.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, words.as_mut_ptr()) })?;
    for capability in capabilities.iter().filter(|capability| **capability < 64) {
        words[(capability / 32) as usize].inheritable |= 1 << (capability % 32);
    }
    // SAFETY: the kernel reads `header` and two `Word`s.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, words.as_ptr()) })?;
    for capability in capabilities {
        let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
        // SAFETY: takes numbers only.
        let result =
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, libc::c_ulong::from(*capability), 0, 0) };
        check(result.into())?;
    }
    Ok(())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};
    use std::net::UdpSocket;
    use std::time::Duration;

    #[test]
    fn a_source_is_reported_until_it_is_empty() {
        let (one, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        watch(poll.as_raw_fd(), one.as_raw_fd(), 5).unwrap();
        let mut tokens = |wait| {
            poll.poll(&mut events, Some(Duration::from_millis(wait))).unwrap();
            events.iter().map(|event| event.token()).collect::<Vec<_>>()
        };
        assert!(tokens(0).is_empty());
        for _ in 0..2 {
            other.send_to(b"x", one.local_addr().unwrap()).unwrap();
        }
        for _ in 0..2 {
            assert_eq!(tokens(1000), [Token(5)]);
            one.recv(&mut [0; 8]).unwrap();
        }
        assert!(tokens(0).is_empty());
        other.send_to(b"x", one.local_addr().unwrap()).unwrap();
        assert_eq!(tokens(1000), [Token(5)]);
        unwatch(poll.as_raw_fd(), one.as_raw_fd()).unwrap();
        let mut events = Events::with_capacity(4);
        poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        assert!(events.is_empty());
    }
}
