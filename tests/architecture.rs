//! The layers import only what `docs/architecture.md` allows, and only the shell touches the outside.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may import of its siblings. `packet`, `timer`, `entropy` are free for all but `wire`'s
/// own rule below; a module may always import itself.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("entropy", &[][..]),
        ("timer", &[]),
        ("packet", &["wire"]), // Drop carries a wire::Error
        ("story", &["packet"]),
        ("penalty", &[]),
        ("wire", &["packet"]),
        ("doctor", &["wire", "packet"]),
        ("import", &["config"]),
        ("profile", &[]),
        ("crypto", &["packet", "entropy", "wire"]),
        ("identity", &["crypto", "packet", "entropy"]),
        ("ike", &["wire", "crypto", "packet", "timer", "entropy"]),
        ("esp", &["wire", "crypto", "packet", "timer", "entropy"]),
        ("l2tp", &["wire", "packet", "timer", "entropy"]),
        ("ppp", &["wire", "crypto", "identity", "packet", "timer", "entropy"]),
        ("hub", &["wire", "identity", "packet", "timer", "entropy"]),
        ("vnic", &["wire", "hub", "packet", "timer", "entropy"]),
        ("router", &["wire", "hub", "vnic", "packet", "timer", "entropy"]),
        ("uplink", &["wire", "packet"]),
        ("usernat", &["wire", "packet"]),
        ("client", &["wire", "crypto", "ppp", "identity", "esp", "packet", "timer", "entropy"]),
        (
            "peer",
            &[
                "wire", "crypto", "identity", "ike", "esp", "l2tp", "ppp", "hub", "vnic", "story", "packet",
                "timer", "entropy",
            ],
        ),
        (
            "worker",
            &[
                "wire", "crypto", "ike", "l2tp", "hub", "peer", "penalty", "router", "story", "packet",
                "timer", "entropy",
            ],
        ),
        (
            "gatehouse",
            &[
                "wire", "config", "crypto", "identity", "hub", "peer", "penalty", "ppp", "story", "worker",
                "packet", "timer", "entropy",
            ],
        ),
        (
            "control",
            &[
                "config",
                "gatehouse",
                "hub",
                "identity",
                "peer",
                "penalty",
                "story",
                "worker",
                "packet",
                "wire",
                "timer",
                "entropy",
            ],
        ),
        (
            "config",
            &[
                "crypto", "ike", "esp", "l2tp", "ppp", "peer", "penalty", "hub", "wire", "identity",
                "packet", "entropy",
            ],
        ),
    ])
}

/// What only `shell`, `cli` and `main` may name.
const OUTSIDE: &[&str] = &[
    "tokio::",
    "mio::",
    "std::fs",
    "std::thread",
    "UdpSocket",
    "TcpStream",
    "UnixStream",
    "Instant::now()",
    "SystemTime::now()",
];

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            out.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let first = path.strip_prefix(&src).unwrap().components().next().unwrap();
            let module = first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).unwrap();
            (module, path, text)
        })
        .collect()
}

/// The part of a file that is not its test module, without comments.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    name.ends_with("tests") || path.components().any(|part| part.as_os_str() == "tests")
}

#[test]
fn layers_import_only_what_lies_below() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (module, path, text) in all_sources() {
        let Some(may) = allowed.get(module.as_str()) else { continue };
        if is_test(&path) {
            continue;
        }
        for part in code(&text).split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.is_empty() || name == module || name == "Mac" || may.contains(&name.as_str()) {
                continue;
            }
            wrong.push(format!("{}: {module} imports {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_layer_is_in_the_table() {
    let known = allowed();
    for (module, path, _) in all_sources() {
        let outer = ["lib", "main", "shell", "cli"].contains(&module.as_str());
        assert!(outer || known.contains_key(module.as_str()), "{}: unknown layer {module}", path.display());
    }
}

#[test]
fn only_the_shell_touches_the_outside() {
    let mut wrong = Vec::new();
    for (module, path, text) in all_sources() {
        if ["shell", "cli", "main"].contains(&module.as_str()) || is_test(&path) {
            continue;
        }
        let code = code(&text);
        for name in OUTSIDE.iter().filter(|name| code.contains(**name)) {
            wrong.push(format!("{}: {name}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_600_lines_without_its_tests() {
    let mut long = Vec::new();
    for (_, path, text) in all_sources() {
        let lines = text.split("#[cfg(test)]\nmod ").next().unwrap_or(&text).lines().count();
        if !is_test(&path) && lines > 600 {
            long.push(format!("{}: {lines}", path.display()));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
