//! What outlives a restart: leases, stories and volumes, in one file each of the state directory, replaced whole and atomically.

use crate::gatehouse::{Gatehouse, SavedVolume};
use crate::hub::snapshot::{Clocks, Saved};
use crate::story::Record;
use crate::worker::Clock;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const LEASES: &str = "leases.json";
const STORIES: &str = "stories.json";
const VOLUMES: &str = "volumes.json";

/// What the files would show, in numbers that grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Generation {
    leases: u64,
    stories: u64,
    volumes: u64,
}

impl Generation {
    pub(super) fn of(gatehouse: &Gatehouse) -> Self {
        let leases = gatehouse.hubs().iter().map(|hub| hub.leases().generation()).sum();
        Self { leases, stories: gatehouse.stories().total(), volumes: gatehouse.volumes_generation() }
    }
}

fn clocks(clock: Clock) -> Clocks {
    Clocks { now: clock.now, unix: clock.unix }
}

/// Reads what a former run left. A file that cannot be read is set aside, not obeyed.
pub(super) fn load(dir: &Path, gatehouse: &mut Gatehouse, clock: Clock) {
    if let Some(mut leases) = read::<BTreeMap<String, Vec<Saved>>>(&dir.join(LEASES)) {
        let hubs: Vec<_> = gatehouse.hubs().iter().map(|hub| (hub.id(), hub.name().to_owned())).collect();
        for (id, name) in hubs {
            if let Some((saved, hub)) = leases.remove(&name).zip(gatehouse.hub_mut(id)) {
                let taken = hub.leases_mut().load(clocks(clock), saved);
                tracing::debug!(hub = name, taken, "leases of the former run");
            }
        }
    }
    if let Some(volumes) = read::<Vec<SavedVolume>>(&dir.join(VOLUMES)) {
        gatehouse.load_volumes(volumes);
    }
    if let Some(records) = read::<Vec<Record>>(&dir.join(STORIES)) {
        for record in records {
            gatehouse.stories_mut().keep(record);
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "not read");
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            let aside = path.with_extension("broken");
            tracing::warn!(file = %path.display(), %error, aside = %aside.display(), "cannot be understood, set aside");
            let _ = fs::rename(path, aside);
            None
        }
    }
}

/// Writes leases and stories.
pub(super) fn save(dir: &Path, gatehouse: &Gatehouse, clock: Clock) -> io::Result<()> {
    let leases: BTreeMap<&str, Vec<Saved>> = gatehouse
        .hubs()
        .iter()
        .map(|hub| (hub.name(), hub.leases().save(clocks(clock), None, usize::MAX)))
        .filter(|(_, leases)| !leases.is_empty())
        .collect();
    write(&dir.join(LEASES), &leases)?;
    write(&dir.join(VOLUMES), &gatehouse.save_volumes())?;
    write(&dir.join(STORIES), &gatehouse.stories().iter().collect::<Vec<_>>())
}

fn write(path: &Path, value: &impl serde::Serialize) -> io::Result<()> {
    let new = path.with_extension("new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut file = BufWriter::new(file);
    serde_json::to_writer(&mut file, value)?;
    file.write_all(b"\n")?;
    file.into_inner()?.sync_all()?;
    fs::rename(&new, path)
}
