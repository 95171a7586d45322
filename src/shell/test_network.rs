//! Network namespaces for tests of what changes the host. They need root; without it a test says so and passes.

use super::syscall;
use std::{fs::File, os::fd::AsFd, process::Command};

/// Runs `test` on a thread of its own in a new, empty network namespace, which is gone at the end.
pub(crate) fn isolated(test: impl FnOnce() + Send) {
    let missing = ["ip", "nft"].into_iter().find(|tool| Command::new(tool).arg("-V").output().is_err());
    on_thread(|| match (missing, syscall::unshare_network()) {
        (None, Ok(())) => test(),
        (None, Err(error)) => skipped(&format!("no network namespace: {error}; run it as root")),
        (Some(tool), _) => skipped(&format!("the program {tool} is missing")),
    });
}

/// A second namespace, with a name, beside the one that the test runs in.
pub(crate) struct Neighbour(String);

impl Neighbour {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("sekisho-{name}-{}", std::process::id());
        run(&format!("ip netns add {name}"));
        Self(name)
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// Runs `task` on a thread inside.
    pub(crate) fn inside<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.0)).unwrap();
        on_thread(|| {
            syscall::enter_network(namespace.as_fd()).unwrap();
            task()
        })
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.0));
    }
}

/// Runs a command line, in the namespace of the calling thread.
pub(crate) fn run(line: &str) {
    let mut words = line.split_ascii_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(status.success(), "{line}");
}

/// What a command line prints.
pub(crate) fn output(line: &str) -> String {
    let mut words = line.split_ascii_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn on_thread<T: Send>(task: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| match scope.spawn(task).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

#[expect(clippy::print_stderr, reason = "a test that did not run must be seen")]
fn skipped(why: &str) {
    eprintln!("SKIPPED: this test did not run: {why}");
}
