//! Reads that are as fresh as the newest answered write, on any node: one round serves all who wait at that moment.

use super::wire::{Reply, Request};
use crate::engine::core::Core;
use crate::engine::error::EngineError;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// One round, to the leader and its quorum and back.
const ROUND: Duration = Duration::from_millis(500);
/// Between two rounds of which the first found no leader or no quorum.
const PAUSE: Duration = Duration::from_millis(50);

type Waiter = oneshot::Sender<()>;

#[derive(Default)]
pub struct Reads {
    waiting: Mutex<Vec<Waiter>>,
    asked: Notify,
}

impl Reads {
    /// Resolves when this node's table holds everything that was answered before this call, on whatever node.
    pub async fn barrier(&self, bound: Duration) -> Result<(), EngineError> {
        let (sender, receiver) = oneshot::channel();
        self.lock().push(sender);
        self.asked.notify_one();
        match tokio::time::timeout(bound, receiver).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(EngineError::ShuttingDown),
            Err(_) => Err(EngineError::NoQuorum),
        }
    }

    fn take(&self) -> Vec<Waiter> {
        std::mem::take(&mut *self.lock())
    }

    /// Only those who have not given up.
    fn put_back(&self, waiting: Vec<Waiter>) {
        let mut all = self.lock();
        all.extend(waiting);
        all.retain(|waiter| !waiter.is_closed());
        if !all.is_empty() {
            self.asked.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiter>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves rounds until the engine is gone. Who comes during a round waits for the next: the one that runs may have
/// fixed its index already.
pub async fn serve(core: Weak<Core>) {
    loop {
        let Some(core) = core.upgrade() else { return };
        tokio::select! {
            biased;
            () = core.reads.asked.notified() => {}
            () = tokio::time::sleep(ROUND) => continue,
        }
        let waiting = core.reads.take();
        if waiting.is_empty() {
            continue;
        }
        match tokio::time::timeout(ROUND, round(&core)).await {
            Ok(Some(())) => waiting.into_iter().for_each(|waiter| _ = waiter.send(())),
            Ok(None) | Err(_) => {
                core.reads.put_back(waiting);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Everything that was answered before this call is applied here when it returns.
async fn round(core: &Core) -> Option<()> {
    if core.leads() {
        let index = core.raft.read_index().await.ok()?;
        core.raft.applied(index).await;
        return Some(());
    }
    let leader = core.leader()?;
    let asked = core.clock.age();
    match core.ask(leader, &Request::ReadIndex, ROUND).await? {
        Reply::ReadIndex { index, now } => {
            core.raft.applied(index).await;
            // A leadership of this node that began meanwhile has its own time.
            if !core.leads() {
                core.clock.follow(now, asked);
            }
            Some(())
        }
        _ => None,
    }
}
