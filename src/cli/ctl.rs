//! `sekisho ctl`: asks and tells a running gateway through its control socket.

use super::{ctl_link, ctl_show, say, start};
use clap::{Args, Subcommand, ValueEnum};
use sekisho::{config::Span, control::Command, shell::control_socket, story::Lang};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    process::ExitCode,
};

/// `sekisho ctl`.
#[derive(Args)]
pub(super) struct Ctl {
    /// The gateway's control socket [default: control.sock in the state directory]
    #[arg(long, value_name = "FILE", global = true)]
    socket: Option<PathBuf>,
    /// The gateway's state directory.
    #[arg(long, value_name = "DIR", global = true)]
    state_dir: Option<PathBuf>,
    /// Print one JSON object a line, for programs.
    #[arg(long, global = true)]
    json: bool,
    /// The language of causes and advice [default: ja when LC_ALL, LC_MESSAGES or LANG says so, else en]
    #[arg(long, value_name = "LANG", global = true)]
    lang: Option<Language>,
    #[command(subcommand)]
    command: CtlCommand,
}

#[derive(Clone, Copy, ValueEnum)]
enum Language {
    En,
    Ja,
}

#[derive(Subcommand)]
enum CtlCommand {
    /// The gateway as a whole.
    Status,
    /// Hubs.
    #[command(subcommand)]
    Hub(Hub),
    /// Users' sessions.
    #[command(subcommand)]
    Session(Session),
    /// The stations that hubs have learned.
    #[command(subcommand)]
    Mac(Mac),
    /// The IP addresses that hubs have learned.
    #[command(subcommand)]
    Ip(Ip),
    /// Leases.
    #[command(subcommand)]
    Dhcp(Dhcp),
    /// NATs: the kernel's, and our own.
    #[command(subcommand)]
    Nat(Nat),
    /// Routers between hubs.
    #[command(subcommand)]
    Router(Router),
    /// Connection attempts, the newest first.
    Stories {
        /// Those of this user alone.
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Those from this address alone.
        #[arg(long, value_name = "ADDR")]
        from: Option<IpAddr>,
        /// Those alone that failed, or look as if they would.
        #[arg(long)]
        failed: bool,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
    /// Why somebody cannot connect: the last attempt that failed or is on its way, in plain words.
    Why {
        /// The client's address, or its user: 203.0.113.7, jiro, jiro@HUB1.
        #[arg(value_name = "ADDR|USER")]
        of: String,
    },
    /// The access list of a hub, with what each rule has met.
    Acl { hub: String },
    /// Who has failed lately: slowed down or barred.
    #[command(subcommand)]
    Ban(Ban),
    /// Why packets went no further, by worker.
    Drops,
    /// Read the configuration file again. Sessions that the change does not touch stay.
    Reload {
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Subcommand)]
enum Hub {
    /// All hubs.
    List,
    /// One hub.
    Show { hub: String },
    /// Let users in again.
    Online { hub: String },
    /// Close the sessions of a hub and let nobody in, until it is online again or the gateway restarts.
    Offline { hub: String },
    /// Show every frame of a hub as pcapng, until ^C: `... | wireshark -k -i -`.
    Monitor {
        hub: String,
        /// Those frames alone: host, net, mac, port, vlan, proto and names (arp, tcp, dhcp, ...), with and, or, not, ( ).
        #[arg(long, value_name = "EXPRESSION", default_value = "")]
        filter: String,
        /// Write into this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        write: Option<PathBuf>,
        /// End after so many frames.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
}

#[derive(Subcommand)]
enum Session {
    /// All sessions, the oldest first.
    List {
        /// Those of this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
        /// Those of this user alone.
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// Those from this address alone.
        #[arg(long, value_name = "ADDR")]
        from: Option<IpAddr>,
    },
    /// One session, or those of a user, with all that is known.
    Show {
        /// Its number, or a user: 17, jiro, jiro@HUB1.
        #[arg(value_name = "SESSION|USER")]
        of: String,
    },
    /// Close a session, or those of a user.
    Kick {
        /// Its number, or a user: 17, jiro, jiro@HUB1.
        #[arg(value_name = "SESSION|USER")]
        of: String,
    },
}

#[derive(Subcommand)]
enum Mac {
    /// All stations.
    List {
        /// Of this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
    },
    /// Forget a station.
    Delete {
        hub: String,
        mac: String,
        /// Its VLAN.
        #[arg(long, default_value_t = 0)]
        vlan: u16,
    },
}

#[derive(Subcommand)]
enum Ip {
    /// All addresses.
    List {
        /// Of this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
    },
    /// Forget an address.
    Delete { hub: String, address: IpAddr },
}

#[derive(Subcommand)]
enum Dhcp {
    /// Who has which address, and who had it.
    List {
        /// Of this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
    },
    /// End a lease, or the memory of one: anybody may get the address.
    Release { hub: String, address: Ipv4Addr },
}

#[derive(Subcommand)]
enum Nat {
    /// What goes through them.
    List {
        /// Of this hub alone.
        #[arg(long, value_name = "HUB")]
        hub: Option<String>,
    },
}

#[derive(Subcommand)]
enum Router {
    /// The interfaces and routes of all routers.
    List,
}

#[derive(Subcommand)]
enum Ban {
    /// Sources and users that have failed lately, or were barred.
    List,
    /// Bar a source or a user until the time is over or the gateway restarts. Sessions that are up stay.
    Add {
        /// An address, a prefix, or a user: 203.0.113.7, 203.0.113.0/24, jiro, jiro@HUB1.
        #[arg(value_name = "SOURCE|USER")]
        who: String,
        /// For how long: 30m, 8h, 7d.
        #[arg(long = "for", value_name = "TIME", default_value = "1d")]
        time: Span,
    },
    /// Let a source or a user off.
    Clear {
        /// As `ban list` shows them.
        #[arg(value_name = "SOURCE|USER", required_unless_present = "all")]
        who: Option<String>,
        /// Everybody.
        #[arg(long, conflicts_with = "who")]
        all: bool,
    },
}

impl CtlCommand {
    fn to_command(&self, lang: Lang) -> Command {
        match self {
            Self::Status => Command::Status {},
            Self::Hub(Hub::List) => Command::HubList {},
            Self::Hub(Hub::Show { hub }) => Command::HubShow { hub: hub.clone() },
            Self::Hub(Hub::Online { hub }) => Command::HubOnline { hub: hub.clone() },
            Self::Hub(Hub::Offline { hub }) => Command::HubOffline { hub: hub.clone() },
            Self::Hub(Hub::Monitor { hub, filter, count, .. }) => {
                Command::HubMonitor { hub: hub.clone(), filter: filter.clone(), count: *count }
            }
            Self::Session(Session::List { hub, user, from }) => {
                Command::SessionList { hub: hub.clone(), user: user.clone(), from: *from }
            }
            Self::Session(Session::Show { of }) => Command::SessionShow { of: of.clone() },
            Self::Session(Session::Kick { of }) => Command::SessionKick { of: of.clone() },
            Self::Mac(Mac::List { hub }) => Command::MacList { hub: hub.clone() },
            Self::Mac(Mac::Delete { hub, mac, vlan }) => {
                Command::MacDelete { hub: hub.clone(), mac: mac.clone(), vlan: *vlan }
            }
            Self::Ip(Ip::List { hub }) => Command::IpList { hub: hub.clone() },
            Self::Ip(Ip::Delete { hub, address }) => {
                Command::IpDelete { hub: hub.clone(), address: *address }
            }
            Self::Dhcp(Dhcp::List { hub }) => Command::DhcpList { hub: hub.clone() },
            Self::Dhcp(Dhcp::Release { hub, address }) => {
                Command::DhcpRelease { hub: hub.clone(), address: *address }
            }
            Self::Nat(Nat::List { hub }) => Command::NatList { hub: hub.clone() },
            Self::Router(Router::List) => Command::RouterList {},
            Self::Stories { user, from, failed, limit } => {
                Command::Stories { user: user.clone(), from: *from, failed: *failed, limit: *limit, lang }
            }
            Self::Why { of } => Command::Why { of: of.clone(), lang },
            Self::Acl { hub } => Command::AclList { hub: hub.clone() },
            Self::Ban(Ban::List) => Command::BanList {},
            Self::Ban(Ban::Add { who, time }) => {
                Command::BanAdd { who: who.clone(), seconds: time.0.as_secs() }
            }
            Self::Ban(Ban::Clear { who, .. }) => Command::BanClear { who: who.clone() },
            Self::Drops => Command::Drops {},
            Self::Reload { dry_run } => Command::Reload { dry_run: *dry_run },
        }
    }
}

/// Nobody answers, or the answer ended in the middle.
const NO_GATEWAY: u8 = 3;

pub(super) fn ctl(ctl: &Ctl) -> ExitCode {
    let lang = language(ctl.lang, |name| std::env::var(name).ok());
    let command = ctl.command.to_command(lang);
    let socket = match &ctl.socket {
        Some(socket) => socket.clone(),
        None => match start::wanted_state_dir(ctl.state_dir.as_deref()) {
            Ok(dir) => dir.join(control_socket::FILE_NAME),
            Err(error) => {
                say(&format!("sekisho: {error:#}"));
                return ExitCode::from(NO_GATEWAY);
            }
        },
    };
    let result = if let CtlCommand::Hub(Hub::Monitor { write, .. }) = &ctl.command {
        ctl_link::stream(&socket, &command, write.as_deref())
    } else if ctl.json {
        ctl_link::ask(&socket, &command, &mut ctl_show::json)
    } else {
        ctl_show::people(&socket, &command, lang)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(ctl_link::Error::Refused(refusal)) if ctl.json => {
            ctl_show::json_refusal(&refusal);
            ExitCode::FAILURE
        }
        Err(ctl_link::Error::Refused(refusal)) => {
            // The findings of a configuration are lines of their own.
            let lines: Vec<String> = refusal.message.lines().map(super::ctl_table::printable).collect();
            say(&format!("sekisho: {}", lines.join("\n")));
            ExitCode::FAILURE
        }
        Err(error) => {
            say(&format!("sekisho: {error}"));
            let local = matches!(error, ctl_link::Error::Local(_));
            if local { ExitCode::FAILURE } else { ExitCode::from(NO_GATEWAY) }
        }
    }
}

fn language(said: Option<Language>, variable: impl Fn(&str) -> Option<String>) -> Lang {
    match said {
        Some(Language::En) => Lang::En,
        Some(Language::Ja) => Lang::Ja,
        None => {
            let set = ["LC_ALL", "LC_MESSAGES", "LANG"]
                .iter()
                .find_map(|name| variable(name).filter(|v| !v.is_empty()));
            if set.is_some_and(|locale| locale.starts_with("ja")) { Lang::Ja } else { Lang::En }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_locales_unless_said() {
        let with = |said, set: &[(&str, &str)]| {
            language(said, |name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(with(None, &[]), Lang::En);
        assert_eq!(with(None, &[("LANG", "ja_JP.UTF-8")]), Lang::Ja);
        assert_eq!(with(None, &[("LANG", "ja_JP.UTF-8"), ("LC_ALL", "C")]), Lang::En);
        assert_eq!(with(Some(Language::En), &[("LANG", "ja_JP.UTF-8")]), Lang::En);
        assert_eq!(with(Some(Language::Ja), &[]), Lang::Ja);
    }
}
