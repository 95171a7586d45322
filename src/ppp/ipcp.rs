//! The options of IPCP (RFC 1332 section 3, RFC 1877): who has which address, and which name servers there are.

use super::Timer;
use super::event::AddressGrant;
use super::negotiator::{ControlProtocol, Verdict};
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::{IpcpOption, RawOption, raw_options};
use crate::wire::{self, Writer};
use std::net::Ipv4Addr;

/// Naks of an address that we do not change, after which we name none.
const MAX_STUBBORN: u8 = 3;
/// Requests without an address that are answered with a hint, before one is accepted.
const MAX_HINTS: u8 = 2;

/// IPCP's options during a negotiation.
#[derive(Debug)]
pub(super) struct Ipcp {
    /// The options of our next request.
    wishes: Vec<IpcpOption>,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Server {
        grant: Option<AddressGrant>,
        stubborn: u8,
        hints: u8,
        named: bool,
    },
    /// `own`: the address that it keeps whatever the server says.
    Client {
        peer: Ipv4Addr,
        own: Option<Ipv4Addr>,
    },
}

impl Ipcp {
    /// The server's: names its own address, gives the client what `grant` says as soon as there is one.
    pub(super) fn server(gateway: Option<Ipv4Addr>, grant: Option<AddressGrant>) -> Self {
        let gateway = grant.map(|grant| grant.gateway).or(gateway);
        let wishes = gateway.map(IpcpOption::Address).into_iter().collect();
        Self { wishes, side: Side::Server { grant, stubborn: 0, hints: 0, named: true } }
    }

    /// A client's: options as its habits have them. A stubborn one keeps to the address that they name.
    pub(super) fn client(options: &[IpcpOption], stubborn: bool) -> Self {
        let address = |option: &IpcpOption| {
            if let IpcpOption::Address(address) = option { Some(*address) } else { None }
        };
        let own = options.iter().find_map(address).filter(|_| stubborn);
        Self { wishes: options.to_vec(), side: Side::Client { peer: Ipv4Addr::UNSPECIFIED, own } }
    }

    /// Server role: whether the client has named the address that it was given.
    pub(super) const fn address_taken(&self) -> bool {
        matches!(self.side, Side::Server { named: true, .. })
    }

    /// The address and the name servers that both sides have acknowledged: ours, the peer's, DNS.
    pub(super) fn client_result(&self) -> (Ipv4Addr, Ipv4Addr, [Option<Ipv4Addr>; 2]) {
        let (mut own, mut dns) = (Ipv4Addr::UNSPECIFIED, [None; 2]);
        for wish in &self.wishes {
            match wish {
                IpcpOption::Address(address) => own = *address,
                IpcpOption::Dns1(address) => dns[0] = Some(*address),
                IpcpOption::Dns2(address) => dns[1] = Some(*address),
                _ => {}
            }
        }
        match self.side {
            Side::Client { peer, own: kept } => (kept.unwrap_or(own), peer, dns),
            Side::Server { .. } => (Ipv4Addr::UNSPECIFIED, own, dns),
        }
    }

    /// The address that a Configure-Request asks for; `None` if it leaves the choice to us.
    pub(super) fn asked(options: &[u8]) -> Option<Ipv4Addr> {
        let address = |raw| {
            if let IpcpOption::Address(address) = IpcpOption::from_raw(raw) { Some(address) } else { None }
        };
        raw_options(options)
            .map_while(Result::ok)
            .find_map(address)
            .filter(|address| !address.is_unspecified())
    }
}

impl ControlProtocol for Ipcp {
    const PROTOCOL: Protocol = Protocol::IPCP;
    const TIMER: Timer = Timer::Ipcp;

    fn request(&self, w: &mut Writer) {
        self.wishes.iter().for_each(|wish| wish.emit(w));
    }

    fn judge(&mut self, options: &[u8]) -> Result<Verdict, wire::Error> {
        match &mut self.side {
            Side::Server { grant: Some(grant), hints, named, .. } => {
                *named = Self::asked(options).is_some();
                judge_client(options, grant, hints)
            }
            Side::Server { grant: None, .. } => {
                raw_options(options).try_for_each(|option| option.map(|_| ()))?;
                Ok(Verdict::Wait)
            }
            Side::Client { peer, .. } => judge_server(options, peer),
        }
    }

    fn naked(&mut self, options: &[u8]) -> Result<(), wire::Error> {
        for raw in raw_options(options) {
            let wanted = IpcpOption::from_raw(raw?);
            match &mut self.side {
                // pppd with an address of its own, and without `ipcp-accept-local`.
                Side::Client { own: Some(_), .. } if matches!(wanted, IpcpOption::Address(_)) => {}
                Side::Client { .. } => {
                    let same_kind = |wish: &&mut IpcpOption| kind(wish) == kind(&wanted);
                    match self.wishes.iter_mut().find(same_kind) {
                        Some(wish) => *wish = wanted,
                        // A hint: the server would like to see an address from us.
                        None if matches!(wanted, IpcpOption::Address(_)) => self.wishes.push(wanted),
                        None => {}
                    }
                }
                // Our own address is what it is.
                Side::Server { stubborn, .. } => {
                    *stubborn += 1;
                    if *stubborn >= MAX_STUBBORN {
                        self.wishes.clear();
                    }
                }
            }
        }
        Ok(())
    }

    fn rejected(&mut self, options: &[u8]) -> Result<(), wire::Error> {
        for raw in raw_options(options) {
            let raw = raw?;
            self.wishes.retain(|wish| kind(wish) != raw.kind);
        }
        Ok(())
    }
}

/// A server's view of a client's request: its address is the granted one, name servers are those that exist.
fn judge_client(options: &[u8], grant: &AddressGrant, hints: &mut u8) -> Result<Verdict, wire::Error> {
    let (mut nak, mut reject) = (Writer::new(), Writer::new());
    let mut named = false;
    let settle = |raw: RawOption<'_>,
                  asked,
                  ours: Option<Ipv4Addr>,
                  wrap: fn(Ipv4Addr) -> IpcpOption,
                  nak: &mut Writer,
                  reject: &mut Writer| match ours {
        Some(ours) if ours == asked => {}
        Some(ours) => wrap(ours).emit(nak),
        None => raw.emit(reject),
    };
    for raw in raw_options(options) {
        let raw = raw?;
        let (nak, reject) = (&mut nak, &mut reject);
        match IpcpOption::from_raw(raw) {
            IpcpOption::Address(asked) => {
                named = true;
                settle(raw, asked, Some(grant.address), IpcpOption::Address, nak, reject);
            }
            IpcpOption::Dns1(asked) => settle(raw, asked, grant.dns[0], IpcpOption::Dns1, nak, reject),
            IpcpOption::Dns2(asked) => settle(raw, asked, grant.dns[1], IpcpOption::Dns2, nak, reject),
            IpcpOption::Wins1(asked) => settle(raw, asked, grant.wins[0], IpcpOption::Wins1, nak, reject),
            IpcpOption::Wins2(asked) => settle(raw, asked, grant.wins[1], IpcpOption::Wins2, nak, reject),
            // Van Jacobson compression is for modems.
            IpcpOption::Compression(_) | IpcpOption::Other(..) => raw.emit(reject),
        }
    }
    if !reject.is_empty() {
        return Ok(Verdict::Reject(reject.finish()));
    }
    if !named && *hints < MAX_HINTS {
        // RFC 1332 section 3.3: whoever does not name an address may be told one by appending the option to a Nak.
        *hints += 1;
        IpcpOption::Address(grant.address).emit(&mut nak);
    }
    Ok(if nak.is_empty() { Verdict::Ack } else { Verdict::Nak(nak.finish()) })
}

/// A client's view of the server's request: any address will do.
fn judge_server(options: &[u8], peer: &mut Ipv4Addr) -> Result<Verdict, wire::Error> {
    let mut reject = Writer::new();
    let mut address = Ipv4Addr::UNSPECIFIED;
    for raw in raw_options(options) {
        let raw = raw?;
        match IpcpOption::from_raw(raw) {
            IpcpOption::Address(named) if !named.is_unspecified() => address = named,
            _ => raw.emit(&mut reject),
        }
    }
    if reject.is_empty() {
        *peer = address;
        Ok(Verdict::Ack)
    } else {
        Ok(Verdict::Reject(reject.finish()))
    }
}

fn kind(option: &IpcpOption) -> u8 {
    let mut w = Writer::new();
    option.emit(&mut w);
    w.as_slice()[0]
}
