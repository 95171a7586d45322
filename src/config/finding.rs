//! What is wrong with a file, or unwise, where, and what to do about it.

use std::fmt;

/// A place in the text, counted from 1 as editors do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file works, and perhaps not as wished.
    Warning,
}

/// One thing to say about the file. No finding repeats a secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where, when it is about a place.
    pub position: Option<Position>,
    /// The key that it is about, as a path: `hubs.HUB1.dhcp.range`. Empty for the file as a whole.
    pub key: String,
    /// What is the case.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything that there is to say about one file, in the order of its lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The file's name, for the front of each line.
    pub source: String,
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The findings sorted by position, those about the whole file first.
    #[must_use]
    pub fn new(source: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.position, finding.severity));
        Self { source: source.to_owned(), findings }
    }

    /// The errors alone.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }

    /// The warnings alone.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Warning)
    }
}

/// One finding per paragraph, the first line in the form that editors and compilers share:
/// `FILE:LINE:COLUMN: error: KEY: MESSAGE`, then the hint, indented.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            f.write_str(&self.source)?;
            if let Some(Position { line, column }) = finding.position {
                write!(f, ":{line}:{column}")?;
            }
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            write!(f, ": {severity}: ")?;
            if !finding.key.is_empty() {
                write!(f, "{}: ", finding.key)?;
            }
            writeln!(f, "{}", finding.message)?;
            if let Some(hint) = &finding.hint {
                writeln!(f, "    hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
