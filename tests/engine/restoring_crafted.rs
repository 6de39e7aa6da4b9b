//! Whatever somebody made of a backup: one that `restore` accepts, a start accepts.

use super::service::{ask, hold, options};
use crate::domain::model::script::steps;
use crate::domain::model::{driver, for_all};
use latchd::engine::backup_file::BackupWriter;
use latchd::engine::{Engine, EngineError, Fault, RestoreError, RestoreOptions, restore};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// A backup with right checksums around this content.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut writer = BackupWriter::new(Vec::new()).expect("a vector takes all");
    writer.write_all(content).expect("a vector takes all");
    writer.finish().expect("a vector takes all")
}

/// Starts a node on what was restored; it answers, if only that it grants nothing more.
async fn begins(data_dir: &Path) -> Result<(), String> {
    let engine = Engine::start(options(Some(data_dir))).await.map_err(|error| error.to_string())?;
    let answered = tokio::time::timeout(Duration::from_secs(20), hold(&engine, ask("after the restore"))).await;
    let broken = engine.overview().stats.broken_invariants;
    engine.stop().await;
    match answered {
        _ if broken > 0 => Err(format!("{broken} broken invariants")),
        Ok(Ok(_) | Err(Fault::Refused(_))) => Ok(()),
        Ok(Err(Fault::Engine(EngineError::DiskNearlyFull))) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_backup_that_is_restored_is_started() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let accepted = Cell::new(0_u32);
    let changes = vec((any::<Index>(), any::<u8>()), 0..4);
    for_all((steps(), changes, any::<bool>(), any::<bool>()), |(script, changes, keep_sessions, keep_holds)| {
        let (_, table) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        let mut content = Vec::new();
        table.freeze().write_to(&mut content).expect("a vector takes all");
        for (at, value) in &changes {
            let at = at.index(content.len());
            content[at] = *value;
        }
        let home = tempfile::tempdir().expect("a directory");
        let (file, data_dir) = (home.path().join("backup"), home.path().join("data"));
        std::fs::write(&file, framed(&content)).expect("written");
        let options = RestoreOptions {
            data_dir: data_dir.clone(),
            node_id: 1,
            advertise: String::new(),
            keep_sessions,
            keep_holds,
            trust_clock: false,
        };
        match restore(&file, &options) {
            Ok(_) => {
                accepted.set(accepted.get() + 1);
                runtime.block_on(begins(&data_dir)).map_err(TestCaseError::fail)
            }
            Err(error) => {
                prop_assert!(!changes.is_empty(), "a good backup was refused: {}", error);
                prop_assert!(matches!(error, RestoreError::Damaged { .. }), "{}", error);
                prop_assert!(!data_dir.exists(), "something was begun");
                Ok(())
            }
        }
    });
    assert!(accepted.get() > 20, "only {} were accepted", accepted.get());
}
