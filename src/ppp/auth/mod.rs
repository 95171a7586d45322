//! Authentication inside PPP: which protocols are offered in which order, and one small machine per protocol and side.
//! The machines carry a proof out and a verdict in; whether the proof holds is decided elsewhere ([`crate::identity`]).

mod chap;
mod eap;
mod offers;
mod pap;

pub(super) use offers::Offers;

use super::cause::{AuthError, Cause};
use super::negotiator::hash;
use super::{Ctx, Timer};
use crate::crypto::Secret;
use crate::entropy::Entropy;
use crate::identity::account::{Accepted, Proof, Rejected};
use crate::packet::Drop;
use crate::wire::Writer;
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::{AuthProtocol, ChapAlgorithm};
use std::net::Ipv4Addr;
use std::time::Duration;

/// Transmissions of a challenge or request without an answer.
const MAX_SENDS: u8 = 10;
/// The n-th repetition follows after `n` times this, up to three times.
const RESEND: Duration = Duration::from_secs(1);
/// How long the side that may only listen (PAP's server, CHAP's and EAP's client) waits.
const LISTEN: Duration = Duration::from_secs(30);

/// A way for the client to prove who it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AuthMethod {
    /// MS-CHAPv2 (RFC 2759).
    MsChapV2,
    /// CHAP with MD5 (RFC 1994).
    ChapMd5,
    /// PAP (RFC 1334).
    Pap,
    /// MS-CHAPv2 inside EAP.
    EapMsChapV2,
    /// MD5 challenge inside EAP (RFC 3748 section 5.4).
    EapMd5,
}

impl AuthMethod {
    /// What LCP negotiates for it.
    #[must_use]
    pub const fn protocol(self) -> AuthProtocol {
        match self {
            Self::MsChapV2 => AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V2),
            Self::ChapMd5 => AuthProtocol::Chap(ChapAlgorithm::MD5),
            Self::Pap => AuthProtocol::Pap,
            Self::EapMsChapV2 | Self::EapMd5 => AuthProtocol::Eap,
        }
    }

    /// Whether it runs inside EAP.
    #[must_use]
    pub const fn is_eap(self) -> bool {
        matches!(self, Self::EapMsChapV2 | Self::EapMd5)
    }

    /// Name in logs and configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MsChapV2 => "mschapv2",
            Self::ChapMd5 => "chap",
            Self::Pap => "pap",
            Self::EapMsChapV2 => "eap-mschapv2",
            Self::EapMd5 => "eap-md5",
        }
    }

    /// The method of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::MsChapV2, Self::ChapMd5, Self::Pap, Self::EapMsChapV2, Self::EapMd5];
        all.into_iter().find(|method| method.name() == name)
    }

    /// Whether it works with an account that has an NT hash only.
    #[must_use]
    pub const fn works_with_nt_hash(self) -> bool {
        matches!(self, Self::MsChapV2 | Self::Pap | Self::EapMsChapV2)
    }
}

impl std::fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Somebody wants to be let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuthRequest {
    /// How.
    pub method: AuthMethod,
    /// The name as the client sent it: [`crate::identity::parse`] takes it apart.
    pub name: Vec<u8>,
    /// What [`crate::identity::account::verify`] compares with the account.
    pub proof: Proof,
}

/// The answer to an [`AuthRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthVerdict {
    /// Let in.
    Admit {
        /// For MS-CHAPv2, `S=` and 40 hex digits ([`Accepted::ms_success`]); without it, MS-CHAPv2 cannot succeed.
        success: Option<String>,
        /// Our own address on the link, if it is known already: then IPCP starts at once and need not wait for the
        /// client's address.
        gateway: Option<Ipv4Addr>,
    },
    /// Not let in.
    Refuse {
        /// What the client is told.
        error: AuthError,
    },
}

impl From<Result<&Accepted, Rejected>> for AuthVerdict {
    /// The plain case: a proof that holds is let in, any other is a wrong name or password.
    fn from(result: Result<&Accepted, Rejected>) -> Self {
        match result {
            Ok(accepted) => Self::Admit { success: accepted.ms_success.clone(), gateway: None },
            Err(_) => Self::Refuse { error: AuthError::AuthenticationFailure },
        }
    }
}

/// The last word of an authentication, kept for a peer that repeats its own because it did not hear ours.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) protocol: Protocol,
    /// Hash of the packet that gets this reply.
    pub(super) trigger: u64,
    /// The reply's information field.
    pub(super) information: Box<[u8]>,
}

impl Reply {
    fn new(protocol: Protocol, trigger: u64, emit: impl FnOnce(&mut Writer)) -> Box<Self> {
        let mut w = Writer::new();
        emit(&mut w);
        Box::new(Self { protocol, trigger, information: w.finish().into() })
    }

    pub(super) fn send(&self, ctx: &mut Ctx<'_>) {
        ctx.out.send(self.protocol, |w| w.bytes(&self.information));
    }
}

/// What a machine has come to.
#[derive(Debug)]
pub(super) enum Progress {
    /// It goes on.
    Continue,
    /// Server: a verdict is needed. Repetitions are answered by silence until then.
    Ask(Box<AuthRequest>),
    /// Authenticated.
    Done(Option<Box<Reply>>),
    /// Not.
    Failed(Cause, Option<Box<Reply>>),
}

/// Name and password of a client.
#[derive(Clone, Debug)]
pub struct Login {
    /// As its user typed it.
    pub name: Vec<u8>,
    /// In UTF-8.
    pub password: Secret,
}

/// The machine of one authentication.
#[derive(Debug)]
pub(super) enum Authentication {
    PapServer(pap::Server),
    PapClient(pap::Client),
    ChapServer(chap::Server),
    ChapClient(chap::Client),
    EapServer(eap::Server),
    EapClient(eap::Client),
}

impl Authentication {
    /// The server's machine for what LCP agreed upon. `offers` says which EAP methods may be proposed.
    pub(super) fn server(method: AuthMethod, offers: &Offers, name: &str, entropy: Entropy) -> Self {
        match method {
            AuthMethod::MsChapV2 => {
                Self::ChapServer(chap::Server::new(ChapAlgorithm::MS_CHAP_V2, name, entropy))
            }
            AuthMethod::ChapMd5 => Self::ChapServer(chap::Server::new(ChapAlgorithm::MD5, name, entropy)),
            AuthMethod::Pap => Self::PapServer(pap::Server::default()),
            AuthMethod::EapMsChapV2 | AuthMethod::EapMd5 => {
                Self::EapServer(eap::Server::new(offers.eap_methods(), name, entropy))
            }
        }
    }

    /// The client's machine for what the server asked; `None` if we cannot do it.
    pub(super) fn client(
        protocol: &AuthProtocol,
        login: &Login,
        methods: &[AuthMethod],
        entropy: Entropy,
    ) -> Option<Self> {
        match protocol {
            AuthProtocol::Pap => Some(Self::PapClient(pap::Client::new(login.clone()))),
            AuthProtocol::Chap(algorithm @ (ChapAlgorithm::MD5 | ChapAlgorithm::MS_CHAP_V2)) => {
                Some(Self::ChapClient(chap::Client::new(*algorithm, login.clone(), entropy)))
            }
            AuthProtocol::Eap => Some(Self::EapClient(eap::Client::new(login.clone(), methods, entropy))),
            AuthProtocol::Chap(_) | AuthProtocol::Other(..) => None,
        }
    }

    /// The protocol that its packets travel in.
    pub(super) const fn protocol(&self) -> Protocol {
        match self {
            Self::PapServer(_) | Self::PapClient(_) => Protocol::PAP,
            Self::ChapServer(_) | Self::ChapClient(_) => Protocol::CHAP,
            Self::EapServer(_) | Self::EapClient(_) => Protocol::EAP,
        }
    }

    /// The method that was used in the end (EAP settles it late).
    pub(super) const fn method(&self) -> AuthMethod {
        match self {
            Self::PapServer(_) | Self::PapClient(_) => AuthMethod::Pap,
            Self::ChapServer(server) => server.method(),
            Self::ChapClient(client) => client.method(),
            Self::EapServer(server) => server.method(),
            Self::EapClient(client) => client.method(),
        }
    }

    /// Begins: whoever speaks first speaks.
    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        match self {
            Self::PapServer(_) | Self::ChapClient(_) | Self::EapClient(_) => {
                ctx.timers.set(Timer::Auth, ctx.now + LISTEN);
            }
            Self::PapClient(client) => client.start(ctx),
            Self::ChapServer(server) => server.start(ctx),
            Self::EapServer(server) => server.start(ctx),
        }
    }

    /// Handles a packet of [`Self::protocol`].
    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, information: &[u8]) -> Result<Progress, Drop> {
        match self {
            Self::PapServer(server) => server.handle(ctx, information),
            Self::PapClient(client) => client.handle(information),
            Self::ChapServer(server) => server.handle(ctx, information),
            Self::ChapClient(client) => client.handle(ctx, information),
            Self::EapServer(server) => server.handle(ctx, information),
            Self::EapClient(client) => client.handle(ctx, information),
        }
    }

    /// Takes the verdict; ignored unless one was asked for.
    pub(super) fn handle_verdict(&mut self, ctx: &mut Ctx<'_>, verdict: &AuthVerdict) -> Progress {
        match self {
            Self::PapServer(server) => server.handle_verdict(ctx, verdict),
            Self::ChapServer(server) => server.handle_verdict(ctx, verdict),
            Self::EapServer(server) => server.handle_verdict(ctx, verdict),
            Self::PapClient(_) | Self::ChapClient(_) | Self::EapClient(_) => Progress::Continue,
        }
    }

    /// The authentication timer fired.
    pub(super) fn handle_timeout(&mut self, ctx: &mut Ctx<'_>) -> Progress {
        match self {
            Self::PapServer(_) | Self::ChapClient(_) | Self::EapClient(_) => {
                Progress::Failed(Cause::AuthTimeout, None)
            }
            Self::PapClient(client) => client.handle_timeout(ctx),
            Self::ChapServer(server) => server.handle_timeout(ctx),
            Self::EapServer(server) => server.handle_timeout(ctx),
        }
    }
}

/// What a client has answered, so that a request that comes again, late and out of order, does not replace a newer one.
#[derive(Debug, Default)]
struct Answered {
    /// Hashes of the latest requests, the last one last.
    requests: Vec<u64>,
    /// The answer to the last one.
    answer: Box<[u8]>,
}

impl Answered {
    const KEPT: usize = 8;

    /// Resends the answer to the last request; drops a request before it; `None` for a new one.
    fn again(&self, ctx: &mut Ctx<'_>, protocol: Protocol, request: &[u8]) -> Option<Drop> {
        let request = hash(request);
        let known = self.requests.contains(&request);
        if known && self.requests.last() == Some(&request) {
            ctx.out.send(protocol, |w| w.bytes(&self.answer));
        }
        known.then_some(Drop::Repeated)
    }

    /// Sends and keeps the answer to a new request.
    fn answer(
        &mut self,
        ctx: &mut Ctx<'_>,
        protocol: Protocol,
        request: &[u8],
        emit: impl FnOnce(&mut Writer),
    ) {
        let mut w = Writer::new();
        emit(&mut w);
        self.answer = w.finish().into();
        if self.requests.len() == Self::KEPT {
            self.requests.remove(0);
        }
        self.requests.push(hash(request));
        ctx.out.send(protocol, |w| w.bytes(&self.answer));
    }
}

/// Counts transmissions and arms the timer for the next one; `false` when they are used up.
fn count_send(ctx: &mut Ctx<'_>, sends: &mut u8) -> bool {
    if *sends >= MAX_SENDS {
        return false;
    }
    *sends += 1;
    ctx.timers.set(Timer::Auth, ctx.now + RESEND * u32::from((*sends).min(3)));
    true
}

/// The Success message of MS-CHAPv2.
fn ms_success_message(success: &str) -> String {
    format!("{success} M=Welcome")
}
