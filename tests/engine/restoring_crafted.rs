//! Backups with crafted content: what `restore` accepts, a start accepts.

use super::service::{ask, hold, options};
use crate::domain::kit::{self, Bench, RUN, snapshot, start};
use crate::domain::model::script::steps;
use crate::domain::model::{driver, for_all};
use latchd::domain::{Body, Entry, FEATURE_LEVEL, LeaderStart, Table, Timestamp};
use latchd::engine::backup_writer;
use latchd::engine::{BackupError, Engine, EngineError, Fault, RestoreOptions, restore};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::cell::Cell;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// A backup with valid checksums around this content.
fn framed(content: &[u8]) -> Vec<u8> {
    let mut writer = backup_writer(Vec::new()).expect("a vector takes all");
    writer.write_all(content).expect("a vector takes all");
    writer.finish().expect("a vector takes all")
}

fn into(data_dir: &Path) -> RestoreOptions {
    RestoreOptions {
        data_dir: data_dir.to_owned(),
        node_id: 1,
        advertise: String::new(),
        keep_sessions: true,
        keep_holds: true,
        trust_clock: false,
    }
}

/// A byte, or a number near the smallest or the largest.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let numbers = vec![0, 1, 1 << 32, (1 << 53) - 1, 1 << 53, 1 << 62, 1 << 63, u64::MAX];
    prop_oneof![any::<u8>().prop_map(|byte| vec![byte]), prop::sample::select(numbers).prop_map(written),]
}

/// A varint as the table writes it: seven bits a byte, the lowest first.
fn written(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Replaces one number by another wherever it occurs.
fn exchanged(content: &[u8], number: u64, by: u64) -> Vec<u8> {
    let (mut changed, mut rest, from) = (Vec::new(), content, written(number));
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        changed.extend_from_slice(&rest[..at]);
        changed.extend(written(by));
        rest = &rest[at + from.len()..];
    }
    assert!(!changed.is_empty(), "{number} stands nowhere");
    changed.extend_from_slice(rest);
    changed
}

#[test]
fn backup_with_exhausted_tokens_is_refused_at_once() {
    const TOKEN: u64 = 0x0011_2233_4455_6677;
    let mut bench = Bench::started(LeaderStart { first_token: TOKEN, ..start(RUN) });
    bench.acquired(kit::ask("a", 1));
    let content = exchanged(&exchanged(&bench.snapshot(), TOKEN, 1 << 60), TOKEN + 1, 1 << 61);
    // It can be read, and what a restore makes of it can not.
    let mut table = Table::restore(&mut content.as_slice()).expect("it is whole");
    table.begin_from_backup(1, 1, true, true);
    let begun = snapshot(&table);
    assert!(Table::restore(&mut begun.as_slice()).is_err(), "a start would accept it");
    let home = tempfile::tempdir().expect("a directory");
    let (file, data_dir) = (home.path().join("backup"), home.path().join("data"));
    std::fs::write(&file, framed(&content)).expect("written");
    let restored = restore(&file, &into(&data_dir));
    assert!(matches!(restored, Err(BackupError::Damaged { .. })), "{restored:?}");
    assert!(!data_dir.exists(), "something was begun");
}

#[test]
fn backup_of_a_newer_release_is_refused() {
    let mut table = Table::default();
    let entry = LeaderStart { level: FEATURE_LEVEL + 1, ..start(RUN) };
    let entry = Entry { at: Timestamp(1), epoch: 0, body: Body::LeaderStart(entry) };
    table.apply(entry).expect("a leadership may always begin");
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("backup");
    std::fs::write(&file, framed(&snapshot(&table))).expect("written");
    let restored = restore(&file, &into(&home.path().join("data")));
    assert!(restored.expect_err("refused").to_string().contains("newer"), "it says why");
}

/// Starts a node on the restored directory; it answers, if only with refusals.
/// A process that another test begins just after the restore has the lock of the directory until it becomes its program.
async fn started(data_dir: &Path) -> Result<Engine, String> {
    let mut tries = 0;
    loop {
        match Engine::start(options(Some(data_dir))).await.map_err(|error| error.to_string()) {
            Err(error) if error.contains("in use by another process") && tries < 1_000 => tries += 1,
            started => return started,
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn begins(data_dir: &Path) -> Result<(), String> {
    let engine = started(data_dir).await?;
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
fn every_restored_backup_can_be_started() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let accepted = Cell::new(0_u32);
    let changes = vec((any::<Index>(), piece()), 0..4);
    for_all((steps(), changes, any::<bool>(), any::<bool>()), |(script, changes, keep_sessions, keep_holds)| {
        let (_, table) = driver::play(&script, |_| Ok(())).map_err(TestCaseError::fail)?;
        let mut content = Vec::new();
        table.freeze().write_to(&mut content).expect("a vector takes all");
        for (at, piece) in &changes {
            let at = at.index(content.len());
            let end = content.len().min(at + piece.len());
            content[at..end].copy_from_slice(&piece[..end - at]);
        }
        let home = tempfile::tempdir().expect("a directory");
        let (file, data_dir) = (home.path().join("backup"), home.path().join("data"));
        std::fs::write(&file, framed(&content)).expect("written");
        let options = RestoreOptions { keep_sessions, keep_holds, ..into(&data_dir) };
        match restore(&file, &options) {
            Ok(_) => {
                accepted.set(accepted.get() + 1);
                runtime.block_on(begins(&data_dir)).map_err(TestCaseError::fail)
            }
            Err(error) => {
                prop_assert!(!changes.is_empty(), "a good backup was refused: {}", error);
                prop_assert!(matches!(error, BackupError::Damaged { .. }), "{}", error);
                prop_assert!(!data_dir.exists(), "something was begun");
                Ok(())
            }
        }
    });
    assert!(accepted.get() > 20, "only {} were accepted", accepted.get());
}
