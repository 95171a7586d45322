//! One PPP link (RFC 1661): frames in, frames and events out. What carries the frames is none of its business, nor is
//! what becomes of the IP packets.
//!
//! | file | what |
//! |---|---|
//! | [`automaton`] | RFC 1661 section 4.1: (state, event) to (state, actions), pure |
//! | `negotiator` | drives it for LCP and IPCP: packets, restart timer, counters |
//! | `lcp`, `ipcp` | the options: what is asked, granted, refused |
//! | [`auth`] | PAP, CHAP-MD5, MS-CHAPv2, EAP; both sides |
//! | `link` | [`Link`]: the phases of RFC 1661 section 3.2, and the way of the data |
//! | [`habits`] | the client role: what Android, Apple, Windows and pppd do, as data |
//!
//! A link in use is small: all that only the negotiation needs is in a box that goes when the link is open.

pub mod auth;
pub mod automaton;
mod cause;
mod event;
pub mod habits;
mod ipcp;
mod lcp;
mod link;
mod negotiator;

pub use auth::{AuthMethod, AuthRequest, AuthVerdict, Login};
pub use cause::{AuthError, Cause, Fault, Phase};
pub use event::{AddressGrant, Event, Lcp, LinkParams, Output};
pub use habits::Habits;
pub use link::{Class, Link, Role};

use crate::timer::{Slot, TimerTable};
use std::time::{Duration, Instant};

/// What an operator may set. Links share it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Our MRU: the longest IP packet that we ask the peer to send, in bytes.
    pub mru: u16,
    /// Authentication protocols in the order in which they are offered; one that is missing is not allowed.
    pub auth: Vec<AuthMethod>,
    /// Our name in challenges.
    pub name: String,
    /// Between two echoes of an idle link.
    pub echo_interval: Duration,
    /// Echoes without an answer, after which the peer is dead.
    pub echo_failures: u8,
    /// From the start to [`Event::Up`], waiting for verdict and address included.
    pub setup_timeout: Duration,
    /// Whether data leaves without FF 03 and with a one-byte protocol field if the peer takes it: 3 bytes less per
    /// packet, for clients known to mean what they negotiate.
    pub compress: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mru: 1400,
            auth: vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5, AuthMethod::Pap],
            name: "sekisho".to_owned(),
            echo_interval: Duration::from_secs(20),
            echo_failures: 4,
            setup_timeout: Duration::from_secs(90),
            compress: false,
        }
    }
}

/// The timers of a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// LCP's restart timer: armed with every Configure- and Terminate-Request, repeats it.
    Lcp,
    /// Authentication: armed with every challenge or request, repeats it; or bounds the listening side.
    Auth,
    /// IPCP's restart timer.
    Ipcp,
    /// Armed with every echo of ours, sends the next or declares the peer dead. Any frame from the peer stops it.
    Echo,
    /// Armed at the start, ends a link that does not come up.
    Setup,
    /// Armed with every echo that asks what passes, ends the wait for it.
    Sizing,
}

impl Slot for Timer {
    const ALL: &'static [Self] = &[Self::Lcp, Self::Auth, Self::Ipcp, Self::Echo, Self::Setup, Self::Sizing];
    fn index(self) -> usize {
        self as usize
    }
}

type Timers = TimerTable<Timer, 6>;

/// What every machine inside a link gets along with its input.
struct Ctx<'a> {
    now: Instant,
    timers: &'a mut Timers,
    out: &'a mut Output,
}

#[cfg(test)]
mod tests;
