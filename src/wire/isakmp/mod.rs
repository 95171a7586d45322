//! ISAKMP messages: the header, the chain of payloads behind it, and a builder (RFC 2408 section 3.1 and 3.2).
//!
//! ```text
//! Initiator Cookie (8) | Responder Cookie (8) | Next Payload | Version | Exchange | Flags | Message ID (4) | Length (4)
//! Next Payload | RESERVED | Payload Length (2) | body ...      -- the generic header before every payload
//! ```
//!
//! What is inside the payloads is in [`sa`] and [`payload`]. Nothing here decrypts: an encrypted message has a
//! header, and [`Chain::parse`] is called again on what the cipher gave back.

pub mod payload;
pub mod sa;

use super::{Error, Kind, Reader, Writer, wire_enum};
use std::fmt;

/// Most payloads that one message may have. Clients send a dozen vendor IDs at most.
pub const MAX_PAYLOADS: usize = 48;

/// Half of the name of an ISAKMP SA: eight bytes that one side chose (RFC 2408 section 2.5.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cookie(pub [u8; 8]);

impl Cookie {
    /// The responder's cookie in the first message: not chosen yet.
    pub const ZERO: Self = Self([0; 8]);

    /// Whether all eight bytes are zero.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Both cookies: the name of an ISAKMP SA, in the role of the SPI (RFC 2408 section 2.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Cookies {
    /// Chosen by the side that sent the first message.
    pub initiator: Cookie,
    /// Chosen by the other.
    pub responder: Cookie,
}

impl Cookies {
    /// Both, initiator first, as they stand in the header and in the SPI of a Notify or Delete payload.
    #[must_use]
    pub fn bytes(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out[..8].copy_from_slice(&self.initiator.0);
        out[8..].copy_from_slice(&self.responder.0);
        out
    }

    /// The cookies that a Notify or Delete payload names.
    #[must_use]
    pub fn from_spi(spi: &[u8]) -> Option<Self> {
        let (initiator, rest) = spi.split_first_chunk::<8>()?;
        let responder = <[u8; 8]>::try_from(rest).ok()?;
        Some(Self { initiator: Cookie(*initiator), responder: Cookie(responder) })
    }
}

impl fmt::Display for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.initiator, self.responder)
    }
}

/// Number of an exchange under an ISAKMP SA; zero in Phase 1. Both sides choose theirs, so it means nothing without
/// the cookies: identical Windows clients use identical numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct MessageId(pub u32);

impl MessageId {
    /// Phase 1.
    pub const ZERO: Self = Self(0);

    /// As it enters hashes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

wire_enum! {
    /// Payload types (RFC 2408 section 3.1, RFC 3947 section 3.2 and 5.2, and its drafts).
    pub struct PayloadType(u8) {
        NONE = 0,
        SA = 1,
        PROPOSAL = 2,
        TRANSFORM = 3,
        KE = 4,
        ID = 5,
        CERT = 6,
        CERT_REQUEST = 7,
        HASH = 8,
        SIGNATURE = 9,
        NONCE = 10,
        NOTIFY = 11,
        DELETE = 12,
        VENDOR_ID = 13,
        /// Mode configuration (XAUTH); not ours.
        ATTRIBUTES = 14,
        /// NAT-D of the drafts 04 to 08: collides with other uses, so those drafts are never chosen.
        NAT_D_BAD_DRAFTS = 15,
        NAT_D = 20,
        NAT_OA = 21,
        /// IKEv2 Notify: only in the answer that refuses IKEv2.
        V2_NOTIFY = 41,
        /// NAT-D of the drafts 00 to 03.
        NAT_D_DRAFT = 130,
        /// NAT-OA of the drafts 00 to 03.
        NAT_OA_DRAFT = 131,
        FRAGMENT = 132,
    }
}

wire_enum! {
    /// Exchange types (RFC 2408 section 3.1, RFC 2409 appendix A; IKEv2's from RFC 7296 section 3.1).
    pub struct ExchangeType(u8) {
        NONE = 0,
        BASE = 1,
        /// Main Mode.
        IDENTITY_PROTECTION = 2,
        AUTHENTICATION_ONLY = 3,
        AGGRESSIVE = 4,
        INFORMATIONAL = 5,
        /// XAUTH and mode configuration.
        TRANSACTION = 6,
        QUICK_MODE = 32,
        NEW_GROUP_MODE = 33,
        V2_SA_INIT = 34,
        V2_AUTH = 35,
        V2_CREATE_CHILD_SA = 36,
        V2_INFORMATIONAL = 37,
    }
}

/// The flag byte (RFC 2408 section 3.1). Unknown bits survive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// Everything behind the header is encrypted.
    pub const ENCRYPTED: Self = Self(0x01);
    /// The sender waits for a CONNECTED notify.
    pub const COMMIT: Self = Self(0x02);
    /// An Informational that is authenticated but not encrypted (key recovery); never seen.
    pub const AUTH_ONLY: Self = Self(0x04);
    /// IKEv2: this is a response.
    pub const V2_RESPONSE: Self = Self(0x20);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The ISAKMP header (RFC 2408 section 3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Both cookies.
    pub cookies: Cookies,
    /// Type of the first payload.
    pub first: PayloadType,
    /// Major version in the upper four bits, minor in the lower: 0x10 for IKEv1.
    pub version: u8,
    /// The kind of exchange.
    pub exchange: ExchangeType,
    /// Encryption, Commit, Authentication only.
    pub flags: Flags,
    /// Zero in Phase 1.
    pub message_id: MessageId,
    /// Bytes of the whole message, header included.
    pub length: u32,
}

impl Header {
    /// Bytes of the header.
    pub const LEN: usize = 28;
    /// IKEv1.
    pub const VERSION_1_0: u8 = 0x10;

    /// Reads the header and returns it with the bytes behind it, as many as its Length says. What a datagram has
    /// beyond that is ignored.
    ///
    /// # Errors
    /// If the datagram is shorter than the header or than its Length says, or Length is below the header's.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), Error> {
        let mut r = Reader::new(datagram);
        let header = Self {
            cookies: Cookies {
                initiator: Cookie(r.array("Initiator Cookie")?),
                responder: Cookie(r.array("Responder Cookie")?),
            },
            first: PayloadType(r.u8("Next Payload")?),
            version: r.u8("Version")?,
            exchange: ExchangeType(r.u8("Exchange Type")?),
            flags: Flags(r.u8("Flags")?),
            message_id: MessageId(r.u32("Message ID")?),
            length: r.u32("Length")?,
        };
        let len = usize::try_from(header.length)
            .ok()
            .and_then(|len| len.checked_sub(Self::LEN))
            .ok_or(Error::new("ISAKMP Length", Kind::BadLength))?;
        let body = r.take(len, "ISAKMP message")?;
        Ok((header, body))
    }

    /// Whether this is IKEv1 (any minor version).
    #[must_use]
    pub const fn is_v1(&self) -> bool {
        self.version >> 4 == 1
    }

    /// Whether everything behind the header is encrypted.
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.flags.contains(Flags::ENCRYPTED)
    }

    /// The whole message: this header with its Length corrected, then `body`.
    #[must_use]
    pub fn message(&self, body: &[u8]) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.cookies.bytes());
        w.u8(self.first.0);
        w.u8(self.version);
        w.u8(self.exchange.0);
        w.u8(self.flags.0);
        w.u32(self.message_id.0);
        w.u32(u32::try_from(Self::LEN + body.len()).unwrap_or(u32::MAX));
        w.bytes(body);
        w.finish()
    }
}

/// One payload: its type and its body without the generic header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payload<'a> {
    /// What the payload before it (or the header) said it is.
    pub kind: PayloadType,
    /// Without the four bytes of the generic header.
    pub body: &'a [u8],
}

/// The payloads of one message, in order.
#[derive(Clone, Debug)]
pub struct Chain<'a> {
    payloads: Vec<Payload<'a>>,
    bytes: &'a [u8],
}

impl<'a> Chain<'a> {
    /// Bytes of the generic header before each payload.
    pub const GENERIC_HEADER: usize = 4;

    /// Walks the chain that starts with a payload of type `first`. Bytes behind the last payload are the padding of
    /// an encrypted message and ignored.
    ///
    /// # Errors
    /// If a payload's length contradicts itself or the message, or if there are more than [`MAX_PAYLOADS`].
    pub fn parse(first: PayloadType, message: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(message);
        let mut payloads = Vec::new();
        let mut kind = first;
        while kind != PayloadType::NONE {
            if payloads.len() == MAX_PAYLOADS {
                return Err(Error::new("payloads", Kind::TooMany));
            }
            let next = PayloadType(r.u8("Next Payload")?);
            r.u8("RESERVED")?;
            let body = usize::from(r.u16("Payload Length")?)
                .checked_sub(Self::GENERIC_HEADER)
                .ok_or(Error::new("Payload Length", Kind::BadLength))?;
            payloads.push(Payload { kind, body: r.take(body, "payload")? });
            kind = next;
        }
        let used = message.len() - r.remaining();
        Ok(Self { payloads, bytes: &message[..used] })
    }

    /// All payloads in order.
    #[must_use]
    pub fn payloads(&self) -> &[Payload<'a>] {
        &self.payloads
    }

    /// Exactly the bytes of the chain, without what stands behind it.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes behind the first payload: what HASH(1) and HASH(2) of Quick Mode cover (RFC 2409 section 5.5).
    #[must_use]
    pub fn after_first(&self) -> &'a [u8] {
        let skip = self.payloads.first().map_or(0, |p| p.body.len() + Self::GENERIC_HEADER);
        self.bytes.get(skip..).unwrap_or_default()
    }

    /// Bodies of all payloads of one type.
    pub fn all(&self, kind: PayloadType) -> impl Iterator<Item = &'a [u8]> {
        self.payloads.iter().filter(move |p| p.kind == kind).map(|p| p.body)
    }

    /// Body of the first payload of a type.
    #[must_use]
    pub fn first(&self, kind: PayloadType) -> Option<&'a [u8]> {
        self.all(kind).next()
    }

    /// Body of the only payload of a type.
    ///
    /// # Errors
    /// If it is missing or there are several.
    pub fn only(&self, kind: PayloadType, what: &'static str) -> Result<&'a [u8], Error> {
        let mut all = self.all(kind);
        let body = all.next().ok_or(Error::new(what, Kind::Missing))?;
        if all.next().is_some() {
            return Err(Error::new(what, Kind::TooMany));
        }
        Ok(body)
    }
}

/// Builds a chain of payloads, linking each to the next.
#[derive(Clone, Debug)]
pub struct ChainWriter {
    first: PayloadType,
    /// Where the Next Payload byte of the last payload stands.
    link: Option<usize>,
    w: Writer,
}

impl Default for ChainWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl ChainWriter {
    /// An empty chain.
    #[must_use]
    pub fn new() -> Self {
        Self { first: PayloadType::NONE, link: None, w: Writer::new() }
    }

    /// Appends a payload whose body `body` writes.
    pub fn put(&mut self, kind: PayloadType, body: impl FnOnce(&mut Writer)) {
        match self.link {
            None => self.first = kind,
            Some(at) => self.w.patch_u8(at, kind.0),
        }
        self.link = Some(self.w.len());
        self.w.u8(PayloadType::NONE.0);
        self.w.u8(0);
        self.w.len16(Chain::GENERIC_HEADER, body);
    }

    /// Appends a payload with a ready body.
    pub fn put_bytes(&mut self, kind: PayloadType, body: &[u8]) {
        self.put(kind, |w| w.bytes(body));
    }

    /// Appends all payloads of another chain.
    pub fn append(&mut self, chain: &Self) {
        let Some(link) = chain.link else { return };
        match self.link {
            None => self.first = chain.first,
            Some(at) => self.w.patch_u8(at, chain.first.0),
        }
        self.link = Some(self.w.len() + link);
        self.w.bytes(chain.bytes());
    }

    /// Type of the first payload, for the header.
    #[must_use]
    pub const fn first(&self) -> PayloadType {
        self.first
    }

    /// The bytes so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.w.as_slice()
    }
}

#[cfg(test)]
mod property_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    const MESSAGE: [u8; 28 + 8 + 6] = hex!(
        "0102030405060708 1112131415161718 0a 10 02 01 deadbeef 0000002a"
        "0d000008 aabbccdd 00000006 eeff"
    );

    #[test]
    fn a_message_is_read_and_written_back() {
        let (header, body) = Header::parse(&MESSAGE).unwrap();
        assert_eq!(header.exchange, ExchangeType::IDENTITY_PROTECTION);
        assert_eq!(header.message_id, MessageId(0xdead_beef));
        assert!(header.is_encrypted() && header.is_v1());
        assert_eq!(header.cookies.to_string(), "0102030405060708.1112131415161718");
        let chain = Chain::parse(header.first, body).unwrap();
        assert_eq!(chain.payloads().len(), 2);
        assert_eq!(chain.first(PayloadType::VENDOR_ID), Some(&hex!("eeff")[..]));
        assert_eq!(chain.after_first(), hex!("00000006 eeff"));

        let mut w = ChainWriter::new();
        for p in chain.payloads() {
            w.put_bytes(p.kind, p.body);
        }
        assert_eq!(header.message(w.bytes()), MESSAGE);

        let mut parts = ChainWriter::new();
        for p in chain.payloads() {
            let mut part = ChainWriter::new();
            part.put_bytes(p.kind, p.body);
            parts.append(&part);
            parts.append(&ChainWriter::new());
        }
        assert_eq!(header.message(parts.bytes()), MESSAGE);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        let mut short = MESSAGE;
        short[27] = 0x2b;
        assert_eq!(Header::parse(&short).unwrap_err().kind, Kind::Truncated);
        short[27] = 27;
        assert_eq!(Header::parse(&short).unwrap_err().kind, Kind::BadLength);
        assert_eq!(Header::parse(&MESSAGE[..20]).unwrap_err().what, "Message ID");
        let chain = |bytes: &'static [u8]| Chain::parse(PayloadType::NONCE, bytes).unwrap_err().kind;
        assert_eq!(chain(&hex!("00000003")), Kind::BadLength);
        assert_eq!(chain(&hex!("00000005")), Kind::Truncated);
        assert_eq!(chain(&hex!("0000")), Kind::Truncated);
    }

    #[test]
    fn a_chain_ends_at_its_bound_and_at_its_padding() {
        let endless = hex!("0d000004").repeat(MAX_PAYLOADS + 1);
        assert_eq!(Chain::parse(PayloadType::VENDOR_ID, &endless).unwrap_err().kind, Kind::TooMany);
        let padded = hex!("00000005 01 00000003");
        let chain = Chain::parse(PayloadType::HASH, &padded).unwrap();
        assert_eq!(chain.bytes(), &padded[..5]);
        assert!(chain.after_first().is_empty());
        let empty = Chain::parse(PayloadType::NONE, &padded).unwrap();
        assert!(empty.payloads().is_empty() && empty.after_first().is_empty());
    }

    #[test]
    fn the_only_payload_is_neither_missing_nor_doubled() {
        let two = hex!("0a000005 01 00000005 02");
        let chain = Chain::parse(PayloadType::NONCE, &two).unwrap();
        assert_eq!(chain.only(PayloadType::NONCE, "Nonce").unwrap_err().kind, Kind::TooMany);
        assert_eq!(chain.only(PayloadType::KE, "KE").unwrap_err().kind, Kind::Missing);
    }
}
