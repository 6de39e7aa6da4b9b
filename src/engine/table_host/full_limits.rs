//! Limits that are reached: refusals for them are counted, and each limit is logged at most once a minute.

use crate::base::KeyedLogRateLimit;
use crate::base::clock::process_age;
use crate::domain::{Applied, Outcome, Pool, Refusal, ShareOf};
use std::sync::atomic::{AtomicU64, Ordering};

const WAITERS_PER_LOCK: &str = "locks.waiters_per_lock_max";
const HOLDS_PER_SESSION: &str = "sessions.holds_max";
const CREDENTIALS: &str = "quotas.credential_percent";
const ADDRESSES: &str = "quotas.address_percent";
/// More than there are limits.
const LOGGED_KEYS_MAX: usize = 64;

/// The key of a pool's limit in `config.toml`.
fn key(pool: Pool) -> &'static str {
    match pool {
        Pool::Holds => "locks.holds_max",
        Pool::Sessions => "sessions.count_max",
        Pool::Requests => "locks.requests_max",
        Pool::Bytes => "locks.table_bytes_max",
    }
}

pub struct FullLimits {
    log_limit: KeyedLogRateLimit<&'static str>,
    /// The table had no room.
    table: AtomicU64,
    /// Another pool was full.
    pools: AtomicU64,
    /// The caller had its share.
    shares: AtomicU64,
}

/// Refusals by the kind of limit that was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FullLimitCounts {
    pub table: u64,
    pub pools: u64,
    pub shares: u64,
}

impl Default for FullLimits {
    fn default() -> FullLimits {
        let count = || AtomicU64::new(0);
        FullLimits {
            log_limit: KeyedLogRateLimit::new(LOGGED_KEYS_MAX),
            table: count(),
            pools: count(),
            shares: count(),
        }
    }
}

impl FullLimits {
    pub fn counts(&self) -> FullLimitCounts {
        FullLimitCounts {
            table: self.table.load(Ordering::Relaxed),
            pools: self.pools.load(Ordering::Relaxed),
            shares: self.shares.load(Ordering::Relaxed),
        }
    }

    pub(super) fn note_outcomes(&self, applied: &Applied) {
        for (_, outcome) in &applied.outcomes {
            if let Outcome::Refused(refusal) = outcome {
                self.note(refusal);
            }
        }
    }

    /// Counts a refusal, if a full limit is its reason.
    pub fn note(&self, refusal: &Refusal) {
        let (counter, what, limit, of) = match refusal {
            Refusal::HoldsFull { limit } => (&self.pools, key(Pool::Holds), *limit, None),
            Refusal::SessionsFull { limit } => (&self.pools, key(Pool::Sessions), *limit, None),
            Refusal::RequestsFull { limit } => (&self.pools, key(Pool::Requests), *limit, None),
            Refusal::TableFull { limit } => (&self.table, key(Pool::Bytes), *limit, None),
            Refusal::QueueFull { limit } => (&self.pools, WAITERS_PER_LOCK, *limit, None),
            Refusal::SessionHoldsFull { limit } => (&self.pools, HOLDS_PER_SESSION, *limit, None),
            Refusal::ShareFull { pool, whose: ShareOf::Credential, limit } => {
                (&self.shares, CREDENTIALS, *limit, Some(key(*pool)))
            }
            Refusal::ShareFull { pool, whose: ShareOf::Address, limit } => {
                (&self.shares, ADDRESSES, *limit, Some(key(*pool)))
            }
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let Some(held_back) = self.log_limit.admit(what, process_age()) else { return };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_for_a_full_limit_is_counted() {
        let full = FullLimits::default();
        let refusals = [
            Refusal::HoldsFull { limit: 1 },
            Refusal::TableFull { limit: 1 },
            Refusal::ShareFull { pool: Pool::Bytes, whose: ShareOf::Address, limit: 1 },
            Refusal::ShareFull { pool: Pool::Holds, whose: ShareOf::Credential, limit: 1 },
            Refusal::WrongKey,
        ];
        refusals.iter().for_each(|refusal| full.note(refusal));
        assert_eq!(full.counts(), FullLimitCounts { pools: 1, table: 1, shares: 2 });
    }
}
