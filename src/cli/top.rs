//! `latchd top`: which locks are waited for, shown again and again.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::termios::tcgetwinsize;

use super::connect::{Connect, block_on, explain};
use super::output::{Output, Span, Table, escaped, offer};
use super::{Failure, output_queue};
use crate::client::{Client, Contention, ContentionQuery};

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Top {
    /// Only locks whose names begin so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// What comes first: the locks with the most of this
    #[arg(long, value_enum, default_value_t = Order::Wait)]
    by: Order,
    /// How many locks are shown at most
    #[arg(long, value_name = "NUMBER", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// How often it is shown anew; 2s on a terminal, elsewhere it is shown once unless this is given
    #[arg(long, value_name = "DURATION", value_parser = interval, conflicts_with = "once")]
    interval: Option<Duration>,
    /// Shows it once
    #[arg(long)]
    once: bool,
    /// How it is printed: `json` is one object each time, as the service answered it
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Time that all waits for the lock took together
    Wait,
    /// The longest wait
    LongestWait,
    /// Waits that began
    Waits,
    /// Waits that ended by their timeout
    Timeouts,
    /// Time for which the lock was held
    Hold,
}

const HELP: &str = "\
Shows the locks that somebody waited for in the last five to ten minutes, as one node has seen it. WAITING is how many
wait now, WAITS how many waits began; WAIT is how long they took together so far, LONGEST the longest one; HOLDS and
HELD are the holds that ended meanwhile and their time, all together. Holds count from the first wait on.

On a terminal it fills the screen and runs until it is interrupted (Ctrl-C). The exit code is 1 if the service refused
or did not answer at first; later it asks again.

With --output json: {\"node\", \"covers_seconds\", \"locks\": [{\"name\", \"waiting\", \"waits\", \"granted\", \"timeouts\",
\"wait_seconds\", \"longest_wait_seconds\", \"holds\", \"hold_seconds\", \"longest_hold_seconds\"}]}, on a line of its own
each time. Fields are added at times, none is taken away.

Examples:
  latchd top
  latchd top --by timeouts --prefix deploy/
  latchd top --once --output json | jq -r '.locks[] | select(.timeouts > 0) | .name'";

/// On a terminal.
const INTERVAL: Duration = Duration::from_secs(2);
const INTERVAL_MIN: Duration = Duration::from_millis(100);

fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if interval < INTERVAL_MIN { Err("at least 100ms".to_owned()) } else { Ok(interval) }
}

impl Top {
    pub fn run(self) -> Result<(), Failure> {
        let client = self.connect.client(Duration::from_secs(10))?;
        let on_terminal = stdout().is_terminal() && self.output == Output::Table;
        let usual = on_terminal.then_some(INTERVAL);
        let interval = self.interval.or(usual).filter(|_| !self.once);
        block_on(self.show(&client, on_terminal, interval))
    }

    async fn show(&self, client: &Client, on_terminal: bool, interval: Option<Duration>) -> Result<(), Failure> {
        let query = ContentionQuery { prefix: self.prefix.clone(), by: self.order(), limit: self.limit };
        let mut shown = client.contention(&query).await.map_err(explain)?;
        loop {
            let text = match self.output {
                Output::Json => escaped(serde_json::to_string(&shown).map_err(Failure::from_error)?) + "\n",
                Output::Table if on_terminal && interval.is_some() => screen(&text(&shown), size()),
                Output::Table => text(&shown),
            };
            let is_read = offer(&text)?;
            let Some(interval) = interval.filter(|_| is_read) else { return Ok(()) };
            shown = loop {
                tokio::time::sleep(interval).await;
                match client.contention(&query).await {
                    Ok(shown) => break shown,
                    Err(error) => output_queue::note(explain(error).message),
                }
            };
        }
    }

    fn order(&self) -> String {
        self.by.to_possible_value().map(|order| order.get_name().to_owned()).unwrap_or_default()
    }
}

fn text(shown: &Contention) -> String {
    let mut table =
        Table::new(&["NAME", "WAITING", "WAITS", "TIMEOUTS", "WAIT", "LONGEST", "HOLDS", "HELD", "LONGEST HOLD"]);
    for lock in &shown.locks {
        table.row(&[
            &lock.name,
            &lock.waiting,
            &lock.waits,
            &lock.timeouts,
            &Span(lock.wait_seconds),
            &Span(lock.longest_wait_seconds),
            &lock.holds,
            &Span(lock.hold_seconds),
            &Span(lock.longest_hold_seconds),
        ]);
    }
    let (count, covered) = (shown.locks.len(), Span(shown.covers_seconds));
    let heading = match count {
        0 => format!("Nobody waited for a lock in the last {covered}, as node {} has seen it.", shown.node),
        _ => format!("Locks waited for in the last {covered}, as node {} has seen it", shown.node),
    };
    if count == 0 { heading + "\n" } else { format!("{heading}\n\n{table}") }
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}

/// The text in place of what the screen shows, cut to its size: a longer one would scroll.
fn screen(text: &str, (columns, rows): (usize, usize)) -> String {
    let lines: Vec<String> = text.lines().take(rows.saturating_sub(1)).map(|line| cut(line, columns)).collect();
    // To the first column of the first row; erase each line's rest, then everything below.
    let shown: String = lines.iter().map(|line| format!("{line}\u{1b}[K\r\n")).collect();
    format!("\u{1b}[H{shown}\u{1b}[J")
}

/// Characters beyond Latin may take two columns.
fn cut(line: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |character: &char| {
        used += if u32::from(*character) < 0x1100 { 1 } else { 2 };
        used <= columns
    };
    line.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn screen_is_cut_to_the_terminal() {
        assert_eq!(screen("abcdef\ng\nh\n", (3, 3)), "\u{1b}[Habc\u{1b}[K\r\ng\u{1b}[K\r\n\u{1b}[J");
        assert_eq!([cut("日本x", 4), cut("日本x", 3)], ["日本", "日"]);
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        let lock = r#"{"name":"a\u001b[2J","waiting":1,"waits":2,"granted":1,"timeouts":0,"wait_seconds":70.5,
            "longest_wait_seconds":9.0,"holds":1,"hold_seconds":0.4,"longest_hold_seconds":0.4}"#;
        let shown = format!(r#"{{"node":3,"covers_seconds":420.0,"locks":[{lock}]}}"#);
        let text = text(&serde_json::from_str(&shown).expect("an answer"));
        assert!(text.starts_with("Locks waited for in the last 7m0s, as node 3 has seen it\n\nNAME"), "{text}");
        assert!(text.ends_with("a\\u{1b}[2J  1        2      0         1m10s  9.0s     1      0.4s  0.4s\n"), "{text}");
    }
}
