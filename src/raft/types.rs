//! The types that openraft is instantiated with.
//!
//! The payload of a log entry is an opaque byte string, which the [`Machine`](crate::raft::Machine) interprets.

use std::path::PathBuf;

use crate::mutants::planted;
use bytes::Bytes;

openraft::declare_raft_types!(
    /// The stores are chosen at run time.
    pub TypeConfig:
        D = Bytes,
        R = (),
        NodeId = u64,
        Node = openraft::BasicNode,
        SnapshotData = SnapshotBody,
        AsyncRuntime = crate::raft::runtime::Runtime,
);

pub type NodeId = u64;
pub type Raft = openraft::Raft<TypeConfig>;
pub type LogEntry = openraft::Entry<TypeConfig>;
pub type EntryPayload = openraft::EntryPayload<TypeConfig>;
pub type LogId = openraft::LogId<NodeId>;
pub type Vote = openraft::Vote<NodeId>;
pub type Membership = openraft::Membership<NodeId, openraft::BasicNode>;
pub type StoredMembership = openraft::StoredMembership<NodeId, openraft::BasicNode>;
pub type SnapshotMeta = openraft::SnapshotMeta<NodeId, openraft::BasicNode>;
pub type Snapshot = openraft::Snapshot<TypeConfig>;
pub type LogState = openraft::LogState<TypeConfig>;
pub type StorageError = openraft::StorageError<NodeId>;
pub type LogFlushed = openraft::storage::LogFlushed<TypeConfig>;

/// Where a snapshot's content is.
#[derive(Debug, Clone)]
pub enum SnapshotBody {
    /// A verified snapshot file, on a node with a data directory.
    File(PathBuf),
    /// The bytes of such a file.
    Memory(Bytes),
    /// Nowhere yet: a node without a disk encodes its state only when another node asks for it.
    OnDemand,
}

/// The entry at `index` that `node` wrote while it led in `term`.
pub fn log_id(term: u64, node: NodeId, index: u64) -> LogId {
    LogId::new(openraft::CommittedLeaderId::new(term, node), index)
}

/// The last entry that a snapshot covers.
pub fn last_index(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id.map_or(0, |id| id.index)
}

/// A snapshot is named by what it covers: two snapshots up to the same entry have the same content.
pub fn snapshot_meta(applied: Option<LogId>, membership: StoredMembership) -> SnapshotMeta {
    let snapshot_id = match applied {
        Some(id) => format!("{}-{}-{}", id.leader_id.term, id.leader_id.node_id, id.index),
        None => "empty".to_owned(),
    };
    SnapshotMeta { last_log_id: applied, last_membership: membership, snapshot_id }
}

/// The vote that a node starts with, given the one that it has stored.
///
/// A leader's own vote is stored as that of an elected leader, and openraft lets a node that finds such a vote lead on in
/// its old term. But its log may have lost its end since, or the whole directory may be an older copy: it would write
/// other entries at indexes of the same term, which the other nodes could not tell from theirs. So a node that has led
/// must be elected again, in a later term.
pub fn vote_at_start(stored: Option<Vote>, own: Option<NodeId>) -> Option<Vote> {
    let mut vote = stored?;
    planted!("old-term-resumed" => return stored);
    if own == Some(vote.leader_id.node_id) {
        vote.committed = false;
    }
    Some(vote)
}
