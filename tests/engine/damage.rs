//! Data directories that cannot be trusted are refused: the error says what is wrong and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use latchd::raft::{Accept, NodeStartError, NodeState, RaftOptions, Store};

use latchd::engine::events::{EventId, GapReason};

use super::events_kit::{begun, everything, gap, next, read};
use super::service;
use crate::raft::network::{MemoryNetwork, Node, disk};
use crate::raft::support::{on_disk, raft_options, start};

/// A directory with a snapshot and some log after it.
async fn used_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (node, _) = start(RaftOptions { snapshot_log_bytes: 1000, ..on_disk(dir.path()) }).await.expect("a node");
    // Far enough that the log no longer begins with the first entry.
    while node.progress().snapshot_index < 100 {
        node.propose(vec![b'x'; 100].into()).await.expect("applied");
    }
    node.shutdown().await;
    dir
}

fn only_file(dir: &Path, suffix: &str) -> PathBuf {
    let files = fs::read_dir(dir).expect("the directory").map(|file| file.expect("a file").path());
    let files: Vec<_> = files.filter(|file| file.to_string_lossy().ends_with(suffix)).collect();
    let [file] = files.as_slice() else { panic!("{files:?}") };
    file.clone()
}

async fn refusal(dir: &Path) -> NodeStartError {
    start(on_disk(dir)).await.err().expect("a refusal")
}

fn flip_byte(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at] ^= 0x10;
    fs::write(path, bytes).expect("the file");
}

#[tokio::test]
async fn directory_with_foreign_files_is_refused_unchanged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(dir.path().join("lost+found")).expect("made");
    std::fs::write(dir.path().join("notes.md"), "mine").expect("written");
    let error = refusal(dir.path()).await.to_string();
    assert!(error.contains("such as \"notes.md\""), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).expect("it can be read").count(), 2, "nothing is written there");
    std::fs::remove_file(dir.path().join("notes.md")).expect("removed");
    let (node, _) = start(on_disk(dir.path())).await.expect("a mount point");
    node.shutdown().await;
}

#[tokio::test]
async fn unreadable_position_is_refused_unless_lost_end_is_accepted() {
    for spoil in [
        (|file: &Path| fs::remove_file(file)) as fn(&Path) -> std::io::Result<()>,
        |file| fs::write(file, ""),
        |file| fs::write(file, fs::read_to_string(file)?.replace("entry 0", "entry 1")),
    ] {
        let dir = used_dir().await;
        let file = dir.path().join("position");
        spoil(&file).expect("spoilt");
        // A start that was refused does not make it good.
        for _ in 0..2 {
            let error = refusal(dir.path()).await.to_string();
            assert!(error.contains("position is damaged at byte 0") && error.contains("--accept-lost-end"), "{error}");
        }
        let accept = Accept { lost_end: true, ..Accept::default() };
        let (node, _) = start(RaftOptions { accept, ..on_disk(dir.path()) }).await.expect("as it was told");
        node.shutdown().await;
        let (node, _) = start(on_disk(dir.path())).await.expect("the position is known from here on");
        node.shutdown().await;
    }
}

#[tokio::test]
async fn directory_of_release_without_positions_needs_none() {
    let dir = used_dir().await;
    let file = dir.path().join("store-id");
    let text = fs::read_to_string(&file).expect("the file");
    let (said, _) = text.split_once(" crc32 ").expect("a checksum");
    fs::write(&file, said.replace("store 2", "store 1") + "\n").expect("written");
    fs::remove_file(dir.path().join("position")).expect("removed");
    let (node, _) = start(on_disk(dir.path())).await.expect("as before");
    node.shutdown().await;
}

#[tokio::test]
async fn damaged_log_is_refused_with_file_offset_and_advice() {
    let dir = used_dir().await;
    let file = only_file(&dir.path().join("log"), ".wal");
    flip_byte(&file, 200);
    let message = refusal(dir.path()).await.to_string();
    for part in [file.to_str().expect("UTF-8"), "damaged at byte ", "restore a backup"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn damaged_snapshot_is_refused_with_file_offset_and_advice() {
    let dir = used_dir().await;
    let file = only_file(&dir.path().join("snapshot"), ".snapshot");
    let len = fs::metadata(&file).expect("the file").len() as usize;
    for at in [0, 20, len / 2, len - 1] {
        flip_byte(&file, at);
        let message = refusal(dir.path()).await.to_string();
        for part in [file.to_str().expect("UTF-8"), "damaged at byte ", "restore a backup"] {
            assert!(message.contains(part), "{message}");
        }
        flip_byte(&file, at);
    }
    start(on_disk(dir.path())).await.expect("the undamaged file").0.shutdown().await;
}

#[tokio::test]
async fn position_that_cannot_be_opened_is_named() {
    let dir = used_dir().await;
    let file = dir.path().join("position");
    fs::remove_file(&file).and_then(|()| fs::create_dir(&file)).expect("a directory in its place");
    let error = refusal(dir.path()).await;
    assert!(matches!(&error, NodeStartError::Io { path, .. } if *path == file), "{error}");
}

/// A copy of its directory would lack what the node has acknowledged since, and its vote would make the others lose that.
#[tokio::test]
async fn damaged_node_with_peers_is_advised_to_be_replaced() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let network = MemoryNetwork::default();
    let node = Node::start(&network, disk(1, dir.path()), &[]).await.expect("a node");
    node.follows(&[1]).await;
    node.raft.shutdown().await;
    let file = only_file(&dir.path().join("node-1/log"), ".wal");
    flip_byte(&file, 50);
    let message = Node::start(&network, disk(1, dir.path()), &[]).await.err().expect("a refusal").to_string();
    for part in ["latchd members remove 1", "empty this node's data directory", "latchd members add 1 URL", "no copy"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("from a copy"), "{message}");
}

#[tokio::test]
async fn quarantined_node_stays_quarantined_after_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let network = MemoryNetwork::default();
    let node = Node::start(&network, disk(1, dir.path()), &[]).await.expect("a node");
    node.follows(&[1]).await;
    node.raft.quarantine();
    node.raft.shutdown().await;
    let message = Node::start(&network, disk(1, dir.path()), &[]).await.err().expect("a refusal").to_string();
    for part in ["set aside", "latchd members remove 1", "empty this node's data directory", "latchd members add 1 URL"]
    {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn missing_snapshot_or_log_is_refused() {
    let dir = used_dir().await;
    let snapshot = only_file(&dir.path().join("snapshot"), ".snapshot");
    let aside = dir.path().join("aside");
    fs::rename(&snapshot, &aside).expect("moved");
    let error = refusal(dir.path()).await;
    assert!(error.to_string().contains("the snapshot up to there is missing"), "{error}");
    fs::rename(&aside, &snapshot).expect("moved back");
    fs::remove_file(only_file(&dir.path().join("log"), ".wal")).expect("removed");
    let error = refusal(dir.path()).await;
    assert!(error.to_string().contains("no vote"), "{error}");
}

#[tokio::test]
async fn another_format_and_another_node_are_refused() {
    let dir = used_dir().await;
    let other = RaftOptions { node_id: 2, ..on_disk(dir.path()) };
    let error = start(other).await.err().expect("a refusal");
    assert!(matches!(&error, NodeStartError::OtherNode { node_id: 2, found } if *found == [1]), "{error}");
    let format = dir.path().join("format");
    fs::write(&format, "latchd data 2\n").expect("the file");
    let error = refusal(dir.path()).await;
    assert!(matches!(error, NodeStartError::OtherFormat { found: 2, supported: 1, .. }), "{error}");
    fs::write(&format, "something else\n").expect("the file");
    assert!(matches!(refusal(dir.path()).await, NodeStartError::Damaged { .. }));
    fs::remove_file(&format).expect("the file");
    assert!(matches!(refusal(dir.path()).await, NodeStartError::Damaged { .. }));
}

#[tokio::test]
async fn directory_that_cannot_be_created_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let store = Store::Disk { dir: file.path().join("data"), fsync: true };
    let error = start(raft_options(1, store)).await.err().expect("a refusal");
    assert!(matches!(error, NodeStartError::Io { .. }), "{error}");
}

/// Acquires locks; returns their tokens and the ids of their events.
async fn take(data_dir: &Path, names: &str, count: usize) -> Vec<(u64, EventId)> {
    let engine = service::start(Some(data_dir)).await;
    let (mut reader, _) = begun(&engine, everything(), None).await;
    let mut taken = Vec::new();
    for number in 0..count {
        let (_, token) = service::hold(&engine, service::ask(&format!("{names}{number}"))).await.expect("granted");
        taken.push((token, next(&mut reader, 1).await[0].id));
    }
    engine.stop().await;
    taken
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the directory");
    for entry in fs::read_dir(from).expect("the directory").map(|entry| entry.expect("an entry")) {
        let to = to.join(entry.file_name());
        match entry.file_type().expect("known").is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), &to).expect("copied")),
        }
    }
}

#[tokio::test]
async fn rolled_back_directory_repeats_no_token_and_no_event_id() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (dir, older) = (home.path().join("data"), home.path().join("older"));
    take(&dir, "kept", 3).await;
    copy(&dir, &older);
    let lost = take(&dir, "lost", 24).await;
    let again = take(&older, "new", 24).await;
    let last = lost.last().expect("some were taken");
    assert!(again.iter().all(|(token, id)| *token > last.0 && *id > last.1), "{again:?} after {lost:?}");
    let engine = service::start(Some(&older)).await;
    let (why, state) = gap(&mut read(&engine, everything(), Some(last.1))).await;
    assert_eq!((why, state.locks.len()), (GapReason::UnknownId, 27), "lost events are a gap");
    let place = EventId { index: last.1.index + 1, position: 0, ..last.1 };
    let (why, _) = gap(&mut read(&engine, everything(), Some(place))).await;
    assert_eq!(why, GapReason::UnknownId, "the place of a reader behind the last of them too");
    engine.stop().await;
}

/// Subscriptions continue where they were: the ids that were skipped are not a gap.
#[tokio::test]
async fn subscription_misses_no_event_over_a_restart() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let first = take(dir.path(), "a", 3).await;
    let second = take(dir.path(), "b", 2).await;
    let engine = service::start(Some(dir.path())).await;
    let (mut reader, _) = begun(&engine, everything(), Some(first[0].1)).await;
    let ids: Vec<EventId> = next(&mut reader, 4).await.into_iter().map(|event| event.id).collect();
    assert_eq!(ids, [first[1].1, first[2].1, second[0].1, second[1].1]);
    engine.stop().await;
}

/// Removes the log and the snapshot, and leaves the rest.
fn empty_out(dir: &Path) {
    for part in ["log", "snapshot"] {
        for file in fs::read_dir(dir.join(part)).expect("the directory") {
            fs::remove_file(file.expect("a file").path()).expect("removed");
        }
    }
}

#[tokio::test]
async fn emptied_directory_is_refused_unless_accepted() {
    let dir = used_dir().await;
    let id = || fs::read(dir.path().join("store-id")).expect("the id");
    let before = id();
    empty_out(dir.path());
    let message = refusal(dir.path()).await.to_string();
    let advice = ["--accept-empty", "storage.accept_empty", "members remove 1", "restore a backup"];
    for part in [dir.path().to_str().expect("UTF-8")].into_iter().chain(advice) {
        assert!(message.contains(part), "{part} in: {message}");
    }
    assert_eq!(id(), before);
    let accepting = RaftOptions { accept: Accept { empty: true, lost_end: false }, ..on_disk(dir.path()) };
    start(accepting).await.expect("it was told").0.shutdown().await;
    assert_ne!(id(), before, "a cluster that knows the node sees that its disk was lost");
    start(on_disk(dir.path())).await.expect("it holds something again").0.shutdown().await;
    empty_out(dir.path());
    assert!(matches!(refusal(dir.path()).await, NodeStartError::Emptied { node_id: 1, .. }));
}

/// It has acknowledged nothing yet.
#[tokio::test]
async fn node_that_waits_for_its_cluster_may_restart_empty() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let network = MemoryNetwork::default();
    for _ in 0..2 {
        let node = Node::start(&network, disk(1, dir.path()), &[1, 2]).await.expect("a node");
        assert!(matches!(&*node.raft.state().borrow(), NodeState::Bootstrapping { .. }));
        node.raft.shutdown().await;
    }
}
