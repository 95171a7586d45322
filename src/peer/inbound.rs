//! The walk in: a decrypted packet loses its UDP, L2TP and PPP headers and becomes an Ethernet frame on the hub. The
//! payload's bytes do not move.

use super::seat::State;
use super::{Context, Frame, Peer, inner_udp};
use crate::crypto::engine::OpenJob;
use crate::l2tp::is_control;
use crate::packet::{Drop, Encap, PacketBuf, Path};
use crate::ppp::Class;
use crate::story::Stage;

/// IP protocol number of UDP.
const UDP: u8 = 17;
/// Next header of a packet that only hides traffic patterns (RFC 4303 section 2.6).
const DUMMY: u8 = 59;

impl Peer {
    /// First look at an ESP packet: is its SA ours and current, could its sequence number be new? Changes nothing.
    ///
    /// # Errors
    /// The reason why it is not worth decrypting.
    pub fn admit(&mut self, spi: u32, path: &Path, buf: PacketBuf) -> Result<OpenJob, Drop> {
        self.sad.admit(spi, path.encap == Encap::NatT, buf)
    }

    /// Takes a packet that the ESP engine has opened.
    ///
    /// # Errors
    /// The reason why it goes no further.
    pub fn deliver(&mut self, cx: &mut Context<'_>, path: Path, job: OpenJob) -> Result<(), Drop> {
        let inner = self.sad.deliver(cx.now, job)?;
        self.heard(cx);
        if inner.next_header == DUMMY {
            cx.out.spent.push(inner.buf);
            return Ok(());
        }
        if inner.newest && path != self.data_path {
            self.move_path(path);
        }
        if inner.next_header != UDP {
            return Err(Drop::NotCarried);
        }
        let mut buf = inner.buf;
        let port = inner_udp::strip(&mut buf)?;
        self.deliver_l2tp(cx, port, buf)
    }

    /// Takes a clear-text L2TP message.
    ///
    /// # Errors
    /// The reason why it goes no further.
    pub fn deliver_raw(&mut self, cx: &mut Context<'_>, path: Path, buf: PacketBuf) -> Result<(), Drop> {
        self.deliver_l2tp(cx, path.remote.port(), buf)?;
        self.heard(cx);
        Ok(())
    }

    /// The device was heard: an authenticated packet came.
    pub(super) fn heard(&mut self, cx: &Context<'_>) {
        self.heard = cx.now;
        self.lns.heard(cx.now);
        if let Some(ike) = &mut self.ike {
            ike.heard();
        }
        for seat in &self.seats {
            seat.meter.heard(cx.millis);
        }
    }

    /// The device's NAT has given it another address or port.
    fn move_path(&mut self, path: Path) {
        tracing::info!(peer = %path, from = %self.data_path, "path moved");
        if path.encap == Encap::NatT {
            self.ike_path = path;
            if let Some(ike) = &mut self.ike {
                ike.moved(path);
            }
        }
        self.data_path = path;
    }

    fn deliver_l2tp(&mut self, cx: &mut Context<'_>, port: u16, mut buf: PacketBuf) -> Result<(), Drop> {
        if is_control(&buf) {
            let handled = self.handle_l2tp_control(cx, port, &buf);
            cx.out.spent.push(buf);
            return handled;
        }
        let session = self.lns.strip_data(&mut buf)?;
        let seat = self.seat(session).ok_or(Drop::UnknownSession)?;
        match seat.link.strip_data(&mut buf)? {
            Class::Control => {
                let handled = self.handle_ppp_control(cx, session, &buf);
                cx.out.spent.push(buf);
                handled
            }
            Class::Ipv4 => {
                let State::Joined(member) = &mut seat.state else { return Err(Drop::PppNotOpen) };
                if member.up_pace.as_mut().is_some_and(|pace| !pace.take(cx.now, buf.len())) {
                    return Err(Drop::RateLimit);
                }
                seat.meter.inbound(buf.len());
                seat.meter.used(cx.millis);
                // What comes from another address than its own is no traffic yet.
                if !member.talked && buf.get(12..16) == Some(&member.address.octets()[..]) {
                    member.talked = true;
                    seat.attempt.reach(cx.now, Stage::Traffic);
                }
                seat.note_question(cx.now, &buf);
                let State::Joined(member) = &mut seat.state else { return Err(Drop::PppNotOpen) };
                let port = member.port;
                let frames = &mut cx.out.frames;
                member.vnic.send_ip(cx.now, &member.view, buf, &mut |buf| {
                    frames.push(Frame { from: port, buf });
                })
            }
        }
    }
}
