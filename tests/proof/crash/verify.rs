//! Holds the workers' notes against the server that came back.

use super::calls::{Caller, Dialect, Hold, Trouble};
use super::tokens::Tokens;
use super::worker::{State, Worker};

/// Compares one name; afterwards each worker's note of it is certain again. Says all that is wrong.
pub fn name(name: &str, workers: &mut [Worker], stranger: &mut Caller, tokens: &Tokens) -> Vec<String> {
    let mut complaints = Vec::new();
    if let Err(trouble) = compare(name, workers, stranger, tokens, &mut complaints) {
        complaints.push(format!("{name}: {trouble}"));
    }
    complaints
}

fn compare(
    name: &str,
    workers: &mut [Worker],
    stranger: &mut Caller,
    tokens: &Tokens,
    complaints: &mut Vec<String>,
) -> Result<(), Trouble> {
    let (found, waiters) = stranger.inspect(name)?;
    if waiters != 0 {
        complaints.push(format!("{name}: {waiters} still wait although no connection survived"));
    }
    let holders: Vec<(usize, Hold)> =
        workers.iter().enumerate().filter_map(|(at, worker)| held(worker, name).map(|hold| (at, hold))).collect();
    match holders.as_slice() {
        [] => unheld(name, &found, workers, tokens, complaints),
        [(holder, hold)] => {
            if found != [hold.clone()] {
                complaints.push(format!("{name}: {hold:?} was granted, but there is {found:?}"));
            }
            still_held(name, hold, &mut workers[*holder].caller, stranger, complaints)?;
            settle(name, workers);
            Ok(())
        }
        several => {
            complaints.push(format!("{name}: granted to several: {several:?}"));
            Ok(())
        }
    }
}

/// A hold that was answered: it can be renewed, and nobody else gets the lock.
fn still_held(
    name: &str,
    hold: &Hold,
    holder: &mut Caller,
    stranger: &mut Caller,
    complaints: &mut Vec<String>,
) -> Result<(), Trouble> {
    if holder.renew(name, &hold.key)? == Some(false) {
        complaints.push(format!("{name}: {hold:?} cannot be renewed any more"));
    }
    if let Some(other) = stranger.lock(name, 0)? {
        complaints.push(format!("{name}: held by {hold:?}, and granted again as {other:?}"));
    }
    Ok(())
}

/// Nobody was told that they hold it. What is found must come from a request without an answer, and is given back.
fn unheld(
    name: &str,
    found: &[Hold],
    workers: &mut [Worker],
    tokens: &Tokens,
    complaints: &mut Vec<String>,
) -> Result<(), Trouble> {
    for hold in found {
        let open = |worker: &Worker| worker.states.get(name) == Some(&State::Locking);
        let returned = |worker: &Worker| worker.states.get(name) == Some(&State::Unlocking(hold.clone()));
        if !workers.iter().any(|worker| open(worker) || returned(worker)) {
            complaints.push(format!("{name}: {hold:?} is there, although its release was answered or nobody asked"));
        } else if !workers.iter().any(returned) {
            // Applied but never answered: its token counts as given from now on.
            complaints.extend(tokens.note(name, hold.token, 0));
        }
        let mut released = false;
        for worker in workers.iter_mut().filter(|worker| open(worker) || returned(worker)) {
            released = released || worker.caller.unlock(name, &hold.key)?;
        }
        if !released {
            complaints.push(format!("{name}: nobody could give {hold:?} back"));
        }
    }
    settle(name, workers);
    Ok(())
}

fn held(worker: &Worker, name: &str) -> Option<Hold> {
    match worker.states.get(name) {
        Some(State::Held(hold)) => Some(hold.clone()),
        _ => None,
    }
}

/// Whoever does not hold the name knows now that it does not.
fn settle(name: &str, workers: &mut [Worker]) {
    for state in workers.iter_mut().filter_map(|worker| worker.states.get_mut(name)) {
        if !matches!(state, State::Held(_)) {
            *state = State::Free;
        }
    }
}

/// A client without part in the load, for attempts that must be refused.
pub fn stranger(server: &crate::support::process::Server) -> Caller {
    Caller::new(server, Dialect::Sessions)
}
