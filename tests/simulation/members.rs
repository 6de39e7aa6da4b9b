//! Changes of the membership in a simulated run: an operator who asks any node, again and again, until it is done.

use std::time::Duration;

use latchd::engine::{Engine, Fault, MemberError};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::endpoints::Endpoints;
use super::network::Network;
use super::stream::address;
use super::world::World;
use crate::proof::random::Random;

const TRAVELS: Duration = Duration::from_millis(3);
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(250);
/// The longest that anybody tries.
const TRIES: u32 = 60;

#[derive(Clone, Copy, Debug)]
enum Change {
    Add,
    Promote,
    Remove,
}

/// The operators at work.
#[derive(Default)]
pub struct Operators {
    at_work: Vec<JoinHandle<()>>,
}

impl Operators {
    /// A new node joins and gets a vote.
    pub fn grow(&mut self, world: &mut World) {
        let known: Vec<u64> = world.nodes.keys().copied().collect();
        let newest = known.last().map_or(1, |last| last + 1);
        if known.len() >= 5 || self.are_busy() {
            return;
        }
        let all: Vec<u64> = known.iter().copied().chain([newest]).collect();
        world.add(newest, &all);
        world.start(newest);
        self.work(world, newest, &[Change::Add, Change::Promote]);
    }

    /// A node is removed; its process keeps running alone.
    pub fn shrink(&mut self, world: &World, random: &mut Random) {
        let known: Vec<u64> = world.nodes.keys().copied().collect();
        if known.len() > 3 && !self.are_busy() {
            let node = known[random.below(known.len())];
            self.work(world, node, &[Change::Remove]);
        }
    }

    /// A node comes back with an empty disk, is removed and added again.
    pub fn replace(&mut self, world: &mut World, random: &mut Random) {
        let known: Vec<u64> = world.nodes.keys().copied().collect();
        if world.disk_was_lost || self.are_busy() {
            return;
        }
        world.disk_was_lost = true;
        let node = known[random.below(known.len())];
        if world.nodes[&node].run.is_some() {
            world.end(node, true);
        }
        world.note(&format!("node {node} has lost its disk"));
        world.add(node, &known);
        world.start(node);
        self.work(world, node, &[Change::Remove, Change::Add, Change::Promote]);
    }

    pub fn are_busy(&self) -> bool {
        self.at_work.iter().any(|work| !work.is_finished())
    }

    fn work(&mut self, world: &World, node: u64, changes: &'static [Change]) {
        let asked: Vec<u64> = world.nodes.keys().copied().filter(|other| *other != node).collect();
        let operator = Operator { endpoints: world.endpoints.clone(), network: world.network.clone(), asked, node };
        self.at_work.push(world.spawn(async move {
            for change in changes {
                operator.carry_out(*change).await;
            }
        }));
    }
}

struct Operator {
    endpoints: Endpoints,
    network: Network,
    asked: Vec<u64>,
    /// The node that the change is about.
    node: u64,
}

impl Operator {
    async fn carry_out(&self, change: Change) {
        let node = self.node;
        for attempt in 0..TRIES {
            let endpoint = self.asked[attempt as usize % self.asked.len()];
            let change_it = async move |engine: Engine| (ask(&engine, node, change).await, None);
            let done = self.endpoints.ask(endpoint, TRAVELS, PATIENCE, change_it).await;
            self.network.note(&format!("{change:?} {node} through {endpoint}: {done:?}"));
            let is_so = match (change, done) {
                (_, Ok(Ok(()))) => true,
                (Change::Add, Ok(Err(Fault::Member(MemberError::AlreadyMember { .. })))) => attempt > 0,
                (Change::Promote, Ok(Err(Fault::Member(MemberError::AlreadyVoter(_))))) => true,
                (Change::Remove, Ok(Err(Fault::Member(MemberError::Unknown(_))))) => true,
                _ => false,
            };
            if is_so {
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

async fn ask(engine: &Engine, node: u64, change: Change) -> Result<(), Fault> {
    match change {
        Change::Add => engine.add_member(node, address(node)).await,
        Change::Promote => engine.promote_member(node).await,
        Change::Remove => engine.remove_member(node).await,
    }
}
