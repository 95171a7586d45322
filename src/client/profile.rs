//! Whole clients as data: what a system says in IKE, L2TP and PPP, and when it renews its keys.
//!
//! IKE's part is in [`ike::profile`](super::ike::profile), L2TP's in [`lac::Habits`](super::lac::Habits), PPP's in
//! [`ppp::Habits`](crate::ppp::Habits); here they are put together, with the habits that belong to none of them alone.

use super::ike::profile::{self as ike_profile, Android};
use super::{ike, lac};
use crate::crypto::Secret;
use crate::crypto::suite::{DhGroup, EspAuth, EspCipher, EspSuite};
use crate::ppp;
use crate::wire::isakmp::sa::{Attribute, Phase1Attribute};
use std::sync::Arc;
use std::time::Duration;

/// What becomes of an SA that has a successor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Replaced {
    /// It stays until its life ends, and is deleted then.
    LivesOn,
    /// It is deleted this long after its successor came up.
    DeletedAfter(Duration),
}

/// When keys are renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// Lifetime of an ISAKMP SA, as it stands in the offer.
    pub isakmp_seconds: u32,
    /// After which part of it, in percent, a new Phase 1 begins; `None`: the SA ends, and the next one begins when
    /// Phase 2 needs it.
    pub isakmp_percent: Option<u8>,
    /// What becomes of the old ISAKMP SA.
    pub isakmp_replaced: Replaced,
    /// After which part of a pair's life, in percent, the next Quick Mode begins; beyond 100: never before its end.
    pub esp_percent: u8,
    /// What becomes of the old pair.
    pub esp_replaced: Replaced,
}

/// NAT keepalives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keepalive {
    /// Time between two.
    pub interval: Duration,
    /// Only if nothing else was sent meanwhile.
    pub only_if_idle: bool,
    /// They belong to the ISAKMP SA and end with it.
    pub with_isakmp: bool,
}

/// A kind of client.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The system, for people.
    pub name: &'static str,
    /// Its IKE, with the key that [`Self::with_psk`] put in.
    pub ike: Arc<ike::Config>,
    /// Its Quick Modes name the port that L2TP really uses.
    pub names_own_port: bool,
    /// Its L2TP.
    pub lac: Arc<lac::Habits>,
    /// Its PPP.
    pub ppp: ppp::Habits,
    /// Its kernel cuts the ICV of HMAC-SHA-256 to 96 bits.
    pub truncates_sha256: bool,
    /// When it renews its keys.
    pub renewal: Renewal,
    /// What it does against a NAT's forgetting.
    pub keepalive: Keepalive,
    /// How long it waits for the whole connection.
    pub patience: Duration,
    /// Says goodbye with an LCP Terminate-Request.
    pub terminates_ppp: bool,
    /// Says goodbye with Deletes.
    pub deletes_sas: bool,
}

/// racoon: keepalives by the clock, as long as there is an ISAKMP SA.
const RACOON_KEEPALIVE: Keepalive =
    Keepalive { interval: Duration::from_secs(20), only_if_idle: false, with_isakmp: true };
/// A kernel's or charon's: only when nothing else goes out.
const IDLE_KEEPALIVE: Keepalive =
    Keepalive { interval: Duration::from_secs(20), only_if_idle: true, with_isakmp: false };

fn placeholder() -> Secret {
    Secret::from("")
}

impl Profile {
    /// Every profile, for tests that go through all.
    #[must_use]
    pub fn all() -> Vec<Self> {
        vec![
            Self::android(Android::Four),
            Self::android(Android::Six),
            Self::android(Android::Seven),
            Self::ios13(),
            Self::ios17(),
            Self::macos(),
            Self::windows10(),
            Self::windows11(),
            Self::chromeos(),
            Self::network_manager(),
            Self::strongswan(),
            Self::libreswan(),
        ]
    }

    /// The profile of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|profile| profile.name == name)
    }

    /// The built-in client of Android 4 to 11: racoon, mtpd, pppd.
    #[must_use]
    pub fn android(generation: Android) -> Self {
        Self {
            name: match generation {
                Android::Four => "android-4",
                Android::Six => "android-6",
                Android::Seven => "android-7",
            },
            ike: Arc::new(ike_profile::android(placeholder(), generation)),
            names_own_port: false,
            lac: Arc::new(lac::Habits::android()),
            ppp: ppp::Habits::android(),
            truncates_sha256: false,
            renewal: Renewal {
                isakmp_seconds: 28800,
                // The SA is dropped when its life ends; the next Quick Mode begins a Main Mode from 4500 to 4500.
                isakmp_percent: None,
                isakmp_replaced: Replaced::LivesOn,
                esp_percent: 80,
                esp_replaced: Replaced::LivesOn,
            },
            keepalive: RACOON_KEEPALIVE,
            patience: Duration::from_secs(60),
            // The framework kills pppd and mtpd; mtpd says StopCCN, racoon flushes its SAs.
            terminates_ppp: false,
            deletes_sas: true,
        }
    }

    /// iOS 14 to 17: ESP with SHA2-256.
    #[must_use]
    pub fn ios17() -> Self {
        Self {
            name: "ios-17",
            ike: Arc::new(ike_profile::apple(placeholder(), 0)),
            names_own_port: true,
            lac: Arc::new(lac::Habits::apple()),
            ppp: ppp::Habits::apple(),
            truncates_sha256: false,
            renewal: Renewal {
                isakmp_seconds: 3600,
                isakmp_percent: Some(80),
                isakmp_replaced: Replaced::LivesOn,
                esp_percent: 80,
                esp_replaced: Replaced::LivesOn,
            },
            keepalive: RACOON_KEEPALIVE,
            // 10 seconds to the first answer, 30 for each step of IKE, 20 for SCCRP and ICRP each.
            patience: Duration::from_secs(90),
            terminates_ppp: true,
            deletes_sas: true,
        }
    }

    /// iOS to 13: ESP without SHA2-256.
    #[must_use]
    pub fn ios13() -> Self {
        let mut profile = Self { name: "ios-13", ..Self::ios17() };
        Arc::make_mut(&mut profile.ike).esp.retain(|suite| suite.auth() != EspAuth::HmacSha256_128);
        profile
    }

    /// A Mac that sends only some of its traffic through the gateway.
    #[must_use]
    pub fn macos() -> Self {
        let mut profile = Self { name: "macos", ppp: ppp::Habits::macos_split(), ..Self::ios17() };
        Arc::make_mut(&mut profile.lac).host_name = b"MacBook.local\0".to_vec();
        profile
    }

    /// Windows 10.
    #[must_use]
    pub fn windows10() -> Self {
        Self {
            name: "windows-10",
            ike: Arc::new(ike_profile::windows(placeholder())),
            names_own_port: false,
            lac: Arc::new(lac::Habits::windows()),
            ppp: ppp::Habits::windows(),
            truncates_sha256: false,
            renewal: Renewal {
                isakmp_seconds: 28800,
                isakmp_percent: None,
                isakmp_replaced: Replaced::LivesOn,
                esp_percent: 90,
                esp_replaced: Replaced::DeletedAfter(Duration::from_secs(5)),
            },
            keepalive: IDLE_KEEPALIVE,
            patience: Duration::from_secs(60),
            terminates_ppp: true,
            deletes_sas: true,
        }
    }

    /// Windows 11: AES-128 before everything else in ESP.
    #[must_use]
    pub fn windows11() -> Self {
        let mut profile = Self { name: "windows-11", ..Self::windows10() };
        Arc::make_mut(&mut profile.ike).esp = [EspCipher::Aes128Cbc, EspCipher::TripleDesCbc]
            .into_iter()
            .filter_map(|cipher| EspSuite::new(cipher, EspAuth::HmacSha1_96))
            .collect();
        profile
    }

    /// A Linux with strongSwan's own proposals, xl2tpd and pppd.
    #[must_use]
    pub fn strongswan() -> Self {
        Self {
            name: "strongswan",
            ike: Arc::new(ike_profile::strongswan(placeholder())),
            names_own_port: false,
            lac: Arc::new(lac::Habits::xl2tpd()),
            ppp: ppp::Habits::pppd(),
            truncates_sha256: false,
            renewal: Renewal {
                isakmp_seconds: 10800,
                isakmp_percent: Some(92),
                isakmp_replaced: Replaced::DeletedAfter(Duration::from_secs(10)),
                esp_percent: 80,
                esp_replaced: Replaced::LivesOn,
            },
            keepalive: IDLE_KEEPALIVE,
            patience: Duration::from_secs(60),
            terminates_ppp: true,
            deletes_sas: true,
        }
    }

    /// NetworkManager-l2tp.
    #[must_use]
    pub fn network_manager() -> Self {
        Self {
            name: "network-manager",
            ike: Arc::new(ike_profile::network_manager(placeholder())),
            // 16 seconds each for IPsec and for PPP.
            patience: Duration::from_secs(32),
            ..Self::strongswan()
        }
    }

    /// ChromeOS before IKEv2.
    #[must_use]
    pub fn chromeos() -> Self {
        Self { name: "chromeos", ike: Arc::new(ike_profile::chromeos(placeholder())), ..Self::strongswan() }
    }

    /// A Linux with libreswan, xl2tpd and pppd.
    #[must_use]
    pub fn libreswan() -> Self {
        Self { name: "libreswan", ike: Arc::new(ike_profile::libreswan(placeholder())), ..Self::strongswan() }
    }

    /// The same client with this pre-shared key.
    #[must_use]
    pub fn with_psk(mut self, psk: &str) -> Self {
        Arc::make_mut(&mut self.ike).psk = Secret::from(psk);
        self
    }

    /// The same client, offering this group alone: what the others cost can be compared.
    #[must_use]
    pub fn with_group(mut self, group: DhGroup) -> Self {
        let wanted = Some(u64::from(group.attribute()));
        Arc::make_mut(&mut self.ike)
            .phase1
            .retain(|offer| offer.number_of(Phase1Attribute::GROUP.0) == wanted);
        self
    }

    /// The same client with other lifetimes, in seconds.
    #[must_use]
    pub fn with_lifetimes(mut self, isakmp: u32, esp: u32) -> Self {
        self.renewal.isakmp_seconds = isakmp;
        let ike = Arc::make_mut(&mut self.ike);
        for attribute in ike.phase1.iter_mut().flat_map(|transform| &mut transform.attributes) {
            if attribute.kind == Phase1Attribute::LIFE_DURATION.0 {
                *attribute = Attribute::long(attribute.kind, isakmp);
            }
        }
        ike.esp_seconds = esp;
        self
    }

    /// The same client with ESP in UDP whatever lies between: many on one host, each with a port of its own, as a load
    /// generator has them.
    #[must_use]
    pub fn with_udp_encapsulation(mut self) -> Self {
        Arc::make_mut(&mut self.ike).force_nat = true;
        self
    }

    /// The same client under another L2TP host name.
    #[must_use]
    pub fn with_host_name(mut self, name: &str) -> Self {
        Arc::make_mut(&mut self.lac).host_name = name.as_bytes().to_vec();
        self
    }
}
