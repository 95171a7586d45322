//! The security associations of one peer.

use super::pair::{PairReport, SaPair, Traffic};
use super::replay::Verdict;
use super::{Event, Inner, Limit, MAX_PAIRS, SaParams, Settings, SpiPair, codec};
use crate::crypto::engine::{OpenJob, SealJob};
use crate::crypto::suite::EspSuite;
use crate::packet::{Drop, PacketBuf};
use crate::wire::esp::Header;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Why a pair could not be installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InstallError {
    /// KEYMAT that does not fit the suite.
    #[error("key material does not fit the suite")]
    KeyLength,
    /// An inbound SPI that is already in use.
    #[error("SPI already in use")]
    SpiInUse,
}

/// Security association database of one peer: a handful of pairs, oldest first.
pub struct Sad {
    settings: Settings,
    pairs: Vec<SaPair>,
    /// Of pairs that are gone.
    past: Traffic,
    last_inbound: Option<Instant>,
    /// Traffic has crossed a limit: events are waiting.
    attention: Option<Instant>,
}

impl Sad {
    /// No SAs.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, pairs: Vec::new(), past: Traffic::default(), last_inbound: None, attention: None }
    }

    /// Adds a pair. It receives at once, and sends as soon as it is confirmed. Returns the pair that had to give way,
    /// if there were too many: its SPI is not routed any more, and the peer should be told by a Delete.
    ///
    /// # Errors
    /// If the keys do not fit the suite, or the inbound SPI is in use; nothing changes then.
    pub fn install(&mut self, now: Instant, params: SaParams) -> Result<Option<SpiPair>, InstallError> {
        if self.index(params.inbound_spi).is_some() {
            return Err(InstallError::SpiInUse);
        }
        let pair = SaPair::new(now, &self.settings, &params).map_err(|_| InstallError::KeyLength)?;
        let evicted = if self.pairs.len() >= MAX_PAIRS { self.evict() } else { None };
        // A peer lives with one pair nearly all the time; the usual growth would hold room for four.
        self.pairs.reserve_exact(1);
        self.pairs.push(pair);
        Ok(evicted)
    }

    /// The oldest pair goes, unless it is the one in use.
    fn evict(&mut self) -> Option<SpiPair> {
        let in_use = self.in_use();
        let oldest = (0..self.pairs.len()).find(|&i| Some(i) != in_use)?;
        Some(self.take(oldest))
    }

    fn take(&mut self, index: usize) -> SpiPair {
        let pair = self.pairs.remove(index);
        self.past += pair.traffic;
        pair.spis
    }

    fn index(&self, inbound_spi: u32) -> Option<usize> {
        self.pairs.iter().rposition(|p| p.spis.inbound_spi == inbound_spi)
    }

    /// The pair that sends: the newest that may. When the client has deleted what it has replaced and has been idle since,
    /// its third Quick Mode message may have been lost and only pairs that wait for it are left: then the newest of them,
    /// for it has the keys, or nothing reaches it at all.
    fn in_use(&self) -> Option<usize> {
        self.pairs.iter().rposition(SaPair::sends).or_else(|| {
            self.last_inbound?;
            self.pairs.iter().rposition(SaPair::could_send)
        })
    }

    /// The pair that asks for a successor; one that has a successor needs no other.
    fn newest(&self) -> Option<usize> {
        self.pairs.iter().rposition(|p| !p.retired())
    }

    /// Quick Mode is complete: the pair may send.
    pub fn confirm(&mut self, inbound_spi: u32) {
        if let Some(i) = self.index(inbound_spi) {
            self.pairs[i].confirmed = true;
        }
    }

    /// Removes a pair at once.
    pub fn remove(&mut self, inbound_spi: u32) -> Option<SpiPair> {
        self.index(inbound_spi).map(|i| self.take(i))
    }

    /// The peer has deleted a pair: nothing is sent with it any more, but what was under way is still accepted for
    /// [`super::LINGER`], after which [`Event::Expired`] reports its end. A rekey thus loses nothing to reordering.
    pub fn retire(&mut self, now: Instant, inbound_spi: u32) {
        if let Some(i) = self.index(inbound_spi) {
            self.pairs[i].retire(now);
        }
    }

    /// The inbound SPI of the pair whose outbound SPI this is: a Delete names what its sender receives with.
    #[must_use]
    pub fn inbound_of(&self, outbound_spi: u32) -> Option<u32> {
        let pair = self.pairs.iter().rev().find(|p| p.spis.outbound_spi == outbound_spi)?;
        Some(pair.spis.inbound_spi)
    }

    /// The SPIs of all pairs, oldest first.
    pub fn spis(&self) -> impl Iterator<Item = SpiPair> + '_ {
        self.pairs.iter().map(|p| p.spis)
    }

    /// All pairs as reports show them, oldest first.
    pub fn report(&self) -> impl Iterator<Item = PairReport> + '_ {
        self.pairs.iter().map(SaPair::report)
    }

    /// Whether there is no pair at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Whether a packet could be sent now.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.in_use().is_some()
    }

    /// What protects the packets that we send; the path MTU depends on it.
    #[must_use]
    pub fn sending_suite(&self) -> Option<EspSuite> {
        self.in_use().map(|i| self.pairs[i].suite())
    }

    /// Whether the packets that we send travel in UDP.
    #[must_use]
    pub fn sending_udp_encap(&self) -> Option<bool> {
        self.in_use().map(|i| self.pairs[i].udp_encap)
    }

    /// Everything that went through, over all pairs that there were.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let mut sum = self.past;
        for pair in &self.pairs {
            sum += pair.traffic;
        }
        sum
    }

    /// When the last authentic packet came.
    #[must_use]
    pub const fn last_inbound(&self) -> Option<Instant> {
        self.last_inbound
    }

    /// How long ago the last authentic packet came; `None` if none ever did.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.last_inbound.map(|at| now.saturating_duration_since(at))
    }

    /// Looks at a packet before its cryptography is paid for; changes nothing. `udp_encap` tells how it came.
    ///
    /// # Errors
    /// [`Drop::UnknownSpi`], [`Drop::WrongEncap`], [`Drop::Replayed`], [`Drop::Malformed`] if its length fits no packet
    /// of its SA.
    pub fn admit(&self, spi: u32, udp_encap: bool, buf: PacketBuf) -> Result<OpenJob, Drop> {
        let header = Header::parse(&buf)?;
        let pair = self.index(spi).map(|i| &self.pairs[i]).ok_or(Drop::UnknownSpi)?;
        if header.spi != spi {
            return Err(Drop::UnknownSpi);
        }
        if pair.udp_encap != udp_encap {
            return Err(Drop::WrongEncap);
        }
        if !pair.replay.would_accept(header.seq) {
            return Err(Drop::Replayed);
        }
        let icv_len = codec::icv_len(pair.suite(), buf.len(), pair.icv_len)?;
        Ok(OpenJob {
            key: Arc::clone(&pair.open_key),
            spi,
            seq: header.seq,
            icv_len,
            buf,
            result: Err(Drop::BadIcv),
        })
    }

    /// Takes an opened packet in: commits its sequence number, counts it and strips what is ESP's.
    ///
    /// # Errors
    /// What the engine found; [`Drop::UnknownSpi`] if the pair has gone meanwhile; [`Drop::Replayed`];
    /// [`Drop::Malformed`] if the padding is longer than the packet.
    pub fn deliver(&mut self, now: Instant, job: OpenJob) -> Result<Inner, Drop> {
        job.result?;
        let index = self.index(job.spi).ok_or(Drop::UnknownSpi)?;
        let newest = self.newest();
        let later = self.pairs[index + 1..].iter().any(|p| p.replay.highest() > 0);
        let pair = &mut self.pairs[index];
        if !Arc::ptr_eq(&pair.open_key, &job.key) {
            return Err(Drop::UnknownSpi);
        }
        // The first authentic packet decides how its SA truncates; one of the other length may have been admitted with
        // it.
        if *pair.icv_len.get_or_insert(job.icv_len) != job.icv_len {
            return Err(Drop::BadIcv);
        }
        let verdict = pair.replay.commit(job.seq);
        if verdict == Verdict::Replayed {
            return Err(Drop::Replayed);
        }
        // Only somebody who has installed the pair can have sent this.
        pair.confirmed = true;
        self.last_inbound = Some(now);
        let mut buf = job.buf;
        let next_header = codec::strip_trailer(&mut buf)?;
        pair.traffic.inbound_packets += 1;
        pair.traffic.inbound_bytes += buf.len() as u64;
        if pair.wants_attention(Some(index) == newest) {
            self.attention = Some(now);
        }
        Ok(Inner { buf, next_header, spi: job.spi, newest: verdict == Verdict::Highest && !later })
    }

    /// Makes a job of a payload for the newest pair that may send, and takes its sequence number. Jobs must be sealed
    /// and sent in this order.
    ///
    /// # Errors
    /// [`Drop::NoOutboundSa`] if there is no such pair.
    pub fn seal(&mut self, now: Instant, buf: PacketBuf, next_header: u8) -> Result<SealJob, Drop> {
        let index = self.in_use().ok_or(Drop::NoOutboundSa)?;
        let newest = self.newest();
        let pair = &mut self.pairs[index];
        let seq = pair.next_seq().ok_or(Drop::NoOutboundSa)?;
        pair.traffic.outbound_packets += 1;
        pair.traffic.outbound_bytes += buf.len() as u64;
        if pair.wants_attention(Some(index) == newest) {
            self.attention = Some(now);
        }
        Ok(SealJob {
            key: Arc::clone(&pair.seal_key),
            spi: pair.spis.outbound_spi,
            seq,
            next_header,
            icv_len: pair.outbound_icv_len(),
            buf,
        })
    }

    #[cfg(test)]
    pub(super) fn set_sent(&mut self, sent: u32) {
        self.pairs[0].set_sent(sent);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (newest, in_use) = (self.newest(), self.in_use());
        let pairs =
            self.pairs.iter().enumerate().map(|(i, p)| p.deadline(Some(i) == newest, Some(i) == in_use));
        pairs.chain(self.attention).min()
    }

    /// Removes what has expired and tells what should be replaced.
    pub fn handle_timeout(&mut self, now: Instant, events: &mut Vec<Event>) {
        self.attention = None;
        let mut i = 0;
        while i < self.pairs.len() {
            // The last pair stands in for a confirmed one: silence ends the peer, not the pair.
            let limit = self.pairs[i].expired(now);
            match limit.filter(|limit| *limit != Limit::Unconfirmed || self.in_use() != Some(i)) {
                Some(limit) => {
                    let SpiPair { inbound_spi, outbound_spi } = self.take(i);
                    events.push(Event::Expired { inbound_spi, outbound_spi, limit });
                    if limit == Limit::Unconfirmed {
                        // The attempt to replace its elder has failed.
                        self.pairs.iter_mut().for_each(SaPair::ask_again);
                    }
                }
                None => i += 1,
            }
        }
        let Some(newest) = self.newest().map(|i| &mut self.pairs[i]) else { return };
        let SpiPair { inbound_spi, outbound_spi } = newest.spis;
        if newest.take_rekey_now() {
            events.push(Event::RekeyNow { inbound_spi, outbound_spi });
        }
        if let Some(limit) = newest.take_rekey_soon(now) {
            events.push(Event::RekeySoon { inbound_spi, outbound_spi, limit });
        }
    }
}

impl std::fmt::Debug for Sad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|p| p.spis)).finish()
    }
}
