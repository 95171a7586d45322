//! For packagers: the completion scripts and the manual page come from the command line's own description.

use super::{Cli, show};
use anyhow::Context as _;
use clap::CommandFactory as _;

pub(super) fn completion(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "sekisho", &mut script);
    show(&String::from_utf8(script).context("the completion script is not text")?);
    Ok(())
}

pub(super) fn man() -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    show(&String::from_utf8(page).context("the manual page is not text")?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_completion_and_there_is_a_page() {
        completion(clap_complete::Shell::Bash).unwrap();
        man().unwrap();
    }
}
