//! A TAP interface: a network card of the host whose cable is in our hand. Every frame has a `virtio_net_hdr` in front,
//! so that large frames and checksums are left to the other side ([`Tap::offload_all`], [`crate::uplink`]).

use super::syscall;
pub use crate::uplink::{HEADER, Offload};
use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self, IoSlice, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::fs::OpenOptionsExt,
    },
};

/// The longest name of an interface (`IFNAMSIZ`, less the zero at its end).
const LONGEST_NAME: usize = 15;

const DEVICE: &str = "/dev/net/tun";

/// Whether this host has TAP interfaces for us at all. (Whether we have the right to make one shows when we do.)
#[must_use]
pub fn is_available() -> bool {
    OpenOptions::new().read(true).write(true).open(DEVICE).is_ok()
}

/// One queue of a TAP interface. The interface is gone when its last queue is dropped, also when the process is killed.
#[derive(Debug)]
pub struct Tap {
    file: File,
    name: String,
    index: u32,
}

impl Tap {
    /// Makes the interface `name`, of which more queues can be opened with [`Tap::another_queue`]. Reading and writing do
    /// not block.
    ///
    /// # Errors
    /// When the name is taken, the device file is not there, or the right is missing; the message says what to do.
    pub fn create(name: &str) -> Result<Self, TapError> {
        // EXCL: without it we would become a second queue of somebody else's interface.
        Self::open(name, libc::IFF_TUN_EXCL)
    }

    /// One more queue of the same interface, for another thread. The kernel spreads connections over the queues.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn another_queue(&self) -> Result<Self, TapError> {
        Self::open(&self.name, 0)
    }

    fn open(name: &str, flags: libc::c_int) -> Result<Self, TapError> {
        let failed = |error| TapError { name: name.to_owned(), error };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(DEVICE);
        let file = file.map_err(failed)?;
        let flags = flags | libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
        syscall::tun_attach(file.as_fd(), name, flags).map_err(failed)?;
        syscall::tun_set_header_size(file.as_fd(), HEADER as libc::c_int).map_err(failed)?;
        let index = syscall::interface_index(name).map_err(failed)?;
        Ok(Self { file, name: name.to_owned(), index })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's number.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Says what the kernel may leave to us. At first nothing: frames are complete, with checksums, at most one MTU long.
    ///
    /// # Errors
    /// `EINVAL` when this kernel does not know one of them.
    pub fn set_offload(&self, offload: Offload) -> io::Result<()> {
        let mut flags = 0;
        if offload.checksum {
            flags |= libc::TUN_F_CSUM;
            if offload.tcp_segmentation {
                flags |= libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
            }
            if offload.udp_segmentation {
                flags |= libc::TUN_F_USO4 | libc::TUN_F_USO6;
            }
        }
        syscall::tun_set_offload(self.file.as_fd(), flags)
    }

    /// Lets the kernel leave to us whatever it knows of, and says what that is: each way takes what the other gives.
    #[must_use]
    pub fn offload_all(&self) -> Offload {
        let choices = [Offload::ALL, Offload { udp_segmentation: false, ..Offload::ALL }];
        let accepted = choices.into_iter().find(|offload| self.set_offload(*offload).is_ok());
        accepted.unwrap_or_default()
    }

    /// Takes one frame, [`HEADER`] first; what does not fit into `buffer` is lost.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buffer)
    }

    /// Gives one frame to the host, [`HEADER`] first.
    ///
    /// # Errors
    /// `WouldBlock` when the host takes no more; `EIO` while the interface is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<usize> {
        (&self.file).write(frame)
    }

    /// Gives one frame that lies in pieces to the host, [`HEADER`] first.
    ///
    /// # Errors
    /// As [`Self::send`]; `EINVAL` when the kernel does not take a large frame.
    pub fn send_pieces(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.file).write_vectored(pieces)
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The interface's name for a hub: `sk-` and the hub's name, shortened and with a check of the rest where it must be.
#[must_use]
pub fn name_for(hub: &str) -> String {
    let lower = hub.to_lowercase();
    let kept: String =
        lower.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).collect();
    let prefix = "sk-";
    if kept == lower && prefix.len() + kept.len() <= LONGEST_NAME {
        return format!("{prefix}{kept}");
    }
    // FNV-1a, folded to 16 bits: names that differ only in what was dropped stay apart.
    let hash =
        lower.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let short: String = kept.chars().take(LONGEST_NAME - prefix.len() - 5).collect();
    format!("{prefix}{short}-{:04x}", (hash >> 16) ^ (hash & 0xffff))
}

/// Why there is no TAP interface.
#[derive(Debug)]
pub struct TapError {
    /// The interface's name.
    pub name: String,
    /// What the system said.
    pub error: io::Error,
}

impl TapError {
    fn hint(&self) -> Option<&'static str> {
        match self.error.raw_os_error()? {
            libc::ENOENT | libc::ENODEV => Some(
                "/dev/net/tun is missing: sudo modprobe tun; in a container, --device /dev/net/tun. Without it: uplink: usernat",
            ),
            libc::EACCES => Some("this user may not open /dev/net/tun: sudo chmod a+rw /dev/net/tun"),
            libc::EPERM => Some("it needs the right CAP_NET_ADMIN"),
            libc::EBUSY | libc::EEXIST => Some(
                "an interface has that name already: is another gateway with a hub of this name running?",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for TapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot make the TAP interface {}: {}", self.name, self.error)?;
        match self.hint() {
            Some(hint) => write!(f, "\n    hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// The system's own words are part of the message: there is no `source` that would repeat them.
impl std::error::Error for TapError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_network;

    #[test]
    fn names_fit_and_stay_apart() {
        assert_eq!(name_for("HUB1"), "sk-hub1");
        assert_eq!(name_for("Twelve_chars"), "sk-twelve_chars");
        let names =
            ["thirteen-char", "thirteen-chas", "a.b", "a..b", "東京", "大阪", "a-very-long-hub-name-indeed"]
                .map(name_for);
        for (at, name) in names.iter().enumerate() {
            assert!(name.len() <= 15 && name.is_ascii() && name.starts_with("sk-"), "{name}");
            assert!(!names[..at].contains(name), "{name}");
        }
        assert_eq!(name_for("thirteen-CHAR"), name_for("THIRTEEN-char"), "case does not count");
    }

    #[test]
    fn an_interface_lives_as_long_as_its_queues() {
        test_network::isolated(|| {
            let tap = Tap::create("sk-test").unwrap();
            assert!(tap.index() > 0);
            let error = Tap::create("sk-test").unwrap_err();
            assert!(error.to_string().contains("another gateway"), "{error}");
            let second = tap.another_queue().unwrap();
            assert_eq!(tap.recv(&mut [0; 100]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            tap.set_offload(Offload { checksum: true, tcp_segmentation: true, udp_segmentation: false })
                .unwrap();
            tap.set_offload(Offload::default()).unwrap();
            assert!(tap.offload_all().tcp_segmentation);
            drop(tap);
            assert!(syscall::interface_index("sk-test").is_ok());
            drop(second);
            // A process that another test begins at this moment holds its copies of all files until it is exec'd.
            let gone = || syscall::interface_index("sk-test").is_err();
            assert!((0..100).any(|_| gone() || {
                std::thread::sleep(std::time::Duration::from_millis(50));
                false
            }));
        });
    }
}
