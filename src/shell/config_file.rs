//! The configuration file on the disk: read with what matters about the file, written so that it is never half there.

use crate::config::{FileFacts, Loaded, Report, load};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};
use zeroize::Zeroizing;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the configuration {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It has errors.
    #[error("{0}")]
    Wrong(Report),
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// When it cannot be read or has errors.
pub fn read(path: &Path) -> Result<Loaded, Error> {
    let unreadable = |error| Error::Unreadable { path: path.to_owned(), error };
    let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
    let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
    let facts = FileFacts { name: path.display().to_string(), mode: Some(mode), now: unix_now() };
    let mut loaded = load(&text, &facts).map_err(Error::Wrong)?;
    loaded.config.settle_uplinks(super::tap::is_available());
    Ok(loaded)
}

/// Makes a directory for secrets (0700), and those above it as usual, unless they exist.
///
/// # Errors
/// As the file system says.
pub fn make_private_dir(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        result => result,
    }
}

/// Writes a file that its owner alone may read, in one step: whoever looks sees the old content or the new one, also
/// after a power failure.
///
/// # Errors
/// As the file system says.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    write_for(path, content, None)
}

/// Replaces the file at `path` by `new`, if it still holds `old`: somebody else may have edited it meanwhile. The owner
/// stays; whoever runs the gateway must be able to read it.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] when the file has changed; else as the file system says.
pub fn replace(path: &Path, old: &str, new: &str) -> io::Result<()> {
    // What a link points to is replaced, not the link.
    let path = fs::canonicalize(path)?;
    let lock =
        nix::fcntl::Flock::lock(fs::File::open(directory_of(&path))?, nix::fcntl::FlockArg::LockExclusive);
    let _lock = lock.map_err(|(_, error)| io::Error::from(error))?;
    if Zeroizing::new(fs::read_to_string(&path)?).as_str() != old {
        return Err(io::ErrorKind::ResourceBusy.into());
    }
    let owner = fs::metadata(&path)?;
    write_for(&path, new.as_bytes(), Some((owner.uid(), owner.gid())))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_for(path: &Path, content: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    let directory = directory_of(path);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    // A draft of a process that died, with our number.
    let _ = fs::remove_file(&draft);
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        if let Some((user, group)) =
            owner.filter(|owner| file.metadata().is_ok_and(|m| *owner != (m.uid(), m.gid())))
        {
            std::os::unix::fs::fchown(&file, Some(user), Some(group))?;
        }
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        fs::File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// The present, in seconds of Unix time.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::test_dir::TestDir;

    #[test]
    fn a_private_file_is_written_whole_and_closed_to_others() {
        let dir = TestDir::new();
        let state = dir.path().join("a/b/state");
        make_private_dir(&state).unwrap();
        make_private_dir(&state).unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        let file = state.join("x.yaml");
        write_private(&file, b"one").unwrap();
        write_private(&file, b"two").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_file_that_somebody_else_changed_is_not_replaced() {
        let dir = TestDir::new();
        let (file, link) = (dir.path().join("x.yaml"), dir.path().join("link.yaml"));
        write_private(&file, b"one").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "one", "two").unwrap();
        assert_eq!(replace(&link, "one", "three").unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert_eq!(fs::read(&file).unwrap(), b"two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read(Path::new("/nonexistent/sekisho.yaml")).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/sekisho.yaml"), "{error}");
    }

    #[test]
    fn the_mode_of_the_file_reaches_the_check() {
        let dir = TestDir::new();
        let file = dir.path().join("x.yaml");
        write_private(&file, include_bytes!("../../config/minimal.yaml")).unwrap();
        assert_eq!(read(&file).unwrap().warnings.findings, []);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&file).unwrap().warnings.findings.len(), 1);
    }
}
