//! `sekisho import`: from another server's configuration to one of ours.

use super::{counted, say, show};
use anyhow::{Context as _, bail};
use clap::Args;
use sekisho::{
    config::{FileFacts, load},
    import::{self, Found},
    shell::{config_file, host},
};
use std::{
    fs,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// `sekisho import`.
#[derive(Args)]
pub(super) struct Import {
    /// SoftEther's vpn_server.config.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["chap_secrets", "ipsec_secrets"])]
    softether: Option<PathBuf>,
    /// pppd's chap-secrets.
    #[arg(long, value_name = "FILE")]
    chap_secrets: Option<PathBuf>,
    /// ipsec.secrets of strongSwan or libreswan.
    #[arg(long, value_name = "FILE")]
    ipsec_secrets: Option<PathBuf>,
    /// The hub that users of chap-secrets go to.
    #[arg(long, value_name = "HUB", default_value = "HUB1")]
    hub: String,
    /// The configuration to write; it must not exist [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn import(wanted: &Import) -> anyhow::Result<()> {
    let (found, source) = read(wanted)?;
    let mut taken: Vec<_> =
        found.hubs.iter().filter_map(|hub| hub.network.as_deref()?.parse().ok()).collect();
    let yaml = Zeroizing::new(found.yaml(&source, || {
        let free = host::free_network_besides(&taken);
        taken.push(free);
        free.to_string()
    }));
    match &wanted.out {
        None => show(&yaml),
        Some(path) if path.exists() => bail!("{} exists: name another file, or move it away", path.display()),
        Some(path) => config_file::write_private(path, yaml.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?,
    }
    let users: usize = found.hubs.iter().map(|hub| hub.users.len()).sum();
    say(&format!(
        "sekisho: imported {}, {}, {}; not taken over: {}",
        counted(found.hubs.len(), "hub"),
        counted(users, "user"),
        counted(found.psks.len(), "key"),
        counted(found.left_out.len(), "thing")
    ));
    for line in &found.left_out {
        say(&format!("  - {line}"));
    }
    // What is left to do is said by the check that every configuration goes through.
    let name = wanted.out.as_deref().unwrap_or(Path::new("the result")).display().to_string();
    let report = match load(&yaml, &FileFacts { name, mode: Some(0o600), now: config_file::unix_now() }) {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    say(&report.to_string());
    Ok(())
}

fn read(wanted: &Import) -> anyhow::Result<(Found, String)> {
    let text = |path: &Path| -> anyhow::Result<Zeroizing<String>> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
    };
    if let Some(path) = &wanted.softether {
        let found = import::softether(&text(path)?);
        let found = found.map_err(|why| anyhow::anyhow!("{}: {why}", path.display()))?;
        return Ok((found, path.display().to_string()));
    }
    let mut found = Found::default();
    let mut sources = Vec::new();
    if let Some(path) = &wanted.chap_secrets {
        import::chap_secrets(&text(path)?, &wanted.hub, &mut found);
        sources.push(path.display().to_string());
    }
    if let Some(path) = &wanted.ipsec_secrets {
        import::ipsec_secrets(&text(path)?, &mut found);
        sources.push(path.display().to_string());
    }
    if sources.is_empty() {
        bail!("from where? --softether FILE, or --chap-secrets FILE and --ipsec-secrets FILE");
    }
    if found.hubs.is_empty() {
        found.hubs.push(import::Hub { name: wanted.hub.clone(), ..import::Hub::default() });
    }
    Ok((found, sources.join(" and ")))
}
