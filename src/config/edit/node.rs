//! The tree of a YAML text, each node with the bytes that it takes up.
//!
//! The events of `saphyr-parser` say exactly where everything begins; where quoted texts, lists in brackets and whatever
//! stands in blocks end is found here, in the text itself.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, SpannedEventReceiver};
use std::ops::Range;

/// A node and its place.
#[derive(Debug)]
pub(super) struct Node {
    /// The bytes of the node itself, brackets and quotes included; for a block, from its first key to its last value.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A value that is not written at all: `users:` and nothing after it.
    Absent,
    Scalar(String),
    /// A text of several lines after `|` or `>`. The range is that of the lines.
    BlockScalar,
    Alias,
    Map(Vec<Entry>, Layout),
    List(Vec<Node>, Layout),
}

/// How a collection is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Layout {
    /// Line by line.
    Block,
    /// In brackets.
    Flow,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Node,
}

impl Entry {
    /// Where the entry ends, its colon included when nothing follows it.
    pub(super) fn end(&self, text: &str) -> usize {
        match self.value.kind {
            Kind::Absent => after_colon(text, self.key_range.end).unwrap_or(self.key_range.end),
            _ => self.value.range.end,
        }
    }
}

/// The byte after the colon that follows a key.
pub(super) fn after_colon(text: &str, key_end: usize) -> Option<usize> {
    let rest = text.get(key_end..)?;
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    rest[blanks..].starts_with(':').then_some(key_end + blanks + 1)
}

/// Reads the tree of the first document of `text`; `None` when it is not YAML, or has more than one document.
pub(super) fn tree(text: &str) -> Option<Node> {
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    let mut walk = Walk { text, offsets, open: Vec::new(), done: Vec::new(), documents: 0, tagged: false };
    Parser::new_from_str(text).load(&mut walk, true).ok()?;
    (walk.documents == 1 && !walk.tagged && walk.open.is_empty() && walk.done.len() == 1)
        .then(|| walk.done.pop())?
}

struct Walk<'a> {
    text: &'a str,
    /// Characters to bytes.
    offsets: Vec<usize>,
    /// Collections that have begun: where, how, and whether they are mappings; what is in them is on `done` from there.
    open: Vec<Open>,
    /// Nodes that have ended and have no parent yet.
    done: Vec<Node>,
    documents: usize,
    /// Tags (`!x`) change what a text means; a configuration has none.
    tagged: bool,
}

struct Open {
    start: usize,
    layout: Layout,
    map: bool,
    first: usize,
}

impl Walk<'_> {
    fn byte(&self, index: usize) -> usize {
        self.offsets.get(index).copied().unwrap_or(self.text.len())
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, span: Span) {
        let (start, end) = (self.byte(span.start.index()), self.byte(span.end.index()));
        let node = match style {
            ScalarStyle::Plain if start == end => Node { range: start..start, kind: Kind::Absent },
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let lines = self.text[start..end].trim_end_matches(['\n', '\r', ' ']);
                Node { range: start..start + lines.len(), kind: Kind::BlockScalar }
            }
            ScalarStyle::Plain => Node { range: start..end, kind: Kind::Scalar(value.to_owned()) },
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let quote = if style == ScalarStyle::SingleQuoted { '\'' } else { '"' };
                let end = quoted_end(self.text, start, quote).unwrap_or(end);
                Node { range: start..end, kind: Kind::Scalar(value.to_owned()) }
            }
        };
        self.done.push(node);
    }

    fn open(&mut self, span: Span, map: bool) {
        let start = self.byte(span.start.index());
        // An anchor or a tag may stand before the bracket; then the span reaches to the bracket.
        let end = self.byte(span.end.index()).max(start);
        let bracket = if map { '{' } else { '[' };
        let flow = self.text[start..end].contains(bracket);
        let layout = if flow { Layout::Flow } else { Layout::Block };
        self.open.push(Open { start, layout, map, first: self.done.len() });
    }

    fn close(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        let nodes = self.done.split_off(open.first);
        let end = match open.layout {
            Layout::Flow => closing_bracket(self.text, self.byte(span.start.index())),
            Layout::Block => open.start,
        };
        let mut node = if open.map {
            let mut entries = Vec::new();
            let mut nodes = nodes.into_iter();
            while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
                let name = if let Kind::Scalar(name) = key.kind { name } else { String::new() };
                entries.push(Entry { key: name, key_range: key.range, value });
            }
            Node { range: open.start..end, kind: Kind::Map(entries, open.layout) }
        } else {
            Node { range: open.start..end, kind: Kind::List(nodes, open.layout) }
        };
        if open.layout == Layout::Block {
            node.range.end = match &node.kind {
                Kind::Map(entries, _) => entries.last().map_or(open.start, |entry| entry.end(self.text)),
                Kind::List(items, _) => items.last().map_or(open.start, |item| item.range.end),
                _ => open.start,
            };
        }
        self.done.push(node);
    }
}

impl<'input> SpannedEventReceiver<'input> for Walk<'_> {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        self.tagged |= match &event {
            Event::Scalar(_, _, _, tag) => tag.is_some(),
            Event::MappingStart(_, tag) | Event::SequenceStart(_, tag) => tag.is_some(),
            _ => false,
        };
        match event {
            Event::DocumentStart(_) => self.documents += 1,
            Event::Scalar(value, style, ..) => self.scalar(&value, style, span),
            Event::Alias(_) => {
                let range = self.byte(span.start.index())..self.byte(span.end.index());
                self.done.push(Node { range, kind: Kind::Alias });
            }
            Event::MappingStart(..) => self.open(span, true),
            Event::SequenceStart(..) => self.open(span, false),
            Event::MappingEnd | Event::SequenceEnd => self.close(span),
            _ => {}
        }
    }
}

/// The byte after the closing bracket at or after `at`. The parser's event points to a comma before it, if there is one.
fn closing_bracket(text: &str, at: usize) -> usize {
    let mut in_comment = false;
    for (offset, byte) in text.bytes().enumerate().skip(at) {
        match byte {
            b'\n' => in_comment = false,
            b'#' => in_comment = true,
            b'}' | b']' if !in_comment => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where a quoted text that begins at or after `start` ends (an anchor or a tag may precede it).
fn quoted_end(text: &str, start: usize, quote: char) -> Option<usize> {
    let first = start + text.get(start..)?.find(quote)? + 1;
    let mut characters = text[first..].char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && quote == '"' {
            characters.next();
        } else if character == quote {
            // Two of them are one, in single quotes.
            if quote == '\'' && characters.peek().is_some_and(|(_, next)| *next == quote) {
                characters.next();
            } else {
                return Some(first + at + 1);
            }
        }
    }
    None
}
