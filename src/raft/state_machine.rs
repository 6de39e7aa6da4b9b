//! Applies committed entries to the [`Machine`], and freezes and restores it for snapshots.

use std::io;
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, StorageIOError};
use parking_lot::Mutex;

use crate::base::fatal::{self, AbortOnPanic};
use crate::raft::data_dir::directory::DataDirLock;
use crate::raft::interface::Machine;
use crate::raft::monitors::Monitors;
use crate::raft::snapshot::file::KeptSnapshot;
use crate::raft::snapshot::store::{SnapshotBuilder, SnapshotStore, encode_file};
use crate::raft::types::{
    LogEntry, LogId, Snapshot, SnapshotBody, SnapshotMeta, StorageError, StoredMembership, TypeConfig, last_index,
    snapshot_meta,
};

/// The applied state and where it stands in the log.
pub struct StateMachine {
    /// Never contended: openraft wants shared references to be sendable, a machine need not allow that.
    machine: Mutex<Box<dyn Machine>>,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: SnapshotStore,
    /// Whether there is a snapshot to offer that is encoded on demand.
    snapshot_taken: bool,
    monitors: Monitors,
    lock: Arc<DataDirLock>,
}

impl StateMachine {
    /// Starts from the current snapshot, where there is one.
    pub fn new(
        machine: Box<dyn Machine>,
        snapshots: SnapshotStore,
        monitors: Monitors,
        lock: Arc<DataDirLock>,
    ) -> Result<Self, UnreadableSnapshot> {
        let current = snapshots.current().map_err(|e| UnreadableSnapshot { offset: 0, reason: e.to_string() })?;
        let mut this = Self {
            machine: Mutex::new(machine),
            applied: None,
            membership: StoredMembership::default(),
            snapshots,
            snapshot_taken: false,
            monitors,
            lock,
        };
        if let Some(current) = current {
            this.start_from(&current)?;
        }
        Ok(this)
    }

    fn start_from(&mut self, kept: &KeptSnapshot) -> Result<(), UnreadableSnapshot> {
        let index = last_index(&kept.meta);
        let mut reader = kept.reader().map_err(|e| UnreadableSnapshot { offset: 0, reason: e.to_string() })?;
        let restored = self.machine.get_mut().restore(index, &mut reader);
        let restored = restored.and_then(|()| reader.verify_rest().map_err(|e| e.to_string()));
        restored.map_err(|reason| UnreadableSnapshot { offset: reader.offset(), reason })?;
        self.restored(&kept.meta);
        self.monitors.snapshots.ended(index, kept.bytes);
        Ok(())
    }

    fn restored(&mut self, meta: &SnapshotMeta) {
        (self.applied, self.membership) = (meta.last_log_id, meta.last_membership.clone());
        self.monitors.applied.restored(self.applied);
        self.announce();
    }

    /// Applies the next entry of the log.
    pub fn apply_entry(&mut self, entry: LogEntry) {
        let _guard = AbortOnPanic("cannot apply a log entry");
        self.check_next(&entry.log_id);
        let mut bytes = 0;
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(payload) => {
                self.machine.get_mut().apply(entry.log_id.index, &payload);
                bytes = payload.len();
            }
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
        }
        self.applied = Some(entry.log_id);
        self.monitors.applied.entry(entry.log_id);
        self.monitors.snapshots.entry_applied(entry.log_id.index, bytes);
    }

    /// Wakes those who wait for what was applied.
    pub fn announce(&self) {
        self.monitors.applied.announce(self.applied.map_or(0, |id| id.index));
    }

    pub fn applied(&self) -> Option<LogId> {
        self.applied
    }

    pub fn membership(&self) -> &StoredMembership {
        &self.membership
    }

    /// Freezes the state for a snapshot.
    pub fn snapshot_builder(&mut self) -> SnapshotBuilder {
        self.monitors.snapshots.started();
        self.snapshot_taken = true;
        let task = match &self.snapshots {
            SnapshotStore::OnDemand => None,
            store => Some((store.clone(), self.machine.get_mut().freeze())),
        };
        SnapshotBuilder {
            meta: self.meta(),
            task: Mutex::new(task),
            policy: self.monitors.snapshots.clone(),
            _lock: self.lock.clone(),
        }
    }

    fn meta(&self) -> SnapshotMeta {
        snapshot_meta(self.applied, self.membership.clone())
    }

    /// An entry that is applied twice would make the state differ from that of all other nodes.
    fn check_next(&self, id: &LogId) {
        if let Some(last) = self.applied.filter(|last| id.index <= last.index) {
            fatal::abort("a broken invariant", &format!("entry {id} is to be applied after entry {last}"));
        }
    }
}

/// Why a snapshot could not be loaded, and where in the file reading had arrived.
#[derive(Debug)]
pub struct UnreadableSnapshot {
    pub offset: u64,
    pub reason: String,
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut count = 0;
        for entry in entries {
            self.apply_entry(entry);
            count += 1;
        }
        self.announce();
        // Units take no memory: this only carries the count.
        Ok(vec![(); count])
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.snapshot_builder()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotBody>, StorageError> {
        Ok(Box::new(self.snapshots.incoming()))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, body: Box<SnapshotBody>) -> Result<(), StorageError> {
        let failed = |e: io::Error| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(&e));
        let kept = self.snapshots.receive(meta, *body).await.map_err(failed)?;
        let index = last_index(meta);
        let restored = self.machine.get_mut().restore(index, &mut kept.reader().map_err(failed)?);
        restored.map_err(|reason| StorageIOError::write_state_machine(AnyError::error(reason)))?;
        self.restored(meta);
        self.snapshot_taken = true;
        self.monitors.snapshots.started();
        self.monitors.snapshots.ended(index, kept.bytes);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let failed = |e: io::Error| StorageIOError::read_snapshot(None, AnyError::new(&e));
        match &self.snapshots {
            SnapshotStore::OnDemand if self.snapshot_taken => {
                let meta = self.meta();
                let file = encode_file(&meta, &self.machine.get_mut().freeze()).map_err(failed)?;
                Ok(Some(Snapshot { meta, snapshot: Box::new(SnapshotBody::Memory(file)) }))
            }
            store => Ok(store.current().map_err(failed)?.map(Snapshot::from)),
        }
    }
}
