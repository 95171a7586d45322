//! Passwords from whoever sits at the terminal, from a pipe, or out of thin air.

use super::{first_run, show};
use anyhow::{Context as _, bail};
use clap::Args;
use sekisho::{config::edit::NewSecret, crypto::mschap, entropy::Entropy};
use std::io::{IsTerminal as _, Read as _};
use zeroize::Zeroizing;

/// Where a password comes from. Without any of these: asked for at a terminal, else made up.
#[derive(Args)]
pub(super) struct Source {
    /// Read the password from standard input.
    #[arg(long, conflicts_with_all = ["generate", "nt_hash"])]
    password_stdin: bool,
    /// Make up a password and print it.
    #[arg(long, conflicts_with = "nt_hash")]
    generate: bool,
    /// Take the NT hash that `sekisho hash` has printed.
    #[arg(long, value_name = "HASH")]
    nt_hash: Option<String>,
    /// Store only the NT hash of the password (CHAP with MD5 does not work then; MS-CHAPv2 and PAP do).
    #[arg(long, conflicts_with = "nt_hash")]
    hashed: bool,
}

/// What goes into the file.
pub(super) struct Chosen {
    text: Zeroizing<String>,
    is_hash: bool,
    /// A password that nobody knows yet.
    made_up: Option<Zeroizing<String>>,
}

impl Chosen {
    pub(super) fn secret(&self) -> NewSecret<'_> {
        if self.is_hash { NewSecret::NtHash(&self.text) } else { NewSecret::Password(&self.text) }
    }

    /// Tells the password that was made up: on standard output, for it is the result.
    pub(super) fn tell(&self) {
        if let Some(password) = &self.made_up {
            show(&format!("password: {}", password.as_str()));
        }
    }
}

impl Source {
    pub(super) fn choose(&self) -> anyhow::Result<Chosen> {
        if let Some(hash) = &self.nt_hash {
            return Ok(Chosen { text: Zeroizing::new(hash.clone()), is_hash: true, made_up: None });
        }
        let typed = if self.generate {
            None
        } else if self.password_stdin {
            Some(from_pipe()?)
        } else if std::io::stdin().is_terminal() {
            Some(typed_twice("Password (empty: make one up): ")?).filter(|text| !text.is_empty())
        } else {
            None
        };
        let (password, made_up) = match typed {
            Some(password) => (password, None),
            None => {
                let mut entropy =
                    Entropy::from_system().context("the system has no randomness for a password")?;
                let password = Zeroizing::new(first_run::secret(first_run::PASSWORD_LENGTH, &mut entropy));
                (password.clone(), Some(password))
            }
        };
        let text = if self.hashed { hash(&password) } else { password };
        Ok(Chosen { text, is_hash: self.hashed, made_up })
    }
}

/// `sekisho hash`: the NT hash of a password, for `nt_hash`.
pub(super) fn print_hash() -> anyhow::Result<()> {
    let password = if std::io::stdin().is_terminal() { typed_twice("Password: ")? } else { from_pipe()? };
    if password.is_empty() {
        bail!("the password is empty");
    }
    show(&hash(&password));
    Ok(())
}

fn hash(password: &str) -> Zeroizing<String> {
    use std::fmt::Write as _;
    let mut text = Zeroizing::new(String::new());
    for byte in *mschap::nt_hash(password) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Standard input up to the end of its first line.
pub(super) fn from_pipe() -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().read_to_string(&mut text).context("cannot read the password from standard input")?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    if line.is_empty() {
        bail!("standard input has no password");
    }
    Ok(Zeroizing::new(line))
}

fn typed_twice(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).context("the terminal cannot be read")
    };
    let first = ask(prompt)?;
    if !first.is_empty() && *ask("Again: ")? != *first {
        bail!("the two are not the same");
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_of_rfc_2759() {
        assert_eq!(hash("clientPass").as_str(), "44ebba8d5312b8d611474411f56989ae");
    }
}
