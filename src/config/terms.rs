//! What a user may do, when every place has been asked.

use super::rules::Rules;
use super::units::month_of;
use super::{Access, Hours, Limit, Offset, OnLimit, Rate, Route};
use std::time::Duration;

/// The rules for one user, complete. What is not limited is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Whether to come in is allowed at all.
    pub access: Access,
    /// The Unix time from which on the account is over.
    pub expires: Option<u64>,
    /// When in the week.
    pub hours: Option<Hours>,
    /// Whose clock `hours` are read on.
    pub time_zone: Offset,
    /// Sessions at a time, at least 1.
    pub max_sessions: Option<u32>,
    /// What happens to one session more.
    pub on_limit: OnLimit,
    /// How long a client may be silent, 30 seconds to 1 day.
    pub dead_after: Duration,
    /// After how long without traffic a session ends, at least 1 minute.
    pub idle_timeout: Option<Duration>,
    /// After how long a session ends in any case, at least 1 minute.
    pub session_timeout: Option<Duration>,
    /// Whether L2TP without IPsec is allowed.
    pub allow_raw_l2tp: bool,
    /// Whether a client may have an address of the network that it has chosen itself.
    pub own_address: bool,
    /// Whether a client is kept apart from the other clients of its hub.
    pub isolated: bool,
    /// Whether what only DHCP servers send is discarded.
    pub dhcp_guard: bool,
    /// How fast each link may send.
    pub rate_up: Option<Rate>,
    /// How fast each link may be sent to.
    pub rate_down: Option<Rate>,
    /// Broadcast, multicast and flooded frames a second, at least 1.
    pub broadcasts: u32,
    /// Whether clients may send multicast.
    pub multicast: bool,
    /// Whether monitors may see what clients send and are sent.
    pub monitor: bool,
    /// Bytes that the user may move in a month, at least a million.
    pub volume: Option<u64>,
    /// Networks behind the hub that clients are told by DHCP.
    pub routes: Vec<Route>,
}

impl From<Rules> for Terms {
    /// Fills the defaults in.
    fn from(rules: Rules) -> Self {
        let time_zone = rules.time_zone.unwrap_or_default();
        Self {
            access: rules.access.unwrap_or_default(),
            expires: Limit::of(rules.expires).map(|date| time_zone.to_utc(date.end())),
            hours: Limit::of(rules.hours),
            time_zone,
            max_sessions: Limit::of(rules.max_sessions),
            on_limit: rules.on_limit.unwrap_or_default(),
            dead_after: rules.dead_after.map_or(Duration::from_secs(300), |span| span.0),
            idle_timeout: Limit::of(rules.idle_timeout).map(|span| span.0),
            session_timeout: Limit::of(rules.session_timeout).map(|span| span.0),
            allow_raw_l2tp: rules.allow_raw_l2tp.unwrap_or(false),
            own_address: rules.own_address.unwrap_or(false),
            isolated: rules.isolated.unwrap_or(false),
            dhcp_guard: rules.dhcp_guard.unwrap_or(true),
            rate_up: Limit::of(rules.rate_up),
            rate_down: Limit::of(rules.rate_down),
            broadcasts: rules.broadcasts.unwrap_or(50),
            multicast: rules.multicast.unwrap_or(true),
            monitor: rules.monitor.unwrap_or(true),
            volume: Limit::of(rules.volume).map(|volume| volume.0),
            routes: rules.routes.unwrap_or_default(),
        }
    }
}

/// Why somebody whose password is right may not come in, or may not stay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// `access: deny`.
    Access,
    /// After `expires`.
    Expired,
    /// Outside `hours`.
    Hours,
}

impl Terms {
    /// Whether the user may be in at this Unix time.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, unix: u64) -> Result<(), Denied> {
        if self.access == Access::Deny {
            Err(Denied::Access)
        } else if self.expires.is_some_and(|expires| unix >= expires) {
            Err(Denied::Expired)
        } else if self.hours.as_ref().is_some_and(|hours| !hours.contain(self.time_zone.to_local(unix))) {
            Err(Denied::Hours)
        } else {
            Ok(())
        }
    }

    /// The number of the month at a Unix time, on the user's clock: months since the year 0.
    #[must_use]
    pub fn month(&self, unix: u64) -> u32 {
        month_of(self.time_zone.to_local(unix))
    }

    /// The Unix time at which whoever may be in now may be so no longer; `None` if that never comes.
    #[must_use]
    pub fn ends(&self, unix: u64) -> Option<u64> {
        let local = self.time_zone.to_local(unix);
        let over =
            self.hours.as_ref().and_then(|hours| hours.end(local)).map(|end| self.time_zone.to_utc(end));
        self.expires.into_iter().chain(over).min()
    }
}
