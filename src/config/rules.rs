//! Rules for users. The same keys may stand in four places: `sessions` (for everybody), a hub, a group of users, a user;
//! the nearest place that says something counts, key by key.

use super::schema::{Access, OnLimit};
use super::{Date, Hours, Limit, Offset, Rate, Route, Span, Volume};

/// From one list of keys: the struct [`Rules`], and the macro `with_rules!` that puts the keys beside a mapping's own.
/// (serde's `flatten` would do the same, but it forgets where a fault is and lets unknown keys pass.)
macro_rules! rules {
    ($d:tt $($(#[$doc:meta])* $key:ident: $kind:ty,)*) => {
        /// What one place says; `None` where it says nothing.
        #[derive(Clone, Debug, Default)]
        pub struct Rules {
            $($(#[$doc])* pub $key: Option<$kind>,)*
        }

        impl Rules {
            /// These rules and, where they say nothing, those of a farther place.
            #[must_use]
            pub fn or(self, farther: &Self) -> Self {
                Self { $($key: self.$key.or_else(|| farther.$key.clone()),)* }
            }
        }

        macro_rules! with_rules {
            ($d(#[$d attr:meta])* pub struct $d name:ident { $d($d own:tt)* }) => {
                $d(#[$d attr])*
                #[derive(Deserialize, Debug)]
                #[serde(deny_unknown_fields)]
                pub struct $d name {
                    $d($d own)*
                    $($(#[$doc])* pub $key: Option<$kind>,)*
                }

                impl $d name {
                    /// The rules that stand here.
                    #[must_use]
                    pub fn rules(&self) -> Rules {
                        Rules { $($key: self.$key.clone(),)* }
                    }
                }
            };
        }
        pub(super) use with_rules;
    };
}

rules! { $
    /// Whether to come in is allowed at all.
    access: Access,
    /// The last day of the account.
    expires: Limit<Date>,
    /// When in the week.
    hours: Limit<Hours>,
    /// Whose clock dates and hours are read on.
    time_zone: Offset,
    /// Sessions that one user may have at a time.
    max_sessions: Limit<u32>,
    /// What happens to one session more.
    on_limit: OnLimit,
    /// How long a client may be silent before it is given up.
    dead_after: Span,
    /// After how long without traffic a session ends.
    idle_timeout: Limit<Span>,
    /// After how long a session ends in any case.
    session_timeout: Limit<Span>,
    /// Whether users may come in through L2TP without IPsec.
    allow_raw_l2tp: bool,
    /// Whether a client may have an address of the network that it has chosen itself.
    own_address: bool,
    /// Whether a client is kept apart from the other clients of its hub.
    isolated: bool,
    /// Whether what only DHCP servers send is discarded.
    dhcp_guard: bool,
    /// How fast a client may send.
    rate_up: Limit<Rate>,
    /// How fast a client may be sent to.
    rate_down: Limit<Rate>,
    /// Broadcast, multicast and flooded frames that a client may send in a second.
    broadcasts: u32,
    /// Whether a client may send multicast.
    multicast: bool,
    /// Whether monitors may see what a client sends and is sent; at a hub, whether it may be watched at all.
    monitor: bool,
    /// Bytes that a user may move in a month, both directions and all devices together.
    volume: Limit<Volume>,
    /// Networks behind the hub that clients are told by DHCP, so that only what goes there need go through the tunnel.
    routes: Vec<Route>,
}
