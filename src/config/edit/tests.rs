use super::*;
use crate::config::{FileFacts, load};
use proptest::prelude::*;
use std::net::Ipv4Addr;

const OFFICE: &str = r#"# Our gateway.
ipsec:
  psk: "kT7nVpQ2xWz9RbHm4cJd"   # on the card in the drawer

hubs:
  OFFICE:            # everybody
    network: 10.60.0.0/24
    users:
      jiro: { password: "correct horse" }   # second son
      # yas will come back in spring
      ken:
        password: 'away until summer'
        disabled: true    # until summer

  "GUESTS": { network: 10.61.0.0/24, users: { visitor: { password: "welcome, guest" }, } }
default_hub: OFFICE
# The end.
"#;

fn document(text: &str) -> Document {
    Document::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn user<'a>(hub: &'a str, name: &'a str) -> NewUser<'a> {
    NewUser { hub, name, secret: NewSecret::Password("at least 8"), group: None, address: None }
}

/// What a change made of the text, as lines that went and lines that came.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let gone = old[same..old.len() - tail].iter().map(|line| format!("-{line}"));
    let come = new[same..new.len() - tail].iter().map(|line| format!("+{line}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}

fn changed(text: &str, change: impl FnOnce(&mut Document) -> Result<(), TaskError>) -> String {
    let mut document = document(text);
    change(&mut document).unwrap_or_else(|error| panic!("{error}"));
    let facts = FileFacts { name: String::new(), mode: None, now: 1_800_000_000 };
    load(document.text(), &facts).unwrap_or_else(|report| panic!("{report}\n{}", document.text()));
    difference(text, document.text())
}

#[test]
fn a_user_is_a_line_more() {
    assert_eq!(
        changed(OFFICE, |d| d.add_user(&user("office", "mika"))),
        "+      mika: { password: \"at least 8\" }"
    );
    assert_eq!(
        changed(OFFICE, |d| d.add_user(&NewUser {
            address: Some(Ipv4Addr::new(10, 61, 0, 9)),
            secret: NewSecret::NtHash("8846f7eaee8fb117ad06bdd830b7586c"),
            ..user("guests", "日本 太郎")
        })),
        "-  \"GUESTS\": { network: 10.61.0.0/24, users: { visitor: { password: \"welcome, guest\" }, } }\n\
         +  \"GUESTS\": { network: 10.61.0.0/24, users: { visitor: { password: \"welcome, guest\" }, \"日本 太郎\": { nt_hash: \"8846f7eaee8fb117ad06bdd830b7586c\", address: 10.61.0.9 } } }"
    );
    assert_eq!(
        document(OFFICE).add_user(&user("OFFICE", "JIRO")),
        Err(TaskError::UserExists("JIRO".to_owned(), "OFFICE".to_owned()))
    );
    assert_eq!(
        document(OFFICE).add_user(&user("kitchen", "x")),
        Err(TaskError::NoHub("kitchen".to_owned(), "OFFICE, GUESTS".to_owned()))
    );
}

#[test]
fn a_hub_without_users_gets_its_first() {
    for users in ["", "    users:\n", "    users: {}\n", "    users:   # nobody yet\n"] {
        let text = format!(
            "ipsec: {{ psk: kT7nVpQ2xWz9RbHm4cJd }}\nhubs:\n  A:\n    network: 10.1.0.0/24\n{users}# end\n"
        );
        let said = changed(&text, |d| d.add_user(&user("A", "mika")));
        assert!(said.contains("+      mika: { password: \"at least 8\" }"), "{users}: {said}");
    }
    // No line break at the end, and Windows' line breaks.
    let text = "ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\r\nhubs:\r\n  A:\r\n    network: 10.1.0.0/24";
    let mut document = document(text);
    document.add_user(&user("A", "mika")).unwrap();
    assert_eq!(
        document.text(),
        format!("{text}\r\n    users:\r\n      mika: {{ password: \"at least 8\" }}")
    );
}

#[test]
fn passwords_change_in_their_place() {
    assert_eq!(
        changed(OFFICE, |d| d.set_secret("OFFICE", "Jiro", &NewSecret::Password("new \"one\" \\"))),
        "-      jiro: { password: \"correct horse\" }   # second son\n\
         +      jiro: { password: \"new \\\"one\\\" \\\\\" }   # second son"
    );
    assert_eq!(
        changed(OFFICE, |d| d.set_secret(
            "OFFICE",
            "ken",
            &NewSecret::NtHash("8846f7eaee8fb117ad06bdd830b7586c")
        )),
        "-        password: 'away until summer'\n\
         -        disabled: true    # until summer\n\
         +        disabled: true    # until summer\n\
         +        nt_hash: \"8846f7eaee8fb117ad06bdd830b7586c\""
    );
}

#[test]
fn users_are_switched_off_on_and_deleted() {
    assert_eq!(
        changed(OFFICE, |d| d.set_disabled("OFFICE", "ken", false)),
        "-        disabled: true    # until summer"
    );
    assert_eq!(
        changed(OFFICE, |d| d.set_disabled("OFFICE", "jiro", true)),
        "-      jiro: { password: \"correct horse\" }   # second son\n\
         +      jiro: { password: \"correct horse\", disabled: true }   # second son"
    );
    assert_eq!(
        changed(OFFICE, |d| d.delete_user("OFFICE", "ken")),
        "-      ken:\n-        password: 'away until summer'\n-        disabled: true    # until summer"
    );
    assert!(
        changed(OFFICE, |d| d.delete_user("GUESTS", "visitor"))
            .contains("+  \"GUESTS\": { network: 10.61.0.0/24, users: {")
    );
    let said = changed(OFFICE, |d| {
        d.delete_user("OFFICE", "ken")?;
        d.delete_user("OFFICE", "jiro")
    });
    assert!(said.contains("+    users: {}") && said.contains("+      # yas will"), "{said}");
}

#[test]
fn hubs_come_and_go() {
    let hub = |name| NewHub {
        name,
        network: "10.62.0.0/24".to_owned(),
        keys: vec![("uplink".to_owned(), Fragment::Word("none".to_owned()))],
    };
    assert_eq!(
        changed(OFFICE, |d| d.add_hub(&hub("LAB"))),
        "+  LAB:\n+    network: 10.62.0.0/24\n+    uplink: none"
    );
    // The lone hub was the default one, and stays it.
    let one = "ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\nhubs:\n  A: { network: 10.1.0.0/24 }\n";
    assert_eq!(
        changed(one, |d| d.add_hub(&hub("B"))),
        "+  B:\n+    network: 10.62.0.0/24\n+    uplink: none\n+default_hub: \"A\""
    );
    assert_eq!(document(one).delete_hub("A"), Err(TaskError::LastHub("A".to_owned())));
    let said = changed(OFFICE, |d| d.delete_hub("guests"));
    assert!(said.starts_with("-  \"GUESTS\""), "{said}");
    let said = changed(OFFICE, |d| d.delete_hub("office"));
    assert!(said.contains("-default_hub: OFFICE") && said.contains("-      # yas will"), "{said}");
    // From nothing.
    let mut empty = document("ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\nhubs: {}\n");
    empty.add_hub(&hub("FIRST")).unwrap();
    assert_eq!(
        empty.text(),
        "ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\nhubs:\n  FIRST:\n    network: 10.62.0.0/24\n    uplink: none\n"
    );
}

#[test]
fn comments_stay_with_what_they_are_about() {
    let text = "ipsec: { psk: kT7nVpQ2xWz9RbHm4cJd }\nhubs:\n  A:\n    network: 10.1.0.0/24\n    users:\n      \
                jiro: { password: \"kT7nVpQ2xWz9\" }\n      # yas: another one\n\n# About the whole.\n";
    for newline in ["\n", "\r\n"] {
        let mut document = document(&text.replace('\n', newline));
        let keys = vec![("uplink".to_owned(), Fragment::Word("none".to_owned()))];
        document.add_hub(&NewHub { name: "B", network: "10.62.0.0/24".to_owned(), keys }).unwrap();
        let lines: Vec<&str> = document.text().lines().collect();
        let wanted = ["      # yas: another one", "  B:", "    network: 10.62.0.0/24", "    uplink: none"];
        let at = lines.iter().position(|line| *line == wanted[0]).unwrap();
        assert_eq!(lines[at..at + 4], wanted, "{}", document.text());
        assert_eq!(lines[at + 4..], ["default_hub: \"A\"", "", "# About the whole."], "{}", document.text());
    }
}

#[test]
fn keys_are_rotated_in_every_form_of_the_list() {
    let rotation = Rotation { key: "a new key, twenty characters", until: "2099-01-31", hub: None };
    let rotate = |text: &str| {
        changed(text, |d| {
            assert_eq!(d.rotate_psk(&rotation)?, 1);
            assert_eq!(d.rotate_psk(&rotation), Err(TaskError::KeyExists));
            Ok(())
        })
    };
    assert_eq!(
        rotate(OFFICE),
        "-  psk: \"kT7nVpQ2xWz9RbHm4cJd\"   # on the card in the drawer\n\
         +  psk: [{ key: \"a new key, twenty characters\" }, { key: \"kT7nVpQ2xWz9RbHm4cJd\", until: 2099-01-31 }]   # on the card in the drawer"
    );
    let list = |items: &str| format!("ipsec:\n  psk:\n{items}hubs: {{ A: {{ network: 10.1.0.0/24 }} }}\n");
    assert_eq!(
        rotate(&list("    - kT7nVpQ2xWz9RbHm4cJd # old\n    - { key: \"mN8bVcX3zAs5DfGh7jKl\", hub: A }\n")),
        "-    - kT7nVpQ2xWz9RbHm4cJd # old\n\
         -    - { key: \"mN8bVcX3zAs5DfGh7jKl\", hub: A }\n\
         +    - { key: \"kT7nVpQ2xWz9RbHm4cJd\", until: 2099-01-31 } # old\n\
         +    - { key: \"mN8bVcX3zAs5DfGh7jKl\", hub: A }\n\
         +    - { key: \"a new key, twenty characters\" }"
    );
    let said = rotate(&list("    - key: kT7nVpQ2xWz9RbHm4cJd\n      # nothing else\n"));
    assert_eq!(said, "+      until: 2099-01-31\n+    - { key: \"a new key, twenty characters\" }");
    let flow = "ipsec: { psk: [\"kT7nVpQ2xWz9RbHm4cJd\"] }\nhubs: { A: { network: 10.1.0.0/24 } }\n";
    assert!(
        rotate(flow)
            .contains("+ipsec: { psk: [{ key: \"kT7nVpQ2xWz9RbHm4cJd\", until: 2099-01-31 }, { key: \"a new")
    );
    // One for a hub alone leaves the others as they are.
    let of_hub = Rotation { hub: Some("a"), ..rotation };
    assert_eq!(
        changed(&list("    - kT7nVpQ2xWz9RbHm4cJd\n"), |d| d
            .rotate_psk(&of_hub)
            .map(|ended| assert_eq!(ended, 0))),
        "+    - { key: \"a new key, twenty characters\", hub: \"A\" }"
    );
    let mut document = document(OFFICE);
    document.rotate_psk(&rotation).unwrap();
    let keys: Vec<_> = document.psks().into_iter().map(|entry| (entry.key, entry.until)).collect();
    assert_eq!(keys[1], ("kT7nVpQ2xWz9RbHm4cJd".to_owned(), Some("2099-01-31".to_owned())));
}

/// Where a change would reach further than it should, nothing changes at all.
#[test]
fn what_stands_for_two_places_is_not_touched() {
    let text = "hubs:\n  A: &a\n    users: { x: { password: one } }\n  B: *a\n";
    let mut document = document(text);
    let error = document.add_user(&user("A", "mika")).unwrap_err();
    assert!(matches!(error, TaskError::Edit(EditError::Layout { .. })), "{error}");
    assert!(document.add_user(&user("B", "mika")).is_err());
    assert_eq!(document.text(), text);
    assert!(Document::parse("a: [").is_err() && Document::parse("a: 1\n---\nb: 2\n").is_err());
}

#[derive(Clone, Debug)]
enum Tree {
    Leaf(String),
    Map(Vec<(String, Tree)>, bool),
    List(Vec<Tree>, bool),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        "[a-z]{1,6}",
        "\"[a-z #:,{}]{0,8}\"",
        "'[a-z #:,\\[\\]]{0,8}'",
        Just("\"日本 \\\" x\"".to_owned()),
        "[1-9][0-9]{0,3}",
    ]
    .prop_map(Tree::Leaf);
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            (prop::collection::btree_map("[a-z]{1,5}", inner.clone(), 0..5), any::<bool>())
                .prop_map(|(map, flow)| Tree::Map(map.into_iter().collect(), flow)),
            (prop::collection::vec(inner, 0..4), any::<bool>())
                .prop_map(|(list, flow)| Tree::List(list, flow)),
        ]
    })
}

/// Writes a tree, with comments and odd white space by `noise`.
fn write(tree: &Tree, indent: usize, flow: bool, noise: &mut impl FnMut() -> usize, out: &mut String) {
    let pad = " ".repeat(indent);
    let comment = |noise: &mut dyn FnMut() -> usize, out: &mut String| match noise() % 5 {
        0 => out.push_str("  # note: [x]\n"),
        1 => out.push_str(" \n\n"),
        2 => {
            out.push('\n');
            out.push_str(&format!("{pad}# between {{\n"));
        }
        _ => out.push('\n'),
    };
    match tree {
        Tree::Leaf(text) => out.push_str(text),
        Tree::Map(entries, own) if flow || *own || entries.is_empty() => {
            out.push('{');
            for (at, (key, value)) in entries.iter().enumerate() {
                out.push_str(["", " ", "  "][noise() % 3]);
                out.push_str(&format!("{key}: "));
                write(value, 0, true, noise, out);
                if at + 1 < entries.len() || noise().is_multiple_of(4) {
                    out.push_str([",", ", ", " ,"][noise() % 3]);
                }
            }
            out.push_str(["", " "][noise() % 2]);
            out.push('}');
        }
        Tree::List(items, own) if flow || *own || items.is_empty() => {
            out.push('[');
            for (at, value) in items.iter().enumerate() {
                write(value, 0, true, noise, out);
                if at + 1 < items.len() {
                    out.push_str([",", ", "][noise() % 2]);
                }
            }
            out.push(']');
        }
        Tree::Map(entries, _) => {
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    comment(noise, out);
                    out.push_str(&pad);
                }
                out.push_str(&format!("{key}:"));
                child(value, indent, noise, out);
            }
        }
        Tree::List(items, _) => {
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    comment(noise, out);
                    out.push_str(&pad);
                }
                out.push('-');
                child(value, indent, noise, out);
            }
        }
    }
}

fn child(value: &Tree, indent: usize, noise: &mut impl FnMut() -> usize, out: &mut String) {
    let block = match value {
        Tree::Leaf(_) => false,
        Tree::Map(entries, flow) => !flow && !entries.is_empty(),
        Tree::List(items, flow) => !flow && !items.is_empty(),
    };
    if block {
        let deeper = indent + 1 + noise() % 3;
        out.push_str(["\n", " # here\n"][noise() % 2]);
        out.push_str(&" ".repeat(deeper));
        write(value, deeper, false, noise, out);
    } else {
        out.push(' ');
        write(value, indent, false, noise, out);
    }
}

/// Every way to a mapping in the tree.
fn mappings(value: &Value, way: &mut Vec<Step>, out: &mut Vec<Vec<Step>>) {
    match value {
        Value::Mapping(map) => {
            out.push(way.clone());
            for (key, value) in map {
                way.push(Step::Key(key.as_str().unwrap_or_default().to_owned()));
                mappings(value, way, out);
                way.pop();
            }
        }
        Value::Sequence(list) => {
            for (index, value) in list.iter().enumerate() {
                way.push(Step::At(index));
                mappings(value, way, out);
                way.pop();
            }
        }
        _ => {}
    }
}

/// The comments that [`write`] puts in, in order.
fn comments(text: &str) -> Vec<&str> {
    let marks = ["# note: [x]", "# between {", "# here", "# top", "# end"];
    text.lines().filter_map(|line| marks.iter().find(|mark| line.ends_with(*mark)).copied()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever is added or changed, every byte that is not part of it stays, and taking it away gives the old text.
    #[test]
    fn everything_else_stays_byte_for_byte(
        map in prop::collection::btree_map("[a-z]{1,5}", trees(), 1..5),
        numbers in prop::collection::vec(any::<usize>(), 40),
        pick in any::<prop::sample::Index>(),
    ) {
        let mut numbers = numbers.into_iter().cycle();
        let mut noise = || numbers.next().unwrap_or(0);
        let mut text = String::from("# top\n");
        write(&Tree::Map(map.into_iter().collect(), false), 0, false, &mut noise, &mut text);
        text.push_str(["", "\n", "\n# end\n"][noise() % 3]);
        let value: Value = match serde_yaml::from_str(&text) { Ok(value) => value, Err(_) => return Ok(()) };
        let mut document = document(&text);
        let mut ways = Vec::new();
        mappings(&value, &mut Vec::new(), &mut ways);
        let place = pick.get(&ways).clone();
        let was_empty = document.keys(&place).is_empty();
        let new = [place.as_slice(), &config_path!["NEW"]].concat();
        let fragment = Fragment::Map(vec![("password".to_owned(), Fragment::Text("a, \"b\" # {".to_owned()))]);

        // Adding: the old text with one insertion (commit has compared the values).
        document.set(&new, &fragment).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let longer = document.text().to_owned();
        if !was_empty {
            let same = text.bytes().zip(longer.bytes()).take_while(|(a, b)| a == b).count();
            let tail = text.bytes().rev().zip(longer.bytes().rev()).take(text.len() - same).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(same + tail, text.len(), "{}\n{}", text, longer);
        }

        // Changing and removing it again.
        let inside = [new.as_slice(), &config_path!["password"]].concat();
        document.set(&inside, &Fragment::Text("other".to_owned())).unwrap_or_else(|error| panic!("{error}\n{longer}"));
        prop_assert_eq!(document.text(), longer.replace("\"a, \\\"b\\\" # {\"", "\"other\""));
        document.remove(&new).unwrap_or_else(|error| panic!("{error}\n{longer}"));
        if !was_empty {
            // But for a comma that nothing follows.
            let plain = |text: &str| text.replace([',', ' '], "");
            prop_assert_eq!(plain(document.text().trim_end()), plain(text.trim_end()));
        }
        prop_assert_eq!(comments(document.text()), comments(&text));

        // Removing what was there takes its own comments along, and no others that stand before or behind.
        if let Some(key) = document.keys(&place).first().cloned() {
            let before = document.text().to_owned();
            let old = [place.as_slice(), &config_path![key.as_str()]].concat();
            if document.remove(&old).is_ok() {
                let after = document.text();
                let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
                let tail = before.bytes().rev().zip(after.bytes().rev()).take(after.len() - same).take_while(|(a, b)| a == b).count();
                if document.keys(&place).is_empty() {
                    prop_assert!(after.len() <= before.len() + 3);
                } else {
                    prop_assert_eq!(same + tail, after.len(), "one cut:\n{}\n{}", before, after);
                }
            }
        }
    }
}
