//! Where in the log digests are taken, and those that were taken last.

use crate::domain::{FEATURE_LEVEL, FrozenTable, Timestamp};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// A follower asks for one of these; it is at most a few marks behind.
const KEPT: usize = 16;

/// The digest of a table at one index of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub index: u64,
    /// Digests of nodes that take them otherwise, or whose programs do not know the same, are not compared.
    pub every_ms: u64,
    pub level: u32,
    pub digest: [u8; 32],
}

pub struct Comparing {
    /// 0: nothing is compared.
    every_ms: u64,
    /// The newest mark whose digest is not taken yet; older ones are passed over.
    frozen: Mutex<Option<(u64, FrozenTable)>>,
    woken: Notify,
    kept: Mutex<VecDeque<Mark>>,
    newest: watch::Sender<Option<Mark>>,
}

impl Comparing {
    /// `None` compares nothing: on a node that runs alone.
    pub fn new(every: Option<Duration>) -> Comparing {
        Comparing {
            every_ms: every.map_or(0, |every| u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1)),
            frozen: Mutex::default(),
            woken: Notify::new(),
            kept: Mutex::default(),
            newest: watch::Sender::new(None),
        }
    }

    pub fn every_ms(&self) -> u64 {
        self.every_ms
    }

    /// Whether an entry that brings cluster time from `before` to `after` is the first in its span.
    pub fn begins_span(&self, before: Timestamp, after: Timestamp) -> bool {
        self.every_ms > 0 && before.0 / self.every_ms != after.0 / self.every_ms
    }

    /// Whether a digest is taken at the entry that was just applied.
    pub fn is_mark(&self, leads_anew: bool, before: Timestamp, after: Timestamp) -> bool {
        self.every_ms > 0
            && (leads_anew || self.begins_span(before, after))
            && !crate::mutants::on("tables-not-compared")
    }

    pub fn mark(&self, index: u64, frozen: FrozenTable) {
        *lock(&self.frozen) = Some((index, frozen));
        self.woken.notify_one();
    }

    /// The next table of which a digest is to be taken.
    pub(super) async fn next(&self) -> (u64, FrozenTable) {
        loop {
            if let Some(next) = lock(&self.frozen).take() {
                return next;
            }
            self.woken.notified().await;
        }
    }

    pub(super) fn keep(&self, index: u64, digest: [u8; 32]) {
        let mark = Mark { index, every_ms: self.every_ms, level: FEATURE_LEVEL, digest };
        let mut kept = lock(&self.kept);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(mark);
        drop(kept);
        self.newest.send_replace(Some(mark));
    }

    pub(super) fn newest(&self) -> watch::Receiver<Option<Mark>> {
        self.newest.subscribe()
    }

    /// This node's own digest at an index; otherwise whether it is past it.
    pub(super) fn at(&self, index: u64) -> Result<Mark, bool> {
        let kept = lock(&self.kept);
        let found = kept.iter().find(|mark| mark.index == index);
        found.copied().ok_or_else(|| kept.back().is_some_and(|newest| newest.index > index))
    }
}

fn lock<T>(part: &Mutex<T>) -> MutexGuard<'_, T> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_follow_from_the_log_alone() {
        let comparing = Comparing::new(Some(Duration::from_secs(10)));
        let begins = |before, after| comparing.is_mark(false, Timestamp(before), Timestamp(after));
        assert!(!begins(0, 9_999) && begins(9_999, 10_000) && !begins(10_000, 19_999) && begins(10_000, 47_000));
        assert!(comparing.is_mark(true, Timestamp(5), Timestamp(5)), "each leadership begins with one");
        assert!(!Comparing::new(None).is_mark(true, Timestamp(5), Timestamp(50_000)));
    }

    #[test]
    fn a_mark_that_is_not_kept_is_past_or_to_come() {
        let comparing = Comparing::new(Some(Duration::from_secs(10)));
        assert_eq!(comparing.at(5), Err(false));
        (0..=KEPT as u64).for_each(|index| comparing.keep(index * 10, [0; 32]));
        assert_eq!(comparing.at(0), Err(true), "it was the oldest");
        assert_eq!(comparing.at(10).map(|mark| mark.index), Ok(10));
        assert_eq!((comparing.at(15), comparing.at(1_000)), (Err(true), Err(false)));
    }
}
