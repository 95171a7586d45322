//! `sekisho profile`: what a user's device imports, or the steps by hand.

use super::{edit_file::Target, say, show, user};
use anyhow::{Context as _, anyhow, bail};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use qrcode::{QrCode, render::unicode};
use sekisho::{
    config::{Config, Credential, Network},
    profile::{self, Account, System},
    shell::{config_file, host},
};
use std::path::PathBuf;

/// `sekisho profile`.
#[derive(Args)]
pub(super) struct Profile {
    #[command(flatten)]
    target: Target,
    /// The user: jiro, jiro@OFFICE.
    #[arg(value_name = "USER")]
    user: String,
    /// The system of the device.
    #[arg(long = "for", value_name = "SYSTEM", value_parser = system())]
    system: System,
    /// The name or address that the device dials [default: `listen.name`, else this host's address]
    #[arg(long, value_name = "NAME|ADDRESS")]
    server: Option<String>,
    /// What the connection is called on the device.
    #[arg(long, value_name = "NAME", default_value = "Sekisho")]
    name: String,
    /// Send only this network through the VPN; may be given several times [default: everything]
    #[arg(long, value_name = "NETWORK")]
    route: Vec<Network>,
    /// A NAT is in front of the gateway [default: if its address is a private one]
    #[arg(long)]
    behind_nat: bool,
    /// Leave the password out; the device asks for it.
    #[arg(long)]
    no_password: bool,
    /// Write the files into this directory instead of printing them.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print key and password as QR codes besides: a phone's camera reads them, and they need not be typed.
    #[arg(long)]
    qr: bool,
}

fn system() -> impl TypedValueParser<Value = System> {
    PossibleValuesParser::new(System::ALL.map(System::name)).try_map(|name| name.parse::<System>())
}

pub(super) fn profile(wanted: &Profile) -> anyhow::Result<()> {
    let (document, loaded) = wanted.target.read()?;
    let (hub, name) = user::find(&document, &wanted.user, None)?;
    let account = account(wanted, &loaded.config, &hub, &name)?;
    let made = profile::make(wanted.system, &account);
    if let Some(directory) = &wanted.out {
        config_file::make_private_dir(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        for file in &made.files {
            let path = directory.join(&file.file);
            config_file::write_private(&path, file.content.as_bytes())
                .with_context(|| format!("cannot write {}", path.display()))?;
            say(&format!("{}: {}", path.display(), file.note));
        }
        say(&made.steps);
    } else if let [file] = made.files.as_slice() {
        // The file alone on standard output, so that it can be piped.
        show(&file.content);
        say(&format!("{}: {}\n{}", file.file, file.note, made.steps));
    } else {
        for file in &made.files {
            show(&format!("==> {} ({})\n{}", file.file, file.note, file.content));
        }
        show(&made.steps);
    }
    if wanted.qr {
        say(&qr("Key", &account.psk)?);
        if let Some(password) = &account.password {
            say(&qr("Password", password)?);
        }
    }
    Ok(())
}

fn account(wanted: &Profile, config: &Config, hub: &str, name: &str) -> anyhow::Result<Account> {
    let hub = config.hub(hub).context("there is no such hub")?;
    let user = hub.user(name).ok_or_else(|| anyhow!("hub {} has no user {name}", hub.name))?;
    let password = match &user.credential {
        Credential::Password(password) if !wanted.no_password => {
            Some(String::from_utf8_lossy(password).into_owned())
        }
        _ => None,
    };
    let psk = config.psk_for(hub).with_context(|| format!("no key of `ipsec.psk` opens hub {}", hub.name))?;
    let listens = config.listen.addresses.iter().copied().find(|address| !address.is_unspecified());
    let address = listens.or_else(host::likely_address);
    let server = match (wanted.server.as_ref().or(config.listen.name.as_ref()), address) {
        (Some(server), _) => server.clone(),
        (None, Some(address)) => address.to_string(),
        (None, None) => bail!("by which address is this gateway reached? --server NAME"),
    };
    if server.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\')) {
        bail!("{server:?} is no server's name or address");
    }
    let is_default = config.default_hub().is_some_and(|default| default.name == hub.name);
    Ok(Account {
        name: wanted.name.clone(),
        server,
        psk: String::from_utf8_lossy(&psk.key).into_owned(),
        user: if is_default { user.name.clone() } else { format!("{}@{}", user.name, hub.name) },
        password,
        behind_nat: wanted.behind_nat || address.is_some_and(host::is_private),
        routes: wanted.route.iter().map(ToString::to_string).collect(),
    })
}

fn qr(title: &str, text: &str) -> anyhow::Result<String> {
    let code = QrCode::new(text.as_bytes()).context("too long for a QR code")?;
    let picture = code.render::<unicode::Dense1x2>().quiet_zone(true).build();
    Ok(format!("{title}:\n{picture}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_becomes_a_picture_of_its_size() {
        let picture = qr("Key", "kT7nVpQ2xWz9RbHm4cJd").unwrap();
        // Version 2: 25 modules and 4 of white on each side, two to a line.
        assert_eq!(picture.lines().count(), 1 + 33_usize.div_ceil(2));
        assert!(qr("Key", &"x".repeat(5_000)).is_err());
    }
}
