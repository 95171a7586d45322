//! A PPP link in either role: frames as they are, a client that goes on where it should, verdicts, addresses, time.

use super::steps::{number, origin, steps};
use sekisho::crypto::Secret;
use sekisho::entropy::Entropy;
use sekisho::identity::account::{Account, Credential, verify};
use sekisho::packet::PacketBuf;
use sekisho::ppp::{
    AddressGrant, AuthError, AuthMethod, AuthRequest, AuthVerdict, Cause, Class, Event, Habits, Link, Login,
    Output, Phase, Role, Settings,
};
use sekisho::wire::ppp::{Protocol, split_header};
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a step can be. The numbers are those of the corpus: new ones go to the end.
pub(crate) mod op {
    /// A frame for the link, as it is.
    pub(crate) const RAW: u8 = 0;
    /// Frames flow between the link and its true peer: at most so many.
    pub(crate) const FLOW: u8 = 1;
    /// The next frame of the true peer is changed: pairs of a position and what it is xored with.
    pub(crate) const CHANGED: u8 = 2;
    /// The next frame of the link, or of its peer, is lost.
    pub(crate) const LOST: u8 = 3;
    /// Time goes by: tenths of seconds.
    pub(crate) const TIME: u8 = 4;
    /// A verdict that nobody may have asked for.
    pub(crate) const VERDICT: u8 = 5;
    /// An address that nobody may have asked for.
    pub(crate) const ADDRESS: u8 = 6;
    /// The owner closes the link.
    pub(crate) const CLOSE: u8 = 7;
    /// The owner asks for a sign of life.
    pub(crate) const ECHO: u8 = 8;
    /// An IP packet goes out.
    pub(crate) const PUT: u8 = 9;
}

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 60, 0, 1);
const GRANT: AddressGrant = AddressGrant {
    address: Ipv4Addr::new(10, 60, 0, 10),
    gateway: GATEWAY,
    dns: [Some(Ipv4Addr::new(10, 60, 0, 53)), None],
    wins: [None; 2],
};

struct World {
    now: Instant,
    /// The link that is fuzzed, and its true peer.
    links: [Link; 2],
    /// Frames on the way to each of them.
    queues: [VecDeque<Vec<u8>>; 2],
    answers: bool,
    down: usize,
}

/// The first byte chooses the role, the kind of client and the protocols; then a sequence of steps.
pub(super) fn link(bytes: &[u8]) {
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let methods = [
        AuthMethod::MsChapV2,
        AuthMethod::ChapMd5,
        AuthMethod::Pap,
        AuthMethod::EapMsChapV2,
        AuthMethod::EapMd5,
    ];
    let settings = Arc::new(Settings {
        auth: methods.into_iter().cycle().skip(usize::from(choice >> 4) % 5).take(3).collect(),
        compress: choice & 8 != 0,
        ..Settings::default()
    });
    let habits = match choice & 3 {
        0 => Habits::android(),
        1 => Habits::windows(),
        2 => Habits::macos_split(),
        _ => Habits::pppd().with_auth(&methods),
    };
    let login = Login { name: b"alice".to_vec(), password: Secret::from("alice-pw") };
    let server = Link::new(Role::Server, settings.clone(), Entropy::from_number(1));
    let client = Link::new(Role::Client(Box::new((login, habits))), settings, Entropy::from_number(2));
    let links = if choice & 4 == 0 { [server, client] } else { [client, server] };
    let mut world =
        World { now: origin(), links, queues: Default::default(), answers: choice & 0x80 == 0, down: 0 };
    for one in [0, 1] {
        world.with(one, |link, now, out| link.start(now, out));
    }
    for (op, argument) in steps(bytes) {
        world.step(op, argument);
    }
    world.forget();
}

impl World {
    fn with<R>(&mut self, one: usize, call: impl FnOnce(&mut Link, Instant, &mut Output) -> R) -> R {
        let mut out = Output::default();
        let result = call(&mut self.links[one], self.now, &mut out);
        self.carry_out(one, out);
        result
    }

    fn step(&mut self, op: u8, argument: &[u8]) {
        match op % 10 {
            op::RAW => self.receive(0, argument),
            op::FLOW => self.flow(number(argument).min(64)),
            op::CHANGED => {
                if let Some(mut frame) = self.queues[0].pop_front() {
                    for change in argument.chunks_exact(2) {
                        if let Some(byte) = frame.get_mut(usize::from(change[0])) {
                            *byte ^= change[1];
                        }
                    }
                    self.receive(0, &frame);
                }
            }
            op::LOST => {
                let _ = self.queues[usize::from(!argument.is_empty())].pop_front();
            }
            op::TIME => self.pass(Duration::from_millis(100 * number(argument) as u64)),
            op::VERDICT => {
                let verdict = match argument.first() {
                    None => AuthVerdict::Refuse { error: AuthError::AuthenticationFailure },
                    Some(n) => AuthVerdict::Admit {
                        success: (n & 1 == 0).then(|| String::from_utf8_lossy(&argument[1..]).into_owned()),
                        gateway: (n & 2 == 0).then_some(GATEWAY),
                    },
                };
                self.with(0, |link, now, out| link.handle_verdict(now, &verdict, out));
            }
            op::ADDRESS => {
                let address = Ipv4Addr::from(*argument.first_chunk::<4>().unwrap_or(&[10, 60, 0, 9]));
                self.with(0, |link, now, out| {
                    link.handle_address(now, AddressGrant { address, ..GRANT }, out)
                });
            }
            op::CLOSE => {
                let causes =
                    [Cause::CarrierLost, Cause::NoAddress, Cause::Administrative("closed by the test")];
                let cause = causes[number(argument) % causes.len()].clone();
                self.with(0, |link, now, out| link.close(now, cause, out));
            }
            op::ECHO => self.with(0, Link::start_echo),
            _ => {
                let mut packet = PacketBuf::from_slice(argument);
                let open = self.links[0].phase() == Phase::Open;
                if self.links[0].put_data(&mut packet).is_ok() {
                    assert!(open, "data before the link is open");
                    let (protocol, header) = split_header(&packet).expect("our own frame");
                    assert_eq!((protocol, &packet[header..]), (Protocol::IPV4, argument));
                }
            }
        }
    }

    /// A frame reaches a link.
    fn receive(&mut self, one: usize, frame: &[u8]) {
        let mut buf = PacketBuf::from_slice(frame);
        let open = self.links[one].phase() == Phase::Open;
        match self.links[one].strip_data(&mut buf) {
            Ok(Class::Ipv4) => {
                assert!(open && frame.ends_with(&buf), "data before the link is open");
                return;
            }
            Ok(Class::Control) => assert_eq!(&*buf, frame, "a control frame is untouched"),
            Err(_) => {}
        }
        let _ = self.with(one, |link, now, out| link.handle_frame(now, frame, out));
        assert_eq!(self.links[one].params().is_some(), self.links[one].phase() == Phase::Open);
    }

    fn flow(&mut self, frames: usize) {
        for _ in 0..frames {
            let Some(one) = [0, 1].into_iter().find(|one| !self.queues[*one].is_empty()) else { return };
            if let Some(frame) = self.queues[one].pop_front() {
                self.receive(one, &frame);
            }
        }
    }

    fn carry_out(&mut self, one: usize, out: Output) {
        assert!(out.frames.len() <= 16, "one frame gets few in return");
        for frame in out.frames {
            assert!(split_header(&frame).is_ok());
            assert!(frame.len() <= 1504, "a frame of {} bytes", frame.len());
            if self.queues[1 - one].len() < 64 {
                self.queues[1 - one].push_back(frame.to_vec());
            }
        }
        for event in out.events {
            match event {
                Event::AuthRequired(request) if self.answers => {
                    let verdict = judge(&request);
                    self.with(one, |link, now, out| link.handle_verdict(now, &verdict, out));
                }
                Event::AddressWanted { .. } if self.answers => {
                    self.with(one, |link, now, out| link.handle_address(now, GRANT, out));
                }
                Event::Up(params) => {
                    assert!(!params.address.is_unspecified() || one == 0, "{params:?}");
                    assert!(params.mru >= 64, "an MRU of {}", params.mru);
                }
                Event::Down(cause) => {
                    self.down += usize::from(one == 0);
                    assert!(!cause.to_string().is_empty());
                    assert_eq!(self.links[one].phase(), Phase::Dead);
                }
                other => assert!(!format!("{other:?}").is_empty()),
            }
        }
        assert!(self.down <= 1, "a link goes down once");
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut fired = 0;
        let next = |world: &Self| world.links.iter().filter_map(Link::poll_timeout).min();
        while let Some(at) = next(self).filter(|at| *at <= end) {
            self.now = self.now.max(at);
            for one in [0, 1] {
                self.with(one, Link::handle_timeout);
            }
            assert!(next(self).is_none_or(|next| next > self.now), "a timer fires and does not advance");
            fired += 1;
            assert!(fired < 20_000, "timers without end");
        }
        self.now = end;
    }

    /// A link whose peer is silent while it is set up ends by itself, or is open and idle.
    fn forget(&mut self) {
        self.queues = Default::default();
        self.pass(Duration::from_secs(3600));
        let phase = self.links[0].phase();
        assert!(matches!(phase, Phase::Dead | Phase::Open), "the link hangs in {phase:?}");
        assert!(phase == Phase::Open || self.down == 1, "a link that ends says so");
        assert!(self.links[0].poll_timeout().is_none());
    }
}

fn judge(request: &AuthRequest) -> AuthVerdict {
    let credential = Credential::Password(Secret::from("alice-pw"));
    let account = Account { user: "alice", hub: "HUB1", credential: &credential };
    let known = request.name == b"alice";
    match AuthVerdict::from(
        verify(known.then_some(account), &request.proof).as_ref().map_err(|rejected| *rejected),
    ) {
        AuthVerdict::Admit { success, .. } => AuthVerdict::Admit { success, gateway: Some(GATEWAY) },
        refusal => refusal,
    }
}
