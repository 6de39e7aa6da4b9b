//! What waits to become the next log entry: commands, cancels and sightings of sessions.
//!
//! Bounded: own commands and those of other nodes each by `storage.queue_commands_max`, what own ones would add to the
//! table by the room in it, those of other nodes by their bytes; cancels by the acquires that
//! were let in; sightings by the number of sessions; what the leader itself asks by the number of nodes.

use super::error::EngineError;
use super::pending::Answer;
use crate::domain::{Command, HoldKey, Name, SessionId, Submitted};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, oneshot};

/// How large one entry may become.
#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    pub commands_max: usize,
    pub bytes_max: usize,
}

/// Sightings in one entry; the rest waits for the next, and until then no session ends idle.
const TOUCHES_MAX: usize = 1024;

/// Bytes of other nodes' commands that may wait for the log; those nodes keep what comes later.
const FORWARDED_BYTES_MAX: usize = 16 << 20;

/// Room that a command will take in the table, as long as it waits for the log.
struct Reserved {
    all: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A command and whoever waits for its outcome.
pub struct Queued {
    pub command: Command,
    pub answer: Option<oneshot::Sender<Answer>>,
    /// The tick in which it came; see [`Intake::tick`].
    tick: u64,
    _reserved: Option<Reserved>,
}

#[derive(Default)]
pub struct Batch {
    /// What the leader itself asks, bound to its leadership: never sent again under another.
    pub leaders_own: Vec<Queued>,
    /// Commands that other nodes have forwarded, with their own identities.
    pub forwarded: Vec<Submitted>,
    pub queued: Vec<Queued>,
    pub touches: Vec<SessionId>,
    pub more_touches: bool,
}

impl Batch {
    pub fn has_commands(&self) -> bool {
        !(self.leaders_own.is_empty() && self.forwarded.is_empty() && self.queued.is_empty())
    }

    fn len(&self) -> usize {
        self.leaders_own.len() + self.forwarded.len() + self.queued.len()
    }
}

pub struct Intake {
    waiting: Mutex<Waiting>,
    arrived: Notify,
    commands_max: usize,
    reserved_bytes: Arc<AtomicU64>,
}

#[derive(Default)]
struct Waiting {
    /// Why nothing is let in any more.
    closed: Option<EngineError>,
    /// The leadership of this node, while it leads: what other nodes forward is let in.
    leading: Option<u64>,
    commands: VecDeque<Queued>,
    cancels: VecDeque<(Name, HoldKey)>,
    forwarded: VecDeque<Submitted>,
    forwarded_bytes: usize,
    leaders_own: Vec<Queued>,
    touches: BTreeSet<SessionId>,
    /// Sightings are sent at once, because another node judges the sessions.
    wakes_for_touches: bool,
    tick: u64,
}

impl Intake {
    pub fn new(commands_max: usize) -> Intake {
        Intake { waiting: Mutex::default(), arrived: Notify::new(), commands_max, reserved_bytes: Arc::default() }
    }

    /// Refuses everything from now on, and what waits.
    pub fn close(&self, error: EngineError) {
        let refused = {
            let mut waiting = self.lock();
            waiting.closed = Some(error);
            std::mem::take(&mut waiting.commands)
        };
        refused.into_iter().for_each(|queued| queued.refuse(error));
    }

    /// Refuses what waits, and nothing that comes later.
    pub fn refuse_waiting(&self, error: EngineError) {
        let refused = std::mem::take(&mut self.lock().commands);
        refused.into_iter().for_each(|queued| queued.refuse(error));
    }

    /// Leading, other nodes' commands are let in. Afterwards they are dropped, because their nodes send them again to
    /// whoever leads then, and so is what only this leader asked.
    pub fn set_leading(&self, epoch: Option<u64>) {
        let refused = {
            let mut waiting = self.lock();
            waiting.leading = epoch;
            waiting.wakes_for_touches = epoch.is_none();
            waiting.forwarded.clear();
            waiting.forwarded_bytes = 0;
            std::mem::take(&mut waiting.leaders_own)
        };
        refused.into_iter().for_each(|queued| queued.refuse(EngineError::NotLeader));
    }

    /// What the commands that wait here would add to the table.
    pub fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes.load(Ordering::Relaxed)
    }

    fn reserve(&self, command: &Command) -> Option<Reserved> {
        let bytes = command.min_bytes();
        (bytes > 0).then(|| {
            self.reserved_bytes.fetch_add(bytes, Ordering::Relaxed);
            Reserved { all: Arc::clone(&self.reserved_bytes), bytes }
        })
    }

    pub fn submit(&self, command: Command) -> Result<oneshot::Receiver<Answer>, EngineError> {
        let (answer, receiver) = oneshot::channel();
        let wakes = {
            let mut waiting = self.lock();
            if let Some(error) = waiting.closed {
                return Err(error);
            }
            if waiting.commands.len() >= self.commands_max {
                return Err(EngineError::Overloaded);
            }
            let (tick, reserved) = (waiting.tick, self.reserve(&command));
            waiting.commands.push_back(Queued { command, answer: Some(answer), tick, _reserved: reserved });
            waiting.commands.len() == 1
        };
        if wakes {
            self.arrived.notify_one();
        }
        Ok(receiver)
    }

    /// Asks as the leader; refused when this node does not lead.
    pub fn submit_as_leader(&self, command: Command) -> Result<oneshot::Receiver<Answer>, EngineError> {
        let (answer, receiver) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.leading.is_none() {
                return Err(EngineError::NotLeader);
            }
            let tick = waiting.tick;
            waiting.leaders_own.push(Queued { command, answer: Some(answer), tick, _reserved: None });
        }
        self.arrived.notify_one();
        Ok(receiver)
    }

    /// Takes in what another node forwards, in its order; returns the leadership that has it now.
    pub fn forward(&self, commands: Vec<Submitted>, touches: Vec<SessionId>) -> Result<u64, EngineError> {
        let epoch = {
            let mut waiting = self.lock();
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

    /// The leadership of this node, while it leads behind its barrier.
    pub fn leading(&self) -> Option<u64> {
        self.lock().leading
    }

    /// Has the driver look around.
    pub fn wake(&self) {
        self.arrived.notify_one();
    }

    /// Takes an acquire back whose receiver was dropped before this call (see [`Intake::next`]).
    pub fn cancel(&self, name: Name, key: HoldKey) {
        self.lock().cancels.push_back((name, key));
        self.arrived.notify_one();
    }

    /// Notes that a request of this session was seen; goes out with the next entry.
    pub fn touch(&self, session: SessionId) {
        let wakes = {
            let mut waiting = self.lock();
            waiting.touches.insert(session) && waiting.wakes_for_touches
        };
        if wakes {
            self.arrived.notify_one();
        }
    }

    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Counts a stretch of waiting; commands that came `ticks` or more ago are refused: they were never handed on.
    pub fn tick(&self, ticks: u64) {
        let late = {
            let mut waiting = self.lock();
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
        let mut waiting = self.lock();
        let mut batch = Batch { leaders_own: std::mem::take(&mut waiting.leaders_own), ..Batch::default() };
        let mut bytes = batch.leaders_own.len() * 64;
        // Other nodes fill at most half, so that neither they nor this node's own requests starve.
        let half = BatchBounds { commands_max: bounds.commands_max.div_ceil(2), bytes_max: bounds.bytes_max / 2 };
        waiting.take_forwarded(&mut batch, &mut bytes, half);
        waiting.take_own(&mut batch, &mut bytes, bounds);
        waiting.take_forwarded(&mut batch, &mut bytes, bounds);
        if !waiting.commands.is_empty() || !waiting.cancels.is_empty() || !waiting.forwarded.is_empty() {
            self.arrived.notify_one();
        }
        waiting.take_touches(&mut batch);
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn take_forwarded(&mut self, batch: &mut Batch, bytes: &mut usize, bounds: BatchBounds) {
        while !bounds.are_reached(batch, *bytes)
            && let Some(submitted) = self.forwarded.pop_front()
        {
            let size = size_hint(&submitted.command);
            *bytes += size;
            self.forwarded_bytes = self.forwarded_bytes.saturating_sub(size);
            batch.forwarded.push(submitted);
        }
    }

    fn take_own(&mut self, batch: &mut Batch, bytes: &mut usize, bounds: BatchBounds) {
        while !bounds.are_reached(batch, *bytes)
            && let Some((name, key)) = self.cancels.pop_front()
        {
            *bytes += name.len() + 32;
            let command = Command::Cancel { name, key };
            batch.queued.push(Queued { command, answer: None, tick: self.tick, _reserved: None });
        }
        while !bounds.are_reached(batch, *bytes)
            && let Some(queued) = self.commands.pop_front()
        {
            let is_abandoned_acquire = matches!(queued.command, Command::Acquire(_))
                && queued.answer.as_ref().is_some_and(|answer| answer.is_closed());
            if !is_abandoned_acquire {
                *bytes += size_hint(&queued.command);
                batch.queued.push(queued);
            }
        }
    }

    fn take_touches(&mut self, batch: &mut Batch) {
        if self.touches.len() <= TOUCHES_MAX {
            batch.touches = std::mem::take(&mut self.touches).into_iter().collect();
            return;
        }
        batch.touches = self.touches.iter().take(TOUCHES_MAX).copied().collect();
        batch.touches.iter().for_each(|session| {
            self.touches.remove(session);
        });
        batch.more_touches = true;
    }
}

impl Queued {
    fn refuse(self, error: EngineError) {
        self.answer.map(|answer| answer.send(Err(error)));
    }
}

impl BatchBounds {
    fn are_reached(&self, batch: &Batch, bytes: usize) -> bool {
        batch.len() >= self.commands_max || bytes >= self.bytes_max
    }
}

/// About how many bytes a command takes in an entry.
fn size_hint(command: &Command) -> usize {
    let metadata = match command {
        Command::Acquire(acquire) => acquire.metadata.iter().map(|(key, value)| key.len() + value.len() + 4).sum(),
        _ => 0,
    };
    64 + command.name().map_or(0, |name| name.len()) + metadata
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
    fn what_waits_for_the_log_is_counted_until_it_is_taken_or_refused() {
        let intake = Intake::new(10);
        let one = open(0).min_bytes();
        let waiting: Vec<_> = (1..=3).map(|number| intake.submit(open(number))).collect();
        drop(intake.submit(Command::CloseSession { session: SessionId([1; 16]) }));
        assert_eq!(intake.reserved_bytes(), 3 * one, "only what adds something");
        drop(intake.next(BatchBounds { commands_max: 1, bytes_max: 1 }));
        assert_eq!(intake.reserved_bytes(), 2 * one);
        intake.refuse_waiting(EngineError::NoQuorum);
        assert_eq!(intake.reserved_bytes(), 0);
        drop(waiting);
    }
}
