//! The DHCP client of a card whose address the LAN gives (RFC 2131 section 4.4): one for each link, with the link's MAC
//! address and the same identifier every time, so that the LAN's server knows a device again.
//!
//! Frames in, frames out. Replies are asked for as unicast: they go to this port alone, and a LAN of many links is spared
//! the copies.

use crate::entropy::Entropy;
use crate::packet::{Drop, PacketBuf};
use crate::wire::dhcp::{CLIENT_PORT, Code, Message, MessageType, REPLY, SERVER_PORT};
use crate::wire::ether::{Arp, EtherType, Frame, Mac, header};
use crate::wire::inet::{Ipv4, Network, udp_packet};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How long a client may wait for its first address: its owner waits with it, and gives up soon after.
const PATIENCE: Duration = Duration::from_secs(12);
/// The first wait for an answer; the next ones are twice as long (section 4.1, shortened: a person waits).
const FIRST_WAIT: Duration = Duration::from_millis(1000);
/// How long somebody who has the address already is listened for (section 2.2, RFC 5227).
const PROBE: Duration = Duration::from_millis(300);
/// The least wait between two attempts to prolong a lease (section 4.4.5).
const LEAST_RETRY: Duration = Duration::from_secs(60);
/// A lease that is said to be shorter is treated as this long.
const SHORTEST_LEASE: Duration = Duration::from_secs(60);
/// What is asked for (option 55).
const WANTED: [Code; 8] = [
    Code::SUBNET_MASK,
    Code::ROUTER,
    Code::DNS,
    Code::DOMAIN,
    Code::LEASE_TIME,
    Code::SERVER_ID,
    Code::RENEWAL_TIME,
    Code::REBINDING_TIME,
];

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The card's address.
    pub mac: Mac,
    /// Option 61: the same every time.
    pub client_id: Vec<u8>,
    /// Option 12, for the server's listing.
    pub host_name: String,
}

/// What the server gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The LAN.
    pub network: Network,
    /// The way out of it.
    pub router: Option<Ipv4Addr>,
    /// Name servers.
    pub dns: Vec<Ipv4Addr>,
    /// Who gave it.
    pub server: Ipv4Addr,
}

/// What came of a frame or of time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// There is an address.
    Bound(Lease),
    /// Nobody answered, or nobody who had an address to give.
    Silent,
    /// The address is no longer ours: its time is over, or the server wants it back.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// DISCOVER is out.
    Selecting,
    /// An offer is taken, REQUEST is out.
    Requesting,
    /// Listening whether somebody has the address.
    Probing,
    /// It is ours.
    Bound,
    /// Prolonging it with the server that gave it, or with any.
    Renewing,
    Rebinding,
    /// Nothing more will come.
    Over,
}

/// The client of one card.
#[derive(Debug)]
pub struct Client {
    who: Identity,
    state: State,
    entropy: Entropy,
    xid: u32,
    began: Instant,
    wait: Duration,
    due: Option<Instant>,
    lease: Option<Lease>,
    /// Where the server's frames come from.
    server_mac: Mac,
    renew_at: Instant,
    rebind_at: Instant,
    ends_at: Instant,
    /// Until then somebody waits for the first address.
    give_up_at: Instant,
}

impl Client {
    /// Begins to look for an address.
    #[must_use]
    pub fn new(now: Instant, who: Identity, entropy: Entropy, send: &mut impl FnMut(PacketBuf)) -> Self {
        let mut client = Self {
            who,
            state: State::Selecting,
            entropy,
            xid: 0,
            began: now,
            wait: FIRST_WAIT,
            due: None,
            lease: None,
            server_mac: Mac::BROADCAST,
            renew_at: now,
            rebind_at: now,
            ends_at: now + PATIENCE,
            give_up_at: now + PATIENCE,
        };
        client.discover(now, send);
        client
    }

    /// The address, while there is one.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease
            .as_ref()
            .filter(|_| matches!(self.state, State::Bound | State::Renewing | State::Rebinding))
    }

    /// Whether a frame may be this client's business; cheap, for every frame of the link passes here.
    #[must_use]
    pub fn concerns(&self, frame: &[u8]) -> bool {
        // UDP to port 68 behind a plain IPv4 header.
        let dhcp = frame.get(12..15) == Some(&[0x08, 0x00, 0x45])
            && frame.get(23) == Some(&17)
            && frame.get(36..38) == Some(&CLIENT_PORT.to_be_bytes());
        dhcp || self.state == State::Probing && frame.get(12..14) == Some(&EtherType::ARP.0.to_be_bytes())
    }

    /// Takes a frame that [concerns](Self::concerns) it.
    ///
    /// # Errors
    /// Why it was not for this client; the link may want it then.
    pub fn recv(
        &mut self,
        now: Instant,
        frame: &[u8],
        send: &mut impl FnMut(PacketBuf),
    ) -> Result<Option<Event>, Drop> {
        let view = Frame::parse(frame)?;
        if view.ethertype == EtherType::ARP {
            return Ok(self.recv_arp(now, &Arp::parse(view.payload)?, send));
        }
        let ip = Ipv4::parse(view.payload)?;
        let udp = ip.udp().filter(|udp| (udp.source, udp.destination) == (SERVER_PORT, CLIENT_PORT));
        let udp = udp.ok_or(Drop::NotCarried)?;
        let message = Message::parse(udp.payload)?;
        if message.op != REPLY || message.xid != self.xid || message.hardware() != self.who.mac.0 {
            return Err(Drop::NotCarried);
        }
        let Some(kind) = message.kind() else { return Ok(None) };
        match (self.state, kind) {
            (State::Selecting, MessageType::OFFER) => {
                if let Some(lease) = lease_of(&message) {
                    self.lease = Some(lease);
                    self.state = State::Requesting;
                    self.wait = FIRST_WAIT;
                    self.request(now, send);
                }
                Ok(None)
            }
            (State::Requesting | State::Renewing | State::Rebinding, MessageType::ACK) => {
                self.server_mac = view.source;
                Ok(self.acknowledged(now, &message, send))
            }
            (State::Requesting, MessageType::NAK) => {
                self.restart(now);
                Ok(None)
            }
            (State::Renewing | State::Rebinding, MessageType::NAK) => Ok(Some(self.lose())),
            _ => Ok(None),
        }
    }

    fn recv_arp(&mut self, now: Instant, arp: &Arp, send: &mut impl FnMut(PacketBuf)) -> Option<Event> {
        let address = self.lease.as_ref()?.address;
        // RFC 5227 section 2.1.1: somebody has it, or somebody else probes for it at the same time.
        let has = arp.sender == address;
        let wants = arp.sender.is_unspecified() && arp.target == address;
        if self.state == State::Probing && (has || wants) && arp.sender_mac != self.who.mac {
            let mut message = self.message(MessageType::DECLINE);
            self.name_lease(&mut message);
            send(self.frame(&message, None));
            self.restart(now);
        }
        None
    }

    /// When [`Self::handle_timeout`] has work.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Repeats what was not answered, prolongs what ends, gives up what has ended.
    pub fn handle_timeout(&mut self, now: Instant, send: &mut impl FnMut(PacketBuf)) -> Option<Event> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        match self.state {
            State::Selecting | State::Requesting if now >= self.ends_at => {
                self.over();
                return Some(Event::Silent);
            }
            State::Selecting => self.discover(now, send),
            State::Requesting => {
                self.request(now, send);
                if self.wait > FIRST_WAIT * 4 {
                    // The server that made the offer has gone.
                    self.restart(now);
                }
            }
            State::Probing => {
                self.state = State::Bound;
                self.due = Some(self.renew_at);
                return self.lease.clone().map(Event::Bound);
            }
            State::Bound | State::Renewing | State::Rebinding => {
                if now >= self.ends_at {
                    return Some(self.lose());
                }
                if self.state == State::Bound {
                    self.xid = self.entropy.u32();
                    self.began = now;
                }
                self.state = if now >= self.rebind_at { State::Rebinding } else { State::Renewing };
                let mut message = self.message(MessageType::REQUEST);
                if let Some(lease) = &self.lease {
                    message.ciaddr = lease.address;
                }
                message.secs = secs(self.began, now);
                let known = self.state == State::Renewing;
                send(self.frame(&message, known.then_some(self.server_mac)));
                // Section 4.4.5: half of what is left to the next step.
                let next = if known { self.rebind_at } else { self.ends_at };
                let half = next.saturating_duration_since(now) / 2;
                self.due = Some((now + half.max(LEAST_RETRY)).min(next));
            }
            State::Over => self.due = None,
        }
        None
    }

    /// The message that gives the address back, for when the link is over.
    #[must_use]
    pub fn release(&self) -> Option<PacketBuf> {
        let lease = self.lease()?;
        let mut message = self.message(MessageType::RELEASE);
        message.ciaddr = lease.address;
        message.push(Code::SERVER_ID, &lease.server.octets());
        Some(self.frame(&message, Some(self.server_mac)))
    }

    fn discover(&mut self, now: Instant, send: &mut impl FnMut(PacketBuf)) {
        if self.xid == 0 {
            self.xid = self.entropy.u32() | 1;
        }
        let mut message = self.message(MessageType::DISCOVER);
        message.secs = secs(self.began, now);
        send(self.frame(&message, None));
        self.wait_longer(now);
    }

    fn request(&mut self, now: Instant, send: &mut impl FnMut(PacketBuf)) {
        let mut message = self.message(MessageType::REQUEST);
        message.secs = secs(self.began, now);
        self.name_lease(&mut message);
        send(self.frame(&message, None));
        self.wait_longer(now);
    }

    fn wait_longer(&mut self, now: Instant) {
        self.due = Some((now + self.wait).min(self.ends_at));
        self.wait *= 2;
    }

    fn restart(&mut self, now: Instant) {
        self.state = State::Selecting;
        self.lease = None;
        self.xid = 0;
        self.wait = FIRST_WAIT;
        self.ends_at = self.give_up_at;
        // A server that offers and refuses in turn must not make a storm of it.
        self.due = Some((now + FIRST_WAIT).min(self.ends_at));
    }

    fn acknowledged(
        &mut self,
        now: Instant,
        message: &Message,
        send: &mut impl FnMut(PacketBuf),
    ) -> Option<Event> {
        let lease = lease_of(message)?;
        let first = self.state == State::Requesting;
        if !first && self.lease.as_ref().is_some_and(|old| old.address != lease.address) {
            return Some(self.lose());
        }
        let seconds = |code, default: Duration| {
            let said = message.option(code).and_then(|value| <[u8; 4]>::try_from(value).ok());
            said.map_or(default, |said| Duration::from_secs(u32::from_be_bytes(said).into()))
        };
        let term = seconds(Code::LEASE_TIME, Duration::from_secs(3600)).max(SHORTEST_LEASE);
        // Section 4.4.5.
        let renew = seconds(Code::RENEWAL_TIME, term / 2).min(term);
        let rebind = seconds(Code::REBINDING_TIME, term / 8 * 7).clamp(renew, term);
        (self.renew_at, self.rebind_at, self.ends_at) = (now + renew, now + rebind, now + term);
        let address = lease.address;
        self.lease = Some(lease);
        if first {
            self.state = State::Probing;
            send(Arp::request(self.who.mac, Ipv4Addr::UNSPECIFIED, address).frame(Mac::BROADCAST));
            self.due = Some(now + PROBE);
        } else {
            self.state = State::Bound;
            self.due = Some(self.renew_at);
        }
        None
    }

    fn lose(&mut self) -> Event {
        self.over();
        Event::Lost
    }

    fn over(&mut self) {
        self.state = State::Over;
        self.due = None;
    }

    fn message(&self, kind: MessageType) -> Message {
        let mut message = Message::request(self.xid, self.who.mac, kind);
        message.push(Code::CLIENT_ID, &self.who.client_id);
        if matches!(kind, MessageType::DISCOVER | MessageType::REQUEST) {
            if !self.who.host_name.is_empty() {
                message.push(Code::HOST_NAME, self.who.host_name.as_bytes());
            }
            message.push(Code::PARAMETER_LIST, &WANTED.map(|code| code.0));
        }
        message
    }

    /// Names the address that is asked for, or refused, and who offered it.
    fn name_lease(&self, message: &mut Message) {
        if let Some(lease) = &self.lease {
            message.push(Code::REQUESTED_ADDRESS, &lease.address.octets());
            message.push(Code::SERVER_ID, &lease.server.octets());
        }
    }

    /// A message in its frame: to the server whose station is known, else to all.
    fn frame(&self, message: &Message, to: Option<Mac>) -> PacketBuf {
        let server = self.lease.as_ref().map(|lease| lease.server).filter(|_| to.is_some());
        let to_all = (Ipv4Addr::BROADCAST, SERVER_PORT);
        let to_address = server.map_or(to_all, |server| (server, SERVER_PORT));
        let bytes = message.emit(1472);
        let mut buf = udp_packet((message.ciaddr, CLIENT_PORT), to_address, &bytes);
        let mac = to.unwrap_or(Mac::BROADCAST);
        buf.put_front(&header(mac, self.who.mac, EtherType::IPV4));
        buf
    }
}

fn secs(began: Instant, now: Instant) -> u16 {
    u16::try_from(now.saturating_duration_since(began).as_secs()).unwrap_or(u16::MAX)
}

/// What an offer or an acknowledgement gives; `None` if it is of no use.
fn lease_of(message: &Message) -> Option<Lease> {
    let address = message.yiaddr;
    let mask = message.address(Code::SUBNET_MASK).map_or(u32::MAX << 8, Ipv4Addr::to_bits);
    let prefix = mask.leading_ones();
    if prefix + mask.trailing_zeros() < 32 && mask != 0 {
        return None;
    }
    let network = Network::new(address, u8::try_from(prefix).ok()?).ok()?;
    let usable = !address.is_unspecified()
        && !address.is_multicast()
        && !address.is_broadcast()
        && !address.is_loopback()
        && network.is_host(address);
    let list = |code| {
        let (addresses, _) = message.option(code).unwrap_or_default().as_chunks::<4>();
        addresses.iter().map(|octets| Ipv4Addr::from(*octets)).collect::<Vec<_>>()
    };
    usable.then_some(())?;
    Some(Lease {
        address,
        network,
        router: list(Code::ROUTER).first().copied().filter(|router| network.is_host(*router)),
        dns: list(Code::DNS).into_iter().take(4).collect(),
        server: message.address(Code::SERVER_ID)?,
    })
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;
