//! Opens what a node stores, and refuses what does not fit together.

use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::sync::mpsc;

use crate::base::random::random_id;
use crate::raft::data_dir::directory::{DataDir, DataDirLock, check_quarantine};
use crate::raft::data_dir::store_id;
use crate::raft::error::NodeStartError;
use crate::raft::interface::{Machine, StableStore};
use crate::raft::log::check;
use crate::raft::log::disk::DiskLog;
use crate::raft::log::memory::MemoryLog;
use crate::raft::log::node_log::NodeLog;
use crate::raft::log::record::RecordedState;
use crate::raft::monitors::Monitors;
use crate::raft::options::{Accept, RaftOptions, Store};
use crate::raft::snapshot::directory::SnapshotDir;
use crate::raft::snapshot::file::KeptSnapshot;
use crate::raft::snapshot::store::SnapshotStore;
use crate::raft::state_machine::StateMachine;
use crate::raft::types::{LogId, NodeId, SnapshotBody};

/// The open stores of a node.
pub struct OpenStores {
    pub log: NodeLog,
    pub machine: StateMachine,
    /// The store id.
    pub id: [u8; 16],
    /// Whether nothing had been stored before.
    pub empty: bool,
    pub data_dir: Weak<DataDir>,
    /// The newest entry that was on disk once, if the log has lost it.
    pub lost: Option<LogId>,
}

/// What ends when the stores are closed and the data directory is free.
pub type Released = mpsc::Receiver<()>;

/// Opens the store of a node, and restores the machine from the newest snapshot in it.
pub async fn open(
    options: &RaftOptions,
    machine: Box<dyn Machine>,
    monitors: &Monitors,
) -> Result<(OpenStores, Released), NodeStartError> {
    let (id, accept) = (options.node_id, options.accept);
    match options.store.clone() {
        Store::Memory => open_in_memory(None, id, machine, monitors),
        Store::Stable(store) => open_in_memory(Some(store), id, machine, monitors),
        Store::Disk { dir, fsync } => {
            let monitors = monitors.clone();
            let open = move || open_disk(&dir, fsync, accept, id, machine, &monitors);
            tokio::task::spawn_blocking(open).await.map_err(NodeStartError::engine)?
        }
    }
}

pub fn open_in_memory(
    store: Option<Arc<dyn StableStore>>,
    node_id: NodeId,
    machine: Box<dyn Machine>,
    monitors: &Monitors,
) -> Result<(OpenStores, Released), NodeStartError> {
    let (lock, released) = DataDirLock::new(None);
    let log = MemoryLog::open(store.clone(), Some(node_id), monitors.log.clone()).map_err(NodeStartError::engine)?;
    let id = store.as_ref().map_or_else(random_id, |store| store.id());
    let empty = log.is_empty() && store.as_ref().is_none_or(|store| store.snapshot().is_none());
    let snapshots = store.map_or(SnapshotStore::OnDemand, SnapshotStore::Stable);
    let machine = StateMachine::new(machine, snapshots, monitors.clone(), lock);
    let machine = machine.map_err(|e| NodeStartError::Engine(e.reason))?;
    let lost = log.lost_end();
    Ok((OpenStores { log: NodeLog::Memory(log), machine, id, empty, data_dir: Weak::new(), lost }, released))
}

/// Blocks for as long as reading the directory takes.
fn open_disk(
    dir: &Path,
    fsync: bool,
    accept: Accept,
    node_id: NodeId,
    machine: Box<dyn Machine>,
    monitors: &Monitors,
) -> Result<(OpenStores, Released), NodeStartError> {
    let data_dir = Arc::new(DataDir::open(dir)?);
    check_quarantine(dir, node_id)?;
    let (log_dir, snapshot_dir) = (data_dir.log.clone(), data_dir.snapshot.clone());
    let (lock, released) = DataDirLock::new(Some(data_dir.clone()));
    check::check_and_cut(&log_dir)?;
    let snapshots = Arc::new(SnapshotDir::open(&snapshot_dir)?);
    let stored = snapshots.current();
    let log = DiskLog::open(&log_dir, Some(node_id), fsync, monitors.log.clone(), lock.clone())?;
    check_fit(&log_dir, &log, stored.as_ref())?;
    let RecordedState { vote, last, .. } = log.state();
    let empty = vote.is_none() && last.is_none() && stored.is_none();
    match empty {
        true => store_id::check_not_emptied(dir, node_id, accept.empty)?,
        false => store_id::mark_used(dir).map_err(|e| NodeStartError::io(dir, e))?,
    }
    if !empty && !accept.lost_end {
        log.check_position(store_id::is_older_than_position(dir))?;
    }
    let lost = if empty { None } else { log.lost_end() };
    if let Some(lost) = lost {
        log_lost_end(dir, last, lost, accept);
    }
    if empty || accept.lost_end {
        log.accept_lost_end(empty).map_err(|e| NodeStartError::io(dir, e))?;
    }
    if !empty {
        // A node on a full disk still serves reads.
        monitors.log.space.check(dir);
    }
    log.restore_vote().map_err(|e| NodeStartError::io(&log_dir, e))?;
    let lost = lost.filter(|_| !accept.lost_end);
    let id = store_id::open(dir, node_id, empty)?;
    let machine =
        StateMachine::new(machine, SnapshotStore::Directory(snapshots), monitors.clone(), lock).map_err(|e| {
            let file = match stored.map(|stored| stored.body) {
                Some(SnapshotBody::File(path)) => path,
                _ => snapshot_dir,
            };
            NodeStartError::damaged(&file, e.offset, e.reason)
        })?;
    let data_dir = Arc::downgrade(&data_dir);
    Ok((OpenStores { log: NodeLog::Disk(log), machine, id, empty, data_dir, lost }, released))
}

fn log_lost_end(dir: &Path, last: Option<LogId>, lost: LogId, accept: Accept) {
    let (last, term, index) = (last.map_or(0, |id| id.index), lost.leader_id.term, lost.index);
    let then = match accept.lost_end {
        true => "This is accepted, because --accept-lost-end is set",
        false => "In a cluster, this node votes for no candidate without that entry, until a leader has sent it again",
    };
    tracing::error!(
        term, index, last, dir = %dir.display(),
        "the log was cut or put back: it ends at entry {last}, and entry {index} of term {term} was on disk. What was \
         answered since is gone, unless other nodes have it; its tokens are not given again. {then}"
    );
}

/// The log must begin where the snapshot ends, or before, and there must be a log if there is a snapshot.
fn check_fit(log_dir: &Path, log: &DiskLog, stored: Option<&KeptSnapshot>) -> Result<(), NodeStartError> {
    let covered = stored.and_then(|stored| stored.meta.last_log_id).map(|id| id.index);
    let purged = log.purged_index();
    let index = |index: Option<u64>| index.map_or_else(|| "the first one".to_owned(), |index| format!("entry {index}"));
    let reason = match stored {
        _ if !log.is_complete() => format!("entries from {} on are missing", index(purged.map(|purged| purged + 1))),
        None if purged.is_some() => {
            format!("it begins after {}, and the snapshot up to there is missing", index(purged))
        }
        Some(_) if purged > covered => {
            format!("it begins after {}, and the newest snapshot goes up to {} only", index(purged), index(covered))
        }
        Some(_) if log.state().vote.is_none() => "it holds no vote, but there is a snapshot".to_owned(),
        _ => return Ok(()),
    };
    Err(NodeStartError::damaged(log_dir, 0, reason))
}
