//! A packet buffer with room before and after the bytes, so that headers are taken off and put on without a copy.

/// Bytes kept free before the payload of a received datagram.
///
/// Outbound, an Ethernet frame (14) becomes an IP packet and gains PPP (4), L2TP (8), UDP (8), ESP (8) and an IV (16):
/// 30 more than it lost. Inbound, what is taken off (at least 39) exceeds the Ethernet (14) and virtio (12) headers
/// that are put on.
pub const HEADROOM: usize = 64;

/// Bytes kept free after the payload: ESP padding (up to 15 + 2) and ICV (up to 32).
pub const TAILROOM: usize = 64;

/// Owned bytes with headroom and tailroom.
pub struct PacketBuf {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl PacketBuf {
    /// An empty buffer that can hold `capacity` payload bytes between [`HEADROOM`] and [`TAILROOM`].
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            data: vec![0; HEADROOM + capacity + TAILROOM].into_boxed_slice(),
            start: HEADROOM,
            end: HEADROOM,
        }
    }

    /// A copy of `bytes` with head- and tailroom around it.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Self {
        let mut buf = Self::with_capacity(bytes.len());
        buf.data[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        buf.end = HEADROOM + bytes.len();
        buf
    }

    /// Number of payload bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Free bytes before the payload.
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.start
    }

    /// Free bytes after the payload.
    #[must_use]
    pub fn tailroom(&self) -> usize {
        self.data.len() - self.end
    }

    /// All its bytes, used and free.
    #[must_use]
    pub fn room(&self) -> usize {
        self.data.len()
    }

    /// Forgets the payload and restores the full headroom.
    pub fn clear(&mut self) {
        self.start = HEADROOM;
        self.end = HEADROOM;
    }

    /// The whole free space after a cleared buffer's start, for a receive call; follow with [`Self::set_len`].
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let end = self.data.len() - TAILROOM;
        &mut self.data[self.start..end]
    }

    /// Declares the first `len` bytes after the start as payload (after a receive into [`Self::spare_mut`]).
    ///
    /// # Panics
    /// If `len` exceeds the buffer.
    pub fn set_len(&mut self, len: usize) {
        assert!(self.start + len <= self.data.len(), "length beyond buffer");
        self.end = self.start + len;
    }

    /// Takes `n` bytes off the front; `None` (and no change) if there are fewer.
    #[must_use]
    pub fn pull_front(&mut self, n: usize) -> Option<&[u8]> {
        if n > self.len() {
            return None;
        }
        let at = self.start;
        self.start += n;
        Some(&self.data[at..at + n])
    }

    /// Puts `header` before the payload. Grows (and copies) only if the headroom is used up, which the data path never
    /// does.
    pub fn put_front(&mut self, header: &[u8]) {
        self.reserve(header.len(), 0);
        self.start -= header.len();
        self.data[self.start..self.start + header.len()].copy_from_slice(header);
    }

    /// Opens a gap of `n` bytes (content unspecified) before the payload and returns it.
    pub fn open_front(&mut self, n: usize) -> &mut [u8] {
        self.reserve(n, 0);
        self.start -= n;
        &mut self.data[self.start..self.start + n]
    }

    /// Puts `trailer` after the payload; grows only if the tailroom is used up.
    pub fn put_back(&mut self, trailer: &[u8]) {
        self.reserve(0, trailer.len());
        self.data[self.end..self.end + trailer.len()].copy_from_slice(trailer);
        self.end += trailer.len();
    }

    /// Opens a gap of `n` bytes (content unspecified) after the payload and returns it.
    pub fn open_back(&mut self, n: usize) -> &mut [u8] {
        self.reserve(0, n);
        let at = self.end;
        self.end += n;
        &mut self.data[at..at + n]
    }

    /// Cuts the payload to its first `len` bytes; no effect if it is shorter.
    pub fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    fn reserve(&mut self, front: usize, back: usize) {
        if front <= self.headroom() && back <= self.tailroom() {
            return;
        }
        let len = self.len();
        let (front, back) = (front.max(HEADROOM), back.max(TAILROOM));
        let mut data = vec![0; front + len + back].into_boxed_slice();
        data[front..front + len].copy_from_slice(self);
        *self = Self { data, start: front, end: front + len };
    }
}

impl std::ops::Deref for PacketBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }
}

impl std::ops::DerefMut for PacketBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.data[self.start..self.end]
    }
}

impl Clone for PacketBuf {
    fn clone(&self) -> Self {
        Self::from_slice(self)
    }
}

impl std::fmt::Debug for PacketBuf {
    /// The length only: payload may be secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PacketBuf({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_off_and_go_on_in_place() {
        let mut buf = PacketBuf::from_slice(b"hdrpayload");
        let at = buf.as_ptr();
        assert_eq!(buf.pull_front(3), Some(&b"hdr"[..]));
        buf.put_front(b"HDR");
        assert_eq!(buf.as_ptr(), at);
        buf.put_back(b"!");
        assert_eq!(&*buf, b"HDRpayload!");
        assert!(buf.pull_front(99).is_none());
        assert_eq!(buf.len(), 11);
    }

    #[test]
    fn growing_keeps_the_payload() {
        let mut buf = PacketBuf::from_slice(b"x");
        buf.put_front(&[1; HEADROOM + 1]);
        buf.put_back(&[2; TAILROOM + 1]);
        assert_eq!(buf.len(), HEADROOM + TAILROOM + 3);
        assert_eq!(buf[HEADROOM + 1], b'x');
    }
}
