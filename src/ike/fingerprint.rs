//! Which kind of client this is, from the vendor IDs and the offer of its first message. A table of data: a new client
//! is a line in it. What was seen is kept for the story of the connection, known or not.
//!
//! Nothing here is authenticated: a fingerprint chooses quirks and words, never rights.

use crate::crypto::suite::{DhGroup, HashAlg, IkeCipher, IkeSuite};
use std::fmt;

/// Most vendor IDs that are remembered of one client; Apple sends twelve.
pub(super) const MAX_VENDOR_IDS: usize = 16;
/// Bytes of an unknown vendor ID that are remembered: an MD5 and a version.
pub(super) const VENDOR_ID_PREFIX: usize = 20;

/// The kind of client, as far as IKE shows it. L2TP and PPP may know better later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ClientHint {
    /// The racoon of Android 4 to 11.
    Android,
    /// iOS, iPadOS, macOS.
    Apple,
    /// Windows Vista and later.
    Windows,
    /// strongSwan with its own defaults.
    StrongSwan,
    /// libreswan.
    Libreswan,
    /// strongSwan with the proposals that NetworkManager-l2tp writes.
    NetworkManager,
    /// strongSwan with the proposals of ChromeOS.
    ChromeOs,
    /// Another racoon.
    Racoon,
    /// Nothing that we know.
    Unknown,
}

impl ClientHint {
    /// Every kind, with the name that stands for it in the configuration.
    pub const ALL: [(&'static str, Self); 9] = [
        ("android", Self::Android),
        ("apple", Self::Apple),
        ("windows", Self::Windows),
        ("strongswan", Self::StrongSwan),
        ("libreswan", Self::Libreswan),
        ("network-manager", Self::NetworkManager),
        ("chromeos", Self::ChromeOs),
        ("racoon", Self::Racoon),
        ("unknown", Self::Unknown),
    ];
}

impl fmt::Display for ClientHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Android => "Android",
            Self::Apple => "Apple",
            Self::Windows => "Windows",
            Self::StrongSwan => "strongSwan",
            Self::Libreswan => "libreswan",
            Self::NetworkManager => "NetworkManager",
            Self::ChromeOs => "ChromeOS",
            Self::Racoon => "racoon",
            Self::Unknown => "unknown",
        })
    }
}

/// Vendor IDs that mean something to us. All but two are the MD5 of a text.
pub mod vid {
    /// "RFC 3947"
    pub const RFC_3947: [u8; 16] = 0x4a131c81_07035845_5c5728f2_0e95452f_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike" without a number: Apple.
    pub const NAT_T_APPLE: [u8; 16] = 0x4df37928_e9fc4fd1_b3262170_d515c662_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-08"
    pub const NAT_T_08: [u8; 16] = 0x8f8d8382_6d246b6f_c7a8a6a4_28c11de8_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-07"
    pub const NAT_T_07: [u8; 16] = 0x439b59f8_ba676c4c_7737ae22_eab8f582_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-06"
    pub const NAT_T_06: [u8; 16] = 0x4d1e0e13_6deafa34_c4f3ea9f_02ec7285_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-05"
    pub const NAT_T_05: [u8; 16] = 0x80d0bb3d_ef54565e_e84645d4_c85ce3ee_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-04"
    pub const NAT_T_04: [u8; 16] = 0x9909b64e_ed937c65_73de52ac_e952fa6b_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-03"
    pub const NAT_T_03: [u8; 16] = 0x7d9419a6_5310ca6f_2c179d92_15529d56_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-02\n", with the line feed that everybody copied.
    pub const NAT_T_02N: [u8; 16] = 0x90cb8091_3ebb696e_086381b5_ec427b1f_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-02"
    pub const NAT_T_02: [u8; 16] = 0xcd604643_35df21f8_7cfdb2fc_68b6a448_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-01"
    pub const NAT_T_01: [u8; 16] = 0x16f6ca16_e4a4066d_83821a0f_0aeaa862_u128.to_be_bytes();
    /// "draft-ietf-ipsec-nat-t-ike-00"
    pub const NAT_T_00: [u8; 16] = 0x4485152d_18b6bbcd_0be8a846_9579ddcc_u128.to_be_bytes();
    /// Dead Peer Detection 1.0 (RFC 3706 section 5.1).
    pub const DPD: [u8; 16] = 0xafcad713_68a1f1c9_6b8696fc_77570100_u128.to_be_bytes();
    /// "FRAGMENTATION"; four bytes of capabilities may follow.
    pub const FRAGMENTATION: [u8; 16] = 0x4048b7d5_6ebce885_25e7de7f_00d6c2d3_u128.to_be_bytes();
    /// XAUTH (draft-ietf-ipsec-isakmp-xauth-06).
    pub const XAUTH: [u8; 8] = 0x09002689_dfd6b712_u64.to_be_bytes();
    /// "CISCO-UNITY", its version in the last two bytes.
    pub const CISCO_UNITY: [u8; 14] = *b"\x12\xf5\xf2\x8c\x45\x71\x68\xa9\x70\x2d\x9f\xe2\x74\xcc";
    /// "MS NT5 ISAKMPOAKLEY"; a 32-bit version follows.
    pub const MS_NT5: [u8; 16] = 0x1e2b5169_05991c7d_7c96fcbf_b587e461_u128.to_be_bytes();
    /// "MS-Negotiation Discovery Capable"
    pub const MS_NEGOTIATION_DISCOVERY: [u8; 16] = 0xfb1de3cd_f341b7ea_16b7e5be_0855f120_u128.to_be_bytes();
    /// "Vid-Initial-Contact"
    pub const MS_INITIAL_CONTACT: [u8; 16] = 0x26244d38_eddb61b3_172a36e3_d0cfb819_u128.to_be_bytes();
    /// "IKE CGA version 1"
    pub const MS_CGA: [u8; 16] = 0xe3a5966a_76379fe7_07228231_e5ce8652_u128.to_be_bytes();
    /// Windows: authentication with several kinds of credentials; a number follows.
    pub const MS_AUTHIP: [u8; 16] = 0x01528bbb_c0069612_1849ab9a_1c5b2a51_u128.to_be_bytes();
    /// "GSSAPI"
    pub const GSSAPI: [u8; 16] = 0x621b04bb_09882ac1_e15935fe_fa24aeee_u128.to_be_bytes();
    /// "strongSwan", sent only if configured.
    pub const STRONGSWAN: [u8; 16] = 0x882fe56d_6fd20dbc_2251613b_2ebe5beb_u128.to_be_bytes();
}

/// Known vendor IDs with their names; a name applies to everything that starts with these bytes.
const KNOWN: &[(&[u8], &str)] = &[
    (&vid::RFC_3947, "RFC 3947"),
    (&vid::NAT_T_APPLE, "nat-t-ike"),
    (&vid::NAT_T_08, "nat-t-ike-08"),
    (&vid::NAT_T_07, "nat-t-ike-07"),
    (&vid::NAT_T_06, "nat-t-ike-06"),
    (&vid::NAT_T_05, "nat-t-ike-05"),
    (&vid::NAT_T_04, "nat-t-ike-04"),
    (&vid::NAT_T_03, "nat-t-ike-03"),
    (&vid::NAT_T_02N, "nat-t-ike-02\\n"),
    (&vid::NAT_T_02, "nat-t-ike-02"),
    (&vid::NAT_T_01, "nat-t-ike-01"),
    (&vid::NAT_T_00, "nat-t-ike-00"),
    (&vid::DPD, "DPD"),
    (&vid::FRAGMENTATION, "FRAGMENTATION"),
    (&vid::XAUTH, "XAUTH"),
    (&vid::CISCO_UNITY, "CISCO-UNITY"),
    (&vid::MS_NT5, "MS NT5 ISAKMPOAKLEY"),
    (&vid::MS_NEGOTIATION_DISCOVERY, "MS-Negotiation Discovery Capable"),
    (&vid::MS_INITIAL_CONTACT, "Vid-Initial-Contact"),
    (&vid::MS_CGA, "IKE CGA version 1"),
    (&vid::MS_AUTHIP, "MS AuthIP"),
    (&vid::GSSAPI, "GSSAPI"),
    (&vid::STRONGSWAN, "strongSwan"),
];

/// A condition on the first message.
enum Sign {
    /// One vendor ID is exactly this.
    Exactly(&'static [u8]),
    /// One vendor ID starts with this.
    Starts(&'static [u8]),
    /// None starts with this.
    Lacks(&'static [u8]),
    /// The first suite offered.
    OffersFirst(IkeSuite),
    /// Nothing stronger than this group is offered.
    OnlyGroup(DhGroup),
}

/// FRAGMENTATION as racoon and strongSwan send it: with a capability for base mode.
const FRAGMENTATION_CAPABLE: [u8; 20] =
    *b"\x40\x48\xb7\xd5\x6e\xbc\xe8\x85\x25\xe7\xde\x7f\x00\xd6\xc2\xd3\x80\x00\x00\x00";

/// The kinds, the more special first; the first whose signs are all there is it.
const KINDS: &[(ClientHint, &[Sign])] = &[
    (ClientHint::Windows, &[Sign::Starts(&vid::MS_NT5)]),
    (ClientHint::Apple, &[Sign::Exactly(&vid::NAT_T_APPLE)]),
    (
        // shill writes `aes128-sha256-modp3072, aes128-sha1-modp2048, 3des-sha1-modp1536, ...`.
        ClientHint::ChromeOs,
        &[
            Sign::Exactly(&vid::XAUTH),
            Sign::OffersFirst(IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha256, DhGroup::Modp3072)),
        ],
    ),
    (
        // NetworkManager-l2tp 1.8 and later: `aes256-sha2_256-modp2048, aes256-sha2_256-modp1536, ...`.
        ClientHint::NetworkManager,
        &[
            Sign::Exactly(&vid::XAUTH),
            Sign::OffersFirst(IkeSuite::new(IkeCipher::Aes256, HashAlg::Sha256, DhGroup::Modp2048)),
        ],
    ),
    (ClientHint::StrongSwan, &[Sign::Exactly(&vid::STRONGSWAN)]),
    // charon names itself only on demand, but sends this set; the order of its plugins never changes it.
    (
        ClientHint::StrongSwan,
        &[Sign::Exactly(&vid::XAUTH), Sign::Exactly(&vid::DPD), Sign::Lacks(&vid::NAT_T_00)],
    ),
    // pluto sends FRAGMENTATION without capabilities.
    (ClientHint::Libreswan, &[Sign::Exactly(&vid::FRAGMENTATION), Sign::Exactly(&vid::DPD)]),
    (
        // ipsec-tools 0.7.3 built with the drafts 00 and 02, setup.c: group 2 only.
        ClientHint::Android,
        &[
            Sign::Exactly(&vid::NAT_T_00),
            Sign::Exactly(&FRAGMENTATION_CAPABLE),
            Sign::Lacks(&vid::XAUTH),
            Sign::OnlyGroup(DhGroup::Modp1024),
        ],
    ),
    (
        ClientHint::Racoon,
        &[Sign::Exactly(&FRAGMENTATION_CAPABLE), Sign::Exactly(&vid::DPD), Sign::Lacks(&vid::XAUTH)],
    ),
];

/// The kind of a client: all that is kept of its fingerprint while it is connected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientKind {
    /// The kind of client.
    pub hint: ClientHint,
    /// Version of Windows, if it is one.
    pub version: Option<&'static str>,
}

/// What a first message tells about its sender.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    /// The kind of client.
    pub hint: ClientHint,
    /// Version of Windows, if it is one.
    pub version: Option<&'static str>,
    /// Vendor IDs in the order sent, cut to 20 bytes, at most 16.
    pub vendor_ids: Vec<Box<[u8]>>,
    /// What Phase 1 was offered, in the client's order, in words.
    pub offered: Vec<String>,
}

impl Fingerprint {
    /// Reads the vendor IDs of a first message; `suites` are the pre-shared-key suites that we know among its offers.
    pub(super) fn new<'a>(
        vendor_ids: impl Iterator<Item = &'a [u8]>,
        suites: &[IkeSuite],
        offered: Vec<String>,
    ) -> Self {
        let vendor_ids: Vec<Box<[u8]>> = vendor_ids
            .take(MAX_VENDOR_IDS)
            .map(|id| id.get(..VENDOR_ID_PREFIX).unwrap_or(id).into())
            .collect();
        let holds = |sign: &Sign| match sign {
            Sign::Exactly(wanted) => vendor_ids.iter().any(|id| **id == **wanted),
            Sign::Starts(prefix) => vendor_ids.iter().any(|id| id.starts_with(prefix)),
            Sign::Lacks(prefix) => !vendor_ids.iter().any(|id| id.starts_with(prefix)),
            Sign::OffersFirst(suite) => suites.first() == Some(suite),
            Sign::OnlyGroup(group) => !suites.is_empty() && suites.iter().all(|s| s.group == *group),
        };
        let hint = KINDS
            .iter()
            .find(|(_, signs)| signs.iter().all(holds))
            .map_or(ClientHint::Unknown, |(hint, _)| *hint);
        let version = vendor_ids.iter().find_map(|id| windows_version(id));
        Self { hint, version, vendor_ids, offered }
    }

    /// What is kept of it.
    #[must_use]
    pub const fn kind(&self) -> ClientKind {
        ClientKind { hint: self.hint, version: self.version }
    }

    /// Whether it sent a vendor ID that starts with these bytes.
    #[must_use]
    pub fn has(&self, vendor_id: &[u8]) -> bool {
        self.vendor_ids.iter().any(|id| id.starts_with(vendor_id))
    }

    /// The vendor IDs in words: known names, unknown ones in hexadecimal.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.vendor_ids.iter().map(|id| {
            KNOWN.iter().find(|(known, _)| id.starts_with(known)).map_or_else(
                || id.iter().map(|b| format!("{b:02x}")).collect(),
                |(_, name)| (*name).to_owned(),
            )
        })
    }
}

/// The number behind "MS NT5 ISAKMPOAKLEY".
fn windows_version(id: &[u8]) -> Option<&'static str> {
    let version = id.strip_prefix(&vid::MS_NT5[..])?.first_chunk::<4>()?;
    Some(match u32::from_be_bytes(*version) {
        2 => "2000",
        3 => "XP",
        4 => "XP SP2 or 2003",
        5 => "Vista",
        6 => "Vista SP1 or 2008",
        7 | 8 => "7, 8 or 2008 R2",
        9 => "8.1, 10, 11 or 2012 R2 and later",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(ids: &[&[u8]], suites: &[IkeSuite]) -> Fingerprint {
        Fingerprint::new(ids.iter().copied(), suites, Vec::new())
    }

    #[test]
    fn clients_are_told_apart() {
        let weak = IkeSuite::new(IkeCipher::Aes256, HashAlg::Sha1, DhGroup::Modp1024);
        let good = IkeSuite::new(IkeCipher::Aes256, HashAlg::Sha256, DhGroup::Modp2048);
        let chrome = IkeSuite::new(IkeCipher::Aes128, HashAlg::Sha256, DhGroup::Modp3072);
        let racoon: [&[u8]; 4] = [&vid::RFC_3947, &vid::NAT_T_00, &FRAGMENTATION_CAPABLE, &vid::DPD];
        assert_eq!(hint(&racoon, &[weak]).hint, ClientHint::Android);
        assert_eq!(hint(&racoon, &[good, weak]).hint, ClientHint::Racoon);
        assert_eq!(hint(&[&vid::RFC_3947, &vid::NAT_T_APPLE], &[good]).hint, ClientHint::Apple);
        let charon: [&[u8]; 4] = [&vid::XAUTH, &vid::DPD, &FRAGMENTATION_CAPABLE, &vid::RFC_3947];
        assert_eq!(hint(&charon, &[weak]).hint, ClientHint::StrongSwan);
        assert_eq!(hint(&charon, &[chrome]).hint, ClientHint::ChromeOs);
        assert_eq!(hint(&charon, &[good]).hint, ClientHint::NetworkManager);
        assert_eq!(
            hint(&[&vid::FRAGMENTATION, &vid::DPD, &vid::RFC_3947], &[good]).hint,
            ClientHint::Libreswan
        );
        assert_eq!(hint(&[], &[weak]).hint, ClientHint::Unknown);
    }

    #[test]
    fn windows_says_its_version() {
        let id = [&vid::MS_NT5[..], &[0, 0, 0, 9]].concat();
        let windows = hint(&[&id], &[]);
        assert_eq!(
            (windows.hint, windows.version),
            (ClientHint::Windows, Some("8.1, 10, 11 or 2012 R2 and later"))
        );
    }

    #[test]
    fn unknown_vendor_ids_are_kept_within_bounds() {
        let long = [0xab; 300];
        let many = vec![&long[..]; 99];
        let print = hint(&many, &[]);
        assert_eq!(print.vendor_ids.len(), MAX_VENDOR_IDS);
        assert!(print.names().all(|name| name == "ab".repeat(VENDOR_ID_PREFIX)));
        assert!(print.has(&[0xab; 3]));
        let known = hint(&[&vid::DPD, b"x"], &[]);
        assert_eq!(known.names().collect::<Vec<_>>(), ["DPD", "78"]);
    }

    #[test]
    fn vendor_ids_are_the_md5_of_their_texts() {
        use crate::crypto::prf::hash;
        let md5 = |text: &str| hash(HashAlg::Md5, &[text.as_bytes()]);
        assert_eq!(*md5("RFC 3947"), vid::RFC_3947);
        assert_eq!(*md5("draft-ietf-ipsec-nat-t-ike-02\n"), vid::NAT_T_02N);
        assert_eq!(*md5("draft-ietf-ipsec-nat-t-ike-03"), vid::NAT_T_03);
        assert_eq!(*md5("draft-ietf-ipsec-nat-t-ike"), vid::NAT_T_APPLE);
        assert_eq!(*md5("FRAGMENTATION"), vid::FRAGMENTATION);
        assert_eq!(*md5("MS NT5 ISAKMPOAKLEY"), vid::MS_NT5);
        assert_eq!(*md5("strongSwan"), vid::STRONGSWAN);
    }
}
