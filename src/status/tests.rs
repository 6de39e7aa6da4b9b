//! Tests of the status page.

use super::page::trouble_page;
use super::view::{PageQuery, View, Whole};
use crate::domain::view::{Counts, HoldView, LockView, SessionView};
use crate::domain::{Dialect, HoldKey, SHARED, SessionId, Terms, Timestamp, Token};
use crate::engine::{ClusterView, LockPage, MemberRole, MemberView, NodeState, SessionPage};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp(61_000);

fn page(view: &View) -> String {
    super::page(view, &Dialect::as_str)
}

fn view() -> View {
    View {
        query: PageQuery { origin: "https://127.0.0.1:8443".into(), ..PageQuery::default() },
        ready: true,
        uptime: Duration::from_secs(185),
        cluster: cluster(&[1]),
        whole: Some(whole(Counts::default(), Vec::new())),
        contended: None,
        others: listing(Vec::new()),
    }
}

fn whole(counts: Counts, sessions: Vec<SessionView>) -> Whole {
    Whole { counts, sessions: SessionPage { sessions, next: None, now: NOW } }
}

fn listing(locks: Vec<LockView>) -> LockPage {
    LockPage { locks, next: None, now: NOW }
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

fn hold() -> HoldView {
    HoldView {
        key: HoldKey([7; 16]),
        token: Token(77_001),
        dialect: Dialect::Kufuli,
        session: Some(SessionId([1; 16])),
        label: None,
        since: Timestamp(0),
        deadline: Some(Timestamp(120_000)),
        ends: Some(Timestamp(120_000)),
        metadata: [("host", "web-1")].into_iter().collect(),
        terms: None,
    }
}

fn lock(name: &str, waiters: u32) -> LockView {
    LockView { name: name.into(), size: 1, waiters, holds: vec![hold()], delayed_until: None, queue: None }
}

#[test]
fn empty_page_shows_an_example_with_a_credential_if_one_is_needed() {
    let mut view = view();
    let shown = page(&view);
    assert!(shown.contains("Nothing is locked"));
    assert!(shown.contains("curl -k -c jar -X POST https://127.0.0.1:8443/session"), "{shown}");
    assert!(!shown.contains("-u :PASSWORD"));
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
    lock.holds[0].metadata = [(hostile, hostile)].into_iter().collect();
    view.contended = Some(listing(vec![lock]));
    view.others.next = Some(hostile.into());
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
    let whole = Some(whole(Counts { locks: 2, waiters: 3, ..Counts::default() }, Vec::new()));
    let (contended, others) = (Some(listing(vec![lock("zebra", 3)])), listing(vec![lock("apple", 0)]));
    let shown = page(&View { whole, contended, others, ..view() });
    assert!(shown.find("zebra").unwrap() < shown.find("apple").unwrap());
    assert!(shown.contains("<span class=\"queue\">3</span>"));
    assert!(shown.contains("<title>2 locks, 3 waiting · latchd</title>"));
    assert!(shown.contains("1 min 1 s"));
}

#[test]
fn semaphore_shows_the_number_of_unlisted_holds() {
    let others = listing(vec![LockView { size: 1_000, holds: vec![hold(); 48], ..lock("pool", 0) }]);
    let shown = page(&View { others, ..view() });
    assert!(shown.contains("48 of 1\u{202f}000 held"));
    assert!(shown.contains("and 40 more holds"));
    assert_eq!(shown.matches("web-1").count(), 8);
}

#[test]
fn hold_without_a_lease_shows_what_ends_it() {
    let with_session = HoldView { deadline: None, ..hold() };
    let without = HoldView { session: None, deadline: None, ends: None, ..hold() };
    let others = listing(vec![LockView { size: 2, holds: vec![with_session, without], ..lock("migration", 0) }]);
    let shown = page(&View { others, ..view() });
    assert_eq!(shown.matches("with its session").count(), 1);
    assert!(shown.contains("59 s") && shown.contains("when released"), "{shown}");
}

#[test]
fn sessions_are_shown_by_their_handles() {
    let session = SessionId([1; 16]);
    let row = SessionView { session, idle_timeout_ms: 600_000, deadline: None, holds: 2, waiters: 0 };
    let whole = Some(whole(Counts { sessions: 1, ..Counts::default() }, vec![row]));
    let shown = page(&View { whole, ..view() });
    assert!(shown.contains(&session.handle()));
    assert!(shown.contains("in a request"));
    assert!(shown.contains("10 min 0 s"));
}

#[test]
fn title_shows_that_the_server_is_not_ready() {
    assert!(page(&View { ready: false, ..view() }).contains("<title>not ready · latchd</title>"));
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

#[test]
fn shared_lock_shows_its_mode_and_terms() {
    let leader = Terms { value: Some("<b>node-1</b>".into()), ..Terms::default() };
    let whole = Terms { weight: 3, names: vec![("a".into(), 1), ("b".into(), 1)], ..Terms::default() };
    let with = |terms: Terms| HoldView { terms: Some(Arc::new(terms)), ..hold() };
    let shared = LockView { size: SHARED, holds: vec![with(leader), with(whole)], ..lock("report", 0) };
    let delayed = LockView { holds: Vec::new(), delayed_until: Some(Timestamp(NOW.0 + 4_000)), ..lock("wal", 0) };
    let page = page(&View { others: listing(vec![shared, delayed]), ..view() });
    for text in [
        "2 share it",
        "leads as <bdi>&lt;b&gt;node-1&lt;/b&gt;</bdi>",
        "weight 3",
        "one of 2 names",
        "delayed for 4.0 s",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
}
