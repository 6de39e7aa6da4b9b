//! The data directory: its layout, its format version, and the lock that keeps a second process out.
//!
//! ```text
//! data/
//!   format      "latchd data 1"
//!   lock        locked while a process uses the directory, as the directory itself is
//!   store-id    the identity of the directory, and the node that it belongs to
//!   position    the newest entry and the last vote that were on disk
//!   unused      there until a vote is stored
//!   log/        the raft log, in files of a few MiB
//!   snapshot/   the newest snapshot
//! ```

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::mutants::planted;
use crate::raft::error::NodeStartError;

pub const FORMAT: &str = "format";
pub const LOG: &str = "log";
pub const SNAPSHOT: &str = "snapshot";

/// What a data directory may have in it before its format is written.
const OURS: [&str; 8] = ["format.tmp", "lock", "store-id", "store-id.tmp", "position", "unused", LOG, SNAPSHOT];
/// Marks a directory whose state differed from that of the other nodes.
const QUARANTINE: &str = "set-aside";
const FORMAT_PREFIX: &str = "latchd data ";
const FORMAT_VERSION: u64 = 1;

/// Device and inode number of a file, which tell it from a later file with the same name.
pub type Identity = (u64, u64);

pub fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// A data directory that this process, and no other, may use until this value is dropped.
#[derive(Debug)]
pub struct DataDir {
    pub dir: PathBuf,
    pub log: PathBuf,
    pub snapshot: PathBuf,
    /// The directory that was opened, whatever has its name later.
    pub identity: Identity,
    _locks: [File; 2],
}

impl DataDir {
    /// Locks `dir`, checks its format, and creates what is missing.
    pub fn open(dir: &Path) -> Result<Self, NodeStartError> {
        create_dir(dir)?;
        let itself = lock_itself(dir)?;
        let identity = identity(&itself.metadata().map_err(|e| NodeStartError::io(dir, e))?);
        if !dir.join(FORMAT).exists() {
            check_no_other_files(dir)?;
        }
        // Older releases lock this file only.
        let locks = [itself, lock_file(dir)?];
        check_format(dir)?;
        let (log, snapshot) = (dir.join(LOG), dir.join(SNAPSHOT));
        let data_dir = Self { dir: dir.to_owned(), log, snapshot, identity, _locks: locks };
        create_dir(&data_dir.log)?;
        create_dir(&data_dir.snapshot)?;
        sync_dir(dir).map_err(|e| NodeStartError::io(dir, e))?;
        Ok(data_dir)
    }
}

/// The data-directory lock, kept by everything that writes to the stores. The directory is free again when the last one is
/// dropped.
#[derive(Debug)]
pub struct DataDirLock {
    /// Dropped before the signal, so that the directory is unlocked when the signal is seen.
    _dir: Option<Arc<DataDir>>,
    _signal: mpsc::Sender<()>,
}

impl DataDirLock {
    /// The lock, and a receiver that ends with it.
    pub fn new(dir: Option<Arc<DataDir>>) -> (Arc<Self>, mpsc::Receiver<()>) {
        let (signal, released) = mpsc::channel(1);
        (Arc::new(Self { _dir: dir, _signal: signal }), released)
    }
}

fn create_dir(dir: &Path) -> Result<(), NodeStartError> {
    if dir.is_dir() {
        return Ok(());
    }
    if dir.exists() {
        return Err(NodeStartError::io(dir, io::Error::other("it is a file, and a directory is needed")));
    }
    // The stored secrets must not be readable by other users.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| NodeStartError::io(dir, e))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_dir(parent).map_err(|e| NodeStartError::io(parent, e))
}

/// Locks the directory itself: a lock file in it can be removed, and a second process would lock another one.
fn lock_itself(dir: &Path) -> Result<File, NodeStartError> {
    let file = File::open(dir).map_err(|e| NodeStartError::io(dir, e))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) if !planted!("directory-not-locked") => {
            return Err(NodeStartError::InUse { dir: dir.to_owned() });
        }
        // NFS does not lock what is open for reading only.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, dir = %dir.display(), "the file system cannot lock a directory: only its file `lock` \
                keeps a second process out");
        }
        _ => {}
    }
    Ok(file)
}

fn lock_file(dir: &Path) -> Result<File, NodeStartError> {
    let path = dir.join("lock");
    let options = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = options.map_err(|e| NodeStartError::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NodeStartError::InUse { dir: dir.to_owned() }),
        Err(TryLockError::Error(e)) => Err(NodeStartError::io(&path, e)),
    }
}

fn check_format(dir: &Path) -> Result<(), NodeStartError> {
    let path = dir.join(FORMAT);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // The format is written before anything else.
        Err(e) if e.kind() == io::ErrorKind::NotFound && dir.join("log").exists() => {
            return Err(NodeStartError::damaged(&path, 0, "it is missing"));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            replace_file(&path, &format!("{FORMAT_PREFIX}{FORMAT_VERSION}"))
                .and_then(|()| sync_dir(dir))
                .map_err(|e| NodeStartError::io(dir, e))?;
            tracing::info!(dir = %absolute(dir).display(), "a new data directory, with nothing in it yet");
            return Ok(());
        }
        Err(e) => return Err(NodeStartError::unreadable(&path, 0, e)),
    };
    let version = text.trim_end().strip_prefix(FORMAT_PREFIX).and_then(|version| version.parse::<u64>().ok());
    match version {
        Some(FORMAT_VERSION) => {
            tracing::info!(dir = %absolute(dir).display(), "the data directory");
            Ok(())
        }
        Some(found) => Err(NodeStartError::OtherFormat { dir: dir.to_owned(), found, supported: FORMAT_VERSION }),
        None => Err(NodeStartError::damaged(&path, 0, format!("it does not read \"{FORMAT_PREFIX}{FORMAT_VERSION}\""))),
    }
}

/// The path to log: the service may be started in another working directory next time.
fn absolute(dir: &Path) -> PathBuf {
    std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned())
}

/// Refuses a directory with other files in it, which was named by mistake. A mount point has `lost+found`, and may have
/// hidden files.
fn check_no_other_files(dir: &Path) -> Result<(), NodeStartError> {
    for entry in fs::read_dir(dir).map_err(|e| NodeStartError::io(dir, e))? {
        let name = entry.map_err(|e| NodeStartError::io(dir, e))?.file_name();
        let name = name.to_string_lossy();
        if !OURS.contains(&&*name) && name != "lost+found" && !name.starts_with('.') {
            return Err(NodeStartError::NotOurs { dir: dir.to_owned(), found: name.into_owned() });
        }
    }
    Ok(())
}

/// Writes a file of one line aside and renames it, so that a crash leaves no half-written one, which a later start would refuse.
pub fn replace_file(path: &Path, line: &str) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut file = File::create(&aside)?;
    writeln!(file, "{line}")?;
    file.sync_all()?;
    fs::rename(&aside, path)
}

/// Makes the creation, renaming and removal of files in `dir` survive a power loss.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// How many bytes an ordinary process may still write to the file system that holds `dir`.
pub fn free_bytes(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Makes every later start refuse `dir`, because its state differed from that of the other nodes.
pub fn quarantine(dir: &Path) {
    let path = dir.join(QUARANTINE);
    let text = "The table stored here was not that of the other nodes.\n";
    let written = fs::write(&path, text).and_then(|()| File::open(&path)?.sync_all()).and_then(|()| sync_dir(dir));
    if let Err(error) = written {
        tracing::error!(%error, file = %path.display(), "the quarantine cannot be written: a restart would serve again");
    }
}

pub fn check_quarantine(dir: &Path, node_id: u64) -> Result<(), NodeStartError> {
    match dir.join(QUARANTINE).exists() {
        true => Err(NodeStartError::Quarantined { dir: dir.to_owned(), node_id }),
        false => Ok(()),
    }
}
