//! L2TP messages of real clients, as decrypted from captures.
//!
//! - Android: 7.1.2's racoon and mtpd with Android 11's pppd, behind a NAT, against SoftEther 5.01.9674 (2026-11,
//!   `android_nat_main`).
//! - Apple: an emulation of Apple's L2TP plugin on the same base, likewise (`apple_nat_main`). Its data messages carry
//!   no L bit because the emulation uses Android's kernel driver.
//! - xl2tpd 1.3.18 of Debian 12, behind a NAT, against the same server (`softether-nat`). Its acknowledgements of that
//!   server's HELLOs are left out.
//!
//! One line of hex is the header or one AVP. The server of the captures called its tunnel 1 and its session 1.

use hex_literal::hex;

/// A client's half of a conversation.
pub(super) struct Conversation {
    pub(super) name: &'static str,
    pub(super) sccrq: &'static [u8],
    pub(super) scccn: &'static [u8],
    pub(super) icrq: &'static [u8],
    pub(super) iccn: &'static [u8],
    pub(super) data: &'static [u8],
    pub(super) cdn: Option<&'static [u8]>,
    pub(super) stop_ccn: &'static [u8],
    pub(super) tunnel: u16,
    pub(super) session: u16,
    pub(super) serial: u32,
}

pub(super) const ANDROID: Conversation = Conversation {
    name: "Android",
    sccrq: &hex!(
        "c80200450000000000000000"
        "8008000000000001"
        "8008000000020100"
        "800f00000007616e6f6e796d6f7573"
        "800a0000000300000003"
        "8008000000093bbc"
        "80080000000a0001"
    ),
    scccn: &hex!("c80200140001000000010001" "8008000000000003"),
    icrq: &hex!("c80200260001000000020001" "800800000000000a" "80080000000ebe8e" "800a0000000f9fbd5157"),
    iccn: &hex!("c80200280001000100030002" "800800000000000c" "800a0000001805f5e100" "800a0000001300000003"),
    data: &hex!("000200010001" "ff03c021010100180104057802060000000005062b9950ec07020802"),
    cdn: None,
    stop_ccn: &hex!("c80200240001000000040002" "8008000000000004" "8008000000093bbc" "8008000000010006"),
    tunnel: 0x3bbc,
    session: 0xbe8e,
    serial: 0x9fbd_5157,
};

pub(super) const APPLE: Conversation = Conversation {
    name: "Apple",
    sccrq: &hex!(
        "c80200490000000000000000"
        "8008000000000001"
        "8008000000020100"
        "800a0000000300000003"
        "8013000000074a6f686e732d6950686f6e6500"
        "80080000000995e4"
        "80080000000a0004"
    ),
    scccn: &hex!("c80200140001000000010001" "8008000000000003"),
    icrq: &hex!("c80200260001000000020001" "800800000000000a" "80080000000e0399" "800a0000000f00000001"),
    iccn: &hex!("c80200280001000100030002" "800800000000000c" "800a00000018000f4240" "800a0000001300000003"),
    data: &hex!("000200010001" "ff03c021010100140206000000000506b777361d07020802"),
    cdn: Some(&hex!(
        "c802002a0001000100040002"
        "800800000000000e"
        "80080000000e0399"
        "800e000000010300123456789abc"
    )),
    stop_ccn: &hex!(
        "c802002a0001000000050002"
        "8008000000000004"
        "80080000000995e4"
        "800e000000010100123456789abc"
    ),
    tunnel: 0x95e4,
    session: 0x0399,
    serial: 1,
};

pub(super) const XL2TPD: Conversation = Conversation {
    name: "xl2tpd",
    sccrq: &hex!(
        "c80200640000000000000000"
        "8008000000000001"
        "8008000000020100"
        "800a0000000300000003"
        "800a0000000400000000"
        "0008000000060690"
        "800900000007636170"
        "00130000000878656c6572616e63652e636f6d"
        "80080000000996a1"
        "80080000000a0004"
    ),
    scccn: &hex!("c80200140001000000010001" "8008000000000003"),
    icrq: &hex!(
        "c80200300001000000020001"
        "800800000000000a"
        "80080000000e1405"
        "800a0000000f00000001"
        "800a0000001200000000"
    ),
    iccn: &hex!(
        "c80200320001000100030002"
        "800800000000000c"
        "800a0000001800000000"
        "800a0000001300000001"
        "000a0000002600000000"
    ),
    data: &hex!("000200010001" "ff03c0210101001401040578020600000000050672cbce22"),
    cdn: Some(&hex!(
        "c80200260001000100040002" // Nr was 5: three HELLOs more
        "800800000000000e"
        "800a0000000100010000"
        "80080000000e1405"
    )),
    stop_ccn: &hex!(
        "c802002e0001000000050002" // Nr was 6
        "8008000000000004"
        "80080000000996a1"
        "80120000000100010000476f6f6462796521"
    ),
    tunnel: 0x96a1,
    session: 0x1405,
    serial: 1,
};

pub(super) const ALL: [&Conversation; 3] = [&ANDROID, &APPLE, &XL2TPD];
