//! Log lines on standard error, for people or for programs.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging. The level comes from `level` (the command line), else from `RUST_LOG`, else from the configuration;
/// the first two may name modules: `info,sekisho::ike=trace`.
///
/// # Errors
/// When a level is not understood, or logging was started before.
pub fn init(config: Log, level: Option<&str>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let from_environment = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|level| !level.is_empty());
    let level = level.or(from_environment.as_deref()).unwrap_or(config.level.name());
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("the log level `{level}` is not understood: {error}"))?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).try_init(),
        // systemd's journal has a clock of its own.
        LogFormat::Text if std::env::var_os("JOURNAL_STREAM").is_some() => {
            lines.without_time().with_ansi(false).try_init()
        }
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
    }
}
