//! The log as its files hold it: records are appended, entries are read back, and files of purged entries are removed.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::mem::take;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::raft::data_dir::directory::{DataDirLock, sync_dir};
use crate::raft::log::index::{LogIndex, Place};
use crate::raft::log::log_file::{self, FILE_BYTES, OpenFile};
use crate::raft::log::record::{Record, RecordedState};
use crate::raft::log::writer::{OnFlushed, Step, Writer};
use crate::raft::types::{LogEntry, LogId};

pub struct LogFiles {
    dir: PathBuf,
    index: LogIndex,
    /// The full files, and the newest entry up to the end of each.
    full: VecDeque<(u64, Option<LogId>)>,
    /// Where the file begins that is written.
    start: u64,
    /// The end of the log, with what waits to be written.
    end: u64,
    /// Encoded, and not yet handed to the writer.
    pending: Vec<u8>,
    /// Files that hold purged entries only. They are removed after the purge itself is on disk.
    purged: Vec<PathBuf>,
    writer: Writer,
}

impl LogFiles {
    /// Opens the log in `dir`, which `check.rs` has found sound.
    pub fn open(dir: &Path, sync: bool, lock: Arc<DataDirLock>) -> io::Result<LogFiles> {
        let mut starts: VecDeque<u64> = log_file::starts(dir)?.into();
        if starts.is_empty() {
            create_first(dir, sync)?;
            starts.push_back(0);
        }
        let (mut index, mut full, mut end) = (LogIndex::default(), VecDeque::new(), 0);
        for start in &starts {
            end = start + replay(&fs::read(log_file::path(dir, *start))?, *start, &mut index)?;
            full.push_back((*start, index.state().last));
        }
        let start = full.pop_back().map_or(0, |(start, _)| start);
        let writer = Writer::start(dir, OpenFile::open(&log_file::path(dir, start))?, end, sync, lock)?;
        let (dir, pending, purged) = (dir.to_owned(), Vec::new(), Vec::new());
        let mut log = LogFiles { dir, index, full, start, end, pending, purged, writer };
        // Those that the last process has purged, and not removed any more.
        log.find_purged();
        Ok(log)
    }

    pub fn state(&self) -> RecordedState {
        self.index.state()
    }

    /// The first index that is not purged.
    pub fn next_kept(&self) -> u64 {
        self.state().purged.map_or(0, |id| id.index + 1)
    }

    pub fn id_at(&self, index: u64) -> Option<LogId> {
        self.index.id_at(index)
    }

    /// Appends a record, to be written with the next flush.
    pub fn append(&mut self, record: Record) -> io::Result<()> {
        self.index.check(&record)?;
        let before = self.pending.len();
        record.put(&mut self.pending)?;
        let bytes = self.pending.len() - before;
        self.index.apply(record, self.end, bytes);
        self.index.trim(self.writer.written());
        self.end += bytes as u64;
        if self.end - self.start >= FILE_BYTES {
            self.begin_file()?;
        }
        self.find_purged();
        Ok(())
    }

    fn begin_file(&mut self) -> io::Result<()> {
        self.hand_over(true, None);
        self.writer.send(Step::NextFile { start: self.end });
        self.full.push_back((self.start, self.state().last));
        self.start = self.end;
        Record::State(self.state()).put(&mut self.pending)?;
        self.end += self.pending.len() as u64;
        Ok(())
    }

    /// Has everything written, and flushed if `sync` says so; then `flushed` is called.
    pub fn flush(&mut self, sync: bool, flushed: Option<OnFlushed>) {
        self.hand_over(sync, flushed);
        if sync && !self.purged.is_empty() {
            self.writer.send(Step::Remove(take(&mut self.purged)));
        }
    }

    fn hand_over(&mut self, sync: bool, flushed: Option<OnFlushed>) {
        self.writer.send(Step::Write { bytes: take(&mut self.pending), sync, flushed });
    }

    fn find_purged(&mut self) {
        let Some(purged) = self.state().purged else { return };
        let purged_files = self.full.partition_point(|(_, last)| *last <= Some(purged));
        self.purged.extend(self.full.drain(..purged_files).map(|(start, _)| log_file::path(&self.dir, start)));
    }

    /// The entries from this index on, before `to`.
    pub fn read(&self, from: u64, to: u64) -> impl Iterator<Item = io::Result<LogEntry>> {
        self.index
            .range(from, to)
            .map(|(place, entry)| entry.map_or_else(|| self.read_back(place), |it| Ok(it.clone())))
    }

    fn read_back(&self, place: Place) -> io::Result<LogEntry> {
        let after = self.full.partition_point(|(start, _)| *start <= place.at);
        let start = if place.at >= self.start { self.start } else { self.full[after - 1].0 };
        let mut bytes = vec![0; place.bytes as usize];
        File::open(log_file::path(&self.dir, start))?.read_exact_at(&mut bytes, place.at - start)?;
        match Record::decode(&bytes)? {
            (Record::Append(entry), _) if entry.log_id == place.id => Ok(entry),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, format!("entry {} is not where it was", place.id))),
        }
    }
}

impl Drop for LogFiles {
    fn drop(&mut self) {
        if !self.pending.is_empty() {
            self.hand_over(true, None);
        }
    }
}

fn create_first(dir: &Path, sync: bool) -> io::Result<()> {
    let mut bytes = Vec::new();
    Record::State(RecordedState::default()).put(&mut bytes)?;
    let mut file = OpenFile::create(&log_file::path(dir, 0))?;
    file.write(&bytes)?;
    if sync {
        file.sync()?;
        sync_dir(dir)?;
    }
    Ok(())
}

/// Takes in the records of a file that begins at `start`; returns its length.
fn replay(bytes: &[u8], start: u64, index: &mut LogIndex) -> io::Result<u64> {
    let mut done = 0;
    while done < bytes.len() {
        let (record, len) = Record::decode(&bytes[done..])?;
        index.check(&record)?;
        index.apply(record, start + done as u64, len);
        done += len;
    }
    // Everything is in a file.
    index.trim(u64::MAX);
    Ok(bytes.len() as u64)
}
