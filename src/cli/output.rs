//! The output of commands on stdout: tables for people, JSON for scripts.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::{Failure, output_queue};
use crate::client::{EndedHold, Holder, ShownTerms, Waiter, is_invisible, printable};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; columns may change
    Table,
    /// For scripts, as the service answered it
    Json,
}

/// The widest column. A longer cell is not cut; it moves the rest of its row.
const COLUMN_MAX: usize = 40;

/// Headings and rows; each column is as wide as its widest cell, up to [`COLUMN_MAX`].
pub struct Table(Vec<Vec<String>>);

impl Table {
    pub fn new(headings: &[&str]) -> Self {
        Self(vec![headings.iter().map(ToString::to_string).collect()])
    }

    /// Adds a row with a cell for each heading.
    pub fn row(&mut self, cells: &[&dyn Display]) {
        debug_assert_eq!(cells.len(), self.0[0].len());
        self.0.push(cells.iter().map(|cell| printable(&cell.to_string())).collect());
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |at: usize| self.0.iter().map(|cells| cells[at].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..self.0[0].len()).map(|at| width(at).min(COLUMN_MAX)).collect();
        for cells in &self.0 {
            let mut line = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                write!(line, "{cell:width$}  ")?;
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Prints the table, or the value as JSON.
pub fn print(output: Output, value: &impl Serialize, table: &Table) -> Result<(), Failure> {
    write(&rendered(output, value, table)?)
}

/// Reports finished work as text or as JSON; a failure to write it is no failure of the work.
pub fn report(output: Output, value: &impl Serialize, text: &impl Display) {
    match rendered(output, value, text) {
        Ok(text) => output_queue::report(text),
        Err(failure) => output_queue::note(failure.message),
    }
}

fn rendered(output: Output, value: &impl Serialize, text: &impl Display) -> Result<String, Failure> {
    Ok(match output {
        Output::Table => text.to_string(),
        Output::Json => escaped(serde_json::to_string_pretty(value).map_err(Failure::from_error)?) + "\n",
    })
}

/// Writes the result of a command; the command fails if this fails.
pub fn write(text: &str) -> Result<(), Failure> {
    offer(text).map(drop)
}

/// As [`write`]; `false` if nobody reads any more.
pub fn offer(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        // The reader has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("stdout cannot be written: {error}").into()),
    }
}

/// JSON in which characters that control a terminal are escaped; they stand only in strings.
pub fn escaped(json: String) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_invisible(character) && character != '\n' {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            text.push(character);
        }
    }
    text
}

/// An empty cell.
pub const NOTHING: &str = "-";

/// A duration in its two largest units: `0.4s`, `12s`, `3m5s`, `2h10m`, `9d4h`.
pub struct Span(pub f64);

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = Duration::try_from_secs_f64(self.0.max(0.0)).unwrap_or(Duration::MAX);
        let seconds = span.as_secs();
        let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
        match (days, hours, minutes) {
            (0, 0, 0) if seconds < 10 => write!(f, "{seconds}.{}s", span.subsec_millis() / 100),
            (0, 0, 0) => write!(f, "{seconds}s"),
            (0, 0, _) => write!(f, "{minutes}m{}s", seconds % 60),
            (0, _, _) => write!(f, "{hours}h{}m", minutes % 60),
            _ => write!(f, "{days}d{}h", hours % 24),
        }
    }
}

/// A duration, or an empty cell.
pub fn span(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| NOTHING.to_owned(), |seconds| Span(seconds).to_string())
}

/// The owner and the metadata of a holder, or else its session.
pub fn holder(holder: &Holder) -> String {
    who(&holder.owner, &holder.metadata, &holder.session) + &terms(&holder.terms)
}

/// The same of a hold that has ended.
pub fn past_holder(past: &EndedHold) -> String {
    who(&past.owner, &past.metadata, &past.session) + &terms(&past.terms)
}

/// The same of a waiter.
pub fn waiter(waiter: &Waiter) -> String {
    who(&waiter.owner, &waiter.metadata, &waiter.session) + &terms(&waiter.terms)
}

/// What a hold is beyond one place in one lock.
fn terms(terms: &ShownTerms) -> String {
    let leads = terms.value.iter().map(|value| format!("leads as {value}"));
    let weight = terms.weight.iter().map(|weight| format!("weight {weight}"));
    let names = terms.name_count.iter().map(|count| format!("one of {count} names"));
    let all: Vec<String> = leads.chain(weight).chain(names).collect();
    if all.is_empty() { String::new() } else { format!(" ({})", all.join(", ")) }
}

fn who(owner: &Option<String>, metadata: &BTreeMap<String, String>, session: &Option<String>) -> String {
    let metadata = metadata.iter().map(|(key, value)| format!("{key}={value}"));
    let texts: Vec<String> = owner.iter().cloned().chain(metadata).collect();
    match (texts.is_empty(), session) {
        (false, _) => texts.join(" "),
        (true, Some(session)) => format!("session {session}"),
        (true, None) => NOTHING.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_widest_cell_and_control_characters_are_escaped() {
        let mut table = Table::new(&["NODE", "NAME"]);
        table.row(&[&1, &"日本"]);
        table.row(&[&23_456, &"a\u{1b}[31m\n"]);
        assert_eq!(table.to_string(), "NODE   NAME\n1      日本\n23456  a\\u{1b}[31m\\n\n");
    }

    #[test]
    fn long_cell_moves_only_its_own_row() {
        let long = "x".repeat(500);
        let mut table = Table::new(&["NAME", "HELD"]);
        table.row(&[&long, &"1/1"]);
        table.row(&[&"short", &"1/1"]);
        let expected = format!("{:40}  HELD\n{long}  1/1\n{:40}  1/1\n", "NAME", "short");
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn escaped_json_has_same_value_without_control_characters() {
        let value = serde_json::json!({"name": "a\u{202e}\u{9b}\u{7f}\u{e0001}\n日"});
        let text = escaped(serde_json::to_string_pretty(&value).expect("JSON"));
        assert!(text.chars().all(|c| c == '\n' || !is_invisible(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown = [0.0, 9.95, 59.9, 185.0, 7_800.0, 792_000.0].map(|seconds| Span(seconds).to_string());
        assert_eq!(shown, ["0.0s", "9.9s", "59s", "3m5s", "2h10m", "9d4h"]);
        assert_eq!((span(None), span(Some(-1.0))), ("-".to_owned(), "0.0s".to_owned()));
        assert_eq!(Span(f64::MAX).to_string(), Span(u64::MAX as f64 * 2.0).to_string(), "absurd, and no panic");
    }
}
