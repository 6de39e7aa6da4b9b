//! Counters of what was applied and refused, for `/metrics` and the console. A limit that is reached is logged too, at most
//! once a minute.

use crate::base::KeyedLogRateLimit;
use crate::base::clock::process_age;
use crate::domain::{Applied, EndReason, Event, Outcome, QuotaFull, Refusal, WaitEnd};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident),+ $(,)?) => {
        #[derive(Default)]
        pub struct Counters {
            $($name: AtomicU64,)+
        }

        /// The counters at one moment; all of them only rise while the process lives. The help texts of `server/engine_metrics.rs`
        /// tell what each counts.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $(pub $name: u64,)+
        }

        impl Counters {
            pub fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }
    };
}

counters! {
    entries,
    elections,
    forwarded,
    commands,
    grants,
    waits,
    refusals,
    table_full,
    pools_full,
    shares_full,
    quotas_full,
    wait_timeouts,
    releases,
    expirations,
    forced_releases,
    session_releases,
    undelivered_grants,
    transfers,
    deadlocks,
    deadlock_searches_cut,
    sessions_opened,
    sessions_closed,
    sessions_idled_out,
    renewals,
    broken_invariants,
}

impl Counters {
    pub fn count(&self, applied: &Applied) {
        add(&self.entries, 1);
        add(&self.commands, applied.outcomes.len() as u64);
        applied.outcomes.iter().for_each(|(_, outcome)| self.count_outcome(outcome));
        applied.events.iter().for_each(|event| self.count_event(event));
    }

    pub fn count_leadership(&self) {
        add(&self.elections, 1);
    }

    pub fn count_refusal(&self, refusal: &Refusal) {
        add(&self.refusals, 1);
        if let Refusal::WouldDeadlock { .. } = refusal {
            add(&self.deadlocks, 1);
        }
        self.count_full(refusal);
    }

    pub fn count_broken(&self) {
        add(&self.broken_invariants, 1);
    }

    pub fn count_forwarded(&self, commands: usize) {
        add(&self.forwarded, commands as u64);
    }

    fn count_outcome(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Waiting { .. } | Outcome::Enqueued { .. } => add(&self.waits, 1),
            Outcome::Refused(refusal) => self.count_refusal(refusal),
            Outcome::SessionOpened { .. } => add(&self.sessions_opened, 1),
            Outcome::Renewed(_) => add(&self.renewals, 1),
            Outcome::LevelRaised { level } => tracing::info!(level, "the feature level is raised"),
            Outcome::Acquired(_)
            | Outcome::SessionClosed
            | Outcome::Released { .. }
            | Outcome::Changed(_)
            | Outcome::Resized { .. }
            | Outcome::ValueSet(_)
            | Outcome::MarkRaised { .. }
            | Outcome::Frozen(_)
            | Outcome::Thawed(_)
            | Outcome::Cancelled(_)
            | Outcome::Confirmed
            | Outcome::NodeRecorded
            | Outcome::Duplicate => {}
        }
    }

    fn count_event(&self, event: &Event) {
        match event {
            Event::Granted { .. } => add(&self.grants, 1),
            Event::WaiterEnded { why: WaitEnd::TimedOut, .. } => add(&self.wait_timeouts, 1),
            Event::ValueChanged { .. }
            | Event::WaiterGranted { .. }
            | Event::WaiterEnded { .. }
            | Event::Frozen { .. }
            | Event::Thawed { .. } => {}
            Event::HoldEnded { why, .. } => add(self.counter_of(*why), 1),
            Event::SessionEnded { idle: true, .. } => add(&self.sessions_idled_out, 1),
            Event::SessionEnded { idle: false, .. } => add(&self.sessions_closed, 1),
            Event::DeadlockSearchCut => add(&self.deadlock_searches_cut, 1),
            Event::Broken(what) => {
                add(&self.broken_invariants, 1);
                tracing::error!(what, "a broken invariant: please report this");
            }
        }
    }

    fn counter_of(&self, why: EndReason) -> &AtomicU64 {
        match why {
            EndReason::Released => &self.releases,
            EndReason::Expired => &self.expirations,
            EndReason::Forced => &self.forced_releases,
            EndReason::SessionEnded => &self.session_releases,
            EndReason::Cancelled => &self.undelivered_grants,
            EndReason::Transferred => &self.transfers,
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

/// By the key of the limit, of which there are fewer.
static FULL: KeyedLogRateLimit<&str> = KeyedLogRateLimit::new(64);

impl Counters {
    /// Counts a refusal, if a full limit is its reason.
    pub fn count_full(&self, refusal: &Refusal) {
        let (counter, limit, of) = match refusal {
            Refusal::QuotaFull(full) => return self.count_quota_full(full),
            Refusal::HoldsFull { limit }
            | Refusal::SessionsFull { limit }
            | Refusal::IdempotencyKeysFull { limit }
            | Refusal::QueueFull { limit }
            | Refusal::FreezesFull { limit }
            | Refusal::SessionHoldsFull { limit } => (&self.pools_full, *limit, None),
            Refusal::TableFull { limit } => (&self.table_full, *limit, None),
            Refusal::ShareFull { pool, limit, .. } => (&self.shares_full, *limit, Some(pool.config_key())),
            _ => return,
        };
        add(counter, 1);
        let Some(what) = refusal.config_key() else { return };
        let Some(held_back) = FULL.admit(what, process_age()) else { return };
        match of {
            None => tracing::warn!(key = what, limit, held_back, "requests are refused: {what} is reached ({limit})"),
            Some(of) => tracing::warn!(
                key = what,
                of,
                limit,
                held_back,
                "requests are refused: one caller has reached its share of {of} ({what}: {limit})"
            ),
        }
    }
}

/// By a hash of the quota and what it counts.
static QUOTAS_FULL: KeyedLogRateLimit<u64> = KeyedLogRateLimit::new(64);

impl Counters {
    fn count_quota_full(&self, full: &QuotaFull) {
        add(&self.quotas_full, 1);
        let (of, what, limit) = (full.of.to_string(), full.counted.key(), full.limit);
        let mut hasher = DefaultHasher::new();
        (&of, what).hash(&mut hasher);
        if let Some(held_back) = QUOTAS_FULL.admit(hasher.finish(), process_age()) {
            tracing::warn!(
                key = "quotas.limits",
                of,
                limit,
                held_back,
                "requests are refused: {of} has reached its quota (quotas.limits, {what}: {limit})"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Counted, Pool, QuotaOf, ShareOf};

    #[test]
    fn each_refusal_for_a_full_limit_is_counted() {
        let full = Counters::default();
        let refusals = [
            Refusal::HoldsFull { limit: 1 },
            Refusal::TableFull { limit: 1 },
            Refusal::ShareFull { pool: Pool::Bytes, whose: ShareOf::Address, limit: 1 },
            Refusal::ShareFull { pool: Pool::Holds, whose: ShareOf::Credential, limit: 1 },
            Refusal::QuotaFull(Box::new(QuotaFull {
                of: QuotaOf::EachCredential,
                counted: Counted::Waiters,
                limit: 1,
            })),
            Refusal::WrongKey,
        ];
        refusals.iter().for_each(|refusal| full.count_full(refusal));
        assert_eq!(
            full.read(),
            Stats { pools_full: 1, table_full: 1, shares_full: 2, quotas_full: 1, ..Stats::default() }
        );
    }
}
