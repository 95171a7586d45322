//! Who may come in: the name is read, the account found, the proof checked, the rules applied. Whatever the reason for a
//! refusal, the client learns no more than its error number says; the story keeps the rest.

use super::session::Newcomer;
use super::{Gatehouse, Session};
use crate::config::{self, Config, Denied};
use crate::identity::account::{Account, Rejected, verify};
use crate::identity::{self, HubNames, Parsed};
use crate::peer::{Answer, Authenticate, LinkKey, Reading};
use crate::ppp::{AuthError, AuthVerdict};
use crate::story::Cause;
use crate::worker::Clock;
use smol_str::{ToSmolStr, format_smolstr};
use std::time::Duration;

/// A session that was heard this recently is alive: a device of the same kind and host name is then another one.
const ALIVE: Duration = Duration::from_secs(20);

pub(super) struct Names<'a>(pub(super) &'a Config);

impl HubNames for Names<'_> {
    fn find(&self, name: &str) -> Option<&str> {
        self.0.hub(name).map(|hub| hub.name.as_str())
    }
}

/// Reads a name as it was typed.
pub(super) fn read(config: &Config, name: &[u8]) -> Parsed {
    identity::parse(name, &Names(config), config.default_hub().map(|hub| hub.name.as_str()))
}

pub(super) fn reading(parsed: &Parsed) -> Reading {
    Reading {
        user: parsed.user.as_str().into(),
        hub: parsed.hub.as_deref().unwrap_or_default().into(),
        rule: parsed.rule.to_smolstr(),
    }
}

impl Gatehouse {
    /// Judges a name and a proof.
    pub(super) fn authenticate(&mut self, clock: Clock, ask: Authenticate, answers: &mut Vec<Answer>) {
        let config = self.config.clone();
        let parsed = read(&config, &ask.name);
        let link = ask.link;
        let reading = reading(&parsed);
        let judged = self
            .judge(clock.unix, &config, &parsed, &ask)
            .and_then(|newcomer| self.has_volume(clock, newcomer))
            .and_then(|newcomer| self.make_room(clock, newcomer, answers));
        let mut dead_after = None;
        let (verdict, cause) = match judged {
            Ok((session, success)) => {
                dead_after = Some(session.terms.dead_after);
                let gateway = config.hub(session.who.hub()).map(|hub| hub.gateway);
                tracing::info!(peer = %ask.path, user = session.who.user(), hub = session.who.hub(),
                    rule = %reading.rule, step = "authenticated", "user authenticated");
                self.sessions.insert(session);
                self.count_right(clock, &parsed, &ask);
                self.look_later(clock, link);
                (AuthVerdict::Admit { success, gateway }, None)
            }
            Err(cause) => {
                tracing::info!(peer = %ask.path, name = %String::from_utf8_lossy(&ask.name), user = %reading.user,
                    hub = %reading.hub, cause = cause.key(), step = "refused", "user refused");
                self.count_wrong(clock, cause, &parsed, &ask);
                (AuthVerdict::Refuse { error: error_of(cause) }, Some(cause))
            }
        };
        answers.push(Answer::Verdict { link, verdict, reading, cause, dead_after });
    }

    /// Finds the account and checks the proof. The same work is done whether the user exists or not.
    fn judge(
        &self,
        unix: u64,
        config: &Config,
        parsed: &Parsed,
        ask: &Authenticate,
    ) -> Result<Newcomer, Cause> {
        let hub = parsed.hub.as_deref().and_then(|name| self.hub_named(name).zip(config.hub(name)));
        let user = hub.and_then(|(_, hub)| hub.user(&parsed.user));
        let account = hub.zip(user).map(|((_, hub), user)| Account {
            user: &user.name,
            hub: &hub.name,
            credential: &user.credential,
        });
        let accepted = verify(account, &ask.proof);
        let (Some(hub), Some(user)) = (hub, user) else {
            return Err(match (&parsed.would_be_hub, hub) {
                (Some(_), _) => Cause::UnknownHub,
                (None, None) => Cause::NoHubNamed,
                (None, Some(_)) => Cause::UnknownUser,
            });
        };
        let accepted = accepted.map_err(|rejected| match rejected {
            Rejected::WrongPassword => Cause::WrongPassword,
            Rejected::UnknownUser => Cause::UnknownUser,
            Rejected::NeedsPassword => Cause::NoCommonAuth,
        })?;
        if ask.psk_hub.as_deref().is_some_and(|own| !identity::same_name(own, accepted.who.hub())) {
            return Err(Cause::PskOfOtherHub);
        }
        // Whoever has the password may hear what is the matter with the account.
        if user.disabled {
            return Err(Cause::UserDisabled);
        }
        user.terms.admit(unix).map_err(cause_of_denial)?;
        if ask.raw && !user.terms.allow_raw_l2tp {
            return Err(Cause::RawL2tpRefused);
        }
        Ok(Newcomer {
            link: ask.link,
            who: accepted.who,
            success: accepted.ms_success,
            hub: hub.0,
            fixed: user.address,
            terms: user.terms.clone(),
            device: ask.device.clone(),
            identity: ask.identity.clone(),
            path: ask.path,
            meter: ask.meter.clone(),
            psk: ask.psk,
            attempt: ask.attempt,
        })
    }

    /// Keeps out whoever has used the month's volume up.
    fn has_volume(&mut self, clock: Clock, newcomer: Newcomer) -> Result<Newcomer, Cause> {
        // Sessions that are up have not been charged for their last seconds yet.
        let up: Vec<LinkKey> =
            self.sessions.of_user(newcomer.hub, newcomer.who.user()).map(|session| session.link).collect();
        for link in up {
            self.count_volume(clock, link);
        }
        let (hub, user) = (newcomer.who.hub(), newcomer.who.user());
        if self.is_used_up(clock, hub, user, &newcomer.terms) { Err(Cause::VolumeUsed) } else { Ok(newcomer) }
    }

    /// Makes room for a session: the same device's old one goes, and the user's limit is kept.
    fn make_room(
        &mut self,
        clock: Clock,
        newcomer: Newcomer,
        answers: &mut Vec<Answer>,
    ) -> Result<(Session, Option<String>), Cause> {
        // The same link authenticates anew: its old place goes back, and nobody is told.
        self.leave(clock, newcomer.link);
        // The oldest first.
        let mine: Vec<LinkKey> =
            self.sessions.of_user(newcomer.hub, newcomer.who.user()).map(|session| session.link).collect();
        let millis = clock.now.saturating_duration_since(self.began).as_millis() as u64;
        let mut device = newcomer.device.clone();
        let mut twin = 1;
        let mut same = None;
        for link in &mine {
            let Some(session) = self.sessions.get(*link) else { continue };
            if session.device != device {
                continue;
            }
            let here = session.identity == newcomer.identity
                && session.path.remote.ip() == newcomer.path.remote.ip();
            let silent = millis.saturating_sub(session.meter.last_heard()) > ALIVE.as_millis() as u64;
            if here || silent {
                same = Some(*link);
                break;
            }
            twin += 1;
            device = format_smolstr!("{} #{twin}", newcomer.device);
        }
        if let Some(link) = same {
            self.evict(clock, link, Cause::ReplacedBySameDevice, answers);
        }
        let others = mine.len() - usize::from(same.is_some());
        if newcomer.terms.max_sessions.is_some_and(|max| others >= max as usize) {
            match newcomer.terms.on_limit {
                config::OnLimit::ReplaceOldest => {
                    let oldest = mine.iter().find(|link| Some(**link) != same);
                    if let Some(link) = oldest.copied() {
                        self.evict(clock, link, Cause::ReplacedByNewest, answers);
                    }
                }
                config::OnLimit::ReplaceSameDevice | config::OnLimit::Deny => {
                    return Err(Cause::SessionLimit);
                }
            }
        }
        let of_hub = self.hub_config(newcomer.hub).map(|hub| config::Limit::of(Some(hub.limits.sessions)));
        let hub_is_full =
            of_hub.flatten().is_some_and(|most| self.sessions.count_in(newcomer.hub) >= most as usize);
        if hub_is_full || self.sessions.len() >= self.config.limits.sessions as usize {
            return Err(Cause::SessionLimit);
        }
        let success = newcomer.success.clone();
        Ok((Session::new(clock, device, newcomer), success))
    }
}

/// Why the rules for a user keep the user out, in the story's words.
pub(super) fn cause_of_denial(denied: Denied) -> Cause {
    match denied {
        Denied::Access => Cause::AccessDenied,
        Denied::Expired => Cause::AccountExpired,
        Denied::Hours => Cause::OutOfHours,
    }
}

/// The error number that the client shows for a cause.
fn error_of(cause: Cause) -> AuthError {
    match cause {
        Cause::OutOfHours => AuthError::RestrictedLogonHours,
        Cause::UserDisabled | Cause::AccountExpired => AuthError::AccountDisabled,
        Cause::AccessDenied | Cause::SessionLimit | Cause::VolumeUsed | Cause::RawL2tpRefused => {
            AuthError::NoDialinPermission
        }
        _ => AuthError::AuthenticationFailure,
    }
}
