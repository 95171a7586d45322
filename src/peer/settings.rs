//! What the owner of the gateway wants of its peers, in the layers' own terms.

use crate::ike::ClientHint;
use crate::{esp, ike, l2tp, ppp};
use std::sync::Arc;
use std::time::Duration;

/// Settings of a worker and its peers.
#[derive(Clone)]
pub struct Settings {
    /// Phase 1 and 2.
    pub ike: ike::Settings,
    /// Tunnels.
    pub l2tp: Arc<l2tp::Settings>,
    /// Links.
    pub ppp: Arc<ppp::Settings>,
    /// What is different for a kind of client. (What concerns IKE alone is in its own settings.)
    pub habits: Vec<(ClientHint, Habits)>,
    /// Security associations.
    pub esp: esp::Settings,
    /// How long a connected device may be silent.
    pub dead_after: Duration,
    /// After how much silence we ask for a sign of life.
    pub probe_after: Duration,
    /// Half-open exchanges in all, per worker.
    pub half_open_total: usize,
    /// Half-open exchanges from one source address.
    pub half_open_per_source: usize,
    /// Whether clear-text L2TP is served at all.
    pub raw_l2tp: bool,
}

/// How a kind of client is treated above IKE.
#[derive(Clone)]
pub struct Habits {
    /// Its links: the order of authentication is its own.
    pub ppp: Arc<ppp::Settings>,
    /// Who renews its ESP SAs.
    pub renewal: esp::Renewal,
    /// After how long without a packet to it a NAT keepalive is sent, where ESP travels in UDP. Clients send their own; a
    /// NAT that forgets a client all the same may be kept awake from this side.
    pub keepalive: Option<Duration>,
}

impl Settings {
    /// How a kind of client is treated; one that speaks in the clear has no kind.
    #[must_use]
    pub fn habits(&self, hint: Option<ClientHint>) -> Habits {
        let known = self.habits.iter().find(|(kind, _)| Some(*kind) == hint);
        known.map_or_else(
            || Habits { ppp: self.ppp.clone(), renewal: esp::Renewal::default(), keepalive: None },
            |(_, habits)| habits.clone(),
        )
    }
}
