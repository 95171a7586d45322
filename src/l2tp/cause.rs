//! Why tunnels and sessions end: whose fault it was, what the peer is told (Result and Error Codes, RFC 2661 section
//! 4.4.2; PPP Disconnect Cause Code, RFC 3145), and what a human reads.

use crate::wire::Error;
use crate::wire::avp::{
    DisconnectCode, MessageType, PROTOCOL_VERSION, PppDisconnect, ResultCode, UnknownMandatory,
};

/// StopCCN: general request to clear the control connection.
const STOP_CLEARED: u16 = 1;
/// StopCCN and CDN: general error, see the Error Code.
const GENERAL_ERROR: u16 = 2;
/// StopCCN: requester is not authorized to establish a control channel.
const STOP_NOT_AUTHORIZED: u16 = 4;
/// StopCCN: the protocol version of the requester is not supported; the Error Code says which is.
const STOP_BAD_VERSION: u16 = 5;
/// StopCCN: requester is being shut down.
const STOP_SHUTTING_DOWN: u16 = 6;
/// StopCCN: finite state machine error.
const STOP_STATE_ERROR: u16 = 7;
/// CDN: loss of carrier, that is, of the PPP link.
const CALL_LOST_CARRIER: u16 = 1;
/// CDN: administrative reasons.
const CALL_ADMINISTRATIVE: u16 = 3;
/// CDN: lack of appropriate facilities, for now.
const CALL_NO_FACILITIES_NOW: u16 = 4;
/// CDN: lack of appropriate facilities, for good.
const CALL_NO_FACILITIES: u16 = 5;
/// CDN: the call was not established in time.
const CALL_TOO_SLOW: u16 = 10;
/// CDN: no appropriate framing detected.
const CALL_NO_FRAMING: u16 = 11;

/// Error Code: no general error.
const NO_ERROR: u16 = 0;
/// Error Code: length is wrong.
const ERROR_LENGTH: u16 = 2;
/// Error Code: a field value is out of range.
const ERROR_RANGE: u16 = 3;
/// Error Code: insufficient resources.
const ERROR_RESOURCES: u16 = 4;
/// Error Code: session ID invalid in this context.
const ERROR_SESSION_ID: u16 = 5;
/// Error Code: a mandatory AVP is unknown.
const ERROR_UNKNOWN_AVP: u16 = 8;

/// Who caused an end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// Nobody: the peer wanted to end it.
    Peer,
    /// The peer wants what we do not do.
    PeerIncompatible,
    /// The peer breaks the protocol.
    PeerMisbehaved,
    /// Our operator, our configuration, or the layer above.
    Administrative,
    /// Somebody stopped answering.
    Timeout,
}

/// How our PPP link ended, for RFC 3145.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct PppEnd {
    /// What happened.
    pub code: DisconnectCode,
    /// PPP protocol number of the control protocol concerned, or 0.
    pub protocol: u16,
    /// Whose doing.
    pub direction: Direction,
}

/// Which end of a PPP link is responsible (RFC 3145 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// Neither, or both.
    Global,
    /// The end that receives the CDN: the client.
    Peer,
    /// The end that sends the CDN: ours.
    Local,
}

/// Why a tunnel or a session ended or never came to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, thiserror::Error)]
pub enum Cause {
    /// The peer sent a StopCCN.
    #[error("the client closed the tunnel (StopCCN, result {result}, error {error})")]
    PeerStopped {
        /// Its Result Code.
        result: u16,
        /// Its Error Code, 0 if absent.
        error: u16,
    },
    /// The peer sent a CDN.
    #[error("the client hung up (CDN, result {result}, error {error})")]
    PeerHungUp {
        /// Its Result Code.
        result: u16,
        /// Its Error Code, 0 if absent.
        error: u16,
        /// Its PPP disconnect code, if it sent one.
        ppp: Option<DisconnectCode>,
    },
    /// Our PPP link ended.
    #[error("the PPP link ended ({})", .0.code)]
    Ppp(PppEnd),
    /// Somebody who may ended it.
    #[error("closed by the administrator")]
    Administrative,
    /// We are being shut down.
    #[error("the gateway is shutting down")]
    Shutdown,
    /// The same device came back and took the place of its old connection.
    #[error("replaced by a newer connection of the same device")]
    Replaced,
    /// A tunnel without a session for too long.
    #[error("the tunnel carried no session")]
    Unused,
    /// The peer did not acknowledge what we sent it.
    #[error("the client stopped answering while the tunnel was set up")]
    NoAnswer,
    /// The peer did not go on with what it began.
    #[error("the client did not complete the set-up in time")]
    SetupTimeout,
    /// Nothing was heard for longer than `dead_after`.
    #[error("nothing was heard from the client any more")]
    Dead,
    /// SCCRQ with a Protocol Version other than 1.
    #[error("the client wants L2TP version {}.{}", .0 >> 8, .0 & 0xff)]
    UnsupportedVersion(u16),
    /// Neither synchronous nor asynchronous framing.
    #[error("the client offers no framing that PPP can use")]
    NoFraming,
    /// The client challenges us, and no tunnel secret is configured.
    #[error("the client asks for an L2TP tunnel secret, and none is configured")]
    Challenged,
    /// A mandatory attribute that we cannot read.
    #[error("mandatory attribute {}/{} is {}", .0.vendor, .0.attribute, if .0.hidden { "hidden" } else { "unknown" })]
    UnknownMandatory(UnknownMandatory),
    /// A mandatory message type that we do not know.
    #[error("mandatory message type {0} is unknown")]
    UnknownMessage(MessageType),
    /// A message that cannot be read.
    #[error("malformed message: {0}")]
    Malformed(Error),
    /// A message that its state does not allow.
    #[error("{0} at the wrong time")]
    OutOfOrder(MessageType),
    /// The client asks us to dial out.
    #[error("the client asks for an outgoing call")]
    OutgoingCall,
    /// The limit of tunnels of one peer.
    #[error("too many tunnels of one client")]
    TooManyTunnels,
    /// The limit of sessions of one tunnel.
    #[error("too many sessions in one tunnel")]
    TooManySessions,
    /// The client makes us talk and does not listen.
    #[error("too many messages wait for the client")]
    Overflow,
}

impl Cause {
    /// Who caused it.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::PeerStopped { .. } | Self::PeerHungUp { .. } => Fault::Peer,
            Self::UnsupportedVersion(_)
            | Self::NoFraming
            | Self::Challenged
            | Self::UnknownMandatory(_)
            | Self::UnknownMessage(_)
            | Self::OutgoingCall => Fault::PeerIncompatible,
            Self::Malformed(_)
            | Self::OutOfOrder(_)
            | Self::TooManyTunnels
            | Self::TooManySessions
            | Self::Overflow => Fault::PeerMisbehaved,
            Self::Ppp(_) | Self::Administrative | Self::Shutdown | Self::Replaced | Self::Unused => {
                Fault::Administrative
            }
            Self::NoAnswer | Self::SetupTimeout | Self::Dead => Fault::Timeout,
        }
    }

    /// A short stable name, for metrics and logs.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::PeerStopped { .. } => "peer-stopped",
            Self::PeerHungUp { .. } => "peer-hung-up",
            Self::Ppp(_) => "ppp-ended",
            Self::Administrative => "administrative",
            Self::Shutdown => "shutdown",
            Self::Replaced => "replaced",
            Self::Unused => "unused",
            Self::NoAnswer => "no-answer",
            Self::SetupTimeout => "setup-timeout",
            Self::Dead => "dead",
            Self::UnsupportedVersion(_) => "unsupported-version",
            Self::NoFraming => "no-framing",
            Self::Challenged => "challenged",
            Self::UnknownMandatory(_) => "unknown-mandatory-avp",
            Self::UnknownMessage(_) => "unknown-message",
            Self::Malformed(_) => "malformed",
            Self::OutOfOrder(_) => "out-of-order",
            Self::OutgoingCall => "outgoing-call",
            Self::TooManyTunnels => "too-many-tunnels",
            Self::TooManySessions => "too-many-sessions",
            Self::Overflow => "overflow",
        }
    }

    /// Result and Error Code of the StopCCN that tells the peer.
    #[must_use]
    pub const fn stop_ccn(&self) -> (u16, u16) {
        match self {
            Self::Shutdown => (STOP_SHUTTING_DOWN, NO_ERROR),
            Self::Challenged => (STOP_NOT_AUTHORIZED, NO_ERROR),
            Self::UnsupportedVersion(_) => (STOP_BAD_VERSION, PROTOCOL_VERSION),
            Self::NoFraming => (GENERAL_ERROR, ERROR_RANGE),
            Self::UnknownMandatory(_) => (GENERAL_ERROR, ERROR_UNKNOWN_AVP),
            Self::UnknownMessage(_) => (GENERAL_ERROR, ERROR_RANGE),
            Self::Malformed(_) => (GENERAL_ERROR, ERROR_LENGTH),
            Self::TooManyTunnels | Self::TooManySessions | Self::Overflow => (GENERAL_ERROR, ERROR_RESOURCES),
            Self::OutOfOrder(_) => (STOP_STATE_ERROR, NO_ERROR),
            _ => (STOP_CLEARED, NO_ERROR),
        }
    }

    /// Result and Error Code of the CDN that tells the peer.
    #[must_use]
    pub const fn cdn(&self) -> (u16, u16) {
        match self {
            Self::Ppp(end) => match end.code {
                DisconnectCode::ADMINISTRATIVE
                | DisconnectCode::AUTH_FAILED
                | DisconnectCode::AUTH_PROTOCOL_UNACCEPTABLE
                | DisconnectCode::NO_PERMITTED_ADDRESS => (CALL_ADMINISTRATIVE, NO_ERROR),
                _ => (CALL_LOST_CARRIER, NO_ERROR),
            },
            Self::Administrative | Self::Shutdown | Self::Replaced => (CALL_ADMINISTRATIVE, NO_ERROR),
            Self::SetupTimeout => (CALL_TOO_SLOW, NO_ERROR),
            Self::NoFraming => (CALL_NO_FRAMING, NO_ERROR),
            Self::TooManySessions | Self::TooManyTunnels | Self::Overflow => {
                (CALL_NO_FACILITIES_NOW, NO_ERROR)
            }
            Self::OutgoingCall => (CALL_NO_FACILITIES, NO_ERROR),
            Self::UnknownMandatory(_) => (GENERAL_ERROR, ERROR_UNKNOWN_AVP),
            Self::Malformed(_) => (GENERAL_ERROR, ERROR_LENGTH),
            Self::OutOfOrder(_) => (GENERAL_ERROR, ERROR_SESSION_ID),
            _ => (CALL_LOST_CARRIER, NO_ERROR),
        }
    }

    /// The PPP Disconnect Cause Code AVP that goes with the CDN, where PPP has something to say.
    #[must_use]
    pub const fn ppp_disconnect(&self) -> Option<PppDisconnect<'static>> {
        let (code, protocol, direction) = match self {
            Self::Ppp(end) => (end.code, end.protocol, end.direction),
            Self::Administrative | Self::Shutdown | Self::Replaced => {
                (DisconnectCode::ADMINISTRATIVE, 0, Direction::Global)
            }
            _ => return None,
        };
        let direction = match direction {
            Direction::Global => 0,
            Direction::Peer => 1,
            Direction::Local => 2,
        };
        Some(PppDisconnect { code, protocol, direction, message: &[] })
    }

    /// What a StopCCN of the peer tells us.
    pub(super) fn from_stop_ccn(code: Option<ResultCode<'_>>) -> Self {
        let code = code.unwrap_or_default();
        Self::PeerStopped { result: code.result, error: code.error.unwrap_or_default() }
    }

    /// What a CDN of the peer tells us.
    pub(super) fn from_cdn(code: Option<ResultCode<'_>>, ppp: Option<DisconnectCode>) -> Self {
        let code = code.unwrap_or_default();
        Self::PeerHungUp { result: code.result, error: code.error.unwrap_or_default(), ppp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Kind;

    #[test]
    fn the_peer_is_told_in_the_rfcs_numbers() {
        let avp = UnknownMandatory { vendor: 9, attribute: 1, hidden: false };
        let table = [
            (Cause::Administrative, (1, 0), (3, 0)),
            (Cause::Shutdown, (6, 0), (3, 0)),
            (Cause::Replaced, (1, 0), (3, 0)),
            (Cause::Unused, (1, 0), (1, 0)),
            (Cause::SetupTimeout, (1, 0), (10, 0)),
            (Cause::UnsupportedVersion(0x0200), (5, 0x0100), (1, 0)),
            (Cause::NoFraming, (2, 3), (11, 0)),
            (Cause::Challenged, (4, 0), (1, 0)),
            (Cause::UnknownMandatory(avp), (2, 8), (2, 8)),
            (Cause::UnknownMessage(MessageType(99)), (2, 3), (1, 0)),
            (Cause::Malformed(Error::new("AVP", Kind::Truncated)), (2, 2), (2, 2)),
            (Cause::OutOfOrder(MessageType::SCCRP), (7, 0), (2, 5)),
            (Cause::OutgoingCall, (1, 0), (5, 0)),
            (Cause::TooManyTunnels, (2, 4), (4, 0)),
            (Cause::TooManySessions, (2, 4), (4, 0)),
        ];
        for (cause, stop_ccn, cdn) in table {
            assert_eq!((cause.stop_ccn(), cause.cdn()), (stop_ccn, cdn), "{cause}");
        }
    }

    #[test]
    fn ppp_says_more_than_l2tp_can() {
        let cause = Cause::Ppp(PppEnd {
            code: DisconnectCode::AUTH_FAILED,
            protocol: 0xc223,
            direction: Direction::Peer,
        });
        assert_eq!(cause.cdn(), (3, 0));
        let avp = cause.ppp_disconnect().unwrap();
        assert_eq!((avp.code.0, avp.protocol, avp.direction), (16, 0xc223, 1));
        assert_eq!(cause.to_string(), "the PPP link ended (AUTH_FAILED)");
        assert_eq!(Cause::Dead.ppp_disconnect(), None);
    }

    #[test]
    fn texts_name_the_culprit() {
        let avp = UnknownMandatory { vendor: 9, attribute: 1, hidden: false };
        assert_eq!(Cause::UnknownMandatory(avp).to_string(), "mandatory attribute 9/1 is unknown");
        assert_eq!(Cause::OutOfOrder(MessageType::ICCN).to_string(), "ICCN at the wrong time");
        assert_eq!(Cause::UnsupportedVersion(0x0201).to_string(), "the client wants L2TP version 2.1");
        assert_eq!(Cause::UnsupportedVersion(0x0201).fault(), Fault::PeerIncompatible);
        assert_eq!(Cause::Dead.fault(), Fault::Timeout);
    }
}
