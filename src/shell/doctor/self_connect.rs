//! The gateway's own client connects through the gateway's own ports, end to end: IKE, ESP, L2TP, PPP, an address, a
//! ping to the hub's gateway and to whatever else is to be reached.

use crate::client::{Device, Event, Output, Profile, Reason};
use crate::config::Uplink;
use crate::crypto::Secret;
use crate::doctor::{Line, probe};
use crate::entropy::Entropy;
use crate::packet::{Encap, PacketBuf, Path};
use crate::ppp::{LinkParams, Login};
use crate::wire::inet::udp_packet;
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who connects, and to where.
pub struct Attempt<'a> {
    /// The hub that the user is of.
    pub hub: &'a str,
    /// What is behind it.
    pub uplink: &'a Uplink,
    /// Whether the gateway of the hub's configuration is its clients' router.
    pub routes: bool,
    /// The gateway's port for NAT traversal.
    pub to: SocketAddr,
    /// The pre-shared key.
    pub psk: String,
    /// The user, as typed.
    pub user: String,
    /// The password.
    pub password: String,
    /// Addresses to be reached through the tunnel.
    pub targets: Vec<Ipv4Addr>,
    /// Whether the hub has heard of a host of its network by ARP; `None` where that cannot be known.
    pub has_neighbour: &'a dyn Fn(Ipv4Addr) -> Option<bool>,
}

/// How long the whole connection may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an answer to a ping may take, and how often is asked.
const PING: Duration = Duration::from_secs(1);
const PINGS: u16 = 4;

/// Port of name servers, and ours for questions to them.
const DOMAIN: u16 = 53;
const RESOLVER: u16 = 53_053;

const CHECK: &str = "self-connect";

/// Connects, pings, and leaves.
#[must_use]
pub fn examine(attempt: &Attempt<'_>) -> Vec<Line> {
    let began = Instant::now();
    let mut client = match Client::new(attempt) {
        Ok(client) => client,
        Err(error) => {
            return vec![Line::fail(CHECK, format!("no socket: {error}"), "ulimit -n; free memory")];
        }
    };
    let params = match client.connect(began + PATIENCE) {
        Ok(params) => params,
        Err(why) => {
            return vec![Line::fail(
                CHECK,
                format!("our own client cannot connect to {}: {why}", attempt.to),
                format!("sekisho ctl why {}", attempt.user),
            )];
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let found = format!(
        "our own client connected to hub {} in {seconds:.1} s and got {}",
        attempt.hub, params.address
    );
    let mut lines = vec![Line::ok(CHECK, found)];
    if *attempt.uplink != Uplink::None {
        if attempt.routes {
            lines.push(client.gateway(attempt, &params));
        }
        lines.extend(client.name_servers(&params));
    }
    lines.extend(attempt.targets.iter().map(|target| client.target(attempt, &params, *target)));
    client.leave();
    lines
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

struct Client {
    device: Device,
    socket: UdpSocket,
    path: Path,
    echoes: BTreeSet<(Ipv4Addr, u16)>,
    /// Name servers that have answered a question of this number.
    answers: BTreeSet<(Ipv4Addr, u16)>,
}

impl Client {
    fn new(attempt: &Attempt<'_>) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(attempt.to)?;
        // An address that is not ours: as if behind a NAT, so that ESP travels in UDP and takes no right to raw sockets.
        let own = socket.local_addr()?;
        let others = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
        let other = others.into_iter().find(|other| own.ip() != *other).unwrap_or(others[0]);
        let local = SocketAddr::from((other, own.port()));
        let path = Path { encap: Encap::NatT, local, remote: attempt.to };
        let profile = Arc::new(Profile::strongswan().with_psk(&attempt.psk));
        let login = Login {
            name: attempt.user.as_bytes().to_vec(),
            password: Secret::from(attempt.password.as_str()),
        };
        let entropy = Entropy::from_system().map_err(io::Error::other)?;
        let device = Device::new(profile, login, path, entropy);
        Ok(Self { device, socket, path, echoes: BTreeSet::new(), answers: BTreeSet::new() })
    }

    fn connect(&mut self, deadline: Instant) -> Result<LinkParams, String> {
        let mut out = Output::default();
        self.device.start(Instant::now(), &mut out);
        let mut stage = "no answer to the first message";
        loop {
            for event in self.flush(&mut out) {
                match event {
                    Event::IkeUp { .. } => stage = "IKE came up, and then nothing",
                    Event::EspUp { .. } => stage = "IPsec came up, and then nothing",
                    Event::Up(params) => return Ok(params),
                    Event::Down(reason) => return Err(explain(&reason)),
                    Event::Rekeyed => {}
                }
            }
            if Instant::now() >= deadline {
                return Err(format!("{stage} within {} s", PATIENCE.as_secs()));
            }
            self.step(deadline, &mut out);
        }
    }

    fn ping(&mut self, from: Ipv4Addr, to: Ipv4Addr) -> Option<Duration> {
        let mut out = Output::default();
        for number in 0..PINGS {
            let began = Instant::now();
            self.device.send_ip(began, probe::ping(from, to, 1, number), &mut out).ok()?;
            while began.elapsed() < PING {
                self.flush(&mut out);
                if self.echoes.contains(&(to, number)) {
                    return Some(began.elapsed());
                }
                self.step(began + PING, &mut out);
            }
        }
        None
    }

    /// The router of the hub's clients: this host, or one of the LAN.
    fn gateway(&mut self, attempt: &Attempt<'_>, params: &LinkParams) -> Line {
        let gateway = params.gateway;
        match self.ping(params.address, gateway) {
            Some(time) => {
                let time = milliseconds(time);
                Line::ok(CHECK, format!("the hub's gateway {gateway} answers through the tunnel in {time}"))
            }
            None if attempt.uplink.is_lan() => Line::warn(
                CHECK,
                format!(
                    "no router answers at {gateway}, the gateway of hub {}: clients reach its LAN alone",
                    attempt.hub
                ),
                "the address of the LAN's router as the hub's `gateway`, if clients are to go further",
            ),
            None => Line::fail(
                CHECK,
                format!("the hub's gateway {gateway} does not answer through the tunnel"),
                "the lines about packet filter and forwarding",
            ),
        }
    }

    /// The name servers that the client was given, from where it is.
    fn name_servers(&mut self, params: &LinkParams) -> Vec<Line> {
        let servers: Vec<Ipv4Addr> = params.dns.iter().flatten().copied().collect();
        let judge = |server: Ipv4Addr| match self.resolve(params.address, server) {
            Some(time) => {
                let time = milliseconds(time);
                Line::ok(CHECK, format!("the name server {server} answers through the tunnel in {time}"))
            }
            None => Line::fail(
                CHECK,
                format!("the name server {server} does not answer through the tunnel"),
                "the lines about dns, packet filter, forwarding and uplink; dhcp.dns of the hub",
            ),
        };
        servers.into_iter().map(judge).collect()
    }

    /// A host that somebody wants to be reached.
    fn target(&mut self, attempt: &Attempt<'_>, params: &LinkParams, target: Ipv4Addr) -> Line {
        const CHECK: &str = "target";
        if let Some(time) = self.ping(params.address, target) {
            let time = milliseconds(time);
            return Line::ok(CHECK, format!("{target} answers from hub {} in {time}", attempt.hub));
        }
        match (attempt.has_neighbour)(target) {
            Some(true) => Line::warn(
                CHECK,
                format!("{target} answers ARP from hub {} and no ping", attempt.hub),
                "the host's own firewall, or its way back: does it know the hub's network?",
            ),
            Some(false) => Line::fail(
                CHECK,
                format!("{target} answers neither ARP nor ping from hub {}", attempt.hub),
                "is it switched on, in this LAN, and in the same VLAN as the uplink?",
            ),
            None => Line::fail(
                CHECK,
                format!("{target} does not answer ping from hub {}", attempt.hub),
                "the lines about packet filter, forwarding and uplink; the host itself may answer no ping",
            ),
        }
    }

    /// How long a name server takes to answer.
    fn resolve(&mut self, from: Ipv4Addr, server: Ipv4Addr) -> Option<Duration> {
        let mut out = Output::default();
        for number in 0..PINGS {
            let began = Instant::now();
            let question = udp_packet((from, RESOLVER), (server, DOMAIN), &probe::dns_query(number));
            self.device.send_ip(began, question, &mut out).ok()?;
            while began.elapsed() < PING {
                self.flush(&mut out);
                if self.answers.contains(&(server, number)) {
                    return Some(began.elapsed());
                }
                self.step(began + PING, &mut out);
            }
        }
        None
    }

    fn leave(&mut self) {
        let mut out = Output::default();
        self.device.stop(Instant::now(), &mut out);
        let deadline = Instant::now() + PING;
        while self.device.is_active() && Instant::now() < deadline {
            self.flush(&mut out);
            self.step(deadline, &mut out);
        }
        self.flush(&mut out);
    }

    /// Sends what there is to send, and returns what happened.
    fn flush(&mut self, out: &mut Output) -> Vec<Event> {
        for transmit in out.transmits.drain(..) {
            // A datagram that cannot be sent is a datagram lost.
            let _ = self.socket.send(&transmit.buf);
        }
        for packet in out.packets.drain(..) {
            if let Some((from, _, number)) = probe::echo_reply_from(&packet) {
                self.echoes.insert((from, number));
            }
            let answers =
                (0..PINGS).filter_map(|number| Some((probe::dns_answer_from(&packet, number)?, number)));
            self.answers.extend(answers);
        }
        std::mem::take(&mut out.events)
    }

    /// Waits for a datagram or a deadline, and lets the device have it.
    fn step(&mut self, deadline: Instant, out: &mut Output) {
        let now = Instant::now();
        let due = self.device.poll_timeout().map_or(deadline, |at| at.min(deadline));
        let wait = due.saturating_duration_since(now).max(Duration::from_millis(1));
        let mut buffer = [0; 4096];
        let received = match self.socket.set_read_timeout(Some(wait)) {
            Ok(()) => self.socket.recv(&mut buffer),
            Err(error) => Err(error),
        };
        let now = Instant::now();
        if let Some(bytes) = received.ok().and_then(|length| buffer.get(..length)) {
            // What the device does not want is not ours to judge.
            let _ = self.device.handle_datagram(now, self.path, PacketBuf::from_slice(bytes), out);
        }
        if self.device.poll_timeout().is_some_and(|at| at <= now) {
            self.device.handle_timeout(now, out);
        }
    }
}

fn explain(reason: &Reason) -> String {
    match reason {
        Reason::Asked => "it was told to stop".to_owned(),
        Reason::Ike(failure) => format!("IKE failed: {failure:?}"),
        Reason::Deleted => "the gateway deleted all keys".to_owned(),
        Reason::L2tp(end) => format!("L2TP ended: {end:?}"),
        Reason::Ppp(cause) => format!("PPP ended: {cause:?}"),
        Reason::TooSlow => "it took longer than a client waits".to_owned(),
    }
}
