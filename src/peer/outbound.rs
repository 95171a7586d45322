//! The walk out: an Ethernet frame for a link loses its header, gains PPP, L2TP and UDP, takes its sequence number and
//! waits for the ESP engine. The payload's bytes do not move.

use super::seat::State;
use super::{Context, Frame, Peer, inner_udp};
use crate::l2tp::SessionKey;
use crate::packet::{Drop, Encap, PacketBuf, Transmit};
use crate::vnic::Inner;

/// IP protocol number of UDP.
const UDP: u8 = 17;

impl Peer {
    /// Takes a frame that the hub forwards to one of this peer's links.
    ///
    /// # Errors
    /// The reason why it goes no further.
    pub fn deliver_frame(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionKey,
        frame: PacketBuf,
    ) -> Result<(), Drop> {
        let seat = self.seat(session).ok_or(Drop::NoPort)?;
        if let State::Leasing(_) = &seat.state {
            return self.lease_frame(cx, session, &frame);
        }
        let State::Joined(member) = &mut seat.state else { return Err(Drop::NoPort) };
        if member.lease.as_ref().is_some_and(|client| client.concerns(&frame))
            && self.lease_frame(cx, session, &frame).is_ok()
        {
            return Ok(());
        }
        let seat = self.seat(session).ok_or(Drop::NoPort)?;
        let State::Joined(member) = &mut seat.state else { return Err(Drop::NoPort) };
        let port = member.port;
        let frames = &mut cx.out.frames;
        let inner = member.vnic.recv_frame(cx.now, frame, &mut |buf| {
            frames.push(Frame { from: port, buf });
        })?;
        let up = member.up;
        match inner {
            Inner::Nothing => Ok(()),
            _ if !up => Err(Drop::PppNotOpen),
            Inner::Packet(packet) => self.send_packet(cx, session, packet),
            Inner::Fragments(packets) => {
                for packet in packets {
                    self.send_packet(cx, session, packet)?;
                }
                Ok(())
            }
        }
    }

    /// Sends an IP packet to the device.
    fn send_packet(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionKey,
        mut packet: PacketBuf,
    ) -> Result<(), Drop> {
        let seat = self.seat(session).ok_or(Drop::NoPort)?;
        if !seat.may_be_sent(cx.now, packet.len()) {
            return Err(Drop::RateLimit);
        }
        seat.meter.outbound(packet.len());
        if seat.is_for_it_alone(&packet) {
            seat.meter.used(cx.millis);
            seat.note_answer(&packet);
        }
        seat.link.put_data(&mut packet)?;
        self.send_ppp(cx, session, packet)
    }

    /// Sends a PPP frame over its L2TP session.
    pub(super) fn send_ppp(
        &mut self,
        cx: &mut Context<'_>,
        session: SessionKey,
        mut buf: PacketBuf,
    ) -> Result<(), Drop> {
        let remote_port = self.lns.put_data(session, &mut buf)?;
        self.send_l2tp(cx, remote_port, buf)
    }

    /// Sends an L2TP message, through ESP unless the peer speaks clear text.
    pub(super) fn send_l2tp(
        &mut self,
        cx: &mut Context<'_>,
        remote_port: u16,
        mut buf: PacketBuf,
    ) -> Result<(), Drop> {
        if self.data_path.encap == Encap::L2tp {
            cx.out.transmits.push(Transmit { path: self.data_path, buf });
            return Ok(());
        }
        inner_udp::put(&mut buf, remote_port);
        let job = self.sad.seal(cx.now, buf, UDP)?;
        self.spoken = cx.now;
        cx.out.seal.push(job);
        cx.out.seal_paths.push(self.data_path);
        Ok(())
    }
}
