//! Who belongs to the cluster, and changes of that.

use super::error::Fault;
use super::face::Engine;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What this node is called among others, and how it talks to them.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    pub node_id: u64,
    /// Where peers reach this node; `None` runs alone.
    pub listen: Option<SocketAddr>,
    /// The URL under which peers find this node.
    pub advertise: String,
    /// Those who form the cluster, this node among them; empty where the node begins alone or is added later.
    pub peers: BTreeMap<u64, String>,
    pub tls: Option<PeerTls>,
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
    /// Requests are refused with "no quorum" after this long without one.
    pub no_quorum_after: Duration,
    /// How long the end of a command is waited for before it is called unknown.
    pub outcome_wait: Duration,
    /// A node that is not heard for this long is declared down.
    pub node_down_after: Duration,
}

impl Default for ClusterOptions {
    /// A node alone.
    fn default() -> Self {
        Self {
            node_id: 1,
            listen: None,
            advertise: String::new(),
            peers: BTreeMap::new(),
            tls: None,
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(250),
            election_max: Duration::from_millis(400),
            no_quorum_after: Duration::from_secs(2),
            outcome_wait: Duration::from_secs(5),
            node_down_after: Duration::from_secs(2),
        }
    }
}

/// PEM files: the cluster's own authority, and this node's pair from it.
#[derive(Clone, Debug)]
pub struct PeerTls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// The cluster as this node sees it.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The node that answers.
    pub node: u64,
    pub leader: Option<u64>,
    pub term: u64,
    /// Whether a leader is known that has a quorum behind it.
    pub has_quorum: bool,
    /// The replicated feature level.
    pub level: u32,
    /// Of the node that answers.
    pub applied_index: u64,
    /// In the order of their ids.
    pub members: Vec<MemberView>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberView {
    pub node: u64,
    /// Empty where the node runs alone and has never had one.
    pub address: String,
    pub role: MemberRole,
    pub up: bool,
    /// Log entries that it lacks; `None` where only the leader knows.
    pub lag_entries: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemberRole {
    Leader,
    Follower,
    /// Receives the log and has no vote.
    Learner,
}

impl MemberRole {
    pub const fn as_str(self) -> &'static str {
        match self {
            MemberRole::Leader => "leader",
            MemberRole::Follower => "follower",
            MemberRole::Learner => "learner",
        }
    }
}

/// Why the membership was not changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MemberError {
    #[error("this node runs alone: start it with --peer-listen and its certificates to grow a cluster")]
    Alone,
    #[error("the address {0:?} is not accepted: expected a URL like https://10.0.0.4:9443")]
    BadAddress(String),
    #[error("node {0} is no member: `latchd members list` shows who is")]
    Unknown(u64),
    #[error("node {node} is a member already, at {address}: remove it first if it is to come back anew")]
    AlreadyMember { node: u64, address: String },
    #[error("node {0} has a vote already")]
    AlreadyVoter(u64),
    #[error("node {node} at {address} cannot be added: {reason}")]
    Unreachable { node: u64, address: String, reason: String },
    #[error("node {node} lacks {lag_entries} log entries: promote it when `latchd members list` shows it close to 0")]
    NotCaughtUp { node: u64, lag_entries: u64 },
    #[error("without node {0} too few of the voters would be up to decide anything: bring another node up first")]
    WouldLoseQuorum(u64),
    #[error("another change of the membership is not finished: ask again")]
    Busy,
}

/// Whether peers can be reached at such an address.
pub fn check_address(address: &str) -> Result<(), MemberError> {
    let authority = address.strip_prefix("https://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let is_host = |host: &str| match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host),
    };
    let parts = authority.and_then(|authority| authority.rsplit_once(':'));
    match parts {
        Some((host, port)) if is_host(host) && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        _ => Err(MemberError::BadAddress(address.to_owned())),
    }
}

impl Engine {
    /// The cluster as this node sees it, answered without a quorum too: that is when it is asked for most.
    pub async fn cluster(&self) -> Result<ClusterView, Fault> {
        let leadership = *self.0.raft.leadership().borrow();
        let leads = *self.0.leads.borrow();
        let this = MemberView {
            node: self.0.cluster.node_id,
            address: self.0.cluster.advertise.clone(),
            role: if leads { MemberRole::Leader } else { MemberRole::Follower },
            up: true,
            lag_entries: Some(0),
        };
        Ok(ClusterView {
            node: this.node,
            leader: leads.then_some(this.node),
            term: leadership.term,
            has_quorum: leads,
            level: 1,
            applied_index: self.0.raft.progress().applied_index,
            members: vec![this],
        })
    }

    /// Adds a node without a vote; returns when it has caught up enough to answer.
    pub async fn add_member(&self, _node: u64, _address: String) -> Result<(), Fault> {
        Err(MemberError::Alone.into())
    }

    /// Gives a vote to a node that was added.
    pub async fn promote_member(&self, node: u64) -> Result<(), Fault> {
        Err(if node == self.0.cluster.node_id { MemberError::AlreadyVoter(node) } else { MemberError::Alone }.into())
    }

    /// Takes a node out of the cluster; its id may come back with an empty disk.
    pub async fn remove_member(&self, node: u64) -> Result<(), Fault> {
        let last = node == self.0.cluster.node_id;
        Err(if last { MemberError::WouldLoseQuorum(node) } else { MemberError::Alone }.into())
    }
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
