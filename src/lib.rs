//! Sekisho: an IPsec/L2TP remote-access gateway for the VPN clients that operating systems already contain.
#![doc = ""]

pub mod crypto;
pub mod entropy;
pub mod esp;
pub mod packet;
pub mod shell;
pub mod story;
pub mod timer;
pub mod wire;
