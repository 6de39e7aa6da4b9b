//! Logins that failed: counted, and logged once a minute for each group of addresses.

use crate::access::Verdict;
use crate::base::address_group::AddressGroup;
use crate::base::{KeyedLogRateLimit, LogRateLimit, clock};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit of all addresses together, so that guessing from many addresses does not fill a disk with lines.
const LINES_PER_MINUTE: u32 = 200;
/// Addresses whose lines are counted.
const ADDRESSES_MAX: usize = 4096;

/// What a verdict means for the audit log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Noted {
    NoFailure,
    ToRecord {
        why: &'static str,
        /// Failures that were left out since the last line.
        held_back: u64,
    },
    LeftOut,
}

/// The failed logins of the whole service.
#[derive(Debug)]
pub struct FailedLogins {
    count: AtomicU64,
    all: LogRateLimit,
    by_address: KeyedLogRateLimit<AddressGroup>,
}

impl Default for FailedLogins {
    fn default() -> FailedLogins {
        FailedLogins {
            count: AtomicU64::new(0),
            all: LogRateLimit::new(LINES_PER_MINUTE),
            by_address: KeyedLogRateLimit::new(ADDRESSES_MAX),
        }
    }
}

impl FailedLogins {
    /// Since the process started.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts a verdict if it is a failure, and says whether it gets a line of the audit log too. Neither the secret nor the user name is logged: it may be the password in
    /// the wrong field.
    pub(crate) fn note(&self, verdict: &Verdict, from: IpAddr) -> Noted {
        let why = match verdict {
            Verdict::Granted(_) | Verdict::Missing => return Noted::NoFailure,
            Verdict::Expired(_) => "this API key has expired",
            Verdict::Wrong => "this password or API key is not known",
            Verdict::TokenRefused(refusal) => refusal.words(),
            Verdict::Throttled { .. } => "too many failed attempts from this address",
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        let now = clock::process_age();
        if let Some(held_back) = self.by_address.admit(from.into(), now)
            && let Some(of_others) = self.all.admit(now)
        {
            let held_back = held_back + of_others;
            tracing::info!(address = %from, why, held_back, "a login from {from} has failed: {why}");
            return Noted::ToRecord { why, held_back };
        }
        Noted::LeftOut
    }
}
