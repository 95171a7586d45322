//! Attribute-Value Pairs of L2TP control messages (RFC 2661 section 4; RFC 3145 for the PPP Disconnect Cause Code).
//!
//! ```text
//! |M|H| rsvd  |      Length       |           Vendor ID           |
//! |         Attribute Type        |        Attribute Value...
//! ```
//!
//! Numbers longer than they should be are read from their first bytes; shorter ones are a defect. Hidden values are
//! recognised, not revealed: no client of ours hides anything, and [`Value::Hidden`] says so where one does.

use super::l2tp::{SessionId, TunnelId};
use super::{Error, Kind, Reader, Writer, wire_enum};

/// Length of an AVP before its value.
pub const AVP_HEADER_LEN: usize = 6;

/// Most AVPs that we read in one message; the longest real one (an ICCN with proxy LCP) has about 15.
pub const MAX_AVPS: usize = 48;

const M: u16 = 0x8000;
const H: u16 = 0x4000;
const RESERVED: u16 = 0x3c00;
const LENGTH: u16 = 0x03ff;

/// Longest value: the Length field has ten bits.
pub const MAX_VALUE_LEN: usize = LENGTH as usize - AVP_HEADER_LEN;

wire_enum! {
    /// Control message types (RFC 2661 section 3.2).
    pub struct MessageType(u16) {
        /// Start-Control-Connection-Request.
        SCCRQ = 1,
        /// Start-Control-Connection-Reply.
        SCCRP = 2,
        /// Start-Control-Connection-Connected.
        SCCCN = 3,
        /// Stop-Control-Connection-Notification.
        STOP_CCN = 4,
        /// Hello: a keepalive that wants an acknowledgement.
        HELLO = 6,
        /// Outgoing-Call-Request.
        OCRQ = 7,
        /// Outgoing-Call-Reply.
        OCRP = 8,
        /// Outgoing-Call-Connected.
        OCCN = 9,
        /// Incoming-Call-Request.
        ICRQ = 10,
        /// Incoming-Call-Reply.
        ICRP = 11,
        /// Incoming-Call-Connected.
        ICCN = 12,
        /// Call-Disconnect-Notify.
        CDN = 14,
        /// WAN-Error-Notify.
        WEN = 15,
        /// Set-Link-Info.
        SLI = 16,
    }
}

wire_enum! {
    /// Attribute types of vendor 0 (RFC 2661 section 4.4).
    pub struct AttributeType(u16) {
        MESSAGE_TYPE = 0,
        RESULT_CODE = 1,
        PROTOCOL_VERSION = 2,
        FRAMING_CAPABILITIES = 3,
        BEARER_CAPABILITIES = 4,
        TIE_BREAKER = 5,
        FIRMWARE_REVISION = 6,
        HOST_NAME = 7,
        VENDOR_NAME = 8,
        ASSIGNED_TUNNEL_ID = 9,
        RECEIVE_WINDOW_SIZE = 10,
        CHALLENGE = 11,
        Q931_CAUSE_CODE = 12,
        CHALLENGE_RESPONSE = 13,
        ASSIGNED_SESSION_ID = 14,
        CALL_SERIAL_NUMBER = 15,
        MINIMUM_BPS = 16,
        MAXIMUM_BPS = 17,
        BEARER_TYPE = 18,
        FRAMING_TYPE = 19,
        CALLED_NUMBER = 21,
        CALLING_NUMBER = 22,
        SUB_ADDRESS = 23,
        TX_CONNECT_SPEED = 24,
        PHYSICAL_CHANNEL_ID = 25,
        INITIAL_RECEIVED_LCP_CONFREQ = 26,
        LAST_SENT_LCP_CONFREQ = 27,
        LAST_RECEIVED_LCP_CONFREQ = 28,
        PROXY_AUTHEN_TYPE = 29,
        PROXY_AUTHEN_NAME = 30,
        PROXY_AUTHEN_CHALLENGE = 31,
        PROXY_AUTHEN_ID = 32,
        PROXY_AUTHEN_RESPONSE = 33,
        CALL_ERRORS = 34,
        ACCM = 35,
        RANDOM_VECTOR = 36,
        PRIVATE_GROUP_ID = 37,
        RX_CONNECT_SPEED = 38,
        SEQUENCING_REQUIRED = 39,
        /// RFC 3145.
        PPP_DISCONNECT_CAUSE_CODE = 46,
    }
}

wire_enum! {
    /// PPP disconnect codes (RFC 3145 section 3).
    pub struct DisconnectCode(u16) {
        NO_INFORMATION = 0,
        ADMINISTRATIVE = 1,
        LCP_RENEGOTIATION_DISABLED = 2,
        /// LCP Terminate-Request sent.
        NORMAL = 3,
        COMPULSORY_ENCRYPTION_REFUSED = 4,
        LCP_TIMEOUT = 5,
        NO_LCP_RECEIVED = 6,
        /// The magic number looks like our own.
        LOOPED_BACK = 7,
        LCP_ECHO_TIMEOUT = 8,
        UNEXPECTED_ENDPOINT_DISCRIMINATOR = 9,
        UNEXPECTED_MRRU = 10,
        UNEXPECTED_SHORT_SEQUENCE_NUMBER = 11,
        COMPULSORY_CALLBACK_REFUSED = 12,
        AUTH_TIMEOUT = 13,
        UNEXPECTED_AUTH_NAME = 14,
        AUTH_PROTOCOL_UNACCEPTABLE = 15,
        /// Bad name, password or secret.
        AUTH_FAILED = 16,
        NCP_TIMEOUT = 17,
        NO_NCP_AVAILABLE = 18,
        NO_ACCEPTABLE_ADDRESS = 19,
        NO_PERMITTED_ADDRESS = 20,
    }
}

/// Framing Capabilities and Framing Type, bit S: synchronous.
pub const FRAMING_SYNC: u32 = 1;
/// Framing Capabilities and Framing Type, bit A: asynchronous.
pub const FRAMING_ASYNC: u32 = 2;

/// Protocol Version AVP: version 1, revision 0.
pub const PROTOCOL_VERSION: u16 = 0x0100;

/// Result Code AVP (section 4.4.2): why a tunnel or a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ResultCode<'a> {
    /// The result; its meaning depends on the message (StopCCN or CDN).
    pub result: u16,
    /// The error, which refines a result of 2; `None` when the AVP ends before it.
    pub error: Option<u16>,
    /// Text for humans, UTF-8 if the peer keeps to the RFC.
    pub message: &'a [u8],
}

impl<'a> ResultCode<'a> {
    fn parse(value: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(value);
        let result = r.u16("Result Code")?;
        // Interop: Apple's L2TP plugin writes two bytes in the CPU's (little-endian) order into an AVP of 14 bytes, the
        // other six being whatever was in the buffer. Real codes stay below 256, so a zero low byte gives it away.
        if result > 0xff && result & 0xff == 0 {
            return Ok(Self { result: result.swap_bytes(), error: None, message: &[] });
        }
        if r.remaining() < 2 {
            return Ok(Self { result, error: None, message: &[] });
        }
        let error = r.u16("Error Code")?;
        Ok(Self { result, error: Some(error), message: r.rest() })
    }

    fn emit(&self, w: &mut Writer) {
        w.u16(self.result);
        if let Some(error) = self.error {
            w.u16(error);
            w.bytes(self.message);
        }
    }
}

/// PPP Disconnect Cause Code AVP (RFC 3145): what PPP knows about the end of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PppDisconnect<'a> {
    /// The disconnect code.
    pub code: DisconnectCode,
    /// PPP protocol number of the control protocol concerned, or 0.
    pub protocol: u16,
    /// 0 global, 1 at the peer's end, 2 at the sender's end.
    pub direction: u8,
    /// Text for humans.
    pub message: &'a [u8],
}

/// The value of an AVP: typed where we use it, raw where we pass over it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Value<'a> {
    /// What message this is.
    MessageType(MessageType),
    /// Why a tunnel or session ends.
    ResultCode(ResultCode<'a>),
    /// Version and revision, [`PROTOCOL_VERSION`].
    ProtocolVersion(u16),
    /// [`FRAMING_SYNC`] and [`FRAMING_ASYNC`].
    FramingCapabilities(u32),
    /// 1 digital, 2 analogue.
    BearerCapabilities(u32),
    /// Decides between two SCCRQs that cross.
    TieBreaker([u8; 8]),
    /// The peer's software version.
    FirmwareRevision(u16),
    /// The peer's name.
    HostName(&'a [u8]),
    /// Who made the peer.
    VendorName(&'a [u8]),
    /// The sender's number for the tunnel.
    AssignedTunnelId(TunnelId),
    /// Control messages that the sender can take before it acknowledges one.
    ReceiveWindowSize(u16),
    /// A challenge to answer with [`Value::ChallengeResponse`].
    Challenge(&'a [u8]),
    /// MD5 over message type, secret and challenge.
    ChallengeResponse([u8; 16]),
    /// The sender's number for the session.
    AssignedSessionId(SessionId),
    /// A number for humans to find a call in both ends' logs.
    CallSerialNumber(u32),
    /// 1 digital, 2 analogue.
    BearerType(u32),
    /// [`FRAMING_SYNC`] or [`FRAMING_ASYNC`].
    FramingType(u32),
    /// Bits per second towards the LNS's client.
    TxConnectSpeed(u32),
    /// Bits per second from it.
    RxConnectSpeed(u32),
    /// The peer wants data messages numbered.
    SequencingRequired,
    /// What PPP knows about the end (RFC 3145).
    PppDisconnect(PppDisconnect<'a>),
    /// An attribute that we know and pass over, by its number.
    Passed(AttributeType, &'a [u8]),
    /// An attribute that we do not know, or one with reserved bits, which must be treated so (section 4.1).
    Unknown {
        /// The vendor, 0 for the IETF.
        vendor: u16,
        /// The vendor's number for the attribute.
        attribute: u16,
        /// Its bytes.
        value: &'a [u8],
    },
    /// A hidden value (H bit, section 4.3).
    Hidden {
        /// The vendor, 0 for the IETF.
        vendor: u16,
        /// The vendor's number for the attribute.
        attribute: u16,
        /// Its encrypted bytes.
        value: &'a [u8],
    },
}

/// One Attribute-Value Pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Avp<'a> {
    /// M bit: who does not know this attribute must give up the session or the tunnel.
    pub mandatory: bool,
    /// What it says.
    pub value: Value<'a>,
}

impl<'a> Avp<'a> {
    /// An AVP with the M bit.
    #[must_use]
    pub const fn mandatory(value: Value<'a>) -> Self {
        Self { mandatory: true, value }
    }

    /// An AVP without the M bit.
    #[must_use]
    pub const fn optional(value: Value<'a>) -> Self {
        Self { mandatory: false, value }
    }

    fn parse(r: &mut Reader<'a>) -> Result<Self, Error> {
        let mut header = *r;
        let flags = header.u16("AVP flags and Length")?;
        let length = usize::from(flags & LENGTH);
        if length < AVP_HEADER_LEN {
            return Err(Error::new("AVP Length", Kind::BadLength));
        }
        let mut avp = r.sub(length, "AVP")?;
        avp.take(2, "AVP flags and Length")?;
        let vendor = avp.u16("Vendor ID")?;
        let attribute = avp.u16("Attribute Type")?;
        let value = avp.rest();
        let value = if flags & RESERVED != 0 {
            Value::Unknown { vendor, attribute, value }
        } else if flags & H != 0 {
            Value::Hidden { vendor, attribute, value }
        } else if vendor != 0 {
            Value::Unknown { vendor, attribute, value }
        } else {
            Value::parse(AttributeType(attribute), value)?
        };
        Ok(Self { mandatory: flags & M != 0, value })
    }

    /// Writes the AVP. A value beyond [`MAX_VALUE_LEN`] is cut: only names and texts can be that long.
    pub fn emit(&self, w: &mut Writer) {
        let mut value = Writer::new();
        self.value.emit(&mut value);
        let value = &value.as_slice()[..value.len().min(MAX_VALUE_LEN)];
        let hidden = matches!(self.value, Value::Hidden { .. });
        let (vendor, attribute) = self.value.number();
        let length = u16::try_from(AVP_HEADER_LEN + value.len()).unwrap_or(LENGTH);
        w.u16(length | if self.mandatory { M } else { 0 } | if hidden { H } else { 0 });
        w.u16(vendor);
        w.u16(attribute);
        w.bytes(value);
    }
}

impl<'a> Value<'a> {
    fn parse(attribute: AttributeType, value: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(value);
        Ok(match attribute {
            AttributeType::MESSAGE_TYPE => Self::MessageType(MessageType(r.u16("Message Type")?)),
            AttributeType::RESULT_CODE => Self::ResultCode(ResultCode::parse(value)?),
            AttributeType::PROTOCOL_VERSION => Self::ProtocolVersion(r.u16("Protocol Version")?),
            AttributeType::FRAMING_CAPABILITIES => Self::FramingCapabilities(r.u32("Framing Capabilities")?),
            AttributeType::BEARER_CAPABILITIES => Self::BearerCapabilities(r.u32("Bearer Capabilities")?),
            AttributeType::TIE_BREAKER => Self::TieBreaker(r.array("Tie Breaker")?),
            AttributeType::FIRMWARE_REVISION => Self::FirmwareRevision(r.u16("Firmware Revision")?),
            AttributeType::HOST_NAME => Self::HostName(value),
            AttributeType::VENDOR_NAME => Self::VendorName(value),
            AttributeType::ASSIGNED_TUNNEL_ID => {
                Self::AssignedTunnelId(TunnelId(r.u16("Assigned Tunnel ID")?))
            }
            AttributeType::RECEIVE_WINDOW_SIZE => Self::ReceiveWindowSize(r.u16("Receive Window Size")?),
            AttributeType::CHALLENGE => Self::Challenge(value),
            AttributeType::CHALLENGE_RESPONSE => Self::ChallengeResponse(r.array("Challenge Response")?),
            AttributeType::ASSIGNED_SESSION_ID => {
                Self::AssignedSessionId(SessionId(r.u16("Assigned Session ID")?))
            }
            AttributeType::CALL_SERIAL_NUMBER => Self::CallSerialNumber(r.u32("Call Serial Number")?),
            AttributeType::BEARER_TYPE => Self::BearerType(r.u32("Bearer Type")?),
            AttributeType::FRAMING_TYPE => Self::FramingType(r.u32("Framing Type")?),
            AttributeType::TX_CONNECT_SPEED => Self::TxConnectSpeed(r.u32("Tx Connect Speed")?),
            AttributeType::RX_CONNECT_SPEED => Self::RxConnectSpeed(r.u32("Rx Connect Speed")?),
            AttributeType::SEQUENCING_REQUIRED => Self::SequencingRequired,
            AttributeType::PPP_DISCONNECT_CAUSE_CODE => Self::PppDisconnect(PppDisconnect {
                code: DisconnectCode(r.u16("PPP Disconnect Code")?),
                protocol: r.u16("PPP Control Protocol Number")?,
                direction: r.u8("PPP Disconnect Direction")?,
                message: r.rest(),
            }),
            // Interop: Windows sets the M bit on Physical Channel ID against section 4.4.4; we know the attribute, so
            // that is no reason to refuse it. The same goes for proxy LCP and the rest of the RFC's list.
            known if known.name().is_some() => Self::Passed(known, value),
            AttributeType(attribute) => Self::Unknown { vendor: 0, attribute, value },
        })
    }

    /// Vendor and attribute number.
    #[must_use]
    pub const fn number(&self) -> (u16, u16) {
        let attribute = match self {
            Self::MessageType(_) => AttributeType::MESSAGE_TYPE,
            Self::ResultCode(_) => AttributeType::RESULT_CODE,
            Self::ProtocolVersion(_) => AttributeType::PROTOCOL_VERSION,
            Self::FramingCapabilities(_) => AttributeType::FRAMING_CAPABILITIES,
            Self::BearerCapabilities(_) => AttributeType::BEARER_CAPABILITIES,
            Self::TieBreaker(_) => AttributeType::TIE_BREAKER,
            Self::FirmwareRevision(_) => AttributeType::FIRMWARE_REVISION,
            Self::HostName(_) => AttributeType::HOST_NAME,
            Self::VendorName(_) => AttributeType::VENDOR_NAME,
            Self::AssignedTunnelId(_) => AttributeType::ASSIGNED_TUNNEL_ID,
            Self::ReceiveWindowSize(_) => AttributeType::RECEIVE_WINDOW_SIZE,
            Self::Challenge(_) => AttributeType::CHALLENGE,
            Self::ChallengeResponse(_) => AttributeType::CHALLENGE_RESPONSE,
            Self::AssignedSessionId(_) => AttributeType::ASSIGNED_SESSION_ID,
            Self::CallSerialNumber(_) => AttributeType::CALL_SERIAL_NUMBER,
            Self::BearerType(_) => AttributeType::BEARER_TYPE,
            Self::FramingType(_) => AttributeType::FRAMING_TYPE,
            Self::TxConnectSpeed(_) => AttributeType::TX_CONNECT_SPEED,
            Self::RxConnectSpeed(_) => AttributeType::RX_CONNECT_SPEED,
            Self::SequencingRequired => AttributeType::SEQUENCING_REQUIRED,
            Self::PppDisconnect(_) => AttributeType::PPP_DISCONNECT_CAUSE_CODE,
            Self::Passed(attribute, _) => *attribute,
            Self::Unknown { vendor, attribute, .. } | Self::Hidden { vendor, attribute, .. } => {
                return (*vendor, *attribute);
            }
        };
        (0, attribute.0)
    }

    fn emit(&self, w: &mut Writer) {
        match self {
            Self::MessageType(kind) => w.u16(kind.0),
            Self::ResultCode(code) => code.emit(w),
            Self::ProtocolVersion(n) | Self::FirmwareRevision(n) | Self::ReceiveWindowSize(n) => w.u16(*n),
            Self::AssignedTunnelId(id) => w.u16(id.0),
            Self::AssignedSessionId(id) => w.u16(id.0),
            Self::FramingCapabilities(n)
            | Self::BearerCapabilities(n)
            | Self::CallSerialNumber(n)
            | Self::BearerType(n)
            | Self::FramingType(n)
            | Self::TxConnectSpeed(n)
            | Self::RxConnectSpeed(n) => w.u32(*n),
            Self::TieBreaker(bytes) => w.bytes(bytes),
            Self::ChallengeResponse(bytes) => w.bytes(bytes),
            Self::HostName(bytes) | Self::VendorName(bytes) | Self::Challenge(bytes) => w.bytes(bytes),
            Self::SequencingRequired => {}
            Self::PppDisconnect(cause) => {
                w.u16(cause.code.0);
                w.u16(cause.protocol);
                w.u8(cause.direction);
                w.bytes(cause.message);
            }
            Self::Passed(_, value) | Self::Unknown { value, .. } | Self::Hidden { value, .. } => {
                w.bytes(value)
            }
        }
    }
}

/// An attribute that the sender insists on and we cannot read (section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct UnknownMandatory {
    /// The vendor, 0 for the IETF.
    pub vendor: u16,
    /// The vendor's number for the attribute.
    pub attribute: u16,
    /// Whether we might know it, but it is hidden.
    pub hidden: bool,
}

/// The attributes of one control message, after its Message Type.
#[derive(Clone, Debug, Default)]
pub struct Avps<'a> {
    list: Vec<Avp<'a>>,
    defect: Option<Error>,
    mandatory_type: bool,
}

impl<'a> Avps<'a> {
    /// Reads the body of a control message.
    ///
    /// # Errors
    /// When the first AVP is not a readable Message Type. What is wrong further behind is kept as [`Self::defect`],
    /// together with everything before it.
    pub fn parse(body: &'a [u8]) -> Result<(MessageType, Self), Error> {
        let mut r = Reader::new(body);
        let first = Avp::parse(&mut r)?;
        let Value::MessageType(kind) = first.value else {
            return Err(Error::new("Message Type", Kind::Missing));
        };
        let mut avps = Self { list: Vec::with_capacity(8), defect: None, mandatory_type: first.mandatory };
        while !r.is_empty() && avps.defect.is_none() {
            if avps.list.len() == MAX_AVPS {
                avps.defect = Some(Error::new("AVPs", Kind::TooMany));
                break;
            }
            match Avp::parse(&mut r) {
                Ok(avp) => avps.list.push(avp),
                Err(error) => avps.defect = Some(error),
            }
        }
        Ok((kind, avps))
    }

    /// What is wrong with the attributes, if anything.
    #[must_use]
    pub const fn defect(&self) -> Option<Error> {
        self.defect
    }

    /// Whether the message's own type was mandatory: an unknown one then costs the tunnel (section 4.4.1).
    #[must_use]
    pub const fn is_type_mandatory(&self) -> bool {
        self.mandatory_type
    }

    /// The first attribute that is mandatory and not readable by us.
    #[must_use]
    pub fn unknown_mandatory(&self) -> Option<UnknownMandatory> {
        self.list.iter().filter(|avp| avp.mandatory).find_map(|avp| match avp.value {
            Value::Unknown { vendor, attribute, .. } => {
                Some(UnknownMandatory { vendor, attribute, hidden: false })
            }
            Value::Hidden { vendor, attribute, .. } => {
                Some(UnknownMandatory { vendor, attribute, hidden: true })
            }
            _ => None,
        })
    }

    /// All attributes, in the order of the message.
    pub fn iter(&self) -> impl Iterator<Item = &Avp<'a>> {
        self.list.iter()
    }

    /// The first value that `pick` likes.
    pub fn find<T>(&self, pick: impl Fn(Value<'a>) -> Option<T>) -> Option<T> {
        self.list.iter().find_map(|avp| pick(avp.value))
    }

    /// Assigned Tunnel ID, unless absent or zero.
    #[must_use]
    pub fn assigned_tunnel_id(&self) -> Option<TunnelId> {
        self.find(|value| match value {
            Value::AssignedTunnelId(id) if id.0 != 0 => Some(id),
            _ => None,
        })
    }

    /// Assigned Session ID, unless absent or zero.
    #[must_use]
    pub fn assigned_session_id(&self) -> Option<SessionId> {
        self.find(|value| match value {
            Value::AssignedSessionId(id) if id.0 != 0 => Some(id),
            _ => None,
        })
    }

    /// Result Code.
    #[must_use]
    pub fn result_code(&self) -> Option<ResultCode<'a>> {
        self.find(|value| match value {
            Value::ResultCode(code) => Some(code),
            _ => None,
        })
    }

    /// Receive Window Size.
    #[must_use]
    pub fn receive_window_size(&self) -> Option<u16> {
        self.find(|value| match value {
            Value::ReceiveWindowSize(size) => Some(size),
            _ => None,
        })
    }

    /// Host Name without the terminator that Apple adds.
    #[must_use]
    pub fn host_name(&self) -> Option<&'a [u8]> {
        self.find(|value| match value {
            // Interop: Apple sends the C string with its NUL.
            Value::HostName(name) => Some(name.strip_suffix(&[0]).unwrap_or(name)),
            _ => None,
        })
    }

    /// Vendor Name.
    #[must_use]
    pub fn vendor_name(&self) -> Option<&'a [u8]> {
        self.find(|value| match value {
            Value::VendorName(name) => Some(name.strip_suffix(&[0]).unwrap_or(name)),
            _ => None,
        })
    }

    /// Firmware Revision.
    #[must_use]
    pub fn firmware_revision(&self) -> Option<u16> {
        self.find(|value| match value {
            Value::FirmwareRevision(revision) => Some(revision),
            _ => None,
        })
    }
}

#[cfg(test)]
#[path = "avp_tests.rs"]
mod tests;
