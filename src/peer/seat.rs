//! One PPP link of a peer and, once its user is known, its place on a hub.

use super::names::NameServers;
use super::pace::{Pace, Rates};
use super::{LanPlace, Meter, Place};
use crate::hub::{PortId, View};
use crate::l2tp::SessionKey;
use crate::ppp::Link;
use crate::story::{Attempt, Cause};
use crate::vnic::{self, Vnic, dhcp};
use smol_str::SmolStr;
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
        let (vnic, lease) = match &self.state {
            State::Joined(member) => {
                (member.vnic.poll_timeout(), member.lease.as_ref().and_then(|client| client.poll_timeout()))
            }
            State::Leasing(leasing) => (None, leasing.client.poll_timeout()),
            State::Stranger | State::Waiting => (None, None),
        };
        self.link.poll_timeout().into_iter().chain(vnic).chain(lease).min()
    }

    /// Whether so many bytes may go to the device now.
    pub(super) fn may_be_sent(&mut self, now: Instant, bytes: usize) -> bool {
        let State::Joined(member) = &mut self.state else { return true };
        member.down_pace.as_mut().is_none_or(|pace| pace.take(now, bytes))
    }

    /// A packet of the client is on its way into the hub: is it one more question that its name servers leave unanswered?
    pub(super) fn note_question(&mut self, now: Instant, packet: &[u8]) {
        let State::Joined(member) = &mut self.state else { return };
        if !member.names.asked(now, packet) {
            return;
        }
        self.attempt.suspect(Cause::DnsUnreachable);
        let note = member.names.note();
        tracing::info!(user = %self.attempt.detail().user, hub = %self.attempt.detail().hub, note, "name servers are silent");
        let detail = self.attempt.detail_mut();
        if detail.note.is_empty() {
            detail.note = note.into();
        }
    }

    /// A packet is on its way to the client: do its name servers answer after all?
    pub(super) fn note_answer(&mut self, packet: &[u8]) {
        let State::Joined(member) = &mut self.state else { return };
        if member.names.answered(packet) {
            self.attempt.absolve(Cause::DnsUnreachable);
            let note = member.names.note();
            if self.attempt.detail().note == note {
                self.attempt.detail_mut().note = SmolStr::default();
            }
        }
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
    /// The link has its port, and waits for an address of the LAN.
    Leasing(Box<Leasing>),
    /// The link is on its hub.
    Joined(Box<Member>),
}

impl State {
    /// The port that the link has.
    pub(super) fn port(&self) -> Option<PortId> {
        match self {
            Self::Joined(member) => Some(member.port),
            Self::Leasing(leasing) => Some(leasing.port),
            Self::Stranger | Self::Waiting => None,
        }
    }
}

/// A link's place on its hub.
pub(super) struct Member {
    pub(super) port: PortId,
    pub(super) view: Arc<View>,
    pub(super) vnic: Vnic,
    pub(super) address: Ipv4Addr,
    /// How fast the device may send, and be sent to.
    pub(super) up_pace: Option<Pace>,
    pub(super) down_pace: Option<Pace>,
    rates: Rates,
    /// Whether PPP has opened for IP.
    pub(super) up: bool,
    /// Whether the client has sent anything.
    pub(super) talked: bool,
    /// Whether the name servers that it was given answer it.
    pub(super) names: NameServers,
    /// Who keeps an address of the LAN.
    pub(super) lease: Option<Box<dhcp::Client>>,
}

/// A link that waits for its address.
pub(super) struct Leasing {
    pub(super) port: PortId,
    pub(super) client: Box<dhcp::Client>,
    pub(super) lan: LanPlace,
}

impl Member {
    pub(super) fn new(now: Instant, port: PortId, place: Place) -> Self {
        let Place { view, mac, grant, network, router, routes, rates } = place;
        let ipv4 = vnic::Address { address: grant.address, network, gateway: Some(router) };
        let mut member = Self {
            port,
            view,
            vnic: Vnic::new(mac, ipv4),
            address: grant.address,
            up_pace: None,
            down_pace: None,
            rates: Rates::default(),
            up: false,
            talked: false,
            names: NameServers::new(grant.dns),
            lease: None,
        };
        member.vnic.set_routes(routes);
        member.set_rates(now, rates);
        member
    }

    /// Changes how fast the device may be. A direction whose rate stays keeps what it owes.
    pub(super) fn set_rates(&mut self, now: Instant, rates: Rates) {
        let pace = |rate: Option<u64>| rate.map(|bits| Pace::new(now, bits));
        if rates.up != self.rates.up {
            self.up_pace = pace(rates.up);
        }
        if rates.down != self.rates.down {
            self.down_pace = pace(rates.down);
        }
        self.rates = rates;
    }
}
