//! A server and a client link in memory, with fake time and a wire that loses, delays and doubles frames; and a scripted
//! client that speaks in bytes, for the captures.

mod auth;
mod captures;
mod hostile;
mod negotiation;
mod rfc2759;
mod weather;

use super::*;
use crate::crypto::Secret;
use crate::entropy::Entropy;
use crate::identity::account::{Account, Credential, Proof, verify};
use crate::packet::PacketBuf;
use crate::wire::ppp::{Code, ControlPacket, Protocol, split_header};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The address that everybody gets.
const GRANTED: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 10);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const DNS: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 53);

const GRANT: AddressGrant =
    AddressGrant { address: GRANTED, gateway: GATEWAY, dns: [Some(DNS), None], wins: [None; 2] };

/// The one moment at which a test may look at a clock: any will do.
#[allow(clippy::disallowed_methods, reason = "fake time has to start somewhere")]
fn epoch() -> Instant {
    Instant::now()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn login(name: &str, password: &str) -> Login {
    Login { name: name.into(), password: Secret::from(password) }
}

fn client_role(habits: Habits, login: Login) -> Role {
    Role::Client(Box::new((login, habits)))
}

/// What stands behind the server: one user, one address.
#[derive(Clone, Debug)]
struct Backend {
    credential: Credential,
    /// Instead of checking.
    refuse: Option<AuthError>,
    /// Whether the gateway's address comes with the verdict.
    early_gateway: bool,
    /// Addresses that a client may choose itself.
    own_address: Option<Ipv4Addr>,
    grant: AddressGrant,
}

impl Backend {
    fn new(password: &str) -> Self {
        let credential = Credential::Password(Secret::from(password));
        Self { credential, refuse: None, early_gateway: true, own_address: None, grant: GRANT }
    }

    fn judge(&self, request: &AuthRequest) -> AuthVerdict {
        if let Some(error) = self.refuse {
            return AuthVerdict::Refuse { error };
        }
        let known = crate::identity::parse(&request.name, &["HUB1"][..], Some("HUB1")).user == "alice";
        let account = Account { user: "alice", hub: "HUB1", credential: &self.credential };
        let result = verify(known.then_some(account), &request.proof);
        match AuthVerdict::from(result.as_ref().map_err(|rejected| *rejected)) {
            AuthVerdict::Admit { success, .. } => {
                AuthVerdict::Admit { success, gateway: self.early_gateway.then_some(GATEWAY) }
            }
            refusal => refusal,
        }
    }

    /// Answers what the server asks for; returns the events.
    fn serve(&self, now: Instant, link: &mut Link, out: &mut Output) -> Vec<Event> {
        let mut events = Vec::new();
        while !out.events.is_empty() {
            for event in std::mem::take(&mut out.events) {
                match &event {
                    Event::AuthRequired(request) => {
                        let verdict = self.judge(request);
                        link.handle_verdict(now, &verdict, out);
                    }
                    Event::AddressWanted { asked } => {
                        let chosen = asked.filter(|asked| Some(*asked) == self.own_address);
                        let address = chosen.unwrap_or(self.grant.address);
                        link.handle_address(now, AddressGrant { address, ..self.grant }, out);
                    }
                    _ => {}
                }
                events.push(event);
            }
        }
        events
    }
}

/// A frame on the wire, as a test sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    at: Duration,
    from_server: bool,
    frame: Vec<u8>,
}

impl Sent {
    fn protocol(&self) -> Protocol {
        split_header(&self.frame).unwrap().0
    }

    fn packet(&self) -> ControlPacket<'_> {
        let (_, header) = split_header(&self.frame).unwrap();
        ControlPacket::parse(&self.frame[header..]).unwrap()
    }

    fn is(&self, from_server: bool, protocol: Protocol, code: u8) -> bool {
        self.from_server == from_server && self.protocol() == protocol && self.packet().code == Code(code)
    }
}

/// How the wire treats frames.
#[derive(Clone, Copy, Debug)]
struct Weather {
    delay: Duration,
    /// Of 100 frames.
    lost: u32,
    doubled: u32,
    /// Delayed by up to five times the delay, so that later frames overtake.
    late: u32,
}

const SUNNY: Weather = Weather { delay: Duration::from_millis(10), lost: 0, doubled: 0, late: 0 };

/// Says which frames are lost.
type Vanish = Box<dyn FnMut(&Sent) -> bool>;

/// Two links and the wire between them.
struct Pair {
    start: Instant,
    now: Instant,
    server: Link,
    client: Link,
    backend: Backend,
    weather: Weather,
    luck: Entropy,
    /// Frames under way: arrival, order, to the server?, bytes.
    wire: Vec<(Instant, u64, bool, Vec<u8>)>,
    order: u64,
    server_events: Vec<Event>,
    client_events: Vec<Event>,
    log: Vec<Sent>,
    /// Frames that shall vanish: each entry is asked once per frame.
    vanish: Option<Vanish>,
}

impl Pair {
    fn new(settings: Settings, habits: Habits, login: Login, backend: Backend) -> Self {
        Self::with_seed(settings, habits, login, backend, 1)
    }

    fn with_seed(settings: Settings, habits: Habits, login: Login, backend: Backend, seed: u64) -> Self {
        let mut entropy = Entropy::from_number(seed);
        let settings = Arc::new(settings);
        let now = epoch();
        Self {
            start: now,
            now,
            server: Link::new(Role::Server, settings.clone(), entropy.fork()),
            client: Link::new(client_role(habits, login), settings, entropy.fork()),
            backend,
            weather: SUNNY,
            luck: entropy,
            wire: Vec::new(),
            order: 0,
            server_events: Vec::new(),
            client_events: Vec::new(),
            log: Vec::new(),
            vanish: None,
        }
    }

    /// A plain Android with the right password.
    fn usual() -> Self {
        Self::new(
            Settings::default(),
            Habits::android(),
            login("alice", "alice-pw"),
            Backend::new("alice-pw"),
        )
    }

    /// Both sides start at once.
    fn start(&mut self) {
        self.server_does(|link, now, out| link.start(now, out));
        self.client_does(|link, now, out| link.start(now, out));
    }

    fn server_does(&mut self, f: impl FnOnce(&mut Link, Instant, &mut Output)) {
        let mut out = Output::default();
        f(&mut self.server, self.now, &mut out);
        let events = self.backend.serve(self.now, &mut self.server, &mut out);
        self.server_events.extend(events);
        self.post(true, out.frames);
    }

    fn client_does(&mut self, f: impl FnOnce(&mut Link, Instant, &mut Output)) {
        let mut out = Output::default();
        f(&mut self.client, self.now, &mut out);
        self.client_events.extend(out.events);
        self.post(false, out.frames);
    }

    fn chance(&mut self, of_100: u32) -> bool {
        of_100 > 0 && self.luck.u32() % 100 < of_100
    }

    fn post(&mut self, from_server: bool, frames: Vec<PacketBuf>) {
        for frame in frames {
            assert!(frame.starts_with(&[0xff, 0x03]));
            let sent = Sent { at: self.now - self.start, from_server, frame: frame.to_vec() };
            self.log.push(sent.clone());
            if self.vanish.as_mut().is_some_and(|vanish| vanish(&sent)) || self.chance(self.weather.lost) {
                continue;
            }
            let copies = if self.chance(self.weather.doubled) { 2 } else { 1 };
            for _ in 0..copies {
                let late = if self.chance(self.weather.late) { 1 + self.luck.u32() % 5 } else { 0 };
                self.order += 1;
                let arrival = self.now + self.weather.delay * (1 + late);
                self.wire.push((arrival, self.order, !from_server, sent.frame.clone()));
            }
        }
    }

    /// Lets time pass until nothing is due any more or `limit` is over.
    fn run(&mut self, limit: Duration) {
        let end = self.now + limit;
        loop {
            let arrival = self.wire.iter().map(|(at, ..)| *at).min();
            let due = [arrival, self.server.poll_timeout(), self.client.poll_timeout()];
            let Some(next) = due.into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            if arrival == Some(next) {
                let first = (0..self.wire.len()).min_by_key(|i| (self.wire[*i].0, self.wire[*i].1)).unwrap();
                let (_, _, to_server, frame) = self.wire.remove(first);
                self.deliver(to_server, &frame);
                continue;
            }
            if self.server.poll_timeout() == Some(next) {
                self.server_does(|link, now, out| link.handle_timeout(now, out));
            }
            if self.client.poll_timeout() == Some(next) {
                self.client_does(|link, now, out| link.handle_timeout(now, out));
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, to_server: bool, frame: &[u8]) {
        if to_server {
            self.server_does(|link, now, out| _ = link.handle_frame(now, frame, out));
        } else {
            self.client_does(|link, now, out| _ = link.handle_frame(now, frame, out));
        }
    }

    fn is_up(&self) -> bool {
        self.server.phase() == Phase::Open && self.client.phase() == Phase::Open
    }

    /// Starts, runs and expects both to be up.
    fn connect(mut self) -> Self {
        self.start();
        self.run(seconds(5));
        assert!(self.is_up(), "{:?} {:?}\n{:#?}", self.server, self.client, self.server_events);
        self
    }

    fn server_down(&self) -> Option<&Cause> {
        down(&self.server_events)
    }

    fn client_down(&self) -> Option<&Cause> {
        down(&self.client_events)
    }

    fn count(&self, from_server: bool, protocol: Protocol, code: u8) -> usize {
        self.log.iter().filter(|sent| sent.is(from_server, protocol, code)).count()
    }
}

fn down(events: &[Event]) -> Option<&Cause> {
    let causes: Vec<_> = events
        .iter()
        .filter_map(|event| if let Event::Down(cause) = event { Some(cause) } else { None })
        .collect();
    assert!(causes.len() <= 1, "more than one end: {causes:?}");
    assert!(
        causes.is_empty() || matches!(events.last(), Some(Event::Down(_))),
        "life after the end: {events:?}"
    );
    causes.first().copied()
}

/// A server link against bytes.
struct Script {
    now: Instant,
    link: Link,
    backend: Backend,
    out: Output,
    events: Vec<Event>,
}

impl Script {
    fn new(settings: Settings, backend: Backend) -> Self {
        let mut script = Self {
            now: epoch(),
            link: Link::new(Role::Server, Arc::new(settings), Entropy::from_number(7)),
            backend,
            out: Output::default(),
            events: Vec::new(),
        };
        script.link.start(script.now, &mut script.out);
        script
    }

    /// Sends a frame and returns what comes back.
    fn send(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        let _ = self.link.handle_frame(self.now, frame, &mut self.out);
        self.drain()
    }

    /// Sends a control packet and returns what comes back.
    fn send_control(&mut self, protocol: Protocol, code: u8, id: u8, data: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Output::default();
        out.send_control(protocol, Code(code), id, data);
        let frame = out.frames.remove(0);
        self.send(&frame)
    }

    fn drain(&mut self) -> Vec<Vec<u8>> {
        let events = self.backend.serve(self.now, &mut self.link, &mut self.out);
        self.events.extend(events);
        self.out.frames.drain(..).map(|frame| frame.to_vec()).collect()
    }

    /// Lets the time pass to the next timer.
    fn wait(&mut self) -> Vec<Vec<u8>> {
        self.now = self.link.poll_timeout().expect("a timer");
        self.link.handle_timeout(self.now, &mut self.out);
        self.drain()
    }

    /// Acknowledges whatever Configure-Request is among `frames`.
    fn ack_of(frames: &[Vec<u8>], protocol: Protocol) -> Vec<u8> {
        let request = frames
            .iter()
            .find(|frame| split_header(frame).unwrap().0 == protocol && frame[4] == 1)
            .expect("a Configure-Request");
        let mut ack = request.clone();
        ack[4] = 2;
        ack
    }

    /// Brings LCP up: an empty request from the client.
    fn open_lcp(&mut self) -> Vec<Vec<u8>> {
        let first = self.drain();
        self.send(&Self::ack_of(&first, Protocol::LCP));
        self.send_control(Protocol::LCP, 1, 1, &[])
    }

    /// Brings the whole link up by PAP.
    fn open_by_pap(backend: Backend) -> Self {
        let mut script = Self::new(Settings { auth: vec![AuthMethod::Pap], ..Settings::default() }, backend);
        script.open_lcp();
        let mut frames = script.send_control(Protocol::PAP, 1, 1, b"\x05alice\x08alice-pw");
        frames.extend(script.send_control(Protocol::IPCP, 1, 1, &[3, 6, 10, 60, 0, 10]));
        script.send(&Self::ack_of(&frames, Protocol::IPCP));
        assert_eq!(script.link.phase(), Phase::Open, "{:?}", script.events);
        script
    }
}
