//! Nodes, their network and their clients, step by step through true time.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use latchd::base::{clock, random};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::endpoints::Endpoints;
use super::invariants::Invariants;
use super::network::{Millis, Network};
use super::node::{DRIFT_MAX_PPM, Node, simulated_runtime};
use super::trace::Trace;
use crate::proof::random::Random;

/// No message arrives sooner, so nodes run independently during one step, in any order.
pub const STEP: Millis = 2;
/// The wall clock of all nodes: it stands still.
const UNIX_SECONDS: u64 = 1_800_000_000;

pub struct World {
    pub now: Millis,
    pub network: Network,
    pub nodes: BTreeMap<u64, Node>,
    pub endpoints: Endpoints,
    pub invariants: Invariants,
    /// A disk has lost synced data. A second loss would be more than a cluster of three can survive.
    pub disk_was_lost: bool,
    clients: Runtime,
    clients_began: Instant,
    random: Random,
}

impl World {
    /// An empty world. From now on everything random on this thread follows from the seed.
    pub fn new(seed: u64, in_words: bool) -> World {
        let mut ids = Random::of(seed);
        random::set_source(Box::new(move || {
            let (low, high) = (ids.next(), ids.next());
            (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
        }));
        clock::set_wall_clock(Box::new(|| Duration::from_secs(UNIX_SECONDS)));
        let mut random = Random::of(seed);
        let network = Network::new(random.fork(), STEP, Trace::new(in_words));
        let clients = simulated_runtime();
        let clients_began = {
            let _inside = clients.enter();
            Instant::now()
        };
        World {
            now: 0,
            network,
            nodes: BTreeMap::new(),
            endpoints: Endpoints::default(),
            invariants: Invariants::default(),
            disk_was_lost: false,
            clients,
            clients_began,
            random,
        }
    }

    /// A machine with an empty disk, whose process will be started with this list of nodes; alone, if it is empty.
    pub fn add(&mut self, node: u64, initial: &[u64]) {
        self.nodes.insert(node, Node::new(node, initial));
    }

    /// Starts a process, with a clock that drifts as it likes.
    pub fn start(&mut self, node: u64) {
        let range = 2 * usize::try_from(DRIFT_MAX_PPM).expect("small") + 1;
        let drift_ppm = self.random.below(range) as i64 - DRIFT_MAX_PPM;
        self.note(&format!("node {node} starts, its clock off by {drift_ppm} ppm"));
        self.invariants.forget(node);
        let it = self.nodes.get_mut(&node).expect("a known node");
        it.start(self.now, &self.network, drift_ppm);
        self.endpoints.open(node, it);
    }

    /// The process is killed, or the power of its machine fails.
    pub fn end(&mut self, node: u64, power_fails: bool) {
        self.endpoints.close(node);
        self.network.lock().ends(node, power_fails);
        let it = self.nodes.get_mut(&node).expect("a known node");
        it.end();
        if power_fails {
            let kept = self.random.below(it.disk.unsynced() + 1);
            it.disk.lose_unsynced(kept);
        }
    }

    pub fn note(&self, what: &str) {
        self.network.note(what);
    }

    /// Runs on the clients' side, whose clock is the true one.
    pub fn spawn<T: Send + 'static>(&self, client: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.clients.spawn(client)
    }

    /// The moment at which the world began, by the clients' clock.
    pub fn clients_began(&self) -> Instant {
        self.clients_began
    }

    pub fn step(&mut self) {
        self.now += STEP;
        self.network.advance(self.now);
        for node in self.nodes.values_mut() {
            node.drive(self.now);
            self.invariants.look(node);
        }
        let ended = self.nodes.values().filter(|node| node.run.is_some() && node.has_ended.load(Relaxed));
        let ended: Vec<u64> = ended.map(|node| node.id).collect();
        ended.into_iter().for_each(|node| self.end(node, false));
        let until = self.clients_began + Duration::from_millis(self.now);
        self.clients.block_on(async { tokio::time::sleep_until(until).await });
    }

    /// Nodes with this list, started, one of which leads.
    pub fn form(&mut self, nodes: &[u64], within: Millis) -> bool {
        for node in nodes {
            self.add(*node, nodes);
            self.start(*node);
        }
        self.until(within, |world| world.leader().is_some())
    }

    /// A node without peers, started, that leads.
    pub fn form_alone(&mut self, node: u64, within: Millis) -> bool {
        self.add(node, &[]);
        self.start(node);
        self.until(within, |world| world.leader().is_some())
    }

    /// A node that considers itself leader.
    pub fn leader(&self) -> Option<u64> {
        let leads = |node: &&Node| !node.paused && node.engine().is_some_and(|engine| engine.overview().leader);
        self.nodes.values().find(leads).map(|node| node.id)
    }

    /// Steps until `is_so`, at most `within`; whether it became so.
    pub fn until(&mut self, within: Millis, mut is_so: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + within;
        while self.now < end {
            if is_so(self) {
                return true;
            }
            self.step();
        }
        is_so(self)
    }
}
