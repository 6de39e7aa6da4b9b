//! The limits of the lock table, as the sections `[sessions]`, `[locks]` and `[quotas]` set them.

use super::Config;
use crate::domain::Limits;
use crate::domain::time::round_up_ms;

impl Config {
    /// The limits of the lock table.
    pub fn limits(&self) -> Limits {
        let (locks, sessions) = (&self.locks, &self.sessions);
        Limits {
            name_bytes_max: locks.name_bytes_max as u64,
            metadata_entries_max: locks.metadata_entries_max as u64,
            metadata_key_bytes_max: locks.metadata_key_bytes_max as u64,
            metadata_value_bytes_max: locks.metadata_value_bytes_max as u64,
            wait_ms_max: round_up_ms(locks.wait_max),
            lease_ms_max: round_up_ms(locks.lease_max),
            size_max: locks.size_max.into(),
            waiters_per_lock_max: locks.waiters_per_lock_max,
            holds_max: locks.holds_max,
            sessions_max: sessions.count_max,
            holds_per_session_max: sessions.holds_max,
            remembered_sizes_max: locks.remembered_sizes_max,
            remembered_size_idle_ms: round_up_ms(locks.remembered_size_idle),
            requests_max: locks.requests_max,
            table_bytes_max: locks.table_bytes_max,
            credential_share: u64::from(self.quotas.credential_percent) * 10,
            address_share: u64::from(self.quotas.address_percent) * 10,
        }
    }
}
