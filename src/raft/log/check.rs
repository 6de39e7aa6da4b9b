//! Reads the whole log before it is opened, cuts what a power loss tore off its end, and refuses any other damage.
//!
//! The log crate would cut at any record that ends too early, even at one in the middle whose length was damaged, and
//! would lose the good records behind it. Here a cut needs proof: nothing readable follows, and the last record is
//! incomplete or ends in zeros where its checksum belongs.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use raft_log::RaftLogRecord;
use raft_log::chunked_wal::{ChunkId, Config};
use raft_log::codeq::Decode;

use crate::raft::codec::{LOG_ID_BYTES, PAYLOAD_HEADER_BYTES, payload_len};
use crate::raft::data_dir::directory::sync_dir;
use crate::raft::error::NodeStartError;
use crate::raft::log::format::LogTypes;

const RECORD_TYPE_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 8;
const APPEND: [u8; RECORD_TYPE_BYTES] = [0, 0, 0, 1];

/// Cuts the log in `dir` so that every byte of it belongs to a good record, or refuses it and changes nothing.
///
/// The log is flushed before the node acts on it: the process that wrote it may have been killed before its own flush,
/// so that parts of it may be in the page cache only.
pub fn check_and_cut(dir: &Path) -> Result<(), NodeStartError> {
    let mut chunks = chunk_files(dir)?;
    let mut begun = Vec::new();
    while let Some(last) = chunks.pop() {
        let bytes = read(&last.path)?;
        let good = good_bytes(&bytes);
        if let Some(error) = good.error {
            refuse_unless_torn(&last.path, &bytes, good.bytes, &error)?;
            let torn_bytes = bytes.len() - good.bytes;
            tracing::warn!(file = %last.path.display(), offset = good.bytes, torn_bytes, "the log has a torn end");
        }
        if good.bytes > 0 {
            check_earlier(&chunks, last.start)?;
            cut(&last.path, good.bytes, bytes.len())?;
            sync_dir(dir).map_err(|e| NodeStartError::io(dir, e))?;
            break;
        }
        // A file is created before the one before it is complete: its end may be torn too.
        begun.push(last.path);
    }
    for path in begun {
        fs::remove_file(&path).and_then(|()| sync_dir(dir)).map_err(|e| NodeStartError::io(&path, e))?;
    }
    Ok(())
}

#[derive(Debug)]
struct ChunkFile {
    start: u64,
    path: PathBuf,
}

/// Where the files of the log in `dir` begin, in order.
pub fn chunk_starts(dir: &Path) -> io::Result<Vec<u64>> {
    let names = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name()));
    let names = names.collect::<io::Result<Vec<_>>>()?;
    let parsed = names.iter().filter_map(|name| Config::parse_chunk_file_name(&name.to_string_lossy()).ok());
    let mut starts: Vec<u64> = parsed.collect();
    starts.sort_unstable();
    Ok(starts)
}

pub fn chunk_path(dir: &Path, start: u64) -> PathBuf {
    dir.join(Config::chunk_file_name(ChunkId(start)))
}

fn chunk_files(dir: &Path) -> Result<Vec<ChunkFile>, NodeStartError> {
    let starts = chunk_starts(dir).map_err(|e| NodeStartError::io(dir, e))?;
    Ok(starts.into_iter().map(|start| ChunkFile { start, path: chunk_path(dir, start) }).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, NodeStartError> {
    fs::read(path).map_err(|e| NodeStartError::io(path, e))
}

/// Every file but the last must be good to its end, which is where the next one starts.
fn check_earlier(chunks: &[ChunkFile], mut next_start: u64) -> Result<(), NodeStartError> {
    for chunk in chunks.iter().rev() {
        let bytes = read(&chunk.path)?;
        let good = good_bytes(&bytes);
        if let Some(error) = good.error {
            return Err(NodeStartError::damaged(&chunk.path, good.bytes as u64, error.to_string()));
        }
        if chunk.start + bytes.len() as u64 != next_start {
            let reason =
                format!("the log goes on at {next_start}, this file ends at {}", chunk.start + bytes.len() as u64);
            return Err(NodeStartError::damaged(&chunk.path, bytes.len() as u64, reason));
        }
        next_start = chunk.start;
        sync(&chunk.path)?;
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
struct Good {
    bytes: usize,
    error: Option<io::Error>,
}

fn good_bytes(bytes: &[u8]) -> Good {
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
    let mut rest = bytes;
    RaftLogRecord::<LogTypes>::decode(&mut rest)?;
    Ok(bytes.len() - rest.len())
}

fn refuse_unless_torn(path: &Path, bytes: &[u8], offset: usize, error: &io::Error) -> Result<(), NodeStartError> {
    let bad = &bytes[offset..];
    let len = intact_len(bad);
    if len.is_some_and(|len| len > bad.len()) || bad.iter().all(|byte| *byte == 0) {
        return Ok(());
    }
    // What an intact header claims as its record is not searched: a payload may hold anything.
    let behind = len.unwrap_or(1);
    let readable = (behind..bad.len()).find(|at| record_len(&bad[*at..]).is_ok());
    let reason = match readable {
        Some(at) => format!("{error}, and good records follow from byte {}", offset + at),
        None if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
        None if bad.ends_with(&[0; CHECKSUM_BYTES]) => return Ok(()),
        None => error.to_string(),
    };
    Err(NodeStartError::damaged(path, offset as u64, reason))
}

/// The length of an entry's record, where the part of it that says so is intact.
fn intact_len(record: &[u8]) -> Option<usize> {
    let header_at = RECORD_TYPE_BYTES + LOG_ID_BYTES;
    let header = record.get(header_at..header_at + PAYLOAD_HEADER_BYTES)?;
    let body = payload_len(header.try_into().ok()?).ok()?;
    record.starts_with(&APPEND).then_some(header_at + PAYLOAD_HEADER_BYTES + body + CHECKSUM_BYTES)
}
