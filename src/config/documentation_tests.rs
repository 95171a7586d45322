//! `docs/configuration.md` and the schema say the same.

use super::{
    FileFacts, load,
    position::{Path, Segment},
    schema::File,
    tree::{FaultKind, Node, Skipped},
};
use serde::Deserialize;
use serde_yaml::Value;
use std::collections::BTreeSet;

const DOCS: &str = include_str!("../../docs/configuration.md");

/// Asks the schema itself for its keys, by offering it one that does not exist at every place that there is.
fn schema_keys() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut unexplored = vec![Path::default()];
    while let Some(place) = unexplored.pop() {
        let Some(found) = keys_at(&place) else { continue };
        for key in found {
            let path = place.key(key);
            keys.insert(path.to_string().replace("[0]", "[]"));
            // It may be a mapping itself, or a mapping by name, or a list.
            unexplored.extend([path.clone(), path.key("NAME"), path.index(0)]);
        }
    }
    keys
}

fn keys_at(place: &Path) -> Option<&'static [&'static str]> {
    let stray = place.key("no such key");
    let value = stray.0.iter().rev().fold(Value::Null, |inner, segment| match segment {
        Segment::Key(key) => Value::Mapping([(Value::from(key.as_str()), inner)].into_iter().collect()),
        Segment::Index(_) => Value::Sequence(vec![inner]),
    });
    let fault = File::deserialize(Node::top(&value, &Skipped::default())).unwrap_err();
    match fault.kind {
        FaultKind::UnknownKey { expected } if fault.path.as_ref() == Some(&stray) => Some(expected),
        _ => None,
    }
}

/// Sections of the document: a heading such as "### `hubs.NAME.network`" and the text under it.
fn documented() -> Vec<(&'static str, &'static str)> {
    DOCS.split("\n### `").skip(1).filter_map(|section| section.split_once('`')).collect()
}

/// The keys that a heading speaks of: rules for users may stand in four places.
fn places(heading: &str) -> Vec<String> {
    match heading.strip_prefix("RULES.") {
        Some(rule) => ["sessions", "hubs.NAME", "hubs.NAME.groups.NAME", "hubs.NAME.users.NAME"]
            .map(|place| format!("{place}.{rule}"))
            .into(),
        None => vec![heading.to_owned()],
    }
}

#[test]
fn every_key_is_documented_and_nothing_else() {
    let documented: BTreeSet<String> =
        documented().into_iter().flat_map(|(heading, _)| places(heading)).collect();
    let keys = schema_keys();
    assert!(keys.contains("hubs.NAME.users.NAME.nt_hash") && keys.contains("ipsec.psk[].until"), "{keys:?}");
    assert_eq!(
        keys.difference(&documented).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "missing in the document"
    );
    assert_eq!(
        documented.difference(&keys).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "missing in the schema"
    );
}

#[test]
fn every_key_has_a_default_and_an_example_that_the_schema_takes() {
    for (key, text) in documented() {
        let text = text.split("\n## ").next().unwrap_or(text);
        assert!(
            text.contains("**Default:**") || text.contains("**Required"),
            "{key} says nothing of a default"
        );
        let example = text.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
        let example: Value =
            serde_yaml::from_str(example.unwrap_or_else(|| panic!("{key} has no example"))).unwrap();
        // An example is an extract: keys may be missing in it, and nothing else may be wrong.
        let skipped = Skipped::default();
        while let Err(fault) = File::deserialize(Node::top(&example, &skipped)) {
            assert!(matches!(fault.kind, FaultKind::MissingKey(_)), "{key}: {fault:?}");
            match fault.path {
                Some(path) if path != Path::default() && skipped.add(path.clone()) => {}
                _ => break,
            }
        }
        // The example shows the key that it stands under.
        let shows = |key: &String| {
            let mut place = vec![&example];
            for step in key.replace("[]", ".[]").split('.') {
                place = place.into_iter().flat_map(|value| inside(value, step)).collect();
            }
            !place.is_empty()
        };
        assert!(places(key).iter().any(shows), "the example of {key} does not show it");
    }
}

fn inside<'a>(value: &'a Value, step: &str) -> Vec<&'a Value> {
    match (value, step) {
        (Value::Mapping(mapping), "NAME") => mapping.values().collect(),
        (Value::Mapping(mapping), key) => mapping.get(key).into_iter().collect(),
        (Value::Sequence(values), "[]") => values.iter().collect(),
        _ => Vec::new(),
    }
}

/// The recipes of `docs/hubs.md` are configurations that load, and its extracts fit into one.
#[test]
fn every_recipe_for_hubs_loads() {
    const KEY: &str = "ipsec: { psk: \"a long pre-shared key for everybody\" }\n";
    const HUB: &str = "hubs:\n  OFFICE:\n    network: 10.60.0.0/24\n    groups: { staff: {}, visitors: {} }\n    \
                       users: { admin: { password: \"correct horse battery staple\" } }\n";
    const HUBS: &str = "default_hub: OFFICE\nhubs:\n  OFFICE: { network: 10.60.0.0/24 }\n  \
                        GUESTS: { network: 10.61.0.0/24, uplink: none }\n";
    let text = include_str!("../../docs/hubs.md");
    let blocks: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert!(blocks.len() >= 12, "{}", blocks.len());
    for block in blocks {
        let indented: String = block.lines().map(|line| format!("    {line}\n")).collect();
        let whole = match block {
            block if block.starts_with("ipsec:") => block.to_owned(),
            block if block.starts_with("hubs:") => format!("{KEY}{block}"),
            block if block.starts_with("routers:") => format!("{KEY}{HUBS}{block}"),
            block if block.starts_with("access_list:") => format!("{KEY}{HUB}{indented}"),
            block => format!("{KEY}{HUB}{block}"),
        };
        let facts = FileFacts { name: "hubs.md".to_owned(), mode: None, now: 1_800_000_000 };
        if let Err(report) = load(&whole, &facts) {
            panic!("{report}\n{whole}");
        }
    }
}
