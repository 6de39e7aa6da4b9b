//! openraft's own storage test suite on both stores.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::raft::data_dir::directory::{DataDir, DataDirLock};
use crate::raft::interface::{Frozen, Machine, StableStore};
use crate::raft::log::disk::DiskLog;
use crate::raft::log::memory::MemoryLog;
use crate::raft::log::node_log::NodeLog;
use crate::raft::monitors::Monitors;
use crate::raft::snapshot::directory::SnapshotDir;
use crate::raft::snapshot::store::SnapshotStore;
use crate::raft::state_machine::StateMachine;
use crate::raft::storage;
use crate::raft::types::{StorageError, TypeConfig};

#[path = "../../tests/simulation/disk.rs"]
#[allow(dead_code, reason = "the simulation uses the rest")]
mod disk;

use disk::SimulatedDisk;

/// Remembers what was applied.
#[derive(Debug, Default)]
struct Collector(Vec<u8>);

impl Machine for Collector {
    fn apply(&mut self, _index: u64, payload: &[u8]) {
        self.0.extend(payload);
    }

    fn freeze(&self) -> Frozen {
        let bytes = self.0.clone();
        Box::new(move |out: &mut dyn io::Write| out.write_all(&bytes))
    }

    fn restore(&mut self, _index: u64, snapshot: &mut dyn io::Read) -> Result<(), String> {
        self.0.clear();
        snapshot.read_to_end(&mut self.0).map(drop).map_err(|e| e.to_string())
    }
}

struct OnMemory;

impl StoreBuilder<TypeConfig, MemoryLog, StateMachine, ()> for OnMemory {
    async fn build(&self) -> Result<((), MemoryLog, StateMachine), StorageError> {
        let monitors = Monitors::new(u64::MAX, 0);
        let (lock, _) = DataDirLock::new(None);
        let machine = StateMachine::new(Box::<Collector>::default(), SnapshotStore::OnDemand, monitors.clone(), lock);
        let log = MemoryLog::open(None, None, monitors.log).expect("nothing to read");
        Ok(((), log, machine.expect("nothing to restore")))
    }
}

struct OnStableStore;

impl StoreBuilder<TypeConfig, MemoryLog, StateMachine, ()> for OnStableStore {
    async fn build(&self) -> Result<((), MemoryLog, StateMachine), StorageError> {
        let disk: Arc<dyn StableStore> = Arc::new(SimulatedDisk::new(Duration::ZERO));
        let monitors = Monitors::new(u64::MAX, 0);
        let opened = storage::open_in_memory(Some(disk), 1, Box::<Collector>::default(), &monitors);
        let (stores, _) = opened.expect("nothing to restore");
        let NodeLog::Memory(log) = stores.log else { panic!("not a log in memory") };
        Ok(((), log, stores.machine))
    }
}

struct OnDisk;

impl StoreBuilder<TypeConfig, DiskLog, StateMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, DiskLog, StateMachine), StorageError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = DataDir::open(dir.path()).expect("an empty data directory");
        let snapshots = SnapshotStore::Directory(Arc::new(SnapshotDir::open(&data_dir.snapshot).expect("no snapshot")));
        let log_dir = data_dir.log.clone();
        let (lock, _) = DataDirLock::new(Some(Arc::new(data_dir)));
        let monitors = Monitors::new(u64::MAX, 0);
        let log = DiskLog::open(&log_dir, None, true, monitors.log.clone(), lock.clone()).expect("an empty log");
        let machine =
            StateMachine::new(Box::<Collector>::default(), snapshots, monitors, lock).expect("nothing to restore");
        Ok((dir, log, machine))
    }
}

#[test]
fn memory_log_passes_openraft_suite() {
    Suite::test_all(OnMemory).expect("the suite");
}

#[test]
fn stable_store_passes_openraft_suite() {
    Suite::test_all(OnStableStore).expect("the suite");
}

#[test]
fn disk_log_passes_openraft_suite() {
    Suite::test_all(OnDisk).expect("the suite");
}
