//! The control side as `sekisho ctl`, tests and other programs see it: commands, rows of answers, and how the gatehouse
//! answers them. Sans-IO: the shell owns the socket.
//!
//! One line of JSON asks, one or more lines answer (`docs/control.md`). An answer may be long (50,000 sessions), so it is
//! made a page at a time: whoever owns the gatehouse calls [`Job::step`] between its other work, and nothing ever waits
//! for a listing.

mod bans;
mod command;
mod job;
mod reply;
mod routers;
mod rows;
mod tables;
mod tales;

#[cfg(test)]
mod tests;

pub use command::{Command, VERSION, read_request, write_request};
pub use job::{Facts, Job, Page, Reloaded};
pub use reply::{Kind, Refusal, Reply};
pub use rows::{
    AclRow, BanRow, ChangeRow, DropRow, GuestRow, HubRow, IpRow, LeaseRow, MacRow, MonitorRow, NatRow,
    ReloadRow, RouterRow, Row, SessionRow, StatusRow, StoryRow, WorkerRow,
};
