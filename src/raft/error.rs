//! The errors of this room.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::clock::ImplausibleClock;
use crate::raft::peers::tls::TransportError;

/// Why an entry was not (or perhaps not) applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not proposed: another node leads.
    #[error("this node does not lead")]
    NotLeader { leader: Option<u64> },
    /// Not proposed: no node leads at the moment.
    #[error("no quorum: nothing was proposed")]
    NoQuorum,
    /// Handed to the log; whether it will be applied was not seen.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// Not proposed.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// Not proposed: the log cannot be written.
    #[error("the log cannot be written")]
    StorageFailed,
}

/// Why a linearizable read is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("this node does not lead")]
    NotLeader { leader: Option<u64> },
    #[error("no quorum has confirmed this leader")]
    NoQuorum,
    #[error("the node is shutting down")]
    ShuttingDown,
}

/// Why a change of the membership was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    #[error("this node does not lead")]
    NotLeader { leader: Option<u64> },
    #[error("no quorum: nothing was changed")]
    NoQuorum,
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// It may be a former member of this same cluster: who knows its data decides.
    #[error("node {node} at {address} holds data already")]
    NotEmpty { node: u64, address: String },
    #[error(transparent)]
    Refused(#[from] MemberError),
}

/// Why a change of the membership is refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemberError {
    #[error("this node runs alone: start it with --peer-listen and its certificates to grow a cluster")]
    Alone,
    #[error("the address {0:?} is not accepted: expected a URL like https://10.0.0.4:9443")]
    BadAddress(String),
    #[error("node {0} is no member: `latchd members list` shows who is")]
    Unknown(u64),
    #[error(
        "node {node} is a member already, at {address}: if it is to come back anew, `latchd members remove {node}` first, \
         then add it"
    )]
    AlreadyMember { node: u64, address: String },
    #[error("node {0} has a vote already")]
    AlreadyVoter(u64),
    #[error("node {node} at {address} cannot be added: {reason}")]
    Unreachable { node: u64, address: String, reason: String },
    #[error(
        "node {node} lacks {lag_entries} log entries: `latchd members promote {node}` when `latchd members list` shows it \
         close to 0"
    )]
    NotCaughtUp { node: u64, lag_entries: u64 },
    #[error("node {0} is the only voter: give another node a vote first, with `latchd members promote`")]
    LastVoter(u64),
    #[error("without node {0} too few of the voters would be up to decide anything: bring another node up first")]
    WouldLoseQuorum(u64),
    #[error("another change of the membership is not finished: ask again")]
    Busy,
}

/// Why this node still leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    #[error("this node does not lead")]
    NotLeader,
    #[error("no other voter is there and up to date")]
    NoCandidate,
    #[error("node {to} did not take over in time")]
    NotElected { to: u64 },
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum NodeStartError {
    #[error(
        "the data directory {} is in use by another process: stop that process, or start this one with another \
         directory", dir.display()
    )]
    InUse { dir: PathBuf },
    #[error(
        "{} has files of something else in it, such as {found:?}: a data directory is empty, or does not exist, when it \
         is first used", dir.display()
    )]
    NotOurs { dir: PathBuf, found: String },
    #[error(
        "the data directory {} has format {found}, this build reads format {supported}: start the version that \
         wrote it, or use another directory", dir.display()
    )]
    OtherFormat { dir: PathBuf, found: u64, supported: u64 },
    #[error(
        "{} is damaged at byte {offset}: {reason}. Nothing was changed. Move the data directory away, and \
         restore a backup (`latchd restore`) or start empty, which gives up every lock held now", file.display()
    )]
    Damaged { file: PathBuf, offset: u64, reason: String },
    #[error(
        "{} is damaged at byte {offset}: {reason}. Nothing was changed. Where other nodes serve, put no copy of the \
         directory back, which would lack what this node has acknowledged since: {}. Only where node {node_id} is \
         alone: restore a backup", file.display(), replace_advice(*node_id)
    )]
    DamagedInCluster { file: PathBuf, offset: u64, reason: String, node_id: u64 },
    #[error(
        "the data directory {} was set aside: its table was not what the other nodes have: {}", dir.display(),
        replace_advice(*node_id)
    )]
    Quarantined { dir: PathBuf, node_id: u64 },
    #[error(
        "the data directory {} held a log once and is empty now: no vote, no log, no snapshot is in it. Nothing was \
         changed. Where other nodes serve: {}. Only where node {node_id} is alone: restore a backup, or begin empty with \
         --accept-empty (storage.accept_empty = true), which gives up every lock held now",
        dir.display(), replace_advice(*node_id)
    )]
    Emptied { dir: PathBuf, node_id: u64 },
    #[error(
        "the data directory belongs to {}, this is node {node_id}: set node_id, or use another directory",
        nodes(found)
    )]
    OtherNode { node_id: u64, found: Vec<u64> },
    #[error(
        "the data directory of node {node_id} belongs to a cluster with {voters} voters: set cluster.peer_listen and \
         its certificates"
    )]
    PeersNeeded { node_id: u64, voters: usize },
    #[error(
        "node {node_id} is not, or no longer, a member of the cluster of {} whose data is here. To add it, set \
         cluster.peer_listen and its certificates, start it, and ask another node to `latchd members add {node_id} URL`; \
         to use it for something else, empty its data directory",
        nodes(members)
    )]
    NotMember { node_id: u64, members: Vec<u64> },
    #[error("the data directory {} is not empty: a backup is restored into a new one", dir.display())]
    NotEmpty { dir: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Clock(#[from] ImplausibleClock),
    #[error("the consensus engine did not start: {0}")]
    Engine(String),
}

/// How to replace a member whose data is not what it acknowledged.
pub fn replace_advice(node: u64) -> String {
    format!(
        "ask another node to `latchd members remove {node}`, empty this node's data directory, start it, and ask the \
         other to `latchd members add {node} URL` and `latchd members promote {node}`"
    )
}

fn nodes(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("node {id}")).collect();
    ids.join(", ")
}

impl NodeStartError {
    /// The error of a node that has peers: for it, putting back a copy of the directory would do harm.
    pub(in crate::raft) fn among_peers(self, node_id: u64) -> Self {
        match self {
            Self::Damaged { file, offset, reason } => Self::DamagedInCluster { file, offset, reason, node_id },
            other => other,
        }
    }

    pub(in crate::raft) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(in crate::raft) fn engine(error: impl std::fmt::Display) -> Self {
        Self::Engine(error.to_string())
    }

    pub(in crate::raft) fn damaged(file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), offset, reason: reason.into() }
    }

    /// Wrong content is damage; a file that cannot be read at all is not.
    pub(in crate::raft) fn unreadable(file: &Path, offset: u64, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::damaged(file, offset, error.to_string()),
            _ => Self::io(file, error),
        }
    }
}
