//! From a checked configuration to a running gateway: rights, logging, state directory, `shell::run`.

use super::{Common, Run, say};
use anyhow::{Context as _, anyhow, bail};
use sekisho::{
    config::{Config, Loaded, LogFormat},
    shell::{self, config_file, logging, privileges},
};
use std::path::{Path, PathBuf};

/// `sekisho run`.
pub(super) fn run(run: &Run) -> anyhow::Result<()> {
    let loaded = read_config(&run.config)?;
    check_rights(&loaded.config, &format!("run --config {}", run.config.display()))?;
    let state_dir = state_dir(&run.common)?;
    start(loaded.config, run.config.clone(), state_dir, &run.common, Box::new(|| {}))
}

/// Reads a configuration file and says what there is to say about it.
pub(super) fn read_config(path: &Path) -> anyhow::Result<Loaded> {
    match config_file::read(path) {
        Ok(loaded) => {
            say(&loaded.warnings.to_string());
            Ok(loaded)
        }
        Err(config_file::Error::Wrong(report)) => {
            say(&report.to_string());
            bail!("{} cannot be used as it is", path.display());
        }
        Err(error) => Err(error.into()),
    }
}

/// Runs the gateway until it ends.
pub(super) fn start(
    mut config: Config,
    config_path: PathBuf,
    state_dir: PathBuf,
    common: &Common,
    on_ready: Box<dyn FnOnce() + Send>,
) -> anyhow::Result<()> {
    if let Some(format) = common.log_format {
        config.log.format = LogFormat::from(format);
    }
    logging::init(config.log, common.log_level.as_deref()).map_err(|error| anyhow!(error))?;
    let log_format = common.log_format.map(LogFormat::from);
    let socket = common.socket.clone();
    shell::run(shell::Options { config, config_path, state_dir, socket, log_format, on_ready })
        .map_err(|error| anyhow!(error))
}

/// Refuses to start without a right that there is no way around, with the commands that grant it; says what is lost
/// without the others.
pub(super) fn check_rights(config: &Config, command: &str) -> anyhow::Result<()> {
    let privileges = privileges::Privileges::of_this_process();
    let needs = privileges.missing(config);
    if needs.iter().any(|need| need.without.is_none()) {
        let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("sekisho"));
        bail!("{}", privileges::explain(&needs, &program, command));
    }
    for need in &needs {
        let loss = need.without.unwrap_or_default();
        say(&format!("sekisho: without {} {loss} (it is needed to {})", need.capability, need.purpose));
    }
    if let Err(error) = privileges.share_with_children() {
        say(&format!("sekisho: the rights of this program cannot be passed on to `nft`: {error}"));
    }
    Ok(())
}

/// The state directory, made if it does not exist.
pub(super) fn state_dir(common: &Common) -> anyhow::Result<PathBuf> {
    let path = wanted_state_dir(common.state_dir.as_deref())?;
    config_file::make_private_dir(&path).with_context(|| {
        format!("cannot make the state directory {} (--state-dir names another)", path.display())
    })?;
    // Files keep their place when somebody changes the working directory.
    Ok(std::path::absolute(&path).unwrap_or(path))
}

/// The state directory that is wanted: as said, else by default.
pub(super) fn wanted_state_dir(said: Option<&Path>) -> anyhow::Result<PathBuf> {
    match said {
        Some(path) => Ok(path.to_owned()),
        None => default_state_dir(is_root(), |name| std::env::var_os(name).map(PathBuf::from)),
    }
}

/// What the environment says; else the system's place for root, and for everybody else their own (XDG base directories).
fn default_state_dir(root: bool, variable: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = variable("SEKISHO_STATE_DIR").filter(|path| !path.as_os_str().is_empty()) {
        return Ok(path);
    }
    if root {
        return Ok(PathBuf::from("/var/lib/sekisho"));
    }
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let base = variable("XDG_STATE_HOME").and_then(absolute);
    let home = || variable("HOME").and_then(absolute).map(|home| home.join(".local/state"));
    let base = base
        .or_else(home)
        .context("neither XDG_STATE_HOME nor HOME says where state is kept: use --state-dir")?;
    Ok(base.join("sekisho"))
}

/// Whether this is root as far as files go.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_has_a_place_for_root_and_for_everybody() {
        let with = |root, variables: &[(&str, &str)]| {
            let find = |name: &str| {
                variables.iter().find(|(n, _)| *n == name).map(|(_, value)| PathBuf::from(value))
            };
            default_state_dir(root, find).map(|path| path.display().to_string()).ok()
        };
        assert_eq!(with(true, &[("HOME", "/root")]).as_deref(), Some("/var/lib/sekisho"));
        assert_eq!(with(false, &[("HOME", "/home/a")]).as_deref(), Some("/home/a/.local/state/sekisho"));
        let both = [("HOME", "/home/a"), ("XDG_STATE_HOME", "/state")];
        assert_eq!(with(false, &both).as_deref(), Some("/state/sekisho"));
        assert_eq!(
            with(false, &[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]).as_deref(),
            Some("/h/.local/state/sekisho")
        );
        assert_eq!(with(true, &[("SEKISHO_STATE_DIR", "/here")]).as_deref(), Some("/here"));
        assert_eq!(with(false, &[]), None);
    }
}
