//! `docs/first-office.md` does what it says: its commands are taken out of the page and run, from an empty directory.
#![allow(clippy::unwrap_used, reason = "a test that cannot prepare its files has failed")]

use sekisho::config::Uplink;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The blocks of the page that are commands of a shell.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_commands_of_the_page_make_an_office() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/first-office.md");
    let script = commands(&fs::read_to_string(page).unwrap());
    assert!(script.lines().count() > 15, "{script}");
    let directory = std::env::temp_dir().join(format!("sekisho-first-office-{}", std::process::id()));
    let programs = directory.join("bin");
    fs::create_dir_all(&programs).unwrap();
    // Nothing here needs more rights than a test has.
    fs::write(programs.join("sudo"), "#!/bin/sh\nexec \"$@\"\n").unwrap();
    fs::set_permissions(programs.join("sudo"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_sekisho"), programs.join("sekisho")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let state = directory.join("state");
    let output = Command::new("sh")
        .args(["-eu", "-c", &script])
        .current_dir(&directory)
        .env("PATH", path)
        .env("SEKISHO_STATE_DIR", &state)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("ok (2 hubs, 10 users; no warnings)"), "{said}\n{errors}");

    let yaml = fs::read_to_string(state.join("sekisho.yaml")).unwrap();
    let profiles = directory.join("profiles/jiro");
    for name in ["Sekisho.mobileconfig", "Sekisho.ps1"] {
        assert!(fs::read_to_string(profiles.join(name)).unwrap().contains("vpn.example.org"), "{name}");
    }
    fs::remove_dir_all(&directory).unwrap();
    let check = sekisho::config::load(
        &yaml,
        &sekisho::config::FileFacts { name: String::new(), mode: None, now: 1_800_000_000 },
    );
    let config = check.unwrap_or_else(|report| panic!("{report}")).config;
    let users = |hub: &str| config.hub(hub).unwrap().users.len();
    assert_eq!((users("OFFICE"), users("GUESTS")), (6, 3));
    let office = config.hub("OFFICE").unwrap();
    let bridge = Uplink::Bridge { bridge: "br-office".to_owned(), interface: Some("eth1".to_owned()) };
    assert_eq!(
        (&office.uplink, office.dhcp.range.to_string().as_str()),
        (&bridge, "192.168.1.200-192.168.1.250")
    );
    // The key of everybody, the guests', and the one that replaced the first at the end.
    assert_eq!(config.ipsec.psks.len(), 3, "{yaml}");
}
