//! The statistics of this node: counted as entries are applied, and read by anybody.

use super::counts::{Counts, covered};
use super::names::Names;
use crate::domain::{Applied, Event, Name, Table, Timestamp};
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// About a megabyte with short names.
const NAMES_MAX: usize = 4096;

/// Entries that are read while what is applied waits: some microseconds.
const READ_AT_ONCE: usize = 64;

pub struct Statistics {
    names: Mutex<Names>,
    /// Whether any name is counted: without one, an end of a hold has nothing to look up.
    any: AtomicBool,
    began: OnceLock<Timestamp>,
}

/// By what the names are ordered; the most comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentionOrder {
    Wait,
    LongestWait,
    Waits,
    Timeouts,
    Hold,
}

/// One lock.
#[derive(Clone, Debug, PartialEq)]
pub struct ContentionRow {
    pub name: Name,
    /// Waiters now.
    pub waiting: u32,
    /// Waits that have not ended count with what they have lasted.
    pub counts: Counts,
}

/// What this node has seen of the locks that are waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Contention {
    pub covers: Duration,
    pub rows: Vec<ContentionRow>,
}

impl Default for Statistics {
    fn default() -> Statistics {
        let (any, began) = Default::default();
        Statistics { names: Mutex::new(Names::new(NAMES_MAX)), any, began }
    }
}

impl Statistics {
    /// Counts what an entry did that brought this time.
    pub fn note(&self, applied: &Applied, now: Timestamp) {
        self.began.get_or_init(|| now);
        if applied.waits.is_empty() && !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut names = self.names.lock();
        names.forget_if_quiet(now);
        applied.waits.iter().for_each(|note| names.note_wait(note, now));
        for event in &applied.events {
            if let Event::HoldEnded { name, since, .. } = event {
                names.note_hold(name, now.since(*since), now);
            }
        }
        self.any.store(names.len() > 0, Ordering::Relaxed);
    }

    /// A snapshot has replaced the table by this one.
    pub fn resume(&self, table: &Table) {
        self.began.get_or_init(|| table.now());
        let mut names = self.names.lock();
        names.resume(table.waits(), table.now());
        self.any.store(names.len() > 0, Ordering::Relaxed);
    }

    /// The first locks in this order of those whose name begins with one of these prefixes.
    pub fn read<'a>(
        &self,
        prefixes: &[String],
        order: ContentionOrder,
        limit: usize,
        now: Timestamp,
        table: impl Fn() -> parking_lot::RwLockReadGuard<'a, Table>,
    ) -> Contention {
        let mut rows = self.rows(prefixes, now);
        for some in rows.chunks_mut(READ_AT_ONCE) {
            let table = table();
            some.iter_mut().for_each(|row| row.add_queue(&table, now));
        }
        rows.retain(|row| row.waiting > 0 || row.counts != Counts::default());
        rows.sort_by(|one, other| {
            Reverse(order.of(one)).cmp(&Reverse(order.of(other))).then_with(|| one.name.cmp(&other.name))
        });
        rows.truncate(limit);
        let covers = self.began.get().map_or(Duration::ZERO, |began| covered(*began, now));
        Contention { covers, rows }
    }

    fn rows(&self, prefixes: &[String], now: Timestamp) -> Vec<ContentionRow> {
        let (mut rows, mut at) = (Vec::new(), 0);
        loop {
            let names = self.names.lock();
            let Some(some) = names.entries().get(at..).filter(|some| !some.is_empty()) else { return rows };
            let some = &some[..some.len().min(READ_AT_ONCE)];
            at += some.len();
            let is_asked = |name: &Name| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()));
            let asked = some.iter().filter(|entry| is_asked(&entry.name));
            rows.extend(asked.map(|entry| ContentionRow {
                name: entry.name.clone(),
                waiting: 0,
                counts: entry.counts(now),
            }));
        }
    }
}

impl ContentionRow {
    /// The table knows who waits, and the first of the queue has usually waited longest.
    fn add_queue(&mut self, table: &Table, now: Timestamp) {
        if let Some((waiting, first)) = table.queue_of(&self.name) {
            self.waiting = waiting;
            let waited_ms = u64::try_from(now.since(first).as_millis()).unwrap_or(u64::MAX);
            self.counts.wait_max_ms = self.counts.wait_max_ms.max(waited_ms);
        }
    }
}

impl ContentionOrder {
    pub const ALL: [ContentionOrder; 5] = [
        ContentionOrder::Wait,
        ContentionOrder::LongestWait,
        ContentionOrder::Waits,
        ContentionOrder::Timeouts,
        ContentionOrder::Hold,
    ];

    /// The name in queries and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentionOrder::Wait => "wait",
            ContentionOrder::LongestWait => "longest-wait",
            ContentionOrder::Waits => "waits",
            ContentionOrder::Timeouts => "timeouts",
            ContentionOrder::Hold => "hold",
        }
    }

    fn of(self, row: &ContentionRow) -> u64 {
        match self {
            ContentionOrder::Wait => row.counts.wait_ms,
            ContentionOrder::LongestWait => row.counts.wait_max_ms,
            ContentionOrder::Waits => row.counts.waits,
            ContentionOrder::Timeouts => row.counts.timeouts,
            ContentionOrder::Hold => row.counts.hold_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::WINDOW;
    use super::*;
    use crate::domain::{Caller, Dialect, WaitEnd, WaitNote, WaitStep};
    use parking_lot::RwLock;

    fn waits(name: &str, since: u64) -> Applied {
        noted(name, since, WaitStep::Begun)
    }

    fn given_up(name: &str, since: u64) -> Applied {
        noted(name, since, WaitStep::Ended(WaitEnd::TimedOut))
    }

    fn noted(name: &str, since: u64, step: WaitStep) -> Applied {
        let (name, since, caller) = (name.into(), Timestamp(since), Caller::NOBODY);
        let note = WaitNote { name, since, session: None, dialect: Dialect::LdlmRest, caller, step };
        Applied { waits: vec![note], ..Applied::default() }
    }

    #[test]
    fn names_are_forgotten_and_cost_nothing_when_nobody_has_waited_for_long() {
        let statistics = Statistics::default();
        let window_ms = WINDOW.as_millis() as u64;
        let after = |windows: u64| {
            statistics.note(&Applied::default(), Timestamp(windows * window_ms));
            (statistics.any.load(Ordering::Relaxed), statistics.names.lock().len())
        };
        statistics.note(&waits("a", 0), Timestamp(0));
        statistics.note(&waits("b", 0), Timestamp(0));
        statistics.note(&given_up("b", 0), Timestamp(1));
        assert_eq!(after(1), (true, 2));
        assert_eq!(after(9), (true, 2), "somebody waits still");
        statistics.note(&given_up("a", 0), Timestamp(9 * window_ms));
        assert_eq!(after(10), (true, 2), "what was counted is shown for so long");
        assert_eq!(after(12), (false, 0));
        statistics.note(&waits("c", 0), Timestamp(12 * window_ms));
        assert_eq!(after(12), (true, 1));
    }

    #[test]
    fn rows_are_those_of_the_prefixes_in_order_before_they_are_cut() {
        let (statistics, table) = (Statistics::default(), RwLock::new(Table::default()));
        for (name, since) in [("a/1", 30), ("b/1", 10), ("a/2", 20), ("c/1", 0)] {
            statistics.note(&waits(name, since), Timestamp(since));
        }
        let read = |prefixes: &[&str], limit| {
            let prefixes: Vec<String> = prefixes.iter().map(ToString::to_string).collect();
            let read = statistics.read(&prefixes, ContentionOrder::Wait, limit, Timestamp(100), || table.read());
            read.rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(read(&[""], 9), ["c/1", "b/1", "a/2", "a/1"]);
        assert_eq!(read(&["a/", "b/"], 2), ["b/1", "a/2"]);
        assert!(read(&[], 9).is_empty(), "a caller who may see nothing");
    }
}
