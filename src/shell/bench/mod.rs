//! A load generator: acts as many native clients against any L2TP/IPsec server, over loopback or between namespaces, and
//! says what the server's process has spent.
//!
//! | file | what |
//! |---|---|
//! | `swarm` | the clients: sockets, batches, timers |
//! | `connect` | has them connect, and measures each stage |
//! | `churn` | has them come and go, and looks whether the server forgets them |
//! | `flood` | first messages with nobody behind them |
//! | `traffic`, `flow` | has them send, and measures loss, latency and the server's CPU time for each packet |
//! | `reflect` | the far end of an uplink |
//! | `wake` | what a packet costs before anything is done with it |
//! | `yardstick` | how fast the machine is |
//! | `server` | CPU time, memory and threads of the server's process |
//! | `histogram` | latencies |
//! | `report` | the numbers, as a table or as JSON |
//!
//! Every measurement begins with [`Bench::open`] and [`connect`](connect::connect), does something with the swarm, and
//! leaves its part in the [`Report`].

mod churn;
mod connect;
mod flood;
mod flow;
mod histogram;
mod reflect;
mod report;
mod server;
mod swarm;
mod traffic;
mod wake;
mod yardstick;

pub use churn::{Churn, churn};
pub use flood::flood;
pub use flow::Sizes;
pub use reflect::reflect;
pub use report::Report;
pub use traffic::{Load, Pattern, load};
pub use wake::{WakeCost, wake};
pub use yardstick::{Part, yardstick};

use crate::client::Profile;
use crate::crypto::Secret;
use crate::crypto::suite::DhGroup;
use crate::entropy::Entropy;
use crate::ppp::Login;
use anyhow::{Context as _, bail};
use connect::Pace;
use server::ServerProcess;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::{Places, Swarm};

/// Who connects to what.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's address and its port for NAT traversal.
    pub server: SocketAddr,
    /// The pre-shared key.
    pub psk: String,
    /// The user's name; `{n}` is the client's number, `{hub}` that of its hub.
    pub user: String,
    /// The number of the first client.
    pub first: usize,
    /// Over how many hubs the clients are spread, in turn and by twos: pairs meet in one.
    pub hubs: usize,
    /// The password; `{n}` is the client's number.
    pub password: String,
    /// The kind of client ([`Profile::named`]).
    pub profile: String,
    /// The one Diffie-Hellman group that it offers, by its name; `None`: what its kind offers.
    pub group: Option<String>,
    /// How many clients.
    pub clients: usize,
    /// The first client's address; the others follow.
    pub source: Ipv4Addr,
    /// How many sockets, that is ports, share the clients.
    pub sockets: usize,
    /// The first socket's port; 0: any.
    pub port: u16,
    /// How many may begin in a second; `None`: as fast as they can.
    pub connect_rate: Option<f64>,
    /// How many may be connecting at a time.
    pub at_once: usize,
    /// The processes of the server, to be looked at; all on this host.
    pub server_pids: Vec<i32>,
}

/// What a measurement needs: the clients, the server's process, and the report.
struct Bench {
    swarm: Swarm,
    server: Option<ServerProcess>,
    report: Report,
}

impl Bench {
    /// Makes the clients and connects all of them.
    ///
    /// # Errors
    /// When not one of them came up, with what they say.
    fn open(target: &Target) -> anyhow::Result<Self> {
        let profile = client_profile(target)?;
        let login = |n: usize| Login {
            name: target
                .user
                .replace("{n}", &(target.first + n).to_string())
                .replace("{hub}", &((target.first + n) / 2 % target.hubs.max(1)).to_string())
                .into_bytes(),
            password: Secret::from(target.password.replace("{n}", &(target.first + n).to_string()).as_str()),
        };
        let port = |n: usize| match target.port {
            0 => 0,
            port => port.saturating_add(u16::try_from(n).unwrap_or(u16::MAX)),
        };
        let ports = (0..target.sockets.max(1)).map(port).collect();
        let places = Places { server: target.server, source: target.source, ports };
        let mut entropy = Entropy::from_system()?;
        let mut swarm = Swarm::new(places, target.clients, &profile, login, &mut entropy)?;
        let server = ServerProcess::new(&target.server_pids);
        let mut report = Report::new(target);
        let before = server.as_ref().map(ServerProcess::usage).transpose()?;
        let pace = Pace { rate: target.connect_rate, at_once: target.at_once.max(1) };
        let set_up = connect::connect(&mut swarm, pace)?;
        let connected = set_up.connected();
        report.set_up = Some(set_up.section());
        if let (Some(server), Some(before)) = (&server, before) {
            report.server = Some(report::Held::new(before, server.usage()?, connected));
        }
        if connected == 0 {
            bail!("no client came up: {}", set_up.failures());
        }
        Ok(Self { swarm, server, report })
    }

    /// How many came up.
    fn connected(&self) -> usize {
        self.report.set_up.as_ref().map_or(0, |set_up| set_up.connected)
    }

    /// Has all leave, and waits a little for their goodbyes.
    fn close(mut self) -> anyhow::Result<Report> {
        let now = Instant::now();
        for client in 0..self.swarm.len() {
            self.swarm.tell(client, |device, out| device.stop(now, out));
        }
        let end = now + Duration::from_secs(5);
        let mut active = true;
        while active && Instant::now() < end {
            self.swarm.turn((Instant::now() + Duration::from_millis(100)).min(end))?;
            self.swarm.happened.clear();
            self.swarm.packets.clear();
            active = (0..self.swarm.len()).any(|client| self.swarm.device(client).is_active());
        }
        self.swarm.flush();
        Ok(self.report)
    }
}

/// The kind of client that is wished, with the server's key.
fn client_profile(target: &Target) -> anyhow::Result<Arc<Profile>> {
    let profile = Profile::named(&target.profile).with_context(|| {
        let names: Vec<_> = Profile::all().iter().map(|profile| profile.name).collect();
        format!("there is no client kind {:?}; there are {}", target.profile, names.join(", "))
    })?;
    let profile = match &target.group {
        None => profile,
        Some(name) => profile.with_group(group_named(name)?),
    };
    Ok(Arc::new(profile.with_psk(&target.psk).with_udp_encapsulation()))
}

fn group_named(name: &str) -> anyhow::Result<DhGroup> {
    let found = DhGroup::ALL.iter().find(|group| group.to_string().eq_ignore_ascii_case(name));
    found.copied().with_context(|| {
        let names: Vec<_> = DhGroup::ALL.iter().map(ToString::to_string).collect();
        format!("there is no group {name:?}; there are {}", names.join(", "))
    })
}

/// Connects all clients, holds them, and has them leave.
///
/// # Errors
/// When it cannot begin or nobody came up.
pub fn hold(target: &Target, time: Duration) -> anyhow::Result<Report> {
    let mut bench = Bench::open(target)?;
    let end = Instant::now() + time;
    let before = bench.server.as_ref().map(ServerProcess::usage).transpose()?;
    while Instant::now() < end {
        bench.swarm.turn(end)?;
        bench.swarm.packets.clear();
        for (_, event) in bench.swarm.happened.drain(..) {
            bench.report.note_end(&event);
        }
    }
    if let (Some(server), Some(before), Some(held)) = (&bench.server, before, &mut bench.report.server) {
        held.idle(before, server.usage()?, time);
    }
    bench.close()
}
