//! Connection stories: every connection attempt, good or bad, becomes one record that says who came, how far it got,
//! and why it ended. This module is the vocabulary; `worker` fills the records, `gatehouse` keeps them.

mod cause;
mod japanese;
mod lang;
mod shown;
mod telling;

pub use cause::{Cause, Fault};
pub use lang::Lang;
pub use shown::{Screen, Shown};
pub use telling::{State, Story, Telling, span, utc};

use crate::packet::{Path, WorkerId};
use smol_str::{SmolStr, ToSmolStr};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names an attempt as long as the gateway runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct AttemptId(u64);

impl AttemptId {
    /// The `number`th attempt of a worker.
    #[must_use]
    pub const fn new(worker: WorkerId, number: u64) -> Self {
        Self((worker.0 as u64) << 56 | number & (u64::MAX >> 8))
    }
}

/// How far an attempt has come. Ordered: a later stage is greater.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// A first IKE message came; keys are being agreed.
    Ike,
    /// Phase 1 is up: the client has the right pre-shared key.
    IkeUp,
    /// ESP SAs are up, nothing has come through them yet.
    IpsecUp,
    /// An L2TP control connection is being set up or is up.
    L2tp,
    /// PPP negotiates its link (LCP).
    Lcp,
    /// The user's name and password are being checked.
    Authentication,
    /// An address is being found and handed out.
    Address,
    /// The link is up; no packet has come from the client yet.
    LinkUp,
    /// The client's traffic flows.
    Traffic,
}

impl Stage {
    /// The stable name, for logs and programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Ike => "ike",
            Self::IkeUp => "ike_up",
            Self::IpsecUp => "ipsec_up",
            Self::L2tp => "l2tp",
            Self::Lcp => "lcp",
            Self::Authentication => "authentication",
            Self::Address => "address",
            Self::LinkUp => "link_up",
            Self::Traffic => "traffic",
        }
    }

    /// All stages in order.
    pub const ALL: [Self; 9] = [
        Self::Ike,
        Self::IkeUp,
        Self::IpsecUp,
        Self::L2tp,
        Self::Lcp,
        Self::Authentication,
        Self::Address,
        Self::LinkUp,
        Self::Traffic,
    ];
}

/// One connection attempt while it runs. Small: an idle session keeps one, and the gatehouse a copy that shares the
/// strings.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Its name.
    pub id: AttemptId,
    /// When the first packet came (monotonic).
    pub started: Instant,
    /// When the first packet came (seconds since 1970), for people.
    pub started_unix: u64,
    /// Where it came from.
    pub path: Path,
    /// The furthest stage.
    stage: Stage,
    /// Milliseconds from the start at which each stage was reached; `u32::MAX` where it was not.
    reached: [u32; Stage::ALL.len()],
    /// Our best guess of why it does not go on, while it does not.
    suspected: Option<Cause>,
    /// Different proofs of a key that were wrong.
    pub guesses: u16,
    /// There is a NAT, so that what the client says next comes on port 4500, if it comes.
    pub floats: bool,
    /// What the gatehouse has been told last: where the client is, how far it got, what is suspected, whether it floats.
    told: Option<(Path, Stage, Option<Cause>, bool)>,
    /// The rest, which most of a session's life nobody looks at.
    detail: Arc<Detail>,
}

/// What was learned about an attempt on the way, in words for people.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct Detail {
    /// The kind of client, by its vendor IDs and habits.
    #[serde(default)]
    pub client: SmolStr,
    /// What the client offered, where that matters for the cause.
    #[serde(default)]
    pub offered: SmolStr,
    /// The Phase 1 suite in force.
    #[serde(default)]
    pub ike: SmolStr,
    /// The ESP suite in force.
    #[serde(default)]
    pub esp: SmolStr,
    /// How strong the two are together.
    #[serde(default, skip_serializing_if = "Protection::is_unknown")]
    pub protection: Protection,
    /// What stands between the client and us.
    #[serde(default)]
    pub nat: SmolStr,
    /// The client's Phase 1 identity.
    #[serde(default)]
    pub identity: SmolStr,
    /// The L2TP host name.
    #[serde(default)]
    pub host_name: SmolStr,
    /// The name as it was typed.
    #[serde(default)]
    pub name: SmolStr,
    /// The user that the name was read as.
    #[serde(default)]
    pub user: SmolStr,
    /// The hub that the name was read as.
    #[serde(default)]
    pub hub: SmolStr,
    /// The rule by which the name was read.
    #[serde(default)]
    pub rule: SmolStr,
    /// How the user proved who they are.
    #[serde(default)]
    pub auth: SmolStr,
    /// The address inside the hub.
    #[serde(default)]
    pub address: SmolStr,
    /// More about the cause: codes that the client sent, values that did not fit.
    #[serde(default)]
    pub note: SmolStr,
}

/// What was negotiated, and how strong it is.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct Protection {
    /// Phase 1: IKE.
    pub phase1: Algorithms,
    /// Phase 2: ESP. Its keys come from Phase 1, so it is no stronger, unless it has a key agreement of its own (PFS).
    pub phase2: Algorithms,
    /// The weaker of the two: `broken`, `weak`, `acceptable`, `strong`.
    pub strength: SmolStr,
    /// Work to read the traffic, as a power of two.
    pub bits: u16,
}

impl Protection {
    /// Whether nothing was negotiated.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}

/// The algorithms of one phase.
#[derive(Clone, PartialEq, Eq, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct Algorithms {
    /// The cipher.
    pub cipher: SmolStr,
    /// The hash, or what proves that a packet is authentic.
    pub hash: SmolStr,
    /// The group of the key agreement; empty where there is none.
    pub group: SmolStr,
    /// `broken`, `weak`, `acceptable`, `strong`.
    pub strength: SmolStr,
    /// Work to break it, as a power of two.
    pub bits: u16,
}

impl std::fmt::Display for Algorithms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (n, name) in
            [&self.cipher, &self.hash, &self.group].into_iter().filter(|s| !s.is_empty()).enumerate()
        {
            write!(f, "{}{name}", if n == 0 { "" } else { ", " })?;
        }
        write!(f, ": {} ({} bits)", self.strength, self.bits)
    }
}

impl Attempt {
    /// An attempt begins with the first packet.
    #[must_use]
    pub fn new(id: AttemptId, now: Instant, unix: u64, path: Path) -> Self {
        let mut reached = [u32::MAX; Stage::ALL.len()];
        reached[0] = 0;
        Self {
            id,
            started: now,
            started_unix: unix,
            path,
            stage: Stage::Ike,
            reached,
            suspected: None,
            guesses: 0,
            floats: false,
            told: None,
            detail: Arc::default(),
        }
    }

    /// Notes that a stage was reached. Going back (a new session in an old tunnel) does not undo progress.
    pub fn reach(&mut self, now: Instant, stage: Stage) {
        let slot = &mut self.reached[stage as usize];
        if *slot == u32::MAX {
            let millis = now.saturating_duration_since(self.started).as_millis();
            *slot = u32::try_from(millis).unwrap_or(u32::MAX - 1);
        }
        if stage > self.stage {
            self.stage = stage;
            // Traffic on a link says nothing about packets longer than its own.
            self.suspected.take_if(|cause| *cause != Cause::MtuBlackHole);
        }
    }

    /// The furthest stage.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// When a stage was reached, from the start.
    #[must_use]
    pub fn reached(&self, stage: Stage) -> Option<Duration> {
        let millis = self.reached[stage as usize];
        (millis != u32::MAX).then(|| Duration::from_millis(millis.into()))
    }

    /// Notes why the attempt does not go on, as far as we know now. The first suspicion at a stage stays: what
    /// follows is usually its consequence.
    pub fn suspect(&mut self, cause: Cause) {
        self.suspected.get_or_insert(cause);
    }

    /// Something that looked like the end was none.
    pub fn absolve(&mut self, cause: Cause) {
        self.suspected.take_if(|suspected| *suspected == cause);
    }

    /// The present suspicion.
    #[must_use]
    pub fn suspected(&self) -> Option<Cause> {
        self.suspected
    }

    /// What was learned.
    #[must_use]
    pub fn detail(&self) -> &Detail {
        &self.detail
    }

    /// What was learned, to add to it.
    pub fn detail_mut(&mut self) -> &mut Detail {
        Arc::make_mut(&mut self.detail)
    }

    /// A copy for whoever follows the attempt, if there is something new since the last one: another stage, another
    /// suspicion, another place.
    pub fn news(&mut self) -> Option<Box<Self>> {
        let news = Some((self.path, self.stage, self.suspected, self.floats));
        (std::mem::replace(&mut self.told, news) != news).then(|| Box::new(self.clone()))
    }

    /// Whether [`Self::news`] has given a copy.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.told.is_some()
    }

    /// How long nothing has been reached. Time that a link that is up spends idle does not count.
    #[must_use]
    pub fn stuck_for(&self, now: Instant) -> Duration {
        if self.stage >= Stage::LinkUp {
            return Duration::ZERO;
        }
        let reached = self.started + self.reached(self.stage).unwrap_or_default();
        now.saturating_duration_since(reached)
    }

    /// The record of this attempt at its end (or, with a suspicion, while it runs).
    #[must_use]
    pub fn record(&self, now: Instant, cause: Cause) -> Record {
        let remote = self.path.remote;
        Record {
            attempt: self.id,
            source: Some(remote.ip()),
            guesses: self.guesses,
            started: self.started_unix,
            seconds: now.saturating_duration_since(self.started).as_secs_f64(),
            // Plain ESP has no ports.
            from: if remote.port() == 0 { remote.ip().to_smolstr() } else { remote.to_smolstr() },
            to: self.path.local.ip().to_smolstr(),
            stage: SmolStr::new_static(self.stage.key()),
            stages: Stage::ALL
                .iter()
                .filter_map(|stage| {
                    Some((SmolStr::new_static(stage.key()), self.reached(*stage)?.as_secs_f64()))
                })
                .collect(),
            cause,
            detail: Detail::clone(&self.detail),
        }
    }

    /// The cause to record when the attempt ends by silence at its present stage.
    #[must_use]
    pub fn cause_of_silence(&self) -> Cause {
        if let Some(cause) = self.suspected {
            return cause;
        }
        match self.stage {
            Stage::Ike if self.floats => Cause::NoNatT,
            Stage::Ike => Cause::IkeUnfinished,
            Stage::IkeUp => Cause::NoQuickMode,
            Stage::IpsecUp => Cause::NoL2tp,
            Stage::L2tp => Cause::L2tpUnfinished,
            Stage::Lcp | Stage::Authentication | Stage::Address => Cause::PppUnfinished,
            Stage::LinkUp | Stage::Traffic => Cause::LinkLost,
        }
    }
}

/// A finished attempt.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Which attempt, in the run that made the record.
    #[serde(skip)]
    pub attempt: AttemptId,
    /// The client's address, in the run that made the record.
    #[serde(skip)]
    pub source: Option<IpAddr>,
    /// Different proofs of a pre-shared key that were wrong.
    #[serde(skip)]
    pub guesses: u16,
    /// Seconds since 1970 at the first packet.
    pub started: u64,
    /// How long it lasted.
    pub seconds: f64,
    /// The client's address and port as we saw them.
    pub from: SmolStr,
    /// The address of ours that it came to.
    pub to: SmolStr,
    /// The furthest stage.
    pub stage: SmolStr,
    /// Each stage reached, with its time in seconds from the start.
    pub stages: Vec<(SmolStr, f64)>,
    /// Why it ended.
    pub cause: Cause,
    /// What was learned on the way.
    #[serde(flatten)]
    pub detail: Detail,
}
