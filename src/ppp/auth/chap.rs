//! CHAP (RFC 1994) with MD5 and with MS-CHAPv2 (RFC 2759).
//!
//! Every transmission of the challenge is a new challenge under a new identifier (RFC 1994 section 4.1). With the same
//! one repeated, a client that answers twice would verify our Success, which answers its first response, against its
//! second, and hang up.

use super::{
    Answered, AuthMethod, AuthRequest, AuthVerdict, Login, Progress, Reply, count_send, ms_success_message,
};
use crate::crypto::suite::HashAlg;
use crate::crypto::{mschap, prf};
use crate::entropy::Entropy;
use crate::identity::account::Proof;
use crate::packet::Drop;
use crate::ppp::cause::{AuthError, Cause, printable};
use crate::ppp::negotiator::hash;
use crate::ppp::{Ctx, Timer};
use crate::wire::chap::{ChapPacket, MsChapV2Failure, MsChapV2Response};
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::ChapAlgorithm;
use crate::wire::{self, Kind, Writer};

const fn method_of(algorithm: ChapAlgorithm) -> AuthMethod {
    match algorithm {
        ChapAlgorithm::MD5 => AuthMethod::ChapMd5,
        _ => AuthMethod::MsChapV2,
    }
}

/// The side that lets in.
#[derive(Debug)]
pub(in crate::ppp) struct Server {
    algorithm: ChapAlgorithm,
    name: Box<str>,
    entropy: Entropy,
    id: u8,
    challenge: [u8; 16],
    sends: u8,
    /// Hash of the response that waits for its verdict.
    waiting: Option<u64>,
}

impl Server {
    pub(super) fn new(algorithm: ChapAlgorithm, name: &str, mut entropy: Entropy) -> Self {
        let [id] = entropy.array();
        Self { algorithm, name: name.into(), entropy, id, challenge: [0; 16], sends: 0, waiting: None }
    }

    pub(super) const fn method(&self) -> AuthMethod {
        method_of(self.algorithm)
    }

    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.handle_timeout(ctx);
    }

    pub(super) fn handle_timeout(&mut self, ctx: &mut Ctx<'_>) -> Progress {
        if !count_send(ctx, &mut self.sends) {
            return Progress::Failed(Cause::AuthTimeout, None);
        }
        self.id = self.id.wrapping_add(1);
        self.challenge = self.entropy.array();
        let challenge =
            ChapPacket::Challenge { id: self.id, value: &self.challenge, name: self.name.as_bytes() };
        ctx.out.send(Protocol::CHAP, |w| challenge.emit(w));
        Progress::Continue
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, information: &[u8]) -> Result<Progress, Drop> {
        let ChapPacket::Response { id, value, name } = ChapPacket::parse(information)? else {
            return Err(Drop::OutOfOrder);
        };
        if id != self.id {
            return Err(Drop::OutOfOrder);
        }
        if self.waiting.is_some() {
            return Err(Drop::Repeated);
        }
        let proof = read_response(self.algorithm, id, &self.challenge, value, name)?;
        self.waiting = Some(hash(information));
        ctx.timers.stop(Timer::Auth);
        Ok(Progress::Ask(Box::new(AuthRequest { method: self.method(), name: name.to_vec(), proof })))
    }

    pub(super) fn handle_verdict(&mut self, ctx: &mut Ctx<'_>, verdict: &AuthVerdict) -> Progress {
        let Some(trigger) = self.waiting.take() else { return Progress::Continue };
        let id = self.id;
        let (message, failed) = match (verdict, self.algorithm) {
            (AuthVerdict::Admit { success: Some(success), .. }, ChapAlgorithm::MS_CHAP_V2) => {
                (ms_success_message(success), None)
            }
            (AuthVerdict::Admit { .. }, ChapAlgorithm::MD5) => ("Welcome".to_owned(), None),
            (AuthVerdict::Refuse { error }, ChapAlgorithm::MD5) => (error.text().to_owned(), Some(*error)),
            (AuthVerdict::Refuse { error }, _) => (failure_message(*error, &mut self.entropy), Some(*error)),
            // Without our own proof the client would break off anyway; say so in a way that it shows.
            (AuthVerdict::Admit { .. }, _) => {
                let error = AuthError::AuthenticationFailure;
                (failure_message(error, &mut self.entropy), Some(error))
            }
        };
        let message = message.as_bytes();
        let packet = match failed {
            None => ChapPacket::Success { id, message },
            Some(_) => ChapPacket::Failure { id, message },
        };
        let reply = Reply::new(Protocol::CHAP, trigger, |w| packet.emit(w));
        reply.send(ctx);
        match failed {
            None => Progress::Done(Some(reply)),
            Some(error) => Progress::Failed(Cause::AuthRefused(error), Some(reply)),
        }
    }
}

/// Turns a response's value into a proof.
///
/// # Errors
/// A value of the wrong length for the algorithm.
pub(super) fn read_response(
    algorithm: ChapAlgorithm,
    id: u8,
    challenge: &[u8; 16],
    value: &[u8],
    name: &[u8],
) -> Result<Proof, wire::Error> {
    if algorithm == ChapAlgorithm::MD5 {
        let response = value.try_into().map_err(|_| wire::Error::new("CHAP Value", Kind::BadLength))?;
        return Ok(Proof::Chap { id, challenge: challenge.to_vec(), response });
    }
    let response = MsChapV2Response::parse(value)?;
    Ok(Proof::MsChapV2 {
        name: name.to_vec(),
        authenticator_challenge: *challenge,
        peer_challenge: response.peer_challenge,
        nt_response: response.nt_response,
    })
}

/// `E=691 R=0 C=<32 hex> V=3 M=…`: no retry, which clients handle badly and which costs nothing but a new connection.
pub(super) fn failure_message(error: AuthError, entropy: &mut Entropy) -> String {
    let failure = MsChapV2Failure {
        error: error.number(),
        retry: false,
        challenge: Some(entropy.array()),
        version: 3,
        message: error.text().to_owned(),
    };
    failure.to_string()
}

/// The side that wants in.
#[derive(Debug)]
pub(in crate::ppp) struct Client {
    algorithm: ChapAlgorithm,
    login: Login,
    entropy: Entropy,
    /// The proof that the server must send, for MS-CHAPv2.
    expected: Option<String>,
    /// Identifier of the last challenge answered.
    id: Option<u8>,
    answered: Answered,
}

impl Client {
    pub(super) fn new(algorithm: ChapAlgorithm, login: Login, entropy: Entropy) -> Self {
        Self { algorithm, login, entropy, expected: None, id: None, answered: Answered::default() }
    }

    pub(super) const fn method(&self) -> AuthMethod {
        method_of(self.algorithm)
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, information: &[u8]) -> Result<Progress, Drop> {
        match ChapPacket::parse(information)? {
            ChapPacket::Challenge { id, value, .. } => {
                // A second response to the same challenge would differ, and with it the proof that we expect.
                if let Some(drop) = self.answered.again(ctx, Protocol::CHAP, information) {
                    return Err(drop);
                }
                let (value, expected) = respond(self.algorithm, id, value, &self.login, &mut self.entropy)?;
                (self.expected, self.id) = (expected, Some(id));
                let packet = ChapPacket::Response { id, value: &value, name: &self.login.name };
                self.answered.answer(ctx, Protocol::CHAP, information, |w| packet.emit(w));
                Ok(Progress::Continue)
            }
            ChapPacket::Success { id, .. } | ChapPacket::Failure { id, .. } if Some(id) != self.id => {
                Err(Drop::OutOfOrder)
            }
            ChapPacket::Success { message, .. } => Ok(judge_success(self.expected.as_deref(), message)),
            ChapPacket::Failure { message, .. } => Ok(Progress::Failed(refused(message), None)),
            ChapPacket::Response { .. } => Err(Drop::OutOfOrder),
        }
    }
}

/// A client's response to a challenge, and the proof that the server must then send.
///
/// # Errors
/// A challenge of the wrong length.
pub(super) fn respond(
    algorithm: ChapAlgorithm,
    id: u8,
    challenge: &[u8],
    login: &Login,
    entropy: &mut Entropy,
) -> Result<(Vec<u8>, Option<String>), wire::Error> {
    if algorithm == ChapAlgorithm::MD5 {
        return Ok((prf::hash(HashAlg::Md5, &[&[id], &login.password, challenge]).to_vec(), None));
    }
    let challenge: &[u8; 16] =
        challenge.try_into().map_err(|_| wire::Error::new("MS-CHAPv2 Challenge", Kind::BadLength))?;
    let password = String::from_utf8_lossy(&login.password);
    let nt_hash = mschap::nt_hash(&password);
    let peer_challenge = entropy.array();
    let nt_response = mschap::nt_response(challenge, &peer_challenge, &login.name, &nt_hash);
    let expected =
        mschap::authenticator_response(&nt_hash, &nt_response, &peer_challenge, challenge, &login.name);
    let mut w = Writer::new();
    MsChapV2Response::new(peer_challenge, nt_response).emit(&mut w);
    Ok((w.finish(), Some(expected)))
}

/// A client's view of a Success: with MS-CHAPv2, the server must prove that it knows the password, too.
pub(super) fn judge_success(expected: Option<&str>, message: &[u8]) -> Progress {
    match expected {
        Some(expected) if !message.starts_with(expected.as_bytes()) => {
            Progress::Failed(Cause::ServerNotTrusted, None)
        }
        _ => Progress::Done(None),
    }
}

/// A client's view of a Failure.
pub(super) fn refused(message: &[u8]) -> Cause {
    match MsChapV2Failure::parse(message) {
        Ok(failure) => Cause::RefusedByServer {
            error: Some(failure.error),
            message: printable(failure.message.as_bytes()),
        },
        Err(_) => Cause::RefusedByServer { error: None, message: printable(message) },
    }
}
