//! Informational exchanges under an ISAKMP SA: Notify, Delete, DPD (RFC 2409 section 5.7, RFC 2408 sections 3.14 and
//! 3.15, RFC 3706).
//!
//! ```text
//!    HDR*, HASH(1), N or D  -->       no answer, but R-U-THERE gets R-U-THERE-ACK
//! ```

use super::Context;
use super::output::{Event, Output};
use super::peer_sas::{Established, Ike, Probe};
use super::quick_mode::{State, header};
use crate::entropy::Entropy;
use crate::packet::{Drop, Path};
use crate::wire::Writer;
use crate::wire::isakmp::payload::{Delete, Notify, NotifyType};
use crate::wire::isakmp::sa::Protocol;
use crate::wire::isakmp::{ChainWriter, Cookies, ExchangeType, Header, MessageId, PayloadType};
use std::time::{Duration, Instant};

/// How long after Phase 1 an INITIAL-CONTACT is believed: it says something about the time before.
const INITIAL_CONTACT_WINDOW: Duration = Duration::from_secs(60);

impl Established {
    /// A protected Informational with one payload.
    fn sealed(&self, entropy: &mut Entropy, kind: PayloadType, body: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let message_id = MessageId(entropy.u32() | 1);
        let mut rest = ChainWriter::new();
        rest.put(kind, body);
        let mut chain = ChainWriter::new();
        chain.put_bytes(PayloadType::HASH, &self.sa.keys.hash1(message_id, rest.bytes()));
        chain.append(&rest);
        let header = header(self.sa.cookies, ExchangeType::INFORMATIONAL, message_id);
        let iv = self.sa.keys.phase2_iv(self.sa.phase1_iv, message_id);
        self.sa.keys.seal(iv, &header, &chain).0
    }

    /// A protected error notify.
    pub(super) fn sealed_notify(&self, entropy: &mut Entropy, kind: NotifyType) -> Vec<u8> {
        let notify = Notify::isakmp(kind, &[], &[]);
        self.sealed(entropy, PayloadType::NOTIFY, |w| notify.emit(w))
    }

    /// R-U-THERE or its answer: the SPI is both cookies, the data a sequence number (RFC 3706 section 5.3).
    fn sealed_dpd(&self, entropy: &mut Entropy, kind: NotifyType, seq: &[u8]) -> Vec<u8> {
        let notify = Notify::isakmp(kind, &self.sa.cookies.bytes(), seq);
        self.sealed(entropy, PayloadType::NOTIFY, |w| notify.emit(w))
    }
}

impl Ike {
    #[expect(clippy::too_many_arguments, reason = "a message, where it came from, and where effects go")]
    pub(super) fn handle_informational(
        &mut self,
        at: usize,
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        header: &Header,
        body: &[u8],
        message: &[u8],
        out: &mut Output,
    ) -> Result<(), Drop> {
        let established = &self.sas[at];
        let message_id = header.message_id;
        let keys = &established.sa.keys;
        let iv = keys.phase2_iv(established.sa.phase1_iv, message_id);
        let mut plain = Vec::new();
        let (chain, _) = Self::open(established, iv, header, body, &mut plain, |chain, hash| {
            keys.hash1(message_id, chain.after_first()).ct_eq(hash)
        })?;
        if established.answers.is_used(message_id) {
            return Err(Drop::Repeated);
        }
        // Parse all before anything is done.
        let notifies = chain.all(PayloadType::NOTIFY).map(Notify::parse).collect::<Result<Vec<_>, _>>()?;
        let deletes = chain.all(PayloadType::DELETE).map(Delete::parse).collect::<Result<Vec<_>, _>>()?;

        let cookies = established.sa.cookies;
        self.sas[at].answers.insert(message_id, message, Vec::new());
        Self::heard_from(&mut self.sas[at], path, out);
        for notify in &notifies {
            self.recv_notify(at, now, ctx, path, message_id, notify, out);
        }
        for delete in &deletes {
            self.recv_delete(cookies, delete, out);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a message, where it came from, and where effects go")]
    fn recv_notify(
        &mut self,
        at: usize,
        now: Instant,
        ctx: &mut Context<'_>,
        path: Path,
        message_id: MessageId,
        notify: &Notify,
        out: &mut Output,
    ) {
        let established = &mut self.sas[at];
        match notify.kind {
            NotifyType::R_U_THERE => {
                let answer = established.sealed_dpd(ctx.entropy, NotifyType::R_U_THERE_ACK, &notify.data);
                out.send(path, &answer);
                established.answers.set_reply(message_id, answer);
            }
            // That it is authenticated and fresh has already stopped the question, whatever its number.
            NotifyType::R_U_THERE_ACK => (),
            NotifyType::INITIAL_CONTACT => {
                let early = now < established.sa.established + INITIAL_CONTACT_WINDOW;
                if early && !established.contacted {
                    established.contacted = true;
                    out.event(Event::InitialContact { cookies: established.sa.cookies });
                }
            }
            kind => {
                if kind.is_error() {
                    self.recv_error(at, &notify.spi, out);
                }
                out.event(Event::Notified { kind, authenticated: true });
            }
        }
    }

    /// An error about a Quick Mode of ours ends it; one without an SPI can only mean the one that runs.
    fn recv_error(&mut self, at: usize, spi: &[u8], out: &mut Output) {
        let quick_modes = &mut self.sas[at].quick_modes;
        let is_meant = |state: &State| match state {
            State::ExpectQm2(sent) => spi.len() != 4 || spi == sent.inbound_spi.to_be_bytes(),
            State::ExpectDh(..) | State::ExpectQm3 { .. } => false,
        };
        while let Some(index) = quick_modes.iter().position(|q| is_meant(&q.state)) {
            quick_modes.remove(index).give_up(out);
        }
    }

    /// What the client deletes is gone for it already. The SPIs of ESP are those that *it* receives on.
    fn recv_delete(&mut self, by: Cookies, delete: &Delete, out: &mut Output) {
        for spi in &delete.spis {
            match delete.protocol {
                Protocol::ESP => {
                    let Ok(outbound_spi) = <[u8; 4]>::try_from(&spi[..]).map(u32::from_be_bytes) else {
                        continue;
                    };
                    let Some(index) = self.pairs.iter().position(|p| p.outbound_spi == outbound_spi) else {
                        continue;
                    };
                    let inbound_spi = self.pairs.remove(index).inbound_spi;
                    out.event(Event::EspDeleted { inbound_spi, outbound_spi });
                }
                Protocol::ISAKMP => {
                    // Some leave the SPI empty and mean the SA that it came under.
                    let cookies = Cookies::from_spi(spi).unwrap_or(by);
                    let Some(at) = self.find(cookies) else { continue };
                    for quick_mode in self.sas.remove(at).quick_modes {
                        quick_mode.give_up(out);
                    }
                    out.event(Event::IsakmpDeleted { cookies });
                }
                _ => (),
            }
        }
    }

    /// Asks whether the client is there; to be used only when it was silent. False if there is no SA to ask under, the
    /// client does not speak DPD, or a question is out already.
    pub fn start_dpd(&mut self, now: Instant, ctx: &mut Context<'_>, out: &mut Output) -> bool {
        let Some(established) = self.sas.iter_mut().rev().find(|e| e.sa.dpd && e.sa.quirks.probe_dpd) else {
            return false;
        };
        if established.probe.is_some() {
            return false;
        }
        if established.probe_seq == 0 {
            // RFC 3706 section 6.2: start at a random number, with room to count.
            established.probe_seq = ctx.entropy.u32() >> 1;
        }
        established.probe_seq += 1;
        let seq = established.probe_seq.to_be_bytes();
        out.send(established.sa.path, &established.sealed_dpd(ctx.entropy, NotifyType::R_U_THERE, &seq));
        established.probe = Some(Probe {
            tries_left: ctx.settings.dpd_tries.saturating_sub(1),
            interval: ctx.settings.dpd_interval,
            next: now + ctx.settings.dpd_interval,
        });
        true
    }

    pub(super) fn repeat_probe(&mut self, at: usize, now: Instant, ctx: &mut Context<'_>, out: &mut Output) {
        let established = &mut self.sas[at];
        let Some(probe) = established.probe.as_mut().filter(|probe| probe.next <= now) else { return };
        if probe.tries_left == 0 {
            established.probe = None;
            out.event(Event::DpdFailed);
            return;
        }
        probe.tries_left -= 1;
        probe.next = now + probe.interval;
        let seq = established.probe_seq.to_be_bytes();
        out.send(established.sa.path, &established.sealed_dpd(ctx.entropy, NotifyType::R_U_THERE, &seq));
    }

    /// Tells the client that a pair is no more, and forgets it.
    pub fn delete_esp(&mut self, ctx: &mut Context<'_>, inbound_spi: u32, out: &mut Output) {
        let Some(index) = self.pairs.iter().position(|pair| pair.inbound_spi == inbound_spi) else { return };
        self.pairs.remove(index);
        if let Some(established) = self.sas.last() {
            let delete = Delete::esp(&[inbound_spi]);
            let message = established.sealed(ctx.entropy, PayloadType::DELETE, |w| delete.emit(w));
            out.send(established.sa.path, &message);
        }
    }

    /// Says goodbye: Deletes for everything, ESP first, because the SA that protects the words goes last.
    pub fn delete_all(&mut self, ctx: &mut Context<'_>, out: &mut Output) {
        let spis: Vec<u32> = self.pairs.drain(..).map(|pair| pair.inbound_spi).collect();
        if let Some(established) = self.sas.last().filter(|_| !spis.is_empty()) {
            let delete = Delete::esp(&spis);
            let message = established.sealed(ctx.entropy, PayloadType::DELETE, |w| delete.emit(w));
            out.send(established.sa.path, &message);
        }
        for established in self.sas.drain(..) {
            let delete = Delete::isakmp(established.sa.cookies);
            let message = established.sealed(ctx.entropy, PayloadType::DELETE, |w| delete.emit(w));
            out.send(established.sa.path, &message);
        }
    }
}
