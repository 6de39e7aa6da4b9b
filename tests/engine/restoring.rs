//! Restoring a backup: what the new directory holds, and that no token is given twice.

use super::events_kit::{everything, gap, read};
use super::service::{ask, hold, start};
use latchd::domain::{Acquire, Caller, Refusal, SessionId};
use latchd::engine::events::{EventId, GapReason};
use latchd::engine::{BackupError, Engine, Fault, RestoreOptions, restore};
use std::path::{Path, PathBuf};

/// Fewer tokens than this were given after the backup.
const TOKENS_PAST_BACKUP: u64 = 1_000_000_000;

async fn backup(engine: &Engine, to: &Path) {
    let mut backup = engine.backup().await.expect("a backup");
    let mut bytes = Vec::new();
    while let Some(chunk) = backup.next().await {
        bytes.extend(chunk.expect("a chunk"));
    }
    std::fs::write(to, bytes).expect("a place for it");
}

fn into(data_dir: PathBuf) -> RestoreOptions {
    RestoreOptions {
        data_dir,
        node_id: 1,
        advertise: String::new(),
        keep_sessions: true,
        keep_holds: true,
        trust_clock: false,
    }
}

/// On a thread for blocking work, as in the command.
async fn restored(from: PathBuf, options: RestoreOptions) -> Result<latchd::engine::BackupCounts, BackupError> {
    tokio::task::spawn_blocking(move || restore(&from, &options)).await.expect("it does not panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_keeps_sessions_and_holds_and_raises_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let (file, session, token) = service_with_two_holds(dir.path()).await;
    let contents = restored(file, into(dir.path().join("new"))).await.unwrap();
    assert_eq!((contents.locks, contents.holds, contents.sessions), (2, 2, 1));
    let engine = start(Some(&dir.path().join("new"))).await;
    engine.touch_session(session).await.expect("the session is there");
    assert!(matches!(hold(&engine, ask("bearer")).await, Err(Fault::Refused(Refusal::Held(_)))));
    assert!(matches!(hold(&engine, ask("of-session")).await, Err(Fault::Refused(Refusal::Held(_)))));
    let of_the_old = EventId { index: 3, position: 0, table_id: 0 };
    let (why, state) = gap(&mut read(&engine, everything(), Some(of_the_old))).await;
    assert_eq!((why, state.locks.len()), (GapReason::UnknownId, 2), "events before the restore are not here");
    let (_, next) = hold(&engine, ask("free")).await.unwrap();
    assert!(next >= token + TOKENS_PAST_BACKUP, "{next} is too near {token}");
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_drops_sessions_and_holds_unless_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (file, session, _) = service_with_two_holds(dir.path()).await;
    let options = RestoreOptions { keep_sessions: false, ..into(dir.path().join("new")) };
    assert_eq!(restored(file.clone(), options).await.unwrap().holds, 1, "the session's hold went with it");
    let engine = start(Some(&dir.path().join("new"))).await;
    assert_eq!(engine.touch_session(session).await, Err(Refusal::SessionUnknown.into()));
    hold(&engine, ask("of-session")).await.expect("free");
    engine.stop().await;
    let options = RestoreOptions { keep_holds: false, ..into(dir.path().join("empty")) };
    assert_eq!(restored(file, options).await.unwrap().holds, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_refuses_a_directory_in_use_and_a_cut_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (file, _, _) = service_with_two_holds(dir.path()).await;
    let there = restored(file.clone(), into(dir.path().join("old"))).await;
    assert!(matches!(there, Err(BackupError::Store(_))), "{there:?}");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    let cut = restored(file, into(dir.path().join("new"))).await;
    assert!(matches!(cut, Err(BackupError::Damaged { .. })), "{cut:?}");
    assert!(!dir.path().join("new").exists(), "nothing was begun");
}

/// A backup, its session, and the last token before it.
async fn service_with_two_holds(dir: &Path) -> (PathBuf, SessionId, u64) {
    let engine = start(Some(&dir.join("old"))).await;
    let session = engine.open_session(None, Caller::NOBODY).await.unwrap();
    hold(&engine, ask("bearer")).await.unwrap();
    let of_session = Acquire { session: Some(session), ..ask("of-session") };
    let (_, token) = hold(&engine, of_session).await.unwrap();
    let file = dir.join("backup");
    backup(&engine, &file).await;
    engine.stop().await;
    (file, session, token)
}
