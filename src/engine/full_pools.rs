//! Pools that are full: what was refused for it is counted, and of each pool told once a minute.

use crate::base::LogRateLimit;
use crate::domain::{Pool, Refusal, ShareOf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const WAITERS_PER_LOCK: &str = "locks.waiters_per_lock_max";
const HOLDS_PER_SESSION: &str = "sessions.holds_max";
const CREDENTIALS: &str = "quotas.credential_percent";
const ADDRESSES: &str = "quotas.address_percent";
/// What can be full, as a line of the log names it: its key in `config.toml`.
const KEYS: [&str; 8] = [
    key(Pool::Holds),
    key(Pool::Sessions),
    key(Pool::Requests),
    key(Pool::Bytes),
    WAITERS_PER_LOCK,
    HOLDS_PER_SESSION,
    CREDENTIALS,
    ADDRESSES,
];

const fn key(pool: Pool) -> &'static str {
    match pool {
        Pool::Holds => "locks.holds_max",
        Pool::Sessions => "sessions.count_max",
        Pool::Requests => "locks.requests_max",
        Pool::Bytes => "locks.table_bytes_max",
    }
}

pub struct FullPools {
    paces: [LogRateLimit; KEYS.len()],
    /// For want of room in the table.
    pub table: AtomicU64,
    /// For another pool.
    pub pools: AtomicU64,
    /// Because the caller had its share.
    pub shares: AtomicU64,
}

impl Default for FullPools {
    fn default() -> FullPools {
        let count = || AtomicU64::new(0);
        FullPools {
            paces: [const { LogRateLimit::new(1) }; KEYS.len()],
            table: count(),
            pools: count(),
            shares: count(),
        }
    }
}

impl FullPools {
    /// Looks at a refusal, at this age of the process.
    pub fn note(&self, refusal: &Refusal, age: Duration) {
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
        let pace = KEYS.iter().zip(&self.paces).find(|(key, _)| **key == what);
        let Some(held_back) = pace.and_then(|(_, pace)| pace.admit(age)) else { return };
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
    fn each_refusal_for_a_full_pool_is_counted() {
        let full = FullPools::default();
        let refusals = [
            Refusal::HoldsFull { limit: 1 },
            Refusal::TableFull { limit: 1 },
            Refusal::ShareFull { pool: Pool::Bytes, whose: ShareOf::Address, limit: 1 },
            Refusal::ShareFull { pool: Pool::Holds, whose: ShareOf::Credential, limit: 1 },
            Refusal::WrongKey,
        ];
        refusals.iter().for_each(|refusal| full.note(refusal, Duration::ZERO));
        let counted = [&full.pools, &full.table, &full.shares].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counted, [1, 1, 2]);
    }
}
