//! Step by step: failures that random seeds have found.

use std::time::Duration;

use latchd::domain::{Acquire, Dialect, HoldKey};
use latchd::engine::{Engine, Fault, MemberError};

use super::stream::address;
use super::world::World;

const SOON_MS: u64 = 5_000;

/// Asks a node, and waits for its answer.
fn ask<F>(world: &mut World, node: u64, what: impl FnOnce(Engine) -> F + Send + 'static) -> Result<(), Fault>
where
    F: Future<Output = Result<(), Fault>> + Send + 'static,
{
    let endpoints = world.endpoints.clone();
    let asked = world.spawn(async move {
        let request = async move |engine: Engine| (what(engine).await, None);
        endpoints.ask(node, Duration::from_millis(2), Duration::from_secs(5), request).await
    });
    assert!(world.until(SOON_MS, |_| asked.is_finished()), "no answer");
    let answer = futures_util::FutureExt::now_or_never(asked).expect("it is finished").expect("no panic");
    answer.unwrap_or_else(|no_answer| panic!("{no_answer:?}"))
}

/// A tick that is due waits for the flush: a proposer that looks again at once would keep its thread busy.
#[test]
fn flush_that_outlasts_a_lease_leaves_the_proposer_asleep() {
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut world = World::new(12, false);
        assert!(world.form_alone(1, SOON_MS));
        let acquire = async move |engine: Engine| {
            let acquire =
                Acquire { lease_ms: Some(50), ..Acquire::new("job".into(), HoldKey([1; 16]), Dialect::LdlmRest) };
            engine.acquire(acquire).await.map(|granted| granted.delivery.delivered())
        };
        assert_eq!(ask(&mut world, 1, acquire), Ok(()));
        world.nodes[&1].disk.set_sync(Duration::from_millis(400));
        assert!(!world.until(2_000, |_| false));
        ended.send(())
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(()), "the proposer spins");
}

/// It leads no more, and has not heard of it: the node that it does not know was added meanwhile.
#[test]
fn paused_leader_does_not_decide_membership() {
    let mut world = World::new(11, false);
    assert!(world.form(&[1, 2, 3], SOON_MS));
    let old = world.leader().expect("waited for");
    world.nodes.get_mut(&old).expect("a known node").paused = true;
    assert!(world.until(SOON_MS, |world| world.leader().is_some()));
    let new = world.leader().expect("waited for");
    world.add(4, &[1, 2, 3, 4]);
    world.start(4);
    assert_eq!(ask(&mut world, new, async move |engine: Engine| engine.add_member(4, address(4)).await), Ok(()));
    let now = world.now;
    world.nodes.get_mut(&old).expect("a known node").resume(now);
    let said = ask(&mut world, old, async move |engine: Engine| engine.remove_member(4).await);
    assert_ne!(said, Err(Fault::Member(MemberError::Unknown(4))), "as an operator would be told for good");
}
