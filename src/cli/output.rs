//! What commands print on stdout: tables for people, JSON for scripts.

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::{Failure, told};

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; columns may change
    Table,
    /// For scripts, as the service answered it
    Json,
}

/// Rows under headings, each column as wide as its widest cell.
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
        let widths: Vec<usize> = (0..headings.len())
            .map(|at| lines().map(|cells| cells[at].chars().count()).max().unwrap_or_default())
            .collect();
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

/// A name may hold anything, and a terminal obeys control characters.
pub fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Prints the table, or the value as JSON.
pub fn print<T: Serialize>(output: Output, value: &T, table: impl FnOnce(&T) -> Table) -> Result<(), Failure> {
    say(output, value, |value| table(value).to_string())
}

/// Prints the text, or the value as JSON.
pub fn say<T: Serialize>(output: Output, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Failure> {
    let text = match output {
        Output::Table => text(value),
        Output::Json => serde_json::to_string_pretty(value).map_err(told)? + "\n",
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Who reads it has seen enough, as `head` has.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(told),
    }
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
}
