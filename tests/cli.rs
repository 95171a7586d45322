//! The command line as a person or a script meets it: the built binary, its exit codes, and what it prints.
#![expect(clippy::unwrap_used, reason = "a test that cannot prepare its files has failed")]

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process::{Command, Output},
};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sekisho-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a configuration that only its owner may read, and returns its path.
    fn file(&self, text: &str) -> String {
        let path = self.0.join("config.yaml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn sekisho(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho"));
    command.args(arguments).env_remove("RUST_LOG").env_remove("SEKISHO_STATE_DIR");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn check(text: &str, name: &str) -> Output {
    let dir = Dir::new(name);
    let file = dir.file(text);
    sekisho(&["check", "--config", &file]).output().unwrap()
}

#[test]
fn check_says_ok_and_exits_with_0() {
    let output = check(include_str!("../config/full.yaml"), "ok");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).ends_with("config.yaml: ok (2 hubs, 5 users; no warnings)\n"), "{output:?}");
}

#[test]
fn check_names_every_error_and_exits_with_1() {
    let output = check("ipsec: { psk: vpn }\nhubs:\n  A: { netwrok: 10.1.0.0/24 }\nlgo: {}\n", "wrong");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stdout);
    for wanted in [":3:8: error: ", "did you mean `network`?", ":4:1: error: ", "did you mean `log`?"] {
        assert!(said.contains(wanted), "{wanted} is not in: {said}");
    }
    let missing = sekisho(&["check", "--config", "/nonexistent/a.yaml"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("/nonexistent/a.yaml"));
}

#[test]
fn run_refuses_a_wrong_file_with_the_same_words() {
    let dir = Dir::new("run");
    let file = dir.file("hubs: {}\n");
    let output = sekisho(&["run", "--config", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("there is no hub") && said.contains("cannot be used as it is"), "{said}");
}

/// `nobody` may bind no low port and touch no interface: the answer is a command, and no file is left behind.
#[test]
fn without_rights_the_missing_ones_are_named_with_the_command_that_grants_them() {
    let dir = Dir::new("rights");
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o777)).unwrap();
    let state = dir.0.join("state");
    // The build directory may be closed to others.
    let program = dir.0.join("sekisho");
    fs::copy(env!("CARGO_BIN_EXE_sekisho"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["up", "--state-dir", state.to_str().unwrap()]);
    if fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0) {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    for wanted in [
        "CAP_NET_ADMIN",
        "is needed to make the uplink of HUB1",
        "sudo setcap",
        "AmbientCapabilities=",
        "sudo ",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in: {said}");
    }
    assert!(!state.join("sekisho.yaml").exists());
}

#[test]
fn completion_and_manual_page_are_made() {
    for arguments in [&["completion", "bash"][..], &["completion", "zsh"], &["man"]] {
        let output = sekisho(arguments).output().unwrap();
        assert!(output.status.success() && text(&output.stdout).contains("sekisho"), "{arguments:?}");
    }
}

/// Runs a command with a password on its standard input.
fn with_input(arguments: &[&str], input: &str) -> Output {
    use std::io::Write as _;
    let mut child = sekisho(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn users_hubs_and_keys_are_edited_by_command_from_an_empty_directory() {
    let dir = Dir::new("edit");
    let file = dir.0.join("new/sekisho.yaml");
    let (file, state) = (file.to_str().unwrap(), dir.0.to_str().unwrap());
    let run = |arguments: &[&str], input: &str| {
        let arguments = [arguments, &["--config", file, "--state-dir", state]].concat();
        let output = with_input(&arguments, input);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        text(&output.stdout)
    };
    let refused = |arguments: &[&str]| {
        let arguments = [arguments, &["--config", file, "--state-dir", state]].concat();
        let before = fs::read(file).ok();
        let output = with_input(&arguments, "a password that nobody reads\n");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert_eq!(fs::read(file).ok(), before, "{arguments:?}");
        text(&output.stderr)
    };
    assert!(refused(&["user", "add", "jiro"]).contains("sekisho hub add"));
    run(&["hub", "add", "OFFICE", "--network", "10.60.0.0/24"], "");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    run(&["hub", "add", "GUESTS", "--network", "10.61.0.0/24", "--uplink", "none"], "");
    run(&["user", "add", "jiro", "--password-stdin", "--address", "10.60.0.9"], "correct horse\n");
    let said = run(&["user", "add", "visitor@guests"], "");
    let password = said.lines().find_map(|line| line.strip_prefix("password: ")).unwrap().to_owned();
    let yaml = || fs::read_to_string(file).unwrap();
    assert!(yaml().contains(&format!("visitor: {{ password: \"{password}\" }}")), "{}", yaml());
    run(&["user", "passwd", "JIRO@OFFICE", "--password-stdin", "--hashed"], "clientPass\n");
    assert!(yaml().contains("nt_hash: \"44ebba8d5312b8d611474411f56989ae\""), "{}", yaml());
    run(&["user", "disable", "jiro"], "");
    assert!(run(&["user", "list"], "").lines().any(|l| l.starts_with("jiro") && l.ends_with("disabled")));
    run(&["user", "enable", "jiro"], "");
    let json = run(&["user", "list", "--json", "--hub", "office"], "");
    assert!(json.contains(r#""disabled":false"#) && json.lines().count() == 1, "{json}");

    let key = run(&["psk", "rotate", "--until", "2999-12-31"], "");
    let key = key.lines().find_map(|line| line.strip_prefix("key: ")).unwrap().to_owned();
    let list = run(&["psk", "list", "--show"], "");
    assert!(list.contains(&key) && list.contains("2999-12-31") && list.lines().count() == 3, "{list}");
    assert!(!run(&["psk", "list"], "").contains(&key));
    assert!(run(&["hub", "list"], "").lines().any(|l| l.starts_with("OFFICE") && l.ends_with("default")));

    // What would make the file unusable is refused in the check's words, and the file stays as it is.
    assert!(
        refused(&["user", "add", "mika", "--address", "10.99.0.1", "--generate"]).contains("stays as it is")
    );
    assert!(refused(&["user", "add", "jiro", "--generate"]).contains("has a user jiro already"));
    assert!(refused(&["user", "del", "nobody"]).contains("no user nobody"));
    assert!(refused(&["user", "del", "x@kitchen"]).contains("no hub kitchen"));
    assert!(refused(&["hub", "add", "LAB", "--network", "10.60.0.0/16"]).contains("10.60.0.0"));

    run(&["user", "del", "visitor@GUESTS"], "");
    run(&["hub", "del", "guests"], "");
    let said = sekisho(&["check", "--config", file]).output().unwrap();
    assert!(text(&said.stdout).contains("1 hub, 1 user"), "{said:?}");
}

#[test]
fn hash_prints_the_nt_hash() {
    let output = with_input(&["hash"], "clientPass\n");
    assert_eq!(text(&output.stdout), "44ebba8d5312b8d611474411f56989ae\n");
}
