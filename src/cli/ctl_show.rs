//! What the answers look like, for people and for programs.

use super::ctl_link::{self, Error};
use super::ctl_table::{Column, long, number, points, printable, table, text};
use super::{say, show};
use sekisho::{
    control::{
        AclRow, BanRow, Command, DropRow, HubRow, IpRow, LeaseRow, MacRow, NatRow, Refusal, ReloadRow,
        RouterRow, SessionRow, StatusRow, StoryRow,
    },
    shell::{config_file::unix_now, host},
    story::{Lang, span, utc},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;

/// Rows as they are, one a line.
pub(super) fn json(rows: Vec<Value>) {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    show(&lines.join("\n"));
}

/// A refusal, on standard output like any other answer.
pub(super) fn json_refusal(refusal: &Refusal) {
    show(&serde_json::json!({ "error": refusal }).to_string());
}

/// Asks, and shows the answer to people.
pub(super) fn people(socket: &Path, command: &Command, lang: Lang) -> Result<(), Error> {
    let mut values = Vec::new();
    ctl_link::ask(socket, command, &mut |rows| values.extend(rows))?;
    let width = host::terminal_width();
    match command {
        Command::Status {} => each(values, |row: StatusRow| show(&status(&row, width))),
        Command::HubList {} => list(values, "no hubs", HUBS, width, hub_cells),
        Command::HubShow { .. } => each(values, |row: HubRow| show(&hub(&row, width))),
        Command::HubOnline { .. } | Command::HubOffline { .. } => each(values, |row: HubRow| {
            let state = if row.online { "online" } else { "offline" };
            show(&printable(&format!("{} is {state}", row.hub)));
        }),
        Command::SessionList { .. } => list(values, "no sessions", SESSIONS, width, session_cells),
        Command::SessionShow { .. } => each(values, |row: SessionRow| show(&session(&row, lang, width))),
        Command::SessionKick { .. } => each(values, |row: SessionRow| {
            show(&printable(&format!(
                "closed session {} of {}@{} from {}",
                row.session, row.user, row.hub, row.from
            )));
        }),
        Command::MacList { .. } => list(values, "no stations", MACS, width, mac_cells),
        Command::IpList { .. } => list(values, "no addresses", IPS, width, ip_cells),
        Command::DhcpList { .. } => list(values, "no leases", LEASES, width, lease_cells),
        Command::NatList { .. } => list(values, "nothing goes through a NAT", NATS, width, nat_cells),
        Command::RouterList {} => list(values, "no routers", ROUTERS, width, router_cells),
        Command::MacDelete { hub, mac, .. } => done(&format!("{hub} has forgotten {mac}")),
        Command::IpDelete { hub, address } => done(&format!("{hub} has forgotten {address}")),
        Command::DhcpRelease { .. } => each(values, |row: LeaseRow| {
            show(&printable(&format!("{} of {} is free; it was {}'s", row.address, row.hub, row.holder)));
        }),
        Command::Stories { .. } => {
            list(values, "no connection attempts", STORIES, width, |row: StoryRow| story_cells(row, lang))
        }
        Command::Why { .. } => each(values, |row: StoryRow| show(&why(&row, lang, width))),
        Command::AclList { .. } => list(values, "no rules: everything passes", ACL, width, acl_cells),
        Command::BanList {} => list(values, "nobody has failed lately", BANS, width, ban_cells),
        Command::BanAdd { .. } => {
            each(values, |row: BanRow| show(&printable(&format!("{} is barred", row.who))))
        }
        Command::BanClear { .. } => {
            each(values, |row: BanRow| show(&printable(&format!("nothing against {} any more", row.who))))
        }
        Command::Drops {} => list(values, "no packet was dropped", DROPS, width, drop_cells),
        // Commands of `sekisho doctor`.
        Command::Guest { .. } | Command::GuestLeaves {} => Ok(()),
        // A stream: it is never shown to people.
        Command::HubMonitor { .. } => Ok(()),
        Command::Reload { .. } => each(values, |row: ReloadRow| show(&reload(&row))),
    }
}

/// Reads the rows of an answer.
fn read<R: DeserializeOwned>(values: Vec<Value>) -> Result<Vec<R>, Error> {
    values.into_iter().map(serde_json::from_value).collect::<Result<_, _>>().map_err(|error| {
        Error::NoGateway(format!(
            "the gateway is of another version, its answer is not understood ({error}); --json shows it"
        ))
    })
}

fn each<R: DeserializeOwned>(values: Vec<Value>, mut one: impl FnMut(R)) -> Result<(), Error> {
    read(values)?.into_iter().for_each(&mut one);
    Ok(())
}

fn list<R: DeserializeOwned>(
    values: Vec<Value>,
    none: &str,
    columns: &[Column],
    width: Option<usize>,
    cells: impl Fn(R) -> Vec<String>,
) -> Result<(), Error> {
    let rows: Vec<Vec<String>> = read(values)?.into_iter().map(cells).collect();
    match rows.is_empty() {
        true => say(none),
        false => show(&table(columns, &rows, width)),
    }
    Ok(())
}

fn done(what: &str) -> Result<(), Error> {
    show(&printable(what));
    Ok(())
}

/// What is not known.
fn dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// A length of time, short.
fn short(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// An amount of bytes, short.
fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn status(row: &StatusRow, width: Option<usize>) -> String {
    let up = span(row.now.saturating_sub(row.started), Lang::En);
    let mut lines = vec![
        ("Gateway", format!("sekisho {}, up {up} (since {})", row.gateway_version, utc(row.started))),
        ("Configuration", row.config.clone()),
        ("State", row.state_dir.clone()),
        ("Hubs", format!("{}, {} online", row.hubs, row.hubs_online)),
        ("Sessions", row.sessions.to_string()),
        ("Devices", format!("{}, and {} IKE exchanges under way", row.peers, row.half_open)),
        (
            "Attempts",
            format!(
                "{} under way, {} ended ones remembered, {} failed in the last hour",
                row.attempts_running, row.attempts_kept, row.failed_last_hour
            ),
        ),
        ("Drops", format!("{} packets (`sekisho ctl drops` says why)", row.drops)),
    ];
    for worker in &row.workers {
        let text = match worker.silent {
            true => "does not answer".to_owned(),
            false => {
                format!("{} devices, {} half-open, {} drops", worker.peers, worker.half_open, worker.drops)
            }
        };
        lines.push(("Worker", format!("{}: {text}", worker.worker)));
    }
    if let Some(reloaded) = &row.reloaded {
        let how = if reloaded.applied { "done" } else { "refused" };
        lines.push(("Reload", format!("{how} {}: {}", utc(reloaded.at), reloaded.what)));
    }
    points(&lines, width)
}

const HUBS: &[Column] = &[
    long("HUB"),
    text("STATE"),
    text("NETWORK"),
    text("GATEWAY"),
    text("UPLINK"),
    number("USERS"),
    number("SESSIONS"),
    number("ADDRESSES"),
];

fn hub_cells(row: HubRow) -> Vec<String> {
    let state = if row.online { "online" } else { "offline" };
    vec![
        if row.default { format!("{} *", row.hub) } else { row.hub },
        state.to_owned(),
        row.network,
        row.gateway.to_string(),
        row.uplink,
        row.users.to_string(),
        row.sessions.to_string(),
        row.addresses_held.to_string(),
    ]
}

fn hub(row: &HubRow, width: Option<usize>) -> String {
    let lines = [
        ("Hub", row.hub.clone()),
        ("Online", yes(row.online).to_owned()),
        ("Default", yes(row.default).to_owned()),
        ("Network", row.network.clone()),
        ("Gateway", row.gateway.to_string()),
        ("Uplink", row.uplink.clone()),
        ("Addresses", format!("{}, {} of them held", row.range, row.addresses_held)),
        ("Lease", span(row.lease_seconds, Lang::En)),
        ("Users", row.users.to_string()),
        (
            "Sessions",
            match row.max_sessions {
                Some(most) => format!("{} of {most}", row.sessions),
                None => row.sessions.to_string(),
            },
        ),
        ("Ports", row.ports.to_string()),
        ("May be watched", yes(row.monitor).to_owned()),
        ("Note", dash(row.note.clone())),
    ];
    points(&lines, width)
}

const SESSIONS: &[Column] = &[
    number("SESSION"),
    long("USER"),
    long("HUB"),
    text("ADDRESS"),
    text("FROM"),
    long("CLIENT"),
    text("STRENGTH"),
    number("UP"),
    number("IDLE"),
    number("IN"),
    number("OUT"),
];

fn session_cells(row: SessionRow) -> Vec<String> {
    vec![
        row.session.to_string(),
        row.user,
        row.hub,
        dash(row.address),
        row.from,
        or_dash(if row.client.is_empty() { row.device } else { row.client }),
        match row.protection.bits {
            0 => "none".to_owned(),
            bits => format!("{} {bits}", row.protection.strength),
        },
        short(row.seconds),
        short(row.idle_seconds),
        bytes(row.traffic.inbound_bytes),
        bytes(row.traffic.outbound_bytes),
    ]
}

fn session(row: &SessionRow, lang: Lang, width: Option<usize>) -> String {
    let traffic = &row.traffic;
    let mut lines = vec![
        ("Session", row.session.to_string()),
        ("User", format!("{}@{}", row.user, row.hub)),
        ("Address", format!("{}, MAC {}", dash(row.address), dash(row.mac.as_ref()))),
        ("From", row.from.clone()),
        ("Device", row.device.clone()),
        ("Identity", or_dash(row.identity.clone())),
        ("Since", format!("{} ({})", utc(row.since), span(row.seconds, Lang::En))),
        ("Heard", format!("{} ago", span(row.idle_seconds, Lang::En))),
        ("In", format!("{}, {} packets", bytes(traffic.inbound_bytes), traffic.inbound_packets)),
        ("Out", format!("{}, {} packets", bytes(traffic.outbound_bytes), traffic.outbound_packets)),
        ("Port", format!("{}, worker {}", dash(row.port.as_ref()), row.worker)),
    ];
    let protection = &row.protection;
    if protection.is_unknown() {
        lines.push(("Strength", "none: L2TP in clear text".to_owned()));
    } else {
        lines.push(("Phase 1", protection.phase1.to_string()));
        lines.push(("Phase 2", protection.phase2.to_string()));
        lines.push(("Strength", format!("{} ({} bits)", protection.strength, protection.bits)));
    }
    let Some(story) = &row.story else { return points(&lines, width) };
    let detail = &story.detail;
    for (label, text) in [("NAT", &detail.nat), ("Password", &detail.auth)] {
        if !text.is_empty() {
            lines.push((label, text.to_string()));
        }
    }
    format!("{}\n{}", points(&lines, width), steps(&story.tell(unix_now(), lang).steps))
}

const MACS: &[Column] = &[
    long("HUB"),
    text("MAC"),
    number("VLAN"),
    text("PORT"),
    text("BEHIND"),
    long("USER"),
    text("KIND"),
    number("IDLE"),
];

fn kind(learned: bool) -> String {
    if learned { "learned" } else { "fixed" }.to_owned()
}

fn mac_cells(row: MacRow) -> Vec<String> {
    let idle = if row.learned { short(row.idle_seconds) } else { "-".to_owned() };
    let vlan = if row.vlan == 0 { "-".to_owned() } else { row.vlan.to_string() };
    vec![row.hub, row.mac, vlan, row.port, row.behind, dash(row.user), kind(row.learned), idle]
}

const NATS: &[Column] =
    &[long("HUB"), text("PROTOCOL"), text("CLIENT"), text("SERVER"), text("STATE"), number("LEFT")];

fn nat_cells(row: NatRow) -> Vec<String> {
    vec![row.hub, row.protocol, row.client, dash(row.server), row.state, short(row.left_seconds)]
}

const ROUTERS: &[Column] = &[
    long("ROUTER"),
    long("TO"),
    text("NETWORK"),
    text("ADDRESS"),
    text("MAC"),
    text("PORT"),
    number("FORWARDED"),
    number("DISCARDED"),
];

fn router_cells(row: RouterRow) -> Vec<String> {
    let to = row.hub.unwrap_or_else(|| "next router".to_owned());
    vec![
        row.router,
        to,
        row.network,
        row.address.to_string(),
        dash(row.mac),
        dash(row.port),
        dash(row.forwarded),
        dash(row.discarded),
    ]
}

const IPS: &[Column] = &[
    long("HUB"),
    text("ADDRESS"),
    text("MAC"),
    text("PORT"),
    text("BEHIND"),
    long("USER"),
    text("KIND"),
    number("IDLE"),
];

fn ip_cells(row: IpRow) -> Vec<String> {
    let idle = if row.learned { short(row.idle_seconds) } else { "-".to_owned() };
    vec![
        row.hub,
        row.address.to_string(),
        row.mac,
        dash(row.port),
        row.behind,
        dash(row.user),
        kind(row.learned),
        idle,
    ]
}

const LEASES: &[Column] =
    &[long("HUB"), text("ADDRESS"), text("MAC"), long("HOLDER"), long("NAME"), text("STATE"), text("WHEN")];

fn lease_cells(row: LeaseRow) -> Vec<String> {
    let now = unix_now();
    let when = match (row.until, row.since) {
        (Some(until), _) => format!("{} left", short(until.saturating_sub(now))),
        (None, Some(since)) => format!("{} ago", short(now.saturating_sub(since))),
        (None, None) => "-".to_owned(),
    };
    vec![row.hub, row.address.to_string(), row.mac, row.holder, dash(row.name), row.state, when]
}

const STORIES: &[Column] = &[
    text("WHEN"),
    text("FROM"),
    long("CLIENT"),
    long("WHO"),
    text("STATE"),
    text("STAGE"),
    number("TOOK"),
    long("CAUSE"),
];

fn story_cells(row: StoryRow, lang: Lang) -> Vec<String> {
    let story = &row.story;
    let looks = if story.suspected { lang.pick("looks like: ", "おそらく: ") } else { "" };
    vec![
        utc(story.started).trim_end_matches(" UTC").to_owned(),
        story.from.to_string(),
        or_dash(story.detail.client.to_string()),
        or_dash(story.who()),
        story.state.word(lang).to_owned(),
        story.stage.to_string(),
        short(story.seconds as u64),
        row.summary.map_or_else(|| "-".to_owned(), |summary| format!("{looks}{summary}")),
    ]
}

fn why(row: &StoryRow, lang: Lang, width: Option<usize>) -> String {
    let told = row.story.tell(unix_now(), lang);
    format!("{}\n\n{}\n{}", printable(&told.head), points(&told.points, width), steps(&told.steps))
}

/// When each stage was reached.
fn steps(steps: &[(f64, String)]) -> String {
    steps.iter().map(|(at, what)| format!("{at:>9.3} s  {}\n", printable(what))).collect()
}

const ACL: &[Column] = &[number("RULE"), long("WHAT"), number("FRAMES"), number("BYTES")];

fn acl_cells(row: AclRow) -> Vec<String> {
    vec![row.rule.to_string(), row.text, row.frames.to_string(), bytes(row.bytes)]
}

const BANS: &[Column] = &[
    long("WHO"),
    text("STATE"),
    text("WHEN"),
    number("FAILURES"),
    number("BARS"),
    number("SESSIONS"),
    text("BY"),
];

fn ban_cells(row: BanRow) -> Vec<String> {
    let when = match (row.until, row.delay_seconds) {
        (Some(until), _) => format!("{} left", short(until.saturating_sub(unix_now()))),
        (None, Some(delay)) => format!("once in {}", short(delay)),
        (None, None) => "-".to_owned(),
    };
    let by = if row.by_administrator { "administrator" } else { "failures" };
    vec![
        row.who,
        row.state,
        when,
        row.failures.to_string(),
        row.bars.to_string(),
        row.sessions.to_string(),
        by.to_owned(),
    ]
}

const DROPS: &[Column] = &[number("WORKER"), number("COUNT"), long("REASON")];

fn drop_cells(row: DropRow) -> Vec<String> {
    vec![row.worker.to_string(), row.count.to_string(), row.reason]
}

fn reload(row: &ReloadRow) -> String {
    let mut out = String::new();
    for change in &row.changes {
        let ends = match change.sessions_end {
            0 => String::new(),
            1 => "; 1 session ends".to_owned(),
            many => format!("; {many} sessions end"),
        };
        let restart = if change.needs_restart { "; needs a restart" } else { "" };
        out.push_str(&printable(&format!("{}: {}{ends}{restart}", change.key, change.what)));
        out.push('\n');
    }
    for warning in &row.warnings {
        out.push_str(&format!("warning: {}\n", printable(warning)));
    }
    let sessions = format!("{} sessions end, {} stay", row.sessions_end, row.sessions_stay);
    out.push_str(&match (row.changes.is_empty(), row.applied) {
        (true, _) => "nothing has changed".to_owned(),
        (false, true) => format!("reloaded: {sessions}"),
        (false, false) => format!("a reload would change this: {sessions}"),
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(1000), bytes(1 << 20), bytes(5 << 40)].join(", "),
            "0 B, 999 B, 1.0 KiB, 1.0 MiB, 5.0 TiB"
        );
        assert_eq!([short(5), short(65), short(3_725), short(90_000)].join(" "), "5s 1m05s 1h02m 1d01h");
    }
}
