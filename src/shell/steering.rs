//! The program by which the kernel picks a worker's socket for a datagram: what [`Dispatch::worker_of`] says, said in
//! classic BPF. What it gets wrong (a kernel without such programs, plain ESP) is handed over afterwards.

use super::dispatch::{Dispatch, SourceHash};
use super::syscall;
use super::udp::UdpSocket;
use crate::packet::Encap;
use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_IMM, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_MISC, BPF_MOD, BPF_MUL,
    BPF_RET, BPF_RSH, BPF_SUB, BPF_TAX, BPF_TXA, BPF_W, BPF_X, BPF_XOR, sock_filter,
};
use std::os::fd::AsFd;

/// Where the IP header begins, as a filter addresses it (`SKF_NET_OFF`).
const NETWORK_HEADER: u32 = (-0x10_0000_i32).cast_unsigned();

/// Has the kernel sort the datagrams of every port that several workers share. `first` are the sockets of the first worker;
/// those of the others were bound in the order of the workers.
pub(super) fn steer(first: &[UdpSocket], dispatch: &Dispatch) {
    for socket in first.iter().filter(|socket| socket.encap() != Encap::Esp) {
        let program = program(socket.encap(), socket.bound().is_ipv4(), dispatch);
        if let Err(error) = syscall::steer(socket.as_fd(), &program) {
            tracing::warn!(local = %socket.bound(), %error, "the kernel does not sort by worker; the workers do");
        }
    }
}

/// One instruction.
fn op(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Goes on behind the next `over` instructions unless the accumulator is zero.
fn unless_zero_skip(over: usize) -> sock_filter {
    sock_filter { jf: over as u8, ..op(BPF_JMP | BPF_JEQ | BPF_K, 0) }
}

/// Loads a word; a datagram that ends before it is the first worker's.
fn load(at: u32) -> sock_filter {
    op(BPF_LD | BPF_W | BPF_ABS, at)
}

/// A socket that does not exist leaves the choice to the kernel.
fn program(encap: Encap, v4: bool, dispatch: &Dispatch) -> Vec<sock_filter> {
    let by_source = by_source(v4, dispatch.source_hash(), dispatch.workers());
    match encap {
        Encap::Ike => by_cookie(8, &by_source),
        Encap::NatT => {
            // SPIs carry the worker plus one; four bytes of zero are no SPI but come before ISAKMP.
            let by_cookie = by_cookie(4 + 8, &by_source);
            let by_spi =
                [op(BPF_ALU | BPF_RSH | BPF_K, 24), op(BPF_ALU | BPF_SUB | BPF_K, 1), op(BPF_RET | BPF_A, 0)];
            let mut program = vec![load(0), unless_zero_skip(by_cookie.len())];
            program.extend(by_cookie);
            program.extend(by_spi);
            program
        }
        Encap::L2tp | Encap::Esp => by_source,
    }
}

/// By the responder cookie at this place, whose first byte is the worker; in a first message it is zero.
fn by_cookie(at: u32, by_source: &[sock_filter]) -> Vec<sock_filter> {
    let mut program = vec![load(at), unless_zero_skip(by_source.len() + 3), load(at + 4)];
    program.push(unless_zero_skip(by_source.len()));
    program.extend(by_source);
    // The first half was zero and the second is not: a cookie of worker 0.
    program.push(op(BPF_RET | BPF_K, 0));
    program.push(op(BPF_ALU | BPF_RSH | BPF_K, 24));
    program.push(op(BPF_RET | BPF_A, 0));
    program
}

fn by_source(v4: bool, hash: SourceHash, workers: u8) -> Vec<sock_filter> {
    let words = if v4 { 12..16 } else { 8..24 };
    let mut program = vec![op(BPF_LDX | BPF_W | BPF_IMM, hash.start)];
    for word in words.step_by(4) {
        program.push(load(NETWORK_HEADER.wrapping_add(word)));
        program.push(op(BPF_ALU | BPF_XOR | BPF_X, 0));
        program.push(op(BPF_ALU | BPF_MUL | BPF_K, hash.factor));
        program.push(op(BPF_MISC | BPF_TAX, 0));
    }
    program.push(op(BPF_MISC | BPF_TXA, 0));
    for (shift, factor) in SourceHash::MIX {
        program.push(op(BPF_ALU | BPF_RSH | BPF_K, shift));
        program.push(op(BPF_ALU | BPF_XOR | BPF_X, 0));
        program.push(op(BPF_ALU | BPF_MUL | BPF_K, factor));
        program.push(op(BPF_MISC | BPF_TAX, 0));
    }
    program.push(op(BPF_ALU | BPF_RSH | BPF_K, SourceHash::SHIFT));
    program.push(op(BPF_ALU | BPF_XOR | BPF_X, 0));
    program.push(op(BPF_ALU | BPF_MOD | BPF_K, workers.into()));
    program.push(op(BPF_RET | BPF_A, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{Datagram, Pool, WorkerId};
    use crate::shell::udp::ReceiveSpace;
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as Plain};
    use std::time::{Duration, Instant};

    const WORKERS: u8 = 4;

    /// Waits for a datagram; says whose socket it came to.
    fn receive(sockets: &[UdpSocket]) -> (WorkerId, Datagram) {
        let (mut space, mut pool, mut got) = (ReceiveSpace::default(), Pool::default(), Vec::new());
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end {
            for (socket, n) in sockets.iter().zip(0..) {
                socket.receive(&mut space, &mut pool, &mut got).unwrap();
                if let Some(datagram) = got.pop() {
                    return (WorkerId(n), datagram);
                }
            }
        }
        panic!("nothing came");
    }

    fn ike(cookie: [u8; 8]) -> Vec<u8> {
        let mut message = vec![7; 8];
        message.extend(cookie);
        message.extend([1, 0x10, 2, 0, 0, 0, 0, 0, 0, 0, 0, 28]);
        message
    }

    /// Sends each payload from each source and checks that the kernel and the dispatcher agree. Returns who got them.
    fn check(encap: Encap, server: IpAddr, sources: &[IpAddr], payloads: &[Vec<u8>]) -> BTreeSet<WorkerId> {
        let dispatch = Dispatch::new(WORKERS);
        let mut at = SocketAddr::new(server, 0);
        let mut sockets = Vec::new();
        for _ in 0..WORKERS {
            let socket = UdpSocket::bind(at, encap, true).unwrap();
            at = socket.bound();
            sockets.push(socket);
        }
        steer(&sockets, &dispatch);
        let mut seen = BTreeSet::new();
        for source in sources {
            let client = Plain::bind((*source, 0)).unwrap();
            for payload in payloads {
                client.send_to(payload, at).unwrap();
                let (worker, datagram) = receive(&sockets);
                let wanted = dispatch.worker_of(&datagram);
                assert!(
                    wanted.is_none_or(|wanted| wanted == worker),
                    "{wanted:?}, not {worker:?}: {payload:?}"
                );
                seen.insert(worker);
            }
        }
        seen
    }

    #[test]
    fn the_kernel_sorts_as_the_workers_do() {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let sources: Vec<_> = (1..40).map(|n| IpAddr::V4(Ipv4Addr::new(127, 0, 1, n))).collect();
        let first = ike([0; 8]);
        let marked = |message: &[u8]| [&[0; 4][..], message].concat();
        assert_eq!(check(Encap::Ike, home, &sources, std::slice::from_ref(&first)).len(), 4);
        assert_eq!(check(Encap::NatT, home, &sources, &[marked(&first)]).len(), 4);
        assert_eq!(check(Encap::L2tp, home, &sources, &[vec![0xc8, 2, 0, 12]]).len(), 4);
        // Whoever it comes from, what we chose decides.
        for n in 0..WORKERS {
            let cookie = ike([n, 1, 2, 3, 4, 5, 6, 7]);
            let esp = vec![n + 1, 1, 2, 3, 0, 0, 0, 9, 1, 2, 3, 4];
            assert_eq!(check(Encap::Ike, home, &sources[..4], std::slice::from_ref(&cookie)).len(), 1);
            assert_eq!(check(Encap::NatT, home, &sources[..4], &[marked(&cookie), esp]).len(), 1);
        }
        let rare = ike([0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(check(Encap::Ike, home, &sources[..4], &[rare]), BTreeSet::from([WorkerId(0)]));
    }

    #[test]
    fn nonsense_is_delivered_somewhere() {
        let home = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let payloads =
            [vec![0xff], vec![0, 9, 9, 9, 9], vec![250, 1, 1, 1, 1, 1, 1, 1], ike([99; 8]), vec![1; 3]];
        for encap in [Encap::Ike, Encap::NatT, Encap::L2tp] {
            check(encap, home, &[home], &payloads);
        }
    }

    #[test]
    fn over_ipv6_too() {
        let home = IpAddr::V6(Ipv6Addr::LOCALHOST);
        if Plain::bind((home, 0)).is_err() {
            return;
        }
        check(Encap::Ike, home, &[home], &[ike([0; 8]), ike([2, 0, 0, 0, 0, 0, 0, 0])]);
        check(Encap::L2tp, home, &[home], &[vec![0xc8, 2, 0, 12]]);
    }
}
