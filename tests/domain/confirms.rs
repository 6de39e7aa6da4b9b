//! Deliveries: what a waiter is granted counts as heard of once its node says that it can answer.

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
fn an_unconfirmed_grant_goes_with_its_node_and_is_handed_on() {
    let (mut bench, _) = unconfirmed(None);
    let next = bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let (_, events) = bench.run(node_down(2, RUN_OF_2));
    assert_eq!(ended(&events), [(SECOND, EndReason::Cancelled)]);
    assert_eq!(granted(&events), [(next, true)]);
}

#[test]
fn it_goes_with_the_run_of_its_node_too() {
    let (mut bench, _) = unconfirmed(None);
    assert_eq!(ended(&bench.run(node_up(2, Incarnation(22))).1), [(SECOND, EndReason::Cancelled)]);
    let (mut bench, _) = unconfirmed(None);
    let lead = LeaderStart { node: latchd::domain::NodeId(2), confirm: true, ..start(Incarnation(22)) };
    assert_eq!(ended(&bench.lead(lead)), [(SECOND, EndReason::Cancelled)]);
}

#[test]
fn a_confirmed_grant_stays() {
    let (mut bench, _) = unconfirmed(None);
    assert_eq!(bench.from(RUN_OF_2).outcome(confirm("a", 2)), Outcome::Confirmed);
    assert_eq!(bench.outcome(confirm("a", 2)), Outcome::Confirmed, "once more changes nothing");
    assert_eq!(ended(&bench.from(RUN).run(node_down(2, RUN_OF_2)).1), []);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn what_is_gone_cannot_be_confirmed() {
    let (mut bench, _) = unconfirmed(None);
    bench.outcome(node_down(2, RUN_OF_2));
    assert_eq!(bench.refused(confirm("a", 2)), Refusal::NoSuchLock);
    bench.acquired(ask("a", 3));
    assert_eq!(bench.refused(confirm("a", 2)), Refusal::WrongKey);
}

#[test]
fn a_renewal_confirms_too() {
    let (mut bench, _) = unconfirmed(None);
    assert!(matches!(bench.outcome(renew("a", 2, 60_000)), Outcome::Renewed(_)));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
}

#[test]
fn asking_again_under_the_label_confirms_too() {
    let mut bench = Bench::cluster();
    bench.acquired(ask("a", 1));
    bench.from(RUN_OF_2).queued(ask("a", 2).reentrant("x").lease_ms(60_000).wait_ms(60_000));
    bench.from(RUN).outcome(release("a", 1));
    bench.acquired(ask("a", 3).reentrant("x").lease_ms(60_000));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
    let proof = Proof::Label { label: "x".into(), token: None };
    let released = bench.outcome(Command::Release { name: name("a"), session: None, proof });
    assert_eq!(released, Outcome::Released { waiter_granted: false });
}

#[test]
fn grants_at_once_and_to_detached_waiters_need_no_confirmation() {
    let mut bench = Bench::cluster();
    bench.from(RUN_OF_2).acquired(ask("a", 1));
    bench.queued(ask("b", 9).label("x").lease_ms(60_000).detached_ms(60_000).edit(|ask| ask.name = name("a")));
    bench.from(RUN).outcome(release("a", 1));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
    assert_eq!(bench.seen("a"), (1, 0));
}

#[test]
fn a_node_alone_does_not_confirm_and_keeps_over_a_restart_what_it_answered() {
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
fn with_an_idempotency_key_it_is_handed_on_too_and_its_retry_is_next() {
    let (mut bench, _) = unconfirmed(Some(1));
    let next = bench.queued(ask("a", 3).lease_ms(60_000).wait_ms(60_000));
    let last = bench.queued(ask("a", 4).lease_ms(60_000).wait_ms(60_000).edit(|ask| ask.priority = 9));
    let (_, events) = bench.run(node_down(2, RUN_OF_2));
    assert_eq!(ended(&events), [(SECOND, EndReason::Cancelled)]);
    assert_eq!(granted(&events), [(last, true)], "the dead node's waiter is passed over");
    let again = bench.pass_ms(10_000).queued(retry());
    assert_eq!(granted(&bench.run(release("a", 4)).1), [(again, true)], "whose turn it was");
    assert_eq!(granted(&bench.run(release("a", 7)).1), [(next, true)]);
}

#[test]
fn a_retry_finds_the_lock_free_where_nobody_else_wanted_it() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    assert_eq!(bench.seen("a"), (0, 1), "a place, and no hold");
    let (outcome, events) = bench.pass_ms(10_000).run(retry());
    assert_eq!(outcome, Outcome::Queued { position: 0 });
    assert_eq!(granted(&events), [(bench.last_id(), true)]);
    assert_eq!(ended(&bench.pass_ms(60_000).tick()), [], "its full lease, from now");
}

#[test]
fn a_place_that_nobody_comes_back_to_is_given_up_after_ten_seconds() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    bench.pass_ms(10_000).tick();
    assert_eq!(bench.seen("a"), (0, 1));
    bench.pass_ms(1).tick();
    assert_eq!(bench.seen("a"), (0, 0));
    assert_eq!(bench.table.counts().requests, 0);
}

#[test]
fn whoever_asks_meanwhile_gets_the_lock() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    bench.acquired(ask("a", 8).lease_ms(60_000));
    assert_eq!(bench.outcome(retry()), Outcome::Queued { position: 0 });
}

#[test]
fn a_node_that_was_only_cut_off_confirms_nothing_that_went_on() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.outcome(node_down(2, RUN_OF_2));
    bench.outcome(node_up(2, RUN_OF_2));
    assert_eq!(bench.from(RUN_OF_2).refused(confirm("a", 2)), Refusal::WrongKey);
}

#[test]
fn a_retry_elsewhere_takes_it_from_the_node_that_may_die() {
    let (mut bench, _) = unconfirmed(Some(1));
    bench.acquired(ask("a", 7).request(1).lease_ms(60_000).wait_ms(60_000));
    assert_eq!(ended(&bench.run(node_down(2, RUN_OF_2)).1), []);
    assert_eq!(ended(&bench.pass_ms(60_000).tick()), []);
}
