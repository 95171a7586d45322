//! The hub's DHCP server (RFC 2131, RFC 2132): the same leases as the links', given out on the wire, and the answers to
//! the DHCPINFORM with which Windows and Apple clients ask over their link for routes and domain.
//!
//! A machine of its own: messages in, replies and probes out (`Step`); `hub/service.rs` puts frames around them.
//! Relays are refused: a hub is one segment.

mod options;

use super::lease::{self, Key, Pool, State, Term};
use super::{Mac, PortId};
use crate::packet::Drop;
use crate::wire::dhcp::{Code, Message, MessageType, REQUEST};
use crate::wire::inet::Network;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// How long an offered address is kept for the client that asked.
const OFFER: Duration = Duration::from_secs(60);
/// How long a probe waits for somebody who has the address already (RFC 2131 section 3.1 step 2).
const PROBE: Duration = Duration::from_millis(400);
/// How many probes are under way at once; further addresses are offered unprobed.
const PROBES: usize = 256;
/// How many addresses are tried for one client when probes find them in use.
const TRIES: usize = 4;
/// How long an answer over a link may be: what fits the smallest MTU that links have in practice.
const LINK_SIZE: usize = 1200;
/// How many addresses one station may hold (virtual machines behind one card, several client identifiers).
const PER_STATION: u32 = 8;

/// A network, and the router that leads there: the hub's gateway unless said.
pub type Route = (Network, Option<Ipv4Addr>);

/// What the server says beside addresses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether stations behind uplinks and bridges get addresses.
    pub serve: bool,
    /// Whether links' DHCPINFORM is answered.
    pub inform: bool,
    /// The server's own address; the hub's gateway unless said. Without any there is no server.
    pub server: Option<Ipv4Addr>,
    /// Whether the hub's gateway is told as router (option 3); links never hear it.
    pub router: bool,
    /// Name servers (6).
    pub dns: Vec<Ipv4Addr>,
    /// Time servers (42).
    pub ntp: Vec<Ipv4Addr>,
    /// NetBIOS name servers (44).
    pub wins: Vec<Ipv4Addr>,
    /// NetBIOS node type (46).
    pub netbios_node_type: Option<u8>,
    /// NetBIOS scope (47).
    pub netbios_scope: Option<String>,
    /// Domain (15).
    pub domain: Option<String>,
    /// Search list (119).
    pub search: Vec<String>,
    /// Routes (121 and 249) and their gateways, the hub's unless said. For links this is split tunnelling.
    pub routes: Vec<Route>,
    /// URL of a proxy configuration (252).
    pub wpad: Option<String>,
    /// Any other option; takes the place of one of the above.
    pub raw: Vec<RawOption>,
    /// Whether an address that is offered for the first time is probed by ARP.
    pub probe: bool,
}

impl Default for Settings {
    /// Answers DHCPINFORM, serves nobody.
    fn default() -> Self {
        Self {
            serve: false,
            inform: true,
            server: None,
            router: true,
            dns: Vec::new(),
            ntp: Vec::new(),
            wins: Vec::new(),
            netbios_node_type: None,
            netbios_scope: None,
            domain: None,
            search: Vec::new(),
            routes: Vec::new(),
            wpad: None,
            raw: Vec::new(),
            probe: true,
        }
    }
}

/// An option as bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawOption {
    /// Its code.
    pub code: u8,
    /// Its value; longer than 255 bytes is split (RFC 3396).
    pub value: Vec<u8>,
    /// Whether it is sent to clients that did not ask for it.
    pub always: bool,
}

/// Why a request is not answered, or answered with a refusal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// It came through a relay.
    #[error("relayed by {0}")]
    Relay(Ipv4Addr),
    /// Its sender asks for somebody else.
    #[error("sent by {sender} for another station")]
    ForeignHardware {
        /// Who sent it.
        sender: Mac,
    },
    /// No address for it.
    #[error(transparent)]
    Lease(#[from] lease::Refusal),
    /// The station holds as many addresses as it may.
    #[error("the station holds {0} addresses already")]
    TooMany(u32),
    /// The address that it asks for is not its own.
    #[error("{0} is not its address")]
    NotYours(Ipv4Addr),
    /// Every address tried was in use by somebody else.
    #[error("{0} addresses in a row were found in use")]
    AllInUse(usize),
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asker {
    /// Behind which port.
    pub(super) port: PortId,
    /// The frame's sender.
    pub(super) mac: Mac,
    /// The packet's sender.
    pub(super) source: Ipv4Addr,
    /// Whether the port is a client's.
    pub(super) link: bool,
}

/// What comes of a message.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing to say.
    Silence,
    /// Say this, in so many bytes at most.
    Reply(Box<Message>, usize),
    /// Ask the segment who has this address; an offer may follow.
    Probe(Ipv4Addr),
}

/// An address that is probed before it is offered.
#[derive(Debug)]
struct Probe {
    ends: Instant,
    asker: Asker,
    message: Message,
    tries: usize,
}

/// What a message is judged by.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a Settings,
    /// The routes for who asks.
    pub(super) routes: &'a [Route],
    pub(super) pool: &'a mut Pool,
    /// The server's address.
    pub(super) server: Ipv4Addr,
    /// The station that is known to have an address, if any.
    pub(super) mac_of: &'a dyn Fn(Ipv4Addr) -> Option<Mac>,
}

/// The server of one hub.
#[derive(Debug, Default)]
pub(super) struct Server {
    probes: BTreeMap<Ipv4Addr, Probe>,
}

impl Server {
    /// Handles a client's message.
    pub(super) fn recv(
        &mut self,
        cx: &mut Context<'_>,
        asker: Asker,
        message: Message,
    ) -> Result<Step, Error> {
        if message.op != REQUEST {
            return Err(Error::Drop(Drop::NotCarried));
        }
        if !message.giaddr.is_unspecified() {
            return Err(Refusal::Relay(message.giaddr).into());
        }
        let kind = message.kind().ok_or(Error::Drop(Drop::NotCarried))?;
        if kind == MessageType::INFORM {
            return self.recv_inform(cx, asker, &message);
        }
        // A link has its address by IPCP, and stations only where they are served.
        if asker.link || !cx.settings.serve {
            return Err(Error::Drop(Drop::NotCarried));
        }
        // The number of stations behind a port is bounded by their MAC addresses; whoever asks under others' would evade
        // that, and use up the pool.
        if message.htype == 1 && message.hardware() != asker.mac.0 {
            return Err(Refusal::ForeignHardware { sender: asker.mac }.into());
        }
        match kind {
            MessageType::DISCOVER => self.recv_discover(cx, asker, message, 0),
            MessageType::REQUEST => self.recv_request(cx, asker, &message),
            MessageType::DECLINE => self.recv_decline(cx, &message),
            MessageType::RELEASE => self.recv_release(cx, &message),
            _ => Err(Error::Drop(Drop::NotCarried)),
        }
    }

    /// RFC 2131 section 4.3.1.
    fn recv_discover(
        &mut self,
        cx: &mut Context<'_>,
        asker: Asker,
        message: Message,
        tries: usize,
    ) -> Result<Step, Error> {
        let key = key_of(&message);
        if self.probes.values().any(|probe| key_of(&probe.message) == key) {
            return Ok(Step::Silence);
        }
        for tries in tries..TRIES {
            let before = cx.pool.lease_of(&key).map(|lease| (lease.address, lease.state));
            // A client that forgot its lease still has it.
            let term = match before {
                Some((_, State::Leased(until))) if until > cx.now => Term::Until(until),
                _ => Term::Offer(cx.now + OFFER),
            };
            let address =
                self.acquire(cx, asker, &message, term, message.address(Code::REQUESTED_ADDRESS))?;
            if before.is_some_and(|(old, _)| old == address) || !cx.settings.probe {
                return Ok(offer(cx, &message, address));
            }
            if (cx.mac_of)(address).is_some_and(|mac| mac != asker.mac) {
                cx.pool.decline(cx.now, address);
                continue;
            }
            if self.probes.len() >= PROBES {
                return Ok(offer(cx, &message, address));
            }
            self.probes.insert(address, Probe { ends: cx.now + PROBE, asker, message, tries });
            return Ok(Step::Probe(address));
        }
        Err(Refusal::AllInUse(TRIES).into())
    }

    /// RFC 2131 section 4.3.2.
    fn recv_request(&mut self, cx: &mut Context<'_>, asker: Asker, message: &Message) -> Result<Step, Error> {
        let key = key_of(message);
        let chosen = message.address(Code::SERVER_ID);
        if chosen.is_some_and(|chosen| chosen != cx.server) {
            // Selecting another server: our offer is free again.
            if cx.pool.lease_of(&key).is_some_and(|lease| matches!(lease.state, State::Offered(_))) {
                cx.pool.release(cx.now, &key);
            }
            return Ok(Step::Silence);
        }
        // Selecting and INIT-REBOOT name the address in an option; renewing and rebinding use it already.
        let wanted = message.address(Code::REQUESTED_ADDRESS).unwrap_or(message.ciaddr);
        let server = cx.server;
        let nak = |why: Refusal| Err(Error::Nak(Box::new(options::nak(server, message, &why)), why));
        if wanted.is_unspecified() || !cx.pool.settings().network.contains(wanted) {
            return nak(Refusal::NotYours(wanted));
        }
        // Ours is the only server of the segment, so we speak for addresses of which we know nothing, too: after the loss
        // of the leases file clients keep theirs.
        let held = cx.pool.lease_of(&key).filter(|lease| lease.state.is_held()).map(|lease| lease.address);
        if held.is_some_and(|held| held != wanted) {
            return nak(Refusal::NotYours(wanted));
        }
        let until = cx.now + cx.pool.settings().lease;
        match self.acquire(cx, asker, message, Term::Until(until), Some(wanted)) {
            Ok(address) if address == wanted => {
                self.probes.remove(&address);
                Ok(Step::Reply(Box::new(options::ack(cx, message, address)), message.max_size()))
            }
            Ok(_) => {
                cx.pool.release(cx.now, &key);
                nak(Refusal::NotYours(wanted))
            }
            Err(Error::Refused(refusal)) => nak(refusal),
            Err(error) => Err(error),
        }
    }

    /// RFC 2131 section 4.3.3: the client found its address in use.
    fn recv_decline(&mut self, cx: &mut Context<'_>, message: &Message) -> Result<Step, Error> {
        let address = message.address(Code::REQUESTED_ADDRESS).unwrap_or(message.ciaddr);
        let ours = message.address(Code::SERVER_ID).is_none_or(|server| server == cx.server);
        let own = cx.pool.lease_of(&key_of(message)).is_some_and(|lease| lease.address == address);
        if !ours || !own {
            return Err(Refusal::NotYours(address).into());
        }
        cx.pool.decline(cx.now, address);
        Ok(Step::Silence)
    }

    /// RFC 2131 section 4.3.4.
    fn recv_release(&mut self, cx: &mut Context<'_>, message: &Message) -> Result<Step, Error> {
        let key = key_of(message);
        if cx
            .pool
            .lease_of(&key)
            .is_none_or(|lease| lease.address != message.ciaddr || !lease.state.is_held())
        {
            return Err(Refusal::NotYours(message.ciaddr).into());
        }
        cx.pool.release(cx.now, &key);
        Ok(Step::Silence)
    }

    /// RFC 2131 section 4.3.5: the client has its address and wants the rest.
    fn recv_inform(&mut self, cx: &mut Context<'_>, asker: Asker, message: &Message) -> Result<Step, Error> {
        let answered = if asker.link { cx.settings.inform } else { cx.settings.serve };
        if !answered {
            return Err(Error::Drop(Drop::NotCarried));
        }
        // No client over a link was seen to have the limit of old boot loaders, and routes need room.
        let size = if asker.link { message.max_size().max(LINK_SIZE) } else { message.max_size() };
        Ok(Step::Reply(Box::new(options::inform(cx, asker, message)), size))
    }

    fn acquire(
        &mut self,
        cx: &mut Context<'_>,
        asker: Asker,
        message: &Message,
        term: Term,
        wish: Option<Ipv4Addr>,
    ) -> Result<Ipv4Addr, Error> {
        let key = key_of(message);
        let held = cx.pool.held_by(asker.mac);
        let has_one = cx.pool.lease_of(&key).is_some_and(|lease| lease.state.is_held());
        if held >= PER_STATION && !has_one {
            return Err(Refusal::TooMany(held).into());
        }
        let name = message.option(Code::HOST_NAME).and_then(host_name);
        let request = lease::Request { wish, name, ..lease::Request::new(cx.now, key, asker.mac, term) };
        Ok(cx.pool.acquire(request).map_err(Refusal::from)?)
    }

    /// Hears that a station claims an address. If that one is being probed, the client gets another.
    pub(super) fn claimed(
        &mut self,
        cx: &mut Context<'_>,
        address: Ipv4Addr,
        by: Mac,
    ) -> Option<(Asker, Result<Step, Error>)> {
        if self.probes.get(&address)?.asker.mac == by {
            return None;
        }
        let Probe { asker, message, tries, .. } = self.probes.remove(&address)?;
        cx.pool.decline(cx.now, address);
        Some((asker, self.recv_discover(cx, asker, message, tries + 1)))
    }

    /// When the next probe ends.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.probes.values().map(|probe| probe.ends).min()
    }

    /// Ends one probe that nobody answered, with the offer; call until it returns `None`.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>) -> Option<(Asker, Step)> {
        let due = self.probes.iter().find(|(_, probe)| probe.ends <= cx.now);
        let address = *due?.0;
        let Probe { asker, message, .. } = self.probes.remove(&address)?;
        // It may have been given to somebody else by a reservation meanwhile.
        let kept = cx.pool.lease_of(&key_of(&message)).is_some_and(|lease| lease.address == address);
        let step = if kept { offer(cx, &message, address) } else { Step::Silence };
        Some((asker, step))
    }

    /// Forgets the probes for clients behind a port that closes.
    pub(super) fn forget(&mut self, port: PortId) {
        self.probes.retain(|_, probe| probe.asker.port != port);
    }
}

fn offer(cx: &Context<'_>, message: &Message, address: Ipv4Addr) -> Step {
    Step::Reply(Box::new(options::offer(cx, message, address)), message.max_size())
}

/// What identifies a client: its identifier, or else its hardware address (RFC 2131 section 4.2). An identifier that is
/// the hardware address is the same client as one without.
fn key_of(message: &Message) -> Key {
    let id = message.option(Code::CLIENT_ID).filter(|id| id.len() >= 2);
    Key::Station(id.map_or_else(|| [&[message.htype], message.hardware()].concat().into(), Into::into))
}

/// A name fit for listings and logs: letters, digits, dots, dashes, underscores.
fn host_name(value: &[u8]) -> Option<Box<str>> {
    let fit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let name: String = value.iter().filter(|byte| fit(byte)).take(63).map(|byte| char::from(*byte)).collect();
    (!name.is_empty()).then(|| name.into())
}

/// Why a message is not granted.
#[derive(Debug)]
pub(super) enum Error {
    /// It is none of ours.
    Drop(Drop),
    /// It is refused in silence.
    Refused(Refusal),
    /// It is refused, and the client told so.
    Nak(Box<Message>, Refusal),
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
