//! `latchd sessions`: lists the sessions.

use clap::Args;
use serde::Serialize;

use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain};
use super::output::{Output, Span, Table, print, span};
use super::{Failure, output_queue};
use crate::client::SessionEntry;

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Sessions {
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
SESSION is a handle by which listings and pages call the session: its id is its owner's secret. ENDS IN is when it ends
if nothing more is heard of it; while one of its requests waits there is no such time.

With --output json: {\"sessions\": [{\"session\", \"holds\", \"waiters\", \"idle_timeout_seconds\",
\"remaining_seconds\"}]}. Fields are added at times, none is taken away.

Examples:
  latchd sessions
  latchd sessions --output json | jq '.sessions | map(.holds) | add'";

#[derive(Serialize)]
struct Answer {
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
        print(self.output, &Answer { sessions }, |answer| table(&answer.sessions))
    }
}

fn table(sessions: &[SessionEntry]) -> Table {
    let mut table = Table::new(["SESSION", "HOLDS", "WAITING", "IDLE TIMEOUT", "ENDS IN"]);
    for entry in sessions {
        let idle_timeout = Span(entry.idle_timeout_seconds);
        table.row([&entry.session, &entry.holds, &entry.waiters, &idle_timeout, &span(entry.remaining_seconds)]);
    }
    table
}
