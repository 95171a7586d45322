//! `sekisho hub`: the hubs of the configuration. (`sekisho ctl hub` is about those that run.)

use super::ctl_table::{long, number, table, text};
use super::{edit_file::Target, first_run, show};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use sekisho::{
    config::{
        Network,
        edit::{Fragment, NewHub},
    },
    config_path,
    entropy::Entropy,
    shell::host,
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
        /// How it reaches the world: nat, none, tap, or what docs/configuration.md has besides.
        #[arg(long, value_name = "UPLINK", default_value = "nat")]
        uplink: String,
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

pub(super) fn hub(hub: &Hub) -> anyhow::Result<()> {
    match &hub.command {
        HubCommand::Add { name, network, uplink, default } => {
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
                let keys = match uplink.as_str() {
                    "nat" => Vec::new(),
                    other => vec![("uplink".to_owned(), Fragment::Text(other.to_owned()))],
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
            let config = loaded.config;
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
