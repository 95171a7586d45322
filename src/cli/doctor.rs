//! `sekisho doctor`: looks for what keeps clients out before they tell.

use super::{counted, ctl_link, edit_file::Target, first_run, say, show};
use anyhow::Context as _;
use clap::Args;
use sekisho::{
    config::{AddressSource, Config, Hub, Uplink},
    control::{Command, GuestRow, HubRow, IpRow, StatusRow},
    doctor::{Line, Report},
    entropy::Entropy,
    shell::{
        config_file,
        doctor::{Examination, Running, epilogue, examine, peer_process, self_connect},
        host,
    },
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{self, ExitCode, Stdio},
    time::{Duration, Instant},
};

/// `sekisho doctor`.
#[derive(Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    target: Target,
    /// Print one JSON object, for programs.
    #[arg(long)]
    json: bool,
    /// Ask this STUN server by which address the Internet sees this host.
    #[arg(long, value_name = "HOST:PORT")]
    stun: Option<String>,
    /// The name that clients have been given for the gateway [default: `listen.name`]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The hub that our own client connects to [default: the default hub, and each that has `targets`]
    #[arg(long, value_name = "HUB")]
    hub: Option<String>,
    /// A host that must answer from inside the hub, besides those that its `targets` list; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    target_host: Vec<Ipv4Addr>,
    /// Do not connect.
    #[arg(long)]
    no_connect: bool,
}

const CONFIG: &str = "config";

pub(super) fn doctor(doctor: &Doctor) -> ExitCode {
    let report = look(doctor);
    if doctor.json {
        match serde_json::to_string(&report) {
            Ok(json) => show(&json),
            Err(error) => say(&format!("sekisho: {error}")),
        }
    } else {
        show(&report.text());
    }
    ExitCode::from(report.exit_code())
}

fn look(doctor: &Doctor) -> Report {
    let mut report = Report::default();
    let Some(config) = configuration(&doctor.target, &mut report) else { return report };
    let running = running(&doctor.target, &mut report);
    let examination = Examination {
        config: &config,
        running: running.clone(),
        stun: doctor.stun.clone(),
        name: doctor.name.clone().or_else(|| config.listen.name.clone()),
    };
    report.lines.extend(examine(&examination).lines);
    if !doctor.no_connect && config.listen.l2tp_ipsec {
        report.lines.extend(connect(doctor, &config, running.as_ref()).unwrap_or_else(|error| {
            let remedy = if nix::unistd::geteuid().is_root() {
                "what the lines above say of ports, rights and kernel"
            } else {
                "run it as root: sudo sekisho doctor"
            };
            vec![Line::warn("self-connect", format!("not tried: {error:#}"), remedy)]
        }));
    }
    report.lines.push(epilogue());
    report
}

/// Whether the file can be used, and what is unwise about it: weak keys are among that.
fn configuration(target: &Target, report: &mut Report) -> Option<Config> {
    let path = match target.path() {
        Ok(path) => path,
        Err(error) => {
            report.lines.push(Line::fail(CONFIG, format!("{error:#}"), "--config FILE"));
            return None;
        }
    };
    let finding_line = |finding: &sekisho::config::Finding, fail: bool| {
        let place = finding.position.map_or(String::new(), |at| format!(":{}", at.line));
        let found = format!("{}{place}: {} {}", path.display(), finding.key, finding.message);
        let remedy = finding.hint.clone().unwrap_or_else(|| "docs/configuration.md".to_owned());
        if fail { Line::fail(CONFIG, found, remedy) } else { Line::warn(CONFIG, found, remedy) }
    };
    match config_file::read(&path) {
        Ok(loaded) => {
            let users: usize = loaded.config.hubs.iter().map(|hub| hub.users.len()).sum();
            let hubs = loaded.config.hubs.len();
            let found = format!("{}: {}, {}", path.display(), counted(hubs, "hub"), counted(users, "user"));
            report.lines.push(Line::ok(CONFIG, found));
            report.lines.extend(loaded.warnings.findings.iter().map(|finding| finding_line(finding, false)));
            Some(loaded.config)
        }
        Err(config_file::Error::Wrong(wrong)) => {
            report.lines.extend(wrong.errors().map(|finding| finding_line(finding, true)));
            None
        }
        Err(error) => {
            let remedy = "`sekisho up` makes one; --config names another";
            report.lines.push(Line::fail(CONFIG, error.to_string(), remedy));
            None
        }
    }
}

fn running(target: &Target, report: &mut Report) -> Option<Running> {
    const CHECK: &str = "gateway";
    let socket = target.socket().ok()?;
    let mut status = None;
    let asked = ctl_link::ask(&socket, &Command::Status {}, &mut |rows| {
        status = rows.into_iter().next().and_then(|row| serde_json::from_value::<StatusRow>(row).ok());
    });
    let Some(status) = status.filter(|_| asked.is_ok()) else {
        let found = format!("no gateway answers at {}", socket.display());
        report.lines.push(Line::warn(CHECK, found, "sekisho run --config FILE, or sekisho up"));
        return None;
    };
    let found = format!("runs with {}, {}", status.config, counted(status.sessions, "session"));
    let ours =
        target.path().is_ok_and(|path| fs::canonicalize(path).ok() == fs::canonicalize(&status.config).ok());
    report.lines.push(if ours {
        Line::ok(CHECK, found)
    } else {
        Line::warn(CHECK, found, "this is another file than the one that is looked at: --config")
    });
    let mut hubs = Vec::new();
    let _ = ctl_link::ask(&socket, &Command::HubList {}, &mut |rows| {
        let rows = rows.into_iter().filter_map(|row| serde_json::from_value::<HubRow>(row).ok());
        hubs.extend(rows.map(|row| (row.hub, row.addresses_held, row.range)));
    });
    let process = peer_process(&socket);
    ours.then_some(Running { socket, process, hubs })
}

/// Connects through the running gateway as a guest of a minute, or, where none runs, through one of our own with the
/// same ports.
fn connect(doctor: &Doctor, config: &Config, running: Option<&Running>) -> anyhow::Result<Vec<Line>> {
    let chosen = match &doctor.hub {
        Some(name) => config.hub(name).with_context(|| format!("there is no hub {name}"))?,
        None => config.default_hub().or(config.hubs.first()).context("there is no hub")?,
    };
    let address = config.listen.addresses.iter().copied().find(|address| !address.is_unspecified());
    let address = address.or_else(host::likely_address).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let to = SocketAddr::new(address, config.listen.ports.nat_t);
    let others = config.hubs.iter().filter(|hub| {
        let worth_it = !hub.targets.is_empty() || hub.address == AddressSource::LanDhcp;
        doctor.hub.is_none() && hub.name != chosen.name && worth_it
    });
    let Some(running) = running else {
        let mut lines = private_instance(config, to)?;
        if !doctor.target_host.is_empty() || config.hubs.iter().any(|hub| !hub.targets.is_empty()) {
            let remedy = "start the gateway, and run this again";
            lines.push(Line::warn("target", "not asked: no gateway runs whose hubs they are behind", remedy));
        }
        return Ok(lines);
    };
    let mut lines = as_guest(running, config, chosen, to, &doctor.target_host)?;
    for hub in others {
        lines.extend(as_guest(running, config, hub, to, &[])?);
    }
    Ok(lines)
}

/// Connects to a hub of the running gateway.
fn as_guest(
    running: &Running,
    config: &Config,
    hub: &Hub,
    to: SocketAddr,
    besides: &[Ipv4Addr],
) -> anyhow::Result<Vec<Line>> {
    let psk = config.psk_for(hub).with_context(|| format!("no key of `ipsec.psk` opens hub {}", hub.name))?;
    let mut guest = None;
    ctl_link::ask(&running.socket, &Command::Guest { hub: hub.name.clone() }, &mut |rows| {
        guest = rows.into_iter().next().and_then(|row| serde_json::from_value::<GuestRow>(row).ok());
    })?;
    let guest = guest.context("the gateway's answer is not understood")?;
    let lines = self_connect::examine(&self_connect::Attempt {
        hub: &hub.name,
        uplink: &hub.uplink,
        routes: hub.address == AddressSource::Pool,
        to,
        psk: String::from_utf8_lossy(&psk.key).into_owned(),
        user: format!("{}@{}", guest.user, guest.hub),
        password: guest.password,
        targets: hub.targets.iter().chain(besides).copied().collect(),
        has_neighbour: &|address| hub.network.contains(address).then(|| is_known(running, hub, address)),
    });
    let _ = ctl_link::ask(&running.socket, &Command::GuestLeaves {}, &mut drop);
    Ok(lines)
}

/// Whether a hub has heard of an address by ARP.
fn is_known(running: &Running, hub: &Hub, address: Ipv4Addr) -> bool {
    let mut known = false;
    let command = Command::IpList { hub: Some(hub.name.clone()) };
    let _ = ctl_link::ask(&running.socket, &command, &mut |rows| {
        let rows = rows.into_iter().filter_map(|row| serde_json::from_value::<IpRow>(row).ok());
        known |= rows.into_iter().any(|row| row.address == address);
    });
    known
}

/// A gateway of our own for a moment: the configured ports, a hub that leads nowhere, one user.
fn private_instance(config: &Config, to: SocketAddr) -> anyhow::Result<Vec<Line>> {
    let mut entropy = Entropy::from_system().context("no randomness")?;
    let (psk, password) = (first_run::secret(20, &mut entropy), first_run::secret(12, &mut entropy));
    let network = host::free_network_besides(&[]);
    let addresses: Vec<String> = config.listen.addresses.iter().map(|a| format!("\"{a}\"")).collect();
    let ports = config.listen.ports;
    let text = format!(
        "listen: {{ addresses: [{}], ports: {{ ike: {}, nat_t: {}, l2tp: {} }} }}\nipsec: {{ psk: \"{psk}\" }}\n\
         hubs: {{ DOCTOR: {{ network: {network}, uplink: none, users: {{ doctor: {{ password: \"{password}\" }} }} }} }}\n\
         log: {{ level: error }}\n",
        addresses.join(", "),
        ports.ike,
        ports.nat_t,
        ports.l2tp
    );
    let directory = TempDir::new(&mut entropy)?;
    let file = directory.0.join("doctor.yaml");
    config_file::write_private(&file, text.as_bytes()).context("cannot write a temporary configuration")?;
    let program = std::env::current_exe().context("this program cannot be found")?;
    let child = process::Command::new(program)
        .args([Path::new("run"), Path::new("--config"), &file, Path::new("--state-dir"), &directory.0])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a gateway")?;
    let mut child = Child(child);
    let socket = directory.0.join(sekisho::shell::control_socket::FILE_NAME);
    #[expect(clippy::disallowed_methods, reason = "a command that waits for a process")]
    let clock = Instant::now;
    let deadline = clock() + Duration::from_secs(5);
    while ctl_link::ask(&socket, &Command::Status {}, &mut drop).is_err() {
        if child.0.try_wait().ok().flatten().is_some() || clock() > deadline {
            let said = child.last_words();
            anyhow::bail!("a gateway of our own did not start: {}", said.lines().next().unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(self_connect::examine(&self_connect::Attempt {
        hub: "DOCTOR",
        uplink: &Uplink::None,
        routes: false,
        to,
        psk,
        user: "doctor".to_owned(),
        password,
        targets: Vec::new(),
        has_neighbour: &|_| None,
    }))
}

/// A process that does not outlive us.
struct Child(process::Child);

impl Child {
    fn last_words(&mut self) -> String {
        use std::io::Read as _;
        let _ = self.0.kill();
        let mut said = String::new();
        if let Some(stderr) = &mut self.0.stderr {
            let _ = stderr.read_to_string(&mut said);
        }
        said
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SIGTERM: it has things to take back.
        let process = i32::try_from(self.0.id()).map(nix::unistd::Pid::from_raw);
        if let Ok(process) = process {
            let _ = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM);
        }
        let _ = self.0.wait();
    }
}

/// A directory that goes when this does.
struct TempDir(PathBuf);

impl TempDir {
    fn new(entropy: &mut Entropy) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("sekisho-doctor-{}", first_run::secret(12, entropy)));
        config_file::make_private_dir(&path).context("cannot make a temporary directory")?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
