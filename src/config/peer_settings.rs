//! The configuration in the terms of the layers below.

use super::{AuthProtocol, Config, Policy};
use crate::ppp::AuthMethod;
use crate::{esp, ike, l2tp, peer, ppp};
use std::sync::Arc;
use std::time::Duration;

/// After how much silence a device is asked for a sign of life. Phones sleep longer between two packets of their own;
/// asking more often would empty their batteries.
const PROBE_AFTER: Duration = Duration::from_secs(60);

impl Config {
    /// What workers and their peers read. `force_udp` when plain ESP cannot be received.
    #[must_use]
    pub fn peer_settings(&self, force_udp: bool) -> peer::Settings {
        // One patience for all: the layers watch the device, and it has no user yet when they begin.
        let dead_after = self.hubs.iter().flat_map(|hub| &hub.users).map(|user| user.dead_after).max();
        let dead_after = dead_after.unwrap_or(Duration::from_secs(300));
        let workers = usize::from(self.workers.max(1));
        peer::Settings {
            ike: ike::Settings {
                policy: match self.ipsec.policy {
                    Policy::Modern => ike::Policy::modern(),
                    Policy::Compatible => ike::Policy::compatible(),
                    Policy::Legacy => ike::Policy::legacy(),
                },
                psks: self
                    .ipsec
                    .psks
                    .iter()
                    .map(|psk| ike::Psk {
                        id: ike::PskId(psk.id),
                        key: psk.key.clone(),
                        until: psk.until,
                        hub: psk.hub.and_then(|hub| self.hubs.get(hub)).map(|hub| hub.name.clone()),
                    })
                    .collect(),
                force_udp_encapsulation: force_udp,
                ..ike::Settings::default()
            },
            l2tp: Arc::new(l2tp::Settings { hello_idle: PROBE_AFTER, dead_after, ..l2tp::Settings::default() }),
            ppp: Arc::new(ppp::Settings {
                mru: self.ppp.mru,
                auth: self
                    .ppp
                    .auth
                    .iter()
                    .map(|protocol| match protocol {
                        AuthProtocol::MsChapV2 => AuthMethod::MsChapV2,
                        AuthProtocol::Chap => AuthMethod::ChapMd5,
                        AuthProtocol::Pap => AuthMethod::Pap,
                    })
                    .collect(),
                ..ppp::Settings::default()
            }),
            esp: esp::Settings::default(),
            dead_after,
            probe_after: PROBE_AFTER,
            half_open_total: (self.limits.half_open as usize).div_ceil(workers),
            half_open_per_source: self.limits.half_open_per_source as usize,
            raw_l2tp: self.listen.raw_l2tp,
        }
    }
}
