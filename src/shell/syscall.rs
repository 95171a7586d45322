//! System calls that no safe crate of ours wraps: the TAP device's `ioctl`s and capabilities for child processes.
#![expect(
    unsafe_code,
    reason = "each call is a few lines with its argument beside it; everything above is safe"
)]

use std::io;

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
        check(libc::c_long::from(result))?;
    }
    Ok(())
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
