//! One stream of numbered UDP datagrams in IPv4, from a client to a client or to an uplink and back.

use super::histogram::Histogram;
use crate::packet::PacketBuf;
use crate::wire::inet::{self, IPV4_HEADER, Protocol, UDP_HEADER};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// Begins the payload: other packets (ARP's and a server's own) are none of ours.
const MAGIC: [u8; 4] = *b"SKb1";
/// The magic, the flow's number, the packet's number and the time in nanoseconds.
const TAG: usize = 24;
/// The shortest packet that carries its tag.
pub(super) const SHORTEST: u16 = (IPV4_HEADER + UDP_HEADER + TAG) as u16;
/// The port that clients send from and to.
pub(super) const PORT: u16 = 9;
/// What is in flight counts as lost when nothing came for so long.
const STALL: Duration = Duration::from_millis(200);
/// A flow that is so far behind its rate does not catch up.
const TOO_LATE: Duration = Duration::from_millis(50);

/// Lengths of packets, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sizes {
    /// All of one length, IP header included.
    Fixed(u16),
    /// The usual mixture: of twelve packets seven of 64, four of 576 and one of 1400 bytes.
    Imix,
}

const IMIX: [u16; 12] = [64, 576, 64, 64, 576, 64, 1400, 64, 576, 64, 576, 64];

impl Sizes {
    fn at(self, number: u64) -> u16 {
        match self {
            Self::Fixed(size) => size.max(SHORTEST),
            Self::Imix => IMIX[(number % IMIX.len() as u64) as usize],
        }
    }
}

impl std::str::FromStr for Sizes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("imix", _) => Ok(Self::Imix),
            (_, Ok(size)) if (SHORTEST..=1500).contains(&size) => Ok(Self::Fixed(size)),
            _ => Err(format!("neither a length from {SHORTEST} to 1500 nor imix")),
        }
    }
}

impl std::fmt::Display for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Imix => f.write_str("imix"),
        }
    }
}

/// How fast a flow sends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Pace {
    /// So many packets a second, whatever becomes of them.
    Rate(f64),
    /// As many as the server takes: so many are under way.
    Window(usize),
}

/// What is counted while it is measured.
#[derive(Clone, Default, Debug)]
pub(super) struct Counts {
    pub(super) sent: u64,
    /// Of those that were sent while it was measured.
    pub(super) received: u64,
    /// Whenever they were sent.
    pub(super) arrived: u64,
    pub(super) bytes: u64,
    pub(super) late: u64,
    pub(super) latency: Histogram,
}

/// A stream.
pub(super) struct Flow {
    number: u32,
    /// The client that sends.
    pub(super) client: usize,
    source: Ipv4Addr,
    target: SocketAddrV4,
    pub(super) sizes: Sizes,
    pub(super) burst: usize,
    pub(super) pace: Pace,
    next: u64,
    due: Instant,
    in_flight: usize,
    heard: Option<Instant>,
    pub(super) counts: Counts,
}

impl Flow {
    pub(super) fn new(
        number: u32,
        client: usize,
        source: Ipv4Addr,
        target: SocketAddrV4,
        now: Instant,
    ) -> Self {
        Self {
            number,
            client,
            source,
            target,
            sizes: Sizes::Fixed(SHORTEST),
            burst: 1,
            pace: Pace::Window(1),
            next: 0,
            due: now,
            in_flight: 0,
            heard: None,
            counts: Counts::default(),
        }
    }

    /// Begins anew with another pattern.
    pub(super) fn set(&mut self, sizes: Sizes, burst: usize, pace: Pace, due: Instant) {
        (self.sizes, self.burst, self.pace, self.due) = (sizes, burst.max(1), pace, due);
        self.in_flight = 0;
        self.counts = Counts::default();
    }

    /// Whether anything came through yet.
    pub(super) const fn works(&self) -> bool {
        self.heard.is_some()
    }

    /// When the next burst may go; `None`: when something has come.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.pace {
            Pace::Rate(_) => Some(self.due),
            Pace::Window(window) if self.in_flight + self.burst <= window.max(self.burst) => Some(self.due),
            Pace::Window(_) => None,
        }
    }

    /// Whether a burst is due; takes it off.
    pub(super) fn take_burst(&mut self, now: Instant) -> bool {
        if let Pace::Window(_) = self.pace
            && self.in_flight > 0
            && self.heard.is_none_or(|at| at + STALL <= now)
            && self.due + STALL <= now
        {
            self.in_flight = 0;
        }
        if self.due().is_none_or(|at| at > now) {
            return false;
        }
        match self.pace {
            Pace::Rate(rate) => {
                self.due += Duration::from_secs_f64(self.burst as f64 / rate);
                if self.due + TOO_LATE < now {
                    self.due = now;
                    self.counts.late += 1;
                }
            }
            Pace::Window(_) => {
                self.in_flight += self.burst;
                self.due = now;
            }
        }
        true
    }

    /// The length of the next packet.
    pub(super) fn next_len(&self) -> usize {
        self.sizes.at(self.next).into()
    }

    /// Fills an empty buffer with the next packet. `nanos` is the time since the measurement's own beginning.
    pub(super) fn fill(&mut self, buf: &mut PacketBuf, nanos: u64, measured: bool) {
        let len = self.next_len();
        let packet = buf.open_back(len);
        packet.fill(0);
        let (udp_len, total) = ((len - IPV4_HEADER) as u16, len as u16);
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&total.to_be_bytes());
        // Not to be fragmented, as today's systems send nearly everything: its number means nothing then, and a gateway
        // or a network card may join what belongs together.
        packet[6] = 0x40;
        packet[8] = 64;
        packet[9] = Protocol::UDP.0;
        packet[12..16].copy_from_slice(&self.source.octets());
        packet[16..20].copy_from_slice(&self.target.ip().octets());
        let checksum = inet::fold(inet::add(0, &packet[..IPV4_HEADER]));
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet[20..22].copy_from_slice(&PORT.to_be_bytes());
        packet[22..24].copy_from_slice(&self.target.port().to_be_bytes());
        packet[24..26].copy_from_slice(&udp_len.to_be_bytes());
        packet[28..32].copy_from_slice(&MAGIC);
        packet[32..36].copy_from_slice(&self.number.to_be_bytes());
        packet[36..44].copy_from_slice(&self.next.to_be_bytes());
        packet[44..52].copy_from_slice(&nanos.to_be_bytes());
        // What follows is zero and adds nothing.
        let pseudo = inet::pseudo_header(self.source, *self.target.ip(), Protocol::UDP, udp_len.into());
        let checksum = inet::fold(inet::add(pseudo, &packet[IPV4_HEADER..usize::from(SHORTEST)]));
        packet[26..28].copy_from_slice(&checksum.to_be_bytes());
        self.next += 1;
        if measured {
            self.counts.sent += 1;
        }
    }

    /// Takes a packet of this flow that has arrived. `measured`: whether it is measured now.
    pub(super) fn arrived(&mut self, tag: Tag, len: usize, now: Instant, at: &Clock, measured: bool) {
        self.heard = Some(now);
        // What was sent before it and is not here yet is lost, or so late that the server should have more to do.
        let behind = self.next.saturating_sub(tag.number + 1);
        self.in_flight = self.in_flight.min(usize::try_from(behind).unwrap_or(usize::MAX));
        if measured {
            self.counts.arrived += 1;
            self.counts.bytes += len as u64;
        }
        if at.measures(tag.nanos) {
            self.counts.received += 1;
            let took = at.nanos(now).saturating_sub(tag.nanos);
            self.counts.latency.record(Duration::from_nanos(took));
        }
    }
}

/// What a packet says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) flow: usize,
    number: u64,
    nanos: u64,
}

impl Tag {
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let (header, rest) = packet.split_first_chunk::<{ IPV4_HEADER + UDP_HEADER }>()?;
        let tag = rest.first_chunk::<TAG>()?;
        if header[0] != 0x45 || header[9] != Protocol::UDP.0 || tag[..4] != MAGIC {
            return None;
        }
        let &[f0, f1, f2, f3] = tag[4..].first_chunk()?;
        let number = u64::from_be_bytes(*tag[8..].first_chunk()?);
        let nanos = u64::from_be_bytes(*tag[16..].first_chunk()?);
        Some(Self { flow: u32::from_be_bytes([f0, f1, f2, f3]) as usize, number, nanos })
    }
}

/// The time of a measurement: packets carry nanoseconds since its beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) began: Instant,
    /// From when to when packets that are sent count.
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Clock {
    pub(super) fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    fn measures(&self, nanos: u64) -> bool {
        (self.nanos(self.from)..self.nanos(self.to)).contains(&nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::inet::Ipv4;

    const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const TARGET: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 3), 7);

    #[test]
    fn packets_are_sound_and_come_back_as_what_they_were() {
        let began = Instant::now();
        let mut flow = Flow::new(3, 0, SOURCE, TARGET, began);
        flow.set(Sizes::Imix, 4, Pace::Window(8), began);
        let clock = Clock { began, from: began, to: began + Duration::from_secs(1) };
        for number in 0..24 {
            let mut buf = PacketBuf::with_capacity(1500);
            flow.fill(&mut buf, number, true);
            assert_eq!(buf.len(), usize::from(Sizes::Imix.at(number)));
            let ip = Ipv4::parse(&buf).unwrap();
            assert_eq!((ip.source, ip.destination), (SOURCE, *TARGET.ip()));
            assert_eq!(inet::fold(inet::add(0, &buf[..IPV4_HEADER])), 0);
            let pseudo = inet::pseudo_header(SOURCE, *TARGET.ip(), Protocol::UDP, buf.len() - IPV4_HEADER);
            assert_eq!(inet::fold(inet::add(pseudo, &buf[IPV4_HEADER..])), 0);
            let tag = Tag::of(&buf).unwrap();
            assert_eq!(tag, Tag { flow: 3, number, nanos: number });
            flow.arrived(tag, buf.len(), began + Duration::from_micros(9), &clock, true);
        }
        assert_eq!((flow.counts.sent, flow.counts.received), (24, 24));
        assert!(flow.works() && Tag::of(&[0x45; 60]).is_none() && Tag::of(&[]).is_none());
    }

    #[test]
    fn a_window_waits_and_a_rate_does_not() {
        let now = Instant::now();
        let mut flow = Flow::new(0, 0, SOURCE, TARGET, now);
        flow.set(Sizes::Fixed(64), 4, Pace::Window(8), now);
        assert!(flow.take_burst(now) && flow.take_burst(now) && !flow.take_burst(now));
        assert_eq!(flow.due(), None);
        // What does not come is lost in the end.
        assert!(!flow.take_burst(now + STALL / 2) && flow.take_burst(now + STALL));
        // One that arrives tells that those before it do not.
        flow.set(Sizes::Fixed(64), 4, Pace::Window(4), now);
        assert!(flow.take_burst(now));
        let mut buf = PacketBuf::with_capacity(64);
        for _ in 0..4 {
            buf.clear();
            flow.fill(&mut buf, 0, false);
        }
        let clock = Clock { began: now, from: now, to: now };
        assert_eq!(flow.due(), None);
        flow.arrived(Tag::of(&buf).unwrap(), 64, now, &clock, false);
        assert_eq!(flow.due(), Some(now));
        flow.set(Sizes::Fixed(64), 2, Pace::Rate(1000.0), now);
        assert!(flow.take_burst(now) && !flow.take_burst(now + Duration::from_millis(1)));
        assert!(flow.take_burst(now + Duration::from_millis(2)));
        assert!(flow.take_burst(now + Duration::from_secs(1)));
        assert_eq!((flow.counts.late, flow.due()), (1, Some(now + Duration::from_secs(1))));
    }

    #[test]
    fn lengths_are_read() {
        assert_eq!("1400".parse(), Ok(Sizes::Fixed(1400)));
        assert_eq!("imix".parse(), Ok(Sizes::Imix));
        assert!("20".parse::<Sizes>().is_err() && "all".parse::<Sizes>().is_err());
        assert_eq!(IMIX.iter().filter(|size| **size == 64).count(), 7);
    }
}
