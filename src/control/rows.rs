//! The rows of answers. Field names are the protocol: they may be added to, not renamed.

use crate::peer::Traffic;
use crate::story::{Protection, Story};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// A row of any answer.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each holds the row of its name")]
pub enum Row {
    Status(Box<StatusRow>),
    Hub(Box<HubRow>),
    Session(Box<SessionRow>),
    Mac(MacRow),
    Ip(IpRow),
    Lease(LeaseRow),
    Router(RouterRow),
    Nat(NatRow),
    Story(Box<StoryRow>),
    Acl(AclRow),
    Ban(BanRow),
    Drop(DropRow),
    Reload(Box<ReloadRow>),
    Guest(GuestRow),
    Monitor(MonitorRow),
}

/// The beginning of a monitor's stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MonitorRow {
    pub hub: String,
    pub filter: String,
    /// What follows the line.
    pub format: String,
}

/// The gateway as a whole. Times are seconds since 1970.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct StatusRow {
    pub gateway_version: String,
    pub now: u64,
    pub started: u64,
    pub config: String,
    pub state_dir: String,
    pub hubs: usize,
    pub hubs_online: usize,
    pub sessions: usize,
    pub attempts_running: usize,
    /// Ended attempts that are remembered, and those of them that failed in the last hour.
    pub attempts_kept: usize,
    pub failed_last_hour: usize,
    /// Remote devices, and IKE exchanges that are not finished.
    pub peers: usize,
    pub half_open: usize,
    /// Packets that went no further: `drops` says why.
    pub drops: u64,
    pub workers: Vec<WorkerRow>,
    /// The last reload of the configuration, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloaded: Option<super::Reloaded>,
}

/// A worker. One that does not answer within a second is `silent`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WorkerRow {
    pub worker: u8,
    pub silent: bool,
    pub peers: usize,
    pub half_open: usize,
    pub drops: u64,
}

/// A hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct HubRow {
    pub hub: String,
    pub online: bool,
    pub network: String,
    pub gateway: Ipv4Addr,
    pub uplink: String,
    pub range: String,
    pub lease_seconds: u64,
    pub users: usize,
    pub sessions: usize,
    /// Open ports: those of sessions, and uplinks.
    pub ports: usize,
    pub addresses_held: usize,
    pub default: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Sessions that there may be; none: no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// Whether monitors may watch it.
    #[serde(default)]
    pub monitor: bool,
}

/// A session. Inbound is from the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SessionRow {
    pub session: u64,
    pub user: String,
    pub hub: String,
    pub address: Option<Ipv4Addr>,
    pub mac: Option<String>,
    /// Where the device is, as we see it.
    pub from: String,
    pub device: String,
    pub client: String,
    pub identity: String,
    pub since: u64,
    pub seconds: u64,
    pub idle_seconds: u64,
    pub worker: u8,
    pub port: Option<String>,
    /// What was negotiated and how strong it is; none in clear text.
    #[serde(default, skip_serializing_if = "Protection::is_unknown")]
    pub protection: Protection,
    #[serde(flatten)]
    pub traffic: Traffic,
    /// How it came about; in `session_show` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<Story>,
}

/// A station of a hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct MacRow {
    pub hub: String,
    pub mac: String,
    pub vlan: u16,
    pub port: String,
    /// `client`, `uplink`, `bridge`, `router`, or `hub` of the hub's own services.
    pub behind: String,
    pub user: Option<String>,
    pub learned: bool,
    pub idle_seconds: u64,
}

/// An IP address of a hub.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct IpRow {
    pub hub: String,
    pub address: IpAddr,
    pub mac: String,
    pub port: Option<String>,
    pub behind: String,
    pub user: Option<String>,
    pub learned: bool,
    pub idle_seconds: u64,
}

/// A lease.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LeaseRow {
    pub hub: String,
    pub address: Ipv4Addr,
    pub mac: String,
    /// Whose: a user and device, or a station.
    pub holder: String,
    pub name: Option<String>,
    /// `link` (as long as the session), `leased`, `offered`, `declined` (each until `until`), or `past` (free since
    /// `since`, and remembered for its last holder).
    pub state: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A flow through a NAT.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NatRow {
    pub hub: String,
    /// `tcp`, `udp`, `dns`, `icmp`.
    pub protocol: String,
    /// The client's address and port (of `icmp`: the identifier).
    pub client: String,
    /// The other side; of a mapping where the client has sent to last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// `open`, `connecting`, `closing`.
    pub state: String,
    /// After how long it ends if nothing comes.
    pub left_seconds: u64,
}

/// An interface of a router, or one of its routes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RouterRow {
    pub router: String,
    /// `hub`, `route`.
    pub kind: String,
    /// What it leads to.
    pub network: String,
    /// Of an interface: its hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// Of an interface: the router's own address; of a route: the next router's.
    pub address: Ipv4Addr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
    /// Packets of the whole router; none where its worker does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discarded: Option<u64>,
}

/// A connection attempt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoryRow {
    /// What is known of it.
    #[serde(flatten)]
    pub story: Story,
    /// Whether it failed, or looks as if it would.
    pub failed: bool,
    /// Who has to change something: `client`, `network`, `gateway`, `nobody`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// The error number that this kind of client usually shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_number: Option<u16>,
    /// What this kind of client usually shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_text: Option<String>,
}

/// A rule of an access list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct AclRow {
    pub hub: String,
    /// Its place in the list, from 1 on.
    pub rule: usize,
    /// `pass`, `discard`.
    pub action: String,
    /// The rule in one line.
    pub text: String,
    /// Frames that it decided on, since it stands in the list.
    pub frames: u64,
    pub bytes: u64,
}

/// Somebody who has failed, or was barred by an administrator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct BanRow {
    /// An address, a prefix, or `user@hub`.
    pub who: String,
    /// `source`, `user`.
    pub kind: String,
    /// `barred`, `slowed`, `counted`.
    pub state: String,
    /// Until when it is barred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Of one that is slowed: seconds between two attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u64>,
    /// Failures that count towards the next bar.
    pub failures: u32,
    /// How often it was barred.
    pub bars: u32,
    pub by_administrator: bool,
    /// Sessions that are up from there.
    pub sessions: u32,
    /// When everything is forgotten.
    pub forgotten_at: u64,
}

/// How often packets went no further for one reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct DropRow {
    pub worker: u8,
    pub reason: String,
    pub count: u64,
}

/// A user for a minute.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRow {
    /// The name, without hub.
    pub user: String,
    /// The hub.
    pub hub: String,
    /// The password.
    pub password: String,
    /// How long it is good for.
    pub seconds: u64,
}

impl std::fmt::Debug for GuestRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "GuestRow({}@{})", self.user, self.hub)
    }
}

/// What a reload changes, or would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadRow {
    /// Whether it was done.
    pub applied: bool,
    /// What is different.
    pub changes: Vec<ChangeRow>,
    /// How many sessions end, and how many stay.
    pub sessions_end: usize,
    /// How many sessions stay.
    pub sessions_stay: usize,
    /// What is unwise about the file, and what could not be done.
    pub warnings: Vec<String>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRow {
    /// Where it is in the file: `hubs.HUB1.users.jiro`.
    pub key: String,
    /// What is different.
    pub what: String,
    /// How many sessions end by it.
    pub sessions_end: usize,
    /// Whether it takes a restart.
    pub needs_restart: bool,
}
