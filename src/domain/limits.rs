//! The limits and the feature level that apply consults. They are replicated: apply reads no configuration.

use super::ids::Caller;
use super::refusal::{Field, Pool, Refusal, ShareOf};
use super::terms::SHARED;

/// The highest feature level that this program supports.
pub const FEATURE_LEVEL: u32 = Feature::Quotas as u32;

/// What apply may do is decided by the table's feature level, which rises only when every recorded node supports the new
/// one. Each feature has the level from which on there is it; level 1 is a single node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Feature {
    /// Nodes come and go, deliveries are confirmed, idempotency keys are remembered.
    Clusters = 2,
    /// Event ids of a new service start where its tokens start.
    EventOrigins = 3,
    /// Event ids contain a random table id, which tells them from those of any other service.
    TableIds = 4,
    /// Every leadership, not only the first, raises tokens and event ids to the clock.
    RaisedTokens = 5,
    /// A session belongs to the credential that opened it, the table has a limit in bytes, and each caller has a share.
    Callers = 6,
    /// Holds are shared, have weights, or are of several names at once; they are upgraded, transferred and delayed.
    /// Resources have high-water marks of tokens.
    Modes = 7,
    /// Holds are taken through the dialects of Terraform and Redis, whose bytes older releases cannot read.
    MoreDialects = 8,
    /// Delayed locks and marks count for their callers; a counted lock has a smallest size.
    ModeBounds = 9,
    /// The last ended holds of each name are remembered.
    History = 10,
    /// Names are frozen: nothing new is granted under them until an end.
    Freezes = 11,
    /// Credentials and prefixes have quotas, and the history tells who ended a session by force.
    Quotas = 12,
}

/// From which features on there are more limits, oldest first, and how many there are below each.
const LIMITS_BELOW: [(Feature, usize); 4] =
    [(Feature::Callers, 14), (Feature::Modes, 17), (Feature::History, 24), (Feature::Freezes, 26)];

/// Declares the limits once; each leadership sets them. Their order is that of the formats: append, never reorder.
macro_rules! limits {
    ($($(#[$doc:meta])* $limit:ident,)*) => {
        /// The limits in force. Durations in milliseconds, lengths in bytes of UTF-8. All are 0 until a leader sets them.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct Limits {
            $($(#[$doc])* pub $limit: u64,)*
        }

        impl Limits {
            pub(super) const COUNT: usize = [$(stringify!($limit)),*].len();
            pub(super) fn values(&self) -> [u64; Limits::COUNT] {
                [$(self.$limit),*]
            }

            pub(super) fn from_values([$($limit),*]: [u64; Limits::COUNT]) -> Limits {
                Limits { $($limit),* }
            }
        }
    };
}

limits! {
    name_bytes_max,
    metadata_entries_max,
    metadata_key_bytes_max,
    metadata_value_bytes_max,
    wait_ms_max,
    lease_ms_max,
    size_max,
    waiters_per_lock_max,
    /// Holds and waiters together, in the whole service.
    holds_max,
    sessions_max,
    /// Holds and waiters together, of one session.
    holds_per_session_max,
    remembered_sizes_max,
    remembered_size_idle_ms,
    /// Idempotency keys that are remembered.
    requests_max,
    /// The memory of the table, by its own estimate; 0: no limit.
    table_bytes_max,
    /// The share of each pool for one credential, in thousandths; 0: all.
    credential_share,
    /// The share of that for one group of addresses, in thousandths; 0: all.
    address_share,
    /// Names in one request; 0 below the level of modes, as all that follow.
    names_max,
    lock_delay_ms_max,
    value_bytes_max,
    /// How long a lookup of a leader can be relied on, at most.
    election_reliable_ms,
    /// Waits that are followed in the search for a deadlock.
    deadlock_search_max,
    /// Resources whose high-water mark is remembered.
    marks_max,
    /// How long a mark is remembered after its last use.
    mark_idle_ms,
    /// Ended holds that are remembered of each name; 0: none.
    history_per_lock,
    /// The memory of all of them, by the table's own estimate; 0: none is remembered.
    history_bytes_max,
    /// The longest freeze; 0 below the level of freezes, as what follows.
    freeze_ms_max,
    freezes_max,
}

/// The smallest share of a small pool: with less, no caller could do anything.
const SHARE_MIN: u64 = 8;

impl Limits {
    /// How many there are at this feature level.
    pub(super) fn count_at(level: u32) -> usize {
        let lacking = LIMITS_BELOW.into_iter().find(|(feature, _)| level < *feature as u32);
        lacking.map_or(Limits::COUNT, |(_, count)| count)
    }

    /// The newest feature that brought a limit which is set; `None` if all of these are as old as tables.
    pub(super) fn newest_feature(&self) -> Option<Feature> {
        let is_set = |(_, below): &&(Feature, usize)| self.values()[*below..].iter().any(|limit| *limit != 0);
        LIMITS_BELOW.iter().rev().find(is_set).map(|(feature, _)| *feature)
    }

    /// With the limits that this table's level does not have yet, as they are going to be: so that a request is refused
    /// because of the level, and not because everything is above a limit of 0. Shares of 0 refuse nothing.
    pub fn with_later_of(self, configured: &Limits) -> Limits {
        let known = self.newest_feature().max(Some(Feature::Callers));
        let later = LIMITS_BELOW.iter().find(|(feature, _)| Some(*feature) > known);
        let (mut values, count) = (self.values(), later.map_or(Limits::COUNT, |(_, count)| *count));
        values[count..].copy_from_slice(&configured.values()[count..]);
        Limits::from_values(values)
    }

    pub(super) fn have_modes(&self) -> bool {
        self.newest_feature() >= Some(Feature::Modes)
    }

    pub fn check_size(&self, size: u32) -> Result<(), Refusal> {
        if size == 0 {
            return Err(Refusal::ZeroSize);
        }
        if size == SHARED && self.have_modes() { Ok(()) } else { check_max(Field::Size, size.into(), self.size_max) }
    }

    /// The limits that a table of this level has: those that it does not know are 0.
    pub fn for_level(self, level: u32) -> Limits {
        let mut values = self.values();
        values[Limits::count_at(level)..].fill(0);
        Limits::from_values(values)
    }

    pub(super) fn have_shares(&self) -> bool {
        [self.table_bytes_max, self.credential_share, self.address_share] != [0; 3]
    }

    /// How many freezes one credential may have; `None`: all. Checked before an entry is asked for, and not by `apply`.
    pub fn freezes_share(&self) -> Option<u64> {
        let thousandths = part(self.credential_share)?;
        Some((self.freezes_max.saturating_mul(thousandths) / 1_000).max(SHARE_MIN))
    }

    /// The share of a pool that this caller may use by its credential, or at its address; `None`: the whole pool.
    pub(super) fn share(&self, pool: Pool, whose: ShareOf, caller: Caller) -> Option<u64> {
        let of_credential = part(if caller.credential == 0 { 0 } else { self.credential_share });
        let thousandths = match whose {
            ShareOf::Credential => of_credential?,
            ShareOf::Address => of_credential.unwrap_or(1_000) * part(self.address_share)? / 1_000,
        };
        let (all, least) = match pool {
            Pool::Holds => (self.holds_max, SHARE_MIN),
            Pool::Sessions => (self.sessions_max, SHARE_MIN),
            Pool::IdempotencyKeys => (self.requests_max, SHARE_MIN),
            Pool::Marks => (self.marks_max, SHARE_MIN),
            Pool::Bytes if self.table_bytes_max == 0 => return None,
            Pool::Bytes => (self.table_bytes_max, 0),
        };
        let share = all.checked_mul(thousandths).map_or(all / 1_000 * thousandths, |parts| parts / 1_000);
        Some(share.max(least))
    }

    pub fn check_name(&self, name: &str) -> Result<(), Refusal> {
        check_max(Field::Name, name.len() as u64, self.name_bytes_max)?;
        if name.contains('\0') { Err(Refusal::NulInName) } else { Ok(()) }
    }

    /// Refuses a lease above the maximum lease (`locks.lease_max`).
    pub fn check_lease(&self, lease_ms: Option<u64>) -> Result<(), Refusal> {
        lease_ms.map_or(Ok(()), |lease| check_max(Field::Lease, lease, self.lease_ms_max))
    }
}

/// A share in thousandths; `None` if it is everything.
fn part(thousandths: u64) -> Option<u64> {
    (1..1_000).contains(&thousandths).then_some(thousandths)
}

pub(super) fn check_max(field: Field, value: u64, limit: u64) -> Result<(), Refusal> {
    if value <= limit { Ok(()) } else { Err(Refusal::LimitExceeded { field, limit }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_a_lower_level_lacks_are_those_to_come_and_others_stay() {
        let (to_come, set) = (Limits::from_values([7; Limits::COUNT]), Limits::from_values([5; Limits::COUNT]));
        let at = |level: Feature| set.for_level(level as u32).with_later_of(&to_come);
        let shown = |limits: Limits| (limits.holds_max, limits.names_max, limits.freeze_ms_max, limits.freezes_max);
        assert_eq!([Feature::Clusters, Feature::Callers].map(|level| shown(at(level))), [(5, 7, 7, 7); 2]);
        assert_eq!([Feature::Modes, Feature::History].map(|level| shown(at(level))), [(5, 5, 7, 7); 2]);
        assert_eq!(shown(at(Feature::Freezes)), (5, 5, 5, 5));
        assert_eq!(at(Feature::Clusters).table_bytes_max, 0, "no share, and so no refusal");
        let without = Limits { history_per_lock: 0, history_bytes_max: 0, ..set };
        assert_eq!(without.with_later_of(&to_come), without, "switched off");
    }
}
