//! Rules of the pre-shared keys, and what makes a secret weak.

use super::{Check, Path, in_order, model, schema};
use crate::config::{Date, Secret};
use std::collections::BTreeSet;

/// The responder learns which key a client has by trying them all, so there is an end to their number.
const MAX_KEYS: usize = 16;

/// Below this a key that somebody made up is found by guessing (a captured exchange suffices to try).
const STRONG_KEY: usize = 20;

/// Clients have a field of one line for it.
const LONGEST_GROUP: usize = 128;

/// Different characters that a random key of 20 has, nearly always.
const VARIED: usize = 8;

impl Check<'_> {
    pub(super) fn psks(&mut self, file: &schema::File) -> Vec<model::Psk> {
        let list = Path::of(&["ipsec", "psk"]);
        let entries = &file.ipsec.psk.0;
        let names = in_order(&file.hubs);
        let mut usable: Vec<model::Psk> = Vec::new();
        let mut last_end = None;
        for (index, entry) in entries.iter().enumerate() {
            let path = list.index(index);
            self.strength(&path, &entry.key, file);
            let hub = entry.hub.as_deref().and_then(|name| self.known_hub(&path.key("hub"), name, &names));
            if entries.iter().take(index).any(|earlier| *earlier.key == *entry.key) {
                let hint = Some("a key that opens one hub alone must differ from the others");
                self.error(&path, "this key is in the list already".to_owned(), hint);
            }
            let until = entry.until.map(Date::end);
            match entry.until {
                Some(date) if date.end() <= self.facts.now => {
                    let hint = Some("remove it, or move the date");
                    self.warn(&path.key("until"), format!("the time of this key was over with {date}"), hint);
                    last_end = last_end.max(Some(date));
                }
                _ => usable.push(model::Psk { id: 0, key: entry.key.clone(), until, hub }),
            }
        }
        let grouped = !file.ipsec.groups.is_empty() || self.skipped.touches(&Path::of(&["ipsec", "groups"]));
        if file.listen.l2tp_ipsec && usable.is_empty() && !grouped && !self.skipped.touches(&list) {
            match last_end {
                Some(date) => {
                    self.error(
                        &list,
                        format!("no key is valid any more: the last one ended with {date}"),
                        None,
                    );
                }
                None => {
                    let hint = Some("psk: [ { key: \"at least twenty characters, random ones\" } ]");
                    self.error(&list, "there is no pre-shared key, so nobody can connect".to_owned(), hint);
                }
            }
        }
        if usable.len() > MAX_KEYS {
            let message =
                format!("{} keys are valid at once, and at most {MAX_KEYS} are tried", usable.len());
            self.error(&list, message, Some("remove the keys that nobody uses any more"));
        }
        usable
    }

    /// Groups of Aggressive Mode. Whoever hears one connection can try keys on it at leisure, so their keys open nothing
    /// else.
    pub(super) fn psk_groups(&mut self, file: &schema::File) -> Vec<model::PskGroup> {
        let section = Path::of(&["ipsec", "groups"]);
        let names = in_order(&file.hubs);
        let mut usable = Vec::new();
        let mut earlier: Vec<&schema::PskEntry> = Vec::new();
        for (name, entry) in &file.ipsec.groups {
            let path = section.key(name);
            if name.trim() != name || name.is_empty() || name.len() > LONGEST_GROUP {
                let message = format!(
                    "the name of a group has 1 to {LONGEST_GROUP} bytes and no white space around it"
                );
                self.error(&path, message, None);
            }
            self.strength(&path, &entry.key, file);
            let hub = entry.hub.as_deref().and_then(|name| self.known_hub(&path.key("hub"), name, &names));
            let hint = Some(
                "who listens to Aggressive Mode can try keys at leisure: give each group one of its own",
            );
            if file.ipsec.psk.0.iter().any(|psk| *psk.key == *entry.key) {
                self.error(&path, "the key of this group is in `psk`, too".to_owned(), hint);
            } else if earlier.iter().any(|other| *other.key == *entry.key) {
                self.error(&path, "another group has this key".to_owned(), hint);
            }
            earlier.push(entry);
            match entry.until {
                Some(date) if date.end() <= self.facts.now => {
                    let hint = Some("remove it, or move the date");
                    self.warn(&path.key("until"), format!("the time of this key was over with {date}"), hint);
                }
                until => usable.push(model::PskGroup {
                    name: name.clone(),
                    psk: model::Psk { id: 0, key: entry.key.clone(), until: until.map(Date::end), hub },
                }),
            }
        }
        usable
    }

    fn strength(&mut self, path: &Path, key: &Secret, file: &schema::File) {
        let text = String::from_utf8_lossy(key);
        let hint = Some("`sekisho up` makes a good one; so does: openssl rand -base64 24");
        if text.is_empty() {
            self.error(path, "the key is empty".to_owned(), hint);
        } else if let Some(weakness) = weakness(&text, file.hubs.keys().map(String::as_str)) {
            self.warn(path, format!("this key is weak: {weakness}"), hint);
        }
        if text.trim() != text {
            let hint = Some("a space at an end is easily lost when it is typed into a phone");
            self.warn(path, "the key begins or ends with white space".to_owned(), hint);
        }
        if !text.is_ascii() {
            let hint = Some("use letters, digits and punctuation of ASCII");
            self.warn(path, "the key has characters that clients encode differently".to_owned(), hint);
        }
    }
}

/// Why somebody who guesses would find `key` soon, if so. `names` are words that they know anyway.
fn weakness<'a>(key: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = key.to_lowercase();
    let known =
        ["vpn", "l2tp", "ipsec", "psk", "secret", "password", "passw0rd", "sharedsecret", "sekisho", "admin"];
    if known.into_iter().map(str::to_owned).chain(names.map(str::to_lowercase)).any(|word| word == lower) {
        return Some("it is among the first that anybody tries".to_owned());
    }
    let length = key.chars().count();
    if length < STRONG_KEY {
        return Some(format!("{length} characters; at least {STRONG_KEY} withstand guessing"));
    }
    let different = key.chars().collect::<BTreeSet<_>>().len();
    if different < VARIED {
        return Some(format!("it has only {different} different characters"));
    }
    if repeats(&lower) {
        return Some("it repeats itself".to_owned());
    }
    let steps =
        key.chars().zip(key.chars().skip(1)).filter(|(a, b)| (*b as u32).abs_diff(*a as u32) <= 1).count();
    if steps * 2 > length {
        return Some("it runs along the alphabet or the digits".to_owned());
    }
    None
}

/// Whether the text is one shorter text several times over.
fn repeats(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    (1..=characters.len() / 2)
        .any(|period| characters.iter().zip(characters.iter().skip(period)).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_keys_are_told_from_strong_ones() {
        for (key, why) in [
            ("vpn", "first that anybody"),
            ("Office", "first that anybody"),
            ("correct horse", "characters"),
            ("aaaaaaaaaaaaaaaaaaaaaaaa", "different"),
            ("secretkey secretkey secretkey ", "repeats"),
            ("abcdefghijklmnopqrstuvwxyz", "alphabet"),
            ("0123456789012345678901234", "repeats"),
        ] {
            let found = weakness(key, ["OFFICE"].into_iter()).unwrap_or_default();
            assert!(found.contains(why), "{key}: {found:?}");
        }
        for key in
            ["kT7nVpQ2xWz9RbHm4cJd", "a long pre-shared key for everybody", "blauer Himmel ueber Kyoto 7"]
        {
            assert_eq!(weakness(key, std::iter::empty()), None, "{key}");
        }
    }
}
