//! DHCP messages and options (RFC 2131 section 2, RFC 2132, RFC 3396, RFC 3397, RFC 3442).

use super::ether::Mac;
use super::inet::Network;
use super::{Error, Kind, Reader, Writer, wire_enum};
use std::net::Ipv4Addr;

/// UDP port of servers.
pub const SERVER_PORT: u16 = 67;
/// UDP port of clients.
pub const CLIENT_PORT: u16 = 68;
/// `op` of a client's message.
pub const REQUEST: u8 = 1;
/// `op` of a server's message.
pub const REPLY: u8 = 2;
/// `htype` of an Ethernet card, whose addresses have 6 bytes (RFC 1700).
pub const ETHERNET: u8 = 1;
/// The biggest message that every client takes, as an IP packet of 576 bytes (RFC 2131 section 2).
pub const MIN_MAX_SIZE: usize = 576 - 28;
/// The shortest message that old relays and BOOTP clients take (RFC 1542 section 2.1).
const MIN_SIZE: usize = 300;
/// What tells DHCP from BOOTP, behind the fixed part (RFC 2131 section 3).
pub const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The flag by which a client asks for broadcast replies.
pub const BROADCAST: u16 = 0x8000;

wire_enum! {
    /// Type of a message, option 53 (RFC 2132 section 9.6).
    pub struct MessageType(u8) {
        DISCOVER = 1,
        OFFER = 2,
        REQUEST = 3,
        DECLINE = 4,
        ACK = 5,
        NAK = 6,
        RELEASE = 7,
        INFORM = 8,
    }
}

wire_enum! {
    /// Code of an option.
    pub struct Code(u8) {
        SUBNET_MASK = 1,
        ROUTER = 3,
        DNS = 6,
        HOST_NAME = 12,
        DOMAIN = 15,
        NTP = 42,
        VENDOR_SPECIFIC = 43,
        WINS = 44,
        NETBIOS_NODE_TYPE = 46,
        NETBIOS_SCOPE = 47,
        REQUESTED_ADDRESS = 50,
        LEASE_TIME = 51,
        OVERLOAD = 52,
        MESSAGE_TYPE = 53,
        SERVER_ID = 54,
        PARAMETER_LIST = 55,
        MESSAGE = 56,
        MAX_SIZE = 57,
        RENEWAL_TIME = 58,
        REBINDING_TIME = 59,
        VENDOR_CLASS = 60,
        CLIENT_ID = 61,
        USER_CLASS = 77,
        RELAY_AGENT = 82,
        DOMAIN_SEARCH = 119,
        CLASSLESS_ROUTES = 121,
        /// Microsoft's number for classless routes.
        MS_CLASSLESS_ROUTES = 249,
        /// URL of a proxy configuration.
        WPAD = 252,
    }
}

/// A DHCP message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Direction: [`REQUEST`] or [`REPLY`].
    pub op: u8,
    /// Hardware type; 1 is Ethernet, 8 is what Apple's PPP says.
    pub htype: u8,
    /// Length of the hardware address.
    pub hlen: u8,
    /// Relays passed.
    pub hops: u8,
    /// Transaction, chosen by the client.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// Flags; see [`Self::wants_broadcast`].
    pub flags: u16,
    /// The address that the client has and can answer ARP for.
    pub ciaddr: Ipv4Addr,
    /// "Your" address: what the client gets.
    pub yiaddr: Ipv4Addr,
    /// Next server of a boot process.
    pub siaddr: Ipv4Addr,
    /// The relay's address.
    pub giaddr: Ipv4Addr,
    /// Hardware address of the client, `hlen` bytes.
    pub chaddr: [u8; 16],
    /// Options in the order in which they stand; an option in several parts (RFC 3396) is joined.
    pub options: Vec<(Code, Vec<u8>)>,
}

impl Message {
    /// Parses the payload of a UDP datagram. Overloaded fields are read, a missing end option is forgiven.
    ///
    /// # Errors
    /// If it is truncated, no DHCP message, or contradicts itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        let [op, htype, hlen, hops] = r.array("DHCP header")?;
        if usize::from(hlen) > 16 {
            return Err(Error::new("DHCP hlen", Kind::BadLength));
        }
        let mut message = Self {
            op,
            htype,
            hlen,
            hops,
            xid: r.u32("DHCP xid")?,
            secs: r.u16("DHCP secs")?,
            flags: r.u16("DHCP flags")?,
            ciaddr: r.array::<4>("DHCP ciaddr")?.into(),
            yiaddr: r.array::<4>("DHCP yiaddr")?.into(),
            siaddr: r.array::<4>("DHCP siaddr")?.into(),
            giaddr: r.array::<4>("DHCP giaddr")?.into(),
            chaddr: r.array("DHCP chaddr")?,
            options: Vec::new(),
        };
        let sname = r.take(64, "DHCP sname")?;
        let file = r.take(128, "DHCP file")?;
        if r.array::<4>("DHCP cookie")? != COOKIE {
            return Err(Error::new("DHCP cookie", Kind::BadValue));
        }
        message.parse_options(r)?;
        // RFC 2131 section 4.1: file first, then sname.
        let overload = message.option(Code::OVERLOAD).and_then(|value| value.first().copied()).unwrap_or(0);
        for (bit, field) in [(1, file), (2, sname)] {
            if overload & bit != 0 {
                message.parse_options(Reader::new(field))?;
            }
        }
        Ok(message)
    }

    fn parse_options(&mut self, mut r: Reader<'_>) -> Result<(), Error> {
        while !r.is_empty() {
            match r.u8("DHCP option")? {
                0 => {}
                255 => break,
                code => {
                    let length = r.u8("DHCP option length")?;
                    let value = r.take(usize::from(length), "DHCP option value")?;
                    self.push(Code(code), value);
                }
            }
        }
        Ok(())
    }

    /// Appends to an option, or adds it behind all others.
    pub fn push(&mut self, code: Code, value: &[u8]) {
        match self.options.iter_mut().find(|(known, _)| *known == code) {
            Some((_, known)) => known.extend_from_slice(value),
            None => self.options.push((code, value.to_vec())),
        }
    }

    /// The value of an option.
    #[must_use]
    pub fn option(&self, code: Code) -> Option<&[u8]> {
        self.options.iter().find(|(known, _)| *known == code).map(|(_, value)| value.as_slice())
    }

    /// The value of an option that is one address.
    #[must_use]
    pub fn address(&self, code: Code) -> Option<Ipv4Addr> {
        self.option(code).and_then(|value| <[u8; 4]>::try_from(value).ok()).map(Ipv4Addr::from)
    }

    /// What kind of message it is; `None` for BOOTP.
    #[must_use]
    pub fn kind(&self) -> Option<MessageType> {
        match self.option(Code::MESSAGE_TYPE) {
            Some([kind]) => Some(MessageType(*kind)),
            _ => None,
        }
    }

    /// Whether replies have to be broadcast, because the client takes nothing else before it has its address.
    #[must_use]
    pub fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST != 0
    }

    /// The client's hardware address.
    #[must_use]
    pub fn hardware(&self) -> &[u8] {
        &self.chaddr[..usize::from(self.hlen)]
    }

    /// How long a reply may be, by the client's option 57, without IP and UDP headers.
    #[must_use]
    pub fn max_size(&self) -> usize {
        let said = self.option(Code::MAX_SIZE).and_then(|value| <[u8; 2]>::try_from(value).ok());
        let said = said.map_or(0, |value| usize::from(u16::from_be_bytes(value)).saturating_sub(28));
        said.clamp(MIN_MAX_SIZE, 1472)
    }

    /// The beginning of a client's message: one without an address, from an Ethernet card.
    #[must_use]
    pub fn request(xid: u32, mac: Mac, kind: MessageType) -> Self {
        let mut chaddr = [0; 16];
        chaddr[..6].copy_from_slice(&mac.0);
        Self {
            op: REQUEST,
            htype: ETHERNET,
            hlen: 6,
            hops: 0,
            xid,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            options: vec![(Code::MESSAGE_TYPE, vec![kind.0])],
        }
    }

    /// The beginning of a reply to this message.
    #[must_use]
    pub fn reply(&self) -> Self {
        Self {
            op: REPLY,
            hops: 0,
            secs: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            options: Vec::new(),
            ..self.clone()
        }
    }

    /// The message's bytes. Options that would make it longer than `max_size` are left out, the rest stays in order; so
    /// what matters most has to come first. Behind the end option stands at least one byte of padding: Apple's client
    /// does not see the last option else.
    #[must_use]
    pub fn emit(&self, max_size: usize) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&[self.op, self.htype, self.hlen, self.hops]);
        w.u32(self.xid);
        w.u16(self.secs);
        w.u16(self.flags);
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            w.bytes(&address.octets());
        }
        w.bytes(&self.chaddr);
        w.bytes(&[0; 64 + 128]);
        w.bytes(&COOKIE);
        for (code, value) in &self.options {
            // RFC 3396: what is longer than 255 bytes goes on in another option of the same code.
            let parts = value.len().div_ceil(255).max(1);
            if w.len() + value.len() + 2 * parts + 2 > max_size {
                continue;
            }
            let mut rest = value.as_slice();
            for _ in 0..parts {
                let (part, behind) = rest.split_at(rest.len().min(255));
                w.u8(code.0);
                w.u8(part.len() as u8);
                w.bytes(part);
                rest = behind;
            }
        }
        w.u8(255);
        w.u8(0);
        let mut bytes = w.finish();
        if bytes.len() < MIN_SIZE {
            bytes.resize(MIN_SIZE, 0);
        }
        bytes
    }
}

/// The value of option 121 or 249: routes and their gateways (RFC 3442).
#[must_use]
pub fn classless_routes<'a>(routes: impl IntoIterator<Item = &'a (Network, Ipv4Addr)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (network, gateway) in routes {
        out.push(network.prefix);
        out.extend_from_slice(&network.address.octets()[..usize::from(network.prefix).div_ceil(8)]);
        out.extend_from_slice(&gateway.octets());
    }
    out
}

/// The value of option 119: names as in DNS (RFC 3397), uncompressed. Names that DNS cannot hold are left out.
#[must_use]
pub fn domain_search<'a>(domains: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = Vec::new();
    for domain in domains {
        let labels: Vec<&[u8]> = domain.trim_end_matches('.').split('.').map(str::as_bytes).collect();
        if domain.len() > 253 || labels.iter().any(|label| label.is_empty() || label.len() > 63) {
            continue;
        }
        for label in labels {
            out.push(label.len() as u8);
            out.extend_from_slice(label);
        }
        out.push(0);
    }
    out
}

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;
