//! The table behind the log: each committed entry is applied here, and its requests are answered from here.

use super::clock::Clock;
use super::histogram::Timings;
use super::intake::Intake;
use super::pending::Pending;
use super::raft::{Frozen, Machine};
use super::stats::Counters;
use crate::domain::{Body, Entry, FrozenTable, StaleEpoch, Table};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// What apply, the proposer and the requests of this node have in common.
pub struct Shared {
    pub clock: Clock,
    pub intake: Intake,
    pub pending: Pending,
    pub counters: Counters,
    pub timings: Timings,
    /// The last entry was of another leadership: nothing of it was applied.
    pub refused_entry: AtomicBool,
    table: RwLock<Table>,
}

impl Shared {
    pub fn new(intake: Intake, pending: Pending) -> Shared {
        Shared {
            clock: Clock::start(),
            intake,
            pending,
            counters: Counters::default(),
            timings: Timings::default(),
            refused_entry: AtomicBool::new(false),
            table: RwLock::default(),
        }
    }

    pub fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct LockMachine(pub Arc<Shared>);

impl Machine for LockMachine {
    fn apply(&mut self, payload: &[u8]) {
        let entry = Entry::decode(payload).unwrap_or_else(|error| unreadable_entry(&error));
        let leads_anew = matches!(entry.body, Body::LeaderStart(_));
        let applied = self.0.table_mut().apply(entry);
        match applied {
            Ok(mut applied) => {
                self.0.refused_entry.store(false, Ordering::Release);
                self.0.counters.count(&applied);
                if leads_anew {
                    self.0.counters.count_leadership();
                } else {
                    self.0.timings.batch.observe(applied.outcomes.len() as f64);
                }
                self.0.pending.answer(&mut applied);
            }
            Err(StaleEpoch { found, expected }) => {
                tracing::warn!(found, expected, "an entry of another leadership was not applied");
                self.0.refused_entry.store(true, Ordering::Release);
            }
        }
    }

    fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(FrozenView(self.0.table().freeze()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> Result<(), String> {
        let table = Table::restore(snapshot).map_err(|error| error.to_string())?;
        *self.0.table_mut() = table;
        self.0.pending.resume_from(&self.0.table());
        Ok(())
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
    tracing::error!(%error, "a committed log entry cannot be read; was the data written by a newer latchd?");
    eprintln!("latchd: a committed log entry cannot be read ({error}); was the data written by a newer latchd?");
    std::process::abort()
}
