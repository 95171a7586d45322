//! A limit that a nearer place may lift again: `max_sessions: 5`, `max_sessions: none`.

use super::{Date, Hours, Rate, Span, Volume};
use serde::de::value::{I64Deserializer, StrDeserializer, U64Deserializer};
use serde::de::{self, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// A limit, or the word that there is none, whatever a farther place says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit<T> {
    /// `none`.
    None,
    /// So much.
    To(T),
}

impl<T> Limit<T> {
    /// The limit, where one was set and not lifted.
    pub fn of(limit: Option<Self>) -> Option<T> {
        match limit {
            Some(Self::To(value)) => Some(value),
            Some(Self::None) | None => None,
        }
    }

    /// The limit, unless it is lifted.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::To(value) => Some(value),
            Self::None => None,
        }
    }
}

/// What may be limited, for messages.
pub trait Limited {
    /// What the file is expected to say besides `none`.
    const EXPECTED: &'static str;
    /// Whether it is written as a number.
    const NUMBER: bool = false;
}

impl Limited for u32 {
    const EXPECTED: &'static str = "a whole number";
    const NUMBER: bool = true;
}

impl Limited for Span {
    const EXPECTED: &'static str = "a length of time such as 90s, 5m or 8h";
}

impl Limited for Date {
    const EXPECTED: &'static str = "a date such as 2026-12-31";
}

impl Limited for Hours {
    const EXPECTED: &'static str = "times such as mon-fri 08:00-18:00";
}

impl Limited for Rate {
    const EXPECTED: &'static str = "a rate such as 10mbit";
}

impl Limited for Volume {
    const EXPECTED: &'static str = "a volume such as 50GB";
}

impl<'de, T: Deserialize<'de> + Limited> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct NoneOr<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Limited> de::Visitor<'de> for NoneOr<T> {
            type Value = Limit<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}, or none", T::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Limit<T>, E> {
                if text == "none" {
                    return Ok(Limit::None);
                }
                if T::NUMBER {
                    return Err(E::invalid_type(de::Unexpected::Str(""), &self));
                }
                let input: StrDeserializer<'_, E> = text.into_deserializer();
                T::deserialize(input).map(Limit::To)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Limit<T>, E> {
                let input: U64Deserializer<E> = number.into_deserializer();
                T::deserialize(input).map(Limit::To)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Limit<T>, E> {
                let input: I64Deserializer<E> = number.into_deserializer();
                T::deserialize(input).map(Limit::To)
            }
        }

        input.deserialize_any(NoneOr(PhantomData))
    }
}
