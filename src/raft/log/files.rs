//! The files of the log: each is named by the offset of its first byte in the whole log.
//!
//! A file is filled with zeros before it is used: a flush into space that exists already needs no change of the file's size,
//! and takes two thirds of the time (docs/design/storage.md). What follows the last record is cut when a file is full and
//! when the log is closed; after a kill it is there, and `check.rs` cuts it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::raft::data_dir::directory::{free_bytes, sync_dir};

/// Small files, because only whole files of purged entries can be removed.
pub const FILE_BYTES: u64 = 4 << 20;
/// Where less is free, files grow with their records.
const PREALLOCATE_WITH_FREE_BYTES: u64 = 16 * FILE_BYTES;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// A file that waits to be used.
const SPARE: &str = "next.tmp";

/// Where the files of the log in `dir` begin, in order.
pub fn starts(dir: &Path) -> io::Result<Vec<u64>> {
    let names = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let mut starts: Vec<u64> = names.iter().filter_map(|name| parse(name.to_str()?)).collect();
    starts.sort_unstable();
    Ok(starts)
}

/// Twenty digits in groups of three: `r-00_000_000_000_004_194_304.wal`.
pub fn path(dir: &Path, start: u64) -> PathBuf {
    let mut name = format!("{start:020}");
    (1..=6).for_each(|group| name.insert(20 - 3 * group, '_'));
    dir.join(format!("r-{name}.wal"))
}

fn parse(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("r-")?.strip_suffix(".wal").filter(|digits| digits.len() == 26)?;
    digits.replace('_', "").parse().ok()
}

/// The file that is written, from `end` on.
pub struct OpenFile {
    file: File,
    end: u64,
    /// How long the file is, zeros included.
    len: u64,
}

impl OpenFile {
    /// Goes on at the end of a file whose every byte belongs to a record.
    pub fn open(path: &Path) -> io::Result<OpenFile> {
        let file = OpenOptions::new().write(true).open(path)?;
        let end = file.metadata()?.len();
        Ok(OpenFile { file, end, len: end })
    }

    pub fn create(path: &Path) -> io::Result<OpenFile> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(OpenFile { file, end: 0, len: 0 })
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        self.len = self.len.max(self.end);
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Cuts what follows the last record.
    pub fn cut(&mut self, sync: bool) -> io::Result<()> {
        if self.len > self.end {
            self.file.set_len(self.end)?;
            self.len = self.end;
        }
        if sync { self.file.sync_all() } else { Ok(()) }
    }

    /// Fills the rest with zeros, where the disk has space.
    pub fn preallocate(&mut self, dir: &Path) {
        let filled = has_space(dir).and_then(|()| fill(&self.file, self.end));
        match filled {
            Ok(()) => self.len = self.len.max(FILE_BYTES),
            // A file that grows is slower, and as good.
            Err(_) => _ = self.file.set_len(self.end),
        }
    }
}

fn has_space(dir: &Path) -> io::Result<()> {
    match free_bytes(dir)? {
        free if free >= PREALLOCATE_WITH_FREE_BYTES => Ok(()),
        _ => Err(io::ErrorKind::StorageFull.into()),
    }
}

fn fill(file: &File, mut at: u64) -> io::Result<()> {
    while at < FILE_BYTES {
        let bytes = (FILE_BYTES - at).min(ZEROS.len() as u64) as usize;
        file.write_all_at(&ZEROS[..bytes], at)?;
        at += bytes as u64;
    }
    file.sync_all()
}

/// The file after the one that is written, prepared by a thread of its own.
pub struct SpareFile {
    dir: PathBuf,
    prepared: Option<JoinHandle<io::Result<OpenFile>>>,
}

impl SpareFile {
    pub fn new(dir: &Path) -> SpareFile {
        SpareFile { dir: dir.to_owned(), prepared: None }
    }

    /// Begins to prepare a file.
    pub fn prepare(&mut self) {
        let dir = self.dir.clone();
        let thread = std::thread::Builder::new().name("log-spare".to_owned()).spawn(move || prepare(&dir));
        self.prepared = thread.ok();
    }

    /// Puts a file that is prepared, or an empty one, at the place of the file that begins at `start`.
    pub fn place(&mut self, start: u64, sync: bool) -> io::Result<OpenFile> {
        let path = path(&self.dir, start);
        let is_ready = self.prepared.as_ref().is_some_and(JoinHandle::is_finished);
        let prepared = self.prepared.take_if(|_| is_ready).and_then(|thread| thread.join().ok()?.ok());
        let file = match prepared {
            Some(file) => fs::rename(self.dir.join(SPARE), &path).map(|()| file),
            None => OpenFile::create(&path),
        }?;
        if sync {
            sync_dir(&self.dir)?;
        }
        Ok(file)
    }
}

impl Drop for SpareFile {
    fn drop(&mut self) {
        // Nothing of it is needed: the next process prepares its own.
        self.prepared.take().map(JoinHandle::join);
        _ = fs::remove_file(self.dir.join(SPARE));
    }
}

fn prepare(dir: &Path) -> io::Result<OpenFile> {
    has_space(dir)?;
    let path = dir.join(SPARE);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
    let filled = fill(&file, 0);
    if filled.is_err() {
        _ = fs::remove_file(&path);
    }
    filled.map(|()| OpenFile { file, end: 0, len: FILE_BYTES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_have_golden_text() {
        let dir = Path::new("log");
        for (start, name) in [(0, "r-00_000_000_000_000_000_000.wal"), (u64::MAX, "r-18_446_744_073_709_551_615.wal")] {
            assert_eq!(path(dir, start), dir.join(name));
            assert_eq!(parse(name), Some(start));
        }
        for other in ["LOCK", SPARE, "r-0.wal", "r-00_000_000_000_000_000_000.tmp"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
