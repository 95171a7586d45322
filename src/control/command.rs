//! What may be asked.

use super::{Kind, Refusal};
use crate::story::Lang;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// The version of the protocol. It grows when something that was understood no longer is; new commands and new fields of
/// answers do not count.
pub const VERSION: u32 = 1;

/// A command. `hub` is a hub's name in any case; `of` is a session's number, or a user (`jiro`, `jiro@HUB1`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// The gateway as a whole.
    Status {},
    /// All hubs.
    HubList {},
    /// One hub.
    HubShow {
        /// Its name.
        hub: String,
    },
    /// Lets users in again.
    HubOnline {
        /// Its name.
        hub: String,
    },
    /// Closes the sessions of a hub and lets nobody in until it is online again.
    HubOffline {
        /// Its name.
        hub: String,
    },
    /// Every frame of a hub from now on: behind the line that answers comes pcapng until the connection is closed.
    HubMonitor {
        /// Its name.
        hub: String,
        /// Those frames alone that match ([`crate::hub::filter`]).
        #[serde(default, skip_serializing_if = "String::is_empty")]
        filter: String,
        /// End after so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
    },
    /// Sessions, the oldest first.
    SessionList {
        /// Those of this hub alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<String>,
        /// Those of this user alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Those from this address alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
    },
    /// A session, or those of a user, with their stories.
    SessionShow {
        /// Which.
        of: String,
    },
    /// Closes a session, or those of a user.
    SessionKick {
        /// Which.
        of: String,
    },
    /// The stations that hubs have learned.
    MacList {
        /// Of this hub alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<String>,
    },
    /// Forgets a station.
    MacDelete {
        /// Its hub.
        hub: String,
        /// Its address.
        mac: String,
        /// Its VLAN, 0 if untagged.
        #[serde(default)]
        vlan: u16,
    },
    /// The IP addresses that hubs have learned.
    IpList {
        /// Of this hub alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<String>,
    },
    /// Forgets an IP address.
    IpDelete {
        /// Its hub.
        hub: String,
        /// The address.
        address: IpAddr,
    },
    /// Leases.
    DhcpList {
        /// Of this hub alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<String>,
    },
    /// Ends a lease, or the memory of one: anybody may get the address.
    DhcpRelease {
        /// Its hub.
        hub: String,
        /// The address.
        address: Ipv4Addr,
    },
    /// What goes through NATs.
    NatList {
        /// Of this hub alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hub: Option<String>,
    },
    /// Routers between hubs: their interfaces, their routes.
    RouterList {},
    /// Connection attempts, the newest first.
    Stories {
        /// Those of this user alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Those from this address alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<IpAddr>,
        /// Those alone that failed or look as if they would.
        #[serde(default)]
        failed: bool,
        /// At most so many.
        #[serde(default = "default_limit")]
        limit: usize,
        /// The language of the texts.
        #[serde(default)]
        lang: Lang,
    },
    /// The last attempt of a user or from an address that failed or is on its way; else the last one.
    Why {
        /// A user or an address.
        of: String,
        /// The language of the texts.
        #[serde(default)]
        lang: Lang,
    },
    /// The access list of a hub, with what each rule has met.
    AclList {
        /// The hub.
        hub: String,
    },
    /// Who has failed lately, and how they are treated.
    BanList {},
    /// Bars a source or a user.
    BanAdd {
        /// An address, a prefix, or a user (`jiro`, `jiro@HUB1`).
        who: String,
        /// For how long.
        seconds: u64,
    },
    /// Lets a source or a user off; everybody if nobody is named.
    BanClear {
        /// An address, a prefix, or a user, as `ban_list` shows them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        who: Option<String>,
    },
    /// Why packets went no further, by worker.
    Drops {},
    /// Lets a user in for a minute who is in no file, for a self-test; the answer has name and password.
    Guest {
        /// The hub.
        hub: String,
    },
    /// Sends that user away again.
    GuestLeaves {},
    /// Reads the configuration file again.
    Reload {
        /// Only says what would change.
        #[serde(default)]
        dry_run: bool,
    },
}

fn default_limit() -> usize {
    50
}

impl Command {
    /// Whether the answer needs what workers alone know.
    #[must_use]
    pub fn asks_workers(&self) -> bool {
        matches!(self, Self::Status {} | Self::Drops {} | Self::RouterList {})
    }

    /// Whether it changes something or shows what users send: such commands are logged.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::HubOnline { .. }
            | Self::HubOffline { .. }
            | Self::HubMonitor { .. }
            | Self::SessionKick { .. }
            | Self::MacDelete { .. }
            | Self::IpDelete { .. }
            | Self::DhcpRelease { .. }
            | Self::Guest { .. }
            | Self::GuestLeaves {}
            | Self::BanAdd { .. }
            | Self::BanClear { .. } => true,
            Self::Reload { dry_run } => !dry_run,
            _ => false,
        }
    }
}

/// Reads a line that asks.
///
/// # Errors
/// What is wrong with it.
pub fn read_request(line: &[u8]) -> Result<Command, Refusal> {
    let bad = |message: String| Refusal::new(Kind::BadRequest, message);
    let mut value: serde_json::Value =
        serde_json::from_slice(line).map_err(|error| bad(format!("this is not a line of JSON: {error}")))?;
    let version = value.as_object_mut().and_then(|object| object.remove("version"));
    match version.as_ref().and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(VERSION) => {}
        Some(version) => {
            let message =
                format!("version {version} of the control protocol is not spoken here, {VERSION} is");
            return Err(Refusal::new(Kind::Version, message));
        }
        None => {
            return Err(bad(format!(
                "`version` is missing: {{\"version\":{VERSION},\"command\":\"status\"}}"
            )));
        }
    }
    serde_json::from_value(value).map_err(|error| bad(error.to_string()))
}

/// The line that asks, without its end.
///
/// # Errors
/// Never for a command that was made here.
pub fn write_request(command: &Command) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Request<'a> {
        version: u32,
        #[serde(flatten)]
        command: &'a Command,
    }
    serde_json::to_string(&Request { version: VERSION, command })
}
