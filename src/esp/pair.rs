//! One pair of SAs: keys, replay window, counters, limits.

use super::replay::ReplayWindow;
use super::{
    CONFIRM_WITHIN, DEFAULT_LIFE, LINGER, Limit, MIN_KILOBYTES, MIN_LIFE, Renewal, SEQUENCE_SOFT, SaParams,
    Settings, SpiPair,
};
use crate::crypto::cbc::LengthError;
use crate::crypto::engine::{OpenKey, SealKey};
use crate::crypto::suite::{EspSuite, Strength};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What went through. Bytes are those of the payload, without ESP's own.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Authentic packets from the peer.
    pub inbound_packets: u64,
    /// Their payload bytes.
    pub inbound_bytes: u64,
    /// Packets to the peer.
    pub outbound_packets: u64,
    /// Their payload bytes.
    pub outbound_bytes: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.inbound_packets += other.inbound_packets;
        self.inbound_bytes += other.inbound_bytes;
        self.outbound_packets += other.outbound_packets;
        self.outbound_bytes += other.outbound_bytes;
    }
}

/// A pair as reports show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PairReport {
    /// Its SPIs.
    pub spis: SpiPair,
    /// What protects it.
    pub suite: EspSuite,
    /// How much that is worth.
    pub strength: Strength,
    /// Whether it travels in UDP.
    pub udp_encap: bool,
    /// Whether the peer uses the 96-bit ICV where 128 bits were negotiated.
    pub truncated: bool,
    /// Whether the peer has confirmed it.
    pub confirmed: bool,
    /// Since when it exists.
    pub since: Instant,
    /// What went through.
    pub traffic: Traffic,
}

pub(super) struct SaPair {
    pub(super) spis: SpiPair,
    pub(super) open_key: Arc<OpenKey>,
    pub(super) seal_key: Arc<SealKey>,
    pub(super) replay: ReplayWindow,
    pub(super) udp_encap: bool,
    pub(super) confirmed: bool,
    /// Deleted by the peer: receives what is under way, sends nothing.
    retired: bool,
    /// Length of the ICV once it is known; until then both lengths of the algorithm are accepted.
    pub(super) icv_len: Option<u8>,
    /// The last sequence number that was used.
    sent: u32,
    pub(super) traffic: Traffic,
    since: Instant,
    rekey_at: Instant,
    expires_at: Instant,
    /// Volume for one direction in bytes.
    life_bytes: Option<u64>,
    renewal: Renewal,
    soon_told: bool,
    now_told: bool,
}

/// How long before the end of its life a pair asks for a successor. Clients rekey earlier; we only fill in for them.
fn margin(life: Duration) -> Duration {
    (life / 50).clamp(Duration::from_secs(2), Duration::from_secs(30))
}

impl SaPair {
    pub(super) fn new(now: Instant, settings: &Settings, params: &SaParams) -> Result<Self, LengthError> {
        let suite = params.suite;
        let life = match params.life_seconds {
            None | Some(0) => DEFAULT_LIFE,
            Some(seconds) => Duration::from_secs(seconds.into()).max(MIN_LIFE),
        };
        let may_truncate = settings.truncated_sha256 && suite.auth().truncated_icv_len().is_some();
        Ok(Self {
            spis: SpiPair { inbound_spi: params.inbound_spi, outbound_spi: params.outbound_spi },
            open_key: Arc::new(OpenKey::new(suite, &params.inbound_key)?),
            seal_key: Arc::new(SealKey::new(suite, &params.outbound_key)?),
            replay: ReplayWindow::default(),
            udp_encap: params.udp_encap,
            confirmed: params.confirmed,
            retired: false,
            icv_len: if may_truncate { None } else { Some(full_icv_len(suite)) },
            sent: 0,
            traffic: Traffic::default(),
            since: now,
            rekey_at: match params.renewal {
                Renewal::Early => now + life / 3 * 2,
                Renewal::AtTheEnd | Renewal::Never => now + life - margin(life),
            },
            expires_at: now + life + settings.grace,
            life_bytes: params
                .life_kilobytes
                .filter(|&kb| kb != 0)
                .map(|kb| u64::from(kb.max(MIN_KILOBYTES)) * 1024),
            renewal: params.renewal,
            soon_told: false,
            now_told: false,
        })
    }

    pub(super) fn suite(&self) -> EspSuite {
        self.seal_key.suite()
    }

    /// Whether packets may be sent with it.
    pub(super) const fn sends(&self) -> bool {
        self.confirmed && !self.retired && self.sent < u32::MAX
    }

    /// Whether packets could be sent with it if they had to.
    pub(super) const fn could_send(&self) -> bool {
        !self.retired && self.sent < u32::MAX
    }

    /// Takes the next sequence number. They never cycle (RFC 4303 section 3.3.3).
    pub(super) fn next_seq(&mut self) -> Option<u32> {
        self.sent = self.sent.checked_add(1)?;
        Some(self.sent)
    }

    /// The ICV to send: what the peer was seen to use, the algorithm's own until then.
    pub(super) fn outbound_icv_len(&self) -> u8 {
        self.icv_len.unwrap_or_else(|| full_icv_len(self.suite()))
    }

    /// Whether traffic has crossed a limit that nobody has been told of.
    pub(super) fn wants_attention(&self, newest: bool) -> bool {
        let rekey = (self.sent >= SEQUENCE_SOFT && !self.now_told) || (self.volume_soft() && !self.soon_told);
        (newest && rekey && self.renewal != Renewal::Never) || self.volume_hard()
    }

    /// Whether the peer has deleted it.
    pub(super) const fn retired(&self) -> bool {
        self.retired
    }

    /// Forgets that a successor was asked for.
    pub(super) const fn ask_again(&mut self) {
        self.soon_told = false;
        self.now_told = false;
    }

    /// The busier direction: each SA has its own volume (RFC 2407 section 4.5).
    fn volume(&self) -> u64 {
        self.traffic.inbound_bytes.max(self.traffic.outbound_bytes)
    }

    fn volume_soft(&self) -> bool {
        let part = if self.renewal == Renewal::Early { 10 } else { 15 };
        self.life_bytes.is_some_and(|life| self.volume() >= life / 16 * part)
    }

    /// Twice the volume: at full speed a rekey takes longer than the volume lasts (Windows: 250 MB), and cutting the
    /// connection would protect nothing.
    fn volume_hard(&self) -> bool {
        self.life_bytes.is_some_and(|life| self.volume() >= 2 * life)
    }

    /// Stops sending and keeps receiving for a moment.
    pub(super) fn retire(&mut self, now: Instant) {
        self.retired = true;
        self.expires_at = self.expires_at.min(now + LINGER);
    }

    /// When to look at it again. Only the newest pair asks for a successor, and one that is in use waits for no
    /// confirmation.
    pub(super) fn deadline(&self, newest: bool, in_use: bool) -> Instant {
        let mut at = self.expires_at;
        if !self.confirmed && !in_use {
            at = at.min(self.since + CONFIRM_WITHIN);
        }
        if newest && !self.soon_told && self.renewal != Renewal::Never {
            at = at.min(self.rekey_at);
        }
        at
    }

    /// Why it has to go, if it has.
    pub(super) fn expired(&self, now: Instant) -> Option<Limit> {
        if now >= self.expires_at {
            Some(if self.retired { Limit::Retired } else { Limit::Seconds })
        } else if self.volume_hard() {
            Some(Limit::Kilobytes)
        } else if !self.confirmed && now >= self.since + CONFIRM_WITHIN {
            Some(Limit::Unconfirmed)
        } else {
            None
        }
    }

    /// Whether a successor is wanted; true once.
    pub(super) fn take_rekey_soon(&mut self, now: Instant) -> Option<Limit> {
        if self.soon_told || self.retired || self.renewal == Renewal::Never {
            return None;
        }
        let limit = if now >= self.rekey_at {
            Limit::Seconds
        } else if self.volume_soft() {
            Limit::Kilobytes
        } else {
            return None;
        };
        self.soon_told = true;
        Some(limit)
    }

    /// Whether a successor is wanted at once; true once.
    pub(super) fn take_rekey_now(&mut self) -> bool {
        let due =
            self.sent >= SEQUENCE_SOFT && !self.now_told && !self.retired && self.renewal != Renewal::Never;
        self.now_told |= due;
        due
    }

    pub(super) fn report(&self) -> PairReport {
        let suite = self.suite();
        PairReport {
            spis: self.spis,
            suite,
            strength: suite.strength(),
            udp_encap: self.udp_encap,
            truncated: self.outbound_icv_len() != full_icv_len(suite),
            confirmed: self.confirmed,
            since: self.since,
            traffic: self.traffic,
        }
    }

    #[cfg(test)]
    pub(super) const fn set_sent(&mut self, sent: u32) {
        self.sent = sent;
    }
}

/// No algorithm's ICV is longer than 32 bytes.
fn full_icv_len(suite: EspSuite) -> u8 {
    suite.auth().icv_len() as u8
}
