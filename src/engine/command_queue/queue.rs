//! The queue as requests, other nodes and the proposer share it.

use super::answer_sender::{AnswerReceiver, AnswerSender};
use super::waiting::{Batch, BatchBounds, Queued, ReservedBytes, Waiting, size_hint};
use crate::domain::{Command, HoldKey, Name, SessionId, Submitted};
use crate::engine::error::EngineError;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// Bytes of other nodes' commands that may wait for the log; those nodes keep what comes later.
const FORWARDED_BYTES_MAX: usize = 16 << 20;

pub struct CommandQueue {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    commands_max: usize,
    reserved_bytes: Arc<AtomicU64>,
    /// The proposer is to hand its leadership to another node, and proposes nothing until it has.
    transfer_requested: AtomicBool,
}

impl CommandQueue {
    pub fn new(commands_max: usize) -> CommandQueue {
        CommandQueue {
            waiting: Mutex::default(),
            arrived: Notify::new(),
            commands_max,
            reserved_bytes: Arc::default(),
            transfer_requested: AtomicBool::new(false),
        }
    }

    /// Refuses everything from now on, and what waits.
    pub fn close(&self, error: EngineError) {
        self.waiting.lock().closed = Some(error);
        self.refuse_waiting(error);
    }

    /// Refuses what waits, and nothing that comes later.
    pub fn refuse_waiting(&self, error: EngineError) {
        let refused = std::mem::take(&mut self.waiting.lock().commands);
        refused.into_iter().for_each(|queued| queued.refuse(error));
    }

    /// While this node leads in `epoch`, other nodes may forward commands. When the leadership ends these are dropped,
    /// because their nodes send them again to the next leader; the leader's own commands are refused.
    pub fn set_leading(&self, epoch: Option<u64>) {
        let refused = {
            let mut waiting = self.waiting.lock();
            waiting.leading = epoch;
            waiting.wakes_for_touches = epoch.is_none();
            waiting.forwarded.clear();
            waiting.forwarded_bytes = 0;
            std::mem::take(&mut waiting.leaders_own)
        };
        refused.into_iter().for_each(|queued| queued.refuse(EngineError::NotLeader));
    }

    /// Whether those who submit commands also take them, so that the proposer need not wake for them.
    pub fn set_taken_by_submitters(&self, taken: bool) {
        self.waiting.lock().taken_by_submitters = taken;
    }

    /// What the commands that wait here would add to the table.
    pub fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes.load(Ordering::Relaxed)
    }

    pub fn submit(&self, command: Command) -> Result<AnswerReceiver, EngineError> {
        let (answer, receiver) = AnswerSender::new(command.name());
        let wakes = {
            let mut waiting = self.waiting.lock();
            if let Some(error) = waiting.closed {
                return Err(error);
            }
            if waiting.commands.len() >= self.commands_max {
                return Err(EngineError::Overloaded);
            }
            let reserved = ReservedBytes::of(&command, &self.reserved_bytes);
            let queued = Queued::new(command, Some(answer), waiting.tick, reserved);
            waiting.commands.push_back(queued);
            waiting.commands.len() == 1 && !waiting.taken_by_submitters
        };
        if wakes {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Submits a command of the leader itself; refused when this node does not lead.
    pub fn submit_as_leader(&self, command: Command) -> Result<AnswerReceiver, EngineError> {
        let (answer, receiver) = AnswerSender::new(command.name());
        {
            let mut waiting = self.waiting.lock();
            if waiting.leading.is_none() {
                return Err(EngineError::NotLeader);
            }
            let queued = Queued::new(command, Some(answer), waiting.tick, None);
            waiting.leaders_own.push(queued);
        }
        self.arrived.notify_one();
        Ok(receiver)
    }

    /// Queues what another node forwards, in its order; returns the epoch of the leadership that has it now.
    pub fn forward(&self, commands: Vec<Submitted>, touches: Vec<SessionId>) -> Result<u64, EngineError> {
        let epoch = {
            let mut waiting = self.waiting.lock();
            let epoch = waiting.leading.ok_or(EngineError::NotLeader)?;
            let is_full = waiting.forwarded_bytes > FORWARDED_BYTES_MAX;
            if is_full || waiting.forwarded.len() + commands.len() > self.commands_max {
                return Err(EngineError::Overloaded);
            }
            waiting.forwarded_bytes += commands.iter().map(|submitted| size_hint(&submitted.command)).sum::<usize>();
            waiting.forwarded.extend(commands);
            waiting.touches.extend(touches);
            epoch
        };
        self.arrived.notify_one();
        Ok(epoch)
    }

    /// The epoch of this node's leadership, once its first entry is applied.
    pub fn leading(&self) -> Option<u64> {
        self.waiting.lock().leading
    }

    /// Wakes the proposer, so that it checks again what there is to do.
    pub fn wake(&self) {
        self.arrived.notify_one();
    }

    pub fn request_transfer(&self) {
        self.transfer_requested.store(true, Ordering::Release);
        self.wake();
    }

    pub fn is_transfer_requested(&self) -> bool {
        self.transfer_requested.load(Ordering::Acquire)
    }

    pub fn clear_transfer_request(&self) {
        self.transfer_requested.store(false, Ordering::Release);
    }

    /// Takes an acquire back whose receiver was dropped before this call (see [`CommandQueue::next`]).
    pub fn cancel(&self, name: Name, key: HoldKey) {
        self.waiting.lock().cancels.push_back((name, key));
        self.arrived.notify_one();
    }

    /// Notes that a request of this session was seen; goes out with the next entry.
    pub fn touch(&self, session: SessionId) {
        let wakes = {
            let mut waiting = self.waiting.lock();
            waiting.touches.insert(session) && waiting.wakes_for_touches
        };
        if wakes {
            self.arrived.notify_one();
        }
    }

    /// Resolves when something has arrived since the last call.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Counts one tick of waiting. Commands that came `ticks` or more ago are refused: they were never handed on.
    pub fn tick(&self, ticks: u64) {
        let late = {
            let mut waiting = self.waiting.lock();
            waiting.tick += 1;
            let now = waiting.tick;
            let late = waiting.commands.iter().take_while(|queued| queued.tick + ticks <= now).count();
            waiting.commands.drain(..late).collect::<Vec<_>>()
        };
        late.into_iter().for_each(|queued| queued.refuse(EngineError::NoQuorum));
    }

    /// Takes the next batch; empty if nothing waits.
    ///
    /// An acquire whose caller is gone is skipped here. A cancel was noted after its receiver was dropped, so either
    /// the acquire is skipped, or it went into an earlier entry than its cancel: never the other way round.
    pub fn next(&self, bounds: BatchBounds) -> Batch {
        self.take(&mut self.waiting.lock(), bounds)
    }

    /// The same, unless nothing waits but touches, which go out with the next command.
    pub fn next_commands(&self, bounds: BatchBounds) -> Option<Batch> {
        let mut waiting = self.waiting.lock();
        (!waiting.has_only_touches()).then(|| self.take(&mut waiting, bounds))
    }

    fn take(&self, waiting: &mut Waiting, bounds: BatchBounds) -> Batch {
        let mut batch = waiting.take_batch(bounds);
        if waiting.has_more() && !waiting.taken_by_submitters {
            self.arrived.notify_one();
        }
        waiting.take_touches(&mut batch);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Caller;

    fn open(number: u8) -> Command {
        let (session, caller) = (SessionId([number; 16]), Caller::NOBODY);
        Command::OpenSession { session, idle_timeout_ms: 1, idempotency_key: None, caller }
    }

    #[test]
    fn waiting_commands_reserve_bytes_until_taken_or_refused() {
        let queue = CommandQueue::new(10);
        let one = open(0).min_bytes();
        let waiting: Vec<_> = (1..=3).map(|number| queue.submit(open(number))).collect();
        drop(queue.submit(Command::CloseSession { session: SessionId([1; 16]), force: None }));
        assert_eq!(queue.reserved_bytes(), 3 * one, "only what adds something");
        drop(queue.next(BatchBounds { commands_max: 1, bytes_max: 1 }));
        assert_eq!(queue.reserved_bytes(), 2 * one);
        queue.refuse_waiting(EngineError::NoQuorum);
        assert_eq!(queue.reserved_bytes(), 0);
        drop(waiting);
    }
}
