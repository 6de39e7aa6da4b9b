//! The log line about a lock that somebody waited for long, or that was held for long.
//!
//! The leader alone writes it, so that a cluster does not say it three times, and nobody does while it reads its log
//! again. It names sessions by their handles and holds by their fencing tokens.

use crate::base::LogRateLimit;
use crate::base::clock::process_age;
use crate::domain::{Applied, Event, Name, SessionId, Table, Timestamp, Token, WaitEnd, WaitNote, WaitStep};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Of each kind.
const LINES_PER_MINUTE: u32 = 10;

/// From when on a wait or a hold is slow; zero for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlowTimes {
    pub wait: Duration,
    pub hold: Duration,
}

pub struct SlowLocks {
    wait_ms: AtomicU64,
    hold_ms: AtomicU64,
    leads: AtomicBool,
    waits: LogRateLimit,
    holds: LogRateLimit,
}

impl Default for SlowLocks {
    fn default() -> SlowLocks {
        let (never, leads) = (|| AtomicU64::new(u64::MAX), AtomicBool::new(false));
        let limit = || LogRateLimit::new(LINES_PER_MINUTE);
        SlowLocks { wait_ms: never(), hold_ms: never(), leads, waits: limit(), holds: limit() }
    }
}

impl SlowLocks {
    pub fn set_times(&self, times: SlowTimes) {
        let ms = |time: Duration| if time.is_zero() { u64::MAX } else { ms(time) };
        self.wait_ms.store(ms(times.wait), Ordering::Relaxed);
        self.hold_ms.store(ms(times.hold), Ordering::Relaxed);
    }

    pub fn set_leads(&self, leads: bool) {
        self.leads.store(leads, Ordering::Relaxed);
    }

    /// Logs what was slow in an entry that brought this time. `table` is as the entry left it.
    pub fn log<'a>(
        &self,
        applied: &Applied,
        now: Timestamp,
        table: impl Fn() -> parking_lot::RwLockReadGuard<'a, Table>,
    ) {
        let (wait_ms, hold_ms) = (self.wait_ms.load(Ordering::Relaxed), self.hold_ms.load(Ordering::Relaxed));
        if (wait_ms, hold_ms) == (u64::MAX, u64::MAX) || !self.leads.load(Ordering::Relaxed) {
            return;
        }
        for note in applied.waits.iter().filter(|note| note.step != WaitStep::Begun) {
            if ms(now.since(note.since)) >= wait_ms
                && let Some(held_back) = self.waits.admit(process_age())
            {
                log_wait(note, now, applied, &table(), held_back);
            }
        }
        for event in &applied.events {
            if let Event::HoldEnded { since, .. } = event
                && ms(now.since(*since)) >= hold_ms
                && let Some(held_back) = self.holds.admit(process_age())
            {
                log_hold(event, now, &table(), held_back);
            }
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn log_wait(note: &WaitNote, now: Timestamp, applied: &Applied, table: &Table, held_back: u64) {
    let WaitNote { name, since, session, dialect, step, .. } = note;
    let (session, waited, waiting) = (session.map(SessionId::handle), seconds(now, *since), waiting(table, name));
    let (what, token) = match step {
        WaitStep::Granted(token) => ("was granted after a wait of", Some(token.0)),
        WaitStep::Ended(WaitEnd::TimedOut) => ("was not granted: a request gave up after", None),
        WaitStep::Begun | WaitStep::Ended(_) => ("was not granted: a wait was ended after", None),
    };
    // Who had it: of a grant the hold that ended just before it, otherwise those that hold it now.
    let ended = applied.events.iter().find_map(|event| match event {
        Event::HoldEnded { name: of, token, .. } if of == name => Some(*token),
        _ => None,
    });
    let holder = ended.filter(|_| token.is_some());
    let holder = holder.or_else(|| table.live_tokens(name, now).into_iter().find(|live| Some(live.0) != token));
    let holder = holder.map(|Token(token)| token);
    let held_by = holder.map_or(String::new(), |token| format!(", held under token {token}"));
    tracing::warn!(
        lock = ?name, token, holder, session, dialect = dialect.as_str(), waited_seconds = waited, waiting, held_back,
        "slow lock: {name:?}{held_by}, {what} {waited:.1} s; {waiting} wait"
    );
}

fn log_hold(event: &Event, now: Timestamp, table: &Table, held_back: u64) {
    let Event::HoldEnded { name, token, why, session, dialect, since, .. } = event else { return };
    let (session, held, waiting) = (session.map(SessionId::handle), seconds(now, *since), waiting(table, name));
    let (token, why) = (token.0, why.phrase());
    // The newest of those that have it now: the next, where the lock is exclusive.
    let holder = table.live_tokens(name, now).into_iter().map(|Token(live)| live).max();
    let then = holder.map_or_else(|| "nobody has it now".to_owned(), |holder| format!("token {holder} has it now"));
    tracing::warn!(
        lock = ?name, token, session, dialect = dialect.as_str(), held_seconds = held, why, holder, waiting, held_back,
        "slow lock: {name:?} was held for {held:.1} s under token {token}: {why}; {then}, {waiting} wait"
    );
}

fn seconds(now: Timestamp, since: Timestamp) -> f64 {
    ms(now.since(since)) as f64 / 1000.0
}

fn waiting(table: &Table, name: &Name) -> u32 {
    table.queue_of(name).map_or(0, |(waiting, _)| waiting)
}
