//! Changes to a configuration's text that leave everything else as it is, byte for byte: comments, order, quotes, blank
//! lines.
//!
//! A change is a few replaced ranges of the text. Afterwards the new text is read again and compared with what the
//! change should have made of the old one's values; when they differ (an alias that stands for two places, a layout that
//! nobody foresaw) the change is refused and the text stays as it was. So the worst that can happen is a refusal.

/// The way through these keys and indices.
#[macro_export]
macro_rules! config_path {
    ($($step:expr),* $(,)?) => { Vec::from([$($crate::config::edit::Step::from($step)),*]) };
}

mod fragment;
mod node;
mod tasks;

#[cfg(test)]
mod tests;

pub use fragment::Fragment;
pub use tasks::{KeyEntry, NewHub, NewSecret, NewUser, Rotation, TaskError};

use node::{Entry, Kind, Layout, Node, after_colon};
use serde_yaml::Value;
use std::ops::Range;
use zeroize::Zeroizing;

/// A step from a collection into it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The value of a key.
    Key(String),
    /// An element of a list.
    At(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self::At(index)
    }
}

/// The way to a value; see [`config_path!`](crate::config_path).
pub type Way = Vec<Step>;

/// Why a text is not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditError {
    /// It cannot be read.
    #[error("this is not YAML (or more than one document, or has tags): `sekisho check` says where")]
    NotYaml,
    /// What is to be changed is not there.
    #[error("there is no {0}")]
    Missing(String),
    /// It is written in a way that cannot be changed without touching something else.
    #[error("line {line} is written in a way that this command cannot change: {hint}")]
    Layout {
        /// The line, counted from 1.
        line: usize,
        /// What to do.
        hint: &'static str,
    },
}

/// A YAML text and the tree of its nodes.
pub struct Document {
    text: Zeroizing<String>,
    top: Node,
}

struct Splice {
    range: Range<usize>,
    text: String,
}

fn splice(range: Range<usize>, text: impl Into<String>) -> Splice {
    Splice { range, text: text.into() }
}

const BY_HAND: &str = "change it with an editor";

impl Document {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is not one YAML document.
    pub fn parse(text: &str) -> Result<Self, EditError> {
        let top = node::tree(text).ok_or(EditError::NotYaml)?;
        value_of(text)?;
        Ok(Self { text: Zeroizing::new(text.to_owned()), top })
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The keys of the mapping at `way`; none when there is no mapping.
    #[must_use]
    pub fn keys(&self, way: &[Step]) -> Vec<String> {
        match self.find(way).map(|node| &node.kind) {
            Some(Kind::Map(entries, _)) => entries.iter().map(|entry| entry.key.clone()).collect(),
            _ => Vec::new(),
        }
    }

    /// The text of the scalar at `way`.
    #[must_use]
    pub fn scalar(&self, way: &[Step]) -> Option<&str> {
        match &self.find(way)?.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// How many elements the list at `way` has; `None` if it is no list.
    #[must_use]
    pub fn list_length(&self, way: &[Step]) -> Option<usize> {
        match &self.find(way)?.kind {
            Kind::List(items, _) => Some(items.len()),
            _ => None,
        }
    }

    /// The value at `way` as it is written.
    #[must_use]
    pub fn raw(&self, way: &[Step]) -> Option<&str> {
        let node = self.find(way)?;
        self.text.get(node.range.clone())
    }

    /// Gives the key at `way` a value; it is added at the end of its mapping if it is not there. Mappings on the way that
    /// are missing are made.
    ///
    /// # Errors
    /// When it cannot be done without changing anything else.
    pub fn set(&mut self, way: &[Step], value: &Fragment) -> Result<(), EditError> {
        let mut wanted = self.value()?;
        let new: Value = serde_yaml::from_str(&value.flow()).map_err(|_| EditError::NotYaml)?;
        put(&mut wanted, way, new).ok_or_else(|| self.layout(0))?;
        let splices = self.plan_set(way, value)?;
        self.commit(splices, &wanted)
    }

    /// Removes the entry or element at `way`.
    ///
    /// # Errors
    /// When it is not there, or cannot be removed without changing anything else.
    pub fn remove(&mut self, way: &[Step]) -> Result<(), EditError> {
        let mut wanted = self.value()?;
        take(&mut wanted, way).ok_or_else(|| missing(way))?;
        let splices = self.plan_remove(way)?;
        self.commit(splices, &wanted)
    }

    /// Adds an element at the end of the list at `way`.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub fn append(&mut self, way: &[Step], value: &Fragment) -> Result<(), EditError> {
        let mut wanted = self.value()?;
        let new: Value = serde_yaml::from_str(&value.flow()).map_err(|_| EditError::NotYaml)?;
        let list = at(&mut wanted, way).and_then(Value::as_sequence_mut).ok_or_else(|| missing(way))?;
        list.push(new);
        let node = self.find(way).ok_or_else(|| missing(way))?;
        let Kind::List(items, layout) = &node.kind else { return Err(missing(way)) };
        let splices = match (layout, items.last()) {
            (Layout::Flow, Some(last)) => {
                vec![splice(last.range.end..last.range.end, format!(", {}", value.flow()))]
            }
            (Layout::Flow, None) => vec![splice(node.range.clone(), format!("[{}]", value.flow()))],
            (Layout::Block, Some(last)) => {
                let first = items.first().unwrap_or(last);
                let line = self.line_start(first.range.start);
                let dash = self.text[line..first.range.start].rfind('-').ok_or_else(|| self.layout(line))?;
                let indent = &self.text[line..line + dash];
                if !indent.chars().all(|c| c == ' ') {
                    return Err(self.layout(line));
                }
                let end = self.line_end(last.range.end);
                vec![splice(end..end, format!("{}{indent}- {}", self.newline(), value.flow()))]
            }
            (Layout::Block, None) => return Err(self.layout(node.range.start)),
        };
        self.commit(splices, &wanted)
    }

    fn plan_set(&self, way: &[Step], value: &Fragment) -> Result<Vec<Splice>, EditError> {
        if let Some(node) = self.find(way) {
            return self.plan_replace(way, node, value);
        }
        let (last, parent) = way.split_last().ok_or_else(|| self.layout(0))?;
        let Step::Key(key) = last else { return Err(missing(way)) };
        match self.find(parent) {
            None => {
                let wrapped = Fragment::Map(vec![(key.clone(), value.clone())]);
                self.plan_set(parent, &wrapped)
            }
            Some(node) => self.plan_insert(parent, node, key, value),
        }
    }

    fn plan_replace(&self, way: &[Step], node: &Node, value: &Fragment) -> Result<Vec<Splice>, EditError> {
        match &node.kind {
            Kind::Scalar(_) | Kind::Alias | Kind::Map(_, Layout::Flow) | Kind::List(_, Layout::Flow) => {
                Ok(vec![splice(node.range.clone(), value.flow())])
            }
            Kind::Absent => {
                let entry = self.entry(way).ok_or_else(|| self.layout(node.range.start))?;
                let colon = after_colon(&self.text, entry.key_range.end)
                    .ok_or_else(|| self.layout(node.range.start))?;
                Ok(vec![splice(colon..colon, format!(" {}", value.flow()))])
            }
            Kind::BlockScalar => {
                let entry = self.entry(way).ok_or_else(|| self.layout(node.range.start))?;
                let colon = after_colon(&self.text, entry.key_range.end)
                    .ok_or_else(|| self.layout(node.range.start))?;
                Ok(vec![splice(colon..node.range.end, format!(" {}", value.flow()))])
            }
            Kind::Map(_, Layout::Block) | Kind::List(_, Layout::Block) => Err(self.layout(node.range.start)),
        }
    }

    /// Adds an entry to the value `node` at `way`, which is a mapping or nothing yet.
    fn plan_insert(
        &self,
        way: &[Step],
        node: &Node,
        key: &str,
        value: &Fragment,
    ) -> Result<Vec<Splice>, EditError> {
        let flow = format!("{}: {}", fragment::key_text(key), value.flow());
        match &node.kind {
            Kind::Map(entries, Layout::Block) => {
                let first = entries.first().ok_or_else(|| self.layout(node.range.start))?;
                let indent = first.key_range.start - self.line_start(first.key_range.start);
                let end = self.past_comments(self.line_end(node.range.end), indent);
                let newline = self.newline();
                let lines = value.entry(key, indent, is_open(value), newline);
                // The text may end without a line break.
                Ok(vec![splice(end..end, format!("{newline}{}{lines}", " ".repeat(indent)))])
            }
            Kind::Map(entries, Layout::Flow) if !entries.is_empty() => {
                let end = entries.last().map_or(node.range.start, |entry| entry.end(&self.text));
                let rest = &self.text[end..node.range.end];
                if rest.trim_start().starts_with(',') {
                    let comma = end + rest.find(',').unwrap_or(0) + 1;
                    return Ok(vec![splice(comma..comma, format!(" {flow}"))]);
                }
                Ok(vec![splice(end..end, format!(", {flow}"))])
            }
            Kind::Absent | Kind::Map(_, Layout::Flow) => {
                if way.is_empty() {
                    let newline = self.newline();
                    let lines = value.entry(key, 0, is_open(value), newline);
                    return Ok(vec![splice(node.range.clone(), lines)]);
                }
                match self.block_entry(way) {
                    // Below the key, line by line: the next one has room then.
                    Some((entry, indent)) => {
                        let colon = after_colon(&self.text, entry.key_range.end)
                            .ok_or_else(|| self.layout(node.range.start))?;
                        let newline = self.newline();
                        let deeper = indent + 2;
                        let lines = value.entry(key, deeper, is_open(value), newline);
                        let end = self.line_end(entry.end(&self.text));
                        let below = splice(end..end, format!("{newline}{}{lines}", " ".repeat(deeper)));
                        let bracket = splice(colon..entry.end(&self.text), "");
                        Ok(vec![bracket, below])
                    }
                    None => self.plan_replace(way, node, &Fragment::Raw(format!("{{ {flow} }}"))),
                }
            }
            _ => Err(self.layout(node.range.start)),
        }
    }

    /// Comments below a collection that stand deeper than its keys belong to what is in it: they stay there.
    fn past_comments(&self, mut end: usize, indent: usize) -> usize {
        while let Some(rest) = self.text[end..].strip_prefix("\r\n").or(self.text[end..].strip_prefix('\n')) {
            let line = rest.split('\n').next().unwrap_or_default();
            let deep = line.len() - line.trim_start_matches(' ').len();
            if deep <= indent || !line[deep..].starts_with('#') {
                break;
            }
            end = self.line_end(self.text.len() - rest.len());
        }
        end
    }

    fn plan_remove(&self, way: &[Step]) -> Result<Vec<Splice>, EditError> {
        let (last, parent) = way.split_last().ok_or_else(|| missing(way))?;
        let node = self.find(parent).ok_or_else(|| missing(way))?;
        let (count, layout, start, end, index) = match (&node.kind, last) {
            (Kind::Map(entries, layout), Step::Key(key)) => {
                let index = entries.iter().position(|entry| entry.key == *key).ok_or_else(|| missing(way))?;
                let entry = &entries[index];
                (entries.len(), *layout, entry.key_range.start, entry.end(&self.text), index)
            }
            (Kind::List(items, layout), Step::At(index)) => {
                let item = items.get(*index).ok_or_else(|| missing(way))?;
                let start = match layout {
                    Layout::Flow => item.range.start,
                    Layout::Block => {
                        let line = self.line_start(item.range.start);
                        line + self.text[line..item.range.start]
                            .rfind('-')
                            .ok_or_else(|| self.layout(line))?
                    }
                };
                (items.len(), *layout, start, item.range.end, *index)
            }
            _ => return Err(missing(way)),
        };
        match layout {
            Layout::Flow => Ok(vec![self.cut_from_flow(node, start, end, index, count)]),
            Layout::Block => {
                let line = self.line_start(start);
                if !self.text[line..start].chars().all(|c| c == ' ') {
                    return Err(self.layout(start));
                }
                let mut stop = self.line_end(end);
                stop += self.text[stop..].len()
                    - self.text[stop..]
                        .strip_prefix("\r\n")
                        .or(self.text[stop..].strip_prefix('\n'))
                        .unwrap_or(&self.text[stop..])
                        .len();
                let cut = splice(line..stop, "");
                if count > 1 {
                    return Ok(vec![cut]);
                }
                // What remains must still be a mapping or a list.
                let entry = self.entry(parent).ok_or_else(|| self.layout(start))?;
                let colon = after_colon(&self.text, entry.key_range.end).ok_or_else(|| self.layout(start))?;
                let empty = if matches!(node.kind, Kind::Map(..)) { " {}" } else { " []" };
                Ok(vec![splice(colon..colon, empty), cut])
            }
        }
    }

    /// An entry of a collection in brackets, with one comma.
    fn cut_from_flow(&self, node: &Node, start: usize, end: usize, index: usize, count: usize) -> Splice {
        let rest = &self.text[end..node.range.end];
        let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if rest[blanks..].starts_with(',') {
            let after = end + blanks + 1;
            let line = self.line_start(start);
            let line_end = self.line_end(after);
            let behind = self.text[after..line_end].trim_start();
            // A line of its own goes as a whole, with the comment behind it.
            if self.text[line..start].trim().is_empty() && (behind.is_empty() || behind.starts_with('#')) {
                let stop = (line_end + 1).min(node.range.end);
                return splice(line..stop, "");
            }
            let spaces = self.text[after..].len() - self.text[after..].trim_start_matches([' ', '\t']).len();
            return splice(start..after + spaces, "");
        }
        if index > 0 && index + 1 == count {
            // The last one takes the comma before it along.
            let before = &self.text[node.range.start..start];
            let comma = before.rfind(',').map_or(start, |at| node.range.start + at);
            return splice(comma..end, "");
        }
        if count == 1 {
            return splice(node.range.start + 1..node.range.end - 1, "");
        }
        splice(start..end, "")
    }

    /// Applies the splices, if the result is what is wanted.
    fn commit(&mut self, mut splices: Vec<Splice>, wanted: &Value) -> Result<(), EditError> {
        splices.sort_by_key(|splice| std::cmp::Reverse((splice.range.start, splice.range.end)));
        let line = splices.last().map_or(0, |splice| splice.range.start);
        let mut text = Zeroizing::new(self.text.to_string());
        for Splice { range, text: new } in splices {
            text.replace_range(range, &new);
        }
        let sound = value_of(&text).is_ok_and(|value| value == *wanted);
        let top = node::tree(&text).filter(|_| sound).ok_or_else(|| self.layout(line))?;
        self.text = text;
        self.top = top;
        Ok(())
    }

    fn value(&self) -> Result<Value, EditError> {
        value_of(&self.text)
    }

    fn find(&self, way: &[Step]) -> Option<&Node> {
        way.iter().try_fold(&self.top, |node, step| match (&node.kind, step) {
            (Kind::Map(entries, _), Step::Key(key)) => {
                entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.value)
            }
            (Kind::List(items, _), Step::At(index)) => items.get(*index),
            _ => None,
        })
    }

    fn entry(&self, way: &[Step]) -> Option<&Entry> {
        let (Step::Key(key), parent) = way.split_last()? else { return None };
        match &self.find(parent)?.kind {
            Kind::Map(entries, _) => entries.iter().find(|entry| entry.key == *key),
            _ => None,
        }
    }

    /// The entry at `way` if it stands in a block, and how far it is indented.
    fn block_entry(&self, way: &[Step]) -> Option<(&Entry, usize)> {
        let (_, parent) = way.split_last()?;
        let entry = self.entry(way)?;
        match &self.find(parent)?.kind {
            Kind::Map(_, Layout::Block) => {
                Some((entry, entry.key_range.start - self.line_start(entry.key_range.start)))
            }
            _ => None,
        }
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        if self.text[at..end].ends_with('\r') { end - 1 } else { end }
    }

    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }

    fn layout(&self, at: usize) -> EditError {
        let line = self.text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        EditError::Layout { line, hint: BY_HAND }
    }
}

/// A mapping that is worth lines of its own.
fn is_open(value: &Fragment) -> bool {
    matches!(value, Fragment::Map(entries) if entries.len() > 1 && entries.iter().any(|(key, _)| key == "network"))
        || matches!(value, Fragment::Map(entries) if entries.iter().any(|(_, v)| matches!(v, Fragment::Map(_))))
}

fn missing(way: &[Step]) -> EditError {
    let mut name = String::new();
    for step in way {
        match step {
            Step::Key(key) if name.is_empty() => name.push_str(key),
            Step::Key(key) => name = format!("{name}.{key}"),
            Step::At(index) => name = format!("{name}[{index}]"),
        }
    }
    EditError::Missing(name)
}

fn value_of(text: &str) -> Result<Value, EditError> {
    serde_yaml::from_str(text).map_err(|_| EditError::NotYaml)
}

fn at<'a>(value: &'a mut Value, way: &[Step]) -> Option<&'a mut Value> {
    way.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.as_mapping_mut()?.get_mut(key.as_str()),
        Step::At(index) => value.as_sequence_mut()?.get_mut(*index),
    })
}

fn put(value: &mut Value, way: &[Step], new: Value) -> Option<()> {
    let Some((step, rest)) = way.split_first() else {
        *value = new;
        return Some(());
    };
    match step {
        Step::Key(key) => {
            if value.is_null() {
                *value = Value::Mapping(serde_yaml::Mapping::new());
            }
            put(value.as_mapping_mut()?.entry(Value::from(key.as_str())).or_insert(Value::Null), rest, new)
        }
        Step::At(index) => put(value.as_sequence_mut()?.get_mut(*index)?, rest, new),
    }
}

fn take(value: &mut Value, way: &[Step]) -> Option<()> {
    let (last, parent) = way.split_last()?;
    match (at(value, parent)?, last) {
        (Value::Mapping(map), Step::Key(key)) => map.shift_remove(key.as_str()).map(|_| ()),
        (Value::Sequence(list), Step::At(index)) => (*index < list.len()).then(|| {
            list.remove(*index);
        }),
        _ => None,
    }
}
