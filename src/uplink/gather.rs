//! To the host: frames of one flow that follow each other become one large frame, whose payloads stay where they are.
//!
//! Only what [`split`](super::split) would take apart into the very same frames comes together. The identification of a
//! packet that may not be fragmented is the exception: it means nothing (RFC 6864 section 4.1), Apple's systems send
//! zero in all of them, and they would never come together.

use super::header::{Gso, VirtioHeader};
use super::segment::{
    FLAGS, SEQ, Segment, TCP_CHECKSUM, UDP_CHECKSUM, UDP_LENGTH, flag, set_u16, u16_at, u32_at,
};
use super::{HEADER, Offload};
use crate::packet::{PacketBuf, Pool};
use crate::wire::ether::HEADER as ETHERNET;
use crate::wire::inet;

/// Frames in one large frame at most: the least number of datagrams that every kernel with UDP segmentation takes.
pub const MAX_PIECES: usize = 64;
/// Flows that may be waiting for a next frame at once.
const FLOWS: usize = 16;
/// No frame follows.
const END: u32 = u32::MAX;

/// Frames on their way to one TAP.
#[derive(Debug)]
pub struct Gather {
    offload: Offload,
    frames: Vec<Waiting>,
    groups: Vec<Group>,
    /// Groups that a next frame may join, latest used last.
    open: Vec<u32>,
}

#[derive(Debug)]
struct Waiting {
    buf: PacketBuf,
    /// The next frame of its group.
    next: u32,
}

/// What is written at once.
#[derive(Debug)]
struct Group {
    first: u32,
    last: u32,
    count: usize,
    /// The first frame's shape; `None` for a frame that stays alone.
    shape: Option<Segment>,
    fingerprint: u64,
    /// Payload bytes so far.
    bytes: usize,
    /// Whether the first frame's checksums were looked at.
    intact: bool,
}

impl Gather {
    /// Nothing yet. `offload` is what the TAP takes.
    #[must_use]
    pub const fn new(offload: Offload) -> Self {
        Self { offload, frames: Vec::new(), groups: Vec::new(), open: Vec::new() }
    }

    /// Changes what the TAP takes.
    pub const fn set_offload(&mut self, offload: Offload) {
        self.offload = offload;
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Adds the next frame.
    pub fn put(&mut self, buf: PacketBuf) {
        let at = self.frames.len() as u32;
        match Segment::of(&buf).filter(|shape| self.takes(shape)) {
            None => {
                // What cannot be told apart into flows is overtaken by none.
                self.open.clear();
                self.begin(at, None, 0, 0);
            }
            Some(shape) => self.put_segment(at, &buf, shape),
        }
        self.frames.push(Waiting { buf, next: END });
    }

    const fn takes(&self, shape: &Segment) -> bool {
        let Offload { checksum, tcp_segmentation, udp_segmentation } = self.offload;
        checksum && if shape.tcp { tcp_segmentation } else { udp_segmentation }
    }

    fn put_segment(&mut self, at: u32, buf: &PacketBuf, shape: Segment) {
        let fingerprint = shape.fingerprint(buf);
        if let Some(n) = self.find(fingerprint, buf, &shape) {
            let id = self.open.remove(n);
            if self.join(id, at, buf, &shape) {
                if !ends(buf, &shape, self.segment(id)) && self.groups[id as usize].count < MAX_PIECES {
                    self.open.push(id);
                }
                return;
            }
        }
        let id = self.begin(at, Some(shape), fingerprint, shape.len);
        if may_join(buf, &shape) && !ends(buf, &shape, shape.len) {
            if self.open.len() == FLOWS {
                self.open.remove(0);
            }
            self.open.push(id);
        }
    }

    /// The open group of this flow.
    fn find(&self, fingerprint: u64, buf: &[u8], shape: &Segment) -> Option<usize> {
        self.open.iter().rposition(|id| {
            let group = &self.groups[*id as usize];
            group.fingerprint == fingerprint
                && group
                    .shape
                    .is_some_and(|other| shape.same_flow(buf, &other, &self.frames[group.first as usize].buf))
        })
    }

    fn segment(&self, id: u32) -> usize {
        self.groups[id as usize].shape.map_or(0, |shape| shape.len)
    }

    fn begin(&mut self, at: u32, shape: Option<Segment>, fingerprint: u64, bytes: usize) -> u32 {
        let id = self.groups.len() as u32;
        self.groups.push(Group { first: at, last: at, count: 1, shape, fingerprint, bytes, intact: false });
        id
    }

    /// Adds a frame to its flow's group if it is its continuation, to the bit.
    fn join(&mut self, id: u32, at: u32, buf: &[u8], shape: &Segment) -> bool {
        let group = &mut self.groups[id as usize];
        let first = &self.frames[group.first as usize].buf;
        let Some(of) = group.shape else { return false };
        let fits = shape.len <= of.len
            && shape.payload - ETHERNET + group.bytes + shape.len <= usize::from(u16::MAX);
        if !fits || !may_join(buf, shape) || !continues(first, &of, group.count, group.bytes, buf, shape) {
            return false;
        }
        group.intact = group.intact || of.is_intact(first);
        if !group.intact || !shape.is_intact(buf) {
            return false;
        }
        group.count += 1;
        group.bytes += shape.len;
        self.frames[group.last as usize].next = at;
        group.last = at;
        true
    }

    /// Calls `write` with the pieces of each write in turn, header first, and gives the buffers back.
    pub fn flush(&mut self, pool: &mut Pool, mut write: impl FnMut(&[&[u8]])) {
        self.open.clear();
        for group in self.groups.drain(..) {
            let header = match group.shape {
                Some(shape) if group.count > 1 => {
                    let push = shape.tcp && {
                        let last = &self.frames[group.last as usize].buf;
                        last[shape.l4 + FLAGS] & flag::PSH != 0
                    };
                    enlarge(&mut self.frames[group.first as usize].buf, &shape, group.bytes, push)
                }
                _ => VirtioHeader::default(),
            };
            self.frames[group.first as usize].buf.put_front(&header.emit());
            let mut pieces: [&[u8]; MAX_PIECES] = [&[]; MAX_PIECES];
            let (mut at, mut count) = (group.first, 0);
            let mut skip = 0;
            while let Some(frame) = self.frames.get(at as usize)
                && let Some(piece) = pieces.get_mut(count)
            {
                *piece = frame.buf.get(skip..).unwrap_or_default();
                skip = group.shape.map_or(0, |shape| shape.payload);
                count += 1;
                at = frame.next;
            }
            write(&pieces[..count]);
        }
        for frame in self.frames.drain(..) {
            pool.give(frame.buf);
        }
    }
}

/// Whether a segment may come together with others at all: payload, no flag but ACK and PSH, a checksum.
fn may_join(frame: &[u8], shape: &Segment) -> bool {
    let inner = &frame[shape.l4..];
    let plain = if shape.tcp {
        // Reserved bits, all flags, the urgent pointer.
        inner[12] & 0x0F == 0 && inner[FLAGS] & !flag::PSH == flag::ACK && u16_at(inner, 18) == 0
    } else {
        u16_at(inner, UDP_CHECKSUM) != 0
    };
    plain && shape.len > 0
}

/// Whether nothing may follow this segment in its group: it is short, or it asks to be delivered.
fn ends(frame: &[u8], shape: &Segment, segment: usize) -> bool {
    shape.len < segment || shape.tcp && frame[shape.l4 + FLAGS] & flag::PSH != 0
}

/// Whether `next` is what follows `count` segments with `bytes` payload bytes that began with `first`.
fn continues(first: &[u8], of: &Segment, count: usize, bytes: usize, next: &[u8], shape: &Segment) -> bool {
    if shape.payload != of.payload || first[..ETHERNET] != next[..ETHERNET] {
        return false;
    }
    let (a, b) = (&first[ETHERNET..of.l4], &next[ETHERNET..of.l4]);
    let ip = if of.v6 {
        // Version, traffic class, flow label; next header, hop limit.
        a[..4] == b[..4] && a[6..8] == b[6..8]
    } else {
        let dont_fragment = a[6] & 0x40 != 0;
        let id = u16_at(a, 4).wrapping_add(count as u16);
        // Type of service; flags, TTL, protocol; identification.
        a[1] == b[1] && a[6..10] == b[6..10] && (dont_fragment || u16_at(b, 4) == id)
    };
    if !ip || !of.tcp {
        return ip;
    }
    let (a, b) = (&first[of.l4..of.payload], &next[of.l4..of.payload]);
    // Sequence; acknowledgement and header length; window; options. Flags were looked at one by one.
    u32_at(b, SEQ) == u32_at(a, SEQ).wrapping_add(bytes as u32)
        && a[8..FLAGS] == b[8..FLAGS]
        && a[14..16] == b[14..16]
        && a[20..] == b[20..]
}

/// Makes the first frame's headers those of the large frame with `bytes` payload bytes.
fn enlarge(first: &mut PacketBuf, shape: &Segment, bytes: usize, push: bool) -> VirtioHeader {
    let l4_len = shape.payload - shape.l4 + bytes;
    if shape.v6 {
        set_u16(first, ETHERNET + 4, l4_len as u16);
    } else {
        set_u16(first, ETHERNET + 2, (shape.l4 - ETHERNET + l4_len) as u16);
        set_u16(first, ETHERNET + 10, 0);
        let sum = inet::fold(inet::add(0, &first[ETHERNET..shape.l4]));
        set_u16(first, ETHERNET + 10, sum);
    }
    // The kernel completes the sum over the bytes; the field has what they do not show.
    let pseudo = !inet::fold(shape.pseudo(first, l4_len));
    let inner = &mut first[shape.l4..];
    let field = if shape.tcp {
        if push {
            inner[FLAGS] |= flag::PSH;
        }
        TCP_CHECKSUM
    } else {
        set_u16(inner, UDP_LENGTH, l4_len as u16);
        UDP_CHECKSUM
    };
    set_u16(inner, field, pseudo);
    VirtioHeader {
        needs_checksum: true,
        gso: match (shape.tcp, shape.v6) {
            (true, false) => Gso::TcpV4,
            (true, true) => Gso::TcpV6,
            (false, _) => Gso::Udp,
        },
        ecn: false,
        header_len: shape.payload as u16,
        segment: shape.len as u16,
        checksum_start: shape.l4 as u16,
        checksum_offset: field as u16,
    }
}

const _: () = assert!(HEADER + ETHERNET <= crate::packet::HEADROOM);
