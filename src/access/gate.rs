//! The queue before password verification, which costs tens of milliseconds of a core and megabytes: bounded, few run
//! at once, one secret is never verified twice at the same time, and the address that failed least is next. So those who guess
//! from many addresses wait behind a client whose address has done nothing wrong.

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::digest::KeyedDigest;
use crate::base::address_group::AddressGroup;

/// Running and waiting verifications together: also the longest wait, counted in verifications.
const MAX_JOBS: usize = 64;
/// One address cannot fill the queue. More than the passwords that one address may honestly bring
/// at the same moment for the first time.
const MAX_JOBS_PER_ADDRESS: usize = 4;
/// Requests that wait for one verification, such as a fleet that starts at once.
const MAX_CALLERS_PER_JOB: usize = 4096;

/// `T` is what a verification finds out.
pub(super) struct Gate<T> {
    max_running: usize,
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    jobs: Vec<Job<T>>,
    arrivals: u64,
}

struct Job<T> {
    digest: KeyedDigest,
    secret: String,
    address: AddressGroup,
    /// The lowest is next: failures of the address when it came, then the order of arrival.
    rank: (u32, u64),
    is_running: bool,
    callers: Vec<oneshot::Sender<T>>,
}

/// Result of asking for a verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The same secret is being verified already.
    Join,
    Queue,
    Full,
}

/// One verification that is to be done now. Dropping it without a result lets the next one in.
pub(super) struct Turn<'a, T> {
    gate: &'a Gate<T>,
    digest: KeyedDigest,
    pub secret: String,
    /// Where it came from first.
    pub address: AddressGroup,
    is_over: bool,
}

impl<T: Copy> Gate<T> {
    pub(super) fn new(max_running: usize) -> Gate<T> {
        Gate { max_running, queue: Mutex::new(Queue { jobs: Vec::new(), arrivals: 0 }) }
    }

    /// What [`Gate::enter`] would do now; looks only.
    pub(super) fn admission(&self, digest: &KeyedDigest, address: AddressGroup, failures: u32) -> Admission {
        let mut queue = self.queue.lock();
        queue.forget_abandoned();
        queue.admission(digest, address, failures)
    }

    /// Queues a secret, or joins the verification of the same one. `may_start` has the last word before a new job is
    /// queued. `None` when there is no place; the receiver fails when a better caller takes the place.
    pub(super) fn enter(
        &self,
        (digest, secret): (KeyedDigest, &str),
        address: AddressGroup,
        failures: u32,
        may_start: impl FnOnce() -> bool,
    ) -> Option<oneshot::Receiver<T>> {
        let mut queue = self.queue.lock();
        queue.forget_abandoned();
        let (caller, verified) = oneshot::channel();
        match queue.admission(&digest, address, failures) {
            Admission::Join => queue.job(&digest)?.join(caller)?,
            Admission::Queue if may_start() => {
                queue.make_room();
                let rank = (failures, queue.arrivals);
                queue.arrivals += 1;
                let (secret, callers) = (secret.to_owned(), vec![caller]);
                queue.jobs.push(Job { digest, secret, address, rank, is_running: false, callers });
            }
            Admission::Queue | Admission::Full => return None,
        }
        Some(verified)
    }

    /// The next verification, unless as many as may are running.
    pub(super) fn next(&self) -> Option<Turn<'_, T>> {
        let mut queue = self.queue.lock();
        queue.forget_abandoned();
        if queue.jobs.iter().filter(|job| job.is_running).count() >= self.max_running {
            return None;
        }
        let next = queue.jobs.iter_mut().filter(|job| !job.is_running).min_by_key(|job| job.rank)?;
        next.is_running = true;
        let secret = std::mem::take(&mut next.secret);
        Some(Turn { gate: self, digest: next.digest, secret, address: next.address, is_over: false })
    }
}

impl<T> Queue<T> {
    fn admission(&self, digest: &KeyedDigest, address: AddressGroup, failures: u32) -> Admission {
        let of_address = self.jobs.iter().filter(|job| job.address == address).count();
        let gives_way = || self.last().is_some_and(|at| self.jobs[at].rank.0 > failures);
        if self.jobs.iter().any(|job| job.digest == *digest) {
            Admission::Join
        } else if of_address >= MAX_JOBS_PER_ADDRESS || (self.jobs.len() >= MAX_JOBS && !gives_way()) {
            Admission::Full
        } else {
            Admission::Queue
        }
    }

    /// No request waits for these any more.
    fn forget_abandoned(&mut self) {
        self.jobs.retain(|job| job.is_running || job.callers.iter().any(|caller| !caller.is_closed()));
    }

    fn job(&mut self, digest: &KeyedDigest) -> Option<&mut Job<T>> {
        self.jobs.iter_mut().find(|job| job.digest == *digest)
    }

    /// Where the job stands that would be the last to run.
    fn last(&self) -> Option<usize> {
        let waiting = self.jobs.iter().enumerate().filter(|(_, job)| !job.is_running);
        waiting.max_by_key(|(_, job)| job.rank).map(|(at, _)| at)
    }

    /// The last one is evicted where all places are taken: its callers have to come back.
    fn make_room(&mut self) {
        if self.jobs.len() >= MAX_JOBS
            && let Some(at) = self.last()
        {
            self.jobs.remove(at);
        }
    }
}

impl<T> Job<T> {
    fn join(&mut self, caller: oneshot::Sender<T>) -> Option<()> {
        self.callers.retain(|caller| !caller.is_closed());
        (self.callers.len() < MAX_CALLERS_PER_JOB).then(|| self.callers.push(caller))
    }
}

impl<T: Copy> Turn<'_, T> {
    /// Tells all who wait for this secret.
    ///
    /// The verification is over with the same lock: who joined it between the two would wait for nothing.
    pub(super) fn end(mut self, found: T) {
        self.is_over = true;
        let mut queue = self.gate.queue.lock();
        let Some(at) = queue.jobs.iter().position(|job| job.digest == self.digest) else { return };
        for caller in queue.jobs.swap_remove(at).callers {
            // One whose request is gone needs no answer.
            let _ = caller.send(found);
        }
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut queue = self.gate.queue.lock();
        queue.jobs.retain(|job| job.digest != self.digest);
    }
}
