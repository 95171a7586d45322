//! The note of what was changed on this host, kept in the state directory so that a start after `kill -9` finds it.
//! Whoever holds the note holds the directory: a second gateway with the same one is refused.

use super::{SetupError, bridge, rules, sysctl};
use crate::shell::config_file;
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The changes of one gateway.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Content {
    /// The boot that they were made in: after another one they are gone.
    boot: String,
    /// The network namespace that they were made in: they cannot be reached from another.
    namespace: String,
    /// The packet-filter table.
    table: Option<String>,
    /// Kernel settings.
    sysctls: Vec<Change>,
    /// Interfaces, in the order in which they were changed.
    #[serde(default)]
    links: Vec<Link>,
}

/// What was done to an interface.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// A bridge was made.
    Made(String),
    /// It was put into a bridge.
    Joined(String),
    /// It was switched on.
    Raised(String),
}

impl Link {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Made(name) | Self::Joined(name) | Self::Raised(name) => name,
        }
    }
}

/// A kernel setting that was changed.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
struct Change {
    key: String,
    before: String,
    set: String,
}

impl Content {
    fn here() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = fs::read_link("/proc/thread-self/ns/net").unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
            namespace: namespace.display().to_string(),
            table: None,
            sysctls: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Takes the changes back, as far as they are still there, and says which.
    pub(super) fn undo(&self) -> Vec<String> {
        let mut undone = self.undo_rules();
        if self.is_of_here() {
            undone.extend(bridge::undo(&self.links));
        }
        undone
    }

    fn is_of_here(&self) -> bool {
        let here = Self::here();
        (&self.boot, &self.namespace) == (&here.boot, &here.namespace)
    }

    /// Takes table and settings back.
    pub(super) fn undo_rules(&self) -> Vec<String> {
        let mut undone = Vec::new();
        if !self.is_of_here() {
            return undone;
        }
        if let Some(table) = &self.table
            && rules::remove(table)
        {
            undone.push(format!("removed the nftables table inet {table}"));
        }
        for Change { key, before, set } in self.sysctls.iter().rev() {
            if sysctl::restore(key, before, set) {
                undone.push(format!("set {} back to {before}", key.replace('/', ".")));
            }
        }
        undone
    }
}

/// The note of the running gateway.
#[derive(Debug)]
pub(super) struct Journal {
    content: Content,
    path: PathBuf,
    table: String,
    /// Locked as long as this lives.
    lock: File,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing is not enough: a program that is being started at this moment has a copy of everything that is open, and
        // the lock with it, until it begins to run.
        let _ = self.lock.unlock();
    }
}

impl Journal {
    /// Takes the directory, and returns what an earlier gateway has left.
    pub(super) fn open(state_dir: &Path) -> Result<(Self, Option<Content>), SetupError> {
        let lock = lock(state_dir)?;
        let path = state_dir.join("host-setup.json");
        let left = match fs::read(&path) {
            // A note that cannot be read is of no use, and it was written in one step: somebody else changed it.
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(SetupError::Journal { file: path.display().to_string(), error }),
        };
        let content = Content::here();
        let table = table_name(state_dir, &content.namespace);
        Ok((Self { content, path, table, lock }, left))
    }

    pub(super) const fn content(&self) -> &Content {
        &self.content
    }

    /// Notes that a setting is about to change.
    pub(super) fn note_sysctl(&mut self, key: &str, before: &str, set: &str) -> Result<(), SetupError> {
        let change = Change { key: key.to_owned(), before: before.to_owned(), set: set.to_owned() };
        self.content.sysctls.push(change);
        self.write()
    }

    /// Notes that our table is about to be made, and returns its name.
    pub(super) fn note_table(&mut self) -> Result<String, SetupError> {
        if self.content.table.is_none() {
            self.content.table = Some(self.table.clone());
            self.write()?;
        }
        Ok(self.table.clone())
    }

    /// The interfaces whose forwarding we switched on.
    pub(super) fn interfaces_opened(&self) -> Vec<String> {
        let interface = |change: &Change| Some(change.key.split('/').nth(3)?.to_owned());
        self.content
            .sysctls
            .iter()
            .filter(|change| change.key.ends_with("/forwarding"))
            .filter_map(interface)
            .collect()
    }

    /// Notes that an interface is about to change.
    pub(super) fn note_link(&mut self, change: Link) -> Result<(), SetupError> {
        self.content.links.push(change);
        self.write()
    }

    /// The changes to all interfaces but those of these names.
    pub(super) fn links_beside(&self, names: &[&str]) -> Vec<Link> {
        self.content.links.iter().filter(|link| !names.contains(&link.name())).cloned().collect()
    }

    /// Forgets changes that are taken back.
    pub(super) fn forget_links(&mut self, links: &[Link]) -> Result<(), SetupError> {
        if links.is_empty() {
            return Ok(());
        }
        self.content.links.retain(|link| !links.contains(link));
        self.write_or_clear()
    }

    /// Forgets table and settings: they are taken back.
    pub(super) fn forget_rules(&mut self) -> Result<(), SetupError> {
        self.content.table = None;
        self.content.sysctls.clear();
        self.write_or_clear()
    }

    fn write_or_clear(&mut self) -> Result<(), SetupError> {
        if self.content == Content::here() { self.clear() } else { self.write() }
    }

    /// Forgets everything: it is taken back.
    pub(super) fn clear(&mut self) -> Result<(), SetupError> {
        self.content = Content::here();
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn write(&self) -> Result<(), SetupError> {
        let text = serde_json::to_vec_pretty(&self.content).map_err(|error| self.failed(error.into()))?;
        config_file::write_private(&self.path, &text).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> SetupError {
        SetupError::Journal { file: self.path.display().to_string(), error }
    }
}

/// Locks the directory for this process, and notes its number for whoever comes second.
fn lock(state_dir: &Path) -> Result<File, SetupError> {
    let path = state_dir.join("lock");
    let failed = |error| SetupError::Journal { file: path.display().to_string(), error };
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = open.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut process = String::new();
            let _ = file.read_to_string(&mut process);
            let process = Some(process.trim().to_owned()).filter(|process| !process.is_empty());
            return Err(SetupError::Locked { directory: state_dir.display().to_string(), process });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let note = (|| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    })();
    note.map_err(failed)?;
    Ok(file)
}

/// A name for this gateway's table that no other gateway of this namespace has, and the same after a restart.
fn table_name(state_dir: &Path, namespace: &str) -> String {
    let path = fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    let bytes = path.as_os_str().as_encoded_bytes().iter().chain(namespace.as_bytes());
    // FNV-1a: short, and nobody chooses the input to collide.
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    format!("{}{hash:08x}", super::TABLE_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_dir::TestDir;

    #[test]
    fn a_directory_has_one_gateway() {
        let dir = TestDir::new();
        let (journal, left) = Journal::open(dir.path()).unwrap();
        assert_eq!(left, None);
        let error = Journal::open(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("(process {})", std::process::id())) && error.contains("--state-dir"),
            "{error}"
        );
        // A copy, as a program has that is being started just now.
        let copy = journal.lock.try_clone().unwrap();
        drop(journal);
        Journal::open(dir.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn what_was_noted_is_found_by_the_next() {
        let dir = TestDir::new();
        let (mut journal, _) = Journal::open(dir.path()).unwrap();
        journal.note_sysctl("net/ipv4/conf/eth0.5/forwarding", "0", "1").unwrap();
        let table = journal.note_table().unwrap();
        assert_eq!(journal.interfaces_opened(), ["eth0.5"]);
        let noted = journal.content().clone();
        drop(journal);
        let (mut journal, left) = Journal::open(dir.path()).unwrap();
        assert_eq!(left.as_ref(), Some(&noted));
        assert_eq!(left.unwrap().table, Some(table));
        journal.clear().unwrap();
        journal.clear().unwrap();
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().1, None);
    }

    #[test]
    fn notes_of_another_boot_or_namespace_are_left_alone() {
        let elsewhere = Content {
            namespace: "net:[1]".to_owned(),
            sysctls: vec![Change {
                key: "kernel/random/boot_id".to_owned(),
                before: "x".to_owned(),
                set: String::new(),
            }],
            ..Content::here()
        };
        assert_eq!(elsewhere.undo(), Vec::<String>::new());
    }

    #[test]
    fn tables_are_told_apart_by_directory_and_namespace() {
        let name = |dir: &str, namespace| table_name(Path::new(dir), namespace);
        assert_ne!(name("/a", "net:[1]"), name("/b", "net:[1]"));
        assert_ne!(name("/a", "net:[1]"), name("/a", "net:[2]"));
        assert_eq!(name("/a", "net:[1]").len(), 16);
    }
}
