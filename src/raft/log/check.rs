//! Reads the whole log before it is opened, cuts what a power loss tore off its end, and refuses any other damage.
//!
//! A cut needs proof: the first record that is not good is incomplete (it is longer than its file, or zeros are where its
//! checksum or a whole sector of it belongs), and what follows was never known to be on disk. Behind the last record there are
//! zeros in a file that was written when its process was killed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::raft::data_dir::directory::sync_dir;
use crate::raft::error::NodeStartError;
use crate::raft::log::record::{CHECKSUM_BYTES, ENTRY_HEADER_BYTES, Record, intact_len};
use crate::raft::log::{log_file, position};
use crate::raft::types::{LogEntry, LogId};

/// What a disk writes whole, or not at all.
const SECTOR_BYTES: usize = 512;

/// Cuts the log in `dir` so that every byte of it belongs to a good record, or refuses it and changes nothing.
///
/// The log is flushed before the node acts on it: the process that wrote it may have been killed before its own flush,
/// so that parts of it may be in the page cache only.
pub fn check_and_cut(dir: &Path) -> Result<(), NodeStartError> {
    let mut starts = log_file::starts(dir).map_err(|e| NodeStartError::io(dir, e))?;
    let mut begun = Vec::new();
    while let Some(start) = starts.pop() {
        let path = log_file::path(dir, start);
        let bytes = read(&path)?;
        let good = good_bytes(&bytes);
        if let Some(error) = good.error
            && !is_zero(&bytes[good.bytes..])
        {
            if let Some(newest) = refuse_unless_torn(&path, &bytes, good.bytes, &error)? {
                // Another node may count on it: this one is to know that it had it.
                let file = data_dir(dir).join(position::FILE);
                position::expect(data_dir(dir), newest).map_err(|e| NodeStartError::io(&file, e))?;
            }
            let torn_bytes = bytes.len() - good.bytes;
            tracing::warn!(file = %path.display(), offset = good.bytes, torn_bytes, "the log has a torn end");
        }
        if good.bytes > 0 {
            check_earlier(dir, &starts, start)?;
            cut(&path, good.bytes, bytes.len())?;
            sync_dir(dir).map_err(|e| NodeStartError::io(dir, e))?;
            break;
        }
        // A file is created before the one before it is complete: its end may be torn too.
        begun.push(path);
    }
    for path in begun {
        fs::remove_file(&path).and_then(|()| sync_dir(dir)).map_err(|e| NodeStartError::io(&path, e))?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, NodeStartError> {
    fs::read(path).map_err(|e| NodeStartError::io(path, e))
}

/// Every file but the last must be good to its end, which is where the next one starts.
fn check_earlier(dir: &Path, starts: &[u64], mut next_start: u64) -> Result<(), NodeStartError> {
    for start in starts.iter().rev() {
        let path = log_file::path(dir, *start);
        let bytes = read(&path)?;
        let good = good_bytes(&bytes);
        if let Some(error) = good.error {
            return Err(NodeStartError::damaged(&path, good.bytes as u64, error.to_string()));
        }
        let end = start + bytes.len() as u64;
        if end != next_start {
            let reason = format!("the log goes on at {next_start}, this file ends at {end}");
            return Err(NodeStartError::damaged(&path, bytes.len() as u64, reason));
        }
        next_start = *start;
        sync(&path)?;
    }
    Ok(())
}

fn cut(path: &Path, len: usize, old_len: usize) -> Result<(), NodeStartError> {
    if len == old_len {
        return sync(path);
    }
    let file = OpenOptions::new().write(true).open(path).map_err(|e| NodeStartError::io(path, e))?;
    file.set_len(len as u64).and_then(|()| file.sync_all()).map_err(|e| NodeStartError::io(path, e))
}

fn sync(path: &Path) -> Result<(), NodeStartError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| NodeStartError::io(path, e))
}

/// How far the records are good, and what is wrong with the first that is not.
pub struct Good {
    pub bytes: usize,
    pub error: Option<io::Error>,
}

pub fn good_bytes(bytes: &[u8]) -> Good {
    let mut rest = bytes;
    while !rest.is_empty() {
        match record_len(rest) {
            Ok(len) => rest = &rest[len..],
            Err(error) => return Good { bytes: bytes.len() - rest.len(), error: Some(error) },
        }
    }
    Good { bytes: bytes.len(), error: None }
}

fn record_len(bytes: &[u8]) -> io::Result<usize> {
    Record::decode(bytes).map(|(_, len)| len)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn data_dir(log_dir: &Path) -> &Path {
    log_dir.parent().unwrap_or(log_dir)
}

/// Returns the newest entry behind the torn record, if there is any: the sectors of one write land in any order.
fn refuse_unless_torn(
    path: &Path,
    bytes: &[u8],
    offset: usize,
    error: &io::Error,
) -> Result<Option<LogId>, NodeStartError> {
    let bad = &bytes[offset..];
    let len = intact_len(bad);
    // What an intact header claims as its record is not searched: a payload may hold anything.
    let behind = len.unwrap_or(1);
    let readable = (behind..bad.len()).find(|at| record_len(&bad[*at..]).is_ok());
    let is_torn = match len {
        Some(len) => bad.get(..len).is_none_or(|record| lacks_a_part(record, offset)),
        // Whether an answered record was cut is known from the position: see `position.rs`.
        None if readable.is_some() => lacks_its_header(bad, offset),
        None => error.kind() == io::ErrorKind::UnexpectedEof || bad.ends_with(&[0; CHECKSUM_BYTES]),
    };
    let reached = path.parent().and_then(|dir| position::reached(data_dir(dir)));
    let reason = match readable {
        Some(at)
            if is_torn
                && let Some((first, newest)) = entries_from(&bad[at..])
                && reached.is_some_and(|reached| Some(first) > reached) =>
        {
            return Ok(Some(newest));
        }
        Some(at) => format!("{error}, and good records follow from byte {}", offset + at),
        None if is_torn => return Ok(None),
        None => error.to_string(),
    };
    Err(NodeStartError::damaged(path, offset as u64, reason))
}

/// Whether zeros are where the checksum of a record at `offset`, or a sector of it, belongs.
fn lacks_a_part(record: &[u8], offset: usize) -> bool {
    // Its header is intact, so its first sector is there.
    let first = SECTOR_BYTES - offset % SECTOR_BYTES;
    let rest = record.get(first..).unwrap_or_default();
    record.ends_with(&[0; CHECKSUM_BYTES]) || rest.chunks(SECTOR_BYTES).any(is_zero)
}

/// Whether a sector with a part of the header of a record at `offset` is all zeros.
fn lacks_its_header(record: &[u8], offset: usize) -> bool {
    let first = SECTOR_BYTES - offset % SECTOR_BYTES;
    let (front, rest) = record.split_at(first.min(record.len()));
    let second = &rest[..rest.len().min(SECTOR_BYTES)];
    // The kind of a record begins with three zeros.
    (front.len() > 3 && is_zero(front)) || (front.len() < ENTRY_HEADER_BYTES && is_zero(second))
}

/// The first and the newest entry of the records that `bytes` begins with.
fn entries_from(mut bytes: &[u8]) -> Option<(LogId, LogId)> {
    let mut found = None;
    while let Ok((record, len)) = Record::decode(bytes) {
        if let Record::Append(LogEntry { log_id, .. }) = record {
            found = Some((found.map_or(log_id, |(first, _)| first), log_id));
        }
        bytes = &bytes[len..];
    }
    found
}
