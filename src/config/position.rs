//! Where each key of a YAML text stands, and which keys stand there twice.
//!
//! The values are read by `serde_yaml`, which forgets positions; this walks the events of a second parser over the same
//! text and keeps nothing but positions.

use super::Position;
use saphyr_parser::{Event, Parser, Span, SpannedEventReceiver};
use std::collections::BTreeMap;
use std::fmt;

/// One step from a mapping or list to what is in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// The way from the top of the file to a value.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Path(pub(super) Vec<Segment>);

impl Path {
    /// The path through these keys.
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    fn then(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }

    pub(super) fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_last()?;
        Some(Self(parent.to_vec()))
    }

    /// The name of the key that it leads to.
    pub(super) fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Segment::Key(key)) => Some(key),
            _ => None,
        }
    }

    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

/// `hubs.HUB1.dhcp`, `ipsec.psk[2]` (counted from 0, as programs print lists).
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// A key that stands twice in one mapping.
pub(super) struct Duplicate {
    pub(super) path: Path,
    pub(super) first: Position,
    pub(super) again: Position,
}

/// Positions of every key and list element.
#[derive(Default)]
pub(super) struct Positions {
    keys: BTreeMap<Path, Position>,
    pub(super) duplicates: Vec<Duplicate>,
}

impl Positions {
    /// Walks `text` as far as it is YAML.
    pub(super) fn of(text: &str) -> Self {
        let mut walk = Walk { positions: Self::default(), open: Vec::new(), path: Path::default() };
        // Where this parser stops, the other one stops too, and reports it.
        let _ = Parser::new_from_str(text).load(&mut walk, false);
        walk.positions
    }

    /// Where `path` stands; if it has no place of its own (it came from a YAML alias, or is missing), where the mapping
    /// stands that it belongs to.
    pub(super) fn find(&self, path: &Path) -> Option<Position> {
        let mut path = path.clone();
        loop {
            if let Some(position) = self.keys.get(&path) {
                return Some(*position);
            }
            path = path.parent()?;
        }
    }
}

struct Walk {
    positions: Positions,
    open: Vec<Container>,
    path: Path,
}

enum Container {
    /// Between two entries: the next event is a key.
    BeforeKey,
    /// The key is read; its segment ends the path.
    BeforeValue,
    /// A list, at this index; its segment ends the path.
    List(usize),
}

impl Walk {
    /// A node begins. Returns whether it is a key, which is then no value.
    fn begin(&mut self, position: Position, scalar: Option<&str>) -> bool {
        match self.open.last_mut() {
            Some(container @ Container::BeforeKey) => {
                *container = Container::BeforeValue;
                self.path.0.push(Segment::Key(scalar.unwrap_or("?").to_owned()));
                let first = *self.positions.keys.entry(self.path.clone()).or_insert(position);
                if first != position {
                    let duplicate = Duplicate { path: self.path.clone(), first, again: position };
                    self.positions.duplicates.push(duplicate);
                }
                true
            }
            Some(Container::List(_)) => {
                self.positions.keys.insert(self.path.clone(), position);
                false
            }
            Some(Container::BeforeValue) | None => false,
        }
    }

    /// A node without anything inside: a key, or a whole value.
    fn leaf(&mut self, position: Position, scalar: Option<&str>) {
        if !self.begin(position, scalar) {
            self.end();
        }
    }

    /// A value has ended.
    fn end(&mut self) {
        match self.open.last_mut() {
            Some(container @ Container::BeforeValue) => {
                *container = Container::BeforeKey;
                self.path.0.pop();
            }
            Some(Container::List(index)) => {
                *index += 1;
                self.path.0.pop();
                self.path.0.push(Segment::Index(*index));
            }
            Some(Container::BeforeKey) | None => {}
        }
    }
}

impl<'input> SpannedEventReceiver<'input> for Walk {
    fn on_event(&mut self, event: Event<'input>, span: Span) {
        let position = Position { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::Scalar(text, ..) => self.leaf(position, Some(&text)),
            Event::Alias(_) => self.leaf(position, None),
            Event::MappingStart(..) => {
                self.begin(position, None);
                self.open.push(Container::BeforeKey);
            }
            Event::SequenceStart(..) => {
                self.begin(position, None);
                self.open.push(Container::List(0));
                self.path.0.push(Segment::Index(0));
            }
            Event::MappingEnd => {
                self.open.pop();
                self.end();
            }
            Event::SequenceEnd => {
                self.open.pop();
                self.path.0.pop();
                self.end();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_elements_have_places() {
        let text = "a: 1\nb:\n  - x\n  - { c: [5, 6], d: 7 }\ne: { f: { g: 1 } }\n";
        let positions = Positions::of(text);
        let at = |path: Path| positions.find(&path).map(|p| (p.line, p.column));
        assert_eq!(at(Path::of(&["a"])), Some((1, 1)));
        assert_eq!(at(Path::of(&["b"]).index(0)), Some((3, 5)));
        assert_eq!(at(Path::of(&["b"]).index(1).key("c")), Some((4, 7)));
        assert_eq!(at(Path::of(&["b"]).index(1).key("c").index(1)), Some((4, 14)));
        assert_eq!(at(Path::of(&["e", "f", "g"])), Some((5, 11)));
        assert_eq!(
            at(Path::of(&["e", "f", "missing"])),
            Some((5, 6)),
            "the place of the mapping it is missing in"
        );
        assert_eq!(at(Path::of(&["missing"])), None);
    }

    #[test]
    fn every_duplicate_is_found_with_both_places() {
        let positions = Positions::of("hubs:\n  A: { users: { x: 1, x: 2 } }\n  A: {}\nhubs: {}\n");
        let found: Vec<_> =
            positions.duplicates.iter().map(|d| (d.path.to_string(), d.first.line, d.again.line)).collect();
        assert_eq!(
            found,
            [("hubs.A.users.x".to_owned(), 2, 2), ("hubs.A".to_owned(), 2, 3), ("hubs".to_owned(), 1, 4)]
        );
    }
}
