//! All nodes of one cluster, and what a test does to them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::authority::Authority;
use super::disk::SmallDisk;
use super::network::Network;
use super::node::{Node, PEER_PORT};
use super::wire::{API_KEY, Ask, Wire};
use crate::support::certificate::scratch_directory;

/// How long a cluster may take to form, or to answer at all, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Adding a node sends it the whole state first.
const COMMAND_WITHIN: Duration = Duration::from_secs(30);
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// Where clients reach the nodes; grows when a node is added.
#[derive(Clone)]
pub struct Addresses(Arc<RwLock<Vec<(u64, SocketAddr)>>>);

impl Addresses {
    pub fn all(&self) -> Vec<(u64, SocketAddr)> {
        self.0.read().expect("no writer panics").clone()
    }

    /// One of them, chosen by any number.
    pub fn pick(&self, number: u64) -> (u64, SocketAddr) {
        let all = self.all();
        all[usize::try_from(number % all.len() as u64).expect("it is below their number")]
    }
}

impl From<Vec<(u64, SocketAddr)>> for Addresses {
    fn from(all: Vec<(u64, SocketAddr)>) -> Self {
        Self(Arc::new(RwLock::new(all)))
    }
}

pub struct Fleet {
    // Dropped in this order: processes before the namespaces that they live in, files last.
    pub nodes: Vec<Node>,
    pub network: Network,
    pub addresses: Addresses,
    authority: Authority,
    configuration: PathBuf,
    folder: tempfile::TempDir,
    /// The highest id that was ever given: the place of a node that is gone is not used again.
    newest: u64,
}

impl Fleet {
    /// Starts so many nodes, as one cluster, and waits until each of them serves.
    pub fn start(size: u64) -> Self {
        let mut fleet = Self::prepare(size, "");
        fleet.launch();
        fleet
    }

    /// The same without a start; `configuration` is added to the configuration file of every node.
    pub fn prepare(size: u64, configuration: &str) -> Self {
        let folder = tempfile::tempdir_in(scratch_directory()).expect("a directory under target/ can be made");
        let file = folder.path().join("latchd.toml");
        std::fs::write(&file, configuration).expect("the configuration can be written");
        let mut network = Network::new();
        let authority = Authority::new(&folder.path().join("authority"));
        (1..=size).for_each(|id| network.add(id));
        let mut fleet = Self {
            nodes: Vec::new(),
            network,
            addresses: Addresses(Arc::default()),
            authority,
            configuration: file,
            folder,
            newest: size,
        };
        let peers: Vec<String> = (1..=size).map(|id| format!("{id}={}", fleet.peer_url(id))).collect();
        for id in 1..=size {
            fleet.describe(id, (size > 1).then(|| peers.join(",")));
        }
        fleet
    }

    /// Starts every node and waits until each of them serves.
    pub fn launch(&mut self) {
        for node in &mut self.nodes {
            node.start(&self.network, None);
        }
        self.wait_until_ready();
    }

    /// Puts the data of every node on a small disk of its own, before the first start.
    pub fn use_small_disks(&mut self) {
        for node in &mut self.nodes {
            node.disk = Some(SmallDisk::mount(&node.data));
        }
    }

    /// Takes a node out of the membership.
    pub fn expel(&mut self, id: u64) {
        self.command("DELETE", &format!("/v1/cluster/members/{id}"), None, id);
    }

    /// The same, and forgets the node.
    pub fn remove(&mut self, id: u64) {
        self.expel(id);
        self.nodes.retain(|node| node.id != id);
        self.forget_address(id);
    }

    /// Clients no longer use this node.
    pub fn forget_address(&self, id: u64) {
        self.addresses.0.write().expect("no reader panics").retain(|(known, _)| *known != id);
    }

    /// Gives a node that was to run alone what it needs to talk to others, from its next start on.
    pub fn open_to_peers(&mut self, id: u64) {
        let flags = self.peer_flags(id, format!("{id}={}", self.peer_url(id)));
        self.node(id).arguments.extend(flags);
    }

    /// Makes a running node that is no member a voter.
    pub fn join(&mut self, id: u64) {
        let member = json!({"node": id, "address": self.peer_url(id)});
        self.command("POST", "/v1/cluster/members", Some(&member), id);
        self.command("POST", &format!("/v1/cluster/members/{id}/promote"), None, id);
    }

    /// Waits until this node itself has applied the grant: what a quorum has, one node may still lack.
    pub fn wait_for_holder(&self, id: u64, name: &str, token: u64) {
        let deadline = Instant::now() + PATIENCE;
        let shown = || self.ask(id, &format!("/v1/locks/{name}?consistency=stale"));
        while shown().is_none_or(|lock| lock["holders"][0]["fencing_token"] != json!(token)) {
            assert!(Instant::now() < deadline, "node {id} does not apply the grant of {name}\n{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the leader knows that this node has flushed the whole log.
    pub fn wait_for_whole_log(&mut self, id: u64) {
        let leader = self.leader();
        let deadline = Instant::now() + PATIENCE;
        let lags = |view: Value| {
            view["members"]
                .as_array()
                .expect("members")
                .iter()
                .any(|member| member["node"] == json!(id) && member["lag_entries"] != json!(0))
        };
        while self.ask(leader, "/v1/cluster").is_none_or(lags) {
            assert!(Instant::now() < deadline, "node {id} lags behind\n{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends an operator's command to the nodes besides `about`, until one of them carries it out.
    fn command(&self, method: &str, target: &str, body: Option<&Value>, about: u64) {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < deadline {
            for node in self.nodes.iter().filter(|node| node.id != about) {
                let ask = Ask { method, target, headers: &[], body };
                match Wire::new(node.address()).send(&ask, COMMAND_WITHIN) {
                    Ok(answer) if (200..300).contains(&answer.status) => return,
                    Ok(answer) => last = format!("{} {}", answer.status, answer.text()),
                    Err(error) => last = error.to_string(),
                }
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{method} {target} is answered {last}\n{}", self.told());
    }

    /// Makes a further place and starts a node there, empty and not yet a member.
    pub fn add(&mut self) -> u64 {
        self.newest += 1;
        let id = self.newest;
        self.network.add(id);
        let peers: Vec<String> =
            self.nodes.iter().map(|node| format!("{}={}", node.id, self.peer_url(node.id))).collect();
        self.describe(id, Some(format!("{},{id}={}", peers.join(","), self.peer_url(id))));
        let node = self.nodes.last_mut().expect("it was just described");
        node.start(&self.network, None);
        id
    }

    pub fn peer_url(&self, id: u64) -> String {
        format!("https://{}:{PEER_PORT}", self.network.address(id))
    }

    fn describe(&mut self, id: u64, peers: Option<String>) {
        let mut arguments: Vec<String> = ["--api-key", API_KEY, "--config"].map(str::to_owned).to_vec();
        arguments.push(self.configuration.display().to_string());
        arguments.extend(peers.into_iter().flat_map(|peers| self.peer_flags(id, peers)));
        let node = Node::new(id, self.folder.path(), &self.network, arguments);
        self.addresses.0.write().expect("no reader panics").push((id, node.address()));
        self.nodes.push(node);
    }

    fn peer_flags(&self, id: u64, peers: String) -> Vec<String> {
        let (certificate, key) = self.authority.pair(id, self.network.address(id));
        let flags = [
            ("--node-id", id.to_string()),
            ("--peer-listen", self.peer_url(id)),
            ("--peers", peers),
            ("--peer-ca", self.authority.certificate().display().to_string()),
            ("--peer-cert", certificate.display().to_string()),
            ("--peer-key", key.display().to_string()),
        ];
        flags.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    pub fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.iter_mut().find(|node| node.id == id).expect("there is such a node")
    }

    pub fn ids(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.id).collect()
    }

    /// All but this one.
    pub fn others(&self, than: u64) -> Vec<u64> {
        self.ids().into_iter().filter(|id| *id != than).collect()
    }

    pub fn start_node(&mut self, id: u64) {
        let network = &self.network;
        let node = self.nodes.iter_mut().find(|node| node.id == id).expect("there is such a node");
        node.start(network, None);
    }

    /// Waits until every node says that it can serve.
    pub fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        for at in 0..self.nodes.len() {
            let id = self.nodes[at].id;
            while self.ask(id, "/readyz").is_none() {
                assert!(self.nodes[at].is_running(), "node {id} has ended:\n{}", self.told());
                assert!(Instant::now() < deadline, "node {id} is not ready:\n{}", self.told());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// The leader, as any node reports it.
    pub fn leader(&mut self) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        if self.nodes.len() == 1 {
            return self.nodes[0].id;
        }
        loop {
            for id in self.ids() {
                if self.node(id).is_running()
                    && let Some(leader) = self.ask(id, "/v1/cluster").and_then(|view| view["leader"].as_u64())
                    && self.node(leader).is_running()
                {
                    return leader;
                }
            }
            assert!(Instant::now() < deadline, "nobody leads:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks a node for something; `None` unless it answers 200.
    pub fn ask(&self, id: u64, target: &str) -> Option<Value> {
        let answer = Wire::new(self.address(id)).send(&Ask::get(target), ASK_WITHIN).ok()?;
        (answer.status == 200).then(|| serde_json::from_slice(&answer.body).unwrap_or(json!({})))
    }

    pub fn address(&self, id: u64) -> SocketAddr {
        self.nodes.iter().find(|node| node.id == id).expect("there is such a node").address()
    }

    /// What all nodes wrote, for a message.
    pub fn told(&self) -> String {
        let told = self.nodes.iter().map(|node| format!("=== node {}\n{}", node.id, node.stderr()));
        told.collect::<Vec<_>>().join("\n")
    }
}
