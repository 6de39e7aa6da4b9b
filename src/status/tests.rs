//! Tests of what the pages of the console show.

use super::asked::Asked;
use super::elections::ElectionsView;
use super::events::EventsView;
use super::frame::Context;
use super::freezes::FreezesView;
use super::lock::OneLock;
use super::locks::{LocksQuery, LocksView};
use super::sessions::SessionsView;
use super::trouble::Trouble;
use super::{acts, elections, events, freezes, lock, locks, members, rights, sessions, trouble};
use crate::access::{Identity, RateUse, Role, Subject};
use crate::domain::view::{
    Blocking, Counts, HoldView, LockView, OwnerView, QuotaUse, SessionView, ShareView, WaiterView,
};
use crate::domain::{
    Counted, Covers, Dialect, EndReason, Freeze, FreezeHolds, FrozenBy, HoldKey, Pool, QuotaOf, SHARED, SessionId,
    ShareOf, Terms, Timestamp, Token,
};
use crate::engine::events::{EventId, LockEvent, PublishedEvent};
use crate::engine::{ClusterView, LockPage, MemberRole, MemberView, NodeState, RankedPage, SessionPage};
use std::sync::Arc;
use std::time::Duration;

const NOW: Timestamp = Timestamp(61_000);
const HOSTILE: &str = "<script>alert(1)</script>";
const ESCAPED: &str = "&lt;script&gt;alert(1)&lt;/script&gt;";

/// What this viewer sees of a server that needs a credential.
fn seen_by(viewer: &Identity, page: impl FnOnce(&Context<'_>) -> String) -> String {
    let origin = "https://127.0.0.1:8443".to_owned();
    page(&Context {
        viewer: Some(viewer),
        titles: &Dialect::as_str,
        moment_after: |ms| format!("moment {ms}"),
        origin,
        needs_credential: true,
        is_logged_in: true,
        refresh_query: None,
        form_token: "a-token".to_owned(),
        note: None,
    })
}

fn seen(page: impl FnOnce(&Context<'_>) -> String) -> String {
    seen_by(&Identity::new("ops", Role::Admin, &[]), page)
}

fn shown(view: &LocksView) -> String {
    seen(|context| locks::page(view, context))
}

/// The page of locks as a query asks for it, with these locks.
fn view(query: &str, listed: Vec<LockView>) -> LocksView {
    LocksView {
        query: LocksQuery::of(Asked::of(Some(query))),
        ready: true,
        uptime: Duration::from_secs(185),
        counts: Some(Counts::default()),
        contended: None,
        locks: LockPage { locks: listed, next: None, now: NOW },
        next: None,
        matching: None,
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

fn hold() -> HoldView {
    HoldView {
        key: HoldKey([7; 16]),
        token: Token(77_001),
        dialect: Dialect::Kufuli,
        session: Some(SessionId([1; 16])),
        label: None,
        credential: 0,
        since: Timestamp(0),
        deadline: Some(Timestamp(120_000)),
        ends: Some(Timestamp(120_000)),
        metadata: [("host", "web-1")].into_iter().collect(),
        terms: None,
    }
}

fn lock(name: &str, waiters: u32) -> LockView {
    LockView {
        name: name.into(),
        size: 1,
        waiters,
        holds: vec![hold()],
        delayed_until: None,
        frozen: None,
        queue: None,
    }
}

fn waiter(label: Option<&str>) -> WaiterView {
    WaiterView {
        key: HoldKey([8; 16]),
        label: label.map(Into::into),
        session: None,
        dialect: Dialect::RaftLockGrpc,
        since: Timestamp(1_000),
        deadline: Timestamp(91_000),
        priority: 0,
        position: 0,
        metadata: [(HOSTILE, HOSTILE)].into_iter().collect(),
        size: 1,
        terms: None,
        upgrades: false,
        orphaned: false,
    }
}

#[test]
fn empty_page_shows_an_example_with_a_credential_if_one_is_needed() {
    let page = shown(&view("", Vec::new()));
    assert!(page.contains("Nothing is locked"));
    assert!(page.contains("curl -k -u :PASSWORD -c jar -X POST https://127.0.0.1:8443/session"), "{page}");
}

#[test]
fn search_without_a_match_links_to_all_locks() {
    let page = shown(&view("prefix=%3Cb%3E%22x&has=%22%3E&sort=age", Vec::new()));
    assert!(page.contains("No lock that you may see starts with <bdi class=\"name\">&lt;b&gt;&quot;x</bdi>"));
    assert!(page.contains("value=\"&lt;b&gt;&quot;x\"") && page.contains("value=\"&quot;&gt;\""));
    assert!(page.contains("<option value=\"age\" selected>"));
}

#[test]
fn names_labels_and_metadata_cannot_become_markup() {
    let mut lock = lock(HOSTILE, 1);
    lock.holds[0].label = Some(HOSTILE.into());
    lock.holds[0].metadata = [(HOSTILE, HOSTILE)].into_iter().collect();
    let mut view = view("", vec![lock.clone()]);
    view.next = Some(view.query.next(&HOSTILE.into(), None));
    let page = shown(&view);
    assert!(!page.contains("<script>alert"), "{page}");
    assert_eq!(page.matches(ESCAPED).count(), 4);
    assert!(page.contains("after=%3Cscript%3E"));

    lock.queue = Some(vec![waiter(Some(HOSTILE))]);
    let owner = OwnerView { session: None, label: Some(HOSTILE.into()), dialect: Dialect::RaftLockGrpc };
    let (name, since) = (HOSTILE.into(), Timestamp(0));
    let blocking = vec![Blocking { name, waiter: owner.clone(), since, by: owner, token: Token(5) }];
    let one =
        OneLock { name: HOSTILE.into(), lock: Some(lock), frozen: None, blocking, past: Some(Vec::new()), now: NOW };
    let page = seen(|context| lock::page(&one, context));
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("under token 5") && page.matches(ESCAPED).count() >= 10, "{page}");
}

#[test]
fn events_and_elections_cannot_become_markup() {
    let terms = Terms { value: Some(HOSTILE.into()), ..Terms::default() };
    let hold = HoldView { terms: Some(Arc::new(terms)), ..hold() };
    let page = LockPage { locks: vec![LockView { holds: vec![hold], ..lock(HOSTILE, 2) }], next: None, now: NOW };
    let view = ElectionsView { prefix: HOSTILE.to_owned(), is_first: true, page };
    let page = seen(|context| elections::page(&view, context));
    assert!(!page.contains("<script>alert") && page.contains(ESCAPED), "{page}");

    let (token, session, dialect) = (Token(9), Some(SessionId([1; 16])), Dialect::Kufuli);
    let value = HOSTILE.into();
    let changed = LockEvent::ValueChanged { name: HOSTILE.into(), token, value, session, dialect };
    let (name, why) = (HOSTILE.into(), EndReason::Forced);
    let forced = LockEvent::HoldEnded { name, token, why, session, dialect, is_election: false };
    let published = |event| PublishedEvent { id: EventId { index: 7, position: 1, table_id: 3 }, event };
    let events = [changed, forced].map(published).into();
    let view = EventsView { prefix: HOSTILE.into(), kind: HOSTILE.into(), is_first: true, events, next: None };
    let page = seen(|context| events::page(&view, context));
    assert!(!page.contains("<script>alert") && page.contains("<span class=\"mark bad\">forced</span>"), "{page}");
    assert!(page.contains("data-stream=\"/ui/stream?prefix=%3Cscript%3E"), "{page}");
}

#[test]
fn reasons_of_freezes_and_claims_of_tokens_cannot_become_markup() {
    let freeze = |holds| Freeze {
        covers: Covers::Prefix,
        holds,
        reason: HOSTILE.into(),
        by: HOSTILE.into(),
        since: Timestamp(0),
        until: Timestamp(NOW.0 + 5_000),
    };
    let frozen = [FreezeHolds::Drain, FreezeHolds::Break].map(|holds| (HOSTILE.into(), freeze(holds)));
    let view = FreezesView {
        freezes: frozen.into(),
        now: NOW,
        name: HOSTILE.to_owned(),
        is_first: true,
        has_more: true,
        is_sweeping: true,
        longest_ms: 10_000,
    };
    let page = seen(|context| freezes::page(&view, context));
    assert!(!page.contains("<script>alert") && page.matches(ESCAPED).count() == 7, "{page}");
    assert!(page.contains("moment 5000") && page.contains("<option value=\"10\">10 s"), "{page}");
    assert!(page.contains("is being ended"), "{page}");
    let ending = seen(|context| freezes::on_thaw(&HOSTILE.into(), &freeze(FreezeHolds::Drain), NOW, context).finish());
    assert!(!ending.contains("<script>alert") && ending.matches(ESCAPED).count() == 3, "{ending}");

    // As a rule for identity tokens makes it from claims.
    let viewer = Identity::new(HOSTILE, Role::Admin, &[HOSTILE.to_owned()]);
    let (quota, subject) = (HOSTILE.into(), Subject::Prefix(HOSTILE.to_owned()));
    let rate = RateUse { subject, quota, requests_per_second: 1_000, burst: 2, passed: 3, refused: 4 };
    let of = QuotaOf::Prefix(HOSTILE.into());
    let used = QuotaUse { of, counted: Counted::Waiters, used: 5, limit: 2_000 };
    let page = seen_by(&viewer, |context| rights::page(&viewer, (&[], &[used]), &[rate], context));
    assert!(!page.contains("<script>alert") && page.matches(ESCAPED).count() == 6, "{page}");
    assert!(page.contains("1\u{202f}000") && page.contains("2\u{202f}000"), "{page}");
}

#[test]
fn page_has_no_inline_code_and_no_foreign_links() {
    let page = shown(&view("", vec![lock("a", 0)]));
    assert!(!page.contains(" style=") && !page.contains(" onclick"));
    let own_links = page.matches("href=\"/").count() + page.matches("src=\"/").count() + 1;
    assert!(page.contains("href=\"#content\""));
    assert_eq!(page.matches("href=").count() + page.matches("src=").count(), own_links);
}

#[test]
fn each_page_has_one_heading_landmarks_and_a_way_back() {
    let one = OneLock {
        name: "a/b".into(),
        lock: None,
        frozen: None,
        blocking: Vec::new(),
        past: Some(Vec::new()),
        now: NOW,
    };
    for page in [
        shown(&view("", Vec::new())),
        seen(|context| lock::page(&one, context)),
        seen(|context| members::page(&cluster(&[1]), context)),
        seen(|context| rights::page(&Identity::anonymous(Role::Client), (&[], &[]), &[], context)),
    ] {
        assert_eq!(page.matches("<h1>").count(), 1, "{page}");
        for part in ["<main id=\"content\"", "aria-label=\"Pages\"", "aria-label=\"Breadcrumb\"", "href=\"/\""] {
            assert!(page.contains(part), "{part} in {page}");
        }
    }
    let page = seen(|context| lock::page(&one, context));
    assert!(page.contains("<li><a href=\"/\">Locks</a></li>") && page.contains("Nobody holds this lock"), "{page}");
}

#[test]
fn contended_locks_come_first() {
    let contended = RankedPage { locks: vec![lock("zebra", 3)], next: None, matching: 1, now: NOW };
    let counts = Some(Counts { locks: 2, waiters: 3, ..Counts::default() });
    let page = shown(&LocksView { counts, contended: Some(contended), ..view("", vec![lock("apple", 0)]) });
    assert!(page.find("zebra").unwrap() < page.find("apple").unwrap());
    assert!(page.contains("<span class=\"queue\">3</span>"));
    assert!(page.contains("<title>2 locks, 3 waiting · latchd</title>"));
    assert!(page.contains("1 min 1 s"));
}

#[test]
fn row_of_a_frozen_lock_tells_reason_and_end() {
    let by = FrozenBy {
        target: "".into(),
        covers: Covers::Prefix,
        reason: HOSTILE.into(),
        remaining_ms: 9_000,
        waited: false,
    };
    let frozen = LockView { frozen: Some(Box::new(by)), ..lock("a", 2) };
    let forced = seen(|context| acts::on_force(&frozen, &hold(), context).finish());
    assert!(forced.contains("None of those who wait gets it while it is frozen, for another 9.0 s"), "{forced}");
    let page = shown(&view("", vec![frozen, lock("b", 0)]));
    assert_eq!(page.matches("frozen</span> until moment 9000: <bdi>").count(), 1, "{page}");
    assert!(page.contains(ESCAPED) && !page.contains(HOSTILE), "{page}");
}

#[test]
fn semaphore_shows_the_number_of_unlisted_holds() {
    let pool = LockView { size: 1_000, holds: vec![hold(); 48], ..lock("pool", 0) };
    let page = shown(&view("", vec![pool]));
    assert!(page.contains("48 of 1\u{202f}000 held"));
    assert!(page.contains("and 44 more holds"));
    assert_eq!(page.matches("web-1").count(), 4);
}

#[test]
fn hold_without_a_lease_shows_what_ends_it() {
    let with_session = HoldView { deadline: None, ..hold() };
    let without = HoldView { session: None, deadline: None, ends: None, ..hold() };
    let page = shown(&view("", vec![LockView { holds: vec![with_session, without], ..lock("migration", 0) }]));
    assert_eq!(page.matches("with its session").count(), 1);
    assert!(page.contains("59 s") && page.contains("when released"), "{page}");
}

#[test]
fn hold_is_given_back_by_the_credential_that_took_it_and_not_by_its_namesake() {
    let viewer = Identity::new("ops", Role::Client, &[]);
    let metadata = [(acts::BY_HAND, "ops")].into_iter().collect();
    let taken = HoldView { credential: viewer.credential, metadata, ..hold() };
    assert!(acts::is_taken_by(&taken, &viewer));
    for other in [HoldView { credential: 7, ..taken.clone() }, HoldView { metadata: hold().metadata, ..taken }] {
        assert!(!acts::is_taken_by(&other, &viewer), "{other:?}");
    }
}

#[test]
fn sessions_are_shown_by_handles_that_lead_to_them() {
    let session = SessionId([1; 16]);
    let row = SessionView { session, idle_timeout_ms: 600_000, deadline: None, holds: 2, waiters: 0 };
    let sessions = SessionPage { sessions: vec![row], next: Some(session), now: NOW };
    let page = seen(|context| sessions::page(&SessionsView { sessions, total: 2, is_first: true }, context));
    assert!(page.contains(&format!("href=\"/ui/session?handle={}\"", session.handle())), "{page}");
    assert!(page.contains("in a request") && page.contains("10 min 0 s"));
    assert!(page.contains("Next page") && !page.contains(&session.to_string()), "{page}");
}

#[test]
fn limited_viewer_gets_no_way_to_sessions() {
    let viewer = Identity::new("ci", Role::Client, &["build/".to_owned()]);
    let page = seen_by(&viewer, |context| locks::page(&view("", vec![lock("build/1", 0)]), context));
    assert!(!page.contains("/ui/session?") && page.contains(&SessionId([1; 16]).handle()), "{page}");
    let quota = ShareView { pool: Pool::Holds, whose: ShareOf::Credential, used: 12, limit: Some(5_000) };
    let page = seen_by(&viewer, |context| rights::page(&viewer, (&[quota], &[]), &[], context));
    for part in ["<strong>client</strong>", "build/", "5\u{202f}000", "locks.holds_max"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn title_shows_that_the_server_is_not_ready() {
    assert!(shown(&LocksView { ready: false, ..view("", Vec::new()) }).contains("<title>Not ready · latchd</title>"));
}

#[test]
fn members_are_shown_with_their_lag() {
    let mut cluster = cluster(&[1, 2, 3]);
    cluster.members[2] =
        MemberView { node: 3, address: "<b>".into(), role: MemberRole::Learner, up: false, lag_entries: Some(12_345) };
    let page = seen(|context| members::page(&cluster, context));
    assert!(page.contains("node 1, in term 7"));
    assert!(page.contains("<span class=\"name\">2</span> <span class=\"quiet\">this one</span>"));
    assert!(page.contains("https://10.0.0.2:9443") && page.contains("&lt;b&gt;"));
    assert!(page.contains("learner, without a vote"));
    assert!(page.contains("<span class=\"mark bad\">down</span>") && page.contains("12\u{202f}345"));
    assert!(!page.contains("No quorum"));
}

#[test]
fn page_without_a_quorum_shows_the_cluster_instead() {
    let mut cluster = cluster(&[1, 2, 3]);
    (cluster.leader, cluster.has_quorum) = (None, false);
    let page = |cluster| {
        let trouble = Trouble { title: "Trouble", why: "no <quorum>", may_pass: true, cluster };
        seen(|context| trouble::page(&trouble, context))
    };
    let shown = page(Some(&cluster));
    assert!(shown.contains("without a leader") && shown.contains("No quorum"), "{shown}");
    assert!(shown.contains("no &lt;quorum&gt;") && !page(None).contains("10.0.0."));
}

#[test]
fn shared_lock_shows_its_mode_and_terms() {
    let leader = Terms { value: Some("<b>node-1</b>".into()), ..Terms::default() };
    let whole = Terms { weight: 3, names: vec![("a".into(), 1), ("b".into(), 1)], ..Terms::default() };
    let with = |terms: Terms| HoldView { terms: Some(Arc::new(terms)), ..hold() };
    let shared = LockView { size: SHARED, holds: vec![with(leader), with(whole)], ..lock("report", 0) };
    let delayed = LockView { holds: Vec::new(), delayed_until: Some(Timestamp(NOW.0 + 4_000)), ..lock("wal", 0) };
    let page = shown(&view("", vec![shared, delayed]));
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
