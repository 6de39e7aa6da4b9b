//! One member of the cluster.

/// One node of the cluster, as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: u64,
    /// Empty if a node that runs alone has no address of its own.
    pub address: String,
    pub voter: bool,
    /// Up to where its log is known to match the leader's; known on the leader only.
    pub matched_index: Option<u64>,
}
