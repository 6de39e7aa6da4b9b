//! openraft's own storage test suite on both stores.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft::testing::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::raft::data_dir::directory::{DataDir, DataDirLock};
use crate::raft::log::disk::DiskLog;
use crate::raft::log::memory::MemoryLog;
use crate::raft::machine::{Frozen, Machine};
use crate::raft::meters::Meters;
use crate::raft::simulated::SimulatedDisk;
use crate::raft::snapshot::directory::SnapshotDir;
use crate::raft::state_machine::{Snapshots, StateMachine};
use crate::raft::storage;
use crate::raft::types::{StorageError, TypeConfig};

/// Remembers what was applied.
#[derive(Debug, Default, Clone)]
struct Collector(Vec<u8>);

impl Machine for Collector {
    fn apply(&mut self, _index: u64, payload: &[u8]) {
        self.0.extend(payload);
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(self.clone())
    }

    fn restore(&mut self, _index: u64, snapshot: &mut dyn io::Read) -> Result<(), String> {
        self.0.clear();
        snapshot.read_to_end(&mut self.0).map(drop).map_err(|e| e.to_string())
    }
}

impl Frozen for Collector {
    fn write_to(&self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&self.0)
    }
}

struct OnMemory;

impl StoreBuilder<TypeConfig, MemoryLog, StateMachine<Collector>, ()> for OnMemory {
    async fn build(&self) -> Result<((), MemoryLog, StateMachine<Collector>), StorageError> {
        let meters = Arc::new(Meters::new(u64::MAX, 0));
        let (lock, _) = DataDirLock::new(None);
        let machine = StateMachine::new(Collector::default(), Snapshots::OnDemand, meters.clone(), lock);
        Ok(((), MemoryLog::new(meters), machine.expect("nothing to restore")))
    }
}

struct OnSimulatedDisk;

impl StoreBuilder<TypeConfig, MemoryLog, StateMachine<Collector>, ()> for OnSimulatedDisk {
    async fn build(&self) -> Result<((), MemoryLog, StateMachine<Collector>), StorageError> {
        let disk = SimulatedDisk::new(Duration::ZERO);
        let meters = Arc::new(Meters::new(u64::MAX, 0));
        let stores = storage::open_simulated(&disk, 1, Collector::default(), &meters).expect("nothing to restore");
        Ok(((), stores.log, stores.machine))
    }
}

struct Encoded;

impl StoreBuilder<TypeConfig, DiskLog, StateMachine<Collector>, TempDir> for Encoded {
    async fn build(&self) -> Result<(TempDir, DiskLog, StateMachine<Collector>), StorageError> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data_dir = DataDir::open(dir.path()).expect("an empty data directory");
        let snapshots = Snapshots::Dir(Arc::new(SnapshotDir::open(&data_dir.snapshot).expect("no snapshot")));
        let log_dir = data_dir.log.clone();
        let (lock, _) = DataDirLock::new(Some(Arc::new(data_dir)));
        let meters = Arc::new(Meters::new(u64::MAX, 0));
        let log = DiskLog::open(&log_dir, true, meters.clone(), lock.clone()).expect("an empty log");
        let machine = StateMachine::new(Collector::default(), snapshots, meters, lock).expect("nothing to restore");
        Ok((dir, log, machine))
    }
}

#[test]
fn memory_passes_openrafts_suite() {
    Suite::test_all(OnMemory).expect("the suite");
}

#[test]
fn a_simulated_disk_passes_openrafts_suite() {
    Suite::test_all(OnSimulatedDisk).expect("the suite");
}

#[test]
fn disk_passes_openrafts_suite() {
    Suite::test_all(Encoded).expect("the suite");
}
