//! What commands print on stdout: tables for people, JSON for scripts.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::{Failure, speech, told};
use crate::client::{is_treacherous, printable};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; columns may change
    Table,
    /// For scripts, as the service answered it
    Json,
}

/// No column is wider; a longer cell moves what follows it in its own row, and is never cut.
const COLUMN_MAX: usize = 40;

/// Rows under headings, each column as wide as its widest cell, within bounds.
pub struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headings: impl IntoIterator<Item = &'static str>) -> Self {
        Self { headings: headings.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each heading.
    pub fn row<const N: usize>(&mut self, cells: [&dyn Display; N]) {
        self.cells(cells.iter().map(ToString::to_string));
    }

    /// The same for as many cells as there are headings.
    pub fn cells(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        debug_assert_eq!(cells.len(), self.headings.len());
        self.rows.push(cells);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings: Vec<String> = self.headings.iter().map(|&heading| heading.to_owned()).collect();
        let lines = || std::iter::once(&headings).chain(&self.rows);
        let width = |at: usize| lines().map(|cells| cells[at].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..headings.len()).map(|at| width(at).min(COLUMN_MAX)).collect();
        for cells in lines() {
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
pub fn print<T: Serialize>(output: Output, value: &T, table: impl FnOnce(&T) -> Table) -> Result<(), Failure> {
    say(output, value, |value| table(value).to_string())
}

/// Prints the text, or the value as JSON.
pub fn say<T: Serialize>(output: Output, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    write(&rendered(output, value, text)?)
}

/// As [`say`], of something that is done already: that it is told to nobody does not undo it.
pub fn report<T: Serialize>(output: Output, value: &T, text: impl FnOnce(&T) -> String) {
    match rendered(output, value, text) {
        Ok(text) => speech::report(text),
        Err(failure) => speech::note(failure.message),
    }
}

fn rendered<T: Serialize>(output: Output, value: &T, text: impl FnOnce(&T) -> String) -> Result<String, Failure> {
    Ok(match output {
        Output::Table => text(value),
        Output::Json => escaped(serde_json::to_string_pretty(value).map_err(told)?) + "\n",
    })
}

/// Writes what a command was asked for, without which it has failed.
pub fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Who reads it has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| format!("stdout cannot be written: {error}").into()),
    }
}

/// JSON without the characters that a terminal obeys: what is left of them stands in strings, which may escape all.
pub fn escaped(json: String) -> String {
    let obeyed = |c: char| is_treacherous(c) && c != '\n';
    if !json.contains(obeyed) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if obeyed(character) {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_control_characters_are_shown() {
        let mut table = Table::new(["NODE", "NAME"]);
        table.row([&1, &"日本"]);
        table.row([&23_456, &"a\u{1b}[31m\n"]);
        assert_eq!(table.to_string(), "NODE   NAME\n1      日本\n23456  a\\u{1b}[31m\\n\n");
    }

    #[test]
    fn a_long_cell_moves_its_own_row_only() {
        let long = "x".repeat(500);
        let mut table = Table::new(["NAME", "HELD"]);
        table.row([&long, &"1/1"]);
        table.row([&"short", &"1/1"]);
        let expected = format!("{:40}  HELD\n{long}  1/1\n{:40}  1/1\n", "NAME", "short");
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn json_says_the_same_without_what_a_terminal_obeys() {
        let value = serde_json::json!({"name": "a\u{202e}\u{9b}\u{7f}\u{e0001}\n日"});
        let text = escaped(serde_json::to_string_pretty(&value).expect("JSON"));
        assert!(text.chars().all(|c| c == '\n' || !is_treacherous(c)), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}
