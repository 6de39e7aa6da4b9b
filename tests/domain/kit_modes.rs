//! Short names for what tables have since the level of modes.

use super::kit::{Asking, Bench, IntoCommand, ask, key, name, session, snapshot};
use latchd::domain::{
    Acquire, Caller, Command, CommandId, Event, Grant, HoldKey, Outcome, Proof, Table, Token, WaitEnd,
};

/// Long enough to end in no test by itself.
pub const LONG_MS: u64 = 3_600_000;

/// Asks for a hold with a lease, and waits for it.
pub fn wait(lock: &str, key_number: u64) -> Acquire {
    ask(lock, key_number).lease_ms(LONG_MS).wait_ms(LONG_MS)
}

/// The same, refused if the wait would be part of a deadlock.
pub fn guarded(lock: &str, key_number: u64) -> Acquire {
    ask(lock, key_number).lease_ms(LONG_MS).guarded_ms(LONG_MS)
}

pub fn transfer(lock: &str, key_number: u64, to: u8, new_key: u64) -> Command {
    let (key, new_key) = (key(key_number), key(new_key));
    Command::Transfer { name: name(lock), session: None, key, to: session(to), new_key }
}

pub fn resize(lock: &str, size: u32) -> Command {
    Command::Resize { name: name(lock), size }
}

pub fn set_value(lock: &str, key_number: u64, value: &str) -> Command {
    Command::SetValue { name: name(lock), session: None, key: key(key_number), value: value.into() }
}

pub fn raise_mark(resource: &str, token: u64) -> Command {
    Command::RaiseMark { resource: name(resource), token: Token(token), caller: Caller::NOBODY }
}

/// Renews a hold of several names.
pub fn renew_names(names: &[&str], key_number: u64, lease_ms: u64) -> Command {
    let all = names.iter().map(|text| name(text)).collect();
    Command::Renew {
        name: name(names[0]),
        session: None,
        proof: Proof::OfNames { key: key(key_number), names: all },
        lease_ms,
    }
}

impl Bench {
    /// The hold after it changed its mode or its owner.
    pub fn changed(&mut self, command: impl IntoCommand) -> Grant {
        match self.outcome(command) {
            Outcome::Changed(grant) => grant,
            other => panic!("not changed: {other:?}"),
        }
    }

    /// The keys of the live holds of a lock, oldest first.
    pub fn holders(&self, lock: &str) -> Vec<HoldKey> {
        let view = self.table.lock_view(&name(lock), self.table.now());
        view.map_or_else(Vec::new, |view| view.holds.iter().map(|hold| hold.key).collect())
    }

    /// Whether these keys, and no others, have the lock.
    pub fn is_held_by(&self, lock: &str, key_numbers: &[u64]) -> bool {
        self.holders(lock) == keys(key_numbers)
    }

    /// The table that a snapshot restores; it equals this one in its bytes and its usage.
    pub fn restored(&self) -> Table {
        let restored = Table::restore(&mut self.snapshot().as_slice()).expect("a table can restore its own snapshot");
        assert_eq!(snapshot(&restored), self.snapshot());
        assert_eq!((restored.usages(), restored.counts()), (self.table.usages(), self.table.counts()));
        assert_eq!(restored.next_deadline(), self.table.next_deadline());
        restored
    }
}

pub fn keys(numbers: &[u64]) -> Vec<HoldKey> {
    numbers.iter().map(|number| key(*number)).collect()
}

/// The waits that ended without a grant, and why.
pub fn wait_ends(events: &[Event]) -> Vec<(CommandId, WaitEnd)> {
    let ends = events.iter().filter_map(|event| match event {
        Event::WaiterEnded { command, why, .. } => Some((*command, *why)),
        _ => None,
    });
    ends.collect()
}

/// The waits that ended with a grant.
pub fn grants(events: &[Event]) -> Vec<(CommandId, Grant)> {
    let grants = events.iter().filter_map(|event| match event {
        Event::WaiterGranted { command, grant, .. } => Some((*command, grant.clone())),
        _ => None,
    });
    grants.collect()
}
