//! A damaged log is cut where a power loss tore it, refused everywhere else, and never loses a good record silently.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use tempfile::TempDir;

use crate::raft::data_dir::directory::DataDirLock;
use crate::raft::error::NodeStartError;
use crate::raft::log::check::{check_and_cut, good_bytes};
use crate::raft::log::disk::DiskLog;
use crate::raft::log::position;
use crate::raft::types::{self, EntryPayload, LogEntry, LogId, Vote};

fn open(dir: &Path) -> DiskLog {
    check_and_cut(dir).expect("a sound log");
    let (lock, _) = DataDirLock::new(None);
    DiskLog::open(dir, None, true, Arc::default(), lock).expect("an open log")
}

fn log_id(term: u64, index: u64) -> LogId {
    types::log_id(term, 1, index)
}

fn entry(term: u64, index: u64, text: &str) -> LogEntry {
    let payload = EntryPayload::Normal(Bytes::from(text.to_owned()));
    LogEntry { log_id: log_id(term, index), payload }
}

async fn append(log: &mut DiskLog, entries: Vec<LogEntry>) {
    log.blocking_append(entries).await.expect("an append");
}

async fn texts(log: &mut DiskLog) -> Vec<String> {
    let entries = log.try_get_log_entries(0..).await.expect("the entries");
    let text = |entry: LogEntry| match entry.payload {
        EntryPayload::Normal(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
        other => panic!("not an entry of this test: {other:?}"),
    };
    entries.into_iter().map(text).collect()
}

/// A copy of the files as a sudden end would leave them: nothing was closed.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().expect("a temporary directory");
    for file in fs::read_dir(from).expect("the log") {
        let file = file.expect("a file").path();
        fs::copy(&file, to.path().join(file.file_name().expect("a name"))).expect("a copy");
    }
    to
}

fn only_chunk(dir: &Path) -> PathBuf {
    let mut chunks = chunks(dir);
    assert_eq!(chunks.len(), 1, "{chunks:?}");
    chunks.remove(0)
}

fn chunks(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).expect("the log").map(|file| file.expect("a file").path());
    let mut chunks: Vec<PathBuf> = files.filter(|file| file.extension().is_some_and(|e| e == "wal")).collect();
    chunks.sort();
    chunks
}

/// How much of a file is records.
fn written(file: &Path) -> usize {
    good_bytes(&fs::read(file).expect("the file")).bytes
}

/// A log with a vote and four entries. `ends[0]` is where the header of its file ends, `ends[n]` where entry n ends.
async fn sample(last: &str) -> (TempDir, Vec<usize>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = open(dir.path());
    let mut ends = vec![written(&only_chunk(dir.path()))];
    log.save_vote(&Vote::new_committed(1, 1)).await.expect("a vote");
    for (index, text) in ["one", "two", "three", last].into_iter().enumerate() {
        append(&mut log, vec![entry(1, index as u64, text)]).await;
        ends.push(written(&only_chunk(dir.path())));
    }
    (dir, ends)
}

#[tokio::test]
async fn truncated_log_keeps_newest_entries_after_kill() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = open(dir.path());
    append(&mut log, ["a0", "a1", "a2", "a3"].iter().zip(0..).map(|(text, at)| entry(1, at, text)).collect()).await;
    log.truncate(log_id(1, 1)).await.expect("a truncation");
    append(&mut log, ["b1", "b2", "b3"].iter().zip(1..).map(|(text, at)| entry(2, at, text)).collect()).await;
    let killed = copy(dir.path());
    assert_eq!(texts(&mut log).await, ["a0", "b1", "b2", "b3"]);
    let mut reopened = open(killed.path());
    assert_eq!(texts(&mut reopened).await, ["a0", "b1", "b2", "b3"]);
    assert_eq!(reopened.get_log_state().await.expect("a state").last_log_id, Some(log_id(2, 3)));
}

#[tokio::test]
async fn torn_end_is_cut_to_last_whole_record() {
    let (dir, ends) = sample("four").await;
    for len in ends[0]..ends[4] {
        let torn = copy(dir.path());
        let file = fs::File::options().write(true).open(only_chunk(torn.path())).expect("the file");
        file.set_len(len as u64).expect("a shorter file");
        let whole = ends[1..].iter().filter(|end| **end <= len).count();
        let mut log = open(torn.path());
        assert_eq!(texts(&mut log).await, ["one", "two", "three", "four"][..whole], "{len} bytes");
        append(&mut log, vec![entry(2, whole as u64, "new")]).await;
        drop(log);
        assert_eq!(texts(&mut open(torn.path())).await.last().map(String::as_str), Some("new"));
    }
}

#[tokio::test]
async fn zero_filled_end_is_cut() {
    let (dir, ends) = sample("four").await;
    let bytes = fs::read(only_chunk(dir.path())).expect("the file");
    // The checksum's last four bytes are never all zero here, its first four always are.
    for zero_from in ends[3]..ends[4] - 8 {
        for extra in [0, 1, 5000] {
            let torn = copy(dir.path());
            let mut bytes = bytes.clone();
            bytes[zero_from..].fill(0);
            bytes.resize(bytes.len() + extra, 0);
            fs::write(only_chunk(torn.path()), bytes).expect("a torn file");
            assert_eq!(texts(&mut open(torn.path())).await, ["one", "two", "three"], "{zero_from} {extra}");
        }
    }
}

#[tokio::test]
async fn flipped_bit_is_refused_with_its_place() {
    let (dir, ends) = sample("four").await;
    let bytes = fs::read(only_chunk(dir.path())).expect("the file");
    let damaged = copy(dir.path());
    let path = only_chunk(damaged.path());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).expect("a damaged file");
            let error = check_and_cut(damaged.path()).expect_err("damage");
            let NodeStartError::Damaged { file, offset, .. } = &error else { panic!("{error}") };
            let record = ends.iter().rev().find(|end| **end <= at).copied().unwrap_or(0);
            assert!(*file == path && *offset <= at as u64, "byte {at}, bit {bit}: {error}");
            // The vote lies between the first two ends.
            assert!(*offset >= record as u64, "byte {at}, bit {bit}: {error}");
            assert_eq!(fs::read(&path).expect("the file"), bytes, "nothing is changed");
        }
    }
}

/// As a killed process leaves its file: zeros follow the last record.
#[tokio::test]
async fn flipped_bit_before_unused_space_costs_no_earlier_record() {
    let (dir, ends) = sample("four").await;
    let bytes = [fs::read(only_chunk(dir.path())).expect("the file"), vec![0; 5000]].concat();
    let last_body = ends[3] + 39..ends[4];
    let damaged = copy(dir.path());
    let path = only_chunk(damaged.path());
    for at in 0..ends[4] + 20 {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, &bytes).expect("a damaged file");
            match check_and_cut(damaged.path()) {
                Err(NodeStartError::Damaged { offset, .. }) => assert!(offset <= at as u64, "byte {at}, bit {bit}"),
                Err(error) => panic!("byte {at}, bit {bit}: {error}"),
                // Whether the last record was on disk is known from the position.
                Ok(()) => {
                    assert!(at >= ends[3] && !last_body.contains(&at), "byte {at}, bit {bit}");
                    let kept = if at < ends[4] { ends[3] } else { ends[4] };
                    assert_eq!(fs::metadata(&path).expect("the file").len(), kept as u64, "byte {at}, bit {bit}");
                }
            }
        }
    }
}

/// A write of several sectors that a power loss has stopped: any of them may be missing.
#[tokio::test]
async fn entry_that_lacks_a_sector_is_cut() {
    let (dir, ends) = sample(&"x".repeat(4000)).await;
    let bytes = [fs::read(only_chunk(dir.path())).expect("the file"), vec![0; 5000]].concat();
    for sector in ends[3] / 512..=(ends[4] - 9) / 512 {
        let torn = copy(dir.path());
        let mut bytes = bytes.clone();
        bytes[(512 * sector).max(ends[3])..512 * (sector + 1)].fill(0);
        fs::write(only_chunk(torn.path()), bytes).expect("a torn file");
        assert_eq!(texts(&mut open(torn.path())).await, ["one", "two", "three"], "sector {sector}");
    }
    let damaged = copy(dir.path());
    flip(&only_chunk(damaged.path()), ends[3] + 2000);
    check_and_cut(damaged.path()).expect_err("no sector of it is missing");
}

/// A flush of several entries that a power loss has stopped: those behind the hole are gone too, and this is known.
#[tokio::test]
async fn entries_behind_a_missing_sector_are_expected_again() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let dir = home.path().join("log");
    fs::create_dir(&dir).expect("a directory");
    let mut log = open(&dir);
    append(&mut log, vec![entry(1, 0, "flushed")]).await;
    let flushed = written(&only_chunk(&dir));
    let position = fs::read(home.path().join(position::FILE)).expect("the position");
    append(&mut log, (1..4).map(|index| entry(1, index, &"x".repeat(700))).collect()).await;
    drop(log);
    let bytes = fs::read(only_chunk(&dir)).expect("the file");
    let last = bytes.len() - 800;
    for sector in flushed / 512..last / 512 {
        fs::write(home.path().join(position::FILE), &position).expect("as before the flush");
        let mut torn = bytes.clone();
        torn[(512 * sector).max(flushed)..512 * (sector + 1)].fill(0);
        fs::write(only_chunk(&dir), &torn).expect("a torn file");
        let mut log = open(&dir);
        let kept = texts(&mut log).await.len() as u64;
        assert!((1..4).contains(&kept), "sector {sector}: {kept}");
        assert_eq!(log.lost_end(), Some(log_id(1, 3)), "sector {sector}");
        drop(log);
        assert_eq!(open(&dir).lost_end(), Some(log_id(1, 3)), "sector {sector}, once more");
        // What was flushed before is damage.
        fs::write(only_chunk(&dir), &torn).expect("a damaged file");
        check_and_cut(&dir).expect_err("the position knows the entries behind it");
    }
}

/// Content that looks like a record must not turn a torn end into damage.
#[tokio::test]
async fn torn_entry_containing_whole_record_is_cut() {
    let (inner, ends) = sample("four").await;
    let record = fs::read(only_chunk(inner.path())).expect("the file")[ends[3]..].to_vec();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = open(dir.path());
    append(&mut log, vec![entry(1, 0, "one")]).await;
    let payload = EntryPayload::Normal(Bytes::from([record, vec![1; 100]].concat()));
    append(&mut log, vec![LogEntry { log_id: log_id(1, 1), payload }]).await;
    let torn = copy(dir.path());
    let path = only_chunk(torn.path());
    let len = written(&path);
    let file = fs::File::options().write(true).open(&path).expect("the file");
    file.set_len(len as u64 - 20).expect("a shorter file");
    assert_eq!(texts(&mut open(torn.path())).await, ["one"]);
}

/// Fills three files, so that one is neither the first nor the last.
async fn three_chunks() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut log = open(dir.path());
    let text = "x".repeat(1 << 20);
    for index in 0..9 {
        append(&mut log, vec![entry(1, index, &text)]).await;
    }
    drop(log);
    assert_eq!(chunks(dir.path()).len(), 3);
    dir
}

#[tokio::test]
async fn entries_beyond_memory_are_read_from_their_files() {
    let dir = three_chunks().await;
    let mut log = open(dir.path());
    let ids = async |log: &mut DiskLog| {
        let entries = log.try_get_log_entries(0..).await.expect("the entries");
        assert!(
            entries.iter().all(|entry| matches!(&entry.payload, EntryPayload::Normal(bytes) if bytes.len() == 1 << 20))
        );
        entries.into_iter().map(|entry| entry.log_id.index).collect::<Vec<_>>()
    };
    assert_eq!(ids(&mut log).await, (0..9).collect::<Vec<_>>());
    log.truncate(log_id(1, 8)).await.expect("a truncation");
    log.purge(log_id(1, 1)).await.expect("a purge");
    append(&mut log, vec![entry(2, 8, &"y".repeat(1 << 20))]).await;
    assert_eq!(ids(&mut log).await, (2..9).collect::<Vec<_>>());
    assert_eq!(chunks(dir.path()).len(), 3, "the first file has an entry that is not purged");
    log.purge(log_id(1, 4)).await.expect("a purge");
    append(&mut log, vec![entry(2, 9, &"z".repeat(1 << 20))]).await;
    drop(log);
    assert_eq!(chunks(dir.path()).len(), 2, "what was purged is gone");
    let mut log = open(dir.path());
    assert_eq!(ids(&mut log).await, (5..10).collect::<Vec<_>>());
    assert_eq!(log.get_log_state().await.expect("a state").last_purged_log_id, Some(log_id(1, 4)));
}

/// A file that is closed holds records only, so that releases that knew no unused space read it.
#[tokio::test]
async fn closed_log_has_no_unused_space() {
    let dir = three_chunks().await;
    for file in chunks(dir.path()) {
        assert_eq!(fs::metadata(&file).expect("the file").len(), written(&file) as u64, "{}", file.display());
    }
    let names: Vec<_> =
        fs::read_dir(dir.path()).expect("the log").map(|file| file.expect("a file").file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

#[tokio::test]
async fn damage_in_earlier_log_file_is_refused() {
    let dir = three_chunks().await;
    for what in ["a flipped bit", "a short file", "an empty file", "a missing file"] {
        let damaged = copy(dir.path());
        let path = &chunks(damaged.path())[1];
        match what {
            "a flipped bit" => flip(path, 1000),
            "a short file" => set_len(path, -1),
            "an empty file" => fs::write(path, b"").expect("an empty file"),
            _ => fs::remove_file(path).expect("a missing file"),
        }
        let error = check_and_cut(damaged.path()).expect_err(what);
        assert!(matches!(error, NodeStartError::Damaged { .. }), "{what}: {error}");
    }
}

#[tokio::test]
async fn unfinished_new_log_file_is_removed() {
    let dir = three_chunks().await;
    for begun in [&b""[..], &[0; 4096], &[0, 0, 0, 5, 1]] {
        let torn = copy(dir.path());
        let last = chunks(torn.path()).pop().expect("a file");
        fs::write(&last, begun).expect("a begun file");
        // The one before may be torn as well.
        set_len(&chunks(torn.path())[1], -1);
        let log = open(torn.path());
        assert_eq!(chunks(torn.path()).len(), 2);
        assert_eq!(log.state().last, Some(log_id(1, 6)));
    }
}

#[tokio::test]
async fn missing_first_log_file_leaves_log_incomplete() {
    let dir = three_chunks().await;
    fs::remove_file(&chunks(dir.path())[0]).expect("a missing file");
    assert!(!open(dir.path()).is_complete());
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("the file");
}

fn set_len(path: &Path, change: i64) {
    let file = fs::File::options().write(true).open(path).expect("the file");
    let len = file.metadata().expect("its length").len();
    file.set_len(len.saturating_add_signed(change)).expect("a new length");
}
