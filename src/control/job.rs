//! A command that is being answered, a page at a time.

use super::bans;
use super::routers;
use super::rows::{AclRow, HubRow, Row, SessionRow, StatusRow, WorkerRow};
use super::tables::Table;
use super::tales::Search;
use super::{Command, DropRow, Kind, Refusal};
use crate::config;
use crate::gatehouse::{Gatehouse, Output, Session};
use crate::hub::{Hub, HubId};
use crate::identity::{self, HubNames};
use crate::penalty::Subject;
use crate::story::{Cause, Story};
use crate::worker::{Clock, Snapshot};
use serde::{Deserialize, Serialize};

/// Rows of one page.
pub(super) const ROWS: usize = 500;

/// Entries that are looked at for one page, taken or not.
pub(super) const LOOKED: usize = 5000;

/// What the gatehouse does not know of itself.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Seconds since 1970 at the start.
    pub started: u64,
    /// The configuration file.
    pub config: String,
    /// The state directory.
    pub state_dir: String,
    /// The last reload.
    pub reloaded: Option<Reloaded>,
}

/// A reload of the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// Seconds since 1970.
    pub at: u64,
    /// Whether it was done; if not, nothing has changed.
    pub applied: bool,
    /// What was done, or why not, in a sentence.
    pub what: String,
}

/// The next rows of an answer.
#[derive(Debug)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether there is another page.
    pub more: bool,
}

impl Page {
    pub(super) fn last(rows: Vec<Row>) -> Self {
        Self { rows, more: false }
    }
}

/// A command that is being answered.
#[derive(Debug)]
pub struct Job {
    command: Command,
    /// What workers told, `None` for one that did not answer, in the order of their numbers.
    workers: Vec<Option<Snapshot>>,
    at: At,
}

/// Where the next page begins.
#[derive(Debug)]
enum At {
    Start,
    Hub(HubId),
    Session(u64),
    Table(Table),
    Search(Search),
    Ban(Subject),
    Rule(usize),
}

impl Job {
    /// Begins to answer a command. `workers` is for those commands that [ask them](Command::asks_workers).
    #[must_use]
    pub fn new(command: Command, workers: Vec<Option<Snapshot>>) -> Self {
        Self { command, workers, at: At::Start }
    }

    /// The command.
    #[must_use]
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// Makes the next page; call again while there is more.
    ///
    /// # Errors
    /// Why the command is not carried out.
    pub fn step(
        &mut self,
        clock: Clock,
        facts: &Facts,
        gatehouse: &mut Gatehouse,
        out: &mut Output,
    ) -> Result<Page, Refusal> {
        let at = std::mem::replace(&mut self.at, At::Start);
        match &self.command {
            Command::Status {} => Ok(Page::last(vec![status(clock, facts, gatehouse, &self.workers)])),
            Command::Drops {} => Ok(Page::last(drops(&self.workers))),
            Command::RouterList {} => Ok(Page::last(routers::list(gatehouse, &self.workers))),
            Command::HubList {} => Ok(self.hubs(gatehouse, at)),
            Command::HubShow { hub } => Ok(Page::last(vec![hub_row(gatehouse, self::hub(gatehouse, hub)?)?])),
            Command::HubOnline { hub } => {
                let id = self::hub(gatehouse, hub)?;
                if let Some(hub) = gatehouse.hub_mut(id) {
                    hub.set_online(true);
                }
                Ok(Page::last(vec![hub_row(gatehouse, id)?]))
            }
            Command::HubOffline { hub } => {
                let id = self::hub(gatehouse, hub)?;
                if let Some(hub) = gatehouse.hub_mut(id) {
                    hub.set_online(false);
                }
                let more = close(clock, gatehouse, Cause::HubOffline, out, |gatehouse| {
                    gatehouse.sessions_in(id).map(|session| session.number).take(ROWS + 1).collect()
                });
                Ok(Page { rows: if more { Vec::new() } else { vec![hub_row(gatehouse, id)?] }, more })
            }
            Command::SessionList { .. } => self.sessions(clock, gatehouse, at),
            Command::SessionShow { of } => {
                let numbers = sessions_of(gatehouse, of, ROWS)?;
                let rows = numbers.into_iter().filter_map(|number| gatehouse.session(number));
                let row = |session| Row::Session(Box::new(session_row(clock, gatehouse, session, true)));
                Ok(Page::last(rows.map(row).collect()))
            }
            Command::SessionKick { of } => {
                self.at = At::Session(0);
                kick(clock, gatehouse, of, matches!(at, At::Start), out)
            }
            Command::MacList { .. }
            | Command::MacDelete { .. }
            | Command::IpList { .. }
            | Command::IpDelete { .. }
            | Command::DhcpList { .. }
            | Command::DhcpRelease { .. } => {
                let mut table = match at {
                    At::Table(table) => table,
                    _ => Table::new(gatehouse, &self.command)?,
                };
                let page = table.step(clock, gatehouse, &self.command)?;
                self.at = At::Table(table);
                Ok(page)
            }
            Command::Stories { .. } | Command::Why { .. } => {
                let mut search = match at {
                    At::Search(search) => search,
                    _ => Search::new(&self.command),
                };
                let page = search.step(clock, gatehouse, &self.command)?;
                self.at = At::Search(search);
                Ok(page)
            }
            Command::Guest { .. }
            | Command::GuestLeaves {}
            | Command::Reload { .. }
            | Command::HubMonitor { .. }
            | Command::NatList { .. } => Err(Refusal::new(Kind::Failed, "this is the shell's to do")),
            Command::AclList { hub } => {
                let id = self::hub(gatehouse, hub)?;
                let from = match at {
                    At::Rule(rule) => rule,
                    _ => 0,
                };
                let (page, next) = access_list(gatehouse, id, from);
                self.at = At::Rule(next);
                Ok(page)
            }
            Command::BanList {} => {
                let after = match at {
                    At::Ban(subject) => Some(subject),
                    _ => None,
                };
                let (page, last) = bans::list(clock, gatehouse, after);
                self.at = last.map_or(At::Start, At::Ban);
                Ok(page)
            }
            Command::BanAdd { who, seconds } => bans::add(clock, gatehouse, who, *seconds, out),
            Command::BanClear { who } => bans::clear(clock, gatehouse, who.as_deref(), out),
        }
    }

    fn hubs(&mut self, gatehouse: &Gatehouse, at: At) -> Page {
        let after = match at {
            At::Hub(hub) => Some(hub),
            _ => None,
        };
        let from = gatehouse.hubs().partition_point(|hub| Some(hub.id()) <= after);
        let hubs = gatehouse.hubs().get(from..).unwrap_or_default();
        let rows: Vec<Row> =
            hubs.iter().take(ROWS).filter_map(|hub| hub_row(gatehouse, hub.id()).ok()).collect();
        let more = hubs.len() > ROWS;
        if let Some(last) = hubs.iter().take(ROWS).next_back() {
            self.at = At::Hub(last.id());
        }
        Page { rows, more }
    }

    fn sessions(&mut self, clock: Clock, gatehouse: &Gatehouse, at: At) -> Result<Page, Refusal> {
        let Command::SessionList { hub, user, from } = &self.command else {
            return Ok(Page::last(Vec::new()));
        };
        let hub = hub.as_deref().map(|hub| self::hub(gatehouse, hub)).transpose()?;
        let user = user.as_deref().map(|user| read_name(gatehouse, user));
        let mut last = match at {
            At::Session(number) => number,
            _ => 0,
        };
        let mut rows = Vec::new();
        let mut more = false;
        for (looked, session) in gatehouse.sessions_after(last).enumerate() {
            if looked == LOOKED || rows.len() == ROWS {
                more = true;
                break;
            }
            last = session.number;
            let wanted = hub.is_none_or(|hub| session.hub == hub)
                && user.as_ref().is_none_or(|(user, hub)| {
                    identity::same_name(session.who.user(), user)
                        && hub.as_deref().is_none_or(|hub| identity::same_name(session.who.hub(), hub))
                })
                && from.is_none_or(|from| path(gatehouse, session).remote.ip() == from);
            if wanted {
                rows.push(Row::Session(Box::new(session_row(clock, gatehouse, session, false))));
            }
        }
        self.at = At::Session(last);
        Ok(Page { rows, more })
    }
}

fn access_list(gatehouse: &Gatehouse, hub: HubId, from: usize) -> (Page, usize) {
    let Some(hub) = gatehouse.hub(hub) else { return (Page::last(Vec::new()), 0) };
    let mut rules = hub.access_list().enumerate().skip(from);
    let row = |(at, counted): (usize, crate::hub::access::Counted)| {
        Row::Acl(AclRow {
            hub: hub.name().to_owned(),
            rule: at + 1,
            action: counted.rule.action.to_string(),
            text: counted.rule.text.into(),
            frames: counted.frames,
            bytes: counted.bytes,
        })
    };
    let rows: Vec<Row> = rules.by_ref().take(ROWS).map(row).collect();
    let more = rules.next().is_some();
    (Page { rows, more }, from + ROWS)
}

fn kick(
    clock: Clock,
    gatehouse: &mut Gatehouse,
    of: &str,
    first: bool,
    out: &mut Output,
) -> Result<Page, Refusal> {
    let numbers = match sessions_of(gatehouse, of, ROWS) {
        Ok(numbers) => numbers,
        Err(refusal) if first => return Err(refusal),
        // Those of the pages before are closed.
        Err(_) => return Ok(Page::last(Vec::new())),
    };
    let more = numbers.len() == ROWS;
    let mut rows = Vec::new();
    for number in numbers {
        let Some(session) = gatehouse.session(number) else { continue };
        let link = session.link;
        rows.push(Row::Session(Box::new(session_row(clock, gatehouse, session, false))));
        gatehouse.close(clock, link, Cause::Kicked, out);
    }
    Ok(Page { rows, more })
}

/// Closes a page of sessions; returns whether there are more.
fn close(
    clock: Clock,
    gatehouse: &mut Gatehouse,
    cause: Cause,
    out: &mut Output,
    numbers: impl FnOnce(&Gatehouse) -> Vec<u64>,
) -> bool {
    let numbers = numbers(gatehouse);
    for number in numbers.iter().take(ROWS) {
        if let Some(link) = gatehouse.session(*number).map(|session| session.link) {
            gatehouse.close(clock, link, cause, out);
        }
    }
    numbers.len() > ROWS
}

struct Names<'a>(&'a config::Config);

impl HubNames for Names<'_> {
    fn find(&self, name: &str) -> Option<&str> {
        self.0.hub(name).map(|hub| hub.name.as_str())
    }
}

/// A user as the administrator types one: the name, and the hub if one is named.
pub(super) fn read_name(gatehouse: &Gatehouse, name: &str) -> (String, Option<String>) {
    let parsed = identity::parse(name.as_bytes(), &Names(gatehouse.config()), None);
    (parsed.user, parsed.hub)
}

/// The hub of this name.
pub(super) fn hub(gatehouse: &Gatehouse, name: &str) -> Result<HubId, Refusal> {
    gatehouse.hub_named(name).ok_or_else(|| {
        let mut names: Vec<&str> = gatehouse.hubs().iter().map(Hub::name).take(20).collect();
        names.sort_unstable();
        Refusal::unknown(format!("there is no hub `{name}`; the hubs are: {}", names.join(", ")))
    })
}

/// The numbers of the sessions that are meant: one by its number, or those of a user, at most `limit`.
fn sessions_of(gatehouse: &Gatehouse, of: &str, limit: usize) -> Result<Vec<u64>, Refusal> {
    if let Ok(number) = of.trim_start_matches('#').parse::<u64>()
        && gatehouse.session(number).is_some()
    {
        return Ok(vec![number]);
    }
    let (user, named) = read_name(gatehouse, of);
    let hubs = gatehouse
        .hubs()
        .iter()
        .filter(|hub| named.as_deref().is_none_or(|named| identity::same_name(named, hub.name())));
    let sessions = hubs.flat_map(|hub| gatehouse.sessions_of(hub.id(), &user));
    let numbers: Vec<u64> = sessions.map(|session| session.number).take(limit).collect();
    if numbers.is_empty() {
        return Err(Refusal::unknown(format!("there is no session of that number or user: `{of}`")));
    }
    Ok(numbers)
}

/// Where a device is: as its running attempt knows, else where it was when its user showed the password.
fn path(gatehouse: &Gatehouse, session: &Session) -> crate::packet::Path {
    gatehouse.stories().attempt(session.attempt).map_or(session.path, |attempt| attempt.path)
}

fn session_row(clock: Clock, gatehouse: &Gatehouse, session: &Session, with_story: bool) -> SessionRow {
    let attempt = gatehouse.stories().attempt(session.attempt);
    let port = session.port.zip(gatehouse.hub(session.hub)).and_then(|(port, hub)| hub.port(port));
    let heard = gatehouse.began() + std::time::Duration::from_millis(session.meter.last_heard());
    SessionRow {
        session: session.number,
        user: session.who.user().to_owned(),
        hub: session.who.hub().to_owned(),
        address: session.address,
        mac: port.map(|port| port.mac.to_string()),
        from: path(gatehouse, session).to_string(),
        device: session.device.to_string(),
        client: attempt.map(|attempt| attempt.detail().client.to_string()).unwrap_or_default(),
        identity: session.identity.to_string(),
        since: session.since,
        seconds: clock.unix.saturating_sub(session.since),
        idle_seconds: clock.now.saturating_duration_since(heard).as_secs(),
        worker: session.link.worker.0,
        port: session.port.map(|port| port.to_string()),
        protection: attempt.map(|attempt| attempt.detail().protection.clone()).unwrap_or_default(),
        traffic: session.meter.traffic(),
        story: attempt.filter(|_| with_story).map(|attempt| Story::running(attempt, clock.now)),
    }
}

fn hub_row(gatehouse: &Gatehouse, id: HubId) -> Result<Row, Refusal> {
    let gone = || Refusal::unknown("the hub has just been removed");
    let hub = gatehouse.hub(id).ok_or_else(gone)?;
    let config = gatehouse.hub_config(id).ok_or_else(gone)?;
    let default = gatehouse.config().default_hub().is_some_and(|default| default.name == config.name);
    Ok(Row::Hub(Box::new(HubRow {
        hub: config.name.clone(),
        online: hub.is_online(),
        network: config.network.to_string(),
        gateway: config.gateway,
        uplink: config.uplink.to_string(),
        range: format!("{}-{}", config.dhcp.range.first(), config.dhcp.range.last()),
        lease_seconds: config.dhcp.lease.as_secs(),
        users: config.users.len(),
        sessions: hub.view().look(gatehouse.began()).clients(),
        ports: hub.port_count(),
        addresses_held: hub.leases().held(),
        default,
        note: config.note.clone(),
        max_sessions: crate::config::Limit::of(Some(config.limits.sessions)),
        monitor: config.monitor,
    })))
}

fn status(clock: Clock, facts: &Facts, gatehouse: &Gatehouse, workers: &[Option<Snapshot>]) -> Row {
    let hour_ago = clock.unix.saturating_sub(3600);
    let stories = gatehouse.stories();
    let recent = stories.iter().rev().take_while(|record| record.started + record.seconds as u64 >= hour_ago);
    let workers: Vec<WorkerRow> = workers
        .iter()
        .zip(0..)
        .map(|(snapshot, worker)| match snapshot {
            Some(snapshot) => WorkerRow {
                worker,
                silent: false,
                peers: snapshot.peers,
                half_open: snapshot.half_open,
                drops: snapshot.drops.total(),
            },
            None => WorkerRow { worker, silent: true, ..WorkerRow::default() },
        })
        .collect();
    Row::Status(Box::new(StatusRow {
        gateway_version: env!("CARGO_PKG_VERSION").to_owned(),
        now: clock.unix,
        started: facts.started,
        config: facts.config.clone(),
        state_dir: facts.state_dir.clone(),
        hubs: gatehouse.hubs().len(),
        hubs_online: gatehouse.hubs().iter().filter(|hub| hub.is_online()).count(),
        sessions: gatehouse.session_count(),
        attempts_running: stories.running_count().saturating_sub(gatehouse.session_count()),
        attempts_kept: stories.iter().count(),
        failed_last_hour: recent.filter(|record| Story::ended(record).failed()).count(),
        peers: workers.iter().map(|worker| worker.peers).sum(),
        half_open: workers.iter().map(|worker| worker.half_open).sum(),
        drops: workers.iter().map(|worker| worker.drops).sum(),
        workers,
        reloaded: facts.reloaded.clone(),
    }))
}

fn drops(workers: &[Option<Snapshot>]) -> Vec<Row> {
    let mut rows: Vec<DropRow> = workers
        .iter()
        .zip(0..)
        .filter_map(|(snapshot, worker)| Some((snapshot.as_ref()?, worker)))
        .flat_map(|(snapshot, worker)| {
            snapshot.drops.iter().map(move |(drop, count)| DropRow {
                worker,
                reason: drop.to_string(),
                count,
            })
        })
        .collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.count), row.worker));
    rows.into_iter().map(Row::Drop).collect()
}
