//! The names that are counted: those that somebody has waited for. Their number is bounded.

use super::counts::{Counts, WINDOW, Windows};
use crate::domain::{Caller, Name, Timestamp, WaitEnd, WaitNote, WaitStep};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Names that are looked at before one of them is forgotten.
const CANDIDATES: usize = 8;

/// What is known of one name.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: Name,
    /// Who first waited for it, as quotas know callers.
    caller: u64,
    windows: Windows,
    /// Waits that have begun since `since` and have not ended.
    pub waiting: u32,
    /// The moments in which they began, added up.
    begun_ms: u64,
    since: Timestamp,
    /// When a wait last began or ended.
    last_wait: Timestamp,
}

impl Entry {
    fn new(name: Name, caller: u64, since: Timestamp) -> Entry {
        Entry { name, caller, windows: Windows::default(), waiting: 0, begun_ms: 0, since, last_wait: since }
    }

    /// What was counted lately, with how long the waits have lasted that have not ended.
    pub fn counts(&self, now: Timestamp) -> Counts {
        let mut counts = self.windows.sum(now);
        let waiting_ms = now.0.saturating_mul(self.waiting.into()).saturating_sub(self.begun_ms);
        counts.wait_ms = counts.wait_ms.saturating_add(waiting_ms);
        counts
    }

    fn begun(&mut self, since: Timestamp) {
        self.waiting += 1;
        self.begun_ms = self.begun_ms.saturating_add(since.0);
    }

    fn note_wait(&mut self, note: &WaitNote, now: Timestamp) {
        self.last_wait = now;
        let counts = self.windows.at(now);
        match note.step {
            WaitStep::Begun => counts.waits += 1,
            WaitStep::Granted(_) => counts.granted += 1,
            WaitStep::Ended(WaitEnd::TimedOut) => counts.timeouts += 1,
            WaitStep::Ended(_) => {}
        }
        if note.step == WaitStep::Begun {
            return self.begun(note.since);
        }
        counts.add_wait(ms(now.since(note.since)));
        if note.since >= self.since && self.waiting > 0 {
            self.waiting -= 1;
            self.begun_ms = if self.waiting == 0 { 0 } else { self.begun_ms.saturating_sub(note.since.0) };
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Where there is no room, a name gives way that was waited for little, of a caller who has more than its share of the
/// names. So a flood of new names by one caller takes the places of its own.
pub struct Names {
    capacity: usize,
    places: HashMap<Name, usize>,
    entries: Vec<Entry>,
    /// How many names each caller has brought.
    callers: HashMap<u64, usize>,
    random: u64,
    /// When it is worth a look whether nobody waits any more.
    look_at: Timestamp,
}

impl Names {
    pub fn new(capacity: usize) -> Names {
        let (places, entries, callers) = Default::default();
        // Not from the source that a simulation sets: nothing that it repeats depends on it.
        Names { capacity, places, entries, callers, random: RandomState::new().hash_one(0), look_at: Timestamp(0) }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Forgets all names when nobody waits, and nobody has for as long as waits are counted.
    pub fn forget_if_quiet(&mut self, now: Timestamp) {
        if now < self.look_at {
            return;
        }
        self.look_at = now.after_ms(ms(2 * WINDOW));
        if self.entries.iter().all(|entry| entry.waiting == 0 && entry.last_wait.after_ms(ms(2 * WINDOW)) <= now) {
            self.entries.clear();
            self.places.clear();
            self.callers.clear();
        }
    }

    pub fn note_wait(&mut self, note: &WaitNote, now: Timestamp) {
        let at = match self.places.get(&note.name) {
            Some(at) => *at,
            None => self.add(note, now),
        };
        self.entries[at].note_wait(note, now);
    }

    /// A snapshot has replaced the table: these are the waits now, and how those before ended was not seen.
    pub fn resume(&mut self, waits: impl Iterator<Item = WaitNote>, now: Timestamp) {
        for entry in &mut self.entries {
            (entry.waiting, entry.begun_ms, entry.since) = (0, 0, Timestamp::default());
        }
        for note in waits {
            let at = self.places.get(&note.name).copied();
            let at = at.unwrap_or_else(|| self.add(&note, now));
            self.entries[at].since = Timestamp::default();
            self.entries[at].begun(note.since);
        }
    }

    /// A hold has ended after so long. Counted for names that are known already: those that somebody waited for.
    pub fn note_hold(&mut self, name: &Name, held: Duration, now: Timestamp) {
        if let Some(at) = self.places.get(name) {
            self.entries[*at].windows.at(now).add_hold(ms(held));
        }
    }

    fn add(&mut self, note: &WaitNote, now: Timestamp) -> usize {
        let entry = Entry::new(note.name.clone(), key_of(note.caller), now);
        *self.callers.entry(entry.caller).or_default() += 1;
        let at = match self.entries.len() < self.capacity {
            true => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
            false => {
                let at = self.least_wanted(now);
                let gone = std::mem::replace(&mut self.entries[at], entry);
                self.forget(&gone);
                at
            }
        };
        self.places.insert(note.name.clone(), at);
        at
    }

    fn forget(&mut self, gone: &Entry) {
        self.places.remove(&gone.name);
        if let Some(count) = self.callers.get_mut(&gone.caller) {
            *count -= 1;
            if *count == 0 {
                self.callers.remove(&gone.caller);
            }
        }
    }

    /// Among some entries, because looking at all would take too long.
    fn least_wanted(&mut self, now: Timestamp) -> usize {
        let share = self.capacity / self.callers.len().max(1);
        let mut some = [0; CANDIDATES];
        some.fill_with(|| self.random_place());
        let wanted = |at: &usize| {
            let entry = &self.entries[*at];
            let exceeds = self.callers.get(&entry.caller).is_some_and(|count| *count > share);
            (Reverse(exceeds), entry.counts(now).wait_ms)
        };
        some.into_iter().min_by_key(wanted).unwrap_or_default()
    }

    /// Splitmix64.
    fn random_place(&mut self) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % self.entries.len().max(1) as u64) as usize
    }
}

/// A credential, or without one an address.
fn key_of(caller: Caller) -> u64 {
    if caller.credential == 0 { caller.address } else { caller.credential }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Dialect, Token};

    fn note(name: &str, caller: u64, since: u64, step: WaitStep) -> WaitNote {
        let (name, since, caller) = (name.into(), Timestamp(since), Caller { credential: caller, address: 0 });
        WaitNote { name, since, session: None, dialect: Dialect::LdlmRest, caller, step }
    }

    fn counts(names: &Names, name: &str, now: u64) -> Option<Counts> {
        names.places.get(&Name::from(name)).map(|at| names.entries[*at].counts(Timestamp(now)))
    }

    #[test]
    fn wait_counts_while_it_lasts_and_after_it_has_ended() {
        let mut names = Names::new(4);
        for since in [1_000, 1_500] {
            names.note_wait(&note("a", 1, since, WaitStep::Begun), Timestamp(since));
        }
        let known = |names: &Names, now| counts(names, "a", now).expect("counted");
        assert_eq!((known(&names, 2_000).waits, known(&names, 2_000).wait_ms), (2, 1_500));
        names.note_wait(&note("a", 1, 1_000, WaitStep::Granted(Token(7))), Timestamp(2_000));
        names.note_wait(&note("a", 1, 1_500, WaitStep::Ended(WaitEnd::TimedOut)), Timestamp(3_000));
        let ended = known(&names, 9_000);
        assert_eq!((ended.granted, ended.timeouts, ended.wait_ms, ended.wait_max_ms), (1, 1, 2_500, 1_500));
        names.note_hold(&"a".into(), Duration::from_millis(70), Timestamp(3_000));
        names.note_hold(&"never waited for".into(), Duration::from_millis(70), Timestamp(3_000));
        assert_eq!((known(&names, 9_000).hold_ms, names.len()), (70, 1));
    }

    #[test]
    fn end_of_a_wait_that_began_before_its_name_was_known_ends_no_other() {
        let mut names = Names::new(4);
        names.note_wait(&note("a", 1, 5_000, WaitStep::Begun), Timestamp(5_000));
        names.note_wait(&note("a", 1, 1_000, WaitStep::Granted(Token(7))), Timestamp(6_000));
        assert_eq!(names.entries[0].waiting, 1);
    }

    #[test]
    fn waits_of_a_restored_table_count_and_end() {
        let mut names = Names::new(4);
        names.note_wait(&note("gone", 1, 1_000, WaitStep::Begun), Timestamp(1_000));
        names.resume([note("a", 1, 2_000, WaitStep::Begun)].into_iter(), Timestamp(9_000));
        let of = |names: &Names, name| counts(names, name, 9_000).map(|counts| (counts.waits, counts.wait_ms));
        assert_eq!((of(&names, "gone"), of(&names, "a")), (Some((1, 0)), Some((0, 7_000))));
        names.note_wait(&note("a", 1, 2_000, WaitStep::Granted(Token(7))), Timestamp(9_500));
        assert_eq!(names.entries[1].waiting, 0);
    }

    #[test]
    fn flood_of_names_by_one_caller_leaves_the_names_of_others() {
        let mut names = Names::new(64);
        for at in 0..16 {
            names.note_wait(&note(&format!("ours/{at}"), 1, 1_000, WaitStep::Begun), Timestamp(1_000));
        }
        // Each of them is waited for longer than ours.
        for at in 0..10_000 {
            names.note_wait(&note(&format!("flood/{at}"), 2, 0, WaitStep::Begun), Timestamp(1_000));
        }
        let kept = (0..16).filter(|at| counts(&names, &format!("ours/{at}"), 1_000).is_some()).count();
        assert!(kept >= 15, "{kept} of 16 are left");
        assert_eq!((names.len(), names.places.len(), names.callers.values().sum::<usize>()), (64, 64, 64));
    }

    #[test]
    fn name_that_is_waited_for_stays_where_others_come_and_go() {
        let mut names = Names::new(64);
        names.note_wait(&note("busy", 1, 0, WaitStep::Begun), Timestamp(0));
        for at in 0..10_000_u64 {
            let name = format!("idle/{at}");
            names.note_wait(&note(&name, 1, 1_000 + at, WaitStep::Begun), Timestamp(1_000 + at));
            names.note_wait(&note(&name, 1, 1_000 + at, WaitStep::Granted(Token(at))), Timestamp(1_000 + at));
        }
        assert!(counts(&names, "busy", 12_000).is_some_and(|counts| counts.wait_ms == 12_000));
    }
}
