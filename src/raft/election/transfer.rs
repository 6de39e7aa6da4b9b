//! Leadership transfer: a leader that is about to stop has another node elected, so that there is no time without a leader.

use std::cmp::Reverse;
use std::time::Duration;

use crate::raft::codec::{decode, encode};
use crate::raft::error::TransferError;
use crate::raft::membership::changes::Member;
use crate::raft::node::RaftNode;
use crate::raft::peers::frame::MessageKind;

/// For the next leader to have the whole log, and then to be elected.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(1);
const ELECTION_TIMEOUT: Duration = Duration::from_secs(3);

impl RaftNode {
    /// Transfers leadership to the most advanced of the other voters, and resolves when another node leads. Nothing should be
    /// proposed meanwhile.
    pub async fn transfer_leadership(&self) -> Result<(), TransferError> {
        let mut leadership = self.leadership();
        if !leadership.borrow().is_leader {
            return Err(TransferError::NotLeader);
        }
        let cluster = self.cluster().ok_or(TransferError::NoCandidate)?;
        let _paused = cluster.elections.pause_heartbeats();
        let next = self.next_leader().await.ok_or(TransferError::NoCandidate)?;
        let vote = cluster.raft.metrics().borrow().vote;
        let connection = cluster.peers.raft_connection(next.node, &next.address);
        let asked = connection.request(MessageKind::TransferLeadership, encode(&vote));
        let elected = async {
            let answer = asked.await;
            if answer.is_ok_and(|answer| !decode(&answer).unwrap_or(false)) {
                return false;
            }
            leadership.wait_for(|now| !now.is_leader && now.leader.is_some()).await.is_ok()
        };
        match tokio::time::timeout(ELECTION_TIMEOUT, elected).await {
            Ok(true) => Ok(()),
            _ => Err(TransferError::NotElected { to: next.node }),
        }
    }

    /// The most advanced of the other voters that can be reached, as soon as it has the whole log.
    async fn next_leader(&self) -> Option<Member> {
        let mut metrics = self.raft()?.metrics();
        let caught_up = async {
            loop {
                let last = metrics.borrow_and_update().last_log_index;
                let next = self.most_advanced()?;
                if next.matched_index >= last {
                    return Some(next);
                }
                metrics.changed().await.ok()?;
            }
        };
        tokio::time::timeout(CATCH_UP_TIMEOUT, caught_up).await.ok()?
    }

    fn most_advanced(&self) -> Option<Member> {
        let others = self.members().into_iter().filter(|member| member.voter && member.node != self.id());
        let up = others.filter(|member| self.is_reachable(member.node));
        up.min_by_key(|member| (Reverse(member.matched_index), member.node))
    }
}
