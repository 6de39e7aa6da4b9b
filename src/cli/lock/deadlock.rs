//! Waits that cannot end: for the holds around this process, and those that the service refuses.

use std::time::Duration;

use crate::client::{BlockedBy, Client, Holder, Lock, Waiter};

use super::super::output::{holder, waiter};
use super::described::described;

/// What is asked for of a lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    Shared,
    /// So many of its places; an exclusive lock has one.
    Places(u32),
}

/// Why waiting for a lock cannot end within this time: the commands of the holds with these tokens wait for this process.
/// A waiter that is ahead may be in the way as well.
pub(super) fn with_oneself(lock: &Lock, need: Need, around: &[u64], wait: Option<Duration>) -> Option<String> {
    let own: Vec<Holder> = lock.holders.iter().filter(|hold| around.contains(&hold.fencing_token)).cloned().collect();
    let places = own.iter().map(|hold| hold.terms.weight.unwrap_or(1)).fold(0, u32::saturating_add);
    let is_blocked = |need: Need| match need {
        Need::Shared => lock.mode != "shared",
        Need::Places(wanted) => lock.mode == "shared" || places.saturating_add(wanted) > lock.size,
    };
    let outlasts = |who: &&Waiter| wait.is_none_or(|wait| who.remaining_seconds >= wait.as_secs_f64());
    let mut ahead = lock.waiters.iter().flatten().filter(outlasts);
    let who_waits = match () {
        () if own.is_empty() => return None,
        () if is_blocked(need) => String::new(),
        () => format!(", and waited for by {}, which is ahead", waiter(ahead.find(|who| is_blocked(need_of(who)))?)),
    };
    let held = "is held by the `latchd lock` that this command runs under";
    let name = &lock.name;
    Some(format!("{name:?} {held} ({}){who_waits}: to wait for it is a deadlock with oneself", described(&own)))
}

fn need_of(waiter: &Waiter) -> Need {
    match waiter.mode.as_str() {
        "shared" => Need::Shared,
        _ => Need::Places(waiter.terms.weight.unwrap_or(1)),
    }
}

/// Who waits for what in a deadlock that the service found, with what listings say of them.
pub(super) async fn cycle(client: &Client, steps: &[BlockedBy]) -> String {
    let mut told = Vec::new();
    for BlockedBy { name, held_by, waited_for_by } in steps {
        // Only for the message, so errors are ignored.
        let lock = match name {
            Some(name) => client.show_lock(name).await.ok().flatten(),
            None => None,
        };
        let name = name.as_ref().map_or_else(|| "a lock that you may not see".to_owned(), |name| format!("{name:?}"));
        let in_the_way = match lock.as_ref().and_then(|lock| found(lock, held_by)) {
            Some(found) => found,
            None => format!("which {held_by} has"),
        };
        told.push(format!("{waited_for_by} waits for {name}, {in_the_way}"));
    }
    format!("to wait would be a deadlock: {}", told.join("; "))
}

/// What a session or an owner has of a lock.
fn found(lock: &Lock, who: &str) -> Option<String> {
    let is =
        |session: &Option<String>, owner: &Option<String>| [session, owner].iter().any(|id| id.as_deref() == Some(who));
    let hold = lock.holders.iter().find(|hold| is(&hold.session, &hold.owner));
    let place = || lock.waiters.iter().flatten().find(|waiter| is(&waiter.session, &waiter.owner));
    match hold {
        Some(hold) => Some(format!("which {who} holds ({})", holder(hold))),
        None => place().map(|place| format!("for which {who} waits before it ({})", waiter(place))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn hold(token: u64, weight: Option<u32>) -> Value {
        json!({"fencing_token": token, "dialect": "d", "held_for_seconds": 1, "metadata": {"host": "h"}, "weight": weight})
    }

    fn waiting(mode: &str, left: f64) -> Value {
        json!({"position": 0, "dialect": "d", "waiting_for_seconds": 1, "remaining_seconds": left, "metadata": {},
               "session": "ab12", "mode": mode})
    }

    fn lock(mode: &str, size: u32, holders: &[Value], waiters: &[Value]) -> Lock {
        let lock =
            json!({"name": "a", "mode": mode, "size": size, "queue_length": 0, "holders": holders, "waiters": waiters});
        serde_json::from_value(lock).expect("a lock")
    }

    #[test]
    fn wait_for_a_hold_around_is_a_deadlock_where_it_is_in_the_way() {
        let own = [hold(7, None)];
        let both = [hold(7, Some(2)), hold(8, None)];
        for (lock, need, is_deadlock) in [
            (lock("exclusive", 1, &own, &[]), Need::Places(1), true),
            (lock("exclusive", 1, &own, &[]), Need::Shared, true),
            (lock("", 1, &own, &[]), Need::Places(1), true),
            (lock("exclusive", 1, &[hold(8, None)], &[]), Need::Places(1), false),
            (lock("shared", u32::MAX, &own, &[]), Need::Places(1), true),
            (lock("shared", u32::MAX, &own, &[]), Need::Shared, false),
            (lock("counted", 4, &both, &[]), Need::Places(2), false),
            (lock("counted", 4, &both, &[]), Need::Places(3), true),
        ] {
            assert_eq!(with_oneself(&lock, need, &[7], None).is_some(), is_deadlock, "{need:?} of {lock:?}");
        }
    }

    #[test]
    fn waiter_ahead_that_waits_for_a_hold_around_is_named() {
        let own = [hold(7, None)];
        let told =
            |waiters: &[Value], wait| with_oneself(&lock("shared", u32::MAX, &own, waiters), Need::Shared, &[7], wait);
        let endless = told(&[waiting("exclusive", 60.0)], None).expect("a deadlock");
        assert!(endless.contains("(host=h for 1.0s), and waited for by session ab12, which is ahead"), "{endless}");
        assert!(told(&[waiting("upgrade", 60.0)], Some(Duration::from_secs(9))).is_some());
        assert_eq!(told(&[waiting("exclusive", 6.0)], Some(Duration::from_secs(9))), None, "it gives up before");
        assert_eq!(told(&[waiting("shared", 60.0)], None), None);
    }
}
