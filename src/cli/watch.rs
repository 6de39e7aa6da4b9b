//! `latchd watch`: prints the events of locks, one line for each.

use std::time::Duration;

use clap::Args;

use super::connect::{Connect, block_on, refused};
use super::output::{Output, Span, escaped, offer};
use super::{Failure, output_queue};
use crate::client::{Client, Event, EventQuery, Events, Holder, Lock, StreamItem, printable};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Watch {
    /// The lock to watch; without it and without --prefix, all that this credential may see
    #[arg(conflicts_with = "prefix")]
    name: Option<String>,
    /// Watch all locks whose name starts with this
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Begin after this event instead of now; ids are the same on every node
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// How events are printed: `json` is one object a line, as the service wrote it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

const HELP: &str = "\
Begins with the locks as they are, and runs until it is interrupted (Ctrl-C). A stream that breaks off is taken up again
at any of the URLs, where it was. If events are missing all the same, because the service does not keep those any more, a
line (or an object `gap`) says so and the state is shown anew: never a silent hole.

Exit codes:
  0    nobody reads the output any more
  1    the output cannot be written
  69   no node of the service answered for 10 s before the first event, or nobody is there at all
  77   the service refused: credential, right, a limit, or an ID that is none
  78   the settings of the connection cannot be used
  130  interrupted by Ctrl-C (128 + 2, as the shell shows it)
  2    wrong usage

Examples:
  latchd watch deploy/production
  latchd watch -- -x                              a name that begins with a hyphen
  latchd watch --prefix build/ --url https://10.0.0.1:8443,https://10.0.0.2:8443
  latchd watch --output json | jq --unbuffered 'select(.event == \"expired\")'";

impl Watch {
    pub fn run(self) -> Result<(), Failure> {
        let Watch { name, prefix, after, output, connect } = self;
        let client = connect.client(Duration::from_secs(10))?;
        let prefix = prefix.unwrap_or_default();
        let query = EventQuery { name: name.clone(), prefix, after, state: true, ..EventQuery::default() };
        let events = client.events(query);
        block_on(print(client, events, output, name.as_deref()))
    }
}

async fn print(client: Client, mut events: Events, output: Output, watched: Option<&str>) -> Result<(), Failure> {
    loop {
        let text = match events.next().await.map_err(refused)? {
            StreamItem::Interrupted(reason) => {
                output_queue::note(format!("{reason}; asking the next node, to go on from there"));
                continue;
            }
            StreamItem::Event(event) if output == Output::Json => escaped(event.json) + "\n",
            StreamItem::Event(event) => lines(&event, watched) + &frozen(&client, &event, watched).await,
        };
        if !offer(&text)? {
            return Ok(());
        }
    }
}

/// A state does not tell of the freezes that are under way: so that of the lock is asked for.
async fn frozen(client: &Client, event: &Event, watched: Option<&str>) -> String {
    let is_state = matches!(event.event.as_str(), "state" | "gap");
    let Some(name) = watched.filter(|_| is_state) else { return String::new() };
    client.frozen_by(name).await.map_or(String::new(), |freeze| format!("{:<13}  {}\n", "frozen", freeze.text()))
}

/// An event as text; a state has a line for each hold.
fn lines(event: &Event, watched: Option<&str>) -> String {
    match event.event.as_str() {
        "started" => String::new(),
        "state" => state(event, watched),
        "frozen" | "thawed" => freeze(event),
        "gap" => {
            let why = match event.why.as_deref() {
                Some("too-old") => "the service does not keep events for so long",
                Some("snapshot") => "the node took over a state without them",
                Some("unknown-id") => "the id is none of this service",
                _ => "the service does not say why",
            };
            format!("gap            events are missing: {why}; the locks now:\n{}", state(event, watched))
        }
        kind => {
            let name = event.name.as_deref().map(printable).unwrap_or_default();
            format!("{kind:<13}  {name}{}\n", details(event))
        }
    }
}

/// A freeze that begins, with how long it is to last, or one that has ended; and its reason. Why it was thawed only the log
/// and the audit log of the service tell.
fn freeze(event: &Event) -> String {
    let target = event.target.as_deref().map(printable).unwrap_or_default();
    let subject = match event.r#match.as_deref() {
        Some("everything") => "everything".to_owned(),
        Some("prefix") => format!("{target}  and all names that start so"),
        _ => target,
    };
    let end = match (event.event.as_str(), event.why.as_deref()) {
        ("frozen", _) => event.for_seconds.map_or(String::new(), |seconds| format!("  for {}", Span(seconds))),
        (_, Some("ended")) => "  at its end".to_owned(),
        _ => "  by an operator".to_owned(),
    };
    let breaks = event.event == "frozen" && event.holds.as_deref() == Some("break");
    let holds = if breaks { "  ends the holds" } else { "" };
    let reason = event.reason.as_deref().map(printable).unwrap_or_default();
    let label = if event.event == "frozen" { "reason" } else { "it was frozen for" };
    format!("{:<13}  {subject}{end}{holds}  {label}: {reason}\n", event.event)
}

fn details(event: &Event) -> String {
    let mut text = String::new();
    let mut add = |before: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {before}{}", printable(&value)));
        }
    };
    add("token ", event.fencing_token.map(|token| token.to_string()));
    add("instead of ", event.replaces.map(|token| token.to_string()));
    add("", event.mode.clone().filter(|mode| mode != "exclusive"));
    add("weight ", event.weight.map(|weight| weight.to_string()));
    add("value ", event.value.clone());
    add("", event.why.clone().filter(|why| *why != event.event));
    add("session ", event.session.clone());
    add("via ", event.dialect.clone());
    text
}

fn state(event: &Event, watched: Option<&str>) -> String {
    let mut text: String = event.locks.iter().map(held).collect();
    if let (true, Some(name)) = (event.locks.is_empty(), watched) {
        text.push_str(&format!("{:<13}  {}\n", "free", printable(name)));
    }
    if let Some(rest) = &event.rest {
        text.push_str(&format!("{:<13}  more than is shown here; all of it: {}\n", "...", printable(rest)));
    }
    text
}

fn held(lock: &Lock) -> String {
    let name = printable(&lock.name);
    let waiting = if lock.queue_length > 0 { format!("  {} waiting", lock.queue_length) } else { String::new() };
    let line = |hold: &Holder| {
        let left = hold.remaining_seconds.map_or(String::new(), |seconds| format!("  ends in {seconds:.1} s"));
        let (token, since, dialect) = (hold.fencing_token, hold.held_for_seconds, printable(&hold.dialect));
        format!("{:<13}  {name}  token {token}  for {since:.1} s{left}  via {dialect}{waiting}\n", "held")
    };
    match lock.holders.is_empty() {
        true => format!("{:<13}  {name}{waiting}\n", "free"),
        false => lock.holders.iter().map(line).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Event {
        serde_json::from_str(json).expect("an event")
    }

    #[test]
    fn event_is_one_line_without_control_characters() {
        let granted = r#"{"event":"granted","id":"1-1","name":"a\u001b[2Jb","fencing_token":7,"session":"ab"}"#;
        assert_eq!(lines(&event(granted), None), "granted        a\\u{1b}[2Jb  token 7  session ab\n");
        let moved = r#"{"event":"value-changed","id":"1-1","name":"a","fencing_token":7,"value":"b\u001b[2Jc"}"#;
        assert_eq!(lines(&event(moved), None), "value-changed  a  token 7  value b\\u{1b}[2Jc\n");
        let released = r#"{"event":"released","id":"1-1","name":"a","fencing_token":7,"why":"session-ended"}"#;
        assert_eq!(lines(&event(released), None), "released       a  token 7  session-ended\n");
        let released = r#"{"event":"released","id":"1-1","name":"a","fencing_token":7,"why":"released"}"#;
        assert_eq!(lines(&event(released), None), "released       a  token 7\n");
    }

    #[test]
    fn freeze_is_one_line_with_its_end_and_reason() {
        let frozen = r#"{"event":"frozen","id":"1-1","target":"a/","match":"prefix","holds":"break","reason":"b\u001b[2Jc","for_seconds":7200.0}"#;
        let shown = "frozen         a/  and all names that start so  for 2h0m  ends the holds  reason: b\\u{1b}[2Jc\n";
        assert_eq!(lines(&event(frozen), None), shown);
        let thawed =
            r#"{"event":"thawed","id":"1-1","target":"a","match":"name","holds":"break","why":"ended","reason":"b"}"#;
        assert_eq!(lines(&event(thawed), None), "thawed         a  at its end  it was frozen for: b\n");
        let thawed = r#"{"event":"thawed","id":"1-1","target":"","match":"everything","why":"thawed","reason":"b"}"#;
        assert_eq!(lines(&event(thawed), None), "thawed         everything  by an operator  it was frozen for: b\n");
    }

    #[test]
    fn gap_is_reported_with_the_current_holders() {
        let gap = r#"{"event":"gap","id":"9-0","why":"too-old","locks":[]}"#;
        let shown = lines(&event(gap), Some("a"));
        assert!(shown.starts_with("gap") && shown.ends_with("the locks now:\nfree           a\n"), "{shown}");
        assert_eq!(lines(&event(r#"{"event":"state","id":"9-0","locks":[]}"#), None), "");
    }
}
