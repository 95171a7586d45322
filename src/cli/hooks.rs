//! For packagers: the completion scripts and the manual page come from the command line's own description.

use super::{Cli, show};
use anyhow::Context as _;
use clap::{Arg, Command, CommandFactory as _};
use std::fmt::Write as _;

pub(super) fn completion(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sekisho", &mut script);
    show(&String::from_utf8(script).context("the completion script is not text")?);
    Ok(())
}

pub(super) fn man() -> anyhow::Result<()> {
    show(&page()?);
    Ok(())
}

/// The manual page: one for all commands, so that one file is all there is to install.
fn page() -> anyhow::Result<String> {
    let mut command = Cli::command();
    command.build();
    let top = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    top.render_title(&mut page)?;
    top.render_name_section(&mut page)?;
    top.render_synopsis_section(&mut page)?;
    top.render_description_section(&mut page)?;
    let mut page = String::from_utf8(page).context("the manual page is not text")?;
    page.push_str(".SH COMMANDS\n");
    describe(&command, &mut page);
    page.push_str(".SH SEE ALSO\n");
    line("The documents that come with the program: configuration.md, hubs.md, control.md.", &mut page);
    Ok(page)
}

/// Writes a section for each command below this one, those of groups behind the group.
fn describe(command: &Command, page: &mut String) {
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        let usage = sub.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").trim();
        let _ = writeln!(page, ".SS \"{}\"", escaped(usage).replace('"', "\\(dq"));
        if let Some(about) = sub.get_long_about().or_else(|| sub.get_about()) {
            line(&about.to_string(), page);
        }
        let own = |arg: &&Arg| {
            let usual = ["help", "version"].contains(&arg.get_id().as_str());
            // What every command of a group takes stands at the group.
            !usual && !arg.is_hide_set() && (sub.has_subcommands() || !arg.is_global_set())
        };
        for arg in sub.get_arguments().filter(own) {
            let _ = writeln!(page, ".TP\n\\fB{}\\fR", escaped(&arg.to_string()));
            let mut help =
                arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
            let values: Vec<_> =
                arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
            if !values.is_empty() && arg.get_action().takes_values() {
                let _ = write!(help, " [{}]", values.join(", "));
            }
            line(&help, page);
        }
        describe(sub, page);
    }
}

fn line(text: &str, page: &mut String) {
    for line in text.lines().map(escaped) {
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(page, "{guard}{line}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_completion_and_knows_the_commands() {
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sekisho", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("monitor") && script.contains("dry-run"));
        }
        completion(clap_complete::Shell::Bash).unwrap();
    }

    /// No reader is sent to a page that there is not.
    #[test]
    fn the_page_has_every_command_and_option() {
        let page = page().unwrap();
        for text in [
            "sekisho ctl hub monitor",
            "sekisho ctl dhcp release",
            "\\-\\-filter",
            "\\-\\-dry\\-run",
            "\\-\\-json",
            "sekisho ctl ban add",
        ] {
            assert!(page.contains(text) || page.contains(&text.replace('-', "\\-")), "{text}\n{page}");
        }
        assert!(!page.contains("sekisho\\-ctl(1)") && !page.contains("sekisho bench"), "{page}");
        man().unwrap();
    }
}
