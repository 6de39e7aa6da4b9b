//! `latchd locks` lists locks with their holders, and how many wait; `latchd sessions` lists the sessions.

use std::collections::BTreeMap;
use std::fmt::Display;

use clap::Args;

use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain};
use super::output::{NOTHING, Output, Span, Table, holder, print, span, waiter};
use super::{Failure, output_queue};
use crate::client::{Lock, LockQuery, SessionEntry};

#[derive(Debug, Args)]
#[command(after_help = LOCKS_HELP)]
pub struct Locks {
    /// Only this lock
    #[arg(conflicts_with = "prefix")]
    name: Option<String>,
    /// Only locks whose names begin so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only locks with a holder
    #[arg(long)]
    held: bool,
    /// Only locks with a waiter
    #[arg(long)]
    contended: bool,
    /// Why a request for this lock waits: who holds it, and who is ahead in its queue
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "prefix", "held", "contended", "keys"])]
    why: Option<String>,
    /// Shows the keys of the holds too, which `latchd unlock` takes; needs the admin role
    #[arg(long)]
    keys: bool,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const LOCKS_HELP: &str = "\
One row for each hold, in the order of the locks' names, the oldest hold first. HELD is how many hold the lock, and of
how many that may, or that they share it; HOLDER is what the holder says of itself (its owner label and metadata), or
its session; LEASE is what is left of its lease. Of one lock it also says, on stderr, that it is frozen.

With --output json: {\"locks\": [{\"name\", \"size\", \"mode\", \"delayed_for_seconds\", \"frozen\": {\"target\", \"match\",
\"reason\", \"remaining_seconds\", \"until\"}, \"queue_length\", \"holders\": [{\"fencing_token\", \"dialect\",
\"held_for_seconds\", \"remaining_seconds\", \"session\", \"owner\", \"metadata\", \"weight\", \"name_count\",
\"value\", \"key\"}], \"waiters\": [{\"position\", \"dialect\", \"waiting_for_seconds\", \"remaining_seconds\",
\"session\", \"owner\", \"metadata\", \"mode\", \"weight\", \"name_count\"}]}]}. Fields are added at times, none is
taken away; \"key\" is there for admins, \"frozen\" and \"waiters\" with a NAME.

Examples:
  latchd locks
  latchd locks deploy/production
  latchd locks --why deploy/production
  latchd locks --contended --prefix deploy/
  latchd locks --output json | jq -r '.locks[] | select(.queue_length > 10) | .name'";

impl Locks {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let is_limited = self.connect.has_credential()?;
        let Locks { name, prefix, held, contended, keys, output, why, .. } = self;
        let (name, explains) = (why.clone().or(name), why.is_some());
        let query = LockQuery { name, prefix, held, contended };
        let (locks, frozen) = block_on(async {
            let locks = client.locks(&query).await.map_err(explain)?;
            let asked = query.name.as_ref().filter(|_| output == Output::Table);
            let frozen = if let Some(name) = asked { client.frozen_by(name).await } else { None };
            Ok((locks, frozen))
        })?;
        if let Some(frozen) = &frozen {
            output_queue::note(frozen.text());
        }
        if locks.is_empty() && output == Output::Table {
            output_queue::note(empty_listing(&query, is_limited));
            return Ok(());
        }
        if keys && locks.iter().flat_map(|lock| &lock.holders).any(|hold| hold.key.is_none()) {
            output_queue::note(
                "keys are shown to admins only: this credential has not the admin role, or not for all of these",
            );
        }
        let table = match locks.first().filter(|_| explains) {
            Some(lock) => queue_table(lock),
            None => locks_table(&locks, keys),
        };
        print(output, &BTreeMap::from([("locks", &locks)]), &table)
    }
}

/// A row for each holder and each waiter, in the order of their turns.
fn queue_table(lock: &Lock) -> Table {
    let mut table = Table::new(&["PLACE", "MODE", "WHO", "FOR", "LEFT", "TOKEN"]);
    let mode = |mode: &str| if mode.is_empty() { NOTHING.to_owned() } else { mode.to_owned() };
    for hold in &lock.holders {
        let (since, left) = (Span(hold.held_for_seconds), span(hold.remaining_seconds));
        table.row(&[&"holds", &mode(&lock.mode), &holder(hold), &since, &left, &hold.fencing_token]);
    }
    if lock.delayed_for_seconds.is_some() {
        let left = span(lock.delayed_for_seconds);
        table.row(&[&"delayed", &NOTHING, &"the end of its last hold delays the next", &NOTHING, &left, &NOTHING]);
    }
    let shown = lock.waiters.as_deref().unwrap_or_default();
    for who in shown {
        let (since, left) = (Span(who.waiting_for_seconds), Span(who.remaining_seconds));
        table.row(&[&(who.position + 1), &mode(&who.mode), &waiter(who), &since, &left, &NOTHING]);
    }
    let hidden = (lock.queue_length as usize).saturating_sub(shown.len());
    match lock.waiters {
        _ if hidden == 0 => {}
        None => output_queue::note("the service is an older one, which does not tell who waits"),
        Some(_) => output_queue::note(format!(
            "{hidden} more are in the queue: after these, or passed over because their request was lost"
        )),
    }
    table
}

/// The message for an empty listing. A credential may be limited to some names.
fn empty_listing(query: &LockQuery, is_limited: bool) -> String {
    let state = match (query.held, query.contended) {
        (true, true) => "held and waited for",
        (true, false) => "held",
        (false, true) => "waited for",
        (false, false) => "held or waited for",
    };
    let which = match (&query.name, query.prefix.as_str()) {
        (Some(name), _) if state == "held or waited for" => format!("nobody holds {name:?} or waits for it"),
        (Some(name), _) => format!("{name:?} is not {state}"),
        (None, "") => format!("no lock is {state}"),
        (None, prefix) => format!("no lock whose name begins with {prefix:?} is {state}"),
    };
    let seen = if is_limited { ", as far as this credential may see" } else { "" };
    format!("nothing to show: {which}{seen}")
}

const HEADINGS: [&str; 8] = ["NAME", "HELD", "WAITING", "HOLDER", "FOR", "LEASE", "TOKEN", "KEY"];

/// A row for each hold. The keys are in the last column.
fn locks_table(locks: &[Lock], keys: bool) -> Table {
    let columns = if keys { HEADINGS.len() } else { HEADINGS.len() - 1 };
    let mut table = Table::new(&HEADINGS[..columns]);
    for lock in locks {
        let held = match lock.mode.as_str() {
            "shared" => format!("{} shared", lock.holders.len()),
            _ => format!("{}/{}", lock.holders.len(), lock.size),
        };
        let mut row = |[holder, since, left, token, key]: [&dyn Display; 5]| {
            let cells: [&dyn Display; 8] = [&lock.name, &held, &lock.queue_length, holder, since, left, token, key];
            table.row(&cells[..columns]);
        };
        if lock.holders.is_empty() {
            row([&NOTHING; 5]);
        }
        for hold in &lock.holders {
            let (since, left) = (Span(hold.held_for_seconds), span(hold.remaining_seconds));
            row([&holder(hold), &since, &left, &hold.fencing_token, &hold.key.as_deref().unwrap_or(NOTHING)]);
        }
    }
    table
}

#[derive(Debug, Args)]
#[command(after_help = SESSIONS_HELP)]
pub struct Sessions {
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const SESSIONS_HELP: &str = "\
SESSION is a handle by which listings and pages call the session: its id is its owner's secret. ENDS IN is when it ends
if nothing more is heard of it; while one of its requests waits there is no such time.

With --output json: {\"sessions\": [{\"session\", \"holds\", \"waiters\", \"idle_timeout_seconds\",
\"remaining_seconds\"}]}. Fields are added at times, none is taken away.

Examples:
  latchd sessions
  latchd sessions --output json | jq '.sessions | map(.holds) | add'";

impl Sessions {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let sessions = block_on(async { client.sessions().await.map_err(explain) })?;
        if sessions.is_empty() && self.output == Output::Table {
            output_queue::note("no sessions");
            return Ok(());
        }
        print(self.output, &BTreeMap::from([("sessions", &sessions)]), &sessions_table(&sessions))
    }
}

fn sessions_table(sessions: &[SessionEntry]) -> Table {
    let mut table = Table::new(&["SESSION", "HOLDS", "WAITING", "IDLE TIMEOUT", "ENDS IN"]);
    for entry in sessions {
        let idle_timeout = Span(entry.idle_timeout_seconds);
        table.row(&[&entry.session, &entry.holds, &entry.waiters, &idle_timeout, &span(entry.remaining_seconds)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_listing_names_the_query_and_the_limits_of_the_credential() {
        let asked = |name: Option<&str>, prefix: &str, held, contended| {
            let query = LockQuery { name: name.map(str::to_owned), prefix: prefix.to_owned(), held, contended };
            empty_listing(&query, false).split_once(": ").expect("a sentence").1.to_owned()
        };
        assert_eq!(asked(None, "", false, false), "no lock is held or waited for");
        assert_eq!(asked(None, "a/", false, false), "no lock whose name begins with \"a/\" is held or waited for");
        assert_eq!(asked(None, "a/", false, true), "no lock whose name begins with \"a/\" is waited for");
        assert_eq!(asked(None, "", true, true), "no lock is held and waited for");
        assert_eq!(asked(Some("a"), "", false, false), "nobody holds \"a\" or waits for it");
        assert_eq!(asked(Some("a"), "", true, false), "\"a\" is not held");
        assert!(
            empty_listing(&LockQuery::default(), true).ends_with("or waited for, as far as this credential may see")
        );
    }
}
