//! The state of this node in its cluster, and what an operator should do about it.

use std::fmt;

use crate::raft::error::replace_advice;

/// The state of this node in its cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeState {
    /// Asks the nodes it was started with: they form a cluster when all have answered that they are empty too.
    Bootstrapping {
        /// The nodes that have not answered so.
        awaits: Vec<u64>,
    },
    /// The other nodes have a cluster, and this one waits to be added to it.
    WaitingToJoin {
        node: u64,
    },
    Member,
    /// The log of this node has lost its end. Until a leader has sent it again, the node serves what it has, and votes only
    /// for candidates that have what was lost.
    LostEnd {
        node: u64,
        term: u64,
        index: u64,
    },
    /// The cluster knows this node with another store: what the node acknowledged is lost, so it may not take part.
    Wiped {
        node: u64,
    },
    /// This node was removed from the cluster: it gets no entries any more, so it may not serve.
    Removed {
        node: u64,
    },
    /// The state of this node differs from that of the other nodes at the same place of the log.
    Diverged {
        node: u64,
    },
}

impl NodeState {
    pub const fn as_str(&self) -> &'static str {
        match self {
            NodeState::Bootstrapping { .. } => "forming",
            NodeState::WaitingToJoin { .. } => "waiting",
            NodeState::Member => "member",
            NodeState::LostEnd { .. } => "lost-end",
            NodeState::Wiped { .. } => "wiped",
            NodeState::Removed { .. } => "removed",
            NodeState::Diverged { .. } => "differs",
        }
    }

    pub const fn is_removed(&self) -> bool {
        matches!(self, NodeState::Removed { .. })
    }

    pub const fn has_lost_end(&self) -> bool {
        matches!(self, NodeState::LostEnd { .. })
    }

    pub const fn is_wiped(&self) -> bool {
        matches!(self, NodeState::Wiped { .. })
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeState::Bootstrapping { awaits } if awaits.is_empty() => {
                f.write_str("every listed node has answered: the one with the lowest id forms the cluster now")
            }
            NodeState::Bootstrapping { awaits } => {
                let awaits = list_of(awaits);
                write!(
                    f,
                    "waits to form a cluster until every listed node has answered that it is empty: no answer yet from {awaits}"
                )
            }
            NodeState::WaitingToJoin { node } => {
                write!(f, "the others have a cluster without node {node}: waits for `latchd members add {node} URL`")
            }
            NodeState::Member => f.write_str("belongs to its cluster"),
            NodeState::LostEnd { node, term, index } => write!(
                f,
                "the log of node {node} was cut or put back: entry {index} of term {term} was on disk and is gone. This node \
                 waits for a leader that has the entry, and votes for no other. If no node has it any more, as after a power \
                 loss with disks that lie, start each node with --accept-lost-end (storage.accept_lost_end = true), which \
                 gives up what was answered since"
            ),
            NodeState::Wiped { node } => write!(
                f,
                "the cluster knows node {node} with another data directory, so what this node acknowledged is lost and it may \
                 neither vote nor serve: ask another node to `latchd members remove {node}`, then to `latchd members add {node} \
                 URL`"
            ),
            NodeState::Removed { node } => write!(
                f,
                "node {node} is no member of its cluster any more, so it serves nothing: stop it, or ask another node to \
                 `latchd members add {node} URL` again, which keeps its data"
            ),
            NodeState::Diverged { node } => write!(
                f,
                "the table of node {node} is not what the other nodes have at the same place of the log, as when a disk has \
                 lost what it acknowledged, so it may neither vote nor serve: {}",
                replace_advice(*node)
            ),
        }
    }
}

fn list_of(nodes: &[u64]) -> String {
    let ids: Vec<String> = nodes.iter().map(u64::to_string).collect();
    match ids.as_slice() {
        [] => "no node".to_owned(),
        [only] => format!("node {only}"),
        [most @ .., last] => format!("nodes {} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_state_tells_operator_what_to_do() {
        let text = |state: NodeState| state.to_string();
        assert!(text(NodeState::Bootstrapping { awaits: vec![2] }).ends_with("no answer yet from node 2"));
        assert!(
            text(NodeState::Bootstrapping { awaits: vec![2, 3, 4] }).ends_with("no answer yet from nodes 2, 3 and 4")
        );
        assert!(text(NodeState::WaitingToJoin { node: 4 }).contains("`latchd members add 4 URL`"));
        let wiped = text(NodeState::Wiped { node: 4 });
        assert!(wiped.contains("`latchd members remove 4`") && wiped.contains("`latchd members add 4 URL`"), "{wiped}");
        let lost = text(NodeState::LostEnd { node: 4, term: 2, index: 57 });
        assert!(lost.contains("entry 57 of term 2") && lost.contains("--accept-lost-end"), "{lost}");
        let removed = text(NodeState::Removed { node: 4 });
        assert!(removed.contains("no member") && removed.contains("`latchd members add 4 URL`"), "{removed}");
    }
}
