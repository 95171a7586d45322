//! One user's session on one hub, from the verdict to the goodbye.

use crate::config::Terms;
use crate::hub::{HubId, PortId};
use crate::identity::account::Authenticated;
use crate::packet::{PacketBuf, Path};
use crate::peer::{LinkKey, Meter, PskId};
use crate::story::AttemptId;
use crate::worker::Clock;
use smol_str::SmolStr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

/// Somebody whose proof holds, before it is settled whether there is room.
pub(super) struct Newcomer {
    pub(super) link: LinkKey,
    pub(super) who: Authenticated,
    pub(super) success: Option<String>,
    pub(super) hub: HubId,
    pub(super) fixed: Option<Ipv4Addr>,
    pub(super) terms: Arc<Terms>,
    pub(super) device: SmolStr,
    pub(super) identity: SmolStr,
    pub(super) path: Path,
    pub(super) meter: Arc<Meter>,
    pub(super) psk: Option<PskId>,
    pub(super) attempt: AttemptId,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// The number by which people name it: never used twice while the gateway runs.
    pub number: u64,
    /// Its link.
    pub link: LinkKey,
    /// Its user, who has proved to be that user.
    pub who: Authenticated,
    /// Its hub.
    pub hub: HubId,
    /// The user's own address, if it has one.
    pub fixed: Option<Ipv4Addr>,
    /// What the user may do.
    pub terms: Arc<Terms>,
    /// Which of the user's devices.
    pub device: SmolStr,
    /// The device's Phase 1 identity.
    pub identity: SmolStr,
    /// Where the device was when it authenticated.
    pub path: Path,
    /// Traffic.
    pub meter: Arc<Meter>,
    /// The pre-shared key that the device has shown; none in clear text.
    pub psk: Option<PskId>,
    /// The attempt that it came with.
    pub attempt: AttemptId,
    /// Seconds since 1970 at the verdict.
    pub since: u64,
    /// The same moment on the clock of timers.
    pub(super) entered: Instant,
    /// When it is looked at next whether its time is over.
    pub(super) look_at: Option<Instant>,
    /// Bytes of its traffic that its user's volume has been charged for.
    pub(super) counted: u64,
    /// Its port, once it has one.
    pub port: Option<PortId>,
    /// Its address, once it has one.
    pub address: Option<Ipv4Addr>,
    /// How an address of the LAN is given back.
    pub(super) release: Option<PacketBuf>,
}

impl Session {
    pub(super) fn new(clock: Clock, device: SmolStr, newcomer: Newcomer) -> Self {
        let Newcomer { link, who, hub, fixed, terms, identity, path, meter, psk, attempt, .. } = newcomer;
        Self {
            number: 0,
            link,
            who,
            hub,
            fixed,
            terms,
            device,
            identity,
            path,
            meter,
            psk,
            attempt,
            since: clock.unix,
            entered: clock.now,
            look_at: None,
            counted: 0,
            port: None,
            address: None,
            release: None,
        }
    }
}
