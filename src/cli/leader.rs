//! `latchd leader`: who leads an election, for how long that can be relied on, and how that changes.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::connect::{ADMIN_TIMEOUT, Connect, block_on, explain, refused};
use super::output::{Output, Span, Table, escaped, offer, print};
use super::{Failure, output_queue};
use crate::client::{Event, EventQuery, Events, StreamItem, printable};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Leader {
    /// The election
    name: String,
    /// Goes on with a line for each change, until it is interrupted (Ctrl-C)
    #[arg(long)]
    watch: bool,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
VALUE is what the leader says of itself, TOKEN rises from leader to leader, and for RELIABLE FOR nobody else is
elected, from now on. The exit code is 1 if nobody leads, or if the service refused or did not answer.

With --output json: {\"name\", \"value\", \"fencing_token\", \"reliable_for_seconds\"}. With --watch, an object a line,
as the service wrote it: its \"event\" is `elected`, `value-changed`, `resigned`, `expired` or `forced`; `state` is how
it begins, and `gap` says that events are missing; both have a \"leader\" unless nobody leads. Fields are added at
times, none is taken away.

Examples:
  latchd leader scheduler
  latchd leader scheduler --output json | jq -r .value
  latchd leader scheduler --watch
  latchd leader -- -x                             a name that begins with a hyphen";

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    value: &'a str,
    fencing_token: u64,
    reliable_for_seconds: f64,
}

impl Leader {
    pub fn run(self) -> Result<(), Failure> {
        if self.watch {
            let client = self.connect.client(Duration::from_secs(10))?;
            let query = EventQuery { election: Some(self.name.clone()), state: true, ..EventQuery::default() };
            return block_on(watch(client.events(query), self.output));
        }
        let client = self.connect.client(ADMIN_TIMEOUT)?;
        let found = block_on(async { client.leader(&self.name).await.map_err(explain) })?;
        let (leader, until) =
            found.ok_or_else(|| Failure::from(format!("nobody leads {:?}", printable(&self.name))))?;
        let reliable_for_seconds = until.seconds_left();
        let (name, value, fencing_token) = (&*self.name, &*leader.value, leader.fencing_token);
        let mut table = Table::new(&["VALUE", "TOKEN", "RELIABLE FOR"]);
        table.row(&[&value, &fencing_token, &Span(reliable_for_seconds)]);
        print(self.output, &Shown { name, value, fencing_token, reliable_for_seconds }, &table)
    }
}

async fn watch(mut events: Events, output: Output) -> Result<(), Failure> {
    loop {
        let text = match events.next().await.map_err(refused)? {
            StreamItem::Interrupted(reason) => {
                output_queue::note(format!("{reason}; asking the next node, to go on from there"));
                continue;
            }
            StreamItem::Event(event) if output == Output::Json => escaped(event.json) + "\n",
            StreamItem::Event(event) => line(&event),
        };
        if !offer(&text)? {
            return Ok(());
        }
    }
}

fn line(event: &Event) -> String {
    let (word, value, token) = match (event.event.as_str(), &event.leader) {
        ("started", _) => return String::new(),
        ("state" | "gap", Some(leader)) => ("leads", Some(&leader.value), Some(leader.fencing_token)),
        ("state" | "gap", None) => ("nobody leads", None, None),
        (kind, _) => (kind, event.value.as_ref(), event.fencing_token),
    };
    let before = if event.event == "gap" { "gap            changes are missing; now:\n" } else { "" };
    let token = token.map_or(String::new(), |token| format!("  token {token}"));
    let value = value.map_or(String::new(), |value| format!("  {}", printable(value)));
    format!("{before}{word:<13}{token}{value}").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_one_line_without_control_characters() {
        let line = |json: &str| line(&serde_json::from_str(json).expect("an event"));
        assert_eq!(line(r#"{"event":"started","id":"1-1"}"#), "");
        assert_eq!(line(r#"{"event":"state","id":"1-1"}"#), "nobody leads\n");
        let leads = r#"{"event":"gap","id":"1-1","leader":{"value":"a\u001b[2J","fencing_token":7}}"#;
        assert_eq!(line(leads), "gap            changes are missing; now:\nleads          token 7  a\\u{1b}[2J\n");
        let elected = r#"{"event":"elected","id":"1-1","name":"a","fencing_token":9,"value":"b"}"#;
        assert_eq!(line(elected), "elected        token 9  b\n");
        let resigned = r#"{"event":"resigned","id":"1-1","name":"a","fencing_token":9,"why":"released"}"#;
        assert_eq!(line(resigned), "resigned       token 9\n");
    }
}
