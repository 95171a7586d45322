//! A sequence of steps as bytes, for the machines: `op (1) | length (2, big-endian) | argument`. The last argument ends
//! where the bytes end, so that every input means something.

use std::sync::OnceLock;
use std::time::Instant;

/// Most steps of one input: more take time and show nothing new.
pub(super) const MAX_STEPS: usize = 64;

/// The steps in `bytes`.
pub(super) fn steps(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (op, after) = rest.split_first()?;
        let (argument, after) = match after.split_first_chunk::<2>() {
            None => (after, &[][..]),
            Some((len, after)) => after.split_at(usize::from(u16::from_be_bytes(*len)).min(after.len())),
        };
        rest = after;
        Some((*op, argument))
    })
    .take(MAX_STEPS)
}

/// Builds a sequence of steps: for seeds.
#[derive(Clone, Default)]
pub(crate) struct Script(Vec<u8>);

#[allow(dead_code, reason = "the libFuzzer binaries do not make seeds")]
impl Script {
    /// No steps.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// One more step.
    pub(crate) fn step(mut self, op: u8, argument: &[u8]) -> Self {
        let len = u16::try_from(argument.len()).expect("a short argument");
        self.0.push(op);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(argument);
        self
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.clone()
    }
}

/// The moment at which every run begins.
#[expect(clippy::disallowed_methods, reason = "an origin for the fake clock: any will do")]
pub(super) fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}

/// The first bytes of an argument as a number; what is missing is zero.
pub(super) fn number(argument: &[u8]) -> usize {
    let byte = |at: usize| usize::from(argument.get(at).copied().unwrap_or(0));
    byte(0) << 8 | byte(1)
}
