//! A new configuration for a gateway that runs: the file is read and checked beside the control thread, the differences
//! are shown or put in force, and what cannot be done without a restart is named.

use super::config_file::{self, Error};
use super::logging;
use crate::config::{Change, Config, Effect, LogFormat};
use crate::control::{ChangeRow, Kind, Refusal, ReloadRow};
use crate::gatehouse::Gatehouse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// What a reload needs besides the gatehouse.
pub(super) struct Source {
    /// The configuration file.
    pub(super) path: PathBuf,
    /// The format of log lines that the command line has asked for, whatever the file says.
    pub(super) log_format: Option<LogFormat>,
    /// Whether plain ESP cannot be received.
    pub(super) force_udp: bool,
}

/// A new configuration, checked and compared.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) config: Arc<Config>,
    pub(super) changes: Vec<Change>,
    warnings: Vec<String>,
}

impl Source {
    /// Reads the file on a thread of its own: 50,000 users take a while.
    pub(super) fn read(&self, old: Arc<Config>) -> JoinHandle<Result<Prepared, Refusal>> {
        let (path, log_format) = (self.path.clone(), self.log_format);
        tokio::task::spawn_blocking(move || prepare(&path, log_format, &old))
    }
}

fn prepare(path: &Path, log_format: Option<LogFormat>, old: &Config) -> Result<Prepared, Refusal> {
    let loaded = config_file::read(path).map_err(|error| match error {
        Error::Wrong(report) => {
            let message = format!("{report}{} cannot be used as it is; nothing has changed", path.display());
            Refusal::new(Kind::BadConfiguration, message)
        }
        error => Refusal::new(Kind::BadConfiguration, format!("{error}; nothing has changed")),
    })?;
    let mut config = loaded.config;
    if let Some(format) = log_format {
        config.log.format = format;
    }
    config.renumber_psks(old);
    let changes = old.changes_to(&config, config_file::unix_now());
    let warnings = loaded.warnings.findings.iter().map(|finding| {
        let place = finding.position.map_or(String::new(), |at| format!(":{}:{}", at.line, at.column));
        let key = if finding.key.is_empty() { String::new() } else { format!("{}: ", finding.key) };
        format!("{}{place}: {key}{}", path.display(), finding.message)
    });
    Ok(Prepared { config: Arc::new(config), changes, warnings: warnings.collect() })
}

impl Prepared {
    /// What it means for the sessions that are there.
    pub(super) fn row(&self, gatehouse: &Gatehouse) -> ReloadRow {
        let mut ends = BTreeSet::new();
        let row = |change: &Change| {
            let touched = gatehouse.touched_by(&change.touches);
            let sessions_end = touched.len();
            ends.extend(touched);
            ChangeRow {
                key: change.key.clone(),
                what: change.what.clone(),
                sessions_end,
                needs_restart: change.effect == Effect::Restart,
            }
        };
        let changes = self.changes.iter().map(row).collect();
        ReloadRow {
            applied: false,
            changes,
            sessions_end: ends.len(),
            sessions_stay: gatehouse.session_count() - ends.len(),
            warnings: self.warnings.clone(),
        }
    }

    /// Follows what concerns the shell alone.
    pub(super) fn apply_log_level(&self) {
        if self.changes.iter().any(|change| change.key == "log.level") {
            logging::set_level(self.config.log.level.name());
        }
    }
}
