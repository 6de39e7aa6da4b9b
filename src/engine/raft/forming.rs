//! How nodes with empty stores become a cluster, each started with the same list, in any order.
//!
//! A cluster may begin only once: a node that forms another one because it did not see the first would give locks a
//! second time. So nothing is formed before *every* listed node has answered that it is empty too and has the same
//! list; then the one with the lowest id begins, and the others are found by it.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::BasicNode;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Standing;
use super::peers::{DialError, Local, Peers, Refusal};
use super::types::NodeId;

/// Between two rounds of asking.
const AGAIN: Duration = Duration::from_millis(200);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What another listed node has answered.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Empty,
    HasCluster,
    KnowsOtherStore,
    Nothing,
}

/// Runs until this node belongs to a cluster.
pub(super) async fn form(peers: Peers, initial: BTreeMap<NodeId, String>, standing: watch::Sender<Standing>) {
    let local = peers.local.clone();
    let others: Vec<_> = initial.iter().filter(|(node, _)| **node != local.node_id).collect();
    while local.is_empty() {
        let mut asked = JoinSet::new();
        for (node, address) in others.clone() {
            asked.spawn(ask(peers.clone(), *node, address.clone()));
        }
        let found = asked.join_all().await;
        let now = judge(&found);
        let before = standing.send_replace(now);
        if before != now {
            report(&local, now);
        }
        let begins = now == Standing::Forming
            && found.iter().all(|found| *found == Found::Empty)
            && initial.keys().next() == Some(&local.node_id);
        if begins && initialize(&local, &initial).await {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    standing.send_replace(Standing::Member);
    report(&local, Standing::Member);
}

fn judge(found: &[Found]) -> Standing {
    if found.contains(&Found::KnowsOtherStore) {
        Standing::Wiped
    } else if found.contains(&Found::HasCluster) {
        Standing::Waiting
    } else {
        Standing::Forming
    }
}

async fn ask(peers: Peers, node: NodeId, address: String) -> Found {
    let dialler = peers.dialler(node, &address);
    let answer = tokio::time::timeout(ANSWER_WITHIN, dialler.dial()).await.unwrap_or(Err(DialError::Slow));
    match answer {
        Ok((_, hello)) if !hello.empty => Found::HasCluster,
        Ok((_, hello)) if hello.initial == peers.local.initial => Found::Empty,
        Ok((_, hello)) => {
            let (ours, theirs) = (&peers.local.initial, hello.initial);
            tracing::error!(node, ?ours, ?theirs, "nodes that form a cluster need the same list of peers");
            Found::Nothing
        }
        Err(DialError::Refused(Refusal::OtherStore)) => Found::KnowsOtherStore,
        Err(error) => {
            tracing::debug!(node, address, %error, "a listed node has not answered yet");
            Found::Nothing
        }
    }
}

async fn initialize(local: &Local, initial: &BTreeMap<NodeId, String>) -> bool {
    let Some(raft) = local.raft.get() else { return false };
    let member = |(node, address): (&NodeId, &String)| (*node, BasicNode { addr: address.clone() });
    let members: BTreeMap<NodeId, BasicNode> = initial.iter().map(member).collect();
    match raft.initialize(members).await {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "the cluster could not be formed");
            false
        }
    }
}

fn report(local: &Local, now: Standing) {
    let node = local.node_id;
    match now {
        Standing::Forming => tracing::info!(node, "waits until every listed node has answered, to form a cluster"),
        Standing::Waiting => tracing::info!(node, "the others have a cluster: waits for `latchd members add`"),
        Standing::Member => tracing::info!(node, "belongs to a cluster"),
        Standing::Wiped => tracing::error!("{}", super::StartError::Wiped { node_id: node }),
    }
}
