//! A gatehouse for tests: users come in and go without workers and packets.

use super::{Gatehouse, Output};
use crate::config::{Config, FileFacts, load};
use crate::crypto::Secret;
use crate::entropy::Entropy;
use crate::hub::PortId;
use crate::identity::account::Proof;
use crate::l2tp::SessionKey;
use crate::packet::{Encap, Path, WorkerId};
use crate::peer::{Answer, Ask, Authenticate, LinkKey, Meter, PeerKey, PskId};
use crate::story::{Attempt, AttemptId, Cause, Stage};
use crate::wire::l2tp::{SessionId, TunnelId};
use crate::worker::Clock;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The checked configuration of a text.
pub(crate) fn config(text: &str) -> Config {
    let facts = FileFacts { name: "test.yaml".into(), mode: Some(0o600), now: 1_794_000_000 };
    load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config
}

pub(crate) struct Fixture {
    pub(crate) gatehouse: Gatehouse,
    pub(crate) clock: Clock,
    links: u32,
}

impl Fixture {
    #[allow(clippy::disallowed_methods, reason = "any instant will do as an origin")]
    pub(crate) fn new(mut config: Config) -> Self {
        // Everybody comes from one address, and many are strangers.
        config.penalties.slow_after = u32::MAX;
        config.penalties.bar_after = None;
        let clock = Clock { now: Instant::now(), unix: 1_794_000_000 };
        let gatehouse = Gatehouse::new(clock, Arc::new(config), Vec::new(), &mut Entropy::from_number(1));
        Self { gatehouse, clock, links: 0 }
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.clock.now += Duration::from_secs(seconds);
        self.clock.unix += seconds;
    }

    pub(crate) fn attempt(&mut self, from: &str) -> Attempt {
        self.links += 1;
        let path = Path {
            encap: Encap::NatT,
            local: "192.0.2.1:4500".parse().unwrap(),
            remote: from.parse().unwrap(),
        };
        let id = AttemptId::new(WorkerId(0), u64::from(self.links));
        let mut attempt = Attempt::new(id, self.clock.now, self.clock.unix, path);
        attempt.detail_mut().client = "Windows 10 or 11".into();
        attempt
    }

    pub(crate) fn ask(&mut self, ask: Ask) -> Vec<Answer> {
        let mut out = Output::default();
        self.gatehouse.handle_ask(self.clock, ask, &mut out);
        out.answers
    }

    /// A user comes in from an address, or not.
    pub(crate) fn connect(&mut self, name: &str, password: &str, from: &str) -> (LinkKey, Option<Cause>) {
        self.connect_with(name, password, from, PskId(0))
    }

    /// A user comes in with a pre-shared key, or not.
    pub(crate) fn connect_with(
        &mut self,
        name: &str,
        password: &str,
        from: &str,
        psk: PskId,
    ) -> (LinkKey, Option<Cause>) {
        let mut attempt = self.attempt(from);
        attempt.reach(self.clock.now, Stage::Authentication);
        let number = self.links;
        let link = LinkKey {
            worker: WorkerId(0),
            peer: PeerKey { index: number, generation: 1 },
            session: SessionKey { tunnel: TunnelId(1), session: SessionId(1) },
        };
        let config = self.gatehouse.config().clone();
        let key = config.ipsec.psks.iter().find(|key| key.id == psk.0);
        let psk_hub = key.and_then(|key| key.hub).map(|hub| config.hubs[hub].name.clone());
        let mut answers = self.ask(Ask::Authenticate(Box::new(Authenticate {
            link,
            name: name.as_bytes().to_vec(),
            proof: Proof::Pap { password: Secret::from(password) },
            path: attempt.path,
            device: smol_str::format_smolstr!("Windows/PC{number}"),
            identity: smol_str::format_smolstr!("192.168.0.{}", number % 250),
            psk_hub,
            psk: Some(psk),
            attempt: attempt.id,
            raw: false,
            meter: Arc::new(Meter::default()),
        })));
        let Some(Answer::Verdict { reading, cause, .. }) = answers.pop() else { panic!("no verdict") };
        let detail = attempt.detail_mut();
        detail.name = name.into();
        (detail.user, detail.hub, detail.rule) = (reading.user, reading.hub, reading.rule);
        if let Some(cause) = cause {
            let record = attempt.record(self.clock.now, cause);
            self.ask(Ask::Ended(Box::new(record)));
            return (link, Some(cause));
        }
        let port = PortId::new(WorkerId(0), number);
        match self.ask(Ask::Join { link, port, asked: None }).as_slice() {
            [Answer::Joined { .. }] => {}
            [Answer::NoPlace { cause, .. }] => {
                let cause = *cause;
                self.ask(Ask::Leave { link, cause });
                return (link, Some(cause));
            }
            other => panic!("{other:?}"),
        }
        attempt.reach(self.clock.now, Stage::LinkUp);
        self.ask(Ask::Running(Box::new(attempt)));
        (link, None)
    }
}
