//! Nodes: which incarnation may submit commands, and what its death does.

use super::kit::{
    Asking, Bench, RUN, RUN_OF_2, acquire, ask, ended, granted, node_down, node_up, release, request, start, store,
};
use latchd::domain::{
    Command, EndReason, Event, FEATURE_LEVEL, Incarnation, LeaderStart, NodeId, Outcome, Refusal, StoreId, WaitEnd,
};

const NEXT_RUN: Incarnation = Incarnation(22);
const UNKNOWN: Outcome = Outcome::Refused(Refusal::UnknownIncarnation);

/// Node 2 waits for a lock that node 1 holds.
fn waiting() -> (Bench, latchd::domain::CommandId) {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    let waiting = bench.from(RUN_OF_2).queued(ask("a", 2).lease_ms(60_000).wait_ms(60_000));
    bench.from(RUN);
    (bench, waiting)
}

fn up(store: StoreId) -> Command {
    Command::NodeUp { node: NodeId(2), incarnation: NEXT_RUN, store, level: FEATURE_LEVEL }
}

#[test]
fn registered_node_may_submit_commands() {
    let mut bench = Bench::new();
    assert_eq!(bench.from(RUN_OF_2).outcome(ask("a", 1)), UNKNOWN);
    assert_eq!(bench.from(RUN).outcome(node_up(2, RUN_OF_2)), Outcome::NodeRecorded);
    assert!(matches!(bench.from(RUN_OF_2).outcome(ask("a", 1)), Outcome::Acquired(_)));
}

#[test]
fn commands_of_a_dead_node_are_refused_for_ever() {
    let mut bench = Bench::cluster();
    bench.outcome(node_down(2, RUN_OF_2));
    let unheard = bench.from(RUN_OF_2).submitted(acquire(ask("a", 1)));
    let again = unheard.clone();
    assert_eq!(bench.submit(Vec::new(), false, vec![unheard]).outcomes[0].1, UNKNOWN);
    bench.from(RUN).outcome(node_up(2, RUN_OF_2));
    assert_eq!(bench.submit(Vec::new(), false, vec![again]).outcomes[0].1, Outcome::Duplicate);
    assert!(matches!(bench.from(RUN_OF_2).outcome(ask("a", 1)), Outcome::Acquired(_)));
}

#[test]
fn new_incarnation_restarts_command_numbers() {
    let mut bench = Bench::cluster();
    bench.from(RUN_OF_2).acquired(ask("a", 1));
    let last = bench.last_id().sequence;
    bench.from(RUN).outcome(node_up(2, RUN_OF_2));
    assert_eq!(bench.table.nodes()[&NodeId(2)].last_sequence, last);
    bench.outcome(node_up(2, NEXT_RUN));
    assert_eq!(bench.table.nodes()[&NodeId(2)].last_sequence, 0);
    assert_eq!(bench.from(RUN_OF_2).outcome(release("a", 1)), UNKNOWN, "the old incarnation is over");
    assert!(matches!(bench.from(NEXT_RUN).outcome(release("a", 1)), Outcome::Released { .. }));
}

#[test]
fn waiters_of_a_dead_node_leave() {
    let (mut bench, waiting) = waiting();
    let (outcome, events) = bench.run(node_down(2, RUN_OF_2));
    assert_eq!(outcome, Outcome::NodeRecorded);
    assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::Cancelled, frozen: None }]);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn only_waiters_of_the_restarted_node_leave() {
    let (mut bench, waiting) = waiting();
    bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let (_, events) = bench.run(node_up(2, NEXT_RUN));
    assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::Cancelled, frozen: None }]);
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn leader_change_keeps_waiters_of_other_nodes() {
    let (mut bench, _) = waiting();
    let lead =
        LeaderStart { node: NodeId(3), incarnation: Incarnation(3), store: store(3), confirm: true, ..start(RUN) };
    assert_eq!(bench.lead(lead), []);
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn lock_is_not_granted_to_waiters_of_a_dead_node() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    bench.from(RUN_OF_2).queued(ask("a", 2).lease_ms(60_000).wait_ms(60_000));
    let unconfirmed = bench.from(RUN).queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    bench.outcome(node_down(2, RUN_OF_2));
    assert_eq!(granted(&bench.run(release("a", 1)).1), [(unconfirmed, true)]);
}

#[test]
fn only_the_recorded_incarnation_can_go_down() {
    let mut bench = Bench::cluster();
    assert_eq!(bench.refused(node_down(2, NEXT_RUN)), Refusal::NodeUnknown);
    assert_eq!(bench.refused(node_down(3, RUN_OF_2)), Refusal::NodeUnknown);
    assert_eq!(bench.outcome(node_down(2, RUN_OF_2)), Outcome::NodeRecorded);
    assert_eq!(bench.refused(node_down(2, RUN_OF_2)), Refusal::NodeUnknown);
}

#[test]
fn node_with_another_store_is_refused() {
    let (mut bench, _) = waiting();
    let before = bench.table.nodes().get(&NodeId(2)).cloned();
    assert_eq!(bench.refused(up(store(9))), Refusal::StoreMismatch);
    assert_eq!(bench.table.nodes().get(&NodeId(2)).cloned(), before);
    assert_eq!(bench.seen("a"), (1, 1));
}

#[test]
fn forgotten_node_may_return_with_another_store() {
    let (mut bench, waiting) = waiting();
    let (_, events) = bench.run(Command::ForgetNode { node: NodeId(2) });
    assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::Cancelled, frozen: None }]);
    assert_eq!(bench.refused(Command::ForgetNode { node: NodeId(2) }), Refusal::NodeUnknown);
    assert_eq!(bench.outcome(up(store(9))), Outcome::NodeRecorded);
    assert_eq!(bench.table.nodes()[&NodeId(2)].store, store(9));
}

#[test]
fn unknown_store_is_recorded_once_known() {
    let mut bench = Bench::started(LeaderStart { store: StoreId::UNKNOWN, ..start(RUN) });
    bench.lead_with(RUN);
    assert_eq!(bench.table.nodes()[&NodeId(1)].store, store(1));
    bench.lead(LeaderStart { store: StoreId::UNKNOWN, ..start(RUN) });
    assert_eq!(bench.table.nodes()[&NodeId(1)].store, store(1));
}

#[test]
fn answered_hold_of_a_dead_node_lasts_until_its_lease_ends() {
    let (mut bench, _) = waiting();
    bench.from(RUN_OF_2).acquired(ask("b", 9).lease_ms(100).request(1));
    bench.from(RUN).outcome(node_down(2, RUN_OF_2));
    bench.pass_ms(100).tick();
    assert_eq!(bench.seen("b"), (1, 0));
    assert_eq!(ended(&bench.pass_ms(1).tick()).len(), 1);
}

#[test]
fn waiter_with_idempotency_key_keeps_its_place_ten_seconds() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    let waiting = bench.from(RUN_OF_2).queued(ask("a", 2).request(1).lease_ms(60_000).wait_ms(60_000));
    let (_, events) = bench.from(RUN).run(node_down(2, RUN_OF_2));
    assert_eq!(events, [Event::WaiterEnded { command: waiting, why: WaitEnd::Cancelled, frozen: None }]);
    bench.pass_ms(10_000).tick();
    assert_eq!(bench.seen("a"), (1, 1));
    bench.pass_ms(1).tick();
    assert_eq!(bench.seen("a"), (1, 0));
    assert_eq!(bench.table.counts().idempotency_keys, 0, "{:?} came to nothing", request(1, 0));
}

#[test]
fn many_waiters_of_a_dead_node_leave_at_once() {
    const WAITERS: u64 = 5_000;
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    let asks = (0..WAITERS).map(|n| acquire(ask("a", 2 + n).lease_ms(60_000).wait_ms(60_000)));
    bench.from(RUN_OF_2).batch(asks.collect());
    let (_, events) = bench.from(RUN).run(node_down(2, RUN_OF_2));
    assert_eq!(events.len() as u64, WAITERS);
    assert_eq!(bench.seen("a"), (1, 0));
    assert_eq!(ended(&bench.run(release("a", 1)).1), [(latchd::domain::Token(1_000), EndReason::Released)]);
}
