//! What a traced request waited for: each part of the way notes its step, and who traces the request reads them.
//!
//! Few requests are traced. The others pay for one look at a variable of their task.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arcstr::ArcStr;
use parking_lot::Mutex;
use tokio::task::futures::TaskLocalFuture;

/// A stream may run any number of commands; what comes later is not kept.
const STEPS_MAX: usize = 64;

/// Whether any request may be traced.
static IS_ON: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static CURRENT: Option<Arc<RequestTimes>>;
}

/// A part of the way of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// In the queue for the log.
    Queue,
    /// From handing the command to the log until it is applied here: flush, replication and apply.
    Commit,
    /// Of the log of this node.
    Flush,
    /// Of the entry, to the table of this node.
    Apply,
    /// In the queue of a lock.
    Wait,
}

/// The times are ages of the process.
#[derive(Clone, Debug)]
pub struct Step {
    pub kind: StepKind,
    pub began: Duration,
    pub ended: Duration,
    /// How many commands shared it; 0 for a step of one alone.
    pub commands: usize,
    /// The lock that the command names.
    pub lock: Option<ArcStr>,
}

/// The span of a request, below which another node may place its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceParent {
    pub trace: [u8; 16],
    pub span: [u8; 8],
}

/// The steps of one request.
#[derive(Debug, Default)]
pub struct RequestTimes {
    steps: Mutex<Vec<Step>>,
    parent: Option<TraceParent>,
}

/// What this node did for a request that another one has forwarded.
#[derive(Debug)]
pub struct ForwardedTimes {
    pub parent: TraceParent,
    pub began: Duration,
    pub steps: Vec<Step>,
}

type TakesForwarded = Box<dyn Fn(ForwardedTimes) + Send + Sync>;

static FORWARDED: OnceLock<TakesForwarded> = OnceLock::new();

impl RequestTimes {
    /// Of a request with this span.
    pub fn below(parent: TraceParent) -> RequestTimes {
        RequestTimes { parent: Some(parent), ..RequestTimes::default() }
    }

    pub fn parent(&self) -> Option<TraceParent> {
        self.parent
    }

    pub fn note(&self, step: Step) {
        let mut steps = self.steps.lock();
        if steps.len() < STEPS_MAX {
            steps.push(step);
        }
    }

    pub fn take(&self) -> Vec<Step> {
        std::mem::take(&mut self.steps.lock())
    }
}

/// Some requests are traced from now on; whoever traces them takes what is done for those of other nodes. The first in a
/// process stays.
pub fn switch_on(takes_forwarded: impl Fn(ForwardedTimes) + Send + Sync + 'static) {
    _ = FORWARDED.set(Box::new(takes_forwarded));
    IS_ON.store(true, Ordering::Relaxed);
}

/// Hands on what was done for a request of another node.
pub fn forwarded(times: ForwardedTimes) {
    if let Some(take) = FORWARDED.get() {
        take(times);
    }
}

/// Whether any request may be traced.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Where the running task notes its steps; `None` if its request is not traced.
pub fn current() -> Option<Arc<RequestTimes>> {
    CURRENT.try_with(Option::clone).ok().flatten()
}

/// Runs `future`, and the future that it makes, as a part of a traced request.
pub fn scope<F: Future>(
    times: Option<Arc<RequestTimes>>,
    future: impl FnOnce() -> F,
) -> TaskLocalFuture<Option<Arc<RequestTimes>>, F> {
    let future = CURRENT.sync_scope(times.clone(), future);
    CURRENT.scope(times, future)
}

/// A part of the running request that another task runs.
pub fn carried<F: Future>(future: F) -> TaskLocalFuture<Option<Arc<RequestTimes>>, F> {
    CURRENT.scope(current(), future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steps_are_noted_in_other_tasks_of_the_request_and_bounded() {
        let times = Arc::new(RequestTimes::default());
        let (kind, at) = (StepKind::Wait, Duration::ZERO);
        let note = async move {
            let times = current().expect("a traced request");
            (0..=STEPS_MAX).for_each(|_| times.note(Step { kind, began: at, ended: at, commands: 0, lock: None }));
        };
        scope(Some(Arc::clone(&times)), || async { tokio::spawn(carried(note)).await }).await.expect("it ends");
        assert_eq!((times.take().len(), times.take().len()), (STEPS_MAX, 0));
        assert!(current().is_none());
    }
}
