//! What is wrong with bytes that do not parse.

/// A malformed message: which field, and how. `Copy`, no allocation: bad packets must be cheap.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Error {
    /// The field or structure that does not parse, in the RFC's words.
    pub what: &'static str,
    /// How it is wrong.
    pub kind: Kind,
}

/// The ways in which bytes can be wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// The message ends before the field does.
    Truncated,
    /// A length field that contradicts itself or its surroundings.
    BadLength,
    /// A value that the RFC forbids here.
    BadValue,
    /// Bytes left over after the end.
    Trailing,
    /// More elements than we are willing to hold.
    TooMany,
    /// A required part is missing.
    Missing,
}

impl Error {
    /// An error about `what`.
    #[must_use]
    pub const fn new(what: &'static str, kind: Kind) -> Self {
        Self { what, kind }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Truncated => "truncated",
            Kind::BadLength => "bad length",
            Kind::BadValue => "bad value",
            Kind::Trailing => "trailing bytes",
            Kind::TooMany => "too many",
            Kind::Missing => "missing",
        };
        write!(f, "{}: {kind}", self.what)
    }
}

impl std::error::Error for Error {}
