//! The gateway's own client connects through the gateway's own ports, end to end: IKE, ESP, L2TP, PPP, an address, a
//! ping to the hub's gateway and to whatever else is to be reached.

use crate::client::{Device, Event, Output, Profile, Reason};
use crate::crypto::Secret;
use crate::doctor::{Line, probe};
use crate::entropy::Entropy;
use crate::packet::{Encap, PacketBuf, Path};
use crate::ppp::{LinkParams, Login};
use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who connects, and to where.
pub struct Attempt {
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
}

/// How long the whole connection may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an answer to a ping may take, and how often is asked.
const PING: Duration = Duration::from_secs(1);
const PINGS: u16 = 4;

const CHECK: &str = "self-connect";

/// Connects, pings, and leaves.
#[must_use]
pub fn examine(attempt: &Attempt) -> Vec<Line> {
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
    let mut lines = vec![Line::ok(
        CHECK,
        format!("our own client connected in {seconds:.1} s and got {}", params.address),
    )];
    let mut reach = |target: Ipv4Addr, what: &str| match client.ping(params.address, target) {
        Some(time) => Line::ok(
            CHECK,
            format!("{what} {target} answers through the tunnel in {:.1} ms", time.as_secs_f64() * 1e3),
        ),
        None => Line::fail(
            CHECK,
            format!("{what} {target} does not answer through the tunnel"),
            "the lines about packet filter, forwarding and uplink; the host itself may answer no ping",
        ),
    };
    let gateway = reach(params.gateway, "the hub's gateway");
    let others: Vec<Line> = attempt.targets.iter().map(|target| reach(*target, "target")).collect();
    lines.push(gateway);
    lines.extend(others);
    client.leave();
    lines
}

struct Client {
    device: Device,
    socket: UdpSocket,
    path: Path,
    echoes: BTreeSet<(Ipv4Addr, u16)>,
}

impl Client {
    fn new(attempt: &Attempt) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(attempt.to)?;
        // An address that is not ours: as if behind a NAT, so that ESP travels in UDP and takes no right to raw sockets.
        let local = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), socket.local_addr()?.port()));
        let path = Path { encap: Encap::NatT, local, remote: attempt.to };
        let profile = Arc::new(Profile::strongswan().with_psk(&attempt.psk));
        let login = Login {
            name: attempt.user.as_bytes().to_vec(),
            password: Secret::from(attempt.password.as_str()),
        };
        let entropy = Entropy::from_system().map_err(io::Error::other)?;
        Ok(Self { device: Device::new(profile, login, path, entropy), socket, path, echoes: BTreeSet::new() })
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
