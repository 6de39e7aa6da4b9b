//! `latchd locks`: who holds what, and how many wait.

use clap::Args;
use serde::Serialize;

use super::connect::{Connect, PATIENCE, block_on, explain};
use super::human::{NOTHING, Span, holder, span};
use super::output::{Output, Table, print};
use super::{Failure, speech};
use crate::client::{Lock, LockQuery};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Locks {
    /// Only this lock
    #[arg(conflicts_with = "prefix")]
    name: Option<String>,
    /// Only locks whose names begin so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// Only locks that somebody holds
    #[arg(long)]
    held: bool,
    /// Only locks that somebody waits for
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

const HELP: &str = "\
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
struct Answer {
    locks: Vec<Lock>,
}

impl Locks {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(PATIENCE)?;
        let Locks { name, prefix, held, contended, keys, output, .. } = self;
        let query = LockQuery { name: name.clone(), prefix, held, contended };
        let locks = block_on(async { client.locks(&query).await.map_err(explain) })?;
        if locks.is_empty() && output == Output::Table {
            match name {
                Some(name) => speech::note(format!("no such lock: nobody holds {name:?} or waits for it")),
                None => speech::note("no such locks: nothing is held or waited for"),
            }
            return Ok(());
        }
        print(output, &Answer { locks }, |answer| table(&answer.locks, keys))
    }
}

const HEADINGS: [&str; 7] = ["NAME", "HELD", "WAITING", "HOLDER", "FOR", "LEASE", "TOKEN"];

fn table(locks: &[Lock], keys: bool) -> Table {
    let headings = HEADINGS.into_iter().chain(keys.then_some("KEY"));
    let mut table = Table::new(headings);
    for lock in locks {
        rows(lock).into_iter().for_each(|mut row| {
            row.truncate(if keys { HEADINGS.len() + 1 } else { HEADINGS.len() });
            table.cells(row);
        });
    }
    table
}

/// With the key last.
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
