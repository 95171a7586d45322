//! Why a link went down, and whose doing it was.

use super::auth::AuthMethod;
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::AuthProtocol;

/// How far a link has come (RFC 1661 section 3.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Phase {
    /// Not started, or over.
    Dead,
    /// LCP negotiates.
    Establish,
    /// One side proves who it is.
    Authenticate,
    /// IPCP negotiates.
    Network,
    /// IP flows.
    Open,
    /// A Terminate-Request is on its way.
    Terminate,
}

impl Phase {
    /// Name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Establish => "LCP",
            Self::Authenticate => "authentication",
            Self::Network => "IPCP",
            Self::Open => "open",
            Self::Terminate => "termination",
        }
    }
}

/// The error numbers of MS-CHAPv2 (RFC 2759 section 6), which Windows shows to its user. Other protocols have no numbers:
/// their users read the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AuthError {
    /// 646: not at this hour.
    RestrictedLogonHours,
    /// 647: the account is disabled or expired.
    AccountDisabled,
    /// 649: the account may not dial in.
    NoDialinPermission,
    /// 691: wrong name or password. Unknown users and hubs look the same.
    AuthenticationFailure,
}

impl AuthError {
    /// The number after `E=`.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::RestrictedLogonHours => 646,
            Self::AccountDisabled => 647,
            Self::NoDialinPermission => 649,
            Self::AuthenticationFailure => 691,
        }
    }

    /// What the client may show.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::RestrictedLogonHours => "Not allowed at this time",
            Self::AccountDisabled => "Account disabled or expired",
            Self::NoDialinPermission => "No permission to connect",
            Self::AuthenticationFailure => "Wrong user name or password",
        }
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.number(), self.text())
    }
}

/// Whose doing the end of a link was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Nobody's: a side wanted it so.
    Wish,
    /// The client's user: name, password, account.
    Credentials,
    /// The peer cannot do what we need, or the reverse.
    PeerIncompatible,
    /// The peer breaks the protocol.
    PeerMisbehaved,
    /// Nothing came any more.
    Timeout,
    /// Ours: the gateway or its configuration.
    Ours,
}

/// Why a link went down.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// The peer sent a Terminate-Request.
    PeerTerminated {
        /// How far the link had come.
        during: Phase,
        /// What the peer wrote into it, with unprintable bytes left out.
        text: String,
        /// The number that Windows puts into it.
        windows_error: Option<u32>,
    },
    /// No common authentication protocol.
    NoCommonAuth {
        /// What we offered, in this order.
        offered: Vec<AuthMethod>,
        /// What the client named instead: LCP protocols, or EAP types as `AuthProtocol::Other(0xc227, type)`.
        wanted: Vec<AuthProtocol>,
    },
    /// The authentication was refused, with the number that the client was told.
    AuthRefused(AuthError),
    /// The client did not answer our challenge, or never sent its password.
    AuthTimeout,
    /// Client role: the server refused us.
    RefusedByServer {
        /// The number after `E=`, if there was one.
        error: Option<u32>,
        /// Its text.
        message: String,
    },
    /// Client role: the server does not know the password, so it is not the server.
    ServerNotTrusted,
    /// No answer to LCP: the peer's PPP never started, or its packets do not come through.
    LcpTimeout,
    /// IPCP did not end.
    IpcpTimeout,
    /// The whole took too long.
    SetupTimeout {
        /// Where it was stuck.
        during: Phase,
    },
    /// The sides do not agree on options.
    NotConverging(Protocol),
    /// The peer rejected a protocol that the link cannot do without.
    ProtocolRejected(Protocol),
    /// Our own packets come back.
    Loopback,
    /// The peer answers no echo any more.
    EchoTimeout,
    /// There is no address to give.
    NoAddress,
    /// What carries the link is gone.
    CarrierLost,
    /// An operator, a limit or a shutdown ended it.
    Administrative(&'static str),
}

impl Cause {
    /// Whose doing it was.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::PeerTerminated { during: Phase::Open, .. } | Self::Administrative(_) => Fault::Wish,
            Self::PeerTerminated { .. }
            | Self::NoCommonAuth { .. }
            | Self::NotConverging(_)
            | Self::ProtocolRejected(_) => Fault::PeerIncompatible,
            Self::AuthRefused(_) | Self::RefusedByServer { .. } => Fault::Credentials,
            Self::ServerNotTrusted | Self::Loopback => Fault::PeerMisbehaved,
            Self::AuthTimeout
            | Self::LcpTimeout
            | Self::IpcpTimeout
            | Self::SetupTimeout { .. }
            | Self::EchoTimeout
            | Self::CarrierLost => Fault::Timeout,
            Self::NoAddress => Fault::Ours,
        }
    }

    /// The text of our Terminate-Request.
    pub(super) fn terminate_text(&self) -> &'static str {
        match self {
            Self::NoCommonAuth { .. } => "No common authentication protocol",
            Self::AuthRefused(error) => error.text(),
            Self::AuthTimeout => "Authentication timed out",
            Self::NoAddress => "No address available",
            Self::Administrative(reason) => reason,
            Self::Loopback => "Loopback",
            Self::EchoTimeout => "Peer not responding",
            Self::SetupTimeout { .. } | Self::LcpTimeout | Self::IpcpTimeout => "Timed out",
            _ => "Link terminated",
        }
    }

    /// Reads the data of a Terminate-Request.
    pub(super) fn from_terminate_request(during: Phase, data: &[u8]) -> Self {
        // Windows sends its magic number, 00 3C CD 74 and an error number of RAS (742: no encryption, 691 …).
        let windows_error = match data {
            [_, _, _, _, 0x00, 0x3c, 0xcd, 0x74, rest @ ..] => {
                rest.first_chunk().map(|number| u32::from_be_bytes(*number))
            }
            _ => None,
        };
        let text = if windows_error.is_some() { String::new() } else { printable(data) };
        Self::PeerTerminated { during, text, windows_error }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PeerTerminated { during, text, windows_error } => {
                write!(f, "the peer terminated the link during {}", during.name())?;
                if let Some(number) = windows_error {
                    write!(f, " (Windows error {number})")?;
                }
                if !text.is_empty() {
                    write!(f, " ({text})")?;
                }
                Ok(())
            }
            Self::NoCommonAuth { offered, wanted } => {
                write!(f, "no common authentication protocol: we offered {}", list(offered))?;
                if wanted.is_empty() {
                    f.write_str(", the client named none")
                } else {
                    write!(f, ", the client wants {}", list(wanted))
                }
            }
            Self::AuthRefused(error) => write!(f, "authentication refused: {error}"),
            Self::AuthTimeout => f.write_str("the client did not authenticate in time"),
            Self::RefusedByServer { error: Some(error), message } => {
                write!(f, "the server refused us: {error} {message}")
            }
            Self::RefusedByServer { error: None, message } => write!(f, "the server refused us: {message}"),
            Self::ServerNotTrusted => f.write_str("the server could not prove that it knows the password"),
            Self::LcpTimeout => f.write_str("the peer did not answer LCP"),
            Self::IpcpTimeout => f.write_str("the peer did not finish IPCP"),
            Self::SetupTimeout { during } => write!(f, "the link took too long in {}", during.name()),
            Self::NotConverging(protocol) => write!(f, "the peer does not agree to our {protocol} options"),
            Self::ProtocolRejected(protocol) => write!(f, "the peer rejected {protocol}"),
            Self::Loopback => f.write_str("the link is looped back"),
            Self::EchoTimeout => f.write_str("the peer does not answer LCP echoes any more"),
            Self::NoAddress => f.write_str("there is no address to give"),
            Self::CarrierLost => f.write_str("what carried the link is gone"),
            Self::Administrative(reason) => f.write_str(reason),
        }
    }
}

fn list<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Text from the peer, cut to what a log line bears.
pub(super) fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 120;
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|c| !c.is_control() && *c != '\u{fffd}')
        .take(LONGEST)
        .collect()
}
