//! The options of LCP (RFC 1661 section 6): what we ask, what we grant, and which authentication protocol both can do.

use super::Timer;
use super::auth::{AuthMethod, Offers};
use super::negotiator::{ControlProtocol, Verdict};
use crate::entropy::Entropy;
use crate::wire::ppp::Protocol;
use crate::wire::ppp_option::{AuthProtocol, LcpOption, raw_options};
use crate::wire::{self, Writer};

/// The MRU of whoever does not name one (section 6.1).
pub(super) const DEFAULT_MRU: u16 = 1500;
/// The smallest MRU that we work with: IPv4's minimum reassembly size.
pub(super) const MIN_MRU: u16 = 576;
/// Requests of our own that come back, after which the link is a loop.
const MAX_LOOPS: u8 = 3;

/// What LCP has settled: all that an open link must remember.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Agreed {
    pub(super) mru: u16,
    pub(super) our_mru: u16,
    pub(super) magic: u32,
    pub(super) our_magic: u32,
    pub(super) pfc: bool,
    pub(super) acfc: bool,
}

impl Default for Agreed {
    fn default() -> Self {
        Self { mru: DEFAULT_MRU, our_mru: DEFAULT_MRU, magic: 0, our_magic: 0, pfc: false, acfc: false }
    }
}

/// How we answer a peer that wants us to authenticate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Submission {
    /// Not at all: we are the server.
    Never,
    /// With one of these; otherwise Nak with the value, or Reject if there is none.
    Among(Vec<AuthProtocol>, Option<AuthProtocol>),
}

/// LCP's options during a negotiation.
#[derive(Debug)]
pub(super) struct Lcp {
    /// The options of our next request, but for authentication, in order.
    wishes: Vec<LcpOption>,
    /// The authentication protocols that we may still offer.
    pub(super) offers: Offers,
    submission: Submission,
    /// The peer's options as of its last acceptable request.
    peer: Agreed,
    /// The protocol by which the peer wants us to authenticate.
    pub(super) asked_of_us: Option<AuthProtocol>,
    loops: u8,
    /// For magic numbers.
    entropy: Entropy,
}

impl Lcp {
    /// The server's: its MRU, a magic number, and the authentication protocols in order of preference.
    pub(super) fn server(mru: u16, auth: &[AuthMethod], mut entropy: Entropy) -> Self {
        let magic = magic_number(&mut entropy);
        let mut wishes = vec![LcpOption::Magic(magic)];
        if mru != DEFAULT_MRU {
            wishes.insert(0, LcpOption::Mru(mru));
        }
        Self::new(wishes, Offers::new(auth), Submission::Never, entropy)
    }

    /// A client's: options as its habits have them, a magic number filled in.
    pub(super) fn client(options: &[LcpOption], submission: Submission, mut entropy: Entropy) -> Self {
        let magic = magic_number(&mut entropy);
        let fill = |option: &LcpOption| match option {
            LcpOption::Magic(_) => LcpOption::Magic(magic),
            other => other.clone(),
        };
        Self::new(options.iter().map(fill).collect(), Offers::none(), submission, entropy)
    }

    const fn new(wishes: Vec<LcpOption>, offers: Offers, submission: Submission, entropy: Entropy) -> Self {
        let peer = Agreed {
            mru: DEFAULT_MRU,
            our_mru: DEFAULT_MRU,
            magic: 0,
            our_magic: 0,
            pfc: false,
            acfc: false,
        };
        Self { wishes, offers, submission, peer, asked_of_us: None, loops: 0, entropy }
    }

    /// Whether our own requests come back to us.
    pub(super) const fn is_looped(&self) -> bool {
        self.loops >= MAX_LOOPS
    }

    /// What both sides have acknowledged.
    pub(super) fn agreed(&self) -> Agreed {
        let mut agreed = Agreed { our_mru: DEFAULT_MRU, our_magic: 0, ..self.peer };
        for wish in &self.wishes {
            match wish {
                LcpOption::Mru(mru) => agreed.our_mru = *mru,
                LcpOption::Magic(magic) => agreed.our_magic = *magic,
                _ => {}
            }
        }
        agreed
    }

    fn our_magic(&self) -> Option<u32> {
        self.wishes
            .iter()
            .find_map(|wish| if let LcpOption::Magic(magic) = wish { Some(*magic) } else { None })
    }
}

impl ControlProtocol for Lcp {
    const PROTOCOL: Protocol = Protocol::LCP;
    const TIMER: Timer = Timer::Lcp;

    fn request(&self, w: &mut Writer) {
        // Authentication stands where everybody puts it: after the MRU, before the magic number.
        let at = self
            .wishes
            .iter()
            .position(|wish| matches!(wish, LcpOption::Magic(_)))
            .unwrap_or(self.wishes.len());
        self.wishes[..at].iter().for_each(|wish| wish.emit(w));
        if let Some(method) = self.offers.current() {
            LcpOption::Auth(method.protocol()).emit(w);
        }
        self.wishes[at..].iter().for_each(|wish| wish.emit(w));
    }

    fn judge(&mut self, options: &[u8]) -> Result<Verdict, wire::Error> {
        let (mut nak, mut reject) = (Writer::new(), Writer::new());
        let mut peer = Agreed::default();
        let mut asked_of_us = None;
        for raw in raw_options(options) {
            let raw = raw?;
            match LcpOption::from_raw(raw) {
                LcpOption::Mru(mru) if mru < MIN_MRU => LcpOption::Mru(MIN_MRU).emit(&mut nak),
                LcpOption::Mru(mru) => peer.mru = mru,
                LcpOption::Magic(magic) if magic != 0 && Some(magic) == self.our_magic() => {
                    // Section 6.4: equal numbers mean a loop, or a coincidence that another number resolves.
                    self.loops += 1;
                    LcpOption::Magic(magic_number(&mut self.entropy)).emit(&mut nak);
                }
                LcpOption::Magic(0) => LcpOption::Magic(magic_number(&mut self.entropy)).emit(&mut nak),
                LcpOption::Magic(magic) => peer.magic = magic,
                LcpOption::Pfc => peer.pfc = true,
                LcpOption::Acfc => peer.acfc = true,
                // Neither means anything here; Windows and pppd multilink like the second acknowledged.
                LcpOption::Accm(_) | LcpOption::Endpoint(_) => {}
                LcpOption::Auth(auth) => match &self.submission {
                    Submission::Among(accepted, _) if accepted.contains(&auth) => asked_of_us = Some(auth),
                    Submission::Among(_, Some(instead)) => LcpOption::Auth(instead.clone()).emit(&mut nak),
                    Submission::Among(_, None) | Submission::Never => raw.emit(&mut reject),
                },
                // Callback (Windows), Multilink-MRRU, quality reports, FCS alternatives …
                LcpOption::Callback(_) | LcpOption::Mrru(_) | LcpOption::Other(..) => raw.emit(&mut reject),
            }
        }
        Ok(if !reject.is_empty() {
            Verdict::Reject(reject.finish())
        } else if !nak.is_empty() {
            Verdict::Nak(nak.finish())
        } else {
            self.loops = 0;
            self.peer = peer;
            self.asked_of_us = asked_of_us;
            Verdict::Ack
        })
    }

    fn is_hopeless(&self) -> bool {
        self.offers.are_exhausted()
    }

    fn naked(&mut self, options: &[u8]) -> Result<(), wire::Error> {
        for raw in raw_options(options) {
            match LcpOption::from_raw(raw?) {
                LcpOption::Mru(wanted) => {
                    // Smaller is fine; larger than what fits the path would only be fragmented.
                    if let Some(LcpOption::Mru(mru)) = self.wish_mut(|w| matches!(w, LcpOption::Mru(_))) {
                        *mru = wanted.clamp(MIN_MRU.min(*mru), *mru);
                    }
                }
                LcpOption::Magic(_) => {
                    let fresh = magic_number(&mut self.entropy);
                    if let Some(LcpOption::Magic(magic)) = self.wish_mut(|w| matches!(w, LcpOption::Magic(_)))
                    {
                        *magic = fresh;
                    }
                }
                LcpOption::Auth(wanted) => self.offers.refused(Some(wanted)),
                _ => {}
            }
        }
        Ok(())
    }

    fn rejected(&mut self, options: &[u8]) -> Result<(), wire::Error> {
        for raw in raw_options(options) {
            let raw = raw?;
            if matches!(LcpOption::from_raw(raw), LcpOption::Auth(_)) {
                // Not every client knows that a refused value deserves a Nak: try the next one.
                self.offers.refused(None);
            }
            self.wishes.retain(|wish| {
                let mut w = Writer::new();
                wish.emit(&mut w);
                w.as_slice()[0] != raw.kind
            });
        }
        Ok(())
    }
}

impl Lcp {
    fn wish_mut(&mut self, which: impl Fn(&LcpOption) -> bool) -> Option<&mut LcpOption> {
        self.wishes.iter_mut().find(|wish| which(wish))
    }
}

/// A magic number other than zero, which means "none".
fn magic_number(entropy: &mut Entropy) -> u32 {
    entropy.u32().max(1)
}
