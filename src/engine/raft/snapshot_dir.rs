//! Snapshot files in the data directory: written aside, synced, renamed, and the older ones removed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dir::sync_dir;
use super::snapshot_file::{SnapshotReader, SnapshotWriter};
use super::types::SnapshotMeta;
use super::{Frozen, StartError};

const SUFFIX: &str = ".snapshot";
const ASIDE: &str = "aside.tmp";

/// The snapshots of one node; there is at most one, besides the one being written.
#[derive(Debug)]
pub(super) struct SnapshotDir {
    dir: PathBuf,
    current: Mutex<Option<StoredSnapshot>>,
}

#[derive(Debug, Clone)]
pub(super) struct StoredSnapshot {
    pub meta: SnapshotMeta,
    pub path: PathBuf,
    pub bytes: u64,
}

impl SnapshotDir {
    /// Finds the newest snapshot and checks its header; its content is checked while it is read.
    pub fn open(dir: &Path) -> Result<Self, StartError> {
        let _ = fs::remove_file(dir.join(ASIDE));
        let newest = snapshot_files(dir).map_err(|e| StartError::io(dir, e))?.pop();
        let current = newest.map(|path| {
            let reader = SnapshotReader::open(&path).map_err(|e| StartError::unreadable(&path, 0, e))?;
            let bytes = fs::metadata(&path).map_err(|e| StartError::io(&path, e))?.len();
            Ok(StoredSnapshot { meta: reader.meta, path, bytes })
        });
        Ok(Self { dir: dir.to_owned(), current: Mutex::new(current.transpose()?) })
    }

    pub fn current(&self) -> Option<StoredSnapshot> {
        self.lock().clone()
    }

    /// Writes the frozen state and makes it the current snapshot. Blocks for as long as the disk takes.
    pub fn write(&self, meta: &SnapshotMeta, frozen: &dyn Frozen) -> io::Result<StoredSnapshot> {
        let aside = self.dir.join(ASIDE);
        let mut writer = SnapshotWriter::new(File::create(&aside)?, meta)?;
        frozen.write_to(&mut writer)?;
        writer.finish()?;
        self.adopt(&aside, meta)
    }

    /// Copies a snapshot that another node has sent, checks all of it, and makes it the current one.
    pub fn receive(&self, meta: &SnapshotMeta, from: &Path) -> io::Result<StoredSnapshot> {
        let aside = self.dir.join(ASIDE);
        fs::copy(from, &aside)?;
        File::open(&aside)?.sync_all()?;
        SnapshotReader::open(&aside)?.verify_rest()?;
        self.adopt(&aside, meta)
    }

    fn adopt(&self, aside: &Path, meta: &SnapshotMeta) -> io::Result<StoredSnapshot> {
        let path = self.dir.join(file_name(meta));
        fs::rename(aside, &path)?;
        sync_dir(&self.dir)?;
        let stored = StoredSnapshot { meta: meta.clone(), bytes: fs::metadata(&path)?.len(), path };
        *self.lock() = Some(stored.clone());
        for old in snapshot_files(&self.dir)?.into_iter().filter(|file| *file != stored.path) {
            fs::remove_file(old)?;
        }
        Ok(stored)
    }

    fn lock(&self) -> MutexGuard<'_, Option<StoredSnapshot>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts by name as by age: the index comes first and has a fixed width.
fn file_name(meta: &SnapshotMeta) -> String {
    let (index, term) = meta.last_log_id.map_or((0, 0), |id| (id.index, id.leader_id.term));
    format!("{index:020}-{term:020}{SUFFIX}")
}

fn snapshot_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(SUFFIX) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
