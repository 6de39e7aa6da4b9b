//! Notices that the data directory of a running process was removed, replaced or emptied: a restart would not find what is
//! written then.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::base::fatal;
use crate::mutants::planted;
use crate::raft::data_dir::directory::{DataDir, FORMAT, Identity, LOG, SNAPSHOT, identity};
use crate::raft::data_dir::store_id;
use crate::raft::log::{log_file, position};

/// A removal is noticed within a second, including the second check.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// A log file may be purged while a check runs, so that it seems to be missing.
const RECHECK_DELAY: Duration = Duration::from_millis(50);

/// Ends the process when `data_dir` is no longer the directory that it writes to. Runs for ever.
pub fn watch(data_dir: &DataDir) -> impl Future<Output = ()> + use<> {
    let seen = WatchedFiles::of(&data_dir.dir, data_dir.identity);
    async {
        match seen {
            Ok(seen) => watch_from(seen).await,
            Err(error) => {
                tracing::warn!(%error, "the data directory cannot be watched: its removal would not be noticed")
            }
        }
    }
}

async fn watch_from(mut seen: WatchedFiles) {
    let mut reported = false;
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        let mut found = look(&mut seen).await;
        if matches!(found, Ok(Some(_))) {
            tokio::time::sleep(RECHECK_DELAY).await;
            found = look(&mut seen).await;
        }
        match found {
            Ok(None) => reported = false,
            Ok(Some(missing)) if !planted!("removal-unseen") => {
                fatal::abort("the data directory was removed", &missing);
            }
            Err(error) if !reported => {
                tracing::warn!(%error, "the data directory cannot be checked");
                reported = true;
            }
            Ok(Some(_)) | Err(_) => {}
        }
    }
}

/// Checks on a thread that a slow disk may block. The calling task ends the process, so that an aborted task does not.
async fn look(seen: &mut WatchedFiles) -> io::Result<Option<MissingFile>> {
    let mut asked = seen.clone();
    let looked = tokio::task::spawn_blocking(move || asked.missing().map(|missing| (missing, asked)));
    let (missing, asked) = looked.await.map_err(io::Error::other)??;
    *seen = asked;
    Ok(missing)
}

#[derive(Debug, thiserror::Error)]
#[error("{} {what}", path.display())]
struct MissingFile {
    path: PathBuf,
    what: &'static str,
}

/// The files that the data directory must still have.
#[derive(Debug, Clone)]
struct WatchedFiles {
    dir: PathBuf,
    folders: BTreeMap<PathBuf, Identity>,
    /// Kept open: some file systems change the inode number of a directory that is not open.
    _open: Arc<Vec<File>>,
    /// The offsets at which the log files begin.
    chunks: Vec<u64>,
    /// The newest snapshot, by its name.
    snapshot: Option<OsString>,
}

impl WatchedFiles {
    fn of(dir: &Path, opened: Identity) -> io::Result<WatchedFiles> {
        let mut folders = BTreeMap::from([(dir.to_owned(), opened)]);
        let mut open = Vec::new();
        for folder in [LOG, SNAPSHOT].map(|name| dir.join(name)) {
            let file = File::open(&folder)?;
            folders.insert(folder, identity(&file.metadata()?));
            open.push(file);
        }
        let mut seen =
            WatchedFiles { dir: dir.to_owned(), folders, _open: Arc::new(open), chunks: Vec::new(), snapshot: None };
        // From here on the directory must have what it has now.
        seen.missing()?;
        Ok(seen)
    }

    fn missing(&mut self) -> io::Result<Option<MissingFile>> {
        for (folder, opened) in &self.folders {
            match fs::metadata(folder).map(|found| identity(&found)) {
                Ok(found) if found == *opened => {}
                Ok(_) => return Ok(Some(self.lacks(folder, "is another directory now"))),
                Err(error) if is_gone(&error) => return Ok(Some(self.lacks(folder, "is gone"))),
                Err(error) => return Err(error),
            }
        }
        for file in [FORMAT, store_id::FILE, position::FILE].map(|name| self.dir.join(name)) {
            if !fs::exists(&file)? {
                return Ok(Some(self.lacks(&file, "is gone")));
            }
        }
        Ok(self.missing_log()?.or(self.missing_snapshot()?))
    }

    /// A purge removes log files from the beginning only, and never the newest.
    fn missing_log(&mut self) -> io::Result<Option<MissingFile>> {
        let folder = self.dir.join(LOG);
        let chunks = log_file::starts(&folder)?;
        let gone = |start: &u64| chunks.first().is_none_or(|first| first < start) && !chunks.contains(start);
        if let Some(start) = self.chunks.iter().copied().find(gone) {
            return Ok(Some(self.lacks(&log_file::path(&folder, start), "is gone")));
        }
        self.chunks = chunks;
        Ok(None)
    }

    /// A new snapshot is there before the previous one is removed.
    fn missing_snapshot(&mut self) -> io::Result<Option<MissingFile>> {
        let folder = self.dir.join(SNAPSHOT);
        let names = fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.file_name()));
        let names = names.collect::<io::Result<Vec<OsString>>>()?;
        let newest = names.into_iter().filter(|name| name.to_string_lossy().ends_with(".snapshot")).max();
        if newest < self.snapshot {
            return Ok(Some(self.lacks(&folder, "lacks the newest snapshot")));
        }
        self.snapshot = newest;
        Ok(None)
    }

    fn lacks(&self, path: &Path, what: &'static str) -> MissingFile {
        MissingFile { path: path.to_owned(), what }
    }
}

/// `NotADirectory`: a folder in the path is a file now.
fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::StaleNetworkFileHandle
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(dir: &Path) -> WatchedFiles {
        let opened = DataDir::open(dir).expect("opened");
        for file in [store_id::FILE, position::FILE] {
            fs::write(dir.join(file), "").expect("written");
        }
        for (start, bytes) in [(0, 10), (10, 5), (15, 0)] {
            fs::write(log_file::path(&opened.log, start), vec![0; bytes]).expect("written");
        }
        for index in [7, 8] {
            fs::write(opened.snapshot.join(format!("{index}.snapshot")), "").expect("written");
        }
        let mut seen = WatchedFiles::of(dir, opened.identity).expect("there");
        assert!(seen.missing().expect("looked").is_none());
        seen
    }

    /// Whether a change is a removal.
    fn notices(change: impl FnOnce(&Path)) -> bool {
        let home = tempfile::tempdir().expect("a temporary directory");
        let dir = home.path().join("data");
        let mut seen = watched(&dir);
        change(&dir);
        seen.missing().expect("looked").is_some()
    }

    fn remove(dir: &Path, file: &str) {
        fs::remove_file(dir.join(file)).expect("removed");
    }

    #[test]
    fn removed_parts_of_data_directory_are_noticed() {
        assert!(notices(|dir| fs::remove_dir_all(dir).expect("removed")));
        assert!(notices(|dir| fs::rename(dir, dir.with_extension("moved")).expect("moved")));
        assert!(notices(|dir| fs::remove_dir_all(dir.join(LOG)).expect("removed")));
        assert!(notices(|dir| {
            fs::rename(dir.join(SNAPSHOT), dir.join("moved")).expect("moved");
            fs::create_dir(dir.join(SNAPSHOT)).expect("made");
        }));
        for file in [FORMAT, store_id::FILE, position::FILE, "snapshot/8.snapshot"] {
            assert!(notices(|dir| remove(dir, file)), "{file}");
        }
        for start in [10, 15] {
            let gone = |dir: &Path| fs::remove_file(log_file::path(&dir.join(LOG), start)).expect("removed");
            assert!(notices(gone), "{start}");
        }
    }

    #[test]
    fn changes_by_running_node_are_no_removal() {
        assert!(!notices(|dir| fs::remove_file(log_file::path(&dir.join(LOG), 0)).expect("purged")));
        assert!(!notices(|dir| remove(dir, "snapshot/7.snapshot")));
        assert!(!notices(|dir| fs::write(dir.join("snapshot/9.snapshot"), "").expect("written")));
        assert!(!notices(|dir| fs::write(log_file::path(&dir.join(LOG), 15), "grown").expect("written")));
        assert!(!notices(|dir| remove(dir, "lock")), "the directory itself is locked");
    }
}
