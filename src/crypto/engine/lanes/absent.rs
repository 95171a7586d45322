//! Lanes on machines that have no kernels: no key is ever made for them.

use super::cpu::Cpu;
use super::{OpenJob, SealJob};
use crate::crypto::hmac::HmacKey;
use crate::crypto::suite::IkeCipher;

/// Which way a key is used.
pub(super) enum Direction {
    Seal,
    Open,
}

/// A key that cannot exist.
pub(super) enum LaneKey {}

impl LaneKey {
    /// Always `None`.
    pub(super) const fn new(_: Cpu, _: Direction, _: IkeCipher, _: &[u8], _: &HmacKey) -> Option<Self> {
        None
    }
}

/// Nothing.
#[derive(Debug)]
pub(super) struct Lanes;

impl Lanes {
    /// Nothing.
    pub(super) const fn new(_: Cpu) -> Self {
        Self
    }

    /// Does nothing: no job has a key for the lanes.
    pub(super) const fn seal(&mut self, _: &mut [SealJob]) {}

    /// Does nothing: no job has a key for the lanes.
    pub(super) const fn open(&mut self, _: &mut [OpenJob]) {}
}

/// No packet is sealed here.
pub(super) const fn seal_alone(_: &mut SealJob) -> bool {
    false
}

/// No packet is opened here.
pub(super) const fn open_alone(_: &mut OpenJob) -> bool {
    false
}
