//! What the CPU can do for the lanes. Asked once; everything else takes the answer as a value, so that a test can run
//! every kernel that the machine has and not only the best.

use std::sync::OnceLock;

/// Instructions for AES, from none to the widest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Aes {
    /// None: everything is [`scalar`](super::scalar).
    None,
    /// One block at a time (AES-NI).
    Ni,
    /// Two blocks in a register of 256 bits (VAES with AVX2).
    Vaes256,
    /// Four blocks in a register of 512 bits (VAES with AVX-512).
    Vaes512,
}

/// Vectors for hashing one packet per lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Wide {
    /// None.
    None,
    /// Eight lanes (AVX2).
    Avx2,
    /// Sixteen lanes (AVX-512 F and BW).
    Avx512,
}

/// The instruction sets that the kernels ask for. Whoever holds a value with more than the machine has could execute
/// what is not there, so [`Self::detect`] and [`Self::at_most`] are the only ways to one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Cpu {
    aes: Aes,
    sha_ni: bool,
    wide: Wide,
}

impl Cpu {
    /// A machine without any of them.
    pub(super) const NONE: Self = Self { aes: Aes::None, sha_ni: false, wide: Wide::None };

    /// What this machine has.
    pub(super) fn detect() -> Self {
        static CPU: OnceLock<Cpu> = OnceLock::new();
        *CPU.get_or_init(Self::ask)
    }

    #[cfg(target_arch = "x86_64")]
    fn ask() -> Self {
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl");
        let avx2 = is_x86_feature_detected!("avx2");
        let vaes = avx2 && is_x86_feature_detected!("vaes");
        let base = is_x86_feature_detected!("aes")
            && is_x86_feature_detected!("ssse3")
            && is_x86_feature_detected!("sse4.1");
        Self {
            aes: match (base, vaes, avx512) {
                (false, _, _) => Aes::None,
                (true, false, _) => Aes::Ni,
                (true, true, false) => Aes::Vaes256,
                (true, true, true) => Aes::Vaes512,
            },
            sha_ni: base && is_x86_feature_detected!("sha"),
            wide: match (avx2, avx512) {
                (_, true) => Wide::Avx512,
                (true, false) => Wide::Avx2,
                (false, false) => Wide::None,
            },
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn ask() -> Self {
        Self::NONE
    }

    /// The same machine with some of its abilities ignored.
    #[cfg(test)]
    pub(super) fn at_most(self, aes: Aes, sha_ni: bool, wide: Wide) -> Self {
        Self { aes: self.aes.min(aes), sha_ni: self.sha_ni && sha_ni, wide: self.wide.min(wide) }
    }

    /// Every combination of abilities that this machine has, each once.
    #[cfg(test)]
    pub(super) fn every() -> Vec<Self> {
        let mut every = Vec::new();
        for aes in [Aes::None, Aes::Ni, Aes::Vaes256, Aes::Vaes512] {
            for sha_ni in [false, true] {
                for wide in [Wide::None, Wide::Avx2, Wide::Avx512] {
                    let cpu = Self::detect().at_most(aes, sha_ni, wide);
                    if !every.contains(&cpu) {
                        every.push(cpu);
                    }
                }
            }
        }
        every
    }

    /// Whether AES runs in lanes at all.
    pub(super) fn has_lanes(self) -> bool {
        self.aes > Aes::None
    }

    /// The widest AES.
    pub(super) const fn aes(self) -> Aes {
        self.aes
    }

    /// Whether there are instructions for SHA-1 and SHA-256 (SHA-NI).
    pub(super) const fn sha_ni(self) -> bool {
        self.sha_ni
    }

    /// The widest vectors for hashing.
    pub(super) const fn wide(self) -> Wide {
        self.wide
    }
}
