//! Translations between the layers' own words for what happened and the story's.

use crate::crypto::suite::{DhGroup, IkeSuite};
use crate::ike::{self, ClientHint, ClientKind, EspSa, NatSituation, Progress, Reason};
use crate::l2tp::{self, Direction, PppEnd, Software};
use crate::ppp::{self, AuthError, Phase};
use crate::story::{Algorithms, Attempt, Cause, Protection};
use crate::wire::avp::DisconnectCode;
use crate::wire::ppp::Protocol;
use smol_str::{SmolStr, ToSmolStr, format_smolstr};

/// Notes in the story what IKE reports on the way.
pub fn note_ike(attempt: &mut Attempt, event: &ike::Event) {
    match event {
        ike::Event::Progress(Progress::Phase1Started { hint, suite, .. }) => {
            let detail = attempt.detail_mut();
            detail.client = hint.to_smolstr();
            detail.ike = suite.to_smolstr();
        }
        ike::Event::Progress(Progress::KeysExchanged { nat }) => {
            attempt.floats = nat.udp();
            attempt.detail_mut().nat = describe_nat(nat);
        }
        ike::Event::Progress(Progress::Phase2Started { suite, .. }) => {
            attempt.detail_mut().esp = suite.to_smolstr()
        }
        ike::Event::Refused(refusal) => {
            // Without a NAT it would have gone on where it had begun.
            let cause = match cause_of_refusal(refusal) {
                Cause::NoNatT if !attempt.floats => Cause::IkeUnfinished,
                cause => cause,
            };
            attempt.suspect(cause);
            attempt.guesses = attempt.guesses.saturating_add(u16::from(cause == Cause::WrongPsk));
            let detail = attempt.detail_mut();
            detail.client = refusal.hint.to_smolstr();
            detail.offered = refusal.offered.join(", ").into();
            detail.note = refusal.reason.to_smolstr();
        }
        _ => {}
    }
}

/// Why IKE refused, in the story's words.
pub fn cause_of_refusal(refusal: &ike::Refusal) -> Cause {
    match &refusal.reason {
        Reason::WrongKey => Cause::WrongPsk,
        Reason::ExpiredKey => Cause::PskExpired,
        Reason::UnknownGroup(_) => Cause::AggressiveModeRefused,
        Reason::NoProposal(_) if refusal.stage == ike::Stage::QuickMode => Cause::NoEspProposal,
        Reason::NoProposal(_) => Cause::NoIkeProposal,
        Reason::Selectors(_) => Cause::NoEspProposal,
        Reason::TimedOut if refusal.stage == ike::Stage::Identity => Cause::NoNatT,
        Reason::Malformed(_) | Reason::Exchange(_) | Reason::KeyExchange(_) | Reason::TimedOut => {
            Cause::IkeUnfinished
        }
    }
}

/// The kind of client, with its version where that shows.
pub(super) fn describe_client(client: ClientKind) -> SmolStr {
    match client.version {
        Some(version) => format_smolstr!("{} {version}", client.hint),
        None => client.hint.to_smolstr(),
    }
}

/// What a client is called whose IKE we never saw.
pub(super) const CLEAR_TEXT: &str = "clear-text L2TP";

/// PPP gives Windows away, whatever carries it.
pub(super) fn identify(attempt: &mut Attempt, text: &str) {
    let client = &attempt.detail().client;
    if text.starts_with("MSRAS") && !client.contains("Windows") {
        let known = Some(client.as_str()).filter(|client| *client != ClientHint::Unknown.to_string());
        attempt.detail_mut().client =
            known.map_or("Windows".into(), |client| format_smolstr!("{client}, Windows"));
    }
}

/// What the L2TP program adds to what IKE showed: the kind, where IKE said too little for one, and what people are told.
pub(super) fn refine_client(
    hint: Option<ClientHint>,
    client: &str,
    software: Software,
) -> (Option<ClientHint>, SmolStr) {
    use ClientHint::{Android, Apple, ChromeOs, Libreswan, NetworkManager, StrongSwan, Windows};
    let (kind, program) = match software {
        Software::Mtpd => (Some(Android), "mtpd"),
        Software::Apple => (Some(Apple), "Apple's pppd"),
        Software::Windows => (Some(Windows), "Windows"),
        Software::Xl2tpd => (None, "xl2tpd"),
    };
    match (hint, kind) {
        // Anybody may build a racoon, and nearly everybody who has did it for a phone.
        (Some(ClientHint::Unknown | ClientHint::Racoon), Some(kind)) => (Some(kind), kind.to_smolstr()),
        (Some(ClientHint::Unknown), None) => (hint, program.into()),
        // Clear-text L2TP has no IKE to be known by.
        (None, kind) => (kind, format_smolstr!("{client}, {program}")),
        (Some(StrongSwan | Libreswan | ClientHint::Racoon), None) => {
            (hint, format_smolstr!("{client}, {program}"))
        }
        (Some(Android | Apple | Windows | NetworkManager | ChromeOs), _) => (hint, client.into()),
        // An IPsec of its own under another's L2TP: a virtual machine, or a tunnel in a tunnel.
        (Some(StrongSwan | Libreswan), Some(_)) => (hint, format_smolstr!("{client}, {program}")),
    }
}

/// What was negotiated and how strong it is.
pub(super) fn describe_protection(ike: IkeSuite, esp: &EspSa) -> Protection {
    let phase1 = Algorithms {
        cipher: ike.cipher.to_smolstr(),
        hash: ike.hash.to_smolstr(),
        group: ike.group.to_smolstr(),
        strength: ike.strength().to_smolstr(),
        bits: ike.bits(),
    };
    let suite = esp.suite;
    let group = esp.pfs.map(DhGroup::strength);
    let own = group.map_or_else(|| suite.strength(), |group| group.min(suite.strength()));
    let own_bits = esp.pfs.map_or(suite.cipher().bits(), |group| group.bits().min(suite.cipher().bits()));
    let phase2 = Algorithms {
        cipher: suite.cipher().to_smolstr(),
        hash: if suite.cipher().is_aead() { SmolStr::default() } else { suite.auth().to_smolstr() },
        group: esp.pfs.map(|group| group.to_smolstr()).unwrap_or_default(),
        strength: own.to_smolstr(),
        bits: own_bits,
    };
    // An agreement of Phase 2's own goes on where that of Phase 1 is broken afterwards; not so the authentication.
    let strength = own.min(ike.strength()).to_smolstr();
    let bits = if esp.pfs.is_some() { own_bits } else { own_bits.min(ike.bits()) };
    Protection { phase1, phase2, strength, bits }
}

/// What stands between the client and us.
pub(super) fn describe_nat(nat: &NatSituation) -> SmolStr {
    SmolStr::new_static(match (nat.client_behind, nat.server_behind) {
        (false, false) => "none",
        (true, false) => "client behind NAT",
        (false, true) => "gateway behind NAT",
        (true, true) => "both behind NAT",
    })
}

/// Why an L2TP tunnel or session ended, in the story's words.
pub(super) fn story_of_l2tp(cause: l2tp::Cause) -> Cause {
    match cause {
        l2tp::Cause::PeerStopped { .. } | l2tp::Cause::PeerHungUp { .. } => Cause::PeerLeft,
        l2tp::Cause::Ppp(_) => Cause::PeerLeft,
        l2tp::Cause::Administrative => Cause::Kicked,
        l2tp::Cause::Shutdown => Cause::GatewayStopped,
        l2tp::Cause::Replaced => Cause::ReplacedBySameDevice,
        l2tp::Cause::Unused | l2tp::Cause::NoAnswer | l2tp::Cause::SetupTimeout => Cause::L2tpUnfinished,
        l2tp::Cause::Dead => Cause::LinkLost,
        l2tp::Cause::UnsupportedVersion(_)
        | l2tp::Cause::NoFraming
        | l2tp::Cause::Challenged
        | l2tp::Cause::UnknownMandatory(_)
        | l2tp::Cause::UnknownMessage(_)
        | l2tp::Cause::Malformed(_)
        | l2tp::Cause::OutOfOrder(_)
        | l2tp::Cause::OutgoingCall
        | l2tp::Cause::TooManyTunnels
        | l2tp::Cause::TooManySessions
        | l2tp::Cause::Overflow => Cause::L2tpRefused,
    }
}

/// How L2TP is told of an end that we decided.
pub(super) fn l2tp_cause(cause: Cause) -> l2tp::Cause {
    match cause {
        Cause::GatewayStopped => l2tp::Cause::Shutdown,
        Cause::ReplacedBySameDevice | Cause::ReplacedByNewest => l2tp::Cause::Replaced,
        Cause::LinkLost | Cause::NatMappingLost | Cause::RekeyFailed => l2tp::Cause::Dead,
        _ => l2tp::Cause::Administrative,
    }
}

/// Why a PPP link ended, in the story's words.
pub(super) fn story_of_ppp(cause: &ppp::Cause) -> Cause {
    match cause {
        ppp::Cause::PeerTerminated { during: Phase::Open, .. } => Cause::PeerLeft,
        ppp::Cause::PeerTerminated { during: Phase::Network, .. } => Cause::AddressRefused,
        ppp::Cause::PeerTerminated { .. }
        | ppp::Cause::NotConverging(_)
        | ppp::Cause::ProtocolRejected(_) => Cause::PppRefused,
        ppp::Cause::NoCommonAuth { .. } => Cause::NoCommonAuth,
        // The verdict came with a cause of its own, which stays; this is what the client was told.
        ppp::Cause::AuthRefused(error) => match error {
            AuthError::AuthenticationFailure => Cause::WrongPassword,
            AuthError::RestrictedLogonHours => Cause::OutOfHours,
            AuthError::AccountDisabled => Cause::UserDisabled,
            AuthError::NoDialinPermission => Cause::AccessDenied,
        },
        ppp::Cause::AuthTimeout
        | ppp::Cause::LcpTimeout
        | ppp::Cause::IpcpTimeout
        | ppp::Cause::SetupTimeout { .. }
        | ppp::Cause::Loopback => Cause::PppUnfinished,
        ppp::Cause::EchoTimeout | ppp::Cause::CarrierLost => Cause::LinkLost,
        ppp::Cause::NoAddress => Cause::PoolEmpty,
        ppp::Cause::Administrative(_) => Cause::Kicked,
        ppp::Cause::RefusedByServer { .. } | ppp::Cause::ServerNotTrusted => Cause::Internal,
    }
}

/// How L2TP tells the client of the end of its PPP link (RFC 3145).
pub(super) fn l2tp_end_of_ppp(cause: &ppp::Cause) -> l2tp::Cause {
    let lcp = Protocol::LCP.0;
    let (code, protocol, direction) = match cause {
        ppp::Cause::PeerTerminated { .. } => (DisconnectCode::NORMAL, lcp, Direction::Peer),
        ppp::Cause::AuthRefused(_) => (DisconnectCode::AUTH_FAILED, 0, Direction::Peer),
        ppp::Cause::NoCommonAuth { .. } => (DisconnectCode::AUTH_PROTOCOL_UNACCEPTABLE, 0, Direction::Global),
        ppp::Cause::NoAddress => (DisconnectCode::NO_PERMITTED_ADDRESS, Protocol::IPCP.0, Direction::Local),
        ppp::Cause::Administrative(_) => (DisconnectCode::ADMINISTRATIVE, 0, Direction::Local),
        _ => (DisconnectCode::NO_INFORMATION, 0, Direction::Global),
    };
    l2tp::Cause::Ppp(PppEnd { code, protocol, direction })
}
