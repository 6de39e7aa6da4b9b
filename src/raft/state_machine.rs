//! Feeds committed entries to the [`Machine`] and takes its snapshots.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageIOError};

use crate::base::fatal;
use crate::base::fatal::AbortOnPanic;
use crate::mutants::planted;
use crate::raft::data_dir::directory::DataDirLock;
use crate::raft::data_dir::space::does_not_fit;
use crate::raft::machine::{Frozen, Machine};
use crate::raft::meters::Meters;
use crate::raft::simulated::SimulatedDisk;
use crate::raft::snapshot::directory::{SnapshotDir, StoredSnapshot};
use crate::raft::snapshot::file::SnapshotReader;
use crate::raft::types::{
    LogEntry, LogId, Snapshot, SnapshotBody, SnapshotMeta, StorageError, StoredMembership, TypeConfig, snapshot_meta,
};

/// Where snapshots go.
#[derive(Debug, Clone)]
pub enum Snapshots {
    /// Nowhere: a node without a disk has nothing to restart from, so that a snapshot only allows the log to be
    /// trimmed. The state is encoded when another node asks for it.
    OnDemand,
    Dir(Arc<SnapshotDir>),
    Simulated(SimulatedDisk),
}

/// The applied state and where it stands in the log.
pub struct StateMachine<M> {
    /// Never contended: openraft wants shared references to be sendable, a machine need not allow that.
    machine: Mutex<M>,
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshots: Snapshots,
    /// Whether `OnDemand` has a snapshot to offer.
    snapshot_taken: bool,
    meters: Arc<Meters>,
    lock: Arc<DataDirLock>,
}

impl<M: Machine> StateMachine<M> {
    /// Starts from the current snapshot, where there is one.
    pub fn new(
        mut machine: M,
        snapshots: Snapshots,
        meters: Arc<Meters>,
        lock: Arc<DataDirLock>,
    ) -> Result<Self, UnreadableSnapshot> {
        let current = match &snapshots {
            Snapshots::OnDemand => None,
            Snapshots::Dir(dir) => dir.current().map(|stored| restore_file(&mut machine, stored)).transpose()?,
            Snapshots::Simulated(disk) => {
                disk.snapshot().map(|(meta, content)| restore_bytes(&mut machine, meta, &content)).transpose()?
            }
        };
        let (mut applied, mut membership) = (None, StoredMembership::default());
        if let Some((meta, bytes)) = current {
            (applied, membership) = (meta.last_log_id, meta.last_membership);
            let index = applied.map_or(0, |id| id.index);
            meters.applied_ids.begin_at(applied);
            meters.applied_up_to(index);
            meters.snapshot_ended(index, bytes);
        }
        let machine = Mutex::new(machine);
        Ok(Self { machine, applied, membership, snapshots, snapshot_taken: false, meters, lock })
    }

    fn machine(&mut self) -> &mut M {
        self.machine.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn meta(&self) -> SnapshotMeta {
        snapshot_meta(self.applied, self.membership.clone())
    }

    /// What is applied twice, or anew with another content, is in no other node's table.
    fn check_next(&self, id: &LogId) {
        if let Some(last) = self.applied.filter(|last| id.index <= last.index) {
            fatal::abort("a broken invariant", &format!("entry {id} is to be applied after entry {last}"));
        }
    }

    fn replace_state(&mut self, meta: &SnapshotMeta, reader: &mut dyn io::Read) -> Result<(), StorageError> {
        let restored = self.machine().restore(index_of(meta), reader);
        restored.map_err(|reason| StorageIOError::write_state_machine(AnyError::error(reason)))?;
        (self.applied, self.membership) = (meta.last_log_id, meta.last_membership.clone());
        self.meters.applied_ids.begin_at(self.applied);
        Ok(())
    }
}

/// Why a snapshot could not be loaded, and where in the file reading had arrived.
#[derive(Debug)]
pub struct UnreadableSnapshot {
    pub offset: u64,
    pub reason: String,
}

impl UnreadableSnapshot {
    fn new(offset: u64, reason: String) -> Self {
        Self { offset, reason }
    }
}

/// The last entry that a snapshot covers.
fn index_of(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id.map_or(0, |id| id.index)
}

/// What a snapshot covers, and its size.
type Restored = (SnapshotMeta, u64);

fn restore_file(machine: &mut impl Machine, stored: StoredSnapshot) -> Result<Restored, UnreadableSnapshot> {
    let mut reader = SnapshotReader::open(&stored.path).map_err(|e| UnreadableSnapshot::new(0, e.to_string()))?;
    machine
        .restore(index_of(&stored.meta), &mut reader)
        .map_err(|reason| UnreadableSnapshot::new(reader.offset, reason))?;
    reader.verify_rest().map_err(|e| UnreadableSnapshot::new(reader.offset, e.to_string()))?;
    Ok((stored.meta, stored.bytes))
}

fn restore_bytes(
    machine: &mut impl Machine,
    meta: SnapshotMeta,
    content: &[u8],
) -> Result<Restored, UnreadableSnapshot> {
    machine.restore(index_of(&meta), &mut &*content).map_err(|reason| UnreadableSnapshot::new(0, reason))?;
    Ok((meta, content.len() as u64))
}

impl<M: Machine> RaftStateMachine<TypeConfig> for StateMachine<M> {
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let _guard = AbortOnPanic("cannot apply a log entry");
        let mut count = 0;
        for entry in entries {
            self.check_next(&entry.log_id);
            let mut bytes = 0;
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(payload) => {
                    self.machine().apply(entry.log_id.index, &payload);
                    bytes = payload.len();
                }
                EntryPayload::Membership(membership) => {
                    self.membership = StoredMembership::new(Some(entry.log_id), membership);
                }
            }
            self.applied = Some(entry.log_id);
            self.meters.applied_ids.applied(entry.log_id);
            self.meters.entry_applied(entry.log_id.index, bytes);
            count += 1;
        }
        self.meters.applied_up_to(self.applied.map_or(0, |id| id.index));
        // Units take no memory: this only carries the count.
        Ok(vec![(); count])
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.meters.snapshot_started();
        self.snapshot_taken = true;
        let task = match &self.snapshots {
            Snapshots::OnDemand => None,
            slot => Some((slot.clone(), self.machine().freeze())),
        };
        let before = match &self.snapshots {
            Snapshots::Dir(dir) => dir.current().map(|stored| stored.meta).unwrap_or_default(),
            Snapshots::OnDemand | Snapshots::Simulated(_) => SnapshotMeta::default(),
        };
        SnapshotBuilder {
            meta: self.meta(),
            before,
            task: Mutex::new(task),
            meters: self.meters.clone(),
            _lock: self.lock.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<SnapshotBody>, StorageError> {
        Ok(Box::new(match &self.snapshots {
            Snapshots::OnDemand | Snapshots::Simulated(_) => SnapshotBody::Bytes(Bytes::new()),
            Snapshots::Dir(dir) => SnapshotBody::File(dir.incoming()),
        }))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, body: Box<SnapshotBody>) -> Result<(), StorageError> {
        let failed = |e: io::Error| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(&e));
        let mut stored_bytes = 0;
        match (self.snapshots.clone(), *body) {
            (Snapshots::Dir(dir), SnapshotBody::File(path)) => {
                let (receiver, covered) = (dir, meta.clone());
                let receive = tokio::task::spawn_blocking(move || receiver.receive(&covered, &path));
                let stored = receive.await.map_err(io::Error::other).and_then(|stored| stored).map_err(failed)?;
                let mut reader = SnapshotReader::open(&stored.path).map_err(failed)?;
                self.replace_state(meta, &mut reader)?;
                stored_bytes = stored.bytes;
            }
            (Snapshots::OnDemand, SnapshotBody::Bytes(bytes)) => self.replace_state(meta, &mut bytes.as_ref())?,
            (Snapshots::Simulated(disk), SnapshotBody::Bytes(bytes)) => {
                self.replace_state(meta, &mut bytes.as_ref())?;
                disk.keep_snapshot(meta, bytes);
            }
            (_, body) => Err(failed(io::Error::other(format!("not a form this node stores: {body:?}"))))?,
        }
        self.snapshot_taken = true;
        let index = index_of(meta);
        self.meters.applied_up_to(index);
        self.meters.snapshot_started();
        self.meters.snapshot_ended(index, stored_bytes);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        match &self.snapshots {
            Snapshots::Dir(dir) => Ok(dir
                .current()
                .map(|stored| Snapshot { meta: stored.meta, snapshot: Box::new(SnapshotBody::File(stored.path)) })),
            Snapshots::Simulated(disk) => Ok(disk
                .snapshot()
                .map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(SnapshotBody::Bytes(bytes)) })),
            Snapshots::OnDemand if !self.snapshot_taken => Ok(None),
            Snapshots::OnDemand => {
                let mut bytes = Vec::new();
                let written = self.machine().freeze().write_to(&mut bytes);
                written.map_err(|e| StorageIOError::read_snapshot(None, AnyError::new(&e)))?;
                Ok(Some(Snapshot { meta: self.meta(), snapshot: Box::new(SnapshotBody::Bytes(bytes.into())) }))
            }
        }
    }
}

/// What is left to write, and where; nothing on a node without a disk.
type Task = (Snapshots, Box<dyn Frozen>);

/// One snapshot being built beside the running state machine.
pub struct SnapshotBuilder {
    meta: SnapshotMeta,
    /// The one before it.
    before: SnapshotMeta,
    task: Mutex<Option<Task>>,
    meters: Arc<Meters>,
    _lock: Arc<DataDirLock>,
}

impl SnapshotBuilder {
    /// The log is not purged, and the snapshot is tried again: openraft takes the one before for no news.
    fn keep_the_one_before(&self, error: &io::Error) -> Snapshot {
        tracing::error!(
            %error,
            "a snapshot does not fit on the data disk: the one before it and the log are kept, new locks are refused \
             (storage.min_free_bytes), and it is tried again: {error}"
        );
        self.meters.snapshot_did_not_fit();
        planted!("unfit-snapshot-counts" => self.meters.snapshot_ended(index_of(&self.meta), 0));
        Snapshot { meta: self.before.clone(), snapshot: Box::new(SnapshotBody::OnDemand) }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let index = index_of(&self.meta);
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let meta = self.meta.clone();
        let (dir, frozen) = match task {
            Some((Snapshots::Dir(dir), frozen)) => (dir, frozen),
            Some((Snapshots::Simulated(disk), frozen)) => {
                let mut content = Vec::new();
                let written = frozen.write_to(&mut content);
                written.map_err(|e| StorageIOError::write_snapshot(Some(meta.signature()), AnyError::new(&e)))?;
                let (bytes, content) = (content.len() as u64, Bytes::from(content));
                disk.keep_snapshot(&meta, content.clone());
                self.meters.snapshot_ended(index, bytes);
                return Ok(Snapshot { meta, snapshot: Box::new(SnapshotBody::Bytes(content)) });
            }
            Some((Snapshots::OnDemand, _)) | None => {
                self.meters.snapshot_ended(index, 0);
                return Ok(Snapshot { meta, snapshot: Box::new(SnapshotBody::OnDemand) });
            }
        };
        let write = move || {
            let _guard = AbortOnPanic("cannot write a snapshot");
            dir.write(&meta, frozen.as_ref())
        };
        let stored = match tokio::task::spawn_blocking(write).await {
            Ok(Ok(stored)) => stored,
            Ok(Err(error)) if does_not_fit(&error) => {
                return Ok(self.keep_the_one_before(&error));
            }
            Ok(Err(error)) => fatal::abort("cannot write a snapshot", &error),
            // The runtime is going down and never ran it; the snapshot before is still in slot.
            Err(error) => Err(StorageIOError::write_snapshot(Some(self.meta.signature()), AnyError::new(&error)))?,
        };
        tracing::info!(index, bytes = stored.bytes, "snapshot written");
        self.meters.snapshot_ended(index, stored.bytes);
        Ok(Snapshot { meta: stored.meta, snapshot: Box::new(SnapshotBody::File(stored.path)) })
    }
}
