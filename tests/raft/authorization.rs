//! The port between nodes accepts messages of members only, each for itself, and no implausible terms.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use latchd::base::config_value::LogFormat;
use latchd::telemetry::logs::{self, Logging};

use super::impostor::{APPEND, Impostor, SNAPSHOT_BEGIN, TAKE_OVER, VOTE, append_request, log_id, vote, vote_request};
use super::network::{MemoryNetwork, Node, SOON, address, leader, memory, others, stop, three};

const SIGABRT: i32 = 6;
/// How far a term may be beyond the last known one.
const TERMS_AHEAD_MAX: u64 = 1 << 32;

fn term(node: &Node) -> u64 {
    node.raft.leadership().borrow().term
}

/// Checks that the cluster still has the same leader in the same term, and commits.
async fn goes_on(nodes: &[Node], lead: &Node, in_term: u64) {
    let index = lead.propose("goes on").await;
    for node in nodes {
        node.applies(index).await;
        assert_eq!((node.follows(&[lead.id]).await, term(node)), (lead.id, in_term), "node {}", node.id);
    }
}

#[tokio::test]
async fn messages_of_non_member_are_refused() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let before = term(&lead);
    let transport = network.transport(9);
    for node in &nodes {
        let mut stranger = Impostor::knock(&transport, &address(node.id), 9, node.id).await.expect("a hello");
        let snapshot = vote(before + 1, 9, true);
        for (kind, body) in [
            (VOTE, vote_request(before + 1, 9)),
            (APPEND, append_request(before + 1, 9, None)),
            (SNAPSHOT_BEGIN, snapshot),
            (TAKE_OVER, vote(before, lead.id, true)),
        ] {
            let reason = stranger.is_refused(kind, &body).await;
            assert!(reason.contains("node 9 is not a member"), "{reason}");
        }
    }
    goes_on(&nodes, &lead, before).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn member_cannot_speak_for_other_nodes() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let (before, rest) = (term(&lead), others(&nodes, &lead));
    let (own, to) = (rest[0].id, &rest[1]);
    let transport = network.transport(9);
    let mut member = Impostor::knock(&transport, &address(to.id), own, to.id).await.expect("a hello");
    for node in [to.id, lead.id, 9] {
        let later = before + 1;
        let begin = [vote(later, node, true), vec![0xA5, 0, 0, 0xA4], vec![0; 8]].concat();
        for (kind, body) in
            [(VOTE, vote_request(later, node)), (APPEND, append_request(later, node, None)), (SNAPSHOT_BEGIN, begin)]
        {
            let reason = member.is_refused(kind, &body).await;
            assert!(reason.contains("may not speak for node"), "{reason}");
        }
    }
    // A candidate has no entries to send, and a leader asks for no vote.
    member.is_refused(APPEND, &[vote(before + 1, own, false), vec![0, 0], vec![0; 4]].concat()).await;
    member.is_refused(VOTE, &[vote(before + 1, own, true), vec![0]].concat()).await;
    goes_on(&nodes, &lead, before).await;
    stop(&nodes).await;
}

#[tokio::test]
async fn implausible_term_is_refused() {
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let (before, own) = (term(&lead), others(&nodes, &lead)[0].id);
    let transport = network.transport(9);
    for node in nodes.iter().filter(|node| node.id != own) {
        let mut member = Impostor::knock(&transport, &address(node.id), own, node.id).await.expect("a hello");
        for absurd in [u64::MAX, u64::MAX - 1, 1 << 63, before + TERMS_AHEAD_MAX + 1] {
            for (kind, body) in [(VOTE, vote_request(absurd, own)), (APPEND, append_request(absurd, own, None))] {
                let reason = member.is_refused(kind, &body).await;
                assert!(reason.contains("too far beyond"), "{reason}");
            }
        }
    }
    goes_on(&nodes, &lead, before).await;
    stop(&nodes).await;
}

/// Only the new leader tells the node of the change, and the node does not know it as a member.
#[tokio::test]
async fn returning_node_accepts_new_leader_vouched_for_by_member() {
    let network = MemoryNetwork::default();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = |id| super::network::disk(id, dir.path());
    let nodes = three(&network, disk).await;
    let lead = leader(&nodes).await;
    let away = others(&nodes, &lead).remove(0);
    away.raft.shutdown().await;
    let fourth = Node::start(&network, disk(4), &[1, 2, 3, 4]).await.expect("a node");
    tokio::time::timeout(SOON, lead.raft.add_learner(4, address(4))).await.expect("in time").expect("added");
    lead.raft.promote(4).await.expect("promoted");
    let leaves = others(&nodes, &lead).remove(1);
    tokio::time::timeout(SOON, lead.raft.remove(leaves.id)).await.expect("in time").expect("removed");
    leaves.raft.shutdown().await;
    tokio::time::timeout(SOON, lead.raft.transfer_leadership()).await.expect("in time").expect("handed over");
    assert_eq!(leader(&[lead.clone(), fourth.clone()]).await.id, 4);
    let back = Node::start(&network, disk(away.id), &[1, 2, 3]).await.expect("restarted");
    let index = fourth.propose("from the new one").await;
    back.applies(index).await;
    assert_eq!(back.raft.members().len(), 3);
    stop(&[lead, fourth, back]).await;
}

const CHILD: &str = "LATCHD_TEST_BROKEN_NODE";

fn is_child() -> bool {
    let is_child = std::env::var_os(CHILD).is_some();
    if is_child {
        let logging = Logging { level: tracing::Level::ERROR, format: LogFormat::Text, file: None, colours: false };
        logs::start(logging).expect("a log");
    }
    is_child
}

/// Runs `test` of this file in a process of its own, where `CHILD` is set; returns what it wrote when it was aborted.
fn aborts(test: &str, mutant: Option<&str>) -> String {
    let mut child = Command::new(std::env::current_exe().expect("the test binary"));
    child.args(["--exact", &format!("raft::authorization::{test}"), "--nocapture", "--test-threads", "1"]);
    child.env(CHILD, "1").env("RUST_BACKTRACE", "0").envs(mutant.map(|mutant| ("MUTANT", mutant)));
    let child = child.output().expect("it runs");
    let stderr = String::from_utf8_lossy(&child.stderr).into_owned();
    assert_eq!(child.status.signal(), Some(SIGABRT), "{stderr}");
    stderr
}

/// The child process of the next test: a follower hears a later leader with another entry than it has applied.
#[tokio::test]
async fn child_hears_leader_with_conflicting_entries() {
    if !is_child() {
        return;
    }
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let index = lead.propose("applied").await;
    let rest = others(&nodes, &lead);
    rest[1].applies(index).await;
    let (from, later) = (rest[0].id, term(&lead) + 1);
    let transport = network.transport(9);
    let mut other = Impostor::knock(&transport, &address(rest[1].id), from, rest[1].id).await.expect("a hello");
    // An older leader may have other entries, and does not know yet that it leads no more.
    let stale = append_request(term(&lead) - 1, from, Some(log_id(0, from, index)));
    drop(other.ask(APPEND, &stale).await.expect("an answer"));
    println!("the older one is no harm");
    drop(other.ask(APPEND, &append_request(later, from, Some(log_id(later, from, index)))).await);
    panic!("it goes on");
}

#[test]
fn conflicting_entry_at_applied_index_aborts_node() {
    let stderr = aborts("child_hears_leader_with_conflicting_entries", None);
    assert!(stderr.contains("a broken invariant"), "{stderr}");
    assert!(stderr.contains("latchd members remove") && stderr.contains("latchd members add"), "{stderr}");
}

/// The child process of the next test: it is sent the last possible term, after which there can be no election.
#[tokio::test]
async fn child_panics_openraft() {
    if !is_child() {
        return;
    }
    let network = MemoryNetwork::default();
    let nodes = three(&network, memory).await;
    let lead = leader(&nodes).await;
    let own = others(&nodes, &lead)[0].id;
    let transport = network.transport(9);
    for node in nodes.iter().filter(|node| node.id != own) {
        let mut member = Impostor::knock(&transport, &address(node.id), own, node.id).await.expect("a hello");
        drop(member.ask(APPEND, &append_request(u64::MAX, own, None)).await);
    }
    std::future::pending().await
}

#[test]
#[cfg_attr(not(feature = "mutants"), ignore = "needs --features mutants, as in `make test`")]
fn process_ends_when_openraft_stops() {
    let stderr = aborts("child_panics_openraft", Some("implausible-term-accepted"));
    assert!(stderr.contains("the consensus engine has failed"), "{stderr}");
}
