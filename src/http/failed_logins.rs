//! Logins that failed: counted, and logged once a minute for each group of addresses.

use crate::access::Verdict;
use crate::base::address_group::AddressGroup;
use crate::base::{KeyedLogRateLimit, LogRateLimit, clock};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
        /// Failures that have no line, since the last one that has one.
        held_back: u64,
    },
    LeftOut,
}

/// The failed logins of the whole service.
#[derive(Debug)]
pub struct FailedLogins {
    count: AtomicU64,
    /// Without a line, since the last one that has one.
    held_back: AtomicU64,
    all: LogRateLimit,
    by_address: KeyedLogRateLimit<AddressGroup>,
}

impl Default for FailedLogins {
    fn default() -> FailedLogins {
        FailedLogins {
            count: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
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

    /// Counts a verdict if it is a failure, and says whether it gets a line of the audit log too. Neither the secret nor the
    /// user name is logged: it may be the password in the wrong field.
    pub(crate) fn note(&self, verdict: &Verdict, from: IpAddr) -> Noted {
        let why = match verdict {
            Verdict::Granted(_) | Verdict::Missing => return Noted::NoFailure,
            Verdict::Expired(_) => "this API key has expired",
            Verdict::Wrong => "this password or API key is not known",
            Verdict::CertificateRefused => "this client certificate opens nothing here",
            Verdict::TokenRefused(refusal) => refusal.words(),
            Verdict::Throttled { .. } => "too many failed attempts from this address",
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        match self.admit(from, clock::process_age()) {
            Some(held_back) => {
                tracing::info!(address = %from, why, held_back, "a login from {from} has failed: {why}");
                Noted::ToRecord { why, held_back }
            }
            None => Noted::LeftOut,
        }
    }

    /// Whether a failure gets a line; if so, how many had none before it.
    fn admit(&self, from: IpAddr, now: Duration) -> Option<u64> {
        // The limits count for themselves, and the one forgets what it has counted where the other refuses the line.
        match self.by_address.admit(from.into(), now).and_then(|_| self.all.admit(now)) {
            Some(_) => Some(self.held_back.swap(0, Ordering::Relaxed)),
            None => {
                self.held_back.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_line_or_is_counted_in_the_next() {
        let (logins, addresses) = (FailedLogins::default(), LINES_PER_MINUTE + 50);
        let (mut lines, mut held_back) = (0, 0);
        let mut fail = |address: u32, seconds| {
            let counted = logins.admit(IpAddr::from(address.to_be_bytes()), Duration::from_secs(seconds));
            lines += u64::from(counted.is_some());
            held_back += counted.unwrap_or(0);
        };
        (0..3).for_each(|second| (0..addresses).for_each(|address| fail(address, second)));
        // The limit of all refuses these addresses the lines that their own allow.
        (0..addresses).rev().for_each(|address| fail(address, 60));
        fail(addresses, 200);
        assert_eq!(lines + held_back, u64::from(4 * addresses + 1));
    }
}
