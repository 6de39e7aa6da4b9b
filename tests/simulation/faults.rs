//! What is done to a simulated cluster, and how it is undone.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::forger;
use super::link_conditions::{CALM, LinkConditions};
use super::network::Millis;
use super::node::{Node, SYNC};
use super::world::World;
use crate::proof::random::Random;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Killed, or without power: then what was not synced is gone.
    Crash {
        power: bool,
    },
    CrashAll {
        power: bool,
    },
    /// As by SIGSTOP.
    Pause,
    /// Cut off from all others, both ways.
    Isolate,
    /// Heard by nobody, or hears nobody.
    OneWay {
        hears: bool,
    },
    /// One link of two nodes, one way.
    Link,
    Storm(LinkConditions),
    SlowDisk {
        sync_ms: u64,
    },
    /// As by SIGTERM.
    Restart,
    /// Killed, and started anew with a way to other nodes where it had none, or without.
    Switch,
    Grow,
    Shrink,
    /// A node loses its disk and is replaced.
    Replace,
    /// Killed, and the newest entries of its log are gone although they were flushed.
    LoseEnd {
        entries: usize,
    },
    /// Somebody on the network of the nodes speaks in the name of a stranger or, with its certificate, of a member.
    Forge {
        as_member: bool,
    },
}

/// What ends a fault.
#[derive(Clone, Debug)]
pub enum Repair {
    Start(u64),
    /// Of a process that was told to end and may be gone by now.
    StartAnew(u64),
    Resume(u64),
    Heal(Vec<(u64, u64)>),
    Calm,
    FastDisk(u64),
}

/// A kind of fault: how often it is chosen among all, what it is, and one of it.
pub struct Kind {
    weight: usize,
    pub words: &'static str,
    pub one: fn(&mut Random) -> Fault,
}

const fn kind(weight: usize, words: &'static str, one: fn(&mut Random) -> Fault) -> Kind {
    Kind { weight, words, one }
}

pub const KINDS: [Kind; 18] = [
    kind(3, "a process is killed", |_| Fault::Crash { power: false }),
    kind(4, "a machine loses power, and what was not flushed", |_| Fault::Crash { power: true }),
    kind(1, "all processes are killed at once", |_| Fault::CrashAll { power: false }),
    kind(2, "all machines lose power at once, and what was not flushed", |_| Fault::CrashAll { power: true }),
    kind(3, "a process stands still", |_| Fault::Pause),
    kind(2, "a node is cut off from all others", |_| Fault::Isolate),
    kind(1, "a node hears the others and is heard by none", |_| Fault::OneWay { hears: true }),
    kind(1, "a node is heard by the others and hears none", |_| Fault::OneWay { hears: false }),
    kind(1, "one link fails, one way", |_| Fault::Link),
    kind(2, "packets are late, out of order and lost, connections break", storm),
    kind(1, "a flush takes up to 0.4 s", |random| Fault::SlowDisk { sync_ms: 20 + random.next() % 400 }),
    kind(2, "a process is told to end and started anew", |_| Fault::Restart),
    kind(1, "a node is added", |_| Fault::Grow),
    kind(1, "a node is removed", |_| Fault::Shrink),
    kind(1, "a node loses its disk and is replaced", |_| Fault::Replace),
    kind(2, "a disk loses the end of the log although it was flushed", |random| Fault::LoseEnd {
        entries: 1 + random.below(40),
    }),
    kind(1, "a stranger sends votes, entries and snapshots", |_| Fault::Forge { as_member: false }),
    kind(1, "a member's certificate sends votes and entries of absurd terms", |_| Fault::Forge { as_member: true }),
];

/// What is done to a node without peers.
pub const KINDS_ALONE: [Kind; 6] = [
    kind(3, "the only process is killed", |_| Fault::Crash { power: false }),
    kind(4, "the only machine loses power, and what was not flushed", |_| Fault::Crash { power: true }),
    kind(1, "the only process stands still", |_| Fault::Pause),
    kind(1, "a flush of the only node takes up to 0.4 s", |random| Fault::SlowDisk {
        sync_ms: 20 + random.next() % 400,
    }),
    kind(2, "the only process is told to end and started anew", |_| Fault::Restart),
    kind(2, "the only process is killed, and started with or without a port for peers", |_| Fault::Switch),
];

fn storm(random: &mut Random) -> Fault {
    let (delay_ms, jitter_ms) = (5 + random.next() % 60, random.next() % 120);
    Fault::Storm(LinkConditions { delay_ms, jitter_ms, lost: 100, broken: 5 })
}

fn draw(kinds: &[Kind], random: &mut Random) -> Fault {
    let mut left = random.below(kinds.iter().map(|kind| kind.weight).sum());
    for kind in kinds {
        match left.checked_sub(kind.weight) {
            Some(rest) => left = rest,
            None => return (kind.one)(random),
        }
    }
    unreachable!("less than the sum of the weights")
}

/// Faults and when each strikes and ends; some overlap.
pub fn plan(kinds: &[Kind], random: &mut Random, from: Millis, until: Millis) -> Vec<(Millis, Fault, Millis)> {
    let mut plan = Vec::new();
    let mut at = from;
    loop {
        at += 300 + random.next() % 2500;
        let lasts = [50 + random.next() % 800, 800 + random.next() % 3500][random.below(2)];
        if at + lasts > until {
            return plan;
        }
        plan.push((at, draw(kinds, random), lasts));
    }
}

/// The node that is hit: often the leader.
fn victim(world: &World, random: &mut Random) -> u64 {
    let ids: Vec<u64> = world.nodes.keys().copied().collect();
    let other = ids[random.below(ids.len())];
    world.leader().filter(|_| random.below(2) == 0).unwrap_or(other)
}

fn links(world: &World, node: u64) -> Vec<(u64, u64)> {
    world.nodes.keys().filter(|other| **other != node).map(|other| (node, *other)).collect()
}

fn back((from, to): (u64, u64)) -> (u64, u64) {
    (to, from)
}

/// Does it; what repairs it. Those that change the membership are done by `members.rs`.
pub fn strike(world: &mut World, fault: Fault, random: &mut Random) -> Vec<Repair> {
    let node = victim(world, random);
    world.note(&format!("{fault:?} at node {node}"));
    match fault {
        Fault::Crash { power } => crash(world, node, power).into_iter().collect(),
        Fault::CrashAll { power } => {
            let all: Vec<u64> = world.nodes.keys().copied().collect();
            all.into_iter().filter_map(|node| crash(world, node, power)).collect()
        }
        Fault::Pause => {
            let it = world.nodes.get_mut(&node).expect("a known node");
            it.paused = it.run.is_some();
            vec![Repair::Resume(node)]
        }
        Fault::Isolate => {
            let out = links(world, node);
            cut(world, out.iter().copied().chain(out.iter().copied().map(back)).collect())
        }
        Fault::OneWay { hears: true } => cut(world, links(world, node)),
        Fault::OneWay { hears: false } => cut(world, links(world, node).into_iter().map(back).collect()),
        Fault::Link => {
            let out = links(world, node);
            let link = out[random.below(out.len())];
            cut(world, vec![link])
        }
        Fault::Storm(conditions) => {
            world.network.lock().set_conditions(conditions);
            vec![Repair::Calm]
        }
        Fault::SlowDisk { sync_ms } => {
            world.nodes[&node].disk.set_sync(Duration::from_millis(sync_ms));
            vec![Repair::FastDisk(node)]
        }
        Fault::Restart => {
            terminate(&world.nodes[&node]);
            vec![Repair::StartAnew(node)]
        }
        Fault::Switch => {
            let repair = crash(world, node, random.below(2) == 0);
            let it = world.nodes.get_mut(&node).expect("a known node");
            it.is_standalone ^= repair.is_some();
            repair.into_iter().collect()
        }
        Fault::LoseEnd { .. } if world.disk_was_lost => Vec::new(),
        Fault::LoseEnd { entries } => {
            let repair = crash(world, node, false);
            if repair.is_some() {
                world.disk_was_lost = true;
                world.nodes[&node].disk.lose_end(entries);
            }
            repair.into_iter().collect()
        }
        Fault::Forge { as_member } => {
            forger::begin(world, as_member.then_some(node));
            Vec::new()
        }
        Fault::Grow | Fault::Shrink | Fault::Replace => Vec::new(),
    }
}

fn crash(world: &mut World, node: u64, power: bool) -> Option<Repair> {
    let runs = world.nodes[&node].run.is_some();
    runs.then(|| {
        world.end(node, power);
        Repair::Start(node)
    })
}

fn cut(world: &World, links: Vec<(u64, u64)>) -> Vec<Repair> {
    let mut state = world.network.lock();
    links.iter().for_each(|(from, to)| state.cut(*from, *to));
    drop(state);
    vec![Repair::Heal(links)]
}

/// What the server does when it is told to end. The world ends the process after that: in which order an engine that is
/// stopped drops its connections does not follow from the seed.
fn terminate(node: &Node) {
    let (Some(engine), Some((handle, _))) = (node.engine().cloned(), node.endpoint()) else { return };
    let has_ended = node.has_ended.clone();
    handle.spawn(async move {
        engine.close();
        engine.transfer_leadership().await;
        has_ended.store(true, Relaxed);
    });
}

pub fn repair(world: &mut World, repair: Repair) {
    world.note(&format!("{repair:?}"));
    let now = world.now;
    match repair {
        Repair::Start(node) => start(world, node),
        Repair::StartAnew(node) => {
            if world.nodes[&node].run.is_some() {
                world.end(node, false);
            }
            start(world, node);
        }
        Repair::Resume(node) => world.nodes.get_mut(&node).expect("a known node").resume(now),
        Repair::Heal(links) => links.iter().for_each(|(from, to)| world.network.lock().heal(*from, *to)),
        Repair::Calm => world.network.lock().set_conditions(CALM),
        Repair::FastDisk(node) => world.nodes[&node].disk.set_sync(SYNC),
    }
}

fn start(world: &mut World, node: u64) {
    if world.nodes[&node].run.is_none() {
        world.start(node);
    }
}
