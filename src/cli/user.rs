//! `sekisho user`: who may come in.

use super::ctl_table::{long, table, text};
use super::{edit_file::Target, password, show};
use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use sekisho::{
    config::{
        Config, Credential,
        edit::{Document, NewUser},
    },
    config_path, identity,
    shell::host,
};
use std::net::Ipv4Addr;

/// `sekisho user`.
#[derive(Args)]
pub(super) struct User {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add a user. Without a password from elsewhere, one is asked for, or made up and printed.
    Add {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        source: password::Source,
        /// The group whose rules count.
        #[arg(long, value_name = "GROUP")]
        group: Option<String>,
        /// The address that the user always gets.
        #[arg(long, value_name = "ADDRESS")]
        address: Option<Ipv4Addr>,
    },
    /// Give a user another password.
    Passwd {
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        source: password::Source,
    },
    /// Remove a user. Open sessions are closed.
    Del {
        #[command(flatten)]
        who: Who,
    },
    /// All users.
    List {
        /// Those of this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
        /// Print one JSON object a line, for programs.
        #[arg(long)]
        json: bool,
    },
    /// Switch an account off. Open sessions are closed.
    Disable {
        #[command(flatten)]
        who: Who,
    },
    /// Switch an account on again.
    Enable {
        #[command(flatten)]
        who: Who,
    },
}

/// A user as people name one.
#[derive(Args)]
struct Who {
    /// The user: jiro, jiro@OFFICE, OFFICE\jiro. Without a hub, one of the default hub.
    #[arg(value_name = "USER")]
    name: String,
    /// The hub, where the name shall be taken as it is.
    #[arg(long, value_name = "HUB")]
    hub: Option<String>,
}

impl Who {
    /// Hub and user.
    fn find(&self, document: &Document) -> anyhow::Result<(String, String)> {
        find(document, &self.name, self.hub.as_deref())
    }
}

/// Reads a name as the gateway would read it at a login.
pub(super) fn find(document: &Document, name: &str, hub: Option<&str>) -> anyhow::Result<(String, String)> {
    if let Some(hub) = hub {
        return Ok((document.hub(hub)?, name.trim().to_owned()));
    }
    let hubs = document.keys(&config_path!["hubs"]);
    let named = document.scalar(&config_path!["default_hub"]);
    let default = match (named, hubs.as_slice()) {
        (Some(name), _) => document.hub(name).ok(),
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
    };
    let names: Vec<&str> = hubs.iter().map(String::as_str).collect();
    let parsed = identity::parse(name.as_bytes(), names.as_slice(), default.as_deref());
    if let Some(hub) = parsed.would_be_hub {
        bail!(
            "there is no hub {hub}; there are: {} (--hub, if {name} is the user's whole name)",
            hubs.join(", ")
        );
    }
    let hub = parsed.hub.ok_or_else(|| anyhow!("which hub? {name}@HUB; there are: {}", hubs.join(", ")))?;
    Ok((hub, parsed.user))
}

pub(super) fn user(user: &User) -> anyhow::Result<()> {
    let target = &user.target;
    match &user.command {
        UserCommand::Add { who, source, group, address } => {
            // Asked before the file is read, and not at all when there is no such hub.
            who.find(&target.read()?.0)?;
            let chosen = source.choose()?;
            let (hub, name) = target.edit(None, |document| {
                let (hub, name) = who.find(document)?;
                let group = group.as_deref();
                document.add_user(&NewUser {
                    hub: &hub,
                    name: &name,
                    secret: chosen.secret(),
                    group,
                    address: *address,
                })?;
                Ok((hub, name))
            })?;
            show(&format!("{name} may come in to {hub}"));
            chosen.tell();
            Ok(())
        }
        UserCommand::Passwd { who, source } => {
            who.find(&target.read()?.0)?;
            let chosen = source.choose()?;
            target.edit(None, |document| {
                let (hub, name) = who.find(document)?;
                Ok(document.set_secret(&hub, &name, &chosen.secret())?)
            })?;
            chosen.tell();
            Ok(())
        }
        UserCommand::Del { who } => target.edit(None, |document| {
            let (hub, name) = who.find(document)?;
            Ok(document.delete_user(&hub, &name)?)
        }),
        UserCommand::Disable { who } => switch(target, who, true),
        UserCommand::Enable { who } => switch(target, who, false),
        UserCommand::List { hub, json } => {
            let (_, loaded) = target.read()?;
            list(&loaded.config, hub.as_deref(), *json)
        }
    }
}

fn switch(target: &Target, who: &Who, disabled: bool) -> anyhow::Result<()> {
    target.edit(None, |document| {
        let (hub, name) = who.find(document)?;
        Ok(document.set_disabled(&hub, &name, disabled)?)
    })
}

fn list(config: &Config, hub: Option<&str>, json: bool) -> anyhow::Result<()> {
    if let Some(name) = hub.filter(|name| config.hub(name).is_none()) {
        bail!("there is no hub {name}");
    }
    let hubs = config.hubs.iter().filter(|h| hub.is_none_or(|name| identity::same_name(name, &h.name)));
    let mut rows = Vec::new();
    for hub in hubs {
        for user in &hub.users {
            let secret = match user.credential {
                Credential::Password(_) => "password",
                Credential::NtHash(_) => "nt_hash",
            };
            let address = user.address.map(|address| address.to_string()).unwrap_or_default();
            if json {
                let row = serde_json::json!({
                    "user": user.name, "hub": hub.name, "disabled": user.disabled, "group": user.group,
                    "address": user.address, "secret": secret,
                });
                show(&row.to_string());
            }
            let state = if user.disabled { "disabled" } else { "" };
            let group = user.group.clone().unwrap_or_default();
            rows.push(vec![
                user.name.clone(),
                hub.name.clone(),
                group,
                address,
                secret.to_owned(),
                state.to_owned(),
            ]);
        }
    }
    if !json {
        let columns =
            [long("USER"), long("HUB"), text("GROUP"), text("ADDRESS"), text("SECRET"), text("STATE")];
        show(&table(&columns, &rows, host::terminal_width()));
    }
    Ok(())
}
