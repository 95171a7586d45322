//! The shape of an answer.

use super::VERSION;
use serde::{Deserialize, Serialize};

/// One line of an answer: rows, or a refusal. The last one has `more` false.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reply<R> {
    /// [`VERSION`].
    pub version: u32,
    /// The next rows.
    #[serde(default = "Vec::new")]
    pub rows: Vec<R>,
    /// Whether another line follows.
    #[serde(default)]
    pub more: bool,
    /// Why the command was not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Refusal>,
}

impl<R> Reply<R> {
    /// Rows.
    #[must_use]
    pub const fn rows(rows: Vec<R>, more: bool) -> Self {
        Self { version: VERSION, rows, more, error: None }
    }

    /// A refusal.
    #[must_use]
    pub const fn refused(refusal: Refusal) -> Self {
        Self { version: VERSION, rows: Vec::new(), more: false, error: Some(refusal) }
    }
}

/// Why a command is not carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// There is no such thing.
    #[must_use]
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }
}

/// Kinds of refusals.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The line is not a command.
    BadRequest,
    /// Another version of the protocol.
    Version,
    /// There is no such hub, session, entry, story.
    NotFound,
    /// It exists and cannot be done to it.
    Refused,
    /// The configuration file cannot be used; nothing has changed.
    BadConfiguration,
    /// Too much is being asked at once.
    Busy,
    /// The gateway could not.
    Failed,
}
