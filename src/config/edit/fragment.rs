//! What is put into a YAML text.

use std::fmt::Write as _;

/// A value to be written.
#[derive(Clone, Debug)]
pub enum Fragment {
    /// A text, always in quotes: whatever is in it, it stays a text.
    Text(String),
    /// A word that needs no quotes: a number, `true`, a network. The writer answers for it.
    Word(String),
    /// YAML as it already stands in the file, on one line.
    Raw(String),
    /// A mapping.
    Map(Vec<(String, Fragment)>),
    /// A list.
    List(Vec<Fragment>),
}

impl Fragment {
    /// On one line.
    #[must_use]
    pub fn flow(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Word(text) | Self::Raw(text) => text.clone(),
            Self::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", key_text(key), value.flow()))
                    .collect();
                format!("{{ {} }}", entries.join(", "))
            }
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::flow).collect();
                format!("[{}]", items.join(", "))
            }
        }
    }

    /// An entry of a block, without indentation at its front and line break at its end. Mappings whose values are
    /// mappings or which are `open` are written line by line.
    pub(super) fn entry(&self, key: &str, indent: usize, open: bool, newline: &str) -> String {
        let mut out = format!("{}:", key_text(key));
        match self {
            Self::Map(entries) if open && !entries.is_empty() => {
                let deeper = indent + 2;
                for (key, value) in entries {
                    let nested = matches!(value, Self::Map(inner) if inner.iter().any(|(_, v)| matches!(v, Self::Map(_))));
                    let _ = write!(
                        out,
                        "{newline}{}{}",
                        " ".repeat(deeper),
                        value.entry(key, deeper, nested, newline)
                    );
                }
            }
            _ => {
                let _ = write!(out, " {}", self.flow());
            }
        }
        out
    }
}

/// A key, in quotes only where YAML would take it for something else.
pub(super) fn key_text(key: &str) -> String {
    let plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let special = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    if plain && !special.iter().any(|word| word.eq_ignore_ascii_case(key)) {
        key.to_owned()
    } else {
        quoted(key)
    }
}

/// A text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
