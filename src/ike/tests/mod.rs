//! The responder against the client core, in memory, under a clock that only the test moves.

mod aggressive;
mod captures;
mod hostile;
mod main_mode;
mod quick_mode;
mod rekey;

use super::*;
use crate::client::ike::{self as client, Initiator};
use crate::packet::{Encap, PacketBuf, Path};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(super) const SERVER: &str = "203.0.113.1";
const CLIENT: &str = "192.168.7.20";
const NAT: &str = "198.51.100.77";

fn psk(id: u16, key: &str) -> Psk {
    Psk { id: PskId(id), key: key.into(), until: None, hub: None }
}

fn settings() -> Settings {
    Settings {
        psks: vec![psk(1, "old key"), psk(2, "the right key"), psk(3, "guests")],
        ..Settings::default()
    }
}

/// One client and the gateway's IKE, with a network between that can be a NAT on either side.
struct World {
    now: Instant,
    unix_now: u64,
    settings: Settings,
    entropy: Entropy,
    half: Option<Phase1>,
    ike: Ike,
    client: Initiator,
    /// The client's address and first port as the server sees them.
    client_nat: Option<(&'static str, u16)>,
    /// The server's address as the client sees it, if it differs.
    server_nat: Option<&'static str>,
    /// What the server sent, oldest first.
    replies: Vec<PacketBuf>,
    /// What the client sent.
    requests: Vec<(Path, PacketBuf)>,
    events: Vec<Event>,
    client_events: Vec<client::Event>,
    drops: Vec<Drop>,
    refusals: Vec<Refusal>,
    sas: Vec<EspSa>,
}

#[expect(clippy::disallowed_methods, reason = "an origin for the fake clock")]
fn origin() -> Instant {
    Instant::now()
}

impl World {
    fn new(config: client::Config) -> Self {
        Self {
            now: origin(),
            unix_now: 1_800_000_000,
            settings: settings(),
            entropy: Entropy::from_number(1),
            half: None,
            ike: Ike::new(),
            client: Initiator::new(config, Entropy::from_number(2)),
            client_nat: Some((NAT, 0)),
            server_nat: None,
            replies: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            client_events: Vec::new(),
            drops: Vec::new(),
            refusals: Vec::new(),
            sas: Vec::new(),
        }
    }

    fn without_nat(mut self) -> Self {
        self.client_nat = None;
        self
    }

    /// The client's view of its first path.
    fn client_path(&self) -> Path {
        Path {
            encap: Encap::Ike,
            local: SocketAddr::new(CLIENT.parse().unwrap(), 500),
            remote: SocketAddr::new(self.server_nat.unwrap_or(SERVER).parse().unwrap(), 500),
        }
    }

    /// The same way as the server sees it.
    fn server_path(&self, path: Path) -> Path {
        let remote = match self.client_nat {
            None => path.local,
            Some((nat, offset)) => SocketAddr::new(nat.parse().unwrap(), path.local.port() + offset),
        };
        let local = SocketAddr::new(SERVER.parse().unwrap(), path.remote.port());
        Path { encap: path.encap, local, remote }
    }

    /// Hands one message of the client to the server and returns what comes back.
    fn deliver(&mut self, path: Path, message: &[u8]) -> Vec<crate::packet::Transmit> {
        let mut out = Output::default();
        let path = self.server_path(path);
        let mut ctx = Context {
            settings: &self.settings,
            entropy: &mut self.entropy,
            worker: WorkerId(7),
            unix_now: self.unix_now,
            spi_taken: &|_| false,
        };
        let header = peek(message).unwrap();
        let result = if self.ike.owns(header.cookies) {
            self.ike.handle(self.now, &mut ctx, path, message, &mut out)
        } else if let Some(half) =
            self.half.as_mut().filter(|half| half.cookies().initiator == header.cookies.initiator)
        {
            half.handle(self.now, &mut ctx, path, message, &mut out)
        } else {
            match Phase1::recv_first(self.now, &mut ctx, path, message, &mut out) {
                Ok(half) => {
                    self.half = Some(half);
                    Ok(())
                }
                Err(refusal) => {
                    let drop = refusal.drop();
                    self.refusals.push(refusal);
                    Err(drop)
                }
            }
        };
        self.drops.extend(result.err());
        self.settle(out)
    }

    /// Does what the server's events ask for, until nothing is asked any more.
    fn settle(&mut self, mut out: Output) -> Vec<crate::packet::Transmit> {
        let mut packets = std::mem::take(&mut out.packets);
        for event in out.events {
            let mut more = Output::default();
            let mut ctx = Context {
                settings: &self.settings,
                entropy: &mut self.entropy,
                worker: WorkerId(7),
                unix_now: self.unix_now,
                spi_taken: &|_| false,
            };
            match event {
                Event::DhRequired { tag, job } => {
                    let result = job.run(ctx.entropy);
                    if tag == DhTag(0) {
                        self.half.as_mut().unwrap().handle_dh(self.now, &mut ctx, result, &mut more);
                    } else {
                        let result = self.ike.handle_dh(self.now, &mut ctx, tag, result, &mut more);
                        self.drops.extend(result.err());
                    }
                }
                Event::Established(sa) => {
                    self.half = None;
                    self.ike.adopt(&ctx, *sa, &mut more);
                }
                Event::EspReady(sa) => self.sas.push(*sa),
                Event::Refused(refusal) => self.refusals.push(*refusal),
                other => self.events.push(other),
            }
            packets.extend(self.settle(more));
        }
        packets
    }

    /// Lets messages flow until nobody has anything to say.
    fn run(&mut self, mut out: client::Output) {
        for _ in 0..32 {
            self.client_events.append(&mut out.events);
            if out.packets.is_empty() {
                return;
            }
            let mut next = client::Output::default();
            for packet in out.packets {
                self.requests.push((packet.path, packet.buf.clone()));
                for reply in self.deliver(packet.path, &packet.buf) {
                    self.replies.push(reply.buf.clone());
                    self.answer_to_client(packet.path, &reply.buf, &mut next);
                }
            }
            out = next;
        }
        panic!("the two never stop talking");
    }

    fn answer_to_client(&mut self, path: Path, message: &[u8], out: &mut client::Output) {
        let result = self.client.handle(self.now, path, message, out);
        self.drops.extend(result.err());
    }

    fn connect(&mut self) {
        let mut out = client::Output::default();
        let path = self.client_path();
        self.client.start(self.now, path, &mut out);
        self.run(out);
    }

    fn quick_mode(&mut self) {
        let mut out = client::Output::default();
        assert!(self.client.start_quick_mode(self.now, &mut out), "no ISAKMP SA");
        self.run(out);
    }

    /// Calls the server for something of its own accord, and lets the messages flow.
    fn server(&mut self, call: impl FnOnce(&mut Ike, Instant, &mut Context<'_>, &mut Output)) {
        let mut out = Output::default();
        let mut ctx = Context {
            settings: &self.settings,
            entropy: &mut self.entropy,
            worker: WorkerId(7),
            unix_now: self.unix_now,
            spi_taken: &|_| false,
        };
        call(&mut self.ike, self.now, &mut ctx, &mut out);
        let path = self.requests.last().unwrap().0;
        let mut next = client::Output::default();
        for packet in self.settle(out) {
            self.answer_to_client(path, &packet.buf, &mut next);
        }
        self.run(next);
    }

    fn sa(&self) -> &IsakmpSa {
        self.ike.isakmp_sas().next_back().expect("an ISAKMP SA")
    }

    /// Both sides have the same pairs with the same keys.
    fn assert_pairs_match(&self) {
        assert_eq!(self.client.pairs().len(), self.sas.len());
        for (theirs, ours) in self.client.pairs().iter().zip(&self.sas) {
            assert_eq!((theirs.inbound_spi, theirs.outbound_spi), (ours.outbound_spi, ours.inbound_spi));
            assert_eq!(theirs.suite, ours.suite);
            assert_eq!(theirs.inbound_key, ours.outbound_key);
            assert_eq!(theirs.outbound_key, ours.inbound_key);
            assert_eq!(theirs.udp_encap, ours.udp_encap);
            assert_eq!(ours.inbound_spi >> 24, 8, "the worker's number plus one");
        }
    }

    fn count(&self, test: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| test(event)).count()
    }
}

fn key() -> crate::crypto::Secret {
    "the right key".into()
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}
