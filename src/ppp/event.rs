//! What goes into a link besides frames, and what comes out.

use super::auth::{AuthMethod, AuthRequest};
use super::cause::Cause;
use crate::packet::PacketBuf;
use crate::wire::Writer;
use crate::wire::ppp::{Code, ControlPacket, Protocol, emit_header};
use std::net::Ipv4Addr;
use std::time::Duration;

/// What a link wants done: drain it after every call.
#[derive(Debug, Default)]
pub struct Output {
    /// Complete PPP frames to send, in this order. Each starts with FF 03.
    pub frames: Vec<PacketBuf>,
    /// What happened, in this order.
    pub events: Vec<Event>,
}

impl Output {
    /// Queues a frame.
    pub(super) fn send(&mut self, protocol: Protocol, information: impl FnOnce(&mut Writer)) {
        let mut w = Writer::new();
        emit_header(protocol, &mut w);
        information(&mut w);
        self.frames.push(PacketBuf::from_slice(w.as_slice()));
    }

    /// Queues a control packet.
    pub(super) fn send_control(&mut self, protocol: Protocol, code: Code, id: u8, data: &[u8]) {
        self.send(protocol, |w| ControlPacket { code, id, data }.emit(w));
    }
}

/// What happened on a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// LCP is open.
    Opened(Lcp),
    /// Server role: somebody wants to be let in. Answer with [`Link::handle_verdict`](super::Link::handle_verdict).
    AuthRequired(AuthRequest),
    /// Server role: the client wants an address. Answer with [`Link::handle_address`](super::Link::handle_address), or
    /// close the link.
    AddressWanted {
        /// The address that the client would like to have, if it named one.
        asked: Option<Ipv4Addr>,
    },
    /// IP flows.
    Up(LinkParams),
    /// The peer negotiates anew: nothing flows until the next [`Event::Up`]. After LCP, it must authenticate again.
    Suspended {
        /// Whether LCP started over, so that the authentication counts no more.
        lcp: bool,
    },
    /// The peer says what it is (RFC 1570 section 1.1), for example `MSRASV5.20`.
    Identification(String),
    /// The peer says how long it will stay (RFC 1570 section 1.2).
    TimeRemaining(Duration),
    /// The peer wanted to speak a protocol that we do not; it was told so. Once per protocol.
    Refused(Protocol),
    /// The longest packets of [`Link::start_sizing`](super::Link::start_sizing) vanish and short ones pass.
    Narrow {
        /// The longest that passes of those that were tried; none if no long one does.
        passes: Option<u16>,
    },
    /// The link is down; nothing follows.
    Down(Cause),
}

/// What LCP agreed upon.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lcp {
    /// The peer's MRU: the longest information field that it takes, in bytes. 1500 if it did not say.
    pub mru: u16,
    /// Our MRU, as the peer accepted it.
    pub our_mru: u16,
    /// Which protocol the authentication will use; `None` if there is none. Of EAP, the first method that we offer.
    pub auth: Option<AuthMethod>,
    /// Whether the peer takes one-byte protocol fields.
    pub pfc: bool,
    /// Whether the peer takes frames without FF 03.
    pub acfc: bool,
}

/// What a link that is up is like.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LinkParams {
    /// The client's address.
    pub address: Ipv4Addr,
    /// The server's address.
    pub gateway: Ipv4Addr,
    /// Client role: the name servers that the server named.
    pub dns: [Option<Ipv4Addr>; 2],
    /// The longest IP packet that the peer takes.
    pub mru: u16,
    /// The longest IP packet that we promised to take.
    pub our_mru: u16,
    /// How the client authenticated.
    pub auth: Option<AuthMethod>,
    /// Whether the peer takes one-byte protocol fields.
    pub pfc: bool,
    /// Whether the peer takes frames without FF 03.
    pub acfc: bool,
    /// Server role: whether the client has named the address that it was given, rather than none in the end.
    pub address_taken: bool,
}

/// The address that a client gets, and what it should know besides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AddressGrant {
    /// The client's address.
    pub address: Ipv4Addr,
    /// Our own address on the link.
    pub gateway: Ipv4Addr,
    /// Name servers; asked for and not set is rejected.
    pub dns: [Option<Ipv4Addr>; 2],
    /// NetBIOS name servers; the same.
    pub wins: [Option<Ipv4Addr>; 2],
}
