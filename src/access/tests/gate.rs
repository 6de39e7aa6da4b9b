//! The queue before verification: bounded, fair, and one job per secret.

use tokio::sync::oneshot::{Receiver, error::TryRecvError};

use super::*;
use crate::access::{
    digest::{Keyed, KeyedDigest},
    gate::{Admission, Gate},
};
use crate::base::address_group::AddressGroup;

/// A gate whose secrets are numbers.
struct Numbers {
    gate: Gate<usize>,
    keyed: Keyed,
}

impl Numbers {
    fn new(max_running: usize) -> Numbers {
        Numbers { gate: Gate::new(max_running), keyed: Keyed::new().unwrap() }
    }

    fn digest(&self, secret: usize) -> KeyedDigest {
        self.keyed.digest(&secret.to_string())
    }

    fn enter(&self, secret: usize, host: usize, failures: u32) -> Option<Receiver<usize>> {
        self.gate.enter((self.digest(secret), &secret.to_string()), address(host), failures, || true)
    }

    fn admission(&self, secret: usize, host: usize, failures: u32) -> Admission {
        self.gate.admission(&self.digest(secret), address(host), failures)
    }

    /// Runs all that waits, one after the other.
    fn run_all(&self) -> Vec<usize> {
        let mut order = Vec::new();
        while let Some(turn) = self.gate.next() {
            order.push(turn.secret.parse().unwrap());
            turn.end(0);
        }
        order
    }
}

fn address(host: usize) -> AddressGroup {
    ip(&format!("192.0.2.{host}")).into()
}

#[test]
fn one_address_has_four_places_and_all_have_sixty_four() {
    let gate = Numbers::new(100);
    let mut waiting = Vec::new();
    for n in 0..4 {
        waiting.push(gate.enter(n, 1, 0).unwrap());
    }
    assert_eq!(gate.admission(4, 1, 0), Admission::Full);
    assert!(gate.enter(4, 1, 0).is_none());
    for n in 4..64 {
        waiting.push(gate.enter(n, n / 4 + 1, 0).unwrap());
    }
    assert_eq!(gate.admission(64, 99, 0), Admission::Full);
    assert!(gate.enter(64, 99, 0).is_none());
    gate.gate.next().unwrap().end(1);
    assert_eq!(gate.admission(64, 99, 0), Admission::Queue);
    assert!(gate.enter(64, 99, 0).is_some());
}

#[test]
fn running_jobs_keep_their_places_and_only_so_many_run() {
    let gate = Numbers::new(2);
    let _waiting: Vec<_> = (0..4).map(|n| gate.enter(n, 1, 0).unwrap()).collect();
    let (first, second) = (gate.gate.next().unwrap(), gate.gate.next().unwrap());
    assert!(gate.gate.next().is_none(), "two run already");
    assert_eq!(gate.admission(9, 1, 0), Admission::Full, "running jobs count");
    drop((first, second));
    assert_eq!(gate.run_all(), [2, 3]);
}

#[test]
fn cached_verdict_is_checked_before_queueing() {
    let gate = Numbers::new(1);
    let refused = gate.gate.enter((gate.digest(1), "1"), address(1), 0, || false);
    assert!(refused.is_none());
    assert_eq!(gate.admission(1, 1, 0), Admission::Queue, "nothing stays behind");
    assert!(gate.gate.next().is_none());
}

#[test]
fn queue_orders_by_failures_then_arrival() {
    let gate = Numbers::new(1);
    let _waiting: Vec<_> = [(1, 5), (2, 1), (3, 0), (4, 1), (5, 0)]
        .map(|(n, failures)| gate.enter(n, n, failures).unwrap())
        .into_iter()
        .collect();
    assert_eq!(gate.run_all(), [3, 5, 2, 4, 1]);
}

#[test]
fn full_queue_evicts_the_address_with_most_failures() {
    let gate = Numbers::new(1);
    let mut waiting: Vec<_> = (0..64).map(|n| gate.enter(n, n, 3).unwrap()).collect();
    assert_eq!(gate.admission(64, 99, 3), Admission::Full);
    let clean = gate.enter(64, 99, 0).expect("the last guess gives way");
    assert_eq!(waiting[63].try_recv(), Err(TryRecvError::Closed), "and its caller hears of it");
    assert_eq!(waiting[62].try_recv(), Err(TryRecvError::Empty));
    assert_eq!(gate.run_all()[0], 64);
    drop(clean);
}

#[test]
fn running_job_is_never_evicted() {
    let gate = Numbers::new(64);
    let mut waiting: Vec<_> = (0..64).map(|n| gate.enter(n, n, 3).unwrap()).collect();
    let running: Vec<_> = (0..64).map(|_| gate.gate.next().unwrap()).collect();
    assert_eq!(gate.admission(64, 99, 0), Admission::Full);
    assert!(gate.enter(64, 99, 0).is_none());
    running.into_iter().for_each(|turn| turn.end(7));
    assert!(waiting.iter_mut().all(|caller| caller.try_recv() == Ok(7)));
}

#[test]
fn same_secret_joins_its_job_even_when_queue_is_full() {
    let gate = Numbers::new(1);
    let mut waiting: Vec<_> = (0..64).map(|n| gate.enter(n, n, 0).unwrap()).collect();
    for n in 0..64 {
        assert_eq!(gate.admission(n, 99, 9), Admission::Join);
    }
    let mut joined = gate.enter(0, 99, 9).unwrap();
    let turn = gate.gate.next().unwrap();
    assert_eq!(turn.secret, "0");
    turn.end(42);
    assert_eq!((joined.try_recv(), waiting[0].try_recv()), (Ok(42), Ok(42)));
    assert_eq!(gate.admission(0, 99, 9), Admission::Queue);
}

#[test]
fn abandoned_secret_is_not_verified() {
    let gate = Numbers::new(1);
    drop(gate.enter(1, 1, 0));
    let _waiting = gate.enter(2, 2, 0).unwrap();
    assert_eq!(gate.run_all(), [2]);
}

#[test]
fn panicking_job_leaves_the_gate_open() {
    let gate = Numbers::new(1);
    let mut caller = gate.enter(1, 1, 0).unwrap();
    let died = std::thread::scope(|scope| {
        let verification = scope.spawn(|| {
            let _turn = gate.gate.next();
            panic!("as a verification might");
        });
        verification.join()
    });
    assert!(died.is_err());
    assert_eq!(caller.try_recv(), Err(TryRecvError::Closed));
    let _again = gate.enter(1, 1, 0).unwrap();
    assert!(gate.gate.next().is_some());
}
