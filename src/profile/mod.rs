//! Client profiles: what a system's own VPN client can import, or, where it can import nothing, the steps by hand.
//!
//! Sans-IO: text out, for the command line to write where it belongs.

mod apple;
mod chromeos;
mod linux;
mod steps;
mod windows;

#[cfg(test)]
mod tests;

use std::str::FromStr;

/// A system with a client for L2TP/IPsec.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum System {
    /// iPhone and iPad.
    Ios,
    /// Mac.
    Macos,
    /// Windows 10 and 11.
    Windows,
    /// Android 4 to 11, which imports nothing.
    Android,
    /// NetworkManager, or strongSwan and xl2tpd by hand.
    Linux,
    /// ChromeOS.
    Chromeos,
}

impl System {
    /// Every system.
    pub const ALL: [Self; 6] =
        [Self::Ios, Self::Macos, Self::Windows, Self::Android, Self::Linux, Self::Chromeos];

    /// Its name, as it is typed.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ios => "ios",
            Self::Macos => "macos",
            Self::Windows => "windows",
            Self::Android => "android",
            Self::Linux => "linux",
            Self::Chromeos => "chromeos",
        }
    }
}

/// No system of this name has a client for L2TP/IPsec that we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("one of ios, macos, windows, android, linux, chromeos")]
pub struct UnknownSystem;

impl FromStr for System {
    type Err = UnknownSystem;

    fn from_str(name: &str) -> Result<Self, UnknownSystem> {
        Self::ALL.into_iter().find(|system| system.name() == name).ok_or(UnknownSystem)
    }
}

/// What a client must know.
#[derive(Clone, Debug)]
pub struct Account {
    /// What the connection is called on the device.
    pub name: String,
    /// The address or name that it dials.
    pub server: String,
    /// The pre-shared key.
    pub psk: String,
    /// The user as typed, with `@HUB` where it must be.
    pub user: String,
    /// The password; without one the device asks.
    pub password: Option<String>,
    /// Whether a NAT is in front of the gateway.
    pub behind_nat: bool,
    /// Networks that go through the gateway; all traffic when there are none.
    pub routes: Vec<String>,
}

/// A file to hand over. All of them have secrets in them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Artifact {
    /// Its name.
    pub file: String,
    /// Its content.
    pub content: String,
    /// Where it goes and what then happens, for the terminal.
    pub note: String,
}

/// A profile: files, and steps in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// The files; none where the system imports none.
    pub files: Vec<Artifact>,
    /// What the person does.
    pub steps: String,
}

/// Makes the profile of an account.
#[must_use]
pub fn make(system: System, account: &Account) -> Profile {
    match system {
        System::Ios | System::Macos => apple::profile(system, account),
        System::Windows => windows::profile(account),
        System::Android => steps::android(account),
        System::Linux => linux::profile(account),
        System::Chromeos => chromeos::profile(account),
    }
}

/// A file name from a connection's name.
fn file_name(account: &Account, extension: &str) -> String {
    let stem: String =
        account.name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
    format!("{stem}.{extension}")
}

/// A UUID (RFC 9562 section 5.5, by name): the same account gets the same again, so that a profile that is installed
/// twice replaces itself.
fn uuid(account: &Account, part: &str) -> String {
    use sha1::{Digest as _, Sha1};
    let name = format!("sekisho/{}/{}/{part}", account.server, account.user);
    let mut bytes: [u8; 20] = Sha1::digest(name.as_bytes()).into();
    bytes[6] = bytes[6] & 0x0f | 0x50;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
