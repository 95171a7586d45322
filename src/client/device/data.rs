//! The way of a packet through a device, both directions: in place, without an allocation.

use super::session::Session;
use super::{Output, Seen, Wrapped};
use crate::client::{ike, lac};
use crate::crypto::engine::OpenJob;
use crate::crypto::suite::EspAuth;
use crate::packet::{Drop, Encap, PacketBuf, Path, Transmit};
use crate::ppp::{self, Class};
use crate::wire::l2tp::is_control;
use crate::wire::natt;
use crate::wire::{Error, Kind};
use std::slice;
use std::time::Instant;

const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
const L2TP_PORT: u16 = 1701;
/// Bytes of an ICV that a PF_KEY kernel cuts short.
const SHORT_ICV: u8 = 12;

impl Session {
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        path: Path,
        buf: PacketBuf,
        out: &mut Output,
    ) -> Result<(), Drop> {
        match path.encap {
            Encap::Ike => self.handle_ike(now, path, &buf, out),
            Encap::NatT => match natt::classify(&buf)? {
                natt::Class::Ike(message) => self.handle_ike(now, path, message, out),
                natt::Class::Esp(spi, _) => self.handle_esp(now, spi, true, buf, out),
                natt::Class::Keepalive => Err(Drop::Keepalive),
            },
            Encap::Esp => {
                let spi = crate::wire::esp::Header::parse(&buf)?.spi;
                self.handle_esp(now, spi, false, buf, out)
            }
            Encap::L2tp => self.handle_l2tp(now, buf, out),
        }
    }

    fn handle_ike(&mut self, now: Instant, path: Path, message: &[u8], out: &mut Output) -> Result<(), Drop> {
        let ike = self.ike.as_mut().ok_or(Drop::UnknownCookies)?;
        let mut messages = ike::Output::default();
        let result = ike.handle(now, path, message, &mut messages);
        self.pump_ike(now, messages, out);
        result
    }

    fn handle_esp(
        &mut self,
        now: Instant,
        spi: u32,
        udp_encap: bool,
        buf: PacketBuf,
        out: &mut Output,
    ) -> Result<(), Drop> {
        let mut job = self.sad.admit(spi, udp_encap, buf)?;
        self.engine.open(slice::from_mut(&mut job));
        self.deliver(now, job, out)
    }

    /// A first look at a datagram: ESP becomes a job.
    pub(super) fn see(&self, path: &Path, buf: PacketBuf) -> Result<Seen, Drop> {
        let spi = match path.encap {
            Encap::NatT => match natt::classify(&buf)? {
                natt::Class::Esp(spi, _) => spi,
                natt::Class::Ike(_) | natt::Class::Keepalive => return Ok(Seen::Other(buf)),
            },
            Encap::Esp => crate::wire::esp::Header::parse(&buf)?.spi,
            Encap::Ike | Encap::L2tp => return Ok(Seen::Other(buf)),
        };
        self.sad.admit(spi, path.encap == Encap::NatT, buf).map(Seen::Sealed)
    }

    /// Takes a packet that an engine has opened.
    pub(super) fn deliver(&mut self, now: Instant, job: OpenJob, out: &mut Output) -> Result<(), Drop> {
        let inner = self.sad.deliver(now, job)?;
        if inner.next_header != UDP {
            return Err(Drop::NotCarried);
        }
        let mut buf = inner.buf;
        let truncated = Drop::Malformed(Error::new("inner UDP header", Kind::Truncated));
        let &[s0, s1, d0, d1, l0, l1, ..] = buf.first_chunk::<UDP_HEADER>().ok_or(truncated)?;
        let (from, to) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
        if (from, to) != (L2TP_PORT, self.lac.port()) {
            return Err(Drop::BadSelector);
        }
        buf.truncate(u16::from_be_bytes([l0, l1]).into());
        buf.pull_front(UDP_HEADER).ok_or(truncated)?;
        self.handle_l2tp(now, buf, out)
    }

    fn handle_l2tp(&mut self, now: Instant, mut buf: PacketBuf, out: &mut Output) -> Result<(), Drop> {
        if is_control(&buf) {
            let mut lac = lac::Output::default();
            let result = self.lac.handle_control(now, &buf, &mut lac);
            self.pump_lac(now, lac, out);
            return result;
        }
        self.lac.strip_data(&mut buf)?;
        match self.link.strip_data(&mut buf)? {
            Class::Ipv4 => {
                out.packets.push(buf);
                Ok(())
            }
            Class::Control => {
                let mut ppp = ppp::Output::default();
                let result = self.link.handle_frame(now, &buf, &mut ppp);
                self.pump_ppp(now, ppp, out);
                result
            }
        }
    }

    pub(super) fn send_ip(&mut self, now: Instant, packet: PacketBuf, out: &mut Output) -> Result<(), Drop> {
        let wrapped = self.wrap_ip(now, packet)?;
        self.send_wrapped(wrapped, out);
        Ok(())
    }

    /// Puts everything but ESP around an IP packet.
    pub(super) fn wrap_ip(&mut self, now: Instant, mut packet: PacketBuf) -> Result<Wrapped, Drop> {
        self.link.put_data(&mut packet)?;
        self.lac.put_data(&mut packet)?;
        self.wrap_l2tp(now, packet)
    }

    /// Sends an L2TP message through ESP, or as it is.
    pub(super) fn send_l2tp(&mut self, now: Instant, buf: PacketBuf, out: &mut Output) -> Result<(), Drop> {
        let wrapped = self.wrap_l2tp(now, buf)?;
        self.send_wrapped(wrapped, out);
        Ok(())
    }

    fn send_wrapped(&mut self, wrapped: Wrapped, out: &mut Output) {
        out.transmits.push(match wrapped {
            Wrapped::Seal(path, mut job) => {
                self.engine.seal(slice::from_mut(&mut job));
                Transmit { path, buf: job.buf }
            }
            Wrapped::Ready(transmit) => transmit,
        });
    }

    fn wrap_l2tp(&mut self, now: Instant, mut buf: PacketBuf) -> Result<Wrapped, Drop> {
        self.last_sent = Some(now);
        if self.data_path.encap == Encap::L2tp {
            return Ok(Wrapped::Ready(Transmit { path: self.data_path, buf }));
        }
        let length = u16::try_from(buf.len() + UDP_HEADER).map_err(|_| Drop::TooBig)?.to_be_bytes();
        let (from, to) = (self.lac.port().to_be_bytes(), L2TP_PORT.to_be_bytes());
        // Behind a NAT the checksum is wrong by construction (RFC 3948 section 3.1.2); ours always is.
        buf.put_front(&[from[0], from[1], to[0], to[1], length[0], length[1], 0xde, 0xad]);
        let mut job = self.sad.seal(now, buf, UDP)?;
        if self.profile.truncates_sha256 && job.key.suite().auth() == EspAuth::HmacSha256_128 {
            job.icv_len = SHORT_ICV;
        }
        Ok(Wrapped::Seal(self.data_path, job))
    }
}
