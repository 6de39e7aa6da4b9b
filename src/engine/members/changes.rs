//! Changes of the membership: any node asks, the leader makes them. Checks the addresses of nodes.

use super::cluster_members::ClusterMembers;
use crate::domain::{Command, NodeId};
use crate::engine::cluster_options::peer_url;
use crate::engine::error::{EngineError, Fault};
use crate::engine::messages::{Change, Reply, Request, ask, ask_at};
use crate::raft::{MemberError, MembershipError, ReadError};
use std::time::Duration;

/// A learner is added when it has caught up once, which takes as long as a snapshot of everything.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_DELAY: Duration = Duration::from_millis(100);
const IDENTIFY_TIMEOUT: Duration = Duration::from_secs(2);

impl ClusterMembers {
    /// Asks the leader for a change, and asks again while there is none: a change of the voters may cost the leader its
    /// quorum for a moment.
    pub async fn request_change(&self, change: Change) -> Result<(), Fault> {
        self.health.check_may_serve()?;
        let until = self.clock.age() + self.options.cluster.no_quorum_after;
        let mut asked_before = false;
        loop {
            match self.ask_for_change(change.clone()).await {
                Some(Reply::Changed) => return Ok(()),
                Some(Reply::Refused(error)) if asked_before && was_made(&change, &error) => return Ok(()),
                Some(Reply::Refused(error)) => return Err(error.into()),
                Some(Reply::NotLeader | Reply::NoQuorum | Reply::Busy) if self.clock.age() < until => {}
                Some(Reply::NotLeader | Reply::NoQuorum | Reply::Busy) => return Err(EngineError::NoQuorum.into()),
                _ => return Err(EngineError::OutcomeUnknown.into()),
            }
            asked_before = true;
            tokio::time::sleep(RETRY_DELAY).await;
        }
    }

    async fn ask_for_change(&self, change: Change) -> Option<Reply> {
        match self.health.leader() {
            Some(leader) => ask(&self.raft, leader, &Request::Change(change), CHANGE_TIMEOUT).await,
            None if self.health.leads() => Some(self.make_change(change).await),
            None => Some(Reply::NoQuorum),
        }
    }

    /// Makes a change as the leader.
    pub async fn make_change(&self, change: Change) -> Reply {
        // A leader that was paused, and does not know yet that another leads, must not say who is a member.
        match self.raft.read_index().await {
            Ok(index) => self.raft.applied(index).await,
            Err(ReadError::NotLeader { .. }) => return Reply::NotLeader,
            Err(_) => return Reply::NoQuorum,
        }
        let changed = match &change {
            Change::Add { node, address } => self.add(*node, address.clone()).await,
            Change::Promote { node } => self.raft.promote(*node).await,
            Change::Remove { node } => match self.raft.remove(*node).await {
                // Removed before, but still in the table: the second half of that removal was lost.
                Err(MembershipError::Refused(MemberError::Unknown(_))) if self.is_in_table(*node) => Ok(()),
                removed => removed,
            },
        };
        // Whether grants must be confirmed may have changed with it.
        self.queue.wake();
        if let Err(error) = changed {
            return reply_to(error);
        }
        if let Change::Remove { node } = change
            && let Err(reply) = self.record(Command::ForgetNode { node: NodeId(node) }).await
        {
            return reply;
        }
        Reply::Changed
    }

    fn is_in_table(&self, node: u64) -> bool {
        self.host.table().nodes().contains_key(&NodeId(node))
    }

    /// A node comes empty, or with what it had when it was a member of this same cluster.
    async fn add(&self, node: u64, address: String) -> Result<(), MembershipError> {
        match self.raft.add_learner(node, address.clone()).await {
            Err(MembershipError::NotEmpty { .. }) if self.was_member(node, &address).await => {
                self.raft.add_former(node, address).await
            }
            added => added,
        }
    }

    /// Whether a node has this cluster's table, which only its own nodes ever get.
    async fn was_member(&self, node: u64, address: &str) -> bool {
        let own = self.host.table().table_id();
        let identity = ask_at(&self.raft, node, address, &Request::Identify, IDENTIFY_TIMEOUT).await;
        matches!(identity, Some(Reply::Identity { table_id, leads: false }) if table_id == own && own != 0)
    }
}

/// Whether a repeated change is refused because it was made before, and only its answer was lost.
fn was_made(change: &Change, error: &MemberError) -> bool {
    match (change, error) {
        (Change::Add { node, address }, MemberError::AlreadyMember { node: known, address: at }) => {
            (node, address) == (known, at)
        }
        (Change::Promote { node }, MemberError::AlreadyVoter(known))
        | (Change::Remove { node }, MemberError::Unknown(known)) => node == known,
        _ => false,
    }
}

/// Why consensus did not make a change, as the reply to the node that asked for it.
fn reply_to(error: MembershipError) -> Reply {
    match error {
        MembershipError::NotLeader { .. } => Reply::NotLeader,
        MembershipError::NoQuorum => Reply::NoQuorum,
        MembershipError::OutcomeUnknown => Reply::OutcomeUnknown,
        MembershipError::NotEmpty { node, address } => {
            let reason = format!(
                "it holds data that is not known to be of this cluster: stop it, move its data directory away, start it \
                 again, and ask again: `latchd members add {node} {address}`"
            );
            Reply::Refused(MemberError::Unreachable { node, address, reason })
        }
        MembershipError::Refused(error) => Reply::Refused(error),
    }
}

/// Accepts an `https` URL with host and port.
pub fn check_address(address: &str) -> Result<(), MemberError> {
    peer_url(address).map(drop).ok_or_else(|| MemberError::BadAddress(address.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_urls_with_host_and_port() {
        for good in ["https://10.0.0.1:9443", "https://[::1]:1", "https://node-1.locks.svc:9443/"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        let bad =
            ["http://10.0.0.1:9443", "10.0.0.1:9443", "https://10.0.0.1", "https://h:0", "https://:1", "https://[h]:1"];
        for bad in bad.into_iter().chain(["https://h:70000", "https://h:1/x", "https://a b:1", "https://u@h:1", ""]) {
            assert_eq!(check_address(bad), Err(MemberError::BadAddress(bad.to_owned())), "{bad}");
        }
    }
}
