//! The part of [`Engine`] about the cluster, and this node in it.

use super::error::Fault;
use super::facade::Engine;
use super::members::{ClusterView, NodeHealth};
use super::messages::Change;

impl Engine {
    /// Whether a leader with a quorum is known, this node or one that it hears, and the server stays.
    pub fn is_ready(&self) -> bool {
        self.health().is_ready() && !self.is_drain_announced()
    }

    /// Whether a leader with a quorum is known, this node or one that it hears: sessions go on even if this node's disk is
    /// slow, full or has lost something.
    pub fn is_in_contact(&self) -> bool {
        self.health().is_in_contact()
    }

    /// Why this node is not ready, in words for an operator; `None` when it is.
    pub fn unready_reason(&self) -> Option<String> {
        match () {
            () if self.is_ready() => None,
            () if self.is_drain_announced() => Some("the server is shutting down".to_owned()),
            () => Some(self.health().unready_reason()),
        }
    }

    /// The cluster as the leader sees it, or as this node does if the leader does not answer.
    pub async fn cluster(&self) -> ClusterView {
        self.parts.members.view().await
    }

    /// The cluster as this node alone sees it.
    pub fn local_cluster(&self) -> ClusterView {
        self.parts.members.local_view()
    }

    /// Adds a node without a vote; returns when it has caught up enough to answer.
    pub async fn add_member(&self, node: u64, address: String) -> Result<(), Fault> {
        self.parts.members.request_change(Change::Add { node, address }).await
    }

    /// Gives a vote to a node that was added.
    pub async fn promote_member(&self, node: u64) -> Result<(), Fault> {
        self.parts.members.request_change(Change::Promote { node }).await
    }

    /// Removes a node from the cluster; its id may come back with an empty disk.
    pub async fn remove_member(&self, node: u64) -> Result<(), Fault> {
        self.parts.members.request_change(Change::Remove { node }).await
    }

    /// The PEM text of each file with certificates for the other nodes, by its configuration key. Reads the files.
    pub fn peer_certificates(&self) -> Vec<(&'static str, Vec<u8>)> {
        self.parts.reader.raft.peer_certificates()
    }

    fn health(&self) -> &NodeHealth {
        &self.parts.reader.health
    }
}
