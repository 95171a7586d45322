//! PAP (RFC 1334 section 2): the client repeats its request until it is answered.

use super::{AuthMethod, AuthRequest, AuthVerdict, Login, Progress, Reply, count_send};
use crate::crypto::Secret;
use crate::identity::account::Proof;
use crate::packet::Drop;
use crate::ppp::cause::{Cause, printable};
use crate::ppp::negotiator::hash;
use crate::ppp::{Ctx, Timer};
use crate::wire::pap::PapPacket;
use crate::wire::ppp::Protocol;

/// The side that lets in.
#[derive(Debug, Default)]
pub(in crate::ppp) struct Server {
    /// The request that waits for its verdict: identifier and hash.
    waiting: Option<(u8, u64)>,
}

impl Server {
    pub(super) fn handle(&mut self, ctx: &mut Ctx<'_>, information: &[u8]) -> Result<Progress, Drop> {
        let PapPacket::Request { id, name, password } = PapPacket::parse(information)? else {
            return Err(Drop::OutOfOrder);
        };
        if let Some((waiting, trigger)) = &mut self.waiting {
            // pppd repeats under a new identifier: the answer must carry the latest.
            (*waiting, *trigger) = (id, hash(information));
            return Err(Drop::Repeated);
        }
        self.waiting = Some((id, hash(information)));
        ctx.timers.stop(Timer::Auth);
        Ok(Progress::Ask(Box::new(AuthRequest {
            method: AuthMethod::Pap,
            name: name.to_vec(),
            proof: Proof::Pap { password: Secret::from(password) },
        })))
    }

    pub(super) fn handle_verdict(&mut self, ctx: &mut Ctx<'_>, verdict: &AuthVerdict) -> Progress {
        let Some((id, trigger)) = self.waiting.take() else { return Progress::Continue };
        let packet = match verdict {
            AuthVerdict::Admit { .. } => PapPacket::Ack { id, message: b"Welcome" },
            AuthVerdict::Refuse { error } => PapPacket::Nak { id, message: error.text().as_bytes() },
        };
        let reply = Reply::new(Protocol::PAP, trigger, |w| packet.emit(w));
        reply.send(ctx);
        match verdict {
            AuthVerdict::Admit { .. } => Progress::Done(Some(reply)),
            AuthVerdict::Refuse { error } => Progress::Failed(Cause::AuthRefused(*error), Some(reply)),
        }
    }
}

/// The side that wants in.
#[derive(Debug)]
pub(in crate::ppp) struct Client {
    login: Login,
    sends: u8,
}

impl Client {
    pub(super) const fn new(login: Login) -> Self {
        Self { login, sends: 0 }
    }

    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>) {
        self.handle_timeout(ctx);
    }

    pub(super) fn handle_timeout(&mut self, ctx: &mut Ctx<'_>) -> Progress {
        if !count_send(ctx, &mut self.sends) {
            return Progress::Failed(Cause::AuthTimeout, None);
        }
        let request =
            PapPacket::Request { id: self.sends, name: &self.login.name, password: &self.login.password };
        ctx.out.send(Protocol::PAP, |w| request.emit(w));
        Progress::Continue
    }

    pub(super) fn handle(&mut self, information: &[u8]) -> Result<Progress, Drop> {
        match PapPacket::parse(information)? {
            PapPacket::Ack { .. } => Ok(Progress::Done(None)),
            PapPacket::Nak { message, .. } => {
                let cause = Cause::RefusedByServer { error: None, message: printable(message) };
                Ok(Progress::Failed(cause, None))
            }
            PapPacket::Request { .. } => Err(Drop::OutOfOrder),
        }
    }
}
