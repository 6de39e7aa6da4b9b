//! Tests of the status page.

use super::page::{page, trouble_page};
use super::view::{Hold, Lock, PageQuery, Session, View, Whole};
use crate::domain::Token;
use crate::domain::view::Counts;
use crate::engine::{ClusterView, MemberRole, MemberView, NodeState};
use std::time::Duration;

fn view() -> View {
    View {
        query: PageQuery { origin: "https://127.0.0.1:8443".into(), ..PageQuery::default() },
        version: "0.1.0",
        ready: true,
        uptime: Duration::from_secs(185),
        cluster: cluster(&[1]),
        whole: Some(Whole { counts: Counts::default(), sessions: Vec::new() }),
        contended: Vec::new(),
        more_contended: false,
        others: Vec::new(),
        next: None,
    }
}

fn cluster(nodes: &[u64]) -> ClusterView {
    let member = |node: &u64| MemberView {
        node: *node,
        address: format!("https://10.0.0.{node}:9443"),
        role: if *node == 1 { MemberRole::Leader } else { MemberRole::Follower },
        up: true,
        lag_entries: Some(0),
    };
    ClusterView {
        state: NodeState::Member,
        node: 2,
        leader: Some(1),
        term: 7,
        has_quorum: true,
        level: 2,
        applied_index: 12,
        members: nodes.iter().map(member).collect(),
    }
}

fn hold() -> Hold {
    Hold {
        token: Token(77_001),
        dialect: "sessions v1",
        session: Some("a1b2c3d4e5f6".into()),
        label: None,
        metadata: vec![("host".into(), "web-1".into())],
        held_for: Duration::from_secs(61),
        remaining: Some(Duration::from_secs(59)),
        with_session: false,
    }
}

fn lock(name: &str, waiters: u32) -> Lock {
    Lock { name: name.into(), size: 1, waiters, holds: vec![hold()], holds_not_shown: 0 }
}

#[test]
fn empty_page_shows_an_example() {
    let shown = page(&view());
    assert!(shown.contains("Nothing is locked"));
    assert!(shown.contains("curl -k -c jar -X POST https://127.0.0.1:8443/session"), "{shown}");
    assert!(!shown.contains("-u :PASSWORD"));
}

#[test]
fn example_has_a_credential_if_one_is_needed() {
    let mut view = view();
    view.query.needs_credential = true;
    assert!(page(&view).contains("curl -k -u :PASSWORD -c jar"));
}

#[test]
fn search_without_a_match_links_to_all_locks() {
    let mut view = view();
    view.query.prefix = "<b>\"x".into();
    let shown = page(&view);
    assert!(shown.contains("No lock that you may see starts with <span class=\"name\">&lt;b&gt;&quot;x</span>"));
    assert!(shown.contains("value=\"&lt;b&gt;&quot;x\""));
}

#[test]
fn names_labels_and_metadata_cannot_become_markup() {
    let hostile = "<script>alert(1)</script>";
    let mut view = view();
    let mut lock = lock(hostile, 1);
    lock.holds[0].label = Some(hostile.into());
    lock.holds[0].metadata = vec![(hostile.into(), hostile.into())];
    view.contended = vec![lock];
    view.next = Some(hostile.into());
    let shown = page(&view);
    assert!(!shown.contains("<script>alert"), "{shown}");
    assert_eq!(shown.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 4);
    assert!(shown.contains("after=%3Cscript%3E"));
}

#[test]
fn page_has_no_inline_code_and_no_foreign_links() {
    let shown = page(&view());
    assert!(!shown.contains(" style="));
    assert!(!shown.contains(" onclick"));
    let own_links = shown.matches("href=\"/").count() + shown.matches("src=\"/").count();
    assert_eq!(shown.matches("href=").count() + shown.matches("src=").count(), own_links);
}

#[test]
fn contended_locks_come_first() {
    let mut view = view();
    view.whole = Some(Whole {
        counts: Counts { locks: 2, holds: 2, waiters: 3, sessions: 1, remembered_sizes: 0, idempotency_keys: 0 },
        sessions: vec![],
    });
    view.contended = vec![lock("zebra", 3)];
    view.others = vec![lock("apple", 0)];
    let shown = page(&view);
    assert!(shown.find("zebra").unwrap() < shown.find("apple").unwrap());
    assert!(shown.contains("<span class=\"queue\">3</span>"));
    assert!(shown.contains("<title>2 locks, 3 waiting · latchd</title>"));
    assert!(shown.contains("1 min 1 s"));
}

#[test]
fn semaphore_shows_the_number_of_unlisted_holds() {
    let mut view = view();
    view.others = vec![Lock { size: 1_000, holds_not_shown: 40, holds: vec![hold(), hold()], ..lock("pool", 0) }];
    let shown = page(&view);
    assert!(shown.contains("42 of 1\u{202f}000 held"));
    assert!(shown.contains("and 40 more holds"));
}

#[test]
fn hold_without_a_lease_shows_what_ends_it() {
    let mut view = view();
    let (with_session, mut without) = (hold(), hold());
    without.session = None;
    view.others = vec![Lock {
        size: 2,
        holds: vec![Hold { with_session: true, ..with_session }, Hold { remaining: None, ..without }],
        ..lock("migration", 0)
    }];
    let shown = page(&view);
    assert!(shown.contains("with its session"));
    assert!(shown.contains("when released"));
}

#[test]
fn sessions_are_shown_by_their_handles() {
    let mut view = view();
    let session = Session {
        handle: "a1b2c3d4e5f6".into(),
        holds: 2,
        waiters: 0,
        idle_timeout: Duration::from_secs(600),
        ends_in: None,
    };
    view.whole = Some(Whole { counts: Counts { sessions: 1, ..Counts::default() }, sessions: vec![session] });
    let shown = page(&view);
    assert!(shown.contains("a1b2c3d4e5f6"));
    assert!(shown.contains("in a request"));
    assert!(shown.contains("10 min 0 s"));
}

#[test]
fn title_shows_that_the_server_is_not_ready() {
    let mut view = view();
    view.ready = false;
    assert!(page(&view).contains("<title>not ready · latchd</title>"));
}

#[test]
fn members_are_shown_only_in_a_cluster() {
    let mut view = view();
    assert!(!page(&view).contains("Cluster"));
    view.cluster = cluster(&[1, 2, 3]);
    view.cluster.members[2] =
        MemberView { node: 3, address: "<b>".into(), role: MemberRole::Learner, up: false, lag_entries: Some(12_345) };
    let shown = page(&view);
    assert!(shown.contains("led by node 1 in term 7"));
    assert!(shown.contains("<span class=\"name\">2</span> <span class=\"quiet\">this one</span>"));
    assert!(shown.contains("https://10.0.0.2:9443") && shown.contains("&lt;b&gt;"));
    assert!(shown.contains("learner, without a vote"));
    assert!(shown.contains("<span class=\"down\">down</span>") && shown.contains("12\u{202f}345"));
    assert!(!shown.contains("No quorum"));
}

#[test]
fn page_without_a_quorum_shows_the_cluster_instead() {
    let mut cluster = cluster(&[1, 2, 3]);
    (cluster.leader, cluster.has_quorum) = (None, false);
    let shown = trouble_page("no quorum", Some(&cluster));
    assert!(shown.contains("without a leader") && shown.contains("No quorum"), "{shown}");
    assert!(!trouble_page("a credential is needed", None).contains("10.0.0."));
}
