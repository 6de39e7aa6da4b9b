//! Snapshot files in the data directory: written aside, synced, renamed, and the older ones removed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::raft::data_dir::directory::sync_dir;
use crate::raft::data_dir::space::check_spares;
use crate::raft::error::NodeStartError;
use crate::raft::interface::Frozen;
use crate::raft::snapshot::file::{KeptSnapshot, open_snapshot, snapshot_writer};
use crate::raft::types::{SnapshotBody, SnapshotMeta};

const SUFFIX: &str = ".snapshot";
/// Unfinished files, removed at the next start.
const PARTIAL: &str = ".tmp";
const ASIDE: &str = "aside.tmp";

/// The snapshots of one node; there is at most one, besides the one being written.
#[derive(Debug)]
pub struct SnapshotDir {
    dir: PathBuf,
    current: Mutex<Option<KeptSnapshot>>,
    received: AtomicU64,
}

impl SnapshotDir {
    /// Finds the newest snapshot and checks its header; its content is checked while it is read.
    pub fn open(dir: &Path) -> Result<Self, NodeStartError> {
        for partial in files(dir, PARTIAL).map_err(|e| NodeStartError::io(dir, e))? {
            fs::remove_file(&partial).map_err(|e| NodeStartError::io(&partial, e))?;
        }
        let newest = files(dir, SUFFIX).map_err(|e| NodeStartError::io(dir, e))?.pop();
        let current = newest.map(|path| -> Result<KeptSnapshot, NodeStartError> {
            let (meta, _) = open_snapshot(&path).map_err(|e| NodeStartError::unreadable(&path, 0, e))?;
            let bytes = fs::metadata(&path).map_err(|e| NodeStartError::io(&path, e))?.len();
            Ok(KeptSnapshot { meta, body: SnapshotBody::File(path), bytes })
        });
        Ok(Self { dir: dir.to_owned(), current: Mutex::new(current.transpose()?), received: AtomicU64::new(0) })
    }

    pub fn current(&self) -> Option<KeptSnapshot> {
        self.current.lock().clone()
    }

    /// Writes the frozen state and makes it the current snapshot. Blocks for as long as the disk takes.
    pub fn write(&self, meta: &SnapshotMeta, frozen: &Frozen) -> io::Result<KeptSnapshot> {
        let aside = self.dir.join(ASIDE);
        let written = (|| {
            let file = SparingFile { file: File::create(&aside)?, dir: &self.dir };
            let mut writer = snapshot_writer(file, meta, |out| out.file.sync_data())?;
            frozen(&mut writer)?;
            writer.finish()
        })();
        if let Err(error) = written {
            // The part that was written takes space that others need.
            drop(fs::remove_file(&aside));
            return Err(error);
        }
        self.adopt(&aside, meta)
    }

    /// The path at which a snapshot from another node is assembled.
    pub fn incoming(&self) -> PathBuf {
        let number = self.received.fetch_add(1, Relaxed);
        self.dir.join(format!("incoming-{number}{PARTIAL}"))
    }

    /// Makes a snapshot from another node the current one. It was verified when it had arrived; a file from elsewhere is
    /// copied and verified. Blocks for that long.
    pub fn receive(&self, meta: &SnapshotMeta, from: &Path) -> io::Result<KeptSnapshot> {
        if from.parent() == Some(&self.dir) {
            return self.adopt(from, meta);
        }
        let aside = self.dir.join(ASIDE);
        fs::copy(from, &aside)?;
        File::open(&aside)?.sync_all()?;
        open_snapshot(&aside)?.1.verify_rest()?;
        self.adopt(&aside, meta)
    }

    fn adopt(&self, aside: &Path, meta: &SnapshotMeta) -> io::Result<KeptSnapshot> {
        let path = self.dir.join(file_name(meta));
        fs::rename(aside, &path)?;
        sync_dir(&self.dir)?;
        let bytes = fs::metadata(&path)?.len();
        let older = files(&self.dir, SUFFIX)?.into_iter().filter(|file| *file != path);
        let kept = KeptSnapshot { meta: meta.clone(), body: SnapshotBody::File(path.clone()), bytes };
        *self.current.lock() = Some(kept.clone());
        for old in older {
            fs::remove_file(old)?;
        }
        Ok(kept)
    }
}

/// Sorts by name as by age: the index comes first and has a fixed width.
fn file_name(meta: &SnapshotMeta) -> String {
    let (index, term) = meta.last_log_id.map_or((0, 0), |id| (id.index, id.leader_id.term));
    format!("{index:020}-{term:020}{SUFFIX}")
}

fn files(dir: &Path, suffix: &str) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(suffix) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// A snapshot's file, which stops growing before the log beside it has no room any more.
#[derive(Debug)]
struct SparingFile<'a> {
    file: File,
    dir: &'a Path,
}

impl Write for SparingFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check_spares(self.dir, bytes.len())?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
