//! The UDP header inside ESP transport mode (RFC 3948 section 3.1.2): L2TP's carrier.

use crate::packet::{Drop, PacketBuf};
use crate::wire::{Error, Kind};

/// Length of a UDP header.
const LEN: usize = 8;

/// The L2TP port (RFC 2661 section 8.1).
pub(super) const L2TP_PORT: u16 = 1701;

/// Takes the UDP header off an inner packet and returns the source port.
///
/// The checksum is not verified: behind a NAT it is wrong by construction, for the sender computed it over its private
/// address (RFC 3948 section 3.1.2); ESP has authenticated the bytes already.
pub(super) fn strip(buf: &mut PacketBuf) -> Result<u16, Drop> {
    let truncated = Drop::Malformed(Error::new("inner UDP header", Kind::Truncated));
    let &[s0, s1, d0, d1, l0, l1, _, _] = buf.first_chunk::<LEN>().ok_or(truncated)?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    if length < LEN || length > buf.len() {
        return Err(Drop::Malformed(Error::new("inner UDP length", Kind::BadLength)));
    }
    if u16::from_be_bytes([d0, d1]) != L2TP_PORT {
        return Err(Drop::BadSelector);
    }
    buf.truncate(length);
    buf.pull_front(LEN).ok_or(truncated)?;
    Ok(u16::from_be_bytes([s0, s1]))
}

/// Puts a UDP header before an L2TP message. Checksum 0 means none (RFC 768): the client would have to know the
/// address that we see to verify one.
pub(super) fn put(buf: &mut PacketBuf, remote_port: u16) {
    let length = u16::try_from(buf.len() + LEN).unwrap_or(u16::MAX).to_be_bytes();
    let (from, to) = (L2TP_PORT.to_be_bytes(), remote_port.to_be_bytes());
    buf.put_front(&[from[0], from[1], to[0], to[1], length[0], length[1], 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_on_comes_off() {
        let mut buf = PacketBuf::from_slice(b"l2tp");
        put(&mut buf, 1701);
        assert_eq!(&*buf, b"\x06\xa5\x06\xa5\x00\x0c\x00\x00l2tp");
        buf.put_back(b"padding");
        assert_eq!(strip(&mut buf), Ok(1701));
        assert_eq!(&*buf, b"l2tp");
    }

    #[test]
    fn other_ports_and_lying_lengths_are_dropped() {
        let mut other = PacketBuf::from_slice(b"\x06\xa5\x00\x35\x00\x08\x00\x00");
        assert_eq!(strip(&mut other), Err(Drop::BadSelector));
        let mut long = PacketBuf::from_slice(b"\x06\xa5\x06\xa5\x00\x0c\x00\x00l2t");
        assert!(matches!(strip(&mut long), Err(Drop::Malformed(_))));
    }
}
