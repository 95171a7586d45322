//! Sekisho: an IPsec/L2TP remote-access gateway for the VPN clients that operating systems already contain.
//!
//! The modules in the order of a packet's way; `docs/architecture.md` has the picture.
//!
//! Words: a **peer** is all that we hold for one remote device; a **tunnel** and a **session** are L2TP's; a **link** is
//! one PPP link; a **port** is a link's (or an uplink's) place on a **hub**. **Inbound** is from the peer, **outbound**
//! is to the peer, everywhere.

pub mod client;
pub mod config;
pub mod crypto;
pub mod entropy;
pub mod esp;
pub mod l2tp;
pub mod ike;
pub mod packet;
pub mod shell;
pub mod story;
pub mod identity;
pub mod ppp;
pub mod timer;
pub mod wire;
