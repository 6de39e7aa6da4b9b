//! Nodes compare their tables: a node that differs from the others is quarantined, and the others go on.

use std::process::Command;
use std::time::Duration;

use latchd::engine::{Engine, EngineError, Fault, NodeState};

use super::events_across_nodes::{Cluster, take_and_give_back};
use super::service::{ask, hold};
use crate::raft::network::SOON;

const CHILD: &str = "LATCHD_TEST_ONE_NODE_DIFFERS";
/// It takes a second. Shorter than what `mutants` gives a test that waits in vain.
const FOUND_WITHIN: Duration = Duration::from_secs(20);
/// The planted bug makes this node forget releases.
const OTHERWISE: u64 = 2;

fn standing(node: &Engine) -> NodeState {
    node.local_cluster().state
}

/// Runs in a child process of the next test, where the bug is planted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_runs_one_node_that_applies_differently() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let cluster = Cluster::start().await;
    let (good, otherwise) = (&cluster.nodes[0], &cluster.nodes[OTHERWISE as usize - 1]);
    let found = async {
        while standing(otherwise) != (NodeState::Diverged { node: OTHERWISE }) {
            // Where the other one leads there may be no answer for a moment.
            let one = take_and_give_back(good, "a");
            drop(tokio::time::timeout(Duration::from_secs(2), one).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(FOUND_WITHIN, found).await.expect("the difference is found");
    assert!(!otherwise.is_ready());
    assert!(otherwise.unready_reason().expect("a reason").contains("latchd members remove 2"));
    let refused = hold(otherwise, ask("b")).await;
    assert!(matches!(refused, Err(Fault::Engine(EngineError::Differs(_)))), "{refused:?}");
    let serves = async {
        while hold(good, ask("b")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, serves).await.expect("the others go on");
    for node in [0, 2] {
        assert_eq!(standing(&cluster.nodes[node]), NodeState::Member);
    }
    cluster.stop().await;
}

#[test]
#[cfg_attr(not(feature = "mutants"), ignore = "needs --features mutants, as in `make test`")]
fn node_whose_table_differs_is_quarantined() {
    let also = std::env::var("MUTANT").unwrap_or_default();
    let mut child = Command::new(std::env::current_exe().expect("the test binary"));
    child.args(["--exact", "engine::comparing::child_runs_one_node_that_applies_differently", "--nocapture"]);
    child.env(CHILD, "1").env("MUTANT", format!("one-node-applies-otherwise,{also}")).env("RUST_BACKTRACE", "0");
    let child = child.output().expect("it runs");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}
