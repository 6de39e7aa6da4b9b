//! The queue before verification: bounded, fair, and one job per secret.

use std::{sync::mpsc, thread};

use super::*;
use crate::access::{
    digest::{Keyed, KeyedDigest},
    gate::{Admission, Entered, Gate, Turn},
    throttle::AddressGroup,
};

fn address(host: usize) -> AddressGroup {
    ip(&format!("192.0.2.{host}")).into()
}

fn turn(gate: &Gate, digest: KeyedDigest, host: usize) -> Option<Turn<'_>> {
    match gate.enter(digest, address(host), || true) {
        Entered::Turn(turn) => Some(turn),
        Entered::Joined | Entered::Refused => None,
    }
}

/// Another thread has reached the gate with this secret.
fn await_arrival(gate: &Gate, digest: &KeyedDigest) {
    while gate.admission(digest, address(99)) != Admission::Join {
        thread::yield_now();
    }
}

#[test]
fn one_address_cannot_fill_the_queue_and_the_queue_is_bounded() {
    let gate = Gate::new(100);
    let keyed = Keyed::new().unwrap();
    let digest = |n: usize| keyed.digest(&n.to_string());
    let mut turns = Vec::new();
    for n in 0..4 {
        turns.push(turn(&gate, digest(n), 1).unwrap());
    }
    assert_eq!(gate.admission(&digest(4), address(1)), Admission::Full);
    assert!(turn(&gate, digest(4), 1).is_none());
    for n in 4..16 {
        turns.push(turn(&gate, digest(n), n / 4 + 1).unwrap());
    }
    assert_eq!(gate.admission(&digest(16), address(9)), Admission::Full);
    assert!(turn(&gate, digest(16), 9).is_none());
    turns.pop();
    assert_eq!(gate.admission(&digest(16), address(9)), Admission::Queue);
    assert!(turn(&gate, digest(16), 9).is_some());
}

#[test]
fn the_last_word_is_asked_before_queueing() {
    let gate = Gate::new(1);
    let digest = Keyed::new().unwrap().digest("x");
    let refused = gate.enter(digest, address(1), || false);
    assert!(matches!(refused, Entered::Refused));
    assert_eq!(gate.admission(&digest, address(1)), Admission::Queue, "nothing stays behind");
}

#[test]
fn jobs_run_one_after_another_in_order_of_arrival() {
    let gate = Gate::new(1);
    let keyed = Keyed::new().unwrap();
    let first = turn(&gate, keyed.digest("first"), 1).unwrap();
    let (ran, order) = mpsc::channel();
    thread::scope(|scope| {
        for (host, name) in [(2, "second"), (3, "third"), (4, "fourth")] {
            let (gate, ran, digest) = (&gate, ran.clone(), keyed.digest(name));
            scope.spawn(move || {
                let turn = turn(gate, digest, host).unwrap();
                ran.send(name).unwrap();
                drop(turn);
            });
            await_arrival(gate, &digest);
        }
        assert!(order.try_recv().is_err(), "all wait for the first");
        drop(first);
    });
    assert_eq!(order.try_iter().collect::<Vec<_>>(), ["second", "third", "fourth"]);
}

#[test]
fn the_same_secret_joins_from_any_address_even_at_a_full_queue() {
    let gate = Gate::new(100);
    let keyed = Keyed::new().unwrap();
    let digest = |n: usize| keyed.digest(&n.to_string());
    let turns: Vec<_> = (0..16).map(|n| turn(&gate, digest(n), n).unwrap()).collect();
    for n in 0..16 {
        assert_eq!(gate.admission(&digest(n), address(99)), Admission::Join);
    }
    drop(turns);
    assert_eq!(gate.admission(&digest(0), address(99)), Admission::Queue);
}

#[test]
fn a_job_that_panics_leaves_the_gate_open() {
    let gate = Gate::new(1);
    let digest = Keyed::new().unwrap().digest("x");
    let died = thread::scope(|scope| {
        let verification = scope.spawn(|| {
            let _turn = turn(&gate, digest, 1).unwrap();
            panic!("as a verification might");
        });
        verification.join()
    });
    assert!(died.is_err());
    assert!(turn(&gate, digest, 2).is_some());
}
