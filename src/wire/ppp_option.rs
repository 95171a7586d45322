//! Configuration options: type, length, data (RFC 1661 section 5). LCP's (RFC 1661 section 6, RFC 1570, RFC 1990) and
//! IPCP's (RFC 1332 section 3, RFC 1877).
//!
//! An option that we do not know, or whose length is not the one of its type, is kept as bytes: it can then be rejected
//! with exactly what the peer sent, as section 5.4 demands.

use super::{Error, Kind, Reader, Writer, wire_enum};
use std::net::Ipv4Addr;

/// Iterates over the options of a Configure packet as (type, data).
///
/// # Errors
/// Each item: an option whose length is below two or reaches beyond the packet. Iteration ends there.
pub fn raw_options(bytes: &[u8]) -> impl Iterator<Item = Result<RawOption<'_>, Error>> {
    let mut r = Reader::new(bytes);
    std::iter::from_fn(move || {
        if r.is_empty() {
            return None;
        }
        let item = take_option(&mut r);
        if item.is_err() {
            r.rest();
        }
        Some(item)
    })
}

/// One option as it stands in the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawOption<'a> {
    /// Its type, whose meaning depends on the protocol.
    pub kind: u8,
    /// What follows its length.
    pub data: &'a [u8],
}

impl RawOption<'_> {
    /// Appends the option.
    pub fn emit(&self, w: &mut Writer) {
        w.u8(self.kind);
        // Longer data cannot come from a packet, whose options count their length in one byte.
        w.u8(u8::try_from(self.data.len() + 2).unwrap_or(u8::MAX));
        w.bytes(&self.data[..self.data.len().min(253)]);
    }
}

fn take_option<'a>(r: &mut Reader<'a>) -> Result<RawOption<'a>, Error> {
    let kind = r.u8("Option Type")?;
    let length = usize::from(r.u8("Option Length")?);
    let len = length.checked_sub(2).ok_or(Error::new("Option Length", Kind::BadLength))?;
    Ok(RawOption { kind, data: r.take(len, "Option Data")? })
}

wire_enum! {
    /// Algorithms of CHAP (the byte after C223; RFC 1994 section 3).
    pub struct ChapAlgorithm(u8) {
        MD5 = 5,
        /// RFC 2433: broken beyond repair; never offered, never accepted.
        MS_CHAP_V1 = 0x80,
        /// RFC 2759.
        MS_CHAP_V2 = 0x81,
    }
}

/// The value of the Authentication-Protocol option.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum AuthProtocol {
    /// Password Authentication Protocol, C023.
    Pap,
    /// Challenge Handshake, C223 and the algorithm.
    Chap(ChapAlgorithm),
    /// Extensible Authentication Protocol, C227.
    Eap,
    /// Anything else: protocol number and data.
    Other(u16, Box<[u8]>),
}

impl AuthProtocol {
    fn parse(data: &[u8]) -> Option<Self> {
        let (number, rest) = data.split_first_chunk::<2>()?;
        Some(match (u16::from_be_bytes(*number), rest) {
            (0xc023, []) => Self::Pap,
            (0xc223, &[algorithm]) => Self::Chap(ChapAlgorithm(algorithm)),
            (0xc227, []) => Self::Eap,
            (number, rest) => Self::Other(number, rest.into()),
        })
    }

    fn emit_data(&self, w: &mut Writer) {
        match self {
            Self::Pap => w.u16(0xc023),
            Self::Chap(algorithm) => {
                w.u16(0xc223);
                w.u8(algorithm.0);
            }
            Self::Eap => w.u16(0xc227),
            Self::Other(number, data) => {
                w.u16(*number);
                w.bytes(data);
            }
        }
    }
}

impl std::fmt::Display for AuthProtocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pap => f.write_str("PAP"),
            Self::Chap(ChapAlgorithm::MD5) => f.write_str("CHAP-MD5"),
            Self::Chap(ChapAlgorithm::MS_CHAP_V1) => f.write_str("MS-CHAPv1"),
            Self::Chap(ChapAlgorithm::MS_CHAP_V2) => f.write_str("MS-CHAPv2"),
            Self::Chap(ChapAlgorithm(other)) => write!(f, "CHAP algorithm {other}"),
            Self::Eap => f.write_str("EAP"),
            Self::Other(number, _) => write!(f, "protocol {number:#06x}"),
        }
    }
}

/// An LCP option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LcpOption {
    /// Maximum-Receive-Unit (1): the longest information field that the sender takes, in bytes.
    Mru(u16),
    /// Async-Control-Character-Map (2): without meaning over L2TP.
    Accm(u32),
    /// Authentication-Protocol (3): how the receiver of the request shall prove who it is.
    Auth(AuthProtocol),
    /// Magic-Number (5): tells a loop-back.
    Magic(u32),
    /// Protocol-Field-Compression (7): the sender takes one-byte protocol fields.
    Pfc,
    /// Address-and-Control-Field-Compression (8): the sender takes frames without FF 03.
    Acfc,
    /// Callback (13; RFC 1570 section 2.3, and 6 for Microsoft's CBCP).
    Callback(Box<[u8]>),
    /// Multilink Maximum-Received-Reconstructed-Unit (17; RFC 1990).
    Mrru(u16),
    /// Multilink Endpoint-Discriminator (19; RFC 1990): class and address.
    Endpoint(Box<[u8]>),
    /// Any other option, and one of the above with a wrong length: type and data.
    Other(u8, Box<[u8]>),
}

/// Option numbers of LCP.
pub mod lcp_kind {
    /// Maximum-Receive-Unit.
    pub const MRU: u8 = 1;
    /// Async-Control-Character-Map.
    pub const ACCM: u8 = 2;
    /// Authentication-Protocol.
    pub const AUTH: u8 = 3;
    /// Magic-Number.
    pub const MAGIC: u8 = 5;
    /// Protocol-Field-Compression.
    pub const PFC: u8 = 7;
    /// Address-and-Control-Field-Compression.
    pub const ACFC: u8 = 8;
    /// Callback.
    pub const CALLBACK: u8 = 13;
    /// Multilink-MRRU.
    pub const MRRU: u8 = 17;
    /// Multilink-Endpoint-Discriminator.
    pub const ENDPOINT: u8 = 19;
}

impl LcpOption {
    /// Gives an option its meaning. Cannot fail: what has none becomes [`Self::Other`].
    #[must_use]
    pub fn from_raw(raw: RawOption<'_>) -> Self {
        let other = || Self::Other(raw.kind, raw.data.into());
        match (raw.kind, raw.data) {
            (lcp_kind::MRU, &[a, b]) => Self::Mru(u16::from_be_bytes([a, b])),
            (lcp_kind::ACCM, &[a, b, c, d]) => Self::Accm(u32::from_be_bytes([a, b, c, d])),
            (lcp_kind::AUTH, data) => AuthProtocol::parse(data).map_or_else(other, Self::Auth),
            (lcp_kind::MAGIC, &[a, b, c, d]) => Self::Magic(u32::from_be_bytes([a, b, c, d])),
            (lcp_kind::PFC, []) => Self::Pfc,
            (lcp_kind::ACFC, []) => Self::Acfc,
            (lcp_kind::CALLBACK, data) if !data.is_empty() => Self::Callback(data.into()),
            (lcp_kind::MRRU, &[a, b]) => Self::Mrru(u16::from_be_bytes([a, b])),
            (lcp_kind::ENDPOINT, data) if !data.is_empty() => Self::Endpoint(data.into()),
            _ => other(),
        }
    }

    /// Appends the option.
    pub fn emit(&self, w: &mut Writer) {
        match self {
            Self::Mru(mru) => RawOption { kind: lcp_kind::MRU, data: &mru.to_be_bytes() }.emit(w),
            Self::Accm(map) => RawOption { kind: lcp_kind::ACCM, data: &map.to_be_bytes() }.emit(w),
            Self::Auth(auth) => {
                let mut data = Writer::new();
                auth.emit_data(&mut data);
                RawOption { kind: lcp_kind::AUTH, data: data.as_slice() }.emit(w);
            }
            Self::Magic(magic) => RawOption { kind: lcp_kind::MAGIC, data: &magic.to_be_bytes() }.emit(w),
            Self::Pfc => RawOption { kind: lcp_kind::PFC, data: &[] }.emit(w),
            Self::Acfc => RawOption { kind: lcp_kind::ACFC, data: &[] }.emit(w),
            Self::Callback(data) => RawOption { kind: lcp_kind::CALLBACK, data }.emit(w),
            Self::Mrru(mrru) => RawOption { kind: lcp_kind::MRRU, data: &mrru.to_be_bytes() }.emit(w),
            Self::Endpoint(data) => RawOption { kind: lcp_kind::ENDPOINT, data }.emit(w),
            Self::Other(kind, data) => RawOption { kind: *kind, data }.emit(w),
        }
    }
}

/// An IPCP option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IpcpOption {
    /// IP-Compression-Protocol (2): Van Jacobson, mostly.
    Compression(Box<[u8]>),
    /// IP-Address (3) of the sender; 0.0.0.0 asks for one.
    Address(Ipv4Addr),
    /// Primary DNS Server Address (129; RFC 1877).
    Dns1(Ipv4Addr),
    /// Primary NBNS Server Address (130).
    Wins1(Ipv4Addr),
    /// Secondary DNS Server Address (131).
    Dns2(Ipv4Addr),
    /// Secondary NBNS Server Address (132).
    Wins2(Ipv4Addr),
    /// Any other option, and one of the above with a wrong length: type and data.
    Other(u8, Box<[u8]>),
}

/// Option numbers of IPCP.
pub mod ipcp_kind {
    /// IP-Compression-Protocol.
    pub const COMPRESSION: u8 = 2;
    /// IP-Address.
    pub const ADDRESS: u8 = 3;
    /// Primary DNS server.
    pub const DNS1: u8 = 129;
    /// Primary NBNS server.
    pub const WINS1: u8 = 130;
    /// Secondary DNS server.
    pub const DNS2: u8 = 131;
    /// Secondary NBNS server.
    pub const WINS2: u8 = 132;
}

impl IpcpOption {
    /// Gives an option its meaning. Cannot fail: what has none becomes [`Self::Other`].
    #[must_use]
    pub fn from_raw(raw: RawOption<'_>) -> Self {
        match (raw.kind, raw.data) {
            (ipcp_kind::COMPRESSION, data) if data.len() >= 2 => Self::Compression(data.into()),
            (kind, &[a, b, c, d]) => {
                let address = Ipv4Addr::new(a, b, c, d);
                match kind {
                    ipcp_kind::ADDRESS => Self::Address(address),
                    ipcp_kind::DNS1 => Self::Dns1(address),
                    ipcp_kind::WINS1 => Self::Wins1(address),
                    ipcp_kind::DNS2 => Self::Dns2(address),
                    ipcp_kind::WINS2 => Self::Wins2(address),
                    _ => Self::Other(kind, raw.data.into()),
                }
            }
            (kind, data) => Self::Other(kind, data.into()),
        }
    }

    /// Appends the option.
    pub fn emit(&self, w: &mut Writer) {
        let (kind, address) = match self {
            Self::Compression(data) => return RawOption { kind: ipcp_kind::COMPRESSION, data }.emit(w),
            Self::Other(kind, data) => return RawOption { kind: *kind, data }.emit(w),
            Self::Address(address) => (ipcp_kind::ADDRESS, address),
            Self::Dns1(address) => (ipcp_kind::DNS1, address),
            Self::Wins1(address) => (ipcp_kind::WINS1, address),
            Self::Dns2(address) => (ipcp_kind::DNS2, address),
            Self::Wins2(address) => (ipcp_kind::WINS2, address),
        };
        RawOption { kind, data: &address.octets() }.emit(w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    /// Options of the LCP Configure-Request of a real Android 11 (capture android_nat_main, frame 27).
    const ANDROID_LCP: &[u8] = &hex!("01040578 020600000000 05062b9950ec 0702 0802");
    /// Options of the IPCP Configure-Request of the same (frame 41).
    const ANDROID_IPCP: &[u8] = &hex!("0206002d0f01 030600000000 810600000000 830600000000");

    fn lcp(bytes: &[u8]) -> Vec<LcpOption> {
        raw_options(bytes).map(|raw| LcpOption::from_raw(raw.unwrap())).collect()
    }

    #[test]
    fn the_options_of_a_real_android() {
        assert_eq!(
            lcp(ANDROID_LCP),
            [
                LcpOption::Mru(1400),
                LcpOption::Accm(0),
                LcpOption::Magic(0x2b99_50ec),
                LcpOption::Pfc,
                LcpOption::Acfc
            ]
        );
        let zero = Ipv4Addr::UNSPECIFIED;
        let options: Vec<_> =
            raw_options(ANDROID_IPCP).map(|raw| IpcpOption::from_raw(raw.unwrap())).collect();
        assert_eq!(
            options,
            [
                IpcpOption::Compression(hex!("002d0f01").into()),
                IpcpOption::Address(zero),
                IpcpOption::Dns1(zero),
                IpcpOption::Dns2(zero)
            ]
        );
    }

    #[test]
    fn authentication_protocols() {
        for (bytes, auth, name) in [
            (&hex!("0304c023")[..], AuthProtocol::Pap, "PAP"),
            (&hex!("0305c22305")[..], AuthProtocol::Chap(ChapAlgorithm::MD5), "CHAP-MD5"),
            (&hex!("0305c22380")[..], AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V1), "MS-CHAPv1"),
            (&hex!("0305c22381")[..], AuthProtocol::Chap(ChapAlgorithm::MS_CHAP_V2), "MS-CHAPv2"),
            (&hex!("0304c227")[..], AuthProtocol::Eap, "EAP"),
            (&hex!("0304c223")[..], AuthProtocol::Other(0xc223, Box::new([])), "protocol 0xc223"),
        ] {
            assert_eq!(auth.to_string(), name);
            assert_eq!(lcp(bytes), [LcpOption::Auth(auth)]);
        }
    }

    #[test]
    fn wrong_lengths_are_kept_as_bytes_or_end_the_packet() {
        assert_eq!(lcp(&hex!("0103ff")), [LcpOption::Other(1, Box::new([0xff]))]);
        let mut options = raw_options(&hex!("0702 0801 0702")).map(|o| o.map(|o| o.kind)).collect::<Vec<_>>();
        assert_eq!(options.pop(), Some(Err(Error::new("Option Length", Kind::BadLength))));
        assert_eq!(options, [Ok(7)]);
        assert_eq!(
            raw_options(&hex!("0106ff")).next(),
            Some(Err(Error::new("Option Data", Kind::Truncated)))
        );
    }

    proptest! {
        #[test]
        fn options_survive_a_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let (mut as_lcp, mut as_ipcp, mut good) = (Writer::new(), Writer::new(), 0);
            for raw in raw_options(&bytes).map_while(Result::ok) {
                LcpOption::from_raw(raw).emit(&mut as_lcp);
                IpcpOption::from_raw(raw).emit(&mut as_ipcp);
                good += raw.data.len() + 2;
            }
            prop_assert_eq!(as_lcp.as_slice(), &bytes[..good]);
            prop_assert_eq!(as_ipcp.as_slice(), &bytes[..good]);
        }
    }
}
