//! Where the snapshots of a node are kept, and how one is built beside the running state machine.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use openraft::{AnyError, RaftSnapshotBuilder, StorageIOError};
use parking_lot::Mutex;

use crate::base::fatal::{self, AbortOnPanic};
use crate::base::{LogRateLimit, clock};
use crate::mutants::planted;
use crate::raft::data_dir::directory::DataDirLock;
use crate::raft::data_dir::space::does_not_fit;
use crate::raft::interface::{Frozen, StableStore};
use crate::raft::snapshot::directory::SnapshotDir;
use crate::raft::snapshot::file::{KeptSnapshot, snapshot_writer};
use crate::raft::snapshot::policy::SnapshotPolicy;
use crate::raft::types::{Snapshot, SnapshotBody, SnapshotMeta, StorageError, TypeConfig, last_index};

/// It is tried again and again until there is room.
static UNFIT: LogRateLimit = LogRateLimit::new(6);

#[derive(Debug, Clone)]
pub enum SnapshotStore {
    /// Nowhere: a node without a disk has nothing to restart from, so that a snapshot only allows the log to be
    /// trimmed. The state is encoded when another node asks for it.
    OnDemand,
    Directory(Arc<SnapshotDir>),
    Stable(Arc<dyn StableStore>),
}

impl SnapshotStore {
    pub fn current(&self) -> io::Result<Option<KeptSnapshot>> {
        match self {
            SnapshotStore::OnDemand => Ok(None),
            SnapshotStore::Directory(dir) => Ok(dir.current()),
            SnapshotStore::Stable(store) => store.snapshot().map(KeptSnapshot::in_memory).transpose(),
        }
    }

    /// Where a snapshot from another node is assembled.
    pub fn incoming(&self) -> SnapshotBody {
        match self {
            SnapshotStore::Directory(dir) => SnapshotBody::File(dir.incoming()),
            SnapshotStore::OnDemand | SnapshotStore::Stable(_) => SnapshotBody::Memory(Bytes::new()),
        }
    }

    /// Keeps a snapshot from another node, which was verified.
    pub async fn receive(&self, meta: &SnapshotMeta, body: SnapshotBody) -> io::Result<KeptSnapshot> {
        match (self.clone(), body) {
            (SnapshotStore::Directory(dir), SnapshotBody::File(path)) => {
                let meta = meta.clone();
                tokio::task::spawn_blocking(move || dir.receive(&meta, &path)).await.map_err(io::Error::other)?
            }
            (SnapshotStore::OnDemand, body @ SnapshotBody::Memory(_)) => {
                Ok(KeptSnapshot { meta: meta.clone(), body, bytes: 0 })
            }
            (SnapshotStore::Stable(store), SnapshotBody::Memory(file)) => {
                store.save_snapshot(file.clone());
                KeptSnapshot::in_memory(file)
            }
            (_, body) => Err(io::Error::other(format!("not a form this node stores: {body:?}"))),
        }
    }
}

/// A frozen state as a snapshot file in memory.
pub fn encode_file(meta: &SnapshotMeta, frozen: &Frozen) -> io::Result<Bytes> {
    let mut writer = snapshot_writer(Vec::new(), meta, |_| Ok(()))?;
    frozen(&mut writer)?;
    Ok(writer.finish()?.into())
}

pub struct SnapshotBuilder {
    pub meta: SnapshotMeta,
    /// What is left to write, and where; nothing on a node without a disk. Never contended: openraft wants shared
    /// references to be sendable.
    pub task: Mutex<Option<(SnapshotStore, Frozen)>>,
    pub policy: Arc<SnapshotPolicy>,
    pub _lock: Arc<DataDirLock>,
}

impl SnapshotBuilder {
    async fn write_to_disk(&self, dir: Arc<SnapshotDir>, frozen: Frozen) -> Result<Snapshot, StorageError> {
        let (meta, to) = (self.meta.clone(), dir.clone());
        let write = move || {
            let _guard = AbortOnPanic("cannot write a snapshot");
            to.write(&meta, &frozen)
        };
        let kept = match tokio::task::spawn_blocking(write).await {
            Ok(Ok(kept)) => kept,
            Ok(Err(error)) if does_not_fit(&error) => return Ok(self.keep_previous(&dir, &error)),
            Ok(Err(error)) => fatal::abort("cannot write a snapshot", &error),
            // The runtime is going down and never ran it; the snapshot before is still in place.
            Err(error) => Err(StorageIOError::write_snapshot(Some(self.meta.signature()), AnyError::new(&error)))?,
        };
        let (index, bytes) = (last_index(&self.meta), kept.bytes);
        tracing::info!(index, bytes, "snapshot written");
        self.policy.ended(index, bytes);
        Ok(kept.into())
    }

    /// The log is not purged, and the snapshot is tried again: openraft does not act on the one before.
    fn keep_previous(&self, dir: &SnapshotDir, error: &io::Error) -> Snapshot {
        if let Some(held_back) = UNFIT.admit(clock::process_age()) {
            tracing::error!(
                %error,
                held_back,
                "a snapshot does not fit on the data disk: the one before it and the log are kept, new locks are refused \
                 (storage.min_free_bytes), and it is tried again: {error}"
            );
        }
        self.policy.did_not_fit();
        planted!("unfit-snapshot-counts" => self.policy.ended(last_index(&self.meta), 0));
        let meta = dir.current().map(|kept| kept.meta).unwrap_or_default();
        Snapshot { meta, snapshot: Box::new(SnapshotBody::OnDemand) }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let index = last_index(&self.meta);
        let task = self.task.get_mut().take();
        match task {
            Some((SnapshotStore::Directory(dir), frozen)) => self.write_to_disk(dir, frozen).await,
            Some((SnapshotStore::Stable(store), frozen)) => {
                let failed =
                    |e: io::Error| StorageIOError::write_snapshot(Some(self.meta.signature()), AnyError::new(&e));
                let file = encode_file(&self.meta, &frozen).map_err(failed)?;
                store.save_snapshot(file.clone());
                let kept = KeptSnapshot::in_memory(file).map_err(failed)?;
                self.policy.ended(index, kept.bytes);
                Ok(kept.into())
            }
            Some((SnapshotStore::OnDemand, _)) | None => {
                self.policy.ended(index, 0);
                Ok(Snapshot { meta: self.meta.clone(), snapshot: Box::new(SnapshotBody::OnDemand) })
            }
        }
    }
}
