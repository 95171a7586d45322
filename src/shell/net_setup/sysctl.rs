//! Kernel settings under `/proc/sys`, which shows those of our network namespace.

use super::SetupError;
use std::{fs, io};

/// Where the IPv4 forwarding of one interface is set. The kernel asks the interface that a packet *came in* on.
pub(super) fn forwarding(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/forwarding")
}

/// A setting's value; `key` is a path under `/proc/sys`.
pub(super) fn get(key: &str) -> io::Result<String> {
    fs::read_to_string(path(key)).map(|value| value.trim().to_owned())
}

/// Sets a value, unless it is set already (the files may be read-only in a container that is prepared for us).
pub(super) fn set(key: &str, value: &'static str) -> Result<(), SetupError> {
    let failed = |error| SetupError::Sysctl { key: key.replace('/', "."), value, error };
    if get(key).map_err(failed)? == value {
        return Ok(());
    }
    fs::write(path(key), value).map_err(failed)
}

/// Sets a value where the kernel has the setting; it does not matter if not.
pub(super) fn write_if_there(key: &str, value: &str) {
    let _ = fs::write(path(key), value);
}

/// Sets a value back to `before`, if it still is what we `set` it to: whoever changed it since had a reason. Returns
/// whether it was.
pub(super) fn restore(key: &str, before: &str, set: &str) -> bool {
    get(key).is_ok_and(|value| value == set) && fs::write(path(key), before).is_ok()
}

/// What to do when a value cannot be set.
pub(super) fn hint(key: &str, value: &str) -> String {
    if key.ends_with(".forwarding") {
        "CAP_NET_ADMIN is needed; in a container whose /proc/sys is read-only, --sysctl net.ipv4.ip_forward=1"
            .to_owned()
    } else {
        format!("sudo sysctl -w {key}={value}")
    }
}

fn path(key: &str) -> String {
    format!("/proc/sys/{key}")
}
