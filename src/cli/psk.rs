//! `sekisho psk`: pre-shared keys, and how one follows another without a day on which nobody can connect.

use super::ctl_table::{long, table, text};
use super::{edit_file::Target, first_run, password, show};
use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use sekisho::{
    config::{Date, edit::Rotation},
    entropy::Entropy,
    shell::{config_file, host},
};
use zeroize::Zeroizing;

/// `sekisho psk`.
#[derive(Args)]
pub(super) struct Psk {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: PskCommand,
}

#[derive(Subcommand)]
enum PskCommand {
    /// Add a new key, and let the old one go at a date: until then both are accepted.
    Rotate {
        /// The last day of the old key, such as 2026-12-31 (UTC).
        #[arg(long, value_name = "DATE", conflicts_with = "days")]
        until: Option<Date>,
        /// So many days from today.
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u16,
        /// The key that opens this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
        /// Read the new key from standard input instead of making one up.
        #[arg(long)]
        key_stdin: bool,
    },
    /// All keys, their ends and their hubs.
    List {
        /// Show the keys themselves.
        #[arg(long)]
        show: bool,
        /// Print one JSON object a line, for programs.
        #[arg(long)]
        json: bool,
    },
}

const DAY: u64 = 86_400;

pub(super) fn psk(psk: &Psk) -> anyhow::Result<()> {
    let now = config_file::unix_now();
    match &psk.command {
        PskCommand::Rotate { until, days, hub, key_stdin } => {
            let until = until.unwrap_or_else(|| Date::of(now + u64::from(*days) * DAY));
            if until.end() <= now {
                bail!("{until} is over: the old key would stop at once");
            }
            let key = if *key_stdin {
                password::from_pipe()?
            } else {
                let mut entropy = Entropy::from_system().context("the system has no randomness for a key")?;
                Zeroizing::new(first_run::secret(first_run::KEY_LENGTH, &mut entropy))
            };
            let until = until.to_string();
            let rotation = Rotation { key: &key, until: &until, hub: hub.as_deref() };
            let ended = psk.target.edit(None, |document| Ok(document.rotate_psk(&rotation)?))?;
            if !*key_stdin {
                show(&format!("key: {}", key.as_str()));
            }
            show(&match ended {
                0 => "no older key ends by this".to_owned(),
                1 => format!("the old key is accepted until {until}, that day included"),
                count => format!("the {count} old keys are accepted until {until}, that day included"),
            });
            Ok(())
        }
        PskCommand::List { show: open, json } => {
            let (document, _) = psk.target.read()?;
            let mut rows = Vec::new();
            for entry in document.psks() {
                let over = entry.until.as_deref().and_then(|date| date.parse::<Date>().ok());
                let over = over.is_some_and(|date| date.end() <= now);
                let key = Zeroizing::new(if *open { entry.key.clone() } else { masked(&entry.key) });
                if *json {
                    let row = serde_json::json!({
                        "key": key.as_str(), "until": entry.until, "hub": entry.hub, "over": over,
                    });
                    show(&row.to_string());
                }
                rows.push(vec![
                    key.to_string(),
                    entry.until.unwrap_or_default(),
                    entry.hub.unwrap_or_else(|| "every hub".to_owned()),
                    if over { "over".to_owned() } else { String::new() },
                ]);
            }
            if !*json {
                let columns = [long("KEY"), text("UNTIL"), text("OPENS"), text("STATE")];
                show(&table(&columns, &rows, host::terminal_width()));
            }
            Ok(())
        }
    }
}

/// Enough to tell keys apart.
fn masked(key: &str) -> String {
    let length = key.chars().count();
    let shown: String = if length >= 12 { key.chars().take(3).collect() } else { String::new() };
    format!("{shown}... ({length} characters)")
}
