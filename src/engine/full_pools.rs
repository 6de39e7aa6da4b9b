//! Pools that are full: what was refused for it is counted, and of each pool told once a minute.

use crate::access::LinePace;
use crate::domain::{Pool, Refusal, ShareOf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What can be full, as a line of the log names it: its key in `config.toml`.
const KEYS: [&str; 8] = [
    "locks.holds_max",
    "sessions.count_max",
    "locks.requests_max",
    "locks.table_bytes_max",
    "locks.waiters_per_lock_max",
    "sessions.holds_max",
    "quotas.credential_percent",
    "quotas.address_percent",
];

pub struct FullPools {
    paces: [LinePace; KEYS.len()],
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
        FullPools { paces: [const { LinePace::new(1) }; KEYS.len()], table: count(), pools: count(), shares: count() }
    }
}

impl FullPools {
    /// Looks at a refusal, at this age of the process.
    pub fn note(&self, refusal: &Refusal, age: Duration) {
        let (counter, pool, limit) = match refusal {
            Refusal::HoldsFull { limit } => (&self.pools, Pool::Holds as usize, *limit),
            Refusal::SessionsFull { limit } => (&self.pools, Pool::Sessions as usize, *limit),
            Refusal::RequestsFull { limit } => (&self.pools, Pool::Requests as usize, *limit),
            Refusal::TableFull { limit } => (&self.table, Pool::Bytes as usize, *limit),
            Refusal::QueueFull { limit } => (&self.pools, 4, *limit),
            Refusal::SessionHoldsFull { limit } => (&self.pools, 5, *limit),
            Refusal::ShareFull { whose: ShareOf::Credential, limit, .. } => (&self.shares, 6, *limit),
            Refusal::ShareFull { whose: ShareOf::Address, limit, .. } => (&self.shares, 7, *limit),
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(held_back) = self.paces[pool].admit(age) {
            let (key, refusal) = (KEYS[pool], format!("{refusal:?}"));
            tracing::warn!(key, limit, held_back, refusal, "requests are refused: {key} is reached ({limit})");
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
