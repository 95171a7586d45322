//! What a peer asks of the gatehouse and what it is answered. The gatehouse (one owner for all workers) keeps users,
//! leases, ports and stories; a worker keeps peers. Between them go these messages, never shared state.

use super::{LinkKey, Meter, PskId, Rates};
use crate::hub::{HubId, Ingress, Mac, Notice, Policy, PortId, View};
use crate::identity::account::Proof;
use crate::packet::{PacketBuf, Path};
use crate::ppp::{AddressGrant, AuthVerdict};
use crate::story::{Attempt, AttemptId, Cause, Record};
use crate::vnic::Routes;
use crate::wire::inet::Network;
use smol_str::SmolStr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// What a worker asks or tells the gatehouse.
#[derive(Debug)]
pub enum Ask {
    /// A link's user shows a name and a proof: who is it, and may it come in?
    Authenticate(Box<Authenticate>),
    /// An admitted link wants an address and its port on the hub.
    Join {
        /// The link.
        link: LinkKey,
        /// The port number that the worker has set aside for it.
        port: PortId,
        /// The address that the client asks for, if it asks for one of its own.
        asked: Option<Ipv4Addr>,
    },
    /// A DHCP server of the LAN has given a link an address.
    Leased {
        /// The link.
        link: LinkKey,
        /// The address.
        address: Ipv4Addr,
        /// The frame that gives it back.
        release: Option<PacketBuf>,
    },
    /// A link is over: close its port, keep its lease for a while.
    Leave {
        /// The link.
        link: LinkKey,
        /// Why.
        cause: Cause,
    },
    /// A hub's owner has to hear of a station.
    Notice {
        /// The hub.
        hub: HubId,
        /// What was noticed.
        notice: Notice,
    },
    /// A frame for the hub's own services (DHCP).
    Service {
        /// The hub.
        hub: HubId,
        /// The port that it came from.
        from: PortId,
        /// The frame.
        frame: PacketBuf,
    },
    /// A running attempt has come further, is suspected to fail, or has moved.
    Running(Box<Attempt>),
    /// What looked like an attempt was a renewal of keys: nothing to tell.
    Renewal(AttemptId),
    /// An attempt ended.
    Ended(Box<Record>),
}

/// A name and a proof, with what is known of the device that shows them.
#[derive(Debug)]
pub struct Authenticate {
    /// The link that waits for the verdict.
    pub link: LinkKey,
    /// The name as it was typed.
    pub name: Vec<u8>,
    /// The proof.
    pub proof: Proof,
    /// Where the device is.
    pub path: Path,
    /// What tells this device from others of the same user, as far as anything does: kind and host name.
    pub device: SmolStr,
    /// The device's Phase 1 identity (usually its private address): tells two alike devices apart.
    pub identity: SmolStr,
    /// The hub that the pre-shared key in use is bound to.
    pub psk_hub: Option<String>,
    /// The pre-shared key that the device has shown; none in clear text.
    pub psk: Option<PskId>,
    /// The attempt that the link belongs to.
    pub attempt: AttemptId,
    /// Whether the link came without IPsec.
    pub raw: bool,
    /// Where the worker counts the link's traffic.
    pub meter: Arc<Meter>,
}

/// What the gatehouse answers.
#[derive(Debug)]
pub enum Answer {
    /// The verdict on an authentication.
    Verdict {
        /// The link.
        link: LinkKey,
        /// What PPP is told.
        verdict: AuthVerdict,
        /// How the name was read, for the story.
        reading: Reading,
        /// Why not, if not.
        cause: Option<Cause>,
        /// How long this user's devices may be silent, if the user is admitted.
        dead_after: Option<Duration>,
    },
    /// The link's place on the hub.
    Joined {
        /// The link.
        link: LinkKey,
        /// The port, for the worker.
        ingress: Ingress,
        /// What the link needs there.
        place: Box<Place>,
    },
    /// The link's port on a hub whose addresses come from a LAN: it asks there.
    Leasing {
        /// The link.
        link: LinkKey,
        /// The port, for the worker.
        ingress: Ingress,
        /// What the link needs there.
        lan: Box<LanPlace>,
    },
    /// There is no place: the link must close.
    NoPlace {
        /// The link.
        link: LinkKey,
        /// The port number that goes back to the worker.
        port: PortId,
        /// Why.
        cause: Cause,
    },
    /// The link's user goes on by other rules.
    Renewed {
        /// The link.
        link: LinkKey,
        /// What its port may send, if it has one.
        policy: Option<(PortId, Policy)>,
        /// How fast it may be.
        rates: Rates,
        /// How long its device may be silent.
        dead_after: Duration,
        /// What is behind other routers of the hub than its gateway.
        routes: Routes,
    },
    /// Close a link: replaced, kicked, expired, reconfigured.
    Close {
        /// The link.
        link: LinkKey,
        /// Why.
        cause: Cause,
    },
}

/// How a name was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The user.
    pub user: SmolStr,
    /// The hub.
    pub hub: SmolStr,
    /// The rule that decided ("suffix", "prefix", "default", ...).
    pub rule: SmolStr,
}

/// A link's place on a hub whose addresses come from a LAN.
#[derive(Debug)]
pub struct LanPlace {
    /// The hub as the data path sees it.
    pub view: Arc<View>,
    /// The link's own MAC.
    pub mac: Mac,
    /// What the LAN's server is told of the client.
    pub host_name: String,
    /// Our address on the link, and the next hop where the LAN names none.
    pub gateway: Ipv4Addr,
    /// Name servers, if not those of the LAN.
    pub dns: Option<Vec<Ipv4Addr>>,
    /// What is behind other routers of the hub.
    pub routes: Routes,
    /// How fast the link may be.
    pub rates: Rates,
}

/// A link's place on its hub.
#[derive(Debug)]
pub struct Place {
    /// The hub as the data path sees it.
    pub view: Arc<View>,
    /// The link's own MAC.
    pub mac: Mac,
    /// The address and what goes with it.
    pub grant: AddressGrant,
    /// The hub's network.
    pub network: Network,
    /// The next hop for all else.
    pub router: Ipv4Addr,
    /// What is behind other routers of the hub.
    pub routes: Routes,
    /// How fast the link may be.
    pub rates: Rates,
}
