//! What the owner of the gateway wants of its peers, in the layers' own terms.

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
