//! What the clients of a simulated run ask of the engine, and what a read says, in the words of `tests/cluster`.

use std::sync::Arc;

use latchd::domain::view::LockView;
use latchd::domain::{Acquire, Dialect, HoldKey, IdempotencyKey, Name, Proof, SHARED, SessionId, Terms, Wait};

use super::client::Hold;
use crate::cluster::history::Answer;
use crate::cluster::target::{Mode, Target};
use crate::cluster::tries::Wanted;

pub fn acquire(
    target: &Target,
    wanted: Wanted,
    session: SessionId,
    key: HoldKey,
    request: Option<IdempotencyKey>,
) -> Acquire {
    Acquire {
        session: Some(session),
        size: size(target.mode),
        remembers_size: true,
        lease_ms: Some(wanted.lease_ms),
        wait: wanted.wait_ms.map(|timeout_ms| Wait::Guarded { timeout_ms }),
        idempotency_key: request,
        terms: terms(target).map(Arc::new),
        ..Acquire::new(Name::from(target.name.as_str()), key, Dialect::LdlmRest)
    }
}

pub fn proof(hold: &Hold) -> Proof {
    if !hold.target.is_of_several() {
        return Proof::Key(hold.key);
    }
    Proof::OfNames { key: hold.key, names: hold.target.places().map(|(name, _)| Name::from(name)).collect() }
}

pub fn seen(lock: Option<LockView>) -> Answer {
    let waiters = lock.as_ref().map_or(0, |lock| u64::from(lock.waiters));
    let mut tokens = lock.iter().flat_map(|lock| &lock.holds).map(|hold| hold.token.0);
    Answer::Seen { token: tokens.next(), others: tokens.collect(), waiters }
}

fn size(mode: Mode) -> u32 {
    match mode {
        Mode::Exclusive => 1,
        Mode::Shared => SHARED,
        Mode::Counted { size, .. } => size,
    }
}

/// A plain hold has none.
fn terms(target: &Target) -> Option<Terms> {
    if target.is_of_several() {
        let names = target.places().map(|(name, mode)| (Name::from(name), size(mode))).collect();
        return Some(Terms { names, ..Terms::default() });
    }
    match target.mode {
        Mode::Counted { weight, .. } if weight > 1 => Some(Terms { weight, ..Terms::default() }),
        _ => None,
    }
}
