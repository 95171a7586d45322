//! One user's session on one hub, from the verdict to the goodbye.

use crate::config::Terms;
use crate::hub::PortId;
use crate::identity::account::Authenticated;
use crate::packet::Path;
use crate::peer::{LinkKey, Meter};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Somebody whose proof holds, before it is settled whether there is room.
pub(super) struct Newcomer {
    pub(super) link: LinkKey,
    pub(super) who: Authenticated,
    pub(super) success: Option<String>,
    pub(super) hub: usize,
    pub(super) fixed: Option<Ipv4Addr>,
    pub(super) terms: Arc<Terms>,
    pub(super) device: String,
    pub(super) identity: String,
    pub(super) path: Path,
    pub(super) meter: Arc<Meter>,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Its link.
    pub link: LinkKey,
    /// Its user, who has proved to be that user.
    pub who: Authenticated,
    /// Its hub, as an index into the configuration's.
    pub hub: usize,
    /// The user's own address, if it has one.
    pub fixed: Option<Ipv4Addr>,
    /// What the user may do.
    pub terms: Arc<Terms>,
    /// Which of the user's devices.
    pub device: String,
    /// The device's Phase 1 identity.
    pub identity: String,
    /// Where the device was when it authenticated.
    pub path: Path,
    /// Traffic.
    pub meter: Arc<Meter>,
    /// Seconds since 1970 at the verdict.
    pub since: u64,
    /// Its port, once it has one.
    pub port: Option<PortId>,
    /// Its address, once it has one.
    pub address: Option<Ipv4Addr>,
}

impl Session {
    pub(super) fn new(since: u64, device: String, newcomer: Newcomer) -> Self {
        let Newcomer { link, who, hub, fixed, terms, identity, path, meter, .. } = newcomer;
        Self { link, who, hub, fixed, terms, device, identity, path, meter, since, port: None, address: None }
    }
}
