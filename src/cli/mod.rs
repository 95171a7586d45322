//! The command line. One file per command; what they print is for people, unless `--json` asks for something else.

mod bench;
mod card;
mod check;
mod ctl;
mod ctl_link;
mod ctl_show;
mod ctl_table;
mod doctor;
mod edit_file;
mod first_run;
mod hooks;
mod hub;
mod import;
mod password;
mod profile;
mod psk;
mod start;
mod up;
mod user;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sekisho::config::LogFormat;
use std::{io::Write as _, path::PathBuf, process::ExitCode};

/// IPsec/L2TP remote-access gateway for the VPN clients that operating systems already contain.
#[derive(Parser)]
#[command(name = "sekisho", version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start with no preparation: makes a configuration on the first run, prints how to connect, and runs.
    Up(Up),
    /// Run with a configuration file of your own.
    Run(Run),
    /// Check a configuration file: every error and warning, with line and hint. Exit code 0 when it can be used.
    Check(Check),
    /// Ask or tell a running gateway. Exit code 0 when done, 1 when refused, 3 when no gateway answers.
    Ctl(ctl::Ctl),
    /// Look for everything that keeps clients out. Exit code 0: all is well, 1: something is broken, 2: warnings.
    Doctor(doctor::Doctor),
    /// Users: add, remove, new passwords. The running gateway follows.
    User(user::User),
    /// Hubs of the configuration: add, remove. The running gateway follows.
    Hub(hub::Hub),
    /// Pre-shared keys: a new one, with time for everybody to change over.
    Psk(psk::Psk),
    /// What a user's device imports to connect, or the steps by hand.
    Profile(profile::Profile),
    /// Take over users and keys of SoftEther VPN Server, or of pppd and strongSwan.
    Import(import::Import),
    /// Print the NT hash of a password, to be stored instead of it (`nt_hash`).
    Hash,
    /// Act as many native clients against an L2TP/IPsec server and measure.
    #[command(hide = true)]
    Bench(bench::Bench),
    /// Print the shell's completion script.
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page: `sekisho man | man -l -`.
    Man,
}

/// `sekisho up`.
#[derive(Args)]
struct Up {
    /// Print the card as one line of JSON once the ports are open (server, psk, hub, user, password, gateway, network).
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

/// `sekisho run`.
#[derive(Args)]
struct Run {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// `sekisho check`.
#[derive(Args)]
struct Check {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What `up` and `run` share.
#[derive(Args)]
struct Common {
    /// Where leases, the configuration of `up`, and notes for cleaning up are kept
    /// [default: $SEKISHO_STATE_DIR; else /var/lib/sekisho, or ~/.local/state/sekisho without root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The control socket, for `sekisho ctl` [default: control.sock in the state directory]
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// How log lines look, whatever the configuration says.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<Format>,
    /// How much is logged, whatever the configuration and RUST_LOG say: error, warn, info, debug, trace.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(up) => up::up(&up),
        Command::Run(run) => start::run(&run),
        Command::Check(check) => return check::check(&check.config),
        Command::Ctl(ctl) => return ctl::ctl(&ctl),
        Command::Doctor(doctor) => return doctor::doctor(&doctor),
        Command::User(user) => user::user(&user),
        Command::Hub(hub) => hub::hub(&hub),
        Command::Psk(psk) => psk::psk(&psk),
        Command::Profile(wanted) => profile::profile(&wanted),
        Command::Import(wanted) => import::import(&wanted),
        Command::Hash => password::print_hash(),
        Command::Bench(bench) => bench::bench(&bench),
        Command::Completion { shell } => hooks::completion(shell),
        Command::Man => hooks::man(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("sekisho: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints something for the person at the terminal, on standard error: standard output is for results. When that
/// fails, nobody is left to be told.
fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", text.trim_end());
    }
}

/// Prints a result on standard output. A reader who has gone (`| head`) is no fault.
fn show(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }
}

/// A number of things in words: `1 hub`, `2 hubs`.
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        for line in [
            "sekisho up --state-dir /tmp/x --json",
            "sekisho run --config a.yaml --log-format json",
            "sekisho check --config a.yaml",
            "sekisho ctl status --json",
            "sekisho ctl --json session list --hub A --user jiro --from 192.0.2.1",
            "sekisho ctl session kick 17",
            "sekisho ctl hub offline A",
            "sekisho ctl mac delete A 5a:00:00:00:00:01",
            "sekisho ctl dhcp release A 10.0.0.1",
            "sekisho ctl stories --failed --limit 5 --lang ja",
            "sekisho ctl why jiro@A",
            "sekisho ctl --socket /tmp/s reload --dry-run",
            "sekisho user add jiro@OFFICE --generate --address 10.60.0.9 --config a.yaml",
            "sekisho user --config a.yaml passwd jiro --hub OFFICE --password-stdin",
            "sekisho user del jiro",
            "sekisho user list --json",
            "sekisho user disable jiro",
            "sekisho hub add GUESTS --network 10.61.0.0/24 --uplink none --default",
            "sekisho hub add OFFICE --bridge br0 --interface eth1 --range 192.168.1.200-192.168.1.250",
            "sekisho hub add OFFICE --interface eth1 --lan-dhcp",
            "sekisho hub del GUESTS",
            "sekisho psk rotate --until 2099-12-31 --hub GUESTS",
            "sekisho psk list --show",
            "sekisho hash",
            "sekisho profile jiro@OFFICE --for ios --server vpn.example.org --route 10.60.0.0/16 --out x --qr",
            "sekisho import --softether vpn_server.config --out a.yaml",
            "sekisho import --chap-secrets a --ipsec-secrets b --hub OFFICE",
            "sekisho doctor --json --stun stun.example.org:3478 --name vpn.example.org --target-host 10.60.0.9",
            "sekisho bench load --server 127.0.0.1 --psk k --user u --password p --size 64,imix --burst 1,44",
            "sekisho bench hold --server 127.0.0.1 --psk k --user u{n} --password p --clients 10",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "sekisho run",
            "sekisho hub add A --uplink nat --bridge br0",
            "sekisho hub add A --interface eth1 --lan-dhcp --range 10.0.0.5-10.0.0.9",
            "sekisho profile jiro --for beos",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
