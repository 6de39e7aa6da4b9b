//! How a cluster begins: with one node, with several empty nodes, or from a snapshot.

pub mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use openraft::BasicNode;

use crate::raft::data_dir::directory::{DataDir, DataDirLock};
use crate::raft::data_dir::store_id;
use crate::raft::error::NodeStartError;
use crate::raft::interface::Frozen;
use crate::raft::log::disk::DiskLog;
use crate::raft::options::PeerOptions;
use crate::raft::snapshot::directory::SnapshotDir;
use crate::raft::types::{Membership, NodeId, Raft, StoredMembership, Vote, log_id, snapshot_meta};

/// Bootstraps a cluster of one on an empty store, unless the node has others to form a cluster with, and has an only voter
/// stand for election at once.
pub async fn bootstrap_or_rejoin(
    raft: &Raft,
    node_id: NodeId,
    peers: &PeerOptions,
    lost_end: bool,
) -> Result<(), NodeStartError> {
    if !raft.is_initialized().await.map_err(NodeStartError::engine)? {
        if peers.has_others(node_id) {
            return Ok(());
        }
        let members = BTreeMap::from([(node_id, BasicNode { addr: peers.advertise.clone() })]);
        return raft.initialize(members).await.map_err(NodeStartError::engine);
    }
    let voters: Vec<NodeId> = raft.server_metrics().borrow().membership_config.voter_ids().collect();
    if voters == [node_id] && !lost_end {
        // Also one that has led before: see `types::vote_at_start`.
        return raft.trigger().elect().await.map_err(NodeStartError::engine);
    }
    Ok(())
}

/// The first term.
const TERM: u64 = 1;

/// Writes a new data directory with `content` as the machine's snapshot, taken at the entry `index`, and `node_id` as the
/// only member. Blocks, and must not be called on a thread of the runtime. A directory that is not empty is refused, and one
/// that cannot be filled is left empty: otherwise it would start as a service without locks.
pub fn bootstrap_from_snapshot(
    dir: &Path,
    node_id: u64,
    address: &str,
    index: u64,
    content: Vec<u8>,
) -> Result<(), NodeStartError> {
    match fs::read_dir(dir).map(|mut found| found.next()) {
        Ok(None) => {}
        Ok(Some(_)) => return Err(NodeStartError::NotEmpty { dir: dir.to_owned() }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(NodeStartError::io(dir, e)),
    }
    fill(dir, node_id, address, index, content).inspect_err(|_| clear(dir))
}

fn clear(dir: &Path) {
    let Ok(made) = fs::read_dir(dir) else { return };
    for path in made.filter_map(|entry| Some(entry.ok()?.path())) {
        // What cannot be removed stays: the error that is told is the first one.
        drop(fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)));
    }
}

fn fill(dir: &Path, node_id: u64, address: &str, index: u64, content: Vec<u8>) -> Result<(), NodeStartError> {
    let data_dir = DataDir::open(dir)?;
    store_id::open(dir, node_id, true)?;
    // First: a directory in which this was cut short is refused by a start, as one that was emptied.
    store_id::mark_used(dir).map_err(|e| NodeStartError::io(dir, e))?;
    let at = log_id(TERM, node_id, index);
    let members = BTreeMap::from([(node_id, BasicNode { addr: address.to_owned() })]);
    let membership = Membership::new(vec![BTreeSet::from([node_id])], members);
    let meta = snapshot_meta(Some(at), StoredMembership::new(Some(at), membership));
    let snapshot_dir = data_dir.snapshot.clone();
    let content: Frozen = Box::new(move |out| out.write_all(&content));
    SnapshotDir::open(&snapshot_dir)?.write(&meta, &content).map_err(|e| NodeStartError::io(&snapshot_dir, e))?;
    let log_dir = data_dir.log.clone();
    let (lock, mut released) = DataDirLock::new(Some(Arc::new(data_dir)));
    let log = DiskLog::open(&log_dir, None, true, Arc::default(), lock)?;
    let begun = log.accept_lost_end(true).and_then(|()| log.start_after(&Vote::new(TERM, node_id), at));
    begun.map_err(|e| NodeStartError::io(&log_dir, e))?;
    // Nothing is sent: this ends when the log is closed and the directory is free.
    released.blocking_recv();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_of_an_unfinished_restore_does_not_start_as_a_new_service() {
        let home = tempfile::tempdir().expect("a directory");
        // No snapshot can be written beside it.
        fs::create_dir_all(home.path().join("snapshot/aside.tmp")).expect("a directory");
        assert!(fill(home.path(), 1, "https://127.0.0.1:9443", 7, Vec::new()).is_err());
        let started = store_id::check_not_emptied(home.path(), 1, false);
        assert!(matches!(started, Err(NodeStartError::Emptied { .. })), "{started:?}");
    }
}
