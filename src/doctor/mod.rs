//! What `sekisho doctor` finds out: a list of lines, each with a verdict and, where it is not well, a remedy.
//!
//! Sans-IO: this module judges what the shell has looked at (`shell::doctor`), and makes and reads the few messages that
//! it sends.

pub mod filter;
pub mod lan;
pub mod probe;
pub mod stun;

use serde::Serialize;
use std::fmt::Write as _;

/// A verdict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Well.
    Ok,
    /// It works, perhaps not for everybody.
    Warn,
    /// Somebody will not get in, or get nowhere.
    Fail,
}

/// One line of the list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Line {
    /// A stable name, for programs.
    pub check: &'static str,
    /// The verdict.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Line {
    /// A line without complaint.
    #[must_use]
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), remedy: None }
    }

    /// Something that may matter.
    #[must_use]
    pub fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// Something that is broken.
    #[must_use]
    pub fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// The whole list.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// In the order in which a person would look.
    pub lines: Vec<Line>,
}

impl Report {
    /// The worst verdict in it.
    #[must_use]
    pub fn worst(&self) -> State {
        self.lines.iter().map(|line| line.state).max().unwrap_or(State::Ok)
    }

    /// 0 when all is well, 1 when something is broken, 2 when there are warnings alone.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.worst() {
            State::Ok => 0,
            State::Fail => 1,
            State::Warn => 2,
        }
    }

    /// For people: the remedy under what it is for.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for Line { check, state, found, remedy } in &self.lines {
            let state = match state {
                State::Ok => "ok  ",
                State::Warn => "warn",
                State::Fail => "FAIL",
            };
            let _ = writeln!(out, "{state}  {check:<14} {found}");
            if let Some(remedy) = remedy {
                for line in remedy.lines() {
                    let _ = writeln!(out, "      {:<14} -> {line}", "");
                }
            }
        }
        let count = |state| self.lines.iter().filter(|line| line.state == state).count();
        let _ = write!(
            out,
            "\n{} checks: {} ok, {} warnings, {} failed",
            self.lines.len(),
            count(State::Ok),
            count(State::Warn),
            count(State::Fail)
        );
        out
    }
}

/// What to try when a device still does not connect although all of this is well.
#[must_use]
pub fn what_to_try_next() -> Line {
    Line::ok(
        "next",
        "still no luck? `sekisho ctl why ADDRESS` names the cause of an attempt that arrived; if none arrived, try the device by \
         another path (LTE instead of Wi-Fi), for some networks block UDP 500",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_line_decides_and_remedies_stand_below() {
        let mut report = Report { lines: vec![Line::ok("config", "2 hubs")] };
        assert_eq!((report.exit_code(), report.worst()), (0, State::Ok));
        report.lines.push(Line::warn("clock", "not synchronised", "install chrony"));
        assert_eq!(report.exit_code(), 2);
        report.lines.push(Line::fail("ports", "UDP 500 is taken", "stop it\nor move"));
        assert_eq!(report.exit_code(), 1);
        insta::assert_snapshot!(report.text(), @r"
        ok    config         2 hubs
        warn  clock          not synchronised
                             -> install chrony
        FAIL  ports          UDP 500 is taken
                             -> stop it
                             -> or move

        3 checks: 1 ok, 1 warnings, 1 failed
        ");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["lines"][1]["state"], "warn");
        assert!(json["lines"][0].get("remedy").is_none());
    }
}
