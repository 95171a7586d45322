//! How the L2TP of each operating system behaves: what it says, in which order, when it waits, how it leaves.
//!
//! All of it is data. Where a constant comes from a capture, the test in `l2tp` that replays the capture compares them
//! byte for byte; what is known from documents only is marked.

use crate::wire::avp::{
    AttributeType, Avp, FRAMING_ASYNC, FRAMING_SYNC, PROTOCOL_VERSION, ResultCode, Value,
};
use crate::wire::l2tp::{SessionId, TunnelId};
use std::time::Duration;

/// Both framing bits.
const FRAMING_BOTH: u32 = FRAMING_SYNC | FRAMING_ASYNC;

/// When a client repeats a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repetition {
    /// First wait.
    pub first: Duration,
    /// Longest wait; the wait doubles up to it.
    pub cap: Duration,
    /// Repetitions before it gives up.
    pub tries: u32,
}

/// Behaviour of one kind of client. The numbers, the name and the serial in the AVP lists are placeholders, which
/// [`super::Lac`] fills in.
#[derive(Clone, Debug)]
pub struct Habits {
    /// The system, for humans.
    pub name: &'static str,
    /// Host Name AVP.
    pub host_name: Vec<u8>,
    /// UDP source port, or any.
    pub source_port: Option<u16>,
    /// Its number for the tunnel, or a random one.
    pub tunnel_id: Option<u16>,
    /// Its number for the session, or a random one.
    pub session_id: Option<u16>,
    /// Call Serial Number, or a random one.
    pub serial: Option<u32>,
    /// AVPs of the SCCRQ, after the Message Type.
    pub sccrq: Vec<Avp<'static>>,
    /// AVPs of the ICRQ.
    pub icrq: Vec<Avp<'static>>,
    /// AVPs of the ICCN.
    pub iccn: Vec<Avp<'static>>,
    /// AVPs of the CDN when it leaves; none: it sends no CDN.
    pub cdn: Option<Vec<Avp<'static>>>,
    /// AVPs of the StopCCN when it leaves.
    pub stop_ccn: Vec<Avp<'static>>,
    /// Waits for the acknowledgement of its SCCCN before the ICRQ.
    pub waits_before_icrq: bool,
    /// Waits for the acknowledgement of its ICCN before PPP.
    pub waits_before_ppp: bool,
    /// Takes a message only if it acknowledges everything that the client has sent.
    pub takes_only_acknowledging: bool,
    /// Waits for the acknowledgement of its StopCCN.
    pub waits_for_goodbye: bool,
    /// Sets the L bit in data messages.
    pub data_length: bool,
    /// Sets the S bit in data messages and numbers them.
    pub data_sequence: bool,
    /// When it repeats.
    pub repetition: Repetition,
    /// How often it sends HELLO, if ever.
    pub hello: Option<Duration>,
}

impl Habits {
    /// Android 4 to 11 (mtpd).
    #[must_use]
    pub fn android() -> Self {
        Self {
            name: "Android",
            host_name: b"anonymous".to_vec(),
            source_port: None,
            tunnel_id: None,
            session_id: None,
            serial: None,
            sccrq: vec![
                Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
                Avp::mandatory(Value::HostName(b"")),
                Avp::mandatory(Value::FramingCapabilities(FRAMING_BOTH)),
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ReceiveWindowSize(1)),
            ],
            icrq: vec![
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
                Avp::mandatory(Value::CallSerialNumber(0)),
            ],
            iccn: vec![
                Avp::mandatory(Value::TxConnectSpeed(100_000_000)),
                Avp::mandatory(Value::FramingType(FRAMING_BOTH)),
            ],
            cdn: None,
            stop_ccn: vec![
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ResultCode(ResultCode { result: 6, error: None, message: &[] })),
            ],
            waits_before_icrq: true,
            waits_before_ppp: true,
            takes_only_acknowledging: true,
            waits_for_goodbye: false,
            data_length: false,
            data_sequence: false,
            repetition: Repetition {
                first: Duration::from_secs(2),
                cap: Duration::from_secs(2),
                // For ever, until the framework's 60 seconds are over.
                tries: 29,
            },
            hello: None,
        }
    }

    /// iOS, iPadOS and macOS (the L2TP plugin of Apple's pppd).
    #[must_use]
    pub fn apple() -> Self {
        /// Two bytes of code in little-endian order, and six of whatever was in the buffer.
        const fn malformed(value: &'static [u8; 8]) -> Avp<'static> {
            Avp::mandatory(Value::Passed(AttributeType::RESULT_CODE, value))
        }
        Self {
            name: "Apple",
            host_name: b"Johns-iPhone\0".to_vec(),
            source_port: None,
            tunnel_id: None,
            session_id: None,
            serial: Some(1),
            sccrq: vec![
                Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
                Avp::mandatory(Value::FramingCapabilities(FRAMING_BOTH)),
                Avp::mandatory(Value::HostName(b"")),
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ReceiveWindowSize(4)),
            ],
            icrq: vec![
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
                Avp::mandatory(Value::CallSerialNumber(0)),
            ],
            iccn: vec![
                Avp::mandatory(Value::TxConnectSpeed(1_000_000)),
                Avp::mandatory(Value::FramingType(FRAMING_BOTH)),
            ],
            cdn: Some(vec![
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
                malformed(b"\x03\x00\x12\x34\x56\x78\x9a\xbc"),
            ]),
            stop_ccn: vec![
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                malformed(b"\x01\x00\x12\x34\x56\x78\x9a\xbc"),
            ],
            waits_before_icrq: false,
            waits_before_ppp: false,
            takes_only_acknowledging: false,
            waits_for_goodbye: true,
            data_length: true,
            data_sequence: false,
            repetition: Repetition {
                first: Duration::from_secs(1),
                cap: Duration::from_secs(1),
                // It waits 20 seconds for each of SCCRP and ICRP.
                tries: 19,
            },
            hello: None,
        }
    }

    /// Windows 10 and 11. From public logs of other servers; the call messages are not checked against a capture.
    #[must_use]
    pub fn windows() -> Self {
        Self {
            name: "Windows",
            host_name: b"DESKTOP-7Q2KT0N".to_vec(),
            // Fixed ports and small numbers: a hundred of them behind one NAT are alike to the last bit.
            source_port: Some(1701),
            tunnel_id: Some(1),
            session_id: Some(1),
            serial: Some(0),
            sccrq: vec![
                Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
                Avp::mandatory(Value::FramingCapabilities(FRAMING_SYNC)),
                Avp::mandatory(Value::BearerCapabilities(0)),
                Avp::optional(Value::FirmwareRevision(0x0a00)),
                Avp::mandatory(Value::HostName(b"")),
                Avp::optional(Value::VendorName(b"Microsoft")),
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ReceiveWindowSize(8)),
            ],
            icrq: vec![
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
                Avp::mandatory(Value::CallSerialNumber(0)),
                Avp::mandatory(Value::BearerType(2)),
                // Against the RFC with the M bit, as other servers' authors have noted.
                Avp::mandatory(Value::Passed(AttributeType::PHYSICAL_CHANNEL_ID, &[0, 0, 0, 0])),
            ],
            iccn: vec![
                Avp::mandatory(Value::TxConnectSpeed(100_000_000)),
                Avp::mandatory(Value::FramingType(FRAMING_SYNC)),
            ],
            cdn: Some(vec![
                Avp::mandatory(Value::ResultCode(ResultCode { result: 3, error: Some(0), message: &[] })),
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
            ]),
            stop_ccn: vec![
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ResultCode(ResultCode { result: 6, error: Some(0), message: &[] })),
            ],
            waits_before_icrq: false,
            waits_before_ppp: false,
            takes_only_acknowledging: false,
            waits_for_goodbye: true,
            data_length: true,
            data_sequence: false,
            repetition: Repetition { first: Duration::from_secs(1), cap: Duration::from_secs(8), tries: 5 },
            hello: None,
        }
    }

    /// xl2tpd, and so NetworkManager-l2tp and ChromeOS.
    #[must_use]
    pub fn xl2tpd() -> Self {
        Self {
            name: "xl2tpd",
            host_name: b"linux".to_vec(),
            source_port: Some(1701),
            tunnel_id: None,
            session_id: None,
            serial: Some(1),
            sccrq: vec![
                Avp::mandatory(Value::ProtocolVersion(PROTOCOL_VERSION)),
                Avp::mandatory(Value::FramingCapabilities(FRAMING_BOTH)),
                Avp::mandatory(Value::BearerCapabilities(0)),
                Avp::optional(Value::FirmwareRevision(0x0690)),
                Avp::mandatory(Value::HostName(b"")),
                Avp::optional(Value::VendorName(b"xelerance.com")),
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ReceiveWindowSize(4)),
            ],
            icrq: vec![
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
                Avp::mandatory(Value::CallSerialNumber(0)),
                Avp::mandatory(Value::BearerType(0)),
            ],
            iccn: vec![
                Avp::mandatory(Value::TxConnectSpeed(0)),
                Avp::mandatory(Value::FramingType(FRAMING_SYNC)),
                Avp::optional(Value::RxConnectSpeed(0)),
            ],
            cdn: Some(vec![
                Avp::mandatory(Value::ResultCode(ResultCode { result: 1, error: Some(0), message: &[] })),
                Avp::mandatory(Value::AssignedSessionId(SessionId(0))),
            ]),
            stop_ccn: vec![
                Avp::mandatory(Value::AssignedTunnelId(TunnelId(0))),
                Avp::mandatory(Value::ResultCode(ResultCode {
                    result: 1,
                    error: Some(0),
                    message: b"Goodbye!",
                })),
            ],
            waits_before_icrq: true,
            waits_before_ppp: false,
            takes_only_acknowledging: false,
            waits_for_goodbye: true,
            data_length: false,
            data_sequence: false,
            repetition: Repetition { first: Duration::from_secs(1), cap: Duration::from_secs(16), tries: 5 },
            hello: Some(Duration::from_secs(60)),
        }
    }

    /// The window that the SCCRQ announces, else the RFC's four.
    #[must_use]
    pub fn window(&self) -> u16 {
        let announced = self.sccrq.iter().find_map(|avp| match avp.value {
            Value::ReceiveWindowSize(size) => Some(size),
            _ => None,
        });
        announced.unwrap_or(4)
    }
}
