//! Deliveries: a hold that was granted to a waiter is confirmed once its node can answer.

use super::kit::{
    Asking, Bench, RUN, RUN_OF_2, ask, confirm, ended, granted, name, node_down, node_up, release, renew, start,
};
use latchd::domain::{Command, CommandId, EndReason, Incarnation, LeaderStart, Outcome, Proof, Refusal, Token};

const SECOND: Token = Token(1_001);

/// Node 2 was granted "a" by a release, and has not confirmed it.
fn unconfirmed(request: Option<u8>) -> (Bench, CommandId) {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    let asked = ask("a", 2).lease_ms(60_000).wait_ms(60_000);
    let asked = request.map_or(asked.clone(), |id| asked.request(id));
    let waiting = bench.from(RUN_OF_2).queued(asked);
    let (_, events) = bench.from(RUN).run(release("a", 1));
    assert_eq!(granted(&events), [(waiting, true)]);
    (bench, waiting)
}

#[test]
fn unconfirmed_hold_of_dead_node_goes_to_next_waiter() {
    let (mut bench, _) = unconfirmed(None);
    let next = bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let (_, events) = bench.run(node_down(2, RUN_OF_2));
    assert_eq!(ended(&events), [(SECOND, EndReason::Cancelled)]);
    assert_eq!(granted(&events), [(next, true)]);
}

#[test]
fn unconfirmed_hold_of_restarted_node_goes_to_next_waiter() {
    let (mut bench, _) = unconfirmed(None);
    assert_eq!(ended(&bench.run(node_up(2, Incarnation(22))).1), [(SECOND, EndReason::Cancelled)]);
    let (mut bench, _) = unconfirmed(None);
    let lead = LeaderStart { node: latchd::domain::NodeId(2), confirm: true, ..start(Incarnation(22)) };
    assert_eq!(ended(&bench.lead(lead)), [(SECOND, EndReason::Cancelled)]);
}

#[test]
fn confirmed_hold_survives_its_node() {
    let (mut bench, _) = unconfirmed(None);
    assert_eq!(bench.from(RUN_OF_2).outcome(confirm("a", 2)), Outcome::Confirmed);
    assert_eq!(bench.outcome(confirm("a", 2)), Outcome::Confirmed, "confirming again changes nothing");
    assert_eq!(ended(&bench.from(RUN).run(node_down(2, RUN_OF_2)).1), []);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn confirming_an_ended_hold_is_refused() {
    let (mut bench, _) = unconfirmed(None);
    bench.outcome(node_down(2, RUN_OF_2));
    assert_eq!(bench.refused(confirm("a", 2)), Refusal::NoSuchLock);
    bench.acquired(ask("a", 3));
    assert_eq!(bench.refused(confirm("a", 2)), Refusal::WrongKey);
}

#[test]
fn renewal_confirms_delivery() {
    let (mut bench, _) = unconfirmed(None);
    assert!(matches!(bench.outcome(renew("a", 2, 60_000)), Outcome::Renewed(_)));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
}

#[test]
fn reentry_confirms_delivery() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    bench.from(RUN_OF_2).queued(ask("a", 2).reentrant("x").lease_ms(60_000).wait_ms(60_000));
    bench.from(RUN).outcome(release("a", 1));
    bench.acquired(ask("a", 3).reentrant("x").lease_ms(60_000));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
    let proof = Proof::Label { label: "x".into(), token: None };
    let released = bench.outcome(Command::Release { name: name("a"), session: None, proof });
    assert_eq!(released, Outcome::Released { waiter_granted: false, names: Vec::new() });
}

#[test]
fn immediate_and_detached_grants_need_no_confirmation() {
    let mut bench = Bench::cluster();
    bench.from(RUN_OF_2).acquired(ask("a", 1));
    bench.queued(ask("b", 9).label("x").lease_ms(60_000).detached_ms(60_000).edit(|ask| ask.name = name("a")));
    bench.from(RUN).outcome(release("a", 1));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn grants_of_a_single_node_need_no_confirmation() {
    let mut bench = Bench::new();
    bench.acquired(ask("a", 1));
    let waiting = bench.queued(ask("a", 2).lease_ms(60_000).wait_ms(60_000));
    assert_eq!(granted(&bench.run(release("a", 1)).1), [(waiting, false)]);
    assert_eq!(bench.lead_with(Incarnation(11)), []);
    assert_eq!(bench.seen("a"), (1, 0));
}

fn retry() -> latchd::domain::Acquire {
    ask("a", 7).request(1).lease_ms(60_000).wait_ms(60_000)
}

#[test]
fn retry_of_unconfirmed_hold_is_first_in_queue() {
    let (mut bench, _) = unconfirmed(Some(1));
    let next = bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let last = bench.queued(ask("a", 4).lease_ms(60_000).wait_ms(60_000).edit(|ask| ask.priority = 9));
    let (_, events) = bench.run(node_down(2, RUN_OF_2));
    assert_eq!(ended(&events), [(SECOND, EndReason::Cancelled)]);
    assert_eq!(granted(&events), [(last, true)], "the dead node's waiter is passed over");
    let again = bench.pass_ms(10_000).queued(retry());
    assert_eq!(granted(&bench.run(release("a", 4)).1), [(again, true)], "the retry is first in the queue");
    assert_eq!(granted(&bench.run(release("a", 7)).1), [(next, true)]);
}

#[test]
fn retry_of_unconfirmed_hold_gets_free_lock() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    assert_eq!(bench.seen("a"), (0, 1), "it has a place in the queue and no hold");
    let (outcome, events) = bench.pass_ms(10_000).run(retry());
    assert_eq!(outcome, Outcome::Waiting { position: 0 });
    assert_eq!(granted(&events), [(bench.last_id(), true)]);
    assert_eq!(ended(&bench.pass_ms(60_000).tick()), [], "the full lease starts with the retry");
}

#[test]
fn orphaned_place_is_dropped_after_ten_seconds() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    bench.pass_ms(10_000).tick();
    assert_eq!(bench.seen("a"), (0, 1));
    bench.pass_ms(1).tick();
    assert_eq!(bench.seen("a"), (0, 0));
    assert_eq!(bench.table.counts().idempotency_keys, 0);
}

#[test]
fn orphaned_place_does_not_block_others() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    bench.acquired(ask("a", 8).lease_ms(60_000));
    assert_eq!(bench.outcome(retry()), Outcome::Waiting { position: 0 });
}

#[test]
fn late_confirmation_does_not_restore_a_lost_hold() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    bench.outcome(node_up(2, RUN_OF_2));
    assert_eq!(bench.from(RUN_OF_2).refused(confirm("a", 2)), Refusal::WrongKey);
}

#[test]
fn retry_on_another_node_confirms_delivery() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.acquired(ask("a", 7).request(1).lease_ms(60_000).wait_ms(60_000));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
    assert_eq!(ended(&bench.pass_ms(60_000).tick()), []);
}
