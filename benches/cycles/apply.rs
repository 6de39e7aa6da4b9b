//! The lock table alone, in this process: what a cycle of acquire and release takes of the processor, without a history of
//! ended holds and with one.

use latchd::domain::{
    Acquire, Body, Caller, Command, CommandId, Dialect, Entry, FEATURE_LEVEL, HoldKey, Incarnation, LeaderStart,
    Limits, Name, NodeId, Proof, StoreId, Submitted, Table as LockTable, Timestamp,
};

use crate::arguments::Arguments;
use crate::load::processor_time;
use crate::report::{Table, progress};
use crate::session::{Numbers, name};
use crate::statistics::{median, spread_percent};

const RUN: Incarnation = Incarnation(1);
/// Commands in each entry, half of which acquire.
const BATCH: usize = 64;
/// Before a measurement: more than the memory of the history has room for.
const WARMUP_CYCLES: usize = 150_000;
const CYCLES: usize = 300_000;
/// The other names are used once.
const FEW_NAMES: u64 = 100;

/// What is measured.
struct Row {
    history_per_lock: u64,
    few_names: bool,
    callers: u64,
    us: Vec<f64>,
}

pub fn run(arguments: &Arguments) {
    let rows = [0, 16].map(|kept| [(false, 1), (false, 1_000), (true, 1), (true, 1_000)].map(|row| (kept, row)));
    let rows = rows.into_iter().flatten();
    let mut rows: Vec<Row> = rows
        .map(|(history_per_lock, (few_names, callers))| Row { history_per_lock, few_names, callers, us: Vec::new() })
        .collect();
    for pass in 1..=arguments.passes {
        progress(&format!("pass {pass}/{}", arguments.passes));
        rows.iter_mut().for_each(Row::measure);
    }
    let mut table = Table::new(&["names", "callers", "ended holds kept of each name", "CPU us a cycle"]);
    for row in &rows {
        let names = if row.few_names { "100" } else { "fresh" };
        let us = format!("{:.2} ({:.0}%)", median(&row.us), spread_percent(&row.us));
        table.row(vec![names.to_owned(), row.callers.to_string(), row.history_per_lock.to_string(), us]);
    }
    table.print("Acquire + release, the lock table alone");
}

impl Row {
    fn measure(&mut self) {
        let mut load = Load::new(self);
        load.cycles(WARMUP_CYCLES);
        let before = processor_time(std::process::id());
        load.cycles(CYCLES);
        let used = processor_time(std::process::id()) - before;
        self.us.push(used.as_secs_f64() * 1e6 / CYCLES as f64);
    }
}

struct Load {
    table: LockTable,
    numbers: Numbers,
    sequence: u64,
    few_names: bool,
    callers: u64,
}

impl Load {
    fn new(row: &Row) -> Load {
        let limits = Limits {
            name_bytes_max: 100,
            lease_ms_max: 1 << 40,
            size_max: 1,
            holds_max: 1_000_000,
            history_per_lock: row.history_per_lock,
            history_bytes_max: 32 << 20,
            ..Limits::default()
        };
        let (node, store, level) = (NodeId(1), StoreId([1; 16]), FEATURE_LEVEL);
        let (first_token, incarnation, confirm, quotas) = (1, RUN, false, None);
        let start = LeaderStart { first_token, limits, node, incarnation, store, level, confirm, quotas };
        let mut table = LockTable::default();
        let begun = table.apply(Entry { at: Timestamp(0), epoch: 0, body: Body::LeaderStart(start) });
        assert!(begun.is_ok(), "a leadership is always accepted");
        let (numbers, few_names, callers) = (Numbers::of_client(1), row.few_names, row.callers);
        Load { table, numbers, sequence: 0, few_names, callers }
    }

    fn cycles(&mut self, count: usize) {
        for _ in 0..count / BATCH {
            let acquires: Vec<Acquire> = (0..BATCH).map(|_| self.acquire()).collect();
            let releases: Vec<Command> = acquires
                .iter()
                .map(|acquire| Command::Release {
                    name: Name::from(&*acquire.name),
                    session: None,
                    proof: Proof::Key(acquire.key),
                })
                .collect();
            let acquires = acquires.into_iter().map(|acquire| Command::Acquire(Box::new(acquire)));
            // One after the other, as where a name is used again.
            self.batch(acquires.zip(releases).flat_map(|(acquire, release)| [acquire, release]));
        }
    }

    fn acquire(&mut self) -> Acquire {
        let number = self.numbers.next();
        let name = name("free", if self.few_names { number % FEW_NAMES } else { number });
        let name = Name::from(std::str::from_utf8(&name).expect("letters and digits"));
        let key = HoldKey((u128::from(number) << 64 | u128::from(self.sequence)).to_be_bytes());
        let caller = Caller { credential: 0, address: 1 + number % self.callers };
        Acquire { lease_ms: Some(600_000), caller, ..Acquire::new(name, key, Dialect::LdlmRest) }
    }

    /// One entry, a millisecond after the last.
    fn batch(&mut self, commands: impl Iterator<Item = Command>) {
        let commands: Vec<Submitted> = commands
            .map(|command| {
                self.sequence += 1;
                Submitted { id: CommandId { incarnation: RUN, sequence: self.sequence }, command }
            })
            .collect();
        let (at, count) = (Timestamp(self.table.now().0 + 1), commands.len());
        let body = Body::Batch { touches: Vec::new(), more_touches: false, commands };
        let applied = self.table.apply(Entry { at, epoch: self.table.epoch(), body }).expect("the epoch is its own");
        // An acquire and its release have two events.
        assert_eq!(applied.events.len(), count, "each was granted and released");
    }
}
