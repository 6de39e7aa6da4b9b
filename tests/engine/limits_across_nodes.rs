//! Three engines with different limits in their configurations.

use latchd::domain::{Acquire, Field, Limits, Refusal};
use latchd::engine::Fault;

use super::events_across_nodes::Cluster;
use super::service::{ask, hold};
use crate::domain::kit::limits;

#[tokio::test]
async fn followers_answer_by_the_leaders_limits() {
    let lease_ms_max = |node| node * 100_000;
    let cluster = Cluster::with_limits(|node| Limits { lease_ms_max: lease_ms_max(node), ..limits() }).await;
    let limit = lease_ms_max(cluster.leader() as u64 + 1);
    for (at, node) in cluster.nodes.iter().enumerate() {
        assert_eq!(node.limits().lease_ms_max, limit);
        let longest = Acquire { lease_ms: Some(limit), ..ask(&format!("longest-{at}")) };
        hold(node, longest).await.unwrap();
        let too_long = Acquire { lease_ms: Some(limit + 1), ..ask("too-long") };
        let refused = hold(node, too_long).await.unwrap_err();
        assert_eq!(refused, Fault::Refused(Refusal::LimitExceeded { field: Field::Lease, limit }));
    }
    cluster.stop().await;
}
