//! Plays a script: makes each step concrete for the present table, applies it, and passes it to a check.

use super::script::{Asked, Batch, Lead, Step};
use crate::domain::kit::{FIRST_TOKEN, session, store};
use latchd::domain::{
    Applied, Body, CommandId, Entry, Event, HoldKey, Incarnation, LeaderStart, Limits, Name, NodeId, ORPHAN_MS, Quota,
    QuotaLimits, QuotaOf, Quotas, StaleEpoch, Submitted, Table, Timestamp,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One entry, just applied.
pub struct Played<'a> {
    pub entry: &'a Entry,
    pub applied: &'a Result<Applied, StaleEpoch>,
    pub table: &'a Table,
}

impl Played<'_> {
    pub fn events(&self) -> &[Event] {
        self.applied.as_ref().map_or(&[], |applied| &applied.events)
    }
}

/// Plays all steps and returns the whole log.
pub fn play(
    script: &[Step],
    mut check: impl FnMut(&Played) -> Result<(), String>,
) -> Result<(Vec<Entry>, Table), String> {
    let mut driver = Driver::default();
    let mut log = Vec::new();
    for step in script {
        let entry = driver.entry(step);
        let applied = driver.table.apply(entry.clone());
        let played = Played { entry: &entry, applied: &applied, table: &driver.table };
        if let Some(Event::Broken(what)) = played.events().iter().find(|event| matches!(event, Event::Broken(_))) {
            return Err(format!("the table reports a broken invariant: {what}"));
        }
        check(&played)?;
        log.push(entry);
    }
    Ok((log, driver.table))
}

#[derive(Default)]
pub struct Driver {
    pub table: Table,
    /// How often each node's process was started.
    starts: BTreeMap<u8, u64>,
    sequences: BTreeMap<Incarnation, u64>,
    /// The keys of all acquires so far, with the names of their locks, and whether these were asked for as a list.
    pub keys: Vec<(Vec<Name>, HoldKey, bool)>,
}

pub fn limits(tight: bool) -> Limits {
    Limits {
        name_bytes_max: 8,
        metadata_entries_max: 1,
        metadata_key_bytes_max: 4,
        metadata_value_bytes_max: 4,
        wait_ms_max: 6 * ORPHAN_MS,
        lease_ms_max: 6 * ORPHAN_MS,
        size_max: if tight { 2 } else { 3 },
        waiters_per_lock_max: if tight { 1 } else { 4 },
        holds_max: if tight { 6 } else { 13 },
        sessions_max: if tight { 2 } else { 4 },
        holds_per_session_max: if tight { 3 } else { 6 },
        // With fewer, it matters in which order the names of one hold become idle.
        remembered_sizes_max: 3,
        remembered_size_idle_ms: if tight { 5 } else { 25 },
        requests_max: if tight { 2 } else { 3 },
        table_bytes_max: 0,
        credential_share: 0,
        address_share: 0,
        names_max: if tight { 2 } else { 3 },
        lock_delay_ms_max: 60,
        value_bytes_max: 4,
        election_reliable_ms: 7,
        deadlock_search_max: 1_000,
        marks_max: if tight { 1 } else { 2 },
        mark_idle_ms: 40,
        history_per_lock: if tight { 2 } else { 3 },
        history_bytes_max: 1 << 20,
        freeze_ms_max: 50,
        freezes_max: if tight { 1 } else { 3 },
    }
}

/// Credential 1 has a quota of its own; the names of a prefix are part of those of the next.
pub fn quotas(tight: bool) -> Arc<Quotas> {
    let less = |max: u64| if tight { max / 2 } else { max };
    let of = |holds_max, sessions_max, waiters_max| QuotaLimits { holds_max, sessions_max, waiters_max };
    let all = [
        (QuotaOf::Credential { credential: 1, name: "one".into() }, of(Some(less(6)), Some(less(4)), Some(less(4)))),
        (QuotaOf::EachCredential, of(Some(less(8)), Some(less(2)), None)),
        (QuotaOf::Prefix("a".into()), of(Some(less(8)), None, Some(less(4)))),
        (QuotaOf::Prefix(if tight { "b" } else { "ab" }.into()), of(Some(3), None, Some(1))),
    ];
    let mut quotas = Quotas::default();
    for (of, limits) in all {
        assert!(quotas.insert(Quota { of, limits }), "there is one of each");
    }
    Arc::new(quotas)
}

impl Driver {
    fn entry(&mut self, step: &Step) -> Entry {
        match step {
            Step::Lead(lead) => {
                let at = self.at(lead.pass_ms);
                Entry { at, epoch: 0, body: Body::LeaderStart(self.leader_start(lead)) }
            }
            Step::Batch(batch) => Entry {
                at: self.at(batch.pass_ms),
                epoch: self.table.epoch() - u64::from(batch.stale),
                body: self.batch(batch),
            },
        }
    }

    fn leader_start(&mut self, lead: &Lead) -> LeaderStart {
        let incarnation = self.run_of(lead.node, lead.restarted, false);
        LeaderStart {
            first_token: FIRST_TOKEN,
            limits: limits(lead.tight),
            node: NodeId(lead.node.into()),
            incarnation,
            store: store(lead.node),
            level: lead.level,
            confirm: lead.confirm,
            quotas: Some(quotas(lead.tight)),
        }
    }

    /// Each incarnation of each node has its own number.
    pub fn run_of(&mut self, node: u8, restarted: bool, belated: bool) -> Incarnation {
        let starts = self.starts.entry(node).or_insert(1);
        *starts += u64::from(restarted);
        Incarnation(u64::from(node) * 1_000 + *starts - u64::from(belated))
    }

    fn at(&self, pass_ms: i64) -> Timestamp {
        Timestamp(self.table.now().0.saturating_add_signed(pass_ms))
    }

    fn batch(&mut self, batch: &Batch) -> Body {
        let commands = batch.commands.iter().map(|asked| self.submitted(asked, batch.stale)).collect();
        let touches = batch.touches.iter().map(|number| session(*number)).collect();
        Body::Batch { touches, more_touches: batch.more_touches, commands }
    }

    fn submitted(&mut self, asked: &Asked, stale: bool) -> Submitted {
        let incarnation = self.run_of(asked.from, false, asked.belated);
        let last = self.sequences.entry(incarnation).or_insert(0);
        if !asked.repeated && !stale {
            *last += 1;
        }
        Submitted { id: CommandId { incarnation, sequence: *last }, command: self.command(&asked.verb) }
    }
}
