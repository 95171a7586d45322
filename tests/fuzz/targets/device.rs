//! A device for the worker: the unbounded initiator below, ESP, and the client core's L2TP and PPP on top. It connects as
//! a client does, and says whatever it is told to under the keys that it got.

use super::initiator::Initiator;
use sekisho::client::lac::{self, Habits, Lac};
use sekisho::crypto::Secret;
use sekisho::crypto::engine::EspEngine;
use sekisho::entropy::Entropy;
use sekisho::esp::{Renewal, SaParams, Sad, Settings};
use sekisho::l2tp::is_control;
use sekisho::packet::{Encap, PacketBuf, Path};
use sekisho::ppp::{self, Class, Link, Login, Role};
use sekisho::wire::isakmp::{ExchangeType, Header, PayloadType};
use sekisho::wire::natt;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Most datagrams that wait to be sent.
const QUEUE: usize = 32;

/// One device.
pub(super) struct Device {
    login: Login,
    pub(super) initiator: Initiator,
    sad: Sad,
    engine: EspEngine,
    entropy: Entropy,
    lac: Lac,
    link: Link,
    /// Its address as the gateway sees it; the port is that of 4500.
    pub(super) remote: SocketAddr,
    /// What it is about to send: the way, and the payload of UDP.
    pub(super) queue: VecDeque<(Path, Vec<u8>)>,
    message_id: u32,
    number: u8,
}

impl Device {
    pub(super) fn new(number: u8, name: &str, remote: SocketAddr) -> Self {
        let login = Login { name: name.into(), password: Secret::from("a password, not that good") };
        let mut entropy = Entropy::from_number(number.into());
        Self {
            initiator: Initiator::new(number),
            sad: Sad::new(Settings::default()),
            engine: EspEngine::new(entropy.fork()),
            lac: Lac::new(Habits::android(), &mut entropy),
            link: new_link(&login, &mut entropy),
            login,
            entropy,
            remote,
            queue: VecDeque::new(),
            message_id: 0,
            number,
        }
    }

    /// Begins anew, or for the first time.
    pub(super) fn start(&mut self) {
        let message = self.initiator.main1(&[]);
        self.sad = Sad::new(Settings::default());
        self.lac = Lac::new(Habits::android(), &mut self.entropy);
        self.link = new_link(&self.login, &mut self.entropy);
        self.queue.clear();
        self.send_ike(Encap::Ike, message);
    }

    pub(super) fn path(&self, encap: Encap) -> Path {
        let port = match encap {
            Encap::Ike => 500,
            Encap::NatT => 4500,
            Encap::Esp => 0,
            Encap::L2tp => 1701,
        };
        let remote = match encap {
            Encap::Ike => SocketAddr::new(self.remote.ip(), 500 + u16::from(self.number)),
            _ => self.remote,
        };
        Path { encap, local: SocketAddr::from(([203, 0, 113, 1], port)), remote }
    }

    pub(super) fn is_me(&self, path: &Path) -> bool {
        path.remote == self.path(path.encap).remote
    }

    pub(super) fn send(&mut self, encap: Encap, bytes: Vec<u8>) {
        if self.queue.len() < QUEUE && !bytes.is_empty() {
            self.queue.push_back((self.path(encap), bytes));
        }
    }

    fn send_ike(&mut self, encap: Encap, message: Vec<u8>) {
        if message.is_empty() {
            return;
        }
        let marker: &[u8] = if encap == Encap::NatT { &natt::NON_ESP_MARKER } else { &[] };
        self.send(encap, [marker, &message].concat());
    }

    /// Protects the payload of an inner IP packet of this protocol.
    pub(super) fn send_esp(&mut self, now: Instant, payload: PacketBuf, next_header: u8) {
        if let Ok(mut job) = self.sad.seal(now, payload, next_header) {
            self.engine.seal(std::slice::from_mut(&mut job));
            self.send(Encap::NatT, job.buf.to_vec());
        }
    }

    pub(super) fn send_l2tp(&mut self, now: Instant, mut message: PacketBuf) {
        let length = (message.len() as u16).wrapping_add(8).to_be_bytes();
        message.put_front(&[0x06, 0xa5, 0x06, 0xa5, length[0], length[1], 0, 0]);
        self.send_esp(now, message, 17);
    }

    pub(super) fn send_ppp(&mut self, now: Instant, mut frame: PacketBuf) {
        if self.lac.put_data(&mut frame).is_ok() {
            self.send_l2tp(now, frame);
        }
    }

    /// An exchange under the ISAKMP SA, right in all but what is in it.
    pub(super) fn send_protected(&mut self, exchange: ExchangeType, argument: &[u8]) {
        self.message_id += 1;
        let message = match argument.split_first() {
            None => self.initiator.quick1(self.message_id, false),
            Some((first, chain)) => {
                self.initiator.protected(exchange, self.message_id, PayloadType(*first), chain)
            }
        };
        self.send_ike(Encap::NatT, message);
    }

    /// An ESP packet that looks right from outside: the argument stands behind SPI and sequence number.
    pub(super) fn send_forged(&mut self, argument: &[u8]) {
        let spi = self.initiator.pair.as_ref().map_or(0x0100_0000, |pair| pair.outbound_spi);
        self.send(Encap::NatT, [&spi.to_be_bytes(), argument].concat());
    }

    /// Takes what the gateway sent, and goes on with the connection.
    pub(super) fn receive(&mut self, now: Instant, path: &Path, bytes: &[u8]) {
        match path.encap {
            Encap::Ike => self.receive_ike(now, bytes),
            Encap::NatT => match natt::classify(bytes) {
                Ok(natt::Class::Ike(message)) => self.receive_ike(now, message),
                Ok(natt::Class::Esp(spi, packet)) => self.receive_esp(now, spi, packet),
                Ok(natt::Class::Keepalive) | Err(_) => {}
            },
            Encap::Esp | Encap::L2tp => {}
        }
    }

    fn receive_ike(&mut self, now: Instant, message: &[u8]) {
        let Ok((header, body)) = Header::parse(message) else { return };
        let old = self.initiator.pair.as_ref().map(|pair| pair.outbound_spi);
        self.initiator.take(message);
        match header.exchange {
            ExchangeType::IDENTITY_PROTECTION if header.is_encrypted() => {
                self.send_protected(ExchangeType::QUICK_MODE, &[]);
            }
            ExchangeType::IDENTITY_PROTECTION if body.first() == Some(&PayloadType::VENDOR_ID.0) => {
                let message = self.initiator.main3();
                self.send_ike(Encap::Ike, message);
            }
            ExchangeType::IDENTITY_PROTECTION => {
                let message = self.initiator.main5(&[]);
                self.send_ike(Encap::NatT, message);
            }
            ExchangeType::QUICK_MODE => {
                let message = self.initiator.quick3(self.message_id);
                self.send_ike(Encap::NatT, message);
                let Some(pair) = self.initiator.pair.as_ref().filter(|pair| Some(pair.outbound_spi) != old)
                else {
                    return;
                };
                let params = SaParams {
                    inbound_spi: pair.inbound_spi,
                    outbound_spi: pair.outbound_spi,
                    suite: pair.suite,
                    inbound_key: pair.inbound_key.clone(),
                    outbound_key: pair.outbound_key.clone(),
                    udp_encap: true,
                    life_seconds: None,
                    life_kilobytes: None,
                    confirmed: true,
                    renewal: Renewal::AtTheEnd,
                };
                let _ = self.sad.install(now, params);
                let mut out = lac::Output::default();
                self.lac.start(now, &mut out);
                self.pump_l2tp(now, out);
            }
            _ => {}
        }
    }

    fn receive_esp(&mut self, now: Instant, spi: u32, packet: &[u8]) {
        let Ok(mut job) = self.sad.admit(spi, true, PacketBuf::from_slice(packet)) else { return };
        self.engine.open(std::slice::from_mut(&mut job));
        let inner = self.sad.deliver(now, job).expect("the gateway seals what we can open");
        let mut buf = inner.buf;
        assert!(buf.pull_front(8).is_some(), "an inner packet without a UDP header");
        if is_control(&buf) {
            let mut out = lac::Output::default();
            let _ = self.lac.handle_control(now, &buf, &mut out);
            self.pump_l2tp(now, out);
        } else if self.lac.strip_data(&mut buf).is_ok()
            && self.link.strip_data(&mut buf) == Ok(Class::Control)
        {
            let mut out = ppp::Output::default();
            let _ = self.link.handle_frame(now, &buf, &mut out);
            self.pump_ppp(now, out);
        }
    }

    fn pump_l2tp(&mut self, now: Instant, out: lac::Output) {
        for packet in out.packets {
            self.send_l2tp(now, packet);
        }
        if out.events.contains(&lac::Event::Up) {
            let mut out = ppp::Output::default();
            self.link.start(now, &mut out);
            self.pump_ppp(now, out);
        }
    }

    fn pump_ppp(&mut self, now: Instant, out: ppp::Output) {
        for frame in out.frames {
            self.send_ppp(now, frame);
        }
    }

    /// Whether it has an address.
    pub(super) fn is_up(&self) -> bool {
        self.link.params().is_some()
    }
}

fn new_link(login: &Login, entropy: &mut Entropy) -> Link {
    let habits = ppp::Habits::android();
    Link::new(Role::Client(Box::new((login.clone(), habits))), Arc::default(), entropy.fork())
}
