//! Where the snapshots of a node are kept.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::raft::machine::Frozen;
use crate::raft::snapshot::directory::SnapshotDir;
use crate::raft::snapshot::file::KeptSnapshot;
use crate::raft::snapshot::file::snapshot_writer;
use crate::raft::stable_store::StableStore;
use crate::raft::types::{SnapshotBody, SnapshotMeta};

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
pub fn encode_file(meta: &SnapshotMeta, frozen: &dyn Frozen) -> io::Result<Bytes> {
    let mut writer = snapshot_writer(Vec::new(), meta)?;
    frozen.write_to(&mut writer)?;
    Ok(writer.finish()?.into())
}
