//! The IKE responder as its peer and its worker drive it: half-open exchanges, one peer's SAs, time, and a client that
//! knows the key.

use super::initiator::{self, GROUP, Initiator, PSK};
use super::steps::{number, origin, steps};
use sekisho::crypto::Secret;
use sekisho::crypto::dh::DhJob;
use sekisho::entropy::Entropy;
use sekisho::ike::{Context, DhTag, Event, Group, Ike, Output, Phase1, Psk, PskId, Settings, peek};
use sekisho::packet::{Encap, Path, WorkerId};
use sekisho::wire::isakmp::{Cookies, ExchangeType, PayloadType};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Most half-open exchanges that are kept: the worker has its own bounds.
const HALF_OPEN: usize = 8;

/// What a step can be. The numbers are those of the corpus: new ones go to the end.
pub(crate) mod op {
    /// A datagram as it is.
    pub(crate) const RAW: u8 = 0;
    /// The next message of Main Mode; the argument goes into message 1 (SA payload) or 5 (more payloads).
    pub(crate) const MAIN: u8 = 1;
    /// The next message of Aggressive Mode.
    pub(crate) const AGGRESSIVE: u8 = 2;
    /// An Informational: type of the first payload, then the chain.
    pub(crate) const INFORMATIONAL: u8 = 3;
    /// A Quick Mode 1: type of the first payload, then the chain; without argument the usual.
    pub(crate) const QUICK_1: u8 = 4;
    /// Quick Mode 3 for the last Quick Mode 1.
    pub(crate) const QUICK_3: u8 = 5;
    /// Time goes by: seconds.
    pub(crate) const TIME: u8 = 6;
    /// The owner does something: what, and to which pair.
    pub(crate) const OWNER: u8 = 7;
    /// The last message again.
    pub(crate) const AGAIN: u8 = 8;
    /// The results of the key agreements come.
    pub(crate) const AGREED: u8 = 9;
    /// A datagram with the cookies of the exchange: all but the first 16 bytes.
    pub(crate) const OUR_COOKIES: u8 = 10;
    /// A Quick Mode 1 with PFS.
    pub(crate) const QUICK_1_PFS: u8 = 11;
}

struct Responder {
    now: Instant,
    settings: Settings,
    entropy: Entropy,
    half_open: Vec<Phase1>,
    ike: Ike,
    /// Our SPIs of the pairs.
    pairs: Vec<u32>,
    /// With the exchange that asked, unless it is one of the peer's.
    jobs: Vec<(DhTag, Option<Cookies>, DhJob)>,
    /// The half-open exchange that is spoken to, unless it is the newest.
    speaker: Option<Cookies>,
    client: Initiator,
    last: Vec<u8>,
    message_id: u32,
    /// The next message of Phase 1.
    stage: u8,
}

fn settings() -> Settings {
    let psk = |id, key: &str| Psk { id: PskId(id), key: Secret::from(key), until: None, hub: None };
    Settings {
        psks: vec![psk(1, "another key"), psk(2, PSK)],
        groups: vec![Group { name: GROUP.to_vec(), psk: psk(3, PSK) }],
        ..Settings::default()
    }
}

fn path() -> Path {
    Path {
        encap: Encap::NatT,
        local: SocketAddr::from(([203, 0, 113, 1], 4500)),
        remote: SocketAddr::from(([198, 51, 100, 7], 4500)),
    }
}

/// A sequence of steps.
pub(super) fn ike(bytes: &[u8]) {
    let mut world = Responder {
        now: origin(),
        settings: settings(),
        entropy: Entropy::from_number(1),
        half_open: Vec::new(),
        ike: Ike::new(),
        pairs: Vec::new(),
        jobs: Vec::new(),
        speaker: None,
        client: Initiator::new(1),
        last: Vec::new(),
        message_id: 0,
        stage: 0,
    };
    for (op, argument) in steps(bytes) {
        world.step(op, argument);
        world.check();
    }
    world.forget();
}

impl Responder {
    fn step(&mut self, op: u8, argument: &[u8]) {
        let (first, rest) =
            argument.split_first().map_or((PayloadType::NONE, argument), |(f, r)| (PayloadType(*f), r));
        match op % 12 {
            op::RAW => self.deliver(argument),
            op::MAIN => {
                let message = match self.stage % 3 {
                    0 => self.client.main1(argument),
                    1 => self.client.main3(),
                    _ => self.client.main5(argument),
                };
                self.stage = (self.stage + 1) % 3;
                self.deliver(&message);
                self.agreed();
            }
            op::AGGRESSIVE => {
                let message = if self.stage == 0 {
                    self.client.aggressive1()
                } else {
                    self.client.aggressive3(argument)
                };
                self.stage = u8::from(self.stage == 0) * 2;
                self.deliver(&message);
                self.agreed();
            }
            op::INFORMATIONAL => {
                self.message_id += 1;
                let message =
                    self.client.protected(ExchangeType::INFORMATIONAL, self.message_id, first, rest);
                self.deliver(&message);
            }
            op::QUICK_1 | op::QUICK_1_PFS => {
                self.message_id += 1;
                let message = if argument.is_empty() || op % 12 == op::QUICK_1_PFS {
                    self.client.quick1(self.message_id, op % 12 == op::QUICK_1_PFS)
                } else {
                    self.client.protected(ExchangeType::QUICK_MODE, self.message_id, first, rest)
                };
                self.deliver(&message);
            }
            op::QUICK_3 => {
                let message = self.client.quick3(self.message_id);
                self.deliver(&message);
            }
            op::TIME => self.pass(Duration::from_secs(number(argument) as u64)),
            op::OWNER => self.owner(argument),
            op::AGAIN => {
                let last = self.last.clone();
                self.deliver(&last);
            }
            op::AGREED => self.agreed(),
            _ => {
                let mut message = self.client.cookies.bytes().to_vec();
                message.extend_from_slice(argument);
                self.deliver(&message);
            }
        }
    }

    /// Calls into the machines with what they are lent.
    fn with<R>(
        &mut self,
        call: impl FnOnce(&mut Ike, &mut Vec<Phase1>, Instant, &mut Context<'_>, &mut Output) -> R,
    ) -> R {
        let mut out = Output::default();
        let pairs = self.pairs.clone();
        let taken = move |spi: u32| pairs.contains(&spi);
        let mut ctx = Context {
            settings: &self.settings,
            entropy: &mut self.entropy,
            worker: WorkerId(7),
            unix_now: 1_800_000_000,
            spi_taken: &taken,
        };
        let result = call(&mut self.ike, &mut self.half_open, self.now, &mut ctx, &mut out);
        self.carry_out(out);
        result
    }

    fn deliver(&mut self, message: &[u8]) {
        self.last = message.to_vec();
        let Ok(header) = peek(message) else { return };
        let owned = self.ike.owns(header.cookies);
        let known =
            self.half_open.iter().position(|half| half.cookies().initiator == header.cookies.initiator);
        self.speaker = known.map(|at| self.half_open[at].cookies());
        self.with(|ike, half_open, now, ctx, out| match known {
            _ if owned => {
                let _ = ike.handle(now, ctx, path(), message, out);
            }
            Some(at) => {
                let _ = half_open[at].handle(now, ctx, path(), message, out);
            }
            None => match Phase1::recv_first(now, ctx, path(), message, out) {
                Ok(half) => {
                    if half_open.len() == HALF_OPEN {
                        half_open.remove(0);
                    }
                    half_open.push(half);
                }
                Err(refusal) => assert!(!refusal.to_string().is_empty()),
            },
        });
    }

    fn carry_out(&mut self, out: Output) {
        for transmit in out.packets {
            assert!(!transmit.buf.is_empty() && transmit.buf.len() < 65_000);
            let (header, body) =
                sekisho::wire::isakmp::Header::parse(&transmit.buf).expect("our own message");
            assert_eq!(body.len() + 28, transmit.buf.len());
            assert!(header.flags.0 & !1 == 0, "racoon drops any flag but Encryption");
            self.client.take(&transmit.buf);
        }
        for event in out.events {
            match event {
                Event::DhRequired { tag, job } => {
                    let newest = || self.half_open.last().map(Phase1::cookies);
                    let half = if tag == DhTag(0) { self.speaker.or_else(newest) } else { None };
                    self.jobs.push((tag, half, job));
                }
                Event::Established(sa) => {
                    self.half_open.retain(|half| half.cookies() != sa.cookies);
                    self.with(|ike, _, _, ctx, out| ike.adopt(ctx, *sa, out));
                }
                Event::EspReady(sa) => {
                    assert_eq!(sa.inbound_spi >> 24, 8, "the worker's number plus one");
                    assert_eq!(sa.inbound_key.len(), sa.suite.key_len());
                    assert!(!self.pairs.contains(&sa.inbound_spi), "an SPI is given once");
                    self.pairs.push(sa.inbound_spi);
                }
                Event::EspDeleted { inbound_spi, .. } => self.pairs.retain(|spi| *spi != inbound_spi),
                other => assert!(!format!("{other:?}").is_empty()),
            }
        }
    }

    fn agreed(&mut self) {
        for (tag, half, job) in std::mem::take(&mut self.jobs) {
            let result = initiator::agree(&job);
            self.speaker = half;
            self.with(|ike, half_open, now, ctx, out| match half {
                None => {
                    let _ = ike.handle_dh(now, ctx, tag, result, out);
                }
                Some(cookies) => {
                    if let Some(half) = half_open.iter_mut().find(|half| half.cookies() == cookies) {
                        half.handle_dh(now, ctx, result, out);
                    }
                }
            });
        }
    }

    fn owner(&mut self, argument: &[u8]) {
        let spi =
            self.pairs.get(number(argument.get(1..).unwrap_or_default())).copied().unwrap_or(0x0800_0000);
        let choice = argument.first().copied().unwrap_or(0);
        self.with(|ike, _, now, ctx, out| match choice % 7 {
            0 => {
                let _ = ike.start_dpd(now, ctx, out);
            }
            1 => {
                let _ = ike.start_quick_mode(now, ctx, spi, out);
            }
            2 => ike.delete_esp(ctx, spi, out),
            3 => ike.delete_all(ctx, out),
            4 => ike.heard(),
            5 => ike.moved(path()),
            _ => ike.forget_esp(spi),
        });
        if matches!(choice % 7, 2 | 6) {
            self.pairs.retain(|known| *known != spi);
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut fired = 0;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.with(|ike, half_open, now, ctx, out| {
                half_open.iter_mut().for_each(|half| half.handle_timeout(now, out));
                half_open.retain(|half| !half.is_done());
                ike.handle_timeout(now, ctx, out);
            });
            assert!(self.next().is_none_or(|next| next > self.now), "a timer fires and does not advance");
            fired += 1;
            assert!(fired < 1000, "timers without end");
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        self.half_open.iter().filter_map(Phase1::poll_timeout).chain(self.ike.poll_timeout()).min()
    }

    fn check(&self) {
        assert!(self.half_open.len() <= HALF_OPEN);
        assert!(self.ike.isakmp_sas().count() <= 8, "SAs of one peer are bounded");
        assert!(self.jobs.len() <= 64);
    }

    /// Left alone, everything ends.
    fn forget(&mut self) {
        self.pass(Duration::from_secs(120));
        assert!(self.half_open.is_empty(), "a half-open exchange ends by itself");
    }
}
