//! What the host needs for a hub's uplink, and how it gets back what it had: address and state of the TAP, forwarding,
//! a packet-filter table of our own.
//!
//! Nothing is changed that is not written down first (`journal`): a gateway that was killed leaves a note by which the
//! next one cleans up. TAP interfaces, with their addresses and settings, vanish with the process and need no note.

mod bridge;
mod journal;
mod link;
mod rules;
mod sysctl;

use super::{host, tap::Tap};
use crate::config::Network;
use journal::Journal;
use std::{io, net::Ipv4Addr, path::Path};

/// How the names of our tables begin.
pub(super) const TABLE_PREFIX: &str = "sekisho_";

/// All rules of the packet filter, as `nft` tells them.
///
/// # Errors
/// Without `nft`, or without the right to ask.
pub(super) fn ruleset() -> Result<serde_json::Value, SetupError> {
    rules::ruleset()
}

/// The host's side of all hubs of one gateway.
#[derive(Debug)]
pub struct HostSetup {
    journal: Journal,
}

/// A hub whose clients go out through the host, with the host's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NatHub {
    /// Its name, for messages.
    pub hub: String,
    /// The name of its TAP.
    pub tap: String,
    /// The number of its TAP.
    pub index: u32,
    /// Its network.
    pub network: Network,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// A name server that questions to the gateway's address are passed on to.
    pub name_server: Option<Ipv4Addr>,
}

/// Why the host could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Another gateway uses the same state directory.
    #[error("another sekisho{} runs with the state directory {directory}\n    hint: stop it, or use --state-dir", process.as_ref().map(|p| format!(" (process {p})")).unwrap_or_default())]
    Locked {
        /// The directory.
        directory: String,
        /// The other's process number, as it noted it.
        process: Option<String>,
    },
    /// The note cannot be kept, so nothing is changed.
    #[error("cannot write {file}: {error}")]
    Journal {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// A hub's network is in use on this host.
    #[error(
        "the network {network} of hub {hub} is in use on this host: {interface} has {used}\n    hint: give the hub another network, such as {free}"
    )]
    NetworkInUse {
        /// The hub.
        hub: String,
        /// Its network.
        network: Network,
        /// Who has it.
        interface: String,
        /// The network there.
        used: Network,
        /// One that is free.
        free: Network,
    },
    /// An interface cannot be configured.
    #[error("cannot {action} {interface}: {error}")]
    Interface {
        /// What was tried.
        action: &'static str,
        /// On which interface.
        interface: String,
        /// Why not.
        error: String,
    },
    /// Forwarding cannot be switched on.
    #[error("cannot set {key} to {value}: {error}\n    hint: {}", sysctl::hint(key, value))]
    Sysctl {
        /// The setting, as `sysctl` names it.
        key: String,
        /// The value.
        value: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// There is no `nft`.
    #[error(
        "the program nft is missing; it is needed for `uplink: nat`\n    hint: sudo apt install nftables (dnf, apk and pacman call it nftables, too)"
    )]
    NoNft,
    /// `nft` refused.
    #[error(
        "nft refused the NAT rules: {0}\n    hint: the kernel may lack nf_tables, nft_masq or nft_ct: sudo modprobe nf_tables nft_masq nft_ct; is CAP_NET_ADMIN there?"
    )]
    Rules(String),
}

impl HostSetup {
    /// Takes the state directory for this process and cleans up after a gateway that was killed. Also returns what was
    /// cleaned, for the log.
    ///
    /// # Errors
    /// When another gateway runs with this directory, or it cannot be written to.
    pub fn open(state_dir: &Path) -> Result<(Self, Vec<String>), SetupError> {
        let (mut journal, left) = Journal::open(state_dir)?;
        let cleaned = left.map(|left| left.undo()).unwrap_or_default();
        journal.clear()?;
        Ok((Self { journal }, cleaned))
    }

    /// Gives a TAP its MAC address and MTU and switches it on, with no address on it.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn link_up(&self, tap: &Tap, mac: [u8; 6], mtu: u16) -> Result<(), SetupError> {
        link::up(tap.name(), tap.index(), mac, mtu).await
    }

    /// Puts the gateway addresses on the TAPs of these hubs, switches forwarding on and installs the rules; those of an
    /// earlier call are replaced. Returns what else stands in the way, for the log.
    ///
    /// # Errors
    /// When a network is in use, or the system refuses.
    pub async fn nat(&mut self, hubs: &[NatHub]) -> Result<Vec<String>, SetupError> {
        if hubs.is_empty() {
            self.remove_rules()?;
            return Ok(Vec::new());
        }
        for hub in hubs {
            Self::network_is_free(hub)?;
        }
        for hub in hubs {
            // The kernel's own IPv6 chatter (router solicitations, MLD) has no place on a hub that it only routes for.
            sysctl::write_if_there(&format!("net/ipv6/conf/{}/disable_ipv6", hub.tap), "1");
            link::add_address(&hub.tap, hub.index, hub.gateway, hub.network.prefix()).await?;
            sysctl::set(&sysctl::forwarding(&hub.tap), "1")?;
        }
        // A reply comes in on another interface, which must forward as well. What it did not forward before, it shall not
        // forward now: `rules` keeps the rest out.
        let mut opened = self.journal.interfaces_opened();
        for interface in host::routed_interfaces() {
            let key = sysctl::forwarding(&interface);
            let ours = hubs.iter().any(|hub| hub.tap == interface) || opened.contains(&interface);
            if !ours && sysctl::get(&key).is_ok_and(|value| value == "0") {
                self.journal.note_sysctl(&key, "0", "1")?;
                sysctl::set(&key, "1")?;
                opened.push(interface);
            }
        }
        let table = self.journal.note_table()?;
        rules::apply(&rules::table(&table, hubs, &opened))?;
        Ok(rules::in_the_way(&table, hubs))
    }

    /// Whether [`Self::nat`] would find the networks of these hubs free.
    ///
    /// # Errors
    /// When one is in use on this host.
    pub fn check(&self, hubs: &[NatHub]) -> Result<(), SetupError> {
        hubs.iter().try_for_each(Self::network_is_free)
    }

    /// Takes everything back. Returns what was taken back, for the log.
    ///
    /// # Errors
    /// When the note cannot be removed.
    pub fn undo(mut self) -> Result<Vec<String>, SetupError> {
        let undone = self.journal.content().undo();
        self.journal.clear()?;
        Ok(undone)
    }

    fn remove_rules(&mut self) -> Result<(), SetupError> {
        self.journal.content().undo_rules();
        self.journal.forget_rules()
    }

    /// A network that lies in one of the host's, or around it, would take its traffic away. A wider route (a company's
    /// 10.0.0.0/8) is only narrowed by it, as intended.
    fn network_is_free(hub: &NatHub) -> Result<(), SetupError> {
        let taken = host::networks_in_use().into_iter().find(|used| {
            used.interface != hub.tap
                && used.network.overlaps(&hub.network)
                && used.network.prefix() >= hub.network.prefix()
        });
        match taken {
            None => Ok(()),
            Some(host::UsedNetwork { network: used, interface }) => Err(SetupError::NetworkInUse {
                hub: hub.hub.clone(),
                network: hub.network,
                interface,
                used,
                free: host::free_network(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
