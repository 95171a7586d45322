//! What the server process costs, looked at from outside: any server on this host.

use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;
use std::fs;
use std::io;
use std::time::Duration;

/// The processes of a server. (Some fork a guardian.)
#[derive(Clone, Debug)]
pub(super) struct ServerProcess {
    pids: Vec<i32>,
}

/// What it has used until now, and what it holds.
#[derive(Clone, Copy, Default, Debug, Serialize)]
pub(super) struct Usage {
    /// CPU time of all its threads, those that have ended too.
    #[serde(skip)]
    pub(super) cpu: Duration,
    /// Resident memory.
    pub(super) resident_kib: u64,
    pub(super) threads: u64,
    /// Times that it went to sleep, as far as its threads still live.
    #[serde(skip)]
    pub(super) sleeps: u64,
}

impl ServerProcess {
    pub(super) fn new(pids: &[i32]) -> Option<Self> {
        (!pids.is_empty()).then(|| Self { pids: pids.to_vec() })
    }

    /// # Errors
    /// When a process is gone.
    pub(super) fn usage(&self) -> io::Result<Usage> {
        let mut sum = Usage::default();
        for &pid in &self.pids {
            let gone = |error: io::Error| io::Error::other(format!("server process {pid}: {error}"));
            // The kernel's clock of the process: nanoseconds, and threads that have ended count.
            let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid)).map_err(|errno| gone(errno.into()))?;
            sum.cpu += Duration::from(clock_gettime(clock).map_err(|errno| gone(errno.into()))?);
            let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(gone)?;
            sum.resident_kib += field(&status, "VmRSS:");
            sum.threads += field(&status, "Threads:");
            for task in fs::read_dir(format!("/proc/{pid}/task")).map_err(gone)?.flatten() {
                // A thread may end while we look.
                let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                sum.sleeps += field(&status, "voluntary_ctxt_switches:");
            }
        }
        Ok(sum)
    }
}

/// The number behind a name at the start of a line.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let this = ServerProcess::new(&[std::process::id().cast_signed()]).unwrap();
        let before = this.usage().unwrap();
        // To look costs time by itself: once may be enough.
        let mut after = this.usage().unwrap();
        while after.cpu < before.cpu + Duration::from_millis(2) {
            after = this.usage().unwrap();
        }
        assert!(after.resident_kib > 100 && after.threads >= 1);
        assert!(ServerProcess::new(&[]).is_none());
    }

    #[test]
    fn a_process_that_is_gone_is_named() {
        let gone = ServerProcess::new(&[i32::MAX]).unwrap();
        assert!(gone.usage().unwrap_err().to_string().contains(&i32::MAX.to_string()));
    }
}
