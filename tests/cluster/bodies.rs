//! The bodies of requests about a lock or several, and what the answer to a read says.

use serde_json::{Value, json};

use super::history::Answer;
use super::target::{Mode, Target};

pub fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}

/// An acquire without its times.
pub fn acquire(target: &Target) -> Value {
    if target.is_of_several() {
        let names: Vec<Value> = target.places().map(|(name, mode)| json!({"name": name, "mode": word(mode)})).collect();
        return json!({"names": names});
    }
    match target.mode {
        Mode::Exclusive => json!({"name": target.name}),
        Mode::Shared => json!({"name": target.name, "mode": word(Mode::Shared)}),
        Mode::Counted { size, weight } => json!({"name": target.name, "size": size, "weight": weight}),
    }
}

/// A release; also a renewal without its lease.
pub fn of_hold(target: &Target, key: &str) -> Value {
    if target.is_of_several() {
        let names: Vec<&str> = target.places().map(|(name, _)| name).collect();
        return json!({"names": names, "key": key});
    }
    json!({"name": target.name, "key": key})
}

/// What a read of a lock says; `None` if it says nothing that we know.
pub fn seen(body: &Value) -> Option<Answer> {
    let tokens = body["holders"].as_array()?.iter().map(|hold| hold["fencing_token"].as_u64());
    let mut tokens = tokens.collect::<Option<Vec<u64>>>()?.into_iter();
    let token = tokens.next();
    Some(Answer::Seen { token, others: tokens.collect(), waiters: body["queue_length"].as_u64()? })
}

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
        Mode::Counted { .. } => panic!("of several names none is counted"),
    }
}
