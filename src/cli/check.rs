//! `sekisho check`: what there is to say about a file, and an exit code for scripts.

use super::{say, show};
use sekisho::{config::Report, shell::config_file};
use std::{path::Path, process::ExitCode};

pub(super) fn check(path: &Path) -> ExitCode {
    match config_file::read(path) {
        Ok(loaded) => {
            let hubs = loaded.config.hubs.len();
            let users: usize = loaded.config.hubs.iter().map(|hub| hub.users.len()).sum();
            show(&loaded.warnings.to_string());
            let contents = format!("{}, {}", count(hubs, "hub"), count(users, "user"));
            show(&format!("{}: ok ({contents}; {})", path.display(), summary(&loaded.warnings)));
            ExitCode::SUCCESS
        }
        Err(config_file::Error::Wrong(report)) => {
            show(&report.to_string());
            show(&format!("{}: cannot be used ({})", path.display(), summary(&report)));
            ExitCode::FAILURE
        }
        Err(error @ config_file::Error::Unreadable { .. }) => {
            say(&format!("sekisho: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn summary(report: &Report) -> String {
    let (errors, warnings) = (report.errors().count(), report.warnings().count());
    match errors {
        0 => count(warnings, "warning"),
        _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn count(number: usize, of: &str) -> String {
    match number {
        0 => format!("no {of}s"),
        1 => format!("1 {of}"),
        _ => format!("{number} {of}s"),
    }
}
