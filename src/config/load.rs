//! Text to [`Config`], with everything that is wrong in it found in one go.
//!
//! `serde_yaml` reads the values, `position` remembers where they stand, `tree` brings the two together, `check` adds
//! the rules between keys. A successor of `serde_yaml` would be this file's and `tree`'s concern alone.

use super::{
    Config, Finding, Position, Report, Severity, check,
    edit_distance::nearest,
    position::{Path, Positions},
    schema::File,
    tree::{Fault, FaultKind, Node, Skipped},
};
use serde::Deserialize;
use serde_yaml::Value;

/// A file with a hundred faults has one cause; the rest is not worth anybody's time.
const MAX_FAULTS: usize = 100;

/// What is known about a file besides its text.
#[derive(Clone, Debug)]
pub struct FileFacts {
    /// Its name, for messages.
    pub name: String,
    /// Its permission bits, when it is a file.
    pub mode: Option<u32>,
    /// The present, in Unix time: keys end at a date.
    pub now: u64,
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is unwise about it.
    pub warnings: Report,
}

/// Reads and checks a file's text.
///
/// # Errors
/// The report of every error found, and of every warning, when there is an error.
pub fn load(text: &str, facts: &FileFacts) -> Result<Loaded, Report> {
    let mut findings = Vec::new();
    let config = read(text, facts, &mut findings);
    let report = Report::new(&facts.name, findings);
    match config {
        Some(config) if report.errors().next().is_none() => Ok(Loaded { config, warnings: report }),
        _ => Err(report),
    }
}

fn read(text: &str, facts: &FileFacts, findings: &mut Vec<Finding>) -> Option<Config> {
    let positions = Positions::of(text);
    for duplicate in &positions.duplicates {
        findings.push(Finding {
            severity: Severity::Error,
            position: Some(duplicate.again),
            key: duplicate.path.to_string(),
            message: format!("this key stands already on line {}", duplicate.first.line),
            hint: Some("keep one of the two".to_owned()),
        });
    }
    if !findings.is_empty() {
        // Which of the two was meant is unknown, so nothing can be said about the rest.
        return None;
    }
    let value = match parse(text) {
        Ok(value) => value,
        Err(finding) => {
            findings.push(finding);
            return None;
        }
    };

    let skipped = Skipped::default();
    let file = loop {
        let fault = match File::deserialize(Node::top(&value, &skipped)) {
            Ok(file) => break file,
            Err(fault) => fault,
        };
        let path = fault.path.clone().unwrap_or_default();
        if !is_echo(&fault, &path, &skipped) {
            findings.push(explain(fault, &path, &positions));
        }
        // Read again without the faulty place: what is left may have faults of its own.
        if path == Path::default() || !skipped.add(path) || findings.len() >= MAX_FAULTS {
            return None;
        }
    };
    check::check(&file, facts, &positions, &skipped, findings)
}

fn parse(text: &str) -> Result<Value, Finding> {
    let syntax = |position, message: String, hint: &str| Finding {
        severity: Severity::Error,
        position,
        key: String::new(),
        message,
        hint: Some(hint.to_owned()),
    };
    let mut value: Value = serde_yaml::from_str(text).map_err(|error| {
        let position = error.location().map(|at| Position { line: at.line(), column: at.column() });
        // The location is said at the front of the line already.
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        let hint = if text.lines().any(|line| line.starts_with('\t')) {
            "YAML wants spaces at the beginning of a line, not tabs"
        } else {
            "look at this line and the one above: indentation, a missing colon, an unclosed quote or bracket"
        };
        syntax(position, format!("this is not YAML: {message}"), hint)
    })?;
    value.apply_merge().map_err(|error| {
        syntax(None, format!("a merge key `<<` is wrong: {error}"), "`<<` takes an alias of a mapping")
    })?;
    if value.is_null() {
        return Err(syntax(
            None,
            "the file is empty".to_owned(),
            "begin with config/minimal.yaml, or run `sekisho up`",
        ));
    }
    Ok(value)
}

/// A key that is "missing" because its faulty value was left out, or because it is spelt wrong, has been reported.
fn is_echo(fault: &Fault, path: &Path, skipped: &Skipped) -> bool {
    let FaultKind::MissingKey(missing) = fault.kind else { return false };
    skipped.keys_in(path).iter().any(|key| nearest(key, [missing]).is_some())
}

fn explain(fault: Fault, path: &Path, positions: &Positions) -> Finding {
    let (key, message, hint) = match fault.kind {
        FaultKind::UnknownKey { expected } => {
            let typed = path.last_key().unwrap_or_default();
            let place = path.parent().unwrap_or_default().to_string();
            let place =
                if place.is_empty() { "at the top of the file".to_owned() } else { format!("in {place}") };
            let hint = suggest(typed, expected)
                .unwrap_or_else(|| format!("the keys here are: {}", expected.join(", ")));
            (path.to_string(), format!("there is no key `{typed}` {place}"), Some(hint))
        }
        FaultKind::MissingKey(missing) => {
            let place = path.key(missing).to_string();
            (place, format!("the key `{missing}` is missing"), missing_hint(missing))
        }
        FaultKind::UnknownChoice { found, expected } => {
            let choices = format!("one of: {}", expected.join(", "));
            let hint =
                suggest(&found, expected).map_or(choices.clone(), |nearest| format!("{nearest} ({choices})"));
            (path.to_string(), format!("`{found}` is not known here"), Some(hint))
        }
        FaultKind::WrongKind { found, expected } => {
            (path.to_string(), format!("found {found}, expected {expected}"), None)
        }
        FaultKind::Refused(message) => (path.to_string(), message, None),
    };
    Finding { severity: Severity::Error, position: positions.find(path), key, message, hint }
}

fn suggest(typed: &str, expected: &[&str]) -> Option<String> {
    nearest(typed, expected.iter().copied()).map(|nearest| format!("did you mean `{nearest}`?"))
}

fn missing_hint(key: &str) -> Option<String> {
    let hint = match key {
        "hubs" => "a hub is what users connect to; the smallest: hubs: { HUB1: { network: 10.60.0.0/24 } }",
        "network" => "every hub has a network of its own, such as network: 10.60.0.0/24",
        "key" => "write the key itself: key: \"at least twenty characters, random ones\"",
        _ => return None,
    };
    Some(hint.to_owned())
}
