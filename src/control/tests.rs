//! Every command through a gatehouse in memory.

use super::*;
use crate::gatehouse::Output;
use crate::gatehouse::for_tests::{Fixture, config};
use crate::hub::{HubId, Notice, PortId};
use crate::packet::{Drop, WorkerId};
use crate::peer::{Answer, Ask};
use crate::story::{Cause, Lang, State, Story};
use crate::worker::{Drops, Snapshot};

const CONFIG: &str = r#"
ipsec: { psk: "kT7nVpQ2xWz9RbHm4cJd" }
default_hub: OFFICE
hubs:
  OFFICE:
    network: 10.60.0.0/16
    uplink: tap
    users:
      jiro: { password: "correct horse battery staple" }
      yas: { password: "correct horse battery staple" }
  GUESTS:
    network: 10.61.0.0/24
    users:
      visitor: { password: "correct horse battery staple" }
"#;

struct World {
    inner: Fixture,
    facts: Facts,
}

impl std::ops::Deref for World {
    type Target = Fixture;
    fn deref(&self) -> &Fixture {
        &self.inner
    }
}

impl std::ops::DerefMut for World {
    fn deref_mut(&mut self) -> &mut Fixture {
        &mut self.inner
    }
}

impl World {
    fn new() -> Self {
        let inner = Fixture::new(config(CONFIG));
        let facts =
            Facts { started: inner.clock.unix, config: "/etc/sekisho.yaml".into(), ..Facts::default() };
        Self { inner, facts }
    }

    /// All pages of an answer, and what was to be passed on.
    fn pages(&mut self, command: Command) -> Result<(Vec<Page>, Output), Refusal> {
        self.pages_with(command, Vec::new())
    }

    fn pages_with(
        &mut self,
        command: Command,
        workers: Vec<Option<Snapshot>>,
    ) -> Result<(Vec<Page>, Output), Refusal> {
        let mut job = Job::new(command, workers);
        let mut out = Output::default();
        let mut pages = Vec::new();
        loop {
            let page = job.step(self.inner.clock, &self.facts, &mut self.inner.gatehouse, &mut out)?;
            assert!(page.rows.len() <= 500, "a page of {}", page.rows.len());
            let more = page.more;
            pages.push(page);
            if !more {
                return Ok((pages, out));
            }
        }
    }

    /// The rows of an answer as programs see them.
    fn rows(&mut self, command: Command) -> Result<Vec<serde_json::Value>, Refusal> {
        let (pages, _) = self.pages(command)?;
        Ok(pages
            .into_iter()
            .flat_map(|page| page.rows)
            .map(|row| serde_json::to_value(row).unwrap())
            .collect())
    }
}

fn stories() -> Command {
    Command::Stories { user: None, from: None, failed: false, limit: 50, lang: Lang::En }
}

fn why(of: &str) -> Command {
    Command::Why { of: of.into(), lang: Lang::En }
}

const RIGHT: &str = "correct horse battery staple";

#[test]
fn a_request_is_read_strictly_and_says_what_is_wrong() {
    let commands = [
        Command::Status {},
        Command::SessionList {
            hub: None,
            user: Some("jiro".into()),
            from: Some("192.0.2.7".parse().unwrap()),
        },
        stories(),
        why("203.0.113.7"),
        Command::MacDelete { hub: "A".into(), mac: "5a:00:00:00:00:01".into(), vlan: 7 },
        Command::Reload { dry_run: true },
    ];
    for command in commands {
        let line = write_request(&command).unwrap();
        assert!(line.starts_with("{\"version\":1,\"command\":\""), "{line}");
        assert_eq!(read_request(line.as_bytes()), Ok(command));
    }
    assert_eq!(read_request(br#"{"version":1,"command":"stories"}"#), Ok(stories()));
    for (line, kind, said) in [
        ("hello", Kind::BadRequest, "not a line of JSON"),
        (r#"{"command":"status"}"#, Kind::BadRequest, "`version` is missing"),
        (r#"{"version":2,"command":"status"}"#, Kind::Version, "1 is"),
        (r#"{"version":1,"command":"explode"}"#, Kind::BadRequest, "explode"),
        (r#"{"version":1,"command":"hub_show"}"#, Kind::BadRequest, "hub"),
        (r#"{"version":1,"command":"status","extra":1}"#, Kind::BadRequest, "extra"),
        (r#"[1]"#, Kind::BadRequest, "version"),
    ] {
        let refusal = read_request(line.as_bytes()).unwrap_err();
        assert!(refusal.kind == kind && refusal.message.contains(said), "{line}: {refusal:?}");
    }
}

#[test]
fn hubs_are_listed_shown_and_taken_offline() {
    let mut world = World::new();
    let (link, _) = world.connect("jiro", RIGHT, "203.0.113.7:4500");
    let rows = world.rows(Command::HubList {}).unwrap();
    assert_eq!(rows.iter().map(|row| row["hub"].as_str().unwrap()).collect::<Vec<_>>(), ["GUESTS", "OFFICE"]);
    let row = &world.rows(Command::HubShow { hub: "office".into() }).unwrap()[0];
    assert_eq!((&row["sessions"], &row["users"], &row["default"]), (&1.into(), &2.into(), &true.into()));

    let (pages, out) = world.pages(Command::HubOffline { hub: "OFFICE".into() }).unwrap();
    assert_eq!(pages.len(), 1);
    assert!(
        matches!(&out.answers[..], [Answer::Close { link: closed, cause: Cause::HubOffline }] if *closed == link)
    );
    let row = &world.rows(Command::HubShow { hub: "OFFICE".into() }).unwrap()[0];
    assert_eq!((&row["sessions"], &row["online"]), (&0.into(), &false.into()));
    world.rows(Command::HubOnline { hub: "OFFICE".into() }).unwrap();
    assert_eq!(world.connect("jiro", RIGHT, "203.0.113.7:4500").1, None);

    let refusal = world.rows(Command::HubShow { hub: "nowhere".into() }).unwrap_err();
    assert!(refusal.kind == Kind::NotFound && refusal.message.contains("GUESTS, OFFICE"), "{refusal}");
}

#[test]
fn sessions_are_listed_by_every_filter_shown_and_kicked() {
    let mut world = World::new();
    world.connect("jiro", RIGHT, "203.0.113.7:4500");
    let (second, _) = world.connect("yas", RIGHT, "203.0.113.7:1024");
    world.connect("visitor@guests", RIGHT, "198.51.100.1:4500");
    let list = |hub: Option<&str>, user: Option<&str>, from: Option<&str>| Command::SessionList {
        hub: hub.map(str::to_owned),
        user: user.map(str::to_owned),
        from: from.map(|from| from.parse().unwrap()),
    };
    let mut users = |command| {
        let rows = world.rows(command).unwrap();
        rows.iter().map(|row| row["user"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(users(list(None, None, None)), "jiro yas visitor");
    assert_eq!(users(list(Some("office"), None, None)), "jiro yas");
    assert_eq!(users(list(None, Some("JIRO"), None)), "jiro");
    assert_eq!(users(list(None, Some("jiro@guests"), None)), "");
    assert_eq!(users(list(None, None, Some("203.0.113.7"))), "jiro yas");
    assert_eq!(users(list(Some("GUESTS"), None, Some("203.0.113.7"))), "");

    let row = &world.rows(Command::SessionShow { of: "yas@OFFICE".into() }).unwrap()[0];
    assert_eq!((&row["session"], &row["story"]["state"]), (&2.into(), &"connected".into()));
    assert_eq!(row["client"], "Windows 10 or 11");
    assert!(row["address"].as_str().unwrap().starts_with("10.60."), "{row}");

    let (pages, out) = world.pages(Command::SessionKick { of: "2".into() }).unwrap();
    assert_eq!(pages[0].rows.len(), 1);
    assert!(matches!(&out.answers[..], [Answer::Close { link, cause: Cause::Kicked }] if *link == second));
    for of in ["2", "yas", "nobody@OFFICE"] {
        let refusal = world.rows(Command::SessionKick { of: of.into() }).unwrap_err();
        assert_eq!(refusal.kind, Kind::NotFound, "{of}");
    }
    // Numbers are never used twice.
    world.connect("yas", RIGHT, "203.0.113.7:1024");
    assert_eq!(world.rows(Command::SessionShow { of: "yas".into() }).unwrap()[0]["session"], 4);
}

#[test]
fn a_long_listing_comes_in_pages_and_follows_what_happens_meanwhile() {
    let mut world = World::new();
    let mut links = Vec::new();
    for n in 0..1200 {
        links.push(world.connect("jiro", RIGHT, &format!("203.0.113.7:{}", 1024 + n)).0);
    }
    let mut job = Job::new(Command::SessionList { hub: None, user: None, from: None }, Vec::new());
    let mut out = Output::default();
    let mut seen = Vec::new();
    let mut pages = 0;
    loop {
        let page = job.step(world.inner.clock, &world.facts, &mut world.inner.gatehouse, &mut out).unwrap();
        seen.extend(page.rows.iter().map(|row| match row {
            Row::Session(row) => row.session,
            _ => panic!("not a session"),
        }));
        pages += 1;
        // Meanwhile the first goes, the last goes, and another comes.
        if pages == 1 {
            for link in [links[0], links[1199]] {
                world.inner.gatehouse.close(world.inner.clock, link, Cause::Kicked, &mut out);
            }
            world.connect("yas", RIGHT, "203.0.113.9:4500");
        }
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, 3);
    let expected: Vec<u64> = (1..=1199).chain([1201]).collect();
    assert_eq!(seen, expected);

    let (pages, out) = world.pages(Command::SessionKick { of: "jiro".into() }).unwrap();
    assert_eq!((pages.len(), out.answers.len()), (3, 1198));
    assert_eq!(world.gatehouse.session_count(), 1);
}

#[test]
fn tables_are_listed_and_entries_deleted() {
    let mut world = World::new();
    world.connect("jiro", RIGHT, "203.0.113.7:4500");
    let office = world.gatehouse.hub_named("OFFICE").unwrap();
    let port = PortId::new(WorkerId(0), 9000);
    world.inner.gatehouse.open_uplink(world.inner.clock.now, office, port, None).unwrap();
    let mac = "02:00:00:00:00:07";
    let learned = mac.parse().unwrap();
    let address = "10.60.0.99".parse().unwrap();
    let six: std::net::Ipv6Addr = "fe80::7".parse().unwrap();
    for notice in [
        Notice::Station { port, mac: learned, vlan: 0 },
        Notice::Host { port, address, mac: learned },
        Notice::Host6 { port, address: six, mac: learned },
    ] {
        world.ask(Ask::Notice { hub: office, notice });
    }
    let macs = world.rows(Command::MacList { hub: Some("OFFICE".into()) }).unwrap();
    let find = |rows: &[serde_json::Value], key: &str, value: &str| {
        rows.iter().find(|row| row[key] == value).cloned().unwrap_or_else(|| panic!("{rows:?}"))
    };
    let row = find(&macs, "mac", mac);
    assert_eq!((&row["behind"], &row["learned"]), (&"bridge".into(), &true.into()));
    let row = find(&macs, "behind", "client");
    assert_eq!(row["user"], "jiro");
    // The hub's own DHCP server.
    assert_eq!(find(&macs, "behind", "hub")["learned"], false);
    let client_mac = row["mac"].as_str().unwrap().to_owned();
    let ips = world.rows(Command::IpList { hub: None }).unwrap();
    assert_eq!(find(&ips, "address", "10.60.0.99")["mac"], mac);
    let row = find(&ips, "address", "fe80::7");
    assert_eq!((&row["mac"], &row["behind"]), (&mac.into(), &"bridge".into()));
    let client_ip = find(&ips, "user", "jiro")["address"].as_str().unwrap().to_owned();

    let delete = |mac: &str| Command::MacDelete { hub: "OFFICE".into(), mac: mac.into(), vlan: 0 };
    assert_eq!(world.rows(delete(mac)), Ok(vec![]));
    for (command, kind) in [
        (delete(mac), Kind::NotFound),
        (delete(&client_mac), Kind::Refused),
        (delete("nonsense"), Kind::BadRequest),
        (Command::IpDelete { hub: "OFFICE".into(), address: client_ip.parse().unwrap() }, Kind::Refused),
        (Command::IpDelete { hub: "OFFICE".into(), address: "10.60.7.7".parse().unwrap() }, Kind::NotFound),
        (Command::IpDelete { hub: "OTHER".into(), address: address.into() }, Kind::NotFound),
    ] {
        assert_eq!(world.rows(command.clone()).unwrap_err().kind, kind, "{command:?}");
    }
    let delete = |address| Command::IpDelete { hub: "OFFICE".into(), address };
    assert_eq!(world.rows(delete(address.into())), Ok(vec![]));
    assert_eq!(world.rows(delete(six.into())), Ok(vec![]));
    assert_eq!(world.rows(delete(six.into())).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn leases_are_listed_and_released() {
    let mut world = World::new();
    let (link, _) = world.connect("jiro", RIGHT, "203.0.113.7:4500");
    let row = &world.rows(Command::DhcpList { hub: None }).unwrap()[0];
    assert_eq!((&row["state"], &row["hub"]), (&"link".into(), &"OFFICE".into()));
    let address = row["address"].as_str().unwrap().parse().unwrap();
    let release = || Command::DhcpRelease { hub: "OFFICE".into(), address };
    assert_eq!(world.rows(release()).unwrap_err().kind, Kind::Refused);
    world.ask(Ask::Leave { link, cause: Cause::PeerLeft });
    world.pass(60);
    let row = &world.rows(Command::DhcpList { hub: Some("office".into()) }).unwrap()[0];
    assert_eq!((&row["state"], &row["since"]), (&"past".into(), &(world.clock.unix - 60).into()));
    assert_eq!(world.rows(release()).unwrap().len(), 1);
    assert_eq!(world.rows(Command::DhcpList { hub: None }), Ok(vec![]));
    assert_eq!(world.rows(release()).unwrap_err().kind, Kind::NotFound);
}

#[test]
fn stories_are_told_newest_first_with_running_ones() {
    let mut world = World::new();
    assert_eq!(world.connect("jiro", "wrong", "203.0.113.7:4500").1, Some(Cause::WrongPassword));
    world.pass(10);
    world.connect("jiro", RIGHT, "203.0.113.7:4500");
    world.pass(10);
    assert_eq!(world.connect("nobody@guests", "x", "198.51.100.1:4500").1, Some(Cause::UnknownUser));
    world.pass(10);
    let attempt = world.attempt("198.51.100.2:500");
    world.ask(Ask::Running(Box::new(attempt)));

    let rows = world.rows(stories()).unwrap();
    let key = |row: &serde_json::Value| {
        format!("{} {}", row["state"].as_str().unwrap(), row["cause"].as_str().unwrap_or("-"))
    };
    let keys: Vec<String> = rows.iter().map(key).collect();
    assert_eq!(keys, ["running -", "ended unknown_user", "connected -", "ended wrong_password"]);
    assert_eq!(rows[3]["shown_number"], 691);
    assert_eq!(rows[3]["fault"], "client");
    assert!(rows[3]["advice"].as_str().unwrap().contains("password"));

    let filtered = |user: Option<&str>, from: Option<&str>, failed, limit| Command::Stories {
        user: user.map(str::to_owned),
        from: from.map(|from| from.parse().unwrap()),
        failed,
        limit,
        lang: Lang::Ja,
    };
    assert_eq!(world.rows(filtered(Some("Jiro"), None, false, 50)).unwrap().len(), 2);
    assert_eq!(world.rows(filtered(None, Some("203.0.113.7"), true, 50)).unwrap().len(), 1);
    assert_eq!(world.rows(filtered(None, None, true, 50)).unwrap().len(), 2);
    let newest = world.rows(filtered(None, None, true, 1)).unwrap();
    assert_eq!((newest.len(), &newest[0]["cause"]), (1, &"unknown_user".into()));
    assert!(newest[0]["summary"].as_str().unwrap().contains("ユーザー"));
    // A running attempt that gets no further becomes one that fails.
    world.pass(9);
    assert_eq!(world.rows(filtered(None, None, true, 50)).unwrap().len(), 3);
}

#[test]
fn why_tells_the_failure_before_what_is_well() {
    let mut world = World::new();
    world.connect("jiro", "wrong", "203.0.113.7:4500");
    world.pass(60);
    world.connect("jiro", RIGHT, "203.0.113.7:4500");
    for of in ["jiro", "jiro@office", "203.0.113.7", "203.0.113.7:4500", "JIRO"] {
        let row = &world.rows(why(of)).unwrap()[0];
        assert_eq!((&row["cause"], &row["failed"]), (&"wrong_password".into(), &true.into()), "{of}");
    }
    // One on its way goes before it; its suspicion is told at once.
    let mut attempt = world.attempt("203.0.113.7:500");
    attempt.suspect(Cause::WrongPsk);
    world.ask(Ask::Running(Box::new(attempt.clone())));
    let row = world.rows(why("203.0.113.7")).unwrap().remove(0);
    assert_eq!(
        (&row["state"], &row["cause"], &row["suspected"]),
        (&"running".into(), &"wrong_psk".into(), &true.into())
    );
    let story: Story = serde_json::from_value(row).unwrap();
    assert_eq!(story.state, State::Running);
    world.ask(Ask::Renewal(attempt.id));
    assert_eq!(world.rows(why("203.0.113.7")).unwrap()[0]["cause"], "wrong_password");
    // Somebody who never failed is told as such; somebody unknown gets the first thing to check.
    world.connect("yas", RIGHT, "203.0.113.8:4500");
    assert_eq!(world.rows(why("yas")).unwrap()[0]["state"], "connected");
    let refusal = world.rows(why("192.0.2.200")).unwrap_err();
    assert!(refusal.kind == Kind::NotFound && refusal.message.contains("UDP 500"), "{refusal}");
}

#[test]
fn a_search_over_many_running_attempts_goes_on_page_by_page() {
    let mut world = World::new();
    for n in 0..12_000_u32 {
        let attempt = world.attempt(&format!("10.{}.{}.1:500", n >> 8, n & 255));
        world.ask(Ask::Running(Box::new(attempt)));
    }
    let (pages, _) = world.pages(stories()).unwrap();
    assert_eq!(pages.iter().map(|page| page.rows.len()).sum::<usize>(), 50);
    assert!(pages.len() >= 3, "{}", pages.len());
    assert_eq!(world.rows(why("10.0.3.1")).unwrap()[0]["from"], "10.0.3.1:500");
}

#[test]
fn status_and_drops_count_what_workers_tell() {
    let mut world = World::new();
    world.connect("jiro", RIGHT, "203.0.113.7:4500");
    world.connect("jiro", "wrong", "203.0.113.8:4500");
    let mut drops = Drops::default();
    drops.count(Drop::Replayed);
    drops.count(Drop::Replayed);
    drops.count(Drop::UnknownSpi);
    let snapshots =
        || vec![Some(Snapshot { peers: 3, half_open: 1, drops: drops.clone(), routers: Vec::new() }), None];
    assert!(Command::Status {}.asks_workers());
    let (pages, _) = world.pages_with(Command::Status {}, snapshots()).unwrap();
    let row = serde_json::to_value(&pages[0].rows[0]).unwrap();
    for (key, value) in
        [("hubs", 2), ("sessions", 1), ("peers", 3), ("half_open", 1), ("drops", 3), ("failed_last_hour", 1)]
    {
        assert_eq!(row[key], value, "{key}: {row}");
    }
    assert_eq!(row["workers"][1]["silent"], true);
    let (pages, _) = world.pages_with(Command::Drops {}, snapshots()).unwrap();
    let rows = serde_json::to_value(&pages[0].rows).unwrap();
    let expected = serde_json::json!([
        { "worker": 0, "reason": "replayed", "count": 2 },
        { "worker": 0, "reason": "unknown SPI", "count": 1 },
    ]);
    assert_eq!(rows, expected);
}

#[test]
fn a_hub_that_goes_in_the_middle_ends_a_listing_in_peace() {
    let mut world = World::new();
    for n in 0..600 {
        world.connect("jiro", RIGHT, &format!("203.0.113.7:{}", 1024 + n));
    }
    assert_eq!(world.gatehouse.hub(HubId(1)).unwrap().name(), "OFFICE");
    let mut job = Job::new(Command::MacList { hub: None }, Vec::new());
    let mut out = Output::default();
    let World { inner, facts } = &mut world;
    let first = job.step(inner.clock, facts, &mut inner.gatehouse, &mut out).unwrap();
    assert!(first.more && first.rows.len() == 500);
    let old = inner.gatehouse.config().clone();
    let new = config(&format!(
        "{}default_hub: none\n",
        CONFIG.replace("default_hub: OFFICE", "").replace("  OFFICE:", "  LAB:")
    ));
    let ended = inner.gatehouse.apply(inner.clock, new.clone().into(), &old.changes_to(&new, 0), &mut out);
    assert_eq!(ended, 600);
    let last = job.step(inner.clock, facts, &mut inner.gatehouse, &mut out).unwrap();
    assert!(!last.more && last.rows.is_empty());
}

const DOCS: &str = include_str!("../../docs/control.md");

/// The names in backticks of an error of serde's that lists what was expected.
fn expected(line: &str) -> Vec<String> {
    let message = read_request(line.as_bytes()).unwrap_err().message;
    let (_, list) = message.split_once("expected").unwrap_or((&message, ""));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `docs/control.md` has every command with its arguments, and every field of the rows.
#[test]
fn the_document_knows_every_command_and_field() {
    let ticked =
        |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let (_, rest) = DOCS.split_once("## Commands").unwrap();
    let (commands, rows) = rest.split_once("## Rows").unwrap();
    let mut documented = std::collections::BTreeMap::new();
    for line in commands.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').collect();
        for command in ticked(cells[1]) {
            documented.insert(command, ticked(cells[2]));
        }
    }
    let mut known = expected(r#"{"version":1,"command":"no such command"}"#);
    known.sort();
    assert_eq!(documented.keys().cloned().collect::<Vec<_>>(), known);
    for (command, arguments) in &documented {
        let has = expected(&format!(r#"{{"version":1,"command":"{command}","no such argument":1}}"#));
        assert_eq!(*arguments, has, "{command}");
    }
    let rows: std::collections::BTreeSet<String> = ticked(rows).into_iter().collect();
    let source = include_str!("rows.rs");
    let fields = source.lines().filter_map(|line| line.strip_prefix("    pub ")?.split_once(':'));
    // Two are laid out flat: their own fields are named.
    let named = fields.map(|(field, _)| field).filter(|field| *field != "traffic");
    let missing: Vec<&str> = named.filter(|field| !rows.contains(*field)).collect();
    assert_eq!(missing, Vec::<&str>::new());
    let example = DOCS.split("```json\n").nth(1).unwrap().lines().next().unwrap();
    assert!(read_request(example.as_bytes()).is_ok());
}
