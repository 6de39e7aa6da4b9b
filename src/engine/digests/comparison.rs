//! Each follower asks the leader about its digests; a node that differs is quarantined.

use super::digest_log::DigestLog;
use super::votes::{DigestVotes, Vote};
use crate::engine::cluster_clock::ClusterClock;
use crate::engine::command_queue::CommandQueue;
use crate::engine::members::NodeHealth;
use crate::engine::messages::{NodeClient, Reply, Request, TableDigest, Verdict};
use crate::engine::table_host::TableHost;
use crate::raft::{DivergedNode, RaftNode};
use std::sync::Arc;
use std::time::Duration;

const ASK_WITHIN: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(200);
const TRIES: u32 = 50;

pub struct DigestComparison {
    pub raft: RaftNode,
    pub host: Arc<TableHost>,
    pub queue: Arc<CommandQueue>,
    pub clock: Arc<ClusterClock>,
    pub health: Arc<NodeHealth>,
    pub digests: Arc<DigestLog>,
    pub votes: DigestVotes,
}

impl DigestComparison {
    /// The verdict of this leader on the digest of another node.
    pub fn judge(&self, from: u64, theirs: &TableDigest) -> Verdict {
        let own = match self.digests.at(theirs.index) {
            Ok(own) => own,
            Err(true) => return Verdict::Agrees,
            Err(false) => return Verdict::Open,
        };
        if (own.every_ms, own.level) != (theirs.every_ms, theirs.level) {
            return Verdict::Agrees;
        }
        let voters: Vec<u64> = self.raft.members().iter().filter(|one| one.voter).map(|one| one.node).collect();
        let own = Vote { node: self.health.node(), digest: own.digest };
        let other = Vote { node: from, digest: theirs.digest };
        let (of_other, of_own) = self.votes.judge(theirs.index, own, other, &voters, self.clock.age());
        if of_own == Verdict::Differs {
            self.quarantine(theirs.index);
        }
        of_other
    }

    /// Tells the leader each digest of this node, until one differs. Runs until it is aborted.
    pub async fn ask_leader(self: Arc<Self>) {
        let client = NodeClient(self.raft.clone());
        let mut newest = self.digests.newest();
        while newest.changed().await.is_ok() {
            let Some(digest) = *newest.borrow_and_update() else { continue };
            for _ in 0..TRIES {
                let answer = match self.health.leader() {
                    Some(leader) => client.ask(leader, &Request::Compare(digest), ASK_WITHIN).await,
                    // This leader takes its own digests, and the others come to it.
                    None if self.health.leads() => break,
                    None => None,
                };
                match answer {
                    Some(Reply::Compared(Verdict::Differs)) => return self.quarantine(digest.index),
                    // An older release compares nothing.
                    Some(Reply::Compared(Verdict::Agrees) | Reply::NotUnderstood) => break,
                    _ => {}
                }
                if newest.has_changed().unwrap_or(true) {
                    break;
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }

    /// The table was not that of the others at `index`: nobody is answered from it any more, and this node neither leads
    /// nor votes.
    fn quarantine(&self, index: u64) {
        if !self.health.note_diverged() {
            return;
        }
        self.host.counters.count_broken();
        tracing::error!(index, "{}", DivergedNode { node: self.health.node() });
        self.raft.quarantine();
        self.queue.request_transfer();
    }
}
