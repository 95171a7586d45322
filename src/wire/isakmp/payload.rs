//! The small payloads: Identification, Notify, Delete, NAT-OA (RFC 2408 section 3, RFC 2407 section 4.6, RFC 3947
//! section 5.2). KE, NONCE, HASH, VID and NAT-D are their bodies and need no type.

use crate::wire::{Error, Kind, Reader, Writer, wire_enum};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::sa::{DOI_IPSEC, Protocol};

/// Longest identity that we keep: a name, not a certificate.
pub const MAX_ID: usize = 256;
/// Most SPIs in one Delete payload.
pub const MAX_DELETED: usize = 64;
/// Shortest nonce (RFC 2409 section 5).
pub const MIN_NONCE: usize = 8;
/// Longest nonce (RFC 2409 section 5).
pub const MAX_NONCE: usize = 256;

wire_enum! {
    /// Kinds of identities (RFC 2407 section 4.6.2.1).
    pub struct IdType(u8) {
        IPV4_ADDR = 1,
        FQDN = 2,
        USER_FQDN = 3,
        IPV4_ADDR_SUBNET = 4,
        IPV6_ADDR = 5,
        IPV6_ADDR_SUBNET = 6,
        IPV4_ADDR_RANGE = 7,
        IPV6_ADDR_RANGE = 8,
        DER_ASN1_DN = 9,
        DER_ASN1_GN = 10,
        KEY_ID = 11,
    }
}

/// Body of the Identification payload: who somebody is (Phase 1) or what traffic an SA is for (Phase 2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// How `data` is to be read.
    pub kind: IdType,
    /// IP protocol; zero means any.
    pub protocol: u8,
    /// Port; zero means any.
    pub port: u16,
    /// An address, a name, or opaque bytes.
    pub data: Vec<u8>,
}

impl Identity {
    /// The identity of an address.
    #[must_use]
    pub fn address(address: IpAddr, protocol: u8, port: u16) -> Self {
        let (kind, data) = match address {
            IpAddr::V4(v4) => (IdType::IPV4_ADDR, v4.octets().to_vec()),
            IpAddr::V6(v6) => (IdType::IPV6_ADDR, v6.octets().to_vec()),
        };
        Self { kind, protocol, port, data }
    }

    /// The address, if this is exactly one.
    #[must_use]
    pub fn to_address(&self) -> Option<IpAddr> {
        match self.kind {
            IdType::IPV4_ADDR => <[u8; 4]>::try_from(&self.data[..]).ok().map(IpAddr::from),
            IdType::IPV6_ADDR => <[u8; 16]>::try_from(&self.data[..]).ok().map(IpAddr::from),
            _ => None,
        }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// If it is too short, or longer than [`MAX_ID`], or an address has the wrong length.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let kind = IdType(r.u8("ID Type")?);
        let protocol = r.u8("Protocol ID")?;
        let port = r.u16("Port")?;
        let data = r.rest();
        let fits = match kind {
            IdType::IPV4_ADDR => data.len() == 4,
            IdType::IPV6_ADDR => data.len() == 16,
            _ => data.len() <= MAX_ID,
        };
        if !fits {
            return Err(Error::new("Identification Data", Kind::BadLength));
        }
        Ok(Self { kind, protocol, port, data: data.to_vec() })
    }

    /// Writes the body.
    pub fn emit(&self, w: &mut Writer) {
        w.u8(self.kind.0);
        w.u8(self.protocol);
        w.u16(self.port);
        w.bytes(&self.data);
    }

    /// The body as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.emit(&mut w);
        w.finish()
    }
}

impl fmt::Display for Identity {
    /// The identity for people: `10.0.0.2[17/1701]`, `FQDN vpn.example`, `KEY_ID 67726f7570`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_address() {
            Some(address) => write!(f, "{address}")?,
            None => {
                write!(f, "{} ", self.kind)?;
                match self.kind {
                    IdType::FQDN | IdType::USER_FQDN | IdType::KEY_ID
                        if self.data.iter().all(|b| (0x20..0x7f).contains(b)) =>
                    {
                        f.write_str(&String::from_utf8_lossy(&self.data))?;
                    }
                    _ => self.data.iter().try_for_each(|b| write!(f, "{b:02x}"))?,
                }
            }
        }
        if (self.protocol, self.port) == (0, 0) {
            return Ok(());
        }
        write!(f, "[{}/{}]", self.protocol, self.port)
    }
}

wire_enum! {
    /// Notify message types (RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706 section 5.3).
    pub struct NotifyType(u16) {
        INVALID_PAYLOAD_TYPE = 1,
        DOI_NOT_SUPPORTED = 2,
        SITUATION_NOT_SUPPORTED = 3,
        INVALID_COOKIE = 4,
        INVALID_MAJOR_VERSION = 5,
        INVALID_MINOR_VERSION = 6,
        INVALID_EXCHANGE_TYPE = 7,
        INVALID_FLAGS = 8,
        INVALID_MESSAGE_ID = 9,
        INVALID_PROTOCOL_ID = 10,
        INVALID_SPI = 11,
        INVALID_TRANSFORM_ID = 12,
        ATTRIBUTES_NOT_SUPPORTED = 13,
        NO_PROPOSAL_CHOSEN = 14,
        BAD_PROPOSAL_SYNTAX = 15,
        PAYLOAD_MALFORMED = 16,
        INVALID_KEY_INFORMATION = 17,
        INVALID_ID_INFORMATION = 18,
        INVALID_CERT_ENCODING = 19,
        INVALID_CERTIFICATE = 20,
        CERT_TYPE_UNSUPPORTED = 21,
        INVALID_CERT_AUTHORITY = 22,
        INVALID_HASH_INFORMATION = 23,
        AUTHENTICATION_FAILED = 24,
        INVALID_SIGNATURE = 25,
        ADDRESS_NOTIFICATION = 26,
        NOTIFY_SA_LIFETIME = 27,
        CERTIFICATE_UNAVAILABLE = 28,
        UNSUPPORTED_EXCHANGE_TYPE = 29,
        UNEQUAL_PAYLOAD_LENGTHS = 30,
        CONNECTED = 16384,
        RESPONDER_LIFETIME = 24576,
        REPLAY_STATUS = 24577,
        INITIAL_CONTACT = 24578,
        R_U_THERE = 36136,
        R_U_THERE_ACK = 36137,
    }
}

impl NotifyType {
    /// Whether it reports an error (RFC 2408 section 3.14.1: 1 to 8191, and private errors to 16383).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 < 16384
    }
}

/// Body of the Notification payload (RFC 2408 section 3.14).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// [`DOI_IPSEC`].
    pub doi: u32,
    /// What it is about.
    pub protocol: Protocol,
    /// The SA that it is about: empty, the cookies, or an ESP SPI.
    pub spi: Vec<u8>,
    /// What it says.
    pub kind: NotifyType,
    /// Details, by type.
    pub data: Vec<u8>,
}

impl Notify {
    /// A notify about an ISAKMP SA.
    #[must_use]
    pub fn isakmp(kind: NotifyType, spi: &[u8], data: &[u8]) -> Self {
        Self { doi: DOI_IPSEC, protocol: Protocol::ISAKMP, spi: spi.to_vec(), kind, data: data.to_vec() }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// If it is too short for what it says.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let doi = r.u32("DOI")?;
        let protocol = Protocol(r.u8("Protocol-ID")?);
        let spi_len = r.u8("SPI Size")?;
        let kind = NotifyType(r.u16("Notify Message Type")?);
        let spi = r.take(usize::from(spi_len), "SPI")?.to_vec();
        Ok(Self { doi, protocol, spi, kind, data: r.rest().to_vec() })
    }

    /// Writes the body.
    pub fn emit(&self, w: &mut Writer) {
        w.u32(self.doi);
        w.u8(self.protocol.0);
        w.u8(u8::try_from(self.spi.len()).unwrap_or(u8::MAX));
        w.u16(self.kind.0);
        w.bytes(&self.spi);
        w.bytes(&self.data);
    }
}

/// Body of the Delete payload (RFC 2408 section 3.15).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delete {
    /// [`DOI_IPSEC`].
    pub doi: u32,
    /// Which kind of SA.
    pub protocol: Protocol,
    /// The *sender's inbound* SPIs, all of one length: cookies, or four bytes for ESP.
    pub spis: Vec<Vec<u8>>,
}

impl Delete {
    /// A Delete of ESP SAs.
    #[must_use]
    pub fn esp(spis: &[u32]) -> Self {
        let spis = spis.iter().map(|spi| spi.to_be_bytes().to_vec()).collect();
        Self { doi: DOI_IPSEC, protocol: Protocol::ESP, spis }
    }

    /// A Delete of an ISAKMP SA.
    #[must_use]
    pub fn isakmp(cookies: super::Cookies) -> Self {
        Self { doi: DOI_IPSEC, protocol: Protocol::ISAKMP, spis: vec![cookies.bytes().to_vec()] }
    }

    /// Reads the body.
    ///
    /// # Errors
    /// If it is shorter or longer than its counts say, or names more than [`MAX_DELETED`].
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let doi = r.u32("DOI")?;
        let protocol = Protocol(r.u8("Protocol-Id")?);
        let spi_len = usize::from(r.u8("SPI Size")?);
        let count = usize::from(r.u16("# of SPIs")?);
        if count > MAX_DELETED {
            return Err(Error::new("# of SPIs", Kind::TooMany));
        }
        let spis =
            (0..count).map(|_| r.take(spi_len, "SPI").map(<[u8]>::to_vec)).collect::<Result<Vec<_>, _>>()?;
        r.finish("Delete payload")?;
        Ok(Self { doi, protocol, spis })
    }

    /// Writes the body.
    pub fn emit(&self, w: &mut Writer) {
        w.u32(self.doi);
        w.u8(self.protocol.0);
        w.u8(self.spis.first().map_or(0, |spi| u8::try_from(spi.len()).unwrap_or(u8::MAX)));
        w.u16(u16::try_from(self.spis.len()).unwrap_or(u16::MAX));
        self.spis.iter().for_each(|spi| w.bytes(spi));
    }
}

/// Body of the NAT-OA payload: an address as its sender knows it (RFC 3947 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NatOa(pub IpAddr);

impl NatOa {
    /// Reads the body.
    ///
    /// # Errors
    /// If it is no IPv4 or IPv6 address.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(body);
        let kind = IdType(r.u8("ID Type")?);
        r.take(3, "RESERVED")?;
        let address = match kind {
            IdType::IPV4_ADDR => IpAddr::from(Ipv4Addr::from(r.array::<4>("IPv4 address")?)),
            IdType::IPV6_ADDR => IpAddr::from(Ipv6Addr::from(r.array::<16>("IPv6 address")?)),
            _ => return Err(Error::new("NAT-OA ID Type", Kind::BadValue)),
        };
        r.finish("NAT-OA")?;
        Ok(Self(address))
    }

    /// Writes the body.
    pub fn emit(&self, w: &mut Writer) {
        Identity::address(self.0, 0, 0).emit(w);
    }
}

/// Checks the length of a nonce.
///
/// # Errors
/// If it is not between [`MIN_NONCE`] and [`MAX_NONCE`] bytes.
pub const fn check_nonce(body: &[u8]) -> Result<&[u8], Error> {
    if body.len() < MIN_NONCE || body.len() > MAX_NONCE {
        return Err(Error::new("Nonce", Kind::BadLength));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::super::Cookies;
    use super::*;
    use hex_literal::hex;

    fn emitted(emit: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut w = Writer::new();
        emit(&mut w);
        w.finish()
    }

    #[test]
    fn identities_of_all_clients() {
        let cases: [(&[u8], &str); 4] = [
            (&hex!("01 11 01f4 0a4d0032"), "10.77.0.50[17/500]"),
            (&hex!("0b 00 0000 6d7967726f7570"), "KEY_ID mygroup"),
            (&hex!("02 00 0000 78ff"), "FQDN 78ff"),
            (&hex!("05 11 06a5 20010db8000000000000000000000001"), "2001:db8::1[17/1701]"),
        ];
        for (bytes, text) in cases {
            let id = Identity::parse(bytes).unwrap();
            assert_eq!(id.to_string(), text);
            assert_eq!(id.to_bytes(), bytes);
        }
        assert_eq!(Identity::parse(&hex!("01 00 0000 0a0000")).unwrap_err().kind, Kind::BadLength);
        assert_eq!(Identity::parse(&[11; 4 + MAX_ID + 1]).unwrap_err().kind, Kind::BadLength);
    }

    #[test]
    fn notifies_and_deletes() {
        let bytes = hex!("00000001 01 10 6002 00112233445566778899aabbccddeeff");
        let notify = Notify::parse(&bytes).unwrap();
        assert_eq!(notify.kind, NotifyType::INITIAL_CONTACT);
        assert!(!notify.kind.is_error());
        assert_eq!(emitted(|w| notify.emit(w)), bytes);
        let cookies = Cookies::from_spi(&notify.spi).unwrap();
        assert_eq!(cookies.bytes(), notify.spi[..]);

        let bytes = hex!("00000001 03 04 0002 c0ffee01 c0ffee02");
        let delete = Delete::parse(&bytes).unwrap();
        assert_eq!(delete, Delete::esp(&[0xc0ff_ee01, 0xc0ff_ee02]));
        assert_eq!(emitted(|w| delete.emit(w)), bytes);
        assert_eq!(Delete::parse(&bytes[..14]).unwrap_err().kind, Kind::Truncated);
        assert_eq!(Delete::parse(&hex!("00000001 03 00 ffff")).unwrap_err().kind, Kind::TooMany);
        assert_eq!(Delete::isakmp(cookies).spis, [notify.spi]);
    }

    #[test]
    fn original_addresses() {
        let bytes = hex!("01 000000 0a4d0033");
        let oa = NatOa::parse(&bytes).unwrap();
        assert_eq!(oa.0.to_string(), "10.77.0.51");
        assert_eq!(emitted(|w| oa.emit(w)), bytes);
        assert!(NatOa::parse(&hex!("02 000000 0a4d0033")).is_err());
        assert!(NatOa::parse(&hex!("01 000000 0a4d003300")).is_err());
    }

    #[test]
    fn nonces_have_8_to_256_bytes() {
        for (len, fits) in [(0, false), (7, false), (8, true), (16, true), (256, true), (257, false)] {
            assert_eq!(check_nonce(&[1; 300][..len]).is_ok(), fits, "{len}");
        }
    }
}
