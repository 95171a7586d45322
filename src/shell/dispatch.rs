//! Which worker a datagram is for. We choose SPIs, responder cookies and tunnel IDs, and their top byte is the worker; a
//! first message is told by its source address alone, so that a new Phase 1 of a known device meets its old one.

use crate::packet::{Datagram, Encap, WorkerId};
use crate::wire::isakmp::Header;
use crate::wire::{esp, natt};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// Spreads source addresses over workers, with arithmetic that the kernel's filters know as well. Strangers choose their
/// addresses, so it is keyed: they cannot all pick one worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceHash {
    /// What the sum begins with.
    pub(super) start: u32,
    /// Odd, so that no two words come to the same.
    pub(super) factor: u32,
}

impl SourceHash {
    /// At the end the sum is mixed: shifted to the right and added to itself, multiplied; and so on (lowbias32).
    pub(super) const MIX: [(u32, u32); 2] = [(15, 0x2c1b_3c6d), (12, 0x297a_2d39)];
    /// The last shift.
    pub(super) const SHIFT: u32 = 15;

    fn new() -> Self {
        let random = RandomState::new().hash_one("source");
        Self { start: (random >> 32) as u32, factor: random as u32 | 1 }
    }

    fn of(self, source: IpAddr) -> u32 {
        let add = |sum: u32, word: &[u8; 4]| (sum ^ u32::from_be_bytes(*word)).wrapping_mul(self.factor);
        let mut sum = match source {
            IpAddr::V4(ip) => add(self.start, &ip.octets()),
            IpAddr::V6(ip) => ip.octets().as_chunks::<4>().0.iter().fold(self.start, add),
        };
        for (shift, factor) in Self::MIX {
            sum = (sum ^ sum >> shift).wrapping_mul(factor);
        }
        sum ^ sum >> Self::SHIFT
    }
}

/// Sorts datagrams by worker.
pub(super) struct Dispatch {
    workers: u8,
    /// The same for all workers.
    hash: SourceHash,
}

impl Dispatch {
    pub(super) fn new(workers: u8) -> Self {
        Self { workers: workers.max(1), hash: SourceHash::new() }
    }

    pub(super) const fn workers(&self) -> u8 {
        self.workers
    }

    pub(super) const fn source_hash(&self) -> SourceHash {
        self.hash
    }

    /// The worker that shall see this datagram. What cannot be told is for whoever received it.
    pub(super) fn worker_of(&self, datagram: &Datagram) -> Option<WorkerId> {
        if self.workers == 1 {
            return Some(WorkerId(0));
        }
        let source = datagram.path.remote.ip();
        let worker = match datagram.path.encap {
            Encap::Ike => self.of_ike(&datagram.buf, source)?,
            Encap::NatT => match natt::classify(&datagram.buf).ok()? {
                natt::Class::Ike(message) => self.of_ike(message, source)?,
                natt::Class::Esp(spi, _) => of_spi(spi)?,
                natt::Class::Keepalive => return None,
            },
            Encap::Esp => of_spi(esp::Header::parse(&datagram.buf).ok()?.spi)?,
            Encap::L2tp => self.of_source(source),
        };
        (worker.0 < self.workers).then_some(worker)
    }

    fn of_ike(&self, message: &[u8], source: IpAddr) -> Option<WorkerId> {
        let (header, _) = Header::parse(message).ok()?;
        let cookie = header.cookies.responder;
        Some(if cookie.is_zero() { self.of_source(source) } else { WorkerId(cookie.0[0]) })
    }

    fn of_source(&self, source: IpAddr) -> WorkerId {
        let n = self.hash.of(source) % u32::from(self.workers);
        WorkerId(u8::try_from(n).unwrap_or(0))
    }
}

/// Our SPIs carry the worker plus one: those up to 255 are reserved (RFC 4303 section 2.1).
fn of_spi(spi: u32) -> Option<WorkerId> {
    let top = spi.to_be_bytes()[0];
    top.checked_sub(1).map(WorkerId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{PacketBuf, Path};
    use std::net::SocketAddr;

    fn datagram(encap: Encap, remote: [u8; 4], bytes: &[u8]) -> Datagram {
        let local = SocketAddr::from(([192, 0, 2, 1], 4500));
        let path = Path { encap, local, remote: SocketAddr::from((remote, 40_000)) };
        Datagram { path, buf: PacketBuf::from_slice(bytes) }
    }

    #[test]
    fn what_we_chose_names_the_worker_and_strangers_stay_with_one() {
        let dispatch = Dispatch::new(4);
        let esp = datagram(Encap::NatT, [203, 0, 113, 1], &[3, 1, 2, 3, 0, 0, 0, 1, 9, 9]);
        assert_eq!(dispatch.worker_of(&esp), Some(WorkerId(2)));
        let foreign = datagram(Encap::NatT, [203, 0, 113, 1], &[9, 1, 2, 3, 0, 0, 0, 1, 9, 9]);
        assert_eq!(dispatch.worker_of(&foreign), None);
        let mut first = vec![7; 8];
        first.extend([0; 8]);
        first.extend([1, 0x10, 2, 0, 0, 0, 0, 0, 0, 0, 0, 28]);
        let one = dispatch.worker_of(&datagram(Encap::Ike, [203, 0, 113, 1], &first));
        assert!(one.is_some_and(|worker| worker.0 < 4));
        assert_eq!(one, dispatch.worker_of(&datagram(Encap::Ike, [203, 0, 113, 1], &first)));
        first[8] = 3;
        assert_eq!(dispatch.worker_of(&datagram(Encap::Ike, [203, 0, 113, 1], &first)), Some(WorkerId(3)));
        assert_eq!(dispatch.worker_of(&datagram(Encap::NatT, [203, 0, 113, 1], &[0xff])), None);
    }
}
