//! One file of the log, and where each begins: it is named by the offset of its first byte in the whole log.
//!
//! Space is filled with zeros before it is used: a flush into space that exists already needs no change of the file's size,
//! and takes two thirds of the time (docs/design/storage.md). What follows the last record is cut when a file is full and
//! when the log is closed; after a kill it is there, and `check.rs` cuts it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::raft::data_dir::directory::free_bytes;
use crate::raft::data_dir::space::does_not_fit;

/// Small files, because only whole files of purged entries can be removed.
pub const FILE_BYTES: u64 = 4 << 20;
/// So much is filled at a time, while fewer than the other are left.
const FILL_BYTES: usize = 256 << 10;
const LEFT_BYTES: u64 = 64 << 10;
/// Where less is free, files grow with their records.
const FILL_WITH_FREE_BYTES: u64 = 64 << 20;
static ZEROS: [u8; FILL_BYTES] = [0; FILL_BYTES];

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
    /// It is not filled any more.
    grows: bool,
}

impl OpenFile {
    /// Goes on at the end of a file whose every byte belongs to a record.
    pub fn open(path: &Path) -> io::Result<OpenFile> {
        let file = OpenOptions::new().write(true).open(path)?;
        let end = file.metadata()?.len();
        Ok(OpenFile { file, end, len: end, grows: false })
    }

    pub fn create(path: &Path) -> io::Result<OpenFile> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(OpenFile { file, end: 0, len: 0, grows: false })
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
        self.file.set_len(self.end)?;
        self.len = self.end;
        if sync { self.file.sync_all() } else { Ok(()) }
    }

    /// Fills space for the next records, if little is left and the disk has more. Blocks until it is on disk.
    pub fn fill(&mut self, dir: &Path) -> io::Result<()> {
        if self.grows || self.len >= self.end + LEFT_BYTES {
            return Ok(());
        }
        let filled =
            has_space(dir).and_then(|()| self.file.write_all_at(&ZEROS, self.len)).and_then(|()| self.file.sync_all());
        match filled {
            Ok(()) => self.len += FILL_BYTES as u64,
            // A file that grows is slower, and as good.
            Err(error) if does_not_fit(&error) => {
                self.grows = true;
                self.cut(false)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn has_space(dir: &Path) -> io::Result<()> {
    match free_bytes(dir)? {
        free if free >= FILL_WITH_FREE_BYTES => Ok(()),
        _ => Err(io::ErrorKind::StorageFull.into()),
    }
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
        for other in ["LOCK", "r-0.wal", "r-00_000_000_000_000_000_000.tmp"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
