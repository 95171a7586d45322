//! [`Reader`] names the field that was too short; [`Writer`] patches lengths in afterwards.

use super::{Error, Kind};

/// A cursor over bytes. Every `take` names what it takes, so that a short message names its missing field.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`Kind::Truncated`] if there are fewer.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Error::new(what, Kind::Truncated))?;
        self.rest = rest;
        Ok(head)
    }

    /// Takes `N` bytes as an array.
    ///
    /// # Errors
    /// [`Kind::Truncated`] if there are fewer.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Error::new(what, Kind::Truncated))?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`Kind::Truncated`] at the end.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, Error> {
        self.array::<1>(what).map(|b| b[0])
    }

    /// Takes a big-endian 16-bit number.
    ///
    /// # Errors
    /// [`Kind::Truncated`] at the end.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Takes a big-endian 32-bit number.
    ///
    /// # Errors
    /// [`Kind::Truncated`] at the end.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Takes a big-endian 64-bit number.
    ///
    /// # Errors
    /// [`Kind::Truncated`] at the end.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// A reader over the next `n` bytes, which are taken from this one.
    ///
    /// # Errors
    /// [`Kind::Truncated`] if there are fewer.
    pub fn sub(&mut self, n: usize, what: &'static str) -> Result<Reader<'a>, Error> {
        self.take(n, what).map(Reader::new)
    }

    /// Takes everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Looks at what is left without taking it.
    #[must_use]
    pub const fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// [`Kind::Trailing`] if bytes are left.
    pub fn finish(self, what: &'static str) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::new(what, Kind::Trailing)) }
    }
}

/// Builds a message.
#[derive(Clone, Default, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Appends a big-endian 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a big-endian 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Appends a big-endian 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a body whose 16-bit length stands before it and counts `counted` more bytes than the body (the length
    /// field itself and what precedes it).
    pub fn len16(&mut self, counted: usize, body: impl FnOnce(&mut Self)) {
        let at = self.bytes.len();
        self.u16(0);
        body(self);
        let len = self.bytes.len() - at - 2 + counted;
        self.patch_u16(at, u16::try_from(len).unwrap_or(u16::MAX));
    }

    /// Overwrites two bytes at `at`.
    ///
    /// # Panics
    /// If `at` lies outside what was written: a programming error, never reached by input.
    pub fn patch_u16(&mut self, at: usize, value: u16) {
        self.bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
    }

    /// Overwrites one byte at `at`.
    ///
    /// # Panics
    /// If `at` lies outside what was written: a programming error, never reached by input.
    pub fn patch_u8(&mut self, at: usize, value: u8) {
        self.bytes[at] = value;
    }

    /// Overwrites four bytes at `at`.
    ///
    /// # Panics
    /// If `at` lies outside what was written: a programming error, never reached by input.
    pub fn patch_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// The finished message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_names_its_field_and_takes_nothing() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u32("SPI"), Err(Error::new("SPI", Kind::Truncated)));
        assert_eq!(r.u16("Length"), Ok(0x0102));
        assert_eq!(r.finish("message"), Err(Error::new("message", Kind::Trailing)));
    }

    #[test]
    fn lengths_are_patched_in() {
        let mut w = Writer::new();
        w.u8(9);
        w.len16(3, |w| w.bytes(b"ab"));
        assert_eq!(w.finish(), [9, 0, 5, b'a', b'b']);
    }
}
