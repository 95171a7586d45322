//! Which program speaks, by what it says of itself in its SCCRQ. For display and for quirks; never trusted.

use super::PeerInfo;

/// A client's L2TP program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Software {
    /// mtpd of Android 4 to 11.
    Mtpd,
    /// The L2TP plugin of Apple's pppd.
    Apple,
    /// Windows' RAS.
    Windows,
    /// xl2tpd, and so NetworkManager-l2tp and ChromeOS.
    Xl2tpd,
}

impl PeerInfo {
    /// The program, where its words give it away.
    #[must_use]
    pub fn software(&self) -> Option<Software> {
        // Interop: mtpd calls every device "anonymous" and takes one message at a time; Apple's plugin names no vendor and
        // puts the framing before the name.
        match (self.vendor_name.as_str(), self.attributes.as_slice()) {
            ("Microsoft", _) => Some(Software::Windows),
            ("xelerance.com", _) => Some(Software::Xl2tpd),
            ("", [2, 7, 3, 9, 10, ..]) if self.host_name == "anonymous" && self.receive_window == Some(1) => {
                Some(Software::Mtpd)
            }
            ("", [2, 3, 7, 9, 10]) if self.receive_window == Some(4) => Some(Software::Apple),
            _ => None,
        }
    }
}
