//! What we can speak: algorithms with their IANA numbers, lengths, names and strength. Adding one is adding lines
//! here and, for ESP, an arm in the engine.
//!
//! Numbers: "Internet Key Exchange (IKE) Attributes" (RFC 2409 appendix A) for Phase 1, "IPsec ESP transform
//! identifiers" and "authentication algorithm" (RFC 2407 sections 4.4.4 and 4.5) for Phase 2.
//! Encryption is never optional: there is no NULL and no DES.

mod esp;
mod ike;
mod pattern;
#[cfg(test)]
mod tests;

pub use esp::{ESP_HEADER_LEN, ESP_TRAILER_LEN, EspAuth, EspCipher, EspSuite, GCM_SALT_LEN};
pub use ike::{DhGroup, HashAlg, IkeCipher, IkeSuite};
pub use pattern::{EspPattern, IkePattern};

use std::fmt;

/// How much an algorithm is worth today. Ordered: the strength of a suite is that of its weakest element.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Strength {
    /// Attacks are within reach of a well-funded adversary; kept only for clients that know nothing else.
    Broken,
    /// No practical attack on this use, but deprecated (RFC 8247, RFC 9395): avoid.
    Weak,
    /// Sound in this use, superseded by something better.
    Acceptable,
    /// What one would choose today.
    Strong,
}

impl Strength {
    /// The word for reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Weak => "weak",
            Self::Acceptable => "acceptable",
            Self::Strong => "strong",
        }
    }
}

impl fmt::Display for Strength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

macro_rules! display_as_name {
    ($($t:ty),*) => {
        $(impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        })*
    };
}
use display_as_name;
