//! Sekisho: an IPsec/L2TP remote-access gateway for the VPN clients that operating systems already contain.
//!
//! The modules, lowest first; `docs/architecture.md` has the picture and a packet's way through it.
//!
//! Words: a **peer** is all that we hold for one remote device; a **tunnel** and a **session** are L2TP's; a **link** is
//! one PPP link; a **port** is a link's (or an uplink's) place on a **hub**. **Inbound** is from the peer, **outbound**
//! is to the peer, everywhere.

pub mod entropy;
pub mod packet;
pub mod timer;

pub mod crypto;
pub mod identity;
pub mod wire;

pub mod esp;
pub mod hub;
pub mod ike;
pub mod l2tp;
pub mod ppp;
pub mod vnic;

pub mod config;
pub mod control;
pub mod doctor;
pub mod gatehouse;
pub mod import;
pub mod peer;
pub mod penalty;
pub mod profile;
pub mod router;
pub mod shell;
pub mod story;
pub mod uplink;
pub mod usernat;
pub mod worker;

pub mod client;
