//! Sekisho: an IPsec/L2TP remote-access gateway for the VPN clients that operating systems already contain.
//!
//! The modules, lowest first; `docs/architecture.md` has the picture and a packet's way through it.
//!
//! Words: a **peer** is all that we hold for one remote device; a **tunnel** and a **session** are L2TP's; a **link** is
//! one PPP link; a **port** is a link's (or an uplink's) place on a **hub**. **Inbound** is from the peer, **outbound**
//! is to the peer, everywhere.

pub mod packet;
pub mod timer;
pub mod entropy;

pub mod wire;
pub mod crypto;
pub mod identity;

pub mod ike;
pub mod esp;
pub mod l2tp;
pub mod ppp;
pub mod vnic;
pub mod hub;

pub mod story;
pub mod peer;
pub mod worker;
pub mod gatehouse;
pub mod control;
pub mod uplink;
pub mod config;
pub mod shell;

pub mod client;
