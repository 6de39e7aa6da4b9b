//! The gate before password verification, which costs tens of milliseconds of a core and megabytes: a
//! bounded queue, in order of arrival, that lets few run at once and never verifies one secret twice at
//! the same time.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{digest::KeyedDigest, throttle::AddressGroup};

/// Running and waiting verifications together: also the longest wait, counted in verifications.
const MAX_JOBS: usize = 16;
/// One address cannot fill the queue. More than the passwords that one address may honestly bring
/// at the same moment for the first time.
const MAX_JOBS_PER_ADDRESS: usize = 4;

pub(super) struct Gate {
    /// So many at the front of the queue run.
    max_running: usize,
    jobs: Mutex<VecDeque<Job>>,
    changed: Condvar,
}

struct Job {
    digest: KeyedDigest,
    address: AddressGroup,
}

/// What awaits a secret at the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The same secret is being verified already.
    Join,
    Queue,
    Full,
}

pub(super) enum Entered<'a> {
    /// Verify now; dropping the turn lets the next one in.
    Turn(Turn<'a>),
    /// Somebody else verified the same secret meanwhile: look at what they learnt.
    Joined,
    Refused,
}

pub(super) struct Turn<'a> {
    gate: &'a Gate,
    digest: KeyedDigest,
}

impl Gate {
    pub(super) fn new(max_running: usize) -> Gate {
        Gate { max_running, jobs: Mutex::default(), changed: Condvar::new() }
    }

    /// What [`Gate::enter`] would do now; looks only.
    pub(super) fn admission(&self, digest: &KeyedDigest, address: AddressGroup) -> Admission {
        admission(&self.lock(), digest, address)
    }

    /// Blocks until it is this secret's turn, or until another caller's verification of it has ended.
    /// `may_start` has the last word before a new job is queued.
    pub(super) fn enter(
        &self,
        digest: KeyedDigest,
        address: AddressGroup,
        may_start: impl FnOnce() -> bool,
    ) -> Entered<'_> {
        let mut jobs = self.lock();
        match admission(&jobs, &digest, address) {
            Admission::Join => {
                let jobs = self.wait_while(jobs, |jobs| place(jobs, &digest).is_some());
                drop(jobs);
                Entered::Joined
            }
            Admission::Queue if may_start() => {
                jobs.push_back(Job { digest, address });
                let behind =
                    |jobs: &mut VecDeque<Job>| place(jobs, &digest).is_some_and(|place| place >= self.max_running);
                drop(self.wait_while(jobs, behind));
                Entered::Turn(Turn { gate: self, digest })
            }
            Admission::Queue | Admission::Full => Entered::Refused,
        }
    }

    fn wait_while<'a>(
        &self,
        jobs: MutexGuard<'a, VecDeque<Job>>,
        condition: impl FnMut(&mut VecDeque<Job>) -> bool,
    ) -> MutexGuard<'a, VecDeque<Job>> {
        let waited = self.changed.wait_while(jobs, condition);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.gate.lock().retain(|job| job.digest != self.digest);
        self.gate.changed.notify_all();
    }
}

fn admission(jobs: &VecDeque<Job>, digest: &KeyedDigest, address: AddressGroup) -> Admission {
    let of_address = jobs.iter().filter(|job| job.address == address).count();
    if place(jobs, digest).is_some() {
        Admission::Join
    } else if jobs.len() >= MAX_JOBS || of_address >= MAX_JOBS_PER_ADDRESS {
        Admission::Full
    } else {
        Admission::Queue
    }
}

fn place(jobs: &VecDeque<Job>, digest: &KeyedDigest) -> Option<usize> {
    jobs.iter().position(|job| job.digest == *digest)
}
