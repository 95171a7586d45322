//! The configuration in the terms of the layers below.

use super::{Config, Policy, Psk};
use crate::ike::ClientHint;
use crate::{esp, ike, l2tp, peer, ppp};
use std::sync::Arc;
use std::time::Duration;

/// After how much silence a device is asked for a sign of life. Phones sleep longer between two packets of their own;
/// asking more often would empty their batteries.
const PROBE_AFTER: Duration = Duration::from_secs(60);

impl Config {
    /// The quirks of a kind of client: the built-in ones, with what is configured in their place.
    fn quirks(&self, hint: ClientHint) -> ike::Quirks {
        let client = self.clients.iter().find(|(kind, _)| *kind == hint);
        client.map_or_else(|| ike::Quirks::of(hint), |(_, client)| client.quirks(hint))
    }

    /// What workers and their peers read. `force_udp` when plain ESP cannot be received.
    #[must_use]
    pub fn peer_settings(&self, force_udp: bool) -> peer::Settings {
        // One patience for all: the layers watch the device, and it has no user yet when they begin.
        let dead_after = self.hubs.iter().flat_map(|hub| &hub.users).map(|user| user.terms.dead_after).max();
        let dead_after = dead_after.unwrap_or(Duration::from_secs(300));
        let workers = usize::from(self.workers.max(1));
        let ppp = ppp::Settings {
            mru: self.ppp.mru,
            auth: self.ppp.auth.iter().map(|protocol| protocol.method()).collect(),
            ..ppp::Settings::default()
        };
        peer::Settings {
            ike: ike::Settings {
                policy: match self.ipsec.policy {
                    Policy::Modern => ike::Policy::modern(),
                    Policy::Compatible => ike::Policy::compatible(),
                    Policy::Legacy => ike::Policy::legacy(),
                },
                psks: self.ipsec.psks.iter().map(|psk| self.ike_psk(psk)).collect(),
                groups: self
                    .ipsec
                    .groups
                    .iter()
                    .map(|group| ike::Group {
                        name: group.name.clone().into(),
                        psk: self.ike_psk(&group.psk),
                    })
                    .collect(),
                force_udp_encapsulation: force_udp,
                // All of them, so that the built-in ones are there once too.
                quirks: ClientHint::ALL.map(|(_, kind)| (kind, self.quirks(kind).into())).to_vec(),
                ..ike::Settings::default()
            },
            l2tp: Arc::new(l2tp::Settings {
                hello_idle: PROBE_AFTER,
                dead_after,
                secret: self.listen.l2tp_secret.clone(),
                ..l2tp::Settings::default()
            }),
            habits: ClientHint::ALL.into_iter().map(|(_, kind)| (kind, self.habits(kind, &ppp))).collect(),
            ppp: Arc::new(ppp),
            esp: esp::Settings::default(),
            dead_after,
            probe_after: PROBE_AFTER,
            half_open_total: (self.limits.half_open as usize).div_ceil(workers),
            half_open_per_source: self.limits.half_open_per_source as usize,
            raw_l2tp: self.listen.raw_l2tp,
        }
    }

    fn habits(&self, kind: ClientHint, ppp: &ppp::Settings) -> peer::Habits {
        let said = self.clients.iter().find(|(named, _)| *named == kind);
        let client = said.map(|(_, client)| client.clone()).unwrap_or_default();
        peer::Habits {
            ppp: Arc::new(ppp::Settings { auth: client.auth(kind, &ppp.auth), ..ppp.clone() }),
            renewal: client.renewal(),
            keepalive: client.keepalive(),
        }
    }

    fn ike_psk(&self, psk: &Psk) -> ike::Psk {
        ike::Psk {
            id: ike::PskId(psk.id),
            key: psk.key.clone(),
            until: psk.until,
            hub: psk.hub.and_then(|hub| self.hubs.get(hub)).map(|hub| hub.name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{FileFacts, load};
    use crate::ike::Policy;
    use crate::ppp::AuthMethod;
    use std::time::Duration;

    #[test]
    fn the_layers_get_what_the_file_says() {
        let text = r#"
listen: { raw_l2tp: true, l2tp_secret: "for tunnels" }
ipsec:
  policy: legacy
  psk:
    - "a key for everybody, long enough"
    - { key: "last month's key, long enough", until: 2026-12-31 }
    - { key: "a key for guests, long enough", hub: guests }
default_hub: HUB1
hubs:
  HUB1: { network: 10.60.0.0/24, users: { jiro: { password: "jiro-pw-1", dead_after: 1h } } }
  GUESTS: { network: 10.61.0.0/24, users: { visitor: { password: "visitor-pw" } } }
ppp: { auth: [pap, mschapv2], mru: 1280 }
limits: { half_open: 9, half_open_per_source: 2 }
workers: 2
"#;
        let facts = FileFacts { name: String::new(), mode: None, now: 1_780_000_000 };
        let config = load(text, &facts).unwrap_or_else(|report| panic!("{report}")).config;
        let settings = config.peer_settings(true);
        assert_eq!(settings.ike.policy, Policy::legacy());
        let psks: Vec<_> =
            settings.ike.psks.iter().map(|psk| (psk.id.0, psk.until, psk.hub.as_deref())).collect();
        assert_eq!(psks, [(0, None, None), (1, Some(1_798_761_600), None), (2, None, Some("GUESTS"))]);
        assert!(settings.ike.force_udp_encapsulation && settings.raw_l2tp);
        assert!(settings.ike.groups.is_empty(), "without a group, Aggressive Mode is refused");
        assert_eq!(settings.l2tp.secret.as_deref(), Some(&b"for tunnels"[..]));
        assert_eq!(settings.ppp.mru, 1280);
        assert_eq!(settings.ppp.auth, [AuthMethod::Pap, AuthMethod::MsChapV2]);
        // Until a session has a user, the longest patience of any user.
        assert_eq!(settings.dead_after, Duration::from_secs(3600));
        assert_eq!((settings.half_open_total, settings.half_open_per_source), (5, 2));
    }
}
