//! One run: a cluster that forms, is hit and healed, and the judgement of what its clients saw.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::Once;
use std::time::Duration;

use super::call_log::CallLog;
use super::client::Client;
use super::faults::{self, Fault, Repair};
use super::frozen;
use super::members::Operators;
use super::network::Millis;
use super::trace::Trace;
use super::workload;
use super::world::World;
use crate::cluster::checks;
use crate::cluster::tries::Wanted;
use crate::proof::random::Random;

const FORMED_WITHIN: Millis = 5_000;
/// After everything is healed every member must give a new lock within this time.
const HEALED_WITHIN: Millis = 10_000;
/// For clients to come to an end: none goes on with one thing for longer than 40 s.
const ENDED_WITHIN: Millis = 90_000;
const EQUAL_WITHIN: Millis = 15_000;
/// A run with fewer proves nothing.
const GRANTS_AT_LEAST: usize = 20;

/// What a run is to be like.
#[derive(Clone, Copy)]
pub struct Shape {
    pub seed: u64,
    /// One node without peers instead of a cluster.
    pub alone: bool,
    pub faults_ms: Millis,
    /// Keeps what happened in words.
    pub in_words: bool,
    /// Instead of random ones.
    pub only: Option<Fault>,
}

pub struct Report {
    pub complaints: Vec<String>,
    pub trace: Trace,
    pub operations: usize,
    pub grants: usize,
    pub took_ms: Millis,
}

pub fn run(shape: Shape) -> Report {
    watch_panics();
    PANICS.set(0);
    let mut random = Random::of(shape.seed ^ 0x5eed);
    let mut world = World::new(shape.seed, shape.in_words);
    let mut complaints = Vec::new();
    let nodes: Vec<u64> = (1..=if shape.alone { 1 } else { [3, 3, 3, 5][random.below(4)] }).collect();
    let formed = if shape.alone { world.form_alone(1, FORMED_WITHIN) } else { world.form(&nodes, FORMED_WITHIN) };
    if !formed {
        complaints.push(format!("no leader within {FORMED_WITHIN} ms"));
    }
    let call_log = CallLog::new(&world);
    let clients = workload::begin(&world, &call_log, &nodes, &mut random);
    let mut operators = Operators::default();
    hit(&mut world, &mut operators, &shape, &mut random);
    complaints.extend(serves_again(&mut world, &call_log, &mut random));
    call_log.close();
    if complaints.is_empty() {
        complaints.extend(diverged(&mut world));
    }
    let ended = |_: &mut World| clients.iter().all(|client| client.is_finished()) && !operators.are_busy();
    if complaints.is_empty() && !world.until(ENDED_WITHIN, ended) {
        complaints.push(format!("clients or operators are stuck after {ENDED_WITHIN} ms"));
    }
    // Judged when no call is under way: a release that has not been answered yet may have let the next holder in.
    let (history, told) = call_log.take();
    complaints.extend(told);
    complaints.extend(world.invariants.complaints());
    complaints.extend(frozen::complaints(&call_log.frozen(), &history));
    complaints.extend(checks::quick(&history));
    // The long search says nothing new of a run that has failed.
    if complaints.is_empty() {
        complaints.extend(checks::all(&history));
    }
    let grants = history.ops.iter().filter(|op| op.granted().is_some()).count();
    if grants < GRANTS_AT_LEAST {
        complaints.push(format!("only {grants} grants, which proves nothing"));
    }
    for node in world.nodes.values_mut() {
        node.end();
    }
    if PANICS.get() > 0 {
        complaints.push(format!("{} panics", PANICS.get()));
    }
    let trace = std::mem::take(&mut world.network.lock().trace);
    Report { complaints, trace, operations: history.ops.len(), grants, took_ms: world.now }
}

/// Faults one after another, and in the end everything healed.
fn hit(world: &mut World, operators: &mut Operators, shape: &Shape, random: &mut Random) {
    let until = world.now + shape.faults_ms;
    let kinds = if shape.alone { &faults::KINDS_ALONE[..] } else { &faults::KINDS[..] };
    let mut plan = faults::plan(kinds, random, world.now, until).into_iter().peekable();
    let mut repairs: Vec<(Millis, Repair)> = Vec::new();
    while world.now < until {
        while let Some((_, fault, lasts)) = plan.next_if(|(at, ..)| *at <= world.now) {
            let fault = shape.only.unwrap_or(fault);
            let ends = world.now + lasts;
            repairs.extend(faults::strike(world, fault, random).into_iter().map(|repair| (ends, repair)));
            match fault {
                Fault::Grow => operators.grow(world),
                Fault::Shrink => operators.shrink(world, random),
                Fault::Replace => operators.replace(world, random),
                _ => {}
            }
        }
        let (due, later) = repairs.into_iter().partition(|(at, _)| *at <= world.now);
        repairs = later;
        let due: Vec<(Millis, Repair)> = due;
        due.into_iter().for_each(|(_, repair)| faults::repair(world, repair));
        world.step();
    }
    repairs.into_iter().for_each(|(_, repair)| faults::repair(world, repair));
}

/// The members, as the leader knows them.
fn members(world: &World) -> Vec<u64> {
    let leader = world.leader().and_then(|leader| world.nodes[&leader].engine());
    // Asked of this node alone: it may have ceased to lead, and out here nobody waits for another's answer.
    let view = leader.map(|leader| leader.local_cluster());
    view.into_iter().flat_map(|view| view.members).map(|member| member.node).collect()
}

/// Every member gives a new lock in time.
fn serves_again(world: &mut World, call_log: &Arc<CallLog>, random: &mut Random) -> Vec<String> {
    world.until(HEALED_WITHIN / 2, |world| !members(world).is_empty());
    let members = members(world);
    let mut complaints = Vec::new();
    if members.is_empty() {
        complaints.push(format!("nobody leads {} ms after everything was healed", HEALED_WITHIN / 2));
    }
    let probes: Vec<_> = members
        .into_iter()
        .map(|node| {
            let client = Client::new(2000 + node, call_log, &world.endpoints, &[node], random.fork());
            (node, world.spawn(probe(client, node)))
        })
        .collect();
    if !world.until(HEALED_WITHIN, |_| probes.iter().all(|(_, probe)| probe.is_finished())) {
        let stuck: Vec<u64> = probes.iter().filter(|(_, probe)| !probe.is_finished()).map(|(node, _)| *node).collect();
        complaints.push(format!("{HEALED_WITHIN} ms after everything was healed the nodes {stuck:?} give no lock"));
    }
    complaints
}

async fn probe(mut client: Client, node: u64) {
    let wanted = Wanted { lease_ms: 500, wait_ms: None, keyed: false, patience: Duration::from_secs(2) };
    client.move_to(node);
    loop {
        let id = client.call_log.number();
        if client.acquire(&format!("probe-{id}"), wanted, id).await.is_some() {
            return client.abandon().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is wrong if the members do not come to the same state at the same entry.
fn diverged(world: &mut World) -> Option<String> {
    let mut told = String::new();
    let equal = world.until(EQUAL_WITHIN, |world| {
        let of = |node: u64| world.nodes.get(&node).and_then(|node| node.engine());
        let engines: Vec<_> = members(world).into_iter().filter_map(of).collect();
        let indexes: Vec<u64> = engines.iter().map(|engine| engine.overview().log.applied_index).collect();
        if engines.is_empty() || indexes.iter().any(|index| *index != indexes[0]) {
            told = format!("they have applied up to {indexes:?}");
            return false;
        }
        let digests: Vec<(u64, String)> = engines.iter().map(|engine| engine.state_digest()).collect();
        if digests.iter().any(|digest| *digest != digests[0]) {
            told = format!("{digests:?}");
            return false;
        }
        true
    });
    (!equal).then(|| format!("the members differ: {told}"))
}

thread_local! {
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// A task that panics is only seen by who waits for it: so they are counted.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}
