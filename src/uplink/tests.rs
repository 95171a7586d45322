//! What is gathered and split again is what it was.

use super::segment::{FLAGS, Segment, TCP_CHECKSUM, UDP_CHECKSUM, flag, pseudo, set_u16, u16_at, u32_at};
use super::*;
use crate::packet::{Drop, PacketBuf, Pool};
use crate::wire::ether::{self, EtherType, Mac};
use crate::wire::inet::{self, Protocol};
use proptest::prelude::*;
use std::collections::BTreeMap;

const HOST: Mac = Mac([2, 0, 0, 0, 0, 1]);
const CARD: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// One packet of a flow, as a test describes it.
#[derive(Clone, Debug)]
struct Packet {
    v6: bool,
    tcp: bool,
    flow: u8,
    tos: u8,
    ttl: u8,
    id: u16,
    dont_fragment: bool,
    seq: u32,
    ack: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Packet {
    fn tcp(seq: u32, len: usize) -> Self {
        Self {
            v6: false,
            tcp: true,
            flow: 1,
            tos: 0,
            ttl: 64,
            id: 0,
            dont_fragment: true,
            seq,
            ack: 77,
            flags: flag::ACK,
            window: 500,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: (0..len).map(|n| (n as u32).wrapping_add(seq) as u8).collect(),
        }
    }

    fn udp(len: usize) -> Self {
        Self { tcp: false, options: Vec::new(), ..Self::tcp(9, len) }
    }

    fn frame(&self) -> PacketBuf {
        let mut inner = vec![0x40, 0, 0x01, 0xBB ^ self.flow];
        if self.tcp {
            inner.extend(self.seq.to_be_bytes());
            inner.extend(self.ack.to_be_bytes());
            inner.extend([(((20 + self.options.len()) / 4) << 4) as u8, self.flags]);
            inner.extend(self.window.to_be_bytes());
            inner.extend([0; 4]);
            inner.extend(&self.options);
        } else {
            inner.extend((self.payload.len() as u16 + 8).to_be_bytes());
            inner.extend([0; 2]);
        }
        inner.extend(&self.payload);
        let protocol = if self.tcp { Protocol::TCP } else { Protocol::UDP };
        let mut packet = if self.v6 {
            let mut header = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 0];
            header.extend((inner.len() as u16).to_be_bytes());
            header.extend([protocol.0, self.ttl]);
            header.extend([0x20; 16]);
            header.extend([0x30; 16]);
            header
        } else {
            let mut header = vec![0x45, self.tos];
            header.extend((inner.len() as u16 + 20).to_be_bytes());
            header.extend(self.id.to_be_bytes());
            header.extend([if self.dont_fragment { 0x40 } else { 0 }, 0, self.ttl, protocol.0, 0, 0]);
            header.extend([10, 60, 0, 2, 198, 51, 100, 7]);
            let sum = inet::fold(inet::add(0, &header));
            set_u16(&mut header, 10, sum);
            header
        };
        let sum = inet::fold(inet::add(pseudo(&packet, 0, self.v6, protocol) + inner.len() as u32, &inner));
        let sum = if sum == 0 && !self.tcp { 0xFFFF } else { sum };
        set_u16(&mut inner, if self.tcp { TCP_CHECKSUM } else { UDP_CHECKSUM }, sum);
        packet.extend(inner);
        let mut buf = PacketBuf::from_slice(&packet);
        let ethertype = if self.v6 { EtherType::IPV6 } else { EtherType::IPV4 };
        buf.put_front(&ether::header(HOST, CARD, ethertype));
        buf
    }
}

/// What the frames are written as: for each write its bytes, and of how many pieces.
fn writes(frames: &[PacketBuf], offload: Offload) -> Vec<(Vec<u8>, usize)> {
    let mut gather = Gather::new(offload);
    frames.iter().for_each(|frame| gather.put(frame.clone()));
    let mut out = Vec::new();
    gather.flush(&mut Pool::default(), |pieces| out.push((pieces.concat(), pieces.len())));
    assert!(gather.is_empty());
    out
}

fn counts(packets: &[Packet]) -> Vec<usize> {
    let frames: Vec<_> = packets.iter().map(Packet::frame).collect();
    writes(&frames, Offload::ALL).iter().map(|(_, count)| *count).collect()
}

fn split_all(writes: &[(Vec<u8>, usize)]) -> Vec<Vec<u8>> {
    let (mut pool, mut out) = (Pool::default(), Vec::new());
    for (bytes, count) in writes {
        let before = out.len();
        split(bytes, &mut pool, &mut out).unwrap();
        assert_eq!(out.len() - before, *count);
    }
    out.iter().map(|buf| buf.to_vec()).collect()
}

/// The identification of an atomic datagram means nothing (RFC 6864), and its share of the checksum goes with it.
fn without_idle_id(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[12..14] == [0x08, 0x00] && frame[20] & 0x40 != 0 {
        assert_eq!(inet::fold(inet::add(0, &frame[14..34])), 0);
        frame[18..20].fill(0);
        frame[24..26].fill(0);
    }
    frame
}

fn by_flow(frames: &[Vec<u8>]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut flows: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for frame in frames {
        let key = Segment::of(frame).map_or_else(Vec::new, |shape| {
            let mut key = frame[shape.l4..shape.l4 + 4].to_vec();
            key.extend([u8::from(shape.v6), u8::from(shape.tcp)]);
            key
        });
        flows.entry(key).or_default().push(without_idle_id(frame));
    }
    flows
}

#[test]
fn bulk_comes_together_and_apart() {
    for v6 in [false, true] {
        let start = u32::MAX - 5000;
        let mut packets: Vec<_> =
            (0..40).map(|n| Packet { v6, ..Packet::tcp(start.wrapping_add(n * 1380), 1380) }).collect();
        packets.push(Packet {
            v6,
            flags: flag::ACK | flag::PSH,
            ..Packet::tcp(start.wrapping_add(40 * 1380), 99)
        });
        let frames: Vec<_> = packets.iter().map(Packet::frame).collect();
        let writes = writes(&frames, Offload::ALL);
        assert_eq!(writes.len(), 1);
        let (bytes, _) = &writes[0];
        let header = VirtioHeader::parse(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!((header.segment, header.needs_checksum), (1380, true));
        assert_eq!(header.gso, if v6 { Gso::TcpV6 } else { Gso::TcpV4 });
        // What the kernel does with a partial checksum: it sums the bytes, with what the field has.
        let mut large = bytes[HEADER..].to_vec();
        let start = usize::from(header.checksum_start);
        let sum = inet::fold(inet::add(0, &large[start..]));
        set_u16(&mut large, start + usize::from(header.checksum_offset), sum);
        assert!(Segment::of(&large).unwrap().is_intact(&large));
        assert_ne!(large[start + FLAGS] & flag::PSH, 0);
        let frames: Vec<_> = frames.iter().map(|frame| without_idle_id(frame)).collect();
        let split: Vec<_> = split_all(&writes).iter().map(|frame| without_idle_id(frame)).collect();
        assert_eq!(split, frames);
    }
}

#[test]
fn datagrams_come_together_where_the_kernel_takes_them() {
    let packets: Vec<_> =
        (0..70).map(|n| Packet { id: n, dont_fragment: false, ..Packet::udp(200) }).collect();
    assert_eq!(counts(&packets), [64, 6]);
    let frames: Vec<_> = packets.iter().map(Packet::frame).collect();
    assert_eq!(
        split_all(&writes(&frames, Offload::ALL)),
        frames.iter().map(|f| f.to_vec()).collect::<Vec<_>>()
    );
    let without = Offload { udp_segmentation: false, ..Offload::ALL };
    assert_eq!(writes(&frames, without).len(), 70);
    assert_eq!(writes(&frames, Offload::default()).len(), 70);
}

#[test]
fn only_a_continuation_joins() {
    let base = || Packet::tcp(1000, 100);
    let next = || Packet::tcp(1100, 100);
    let joins = |change: fn(&mut Packet)| {
        let mut changed = next();
        change(&mut changed);
        counts(&[base(), changed]) == [2]
    };
    assert!(joins(|_| ()));
    assert!(joins(|p| p.payload.truncate(50)));
    assert!(joins(|p| p.flags |= flag::PSH));
    assert!(joins(|p| p.id = 99), "DF is set: means nothing");
    assert!(!joins(|p| p.payload.push(0)), "longer");
    assert!(!joins(|p| p.payload.clear()));
    assert!(!joins(|p| p.seq += 1));
    assert!(!joins(|p| p.seq -= 100), "a repetition");
    assert!(!joins(|p| p.ack += 1));
    assert!(!joins(|p| p.window += 1));
    assert!(!joins(|p| p.options[7] += 1));
    assert!(!joins(|p| p.options.clear()));
    assert!(!joins(|p| p.tos = 3), "congestion was experienced");
    assert!(!joins(|p| p.ttl -= 1));
    assert!(!joins(|p| p.dont_fragment = false));
    assert!(!joins(|p| p.flow += 1));
    assert!(!joins(|p| p.tcp = false));
    for bit in [flag::FIN, 2, 4, 0x20, 0x40, flag::CWR] {
        let mut changed = next();
        changed.flags |= bit;
        assert_eq!(counts(&[base(), changed.clone()]), [1, 1], "{bit}");
        changed.seq -= 100;
        assert_eq!(counts(&[changed, next()]), [1, 1], "{bit}");
    }
    let mut changed = next();
    changed.flags = flag::PSH;
    assert_eq!(counts(&[base(), changed]), [1, 1], "no ACK");
}

#[test]
fn short_and_pushed_segments_end_a_group() {
    let short = Packet { ..Packet::tcp(1000, 60) };
    assert_eq!(counts(&[Packet::tcp(900, 100), short, Packet::tcp(1060, 60)]), [2, 1]);
    let pushed = Packet { flags: flag::ACK | flag::PSH, ..Packet::tcp(900, 100) };
    assert_eq!(counts(&[pushed, Packet::tcp(1000, 100), Packet::tcp(1100, 100)]), [1, 2]);
}

#[test]
fn flows_come_together_although_they_interleave_and_nothing_overtakes_within_one() {
    let a = |n: u32| Packet::tcp(n * 100, 100);
    let b = |n: u32| Packet { flow: 2, ..Packet::tcp(n * 100, 100) };
    assert_eq!(counts(&[a(0), b(0), a(1), b(1), a(2), b(2)]), [3, 3]);
    // A hole, and what fills it.
    assert_eq!(counts(&[a(0), a(2), a(3), a(1), a(4)]), [1, 2, 1, 1]);
    let acknowledgement = Packet::tcp(100, 0);
    assert_eq!(counts(&[a(0), acknowledgement, a(1), a(2)]), [1, 1, 2]);
    // Something that is no flow is not overtaken.
    let frames = [a(0).frame(), PacketBuf::from_slice(&[0xFF; 60]), a(1).frame()];
    assert_eq!(writes(&frames, Offload::ALL).len(), 3);
}

#[test]
fn a_broken_packet_stays_alone_and_broken() {
    let mut broken = Packet::tcp(1100, 100).frame();
    let at = broken.len() - 1;
    broken[at] ^= 1;
    let frames = [Packet::tcp(1000, 100).frame(), broken.clone(), Packet::tcp(1200, 100).frame()];
    let out = writes(&frames, Offload::ALL);
    assert_eq!(out.len(), 3);
    assert_eq!(out[1].0[HEADER..], *broken);
    let frames = [broken, Packet::tcp(1200, 100).frame(), Packet::tcp(1300, 100).frame()];
    assert_eq!(writes(&frames, Offload::ALL).iter().map(|(_, n)| *n).collect::<Vec<_>>(), [1, 2]);
    let mut header = Packet::tcp(1100, 100).frame();
    header[24] ^= 1;
    assert_eq!(writes(&[Packet::tcp(1000, 100).frame(), header], Offload::ALL).len(), 2);
}

#[test]
fn a_missing_checksum_is_filled_in() {
    for packet in [Packet::tcp(5, 333), Packet::udp(12)] {
        let whole = packet.frame();
        let mut partial = whole.clone();
        let shape = Segment::of(&whole).unwrap();
        let field = if shape.tcp { TCP_CHECKSUM } else { UDP_CHECKSUM };
        let sum = !inet::fold(shape.pseudo(&whole, whole.len() - shape.l4));
        set_u16(&mut partial[shape.l4..], field, sum);
        let header = VirtioHeader {
            needs_checksum: true,
            checksum_start: shape.l4 as u16,
            checksum_offset: field as u16,
            ..VirtioHeader::default()
        };
        partial.put_front(&header.emit());
        let mut out = Vec::new();
        split(&partial, &mut Pool::default(), &mut out).unwrap();
        assert_eq!(*out[0], *whole);
    }
}

/// A large frame as a host's stack hands it out, with everything that only one of the segments may keep.
fn large(packet: &Packet, segment: u16) -> Vec<u8> {
    let frame = packet.frame();
    let shape = Segment::of(&frame).unwrap();
    let gso = match (shape.tcp, shape.v6) {
        (true, false) => Gso::TcpV4,
        (true, true) => Gso::TcpV6,
        (false, _) => Gso::Udp,
    };
    let header = VirtioHeader {
        needs_checksum: true,
        gso,
        ecn: packet.flags & flag::CWR != 0,
        header_len: shape.payload as u16,
        segment,
        checksum_start: shape.l4 as u16,
        checksum_offset: if shape.tcp { 16 } else { 6 },
    };
    [&header.emit()[..], &frame].concat()
}

#[test]
fn segments_get_what_is_theirs() {
    let packet = Packet {
        flags: flag::ACK | flag::PSH | flag::FIN | flag::CWR,
        id: 0xFFFF,
        ..Packet::tcp(u32::MAX - 10, 250)
    };
    let mut out = Vec::new();
    split(&large(&packet, 100), &mut Pool::default(), &mut out).unwrap();
    let seen: Vec<_> = out
        .iter()
        .map(|frame| {
            let shape = Segment::of(frame).unwrap();
            assert!(shape.is_intact(frame));
            (shape.len, u16_at(frame, 18), u32_at(frame, shape.l4 + 4), frame[shape.l4 + FLAGS])
        })
        .collect();
    assert_eq!(
        seen,
        [
            (100, 0xFFFF, u32::MAX - 10, flag::ACK | flag::CWR),
            (100, 0, 89, flag::ACK),
            (50, 1, 189, flag::ACK | flag::PSH | flag::FIN)
        ]
    );
}

#[test]
fn a_tagged_frame_is_split_too() {
    let untagged = large(&Packet::udp(300), 100);
    let (header, frame) = untagged.split_at(HEADER);
    let mut header = VirtioHeader::parse(header.first_chunk().unwrap()).unwrap();
    header.checksum_start += 4;
    let tagged = [&header.emit()[..], &frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat();
    let mut out = Vec::new();
    split(&tagged, &mut Pool::default(), &mut out).unwrap();
    assert_eq!(out.len(), 3);
    for frame in out {
        let untagged = [&frame[..12], &frame[16..]].concat();
        assert!(Segment::of(&untagged).unwrap().is_intact(&untagged));
    }
}

#[test]
fn nonsense_is_refused() {
    let (mut pool, mut out) = (Pool::default(), Vec::new());
    let good = large(&Packet::tcp(1, 300), 100);
    let header = VirtioHeader::parse(good.first_chunk().unwrap()).unwrap();
    let broken = [
        VirtioHeader { segment: 0, ..header },
        VirtioHeader { gso: Gso::Udp, ..header },
        VirtioHeader { gso: Gso::TcpV6, ..header },
        VirtioHeader { checksum_start: header.checksum_start + 4, ..header },
        VirtioHeader { gso: Gso::None, checksum_start: u16::MAX, ..header },
    ];
    for header in broken {
        let bytes = [&header.emit()[..], &good[HEADER..]].concat();
        assert!(matches!(split(&bytes, &mut pool, &mut out), Err(Drop::Malformed(_))), "{header:?}");
    }
    assert!(split(&[0; 9], &mut pool, &mut out).is_err());
    assert!(split(&[0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut pool, &mut out).is_err());
    assert!(out.is_empty());
}

fn packets() -> impl Strategy<Value = Vec<Packet>> {
    let step = (
        0..6_u8,
        (any::<bool>(), any::<bool>()),
        prop_oneof![4 => Just(200_usize), 1 => 0..400_usize],
        prop_oneof![12 => Just(0_u8), 1 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4), 1 => Just(5), 1 => Just(6), 1 => Just(7)],
    );
    prop::collection::vec(step, 0..150).prop_map(|steps| {
        // Every flow goes its way; some steps change what makes the next packet another kind.
        let mut flows: BTreeMap<u8, Packet> = BTreeMap::new();
        let mut out = Vec::new();
        for (flow, (v6, dont_fragment), len, change) in steps {
            let state = flows.entry(flow).or_insert_with(|| {
                let kind = if flow % 3 == 2 { Packet::udp(0) } else { Packet::tcp(u32::MAX - 2000, 0) };
                Packet { flow, v6, dont_fragment, ..kind }
            });
            state.payload = (0..len).map(|n| (n as u8).wrapping_mul(31) ^ out.len() as u8).collect();
            state.flags = flag::ACK;
            match change {
                1 => state.flags |= flag::PSH,
                2 => state.ack += 1,
                3 => state.window += 1,
                4 => state.flags |= flag::FIN,
                5 => state.id = state.id.wrapping_add(7),
                6 => state.tos ^= 3,
                7 => state.seq = state.seq.wrapping_sub(200),
                _ => {}
            }
            out.push(state.clone());
            state.seq = state.seq.wrapping_add(len as u32);
            state.id = state.id.wrapping_add(1);
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn gathered_and_split_again_they_are_what_they_were(packets in packets()) {
        let frames: Vec<_> = packets.iter().map(Packet::frame).collect();
        let writes = writes(&frames, Offload::ALL);
        prop_assert_eq!(writes.iter().map(|(_, count)| count).sum::<usize>(), frames.len());
        let after = split_all(&writes);
        let before: Vec<_> = frames.iter().map(|frame| frame.to_vec()).collect();
        prop_assert_eq!(by_flow(&after), by_flow(&before));
        for frame in &after {
            prop_assert!(Segment::of(frame).is_none_or(|shape| shape.is_intact(frame)));
        }
    }

    /// Whatever a host sends: no panic, and what comes out is whole.
    #[test]
    fn any_bytes_are_split_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), gso in 0..6_u8, v6: bool, fields in any::<[u8; 8]>()) {
        if bytes.len() > 40 {
            bytes[..2].copy_from_slice(&[1, gso]);
            bytes[2..10].copy_from_slice(&fields);
            bytes[22..24].copy_from_slice(if v6 { &[0x86, 0xDD] } else { &[0x08, 0] });
            bytes[24] = if v6 { 0x60 } else { 0x45 };
        }
        let mut out = Vec::new();
        let _ = split(&bytes, &mut Pool::default(), &mut out);
    }

    #[test]
    fn a_large_frame_is_cut_into_whole_segments(packet in (any::<bool>(), any::<bool>(), 0..3000_usize, any::<u8>()).prop_map(|(v6, tcp, len, flags)| {
        let kind = if tcp { Packet::tcp(u32::MAX - 1500, len) } else { Packet::udp(len) };
        Packet { v6, flags, ..kind }
    }), segment in 1..1500_u16) {
        let mut out = Vec::new();
        split(&large(&packet, segment), &mut Pool::default(), &mut out).unwrap();
        let mut payload = Vec::new();
        for frame in &out {
            let shape = Segment::of(frame).unwrap();
            prop_assert!(shape.is_intact(frame));
            if packet.tcp {
                prop_assert_eq!(u32_at(frame, shape.l4 + 4), packet.seq.wrapping_add(payload.len() as u32));
            }
            payload.extend_from_slice(&frame[shape.payload..]);
        }
        prop_assert_eq!(payload, packet.payload);
    }
}
