//! `latchd history` shows the last holds of a lock that have ended.

use clap::Args;

use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain};
use super::output::{NOTHING, Output, Span, Table, past_holder, print};
use super::{Failure, output_queue};
use crate::client::{EndedHold, LockHistory, printable};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct History {
    /// The lock
    name: String,
    /// Rows at most: the newest
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
One row for each hold that has ended, the newest first. ENDED is the time in UTC, and FOR how long the lock was held;
HOLDER is what the holder said of itself (its owner label and metadata), or its session. HOW is `released` by its owner,
`expired` with its lease, `session-closed` or `session-idle` with its session, `transferred` to another session, or
`forced` by an admin, with the reason and, for admins of the name, the name of the credential. The service keeps the
last `locks.history_per_lock` of each name.

With --output json: {\"name\", \"ended_holds\": [{\"fencing_token\", \"dialect\", \"mode\", \"acquired_at\", \"ended_at\",
\"ended_seconds_ago\", \"held_for_seconds\", \"end\", \"forced_by\", \"reason\", \"session\", \"owner\", \"metadata\",
\"weight\", \"value\"}]}. Fields are added at times, none is taken away.

Examples:
  latchd history deploy/production
  latchd history deploy/production --limit 1
  latchd history deploy/production --output json | jq '.ended_holds[] | select(.end == \"forced\")'";

impl History {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let history = block_on(async { client.history(&self.name, self.limit).await.map_err(explain) })?;
        if history.ended_holds.is_empty() && self.output == Output::Table {
            let name = printable(&self.name);
            output_queue::note(format!("nothing to show: no hold of {name:?} that has ended is remembered"));
            return Ok(());
        }
        print(self.output, &history, &table(&history))
    }
}

fn table(history: &LockHistory) -> Table {
    let mut table = Table::new(&["ENDED", "HOW", "FOR", "HOLDER", "TOKEN", "BY", "REASON"]);
    for past in &history.ended_holds {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
        let EndedHold { ended_at, end, fencing_token, .. } = past;
        let (span, who) = (Span(past.held_for_seconds), past_holder(past));
        table.row(&[ended_at, end, &span, &who, fencing_token, &text(&past.forced_by), &text(&past.reason)]);
    }
    table
}
