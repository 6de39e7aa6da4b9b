//! Three etcd nodes, and a client of its lock service.

use std::path::Path;

use crate::grpc::{Message, Value, call, field};
use crate::load::{Client, Service};
use crate::nodes::{Nodes, SIZE};

/// No measurement lasts as long.
const LEASE_SECONDS: u64 = 600;

pub struct Cluster {
    nodes: Nodes,
}

impl Cluster {
    pub async fn start() -> Self {
        let mut nodes = Nodes::new(1);
        let peer = |nodes: &Nodes, node: usize| format!("https://{}:2380", nodes.address(node));
        let peers: Vec<String> = (0..SIZE).map(|node| format!("node{node}={}", peer(&nodes, node))).collect();
        for node in 0..SIZE {
            let client = format!("https://{}:2379", nodes.address(node));
            let (certificate, key) = nodes.pair(node);
            let arguments = [
                ("name", format!("node{node}")),
                ("data-dir", nodes.data(node).display().to_string()),
                ("listen-client-urls", client.clone()),
                ("advertise-client-urls", client),
                ("cert-file", certificate.display().to_string()),
                ("key-file", key.display().to_string()),
                ("listen-peer-urls", peer(&nodes, node)),
                ("initial-advertise-peer-urls", peer(&nodes, node)),
                ("initial-cluster", peers.join(",")),
                ("peer-trusted-ca-file", nodes.authority().display().to_string()),
                ("peer-client-cert-auth", "true".to_owned()),
                ("peer-cert-file", certificate.display().to_string()),
                ("peer-key-file", key.display().to_string()),
                ("log-level", "error".to_owned()),
            ];
            let arguments: Vec<String> = arguments.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
            nodes.start(Path::new("etcd"), &arguments);
        }
        let cluster = Self { nodes };
        for node in 0..SIZE {
            let what = format!("node {node} of etcd does not serve");
            cluster.nodes.wait_for(&what, async || cluster.status(node).await.filter(|(_, leader)| *leader != 0)).await;
        }
        cluster
    }

    fn url(&self, node: usize, method: &str) -> String {
        format!("https://{}:2379/{method}", self.nodes.address(node))
    }

    /// The number of a node and that of the leader, as the node knows it.
    async fn status(&self, node: usize) -> Option<(u64, u64)> {
        let url = self.url(node, "etcdserverpb.Maintenance/Status");
        let answer = call(&self.nodes.http(true), &url, Message::default()).await.ok()?;
        let Some(Value::Bytes(header)) = field(&answer, 1) else { return None };
        match (field(header, 2), field(&answer, 4)) {
            (Some(Value::Number(member)), Some(Value::Number(leader))) => Some((member, leader)),
            _ => None,
        }
    }
}

impl Service for Cluster {
    type Client = Leased;

    fn name(&self) -> &'static str {
        "etcd"
    }

    async fn leader(&self) -> usize {
        let leading = async || {
            for node in 0..SIZE {
                if self.status(node).await.is_some_and(|(member, leader)| member == leader) {
                    return Some(node);
                }
            }
            None
        };
        self.nodes.wait_for("no node of etcd leads", leading).await
    }

    fn size(&self) -> usize {
        SIZE
    }

    async fn connect(&self, node: usize) -> Leased {
        let http = self.nodes.http(true);
        let grant = self.url(node, "etcdserverpb.Lease/LeaseGrant");
        let answer = call(&http, &grant, Message::default().number(1, LEASE_SECONDS)).await;
        let answer = answer.expect("etcd grants a lease");
        let Some(Value::Number(lease)) = field(&answer, 2) else { panic!("no lease in {answer:?}") };
        Leased {
            http,
            lease,
            lock: self.url(node, "v3lockpb.Lock/Lock"),
            unlock: self.url(node, "v3lockpb.Lock/Unlock"),
        }
    }
}

pub struct Leased {
    http: reqwest::Client,
    lease: u64,
    lock: String,
    unlock: String,
}

impl Client for Leased {
    async fn cycle(&mut self, name: &str) {
        let message = Message::default().bytes(1, name.as_bytes()).number(2, self.lease);
        let taken = call(&self.http, &self.lock, message).await.expect("etcd locks");
        let Some(Value::Bytes(key)) = field(&taken, 2) else { panic!("no key in {taken:?}") };
        call(&self.http, &self.unlock, Message::default().bytes(1, key)).await.expect("etcd unlocks");
    }
}
