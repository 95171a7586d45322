//! `sekisho up`: from nothing to a gateway that a phone connects to.

use super::{Up, card::Card, first_run, say, show, start};
use anyhow::{Context as _, bail};
use sekisho::{
    config::{FileFacts, load},
    entropy::Entropy,
    shell::{config_file, host},
};
use std::{io::IsTerminal as _, path::Path};

/// The configuration's name in the state directory.
pub(super) const FILE_NAME: &str = "sekisho.yaml";

pub(super) fn up(up: &Up) -> anyhow::Result<()> {
    let state_dir = start::state_dir(&up.common)?;
    let path = state_dir.join(FILE_NAME);
    let first = first_configuration(&path)?;
    let loaded = match &first {
        Some(text) => load(text, &facts(&path))?,
        None => start::read_config(&path)?,
    };

    let directory = up.common.state_dir.as_ref().map(|dir| format!(" --state-dir {}", dir.display()));
    start::check_rights(&loaded.config, &format!("up{}", directory.unwrap_or_default()))?;
    if let Some(text) = &first {
        // Not before it is clear that we may run: root's `up` would otherwise find a file made by nobody's.
        config_file::write_private(&path, text.as_bytes())
            .with_context(|| format!("cannot write the configuration {}", path.display()))?;
    }

    let card = Card::of(&loaded.config);
    if card.is_none() && up.json {
        bail!("there is no card to print: no hub in {} has a user and a key for it", path.display());
    }
    if card.is_none() {
        say(&format!("sekisho: nobody can log in: no hub in {} has a user", path.display()));
    }
    let (json, config_path) = (up.json, path.clone());
    // Later runs under a service manager shall not repeat secrets into a log; a terminal, and a first run, show them.
    let secrets = first.is_some() || std::io::stdout().is_terminal();
    let on_ready = move || match card {
        Some(card) if json => match card.json() {
            Ok(line) => show(&line),
            Err(error) => say(&format!("sekisho: the card cannot be printed: {error}")),
        },
        Some(card) => show(&card.text(&config_path, secrets)),
        None => {}
    };
    start::start(loaded.config, path, state_dir, &up.common, Box::new(on_ready))
}

/// The text of a new configuration, unless there is a file already.
fn first_configuration(path: &Path) -> anyhow::Result<Option<String>> {
    let exists = path.try_exists().with_context(|| format!("cannot look for {}", path.display()))?;
    if exists {
        return Ok(None);
    }
    let mut entropy = Entropy::from_system().context("the system has no randomness for a key")?;
    Ok(Some(first_run::configuration(host::free_network(), &mut entropy)))
}

fn facts(path: &Path) -> FileFacts {
    FileFacts { name: path.display().to_string(), mode: Some(0o600), now: config_file::unix_now() }
}
