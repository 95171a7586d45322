//! EAP (RFC 3748) with two methods: MS-CHAPv2 and MD5. The server asks for the identity, then proposes its methods in
//! order; a Nak moves it to what the client names.
//!
//! ```text
//! server                         client
//! Request/Identity        ---->
//!                         <----  Response/Identity
//! Request/MSCHAPv2 Challenge ->
//!                         <----  Response/MSCHAPv2 Response     -> verdict
//! Request/MSCHAPv2 Success --->
//!                         <----  Response/MSCHAPv2 Success
//! Success                 ---->
//! ```

use super::chap::{failure_message, judge_success, read_response, refused, respond};
use super::{
    Answered, AuthMethod, AuthRequest, AuthVerdict, Login, Progress, Reply, count_send, ms_success_message,
};
use crate::entropy::Entropy;
use crate::packet::Drop;
use crate::ppp::cause::{AuthError, Cause};
use crate::ppp::negotiator::hash;
use crate::ppp::{Ctx, Timer};
use crate::wire::Writer;
use crate::wire::eap::{EapMd5, EapMsChapV2, EapPacket, EapType};
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::{AuthProtocol, ChapAlgorithm};

const fn type_of(method: AuthMethod) -> EapType {
    match method {
        AuthMethod::EapMd5 => EapType::MD5_CHALLENGE,
        _ => EapType::MS_CHAP_V2,
    }
}

/// Where the server's exchange is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Identity,
    Challenge,
    /// A verdict was asked for.
    Waiting,
    /// The MS-CHAPv2 Success message was sent.
    Success,
    /// The MS-CHAPv2 Failure message was sent.
    Failure(AuthError),
}

/// The side that lets in.
#[derive(Debug)]
pub(in crate::ppp) struct Server {
    /// Methods that were not refused; the first is the one in use.
    methods: Vec<AuthMethod>,
    offered: Vec<AuthMethod>,
    wanted: Vec<AuthProtocol>,
    name: Box<str>,
    entropy: Entropy,
    step: Step,
    id: u8,
    challenge: [u8; 16],
    identity: Vec<u8>,
    /// The request under way, for its repetition: type and data.
    request: (EapType, Vec<u8>),
    sends: u8,
    /// Hash of the response that waits for its verdict.
    trigger: u64,
}

impl Server {
    pub(super) fn new(methods: Vec<AuthMethod>, name: &str, mut entropy: Entropy) -> Self {
        let [id] = entropy.array();
        Self {
            methods,
            offered: Vec::new(),
            wanted: Vec::new(),
            name: name.into(),
            challenge: entropy.array(),
            entropy,
            step: Step::Identity,
            id,
            identity: Vec::new(),
            request: (EapType::IDENTITY, Vec::new()),
            sends: 0,
            trigger: 0,
        }
    }

    pub(super) const fn method(&self) -> AuthMethod {
        match self.methods.as_slice() {
            [AuthMethod::EapMd5, ..] => AuthMethod::EapMd5,
            _ => AuthMethod::EapMsChapV2,
        }
    }

    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.send(ctx, Step::Identity, EapType::IDENTITY, Vec::new());
    }

    /// Sends a new request.
    fn send(&mut self, ctx: &mut Ctx<'_>, step: Step, kind: EapType, data: Vec<u8>) {
        self.step = step;
        self.id = self.id.wrapping_add(1);
        self.request = (kind, data);
        self.sends = 0;
        self.handle_timeout(ctx);
    }

    /// Repeats the request: under the same identifier, so that the client answers with the same response
    /// (RFC 3748 section 4.1).
    pub(super) fn handle_timeout(&mut self, ctx: &mut Ctx<'_>) -> Progress {
        match self.step {
            // The client need not acknowledge its failure for long.
            Step::Failure(error) if self.sends >= 2 => return self.fail(ctx, error),
            _ if !count_send(ctx, &mut self.sends) => return Progress::Failed(Cause::AuthTimeout, None),
            _ => {}
        }
        let request = EapPacket::Request { id: self.id, kind: self.request.0, data: &self.request.1 };
        ctx.out.send(Protocol::EAP, |w| request.emit(w));
        Progress::Continue
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, information: &[u8]) -> Result<Progress, Drop> {
        let EapPacket::Response { id, kind, data } = EapPacket::parse(information)? else {
            return Err(Drop::OutOfOrder);
        };
        if id != self.id {
            return Err(Drop::OutOfOrder);
        }
        match self.step {
            Step::Waiting => Err(Drop::Repeated),
            Step::Identity if kind == EapType::IDENTITY => {
                self.identity = data.to_vec();
                Ok(self.propose(ctx))
            }
            Step::Identity => Err(Drop::OutOfOrder),
            Step::Challenge if kind == EapType::NAK => Ok(self.recv_nak(ctx, data)),
            Step::Challenge => self.recv_proof(ctx, kind, data, information),
            Step::Success => match (kind, EapMsChapV2::parse(data)?) {
                (EapType::MS_CHAP_V2, EapMsChapV2::SuccessAck) => {
                    let reply = self.reply(ctx, hash(information), EapPacket::Success { id });
                    Ok(Progress::Done(Some(reply)))
                }
                // The client has found our proof wanting.
                (EapType::MS_CHAP_V2, EapMsChapV2::FailureAck) => {
                    Ok(Progress::Failed(Cause::AuthRefused(AuthError::AuthenticationFailure), None))
                }
                _ => Err(Drop::OutOfOrder),
            },
            // Whatever it says, it has been told.
            Step::Failure(error) => Ok(self.fail(ctx, error)),
        }
    }

    /// Proposes the first method that is left.
    fn propose(&mut self, ctx: &mut Ctx<'_>) -> Progress {
        let Some(method) = self.methods.first().copied() else {
            self.reply(ctx, 0, EapPacket::Failure { id: self.id });
            let (offered, wanted) = (std::mem::take(&mut self.offered), std::mem::take(&mut self.wanted));
            return Progress::Failed(Cause::NoCommonAuth { offered, wanted }, None);
        };
        self.offered.push(method);
        self.challenge = self.entropy.array();
        let mut w = Writer::new();
        let (value, name) = (&self.challenge[..], self.name.as_bytes());
        match method {
            AuthMethod::EapMd5 => EapMd5 { value, name }.emit(&mut w),
            // The identifier inside is the one outside, as Windows has it.
            _ => EapMsChapV2::Challenge { id: self.id.wrapping_add(1), value, name }.emit(&mut w),
        }
        self.send(ctx, Step::Challenge, type_of(method), w.finish());
        Progress::Continue
    }

    /// The client names types that it would rather have.
    fn recv_nak(&mut self, ctx: &mut Ctx<'_>, types: &[u8]) -> Progress {
        if !self.methods.is_empty() {
            self.methods.remove(0);
        }
        for wanted in types.iter().take(8) {
            let named = AuthProtocol::Other(Protocol::EAP.0, Box::new([*wanted]));
            if *wanted != 0 && !self.wanted.contains(&named) {
                self.wanted.push(named);
            }
        }
        if let Some(at) = self.methods.iter().position(|method| types.contains(&type_of(*method).0)) {
            self.methods.swap(0, at);
        }
        self.propose(ctx)
    }

    fn recv_proof(
        &mut self,
        ctx: &mut Ctx<'_>,
        kind: EapType,
        data: &[u8],
        information: &[u8],
    ) -> Result<Progress, Drop> {
        let method = self.method();
        if kind != type_of(method) {
            return Err(Drop::OutOfOrder);
        }
        let (algorithm, value, name) = match method {
            AuthMethod::EapMd5 => {
                let response = EapMd5::parse(data)?;
                (ChapAlgorithm::MD5, response.value, response.name)
            }
            _ => match EapMsChapV2::parse(data)? {
                EapMsChapV2::Response { value, name, .. } => (ChapAlgorithm::MS_CHAP_V2, value, name),
                _ => return Err(Drop::OutOfOrder),
            },
        };
        let name = if name.is_empty() { self.identity.clone() } else { name.to_vec() };
        let proof = read_response(algorithm, self.id, &self.challenge, value, &name)?;
        self.step = Step::Waiting;
        self.trigger = hash(information);
        ctx.timers.stop(Timer::Auth);
        Ok(Progress::Ask(Box::new(AuthRequest { method, name, proof })))
    }

    pub(super) fn handle_verdict(&mut self, ctx: &mut Ctx<'_>, verdict: &AuthVerdict) -> Progress {
        if self.step != Step::Waiting {
            return Progress::Continue;
        }
        let error = match (verdict, self.method()) {
            (AuthVerdict::Admit { .. }, AuthMethod::EapMd5) => {
                let reply = self.reply(ctx, self.trigger, EapPacket::Success { id: self.id });
                return Progress::Done(Some(reply));
            }
            (AuthVerdict::Admit { success: Some(success), .. }, _) => {
                let message = ms_success_message(success);
                self.send_message(ctx, Step::Success, &message);
                return Progress::Continue;
            }
            (AuthVerdict::Admit { success: None, .. }, _) => AuthError::AuthenticationFailure,
            (AuthVerdict::Refuse { error }, _) => *error,
        };
        if self.method() == AuthMethod::EapMd5 {
            return self.fail(ctx, error);
        }
        let message = failure_message(error, &mut self.entropy);
        self.send_message(ctx, Step::Failure(error), &message);
        Progress::Continue
    }

    /// Sends the MS-CHAPv2 Success or Failure message under the identifier of its challenge.
    fn send_message(&mut self, ctx: &mut Ctx<'_>, step: Step, message: &str) {
        let (id, message) = (self.id, message.as_bytes());
        let mut w = Writer::new();
        match step {
            Step::Success => EapMsChapV2::Success { id, message }.emit(&mut w),
            _ => EapMsChapV2::Failure { id, message }.emit(&mut w),
        }
        self.send(ctx, step, EapType::MS_CHAP_V2, w.finish());
    }

    fn fail(&self, ctx: &mut Ctx<'_>, error: AuthError) -> Progress {
        let reply = self.reply(ctx, self.trigger, EapPacket::Failure { id: self.id });
        Progress::Failed(Cause::AuthRefused(error), Some(reply))
    }

    fn reply(&self, ctx: &mut Ctx<'_>, trigger: u64, packet: EapPacket<'_>) -> Box<Reply> {
        let reply = Reply::new(Protocol::EAP, trigger, |w| packet.emit(w));
        reply.send(ctx);
        reply
    }
}

/// The side that wants in.
#[derive(Debug)]
pub(in crate::ppp) struct Client {
    login: Login,
    methods: Vec<AuthMethod>,
    method: AuthMethod,
    entropy: Entropy,
    expected: Option<String>,
    answered: Answered,
    failed: Option<Cause>,
    trusted: bool,
}

impl Client {
    pub(super) fn new(login: Login, methods: &[AuthMethod], entropy: Entropy) -> Self {
        let methods: Vec<_> = methods.iter().copied().filter(|m| m.protocol() == AuthProtocol::Eap).collect();
        let method = methods.first().copied().unwrap_or(AuthMethod::EapMsChapV2);
        Self {
            login,
            methods,
            method,
            entropy,
            expected: None,
            answered: Answered::default(),
            failed: None,
            trusted: false,
        }
    }

    pub(super) const fn method(&self) -> AuthMethod {
        self.method
    }

    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, information: &[u8]) -> Result<Progress, Drop> {
        match EapPacket::parse(information)? {
            EapPacket::Request { id, kind, data } => {
                if let Some(drop) = self.answered.again(ctx, Protocol::EAP, information) {
                    return Err(drop);
                }
                let (kind, data) = self.answer(id, kind, data)?;
                let response = EapPacket::Response { id, kind, data: &data };
                self.answered.answer(ctx, Protocol::EAP, information, |w| response.emit(w));
                Ok(Progress::Continue)
            }
            EapPacket::Success { .. } if self.method == AuthMethod::EapMd5 || self.trusted => {
                Ok(Progress::Done(None))
            }
            EapPacket::Success { .. } => Ok(Progress::Failed(Cause::ServerNotTrusted, None)),
            EapPacket::Failure { .. } => {
                let plain = Cause::RefusedByServer { error: None, message: String::new() };
                Ok(Progress::Failed(self.failed.take().unwrap_or(plain), None))
            }
            EapPacket::Response { .. } => Err(Drop::OutOfOrder),
        }
    }

    /// The response to a request: type and data.
    fn answer(&mut self, id: u8, kind: EapType, data: &[u8]) -> Result<(EapType, Vec<u8>), Drop> {
        let knows = |method| self.methods.contains(&method);
        let mut w = Writer::new();
        match kind {
            EapType::IDENTITY => return Ok((kind, self.login.name.clone())),
            EapType::NOTIFICATION => return Ok((kind, Vec::new())),
            EapType::MD5_CHALLENGE if knows(AuthMethod::EapMd5) => {
                self.method = AuthMethod::EapMd5;
                let challenge = EapMd5::parse(data)?.value;
                let (value, _) = respond(ChapAlgorithm::MD5, id, challenge, &self.login, &mut self.entropy)?;
                EapMd5 { value: &value, name: &self.login.name }.emit(&mut w);
            }
            EapType::MS_CHAP_V2 if knows(AuthMethod::EapMsChapV2) => {
                self.method = AuthMethod::EapMsChapV2;
                self.answer_ms_chap_v2(EapMsChapV2::parse(data)?, &mut w)?;
            }
            _ => {
                // "0 means no alternatives" (section 5.3.1).
                let mut types: Vec<u8> = self.methods.iter().map(|method| type_of(*method).0).collect();
                if types.is_empty() {
                    types.push(0);
                }
                return Ok((EapType::NAK, types));
            }
        }
        Ok((kind, w.finish()))
    }

    fn answer_ms_chap_v2(&mut self, request: EapMsChapV2<'_>, w: &mut Writer) -> Result<(), Drop> {
        match request {
            EapMsChapV2::Challenge { id, value, .. } => {
                let (value, expected) =
                    respond(ChapAlgorithm::MS_CHAP_V2, id, value, &self.login, &mut self.entropy)?;
                self.expected = expected;
                EapMsChapV2::Response { id, value: &value, name: &self.login.name }.emit(w);
            }
            EapMsChapV2::Success { message, .. } => match judge_success(self.expected.as_deref(), message) {
                Progress::Done(_) if self.expected.is_some() => {
                    self.trusted = true;
                    EapMsChapV2::SuccessAck.emit(w);
                }
                _ => {
                    self.failed = Some(Cause::ServerNotTrusted);
                    EapMsChapV2::FailureAck.emit(w);
                }
            },
            EapMsChapV2::Failure { message, .. } => {
                self.failed = Some(refused(message));
                EapMsChapV2::FailureAck.emit(w);
            }
            EapMsChapV2::Response { .. } | EapMsChapV2::SuccessAck | EapMsChapV2::FailureAck => {
                return Err(Drop::OutOfOrder);
            }
        }
        Ok(())
    }
}
