//! A serde deserializer over a parsed YAML value that knows at which path it is, so that each fault has a place, and
//! that can leave out the places already found faulty, so that reading again finds the next fault.

use super::position::Path;
use serde::de::{self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde_yaml::Value;
use std::{cell::RefCell, collections::BTreeSet, fmt};

/// What did not fit the schema, and where. Values are never repeated here: a fault may sit on a secret.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) path: Option<Path>,
    pub(super) kind: FaultKind,
}

#[derive(Debug)]
pub(super) enum FaultKind {
    /// A key that the schema does not have, and those it has at this place.
    UnknownKey { expected: &'static [&'static str] },
    /// A mapping without this key.
    MissingKey(&'static str),
    /// A word that is none of the choices.
    UnknownChoice { found: String, expected: &'static [&'static str] },
    /// A value of another kind than wanted.
    WrongKind { found: &'static str, expected: String },
    /// What the type of the value says about it.
    Refused(String),
}

impl Fault {
    fn new(kind: FaultKind) -> Self {
        Self { path: None, kind }
    }

    /// Sets the place unless a deeper one is known.
    fn at(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.clone());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(FaultKind::Refused(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(FaultKind::WrongKind { found: kind_of(&found), expected: in_words(expected) })
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        // Numbers out of bounds end here, and a number may be shown; a text may be a secret.
        match found {
            Unexpected::Unsigned(number) => Self::custom(format!("{number} is not {}", in_words(expected))),
            Unexpected::Signed(number) => Self::custom(format!("{number} is not {}", in_words(expected))),
            _ => Self::invalid_type(found, expected),
        }
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownChoice { found: variant.to_owned(), expected })
    }

    fn unknown_field(_: &str, expected: &'static [&'static str]) -> Self {
        Self::new(FaultKind::UnknownKey { expected })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(FaultKind::MissingKey(field))
    }
}

fn kind_of(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a number",
        Unexpected::Float(_) => "a number with a point or an exponent",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map | Unexpected::StructVariant => "a mapping",
        Unexpected::Str(_) | Unexpected::Char(_) => "a text",
        _ => "a YAML tag",
    }
}

/// What serde's own visitors expect, in the words of somebody who edits a file.
fn in_words(expected: &dyn de::Expected) -> String {
    let expected = expected.to_string();
    let words = match expected.as_str() {
        "a string" => "a text; put it in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping (lines of `key: value`)",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        _ => return expected,
    };
    words.to_owned()
}

/// Places that are not read again.
#[derive(Default, Debug)]
pub(super) struct Skipped(RefCell<BTreeSet<Path>>);

impl Skipped {
    /// Leaves `path` out from now on. Returns false when it already was.
    pub(super) fn add(&self, path: Path) -> bool {
        self.0.borrow_mut().insert(path)
    }

    pub(super) fn has(&self, path: &Path) -> bool {
        self.0.borrow().contains(path)
    }

    /// The keys left out of the mapping at `path`.
    pub(super) fn keys_in(&self, path: &Path) -> Vec<String> {
        let skipped = self.0.borrow();
        let inside = skipped.iter().filter(|skipped| skipped.parent().as_ref() == Some(path));
        inside.filter_map(|skipped| skipped.last_key().map(str::to_owned)).collect()
    }

    /// Whether anything at or under `path`, or above it, was left out: what is *absent* there says nothing.
    pub(super) fn touches(&self, path: &Path) -> bool {
        self.0.borrow().iter().any(|skipped| skipped.starts_with(path) || path.starts_with(skipped))
    }
}

/// A value at its place.
pub(super) struct Node<'a> {
    value: &'a Value,
    path: Path,
    skipped: &'a Skipped,
}

impl<'a> Node<'a> {
    /// The top of a file.
    pub(super) fn top(value: &'a Value, skipped: &'a Skipped) -> Self {
        Self { value, path: Path::default(), skipped }
    }

    /// Gives the entries of a mapping; a key with nothing behind it (`users:`) is a mapping without entries.
    fn visit_mapping<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Self { value, path, skipped } = self;
        let found = match value {
            Value::Mapping(_) | Value::Null => {
                let entries = value.as_mapping().map(serde_yaml::Mapping::iter);
                let entries =
                    Entries { entries: entries.into_iter().flatten(), value: None, path: &path, skipped };
                return visitor.visit_map(entries).map_err(|fault| fault.at(&path));
            }
            Value::Bool(flag) => Unexpected::Bool(*flag),
            Value::Number(_) => Unexpected::Unsigned(0),
            Value::String(_) => Unexpected::Str(""),
            Value::Sequence(_) => Unexpected::Seq,
            Value::Tagged(_) => Unexpected::Enum,
        };
        Err(Fault::invalid_type(found, &"a map").at(&path))
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let path = self.path.clone();
        let result = match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), ..) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (.., number) => visitor.visit_f64(number.unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Sequence(values) => {
                let skipped = self.skipped;
                visitor.visit_seq(Elements { values: values.iter().enumerate(), path: &path, skipped })
            }
            Value::Mapping(_) => self.visit_mapping(visitor),
            Value::Tagged(_) => Err(Fault::custom("YAML tags (`!name`) mean nothing here")),
        };
        result.map_err(|fault| fault.at(&path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.visit_mapping(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.visit_mapping(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.value {
            Value::String(text) => visitor
                .visit_enum(text.as_str().into_deserializer())
                .map_err(|fault: Fault| fault.at(&self.path)),
            _ => {
                // The visitor of an enum takes no other kind, and its refusal names the kind found.
                self.deserialize_any(visitor).map_err(|mut fault| {
                    if let FaultKind::WrongKind { expected, .. } = &mut fault.kind {
                        "a word".clone_into(expected);
                    }
                    fault
                })
            }
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct identifier
    }
}

struct Entries<'a, I> {
    entries: I,
    value: Option<(&'a Value, Path)>,
    path: &'a Path,
    skipped: &'a Skipped,
}

impl<'de, 'a, I: Iterator<Item = (&'a Value, &'a Value)>> de::MapAccess<'de> for Entries<'a, I> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        for (key, value) in self.entries.by_ref() {
            let Value::String(key) = key else {
                // Which key it is cannot be said: a number does not keep its text.
                return Err(
                    Fault::custom("one of the keys here is not a text: put it in quotes").at(self.path)
                );
            };
            let path = self.path.key(key);
            if !self.skipped.has(&path) {
                let known = seed.deserialize(key.as_str().into_deserializer());
                let known = known.map_err(|fault: Fault| fault.at(&path))?;
                self.value = Some((value, path));
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (value, path) = self.value.take().ok_or_else(|| Fault::custom("a value without its key"))?;
        let place = path.clone();
        seed.deserialize(Node { value, path, skipped: self.skipped }).map_err(|fault| fault.at(&place))
    }
}

struct Elements<'a> {
    values: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    path: &'a Path,
    skipped: &'a Skipped,
}

impl<'de> de::SeqAccess<'de> for Elements<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        for (index, value) in self.values.by_ref() {
            let path = self.path.index(index);
            if !self.skipped.has(&path) {
                let place = path.clone();
                let element = seed.deserialize(Node { value, path, skipped: self.skipped });
                return element.map(Some).map_err(|fault| fault.at(&place));
            }
        }
        Ok(None)
    }
}
