//! A cluster of one node: its view, its membership and its backup.

use super::service::{ask, ask_waiting, hold, start};
use arcstr::ArcStr;
use latchd::domain::Caller;
use latchd::domain::Table;
use latchd::engine::backup_reader;
use latchd::engine::{Backup, Engine, Fault, MemberError, MemberRole};

async fn whole(mut backup: Backup) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = backup.next().await {
        bytes.extend(chunk.expect("a chunk"));
    }
    bytes
}

async fn table(engine: &Engine) -> Table {
    let bytes = whole(engine.backup().await.expect("a backup")).await;
    Table::restore(&mut backup_reader(bytes.as_slice()).expect("a backup")).expect("a table")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_node_leads_and_is_its_only_member() {
    let engine = start(None).await;
    let view = engine.cluster().await;
    assert_eq!((view.node, view.leader, view.has_quorum), (1, Some(1), true));
    assert!(view.term > 0 && view.applied_index > 0, "{view:?}");
    let [only] = view.members.as_slice() else { panic!("{view:?}") };
    assert_eq!((only.node, only.role, only.up, only.lag_entries), (1, MemberRole::Leader, true, Some(0)));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_node_refuses_to_change_its_membership() {
    let engine = start(None).await;
    let added = engine.add_member(2, "https://127.0.0.1:9443".to_owned()).await;
    assert_eq!(added, Err(Fault::Member(MemberError::Alone)));
    assert_eq!(engine.promote_member(1).await, Err(Fault::Member(MemberError::AlreadyVoter(1))));
    assert_eq!(engine.remove_member(1).await, Err(Fault::Member(MemberError::LastVoter(1))));
    assert!(MemberError::Alone.to_string().contains("--peer-listen"));
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_contains_only_what_was_answered_before_it() {
    let engine = start(None).await;
    let session = engine.open_session(None, Caller::NOBODY).await.unwrap();
    for n in 0..3_000 {
        hold(&engine, ask(&format!("backup/{n}"))).await.unwrap();
    }
    let backup = engine.backup().await.expect("a backup");
    hold(&engine, ask("after")).await.unwrap();
    let bytes = whole(backup).await;
    assert!(bytes.len() > 128 << 10, "more than a chunk");
    let table = Table::restore(&mut backup_reader(bytes.as_slice()).unwrap()).unwrap();
    assert_eq!((table.counts().locks, table.counts().sessions), (3_000, 1));
    assert!(table.is_live(session));
    assert!(table.lock_view(&ArcStr::from("after"), table.now()).is_none());
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_backup_lets_the_next_one_begin() {
    let engine = start(None).await;
    for n in 0..6_000 {
        hold(&engine, ask(&format!("a/name/that/is/long/enough/to/fill/the/chunks/ahead/{n}"))).await.unwrap();
    }
    drop(engine.backup().await.expect("a backup"));
    assert_eq!(table(&engine).await.counts().locks, 6_000);
    let waiting = {
        let engine = engine.clone();
        tokio::spawn(async move {
            hold(&engine, ask_waiting("a/name/that/is/long/enough/to/fill/the/chunks/ahead/1")).await
        })
    };
    while table(&engine).await.counts().waiters == 0 {}
    waiting.abort();
    engine.stop().await;
}
