//! `latchd locks` lists locks with their holders, and how many wait; `latchd sessions` lists the sessions.

use clap::Args;
use serde::Serialize;

use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain};
use super::output::{NOTHING, Output, Span, Table, holder, print, span};
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
how many that may; HOLDER is what the holder says of itself (its owner label and metadata), or its session; LEASE is what
is left of its lease.

With --output json: {\"locks\": [{\"name\", \"size\", \"queue_length\", \"holders\": [{\"fencing_token\", \"dialect\",
\"held_for_seconds\", \"remaining_seconds\", \"session\", \"owner\", \"metadata\", \"key\"}]}]}. Fields are added at
times, none is taken away; \"key\" is there for admins.

Examples:
  latchd locks
  latchd locks deploy/production
  latchd locks --contended --prefix deploy/
  latchd locks --output json | jq -r '.locks[] | select(.queue_length > 10) | .name'";

#[derive(Serialize)]
struct LocksAnswer {
    locks: Vec<Lock>,
}

impl Locks {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let is_limited = self.connect.has_credential()?;
        let Locks { name, prefix, held, contended, keys, output, .. } = self;
        let query = LockQuery { name, prefix, held, contended };
        let locks = block_on(async { client.locks(&query).await.map_err(explain) })?;
        if locks.is_empty() && output == Output::Table {
            output_queue::note(empty_listing(&query, is_limited));
            return Ok(());
        }
        if keys && locks.iter().flat_map(|lock| &lock.holders).any(|hold| hold.key.is_none()) {
            output_queue::note(
                "keys are shown to admins only: this credential has not the admin role, or not for all of these",
            );
        }
        print(output, &LocksAnswer { locks }, |answer| locks_table(&answer.locks, keys))
    }
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

const HEADINGS: [&str; 7] = ["NAME", "HELD", "WAITING", "HOLDER", "FOR", "LEASE", "TOKEN"];

fn locks_table(locks: &[Lock], keys: bool) -> Table {
    let mut table = Table::new(HEADINGS.into_iter().chain(keys.then_some("KEY")));
    for mut row in locks.iter().flat_map(rows) {
        row.truncate(HEADINGS.len() + usize::from(keys));
        table.cells(row);
    }
    table
}

/// A row for each hold, with the key last.
fn rows(lock: &Lock) -> Vec<Vec<String>> {
    let whole = [lock.name.clone(), format!("{}/{}", lock.holders.len(), lock.size), lock.queue_length.to_string()];
    let row = |rest: [String; 5]| whole.iter().cloned().chain(rest).collect();
    if lock.holders.is_empty() {
        return vec![row([NOTHING; 5].map(str::to_owned))];
    }
    let held = lock.holders.iter().map(|hold| {
        let key = hold.key.clone().unwrap_or_else(|| NOTHING.to_owned());
        let since = Span(hold.held_for_seconds).to_string();
        row([holder(hold), since, span(hold.remaining_seconds), hold.fencing_token.to_string(), key])
    });
    held.collect()
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

#[derive(Serialize)]
struct SessionsAnswer {
    sessions: Vec<SessionEntry>,
}

impl Sessions {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let sessions = block_on(async { client.sessions().await.map_err(explain) })?;
        if sessions.is_empty() && self.output == Output::Table {
            output_queue::note("no sessions");
            return Ok(());
        }
        print(self.output, &SessionsAnswer { sessions }, |answer| sessions_table(&answer.sessions))
    }
}

fn sessions_table(sessions: &[SessionEntry]) -> Table {
    let mut table = Table::new(["SESSION", "HOLDS", "WAITING", "IDLE TIMEOUT", "ENDS IN"]);
    for entry in sessions {
        let idle_timeout = Span(entry.idle_timeout_seconds);
        table.row([&entry.session, &entry.holds, &entry.waiters, &idle_timeout, &span(entry.remaining_seconds)]);
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
