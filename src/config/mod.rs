//! The configuration: one YAML file, read strictly and explained well.
//!
//! The way of a file, in the order of the modules:
//! 1. [`schema`]: what may stand in the file, as serde types; every key is documented there and in
//!    `docs/configuration.md` (a test compares the two).
//! 2. [`mod@load`]: text to schema. Nothing unknown, nothing twice, nothing of the wrong kind; *all* findings are
//!    collected, each with line, column and a hint.
//! 3. `check`: the rules between keys (a range inside its network, a default hub that exists, keys that are strong).
//! 4. [`Config`]: what the gateway reads. Whoever holds one need not check anything again.
//!
//! Nothing here opens a file or reads a clock: text, file mode and the time come in as arguments, so that a test can
//! say what the day is.

mod access;
mod address_source;
mod amount;
mod calendar;
pub mod changes;
mod check;
pub mod clients;
mod dhcp_options;
pub mod edit;
mod edit_distance;
mod finding;
mod hub_rules;
mod limit;
pub mod load;
mod model;
mod network;
mod peer_settings;
mod position;
mod routes;
mod rules;
pub mod schema;
mod terms;
mod tree;
mod units;
mod uplink;

#[cfg(test)]
mod documentation_tests;
#[cfg(test)]
mod tests;

pub use crate::crypto::Secret;
pub use crate::identity::account::Credential;
pub use address_source::AddressSource;
pub use amount::{Rate, Volume};
pub use calendar::{Hours, Offset};
pub use changes::{Change, Effect, Touches};
pub use finding::{Finding, Position, Report, Severity};
pub use hub_rules::{HubLimits, UplinkRules};
pub use limit::Limit;
pub use load::{FileFacts, Loaded, load};
pub use model::{
    Config, Dhcp, Dns, Hub, Ipsec, Leg, Limits, Listen, Log, Ports, Ppp, Psk, PskGroup, Router, Sessions,
    User,
};
pub use network::{AddressRange, Network};
pub use routes::Route;
pub use rules::Rules;
pub use schema::{Access, AuthProtocol, LogFormat, LogLevel, OnLimit, Policy};
pub use terms::{Denied, Terms};
pub use units::{Date, Span};
pub use uplink::Uplink;
