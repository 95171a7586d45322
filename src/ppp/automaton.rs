//! The option negotiation automaton of RFC 1661 section 4.1, as a pure function: [`step`]`(state, event)` says the next
//! state and the actions. It knows no packet, no timer and no option; `negotiator` drives it.
//!
//! Of the RFC's options, \[p\] (passive) and \[r\] (restart) are not taken: Open in Stopped, Stopping or Opened changes
//! nothing.

use std::fmt;

/// A state (section 4.2). The numbers are the RFC's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
#[repr(u8)]
pub enum State {
    /// The lower layer is down, no Open.
    #[default]
    Initial,
    /// The lower layer is down, we want it up.
    Starting,
    /// The lower layer is up, no Open.
    Closed,
    /// Open, but nothing is sent: the negotiation failed or was terminated by the peer.
    Stopped,
    /// A Terminate-Request was sent, for Closed.
    Closing,
    /// A Terminate-Request was sent, for Stopped.
    Stopping,
    /// A Configure-Request was sent; neither side has acknowledged.
    ReqSent,
    /// Our request was acknowledged, we have not acknowledged.
    AckRcvd,
    /// We have acknowledged, our request was not.
    AckSent,
    /// Both have acknowledged.
    Opened,
}

impl State {
    /// All states in the RFC's order.
    pub const ALL: [Self; 10] = [
        Self::Initial,
        Self::Starting,
        Self::Closed,
        Self::Stopped,
        Self::Closing,
        Self::Stopping,
        Self::ReqSent,
        Self::AckRcvd,
        Self::AckSent,
        Self::Opened,
    ];

    /// Whether the restart timer runs (section 4.2: "the Restart timer is running" in Closing to Ack-Sent).
    #[must_use]
    pub const fn awaits(self) -> bool {
        matches!(self, Self::Closing | Self::Stopping | Self::ReqSent | Self::AckRcvd | Self::AckSent)
    }
}

/// An event (section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Event {
    /// The lower layer is up.
    Up,
    /// The lower layer is down.
    Down,
    /// This layer shall be opened.
    Open,
    /// This layer shall be closed.
    Close,
    /// TO+: time-out with restarts left.
    Timeout,
    /// TO-: time-out with none left.
    Expired,
    /// RCR+: Configure-Request, acceptable.
    GoodRequest,
    /// RCR-: Configure-Request, not acceptable.
    BadRequest,
    /// RCA: Configure-Ack.
    Ack,
    /// RCN: Configure-Nak or -Reject.
    Nak,
    /// RTR: Terminate-Request.
    TerminateRequest,
    /// RTA: Terminate-Ack.
    TerminateAck,
    /// RUC: unknown code.
    UnknownCode,
    /// RXJ+: Code-Reject or Protocol-Reject that can be lived with.
    HarmlessReject,
    /// RXJ-: one that cannot.
    FatalReject,
    /// RXR: Echo-Request, Echo-Reply, Discard-Request.
    Echo,
}

impl Event {
    /// All events in the RFC's order.
    pub const ALL: [Self; 16] = [
        Self::Up,
        Self::Down,
        Self::Open,
        Self::Close,
        Self::Timeout,
        Self::Expired,
        Self::GoodRequest,
        Self::BadRequest,
        Self::Ack,
        Self::Nak,
        Self::TerminateRequest,
        Self::TerminateAck,
        Self::UnknownCode,
        Self::HarmlessReject,
        Self::FatalReject,
        Self::Echo,
    ];

    /// The RFC's abbreviation.
    #[must_use]
    pub const fn abbreviation(self) -> &'static str {
        match self {
            Self::Up => "Up",
            Self::Down => "Down",
            Self::Open => "Open",
            Self::Close => "Close",
            Self::Timeout => "TO+",
            Self::Expired => "TO-",
            Self::GoodRequest => "RCR+",
            Self::BadRequest => "RCR-",
            Self::Ack => "RCA",
            Self::Nak => "RCN",
            Self::TerminateRequest => "RTR",
            Self::TerminateAck => "RTA",
            Self::UnknownCode => "RUC",
            Self::HarmlessReject => "RXJ+",
            Self::FatalReject => "RXJ-",
            Self::Echo => "RXR",
        }
    }
}

/// A set of actions (section 4.4). They are carried out in the order of the constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actions(u16);

impl Actions {
    /// This-Layer-Up.
    pub const TLU: Self = Self(1 << 0);
    /// This-Layer-Down.
    pub const TLD: Self = Self(1 << 1);
    /// This-Layer-Started.
    pub const TLS: Self = Self(1 << 2);
    /// This-Layer-Finished.
    pub const TLF: Self = Self(1 << 3);
    /// Initialize-Restart-Count.
    pub const IRC: Self = Self(1 << 4);
    /// Zero-Restart-Count.
    pub const ZRC: Self = Self(1 << 5);
    /// Send-Configure-Request.
    pub const SCR: Self = Self(1 << 6);
    /// Send-Configure-Ack.
    pub const SCA: Self = Self(1 << 7);
    /// Send-Configure-Nak or -Reject.
    pub const SCN: Self = Self(1 << 8);
    /// Send-Terminate-Request.
    pub const STR: Self = Self(1 << 9);
    /// Send-Terminate-Ack.
    pub const STA: Self = Self(1 << 10);
    /// Send-Code-Reject.
    pub const SCJ: Self = Self(1 << 11);
    /// Send-Echo-Reply.
    pub const SER: Self = Self(1 << 12);

    /// No action.
    pub const NONE: Self = Self(0);

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `other` is part of this set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this set has any of `others`.
    #[must_use]
    pub const fn any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

impl fmt::Display for Actions {
    /// As in the RFC's table: `tld,irc,str`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(Actions, &str); 13] = [
            (Actions::TLD, "tld"),
            (Actions::IRC, "irc"),
            (Actions::ZRC, "zrc"),
            (Actions::SCR, "scr"),
            (Actions::SCA, "sca"),
            (Actions::SCN, "scn"),
            (Actions::STR, "str"),
            (Actions::STA, "sta"),
            (Actions::SCJ, "scj"),
            (Actions::SER, "ser"),
            (Actions::TLU, "tlu"),
            (Actions::TLS, "tls"),
            (Actions::TLF, "tlf"),
        ];
        let mut separator = "";
        for (_, name) in NAMES.iter().filter(|(action, _)| self.has(*action)) {
            write!(f, "{separator}{name}")?;
            separator = ",";
        }
        Ok(())
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One cell of the table: the next state and what to do. An event that cannot happen in a state ("-" in the RFC) is
/// `None`; the driver ignores it.
#[must_use]
pub const fn step(state: State, event: Event) -> Option<(State, Actions)> {
    use Actions as A;
    use Event as E;
    use State::{AckRcvd, AckSent, Closed, Closing, Initial, Opened, ReqSent, Starting, Stopped, Stopping};
    const IRC_SCR: Actions = A::IRC.and(A::SCR);
    const IRC_STR: Actions = A::IRC.and(A::STR);
    const TLD_SCR: Actions = A::TLD.and(A::SCR);

    let (next, actions) = match (event, state) {
        (E::Up, Initial) => (Closed, A::NONE),
        (E::Up, Starting) => (ReqSent, IRC_SCR),
        (E::Up, _) => return None,

        (E::Down, Initial | Starting) => return None,
        (E::Down, Closed | Closing) => (Initial, A::NONE),
        (E::Down, Stopped) => (Starting, A::TLS),
        (E::Down, Stopping | ReqSent | AckRcvd | AckSent) => (Starting, A::NONE),
        (E::Down, Opened) => (Starting, A::TLD),

        (E::Open, Initial) => (Starting, A::TLS),
        (E::Open, Closed) => (ReqSent, IRC_SCR),
        (E::Open, Closing) => (Stopping, A::NONE),
        (E::Open, Starting | Stopped | Stopping | ReqSent | AckRcvd | AckSent | Opened) => (state, A::NONE),

        (E::Close, Starting) => (Initial, A::TLF),
        (E::Close, Stopped) => (Closed, A::NONE),
        (E::Close, Stopping) => (Closing, A::NONE),
        (E::Close, ReqSent | AckRcvd | AckSent) => (Closing, IRC_STR),
        (E::Close, Opened) => (Closing, A::TLD.and(IRC_STR)),
        (E::Close, Initial | Closed | Closing) => (state, A::NONE),

        // From here on the lower layer is up.
        (_, Initial | Starting) => return None,

        (E::Timeout, Closing | Stopping) => (state, A::STR),
        (E::Timeout, ReqSent | AckRcvd) => (ReqSent, A::SCR),
        (E::Timeout, AckSent) => (AckSent, A::SCR),
        (E::Expired, Closing) => (Closed, A::TLF),
        (E::Expired, Stopping | ReqSent | AckRcvd | AckSent) => (Stopped, A::TLF),
        (E::Timeout | E::Expired, Closed | Stopped | Opened) => return None,

        (E::GoodRequest | E::BadRequest | E::Ack | E::Nak, Closed) => (Closed, A::STA),
        (E::GoodRequest, Stopped) => (AckSent, IRC_SCR.and(A::SCA)),
        (E::BadRequest, Stopped) => (ReqSent, IRC_SCR.and(A::SCN)),
        (E::Ack | E::Nak, Stopped) => (Stopped, A::STA),
        (E::GoodRequest | E::BadRequest | E::Ack | E::Nak, Closing | Stopping) => (state, A::NONE),
        (E::GoodRequest, ReqSent | AckSent) => (AckSent, A::SCA),
        (E::GoodRequest, AckRcvd) => (Opened, A::SCA.and(A::TLU)),
        (E::GoodRequest, Opened) => (AckSent, TLD_SCR.and(A::SCA)),
        (E::BadRequest, ReqSent | AckSent) => (ReqSent, A::SCN),
        (E::BadRequest, AckRcvd) => (AckRcvd, A::SCN),
        (E::BadRequest, Opened) => (ReqSent, TLD_SCR.and(A::SCN)),
        (E::Ack, ReqSent) => (AckRcvd, A::IRC),
        (E::Ack, AckSent) => (Opened, A::IRC.and(A::TLU)),
        (E::Nak, ReqSent) => (ReqSent, IRC_SCR),
        (E::Nak, AckSent) => (AckSent, IRC_SCR),
        (E::Ack | E::Nak, AckRcvd) => (ReqSent, A::SCR),
        (E::Ack | E::Nak, Opened) => (ReqSent, TLD_SCR),

        (E::TerminateRequest, Closed | Stopped | Closing | Stopping) => (state, A::STA),
        (E::TerminateRequest, ReqSent | AckRcvd | AckSent) => (ReqSent, A::STA),
        (E::TerminateRequest, Opened) => (Stopping, A::TLD.and(A::ZRC).and(A::STA)),
        (E::TerminateAck, Closing) => (Closed, A::TLF),
        (E::TerminateAck, Stopping) => (Stopped, A::TLF),
        (E::TerminateAck, ReqSent | AckRcvd) => (ReqSent, A::NONE),
        (E::TerminateAck, Opened) => (ReqSent, TLD_SCR),
        (E::TerminateAck, Closed | Stopped | AckSent) => (state, A::NONE),

        (E::UnknownCode, _) => (state, A::SCJ),
        (E::HarmlessReject, AckRcvd) => (ReqSent, A::NONE),
        (E::HarmlessReject, _) => (state, A::NONE),
        (E::FatalReject, Closed | Closing) => (Closed, A::TLF),
        (E::FatalReject, Stopped | Stopping | ReqSent | AckRcvd | AckSent) => (Stopped, A::TLF),
        (E::FatalReject, Opened) => (Stopping, A::TLD.and(IRC_STR)),

        (E::Echo, Opened) => (Opened, A::SER),
        (E::Echo, _) => (state, A::NONE),
    };
    Some((next, actions))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1661 section 4.1, both halves of the table, cell by cell. Different from the RFC's print: \[r\], \[p\] and
    /// \[x\] are left out, because the first two are options that we do not take and the third is a remark.
    const TABLE: &str = "\
Events| Initial   Starting  Closed    Stopped   Closing   Stopping
 Up   |    2     irc,scr/6     -         -         -         -
 Down |    -         -         0       tls/1       0         1
 Open |  tls/1       1     irc,scr/6     3         5         5
 Close|    0       tlf/0       2         2         4         4
 TO+  |    -         -         -         -       str/4     str/5
 TO-  |    -         -         -         -       tlf/2     tlf/3
 RCR+ |    -         -       sta/2 irc,scr,sca/8   4         5
 RCR- |    -         -       sta/2 irc,scr,scn/6   4         5
 RCA  |    -         -       sta/2     sta/3       4         5
 RCN  |    -         -       sta/2     sta/3       4         5
 RTR  |    -         -       sta/2     sta/3     sta/4     sta/5
 RTA  |    -         -         2         3       tlf/2     tlf/3
 RUC  |    -         -       scj/2     scj/3     scj/4     scj/5
 RXJ+ |    -         -         2         3         4         5
 RXJ- |    -         -       tlf/2     tlf/3     tlf/2     tlf/3
 RXR  |    -         -         2         3         4         5
Events| Req-Sent  Ack-Rcvd  Ack-Sent    Opened
 Up   |    -         -         -           -
 Down |    1         1         1         tld/1
 Open |    6         7         8           9
 Close|irc,str/4 irc,str/4 irc,str/4 tld,irc,str/4
 TO+  |  scr/6     scr/6     scr/8         -
 TO-  |  tlf/3     tlf/3     tlf/3         -
 RCR+ |  sca/8   sca,tlu/9   sca/8   tld,scr,sca/8
 RCR- |  scn/6     scn/7     scn/6   tld,scr,scn/6
 RCA  |  irc/7     scr/6   irc,tlu/9   tld,scr/6
 RCN  |irc,scr/6   scr/6   irc,scr/8   tld,scr/6
 RTR  |  sta/6     sta/6     sta/6   tld,zrc,sta/5
 RTA  |    6         6         8       tld,scr/6
 RUC  |  scj/6     scj/7     scj/8       scj/9
 RXJ+ |    6         6         8           9
 RXJ- |  tlf/3     tlf/3     tlf/3   tld,irc,str/5
 RXR  |    6         7         8         ser/9";

    fn cell(state: State, event: Event) -> String {
        match step(state, event) {
            None => "-".into(),
            Some((next, Actions::NONE)) => (next as u8).to_string(),
            Some((next, actions)) => format!("{actions}/{}", next as u8),
        }
    }

    #[test]
    fn the_whole_table_of_rfc_1661() {
        let rows: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with("Events")).collect();
        assert_eq!(rows.len(), 2 * Event::ALL.len());
        let (left, right) = State::ALL.split_at(6);
        for (i, row) in rows.iter().enumerate() {
            let (states, event) = if i < Event::ALL.len() {
                (left, Event::ALL[i])
            } else {
                (right, Event::ALL[i - Event::ALL.len()])
            };
            let (name, cells) = row.split_once('|').unwrap();
            assert_eq!(name.trim(), event.abbreviation());
            let ours: Vec<String> = states.iter().map(|state| cell(*state, event)).collect();
            assert_eq!(cells.split_whitespace().collect::<Vec<_>>(), ours, "{event:?}");
        }
    }

    #[test]
    fn the_restart_timer_runs_where_the_rfc_says() {
        let awaiting: Vec<u8> = State::ALL.into_iter().filter(|s| s.awaits()).map(|s| s as u8).collect();
        assert_eq!(awaiting, [4, 5, 6, 7, 8]);
    }
}
