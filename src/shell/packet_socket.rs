//! An interface of the host, frame by frame (`packet(7)`): what comes in from its cable, and what we put on it. The host's
//! own stack hears nothing of what we send and is not heard; a bridge is the way to have both.
//!
//! Every frame has a `virtio_net_hdr` in front, as a TAP's has. The kernel takes the outermost VLAN tag off before we see
//! the frame, and tells it beside it: it is put back where it was.

use super::syscall;
use crate::uplink::{HEADER, Offload, VirtioHeader};
use std::fmt;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd, AsRawFd, RawFd};

/// Where a frame's tag stands: behind the two addresses.
const TAG_AT: usize = 12;
/// Bytes of a tag.
const TAG: usize = 4;

/// One interface.
#[derive(Debug)]
pub(super) struct PacketSocket {
    file: std::fs::File,
    name: String,
    large: bool,
}

impl PacketSocket {
    /// Opens an interface, which hears everything from now on, whomever it is for.
    pub(super) fn open(name: &str) -> Result<Self, PacketSocketError> {
        let failed = |error| PacketSocketError { name: name.to_owned(), error };
        let index = syscall::interface_index(name).map_err(failed)?;
        let (socket, large) = syscall::packet_socket(index).map_err(failed)?;
        Ok(Self { file: socket.into(), name: name.to_owned(), large })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the kernel takes: it cuts what the interface cannot.
    pub(super) fn offload(&self) -> Offload {
        let tcp = self.large;
        Offload { checksum: tcp, tcp_segmentation: tcp, udp_segmentation: false }
    }

    /// Takes one frame, the virtio header first.
    pub(super) fn recv(&self, space: &mut [u8]) -> io::Result<usize> {
        let Some((header, frame)) = space.split_first_chunk_mut::<HEADER>() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut virtio = [0; HEADER];
        let room = frame.len().saturating_sub(TAG);
        let head = if self.large { &mut virtio[..] } else { &mut [] };
        let (length, tag) = syscall::packet_recv(self.file.as_fd(), head, &mut frame[..room])?;
        let mut length = length.saturating_sub(head.len());
        if let Some((protocol, tci)) = tag.filter(|_| length >= TAG_AT) {
            frame.copy_within(TAG_AT..length, TAG_AT + TAG);
            let [a, b] = protocol.to_be_bytes();
            let [c, d] = tci.to_be_bytes();
            frame[TAG_AT..TAG_AT + TAG].copy_from_slice(&[a, b, c, d]);
            length += TAG;
            // What counts from the frame's beginning moves with its bytes.
            if let Some(mut parsed) = VirtioHeader::parse(&virtio) {
                if parsed.needs_checksum {
                    parsed.checksum_start += TAG as u16;
                }
                if parsed.header_len > 0 {
                    parsed.header_len += TAG as u16;
                }
                virtio = parsed.emit();
            }
        }
        *header = virtio;
        Ok(HEADER + length)
    }

    /// Puts one frame that lies in pieces on the cable, the virtio header first.
    pub(super) fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.file).write_vectored(pieces)
    }

    /// Puts one frame on the cable, the virtio header first.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<usize> {
        (&self.file).write(if self.large { frame } else { frame.get(HEADER..).unwrap_or_default() })
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// Why an interface cannot be used.
#[derive(Debug)]
pub(super) struct PacketSocketError {
    name: String,
    error: io::Error,
}

impl fmt::Display for PacketSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use the interface {}: {}", self.name, self.error)?;
        let hint = match self.error.raw_os_error() {
            Some(libc::ENODEV | libc::ENXIO) => "`ip link` lists the interfaces that there are",
            Some(libc::EPERM | libc::EACCES) => "it needs the right CAP_NET_RAW",
            _ => return Ok(()),
        };
        write!(f, "\n    hint: {hint}")
    }
}

impl std::error::Error for PacketSocketError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_network::{isolated, run};
    use std::time::Duration;

    fn receive(socket: &PacketSocket) -> Vec<u8> {
        let mut space = vec![0; 70_000];
        for _ in 0..500 {
            match socket.recv(&mut space) {
                Ok(length) => return space[..length].to_vec(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("nothing came");
    }

    fn frame(tags: &[u8]) -> Vec<u8> {
        let addresses = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
        [&[0; HEADER][..], &addresses, tags, &[0x88, 0xB5], &[7; 60]].concat()
    }

    #[test]
    fn frames_pass_both_ways_with_and_without_tags() {
        isolated(|| {
            run("ip link add a0 type veth peer name b0");
            for name in ["a0", "b0"] {
                run(&format!("ip link set {name} up"));
            }
            let (a, b) = (PacketSocket::open("a0").unwrap(), PacketSocket::open("b0").unwrap());
            for tags in [
                &[][..],
                &[0x81, 0, 0x20, 7],
                &[0x88, 0xA8, 0, 100, 0x81, 0, 0, 7],
                // A priority without a VLAN.
                &[0x81, 0, 0xE0, 0],
            ] {
                for (from, to) in [(&a, &b), (&b, &a)] {
                    from.send(&frame(tags)).unwrap();
                    let mut got = receive(to);
                    while got[HEADER + 6..HEADER + 12] != [2, 0, 0, 0, 0, 1] {
                        // The kernel's own chatter on a new interface.
                        got = receive(to);
                    }
                    assert_eq!(got, frame(tags), "{tags:x?}");
                }
            }
            // What we send does not come back to us.
            assert_eq!(a.recv(&mut [0; 2000]).map_err(|error| error.kind()).ok().filter(|n| *n == 90), None);
        });
    }

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let error = PacketSocket::open("no-such-if").unwrap_err().to_string();
        assert!(error.contains("no-such-if") && error.contains("ip link"), "{error}");
    }
}
