//! Log lines on standard error, for people or for programs.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::{EnvFilter, fmt};

/// Changes the level while the program runs; nothing where the command line or the environment has set it.
static SET_LEVEL: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Starts logging. The level comes from `level` (the command line), else from `RUST_LOG`, else from the configuration;
/// the first two may name modules: `info,sekisho::ike=trace`.
///
/// # Errors
/// When a level is not understood, or logging was started before.
pub fn init(config: Log, level: Option<&str>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let from_environment = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|level| !level.is_empty());
    let said = level.or(from_environment.as_deref());
    let level = said.unwrap_or(config.level.name());
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("the log level `{level}` is not understood: {error}"))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let follows = said.is_none();
    match config.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_span_list(false).with_filter_reloading();
            remember(follows, lines.reload_handle());
            lines.try_init()
        }
        // systemd's journal has a clock of its own.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            let lines = lines.without_time().with_ansi(false).with_filter_reloading();
            remember(follows, lines.reload_handle());
            lines.try_init()
        }
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter_reloading();
            remember(follows, lines.reload_handle());
            lines.try_init()
        }
    }
}

fn remember<S: 'static>(follows: bool, handle: Handle<EnvFilter, S>) {
    if follows {
        // Logging starts once.
        let _ = SET_LEVEL.set(Box::new(move |filter| {
            let _ = handle.reload(filter);
        }));
    }
}

/// Follows a reload of the configuration, unless the command line or the environment has set the level.
pub(super) fn set_level(level: &str) {
    if let Some((set, filter)) = SET_LEVEL.get().zip(EnvFilter::try_new(level).ok()) {
        set(filter);
    }
}
