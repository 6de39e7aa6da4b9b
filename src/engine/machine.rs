//! The table behind the log: each committed entry is applied here, and its requests are answered from here.

use super::cluster_clock::ClusterClock;
use super::compare::Comparing;
use super::events::{EventId, Feed};
use super::full_pools::FullPools;
use super::intake::Intake;
use super::journal::Journal;
use super::last_holds::LastHolds;
use super::pending::Pending;
use super::stats::Counters;
use super::timings::Timings;
use crate::base::LogRateLimit;
use crate::base::clock;
use crate::base::fatal::LAST_WORDS;
use crate::domain::time::round_up_ms;
use crate::domain::{Applied, Body, Command, Entry, FEATURE_LEVEL, FrozenTable, NodeId, Outcome, StaleEpoch, Table};
use crate::mutants;
use crate::raft::{Frozen, Machine};
use bytes::Bytes;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// What apply, the proposer and the requests of this node have in common.
pub struct Shared {
    pub clock: ClusterClock,
    pub intake: Intake,
    pub pending: Pending,
    pub counters: Counters,
    pub timings: Timings,
    pub feed: Feed,
    pub full_pools: FullPools,
    pub last_holds: LastHolds,
    pub comparing: Comparing,
    /// The last entry was of another leadership: nothing of it was applied.
    pub refused_entry: AtomicBool,
    journal: Mutex<Journal>,
    /// What this node proposed last, until it is applied: encoded, and as it was before.
    proposed: Mutex<Option<(Bytes, Entry)>>,
    /// The number in event ids of the entry that the table stands at; changes under the table's lock.
    applied: AtomicU64,
    /// The idle timeout of the first session that was seen, 0 before; `u64::MAX` once another was seen beside it.
    idle_timeout_ms: AtomicU64,
    table: RwLock<Table>,
}

impl Shared {
    pub fn new(intake: Intake, pending: Pending, feed: Feed, comparing: Comparing) -> Shared {
        Shared {
            clock: ClusterClock::start(),
            intake,
            pending,
            counters: Counters::default(),
            timings: Timings::default(),
            feed,
            full_pools: FullPools::default(),
            last_holds: LastHolds::default(),
            comparing,
            refused_entry: AtomicBool::new(false),
            journal: Mutex::default(),
            proposed: Mutex::default(),
            applied: AtomicU64::new(0),
            idle_timeout_ms: AtomicU64::new(0),
            table: RwLock::default(),
        }
    }

    pub fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a session may have another idle timeout than this.
    pub fn idle_times_differ(&self, usual: Duration) -> bool {
        let seen = self.idle_timeout_ms.load(Ordering::Relaxed);
        seen != 0 && seen != round_up_ms(usual)
    }

    fn note_idle_timeout(&self, ms: u64) {
        let seen = self.idle_timeout_ms.load(Ordering::Relaxed);
        let next = if seen == 0 || seen == ms { ms } else { u64::MAX };
        self.idle_timeout_ms.store(next, Ordering::Relaxed);
    }

    fn note_idle_timeouts(&self, entry: &Entry) {
        let Body::Batch { commands, .. } = &entry.body else { return };
        for submitted in commands {
            if let Command::OpenSession { idle_timeout_ms, .. } = submitted.command {
                self.note_idle_timeout(idle_timeout_ms);
            }
        }
    }

    /// The table, and behind which events it stands.
    pub fn table_and_place(&self) -> (RwLockReadGuard<'_, Table>, EventId) {
        let table = self.table();
        let place = EventId::behind(self.applied.load(Ordering::Relaxed), table.table_id());
        (table, place)
    }

    /// Behind which events the table stands.
    pub fn place(&self) -> EventId {
        self.table_and_place().1
    }

    /// Encodes an entry for the log, and keeps it so that applying it here needs no decoding.
    pub fn encode(&self, entry: Entry) -> Bytes {
        let entry = self.for_all_nodes(entry);
        let payload = Bytes::from(entry.encode());
        *self.proposed.lock().unwrap_or_else(PoisonError::into_inner) = Some((payload.clone(), entry));
        payload
    }

    /// An entry as every node can read it, also one of an older release.
    pub fn for_all_nodes(&self, entry: Entry) -> Entry {
        let level = self.table().level();
        entry.for_level(if level == 0 { FEATURE_LEVEL } else { level })
    }

    fn note_refusal(&self, outcome: &Outcome) {
        if let Outcome::Refused(refusal) = outcome {
            self.full_pools.note(refusal, self.clock.age());
        }
    }

    /// The entry that a payload stands for.
    ///
    /// One that lies where the kept payload lies is that payload: while it is kept, its memory is nobody else's.
    fn decode(&self, payload: &[u8]) -> Entry {
        let mut proposed = self.proposed.lock().unwrap_or_else(PoisonError::into_inner);
        let own = proposed.take_if(|(kept, _)| std::ptr::eq::<[u8]>(&**kept, payload));
        drop(proposed);
        match own {
            Some((_, entry)) => entry,
            None => Entry::decode(payload).unwrap_or_else(|error| unreadable_entry(&error)),
        }
    }

    /// What the entry at `index` did, and its number in event ids.
    fn apply(&self, index: u64, entry: Entry) -> (Result<Applied, StaleEpoch>, u64) {
        let leads_anew = matches!(entry.body, Body::LeaderStart(_));
        let mut table = self.table_mut();
        let before = table.now();
        let applied = table.apply_at(index, entry);
        if let Ok(applied) = &applied {
            self.last_holds.note(&applied.events, table.now());
        }
        if self.comparing.is_mark(leads_anew, before, table.now()) {
            self.comparing.mark(index, table.freeze());
        }
        (applied, self.stand_at(&table, index))
    }

    /// The table stands at the entry at `index`: its number in event ids.
    fn stand_at(&self, table: &Table, index: u64) -> u64 {
        let number = table.event_origin().saturating_add(index);
        self.applied.store(number, Ordering::Relaxed);
        number
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A leader that is none any more goes on proposing until it hears of it.
static STALE: LogRateLimit = LogRateLimit::new(6);

pub struct LockMachine(pub Arc<Shared>);

impl Machine for LockMachine {
    fn apply(&mut self, index: u64, payload: &[u8]) {
        let mut entry = self.0.decode(payload);
        if mutants::on("one-node-applies-otherwise") {
            self.apply_otherwise(&mut entry);
        }
        let leads_anew = matches!(entry.body, Body::LeaderStart(_));
        self.0.note_idle_timeouts(&entry);
        let mut journal = self.0.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.read(&entry);
        let (applied, number) = self.0.apply(index, entry);
        match applied {
            Ok(mut applied) => {
                self.0.refused_entry.store(false, Ordering::Release);
                self.0.counters.count(&applied);
                applied.outcomes.iter().for_each(|(_, outcome)| self.0.note_refusal(outcome));
                if leads_anew {
                    self.0.counters.count_leadership();
                    self.begin_feed();
                } else {
                    self.0.timings.batch.observe(applied.outcomes.len() as f64);
                }
                journal.tell(&applied);
                self.0.pending.answer(&mut applied);
                self.0.feed.append(number, applied.events);
            }
            Err(StaleEpoch { found, expected }) => {
                if let Some(held_back) = STALE.admit(clock::process_age()) {
                    tracing::warn!(found, expected, held_back, "an entry of another leadership was not applied");
                }
                self.0.refused_entry.store(true, Ordering::Release);
                self.0.feed.append(number, Vec::new());
            }
        }
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(FrozenView(self.0.table().freeze()))
    }

    fn restore(&mut self, index: u64, snapshot: &mut dyn Read) -> Result<(), String> {
        let restored = Table::restore(snapshot).map_err(|error| error.to_string())?;
        let life = restored.table_id();
        restored.idle_timeouts_ms().for_each(|ms| self.0.note_idle_timeout(ms));
        let number = {
            let mut table = self.0.table_mut();
            *table = restored;
            self.0.stand_at(&table, index)
        };
        self.0.feed.restored(number, life);
        self.0.pending.resume_from(&self.0.table());
        Ok(())
    }
}

impl LockMachine {
    /// The first leadership has opened the table. Later ones change nothing of what came before.
    fn begin_feed(&self) {
        let (epoch, origin, life) = {
            let table = self.0.table();
            (table.epoch(), table.event_origin(), table.table_id())
        };
        if epoch == 1 {
            self.0.feed.begin_at(origin, life);
        }
    }

    /// A planted bug: node 2 forgets releases.
    fn apply_otherwise(&self, entry: &mut Entry) {
        let (table, run) = (self.0.table(), self.0.pending.incarnation());
        if let Body::Batch { commands, .. } = &mut entry.body
            && table.nodes().get(&NodeId(2)).is_some_and(|node| node.incarnation == run)
        {
            commands.retain(|submitted| !matches!(submitted.command, Command::Release { .. }));
        }
    }
}

struct FrozenView(FrozenTable);

impl Frozen for FrozenView {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        self.0.write_to(out)
    }
}

/// The log's checksums held, so another program wrote this: going on would be to guess at the state.
fn unreadable_entry(error: &dyn std::error::Error) -> ! {
    const WHAT: &str = "a committed log entry cannot be read";
    tracing::error!(target: LAST_WORDS, %error, "{WHAT} ({error}); was the data written by a newer latchd?");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::super::events::EventOptions;
    use super::*;
    use crate::domain::{Body, Incarnation, Timestamp};

    fn shared() -> Shared {
        Shared::new(
            Intake::new(1),
            Pending::new(Incarnation(1)),
            Feed::new(EventOptions::default()),
            Comparing::new(None),
        )
    }

    fn tick(at: u64) -> Entry {
        let body = Body::Batch { touches: Vec::new(), more_touches: false, commands: Vec::new() };
        Entry { at: Timestamp(at), epoch: 1, body }
    }

    fn is_kept(shared: &Shared) -> bool {
        shared.proposed.lock().expect("sound").is_some()
    }

    #[test]
    fn what_was_proposed_here_is_applied_without_decoding() {
        let shared = shared();
        let payload = shared.encode(tick(7));
        // So that the entry that was kept can be told from a decoded one.
        shared.proposed.lock().expect("sound").as_mut().expect("kept").1.at = Timestamp(8);
        assert_eq!(shared.decode(&payload).at, Timestamp(8));
        assert_eq!(shared.decode(&payload).at, Timestamp(7), "taken once");
    }

    #[test]
    fn what_lies_elsewhere_is_decoded() {
        let shared = shared();
        let payload = shared.encode(tick(7));
        shared.proposed.lock().expect("sound").as_mut().expect("kept").1.at = Timestamp(8);
        let elsewhere = payload.to_vec();
        assert_eq!(shared.decode(&elsewhere).at, Timestamp(7));
        let (other, newer) = (tick(9).encode(), shared.encode(tick(10)));
        assert_eq!(shared.decode(&other).at, Timestamp(9));
        assert!(is_kept(&shared));
        assert_eq!(shared.decode(&newer).at, Timestamp(10));
        assert!(!is_kept(&shared));
    }
}
