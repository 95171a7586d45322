//! The client role: what the clients of this world do on a PPP link, as data. The simulation, the self-test and the load
//! generator dial in with these.

use super::auth::AuthMethod;
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::{AuthProtocol, IpcpOption, LcpOption};
use std::net::Ipv4Addr;

/// How a client behaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Habits {
    /// Name of the kind.
    pub kind: &'static str,
    /// Options of its LCP request, in order; the value of a magic number is replaced by a random one.
    pub lcp: Vec<LcpOption>,
    /// What it proves itself with.
    pub auth: Vec<AuthMethod>,
    /// What it names when the server wants something else; `None` rejects the option instead.
    pub instead: Option<AuthProtocol>,
    /// Options of its IPCP request, in order.
    pub ipcp: Vec<IpcpOption>,
    /// Keeps to the address that its IPCP request names, whatever the server says.
    pub stubborn: bool,
    /// Configure-Requests of other protocols that it sends once the network phase begins: protocol and options.
    pub noise: Vec<(Protocol, Vec<u8>)>,
    /// Texts that it sends as LCP Identification once LCP is open.
    pub identification: Vec<&'static str>,
}

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
/// Van Jacobson with 16 slots, slot numbers compressed.
const VJ: [u8; 4] = [0x00, 0x2d, 0x0f, 0x01];

impl Habits {
    /// Android 4 to 11: pppd 2.4.7 with `refuse-eap`. Seen in the capture android_nat_main.
    #[must_use]
    pub fn android() -> Self {
        Self {
            kind: "android",
            lcp: vec![
                LcpOption::Mru(1400),
                LcpOption::Accm(0),
                LcpOption::Magic(0),
                LcpOption::Pfc,
                LcpOption::Acfc,
            ],
            auth: vec![AuthMethod::MsChapV2, AuthMethod::ChapMd5, AuthMethod::Pap],
            instead: Some(AuthMethod::ChapMd5.protocol()),
            ipcp: vec![
                IpcpOption::Compression(VJ.into()),
                IpcpOption::Address(ANY),
                IpcpOption::Dns1(ANY),
                IpcpOption::Dns2(ANY),
            ],
            stubborn: false,
            noise: vec![(
                Protocol::CCP,
                // Deflate, deflate by its draft number, BSD compress.
                vec![0x1a, 0x04, 0x78, 0x00, 0x18, 0x04, 0x78, 0x00, 0x15, 0x03, 0x2f],
            )],
            identification: Vec::new(),
        }
    }

    /// iOS and macOS: Apple's pppd, MRU not named. Seen in the capture apple_nat_main.
    #[must_use]
    pub fn apple() -> Self {
        Self {
            kind: "apple",
            lcp: vec![LcpOption::Accm(0), LcpOption::Magic(0), LcpOption::Pfc, LcpOption::Acfc],
            noise: Vec::new(),
            ..Self::android()
        }
    }

    /// A Mac that sends only some of its traffic: asks for WINS, IPv6 and Apple's own routes protocol.
    #[must_use]
    pub fn macos_split() -> Self {
        let mut habits = Self::apple();
        habits.kind = "macos";
        habits.ipcp.insert(3, IpcpOption::Wins1(ANY));
        habits.ipcp.push(IpcpOption::Wins2(ANY));
        habits.noise = vec![
            (Protocol::ACSCP, vec![1, 6, 0, 0, 0, 1, 2, 6, 0, 0, 0, 1]),
            (Protocol::IPV6CP, interface_id()),
        ];
        habits
    }

    /// Windows 10 and 11, profile as created: MS-CHAPv2 only, callback, CCP, IPv6, name servers of both kinds.
    #[must_use]
    pub fn windows() -> Self {
        Self {
            kind: "windows",
            lcp: vec![
                LcpOption::Mru(1400),
                LcpOption::Magic(0),
                LcpOption::Pfc,
                LcpOption::Acfc,
                LcpOption::Callback([6].into()),
            ],
            auth: vec![AuthMethod::MsChapV2],
            instead: Some(AuthMethod::MsChapV2.protocol()),
            ipcp: vec![
                IpcpOption::Address(ANY),
                IpcpOption::Dns1(ANY),
                IpcpOption::Wins1(ANY),
                IpcpOption::Dns2(ANY),
                IpcpOption::Wins2(ANY),
            ],
            stubborn: false,
            noise: vec![
                // MPPC and MPPE, stateless, all strengths.
                (Protocol::CCP, vec![18, 6, 1, 0, 0, 0xe1]),
                (Protocol::IPV6CP, interface_id()),
            ],
            identification: vec!["MSRASV5.20", "MSRAS-0-DESKTOP", "correlation"],
        }
    }

    /// A Linux desktop: NetworkManager-l2tp or plain xl2tpd with pppd 2.4.9 or 2.5, `+ipv6`. Seen in the capture
    /// softether-nat.
    #[must_use]
    pub fn pppd() -> Self {
        Self {
            kind: "pppd",
            lcp: vec![LcpOption::Mru(1400), LcpOption::Accm(0), LcpOption::Magic(0)],
            ipcp: vec![IpcpOption::Address(ANY), IpcpOption::Dns1(ANY), IpcpOption::Dns2(ANY)],
            noise: vec![(Protocol::IPV6CP, interface_id())],
            ..Self::android()
        }
    }

    /// The same client with these protocols only; what it names instead is the first of them.
    #[must_use]
    pub fn with_auth(mut self, auth: &[AuthMethod]) -> Self {
        self.instead = auth.first().map(|method| method.protocol());
        self.auth = auth.to_vec();
        self
    }

    /// The same client with an address that it does not give up.
    #[must_use]
    pub fn with_stubborn_address(self, address: Ipv4Addr) -> Self {
        Self { stubborn: true, ..self.with_address(address) }
    }

    /// The same client with an address of its own.
    #[must_use]
    pub fn with_address(mut self, address: Ipv4Addr) -> Self {
        for option in &mut self.ipcp {
            if let IpcpOption::Address(asked) = option {
                *asked = address;
            }
        }
        self
    }
}

/// An IPV6CP Interface-Identifier (RFC 5072 section 4.1).
fn interface_id() -> Vec<u8> {
    vec![1, 10, 0xa4, 0x47, 0xe6, 0x30, 0x73, 0xd0, 0x6b, 0xab]
}
