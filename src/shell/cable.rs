//! What is behind a trunk's port: an interface of the host, or another thread.

use super::packet_socket::PacketSocket;
use super::tap::Tap;
use crate::hub::PortId;
use crate::packet::{PacketBuf, Pool};
use crate::uplink::{Gather, MAX_PIECES, Offload, split};
use std::io::{self, ErrorKind, IoSlice};
use std::os::fd::{AsRawFd, RawFd};

/// A way for frames to another thread, which sends its own through the worker's inbox.
pub(super) trait Queue: Send {
    /// Takes all frames: hands them over, or loses them.
    fn put(&mut self, frames: &mut Vec<PacketBuf>, pool: &mut Pool);
}

/// The far end of a port.
pub(super) enum Device {
    /// A TAP interface.
    Tap(Tap),
    /// An interface of the host.
    Wire(PacketSocket),
    /// Another thread.
    Queue(Box<dyn Queue>),
}

impl Device {
    /// What it is called in the log.
    fn name(&self) -> &str {
        match self {
            Self::Tap(tap) => tap.name(),
            Self::Wire(wire) => wire.name(),
            Self::Queue(_) => "queue",
        }
    }

    /// Has the kernel leave to us what it can.
    fn offload(&self) -> Offload {
        match self {
            Self::Tap(tap) => tap.offload_all(),
            Self::Wire(wire) => wire.offload(),
            Self::Queue(_) => Offload::default(),
        }
    }
}

/// What is plugged into a port, as its worker's thread serves it.
pub(super) struct Uplink {
    pub(super) port: PortId,
    device: Device,
    /// Frames to the host.
    gather: Gather,
    /// Frames to another thread.
    waiting: Vec<PacketBuf>,
}

impl Uplink {
    pub(super) fn new(port: PortId, device: Device) -> Self {
        let offload = device.offload();
        tracing::debug!(device = device.name(), ?offload, "uplink");
        Self { port, device, gather: Gather::new(offload), waiting: Vec::new() }
    }

    /// What to wait for, where there is something to read.
    pub(super) fn fd(&self) -> Option<RawFd> {
        match &self.device {
            Device::Tap(tap) => Some(tap.as_raw_fd()),
            Device::Wire(wire) => Some(wire.as_raw_fd()),
            Device::Queue(_) => None,
        }
    }

    /// Appends the frames of one read to `out`; `space` is what the read fills, [`crate::uplink::LARGEST`] bytes. Returns
    /// whether there may be more.
    ///
    /// # Errors
    /// When the interface is gone.
    pub(super) fn receive(
        &self,
        space: &mut [u8],
        pool: &mut Pool,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<bool> {
        let received = match &self.device {
            Device::Tap(tap) => tap.recv(space),
            Device::Wire(wire) => wire.recv(space),
            Device::Queue(_) => return Ok(false),
        };
        let len = match received {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(false);
            }
            Err(error) if error.kind() == ErrorKind::NetworkDown => {
                // Said once by a packet socket; frames come again when the interface is up again.
                tracing::warn!(device = self.name(), "the uplink's interface is down");
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if let Err(reason) = split(space.get(..len).unwrap_or_default(), pool, out) {
            tracing::debug!(device = self.name(), %reason, "frame from the host dropped");
        }
        Ok(true)
    }

    /// What it is called in the log.
    pub(super) fn name(&self) -> &str {
        self.device.name()
    }

    /// Takes a frame for the other side; [`Self::flush`] sends it.
    pub(super) fn put(&mut self, buf: PacketBuf) {
        match self.device {
            Device::Tap(_) | Device::Wire(_) => self.gather.put(buf),
            Device::Queue(_) => self.waiting.push(buf),
        }
    }

    /// Whether nothing waits for [`Self::flush`].
    pub(super) const fn is_idle(&self) -> bool {
        self.gather.is_empty() && self.waiting.is_empty()
    }

    /// Sends the frames that were put in. A host that takes no more loses them, as a cable would.
    pub(super) fn flush(&mut self, pool: &mut Pool) {
        let mut refused = false;
        match &mut self.device {
            Device::Queue(queue) => queue.put(&mut self.waiting, pool),
            Device::Tap(tap) => self.gather.flush(pool, |pieces| {
                refused |= write(pieces, |frame| tap.send(frame), |pieces| tap.send_pieces(pieces));
            }),
            Device::Wire(wire) => self.gather.flush(pool, |pieces| {
                refused |= write(pieces, |frame| wire.send(frame), |pieces| wire.send_pieces(pieces));
            }),
        }
        if refused {
            tracing::warn!(
                device = self.device.name(),
                "the kernel takes no large frames: one by one from now on"
            );
            self.gather.set_offload(Offload::default());
        }
    }
}

/// Writes one frame that may lie in pieces. Returns whether it was refused for that.
fn write(
    pieces: &[&[u8]],
    one: impl FnOnce(&[u8]) -> io::Result<usize>,
    many: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
) -> bool {
    if let [frame] = pieces {
        let _ = one(frame);
        return false;
    }
    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
    }
    let sent = many(slices.get(..pieces.len()).unwrap_or(&slices));
    sent.is_err_and(|error| error.kind() == ErrorKind::InvalidInput)
}
