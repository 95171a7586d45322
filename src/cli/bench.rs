//! `sekisho bench`: many native clients at once, for measuring a server.

use super::show;
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use sekisho::shell::bench::{self, Churn, Load, Pattern, Report, Sizes, Target};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

/// `sekisho bench`.
#[derive(Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Connect all clients, hold them, have them leave.
    Hold(Hold),
    /// Send first messages, each from another address, with nobody behind them.
    Flood(FloodArgs),
    /// Have clients come, go, vanish, return and renew their keys at random.
    Churn(ChurnArgs),
    /// Connect all clients and have them send.
    Load(LoadArgs),
    /// Send every UDP datagram back: the far end of an uplink.
    Reflect {
        /// The address and port to listen on.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// What a packet costs here before anything is done with it: a thread sleeps until one comes and sends it back.
    Wake {
        /// Packets a second.
        #[arg(long, default_value_t = 10_000.0)]
        rate: f64,
        /// For how many seconds.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// How fast this machine is, by parts of the work that other programs do as well.
    Yardstick,
}

#[derive(Args)]
struct Hold {
    #[command(flatten)]
    common: Common,
    /// For how many seconds.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Args)]
struct ChurnArgs {
    #[command(flatten)]
    common: Common,
    /// How many times a second something happens to one of them.
    #[arg(long, default_value_t = 50.0)]
    rate: f64,
    /// For how many seconds.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
}

#[derive(Args)]
struct FloodArgs {
    #[command(flatten)]
    common: Common,
    /// Messages a second.
    #[arg(long, default_value_t = 10_000.0)]
    rate: f64,
    /// For how many seconds.
    #[arg(long, default_value_t = 30.0)]
    seconds: f64,
}

#[derive(Args)]
struct LoadArgs {
    #[command(flatten)]
    common: Common,
    /// Who sends to whom: clients to their neighbours, one way or both, or to the uplink and back.
    #[arg(long, value_enum, default_value = "pairs")]
    traffic: Traffic,
    /// For uplink: where `sekisho bench reflect` listens.
    #[arg(long)]
    target: Option<SocketAddrV4>,
    /// How many of the clients send or hear anything [default: all]
    #[arg(long)]
    active: Option<usize>,
    /// Lengths of the IP packets, or imix.
    #[arg(long, value_delimiter = ',', default_value = "1400")]
    size: Vec<Sizes>,
    /// Packets that a client sends at once.
    #[arg(long, value_delimiter = ',', default_value = "44")]
    burst: Vec<usize>,
    /// Packets a second of each flow [default: as many as the server takes]
    #[arg(long)]
    rate: Option<f64>,
    /// Packets of each flow that are under way at a time, when there is no rate.
    #[arg(long, default_value_t = 264)]
    window: usize,
    /// A last pair with so many packets a second beside the load.
    #[arg(long)]
    beside: Option<f64>,
    /// Seconds before each measurement.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Traffic {
    Pairs,
    BothWays,
    Uplink,
}

impl LoadArgs {
    fn load(&self) -> anyhow::Result<Load> {
        let pattern = match (self.traffic, self.target) {
            (Traffic::Pairs, _) => Pattern::Pairs,
            (Traffic::BothWays, _) => Pattern::BothWays,
            (Traffic::Uplink, Some(target)) => Pattern::Uplink(target),
            (Traffic::Uplink, None) => bail!("--traffic uplink needs --target"),
        };
        if self.rate.is_some_and(|rate| rate <= 0.0) || self.beside.is_some_and(|rate| rate <= 0.0) {
            bail!("a rate is more than nothing");
        }
        Ok(Load {
            pattern,
            active: self.active,
            sizes: self.size.clone(),
            bursts: self.burst.clone(),
            rate: self.rate,
            window: self.window,
            beside: self.beside,
            warm_up: seconds(self.warm_up)?,
            time: seconds(self.seconds)?,
        })
    }
}

/// What every measurement needs to know.
#[derive(Args)]
struct Common {
    /// The server's address.
    #[arg(long)]
    server: IpAddr,
    /// Its port for NAT traversal.
    #[arg(long, default_value_t = 4500)]
    nat_t_port: u16,
    #[arg(long)]
    psk: String,
    /// The user's name; {n} is the client's number, {hub} that of its hub.
    #[arg(long)]
    user: String,
    /// The number of the first client.
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Over how many hubs the clients are spread, in turn and by twos.
    #[arg(long, default_value_t = 1)]
    hubs: usize,
    /// The password; {n} is the client's number.
    #[arg(long)]
    password: String,
    /// The kind of client.
    #[arg(long, default_value = "network-manager")]
    profile: String,
    /// The one Diffie-Hellman group that it offers, ECP-256 for instance [default: all that the kind offers]
    #[arg(long)]
    group: Option<String>,
    #[arg(long, default_value_t = 2)]
    clients: usize,
    /// The first client's address; the others follow. All must be routed to this host, as 127/8 is.
    #[arg(long, default_value = "127.1.0.1")]
    source: Ipv4Addr,
    /// How many sockets share the clients.
    #[arg(long, default_value_t = 1)]
    sockets: usize,
    /// The first socket's port; 0: any.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How many clients begin in a second [default: as fast as they can]
    #[arg(long)]
    connect_rate: Option<f64>,
    /// How many may be connecting at a time.
    #[arg(long, default_value_t = 32)]
    at_once: usize,
    /// The server's processes, for CPU time and memory.
    #[arg(long, value_delimiter = ',')]
    server_pid: Vec<i32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Common {
    fn target(&self) -> Target {
        Target {
            server: SocketAddr::new(self.server, self.nat_t_port),
            psk: self.psk.clone(),
            user: self.user.clone(),
            first: self.first,
            hubs: self.hubs,
            password: self.password.clone(),
            profile: self.profile.clone(),
            group: self.group.clone(),
            clients: self.clients,
            source: self.source,
            sockets: self.sockets,
            port: self.port,
            connect_rate: self.connect_rate,
            at_once: self.at_once,
            server_pids: self.server_pid.clone(),
        }
    }

    fn show(&self, report: &Report) -> anyhow::Result<()> {
        if self.json {
            show(&serde_json::to_string(report).context("the report cannot be printed")?);
        } else {
            show(&report.to_string());
        }
        Ok(())
    }
}

/// A time in seconds.
fn seconds(seconds: f64) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(seconds).with_context(|| format!("{seconds} seconds is no time"))
}

pub(super) fn bench(bench: &Bench) -> anyhow::Result<()> {
    match &bench.what {
        What::Hold(hold) => hold.common.show(&bench::hold(&hold.common.target(), seconds(hold.seconds)?)?),
        What::Churn(churn) => {
            let what = Churn { rate: churn.rate, time: seconds(churn.seconds)? };
            churn.common.show(&bench::churn(&churn.common.target(), &what)?)
        }
        What::Flood(flood) => {
            let sent = bench::flood(&flood.common.target(), flood.rate, seconds(flood.seconds)?)?;
            show(&format!("{sent} first messages sent"));
            Ok(())
        }
        What::Load(load) => load.common.show(&bench::load(&load.common.target(), &load.load()?)?),
        What::Reflect { listen } => {
            bench::reflect(*listen, |at| show(&format!("reflecting at {at}")))
                .with_context(|| format!("cannot reflect at {listen}"))?;
            Ok(())
        }
        What::Wake { rate, seconds: time, json } => {
            let cost = bench::wake(*rate, seconds(*time)?)?;
            show(&if *json {
                serde_json::to_string(&cost)?
            } else {
                format!("{} packets, {:.2} us of CPU each", cost.packets, cost.us_per_packet)
            });
            Ok(())
        }
        What::Yardstick => {
            for part in bench::yardstick()? {
                let (here, there) = (part.here_us, part.there_us);
                show(&format!("{}: {here:.2} us here, {there:.2} there, {:.2}x", part.what, part.factor()));
            }
            Ok(())
        }
    }
}
