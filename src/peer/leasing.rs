//! Links whose address a DHCP server of the LAN gives: the link has its port first and its address later.

use super::seat::{Leasing, Member, State};
use super::{Ask, Context, Frame, LanPlace, LinkKey, Peer, Place};
use crate::hub::Ingress;
use crate::l2tp::SessionKey;
use crate::packet::{Drop, PacketBuf};
use crate::ppp::{self, AddressGrant};
use crate::story::Cause;
use crate::vnic::dhcp::{Client, Event, Identity, Lease};
use crate::wire::dhcp::ETHERNET;
use smol_str::ToSmolStr;
use std::time::Duration;

/// After so long without an address the LAN's silence is the likely cause, though it may answer yet.
const SUSPICIOUS: Duration = Duration::from_secs(3);

impl Peer {
    /// The link has its port: the LAN is asked for an address.
    pub(super) fn begin_lease(
        &mut self,
        cx: &mut Context<'_>,
        link: LinkKey,
        ingress: Ingress,
        lan: LanPlace,
    ) {
        let port = ingress.id();
        let entropy = cx.entropy.fork();
        let Some(seat) = self.seat(link.session) else {
            return cx.out.leave(link, Some(port), Cause::PeerLeft);
        };
        cx.out.opened_ports.push((ingress, lan.view.clone()));
        // Hardware type and MAC address: an identifier that administrators of LANs know.
        let client_id = [&[ETHERNET][..], &lan.mac.0].concat();
        let who = Identity { mac: lan.mac, client_id, host_name: lan.host_name.clone() };
        let frames = &mut cx.out.frames;
        let client = Client::new(cx.now, who, entropy, &mut |buf| frames.push(Frame { from: port, buf }));
        seat.state = State::Leasing(Box::new(Leasing { port, client: Box::new(client), lan }));
    }

    /// Takes a frame for the DHCP client of a link.
    ///
    /// # Errors
    /// When it is not for it.
    pub(super) fn lease_frame(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionKey,
        frame: &PacketBuf,
    ) -> Result<(), Drop> {
        let seat = self.seat(session).ok_or(Drop::NoPort)?;
        let (port, client) = client_of(&mut seat.state).ok_or(Drop::NoPort)?;
        if !client.concerns(frame) {
            return Err(Drop::NoPort);
        }
        let frames = &mut cx.out.frames;
        let event = client.recv(cx.now, frame, &mut |buf| frames.push(Frame { from: port, buf }))?;
        self.lease_event(cx, session, event);
        Ok(())
    }

    pub(super) fn lease_timeout(&mut self, cx: &mut Context<'_>, session: SessionKey) {
        let Some(seat) = self.seat(session) else { return };
        if matches!(seat.state, State::Leasing(_)) && seat.attempt.stuck_for(cx.now) >= SUSPICIOUS {
            seat.attempt.suspect(Cause::LanDhcpSilent);
        }
        let Some((port, client)) = client_of(&mut seat.state) else { return };
        let frames = &mut cx.out.frames;
        let event = client.handle_timeout(cx.now, &mut |buf| frames.push(Frame { from: port, buf }));
        self.lease_event(cx, session, event);
    }

    fn lease_event(&mut self, cx: &mut Context<'_>, session: SessionKey, event: Option<Event>) {
        match event {
            None => {}
            Some(Event::Bound(lease)) => self.bound(cx, session, &lease),
            Some(Event::Silent) => self.close_link(cx, session, Cause::LanDhcpSilent),
            Some(Event::Lost) => self.close_link(cx, session, Cause::LanDhcpLost),
        }
    }

    /// There is an address: the link takes its place.
    fn bound(&mut self, cx: &mut Context<'_>, session: SessionKey, lease: &Lease) {
        let link = self.link_key(session);
        let Some(seat) = self.seat(session) else { return };
        let State::Leasing(leasing) = std::mem::replace(&mut seat.state, State::Waiting) else { return };
        let Leasing { port, client, lan } = *leasing;
        let mut dns = lan.dns.as_ref().unwrap_or(&lease.dns).iter().copied();
        let grant = AddressGrant {
            address: lease.address,
            gateway: lan.gateway,
            dns: [dns.next(), dns.next()],
            wins: [None, None],
        };
        let (release, router) = (client.release(), lease.router.unwrap_or(lan.gateway));
        let LanPlace { view, mac, routes, rates, .. } = lan;
        let place = Place { view, mac, grant, network: lease.network, router, routes, rates };
        let mut member = Member::new(cx.now, port, place);
        member.lease = Some(client);
        seat.state = State::Joined(Box::new(member));
        cx.out.addressed_ports.push((port, lease.address));
        cx.out.asks.push(Ask::Leased { link, address: lease.address, release });
        let mut out = ppp::Output::default();
        seat.link.handle_address(cx.now, grant, &mut out);
        self.note_at(session, |attempt| attempt.detail_mut().address = grant.address.to_smolstr());
        self.pump_ppp(cx, session, out);
    }
}

fn client_of(state: &mut State) -> Option<(crate::hub::PortId, &mut Client)> {
    match state {
        State::Leasing(leasing) => Some((leasing.port, &mut leasing.client)),
        State::Joined(member) => Some((member.port, member.lease.as_deref_mut()?)),
        State::Stranger | State::Waiting => None,
    }
}
