//! One PPP link of a peer and, once its user is known, its place on a hub.

use super::{Meter, Place};
use crate::hub::{PortId, View};
use crate::l2tp::SessionKey;
use crate::ppp::Link;
use crate::story::Attempt;
use crate::vnic::{self, Vnic};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

/// A PPP link and its place on the hub.
pub(super) struct Seat {
    pub(super) session: SessionKey,
    pub(super) link: Link,
    pub(super) meter: Arc<Meter>,
    pub(super) state: State,
    /// The story of this link so far.
    pub(super) attempt: Attempt,
}

impl Seat {
    /// When one of the link's timers is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let vnic = match &self.state {
            State::Joined(member) => member.vnic.poll_timeout(),
            State::Stranger | State::Waiting => None,
        };
        self.link.poll_timeout().into_iter().chain(vnic).min()
    }

    /// Whether an IPv4 packet goes to the device's own address.
    pub(super) fn is_for_it_alone(&self, packet: &[u8]) -> bool {
        let State::Joined(member) = &self.state else { return false };
        packet.get(16..20) == Some(&member.address.octets()[..])
    }
}

/// How far the link is on its way to the hub. Frames flow in `Joined` alone, and only the gatehouse's answer to an
/// authenticated link makes one.
pub(super) enum State {
    /// Nobody is known yet.
    Stranger,
    /// The user is known; the worker has set a port number aside and the gatehouse has been asked for a place.
    Waiting,
    /// The link is on its hub.
    Joined(Box<Member>),
}

/// A link's place on its hub.
pub(super) struct Member {
    pub(super) port: PortId,
    pub(super) view: Arc<View>,
    pub(super) vnic: Vnic,
    pub(super) address: Ipv4Addr,
    /// Whether PPP has opened for IP.
    pub(super) up: bool,
    /// Whether the client has sent anything.
    pub(super) talked: bool,
}

impl Member {
    pub(super) fn new(port: PortId, place: Place) -> Self {
        let Place { view, mac, grant, network } = place;
        let ipv4 = vnic::Address { address: grant.address, network, gateway: Some(grant.gateway) };
        Self { port, view, vnic: Vnic::new(mac, ipv4), address: grant.address, up: false, talked: false }
    }
}
