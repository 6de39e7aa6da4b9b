//! Who differs from whom: the leader counts, and each follower asks it about its own digest.

use super::marks::Mark;
use crate::engine::cluster::wire::{Reply, Request};
use crate::engine::core::Core;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError, Weak};
use std::time::Duration;

/// A digest may be a moment late; so long is it waited for before a difference is decided without it.
const DECIDED_AFTER: Duration = Duration::from_secs(3);
const ASK_WITHIN: Duration = Duration::from_millis(500);
const ASK_AGAIN: Duration = Duration::from_millis(200);
const TRIES: u32 = 50;
const BALLOTS_MAX: usize = 16;

type Digest = [u8; 32];

/// What the leader says of a digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing is known against it.
    Stands,
    /// To be asked again.
    Open,
    /// A majority has another one, or nobody has a majority.
    Differs,
}

/// The digests of the voters at the last marks, as far as they were told. Kept by the leader.
#[derive(Default)]
pub struct Ballots(Mutex<Told>);

#[derive(Default)]
struct Told {
    /// Of each index the digest of each node.
    by_index: BTreeMap<u64, BTreeMap<u64, Digest>>,
    /// When a difference was first seen that is not decided; an age of the process.
    open_since: Option<Duration>,
}

/// One voter's word.
struct Vote {
    node: u64,
    digest: Digest,
}

impl Ballots {
    /// Notes two nodes' digests at `index`; what is to be said of each, the second one first.
    fn judge(&self, index: u64, own: Vote, other: Vote, voters: &[u64], now: Duration) -> (Verdict, Verdict) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ballot = told.by_index.entry(index).or_default();
        for vote in [&own, &other] {
            if voters.contains(&vote.node) {
                ballot.insert(vote.node, vote.digest);
            }
        }
        let ballot = ballot.clone();
        while told.by_index.len() > BALLOTS_MAX {
            told.by_index.pop_first();
        }
        if own.digest == other.digest && ballot.values().all(|digest| *digest == own.digest) {
            // Those who were not heard at this index may differ still.
            if ballot.len() >= voters.len() {
                told.open_since = None;
            }
            return (Verdict::Stands, Verdict::Stands);
        }
        let since = *told.open_since.get_or_insert(now);
        let is_over = ballot.len() >= voters.len() || now.saturating_sub(since) >= DECIDED_AFTER;
        let verdict = |digest| judge_one(digest, &ballot, voters.len(), is_over);
        let (of_other, of_own) = (verdict(other.digest), verdict(own.digest));
        if of_other != Verdict::Open && of_own != Verdict::Open {
            // The next difference has its own time, also where some voter is never heard.
            told.open_since = None;
        }
        // Who does not vote says nothing against who does.
        (of_other, if voters.contains(&other.node) { of_own } else { Verdict::Stands })
    }
}

fn judge_one(digest: Digest, ballot: &BTreeMap<u64, Digest>, voters: usize, is_over: bool) -> Verdict {
    let has_majority = |wanted: &Digest| ballot.values().filter(|told| *told == wanted).count() * 2 > voters;
    if has_majority(&digest) {
        Verdict::Stands
    } else if is_over || ballot.values().any(has_majority) {
        Verdict::Differs
    } else {
        Verdict::Open
    }
}

impl Core {
    /// What this node, leading, says of the digest of another one.
    pub fn compare(&self, from: u64, mark: &Mark) -> Verdict {
        let own = match self.comparing.at(mark.index) {
            Ok(own) => own,
            Err(true) => return Verdict::Stands,
            Err(false) => return Verdict::Open,
        };
        if (own.every_ms, own.level) != (mark.every_ms, mark.level) {
            return Verdict::Stands;
        }
        let voters: Vec<u64> = self.raft.members().iter().filter(|one| one.voter).map(|one| one.node).collect();
        let this = Vote { node: self.cluster.node_id, digest: own.digest };
        let other = Vote { node: from, digest: mark.digest };
        let (of_other, of_this) = self.ballots.judge(mark.index, this, other, &voters, self.clock.age());
        if of_this == Verdict::Differs {
            self.stand_aside(mark.index);
        }
        of_other
    }
}

/// Tells the leader each digest of this node, and stands aside when it differs. Runs until the engine is gone.
pub async fn ask_leader(core: Weak<Core>) {
    let Some(mut newest) = core.upgrade().map(|core| core.comparing.newest()) else { return };
    while newest.changed().await.is_ok() {
        let Some(mark) = *newest.borrow_and_update() else { continue };
        for _ in 0..TRIES {
            let Some(core) = core.upgrade() else { return };
            let answer = match core.leader() {
                Some(leader) => core.ask(leader, &Request::Compare(mark), ASK_WITHIN).await,
                // It takes its own digests, and the others come to it.
                None if core.leads() => break,
                None => None,
            };
            match answer {
                Some(Reply::Compared(Verdict::Differs)) => return core.stand_aside(mark.index),
                // An older release compares nothing.
                Some(Reply::Compared(Verdict::Stands) | Reply::NotUnderstood) => break,
                _ => {}
            }
            drop(core);
            if newest.has_changed().unwrap_or(true) {
                break;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn told(ballots: &Ballots, other: u64, own: u8, digest: u8, at: u32) -> (Verdict, Verdict) {
        let vote = |node, digest| Vote { node, digest: [digest; 32] };
        ballots.judge(7, vote(1, own), vote(other, digest), &[1, 2, 3], SECOND * at)
    }

    #[test]
    fn who_is_equal_stands() {
        let ballots = Ballots::default();
        assert_eq!(told(&ballots, 2, 5, 5, 0), (Verdict::Stands, Verdict::Stands));
        assert_eq!(told(&ballots, 3, 5, 5, 0), (Verdict::Stands, Verdict::Stands));
    }

    #[test]
    fn one_that_differs_from_two_is_the_one_that_differs() {
        let ballots = Ballots::default();
        assert_eq!(told(&ballots, 2, 5, 6, 0), (Verdict::Open, Verdict::Open), "the third decides");
        told(&ballots, 3, 5, 5, 0);
        assert_eq!(told(&ballots, 2, 5, 6, 0), (Verdict::Differs, Verdict::Stands));
    }

    #[test]
    fn a_leader_that_differs_from_two_is_the_one_that_differs() {
        let ballots = Ballots::default();
        told(&ballots, 2, 5, 6, 0);
        assert_eq!(told(&ballots, 3, 5, 6, 0), (Verdict::Stands, Verdict::Differs));
    }

    #[test]
    fn without_a_majority_nobody_stands_after_a_while() {
        let ballots = Ballots::default();
        assert_eq!(told(&ballots, 2, 5, 6, 10), (Verdict::Open, Verdict::Open));
        assert_eq!(told(&ballots, 2, 5, 6, 13), (Verdict::Differs, Verdict::Differs), "the third was not heard");
    }

    #[test]
    fn a_learner_is_judged_and_does_not_count() {
        let ballots = Ballots::default();
        told(&ballots, 2, 5, 5, 0);
        assert_eq!(told(&ballots, 9, 5, 6, 0), (Verdict::Differs, Verdict::Stands));
        let ballots = Ballots::default();
        assert_eq!(told(&ballots, 9, 5, 6, 0), (Verdict::Open, Verdict::Stands), "nobody else was heard yet");
        assert_eq!(told(&ballots, 9, 5, 6, 3), (Verdict::Differs, Verdict::Stands));
    }

    #[test]
    fn a_difference_after_one_that_was_decided_waits_for_the_others_again() {
        let ballots = Ballots::default();
        let judge = |index, node, digest: u8, at: u32| {
            let vote = |node, digest| Vote { node, digest: [digest; 32] };
            ballots.judge(index, vote(1, 5), vote(node, digest), &[1, 2, 3, 4, 5], SECOND * at)
        };
        assert_eq!(judge(7, 5, 6, 0), (Verdict::Open, Verdict::Open));
        for node in [2, 3] {
            judge(7, node, 5, 0);
        }
        assert_eq!(judge(7, 5, 6, 0), (Verdict::Differs, Verdict::Stands), "node 4 is away");
        assert_eq!(judge(9, 4, 6, 100), (Verdict::Open, Verdict::Open), "nodes 2 and 3 are about to be heard");
        for node in [2, 3] {
            judge(9, node, 5, 100);
        }
        assert_eq!(judge(9, 4, 6, 100), (Verdict::Differs, Verdict::Stands));
    }
}
