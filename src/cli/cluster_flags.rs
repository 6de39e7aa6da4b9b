//! The flags of `serve` that place a node among others.

use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterFlags {
    /// This node's id; a data directory belongs to one id for ever
    #[arg(long, value_name = "ID")]
    node_id: Option<String>,
    /// URL to listen on for peers (mutual TLS); without it the node runs alone
    #[arg(long, value_name = "URL")]
    peer_listen: Option<String>,
    /// URL under which peers reach this node, where that is neither its entry in --peers nor --peer-listen
    #[arg(long, value_name = "URL")]
    advertise: Option<String>,
    /// The nodes that form the cluster, the same list for each: 1=https://10.0.0.1:9443,2=…,3=…
    #[arg(long, value_name = "LIST")]
    peers: Option<String>,
    /// PEM file with the authority that all peers have their certificates from
    #[arg(long, value_name = "FILE")]
    peer_ca: Option<String>,
    /// PEM file with this node's certificate for its peers
    #[arg(long, value_name = "FILE")]
    peer_cert: Option<String>,
    /// PEM file with that certificate's private key
    #[arg(long, value_name = "FILE")]
    peer_key: Option<String>,
}

impl ClusterFlags {
    /// Each flag with the key it sets.
    pub fn each(self) -> [(&'static str, &'static str, Option<String>); 7] {
        [
            ("--node-id", "cluster.node_id", self.node_id),
            ("--peer-listen", "cluster.peer_listen", self.peer_listen),
            ("--advertise", "cluster.advertise", self.advertise),
            ("--peers", "cluster.peers", self.peers),
            ("--peer-ca", "cluster.peer_ca", self.peer_ca),
            ("--peer-cert", "cluster.peer_cert", self.peer_cert),
            ("--peer-key", "cluster.peer_key", self.peer_key),
        ]
    }
}
