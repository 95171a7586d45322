//! Commands that change the configuration file: read, changed in its text, checked as a whole, written in one step, and
//! put in force in the gateway that runs with it.

use super::{ctl_link, say, start};
use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use sekisho::{
    config::{FileFacts, Loaded, edit::Document, load},
    control::{Command, ReloadRow, StatusRow},
    shell::{config_file, control_socket},
};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Which file, and which gateway runs with it.
#[derive(Args)]
pub(super) struct Target {
    /// The configuration file [default: sekisho.yaml in the state directory, as `sekisho up` makes it]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The state directory, as for `run` and `up`.
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,
    /// The control socket of the gateway that shall follow [default: control.sock in the state directory]
    #[arg(long, value_name = "FILE", global = true)]
    socket: Option<PathBuf>,
}

impl Target {
    /// The configuration file.
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        match &self.config {
            Some(path) => Ok(path.clone()),
            None => Ok(start::wanted_state_dir(self.state_dir.as_deref())?.join(super::up::FILE_NAME)),
        }
    }

    /// The control socket.
    pub(super) fn socket(&self) -> anyhow::Result<PathBuf> {
        match &self.socket {
            Some(path) => Ok(path.clone()),
            None => Ok(start::wanted_state_dir(self.state_dir.as_deref())?.join(control_socket::FILE_NAME)),
        }
    }

    /// The file's text and what it means; for commands that only look.
    pub(super) fn read(&self) -> anyhow::Result<(Document, Loaded)> {
        let path = self.path()?;
        let text = read(&path)?;
        Ok((document(&path, &text)?, checked(&path, &text)?))
    }

    /// Changes the file. A file that is not there is begun with `first`, if there is one.
    pub(super) fn edit<T>(
        &self,
        first: Option<&dyn Fn() -> anyhow::Result<String>>,
        change: impl FnOnce(&mut Document) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let path = self.path()?;
        let (old, text) = match (fs::exists(&path), first) {
            (Ok(false), Some(first)) => (None, Zeroizing::new(first()?)),
            _ => {
                let text = read(&path)?;
                (Some(text.clone()), text)
            }
        };
        let mut document = document(&path, &text)?;
        let result = change(&mut document)?;
        let loaded = checked(&path, document.text())?;
        self.warn_of_what_is_new(&path, old.as_ref().map(|text| text.as_str()), &loaded);
        match old {
            Some(old) if old.as_str() == document.text() => return Ok(result),
            Some(old) => config_file::replace(&path, &old, document.text()),
            None => {
                if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                    config_file::make_private_dir(directory)
                        .with_context(|| format!("cannot make the directory {}", directory.display()))?;
                }
                config_file::write_private(&path, document.text().as_bytes())
            }
        }
        .map_err(|error| match error.kind() {
            ErrorKind::ResourceBusy => {
                anyhow!("somebody else has just changed {}; nothing is lost: try again", path.display())
            }
            _ => anyhow!("cannot write {}: {error}", path.display()),
        })?;
        self.reload(&path);
        Ok(result)
    }

    /// Warnings that the file had before are not this command's.
    fn warn_of_what_is_new(&self, path: &Path, old: Option<&str>, new: &Loaded) {
        let before = old.and_then(|text| load(text, &facts(path)).ok());
        let known = |message: &str| {
            before
                .iter()
                .flat_map(|loaded| &loaded.warnings.findings)
                .any(|finding| finding.message == message)
        };
        for finding in new.warnings.findings.iter().filter(|finding| !known(&finding.message)) {
            say(&format!("sekisho: warning: {}: {}", finding.key, finding.message));
        }
    }

    /// Lets the gateway that runs with this file follow. The file is changed already, so nothing here is an error.
    fn reload(&self, path: &Path) {
        let Ok(socket) = self.socket() else { return };
        let mut status = None;
        let asked = ctl_link::ask(&socket, &Command::Status {}, &mut |rows| {
            status = rows.into_iter().next().and_then(|row| serde_json::from_value::<StatusRow>(row).ok());
        });
        let Some(status) = status.filter(|_| asked.is_ok()) else {
            say(&format!(
                "sekisho: {} is changed; no gateway answers at {}, so it counts from the next start",
                path.display(),
                socket.display()
            ));
            return;
        };
        let same = |a: &Path, b: &Path| match (fs::canonicalize(a), fs::canonicalize(b)) {
            (Ok(a), Ok(b)) => a == b,
            _ => a == b,
        };
        if !same(Path::new(&status.config), path) {
            say(&format!(
                "sekisho: {} is changed; the gateway at {} runs with another file ({})",
                path.display(),
                socket.display(),
                status.config
            ));
            return;
        }
        let mut row = None;
        let asked = ctl_link::ask(&socket, &Command::Reload { dry_run: false }, &mut |rows| {
            row = rows.into_iter().next().and_then(|row| serde_json::from_value::<ReloadRow>(row).ok());
        });
        match (asked, row) {
            (Ok(()), Some(row)) => {
                let ended = match row.sessions_end {
                    0 => String::new(),
                    1 => "; 1 session was closed".to_owned(),
                    count => format!("; {count} sessions were closed"),
                };
                let restart = if row.changes.iter().any(|change| change.needs_restart) {
                    "; a part of it takes a restart"
                } else {
                    ""
                };
                say(&format!("sekisho: the running gateway has followed{ended}{restart}"));
            }
            (Err(error), _) => say(&format!("sekisho: the running gateway has not followed: {error}")),
            (Ok(()), None) => say("sekisho: the running gateway gave no answer that is understood"),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "there is no configuration {}\n    hint: `sekisho up` makes one and starts it, `sekisho hub add` makes one with a hub; --config names another",
            path.display()
        ),
        Err(error) => bail!("cannot read the configuration {}: {error}", path.display()),
    }
}

fn document(path: &Path, text: &str) -> anyhow::Result<Document> {
    Document::parse(text).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn checked(path: &Path, text: &str) -> anyhow::Result<Loaded> {
    load(text, &facts(path)).map_err(|report| {
        let errors: Vec<String> = report
            .errors()
            .map(|finding| {
                let hint =
                    finding.hint.as_ref().map(|hint| format!("\n    hint: {hint}")).unwrap_or_default();
                format!("{}: {}{hint}", finding.key, finding.message)
            })
            .collect();
        anyhow!("{} stays as it is:\n{}", path.display(), errors.join("\n"))
    })
}

fn facts(path: &Path) -> FileFacts {
    FileFacts { name: path.display().to_string(), mode: None, now: config_file::unix_now() }
}
