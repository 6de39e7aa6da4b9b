//! The history of a simulated run: what clients asked and the answers, for the checkers of `tests/cluster`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;

use super::frozen::Frozen;
use super::invariants::AskedNames;
use super::network::Network;
use super::world::World;
use crate::cluster::history::{History, Nanos, Op, Queued};
use crate::cluster::target::Target;

pub struct CallLog {
    began: Instant,
    network: Network,
    next: AtomicU64,
    over: AtomicBool,
    inner: Mutex<(History, Vec<String>)>,
    names: AskedNames,
    frozen: Mutex<Vec<Frozen>>,
}

impl CallLog {
    pub fn new(world: &World) -> Arc<CallLog> {
        Arc::new(CallLog {
            began: world.clients_began(),
            network: world.network.clone(),
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
            inner: Mutex::default(),
            names: world.invariants.names.clone(),
            frozen: Mutex::default(),
        })
    }

    /// True time; for clients.
    pub fn now(&self) -> Nanos {
        u64::try_from(Instant::now().duration_since(self.began).as_nanos()).expect("a short run")
    }

    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Its locks are looked at from now on.
    pub fn is_asked_for(&self, target: &Target) {
        self.names.add(target);
    }

    pub fn op(&self, op: Op) {
        self.network.lock().trace.text(op.end / 1_000_000, &format!("{op:?}"));
        self.inner.lock().expect("no panic while locked").0.ops.push(op);
    }

    pub fn is_frozen(&self, frozen: Frozen) {
        self.frozen.lock().expect("no panic while locked").push(frozen);
    }

    pub fn frozen(&self) -> Vec<Frozen> {
        self.frozen.lock().expect("no panic while locked").clone()
    }

    pub fn queued(&self, op: u64) {
        let at = self.now();
        self.inner.lock().expect("no panic while locked").0.queued.push(Queued { op, at });
    }

    pub fn complain(&self, what: String) {
        self.inner.lock().expect("no panic while locked").1.push(what);
    }

    /// No client begins anything new.
    pub fn close(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub fn take(&self) -> (History, Vec<String>) {
        std::mem::take(&mut *self.inner.lock().expect("no panic while locked"))
    }
}
