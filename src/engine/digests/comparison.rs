//! Each follower asks the leader about its digests; a node that differs from the majority is quarantined.

use super::digest_log::DigestLog;
use crate::engine::members::ClusterMembers;
use crate::engine::messages::{ASK_TIMEOUT, Reply, Request, TableDigest, Verdict, ask};
use crate::raft::NodeState;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const RETRY_DELAY: Duration = Duration::from_millis(200);
const TRIES: u32 = 50;

pub struct DigestComparison {
    pub members: Arc<ClusterMembers>,
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
        let ClusterMembers { raft, clock, health, .. } = &*self.members;
        let voters: Vec<u64> = raft.members().iter().filter(|one| one.voter).map(|one| one.node).collect();
        let own = Vote { node: health.node(), digest: own.digest };
        let other = Vote { node: from, digest: theirs.digest };
        let (of_other, of_own) = self.votes.judge(theirs.index, own, other, &voters, clock.age());
        if of_own == Verdict::Differs {
            self.quarantine(theirs.index);
        }
        of_other
    }

    /// Tells the leader each digest of this node, until one differs. Runs until it is aborted.
    pub async fn ask_leader(self: Arc<Self>) {
        let ClusterMembers { raft, health, .. } = &*self.members;
        let mut newest = self.digests.newest();
        while newest.changed().await.is_ok() {
            let Some(digest) = *newest.borrow_and_update() else { continue };
            for _ in 0..TRIES {
                let answer = match health.leader() {
                    Some(leader) => ask(raft, leader, &Request::Compare(digest), ASK_TIMEOUT).await,
                    // This leader takes its own digests, and the others come to it.
                    None if health.leads() => break,
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
                tokio::time::sleep(RETRY_DELAY).await;
            }
        }
    }

    /// The table was not that of the others at `index`: no answer comes from it any more, and this node neither leads
    /// nor votes.
    fn quarantine(&self, index: u64) {
        let ClusterMembers { raft, host, queue, health, .. } = &*self.members;
        if !health.note_diverged() {
            return;
        }
        host.counters.count_broken();
        tracing::error!(index, "{}", NodeState::Diverged { node: health.node() });
        raft.quarantine();
        queue.request_transfer();
    }
}

/// A digest may be a moment late: a difference waits this long for the remaining voters before it is decided without them.
const DECIDED_AFTER: Duration = Duration::from_secs(3);
const INDEXES_MAX: usize = 16;

type Digest = [u8; 32];

/// The digests of the voters at the last indexes, as far as the leader has heard them.
#[derive(Default)]
pub struct DigestVotes(Mutex<Votes>);

#[derive(Default)]
struct Votes {
    /// The digest of each node, by index.
    by_index: BTreeMap<u64, BTreeMap<u64, Digest>>,
    /// The age of the process at which an undecided difference was first seen.
    open_since: Option<Duration>,
}

pub struct Vote {
    pub node: u64,
    pub digest: Digest,
}

impl DigestVotes {
    /// Notes two nodes' digests at `index`. Returns the verdict on the other one, then the one on this node's own.
    pub fn judge(&self, index: u64, own: Vote, other: Vote, voters: &[u64], now: Duration) -> (Verdict, Verdict) {
        let mut votes = self.0.lock();
        let at_index = votes.by_index.entry(index).or_default();
        for vote in [&own, &other] {
            if voters.contains(&vote.node) {
                at_index.insert(vote.node, vote.digest);
            }
        }
        let at_index = at_index.clone();
        while votes.by_index.len() > INDEXES_MAX {
            votes.by_index.pop_first();
        }
        if own.digest == other.digest && at_index.values().all(|digest| *digest == own.digest) {
            // Voters that were not heard at this index may still differ.
            if at_index.len() >= voters.len() {
                votes.open_since = None;
            }
            return (Verdict::Agrees, Verdict::Agrees);
        }
        let since = *votes.open_since.get_or_insert(now);
        let is_decided = at_index.len() >= voters.len() || now.saturating_sub(since) >= DECIDED_AFTER;
        let verdict = |digest| judge_one(digest, &at_index, voters.len(), is_decided);
        let (of_other, of_own) = (verdict(other.digest), verdict(own.digest));
        if of_other != Verdict::Open && of_own != Verdict::Open {
            // The next difference waits anew, also if some voter is never heard.
            votes.open_since = None;
        }
        // The digest of a learner says nothing against a voter.
        (of_other, if voters.contains(&other.node) { of_own } else { Verdict::Agrees })
    }
}

fn judge_one(digest: Digest, at_index: &BTreeMap<u64, Digest>, voters: usize, is_decided: bool) -> Verdict {
    let has_majority = |wanted: &Digest| at_index.values().filter(|digest| *digest == wanted).count() * 2 > voters;
    if has_majority(&digest) {
        Verdict::Agrees
    } else if is_decided || at_index.values().any(has_majority) {
        Verdict::Differs
    } else {
        Verdict::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn judge(votes: &DigestVotes, other: u64, own: u8, digest: u8, at: u32) -> (Verdict, Verdict) {
        let vote = |node, digest| Vote { node, digest: [digest; 32] };
        votes.judge(7, vote(1, own), vote(other, digest), &[1, 2, 3], SECOND * at)
    }

    #[test]
    fn equal_digests_agree() {
        let votes = DigestVotes::default();
        assert_eq!(judge(&votes, 2, 5, 5, 0), (Verdict::Agrees, Verdict::Agrees));
        assert_eq!(judge(&votes, 3, 5, 5, 0), (Verdict::Agrees, Verdict::Agrees));
    }

    #[test]
    fn follower_that_differs_from_a_majority_differs() {
        let votes = DigestVotes::default();
        assert_eq!(judge(&votes, 2, 5, 6, 0), (Verdict::Open, Verdict::Open), "the third decides");
        judge(&votes, 3, 5, 5, 0);
        assert_eq!(judge(&votes, 2, 5, 6, 0), (Verdict::Differs, Verdict::Agrees));
    }

    #[test]
    fn leader_that_differs_from_a_majority_differs() {
        let votes = DigestVotes::default();
        judge(&votes, 2, 5, 6, 0);
        assert_eq!(judge(&votes, 3, 5, 6, 0), (Verdict::Agrees, Verdict::Differs));
    }

    #[test]
    fn without_a_majority_everybody_differs_after_a_while() {
        let votes = DigestVotes::default();
        assert_eq!(judge(&votes, 2, 5, 6, 10), (Verdict::Open, Verdict::Open));
        assert_eq!(judge(&votes, 2, 5, 6, 13), (Verdict::Differs, Verdict::Differs), "the third was not heard");
    }

    #[test]
    fn learner_is_judged_but_does_not_count() {
        let votes = DigestVotes::default();
        judge(&votes, 2, 5, 5, 0);
        assert_eq!(judge(&votes, 9, 5, 6, 0), (Verdict::Differs, Verdict::Agrees));
        let votes = DigestVotes::default();
        assert_eq!(judge(&votes, 9, 5, 6, 0), (Verdict::Open, Verdict::Agrees), "nobody else was heard yet");
        assert_eq!(judge(&votes, 9, 5, 6, 3), (Verdict::Differs, Verdict::Agrees));
    }

    #[test]
    fn next_difference_waits_for_the_other_voters_again() {
        let votes = DigestVotes::default();
        let judge = |index, node, digest: u8, at: u32| {
            let vote = |node, digest| Vote { node, digest: [digest; 32] };
            votes.judge(index, vote(1, 5), vote(node, digest), &[1, 2, 3, 4, 5], SECOND * at)
        };
        assert_eq!(judge(7, 5, 6, 0), (Verdict::Open, Verdict::Open));
        for node in [2, 3] {
            judge(7, node, 5, 0);
        }
        assert_eq!(judge(7, 5, 6, 0), (Verdict::Differs, Verdict::Agrees), "node 4 is away");
        assert_eq!(judge(9, 4, 6, 100), (Verdict::Open, Verdict::Open), "nodes 2 and 3 are about to be heard");
        for node in [2, 3] {
            judge(9, node, 5, 100);
        }
        assert_eq!(judge(9, 4, 6, 100), (Verdict::Differs, Verdict::Agrees));
    }
}
