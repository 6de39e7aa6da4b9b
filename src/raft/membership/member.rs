//! One member of the cluster.

/// One node of the cluster, as this node knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub node: u64,
    /// Empty where a node that runs alone has never been told its own address.
    pub address: String,
    pub voter: bool,
    /// Up to where its log is known to match the leader's; known on the leader only.
    pub matched_index: Option<u64>,
}
