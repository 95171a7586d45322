//! `sekisho hub`: the hubs of the configuration. (`sekisho ctl hub` is about those that run.)

use super::ctl_table::{long, number, table, text};
use super::{edit_file::Target, first_run, show};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use sekisho::{
    config::{
        AddressRange, Network,
        edit::{Fragment, NewHub},
    },
    config_path,
    entropy::Entropy,
    shell::{host, tap},
};

/// `sekisho hub`.
#[derive(Args)]
pub(super) struct Hub {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: HubCommand,
}

#[derive(Subcommand)]
enum HubCommand {
    /// Add a hub. Where there is no configuration yet, one is begun, with a new pre-shared key.
    Add {
        /// Its name.
        #[arg(value_name = "HUB")]
        name: String,
        /// Its network [default: one that neither this host nor another hub has]
        #[arg(long, value_name = "NETWORK")]
        network: Option<Network>,
        /// How it reaches the world: nat, usernat, tap, none [default: nat where this host can, else usernat]
        #[arg(long, value_name = "UPLINK", conflicts_with_all = ["bridge", "interface"])]
        uplink: Option<String>,
        /// Plug it into this bridge of the host, which is made where it is not there: a LAN.
        #[arg(long, value_name = "BRIDGE")]
        bridge: Option<String>,
        /// Put this interface into the bridge; without --bridge, plug the hub into the interface itself.
        #[arg(long, value_name = "INTERFACE")]
        interface: Option<String>,
        /// The addresses that it gives out [default: all of its network]
        #[arg(long, value_name = "FIRST-LAST", conflicts_with = "lan_dhcp")]
        range: Option<AddressRange>,
        /// Take clients' addresses from the DHCP server of the LAN.
        #[arg(long)]
        lan_dhcp: bool,
        /// Make it the hub of those who name none.
        #[arg(long)]
        default: bool,
    },
    /// Remove a hub and its users. Open sessions are closed.
    Del {
        /// Its name.
        #[arg(value_name = "HUB")]
        name: String,
    },
    /// All hubs.
    List {
        /// Print one JSON object a line, for programs.
        #[arg(long)]
        json: bool,
    },
}

/// The key `uplink`, where it is not what the configuration takes without it.
fn plugged_into(
    uplink: Option<&str>,
    bridge: Option<&str>,
    interface: Option<&str>,
) -> Option<(String, Fragment)> {
    let names = [("bridge", bridge), ("interface", interface)];
    let entries: Vec<(String, Fragment)> = names
        .into_iter()
        .filter_map(|(key, name)| Some((key.to_owned(), Fragment::Text(name?.to_owned()))))
        .collect();
    let value = match uplink {
        Some(word) => Fragment::Text(word.to_owned()),
        None if entries.is_empty() => return None,
        None => Fragment::Map(entries),
    };
    Some(("uplink".to_owned(), value))
}

pub(super) fn hub(hub: &Hub) -> anyhow::Result<()> {
    match &hub.command {
        HubCommand::Add { name, network, uplink, bridge, interface, range, lan_dhcp, default } => {
            let mut keys = Vec::new();
            keys.extend(plugged_into(uplink.as_deref(), bridge.as_deref(), interface.as_deref()));
            if *lan_dhcp {
                keys.push(("address".to_owned(), Fragment::Word("lan-dhcp".to_owned())));
            }
            if let Some(range) = range {
                let range = Fragment::Word(format!("{}-{}", range.first(), range.last()));
                keys.push(("dhcp".to_owned(), Fragment::Map(vec![("range".to_owned(), range)])));
            }
            let first = || {
                let mut entropy = Entropy::from_system().context("the system has no randomness for a key")?;
                Ok(first_run::without_hubs(&mut entropy))
            };
            let network = hub.target.edit(Some(&first), |document| {
                let network = match network {
                    Some(network) => *network,
                    None => {
                        let used = document.keys(&config_path!["hubs"]).into_iter().filter_map(|hub| {
                            document.scalar(&config_path!["hubs", hub.as_str(), "network"])?.parse().ok()
                        });
                        host::free_network_besides(&used.collect::<Vec<_>>())
                    }
                };
                let network = network.to_string();
                document.add_hub(&NewHub { name, network: network.clone(), keys })?;
                if *default {
                    document.set(&config_path!["default_hub"], &Fragment::Text(name.clone()))?;
                }
                Ok(network)
            })?;
            show(&format!("hub {name} has the network {network}"));
            Ok(())
        }
        HubCommand::Del { name } => hub.target.edit(None, |document| Ok(document.delete_hub(name)?)),
        HubCommand::List { json } => {
            let (_, loaded) = hub.target.read()?;
            let mut config = loaded.config;
            config.settle_uplinks(tap::is_available());
            let default = config.default_hub().map(|hub| hub.name.as_str());
            let mut rows = Vec::new();
            for hub in &config.hubs {
                let is_default = default == Some(hub.name.as_str());
                if *json {
                    let row = serde_json::json!({
                        "hub": hub.name, "network": hub.network.to_string(), "gateway": hub.gateway,
                        "uplink": hub.uplink.to_string(), "users": hub.users.len(), "default": is_default,
                    });
                    show(&row.to_string());
                }
                rows.push(vec![
                    hub.name.clone(),
                    hub.network.to_string(),
                    hub.gateway.to_string(),
                    hub.uplink.to_string(),
                    hub.users.len().to_string(),
                    if is_default { "default".to_owned() } else { String::new() },
                ]);
            }
            if !*json {
                let columns = [
                    long("HUB"),
                    text("NETWORK"),
                    text("GATEWAY"),
                    text("UPLINK"),
                    number("USERS"),
                    text(""),
                ];
                show(&table(&columns, &rows, host::terminal_width()));
            }
            Ok(())
        }
    }
}
