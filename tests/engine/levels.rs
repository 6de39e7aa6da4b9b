//! Data of an older release: what it did not know begins once every node supports it.

use super::service::options;
use crate::domain::kit::limits;
use latchd::domain::{
    Body, Caller, Command, CommandId, Entry, FEATURE_LEVEL, Incarnation, LeaderStart, Limits, NodeId, Refusal,
    SessionId, StoreId, Submitted, Table, Timestamp,
};
use latchd::engine::backup_writer;
use latchd::engine::{Engine, EngineOptions, Fault, RestoreOptions, restore};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

const CI: Caller = Caller { credential: 1, address: 1 };
const OTHER: Caller = Caller { credential: 2, address: 1 };
const OLD: SessionId = SessionId([7; 16]);

/// A backup of a table at level 5 with one session.
fn old_backup(file: &Path) {
    let mut table = Table::default();
    let start = LeaderStart {
        first_token: 1,
        limits: limits(),
        node: NodeId(1),
        incarnation: Incarnation(1),
        store: StoreId([1; 16]),
        level: 5,
        confirm: false,
        quotas: None,
    };
    let open = Command::OpenSession { session: OLD, idle_timeout_ms: 3_600_000, idempotency_key: None, caller: CI };
    let id = CommandId { incarnation: Incarnation(1), sequence: 1 };
    let commands = vec![Submitted { id, command: open }];
    let batch = Body::Batch { touches: Vec::new(), more_touches: false, commands };
    for (epoch, body) in [(0, Body::LeaderStart(start)), (1, batch)] {
        table.apply(Entry { at: Timestamp(1), epoch, body }).expect("its own epoch");
    }
    let mut out = backup_writer(File::create(file).expect("a file")).expect("it can be written");
    table.freeze().write_to(&mut out).expect("it can be written");
    out.finish().expect("it can be written");
}

fn into(dir: &Path) -> RestoreOptions {
    RestoreOptions {
        data_dir: dir.to_owned(),
        node_id: 1,
        advertise: String::new(),
        keep_sessions: true,
        keep_holds: true,
        trust_clock: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raised_level_adds_owners_and_bounds_to_an_older_table() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("backup"), dir.path().join("data"));
    old_backup(&file);
    let to = into(&data);
    tokio::task::spawn_blocking(move || restore(&file, &to)).await.unwrap().expect("it can be restored");
    let limits = Limits { table_bytes_max: 5_000, ..limits() };
    let engine = Engine::start(EngineOptions { limits, ..options(Some(&data)) }).await.expect("it starts");
    let raised = async {
        while engine.overview().table_bytes_max != 5_000 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), raised).await.expect("the bounds of this release are in force");
    assert_eq!(engine.local_cluster().level, FEATURE_LEVEL);
    assert_eq!(engine.check_session_of(OLD, OTHER).await, Ok(()), "from before there were owners");
    let owned = engine.open_session(None, CI).await.expect("there is room");
    assert_eq!(engine.check_session_of(owned, CI).await, Ok(()));
    assert_eq!(engine.check_session_of(owned, OTHER).await, Err(Fault::Refused(Refusal::SessionOfAnother)));
    engine.stop().await;
}
